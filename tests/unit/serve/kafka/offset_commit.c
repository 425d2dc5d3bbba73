#include "unit/serve/kafka/groups.h"

static void what_is_committed_is_in_the_log_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    assert_int_equal(groups_sync(f, "g", joined), 0);
    for (int16_t version = 2; version <= 9; version++) {
        assert_int_equal(groups_commit(f, version, "g", joined, "cars", 1, 100 + version), 0);
        assert_int_equal(groups_held(f, "g", 1, 1), 100 + version);
    }
    struct flow_offsets answer = {.group = SLICE_LITERAL("g")};
    assert_true(err_is_ok(log_offsets_answer(&f->offsets, &answer)));
    assert_slice(answer.groups[0].offsets[0].metadata, "said");
    assert_int_equal(answer.groups[0].offsets[0].leader_epoch, 3);
    flow_offsets_done(&answer);
    assert_int_equal(f->commits, 8);
    fixture_free(f);
}

static void who_may_not_commit_is_told_and_nothing_is_written(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    joined_t liar = *joined;
    assert_int_equal(groups_commit(f, 7, "g", joined, "cars", 0, 1),
                     SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(groups_sync(f, "g", joined), 0);
    liar.generation_id = 7;
    assert_int_equal(groups_commit(f, 7, "g", &liar, "cars", 0, 1), SERVE_KAFKA_ILLEGAL_GENERATION);
    liar.generation_id = 1;
    liar.member_id = SLICE_LITERAL("nobody");
    assert_int_equal(groups_commit(f, 7, "g", &liar, "cars", 0, 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(groups_commit(f, 7, "none", joined, "cars", 0, 1),
                     SERVE_KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(groups_commit(f, 7, "", NULL, "cars", 0, 1), SERVE_KAFKA_INVALID_GROUP_ID);
    assert_int_equal(f->commits, 0);
    assert_null(groups_find(f, "none"));
    fixture_free(f);
}

static void a_tool_commits_for_a_group_without_members(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    assert_int_equal(groups_commit(f, 7, "tool", NULL, "planes", 0, 42), 0);
    assert_int_equal(groups_held(f, "tool", 2, 0), 42);
    assert_true(groups_find(f, "tool")->kept);
    fixture_free(f);
}

static void each_partition_has_an_error_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    char *long_one = arena_alloc(&f->arena, FLOW_OFFSET_METADATA_MAX + 1);
    struct proto_kafka_offset_commit_request_partition parts[] = {
        {.partition_index = 0, .committed_offset = 5},
        {.partition_index = 2, .committed_offset = 5},
        {.partition_index = -1, .committed_offset = 5},
        {.partition_index = 1, .committed_offset = -1},
        {.partition_index = 1,
         .committed_offset = 6,
         .committed_metadata = slice_make(long_one, FLOW_OFFSET_METADATA_MAX + 1)},
        {.partition_index = 1,
         .committed_offset = 7,
         .committed_metadata = slice_make(long_one, FLOW_OFFSET_METADATA_MAX)},
    };
    static const int16_t codes[] = {0,
                                    SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                    SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                    SERVE_KAFKA_INVALID_REQUEST,
                                    SERVE_KAFKA_OFFSET_METADATA_TOO_LARGE,
                                    0};
    struct proto_kafka_offset_commit_request_topic topics[2] = {{.name = SLICE_LITERAL("cars")},
                                                                {.name = SLICE_LITERAL("none")}};
    struct proto_kafka_offset_commit_request request = {.group_id = SLICE_LITERAL("g"),
                                                        .generation_id_or_member_epoch = -1};
    topics[0].partitions.items = topics[1].partitions.items = parts;
    topics[0].partitions.count = 6;
    topics[1].partitions.count = 1;
    request.topics.items = topics;
    request.topics.count = 2;
    const struct proto_kafka_offset_commit_response *response =
        fixture_ask(f, PROTO_KAFKA_OFFSET_COMMIT, 8, &request);
    for (int i = 0; i < 6; i++)
        assert_int_equal(response->topics.items[0].partitions.items[i].error_code, codes[i]);
    assert_int_equal(response->topics.items[1].partitions.items[0].error_code,
                     SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(groups_held(f, "g", 1, 0), 5);
    assert_int_equal(groups_held(f, "g", 1, 1), 7);
    assert_int_equal(f->offsets.count, 2);
    fixture_free(f);
}

static void the_log_is_not_asked_again_for_topics_that_are_known(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 1), 0);
    unsigned before = f->snapshots;
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 2), 0);
    assert_int_equal(f->snapshots, before);
    /* A topic that is deleted meanwhile: told to come again, and then that it is not there. */
    f->commit_error = ERR_NOT_FOUND;
    f->deleted[0] = true;
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 3),
                     SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 3),
                     SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(f->snapshots, before + 1);
    fixture_free(f);
}

static void what_the_log_says_is_told_as_far_as_a_client_can_act_on_it(void **state)
{
    (void)state;
    static const enum err_code retriable[] = {ERR_LOG_FULL, ERR_FENCED, ERR_BUSY, ERR_MEMORY,
                                              ERR_CANCELLED};
    struct fixture *f = groups_open();
    for (size_t i = 0; i < sizeof retriable / sizeof retriable[0]; i++) {
        f->commit_error = retriable[i];
        assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 3),
                         SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    f->commit_error = ERR_OFFSETS_FULL;
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 3), 28);
    assert_int_equal(f->offsets.count, 0);
    fixture_free(f);
}

/* The codes of the answer to a deletion of two partitions of a topic; its own first. */
static void delete_offsets(struct fixture *f, const char *group, const char *topic, int16_t *codes)
{
    struct proto_kafka_offset_delete_request_partition parts[] = {{0}, {.partition_index = 1}};
    struct proto_kafka_offset_delete_request_topic of = {.name = slice_string(topic)};
    struct proto_kafka_offset_delete_request request = {.group_id = slice_string(group)};
    of.partitions.items = parts;
    of.partitions.count = 2;
    request.topics.items = &of;
    request.topics.count = 1;
    const struct proto_kafka_offset_delete_response *response =
        fixture_ask(f, PROTO_KAFKA_OFFSET_DELETE, 0, &request);
    codes[0] = response->error_code;
    codes[1] = response->topics.items[0].partitions.items[0].error_code;
    codes[2] = response->topics.items[0].partitions.items[1].error_code;
}

static void offsets_are_deleted_unless_members_read_their_topic(void **state)
{
    (void)state;
    int16_t codes[3];
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    assert_int_equal(groups_sync(f, "g", joined), 0);
    assert_int_equal(groups_commit(f, 7, "g", joined, "cars", 0, 1), 0);
    assert_int_equal(groups_commit(f, 7, "g", joined, "planes", 0, 2), 0);
    /* It subscribes to cars. */
    delete_offsets(f, "g", "cars", codes);
    assert_int_equal(codes[0], 0);
    assert_int_equal(codes[1], SERVE_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_int_equal(groups_held(f, "g", 1, 0), 1);
    delete_offsets(f, "g", "planes", codes);
    assert_int_equal(codes[1], 0);
    assert_int_equal(codes[2], SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(groups_held(f, "g", 2, 0), -1);
    assert_int_equal(groups_leave(f, "g", joined->member_id), 0);
    delete_offsets(f, "g", "cars", codes);
    assert_int_equal(codes[1], 0);
    assert_int_equal(groups_held(f, "g", 1, 0), -1);
    delete_offsets(f, "none", "cars", codes);
    assert_int_equal(codes[0], SERVE_KAFKA_GROUP_ID_NOT_FOUND);
    delete_offsets(f, "", "cars", codes);
    assert_int_equal(codes[0], SERVE_KAFKA_INVALID_GROUP_ID);
    fixture_free(f);
}

static void members_of_another_kind_keep_all_of_their_offsets(void **state)
{
    (void)state;
    int16_t codes[3];
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
    request.protocol_type = SLICE_LITERAL("connect");
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    groups_pass(f, SERVE_KAFKA_GROUP_DELAY_MS);
    fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 3);
    delete_offsets(f, "g", "planes", codes);
    assert_int_equal(codes[0], SERVE_KAFKA_NON_EMPTY_GROUP);
    assert_int_equal(f->commits, 0);
    fixture_free(f);
}

static void a_subscription_that_is_cut_or_lies_is_of_no_topic(void **state)
{
    (void)state;
    int16_t codes[3];
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL(""), "planes");
    /* It says that there are many topics, and ends. */
    uint8_t *metadata = (uint8_t *)(uintptr_t)request.protocols.items[0].metadata.data;
    put_u32be(metadata + 2, UINT32_MAX);
    put_u16be(metadata + 6, 200);
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    groups_pass(f, SERVE_KAFKA_GROUP_DELAY_MS);
    fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 3);
    delete_offsets(f, "g", "planes", codes);
    assert_int_equal(codes[0], 0);
    assert_int_equal(codes[1], 0);
    fixture_free(f);
}

static struct fixture *known(void)
{
    struct fixture *f = groups_open();
    assert_int_equal(groups_commit(f, 7, "g", NULL, "planes", 0, 1), 0);
    return f;
}

static void assert_committed_or_later(struct fixture *f, void *response)
{
    const struct proto_kafka_offset_commit_response *answer = response;
    int16_t code = answer->topics.items[0].partitions.items[0].error_code;
    assert_true(code == 0 || code == SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE ||
                code == SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(groups_held(f, "g", 1, 0), code == 0 ? 9 : -1);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct proto_kafka_offset_commit_request_partition part = {.committed_offset = 9};
    struct proto_kafka_offset_commit_request_topic of = {.name = SLICE_LITERAL("cars")};
    struct proto_kafka_offset_commit_request request = {.group_id = SLICE_LITERAL("g"),
                                                        .generation_id_or_member_epoch = -1};
    of.partitions.items = &part;
    of.partitions.count = 1;
    request.topics.items = &of;
    request.topics.count = 1;
    fixture_each_allocation(known, PROTO_KAFKA_OFFSET_COMMIT, 7, &request,
                            assert_committed_or_later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_committed_is_in_the_log_in_every_version),
        cmocka_unit_test(who_may_not_commit_is_told_and_nothing_is_written),
        cmocka_unit_test(a_tool_commits_for_a_group_without_members),
        cmocka_unit_test(each_partition_has_an_error_of_its_own),
        cmocka_unit_test(the_log_is_not_asked_again_for_topics_that_are_known),
        cmocka_unit_test(what_the_log_says_is_told_as_far_as_a_client_can_act_on_it),
        cmocka_unit_test(offsets_are_deleted_unless_members_read_their_topic),
        cmocka_unit_test(members_of_another_kind_keep_all_of_their_offsets),
        cmocka_unit_test(a_subscription_that_is_cut_or_lies_is_of_no_topic),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
