#pragma once

/*
 * A log on the simulated disk, asked from a loop of its own: what the tests of log/ share. Calls
 * here run the simulation until they are answered; those that only send leave that to the test.
 * Batches hold records "0", "1", ... with a filler.
 */

#include "lib/unit.h"

#include "base/alloc.h"
#include "flow/batch.h"
#include "log/log_int.h"
#include "sim/disk.h"
#include "sim/sim.h"

#define FIXTURE_STEPS 1000000u
#define FIXTURE_FILE_SIZE (UINT64_C(512) << 10)

struct fixture {
    struct sim *sim;
    struct sim_disk *disk;
    struct io_loop *home;
    struct io_worker *flusher;
    struct io_worker *reader;
    struct log_options options;
    struct logger logger;
    char events[4096]; /* of the logger, each with a comma */
    struct log *log;
    struct err_text why;
    struct task stopped;
    bool is_stopped;
};

/* A commit with room for what tests put in. */
struct fixture_commit {
    struct flow_commit commit;
    struct flow_append appends[3];
    struct flow_batch_builder builders[3];
    struct flow_count count;
    struct flow_topic_change topic;
    struct flow_sink_change sink;
    struct flow_sink_range ranges[4];
    bool answered;
};

struct fixture_read {
    struct flow_read read;
    bool answered;
};

static inline void fixture_note(struct logger *logger, enum log_level level, const char *event,
                                struct slice text)
{
    struct fixture *f = CONTAINER_OF(logger, struct fixture, logger);
    (void)level;
    (void)text;
    size_t used = strlen(f->events);
    snprintf(f->events + used, sizeof f->events - used, "%s,", event);
}

static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.logger = {.write = fixture_note}};
    f->sim = sim_new(1);
    f->disk = sim_disk_new(1);
    f->home = sim_loop_new(f->sim);
    f->flusher = sim_worker_new(f->sim);
    f->reader = sim_worker_new(f->sim);
    f->options = (struct log_options){
        .loop = sim_loop_new(f->sim),
        .flusher = f->flusher,
        .maker = sim_worker_new(f->sim),
        .reader = f->reader,
        .disk = sim_disk_io(f->disk),
        .logger = &f->logger,
        .data_directory = "data",
        .wal_limit_bytes = FIXTURE_FILE_SIZE * 20,
        .wal_file_size = FIXTURE_FILE_SIZE,
        .tail_bytes = LOG_TAIL_SIZE_MIN,
        .index_bytes = UINT64_C(1) << 20,
    };
}

static inline void fixture_kill(struct fixture *f)
{
    sim_drop_all(f->sim);
    log_free(&f->log);
}

static inline void fixture_done(struct fixture *f)
{
    fixture_kill(f);
    sim_free(&f->sim);
    sim_disk_free(&f->disk);
}

static inline err_t fixture_open(struct fixture *f)
{
    f->why = (struct err_text){0};
    f->events[0] = '\0';
    return log_open(&f->options, &f->log, &f->why);
}

static inline void fixture_open_well(struct fixture *f)
{
    err_t err = fixture_open(f);
    if (!err_is_ok(err))
        fail_msg("%s: %s", err_name(err), f->why.text);
}

static inline bool fixture_is_set(void *context)
{
    return *(const bool *)context;
}

static inline void fixture_wait(struct fixture *f, bool *flag)
{
    assert_true(sim_run_until(f->sim, fixture_is_set, flag, FIXTURE_STEPS));
}

static inline void fixture_run(struct fixture *f, uint64_t steps)
{
    for (uint64_t i = 0; i < steps; i++)
        (void)sim_step(f->sim);
}

static inline void fixture_note_stopped(struct task *task)
{
    CONTAINER_OF(task, struct fixture, stopped)->is_stopped = true;
}

static inline void fixture_stop(struct fixture *f)
{
    f->is_stopped = false;
    f->stopped.run = fixture_note_stopped;
    log_stop(f->log, f->home, &f->stopped);
    fixture_wait(f, &f->is_stopped);
    fixture_kill(f);
}

static inline void fixture_lose_power(struct fixture *f)
{
    fixture_kill(f);
    sim_disk_crash(f->disk);
}

static inline void fixture_committed(struct flow_commit *commit)
{
    struct fixture_commit *c = CONTAINER_OF(commit, struct fixture_commit, commit);
    assert_false(c->answered);
    c->answered = true;
}

static inline void fixture_commit_init(struct fixture *f, struct fixture_commit *c)
{
    *c = (struct fixture_commit){0};
    c->commit = (struct flow_commit){
        .home = f->home,
        .done = fixture_committed,
        .appends = c->appends,
        .counts = &c->count,
        .topics = &c->topic,
        .sinks = &c->sink,
    };
}

static inline void fixture_commit_done(struct fixture_commit *c)
{
    for (size_t i = 0; i < 3; i++)
        flow_batch_builder_done(&c->builders[i]);
}

/* Adds a batch of `count` records with `size` bytes of filler each. */
static inline struct flow_append *fixture_add(struct fixture_commit *c, uint32_t topic_id,
                                              uint32_t partition, uint32_t count, size_t size)
{
    struct flow_batch_builder *builder = &c->builders[c->commit.append_count];
    struct flow_append *append = &c->appends[c->commit.append_count++];
    char *text = calloc(1, size + 16);
    assert_non_null(text);
    flow_batch_builder_init(builder);
    for (uint32_t i = 0; i < count; i++) {
        int head = snprintf(text, 16, "%u", i);
        memset(text + head, 'x', size);
        struct slice none = {0};
        err_t err = flow_batch_builder_add(builder, 1000 + i, none,
                                           slice_make(text, (size_t)head + size), NULL, 0);
        assert_true(err_is_ok(err));
    }
    free(text);
    struct slice batch = flow_batch_builder_finish(builder);
    *append = (struct flow_append){
        .topic_id = topic_id,
        .partition = partition,
        .record_count = count,
        .batch = (uint8_t *)(uintptr_t)batch.data,
        .batch_size = batch.size,
    };
    return append;
}

static inline void fixture_send(struct fixture *f, struct fixture_commit *c)
{
    flow_log_commit(log_flow(f->log), &c->commit);
}

/* Sends, waits, frees the batches. */
static inline err_t fixture_commit(struct fixture *f, struct fixture_commit *c)
{
    fixture_send(f, c);
    fixture_wait(f, &c->answered);
    fixture_commit_done(c);
    return c->commit.error;
}

/* A commit of `count` records and their count at the door; its base offset, or minus its error. */
static inline int64_t fixture_append(struct fixture *f, uint32_t topic_id, uint32_t partition,
                                     uint32_t count, size_t size)
{
    struct fixture_commit c;
    fixture_commit_init(f, &c);
    fixture_add(&c, topic_id, partition, count, size);
    c.count = (struct flow_count){.topic_id = topic_id, .received = count};
    c.commit.count_count = 1;
    err_t err = fixture_commit(f, &c);
    return err_is_ok(err) ? c.appends[0].base_offset : -(int64_t)err.code;
}

static inline err_t fixture_create(struct fixture *f, const char *name, uint32_t partitions,
                                   uint32_t parent_id, uint32_t *id)
{
    struct fixture_commit c;
    fixture_commit_init(f, &c);
    c.topic = (struct flow_topic_change){
        .op = FLOW_TOPIC_CREATE,
        .name = slice_string(name),
        .partition_count = partitions,
        .parent_id = parent_id,
    };
    c.commit.topic_count = 1;
    err_t err = fixture_commit(f, &c);
    if (id)
        *id = c.topic.topic_id;
    return err;
}

static inline uint32_t fixture_topic(struct fixture *f, const char *name, uint32_t partitions,
                                     uint32_t parent_id)
{
    uint32_t id = 0;
    err_t err = fixture_create(f, name, partitions, parent_id, &id);
    assert_true(err_is_ok(err));
    return id;
}

static inline err_t fixture_change_sink(struct fixture *f, struct flow_sink_change *change)
{
    struct fixture_commit c;
    fixture_commit_init(f, &c);
    c.sink = *change;
    c.commit.sink_count = 1;
    err_t err = fixture_commit(f, &c);
    *change = c.sink;
    return err;
}

static inline uint32_t fixture_sink(struct fixture *f, const char *name, const uint32_t *topic_ids,
                                    uint32_t topic_count)
{
    struct flow_sink_change change = {.op = FLOW_SINK_OPEN,
                                      .name = slice_string(name),
                                      .topic_ids = topic_ids,
                                      .topic_count = topic_count};
    err_t err = fixture_change_sink(f, &change);
    assert_true(err_is_ok(err));
    return change.sink_id;
}

static inline void fixture_was_read(struct flow_read *read)
{
    struct fixture_read *r = CONTAINER_OF(read, struct fixture_read, read);
    assert_false(r->answered);
    r->answered = true;
}

static inline void fixture_ask(struct fixture *f, struct fixture_read *r, uint32_t topic_id,
                               uint32_t partition, int64_t offset, bool wait)
{
    *r = (struct fixture_read){.read = {
                                   .home = f->home,
                                   .done = fixture_was_read,
                                   .topic_id = topic_id,
                                   .partition = partition,
                                   .offset = offset,
                                   .size_max = 1u << 20,
                                   .wait = wait,
                               }};
    flow_log_read(log_flow(f->log), &r->read);
}

/* Reads; to be released by the test. */
static inline err_t fixture_read(struct fixture *f, struct fixture_read *r, uint32_t topic_id,
                                 uint32_t partition, int64_t offset)
{
    fixture_ask(f, r, topic_id, partition, offset, false);
    fixture_wait(f, &r->answered);
    return r->read.error;
}

static inline void fixture_release(struct fixture *f, struct fixture_read *r)
{
    flow_log_release(log_flow(f->log), &r->read);
}

/* Records of a partition that a reader finds, every batch whole, offsets without a gap. */
static inline uint64_t fixture_count(struct fixture *f, uint32_t topic_id, uint32_t partition)
{
    uint64_t count = 0;
    int64_t next = 0;
    for (int64_t end = 1; next < end;) {
        struct fixture_read r;
        err_t err = fixture_read(f, &r, topic_id, partition, next);
        assert_string_equal(err_name(err), "OK");
        end = r.read.end_offset;
        for (uint32_t i = 0; i < r.read.batch_count; i++) {
            struct flow_batch batch;
            err = flow_batch_parse(r.read.batches[i], &batch);
            assert_true(err_is_ok(err));
            err = flow_batch_check(&batch);
            assert_true(err_is_ok(err));
            assert_int_equal(batch.base_offset, next);
            next = batch.base_offset + batch.last_offset_delta + 1;
            count += batch.record_count;
        }
        assert_true(r.read.batch_count > 0 || end == 0);
        fixture_release(f, &r);
    }
    return count;
}

struct fixture_snapshot {
    struct flow_snapshot snapshot;
    bool answered;
};

static inline void fixture_snapped(struct flow_snapshot *snapshot)
{
    CONTAINER_OF(snapshot, struct fixture_snapshot, snapshot)->answered = true;
}

/* To be freed by the test. */
static inline struct flow_snapshot fixture_snapshot(struct fixture *f)
{
    struct fixture_snapshot s = {.snapshot = {.home = f->home, .done = fixture_snapped}};
    flow_log_snapshot(log_flow(f->log), &s.snapshot);
    fixture_wait(f, &s.answered);
    return s.snapshot;
}

/* The path of WAL file `number`. */
static inline const char *fixture_path(uint64_t number)
{
    static char path[64];
    snprintf(path, sizeof path, "data/wal/%020llu.wal", (unsigned long long)number);
    return path;
}

/* Overwrites bytes on disk, durably. */
static inline void fixture_overwrite(struct fixture *f, const char *path, uint64_t offset,
                                     const void *bytes, size_t size)
{
    struct io_file *file = NULL;
    err_t err = io_disk_open(sim_disk_io(f->disk), path, IO_OPEN_WRITE, &file, NULL);
    assert_true(err_is_ok(err));
    err = io_file_write(file, bytes, size, offset);
    assert_true(err_is_ok(err));
    err = io_file_sync(file);
    assert_true(err_is_ok(err));
    err = io_file_close(file);
    assert_true(err_is_ok(err));
}

#define assert_err(actual, expected) assert_string_equal(err_name(actual), #expected)
