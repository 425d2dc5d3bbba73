#include "cli/user.h"

#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "lib/unit.h"

static void names_are_escaped_in_the_target(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"mia", "/v1/users/mia"},
                                           {"a/b c", "/v1/users/a%2Fb%20c"},
                                           {"..", "/v1/users/%2E%2E"},
                                           {"CN=x,O=\xc3\xa9", "/v1/users/CN%3Dx%2CO%3D%C3%A9"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buf out = {0};
        cli_user_target(pairs[i][0], &out);
        assert_slice(buf_slice(&out), pairs[i][1]);
        buf_done(&out);
    }
}

static void names_are_listed_a_line_each(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(err_is_ok(cli_user_print(
        SLICE_LITERAL("{\"users\":[{\"name\":\"mia\"},{\"name\":\"a\\\"b\",\"x\":1}]}"), &out)));
    assert_slice(buf_slice(&out), "mia\na\"b\n");
    buf_reset(&out);
    assert_true(err_is_ok(cli_user_print(SLICE_LITERAL("{\"users\":[]}"), &out)));
    assert_int_equal(out.size, 0);
    static const char *const others[] = {"", "[]", "{}", "{\"users\":7}",
                                         "{\"users\":[{\"name\":\"mia\"},{\"name\":7}]}"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_true(err_is(cli_user_print(slice_string(others[i]), &out), ERR_SYNTAX));
        assert_int_equal(out.size, 0);
    }
    buf_done(&out);
}

static err_t read_password(const char *text, size_t size, struct buf *out)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    rewind(file);
    err_t err = cli_user_read_password(file, out);
    fclose(file);
    return err;
}

static void a_password_is_the_first_line(void **state)
{
    (void)state;
    static const char *const texts[] = {"secret", "secret\n", "secret\r\n", "secret\nother\n"};
    struct buf out;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(err_is_ok(read_password(texts[i], strlen(texts[i]), &out)));
        assert_slice(buf_slice(&out), "secret");
        buf_done(&out);
    }
    assert_true(err_is_ok(read_password("  a b\t\n", 7, &out)));
    assert_slice(buf_slice(&out), "  a b\t");
    buf_done(&out);
}

static void what_is_no_password_is_refused(void **state)
{
    (void)state;
    struct buf out;
    char text[2000];
    memset(text, 'x', sizeof(text));
    assert_true(err_is(read_password("", 0, &out), ERR_INVALID));
    buf_done(&out);
    assert_true(err_is(read_password("\nsecret\n", 8, &out), ERR_INVALID));
    buf_done(&out);
    assert_true(err_is(read_password("a\0b\n", 4, &out), ERR_INVALID));
    buf_done(&out);
    assert_true(err_is_ok(read_password(text, 1024, &out)));
    buf_done(&out);
    assert_true(err_is(read_password(text, 1025, &out), ERR_INVALID));
    buf_done(&out);
    assert_true(err_is(read_password(text, sizeof(text), &out), ERR_INVALID));
    buf_done(&out);
    mem_fail_after(1);
    assert_true(err_is(read_password("secret", 6, &out), ERR_MEMORY));
    mem_fail_after(0);
    buf_done(&out);
}

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

static void words_that_mean_nothing_are_a_usage_error(void **state)
{
    (void)state;
    static const char *const lines[][4] = {{"user"},
                                           {"user", "add"},
                                           {"user", "list", "mia"},
                                           {"user", "change", "mia"},
                                           {"user", "remove", "a\nb"},
                                           {"user", "list", "--password-file=x"},
                                           {"user", "add", "mia", "--password-file=/none/there"}};
    struct cli cli = {.env = no_env};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char *argv[5] = {0};
        int argc = 0;
        for (; argc < 4 && lines[i][argc]; argc++)
            argv[argc] = (char *)(uintptr_t)lines[i][argc];
        assert_int_equal(cli_user(&cli, argc, argv), CLI_USAGE);
    }
    /* Nobody listens on the port of the discard service. */
    char *argv[] = {(char[]){"user"}, (char[]){"list"}, (char[]){"--server=127.0.0.1:9"}, NULL};
    assert_int_equal(cli_user(&cli, 3, argv), CLI_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_escaped_in_the_target),
        cmocka_unit_test(names_are_listed_a_line_each),
        cmocka_unit_test(a_password_is_the_first_line),
        cmocka_unit_test(what_is_no_password_is_refused),
        cmocka_unit_test(words_that_mean_nothing_are_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
