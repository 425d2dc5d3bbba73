#include "admin/record.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "flow/batch.h"
#include "format/json/json.h"

/*
 * Nothing that is stored is trusted to be what it mostly is: a value goes into the answer as it
 * stands only after a whole check, so that no record can break the line it is shown in, or forge
 * another one.
 */

/* Deeper values are shown in base64: whoever reads the answer may have the same limit, and the
 * answer adds levels of its own. */
#define VALUE_DEPTH_MAX (FORMAT_JSON_DEPTH_MAX - 8)

void admin_record_add_text(struct buf *out, const char *name, struct slice text)
{
    bool readable = utf8_valid(text);
    buf_add_format(out, readable ? "\"%s\":" : "\"%s_base64\":\"", name);
    if (!text.data) {
        buf_add_string(out, "null");
    } else if (readable) {
        buf_add_json_string(out, text);
    } else {
        buf_add_base64(out, text);
        buf_add_byte(out, '"');
    }
}

/* Within a string JSON has no line ends, so each one is space between tokens. */
static void add_json(struct buf *out, struct slice json)
{
    size_t start = out->size;
    buf_add_slice(out, json);
    if (!buf_ok(out))
        return;
    for (size_t i = start; i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

void admin_record_add_value(struct buf *out, struct slice value)
{
    if (!value.data) {
        buf_add_string(out, "\"value\":null");
    } else if (err_is_ok(format_json_check(value, NULL, VALUE_DEPTH_MAX, NULL, NULL))) {
        buf_add_string(out, "\"value\":");
        add_json(out, value);
    } else {
        buf_add_string(out, "\"value_base64\":\"");
        buf_add_base64(out, value);
        buf_add_byte(out, '"');
    }
}

void admin_record_add_headers(struct buf *out, const struct flow_record *record)
{
    size_t start = out->size;
    struct slice rest = record->headers;
    struct flow_header header;
    uint32_t count = 0;
    buf_add_string(out, "\"headers\":[");
    for (; count < record->header_count && flow_record_header(&rest, &header); count++) {
        buf_add_string(out, count > 0 ? ",{" : "{");
        admin_record_add_text(out, "key", header.key);
        buf_add_byte(out, ',');
        admin_record_add_text(out, "value", header.value);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
    if (count == record->header_count && rest.size == 0)
        return;
    /* Half a list would look whole. */
    ASSERT(out->size >= start);
    out->size = start;
    buf_add_string(out, "\"headers_base64\":\"");
    buf_add_base64(out, record->headers);
    buf_add_byte(out, '"');
}

void admin_record_render(struct buf *out, struct slice topic, uint32_t partition,
                         const struct flow_record *record)
{
    ASSERT(topic.size > 0);
    buf_add_string(out, "{\"topic\":");
    buf_add_json_string(out, topic);
    buf_add_string(out, ",\"partition\":");
    buf_add_u64(out, partition);
    buf_add_string(out, ",\"offset\":");
    buf_add_i64(out, record->offset);
    buf_add_string(out, ",\"timestamp\":");
    buf_add_i64(out, record->timestamp_ms);
    buf_add_byte(out, ',');
    admin_record_add_text(out, "key", record->key);
    buf_add_byte(out, ',');
    admin_record_add_value(out, record->value);
    buf_add_byte(out, ',');
    admin_record_add_headers(out, record);
    buf_add_byte(out, '}');
}
