#include "sinks/file/publish.h"

#include "base/assert.h"
#include "sinks/file/outputs.h"

/*
 * Each file is renamed from the directory of in-progress files to its place. Then every directory
 * that got a file or a directory is flushed, from the deepest up to the root, and the directory
 * of in-progress files last: only when all of this has succeeded does the runner commit the
 * epoch.
 *
 * After a crash or an error at any step the whole is done again. A rename is atomic, so each file
 * is at one of its two places: at the old one it is moved, at the new one it is left. Directories
 * are flushed again in any case, since nobody knows which were. Both places taken, or neither, is
 * not our doing; it stops the epoch with both names rather than guess.
 */

struct publication {
    struct io_disk *disk;
    struct slice root;
    struct buf from;
    struct buf to;
    struct buf directory; /* the last made */
};

/* Files come sorted by directory, so that the last one made is mostly the one wanted. */
static err_t make_directory(struct publication *p, struct err_text *why)
{
    struct slice to = buf_slice(&p->to);
    while (to.data[to.size - 1] != '/')
        to.size--;
    to.size--;
    if (slice_equal(to, buf_slice(&p->directory)))
        return err_ok();
    sinks_file_directory_path(&p->directory, to);
    TRY(buf_error(&p->directory));
    err_t err = io_disk_make_path(p->disk, (const char *)p->directory.data, why);
    if (!err_is_ok(err))
        buf_reset(&p->directory);
    return err;
}

static err_t move(struct publication *p, const struct sinks_file_output *output,
                  struct err_text *why)
{
    sinks_file_progress_path(&p->from, p->root, output->number);
    sinks_file_final_path(&p->to, p->root, output->path);
    TRY(buf_error(&p->from));
    TRY(buf_error(&p->to));
    const char *from = (const char *)p->from.data;
    const char *to = (const char *)p->to.data;
    enum io_kind from_kind = IO_KIND_NONE;
    enum io_kind to_kind = IO_KIND_NONE;
    TRY(io_disk_kind(p->disk, from, &from_kind, why));
    TRY(io_disk_kind(p->disk, to, &to_kind, why));
    /* Moved by an earlier try. */
    if (from_kind == IO_KIND_NONE && to_kind == IO_KIND_FILE)
        return err_ok();
    if (from_kind == IO_KIND_NONE)
        return err_set(why, ERR_NO_FILE, "%s, to become %s: neither is there", from, to);
    /* rename() would replace it without a word. The name holds the offsets, so somebody put it
     * there, or a data directory was set back to a copy. */
    if (to_kind != IO_KIND_NONE)
        return err_set(why, ERR_EXISTS, "%s, to become %s: there is one already, move it away",
                       from, to);
    TRY(make_directory(p, why));
    return io_disk_rename(p->disk, from, to, why);
}

/* The directory that holds `path`, which is relative; empty for the root. */
static struct slice parent(struct slice path)
{
    while (path.size && path.data[path.size - 1] != '/')
        path.size--;
    return slice_sub(path, 0, path.size ? path.size - 1 : 0);
}

/* Flushes the directories of `path` up to the first that `next` has in common with it, since that
 * one comes up again. */
static err_t sync_up(struct publication *p, struct slice path, struct slice next,
                     struct err_text *why)
{
    for (struct slice up = parent(path); up.size; up = parent(up)) {
        bool shared =
            next.size > up.size && next.data[up.size] == '/' && slice_starts_with(next, up);
        if (shared)
            return err_ok();
        sinks_file_final_path(&p->to, p->root, up);
        TRY(buf_error(&p->to));
        TRY(io_disk_sync_directory(p->disk, (const char *)p->to.data, why));
    }
    return err_ok();
}

static err_t sync_all(struct publication *p, struct sinks_file_outputs outputs,
                      struct err_text *why)
{
    struct sinks_file_output output = {0};
    struct sinks_file_output next = {0};
    for (bool more = sinks_file_outputs_next(&outputs, &output); more; output = next) {
        next = (struct sinks_file_output){0};
        more = sinks_file_outputs_next(&outputs, &next);
        TRY(sync_up(p, output.path, next.path, why));
    }
    sinks_file_directory_path(&p->to, p->root);
    TRY(buf_error(&p->to));
    TRY(io_disk_sync_directory(p->disk, (const char *)p->to.data, why));
    /* Last: were it first, a power loss could leave a file at neither of its places. */
    sinks_file_progress_directory(&p->from, p->root);
    TRY(buf_error(&p->from));
    return io_disk_sync_directory(p->disk, (const char *)p->from.data, why);
}

static err_t publish_all(struct publication *p, const struct sinks_file_outputs *outputs,
                         struct err_text *why)
{
    struct sinks_file_outputs walk = *outputs;
    struct sinks_file_output output = {0};
    while (sinks_file_outputs_next(&walk, &output))
        TRY(move(p, &output, why));
    return sync_all(p, *outputs, why);
}

err_t sinks_file_publish(struct io_disk *disk, struct slice outputs, struct err_text *why)
{
    ASSERT(disk);
    struct sinks_file_outputs checked;
    err_t err = sinks_file_outputs_open(outputs, &checked);
    if (!err_is_ok(err)) {
        const char *text = err_string(err);
        return err_set(why, err.code, "outputs of a prepared epoch, as read from the log: %s",
                       text);
    }
    if (checked.left == 0)
        return err_ok();
    struct publication p = {.disk = disk, .root = checked.root};
    err = publish_all(&p, &checked, why);
    buf_done(&p.from);
    buf_done(&p.to);
    buf_done(&p.directory);
    return err;
}
