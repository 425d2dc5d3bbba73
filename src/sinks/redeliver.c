#include "sinks/runner_int.h"

#include "base/assert.h"

/*
 * Dead letters that come back wait in a line until no epoch is open, and are then one of their own:
 * written, prepared, published and committed by the steps that every epoch takes. So that they do
 * not wait for minutes, the open epoch ends a second after it began; so that they do not keep
 * records waiting, an epoch of records comes between two of letters.
 *
 * Failure modes: what fails before the log has heard of the epoch is given back as it was. From
 * then on the log alone knows: a failed commit, and whatever fails behind it, leaves the letters
 * with the runner until a snapshot has shown their epoch as ended, or as never prepared; a prepared
 * one is finished first, like any other. A runner that stops before says that it does not know.
 */

/* An epoch of records is this old before letters end it: files of less would be too many. */
#define OPEN_NS IO_SECOND

static void come_home(struct task *task)
{
    struct flow_redelivery *redelivery = CONTAINER_OF(task, struct flow_redelivery, task);
    ASSERT(redelivery->answered);
    redelivery->done(redelivery);
}

/* By a task, since the asker's `done` may free what this is in the midst of. */
static void answer(struct sinks_runner *runner, struct flow_redelivery *redelivery, err_t err,
                   const char *why)
{
    ASSERT(!redelivery->answered && !list_linked(&redelivery->link));
    redelivery->answered = true;
    redelivery->error = err;
    redelivery->why = (struct err_text){0};
    if (!err_is_ok(err))
        (void)err_set(&redelivery->why, (enum err_code)err.code, "sink %s: %s", runner->name, why);
    redelivery->task.run = come_home;
    io_post(runner->options.loop, &redelivery->task);
}

static struct sinks_runner *runner_of(struct flow_redeliver *redeliver)
{
    ASSERT(redeliver);
    return CONTAINER_OF(redeliver, struct sinks_runner, redeliver);
}

/* In a task of its own: an answer never comes within the call. */
static void take(struct flow_redeliver *redeliver, struct flow_redelivery *redelivery)
{
    struct sinks_runner *runner = runner_of(redeliver);
    ASSERT(redelivery->count > 0 && redelivery->ranges && redelivery->done);
    redelivery->answered = false;
    redelivery->taken = 0;
    if (runner->stopping || runner->state == SINKS_NEW) {
        answer(runner, redelivery, err_make(ERR_CANCELLED), "it is stopping");
        return;
    }
    /* What it says of itself then is better than to wait for it without a word. */
    if (runner->state == SINKS_WAITING) {
        answer(runner, redelivery, err_make(ERR_BUSY), runner->error.text);
        return;
    }
    list_add_tail(&runner->redeliveries, &redelivery->link);
    if (runner->state != SINKS_READING)
        return;
    if (runner->begun)
        sinks_runner_hurry(runner);
    else
        sinks_runner_pump(runner);
}

/* One that is the open epoch goes its way: the plug-in has it. */
static void cancel(struct flow_redeliver *redeliver, struct flow_redelivery *redelivery)
{
    struct sinks_runner *runner = runner_of(redeliver);
    ASSERT(redelivery->done);
    if (!list_linked(&redelivery->link))
        return;
    list_remove(&redelivery->link);
    answer(runner, redelivery, err_make(ERR_CANCELLED), "cancelled");
}

void sinks_redeliver_init(struct sinks_runner *runner)
{
    ASSERT(runner->name);
    list_init(&runner->redeliveries);
    runner->redeliver = (struct flow_redeliver){runner->name, take, cancel};
}

bool sinks_redeliver_next(struct sinks_runner *runner)
{
    ASSERT(!runner->begun && !runner->current);
    if (list_empty(&runner->redeliveries) || (runner->redrove && !list_empty(&runner->ready)))
        return false;
    struct list *link = list_pop(&runner->redeliveries);
    runner->current = CONTAINER_OF(link, struct flow_redelivery, link);
    runner->current_epoch = 0;
    return true;
}

uint64_t sinks_redeliver_roll_ns(const struct sinks_runner *runner, uint64_t roll_ns)
{
    ASSERT(roll_ns > 0);
    bool hurries = !list_empty(&runner->redeliveries) && OPEN_NS < roll_ns;
    return hurries ? OPEN_NS : roll_ns;
}

/* Neighbours are one range: a queue of this sink alone is one entry an epoch. */
uint32_t sinks_redeliver_ranges(struct sinks_runner *runner)
{
    struct flow_redelivery *redelivery = runner->current;
    struct flow_sink_range *ranges = redelivery->ranges;
    uint32_t count = 0;
    for (uint32_t i = 0; i < redelivery->taken; i++) {
        const struct flow_redelivery_letter *letter = &redelivery->letters[i];
        ASSERT(i == 0 || letter->letter_offset > letter[-1].letter_offset);
        if (letter->refused)
            continue;
        if (count > 0 && ranges[count - 1].end_offset == letter->letter_offset) {
            ranges[count - 1].end_offset++;
            ranges[count - 1].delivered++;
            continue;
        }
        ranges[count++] = (struct flow_sink_range){
            .topic_id = redelivery->dlq_id,
            .partition = redelivery->dlq_partition,
            .first_offset = letter->letter_offset,
            .end_offset = letter->letter_offset + 1,
            .delivered = 1,
        };
    }
    return count;
}

void sinks_redeliver_answer(struct sinks_runner *runner, err_t err, const char *why)
{
    struct flow_redelivery *redelivery = runner->current;
    ASSERT(redelivery && !runner->calling);
    runner->current = NULL;
    runner->current_epoch = 0;
    answer(runner, redelivery, err, why);
}

void sinks_redeliver_refuse(struct sinks_runner *runner, err_t err, const char *why)
{
    ASSERT(!err_is_ok(err));
    struct list *link;
    while ((link = list_pop(&runner->redeliveries)))
        answer(runner, CONTAINER_OF(link, struct flow_redelivery, link), err, why);
}

void sinks_redeliver_learn(struct sinks_runner *runner)
{
    ASSERT(!runner->calling);
    if (!runner->current || runner->recovered)
        return;
    bool ended = runner->current_epoch > 0 && runner->epoch >= runner->current_epoch;
    sinks_redeliver_answer(runner, err_make(ended ? ERR_OK : ERR_BUSY),
                           ended ? "" : "its epoch was not prepared");
}
