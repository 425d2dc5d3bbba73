#include "control/config/decode.h"

#include "control/config/yaml.h"
#include "unit/control/world.h"

struct inner {
    uint32_t mode;
    uint64_t time_ms;
};

struct outer {
    const char *name;
    bool flag;
    uint32_t count;
    struct option_strings list;
    struct inner inner;
    const void *rest;
};

struct other {
    const char *path;
};

static const char *const modes[] = {"slow", "fast", NULL};
static const struct option inner_options[] = {
    {.name = "mode",
     .type = OPTION_ENUM,
     .offset = offsetof(struct inner, mode),
     .choices = modes,
     .fallback = "fast"},
    {.name = "time",
     .type = OPTION_DURATION,
     .offset = offsetof(struct inner, time_ms),
     .fallback = "5s"},
    {0},
};
static const struct option outer_options[] = {
    {.name = "name",
     .type = OPTION_STRING,
     .offset = offsetof(struct outer, name),
     .required = true},
    {.name = "flag", .type = OPTION_BOOL, .offset = offsetof(struct outer, flag)},
    {.name = "count", .type = OPTION_U32, .offset = offsetof(struct outer, count), .fallback = "3"},
    {.name = "list",
     .type = OPTION_STRINGS,
     .offset = offsetof(struct outer, list),
     .fallback = "first"},
    {.name = "inner",
     .type = OPTION_TABLE,
     .offset = offsetof(struct outer, inner),
     .table = inner_options,
     .shorthand = true},
    {.name = "rest", .type = OPTION_TABLE, .offset = offsetof(struct outer, rest)},
    {0},
};
static const struct option other_options[] = {
    {.name = "path", .type = OPTION_PATH, .offset = offsetof(struct other, path), .fallback = "p"},
    {0},
};

struct decoded {
    struct arena arena;
    struct control_report report;
    struct control_config_node *root;
    struct outer outer;
    struct other other;
};

/* Decodes `text`, NULL for no file; expects the errors `errors`. */
static void decode(struct decoded *d, const char *text, const char *errors)
{
    *d = (struct decoded){0};
    control_report_init(&d->report);
    if (text)
        d->root = control_config_yaml_parse(slice_string(text), "f", &d->arena, &d->report);
    const struct control_config_decoder decoder = {&d->arena, &d->report, "/here"};
    const struct control_config_part parts[] = {{outer_options, &d->outer},
                                                {other_options, &d->other}};
    control_config_decode(&decoder, d->root, parts, 2);
    world_expect(&d->report.errors, errors);
}

static void done(struct decoded *d)
{
    arena_done(&d->arena);
    control_report_done(&d->report);
}

static void refuse(const char *text, const char *errors)
{
    struct decoded d;
    decode(&d, text, errors);
    done(&d);
}

static void without_a_file_all_is_default(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, NULL, "");
    assert_null(d.outer.name);
    assert_false(d.outer.flag);
    assert_int_equal(d.outer.count, 3);
    assert_int_equal(d.outer.list.count, 1);
    assert_string_equal(d.outer.list.items[0], "first");
    assert_int_equal(d.outer.inner.mode, 1);
    assert_int_equal(d.outer.inner.time_ms, 5000);
    assert_null(d.outer.rest);
    assert_string_equal(d.other.path, "/here/p");
    done(&d);
}

static void every_kind_of_field_is_read(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d,
           "name: 007\nflag: true\ncount: '4'\nlist: [x, 'null', 2]\n"
           "inner: {mode: slow}\nrest: [any]\npath: /q\n",
           "");
    assert_string_equal(d.outer.name, "007");
    assert_true(d.outer.flag);
    assert_int_equal(d.outer.count, 4);
    assert_int_equal(d.outer.list.count, 3);
    assert_string_equal(d.outer.list.items[1], "null");
    assert_string_equal(d.outer.list.items[2], "2");
    assert_int_equal(d.outer.inner.mode, 0);
    assert_int_equal(d.outer.inner.time_ms, 5000);
    assert_ptr_equal(d.outer.rest, control_config_node_get(d.root, "rest"));
    assert_string_equal(d.other.path, "/q");
    done(&d);
}

static void a_scalar_may_stand_for_a_table(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, "name: a\ninner: slow\n", "");
    assert_int_equal(d.outer.inner.mode, 0);
    assert_int_equal(d.outer.inner.time_ms, 5000);
    done(&d);
    decode(&d, "name: a\ninner:\n", "");
    assert_int_equal(d.outer.inner.mode, 1);
    done(&d);
    refuse("name: a\ninner: medium\n", "f:2:8: inner: expected slow or fast, got 'medium'\n");
}

static void an_empty_list_is_empty_and_not_the_default(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, "name: a\nlist: []\n", "");
    assert_int_equal(d.outer.list.count, 0);
    done(&d);
}

static void a_wrong_kind_is_told_with_what_is_there(void **state)
{
    (void)state;
    refuse("name: [a]\nflag: {}\ncount:\nlist: {a: 1}\ninner: [1]\npath: ''\n",
           "f:1:7: name: expected text, got a list\n"
           "f:2:7: flag: expected true or false, got a mapping\n"
           "f:3:7: count: expected a whole number, got nothing\n"
           "f:4:7: list: expected a list such as [a, b], got a mapping\n"
           "f:5:8: inner: expected a mapping, got a list\n"
           "f:6:7: path: expected a path, got ''\n");
    refuse("name: a\nlist: [a, [b], {c: 1}, ~]\n", "f:2:11: list[1]: expected text, got a list\n"
                                                   "f:2:16: list[2]: expected text, got a mapping\n"
                                                   "f:2:24: list[3]: expected text, got nothing\n");
}

static void a_required_field_must_be_there(void **state)
{
    (void)state;
    refuse("flag: true\n", "f:1:1: name: expected text, the field is required\n");
    refuse("name:\n", "f:1:6: name: expected text, got nothing\n");
}

static void an_unknown_field_is_told_with_the_nearest_name(void **state)
{
    (void)state;
    refuse("name: a\nconut: 3\ninner: {mod: fast, xyz: 1}\npth: 1\n",
           "f:2:1: conut: unknown field 'conut', did you mean 'count'?\n"
           "f:3:9: inner.mod: unknown field 'mod', did you mean 'mode'?\n"
           "f:3:20: inner.xyz: unknown field 'xyz'\n"
           "f:4:1: pth: unknown field 'pth', did you mean 'path'?\n");
}

static void what_is_no_mapping_leaves_the_defaults(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, "[a]\n", "f:1:1: (root): expected a mapping, got a list\n");
    assert_int_equal(d.outer.count, 3);
    done(&d);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct arena nodes = {0};
    struct control_report report;
    control_report_init(&report);
    const struct control_config_node *root = control_config_yaml_parse(
        SLICE_LITERAL("list: [a]\ninner: slow\nflag: x\n"), "f", &nodes, &report);
    bool succeeded = false;
    for (uint64_t n = 1; !succeeded; n++) {
        struct arena arena = {.block_size = 16};
        struct outer outer = {0};
        const struct control_config_decoder decoder = {&arena, &report, "/here"};
        const struct control_config_part part = {outer_options, &outer};
        control_report_done(&report);
        control_report_init(&report);
        mem_fail_after(n);
        control_config_decode(&decoder, root, &part, 1);
        succeeded = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_int_equal(report.memory_failed, !succeeded);
        arena_done(&arena);
    }
    world_expect(&report.errors, "f:1:1: name: expected text, the field is required\n"
                                 "f:3:7: flag: expected true or false, got 'x'\n");
    control_report_done(&report);
    arena_done(&nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_all_is_default),
        cmocka_unit_test(every_kind_of_field_is_read),
        cmocka_unit_test(a_scalar_may_stand_for_a_table),
        cmocka_unit_test(an_empty_list_is_empty_and_not_the_default),
        cmocka_unit_test(a_wrong_kind_is_told_with_what_is_there),
        cmocka_unit_test(a_required_field_must_be_there),
        cmocka_unit_test(an_unknown_field_is_told_with_the_nearest_name),
        cmocka_unit_test(what_is_no_mapping_leaves_the_defaults),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
