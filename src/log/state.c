#include "log/state_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "flow/batch.h"

/*
 * The happy path: a frame's entries are applied one by one, in the order in which they were
 * written. Topics and sinks have ids that count from 1 and are never given again, so that finding
 * one is an index into an array, and an entry that skips or repeats an id is found out.
 *
 * Failure modes: an entry that does not fit what stands before it is ERR_CORRUPT, however good its
 * frame's CRC. What was applied until then stays applied, since the whole state is let go of:
 * recovery refuses to start. While the log runs that cannot be: a commit was checked against this
 * very state, and room for its batches reserved, before its frame was written. Where memory fails
 * all the same the process ends, and the next start recovers what is durable.
 */

void log_state_init(struct log_state *state, uint64_t seed)
{
    ASSERT(state);
    *state = (struct log_state){0};
    map_init(&state->topics_by_name, seed);
    map_init(&state->sinks_by_name, seed);
    log_sequences_init(&state->sequences, seed);
    log_offsets_init(&state->offsets, seed);
    list_init(&state->ready);
}

static void free_topic(struct log_topic *topic)
{
    ASSERT(topic->partitions || topic->partition_count == 0);
    log_keys_free(&topic->keys);
    log_requests_free(&topic->requests);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        log_partition_done(&topic->partitions[i]);
    }
    mem_free(topic->partitions);
    mem_free(topic->name);
    mem_free(topic);
}

static void forget_prepared(struct log_sink *sink)
{
    ASSERT(sink->ranges || sink->range_count == 0);
    mem_free(sink->ranges);
    /* A slice is a view everywhere else; this one owns its bytes. */
    mem_free((void *)(uintptr_t)sink->outputs.data);
    sink->ranges = NULL;
    sink->range_count = 0;
    sink->outputs = (struct slice){0};
    sink->prepared = false;
    sink->redrives = false;
}

void log_state_done(struct log_state *state)
{
    for (uint32_t i = 0; i < state->topic_count; i++)
        free_topic(state->topics[i]);
    for (uint32_t i = 0; i < state->sink_count; i++) {
        forget_prepared(state->sinks[i]);
        mem_free(state->sinks[i]->cursors);
        mem_free(state->sinks[i]->name);
        mem_free(state->sinks[i]);
    }
    mem_free(state->topics);
    mem_free(state->sinks);
    mem_free(state->doomed);
    mem_free(state->doomed_keys);
    log_offsets_done(&state->offsets);
    map_done(&state->topics_by_name);
    map_done(&state->sinks_by_name);
    log_sequences_done(&state->sequences);
    *state = (struct log_state){0};
}

void log_state_move(struct log_state *to, struct log_state *from)
{
    ASSERT(list_empty(&from->ready));
    *to = *from;
    /* Heads of lists do not move with what they are in. */
    list_init(&to->ready);
    log_sequences_move(&to->sequences, &from->sequences);
    log_offsets_moved(&to->offsets);
    *from = (struct log_state){0};
}

struct log_topic *log_state_topic(const struct log_state *state, uint32_t id)
{
    ASSERT(state->topics || state->topic_count == 0);
    struct log_topic *topic = id > 0 && id <= state->topic_count ? state->topics[id - 1] : NULL;
    /* A deleted topic keeps its place, since ids are places, and is found by nobody. */
    return topic && !topic->deleted ? topic : NULL;
}

struct log_topic *log_state_topic_named(const struct log_state *state, struct slice name)
{
    return map_get(&state->topics_by_name, name);
}

struct log_partition *log_state_partition(const struct log_state *state, uint32_t topic_id,
                                          uint32_t partition)
{
    struct log_topic *topic = log_state_topic(state, topic_id);
    return topic && partition < topic->partition_count ? &topic->partitions[partition] : NULL;
}

struct log_sink *log_state_sink(const struct log_state *state, uint32_t id)
{
    ASSERT(state->sinks || state->sink_count == 0);
    return id > 0 && id <= state->sink_count ? state->sinks[id - 1] : NULL;
}

struct log_sink *log_state_sink_named(const struct log_state *state, struct slice name)
{
    return map_get(&state->sinks_by_name, name);
}

err_t log_state_reserve(struct log_state *state, struct log_partition *partition)
{
    ASSERT(partition);
    return log_partition_reserve(partition, &state->index_bytes);
}

void log_state_forget_reserved(struct log_state *state)
{
    for (uint32_t t = 0; t < state->topic_count; t++) {
        for (uint32_t p = 0; p < state->topics[t]->partition_count; p++) {
            struct log_partition *partition = &state->topics[t]->partitions[p];
            ASSERT(partition->next_offset >= partition->end_offset);
            /* The offsets of frames that never became durable are given again: no reader has seen
             * them. */
            partition->next_offset = partition->end_offset;
            partition->index_reserved = 0;
        }
        if (state->topics[t]->keys)
            log_keys_forget(state->topics[t]->keys);
        if (state->topics[t]->requests)
            log_requests_forget(state->topics[t]->requests);
    }
    log_sequences_forget(&state->sequences);
    log_offsets_forget(&state->offsets);
}

/* Moved to a list of the whole state and not served here: the reader serves them when the frame is
 * applied to its end, so that nobody is shown half a commit. */
static void wake_waiters(struct log_state *state, struct log_partition *partition)
{
    ASSERT(state->ready.next && partition->waiters.next);
    struct list *link;
    while ((link = list_pop(&partition->waiters)))
        list_add_tail(&state->ready, link);
}

static err_t apply_batch(struct log_state *state, const struct flow_append *append,
                         struct log_position position)
{
    ASSERT(append->batch && append->topic_id > 0);
    struct log_topic *topic = log_state_topic(state, append->topic_id);
    struct log_partition *partition =
        log_state_partition(state, append->topic_id, append->partition);
    struct flow_batch batch;
    /* Letters lie in a topic that has a parent: it is the parent's ledger that counts them. */
    if (!partition || (append->kind != FLOW_APPEND_RECORDS && !topic->parent_id))
        return err_make(ERR_CORRUPT);
    /* The index is searched by halving, so offsets rise; a gap is let pass. Behind the last offset
     * there has to be one more, which is the partition's end. */
    err_t parsed = flow_batch_parse(slice_make(append->batch, append->batch_size), &batch);
    if (!err_is_ok(parsed) || batch.bytes.size != append->batch_size ||
        batch.base_offset < partition->end_offset || batch.record_count != append->record_count ||
        batch.base_offset == INT64_MAX - batch.last_offset_delta)
        return err_make(ERR_CORRUPT);
    struct log_index_entry entry = {.base_offset = batch.base_offset,
                                    .records_before = partition->records,
                                    .max_timestamp_ms = batch.max_timestamp_ms,
                                    .commit_time_ms = position.commit_time_ms,
                                    .file_number = (uint32_t)position.file_number,
                                    .file_offset = (uint32_t)position.offset,
                                    .size = (uint32_t)append->batch_size,
                                    .record_count = append->record_count};
    TRY(log_partition_add(partition, &entry, &state->index_bytes));
    partition->end_offset = batch.base_offset + batch.last_offset_delta + 1;
    partition->records += append->record_count;
    /* While the log runs the sequencer is here already; in recovery nobody has given anything. */
    if (partition->next_offset < partition->end_offset)
        partition->next_offset = partition->end_offset;
    wake_waiters(state, partition);
    if (append->kind == FLOW_APPEND_DEAD_LETTERS) {
        struct log_topic *parent = log_state_topic(state, topic->parent_id);
        if (!parent)
            return err_make(ERR_CORRUPT);
        parent->dead_lettered += append->record_count;
    }
    return err_ok();
}

static err_t apply_counts(struct log_state *state, const struct flow_count *counts)
{
    ASSERT(state->topics || state->topic_count == 0);
    struct log_topic *topic = log_state_topic(state, counts->topic_id);
    if (!topic)
        return err_make(ERR_CORRUPT);
    /* Received is what the doors say; what was accepted the partitions count. Two sources, or the
     * ledger would only prove itself. */
    topic->received += counts->received;
    topic->duplicates += counts->duplicates;
    topic->refused += counts->refused;
    return err_ok();
}

static err_t grow_partitions(struct log_topic *topic, uint32_t count)
{
    ASSERT(count >= topic->partition_count);
    /* Not grown in place: the members of a list point to its head, which would have moved away from
     * under them. So they are taken over one by one. */
    struct log_partition *grown = mem_zalloc(count, sizeof *grown);
    if (!grown)
        return err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < count; i++) {
        list_init(&grown[i].waiters);
        if (i >= topic->partition_count)
            continue;
        struct log_partition *old = &topic->partitions[i];
        struct list waiters = grown[i].waiters;
        grown[i] = *old;
        grown[i].waiters = waiters;
        while (!list_empty(&old->waiters))
            list_add_tail(&grown[i].waiters, list_pop(&old->waiters));
    }
    mem_free(topic->partitions);
    topic->partitions = grown;
    topic->partition_count = count;
    return err_ok();
}

/* Where the cursor of the partition is, or would be: they are in the order of topics and
 * partitions. */
static uint32_t cursor_place(const struct log_sink *sink, uint32_t topic_id, uint32_t partition)
{
    ASSERT(sink->cursors || sink->cursor_count == 0);
    uint32_t low = 0;
    uint32_t high = sink->cursor_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct log_cursor *cursor = &sink->cursors[middle];
        if (cursor->topic_id < topic_id ||
            (cursor->topic_id == topic_id && cursor->partition < partition))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct log_cursor *log_sink_cursor(const struct log_sink *sink, uint32_t topic_id,
                                   uint32_t partition)
{
    uint32_t at = cursor_place(sink, topic_id, partition);
    ASSERT(at <= sink->cursor_count);
    bool found = at < sink->cursor_count && sink->cursors[at].topic_id == topic_id &&
                 sink->cursors[at].partition == partition;
    return found ? &sink->cursors[at] : NULL;
}

/* A start that lies among holes was given the least count that is possible. */
static bool is_start_open(const struct log_partition *partition)
{
    struct log_count before = log_partition_count_before(partition, partition->start_offset);
    ASSERT(before.least <= before.most);
    return before.least < before.most;
}

static err_t add_cursor(struct log_sink *sink, const struct log_topic *topic, uint32_t partition)
{
    ASSERT(partition < topic->partition_count);
    struct log_cursor *cursors =
        mem_realloc(sink->cursors, sink->cursor_count + 1u, sizeof *cursors);
    if (!cursors)
        return err_make(ERR_MEMORY);
    sink->cursors = cursors;
    /* In order, which the search by halving, snapshots and checkpoints rely on. */
    uint32_t at = cursor_place(sink, topic->id, partition);
    memmove(cursors + at + 1, cursors + at, (sink->cursor_count - at) * sizeof *cursors);
    const struct log_partition *from = &topic->partitions[partition];
    /* It counts from the partition's start: what had expired before the sink came is not its
     * loss. */
    cursors[at] = (struct log_cursor){
        .topic_id = topic->id,
        .partition = partition,
        .active = true,
        .offset = from->start_offset,
        .records_first = from->records_start,
        .records = from->records_start,
        .at_least = is_start_open(from),
    };
    sink->cursor_count++;
    return err_ok();
}

/* The cursor of an open sink goes on at the partition's start when that has passed it: what lay
 * between will never be delivered. */
static void pass_expired(struct log_sink *sink, struct log_cursor *cursor,
                         const struct log_partition *partition)
{
    if (!cursor->active || cursor->offset >= partition->start_offset)
        return;
    ASSERT(sink->cursors <= cursor);
    cursor->offset = partition->start_offset;
    cursor->at_least = is_start_open(partition);
    /* Among holes fewer may be counted before the start than the sink has passed. */
    if (partition->records_start <= cursor->records)
        return;
    sink->expired += partition->records_start - cursor->records;
    cursor->records = partition->records_start;
}

/* A sink gets a cursor for every partition of the topic that it has none for yet. */
static err_t attach_topic(struct log_sink *sink, const struct log_topic *topic)
{
    ASSERT(topic->partition_count > 0);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct log_cursor *cursor = log_sink_cursor(sink, topic->id, i);
        if (cursor) {
            /* It goes on where it stopped, also where the sink had left the topic for a while: what
             * came meanwhile is delivered after all. */
            cursor->active = true;
            pass_expired(sink, cursor, &topic->partitions[i]);
        } else {
            TRY(add_cursor(sink, topic, i));
        }
    }
    return err_ok();
}

static err_t create_topic(struct log_state *state, const struct flow_topic_change *change)
{
    ASSERT(change->op == FLOW_TOPIC_CREATE);
    /* A parent is older than its child, so that a walk in the order of ids meets it first. */
    if (change->topic_id != state->topic_count + 1 || log_state_topic_named(state, change->name) ||
        change->parent_id >= change->topic_id)
        return err_make(ERR_CORRUPT);
    struct log_topic **topics =
        mem_realloc(state->topics, state->topic_count + 1u, sizeof(struct log_topic *));
    if (!topics)
        return err_make(ERR_MEMORY);
    state->topics = topics;
    struct log_topic *topic = mem_zalloc(1, sizeof *topic);
    if (!topic)
        return err_make(ERR_MEMORY);
    /* In the array before anything else can fail: from there it is freed with the rest. */
    state->topics[state->topic_count++] = topic;
    topic->id = change->topic_id;
    topic->uuid = change->uuid;
    topic->parent_id = change->parent_id;
    topic->name = mem_string(change->name.data, change->name.size);
    if (!topic->name)
        return err_make(ERR_MEMORY);
    TRY(grow_partitions(topic, change->partition_count));
    return map_put(&state->topics_by_name, slice_string(topic->name), topic);
}

static err_t raise_partitions(struct log_state *state, const struct flow_topic_change *change)
{
    ASSERT(change->op == FLOW_TOPIC_PARTITIONS);
    struct log_topic *topic = log_state_topic(state, change->topic_id);
    if (!topic || change->partition_count < topic->partition_count)
        return err_make(ERR_CORRUPT);
    TRY(grow_partitions(topic, change->partition_count));
    /* A sink reads all partitions of a topic or none, so the first one answers for it; it reads the
     * added ones from their first record on. */
    for (uint32_t i = 0; i < state->sink_count; i++) {
        const struct log_cursor *cursor = log_sink_cursor(state->sinks[i], topic->id, 0);
        if (cursor && cursor->active)
            TRY(attach_topic(state->sinks[i], topic));
    }
    return err_ok();
}

static err_t configure_topic(struct log_state *state, const struct flow_topic_change *change,
                             int64_t commit_ms)
{
    ASSERT(change->op == FLOW_TOPIC_CONFIG);
    struct log_topic *topic = log_state_topic(state, change->topic_id);
    if (!topic)
        return err_make(ERR_CORRUPT);
    /* Fingerprints of another secret would never be found, and be in the way. */
    bool other = !uuid_equal(&topic->config.dedup_secret, &change->config.dedup_secret);
    if (topic->keys && (change->config.dedup_window_ms == 0 || other)) {
        TRY(log_state_drop_keys(state, topic, topic->keys->count));
        log_keys_free(&topic->keys);
    }
    topic->config = change->config;
    if (topic->keys || change->config.dedup_window_ms == 0)
        return err_ok();
    /* Buckets of an index that the topic had before began long ago, and by lower numbers. */
    topic->keys = log_keys_new((uint64_t)(commit_ms > 0 ? commit_ms : 1));
    return err_make(topic->keys ? ERR_OK : ERR_MEMORY);
}

static err_t apply_keys(struct log_state *state, const struct log_entry_keys *entry,
                        int64_t commit_ms)
{
    struct log_topic *topic = log_state_topic(state, entry->topic_id);
    ASSERT(entry->fingerprints.size > 0);
    if (!topic || entry->partition >= topic->partition_count)
        return err_make(ERR_CORRUPT);
    /* Composed before the topic was told to forget them. */
    if (!topic->keys)
        return err_ok();
    return log_keys_settle(topic->keys, &topic->config, entry->fingerprints, commit_ms);
}

/* Made when the first of them comes: most topics never see one. */
err_t log_state_ensure_requests(const struct log_state *state, struct log_topic *topic)
{
    ASSERT(!topic->deleted);
    if (!topic->requests)
        topic->requests = log_requests_new(state->topics_by_name.seed);
    return err_make(topic->requests ? ERR_OK : ERR_MEMORY);
}

static err_t apply_request(struct log_state *state, const struct log_entry *entry,
                           int64_t commit_ms)
{
    bool numbered = entry->kind == LOG_ENTRY_SEQUENCE;
    struct log_topic *topic =
        log_state_topic(state, numbered ? entry->sequence.topic_id : entry->answer.topic_id);
    ASSERT(numbered || entry->kind == LOG_ENTRY_ANSWER);
    if (!topic)
        return err_make(ERR_CORRUPT);
    TRY(log_state_ensure_requests(state, topic));
    return numbered ? log_requests_settle_number(topic->requests, &entry->sequence, commit_ms)
                    : log_requests_settle_answer(topic->requests, &entry->answer, commit_ms);
}

static err_t apply_sequenced(struct log_state *state, const struct log_entry_sequenced *entry,
                             int64_t commit_ms)
{
    ASSERT(entry->batch.count > 0);
    if (!log_state_partition(state, entry->topic_id, entry->batch.partition))
        return err_make(ERR_CORRUPT);
    return log_sequences_settle(&state->sequences, entry, commit_ms);
}

static err_t apply_producer_id(struct log_state *state, int64_t producer_id)
{
    ASSERT(producer_id >= 0);
    log_sequences_settle_id(&state->sequences, producer_id);
    return err_ok();
}

/* A cursor moves when its epoch is committed. A crash before that has the sink deliver the same
 * ranges again, which it can only while their records are there. */
bool log_state_held(const struct log_state *state, uint32_t topic_id, uint32_t partition,
                    int64_t offset)
{
    ASSERT(state->sinks || state->sink_count == 0);
    for (uint32_t s = 0; s < state->sink_count; s++) {
        const struct log_sink *sink = state->sinks[s];
        for (uint32_t i = 0; sink->prepared && i < sink->range_count; i++) {
            const struct flow_sink_range *range = &sink->ranges[i];
            if (range->topic_id == topic_id && range->partition == partition &&
                range->first_offset < offset)
                return true;
        }
    }
    return false;
}

/* Room for `count` more to be doomed. */
static err_t reserve_doomed(struct log_state *state, size_t count)
{
    ASSERT(state->doomed_count <= state->doomed_capacity);
    size_t wanted = state->doomed_count + count;
    if (wanted <= state->doomed_capacity)
        return err_ok();
    size_t capacity = state->doomed_capacity ? state->doomed_capacity * 2 : 16;
    capacity = capacity < wanted ? wanted : capacity;
    struct log_doomed *grown = mem_realloc(state->doomed, capacity, sizeof *grown);
    if (!grown)
        return err_make(ERR_MEMORY);
    state->doomed = grown;
    state->doomed_capacity = capacity;
    return err_ok();
}

/* Only noted, and the note is part of checkpoints: files are removed on another thread, after the
 * entry is durable, and a removal that a crash cut short is done again. */
static void doom(struct log_state *state, struct log_doomed doomed)
{
    ASSERT(state->doomed_count < state->doomed_capacity);
    state->doomed[state->doomed_count++] = doomed;
}

err_t log_state_drop_expired(struct log_state *state, uint32_t topic_id, uint32_t partition)
{
    struct log_partition *p = log_state_partition(state, topic_id, partition);
    ASSERT(p);
    uint32_t count = log_partition_segments_before(p, p->start_offset);
    /* The sealer is appending to the last one and will put it in place again; a later look takes
     * it. */
    if (count > 0 && count == p->segment_count && p->seal_target > 0)
        count--;
    /* All or none: a segment whose files go is in no checkpoint. */
    TRY(reserve_doomed(state, count));
    for (uint32_t i = 0; i < count; i++)
        doom(state, (struct log_doomed){topic_id, partition, p->segments[i].base_offset});
    log_partition_drop_segments(p, count);
    return err_ok();
}

/* The start passes the records before `start_offset`, by what the partition knows `before` of them:
 * letters that are settled have had their end, the others expire. How many there are inside of a
 * hole that fsck has left is a guess; those that are settled are counted, and are believed. Returns
 * how many records are before the start from here on. */
static uint64_t expire_letters(struct log_topic *topic, struct log_partition *partition,
                               int64_t start_offset, uint64_t before)
{
    ASSERT(topic && start_offset >= partition->start_offset);
    uint64_t settled = log_settled_remove(&partition->settled, 0, start_offset);
    uint64_t least = partition->records_start + settled;
    uint64_t most = partition->records - partition->settled.records;
    ASSERT(least <= most);
    before = before < least ? least : before;
    before = before > most ? most : before;
    if (topic->parent_id)
        topic->letters.expired += before - least;
    return before;
}

/* Not too many: what turns out to have gone besides is added when somebody has read what is left.
 */
static uint64_t count_gone(const struct log_partition *partition, int64_t start_offset)
{
    uint64_t least = log_partition_count_before(partition, start_offset).least;
    ASSERT(start_offset >= partition->start_offset);
    return least < partition->records_start ? partition->records_start : least;
}

static err_t move_log_start(struct log_state *state, const struct flow_topic_change *change)
{
    ASSERT(change->op == FLOW_TOPIC_LOG_START);
    struct log_partition *partition =
        log_state_partition(state, change->topic_id, change->partition);
    if (!partition || change->start_offset < partition->start_offset ||
        change->start_offset > partition->end_offset)
        return err_make(ERR_CORRUPT);
    /* In this order: what lies before the start that a partition has cannot be counted any more. */
    uint64_t before = count_gone(partition, change->start_offset);
    partition->records_start = expire_letters(log_state_topic(state, change->topic_id), partition,
                                              change->start_offset, before);
    partition->start_offset = change->start_offset;
    /* All cursors with the same entry: at no moment does a sink ask for what is gone without the
     * ledger having it as expired. */
    for (uint32_t i = 0; i < state->sink_count; i++) {
        struct log_cursor *cursor =
            log_sink_cursor(state->sinks[i], change->topic_id, change->partition);
        if (cursor)
            pass_expired(state->sinks[i], cursor, partition);
    }
    /* Reads that wait below the start learn that there is nothing to wait for. */
    wake_waiters(state, partition);
    return log_state_drop_expired(state, change->topic_id, change->partition);
}

static void free_partitions(struct log_state *state, struct log_topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct log_partition *partition = &topic->partitions[i];
        ASSERT(partition->index_reserved == 0 || partition->index);
        wake_waiters(state, partition);
        state->index_bytes -= partition->index_capacity * sizeof *partition->index;
        log_partition_done(partition);
    }
    mem_free(topic->partitions);
    topic->partitions = NULL;
    topic->partition_count = 0;
}

/* Every sink has then come to the end of every partition. */
static err_t delete_topic(struct log_state *state, const struct flow_topic_change *change)
{
    ASSERT(change->op == FLOW_TOPIC_DELETE);
    struct log_topic *topic = log_state_topic(state, change->topic_id);
    if (!topic)
        return err_make(ERR_CORRUPT);
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        struct log_partition *partition = &topic->partitions[p];
        partition->start_offset = partition->end_offset;
        partition->records_start = partition->records;
        for (uint32_t i = 0; i < state->sink_count; i++) {
            struct log_cursor *cursor = log_sink_cursor(state->sinks[i], topic->id, p);
            if (!cursor)
                continue;
            pass_expired(state->sinks[i], cursor, partition);
            /* Kept, though nothing will be delivered by it: what it counted stays a part of the
             * sink's ledger. */
            cursor->active = false;
        }
    }
    /* Behind the cursors, which are counted from the partitions. */
    free_partitions(state, topic);
    /* Their files are in the topic's directory, which goes as a whole. */
    log_state_forget_doomed_keys(state, topic->id);
    log_keys_free(&topic->keys);
    log_requests_free(&topic->requests);
    log_sequences_drop_topic(&state->sequences, topic->id);
    log_offsets_forget_topic(&state->offsets, topic->id);
    /* The name is free for a topic of another uuid and id. Its own it keeps: removing the files,
     * which is done later, needs it for their path. */
    map_remove(&state->topics_by_name, slice_string(topic->name));
    topic->deleted = true;
    TRY(reserve_doomed(state, 1));
    doom(state, (struct log_doomed){.topic_id = topic->id, .base_offset = -1});
    return err_ok();
}

static err_t create_sink(struct log_state *state, uint32_t id, struct slice name)
{
    ASSERT(id > 0 && name.size > 0);
    if (id != state->sink_count + 1 || log_state_sink_named(state, name))
        return err_make(ERR_CORRUPT);
    struct log_sink **sinks =
        mem_realloc(state->sinks, state->sink_count + 1u, sizeof(struct log_sink *));
    if (!sinks)
        return err_make(ERR_MEMORY);
    state->sinks = sinks;
    struct log_sink *sink = mem_zalloc(1, sizeof *sink);
    if (!sink)
        return err_make(ERR_MEMORY);
    /* As with topics: from the array it is freed, whatever fails next. */
    state->sinks[state->sink_count++] = sink;
    sink->id = id;
    sink->name = mem_string(name.data, name.size);
    if (!sink->name)
        return err_make(ERR_MEMORY);
    return map_put(&state->sinks_by_name, slice_string(sink->name), sink);
}

static err_t open_sink(struct log_state *state, const struct log_entry *entry)
{
    ASSERT(entry->kind == LOG_ENTRY_SINK_OPEN);
    if (!log_state_sink(state, entry->sink.sink_id))
        TRY(create_sink(state, entry->sink.sink_id, entry->sink.name));
    struct log_sink *sink = log_state_sink(state, entry->sink.sink_id);
    ASSERT(sink);
    /* An id belongs to one name for ever: cursors and epochs must not pass to another sink. */
    if (!slice_equal_string(entry->sink.name, sink->name))
        return err_make(ERR_CORRUPT);
    /* Opening says all topics of the sink. One that it does not say keeps its cursor for the day it
     * comes back, and holds nothing until then. */
    sink->open = true;
    for (uint32_t i = 0; i < sink->cursor_count; i++)
        sink->cursors[i].active = false;
    for (uint32_t i = 0; i < entry->sink.topic_count; i++) {
        const struct log_topic *topic = log_state_topic(state, log_entry_topic_id(entry, i));
        if (!topic)
            return err_make(ERR_CORRUPT);
        TRY(attach_topic(sink, topic));
    }
    return err_ok();
}

/* Ranges begin where the cursors stand, so that epochs leave no record out and have none twice;
 * those of letters are of what is held. */
static err_t check_ranges(const struct log_state *state, const struct log_sink *sink,
                          const struct log_entry *entry)
{
    ASSERT(sink->ranges);
    uint32_t count = entry->sink.range_count;
    if (entry->kind == LOG_ENTRY_SINK_REDRIVE) {
        err_t err = log_state_may_redrive(state, sink, sink->ranges, count);
        return err_make(err_is_ok(err) ? ERR_OK : ERR_CORRUPT);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct flow_sink_range *range = &sink->ranges[i];
        const struct log_cursor *cursor = log_sink_cursor(sink, range->topic_id, range->partition);
        if (!cursor || cursor->offset != range->first_offset || range->end_offset < cursor->offset)
            return err_make(ERR_CORRUPT);
    }
    return err_ok();
}

static err_t prepare_sink(const struct log_state *state, struct log_sink *sink,
                          const struct log_entry *entry)
{
    ASSERT(entry->kind == LOG_ENTRY_SINK_PREPARE || entry->kind == LOG_ENTRY_SINK_REDRIVE);
    const struct flow_sink_change *change = &entry->sink;
    /* One epoch at a time, each the one after the last: an entry that comes twice does not count
     * twice. */
    if (sink->prepared || change->epoch != sink->epoch + 1)
        return err_make(ERR_CORRUPT);
    /* A checkpoint leaves both there, and empty. */
    forget_prepared(sink);
    /* One more than needed: of nothing NULL is a good answer, and would be taken for no memory. */
    sink->ranges = mem_zalloc(change->range_count + 1u, sizeof *sink->ranges);
    uint8_t *outputs = mem_alloc(change->outputs.size + 1);
    if (!sink->ranges || !outputs) {
        mem_free(outputs);
        return err_make(ERR_MEMORY);
    }
    if (change->outputs.size > 0)
        memcpy(outputs, change->outputs.data, change->outputs.size);
    sink->outputs = slice_make(outputs, change->outputs.size);
    for (uint32_t i = 0; i < change->range_count; i++)
        sink->ranges[i] = log_entry_range(entry, i);
    TRY(check_ranges(state, sink, entry));
    sink->range_count = change->range_count;
    sink->prepared = true;
    sink->redrives = entry->kind == LOG_ENTRY_SINK_REDRIVE;
    return err_ok();
}

/* Moves a cursor to the end of its range. How many records lie before that is known, and a sink
 * that says another number shows in the ledger; but among holes it may be open, and is what the
 * sink says. What went with a start that was moved there is known with the next place that is. */
static void pass_range(struct log_sink *sink, struct log_cursor *cursor,
                       const struct log_partition *partition, const struct flow_sink_range *range)
{
    uint64_t told = cursor->records + range->delivered + range->dead_lettered;
    struct log_count end = log_partition_count_before(partition, range->end_offset);
    ASSERT(end.least <= end.most);
    if (cursor->at_least && told < end.least)
        sink->expired += end.least - told;
    cursor->at_least = cursor->at_least && end.least < end.most;
    cursor->records = told < end.least ? end.least : told > end.most ? end.most : told;
    cursor->offset = range->end_offset;
}

/* Cursors move to where the prepared ranges end, and not to what the sink may say by then: a crash
 * between the two entries leaves the first alone to know it. */
static err_t commit_sink(struct log_state *state, struct log_sink *sink, uint64_t epoch)
{
    ASSERT(sink->id > 0);
    if (!sink->prepared || epoch != sink->epoch + 1)
        return err_make(ERR_CORRUPT);
    if (sink->redrives)
        TRY(log_state_redriven(state, sink));
    for (uint32_t i = 0; !sink->redrives && i < sink->range_count; i++) {
        const struct flow_sink_range *range = &sink->ranges[i];
        const struct log_partition *partition =
            log_state_partition(state, range->topic_id, range->partition);
        struct log_cursor *cursor = log_sink_cursor(sink, range->topic_id, range->partition);
        if (!partition || !cursor || range->end_offset > partition->end_offset)
            return err_make(ERR_CORRUPT);
        pass_range(sink, cursor, partition, range);
        sink->delivered += range->delivered;
        sink->dead_lettered += range->dead_lettered;
    }
    sink->epoch = epoch;
    forget_prepared(sink);
    return err_ok();
}

static err_t apply_sink(struct log_state *state, const struct log_entry *entry)
{
    if (entry->kind == LOG_ENTRY_SINK_OPEN)
        return open_sink(state, entry);
    struct log_sink *sink = log_state_sink(state, entry->sink.sink_id);
    if (!sink)
        return err_make(ERR_CORRUPT);
    if (entry->kind == LOG_ENTRY_SINK_PREPARE || entry->kind == LOG_ENTRY_SINK_REDRIVE)
        return prepare_sink(state, sink, entry);
    if (entry->kind == LOG_ENTRY_SINK_COMMIT)
        return commit_sink(state, sink, entry->sink.epoch);
    ASSERT(entry->kind == LOG_ENTRY_SINK_CLOSE);
    sink->open = false;
    for (uint32_t i = 0; i < sink->cursor_count; i++)
        sink->cursors[i].active = false;
    return err_ok();
}

/* A deletion may be of what is gone. */
static err_t apply_offset(struct log_state *state, const struct flow_offset *offset)
{
    ASSERT(offset->group.size > 0);
    if (offset->op == FLOW_OFFSET_COMMIT &&
        !log_state_partition(state, offset->topic_id, offset->partition))
        return err_make(ERR_CORRUPT);
    return log_offsets_settle(&state->offsets, offset);
}

static err_t apply_entry(struct log_state *state, const struct log_entry *entry,
                         struct log_position batch_position)
{
    switch (entry->kind) {
    case LOG_ENTRY_BATCH: return apply_batch(state, &entry->append, batch_position);
    case LOG_ENTRY_COUNTS: return apply_counts(state, &entry->counts);
    case LOG_ENTRY_TOPIC_CREATE: return create_topic(state, &entry->topic);
    case LOG_ENTRY_TOPIC_PARTITIONS: return raise_partitions(state, &entry->topic);
    case LOG_ENTRY_SINK_OPEN:
    case LOG_ENTRY_SINK_PREPARE:
    case LOG_ENTRY_SINK_COMMIT:
    case LOG_ENTRY_SINK_REDRIVE:
    case LOG_ENTRY_SINK_CLOSE: return apply_sink(state, entry);
    case LOG_ENTRY_TOPIC_CONFIG:
    case LOG_ENTRY_TOPIC_OPEN:
        return configure_topic(state, &entry->topic, batch_position.commit_time_ms);
    case LOG_ENTRY_KEYS: return apply_keys(state, &entry->keys, batch_position.commit_time_ms);
    case LOG_ENTRY_TOPIC_DELETE: return delete_topic(state, &entry->topic);
    case LOG_ENTRY_LOG_START: return move_log_start(state, &entry->topic);
    case LOG_ENTRY_SETTLED: return log_state_settle(state, &entry->settle);
    case LOG_ENTRY_SEQUENCE:
    case LOG_ENTRY_ANSWER: return apply_request(state, entry, batch_position.commit_time_ms);
    case LOG_ENTRY_SEQUENCED:
        return apply_sequenced(state, &entry->sequenced, batch_position.commit_time_ms);
    case LOG_ENTRY_PRODUCER_ID: return apply_producer_id(state, entry->producer_id);
    case LOG_ENTRY_OFFSET:
    case LOG_ENTRY_OFFSET_DELETE: return apply_offset(state, &entry->offset);
    /* Changes nothing; log_state_apply looks whether it is the last. */
    case LOG_ENTRY_CLEAN_STOP: return err_ok();
    case LOG_ENTRY_TRANSACTION:
    default: UNREACHABLE("log_entry_next lets no other kind pass");
    }
}

err_t log_state_apply(struct log_state *state, struct slice payload, struct log_position position)
{
    ASSERT(payload.data || payload.size == 0);
    const uint8_t *begin = payload.data;
    struct log_entry entry;
    err_t err;
    /* The mark counts as the very last entry alone: what comes behind it shows that the log went
     * on. */
    state->clean_stop = false;
    while (err_is_ok(err = log_entry_next(&payload, &entry))) {
        struct log_position batch = position;
        if (entry.kind == LOG_ENTRY_BATCH)
            /* The index leads to the batch itself and not to its entry, so that a read is one
             * read. */
            batch.offset += LOG_FRAME_HEADER_SIZE + (uint64_t)(entry.append.batch - begin);
        TRY(apply_entry(state, &entry, batch));
        state->clean_stop = entry.kind == LOG_ENTRY_CLEAN_STOP;
    }
    return err_is(err, ERR_END) ? err_ok() : err;
}

/* What one partition of a DLQ adds to its row. */
static void snapshot_letters(const struct log_partition *partition, struct flow_topic_state *out)
{
    uint64_t behind = partition->records - partition->records_start;
    ASSERT(partition->settled.records <= behind);
    out->dlq_total += partition->records;
    out->dlq_held += behind - partition->settled.records;
    /* What waits below the start for its file to be sealed holds nothing any more. */
    out->wal_bytes += log_partition_held_wal_bytes(partition);
    if (behind == partition->settled.records)
        return;
    int64_t first = log_settled_end(&partition->settled, partition->start_offset);
    int64_t ms = log_partition_commit_ms(partition, first);
    if (ms > 0 && (out->dlq_oldest_ms == 0 || ms < out->dlq_oldest_ms))
        out->dlq_oldest_ms = ms;
}

/* One topic's row. What was accepted is counted from the partitions, what came in at the door. */
static err_t snapshot_topic(const struct log_topic *topic, struct arena *arena,
                            struct flow_topic_state *out)
{
    uint32_t count = topic->partition_count;
    *out = (struct flow_topic_state){
        .id = topic->id,
        .uuid = topic->uuid,
        .name = arena_string(arena, slice_string(topic->name)),
        .partition_count = count,
        .parent_id = topic->parent_id,
        .start_offset = arena_alloc(arena, count * sizeof(int64_t)),
        .end_offset = arena_alloc(arena, count * sizeof(int64_t)),
        .received = topic->received,
        .duplicates = topic->duplicates,
        .dead_lettered = topic->dead_lettered,
        .refused = topic->refused,
        .config = topic->config,
    };
    /* A topic of dead letters is balanced by an equation of its own (flow_snapshot_balanced), so
     * what is its part goes to other fields. */
    *(topic->parent_id ? &out->dlq_damaged : &out->damaged) = topic->damaged;
    out->dlq_total = out->dlq_damaged + topic->letters.lost;
    out->dlq_redriven = topic->letters.redriven;
    out->dlq_purged = topic->letters.purged;
    out->dlq_expired = topic->letters.expired;
    if (!out->name || !out->start_offset || !out->end_offset)
        return err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < count; i++) {
        const struct log_partition *partition = &topic->partitions[i];
        ASSERT(partition->start_offset <= partition->end_offset);
        out->start_offset[i] = partition->start_offset;
        out->end_offset[i] = partition->end_offset;
        out->sealed_bytes += partition->sealed_bytes;
        if (topic->parent_id) {
            snapshot_letters(partition, out);
        } else {
            out->wal_bytes += partition->wal_bytes;
            out->accepted += partition->records;
        }
    }
    return err_ok();
}

static void snapshot_cursors(const struct log_state *state, const struct log_sink *sink,
                             struct flow_sink_state *out)
{
    for (uint32_t i = 0; i < sink->cursor_count; i++) {
        const struct log_cursor *cursor = &sink->cursors[i];
        /* What a sink was given is told by its cursors, what became of it by its counters: the
         * ledger compares the two, so neither may be made of the other. */
        out->accepted += cursor->records - cursor->records_first;
        if (!cursor->active)
            continue;
        const struct log_partition *partition =
            log_state_partition(state, cursor->topic_id, cursor->partition);
        ASSERT(partition);
        out->accepted += partition->records - cursor->records;
        out->pending += partition->records - cursor->records;
        out->cursors[out->cursor_count++] = (struct flow_cursor_state){
            .topic_id = cursor->topic_id,
            .partition = cursor->partition,
            .offset = cursor->offset,
        };
        /* Once a topic. */
        if (cursor->partition == 0)
            out->topic_ids[out->topic_count++] = cursor->topic_id;
    }
}

static err_t snapshot_sink(const struct log_state *state, const struct log_sink *sink,
                           struct arena *arena, struct flow_sink_state *out)
{
    ASSERT(sink->ranges || sink->range_count == 0);
    *out = (struct flow_sink_state){
        .id = sink->id,
        .name = arena_string(arena, slice_string(sink->name)),
        .open = sink->open,
        .topic_ids = arena_alloc(arena, (sink->cursor_count + 1u) * sizeof(uint32_t)),
        .cursors = arena_alloc(arena, (sink->cursor_count + 1u) * sizeof *out->cursors),
        .epoch = sink->epoch,
        .prepared = sink->prepared,
        .ranges = arena_alloc(arena, (sink->range_count + 1u) * sizeof *out->ranges),
        .range_count = sink->range_count,
        .outputs = arena_slice(arena, sink->outputs),
        .delivered = sink->delivered,
        .dead_lettered = sink->dead_lettered,
        .expired = sink->expired,
        .damaged = sink->damaged,
        /* The partitions have stopped counting what fsck wrote off, the sink's counters have
         * not. */
        .accepted = sink->lost,
    };
    if (!out->name || !out->topic_ids || !out->cursors || !out->ranges ||
        (sink->outputs.size > 0 && !out->outputs.data))
        return err_make(ERR_MEMORY);
    if (sink->range_count > 0)
        memcpy(out->ranges, sink->ranges, sink->range_count * sizeof *out->ranges);
    snapshot_cursors(state, sink, out);
    return err_ok();
}

err_t log_state_snapshot(const struct log_state *state, struct flow_snapshot *out)
{
    ASSERT(out->home || !out->done);
    struct arena *arena = &out->arena;
    arena_init(arena, 0);
    out->topics = arena_alloc(arena, (state->topic_count + 1u) * sizeof *out->topics);
    out->sinks = arena_alloc(arena, (state->sink_count + 1u) * sizeof *out->sinks);
    if (!out->topics || !out->sinks)
        return err_make(ERR_MEMORY);
    out->topic_count = 0;
    for (uint32_t i = 0; i < state->topic_count; i++) {
        const struct log_topic *topic = state->topics[i];
        if (topic->deleted)
            continue;
        TRY(snapshot_topic(topic, arena, &out->topics[out->topic_count]));
        if (out->settled_of.size > 0 && slice_equal_string(out->settled_of, topic->name))
            TRY(log_state_snapshot_settled(state, topic, arena, &out->topics[out->topic_count]));
        out->topic_count++;
    }
    for (uint32_t i = 0; i < state->sink_count; i++)
        TRY(snapshot_sink(state, state->sinks[i], arena, &out->sinks[i]));
    out->sink_count = state->sink_count;
    return err_ok();
}
