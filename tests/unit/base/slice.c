#include "base/slice.h"

#include "lib/unit.h"

static const struct slice nothing = {NULL, 0};

static void a_literal_is_its_bytes_without_the_zero(void **state)
{
    (void)state;
    struct slice s = SLICE_LITERAL("a\0b");
    assert_int_equal(s.size, 3);
    assert_memory_equal(s.data, "a\0b", 3);
}

static void equality_looks_at_bytes_not_at_zeros(void **state)
{
    (void)state;
    assert_true(slice_equal(nothing, SLICE_LITERAL("")));
    assert_true(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0b")));
    assert_false(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c")));
    assert_false(slice_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
    assert_true(slice_equal_string(SLICE_LITERAL("abc"), "abc"));
}

static void only_ascii_letters_fold(void **state)
{
    (void)state;
    assert_true(slice_equal_nocase(SLICE_LITERAL("Content-Type"), SLICE_LITERAL("cONTENT-tYPE")));
    assert_true(slice_equal_nocase(SLICE_LITERAL("AZaz"), SLICE_LITERAL("azAZ")));
    assert_true(slice_equal_nocase(nothing, nothing));
    assert_false(slice_equal_nocase(SLICE_LITERAL("a"), SLICE_LITERAL("ab")));
    /* These pairs differ in the same bit as the letters do. */
    assert_false(slice_equal_nocase(SLICE_LITERAL("@"), SLICE_LITERAL("`")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("["), SLICE_LITERAL("{")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("\r"), SLICE_LITERAL("-")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("\xc4"), SLICE_LITERAL("\xe4")));
}

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    struct slice topic = SLICE_LITERAL("flights.dlq");
    assert_true(slice_starts_with(topic, SLICE_LITERAL("flights")));
    assert_true(slice_ends_with(topic, SLICE_LITERAL(".dlq")));
    assert_true(slice_starts_with(topic, topic));
    assert_true(slice_ends_with(topic, topic));
    assert_true(slice_starts_with(topic, nothing));
    assert_true(slice_ends_with(nothing, nothing));
    assert_false(slice_starts_with(topic, SLICE_LITERAL("flights.dlq.")));
    assert_false(slice_ends_with(topic, SLICE_LITERAL("xflights.dlq")));
    assert_false(slice_starts_with(topic, SLICE_LITERAL("light")));
    assert_false(slice_ends_with(topic, SLICE_LITERAL(".dl")));
}

static void a_part_is_clipped_to_the_whole(void **state)
{
    (void)state;
    struct slice s = SLICE_LITERAL("abcdef");
    assert_slice(slice_sub(s, 0, 6), "abcdef");
    assert_slice(slice_sub(s, 2, 3), "cde");
    assert_slice(slice_sub(s, 4, 100), "ef");
    assert_slice(slice_sub(s, 4, SIZE_MAX), "ef");
    assert_slice(slice_sub(s, 6, 1), "");
    assert_slice(slice_sub(s, SIZE_MAX, SIZE_MAX), "");
    assert_slice(slice_sub(nothing, 3, 3), "");
}

static void trimming_takes_both_ends_only(void **state)
{
    (void)state;
    assert_slice(slice_trim(SLICE_LITERAL(" \t\r\na b\n ")), "a b");
    assert_slice(slice_trim(SLICE_LITERAL("ab")), "ab");
    assert_slice(slice_trim(SLICE_LITERAL(" \n")), "");
    assert_slice(slice_trim(nothing), "");
    assert_slice(slice_trim(SLICE_LITERAL("\va\f")), "\va\f");
}

static void finding_gives_the_first_place_or_the_size(void **state)
{
    (void)state;
    struct slice s = SLICE_LITERAL("host:port:x");
    assert_int_equal(slice_find(s, ':'), 4);
    assert_int_equal(slice_find(s, 'h'), 0);
    assert_int_equal(slice_find(s, 'x'), 10);
    assert_int_equal(slice_find(s, 'z'), 11);
    assert_int_equal(slice_find(nothing, 'z'), 0);
    assert_int_equal(slice_find(SLICE_LITERAL("a\0"), 0), 1);
}

static void splitting_walks_over_all_parts(void **state)
{
    (void)state;
    struct slice rest = SLICE_LITERAL("a,,bc,");
    assert_slice(slice_split(&rest, ','), "a");
    assert_slice(slice_split(&rest, ','), "");
    assert_slice(slice_split(&rest, ','), "bc");
    assert_non_null(rest.data);
    assert_slice(slice_split(&rest, ','), "");
    assert_null(rest.data);
    assert_int_equal(rest.size, 0);
}

static void splitting_without_a_separator_gives_the_whole(void **state)
{
    (void)state;
    struct slice rest = SLICE_LITERAL("whole");
    assert_slice(slice_split(&rest, ','), "whole");
    assert_null(rest.data);
    assert_slice(slice_split(&rest, ','), "");
    assert_null(rest.data);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void order_is_by_unsigned_bytes_with_a_prefix_first(void **state)
{
    (void)state;
    static const struct slice ordered[] = {
        {(const uint8_t *)"", 0},         {(const uint8_t *)"\0", 1},
        {(const uint8_t *)"a", 1},        {(const uint8_t *)"a\0", 2},
        {(const uint8_t *)"ab", 2},       {(const uint8_t *)"b", 1},
        {(const uint8_t *)"\x7f", 1},     {(const uint8_t *)"\x80", 1},
        {(const uint8_t *)"\xff\x01", 2},
    };
    const int count = sizeof(ordered) / sizeof(ordered[0]);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            assert_int_equal(sign(slice_compare(ordered[i], ordered[j])), sign(i - j));
    assert_int_equal(slice_compare(nothing, SLICE_LITERAL("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_is_its_bytes_without_the_zero),
        cmocka_unit_test(equality_looks_at_bytes_not_at_zeros),
        cmocka_unit_test(only_ascii_letters_fold),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(a_part_is_clipped_to_the_whole),
        cmocka_unit_test(trimming_takes_both_ends_only),
        cmocka_unit_test(finding_gives_the_first_place_or_the_size),
        cmocka_unit_test(splitting_walks_over_all_parts),
        cmocka_unit_test(splitting_without_a_separator_gives_the_whole),
        cmocka_unit_test(order_is_by_unsigned_bytes_with_a_prefix_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
