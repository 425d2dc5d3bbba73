#include "base/cursor.h"
#include "proto/kafka/codec_int.h"

/*
 * Writing walks the same tables. It cannot fail but for memory, which the buffer latches: what is
 * written here is our own.
 */

struct writer {
    struct buf *out;
    int16_t version;
    bool flexible;
    size_t *gaps; /* where records belong that are left out; NULL: they are not */
};

static void write_struct(struct writer *w, const struct proto_kafka_layout *layout,
                         const uint8_t *in);

static void write_be(struct writer *w, uint64_t value, size_t size)
{
    /* The low bytes of eight are the value in every smaller size, signed ones too. */
    uint8_t bytes[8];
    put_u64be(bytes, value);
    buf_add(w->out, bytes + 8 - size, size);
}

/* A length or count, or null. */
static void write_length(struct writer *w, bool null, uint64_t length, bool narrow)
{
    ASSERT(!null || length == 0);
    /* Compact ones are one more than the length, so that null needs no sign (KIP-482). */
    if (w->flexible)
        buf_add_uvarint(w->out, null ? 0 : length + 1);
    else
        write_be(w, null ? UINT64_MAX : length, narrow ? 2 : 4);
}

static void write_value(struct writer *w, const struct proto_kafka_field *field, const uint8_t *in)
{
    switch ((enum proto_kafka_type)field->type) {
    case PROTO_KAFKA_BOOL:
    case PROTO_KAFKA_INT8: buf_add_byte(w->out, *in); return;
    case PROTO_KAFKA_INT16:
    case PROTO_KAFKA_UINT16: write_be(w, *(const uint16_t *)(const void *)in, 2); return;
    case PROTO_KAFKA_INT32:
    case PROTO_KAFKA_UINT32: write_be(w, *(const uint32_t *)(const void *)in, 4); return;
    case PROTO_KAFKA_INT64:
    case PROTO_KAFKA_FLOAT64: write_be(w, *(const uint64_t *)(const void *)in, 8); return;
    case PROTO_KAFKA_UUID: buf_add(w->out, in, 16); return;
    case PROTO_KAFKA_STRING:
    case PROTO_KAFKA_BYTES:
    case PROTO_KAFKA_RECORDS: {
        const struct slice *value = (const struct slice *)(const void *)in;
        bool null = !value->data && w->version >= field->nullable;
        bool narrow = field->type == PROTO_KAFKA_STRING;
        ASSERT(value->size <= (narrow ? (size_t)INT16_MAX : (size_t)INT32_MAX));
        write_length(w, null, value->size, narrow);
        if (w->gaps && field->type == PROTO_KAFKA_RECORDS && value->size > 0)
            *w->gaps++ = w->out->size;
        else
            buf_add_slice(w->out, *value);
        return;
    }
    case PROTO_KAFKA_STRUCT: write_struct(w, field->layout, in); return;
    }
}

static void write_field(struct writer *w, const struct proto_kafka_field *field, const uint8_t *in)
{
    const uint8_t *at = in + field->offset;
    if (!field->array) {
        write_value(w, field, at);
        return;
    }
    const struct proto_kafka_array *array = (const struct proto_kafka_array *)(const void *)at;
    size_t size = proto_kafka_element_size(field);
    ASSERT(array->items || array->count == 0);
    write_length(w, !array->items && w->version >= field->nullable, array->count, false);
    for (uint32_t i = 0; i < array->count; i++)
        write_value(w, field, (const uint8_t *)array->items + i * size);
}

/* A tagged field that is left out is read as its default: sent, that would say nothing. Null and
 * empty are one here, as no tagged field has both. */
static bool is_default(const struct proto_kafka_field *field, const uint8_t *in)
{
    const uint8_t *at = in + field->offset;
    if (field->array) {
        const struct proto_kafka_array *array = (const struct proto_kafka_array *)(const void *)at;
        return array->count == 0;
    }
    if (field->type == PROTO_KAFKA_STRUCT) {
        for (uint16_t i = 0; i < field->layout->count; i++)
            if (!is_default(&field->layout->fields[i], at))
                return false;
        return true;
    }
    if (field->type >= PROTO_KAFKA_STRING) {
        const struct slice *value = (const struct slice *)(const void *)at;
        return field->nullable == PROTO_KAFKA_NEVER ? value->size == 0 : !value->data;
    }
    if (field->type == PROTO_KAFKA_UUID)
        return memcmp(at, (uint8_t[16]){0}, 16) == 0;
    return memcmp(at, &field->fallback, proto_kafka_element_size(field)) == 0;
}

static bool is_sent(const struct writer *w, const struct proto_kafka_field *field, uint32_t tag,
                    const uint8_t *in)
{
    return field->tag >= 0 && (uint32_t)field->tag == tag &&
           proto_kafka_field_in(field, w->version) && !is_default(field, in);
}

/* A tagged field has its size in front, which is known once it is written: it is then moved to make
 * room. They are small and rare. */
static void write_tag(struct writer *w, const struct proto_kafka_field *field, const uint8_t *in)
{
    buf_add_uvarint(w->out, (uint64_t)field->tag);
    size_t at = w->out->size;
    write_field(w, field, in);
    size_t size = w->out->size - at;
    buf_add_uvarint(w->out, size);
    if (!buf_ok(w->out))
        return;
    uint8_t *data = w->out->data + at;
    uint8_t length[10];
    size_t length_size = w->out->size - at - size;
    memcpy(length, data + size, length_size);
    memmove(data + length_size, data, size);
    memcpy(data, length, length_size);
}

static void write_tags(struct writer *w, const struct proto_kafka_layout *layout, const uint8_t *in)
{
    uint32_t count = 0;
    int tag_max = -1;
    for (uint16_t i = 0; i < layout->count; i++) {
        const struct proto_kafka_field *field = &layout->fields[i];
        if (field->tag >= 0 && is_sent(w, field, (uint32_t)field->tag, in)) {
            count++;
            tag_max = field->tag > tag_max ? field->tag : tag_max;
        }
    }
    buf_add_uvarint(w->out, count);
    /* In the order of their tags, on which readers insist; descriptions may have another. There are
     * a few at the most, so each is looked for. */
    for (int tag = 0; tag <= tag_max; tag++)
        for (uint16_t i = 0; i < layout->count; i++)
            if (is_sent(w, &layout->fields[i], (uint32_t)tag, in))
                write_tag(w, &layout->fields[i], in);
}

static void write_struct(struct writer *w, const struct proto_kafka_layout *layout,
                         const uint8_t *in)
{
    for (uint16_t i = 0; i < layout->count && buf_ok(w->out); i++) {
        const struct proto_kafka_field *field = &layout->fields[i];
        if (field->tag < 0 && proto_kafka_field_in(field, w->version))
            write_field(w, field, in);
    }
    if (w->flexible)
        write_tags(w, layout, in);
}

void proto_kafka_encode(const struct proto_kafka_api *api, const struct proto_kafka_layout *layout,
                        int16_t version, const void *in, struct buf *out)
{
    proto_kafka_encode_apart(api, layout, version, in, out, NULL);
}

void proto_kafka_encode_apart(const struct proto_kafka_api *api,
                              const struct proto_kafka_layout *layout, int16_t version,
                              const void *in, struct buf *out, size_t *gaps)
{
    ASSERT(proto_kafka_has_version(api, version) && in && out);
    struct writer w = {out, version, proto_kafka_is_flexible(api, version), NULL};
    w.gaps = gaps;
    write_struct(&w, layout, in);
}
