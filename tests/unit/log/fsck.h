#pragma once

/*
 * A data directory with segments, checkpoints and frames behind them, to be harmed, checked and
 * repaired; and what was told about it.
 */

#include "log/fsck.h"
#include "unit/log/world.h"

struct told {
    char texts[4096]; /* of the errors */
    char codes[4096]; /* of the errors, each with a space before and behind */
    char notes[1024];
    char acts[8192];
    uint64_t lost_records;
    int64_t lost_first; /* of the first loss */
    int64_t lost_end;
    uint64_t lost_count;
    uint64_t batches; /* handed out */
    uint64_t records;
    int64_t next_offset[2]; /* behind the last batch of each partition of topic 1 */
    bool balanced;
    uint64_t accepted; /* of topic flights */
    uint64_t on_disk;
    uint64_t damaged;
    uint64_t progress;
    struct log_fsck_result result;
    struct err_text why;
};

static inline void told_add(char *out, size_t size, const char *text)
{
    size_t used = strlen(out);
    if (used + strlen(text) + 2 < size)
        snprintf(out + used, size - used, " %s", text);
}

static inline void told_found(void *context, const struct log_fsck_finding *finding)
{
    struct told *told = context;
    assert_true(finding->text[0] && finding->code[0]);
    assert_true(finding->first_byte <= finding->end_byte);
    char code[64];
    snprintf(code, sizeof code, "%s ", finding->code);
    if (finding->error) {
        char text[ERR_TEXT_SIZE + 256];
        snprintf(text, sizeof text, "[%s %llu-%llu: %s]", finding->path ? finding->path : "",
                 (unsigned long long)finding->first_byte, (unsigned long long)finding->end_byte,
                 finding->text);
        told_add(told->texts, sizeof told->texts, text);
        told_add(told->codes, sizeof told->codes, code);
    }
    if (!finding->error)
        told_add(told->notes, sizeof told->notes, code);
    if (strcmp(finding->code, "lost") != 0)
        return;
    assert_true(finding->topic && finding->first_offset < finding->end_offset);
    if (told->lost_count++ == 0) {
        told->lost_first = finding->first_offset;
        told->lost_end = finding->end_offset;
    }
    told->lost_records += finding->records;
}

static inline void told_acts(void *context, const char *text)
{
    struct told *told = context;
    assert_true(text[0]);
    told_add(told->acts, sizeof told->acts, text);
}

static inline void told_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct told *told = context;
    assert_true(done_bytes <= total_bytes && done_bytes >= told->progress);
    told->progress = done_bytes;
}

static inline void told_topic(void *context, const struct log_fsck_topic *topic)
{
    struct told *told = context;
    told->balanced = told->balanced && topic->balanced;
    if (strcmp(topic->name, "flights") != 0)
        return;
    told->accepted = topic->accepted;
    told->on_disk = topic->on_disk;
    told->damaged = topic->damaged;
}

static inline err_t told_batch(void *context, struct slice topic, uint32_t partition,
                               const struct flow_batch *batch)
{
    struct told *told = context;
    assert_true(err_is_ok(flow_batch_check(batch)));
    told->batches++;
    told->records += batch->record_count;
    if (slice_equal_string(topic, "flights")) {
        assert_true(batch->base_offset >= told->next_offset[partition]);
        told->next_offset[partition] = batch->base_offset + batch->last_offset_delta + 1;
    }
    return err_ok();
}

static inline bool told_has(const struct told *told, const char *code)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, " %s ", code);
    return strstr(told->codes, wanted) != NULL;
}

static inline err_t told_try(struct world *w, struct told *told, const char *aside)
{
    *told = (struct told){.balanced = true};
    struct log_fsck_options options = {
        .disk = sim_disk_io(w->disk),
        .data_directory = "data",
        .aside = aside,
        .watcher = {told, told_found, told_acts, told_progress, told_topic, told_batch},
    };
    return log_fsck(&options, &told->result, &told->why);
}

/* Checks or, with `aside`, repairs. */
static inline void told_run(struct world *w, struct told *told, const char *aside)
{
    err_t err = told_try(w, told, aside);
    if (!err_is_ok(err))
        fail_msg("%s: %s", err_name(err), told->why.text);
}

/* Checks, and expects nothing to be wrong. */
static inline void told_clean(struct world *w, struct told *told)
{
    told_run(w, told, NULL);
    if (told->result.errors > 0)
        fail_msg("found:%s", told->texts);
}

static inline bool fsck_is_sealed(void *context)
{
    const struct world *w = context;
    return w->log->sealer.saved_sealed >= 3 && w->log->sealer.phase == LOG_SEALER_IDLE &&
           !w->log->flushing && !w->log->open;
}

/* Adds 4 records of 30 kB each, none of their bytes zero: what a torn frame leaves behind is then
 * no block of zeros. */
static inline void fsck_records(struct asked *asked, uint32_t partition)
{
    uint8_t value[30000];
    memset(value, 'v', sizeof value);
    struct flow_batch_builder *builder = &asked->builders[0];
    flow_batch_builder_init(builder);
    for (int i = 0; i < 4; i++)
        assert_code(flow_batch_builder_add(builder, 1, slice_make(NULL, 0),
                                           slice_make(value, sizeof value), NULL, 0),
                    OK);
    struct slice batch = flow_batch_builder_finish(builder);
    asked->appends[0] = (struct flow_append){.topic_id = 1,
                                             .partition = partition,
                                             .record_count = 4,
                                             .batch = builder->bytes.data,
                                             .batch_size = batch.size,
                                             .base_offset = -1};
    asked->commit.append_count = 1;
}

/* Commits of 4 records to each partition in turn, 30 kB each. */
static inline void fsck_fill(struct world *w, uint32_t commits)
{
    for (uint32_t i = 0; i < commits; i++) {
        struct asked asked;
        asked_init(&asked, w);
        fsck_records(&asked, i % 2);
        asked_count(&asked, 1, 4, 0);
        assert_code(asked_commit(&asked), OK);
        asked_done(&asked);
    }
}

#define FSCK_COMMITS 40u
#define FSCK_COMMITS_BEHIND 8u

/* Three files of it are in segments, which checkpoints name, the rest in the WAL; then the power
 * is lost. */
static inline void fsck_begin(struct world *w, uint64_t seed)
{
    world_init(w, seed);
    world_begin(w);
    assert_code(world_open_sink(w, "files"), OK);
    fsck_fill(w, FSCK_COMMITS);
    world_until(w, fsck_is_sealed, w);
    w->sealer.closed = true;
    fsck_fill(w, FSCK_COMMITS_BEHIND);
    world_settle(w);
    world_lose_power(w);
    w->sealer.closed = false;
    w->sealer.held_count = 0;
}

#define FSCK_RECORDS (4u * (FSCK_COMMITS + FSCK_COMMITS_BEHIND))

/* The path of a file of partition 0 of the first topic. */
static inline void fsck_segment_path(const struct world *w, int64_t base_offset,
                                     enum log_segment_file which,
                                     char out[static LOG_SEGMENT_PATH_MAX])
{
    struct log_segment_place place = {.data_directory = "data",
                                      .topic = SLICE_LITERAL("flights"),
                                      .topic_uuid = {{'f', 1}},
                                      .partition = 0};
    assert_non_null(w->disk);
    log_segment_path(&place, base_offset, which, out);
}

static inline void fsck_wal_path(uint64_t number, char out[static LOG_SEGMENT_PATH_MAX])
{
    snprintf(out, LOG_SEGMENT_PATH_MAX, "data/wal/%020llu.wal", (unsigned long long)number);
}

static inline void fsck_flip(struct world *w, const char *path, uint64_t offset)
{
    assert_true(sim_disk_flip(w->disk, path, offset, 3));
}

static inline void fsck_truncate(struct world *w, const char *path, uint64_t size)
{
    struct io_file *file;
    assert_code(io_disk_open(sim_disk_io(w->disk), path, IO_OPEN_READ | IO_OPEN_WRITE, &file, NULL),
                OK);
    assert_code(io_file_truncate(file, size), OK);
    assert_code(io_file_sync(file), OK);
    assert_code(io_file_close(file), OK);
}

static inline void fsck_write(struct world *w, const char *path, const void *data, size_t size,
                              uint64_t offset)
{
    struct io_file *file;
    assert_code(io_disk_open(sim_disk_io(w->disk), path,
                             IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL),
                OK);
    assert_code(io_file_write(file, data, size, offset), OK);
    assert_code(io_file_sync(file), OK);
    assert_code(io_file_close(file), OK);
}

static inline void fsck_remove(struct world *w, const char *path)
{
    assert_code(io_disk_remove(sim_disk_io(w->disk), path, NULL), OK);
}

/* Opens the repaired directory: everything that `told` counted can be read, the ledger balances,
 * offsets go on behind those that were given. */
static inline void fsck_serves(struct world *w, const struct told *told, int64_t least_end)
{
    world_open(w);
    struct flow_snapshot snapshot = {0};
    arena_init(&snapshot.arena, 0);
    assert_code(log_state_snapshot(&w->log->state, &snapshot), OK);
    assert_true(flow_snapshot_balanced(&snapshot));
    assert_true(snapshot.topics[0].accepted == told->on_disk);
    assert_true(snapshot.topics[0].received ==
                snapshot.topics[0].accepted + snapshot.topics[0].damaged);
    flow_snapshot_done(&snapshot);
    assert_true(world_end(w, 1, 0) >= least_end);
    int64_t before = world_end(w, 1, 0);
    /* A log that is full makes room as it is sealed. */
    err_t err = err_make(ERR_LOG_FULL);
    for (int i = 0; i < 50 && err_is(err, ERR_LOG_FULL); i++) {
        world_deliver(w);
        err = world_commit(w, 3, 100);
    }
    assert_code(err, OK);
    assert_int_equal(world_end(w, 1, 0), before + 3);
    world_settle(w);
    world_kill(w);
    struct told after;
    told_clean(w, &after);
    assert_int_equal(after.on_disk, told->on_disk + 3);
}
