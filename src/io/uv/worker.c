/*
 * A queue under a lock, taken whole: a worker's jobs take far longer than the lock is held, so
 * there is nothing to gain from being clever. `work` runs without the lock, and the job goes back
 * to its home through the home's mailbox, where the lock of the queue does not matter.
 *
 * What goes wrong: a job that never returns keeps its worker, and the freeing of it, for ever;
 * deadlines are the business of those who make jobs.
 */

#include <pthread.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "io/uv/loop_int.h"

struct io_uv_worker {
    struct io_worker io;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under `lock`. */
    struct task *first;
    struct task **last;
    bool ending;
};

static struct io_uv_worker *worker_of(struct io_worker *worker)
{
    ASSERT(worker);
    return (struct io_uv_worker *)worker;
}

static void run_done(struct task *task)
{
    struct io_job *job = CONTAINER_OF(task, struct io_job, task);
    ASSERT(job->done);
    job->done(job);
}

static void submit(struct io_worker *io, struct io_job *job)
{
    struct io_uv_worker *worker = worker_of(io);
    ASSERT(job->work && job->done && job->home);
    job->task = (struct task){.run = run_done};
    pthread_mutex_lock(&worker->lock);
    ASSERT(!worker->ending);
    *worker->last = &job->task;
    worker->last = &job->task.next;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

/* Waits for what has been submitted and takes all of it; NULL once the worker ends. */
static struct task *take(struct io_uv_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    /* What was submitted before the end is still done. */
    while (!worker->first && !worker->ending)
        pthread_cond_wait(&worker->changed, &worker->lock);
    struct task *first = worker->first;
    ASSERT(first || worker->ending);
    worker->first = NULL;
    worker->last = &worker->first;
    pthread_mutex_unlock(&worker->lock);
    return first;
}

static void *run(void *argument)
{
    struct io_uv_worker *worker = argument;
    struct task *task;
    while ((task = take(worker))) {
        while (task) {
            /* From the post on, the job is its home's again. */
            struct task *next = task->next;
            struct io_job *job = CONTAINER_OF(task, struct io_job, task);
            job->work(job);
            io_post(job->home, &job->task);
            task = next;
        }
    }
    return NULL;
}

static const struct io_worker_ops worker_ops = {.submit = submit};

err_t io_uv_worker_new(const char *name, struct io_worker **out)
{
    ASSERT(out);
    struct io_uv_worker *worker = mem_zalloc(1, sizeof(*worker));
    if (!worker)
        return err_make(ERR_MEMORY);
    worker->io.ops = &worker_ops;
    worker->last = &worker->first;
    ASSERT(pthread_mutex_init(&worker->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&worker->changed, NULL) == 0);
    err_t err = io_uv_thread_start(&worker->thread, name, run, worker);
    if (!err_is_ok(err))
        goto destroy;
    *out = &worker->io;
    return err_ok();

destroy:
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    mem_free(worker);
    return err;
}

void io_uv_worker_free(struct io_worker **io)
{
    if (!*io)
        return;
    struct io_uv_worker *worker = worker_of(*io);
    pthread_mutex_lock(&worker->lock);
    worker->ending = true;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    ASSERT(pthread_join(worker->thread, NULL) == 0);
    ASSERT(!worker->first);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    mem_free(worker);
    *io = NULL;
}
