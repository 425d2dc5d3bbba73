#include "sources/redrive/redrive_int.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * A sink's letters are gathered into a lot as the job reads, handed over when its step has been
 * read, and come back delivered, refused once more, or as they were. A step waits for its lots like
 * for all else, but not for ever: where other letters could be taken meanwhile, a sink that takes
 * longer than its share is left behind with what it has, and so is one that fails. What is left
 * behind is taken by a further pass over the queue, from where that sink stands.
 *
 * Failure modes: without memory a letter is not gathered and the step fails. A lot that a job does
 * not wait for any more, since it was cancelled or the server stops, is freed when it comes back;
 * the queue knows what became of its letters.
 */

#define PATIENCE_NS (2 * IO_SECOND)
#define LOT_BYTES ((size_t)1 << 20)
#define DELIVERED "sink:"
#define REFUSED "refused:"

struct redrive_lot {
    struct flow_redelivery redelivery;
    struct redrive_job *job; /* NULL: nobody waits for it */
    struct redrive_target *target;
    char topic[FLOW_TOPIC_NAME_MAX + 1];
    struct flow_redelivery_letter letters[REDRIVE_LOT_LETTERS];
    struct flow_sink_range ranges[REDRIVE_LOT_LETTERS];
    uint32_t sizes[REDRIVE_LOT_LETTERS]; /* of the values */
};

/* Behind its answer, whoever waited for it. */
static void lot_free(struct redrive_lot *lot)
{
    ASSERT(lot);
    buf_done(&lot->redelivery.bytes);
    mem_free(lot);
}

err_t redrive_targets_init(struct redrive_job *job)
{
    const struct sources_redrive *redrive = job->redrive;
    ASSERT(!job->targets);
    job->targets = mem_zalloc(redrive->sink_count + 1u, sizeof *job->targets);
    if (!job->targets)
        return err_make(ERR_MEMORY);
    job->target_count = redrive->sink_count;
    for (uint32_t i = 0; i < redrive->sink_count; i++)
        job->targets[i].sink = redrive->sinks[i];
    return err_ok();
}

/* Nobody can say what becomes of what is on its way; the next job finds what is still held. */
void redrive_targets_done(struct redrive_job *job)
{
    ASSERT(job->targets || job->target_count == 0);
    for (uint32_t i = 0; i < job->target_count; i++) {
        struct redrive_target *target = &job->targets[i];
        struct redrive_lot *lot = target->lot;
        if (!lot)
            continue;
        if (target->under_way) {
            for (uint32_t k = 0; k < lot->redelivery.count; k++)
                flow_letters_count(&job->state.outcomes, SLICE_LITERAL("unknown"), lot->sizes[k]);
            lot->job = NULL;
            target->sink->cancel(target->sink, &lot->redelivery);
        } else {
            lot_free(lot);
        }
    }
    mem_free(job->targets);
    job->targets = NULL;
    job->target_count = 0;
    job->in_flight = 0;
}

/* A walk: a configuration has as many sinks as people write down. */
struct redrive_target *redrive_target_find(const struct redrive_job *job, struct slice name)
{
    ASSERT(job->targets);
    for (uint32_t i = 0; i < job->target_count; i++) {
        if (slice_equal_string(name, job->targets[i].sink->name))
            return &job->targets[i];
    }
    return NULL;
}

/* By sink, since who has mended one of them wants to see that one. */
void redrive_target_count(struct redrive_job *job, const struct redrive_target *target,
                          bool delivered, uint64_t bytes)
{
    char name[FLOW_LETTERS_REASON_SIZE];
    ASSERT(target->sink->name[0]);
    (void)snprintf(name, sizeof name, "%s%s", delivered ? DELIVERED : REFUSED, target->sink->name);
    flow_letters_count(&job->state.outcomes, slice_string(name), bytes);
}

/* The record as it was: without the headers that made a letter of it. */
static err_t add_record(struct redrive_lot *lot, const struct flow_letter *letter)
{
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    err_t err = flow_batch_builder_add_record(&builder, &letter->original, NULL, 0);
    struct buf *bytes = &lot->redelivery.bytes;
    ASSERT(lot->redelivery.count < REDRIVE_LOT_LETTERS);
    struct flow_redelivery_letter *added = &lot->letters[lot->redelivery.count];
    if (err_is_ok(err)) {
        struct slice batch = flow_batch_builder_finish(&builder);
        flow_batch_set_base_offset(builder.bytes.data, letter->offset);
        *added = (struct flow_redelivery_letter){.letter_offset = letter->record->offset,
                                                 .partition = letter->partition,
                                                 .offset = letter->offset,
                                                 .at = bytes->size,
                                                 .size = batch.size};
        buf_add_slice(bytes, batch);
        err = buf_error(bytes);
    }
    flow_batch_builder_done(&builder);
    return err;
}

static void lot_back(struct flow_redelivery *redelivery);

/* With a copy of the topic's name: it may outlive the job. */
static struct redrive_lot *lot_new(struct redrive_job *job, struct redrive_target *target)
{
    struct redrive_lot *lot = mem_zalloc(1, sizeof *lot);
    const struct redrive_queue *queue = &job->queue;
    if (!lot)
        return NULL;
    ASSERT(queue->known && queue->topic_id > 0);
    lot->job = job;
    lot->target = target;
    memcpy(lot->topic, queue->topic, sizeof lot->topic);
    lot->redelivery = (struct flow_redelivery){.done = lot_back,
                                               .topic = lot->topic,
                                               .topic_id = queue->topic_id,
                                               .dlq_id = queue->dlq_id,
                                               .letters = lot->letters,
                                               .ranges = lot->ranges};
    return lot;
}

err_t redrive_target_add(struct redrive_job *job, struct redrive_target *target,
                         const struct flow_letter *letter, bool *full)
{
    ASSERT(!target->under_way && !target->behind);
    if (!target->lot)
        target->lot = lot_new(job, target);
    struct redrive_lot *lot = target->lot;
    if (!lot)
        return err_make(ERR_MEMORY);
    TRY(add_record(lot, letter));
    lot->sizes[lot->redelivery.count++] = (uint32_t)letter->record->value.size;
    *full = lot->redelivery.count == REDRIVE_LOT_LETTERS || lot->redelivery.bytes.size >= LOT_BYTES;
    return err_ok();
}

void redrive_targets_send(struct redrive_job *job)
{
    bool any = false;
    for (uint32_t i = 0; i < job->target_count; i++) {
        struct redrive_target *target = &job->targets[i];
        if (!target->lot || target->under_way)
            continue;
        /* Without memory the first letter was not gathered. */
        if (target->lot->redelivery.count == 0) {
            lot_free(target->lot);
            target->lot = NULL;
            continue;
        }
        ASSERT(!target->behind);
        target->under_way = any = true;
        job->outstanding++;
        job->in_flight += target->lot->redelivery.count;
        target->sink->take(target->sink, &target->lot->redelivery);
    }
    if (any)
        redrive_targets_hurry(job);
}

/* Also for a job that is cancelled: it would otherwise end when its slowest sink likes. */
void redrive_targets_hurry(struct redrive_job *job)
{
    ASSERT(job->patience.run);
    io_timer_start(job->redrive->options.loop, &job->patience, PATIENCE_NS);
}

/* What the log refuses and no further try can help. Letters that are settled or gone are not that:
 * the queue is learned anew and does without them. */
static bool is_final(err_t err)
{
    ASSERT(!err_is_ok(err));
    return !err_retriable(err) && !err_is(err, ERR_CANCELLED) && !err_is(err, ERR_OFFSET_RANGE);
}

/* Letters that are refused once more are passed like those that were taken: the next job tries
 * them. */
static void count_lot(struct redrive_job *job, struct redrive_target *target,
                      const struct redrive_lot *lot)
{
    const struct flow_redelivery *redelivery = &lot->redelivery;
    ASSERT(redelivery->taken > 0 && redelivery->taken <= redelivery->count);
    for (uint32_t i = 0; i < redelivery->taken; i++) {
        bool delivered = !lot->letters[i].refused;
        redrive_target_count(job, target, delivered, lot->sizes[i]);
        job->state.done += delivered;
        job->state.done_bytes += delivered ? lot->sizes[i] : 0;
        job->state.refused += !delivered;
    }
    target->rest = redelivery->taken < redelivery->count;
    target->next = target->rest ? lot->letters[redelivery->taken].letter_offset
                                : lot->letters[redelivery->count - 1].letter_offset + 1;
    target->failing = false;
    job->sink_failures = 0;
}

static void lot_back(struct flow_redelivery *redelivery)
{
    struct redrive_lot *lot = CONTAINER_OF(redelivery, struct redrive_lot, redelivery);
    struct redrive_job *job = lot->job;
    struct redrive_target *target = lot->target;
    err_t err = redelivery->error;
    if (!job) {
        lot_free(lot);
        return;
    }
    ASSERT(target->under_way && target->lot == lot);
    target->under_way = false;
    target->lot = NULL;
    job->in_flight -= redelivery->count;
    /* Left behind, it was not waited for: that it is back changes nothing for the step. */
    bool waited = !target->behind;
    if (err_is_ok(err)) {
        count_lot(job, target, lot);
    } else {
        target->next = lot->letters[0].letter_offset;
        target->failing = target->behind = true;
        (void)snprintf(job->sink_why, sizeof job->sink_why, "%.*s", (int)(sizeof job->sink_why - 1),
                       redelivery->why.text);
        if (is_final(err))
            job->fatal = err;
    }
    lot_free(lot);
    redrive_job_lot_back(job, waited);
}

bool redrive_targets_leave(struct redrive_job *job)
{
    const struct redrive_queue *queue = &job->queue;
    int64_t looked = job->main_next > queue->position ? job->main_next : queue->position;
    bool others = looked < queue->end;
    ASSERT(looked <= queue->end);
    for (uint32_t i = 0; i < job->target_count; i++) {
        const struct redrive_target *target = &job->targets[i];
        others = others || (!target->under_way && !target->behind && target->next < queue->end);
    }
    /* Then there is nothing better to do than to wait. */
    if (!others && !job->cancelled)
        return false;
    for (uint32_t i = 0; i < job->target_count; i++) {
        struct redrive_target *target = &job->targets[i];
        if (!target->under_way || target->behind)
            continue;
        target->behind = true;
        ASSERT(job->outstanding > 0);
        job->outstanding--;
    }
    return true;
}

void redrive_targets_advance(struct redrive_job *job)
{
    struct redrive_queue *queue = &job->queue;
    int64_t read = queue->position;
    job->main_next = read > job->main_next ? read : job->main_next;
    for (uint32_t i = 0; i < job->target_count; i++) {
        struct redrive_target *target = &job->targets[i];
        ASSERT(!target->lot || target->behind);
        if (target->behind)
            continue;
        /* What an epoch had no room for comes at once; the others know that they have seen what
         * is read again. */
        if (target->rest && target->next < queue->position)
            queue->position = target->next;
        else if (!target->rest && target->next < read)
            target->next = read;
        target->rest = false;
    }
}

/* Also before the queue's end, when nobody is left who would take what comes there. */
bool redrive_targets_pass_over(const struct redrive_job *job)
{
    const struct redrive_queue *queue = &job->queue;
    ASSERT(queue->known);
    if (queue->position >= queue->end)
        return true;
    bool over = job->main_next >= queue->end;
    for (uint32_t i = 0; over && i < job->target_count; i++)
        over = job->targets[i].behind || job->targets[i].next >= queue->end;
    return over;
}

/* What can be done at once goes first, and a sink that works before one that fails. */
enum redrive_left redrive_targets_left(const struct redrive_job *job)
{
    bool failing = false;
    bool under_way = false;
    ASSERT(job->targets || job->target_count == 0);
    for (uint32_t i = 0; i < job->target_count; i++) {
        const struct redrive_target *target = &job->targets[i];
        if (target->behind && !target->under_way && !target->failing)
            return REDRIVE_LEFT_READY;
        failing = failing || (target->behind && target->failing && !target->under_way);
        under_way = under_way || target->under_way;
    }
    return failing ? REDRIVE_LEFT_FAILING : under_way ? REDRIVE_LEFT_AWAITED : REDRIVE_LEFT_NOTHING;
}

/* Those whose lot is still out stay behind for this pass too. */
void redrive_targets_begin_pass(struct redrive_job *job)
{
    struct redrive_queue *queue = &job->queue;
    int64_t from = queue->end;
    for (uint32_t i = 0; i < job->target_count; i++) {
        struct redrive_target *target = &job->targets[i];
        if (!target->behind || target->under_way)
            continue;
        target->behind = target->failing = target->rest = false;
        from = target->next < from ? target->next : from;
    }
    ASSERT(from >= 0);
    queue->position = from > queue->start ? from : queue->start;
}
