#pragma once

/*
 * A real log in the simulated world, the real checks before it, and a queue of dead letters: what
 * is redriven goes the whole way. Records over the limit of the checks are dead letters until the
 * limit is raised.
 */

#include "pipeline/check/check.h"
#include "sources/redrive/redrive_int.h"
#include "unit/log/world.h"

struct dead {
    struct world w;
    struct pipeline_check *check;
    struct sources_redrive *redrive;
    struct flow_letters *letters;
    struct flow_inlet_request request;
    struct flow_letters_begin begin;
    struct flow_letters_walk walk;
    int64_t offsets[64]; /* of a walk */
    size_t offset_count;
    size_t walk_limit;
    bool answered;
    bool stopped;
};

/* The checks and the redrive, on the log that is there. */
static inline void dead_start(struct dead *d, uint64_t record_size_max)
{
    static const struct pipeline_check_topic topic = {
        .name = "flights", .topic_id = 1, .dlq_id = 2, .partition_count = 2};
    struct err_text why;
    assert_code(
        pipeline_check_new(&(struct pipeline_check_options){.loop = d->w.loop,
                                                            .log = log_flow(d->w.log),
                                                            .topics = &topic,
                                                            .topic_count = 1,
                                                            .record_size_max = record_size_max},
                           &d->check, &why),
        OK);
    assert_code(sources_redrive_new(
                    &(struct sources_redrive_options){.loop = d->w.loop,
                                                      .log = log_flow(d->w.log),
                                                      .inlet = pipeline_check_inlet(d->check),
                                                      .logger = &d->w.logger},
                    &d->redrive),
                OK);
    d->letters = sources_redrive_letters(d->redrive);
}

static inline void dead_redrive_stopped(void *owner)
{
    ((struct dead *)owner)->stopped = true;
}

static inline void dead_stop(struct dead *d)
{
    d->stopped = false;
    sources_redrive_stop(d->redrive, dead_redrive_stopped, d);
    assert_false(d->stopped);
    world_until(&d->w, world_is_set, &d->stopped);
    sources_redrive_free(&d->redrive);
    pipeline_check_stop(d->check);
    world_settle(&d->w);
    pipeline_check_free(&d->check);
}

static inline void dead_sent(struct flow_inlet_request *request)
{
    CONTAINER_OF(request, struct dead, request)->answered = true;
}

/* Sends lines, as a door would. */
static inline void dead_send(struct dead *d, const char *lines)
{
    struct flow_inlet *inlet = pipeline_check_inlet(d->check);
    d->answered = false;
    d->request =
        (struct flow_inlet_request){.topic = flow_inlet_topic(inlet, SLICE_LITERAL("flights")),
                                    .source = "http",
                                    .framing = FLOW_FRAMING_NDJSON,
                                    .body = slice_string(lines),
                                    .done = dead_sent};
    flow_inlet_submit(inlet, &d->request);
    world_until(&d->w, world_is_set, &d->answered);
    assert_code(d->request.error, OK);
    flow_inlet_request_done(&d->request);
}

/* A world with `count` letters that are too large, [1111111111,n], and one that is no JSON. */
static inline void dead_init(struct dead *d, int count)
{
    *d = (struct dead){0};
    world_init(&d->w, 5);
    world_begin(&d->w);
    dead_start(d, 10);
    struct buf lines = {0};
    for (int i = 0; i < count; i++)
        buf_add_format(&lines, "[1111111111,%d]\n", i);
    buf_add_string(&lines, "{broken");
    buf_add_byte(&lines, 0);
    dead_send(d, (const char *)lines.data);
    buf_done(&lines);
}

/* The contract is mended. */
static inline void dead_mend(struct dead *d)
{
    dead_stop(d);
    dead_start(d, 1000);
}

static inline void dead_done(struct dead *d)
{
    dead_stop(d);
    world_done(&d->w);
}

static inline void dead_begun(struct flow_letters_begin *begin)
{
    CONTAINER_OF(begin, struct dead, begin)->answered = true;
}

static inline void dead_send_order(struct dead *d, struct flow_letters_order order)
{
    if (!order.topic.data)
        order.topic = SLICE_LITERAL("flights");
    if (order.max_attempts == 0)
        order.max_attempts = FLOW_LETTERS_ATTEMPTS;
    d->answered = false;
    d->begin = (struct flow_letters_begin){.order = order, .done = dead_begun};
    flow_letters_begin(d->letters, &d->begin);
    assert_false(d->answered);
}

static inline err_t dead_order(struct dead *d, struct flow_letters_order order)
{
    dead_send_order(d, order);
    world_until(&d->w, world_is_set, &d->answered);
    return d->begin.error;
}

static inline struct flow_letters_state dead_state(struct dead *d)
{
    struct flow_letters_state state = {0};
    assert_true(flow_letters_state(d->letters, SLICE_LITERAL("flights"), &state));
    return state;
}

static inline bool dead_is_over(void *context)
{
    struct dead *d = context;
    return dead_state(d).phase >= FLOW_LETTERS_FINISHED;
}

/* Orders, waits for the end, and returns how it was. */
static inline struct flow_letters_state dead_run(struct dead *d, struct flow_letters_order order)
{
    assert_code(dead_order(d, order), OK);
    world_until(&d->w, dead_is_over, d);
    return dead_state(d);
}

static inline uint64_t dead_outcome(const struct flow_letters_state *state, const char *name)
{
    for (uint32_t i = 0; i < state->outcomes.count; i++)
        if (strcmp(state->outcomes.items[i].name, name) == 0)
            return state->outcomes.items[i].count;
    return 0;
}

/* Records of the topic and letters that are held, as the log's own state has them. */
static inline uint64_t dead_records(const struct dead *d)
{
    return log_state_partition(&d->w.log->state, 1, 0)->records +
           log_state_partition(&d->w.log->state, 1, 1)->records;
}

static inline uint64_t dead_held(const struct dead *d)
{
    const struct log_partition *p = log_state_partition(&d->w.log->state, 2, 0);
    return p->records - p->records_start - p->settled.records;
}

static inline bool dead_letter(struct flow_letters_walk *walk, const struct flow_letter *letter)
{
    struct dead *d = CONTAINER_OF(walk, struct dead, walk);
    assert_true(d->offset_count < 64);
    d->offsets[d->offset_count++] = letter->record->offset;
    return d->walk_limit == 0 || d->offset_count < d->walk_limit;
}

static inline void dead_walked(struct flow_letters_walk *walk)
{
    CONTAINER_OF(walk, struct dead, walk)->answered = true;
}

static inline err_t dead_walk(struct dead *d, const char *topic, struct flow_letter_filter filter,
                              int64_t offset)
{
    d->answered = false;
    d->offset_count = 0;
    d->walk = (struct flow_letters_walk){.topic = slice_string(topic),
                                         .filter = filter,
                                         .offset = offset,
                                         .size_max = UINT64_MAX,
                                         .letter = dead_letter,
                                         .done = dead_walked};
    flow_letters_walk(d->letters, &d->walk);
    assert_false(d->answered);
    world_until(&d->w, world_is_set, &d->answered);
    return d->walk.error;
}
