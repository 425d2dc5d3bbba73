#include "unit/server/world.h"

/* The whole answer to POST /v1/reload; freed by the caller. */
static char *reload(const struct world *w)
{
    return world_ask(w, ADMIN_PORT, "POST", "/v1/reload", NULL, NULL);
}

static void expect(const struct world *w, const char *status, const char *part)
{
    char *answer = reload(w);
    assert_has(answer, status);
    assert_has(answer, part);
    free(answer);
}

static void topics_come_change_and_go_while_the_server_runs(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_write(&w, "events.topic", "topic: events\n");
    expect(&w, "200", "{\"added\":[\"events\"],\"changed\":[],\"removed\":[]}");
    world_post(&w, "events", "{}\n", "\"accepted\":1,");
    world_write(&w, "flights.topic", "topic: flights\npartitions: 5\non_invalid: reject\n");
    expect(&w, "200", "\"changed\":[\"flights\"]");
    world_post(&w, "flights", "broken\n", "\"refused\":1,");
    assert_int_equal(unlink(world_path(&w, "events.topic")), 0);
    expect(&w, "200", "\"removed\":[\"events\"]");
    world_post(&w, "events", "{}\n", "404");
    expect(&w, "200", "{\"added\":[],\"changed\":[],\"removed\":[]}");
    world_until(&w, "/metrics", "garner_config_reloads_total{outcome=\"done\"} 4");
    world_stop(&w);
    world_done(&w);
}

static void a_mistake_changes_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    world_write(&w, "events.topic", "topic: events\n");
    world_write(&w, "flights.topic", "topic: flights\npartitions: 1\n");
    expect(&w, "422", "flights.topic:2:13: partitions: topic flights has 2 partitions");
    world_write(&w, "flights.topic", "topic: flights\npartitions: 0\n");
    expect(&w, "422", "flights.topic:2:13: partitions: expected");
    world_write(&w, "flights.topic", "topic: flights\npartitions: 2\n");
    world_configure(&w, "check_every: 2h\n");
    expect(&w, "422", "check_every has changed, which needs a restart");
    world_post(&w, "events", "{}\n", "404");
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_until(&w, "/metrics", "garner_config_reloads_total{outcome=\"refused\"} 3");
    world_stop(&w);
    world_done(&w);
}

static void a_schema_that_breaks_is_refused_with_each_break(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "flights.topic",
                "topic: flights\npartitions: 2\nschema: { type: jsonschema, file: s.json }\n");
    world_write(&w, "s.json", "{\"properties\":{\"n\":{\"type\":\"number\"}}}");
    world_start(&w);
    world_write(&w, "s.json",
                "{\"properties\":{\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]}");
    char *answer = reload(&w);
    assert_has(answer, "422");
    assert_has(answer, "not BACKWARD: #/properties/n/type: TYPE_NARROWED");
    assert_has(answer, "not BACKWARD: #/required/0: REQUIRED_ATTRIBUTE_ADDED");
    free(answer);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_write(&w, "s.json", "{\"properties\":{\"n\":{\"type\":[\"number\",\"null\"]}}}");
    expect(&w, "200", "\"changed\":[\"flights\"]");
    world_post(&w, "flights", "{\"n\":null}\n", "\"accepted\":1,");
    world_stop(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_come_change_and_go_while_the_server_runs),
        cmocka_unit_test(a_mistake_changes_nothing),
        cmocka_unit_test(a_schema_that_breaks_is_refused_with_each_break),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
