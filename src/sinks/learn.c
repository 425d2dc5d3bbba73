#include "sinks/runner_int.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/assert.h"

/*
 * What a snapshot says is taken over: topics and their DLQs, a lane a partition, the cursors, how
 * many records expired, whether an epoch is prepared. Whatever this process believed before is
 * overwritten.
 *
 * Failure modes: without memory what was made so far stays, and the next snapshot finds it. A topic
 * that is not there any more is left alone with its lanes. A lane that was lost, or an epoch that
 * was refused, must be explained by what has moved; where nothing has, the same would only happen
 * again, and that is told to the runner as a failure or stops the lane.
 */

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

bool sinks_learn_topics(struct sinks_runner *runner, const struct flow_snapshot *snapshot)
{
    bool changed = false;
    ASSERT(runner->topic_count > 0);
    for (uint32_t i = 0; i < runner->topic_count; i++) {
        struct sinks_topic *topic = &runner->topics[i];
        bool gone = !flow_snapshot_topic_by_id(snapshot, topic->id);
        if (gone && !topic->gone)
            logger_write(runner->options.logger, LOG_LEVEL_WARNING, "sink_topic_deleted",
                         "sink %s: topic %s (id %u) was deleted; what was not delivered of it "
                         "counts as expired",
                         runner->name, topic->name ? topic->name : "without a name", topic->id);
        changed = changed || gone != topic->gone;
        topic->gone = gone;
    }
    return changed;
}

uint32_t sinks_learn_topic_ids(struct sinks_runner *runner)
{
    uint32_t count = 0;
    ASSERT(runner->topic_ids);
    for (uint32_t i = 0; i < runner->topic_count; i++) {
        if (!runner->topics[i].gone)
            runner->topic_ids[count++] = runner->topics[i].id;
    }
    return count;
}

static err_t learn_topic(struct sinks_runner *runner, struct sinks_topic *topic,
                         const struct flow_snapshot *snapshot)
{
    if (topic->gone) {
        for (uint32_t i = 0; i < topic->lane_count; i++)
            reset_lane(topic->lanes[i], topic->lanes[i]->committed, 0);
        return err_ok();
    }
    const struct flow_topic_state *state = flow_snapshot_topic_by_id(snapshot, topic->id);
    ASSERT(state);
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
        if (topic->id == cursor->topic_id && !topic->gone &&
            cursor->partition < topic->lane_count) {
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

/* Whether any lane has another place than before; what was lost is found again, or stopped. */
static bool find_lost(struct sinks_runner *runner)
{
    bool moved = false;
    ASSERT(runner->lanes || runner->lane_count == 0);
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        struct sinks_lane *lane = runner->lanes[i];
        err_t lost = lane->lost;
        bool same = lane->committed == lane->known;
        moved = moved || !same;
        lane->lost = err_ok();
        if (!err_is_ok(lost) && same && !lane->topic->gone)
            sinks_lane_stop(lane, lost, err_string(lost));
    }
    return moved;
}

static err_t learn_lanes(struct sinks_runner *runner, const struct flow_snapshot *snapshot,
                         const struct flow_sink_state *sink, bool *moved)
{
    ASSERT(list_empty(&runner->ready) && runner->topic_count > 0);
    bool gone = sinks_learn_topics(runner, snapshot);
    for (uint32_t i = 0; i < runner->lane_count; i++)
        runner->lanes[i]->known = runner->lanes[i]->committed;
    for (uint32_t i = 0; i < runner->topic_count; i++)
        TRY(learn_topic(runner, &runner->topics[i], snapshot));
    for (uint32_t i = 0; i < sink->cursor_count; i++)
        learn_cursor(runner, &sink->cursors[i]);
    TRY(make_room(runner));
    *moved = find_lost(runner) || gone;
    /* All topics may be gone: then there is nothing to share out. */
    if (runner->lane_count == 0)
        return err_ok();
    /* Every lane may hold one chunk at a time, so the sum stays within the limit; with very many
     * lanes the least chunk wins, which a batch needs to be read at all. */
    uint64_t share = runner->options.memory_limit / runner->lane_count;
    share = share > SINKS_CHUNK_SIZE_MAX ? SINKS_CHUNK_SIZE_MAX : share;
    runner->chunk_size = share < SINKS_CHUNK_SIZE_MIN ? SINKS_CHUNK_SIZE_MIN : (uint32_t)share;
    return err_ok();
}

/* Told with the snapshot that shows it and at no other time, so once. What expired before this
 * process began is in the ledger. */
static void learn_expired(struct sinks_runner *runner, uint64_t expired)
{
    ASSERT(runner->sink_id > 0);
    if (runner->learned && expired > runner->expired) {
        logger_write(runner->options.logger, LOG_LEVEL_WARNING, "sink_expired",
                     "sink %s: %" PRIu64 " records were deleted before it delivered them, by "
                     "retention or by hand; it goes on behind them",
                     runner->name, expired - runner->expired);
        /* Or an epoch that takes longer than records live would never come to its end. */
        runner->hurries = true;
    }
    runner->expired = expired;
    runner->learned = true;
}

err_t sinks_learn(struct sinks_runner *runner, const struct flow_snapshot *snapshot,
                  struct err_text *why)
{
    ASSERT(runner->sink_id > 0);
    err_t refused = runner->refused;
    runner->refused = err_ok();
    TRY(snapshot->error);
    const struct flow_sink_state *sink = flow_snapshot_sink(snapshot, slice_string(runner->name));
    if (!sink)
        return err_set(why, ERR_NOT_FOUND, "the log has no sink called %s", runner->name);
    bool moved = false;
    TRY(learn_lanes(runner, snapshot, sink, &moved));
    runner->lost = false;
    learn_expired(runner, sink->expired);
    if (!err_is_ok(refused) && !moved) {
        /* It is the epoch that fails, again and again perhaps, though this step goes well. */
        if (runner->failed_state < SINKS_SEALING)
            runner->failed_state = SINKS_SEALING;
        return err_set(why, (enum err_code)refused.code, "the log refuses the epoch: %s",
                       err_string(refused));
    }
    buf_reset(&runner->outputs);
    buf_add_slice(&runner->outputs, sink->outputs);
    TRY(buf_error(&runner->outputs));
    runner->epoch = sink->epoch;
    /* To be finished as it was prepared, whatever has changed since: its files may be in place
     * already. */
    runner->recovered = sink->prepared;
    return err_ok();
}
