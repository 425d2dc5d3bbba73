#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "flow/batch_int.h"

/*
 * Building: a record's size is computed before anything is written, so that its bytes go straight
 * to their place in the batch, once. The first record leaves room for the header, which is filled
 * in when the batch is finished. Offsets and times of records are deltas to the first one's; the
 * differences wrap, here and in every reader, so that any two times can share a batch.
 *
 * Reading: the header is judged alone, without its records; the CRC only when asked for, since it
 * reads every byte; records one by one, as views.
 *
 * Failure modes: without memory the buffer stays as it was, unlatched, and the record is not
 * there. Reading judges every length against what is left before it is used; a batch whose CRC
 * fits can still be a lie of whoever computed it.
 */

void flow_batch_builder_init(struct flow_batch_builder *builder)
{
    ASSERT(builder);
    *builder = (struct flow_batch_builder){0};
    /* Kafka's length has 31 bits, so a batch that is too large is refused where a record is added
     * and not where the length is written. */
    buf_init(&builder->bytes, BATCH_SIZE_MAX);
}

void flow_batch_builder_done(struct flow_batch_builder *builder)
{
    ASSERT(builder);
    buf_done(&builder->bytes);
    flow_batch_builder_init(builder);
}

static size_t varint_size(int64_t value)
{
    return uvarint_size(zigzag_encode(value));
}

/* Size of a length and the bytes it counts; null is the length -1. */
static size_t bytes_size(struct slice bytes)
{
    ASSERT(bytes.data || bytes.size == 0);
    return bytes.data ? varint_size((int64_t)bytes.size) + bytes.size : 1;
}

static uint8_t *put_varint(uint8_t *out, int64_t value)
{
    return out + uvarint_put(out, zigzag_encode(value));
}

static uint8_t *put_bytes(uint8_t *out, struct slice bytes)
{
    ASSERT(bytes.size <= INT32_MAX);
    if (!bytes.data)
        return put_varint(out, -1);
    out = put_varint(out, (int64_t)bytes.size);
    memcpy(out, bytes.data, bytes.size);
    return out + bytes.size;
}

/* A record's encoding without the length in front of it. */
struct layout {
    int64_t timestamp_delta;
    uint32_t offset_delta;
    struct slice key;
    struct slice value;
    const struct flow_header *headers;
    uint32_t header_count;
    struct slice encoded; /* headers behind those */
    uint32_t encoded_count;
    size_t size;
};

/* A count that promises more than the bytes hold, or bytes that are no header, end what is copied:
 * whoever reads the copy finds count and bytes in agreement. */
static void layout_set_encoded(struct layout *l, const struct flow_record *record)
{
    struct slice rest = record->headers;
    struct flow_header header;
    ASSERT(l->encoded_count == 0);
    while (l->encoded_count < record->header_count && flow_record_header(&rest, &header))
        l->encoded_count++;
    l->encoded = slice_sub(record->headers, 0, record->headers.size - rest.size);
}

static void layout_measure(struct layout *l)
{
    l->size = 1 + varint_size(l->timestamp_delta) + varint_size(l->offset_delta) +
              bytes_size(l->key) + bytes_size(l->value) +
              varint_size((int64_t)l->header_count + l->encoded_count) + l->encoded.size;
    for (uint32_t i = 0; i < l->header_count; i++) {
        ASSERT(l->headers[i].key.data);
        l->size += bytes_size(l->headers[i].key) + bytes_size(l->headers[i].value);
    }
}

static uint8_t *layout_write(const struct layout *l, uint8_t *out)
{
    out = put_varint(out, (int64_t)l->size);
    const uint8_t *start = out;
    ASSERT(l->size >= RECORD_SIZE_MIN - 1);
    /* Attributes, of which no record has any. */
    *out++ = 0;
    out = put_varint(out, l->timestamp_delta);
    out = put_varint(out, l->offset_delta);
    out = put_bytes(out, l->key);
    out = put_bytes(out, l->value);
    out = put_varint(out, (int64_t)l->header_count + l->encoded_count);
    for (uint32_t i = 0; i < l->header_count; i++) {
        out = put_bytes(out, l->headers[i].key);
        out = put_bytes(out, l->headers[i].value);
    }
    if (l->encoded.size > 0)
        memcpy(out, l->encoded.data, l->encoded.size);
    out += l->encoded.size;
    ASSERT((size_t)(out - start) == l->size);
    return out;
}

err_t flow_batch_builder_add(struct flow_batch_builder *builder, int64_t timestamp_ms,
                             struct slice key, struct slice value,
                             const struct flow_header *headers, uint32_t header_count)
{
    const struct flow_record record = {.timestamp_ms = timestamp_ms, .key = key, .value = value};
    ASSERT(headers || header_count == 0);
    return flow_batch_builder_add_record(builder, &record, headers, header_count);
}

err_t flow_batch_builder_add_record(struct flow_batch_builder *builder,
                                    const struct flow_record *record,
                                    const struct flow_header *before, uint32_t before_count)
{
    struct buf *bytes = &builder->bytes;
    int64_t timestamp_ms = record->timestamp_ms;
    bool first = builder->record_count == 0;
    ASSERT(first == (bytes->size == 0));
    int64_t base_ms = first ? timestamp_ms : builder->first_timestamp_ms;
    struct layout l = {.timestamp_delta = (int64_t)((uint64_t)timestamp_ms - (uint64_t)base_ms),
                       .offset_delta = builder->record_count,
                       .key = record->key,
                       .value = record->value,
                       .headers = before,
                       .header_count = before_count};
    layout_set_encoded(&l, record);
    layout_measure(&l);
    /* The header's room comes with the first record, so that an empty builder holds no memory. */
    size_t head = first ? FLOW_BATCH_HEADER_SIZE : 0;
    size_t size = head + varint_size((int64_t)l.size) + l.size;
    /* A buffer latches its failures; this one is to go on, so its state is put back. */
    struct buf saved = *bytes;
    uint8_t *room = buf_reserve(bytes, size);
    if (!room) {
        err_t err = buf_error(bytes);
        *bytes = saved;
        return err;
    }
    const uint8_t *end = layout_write(&l, room + head);
    ASSERT((size_t)(end - room) == size);
    buf_advance(bytes, size);
    if (first || timestamp_ms > builder->max_timestamp_ms)
        builder->max_timestamp_ms = timestamp_ms;
    builder->first_timestamp_ms = base_ms;
    builder->record_count++;
    return err_ok();
}

struct flow_batch_mark flow_batch_builder_mark(const struct flow_batch_builder *builder)
{
    ASSERT(buf_ok(&builder->bytes));
    return (struct flow_batch_mark){builder->bytes.size, builder->record_count,
                                    builder->first_timestamp_ms, builder->max_timestamp_ms};
}

void flow_batch_builder_rollback(struct flow_batch_builder *builder,
                                 const struct flow_batch_mark *mark)
{
    ASSERT(mark->size <= builder->bytes.size && mark->record_count <= builder->record_count);
    /* The memory stays: what is taken back is mostly followed by something else. */
    builder->bytes.size = mark->size;
    builder->record_count = mark->record_count;
    builder->first_timestamp_ms = mark->first_timestamp_ms;
    builder->max_timestamp_ms = mark->max_timestamp_ms;
}

void flow_batch_builder_reset(struct flow_batch_builder *builder, size_t keep_bytes)
{
    ASSERT(builder);
    /* One large batch must not hold its memory for as long as the builder lives. */
    if (builder->bytes.capacity > keep_bytes)
        buf_done(&builder->bytes);
    buf_reset(&builder->bytes);
    builder->record_count = 0;
}

/* The CRC last of all that it covers. The length stands in front of it, as a reader has to know how
 * far the CRC goes. */
void flow_batch_seal(uint8_t *batch, size_t size)
{
    ASSERT(size >= FLOW_BATCH_HEADER_SIZE && size <= BATCH_SIZE_MAX);
    put_u32be(batch + AT_LENGTH, (uint32_t)(size - LENGTH_FROM));
    put_u32be(batch + AT_CRC, crc32c(0, batch + CRC_FROM, size - CRC_FROM));
}

/* All that the header says, and the seal. */
static void write_header(uint8_t *batch, size_t size, uint32_t record_count,
                         int64_t first_timestamp_ms, int64_t max_timestamp_ms)
{
    ASSERT(record_count > 0 && size > FLOW_BATCH_HEADER_SIZE);
    /* Given by the log, when the batch's turn comes; the CRC leaves it out for that. */
    put_u64be(batch + AT_BASE_OFFSET, 0);
    put_u32be(batch + AT_LEADER_EPOCH, 0);
    batch[AT_MAGIC] = BATCH_MAGIC;
    put_u16be(batch + AT_ATTRIBUTES, 0);
    put_u32be(batch + AT_LAST_OFFSET_DELTA, record_count - 1);
    put_u64be(batch + AT_FIRST_TIMESTAMP, (uint64_t)first_timestamp_ms);
    put_u64be(batch + AT_MAX_TIMESTAMP, (uint64_t)max_timestamp_ms);
    /* No producer: id, epoch and sequence are -1. */
    put_u64be(batch + AT_PRODUCER_ID, UINT64_MAX);
    put_u16be(batch + AT_PRODUCER_EPOCH, UINT16_MAX);
    put_u32be(batch + AT_BASE_SEQUENCE, UINT32_MAX);
    put_u32be(batch + AT_RECORD_COUNT, record_count);
    flow_batch_seal(batch, size);
}

void flow_batch_end(uint8_t *batch, size_t size, uint32_t record_count, int64_t timestamp_ms)
{
    ASSERT(batch && batch[AT_MAGIC] == BATCH_MAGIC);
    write_header(batch, size, record_count, timestamp_ms, timestamp_ms);
}

struct slice flow_batch_builder_finish(struct flow_batch_builder *builder)
{
    uint8_t *batch = builder->bytes.data;
    size_t size = builder->bytes.size;
    ASSERT(batch && builder->record_count > 0);
    write_header(batch, size, builder->record_count, builder->first_timestamp_ms,
                 builder->max_timestamp_ms);
    return slice_make(batch, size);
}

enum flow_codec flow_batch_codec(const struct flow_batch *batch)
{
    ASSERT(batch->bytes.size >= FLOW_BATCH_HEADER_SIZE);
    return (enum flow_codec)(batch->attributes & CODEC_MASK);
}

bool flow_batch_is_control(const struct flow_batch *batch)
{
    ASSERT(batch->bytes.size >= FLOW_BATCH_HEADER_SIZE);
    return batch->attributes & CONTROL_BATCH;
}

/* The header's fields agree with each other and with the size. */
static bool header_sane(const struct flow_batch *b)
{
    ASSERT(b->bytes.size >= FLOW_BATCH_HEADER_SIZE);
    if (b->base_offset < 0 || b->last_offset_delta < 0 || b->record_count > INT32_MAX)
        return false;
    /* The offset behind the last is a number too. */
    if (b->base_offset >= INT64_MAX - b->last_offset_delta)
        return false;
    /* Fewer records than offsets is fine: some were taken out, the others kept their offsets. */
    if (b->record_count > (uint64_t)b->last_offset_delta + 1)
        return false;
    /* Whoever sizes something by the count can trust it to be in proportion to the bytes. */
    uint64_t records_size = b->bytes.size - FLOW_BATCH_HEADER_SIZE;
    /* Compressed records have no bound by their packed size; they are judged again once they are
     * unpacked. */
    return flow_batch_codec(b) != FLOW_CODEC_NONE ||
           (uint64_t)b->record_count * RECORD_SIZE_MIN <= records_size;
}

err_t flow_batch_parse(struct slice bytes, struct flow_batch *out)
{
    ASSERT(out);
    /* Magic and length are looked at as soon as they are there: what is no batch at all must not
     * pass for one that is still to come. */
    if (bytes.size < AT_CRC)
        return err_make(ERR_END);
    uint32_t length = get_u32be(bytes.data + AT_LENGTH);
    if (bytes.data[AT_MAGIC] != BATCH_MAGIC || length > INT32_MAX ||
        length < FLOW_BATCH_HEADER_SIZE - LENGTH_FROM)
        return err_make(ERR_CORRUPT);
    if (bytes.size - LENGTH_FROM < length)
        return err_make(ERR_END);
    const uint8_t *in = bytes.data;
    struct flow_batch batch = {
        .bytes = slice_make(in, LENGTH_FROM + length),
        .base_offset = (int64_t)get_u64be(in + AT_BASE_OFFSET),
        .last_offset_delta = (int32_t)get_u32be(in + AT_LAST_OFFSET_DELTA),
        .record_count = get_u32be(in + AT_RECORD_COUNT),
        .attributes = get_u16be(in + AT_ATTRIBUTES),
        .first_timestamp_ms = (int64_t)get_u64be(in + AT_FIRST_TIMESTAMP),
        .max_timestamp_ms = (int64_t)get_u64be(in + AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)get_u64be(in + AT_PRODUCER_ID),
        .producer_epoch = (int16_t)get_u16be(in + AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)get_u32be(in + AT_BASE_SEQUENCE),
    };
    if (!header_sane(&batch))
        return err_make(ERR_CORRUPT);
    *out = batch;
    return err_ok();
}

/* Reads every byte, so it is a call of its own: who has just made the batch, or checked it, does
 * not. */
err_t flow_batch_check(const struct flow_batch *batch)
{
    ASSERT(batch->bytes.size >= FLOW_BATCH_HEADER_SIZE);
    const uint8_t *in = batch->bytes.data;
    uint32_t crc = crc32c(0, in + CRC_FROM, batch->bytes.size - CRC_FROM);
    return crc == get_u32be(in + AT_CRC) ? err_ok() : err_make(ERR_CORRUPT);
}

void flow_batch_set_base_offset(uint8_t *batch, int64_t offset)
{
    ASSERT(batch && offset >= 0);
    put_u64be(batch + AT_BASE_OFFSET, (uint64_t)offset);
    /* A producer may have put anything there, and consumers would ask for it later. */
    put_u32be(batch + AT_LEADER_EPOCH, 0);
}

void flow_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t timestamp_ms)
{
    ASSERT(batch && size >= FLOW_BATCH_HEADER_SIZE);
    put_u64be(batch + AT_MAX_TIMESTAMP, (uint64_t)timestamp_ms);
    flow_batch_seal(batch, size);
}

struct flow_batch_iterator flow_batch_records(const struct flow_batch *batch)
{
    ASSERT(batch->bytes.size >= FLOW_BATCH_HEADER_SIZE);
    struct slice bytes = batch->bytes;
    return (struct flow_batch_iterator){
        .rest =
            slice_make(bytes.data + FLOW_BATCH_HEADER_SIZE, bytes.size - FLOW_BATCH_HEADER_SIZE),
        .batch = batch,
        .left = batch->record_count,
    };
}

/* Nearly all numbers of a record take one byte or two, and a batch is walked record by record
 * before it is taken. */
static inline int32_t read_number(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = c->rest.data;
    size_t size = c->rest.size > 0 && in[0] < 0x80 ? 1 : 2;
    if (c->rest.size < size || in[size - 1] >= 0x80)
        return cursor_varint(c);
    uint32_t bits = size == 1 ? in[0] : (uint32_t)(in[0] & 0x7f) | (uint32_t)in[1] << 7;
    c->rest = slice_make(in + size, c->rest.size - size);
    return (int32_t)zigzag_decode(bits);
}

/* A length and its bytes; the length -1 gives data NULL. */
static inline struct slice read_bytes(struct cursor *c)
{
    ASSERT(c);
    int32_t size = read_number(c);
    if (size == -1)
        return slice_make(NULL, 0);
    if (size < 0 || (size_t)size > c->rest.size) {
        cursor_fail(c);
        return slice_make(NULL, 0);
    }
    struct slice bytes = slice_make(c->rest.data, (size_t)size);
    c->rest = slice_make(c->rest.data + size, c->rest.size - (size_t)size);
    return bytes;
}

err_t flow_batch_next_raw(struct flow_batch_iterator *it, struct flow_record *out,
                          struct flow_record_raw *raw)
{
    ASSERT(it->batch && out);
    if (flow_batch_codec(it->batch) != FLOW_CODEC_NONE)
        return err_make(ERR_UNSUPPORTED);
    if (it->left == 0)
        return err_make(it->rest.size == 0 ? ERR_END : ERR_CORRUPT); /* or bytes of no record */
    /* Two cursors: a record that lies about its own fields cannot read into the one behind it. */
    struct cursor outer = cursor_make(it->rest);
    struct slice body = read_bytes(&outer);
    struct cursor c = cursor_make(body);
    /* Of a record: none are defined. */
    uint8_t attributes = cursor_u8(&c);
    uint64_t timestamp_delta = (uint64_t)cursor_varlong(&c);
    int32_t offset_delta = read_number(&c);
    struct slice rest = c.rest;
    struct slice key = read_bytes(&c);
    struct slice value = read_bytes(&c);
    int32_t header_count = read_number(&c);
    if (!cursor_ok(&outer) || !cursor_ok(&c) || header_count < 0 || offset_delta < 0 ||
        offset_delta > it->batch->last_offset_delta)
        return err_make(ERR_CORRUPT);
    *out = (struct flow_record){
        .offset = it->batch->base_offset + offset_delta,
        .timestamp_ms = (int64_t)((uint64_t)it->batch->first_timestamp_ms + timestamp_delta),
        .key = key,
        .value = value,
        .header_count = (uint32_t)header_count,
        .headers = c.rest,
    };
    *raw = (struct flow_record_raw){attributes, rest};
    it->rest = outer.rest;
    it->left--;
    return err_ok();
}

err_t flow_batch_next(struct flow_batch_iterator *it, struct flow_record *out)
{
    ASSERT(it && out);
    struct flow_record_raw raw;
    return flow_batch_next_raw(it, out, &raw);
}

/* Offset deltas get smaller or stay, and times are told from the same first one: a record never
 * takes more bytes than it did. */
static uint8_t *put_moved(uint8_t *out, const struct flow_batch *batch, uint32_t offset_delta,
                          const struct flow_record *record, const struct flow_record_raw *raw)
{
    ASSERT(raw->rest.data && record->offset >= batch->base_offset);
    ASSERT(offset_delta <= (uint64_t)(record->offset - batch->base_offset));
    int64_t time_delta =
        (int64_t)((uint64_t)record->timestamp_ms - (uint64_t)batch->first_timestamp_ms);
    size_t size = 1 + varint_size(time_delta) + varint_size(offset_delta) + raw->rest.size;
    out = put_varint(out, (int64_t)size);
    *out++ = raw->attributes;
    out = put_varint(out, time_delta);
    out = put_varint(out, offset_delta);
    memcpy(out, raw->rest.data, raw->rest.size);
    return out + raw->rest.size;
}

size_t flow_batch_without(const struct flow_batch *batch, const uint8_t *left_out, bool holes,
                          uint8_t *out)
{
    ASSERT(left_out && out);
    ASSERT(flow_batch_codec(batch) == FLOW_CODEC_NONE);
    struct flow_batch_iterator it = flow_batch_records(batch);
    struct flow_record record;
    struct flow_record_raw raw;
    uint8_t *end = out + FLOW_BATCH_HEADER_SIZE;
    uint32_t kept = 0;
    int64_t max_timestamp_ms = INT64_MIN;
    err_t err;
    memcpy(out, batch->bytes.data, FLOW_BATCH_HEADER_SIZE);
    for (uint32_t i = 0; err_is_ok(err = flow_batch_next_raw(&it, &record, &raw)); i++) {
        if (flow_bit(left_out, i))
            continue;
        uint32_t delta = holes ? (uint32_t)(record.offset - batch->base_offset) : kept;
        end = put_moved(end, batch, delta, &record, &raw);
        kept++;
        if (record.timestamp_ms > max_timestamp_ms)
            max_timestamp_ms = record.timestamp_ms;
    }
    size_t size = (size_t)(end - out);
    ASSERT(err_is(err, ERR_END) && (kept > 0 || holes) && size <= batch->bytes.size);
    if (!holes)
        put_u32be(out + AT_LAST_OFFSET_DELTA, kept - 1);
    put_u64be(out + AT_MAX_TIMESTAMP, (uint64_t)(kept > 0 ? max_timestamp_ms : -1));
    put_u32be(out + AT_RECORD_COUNT, kept);
    flow_batch_seal(out, size);
    return size;
}

void flow_batch_put_marker(uint8_t *out, int64_t offset)
{
    /* Its key has a version and a type, 1 for a commit; its value a version and an epoch. */
    static const uint8_t record[] = {32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 0, 0};
    _Static_assert(FLOW_BATCH_HEADER_SIZE + sizeof record == FLOW_BATCH_MARKER_SIZE, "its size");
    ASSERT(out && offset >= 0);
    memcpy(out + FLOW_BATCH_HEADER_SIZE, record, sizeof record);
    write_header(out, FLOW_BATCH_MARKER_SIZE, 1, -1, -1);
    put_u64be(out + AT_BASE_OFFSET, (uint64_t)offset);
    put_u16be(out + AT_ATTRIBUTES, CONTROL_BATCH);
    flow_batch_seal(out, FLOW_BATCH_MARKER_SIZE);
}

/* The iterator has not looked at headers: most readers never do. */
bool flow_record_header(struct slice *headers, struct flow_header *out)
{
    ASSERT(headers && out);
    struct cursor c = cursor_make(*headers);
    struct slice key = read_bytes(&c);
    struct slice value = read_bytes(&c);
    if (!cursor_ok(&c) || !key.data)
        return false;
    *out = (struct flow_header){key, value};
    *headers = c.rest;
    return true;
}
