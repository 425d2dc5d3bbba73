#include "cli/consume.h"

#include <signal.h>

#include "unit/cli/capture.h"
#include "unit/cli/peer.h"

/*
 * The command against a model of the admin API: a topic whose records are their offsets. A test
 * changes the model between two requests, on the peer's thread.
 */

#define PARTITIONS_MAX 4

struct model {
    struct peer peer;
    unsigned partition_count;
    int64_t start[PARTITIONS_MAX];
    int64_t end[PARTITIONS_MAX];
    int64_t page_max;    /* records of a page; 0: as many as are asked for */
    char uuid_end;       /* the last letter of the topic's uuid */
    int status;          /* not 0: the next answer is only this */
    const char *garbage; /* not NULL: records are answered with this */
    unsigned waits;      /* requests that would have waited */
    char first_query[256];
    void (*before)(struct model *model); /* each answer */
};

static void describe(const struct model *model, struct buf *out)
{
    buf_add_format(out, "{\"uuid\":\"01234567-89ab-4def-8123-01020304050%c\",\"partitions\":[",
                   model->uuid_end);
    for (unsigned i = 0; i < model->partition_count; i++)
        buf_add_format(out, "%s{\"partition\":%u,\"start_offset\":%lld,\"end_offset\":%lld}",
                       i ? "," : "", i, (long long)model->start[i], (long long)model->end[i]);
    buf_add_string(out, "]}");
}

/* The status of an answer with records, which is put into `out`. */
static int read_records(struct model *model, const char *query, struct buf *out)
{
    unsigned partition = 0, limit = 0, wait_ms = 0;
    long long value = 0;
    char kind[8] = "";
    assert_int_equal(sscanf(query, "partition=%u&limit=%u&wait_ms=%u&%7[a-z]=%lld", &partition,
                            &limit, &wait_ms, kind, &value),
                     5);
    if (!model->first_query[0])
        snprintf(model->first_query, sizeof(model->first_query), "%s", query);
    model->waits += wait_ms > 0;
    int64_t start = model->start[partition], end = model->end[partition];
    /* A time is looked for among the offsets. */
    int64_t offset = strcmp(kind, "time") == 0 ? (value < end ? value : end) : value;
    if (offset < start || offset > end) {
        buf_add_format(out,
                       "{\"error\":\"offset_range\",\"detail\":\"gone\",\"start_offset\":%lld,"
                       "\"end_offset\":%lld}",
                       (long long)start, (long long)end);
        return 416;
    }
    int64_t count = model->page_max && model->page_max < limit ? model->page_max : limit;
    int64_t last = offset + count < end ? offset + count : end;
    buf_add_format(out, "{\"uuid\":\"01234567-89ab-4def-8123-01020304050%c\",\"records\":[",
                   model->uuid_end);
    for (int64_t i = offset; i < last; i++)
        buf_add_format(out, "%s{\"partition\":%u,\"offset\":%lld,\"value\":%u%03lld}",
                       i > offset ? "," : "", partition, (long long)i, partition + 1, (long long)i);
    buf_add_format(out, "],\"next_offset\":%lld}", (long long)last);
    return 200;
}

static void answer(struct peer *peer, struct net_http_request *request, struct slice body)
{
    struct model *model = peer->context;
    struct buf out = {0};
    (void)body;
    if (model->before)
        model->before(model);
    int status = 200;
    const char *query = strstr(peer->target, "/records?");
    if (model->status) {
        status = model->status;
        buf_add_string(&out, "{\"error\":\"test\",\"detail\":\"the test says so\"}");
        model->status = 0;
    } else if (query && model->garbage) {
        buf_add_string(&out, model->garbage);
    } else if (query) {
        status = read_records(model, query + strlen("/records?"), &out);
    } else {
        assert_string_equal(peer->target, "/v1/topics/t");
        describe(model, &out);
    }
    peer_reply(request, status, buf_slice(&out));
    buf_done(&out);
}

/* Three records in partition 0, from offset 10 on; none in 1; two in 2. */
static struct model model_of_three(void)
{
    return (struct model){
        .partition_count = 3, .start = {10, 0, 0}, .end = {13, 0, 2}, .uuid_end = '1'};
}

/* Runs `garner consume t FLAGS...` against the model; what comes on `stream` is in `seen`. */
static int consume(struct model *model, int stream, struct capture *seen, const char *const *flags)
{
    struct cli cli = capture_cli();
    const char *line[12] = {"consume", "t", "--server", model->peer.address};
    for (size_t i = 0; flags[i]; i++)
        line[4 + i] = flags[i];
    model->peer.answer = answer;
    model->peer.context = model;
    peer_begin(&model->peer);
    int code = capture_run(seen, stream, cli_consume, &cli, line);
    peer_end(&model->peer);
    return code;
}

static void expect(struct model model, const char *const *flags, int code, const char *out)
{
    struct capture seen;
    assert_int_equal(consume(&model, 1, &seen, flags), code);
    assert_string_equal(seen.text, out);
}

#define FLAGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_FLAGS ((const char *const[]){NULL})

static void all_partitions_are_printed_one_after_the_other(void **state)
{
    (void)state;
    expect(model_of_three(), NO_FLAGS, CLI_OK, "1010\n1011\n1012\n3000\n3001\n");
    expect(model_of_three(), FLAGS("--json", "--partition=2"), CLI_OK,
           "{\"partition\":2,\"offset\":0,\"value\":3000}\n"
           "{\"partition\":2,\"offset\":1,\"value\":3001}\n");
    expect(model_of_three(), FLAGS("--partition", "1"), CLI_OK, "");
}

static void a_start_is_taken_in_each_partition(void **state)
{
    (void)state;
    expect(model_of_three(), FLAGS("--offset", "earliest"), CLI_OK,
           "1010\n1011\n1012\n3000\n3001\n");
    expect(model_of_three(), FLAGS("--offset", "latest"), CLI_OK, "");
    expect(model_of_three(), FLAGS("--offset", "-1"), CLI_OK, "1012\n3001\n");
    expect(model_of_three(), FLAGS("--offset", "-2"), CLI_OK, "1011\n1012\n3000\n3001\n");
    expect(model_of_three(), FLAGS("--offset", "-9223372036854775807"), CLI_OK,
           "1010\n1011\n1012\n3000\n3001\n");
    expect(model_of_three(), FLAGS("--offset", "12", "--partition", "0"), CLI_OK, "1012\n");
}

static void a_time_is_left_to_the_server(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    assert_int_equal(consume(&model, 1, &seen, FLAGS("--time", "11")), CLI_OK);
    assert_string_equal(seen.text, "1011\n1012\n");
    assert_string_equal(model.first_query, "partition=0&limit=1000&wait_ms=0&time=11");
    model = model_of_three();
    assert_int_equal(consume(&model, 1, &seen, FLAGS("--time", "2026-03-01T10:00:00Z")), CLI_OK);
    assert_string_equal(seen.text, "");
    assert_string_equal(model.first_query, "partition=0&limit=1000&wait_ms=0&time=1772359200000");
}

static void a_limit_counts_over_all_partitions(void **state)
{
    (void)state;
    expect(model_of_three(), FLAGS("--limit", "4"), CLI_OK, "1010\n1011\n1012\n3000\n");
    expect(model_of_three(), FLAGS("--limit", "1"), CLI_OK, "1010\n");
    struct model model = model_of_three();
    model.page_max = 1;
    expect(model, FLAGS("--limit", "4"), CLI_OK, "1010\n1011\n1012\n3000\n");
}

static void add_a_record(struct model *model)
{
    model->end[0]++;
}

static void without_follow_it_ends_where_the_topic_ended(void **state)
{
    (void)state;
    struct model model = model_of_three();
    model.before = add_a_record;
    model.page_max = 1;
    expect(model, FLAGS("--partition", "0"), CLI_OK, "1010\n1011\n1012\n1013\n");
    model.page_max = 0;
    expect(model, FLAGS("--partition", "0"), CLI_OK, "1010\n1011\n1012\n1013\n");
}

static void an_offset_behind_the_end_is_said(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    assert_int_equal(consume(&model, 2, &seen, FLAGS("--offset", "12")), CLI_OK);
    assert_string_equal(seen.text, "garner consume: partition 1 ends before offset 12, at 0\n"
                                   "garner consume: partition 2 ends before offset 12, at 2\n");
}

static void expire_all_but_one(struct model *model)
{
    if (strstr(model->peer.target, "offset=11"))
        model->start[0] = 12;
}

static void what_has_expired_is_said_and_passed(void **state)
{
    (void)state;
    struct capture seen;
    struct model model = model_of_three();
    assert_int_equal(consume(&model, 2, &seen, FLAGS("--offset", "3", "--partition", "0")),
                     CLI_FAILED);
    assert_string_equal(seen.text, "garner consume: partition 0: offsets 3 to 9 (7) have expired; "
                                   "going on at 10\n");
    model = model_of_three();
    model.before = expire_all_but_one;
    model.page_max = 1;
    assert_int_equal(consume(&model, 2, &seen, NO_FLAGS), CLI_FAILED);
    assert_string_equal(seen.text, "garner consume: partition 0: offsets 11 to 11 (1) have "
                                   "expired; going on at 12\n");
    model = model_of_three();
    model.before = expire_all_but_one;
    model.page_max = 1;
    expect(model, FLAGS("--partition", "0"), CLI_FAILED, "1010\n1012\n");
}

/* Adds a record whenever there was nothing, and ends the command at the third. */
static void add_then_end(struct model *model)
{
    if (!strstr(model->peer.target, "wait_ms=1000"))
        return;
    if (model->end[0] == 15)
        kill(getpid(), SIGTERM);
    else
        model->end[0]++;
}

static void following_waits_for_more_until_a_signal(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    model.before = add_then_end;
    assert_int_equal(consume(&model, 1, &seen, FLAGS("--follow", "--partition=0")), CLI_OK);
    assert_string_equal(seen.text, "1010\n1011\n1012\n1013\n1014\n");
    assert_in_range(model.waits, 3, 100);
}

/* Several partitions: a record in each of two, then a partition that was not there. */
static void grow_then_end(struct model *model)
{
    if (!strstr(model->peer.target, "/records")) {
        if (model->end[1] == 0)
            model->end[1] = 1;
        else if (model->partition_count == 3)
            model->end[model->partition_count++] = 1;
        else if (model->peer.requests > 20)
            kill(getpid(), SIGINT);
    }
}

static void following_sees_every_partition_also_those_that_come(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    model.before = grow_then_end;
    assert_int_equal(consume(&model, 1, &seen, FLAGS("--follow", "--offset", "latest")), CLI_OK);
    assert_string_equal(seen.text, "4000\n");
    model = model_of_three();
    model.before = grow_then_end;
    assert_int_equal(consume(&model, 1, &seen, FLAGS("--follow", "--limit", "7")), CLI_OK);
    assert_string_equal(seen.text, "1010\n1011\n1012\n2000\n3000\n3001\n4000\n");
}

/* Fails twice once it was asked to wait, then goes on. */
static void fail_twice(struct model *model)
{
    if (model->peer.requests == 4 || model->peer.requests == 5)
        model->status = 503;
    if (model->peer.requests > 5)
        model->end[0] = 14;
}

static void following_waits_for_a_server_that_was_there(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    model.before = fail_twice;
    const char *const *flags = FLAGS("--follow", "--partition", "0", "--limit", "4");
    assert_int_equal(consume(&model, 2, &seen, flags), CLI_OK);
    char text[512];
    snprintf(
        text, sizeof(text),
        "garner consume: %s answered 503: {\"error\":\"test\",\"detail\":\"the test says so\"}\n"
        "garner consume: waiting for %s\ngarner consume: %s is back\n",
        model.peer.address, model.peer.address, model.peer.address);
    assert_string_equal(seen.text, text);
    model = model_of_three();
    model.before = fail_twice;
    assert_int_equal(consume(&model, 1, &seen, flags), CLI_OK);
    assert_string_equal(seen.text, "1010\n1011\n1012\n1013\n");
}

static void a_server_that_never_was_there_is_not_waited_for(void **state)
{
    (void)state;
    struct cli cli = capture_cli();
    struct capture seen;
    const char *const words[] = {"consume", "t", "--server", "127.0.0.1:1", "--follow", NULL};
    assert_int_equal(capture_run(&seen, 2, cli_consume, &cli, words), CLI_UNAVAILABLE);
    assert_non_null(strstr(seen.text, "no answer from 127.0.0.1:1"));
    struct model model = model_of_three();
    model.status = 503;
    assert_int_equal(consume(&model, 2, &seen, FLAGS("--follow")), CLI_UNAVAILABLE);
    assert_non_null(strstr(seen.text, "answered 503"));
}

static void rename_after_three(struct model *model)
{
    if (model->peer.requests > 3)
        model->uuid_end = '2';
}

static void a_topic_that_was_made_anew_is_not_read_on(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    model.before = rename_after_three;
    assert_int_equal(consume(&model, 2, &seen, FLAGS("--follow")), CLI_FAILED);
    assert_non_null(strstr(seen.text, "t was deleted and made anew"));
    model = model_of_three();
    model.before = rename_after_three;
    model.page_max = 1;
    assert_int_equal(consume(&model, 2, &seen, NO_FLAGS), CLI_FAILED);
    assert_non_null(strstr(seen.text, "t was deleted and made anew"));
}

static void what_the_server_refuses_is_said(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    model.status = 404;
    assert_int_equal(consume(&model, 2, &seen, NO_FLAGS), CLI_FAILED);
    assert_string_equal(seen.text, "garner consume: the test says so\n");
    model = model_of_three();
    assert_int_equal(consume(&model, 2, &seen, FLAGS("--partition", "3")), CLI_FAILED);
    assert_string_equal(seen.text,
                        "garner consume: t has 3 partitions, counted from 0; there is no 3\n");
}

static void a_page_that_leads_nowhere_ends_it(void **state)
{
    (void)state;
#define GARBAGE(next) "{\"uuid\":\"01234567-89ab-4def-8123-010203040501\",\"records\":[]," next "}"
    static const char *const pages[] = {
        GARBAGE("\"next_offset\":10"),
        GARBAGE("\"next_offset\":9"),
        GARBAGE("\"next\":11"),
        "<html>",
    };
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct model model = model_of_three();
        struct capture seen;
        model.garbage = pages[i];
        assert_int_equal(consume(&model, 2, &seen, FLAGS("--follow")), CLI_UNAVAILABLE);
        assert_ptr_equal(strstr(seen.text, "garner consume: "), seen.text);
    }
}

static void a_reader_that_has_gone_is_an_end(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    int saved = dup(1);
    assert_int_equal(dup2(ends[1], 1), 1);
    close(ends[0]);
    close(ends[1]);
    int code = consume(&model, 2, &seen, FLAGS("--follow"));
    /* What could not be written is forgotten, not written to where the next test prints. */
    clearerr(stdout);
    assert_int_equal(dup2(saved, 1), 1);
    close(saved);
    assert_int_equal(code, CLI_OK);
    assert_string_equal(seen.text, "");
}

static void end_while_reading(struct model *model)
{
    if (model->peer.requests == 2)
        kill(getpid(), SIGTERM);
}

static void a_signal_before_the_end_is_a_failure_without_follow(void **state)
{
    (void)state;
    struct model model = model_of_three();
    struct capture seen;
    model.before = end_while_reading;
    model.page_max = 1;
    assert_int_equal(consume(&model, 2, &seen, NO_FLAGS), CLI_FAILED);
    assert_non_null(strstr(seen.text, "garner consume: interrupted\n"));
}

static void wrong_words_ask_nobody(void **state)
{
    (void)state;
    static const char *const lines[][7] = {
        {"consume", NULL},
        {"consume", "a", "b", NULL},
        {"consume", "a/b", NULL},
        {"consume", "t", "--partition", "-1", NULL},
        {"consume", "t", "--partition", "4294967296", NULL},
        {"consume", "t", "--offset", "first", NULL},
        {"consume", "t", "--offset", "-9223372036854775808", NULL},
        {"consume", "t", "--time", "noon", NULL},
        {"consume", "t", "--time", "1", "--offset", "1", NULL},
        {"consume", "t", "--limit", "many", NULL},
        {"consume", "t", "--server", "here", NULL},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct cli cli = capture_cli();
        struct capture seen;
        assert_int_equal(capture_run(&seen, 2, cli_consume, &cli, lines[i]), CLI_USAGE);
        assert_ptr_equal(strstr(seen.text, "garner consume: "), seen.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_partitions_are_printed_one_after_the_other),
        cmocka_unit_test(a_start_is_taken_in_each_partition),
        cmocka_unit_test(a_time_is_left_to_the_server),
        cmocka_unit_test(a_limit_counts_over_all_partitions),
        cmocka_unit_test(without_follow_it_ends_where_the_topic_ended),
        cmocka_unit_test(an_offset_behind_the_end_is_said),
        cmocka_unit_test(what_has_expired_is_said_and_passed),
        cmocka_unit_test(following_waits_for_more_until_a_signal),
        cmocka_unit_test(following_sees_every_partition_also_those_that_come),
        cmocka_unit_test(following_waits_for_a_server_that_was_there),
        cmocka_unit_test(a_server_that_never_was_there_is_not_waited_for),
        cmocka_unit_test(a_topic_that_was_made_anew_is_not_read_on),
        cmocka_unit_test(what_the_server_refuses_is_said),
        cmocka_unit_test(a_page_that_leads_nowhere_ends_it),
        cmocka_unit_test(a_reader_that_has_gone_is_an_end),
        cmocka_unit_test(a_signal_before_the_end_is_a_failure_without_follow),
        cmocka_unit_test(wrong_words_ask_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
