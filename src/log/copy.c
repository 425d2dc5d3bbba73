#include "log/copy.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

#define PATH_BYTES 4096
#define DEPTH_MAX 16u

void log_copy_done(struct log_copy *copy)
{
    ASSERT(copy->disk);
    mem_free(copy->data);
    copy->data = NULL;
}

/* In between, and not once at the end: a flush of gigabytes would hold up the flushes of the
 * log, which share the disk. */
err_t log_copy_wrote(struct log_copy *copy, struct io_file *to, uint64_t bytes)
{
    ASSERT(to);
    copy->written_bytes += bytes;
    copy->unsynced += bytes;
    if (copy->unsynced >= LOG_COPY_SYNC_BYTES) {
        copy->unsynced = 0;
        TRY(io_file_sync(to));
    }
    return copy->step ? copy->step(copy->context, bytes) : err_ok();
}

err_t log_copy_range(struct log_copy *copy, struct io_file *from, struct io_file *to,
                     uint64_t first, uint64_t end, uint64_t at, uint32_t *crc)
{
    ASSERT(first <= end && from);
    if (!copy->data)
        copy->data = mem_alloc_aligned(IO_BLOCK, LOG_COPY_STEP);
    if (!copy->data)
        return err_make(ERR_MEMORY);
    while (first < end) {
        size_t got = 0;
        uint64_t size = end - first < LOG_COPY_STEP ? end - first : LOG_COPY_STEP;
        TRY(io_file_read(from, copy->data, (size_t)size, first, &got));
        if (got < size)
            return err_make(ERR_END);
        *crc = crc32c(*crc, copy->data, (size_t)size);
        if (to) {
            TRY(io_file_write(to, copy->data, (size_t)size, at));
            TRY(log_copy_wrote(copy, to, size));
        } else if (copy->step) {
            TRY(copy->step(copy->context, size));
        }
        first += size;
        at += size;
    }
    return err_ok();
}

/* The path is cut in place at each slash and made whole again, so that no copy of it is needed. */
err_t log_copy_make_parents(struct io_disk *disk, char *path, size_t from, struct err_text *why)
{
    ASSERT(strlen(path) > from);
    for (size_t i = from; path[i]; i++) {
        if (path[i] != '/')
            continue;
        path[i] = '\0';
        err_t err = io_disk_make_directory(disk, path, why);
        path[i] = '/';
        TRY(err);
    }
    return err_ok();
}

struct found {
    char name[256];
    enum io_kind kind;
};

/* One name at a time and from the front again: a directory that is read while it changes may
 * leave names out. */
static int take_one(void *context, const char *name, enum io_kind kind)
{
    struct found *found = context;
    int size = snprintf(found->name, sizeof found->name, "%s", name);
    ASSERT(size > 0 && (size_t)size < sizeof found->name);
    found->kind = kind;
    return 1;
}

/* Goes down to what can be removed, and up again where a directory is empty. */
static err_t remove_below(struct io_disk *disk, const char *root, struct err_text *why)
{
    char path[PATH_BYTES];
    size_t ends[DEPTH_MAX];
    size_t depth = 0;
    int length = snprintf(path, sizeof path, "%s", root);
    if (length <= 0 || (size_t)length + sizeof((struct found *)NULL)->name * 2 > sizeof path)
        return err_set(why, ERR_INVALID, "%s: the path is too long", root);
    ends[0] = (size_t)length;
    for (;;) {
        struct found found = {.name = ""};
        path[ends[depth]] = '\0';
        TRY(io_disk_list(disk, path, take_one, &found, why));
        if (!found.name[0]) {
            TRY(io_disk_remove(disk, path, why));
            if (depth == 0)
                return err_ok();
            depth--;
            continue;
        }
        length = snprintf(path + ends[depth], sizeof path - ends[depth], "/%s", found.name);
        ASSERT(length > 0);
        if ((size_t)length >= sizeof path - ends[depth] || depth + 1 == DEPTH_MAX)
            return err_set(why, ERR_TOO_DEEP, "%s: too deep to be removed", root);
        if (found.kind == IO_KIND_DIRECTORY) {
            ends[depth + 1] = ends[depth] + (size_t)length;
            depth++;
        } else {
            TRY(io_disk_remove(disk, path, why));
        }
    }
}

err_t log_copy_remove_tree(struct io_disk *disk, const char *path, struct err_text *why)
{
    enum io_kind kind;
    ASSERT(path[0]);
    TRY(io_disk_kind(disk, path, &kind, why));
    return kind == IO_KIND_DIRECTORY ? remove_below(disk, path, why) : err_ok();
}
