#include "log/segment.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "base/number.h"
#include "base/slice.h"

#include <inttypes.h>

/*
 * Everything is append at a known size: nothing is ever changed in place, so a crash leaves what
 * the checkpoint says and some bytes behind it. Index entries name the last offset of a batch and
 * where the batch begins, as Kafka's do: the entry with the highest offset below the wanted one
 * begins before it, and reading on from there finds it.
 */

/* Several times what a segment of the largest size can have, at an entry every 64 KiB: a search
 * takes memory within a bound. */
#define INDEX_SIZE_MAX (UINT64_C(8) << 20)
#define WRITE_BEHIND_MIN ((size_t)128 << 10)

static void join_path(const char *directory, const char *name,
                      char out[static LOG_SEGMENT_PATH_MAX])
{
    int size = snprintf(out, LOG_SEGMENT_PATH_MAX, "%s/%s", directory, name);
    ASSERT(size > 0 && size < LOG_SEGMENT_PATH_MAX);
}

void log_segment_topic_path(const struct log_segment_place *place,
                            char out[static LOG_SEGMENT_PATH_MAX])
{
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(&place->topic_uuid, uuid);
    /* The uuid makes the path one topic's own. The name stands in it for whoever looks into the
     * directory. */
    struct slice name = slice_sub(place->topic, 0, LOG_SEGMENT_NAME_MAX);
    int size = snprintf(out, LOG_SEGMENT_PATH_MAX, "%s/topics/%.*s-%s", place->data_directory,
                        SLICE_PRINTF(name), uuid);
    ASSERT(size > 0 && size < LOG_SEGMENT_PATH_MAX);
}

void log_segment_partition_path(const struct log_segment_place *place,
                                char out[static LOG_SEGMENT_PATH_MAX])
{
    log_segment_topic_path(place, out);
    size_t used = strlen(out);
    int size = snprintf(out + used, LOG_SEGMENT_PATH_MAX - used, "/%" PRIu32, place->partition);
    ASSERT(size > 0 && used + (size_t)size < LOG_SEGMENT_PATH_MAX);
}

void log_segment_path(const struct log_segment_place *place, int64_t base_offset,
                      enum log_segment_file which, char out[static LOG_SEGMENT_PATH_MAX])
{
    static const char *const suffixes[] = {
        [LOG_SEGMENT_LOG] = "log",
        [LOG_SEGMENT_INDEX] = "index",
        [LOG_SEGMENT_TIMES] = "timeindex",
    };
    ASSERT(base_offset >= 0);
    log_segment_partition_path(place, out);
    size_t used = strlen(out);
    int size = snprintf(out + used, LOG_SEGMENT_PATH_MAX - used, "/%020" PRId64 ".%s", base_offset,
                        suffixes[which]);
    ASSERT(size > 0 && used + (size_t)size < LOG_SEGMENT_PATH_MAX);
}

err_t log_segment_make_directories(struct io_disk *disk, const struct log_segment_place *place,
                                   struct err_text *why)
{
    char path[LOG_SEGMENT_PATH_MAX];
    ASSERT(place->topic.size > 0);
    int size = snprintf(path, sizeof path, "%s/topics", place->data_directory);
    ASSERT(size > 0 && (size_t)size < sizeof path);
    /* Each is fine when it is there. Their names are not synced one by one: the sync of the whole
     * file system that ends a sealing takes them along. */
    TRY(io_disk_make_directory(disk, path, why));
    log_segment_topic_path(place, path);
    TRY(io_disk_make_directory(disk, path, why));
    log_segment_partition_path(place, path);
    return io_disk_make_directory(disk, path, why);
}

/* The base offset that a segment's file is named after; false for other names. */
static bool parse_name(const char *name, int64_t *base_offset)
{
    ASSERT(name);
    struct slice rest = slice_string(name);
    struct slice digits = slice_split(&rest, '.');
    uint64_t number;
    bool ours = slice_equal_string(rest, "log") || slice_equal_string(rest, "index") ||
                slice_equal_string(rest, "timeindex");
    /* Twenty digits, as they are written, and no other spelling: what people have put here is not
     * ours to remove. */
    if (!ours || digits.size != 20 || !err_is_ok(number_parse_u64(digits, &number)) ||
        number > INT64_MAX)
        return false;
    *base_offset = (int64_t)number;
    return true;
}

struct sweep {
    struct io_disk *disk;
    const char *directory;
    int64_t end_offset;
    err_t error;
    struct err_text *why;
};

static int sweep_name(void *context, const char *name, enum io_kind kind)
{
    struct sweep *sweep = context;
    ASSERT(sweep->directory && name);
    int64_t base_offset;
    if (kind != IO_KIND_FILE || !parse_name(name, &base_offset) || base_offset < sweep->end_offset)
        return 0;
    char path[LOG_SEGMENT_PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/%s", sweep->directory, name);
    ASSERT(size > 0 && (size_t)size < sizeof path);
    /* The walk says only that it was stopped; the reason is handed out beside it. */
    sweep->error = io_disk_remove(sweep->disk, path, sweep->why);
    return !err_is_ok(sweep->error);
}

err_t log_segment_sweep(struct io_disk *disk, const struct log_segment_place *place,
                        int64_t end_offset, struct err_text *why)
{
    ASSERT(end_offset >= 0);
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_partition_path(place, path);
    struct sweep sweep = {
        .disk = disk, .directory = path, .end_offset = end_offset, .error = err_ok(), .why = why};
    TRY(io_disk_list(disk, path, sweep_name, &sweep, why));
    return sweep.error;
}

/* Writes at `offset` of one of the segment's files, which a first write makes. */
static err_t write_at(struct io_disk *disk, const struct log_segment_place *place,
                      int64_t base_offset, enum log_segment_file which, struct slice bytes,
                      uint64_t offset, struct err_text *why)
{
    ASSERT(bytes.size > 0);
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_path(place, base_offset, which, path);
    /* A write at the front begins the file. It may be there, from a sealing that came to nothing;
     * cut, it cannot end longer than what is written to it. */
    unsigned flags = IO_OPEN_WRITE | IO_OPEN_CREATE | (offset == 0 ? IO_OPEN_TRUNCATE : 0);
    struct io_file *file;
    TRY(io_disk_open(disk, path, flags, &file, why));
    err_t err = io_file_write(file, bytes.data, bytes.size, offset);
    if (err_is_ok(err) && bytes.size >= WRITE_BEHIND_MIN)
        /* Begun at once, so that the sync at the end finds little left to do and the commits' own
         * flushes do not meet it all together. What is small waits for that: the next window adds
         * to the same page, which would go to the device again and again. */
        io_file_write_behind(file, offset, bytes.size);
    if (!err_is_ok(err))
        err = err_set(why, (enum err_code)err.code, "%s: cannot write: %s", path, err_string(err));
    err_t closed = io_file_close(file);
    TRY(err);
    return closed;
}

/* What one append adds to the two indexes. */
struct additions {
    struct buf index;
    struct buf times;
};

static void add_index_entry(struct additions *added, struct log_segment *segment,
                            int64_t last_offset)
{
    ASSERT(last_offset >= segment->base_offset && segment->size <= UINT32_MAX);
    uint8_t entry[LOG_SEGMENT_INDEX_ENTRY];
    put_u32be(entry, (uint32_t)(last_offset - segment->base_offset));
    put_u32be(entry + 4, (uint32_t)segment->size);
    buf_add(&added->index, entry, LOG_SEGMENT_INDEX_ENTRY);
    segment->index_entries++;
    segment->next_index = segment->size + LOG_SEGMENT_INDEX_INTERVAL;
}

static void add_time_entry(struct additions *added, struct log_segment *segment)
{
    if (!log_segment_time_rises(segment))
        return;
    ASSERT(segment->max_timestamp_offset >= segment->base_offset);
    uint8_t entry[LOG_SEGMENT_TIME_ENTRY];
    put_u64be(entry, (uint64_t)segment->max_timestamp_ms);
    put_u32be(entry + 8, (uint32_t)(segment->max_timestamp_offset - segment->base_offset));
    buf_add(&added->times, entry, LOG_SEGMENT_TIME_ENTRY);
    segment->time_entries++;
    segment->indexed_timestamp_ms = segment->max_timestamp_ms;
}

/* Counts the batch into `segment` as if it was written. */
static void count_batch(struct additions *added, struct log_segment *segment,
                        const struct flow_batch *batch)
{
    int64_t last_offset = batch->base_offset + batch->last_offset_delta;
    ASSERT(batch->base_offset >= segment->end_offset);
    /* What a batch's header says is true: its CRC was looked at when it left the log. */
    bool first = segment->size == 0;
    if (first || batch->max_timestamp_ms > segment->max_timestamp_ms) {
        segment->max_timestamp_ms = batch->max_timestamp_ms;
        segment->max_timestamp_offset = last_offset;
    }
    /* The first batch needs no entry: who finds none before the wanted offset begins at the front.
     * The time index gets its entry together with the other one, so that both are as fine. */
    if (!first && segment->size >= segment->next_index) {
        add_index_entry(added, segment, last_offset);
        add_time_entry(added, segment);
    } else if (first) {
        segment->next_index = LOG_SEGMENT_INDEX_INTERVAL;
    }
    segment->size += batch->bytes.size;
    segment->end_offset = last_offset + 1;
}

static err_t count_batches(struct additions *added, struct log_segment *segment, struct slice bytes)
{
    ASSERT(bytes.size > 0);
    while (bytes.size > 0) {
        struct flow_batch batch;
        TRY(flow_batch_parse(bytes, &batch));
        count_batch(added, segment, &batch);
        bytes = slice_sub(bytes, batch.bytes.size, SIZE_MAX);
    }
    TRY(buf_error(&added->index));
    return buf_error(&added->times);
}

err_t log_segment_append(struct io_disk *disk, const struct log_segment_place *place,
                         struct log_segment *segment, struct slice bytes, uint64_t records,
                         int64_t commit_ms, struct err_text *why)
{
    ASSERT(segment->size + bytes.size <= INT32_MAX && bytes.size > 0);
    struct additions added = {0};
    /* A copy is counted on, and takes the segment's place when all is written. After a failure the
     * segment ends where it did, and the next try writes over what lies behind. */
    struct log_segment grown = *segment;
    err_t err = count_batches(&added, &grown, bytes);
    /* The order is free: none of the three counts before the sync behind them and the checkpoint
     * that names their sizes. */
    if (err_is_ok(err))
        err =
            write_at(disk, place, segment->base_offset, LOG_SEGMENT_LOG, bytes, segment->size, why);
    if (err_is_ok(err) && added.index.size > 0)
        err =
            write_at(disk, place, segment->base_offset, LOG_SEGMENT_INDEX, buf_slice(&added.index),
                     (uint64_t)segment->index_entries * LOG_SEGMENT_INDEX_ENTRY, why);
    if (err_is_ok(err) && added.times.size > 0)
        err =
            write_at(disk, place, segment->base_offset, LOG_SEGMENT_TIMES, buf_slice(&added.times),
                     (uint64_t)segment->time_entries * LOG_SEGMENT_TIME_ENTRY, why);
    buf_done(&added.index);
    buf_done(&added.times);
    TRY(err);
    grown.records += records;
    /* A segment's age is that of its first commit, and retention counts from its last. */
    grown.first_commit_ms = segment->size == 0 ? commit_ms : segment->first_commit_ms;
    grown.last_commit_ms = commit_ms;
    *segment = grown;
    return err_ok();
}

/* Reads the entries of an index that count. */
static err_t read_index(struct io_disk *disk, const struct log_segment_place *place,
                        int64_t base_offset, enum log_segment_file which, uint64_t size,
                        struct buf *out)
{
    ASSERT(which != LOG_SEGMENT_LOG);
    buf_init(out, 0);
    if (size == 0)
        return err_ok();
    /* The count is from a checkpoint, whose sums may fit though it makes no sense. */
    if (size > INDEX_SIZE_MAX)
        return err_make(ERR_CORRUPT);
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_path(place, base_offset, which, path);
    /* Opened for one search and closed again: of tens of thousands of segments few are searched,
     * and descriptors are for connections. */
    struct io_file *file;
    TRY(io_disk_open(disk, path, IO_OPEN_READ, &file, NULL));
    uint8_t *data = buf_reserve(out, (size_t)size);
    size_t got = 0;
    err_t err = data ? io_file_read(file, data, (size_t)size, 0, &got) : buf_error(out);
    buf_advance(out, got);
    err_t closed = io_file_close(file);
    TRY(err);
    /* So much was synced before a checkpoint said so: less cannot be from a crash. */
    return got == size ? closed : err_make(ERR_CORRUPT);
}

err_t log_segment_find_offset(struct io_disk *disk, const struct log_segment_place *place,
                              const struct log_segment *segment, int64_t offset, uint64_t *position)
{
    ASSERT(offset >= 0);
    *position = 0;
    if (segment->index_entries == 0 || offset <= segment->base_offset)
        return err_ok();
    struct buf index;
    err_t err = read_index(disk, place, segment->base_offset, LOG_SEGMENT_INDEX,
                           (uint64_t)segment->index_entries * LOG_SEGMENT_INDEX_ENTRY, &index);
    /* Nothing in an index has a checksum. One that leads astray is noticed by the reader, which
     * finds there no batch, or one that begins too late. */
    uint32_t wanted = (uint32_t)(offset - segment->base_offset);
    uint32_t low = 0;
    uint32_t high = err_is_ok(err) ? segment->index_entries : 0; /* the first past `wanted` */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (get_u32be(index.data + (size_t)middle * LOG_SEGMENT_INDEX_ENTRY) <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0)
        *position = get_u32be(index.data + (size_t)(low - 1) * LOG_SEGMENT_INDEX_ENTRY + 4);
    buf_done(&index);
    TRY(err);
    return err_make(*position < segment->size ? ERR_OK : ERR_CORRUPT);
}

err_t log_segment_find_time(struct io_disk *disk, const struct log_segment_place *place,
                            const struct log_segment *segment, int64_t timestamp_ms,
                            int64_t *offset)
{
    ASSERT(segment->size > 0);
    /* An entry says that up to its offset nothing is later than its time. So the last one whose
     * time is too early says behind which offset to look on; without one it is the front. */
    *offset = segment->base_offset;
    struct buf times;
    err_t err = read_index(disk, place, segment->base_offset, LOG_SEGMENT_TIMES,
                           (uint64_t)segment->time_entries * LOG_SEGMENT_TIME_ENTRY, &times);
    uint32_t low = 0;
    uint32_t high = err_is_ok(err) ? segment->time_entries : 0; /* the first not below */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *entry = times.data + (size_t)middle * LOG_SEGMENT_TIME_ENTRY;
        if ((int64_t)get_u64be(entry) < timestamp_ms)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0)
        *offset +=
            (int64_t)get_u32be(times.data + (size_t)(low - 1) * LOG_SEGMENT_TIME_ENTRY + 8) + 1;
    buf_done(&times);
    TRY(err);
    return err_make(*offset < segment->end_offset ? ERR_OK : ERR_CORRUPT);
}

/* Cuts one file to `size`. */
static err_t cut_file(struct io_disk *disk, const char *path, uint64_t size, struct err_text *why)
{
    ASSERT(path[0]);
    enum io_kind kind;
    TRY(io_disk_kind(disk, path, &kind, why));
    /* An index without entries has no file. */
    if (kind == IO_KIND_NONE && size == 0)
        return err_ok();
    if (kind != IO_KIND_FILE)
        return err_set(why, ERR_CORRUPT,
                       "%s is missing; run garner fsck, or restore it from a copy", path);
    struct io_file *file;
    TRY(io_disk_open(disk, path, IO_OPEN_READ | IO_OPEN_WRITE, &file, why));
    uint64_t found = 0;
    err_t err = io_file_size(file, &found);
    /* Bytes that a checkpoint names were synced before it was written: a crash does not take them,
     * people and disks do. What is too much is from a sealing that did not end, and can go. */
    if (err_is_ok(err) && found < size)
        err = err_set(why, ERR_CORRUPT,
                      "%s was cut: it has %" PRIu64 " bytes, and %" PRIu64
                      " had been written; run garner fsck, or restore it from a copy",
                      path, found, size);
    else if (err_is_ok(err) && found > size)
        err = io_file_truncate(file, size);
    err_t closed = io_file_close(file);
    TRY(err);
    return closed;
}

err_t log_segment_cut(struct io_disk *disk, const struct log_segment_place *place,
                      const struct log_segment *segment, struct err_text *why)
{
    const uint64_t sizes[] = {
        [LOG_SEGMENT_LOG] = segment->size,
        [LOG_SEGMENT_INDEX] = (uint64_t)segment->index_entries * LOG_SEGMENT_INDEX_ENTRY,
        [LOG_SEGMENT_TIMES] = (uint64_t)segment->time_entries * LOG_SEGMENT_TIME_ENTRY,
    };
    ASSERT(segment->size > 0);
    char path[LOG_SEGMENT_PATH_MAX];
    for (int which = LOG_SEGMENT_LOG; which <= LOG_SEGMENT_TIMES; which++) {
        log_segment_path(place, segment->base_offset, (enum log_segment_file)which, path);
        TRY(cut_file(disk, path, sizes[which], why));
    }
    return err_ok();
}

err_t log_segment_remove(struct io_disk *disk, const struct log_segment_place *place,
                         int64_t base_offset, struct err_text *why)
{
    ASSERT(base_offset >= 0);
    /* What a crash in between leaves is removed by the next try: the note of it (struct log_doomed)
     * is forgotten last. */
    char path[LOG_SEGMENT_PATH_MAX];
    for (int which = LOG_SEGMENT_LOG; which <= LOG_SEGMENT_TIMES; which++) {
        log_segment_path(place, base_offset, (enum log_segment_file)which, path);
        err_t err = io_disk_remove(disk, path, why);
        if (!err_is_ok(err) && !err_is(err, ERR_NO_FILE))
            return err;
    }
    return err_ok();
}

err_t log_segment_sync_removal(struct io_disk *disk, const struct log_segment_place *place,
                               int64_t base_offset, struct err_text *why)
{
    char path[LOG_SEGMENT_PATH_MAX];
    ASSERT(place->data_directory);
    /* A whole topic was removed from the directory of topics; its own is not there to be synced. */
    if (base_offset < 0)
        join_path(place->data_directory, "topics", path);
    else
        log_segment_partition_path(place, path);
    enum io_kind kind;
    TRY(io_disk_kind(disk, path, &kind, why));
    return kind == IO_KIND_DIRECTORY ? io_disk_sync_directory(disk, path, why) : err_ok();
}

/* A walk over the names of a directory that removes what is in it. */
struct removal {
    struct io_disk *disk;
    const char *directory;
    err_t error;
    struct err_text *why;
};

/* From the leaves up, since a directory has to be empty to go. What is neither file nor directory
 * of ours stays, and the directory with it: the error says which. */
static err_t remove_all(struct io_disk *disk, const char *path, io_list_fn *each,
                        struct err_text *why)
{
    struct removal removal = {.disk = disk, .directory = path, .error = err_ok(), .why = why};
    enum io_kind kind;
    ASSERT(path[0] && each);
    TRY(io_disk_kind(disk, path, &kind, why));
    if (kind != IO_KIND_DIRECTORY)
        return err_ok();
    TRY(io_disk_list(disk, path, each, &removal, why));
    TRY(removal.error);
    return io_disk_remove(disk, path, why);
}

static int remove_file(void *context, const char *name, enum io_kind kind)
{
    struct removal *removal = context;
    ASSERT(removal->directory);
    char path[LOG_SEGMENT_PATH_MAX];
    join_path(removal->directory, name, path);
    if (kind == IO_KIND_FILE)
        removal->error = io_disk_remove(removal->disk, path, removal->why);
    return !err_is_ok(removal->error);
}

static int remove_partition(void *context, const char *name, enum io_kind kind)
{
    struct removal *removal = context;
    ASSERT(removal->directory);
    char path[LOG_SEGMENT_PATH_MAX];
    join_path(removal->directory, name, path);
    if (kind == IO_KIND_DIRECTORY)
        removal->error = remove_all(removal->disk, path, remove_file, removal->why);
    return !err_is_ok(removal->error);
}

err_t log_segment_remove_topic(struct io_disk *disk, const struct log_segment_place *place,
                               struct err_text *why)
{
    char path[LOG_SEGMENT_PATH_MAX];
    ASSERT(place->topic.size > 0);
    log_segment_topic_path(place, path);
    return remove_all(disk, path, remove_partition, why);
}

struct topics_sweep {
    struct removal removal;
    bool (*wanted)(void *context, const struct uuid *uuid);
    void *context;
};

static int sweep_topic(void *context, const char *name, enum io_kind kind)
{
    struct topics_sweep *sweep = context;
    ASSERT(sweep->wanted);
    struct slice text = slice_string(name);
    struct uuid uuid;
    /* A topic's directory is told by the uuid at its end. The name before it is for people, may be
     * cut, and may be that of a topic made since. */
    if (kind != IO_KIND_DIRECTORY || text.size <= UUID_TEXT_SIZE ||
        !err_is_ok(uuid_parse(slice_sub(text, text.size - UUID_TEXT_SIZE, SIZE_MAX), &uuid)) ||
        sweep->wanted(sweep->context, &uuid))
        return 0;
    char path[LOG_SEGMENT_PATH_MAX];
    join_path(sweep->removal.directory, name, path);
    sweep->removal.error =
        remove_all(sweep->removal.disk, path, remove_partition, sweep->removal.why);
    return !err_is_ok(sweep->removal.error);
}

err_t log_segment_sweep_topics(struct io_disk *disk, const char *data_directory,
                               bool (*wanted)(void *context, const struct uuid *uuid),
                               void *context, struct err_text *why)
{
    char path[LOG_SEGMENT_PATH_MAX];
    join_path(data_directory, "topics", path);
    struct topics_sweep sweep = {
        .removal = {.disk = disk, .directory = path, .error = err_ok(), .why = why},
        .wanted = wanted,
        .context = context,
    };
    enum io_kind kind;
    ASSERT(wanted);
    TRY(io_disk_kind(disk, path, &kind, why));
    if (kind != IO_KIND_DIRECTORY)
        return err_ok();
    TRY(io_disk_list(disk, path, sweep_topic, &sweep, why));
    return sweep.removal.error;
}
