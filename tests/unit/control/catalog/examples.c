#include "control/catalog/examples.h"

#include "unit/control/world.h"

/* Loads the one contract; its topic is the catalog's first. */
static struct control_catalog *load(struct world *w, struct control_config **config,
                                    const char *contract)
{
    struct control_catalog *catalog = NULL;
    world_put(w, "garner.yaml", "data_dir: /data\n");
    world_put(w, "contracts/1.yaml", contract);
    assert_ok(control_config_load(&w->host, "garner.yaml", config, &w->report));
    assert_ok(control_catalog_load(&w->host, *config, &catalog, &w->report));
    return catalog;
}

static void unload(struct world *w, struct control_config **config,
                   struct control_catalog **catalog)
{
    control_catalog_free(catalog);
    control_config_free(config);
    world_done(w);
}

static void expect_files(const struct option_strings *files, const char *expected)
{
    struct buf text = {0};
    for (size_t i = 0; i < files->count; i++)
        buf_add_format(&text, "%s\n", files->items[i]);
    buf_add_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
    buf_done(&text);
}

static void patterns_begin_at_the_contract_and_keep_their_order(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct control_config *config = NULL;
    struct control_catalog *catalog =
        load(&w, &config,
             "topic: a\nexamples:\n  valid: [z.json, 'b/v?.ndjson']\n  invalid: [b/*.json]\n");
    world_put(&w, "contracts/z.json", "");
    world_put(&w, "contracts/b/v2.ndjson", "");
    world_put(&w, "contracts/b/v1.ndjson", "");
    world_put(&w, "contracts/b/x.json", "");
    world_put(&w, "b/v3.ndjson", "");
    struct arena arena;
    arena_init(&arena, 0);
    struct control_catalog_example_files files = {0};
    assert_true(
        control_catalog_examples_find(&w.disk, &catalog->topics[0], &arena, &w.report, &files));
    expect_files(&files.of[CONTROL_CATALOG_VALID],
                 "contracts/z.json\ncontracts/b/v1.ndjson\ncontracts/b/v2.ndjson\n");
    expect_files(&files.of[CONTROL_CATALOG_INVALID], "contracts/b/x.json\n");
    arena_done(&arena);
    unload(&w, &config, &catalog);
}

static void every_pattern_must_match_and_each_that_does_not_is_told(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct control_config *config = NULL;
    struct control_catalog *catalog = load(
        &w, &config,
        "topic: a\nexamples: { valid: [there.json, gone.json], invalid: ['', '*.no', b/*] }\n");
    world_put(&w, "contracts/there.json", "1");
    world_put(&w, "contracts/b/x", "1");
    world_fail(&w, "contracts/b", ERR_IO);
    struct arena arena;
    arena_init(&arena, 0);
    struct control_catalog_example_files files = {0};
    assert_false(
        control_catalog_examples_find(&w.disk, &catalog->topics[0], &arena, &w.report, &files));
    assert_int_equal(files.of[CONTROL_CATALOG_VALID].count, 0);
    world_expect(
        &w.report.errors,
        "contracts/1.yaml:2:33: examples.valid[1]: expected a pattern that matches a file, got "
        "'gone.json'\n"
        "contracts/1.yaml:2:55: examples.invalid[0]: expected a pattern that matches a file, got "
        "''\n"
        "contracts/1.yaml:2:59: examples.invalid[1]: expected a pattern that matches a file, got "
        "'*.no'\n"
        "contracts/1.yaml:2:67: examples.invalid[2]: expected files that can be read: "
        "contracts/b: input/output error\n");
    arena_done(&arena);
    unload(&w, &config, &catalog);
}

static void errors_stand_at_the_list_or_at_the_topic(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct control_config *config = NULL;
    struct control_catalog *catalog = load(&w, &config, "topic: a\nexamples: { invalid: [x] }\n");
    const struct control_catalog_topic *topic = &catalog->topics[0];
    control_catalog_examples_error(topic, CONTROL_CATALOG_INVALID, &w.report, "expected %d", 1);
    control_catalog_examples_error(topic, CONTROL_CATALOG_VALID, &w.report, "expected %d", 2);
    world_expect(&w.report.errors, "contracts/1.yaml:1:8: examples: expected 2\n"
                                   "contracts/1.yaml:2:22: examples.invalid: expected 1\n");
    assert_string_equal(control_catalog_example_name(CONTROL_CATALOG_INVALID), "invalid");
    unload(&w, &config, &catalog);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct control_config *config = NULL;
    struct control_catalog *catalog = load(&w, &config, "topic: a\nexamples: { valid: [x] }\n");
    world_put(&w, "contracts/x", "1");
    bool found = false;
    for (uint64_t n = 1; !found; n++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct control_catalog_example_files files = {0};
        world_again(&w);
        mem_fail_after(n);
        found =
            control_catalog_examples_find(&w.disk, &catalog->topics[0], &arena, &w.report, &files);
        mem_fail_after(0);
        assert_int_equal(w.report.memory_failed, !found);
        assert_true(n > 1 || !found);
        arena_done(&arena);
    }
    unload(&w, &config, &catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_begin_at_the_contract_and_keep_their_order),
        cmocka_unit_test(every_pattern_must_match_and_each_that_does_not_is_told),
        cmocka_unit_test(errors_stand_at_the_list_or_at_the_topic),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
