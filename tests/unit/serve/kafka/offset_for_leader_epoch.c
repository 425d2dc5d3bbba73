#include "unit/serve/kafka/fixture.h"

typedef struct proto_kafka_offset_for_leader_epoch_request request_t;
typedef struct proto_kafka_offset_for_leader_epoch_response response_t;
typedef struct proto_kafka_offset_for_leader_epoch_request_partition want_t;
typedef struct proto_kafka_offset_for_leader_epoch_response_partition answer_t;

struct ask {
    want_t wants[3];
    struct proto_kafka_offset_for_leader_epoch_request_topic topics[2];
    request_t request;
};

static void ask_init(struct ask *ask, const char *second)
{
    *ask = (struct ask){
        .wants = {{0, -1, 0}, {1, -1, 0}, {0, -1, 0}},
        .topics = {{.topic = SLICE_LITERAL("cars")}, {.topic = slice_string(second)}},
        .request = {.replica_id = -1},
    };
    ask->topics[0].partitions.items = ask->wants;
    ask->topics[0].partitions.count = 2;
    ask->topics[1].partitions.items = ask->wants + 2;
    ask->topics[1].partitions.count = 1;
    ask->request.topics.items = ask->topics;
    ask->request.topics.count = 2;
}

static void assert_answer(const answer_t *answer, int16_t code, int32_t epoch, int64_t end_offset)
{
    assert_int_equal(answer->error_code, code);
    assert_int_equal(answer->leader_epoch, epoch);
    assert_int_equal(answer->end_offset, end_offset);
}

static const answer_t *ask_one(struct fixture *f, int32_t partition, int32_t current, int32_t epoch)
{
    struct ask ask;
    ask_init(&ask, "planes");
    ask.wants[0] = (want_t){partition, current, epoch};
    const response_t *response =
        fixture_ask(f, PROTO_KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, &ask.request);
    assert_int_equal(response->topics.count, 2);
    assert_int_equal(response->topics.items[0].partitions.items[0].partition, partition);
    return &response->topics.items[0].partitions.items[0];
}

static void the_one_epoch_ends_where_the_partition_does(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, "planes");
    f->partitions[0][1].end_offset = 7;
    f->partitions[1][0].end_offset = 9;
    for (int16_t version = 2; version <= 4; version++) {
        const response_t *response =
            fixture_ask(f, PROTO_KAFKA_OFFSET_FOR_LEADER_EPOCH, version, &ask.request);
        assert_slice(response->topics.items[1].topic, "planes");
        assert_answer(&response->topics.items[0].partitions.items[0], SERVE_KAFKA_NONE, 0, 0);
        assert_answer(&response->topics.items[0].partitions.items[1], SERVE_KAFKA_NONE, 0, 7);
        assert_answer(&response->topics.items[1].partitions.items[0], SERVE_KAFKA_NONE, 0, 9);
    }
    fixture_free(f);
}

static void of_other_epochs_nothing_is_known(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    f->partitions[0][0].end_offset = 7;
    assert_answer(ask_one(f, 0, 0, 1), SERVE_KAFKA_NONE, -1, -1);
    assert_answer(ask_one(f, 0, -1, -1), SERVE_KAFKA_NONE, -1, -1);
    assert_answer(ask_one(f, 0, -1, INT32_MIN), SERVE_KAFKA_NONE, -1, -1);
    assert_answer(ask_one(f, 0, 0, 0), SERVE_KAFKA_NONE, 0, 7);
    fixture_free(f);
}

static void what_is_not_there_is_an_error_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    assert_answer(ask_one(f, 2, -1, 0), SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
    assert_answer(ask_one(f, -1, -1, 0), SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
    assert_answer(ask_one(f, 0, 1, 0), SERVE_KAFKA_UNKNOWN_LEADER_EPOCH, -1, -1);
    ask_init(&ask, "nothing");
    const response_t *response =
        fixture_ask(f, PROTO_KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, &ask.request);
    assert_answer(&response->topics.items[0].partitions.items[0], SERVE_KAFKA_NONE, 0, 0);
    assert_answer(&response->topics.items[1].partitions.items[0],
                  SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
    fixture_free(f);
}

static struct fixture *prepare(void)
{
    return fixture_open(NULL);
}

static void check(struct fixture *f, void *response)
{
    (void)f;
    const response_t *offsets = response;
    assert_answer(&offsets->topics.items[1].partitions.items[0], SERVE_KAFKA_NONE, 0, 0);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct ask ask;
    ask_init(&ask, "planes");
    fixture_each_allocation(prepare, PROTO_KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, &ask.request, check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_epoch_ends_where_the_partition_does),
        cmocka_unit_test(of_other_epochs_nothing_is_known),
        cmocka_unit_test(what_is_not_there_is_an_error_of_its_own),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
