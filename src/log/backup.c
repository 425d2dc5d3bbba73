#include "log/backup.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/time.h"
#include "log/backup_int.h"
#include "log/chain.h"
#include "log/checkpoint.h"
#include "log/fsck.h"
#include "log/meta.h"
#include "log/wal.h"

#include <inttypes.h>

/*
 * The happy path: the checkpoint says what there is. It is copied first, then the frames behind
 * what is sealed, then what each segment has more than the newest backup of this directory, at the
 * end of the file that both share. All is flushed, the manifest written, and the directory gets the
 * name of a backup.
 *
 * Failure modes. Whatever stops it leaves a directory that is no backup and bytes behind the ends
 * that backups name: the next one clears both. Every batch and frame is held against its checksum
 * while it is copied, so that damage is named and not handed on. A segment that is not a
 * continuation of what was copied of it (a start fell back to an older checkpoint, a repair) is
 * told by its last bytes and copied anew.
 */

#define BATCH_ROOM ((size_t)4 << 20)
/* Of a shared file, compared before it is continued. */
#define TAIL_SIZE (UINT64_C(64) << 10)
#define NAME_STEP_MS 1000

struct backup {
    const struct log_backup_options *options;
    struct io_disk *disk;
    struct err_text *why;
    struct log_backup_result result;
    struct io_file *lock;   /* of the folder */
    struct io_file *source; /* lock of the data directory */
    struct io_file *root;   /* of the folder, for io_file_sync_all */
    char unfinished[LOG_BACKUP_NAME_SIZE + 16];
    struct log_manifest before; /* the newest of this directory; without files: none */
    struct log_manifest manifest;
    struct log_state state;
    struct log_checkpoint checkpoint;
    struct log_copy copy;
    struct buf room; /* of batches */
    uint64_t done_bytes;
    uint64_t total_bytes;
};

static err_t progress(void *context, uint64_t bytes)
{
    struct backup *b = context;
    const struct log_backup_watcher *watcher = &b->options->watcher;
    b->done_bytes += bytes;
    if (b->total_bytes < b->done_bytes)
        b->total_bytes = b->done_bytes;
    ASSERT(b->done_bytes >= bytes);
    return watcher->progress ? watcher->progress(watcher->context, b->done_bytes, b->total_bytes)
                             : err_ok();
}

/* An error of a call that knows no path. */
static err_t named(struct backup *b, err_t err, const char *path)
{
    ASSERT(path[0]);
    if (err_is_ok(err) || err_is(err, ERR_CANCELLED) || b->why->text[0])
        return err;
    return err_set(b->why, (enum err_code)err.code, "%s: %s", path, err_string(err));
}

static err_t open_locked(struct backup *b, const char *directory, const char *name,
                         struct io_file **out)
{
    char path[LOG_BACKUP_PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/%s", directory, name);
    ASSERT(size > 0 && size < (int)sizeof path);
    TRY(io_disk_open(b->disk, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, out, b->why));
    return io_file_lock(*out);
}

/* Two that write one folder at a time would clear away what the other has begun: the lock is in
 * the folder, wherever that is mounted, and the system takes it back from a process that dies. */
static err_t begin_folder(struct backup *b)
{
    const char *folder = b->options->folder;
    TRY(log_backup_check_folder(folder, b->why));
    TRY(io_disk_make_path(b->disk, folder, b->why));
    err_t err = open_locked(b, folder, "garner-backup.lock", &b->lock);
    if (err_is(err, ERR_IN_USE))
        return err_set(b->why, ERR_IN_USE, "another backup into %s is under way", folder);
    TRY(err);
    ASSERT(!b->root);
    /* Before the first byte is written: io_file_sync_all answers for what comes after. */
    TRY(io_disk_open(b->disk, folder, IO_OPEN_READ, &b->root, b->why));
    return log_backup_clear_unfinished(b->disk, folder, b->why);
}

/* The first is enough: what is damaged is fsck's to tell in full, and no backup is made of it. */
static void first_finding(void *context, const struct log_fsck_finding *finding)
{
    struct err_text *found = context;
    if (!finding->error || found->text[0])
        return;
    ASSERT(finding->text);
    err_t ignored = err_set(found, ERR_CORRUPT, "%s%s%s", finding->path ? finding->path : "",
                            finding->path ? ": " : "", finding->text);
    (void)ignored;
}

/* No server has the directory: what a start would rely on is looked at, since frames behind the
 * checkpoint belong to it too. */
static err_t check_stopped(struct backup *b)
{
    const char *directory = b->options->data_directory;
    char copy[LOG_BACKUP_PATH_MAX];
    struct err_text found = {0};
    struct log_fsck_result result = {0};
    struct log_fsck_options options = {.disk = b->disk,
                                       .data_directory = directory,
                                       .watcher = {.context = &found, .found = first_finding}};
    TRY(log_fsck(&options, &result, b->why));
    if (result.errors > 0)
        return err_set(b->why, ERR_CORRUPT, "%s is damaged: %s; run garner fsck", directory,
                       found.text);
    err_t err = open_locked(b, directory, "garner.lock", &b->source);
    if (err_is(err, ERR_IN_USE))
        return err_set(b->why, ERR_IN_USE, "%s is in use by a garner server; leave out --data-dir",
                       directory);
    TRY(err);
    enum io_kind kind;
    int size = snprintf(copy, sizeof copy, "%s/wal/last.frame", directory);
    ASSERT(size > 0 && size < (int)sizeof copy);
    TRY(io_disk_kind(b->disk, copy, &kind, b->why));
    if (kind != IO_KIND_NONE)
        return err_set(b->why, ERR_BUSY,
                       "%s: a start was interrupted; start the server once, and back that up",
                       directory);
    return err_ok();
}

/* The older checkpoint would do as well, but then more frames would have to be copied behind it. */
static err_t newest_checkpoint(struct backup *b, uint64_t *lsn)
{
    uint64_t lsns[LOG_CHECKPOINTS_KEPT + 1];
    size_t count = 0;
    TRY(log_checkpoint_list(b->disk, b->options->data_directory, lsns, sizeof lsns / sizeof lsns[0],
                            &count, b->why));
    ASSERT(count <= sizeof lsns / sizeof lsns[0]);
    if (count == 0)
        return err_set(b->why, ERR_NO_FILE,
                       "%s has no checkpoint yet; start the server once and stop it",
                       b->options->data_directory);
    *lsn = lsns[0];
    return err_ok();
}

/* Reads the checkpoint that the backup is of, into the state and into `bytes`. */
static err_t load(struct backup *b, struct buf *bytes)
{
    const char *directory = b->options->data_directory;
    struct log_meta meta;
    char path[LOG_SEGMENT_PATH_MAX];
    if (strlen(directory) > LOG_BACKUP_FOLDER_MAX)
        return err_set(b->why, ERR_INVALID, "the path of the data directory is too long");
    if (b->options->lsn == 0)
        TRY(check_stopped(b));
    TRY(log_meta_read(b->disk, directory, &meta, b->why));
    uint64_t lsn = b->options->lsn;
    if (lsn == 0)
        TRY(newest_checkpoint(b, &lsn));
    TRY(log_checkpoint_read(b->disk, directory, lsn, bytes, b->why));
    log_checkpoint_path(directory, lsn, path);
    err_t err = log_checkpoint_decode(buf_slice(bytes), &b->checkpoint, &b->state);
    if (err_is(err, ERR_CORRUPT))
        return err_set(b->why, ERR_CORRUPT, "%s is damaged; run garner fsck", path);
    TRY(named(b, err, path));
    const struct uuid *wanted = &b->options->uuid;
    ASSERT(b->checkpoint.last.lsn > 0);
    if (!uuid_equal(&b->checkpoint.uuid, &meta.uuid) ||
        (!uuid_is_zero(wanted) && !uuid_equal(&meta.uuid, wanted)))
        return err_set(b->why, ERR_CORRUPT,
                       "%s is not the data directory of that server: is it on this machine?",
                       directory);
    b->manifest.uuid = meta.uuid;
    b->manifest.lsn = b->checkpoint.last.lsn;
    return err_ok();
}

/* A name that no backup has, later than all of them; and the newest of this directory. */
static err_t choose_name(struct backup *b)
{
    char(*names)[LOG_BACKUP_NAME_SIZE] = NULL;
    size_t count = 0;
    struct buf name = {0};
    int64_t now = b->options->now_ms;
    TRY(log_backup_names(b->disk, b->options->folder, &names, &count, b->why));
    err_t err = err_ok();
    bool found = false;
    for (size_t i = count; i-- > 0 && err_is_ok(err) && !found;) {
        log_manifest_done(&b->before);
        log_manifest_init(&b->before);
        err_t read =
            log_backup_read_manifest(b->disk, b->options->folder, names[i], &b->before, NULL);
        if (err_is(read, ERR_MEMORY))
            err = read;
        found = err_is_ok(read) && uuid_equal(&b->before.uuid, &b->manifest.uuid);
    }
    if (!found) {
        log_manifest_done(&b->before);
        log_manifest_init(&b->before);
    } else if (now <= b->before.created_ms) {
        now = b->before.created_ms + NAME_STEP_MS;
    }
    ASSERT(now > 0);
    while (err_is_ok(err)) {
        buf_reset(&name);
        err = buf_add_time_format(&name, SLICE_LITERAL("%Y%m%dT%H%M%SZ"), now);
        buf_add_byte(&name, '\0');
        if (err_is_ok(err))
            err = buf_error(&name);
        if (!err_is_ok(err) || count == 0 || strcmp((char *)name.data, names[count - 1]) > 0)
            break;
        now += NAME_STEP_MS;
    }
    if (err_is_ok(err))
        memcpy(b->result.name, name.data, name.size);
    b->manifest.created_ms = now;
    buf_done(&name);
    mem_free(names);
    return err;
}

/* Under another name until all of it is on the disk: whatever stops this before, no list shows a
 * backup that is not whole. */
static err_t make_directory(struct backup *b)
{
    char path[LOG_BACKUP_PATH_MAX];
    int size = snprintf(b->unfinished, sizeof b->unfinished, "%s.unfinished", b->result.name);
    ASSERT(size > 0 && size < (int)sizeof b->unfinished);
    size = snprintf(path, sizeof path, "%s/%s", b->options->folder, b->unfinished);
    ASSERT(size > 0 && size < (int)sizeof path);
    return io_disk_make_directory(b->disk, path, b->why);
}

/* Where a file of this backup goes, with its directories; `path` is below the data directory. */
static err_t place_of(struct backup *b, const struct log_manifest_file *file,
                      char out[static LOG_BACKUP_PATH_MAX])
{
    ASSERT(file->path.size > 0);
    log_backup_file_path(b->options->folder, b->unfinished, &b->manifest.uuid, file, out);
    return log_copy_make_parents(b->disk, out, strlen(b->options->folder) + 1, b->why);
}

/* From memory, as it was decoded: what the copy holds is what the segments are copied by, also
 * if the disk gives other bytes the next time. */
static err_t copy_checkpoint(struct backup *b, struct slice bytes)
{
    char path[LOG_BACKUP_PATH_MAX];
    char name[64];
    struct io_file *to;
    int size = snprintf(name, sizeof name, "checkpoint/%020" PRIu64 ".ckpt", b->manifest.lsn);
    ASSERT(size > 0 && size < (int)sizeof name);
    struct log_manifest_file file = {
        .path = slice_string(name), .size = bytes.size, .crc = crc32c(0, bytes.data, bytes.size)};
    TRY(place_of(b, &file, path));
    TRY(io_disk_open(b->disk, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &to,
                     b->why));
    err_t err = io_file_write(to, bytes.data, bytes.size, 0);
    if (err_is_ok(err))
        err = log_copy_wrote(&b->copy, to, bytes.size);
    err_t closed = io_file_close(to);
    TRY(named(b, err_is_ok(err) ? closed : err, path));
    return log_manifest_add(&b->manifest, &file);
}

static err_t open_wal(struct backup *b, uint64_t number, struct io_file **out)
{
    struct log_wal wal = {.disk = b->disk};
    char path[LOG_WAL_PATH_MAX];
    int size = snprintf(wal.directory, sizeof wal.directory, "%s/wal", b->options->data_directory);
    ASSERT(size > 0 && size < (int)sizeof wal.directory);
    log_wal_path(&wal, number, path);
    /* Past the page cache, which may hold what a file held before it was used again. */
    err_t err = io_disk_open(b->disk, path, IO_OPEN_READ | IO_OPEN_DIRECT, out, NULL);
    if (err_is(err, ERR_UNSUPPORTED))
        err = io_disk_open(b->disk, path, IO_OPEN_READ, out, NULL);
    return err;
}

/* The last lsn that later files let count in files before `number`: an epoch that follows says up
 * to which the old one counts. */
static err_t lsn_limit(struct backup *b, const struct log_chain *chain, uint64_t number,
                       uint64_t *limit)
{
    *limit = UINT64_MAX;
    for (uint64_t next = number + 1;; next++) {
        struct io_file *file;
        struct log_frame_header first;
        err_t err = open_wal(b, next, &file);
        if (err_is(err, ERR_NO_FILE))
            return err_ok();
        TRY(err);
        err = log_chain_first(chain, file, next, &first);
        err_t closed = io_file_close(file);
        TRY(err);
        TRY(closed);
        ASSERT(next > number);
        if (first.lsn > 0 && first.flags & LOG_FRAME_EPOCH_START && first.valid_to_lsn < *limit)
            *limit = first.valid_to_lsn;
    }
}

/* Frames are taken one by one, and not the file: it is as long as all files of the log, and
 * behind its frames lies what it held before. */
static err_t copy_wal_file(struct backup *b, struct log_chain *chain, uint64_t number,
                           struct io_file *from)
{
    char path[LOG_BACKUP_PATH_MAX];
    char name[64];
    struct io_file *to;
    uint64_t limit = UINT64_MAX;
    const struct log_frame_header *last = &b->checkpoint.last;
    uint64_t end = UINT64_MAX;
    /* What comes behind the checkpoint's frame may be on its way to the disk. */
    if (b->options->lsn > 0 && number == last->file_number)
        end = (uint64_t)last->block * IO_BLOCK + log_frame_disk_size(last->payload_size);
    int size = snprintf(name, sizeof name, "wal/%020" PRIu64 ".wal", number);
    ASSERT(size > 0 && size < (int)sizeof name);
    struct log_manifest_file file = {.path = slice_string(name)};
    TRY(lsn_limit(b, chain, number, &limit));
    TRY(place_of(b, &file, path));
    TRY(io_disk_open(b->disk, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &to,
                     b->why));
    err_t err = log_chain_copy(chain, from, to, number, limit, end, &file.size, &file.crc);
    err_t closed = io_file_close(to);
    TRY(named(b, err_is_ok(err) ? closed : err, path));
    return log_manifest_add(&b->manifest, &file);
}

/* The frames of the files that are not sealed, up to the checkpoint's; of a stopped directory all
 * that count. */
static err_t copy_wal(struct backup *b, struct log_chain *chain)
{
    uint64_t number = b->checkpoint.sealed_file + 1;
    uint64_t last = b->checkpoint.last.file_number;
    ASSERT(number <= last);
    for (;; number++) {
        struct io_file *from;
        struct log_frame_header first = {0};
        if (b->options->lsn > 0 && number > last)
            break;
        err_t err = open_wal(b, number, &from);
        if (err_is(err, ERR_NO_FILE) && number > last)
            break;
        if (!err_is_ok(err))
            return err_set(b->why, (enum err_code)err.code, "log file %" PRIu64 ": %s", number,
                           err_string(err));
        if (number > last)
            err = log_chain_first(chain, from, number, &first);
        bool goes_on = number <= last || first.lsn == chain->last.lsn + 1;
        if (err_is_ok(err) && goes_on)
            err = copy_wal_file(b, chain, number, from);
        err_t closed = io_file_close(from);
        TRY(err);
        TRY(closed);
        if (!goes_on)
            break;
    }
    if (chain->marked.lsn == 0)
        return err_set(b->why, ERR_CORRUPT,
                       "the log is damaged behind frame %" PRIu64 ": frame %" PRIu64
                       " of the checkpoint cannot be reached; stop the server "
                       "and run garner fsck",
                       chain->last.lsn, b->checkpoint.last.lsn);
    return err_ok();
}

/* Copies whole batches, each checked. */
static err_t copy_batches(struct backup *b, struct io_file *from, struct io_file *to,
                          uint64_t first, uint64_t end, uint32_t *crc, uint64_t *damaged_at)
{
    size_t wanted = BATCH_ROOM;
    while (first < end) {
        size_t got = 0;
        size_t whole = 0;
        uint64_t size = end - first < wanted ? end - first : wanted;
        buf_reset(&b->room);
        uint8_t *data = buf_reserve(&b->room, (size_t)size);
        if (!data)
            return err_make(ERR_MEMORY);
        TRY(io_file_read(from, data, (size_t)size, first, &got));
        struct flow_batch batch;
        err_t err = err_ok();
        while (whole < got && err_is_ok(err)) {
            err = flow_batch_parse(slice_make(data + whole, got - whole), &batch);
            if (err_is_ok(err))
                err = flow_batch_check(&batch);
            whole += err_is_ok(err) ? batch.bytes.size : 0;
        }
        *damaged_at = first + whole;
        bool cut = err_is(err, ERR_END) && got == size && first + size < end;
        if (got < size || (!err_is_ok(err) && !cut))
            return err_make(ERR_CORRUPT);
        /* Larger than what was read. */
        if (whole == 0)
            wanted *= 2;
        ASSERT(whole > 0 || cut);
        *crc = crc32c(*crc, data, whole);
        TRY(io_file_write(to, data, whole, first));
        if (whole > 0)
            TRY(log_copy_wrote(&b->copy, to, whole));
        first += whole;
    }
    return err_ok();
}

/* Whether what was copied of a file before ends as the file does there. */
static err_t is_continued(struct backup *b, struct io_file *from, struct io_file *to, uint64_t size,
                          bool *out)
{
    uint64_t first = size > TAIL_SIZE ? size - TAIL_SIZE : 0;
    uint32_t sums[2] = {0, 0};
    struct io_file *files[2] = {from, to};
    *out = false;
    ASSERT(size > 0);
    for (int i = 0; i < 2; i++) {
        struct log_copy reading = {.disk = b->disk};
        err_t err = log_copy_range(&reading, files[i], NULL, first, size, 0, &sums[i]);
        log_copy_done(&reading);
        if (err_is(err, ERR_END))
            return err_ok();
        TRY(err);
    }
    *out = sums[0] == sums[1];
    return err_ok();
}

/* Goes on with the shared file that an earlier backup has begun; `*to` is NULL where it cannot. */
static err_t continue_shared(struct backup *b, struct io_file *from, struct log_manifest_file *file,
                             struct io_file **to)
{
    char path[LOG_BACKUP_PATH_MAX];
    const struct log_manifest_file *before = log_manifest_find(&b->before, file->path);
    bool same = false;
    *to = NULL;
    if (!before || before->begun == 0 || before->size > file->size || before->size == 0)
        return err_ok();
    log_backup_file_path(b->options->folder, b->unfinished, &b->manifest.uuid, before, path);
    err_t err = io_disk_open(b->disk, path, IO_OPEN_READ | IO_OPEN_WRITE, to, NULL);
    if (err_is(err, ERR_NO_FILE))
        return err_ok();
    TRY(named(b, err, path));
    err = is_continued(b, from, *to, before->size, &same);
    if (err_is_ok(err) && same) {
        file->begun = before->begun;
        file->crc = before->crc;
        return err_ok();
    }
    err_t closed = io_file_close(*to);
    *to = NULL;
    TRY(named(b, err, path));
    return closed;
}

/* One of the three files of a segment. */
static err_t copy_shared(struct backup *b, const char *path, bool batches, uint64_t size)
{
    char place[LOG_BACKUP_PATH_MAX] = "";
    struct io_file *from;
    struct io_file *to;
    const char *name = path + strlen(b->options->data_directory) + 1;
    struct log_manifest_file file = {.path = slice_string(name), .size = size};
    uint64_t damaged_at = 0;
    err_t err = io_disk_open(b->disk, path, IO_OPEN_READ, &from, b->why);
    if (err_is(err, ERR_NO_FILE))
        return err_set(b->why, ERR_CORRUPT, "%s is missing; stop the server and run garner fsck",
                       path);
    TRY(err);
    err = continue_shared(b, from, &file, &to);
    const struct log_manifest_file *before = log_manifest_find(&b->before, file.path);
    uint64_t first = to ? before->size : 0;
    if (err_is_ok(err) && !to) {
        file.begun = (uint64_t)b->manifest.created_ms;
        err = place_of(b, &file, place);
        if (err_is_ok(err))
            err = io_disk_open(b->disk, place, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE,
                               &to, b->why);
    }
    b->done_bytes += first;
    ASSERT(first <= size);
    if (err_is_ok(err) && batches)
        err = copy_batches(b, from, to, first, size, &file.crc, &damaged_at);
    else if (err_is_ok(err))
        err = log_copy_range(&b->copy, from, to, first, size, first, &file.crc);
    if (err_is(err, ERR_CORRUPT))
        err = err_set(b->why, ERR_CORRUPT,
                      "%s is damaged at byte %" PRIu64 "; stop the server and run garner fsck",
                      path, damaged_at);
    else if (err_is(err, ERR_END))
        err = err_set(b->why, ERR_CORRUPT, "%s was cut; stop the server and run garner fsck", path);
    err = named(b, err, place[0] ? place : path);
    err_t closed = io_file_close(to);
    err = err_is_ok(err) ? named(b, closed, place[0] ? place : path) : err;
    closed = io_file_close(from);
    TRY(err);
    TRY(closed);
    return log_manifest_add(&b->manifest, &file);
}

/* The indexes could be made again from the batches. They are small beside them, and a restored
 * directory then reads as fast as this one. */
static err_t copy_segment(struct backup *b, const struct log_segment_place *place,
                          const struct log_segment *segment)
{
    char path[LOG_SEGMENT_PATH_MAX];
    ASSERT(segment->size > 0);
    log_segment_path(place, segment->base_offset, LOG_SEGMENT_LOG, path);
    TRY(copy_shared(b, path, true, segment->size));
    /* A segment without entries has no such file, or an empty one. */
    log_segment_path(place, segment->base_offset, LOG_SEGMENT_INDEX, path);
    if (segment->index_entries > 0)
        TRY(copy_shared(b, path, false,
                        (uint64_t)segment->index_entries * LOG_SEGMENT_INDEX_ENTRY));
    log_segment_path(place, segment->base_offset, LOG_SEGMENT_TIMES, path);
    if (segment->time_entries > 0)
        TRY(copy_shared(b, path, false, (uint64_t)segment->time_entries * LOG_SEGMENT_TIME_ENTRY));
    return err_ok();
}

/* What the checkpoint names of the topic's idempotency keys: all of a sorted file, and of the one
 * that grows what it says. */
static err_t copy_keys(struct backup *b, const struct log_topic *topic)
{
    char directory[LOG_SEGMENT_PATH_MAX];
    char path[LOG_SEGMENT_PATH_MAX];
    log_state_topic_directory(topic, b->options->data_directory, directory);
    for (uint32_t i = 0; i < topic->keys->count; i++) {
        const struct log_keys_bucket *bucket = topic->keys->buckets[i];
        enum log_keys_kind kind = bucket->sorted ? LOG_KEYS_SORTED : LOG_KEYS_RAW;
        uint64_t size = bucket->sorted ? log_keys_file_size(bucket->saving)
                                       : (uint64_t)bucket->saving * LOG_KEY_SIZE;
        ASSERT(!bucket->sorted || bucket->saving > 0);
        log_keys_path(directory, bucket->number, kind, path, sizeof path);
        if (size > 0)
            TRY(copy_shared(b, path, false, size));
    }
    return err_ok();
}

/* Every segment of the state: counted, or copied, with the keys of its topic. */
static err_t each_segment(struct backup *b, bool copies)
{
    for (uint32_t t = 0; t < b->state.topic_count; t++) {
        const struct log_topic *topic = b->state.topics[t];
        if (copies && topic->keys)
            TRY(copy_keys(b, topic));
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            const struct log_partition *partition = &topic->partitions[p];
            struct log_segment_place place = {.data_directory = b->options->data_directory,
                                              .topic = slice_string(topic->name),
                                              .topic_uuid = topic->uuid,
                                              .partition = p};
            for (uint32_t i = 0; i < partition->segment_count; i++) {
                ASSERT(partition->segments);
                if (copies)
                    TRY(copy_segment(b, &place, &partition->segments[i]));
                else
                    b->total_bytes += partition->segments[i].size;
            }
        }
    }
    return err_ok();
}

/* The log first, since its files are what the server waits for: they are let go as soon as they
 * are copied. Segments only grow, and take the longest. */
static err_t copy_all(struct backup *b, struct slice checkpoint)
{
    const struct log_backup_watcher *watcher = &b->options->watcher;
    struct log_chain chain = {.copy = &b->copy,
                              .from = b->manifest.uuid,
                              .to = b->manifest.uuid,
                              .mark_lsn = b->manifest.lsn};
    b->total_bytes = checkpoint.size;
    TRY(each_segment(b, false));
    TRY(copy_checkpoint(b, checkpoint));
    err_t err = copy_wal(b, &chain);
    log_chain_done(&chain);
    ASSERT(!chain.data);
    TRY(err);
    if (watcher->log_copied)
        TRY(watcher->log_copied(watcher->context));
    TRY(each_segment(b, true));
    return watcher->copied ? watcher->copied(watcher->context) : err_ok();
}

/* All is flushed before there is a manifest, and that before there is a backup. */
static err_t finish(struct backup *b)
{
    char from[LOG_BACKUP_PATH_MAX];
    char to[LOG_BACKUP_PATH_MAX];
    struct buf text = {0};
    const char *folder = b->options->folder;
    int size = snprintf(from, sizeof from, "%s/%s/manifest", folder, b->unfinished);
    ASSERT(size > 0 && size < (int)sizeof from);
    TRY(named(b, io_file_sync_all(b->root), folder));
    b->manifest.copied_bytes = b->copy.written_bytes;
    log_manifest_encode(&b->manifest, &text);
    err_t err = buf_error(&text);
    if (err_is_ok(err))
        err = io_disk_write_file(b->disk, from, buf_slice(&text), b->why);
    buf_done(&text);
    TRY(err);
    size = snprintf(from, sizeof from, "%s/%s", folder, b->unfinished);
    ASSERT(size > 0 && size < (int)sizeof from);
    size = snprintf(to, sizeof to, "%s/%s", folder, b->result.name);
    ASSERT(size > 0 && size < (int)sizeof to);
    TRY(io_disk_rename(b->disk, from, to, b->why));
    return io_disk_sync_directory(b->disk, folder, b->why);
}

/* What an earlier one has left, or this one when it failed. A backup that cannot be read keeps
 * everything: nobody knows what it needs. */
static err_t clear(struct backup *b, struct err_text *why)
{
    ASSERT(b->lock);
    TRY(log_backup_clear_unfinished(b->disk, b->options->folder, why));
    err_t err = log_backup_clear_unnamed(b->disk, b->options->folder, why);
    bool unknown = err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION) || err_is(err, ERR_NO_FILE);
    if (unknown && why)
        *why = (struct err_text){0};
    return unknown ? err_ok() : err;
}

static err_t make(struct backup *b)
{
    struct buf checkpoint = {0};
    TRY(begin_folder(b));
    err_t err = load(b, &checkpoint);
    if (err_is_ok(err))
        err = clear(b, b->why);
    if (err_is_ok(err))
        err = choose_name(b);
    if (err_is_ok(err))
        err = make_directory(b);
    if (err_is_ok(err))
        err = copy_all(b, buf_slice(&checkpoint));
    buf_done(&checkpoint);
    if (err_is_ok(err))
        err = finish(b);
    ASSERT(b->lock);
    /* What is left is in nobody's way, and the next one tries again. */
    if (!err_is_ok(err)) {
        err_t ignored = clear(b, NULL);
        (void)ignored;
        return err;
    }
    b->result.uuid = b->manifest.uuid;
    b->result.lsn = b->manifest.lsn;
    b->result.bytes = log_manifest_bytes(&b->manifest);
    b->result.copied_bytes = b->manifest.copied_bytes;
    return err_ok();
}

static void done(struct backup *b)
{
    struct io_file *files[] = {b->lock, b->source, b->root};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        /* Nothing was written through them. */
        err_t ignored = io_file_close(files[i]);
        (void)ignored;
    }
    ASSERT(b->copy.disk);
    log_copy_done(&b->copy);
    log_manifest_done(&b->before);
    log_manifest_done(&b->manifest);
    log_state_done(&b->state);
    buf_done(&b->room);
}

err_t log_backup(const struct log_backup_options *options, struct log_backup_result *out,
                 struct err_text *why)
{
    struct err_text detail = {0};
    struct backup *b = mem_zalloc(1, sizeof *b);
    if (!b)
        return err_make(ERR_MEMORY);
    ASSERT(options->disk && options->data_directory && options->folder);
    b->options = options;
    b->disk = options->disk;
    b->why = &detail;
    b->copy = (struct log_copy){.disk = b->disk, .context = b, .step = progress};
    log_manifest_init(&b->before);
    log_manifest_init(&b->manifest);
    log_state_init(&b->state, 1);
    err_t err = make(b);
    if (err_is_ok(err))
        *out = b->result;
    else
        err = err_set(why, (enum err_code)err.code, "%s", err_detail(err, &detail));
    done(b);
    mem_free(b);
    return err;
}
