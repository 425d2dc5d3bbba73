#include "control/auth/scram.h"

#include <string.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "lib/unit.h"

#define CLIENT "rOprNGfwEbeRWgbNEkqO"
#define SERVER "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
/* RFC 7677 section 3. */
#define FIRST "n,,n=user,r=" CLIENT
#define LAST "c=biws,r=" CLIENT SERVER ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static void assert_text(const struct buf *b, const char *text)
{
    assert_slice(buf_slice(b), text);
}

static struct control_auth_secret secret_of(enum control_auth_mechanism mechanism,
                                            const char *password)
{
    struct control_auth_secret secret;
    struct buf salt = {0};
    assert_true(err_is_ok(base64_decode(SLICE_LITERAL("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt)));
    assert_true(err_is_ok(
        control_auth_derive(mechanism, slice_string(password), buf_slice(&salt), 4096, &secret)));
    buf_done(&salt);
    return secret;
}

static err_t begin(struct control_auth_exchange *exchange, enum control_auth_mechanism mechanism,
                   const char *first, bool known, struct buf *out)
{
    uint8_t room[CONTROL_AUTH_NAME_MAX];
    struct control_auth_first read;
    struct control_auth_secret secret = secret_of(mechanism, "pencil");
    assert_true(err_is_ok(control_auth_read_first(slice_string(first), room, &read)));
    return control_auth_begin(exchange, mechanism, &secret, known, &read, slice_string(SERVER),
                              out);
}

static err_t finish(const char *first, bool known, const char *last, struct buf *out)
{
    struct control_auth_exchange exchange;
    struct buf said = {0};
    assert_true(err_is_ok(begin(&exchange, CONTROL_AUTH_SHA256, first, known, &said)));
    err_t err = control_auth_finish(&exchange, slice_string(last), out);
    assert_true(err_is_ok(err) == (out->size > 0));
    control_auth_done(&exchange);
    buf_done(&said);
    return err;
}

static void the_exchange_of_rfc_7677_is_followed(void **state)
{
    (void)state;
    struct control_auth_exchange exchange;
    struct buf out = {0};
    assert_true(err_is_ok(begin(&exchange, CONTROL_AUTH_SHA256, FIRST, true, &out)));
    assert_text(&out, "r=" CLIENT SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    buf_reset(&out);
    assert_true(err_is_ok(control_auth_finish(&exchange, slice_string(LAST), &out)));
    assert_text(&out, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    control_auth_done(&exchange);
    buf_done(&out);
}

/* What a client does (RFC 5802 section 3), written out: no vector has been published for this
 * digest. */
static void sha_512_is_the_same_with_another_digest(void **state)
{
    (void)state;
    struct control_auth_exchange exchange;
    struct buf out = {0}, last = {0}, said = {0}, salt = {0};
    uint8_t salted[64], key[64], stored[64], signature[64], server[64];
    assert_true(err_is_ok(begin(&exchange, CONTROL_AUTH_SHA512, FIRST, true, &out)));
    assert_true(err_is_ok(base64_decode(SLICE_LITERAL("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt)));
    assert_true(err_is_ok(
        net_tls_pbkdf2(NET_TLS_SHA512, SLICE_LITERAL("pencil"), buf_slice(&salt), 4096, salted)));
    struct slice under = slice_make(salted, 64);
    assert_true(err_is_ok(net_tls_hmac(NET_TLS_SHA512, under, SLICE_LITERAL("Client Key"), key)));
    assert_true(
        err_is_ok(net_tls_hmac(NET_TLS_SHA512, under, SLICE_LITERAL("Server Key"), server)));
    assert_true(err_is_ok(net_tls_digest(NET_TLS_SHA512, slice_make(key, 64), stored)));
    buf_add_string(&said, "n=user,r=" CLIENT ",");
    buf_add_slice(&said, buf_slice(&out));
    buf_add_string(&said, ",c=biws,r=" CLIENT SERVER);
    assert_true(err_is_ok(
        net_tls_hmac(NET_TLS_SHA512, slice_make(stored, 64), buf_slice(&said), signature)));
    for (size_t i = 0; i < 64; i++)
        key[i] ^= signature[i];
    buf_add_string(&last, "c=biws,r=" CLIENT SERVER ",p=");
    buf_add_base64(&last, slice_make(key, 64));
    buf_reset(&out);
    assert_true(err_is_ok(control_auth_finish(&exchange, buf_slice(&last), &out)));
    assert_true(err_is_ok(
        net_tls_hmac(NET_TLS_SHA512, slice_make(server, 64), buf_slice(&said), signature)));
    buf_reset(&last);
    buf_add_string(&last, "v=");
    buf_add_base64(&last, slice_make(signature, 64));
    assert_true(slice_equal(buf_slice(&last), buf_slice(&out)));
    control_auth_done(&exchange);
    buf_done(&out);
    buf_done(&last);
    buf_done(&said);
    buf_done(&salt);
}

static void a_wrong_proof_is_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(err_is(
        finish(FIRST, true,
               "c=biws,r=" CLIENT SERVER ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", &out),
        ERR_PERMISSION));
    /* The right one of a user that there is not, and one over another first message. */
    assert_true(err_is(finish(FIRST, false, LAST, &out), ERR_PERMISSION));
    assert_true(err_is(finish("n,,n=User,r=" CLIENT, true, LAST, &out), ERR_PERMISSION));
    buf_done(&out);
}

static void last_messages_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const lasts[] = {
        "",
        "p=",
        ",p=",
        "c=biws",
        "c=biws,r=" CLIENT SERVER,
        "c=biws,r=" CLIENT SERVER ",p=",
        "c=biws,r=" CLIENT SERVER ",p=AAAA",
        "c=biws,r=" CLIENT SERVER ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ",
        "c=biws,r=" CLIENT SERVER ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=1",
        /* Another header, another nonce, the client's nonce alone. */
        "c=eSws,r=" CLIENT SERVER ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=" SERVER CLIENT ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=" CLIENT ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "r=" CLIENT SERVER ",c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof(lasts) / sizeof(lasts[0]); i++)
        assert_true(err_is(finish(FIRST, true, lasts[i], &out), ERR_SYNTAX));
    char *long_one = malloc(200001);
    memset(long_one, 'A', 200000);
    memcpy(long_one, LAST, sizeof(LAST) - 1);
    long_one[200000] = '\0';
    assert_true(err_is(finish(FIRST, true, long_one, &out), ERR_SYNTAX));
    long_one[1000] = '\0';
    assert_true(err_is(finish(FIRST, true, long_one, &out), ERR_SYNTAX));
    free(long_one);
    buf_done(&out);
}

/* As librdkafka 2.0.2 does: its part of the nonce twice, and a proof over that. */
static void a_nonce_that_repeats_the_clients_part_is_taken(void **state)
{
    (void)state;
    struct buf out = {0}, said = {0}, last = {0};
    struct control_auth_secret secret = secret_of(CONTROL_AUTH_SHA256, "pencil");
    uint8_t salted[64], key[64], signature[64];
    struct slice salt = slice_make(secret.salt, secret.salt_size);
    assert_true(
        err_is_ok(net_tls_pbkdf2(NET_TLS_SHA256, SLICE_LITERAL("pencil"), salt, 4096, salted)));
    assert_true(err_is_ok(
        net_tls_hmac(NET_TLS_SHA256, slice_make(salted, 32), SLICE_LITERAL("Client Key"), key)));
    buf_add_string(&said, "n=user,r=" CLIENT ",r=" CLIENT SERVER
                          ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=" CLIENT CLIENT SERVER);
    assert_true(err_is_ok(net_tls_hmac(NET_TLS_SHA256, slice_make(secret.stored_key, 32),
                                       buf_slice(&said), signature)));
    for (size_t i = 0; i < 32; i++)
        key[i] ^= signature[i];
    buf_add_string(&last, "c=biws,r=" CLIENT CLIENT SERVER ",p=");
    buf_add_base64(&last, slice_make(key, 32));
    buf_add_byte(&last, '\0');
    assert_true(err_is_ok(finish(FIRST, true, (const char *)last.data, &out)));
    buf_done(&out);
    buf_done(&said);
    buf_done(&last);
}

/* Any byte of it changed: the proof does not hold. */
static void a_changed_byte_is_never_let_in(void **state)
{
    (void)state;
    struct buf out = {0};
    for (size_t i = 0; i < sizeof(LAST) - 1; i++) {
        char last[] = LAST;
        last[i] ^= 4;
        assert_false(err_is_ok(finish(FIRST, true, last, &out)));
        last[i] = '\0';
        assert_false(err_is_ok(finish(FIRST, true, last, &out)));
    }
    buf_done(&out);
}

static err_t read_first(const char *text, struct control_auth_first *out)
{
    static uint8_t room[CONTROL_AUTH_NAME_MAX];
    return control_auth_read_first(slice_string(text), room, out);
}

static void first_messages_are_read(void **state)
{
    (void)state;
    struct control_auth_first first;
    assert_true(err_is_ok(read_first("n,,n=user,r=abc", &first)));
    assert_slice(first.header, "n,,");
    assert_slice(first.bare, "n=user,r=abc");
    assert_slice(first.name, "user");
    assert_slice(first.nonce, "abc");
    assert_true(err_is_ok(read_first("y,a=u=2Cs=3Der,n=u=2Cs=3Der,r=abc,tokenauth=true", &first)));
    assert_slice(first.header, "y,a=u=2Cs=3Der,");
    assert_slice(first.bare, "n=u=2Cs=3Der,r=abc,tokenauth=true");
    assert_slice(first.name, "u,s=er");
    assert_slice(first.nonce, "abc");
}

static void first_messages_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=abc",
        "n,,n=,r=abc",
        "n,,n=user,r=",
        "x,,n=user,r=a",
        "n,n=user,r=abc",
        "n,,n=a=2c,r=abc",
        "n,,n=a=,r=abc",
        "n,,n=a=2,r=abc",
        "n,,n=user,r=a b",
        "n,,n=user,r=a\x7f",
        ("n,,n=us\xff"
         "er,r=abc"),
        "nn,,n=user,r=abc",
        "n,,user,r=abc",
    };
    static const char *const other[] = {"p=tls-unique,,n=user,r=abc", "n,,m=ext,n=user,r=abc",
                                        "n,a=admin,n=user,r=abc"};
    struct control_auth_first first;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        if (!err_is(read_first(broken[i], &first), ERR_SYNTAX))
            fail_msg("taken: %s", broken[i]);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_true(err_is(read_first(other[i], &first), ERR_UNSUPPORTED));
    char text[CONTROL_AUTH_NAME_MAX + 64];
    memset(text, 'u', sizeof(text));
    memcpy(text, "n,,n=", 5);
    memcpy(text + 5 + CONTROL_AUTH_NAME_MAX, ",r=abc", 7);
    assert_true(err_is_ok(read_first(text, &first)));
    assert_int_equal(first.name.size, CONTROL_AUTH_NAME_MAX);
    memcpy(text + 5 + CONTROL_AUTH_NAME_MAX, "u,r=abc", 8);
    assert_true(err_is(read_first(text, &first), ERR_SYNTAX));
}

static void a_password_is_checked_as_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONTROL_AUTH_MECHANISMS; i++) {
        enum control_auth_mechanism mechanism = (enum control_auth_mechanism)i;
        struct control_auth_secret secret = secret_of(mechanism, "pencil");
        bool same = false;
        assert_true(
            err_is_ok(control_auth_check(mechanism, &secret, SLICE_LITERAL("pencil"), &same)));
        assert_true(same);
        assert_true(
            err_is_ok(control_auth_check(mechanism, &secret, SLICE_LITERAL("Pencil"), &same)));
        assert_false(same);
    }
    assert_string_equal(control_auth_mechanism_name(CONTROL_AUTH_SHA512), "SCRAM-SHA-512");
}

static void plain_messages_have_three_parts(void **state)
{
    (void)state;
    struct slice act_as, name, password;
    assert_true(err_is_ok(
        control_auth_read_plain(slice_make("\0user\0pass", 10), &act_as, &name, &password)));
    assert_slice(act_as, "");
    assert_slice(name, "user");
    assert_slice(password, "pass");
    assert_true(
        err_is_ok(control_auth_read_plain(slice_make("me\0me\0p", 7), &act_as, &name, &password)));
    assert_slice(act_as, "me");
    static const struct {
        const char *text;
        size_t size;
    } broken[] = {{"", 0},         {"\0", 1},   {"\0\0", 2},   {"\0user\0", 6},
                  {"\0\0pass", 6}, {"user", 4}, {"\0user", 5}, {"a\0b\0c\0d", 7}};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_true(err_is(control_auth_read_plain(slice_make(broken[i].text, broken[i].size),
                                                   &act_as, &name, &password),
                           ERR_SYNTAX));
    uint8_t large[CONTROL_AUTH_MESSAGE_MAX + 1] = {0, 'u', 0};
    memset(large + 3, 'p', sizeof(large) - 3);
    struct slice all = slice_make(large, 3 + CONTROL_AUTH_PASSWORD_MAX);
    assert_true(err_is_ok(control_auth_read_plain(all, &act_as, &name, &password)));
    all.size++;
    assert_true(err_is(control_auth_read_plain(all, &act_as, &name, &password), ERR_SYNTAX));
    all.size = sizeof(large);
    assert_true(err_is(control_auth_read_plain(all, &act_as, &name, &password), ERR_SYNTAX));
}

static void without_memory_nobody_is_let_in(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct control_auth_exchange exchange;
        struct buf out = {0};
        uint8_t room[CONTROL_AUTH_NAME_MAX];
        struct control_auth_first read;
        struct control_auth_secret secret = secret_of(CONTROL_AUTH_SHA256, "pencil");
        assert_true(err_is_ok(control_auth_read_first(slice_string(FIRST), room, &read)));
        mem_fail_after(n);
        err_t err = control_auth_begin(&exchange, CONTROL_AUTH_SHA256, &secret, true, &read,
                                       slice_string(SERVER), &out);
        buf_reset(&out);
        if (err_is_ok(err))
            err = control_auth_finish(&exchange, slice_string(LAST), &out);
        bool over = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_true(err_is(err, over ? ERR_OK : ERR_MEMORY));
        control_auth_done(&exchange);
        buf_done(&out);
        if (over)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exchange_of_rfc_7677_is_followed),
        cmocka_unit_test(sha_512_is_the_same_with_another_digest),
        cmocka_unit_test(a_wrong_proof_is_refused),
        cmocka_unit_test(last_messages_that_are_none_are_refused),
        cmocka_unit_test(a_nonce_that_repeats_the_clients_part_is_taken),
        cmocka_unit_test(a_changed_byte_is_never_let_in),
        cmocka_unit_test(first_messages_are_read),
        cmocka_unit_test(first_messages_that_are_none_are_refused),
        cmocka_unit_test(a_password_is_checked_as_it_is),
        cmocka_unit_test(plain_messages_have_three_parts),
        cmocka_unit_test(without_memory_nobody_is_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
