#include "lib/unit.h"

#include "base/alloc.h"
#include "sinks/sinks.h"

static void refusals_are_kept_in_order(void **state)
{
    (void)state;
    struct sinks_result result = {0};
    for (int i = 0; i < 100; i++)
        assert_true(err_is_ok(sinks_refuse(&result, i * 3, "sink", "number %d", i)));
    assert_int_equal(result.refusal_count, 100);
    for (int i = 0; i < 100; i++) {
        char detail[32];
        (void)snprintf(detail, sizeof(detail), "number %d", i);
        assert_int_equal(result.refusals[i].offset, i * 3);
        assert_string_equal(result.refusals[i].reason, "sink");
        assert_string_equal(result.refusals[i].detail, detail);
    }
    sinks_result_done(&result);
    assert_int_equal(result.refusal_count, 0);
    assert_null(result.refusals);
}

static void a_long_detail_is_cut(void **state)
{
    (void)state;
    struct sinks_result result = {0};
    assert_true(err_is_ok(sinks_refuse(&result, 0, "sink", "%0200d", 7)));
    assert_int_equal(strlen(result.refusals[0].detail), sizeof(result.refusals[0].detail) - 1);
    sinks_result_done(&result);
}

static void without_memory_nothing_is_added(void **state)
{
    (void)state;
    struct sinks_result result = {0};
    mem_fail_after(1);
    assert_int_equal(sinks_refuse(&result, 0, "sink", "x").code, ERR_MEMORY);
    assert_int_equal(result.refusal_count, 0);
    mem_fail_after(0);
    sinks_result_done(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_kept_in_order),
        cmocka_unit_test(a_long_detail_is_cut),
        cmocka_unit_test(without_memory_nothing_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
