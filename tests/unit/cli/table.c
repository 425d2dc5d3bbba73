#include "cli/table.h"

#include "lib/unit.h"

#include "base/alloc.h"

static void members_are_walked_in_their_order(void **state)
{
    (void)state;
    struct cli_members m = {
        .rest = SLICE_LITERAL(" { \"a\" : 1 , \"b\\\"\":{\"c\":[2,{}]},\"\":null}")};
    assert_true(cli_members_next(&m));
    assert_slice(m.key, "a");
    assert_slice(m.value.raw, "1");
    assert_int_equal(m.value.kind, FORMAT_JSON_NUMBER);
    assert_true(cli_members_next(&m));
    assert_slice(m.key, "b\\\"");
    assert_slice(m.value.raw, "{\"c\":[2,{}]}");
    assert_true(cli_members_next(&m));
    assert_slice(m.key, "");
    assert_int_equal(m.value.kind, FORMAT_JSON_NULL);
    assert_false(cli_members_next(&m));
    assert_false(cli_members_next(&m));
}

static void what_is_no_object_has_no_members(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "[]", "7", "null", "[{\"a\":1}]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct cli_members m = {.rest = slice_string(texts[i])};
        assert_false(cli_members_next(&m));
    }
}

static void columns_are_as_wide_as_what_stands_in_them(void **state)
{
    (void)state;
    struct cli_table table = {0};
    struct buf out = {0};
    assert_true(
        cli_table_add(&table, SLICE_LITERAL("a"), SLICE_LITERAL("{\"n\":1,\"text\":\"x\"}")));
    assert_true(cli_table_add(&table, SLICE_LITERAL("longer"),
                              SLICE_LITERAL("{\"n\":1234567,\"list\":[\"u\",\"v\"]}")));
    cli_table_print(&table, "name", &out);
    assert_slice(buf_slice(&out), "name          n  text  list\n"
                                  "a             1     x     -\n"
                                  "longer  1234567     -   u,v\n");
    cli_table_done(&table);
    assert_int_equal(table.row_count, 0);
    buf_done(&out);
}

static void a_table_without_rows_is_its_title(void **state)
{
    (void)state;
    struct cli_table table = {0};
    struct buf out = {0};
    cli_table_print(&table, "name", &out);
    assert_slice(buf_slice(&out), "name\n");
    buf_done(&out);
}

static void without_memory_a_row_is_not_added(void **state)
{
    (void)state;
    struct cli_table table = {0};
    mem_fail_after(1);
    assert_false(cli_table_add(&table, SLICE_LITERAL("a"), SLICE_LITERAL("{}")));
    mem_fail_after(0);
    assert_int_equal(table.row_count, 0);
    cli_table_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_walked_in_their_order),
        cmocka_unit_test(what_is_no_object_has_no_members),
        cmocka_unit_test(columns_are_as_wide_as_what_stands_in_them),
        cmocka_unit_test(a_table_without_rows_is_its_title),
        cmocka_unit_test(without_memory_a_row_is_not_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
