#include "sinks/call.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/list.h"

/*
 * A write takes the batches of one read in order. Each is checked as a whole (header, CRC, every
 * record's bounds), unpacked where it is compressed, and only then given to the plug-in, so that
 * the plug-in never meets bytes that cannot be read; what it refuses becomes a dead letter at once,
 * while the bytes are there.
 *
 * A bad batch ends the write: what came before it counts. An error of the plug-in voids the whole
 * epoch, and with it whatever the results say.
 */

/* Memory of unpacked batches that is kept for the next: the batches that the log packs fit. */
#define UNPACKED_KEPT ((size_t)1 << 20)

/* Checks a batch and counts its records from `offset_min` on. */
static err_t check_batch(struct slice bytes, int64_t offset_min, struct buf *unpacked,
                         struct flow_batch *out, uint64_t *count)
{
    struct flow_batch batch;
    TRY(flow_batch_parse(bytes, &batch));
    TRY(flow_batch_check(&batch));
    TRY(flow_batch_unpack(&batch, FLOW_BATCH_UNPACKED_SIZE_MAX, unpacked));
    uint64_t wanted = 0;
    struct flow_record record;
    /* Walked once more than needed for the write: the cost is small beside the copy, and a plug-in
     * in the middle of a file cannot take half a batch back. */
    struct flow_batch_iterator it = flow_batch_records(&batch);
    err_t err = flow_batch_next(&it, &record);
    for (; err_is_ok(err); err = flow_batch_next(&it, &record))
        wanted += record.offset >= offset_min;
    if (!err_is(err, ERR_END))
        return err;
    *out = batch;
    *count = wanted;
    return err_ok();
}

/* Refusals and records are both in the order of offsets: one walk finds all. */
static err_t add_letters(struct sinks_write *write, const struct flow_batch *batch,
                         const struct sinks_result *result)
{
    size_t size_before = write->letters->bytes.size;
    struct flow_batch_iterator it = flow_batch_records(batch);
    for (size_t i = 0; i < result->refusal_count; i++) {
        const struct sinks_refusal *refusal = &result->refusals[i];
        struct flow_record record = {.offset = -1};
        while (record.offset < refusal->offset) {
            err_t err = flow_batch_next(&it, &record);
            ASSERT(err_is_ok(err));
        }
        TRY(sinks_letter_add(write->letters, &write->about, &record, refusal));
    }
    write->letters_size += write->letters->bytes.size - size_before;
    return err_ok();
}

static err_t write_batch(struct sinks_call *call, const struct flow_batch *checked, uint64_t count)
{
    struct sinks_write *write = &call->write;
    struct sinks_batch batch = {
        .topic = write->about.topic,
        .topic_id = write->topic_id,
        .partition = write->about.partition,
        .offset_min = write->next_offset,
        .batch = *checked,
    };
    struct sinks_result result = {0};
    err_t err = call->plugin->write(call->instance, &batch, &result, &call->why);
    if (err_is_ok(err)) {
        /* The one sum that a plug-in's mistakes would break: a record that it forgot would be
         * pending for ever in the ledger, and gone in truth. */
        ASSERT(result.delivered + result.refusal_count == count);
        if (result.refusal_count)
            err = add_letters(write, checked, &result);
        write->delivered += result.delivered;
        write->dead_lettered += result.refusal_count;
        write->roll = write->roll || result.roll;
    }
    sinks_result_done(&result);
    return err;
}

static err_t write_batches(struct sinks_call *call)
{
    struct sinks_write *write = &call->write;
    for (uint32_t i = 0; i < write->batch_count; i++) {
        struct flow_batch batch;
        uint64_t count = 0;
        err_t err =
            check_batch(write->batches[i], write->next_offset, &call->unpacked, &batch, &count);
        /* Nothing is known about the batch then. */
        if (err_is(err, ERR_MEMORY))
            return err;
        /* Bit rot, or what somebody wrote by hand: this partition waits for an operator, the others
         * go on. */
        if (!err_is_ok(err)) {
            write->unreadable =
                err_set(&call->why, err.code, "%s %u at offset %" PRIi64 ": %s", write->about.topic,
                        write->about.partition, write->next_offset, err_string(err));
            return err_ok();
        }
        if (count)
            TRY(write_batch(call, &batch, count));
        /* Behind the batch and not behind its last record: offsets may have been taken out of its
         * end. */
        int64_t end = batch.base_offset + batch.last_offset_delta + 1;
        write->next_offset = end > write->next_offset ? end : write->next_offset;
    }
    return err_ok();
}

static err_t write_letter(struct sinks_call *call, struct flow_redelivery_letter *letter,
                          bool *roll)
{
    const struct flow_redelivery *redelivery = call->redelivery;
    struct sinks_batch batch = {
        .topic = redelivery->topic,
        .topic_id = redelivery->topic_id,
        .partition = letter->partition,
        .offset_min = letter->offset,
        .redriven = true,
    };
    struct slice bytes = slice_sub(buf_slice(&redelivery->bytes), letter->at, letter->size);
    uint64_t count = 0;
    TRY(check_batch(bytes, letter->offset, &call->unpacked, &batch.batch, &count));
    struct sinks_result result = {0};
    err_t err = call->plugin->write(call->instance, &batch, &result, &call->why);
    if (err_is_ok(err)) {
        ASSERT(count == 1 && result.delivered + result.refusal_count == 1);
        letter->refused = result.refusal_count > 0;
        call->redelivered += !letter->refused;
        *roll = result.roll;
    }
    sinks_result_done(&result);
    return err;
}

/* A refusal makes no new letter: the one that is there stays. */
static err_t write_letters(struct sinks_call *call)
{
    struct flow_redelivery *redelivery = call->redelivery;
    bool roll = false;
    ASSERT(redelivery->count > 0);
    call->redelivered = 0;
    for (redelivery->taken = 0; redelivery->taken < redelivery->count && !roll; redelivery->taken++)
        TRY(write_letter(call, &redelivery->letters[redelivery->taken], &roll));
    return err_ok();
}

void sinks_call_work(struct io_job *job)
{
    struct sinks_call *call = CONTAINER_OF(job, struct sinks_call, job);
    const struct sinks_plugin *plugin = call->plugin;
    ASSERT((call->verb == SINKS_VERB_OPEN) == (call->instance == NULL));
    call->error = err_ok();
    /* On the worker's thread. The runner touches nothing of the call until `done`, so nothing is
     * locked. */
    call->why = (struct err_text){0};
    switch (call->verb) {
    case SINKS_VERB_OPEN:
        call->error = plugin->open(&call->open, &call->instance, &call->why);
        break;
    case SINKS_VERB_WRITE:
        call->error = write_batches(call);
        if (call->unpacked.capacity > UNPACKED_KEPT)
            buf_done(&call->unpacked);
        break;
    case SINKS_VERB_REDRIVE: call->error = write_letters(call); break;
    case SINKS_VERB_PREPARE:
        call->error = plugin->prepare(call->instance, call->epoch, call->ranges, call->range_count,
                                      call->outputs, &call->why);
        break;
    case SINKS_VERB_PUBLISH:
        call->error = plugin->publish(call->instance, buf_slice(call->outputs), &call->why);
        break;
    case SINKS_VERB_DISCARD: plugin->discard(call->instance); break;
    case SINKS_VERB_CLOSE:
        plugin->close(call->instance);
        call->instance = NULL;
        buf_done(&call->unpacked);
        break;
    default: UNREACHABLE("no such verb");
    }
}
