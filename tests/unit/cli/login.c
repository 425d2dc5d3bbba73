#include "cli/login.h"

#include "base/alloc.h"
#include "lib/unit.h"
#include "unit/net/fake_tcp.h"

typedef struct proto_kafka_sasl_handshake_response handshake_t;
typedef struct proto_kafka_sasl_authenticate_response answer_t;

/* Places in cli_access_mechanisms. */
enum { SHA512, SHA256, PLAIN };

struct fixture {
    struct fake_loop *fake;
    struct cli_access access;
    struct cli_login login;
    struct buf token;
    struct err_text why;
    bool done;
};

static struct fixture *fixture_new(uint32_t mechanism)
{
    struct proto_kafka_sasl_handshake_request request;
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->fake = fake_loop_new();
    f->access = (struct cli_access){.user = "mia", .mechanism = mechanism};
    buf_add_string(&f->access.password, "secret");
    cli_login_choose(&f->login, &f->access, &request);
    assert_slice(request.mechanism, cli_access_mechanisms[mechanism]);
    return f;
}

static void fixture_free(struct fixture *f)
{
    cli_login_done(&f->login);
    cli_login_done(&f->login);
    cli_access_done(&f->access);
    buf_done(&f->token);
    fake_loop_free(f->fake);
    free(f);
}

static err_t begin(struct fixture *f, const handshake_t *response)
{
    return cli_login_begin(&f->login, &f->fake->loop, response, &f->token, &f->why);
}

static err_t next(struct fixture *f, int16_t code, const char *bytes)
{
    answer_t answer = {.error_code = code,
                       .error_message = SLICE_LITERAL("says the broker"),
                       .auth_bytes = slice_string(bytes)};
    buf_reset(&f->token);
    return cli_login_next(&f->login, &answer, &f->token, &f->done, &f->why);
}

/* The nonce that the first token ends with. */
static void nonce_of(const struct fixture *f, char out[static 40])
{
    struct slice nonce = slice_sub(buf_slice(&f->token), f->token.size - 32, 32);
    snprintf(out, 40, "%.*s", SLICE_PRINTF(nonce));
}

static void plain_is_one_message(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(PLAIN);
    assert_true(err_is_ok(begin(f, &(handshake_t){0})));
    assert_true(slice_equal(buf_slice(&f->token), slice_make("\0mia\0secret", 11)));
    assert_true(err_is_ok(next(f, 0, "")));
    assert_true(f->done);
    fixture_free(f);
}

static void scram_says_who_comes_and_not_the_password(void **state)
{
    (void)state;
    char nonces[2][40];
    for (uint32_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(i);
        char first[160];
        /* Chance is the loop's, which this one always begins the same. */
        for (uint32_t skip = 0; skip < i; skip++)
            io_random(&f->fake->loop, first, 7);
        assert_true(err_is_ok(begin(f, &(handshake_t){0})));
        assert_true(slice_starts_with(buf_slice(&f->token), SLICE_LITERAL("n,,n=mia,r=")));
        assert_int_equal(f->token.size, 11 + 32);
        nonce_of(f, nonces[i]);
        snprintf(first, sizeof(first), "r=%stheirs,s=c2FsdA==,i=4096", nonces[i]);
        assert_true(err_is_ok(next(f, 0, first)));
        assert_false(f->done);
        assert_true(slice_starts_with(buf_slice(&f->token), SLICE_LITERAL("c=biws,r=")));
        assert_null(memmem(f->token.data, f->token.size, "secret", 6));
        /* As long as the mechanism's digest. */
        size_t proof = i == SHA512 ? 88 : 44;
        assert_int_equal(f->token.size, 9 + 32 + 6 + 3 + proof);
        assert_true(err_is(next(f, 0, "v=AAAA"), ERR_PERMISSION));
        fixture_free(f);
    }
    assert_string_not_equal(nonces[0], nonces[1]);
}

static void a_broker_that_does_not_want_it_is_told_of(void **state)
{
    (void)state;
    struct slice offered[] = {SLICE_LITERAL("GSSAPI"), SLICE_LITERAL("PLAIN")};
    static const struct {
        int16_t code;
        uint32_t count;
        const char *words;
    } cases[] = {
        {33, 2, "does not take SCRAM-SHA-256 but GSSAPI, PLAIN; choose one with --sasl"},
        {33, 0, "does not take SCRAM-SHA-256 but"},
        {34, 2, "leave out --user"},
        {-1, 0, "answers SaslHandshake with -1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_new(SHA256);
        handshake_t response = {.error_code = cases[i].code};
        response.mechanisms.items = offered;
        response.mechanisms.count = cases[i].count;
        assert_true(err_is(begin(f, &response), ERR_UNSUPPORTED));
        assert_non_null(strstr(f->why.text, cases[i].words));
        assert_int_equal(f->token.size, 0);
        fixture_free(f);
    }
}

static void a_refusal_is_told_as_the_broker_says_it(void **state)
{
    (void)state;
    for (uint32_t mechanism = 0; mechanism < 3; mechanism++) {
        struct fixture *f = fixture_new(mechanism);
        assert_true(err_is_ok(begin(f, &(handshake_t){0})));
        assert_true(err_is(next(f, 58, ""), ERR_PERMISSION));
        assert_string_equal(f->why.text, "the broker refuses user mia: says the broker (58)");
        assert_false(f->done);
        fixture_free(f);
    }
}

/* Success at once, without a proof, is none. */
static void a_broker_that_lets_everybody_in_is_not_believed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(SHA512);
    assert_true(err_is_ok(begin(f, &(handshake_t){0})));
    assert_true(err_is(next(f, 0, ""), ERR_SYNTAX));
    assert_false(f->done);
    assert_int_equal(f->token.size, 0);
    fixture_free(f);
}

static void without_memory_nothing_is_said(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 4; n++) {
        struct fixture *f = fixture_new(SHA512);
        mem_fail_after(n);
        err_t err = begin(f, &(handshake_t){0});
        mem_fail_after(0);
        assert_true(err_is(err, ERR_MEMORY) || err_is_ok(err));
        assert_true(n > 1 || err_is(err, ERR_MEMORY));
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_one_message),
        cmocka_unit_test(scram_says_who_comes_and_not_the_password),
        cmocka_unit_test(a_broker_that_does_not_want_it_is_told_of),
        cmocka_unit_test(a_refusal_is_told_as_the_broker_says_it),
        cmocka_unit_test(a_broker_that_lets_everybody_in_is_not_believed),
        cmocka_unit_test(without_memory_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
