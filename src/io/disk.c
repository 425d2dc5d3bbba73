/*
 * What is made of single calls on files, and so works on every disk: the real one, the simulated
 * one, and one with faults on purpose.
 *
 * A file that is replaced is written under another name, flushed, and renamed; a crash leaves the
 * old one or the new one, and perhaps the other name, which the next write takes over. A directory
 * is flushed into its parent before anything is made in it: a file is no safer than its path.
 */

#include "io/disk.h"

#include "base/alloc.h"
#include "base/assert.h"

#define READ_STEP 65536u

/* The directory that holds the last name of `path`, as a zero-terminated string in `out`. */
static err_t parent_of(struct slice path, struct buf *out)
{
    ASSERT(path.size > 0);
    /* A path may end in slashes, and "/" is its own parent. */
    while (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    size_t end = path.size;
    while (end > 0 && path.data[end - 1] != '/')
        end--;
    if (end == 0)
        buf_add_byte(out, '.');
    while (end > 1 && path.data[end - 1] == '/')
        end--;
    buf_add(out, path.data, end);
    buf_add_byte(out, '\0');
    return buf_error(out);
}

static err_t sync_parent(struct io_disk *disk, struct slice path, struct err_text *why)
{
    ASSERT(path.size > 0);
    struct buf parent = {0};
    err_t err = parent_of(path, &parent);
    if (err_is_ok(err))
        err = io_disk_sync_directory(disk, (const char *)parent.data, why);
    buf_done(&parent);
    return err;
}

static int stop_at_once(void *context, const char *name, enum io_kind kind)
{
    ASSERT(!context && name && kind != IO_KIND_NONE);
    return 1;
}

/* The directory at `name` was there before. If its maker was killed before it could flush it into
 * its parent, nobody else has; those above it were flushed before it was made. A parent that we
 * may not even read is one that we made nothing in. */
static err_t sync_existing(struct io_disk *disk, const char *name, struct err_text *why)
{
    ASSERT(name[0] != '\0');
    struct buf parent = {0};
    err_t err = parent_of(slice_string(name), &parent);
    const char *path = (const char *)parent.data;
    if (err_is_ok(err))
        err = io_disk_sync_directory(disk, path, why);
    if (err_is(err, ERR_PERMISSION) &&
        err_is(io_disk_list(disk, path, stop_at_once, NULL, NULL), ERR_PERMISSION))
        err = err_ok();
    buf_done(&parent);
    return err;
}

/* One step of a path: `name` is a prefix of the whole. `*missing` is set from the first that has
 * to be made on. */
static err_t make_step(struct io_disk *disk, const char *name, bool *missing, struct err_text *why)
{
    ASSERT(name[0] != '\0');
    enum io_kind kind = IO_KIND_NONE;
    TRY(io_disk_kind(disk, name, &kind, why));
    if (kind == IO_KIND_DIRECTORY)
        return err_ok();
    if (kind != IO_KIND_NONE)
        return err_set(why, ERR_EXISTS, "%s: exists and is not a directory", name);
    if (!*missing) {
        struct buf parent = {0};
        err_t err = parent_of(slice_string(name), &parent);
        if (err_is_ok(err))
            err = sync_existing(disk, (const char *)parent.data, why);
        buf_done(&parent);
        TRY(err);
        *missing = true;
    }
    TRY(io_disk_make_directory(disk, name, why));
    return sync_parent(disk, slice_string(name), why);
}

err_t io_disk_make_path(struct io_disk *disk, const char *path, struct err_text *why)
{
    size_t size = strlen(path);
    ASSERT(size > 0);
    char *prefix = mem_string(path, size);
    if (!prefix)
        return err_make(ERR_MEMORY);
    err_t err = err_ok();
    /* From the root down, a name a step: each must be there before the next one can be. */
    bool missing = false;
    for (size_t i = 1; i <= size && err_is_ok(err); i++) {
        /* At each end of a name; the root and repeated slashes are none. */
        bool step = (path[i] == '/' || path[i] == '\0') && path[i - 1] != '/';
        if (!step)
            continue;
        prefix[i] = '\0';
        err = make_step(disk, prefix, &missing, why);
        prefix[i] = path[i];
    }
    if (err_is_ok(err) && !missing)
        err = sync_existing(disk, path, why);
    mem_free(prefix);
    return err;
}

/* Reads to the end instead of trusting the size: files that the kernel makes up say 0. */
static err_t read_all(struct io_file *file, size_t size_max, struct buf *out)
{
    size_t total = 0;
    for (;;) {
        /* As much again as there is: a file of many megabytes is read in a few steps. */
        size_t step = total < READ_STEP ? READ_STEP : total;
        uint8_t *room = buf_reserve(out, step);
        if (!room)
            return buf_error(out);
        size_t got = 0;
        TRY(io_file_read(file, room, step, total, &got));
        ASSERT(got <= step);
        /* Read, and then refused: a file that grows meanwhile has no size to ask for first. */
        if (got > size_max - total)
            return err_make(ERR_TOO_LARGE);
        buf_advance(out, got);
        total += got;
        if (got < step)
            return err_ok();
    }
}

err_t io_disk_read_file(struct io_disk *disk, const char *path, size_t size_max, struct buf *out,
                        struct err_text *why)
{
    ASSERT(buf_ok(out));
    struct io_file *file = NULL;
    TRY(io_disk_open(disk, path, IO_OPEN_READ, &file, why));
    /* Into a buffer of its own, so that a failure half way leaves `out` as it was. */
    struct buf content = {0};
    err_t err = read_all(file, size_max, &content);
    err_t closed = io_file_close(file);
    if (err_is_ok(err))
        err = closed;
    if (err_is_ok(err) && out->size == 0 && out->size_max == 0) {
        buf_done(out);
        *out = content;
        content = (struct buf){0};
    } else if (err_is_ok(err)) {
        buf_add_slice(out, buf_slice(&content));
        err = buf_error(out);
    }
    buf_done(&content);
    /* Calls on an open file know no path, so the detail is made here. */
    if (err_is(err, ERR_TOO_LARGE))
        return err_set(why, ERR_TOO_LARGE, "%s: larger than %zu bytes", path, size_max);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "%s: %s", path, err_string(err));
    return err_ok();
}

static err_t write_synced(struct io_disk *disk, const char *path, struct slice content,
                          struct err_text *why)
{
    struct io_file *file = NULL;
    ASSERT(content.data || content.size == 0);
    TRY(io_disk_open(disk, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &file, why));
    err_t err = io_file_write(file, content.data, content.size, 0);
    if (err_is_ok(err))
        err = io_file_sync(file);
    /* Some file systems report only here that they could not store it. */
    err_t closed = io_file_close(file);
    if (err_is_ok(err))
        err = closed;
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "%s: %s", path, err_string(err));
    return err_ok();
}

err_t io_disk_write_file(struct io_disk *disk, const char *path, struct slice content,
                         struct err_text *why)
{
    ASSERT(path[0] != '\0');
    struct buf name = {0};
    buf_add_string(&name, path);
    /* With its zero, since it is a path. In the same directory, as a rename goes no further than a
     * file system. */
    buf_add(&name, ".tmp", sizeof(".tmp"));
    err_t err = buf_error(&name);
    const char *temporary = (const char *)name.data;
    if (err_is_ok(err))
        err = write_synced(disk, temporary, content, why);
    if (err_is_ok(err))
        /* The bytes are durable by now: the name must not come to be before what it names. */
        err = io_disk_rename(disk, temporary, path, why);
    if (err_is_ok(err))
        err = sync_parent(disk, slice_string(path), why);
    buf_done(&name);
    return err;
}
