#include "control/config/yaml.h"

#include "unit/control/world.h"

struct parsed {
    struct arena arena;
    struct control_report report;
    struct control_config_node *root;
};

static struct parsed parse(struct slice text)
{
    struct parsed p = {0};
    control_report_init(&p.report);
    p.root = control_config_yaml_parse(text, "f", &p.arena, &p.report);
    return p;
}

static void done(struct parsed *p)
{
    arena_done(&p->arena);
    control_report_done(&p->report);
}

/* `text` gives no tree and the error `error`. */
static void refuse(struct slice text, const char *error)
{
    struct parsed p = parse(text);
    assert_null(p.root);
    world_expect(&p.report.errors, error);
    done(&p);
}

static void assert_scalar(const struct control_config_node *node, const char *text, uint32_t line,
                          uint32_t column)
{
    assert_non_null(node);
    assert_int_equal(node->kind, CONTROL_CONFIG_SCALAR);
    assert_string_equal(node->text, text);
    assert_int_equal(node->line, line);
    assert_int_equal(node->column, column);
    assert_string_equal(node->file, "f");
}

static void every_value_knows_its_place(void **state)
{
    (void)state;
    struct parsed p = parse(SLICE_LITERAL("# first\n"
                                          "a: 1\n"
                                          "\xc3\xa9t\xc3\xa9: {x: 'y'}\n"
                                          "list:\n"
                                          "  - one\n"
                                          "  - [ two ]\n"));
    world_expect(&p.report.errors, "");
    assert_int_equal(p.root->count, 3);
    const struct control_config_node *a = control_config_node_get(p.root, "a");
    assert_scalar(a, "1", 2, 4);
    assert_false(a->quoted);
    assert_int_equal(a->key_line, 2);
    assert_int_equal(a->key_column, 1);
    const struct control_config_node *x =
        control_config_node_get(control_config_node_get(p.root, "\xc3\xa9t\xc3\xa9"), "x");
    assert_scalar(x, "y", 3, 10);
    assert_true(x->quoted);
    const struct control_config_node *list = control_config_node_get(p.root, "list");
    assert_int_equal(list->kind, CONTROL_CONFIG_LIST);
    assert_int_equal(list->count, 2);
    assert_scalar(list->first, "one", 5, 5);
    assert_scalar(list->last->first, "two", 6, 7);
    assert_int_equal(list->last->index, 1);
    assert_ptr_equal(list->last->parent, list);
    done(&p);
}

static void no_scalar_is_a_boolean_or_a_number_by_its_looks(void **state)
{
    (void)state;
    struct parsed p = parse(SLICE_LITERAL("[ yes, 010, 1e3, 2024-01-01, 12:30:45, ~, '' ]"));
    static const char *const texts[] = {"yes", "010", "1e3", "2024-01-01", "12:30:45", "~", ""};
    const struct control_config_node *n = p.root->first;
    for (size_t i = 0; i < 7; i++, n = n->next)
        assert_string_equal(n->text, texts[i]);
    done(&p);
}

static void an_empty_text_is_an_empty_mapping(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only words\n", "---\n", "~", "\xef\xbb\xbf"};
    for (size_t i = 0; i < 6; i++) {
        struct parsed p = parse(slice_string(texts[i]));
        assert_non_null(p.root);
        assert_int_equal(p.root->kind, CONTROL_CONFIG_MAPPING);
        assert_int_equal(p.root->count, 0);
        assert_int_equal(p.root->line, 1);
        done(&p);
    }
}

static void a_key_given_twice_is_told_and_reading_goes_on(void **state)
{
    (void)state;
    struct parsed p = parse(SLICE_LITERAL("a: 1\nb: {c: 1, c: 2}\na: 3\nd: 4\n"));
    world_expect(&p.report.errors,
                 "f:2:11: b.c: expected each field once, this one is given twice\n"
                 "f:3:1: a: expected each field once, this one is given twice\n");
    assert_scalar(control_config_node_get(p.root, "a"), "1", 1, 4);
    assert_scalar(control_config_node_get(p.root, "d"), "4", 4, 4);
    done(&p);
}

static void broken_yaml_is_told_with_its_place(void **state)
{
    (void)state;
    refuse(SLICE_LITERAL("a: 1\n\tb: 2\n"),
           "f:2:1: a: expected YAML: found a tab character that violates indentation\n");
    refuse(SLICE_LITERAL("a: [1, 2\nb: 3\n"),
           "f:2:2: a: expected YAML: did not find expected ',' or ']'\n");
    refuse(SLICE_LITERAL("a: 'x\n"), "f:2:1: a: expected YAML: found unexpected end of stream\n");
    refuse(SLICE_LITERAL("x: {a: b}}\n"),
           "f:1:10: (root): expected YAML: did not find expected key\n");
}

static void a_reference_without_quotes_gets_a_hint(void **state)
{
    (void)state;
    refuse(SLICE_LITERAL("a: { b: x${C} }\n"),
           "f:1:11: a: expected YAML: did not find expected ',' or '}', ${...} needs quotes "
           "here\n");
    struct parsed p = parse(SLICE_LITERAL("a: ${C}\nb: [ '${C}' ]\n"));
    world_expect(&p.report.errors, "");
    done(&p);
}

static void what_is_not_utf8_is_told_with_its_place(void **state)
{
    (void)state;
    refuse(SLICE_LITERAL("a: b\nc: \xff\n"),
           "f:2:4: (root): expected YAML: invalid leading UTF-8 octet\n");
    refuse(SLICE_LITERAL("a: b\n\xc3\xa9: \x01\n"),
           "f:2:4: (root): expected YAML: control characters are not allowed\n");
    struct parsed p = parse(SLICE_LITERAL("\xff\xfe"
                                          "a\0:\0 \0b\0"));
    assert_null(p.root);
    assert_int_equal(p.report.errors.count, 1);
    done(&p);
}

static void anchors_aliases_and_tags_are_refused(void **state)
{
    (void)state;
    refuse(SLICE_LITERAL("a: &x 1\nb: *x\n"),
           "f:1:4: a: expected a plain value: anchors are not supported\n");
    refuse(SLICE_LITERAL("a: &x [1]\n"),
           "f:1:4: a: expected a plain value: anchors are not supported\n");
    refuse(SLICE_LITERAL("a: {b: *x}\n"),
           "f:1:8: a.b: expected a plain value: aliases are not supported\n");
    refuse(SLICE_LITERAL("a: !!int 1\n"),
           "f:1:4: a: expected a plain value: tags are not supported\n");
    refuse(SLICE_LITERAL("a: !x {b: 1}\n"),
           "f:1:4: a: expected a plain value: tags are not supported\n");
}

static void a_key_is_a_plain_name(void **state)
{
    (void)state;
    refuse(SLICE_LITERAL("{[a]: 1}\n"),
           "f:1:2: (root): expected a name, got a list or a mapping\n");
    refuse(SLICE_LITERAL("? {a: b}\n: 1\n"),
           "f:1:3: (root): expected a name, got a list or a mapping\n");
}

static void a_second_document_is_refused(void **state)
{
    (void)state;
    refuse(SLICE_LITERAL("a: 1\n---\nb: 2\n"),
           "f:2:1: (root): expected one document, a second one begins here\n");
}

static void a_zero_byte_is_refused(void **state)
{
    (void)state;
    refuse(SLICE_LITERAL("a: \"x\\0y\"\n"), "f:1:4: a: expected text without a zero byte\n");
    refuse(SLICE_LITERAL("\"x\\0y\": 1\n"), "f:1:1: (root): expected text without a zero byte\n");
}

/* `count` times `part` after each other. */
static struct slice repeat(struct buf *text, const char *part, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_add_string(text, part);
    assert_true(buf_ok(text));
    return buf_slice(text);
}

static void nesting_is_limited(void **state)
{
    (void)state;
    struct buf text = {0};
    repeat(&text, "[", CONTROL_CONFIG_DEPTH_MAX);
    struct parsed p = parse(repeat(&text, "]", CONTROL_CONFIG_DEPTH_MAX));
    assert_non_null(p.root);
    done(&p);
    buf_reset(&text);
    p = parse(repeat(&text, "[", CONTROL_CONFIG_DEPTH_MAX + 1));
    assert_null(p.root);
    assert_non_null(strstr(p.report.errors.items[0].text, "expected at most 32 levels"));
    done(&p);
    buf_reset(&text);
    p = parse(repeat(&text, "[", 100000));
    assert_null(p.root);
    done(&p);
    buf_done(&text);
}

static void the_number_of_values_is_limited(void **state)
{
    (void)state;
    struct buf text = {0};
    struct parsed p = parse(repeat(&text, "- a\n", CONTROL_CONFIG_NODES_MAX - 1));
    assert_non_null(p.root);
    done(&p);
    p = parse(repeat(&text, "- a\n", 1));
    assert_null(p.root);
    world_expect(&p.report.errors, "f:16384:3: (root): expected at most 16384 values\n");
    done(&p);
    buf_done(&text);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    bool parsed = false;
    for (uint64_t n = 1; !parsed; n++) {
        mem_fail_after(n);
        struct parsed p = parse(SLICE_LITERAL("a: [1, 2]\na: 2\n"));
        mem_fail_after(0);
        parsed = p.root && !p.report.memory_failed;
        assert_true(parsed || err_is(control_report_verdict(&p.report), ERR_MEMORY));
        done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_knows_its_place),
        cmocka_unit_test(no_scalar_is_a_boolean_or_a_number_by_its_looks),
        cmocka_unit_test(an_empty_text_is_an_empty_mapping),
        cmocka_unit_test(a_key_given_twice_is_told_and_reading_goes_on),
        cmocka_unit_test(broken_yaml_is_told_with_its_place),
        cmocka_unit_test(a_reference_without_quotes_gets_a_hint),
        cmocka_unit_test(what_is_not_utf8_is_told_with_its_place),
        cmocka_unit_test(anchors_aliases_and_tags_are_refused),
        cmocka_unit_test(a_key_is_a_plain_name),
        cmocka_unit_test(a_second_document_is_refused),
        cmocka_unit_test(a_zero_byte_is_refused),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(the_number_of_values_is_limited),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
