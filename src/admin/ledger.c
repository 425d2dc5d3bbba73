#include "admin/ledger.h"

#include "base/assert.h"

/*
 * The ledger as JSON, in the order of the snapshot, one section a line, so that it reads in a
 * terminal as well. Every term of an equation is written, also when it is 0: a reader adds up what
 * is there and needs no rule for what is not.
 *
 * `balanced` is computed from the same snapshot as the numbers, never remembered. Memory that runs
 * out is latched in the buffer, and its owner answers with an error.
 */

/* One number of a row; the first of a row has no comma before it. */
static void add_term(struct buf *out, bool *first, const char *name, uint64_t value)
{
    buf_add_format(out, "%s\"%s\":", *first ? "" : ",", name);
    buf_add_u64(out, value);
    *first = false;
}

static void begin_row(struct buf *out, bool *first, const char *name)
{
    if (!*first)
        buf_add_byte(out, ',');
    *first = false;
    buf_add_json_string(out, slice_string(name));
    buf_add_string(out, ":{");
}

static void add_topic(struct buf *out, const struct flow_topic_state *topic, bool *first_row)
{
    bool first = true;
    begin_row(out, first_row, topic->name);
    add_term(out, &first, "received", topic->received);
    add_term(out, &first, "accepted", topic->accepted);
    add_term(out, &first, "duplicates", topic->duplicates);
    add_term(out, &first, "dead_lettered", topic->dead_lettered);
    add_term(out, &first, "refused", topic->refused);
    add_term(out, &first, "damaged", topic->damaged);
    buf_add_byte(out, '}');
}

/* A DLQ's row stands under the name of the topic whose dead letters it holds. */
static void add_dlq(struct buf *out, const struct flow_snapshot *snapshot,
                    const struct flow_topic_state *dlq, bool *first_row)
{
    const struct flow_topic_state *topic = flow_snapshot_topic_by_id(snapshot, dlq->parent_id);
    /* A DLQ is created behind its topic and deleted before it. */
    ASSERT(topic);
    bool first = true;
    begin_row(out, first_row, topic->name);
    add_term(out, &first, "dead_lettered", dlq->dlq_total);
    add_term(out, &first, "held", dlq->dlq_held);
    add_term(out, &first, "redriven", dlq->dlq_redriven);
    add_term(out, &first, "purged", dlq->dlq_purged);
    add_term(out, &first, "expired", dlq->dlq_expired);
    add_term(out, &first, "damaged", dlq->dlq_damaged);
    buf_add_byte(out, '}');
}

static void add_sink(struct buf *out, const struct flow_snapshot *snapshot,
                     const struct flow_sink_state *sink, bool *first_row)
{
    begin_row(out, first_row, sink->name);
    ASSERT(sink->topic_ids || sink->topic_count == 0);
    buf_add_string(out, "\"topics\":[");
    bool first = true;
    for (uint32_t i = 0; i < sink->topic_count; i++) {
        const struct flow_topic_state *topic =
            flow_snapshot_topic_by_id(snapshot, sink->topic_ids[i]);
        /* A topic that was deleted has no name any more; what it held counts below all the same. */
        if (!topic)
            continue;
        if (!first)
            buf_add_byte(out, ',');
        buf_add_json_string(out, slice_string(topic->name));
        first = false;
    }
    buf_add_string(out, "],");
    first = true;
    add_term(out, &first, "accepted", sink->accepted);
    add_term(out, &first, "delivered", sink->delivered);
    add_term(out, &first, "dead_lettered", sink->dead_lettered);
    add_term(out, &first, "expired", sink->expired);
    add_term(out, &first, "aborted", sink->aborted);
    add_term(out, &first, "compacted", sink->compacted);
    add_term(out, &first, "damaged", sink->damaged);
    add_term(out, &first, "pending", sink->pending);
    /* A removed sink keeps its row, or the records that it delivered would be missing from the
     * sum. */
    if (!sink->open)
        buf_add_string(out, ",\"closed\":true");
    buf_add_byte(out, '}');
}

void admin_ledger_render(const struct flow_snapshot *snapshot, struct buf *out)
{
    ASSERT(err_is_ok(snapshot->error));
    buf_add_format(out, "{\"balanced\":%s,\n\"topics\":{",
                   flow_snapshot_balanced(snapshot) ? "true" : "false");
    bool first = true;
    for (size_t i = 0; i < snapshot->topic_count; i++) {
        if (!snapshot->topics[i].parent_id)
            add_topic(out, &snapshot->topics[i], &first);
    }
    buf_add_string(out, "},\n\"dlq\":{");
    first = true;
    for (size_t i = 0; i < snapshot->topic_count; i++) {
        if (snapshot->topics[i].parent_id)
            add_dlq(out, snapshot, &snapshot->topics[i], &first);
    }
    buf_add_string(out, "},\n\"sinks\":{");
    first = true;
    for (size_t i = 0; i < snapshot->sink_count; i++)
        add_sink(out, snapshot, &snapshot->sinks[i], &first);
    buf_add_string(out, "}}");
}
