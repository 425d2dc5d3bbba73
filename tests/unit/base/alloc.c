#include "base/alloc.h"

#include "lib/unit.h"

static void a_block_of_no_bytes_is_a_pointer_of_its_own(void **state)
{
    (void)state;
    void *first = mem_alloc(0);
    void *second = mem_alloc(0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    mem_free(first);
    mem_free(second);
}

static void zeroed_memory_is_zero(void **state)
{
    (void)state;
    static const uint8_t zeros[300];
    uint8_t *block = mem_zalloc(100, 3);
    assert_non_null(block);
    assert_memory_equal(block, zeros, 300);
    mem_free(block);
    void *empty = mem_zalloc(0, 8);
    assert_non_null(empty);
    mem_free(empty);
}

static void a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    assert_null(mem_zalloc(SIZE_MAX / 2, 3));
    assert_null(mem_realloc(NULL, SIZE_MAX / 2, 3));
}

static void growing_and_shrinking_keep_the_content(void **state)
{
    (void)state;
    uint32_t *numbers = mem_realloc(NULL, 4, sizeof(uint32_t));
    assert_non_null(numbers);
    for (uint32_t i = 0; i < 4; i++)
        numbers[i] = i * 7;
    numbers = mem_realloc(numbers, 4000, sizeof(uint32_t));
    assert_non_null(numbers);
    assert_int_equal(numbers[3], 21);
    numbers = mem_realloc(numbers, 2, sizeof(uint32_t));
    assert_non_null(numbers);
    assert_int_equal(numbers[1], 7);
    numbers = mem_realloc(numbers, 0, sizeof(uint32_t));
    assert_non_null(numbers);
    mem_free(numbers);
}

static void a_failed_growth_leaves_the_block(void **state)
{
    (void)state;
    char *text = mem_string("kept", 4);
    assert_non_null(text);
    mem_fail_after(1);
    assert_null(mem_realloc(text, 1000, 1));
    assert_string_equal(text, "kept");
    mem_fail_after(0);
    mem_free(text);
}

static void aligned_memory_is_aligned(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 65536; align *= 2) {
        uint8_t *block = mem_alloc_aligned(align, 100);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % align, 0);
        block[99] = 1;
        mem_free(block);
    }
}

static void a_string_copy_ends_in_zero_and_may_hold_zeros(void **state)
{
    (void)state;
    char *text = mem_string("a\0b", 3);
    assert_non_null(text);
    assert_memory_equal(text, "a\0b\0", 4);
    mem_free(text);
    char *empty = mem_string(NULL, 0);
    assert_non_null(empty);
    assert_string_equal(empty, "");
    mem_free(empty);
}

static void only_the_named_allocation_fails_and_only_once(void **state)
{
    (void)state;
    mem_fail_after(3);
    void *blocks[4] = {mem_alloc(1), mem_zalloc(1, 1), mem_alloc(1), mem_alloc_aligned(8, 8)};
    assert_int_equal(mem_alloc_count(), 4);
    assert_non_null(blocks[0]);
    assert_non_null(blocks[1]);
    assert_null(blocks[2]);
    assert_non_null(blocks[3]);
    mem_fail_after(0);
    for (size_t i = 0; i < 4; i++)
        mem_free(blocks[i]);
}

static void every_kind_of_allocation_can_fail(void **state)
{
    (void)state;
    mem_fail_after(1);
    assert_null(mem_alloc(1));
    mem_fail_after(1);
    assert_null(mem_zalloc(1, 1));
    mem_fail_after(1);
    assert_null(mem_realloc(NULL, 1, 1));
    mem_fail_after(1);
    assert_null(mem_alloc_aligned(16, 16));
    mem_fail_after(1);
    assert_null(mem_string("x", 1));
    mem_fail_after(0);
}

static void zero_counts_without_failing(void **state)
{
    (void)state;
    mem_fail_after(0);
    assert_int_equal(mem_alloc_count(), 0);
    for (int i = 0; i < 5; i++) {
        void *block = mem_alloc(8);
        assert_non_null(block);
        mem_free(block);
    }
    assert_int_equal(mem_alloc_count(), 5);
    mem_fail_after(0);
    assert_int_equal(mem_alloc_count(), 0);
}

static void a_fresh_process_neither_counts_nor_fails(void **state)
{
    (void)state;
    void *block = mem_alloc(8);
    assert_non_null(block);
    mem_free(block);
    assert_int_equal(mem_alloc_count(), 0);
}

static void freeing_nothing_is_harmless(void **state)
{
    (void)state;
    mem_free(NULL);
}

static void tables_are_aligned_whatever_their_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, (4u << 20) - 1, 4u << 20, (5u << 20) + 7};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *table = mem_alloc_table(sizes[i]);
        assert_non_null(table);
        size_t align = sizes[i] >= 4u << 20 ? 2u << 20 : 64;
        assert_int_equal((uintptr_t)table % align, 0);
        if (sizes[i])
            memset(table, 1, sizes[i]);
        mem_free(table);
        mem_fail_after(1);
        assert_null(mem_alloc_table(sizes[i]));
        mem_fail_after(0);
    }
    assert_null(mem_alloc_table(SIZE_MAX));
}

/* How fast it goes back is the allocator's, and seen by nobody else. */
static void memory_that_goes_back_at_once_is_memory_all_the_same(void **state)
{
    (void)state;
    mem_return_at_once();
    for (size_t size = 1; size <= 8u << 20; size *= 8) {
        uint8_t *block = mem_alloc(size);
        assert_non_null(block);
        memset(block, 0x5a, size);
        block = mem_realloc(block, size * 2, 1);
        assert_non_null(block);
        assert_int_equal(block[size - 1], 0x5a);
        mem_free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, before any other test arms the counter. */
        cmocka_unit_test(a_fresh_process_neither_counts_nor_fails),
        cmocka_unit_test(a_block_of_no_bytes_is_a_pointer_of_its_own),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(growing_and_shrinking_keep_the_content),
        cmocka_unit_test(a_failed_growth_leaves_the_block),
        cmocka_unit_test(aligned_memory_is_aligned),
        cmocka_unit_test(a_string_copy_ends_in_zero_and_may_hold_zeros),
        cmocka_unit_test(only_the_named_allocation_fails_and_only_once),
        cmocka_unit_test(every_kind_of_allocation_can_fail),
        cmocka_unit_test(zero_counts_without_failing),
        cmocka_unit_test(freeing_nothing_is_harmless),
        cmocka_unit_test(tables_are_aligned_whatever_their_size),
        cmocka_unit_test(memory_that_goes_back_at_once_is_memory_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
