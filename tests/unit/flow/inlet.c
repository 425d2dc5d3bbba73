#include "flow/inlet.h"

#include "base/alloc.h"
#include "lib/unit.h"

static void errors_are_listed_in_order(void **state)
{
    (void)state;
    struct flow_inlet_request r = {0};
    char text[] = "line 1";
    for (uint64_t i = 0; i < 10; i++) {
        text[5] = (char)('0' + i);
        flow_inlet_add_error(&r, i * 3, "json", slice_make(text, 6));
    }
    assert_int_equal(r.error_count, 10);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(r.errors[i].index, i * 3);
        assert_string_equal(r.errors[i].reason, "json");
        text[5] = (char)('0' + i);
        assert_string_equal(r.errors[i].detail, text);
    }
    assert_int_equal(r.errors_truncated, 0);
    flow_inlet_request_done(&r);
    assert_int_equal(r.error_count, 0);
    assert_null(r.errors);
}

static void after_a_hundred_errors_are_only_counted(void **state)
{
    (void)state;
    struct flow_inlet_request r = {0};
    for (uint64_t i = 0; i < 250; i++)
        flow_inlet_add_error(&r, i, "json", SLICE_LITERAL("bad"));
    assert_int_equal(r.error_count, FLOW_INLET_ERRORS_MAX);
    assert_int_equal(r.errors_truncated, 150);
    assert_int_equal(r.errors[99].index, 99);
    flow_inlet_request_done(&r);
    assert_int_equal(r.errors_truncated, 0);
}

static void an_error_without_memory_is_counted_not_lost(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct flow_inlet_request r = {0};
        mem_fail_after(n);
        for (uint64_t i = 0; i < 120; i++)
            flow_inlet_add_error(&r, i, "json", SLICE_LITERAL("bad"));
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(r.error_count + r.errors_truncated, 120);
        for (uint32_t i = 0; i < r.error_count; i++)
            assert_string_equal(r.errors[i].detail, "bad");
        for (uint32_t i = 1; i < r.error_count; i++)
            assert_true(r.errors[i].index > r.errors[i - 1].index);
        flow_inlet_request_done(&r);
        if (!failed)
            break;
    }
}

static void the_reason_may_go_when_it_was_told(void **state)
{
    (void)state;
    struct flow_inlet_request r = {0};
    char reason[] = "from a log";
    flow_inlet_add_error(&r, 1, reason, SLICE_LITERAL(""));
    memset(reason, 'x', sizeof(reason) - 1);
    assert_string_equal(r.errors[0].reason, "from a log");
    assert_string_equal(r.errors[0].detail, "");
    flow_inlet_request_done(&r);
}

static void freeing_an_answer_without_errors_is_harmless(void **state)
{
    (void)state;
    struct flow_inlet_request r = {0};
    flow_inlet_request_done(&r);
    flow_inlet_request_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_listed_in_order),
        cmocka_unit_test(after_a_hundred_errors_are_only_counted),
        cmocka_unit_test(an_error_without_memory_is_counted_not_lost),
        cmocka_unit_test(the_reason_may_go_when_it_was_told),
        cmocka_unit_test(freeing_an_answer_without_errors_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
