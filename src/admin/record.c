#include "admin/record.h"

#include "base/assert.h"
#include "base/base64.h"
#include "flow/batch.h"
#include "format/json/member.h"

void admin_record_add_headers(struct buf *out, const struct flow_record *record)
{
    size_t start = out->size;
    struct slice rest = record->headers;
    struct flow_header header;
    uint32_t count = 0;
    buf_add_string(out, "\"headers\":[");
    for (; count < record->header_count && flow_record_header(&rest, &header); count++) {
        buf_add_string(out, count > 0 ? ",{" : "{");
        format_json_add_text(out, "key", header.key);
        buf_add_byte(out, ',');
        format_json_add_text(out, "value", header.value);
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
    format_json_add_text(out, "key", record->key);
    buf_add_byte(out, ',');
    format_json_add_value(out, "value", record->value);
    buf_add_byte(out, ',');
    admin_record_add_headers(out, record);
    buf_add_byte(out, '}');
}
