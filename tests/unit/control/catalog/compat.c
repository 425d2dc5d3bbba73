#include "control/catalog/compat.h"

#include "control/catalog/versions.h"

#include "unit/control/world.h"

#define WIDE "{\"type\":[\"integer\",\"string\"]}"
#define NARROW "{\"type\":\"integer\"}"

static struct control_catalog *load(struct world *w, const char *kind, const char *schema)
{
    struct control_config *config = NULL;
    struct control_catalog *catalog = NULL;
    char contract[256];
    snprintf(contract, sizeof(contract), "topic: t\ncompatibility: %s\n%s", kind,
             schema ? "schema: { type: jsonschema, file: s.json }\n" : "");
    world_again(w);
    world_put(w, "garner.yaml", "");
    world_put(w, "contracts/t.yaml", contract);
    world_put(w, "contracts/s.json", schema ? schema : "{}");
    assert_ok(control_config_load(&w->host, "garner.yaml", &config, &w->report));
    assert_ok(control_catalog_load(&w->host, config, &catalog, &w->report));
    control_config_free(&config);
    return catalog;
}

static void expect(const char *kind, const char *from, const char *to, const char *error)
{
    struct world w;
    world_init(&w);
    struct control_catalog *a = load(&w, kind, from);
    struct control_catalog *b = load(&w, kind, to);
    assert_ok(control_catalog_compat(a, b, &w.report));
    struct buf text = {0};
    for (size_t i = 0; i < w.report.errors.count; i++)
        buf_add_string(&text, w.report.errors.items[i].text);
    buf_add_byte(&text, '\0');
    assert_string_equal((const char *)text.data, error);
    buf_done(&text);
    control_catalog_free(&a);
    control_catalog_free(&b);
    world_done(&w);
}

static void each_kind_looks_its_way(void **state)
{
    (void)state;
    static const char back[] =
        "topic t: not BACKWARD: #/type: TYPE_NARROWED: fewer types are allowed";
    static const char forth[] =
        "topic t: not FORWARD: #/type: TYPE_NARROWED: fewer types are allowed";
    expect("NONE", WIDE, NARROW, "");
    expect("BACKWARD", WIDE, NARROW, back);
    expect("BACKWARD", NARROW, WIDE, "");
    expect("BACKWARD_TRANSITIVE", WIDE, NARROW, back);
    expect("FORWARD", WIDE, NARROW, "");
    expect("FORWARD", NARROW, WIDE, forth);
    expect("FORWARD_TRANSITIVE", NARROW, WIDE, forth);
    expect("FULL", WIDE, NARROW, back);
    expect("FULL", NARROW, WIDE, forth);
    expect("FULL_TRANSITIVE", NARROW, WIDE, forth);
    expect("FULL", NARROW, NARROW, "");
}

static void no_schema_is_one_that_allows_everything(void **state)
{
    (void)state;
    expect("BACKWARD", NULL, NARROW,
           "topic t: not BACKWARD: #: SCHEMA_ADDED: what was any JSON gets a schema");
    expect("BACKWARD", NARROW, NULL, "");
    expect("FULL", NULL, NULL, "");
}

/* What the topic had before WIDE, which is in force: `earlier`, NULL for none. */
static void expect_with(const char *kind, const char *earlier, const char *to, const char *error)
{
    struct world w;
    world_init(&w);
    struct control_catalog *a = load(&w, kind, WIDE);
    struct control_catalog *b = load(&w, kind, to);
    assert_ok(control_catalog_versions_new(&a->versions));
    const char *const texts[] = {earlier, WIDE};
    for (size_t i = 0; i < 2; i++)
        assert_ok(control_catalog_versions_add(
            a->versions, &(struct control_catalog_version){
                             .topic = "t",
                             .since_ms = 1445412480000,
                             .text = texts[i] ? slice_string(texts[i]) : slice_make(NULL, 0)}));
    assert_ok(control_catalog_compat(a, b, &w.report));
    assert_int_equal(w.report.errors.count, error ? 1 : 0);
    if (error)
        assert_string_equal(w.report.errors.items[0].text, error);
    control_catalog_free(&a);
    control_catalog_free(&b);
    world_done(&w);
}

static void transitive_kinds_look_at_what_was_there_before(void **state)
{
    (void)state;
    static const char wider[] = "{\"type\":[\"integer\",\"string\",\"null\"]}";
    static const char other[] = "{\"type\":\"boolean\"}";
    static const char error[] =
        "topic t: not BACKWARD with that of 2015-10-21T07:28:00.000Z: #/type: TYPE_CHANGED: the "
        "types are others";
    expect_with("BACKWARD_TRANSITIVE", NARROW, wider, NULL);
    expect_with("BACKWARD", other, wider, NULL);
    expect_with("BACKWARD_TRANSITIVE", other, wider, error);
    /* One that stays as it is was looked at when it came. */
    expect_with("BACKWARD_TRANSITIVE", other, WIDE, NULL);
    expect_with("BACKWARD_TRANSITIVE", NULL, wider,
                "topic t: not BACKWARD with that of 2015-10-21T07:28:00.000Z: #: SCHEMA_ADDED: "
                "what was any JSON gets a schema");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_looks_its_way),
        cmocka_unit_test(no_schema_is_one_that_allows_everything),
        cmocka_unit_test(transitive_kinds_look_at_what_was_there_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
