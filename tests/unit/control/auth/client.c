#include "control/auth/client.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "lib/unit.h"

/* The exchange of RFC 7677 section 3. */
#define OWN "rOprNGfwEbeRWgbNEkqO"
#define OTHER "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define FIRST "r=" OWN OTHER ",s=" SALT ",i=4096"
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define VERIFIER "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void begin(struct control_auth_client *client, enum control_auth_mechanism mechanism,
                  const char *name, struct buf *out)
{
    buf_reset(out);
    assert_true(err_is_ok(
        control_auth_client_begin(client, mechanism, slice_string(name), SLICE_LITERAL(OWN), out)));
}

static void the_exchange_of_rfc_7677_is_followed(void **state)
{
    (void)state;
    struct control_auth_client client;
    struct buf out = {0};
    struct err_text why = {0};
    begin(&client, CONTROL_AUTH_SHA256, "user", &out);
    assert_slice(buf_slice(&out), "n,,n=user,r=" OWN);
    buf_reset(&out);
    assert_true(err_is_ok(control_auth_client_prove(&client, SLICE_LITERAL(FIRST),
                                                    SLICE_LITERAL("pencil"), &out, &why)));
    assert_slice(buf_slice(&out), "c=biws,r=" OWN OTHER ",p=" PROOF);
    assert_true(err_is_ok(control_auth_client_check(&client, SLICE_LITERAL(VERIFIER), &why)));
    control_auth_client_done(&client);
    buf_done(&out);
}

/* Both sides of ours, with each mechanism, names that are escaped, and passwords of any bytes. */
static void it_meets_our_server(void **state)
{
    (void)state;
    static const char *const names[] = {"mia", "a=b,c", ",", "=2C", "zo\xc3\xab"};
    static const char *const passwords[] = {"secret", "\xff\x01 =,", "x"};
    for (size_t i = 0; i < 30; i++) {
        enum control_auth_mechanism mechanism = (enum control_auth_mechanism)(i / 15);
        const char *password = passwords[i % 3];
        uint8_t room[CONTROL_AUTH_NAME_MAX];
        struct control_auth_client client;
        struct control_auth_first first;
        struct control_auth_secret secret;
        struct control_auth_exchange exchange;
        struct buf ours = {0}, theirs = {0};
        struct err_text why = {0};
        bool right = i % 2 == 0;
        begin(&client, mechanism, names[i % 5], &ours);
        assert_true(err_is_ok(control_auth_read_first(buf_slice(&ours), room, &first)));
        assert_slice(first.name, names[i % 5]);
        assert_true(err_is_ok(control_auth_derive(mechanism, slice_string(password),
                                                  SLICE_LITERAL("salt"), 4096, &secret)));
        assert_true(err_is_ok(control_auth_begin(&exchange, mechanism, &secret, true, &first,
                                                 SLICE_LITERAL("theirs"), &theirs)));
        struct buf last = {0}, verifier = {0};
        assert_true(err_is_ok(control_auth_client_prove(
            &client, buf_slice(&theirs), slice_string(right ? password : "wrong"), &last, &why)));
        err_t err = control_auth_finish(&exchange, buf_slice(&last), &verifier);
        assert_true(right ? err_is_ok(err) : err_is(err, ERR_PERMISSION));
        /* Without a right proof there is no verifier, and none is no success. */
        err = control_auth_client_check(&client, buf_slice(&verifier), &why);
        assert_true(right ? err_is_ok(err) : err_is(err, ERR_PERMISSION));
        control_auth_client_done(&client);
        control_auth_done(&exchange);
        buf_done(&ours);
        buf_done(&theirs);
        buf_done(&last);
        buf_done(&verifier);
    }
}

static void servers_that_ask_for_something_else_get_no_proof(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        enum err_code code;
        const char *words;
    } cases[] = {
        {"", ERR_SYNTAX, "none of SCRAM"},
        {"r=" OWN OTHER, ERR_SYNTAX, "none of SCRAM"},
        {"s=" SALT ",r=" OWN OTHER ",i=4096", ERR_SYNTAX, "none of SCRAM"},
        {"r=" OWN OTHER ",s=" SALT ",i=", ERR_SYNTAX, "none of SCRAM"},
        {"r=" OWN OTHER ",s=" SALT ",i=-1", ERR_SYNTAX, "none of SCRAM"},
        {"r=" OWN OTHER ",s=" SALT ",i=99999999999999999999", ERR_SYNTAX, "none of SCRAM"},
        {"r=" OWN ",s=" SALT ",i=4096", ERR_SYNTAX, "nonce"},
        {"r=x" OWN OTHER ",s=" SALT ",i=4096", ERR_SYNTAX, "nonce"},
        {"r=" OWN "\x01,s=" SALT ",i=4096", ERR_SYNTAX, "nonce"},
        {"r=" OWN OTHER ",s=,i=4096", ERR_SYNTAX, "salt"},
        {"r=" OWN OTHER ",s=?,i=4096", ERR_SYNTAX, "salt"},
        /* Cheap to guess from, and work without end. */
        {"r=" OWN OTHER ",s=" SALT ",i=0", ERR_SYNTAX, "none of SCRAM"},
        {"r=" OWN OTHER ",s=" SALT ",i=04096", ERR_SYNTAX, "none of SCRAM"},
        {"r=" OWN OTHER ",s=" SALT ",i=4095", ERR_UNSUPPORTED, "asks for 4095 rounds"},
        {"r=" OWN OTHER ",s=" SALT ",i=1000001", ERR_UNSUPPORTED, "4096 to 1000000"},
        {"m=x,r=" OWN OTHER ",s=" SALT ",i=4096", ERR_UNSUPPORTED, "extension"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct control_auth_client client;
        struct buf out = {0};
        struct err_text why = {0};
        begin(&client, CONTROL_AUTH_SHA256, "user", &out);
        buf_reset(&out);
        err_t err = control_auth_client_prove(&client, slice_string(cases[i].message),
                                              SLICE_LITERAL("pencil"), &out, &why);
        if (!err_is(err, cases[i].code) || !strstr(why.text, cases[i].words))
            fail_msg("%s: %s, %s", cases[i].message, err_name(err), why.text);
        assert_int_equal(out.size, 0);
        control_auth_client_done(&client);
        buf_done(&out);
    }
}

static void large_messages_are_refused(void **state)
{
    (void)state;
    static char salt[3000];
    struct control_auth_client client;
    struct buf out = {0}, message = {0};
    struct err_text why = {0};
    memset(salt, 'A', sizeof(salt) - 1);
    for (size_t more = 0; more < 2; more++) {
        begin(&client, CONTROL_AUTH_SHA512, "user", &out);
        buf_reset(&message);
        buf_add_format(&message, "r=%s,s=%s,i=4096%s%s", OWN OTHER, salt, more ? ",x=" : "",
                       more ? salt : "");
        buf_reset(&out);
        assert_true(err_is(control_auth_client_prove(&client, buf_slice(&message),
                                                     SLICE_LITERAL("pencil"), &out, &why),
                           ERR_SYNTAX));
        control_auth_client_done(&client);
    }
    buf_done(&message);
    buf_done(&out);
}

static void a_server_that_does_not_know_the_password_is_found_out(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "",
        "v=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==",
        "v=" PROOF,
        "x" VERIFIER,
        "e=other-error",
    };
    struct control_auth_client client;
    struct buf out = {0};
    struct err_text why = {0};
    begin(&client, CONTROL_AUTH_SHA256, "user", &out);
    assert_true(err_is_ok(control_auth_client_prove(&client, SLICE_LITERAL(FIRST),
                                                    SLICE_LITERAL("pencil"), &out, &why)));
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        assert_true(err_is(control_auth_client_check(&client, slice_string(messages[i]), &why),
                           ERR_PERMISSION));
    assert_string_equal(why.text, "the server says: other-error");
    control_auth_client_done(&client);
    buf_done(&out);
}

static void plain_is_what_our_server_reads(void **state)
{
    (void)state;
    struct buf out = {0};
    struct slice act_as, name, password;
    control_auth_add_plain(SLICE_LITERAL("mia"), SLICE_LITERAL("it is = a, secret"), &out);
    assert_true(err_is_ok(control_auth_read_plain(buf_slice(&out), &act_as, &name, &password)));
    assert_int_equal(act_as.size, 0);
    assert_slice(name, "mia");
    assert_slice(password, "it is = a, secret");
    buf_done(&out);
}

static void without_memory_there_is_no_proof(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (uint64_t n = 1; n < 12; n++) {
        struct control_auth_client client;
        struct buf out = {0};
        struct err_text why = {0};
        mem_fail_after(n);
        err_t err = control_auth_client_begin(&client, CONTROL_AUTH_SHA256, SLICE_LITERAL("user"),
                                              SLICE_LITERAL(OWN), &out);
        if (err_is_ok(err))
            err = control_auth_client_prove(&client, SLICE_LITERAL(FIRST), SLICE_LITERAL("pencil"),
                                            &out, &why);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        failed += !err_is_ok(err);
        control_auth_client_done(&client);
        buf_done(&out);
    }
    assert_in_range(failed, 3, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exchange_of_rfc_7677_is_followed),
        cmocka_unit_test(it_meets_our_server),
        cmocka_unit_test(servers_that_ask_for_something_else_get_no_proof),
        cmocka_unit_test(large_messages_are_refused),
        cmocka_unit_test(a_server_that_does_not_know_the_password_is_found_out),
        cmocka_unit_test(plain_is_what_our_server_reads),
        cmocka_unit_test(without_memory_there_is_no_proof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
