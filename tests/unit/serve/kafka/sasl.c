#include "base/alloc.h"
#include "base/base64.h"
#include "base/cursor.h"
#include "lib/unit.h"
#include "serve/kafka/kafka_int.h"
#include "unit/net/fake_tcp.h"

/* A door with one user, mia, whose password is secret; nothing here asks the log. */
struct fixture {
    struct fake_loop *fake;
    struct flow_credit credit;
    struct flow_inlet inlet;
    struct flow_log log;
    struct control_auth_users *users;
    struct serve_kafka *kafka;
    unsigned stopped;
};

static struct fixture *fixture_new(bool sasl, bool plain)
{
    static const uint8_t random[64] = {1, 2, 3};
    struct fixture *f = calloc(1, sizeof(*f));
    struct control_auth_user user;
    assert_non_null(f);
    f->fake = fake_loop_new();
    flow_credit_init(&f->credit, "requests", 1 << 20);
    assert_true(err_is_ok(control_auth_users_new(random, &f->users)));
    assert_true(err_is_ok(
        control_auth_user_make(SLICE_LITERAL("mia"), SLICE_LITERAL("secret"), random, &user)));
    assert_true(err_is_ok(control_auth_users_put(f->users, &user)));
    struct serve_kafka_loop loop = {
        .loop = &f->fake->loop, .inlet = &f->inlet, .credit = &f->credit};
    assert_true(
        err_is_ok(serve_kafka_new(&(struct serve_kafka_options){.address = "127.0.0.1:0",
                                                                .log = &f->log,
                                                                .loops = &loop,
                                                                .loop_count = 1,
                                                                .users = sasl ? f->users : NULL,
                                                                .plain = plain},
                                  &f->kafka)));
    return f;
}

static void on_stopped(void *owner)
{
    ((struct fixture *)owner)->stopped++;
}

static void fixture_free(struct fixture *f)
{
    serve_kafka_stop(f->kafka, 0, on_stopped, f);
    fake_advance(f->fake, 5000);
    assert_int_equal(f->stopped, 1);
    serve_kafka_free(&f->kafka);
    assert_int_equal(f->credit.used_bytes, 0);
    assert_int_equal(f->fake->timer_count, 0);
    control_auth_users_free(&f->users);
    fake_loop_free(f->fake);
    free(f);
}

static struct io_tcp *connect_one(struct fixture *f)
{
    net_kafka_server_adopt(f->kafka->doors[0].server, (struct io_socket){.fd = f->fake->tcp_count});
    fake_run(f->fake);
    return f->fake->tcps[f->fake->tcp_count - 1];
}

static void ask(struct fixture *f, struct io_tcp *tcp, int16_t key, int16_t version,
                struct slice body)
{
    uint8_t head[14];
    put_u32be(head, (uint32_t)(10 + body.size));
    put_u16be(head + 4, (uint16_t)key);
    put_u16be(head + 6, (uint16_t)version);
    put_u32be(head + 8, 7);
    put_u16be(head + 12, UINT16_MAX);
    fake_forget_written(tcp);
    fake_send(tcp, head, sizeof(head));
    if (body.size > 0)
        fake_send(tcp, body.data, body.size);
    fake_run(f->fake);
}

/* The code in the answer; -1 where there is none. */
static int code(const struct io_tcp *tcp)
{
    return tcp->out.size < 10 ? -1 : get_u16be((const uint8_t *)tcp->out.data + 8);
}

static int choose_in(struct fixture *f, struct io_tcp *tcp, int16_t version, const char *mechanism)
{
    struct buf body = {0};
    buf_add_byte(&body, 0);
    buf_add_byte(&body, (uint8_t)strlen(mechanism));
    buf_add_string(&body, mechanism);
    ask(f, tcp, PROTO_KAFKA_SASL_HANDSHAKE, version, buf_slice(&body));
    buf_done(&body);
    return code(tcp);
}

static int choose(struct fixture *f, struct io_tcp *tcp, const char *mechanism)
{
    return choose_in(f, tcp, 1, mechanism);
}

/* As it is, behind version 0 of the handshake. */
static void send_bare(struct fixture *f, struct io_tcp *tcp, struct slice token)
{
    uint8_t size[4];
    put_u32be(size, (uint32_t)token.size);
    fake_forget_written(tcp);
    fake_send(tcp, size, 4);
    fake_send(tcp, token.data, token.size);
    fake_run(f->fake);
}

/* The one answer, without its size. */
static struct slice bare_answer(const struct io_tcp *tcp)
{
    assert_true(tcp->out.size >= 4);
    assert_int_equal(get_u32be((const uint8_t *)tcp->out.data), tcp->out.size - 4);
    return slice_make(tcp->out.data + 4, tcp->out.size - 4);
}

/* The answer's token is in `out`, where that is not NULL. */
static int send_token(struct fixture *f, struct io_tcp *tcp, struct slice token, struct slice *out)
{
    struct buf body = {0};
    uint8_t size[4];
    put_u32be(size, (uint32_t)token.size);
    buf_add(&body, size, 4);
    buf_add_slice(&body, token);
    ask(f, tcp, PROTO_KAFKA_SASL_AUTHENTICATE, 0, buf_slice(&body));
    buf_done(&body);
    if (out && code(tcp) == 0)
        *out = slice_make(tcp->out.data + 16, tcp->out.size - 16);
    return code(tcp);
}

static const struct serve_kafka_door *door(const struct fixture *f)
{
    return &f->kafka->doors[0];
}

/* What a client does with the server's first message (RFC 5802 section 3). */
static void make_last(const char *password, const char *bare, struct slice first, struct buf *last)
{
    struct buf said = {0}, salt = {0};
    uint8_t salted[64], key[64], stored[64], signature[64];
    struct slice rest = first;
    struct slice nonce = slice_split(&rest, ',');
    struct slice encoded = slice_split(&rest, ',');
    assert_slice(rest, "i=4096");
    assert_true(err_is_ok(base64_decode(slice_sub(encoded, 2, encoded.size), &salt)));
    assert_true(err_is_ok(
        net_tls_pbkdf2(NET_TLS_SHA512, slice_string(password), buf_slice(&salt), 4096, salted)));
    assert_true(err_is_ok(
        net_tls_hmac(NET_TLS_SHA512, slice_make(salted, 64), SLICE_LITERAL("Client Key"), key)));
    assert_true(err_is_ok(net_tls_digest(NET_TLS_SHA512, slice_make(key, 64), stored)));
    buf_add_string(last, "c=biws,");
    buf_add_slice(last, nonce);
    buf_add_format(&said, "%s,%.*s,%.*s", bare, SLICE_PRINTF(first), SLICE_PRINTF(buf_slice(last)));
    assert_true(err_is_ok(
        net_tls_hmac(NET_TLS_SHA512, slice_make(stored, 64), buf_slice(&said), signature)));
    for (size_t i = 0; i < 64; i++)
        key[i] ^= signature[i];
    buf_add_string(last, ",p=");
    buf_add_base64(last, slice_make(key, 64));
    buf_done(&said);
    buf_done(&salt);
}

/* The code at the end of an exchange. */
static int scram(struct fixture *f, struct io_tcp *tcp, const char *name, const char *password)
{
    char bare[64];
    char message[80];
    struct slice token = {0};
    struct buf last = {0};
    snprintf(bare, sizeof(bare), "n=%s,r=abc", name);
    snprintf(message, sizeof(message), "n,,%s", bare);
    assert_int_equal(choose(f, tcp, "SCRAM-SHA-512"), 0);
    assert_int_equal(send_token(f, tcp, slice_string(message), &token), 0);
    make_last(password, bare, token, &last);
    int result = send_token(f, tcp, buf_slice(&last), &token);
    buf_done(&last);
    if (result == 0)
        assert_true(slice_starts_with(token, SLICE_LITERAL("v=")));
    return result;
}

static void a_user_is_let_in(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true, true);
    struct io_tcp *tcp = connect_one(f);
    assert_int_equal(scram(f, tcp, "mia", "secret"), 0);
    assert_int_equal(door(f)->authenticated, 1);
    /* Known from here on: an order of its own, and no second time. */
    assert_int_equal(choose(f, tcp, "PLAIN"), SERVE_KAFKA_ILLEGAL_SASL_STATE);
    assert_false(tcp->closed);
    tcp = connect_one(f);
    assert_int_equal(choose(f, tcp, "PLAIN"), 0);
    assert_int_equal(send_token(f, tcp, slice_make("\0mia\0secret", 11), NULL), 0);
    assert_int_equal(door(f)->authenticated, 2);
    fixture_free(f);
}

static void who_is_not_is_answered_after_a_pause_and_let_go(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"mia", "wrong"}, {"zoe", "secret"}};
    struct fixture *f = fixture_new(true, true);
    for (size_t i = 0; i < 2; i++) {
        struct io_tcp *tcp = connect_one(f);
        assert_int_equal(scram(f, tcp, pairs[i][0], pairs[i][1]), -1);
        fake_advance(f->fake, 99);
        assert_int_equal(code(tcp), -1);
        fake_advance(f->fake, 1);
        assert_int_equal(code(tcp), SERVE_KAFKA_SASL_AUTHENTICATION_FAILED);
        assert_true(tcp->closed);
    }
    assert_int_equal(door(f)->refused, 2);
    assert_int_equal(door(f)->authenticated, 0);
    fixture_free(f);
}

static void tokens_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const tokens[] = {"", "n", "n,,n=mia", "p=x,,n=mia,r=abc", "\xff\xff"};
    struct fixture *f = fixture_new(true, true);
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        struct io_tcp *tcp = connect_one(f);
        assert_int_equal(choose(f, tcp, "SCRAM-SHA-256"), 0);
        assert_int_equal(send_token(f, tcp, slice_string(tokens[i]), NULL), -1);
        /* What comes meanwhile is not served. */
        ask(f, tcp, PROTO_KAFKA_API_VERSIONS, 0, slice_make(NULL, 0));
        fake_advance(f->fake, 100);
        assert_int_equal(code(tcp), SERVE_KAFKA_SASL_AUTHENTICATION_FAILED);
        assert_true(tcp->closed);
    }
    fixture_free(f);
}

static void before_that_nothing_else_is_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true, true);
    for (int16_t key = 0; key < 40; key++) {
        struct io_tcp *tcp = connect_one(f);
        if (key == PROTO_KAFKA_API_VERSIONS || key == PROTO_KAFKA_SASL_HANDSHAKE ||
            key == PROTO_KAFKA_SASL_AUTHENTICATE)
            continue;
        ask(f, tcp, PROTO_KAFKA_API_VERSIONS, 0, slice_make(NULL, 0));
        assert_int_equal(code(tcp), 0);
        ask(f, tcp, key, 3, slice_make("\0\0\0\0\0\0\0\0", 8));
        assert_int_equal(code(tcp), -1);
        assert_true(tcp->closed);
    }
    fixture_free(f);
}

static void steps_out_of_order_have_their_codes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true, false);
    struct io_tcp *tcp = connect_one(f);
    assert_int_equal(send_token(f, tcp, SLICE_LITERAL("x"), NULL), SERVE_KAFKA_ILLEGAL_SASL_STATE);
    assert_true(tcp->closed);
    /* Where passwords could be read on the way, they are not taken. */
    tcp = connect_one(f);
    assert_int_equal(choose(f, tcp, "PLAIN"), SERVE_KAFKA_UNSUPPORTED_SASL_MECHANISM);
    assert_null(memmem(tcp->out.data, tcp->out.size, "PLAIN", 5));
    assert_non_null(memmem(tcp->out.data, tcp->out.size, "SCRAM-SHA-512", 13));
    assert_true(tcp->closed);
    fixture_free(f);
    f = fixture_new(false, true);
    tcp = connect_one(f);
    assert_int_equal(choose(f, tcp, "PLAIN"), SERVE_KAFKA_ILLEGAL_SASL_STATE);
    assert_false(tcp->closed);
    fixture_free(f);
}

static void behind_version_0_tokens_come_as_they_are(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true, true);
    /* Whole, and in pieces of a byte. */
    for (size_t piece = 0; piece < 2; piece++) {
        struct io_tcp *tcp = connect_one(f);
        struct buf last = {0};
        tcp->piece = piece;
        assert_int_equal(choose_in(f, tcp, 0, "SCRAM-SHA-512"), 0);
        send_bare(f, tcp, SLICE_LITERAL("n,,n=mia,r=abc"));
        make_last("secret", "n=mia,r=abc", bare_answer(tcp), &last);
        send_bare(f, tcp, buf_slice(&last));
        assert_true(slice_starts_with(bare_answer(tcp), SLICE_LITERAL("v=")));
        buf_done(&last);
        /* Requests again. */
        ask(f, tcp, PROTO_KAFKA_API_VERSIONS, 0, slice_make(NULL, 0));
        assert_int_equal(code(tcp), 0);
        assert_int_equal(choose_in(f, tcp, 0, "PLAIN"), SERVE_KAFKA_ILLEGAL_SASL_STATE);
        assert_false(tcp->closed);
    }
    assert_int_equal(door(f)->authenticated, 2);
    /* And on a connection of version 1 no token is taken as it is. */
    struct io_tcp *tcp = connect_one(f);
    assert_int_equal(choose(f, tcp, "PLAIN"), 0);
    send_bare(f, tcp, slice_make("\0mia\0secret", 11));
    assert_int_equal(tcp->out.size, 0);
    assert_true(tcp->closed);
    fixture_free(f);
}

static void a_bare_token_and_what_follows_may_come_at_once(void **state)
{
    (void)state;
    static const char all[] = "\0\0\0\x11\0\x11\0\0\0\0\0\7\xff\xff\0\5PLAIN"
                              "\0\0\0\xb\0mia\0secret"
                              "\0\0\0\xa\0\x12\0\0\0\0\0\x9\xff\xff";
    struct fixture *f = fixture_new(true, true);
    struct io_tcp *tcp = connect_one(f);
    fake_send(tcp, all, sizeof(all) - 1);
    fake_run(f->fake);
    struct slice out = slice_make(tcp->out.data, tcp->out.size);
    size_t size = get_u32be(out.data);
    assert_int_equal(get_u16be(out.data + 8), 0);
    out = slice_sub(out, 4 + size, out.size);
    /* PLAIN has no answer, which is sent as such. */
    assert_int_equal(get_u32be(out.data), 0);
    assert_int_equal(get_u32be(out.data + 8), 9);
    assert_int_equal(get_u16be(out.data + 12), 0);
    assert_false(tcp->closed);
    fixture_free(f);
}

static void who_is_refused_by_a_bare_token_sees_the_end_after_a_pause(void **state)
{
    (void)state;
    static const struct {
        const char *mechanism;
        const char *token;
        size_t size;
    } cases[] = {
        {"PLAIN", "\0mia\0wrong", 10},
        {"PLAIN", "\0zoe\0secret", 11},
        {"PLAIN", "", 0},
        {"PLAIN", "\0\x12\0\0\0\0\0\x9\xff\xff", 10},
        {"SCRAM-SHA-256", "n,,n=mia", 8},
        {"SCRAM-SHA-512", "\xff", 1},
    };
    struct fixture *f = fixture_new(true, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct io_tcp *tcp = connect_one(f);
        assert_int_equal(choose_in(f, tcp, 0, cases[i].mechanism), 0);
        send_bare(f, tcp, slice_make(cases[i].token, cases[i].size));
        /* The right one behind it comes too late. */
        send_bare(f, tcp, slice_make("\0mia\0secret", 11));
        fake_advance(f->fake, 99);
        assert_false(tcp->closed);
        fake_advance(f->fake, 1);
        assert_true(tcp->closed);
        assert_int_equal(tcp->out.size, 0);
    }
    assert_int_equal(door(f)->refused, sizeof(cases) / sizeof(cases[0]));
    assert_int_equal(door(f)->authenticated, 0);
    struct io_tcp *tcp = connect_one(f);
    assert_int_equal(choose_in(f, tcp, 0, "GSSAPI"), SERVE_KAFKA_UNSUPPORTED_SASL_MECHANISM);
    assert_true(tcp->closed);
    fixture_free(f);
}

static void who_is_not_known_yet_sends_nothing_large(void **state)
{
    (void)state;
    uint8_t size[4];
    struct fixture *f = fixture_new(true, true);
    for (int bare = 0; bare < 2; bare++) {
        struct io_tcp *tcp = connect_one(f);
        assert_int_equal(choose_in(f, tcp, bare ? 0 : 1, "PLAIN"), 0);
        put_u32be(size, (512u << 10) + 1);
        fake_send(tcp, size, 4);
        fake_run(f->fake);
        assert_true(tcp->closed);
        assert_int_equal(f->credit.used_bytes, 0);
        tcp = connect_one(f);
        choose_in(f, tcp, bare ? 0 : 1, "PLAIN");
        if (bare)
            send_bare(f, tcp, slice_make("\0mia\0secret", 11));
        else
            send_token(f, tcp, slice_make("\0mia\0secret", 11), NULL);
        fake_send(tcp, size, 4);
        fake_run(f->fake);
        assert_false(tcp->closed);
        assert_true(f->credit.used_bytes > 512u << 10);
        fake_end(tcp, ERR_IO);
        fake_run(f->fake);
    }
    fixture_free(f);
    /* Where everybody is served there is nothing to be known. */
    f = fixture_new(false, false);
    struct io_tcp *tcp = connect_one(f);
    fake_send(tcp, size, 4);
    fake_run(f->fake);
    assert_false(tcp->closed);
    fixture_free(f);
}

static void who_goes_in_the_middle_leaves_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true, true);
    struct io_tcp *asked = connect_one(f);
    struct io_tcp *refused = connect_one(f);
    choose(f, asked, "SCRAM-SHA-256");
    send_token(f, asked, SLICE_LITERAL("n,,n=mia,r=abc"), NULL);
    choose(f, refused, "PLAIN");
    send_token(f, refused, SLICE_LITERAL("x"), NULL);
    fake_end(asked, ERR_IO);
    fake_end(refused, ERR_IO);
    fake_advance(f->fake, 1000);
    assert_true(asked->closed && refused->closed);
    fixture_free(f);
}

static void other_users_count_from_then_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true, true);
    struct control_auth_users *next = NULL;
    struct io_tcp *before = connect_one(f);
    struct slice token;
    choose(f, before, "PLAIN");
    send_token(f, before, slice_make("\0mia\0secret", 11), NULL);
    /* And one in the middle, which has what it needs. */
    struct io_tcp *amid = connect_one(f);
    struct buf last = {0};
    choose(f, amid, "SCRAM-SHA-512");
    assert_int_equal(send_token(f, amid, SLICE_LITERAL("n,,n=mia,r=abc"), &token), 0);
    make_last("secret", "n=mia,r=abc", token, &last);
    assert_true(err_is_ok(control_auth_users_copy(f->users, &next)));
    control_auth_users_remove(next, SLICE_LITERAL("mia"));
    serve_kafka_use_users(f->kafka, 0, next);
    control_auth_users_free(&f->users);
    f->users = next;
    assert_int_equal(send_token(f, amid, buf_slice(&last), &token), 0);
    buf_done(&last);
    ask(f, before, PROTO_KAFKA_API_VERSIONS, 0, slice_make(NULL, 0));
    assert_int_equal(code(before), 0);
    struct io_tcp *after = connect_one(f);
    assert_int_equal(scram(f, after, "mia", "secret"), -1);
    fixture_free(f);
}

static void without_memory_a_connection_ends(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true, true);
    for (uint64_t n = 1; n < 24; n++) {
        struct io_tcp *tcp = connect_one(f);
        choose(f, tcp, "SCRAM-SHA-256");
        mem_fail_after(n);
        int got = send_token(f, tcp, SLICE_LITERAL("n,,n=mia,r=abc"), NULL);
        mem_fail_after(0);
        fake_advance(f->fake, 200);
        assert_true(got == 0 || tcp->closed);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_let_in),
        cmocka_unit_test(who_is_not_is_answered_after_a_pause_and_let_go),
        cmocka_unit_test(tokens_that_are_none_are_refused),
        cmocka_unit_test(before_that_nothing_else_is_served),
        cmocka_unit_test(steps_out_of_order_have_their_codes),
        cmocka_unit_test(behind_version_0_tokens_come_as_they_are),
        cmocka_unit_test(a_bare_token_and_what_follows_may_come_at_once),
        cmocka_unit_test(who_is_refused_by_a_bare_token_sees_the_end_after_a_pause),
        cmocka_unit_test(who_is_not_known_yet_sends_nothing_large),
        cmocka_unit_test(who_goes_in_the_middle_leaves_nothing),
        cmocka_unit_test(other_users_count_from_then_on),
        cmocka_unit_test(without_memory_a_connection_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
