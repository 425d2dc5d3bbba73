#include "sources/redrive/redrive_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/time.h"

/*
 * The happy path: the queue is learned, the beginning is written to `_audit`, then step by step a
 * read's letters are handed on (to the inlet; to their sinks; as settles of one commit, in a
 * purge), and the next step begins when all of them are answered. At the end that is written too.
 * Letters of sinks that were left behind are taken by further passes over the queue (targets.c).
 *
 * Failure modes. A step that fails, wholly or in part, is done again after a while: the queue is
 * learned anew first, so that what is settled already is left out; that also tells what became of a
 * commit whose outcome nobody knew. So pressure costs time and nothing else, and a letter is
 * counted once. What trying again cannot help (a letter that has no room in a commit, damage) ends
 * the job with its reason; what is still held stays so. A server that dies leaves each letter held
 * or settled, never both, and the next job takes the rest.
 */

#define READ_SIZE (512u << 10)
/* A purge writes little for each letter. */
#define PURGE_STEP_LETTERS 4096u
#define RETRY_MS 100u
#define RETRY_MS_MAX 2000u
#define RANGE_FAILURES_MAX 50u
#define AUDIT_FAILURES_MAX 5u
/* With a rate, a step takes what comes in so much time. */
#define RATE_STEPS_A_SECOND 10u

static void step(struct redrive_job *job);
/* The end is written down before it is told: an end that somebody has seen is in the audit,
 * unless that cannot be written at all. */
static void end(struct redrive_job *job, enum flow_letters_phase phase, const char *why);

static bool is_redrive(const struct redrive_job *job)
{
    ASSERT(job->order.action <= FLOW_LETTERS_PURGE);
    return job->order.action == FLOW_LETTERS_REDRIVE;
}

static void add_pair(struct buf *b, const char *name, struct slice value)
{
    if (value.size == 0)
        return;
    buf_add_format(b, ",\"%s\":", name);
    buf_add_json_string(b, value);
}

static void add_ms(struct buf *b, const char *name, int64_t ms)
{
    if (ms == 0)
        return;
    buf_add_format(b, ",\"%s\":\"", name);
    buf_add_time(b, ms);
    buf_add_byte(b, '"');
}

static void add_number(struct buf *b, const char *name, uint64_t number)
{
    buf_add_format(b, ",\"%s\":", name);
    buf_add_u64(b, number);
}

/* What was asked for. */
static void add_order(struct buf *b, const struct redrive_job *job)
{
    const struct flow_letters_order *order = &job->order;
    add_pair(b, "reason", order->filter.reason);
    add_pair(b, "source", order->filter.source);
    add_pair(b, "path", order->filter.path);
    add_pair(b, "key", order->filter.key);
    add_ms(b, "since", order->filter.since_ms);
    add_ms(b, "until", order->filter.until_ms);
    if (order->limit > 0)
        add_number(b, "limit", order->limit);
    if (is_redrive(job) && order->rate > 0)
        add_number(b, "rate", order->rate);
    if (is_redrive(job))
        add_number(b, "max_attempts", order->max_attempts);
}

/* Also of one that failed: who looks at what became of letters months later finds how far it
 * came, and why no further. */
static void add_result(struct buf *b, const struct redrive_job *job)
{
    const struct flow_letters_state *state = &job->state;
    static const char *const outcomes[] = {
        [FLOW_LETTERS_FINISHED] = "finished",
        [FLOW_LETTERS_CANCELLED] = "cancelled",
        [FLOW_LETTERS_FAILED] = "failed",
    };
    ASSERT(state->phase >= FLOW_LETTERS_FINISHED);
    add_pair(b, "outcome", slice_string(outcomes[state->phase]));
    add_pair(b, "why", slice_string(state->why));
    add_number(b, is_redrive(job) ? "redriven" : "purged", state->done);
    add_number(b, "bytes", state->done_bytes);
    if (!is_redrive(job))
        return;
    add_number(b, "skipped_attempts", state->skipped_attempts);
    add_number(b, "skipped_sink", state->skipped_sink);
    add_number(b, "refused", state->refused);
    buf_add_string(b, ",\"became\":{");
    for (uint32_t i = 0; i < state->outcomes.count; i++) {
        buf_add_string(b, i > 0 ? "," : "");
        buf_add_json_string(b, slice_string(state->outcomes.items[i].name));
        buf_add_byte(b, ':');
        buf_add_u64(b, state->outcomes.items[i].count);
    }
    buf_add_byte(b, '}');
}

/* A dry run does nothing that anybody would have to account for. */
static void write_audit(struct redrive_job *job, bool begins)
{
    struct buf *b = &job->audit.text;
    ASSERT(!job->order.dry_run);
    buf_reset(b);
    buf_add_string(b, "{\"time\":\"");
    buf_add_time(b, io_wall_ms(job->redrive->options.loop));
    buf_add_format(b, "\",\"what\":\"dlq_%s\",\"event\":\"%s\",\"topic\":",
                   is_redrive(job) ? "redrive" : "purge", begins ? "begun" : "ended");
    buf_add_json_string(b, slice_string(job->queue.topic));
    add_number(b, "number", job->state.number);
    add_order(b, job);
    if (!begins)
        add_result(b, job);
    buf_add_byte(b, '}');
    redrive_audit_write(&job->audit);
}

/* Whoever ordered it is told; what cannot begin is gone then. */
static void tell_begin(struct redrive_job *job, err_t err, const char *why)
{
    struct flow_letters_begin *begin = job->begin;
    struct sources_redrive *redrive = job->redrive;
    ASSERT(begin);
    job->begin = NULL;
    begin->error = err;
    begin->state = job->state;
    if (!err_is_ok(err)) {
        (void)err_set(&begin->why, (enum err_code)err.code, "%s", why ? why : err_string(err));
        list_remove(&job->link);
        redrive_job_free(job);
        redrive_ended(redrive);
    }
    begin->done(begin);
}

/* What it leaves is its state, for who asks how it ended; what it worked with goes. */
static void over(struct redrive_job *job)
{
    ASSERT(job->outstanding == 0 && !job->begin);
    uint64_t skipped = job->state.skipped_attempts + job->state.skipped_sink;
    job->at = REDRIVE_OVER;
    mem_free(job->slots);
    mem_free(job->settles);
    job->slots = NULL;
    job->settles = NULL;
    redrive_queue_done(&job->queue);
    redrive_audit_done(&job->audit);
    redrive_audit_init(&job->audit, &job->redrive->options);
    logger_write(job->redrive->options.logger, LOG_LEVEL_INFO, "dlq_ended",
                 "topic %s: %s of dead letters %s: %llu done, %llu skipped", job->queue.topic,
                 is_redrive(job) ? "redrive" : "purge",
                 job->state.phase == FLOW_LETTERS_FINISHED    ? "finished"
                 : job->state.phase == FLOW_LETTERS_CANCELLED ? "cancelled"
                                                              : "failed",
                 (unsigned long long)job->state.done, (unsigned long long)skipped);
    redrive_ended(job->redrive);
}

static void audited(struct redrive_audit *audit, err_t err)
{
    struct redrive_job *job = audit->owner;
    ASSERT(job->at == REDRIVE_AUDITS || job->at == REDRIVE_ENDS);
    if (job->at == REDRIVE_AUDITS) {
        /* Nothing is done that is not written down. */
        tell_begin(job, err, NULL);
        if (err_is_ok(err))
            step(job);
        return;
    }
    if (!err_is_ok(err) && ++job->audit_failures < AUDIT_FAILURES_MAX && !job->redrive->stopping) {
        io_timer_start(job->redrive->options.loop, &job->timer, RETRY_MS_MAX * IO_MS);
        return;
    }
    if (!err_is_ok(err))
        logger_write(
            job->redrive->options.logger, LOG_LEVEL_ERROR, "audit_failed",
            "topic %s: the end of a redrive or purge could not be written to " REDRIVE_AUDIT_TOPIC
            ": %s",
            job->queue.topic, err_string(err));
    over(job);
}

static void end(struct redrive_job *job, enum flow_letters_phase phase, const char *why)
{
    ASSERT(job->outstanding == 0 && job->at != REDRIVE_ENDS && job->at != REDRIVE_OVER);
    job->state.phase = phase;
    snprintf(job->state.why, sizeof job->state.why, "%s", why);
    job->at = REDRIVE_ENDS;
    io_timer_stop(job->redrive->options.loop, &job->patience);
    redrive_targets_done(job);
    if (job->order.dry_run)
        over(job);
    else
        write_audit(job, false);
}

static void rest(struct redrive_job *job, uint64_t delay_ns)
{
    job->at = REDRIVE_RESTS;
    ASSERT(job->timer.run);
    io_timer_start(job->redrive->options.loop, &job->timer, delay_ns);
}

/* Trying again cannot help. */
static bool is_final(const struct redrive_job *job, err_t err)
{
    ASSERT(!err_is_ok(err));
    if (err_is(err, ERR_OFFSET_RANGE))
        return job->failures > RANGE_FAILURES_MAX;
    return !err_retriable(err);
}

/* In words of the one who ordered it: which of his flags, or which other command, helps. */
static const char *explain(err_t err)
{
    if (err_is(err, ERR_TOO_LARGE))
        return "too large for one commit, or the settled letters would lie in too many pieces; "
               "take "
               "the older letters first";
    if (err_is(err, ERR_CORRUPT))
        return "dead letters cannot be read; stop the server and run garner fsck";
    if (err_is(err, ERR_NOT_FOUND))
        return "the topic or its dead letters are gone";
    return err_string(err);
}

/* Longer each time, up to two seconds: a log that is full or fenced is not helped by being
 * asked. */
static void step_failed(struct redrive_job *job)
{
    err_t err = job->step_error;
    job->failures++;
    ASSERT(!err_is_ok(err));
    if (job->cancelled || err_is(err, ERR_CANCELLED)) {
        end(job, FLOW_LETTERS_CANCELLED, "");
        return;
    }
    if (is_final(job, err)) {
        end(job, FLOW_LETTERS_FAILED, explain(err));
        return;
    }
    job->state.phase = FLOW_LETTERS_WAITING;
    snprintf(job->state.why, sizeof job->state.why, "%s", err_string(err));
    uint32_t shift = job->failures < 5 ? job->failures : 5;
    uint64_t delay_ms = (uint64_t)RETRY_MS << shift;
    rest(job, (delay_ms < RETRY_MS_MAX ? delay_ms : RETRY_MS_MAX) * IO_MS);
}

/* From the queue's end, which is fixed; its start may move on while the job works. */
static uint64_t passed(const struct redrive_job *job)
{
    uint64_t left = (uint64_t)(job->queue.end - job->main_next);
    ASSERT(job->main_next <= job->queue.end);
    return left < job->state.offsets ? job->state.offsets - left : 0;
}

/* All letters of the step have been answered. */
static void step_done(struct redrive_job *job)
{
    struct flow_letters_state *state = &job->state;
    ASSERT(job->outstanding == 0);
    if (!err_is_ok(job->step_error)) {
        job->queue.position = job->step_position;
        state->skipped_attempts = job->step_skipped_attempts;
        state->skipped_sink = job->step_skipped_sink;
        step_failed(job);
        return;
    }
    job->failures = 0;
    job->slot_count = job->settle_count = 0;
    redrive_targets_advance(job);
    state->phase = FLOW_LETTERS_RUNNING;
    state->why[0] = '\0';
    state->offsets_passed = passed(job);
    state->matched = state->done + state->skipped_attempts + state->skipped_sink + state->refused;
    if (job->order.rate == 0 || job->order.dry_run) {
        step(job);
        return;
    }
    /* By the time since the beginning, so that no step's rounding adds up. */
    uint64_t handed = state->done + state->refused + job->in_flight;
    uint64_t due_ns = job->begun_ns + handed * IO_SECOND / job->order.rate;
    uint64_t now_ns = io_now_ns(job->redrive->options.loop);
    rest(job, due_ns > now_ns ? due_ns - now_ns : 0);
}

/* A dead letter again is an outcome like any other: it is in the queue behind the end of this
 * job, with one more attempt. */
static void letter_answered(struct flow_inlet_request *request)
{
    struct redrive_slot *slot = CONTAINER_OF(request, struct redrive_slot, request);
    struct redrive_job *job = slot->job;
    ASSERT(job->outstanding > 0);
    if (err_is_ok(request->error)) {
        struct slice became = SLICE_LITERAL("accepted");
        if (request->duplicates > 0)
            became = SLICE_LITERAL("duplicate");
        else if (request->accepted == 0)
            became = slice_string(request->error_count > 0 ? request->errors[0].reason : "failed");
        flow_letters_count(&job->state.outcomes, became, slot->bytes);
        job->state.done++;
        job->state.done_bytes += slot->bytes;
    } else {
        slot->failed = true;
        job->step_error = request->error;
    }
    flow_inlet_request_done(request);
    if (--job->outstanding == 0 && job->at == REDRIVE_COMMITS)
        step_done(job);
}

/* The history goes along and not the old letter's headers, so that there is one place that
 * writes those, and one form of them. */
static void hand_over(struct redrive_job *job, const struct flow_letter *letter)
{
    struct redrive_slot *slot = &job->slots[job->slot_count++];
    const struct flow_record *record = letter->record;
    ASSERT(job->slot_count <= REDRIVE_STEP_LETTERS);
    const struct flow_inlet_history history = {
        .settle = {.topic_id = job->queue.dlq_id,
                   .kind = FLOW_SETTLE_REDRIVEN,
                   .record_count = 1,
                   .first_offset = record->offset,
                   .end_offset = record->offset + 1},
        .attempts = letter->attempts + 1,
        .received_ms = letter->received_ms,
        .received_at = letter->received_at,
        .source = letter->source,
        .produced = letter->produced ? &letter->original : NULL,
    };
    *slot = (struct redrive_slot){
        .request = {.topic = job->inlet_topic,
                    .source = "redrive",
                    .framing = FLOW_FRAMING_RECORD,
                    .partition = letter->partition,
                    .body = record->value,
                    .history = &history,
                    .done = letter_answered},
        .job = job,
        .offset = record->offset,
        .bytes = record->value.size,
    };
    job->outstanding++;
    flow_inlet_submit(job->redrive->options.inlet, &slot->request);
    /* It was needed for the call alone. */
    slot->request.history = NULL;
}

static void judge(struct redrive_job *job, const struct flow_letter *letter)
{
    struct flow_inlet_history history = {.received_ms = letter->received_ms,
                                         .produced = letter->produced ? &letter->original : NULL};
    struct flow_inlet_request request = {.topic = job->inlet_topic,
                                         .source = "redrive",
                                         .framing = FLOW_FRAMING_RECORD,
                                         .body = letter->record->value,
                                         .history = &history};
    flow_inlet_judge(job->redrive->options.inlet, &request);
    const char *name = request.accepted > 0      ? "accepted"
                       : request.duplicates > 0  ? "duplicate"
                       : request.error_count > 0 ? request.errors[0].reason
                                                 : "failed";
    ASSERT(name[0]);
    flow_letters_count(&job->state.outcomes, slice_string(name), letter->record->value.size);
    flow_inlet_request_done(&request);
}

/* Neighbours are one range: a queue that is purged whole costs one entry a step. */
static void settle(struct redrive_job *job, int64_t offset)
{
    struct flow_settle *last = job->settle_count > 0 ? &job->settles[job->settle_count - 1] : NULL;
    ASSERT(offset >= 0 && job->settles && job->settle_count < PURGE_STEP_LETTERS);
    if (last && last->end_offset == offset) {
        last->end_offset++;
        last->record_count++;
        return;
    }
    job->settles[job->settle_count++] = (struct flow_settle){.topic_id = job->queue.dlq_id,
                                                             .kind = FLOW_SETTLE_PURGED,
                                                             .record_count = 1,
                                                             .first_offset = offset,
                                                             .end_offset = offset + 1};
}

/* A letter of a topic of this name that is no more would be handed to the wrong one. */
static bool has_origin(const struct redrive_job *job, const struct flow_letter *letter)
{
    ASSERT(letter->of_sink);
    return letter->has_origin && slice_equal_string(letter->topic, job->queue.topic);
}

/* A further pass sees all letters again: each sink knows which of its own are dealt with. */
static bool take_sink_letter(struct redrive_job *job, const struct flow_letter *letter)
{
    struct redrive_target *target = redrive_target_find(job, letter->sink);
    int64_t offset = letter->record->offset;
    bool seen = offset < job->main_next;
    if (!target || !has_origin(job, letter)) {
        job->state.skipped_sink += !seen;
        return true;
    }
    if (letter->attempts > job->order.max_attempts) {
        job->state.skipped_attempts += !seen;
        return true;
    }
    ASSERT(!target->under_way || target->behind);
    if (target->behind || offset < target->next)
        return true;
    job->step_taken++;
    if (job->order.dry_run) {
        redrive_target_count(job, target, true, letter->record->value.size);
        job->state.done++;
        job->state.done_bytes += letter->record->value.size;
        return job->step_taken < job->step_room;
    }
    bool full = false;
    err_t err = redrive_target_add(job, target, letter, &full);
    if (!err_is_ok(err))
        job->step_error = err;
    return err_is_ok(err) && !full && job->step_taken < job->step_room;
}

/* False where there is no room for another one in this step. */
static bool take_letter(struct redrive_queue *queue, const struct flow_letter *letter)
{
    struct redrive_job *job = queue->owner;
    ASSERT(job->step_taken < job->step_room);
    if (!flow_letter_matches(letter, &job->order.filter))
        return true;
    if (is_redrive(job) && letter->of_sink)
        return take_sink_letter(job, letter);
    /* By an earlier pass. */
    if (letter->record->offset < job->main_next)
        return true;
    if (is_redrive(job) && letter->attempts > job->order.max_attempts) {
        job->state.skipped_attempts++;
        return true;
    }
    job->step_taken++;
    if (job->order.dry_run) {
        if (is_redrive(job))
            judge(job, letter);
        job->state.done++;
        job->state.done_bytes += letter->record->value.size;
    } else if (is_redrive(job)) {
        hand_over(job, letter);
    } else {
        settle(job, letter->record->offset);
        job->step_bytes += letter->record->value.size;
    }
    return job->step_taken < job->step_room && job->slot_count < REDRIVE_STEP_LETTERS;
}

static void purged(struct flow_commit *commit)
{
    struct redrive_job *job = CONTAINER_OF(commit, struct redrive_job, commit);
    ASSERT(job->at == REDRIVE_COMMITS && job->outstanding == 1);
    job->outstanding = 0;
    job->step_error = commit->error;
    if (err_is_ok(commit->error)) {
        job->state.done += job->step_taken;
        job->state.done_bytes += job->step_bytes;
    }
    step_done(job);
}

/* What a read has given is handed on already; only a purge has a commit of its own to send. */
static void stepped(struct redrive_queue *queue, err_t err)
{
    struct redrive_job *job = queue->owner;
    ASSERT(job->at == REDRIVE_STEPS);
    job->at = REDRIVE_COMMITS;
    if (!err_is_ok(err) && err_is_ok(job->step_error))
        job->step_error = err;
    if (err_is_ok(err) && job->settle_count > 0) {
        job->outstanding = 1;
        job->commit = (struct flow_commit){.home = job->redrive->options.loop,
                                           .done = purged,
                                           .settles = job->settles,
                                           .settle_count = job->settle_count};
        flow_log_commit(job->redrive->options.log, &job->commit);
        return;
    }
    redrive_targets_send(job);
    if (job->outstanding == 0)
        step_done(job);
}

/* Promise 5: letters that nothing is wrong with do not wait for a sink that hangs. */
static void patience_over(struct io_timer *timer)
{
    struct redrive_job *job = CONTAINER_OF(timer, struct redrive_job, patience);
    ASSERT(job->at != REDRIVE_OVER);
    /* What is left of the step are sinks. */
    if (job->at == REDRIVE_COMMITS && redrive_targets_leave(job) && job->outstanding == 0)
        step_done(job);
}

/* How many letters the next step may take. */
static uint64_t room_for_step(const struct redrive_job *job)
{
    uint64_t room = is_redrive(job) ? REDRIVE_LOT_LETTERS : PURGE_STEP_LETTERS;
    uint64_t taken = job->state.done + job->in_flight;
    if (job->order.limit > 0 && job->order.limit - taken < room)
        room = job->order.limit - taken;
    uint64_t by_rate = job->order.rate / RATE_STEPS_A_SECOND + 1;
    if (job->order.rate > 0 && by_rate < room)
        room = by_rate;
    ASSERT(job->order.limit == 0 || taken <= job->order.limit);
    return room;
}

/* The queue has been looked at, as far as that is wanted; what sinks have left is another pass's.
 * One that fails is asked again after a while, as the log is. */
static void pass_over(struct redrive_job *job, bool enough)
{
    enum redrive_left left = redrive_targets_left(job);
    ASSERT(job->outstanding == 0 && !job->cancelled);
    if (left == REDRIVE_LEFT_NOTHING || (enough && job->in_flight == 0)) {
        end(job, FLOW_LETTERS_FINISHED, "");
    } else if (left == REDRIVE_LEFT_AWAITED || enough) {
        job->at = REDRIVE_AWAITS;
        job->state.phase = FLOW_LETTERS_WAITING;
        snprintf(job->state.why, sizeof job->state.why, "a sink has not answered yet");
    } else if (left == REDRIVE_LEFT_READY) {
        redrive_targets_begin_pass(job);
        step(job);
    } else {
        uint32_t shift = job->sink_failures < 5 ? job->sink_failures : 5;
        uint64_t delay_ms = (uint64_t)RETRY_MS << shift;
        job->sink_failures++;
        job->next_pass = true;
        job->state.phase = FLOW_LETTERS_WAITING;
        snprintf(job->state.why, sizeof job->state.why, "%s", job->sink_why);
        rest(job, (delay_ms < RETRY_MS_MAX ? delay_ms : RETRY_MS_MAX) * IO_MS);
    }
}

/* What a pass that goes on does not wait for, it meets at its end. */
void redrive_job_lot_back(struct redrive_job *job, bool waited)
{
    ASSERT(job->at != REDRIVE_OVER && job->at != REDRIVE_ENDS);
    if (waited) {
        ASSERT(job->outstanding > 0);
        if (--job->outstanding == 0 && job->at == REDRIVE_COMMITS)
            step_done(job);
    } else if (job->at == REDRIVE_AWAITS) {
        step(job);
    }
}

static void step(struct redrive_job *job)
{
    struct redrive_queue *queue = &job->queue;
    ASSERT(job->outstanding == 0 && queue->known);
    bool enough = job->order.limit > 0 && job->state.done + job->in_flight >= job->order.limit;
    if (job->cancelled) {
        end(job, FLOW_LETTERS_CANCELLED, "");
        return;
    }
    if (!err_is_ok(job->fatal)) {
        end(job, FLOW_LETTERS_FAILED, explain(job->fatal));
        return;
    }
    if (enough || redrive_targets_pass_over(job)) {
        pass_over(job, enough);
        return;
    }
    job->at = REDRIVE_STEPS;
    job->step_error = err_ok();
    job->step_taken = 0;
    job->step_bytes = 0;
    job->slot_count = job->settle_count = 0;
    job->step_room = (uint32_t)room_for_step(job);
    job->step_position = queue->position;
    job->step_skipped_attempts = job->state.skipped_attempts;
    job->step_skipped_sink = job->state.skipped_sink;
    redrive_queue_step(queue, READ_SIZE);
}

/* What nobody could say of the last step's letters the queue says: those that are settled were, by
 * this job, since no other one runs. */
static void count_unknown(struct redrive_job *job)
{
    bool fenced = err_is(job->step_error, ERR_FENCED);
    for (uint32_t i = 0; fenced && i < job->slot_count; i++) {
        const struct redrive_slot *slot = &job->slots[i];
        if (!slot->failed || !redrive_queue_settled(&job->queue, slot->offset))
            continue;
        flow_letters_count(&job->state.outcomes, SLICE_LITERAL("unknown"), slot->bytes);
        job->state.done++;
        job->state.done_bytes += slot->bytes;
    }
    if (fenced && job->settle_count > 0 &&
        redrive_queue_settled(&job->queue, job->settles[0].first_offset)) {
        job->state.done += job->step_taken;
        job->state.done_bytes += job->step_bytes;
    }
    ASSERT(job->outstanding == 0);
    job->slot_count = job->settle_count = 0;
}

/* The queue is known, or why not. */
static void begin(struct redrive_job *job, err_t err)
{
    const struct redrive_queue *queue = &job->queue;
    ASSERT(job->begin && job->outstanding == 0);
    job->at = REDRIVE_AUDITS;
    if (!err_is_ok(err)) {
        tell_begin(job, err,
                   err_is(err, ERR_NOT_FOUND) ? "there is no such topic with dead letters" : NULL);
        return;
    }
    if (is_redrive(job) && !job->inlet_topic) {
        tell_begin(job, err_make(ERR_INVALID),
                   "no contract of the running server declares this topic, so nothing takes its "
                   "records; put the contract back, or purge the letters");
        return;
    }
    job->state.offsets = (uint64_t)(queue->end - queue->position);
    if (job->order.dry_run) {
        tell_begin(job, err, NULL);
        step(job);
    } else {
        write_audit(job, true);
    }
}

/* After a failure the queue says what is still held, and that is the truth of what the failed
 * step has done. */
static void learned(struct redrive_queue *queue, err_t err)
{
    struct redrive_job *job = queue->owner;
    ASSERT(job->at == REDRIVE_LEARNS);
    if (job->begin) {
        begin(job, err);
        return;
    }
    if (!err_is_ok(err)) {
        job->step_error = err;
        step_failed(job);
        return;
    }
    count_unknown(job);
    if (job->next_pass)
        redrive_targets_begin_pass(job);
    job->next_pass = false;
    step(job);
}

/* A rest has four reasons: the rate, a failure, of a sink too, or an audit that is written again.
 * Which one is told by where the job stands. */
static void rested(struct io_timer *timer)
{
    struct redrive_job *job = CONTAINER_OF(timer, struct redrive_job, timer);
    if (job->at == REDRIVE_ENDS) {
        write_audit(job, false);
        return;
    }
    ASSERT(job->at == REDRIVE_RESTS);
    if (job->cancelled) {
        end(job, FLOW_LETTERS_CANCELLED, "");
    } else if (job->failures > 0 || job->next_pass) {
        job->at = REDRIVE_LEARNS;
        redrive_queue_learn(&job->queue);
    } else {
        step(job);
    }
}

void redrive_job_cancel(struct redrive_job *job)
{
    ASSERT(job->at != REDRIVE_OVER);
    job->cancelled = true;
    /* It rests for nothing else any more. */
    if (job->at == REDRIVE_AWAITS)
        job->at = REDRIVE_RESTS;
    if (job->at == REDRIVE_RESTS)
        io_timer_start(job->redrive->options.loop, &job->timer, 0);
    else if (job->in_flight > 0)
        redrive_targets_hurry(job);
}

void redrive_job_free(struct redrive_job *job)
{
    ASSERT(job->outstanding == 0 && !list_linked(&job->link));
    redrive_targets_done(job);
    redrive_queue_done(&job->queue);
    redrive_audit_done(&job->audit);
    arena_done(&job->arena);
    mem_free(job->slots);
    mem_free(job->settles);
    mem_free(job);
}

struct redrive_job *redrive_job_find(const struct sources_redrive *redrive, struct slice topic)
{
    ASSERT(topic.data || topic.size == 0);
    LIST_EACH (link, &redrive->jobs) {
        struct redrive_job *job = CONTAINER_OF(link, struct redrive_job, link);
        if (slice_equal_string(topic, job->queue.topic))
            return job;
    }
    return NULL;
}

/* The order's texts are the request's, which is answered long before the job ends. */
static bool copy_order(struct redrive_job *job, const struct flow_letters_order *order)
{
    struct flow_letter_filter *to = &job->order.filter;
    const struct flow_letter_filter *from = &order->filter;
    job->order = *order;
    to->reason = arena_slice(&job->arena, from->reason);
    to->source = arena_slice(&job->arena, from->source);
    to->path = arena_slice(&job->arena, from->path);
    to->key = arena_slice(&job->arena, from->key);
    job->order.topic = slice_string(job->queue.topic);
    ASSERT(job->queue.topic[0]);
    return to->reason.size == from->reason.size && to->source.size == from->source.size &&
           to->path.size == from->path.size && to->key.size == from->key.size;
}

/* NULL without memory; all that a job needs is there before it begins. */
static struct redrive_job *job_new(struct sources_redrive *redrive,
                                   const struct flow_letters_order *order)
{
    struct redrive_job *job = mem_zalloc(1, sizeof *job);
    if (!job)
        return NULL;
    bool purge = order->action == FLOW_LETTERS_PURGE;
    job->redrive = redrive;
    redrive_audit_init(&job->audit, &redrive->options);
    job->slots = mem_zalloc(purge ? 1 : REDRIVE_STEP_LETTERS, sizeof *job->slots);
    job->settles = mem_zalloc(purge ? PURGE_STEP_LETTERS : 1, sizeof *job->settles);
    bool named = redrive_queue_init(&job->queue, &redrive->options, order->topic);
    ASSERT(named);
    if (!job->slots || !job->settles || !copy_order(job, order) ||
        !err_is_ok(redrive_targets_init(job))) {
        redrive_job_free(job);
        return NULL;
    }
    job->queue.owner = job;
    job->queue.learned = learned;
    job->queue.letter = take_letter;
    job->queue.stepped = stepped;
    job->audit.owner = job;
    job->audit.done = audited;
    job->timer.run = rested;
    job->patience.run = patience_over;
    job->state = (struct flow_letters_state){.number = ++redrive->job_number,
                                             .action = order->action,
                                             .dry_run = order->dry_run,
                                             .started_ms = io_wall_ms(redrive->options.loop)};
    job->begun_ns = io_now_ns(redrive->options.loop);
    return job;
}

/* The state of the last job of a topic is kept until another begins, so that its end can be
 * asked for. */
err_t redrive_job_begin(struct sources_redrive *redrive, struct flow_letters_begin *begin)
{
    struct redrive_job *job = job_new(redrive, &begin->order);
    if (!job)
        return err_make(ERR_MEMORY);
    struct redrive_job *last = redrive_job_find(redrive, begin->order.topic);
    ASSERT(!last || last->at == REDRIVE_OVER);
    if (last) {
        list_remove(&last->link);
        redrive_job_free(last);
    }
    job->begin = begin;
    if (is_redrive(job))
        job->inlet_topic = flow_inlet_topic(redrive->options.inlet, begin->order.topic);
    list_add_tail(&redrive->jobs, &job->link);
    redrive->active++;
    redrive_queue_learn(&job->queue);
    return err_ok();
}
