#include "pipeline/check/check_int.h"

/*
 * A batch that a producer has built passes as it is, compressed as it came, when its topic has
 * nothing to say of records. Else it is unpacked and walked: each value is judged like any other
 * record, and what is not accepted is left out, so that the others keep their offsets. Without a
 * schema a value is any bytes.
 *
 * Failure modes: a count or a size that lies fails the request (ERR_CORRUPT) before anything is
 * appended. One record that a contract refuses outright refuses all of them, since the producer has
 * one answer for the batch, and would send those again that had been taken.
 */

struct walk {
    struct pipeline_check_pass *pass;
    struct flow_batch batch;
    bool dedup;
    uint32_t left_out;
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

/* As the JSON pass finds it; what is no JSON has no key, and is no duplicate. */
static err_t add_fingerprint(struct walk *w, bool found)
{
    struct flow_fingerprint key = {0};
    struct buf *keys = &w->pass->check->keys;
    if (found)
        TRY(pipeline_check_record_fingerprint(w->pass, &key));
    buf_add(keys, &key, sizeof(key));
    return buf_error(keys);
}

static err_t take_record(struct walk *w, uint32_t index, const struct flow_record *record)
{
    struct pipeline_check_pass *pass = w->pass;
    struct format_jsonschema_refusal refusal;
    pass->received++;
    err_t verdict = err_ok();
    bool judged = pass->topic->schema || w->dedup;
    if (judged)
        verdict = format_jsonschema_judge(&pass->judge, record->value, record->value,
                                          pass->judge.paths ? pass->found : NULL, &refusal);
    bool refused = err_is(verdict, ERR_RECORD_REFUSED);
    if (!refused)
        TRY(verdict);
    /* For its key alone it need not be JSON. */
    if (refused && pass->topic->schema) {
        leave_out(w, index);
        return pipeline_check_record_fail(pass, record->value, &refusal);
    }
    pass->tally.records[PIPELINE_CHECK_ACCEPTED]++;
    pass->tally.bytes[PIPELINE_CHECK_ACCEPTED] += record->value.size;
    return w->dedup ? add_fingerprint(w, !refused) : err_ok();
}

static err_t walk_records(struct walk *w)
{
    struct pipeline_check *check = w->pass->check;
    struct flow_batch_iterator it = flow_batch_records(&w->batch);
    struct flow_record record;
    TRY(bits_for(&check->left_out, w->batch.record_count));
    buf_reset(&check->keys);
    int64_t max_timestamp_ms = INT64_MIN;
    err_t err = flow_batch_next(&it, &record);
    for (uint32_t i = 0; err_is_ok(err); err = flow_batch_next(&it, &record), i++) {
        /* Readers count by what the header says. */
        if (record.offset != w->batch.base_offset + (int64_t)i)
            return err_make(ERR_CORRUPT);
        if (record.timestamp_ms > max_timestamp_ms)
            max_timestamp_ms = record.timestamp_ms;
        TRY(take_record(w, i, &record));
    }
    if (!err_is(err, ERR_END))
        return err;
    bool told = w->batch.last_offset_delta == (int32_t)w->batch.record_count - 1 &&
                w->batch.max_timestamp_ms == max_timestamp_ms;
    return err_make(told ? ERR_OK : ERR_CORRUPT);
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

static err_t append_rest(struct walk *w)
{
    struct pipeline_check *check = w->pass->check;
    struct slice bytes = w->batch.bytes;
    uint32_t count = w->batch.record_count - w->left_out;
    if (count == 0)
        return err_ok();
    if (w->left_out > 0) {
        buf_reset(&check->rest);
        uint8_t *room = buf_reserve(&check->rest, bytes.size);
        if (!room)
            return err_make(ERR_MEMORY);
        bytes = slice_make(room, flow_batch_without(&w->batch, check->left_out.data, true, room));
    }
    return pipeline_check_commit_whole(w->pass, bytes, count,
                                       w->dedup ? (const void *)check->keys.data : NULL);
}

err_t pipeline_check_batch(struct pipeline_check_pass *pass)
{
    const struct flow_inlet_topic *topic = pass->topic;
    struct walk w = {.pass = pass, .dedup = topic->dedup_at >= 0};
    struct slice body = pass->request->body;
    ASSERT(!pass->dry);
    if (pass->request->partition >= topic->partition_count)
        return err_make(ERR_NOT_FOUND);
    TRY(flow_batch_parse(body, &w.batch));
    /* Walked in any case: a count that lies never comes into the log. */
    TRY(flow_batch_unpack(&w.batch, FLOW_BATCH_UNPACKED_SIZE_MAX, &pass->check->unpacked));
    TRY(walk_records(&w));
    if (pass->tally.records[PIPELINE_CHECK_REFUSED] > 0) {
        refuse_all(pass);
        return err_ok();
    }
    bool as_sent = w.left_out == 0 && !w.dedup;
    if (as_sent)
        w.batch.bytes = body;
    return append_rest(&w);
}
