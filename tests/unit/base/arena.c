#include "base/arena.h"

#include <stdalign.h>

#include "base/alloc.h"
#include "lib/unit.h"

static void every_piece_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 256);
    uint8_t *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        size_t size = i * 3 % 90;
        pieces[i] = arena_alloc(&a, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++)
            assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i * 3 % 90; j++)
            assert_int_equal(pieces[i][j], (uint8_t)i);
    arena_done(&a);
}

static void nothing_is_allocated_before_the_first_piece(void **state)
{
    (void)state;
    mem_fail_after(0);
    struct arena a;
    arena_init(&a, 0);
    arena_done(&a);
    assert_int_equal(mem_alloc_count(), 0);
}

static void a_zeroed_arena_takes_blocks_of_the_default_size(void **state)
{
    (void)state;
    mem_fail_after(0);
    struct arena a = {0};
    for (size_t i = 0; i < 4096 / 16; i++)
        assert_non_null(arena_alloc(&a, 16));
    assert_int_equal(mem_alloc_count(), 1);
    assert_non_null(arena_alloc(&a, 1));
    assert_int_equal(mem_alloc_count(), 2);
    arena_done(&a);
}

static void a_piece_larger_than_a_block_leaves_the_open_block_in_use(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 128);
    uint8_t *before = arena_alloc(&a, 16);
    uint8_t *large = arena_alloc(&a, 100000);
    assert_non_null(large);
    large[99999] = 1;
    uint8_t *after = arena_alloc(&a, 16);
    assert_ptr_equal(after, before + 16);
    arena_done(&a);
}

static void a_large_first_piece_is_fine(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64);
    uint8_t *large = arena_alloc(&a, 5000);
    assert_non_null(large);
    large[4999] = 1;
    assert_non_null(arena_alloc(&a, 10));
    arena_done(&a);
}

static void size_counts_what_was_handed_out_until_done(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_non_null(arena_alloc(&a, 32));
    assert_non_null(arena_alloc(&a, 33));
    assert_in_range(a.size, 65, 65 + alignof(max_align_t));
    arena_done(&a);
    assert_int_equal(a.size, 0);
    assert_non_null(arena_alloc(&a, 32));
    assert_int_equal(a.size, 32);
    arena_done(&a);
}

static void strings_and_slices_are_copies(void **state)
{
    (void)state;
    struct arena a = {0};
    char source[] = "flights";
    char *text = arena_string(&a, slice_string(source));
    struct slice copy = arena_slice(&a, slice_string(source));
    source[0] = 'X';
    assert_string_equal(text, "flights");
    assert_slice(copy, "flights");
    assert_string_equal(arena_string(&a, slice_make(NULL, 0)), "");
    struct slice empty = arena_slice(&a, slice_make(NULL, 0));
    assert_non_null(empty.data);
    assert_int_equal(empty.size, 0);
    arena_done(&a);
}

static void sizes_near_the_end_of_the_address_space_are_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 20));
    assert_null(arena_alloc(&a, SIZE_MAX - 60));
    assert_int_equal(a.size, 0);
    arena_done(&a);
}

static void without_memory_an_arena_gives_nothing_and_stays_usable(void **state)
{
    (void)state;
    struct arena a = {0};
    mem_fail_after(1);
    assert_null(arena_alloc(&a, 8));
    assert_non_null(arena_alloc(&a, 8));
    arena_done(&a);
    mem_fail_after(1);
    assert_null(arena_string(&a, SLICE_LITERAL("text")));
    mem_fail_after(1);
    assert_null(arena_slice(&a, SLICE_LITERAL("text")).data);
    mem_fail_after(0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_is_zeroed_aligned_and_apart),
        cmocka_unit_test(nothing_is_allocated_before_the_first_piece),
        cmocka_unit_test(a_zeroed_arena_takes_blocks_of_the_default_size),
        cmocka_unit_test(a_piece_larger_than_a_block_leaves_the_open_block_in_use),
        cmocka_unit_test(a_large_first_piece_is_fine),
        cmocka_unit_test(size_counts_what_was_handed_out_until_done),
        cmocka_unit_test(strings_and_slices_are_copies),
        cmocka_unit_test(sizes_near_the_end_of_the_address_space_are_refused),
        cmocka_unit_test(without_memory_an_arena_gives_nothing_and_stays_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
