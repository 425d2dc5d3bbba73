#pragma once

/*
 * Event loops, workers, clocks and timers: the part of the door to the world that schedules.
 *
 * A loop is one thread (or, in the simulator, one turn-taking actor) that runs tasks, timers and
 * socket callbacks one at a time. An actor lives on one loop and is touched by no other. Loops
 * talk by io_post alone. A worker is a thread for calls that block: it runs jobs one after the
 * other in the order they came. Callbacks never run inside the call that starts them.
 *
 * The real implementation is io/uv, the simulated one sim. Unless said otherwise a function is
 * called on the thread of the loop it is given.
 */

#include "base/assert.h"
#include "base/err.h"
#include "base/task.h"

struct io_loop;
struct io_timer;
struct io_job;

struct io_loop_ops {
    void (*post)(struct io_loop *loop, struct task *task);
    void (*defer)(struct io_loop *loop, struct task *task);
    uint64_t (*now_ns)(struct io_loop *loop);
    int64_t (*wall_ms)(struct io_loop *loop);
    void (*random)(struct io_loop *loop, void *out, size_t size);
    void (*timer_start)(struct io_loop *loop, struct io_timer *timer, uint64_t delay_ns);
    void (*timer_stop)(struct io_loop *loop, struct io_timer *timer);
};

/* The head of every implementation's loop. */
struct io_loop {
    const struct io_loop_ops *ops;
    const struct io_tcp_ops *tcp; /* io/tcp.h; NULL where there are no sockets */
};

struct io_worker;

struct io_worker_ops {
    void (*submit)(struct io_worker *worker, struct io_job *job);
};

struct io_worker {
    const struct io_worker_ops *ops;
};

/* A one-shot timer, embedded in its owner; zero-initialise, then set `run`. It may be started
 * again from its own `run`. */
struct io_timer {
    void (*run)(struct io_timer *timer);
    uint64_t due_ns;
    size_t heap_index; /* the loop's: position + 1, 0 when it is not started */
    uint64_t order;    /* the loop's: which of equal times was started first */
};

/* Work that may block. `work` runs on the worker and touches only what the job owns; then `done`
 * runs on `home`. The job is the worker's from io_offload until `done`. */
struct io_job {
    struct task task; /* the implementation's */
    struct io_loop *home;
    void (*work)(struct io_job *job);
    void (*done)(struct io_job *job);
};

/* Hands `task` to the loop's mailbox: complete hand-over of what it is embedded in, in order for
 * one sender. From any thread. */
static inline void io_post(struct io_loop *loop, struct task *task)
{
    ASSERT(task->run);
    loop->ops->post(loop, task);
}

/* Runs `task` at the end of this turn of the loop, after everything that is ready to be read has
 * been read: the place to hand over what one turn has gathered. */
static inline void io_defer(struct io_loop *loop, struct task *task)
{
    ASSERT(task->run);
    loop->ops->defer(loop, task);
}

/* Monotonic nanoseconds. From any thread. */
static inline uint64_t io_now_ns(struct io_loop *loop)
{
    ASSERT(loop);
    return loop->ops->now_ns(loop);
}

/* Milliseconds since 1970 UTC; may jump. From any thread. */
static inline int64_t io_wall_ms(struct io_loop *loop)
{
    ASSERT(loop);
    return loop->ops->wall_ms(loop);
}

/* Unpredictable bytes (in the simulator: the seed's). */
static inline void io_random(struct io_loop *loop, void *out, size_t size)
{
    ASSERT(out || size == 0);
    loop->ops->random(loop, out, size);
}

/* Calls `timer->run` once, not before `delay_ns`; starting a started timer moves it. */
static inline void io_timer_start(struct io_loop *loop, struct io_timer *timer, uint64_t delay_ns)
{
    ASSERT(timer->run);
    loop->ops->timer_start(loop, timer, delay_ns);
}

/* Stops it; harmless when it is not started. */
static inline void io_timer_stop(struct io_loop *loop, struct io_timer *timer)
{
    ASSERT(timer);
    loop->ops->timer_stop(loop, timer);
}

/* Queues `job` on `worker`. From any thread. */
static inline void io_offload(struct io_worker *worker, struct io_job *job)
{
    ASSERT(job->work && job->done && job->home);
    worker->ops->submit(worker, job);
}

#define IO_MS UINT64_C(1000000)
#define IO_SECOND UINT64_C(1000000000)
