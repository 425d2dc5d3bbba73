#include "control/config/node.h"

#include "control/config/yaml.h"
#include "unit/control/world.h"

struct tree {
    struct arena arena;
    struct control_report report;
    struct control_config_node *root;
};

static struct tree grow(const char *text)
{
    struct tree t = {0};
    control_report_init(&t.report);
    t.root = control_config_yaml_parse(slice_string(text), "f", &t.arena, &t.report);
    assert_non_null(t.root);
    return t;
}

static void fell(struct tree *t)
{
    arena_done(&t->arena);
    control_report_done(&t->report);
}

static const struct control_config_node *get(const struct tree *t, const char *key)
{
    return control_config_node_get(t->root, key);
}

static void a_value_is_found_by_its_key(void **state)
{
    (void)state;
    struct tree t = grow("a: 1\nb: [x]\n");
    assert_string_equal(get(&t, "a")->text, "1");
    assert_null(get(&t, "c"));
    assert_null(control_config_node_get(get(&t, "a"), "a"));
    assert_null(control_config_node_get(get(&t, "b"), "x"));
    assert_null(control_config_node_get(NULL, "a"));
    fell(&t);
}

static void only_what_says_nothing_is_null(void **state)
{
    (void)state;
    struct tree t = grow("a:\nb: ~\nc: null\nd: ''\ne: 'null'\nf: []\ng: {}\nh: Null\n");
    static const char *const nulls[] = {"a", "b", "c"};
    static const char *const values[] = {"d", "e", "f", "g", "h"};
    for (size_t i = 0; i < 3; i++)
        assert_true(control_config_node_is_null(get(&t, nulls[i])));
    for (size_t i = 0; i < 5; i++)
        assert_false(control_config_node_is_null(get(&t, values[i])));
    fell(&t);
}

static void all_nodes_are_walked_in_the_order_of_the_text(void **state)
{
    (void)state;
    struct tree t = grow("a: {b: 1, c: [2, [3], {}]}\nd: 4\n");
    struct buf text = {0};
    for (const struct control_config_node *n = t.root; n; n = control_config_node_after(n))
        buf_add_string(&text, n->kind == CONTROL_CONFIG_SCALAR ? n->text
                              : n->kind == CONTROL_CONFIG_LIST ? "["
                                                               : "{");
    assert_slice(buf_slice(&text), "{{1[2[3{4");
    buf_done(&text);
    fell(&t);
}

static void a_value_is_described_for_people(void **state)
{
    (void)state;
    struct tree t = grow("a: x\nb:\nc: [1]\nd: {}\n"
                         "e: 0123456789012345678901234567890123456789012345678901234567890\n");
    char room[CONTROL_CONFIG_DESCRIBE_SIZE];
    assert_string_equal(control_config_node_describe(get(&t, "a"), room), "'x'");
    assert_string_equal(control_config_node_describe(get(&t, "b"), room), "nothing");
    assert_string_equal(control_config_node_describe(get(&t, "c"), room), "a list");
    assert_string_equal(control_config_node_describe(get(&t, "d"), room), "a mapping");
    assert_string_equal(control_config_node_describe(get(&t, "e"), room),
                        "'012345678901234567890123456789012345678901234567890123456789...'");
    fell(&t);
}

static void a_path_leads_from_the_root(void **state)
{
    (void)state;
    struct tree t = grow("sinks: {lake: {topics: [a, [b]]}}\n");
    char path[CONTROL_CONFIG_PATH_SIZE];
    const struct control_config_node *lake = control_config_node_get(get(&t, "sinks"), "lake");
    const struct control_config_node *list = control_config_node_get(lake, "topics");
    assert_string_equal(control_config_node_place(t.root, NULL, path).path, "(root)");
    assert_string_equal(control_config_node_place(t.root, "x", path).path, "x");
    assert_string_equal(control_config_node_place(lake, "type", path).path, "sinks.lake.type");
    struct control_place place = control_config_node_place(list->last->first, NULL, path);
    assert_string_equal(place.path, "sinks.lake.topics[1][0]");
    assert_string_equal(place.file, "f");
    assert_int_equal(place.line, 1);
    assert_int_equal(place.column, 29);
    place = control_config_node_key_place(lake, path);
    assert_string_equal(place.path, "sinks.lake");
    assert_int_equal(place.column, 9);
    fell(&t);
}

static void a_path_that_is_too_long_keeps_its_end(void **state)
{
    (void)state;
    char text[600];
    char name[201];
    memset(name, 'n', 200);
    name[200] = '\0';
    snprintf(text, sizeof(text), "%s: {%s: {z: 1}}\n", name, name);
    struct tree t = grow(text);
    char path[CONTROL_CONFIG_PATH_SIZE];
    const struct control_config_node *z = t.root->first->first->first;
    const char *shown = control_config_node_place(z, NULL, path).path;
    assert_int_equal(strlen(shown), 202);
    assert_string_equal(shown + 199, "n.z");
    fell(&t);
}

static void errors_and_notes_stand_at_their_node(void **state)
{
    (void)state;
    struct tree t = grow("a:\n  b: 1\n");
    const struct control_config_node *b = control_config_node_get(get(&t, "a"), "b");
    control_config_node_error(b, &t.report, "expected %d", 2);
    control_config_node_note(b, &t.report, "known %s", "well");
    world_expect(&t.report.errors, "f:2:6: a.b: expected 2\n");
    world_expect(&t.report.notes, "f:2:6: a.b: known well\n");
    fell(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_found_by_its_key),
        cmocka_unit_test(only_what_says_nothing_is_null),
        cmocka_unit_test(all_nodes_are_walked_in_the_order_of_the_text),
        cmocka_unit_test(a_value_is_described_for_people),
        cmocka_unit_test(a_path_leads_from_the_root),
        cmocka_unit_test(a_path_that_is_too_long_keeps_its_end),
        cmocka_unit_test(errors_and_notes_stand_at_their_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
