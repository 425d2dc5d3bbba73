#include "cli/echo.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The first record of a batch tells by its id which request it was in, and the load when that was
 * due. The clock is one, since both run on one loop.
 *
 * What goes wrong: batches of others, and those of a request that is forgotten, tell nothing.
 */

struct cli_echo {
    struct cli_echo_options options;
    const struct cli_echo_events *events;
    void *owner;
    struct cli_tap *tap;
    struct cli_echo_stats stats;
    struct buf unpacked;
};

static void note(struct cli_echo *echo, uint64_t sequence)
{
    uint64_t due_ns = cli_load_due_ns(echo->options.load, sequence);
    uint64_t now_ns = io_now_ns(echo->options.loop);
    struct cli_echo_stats *stats = &echo->stats;
    /* Of a request that is due later under a rate nothing can have come back. */
    if (due_ns == 0 || due_ns > now_ns)
        return;
    histogram_add(&stats->latency, now_ns - due_ns);
    if (now_ns - due_ns > stats->latency_max_ns)
        stats->latency_max_ns = now_ns - due_ns;
}

static void on_batch(void *owner, const struct flow_batch *batch)
{
    struct cli_echo *echo = owner;
    struct flow_batch plain = *batch;
    struct flow_record record;
    uint64_t sequence;
    if (!err_is_ok(flow_batch_unpack(&plain, FLOW_BATCH_UNPACKED_SIZE_MAX, &echo->unpacked)))
        return;
    struct flow_batch_iterator it = flow_batch_records(&plain);
    if (!err_is_ok(flow_batch_next(&it, &record)) ||
        !cli_events_sequence(echo->options.events, record.value, &sequence))
        return;
    /* A batch is one request's, so its first record speaks for all. */
    echo->stats.records += plain.record_count;
    note(echo, sequence);
}

static void on_ready(void *owner)
{
    struct cli_echo *echo = owner;
    echo->events->ready(echo->owner);
}

static void on_ended(void *owner, err_t err, const struct err_text *why)
{
    struct cli_echo *echo = owner;
    echo->events->ended(echo->owner, err, why);
}

static const struct cli_tap_events tap_events = {
    .ready = on_ready,
    .batch = on_batch,
    .ended = on_ended,
};

err_t cli_echo_new(const struct cli_echo_options *options, const struct cli_echo_events *events,
                   void *owner, struct cli_echo **out)
{
    ASSERT(options->load && options->events && events->ready && events->ended);
    struct cli_echo *echo = mem_zalloc(1, sizeof(*echo));
    const struct cli_tap_options tap = {
        .loop = options->loop,
        .access = options->access,
        .address = options->address,
        .topic = options->topic,
        .connections = 1,
        .follow = true,
    };
    if (!echo)
        return err_make(ERR_MEMORY);
    echo->options = *options;
    echo->events = events;
    echo->owner = owner;
    err_t err = cli_tap_new(&tap, &tap_events, echo, &echo->tap);
    if (err_is_ok(err))
        *out = echo;
    else
        mem_free(echo);
    return err;
}

void cli_echo_start(struct cli_echo *echo)
{
    cli_tap_start(echo->tap);
}

void cli_echo_stop(struct cli_echo *echo)
{
    cli_tap_stop(echo->tap);
}

const struct cli_echo_stats *cli_echo_stats(const struct cli_echo *echo)
{
    return &echo->stats;
}

void cli_echo_free(struct cli_echo **pointer)
{
    struct cli_echo *echo = *pointer;
    if (!echo)
        return;
    cli_tap_free(&echo->tap);
    buf_done(&echo->unpacked);
    mem_free(echo);
    *pointer = NULL;
}
