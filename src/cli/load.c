/*
 * A lane is a channel (cli/carrier.h) and the request that it carries. The request is composed when
 * the lane is free and a request is due, sent, and kept as it is until its outcome is known; the
 * connection comes and goes meanwhile. Lanes that are free while nothing is due wait in a list.
 *
 * What goes wrong: a connection that closes before the answer leaves the outcome open, which is
 * written down, and the same bytes are sent again over the next connection. An answer that says
 * "later" is followed by a pause; whether it leaves the outcome open is for it to say. Any other
 * answer than counts would be the same next time, so it ends the load. A server that is away is
 * looked for again and again, until patience is over.
 */

#include "cli/load.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/time.h"
#include "cli/door.h"

#define SWEEP_NS (250 * IO_MS)
#define BACKOFF_MIN_NS (5 * IO_MS)
#define BACKOFF_MAX_NS (250 * IO_MS)

/* Requests whose due times are known: more than can be under way. */
#define DUE_COUNT 65536u

struct due {
    uint64_t first;
    uint64_t due_ns;
};

struct lane {
    struct list link; /* of the load's free lanes */
    struct cli_load *load;
    struct cli_channel *channel;
    struct io_timer timer; /* until it connects or sends again */
    struct cli_request request;
    uint8_t *body;
    uint64_t number; /* of its next request, or of the one that has no answer */
    uint32_t tries;
    uint32_t failures; /* connections without an answer, in a row */
    uint64_t due_ns;
    uint64_t sent_ns;
    bool ready;     /* connected */
    bool open;      /* `request` is composed and has no outcome */
    bool in_flight; /* sent, not answered */
    bool pausing;   /* `timer` is started */
};

struct cli_load {
    struct cli_load_options options;
    struct cli_load_stats stats;
    struct due *due; /* ring, by a request's number; NULL: not kept */
    struct list free_lanes;
    struct io_timer pace;  /* until the next request is due */
    struct io_timer sweep; /* looks for what takes too long */
    struct task end_task;
    uint64_t started_ns;
    uint64_t heard_ns; /* when there was progress last, or nothing to wait for */
    uint64_t random;
    uint32_t open_count;
    uint32_t channel_count;
    bool reached; /* a connection was made once */
    bool stopping;
    bool ending;
    err_t ended_for;
    struct err_text why;
    void (*ended)(void *owner, err_t err, const struct err_text *why);
    void *owner;
    int64_t time_ms; /* that `time` says */
    char time[CLI_EVENTS_TIME_SIZE];
    struct lane lanes[];
};

static void lane_connect(struct lane *lane);
static void lane_go(struct lane *lane);

static uint32_t record_count(const struct cli_request *request)
{
    return request->fresh + request->again_count;
}

static uint64_t now_ns(const struct cli_load *load)
{
    return io_now_ns(load->options.loop);
}

/* From a task of its own: the owner may free everything, and callers are not done yet. */
static void finish_if_over(struct cli_load *load)
{
    if (load->ending && load->channel_count == 0)
        io_defer(load->options.loop, &load->end_task);
}

/* The request goes nowhere any more. */
static void lane_drop(struct lane *lane)
{
    struct cli_load *load = lane->load;
    ASSERT(lane->open && load->open_count > 0);
    lane->open = false;
    load->open_count--;
}

static void lane_give_up(struct lane *lane)
{
    struct cli_load *load = lane->load;
    load->stats.given_up += record_count(&lane->request);
    /* However often it was sent, it is there once or not at all. */
    if (load->options.numbered)
        cli_acks_unanswered(load->options.acks, &lane->request);
    lane_drop(lane);
}

/* Closes everything; the last connection that has closed reports the end. What was sent counts as
 * unanswered by then, so nothing is decided about it here. */
static void end_with(struct cli_load *load, err_t err)
{
    if (load->ending)
        return;
    load->ending = true;
    load->ended_for = err;
    io_timer_stop(load->options.loop, &load->pace);
    io_timer_stop(load->options.loop, &load->sweep);
    for (uint32_t i = 0; i < load->options.connections; i++) {
        struct lane *lane = &load->lanes[i];
        io_timer_stop(load->options.loop, &lane->timer);
        /* What is on its way is given up when its connection has closed: until then an answer may
         * come. */
        if (lane->open && !lane->in_flight)
            lane_give_up(lane);
        if (lane->channel)
            cli_channel_close(lane->channel);
    }
    finish_if_over(load);
}

/* Everything has been composed that will be. */
static bool is_exhausted(const struct cli_load *load)
{
    uint64_t count = load->options.count > 0 ? load->options.count : CLI_EVENTS_COUNT_MAX;
    return load->stopping || load->stats.sent >= count;
}

static void end_if_all_is_told(struct cli_load *load)
{
    if (is_exhausted(load) && load->open_count == 0)
        end_with(load, err_ok());
}

/* Brings `time` up to now; formatted once a millisecond at the most. */
static err_t refresh_time(struct cli_load *load)
{
    int64_t ms = io_wall_ms(load->options.loop);
    struct buf text = {0};
    if (ms == load->time_ms)
        return err_ok();
    buf_add_time(&text, ms);
    err_t err = buf_error(&text);
    if (err_is_ok(err)) {
        ASSERT(text.size == CLI_EVENTS_TIME_SIZE);
        memcpy(load->time, text.data, CLI_EVENTS_TIME_SIZE);
        load->time_ms = ms;
    }
    buf_done(&text);
    return err;
}

/* Which records come next. */
static struct cli_request choose(struct cli_load *load)
{
    const struct cli_load_options *options = &load->options;
    uint64_t sent = load->stats.sent;
    uint64_t slots = sent + load->stats.again;
    uint32_t batch = options->events->options.batch;
    uint64_t again =
        cli_share_of(options->duplicates, slots + batch) - cli_share_of(options->duplicates, slots);
    /* Only what was sent before can be sent again, so the first requests have none. */
    if (again > sent)
        again = 0;
    /* All requests are of one length, so that a rate in records is one in requests; the last takes
     * what is left. */
    uint64_t fresh = batch - again;
    if (options->count > 0 && fresh > options->count - sent)
        fresh = options->count - sent;
    /* Repeats are of what earlier requests sent, so that no request has a record twice. */
    return (struct cli_request){
        .first = sent,
        .fresh = (uint32_t)fresh,
        .again = again > 0 ? cli_draw(&load->random, sent - again + 1) : 0,
        .again_count = (uint32_t)again,
    };
}

/* Whether a request is due now; when it is due later, sees to it that a free lane will send it. */
static bool is_due(struct cli_load *load, uint64_t *due_ns)
{
    uint64_t now = now_ns(load);
    *due_ns = now;
    if (load->options.rate == 0)
        return true;
    uint64_t slots = load->stats.sent + load->stats.again;
    *due_ns =
        load->started_ns + (uint64_t)((unsigned __int128)slots * IO_SECOND / load->options.rate);
    if (*due_ns <= now)
        return true;
    io_timer_start(load->options.loop, &load->pace, *due_ns - now);
    return false;
}

/* Requests are of one length, so a sequence tells which one. */
static struct due *due_of(const struct cli_load *load, uint64_t sequence)
{
    ASSERT(load->due);
    return &load->due[sequence / load->options.events->options.batch % DUE_COUNT];
}

uint64_t cli_load_due_ns(const struct cli_load *load, uint64_t sequence)
{
    uint64_t batch = load->options.events->options.batch;
    const struct due *due = due_of(load, sequence);
    return due->first / batch == sequence / batch ? due->due_ns : 0;
}

/* Makes the lane's next request; false when there is none now. */
static bool compose(struct lane *lane)
{
    struct cli_load *load = lane->load;
    const struct cli_events *events = load->options.events;
    ASSERT(!lane->open);
    if (load->ending || is_exhausted(load) || !is_due(load, &lane->due_ns))
        return false;
    struct cli_request request = choose(load);
    err_t err = err_ok();
    if (load->options.keeps_acks)
        /* Before it is sent: what was sent and cannot be noted would be missing from the
         * comparison. */
        err = cli_acks_reserve(load->options.acks, request.first + request.fresh);
    if (err_is_ok(err))
        err = refresh_time(load);
    lane->request = request;
    if (!err_is_ok(err)) {
        end_with(load, err);
        return false;
    }
    cli_events_fill(events, lane->body, 0, request.fresh, request.first, load->time);
    cli_events_fill(events, lane->body, request.fresh, request.again_count, request.again,
                    load->time);
    cli_events_end(events, lane->body, record_count(&request), load->time_ms);
    if (load->due)
        *due_of(load, request.first) = (struct due){request.first, lane->due_ns};
    load->stats.sent += request.fresh;
    load->stats.again += request.again_count;
    lane->open = true;
    lane->tries = 0;
    load->open_count++;
    return true;
}

/* Sends the lane's request, for the first time or once more; the bytes are the same. */
static void lane_send(struct lane *lane)
{
    struct cli_load *load = lane->load;
    uint32_t count = record_count(&lane->request);
    const struct cli_carrier_request request = {
        .body = slice_make(lane->body, cli_events_size(load->options.events, count)),
        .count = count,
        .number = lane->number,
    };
    load->stats.retries += lane->tries > 0;
    lane->tries++;
    /* Before the send: when that fails, the connection's end counts the request as lost. */
    lane->in_flight = true;
    lane->sent_ns = now_ns(load);
    /* A failure closes the connection, which is where it is dealt with. */
    cli_channel_send(lane->channel, &request);
}

/* The connection is free: what is open goes out first, then what is due; else it waits. */
static void lane_go(struct lane *lane)
{
    struct cli_load *load = lane->load;
    ASSERT(lane->ready && !lane->in_flight);
    if (lane->open || compose(lane))
        lane_send(lane);
    else if (!load->ending)
        list_add_tail(&load->free_lanes, &lane->link);
}

/* Something is due: each free lane takes a request, until what is next is due later. */
static void on_pace(struct io_timer *timer)
{
    struct cli_load *load = CONTAINER_OF(timer, struct cli_load, pace);
    while (!list_empty(&load->free_lanes)) {
        struct lane *lane = CONTAINER_OF(load->free_lanes.next, struct lane, link);
        /* In the list until there is something to send: composing starts the timer for what is due
         * later. */
        if (!compose(lane))
            return;
        list_remove(&lane->link);
        lane_send(lane);
    }
}

/* Looks at what takes too long: an answer, or any progress at all. */
static void on_sweep(struct io_timer *timer)
{
    struct cli_load *load = CONTAINER_OF(timer, struct cli_load, sweep);
    const struct cli_load_options *options = &load->options;
    uint64_t now = now_ns(load);
    for (uint32_t i = 0; i < options->connections; i++) {
        struct lane *lane = &load->lanes[i];
        if (!lane->in_flight || now - lane->sent_ns < options->timeout_ms * IO_MS)
            continue;
        /* A connection that is late is closed and not waited for: its answer would be taken for
         * that of the next request. */
        load->stats.timeouts++;
        cli_channel_close(lane->channel);
    }
    /* A free lane means that nothing is due, so there is nothing to be impatient for. */
    if (load->open_count == 0 && !list_empty(&load->free_lanes))
        load->heard_ns = now;
    if (now - load->heard_ns >= options->patience_ms * IO_MS) {
        (void)err_set(&load->why, ERR_TIMEOUT, "no answer from %s for %llu s", options->address,
                      (unsigned long long)(options->patience_ms / 1000));
        end_with(load, err_make(ERR_TIMEOUT));
        return;
    }
    io_timer_start(options->loop, timer, SWEEP_NS);
}

static void pause_for(struct lane *lane, uint64_t delay_ns)
{
    lane->pausing = true;
    io_timer_start(lane->load->options.loop, &lane->timer, delay_ns);
}

static void on_timer(struct io_timer *timer)
{
    struct lane *lane = CONTAINER_OF(timer, struct lane, timer);
    lane->pausing = false;
    if (!lane->channel)
        lane_connect(lane);
    else if (lane->ready && !lane->in_flight)
        lane_go(lane);
}

static void outcome_unknown(struct lane *lane)
{
    struct cli_load *load = lane->load;
    load->stats.lost++;
    /* A number is sent until it is answered, and counts once: there will be no second copy. */
    if (!load->options.numbered)
        cli_acks_unanswered(load->options.acks, &lane->request);
}

/* The request's counts have come. */
static void take_counts(struct lane *lane, const struct cli_carrier_answer *told)
{
    struct cli_load *load = lane->load;
    const struct cli_answer *answer = &told->counts;
    struct cli_load_stats *stats = &load->stats;
    uint64_t now = now_ns(load);
    /* From when it was due, tries and pauses included: what a producer would have waited. */
    uint64_t latency = now - lane->due_ns;
    /* Counted even so: the report shows both, and a sum that is off is a trace of the fault. */
    if (told->kind == CLI_CARRIER_WHOLE)
        cli_acks_whole(load->options.acks, &lane->request, answer->accepted > 0);
    else if (!cli_acks_answered(load->options.acks, &lane->request, answer))
        stats->wrong++;
    lane->number++;
    stats->accepted += answer->accepted;
    stats->duplicates += answer->duplicates;
    stats->dead_lettered += answer->dead_lettered;
    stats->refused += answer->refused;
    stats->requests++;
    stats->bytes += cli_events_size(load->options.events, record_count(&lane->request));
    stats->answered_ns = load->heard_ns = now;
    histogram_add(&stats->latency, latency);
    if (latency > stats->latency_max_ns)
        stats->latency_max_ns = latency;
    lane_drop(lane);
}

/* Everything else than counts; the request may be sent again. */
static void take_refusal(struct lane *lane, const struct cli_carrier_answer *answer)
{
    struct cli_load *load = lane->load;
    /* It may be in the log, or come there yet: a second delivery of its records is then explained
     * by this note. */
    if (answer->maybe_taken)
        outcome_unknown(lane);
    if (answer->kind == CLI_CARRIER_FINAL) {
        (void)err_set(&load->why, ERR_INVALID, "%s", answer->detail);
        lane_give_up(lane);
        end_with(load, err_make(ERR_INVALID));
        return;
    }
    if (!load->options.retry)
        lane_give_up(lane);
    pause_for(lane, answer->pause_ns);
}

static void on_answer(void *owner, const struct cli_carrier_answer *answer)
{
    struct lane *lane = owner;
    struct cli_load *load = lane->load;
    lane->in_flight = false;
    /* It lives, so the next connection is looked for at once. */
    lane->failures = 0;
    if (answer->status < CLI_LOAD_STATUS_MAX)
        load->stats.statuses[answer->status]++;
    if (answer->kind == CLI_CARRIER_LATER || answer->kind == CLI_CARRIER_FINAL) {
        take_refusal(lane, answer);
    } else {
        take_counts(lane, answer);
        if (answer->persistent)
            lane_go(lane);
    }
    end_if_all_is_told(load);
}

static void on_ready(void *owner)
{
    struct lane *lane = owner;
    lane->ready = true;
    lane->load->reached = true;
    lane_go(lane);
}

/* The next connection: at once after an answer, else later and later. */
static void reconnect(struct lane *lane)
{
    uint64_t delay = 0;
    if (lane->failures > 0)
        /* A shift has to end somewhere; the cap comes long before. */
        delay = BACKOFF_MIN_NS << (lane->failures < 8 ? lane->failures : 8);
    lane->failures++;
    if (delay > BACKOFF_MAX_NS)
        delay = BACKOFF_MAX_NS;
    pause_for(lane, delay);
}

/* The lane has no connection. */
static void disconnected(struct lane *lane, err_t err, const char *detail)
{
    struct cli_load *load = lane->load;
    if (!load->ending && !load->reached && !load->options.waits_for_server) {
        (void)err_set(
            &load->why, ERR_CLOSED,
            "no server at %s (%s); start one with `garner serve`, or say where it is with "
            "--server",
            load->options.address, detail);
        end_with(load, err);
    }
    /* A pause that the server has asked for is not cut short. */
    if (!load->ending && !lane->pausing)
        reconnect(lane);
    end_if_all_is_told(load);
}

static void on_closed(void *owner, err_t err, const char *detail)
{
    struct lane *lane = owner;
    struct cli_load *load = lane->load;
    cli_channel_free(&lane->channel);
    load->channel_count--;
    list_remove(&lane->link);
    lane->ready = false;
    /* The request had gone out, whole or not: only an answer could say what became of it. */
    if (lane->in_flight) {
        lane->in_flight = false;
        outcome_unknown(lane);
        if (load->ending || !load->options.retry)
            lane_give_up(lane);
    }
    if (!load->ending && cli_door_is_final(err)) {
        (void)err_set(&load->why, ERR_INVALID, "%s", detail);
        end_with(load, err_make(ERR_INVALID));
    } else if (load->ending) {
        finish_if_over(load);
    } else {
        disconnected(lane, err, detail);
    }
}

static const struct cli_carrier_events lane_events = {
    .ready = on_ready,
    .answer = on_answer,
    .closed = on_closed,
};

static void lane_connect(struct lane *lane)
{
    struct cli_load *load = lane->load;
    struct err_text why = {0};
    ASSERT(!lane->channel && !load->ending);
    err_t err = cli_channel_open(load->options.carrier, (uint32_t)(lane - load->lanes),
                                 &lane_events, lane, &lane->channel, &why);
    if (err_is_ok(err))
        load->channel_count++;
    else
        disconnected(lane, err, err_detail(err, &why));
}

static void run_end(struct task *task)
{
    struct cli_load *load = CONTAINER_OF(task, struct cli_load, end_task);
    ASSERT(load->ending && load->channel_count == 0);
    load->ended(load->owner, load->ended_for, &load->why);
}

static err_t lane_init(struct lane *lane, struct cli_load *load)
{
    lane->load = load;
    lane->timer.run = on_timer;
    lane->body = cli_events_body(load->options.events);
    return lane->body ? err_ok() : err_make(ERR_MEMORY);
}

err_t cli_load_new(const struct cli_load_options *options, struct cli_load **out)
{
    ASSERT(options->connections > 0 && options->duplicates.whole > 0);
    ASSERT(!options->numbered || (options->retry && options->duplicates.part == 0));
    ASSERT(!options->keeps_due || options->duplicates.part == 0);
    struct cli_load *load =
        mem_zalloc(1, sizeof(*load) + options->connections * sizeof(load->lanes[0]));
    if (!load)
        return err_make(ERR_MEMORY);
    load->options = *options;
    /* The same seed chooses the same repeats. */
    load->random = options->seed;
    load->pace.run = on_pace;
    load->sweep.run = on_sweep;
    load->end_task.run = run_end;
    load->time_ms = INT64_MIN;
    list_init(&load->free_lanes);
    err_t err = err_ok();
    if (options->keeps_due)
        load->due = mem_zalloc(DUE_COUNT, sizeof(*load->due));
    if (options->keeps_due && !load->due)
        err = err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < options->connections && err_is_ok(err); i++)
        err = lane_init(&load->lanes[i], load);
    if (err_is_ok(err))
        *out = load;
    else
        cli_load_free(&load);
    return err;
}

void cli_load_start(struct cli_load *load,
                    void (*ended)(void *owner, err_t err, const struct err_text *why), void *owner)
{
    ASSERT(!load->ended && ended);
    load->ended = ended;
    load->owner = owner;
    load->started_ns = load->heard_ns = now_ns(load);
    io_timer_start(load->options.loop, &load->sweep, SWEEP_NS);
    for (uint32_t i = 0; i < load->options.connections && !load->ending; i++)
        lane_connect(&load->lanes[i]);
}

void cli_load_stop(struct cli_load *load)
{
    ASSERT(load->ended);
    load->stopping = true;
    end_if_all_is_told(load);
}

void cli_load_cancel(struct cli_load *load)
{
    ASSERT(load->ended);
    end_with(load, err_make(ERR_CANCELLED));
}

const struct cli_load_stats *cli_load_stats(const struct cli_load *load)
{
    return &load->stats;
}

void cli_load_free(struct cli_load **pointer)
{
    struct cli_load *load = *pointer;
    if (!load)
        return;
    ASSERT(load->channel_count == 0);
    for (uint32_t i = 0; i < load->options.connections; i++)
        mem_free(load->lanes[i].body);
    mem_free(load->due);
    mem_free(load);
    *pointer = NULL;
}
