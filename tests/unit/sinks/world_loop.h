#pragma once

/*
 * The small world of unit/sinks/world.h: what it consists of, its loop and its workers.
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
    int64_t start_offset;
    int64_t end_offset;
    uint64_t letters;               /* appended as a sink's dead letters */
    uint8_t settled[WORLD_OFFSETS]; /* of a DLQ: how often */
    err_t read_error;               /* of reads, until it is cleared */
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
    bool redrives;
    struct flow_sink_range ranges[WORLD_PARTITIONS * WORLD_TOPICS];
    uint32_t range_count;
    struct buf outputs;
    struct world_cursor cursors[WORLD_PARTITIONS * WORLD_TOPICS];
    uint32_t cursor_count;
    uint64_t delivered;
    uint64_t dead_lettered;
    uint64_t expired;
};

struct world_worker {
    struct io_worker worker;
    struct world *world;
    struct task *first;
    struct task **last;
    bool held;
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
    bool deleted[WORLD_TOPICS + 1];
    bool refuse_prepare; /* with ERR_INVALID, for no reason */
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
