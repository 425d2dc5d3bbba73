#include "log/wal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/number.h"

#include <inttypes.h>

/*
 * A file is made under a temporary name, filled, synced, renamed and the directory synced; only
 * then does the log know it. A crash leaves either a temporary file, removed at the next open, or
 * a whole spare. The fill is a pattern that is no frame and not zero: extents of zeros may be
 * kept as unwritten, and writing into those costs a metadata update a commit.
 */
#define FILL_BYTE 0xA5
#define SUFFIX ".wal"
#define SUFFIX_MAKING ".wal.making"
#define DIGITS 20u

void log_wal_path(const struct log_wal *wal, uint64_t number, char out[static LOG_WAL_PATH_MAX])
{
    ASSERT(number > 0);
    int size = snprintf(out, LOG_WAL_PATH_MAX, "%s/%020" PRIu64 SUFFIX, wal->directory, number);
    ASSERT(size > 0 && size < LOG_WAL_PATH_MAX);
}

static void making_path(const struct log_wal *wal, uint64_t number,
                        char out[static LOG_WAL_PATH_MAX])
{
    int size =
        snprintf(out, LOG_WAL_PATH_MAX, "%s/%020" PRIu64 SUFFIX_MAKING, wal->directory, number);
    ASSERT(size > 0 && size < LOG_WAL_PATH_MAX);
}

struct listing {
    struct log_wal *wal;
    uint64_t *numbers;
    size_t count;
    size_t capacity;
    err_t error;
    struct err_text *why;
};

static err_t listing_add(struct listing *listing, uint64_t number)
{
    ASSERT(listing->count <= listing->capacity);
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 32;
        uint64_t *numbers = mem_realloc(listing->numbers, capacity, sizeof *numbers);
        if (!numbers)
            return err_make(ERR_MEMORY);
        listing->numbers = numbers;
        listing->capacity = capacity;
    }
    /* Tens of files, not thousands: each is put where it belongs as it comes. */
    size_t at = listing->count++;
    for (; at > 0 && listing->numbers[at - 1] > number; at--)
        listing->numbers[at] = listing->numbers[at - 1];
    listing->numbers[at] = number;
    return err_ok();
}

static int list_name(void *context, const char *name, enum io_kind kind)
{
    ASSERT(context && name);
    struct listing *listing = context;
    struct slice text = slice_string(name);
    uint64_t number;
    /* Names that are not ours are passed over: somebody's copy must neither be read nor removed. */
    if (kind != IO_KIND_FILE || text.size <= DIGITS ||
        !err_is_ok(number_parse_u64(slice_sub(text, 0, DIGITS), &number)))
        return 0;
    struct slice suffix = slice_sub(text, DIGITS, SIZE_MAX);
    /* It was being made when the process ended, and no frame was ever in it. */
    if (slice_equal_string(suffix, SUFFIX_MAKING)) {
        char path[LOG_WAL_PATH_MAX];
        making_path(listing->wal, number, path);
        listing->error = io_disk_remove(listing->wal->disk, path, listing->why);
    } else if (slice_equal_string(suffix, SUFFIX)) {
        listing->error = listing_add(listing, number);
    }
    return !err_is_ok(listing->error);
}

/* Direct I/O is a property of the file system; asked with a file that is removed again. */
static err_t probe_direct(struct log_wal *wal, struct err_text *why)
{
    ASSERT(wal->directory[0]);
    char path[LOG_WAL_PATH_MAX];
    /* Files count from 1, so the name is nobody's. */
    making_path(wal, 0, path);
    struct io_file *file = NULL;
    struct err_text detail = {0};
    err_t err = io_disk_open(wal->disk, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT,
                             &file, &detail);
    wal->direct = err_is_ok(err);
    if (!err_is_ok(err) && !err_is(err, ERR_UNSUPPORTED))
        return err_set(why, (enum err_code)err.code, "%s", err_detail(err, &detail));
    TRY(io_file_close(file));
    if (!wal->direct)
        logger_write(wal->logger, LOG_LEVEL_WARNING, "log_no_direct_io",
                     "%s: the file system has no direct I/O; the log is written through the page "
                     "cache, which is slower",
                     wal->directory);
    enum io_kind kind;
    /* Whether a refused opening has made the file depends on the system: looked at, not known. */
    TRY(io_disk_kind(wal->disk, path, &kind, why));
    return kind == IO_KIND_NONE ? err_ok() : io_disk_remove(wal->disk, path, why);
}

static uint64_t choose_file_size(uint64_t limit_bytes)
{
    /* The log lets go of whole files only: with one or two the limit would be met long before there
     * is one to let go of. */
    uint64_t size = limit_bytes / 8 / LOG_WAL_STEP * LOG_WAL_STEP;
    size = size < LOG_WAL_FILE_SIZE_MIN ? LOG_WAL_FILE_SIZE_MIN : size;
    ASSERT(size % IO_BLOCK == 0);
    return size > LOG_WAL_FILE_SIZE_MAX ? LOG_WAL_FILE_SIZE_MAX : size;
}

static err_t open_files(struct log_wal *wal, struct err_text *why)
{
    ASSERT(wal->file_count == 0);
    struct listing listing = {.wal = wal, .why = why};
    err_t err = io_disk_list(wal->disk, wal->directory, list_name, &listing, why);
    if (err_is_ok(err))
        err = listing.error;
    for (size_t i = 0; i < listing.count && err_is_ok(err); i++) {
        if (i == 0 || listing.numbers[i] != listing.numbers[i - 1] + 1)
            /* A gap is no error here: whether what is missing was let go of, recovery alone can
             * say, by the checkpoint. */
            wal->contiguous_from = listing.numbers[i];
        err = log_wal_add(wal, listing.numbers[i], why);
    }
    mem_free(listing.numbers);
    return err;
}

err_t log_wal_open(struct log_wal *wal, struct io_disk *disk, struct logger *logger,
                   const char *data_directory, uint64_t limit_bytes, uint64_t file_size,
                   struct err_text *why)
{
    ASSERT(file_size % IO_BLOCK == 0 && file_size <= LOG_WAL_FILE_SIZE_MAX);
    *wal = (struct log_wal){
        .disk = disk,
        .logger = logger,
        .limit_bytes = limit_bytes,
        .file_size = file_size ? file_size : choose_file_size(limit_bytes),
    };
    int size = snprintf(wal->directory, sizeof wal->directory, "%s/wal", data_directory);
    if (size < 0 || (size_t)size >= sizeof wal->directory)
        return err_set(why, ERR_CONFIG, "data_dir: the path is too long");
    /* The directory first: whether direct I/O works is asked of the very place where files will
     * be. */
    TRY(io_disk_make_path(disk, wal->directory, why));
    TRY(probe_direct(wal, why));
    return open_files(wal, why);
}

void log_wal_done(struct log_wal *wal)
{
    ASSERT(wal->files || wal->file_count == 0);
    for (size_t i = 0; i < wal->file_count; i++) {
        /* Nothing is unsynced that anybody was told of: an error here has nothing to say. */
        err_t ignored = io_file_close(wal->files[i].writer);
        (void)ignored;
        ignored = io_file_close(wal->files[i].reader);
        (void)ignored;
    }
    mem_free(wal->files);
    *wal = (struct log_wal){0};
}

err_t log_wal_add(struct log_wal *wal, uint64_t number, struct err_text *why)
{
    ASSERT(wal->file_count == 0 || wal->files[wal->file_count - 1].number < number);
    struct log_wal_file *files =
        mem_realloc(wal->files, wal->file_count + 1, sizeof(struct log_wal_file));
    if (!files)
        return err_make(ERR_MEMORY);
    wal->files = files;
    char path[LOG_WAL_PATH_MAX];
    log_wal_path(wal, number, path);
    struct log_wal_file file = {.number = number};
    unsigned direct = wal->direct ? IO_OPEN_DIRECT : 0;
    TRY(io_disk_open(wal->disk, path, IO_OPEN_READ | IO_OPEN_WRITE | direct, &file.writer, why));
    err_t err = io_file_size(file.writer, &file.size);
    if (!err_is_ok(err)) {
        err_t ignored = io_file_close(file.writer);
        (void)ignored;
        return err;
    }
    /* A file that was cut within a block ends before it: nothing whole can begin there. */
    file.size = file.size / IO_BLOCK * IO_BLOCK;
    if (file.size == 0) {
        err_t ignored = io_file_close(file.writer);
        (void)ignored;
        return err_set(why, ERR_CORRUPT,
                       "%s is empty: it was cut; run garner fsck, or restore it from a copy", path);
    }
    wal->files[wal->file_count++] = file;
    return err_ok();
}

struct log_wal_file *log_wal_find(const struct log_wal *wal, uint64_t number)
{
    ASSERT(wal->files || wal->file_count == 0);
    size_t low = 0;
    size_t high = wal->file_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (wal->files[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < wal->file_count && wal->files[low].number == number ? &wal->files[low] : NULL;
}

void log_wal_drop_first(struct log_wal *wal)
{
    ASSERT(wal->current > 0 && wal->files[0].reads == 0);
    /* All of it is durable, and elsewhere too: an error has nothing to say. */
    err_t ignored = io_file_close(wal->files[0].writer);
    (void)ignored;
    ignored = io_file_close(wal->files[0].reader);
    (void)ignored;
    wal->file_count--;
    wal->current--;
    memmove(wal->files, wal->files + 1, wal->file_count * sizeof *wal->files);
}

err_t log_wal_make_begin(struct log_wal_making *making, struct log_wal *wal, uint64_t number,
                         uint64_t old_number)
{
    /* Numbers only rise, so that the number in a frame tells for ever which life of a file it is
     * of. */
    ASSERT(number > old_number || (number == 0 && old_number > 0));
    *making = (struct log_wal_making){.wal = wal, .number = number, .old_number = old_number};
    size_t size = (size_t)(wal->file_size < LOG_WAL_STEP ? wal->file_size : LOG_WAL_STEP);
    /* On a block, as direct I/O wants it, and the same bytes for every step. */
    making->pattern = mem_alloc_aligned(IO_BLOCK, size);
    if (!making->pattern)
        return err_make(ERR_MEMORY);
    memset(making->pattern, FILL_BYTE, size);
    return err_ok();
}

/* The old file under the new number. What it holds is told from frames of the new one by the file
 * number that they have in them. */
static err_t make_of_old(struct log_wal_making *making, struct err_text *why)
{
    ASSERT(making->old_number > 0 && !making->file);
    struct log_wal *wal = making->wal;
    char from[LOG_WAL_PATH_MAX];
    char to[LOG_WAL_PATH_MAX];
    log_wal_path(wal, making->old_number, from);
    log_wal_path(wal, making->number > 0 ? making->number : making->old_number, to);
    struct io_file *file;
    /* Opened for its size alone: the list has forgotten the file. */
    err_t err = io_disk_open(wal->disk, from, IO_OPEN_READ, &file, why);
    if (err_is(err, ERR_NO_FILE)) {
        /* An earlier try removed it. */
        making->old_number = 0;
        making->finished = making->number == 0;
        return err_ok();
    }
    TRY(err);
    uint64_t size = 0;
    err = io_file_size(file, &size);
    err_t closed = io_file_close(file);
    TRY(err);
    TRY(closed);
    /* Not wanted, or of another size, since the limit was changed between two starts. */
    if (making->number == 0 || size != wal->file_size) {
        TRY(io_disk_remove(wal->disk, from, why));
        making->old_number = 0;
        making->finished = making->number == 0;
        return err_ok();
    }
    /* Both before the log knows the file: were the name lost with the power, frames in it would be
     * a gap in the log. */
    TRY(io_disk_rename(wal->disk, from, to, why));
    TRY(io_disk_sync_directory(wal->disk, wal->directory, why));
    making->finished = true;
    return err_ok();
}

static err_t make_open(struct log_wal_making *making, struct err_text *why)
{
    ASSERT(!making->file);
    char path[LOG_WAL_PATH_MAX];
    making_path(making->wal, making->number, path);
    unsigned direct = making->wal->direct ? IO_OPEN_DIRECT : 0;
    /* Cut, since a try that failed may have left some of it. */
    return io_disk_open(making->wal->disk, path,
                        IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE | direct, &making->file,
                        why);
}

static err_t make_finish(struct log_wal_making *making, struct err_text *why)
{
    ASSERT(making->offset == making->wal->file_size);
    char from[LOG_WAL_PATH_MAX];
    char to[LOG_WAL_PATH_MAX];
    making_path(making->wal, making->number, from);
    log_wal_path(making->wal, making->number, to);
    /* Before the rename: under its own name a file is taken for written over its whole length. */
    TRY(io_file_sync(making->file));
    struct io_file *file = making->file;
    /* Forgotten before closing can fail: a handle must not be closed twice. */
    making->file = NULL;
    TRY(io_file_close(file));
    TRY(io_disk_rename(making->wal->disk, from, to, why));
    TRY(io_disk_sync_directory(making->wal->disk, making->wal->directory, why));
    making->finished = true;
    return err_ok();
}

err_t log_wal_make_step(struct log_wal_making *making, struct err_text *why)
{
    ASSERT(making->pattern && !making->finished);
    if (making->old_number > 0)
        return make_of_old(making, why);
    if (!making->file)
        TRY(make_open(making, why));
    if (making->offset == making->wal->file_size)
        return make_finish(making, why);
    uint64_t left = making->wal->file_size - making->offset;
    uint64_t size = left < LOG_WAL_STEP ? left : LOG_WAL_STEP;
    err_t err = io_file_write(making->file, making->pattern, (size_t)size, making->offset);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "%s: cannot write the next log file: %s",
                       making->wal->directory, err_string(err));
    making->offset += size;
    return err_ok();
}

void log_wal_make_done(struct log_wal_making *making)
{
    ASSERT(making->wal);
    err_t ignored = io_file_close(making->file);
    (void)ignored;
    /* Only what was being written: an old file keeps its name, and what is to become of it is
     * decided again at the next start. */
    if (!making->finished && making->number > 0 && making->old_number == 0) {
        char path[LOG_WAL_PATH_MAX];
        making_path(making->wal, making->number, path);
        ignored = io_disk_remove(making->wal->disk, path, NULL);
        (void)ignored;
    }
    mem_free(making->pattern);
    *making = (struct log_wal_making){0};
}

uint64_t log_wal_bytes(const struct log_wal *wal)
{
    ASSERT(wal->files || wal->file_count == 0);
    uint64_t bytes = 0;
    for (size_t i = 0; i < wal->file_count; i++)
        bytes += wal->files[i].size;
    return bytes;
}

bool log_wal_may_make(const struct log_wal *wal)
{
    ASSERT(wal->file_size > 0);
    /* Spare files count too: the limit is of space on the disk, not of what is in use. */
    return log_wal_bytes(wal) + wal->file_size <= wal->limit_bytes;
}

uint64_t log_wal_next_number(const struct log_wal *wal)
{
    ASSERT(wal->files || wal->file_count == 0);
    return wal->file_count ? wal->files[wal->file_count - 1].number + 1 : 1;
}

err_t log_wal_roll(struct log_wal *wal)
{
    ASSERT(wal->current < wal->file_count);
    if (wal->current + 1 >= wal->file_count)
        return err_make(ERR_LOG_FULL);
    wal->current++;
    wal->offset = 0;
    return err_ok();
}

err_t log_wal_place(struct log_wal *wal, uint64_t disk_size, struct log_position *out)
{
    ASSERT(disk_size % IO_BLOCK == 0 && wal->offset % IO_BLOCK == 0);
    /* A frame lies within one file, so what is left of this one stays unused. The next may be of
     * another size, if it was made under another limit. */
    if (wal->offset + disk_size > wal->files[wal->current].size) {
        if (wal->current + 1 >= wal->file_count || disk_size > wal->files[wal->current + 1].size)
            return err_make(ERR_LOG_FULL);
        TRY(log_wal_roll(wal));
    }
    *out = (struct log_position){.file_number = wal->files[wal->current].number,
                                 .offset = wal->offset};
    wal->offset += disk_size;
    return err_ok();
}

uint64_t log_wal_room(const struct log_wal *wal)
{
    /* Before the first file is made there is room for nothing. */
    if (wal->file_count == 0)
        return 0;
    ASSERT(wal->current < wal->file_count);
    uint64_t size = wal->files[wal->current].size;
    /* An upper bound: the end of each file that the next frame does not fit into is lost. */
    uint64_t room = size > wal->offset ? size - wal->offset : 0;
    for (size_t i = wal->current + 1; i < wal->file_count; i++)
        room += wal->files[i].size;
    return room;
}
