#include "cli/user.h"

#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "unit/cli/capture.h"
#include "unit/cli/peer.h"

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

/* What the peer answers with, by its context. */
struct reply {
    int status;
    const char *body;
};

static void answer_reply(struct peer *peer, struct net_http_request *request, struct slice body)
{
    (void)body;
    const struct reply *reply = peer->context;
    peer_reply(request, reply->status, slice_string(reply->body));
}

/* Runs `garner user VERB [NAME] [--json]`; what is on `stream` is in `seen`. */
static int run_against(struct reply reply, const char *verb, const char *name, const char *json,
                       struct capture *seen, int stream)
{
    struct peer peer = {.answer = answer_reply, .context = &reply};
    struct cli cli = capture_cli();
    const char *words[] = {"user", "--server", peer.address, verb, name, json, NULL};
    peer_begin(&peer);
    int code = capture_run(seen, stream, cli_user, &cli, words);
    peer_end(&peer);
    return code;
}

static void an_answer_is_shown_when_it_is_garners(void **state)
{
    (void)state;
    struct capture seen;
    struct reply list = {200, "{\"users\":[{\"name\":\"mia\"}]}\n"};
    assert_int_equal(run_against(list, "list", NULL, NULL, &seen, 1), CLI_OK);
    assert_string_equal(seen.text, "mia\n");
    assert_int_equal(run_against(list, "list", "--json", NULL, &seen, 1), CLI_OK);
    assert_string_equal(seen.text, list.body);
    struct reply removed = {200, "{\"removed\":\"mia\"}\n"};
    assert_int_equal(run_against(removed, "remove", "mia", NULL, &seen, 1), CLI_OK);
    assert_string_equal(seen.text, "");
    assert_int_equal(run_against(removed, "remove", "mia", "--json", &seen, 1), CLI_OK);
    assert_string_equal(seen.text, removed.body);
}

/* As all commands of the admin door, and also where success is silent. */
static void somebody_else_is_no_server(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {200, "<html>"}, {200, "{}"}, {200, "{\"removed\":[]}"}, {404, "nothing"}};
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        struct capture seen;
        assert_int_equal(run_against(replies[i], "list", NULL, NULL, &seen, 2), CLI_UNAVAILABLE);
        assert_int_equal(run_against(replies[i], "list", "--json", NULL, &seen, 1),
                         CLI_UNAVAILABLE);
        assert_string_equal(seen.text, "");
        assert_int_equal(run_against(replies[i], "remove", "mia", NULL, &seen, 2), CLI_UNAVAILABLE);
        assert_non_null(strstr(seen.text, i < 3 ? "is it the admin door" : " answered 404"));
    }
    struct reply refused = {404, "{\"error\":\"unknown_user\",\"detail\":\"no user mia\"}"};
    struct capture seen;
    assert_int_equal(run_against(refused, "remove", "mia", NULL, &seen, 2), CLI_FAILED);
    assert_string_equal(seen.text, "garner user: no user mia\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_escaped_in_the_target),
        cmocka_unit_test(names_are_listed_a_line_each),
        cmocka_unit_test(a_password_is_the_first_line),
        cmocka_unit_test(what_is_no_password_is_refused),
        cmocka_unit_test(words_that_mean_nothing_are_a_usage_error),
        cmocka_unit_test(an_answer_is_shown_when_it_is_garners),
        cmocka_unit_test(somebody_else_is_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
