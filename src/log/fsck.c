#include "log/fsck.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/fsck_int.h"

#include <inttypes.h>
#include <stdarg.h>

/*
 * The happy path: lock, read garner.meta and the checkpoints, read the frames that no segment has
 * (fsck_wal.c), read the segments (fsck_segment.c), compare the sums. A repair is the same walk,
 * in which the state becomes what is left, and then writing that down (fsck_repair.c).
 *
 * Failure modes: everything that is wrong with the data is a finding and the walk goes on. An
 * error is returned when the work itself cannot be done: no memory, a disk that refuses names, a
 * server that is running, the files of a newer program.
 */

#define CHECKPOINTS_MAX 64u

void log_fsck_path(const struct log_fsck *f, const char *name,
                   char out[static LOG_SEGMENT_PATH_MAX])
{
    int size = snprintf(out, LOG_SEGMENT_PATH_MAX, "%s/%s", f->directory, name);
    /* The data directory's length was looked at, and names are ours. */
    ASSERT(size > 0 && size < LOG_SEGMENT_PATH_MAX);
}

struct log_segment_place log_fsck_place(const struct log_fsck *f, const struct log_topic *topic,
                                        uint32_t partition)
{
    ASSERT(topic->name);
    return (struct log_segment_place){.data_directory = f->directory,
                                      .topic = slice_string(topic->name),
                                      .topic_uuid = topic->uuid,
                                      .partition = partition};
}

void log_fsck_progress(struct log_fsck *f, uint64_t bytes)
{
    const struct log_fsck_watcher *watcher = &f->options->watcher;
    f->done_bytes += bytes;
    if (f->done_bytes > f->total_bytes)
        f->total_bytes = f->done_bytes;
    ASSERT(f->done_bytes >= bytes);
    if (watcher->progress)
        watcher->progress(watcher->context, f->done_bytes, f->total_bytes);
}

void log_fsck_find(struct log_fsck *f, const struct log_fsck_finding *finding, const char *format,
                   ...)
{
    const struct log_fsck_watcher *watcher = &f->options->watcher;
    struct log_fsck_finding told = *finding;
    char text[ERR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    told.text = text;
    *(told.error ? &f->result.errors : &f->result.notes) += 1;
    ASSERT(told.code);
    if (watcher->found)
        watcher->found(watcher->context, &told);
}

void log_fsck_act(struct log_fsck *f, const char *format, ...)
{
    const struct log_fsck_watcher *watcher = &f->options->watcher;
    char text[ERR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ASSERT(f->repair);
    if (watcher->acts)
        watcher->acts(watcher->context, text);
}

static err_t lock_directory(struct log_fsck *f)
{
    char path[LOG_SEGMENT_PATH_MAX];
    enum io_kind kind;
    if (strlen(f->directory) > LOG_SEGMENT_PATH_MAX / 2)
        return err_set(f->why, ERR_INVALID, "the path is too long");
    TRY(io_disk_kind(f->disk, f->directory, &kind, f->why));
    if (kind != IO_KIND_DIRECTORY)
        return err_set(f->why, ERR_NO_FILE, "%s is no directory", f->directory);
    log_fsck_path(f, "garner.lock", path);
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    ASSERT(!f->lock);
    /* A check makes no file; where there is none to lock, no server can be running. */
    if (kind == IO_KIND_NONE && !f->repair)
        return err_ok();
    unsigned flags = IO_OPEN_READ | (f->repair ? IO_OPEN_WRITE | IO_OPEN_CREATE : 0u);
    TRY(io_disk_open(f->disk, path, flags, &f->lock, f->why));
    err_t err = io_file_lock(f->lock);
    if (err_is(err, ERR_IN_USE))
        return err_set(f->why, ERR_IN_USE, "%s is in use by a garner server; stop it first",
                       f->directory);
    return err;
}

static err_t read_meta(struct log_fsck *f)
{
    struct err_text why = {0};
    err_t err = log_meta_read(f->disk, f->directory, &f->meta, &why);
    ASSERT(!f->meta_good);
    f->meta_good = err_is_ok(err);
    bool missing = err_is(err, ERR_NO_FILE);
    if (!f->meta_good && !missing && !err_is(err, ERR_CORRUPT) && !err_is(err, ERR_SYNTAX) &&
        !err_is(err, ERR_TOO_LARGE) && !err_is(err, ERR_INVALID))
        return err_set(f->why, (enum err_code)err.code, "%s", err_detail(err, &why));
    return err_ok();
}

/* Before it is known whose they are: the uuid of the newest that is whole. */
static err_t checkpoint_uuid(struct log_fsck *f, const uint64_t *lsns, size_t count,
                             struct uuid *out, bool *found)
{
    struct buf bytes = {0};
    *found = false;
    for (size_t i = 0; i < count && !*found; i++) {
        buf_reset(&bytes);
        err_t err = log_checkpoint_read(f->disk, f->directory, lsns[i], &bytes, NULL);
        if (err_is(err, ERR_MEMORY)) {
            buf_done(&bytes);
            return err;
        }
        ASSERT(lsns[i] > 0 || !err_is_ok(err));
        *found = err_is_ok(err) && err_is_ok(log_checkpoint_check(buf_slice(&bytes)));
        if (*found)
            memcpy(out->bytes, bytes.data + LOG_CHECKPOINT_UUID_AT, sizeof out->bytes);
    }
    buf_done(&bytes);
    return err_ok();
}

/* Two of garner.meta, checkpoint and log that agree are right. */
static err_t choose_uuid(struct log_fsck *f, const uint64_t *lsns, size_t count)
{
    struct uuid saved = {0};
    struct uuid logged = {0};
    bool has_saved = false;
    TRY(checkpoint_uuid(f, lsns, count, &saved, &has_saved));
    bool has_logged = log_fsck_wal_uuid(f, &logged);
    bool agree = has_saved && has_logged && uuid_equal(&saved, &logged);
    ASSERT(uuid_is_zero(&f->uuid));
    if (!f->meta_good && !has_saved && !has_logged)
        return err_set(f->why, ERR_NO_FILE,
                       "%s holds no data of garner: neither garner.meta nor a checkpoint nor a "
                       "log",
                       f->directory);
    if (f->meta_good && !(agree && !uuid_equal(&f->meta.uuid, &saved)) &&
        (!has_logged || has_saved || uuid_equal(&f->meta.uuid, &logged)))
        f->uuid = f->meta.uuid;
    else
        f->uuid = has_saved ? saved : logged;
    if (!f->meta_good || !uuid_equal(&f->meta.uuid, &f->uuid)) {
        log_fsck_find(
            f,
            &(struct log_fsck_finding){.error = true, .code = "meta_wrong", .path = "garner.meta"},
            f->meta_good ? "garner.meta is of another data directory"
                         : "garner.meta is missing or damaged");
        f->meta_good = false;
    }
    return err_ok();
}

static uint64_t seed_of(const struct log_fsck *f)
{
    uint64_t seed = 0;
    ASSERT(f->directory);
    memcpy(&seed, f->uuid.bytes, sizeof seed);
    return seed;
}

/* Reads one into the state, or, once there is one to begin with, only looks whether it could. */
static err_t read_checkpoint(struct log_fsck *f, uint64_t lsn)
{
    struct buf bytes = {0};
    struct log_state state;
    struct log_checkpoint checkpoint = {0};
    struct err_text detail = {0};
    log_state_init(&state, seed_of(f));
    err_t err = log_checkpoint_read(f->disk, f->directory, lsn, &bytes, &detail);
    if (err_is_ok(err))
        err = log_checkpoint_decode(buf_slice(&bytes), &checkpoint, &state);
    buf_done(&bytes);
    bool good = err_is_ok(err) && uuid_equal(&checkpoint.uuid, &f->uuid);
    ASSERT(!good || checkpoint.last.lsn > 0);
    if (good && !f->has_checkpoint) {
        log_state_done(&f->state);
        log_state_move(&f->state, &state);
        f->checkpoint = checkpoint;
        f->has_checkpoint = true;
        f->result.checkpoint_lsn = lsn;
        return log_fsck_load_keys(f);
    }
    log_state_done(&state);
    if (err_is(err, ERR_VERSION))
        return err_set(f->why, ERR_VERSION,
                       "checkpoint %" PRIu64 " was written by a newer garner; use that version",
                       lsn);
    if (good || err_is(err, ERR_MEMORY))
        return err;
    char name[64];
    snprintf(name, sizeof name, "checkpoint/%020" PRIu64 ".ckpt", lsn);
    f->bad_checkpoints++;
    log_fsck_find(
        f, &(struct log_fsck_finding){.error = true, .code = "checkpoint_damaged", .path = name},
        err_is_ok(err) ? "the checkpoint is of another data directory"
                       : "the checkpoint is damaged; nothing is lost while there is another one");
    return err_ok();
}

/* Without a checkpoint the log is read from its beginning; if that is gone, nothing says which
 * topics and segments there were. */
static void judge_beginning(struct log_fsck *f)
{
    bool begins = f->file_count > 0 && f->files[0].number == 1;
    f->possible = true;
    ASSERT(f->files || f->file_count == 0);
    if (f->has_checkpoint || begins || (f->file_count == 0 && !f->meta.ready && f->meta_good))
        return;
    f->possible = false;
    log_fsck_find(f, &(struct log_fsck_finding){.error = true, .code = "state_lost"},
                  "no checkpoint can be read and the beginning of the log is not there any more: "
                  "restore the directory from a copy");
}

static err_t begin(struct log_fsck *f)
{
    uint64_t lsns[CHECKPOINTS_MAX];
    size_t count = 0;
    TRY(lock_directory(f));
    if (f->repair)
        TRY(io_disk_open(f->disk, f->directory, IO_OPEN_READ, &f->root, f->why));
    TRY(read_meta(f));
    TRY(log_fsck_open_wal(f));
    TRY(log_checkpoint_list(f->disk, f->directory, lsns, CHECKPOINTS_MAX, &count, f->why));
    TRY(choose_uuid(f, lsns, count));
    ASSERT(count <= CHECKPOINTS_MAX);
    for (size_t i = 0; i < count; i++)
        TRY(read_checkpoint(f, lsns[i]));
    judge_beginning(f);
    return err_ok();
}

static void report_topic(struct log_fsck *f, const struct log_topic *topic)
{
    const struct log_fsck_watcher *watcher = &f->options->watcher;
    struct log_fsck_topic row = {.name = topic->name,
                                 .dlq = topic->parent_id > 0,
                                 .on_disk = f->on_disk[topic->id - 1],
                                 .damaged = topic->damaged};
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        const struct log_partition *partition = &topic->partitions[p];
        ASSERT(partition->records >= partition->records_start);
        row.accepted += partition->records;
        row.expired += topic->parent_id ? 0 : partition->records_start;
        row.end_total += (uint64_t)partition->end_offset;
    }
    row.expired += topic->letters.expired;
    row.balanced = row.dlq || topic->received == row.accepted + topic->duplicates +
                                                     topic->dead_lettered + topic->refused +
                                                     topic->damaged;
    /* Where frames are missing, what they counted is missing too. */
    if (!row.balanced && !f->gaps && f->loss_count == 0)
        log_fsck_find(f,
                      &(struct log_fsck_finding){
                          .error = true, .code = "ledger_differs", .topic = topic->name},
                      "the ledger of topic %s does not add up", topic->name);
    if (watcher->topic)
        watcher->topic(watcher->context, &row);
}

static err_t check(struct log_fsck *f)
{
    TRY(begin(f));
    if (!f->possible && f->options->watcher.batch && !f->repair)
        return log_fsck_salvage(f);
    if (!f->possible)
        return err_ok();
    TRY(log_fsck_read_wal(f));
    bool gone = f->last.lsn == 0 && f->meta_good && f->meta.ready;
    if (gone)
        log_fsck_find(f, &(struct log_fsck_finding){.error = true, .code = "wal_gone"},
                      "there is no frame in the log, and garner.meta says that there was one: "
                      "restore the directory from a copy");
    f->possible = f->last.lsn > 0;
    TRY(log_fsck_read_partitions(f));
    if (!f->repair)
        TRY(log_fsck_leftovers(f));
    if (f->repair && f->possible && f->result.errors > 0)
        TRY(log_fsck_repair(f));
    ASSERT(f->on_disk);
    for (uint32_t t = 0; t < f->state.topic_count; t++) {
        if (!f->state.topics[t]->deleted)
            report_topic(f, f->state.topics[t]);
    }
    return err_ok();
}

/* Nothing was written through it: an error has nothing to say. */
static void close_read(struct io_file *file)
{
    err_t ignored = io_file_close(file);
    ASSERT(err_is_ok(ignored) || file);
}

static void done(struct log_fsck *f)
{
    ASSERT(f->files || f->file_count == 0);
    for (size_t i = 0; i < f->file_count; i++)
        close_read(f->files[i].file);
    close_read(f->root);
    close_read(f->lock);
    log_state_done(&f->state);
    buf_done(&f->copy);
    mem_free(f->window.data);
    mem_free(f->files);
    mem_free(f->frames);
    mem_free(f->ranges);
    mem_free(f->losses);
    mem_free(f->holed);
    mem_free(f->on_disk);
}

err_t log_fsck(const struct log_fsck_options *options, struct log_fsck_result *out,
               struct err_text *why)
{
    struct err_text detail = {0};
    struct log_fsck *f = mem_zalloc(1, sizeof *f);
    if (!f)
        return err_make(ERR_MEMORY);
    f->options = options;
    f->disk = options->disk;
    f->directory = options->data_directory;
    f->repair = options->aside != NULL;
    f->why = &detail;
    ASSERT(f->disk && f->directory);
    log_state_init(&f->state, 1);
    err_t err = check(f);
    if (err_is_ok(err))
        *out = f->result;
    else
        err = err_set(why, (enum err_code)err.code, "%s", err_detail(err, &detail));
    done(f);
    mem_free(f);
    return err;
}
