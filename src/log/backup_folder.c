#include "log/backup_int.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <inttypes.h>

/*
 * A directory whose name has the form of a time is a backup: it got that name when everything in
 * it, and all that it shares, had been flushed. What lies beside them and is named by none was
 * begun by one that was not finished, or was of one that somebody has removed.
 */

#define NAME_LENGTH 16u /* 20260301T064000Z */
#define UNFINISHED ".unfinished"
#define SHARED "data"

/* Looked at once, at the door, so that no path below has to be held against its room again. */
err_t log_backup_check_folder(const char *folder, struct err_text *why)
{
    ASSERT(folder);
    size_t size = strlen(folder);
    if (size == 0 || size > LOG_BACKUP_FOLDER_MAX)
        return err_set(why, ERR_INVALID, "the path of the backups' folder is empty or too long");
    return err_ok();
}

void log_backup_file_path(const char *folder, const char *name, const struct uuid *uuid,
                          const struct log_manifest_file *file,
                          char out[static LOG_BACKUP_PATH_MAX])
{
    char text[UUID_TEXT_SIZE + 1];
    int size;
    uuid_format(uuid, text);
    if (file->begun > 0)
        size = snprintf(out, LOG_BACKUP_PATH_MAX, "%s/" SHARED "/%s/%.*s.%" PRIu64, folder, text,
                        SLICE_PRINTF(file->path), file->begun);
    else
        size = snprintf(out, LOG_BACKUP_PATH_MAX, "%s/%s/%.*s", folder, name,
                        SLICE_PRINTF(file->path));
    ASSERT(size > 0 && size < (int)LOG_BACKUP_PATH_MAX);
}

err_t log_backup_read_manifest(struct io_disk *disk, const char *folder, const char *name,
                               struct log_manifest *out, struct err_text *why)
{
    char path[LOG_BACKUP_PATH_MAX];
    struct buf text = {0};
    int size = snprintf(path, sizeof path, "%s/%s/manifest", folder, name);
    ASSERT(size > 0 && size < (int)sizeof path);
    err_t err = io_disk_read_file(disk, path, SIZE_MAX / 2, &text, why);
    if (err_is_ok(err)) {
        err = log_manifest_decode(buf_slice(&text), out);
        if (err_is(err, ERR_CORRUPT))
            err = err_set(why, ERR_CORRUPT, "%s is damaged: the backup cannot be used", path);
        else if (err_is(err, ERR_VERSION))
            err = err_set(why, ERR_VERSION, "%s was written by a newer garner; use that version",
                          path);
    }
    buf_done(&text);
    return err;
}

struct names {
    char (*items)[LOG_BACKUP_NAME_SIZE];
    size_t count;
    size_t capacity;
    bool unfinished; /* which are looked for */
    err_t error;
};

/* Whatever else lies in the folder is somebody's, and is neither listed nor removed. */
static bool has_form(struct slice name)
{
    if (name.size != NAME_LENGTH || name.data[8] != 'T' || name.data[15] != 'Z')
        return false;
    for (size_t i = 0; i < NAME_LENGTH - 1; i++) {
        if (i != 8 && (name.data[i] < '0' || name.data[i] > '9'))
            return false;
    }
    ASSERT(NAME_LENGTH < LOG_BACKUP_NAME_SIZE);
    return true;
}

/* Names sort by time as they are, being of one length and in UTC. */
static int take_name(void *context, const char *name, enum io_kind kind)
{
    struct names *names = context;
    struct slice text = slice_string(name);
    struct slice suffix = SLICE_LITERAL(UNFINISHED);
    bool unfinished = slice_ends_with(text, suffix);
    if (unfinished)
        text = slice_sub(text, 0, text.size - suffix.size);
    if (kind != IO_KIND_DIRECTORY || unfinished != names->unfinished || !has_form(text))
        return 0;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 16;
        void *items = mem_realloc(names->items, capacity, sizeof *names->items);
        if (!items) {
            names->error = err_make(ERR_MEMORY);
            return 1;
        }
        names->items = items;
        names->capacity = capacity;
    }
    ASSERT(strlen(name) < LOG_BACKUP_NAME_SIZE);
    size_t at = names->count++;
    /* In order: few they are, and they come in any. */
    for (; at > 0 && strcmp(names->items[at - 1], name) > 0; at--)
        memcpy(names->items[at], names->items[at - 1], LOG_BACKUP_NAME_SIZE);
    memcpy(names->items[at], name, strlen(name) + 1);
    return 0;
}

static err_t list_names(struct io_disk *disk, const char *folder, bool unfinished,
                        char (**names)[LOG_BACKUP_NAME_SIZE], size_t *count, struct err_text *why)
{
    struct names found = {.unfinished = unfinished};
    err_t err = io_disk_list(disk, folder, take_name, &found, why);
    if (err_is_ok(err))
        err = found.error;
    if (!err_is_ok(err)) {
        mem_free(found.items);
        return err;
    }
    ASSERT(found.items || found.count == 0);
    *names = found.items;
    *count = found.count;
    return err_ok();
}

err_t log_backup_names(struct io_disk *disk, const char *folder,
                       char (**names)[LOG_BACKUP_NAME_SIZE], size_t *count, struct err_text *why)
{
    ASSERT(folder[0]);
    return list_names(disk, folder, false, names, count, why);
}

/* The lock of the folder is held: nobody is writing what is removed here. */
err_t log_backup_clear_unfinished(struct io_disk *disk, const char *folder, struct err_text *why)
{
    char(*names)[LOG_BACKUP_NAME_SIZE] = NULL;
    size_t count = 0;
    ASSERT(folder[0]);
    TRY(list_names(disk, folder, true, &names, &count, why));
    err_t err = err_ok();
    for (size_t i = 0; i < count && err_is_ok(err); i++) {
        char path[LOG_BACKUP_PATH_MAX];
        int size = snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        ASSERT(size > 0 && size < (int)sizeof path);
        err = log_copy_remove_tree(disk, path, why);
    }
    mem_free(names);
    return err;
}

/* The shared files that backups name, by their paths in the folder. */
struct sweep {
    struct io_disk *disk;
    const char *folder;
    struct map named;
    struct arena arena;
    char path[LOG_BACKUP_PATH_MAX]; /* of the walk */
    struct err_text *why;
    err_t error;
};

static err_t note_named(struct sweep *sweep, const char *name)
{
    struct log_manifest manifest;
    log_manifest_init(&manifest);
    err_t err = log_backup_read_manifest(sweep->disk, sweep->folder, name, &manifest, sweep->why);
    ASSERT(sweep->folder[0]);
    for (size_t i = 0; i < manifest.file_count && err_is_ok(err); i++) {
        char path[LOG_BACKUP_PATH_MAX];
        if (manifest.files[i].begun == 0)
            continue;
        log_backup_file_path(sweep->folder, name, &manifest.uuid, &manifest.files[i], path);
        struct slice key = slice_string(path);
        if (map_get(&sweep->named, key))
            continue;
        key = arena_slice(&sweep->arena, key);
        err = key.data ? map_put(&sweep->named, key, sweep) : err_make(ERR_MEMORY);
    }
    log_manifest_done(&manifest);
    return err;
}

/* data / uuid / topics / topic / partition / file */
#define SHARED_DEPTH 5u

struct step {
    struct sweep *sweep;
    size_t depth;
    size_t end; /* of the path */
    bool *kept; /* something is left in the directory */
};

static err_t walk(struct sweep *sweep, size_t depth, bool *kept);

/* Removes what is at the walk's path: a file that nobody names, a directory that holds nothing. */
static err_t clear_one(struct step *step, enum io_kind kind)
{
    struct sweep *sweep = step->sweep;
    bool kept = kind != IO_KIND_FILE || map_get(&sweep->named, slice_string(sweep->path));
    ASSERT(step->depth <= SHARED_DEPTH);
    if (kind == IO_KIND_DIRECTORY && step->depth < SHARED_DEPTH) {
        kept = false;
        TRY(walk(sweep, step->depth + 1, &kept));
    }
    *step->kept = *step->kept || kept;
    return kept ? err_ok() : io_disk_remove(sweep->disk, sweep->path, sweep->why);
}

/* An error ends the walk through the sweep's own field: the callback can say stop, and no more. */
static int step_name(void *context, const char *name, enum io_kind kind)
{
    struct step *step = context;
    struct sweep *sweep = step->sweep;
    size_t room = sizeof sweep->path - step->end;
    int size = snprintf(sweep->path + step->end, room, "/%s", name);
    ASSERT(size > 0);
    /* Longer than any of ours. */
    if ((size_t)size >= room)
        *step->kept = true;
    else
        sweep->error = clear_one(step, kind);
    sweep->path[step->end] = '\0';
    return !err_is_ok(sweep->error);
}

static err_t walk(struct sweep *sweep, size_t depth, bool *kept)
{
    struct step step = {.sweep = sweep, .depth = depth, .end = strlen(sweep->path)};
    step.kept = kept;
    ASSERT(sweep->path[0] && depth <= SHARED_DEPTH);
    TRY(io_disk_list(sweep->disk, sweep->path, step_name, &step, sweep->why));
    return sweep->error;
}

static err_t remove_unnamed(struct sweep *sweep)
{
    enum io_kind kind;
    bool kept = false;
    int size = snprintf(sweep->path, sizeof sweep->path, "%s/" SHARED, sweep->folder);
    ASSERT(size > 0 && size < (int)sizeof sweep->path);
    TRY(io_disk_kind(sweep->disk, sweep->path, &kind, sweep->why));
    return kind == IO_KIND_DIRECTORY ? walk(sweep, 0, &kept) : err_ok();
}

/* Two steps, so that nothing is removed before every manifest has been read: a file that the
 * last one names may be the first that is looked at. */
err_t log_backup_clear_unnamed(struct io_disk *disk, const char *folder, struct err_text *why)
{
    char(*names)[LOG_BACKUP_NAME_SIZE] = NULL;
    size_t count = 0;
    struct sweep *sweep = mem_zalloc(1, sizeof *sweep);
    if (!sweep)
        return err_make(ERR_MEMORY);
    ASSERT(folder[0]);
    sweep->disk = disk;
    sweep->folder = folder;
    sweep->why = why;
    map_init(&sweep->named, 1);
    arena_init(&sweep->arena, 0);
    err_t err = log_backup_names(disk, folder, &names, &count, why);
    for (size_t i = 0; i < count && err_is_ok(err); i++)
        err = note_named(sweep, names[i]);
    if (err_is_ok(err))
        err = remove_unnamed(sweep);
    mem_free(names);
    map_done(&sweep->named);
    arena_done(&sweep->arena);
    mem_free(sweep);
    return err;
}

err_t log_backup_list(struct io_disk *disk, const char *folder, log_backup_each_fn *each,
                      void *context, struct err_text *why)
{
    char(*names)[LOG_BACKUP_NAME_SIZE] = NULL;
    size_t count = 0;
    TRY(log_backup_check_folder(folder, why));
    TRY(log_backup_names(disk, folder, &names, &count, why));
    err_t err = err_ok();
    for (size_t i = 0; i < count && err_is_ok(err); i++) {
        struct log_manifest manifest;
        struct err_text detail = {0};
        log_manifest_init(&manifest);
        err_t read = log_backup_read_manifest(disk, folder, names[i], &manifest, &detail);
        ASSERT(each);
        if (err_is(read, ERR_MEMORY))
            err = read;
        else
            err = each(context, names[i], err_is_ok(read) ? &manifest : NULL,
                       err_is_ok(read) ? "" : err_detail(read, &detail));
        log_manifest_done(&manifest);
    }
    mem_free(names);
    return err;
}
