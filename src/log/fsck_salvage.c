#include "base/alloc.h"
#include "base/assert.h"
#include "base/number.h"
#include "log/fsck_int.h"

/*
 * When no checkpoint can be read and the log does not begin with its first frame, nobody says which
 * topics there were. Their directories do, and their segments hold batches that speak for
 * themselves: a state is made up of them, good for nothing but taking the records out. What is in
 * the log alone names its topics by number, and stays where it is.
 */

/* Far behind every offset, and far from overflowing. */
#define OFFSET_FAR (INT64_MAX / 2)

struct finder {
    struct log_fsck *f;
    const char *directory;
    uint64_t *numbers; /* of names that begin with one, rising */
    size_t count;
    size_t capacity;
    const char *suffix;
    err_t error;
};

static err_t add_number(struct finder *finder, uint64_t number)
{
    void *numbers = finder->numbers;
    ASSERT(finder->suffix);
    if (!log_fsck_grow(&numbers, &finder->capacity, finder->count, sizeof *finder->numbers))
        return err_make(ERR_MEMORY);
    finder->numbers = numbers;
    size_t at = finder->count++;
    for (; at > 0 && finder->numbers[at - 1] > number; at--)
        finder->numbers[at] = finder->numbers[at - 1];
    finder->numbers[at] = number;
    return err_ok();
}

static int see_number(void *context, const char *name, enum io_kind kind)
{
    struct finder *finder = context;
    struct slice text = slice_string(name);
    struct slice suffix = slice_string(finder->suffix);
    uint64_t number;
    ASSERT(kind != IO_KIND_NONE);
    if (!slice_ends_with(text, suffix) ||
        !err_is_ok(number_parse_u64(slice_sub(text, 0, text.size - suffix.size), &number)) ||
        number >= (uint64_t)OFFSET_FAR)
        return 0;
    finder->error = add_number(finder, number);
    return !err_is_ok(finder->error);
}

/* The numbers of what is in a directory; to be freed. */
static err_t find_numbers(struct log_fsck *f, const char *path, struct finder *out)
{
    ASSERT(out->count == 0);
    out->error = err_ok();
    TRY(io_disk_list(f->disk, path, see_number, out, f->why));
    return out->error;
}

/* A segment of which nothing is known but its beginning. */
static err_t put_segment(struct log_fsck *f, const struct log_segment_place *place,
                         struct log_partition *partition, int64_t base_offset, int64_t end_offset)
{
    char path[LOG_SEGMENT_PATH_MAX];
    struct io_file *file;
    struct log_segment segment = {.base_offset = base_offset, .end_offset = end_offset};
    log_segment_path(place, base_offset, LOG_SEGMENT_LOG, path);
    ASSERT(base_offset < end_offset);
    TRY(io_disk_open(f->disk, path, IO_OPEN_READ, &file, f->why));
    err_t err = io_file_size(file, &segment.size);
    err_t closed = io_file_close(file);
    TRY(err);
    TRY(closed);
    partition->end_offset = end_offset;
    return segment.size > 0 ? log_partition_put_segments(partition, &segment, 1) : err_ok();
}

static err_t find_segments(struct log_fsck *f, const struct log_topic *topic, uint32_t number)
{
    struct log_segment_place place = log_fsck_place(f, topic, number);
    struct finder finder = {.f = f, .suffix = ".log"};
    char path[LOG_SEGMENT_PATH_MAX];
    enum io_kind kind;
    log_segment_partition_path(&place, path);
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    ASSERT(number < topic->partition_count);
    err_t err = kind == IO_KIND_DIRECTORY ? find_numbers(f, path, &finder) : err_ok();
    for (size_t i = 0; i < finder.count && err_is_ok(err); i++) {
        int64_t end = i + 1 < finder.count ? (int64_t)finder.numbers[i + 1] : OFFSET_FAR;
        if ((int64_t)finder.numbers[i] < end)
            err =
                put_segment(f, &place, &topic->partitions[number], (int64_t)finder.numbers[i], end);
    }
    mem_free(finder.numbers);
    return err;
}

static err_t make_topic(struct log_fsck *f, struct slice name, const struct uuid *uuid,
                        uint32_t partition_count)
{
    uint8_t bytes[512];
    struct flow_topic_change change = {.op = FLOW_TOPIC_CREATE,
                                       .topic_id = f->state.topic_count + 1,
                                       .uuid = *uuid,
                                       .name = name,
                                       .partition_count = partition_count};
    struct log_position nowhere = {.file_number = 1};
    ASSERT(name.size <= FLOW_TOPIC_NAME_MAX);
    size_t size = log_entry_put_topic(bytes, &change);
    return log_state_apply(&f->state, slice_make(bytes, size), nowhere);
}

/* `<name>-<uuid>`: of two with a name the first. */
static int see_topic(void *context, const char *name, enum io_kind kind)
{
    struct finder *finder = context;
    struct log_fsck *f = finder->f;
    struct slice text = slice_string(name);
    struct uuid uuid;
    ASSERT(finder->directory);
    if (kind != IO_KIND_DIRECTORY || text.size <= UUID_TEXT_SIZE + 1 || text.size > 255 ||
        !err_is_ok(uuid_parse(slice_sub(text, text.size - UUID_TEXT_SIZE, SIZE_MAX), &uuid)))
        return 0;
    struct slice topic = slice_sub(text, 0, text.size - UUID_TEXT_SIZE - 1);
    struct finder partitions = {.f = f, .suffix = ""};
    char path[LOG_SEGMENT_PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/%s", finder->directory, name);
    if (size < 0 || (size_t)size >= sizeof path || log_state_topic_named(&f->state, topic))
        return 0;
    err_t err = find_numbers(f, path, &partitions);
    uint64_t last = partitions.count > 0 ? partitions.numbers[partitions.count - 1] : 0;
    mem_free(partitions.numbers);
    if (err_is_ok(err) && last < FLOW_PARTITIONS_MAX)
        err = make_topic(f, topic, &uuid, (uint32_t)last + 1);
    finder->error = err;
    return !err_is_ok(err);
}

err_t log_fsck_salvage(struct log_fsck *f)
{
    char path[LOG_SEGMENT_PATH_MAX];
    enum io_kind kind;
    ASSERT(f->state.topic_count == 0 && !f->salvage);
    f->salvage = true;
    log_fsck_path(f, "topics", path);
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    if (kind != IO_KIND_DIRECTORY)
        return err_ok();
    struct finder finder = {.f = f, .directory = path, .error = err_ok()};
    TRY(io_disk_list(f->disk, path, see_topic, &finder, f->why));
    TRY(finder.error);
    for (uint32_t t = 0; t < f->state.topic_count; t++) {
        const struct log_topic *topic = f->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++)
            TRY(find_segments(f, topic, p));
    }
    return log_fsck_read_partitions(f);
}
