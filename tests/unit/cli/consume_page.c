#include "cli/consume_page.h"

#include "lib/unit.h"

#include "base/alloc.h"

#define UUID_TEXT "01234567-89ab-4def-8123-010203040506"
#define TOPIC(partitions) "{\"uuid\":\"" UUID_TEXT "\",\"partitions\":[" partitions "]}"
#define PARTITION(number, start, end)                                                              \
    "{\"partition\":" number ",\"start_offset\":" start ",\"end_offset\":" end "}"
#define PAGE(records, next)                                                                        \
    "{\"topic\":\"t\",\"uuid\":\"" UUID_TEXT "\",\"records\":[" records "],\"next_offset\":" next  \
    "}"
#define RECORD(offset, rest) "{\"offset\":" offset "," rest "}"

static struct cli_consume_page wanted(bool json, int64_t end_offset, uint64_t record_max)
{
    struct cli_consume_page page = {
        .json = json, .end_offset = end_offset, .record_max = record_max};
    assert_true(err_is_ok(uuid_parse(SLICE_LITERAL(UUID_TEXT), &page.uuid)));
    return page;
}

static void expect(const char *document, struct cli_consume_page page, const char *text,
                   uint64_t count, int64_t next_offset)
{
    struct buf out = {0};
    assert_true(err_is_ok(cli_consume_page_print(slice_string(document), &page, &out)));
    assert_slice(buf_slice(&out), text);
    assert_int_equal(page.record_count, count);
    assert_int_equal(page.next_offset, next_offset);
    buf_done(&out);
}

#define THREE                                                                                      \
    PAGE(RECORD("5", "\"value\":{\"a\":[1, 2]}") ",\n" RECORD(                                     \
             "7", "\"value_base64\":\"eAB5\"") ",\n" RECORD("8", "\"value\":null"),                \
         "10")

static void values_are_printed_a_line_each(void **state)
{
    (void)state;
    struct buf out = {0};
    struct cli_consume_page page = wanted(false, INT64_MAX, UINT64_MAX);
    assert_true(err_is_ok(cli_consume_page_print(slice_string(THREE), &page, &out)));
    struct slice expected = SLICE_LITERAL("{\"a\":[1, 2]}\nx\0y\nnull\n");
    assert_true(slice_equal(buf_slice(&out), expected));
    assert_int_equal(page.next_offset, 10);
    buf_done(&out);
    expect(PAGE("", "4"), page, "", 0, 4);
}

static void whole_records_are_printed_as_they_came(void **state)
{
    (void)state;
    expect(THREE, wanted(true, INT64_MAX, UINT64_MAX),
           "{\"offset\":5,\"value\":{\"a\":[1, 2]}}\n{\"offset\":7,\"value_base64\":\"eAB5\"}\n"
           "{\"offset\":8,\"value\":null}\n",
           3, 10);
}

static void what_is_not_wanted_is_left_for_the_next_page(void **state)
{
    (void)state;
    expect(THREE, wanted(false, INT64_MAX, 1), "{\"a\":[1, 2]}\n", 1, 7);
    expect(THREE, wanted(false, 7, UINT64_MAX), "{\"a\":[1, 2]}\n", 1, 7);
    expect(THREE, wanted(false, 5, UINT64_MAX), "", 0, 5);
    expect(PAGE(RECORD("5", "\"value\":1"), "6"), wanted(false, 6, 1), "1\n", 1, 6);
}

static void a_page_of_another_topic_is_not_printed(void **state)
{
    (void)state;
    struct buf out = {0};
    struct cli_consume_page page = wanted(false, INT64_MAX, UINT64_MAX);
    page.uuid.bytes[15]++;
    assert_true(err_is(cli_consume_page_print(slice_string(THREE), &page, &out), ERR_NOT_FOUND));
    assert_int_equal(out.size, 0);
    buf_done(&out);
}

static void what_is_no_page_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"balanced\":true}",
        THREE "x",
        PAGE("", "-1"),
        PAGE("", "1.5"),
        PAGE("", "\"1\""),
        PAGE("7", "8"),
        PAGE("{}", "8"),
        PAGE(RECORD("5", "\"key\":1"), "6"),
        PAGE(RECORD("\"5\"", "\"value\":1"), "6"),
        PAGE(RECORD("-5", "\"value\":1"), "6"),
        PAGE(RECORD("5", "\"value_base64\":\"?\""), "6"),
        PAGE(RECORD("5", "\"value_base64\":7"), "6"),
        /* Offsets that fall, repeat, or lie behind where the next page begins. */
        PAGE(RECORD("5", "\"value\":1") "," RECORD("5", "\"value\":1"), "6"),
        PAGE(RECORD("5", "\"value\":1") "," RECORD("4", "\"value\":1"), "6"),
        PAGE(RECORD("5", "\"value\":1"), "5"),
        PAGE(RECORD("9223372036854775807", "\"value\":1"), "9223372036854775807"),
        "{\"uuid\":\"short\",\"records\":[],\"next_offset\":1}",
        "{\"uuid\":7,\"records\":[],\"next_offset\":1}",
        "{\"uuid\":\"" UUID_TEXT "\",\"records\":{},\"next_offset\":1}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf out = {0};
        struct cli_consume_page page = wanted(false, INT64_MAX, UINT64_MAX);
        if (!err_is(cli_consume_page_print(slice_string(wrong[i]), &page, &out), ERR_SYNTAX))
            fail_msg("taken: %s", wrong[i]);
        buf_done(&out);
    }
}

static void a_topic_is_its_uuid_and_the_ends_of_its_partitions(void **state)
{
    (void)state;
    struct cli_consume_topic topic = {0};
    char uuid[UUID_TEXT_SIZE + 1];
    const char *text = TOPIC(PARTITION("0", "0", "0") "," PARTITION(
        "1", "5",
        "9223372036854775807") ","
                               "{\"new\":{},\"end_offset\":8,\"partition\":2,\"start_offset\":7}");
    assert_true(err_is_ok(cli_consume_topic_read(slice_string(text), &topic)));
    uuid_format(&topic.uuid, uuid);
    assert_string_equal(uuid, UUID_TEXT);
    assert_int_equal(topic.partition_count, 3);
    assert_int_equal(topic.partitions[1].start_offset, 5);
    assert_int_equal(topic.partitions[1].end_offset, INT64_MAX);
    assert_int_equal(topic.partitions[2].start_offset, 7);
    assert_int_equal(topic.partitions[2].end_offset, 8);
    cli_consume_topic_done(&topic);
    assert_true(err_is_ok(cli_consume_topic_read(SLICE_LITERAL(TOPIC("")), &topic)));
    assert_int_equal(topic.partition_count, 0);
    cli_consume_topic_done(&topic);
}

static void what_is_no_topic_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "{}",
        "{\"uuid\":\"" UUID_TEXT "\"}",
        "{\"uuid\":\"?\",\"partitions\":[]}",
        TOPIC("7"),
        TOPIC("{}"),
        TOPIC(PARTITION("1", "0", "0")),
        TOPIC(PARTITION("0", "0", "0") "," PARTITION("0", "0", "0")),
        TOPIC(PARTITION("0", "2", "1")),
        TOPIC(PARTITION("0", "-1", "1")),
        TOPIC(PARTITION("0", "0", "1.0")),
        TOPIC(PARTITION("0", "0", "null")),
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct cli_consume_topic topic = {.partition_count = 77};
        if (!err_is(cli_consume_topic_read(slice_string(wrong[i]), &topic), ERR_SYNTAX))
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(topic.partition_count, 77);
    }
}

static void both_ends_stand_in_a_refusal(void **state)
{
    (void)state;
    struct cli_consume_ends ends = {0};
    assert_true(err_is_ok(cli_consume_page_range(
        SLICE_LITERAL("{\"error\":\"offset_range\",\"start_offset\":5,\"end_offset\":9}\n"),
        &ends)));
    assert_int_equal(ends.start_offset, 5);
    assert_int_equal(ends.end_offset, 9);
    static const char *const wrong[] = {"", "{}", "{\"start_offset\":5}",
                                        "{\"start_offset\":5,\"end_offset\":4}",
                                        "{\"start_offset\":5,\"end_offset\":9"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_true(err_is(cli_consume_page_range(slice_string(wrong[i]), &ends), ERR_SYNTAX));
}

static void memory_that_runs_out_is_no_syntax_error(void **state)
{
    (void)state;
    err_t err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        struct buf out = {0};
        struct cli_consume_page page = wanted(false, INT64_MAX, UINT64_MAX);
        mem_fail_after(n);
        err = cli_consume_page_print(slice_string(THREE), &page, &out);
        mem_fail_after(0);
        assert_true(n < 100 && (err_is_ok(err) || err_is(err, ERR_MEMORY)));
        buf_done(&out);
    }
    struct cli_consume_topic topic;
    mem_fail_after(1);
    assert_true(
        err_is(cli_consume_topic_read(SLICE_LITERAL(TOPIC(PARTITION("0", "0", "0"))), &topic),
               ERR_MEMORY));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_printed_a_line_each),
        cmocka_unit_test(whole_records_are_printed_as_they_came),
        cmocka_unit_test(what_is_not_wanted_is_left_for_the_next_page),
        cmocka_unit_test(a_page_of_another_topic_is_not_printed),
        cmocka_unit_test(what_is_no_page_is_refused),
        cmocka_unit_test(a_topic_is_its_uuid_and_the_ends_of_its_partitions),
        cmocka_unit_test(what_is_no_topic_is_refused),
        cmocka_unit_test(both_ends_stand_in_a_refusal),
        cmocka_unit_test(memory_that_runs_out_is_no_syntax_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
