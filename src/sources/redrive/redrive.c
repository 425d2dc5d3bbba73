#include "sources/redrive/redrive_int.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * What is asked is refused at once (behind the call) or becomes a walk or a job of its own. A stop
 * waits for all of them; jobs are cancelled for it, walks are short.
 */

#define WALK_READ_SIZE (1u << 20)

/* Somebody reads. */
struct walking {
    struct sources_redrive *redrive;
    struct flow_letters_walk *walk;
    struct redrive_queue queue;
    bool enough;
};

static struct sources_redrive *redrive_of(struct flow_letters *letters)
{
    ASSERT(letters);
    return CONTAINER_OF(letters, struct sources_redrive, letters);
}

static void tell_stopped(struct task *task)
{
    struct sources_redrive *redrive = CONTAINER_OF(task, struct sources_redrive, stop_task);
    ASSERT(redrive->active == 0);
    redrive->stopped(redrive->stopped_owner);
}

/* Behind the call that ended the last one, which still has its own to put in order. */
static void look_stopped(struct sources_redrive *redrive)
{
    if (!redrive->stopping || redrive->active > 0 || redrive->stop_told)
        return;
    redrive->stop_told = true;
    redrive->stop_task.run = tell_stopped;
    io_post(redrive->options.loop, &redrive->stop_task);
}

void redrive_ended(struct sources_redrive *redrive)
{
    ASSERT(redrive->active > 0);
    redrive->active--;
    look_stopped(redrive);
}

static void end_walk(struct walking *w, err_t err)
{
    struct flow_letters_walk *walk = w->walk;
    struct sources_redrive *redrive = w->redrive;
    ASSERT(redrive->active > 0);
    walk->error = err;
    walk->next_offset = w->queue.position;
    walk->end_offset = w->queue.end;
    walk->complete = err_is_ok(err) && w->queue.position >= w->queue.end;
    redrive_queue_done(&w->queue);
    mem_free(w);
    redrive_ended(redrive);
    walk->done(walk);
}

static void walk_on(struct walking *w)
{
    ASSERT(w->queue.known);
    if (w->enough || w->queue.position >= w->queue.end ||
        w->queue.read_bytes >= w->walk->size_max || w->redrive->stopping)
        end_walk(w, err_ok());
    else
        redrive_queue_step(&w->queue, WALK_READ_SIZE);
}

static void walk_learned(struct redrive_queue *queue, err_t err)
{
    struct walking *w = queue->owner;
    ASSERT(w->walk);
    if (!err_is_ok(err)) {
        end_walk(w, err);
        return;
    }
    w->walk->held = queue->held;
    walk_on(w);
}

static void walk_stepped(struct redrive_queue *queue, err_t err)
{
    struct walking *w = queue->owner;
    ASSERT(queue->position >= 0);
    if (err_is(err, ERR_OFFSET_RANGE))
        redrive_queue_learn(queue);
    else if (err_is_ok(err))
        walk_on(w);
    else
        end_walk(w, err);
}

static bool walk_letter(struct redrive_queue *queue, const struct flow_letter *letter)
{
    struct walking *w = queue->owner;
    ASSERT(!w->enough);
    if (flow_letter_matches(letter, &w->walk->filter))
        w->enough = !w->walk->letter(w->walk, letter);
    return !w->enough;
}

static void walk_refused(struct task *task)
{
    struct flow_letters_walk *walk = CONTAINER_OF(task, struct flow_letters_walk, task);
    struct sources_redrive *redrive = walk->implementer;
    ASSERT(!err_is_ok(walk->error));
    redrive_ended(redrive);
    walk->done(walk);
}

static void walk_begin(struct flow_letters *letters, struct flow_letters_walk *walk)
{
    struct sources_redrive *redrive = redrive_of(letters);
    struct walking *w = redrive->stopping ? NULL : mem_zalloc(1, sizeof *w);
    err_t err = err_make(redrive->stopping ? ERR_CANCELLED : ERR_MEMORY);
    bool named = w && redrive_queue_init(&w->queue, &redrive->options, walk->topic);
    redrive->active++;
    if (!named) {
        walk->error = w ? err_make(ERR_NOT_FOUND) : err;
        mem_free(w);
        walk->implementer = redrive;
        walk->task.run = walk_refused;
        io_post(redrive->options.loop, &walk->task);
        return;
    }
    ASSERT(walk->letter && walk->done);
    w->redrive = redrive;
    w->walk = walk;
    w->queue.owner = w;
    w->queue.learned = walk_learned;
    w->queue.letter = walk_letter;
    w->queue.stepped = walk_stepped;
    w->queue.position = walk->offset > 0 ? walk->offset : 0;
    redrive_queue_learn(&w->queue);
}

static void begin_refused(struct task *task)
{
    struct flow_letters_begin *begin = CONTAINER_OF(task, struct flow_letters_begin, task);
    struct sources_redrive *redrive = begin->implementer;
    ASSERT(!err_is_ok(begin->error));
    redrive_ended(redrive);
    begin->done(begin);
}

/* OK when the job is under way. */
static err_t try_begin(struct sources_redrive *redrive, struct flow_letters_begin *begin)
{
    struct redrive_queue queue;
    if (redrive->stopping)
        return err_set(&begin->why, ERR_CANCELLED, "the server is stopping");
    if (!redrive_queue_init(&queue, &redrive->options, begin->order.topic))
        return err_set(&begin->why, ERR_NOT_FOUND, "there is no such topic with dead letters");
    const struct redrive_job *job = redrive_job_find(redrive, begin->order.topic);
    ASSERT(redrive->job_number > 0 || !job);
    if (job && job->at != REDRIVE_OVER)
        return err_set(&begin->why, ERR_EXISTS,
                       "a redrive or purge of this topic is running; wait for it, or cancel it");
    return redrive_job_begin(redrive, begin);
}

static void job_begin(struct flow_letters *letters, struct flow_letters_begin *begin)
{
    struct sources_redrive *redrive = redrive_of(letters);
    err_t err = try_begin(redrive, begin);
    if (err_is_ok(err))
        return;
    ASSERT(begin->done);
    redrive->active++;
    begin->error = err;
    begin->implementer = redrive;
    begin->task.run = begin_refused;
    io_post(redrive->options.loop, &begin->task);
}

static bool job_state(struct flow_letters *letters, struct slice topic,
                      struct flow_letters_state *out)
{
    const struct redrive_job *job = redrive_job_find(redrive_of(letters), topic);
    ASSERT(out);
    if (job)
        *out = job->state;
    /* Until its end is written down, it is not over. */
    if (job && job->at != REDRIVE_OVER && out->phase >= FLOW_LETTERS_FINISHED)
        out->phase = FLOW_LETTERS_RUNNING;
    return job;
}

static bool job_cancel(struct flow_letters *letters, struct slice topic)
{
    struct redrive_job *job = redrive_job_find(redrive_of(letters), topic);
    ASSERT(topic.size > 0);
    bool runs = job && job->at != REDRIVE_OVER;
    if (runs)
        redrive_job_cancel(job);
    return runs;
}

static const struct flow_letters_ops letters_ops = {
    .walk = walk_begin, .begin = job_begin, .state = job_state, .cancel = job_cancel};

err_t sources_redrive_new(const struct sources_redrive_options *options,
                          struct sources_redrive **out)
{
    ASSERT(options->loop && options->log && options->inlet);
    struct sources_redrive *redrive = mem_zalloc(1, sizeof *redrive);
    if (!redrive)
        return err_make(ERR_MEMORY);
    redrive->letters.ops = &letters_ops;
    redrive->options = *options;
    list_init(&redrive->jobs);
    *out = redrive;
    return err_ok();
}

err_t sources_redrive_set_sinks(struct sources_redrive *redrive,
                                struct flow_redeliver *const *sinks, uint32_t count)
{
    ASSERT(!redrive->sinks && list_empty(&redrive->jobs));
    redrive->sinks = mem_zalloc(count + 1u, sizeof(struct flow_redeliver *));
    if (!redrive->sinks)
        return err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < count; i++)
        redrive->sinks[i] = sinks[i];
    redrive->sink_count = count;
    return err_ok();
}

struct flow_letters *sources_redrive_letters(struct sources_redrive *redrive)
{
    ASSERT(redrive);
    return &redrive->letters;
}

void sources_redrive_stop(struct sources_redrive *redrive, void (*stopped)(void *owner),
                          void *owner)
{
    ASSERT(stopped && !redrive->stopping);
    redrive->stopping = true;
    redrive->stopped = stopped;
    redrive->stopped_owner = owner;
    LIST_EACH (link, &redrive->jobs) {
        struct redrive_job *job = CONTAINER_OF(link, struct redrive_job, link);
        if (job->at != REDRIVE_OVER)
            redrive_job_cancel(job);
    }
    look_stopped(redrive);
}

void sources_redrive_free(struct sources_redrive **redrive_pointer)
{
    struct sources_redrive *redrive = *redrive_pointer;
    if (!redrive)
        return;
    ASSERT(redrive->active == 0);
    struct list *link;
    while ((link = list_pop(&redrive->jobs)))
        redrive_job_free(CONTAINER_OF(link, struct redrive_job, link));
    mem_free(redrive->sinks);
    mem_free(redrive);
    *redrive_pointer = NULL;
}
