#include "sinks/runner_int.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/assert.h"

/*
 * A lane asks the log for a chunk behind what it wrote last, waits in `ready` for the worker,
 * is written, and asks again: one chunk a lane at any time, so that the lanes' number times the
 * chunk's size bounds the memory. The epoch may end in between; a chunk that is ready then belongs
 * to the next one.
 *
 * Failure modes: a failed epoch calls all lanes back to their cursors, and an answer that comes
 * after that is given back unseen. A read that fails stops its lane alone.
 */

/* A partition that cannot be read waits for an operator or a disk, not for us: asked again
 * seldom. */
#define RETRY_NS (30 * IO_SECOND)

void sinks_lane_release(struct sinks_lane *lane)
{
    struct sinks_runner *runner = lane->runner;
    ASSERT(lane->state == SINKS_LANE_READY || lane->state == SINKS_LANE_WRITING);
    for (uint32_t i = 0; i < lane->read.batch_count; i++)
        runner->held_bytes -= lane->read.batches[i].size;
    list_remove(&lane->link);
    lane->state = SINKS_LANE_IDLE;
    flow_log_release(runner->options.log, &lane->read);
}

void sinks_lane_stop(struct sinks_lane *lane, err_t err, const char *detail)
{
    struct sinks_runner *runner = lane->runner;
    ASSERT(!err_is_ok(err));
    /* Once a reason, not once a try: a partition that is broken for a week must not fill the
     * log. */
    bool news = lane->said.code != err.code && !err_is(err, ERR_CANCELLED);
    lane->stopped = lane->said = err;
    io_timer_start(runner->options.loop, &runner->lane_timer, RETRY_NS);
    if (news)
        logger_write(runner->options.logger, LOG_LEVEL_ERROR, "sink_partition_stopped",
                     "sink %s does not get on with %s partition %u, the others go on: %s",
                     runner->name, lane->topic->name, lane->partition, detail);
}

static void take_batches(struct sinks_lane *lane)
{
    struct sinks_runner *runner = lane->runner;
    const struct flow_read *read = &lane->read;
    ASSERT(!list_linked(&lane->link));
    for (uint32_t i = 0; i < read->batch_count; i++)
        runner->held_bytes += read->batches[i].size;
    lane->state = SINKS_LANE_READY;
    /* Ends only grow here: an answer may be older than what a snapshot has said since. */
    lane->end = read->end_offset > lane->end ? read->end_offset : lane->end;
    list_add_tail(&runner->ready, &lane->link);
}

/* The log's answer. */
static void answered(struct flow_read *read)
{
    struct sinks_lane *lane = CONTAINER_OF(read, struct sinks_lane, read);
    struct sinks_runner *runner = lane->runner;
    ASSERT(lane->state == SINKS_LANE_ASKED && runner->asked > 0);
    runner->asked--;
    /* An answer without batches is a read that was cancelled, or waited for nothing: asked once
     * more. */
    if (!lane->stale && err_is_ok(read->error) && read->batch_count > 0) {
        take_batches(lane);
    } else {
        lane->state = SINKS_LANE_IDLE;
        flow_log_release(runner->options.log, read);
        if (!lane->stale && !err_is_ok(read->error))
            sinks_lane_stop(lane, read->error, err_string(read->error));
        lane->stale = false;
        sinks_lane_ask(lane);
    }
    sinks_runner_pump(runner);
}

void sinks_lane_ask(struct sinks_lane *lane)
{
    struct sinks_runner *runner = lane->runner;
    if (lane->state != SINKS_LANE_IDLE || !err_is_ok(lane->stopped) ||
        runner->state != SINKS_READING || runner->drained ||
        /* A stop has an end of the log to get to, and what comes behind it is the next start's. */
        (runner->stopping && lane->next >= lane->end))
        return;
    ASSERT(!lane->stale && runner->chunk_size > 0);
    lane->state = SINKS_LANE_ASKED;
    lane->read = (struct flow_read){
        .home = runner->options.loop,
        .done = answered,
        .topic_id = lane->topic->id,
        .partition = lane->partition,
        .offset = lane->next,
        .size_max = runner->chunk_size,
        /* Answered when there is something: an idle sink costs nothing. */
        .wait = true,
    };
    runner->asked++;
    flow_log_read(runner->options.log, &lane->read);
}

void sinks_lanes_learn_ends(struct sinks_runner *runner, const struct flow_snapshot *snapshot)
{
    ASSERT(runner->stopping);
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        struct sinks_lane *lane = runner->lanes[i];
        const struct flow_topic_state *topic = flow_snapshot_topic_by_id(snapshot, lane->topic->id);
        if (topic && lane->partition < topic->partition_count &&
            topic->end_offset[lane->partition] > lane->end)
            lane->end = topic->end_offset[lane->partition];
    }
}

bool sinks_lanes_at_end(const struct sinks_runner *runner)
{
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        const struct sinks_lane *lane = runner->lanes[i];
        ASSERT(lane->next >= lane->committed);
        /* A partition that cannot be read must not keep a stop from ending. */
        if (lane->next < lane->end && err_is_ok(lane->stopped))
            return false;
    }
    return true;
}

void sinks_lanes_ask(struct sinks_runner *runner)
{
    ASSERT(runner->lanes || runner->lane_count == 0);
    for (uint32_t i = 0; i < runner->lane_count; i++)
        sinks_lane_ask(runner->lanes[i]);
}

void sinks_lanes_recall(struct sinks_runner *runner)
{
    ASSERT(!runner->calling);
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        struct sinks_lane *lane = runner->lanes[i];
        /* The log still answers a cancelled read; until then its memory is the log's, and the lane
         * stays. */
        if (lane->state == SINKS_LANE_READY || lane->state == SINKS_LANE_WRITING) {
            sinks_lane_release(lane);
        } else if (lane->state == SINKS_LANE_ASKED && !lane->stale) {
            lane->stale = true;
            flow_log_cancel(runner->options.log, &lane->read);
        }
    }
    runner->writing = NULL;
}

static struct sinks_lane *new_lane(struct sinks_runner *runner, const struct sinks_topic *topic)
{
    struct sinks_lane *lane = mem_zalloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    lane->runner = runner;
    lane->topic = topic;
    lane->partition = topic->lane_count;
    flow_batch_builder_init(&lane->letters);
    return lane;
}

/* Grows a table of lanes by one; `lane` may be NULL, a caller without memory. */
static bool push(struct sinks_lane ***table, uint32_t *count, struct sinks_lane *lane)
{
    struct sinks_lane **grown =
        lane ? mem_realloc(*table, *count + 1u, sizeof(struct sinks_lane *)) : NULL;
    if (!grown)
        return false;
    *table = grown;
    grown[(*count)++] = lane;
    return true;
}

static err_t grow_topic(struct sinks_runner *runner, struct sinks_topic *topic,
                        uint32_t partition_count)
{
    while (topic->lane_count < partition_count) {
        struct sinks_lane *lane = new_lane(runner, topic);
        /* The runner's table owns the lane, the topic's only points at it. */
        if (!push(&runner->lanes, &runner->lane_count, lane)) {
            mem_free(lane);
            return err_make(ERR_MEMORY);
        }
        if (!push(&topic->lanes, &topic->lane_count, lane)) {
            runner->lane_count--;
            mem_free(lane);
            return err_make(ERR_MEMORY);
        }
    }
    return err_ok();
}

/* The DLQ is the topic whose parent this one is. */
static void find_dlq(struct sinks_topic *topic, const struct flow_snapshot *snapshot)
{
    topic->dlq_id = 0;
    for (size_t i = 0; i < snapshot->topic_count; i++) {
        if (snapshot->topics[i].parent_id == topic->id) {
            topic->dlq_id = snapshot->topics[i].id;
            topic->dlq_partition_count = snapshot->topics[i].partition_count;
        }
    }
}

/* Back to the committed cursor: what this process has written of an open epoch is discarded, and
 * will be read again. */
static void reset_lane(struct sinks_lane *lane, int64_t cursor, int64_t end)
{
    ASSERT(lane->state == SINKS_LANE_IDLE || lane->stale);
    lane->committed = cursor;
    lane->next = cursor;
    lane->end = end > cursor ? end : cursor;
    lane->delivered = 0;
    lane->dead_lettered = 0;
    flow_batch_builder_done(&lane->letters);
}

static err_t learn_topic(struct sinks_runner *runner, struct sinks_topic *topic,
                         const struct flow_snapshot *snapshot, struct err_text *why)
{
    const struct flow_topic_state *state = flow_snapshot_topic_by_id(snapshot, topic->id);
    if (!state)
        return err_set(why, ERR_NOT_FOUND, "the log has no topic with id %u", topic->id);
    if (!topic->name)
        topic->name = mem_string(state->name, strlen(state->name));
    if (!topic->name)
        return err_make(ERR_MEMORY);
    find_dlq(topic, snapshot);
    /* Partitions may have been raised since the last snapshot; they are never lowered. */
    TRY(grow_topic(runner, topic, state->partition_count));
    for (uint32_t i = 0; i < state->partition_count; i++)
        /* From the beginning, unless one of the cursors below says otherwise. */
        reset_lane(topic->lanes[i], state->start_offset[i], state->end_offset[i]);
    return err_ok();
}

static void learn_cursor(struct sinks_runner *runner, const struct flow_cursor_state *cursor)
{
    for (uint32_t i = 0; i < runner->topic_count; i++) {
        const struct sinks_topic *topic = &runner->topics[i];
        if (topic->id == cursor->topic_id && cursor->partition < topic->lane_count) {
            struct sinks_lane *lane = topic->lanes[cursor->partition];
            reset_lane(lane, cursor->offset, lane->end);
        }
    }
}

/* What a commit may need for all lanes at once, so that none fails half way. */
static err_t make_room(struct sinks_runner *runner)
{
    struct flow_sink_range *ranges =
        mem_realloc(runner->ranges, runner->lane_count, sizeof(*ranges));
    if (!ranges)
        return err_make(ERR_MEMORY);
    runner->ranges = ranges;
    struct flow_append *appends =
        mem_realloc(runner->appends, runner->lane_count, sizeof(*appends));
    if (!appends)
        return err_make(ERR_MEMORY);
    runner->appends = appends;
    return err_ok();
}

err_t sinks_lanes_learn(struct sinks_runner *runner, const struct flow_snapshot *snapshot,
                        const struct flow_sink_state *sink, struct err_text *why)
{
    ASSERT(list_empty(&runner->ready) && runner->topic_count > 0);
    for (uint32_t i = 0; i < runner->topic_count; i++)
        TRY(learn_topic(runner, &runner->topics[i], snapshot, why));
    for (uint32_t i = 0; i < sink->cursor_count; i++)
        learn_cursor(runner, &sink->cursors[i]);
    TRY(make_room(runner));
    /* Every lane may hold one chunk at a time, so the sum stays within the limit; with very many
     * lanes the least chunk wins, which a batch needs to be read at all. */
    uint64_t share = runner->options.memory_limit / runner->lane_count;
    share = share > SINKS_CHUNK_SIZE_MAX ? SINKS_CHUNK_SIZE_MAX : share;
    runner->chunk_size = share < SINKS_CHUNK_SIZE_MIN ? SINKS_CHUNK_SIZE_MIN : (uint32_t)share;
    return err_ok();
}

void sinks_lanes_free(struct sinks_runner *runner)
{
    ASSERT(runner->asked == 0);
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        ASSERT(runner->lanes[i]->state == SINKS_LANE_IDLE);
        flow_batch_builder_done(&runner->lanes[i]->letters);
        mem_free(runner->lanes[i]);
    }
    mem_free(runner->lanes);
    mem_free(runner->ranges);
    mem_free(runner->appends);
}

uint32_t sinks_lanes_ranges(struct sinks_runner *runner)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        const struct sinks_lane *lane = runner->lanes[i];
        ASSERT(lane->next >= lane->committed);
        uint64_t offsets = (uint64_t)(lane->next - lane->committed);
        /* Not equal: offsets that were taken out hold no record. */
        ASSERT(lane->delivered + lane->dead_lettered <= offsets);
        if (offsets == 0)
            continue;
        runner->ranges[count++] = (struct flow_sink_range){
            .topic_id = lane->topic->id,
            .partition = lane->partition,
            .first_offset = lane->committed,
            .end_offset = lane->next,
            .delivered = lane->delivered,
            .dead_lettered = lane->dead_lettered,
        };
    }
    return count;
}

uint32_t sinks_lanes_letters(struct sinks_runner *runner)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        struct sinks_lane *lane = runner->lanes[i];
        ASSERT(lane->letters.record_count == lane->dead_lettered);
        if (lane->dead_lettered == 0)
            continue;
        struct slice batch = flow_batch_builder_finish(&lane->letters);
        runner->appends[count++] = (struct flow_append){
            .topic_id = lane->topic->dlq_id,
            /* Of one partition always the same, so that its dead letters keep their order. */
            .partition = lane->partition % lane->topic->dlq_partition_count,
            .kind = FLOW_APPEND_SINK_LETTERS,
            .record_count = lane->letters.record_count,
            .batch = lane->letters.bytes.data,
            .batch_size = batch.size,
        };
    }
    return count;
}

void sinks_lanes_advance(struct sinks_runner *runner)
{
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        struct sinks_lane *lane = runner->lanes[i];
        ASSERT(lane->state != SINKS_LANE_WRITING);
        /* What is READY was read behind `next` and belongs to the next epoch: it stays. */
        lane->committed = lane->next;
        lane->delivered = 0;
        lane->dead_lettered = 0;
        flow_batch_builder_done(&lane->letters);
    }
}
