#include "unit/serve/kafka/fixture.h"

typedef struct proto_kafka_list_offsets_response_partition answer_t;

/* Asks about one partition. */
static const answer_t *ask_at(struct fixture *f, int16_t version, const char *topic,
                              int32_t partition, int64_t timestamp_ms, int32_t leader_epoch)
{
    struct proto_kafka_list_offsets_request_partition want = {
        .partition_index = partition,
        .current_leader_epoch = leader_epoch,
        .timestamp = timestamp_ms,
    };
    struct proto_kafka_list_offsets_request_topic asked = {.name = slice_string(topic)};
    struct proto_kafka_list_offsets_request request = {.replica_id = -1};
    asked.partitions.items = &want;
    asked.partitions.count = 1;
    request.topics.items = &asked;
    request.topics.count = 1;
    const struct proto_kafka_list_offsets_response *response =
        fixture_ask(f, PROTO_KAFKA_LIST_OFFSETS, version, &request);
    assert_int_equal(response->topics.count, 1);
    assert_slice(response->topics.items[0].name, topic);
    assert_int_equal(response->topics.items[0].partitions.count, 1);
    assert_int_equal(response->topics.items[0].partitions.items[0].partition_index, partition);
    return &response->topics.items[0].partitions.items[0];
}

static const answer_t *ask(struct fixture *f, int16_t version, int64_t timestamp_ms)
{
    return ask_at(f, version, "cars", 1, timestamp_ms, -1);
}

static void assert_answer(const answer_t *answer, int16_t code, int64_t offset,
                          int64_t timestamp_ms)
{
    assert_int_equal(answer->error_code, code);
    assert_int_equal(answer->offset, offset);
    assert_int_equal(answer->timestamp, timestamp_ms);
}

static void where_a_partition_begins_and_ends_is_told_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    f->partitions[0][1].start_offset = 3;
    f->partitions[0][1].end_offset = 10;
    for (int16_t version = 1; version <= 7; version++) {
        assert_answer(ask(f, version, -1), SERVE_KAFKA_NONE, 10, -1);
        assert_answer(ask(f, version, -2), SERVE_KAFKA_NONE, 3, -1);
    }
    f->partitions[0][1].end_offset = 11;
    assert_answer(ask(f, 7, -1), SERVE_KAFKA_NONE, 11, -1);
    fixture_free(f);
}

static void a_time_is_looked_for_in_the_log(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    f->find_offset = 7;
    f->find_timestamp_ms = 1500;
    for (int16_t version = 1; version <= 7; version++) {
        assert_answer(ask(f, version, 1234), SERVE_KAFKA_NONE, 7, 1500);
        assert_int_equal(f->find_wanted, 1234);
    }
    /* No record is so late. */
    f->find_timestamp_ms = -1;
    assert_answer(ask(f, 7, 0), SERVE_KAFKA_NONE, -1, -1);
    f->find_error = ERR_IO;
    assert_answer(ask(f, 7, 0), SERVE_KAFKA_KAFKA_STORAGE_ERROR, -1, -1);
    fixture_free(f);
}

static void the_highest_time_is_told_from_version_7_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    f->find_offset = 7;
    f->find_timestamp_ms = 1500;
    assert_answer(ask(f, 6, -3), SERVE_KAFKA_UNSUPPORTED_VERSION, -1, -1);
    assert_int_equal(f->find_wanted, 0);
    assert_answer(ask(f, 7, -3), SERVE_KAFKA_NONE, 7, 1500);
    assert_int_equal(f->find_wanted, FLOW_FIND_MAX);
    assert_answer(ask(f, 7, -4), SERVE_KAFKA_UNSUPPORTED_VERSION, -1, -1);
    assert_answer(ask(f, 7, INT64_MIN), SERVE_KAFKA_UNSUPPORTED_VERSION, -1, -1);
    fixture_free(f);
}

static void what_is_not_there_is_an_error_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    static const int64_t times[] = {-1, -2, 1234};
    for (size_t i = 0; i < 3; i++) {
        assert_answer(ask_at(f, 7, "nothing", 0, times[i], -1),
                      SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        assert_answer(ask_at(f, 7, "cars", 2, times[i], -1), SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                      -1, -1);
        assert_answer(ask_at(f, 7, "cars", -1, times[i], -1),
                      SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        assert_answer(ask_at(f, 7, "cars", INT32_MAX, times[i], -1),
                      SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
    }
    fixture_free(f);
}

static void an_epoch_that_there_has_not_been_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    assert_answer(ask_at(f, 7, "cars", 0, -1, 0), SERVE_KAFKA_NONE, 0, -1);
    assert_answer(ask_at(f, 7, "cars", 0, -1, 1), SERVE_KAFKA_UNKNOWN_LEADER_EPOCH, -1, -1);
    assert_answer(ask_at(f, 3, "cars", 0, -1, 1), SERVE_KAFKA_NONE, 0, -1);
    fixture_free(f);
}

static void many_partitions_of_many_topics_each_have_their_answer(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct proto_kafka_list_offsets_request_partition wants[] = {{0, -1, -1}, {1, -1, 5}};
    struct proto_kafka_list_offsets_request_topic asked[3] = {{.name = SLICE_LITERAL("cars")},
                                                              {.name = SLICE_LITERAL("empty")},
                                                              {.name = SLICE_LITERAL("planes")}};
    struct proto_kafka_list_offsets_request request = {.replica_id = -1};
    f->partitions[0][0].end_offset = 4;
    f->find_offset = 2;
    f->find_timestamp_ms = 6;
    asked[0].partitions.items = asked[2].partitions.items = wants;
    asked[0].partitions.count = asked[2].partitions.count = 2;
    asked[1].partitions.items = wants;
    request.topics.items = asked;
    request.topics.count = 3;
    const struct proto_kafka_list_offsets_response *response =
        fixture_ask(f, PROTO_KAFKA_LIST_OFFSETS, 7, &request);
    assert_int_equal(response->topics.count, 3);
    assert_answer(&response->topics.items[0].partitions.items[0], SERVE_KAFKA_NONE, 4, -1);
    assert_answer(&response->topics.items[0].partitions.items[1], SERVE_KAFKA_NONE, 2, 6);
    assert_int_equal(response->topics.items[1].partitions.count, 0);
    assert_answer(&response->topics.items[2].partitions.items[0], SERVE_KAFKA_NONE, 0, -1);
    assert_answer(&response->topics.items[2].partitions.items[1],
                  SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
    fixture_free(f);
}

static struct fixture *prepare(void)
{
    struct fixture *f = fixture_open(NULL);
    f->partitions[0][0].end_offset = 4;
    return f;
}

static void check(struct fixture *f, void *response)
{
    (void)f;
    const struct proto_kafka_list_offsets_response *offsets = response;
    assert_int_equal(offsets->topics.items[0].partitions.items[0].offset, 4);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    /* As many as make the answer take memory of its own. */
    struct proto_kafka_list_offsets_request_partition wants[200];
    struct proto_kafka_list_offsets_request_topic asked = {.name = SLICE_LITERAL("cars")};
    struct proto_kafka_list_offsets_request request = {.replica_id = -1};
    for (size_t i = 0; i < 200; i++)
        wants[i] = (struct proto_kafka_list_offsets_request_partition){0, -1, -1};
    asked.partitions.items = wants;
    asked.partitions.count = 200;
    request.topics.items = &asked;
    request.topics.count = 1;
    fixture_each_allocation(prepare, PROTO_KAFKA_LIST_OFFSETS, 7, &request, check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_a_partition_begins_and_ends_is_told_in_every_version),
        cmocka_unit_test(a_time_is_looked_for_in_the_log),
        cmocka_unit_test(the_highest_time_is_told_from_version_7_on),
        cmocka_unit_test(what_is_not_there_is_an_error_of_its_own),
        cmocka_unit_test(an_epoch_that_there_has_not_been_is_told),
        cmocka_unit_test(many_partitions_of_many_topics_each_have_their_answer),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
