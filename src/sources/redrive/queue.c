#include "sources/redrive/redrive_int.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The happy path: a snapshot says where the queue begins and which of its letters are settled; each
 * step is one read, of which the letters that are held are shown and the memory given back at
 * once.
 *
 * Failure modes: retention moves the start between two steps; then the read says so, and the owner
 * learns again. What is settled is only ever settled by the owner or is gone, so that a list that
 * has grown old shows a letter too many at worst, and the log refuses to settle it twice.
 */

bool redrive_queue_init(struct redrive_queue *queue, const struct sources_redrive_options *options,
                        struct slice topic)
{
    *queue = (struct redrive_queue){.loop = options->loop, .log = options->log};
    ASSERT(options->loop && options->log);
    if (topic.size == 0 || topic.size + sizeof REDRIVE_DLQ_SUFFIX > sizeof queue->dlq)
        return false;
    memcpy(queue->topic, topic.data, topic.size);
    int size = snprintf(queue->dlq, sizeof queue->dlq, "%s" REDRIVE_DLQ_SUFFIX, queue->topic);
    return size > 0 && (size_t)size < sizeof queue->dlq;
}

void redrive_queue_done(struct redrive_queue *queue)
{
    ASSERT(queue->settled.runs || queue->settled.count == 0);
    mem_free(queue->settled.runs);
    queue->settled = (struct flow_settled){0};
}

/* The snapshot's arena goes with all topics; the runs stay. */
static err_t keep_settled(struct redrive_queue *queue, const struct flow_settled *from)
{
    struct flow_settled_run *runs = mem_zalloc(from->count + 1u, sizeof *runs);
    ASSERT(from->runs || from->count == 0);
    if (!runs)
        return err_make(ERR_MEMORY);
    if (from->count > 0)
        memcpy(runs, from->runs, from->count * sizeof *runs);
    mem_free(queue->settled.runs);
    queue->settled = (struct flow_settled){runs, from->count};
    return err_ok();
}

static err_t learn(struct redrive_queue *queue, const struct flow_snapshot *snapshot)
{
    TRY(snapshot->error);
    const struct flow_topic_state *topic =
        flow_snapshot_topic(snapshot, slice_string(queue->topic));
    const struct flow_topic_state *dlq = flow_snapshot_topic(snapshot, slice_string(queue->dlq));
    if (!topic || !dlq || dlq->parent_id != topic->id || !dlq->settled)
        return err_make(ERR_NOT_FOUND);
    /* Another queue of the same name, made meanwhile. */
    if (queue->known && queue->dlq_id != dlq->id)
        return err_make(ERR_NOT_FOUND);
    TRY(keep_settled(queue, &dlq->settled[0]));
    ASSERT(dlq->start_offset[0] <= dlq->end_offset[0]);
    queue->topic_id = topic->id;
    queue->dlq_id = dlq->id;
    queue->start = dlq->start_offset[0];
    if (!queue->known)
        queue->end = dlq->end_offset[0];
    queue->known = true;
    queue->held = dlq->dlq_held;
    if (queue->position < queue->start)
        queue->position = queue->start;
    queue->position = flow_settled_skip(&queue->settled, queue->position);
    if (queue->position > queue->end)
        queue->position = queue->end;
    return err_ok();
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct redrive_queue *queue = CONTAINER_OF(snapshot, struct redrive_queue, snapshot);
    err_t err = learn(queue, snapshot);
    ASSERT(queue->learned);
    flow_snapshot_done(snapshot);
    queue->learned(queue, err);
}

void redrive_queue_learn(struct redrive_queue *queue)
{
    ASSERT(queue->learned && queue->dlq[0]);
    queue->snapshot = (struct flow_snapshot){
        .home = queue->loop, .done = snapshot_back, .settled_of = slice_string(queue->dlq)};
    flow_log_snapshot(queue->log, &queue->snapshot);
}

/* False where the owner wants no more. */
static bool show(struct redrive_queue *queue, const struct flow_record *record)
{
    if (record->offset < queue->position)
        return true;
    ASSERT(queue->letter);
    queue->position = record->offset + 1;
    if (redrive_queue_settled(queue, record->offset))
        return true;
    struct flow_letter letter;
    flow_letter_parse(record, &letter);
    return queue->letter(queue, &letter);
}

static err_t show_batch(struct redrive_queue *queue, struct slice bytes, struct buf *unpacked,
                        bool *more)
{
    struct flow_batch batch;
    struct flow_record record;
    TRY(flow_batch_parse(bytes, &batch));
    TRY(flow_batch_unpack(&batch, FLOW_BATCH_UNPACKED_SIZE_MAX, unpacked));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    err_t err = flow_batch_next(&it, &record);
    for (; err_is_ok(err) && *more && record.offset < queue->end;
         err = flow_batch_next(&it, &record))
        *more = show(queue, &record);
    ASSERT(queue->position >= queue->start);
    if (!err_is(err, ERR_END))
        return err;
    /* Behind the last record there may be a hole. */
    int64_t end = batch.base_offset + batch.last_offset_delta + 1;
    if (*more && end > queue->position)
        queue->position = end;
    return err_ok();
}

static void read_back(struct flow_read *read)
{
    struct redrive_queue *queue = CONTAINER_OF(read, struct redrive_queue, read);
    struct buf unpacked = {0};
    err_t err = read->error;
    bool more = true;
    for (uint32_t i = 0; err_is_ok(err) && more && i < read->batch_count; i++) {
        queue->read_bytes += read->batches[i].size;
        err = show_batch(queue, read->batches[i], &unpacked, &more);
    }
    if (err_is_ok(err) && more && read->next_offset > queue->position)
        queue->position = read->next_offset;
    ASSERT(queue->stepped);
    buf_done(&unpacked);
    flow_log_release(queue->log, read);
    if (queue->position > queue->end)
        queue->position = queue->end;
    /* Without waiting for the log to read what is known to be nothing. */
    int64_t next = flow_settled_skip(&queue->settled, queue->position);
    queue->position = next < queue->end ? next : queue->end;
    queue->stepped(queue, err);
}

void redrive_queue_step(struct redrive_queue *queue, uint32_t size_max)
{
    ASSERT(queue->known && queue->letter && queue->stepped && queue->position < queue->end);
    queue->read = (struct flow_read){.home = queue->loop,
                                     .done = read_back,
                                     .topic_id = queue->dlq_id,
                                     .offset = queue->position,
                                     .size_max = size_max};
    flow_log_read(queue->log, &queue->read);
}

bool redrive_queue_settled(const struct redrive_queue *queue, int64_t offset)
{
    ASSERT(queue->known);
    return offset < queue->start || flow_settled_skip(&queue->settled, offset) != offset;
}
