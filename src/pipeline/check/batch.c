#include "pipeline/check/check_int.h"

/*
 * A batch that a producer has built is unpacked and walked: each value is judged like any other
 * record, and what is not accepted is left out, so that the others keep their offsets. Where
 * nothing is left out and no key is looked for, the bytes are appended as they came, compressed.
 * Without a schema a value is any bytes.
 *
 * Failure modes: a count or a size that lies, in the batch or in one of its records, fails the
 * request (ERR_CORRUPT) before anything is appended: whoever reads the log later could not. So does
 * what unpacks to more than a request may take (ERR_TOO_LARGE). The largest time is put right: some
 * producers leave it out, and searches by time go by it. One record that a contract refuses
 * outright refuses all of them, since the producer has one answer for the batch, and would send
 * those again that had been taken.
 */

/* Bits of the attributes that only a broker sets: time of append, and when deletions end. */
#define ATTRIBUTES_OF_BROKERS 0x48u
/* Memory that is kept for the next batch, in each buffer: so much of the budget, or less. */
#define KEPT_BYTES ((size_t)1 << 20)
#define KEPT_SHARE 32u
#define UNPACKED_SIZE_MAX ((size_t)64 << 20)
/* What is unpacked leaves so much of the budget to what becomes of it. */
#define UNPACKED_REST 8u

struct walk {
    struct pipeline_check_pass *pass;
    struct flow_batch batch; /* unpacked */
    bool dedup;
    uint32_t left_out;
    int64_t max_timestamp_ms;
};

static err_t bits_for(struct buf *bits, uint32_t count)
{
    size_t size = count / 8 + 1;
    buf_reset(bits);
    uint8_t *room = buf_reserve(bits, size);
    if (!room)
        return err_make(ERR_MEMORY);
    memset(room, 0, size);
    buf_advance(bits, size);
    return err_ok();
}

static void leave_out(struct walk *w, uint32_t index)
{
    ASSERT(index < w->batch.record_count);
    flow_set_bit(w->pass->check->left_out.data, index);
    w->left_out++;
}

static err_t take_record(struct walk *w, uint32_t index, const struct flow_record *record)
{
    struct buf *keys = &w->pass->check->keys;
    struct flow_fingerprint key;
    bool taken = false;
    TRY(pipeline_check_produced_judge(w->pass, record, &taken, &key));
    if (!taken)
        leave_out(w, index);
    else if (w->dedup)
        buf_add(keys, &key, sizeof(key));
    return buf_error(keys);
}

/* Headers are skipped by most readers, so that nobody else would find out before a client does. */
static bool headers_fit(const struct flow_record *record)
{
    struct slice rest = record->headers;
    struct flow_header header;
    uint32_t count = 0;
    if (record->header_count == 0)
        return rest.size == 0;
    while (flow_record_header(&rest, &header))
        count++;
    return rest.size == 0 && count == record->header_count;
}

static err_t walk_records(struct walk *w)
{
    struct pipeline_check *check = w->pass->check;
    struct flow_batch_iterator it = flow_batch_records(&w->batch);
    struct flow_record record;
    TRY(bits_for(&check->left_out, w->batch.record_count));
    buf_reset(&check->keys);
    w->max_timestamp_ms = INT64_MIN;
    err_t err = flow_batch_next(&it, &record);
    for (uint32_t i = 0; err_is_ok(err); err = flow_batch_next(&it, &record), i++) {
        /* Readers count by what the header says. */
        if (record.offset != w->batch.base_offset + (int64_t)i || !headers_fit(&record))
            return err_make(ERR_CORRUPT);
        if (record.timestamp_ms > w->max_timestamp_ms)
            w->max_timestamp_ms = record.timestamp_ms;
        TRY(take_record(w, i, &record));
    }
    if (!err_is(err, ERR_END))
        return err;
    bool whole = (uint64_t)w->batch.last_offset_delta + 1 == w->batch.record_count;
    return err_make(whole ? ERR_OK : ERR_CORRUPT);
}

/* Nothing of it is kept, and all of it counts as refused. */
static void refuse_all(struct pipeline_check_pass *pass)
{
    struct pipeline_check_tally *tally = &pass->tally;
    ASSERT(tally->records[PIPELINE_CHECK_DEAD_LETTERED] == 0);
    tally->records[PIPELINE_CHECK_REFUSED] += tally->records[PIPELINE_CHECK_ACCEPTED];
    tally->bytes[PIPELINE_CHECK_REFUSED] += tally->bytes[PIPELINE_CHECK_ACCEPTED];
    tally->records[PIPELINE_CHECK_ACCEPTED] = 0;
    tally->bytes[PIPELINE_CHECK_ACCEPTED] = 0;
}

/* The batch without what is left out, or with its largest time put right, in check->rest. */
static err_t mend(struct walk *w, struct slice *bytes)
{
    struct buf *rest = &w->pass->check->rest;
    buf_reset(rest);
    uint8_t *room = buf_reserve(rest, bytes->size);
    if (!room)
        return err_make(ERR_MEMORY);
    size_t size = bytes->size;
    if (w->left_out > 0) {
        size = flow_batch_without(&w->batch, w->pass->check->left_out.data, true, room);
    } else {
        memcpy(room, bytes->data, size);
        flow_batch_set_max_timestamp(room, size, w->max_timestamp_ms);
    }
    *bytes = slice_make(room, size);
    return err_ok();
}

static err_t append_rest(struct walk *w)
{
    struct slice bytes = w->pass->request->body;
    uint32_t count = w->batch.record_count - w->left_out;
    /* The log leaves out what repeats a key, and unpacks nothing. */
    if (w->left_out > 0 || w->dedup)
        bytes = w->batch.bytes;
    if (w->left_out > 0 || w->batch.max_timestamp_ms != w->max_timestamp_ms)
        TRY(mend(w, &bytes));
    const void *keys = w->dedup && count > 0 ? w->pass->check->keys.data : NULL;
    /* With nothing left, too: the offsets and the numbers are given to the producer. */
    return pipeline_check_commit_whole(w->pass, bytes, count, keys);
}

static err_t trim(struct flow_batch *batch, struct buf *unpacked)
{
    bool packed = batch->bytes.data == unpacked->data;
    buf_trim(unpacked);
    /* It may lie elsewhere. */
    return packed ? flow_batch_parse(buf_slice(unpacked), batch) : err_ok();
}

static err_t take_batch(struct pipeline_check_pass *pass)
{
    struct walk w = {.pass = pass, .dedup = pass->topic->dedup_at >= 0};
    struct slice body = pass->request->body;
    struct buf *unpacked = &pass->check->unpacked;
    uint64_t limit = pass->check->budget.limit_bytes;
    size_t size_max = UNPACKED_SIZE_MAX;
    if (size_max > limit - limit / UNPACKED_REST)
        size_max = (size_t)(limit - limit / UNPACKED_REST);
    err_t err = flow_batch_parse(body, &w.batch);
    if (!err_is_ok(err) || w.batch.bytes.size != body.size ||
        (w.batch.attributes & ATTRIBUTES_OF_BROKERS))
        return err_make(ERR_CORRUPT);
    TRY(flow_batch_unpack(&w.batch, size_max, unpacked));
    /* It was given more than it turned out to need. */
    if (unpacked->capacity > KEPT_BYTES)
        TRY(trim(&w.batch, unpacked));
    TRY(walk_records(&w));
    if (pass->tally.records[PIPELINE_CHECK_REFUSED] > 0) {
        refuse_all(pass);
        return err_ok();
    }
    return append_rest(&w);
}

err_t pipeline_check_batch(struct pipeline_check_pass *pass)
{
    struct pipeline_check *check = pass->check;
    struct buf *const used[] = {&check->unpacked, &check->left_out, &check->rest, &check->keys};
    ASSERT(!pass->dry);
    if (pass->request->partition >= pass->topic->partition_count)
        return err_make(ERR_NOT_FOUND);
    uint32_t size_max = pass->topic->batch_bytes_max;
    if (size_max > 0 && pass->request->body.size > size_max)
        return err_make(ERR_TOO_LARGE);
    err_t err = take_batch(pass);
    uint64_t kept = check->budget.limit_bytes / KEPT_SHARE;
    /* What one large batch has needed is not held against all that come later. */
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
        if (used[i]->capacity > (kept < KEPT_BYTES ? kept : KEPT_BYTES))
            buf_done(used[i]);
    return err;
}
