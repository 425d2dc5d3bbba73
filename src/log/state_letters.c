#include "log/state_int.h"

#include "base/assert.h"

/*
 * A dead letter is held until it is settled, expires or is written off. It is settled by an entry
 * of its own, where what became of it is in the same frame; or by the end of an epoch that hands it
 * to its sink once more. Such an epoch has its letters from the moment it is prepared: what the
 * sink has made of them may be in place already, so nobody else may settle them, and they stay
 * until it has ended. The same entry that settles them takes them from what the sink has
 * dead-lettered to what it has delivered, so that all equations hold at every moment.
 *
 * Failure modes: what cannot be settled is refused when a commit is composed, and is damage where
 * an entry says it.
 */

/* Whether an epoch of another sink than `except` has one of the letters. */
static bool on_their_way(const struct log_state *state, const struct log_sink *except,
                         const struct flow_settle *settle)
{
    ASSERT(state->sinks || state->sink_count == 0);
    for (uint32_t s = 0; s < state->sink_count; s++) {
        const struct log_sink *sink = state->sinks[s];
        for (uint32_t i = 0; sink != except && sink->redrives && i < sink->range_count; i++) {
            const struct flow_sink_range *range = &sink->ranges[i];
            if (range->topic_id == settle->topic_id && range->partition == settle->partition &&
                range->first_offset < settle->end_offset &&
                settle->first_offset < range->end_offset)
                return true;
        }
    }
    return false;
}

/* Of letters that are prepared for `sink` itself it may be told that they are. */
static err_t may_settle(const struct log_state *state, const struct flow_settle *settle,
                        const struct log_sink *sink)
{
    const struct log_topic *topic = log_state_topic(state, settle->topic_id);
    const struct log_partition *partition =
        log_state_partition(state, settle->topic_id, settle->partition);
    ASSERT(topic || !partition);
    if (!partition)
        return err_make(ERR_NOT_FOUND);
    if (topic->parent_id == 0 || settle->first_offset >= settle->end_offset ||
        settle->record_count == 0 ||
        settle->record_count > (uint64_t)(settle->end_offset - settle->first_offset))
        return err_make(ERR_INVALID);
    bool held =
        settle->first_offset >= partition->start_offset &&
        settle->end_offset <= partition->end_offset &&
        !log_settled_overlaps(&partition->settled, settle->first_offset, settle->end_offset) &&
        settle->record_count <=
            partition->records - partition->records_start - partition->settled.records;
    if (!held)
        return err_make(ERR_OFFSET_RANGE);
    return err_make(on_their_way(state, sink, settle) ? ERR_BUSY : ERR_OK);
}

err_t log_state_may_settle(const struct log_state *state, const struct flow_settle *settle)
{
    ASSERT(settle);
    return may_settle(state, settle, NULL);
}

static err_t settle_letters(struct log_state *state, const struct flow_settle *settle)
{
    struct log_topic *topic = log_state_topic(state, settle->topic_id);
    struct log_partition *partition =
        log_state_partition(state, settle->topic_id, settle->partition);
    ASSERT(topic && partition);
    TRY(log_settled_add(&partition->settled,
                        &(struct flow_settled_run){settle->first_offset, settle->end_offset,
                                                   settle->record_count}));
    bool redriven = settle->kind == FLOW_SETTLE_REDRIVEN;
    *(redriven ? &topic->letters.redriven : &topic->letters.purged) += settle->record_count;
    return err_ok();
}

err_t log_state_settle(struct log_state *state, const struct flow_settle *settle)
{
    ASSERT(settle->kind == FLOW_SETTLE_REDRIVEN || settle->kind == FLOW_SETTLE_PURGED);
    if (!err_is_ok(log_state_may_settle(state, settle)))
        return err_make(ERR_CORRUPT);
    return settle_letters(state, settle);
}

/* A range of an epoch as what its end makes of it. */
static struct flow_settle settle_of(const struct flow_sink_range *range)
{
    ASSERT(range->delivered <= UINT32_MAX);
    return (struct flow_settle){.topic_id = range->topic_id,
                                .partition = range->partition,
                                .kind = FLOW_SETTLE_REDRIVEN,
                                .record_count = (uint32_t)range->delivered,
                                .first_offset = range->first_offset,
                                .end_offset = range->end_offset};
}

err_t log_state_may_redrive(const struct log_state *state, const struct log_sink *sink,
                            const struct flow_sink_range *ranges, uint32_t count)
{
    uint64_t records = 0;
    ASSERT(ranges || count == 0);
    for (uint32_t i = 0; i < count; i++) {
        const struct flow_sink_range *range = &ranges[i];
        const struct flow_sink_range *last = i > 0 ? range - 1 : NULL;
        bool rises =
            !last || last->topic_id < range->topic_id ||
            (last->topic_id == range->topic_id &&
             (last->partition < range->partition ||
              (last->partition == range->partition && last->end_offset <= range->first_offset)));
        if (!rises || range->dead_lettered > 0 || range->delivered > UINT32_MAX)
            return err_make(ERR_INVALID);
        /* fsck has written off all that was in it, and the rest of its epoch still ends. */
        if (range->delivered == 0)
            continue;
        struct flow_settle settle = settle_of(range);
        TRY(may_settle(state, &settle, sink));
        records += range->delivered;
    }
    /* What a sink never refused it cannot be given again. */
    return err_make(records <= sink->dead_lettered ? ERR_OK : ERR_INVALID);
}

/* A walk over all sinks, once a commit that settles: they are few, and so are their ranges. */
uint32_t log_state_redriving_count(const struct log_state *state, uint32_t topic_id,
                                   uint32_t partition)
{
    uint32_t count = 0;
    ASSERT(state->sinks || state->sink_count == 0);
    for (uint32_t s = 0; s < state->sink_count; s++) {
        const struct log_sink *sink = state->sinks[s];
        for (uint32_t i = 0; sink->redrives && i < sink->range_count; i++)
            count += sink->ranges[i].topic_id == topic_id && sink->ranges[i].partition == partition;
    }
    return count;
}

err_t log_state_redriven(struct log_state *state, struct log_sink *sink)
{
    ASSERT(sink->prepared && sink->redrives);
    for (uint32_t i = 0; i < sink->range_count; i++) {
        struct flow_settle settle = settle_of(&sink->ranges[i]);
        if (settle.record_count == 0)
            continue;
        if (!err_is_ok(may_settle(state, &settle, sink)) ||
            sink->dead_lettered < settle.record_count)
            return err_make(ERR_CORRUPT);
        TRY(settle_letters(state, &settle));
        sink->dead_lettered -= settle.record_count;
        sink->delivered += settle.record_count;
    }
    return err_ok();
}

static int compare_runs(const void *a, const void *b)
{
    const struct flow_settled_run *left = a;
    const struct flow_settled_run *right = b;
    return (left->first_offset > right->first_offset) - (left->first_offset < right->first_offset);
}

/* Behind the settled runs of the partition those that are on their way to a sink. */
static void add_redriving(const struct log_state *state, const struct log_topic *topic,
                          uint32_t partition, struct flow_settled *to)
{
    uint32_t before = to->count;
    ASSERT(to->runs);
    for (uint32_t s = 0; s < state->sink_count; s++) {
        const struct log_sink *sink = state->sinks[s];
        for (uint32_t i = 0; sink->redrives && i < sink->range_count; i++) {
            const struct flow_sink_range *range = &sink->ranges[i];
            if (range->topic_id == topic->id && range->partition == partition)
                to->runs[to->count++] = (struct flow_settled_run){
                    range->first_offset, range->end_offset, range->delivered};
        }
    }
    if (to->count > before)
        qsort(to->runs, to->count, sizeof *to->runs, compare_runs);
    /* Whoever skips a run looks at one, so those that touch become one. */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < to->count; i++) {
        struct flow_settled_run *last = kept > 0 ? &to->runs[kept - 1] : NULL;
        if (last && last->end_offset == to->runs[i].first_offset) {
            last->end_offset = to->runs[i].end_offset;
            last->record_count += to->runs[i].record_count;
        } else {
            to->runs[kept++] = to->runs[i];
        }
    }
    to->count = kept;
}

err_t log_state_snapshot_settled(const struct log_state *state, const struct log_topic *topic,
                                 struct arena *arena, struct flow_topic_state *out)
{
    ASSERT(topic->partition_count > 0);
    out->settled = arena_alloc(arena, topic->partition_count * sizeof *out->settled);
    for (uint32_t i = 0; out->settled && i < topic->partition_count; i++) {
        const struct log_settled *from = &topic->partitions[i].settled;
        struct flow_settled *to = &out->settled[i];
        size_t room = from->count + 1u + log_state_redriving_count(state, topic->id, i);
        *to = (struct flow_settled){.count = from->count};
        to->runs = arena_alloc(arena, room * sizeof *to->runs);
        if (!to->runs)
            return err_make(ERR_MEMORY);
        if (from->count > 0)
            memcpy(to->runs, from->runs, from->count * sizeof *to->runs);
        add_redriving(state, topic, i, to);
    }
    return err_make(out->settled ? ERR_OK : ERR_MEMORY);
}
