#pragma once

/*
 * A log in the simulated world, for the tests of its actors: asked on one loop, living on another,
 * its workers behind gates that a test can close. What was asked is answered after some steps;
 * every wait ends after a bounded number of them.
 */

#include "base/logger.h"
#include "log/log_int.h"
#include "sim/disk.h"
#include "sim/sim.h"
#include "unit/flow/hollow.h"
#include "unit/log/payload.h"

#define WORLD_STEPS 100000u
#define WORLD_APPENDS 3u

/* A worker whose jobs wait while it is closed. */
struct gate {
    struct io_worker io;
    struct io_worker *behind;
    struct io_job *held[8];
    size_t held_count;
    bool closed;
};

struct world {
    struct sim *sim;
    struct sim_disk *disk;
    struct io_loop *loop; /* of those who ask */
    struct gate flusher;
    struct gate maker;
    struct gate reader;
    struct gate sealer;
    struct logger logger;
    char events[2048]; /* names of the events that were logged, each with a space behind */
    struct log_options options;
    struct log *log;
    struct err_text why;
    struct task stopped;
    bool is_stopped;
    uint32_t answers; /* so far */
};

/* A commit with room for what it points to. */
struct asked {
    struct flow_commit commit;
    struct flow_append appends[WORLD_APPENDS];
    struct flow_batch_builder builders[WORLD_APPENDS];
    struct flow_count count;
    struct flow_topic_change topic;
    struct flow_sink_change sink;
    struct world *world;
    bool answered;
    uint32_t order; /* of its answer, from 1 */
};

struct asked_read {
    struct flow_read read;
    bool answered;
};

static inline void gate_submit(struct io_worker *worker, struct io_job *job)
{
    struct gate *gate = CONTAINER_OF(worker, struct gate, io);
    if (!gate->closed) {
        io_offload(gate->behind, job);
        return;
    }
    assert_true(gate->held_count < 8);
    gate->held[gate->held_count++] = job;
}

static inline void gate_open(struct gate *gate)
{
    gate->closed = false;
    for (size_t i = 0; i < gate->held_count; i++)
        io_offload(gate->behind, gate->held[i]);
    gate->held_count = 0;
}

static inline void gate_init(struct gate *gate, struct sim *sim)
{
    static const struct io_worker_ops ops = {.submit = gate_submit};
    *gate = (struct gate){.io = {&ops}, .behind = sim_worker_new(sim)};
    assert_non_null(gate->behind);
}

static inline void world_note(struct logger *logger, enum log_level level, const char *event,
                              struct slice text)
{
    struct world *w = CONTAINER_OF(logger, struct world, logger);
    size_t size = strlen(w->events);
    assert_true(text.size > 0 && level >= LOG_LEVEL_INFO);
    if (size + strlen(event) + 2 < sizeof w->events)
        snprintf(w->events + size, sizeof w->events - size, "%s ", event);
}

static inline bool world_noted(const struct world *w, const char *event)
{
    return strstr(w->events, event) != NULL;
}

/* A world with an empty disk; files of 1 MiB, 8 of them at the most. */
static inline void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.sim = sim_new(seed), .disk = sim_disk_new(seed)};
    assert_true(w->sim && w->disk);
    w->loop = sim_loop_new(w->sim);
    gate_init(&w->flusher, w->sim);
    gate_init(&w->maker, w->sim);
    gate_init(&w->reader, w->sim);
    gate_init(&w->sealer, w->sim);
    w->logger.write = world_note;
    w->options = (struct log_options){
        .loop = sim_loop_new(w->sim),
        .flusher = &w->flusher.io,
        .maker = &w->maker.io,
        .reader = &w->reader.io,
        .sealer = &w->sealer.io,
        .disk = sim_disk_io(w->disk),
        .logger = &w->logger,
        .data_directory = "data",
        .wal_limit_bytes = UINT64_C(8) << 20,
        .wal_file_size = UINT64_C(1) << 20,
        .tail_bytes = 4 * LOG_FRAME_SIZE_TARGET,
        .index_bytes = UINT64_C(64) << 20,
    };
    assert_true(w->loop && w->options.loop);
}

static inline err_t world_try_open(struct world *w)
{
    w->why = (struct err_text){0};
    w->is_stopped = false;
    return log_open(&w->options, &w->log, &w->why);
}

static inline void world_open(struct world *w)
{
    err_t err = world_try_open(w);
    if (!err_is_ok(err))
        fail_msg("%s: %s", err_name(err), w->why.text);
}

/* Ends the log where it stands. */
static inline void world_kill(struct world *w)
{
    gate_open(&w->flusher);
    gate_open(&w->maker);
    gate_open(&w->reader);
    gate_open(&w->sealer);
    sim_drop_all(w->sim);
    log_free(&w->log);
}

static inline void world_lose_power(struct world *w)
{
    world_kill(w);
    sim_disk_crash(w->disk);
}

static inline void world_done(struct world *w)
{
    world_kill(w);
    sim_free(&w->sim);
    sim_disk_free(&w->disk);
}

/* A file where the directory of all topics is to be made: sealing fails, until it is taken away. */
static inline void world_block_sealing(struct world *w)
{
    struct io_file *file;
    assert_code(io_disk_make_path(w->options.disk, "data", NULL), OK);
    assert_code(
        io_disk_open(w->options.disk, "data/topics", IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL),
        OK);
    assert_code(io_file_close(file), OK);
}

static inline void world_unblock_sealing(struct world *w)
{
    assert_code(io_disk_remove(w->options.disk, "data/topics", NULL), OK);
}

static inline void world_until(struct world *w, bool (*reached)(void *context), void *context)
{
    assert_true(sim_run_until(w->sim, reached, context, WORLD_STEPS));
}

static inline bool world_is_set(void *context)
{
    return *(const bool *)context;
}

static inline bool world_is_idle(void *context)
{
    const struct world *w = context;
    return !w->log->flushing && !w->log->open && !w->log->maker.running &&
           w->log->mode != LOG_FENCED;
}

/* Until no flush and no making is on its way. */
static inline void world_settle(struct world *w)
{
    world_until(w, world_is_idle, w);
}

static inline bool world_has_flushing(void *context)
{
    return ((const struct world *)context)->flusher.held_count > 0;
}

/* All mail is read: nothing moves until a gate opens or a timer runs. */
static inline void world_deliver(struct world *w)
{
    for (int i = 0; i < 200; i++)
        if (!sim_step(w->sim))
            return;
}

static inline void world_answered(struct flow_commit *commit)
{
    struct asked *asked = CONTAINER_OF(commit, struct asked, commit);
    assert_false(asked->answered);
    asked->answered = true;
    asked->order = ++asked->world->answers;
}

static inline void asked_init(struct asked *asked, struct world *w)
{
    *asked = (struct asked){.world = w};
    asked->commit =
        (struct flow_commit){.home = w->loop, .done = world_answered, .appends = asked->appends};
}

static inline void asked_done(struct asked *asked)
{
    for (uint32_t i = 0; i < asked->commit.append_count; i++)
        flow_batch_builder_done(&asked->builders[i]);
}

/* Adds `count` records to the commit. */
static inline struct flow_append *asked_records(struct asked *asked, uint32_t topic_id,
                                                uint32_t partition, uint32_t count,
                                                size_t value_size)
{
    uint32_t i = asked->commit.append_count++;
    assert_true(i < WORLD_APPENDS);
    struct slice batch = payload_build(&asked->builders[i], count, value_size);
    asked->appends[i] = (struct flow_append){
        .topic_id = topic_id,
        .partition = partition,
        .record_count = count,
        .batch = asked->builders[i].bytes.data,
        .batch_size = batch.size,
        .base_offset = -1,
    };
    return &asked->appends[i];
}

/* Adds a batch of `count` offsets to the commit, of which nothing is left; of a producer, or -1. */
static inline struct flow_append *asked_hollow(struct asked *asked, uint32_t topic_id,
                                               uint32_t count, int64_t producer)
{
    struct flow_append *append = asked_records(asked, topic_id, 0, count, 1);
    append->batch_size = hollow(append->batch, append->batch_size);
    put_u64be(append->batch + 43, (uint64_t)producer);
    flow_batch_set_max_timestamp(append->batch, append->batch_size, -1);
    append->record_count = 0;
    append->holes = true;
    return append;
}

static inline void asked_count(struct asked *asked, uint32_t topic_id, uint64_t received,
                               uint64_t refused)
{
    asked->count =
        (struct flow_count){.topic_id = topic_id, .received = received, .refused = refused};
    asked->commit.counts = &asked->count;
    asked->commit.count_count = 1;
}

static inline void asked_topic(struct asked *asked, const char *name, uint32_t partition_count,
                               uint32_t parent_id)
{
    asked->topic = (struct flow_topic_change){.op = FLOW_TOPIC_CREATE,
                                              .uuid = {{(uint8_t)name[0], 1}},
                                              .name = slice_string(name),
                                              .partition_count = partition_count,
                                              .parent_id = parent_id};
    asked->commit.topics = &asked->topic;
    asked->commit.topic_count = 1;
}

static inline void asked_sink(struct asked *asked, struct flow_sink_change change)
{
    asked->sink = change;
    asked->commit.sinks = &asked->sink;
    asked->commit.sink_count = 1;
}

static inline void asked_send(struct asked *asked)
{
    flow_log_commit(log_flow(asked->world->log), &asked->commit);
}

static inline err_t asked_wait(struct asked *asked)
{
    world_until(asked->world, world_is_set, &asked->answered);
    return asked->commit.error;
}

static inline err_t asked_commit(struct asked *asked)
{
    asked_send(asked);
    return asked_wait(asked);
}

/* Makes a commit of `count` records, counted at the door, ready to be sent. */
static inline void asked_some(struct asked *asked, struct world *w, uint32_t count,
                              size_t value_size)
{
    asked_init(asked, w);
    asked_records(asked, 1, 0, count, value_size);
    asked_count(asked, 1, count, 0);
}

/* Commits `count` records to partition 0 of the first topic. */
static inline err_t world_commit(struct world *w, uint32_t count, size_t value_size)
{
    struct asked asked;
    asked_some(&asked, w, count, value_size);
    err_t err = asked_commit(&asked);
    asked_done(&asked);
    return err;
}

/* The same of a batch of which nothing is left. */
static inline err_t world_hollow(struct world *w, uint32_t count, int64_t producer)
{
    struct asked asked;
    asked_init(&asked, w);
    asked_hollow(&asked, 1, count, producer);
    asked_count(&asked, 1, 0, 0);
    err_t err = asked_commit(&asked);
    asked_done(&asked);
    return err;
}

/* Opens the log and makes topic 1, "flights", of two partitions, and its DLQ, topic 2. */
static inline void world_begin(struct world *w)
{
    struct asked asked;
    world_open(w);
    asked_init(&asked, w);
    asked_topic(&asked, "flights", 2, 0);
    assert_code(asked_commit(&asked), OK);
    asked_init(&asked, w);
    asked_topic(&asked, "flights.dlq", 1, 1);
    assert_code(asked_commit(&asked), OK);
    world_settle(w);
}

/* Commits one change of what a group has committed. */
static inline err_t world_offset(struct world *w, enum flow_offset_op op, const char *group,
                                 uint32_t topic_id, uint32_t partition, int64_t offset)
{
    struct asked asked;
    struct flow_offset change = {.op = op,
                                 .group = slice_string(group),
                                 .topic_id = topic_id,
                                 .partition = partition,
                                 .offset = offset,
                                 .leader_epoch = -1};
    asked_init(&asked, w);
    asked.commit.offsets = &change;
    asked.commit.offset_count = 1;
    return asked_commit(&asked);
}

static inline err_t world_change_sink(struct world *w, struct flow_sink_change *change)
{
    struct asked asked;
    asked_init(&asked, w);
    asked_sink(&asked, *change);
    err_t err = asked_commit(&asked);
    *change = asked.sink;
    return err;
}

static inline err_t world_open_sink(struct world *w, const char *name)
{
    static const uint32_t ids[] = {1};
    return world_change_sink(w, &(struct flow_sink_change){.op = FLOW_SINK_OPEN,
                                                           .name = slice_string(name),
                                                           .topic_ids = ids,
                                                           .topic_count = 1});
}

static inline int64_t world_end(const struct world *w, uint32_t topic_id, uint32_t partition)
{
    return log_state_partition(&w->log->state, topic_id, partition)->end_offset;
}

static inline void world_read_answered(struct flow_read *read)
{
    struct asked_read *asked = CONTAINER_OF(read, struct asked_read, read);
    assert_false(asked->answered);
    asked->answered = true;
}

static inline void asked_read_send(struct asked_read *asked, struct world *w, int64_t offset,
                                   uint32_t size_max, bool wait)
{
    *asked = (struct asked_read){.read = {.home = w->loop,
                                          .done = world_read_answered,
                                          .topic_id = 1,
                                          .offset = offset,
                                          .size_max = size_max,
                                          .wait = wait}};
    flow_log_read(log_flow(w->log), &asked->read);
}

/* Reads partition 0 of the first topic; the lease is the caller's to give back. */
static inline err_t world_read(struct world *w, struct asked_read *asked, int64_t offset,
                               uint32_t size_max)
{
    asked_read_send(asked, w, offset, size_max, false);
    world_until(w, world_is_set, &asked->answered);
    return asked->read.error;
}

static inline void world_release(struct world *w, struct asked_read *asked)
{
    flow_log_release(log_flow(w->log), &asked->read);
}

static inline void world_stop_arrived(struct task *task)
{
    CONTAINER_OF(task, struct world, stopped)->is_stopped = true;
}

static inline void world_send_stop(struct world *w)
{
    w->stopped.run = world_stop_arrived;
    log_stop(w->log, w->loop, &w->stopped);
}

static inline void world_stop(struct world *w)
{
    world_send_stop(w);
    world_until(w, world_is_set, &w->is_stopped);
    log_free(&w->log);
}
