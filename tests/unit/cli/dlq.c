#include "cli/dlq.h"

#include "unit/cli/capture.h"
#include "unit/cli/peer.h"

#define STATE(phase, done)                                                                         \
    "{\"number\":3,\"action\":\"redrive\",\"dry_run\":false,\"phase\":\"" phase                    \
    "\",\"why\":\"\",\"offsets\":2,\"offsets_passed\":1,\"done\":" done ",\"bytes\":1,"            \
    "\"skipped_attempts\":0,\"skipped_sink\":0,\"outcomes\":[{\"name\":\"accepted\","              \
    "\"count\":" done ",\"bytes\":1}]}"

/* The answers of the peer, one a request; the last one stays. */
struct script {
    struct {
        int status;
        const char *body;
    } replies[4];
    char targets[8][256];
};

static void answer_script(struct peer *peer, struct net_http_request *request, struct slice body)
{
    struct script *script = peer->context;
    unsigned i = peer->requests - 1;
    (void)body;
    if (i < 8)
        memcpy(script->targets[i], peer->target, sizeof peer->target);
    while (i > 0 && (i >= 4 || !script->replies[i].body))
        i--;
    peer_reply(request, script->replies[i].status, slice_string(script->replies[i].body));
}

/* Runs `garner dlq WORDS`; what is on `stream` is in `seen`. */
static int run_script(struct script *script, const char *const *words, struct capture *seen,
                      int stream)
{
    struct cli cli = capture_cli();
    struct peer peer = {.answer = answer_script, .context = script};
    const char *line[20] = {"dlq", "--server", peer.address};
    for (size_t i = 0; words[i]; i++)
        line[3 + i] = words[i];
    peer_begin(&peer);
    int code = capture_run(seen, stream, cli_dlq, &cli, line);
    peer_end(&peer);
    return code;
}

static void a_redrive_is_watched_to_its_end(void **state)
{
    (void)state;
    struct capture seen;
    struct script script = {.replies = {{202, STATE("running", "0")},
                                        {200, STATE("waiting", "1")},
                                        {200, STATE("finished", "2")}}};
    const char *const words[] = {"redrive", "events", "--reason",       "a b", "--rate",  "10/s",
                                 "--limit", "2",      "--max-attempts", "7",   "--since", "2h",
                                 NULL};
    assert_int_equal(run_script(&script, words, &seen, 1), CLI_OK);
    assert_string_equal(script.targets[0], "/v1/dlq/events/redrive?reason=a%20b&since=2h&limit=2&"
                                           "rate=10&max_attempts=7");
    assert_string_equal(script.targets[1], "/v1/dlq/events/redrive");
    assert_non_null(strstr(seen.text, "2 dead letters of events redriven"));
    const char *const json[] = {"redrive", "events", "--json", NULL};
    script = (struct script){.replies = {{202, STATE("finished", "2") "\n"}}};
    assert_int_equal(run_script(&script, json, &seen, 1), CLI_OK);
    assert_string_equal(seen.text, STATE("finished", "2") "\n");
}

static void what_was_not_all_accepted_is_no_success(void **state)
{
    (void)state;
    struct capture seen;
    const char *const words[] = {"redrive", "events", NULL};
    struct script script = {.replies = {{202, STATE("cancelled", "1")}}};
    assert_int_equal(run_script(&script, words, &seen, 1), CLI_FAILED);
    assert_non_null(strstr(seen.text, "not finished"));
    script = (struct script){
        .replies = {{202, "{\"number\":1,\"action\":\"redrive\",\"phase\":\"finished\",\"done\":2,"
                          "\"outcomes\":[{\"name\":\"json\",\"count\":2}]}"}}};
    assert_int_equal(run_script(&script, words, &seen, 1), CLI_FAILED);
    script = (struct script){
        .replies = {{409, "{\"error\":\"running\",\"detail\":\"one is running\"}"}}};
    assert_int_equal(run_script(&script, words, &seen, 2), CLI_FAILED);
    assert_non_null(strstr(seen.text, "one is running"));
    /* The server was restarted, and another one runs. */
    script = (struct script){.replies = {{202, STATE("running", "1")},
                                         {200, "{\"number\":4,\"phase\":\"running\","
                                               "\"outcomes\":[]}"}}};
    assert_int_equal(run_script(&script, words, &seen, 2), CLI_FAILED);
    assert_non_null(strstr(seen.text, "another one"));
}

static void purging_wants_to_be_confirmed(void **state)
{
    (void)state;
    struct capture seen;
    struct script script = {.replies = {{202, STATE("finished", "2")}}};
    const char *const no[] = {"purge", "events", NULL};
    const char *const yes[] = {"purge", "events", "--yes", NULL};
    const char *const dry[] = {"purge", "events", "--dry-run", NULL};
    assert_int_equal(run_script(&script, no, &seen, 2), CLI_USAGE);
    assert_non_null(strstr(seen.text, "--yes"));
    assert_string_equal(script.targets[0], "");
    assert_int_equal(run_script(&script, yes, &seen, 1), CLI_OK);
    assert_string_equal(script.targets[0], "/v1/dlq/events/purge");
    assert_int_equal(run_script(&script, dry, &seen, 1), CLI_OK);
    assert_string_equal(script.targets[0], "/v1/dlq/events/purge?dry_run=true");
}

static void letters_come_page_by_page(void **state)
{
    (void)state;
    struct capture seen;
    struct script script = {
        .replies = {{200, "{\"letters\":[{\"offset\":1}],\"next_offset\":2,\"complete\":false}"},
                    {200, "{\"letters\":[{\"offset\":5}],\"next_offset\":6,\"complete\":true}"}}};
    const char *const words[] = {"show", "events", "--json", "--key", "k", NULL};
    assert_int_equal(run_script(&script, words, &seen, 1), CLI_OK);
    assert_string_equal(seen.text, "{\"offset\":1}\n{\"offset\":5}\n");
    assert_string_equal(script.targets[0], "/v1/dlq/events?key=k&limit=20");
    assert_string_equal(script.targets[1], "/v1/dlq/events?key=k&limit=19&offset=2");
    /* A server that does not go on is not asked for ever. */
    script = (struct script){
        .replies = {{200, "{\"letters\":[],\"next_offset\":0,\"complete\":false}"}}};
    assert_int_equal(run_script(&script, words, &seen, 1), CLI_OK);
    assert_string_equal(script.targets[1], "");
}

static void the_list_is_one_request(void **state)
{
    (void)state;
    struct capture seen;
    struct script script = {.replies = {{200, "{\"topics\":[{\"topic\":\"events\",\"held\":4}]}"}}};
    const char *const words[] = {"list", NULL};
    assert_int_equal(run_script(&script, words, &seen, 1), CLI_OK);
    assert_string_equal(script.targets[0], "/v1/dlq");
    assert_non_null(strstr(seen.text, "events"));
    script.replies[0].body = "{}";
    assert_int_equal(run_script(&script, words, &seen, 2), CLI_UNAVAILABLE);
    assert_non_null(strstr(seen.text, "is it the admin door"));
}

static void wrong_words_send_nothing(void **state)
{
    (void)state;
    static const char *const wrong[][6] = {
        {"mend", NULL},
        {"list", "events", NULL},
        {"show", NULL},
        {"show", "a/b", NULL},
        {"show", "events", "--yes", NULL},
        {"show", "events", "--dry-run", NULL},
        {"list", "--limit", "3", NULL},
        {"purge", "events", "--rate", "3", NULL},
        {"redrive", "events", "--rate", "3/m", NULL},
        {"redrive", "events", "--rate", "0", NULL},
        {"redrive", "events", "--rate", "-1/s", NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct capture seen;
        struct script script = {.replies = {{500, "{}"}}};
        assert_int_equal(run_script(&script, wrong[i], &seen, 2), CLI_USAGE);
        assert_string_equal(script.targets[0], "");
        assert_true(seen.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redrive_is_watched_to_its_end),
        cmocka_unit_test(what_was_not_all_accepted_is_no_success),
        cmocka_unit_test(purging_wants_to_be_confirmed),
        cmocka_unit_test(letters_come_page_by_page),
        cmocka_unit_test(the_list_is_one_request),
        cmocka_unit_test(wrong_words_send_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
