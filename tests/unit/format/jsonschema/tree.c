#include "format/jsonschema/tree_int.h"

#include "base/alloc.h"
#include "lib/unit.h"

struct world {
    struct arena arena;
    struct format_jsonschema_budget budget;
    struct format_jsonschema_node *tree;
    struct format_jsonschema_tree_error why;
    uint8_t *exact;
    err_t err;
};

static void world_read(struct world *w, struct slice text)
{
    *w = (struct world){.budget = {1000000, false}};
    w->exact = mem_alloc(text.size);
    assert_non_null(w->exact);
    memcpy(w->exact, text.data, text.size);
    w->err = format_jsonschema_tree_read(slice_make(w->exact, text.size), &w->arena, &w->budget,
                                         &w->tree, &w->why);
}

static void world_begin(struct world *w, const char *text)
{
    world_read(w, slice_string(text));
    if (!err_is_ok(w->err))
        fail_msg("%s: %s", text, err_name(w->err));
}

static void world_end(struct world *w)
{
    arena_done(&w->arena);
    mem_free(w->exact);
}

static void values_are_of_their_kind_and_in_their_place(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, " {\"b\" : [1.50, \"x\\u0041\\n\", null],\"a\":{\"c\":true,\"d\":false}} ");
    assert_int_equal(w.tree->kind, FORMAT_JSON_OBJECT);
    assert_int_equal(w.tree->count, 2);
    assert_slice(w.tree->first->key, "b");
    assert_slice(w.tree->children[0]->key, "a");
    const struct format_jsonschema_node *list = format_jsonschema_tree_find(w.tree, "b");
    assert_ptr_equal(list, w.tree->first);
    assert_int_equal(list->count, 3);
    assert_slice(list->children[0]->text, "1.50");
    assert_slice(list->children[1]->text, "xA\n");
    assert_int_equal(list->children[2]->kind, FORMAT_JSON_NULL);
    assert_int_equal(list->children[2]->index, 2);
    assert_ptr_equal(list->children[2]->parent, list);
    const struct format_jsonschema_node *object = format_jsonschema_tree_find(w.tree, "a");
    assert_int_equal(format_jsonschema_tree_find(object, "c")->kind, FORMAT_JSON_TRUE);
    assert_int_equal(format_jsonschema_tree_find(object, "d")->kind, FORMAT_JSON_FALSE);
    assert_null(format_jsonschema_tree_find(object, "e"));
    assert_null(format_jsonschema_tree_find(list, "a"));
    assert_null(w.tree->mark);
    world_end(&w);
}

static void a_scalar_is_a_tree_too(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, "\"\"");
    assert_int_equal(w.tree->text.size, 0);
    world_end(&w);
    world_begin(&w, "-1e5");
    assert_slice(w.tree->text, "-1e5");
    assert_null(w.tree->parent);
    world_end(&w);
    world_begin(&w, "[[],{}]");
    assert_int_equal(w.tree->count, 2);
    assert_int_equal(w.tree->children[1]->count, 0);
    world_end(&w);
}

static void members_are_found_among_many(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 1000; i++)
        buf_add_format(&text, "%s\"k%d\":%d", i == 0 ? "{" : ",", i * 7919 % 1000, i);
    buf_add_byte(&text, '}');
    struct world w;
    world_read(&w, buf_slice(&text));
    assert_true(err_is_ok(w.err));
    for (int i = 0; i < 1000; i++) {
        char key[16], value[16];
        snprintf(key, sizeof(key), "k%d", i * 7919 % 1000);
        snprintf(value, sizeof(value), "%d", i);
        assert_slice(format_jsonschema_tree_find(w.tree, key)->text, value);
    }
    world_end(&w);
    buf_done(&text);
}

static void equal_keys_are_refused_however_written(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0};
    world_read(&w, slice_string("{\"x\":[{\"a\":1,\"b\":2,\"\\u0061\":3}]}"));
    assert_true(err_is(w.err, ERR_EXISTS));
    format_jsonschema_add_pointer(&out, w.why.node, 100);
    assert_slice(buf_slice(&out), "/x/0/a");
    assert_int_equal(w.why.node->index, 2);
    world_end(&w);
    buf_done(&out);
}

static void what_is_no_json_is_told_from_what_is_too_much(void **state)
{
    (void)state;
    struct world w;
    world_read(&w, slice_string("{\"a\":"));
    assert_true(err_is(w.err, ERR_SYNTAX));
    assert_int_equal(w.why.json.offset, 5);
    world_end(&w);
    world_read(&w, slice_string("[1e9999999999999999]"));
    assert_true(err_is(w.err, ERR_TOO_LARGE));
    world_end(&w);
    char deep[2 * FORMAT_JSON_DEPTH_MAX + 3];
    memset(deep, '[', FORMAT_JSON_DEPTH_MAX + 1);
    memset(deep + FORMAT_JSON_DEPTH_MAX + 1, ']', FORMAT_JSON_DEPTH_MAX + 1);
    world_read(&w, slice_make(deep, 2 * FORMAT_JSON_DEPTH_MAX + 2));
    assert_true(err_is(w.err, ERR_TOO_DEEP));
    world_end(&w);
    world_read(&w, slice_make(deep + 1, 2 * FORMAT_JSON_DEPTH_MAX));
    assert_true(err_is_ok(w.err));
    world_end(&w);
}

static void values_have_a_limit(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_add_byte(&text, '[');
    for (uint32_t i = 1; i < FORMAT_JSONSCHEMA_VALUES_MAX; i++)
        buf_add_string(&text, i > 1 ? ",1" : "1");
    buf_add_byte(&text, ']');
    struct world w;
    world_read(&w, buf_slice(&text));
    assert_true(err_is_ok(w.err));
    world_end(&w);
    text.data[text.size - 1] = ',';
    buf_add_string(&text, "1]");
    world_read(&w, buf_slice(&text));
    assert_true(err_is(w.err, ERR_TOO_LARGE));
    world_end(&w);
    buf_done(&text);
}

static int compare(const char *a, const char *b)
{
    struct world x, y;
    world_begin(&x, a);
    world_begin(&y, b);
    int order = format_jsonschema_tree_compare(x.tree, y.tree, &x.budget);
    int back = format_jsonschema_tree_compare(y.tree, x.tree, &y.budget);
    assert_int_equal((order > 0) - (order < 0), (back < 0) - (back > 0));
    world_end(&x);
    world_end(&y);
    return order;
}

static void equality_is_that_of_json_schema(void **state)
{
    (void)state;
    static const char *const equal[][2] = {
        {"1", "1.0"},
        {"[1e1,\"\\u0061\"]", "[ 10, \"a\" ]"},
        {"{\"a\":1,\"b\":[{}]}", "{\"b\":[{}],\"a\":1.00}"},
        {"null", "null"},
        {"\"\"", "\"\""},
    };
    static const char *const different[][2] = {
        {"1", "true"},      {"0", "false"},
        {"0", "null"},      {"\"1\"", "1"},
        {"[1,2]", "[2,1]"}, {"{\"a\":1}", "{\"a\":2}"},
        {"{}", "[]"},       {"[]", "[[]]"},
        {"\"a\"", "\"A\""}, {"{\"a\":1}", "{\"b\":1}"},
        {"true", "false"},  {"\"\"", "null"},
    };
    for (size_t i = 0; i < sizeof(equal) / sizeof(equal[0]); i++)
        assert_int_equal(compare(equal[i][0], equal[i][1]), 0);
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
        assert_int_not_equal(compare(different[i][0], different[i][1]), 0);
}

static void sorting_puts_equal_values_side_by_side(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct buf text = {0};
    for (int i = 0; i < 777; i++)
        buf_add_format(&text, "%s%d", i == 0 ? "[" : ",", (int)(unit_random(&seed) % 500));
    buf_add_byte(&text, ']');
    struct world w;
    world_read(&w, buf_slice(&text));
    struct format_jsonschema_node *spare[777];
    format_jsonschema_tree_sort(w.tree->children, spare, 777, format_jsonschema_tree_compare,
                                &w.budget);
    for (size_t i = 1; i < 777; i++) {
        const struct format_jsonschema_node *a = w.tree->children[i - 1];
        const struct format_jsonschema_node *b = w.tree->children[i];
        int order = format_jsonschema_tree_compare(a, b, &w.budget);
        assert_true(order < 0 || (order == 0 && a->index < b->index));
    }
    world_end(&w);
    buf_done(&text);
}

static void sorting_ends_when_the_steps_do(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, "[5,4,3,2,1,0,9,8]");
    struct format_jsonschema_node *spare[8];
    w.budget.steps = 5;
    format_jsonschema_tree_sort(w.tree->children, spare, 8, format_jsonschema_tree_compare,
                                &w.budget);
    assert_true(w.budget.spent);
    uint32_t seen = 0;
    for (size_t i = 0; i < 8; i++)
        seen |= 1U << w.tree->children[i]->index;
    assert_int_equal(seen, 0xFF);
    world_end(&w);
}

static void pointers_are_one_line(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0};
    world_begin(&w, "{\"a/b~c\":[0,{\"\\u0001\\n\\u0085\\u2028\\u2029\\u007f\xC3\xA9 \\\"\":1}]}");
    const struct format_jsonschema_node *node = w.tree->first->children[1]->first;
    format_jsonschema_add_pointer(&out, node, 100);
    assert_slice(buf_slice(&out),
                 "/a~1b~0c/1/\\u0001\\u000a\\u0085\\u2028\\u2029\\u007f\xC3\xA9 \"");
    buf_reset(&out);
    format_jsonschema_add_pointer(&out, w.tree, 100);
    assert_int_equal(out.size, 0);
    world_end(&w);
    buf_done(&out);
}

static void long_pointers_are_cut(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0};
    world_begin(&w, "{\"0123456789\xC3\xA9\xC3\xA9 and so on\":{\"b\":1}}");
    format_jsonschema_add_pointer(&out, w.tree->first->first, 23);
    assert_slice(buf_slice(&out), "/0123456789.../b");
    world_end(&w);
    world_begin(
        &w, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    const struct format_jsonschema_node *node = w.tree;
    while (node->first)
        node = node->first;
    buf_reset(&out);
    format_jsonschema_add_pointer(&out, node, 1000);
    assert_true(slice_starts_with(buf_slice(&out), SLICE_LITERAL("/.../0/0/")));
    assert_true(out.size < 60);
    world_end(&w);
    buf_done(&out);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w = {.err = {ERR_MEMORY}};
    for (uint64_t n = 2; err_is(w.err, ERR_MEMORY); n++) {
        mem_fail_after(n);
        world_read(&w, slice_string("{\"a\\n\":[1,{\"b\":\"\\u1234\"}]}"));
        mem_fail_after(0);
        assert_true(err_is_ok(w.err) || err_is(w.err, ERR_MEMORY));
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_of_their_kind_and_in_their_place),
        cmocka_unit_test(a_scalar_is_a_tree_too),
        cmocka_unit_test(members_are_found_among_many),
        cmocka_unit_test(equal_keys_are_refused_however_written),
        cmocka_unit_test(what_is_no_json_is_told_from_what_is_too_much),
        cmocka_unit_test(values_have_a_limit),
        cmocka_unit_test(equality_is_that_of_json_schema),
        cmocka_unit_test(sorting_puts_equal_values_side_by_side),
        cmocka_unit_test(sorting_ends_when_the_steps_do),
        cmocka_unit_test(pointers_are_one_line),
        cmocka_unit_test(long_pointers_are_cut),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
