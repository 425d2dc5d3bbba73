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

static int choose(struct fixture *f, struct io_tcp *tcp, const char *mechanism)
{
    struct buf body = {0};
    buf_add_byte(&body, 0);
    buf_add_byte(&body, (uint8_t)strlen(mechanism));
    buf_add_string(&body, mechanism);
    ask(f, tcp, PROTO_KAFKA_SASL_HANDSHAKE, 1, buf_slice(&body));
    buf_done(&body);
    return code(tcp);
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
    tcp = connect_one(f);
    ask(f, tcp, PROTO_KAFKA_SASL_HANDSHAKE, 0, SLICE_LITERAL("\0\rSCRAM-SHA-256"));
    assert_true(tcp->closed);
    fixture_free(f);
    f = fixture_new(false, true);
    tcp = connect_one(f);
    assert_int_equal(choose(f, tcp, "PLAIN"), SERVE_KAFKA_ILLEGAL_SASL_STATE);
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
        cmocka_unit_test(who_goes_in_the_middle_leaves_nothing),
        cmocka_unit_test(other_users_count_from_then_on),
        cmocka_unit_test(without_memory_a_connection_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
