#pragma once

/*
 * One runner, or two, in the small world, with what a test does to them. Whatever a test leaves
 * running is stopped after it, and then nothing may be held.
 */

#include "unit/sinks/world.h"

#include "sinks/runner.h"

struct test {
    struct world *world;
    struct world_plug plug;
    struct world_plug other;
    struct sinks_runner *runner;
    struct sinks_runner *second;
    bool stopped;
    err_t stop_error;
};

static inline int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->world = world_new();
    t->plug.roll_time_ms = t->other.roll_time_ms = 60000;
    *state = t;
    return 0;
}

static inline void note_stopped(void *context, err_t err)
{
    struct test *t = context;
    assert_false(t->stopped);
    t->stopped = true;
    t->stop_error = err;
}

static inline void begin(struct test *t)
{
    t->runner = world_runner(t->world, &t->plug, 0);
    sinks_runner_start(t->runner);
}

/* Stops a runner that nothing holds up. */
static inline void end(struct test *t, struct sinks_runner **runner)
{
    t->stopped = false;
    sinks_runner_stop(*runner, 10000, note_stopped, t);
    assert_false(t->stopped);
    world_settle(t->world);
    world_advance(t->world, 5 * IO_SECOND);
    assert_true(t->stopped);
    assert_true(err_is_ok(t->stop_error));
    sinks_runner_free(runner);
    assert_null(*runner);
}

static inline int teardown(void **state)
{
    struct test *t = *state;
    if (t->runner)
        end(t, &t->runner);
    if (t->second)
        end(t, &t->second);
    assert_int_equal(t->world->reads_held, 0);
    assert_true(list_empty(&t->world->waiting));
    for (size_t i = 0; i < WORLD_TIMERS; i++)
        assert_null(t->world->timers[i]);
    buf_done(&t->plug.epoch_records);
    buf_done(&t->other.epoch_records);
    world_free(t->world);
    free(t);
    return 0;
}

/* Records for every partition. */
static inline void append_some(struct test *t, uint32_t count)
{
    for (uint32_t topic = 1; topic <= WORLD_DLQ; topic++)
        for (uint32_t p = 0; p < t->world->partition_count; p++)
            world_append(t->world, topic, p, count + topic + p);
}

static inline struct sinks_status status_of(const struct test *t)
{
    struct sinks_status status;
    sinks_runner_status(t->runner, &status);
    return status;
}

static inline void fail_verb(struct test *t, enum sinks_verb verb, enum err_code code,
                             uint32_t times)
{
    t->plug.fail[verb] = code;
    t->plug.fail_times[verb] = times;
}

/* Where the first sink's cursor stands. */
static inline int64_t *cursor_at(const struct test *t, uint32_t topic_id, uint32_t partition)
{
    struct world_cursor *cursor = world_cursor(&t->world->sinks[0], topic_id, partition);
    if (!cursor)
        abort();
    return &cursor->offset;
}
