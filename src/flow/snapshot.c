#include "flow/snapshot.h"

#include "base/assert.h"

/*
 * Lookups walk: a snapshot is asked for by people and at starts, and has as many topics as people
 * can name. The balance adds up what was counted in different places; it must never be computed
 * from a difference, or it would hold by definition.
 */

void flow_snapshot_done(struct flow_snapshot *snapshot)
{
    ASSERT(snapshot);
    /* All of it is in the arena: whoever asked frees it in one go, on the loop that asked. */
    arena_done(&snapshot->arena);
    snapshot->topics = NULL;
    snapshot->topic_count = 0;
    snapshot->sinks = NULL;
    snapshot->sink_count = 0;
}

const struct flow_topic_state *flow_snapshot_topic(const struct flow_snapshot *snapshot,
                                                   struct slice name)
{
    ASSERT(snapshot->topics || snapshot->topic_count == 0);
    for (size_t i = 0; i < snapshot->topic_count; i++)
        if (slice_equal_string(name, snapshot->topics[i].name))
            return &snapshot->topics[i];
    return NULL;
}

const struct flow_topic_state *flow_snapshot_topic_by_id(const struct flow_snapshot *snapshot,
                                                         uint32_t id)
{
    ASSERT(snapshot->topics || snapshot->topic_count == 0);
    for (size_t i = 0; i < snapshot->topic_count; i++)
        if (snapshot->topics[i].id == id)
            return &snapshot->topics[i];
    return NULL;
}

const struct flow_sink_state *flow_snapshot_sink(const struct flow_snapshot *snapshot,
                                                 struct slice name)
{
    ASSERT(snapshot->sinks || snapshot->sink_count == 0);
    for (size_t i = 0; i < snapshot->sink_count; i++)
        if (slice_equal_string(name, snapshot->sinks[i].name))
            return &snapshot->sinks[i];
    return NULL;
}

uint32_t flow_settled_place(const struct flow_settled_run *runs, uint32_t count, int64_t offset)
{
    ASSERT(runs || count == 0);
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (runs[middle].end_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t flow_settled_skip(const struct flow_settled *settled, int64_t offset)
{
    uint32_t low = flow_settled_place(settled->runs, settled->count, offset);
    bool inside = low < settled->count && settled->runs[low].first_offset <= offset;
    return inside ? settled->runs[low].end_offset : offset;
}

static bool topic_balanced(const struct flow_topic_state *t)
{
    ASSERT(t->name);
    uint64_t outcomes = t->accepted + t->duplicates + t->dead_lettered + t->refused + t->damaged;
    /* The dead letters' own equation; for a topic that is no DLQ both sides are 0. */
    uint64_t letters =
        t->dlq_held + t->dlq_redriven + t->dlq_purged + t->dlq_expired + t->dlq_damaged;
    return t->received == outcomes && t->dlq_total == letters;
}

/* What a sink was given, by its cursors, is what became of it, by its counters, and what is still
 * to come. */
static bool sink_balanced(const struct flow_sink_state *s)
{
    ASSERT(s->name);
    return s->accepted == s->delivered + s->dead_lettered + s->expired + s->aborted + s->compacted +
                              s->damaged + s->pending;
}

bool flow_snapshot_balanced(const struct flow_snapshot *snapshot)
{
    ASSERT(err_is_ok(snapshot->error));
    for (size_t i = 0; i < snapshot->topic_count; i++)
        if (!topic_balanced(&snapshot->topics[i]))
            return false;
    for (size_t i = 0; i < snapshot->sink_count; i++)
        if (!sink_balanced(&snapshot->sinks[i]))
            return false;
    return true;
}
