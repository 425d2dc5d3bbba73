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
 * after that is given back unseen. A read that fails stops its lane alone. A lane whose records
 * were deleted under it is lost until a snapshot says where its cursor stands; one that says the
 * same as before would only bring the same answer, and the lane is stopped like others.
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

/* What is not there any more will not come by waiting for it. */
static void read_failed(struct sinks_lane *lane, err_t err)
{
    ASSERT(!err_is_ok(err));
    if (!err_is(err, ERR_OFFSET_RANGE) && !err_is(err, ERR_NOT_FOUND)) {
        sinks_lane_stop(lane, err, err_string(err));
        return;
    }
    lane->lost = err;
    lane->runner->lost = true;
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
            read_failed(lane, read->error);
        lane->stale = false;
        sinks_lane_ask(lane);
    }
    sinks_runner_pump(runner);
}

void sinks_lane_ask(struct sinks_lane *lane)
{
    struct sinks_runner *runner = lane->runner;
    if (lane->state != SINKS_LANE_IDLE || !err_is_ok(lane->stopped) || !err_is_ok(lane->lost) ||
        lane->topic->gone || runner->state != SINKS_READING || runner->drained ||
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
