#include "pipeline/check/check_int.h"

/*
 * Whether a DLQ has room. A dead letter makes its topic watched; while any is, or is full, the log
 * is asked for a snapshot and then once a second, and what that says holds until the next. So the
 * way of a record has one look at a flag, a topic whose records are good costs nothing, and what is
 * redriven, purged or expired makes room within a second.
 *
 * What can be passed over: until the first snapshot, and between two of them, dead letters come in
 * beyond the cap. Counting them here would not end that, since the other loops and the sinks write
 * to the same DLQ.
 *
 * Failure modes: a snapshot that fails leaves the flags as they are and is asked for again; full
 * stays full, as a log without memory is no reason to take garbage.
 */

#define PERIOD_NS IO_SECOND

/* The snapshot that is under way when a record comes may have been made before its commit. */
#define SNAPSHOTS_A_RECORD 2u

/* Takes over what the snapshot says of the topic; true when it is to be looked at again. */
static bool learn(struct flow_inlet_topic *topic, const struct flow_snapshot *snapshot)
{
    if (topic->dlq_watch == 0 && !topic->dlq_full)
        return false;
    const struct flow_topic_state *dlq = flow_snapshot_topic_by_id(snapshot, topic->dlq_id);
    ASSERT(topic->dlq_size_max > 0);
    /* What is compressed in its segment and what is still in the WAL: what the disk holds of it. */
    topic->dlq_full = dlq && dlq->sealed_bytes + dlq->wal_bytes >= topic->dlq_size_max;
    topic->dlq_watch -= topic->dlq_watch > 0;
    return topic->dlq_full || topic->dlq_watch > 0;
}

static void snapshot_came(struct flow_snapshot *snapshot)
{
    struct pipeline_check *check = CONTAINER_OF(snapshot, struct pipeline_check, cap_snapshot);
    ASSERT(check->cap_state == PIPELINE_CHECK_CAP_ASKED);
    bool failed = !err_is_ok(snapshot->error);
    check->cap_again = check->cap_again || failed;
    for (uint32_t i = 0; !failed && i < check->topic_count; i++)
        check->cap_again = learn(check->topics[i], snapshot) || check->cap_again;
    flow_snapshot_done(snapshot);
    check->cap_state = PIPELINE_CHECK_CAP_RESTS;
    if (!check->cap_stopped)
        io_timer_start(check->loop, &check->cap_timer, PERIOD_NS);
}

static void ask(struct pipeline_check *check)
{
    ASSERT(!check->cap_stopped && check->cap_state != PIPELINE_CHECK_CAP_ASKED);
    check->cap_state = PIPELINE_CHECK_CAP_ASKED;
    check->cap_again = false;
    check->cap_snapshot = (struct flow_snapshot){.home = check->loop, .done = snapshot_came};
    flow_log_snapshot(check->log, &check->cap_snapshot);
}

static void period_over(struct io_timer *timer)
{
    struct pipeline_check *check = CONTAINER_OF(timer, struct pipeline_check, cap_timer);
    ASSERT(check->cap_state == PIPELINE_CHECK_CAP_RESTS);
    if (check->cap_again)
        ask(check);
    else
        check->cap_state = PIPELINE_CHECK_CAP_IDLE;
}

void pipeline_check_cap_init(struct pipeline_check *check)
{
    ASSERT(!check->cap_timer.run);
    check->cap_timer.run = period_over;
}

bool pipeline_check_cap_full(struct pipeline_check *check, struct flow_inlet_topic *topic)
{
    ASSERT(topic->on_invalid == PIPELINE_CHECK_DEAD_LETTER);
    if (topic->dlq_size_max == 0)
        return false;
    topic->dlq_watch = SNAPSHOTS_A_RECORD;
    check->cap_again = true;
    if (check->cap_state == PIPELINE_CHECK_CAP_IDLE && !check->cap_stopped)
        ask(check);
    return topic->dlq_full;
}

void pipeline_check_stop(struct pipeline_check *check)
{
    ASSERT(!check->cap_stopped);
    check->cap_stopped = true;
    io_timer_stop(check->loop, &check->cap_timer);
}
