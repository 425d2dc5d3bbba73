#include "sinks/runner_int.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The happy path is a walk round the table of states: the sink is registered, a snapshot tells the
 * cursors, the plug-in is opened and cleaned, and then epochs follow each other: read and write,
 * prepare, commit that, publish, commit the end. One call of the plug-in, one commit, one snapshot
 * at a time; reads of all partitions go on beside them.
 *
 * Failure modes: whatever fails ends in `fail`, which throws away what this process believed and,
 * after a pause, learns from the log again; so a failed publish is met again as a prepared epoch,
 * and a failed write as records behind the cursor. After a failed commit the sink is registered
 * again first: only a commit that came back OK proves that the outcome of the earlier one is
 * settled, and only then may what might have been prepared be discarded.
 *
 * Retention and deletion may take records away under the sink: a read finds nothing at its offset,
 * a commit is refused. That is no failure of the sink: it learns at once, says how many records
 * expired, and goes on from where its cursor stands. Only when the log says the same as before it
 * is one, so that this cannot turn in a circle.
 */

/* A moment's trouble is over after a tenth of a second; a service that is down for hours is asked
 * twice a minute, which neither it nor the log will notice. */
#define PAUSE_MIN_NS (100 * IO_MS)
#define PAUSE_MAX_NS (30 * IO_SECOND)
#define BREAKER_FAILURES 5u
#define STALL_NS (60 * IO_SECOND)
/* A partition whose end was reached with little rests so long, so that a trickle is read a handful
 * at a time: a read a flush would take the intake a good part of a core. */
#define REST_NS (10 * IO_MS)
#define REST_SIZE_MAX (UINT64_C(64) << 10)
#define MEMORY_LIMIT_DEFAULT (UINT64_C(16) << 20)
/* An epoch's dead letters are held in memory until its commit. */
#define LETTERS_SIZE_MAX (UINT64_C(1) << 20)

static void enter(struct sinks_runner *runner, enum sinks_state to);

const char *sinks_state_name(enum sinks_state state)
{
    static const char *const names[SINKS_STATE_COUNT] = {
        [SINKS_NEW] = "new",
        [SINKS_OPENING] = "opening",
        [SINKS_LEARNING] = "learning",
        [SINKS_CONNECTING] = "connecting",
        [SINKS_CLEANING] = "cleaning",
        [SINKS_READING] = "reading",
        [SINKS_PREPARING] = "preparing",
        [SINKS_SEALING] = "sealing",
        [SINKS_PUBLISHING] = "publishing",
        [SINKS_COMMITTING] = "committing",
        [SINKS_WAITING] = "waiting",
        [SINKS_CLOSING] = "closing",
        [SINKS_STOPPED] = "stopped",
    };
    ASSERT(state < SINKS_STATE_COUNT);
    return names[state];
}

/* The states that may follow a state, besides CLOSING, as bits. */
static uint32_t successors(enum sinks_state state)
{
#define BIT(name) (UINT32_C(1) << SINKS_##name)
    static const uint32_t table[SINKS_STATE_COUNT] = {
        [SINKS_NEW] = BIT(OPENING),
        [SINKS_OPENING] = BIT(LEARNING) | BIT(WAITING),
        [SINKS_LEARNING] =
            BIT(CONNECTING) | BIT(CLEANING) | BIT(PUBLISHING) | BIT(OPENING) | BIT(WAITING),
        [SINKS_CONNECTING] = BIT(CLEANING) | BIT(PUBLISHING) | BIT(WAITING),
        [SINKS_CLEANING] = BIT(READING),
        [SINKS_READING] = BIT(PREPARING) | BIT(LEARNING) | BIT(WAITING),
        [SINKS_PREPARING] = BIT(SEALING) | BIT(WAITING),
        [SINKS_SEALING] = BIT(PUBLISHING) | BIT(LEARNING) | BIT(WAITING),
        [SINKS_PUBLISHING] = BIT(COMMITTING) | BIT(WAITING),
        [SINKS_COMMITTING] = BIT(READING) | BIT(LEARNING) | BIT(WAITING),
        [SINKS_WAITING] = BIT(OPENING) | BIT(LEARNING),
        [SINKS_CLOSING] = BIT(STOPPED),
    };
#undef BIT
    return table[state];
}

/* What failed goes well again. */
static void heal(struct sinks_runner *runner)
{
    if (runner->blocked)
        logger_write(runner->options.logger, LOG_LEVEL_INFO, "sink_healed",
                     "sink %s works again after %u failures", runner->name, runner->failures);
    runner->failures = 0;
    runner->failed_state = SINKS_NEW;
    runner->blocked = false;
    runner->error.text[0] = '\0';
}

/* The step of this state went well. */
static void succeed(struct sinks_runner *runner)
{
    if (runner->failures && runner->state >= runner->failed_state)
        heal(runner);
}

/* From any state, and to one only. No call is running: what the plug-in holds open is discarded
 * before it is used again. */
static void fail(struct sinks_runner *runner, err_t err, const char *detail)
{
    ASSERT(!err_is_ok(err) && !runner->calling);
    runner->counters.failures++;
    runner->failures++;
    /* The furthest, since a retry passes the steps before it well each time without anything being
     * mended. */
    if (runner->state > runner->failed_state)
        runner->failed_state = runner->state;
    (void)snprintf(runner->error.text, sizeof(runner->error.text), "%s: %s",
                   sinks_state_name(runner->state), detail);
    if (runner->failures >= BREAKER_FAILURES && !runner->blocked) {
        runner->blocked = true;
        logger_write(runner->options.logger, LOG_LEVEL_WARNING, "sink_blocked",
                     "sink %s fails again and again and is tried for ever, its records wait: %s",
                     runner->name, runner->error.text);
    }
    sinks_lanes_recall(runner);
    /* Of an epoch that the log may have a snapshot will tell. */
    if (runner->current && runner->current_epoch == 0)
        sinks_redeliver_answer(runner, err_make(ERR_BUSY), runner->error.text);
    sinks_redeliver_refuse(runner, err_make(ERR_BUSY), runner->error.text);
    enter(runner, SINKS_WAITING);
}

/* Doubles from failure to failure; half of it is random, so that sinks of one broken service do
 * not come back all at once. */
static uint64_t pause_ns(struct sinks_runner *runner)
{
    uint64_t pause = PAUSE_MIN_NS;
    for (uint32_t i = 1; i < runner->failures && pause < PAUSE_MAX_NS; i++)
        pause *= 2;
    pause = pause > PAUSE_MAX_NS ? PAUSE_MAX_NS : pause;
    uint64_t random = 0;
    io_random(runner->options.loop, &random, sizeof(random));
    return pause / 2 + random % (pause / 2 + 1);
}

static void leave_pause(struct sinks_runner *runner)
{
    ASSERT(runner->state == SINKS_WAITING);
    io_timer_stop(runner->options.loop, &runner->pause_timer);
    /* Not registered, or not known whether: that comes first. */
    enter(runner, runner->sink_id ? SINKS_LEARNING : SINKS_OPENING);
}

static void pause_over(struct io_timer *timer)
{
    leave_pause(CONTAINER_OF(timer, struct sinks_runner, pause_timer));
}

/* Calls of the plug-in. */

static void call(struct sinks_runner *runner, enum sinks_verb verb)
{
    ASSERT(!runner->calling);
    runner->calling = true;
    runner->call.verb = verb;
    io_timer_start(runner->options.loop, &runner->stall_timer, STALL_NS);
    io_offload(runner->options.worker, &runner->call.job);
}

static void stall(struct io_timer *timer)
{
    struct sinks_runner *runner = CONTAINER_OF(timer, struct sinks_runner, stall_timer);
    ASSERT(runner->calling);
    /* Only told: the call cannot be taken back, and a slow disk may still finish it. Nothing else
     * waits for it but this sink. */
    runner->stalled = true;
    logger_write(runner->options.logger, LOG_LEVEL_WARNING, "sink_stalled",
                 "sink %s: %s has not come back for a minute", runner->name,
                 sinks_state_name(runner->state));
}

static void write_next(struct sinks_runner *runner)
{
    struct sinks_lane *lane = CONTAINER_OF(runner->ready.next, struct sinks_lane, link);
    /* First come, first written: a busy partition cannot keep the others from their turn. */
    ASSERT(lane->state == SINKS_LANE_READY && lane->read.offset == lane->next);
    list_remove(&lane->link);
    lane->state = SINKS_LANE_WRITING;
    runner->writing = lane;
    if (!runner->behind)
        runner->behind_ns = io_now_ns(runner->options.loop);
    runner->behind = true;
    runner->call.write = (struct sinks_write){
        .batches = lane->read.batches,
        .batch_count = lane->read.batch_count,
        .topic_id = lane->topic->id,
        .about = {.sink = runner->name,
                  .topic = lane->topic->name,
                  .partition = lane->partition,
                  /* As the dead letter will tell it. */
                  .attempts = runner->failures + 1,
                  .wall_ms = io_wall_ms(runner->options.loop)},
        .letters = &lane->letters,
        .next_offset = lane->next,
    };
    call(runner, SINKS_VERB_WRITE);
}

/* The first records of an epoch are written. */
static void begin_epoch(struct sinks_runner *runner)
{
    ASSERT(!runner->begun);
    runner->begun = true;
    runner->begun_ns = io_now_ns(runner->options.loop);
    /* From the first record on, so that an idle sink makes no empty epochs. */
    sinks_runner_hurry(runner);
}

void sinks_runner_hurry(struct sinks_runner *runner)
{
    ASSERT(runner->begun);
    struct io_loop *loop = runner->options.loop;
    uint64_t time_ms = runner->options.plugin->roll_time_ms(runner->options.plugin_options);
    uint64_t end_ns = runner->begun_ns + sinks_redeliver_roll_ns(runner, time_ms * IO_MS);
    uint64_t now_ns = io_now_ns(loop);
    io_timer_start(loop, &runner->roll_timer, end_ns > now_ns ? end_ns - now_ns : 0);
}

static uint64_t read_size(const struct sinks_lane *lane)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < lane->read.batch_count; i++)
        size += lane->read.batches[i].size;
    return size;
}

/* Takes over what a write did to its lane. */
static void count_write(struct sinks_runner *runner, struct sinks_lane *lane)
{
    const struct sinks_write *write = &runner->call.write;
    ASSERT(write->next_offset >= lane->next);
    bool whole = err_is_ok(write->unreadable);
    /* The read may go further than its last batch: over offsets that hold nothing. */
    lane->next = whole ? lane->read.next_offset : write->next_offset;
    lane->delivered += write->delivered;
    lane->dead_lettered += write->dead_lettered;
    lane->said = whole ? err_ok() : lane->said;
    runner->counters.read_bytes += read_size(lane);
    runner->letters_size += write->letters_size;
    /* After a failure a small epoch shows soon whether the sink works again. */
    runner->roll = runner->roll || write->roll || runner->letters_size > LETTERS_SIZE_MAX ||
                   runner->failures || runner->hurries;
    if (!runner->begun && lane->next > lane->committed) {
        begin_epoch(runner);
        runner->oldest_ms = lane->read.commit_time_ms;
    }
    if (lane->read.commit_time_ms < runner->oldest_ms)
        runner->oldest_ms = lane->read.commit_time_ms;
}

static void written(struct sinks_runner *runner)
{
    const struct sinks_write *write = &runner->call.write;
    struct sinks_lane *lane = runner->writing;
    runner->writing = NULL;
    count_write(runner, lane);
    /* Looked at before the release, which takes the batches away. */
    bool rests = read_size(lane) <= REST_SIZE_MAX && lane->next >= lane->end && !runner->stopping;
    sinks_lane_release(lane);
    /* There is nowhere to put it, and passing over it would be a loss: the sink blocks, and says
     * so. */
    if (write->dead_lettered && lane->topic->dlq_id == 0) {
        fail(runner, err_make(ERR_NOT_FOUND), "a record was refused, and its topic has no DLQ");
        return;
    }
    if (!err_is_ok(write->unreadable))
        sinks_lane_stop(lane, write->unreadable, err_detail(write->unreadable, &runner->call.why));
    if (!rests)
        sinks_lane_ask(lane);
    else if (runner->rest_timer.heap_index == 0)
        io_timer_start(runner->options.loop, &runner->rest_timer, REST_NS);
    sinks_runner_pump(runner);
}

static void rest_over(struct io_timer *timer)
{
    struct sinks_runner *runner = CONTAINER_OF(timer, struct sinks_runner, rest_timer);
    ASSERT(runner->state != SINKS_STOPPED);
    sinks_lanes_ask(runner);
}

static void redriven(struct sinks_runner *runner)
{
    ASSERT(runner->current && !runner->begun);
    if (runner->call.redelivered > 0) {
        enter(runner, SINKS_PREPARING);
        return;
    }
    /* All refused: nothing is to be published or settled. */
    sinks_redeliver_answer(runner, err_ok(), "");
    sinks_runner_pump(runner);
}

static void opened(struct sinks_runner *runner);

/* A call came back, and well. */
static void call_went_well(struct sinks_runner *runner)
{
    switch (runner->call.verb) {
    case SINKS_VERB_OPEN: opened(runner); return;
    case SINKS_VERB_WRITE: written(runner); return;
    case SINKS_VERB_REDRIVE: redriven(runner); return;
    case SINKS_VERB_DISCARD: enter(runner, SINKS_READING); return;
    case SINKS_VERB_PREPARE: enter(runner, SINKS_SEALING); return;
    case SINKS_VERB_PUBLISH: enter(runner, SINKS_COMMITTING); return;
    case SINKS_VERB_CLOSE: enter(runner, SINKS_STOPPED); return;
    default: UNREACHABLE("no such verb");
    }
}

static void call_done(struct io_job *job)
{
    struct sinks_runner *runner = CONTAINER_OF(job, struct sinks_runner, call.job);
    ASSERT(runner->calling);
    runner->calling = false;
    runner->stalled = false;
    io_timer_stop(runner->options.loop, &runner->stall_timer);
    /* The stop has been answered; nobody waits, and what the call points to is kept for its
     * sake. */
    if (runner->abandoned)
        return;
    err_t err = runner->call.error;
    if (!err_is_ok(err)) {
        fail(runner, err, err_detail(err, &runner->call.why));
        return;
    }
    /* What is written may still be in a buffer: that it went well shows when it is prepared. */
    if (runner->call.verb != SINKS_VERB_WRITE && runner->call.verb != SINKS_VERB_REDRIVE &&
        runner->call.verb != SINKS_VERB_CLOSE)
        succeed(runner);
    call_went_well(runner);
}

/* Commits and snapshots. */

/* An epoch that this process read has ended. */
static void count_epoch(struct sinks_runner *runner)
{
    struct io_loop *loop = runner->options.loop;
    /* Both are wall clocks, of this process and of the commit: one that was set back gives 0. */
    int64_t age_ms = io_wall_ms(loop) - runner->oldest_ms;
    histogram_add(&runner->counters.epoch_duration, io_now_ns(loop) - runner->begun_ns);
    histogram_add(&runner->counters.end_to_end, age_ms > 0 ? (uint64_t)age_ms * IO_MS : 0);
    sinks_lanes_advance(runner);
}

/* The log may have taken records, or a topic, from under this commit: it has looked and said no,
 * so nothing of it happened, and nothing has to be settled before the next snapshot. */
static bool is_refusal(const struct sinks_runner *runner, err_t err)
{
    if (runner->state == SINKS_OPENING)
        return err_is(err, ERR_NOT_FOUND);
    if (runner->state != SINKS_SEALING)
        return false;
    bool letters = runner->current && (err_is(err, ERR_OFFSET_RANGE) ||
                                       err_is(err, ERR_TOO_LARGE) || err_is(err, ERR_BUSY));
    return letters || err_is(err, ERR_INVALID) || err_is(err, ERR_NOT_FOUND);
}

static void learn_again(struct sinks_runner *runner, err_t refused)
{
    ASSERT(!runner->calling);
    runner->refused = refused;
    sinks_lanes_recall(runner);
    enter(runner, SINKS_LEARNING);
}

static void commit_done(struct flow_commit *commit)
{
    struct sinks_runner *runner = CONTAINER_OF(commit, struct sinks_runner, commit);
    err_t err = commit->error;
    if (is_refusal(runner, err)) {
        bool letters = runner->current;
        /* Somebody else has settled them, or they have gone: no failure of the sink. */
        if (letters)
            sinks_redeliver_answer(runner, err, err_string(err));
        learn_again(runner, letters ? err_ok() : err);
        return;
    }
    if (!err_is_ok(err)) {
        /* Whether it is in the log is not known. OPEN is the question to which the log's answer is
         * the proof: it comes behind whatever became of this one. */
        runner->sink_id = 0;
        fail(runner, err, err_string(err));
        return;
    }
    succeed(runner);
    if (runner->state == SINKS_OPENING) {
        runner->sink_id = runner->change.sink_id;
        enter(runner, SINKS_LEARNING);
    } else if (runner->state == SINKS_SEALING) {
        enter(runner, SINKS_PUBLISHING);
    } else {
        ASSERT(runner->state == SINKS_COMMITTING);
        runner->epoch++;
        runner->counters.epochs++;
        runner->hurries = false;
        runner->redrove = runner->current;
        if (runner->current && !runner->recovered)
            sinks_redeliver_answer(runner, err_ok(), "");
        else if (!runner->recovered)
            count_epoch(runner);
        /* More may be waiting; the next write says since when. */
        runner->behind = false;
        enter(runner, runner->recovered ? SINKS_LEARNING : SINKS_READING);
    }
}

static void commit(struct sinks_runner *runner, enum flow_sink_op op)
{
    bool prepare = op == FLOW_SINK_PREPARE || op == FLOW_SINK_REDRIVE;
    uint32_t topic_count = op == FLOW_SINK_OPEN ? sinks_learn_topic_ids(runner) : 0;
    runner->change = (struct flow_sink_change){
        .op = op,
        .sink_id = runner->sink_id,
        /* The log refuses any number but the next one, so an epoch cannot be committed twice. */
        .epoch = op == FLOW_SINK_OPEN ? 0 : runner->epoch + 1,
        .name = slice_string(runner->name),
        .topic_ids = runner->topic_ids,
        .topic_count = topic_count,
        .ranges = prepare ? runner->call.ranges : NULL,
        .range_count = prepare ? runner->call.range_count : 0,
        .outputs = prepare ? buf_slice(&runner->outputs) : (struct slice){0},
    };
    runner->commit = (struct flow_commit){
        .home = runner->options.loop,
        .done = commit_done,
        .appends = runner->appends,
        /* Dead letters are in the same commit as the range that counts them: none is lost, none is
         * there twice. */
        .append_count = op == FLOW_SINK_PREPARE ? sinks_lanes_letters(runner) : 0,
        .sinks = &runner->change,
        .sink_count = 1,
    };
    flow_log_commit(runner->options.log, &runner->commit);
}

/* With an open plug-in and what the snapshot said. */
static void go_on(struct sinks_runner *runner)
{
    if (runner->recovered)
        enter(runner, SINKS_PUBLISHING);
    else
        enter(runner, runner->stopping ? SINKS_CLOSING : SINKS_CLEANING);
}

static void opened(struct sinks_runner *runner)
{
    ASSERT(runner->call.instance);
    go_on(runner);
}

/* The sink could not be registered: perhaps a topic of it is gone. */
static void learn_topics(struct sinks_runner *runner)
{
    ASSERT(!err_is_ok(runner->refused));
    err_t err = runner->snapshot.error;
    err_t refused = runner->refused;
    runner->refused = err_ok();
    bool changed = err_is_ok(err) && sinks_learn_topics(runner, &runner->snapshot);
    flow_snapshot_done(&runner->snapshot);
    if (changed) {
        enter(runner, SINKS_OPENING);
        return;
    }
    err = err_is_ok(err) ? refused : err;
    fail(runner, err, err_string(err));
}

static void snapshot_done(struct flow_snapshot *snapshot)
{
    struct sinks_runner *runner = CONTAINER_OF(snapshot, struct sinks_runner, snapshot);
    struct err_text why = {0};
    if (runner->sink_id == 0) {
        learn_topics(runner);
        return;
    }
    uint64_t epoch = runner->epoch;
    err_t err = sinks_learn(runner, snapshot, &why);
    flow_snapshot_done(snapshot);
    if (err_is_ok(err))
        sinks_redeliver_learn(runner);
    /* Its last commit was thought to have failed. */
    if (runner->epoch > epoch && runner->failures)
        heal(runner);
    if (!err_is_ok(err)) {
        fail(runner, err, err_detail(err, &why));
        return;
    }
    succeed(runner);
    /* Nothing prepared and nothing to be read: a plug-in that does not open must not hold up a
     * stop. */
    bool nothing_left = runner->stopping && !runner->recovered;
    if (runner->call.instance || nothing_left)
        go_on(runner);
    else
        enter(runner, SINKS_CONNECTING);
}

static void ask_snapshot(struct sinks_runner *runner)
{
    runner->snapshot = (struct flow_snapshot){.home = runner->options.loop, .done = snapshot_done};
    flow_log_snapshot(runner->options.log, &runner->snapshot);
}

/* Reading, and the end of it. */

void sinks_runner_pump(struct sinks_runner *runner)
{
    if (runner->calling || runner->abandoned)
        return;
    if (runner->state == SINKS_CLOSING && runner->asked == 0 && !runner->ends_asked) {
        if (runner->call.instance)
            call(runner, SINKS_VERB_CLOSE);
        else
            enter(runner, SINKS_STOPPED);
        return;
    }
    if (runner->state != SINKS_READING)
        return;
    /* What is open is brought to its end before that, since it is other partitions' too; if it is
     * not, the log says so. */
    runner->roll = runner->roll || runner->lost;
    if (runner->lost && !runner->begun) {
        learn_again(runner, err_ok());
        return;
    }
    bool at_end = runner->drained || (runner->ends_known && sinks_lanes_at_end(runner));
    bool last = runner->stopping && at_end && list_empty(&runner->ready);
    /* Rolling comes before reading on, so that an epoch's size overshoots by one write at the
     * most. */
    if (runner->begun && (runner->roll || last)) {
        enter(runner, SINKS_PREPARING);
    } else if (!runner->begun && sinks_redeliver_next(runner)) {
        runner->call.redelivery = runner->current;
        call(runner, SINKS_VERB_REDRIVE);
    } else if (last) {
        enter(runner, SINKS_CLOSING);
    } else if (!list_empty(&runner->ready)) {
        write_next(runner);
    }
}

static void roll_due(struct io_timer *timer)
{
    struct sinks_runner *runner = CONTAINER_OF(timer, struct sinks_runner, roll_timer);
    ASSERT(runner->begun);
    runner->roll = true;
    sinks_runner_pump(runner);
}

static void lanes_due(struct io_timer *timer)
{
    struct sinks_runner *runner = CONTAINER_OF(timer, struct sinks_runner, lane_timer);
    for (uint32_t i = 0; i < runner->lane_count; i++)
        /* `said` stays: the same reason is not logged again. */
        runner->lanes[i]->stopped = err_ok();
    sinks_lanes_ask(runner);
}

static void start_reading(struct sinks_runner *runner)
{
    ASSERT(!runner->calling);
    runner->begun = false;
    runner->roll = false;
    runner->letters_size = 0;
    sinks_lanes_ask(runner);
    sinks_runner_pump(runner);
}

static void prepare(struct sinks_runner *runner)
{
    buf_reset(&runner->outputs);
    runner->call.epoch = runner->epoch + 1;
    runner->call.range_count =
        runner->current ? sinks_redeliver_ranges(runner) : sinks_lanes_ranges(runner);
    runner->call.ranges = runner->current ? runner->current->ranges : runner->ranges;
    call(runner, SINKS_VERB_PREPARE);
}

/* From here on only the log knows what becomes of it. */
static void seal(struct sinks_runner *runner)
{
    ASSERT(runner->call.range_count > 0 || !runner->current);
    if (runner->current)
        runner->current_epoch = runner->epoch + 1;
    commit(runner, runner->current ? FLOW_SINK_REDRIVE : FLOW_SINK_PREPARE);
}

static void stop_timers(struct sinks_runner *runner)
{
    struct io_loop *loop = runner->options.loop;
    io_timer_stop(loop, &runner->pause_timer);
    io_timer_stop(loop, &runner->roll_timer);
    io_timer_stop(loop, &runner->stall_timer);
    io_timer_stop(loop, &runner->stop_timer);
    io_timer_stop(loop, &runner->lane_timer);
    io_timer_stop(loop, &runner->rest_timer);
}

static void finish(struct sinks_runner *runner)
{
    ASSERT(runner->asked == 0 && runner->held_bytes == 0 && !runner->call.instance);
    stop_timers(runner);
    if (runner->current)
        sinks_redeliver_answer(
            runner, err_make(runner->current_epoch > 0 ? ERR_FENCED : ERR_CANCELLED), "");
    runner->stopped(runner->stopped_context, err_ok());
}

static void begin(struct sinks_runner *runner)
{
    switch (runner->state) {
    case SINKS_OPENING: commit(runner, FLOW_SINK_OPEN); break;
    case SINKS_LEARNING: ask_snapshot(runner); break;
    case SINKS_CONNECTING: call(runner, SINKS_VERB_OPEN); break;
    case SINKS_CLEANING: call(runner, SINKS_VERB_DISCARD); break;
    case SINKS_READING: start_reading(runner); break;
    case SINKS_PREPARING: prepare(runner); break;
    case SINKS_SEALING: seal(runner); break;
    case SINKS_PUBLISHING: call(runner, SINKS_VERB_PUBLISH); break;
    case SINKS_COMMITTING: commit(runner, FLOW_SINK_COMMIT); break;
    case SINKS_WAITING:
        io_timer_start(runner->options.loop, &runner->pause_timer, pause_ns(runner));
        break;
    case SINKS_CLOSING:
        sinks_lanes_recall(runner);
        sinks_runner_pump(runner);
        break;
    case SINKS_STOPPED: finish(runner); break;
    case SINKS_NEW:
    case SINKS_STATE_COUNT:
    default: UNREACHABLE("a state that nothing leads to");
    }
}

static void enter(struct sinks_runner *runner, enum sinks_state to)
{
    if (runner->give_up && to != SINKS_STOPPED)
        to = SINKS_CLOSING;
    /* A step that the table does not have is our own mistake, whatever failed. */
    ASSERT(to == SINKS_CLOSING || (successors(runner->state) & UINT32_C(1) << to));
    ASSERT(runner->state != SINKS_CLOSING || to == SINKS_STOPPED);
    if (runner->state == SINKS_READING)
        io_timer_stop(runner->options.loop, &runner->roll_timer);
    runner->state = to;
    begin(runner);
}

/* Stopping. */

/* The worker's thread is in the plug-in and cannot be taken out of it: the runner, the call and the
 * plug-in stay as they are until the process ends, which is what its owner does then. The epoch is
 * not committed, so nothing is lost. */
static void abandon(struct sinks_runner *runner)
{
    runner->abandoned = true;
    stop_timers(runner);
    logger_write(runner->options.logger, LOG_LEVEL_WARNING, "sink_abandoned",
                 "sink %s: %s does not come back; what it was to deliver is delivered by the next "
                 "start",
                 runner->name, sinks_state_name(runner->state));
    runner->stopped(runner->stopped_context, err_make(ERR_TIMEOUT));
}

static void stop_overdue(struct io_timer *timer)
{
    struct sinks_runner *runner = CONTAINER_OF(timer, struct sinks_runner, stop_timer);
    ASSERT(runner->stopping && runner->state != SINKS_STOPPED);
    /* A call that happens to be under way is not one that hangs: it gets a second, as does closing
     * the plug-in behind it. What else runs is the log's, and comes back. */
    if (runner->calling && runner->give_up) {
        abandon(runner);
        return;
    }
    runner->give_up = true;
    io_timer_start(runner->options.loop, &runner->stop_timer, IO_SECOND);
    if (runner->state == SINKS_WAITING)
        leave_pause(runner);
}

/* A sink that is far behind does not get to the end: what it has is delivered in the rest of the
 * time. */
static void drain_overdue(struct io_timer *timer)
{
    struct sinks_runner *runner = CONTAINER_OF(timer, struct sinks_runner, stop_timer);
    ASSERT(runner->stopping && !runner->drained);
    runner->drained = true;
    runner->stop_timer.run = stop_overdue;
    io_timer_start(runner->options.loop, &runner->stop_timer, runner->stop_timeout_ns / 3);
    sinks_runner_pump(runner);
}

/* What the log holds by now is delivered before the sink stops. */
static void ends_done(struct flow_snapshot *snapshot)
{
    struct sinks_runner *runner = CONTAINER_OF(snapshot, struct sinks_runner, ends);
    ASSERT(runner->ends_asked);
    if (err_is_ok(snapshot->error))
        sinks_lanes_learn_ends(runner, snapshot);
    flow_snapshot_done(snapshot);
    runner->ends_asked = false;
    /* Also after an error: then what the lanes have seen so far is the end. */
    runner->ends_known = true;
    if (runner->abandoned)
        return;
    sinks_lanes_ask(runner);
    sinks_runner_pump(runner);
}

static void stop_arrived(struct task *task)
{
    struct sinks_runner *runner = CONTAINER_OF(task, struct sinks_runner, stop_task);
    runner->stopping = true;
    sinks_redeliver_refuse(runner, err_make(ERR_CANCELLED), "the sink is stopping");
    runner->stop_timer.run = drain_overdue;
    io_timer_start(runner->options.loop, &runner->stop_timer, runner->stop_timeout_ns / 3 * 2);
    /* Never started: the log does not know of it yet and need not. */
    if (runner->state == SINKS_NEW) {
        enter(runner, SINKS_CLOSING);
        return;
    }
    /* Up to which offset the stop delivers is fixed here, or producers that are faster than the
     * sink would keep it from ending. */
    runner->ends_asked = true;
    runner->ends = (struct flow_snapshot){.home = runner->options.loop, .done = ends_done};
    flow_log_snapshot(runner->options.log, &runner->ends);
    if (runner->state == SINKS_WAITING)
        leave_pause(runner);
}

void sinks_runner_stop(struct sinks_runner *runner, uint64_t timeout_ms,
                       void (*stopped)(void *context, err_t err), void *context)
{
    ASSERT(stopped && !runner->stopped);
    runner->stopped = stopped;
    runner->stopped_context = context;
    runner->stop_timeout_ns = timeout_ms * IO_MS;
    runner->stop_task.run = stop_arrived;
    io_post(runner->options.loop, &runner->stop_task);
}

void sinks_runner_start(struct sinks_runner *runner)
{
    ASSERT(runner->state == SINKS_NEW && !runner->stopped);
    enter(runner, SINKS_OPENING);
}

/* Making and freeing. */

static void free_runner(struct sinks_runner *runner)
{
    for (uint32_t i = 0; runner->topics && i < runner->topic_count; i++) {
        mem_free(runner->topics[i].name);
        mem_free(runner->topics[i].lanes);
    }
    mem_free(runner->topics);
    mem_free(runner->topic_ids);
    mem_free(runner->name);
    buf_done(&runner->outputs);
    mem_free(runner);
}

static void set_callbacks(struct sinks_runner *runner)
{
    const struct sinks_runner_options *o = &runner->options;
    runner->call = (struct sinks_call){
        .job = {.home = o->loop, .work = sinks_call_work, .done = call_done},
        .plugin = o->plugin,
        .open = {.name = runner->name, .options = o->plugin_options, .disk = o->disk},
        .outputs = &runner->outputs,
    };
    /* Maps of the plug-in have keys that peers choose. */
    io_random(o->loop, &runner->call.open.seed, sizeof(runner->call.open.seed));
    runner->pause_timer.run = pause_over;
    runner->roll_timer.run = roll_due;
    runner->stall_timer.run = stall;
    runner->lane_timer.run = lanes_due;
    runner->rest_timer.run = rest_over;
    runner->exporter = (struct flow_exporter){runner->name, sinks_report_collect};
}

err_t sinks_runner_new(const struct sinks_runner_options *options, struct sinks_runner **out)
{
    ASSERT(options->topic_count > 0 && options->name[0]);
    struct sinks_runner *runner = mem_zalloc(1, sizeof(*runner));
    if (!runner)
        return err_make(ERR_MEMORY);
    runner->options = *options;
    if (runner->options.memory_limit == 0)
        runner->options.memory_limit = MEMORY_LIMIT_DEFAULT;
    runner->topic_count = options->topic_count;
    runner->name = mem_string(options->name, strlen(options->name));
    runner->topics = mem_zalloc(options->topic_count, sizeof(*runner->topics));
    runner->topic_ids = mem_zalloc(options->topic_count, sizeof(*runner->topic_ids));
    if (!runner->name || !runner->topics || !runner->topic_ids) {
        free_runner(runner);
        return err_make(ERR_MEMORY);
    }
    for (uint32_t i = 0; i < options->topic_count; i++)
        runner->topics[i].id = runner->topic_ids[i] = options->topic_ids[i];
    list_init(&runner->ready);
    sinks_redeliver_init(runner);
    set_callbacks(runner);
    *out = runner;
    return err_ok();
}

void sinks_runner_free(struct sinks_runner **runner)
{
    if (!*runner)
        return;
    ASSERT((*runner)->state == SINKS_NEW || (*runner)->state == SINKS_STOPPED);
    sinks_lanes_free(*runner);
    free_runner(*runner);
    *runner = NULL;
}

void sinks_runner_status(const struct sinks_runner *runner, struct sinks_status *out)
{
    *out = (struct sinks_status){
        .state = sinks_state_name(runner->state),
        .blocked = runner->blocked,
        .stalled = runner->stalled,
        .failures = runner->failures,
        .epoch = runner->epoch,
    };
    for (uint32_t i = 0; i < runner->lane_count; i++)
        out->partitions_stopped += !err_is_ok(runner->lanes[i]->stopped);
    memcpy(out->error, runner->error.text, sizeof(out->error));
}

struct flow_exporter *sinks_runner_exporter(struct sinks_runner *runner)
{
    return &runner->exporter;
}

struct flow_redeliver *sinks_runner_redeliver(struct sinks_runner *runner)
{
    return &runner->redeliver;
}
