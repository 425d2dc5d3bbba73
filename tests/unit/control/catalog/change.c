#include "control/catalog/change.h"

#include "unit/control/world.h"

#define SCHEMA "schema: { type: jsonschema, file: s.json }\n"

/* The catalog of one contract, `contract`, with s.json being `schema`; `config` is for who asks. */
static struct control_catalog *load(struct world *w, const char *contract, const char *schema,
                                    struct control_config **out)
{
    struct control_config *config = NULL;
    struct control_catalog *catalog = NULL;
    world_again(w);
    world_put(w, "garner.yaml",
              "sinks: { lake: { type: file, topics: [t], path: x } }\ncontracts: [ t.yaml ]\n");
    world_put(w, "t.yaml", contract);
    world_put(w, "s.json", schema ? schema : "{}");
    assert_ok(control_config_load(&w->host, "garner.yaml", &config, &w->report));
    assert_ok(control_catalog_load(&w->host, config, &catalog, &w->report));
    if (out)
        *out = config;
    else
        control_config_free(&config);
    return catalog;
}

static void add_name(void *context, const struct control_catalog_difference *difference)
{
    struct buf *names = context;
    buf_add_string(names, names->size > 0 ? " " : "");
    buf_add_string(names, difference->name);
    assert_true((difference->option == NULL) == (strcmp(difference->name, "schema") == 0));
}

/* The fields that differ, and what a reload would refuse. */
static void expect(const char *from, const char *to, const char *fields, const char *errors)
{
    struct world w;
    struct buf names = {0};
    struct control_config *config = NULL;
    world_init(&w);
    struct control_catalog *a = load(&w, from, NULL, NULL);
    struct control_catalog *b = load(&w, to, NULL, &config);
    control_catalog_differences(&a->topics[0], &b->topics[0], add_name, &names);
    assert_slice(buf_slice(&names), fields);
    assert_int_equal(control_catalog_same(&a->topics[0], &b->topics[0]), fields[0] == '\0');
    assert_ok(control_catalog_may_follow(a, b, config, &w.report));
    world_expect(&w.report.errors, errors);
    buf_done(&names);
    control_catalog_free(&a);
    control_catalog_free(&b);
    control_config_free(&config);
    world_done(&w);
}

static void what_is_for_people_makes_no_difference(void **state)
{
    (void)state;
    expect("topic: t\n", "topic: t\ndescription: x\nowner: me\n", "", "");
    expect("topic: t\ndedup: { key: a, rate: 1 }\n", "topic: t\ndedup: { key: a, rate: 2 }\n", "",
           "");
    expect("topic: t\nretention: { time: 24h }\n", "topic: t\nretention: { time: 1d }\n", "", "");
}

static void each_field_is_named_by_its_path(void **state)
{
    (void)state;
    expect("topic: t\n",
           "topic: t\nkey: a\nevent_time: b\ncompatibility: FULL\non_invalid: reject\n"
           "dlq: { retention: 1d, size: 1MiB, when_full: drop_oldest }\n"
           "retention: { time: 1d, size: 1MiB, expire_undelivered: true }\ncompression: lz4\n",
           "key event_time compatibility on_invalid dlq.retention dlq.size dlq.when_full "
           "retention.time retention.size retention.expire_undelivered compression",
           "");
    expect("topic: t\n" SCHEMA, "topic: t\n", "schema", "");
}

static void partitions_are_never_lowered_and_raised_at_a_start_where_there_is_a_sink(void **state)
{
    (void)state;
    expect("topic: t\npartitions: 3\n", "topic: t\npartitions: 2\n", "partitions",
           "t.yaml:2:13: partitions: topic t has 3 partitions and cannot be lowered to 2, their "
           "records would be lost; expected at least 3\n");
    expect("topic: t\n", "topic: t\npartitions: 2\n", "partitions",
           "t.yaml:2:13: partitions: sink lake delivers topic t and takes further partitions at a "
           "start only, so this needs a restart\n");
}

static void dedup_needs_a_restart(void **state)
{
    (void)state;
    static const char error[] = "t.yaml:1:8: dedup: dedup of topic t has changed, which needs a "
                                "restart\n";
    expect("topic: t\n", "topic: t\ndedup: a\n", "dedup.key", error);
    expect("topic: t\ndedup: a\n", "topic: t\ndedup: { key: b, window: 1h }\n",
           "dedup.key dedup.window", error);
    expect("topic: t\ndedup: { key: a, memory: 2MiB }\n", "topic: t\ndedup: a\n", "dedup.memory",
           error);
}

static void a_schema_is_held_to_compatibility(void **state)
{
    (void)state;
    expect("topic: t\n", "topic: t\n" SCHEMA, "schema",
           "t.yaml:1:8: schema: topic t: not BACKWARD: #: SCHEMA_ADDED: what was any JSON gets a "
           "schema\n");
    expect("topic: t\n", "topic: t\ncompatibility: NONE\n" SCHEMA, "schema compatibility", "");
}

/* All refusals in one look, whichever comes first. */
static void every_refusal_is_told(void **state)
{
    (void)state;
    expect("topic: t\npartitions: 3\n", "topic: t\npartitions: 2\ndedup: a\n" SCHEMA,
           "partitions schema dedup.key",
           "t.yaml:2:13: partitions: topic t has 3 partitions and cannot be lowered to 2, their "
           "records would be lost; expected at least 3\n"
           "t.yaml:2:13: dedup: dedup of topic t has changed, which needs a restart\n"
           "t.yaml:2:13: schema: topic t: not BACKWARD: #: SCHEMA_ADDED: what was any JSON gets a "
           "schema\n");
}

static void a_schema_is_another_by_what_it_says(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct control_catalog *a = load(&w, "topic: t\n" SCHEMA, "{\"type\":\"object\"}", NULL);
    struct control_catalog *b = load(&w, "topic: t\n" SCHEMA, "{ \"type\" : \"object\" }\n", NULL);
    struct control_catalog *c = load(&w, "topic: t\n" SCHEMA, "{\"type\":\"string\"}", NULL);
    struct control_catalog *d =
        load(&w, "topic: t\nschema: { type: jsonschema, file: s.json, format_assertion: true }\n",
             "{\"type\":\"object\"}", NULL);
    assert_true(control_catalog_same(&a->topics[0], &b->topics[0]));
    assert_false(control_catalog_same(&a->topics[0], &c->topics[0]));
    assert_false(control_catalog_same(&a->topics[0], &d->topics[0]));
    control_catalog_free(&a);
    control_catalog_free(&b);
    control_catalog_free(&c);
    control_catalog_free(&d);
    world_done(&w);
}

/* "-" of a side that does not have the topic. */
static void the_walk_meets_each_topic_once(void **state)
{
    (void)state;
    const struct control_catalog_topic left[] = {{.name = "a"}, {.name = "b"}, {.name = "d"}};
    const struct control_catalog_topic right[] = {{.name = "b"}, {.name = "c"}, {.name = "e"}};
    const struct control_catalog from = {.topics = left, .topic_count = 3};
    const struct control_catalog to = {.topics = right, .topic_count = 3};
    struct control_catalog_changes walk = {.from = &from, .to = &to};
    struct control_catalog_change change;
    struct buf text = {0};
    while (control_catalog_changes_next(&walk, &change))
        buf_add_format(&text, "%s%s ", change.from ? change.from->name : "-",
                       change.to ? change.to->name : "-");
    assert_slice(buf_slice(&text), "a- bb -c d- -e ");
    buf_done(&text);
    const struct control_catalog none = {0};
    walk = (struct control_catalog_changes){.from = &none, .to = &none};
    assert_false(control_catalog_changes_next(&walk, &change));
}

static void what_stays_is_in_force_since_it_was(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct control_catalog *a = load(&w, "topic: t\n", NULL, NULL);
    struct control_catalog *b = load(&w, "topic: t\nowner: me\n", NULL, NULL);
    struct control_catalog *c = load(&w, "topic: t\nkey: a\n", NULL, NULL);
    control_catalog_come_into_force(a, NULL, 1);
    control_catalog_come_into_force(b, a, 2);
    control_catalog_come_into_force(c, b, 3);
    assert_true(a->since_ms[0] == 1 && b->since_ms[0] == 1 && c->since_ms[0] == 3);
    control_catalog_free(&a);
    control_catalog_free(&b);
    control_catalog_free(&c);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_for_people_makes_no_difference),
        cmocka_unit_test(each_field_is_named_by_its_path),
        cmocka_unit_test(partitions_are_never_lowered_and_raised_at_a_start_where_there_is_a_sink),
        cmocka_unit_test(dedup_needs_a_restart),
        cmocka_unit_test(a_schema_is_held_to_compatibility),
        cmocka_unit_test(every_refusal_is_told),
        cmocka_unit_test(a_schema_is_another_by_what_it_says),
        cmocka_unit_test(the_walk_meets_each_topic_once),
        cmocka_unit_test(what_stays_is_in_force_since_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
