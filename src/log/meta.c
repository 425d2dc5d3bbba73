#include "log/meta.h"

#include "base/assert.h"
#include "base/number.h"

/*
 * A few lines of text, so that somebody with nothing but a shell can see what a directory is and
 * whose frames belong to it. It is small and written whole beside its place and renamed: a crash
 * leaves the old one or the other.
 *
 * Failure modes: a newer format is told as such before anything else is looked at, since the lines
 * behind it may mean what this program does not know. Lines of a name that is not known are passed
 * over; without all three that are, it is not what was written, and nothing is guessed: a wrong
 * uuid would make every frame of the directory a stranger's.
 */

#define PATH_MAX_BYTES 4096
#define FILE_SIZE_MAX 4096
#define FIRST_LINE "garner data directory"

static err_t meta_path(const char *directory, char out[static PATH_MAX_BYTES], struct err_text *why)
{
    int size = snprintf(out, PATH_MAX_BYTES, "%s/garner.meta", directory);
    ASSERT(size > 0);
    return size < PATH_MAX_BYTES ? err_ok() : err_set(why, ERR_CONFIG, "data_dir: too long");
}

static err_t parse_line(struct slice line, struct log_meta *meta, bool *complete,
                        struct err_text *why)
{
    ASSERT(meta && complete);
    struct slice value = line;
    struct slice name = slice_split(&value, ' ');
    uint64_t number;
    if (slice_equal_string(name, "format")) {
        TRY(number_parse_u64(value, &number));
        if (number > LOG_META_FORMAT)
            return err_set(why, ERR_VERSION,
                           "the data directory has format %llu, this garner knows up to %u; start "
                           "a newer one",
                           (unsigned long long)number, LOG_META_FORMAT);
        meta->format = (uint32_t)number;
    } else if (slice_equal_string(name, "uuid")) {
        return uuid_parse(value, &meta->uuid);
    } else if (slice_equal_string(name, "state")) {
        meta->ready = slice_equal_string(value, "ready");
        *complete = meta->ready || slice_equal_string(value, "new");
    }
    return err_ok();
}

err_t log_meta_parse(struct slice text, struct log_meta *out, struct err_text *why)
{
    ASSERT(text.data || text.size == 0);
    struct log_meta meta = {0};
    bool complete = false;
    struct slice first = slice_split(&text, '\n');
    err_t err = err_make(slice_equal_string(first, FIRST_LINE) ? ERR_OK : ERR_CORRUPT);
    while (err_is_ok(err) && text.size > 0)
        err = parse_line(slice_split(&text, '\n'), &meta, &complete, why);
    if (err_is(err, ERR_VERSION))
        return err;
    if (!err_is_ok(err) || !complete || meta.format == 0 || uuid_is_zero(&meta.uuid))
        return err_set(
            why, ERR_CORRUPT,
            "garner.meta is not what garner wrote; run garner fsck, or restore it from a copy");
    *out = meta;
    return err_ok();
}

err_t log_meta_read(struct io_disk *disk, const char *directory, struct log_meta *out,
                    struct err_text *why)
{
    ASSERT(disk && directory);
    char path[PATH_MAX_BYTES];
    TRY(meta_path(directory, path, why));
    struct buf text;
    buf_init(&text, 0);
    err_t err = io_disk_read_file(disk, path, FILE_SIZE_MAX, &text, why);
    if (err_is_ok(err))
        err = log_meta_parse(buf_slice(&text), out, why);
    buf_done(&text);
    return err;
}

err_t log_meta_write(struct io_disk *disk, const char *directory, const struct log_meta *meta,
                     struct err_text *why)
{
    ASSERT(!uuid_is_zero(&meta->uuid));
    char path[PATH_MAX_BYTES];
    TRY(meta_path(directory, path, why));
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(&meta->uuid, uuid);
    char text[256];
    int size = snprintf(text, sizeof text, FIRST_LINE "\nformat %u\nuuid %s\nstate %s\n",
                        meta->format, uuid, meta->ready ? "ready" : "new");
    ASSERT(size > 0 && (size_t)size < sizeof text);
    return io_disk_write_file(disk, path, slice_make(text, (size_t)size), why);
}
