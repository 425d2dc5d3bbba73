#include "admin/record.h"

#include "lib/unit.h"

#include "base/alloc.h"
#include "flow/batch.h"
#include "format/json/json.h"

#define TEXT(text) SLICE_LITERAL(text)
#define NONE ((struct slice){0})

/* Made into a batch and read back, so that headers are encoded as they are in the log. */
static void render(struct buf *out, struct slice key, struct slice value,
                   const struct flow_header *headers, uint32_t header_count)
{
    struct flow_batch_builder builder;
    struct flow_batch batch;
    struct flow_record record;
    flow_batch_builder_init(&builder);
    assert_true(err_is_ok(
        flow_batch_builder_add(&builder, 1772359200000, key, value, headers, header_count)));
    assert_true(err_is_ok(flow_batch_parse(flow_batch_builder_finish(&builder), &batch)));
    batch.base_offset = 17;
    struct flow_batch_iterator it = flow_batch_records(&batch);
    assert_true(err_is_ok(flow_batch_next(&it, &record)));
    admin_record_render(out, TEXT("flights"), 2, &record);
    flow_batch_builder_done(&builder);
}

static void expect(struct slice key, struct slice value, const char *text)
{
    struct buf out = {0};
    char whole[512];
    render(&out, key, value, NULL, 0);
    snprintf(whole, sizeof(whole),
             "{\"topic\":\"flights\",\"partition\":2,\"offset\":17,\"timestamp\":1772359200000,%s,"
             "\"headers\":[]}",
             text);
    assert_slice(buf_slice(&out), whole);
    buf_done(&out);
}

static void a_json_value_stands_as_it_is(void **state)
{
    (void)state;
    expect(TEXT("LH"), TEXT("{\"a\": [1, 2.50e3]}"),
           "\"key\":\"LH\",\"value\":{\"a\": [1, 2.50e3]}");
    expect(NONE, TEXT("7"), "\"key\":null,\"value\":7");
    expect(NONE, TEXT("\"\\u00e9\""), "\"key\":null,\"value\":\"\\u00e9\"");
    expect(TEXT(""), TEXT("null"), "\"key\":\"\",\"value\":null");
}

static void a_value_over_several_lines_is_shown_in_one(void **state)
{
    (void)state;
    expect(NONE, TEXT("{\r\n  \"a\":\n\t\"\\n\"\n}\n"),
           "\"key\":null,\"value\":{    \"a\": \t\"\\n\" } ");
}

static void a_value_that_is_no_json_is_in_base64(void **state)
{
    (void)state;
    expect(NONE, TEXT("hello"), "\"key\":null,\"value_base64\":\"aGVsbG8=\"");
    expect(NONE, TEXT(""), "\"key\":null,\"value_base64\":\"\"");
    expect(NONE, TEXT("{\"a\":1}}"), "\"key\":null,\"value_base64\":\"eyJhIjoxfX0=\"");
    expect(NONE, TEXT("1,\"offset\":99"), "\"key\":null,\"value_base64\":\"MSwib2Zmc2V0Ijo5OQ==\"");
    expect(NONE, TEXT("\"\xFF\""), "\"key\":null,\"value_base64\":\"Iv8i\"");
    expect(NONE, TEXT("\"\\ud800\""), "\"key\":null,\"value_base64\":\"Ilx1ZDgwMCI=\"");
    expect(NONE, TEXT("\"\0\""), "\"key\":null,\"value_base64\":\"IgAi\"");
}

static void what_is_missing_is_null(void **state)
{
    (void)state;
    expect(NONE, NONE, "\"key\":null,\"value\":null");
}

static void a_key_is_text_or_base64(void **state)
{
    (void)state;
    expect(TEXT("a\"b\\\n\x01"), TEXT("1"), "\"key\":\"a\\\"b\\\\\\n\\u0001\",\"value\":1");
    expect(TEXT("\xC3\xA9"), TEXT("1"), "\"key\":\"\xC3\xA9\",\"value\":1");
    expect(TEXT("\xC3"), TEXT("1"), "\"key_base64\":\"ww==\",\"value\":1");
    expect(TEXT("\xED\xA0\x80"), TEXT("1"), "\"key_base64\":\"7aCA\",\"value\":1");
}

static void the_deepest_values_are_in_base64_so_that_the_line_can_be_read(void **state)
{
    (void)state;
    for (size_t depth = FORMAT_JSON_DEPTH_MAX - 12; depth <= FORMAT_JSON_DEPTH_MAX; depth++) {
        char text[2 * FORMAT_JSON_DEPTH_MAX];
        struct buf out = {0};
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        render(&out, NONE, slice_make(text, 2 * depth), NULL, 0);
        assert_true(err_is_ok(
            format_json_check(buf_slice(&out), NULL, FORMAT_JSON_DEPTH_MAX - 3, NULL, NULL)));
        buf_add_byte(&out, 0);
        assert_int_equal(strstr((char *)out.data, "value_base64") != NULL,
                         depth > FORMAT_JSON_DEPTH_MAX - 8);
        buf_done(&out);
    }
}

static void headers_are_a_list_in_their_order(void **state)
{
    (void)state;
    const struct flow_header headers[] = {
        {TEXT("garner.reason"), TEXT("json")},
        {TEXT(""), NONE},
        {TEXT("\xFE"), TEXT("\xFF")},
        {TEXT("garner.reason"), TEXT("")},
    };
    struct buf out = {0};
    render(&out, NONE, TEXT("1"), headers, 4);
    buf_add_byte(&out, 0);
    assert_non_null(strstr((char *)out.data,
                           ",\"headers\":[{\"key\":\"garner.reason\",\"value\":\"json\"},"
                           "{\"key\":\"\",\"value\":null},"
                           "{\"key_base64\":\"/g==\",\"value_base64\":\"/w==\"},"
                           "{\"key\":\"garner.reason\",\"value\":\"\"}]}"));
    buf_done(&out);
}

static void headers_that_cannot_be_read_are_shown_as_they_are_stored(void **state)
{
    (void)state;
    static const struct {
        uint32_t count;
        struct slice headers;
        const char *text;
    } broken[] = {
        {1, SLICE_LITERAL(""), "\"headers_base64\":\"\"}"},
        {1, SLICE_LITERAL("\x7F"), "\"headers_base64\":\"fw==\"}"},
        {0, SLICE_LITERAL("x"), "\"headers_base64\":\"eA==\"}"},
        {2, SLICE_LITERAL("\x02k\x02v\x7F"), "\"headers_base64\":\"AmsCdn8=\"}"},
        {1, SLICE_LITERAL("\x02k\x02v"), "\"headers\":[{\"key\":\"k\",\"value\":\"v\"}]}"},
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct buf out = {0};
        struct flow_record record = {.header_count = broken[i].count, .headers = broken[i].headers};
        admin_record_render(&out, TEXT("t"), 0, &record);
        assert_true(err_is_ok(format_json_check(buf_slice(&out), NULL, 8, NULL, NULL)));
        if (!slice_ends_with(buf_slice(&out), slice_string(broken[i].text)))
            fail_msg("%.*s", SLICE_PRINTF(buf_slice(&out)));
        buf_done(&out);
    }
}

static void numbers_at_their_limits_are_written_whole(void **state)
{
    (void)state;
    struct buf out = {0};
    struct flow_record record = {.offset = INT64_MAX, .timestamp_ms = INT64_MIN};
    admin_record_render(&out, TEXT("t"), UINT32_MAX, &record);
    buf_add_byte(&out, 0);
    assert_non_null(strstr((char *)out.data, "\"partition\":4294967295,"
                                             "\"offset\":9223372036854775807,"
                                             "\"timestamp\":-9223372036854775808,"));
    buf_done(&out);
}

static void memory_that_runs_out_is_latched(void **state)
{
    (void)state;
    struct flow_record record = {.value = TEXT("{\"a\":\n1}"), .header_count = 1};
    struct buf whole = {0};
    admin_record_render(&whole, TEXT("t"), 0, &record);
    for (size_t size_max = 1; size_max < whole.size; size_max++) {
        struct buf out;
        buf_init(&out, size_max);
        admin_record_render(&out, TEXT("t"), 0, &record);
        assert_false(buf_ok(&out));
        buf_done(&out);
    }
    buf_done(&whole);
    struct buf none = {0};
    mem_fail_after(1);
    admin_record_render(&none, TEXT("t"), 0, &record);
    mem_fail_after(0);
    assert_false(buf_ok(&none));
    buf_done(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_value_stands_as_it_is),
        cmocka_unit_test(a_value_over_several_lines_is_shown_in_one),
        cmocka_unit_test(a_value_that_is_no_json_is_in_base64),
        cmocka_unit_test(what_is_missing_is_null),
        cmocka_unit_test(a_key_is_text_or_base64),
        cmocka_unit_test(the_deepest_values_are_in_base64_so_that_the_line_can_be_read),
        cmocka_unit_test(headers_are_a_list_in_their_order),
        cmocka_unit_test(headers_that_cannot_be_read_are_shown_as_they_are_stored),
        cmocka_unit_test(numbers_at_their_limits_are_written_whole),
        cmocka_unit_test(memory_that_runs_out_is_latched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
