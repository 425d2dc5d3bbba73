#include "cli/sheet.h"

#include "unit/cli/capture.h"

static void add(struct cli_sheet *sheet, const char *name, int64_t lag, const char *member)
{
    cli_sheet_number(sheet, &sheet->row, "lag", lag);
    buf_add_byte(&sheet->row, ',');
    cli_sheet_text(sheet, &sheet->row, "member", slice_string(member));
    cli_sheet_end_row(sheet, slice_string(name));
}

static void expect(struct cli_sheet *sheet, const char *head, const char *text)
{
    struct capture *out = calloc(1, sizeof(*out));
    capture_begin(out, 1);
    bool good = cli_sheet_print(sheet, "offsets", slice_string(head));
    capture_end(out);
    assert_true(good);
    assert_string_equal(out->text, text);
    free(out);
    cli_sheet_done(sheet);
}

static void rows_are_json(void **state)
{
    (void)state;
    struct cli_sheet sheet = {.key = "topic", .json = true};
    add(&sheet, "a\"b", 7, "x");
    add(&sheet, "c", -1, "");
    expect(&sheet, "\"group\":1,",
           "{\"group\":1,\"offsets\":[{\"topic\":\"a\\\"b\",\"lag\":7,\"member\":\"x\"},"
           "{\"topic\":\"c\",\"lag\":null,\"member\":null}]}\n");
}

static void rows_are_a_table(void **state)
{
    (void)state;
    struct cli_sheet sheet = {.key = "topic"};
    char name[] = "events";
    add(&sheet, name, 7, "x");
    /* What the table shows is a copy. */
    memset(name, 'z', sizeof(name) - 1);
    add(&sheet, "\x1b[2J", -1, "");
    struct capture *out = calloc(1, sizeof(*out));
    capture_begin(out, 1);
    assert_true(cli_sheet_print(&sheet, "offsets", slice_string("")));
    capture_end(out);
    assert_non_null(strstr(out->text, "topic"));
    assert_non_null(strstr(out->text, "\nevents"));
    assert_non_null(strstr(out->text, "\\u001b[2J"));
    assert_null(strchr(out->text, 0x1b));
    assert_null(strstr(out->text, "null"));
    free(out);
    cli_sheet_done(&sheet);
}

static void no_rows_are_an_empty_list_and_no_table(void **state)
{
    (void)state;
    struct cli_sheet json = {.key = "topic", .json = true};
    struct cli_sheet table = {.key = "topic"};
    expect(&json, "", "{\"offsets\":[]}\n");
    expect(&table, "", "");
}

static void without_memory_nothing_is_printed(void **state)
{
    (void)state;
    struct cli_sheet sheet = {.key = "topic", .json = true};
    struct capture *out = calloc(1, sizeof(*out));
    buf_init(&sheet.out, 8);
    add(&sheet, "events", 1, "x");
    capture_begin(out, 1);
    assert_false(cli_sheet_print(&sheet, "offsets", slice_string("")));
    capture_end(out);
    assert_string_equal(out->text, "");
    free(out);
    cli_sheet_done(&sheet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_json),
        cmocka_unit_test(rows_are_a_table),
        cmocka_unit_test(no_rows_are_an_empty_list_and_no_table),
        cmocka_unit_test(without_memory_nothing_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
