/*
 * Records on their way to people. An input is a record of any bytes, which the admin door renders
 * and `garner consume` prints: the line is JSON whatever the record holds, and the value comes out
 * as it was put in. Or it is an answer of any server, which the commands read without believing it.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "admin/record.h"
#include "cli/consume_page.h"
#include "cli/topics.h"
#include "flow/record.h"
#include "format/json/json.h"

#define UUID_TEXT "01234567-89ab-4def-8123-010203040506"

static struct cli_consume_page page_of(bool json)
{
    struct cli_consume_page page = {
        .json = json, .end_offset = INT64_MAX, .record_max = UINT64_MAX};
    FUZZ_EXPECT(err_is_ok(uuid_parse(SLICE_LITERAL(UUID_TEXT), &page.uuid)));
    return page;
}

/* Reads it as every kind of answer there is. */
static void read_answer(struct slice document)
{
    struct cli_consume_topic topic;
    struct cli_consume_ends ends;
    struct buf out = {0};
    for (int json = 0; json < 2; json++) {
        struct cli_consume_page page = page_of(json);
        if (err_is_ok(cli_consume_page_print(document, &page, &out)))
            FUZZ_EXPECT(page.record_count == 0 || out.data[out.size - 1] == '\n');
        buf_reset(&out);
    }
    if (err_is_ok(cli_consume_topic_read(document, &topic))) {
        for (uint32_t i = 0; i < topic.partition_count; i++)
            FUZZ_EXPECT(topic.partitions[i].start_offset <= topic.partitions[i].end_offset);
        cli_consume_topic_done(&topic);
    }
    if (err_is_ok(cli_consume_page_range(document, &ends)))
        FUZZ_EXPECT(ends.start_offset >= 0 && ends.start_offset <= ends.end_offset);
    if (!err_is_ok(cli_topics_print(document, &out)))
        FUZZ_EXPECT(out.size == 0);
    (void)!err_is_ok(cli_topics_print_one(document, &out));
    buf_done(&out);
}

/* What of a value comes out: JSON without the space around it, and with its line ends replaced. */
static void expect_value(struct slice printed, struct slice value)
{
    bool json = value.data && err_is_ok(format_json_check(value, NULL, 500, NULL, NULL));
    if (!value.data)
        value = SLICE_LITERAL("null");
    else if (json)
        value = slice_trim(value);
    FUZZ_EXPECT(printed.size == value.size + 1 && printed.data[value.size] == '\n');
    for (size_t i = 0; i < value.size; i++) {
        bool line_end = json && (value.data[i] == '\n' || value.data[i] == '\r');
        FUZZ_EXPECT(printed.data[i] == (line_end ? ' ' : value.data[i]));
    }
}

static void render(const struct flow_record *record)
{
    struct buf line = {0};
    struct buf page = {0};
    struct buf printed = {0};
    struct cli_consume_page wanted = page_of(false);
    admin_record_render(&line, SLICE_LITERAL("t"), 3, record);
    struct slice text = buf_slice(&line);
    FUZZ_EXPECT(err_is_ok(format_json_check(text, NULL, 508, NULL, NULL)));
    FUZZ_EXPECT(slice_find(text, '\n') == text.size && slice_find(text, '\r') == text.size);
    buf_add_string(&page, "{\"uuid\":\"" UUID_TEXT "\",\"records\":[");
    buf_add_slice(&page, text);
    buf_add_string(&page, "],\"next_offset\":8}");
    FUZZ_EXPECT(err_is_ok(cli_consume_page_print(buf_slice(&page), &wanted, &printed)));
    FUZZ_EXPECT(wanted.record_count == 1 && wanted.next_offset == 8);
    expect_value(buf_slice(&printed), record->value);
    buf_done(&line);
    buf_done(&page);
    buf_done(&printed);
}

/* A part of the input, its size in front; missing where that is 255. */
static struct slice take(struct slice *rest)
{
    size_t size = rest->size > 0 ? rest->data[0] : 255;
    *rest = slice_sub(*rest, 1, rest->size);
    if (size == 255)
        return (struct slice){0};
    struct slice part = slice_sub(*rest, 0, size);
    *rest = slice_sub(*rest, size, rest->size);
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size);
    if (size == 0)
        return 0;
    if (data[0] == '{') {
        read_answer(rest);
        return 0;
    }
    struct flow_record record = {.offset = 7, .timestamp_ms = (int8_t)data[0]};
    record.header_count = data[0] % 4;
    rest = slice_sub(rest, 1, size);
    record.key = take(&rest);
    record.headers = take(&rest);
    record.value = rest.size > 0 && rest.data[0] == 0xFE ? (struct slice){0} : rest;
    render(&record);
    return 0;
}
