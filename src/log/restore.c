#include "log/restore.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/number.h"
#include "log/backup_int.h"
#include "log/chain.h"
#include "log/checkpoint.h"
#include "log/meta.h"
#include "log/wal.h"

#include <inttypes.h>

/*
 * The happy path: every file of the manifest is copied to its place and held against its checksum.
 * Frames get the uuid of the directory on the way, in files that are as long as theirs were and
 * filled as the log fills them; the checkpoint is written again with the uuid and its last frame's
 * new header. Then the whole is checked like any data directory, flushed, and renamed.
 */

#define UNFINISHED ".unfinished"

struct restore {
    const struct log_restore_options *options;
    struct io_disk *disk;
    struct err_text *why;
    struct log_restore_result result;
    char unfinished[LOG_BACKUP_PATH_MAX];
    struct io_file *root;
    struct log_manifest manifest;
    struct log_copy copy;
    struct log_chain chain;
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t checked_bytes;
    err_t stopped; /* by the watcher, while the result is checked */
};

static err_t progress(void *context, uint64_t bytes)
{
    struct restore *r = context;
    r->done_bytes += bytes;
    if (r->total_bytes < r->done_bytes)
        r->total_bytes = r->done_bytes;
    ASSERT(r->done_bytes >= bytes);
    if (!r->options->progress)
        return err_ok();
    return r->options->progress(r->options->context, r->done_bytes, r->total_bytes);
}

static int any_name(void *context, const char *name, enum io_kind kind)
{
    bool *found = context;
    ASSERT(name[0] && kind != IO_KIND_NONE);
    *found = true;
    return 1;
}

/* Nothing, or an empty directory. */
static err_t check_target(struct restore *r)
{
    const char *to = r->options->to;
    enum io_kind kind;
    bool found = false;
    ASSERT(to);
    if (strlen(to) == 0 || strlen(to) > LOG_BACKUP_FOLDER_MAX)
        return err_set(r->why, ERR_INVALID, "the path of the data directory is empty or too long");
    TRY(io_disk_kind(r->disk, to, &kind, r->why));
    if (kind == IO_KIND_NONE)
        return err_ok();
    if (kind == IO_KIND_DIRECTORY)
        TRY(io_disk_list(r->disk, to, any_name, &found, r->why));
    if (kind != IO_KIND_DIRECTORY || found)
        return err_set(r->why, ERR_EXISTS,
                       "%s is there already and is not an empty directory; nothing was changed, "
                       "restore to another place",
                       to);
    return err_ok();
}

static err_t choose_backup(struct restore *r)
{
    const char *folder = r->options->folder;
    const char *name = r->options->name;
    char(*names)[LOG_BACKUP_NAME_SIZE] = NULL;
    size_t count = 0;
    TRY(log_backup_check_folder(folder, r->why));
    TRY(log_backup_names(r->disk, folder, &names, &count, r->why));
    bool found = false;
    for (size_t i = count; i-- > 0 && !found;) {
        found = !name || strcmp(names[i], name) == 0;
        if (found)
            memcpy(r->result.name, names[i], sizeof r->result.name);
    }
    ASSERT(sizeof r->result.name == LOG_BACKUP_NAME_SIZE);
    mem_free(names);
    if (!found && name)
        return err_set(r->why, ERR_NO_FILE, "%s has no backup %s; garner backup list shows them",
                       folder, name);
    if (!found)
        return err_set(r->why, ERR_NO_FILE, "%s holds no backup that was finished", folder);
    TRY(log_backup_read_manifest(r->disk, folder, r->result.name, &r->manifest, r->why));
    r->result.lsn = r->manifest.lsn;
    r->result.created_ms = r->manifest.created_ms;
    r->result.bytes = log_manifest_bytes(&r->manifest);
    /* Copied, then read again. */
    r->total_bytes = 2 * r->result.bytes;
    return err_ok();
}

/* What an interrupted restore left is removed and not gone on with: how far it came is nowhere
 * written down. */
static err_t begin_target(struct restore *r)
{
    int size = snprintf(r->unfinished, sizeof r->unfinished, "%s", r->options->to);
    ASSERT(size > 0 && size <= (int)LOG_BACKUP_FOLDER_MAX);
    while (size > 1 && r->unfinished[size - 1] == '/')
        size--;
    memcpy(r->unfinished + size, UNFINISHED, sizeof UNFINISHED);
    TRY(log_copy_remove_tree(r->disk, r->unfinished, r->why));
    TRY(io_disk_make_path(r->disk, r->unfinished, r->why));
    /* Before the first byte is written: io_file_sync_all answers for what comes after. */
    return io_disk_open(r->disk, r->unfinished, IO_OPEN_READ, &r->root, r->why);
}

static void source_path(const struct restore *r, const struct log_manifest_file *file,
                        char out[static LOG_BACKUP_PATH_MAX])
{
    ASSERT(r->result.name[0]);
    log_backup_file_path(r->options->folder, r->result.name, &r->manifest.uuid, file, out);
}

static err_t target_path(struct restore *r, const struct log_manifest_file *file,
                         char out[static LOG_BACKUP_PATH_MAX])
{
    int size =
        snprintf(out, LOG_BACKUP_PATH_MAX, "%s/%.*s", r->unfinished, SLICE_PRINTF(file->path));
    ASSERT(size > 0 && size < (int)LOG_BACKUP_PATH_MAX);
    return log_copy_make_parents(r->disk, out, strlen(r->unfinished) + 1, r->why);
}

static err_t damaged(struct restore *r, const char *path, const char *how)
{
    ASSERT(path[0]);
    return err_set(r->why, ERR_CORRUPT, "%s is %s: this backup cannot be restored; try another one",
                   path, how);
}

/* An error of a copy, with what it is about. */
static err_t named(struct restore *r, err_t err, const char *from, const char *to)
{
    if (err_is_ok(err) || err_is(err, ERR_CANCELLED) || r->why->text[0])
        return err;
    ASSERT(from[0] && to[0]);
    if (err_is(err, ERR_END))
        return damaged(r, from, "cut");
    return err_set(r->why, (enum err_code)err.code, "copying %s to %s: %s", from, to,
                   err_string(err));
}

/* A file that the manifest names and that is not there was removed by hand, or lies on another
 * disk: that is damage of this backup, and no mistake of the caller's. */
static err_t open_source(struct restore *r, const char *path, struct io_file **out)
{
    err_t err = io_disk_open(r->disk, path, IO_OPEN_READ, out, r->why);
    ASSERT(path[0]);
    return err_is(err, ERR_NO_FILE) ? damaged(r, path, "missing") : err;
}

/* Segments, indexes and files of keys say nothing of the directory that they are in, and are
 * copied as they are. */
static err_t copy_file(struct restore *r, const struct log_manifest_file *file)
{
    char from_path[LOG_BACKUP_PATH_MAX];
    char to_path[LOG_BACKUP_PATH_MAX];
    struct io_file *from;
    struct io_file *to;
    uint32_t crc = 0;
    source_path(r, file, from_path);
    TRY(target_path(r, file, to_path));
    TRY(open_source(r, from_path, &from));
    err_t err = io_disk_open(r->disk, to_path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE,
                             &to, r->why);
    if (err_is_ok(err)) {
        err = log_copy_range(&r->copy, from, to, 0, file->size, 0, &crc);
        err_t closed = io_file_close(to);
        err = err_is_ok(err) ? closed : err;
    }
    err_t closed = io_file_close(from);
    TRY(named(r, err, from_path, to_path));
    TRY(closed);
    ASSERT(file->size > 0 || crc == 0);
    return crc == file->crc ? err_ok() : damaged(r, from_path, "damaged");
}

/* The checksum of what the manifest names of a file; frames are looked at only if it fits. */
static err_t check_sum(struct restore *r, const struct log_manifest_file *file, const char *path,
                       struct io_file *from)
{
    uint32_t crc = 0;
    struct log_copy reading = {.disk = r->disk};
    err_t err = log_copy_range(&reading, from, NULL, 0, file->size, 0, &crc);
    log_copy_done(&reading);
    ASSERT(path[0]);
    TRY(named(r, err, path, r->unfinished));
    return crc == file->crc ? err_ok() : damaged(r, path, "damaged");
}

/* A file of the log that is filled and holds no frame. */
static err_t make_wal_file(struct restore *r, uint64_t number, uint64_t size)
{
    struct log_wal wal = {.disk = r->disk, .file_size = size};
    struct log_wal_making making;
    int length = snprintf(wal.directory, sizeof wal.directory, "%s/wal", r->unfinished);
    ASSERT(length > 0 && (size_t)length < sizeof wal.directory);
    TRY(log_wal_make_begin(&making, &wal, number, 0));
    err_t err = err_ok();
    while (err_is_ok(err) && !making.finished)
        err = log_wal_make_step(&making, r->why);
    log_wal_make_done(&making);
    return err;
}

/* "wal/<20 digits>.wal", with the number. */
static bool is_wal_file(struct slice path, uint64_t *number)
{
    ASSERT(number);
    struct slice prefix = SLICE_LITERAL("wal/");
    struct slice suffix = SLICE_LITERAL(".wal");
    return path.size == 28 && slice_starts_with(path, prefix) && slice_ends_with(path, suffix) &&
           err_is_ok(number_parse_u64(slice_sub(path, prefix.size, 20), number)) && *number > 0;
}

/* The checksum first: a frame that rotted in the backup is found before any of it is given
 * another uuid, which would make new checksums for whatever is there. */
static err_t copy_frames(struct restore *r, const struct log_manifest_file *file, uint64_t number,
                         struct io_file *from, const char *from_path)
{
    char to_path[LOG_BACKUP_PATH_MAX];
    struct log_frame_header first;
    struct io_file *to;
    uint64_t size = 0;
    uint32_t crc = 0;
    TRY(target_path(r, file, to_path));
    TRY(check_sum(r, file, from_path, from));
    TRY(log_chain_first(&r->chain, from, number, &first));
    /* A file without a frame is as long as the one before it. */
    uint64_t made = first.lsn > 0 ? (uint64_t)first.file_blocks * IO_BLOCK
                                  : (uint64_t)r->chain.last.file_blocks * IO_BLOCK;
    if (made < file->size || made > LOG_WAL_FILE_SIZE_MAX)
        return damaged(r, from_path, "not what garner wrote");
    TRY(make_wal_file(r, number, made > 0 ? made : LOG_WAL_FILE_SIZE_MIN));
    TRY(io_disk_open(r->disk, to_path, IO_OPEN_WRITE, &to, r->why));
    err_t err = log_chain_copy(&r->chain, from, to, number, UINT64_MAX, file->size, &size, &crc);
    err_t closed = io_file_close(to);
    TRY(named(r, err_is_ok(err) ? closed : err, from_path, to_path));
    ASSERT(size <= made || made == 0);
    return size == file->size ? err_ok() : damaged(r, from_path, "not one chain of frames");
}

static err_t copy_wal_file(struct restore *r, const struct log_manifest_file *file, uint64_t number)
{
    char path[LOG_BACKUP_PATH_MAX];
    struct io_file *from;
    ASSERT(number > 0);
    source_path(r, file, path);
    TRY(open_source(r, path, &from));
    err_t err = copy_frames(r, file, number, from, path);
    err_t closed = io_file_close(from);
    TRY(named(r, err, path, r->unfinished));
    return closed;
}

static bool is_checkpoint(struct slice path)
{
    ASSERT(path.size > 0);
    return slice_starts_with(path, SLICE_LITERAL("checkpoint/"));
}

/* What a sink was about to finish lies with that sink's target, which has gone on since, or is not
 * here at all: it begins again where its cursors stand. Frames behind the checkpoint, which only
 * the copy of a stopped directory has, say themselves what became of it. */
static void forget_prepared(struct restore *r, struct log_state *state)
{
    ASSERT(r->chain.last.lsn >= r->chain.mark_lsn);
    for (uint32_t i = 0; i < state->sink_count && r->chain.last.lsn == r->chain.mark_lsn; i++) {
        struct log_sink *sink = state->sinks[i];
        sink->prepared = false;
        sink->redrives = false;
        sink->range_count = 0;
        sink->outputs = slice_make(sink->outputs.data, 0);
    }
}

static err_t write_checkpoint(struct restore *r, struct log_checkpoint *checkpoint,
                              struct log_state *state)
{
    struct buf bytes = {0};
    forget_prepared(r, state);
    ASSERT(r->chain.marked.lsn == checkpoint->last.lsn);
    checkpoint->uuid = r->options->uuid;
    checkpoint->last = r->chain.marked;
    /* Frames may come behind it: a start looks for them. */
    checkpoint->clean = false;
    log_checkpoint_encode(checkpoint, state, &bytes);
    err_t err = buf_error(&bytes);
    if (err_is_ok(err))
        err = log_checkpoint_write(r->disk, r->unfinished, checkpoint->last.lsn, buf_slice(&bytes),
                                   0, r->why);
    buf_done(&bytes);
    return err;
}

static err_t load_checkpoint(struct restore *r, struct log_checkpoint *checkpoint,
                             struct log_state *state)
{
    char path[LOG_BACKUP_PATH_MAX];
    struct buf bytes = {0};
    const struct log_manifest_file *file = NULL;
    for (size_t i = 0; i < r->manifest.file_count && !file; i++) {
        if (is_checkpoint(r->manifest.files[i].path))
            file = &r->manifest.files[i];
    }
    if (!file)
        return damaged(r, r->result.name, "without a checkpoint");
    source_path(r, file, path);
    err_t err = io_disk_read_file(r->disk, path, SIZE_MAX / 2, &bytes, r->why);
    if (err_is(err, ERR_NO_FILE))
        err = damaged(r, path, "missing");
    if (err_is_ok(err) && crc32c(0, bytes.data, bytes.size) != file->crc)
        err = damaged(r, path, "damaged");
    if (err_is_ok(err))
        err = log_checkpoint_decode(buf_slice(&bytes), checkpoint, state);
    buf_done(&bytes);
    ASSERT(!err_is_ok(err) || checkpoint->last.lsn > 0);
    if (err_is(err, ERR_CORRUPT) && !r->why->text[0])
        return damaged(r, path, "damaged");
    TRY(named(r, err, path, r->options->to));
    return checkpoint->last.lsn == r->manifest.lsn ? err_ok()
                                                   : damaged(r, path, "of another frame");
}

static err_t copy_all(struct restore *r, struct log_checkpoint *checkpoint, struct log_state *state)
{
    r->chain = (struct log_chain){.copy = &r->copy,
                                  .from = r->manifest.uuid,
                                  .to = r->options->uuid,
                                  .mark_lsn = checkpoint->last.lsn};
    ASSERT(r->manifest.files || r->manifest.file_count == 0);
    for (size_t i = 0; i < r->manifest.file_count; i++) {
        const struct log_manifest_file *file = &r->manifest.files[i];
        uint64_t number;
        if (is_checkpoint(file->path))
            continue;
        if (is_wal_file(file->path, &number))
            TRY(copy_wal_file(r, file, number));
        else
            TRY(copy_file(r, file));
    }
    if (r->chain.marked.lsn == 0)
        return damaged(r, r->result.name, "without the frame of its checkpoint");
    TRY(write_checkpoint(r, checkpoint, state));
    struct log_meta meta = {.format = LOG_META_FORMAT, .uuid = r->options->uuid, .ready = true};
    return log_meta_write(r->disk, r->unfinished, &meta, r->why);
}

static void found(void *context, const struct log_fsck_finding *finding)
{
    struct restore *r = context;
    ASSERT(finding->text);
    if (!finding->error || r->why->text[0])
        return;
    err_t ignored =
        err_set(r->why, ERR_CORRUPT, "what backup %s gives is damaged: %s%s%s; try another one",
                r->result.name, finding->path ? finding->path : "", finding->path ? ": " : "",
                finding->text);
    (void)ignored;
}

static void checked(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct restore *r = context;
    ASSERT(done_bytes <= total_bytes && done_bytes >= r->checked_bytes);
    err_t err = progress(r, done_bytes - r->checked_bytes);
    r->checked_bytes = done_bytes;
    if (err_is_ok(r->stopped))
        r->stopped = err;
}

static void counted(void *context, const struct log_fsck_topic *topic)
{
    struct restore *r = context;
    ASSERT(topic->name);
    if (r->options->topic)
        r->options->topic(r->options->context, topic);
}

/* A start must find nothing wrong with it. */
static err_t check_result(struct restore *r)
{
    struct log_fsck_result result = {0};
    struct err_text detail = {0};
    struct log_fsck_options options = {
        .disk = r->disk,
        .data_directory = r->unfinished,
        .watcher = {.context = r, .found = found, .progress = checked, .topic = counted}};
    err_t err = log_fsck(&options, &result, &detail);
    if (!err_is_ok(err))
        return err_set(r->why, (enum err_code)err.code, "%s", err_detail(err, &detail));
    ASSERT(result.errors == 0 || r->why->text[0]);
    TRY(r->stopped);
    r->result.records = result.records;
    return err_make(result.errors == 0 ? ERR_OK : ERR_CORRUPT);
}

static err_t finish(struct restore *r)
{
    const char *to = r->options->to;
    char parent[LOG_BACKUP_PATH_MAX];
    enum io_kind kind;
    ASSERT(r->root);
    err_t err = io_file_sync_all(r->root);
    if (!err_is_ok(err))
        return err_set(r->why, (enum err_code)err.code, "%s: %s", r->unfinished, err_string(err));
    TRY(io_disk_kind(r->disk, to, &kind, r->why));
    if (kind == IO_KIND_DIRECTORY)
        TRY(io_disk_remove(r->disk, to, r->why));
    TRY(io_disk_rename(r->disk, r->unfinished, to, r->why));
    size_t size = strlen(r->unfinished);
    memcpy(parent, r->unfinished, size + 1);
    while (size > 0 && parent[size - 1] != '/')
        size--;
    while (size > 1 && parent[size - 1] == '/')
        size--;
    parent[size] = '\0';
    return io_disk_sync_directory(r->disk, size > 0 ? parent : ".", r->why);
}

static err_t make(struct restore *r, struct log_state *state)
{
    struct log_checkpoint checkpoint = {0};
    ASSERT(!uuid_is_zero(&r->options->uuid));
    TRY(check_target(r));
    TRY(choose_backup(r));
    TRY(load_checkpoint(r, &checkpoint, state));
    err_t err = begin_target(r);
    if (err_is_ok(err))
        err = copy_all(r, &checkpoint, state);
    if (err_is_ok(err))
        err = check_result(r);
    if (err_is_ok(err))
        err = finish(r);
    if (!err_is_ok(err)) {
        /* Its name says what it is, and the next try begins with this. */
        err_t ignored = log_copy_remove_tree(r->disk, r->unfinished, NULL);
        (void)ignored;
    }
    return err;
}

err_t log_restore(const struct log_restore_options *options, struct log_restore_result *out,
                  struct err_text *why)
{
    struct err_text detail = {0};
    struct log_state state;
    struct restore *r = mem_zalloc(1, sizeof *r);
    if (!r)
        return err_make(ERR_MEMORY);
    ASSERT(options->disk && options->folder);
    r->options = options;
    r->disk = options->disk;
    r->why = &detail;
    r->copy = (struct log_copy){.disk = r->disk, .context = r, .step = progress};
    log_manifest_init(&r->manifest);
    log_state_init(&state, 1);
    err_t err = make(r, &state);
    if (err_is_ok(err))
        *out = r->result;
    else
        err = err_set(why, (enum err_code)err.code, "%s", err_detail(err, &detail));
    err_t ignored = io_file_close(r->root);
    (void)ignored;
    log_chain_done(&r->chain);
    log_copy_done(&r->copy);
    log_manifest_done(&r->manifest);
    log_state_done(&state);
    mem_free(r);
    return err;
}
