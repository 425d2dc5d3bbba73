#include "cli/access.h"

#include "base/alloc.h"
#include "unit/cli/capture.h"
#include "unit/net/fake_tcp.h"

struct flags {
    uint32_t before;
    struct cli_access_flags access;
};

static const struct option options[] = {
    {.name = "before", .type = OPTION_U32, .offset = offsetof(struct flags, before)},
    CLI_ACCESS_OPTIONS(struct flags, access),
    {0},
};

static const struct cli_command command = {
    .name = "try", .summary = "", .arguments = "", .text = "", .options = options};

static const char *with_password(const char *name)
{
    return strcmp(name, "GARNER_PASSWORD") == 0 ? "secret" : NULL;
}

static const char *with_an_empty_one(const char *name)
{
    (void)name;
    return "";
}

/* The command line for a broker at `address`; what was said is in `c`. */
static int take(struct capture *c, const char *address, const char *(*env)(const char *name),
                const char *const *words, struct cli_access *out)
{
    char *argv[16] = {(char *)(uintptr_t) "try"};
    int argc = 1;
    struct cli cli = capture_cli();
    struct flags flags;
    struct cli_words rest;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    cli.env = env;
    capture_begin(c, 2);
    int code = cli_parse(&command, argc, argv, &flags, &rest);
    if (code < 0) {
        cli_words_done(&rest);
        code = cli_access_take(&cli, &command, &flags.access, address, out);
    }
    capture_end(c);
    return code;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_WORDS ((const char *const[]){NULL})

static void nothing_is_asked_for_where_no_flag_is_given(void **state)
{
    (void)state;
    struct capture c;
    struct cli_access access;
    struct fake_loop *fake = fake_loop_new();
    assert_int_equal(take(&c, "10.0.0.1:9092", with_password, NO_WORDS, &access), -1);
    assert_null(access.user);
    assert_null(access.trust);
    /* A password that lies about is nobody's. */
    assert_int_equal(access.password.size, 0);
    assert_true(err_is_ok(cli_access_begin(&access, &fake->loop)));
    assert_ptr_equal(cli_access_loop(&access, &fake->loop), &fake->loop);
    cli_access_done(&access);
    fake_loop_free(fake);
}

static void a_user_has_a_password_from_the_environment_or_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/garner-access-XXXXXX";
    struct capture c;
    struct cli_access access;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(take(&c, "10.0.0.1:9092", with_password, WORDS("--user", "mia"), &access), -1);
    assert_string_equal(access.user, "mia");
    assert_slice(buf_slice(&access.password), "secret");
    assert_string_equal(cli_access_mechanisms[access.mechanism], "SCRAM-SHA-512");
    cli_access_done(&access);
    /* The file comes first: it was named. */
    assert_int_equal(write(fd, "other one\r\nmore\n", 16), 16);
    assert_int_equal(
        take(&c, "10.0.0.1:9092", with_password,
             WORDS("--user", "mia", "--password-file", path, "--sasl", "SCRAM-SHA-256"), &access),
        -1);
    assert_slice(buf_slice(&access.password), "other one");
    assert_string_equal(cli_access_mechanisms[access.mechanism], "SCRAM-SHA-256");
    cli_access_done(&access);
    close(fd);
    assert_int_equal(unlink(path), 0);
}

static void what_is_wrong_is_told_before_anything_is_sent(void **state)
{
    (void)state;
    static char long_name[300];
    memset(long_name, 'x', sizeof(long_name) - 1);
    const struct {
        const char *const *words;
        const char *(*env)(const char *name);
        const char *said;
    } cases[] = {
        {WORDS("--user", "mia"), no_env, "GARNER_PASSWORD"},
        {WORDS("--user", "mia"), with_an_empty_one, "--password-file"},
        {WORDS("--user", "mia", "--password-file", "/nonexistent"), no_env, "cannot be read"},
        {WORDS("--user", "mia", "--password-file", "/dev/null"), no_env, "1 to 1024 bytes"},
        {WORDS("--user", long_name), with_password, "--user: expected a name of 1 to 249"},
        {WORDS("--password-file", "/dev/null"), no_env, "go with --user"},
        {WORDS("--sasl", "PLAIN"), no_env, "go with --user"},
        {WORDS("--sasl", "GSSAPI", "--user", "mia"), with_password, "SCRAM-SHA-512"},
        {WORDS("--server-name", "x"), no_env, "--server-name goes with --tls"},
        {WORDS("--cacert", "/nonexistent"), no_env, "--cacert: /nonexistent"},
        {WORDS("--cacert", "/dev/null"), no_env, "expected certificates in PEM"},
        /* Where others could read it. */
        {WORDS("--user", "mia", "--sasl", "PLAIN"), with_password, "give --tls, or another"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct capture c;
        struct cli_access access = {0};
        int code = take(&c, "10.0.0.1:9092", cases[i].env, cases[i].words, &access);
        if (code != CLI_USAGE || !strstr(c.text, cases[i].said))
            fail_msg("%d, '%s' does not say '%s'", code, c.text, cases[i].said);
        assert_null(strstr(c.text, "secret"));
        cli_access_done(&access);
    }
}

static void plain_goes_to_this_machine_and_over_tls(void **state)
{
    (void)state;
    static const char *const near[] = {"127.0.0.1:9092", "localhost:9092", "[::1]:9092"};
    /* What is not written as this machine is may be another, whatever a resolver says. */
    static const char *const far[] = {"10.0.0.1:9092", "[2001:db8::1]:9092", "LOCALHOST:9092"};
    struct capture c;
    struct cli_access access;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            take(&c, near[i], with_password, WORDS("--user", "mia", "--sasl", "PLAIN"), &access),
            -1);
        cli_access_done(&access);
        assert_int_equal(
            take(&c, far[i], with_password, WORDS("--user", "mia", "--sasl", "PLAIN"), &access),
            CLI_USAGE);
        cli_access_done(&access);
        assert_int_equal(take(&c, far[i], with_password,
                              WORDS("--user", "mia", "--sasl", "PLAIN", "--tls"), &access),
                         -1);
        assert_non_null(access.trust);
        cli_access_done(&access);
    }
}

static void with_tls_there_is_another_loop_to_connect_from(void **state)
{
    (void)state;
    struct capture c;
    struct cli_access access;
    struct fake_loop *fake = fake_loop_new();
    assert_int_equal(
        take(&c, "10.0.0.1:9092", no_env, WORDS("--tls", "--server-name", "x.test"), &access), -1);
    mem_fail_after(1);
    assert_true(err_is(cli_access_begin(&access, &fake->loop), ERR_MEMORY));
    mem_fail_after(0);
    assert_true(err_is_ok(cli_access_begin(&access, &fake->loop)));
    struct io_loop *loop = cli_access_loop(&access, &fake->loop);
    assert_ptr_not_equal(loop, &fake->loop);
    assert_ptr_equal(loop, net_tls_loop_io(access.tls));
    cli_access_done(&access);
    assert_null(access.tls);
    cli_access_done(&access);
    fake_loop_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_for_where_no_flag_is_given),
        cmocka_unit_test(a_user_has_a_password_from_the_environment_or_a_file),
        cmocka_unit_test(what_is_wrong_is_told_before_anything_is_sent),
        cmocka_unit_test(plain_goes_to_this_machine_and_over_tls),
        cmocka_unit_test(with_tls_there_is_another_loop_to_connect_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
