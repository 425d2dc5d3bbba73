#include "log/checkpoint.h"

#include "base/assert.h"
#include "base/number.h"

#include <inttypes.h>

#define NAME_SIZE 29u /* <20 digits>.ckpt.tmp */
#define SUFFIX ".ckpt"

static void directory_path(const char *data_directory, char out[static LOG_SEGMENT_PATH_MAX])
{
    int size = snprintf(out, LOG_SEGMENT_PATH_MAX, "%s/checkpoint", data_directory);
    ASSERT(size > 0 && (size_t)size < LOG_SEGMENT_PATH_MAX - NAME_SIZE);
}

void log_checkpoint_path(const char *data_directory, uint64_t lsn,
                         char out[static LOG_SEGMENT_PATH_MAX])
{
    int size = snprintf(out, LOG_SEGMENT_PATH_MAX, "%s/checkpoint/%020" PRIu64 SUFFIX,
                        data_directory, lsn);
    ASSERT(size > 0 && size < LOG_SEGMENT_PATH_MAX);
}

struct listing {
    uint64_t *lsns;
    size_t capacity;
    size_t count;
};

/* Keeps the newest. */
static int list_name(void *context, const char *name, enum io_kind kind)
{
    struct listing *listing = context;
    ASSERT(listing->count <= listing->capacity);
    struct slice rest = slice_string(name);
    struct slice digits = slice_split(&rest, '.');
    uint64_t lsn;
    if (kind != IO_KIND_FILE || digits.size != 20 || !slice_equal_string(rest, "ckpt") ||
        !err_is_ok(number_parse_u64(digits, &lsn)))
        return 0;
    size_t at = listing->count;
    while (at > 0 && listing->lsns[at - 1] < lsn)
        at--;
    /* Older than as many as are asked for. */
    if (at == listing->capacity)
        return 0;
    size_t last = listing->count < listing->capacity ? listing->count++ : listing->count - 1;
    for (; last > at; last--)
        listing->lsns[last] = listing->lsns[last - 1];
    listing->lsns[at] = lsn;
    return 0;
}

err_t log_checkpoint_list(struct io_disk *disk, const char *data_directory, uint64_t *lsns,
                          size_t capacity, size_t *count, struct err_text *why)
{
    ASSERT(capacity > 0);
    char path[LOG_SEGMENT_PATH_MAX];
    directory_path(data_directory, path);
    *count = 0;
    enum io_kind kind;
    TRY(io_disk_kind(disk, path, &kind, why));
    /* No checkpoint was ever written: the log is read from its first file on. */
    if (kind == IO_KIND_NONE)
        return err_ok();
    struct listing listing = {.capacity = capacity};
    listing.lsns = lsns;
    TRY(io_disk_list(disk, path, list_name, &listing, why));
    *count = listing.count;
    return err_ok();
}

err_t log_checkpoint_read(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                          struct buf *out, struct err_text *why)
{
    char path[LOG_SEGMENT_PATH_MAX];
    ASSERT(lsn > 0);
    log_checkpoint_path(data_directory, lsn, path);
    return io_disk_read_file(disk, path, SIZE_MAX / 2, out, why);
}

err_t log_checkpoint_read_sealed(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                                 uint64_t *sealed_file)
{
    char path[LOG_SEGMENT_PATH_MAX];
    uint8_t front[LOG_CHECKPOINT_FRONT_SIZE];
    struct io_file *file = NULL;
    size_t got = 0;
    ASSERT(lsn > 0);
    log_checkpoint_path(data_directory, lsn, path);
    TRY(io_disk_open(disk, path, IO_OPEN_READ, &file, NULL));
    err_t err = io_file_read(file, front, sizeof front, 0, &got);
    err_t closed = io_file_close(file);
    TRY(err);
    TRY(closed);
    return log_checkpoint_sealed(slice_make(front, got), sealed_file);
}

/* Reads the file back: what cannot be read must not push an older one out. */
static err_t verify(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                    struct slice bytes, struct err_text *why)
{
    struct buf back;
    ASSERT(bytes.size > 0);
    buf_init(&back, 0);
    err_t err = log_checkpoint_read(disk, data_directory, lsn, &back, why);
    if (err_is_ok(err) && !slice_equal(buf_slice(&back), bytes))
        err = err_set(why, ERR_CORRUPT, "checkpoint %" PRIu64 " reads back as other bytes", lsn);
    buf_done(&back);
    return err;
}

err_t log_checkpoint_set_aside(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                               struct err_text *why)
{
    uint64_t lsns[LOG_CHECKPOINTS_KEPT + 1];
    size_t count = 0;
    TRY(log_checkpoint_list(disk, data_directory, lsns, sizeof lsns / sizeof lsns[0], &count, why));
    ASSERT(count <= sizeof lsns / sizeof lsns[0]);
    for (size_t i = 0; i < count && lsns[i] > lsn; i++) {
        char from[LOG_SEGMENT_PATH_MAX];
        char to[LOG_SEGMENT_PATH_MAX];
        log_checkpoint_path(data_directory, lsns[i], from);
        int size = snprintf(to, sizeof to, "%s.damaged", from);
        if (size < 0 || (size_t)size >= sizeof to)
            return err_set(why, ERR_CONFIG, "data_dir: the path is too long");
        TRY(io_disk_rename(disk, from, to, why));
    }
    return err_ok();
}

/* Two are kept; there is a third only until its elder is gone. */
static err_t remove_old(struct io_disk *disk, const char *data_directory, uint64_t held_lsn,
                        struct err_text *why)
{
    /* More than three are there only after removals that failed. What is beyond these goes the next
     * time. */
    uint64_t lsns[16];
    size_t count = 0;
    TRY(log_checkpoint_list(disk, data_directory, lsns, sizeof lsns / sizeof lsns[0], &count, why));
    ASSERT(count <= sizeof lsns / sizeof lsns[0]);
    for (size_t i = LOG_CHECKPOINTS_KEPT; i < count; i++) {
        if (lsns[i] == held_lsn)
            continue;
        char path[LOG_SEGMENT_PATH_MAX];
        log_checkpoint_path(data_directory, lsns[i], path);
        TRY(io_disk_remove(disk, path, why));
    }
    return err_ok();
}

err_t log_checkpoint_write(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                           struct slice bytes, uint64_t held_lsn, struct err_text *why)
{
    ASSERT(lsn > 0 && bytes.size >= LOG_CHECKPOINT_FRONT_SIZE);
    char path[LOG_SEGMENT_PATH_MAX];
    directory_path(data_directory, path);
    TRY(io_disk_make_path(disk, path, why));
    log_checkpoint_path(data_directory, lsn, path);
    /* Durable under its name, then read back, and only then the oldest goes: whatever stops this in
     * between, there are as many good ones to start from as before. */
    TRY(io_disk_write_file(disk, path, bytes, why));
    TRY(verify(disk, data_directory, lsn, bytes, why));
    return remove_old(disk, data_directory, held_lsn, why);
}
