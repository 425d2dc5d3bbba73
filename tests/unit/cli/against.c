#include "cli/against.h"

#include "cli/check.h"
#include "format/json/json.h"
#include "unit/cli/peer.h"
#include "unit/control/world.h"

/* The contracts that are checked: t.yaml beside what each test compares with. */
static void world_of(struct world *w)
{
    world_init(w);
    world_put(w, "garner.yaml", "contracts: [ mine/*.yaml ]\n");
    world_put(w, "mine/a.yaml", "topic: a\npartitions: 2\n");
    world_put(w, "mine/b.yaml", "topic: b\nretention: { time: 1d }\nkey: \"x\\ny\"\n");
    world_put(w, "mine/c.yaml", "topic: c\n");
}

/* Loads what stands at `where` and checks against it. */
static void check(struct world *w, const char *where, bool json, int code, const char *out,
                  const char *messages)
{
    struct buf printed = {0};
    struct buf said = {0};
    struct control_catalog *other = NULL;
    int found = cli_against_load(&w->host, where, &other, &said);
    assert_int_equal(found == CLI_OK, other != NULL);
    if (other)
        found = cli_check_run(&w->host, "garner.yaml", &(struct cli_check_how){json, where, other},
                              &printed, &said);
    buf_add_byte(&printed, '\0');
    buf_add_byte(&said, '\0');
    assert_string_equal((char *)said.data, messages);
    assert_int_equal(found, code);
    const char *text = strstr((char *)printed.data, json ? "\"against\"" : "  against ");
    assert_string_equal(text ? text : "", out);
    control_catalog_free(&other);
    buf_done(&printed);
    buf_done(&said);
}

static void theirs(struct world *w, const char *directory)
{
    static char names[3][64];
    static const char *const texts[] = {"topic: a\n", "topic: b\n", "topic: d\n"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(names[i], sizeof(names[i]), "%s/%zu.yaml", directory, i);
        world_put(w, names[i], texts[i]);
    }
}

#define LINES                                                                                      \
    "    a: changes partitions from 1 to 2; for every request from then on\n"                      \
    "    b: changes key from null to \"x\\ny\", retention.time from \"7d\" to \"1d\"; for every "  \
    "request from then on\n"                                                                       \
    "    c: is added: topic and DLQ are made, or go on where they stand\n"                         \
    "    d: goes: it keeps what it holds and takes nothing more (404)\n"

static void a_line_a_topic_says_what_a_reload_would_do(void **state)
{
    (void)state;
    struct world w;
    world_of(&w);
    theirs(&w, "theirs");
    check(&w, "theirs", false, CLI_OK, "  against     theirs: a reload would take it\n" LINES, "");
    check(&w, "mine", false, CLI_OK,
          "  against     mine: a reload would take it\n"
          "    a: stays as it is\n    b: stays as it is\n    c: stays as it is\n",
          "");
    world_done(&w);
}

static void the_same_as_json(void **state)
{
    (void)state;
    struct world w;
    world_of(&w);
    theirs(&w, "theirs");
    check(&w, "theirs", true, CLI_OK,
          "\"against\":{\"with\":\"theirs\",\"topics\":[{\"name\":\"a\",\"change\":\"changed\","
          "\"fields\":[{\"field\":\"partitions\",\"from\":1,\"to\":2}]},"
          "{\"name\":\"b\",\"change\":\"changed\",\"fields\":["
          "{\"field\":\"key\",\"from\":null,\"to\":\"x\\ny\"},"
          "{\"field\":\"retention.time\",\"from\":\"7d\",\"to\":\"1d\"}]},"
          "{\"name\":\"c\",\"change\":\"added\",\"fields\":[]},"
          "{\"name\":\"d\",\"change\":\"removed\",\"fields\":[]}]}}\n",
          "");
    world_done(&w);
}

static void a_configuration_names_contracts_too(void **state)
{
    (void)state;
    struct world w;
    world_of(&w);
    theirs(&w, "other/contracts");
    world_put(&w, "other/garner.yaml", "data_dir: ./elsewhere\n");
    const char *out = "  against     other: a reload would take it\n" LINES;
    check(&w, "other", false, CLI_OK, out, "");
    check(&w, "other/garner.yaml", false, CLI_OK,
          "  against     other/garner.yaml: a reload would take it\n" LINES, "");
    world_done(&w);
}

static void what_a_reload_would_refuse_is_a_mistake(void **state)
{
    (void)state;
    struct world w;
    world_of(&w);
    world_put(&w, "mine/a.yaml",
              "topic: a\nschema: { type: jsonschema, file: s.json }\ndedup: id\n");
    world_put(&w, "mine/s.json", "{\"properties\":{\"n\":{\"type\":\"integer\"}}}");
    world_put(&w, "theirs/a.yaml",
              "topic: a\npartitions: 4\nschema: { type: jsonschema, file: s.json }\n");
    world_put(&w, "theirs/s.json", "{\"properties\":{\"n\":{\"type\":\"number\"}}}");
    const char *errors =
        "mine/a.yaml:1:8: partitions: topic a has 4 partitions and cannot be lowered to 1, their "
        "records would be lost; expected at least 4\n"
        "mine/a.yaml:1:8: dedup: dedup of topic a has changed, which needs a restart\n"
        "mine/a.yaml:1:8: schema: topic a: not BACKWARD: #/properties/n/type: TYPE_NARROWED: fewer "
        "types are allowed\n";
    check(&w, "theirs", false, CLI_CONFIG, "", errors);
    check(&w, "theirs", true, CLI_CONFIG, "", errors);
    /* And the other way round the rule that it is under is told. */
    world_put(&w, "garner.yaml", "contracts: [ theirs/*.yaml ]\n");
    world_put(&w, "mine/a.yaml",
              "topic: a\npartitions: 4\nschema: { type: jsonschema, file: s.json }\n");
    world_put(&w, "mine/b.yaml", "topic: b\n");
    check(&w, "mine", false, CLI_OK,
          "  against     mine: a reload would take it\n"
          "    a: changes schema under BACKWARD; for every request from then on\n"
          "    b: goes: it keeps what it holds and takes nothing more (404)\n"
          "    c: goes: it keeps what it holds and takes nothing more (404)\n",
          "");
    world_done(&w);
}

static void where_there_are_no_contracts_there_is_nothing_to_compare_with(void **state)
{
    (void)state;
    struct world w;
    world_of(&w);
    world_put(&w, "bare/readme.txt", "x");
    check(&w, "bare", false, CLI_CONFIG, "",
          "bare:1:1: (root): expected a directory with garner.yaml or with contracts (*.yaml), "
          "there is neither\n"
          "garner check: --against bare: there is nothing to compare with\n");
    world_put(&w, "wrong/a.yaml", "topik: a\n");
    check(&w, "wrong", false, CLI_CONFIG, "",
          "wrong/a.yaml:1:1: topic: expected text, the field is required\n"
          "wrong/a.yaml:1:1: topik: unknown field 'topik', did you mean 'topic'?\n"
          "garner check: --against wrong: there is nothing to compare with\n");
    world_fail(&w, "bare", ERR_IO);
    struct buf said = {0};
    struct control_catalog *other = NULL;
    assert_int_equal(cli_against_load(&w.host, "bare", &other, &said), CLI_CONFIG);
    buf_done(&said);
    world_done(&w);
}

static void what_is_neither_a_place_nor_an_address_is_told(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",          "nowhere", "https://127.0.0.1:1",
                                        "127.0.0.1", "http://", "http://example.com:80/x"};
    struct world w;
    world_of(&w);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char said[256];
        snprintf(said, sizeof(said),
                 "garner check: --against %s: expected a directory, a configuration, or the admin "
                 "door of a server such as http://127.0.0.1:9600\n",
                 wrong[i]);
        check(&w, wrong[i], false, CLI_USAGE, "", said);
    }
    world_done(&w);
}

static void answer_with(struct peer *peer, struct net_http_request *request, struct slice body)
{
    (void)body;
    peer_reply(request, 200, slice_string(peer->context));
}

static void a_server_is_asked_for_what_is_in_force(void **state)
{
    (void)state;
    char answer[] = "{\"contracts\":[{\"contract\":{\"topic\":\"a\"}},"
                    "{\"contract\":{\"topic\":\"b\"}},{\"contract\":{\"topic\":\"d\"}}]}\n";
    struct peer peer = {.answer = answer_with, .context = answer};
    struct world w;
    world_of(&w);
    peer_begin(&peer);
    char out[1024];
    snprintf(out, sizeof(out), "  against     %s: a reload would take it\n" LINES, peer.address);
    check(&w, peer.address, false, CLI_OK, out, "");
    char url[80];
    snprintf(url, sizeof(url), "http://%s/", peer.address);
    snprintf(out, sizeof(out), "  against     %s: a reload would take it\n" LINES, url);
    check(&w, url, false, CLI_OK, out, "");
    peer_end(&peer);
    assert_string_equal(peer.target, "/v1/contracts");
    char said[256];
    snprintf(said, sizeof(said),
             "garner check: --against %s: no answer from %s: the connection was refused\n",
             peer.address, peer.address);
    check(&w, peer.address, false, CLI_UNAVAILABLE, "", said);
    world_done(&w);
}

static void read_answer(int status, const char *body, int code, const char *said)
{
    struct buf messages = {0};
    struct control_catalog *catalog = NULL;
    assert_int_equal(cli_against_read("h:1", status, slice_string(body), &catalog, &messages),
                     code);
    assert_null(catalog);
    assert_slice(buf_slice(&messages), said);
    buf_done(&messages);
}

static void what_is_no_garner_is_told(void **state)
{
    (void)state;
    read_answer(404, "{}", CLI_UNAVAILABLE,
                "garner check: --against h:1: answered 404 to /v1/contracts; is it the admin door "
                "of a garner that knows it?\n");
    read_answer(200, "<html>", CLI_UNAVAILABLE,
                "garner check: --against h:1: answers, but not with contracts that this version "
                "can read: it cannot be read as JSON\n");
    read_answer(200, "{\"contracts\":[{\"contract\":{\"topic\":\"a\",\"partitions\":0}}]}",
                CLI_UNAVAILABLE,
                "garner check: --against h:1: answers, but not with contracts that this version "
                "can read: partitions: expected a whole number from 1 to 10000\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_a_topic_says_what_a_reload_would_do),
        cmocka_unit_test(the_same_as_json),
        cmocka_unit_test(a_configuration_names_contracts_too),
        cmocka_unit_test(what_a_reload_would_refuse_is_a_mistake),
        cmocka_unit_test(where_there_are_no_contracts_there_is_nothing_to_compare_with),
        cmocka_unit_test(what_is_neither_a_place_nor_an_address_is_told),
        cmocka_unit_test(a_server_is_asked_for_what_is_in_force),
        cmocka_unit_test(what_is_no_garner_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
