#include "cli/groups.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "unit/cli/capture.h"
#include "unit/cli/fake_broker.h"

/* The command against a broker in this process, which has one group. */

struct fixture {
    struct broker_peer peer;
    struct cli cli;
    struct capture out;
    struct capture err;
    const char *group; /* the one that there is; NULL: none */
    const char *state;
    bool member;                            /* it has one, which reads partition 1 */
    bool torn;                              /* whose assignment ends too early */
    int64_t committed[FAKE_PARTITIONS_MAX]; /* -1: nothing */
    int16_t list_code;
    int16_t describe_code;
    int16_t fetch_code;
    int16_t partition_code; /* of a committed offset of partition 0 */
    int16_t commit_code;    /* of the last partition, or of all */
    bool commit_all;
    bool commit_short; /* the last partition has no answer */
    int16_t delete_code;
    bool old; /* offsets in the shape of before version 8 */
    bool deleted;
    unsigned commits;
    int32_t generation;
};

#define NEW(arena, array, wanted)                                                                  \
    ((array).count = (wanted),                                                                     \
     (array).items = arena_alloc(arena, ((array).count + 1u) * sizeof(*(array).items)))

static void list(struct fixture *f, struct proto_kafka_list_groups_response *out,
                 struct arena *arena)
{
    out->error_code = f->list_code;
    NEW(arena, out->groups, f->group ? 1 : 0);
    if (f->group)
        out->groups.items[0].group_id = slice_string(f->group);
}

/* Version 1: one topic, events, and of it one partition; no bytes of its own. */
static const char assignment[] = "\0\1\0\0\0\1\0\6events\0\0\0\1\0\0\0\1\0\0\0";

static void describe(struct fixture *f, const struct proto_kafka_describe_groups_request *request,
                     struct proto_kafka_describe_groups_response *out, struct arena *arena)
{
    NEW(arena, out->groups, request->groups.count);
    for (uint32_t i = 0; i < request->groups.count; i++) {
        struct proto_kafka_describe_groups_response_group *group = &out->groups.items[i];
        bool known = f->group && slice_equal_string(request->groups.items[i], f->group);
        group->group_id = request->groups.items[i];
        group->error_code = f->describe_code;
        group->group_state = slice_string(known ? f->state : "Dead");
        group->protocol_type = slice_string(known ? "consumer" : "");
        group->protocol_data = slice_string(known && f->member ? "range" : "");
        NEW(arena, group->members, known && f->member ? 1 : 0);
        if (group->members.count > 0)
            group->members.items[0] = (struct proto_kafka_describe_groups_response_member){
                .member_id = SLICE_LITERAL("reader-1"),
                .client_id = SLICE_LITERAL(""),
                .client_host = SLICE_LITERAL("/192.0.2.7"),
                .member_metadata = SLICE_LITERAL(""),
                .member_assignment = slice_make(assignment, f->torn ? 20 : sizeof(assignment))};
    }
}

static void offsets(struct fixture *f, const struct proto_kafka_offset_fetch_request *request,
                    struct proto_kafka_offset_fetch_response *out, struct arena *arena)
{
    if (f->old)
        return;
    assert_int_equal(request->groups.count, 1);
    assert_null(request->groups.items[0].topics.items);
    bool known = f->group && slice_equal_string(request->groups.items[0].group_id, f->group);
    NEW(arena, out->groups, 1);
    struct proto_kafka_offset_fetch_response_group *group = out->groups.items;
    group->group_id = request->groups.items[0].group_id;
    group->error_code = f->fetch_code;
    NEW(arena, group->topics, known ? 1 : 0);
    group->topics.items[0].name = slice_string("events");
    NEW(arena, group->topics.items[0].partitions, f->peer.broker.partitions);
    group->topics.items[0].partitions.count = 0;
    for (uint32_t i = 0; i < f->peer.broker.partitions; i++)
        if (f->committed[i] >= 0)
            group->topics.items[0].partitions.items[group->topics.items[0].partitions.count++] =
                (struct proto_kafka_offset_fetch_response_group_partition){
                    .partition_index = (int32_t)i,
                    .committed_offset = f->committed[i],
                    .error_code = i == 0 ? f->partition_code : 0};
    if (group->topics.items[0].partitions.count == 0)
        group->topics.count = 0;
}

static void commit(struct fixture *f, const struct proto_kafka_offset_commit_request *request,
                   struct proto_kafka_offset_commit_response *out, struct arena *arena)
{
    f->commits++;
    f->generation = request->generation_id_or_member_epoch;
    assert_int_equal(request->member_id.size, 0);
    assert_int_equal(request->topics.count, 1);
    assert_true(slice_equal_string(request->topics.items[0].name, "events"));
    uint32_t count = request->topics.items[0].partitions.count;
    NEW(arena, out->topics, 1);
    out->topics.items[0].name = request->topics.items[0].name;
    NEW(arena, out->topics.items[0].partitions, count);
    for (uint32_t i = 0; i < count; i++) {
        int32_t partition = request->topics.items[0].partitions.items[i].partition_index;
        int16_t code = f->commit_all || i + 1 == count ? f->commit_code : 0;
        out->topics.items[0].partitions.items[i] =
            (struct proto_kafka_offset_commit_response_partition){partition, code};
        if (code == 0)
            f->committed[partition] = request->topics.items[0].partitions.items[i].committed_offset;
    }
    out->topics.items[0].partitions.count -= f->commit_short;
}

static void delete (struct fixture *f, const struct proto_kafka_delete_groups_request *request,
                    struct proto_kafka_delete_groups_response *out, struct arena *arena)
{
    assert_int_equal(request->groups_names.count, 1);
    bool known = f->group && slice_equal_string(request->groups_names.items[0], f->group);
    NEW(arena, out->results, 1);
    out->results.items[0].group_id = request->groups_names.items[0];
    out->results.items[0].error_code = known ? f->delete_code : 69;
    f->deleted = known && f->delete_code == 0;
}

static void answer(struct fake_broker *b, int16_t key, const void *request, void *response,
                   struct arena *arena)
{
    struct fixture *f = CONTAINER_OF(b, struct fixture, peer.broker);
    switch (key) {
    case PROTO_KAFKA_LIST_GROUPS: list(f, response, arena); break;
    case PROTO_KAFKA_DESCRIBE_GROUPS: describe(f, request, response, arena); break;
    case PROTO_KAFKA_OFFSET_FETCH: offsets(f, request, response, arena); break;
    case PROTO_KAFKA_OFFSET_COMMIT: commit(f, request, response, arena); break;
    case PROTO_KAFKA_DELETE_GROUPS: delete (f, request, response, arena); break;
    default: fail();
    }
}

/* A group that has read 5 of the offsets 2 to 10 of partition 0, and nothing of partition 1. */
static struct fixture *prepare(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->cli = capture_cli();
    f->peer.broker = fake_broker_make("events", 2);
    f->peer.broker.more = answer;
    f->peer.broker.starts[0] = 2;
    f->peer.broker.ends[0] = 10;
    f->peer.broker.ends[1] = 4;
    f->group = "readers";
    f->state = "Empty";
    for (int i = 0; i < FAKE_PARTITIONS_MAX; i++)
        f->committed[i] = i == 0 ? 5 : -1;
    return f;
}

static void end(struct fixture *f)
{
    fake_broker_done(&f->peer.broker);
    free(f);
}

/* Runs it once; the peer's state stays for the next run. */
static int run_words(struct fixture *f, const char *const *words)
{
    char *argv[16] = {(char *)(uintptr_t) "groups"};
    int argc = 1;
    for (; *words; words++)
        argv[argc++] = (char *)(uintptr_t)*words;
    broker_peer_begin(&f->peer);
    argv[argc++] = (char *)(uintptr_t) "--server";
    argv[argc++] = f->peer.address;
    capture_begin(&f->out, 1);
    capture_begin(&f->err, 2);
    int code = cli_groups(&f->cli, argc, argv);
    capture_end(&f->err);
    capture_end(&f->out);
    broker_peer_end(&f->peer);
    return code;
}

#define RUN(f, ...) run_words(f, (const char *const[]){__VA_ARGS__, NULL})

static void expect(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static void groups_are_listed(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->member = true;
    f->state = "Stable";
    assert_int_equal(RUN(f, "list", "--json"), CLI_OK);
    assert_string_equal(f->out.text,
                        "{\"groups\":[{\"group\":\"readers\",\"state\":\"Stable\",\"members\":1,"
                        "\"type\":\"consumer\",\"protocol\":\"range\"}]}\n");
    assert_int_equal(RUN(f, "list"), CLI_OK);
    expect(f->out.text, "group");
    expect(f->out.text, "protocol\nreaders");
    expect(f->out.text, "Stable");
    assert_string_equal(f->err.text, "");
    f->group = NULL;
    assert_int_equal(RUN(f, "list", "--json"), CLI_OK);
    assert_string_equal(f->out.text, "{\"groups\":[]}\n");
    assert_int_equal(RUN(f, "list"), CLI_OK);
    assert_string_equal(f->out.text, "");
    end(f);
}

static void a_name_of_any_bytes_is_escaped(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->group = "a\x1b[2J\"b";
    assert_int_equal(RUN(f, "list"), CLI_OK);
    assert_null(strchr(f->out.text, 0x1b));
    expect(f->out.text, "a\\u001b[2J\\\"b");
    end(f);
}

static void what_is_refused_while_listing_is_told(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->describe_code = 15;
    assert_int_equal(RUN(f, "list", "--json"), CLI_FAILED);
    assert_string_equal(f->out.text, "{\"groups\":[]}\n");
    expect(f->err.text, "garner groups: readers: COORDINATOR_NOT_AVAILABLE (15)\n");
    f->list_code = 30;
    assert_int_equal(RUN(f, "list"), CLI_FAILED);
    expect(f->err.text, "answers GROUP_AUTHORIZATION_FAILED (30)");
    end(f);
}

static void a_group_is_described_by_partition(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->member = true;
    f->state = "Stable";
    assert_int_equal(RUN(f, "describe", "readers", "--json"), CLI_OK);
    assert_string_equal(
        f->out.text,
        "{\"group\":\"readers\",\"state\":\"Stable\",\"protocol\":\"range\",\"members\":1,"
        "\"offsets\":[{\"topic\":\"events\",\"partition\":0,\"offset\":5,\"end_offset\":10,"
        "\"lag\":5,\"member\":null,\"host\":null},"
        "{\"topic\":\"events\",\"partition\":1,\"offset\":null,\"end_offset\":4,\"lag\":null,"
        "\"member\":\"reader-1\",\"host\":\"192.0.2.7\"}]}\n");
    f->committed[1] = 9;
    assert_int_equal(RUN(f, "describe", "readers"), CLI_OK);
    expect(f->out.text, "readers: Stable, 1 members, protocol range\n");
    expect(f->out.text, "reader-1");
    assert_int_equal(RUN(f, "describe", "readers", "--json"), CLI_OK);
    /* Of an earlier topic: nothing waits. */
    expect(f->out.text, "\"offset\":9,\"end_offset\":4,\"lag\":0,\"member\":\"reader-1\"");
    end(f);
}

static void an_assignment_that_is_torn_is_nobodys(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->member = f->torn = true;
    assert_int_equal(RUN(f, "describe", "readers", "--json"), CLI_OK);
    expect(f->out.text, "\"members\":1,\"offsets\":[{\"topic\":\"events\",\"partition\":0");
    assert_null(strstr(f->out.text, "reader-1"));
    end(f);
}

static void a_group_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    assert_int_equal(RUN(f, "describe", "raeders"), CLI_FAILED);
    expect(f->err.text, "has no group raeders; `garner groups list` names those it has");
    f->describe_code = 69;
    assert_int_equal(RUN(f, "describe", "raeders"), CLI_FAILED);
    expect(f->err.text, "has no group raeders");
    f->describe_code = 24;
    assert_int_equal(RUN(f, "describe", "readers"), CLI_FAILED);
    expect(f->err.text, "INVALID_GROUP_ID (24)");
    end(f);
}

static void a_partition_with_an_error_is_told_and_the_others_shown(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->committed[1] = 1;
    f->partition_code = 3;
    assert_int_equal(RUN(f, "describe", "readers", "--json"), CLI_FAILED);
    expect(f->err.text, "events partition 0: UNKNOWN_TOPIC_OR_PARTITION (3)\n");
    expect(f->out.text, "\"partition\":1,\"offset\":1,\"end_offset\":4,\"lag\":3");
    f->partition_code = 0;
    f->peer.broker.other_parts = true;
    assert_int_equal(RUN(f, "describe", "readers"), CLI_FAILED);
    expect(f->err.text, "events partition 1: UNKNOWN_SERVER_ERROR (-1)\n");
    f->fetch_code = 14;
    assert_int_equal(RUN(f, "describe", "readers"), CLI_FAILED);
    expect(f->err.text, "COORDINATOR_LOAD_IN_PROGRESS (14)");
    f->old = true;
    assert_int_equal(RUN(f, "describe", "readers"), CLI_FAILED);
    expect(f->err.text, "as before Kafka 3.0");
    end(f);
}

static void offsets_are_set_to_where_it_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *to;
        int64_t first;
    } cases[] = {{"earliest", 2}, {"latest", 10}, {"7", 7}, {"2026-01-31T12:00:00Z", 6}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = prepare();
        char expected[256];
        f->peer.broker.by_time = 6;
        assert_int_equal(RUN(f, "reset", "readers", "--to", cases[i].to, "--json"), CLI_OK);
        snprintf(expected, sizeof(expected),
                 "{\"group\":\"readers\",\"dry_run\":false,\"offsets\":[{\"topic\":\"events\","
                 "\"partition\":0,\"before\":5,\"after\":%lld}]}\n",
                 (long long)cases[i].first);
        assert_string_equal(f->out.text, expected);
        assert_int_equal(f->committed[0], cases[i].first);
        /* What was not committed stays so. */
        assert_int_equal(f->committed[1], -1);
        assert_int_equal(f->generation, -1);
        end(f);
    }
}

static void a_time_behind_all_records_is_the_end(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->peer.broker.by_time = -1;
    assert_int_equal(RUN(f, "reset", "readers", "--to", "2099-01-01T00:00:00Z"), CLI_OK);
    assert_int_equal(f->committed[0], 10);
    end(f);
}

static void a_topic_is_reset_with_all_its_partitions(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    assert_int_equal(RUN(f, "reset", "readers", "--topic", "events", "--to", "earliest"), CLI_OK);
    assert_int_equal(f->committed[0], 2);
    assert_int_equal(f->committed[1], 0);
    expect(f->out.text, "before");
    assert_int_equal(RUN(f, "reset", "new", "--topic", "events", "--to", "3", "--json"), CLI_OK);
    expect(f->out.text, "\"partition\":0,\"before\":null,\"after\":3");
    end(f);
}

static void a_dry_run_sets_nothing(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    assert_int_equal(RUN(f, "reset", "readers", "--to", "latest", "--dry-run", "--json"), CLI_OK);
    expect(f->out.text, "\"dry_run\":true,");
    expect(f->out.text, "\"before\":5,\"after\":10");
    assert_int_equal(f->commits, 0);
    assert_int_equal(f->committed[0], 5);
    end(f);
}

static void an_offset_that_a_partition_lacks_leaves_it_alone(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->committed[1] = 1;
    assert_int_equal(RUN(f, "reset", "readers", "--to", "8", "--json"), CLI_FAILED);
    expect(f->err.text, "events partition 1: it has the offsets 0 to 4, not 8\n");
    expect(f->out.text, "\"partition\":1,\"before\":1,\"after\":null");
    assert_int_equal(f->committed[0], 8);
    assert_int_equal(f->committed[1], 1);
    assert_int_equal(RUN(f, "reset", "readers", "--to", "99"), CLI_FAILED);
    assert_int_equal(f->commits, 1);
    end(f);
}

static void a_group_with_members_is_not_reset(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->member = true;
    assert_int_equal(RUN(f, "reset", "readers", "--to", "latest"), CLI_FAILED);
    expect(f->err.text, "readers has members; stop its consumers, wait until");
    assert_int_equal(f->commits, 0);
    /* Who comes between the two requests is seen by the broker alone. */
    f->member = false;
    f->commit_code = 25;
    f->committed[1] = 1;
    f->commit_all = true;
    assert_int_equal(RUN(f, "reset", "readers", "--to", "latest"), CLI_FAILED);
    expect(f->err.text, "readers has members");
    assert_string_equal(f->out.text, "");
    end(f);
}

static void a_partition_that_is_not_set_is_told(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->committed[1] = 1;
    f->commit_code = 28;
    assert_int_equal(RUN(f, "reset", "readers", "--to", "latest", "--json"), CLI_FAILED);
    expect(f->err.text, "events partition 1: INVALID_COMMIT_OFFSET_SIZE (28)\n");
    expect(f->out.text, "\"partition\":0,\"before\":5,\"after\":10");
    expect(f->out.text, "\"partition\":1,\"before\":1,\"after\":null");
    f->commit_code = 0;
    f->commit_short = true;
    assert_int_equal(RUN(f, "reset", "readers", "--to", "earliest"), CLI_FAILED);
    expect(f->err.text, "events partition 1: UNKNOWN_SERVER_ERROR (-1)\n");
    end(f);
}

static void nothing_to_reset_is_said(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    assert_int_equal(RUN(f, "reset", "raeders", "--to", "latest"), CLI_FAILED);
    expect(f->err.text, "raeders has no offsets; name a topic with --topic");
    f->peer.broker.metadata_code = 3;
    assert_int_equal(RUN(f, "reset", "readers", "--to", "latest", "--topic", "events"), CLI_FAILED);
    expect(f->err.text, "has no topic events");
    assert_int_equal(f->commits, 0);
    end(f);
}

static void a_group_is_deleted(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    assert_int_equal(RUN(f, "delete", "readers"), CLI_OK);
    assert_string_equal(f->out.text, "deleted readers\n");
    assert_true(f->deleted);
    assert_int_equal(RUN(f, "delete", "readers", "--json"), CLI_OK);
    assert_string_equal(f->out.text, "{\"deleted\":\"readers\"}\n");
    f->delete_code = 68;
    assert_int_equal(RUN(f, "delete", "readers"), CLI_FAILED);
    expect(f->err.text, "readers has members; stop its consumers");
    assert_string_equal(f->out.text, "");
    assert_int_equal(RUN(f, "delete", "raeders"), CLI_FAILED);
    expect(f->err.text, "has no group raeders");
    end(f);
}

static void a_connection_that_goes_is_told_for_what_it_is(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    f->peer.broker.close_at = 2;
    assert_int_equal(RUN(f, "delete", "readers"), CLI_UNAVAILABLE);
    expect(f->err.text, "it is not known whether readers was changed");
    end(f);
    f = prepare();
    f->peer.broker.close_at = 2;
    assert_int_equal(RUN(f, "list"), CLI_UNAVAILABLE);
    expect(f->err.text, "start one with `garner serve`");
    end(f);
    f = prepare();
    f->peer.broker.garble_at = 2;
    assert_int_equal(RUN(f, "list"), CLI_UNAVAILABLE);
    end(f);
    f = prepare();
    f->peer.broker.without = PROTO_KAFKA_LIST_GROUPS;
    assert_int_equal(RUN(f, "list"), CLI_FAILED);
    expect(f->err.text, "serves no version of");
    end(f);
}

static void wrong_words_are_said(void **state)
{
    (void)state;
    struct fixture *f = prepare();
    static const char *const wrong[][6] = {
        {"sing", NULL},   {"list", "readers", NULL}, {"describe", NULL}, {"reset", "a", "b", NULL},
        {"delete", NULL},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(run_words(f, wrong[i]), CLI_USAGE);
        expect(f->err.text, "expected list, describe GROUP, reset GROUP or delete GROUP");
    }
    static const char *const tos[] = {"soon", "-1", "1969-01-01T00:00:00Z", "1.5"};
    for (size_t i = 0; i < sizeof(tos) / sizeof(tos[0]); i++) {
        assert_int_equal(RUN(f, "reset", "a", "--to", tos[i]), CLI_USAGE);
        expect(f->err.text, "--to: expected earliest, latest, an offset or a time");
    }
    assert_int_equal(RUN(f, "reset", "a"), CLI_USAGE);
    assert_int_equal(RUN(f, "delete", "a", "--dry-run"), CLI_USAGE);
    expect(f->err.text, "are flags of reset");
    assert_int_equal(RUN(f, "reset", "a", "--to", "1", "--topic", "a/b"), CLI_USAGE);
    expect(f->err.text, "'a/b' is no name of a topic");
    assert_int_equal(f->peer.broker.requests, 0);
    end(f);
}

static void without_a_broker_it_says_what_to_do(void **state)
{
    (void)state;
    struct cli cli = capture_cli();
    struct capture *err = calloc(1, sizeof(*err));
    const char *const words[] = {"groups", "list", "--server", "127.0.0.1:1", NULL};
    assert_int_equal(capture_run(err, 2, cli_groups, &cli, words), CLI_UNAVAILABLE);
    expect(err->text, "no broker at 127.0.0.1:1 (the connection was refused)");
    const char *const nowhere[] = {"groups", "list", "--server", "nowhere", NULL};
    assert_int_equal(capture_run(err, 2, cli_groups, &cli, nowhere), CLI_USAGE);
    free(err);
}

/* The kernel takes the connection, and nobody ever reads from it. */
static void a_broker_that_says_nothing_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    struct cli cli = capture_cli();
    struct capture *err = calloc(1, sizeof(*err));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    char address[64];
    int deaf = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(deaf, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(deaf, 1), 0);
    assert_int_equal(getsockname(deaf, (struct sockaddr *)&at, &size), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));
    const char *const words[] = {"groups", "list", "--server", address, "--timeout", "20ms", NULL};
    assert_int_equal(capture_run(err, 2, cli_groups, &cli, words), CLI_UNAVAILABLE);
    expect(err->text, "(no answer in --timeout)");
    close(deaf);
    free(err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_listed),
        cmocka_unit_test(a_name_of_any_bytes_is_escaped),
        cmocka_unit_test(what_is_refused_while_listing_is_told),
        cmocka_unit_test(a_group_is_described_by_partition),
        cmocka_unit_test(an_assignment_that_is_torn_is_nobodys),
        cmocka_unit_test(a_group_that_is_not_there_is_said),
        cmocka_unit_test(a_partition_with_an_error_is_told_and_the_others_shown),
        cmocka_unit_test(offsets_are_set_to_where_it_is_said),
        cmocka_unit_test(a_time_behind_all_records_is_the_end),
        cmocka_unit_test(a_topic_is_reset_with_all_its_partitions),
        cmocka_unit_test(a_dry_run_sets_nothing),
        cmocka_unit_test(an_offset_that_a_partition_lacks_leaves_it_alone),
        cmocka_unit_test(a_group_with_members_is_not_reset),
        cmocka_unit_test(a_partition_that_is_not_set_is_told),
        cmocka_unit_test(nothing_to_reset_is_said),
        cmocka_unit_test(a_group_is_deleted),
        cmocka_unit_test(a_connection_that_goes_is_told_for_what_it_is),
        cmocka_unit_test(wrong_words_are_said),
        cmocka_unit_test(without_a_broker_it_says_what_to_do),
        cmocka_unit_test(a_broker_that_says_nothing_is_not_waited_for_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
