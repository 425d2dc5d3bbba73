#include "proto/kafka/codec_int.h"

#include "base/cursor.h"
#include "proto/kafka/messages.h"

/*
 * What every request and response begins with, and how their structs begin. A header is read before
 * it is known whether its message is: a client may ask ApiVersions in a version from after our
 * time, and is then answered in one that all know (KIP-511).
 */

/* Some thirty, of which the busy ones come first: looking through them costs less than a message
 * does. */
const struct proto_kafka_api *proto_kafka_api(int16_t key)
{
    for (size_t i = 0; i < PROTO_KAFKA_APIS; i++)
        if (proto_kafka_apis[i].key == key)
            return &proto_kafka_apis[i];
    return NULL;
}

/* No client sends any there; one that will must not be shut out for it (KIP-482). */
static void skip_tags(struct cursor *c)
{
    for (uint32_t left = cursor_uvarint(c); left > 0 && cursor_ok(c); left--) {
        cursor_uvarint(c);
        cursor_bytes(c, cursor_uvarint(c));
    }
}

err_t proto_kafka_read_header(struct slice *bytes, struct proto_kafka_request_header *out,
                              struct err_text *why)
{
    ASSERT(bytes && out);
    struct cursor c = cursor_make(*bytes);
    struct proto_kafka_request_header header = {
        .key = (int16_t)cursor_u16be(&c),
        .version = (int16_t)cursor_u16be(&c),
        .correlation_id = (int32_t)cursor_u32be(&c),
    };
    /* Of two bytes' length in every version, so that it can be read in those we don't know. */
    int16_t size = (int16_t)cursor_u16be(&c);
    if (size >= 0)
        header.client_id = cursor_bytes(&c, (size_t)size);
    const struct proto_kafka_api *api = proto_kafka_api(header.key);
    if (api && proto_kafka_has_version(api, header.version) &&
        proto_kafka_is_flexible(api, header.version))
        skip_tags(&c);
    if (!cursor_ok(&c) || size < -1)
        return err_set(why, ERR_SYNTAX, "the request's header is cut off");
    *bytes = c.rest;
    *out = header;
    return err_ok();
}

static void add_u16be(struct buf *out, uint16_t value)
{
    uint8_t bytes[2];
    put_u16be(bytes, value);
    buf_add(out, bytes, sizeof(bytes));
}

static void add_u32be(struct buf *out, uint32_t value)
{
    uint8_t bytes[4];
    put_u32be(bytes, value);
    buf_add(out, bytes, sizeof(bytes));
}

/* Whoever asks for the versions cannot know yet whether the one it asks in is known here, and reads
 * the header as it always was (KIP-511). */
static bool has_tags(const struct proto_kafka_api *api, int16_t version)
{
    return proto_kafka_is_flexible(api, version) && api->key != PROTO_KAFKA_API_VERSIONS;
}

void proto_kafka_write_response_header(const struct proto_kafka_api *api, int16_t version,
                                       int32_t correlation_id, struct buf *out)
{
    ASSERT(api && out);
    add_u32be(out, (uint32_t)correlation_id);
    if (has_tags(api, version))
        buf_add_byte(out, 0);
}

err_t proto_kafka_read_response_header(const struct proto_kafka_api *api, int16_t version,
                                       struct slice *bytes, int32_t *correlation_id,
                                       struct err_text *why)
{
    ASSERT(api && bytes && correlation_id);
    struct cursor c = cursor_make(*bytes);
    int32_t id = (int32_t)cursor_u32be(&c);
    if (has_tags(api, version))
        skip_tags(&c);
    if (!cursor_ok(&c))
        return err_set(why, ERR_SYNTAX, "the response's header is cut off");
    *bytes = c.rest;
    *correlation_id = id;
    return err_ok();
}

void proto_kafka_write_request_header(const struct proto_kafka_api *api,
                                      const struct proto_kafka_request_header *header,
                                      struct buf *out)
{
    ASSERT(api && header && header->client_id.size <= INT16_MAX);
    add_u16be(out, (uint16_t)header->key);
    add_u16be(out, (uint16_t)header->version);
    add_u32be(out, (uint32_t)header->correlation_id);
    /* The one string that never got a compact length: it stands before what says whether lengths
     * are (KIP-482). */
    add_u16be(out, header->client_id.data ? (uint16_t)header->client_id.size : UINT16_MAX);
    buf_add_slice(out, header->client_id);
    if (proto_kafka_is_flexible(api, header->version))
        buf_add_byte(out, 0);
}

void proto_kafka_init(const struct proto_kafka_layout *layout, void *out)
{
    ASSERT(layout && out);
    memset(out, 0, layout->size);
    for (uint16_t i = 0; i < layout->count; i++) {
        const struct proto_kafka_field *field = &layout->fields[i];
        uint8_t *at = (uint8_t *)out + field->offset;
        if (field->array)
            continue;
        if (field->type == PROTO_KAFKA_STRUCT)
            proto_kafka_init(field->layout, at);
        else if (field->type <= PROTO_KAFKA_INT64) /* little-endian: the low bytes are the value */
            memcpy(at, &field->fallback, proto_kafka_element_size(field));
    }
}
