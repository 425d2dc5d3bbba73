/*
 * A step surveys the actors: how many have something to do now, and when the next one will. If none
 * has, the clock jumps to that moment and they are surveyed again. One of those that can run is
 * drawn and runs: a loop one turn, a worker one job. Loops and workers are few, so the survey is a
 * walk over lists.
 *
 * A turn is as in the real loop: due timers, mail, what was deferred. The real loop takes all its
 * mail; here a turn may also take only a part, which is what it would have seen had it come by a
 * little earlier. Without this, work that is gathered in a turn would nearly always be gathered
 * whole.
 *
 * What goes wrong: nothing by itself. Faults are the disk's (sim/disk.h) and the test's, which
 * stops the world between two steps and starts another on what is left.
 */

#include "sim/sim.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "io/heap.h"
#include "sim/random.h"

/* A date in 2023; nothing should depend on which. */
#define WALL_START_MS INT64_C(1700000000000)
#define STEP_NS_MAX (20 * IO_MS / 1000)
/* Now and then a machine stalls, and timers become due that usually do not. */
#define LONG_STEP_NS_MAX (20 * IO_MS)
#define LONG_STEP_EVERY 100u
#define LATENCY_NS_MAX IO_MS
#define TIMERS_RESERVED 256u
#define NEVER UINT64_MAX

struct queue {
    struct task *first;
    struct task **last;
    size_t count;
};

struct sim {
    struct list loops;
    struct list workers;
    struct sim_random random;
    uint64_t now_ns;
    int64_t wall_offset_ms;
    bool in_step;
};

struct sim_loop {
    struct io_loop io;
    struct list link;
    struct sim *sim;
    struct queue mail;
    struct queue deferred;
    struct io_heap timers;
};

struct sim_worker {
    struct io_worker io;
    struct list link;
    struct sim *sim;
    struct queue jobs;
    uint64_t latency_min_ns;
    uint64_t latency_max_ns;
    uint64_t ready_ns; /* when the first job is done */
};

static struct sim_loop *loop_of(struct io_loop *loop)
{
    ASSERT(loop);
    return CONTAINER_OF(loop, struct sim_loop, io);
}

static struct sim_worker *worker_of(struct io_worker *worker)
{
    ASSERT(worker);
    return CONTAINER_OF(worker, struct sim_worker, io);
}

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.last = &queue->first};
}

/* Tasks link through themselves, as in the real loop. */
static void queue_add(struct queue *queue, struct task *task)
{
    ASSERT(task);
    task->next = NULL;
    *queue->last = task;
    queue->last = &task->next;
    queue->count++;
}

static struct task *queue_take(struct queue *queue)
{
    struct task *task = queue->first;
    ASSERT(task && queue->count > 0);
    queue->first = task->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    task->next = NULL;
    return task;
}

/* What the tasks add to the same queue waits for another turn. */
static void run_tasks(struct queue *queue, size_t count)
{
    ASSERT(count <= queue->count);
    while (count-- > 0) {
        struct task *task = queue_take(queue);
        task->run(task);
    }
}

static void post(struct io_loop *io, struct task *task)
{
    ASSERT(task->run);
    queue_add(&loop_of(io)->mail, task);
}

static void defer(struct io_loop *io, struct task *task)
{
    ASSERT(task->run);
    queue_add(&loop_of(io)->deferred, task);
}

static uint64_t now_ns(struct io_loop *io)
{
    ASSERT(io);
    return loop_of(io)->sim->now_ns;
}

static int64_t wall_ms(struct io_loop *io)
{
    const struct sim *sim = loop_of(io)->sim;
    ASSERT(sim);
    return WALL_START_MS + sim->wall_offset_ms + (int64_t)(sim->now_ns / IO_MS);
}

static void fill_random(struct io_loop *io, void *out, size_t size)
{
    ASSERT(io);
    sim_random_bytes(&loop_of(io)->sim->random, out, size);
}

static void timer_start(struct io_loop *io, struct io_timer *timer, uint64_t delay_ns)
{
    struct sim_loop *loop = loop_of(io);
    uint64_t now = loop->sim->now_ns;
    /* NEVER is what a loop without timers says. */
    timer->due_ns = delay_ns < NEVER - now ? now + delay_ns : NEVER - 1;
    /* Room for TIMERS_RESERVED is there. Starting a timer cannot fail in io/loop.h, and a test that
     * lets allocations fail must not meet one here. */
    if (!err_is_ok(io_heap_put(&loop->timers, timer)))
        UNREACHABLE("no memory for a timer");
}

static void timer_stop(struct io_loop *io, struct io_timer *timer)
{
    io_heap_remove(&loop_of(io)->timers, timer);
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

static void job_to_front(struct sim_worker *worker)
{
    ASSERT(worker->jobs.first);
    struct sim *sim = worker->sim;
    worker->ready_ns = sim->now_ns + sim_random_between(&sim->random, worker->latency_min_ns,
                                                        worker->latency_max_ns);
}

static void run_done(struct task *task)
{
    struct io_job *job = CONTAINER_OF(task, struct io_job, task);
    ASSERT(job->done);
    job->done(job);
}

static void submit(struct io_worker *io, struct io_job *job)
{
    struct sim_worker *worker = worker_of(io);
    ASSERT(job->work && job->done && job->home);
    job->task.run = run_done;
    queue_add(&worker->jobs, &job->task);
    if (worker->jobs.count == 1)
        job_to_front(worker);
}

static const struct io_worker_ops worker_ops = {.submit = submit};

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = mem_zalloc(1, sizeof(*sim));
    if (!sim)
        return NULL;
    list_init(&sim->loops);
    list_init(&sim->workers);
    sim->random = sim_random_seed(seed);
    /* Monotonic clocks start anywhere. */
    sim->now_ns = sim_random_below(&sim->random, IO_SECOND);
    ASSERT(!sim->in_step);
    return sim;
}

void sim_free(struct sim **sim)
{
    if (!*sim)
        return;
    ASSERT(!(*sim)->in_step);
    LIST_EACH_SAFE (link, &(*sim)->loops) {
        struct sim_loop *loop = CONTAINER_OF(link, struct sim_loop, link);
        /* Timers that are started are told; tasks and jobs may be gone, and are not touched. */
        io_heap_done(&loop->timers);
        mem_free(loop);
    }
    LIST_EACH_SAFE (link, &(*sim)->workers)
        mem_free(CONTAINER_OF(link, struct sim_worker, link));
    mem_free(*sim);
    *sim = NULL;
}

struct io_loop *sim_loop_new(struct sim *sim)
{
    ASSERT(sim);
    struct sim_loop *loop = mem_zalloc(1, sizeof(*loop));
    if (!loop)
        return NULL;
    if (!err_is_ok(io_heap_reserve(&loop->timers, TIMERS_RESERVED))) {
        mem_free(loop);
        return NULL;
    }
    loop->io.ops = &loop_ops;
    loop->sim = sim;
    queue_init(&loop->mail);
    queue_init(&loop->deferred);
    list_add_tail(&sim->loops, &loop->link);
    return &loop->io;
}

struct io_worker *sim_worker_new(struct sim *sim)
{
    ASSERT(sim);
    struct sim_worker *worker = mem_zalloc(1, sizeof(*worker));
    if (!worker)
        return NULL;
    worker->io.ops = &worker_ops;
    worker->sim = sim;
    worker->latency_max_ns = LATENCY_NS_MAX;
    queue_init(&worker->jobs);
    list_add_tail(&sim->workers, &worker->link);
    return &worker->io;
}

void sim_worker_set_latency(struct io_worker *io, uint64_t min_ns, uint64_t max_ns)
{
    ASSERT(min_ns <= max_ns);
    worker_of(io)->latency_min_ns = min_ns;
    worker_of(io)->latency_max_ns = max_ns;
}

/* When the loop can run next: 0 at once, NEVER when nothing waits. */
static uint64_t loop_ready_ns(const struct sim_loop *loop)
{
    if (loop->mail.first || loop->deferred.first)
        return 0;
    const struct io_timer *first = io_heap_first(&loop->timers);
    ASSERT(!first || first->due_ns != NEVER);
    return first ? first->due_ns : NEVER;
}

static uint64_t worker_ready_ns(const struct sim_worker *worker)
{
    ASSERT(worker->latency_min_ns <= worker->latency_max_ns);
    return worker->jobs.first ? worker->ready_ns : NEVER;
}

/* Those that were started before this turn: a timer that starts itself with no delay would else
 * never let the turn end. */
static void run_timers(struct sim_loop *loop)
{
    uint64_t order_max = loop->timers.order;
    uint64_t now = loop->sim->now_ns;
    for (;;) {
        struct io_timer *first = io_heap_first(&loop->timers);
        if (!first || first->due_ns > now || first->order > order_max)
            return;
        io_heap_remove(&loop->timers, first);
        ASSERT(first->run);
        first->run(first);
    }
}

static void run_loop(struct sim_loop *loop)
{
    struct sim_random *random = &loop->sim->random;
    run_timers(loop);
    size_t count = loop->mail.count;
    if (count > 1 && sim_random_chance(random, 1, 2))
        count = sim_random_between(random, 1, count);
    run_tasks(&loop->mail, count);
    run_tasks(&loop->deferred, loop->deferred.count);
}

static void run_worker(struct sim_worker *worker)
{
    struct io_job *job = CONTAINER_OF(queue_take(&worker->jobs), struct io_job, task);
    ASSERT(worker->ready_ns <= worker->sim->now_ns);
    /* The next one's time runs from here on, also while this one works. */
    if (worker->jobs.first)
        job_to_front(worker);
    job->work(job);
    /* The answer takes the way of all mail, so it may be overtaken by what other actors do. */
    io_post(job->home, &job->task);
}

/* Who can run, and when somebody can. */
struct survey {
    uint64_t next_ns;
    size_t ready;
    size_t chosen; /* the actor of this number runs */
};

static bool survey_one(struct survey *survey, const struct sim *sim, uint64_t ready_ns)
{
    if (ready_ns < survey->next_ns)
        survey->next_ns = ready_ns;
    ASSERT(survey->ready <= survey->chosen || survey->chosen == SIZE_MAX);
    return ready_ns <= sim->now_ns && survey->ready++ == survey->chosen;
}

/* Counts the actors that can run; runs the chosen one. */
static bool visit(struct sim *sim, struct survey *survey)
{
    ASSERT(sim->in_step);
    survey->next_ns = NEVER;
    survey->ready = 0;
    LIST_EACH (link, &sim->loops) {
        struct sim_loop *loop = CONTAINER_OF(link, struct sim_loop, link);
        if (survey_one(survey, sim, loop_ready_ns(loop))) {
            run_loop(loop);
            return true;
        }
    }
    LIST_EACH (link, &sim->workers) {
        struct sim_worker *worker = CONTAINER_OF(link, struct sim_worker, link);
        if (survey_one(survey, sim, worker_ready_ns(worker))) {
            run_worker(worker);
            return true;
        }
    }
    return false;
}

bool sim_step(struct sim *sim)
{
    ASSERT(!sim->in_step);
    sim->in_step = true;
    /* Before the survey: what becomes due by the passing of time is part of who can run. */
    bool slow = sim_random_chance(&sim->random, 1, LONG_STEP_EVERY);
    sim->now_ns += sim_random_below(&sim->random, slow ? LONG_STEP_NS_MAX : STEP_NS_MAX);
    struct survey survey = {.chosen = SIZE_MAX};
    /* SIZE_MAX chooses nobody: this only counts. */
    (void)visit(sim, &survey);
    if (survey.ready == 0 && survey.next_ns != NEVER) {
        sim->now_ns = survey.next_ns;
        (void)visit(sim, &survey);
    }
    if (survey.ready > 0) {
        /* Each with the same chance, whatever it has waited: the scheduler of a busy machine is not
         * fair. */
        survey.chosen = sim_random_below(&sim->random, survey.ready);
        bool ran = visit(sim, &survey);
        ASSERT(ran);
    }
    sim->in_step = false;
    return survey.next_ns != NEVER || survey.ready > 0;
}

bool sim_run_until(struct sim *sim, bool (*reached)(void *context), void *context,
                   uint64_t steps_max)
{
    ASSERT(reached);
    for (uint64_t step = 0; step < steps_max; step++) {
        if (reached(context))
            return true;
        /* Nothing waits and nothing is due: what was not reached by this point never will be. */
        if (!sim_step(sim))
            break;
    }
    return reached(context);
}

void sim_drop_all(struct sim *sim)
{
    ASSERT(!sim->in_step);
    LIST_EACH (link, &sim->loops) {
        struct sim_loop *loop = CONTAINER_OF(link, struct sim_loop, link);
        queue_init(&loop->mail);
        queue_init(&loop->deferred);
        /* One by one, so that timers know that they are stopped; the heap keeps its room. */
        while (io_heap_first(&loop->timers))
            io_heap_remove(&loop->timers, io_heap_first(&loop->timers));
    }
    LIST_EACH (link, &sim->workers)
        queue_init(&CONTAINER_OF(link, struct sim_worker, link)->jobs);
}

void sim_wall_jump(struct sim *sim, int64_t ms)
{
    ASSERT(sim);
    /* As an operator's date(1) or an NTP step does; the monotonic clock goes on as it was. */
    sim->wall_offset_ms += ms;
}
