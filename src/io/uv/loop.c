/*
 * A turn of the loop: timers that are due; then polling, in which sockets are read and the
 * mailbox is emptied; then what was deferred by any of them; then handles that were closed. Work
 * that many reads of one turn gathered is so handed over once.
 *
 * The mailbox is a stack that senders push to with one compare-and-swap and that the loop takes
 * whole with one exchange; reversed, it is in the order of the pushes. Only the sender that finds
 * it empty wakes the loop: any other knows that a wake is under way that will take its task too.
 *
 * What goes wrong: a wake that comes when the mailbox has been taken already finds nothing, which
 * is harmless. A task posted after the loop has stopped stays in the mailbox until it runs again,
 * and is forgotten when it is freed. Timers live on the milliseconds of libuv, rounded up; one
 * that fires before the time on the finer clock is set again.
 */

#include "io/uv/loop_int.h"

#include <errno.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"

#define TIMERS_RESERVED 256u
#define THREAD_NAME_SIZE 16u

struct io_uv_loop *io_uv_loop_of(struct io_loop *loop)
{
    ASSERT(loop);
    return CONTAINER_OF(loop, struct io_uv_loop, io);
}

static void queue_init(struct io_uv_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_add(struct io_uv_queue *queue, struct task *task)
{
    ASSERT(task->run);
    task->next = NULL;
    *queue->last = task;
    queue->last = &task->next;
}

static void run_all(struct task *task)
{
    while (task) {
        /* The task may be queued again or freed by what it runs. */
        struct task *next = task->next;
        task->run(task);
        task = next;
    }
}

static void post(struct io_loop *io, struct task *task)
{
    struct io_uv_loop *loop = io_uv_loop_of(io);
    ASSERT(task->run);
    struct task *head = atomic_load_explicit(&loop->mail, memory_order_relaxed);
    do
        task->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->mail, &head, task, memory_order_release,
                                                  memory_order_relaxed));
    /* The task may have run and be gone by here; only the loop itself is touched. */
    if (!head)
        uv_async_send(&loop->wake);
}

static void take_mail(uv_async_t *wake)
{
    struct io_uv_loop *loop = CONTAINER_OF(wake, struct io_uv_loop, wake);
    ASSERT(wake->loop == &loop->uv);
    struct task *newest = atomic_exchange_explicit(&loop->mail, NULL, memory_order_acquire);
    /* Reversed on the way: the stack has the newest on top. */
    struct task *oldest = NULL;
    while (newest) {
        struct task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    run_all(oldest);
}

static void stay_awake(uv_idle_t *idle)
{
    ASSERT(uv_is_active((uv_handle_t *)idle));
}

static void defer(struct io_loop *io, struct task *task)
{
    struct io_uv_loop *loop = io_uv_loop_of(io);
    if (!loop->deferred.first && !loop->freeing)
        ASSERT(uv_idle_start(&loop->busy, stay_awake) == 0);
    queue_add(&loop->deferred, task);
}

static void run_deferred(uv_check_t *check)
{
    struct io_uv_loop *loop = CONTAINER_OF(check, struct io_uv_loop, after);
    struct task *first = loop->deferred.first;
    if (!first)
        return;
    /* What these defer themselves waits for the next turn's reads. */
    queue_init(&loop->deferred);
    ASSERT(uv_idle_stop(&loop->busy) == 0);
    run_all(first);
}

static uint64_t now_ns(struct io_loop *io)
{
    ASSERT(io);
    return uv_hrtime();
}

static int64_t wall_ms(struct io_loop *io)
{
    ASSERT(io);
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void fill_random(struct io_loop *io, void *out, size_t size)
{
    ASSERT(io);
    uint8_t *bytes = out;
    while (size > 0) {
        ssize_t got = getrandom(bytes, size, 0);
        ASSERT(got > 0 || errno == EINTR);
        if (got > 0) {
            bytes += got;
            size -= (size_t)got;
        }
    }
}

static void run_timers(uv_timer_t *clock);

/* Sets libuv's one timer for the first of ours, unless it comes before that anyway. */
static void set_clock(struct io_uv_loop *loop)
{
    const struct io_timer *first = io_heap_first(&loop->timers);
    if (!first || first->due_ns >= loop->clock_ns || loop->freeing)
        return;
    uint64_t now = uv_hrtime();
    /* Never 0: libuv would run the clock again before it polls. */
    uint64_t wait_ns = first->due_ns > now ? first->due_ns - now : 1;
    uint64_t wait_ms = wait_ns / IO_MS + (wait_ns % IO_MS != 0);
    ASSERT(uv_timer_start(&loop->clock, run_timers, wait_ms, 0) == 0);
    loop->clock_ns = first->due_ns;
}

static void run_timers(uv_timer_t *clock)
{
    struct io_uv_loop *loop = CONTAINER_OF(clock, struct io_uv_loop, clock);
    ASSERT(loop->clock_ns != UINT64_MAX);
    /* 0: timers started meanwhile leave the clock alone until all that are due have run. */
    loop->clock_ns = 0;
    uint64_t now = uv_hrtime();
    /* What is started by these waits for the next round, however short its delay. */
    uint64_t order_max = loop->timers.order;
    for (;;) {
        struct io_timer *first = io_heap_first(&loop->timers);
        if (!first || first->due_ns > now || first->order > order_max)
            break;
        io_heap_remove(&loop->timers, first);
        first->run(first);
    }
    loop->clock_ns = UINT64_MAX;
    set_clock(loop);
}

static void timer_start(struct io_loop *io, struct io_timer *timer, uint64_t delay_ns)
{
    struct io_uv_loop *loop = io_uv_loop_of(io);
    uint64_t now = uv_hrtime();
    timer->due_ns = delay_ns < UINT64_MAX - now ? now + delay_ns : UINT64_MAX - 1;
    /* A timer that never runs would leave its owner waiting for ever. */
    if (!err_is_ok(io_heap_put(&loop->timers, timer)))
        UNREACHABLE("no memory for a timer");
    set_clock(loop);
}

static void timer_stop(struct io_loop *io, struct io_timer *timer)
{
    io_heap_remove(&io_uv_loop_of(io)->timers, timer);
    ASSERT(timer->heap_index == 0);
}

static const struct io_loop_ops loop_ops = {
    .post = post,
    .defer = defer,
    .now_ns = now_ns,
    .wall_ms = wall_ms,
    .random = fill_random,
    .timer_start = timer_start,
    .timer_stop = timer_stop,
};

static void stop_now(struct task *task)
{
    struct io_uv_loop *loop = CONTAINER_OF(task, struct io_uv_loop, stop);
    ASSERT(atomic_load(&loop->stopping));
    atomic_store(&loop->stopping, false);
    /* The turn is finished first: what it has deferred still runs. */
    uv_stop(&loop->uv);
}

/* libuv's loop and the handles that live as long as it does. */
static err_t open_uv(struct io_uv_loop *loop)
{
    int status = uv_loop_init(&loop->uv);
    if (status < 0)
        return err_from_errno(-status);
    status = uv_async_init(&loop->uv, &loop->wake, take_mail);
    if (status < 0) {
        ASSERT(uv_loop_close(&loop->uv) == 0);
        return err_from_errno(-status);
    }
    ASSERT(uv_timer_init(&loop->uv, &loop->clock) == 0);
    ASSERT(uv_check_init(&loop->uv, &loop->after) == 0);
    ASSERT(uv_idle_init(&loop->uv, &loop->busy) == 0);
    ASSERT(uv_check_start(&loop->after, run_deferred) == 0);
    return err_ok();
}

err_t io_uv_loop_new(struct io_loop **out)
{
    ASSERT(out);
    struct io_uv_loop *loop = mem_alloc_aligned(_Alignof(struct io_uv_loop), sizeof(*loop));
    if (!loop)
        return err_make(ERR_MEMORY);
    /* The mailbox's cache line is why this is not mem_zalloc. */
    memset(loop, 0, sizeof(*loop));
    loop->io = (struct io_loop){.ops = &loop_ops, .tcp = &io_uv_tcp_ops};
    loop->clock_ns = UINT64_MAX;
    loop->stop.run = stop_now;
    queue_init(&loop->deferred);
    err_t err = io_heap_reserve(&loop->timers, TIMERS_RESERVED);
    if (err_is_ok(err))
        err = open_uv(loop);
    if (!err_is_ok(err)) {
        io_heap_done(&loop->timers);
        mem_free(loop);
        return err;
    }
    *out = &loop->io;
    return err_ok();
}

void io_uv_loop_run(struct io_loop *io)
{
    struct io_uv_loop *loop = io_uv_loop_of(io);
    ASSERT(uv_loop_alive(&loop->uv));
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void *run_thread(void *argument)
{
    io_uv_loop_run(argument);
    return NULL;
}

err_t io_uv_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
    ASSERT(name && run);
    int error = pthread_create(thread, NULL, run, argument);
    if (error != 0)
        return err_from_errno(error);
    char cut[THREAD_NAME_SIZE];
    snprintf(cut, sizeof(cut), "%s", name);
    pthread_setname_np(*thread, cut);
    return err_ok();
}

err_t io_uv_loop_start(struct io_loop *io, const char *name)
{
    struct io_uv_loop *loop = io_uv_loop_of(io);
    ASSERT(!loop->started);
    TRY(io_uv_thread_start(&loop->thread, name, run_thread, io));
    loop->started = true;
    return err_ok();
}

void io_uv_loop_stop(struct io_loop *io)
{
    struct io_uv_loop *loop = io_uv_loop_of(io);
    ASSERT(loop->stop.run == stop_now);
    if (!atomic_exchange(&loop->stopping, true))
        post(io, &loop->stop);
}

void io_uv_loop_join(struct io_loop *io)
{
    struct io_uv_loop *loop = io_uv_loop_of(io);
    ASSERT(loop->started);
    ASSERT(pthread_join(loop->thread, NULL) == 0);
    loop->started = false;
}

static void close_handle(uv_handle_t *handle, void *context)
{
    ASSERT(context == NULL);
    if (uv_is_closing(handle))
        return;
    if (handle->type == UV_POLL) {
        struct io_uv_socket *socket = CONTAINER_OF(handle, struct io_uv_socket, poll);
        socket->abandon(socket);
    } else if (handle->type == UV_SIGNAL) {
        io_uv_signal_abandon(handle);
    } else {
        uv_close(handle, NULL);
    }
}

void io_uv_loop_free(struct io_loop **io)
{
    if (!*io)
        return;
    struct io_uv_loop *loop = io_uv_loop_of(*io);
    ASSERT(!loop->started);
    /* Callbacks of what is closing run below and may start timers or defer; nothing of libuv may be
     * started for them any more. */
    loop->freeing = true;
    uv_walk(&loop->uv, close_handle, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0)
        continue;
    ASSERT(uv_loop_close(&loop->uv) == 0);
    io_heap_done(&loop->timers);
    mem_free(loop);
    *io = NULL;
}
