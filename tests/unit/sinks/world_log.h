#pragma once

/*
 * The log of the small world: in memory, applies commits as the real one does, and fails what it
 * is told to fail.
 */

#include "unit/flow/hollow.h"
#include "unit/sinks/world_loop.h"

static inline struct world *world_of_log(struct flow_log *log)
{
    return CONTAINER_OF(log, struct world, log);
}

static inline struct world_sink *world_sink_named(struct world *w, struct slice name)
{
    for (uint32_t i = 0; i < w->sink_count; i++)
        if (slice_equal_string(name, w->sinks[i].name))
            return &w->sinks[i];
    return NULL;
}

static inline struct world_cursor *world_cursor(struct world_sink *sink, uint32_t topic_id,
                                                uint32_t partition)
{
    for (uint32_t i = 0; i < sink->cursor_count; i++)
        if (sink->cursors[i].topic_id == topic_id && sink->cursors[i].partition == partition)
            return &sink->cursors[i];
    return NULL;
}

static inline err_t world_sink_open(struct world *w, struct flow_sink_change *change)
{
    for (uint32_t t = 0; t < change->topic_count; t++)
        if (w->deleted[change->topic_ids[t]])
            return err_make(ERR_NOT_FOUND);
    struct world_sink *sink = world_sink_named(w, change->name);
    if (!sink) {
        assert_true(w->sink_count < 2);
        sink = &w->sinks[w->sink_count++];
        (void)snprintf(sink->name, sizeof(sink->name), "%.*s", SLICE_PRINTF(change->name));
    }
    change->sink_id = (uint32_t)(sink - w->sinks) + 1;
    for (uint32_t t = 0; t < change->topic_count; t++) {
        for (uint32_t p = 0; p < w->partition_count; p++) {
            if (!world_cursor(sink, change->topic_ids[t], p))
                sink->cursors[sink->cursor_count++] = (struct world_cursor){
                    change->topic_ids[t], p, w->partitions[change->topic_ids[t]][p].start_offset};
        }
    }
    return err_ok();
}

static inline err_t world_sink_redrive(struct world *w, const struct flow_sink_change *change)
{
    struct world_sink *sink = &w->sinks[change->sink_id - 1];
    if (sink->prepared || change->epoch != sink->epoch + 1)
        return err_make(ERR_INVALID);
    assert_true(change->range_count > 0);
    for (uint32_t i = 0; i < change->range_count; i++) {
        const struct flow_sink_range *range = &change->ranges[i];
        assert_true(range->topic_id > WORLD_DLQ && range->dead_lettered == 0);
        assert_int_equal(range->delivered, range->end_offset - range->first_offset);
        assert_true(i == 0 || range[-1].end_offset < range->first_offset);
        for (int64_t o = range->first_offset; o < range->end_offset; o++)
            if (w->partitions[range->topic_id][range->partition].settled[o])
                return err_make(ERR_OFFSET_RANGE);
        sink->ranges[i] = *range;
    }
    sink->range_count = change->range_count;
    buf_reset(&sink->outputs);
    buf_add_slice(&sink->outputs, change->outputs);
    sink->prepared = sink->redrives = true;
    return err_ok();
}

static inline void world_redriven(struct world *w, struct world_sink *sink)
{
    for (uint32_t i = 0; i < sink->range_count; i++) {
        const struct flow_sink_range *range = &sink->ranges[i];
        for (int64_t o = range->first_offset; o < range->end_offset; o++)
            w->partitions[range->topic_id][range->partition].settled[o]++;
        sink->delivered += range->delivered;
        sink->dead_lettered -= range->delivered;
    }
    sink->epoch++;
    sink->prepared = sink->redrives = false;
}

/* Records from `first` to `end`: every offset is one, but in batches of nothing but holes. */
static inline uint64_t world_records(const struct world *w, uint32_t topic_id, uint32_t partition,
                                     int64_t first, int64_t end)
{
    const struct world_partition *p = &w->partitions[topic_id][partition];
    uint64_t records = 0;
    for (uint32_t i = 0; i < p->batch_count; i++) {
        const struct world_batch *batch = &p->batches[i];
        int64_t from = batch->base_offset > first ? batch->base_offset : first;
        int64_t to = batch->end_offset < end ? batch->end_offset : end;
        if (from < to && batch->size > FLOW_BATCH_HEADER_SIZE)
            records += (uint64_t)(to - from);
    }
    return records;
}

static inline err_t world_sink_prepare(struct world *w, const struct flow_sink_change *change)
{
    struct world_sink *sink = &w->sinks[change->sink_id - 1];
    if (sink->prepared || change->epoch != sink->epoch + 1 || w->refuse_prepare)
        return err_make(ERR_INVALID);
    for (uint32_t i = 0; i < change->range_count; i++) {
        const struct flow_sink_range *range = &change->ranges[i];
        if (w->deleted[range->topic_id])
            return err_make(ERR_INVALID);
        const struct world_cursor *cursor = world_cursor(sink, range->topic_id, range->partition);
        if (!cursor || cursor->offset != range->first_offset)
            return err_make(ERR_INVALID);
        assert_int_equal(range->delivered + range->dead_lettered,
                         world_records(w, range->topic_id, range->partition, range->first_offset,
                                       range->end_offset));
        sink->ranges[i] = *range;
    }
    sink->range_count = change->range_count;
    buf_reset(&sink->outputs);
    buf_add_slice(&sink->outputs, change->outputs);
    sink->prepared = true;
    return err_ok();
}

static inline err_t world_sink_commit(struct world *w, const struct flow_sink_change *change)
{
    struct world_sink *sink = &w->sinks[change->sink_id - 1];
    if (!sink->prepared || change->epoch != sink->epoch + 1)
        return err_make(ERR_INVALID);
    if (sink->redrives) {
        world_redriven(w, sink);
        return err_ok();
    }
    for (uint32_t i = 0; i < sink->range_count; i++) {
        const struct flow_sink_range *range = &sink->ranges[i];
        struct world_cursor *cursor = world_cursor(sink, range->topic_id, range->partition);
        if (!cursor)
            return err_make(ERR_NOT_FOUND);
        cursor->offset = range->end_offset;
        sink->delivered += range->delivered;
        sink->dead_lettered += range->dead_lettered;
    }
    sink->epoch++;
    sink->prepared = false;
    return err_ok();
}

static inline err_t world_apply(struct world *w, struct flow_commit *commit)
{
    struct flow_sink_change *change = commit->sinks;
    assert_int_equal(commit->sink_count, 1);
    err_t err = err_ok();
    if (change->op == FLOW_SINK_OPEN)
        err = world_sink_open(w, change);
    else if (change->op == FLOW_SINK_PREPARE)
        err = world_sink_prepare(w, change);
    else if (change->op == FLOW_SINK_REDRIVE)
        err = world_sink_redrive(w, change);
    else
        err = world_sink_commit(w, change);
    for (uint32_t i = 0; err_is_ok(err) && i < commit->append_count; i++) {
        const struct flow_append *append = &commit->appends[i];
        struct flow_batch batch;
        assert_int_equal(append->kind, FLOW_APPEND_SINK_LETTERS);
        assert_true(append->topic_id > WORLD_DLQ);
        assert_true(
            err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch)));
        assert_true(err_is_ok(flow_batch_check(&batch)));
        assert_int_equal(batch.record_count, append->record_count);
        w->partitions[append->topic_id][append->partition].letters += append->record_count;
    }
    return err;
}

static inline void world_commit_home(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    commit->done(commit);
}

static inline void world_commit(struct flow_log *log, struct flow_commit *commit)
{
    struct world *w = world_of_log(log);
    bool fails = ++w->commits == w->fail_commit;
    commit->error = fails && w->commit_lost ? err_ok() : world_apply(w, commit);
    if (fails)
        commit->error = err_make(w->commit_error);
    commit->task.run = world_commit_home;
    io_post(&w->loop, &commit->task);
}

static inline void world_read_home(struct task *task)
{
    struct flow_read *read = CONTAINER_OF(task, struct flow_read, task);
    read->done(read);
}

static inline void world_answer(struct world *w, struct flow_read *read, err_t error)
{
    list_remove(&read->link);
    read->error = error;
    read->task.run = world_read_home;
    w->reads_held++;
    io_post(&w->loop, &read->task);
}

static inline void world_serve(struct world *w, struct flow_read *read)
{
    const struct world_partition *p = &w->partitions[read->topic_id][read->partition];
    read->end_offset = p->end_offset;
    read->next_offset = read->offset;
    err_t error = p->read_error;
    if (w->deleted[read->topic_id])
        error = err_make(ERR_NOT_FOUND);
    else if (err_is_ok(error) && read->offset < p->start_offset)
        error = err_make(ERR_OFFSET_RANGE);
    if (!err_is_ok(error)) {
        world_answer(w, read, error);
        return;
    }
    size_t size = 0;
    for (uint32_t i = 0; i < p->batch_count && read->batch_count < FLOW_READ_BATCHES; i++) {
        const struct world_batch *batch = &p->batches[i];
        if (batch->end_offset <= read->offset)
            continue;
        if (read->batch_count && size + batch->size > read->size_max)
            break;
        read->batches[read->batch_count++] = slice_make(batch->bytes, batch->size);
        read->next_offset = batch->end_offset;
        size += batch->size;
    }
    if (read->batch_count || !read->wait)
        world_answer(w, read, err_ok());
    else
        list_add_tail(&w->waiting, &read->link);
}

static inline void world_read(struct flow_log *log, struct flow_read *read)
{
    read->batch_count = 0;
    world_serve(world_of_log(log), read);
}

static inline void world_cancel(struct flow_log *log, struct flow_read *read)
{
    if (list_linked(&read->link))
        world_answer(world_of_log(log), read, err_make(ERR_CANCELLED));
}

static inline void world_release(struct flow_log *log, struct flow_read *read)
{
    struct world *w = world_of_log(log);
    assert_true(w->reads_held > 0);
    w->reads_held--;
    read->batch_count = 0;
}

/* False without memory, as for sinks. */
static inline bool world_snapshot_topics(struct world *w, struct flow_snapshot *s)
{
    uint32_t topic_count = w->no_dlq ? WORLD_DLQ : WORLD_TOPICS;
    s->topics = arena_alloc(&s->arena, topic_count * sizeof(*s->topics));
    if (!s->topics)
        return false;
    static const char *const names[] = {"", "cars", "planes", "cars.dlq", "planes.dlq"};
    for (uint32_t i = 0; i < topic_count; i++) {
        if (w->deleted[i + 1])
            continue;
        struct flow_topic_state *topic = &s->topics[s->topic_count++];
        *topic = (struct flow_topic_state){
            .id = i + 1,
            .name = names[i + 1],
            .partition_count = i < WORLD_DLQ ? w->partition_count : 1,
            .parent_id = i < WORLD_DLQ ? 0 : i + 1 - WORLD_DLQ,
            .start_offset = arena_alloc(&s->arena, WORLD_PARTITIONS * sizeof(int64_t)),
            .end_offset = arena_alloc(&s->arena, WORLD_PARTITIONS * sizeof(int64_t)),
        };
        if (!topic->start_offset || !topic->end_offset)
            return false;
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            topic->start_offset[p] = w->partitions[i + 1][p].start_offset;
            topic->end_offset[p] = w->partitions[i + 1][p].end_offset;
        }
    }
    return true;
}

static inline bool world_snapshot_sinks(struct world *w, struct flow_snapshot *s)
{
    s->sink_count = w->sink_count;
    s->sinks = arena_alloc(&s->arena, 2 * sizeof(*s->sinks));
    if (!s->sinks)
        return false;
    for (uint32_t i = 0; i < w->sink_count; i++) {
        struct world_sink *sink = &w->sinks[i];
        struct flow_cursor_state *cursors =
            arena_alloc(&s->arena, (sink->cursor_count + 1) * sizeof(*cursors));
        if (!cursors)
            return false;
        for (uint32_t c = 0; c < sink->cursor_count; c++)
            cursors[c] = (struct flow_cursor_state){
                sink->cursors[c].topic_id, sink->cursors[c].partition, sink->cursors[c].offset};
        s->sinks[i] = (struct flow_sink_state){
            .id = i + 1,
            .name = sink->name,
            .cursors = cursors,
            .cursor_count = sink->cursor_count,
            .epoch = sink->epoch,
            .prepared = sink->prepared,
            .expired = sink->expired,
            .outputs = sink->prepared ? arena_slice(&s->arena, buf_slice(&sink->outputs))
                                      : (struct slice){0},
        };
        if (sink->prepared && !s->sinks[i].outputs.data)
            return false;
    }
    return true;
}

static inline void world_snapshot_home(struct task *task)
{
    struct flow_snapshot *snapshot = CONTAINER_OF(task, struct flow_snapshot, task);
    snapshot->done(snapshot);
}

static inline void world_snapshot(struct flow_log *log, struct flow_snapshot *snapshot)
{
    struct world *w = world_of_log(log);
    w->snapshots++;
    snapshot->error = err_make(w->snapshot_error);
    arena_init(&snapshot->arena, 0);
    if (err_is_ok(snapshot->error) &&
        (!world_snapshot_topics(w, snapshot) || !world_snapshot_sinks(w, snapshot)))
        snapshot->error = err_make(ERR_MEMORY);
    snapshot->task.run = world_snapshot_home;
    io_post(&w->loop, &snapshot->task);
}

/* Appends records to a partition as one batch, of which all or `none` are left, and answers who
 * waits for them. */
static inline void world_append_batch(struct world *w, uint32_t topic_id, uint32_t partition,
                                      uint32_t count, bool none)
{
    struct world_partition *p = &w->partitions[topic_id][partition];
    struct test_record records[WORLD_OFFSETS];
    assert_true(p->batch_count < WORLD_BATCHES && p->end_offset + count <= WORLD_OFFSETS);
    for (uint32_t i = 0; i < count; i++)
        records[i] = (struct test_record){1000 + i, "key", "{\"value\":1}"};
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    struct flow_batch batch = make_batch(&builder, p->end_offset, records, count);
    size_t size = none ? hollow(builder.bytes.data, batch.bytes.size) : batch.bytes.size;
    /* The bytes move to the log. */
    p->batches[p->batch_count++] =
        (struct world_batch){builder.bytes.data, size, p->end_offset, p->end_offset + count};
    p->end_offset += count;
    LIST_EACH_SAFE (link, &w->waiting) {
        struct flow_read *read = CONTAINER_OF(link, struct flow_read, link);
        if (read->topic_id == topic_id && read->partition == partition) {
            list_remove(link);
            world_serve(w, read);
        }
    }
}

static inline void world_append(struct world *w, uint32_t topic_id, uint32_t partition,
                                uint32_t count)
{
    world_append_batch(w, topic_id, partition, count, false);
}

/* What waits for more of the partition learns what became of it. */
static inline void world_wake(struct world *w, uint32_t topic_id, uint32_t partition)
{
    LIST_EACH_SAFE (link, &w->waiting) {
        struct flow_read *read = CONTAINER_OF(link, struct flow_read, link);
        if (read->topic_id == topic_id && read->partition == partition) {
            list_remove(link);
            world_serve(w, read);
        }
    }
}

/* True where a prepared epoch holds what is before `offset`: retention waits for it. */
static inline bool world_held(const struct world *w, uint32_t topic_id, uint32_t partition,
                              int64_t offset)
{
    for (uint32_t s = 0; s < w->sink_count; s++) {
        const struct world_sink *sink = &w->sinks[s];
        for (uint32_t i = 0; sink->prepared && i < sink->range_count; i++) {
            const struct flow_sink_range *range = &sink->ranges[i];
            if (range->topic_id == topic_id && range->partition == partition &&
                range->first_offset < offset)
                return true;
        }
    }
    return false;
}

/* Retention: what is before `start` is gone, delivered or not. False when it has to wait. */
static inline bool world_expire(struct world *w, uint32_t topic_id, uint32_t partition,
                                int64_t start)
{
    struct world_partition *p = &w->partitions[topic_id][partition];
    assert_true(start >= p->start_offset && start <= p->end_offset);
    if (world_held(w, topic_id, partition, start))
        return false;
    p->start_offset = start;
    for (uint32_t s = 0; s < w->sink_count; s++) {
        struct world_cursor *cursor = world_cursor(&w->sinks[s], topic_id, partition);
        if (cursor && cursor->offset < start) {
            w->sinks[s].expired += (uint64_t)(start - cursor->offset);
            cursor->offset = start;
        }
    }
    world_wake(w, topic_id, partition);
    return true;
}

/* The topic is deleted, with all that is in it. False when it has to wait. */
static inline bool world_delete(struct world *w, uint32_t topic_id)
{
    for (uint32_t p = 0; p < w->partition_count; p++)
        if (world_held(w, topic_id, p, INT64_MAX))
            return false;
    for (uint32_t p = 0; p < w->partition_count; p++)
        assert_true(world_expire(w, topic_id, p, w->partitions[topic_id][p].end_offset));
    w->deleted[topic_id] = true;
    for (uint32_t p = 0; p < w->partition_count; p++)
        world_wake(w, topic_id, p);
    return true;
}
