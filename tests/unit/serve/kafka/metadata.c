#include "unit/serve/kafka/fixture.h"

typedef struct proto_kafka_metadata_response_topic topic_t;

static const topic_t *topic_of(const struct proto_kafka_metadata_response *response,
                               const char *name)
{
    for (uint32_t i = 0; i < response->topics.count; i++)
        if (slice_equal_string(response->topics.items[i].name, name))
            return &response->topics.items[i];
    return NULL;
}

static void assert_led(const topic_t *topic, uint32_t count)
{
    assert_int_equal(topic->error_code, SERVE_KAFKA_NONE);
    assert_int_equal(topic->partitions.count, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct proto_kafka_metadata_response_partition *p = &topic->partitions.items[i];
        assert_int_equal(p->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(p->partition_index, i);
        assert_int_equal(p->leader_id, SERVE_KAFKA_NODE_ID);
        assert_int_equal(p->replica_nodes.count, 1);
        assert_int_equal(p->isr_nodes.items[0], SERVE_KAFKA_NODE_ID);
    }
}

static void all_topics_are_told_with_one_leader_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct proto_kafka_metadata_request request = {0};
    for (int16_t version = 0; version <= 9; version++) {
        const struct proto_kafka_metadata_response *response =
            fixture_ask(f, PROTO_KAFKA_METADATA, version, &request);
        assert_int_equal(response->topics.count, TOPICS);
        for (size_t i = 0; i < TOPICS; i++)
            assert_led(topic_of(response, fixture_names[i]), fixture_counts[i]);
        assert_int_equal(response->controller_id, version >= 1 ? SERVE_KAFKA_NODE_ID : -1);
        if (version >= 2)
            assert_slice(response->cluster_id, "07070707-0707-0707-0707-070707070707");
    }
    fixture_free(f);
}

static void a_topic_that_is_not_there_is_an_error_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct proto_kafka_metadata_request_topic asked[] = {{.name = SLICE_LITERAL("nothing")},
                                                         {.name = SLICE_LITERAL("cars")}};
    struct proto_kafka_metadata_request request = {.allow_auto_topic_creation = true};
    request.topics.items = asked;
    request.topics.count = 2;
    for (int16_t version = 0; version <= 9; version++) {
        const struct proto_kafka_metadata_response *response =
            fixture_ask(f, PROTO_KAFKA_METADATA, version, &request);
        assert_int_equal(response->topics.count, 2);
        assert_int_equal(topic_of(response, "nothing")->error_code,
                         SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        assert_led(topic_of(response, "cars"), 2);
    }
    fixture_free(f);
}

static void a_name_that_no_topic_can_have_is_told_as_such(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", "..", "a topic", "\xff"};
    struct fixture *f = fixture_open(NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct proto_kafka_metadata_request_topic asked = {.name = slice_string(names[i])};
        struct proto_kafka_metadata_request request = {.allow_auto_topic_creation = true};
        request.topics.items = &asked;
        request.topics.count = 1;
        const struct proto_kafka_metadata_response *response =
            fixture_ask(f, PROTO_KAFKA_METADATA, 9, &request);
        assert_int_equal(response->topics.items[0].error_code, SERVE_KAFKA_INVALID_TOPIC);
    }
    fixture_free(f);
}

static void from_version_1_on_no_topic_means_none(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct proto_kafka_metadata_request_topic none;
    struct proto_kafka_metadata_request request = {0};
    request.topics.items = &none;
    for (int16_t version = 0; version <= 9; version++) {
        const struct proto_kafka_metadata_response *response =
            fixture_ask(f, PROTO_KAFKA_METADATA, version, &request);
        assert_int_equal(response->topics.count, version == 0 ? TOPICS : 0);
        assert_int_equal(response->brokers.count, 1);
    }
    fixture_free(f);
}

static struct fixture *prepare(void)
{
    return fixture_open(NULL);
}

static void check(struct fixture *f, void *response)
{
    (void)f;
    assert_led(topic_of(response, "cars"), 2);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct proto_kafka_metadata_request_topic asked = {.name = SLICE_LITERAL("cars")};
    struct proto_kafka_metadata_request request = {0};
    request.topics.items = &asked;
    request.topics.count = 1;
    fixture_each_allocation(prepare, PROTO_KAFKA_METADATA, 9, &request, check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_topics_are_told_with_one_leader_in_every_version),
        cmocka_unit_test(a_topic_that_is_not_there_is_an_error_of_its_own),
        cmocka_unit_test(a_name_that_no_topic_can_have_is_told_as_such),
        cmocka_unit_test(from_version_1_on_no_topic_means_none),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
