#include "unit/server/kafka.h"

#define EXISTS 36
#define INVALID_PARTITIONS 37
#define PLACEMENT 39
#define POLICY 44
#define UNKNOWN 3

static void a_topic_is_made_without_a_contract_and_stays(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    struct slice text;
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    world_kafka_create(&k, "made", 3);
    assert_int_equal(world_kafka_created(&k, NULL), 0);
    world_post(&w, "made", "{}\n", "\"accepted\":1,");
    /* There is no queue for what is no JSON. */
    world_post(&w, "made", "{\n", "\"refused\":1,");
    char *topics = world_get(&w, "/v1/topics/made");
    assert_has(topics, "\"contract\":false,\"dlq_of\":null,\"dlq\":null,\"partition_count\":3");
    assert_has(topics, "\"retention_ms\":604800000,");
    free(topics);
    world_kafka_create(&k, "made", 3);
    assert_int_equal(world_kafka_created(&k, &text), EXISTS);
    assert_told(text, "topic made exists already");
    world_kafka_close(&k);
    world_stop(&w);
    world_start(&w);
    world_post(&w, "made", "{}\n{}\n", "\"accepted\":2,");
    char *ledger = world_get(&w, "/v1/ledger");
    assert_has(ledger, "{\"balanced\":true,");
    assert_has(ledger, "\"made\":{\"received\":4,\"accepted\":3,");
    free(ledger);
    world_stop(&w);
    world_done(&w);
}

static void what_is_not_a_clients_is_left_alone_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *told;
        int16_t code;
    } refused[] = {
        {"flights", "is declared by its contract", POLICY},
        {"flights", "flights.topic: change it there and reload", POLICY},
        {"flights.dlq", "holds dead letters", POLICY},
        {"orders", "had a contract that is gone", POLICY},
        {"orders", "DELETE /v1/topics/orders?confirm=orders", POLICY},
        {"_contracts", "is garner's own", POLICY},
        {"none", "no such topic", UNKNOWN},
    };
    struct world w;
    struct world_kafka k;
    struct slice text;
    world_init(&w);
    world_write(&w, "s.json", "{}");
    world_write(&w, "orders.topic", "topic: orders\nschema: { type: jsonschema, file: s.json }\n");
    world_start(&w);
    world_stop(&w);
    assert_int_equal(remove(world_path(&w, "orders.topic")), 0);
    world_start(&w);
    world_kafka_open(&w, &k);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(world_kafka_delete(&k, refused[i].name, &text), refused[i].code);
        assert_told(text, refused[i].told);
    }
    /* Nor is a name taken that contracts, their queues or the server may come to need. */
    static const char *const names[] = {"new.dlq", "_new"};
    for (size_t i = 0; i < 2; i++) {
        world_kafka_create(&k, names[i], 1);
        assert_int_equal(world_kafka_created(&k, &text), POLICY);
        assert_told(text, "expected a name that does not");
    }
    world_kafka_close(&k);
    world_stop(&w);
    world_done(&w);
}

static void partitions_are_limited_over_all_topics(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    struct slice text;
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    /* With the two of flights and the one of its queue. */
    world_kafka_create(&k, "large", FLOW_PARTITIONS_MAX - 3);
    assert_int_equal(world_kafka_created(&k, NULL), 0);
    world_kafka_create(&k, "more", 1);
    assert_int_equal(world_kafka_created(&k, &text), INVALID_PARTITIONS);
    assert_told(text, "there are 10000 partitions, and 10000 at the most: 1 more do not fit");
    assert_int_equal(world_kafka_delete(&k, "large", NULL), 0);
    world_kafka_create(&k, "more", 1);
    assert_int_equal(world_kafka_created(&k, NULL), 0);
    world_kafka_close(&k);
    world_stop(&w);
    world_done(&w);
}

/* Kafka's rule: as many as come, where there is a list at all. */
static void each_partition_that_comes_has_its_assignment(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    struct slice text;
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    world_kafka_create(&k, "made", 2);
    assert_int_equal(world_kafka_created(&k, NULL), 0);
    static const int wrong[] = {0, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(world_kafka_raise(&k, "made", 4, wrong[i], &text), PLACEMENT);
        assert_told(text, "expected an assignment for each of the 2 that come, got ");
    }
    assert_int_equal(world_kafka_raise(&k, "made", 2, 2, NULL), INVALID_PARTITIONS);
    assert_int_equal(world_kafka_raise(&k, "made", 4, 2, NULL), 0);
    assert_int_equal(world_kafka_raise(&k, "made", 5, -1, NULL), 0);
    char *topics = world_get(&w, "/v1/topics/made");
    assert_has(topics, "\"partition_count\":5");
    free(topics);
    world_kafka_close(&k);
    world_stop(&w);
    world_done(&w);
}

#define MANY 40

/* Both exchange the topics of all loops, so neither may begin within the other. */
static void changes_and_reloads_wait_for_each_other(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    char name[32];
    char contract[64];
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "made-%d", i);
        world_kafka_create(&k, name, 1 + i % 3);
        if (i % 8 != 0)
            continue;
        snprintf(contract, sizeof(contract), "topic: contract-%d\n", i);
        snprintf(name, sizeof(name), "contract-%d.topic", i);
        world_write(&w, name, contract);
        char *answer = world_ask(&w, ADMIN_PORT, "POST", "/v1/reload", NULL, NULL);
        assert_has(answer, "{\"reloaded\":true,");
        free(answer);
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(world_kafka_created(&k, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "made-%d", i);
        world_post(&w, name, "{}\n", "\"accepted\":1,");
        snprintf(name, sizeof(name), "contract-%d", i);
        if (i % 8 == 0)
            world_post(&w, name, "{}\n", "\"accepted\":1,");
    }
    world_kafka_close(&k);
    world_stop(&w);
    world_done(&w);
}

/* A change that is under way when the server is told to stop is answered all the same. */
static void a_stop_waits_for_what_was_asked(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    char name[32];
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    world_kafka_create(&k, "first", 1);
    assert_int_equal(world_kafka_created(&k, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "made-%d", i);
        world_kafka_create(&k, name, 1);
    }
    world_stop(&w);
    int answered = 0;
    uint8_t head[4];
    while (recv(k.fd, head, sizeof(head), MSG_PEEK | MSG_WAITALL) == sizeof(head)) {
        assert_int_equal(world_kafka_created(&k, NULL), 0);
        answered++;
    }
    world_kafka_close(&k);
    world_start(&w);
    for (int i = 0; i < answered; i++) {
        snprintf(name, sizeof(name), "made-%d", i);
        world_post(&w, name, "{}\n", "\"accepted\":1,");
    }
    world_stop(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_made_without_a_contract_and_stays),
        cmocka_unit_test(what_is_not_a_clients_is_left_alone_and_says_why),
        cmocka_unit_test(partitions_are_limited_over_all_topics),
        cmocka_unit_test(each_partition_that_comes_has_its_assignment),
        cmocka_unit_test(changes_and_reloads_wait_for_each_other),
        cmocka_unit_test(a_stop_waits_for_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
