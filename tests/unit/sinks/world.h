#pragma once

/*
 * A small world for the tests of the runner: a loop with virtual time whose turns the test takes,
 * workers that can be held, a log in memory that applies commits as the real one does and can
 * fail any of them, and a plug-in that keeps count of what it made visible. All deterministic.
 */

#include "unit/sinks/world_log.h"
#include "unit/sinks/world_plug.h"

static inline void world_note(struct logger *logger, enum log_level level, const char *event,
                              struct slice text)
{
    struct world *w = CONTAINER_OF(logger, struct world, logger);
    (void)text;
    assert_true(w->event_count < 64);
    struct world_event *e = &w->events[w->event_count++];
    e->level = level;
    (void)snprintf(e->event, sizeof(e->event), "%s", event);
}

static inline uint32_t world_events(const struct world *w, const char *event)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->event_count; i++)
        count += strcmp(w->events[i].event, event) == 0;
    return count;
}

static inline struct world *world_new(void)
{
    static const struct io_loop_ops loop_ops = {
        .post = world_post,
        .defer = world_post,
        .now_ns = world_now_ns,
        .wall_ms = world_wall_ms,
        .random = world_random,
        .timer_start = world_timer_start,
        .timer_stop = world_timer_stop,
    };
    static const struct io_worker_ops worker_ops = {.submit = world_submit};
    static const struct flow_log_ops log_ops = {
        .commit = world_commit,
        .read = world_read,
        .cancel = world_cancel,
        .release = world_release,
        .snapshot = world_snapshot,
    };
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->loop.ops = &loop_ops;
    w->log.ops = &log_ops;
    w->logger.write = world_note;
    w->last = &w->first;
    for (size_t i = 0; i < 2; i++) {
        w->workers[i].worker.ops = &worker_ops;
        w->workers[i].last = &w->workers[i].first;
    }
    list_init(&w->waiting);
    w->partition_count = 2;
    return w;
}

static inline void world_free(struct world *w)
{
    for (size_t t = 0; t <= WORLD_TOPICS; t++)
        for (size_t p = 0; p < WORLD_PARTITIONS; p++)
            for (uint32_t b = 0; b < w->partitions[t][p].batch_count; b++)
                mem_free(w->partitions[t][p].batches[b].bytes);
    for (size_t i = 0; i < 2; i++)
        buf_done(&w->sinks[i].outputs);
    free(w);
}

/* A runner for one of two sinks, on its own worker, over both topics. */
static inline struct sinks_runner *world_runner(struct world *w, struct world_plug *plug,
                                                uint32_t index)
{
    static const uint32_t topic_ids[] = {1, 2};
    struct sinks_runner_options options = {
        .loop = &w->loop,
        .worker = &w->workers[index].worker,
        .log = &w->log,
        .logger = &w->logger,
        .plugin = &world_plugin,
        .plugin_options = plug,
        .name = index ? "second" : "first",
        .topic_ids = topic_ids,
        .topic_count = 2,
    };
    struct sinks_runner *runner = NULL;
    err_t err = sinks_runner_new(&options, &runner);
    assert_true(err_is_ok(err));
    return runner;
}

/* The process dies: what was on its way is gone, and nothing of the runner was told. */
static inline void world_crash(struct world *w, struct sinks_runner **runner,
                               struct world_plug *plug)
{
    w->first = NULL;
    w->last = &w->first;
    list_init(&w->waiting);
    memset(w->timers, 0, sizeof(w->timers));
    w->reads_held = 0;
    for (size_t i = 0; i < 2; i++) {
        w->workers[i].first = NULL;
        w->workers[i].last = &w->workers[i].first;
        w->workers[i].held = false;
    }
    struct sinks_runner *r = *runner;
    flow_snapshot_done(&r->snapshot);
    for (uint32_t i = 0; i < r->lane_count; i++)
        r->lanes[i]->state = SINKS_LANE_IDLE;
    r->asked = 0;
    r->state = SINKS_STOPPED;
    sinks_runner_free(runner);
    plug->open = false;
    buf_done(&plug->epoch_records);
}

/* Every record of both topics was made visible once, or refused and is a dead letter. */
static inline void assert_all_delivered(struct world *w, const struct world_plug *plug,
                                        const char *name)
{
    const struct world_sink *sink = world_sink_named(w, slice_string(name));
    if (!sink)
        abort();
    assert_false(sink->prepared);
    uint64_t delivered = 0;
    uint64_t refused = 0;
    for (uint32_t t = 1; t <= WORLD_DLQ; t++) {
        for (uint32_t p = 0; p < w->partition_count; p++) {
            for (int64_t o = 0; o < w->partitions[t][p].end_offset; o++) {
                bool refuse = plug->refuse_every && o % plug->refuse_every == 0;
                if (plug->visible[t][p][o] != !refuse)
                    fail_msg("topic %u partition %u offset %d: visible %d times", t, p, (int)o,
                             plug->visible[t][p][o]);
                *(refuse ? &refused : &delivered) += 1;
            }
        }
    }
    assert_int_equal(sink->delivered, delivered);
    assert_int_equal(sink->dead_lettered, refused);
    uint64_t letters =
        w->partitions[1 + WORLD_DLQ][0].letters + w->partitions[2 + WORLD_DLQ][0].letters;
    assert_int_equal(letters, refused);
}
