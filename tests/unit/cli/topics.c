#include "cli/topics.h"

#include "base/alloc.h"
#include "unit/cli/capture.h"
#include "unit/cli/peer.h"

#define FLIGHTS                                                                                    \
    "{\"name\":\"flights\",\"uuid\":\"01234567-89ab-4def-8123-010203040506\",\"contract\":true,"   \
    "\"dlq_of\":null,\"dlq\":\"flights.dlq\",\"partition_count\":2,\"offsets\":20,"                \
    "\"sealed_bytes\":1048576,\"wal_bytes\":512,\"retention_ms\":604800000,"                       \
    "\"retention_bytes\":1073741824,\"expire_undelivered\":true,\"compression\":\"zstd\","         \
    "\"batch_bytes\":2097152,\"partitions\":[{\"partition\":0,\"start_offset\":0,\"end_offset\":"  \
    "10},"                                                                                         \
    "{\"partition\":1,\"start_offset\":90,\"end_offset\":100}]}"
#define DLQ                                                                                        \
    "{\"name\":\"flights.dlq\",\"uuid\":\"01234567-89ab-4def-8123-010203040507\","                 \
    "\"contract\":false,\"dlq_of\":\"flights\",\"dlq\":null,\"partition_count\":0,\"offsets\":0,"  \
    "\"sealed_bytes\":0,\"wal_bytes\":0,\"retention_ms\":0,\"retention_bytes\":0,"                 \
    "\"compression\":\"none\",\"partitions\":[]}"

static const char list_text[] =
    "topic        partitions  offsets     size    retention  compression\n"
    "flights               2       20  1.0 MiB  7d, 1.0 GiB         zstd\n"
    "flights.dlq           0        0      0 B     for ever         none\n";

static void topics_are_a_row_each(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(err_is_ok(
        cli_topics_print(slice_string("{\"topics\":[\n" FLIGHTS ",\n" DLQ "\n]}\n"), &out)));
    assert_slice(buf_slice(&out), list_text);
    buf_reset(&out);
    assert_true(err_is_ok(cli_topics_print(SLICE_LITERAL("{\"topics\":[]}"), &out)));
    assert_slice(buf_slice(&out), "topic\n");
    buf_done(&out);
}

static void a_topic_is_described_with_its_partitions(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(err_is_ok(cli_topics_print_one(slice_string(FLIGHTS "\n"), &out)));
    assert_slice(buf_slice(&out), "topic        flights\n"
                                  "uuid         01234567-89ab-4def-8123-010203040506\n"
                                  "contract     yes\n"
                                  "dead letters flights.dlq\n"
                                  "offsets      20\n"
                                  "size         1.0 MiB, 512 B of it not sealed yet\n"
                                  "retention    7d, 1.0 GiB\n"
                                  "compression  zstd\n"
                                  "batch size   2.0 MiB\n"
                                  "\n"
                                  "partition  start_offset  end_offset\n"
                                  "0                     0          10\n"
                                  "1                    90         100\n");
    buf_reset(&out);
    assert_true(err_is_ok(cli_topics_print_one(slice_string(DLQ), &out)));
    assert_slice(buf_slice(&out), "topic        flights.dlq\n"
                                  "uuid         01234567-89ab-4def-8123-010203040507\n"
                                  "contract     no\n"
                                  "of topic     flights\n"
                                  "offsets      0\n"
                                  "size         0 B, 0 B of it not sealed yet\n"
                                  "retention    for ever\n"
                                  "compression  none\n");
    buf_done(&out);
}

static void what_a_server_of_another_version_leaves_out_is_a_dash(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(err_is_ok(cli_topics_print(
        SLICE_LITERAL("{\"topics\":[{\"name\":\"a\",\"retention_ms\":90000,\"new\":[1]}]}"),
        &out)));
    assert_slice(buf_slice(&out), "topic  partitions  offsets  size  retention  compression\n"
                                  "a               -        -   0 B        90s            -\n");
    buf_done(&out);
}

static void what_are_no_topics_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "<html>",
        "{}",
        "{\"topics\":{}}",
        "{\"topics\":[{}]}",
        "{\"topics\":[7]}",
        "{\"topics\":[{\"name\":1}]}",
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_true(err_is(cli_topics_print(slice_string(wrong[i]), &out), ERR_SYNTAX));
        assert_true(err_is(cli_topics_print_one(slice_string(wrong[i]), &out), ERR_SYNTAX));
        assert_int_equal(out.size, 0);
    }
    buf_done(&out);
}

static void without_memory_nothing_is_half_printed(void **state)
{
    (void)state;
    err_t (*const prints[])(struct slice, struct buf *) = {cli_topics_print, cli_topics_print_one};
    const char *const texts[] = {"{\"topics\":[" FLIGHTS "]}", FLIGHTS};
    for (size_t i = 0; i < 2; i++) {
        err_t err = err_make(ERR_MEMORY);
        for (uint64_t n = 1; !err_is_ok(err); n++) {
            struct buf out = {0};
            mem_fail_after(n);
            err = prints[i](slice_string(texts[i]), &out);
            mem_fail_after(0);
            assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
            assert_true(err_is_ok(err) || n < 100);
            buf_done(&out);
        }
    }
}

static void names_are_those_of_the_log(void **state)
{
    (void)state;
    char longest[251];
    memset(longest, 'x', sizeof(longest));
    assert_true(cli_topics_name_valid(slice_string("a")));
    assert_true(cli_topics_name_valid(slice_string("A-z_0.9.dlq")));
    assert_true(cli_topics_name_valid(slice_make(longest, 249)));
    assert_false(cli_topics_name_valid(slice_make(longest, 250)));
    static const char *const wrong[] = {"", ".", "..", "a b", "a/b", "a?b", "a%41", "\xC3\xA9"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(cli_topics_name_valid(slice_string(wrong[i])));
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

/* Runs `garner topics WORDS` against a server that answers so; what is on `stream` is in `seen`. */
static int run_against(struct peer *peer, struct reply reply, const char *const *words,
                       struct capture *seen, int stream)
{
    struct cli cli = capture_cli();
    const char *line[16] = {"topics", "--server", peer->address};
    for (size_t i = 0; words[i]; i++)
        line[3 + i] = words[i];
    peer->answer = answer_reply;
    peer->context = &reply;
    peer_begin(peer);
    int code = capture_run(seen, stream, cli_topics, &cli, line);
    peer_end(peer);
    return code;
}

static void each_verb_asks_for_its_path(void **state)
{
    (void)state;
    struct capture seen;
    struct peer peer = {0};
    const char *const list[] = {"list", NULL};
    const char *const describe[] = {"describe", "flights", "--json", NULL};
    const char *const delete[] = {"delete", "old.dlq", "--yes", NULL};
    int code = run_against(&peer, (struct reply){200, "{\"topics\":[" FLIGHTS "," DLQ "]}"}, list,
                           &seen, 1);
    assert_int_equal(code, CLI_OK);
    assert_string_equal(seen.text, list_text);
    assert_string_equal(peer.target, "/v1/topics");
    peer = (struct peer){0};
    code = run_against(&peer, (struct reply){200, FLIGHTS "\n"}, describe, &seen, 1);
    assert_int_equal(code, CLI_OK);
    assert_string_equal(seen.text, FLIGHTS "\n");
    assert_string_equal(peer.target, "/v1/topics/flights");
    peer = (struct peer){0};
    code = run_against(&peer, (struct reply){200, "{\"deleted\":[\"a\",\"b\"]}"}, delete, &seen, 1);
    assert_int_equal(code, CLI_OK);
    assert_string_equal(seen.text, "deleted a\ndeleted b\n");
    assert_string_equal(peer.target, "/v1/topics/old.dlq?confirm=old.dlq");
}

static void flags_become_the_query(void **state)
{
    (void)state;
    struct capture seen;
    struct peer peer = {0};
    const char *const create[] = {"create",
                                  "new",
                                  "--partitions",
                                  "3",
                                  "--retention",
                                  "12h",
                                  "--partition-size",
                                  "1GiB",
                                  "--batch-size",
                                  "2MiB",
                                  "--compression",
                                  "zstd",
                                  NULL};
    int code = run_against(&peer, (struct reply){200, "{\"created\":\"new\"}\n"}, create, &seen, 1);
    assert_int_equal(code, CLI_OK);
    assert_string_equal(seen.text, "created new\n");
    assert_string_equal(peer.target, "/v1/topics/new?partitions=3&retention_ms=43200000&"
                                     "partition_bytes=1073741824&batch_bytes=2097152&"
                                     "compression=zstd");
    peer = (struct peer){0};
    const char *const plain[] = {"create", "new", NULL};
    (void)run_against(&peer, (struct reply){200, "{\"created\":\"new\"}\n"}, plain, &seen, 1);
    assert_string_equal(peer.target, "/v1/topics/new");
    peer = (struct peer){0};
    const char *const alter[] = {"alter", "old", "--retention", "default", "--json", NULL};
    code = run_against(&peer, (struct reply){200, "{\"changed\":\"old\"}\n"}, alter, &seen, 1);
    assert_int_equal(code, CLI_OK);
    assert_string_equal(seen.text, "{\"changed\":\"old\"}\n");
    assert_string_equal(peer.target, "/v1/topics/old?retention_ms=default");
    peer = (struct peer){0};
    code = run_against(&peer, (struct reply){200, "{\"deleted\":[]}\n"}, alter, &seen, 2);
    assert_int_equal(code, CLI_UNAVAILABLE);
}

static void a_refusal_is_said_in_the_server_s_words(void **state)
{
    (void)state;
    const char *const describe[] = {"describe", "boats", NULL};
    static const struct {
        struct reply reply;
        int code;
        const char *says;
    } cases[] = {
        {{404, "{\"error\":\"unknown_topic\",\"detail\":\"there is no topic boats\"}"},
         CLI_FAILED,
         "garner topics: there is no topic boats\n"},
        {{409, "{\"error\":\"contract\",\"detail\":\"a \\\"b\\\"\"}"},
         CLI_FAILED,
         "garner topics: a \"b\"\n"},
        {{404, "{\"error\":\"not_found\",\"detail\":\"no such path\"}"},
         CLI_UNAVAILABLE,
         " answered 404: {\"error\":\"not_found\""},
        {{503, "{\"error\":\"busy\",\"detail\":\"later\"}"}, CLI_UNAVAILABLE, " answered 503: {"},
        {{404, "nothing"}, CLI_UNAVAILABLE, " answered 404: nothing\n"},
        {{200, "[]"}, CLI_UNAVAILABLE, "answers, but not with topics"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct capture seen;
        struct peer peer = {0};
        assert_int_equal(run_against(&peer, cases[i].reply, describe, &seen, 2), cases[i].code);
        if (!strstr(seen.text, cases[i].says))
            fail_msg("expected %s in %s", cases[i].says, seen.text);
    }
}

static void wrong_words_ask_nobody(void **state)
{
    (void)state;
    static const char *const lines[][6] = {
        {"topics", NULL},
        {"topics", "list", "flights", NULL},
        {"topics", "describe", NULL},
        {"topics", "describe", "a", "b", NULL},
        {"topics", "describe", "a/b", NULL},
        {"topics", "delete", "flights", NULL},
        {"topics", "delete", "--yes", NULL},
        {"topics", "drop", "flights", "--yes", NULL},
        {"topics", "list", "--server", "here", NULL},
        {"topics", "create", NULL},
        {"topics", "create", "a", "--partitions", "x"},
        {"topics", "create", "a", "--retention", "7"},
        {"topics", "create", "a", "--partition-size", "x"},
        {"topics", "create", "a", "--batch-size", "x"},
        {"topics", "create", "a", "--compression", "a b"},
        {"topics", "alter", "a", NULL},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct cli cli = capture_cli();
        struct capture seen;
        assert_int_equal(capture_run(&seen, 2, cli_topics, &cli, lines[i]), CLI_USAGE);
        assert_ptr_equal(strstr(seen.text, "garner topics: "), seen.text);
    }
}

static void without_a_server_it_says_what_to_do(void **state)
{
    (void)state;
    struct cli cli = capture_cli();
    struct capture seen;
    const char *const words[] = {"topics", "list", "--server", "127.0.0.1:1", NULL};
    assert_int_equal(capture_run(&seen, 2, cli_topics, &cli, words), CLI_UNAVAILABLE);
    assert_non_null(strstr(seen.text, "start one with `garner serve`"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_a_row_each),
        cmocka_unit_test(a_topic_is_described_with_its_partitions),
        cmocka_unit_test(what_a_server_of_another_version_leaves_out_is_a_dash),
        cmocka_unit_test(what_are_no_topics_is_refused),
        cmocka_unit_test(without_memory_nothing_is_half_printed),
        cmocka_unit_test(names_are_those_of_the_log),
        cmocka_unit_test(each_verb_asks_for_its_path),
        cmocka_unit_test(flags_become_the_query),
        cmocka_unit_test(a_refusal_is_said_in_the_server_s_words),
        cmocka_unit_test(wrong_words_ask_nobody),
        cmocka_unit_test(without_a_server_it_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
