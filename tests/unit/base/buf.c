#include "base/buf.h"

#include "base/alloc.h"
#include "base/utf8.h"
#include "lib/unit.h"

/* Frees `b` after a look at its content. */
static void assert_holds(struct buf *b, const char *text)
{
    assert_true(buf_ok(b));
    assert_slice(buf_slice(b), text);
    buf_done(b);
}

static void appended_parts_stand_in_order(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add(&b, "one", 3);
    buf_add_string(&b, " two");
    buf_add_slice(&b, SLICE_LITERAL(" three"));
    buf_add_byte(&b, '!');
    buf_add(&b, NULL, 0);
    assert_holds(&b, "one two three!");
}

static void growing_byte_by_byte_keeps_all_and_allocates_rarely(void **state)
{
    (void)state;
    mem_fail_after(0);
    struct buf b = {0};
    for (uint32_t i = 0; i < 100000; i++)
        buf_add_byte(&b, (uint8_t)(i * 31));
    assert_in_range(mem_alloc_count(), 1, 16);
    assert_int_equal(b.size, 100000);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (uint8_t)(i * 31));
    buf_done(&b);
}

static void an_empty_buffer_costs_nothing(void **state)
{
    (void)state;
    mem_fail_after(0);
    struct buf b;
    buf_init(&b, 100);
    buf_add(&b, "", 0);
    buf_add_string(&b, "");
    buf_reset(&b);
    assert_int_equal(buf_slice(&b).size, 0);
    buf_done(&b);
    assert_int_equal(mem_alloc_count(), 0);
}

static void reserved_room_becomes_content_when_it_is_counted(void **state)
{
    (void)state;
    struct buf b = {0};
    uint8_t *room = buf_reserve(&b, 500);
    assert_non_null(room);
    memset(room, 'r', 500);
    assert_int_equal(b.size, 0);
    buf_advance(&b, 3);
    assert_slice(buf_slice(&b), "rrr");
    assert_non_null(buf_reserve(&b, 0));
    assert_holds(&b, "rrr");
    assert_non_null(buf_reserve(&b, 0));
    buf_done(&b);
}

static void the_cap_can_be_reached_and_not_passed(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add_string(&b, "0123456789");
    assert_true(buf_ok(&b));
    assert_true(err_is_ok(buf_error(&b)));
    assert_in_range(b.capacity, 10, 10);
    buf_add_byte(&b, 'x');
    assert_false(buf_ok(&b));
    assert_true(err_is(buf_error(&b), ERR_TOO_LARGE));
    assert_slice(buf_slice(&b), "0123456789");
    assert_null(buf_reserve(&b, 0));
    buf_done(&b);
    assert_int_equal(b.size_max, 10);
}

static void a_size_that_overflows_is_too_large(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_string(&b, "abc");
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(err_is(buf_error(&b), ERR_TOO_LARGE));
    buf_reset(&b);
    buf_add_string(&b, "abc");
    assert_null(buf_reserve(&b, SIZE_MAX - 3));
    assert_true(err_is(buf_error(&b), ERR_MEMORY));
    assert_slice(buf_slice(&b), "abc");
    buf_done(&b);
}

static void after_a_failure_nothing_is_appended_until_reset(void **state)
{
    (void)state;
    struct buf b = {0};
    mem_fail_after(1);
    buf_add_string(&b, "lost");
    buf_add_string(&b, "lost too");
    buf_add_format(&b, "%d", 1);
    buf_add_u64(&b, 1);
    mem_fail_after(0);
    assert_int_equal(b.size, 0);
    assert_true(err_is(buf_error(&b), ERR_MEMORY));
    buf_reset(&b);
    assert_true(err_is_ok(buf_error(&b)));
    buf_add_string(&b, "kept");
    assert_holds(&b, "kept");
}

static void a_failed_growth_keeps_what_was_there(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_string(&b, "kept");
    mem_fail_after(1);
    assert_null(buf_reserve(&b, 1000));
    mem_fail_after(0);
    assert_slice(buf_slice(&b), "kept");
    assert_true(err_is(buf_error(&b), ERR_MEMORY));
    buf_done(&b);
    assert_true(buf_ok(&b));
}

static void reset_keeps_the_memory(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_string(&b, "some text");
    const uint8_t *data = b.data;
    buf_reset(&b);
    assert_int_equal(b.size, 0);
    buf_add_string(&b, "other");
    assert_ptr_equal(b.data, data);
    assert_holds(&b, "other");
}

static void formatted_text_of_any_length_is_whole(void **state)
{
    (void)state;
    char expected[600];
    for (int width = 1; width < 600; width += width < 250 || width > 260 ? 49 : 1) {
        struct buf b = {0};
        buf_add_format(&b, "%*d", width, 7);
        (void)snprintf(expected, sizeof(expected), "%*d", width, 7);
        assert_holds(&b, expected);
    }
}

static void formatted_text_may_fill_the_cap_exactly(void **state)
{
    (void)state;
    static const int widths[] = {5, 255, 256, 300};
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        struct buf b;
        buf_init(&b, (size_t)widths[i]);
        buf_add_format(&b, "%*d", widths[i], 7);
        assert_true(buf_ok(&b));
        assert_int_equal(b.size, widths[i]);
        buf_add_format(&b, "%d", 7);
        assert_true(err_is(buf_error(&b), ERR_TOO_LARGE));
        buf_done(&b);
        buf_add_format(&b, "%*d", widths[i] + 1, 7);
        assert_true(err_is(buf_error(&b), ERR_TOO_LARGE));
        buf_done(&b);
    }
}

static void formatting_survives_every_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct buf b = {0};
        mem_fail_after(n);
        buf_add_format(&b, "%300d", 7);
        mem_fail_after(0);
        assert_int_equal(b.size, 0);
        assert_true(err_is(buf_error(&b), ERR_MEMORY));
        buf_done(&b);
    }
}

static void numbers_are_written_as_printf_writes_them(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    char expected[32];
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t value = unit_random(&random) >> unit_random(&random) % 64;
        struct buf b = {0};
        buf_add_u64(&b, value);
        (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
        assert_holds(&b, expected);
        buf_add_i64(&b, (int64_t)value);
        (void)snprintf(expected, sizeof(expected), "%lld", (long long)value);
        assert_holds(&b, expected);
    }
}

static void numbers_at_the_edges(void **state)
{
    (void)state;
    struct buf b = {0};
    static const uint64_t edges[] = {0, 9, 10, 99, 100, 101, 999, 1000, UINT64_MAX};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        buf_add_u64(&b, edges[i]);
        buf_add_byte(&b, ' ');
    }
    buf_add_i64(&b, INT64_MIN);
    buf_add_byte(&b, ' ');
    buf_add_i64(&b, INT64_MAX);
    buf_add_byte(&b, ' ');
    buf_add_i64(&b, -1);
    assert_holds(&b, "0 9 10 99 100 101 999 1000 18446744073709551615 "
                     "-9223372036854775808 9223372036854775807 -1");
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *json;
    } pairs[] = {
        {"", "\"\""},
        {"plain /text", "\"plain /text\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"a\\b", "\"a\\\\b\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
        {"Gr\xc3\xbcn \xf0\x9f\x9a\x80", "\"Gr\xc3\xbcn \xf0\x9f\x9a\x80\""},
        {"a\xffz", "\"a\xef\xbf\xbdz\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"cut \xe4\xb8", "\"cut \xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xff\n", "\"\xef\xbf\xbd\\n\""},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buf b = {0};
        buf_add_json_string(&b, slice_string(pairs[i].text));
        assert_holds(&b, pairs[i].json);
    }
    struct buf b = {0};
    buf_add_json_string(&b, SLICE_LITERAL("\0"));
    assert_holds(&b, "\"\\u0000\"");
}

static void any_bytes_become_a_json_string(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (uint32_t round = 0; round < 2000; round++) {
        uint8_t bytes[40];
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)unit_random(&random);
        struct buf b = {0};
        buf_add_json_string(&b, slice_make(bytes, unit_random(&random) % 41));
        assert_true(utf8_valid(buf_slice(&b)));
        assert_int_equal(b.data[0], '"');
        assert_int_equal(b.data[b.size - 1], '"');
        for (size_t i = 1; i < b.size - 1; i++) {
            assert_true(b.data[i] >= 0x20 && b.data[i] != '"');
            i += b.data[i] == '\\';
        }
        buf_done(&b);
    }
}

static void consuming_takes_from_the_front(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_consume(&b, 0);
    buf_add_string(&b, "header body");
    buf_consume(&b, 0);
    buf_consume(&b, 7);
    assert_slice(buf_slice(&b), "body");
    buf_consume(&b, 4);
    assert_int_equal(b.size, 0);
    buf_add_string(&b, "again");
    assert_holds(&b, "again");
}

static void buffers_take_no_more_than_their_budget(void **state)
{
    (void)state;
    struct buf_budget budget = {.limit_bytes = 1000};
    struct buf a = {.budget = &budget};
    struct buf b = {.budget = &budget};
    char bytes[600] = {0};
    buf_add(&a, bytes, 200);
    assert_int_equal(budget.used_bytes, 200);
    buf_add(&b, bytes, 300);
    assert_int_equal(budget.used_bytes, 500);
    /* Twice as much is not there, and what is needed is not either: both blocks count. */
    buf_add(&b, bytes, 201);
    assert_false(buf_ok(&b));
    assert_true(err_is(buf_error(&b), ERR_MEMORY));
    assert_true(budget.refused);
    assert_int_equal(budget.used_bytes, 500);
    assert_int_equal(b.size, 300);
    /* No more than is needed, where twice as much is not there. */
    budget.refused = false;
    buf_reset(&b);
    buf_add(&b, bytes, 450);
    assert_true(buf_ok(&b) && !budget.refused);
    assert_int_equal(b.capacity, 450);
    assert_int_equal(budget.used_bytes, 650);
    buf_done(&b);
    assert_int_equal(budget.used_bytes, 200);
    buf_add(&b, bytes, 1);
    assert_int_equal(budget.used_bytes, 264);
    buf_done(&a);
    buf_done(&b);
    assert_int_equal(budget.used_bytes, 0);
}

static void a_failed_allocation_takes_nothing_of_the_budget(void **state)
{
    (void)state;
    struct buf_budget budget = {.limit_bytes = 1000};
    struct buf b = {.budget = &budget};
    mem_fail_after(1);
    buf_add_string(&b, "text");
    mem_fail_after(0);
    assert_false(buf_ok(&b) || budget.refused);
    assert_int_equal(budget.used_bytes, 0);
    buf_done(&b);
    assert_true(buf_budget_take(NULL, UINT64_MAX));
    buf_budget_give(NULL, 1);
}

static void trimming_gives_back_what_is_behind_the_content(void **state)
{
    (void)state;
    struct buf_budget budget = {.limit_bytes = 1000};
    struct buf b = {.budget = &budget};
    buf_reserve(&b, 800);
    buf_add_string(&b, "text");
    buf_trim(&b);
    assert_int_equal(b.capacity, 4);
    assert_int_equal(budget.used_bytes, 4);
    buf_trim(&b);
    assert_slice(buf_slice(&b), "text");
    mem_fail_after(1);
    buf_reserve(&b, 100);
    buf_reset(&b);
    mem_fail_after(1);
    b.size = 1;
    buf_trim(&b);
    mem_fail_after(0);
    assert_int_equal(b.capacity, 4);
    assert_int_equal(budget.used_bytes, 4);
    b.size = 0;
    buf_trim(&b);
    assert_null(b.data);
    assert_int_equal(budget.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_parts_stand_in_order),
        cmocka_unit_test(growing_byte_by_byte_keeps_all_and_allocates_rarely),
        cmocka_unit_test(an_empty_buffer_costs_nothing),
        cmocka_unit_test(reserved_room_becomes_content_when_it_is_counted),
        cmocka_unit_test(the_cap_can_be_reached_and_not_passed),
        cmocka_unit_test(a_size_that_overflows_is_too_large),
        cmocka_unit_test(after_a_failure_nothing_is_appended_until_reset),
        cmocka_unit_test(a_failed_growth_keeps_what_was_there),
        cmocka_unit_test(reset_keeps_the_memory),
        cmocka_unit_test(formatted_text_of_any_length_is_whole),
        cmocka_unit_test(formatted_text_may_fill_the_cap_exactly),
        cmocka_unit_test(formatting_survives_every_failed_allocation),
        cmocka_unit_test(numbers_are_written_as_printf_writes_them),
        cmocka_unit_test(numbers_at_the_edges),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(any_bytes_become_a_json_string),
        cmocka_unit_test(consuming_takes_from_the_front),
        cmocka_unit_test(buffers_take_no_more_than_their_budget),
        cmocka_unit_test(a_failed_allocation_takes_nothing_of_the_budget),
        cmocka_unit_test(trimming_gives_back_what_is_behind_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
