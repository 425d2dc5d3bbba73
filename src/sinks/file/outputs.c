#include "sinks/file/outputs.h"

#include "base/assert.h"
#include "sinks/file/template.h"

/*
 * What a prepared epoch's files are, as the log keeps it: version, root, then each file's number
 * and its path below the root. All lengths are varints, and nothing follows the last path.
 *
 * The bytes come back from disk, perhaps years later and by another version, and name files that
 * will be renamed: all of it is judged before the first is used. A path that would leave the root,
 * or a name that no file system takes, is damage.
 */

#define VERSION 1
#define PROGRESS_SUFFIX ".inprogress"
#define FILE_SUFFIX ".ndjson"

void sinks_file_outputs_begin(struct buf *out, struct slice root, size_t count)
{
    ASSERT(root.size > 0);
    buf_add_byte(out, VERSION);
    buf_add_uvarint(out, root.size);
    buf_add_slice(out, root);
    buf_add_uvarint(out, count);
}

void sinks_file_outputs_add(struct buf *out, uint32_t number, struct slice path)
{
    ASSERT(path.size > 0);
    buf_add_uvarint(out, number);
    buf_add_uvarint(out, path.size);
    buf_add_slice(out, path);
}

static struct slice read_text(struct cursor *c)
{
    struct slice text = cursor_bytes(c, cursor_uvarint(c));
    if (text.size == 0 || text.size > SINKS_FILE_PATH_MAX || memchr(text.data, 0, text.size))
        cursor_fail(c);
    return text;
}

static struct sinks_file_output read_output(struct cursor *c)
{
    uint32_t number = cursor_uvarint(c);
    return (struct sinks_file_output){number, read_text(c)};
}

/* Whether each component is a plain name, so that the path stays below the root. */
static bool stays_below(struct slice path)
{
    while (path.data) {
        struct slice component = slice_split(&path, '/');
        if (component.size == 0 || component.size > SINKS_FILE_NAME_MAX ||
            slice_equal_string(component, ".") || slice_equal_string(component, ".."))
            return false;
    }
    return true;
}

err_t sinks_file_outputs_open(struct slice bytes, struct sinks_file_outputs *out)
{
    ASSERT(out);
    struct cursor c = cursor_make(bytes);
    uint8_t version = cursor_u8(&c);
    /* A newer garner wrote it; this one cannot finish the epoch, and must not drop it. */
    if (version > VERSION)
        return err_make(ERR_VERSION);
    if (version < VERSION)
        return err_make(ERR_CORRUPT);
    struct slice root = read_text(&c);
    uint64_t count = cursor_uvarlong(&c);
    /* The walk begins here again. The count is only believed as far as there are bytes. */
    struct sinks_file_outputs outputs = {root, count, c};
    for (uint64_t i = 0; i < count && cursor_ok(&c); i++) {
        struct slice path = read_output(&c).path;
        if (!cursor_ok(&c) || !stays_below(path))
            return err_make(ERR_CORRUPT);
    }
    if (!cursor_ok(&c) || c.rest.size)
        return err_make(ERR_CORRUPT);
    *out = outputs;
    return err_ok();
}

bool sinks_file_outputs_next(struct sinks_file_outputs *outputs, struct sinks_file_output *out)
{
    if (outputs->left == 0)
        return false;
    outputs->left--;
    *out = read_output(&outputs->cursor);
    ASSERT(cursor_ok(&outputs->cursor));
    return true;
}

/* A zero behind the path, which is not counted: the disk's calls take C strings. */
static void end_path(struct buf *path)
{
    buf_add_byte(path, '\0');
    if (buf_ok(path))
        path->size--;
}

void sinks_file_directory_path(struct buf *path, struct slice directory)
{
    buf_reset(path);
    buf_add_slice(path, directory);
    end_path(path);
}

static void begin_progress(struct buf *path, struct slice root)
{
    buf_reset(path);
    buf_add_slice(path, root);
    buf_add_string(path, PROGRESS_SUFFIX);
}

void sinks_file_progress_directory(struct buf *path, struct slice root)
{
    begin_progress(path, root);
    end_path(path);
}

void sinks_file_progress_path(struct buf *path, struct slice root, uint32_t number)
{
    begin_progress(path, root);
    buf_add_format(path, "/%08u" FILE_SUFFIX, number);
    end_path(path);
}

void sinks_file_final_path(struct buf *path, struct slice root, struct slice relative)
{
    buf_reset(path);
    buf_add_slice(path, root);
    buf_add_byte(path, '/');
    buf_add_slice(path, relative);
    end_path(path);
}

bool sinks_file_progress_name(struct slice name)
{
    if (!slice_ends_with(name, SLICE_LITERAL(FILE_SUFFIX)))
        return false;
    struct slice digits = slice_sub(name, 0, name.size - strlen(FILE_SUFFIX));
    for (size_t i = 0; i < digits.size; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
    /* What discard may remove: nothing but what this sink can have made, should an operator have
     * put a file there. */
    return digits.size >= 8;
}
