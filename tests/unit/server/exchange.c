#include "unit/server/kafka.h"

/* Connections are given to the loops in turn: so many see each of the two. */
#define CONNECTIONS 6

static void every_loop_knows_a_topic_when_it_is_answered_and_forgets_it_so(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    for (int round = 0; round < 5; round++) {
        world_kafka_create(&k, "made", 2);
        assert_int_equal(world_kafka_created(&k, NULL), 0);
        for (int i = 0; i < CONNECTIONS; i++)
            world_post(&w, "made", "{}\n", "\"accepted\":1,");
        assert_int_equal(world_kafka_delete(&k, "made", NULL), 0);
        for (int i = 0; i < CONNECTIONS; i++)
            world_post(&w, "made", "{}\n", "HTTP/1.1 404 ");
    }
    /* Those that nobody has changed go on. */
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_kafka_close(&k);
    world_stop(&w);
    world_done(&w);
}

static void a_reload_keeps_what_clients_have_made(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    world_kafka_create(&k, "made", 1);
    assert_int_equal(world_kafka_created(&k, NULL), 0);
    world_write(&w, "orders.topic", "topic: orders\n");
    char *answer = world_ask(&w, ADMIN_PORT, "POST", "/v1/reload", NULL, NULL);
    assert_has(answer, "{\"added\":[\"orders\"],\"changed\":[],\"removed\":[]}");
    free(answer);
    for (int i = 0; i < CONNECTIONS; i++) {
        world_post(&w, "made", "{}\n", "\"accepted\":1,");
        world_post(&w, "orders", "{}\n", "\"accepted\":1,");
    }
    world_kafka_close(&k);
    world_stop(&w);
    world_done(&w);
}

static void a_contract_takes_a_topic_over(void **state)
{
    (void)state;
    struct world w;
    struct world_kafka k;
    world_init(&w);
    world_start(&w);
    world_kafka_open(&w, &k);
    world_kafka_create(&k, "made", 2);
    assert_int_equal(world_kafka_created(&k, NULL), 0);
    world_post(&w, "made", "{}\n", "\"accepted\":1,");
    world_write(&w, "made.topic", "topic: made\npartitions: 1\n");
    char *answer = world_ask(&w, ADMIN_PORT, "POST", "/v1/reload", NULL, NULL);
    assert_has(answer, "partitions: topic made has 2 partitions");
    free(answer);
    world_post(&w, "made", "{\n", "\"refused\":1,");
    world_write(&w, "made.topic", "topic: made\npartitions: 2\n");
    answer = world_ask(&w, ADMIN_PORT, "POST", "/v1/reload", NULL, NULL);
    assert_has(answer, "{\"added\":[\"made\"],\"changed\":[],\"removed\":[]}");
    free(answer);
    for (int i = 0; i < CONNECTIONS; i++)
        world_post(&w, "made", "{\n", "\"dead_lettered\":1,");
    world_kafka_close(&k);
    world_stop(&w);
    world_start(&w);
    world_post(&w, "made", "{\n", "\"dead_lettered\":1,");
    world_stop(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loop_knows_a_topic_when_it_is_answered_and_forgets_it_so),
        cmocka_unit_test(a_reload_keeps_what_clients_have_made),
        cmocka_unit_test(a_contract_takes_a_topic_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
