#include "base/compress/room.h"

#include "unit/base/compress/samples.h"

static void room_that_cannot_be_had_latches_nothing(void **state)
{
    (void)state;
    struct buf out;
    uint8_t *room = NULL;
    buf_init(&out, 8);
    buf_add_string(&out, "there");
    samples_assert_code(compress_room(&out, 4, &room), ERR_TOO_LARGE);
    assert_true(buf_ok(&out) && !room);
    mem_fail_after(1);
    struct buf empty = {0};
    samples_assert_code(compress_room(&empty, 4, &room), ERR_MEMORY);
    mem_fail_after(0);
    assert_true(buf_ok(&empty) && !room);
    samples_assert_code(compress_room(&out, 3, &room), ERR_OK);
    assert_ptr_equal(room, out.data + 5);
    buf_done(&out);
}

/* Fills all room that it gets; `total` bytes in the end. */
static err_t fill(const struct compress_result *result, size_t total)
{
    while (total > 0) {
        uint8_t *room;
        size_t size;
        TRY(compress_step(result, &room, &size));
        assert_in_range(size, 1, SIZE_MAX);
        size = size < total ? size : total;
        memset(room, 'x', size);
        buf_advance(result->out, size);
        total -= size;
    }
    return err_ok();
}

static void a_result_may_have_its_limit_and_no_byte_more(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 65535, 65536, 300000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        for (size_t over = 0; over < 3; over++) {
            struct buf out = {0};
            buf_add_string(&out, "there");
            struct compress_result result = compress_begin(&out, limits[i]);
            err_t err = compress_end(&result, fill(&result, limits[i] + over));
            samples_assert_code(err, over ? ERR_TOO_LARGE : ERR_OK);
            assert_int_equal(out.size, 5 + (over ? 0 : limits[i]));
            /* It has no cap any more. */
            buf_add_string(&out, "more");
            assert_true(buf_ok(&out));
            buf_done(&out);
        }
}

/* Doubling 8 MiB takes 24 while both blocks are there. */
static void a_result_within_a_budget_grows_to_nearly_all_of_it(void **state)
{
    (void)state;
    struct buf_budget budget = {.limit_bytes = 18 << 20};
    struct buf out = {.budget = &budget};
    struct compress_result result = compress_begin(&out, 16 << 20);
    samples_assert_code(compress_end(&result, fill(&result, 15 << 20)), ERR_OK);
    assert_int_equal(out.size, 15 << 20);
    assert_int_equal(budget.used_bytes, out.capacity);
    buf_trim(&out);
    assert_int_equal(budget.used_bytes, 15 << 20);
    buf_done(&out);
    /* Where not all of it is there, as much as is needed. */
    budget.used_bytes = 8 << 20;
    result = compress_begin(&out, 16 << 20);
    samples_assert_code(compress_end(&result, fill(&result, 3 << 20)), ERR_OK);
    buf_done(&out);
    result = compress_begin(&out, 16 << 20);
    samples_assert_code(compress_end(&result, fill(&result, 12 << 20)), ERR_MEMORY);
    assert_true(budget.refused);
    buf_done(&out);
    assert_int_equal(budget.used_bytes, 8 << 20);
}

static void a_failure_takes_back_what_was_written(void **state)
{
    (void)state;
    struct buf out = {0};
    buf_add_string(&out, "there");
    struct compress_result result = compress_begin(&out, 1000);
    samples_assert_code(fill(&result, 700), ERR_OK);
    samples_assert_code(compress_end(&result, err_make(ERR_CORRUPT)), ERR_CORRUPT);
    assert_slice(buf_slice(&out), "there");
    buf_done(&out);
}

static void memory_for_libraries_is_the_programs(void **state)
{
    (void)state;
    mem_fail_after(0);
    uint64_t mark = mem_alloc_count();
    void *block = compress_allocate(NULL, 100);
    assert_non_null(block);
    assert_int_equal(mem_alloc_count() - mark, 1);
    compress_release(NULL, block);
    compress_release(NULL, NULL);
    mem_fail_after(1);
    assert_null(compress_allocate(NULL, 100));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_that_cannot_be_had_latches_nothing),
        cmocka_unit_test(a_result_may_have_its_limit_and_no_byte_more),
        cmocka_unit_test(a_result_within_a_budget_grows_to_nearly_all_of_it),
        cmocka_unit_test(a_failure_takes_back_what_was_written),
        cmocka_unit_test(memory_for_libraries_is_the_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
