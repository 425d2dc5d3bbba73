#include "control/config/interpolate.h"

#include "control/config/yaml.h"
#include "unit/control/world.h"

/* The value of `v: "..."` after interpolation; `error` (a line) or "". */
static void check(struct world *w, const char *value, const char *expected, const char *error)
{
    struct arena arena = {0};
    struct buf text = {0};
    buf_add_format(&text, "k: [1]\nv: '%s'\n", value);
    world_again(w);
    struct control_config_node *root =
        control_config_yaml_parse(buf_slice(&text), "f", &arena, &w->report);
    assert_non_null(root);
    control_config_interpolate(root, &w->host, "sub", &arena, &w->report);
    world_expect(&w->report.errors, error);
    assert_string_equal(control_config_node_get(root, "v")->text, error[0] ? value : expected);
    buf_done(&text);
    arena_done(&arena);
}

static void references_are_replaced(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    check(&w, "${PORT}", "8081", "");
    check(&w, "a${PORT}b${PORT}", "a8081b8081", "");
    check(&w, "[${EMPTY}]", "[]", "");
    check(&w, "${DIR}/x", "/var/lib/x", "");
    check(&w, "nothing", "nothing", "");
    world_done(&w);
}

static void a_default_stands_for_unset_and_empty(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    check(&w, "${UNSET:-x:-y}", "x:-y", "");
    check(&w, "${UNSET:-}", "", "");
    check(&w, "${EMPTY:-x}", "x", "");
    check(&w, "${PORT:-x}", "8081", "");
    world_done(&w);
}

static void other_dollars_stay(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    check(&w, "$${PORT} $$ $ $PORT ${PORT}$", "${PORT} $$ $ $PORT 8081$", "");
    check(&w, "$$${PORT}", "$${PORT}", "");
    check(&w, "{topic}$", "{topic}$", "");
    world_done(&w);
}

static void an_unset_variable_is_named_with_its_place(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    check(&w, "x${UNSET}", "",
          "f:2:4: v: expected the environment variable UNSET, it is not set (${UNSET:-default} "
          "gives a default)\n");
    world_done(&w);
}

static void a_wrong_reference_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "1A", "A B", "A:x", "A:", ":-x", "UNSET:-${B", "A-B"};
    struct world w;
    world_init(&w);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char value[64];
        char error[256];
        snprintf(value, sizeof(value), "${%s}", wrong[i]);
        snprintf(error, sizeof(error),
                 "f:2:4: v: expected ${NAME}, ${NAME:-default} or ${file:PATH}, got ${%s}\n",
                 wrong[i]);
        check(&w, value, "", error);
    }
    check(&w, "${PORT", "", "f:2:4: v: expected } after ${ ($${ stands for ${ itself)\n");
    world_done(&w);
}

static void a_file_gives_its_content_without_the_last_newline(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "/run/secrets/x", "secret\n");
    world_put(&w, "sub/rel", "two\nlines\n\n");
    world_put(&w, "sub/none", "");
    check(&w, "${file:/run/secrets/x}", "secret", "");
    check(&w, "<${file:rel}>", "<two\nlines\n>", "");
    check(&w, "<${file:none}>", "<>", "");
    world_done(&w);
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    check(&w, "${file:/no}", "",
          "f:2:4: v: expected a file that can be read: /no: no such file or directory\n");
    check(&w, "${file:}", "",
          "f:2:4: v: expected ${NAME}, ${NAME:-default} or ${file:PATH}, got ${file:}\n");
    world_put(&w, "/zero", "x");
    w.entries[w.count - 1].content = SLICE_LITERAL("a\0b");
    check(&w, "${file:/zero}", "",
          "f:2:4: v: expected a file that can be read: /zero holds a zero byte\n");
    world_done(&w);
}

static void a_value_is_limited(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    char large[CONTROL_CONFIG_VALUE_BYTES_MAX + 2];
    memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    world_put(&w, "/large", large);
    check(&w, "${file:/large}", "",
          "f:2:4: v: expected a file that can be read: /large: larger than 65536 bytes\n");
    world_put(&w, "/large", large + 1);
    check(&w, "${file:/large}${PORT}", "", "f:2:4: v: expected a value of at most 65536 bytes\n");
    world_done(&w);
}

static void what_comes_in_cannot_change_the_structure(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    check(&w, "${TRICK}", "a: [b]\n\x1b[31m", "");
    check(&w, "${UNSET:-$}{PORT}", "${PORT}", "");
    struct arena arena = {0};
    world_again(&w);
    struct control_config_node *root = control_config_yaml_parse(
        SLICE_LITERAL("\"${PORT}\": ${EMPTY}\nn: ${UNSET:-null}\n"), "f", &arena, &w.report);
    control_config_interpolate(root, &w.host, ".", &arena, &w.report);
    world_expect(&w.report.errors, "");
    assert_string_equal(root->first->key, "${PORT}");
    assert_false(control_config_node_is_null(root->first));
    assert_false(control_config_node_is_null(root->last));
    arena_done(&arena);
    world_done(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "/x", "y");
    struct arena arena = {0};
    bool succeeded = false;
    for (uint64_t n = 1; !succeeded; n++) {
        world_again(&w);
        arena_done(&arena);
        struct control_config_node *root = control_config_yaml_parse(
            SLICE_LITERAL("a: ${file:/x}\nb: ${UNSET}\n"), "f", &arena, &w.report);
        mem_fail_after(n);
        control_config_interpolate(root, &w.host, ".", &arena, &w.report);
        succeeded = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_int_equal(w.report.memory_failed, !succeeded);
    }
    arena_done(&arena);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_replaced),
        cmocka_unit_test(a_default_stands_for_unset_and_empty),
        cmocka_unit_test(other_dollars_stay),
        cmocka_unit_test(an_unset_variable_is_named_with_its_place),
        cmocka_unit_test(a_wrong_reference_is_refused),
        cmocka_unit_test(a_file_gives_its_content_without_the_last_newline),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_value_is_limited),
        cmocka_unit_test(what_comes_in_cannot_change_the_structure),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
