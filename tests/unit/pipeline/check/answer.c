#include "pipeline/check/check_int.h"

#include "base/alloc.h"
#include "base/cursor.h"
#include "lib/unit.h"

#define assert_code(error, expected) assert_string_equal(err_name(error), #expected)

static const struct pipeline_check_tally tally = {.records = {7, 2, 300, 0}};

static void put(const struct flow_inlet_request *first, struct buf *kept)
{
    assert_code(pipeline_check_answer_encode(&tally, first, kept), OK);
    assert_true(kept->size <= FLOW_ANSWER_MAX);
}

static void what_is_kept_is_the_answer_again(void **state)
{
    (void)state;
    struct flow_inlet_request first = {.errors_truncated = 200};
    struct flow_inlet_request again = {0};
    struct buf kept = {0};
    for (uint64_t i = 0; i < 100; i++)
        flow_inlet_add_error(&first, i * 1000, i % 2 ? "json" : "schema", SLICE_LITERAL("why"));
    flow_inlet_request_done(&again);
    put(&first, &kept);
    assert_code(pipeline_check_answer_decode(buf_slice(&kept), 3, &again), OK);
    assert_int_equal(again.accepted, 4);
    assert_int_equal(again.duplicates, 3);
    assert_int_equal(again.dead_lettered, 2);
    assert_int_equal(again.refused, 300);
    assert_int_equal(again.errors_truncated, 200);
    assert_int_equal(again.error_count, 100);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(again.errors[i].index, i * 1000);
        assert_string_equal(again.errors[i].reason, first.errors[i].reason);
        assert_string_equal(again.errors[i].detail, "why");
    }
    flow_inlet_request_done(&first);
    flow_inlet_request_done(&again);
    buf_done(&kept);
}

static void one_that_is_too_long_is_kept_without_its_errors(void **state)
{
    (void)state;
    struct flow_inlet_request first = {.errors_truncated = 5};
    struct flow_inlet_request again = {0};
    struct buf kept = {0};
    char detail[100];
    memset(detail, 'x', sizeof(detail));
    for (uint64_t i = 0; i < 50; i++)
        flow_inlet_add_error(&first, i, "json", slice_make(detail, sizeof(detail)));
    put(&first, &kept);
    assert_code(pipeline_check_answer_decode(buf_slice(&kept), 0, &again), OK);
    assert_int_equal(again.accepted, 7);
    assert_int_equal(again.error_count, 0);
    assert_int_equal(again.errors_truncated, 55);
    flow_inlet_request_done(&first);
    flow_inlet_request_done(&again);
    buf_done(&kept);
}

static void bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    struct flow_inlet_request first = {0};
    struct flow_inlet_request again = {0};
    struct buf kept = {0};
    flow_inlet_add_error(&first, 1, "json", SLICE_LITERAL("why"));
    put(&first, &kept);
    for (size_t size = 0; size < kept.size; size++) {
        uint8_t *cut = mem_alloc(size + 1);
        memcpy(cut, kept.data, size);
        assert_code(pipeline_check_answer_decode(slice_make(cut, size), 0, &again), CORRUPT);
        assert_int_equal(again.error_count, 0);
        mem_free(cut);
    }
    /* More left out than were accepted; bytes behind the end. */
    assert_code(pipeline_check_answer_decode(buf_slice(&kept), 8, &again), CORRUPT);
    buf_add_byte(&kept, 0);
    assert_code(pipeline_check_answer_decode(buf_slice(&kept), 0, &again), CORRUPT);
    /* A reason that is longer than any. */
    struct buf strange = {0};
    for (int i = 0; i < 4; i++)
        buf_add_uvarint(&strange, 1);
    buf_add_uvarint(&strange, 1);
    buf_add_uvarint(&strange, 1);
    buf_add_uvarint(&strange, 100);
    for (int i = 0; i < 101; i++)
        buf_add_byte(&strange, 0);
    assert_code(pipeline_check_answer_decode(buf_slice(&strange), 0, &again), CORRUPT);
    flow_inlet_request_done(&first);
    buf_done(&strange);
    buf_done(&kept);
}

static void without_memory_nothing_is_kept(void **state)
{
    (void)state;
    struct flow_inlet_request first = {0};
    struct flow_inlet_request again = {0};
    struct buf kept = {0};
    mem_fail_after(1);
    assert_code(pipeline_check_answer_encode(&tally, &first, &kept), MEMORY);
    mem_fail_after(0);
    /* The next request finds the buffer as good as ever. */
    flow_inlet_add_error(&first, 1, "json", SLICE_LITERAL("why"));
    put(&first, &kept);
    mem_fail_after(1);
    assert_code(pipeline_check_answer_decode(buf_slice(&kept), 0, &again), OK);
    mem_fail_after(0);
    assert_int_equal(again.errors_truncated, 1);
    flow_inlet_request_done(&first);
    flow_inlet_request_done(&again);
    buf_done(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_the_answer_again),
        cmocka_unit_test(one_that_is_too_long_is_kept_without_its_errors),
        cmocka_unit_test(bytes_that_are_none_are_refused),
        cmocka_unit_test(without_memory_nothing_is_kept),
    };
    return cmocka_run_group_tests_name("pipeline/check/answer", tests, NULL, NULL);
}
