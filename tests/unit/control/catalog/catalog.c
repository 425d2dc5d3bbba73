#include "control/catalog/catalog.h"

#include "unit/control/world.h"

/* Loads garner.yaml, which is right, and its contracts; expects the errors `errors`. */
static struct control_catalog *load(struct world *w, const char *errors)
{
    struct control_config *config = NULL;
    struct control_catalog *catalog = NULL;
    world_again(w);
    assert_ok(control_config_load(&w->host, "garner.yaml", &config, &w->report));
    err_t err = control_catalog_load(&w->host, config, &catalog, &w->report);
    control_config_free(&config);
    world_expect(&w->report.errors, errors);
    assert_true(err_is(err, errors[0] ? ERR_CONFIG : ERR_OK));
    assert_true((catalog == NULL) == (errors[0] != '\0'));
    return catalog;
}

static void two_topics(struct world *w)
{
    world_init(w);
    world_put(w, "garner.yaml", "");
    world_put(w, "contracts/1.yaml", "topic: flights\npartitions: 3\n");
    world_put(w, "contracts/2.yaml", "topic: events\n");
}

static void contracts_are_sorted_by_topic_and_outlive_the_configuration(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    struct control_catalog *catalog = load(&w, "");
    assert_int_equal(catalog->topic_count, 2);
    assert_string_equal(catalog->topics[0].name, "events");
    assert_string_equal(catalog->topics[1].name, "flights");
    assert_string_equal(catalog->topics[1].file, "contracts/1.yaml");
    assert_int_equal(catalog->topics[1].partitions, 3);
    control_catalog_free(&catalog);
    assert_null(catalog);
    control_catalog_free(&catalog);
    world_done(&w);
}

static void no_contract_is_an_empty_catalog(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "garner.yaml", "");
    struct control_catalog *catalog = load(&w, "");
    assert_int_equal(catalog->topic_count, 0);
    assert_null(control_catalog_find(catalog, SLICE_LITERAL("a")));
    control_catalog_free(&catalog);
    world_done(&w);
}

static void a_topic_is_found_by_all_of_its_name(void **state)
{
    (void)state;
    struct control_catalog_topic topics[] = {
        {.name = "a"}, {.name = "a.b"}, {.name = "aa"}, {.name = "b"}, {.name = "c"}};
    for (size_t count = 0; count <= 5; count++) {
        const struct control_catalog catalog = {.topics = topics, .topic_count = count};
        for (size_t i = 0; i < 5; i++)
            assert_ptr_equal(control_catalog_find(&catalog, slice_string(topics[i].name)),
                             i < count ? &topics[i] : NULL);
        assert_null(control_catalog_find(&catalog, SLICE_LITERAL("")));
        assert_null(control_catalog_find(&catalog, SLICE_LITERAL("a.")));
        assert_null(control_catalog_find(&catalog, SLICE_LITERAL("d")));
    }
}

static void two_contracts_for_one_topic_are_refused(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "contracts/3.yaml", "owner: me\ntopic: flights\n");
    load(&w, "contracts/3.yaml:2:8: topic: expected one contract for a topic, 'flights' has "
             "another in contracts/1.yaml:1:8\n");
    world_done(&w);
}

static void one_broken_contract_leaves_no_catalog(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "garner.yaml", "sinks: { s: { type: 'null', topics: [flights] } }\n");
    world_put(&w, "contracts/1.yaml", "topic: flights\npartitions: x\n");
    world_put(&w, "contracts/3.yaml", "topic: [\n");
    load(&w, "contracts/1.yaml:2:13: partitions: expected a whole number from 1 to 10000, got "
             "'x'\n"
             "contracts/3.yaml:2:1: topic: expected YAML: did not find expected node content\n");
    world_done(&w);
}

static void a_contract_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_fail(&w, "contracts/2.yaml", ERR_PERMISSION);
    load(&w, "contracts/2.yaml:1:1: (root): expected a file that can be read: contracts/2.yaml: "
             "permission denied\n");
    world_done(&w);
}

static void all_partitions_together_are_limited(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "contracts/2.yaml", "topic: events\npartitions: 9997\n");
    struct control_catalog *catalog = load(&w, "");
    control_catalog_free(&catalog);
    world_put(&w, "contracts/2.yaml", "topic: events\npartitions: 9998\n");
    world_put(&w, "contracts/3.yaml", "topic: zebras\n");
    load(&w, "contracts/1.yaml:1:1: (root): expected at most 10000 partitions in all topics "
             "together\n");
    world_done(&w);
}

static void a_sink_may_deliver_topics_and_their_dead_letters(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "garner.yaml", "sinks: { s: { type: 'null', topics: [flights, events.dlq] } }\n");
    struct control_catalog *catalog = load(&w, "");
    control_catalog_free(&catalog);
    world_done(&w);
}

static void a_sinks_topics_must_have_contracts(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "garner.yaml",
              "sinks:\n"
              "  s: { type: 'null', topics: [flihgts, other.dlq, .dlq, flights.dlq.dlq] }\n");
    load(&w, "garner.yaml:2:31: sinks.s.topics[0]: expected a topic with a contract, got "
             "'flihgts', did you mean 'flights'?\n"
             "garner.yaml:2:40: sinks.s.topics[1]: expected a topic with a contract, got "
             "'other.dlq'\n"
             "garner.yaml:2:51: sinks.s.topics[2]: expected a topic with a contract, got '.dlq'\n"
             "garner.yaml:2:57: sinks.s.topics[3]: expected a topic with a contract, got "
             "'flights.dlq.dlq'\n");
    world_done(&w);
}

static void values_come_from_outside_here_too(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "contracts/2.yaml", "topic: t${PORT}\ndescription: ${file:text}\n");
    world_put(&w, "contracts/text", "beside it\n");
    struct control_catalog *catalog = load(&w, "");
    const struct control_catalog_topic *t = control_catalog_find(catalog, SLICE_LITERAL("t8081"));
    assert_string_equal(t->description, "beside it");
    control_catalog_free(&catalog);
    world_done(&w);
}

static void a_topics_schema_belongs_to_the_catalog(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "contracts/2.yaml",
              "topic: events\nschema: { type: jsonschema, file: s.json }\n");
    world_put(&w, "contracts/s.json", "{\"type\": \"object\"}");
    struct control_catalog *catalog = load(&w, "");
    assert_int_equal(catalog->schema_count, 1);
    assert_ptr_equal(catalog->topics[0].schema.json, catalog->schemas[0]);
    assert_string_equal(catalog->topics[0].schema.file, "/here/contracts/s.json");
    assert_null(catalog->topics[1].schema.json);
    control_catalog_free(&catalog);
    /* A wrong one beside a right one: what was compiled goes with the rest. */
    world_put(&w, "contracts/1.yaml",
              "topic: flights\nschema: { type: jsonschema, file: t.json }\n");
    world_put(&w, "contracts/t.json", "[]");
    load(&w, "contracts/1.yaml:2:35: schema.file: expected a JSON Schema: t.json#: expected a "
             "schema (an object or a boolean), got array\n");
    world_done(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    two_topics(&w);
    world_put(&w, "garner.yaml", "sinks: { s: { type: 'null', topics: [flights] } }\n");
    world_put(&w, "contracts/2.yaml", "topic: events\nkey: a.b\n");
    struct control_config *config = NULL;
    assert_ok(control_config_load(&w.host, "garner.yaml", &config, &w.report));
    err_t err = err_make(ERR_MEMORY);
    uint64_t n = 1;
    for (; err_is(err, ERR_MEMORY); n++) {
        struct control_catalog *catalog = NULL;
        world_again(&w);
        mem_fail_after(n);
        err = control_catalog_load(&w.host, config, &catalog, &w.report);
        mem_fail_after(0);
        assert_true(err_is_ok(err) == (catalog != NULL));
        control_catalog_free(&catalog);
    }
    assert_ok(err);
    assert_true(n > 10);
    control_config_free(&config);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contracts_are_sorted_by_topic_and_outlive_the_configuration),
        cmocka_unit_test(no_contract_is_an_empty_catalog),
        cmocka_unit_test(a_topic_is_found_by_all_of_its_name),
        cmocka_unit_test(two_contracts_for_one_topic_are_refused),
        cmocka_unit_test(one_broken_contract_leaves_no_catalog),
        cmocka_unit_test(a_contract_that_cannot_be_read_is_an_error),
        cmocka_unit_test(all_partitions_together_are_limited),
        cmocka_unit_test(a_sink_may_deliver_topics_and_their_dead_letters),
        cmocka_unit_test(a_sinks_topics_must_have_contracts),
        cmocka_unit_test(values_come_from_outside_here_too),
        cmocka_unit_test(a_topics_schema_belongs_to_the_catalog),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
