#include "unit/server/world.h"

static void write_schema(struct world *w, const char *type)
{
    char schema[64];
    snprintf(schema, sizeof(schema), "{\"type\":\"%s\"}", type);
    world_write(w, "flights.json", schema);
}

static void write_contract(struct world *w, const char *compatibility)
{
    char contract[160];
    snprintf(contract, sizeof(contract),
             "topic: flights\npartitions: 2\ncompatibility: %s\n"
             "schema: { type: jsonschema, file: flights.json }\n",
             compatibility);
    world_write(w, "flights.topic", contract);
}

static void expect(const struct world *w, const char *method, const char *path, const char *part)
{
    char *answer = world_ask(w, ADMIN_PORT, method, path, NULL, NULL);
    assert_has(answer, part);
    free(answer);
}

static void what_was_in_force_is_known_after_a_start(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    write_contract(&w, "NONE");
    write_schema(&w, "integer");
    world_start(&w);
    write_schema(&w, "string");
    expect(&w, "POST", "/v1/reload", "\"changed\":[\"flights\"]");
    world_stop(&w);
    /* A start takes what there is, and notes it. */
    write_schema(&w, "boolean");
    world_start(&w);
    expect(&w, "GET", "/v1/contracts/flights", "\"document\":{\"type\":\"integer\"}},{");
    expect(&w, "GET", "/v1/contracts/flights", "\"document\":{\"type\":\"string\"}}]}");
    write_contract(&w, "BACKWARD_TRANSITIVE");
    write_schema(&w, "null");
    expect(&w, "POST", "/v1/reload", "not BACKWARD with that of");
    world_stop(&w);
    world_done(&w);
}

static void without_a_schema_there_is_no_topic_for_them(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    expect(&w, "GET", "/v1/topics/_contracts", "404");
    write_contract(&w, "NONE");
    write_schema(&w, "integer");
    expect(&w, "POST", "/v1/reload", "\"changed\":[\"flights\"]");
    expect(&w, "GET", "/v1/topics/_contracts", "200");
    expect(&w, "GET", "/v1/topics/_contracts/records", "flights");
    world_stop(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_in_force_is_known_after_a_start),
        cmocka_unit_test(without_a_schema_there_is_no_topic_for_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
