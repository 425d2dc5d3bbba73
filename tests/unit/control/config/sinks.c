#include "control/config/sinks.h"

#include "control/config/yaml.h"
#include "unit/control/world.h"

struct loaded {
    struct control_report report;
    struct control_config config;
};

/* Decodes `text`, what stands under `sinks`; expects the errors `errors`. */
static void load(struct loaded *l, const char *text, const char *errors)
{
    *l = (struct loaded){0};
    control_report_init(&l->report);
    struct control_config_node *root =
        control_config_yaml_parse(slice_string(text), "f", &l->config.arena, &l->report);
    l->config.sinks_node = control_config_node_get(root, "sinks");
    const struct control_config_decoder decoder = {&l->config.arena, &l->report, "/here"};
    control_config_sinks(&decoder, world_sink_types, &l->config);
    world_expect(&l->report.errors, errors);
}

static void done(struct loaded *l)
{
    arena_done(&l->config.arena);
    control_report_done(&l->report);
}

static void refuse(const char *text, const char *errors)
{
    struct loaded l;
    load(&l, text, errors);
    done(&l);
}

static void sinks_are_read_in_order_with_their_types_options(void **state)
{
    (void)state;
    struct loaded l;
    load(&l,
         "sinks:\n"
         "  b: { type: file, topics: [t, u], path: x, parallel: 2 }\n"
         "  a: { type: 'null', topics: [t.dlq] }\n",
         "");
    assert_int_equal(l.config.sink_count, 2);
    const struct control_config_sink *b = &l.config.sinks[0];
    assert_string_equal(b->name, "b");
    assert_ptr_equal(b->type, &world_sink_types[0]);
    const struct world_sink *options = b->options;
    assert_string_equal(options->path, "/here/x");
    assert_int_equal(options->parallel, 2);
    assert_int_equal(b->topics.count, 2);
    assert_string_equal(b->topics.items[1], "u");
    assert_int_equal(b->node->line, 2);
    assert_string_equal(l.config.sinks[1].name, "a");
    assert_string_equal(l.config.sinks[1].topics.items[0], "t.dlq");
    done(&l);
}

static void no_sinks_are_fine(void **state)
{
    (void)state;
    refuse("a: 1\n", "");
    refuse("sinks:\n", "");
    refuse("sinks: {}\n", "");
    refuse("sinks: [a]\n", "f:1:8: sinks: expected a mapping from names to sinks, got a list\n");
}

static void a_type_must_be_known(void **state)
{
    (void)state;
    refuse("sinks: { a: { type: fil, topics: [t], path: x } }\n",
           "f:1:21: sinks.a.type: expected a type of sink, got 'fil', did you mean 'file'?\n");
    refuse("sinks: { a: { type: kafka, nonsense: 1 } }\n",
           "f:1:21: sinks.a.type: expected a type of sink, got 'kafka'\n");
    refuse("sinks: { a: { type: [file], topics: [t] } }\n",
           "f:1:21: sinks.a.type: expected text, got a list\n");
    refuse("sinks: { a: { topics: [t] } }\n",
           "f:1:13: sinks.a.type: expected text, the field is required\n");
    refuse("sinks: { a: file }\n", "f:1:13: sinks.a: expected a mapping, got 'file'\n");
}

static void an_entry_that_is_empty_lacks_its_type(void **state)
{
    (void)state;
    refuse("sinks:\n  a:\n", "f:2:5: sinks.a: expected a mapping, got nothing\n");
    refuse("sinks:\n  a: {}\n", "f:2:6: sinks.a.type: expected text, the field is required\n"
                                "f:2:6: sinks.a.topics: expected a list of texts, the field is "
                                "required\n");
}

static void a_types_options_are_held_to_its_table(void **state)
{
    (void)state;
    refuse("sinks: { a: { type: file, topics: [t], parallel: 9, pth: x } }\n",
           "f:1:13: sinks.a.path: expected a path, the field is required\n"
           "f:1:50: sinks.a.parallel: expected a whole number from 1 to 8, got '9'\n"
           "f:1:53: sinks.a.pth: unknown field 'pth', did you mean 'path'?\n");
    refuse("sinks: { a: { type: 'null', topics: [t], path: x } }\n",
           "f:1:42: sinks.a.path: unknown field 'path'\n");
}

static void a_type_may_check_more(void **state)
{
    (void)state;
    refuse("sinks: { a: { type: file, topics: [t], path: '{bad}' } }\n",
           "f:1:13: sinks.a: path: expected a known template\n");
}

static void two_sinks_on_one_path_are_refused(void **state)
{
    (void)state;
    refuse("sinks:\n"
           "  a: { type: file, topics: [t], path: x }\n"
           "  b: { type: file, topics: [t], path: y }\n"
           "  c: { type: file, topics: [u], path: /here/./x }\n",
           "f:4:6: sinks.c: path: expected a path of its own (the other is sink 'a')\n");
}

static void a_broken_sink_is_not_compared(void **state)
{
    (void)state;
    refuse("sinks:\n"
           "  a: { type: file, topics: [t] }\n"
           "  b: { type: file, topics: [t], path: x }\n",
           "f:2:6: sinks.a.path: expected a path, the field is required\n");
}

static void topics_are_named_once_each(void **state)
{
    (void)state;
    refuse("sinks: { a: { type: 'null', topics: [] } }\n",
           "f:1:37: sinks.a.topics: expected at least one topic\n");
    refuse("sinks: { a: { type: 'null', topics: [t, u, t, ~] } }\n",
           "f:1:44: sinks.a.topics[2]: expected each topic once, 't' is twice\n"
           "f:1:47: sinks.a.topics[3]: expected text, got nothing\n");
}

static void a_name_is_of_plain_characters(void **state)
{
    (void)state;
    refuse("sinks: { 'a b': { type: 'null', topics: [t] } }\n",
           "f:1:10: sinks.a b: expected a name of 1 to 128 characters of [a-zA-Z0-9._-]\n");
    refuse("sinks: { '': { type: 'null', topics: [t] } }\n",
           "f:1:10: sinks.: expected a name of 1 to 128 characters of [a-zA-Z0-9._-]\n");
}

static void after_twenty_errors_no_check_sees_broken_options(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_add_string(&text, "sinks:\n");
    for (int i = 0; i < 30; i++)
        buf_add_format(&text, "  s%d: { type: file, topics: [t] }\n", i);
    buf_add_byte(&text, '\0');
    struct loaded l;
    l = (struct loaded){0};
    control_report_init(&l.report);
    struct control_config_node *root = control_config_yaml_parse(
        slice_string((const char *)text.data), "f", &l.config.arena, &l.report);
    l.config.sinks_node = control_config_node_get(root, "sinks");
    const struct control_config_decoder decoder = {&l.config.arena, &l.report, "/here"};
    control_config_sinks(&decoder, world_sink_types, &l.config);
    assert_int_equal(control_report_errors(&l.report), 30);
    assert_null(l.config.sinks[29].type);
    buf_done(&text);
    done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sinks_are_read_in_order_with_their_types_options),
        cmocka_unit_test(no_sinks_are_fine),
        cmocka_unit_test(a_type_must_be_known),
        cmocka_unit_test(an_entry_that_is_empty_lacks_its_type),
        cmocka_unit_test(a_types_options_are_held_to_its_table),
        cmocka_unit_test(a_type_may_check_more),
        cmocka_unit_test(two_sinks_on_one_path_are_refused),
        cmocka_unit_test(a_broken_sink_is_not_compared),
        cmocka_unit_test(topics_are_named_once_each),
        cmocka_unit_test(a_name_is_of_plain_characters),
        cmocka_unit_test(after_twenty_errors_no_check_sees_broken_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
