#pragma once

/*
 * A small world for the tests of the runner: a loop with virtual time whose turns the test takes,
 * workers that can be held, a log in memory that applies commits as the real one does and can
 * fail any of them, and a plug-in that keeps count of what it made visible. All deterministic.
 */

#include "unit/sinks/batches.h"

#include "base/alloc.h"
#include "base/list.h"
#include "sinks/runner.h"
#include "sinks/runner_int.h"

#define WORLD_TIMERS 32
#define WORLD_TOPICS 4 /* ids from 1; topic n + WORLD_DLQ is the DLQ of n */
#define WORLD_DLQ 2
#define WORLD_PARTITIONS 3
#define WORLD_OFFSETS 512
#define WORLD_BATCHES 256

struct world_batch {
    uint8_t *bytes;
    size_t size;
    int64_t base_offset;
    int64_t end_offset;
};

struct world_partition {
    struct world_batch batches[WORLD_BATCHES];
    uint32_t batch_count;
    int64_t end_offset;
    uint64_t letters; /* appended as a sink's dead letters */
    err_t read_error; /* of reads, until it is cleared */
};

struct world_cursor {
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset;
};

struct world_sink {
    char name[32];
    uint32_t topic_ids[WORLD_TOPICS];
    uint32_t topic_count;
    uint64_t epoch;
    bool prepared;
    struct flow_sink_range ranges[WORLD_PARTITIONS * WORLD_TOPICS];
    uint32_t range_count;
    struct buf outputs;
    struct world_cursor cursors[WORLD_PARTITIONS * WORLD_TOPICS];
    uint32_t cursor_count;
    uint64_t delivered;
    uint64_t dead_lettered;
};

struct world_worker {
    struct io_worker worker;
    struct world *world;
    struct task *first;
    struct task **last;
    bool held;
};

/* What the plug-in of one sink did and is to do. Its options point here. */
struct world_plug {
    enum err_code fail[SINKS_VERB_CLOSE + 1];
    uint32_t fail_times[SINKS_VERB_CLOSE + 1]; /* UINT32_MAX: for ever */
    uint32_t calls[SINKS_VERB_CLOSE + 1];
    uint64_t roll_time_ms;
    uint32_t roll_records; /* records after which it asks for the end; 0: never */
    int64_t refuse_every;  /* offsets that it refuses; 0: none */
    bool open;
    struct buf epoch_records; /* struct world_delivery of the open epoch */
    uint8_t visible[WORLD_TOPICS + 1][WORLD_PARTITIONS][WORLD_OFFSETS];
    uint64_t published[256]; /* epochs */
    uint32_t published_count;
};

struct world_delivery {
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset;
};

struct world_event {
    enum log_level level;
    char event[32];
};

struct world {
    struct io_loop loop;
    struct flow_log log;
    struct logger logger;
    struct task *first;
    struct task **last;
    struct io_timer *timers[WORLD_TIMERS];
    uint64_t now_ns;
    uint64_t random;
    struct world_worker workers[2];
    struct world_partition partitions[WORLD_TOPICS + 1][WORLD_PARTITIONS];
    uint32_t partition_count;
    bool no_dlq;
    struct world_sink sinks[2];
    uint32_t sink_count;
    struct list waiting; /* reads */
    uint64_t commits;    /* that came in */
    /* The commit whose number this is fails; `lost` says whether nothing of it happened. */
    uint64_t fail_commit;
    enum err_code commit_error;
    bool commit_lost;
    enum err_code snapshot_error; /* until it is cleared */
    uint64_t snapshots;
    uint32_t reads_held; /* answers that have not been released */
    struct world_event events[64];
    uint32_t event_count;
};

/* The loop. */

static inline struct world *world_of(struct io_loop *loop)
{
    return CONTAINER_OF(loop, struct world, loop);
}

static inline void world_post(struct io_loop *loop, struct task *task)
{
    struct world *w = world_of(loop);
    task->next = NULL;
    *w->last = task;
    w->last = &task->next;
}

static inline uint64_t world_now_ns(struct io_loop *loop)
{
    return world_of(loop)->now_ns;
}

static inline int64_t world_wall_ms(struct io_loop *loop)
{
    return INT64_C(1706700000000) + (int64_t)(world_of(loop)->now_ns / IO_MS);
}

static inline void world_random(struct io_loop *loop, void *out, size_t size)
{
    uint64_t number = unit_random(&world_of(loop)->random);
    assert_true(size <= sizeof(number));
    memcpy(out, &number, size);
}

static inline void world_timer_stop(struct io_loop *loop, struct io_timer *timer)
{
    struct world *w = world_of(loop);
    for (size_t i = 0; i < WORLD_TIMERS; i++)
        w->timers[i] = w->timers[i] == timer ? NULL : w->timers[i];
}

static inline void world_timer_start(struct io_loop *loop, struct io_timer *timer,
                                     uint64_t delay_ns)
{
    struct world *w = world_of(loop);
    world_timer_stop(loop, timer);
    timer->due_ns = w->now_ns + delay_ns;
    for (size_t i = 0; i < WORLD_TIMERS; i++) {
        if (!w->timers[i]) {
            w->timers[i] = timer;
            return;
        }
    }
    fail_msg("too many timers");
}

/* Workers. */

static inline void world_submit(struct io_worker *worker, struct io_job *job)
{
    struct world_worker *ww = CONTAINER_OF(worker, struct world_worker, worker);
    job->task.next = NULL;
    *ww->last = &job->task;
    ww->last = &job->task.next;
}

static inline void world_job_home(struct task *task)
{
    struct io_job *job = CONTAINER_OF(task, struct io_job, task);
    job->done(job);
}

static inline bool world_work(struct world_worker *ww)
{
    if (ww->held || !ww->first)
        return false;
    struct io_job *job = CONTAINER_OF(ww->first, struct io_job, task);
    ww->first = job->task.next;
    if (!ww->first)
        ww->last = &ww->first;
    job->work(job);
    job->task.run = world_job_home;
    io_post(job->home, &job->task);
    return true;
}

/* One task, or one job; false when nothing is to be done at this time. */
static inline bool world_step(struct world *w)
{
    struct task *task = w->first;
    if (!task)
        return world_work(&w->workers[0]) || world_work(&w->workers[1]);
    w->first = task->next;
    if (!w->first)
        w->last = &w->first;
    task->run(task);
    return true;
}

static inline void world_settle(struct world *w)
{
    for (uint32_t steps = 0; world_step(w); steps++)
        assert_true(steps < 1000000);
}

/* The timer due first, within `ns` from now. */
static inline struct io_timer *world_next_timer(struct world *w, uint64_t until_ns)
{
    struct io_timer *first = NULL;
    for (size_t i = 0; i < WORLD_TIMERS; i++) {
        struct io_timer *timer = w->timers[i];
        if (timer && timer->due_ns <= until_ns && (!first || timer->due_ns < first->due_ns))
            first = timer;
    }
    return first;
}

/* Time passes until the timer that is due first, which runs; nothing else does. */
static inline bool world_fire(struct world *w)
{
    struct io_timer *timer = world_next_timer(w, UINT64_MAX);
    if (!timer)
        return false;
    w->now_ns = timer->due_ns > w->now_ns ? timer->due_ns : w->now_ns;
    world_timer_stop(&w->loop, timer);
    timer->run(timer);
    return true;
}

/* Lets `ns` pass, with all that happens in them. */
static inline void world_advance(struct world *w, uint64_t ns)
{
    uint64_t until_ns = w->now_ns + ns;
    world_settle(w);
    while (world_next_timer(w, until_ns)) {
        (void)world_fire(w);
        world_settle(w);
    }
    w->now_ns = until_ns;
}

/* The log. */

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

static inline void world_sink_open(struct world *w, struct flow_sink_change *change)
{
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
                sink->cursors[sink->cursor_count++] =
                    (struct world_cursor){change->topic_ids[t], p, 0};
        }
    }
}

static inline err_t world_sink_prepare(struct world *w, const struct flow_sink_change *change)
{
    struct world_sink *sink = &w->sinks[change->sink_id - 1];
    if (sink->prepared || change->epoch != sink->epoch + 1)
        return err_make(ERR_INVALID);
    for (uint32_t i = 0; i < change->range_count; i++) {
        const struct flow_sink_range *range = &change->ranges[i];
        const struct world_cursor *cursor = world_cursor(sink, range->topic_id, range->partition);
        if (!cursor || cursor->offset != range->first_offset)
            return err_make(ERR_INVALID);
        assert_int_equal(range->delivered + range->dead_lettered,
                         range->end_offset - range->first_offset);
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
    for (uint32_t i = 0; i < sink->range_count; i++) {
        const struct flow_sink_range *range = &sink->ranges[i];
        world_cursor(sink, range->topic_id, range->partition)->offset = range->end_offset;
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
        world_sink_open(w, change);
    else if (change->op == FLOW_SINK_PREPARE)
        err = world_sink_prepare(w, change);
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
    if (!err_is_ok(p->read_error)) {
        world_answer(w, read, p->read_error);
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
    s->topic_count = w->no_dlq ? WORLD_DLQ : WORLD_TOPICS;
    s->topics = arena_alloc(&s->arena, s->topic_count * sizeof(*s->topics));
    if (!s->topics)
        return false;
    static const char *const names[] = {"", "cars", "planes", "cars.dlq", "planes.dlq"};
    for (uint32_t i = 0; i < s->topic_count; i++) {
        struct flow_topic_state *topic = &s->topics[i];
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
        for (uint32_t p = 0; p < topic->partition_count; p++)
            topic->end_offset[p] = w->partitions[i + 1][p].end_offset;
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

/* Appends records to a partition as one batch, and answers who waits for them. */
static inline void world_append(struct world *w, uint32_t topic_id, uint32_t partition,
                                uint32_t count)
{
    struct world_partition *p = &w->partitions[topic_id][partition];
    struct test_record records[WORLD_OFFSETS];
    assert_true(p->batch_count < WORLD_BATCHES && p->end_offset + count <= WORLD_OFFSETS);
    for (uint32_t i = 0; i < count; i++)
        records[i] = (struct test_record){1000 + i, "key", "{\"value\":1}"};
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    struct flow_batch batch = make_batch(&builder, p->end_offset, records, count);
    /* The bytes move to the log. */
    p->batches[p->batch_count++] = (struct world_batch){builder.bytes.data, batch.bytes.size,
                                                        p->end_offset, p->end_offset + count};
    p->end_offset += count;
    LIST_EACH_SAFE (link, &w->waiting) {
        struct flow_read *read = CONTAINER_OF(link, struct flow_read, link);
        if (read->topic_id == topic_id && read->partition == partition) {
            list_remove(link);
            world_serve(w, read);
        }
    }
}

/* The plug-in. */

static inline err_t plug_call(struct world_plug *plug, enum sinks_verb verb)
{
    plug->calls[verb]++;
    if (plug->fail_times[verb] == 0)
        return err_ok();
    if (plug->fail_times[verb] != UINT32_MAX)
        plug->fail_times[verb]--;
    return err_make(plug->fail[verb]);
}

static inline uint64_t plug_roll_time_ms(const void *options)
{
    const struct world_plug *plug = options;
    return plug->roll_time_ms;
}

static inline err_t plug_open(const struct sinks_open *open, void **instance, struct err_text *why)
{
    struct world_plug *plug = (struct world_plug *)(uintptr_t)open->options;
    (void)why;
    assert_false(plug->open);
    TRY(plug_call(plug, SINKS_VERB_OPEN));
    plug->open = true;
    *instance = plug;
    return err_ok();
}

static inline void plug_close(void *instance)
{
    struct world_plug *plug = instance;
    (void)plug_call(plug, SINKS_VERB_CLOSE);
    plug->open = false;
    buf_done(&plug->epoch_records);
}

static inline err_t plug_write(void *instance, const struct sinks_batch *batch,
                               struct sinks_result *result, struct err_text *why)
{
    struct world_plug *plug = instance;
    err_t err = plug_call(plug, SINKS_VERB_WRITE);
    if (!err_is_ok(err))
        return err_set(why, err.code, "the plug-in says no");
    struct flow_batch_iterator it = flow_batch_records(&batch->batch);
    struct flow_record record;
    while (err_is_ok(flow_batch_next(&it, &record))) {
        if (record.offset < batch->offset_min)
            continue;
        if (plug->refuse_every && record.offset % plug->refuse_every == 0) {
            TRY(sinks_refuse(result, record.offset, "sink", "no %d", (int)record.offset));
            continue;
        }
        struct world_delivery delivery = {batch->topic_id, batch->partition, record.offset};
        buf_add(&plug->epoch_records, &delivery, sizeof(delivery));
        result->delivered++;
    }
    size_t records = plug->epoch_records.size / sizeof(struct world_delivery);
    result->roll = plug->roll_records && records >= plug->roll_records;
    return buf_error(&plug->epoch_records);
}

static inline err_t plug_prepare(void *instance, uint64_t epoch,
                                 const struct flow_sink_range *ranges, uint32_t range_count,
                                 struct buf *outputs, struct err_text *why)
{
    struct world_plug *plug = instance;
    (void)why;
    assert_true(ranges && range_count > 0);
    TRY(plug_call(plug, SINKS_VERB_PREPARE));
    buf_add(outputs, &epoch, sizeof(epoch));
    buf_add_slice(outputs, buf_slice(&plug->epoch_records));
    buf_reset(&plug->epoch_records);
    return buf_error(outputs);
}

static inline err_t plug_publish(void *instance, struct slice outputs, struct err_text *why)
{
    struct world_plug *plug = instance;
    (void)why;
    uint64_t epoch;
    assert_true(outputs.size >= sizeof(epoch));
    memcpy(&epoch, outputs.data, sizeof(epoch));
    bool again = plug->published_count && plug->published[plug->published_count - 1] == epoch;
    if (!again) {
        assert_true(plug->published_count < 256);
        plug->published[plug->published_count++] = epoch;
        for (size_t i = sizeof(epoch); i < outputs.size; i += sizeof(struct world_delivery)) {
            struct world_delivery d;
            memcpy(&d, outputs.data + i, sizeof(d));
            plug->visible[d.topic_id][d.partition][d.offset]++;
        }
    }
    /* A failure comes after the deed: it must be done again without harm. */
    return plug_call(plug, SINKS_VERB_PUBLISH);
}

static inline void plug_discard(void *instance)
{
    struct world_plug *plug = instance;
    (void)plug_call(plug, SINKS_VERB_DISCARD);
    buf_reset(&plug->epoch_records);
}

static const struct sinks_plugin world_plugin = {
    .name = "test",
    .roll_time_ms = plug_roll_time_ms,
    .open = plug_open,
    .close = plug_close,
    .write = plug_write,
    .prepare = plug_prepare,
    .publish = plug_publish,
    .discard = plug_discard,
};

/* The world itself. */

static inline void world_note(struct logger *logger, enum log_level level, const char *event,
                              struct slice text)
{
    struct world *w = CONTAINER_OF(logger, struct world, logger);
    (void)text;
    assert_true(w->event_count < 64);
    struct world_event *e = &w->events[w->event_count++];
    e->level = level;
    (void)snprintf(e->event, sizeof(e->event), "%s", event);
}

static inline uint32_t world_events(const struct world *w, const char *event)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->event_count; i++)
        count += strcmp(w->events[i].event, event) == 0;
    return count;
}

static inline struct world *world_new(void)
{
    static const struct io_loop_ops loop_ops = {
        .post = world_post,
        .defer = world_post,
        .now_ns = world_now_ns,
        .wall_ms = world_wall_ms,
        .random = world_random,
        .timer_start = world_timer_start,
        .timer_stop = world_timer_stop,
    };
    static const struct io_worker_ops worker_ops = {.submit = world_submit};
    static const struct flow_log_ops log_ops = {
        .commit = world_commit,
        .read = world_read,
        .cancel = world_cancel,
        .release = world_release,
        .snapshot = world_snapshot,
    };
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->loop.ops = &loop_ops;
    w->log.ops = &log_ops;
    w->logger.write = world_note;
    w->last = &w->first;
    for (size_t i = 0; i < 2; i++) {
        w->workers[i].worker.ops = &worker_ops;
        w->workers[i].last = &w->workers[i].first;
    }
    list_init(&w->waiting);
    w->partition_count = 2;
    return w;
}

static inline void world_free(struct world *w)
{
    for (size_t t = 0; t <= WORLD_TOPICS; t++)
        for (size_t p = 0; p < WORLD_PARTITIONS; p++)
            for (uint32_t b = 0; b < w->partitions[t][p].batch_count; b++)
                mem_free(w->partitions[t][p].batches[b].bytes);
    for (size_t i = 0; i < 2; i++)
        buf_done(&w->sinks[i].outputs);
    free(w);
}

/* A runner for one of two sinks, on its own worker, over both topics. */
static inline struct sinks_runner *world_runner(struct world *w, struct world_plug *plug,
                                                uint32_t index)
{
    static const uint32_t topic_ids[] = {1, 2};
    struct sinks_runner_options options = {
        .loop = &w->loop,
        .worker = &w->workers[index].worker,
        .log = &w->log,
        .logger = &w->logger,
        .plugin = &world_plugin,
        .plugin_options = plug,
        .name = index ? "second" : "first",
        .topic_ids = topic_ids,
        .topic_count = 2,
    };
    struct sinks_runner *runner = NULL;
    err_t err = sinks_runner_new(&options, &runner);
    assert_true(err_is_ok(err));
    return runner;
}

/* The process dies: what was on its way is gone, and nothing of the runner was told. */
static inline void world_crash(struct world *w, struct sinks_runner **runner,
                               struct world_plug *plug)
{
    w->first = NULL;
    w->last = &w->first;
    list_init(&w->waiting);
    memset(w->timers, 0, sizeof(w->timers));
    w->reads_held = 0;
    for (size_t i = 0; i < 2; i++) {
        w->workers[i].first = NULL;
        w->workers[i].last = &w->workers[i].first;
        w->workers[i].held = false;
    }
    struct sinks_runner *r = *runner;
    flow_snapshot_done(&r->snapshot);
    for (uint32_t i = 0; i < r->lane_count; i++)
        r->lanes[i]->state = SINKS_LANE_IDLE;
    r->asked = 0;
    r->state = SINKS_STOPPED;
    sinks_runner_free(runner);
    plug->open = false;
    buf_done(&plug->epoch_records);
}

/* Every record of both topics was made visible once, or refused and is a dead letter. */
static inline void assert_all_delivered(struct world *w, const struct world_plug *plug,
                                        const char *name)
{
    const struct world_sink *sink = world_sink_named(w, slice_string(name));
    assert_non_null(sink);
    assert_false(sink->prepared);
    uint64_t delivered = 0;
    uint64_t refused = 0;
    for (uint32_t t = 1; t <= WORLD_DLQ; t++) {
        for (uint32_t p = 0; p < w->partition_count; p++) {
            for (int64_t o = 0; o < w->partitions[t][p].end_offset; o++) {
                bool refuse = plug->refuse_every && o % plug->refuse_every == 0;
                if (plug->visible[t][p][o] != !refuse)
                    fail_msg("topic %u partition %u offset %d: visible %d times", t, p, (int)o,
                             plug->visible[t][p][o]);
                *(refuse ? &refused : &delivered) += 1;
            }
        }
    }
    assert_int_equal(sink->delivered, delivered);
    assert_int_equal(sink->dead_lettered, refused);
    uint64_t letters =
        w->partitions[1 + WORLD_DLQ][0].letters + w->partitions[2 + WORLD_DLQ][0].letters;
    assert_int_equal(letters, refused);
}
