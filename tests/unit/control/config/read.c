#include "control/config/read.h"

#include "unit/control/world.h"

static void a_file_is_parsed_and_interpolated(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "d/f.yaml", "a: ${PORT}\nb: ${file:x}\n");
    world_put(&w, "d/x", "content\n");
    struct arena arena = {0};
    struct control_config_node *root =
        control_config_read(&w.host, "d/f.yaml", "d", &arena, &w.report);
    world_expect(&w.report.errors, "");
    assert_string_equal(control_config_node_get(root, "a")->text, "8081");
    assert_string_equal(control_config_node_get(root, "b")->text, "content");
    assert_string_equal(root->file, "d/f.yaml");
    arena_done(&arena);
    world_done(&w);
}

static void errors_of_several_steps_come_together(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "f.yaml", "a: ${UNSET_A:-}\nb: ${x y}\nb: 2\n");
    struct arena arena = {0};
    assert_non_null(control_config_read(&w.host, "f.yaml", ".", &arena, &w.report));
    world_expect(&w.report.errors,
                 "f.yaml:2:4: b: expected ${NAME}, ${NAME:-default} or ${file:PATH}, got ${x y}\n"
                 "f.yaml:3:1: b: expected each field once, this one is given twice\n");
    arena_done(&arena);
    world_done(&w);
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "f.yaml", "a: 1\n");
    world_fail(&w, "f.yaml", ERR_PERMISSION);
    struct arena arena = {0};
    assert_null(control_config_read(&w.host, "f.yaml", ".", &arena, &w.report));
    world_expect(&w.report.errors, "f.yaml:1:1: (root): expected a file that can be read: f.yaml: "
                                   "permission denied\n");
    arena_done(&arena);
    world_done(&w);
}

static void a_file_is_limited_in_size(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    static char large[(1 << 20) + 2];
    memset(large, ' ', sizeof(large) - 1);
    world_put(&w, "f.yaml", large);
    struct arena arena = {0};
    assert_null(control_config_read(&w.host, "f.yaml", ".", &arena, &w.report));
    world_expect(&w.report.errors, "f.yaml:1:1: (root): expected a file that can be read: f.yaml: "
                                   "larger than 1048576 bytes\n");
    world_again(&w);
    world_put(&w, "f.yaml", large + 1);
    assert_non_null(control_config_read(&w.host, "f.yaml", ".", &arena, &w.report));
    arena_done(&arena);
    world_done(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "f.yaml", "a: ${PORT}\n");
    bool succeeded = false;
    for (uint64_t n = 1; !succeeded; n++) {
        struct arena arena = {0};
        world_again(&w);
        mem_fail_after(n);
        const struct control_config_node *root =
            control_config_read(&w.host, "f.yaml", ".", &arena, &w.report);
        succeeded = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_int_equal(w.report.memory_failed, !succeeded);
        assert_true(root || !succeeded);
        arena_done(&arena);
    }
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_parsed_and_interpolated),
        cmocka_unit_test(errors_of_several_steps_come_together),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_file_is_limited_in_size),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
