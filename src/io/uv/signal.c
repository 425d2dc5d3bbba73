/*
 * A signal's task is the owner's and must not be queued while it waits, so a task of the watch is
 * queued in its place, at most once. It is deferred, not called: the handler runs between the reads
 * of a turn, and what a signal asks for (stop, reload) should find the turn complete.
 */

#include <signal.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "io/uv/loop_int.h"

struct signal_watch {
    uv_signal_t handle;
    struct io_loop *loop;
    struct task *task;
    struct task relay; /* queued in place of `task`, so that the latter is in no queue twice */
    bool waiting;
};

static void run_task(struct task *relay)
{
    struct signal_watch *watch = CONTAINER_OF(relay, struct signal_watch, relay);
    ASSERT(watch->waiting);
    watch->waiting = false;
    watch->task->run(watch->task);
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct signal_watch *watch = CONTAINER_OF(handle, struct signal_watch, handle);
    ASSERT(signal_number == handle->signum);
    if (watch->waiting)
        return;
    watch->waiting = true;
    io_defer(watch->loop, &watch->relay);
}

static void on_closed(uv_handle_t *handle)
{
    struct signal_watch *watch = CONTAINER_OF(handle, struct signal_watch, handle);
    ASSERT(uv_is_closing(handle));
    mem_free(watch);
}

void io_uv_signal_abandon(uv_handle_t *handle)
{
    ASSERT(handle->type == UV_SIGNAL);
    /* The loop keeps a signal handle of its own, which is not ours to free. */
    if (((uv_signal_t *)handle)->signal_cb == on_signal)
        uv_close(handle, on_closed);
}

err_t io_uv_on_signal(struct io_loop *loop, int signal_number, struct task *task)
{
    ASSERT(task->run);
    struct signal_watch *watch = mem_zalloc(1, sizeof(*watch));
    if (!watch)
        return err_make(ERR_MEMORY);
    watch->loop = loop;
    watch->task = task;
    watch->relay.run = run_task;
    int status = uv_signal_init(&io_uv_loop_of(loop)->uv, &watch->handle);
    if (status < 0) {
        mem_free(watch);
        return err_from_errno(-status);
    }
    status = uv_signal_start(&watch->handle, on_signal, signal_number);
    if (status < 0) {
        uv_close((uv_handle_t *)&watch->handle, on_closed);
        return err_from_errno(-status);
    }
    return err_ok();
}
