#include "unit/serve/kafka/admin.h"

#define ANY_BROKERS 4

static int32_t brokers[] = {SERVE_KAFKA_NODE_ID, SERVE_KAFKA_NODE_ID + 1};
static struct proto_kafka_create_topics_request_assignment assignments[ANY_BROKERS];
static struct proto_kafka_create_topics_request_config configs[4];

static struct proto_kafka_create_topics_request
creation_of(struct proto_kafka_create_topics_request_topic *topic)
{
    struct proto_kafka_create_topics_request request = {.timeout_ms = 1000};
    request.topics.items = topic;
    request.topics.count = 1;
    return request;
}

static struct proto_kafka_create_topics_request_topic topic_of(const char *name, int32_t partitions,
                                                               int16_t factor)
{
    return (struct proto_kafka_create_topics_request_topic){
        .name = slice_string(name), .num_partitions = partitions, .replication_factor = factor};
}

static void assign(struct proto_kafka_create_topics_request_topic *topic, const int32_t *partitions,
                   uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assignments[i].partition_index = partitions[i];
        assignments[i].broker_ids.items = brokers;
        assignments[i].broker_ids.count = 1;
    }
    topic->assignments.items = assignments;
    topic->assignments.count = count;
}

/* Asks for one topic; its answer. */
static const struct proto_kafka_create_topics_response_topic *
create(struct admin *a, struct proto_kafka_create_topics_request_topic topic)
{
    struct proto_kafka_create_topics_request request = creation_of(&topic);
    const struct proto_kafka_create_topics_response *response =
        admin_ask(a, PROTO_KAFKA_CREATE_TOPICS, 7, &request);
    assert_int_equal(response->topics.count, 1);
    return response->topics.items;
}

static void assert_refused(struct admin *a, struct proto_kafka_create_topics_request_topic topic,
                           int16_t code, const char *told)
{
    const struct proto_kafka_create_topics_response_topic *answer = create(a, topic);
    assert_int_equal(answer->error_code, code);
    assert_text(answer->error_message, told);
    assert_int_equal(answer->num_partitions, -1);
    /* Who makes topics leaves it alone. */
    assert_false(err_is_ok(a->first_error));
}

static void what_is_asked_for_comes_to_who_makes_topics(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct proto_kafka_create_topics_request_topic topic = topic_of("new", 3, 1);
    configs[0] = (struct proto_kafka_create_topics_request_config){SLICE_LITERAL("retention.ms"),
                                                                   SLICE_LITERAL("1000")};
    configs[1] = (struct proto_kafka_create_topics_request_config){SLICE_LITERAL("cleanup.policy"),
                                                                   SLICE_LITERAL("delete")};
    topic.configs.items = configs;
    topic.configs.count = 2;
    for (int16_t version = 2; version <= 7; version++) {
        struct proto_kafka_create_topics_request request = creation_of(&topic);
        request.validate_only = version == 3;
        const struct proto_kafka_create_topics_response *response =
            admin_ask(a, PROTO_KAFKA_CREATE_TOPICS, version, &request);
        const struct proto_kafka_create_topics_response_topic *answer = response->topics.items;
        assert_text(answer->name, "new");
        assert_int_equal(answer->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(answer->num_partitions, version < 5 ? -1 : 3);
        assert_int_equal(answer->configs.count, version < 5 ? 0 : serve_kafka_topic_setting_count);
        assert_int_equal(a->asked.op, FLOW_TOPICS_CREATE);
        assert_int_equal(a->asked.dry, version == 3);
    }
    assert_int_equal(a->changes, 6);
    admin_done(a);
}

static void see_creation(struct flow_topics_change *change)
{
    const struct flow_topics_item *item = &change->items[0];
    assert_int_equal(change->item_count, 1);
    assert_true(slice_equal_string(item->name, "new"));
    assert_int_equal(item->partition_count, 4);
    assert_int_equal(item->config.given, FLOW_TOPIC_RETENTION_MS | FLOW_TOPIC_CODEC);
    assert_int_equal(item->config.retention_ms, 1000);
    assert_int_equal(item->config.codec, FLOW_CODEC_ZSTD);
    memset(&change->items[0].uuid, 9, sizeof(struct uuid));
}

static void defaults_are_filled_in_and_told(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    a->answer = see_creation;
    struct proto_kafka_create_topics_request_topic topic = topic_of("new", -1, -1);
    configs[0] = (struct proto_kafka_create_topics_request_config){SLICE_LITERAL("retention.ms"),
                                                                   SLICE_LITERAL("1000")};
    configs[1] = (struct proto_kafka_create_topics_request_config){
        SLICE_LITERAL("compression.type"), SLICE_LITERAL("zstd")};
    topic.configs.items = configs;
    topic.configs.count = 2;
    const struct proto_kafka_create_topics_response_topic *answer = create(a, topic);
    assert_int_equal(answer->num_partitions, 4);
    assert_int_equal(answer->replication_factor, 1);
    assert_int_equal(answer->topic_id.bytes[3], 9);
    for (uint32_t i = 0; i < answer->configs.count; i++) {
        const struct proto_kafka_create_topics_response_config *c = &answer->configs.items[i];
        bool set = slice_equal_string(c->name, "retention.ms") ||
                   slice_equal_string(c->name, "compression.type");
        assert_int_equal(c->config_source, set ? 1 : 5);
        if (slice_equal_string(c->name, "retention.ms"))
            assert_text(c->value, "1000");
        if (slice_equal_string(c->name, "min.insync.replicas"))
            assert_true(c->read_only);
    }
    admin_done(a);
}

static void numbers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    assert_refused(a, topic_of("new", 0, 1), SERVE_KAFKA_INVALID_PARTITIONS, "got 0");
    assert_refused(a, topic_of("new", -2, 1), SERVE_KAFKA_INVALID_PARTITIONS, "got -2");
    assert_refused(a, topic_of("new", 10001, 1), SERVE_KAFKA_INVALID_PARTITIONS, "1 to 10000");
    assert_refused(a, topic_of("new", INT32_MAX, 1), SERVE_KAFKA_INVALID_PARTITIONS, "1 to 10000");
    assert_refused(a, topic_of("new", 1, 0), SERVE_KAFKA_INVALID_REPLICATION_FACTOR, "got 0");
    assert_refused(a, topic_of("new", 1, 3), SERVE_KAFKA_INVALID_REPLICATION_FACTOR, "one broker");
    assert_refused(a, topic_of("new", 1, -2), SERVE_KAFKA_INVALID_REPLICATION_FACTOR, "got -2");
    assert_refused(a, topic_of("", 1, 1), SERVE_KAFKA_INVALID_TOPIC, "1 to 249 characters");
    assert_refused(a, topic_of("a b", 0, 3), SERVE_KAFKA_INVALID_TOPIC, "1 to 249 characters");
    struct proto_kafka_create_topics_request_topic topic = topic_of("new", 1, 1);
    configs[0] = (struct proto_kafka_create_topics_request_config){SLICE_LITERAL("segment.bytes"),
                                                                   SLICE_LITERAL("1")};
    topic.configs.items = configs;
    topic.configs.count = 1;
    assert_refused(a, topic, SERVE_KAFKA_INVALID_CONFIG, "segment.bytes");
    admin_done(a);
}

static void assignments_are_to_the_one_broker(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    static const int32_t good[] = {2, 0, 1}, gap[] = {0, 1, 3}, twice[] = {0, 0, 1}, low[] = {-1},
                         even[] = {0, 0, 3, 3};
    struct proto_kafka_create_topics_request_topic topic = topic_of("new", -1, -1);
    assign(&topic, good, 3);
    assert_int_equal(create(a, topic)->num_partitions, 3);
    assert_true(err_is_ok(a->first_error));
    assign(&topic, gap, 3);
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT, "from 0 on once");
    assign(&topic, twice, 3);
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT, "from 0 on once");
    assign(&topic, even, 4);
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT, "from 0 on once");
    assign(&topic, low, 1);
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT, "broker 1 alone");
    assign(&topic, good, 3);
    assignments[1].broker_ids.items = brokers + 1;
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT, "broker 1 alone");
    assign(&topic, good, 3);
    assignments[1].broker_ids.count = 2;
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT, "broker 1 alone");
    assignments[1].broker_ids.count = 0;
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT, "broker 1 alone");
    topic = topic_of("new", 3, -1);
    assign(&topic, good, 3);
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REQUEST, "are -1");
    topic = topic_of("new", -1, 1);
    assign(&topic, good, 3);
    assert_refused(a, topic, SERVE_KAFKA_INVALID_REQUEST, "are -1");
    admin_done(a);
}

static void topics_are_deleted_by_name_and_by_id(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct slice names[] = {SLICE_LITERAL("made"), SLICE_LITERAL("")};
    struct proto_kafka_delete_topics_request request = {0};
    request.topic_names.items = names;
    request.topic_names.count = 2;
    for (int16_t version = 1; version <= 5; version++) {
        const struct proto_kafka_delete_topics_response *response =
            admin_ask(a, PROTO_KAFKA_DELETE_TOPICS, version, &request);
        assert_text(response->responses.items[0].name, "made");
        assert_int_equal(response->responses.items[0].error_code, SERVE_KAFKA_NONE);
        assert_int_equal(response->responses.items[1].error_code,
                         SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    static struct proto_kafka_delete_topics_request_topic topics[4];
    topics[0].name = SLICE_LITERAL("made");
    topics[1].topic_id.bytes[0] = 5;
    topics[2].name = SLICE_LITERAL("both");
    topics[2].topic_id.bytes[0] = 6;
    request.topics.items = topics;
    request.topics.count = 4;
    const struct proto_kafka_delete_topics_response *response =
        admin_ask(a, PROTO_KAFKA_DELETE_TOPICS, 6, &request);
    static const int16_t codes[] = {SERVE_KAFKA_NONE, SERVE_KAFKA_NONE, SERVE_KAFKA_INVALID_REQUEST,
                                    SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(response->responses.items[i].error_code, codes[i]);
    assert_null(response->responses.items[1].name.data);
    assert_int_equal(response->responses.items[1].topic_id.bytes[0], 5);
    admin_done(a);
}

static void find_none(struct flow_topics_change *change)
{
    for (uint32_t i = 0; i < change->item_count; i++)
        change->items[i].error = err_make(ERR_NOT_FOUND);
}

static void an_id_that_is_not_known_has_an_error_of_its_own(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    static struct proto_kafka_delete_topics_request_topic topics[2];
    topics[0].name = SLICE_LITERAL("none");
    topics[1].topic_id.bytes[0] = 5;
    struct proto_kafka_delete_topics_request request = {0};
    request.topics.items = topics;
    request.topics.count = 2;
    a->answer = find_none;
    const struct proto_kafka_delete_topics_response *response =
        admin_ask(a, PROTO_KAFKA_DELETE_TOPICS, 6, &request);
    assert_int_equal(response->responses.items[0].error_code,
                     SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(response->responses.items[1].error_code, SERVE_KAFKA_UNKNOWN_TOPIC_ID);
    admin_done(a);
}

/* What was placed comes to who counts, and its word for it is Kafka's. */
static void see_placed(struct flow_topics_change *change)
{
    static const bool placed[] = {false, false, false, true, true, true};
    assert_int_equal(change->item_count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(change->items[i].placed, placed[i]);
        assert_int_equal(change->items[i].placed_count, i == 3 || i == 4);
    }
    change->items[4].misplaced = true;
    change->items[4].error = err_make(ERR_INVALID);
}

static void partitions_are_counted_and_placed(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    a->answer = see_placed;
    static struct proto_kafka_create_partitions_request_assignment placed[2];
    struct proto_kafka_create_partitions_request_topic topics[] = {
        {.name = SLICE_LITERAL("a"), .count = 7},     {.name = SLICE_LITERAL("b"), .count = 0},
        {.name = SLICE_LITERAL("c"), .count = 10001}, {.name = SLICE_LITERAL("d"), .count = 8},
        {.name = SLICE_LITERAL("e"), .count = 8},     {.name = SLICE_LITERAL("f"), .count = 8}};
    placed[0].broker_ids.items = brokers + 1;
    placed[0].broker_ids.count = 1;
    topics[3].assignments.items = placed;
    topics[3].assignments.count = 1;
    placed[1].broker_ids.items = brokers;
    placed[1].broker_ids.count = 1;
    topics[4].assignments.items = placed + 1;
    topics[4].assignments.count = 1;
    topics[5].assignments.items = placed;
    struct proto_kafka_create_partitions_request request = {.validate_only = true};
    request.topics.items = topics;
    request.topics.count = 6;
    const struct proto_kafka_create_partitions_response *response =
        admin_ask(a, PROTO_KAFKA_CREATE_PARTITIONS, 0, &request);
    static const int16_t codes[] = {SERVE_KAFKA_NONE,
                                    SERVE_KAFKA_INVALID_PARTITIONS,
                                    SERVE_KAFKA_INVALID_PARTITIONS,
                                    SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                    SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                    SERVE_KAFKA_NONE};
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(response->results.items[i].error_code, codes[i]);
    admin_done(a);
}

static void move_starts(struct flow_topics_change *change)
{
    assert_int_equal(change->op, FLOW_TOPICS_LOG_START);
    assert_int_equal(change->item_count, 3);
    assert_int_equal(change->items[0].partition, 1);
    assert_int_equal(change->items[0].start_offset, -1);
    change->items[0].start_offset = 77;
    change->items[1].error = err_make(ERR_OFFSET_RANGE);
}

static void records_are_deleted_of_each_partition(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct proto_kafka_delete_records_request_partition first[] = {{1, -1}, {2, 9}},
                                                        second[] = {{}};
    struct proto_kafka_delete_records_request_topic topics[2] = {{.name = SLICE_LITERAL("made")}};
    topics[0].partitions.items = first;
    topics[0].partitions.count = 2;
    topics[1].partitions.items = second;
    topics[1].partitions.count = 1;
    struct proto_kafka_delete_records_request request = {0};
    request.topics.items = topics;
    request.topics.count = 2;
    a->answer = move_starts;
    for (int16_t version = 0; version <= 2; version++) {
        const struct proto_kafka_delete_records_response *response =
            admin_ask(a, PROTO_KAFKA_DELETE_RECORDS, version, &request);
        const struct proto_kafka_delete_records_response_partition *p =
            response->topics.items[0].partitions.items;
        assert_int_equal(p[0].error_code, SERVE_KAFKA_NONE);
        assert_int_equal(p[0].low_watermark, 77);
        assert_int_equal(p[1].error_code, SERVE_KAFKA_OFFSET_OUT_OF_RANGE);
        assert_int_equal(p[1].low_watermark, -1);
        assert_int_equal(response->topics.items[1].partitions.items[0].error_code,
                         SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    admin_done(a);
}

static uint32_t ask_for_metadata(struct admin *a, bool allow)
{
    struct proto_kafka_metadata_request_topic topics[] = {{SLICE_LITERAL("cars")},
                                                          {SLICE_LITERAL("new")},
                                                          {SLICE_LITERAL("a b")},
                                                          {SLICE_LITERAL("new")}};
    struct proto_kafka_metadata_request request = {.allow_auto_topic_creation = allow};
    request.topics.items = topics;
    request.topics.count = 4;
    unsigned before = a->changes;
    const struct proto_kafka_metadata_response *response =
        admin_ask(a, PROTO_KAFKA_METADATA, 9, &request);
    assert_int_equal(response->topics.items[0].error_code, SERVE_KAFKA_NONE);
    /* The log of this test has not got it, whatever was said. */
    assert_int_equal(response->topics.items[1].error_code, SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    return a->changes - before;
}

static void see_automatic(struct flow_topics_change *change)
{
    assert_int_equal(change->op, FLOW_TOPICS_CREATE);
    assert_int_equal(change->item_count, 2);
    assert_true(slice_equal_string(change->items[0].name, "new"));
    assert_int_equal(change->items[0].partition_count, 4);
    assert_int_equal(change->items[0].config.given, 0);
    assert_false(err_is_ok(change->items[1].error));
}

static void asking_makes_topics_where_both_sides_want_it(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    assert_int_equal(ask_for_metadata(a, true), 0);
    admin_done(a);
    a = admin_open_with(1 << 20, true);
    a->answer = see_automatic;
    assert_int_equal(ask_for_metadata(a, false), 0);
    assert_int_equal(ask_for_metadata(a, true), 1);
    admin_done(a);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct proto_kafka_create_topics_request_topic topic = topic_of("new", -1, -1);
    struct proto_kafka_create_topics_request request = creation_of(&topic);
    admin_each_allocation(PROTO_KAFKA_CREATE_TOPICS, 7, &request);
    struct slice name = SLICE_LITERAL("made");
    struct proto_kafka_delete_topics_request deletion = {0};
    deletion.topic_names.items = &name;
    deletion.topic_names.count = 1;
    admin_each_allocation(PROTO_KAFKA_DELETE_TOPICS, 5, &deletion);
    struct proto_kafka_metadata_request_topic asked = {SLICE_LITERAL("new")};
    struct proto_kafka_metadata_request metadata = {.allow_auto_topic_creation = true};
    metadata.topics.items = &asked;
    metadata.topics.count = 1;
    admin_each_allocation(PROTO_KAFKA_METADATA, 9, &metadata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_for_comes_to_who_makes_topics),
        cmocka_unit_test(defaults_are_filled_in_and_told),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
        cmocka_unit_test(assignments_are_to_the_one_broker),
        cmocka_unit_test(topics_are_deleted_by_name_and_by_id),
        cmocka_unit_test(an_id_that_is_not_known_has_an_error_of_its_own),
        cmocka_unit_test(partitions_are_counted_and_placed),
        cmocka_unit_test(records_are_deleted_of_each_partition),
        cmocka_unit_test(asking_makes_topics_where_both_sides_want_it),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
