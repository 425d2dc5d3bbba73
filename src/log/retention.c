#include "base/assert.h"
#include "log/log_int.h"

/*
 * Time counts from a segment's newest commit, so a record is kept at least as long as promised, and
 * by at most the time that a segment covers longer (the sealer rolls by it). Size counts all
 * partitions of a topic together, and the oldest segment goes first wherever it is, as long as
 * what is left is still as much as promised. Only what is sealed can go: the log's current file is
 * ended early when it holds something that has waited for a part of its time.
 *
 * Failure modes: a commit that is refused or unknown is found again as segments that are still
 * there. An epoch that a sink has prepared holds what it covers until it has ended.
 */

#define LOOK_NS (5 * IO_SECOND)
/* What waits for so much of its time is sealed. */
#define SEAL_PARTS 8u
#define SEAL_MS_MIN 1000u

/* The lowest offset that something still wants, whatever the topic keeps. */
static int64_t held_offset(const struct log_state *state, const struct log_topic *topic,
                           uint32_t partition)
{
    ASSERT(partition < topic->partition_count);
    int64_t held = INT64_MAX;
    for (uint32_t i = 0; i < state->sink_count; i++) {
        const struct log_cursor *cursor = log_sink_cursor(state->sinks[i], topic->id, partition);
        bool delivering = cursor && log_state_held(state, topic->id, partition, cursor->offset + 1);
        if (cursor && cursor->offset < held &&
            ((cursor->active && !topic->config.expire_undelivered) || delivering))
            held = cursor->offset;
    }
    return held;
}

/* How many segments of a partition may go. */
static uint32_t free_segments(const struct log_state *state, const struct log_topic *topic,
                              uint32_t number)
{
    const struct log_partition *partition = &topic->partitions[number];
    ASSERT(partition->segments || partition->segment_count == 0);
    return log_partition_segments_before(partition, held_offset(state, topic, number));
}

/* How many segments of a partition have passed their time and may go. */
static uint32_t too_old(const struct log *log, const struct log_topic *topic, uint32_t number)
{
    const struct log_partition *partition = &topic->partitions[number];
    int64_t now_ms = io_wall_ms(log->options.loop);
    /* A clock that was set back would else make what was committed before it younger than it is. */
    now_ms = now_ms > log->time_ms ? now_ms : log->time_ms;
    ASSERT(topic->config.retention_ms > 0);
    uint32_t count = 0;
    for (; count < partition->segment_count; count++) {
        int64_t age_ms = now_ms - partition->segments[count].last_commit_ms;
        if (age_ms <= 0 || (uint64_t)age_ms <= topic->config.retention_ms)
            break;
    }
    /* Who holds what is only asked for what would go. */
    uint32_t free = count > 0 ? free_segments(&log->state, topic, number) : 0;
    return count < free ? count : free;
}

/* Adds the change that lets go of the first `count` segments. */
static void let_go(struct log *log, const struct log_topic *topic, uint32_t number, uint32_t count)
{
    struct log_retention *retention = &log->retention;
    const struct log_partition *partition = &topic->partitions[number];
    ASSERT(count > 0 && count <= partition->segment_count);
    /* What the limit of changes leaves out waits: the next look comes at once behind the commit. */
    int64_t start = partition->segments[count - 1].end_offset;
    if (start <= partition->start_offset || retention->commit.topic_count == LOG_RETENTION_CHANGES)
        return;
    retention->changes[retention->commit.topic_count++] = (struct flow_topic_change){
        .op = FLOW_TOPIC_LOG_START,
        .topic_id = topic->id,
        .partition = number,
        .start_offset = start,
    };
}

/* Bytes of segments that still hold something. */
static uint64_t held_bytes(const struct log_topic *topic)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct log_partition *partition = &topic->partitions[i];
        uint32_t gone = log_partition_segments_before(partition, partition->start_offset);
        ASSERT(gone <= partition->segment_count);
        for (uint32_t s = gone; s < partition->segment_count; s++)
            bytes += partition->segments[s].size;
    }
    return bytes;
}

/* The partition with the oldest first segment that holds something and may go; the count of
 * partitions when there is none. */
static uint32_t oldest(const struct log_state *state, const struct log_topic *topic)
{
    uint32_t best = topic->partition_count;
    int64_t best_ms = INT64_MAX;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct log_partition *partition = &topic->partitions[i];
        uint32_t gone = log_partition_segments_before(partition, partition->start_offset);
        ASSERT(gone <= partition->segment_count);
        if (gone < free_segments(state, topic, i) &&
            partition->segments[gone].last_commit_ms < best_ms) {
            best = i;
            best_ms = partition->segments[gone].last_commit_ms;
        }
    }
    return best;
}

/* One segment a look and topic: the next look, at once after the commit, sees what is left. */
static void look_at_size(struct log *log, const struct log_topic *topic)
{
    uint64_t bytes_max = flow_topic_bytes_max(&topic->config, topic->partition_count);
    uint64_t bytes = held_bytes(topic);
    ASSERT(bytes_max > 0);
    if (bytes <= bytes_max)
        return;
    uint32_t number = oldest(&log->state, topic);
    if (number == topic->partition_count)
        return;
    const struct log_partition *partition = &topic->partitions[number];
    uint32_t gone = log_partition_segments_before(partition, partition->start_offset);
    if (bytes - partition->segments[gone].size >= bytes_max)
        let_go(log, topic, number, gone + 1);
}

/* What is settled from the start on is let go at once: for the space, and since a queue that has
 * become empty should look so. */
static void look_at_settled(struct log *log, const struct log_topic *topic, uint32_t number)
{
    struct log_retention *retention = &log->retention;
    const struct log_partition *partition = &topic->partitions[number];
    int64_t start = log_settled_end(&partition->settled, partition->start_offset);
    ASSERT(start <= partition->end_offset);
    if (start == partition->start_offset || held_offset(&log->state, topic, number) < start ||
        retention->commit.topic_count == LOG_RETENTION_CHANGES)
        return;
    retention->changes[retention->commit.topic_count++] = (struct flow_topic_change){
        .op = FLOW_TOPIC_LOG_START,
        .topic_id = topic->id,
        .partition = number,
        .start_offset = start,
    };
}

static void look_at_topic(struct log *log, const struct log_topic *topic)
{
    uint32_t before = log->retention.commit.topic_count;
    ASSERT(!topic->deleted);
    for (uint32_t i = 0; i < topic->partition_count && topic->config.retention_ms > 0; i++) {
        uint32_t count = too_old(log, topic, i);
        if (count > 0)
            let_go(log, topic, i, count);
    }
    if (topic->config.retention_bytes > 0 && log->retention.commit.topic_count == before)
        look_at_size(log, topic);
    /* Where nothing else moves the start, which is moved once a commit. */
    for (uint32_t i = 0; i < topic->partition_count && topic->parent_id > 0 &&
                         log->retention.commit.topic_count == before;
         i++)
        look_at_settled(log, topic, i);
}

static void committed(struct flow_commit *commit);

static void look(struct log *log)
{
    struct log_retention *retention = &log->retention;
    if (retention->committing || log->mode != LOG_RUNNING)
        return;
    retention->commit = (struct flow_commit){
        .home = log->options.loop,
        .done = committed,
        .topics = retention->changes,
        .started_ns = io_now_ns(log->options.loop),
    };
    for (uint32_t i = 0; i < log->state.topic_count; i++) {
        if (!log->state.topics[i]->deleted)
            look_at_topic(log, log->state.topics[i]);
    }
    ASSERT(retention->commit.topic_count <= LOG_RETENTION_CHANGES);
    if (retention->commit.topic_count == 0)
        return;
    retention->committing = true;
    log_sequencer_submit(log, &retention->commit);
}

/* Partitions whose last segment is gone too, though it was being appended to. */
static void drop_left_over(struct log *log)
{
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        ASSERT(topic->partitions || topic->partition_count == 0);
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            if (topic->partitions[p].segment_count > 0) {
                /* Without the memory to say so, the files are found at the next start. */
                err_t ignored = log_state_drop_expired(&log->state, topic->id, p);
                (void)ignored;
            }
        }
    }
}

static void committed(struct flow_commit *commit)
{
    struct log_retention *retention = CONTAINER_OF(commit, struct log_retention, commit);
    struct log *log = CONTAINER_OF(retention, struct log, retention);
    ASSERT(retention->committing);
    retention->committing = false;
    if (err_is_ok(commit->error))
        /* Again at once, since a look takes one segment a topic by size and so many changes in
         * all. After an error it is the timer's turn, or a log that is full would be asked
         * without end. */
        look(log);
    log_sequencer_pump(log);
}

/* True when the current file holds something that should be sealed by its age. */
static bool waits_too_long(const struct log *log)
{
    int64_t now_ms = io_wall_ms(log->options.loop);
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        uint64_t wait_ms = topic->config.retention_ms / SEAL_PARTS;
        wait_ms = wait_ms < SEAL_MS_MIN ? SEAL_MS_MIN : wait_ms;
        ASSERT(topic->partitions || topic->partition_count == 0);
        for (uint32_t p = 0; p < topic->partition_count && topic->config.retention_ms > 0; p++) {
            const struct log_partition *partition = &topic->partitions[p];
            /* The oldest that waits speaks for all: commit times rise with the index. */
            if (partition->index_count == 0)
                continue;
            int64_t age_ms = now_ms - partition->index[0].commit_time_ms;
            if (partition->index[0].file_number >= log->last.file_number && age_ms > 0 &&
                (uint64_t)age_ms > wait_ms)
                return true;
        }
    }
    return false;
}

/* Of topics that nothing comes in for: the others look with each commit. */
static void drop_keys(struct log *log)
{
    int64_t now_ms = io_wall_ms(log->options.loop);
    ASSERT(log->state.topics || log->state.topic_count == 0);
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        if (!log->state.topics[t]->keys)
            continue;
        /* Without the memory, another time. */
        err_t ignored = log_state_turn_keys(&log->state, log->state.topics[t], now_ms);
        (void)ignored;
    }
}

static void due(struct io_timer *timer)
{
    struct log_retention *retention = CONTAINER_OF(timer, struct log_retention, timer);
    struct log *log = CONTAINER_OF(retention, struct log, retention);
    ASSERT(log->mode != LOG_STOPPED);
    if (log->mode == LOG_RUNNING) {
        drop_left_over(log);
        drop_keys(log);
    }
    look(log);
    if (waits_too_long(log))
        log_sealer_end_file(log);
    log_sequencer_pump(log);
    if (log->mode < LOG_STOPPING)
        io_timer_start(log->options.loop, &retention->timer, LOOK_NS);
}

void log_retention_init(struct log *log)
{
    ASSERT(!log->retention.committing);
    log->retention.timer.run = due;
}

void log_retention_start(struct log *log)
{
    ASSERT(log->retention.timer.run);
    io_timer_start(log->options.loop, &log->retention.timer, LOOK_NS);
}

void log_retention_stop(struct log *log)
{
    ASSERT(log->mode >= LOG_STOPPING);
    io_timer_stop(log->options.loop, &log->retention.timer);
}
