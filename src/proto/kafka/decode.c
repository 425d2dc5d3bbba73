#include <stdalign.h>

#include "base/cursor.h"
#include "proto/kafka/codec_int.h"

/*
 * Reading walks the layout's fields in order. The cursor latches what is cut off; what else is
 * wrong is latched in `error`, and whoever finds either stops at its next look. Recursion goes as
 * deep as the layouts are nested, whatever the peer says.
 *
 * A count that lies can ask for much memory with few bytes: an element may take a hundred bytes
 * here and one on the wire. So the arena has a limit, and an array is held against what is left of
 * the bytes and of the limit before anything is allocated.
 */

struct reader {
    struct cursor c;
    int16_t version;
    bool flexible;
    struct arena *arena;
    size_t size_max;
    err_t error;
    const char *what; /* is wrong */
};

static void fail(struct reader *r, enum err_code code, const char *what)
{
    ASSERT(what);
    if (err_is_ok(r->error)) {
        r->error = err_make(code);
        r->what = what;
    }
    cursor_fail(&r->c);
}

static bool ok(const struct reader *r)
{
    return cursor_ok(&r->c);
}

static void read_struct(struct reader *r, const struct proto_kafka_layout *layout, uint8_t *out);

/* A length or count of the version's kind: -1 is null. */
static int64_t read_length(struct reader *r, bool narrow)
{
    if (r->flexible)
        return (int64_t)cursor_uvarint(&r->c) - 1;
    return narrow ? (int16_t)cursor_u16be(&r->c) : (int32_t)cursor_u32be(&r->c);
}

static void read_bytes(struct reader *r, const struct proto_kafka_field *field, struct slice *out)
{
    bool narrow = field->type == PROTO_KAFKA_STRING;
    int64_t size = read_length(r, narrow);
    *out = slice_make(NULL, 0);
    /* Compact lengths could be larger; what is echoed in an answer of an older version could not,
     * and Kafka refuses them too. */
    if (narrow && size > INT16_MAX)
        fail(r, ERR_SYNTAX, "a string is too long");
    else if (size >= 0)
        *out = cursor_bytes(&r->c, (size_t)size);
    else if (size < -1)
        fail(r, ERR_SYNTAX, "a length is negative");
    else if (field->nullable == PROTO_KAFKA_NEVER && ok(r))
        fail(r, ERR_SYNTAX, "null where a value has to be");
}

static void read_value(struct reader *r, const struct proto_kafka_field *field, uint8_t *out)
{
    struct cursor *c = &r->c;
    switch ((enum proto_kafka_type)field->type) {
    case PROTO_KAFKA_BOOL: *(bool *)out = cursor_u8(c) != 0; return;
    case PROTO_KAFKA_INT8: *out = cursor_u8(c); return;
    case PROTO_KAFKA_INT16:
    case PROTO_KAFKA_UINT16: *(uint16_t *)(void *)out = cursor_u16be(c); return;
    case PROTO_KAFKA_INT32:
    case PROTO_KAFKA_UINT32: *(uint32_t *)(void *)out = cursor_u32be(c); return;
    case PROTO_KAFKA_INT64:
    case PROTO_KAFKA_FLOAT64: *(uint64_t *)(void *)out = cursor_u64be(c); return;
    case PROTO_KAFKA_UUID: {
        struct slice bytes = cursor_bytes(c, 16);
        if (ok(r))
            memcpy(out, bytes.data, 16);
        return;
    }
    case PROTO_KAFKA_STRING:
    case PROTO_KAFKA_BYTES:
    case PROTO_KAFKA_RECORDS: read_bytes(r, field, (struct slice *)(void *)out); return;
    case PROTO_KAFKA_STRUCT: read_struct(r, field->layout, out); return;
    }
}

static void read_array(struct reader *r, const struct proto_kafka_field *field,
                       struct proto_kafka_array *out)
{
    int64_t count = read_length(r, false);
    size_t size = proto_kafka_element_size(field);
    *out = (struct proto_kafka_array){0};
    if (count < 0) {
        if (count < -1)
            fail(r, ERR_SYNTAX, "a count is negative");
        else if (field->nullable == PROTO_KAFKA_NEVER && ok(r))
            fail(r, ERR_SYNTAX, "null where an array has to be");
        return;
    }
    /* Every element takes a byte at least. */
    if ((uint64_t)count > r->c.rest.size) {
        fail(r, ERR_SYNTAX, "a count is larger than the message");
        return;
    }
    /* Pieces of an arena are rounded up, and one of no bytes takes room too: many empty arrays are
     * a way to ask for much as well. */
    size_t left = r->size_max - r->arena->size;
    if (left < alignof(max_align_t) || (uint64_t)count * size > left - alignof(max_align_t)) {
        fail(r, ERR_TOO_LARGE, "the message would take too much memory");
        return;
    }
    uint8_t *items = arena_alloc(r->arena, (size_t)count * size);
    ASSERT(r->arena->size <= r->size_max);
    if (!items) {
        fail(r, ERR_MEMORY, "no memory for the message");
        return;
    }
    *out = (struct proto_kafka_array){items, (uint32_t)count};
    for (uint32_t i = 0; i < out->count && ok(r); i++)
        read_value(r, field, items + i * size);
}

static void read_field(struct reader *r, const struct proto_kafka_field *field, uint8_t *out)
{
    uint8_t *at = out + field->offset;
    if (field->array)
        read_array(r, field, (struct proto_kafka_array *)(void *)at);
    else
        read_value(r, field, at);
}

static const struct proto_kafka_field *tagged(const struct proto_kafka_layout *layout,
                                              int16_t version, uint32_t tag)
{
    for (uint16_t i = 0; i < layout->count; i++) {
        const struct proto_kafka_field *field = &layout->fields[i];
        if (field->tag >= 0 && (uint32_t)field->tag == tag && proto_kafka_field_in(field, version))
            return field;
    }
    return NULL;
}

/* The fields behind the others, each with tag and size, tags rising; unknown ones are passed
 * over (KIP-482). */
static void read_tags(struct reader *r, const struct proto_kafka_layout *layout, uint8_t *out)
{
    int64_t last = -1;
    for (uint32_t left = cursor_uvarint(&r->c); left > 0 && ok(r); left--) {
        uint32_t tag = cursor_uvarint(&r->c);
        uint32_t size = cursor_uvarint(&r->c);
        struct slice value = cursor_bytes(&r->c, size);
        if (ok(r) && tag <= last)
            fail(r, ERR_SYNTAX, "tagged fields are not in order");
        last = tag;
        const struct proto_kafka_field *field = tagged(layout, r->version, tag);
        if (!ok(r) || !field)
            continue;
        struct cursor behind = r->c;
        r->c = cursor_make(value);
        read_field(r, field, out);
        if (ok(r) && r->c.rest.size > 0)
            fail(r, ERR_SYNTAX, "a tagged field is longer than what it holds");
        bool failed = !ok(r);
        r->c = behind;
        if (failed)
            cursor_fail(&r->c);
    }
}

static void read_struct(struct reader *r, const struct proto_kafka_layout *layout, uint8_t *out)
{
    proto_kafka_init(layout, out);
    for (uint16_t i = 0; i < layout->count && ok(r); i++) {
        const struct proto_kafka_field *field = &layout->fields[i];
        if (field->tag < 0 && proto_kafka_field_in(field, r->version))
            read_field(r, field, out);
    }
    if (r->flexible && ok(r))
        read_tags(r, layout, out);
}

err_t proto_kafka_decode(const struct proto_kafka_api *api, const struct proto_kafka_layout *layout,
                         int16_t version, struct slice bytes, struct arena *arena, size_t size_max,
                         void *out, struct err_text *why)
{
    ASSERT(proto_kafka_has_version(api, version));
    struct reader r = {
        .c = cursor_make(bytes),
        .version = version,
        .flexible = proto_kafka_is_flexible(api, version),
        .arena = arena,
        .size_max = arena->size + size_max,
    };
    read_struct(&r, layout, out);
    /* Kafka does not look at what is left, and librdkafka relies on it: three bytes too many begin
     * its request for the metadata of all topics, in versions with compact lengths. */
    if (ok(&r))
        return err_ok();
    if (err_is_ok(r.error))
        fail(&r, ERR_SYNTAX, "it is cut off");
    return err_set(why, (enum err_code)r.error.code, "%s version %d: %s", api->name, version,
                   r.what);
}
