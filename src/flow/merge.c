#include "flow/merge.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "flow/batch_int.h"

/*
 * A record's offset and time are deltas to its batch's first, so in another batch it has other
 * ones, and with them another length. All that follows them, key, value and headers, stays as it
 * is and is copied as one run.
 *
 * Room is made for a batch at a time: how much its records can grow at the most is known from
 * their count. The header is the first batch's, with what covers all batches put in at the end.
 *
 * Failure modes: a record that no reader could read would take those of all other batches with it;
 * so each is read as a reader reads it, and the first that can't be ends the merge. What was
 * appended by then is taken out again.
 */

/* More than a byte each: of the length, the time's delta and the offset's. */
#define RECORD_GROWTH_MAX (4u + 9u + 4u)

struct merge {
    struct buf *out;
    int64_t base_offset;
    int64_t first_timestamp_ms;
    int64_t max_timestamp_ms;
    uint32_t record_count;
};

bool flow_merge_possible(const struct flow_batch *batch)
{
    ASSERT(batch->bytes.size >= FLOW_BATCH_HEADER_SIZE);
    /* Codec, kind of time, transaction, control batch, delete horizon: the plain one of each is
     * zero, and what else may come is not ours to merge. */
    return batch->attributes == 0 && batch->producer_id == -1;
}

/* Writes one record of a batch and returns where it ends. */
static uint8_t *put_record(uint8_t *out, const struct merge *m, const struct flow_record *record,
                           const struct flow_record_raw *raw)
{
    ASSERT(record->offset >= m->base_offset);
    uint64_t offset_delta = zigzag_encode(record->offset - m->base_offset);
    /* Wraps, as everywhere (flow/batch.c). */
    uint64_t time_delta =
        zigzag_encode((int64_t)((uint64_t)record->timestamp_ms - (uint64_t)m->first_timestamp_ms));
    size_t size = 1 + uvarint_size(time_delta) + uvarint_size(offset_delta) + raw->rest.size;
    out += uvarint_put(out, zigzag_encode((int64_t)size));
    *out++ = raw->attributes;
    out += uvarint_put(out, time_delta);
    out += uvarint_put(out, offset_delta);
    memcpy(out, raw->rest.data, raw->rest.size);
    return out + raw->rest.size;
}

static err_t add_batch(struct merge *m, const struct flow_batch *batch)
{
    ASSERT(flow_merge_possible(batch));
    size_t room_size = batch->bytes.size + (size_t)batch->record_count * RECORD_GROWTH_MAX;
    const uint8_t *room = buf_reserve(m->out, room_size);
    if (!room)
        return buf_error(m->out);
    uint8_t *end = m->out->data + m->out->size;
    struct flow_batch_iterator it = flow_batch_records(batch);
    struct flow_record record;
    struct flow_record_raw raw;
    err_t err;
    while (err_is_ok(err = flow_batch_next_raw(&it, &record, &raw))) {
        end = put_record(end, m, &record, &raw);
        if (m->record_count == 0 || record.timestamp_ms > m->max_timestamp_ms)
            m->max_timestamp_ms = record.timestamp_ms;
        m->record_count++;
    }
    if (!err_is(err, ERR_END))
        return err;
    buf_advance(m->out, (size_t)(end - room));
    return err_ok();
}

/* The batches follow each other, and the last offset can be said as a delta to the first. */
static bool offsets_fit(const struct flow_batch *batches, uint32_t count)
{
    ASSERT(count > 0);
    int64_t first = batches[0].base_offset;
    int64_t end = first;
    for (uint32_t i = 0; i < count; i++) {
        if (batches[i].base_offset < end)
            return false;
        end = batches[i].base_offset + batches[i].last_offset_delta + 1;
    }
    return end - 1 - first <= INT32_MAX;
}

static void put_header(const struct merge *m, size_t start, const struct flow_batch *last)
{
    uint8_t *header = m->out->data + start;
    int64_t last_offset = last->base_offset + last->last_offset_delta;
    ASSERT(last_offset - m->base_offset <= INT32_MAX);
    put_u32be(header + AT_LAST_OFFSET_DELTA, (uint32_t)(last_offset - m->base_offset));
    put_u64be(header + AT_MAX_TIMESTAMP, (uint64_t)m->max_timestamp_ms);
    put_u32be(header + AT_RECORD_COUNT, m->record_count);
    flow_batch_seal(header, m->out->size - start);
}

err_t flow_merge(const struct flow_batch *batches, uint32_t count, struct buf *out)
{
    ASSERT(count > 0 && buf_ok(out));
    if (!offsets_fit(batches, count))
        return err_make(ERR_CORRUPT);
    size_t start = out->size;
    struct merge m = {
        .out = out,
        .base_offset = batches[0].base_offset,
        .first_timestamp_ms = batches[0].first_timestamp_ms,
        .max_timestamp_ms = batches[0].max_timestamp_ms,
    };
    buf_add(out, batches[0].bytes.data, FLOW_BATCH_HEADER_SIZE);
    err_t err = buf_error(out);
    for (uint32_t i = 0; i < count && err_is_ok(err); i++)
        err = add_batch(&m, &batches[i]);
    if (err_is_ok(err) && out->size - start > BATCH_SIZE_MAX)
        err = err_make(ERR_TOO_LARGE);
    if (!err_is_ok(err)) {
        out->size = start;
        out->failed = out->capped = false;
        return err;
    }
    put_header(&m, start, &batches[count - 1]);
    return err_ok();
}
