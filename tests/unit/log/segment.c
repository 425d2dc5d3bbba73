#include "log/segment.h"

#include "base/alloc.h"
#include "sim/disk.h"
#include "unit/log/payload.h"

static const struct log_segment_place place = {
    .data_directory = "data",
    .topic = SLICE_LITERAL("flights"),
    .topic_uuid = {{0x0f, 0x8f, 0xad, 0x5b}},
    .partition = 3,
};

#define DIRECTORY "data/topics/flights-0f8fad5b-0000-0000-0000-000000000000"

/* A batch of `count` records of `size` bytes at `base_offset`, with this timestamp. */
static void add_batch(struct buf *out, int64_t base_offset, uint32_t count, size_t size,
                      int64_t timestamp_ms)
{
    struct flow_batch_builder builder;
    uint8_t *value = calloc(1, size + 1);
    assert_non_null(value);
    flow_batch_builder_init(&builder);
    for (uint32_t i = 0; i < count; i++)
        assert_code(flow_batch_builder_add(&builder, timestamp_ms, slice_make(NULL, 0),
                                           slice_make(value, size), NULL, 0),
                    OK);
    struct slice batch = flow_batch_builder_finish(&builder);
    flow_batch_set_base_offset(builder.bytes.data, base_offset);
    buf_add_slice(out, batch);
    flow_batch_builder_done(&builder);
    free(value);
}

static struct io_disk *begin(struct sim_disk **disk)
{
    *disk = sim_disk_new(1);
    assert_code(io_disk_make_path(sim_disk_io(*disk), "data", NULL), OK);
    assert_code(log_segment_make_directories(sim_disk_io(*disk), &place, NULL), OK);
    return sim_disk_io(*disk);
}

/* Ten records in one batch of about 20 KB, appended by itself. */
static err_t append(struct io_disk *io, struct log_segment *segment, int64_t timestamp_ms)
{
    struct buf bytes = {0};
    add_batch(&bytes, segment->end_offset, 10, 2000, timestamp_ms);
    err_t err = log_segment_append(io, &place, segment, buf_slice(&bytes), 10,
                                   1000 + segment->end_offset, NULL);
    buf_done(&bytes);
    return err;
}

static void read_file(struct io_disk *io, int64_t base, enum log_segment_file which,
                      struct buf *out)
{
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_path(&place, base, which, path);
    buf_init(out, 0);
    assert_code(io_disk_read_file(io, path, SIZE_MAX / 2, out, NULL), OK);
}

static enum io_kind kind_of(struct io_disk *io, const char *path)
{
    enum io_kind kind = IO_KIND_OTHER;
    assert_code(io_disk_kind(io, path, &kind, NULL), OK);
    return kind;
}

static void files_are_named_as_kafka_names_them(void **state)
{
    (void)state;
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_path(&place, 17, LOG_SEGMENT_LOG, path);
    assert_string_equal(path, DIRECTORY "/3/00000000000000000017.log");
    log_segment_path(&place, INT64_MAX, LOG_SEGMENT_TIMES, path);
    assert_string_equal(path, DIRECTORY "/3/09223372036854775807.timeindex");
    log_segment_path(&place, 0, LOG_SEGMENT_INDEX, path);
    assert_string_equal(path, DIRECTORY "/3/00000000000000000000.index");
}

static void the_longest_topic_name_fits_a_directory(void **state)
{
    (void)state;
    char name[FLOW_TOPIC_NAME_MAX + 1];
    char path[LOG_SEGMENT_PATH_MAX];
    memset(name, 'x', FLOW_TOPIC_NAME_MAX);
    name[FLOW_TOPIC_NAME_MAX] = 0;
    struct log_segment_place longest = place;
    longest.topic = slice_string(name);
    log_segment_topic_path(&longest, path);
    assert_true(strlen(strrchr(path, '/') + 1) <= 255);
    assert_string_equal(path + strlen(path) - 36, &DIRECTORY[strlen(DIRECTORY) - 36]);
}

static void batches_lie_one_behind_the_other_and_the_indexes_point_at_them(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 100, .end_offset = 100};
    struct buf log, index, times;
    for (int i = 0; i < 20; i++)
        assert_code(append(io, &segment, 1000 + i), OK);
    assert_int_equal(segment.end_offset, 300);
    assert_int_equal(segment.records, 200);
    assert_int_equal(segment.first_commit_ms, 1100);
    assert_int_equal(segment.last_commit_ms, 1290);
    assert_int_equal(segment.max_timestamp_ms, 1019);
    assert_int_equal(segment.max_timestamp_offset, 299);
    read_file(io, 100, LOG_SEGMENT_LOG, &log);
    read_file(io, 100, LOG_SEGMENT_INDEX, &index);
    read_file(io, 100, LOG_SEGMENT_TIMES, &times);
    assert_int_equal(log.size, segment.size);
    assert_int_equal(index.size, segment.index_entries * LOG_SEGMENT_INDEX_ENTRY);
    assert_int_equal(times.size, segment.time_entries * LOG_SEGMENT_TIME_ENTRY);
    assert_true(segment.index_entries >= 4 && segment.index_entries <= 6);
    for (uint32_t i = 0; i < segment.index_entries; i++) {
        struct flow_batch batch;
        uint32_t position = get_u32be(index.data + (size_t)i * 8 + 4);
        assert_code(flow_batch_parse(slice_make(log.data + position, log.size - position), &batch),
                    OK);
        assert_int_equal(batch.base_offset + batch.last_offset_delta,
                         100 + get_u32be(index.data + (size_t)i * 8));
        assert_int_equal(get_u64be(times.data + (size_t)i * 12), batch.max_timestamp_ms);
    }
    buf_done(&log);
    buf_done(&index);
    buf_done(&times);
    sim_disk_free(&disk);
}

static void reading_begins_close_before_any_offset(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 100, .end_offset = 100};
    struct buf log;
    for (int i = 0; i < 40; i++)
        assert_code(append(io, &segment, 1), OK);
    read_file(io, 100, LOG_SEGMENT_LOG, &log);
    for (int64_t offset = 100; offset < 500; offset++) {
        uint64_t at = UINT64_MAX;
        uint64_t batch_at = (uint64_t)(offset - 100) / 10 * (log.size / 40);
        assert_code(log_segment_find_offset(io, &place, &segment, offset, &at), OK);
        struct flow_batch batch;
        assert_code(flow_batch_parse(slice_make(log.data + at, log.size - at), &batch), OK);
        assert_true(batch.base_offset <= offset);
        assert_true(batch_at - at <= LOG_SEGMENT_INDEX_INTERVAL + log.size / 40);
    }
    buf_done(&log);
    sim_disk_free(&disk);
}

/* Timestamps that rise, but for every third, which is old. */
static void all_records_before_the_place_of_a_time_are_older(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 0, .end_offset = 0};
    int64_t times[60];
    for (int i = 0; i < 60; i++) {
        times[i] = i % 3 == 2 ? 5 : 1000 + 10 * i;
        assert_code(append(io, &segment, times[i]), OK);
    }
    bool far = false;
    for (int64_t wanted = 0; wanted <= segment.max_timestamp_ms; wanted += 7) {
        int64_t offset = -1;
        assert_code(log_segment_find_time(io, &place, &segment, wanted, &offset), OK);
        assert_true(offset >= 0 && offset < segment.end_offset);
        for (int64_t i = 0; i < offset / 10; i++)
            assert_true(times[i] < wanted);
        far = far || offset > 300;
    }
    assert_true(far);
    sim_disk_free(&disk);
}

/* Kafka's tools take an entry of -1 for one that is out of order. */
static void what_has_no_time_is_not_in_the_time_index(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 0, .end_offset = 0};
    char path[LOG_SEGMENT_PATH_MAX];
    int64_t offset = -1;
    for (int i = 0; i < 12; i++)
        assert_code(append(io, &segment, -1), OK);
    assert_true(segment.index_entries > 1);
    assert_int_equal(segment.time_entries, 0);
    log_segment_path(&place, 0, LOG_SEGMENT_TIMES, path);
    assert_int_equal(kind_of(io, path), IO_KIND_NONE);
    assert_code(log_segment_cut(io, &place, &segment, NULL), OK);
    assert_code(log_segment_find_time(io, &place, &segment, 0, &offset), OK);
    assert_int_equal(offset, 0);
    for (int i = 0; i < 12; i++)
        assert_code(append(io, &segment, i == 3 ? 7 : -1), OK);
    assert_int_equal(segment.time_entries, 1);
    struct buf times;
    read_file(io, 0, LOG_SEGMENT_TIMES, &times);
    assert_int_equal(times.size, LOG_SEGMENT_TIME_ENTRY);
    assert_int_equal(get_u64be(times.data), 7);
    assert_int_equal(get_u32be(times.data + 8), 159);
    buf_done(&times);
    assert_code(log_segment_find_time(io, &place, &segment, 8, &offset), OK);
    assert_int_equal(offset, 160);
    sim_disk_free(&disk);
}

static void an_index_that_lies_or_is_short_is_corrupt(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 0, .end_offset = 0};
    char path[LOG_SEGMENT_PATH_MAX];
    uint64_t position;
    int64_t offset;
    for (int i = 0; i < 20; i++)
        assert_code(append(io, &segment, i), OK);
    log_segment_path(&place, 0, LOG_SEGMENT_INDEX, path);
    assert_true(sim_disk_flip(disk, path, segment.index_entries * 8u - 4, 7));
    assert_code(log_segment_find_offset(io, &place, &segment, 199, &position), CORRUPT);
    log_segment_path(&place, 0, LOG_SEGMENT_TIMES, path);
    assert_true(sim_disk_flip(disk, path, segment.time_entries * 12u - 4, 7));
    assert_code(log_segment_find_time(io, &place, &segment, 19, &offset), CORRUPT);
    segment.time_entries++;
    segment.index_entries++;
    assert_code(log_segment_find_offset(io, &place, &segment, 199, &position), CORRUPT);
    assert_code(log_segment_find_time(io, &place, &segment, 19, &offset), CORRUPT);
    sim_disk_free(&disk);
}

static void an_index_of_more_entries_than_can_be_is_not_read(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {0};
    uint64_t position;
    int64_t offset;
    for (int i = 0; i < 8; i++)
        assert_code(append(io, &segment, i), OK);
    assert_true(segment.index_entries > 0);
    segment.index_entries = segment.time_entries = INT32_MAX / LOG_SEGMENT_INDEX_ENTRY;
    assert_code(log_segment_find_offset(io, &place, &segment, 79, &position), CORRUPT);
    assert_code(log_segment_find_time(io, &place, &segment, 7, &offset), CORRUPT);
    sim_disk_free(&disk);
}

static void bytes_that_are_no_batch_are_not_written(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 0, .end_offset = 0}, before = segment;
    static const uint8_t bytes[100] = {0};
    char path[LOG_SEGMENT_PATH_MAX];
    assert_false(err_is_ok(
        log_segment_append(io, &place, &segment, slice_make(bytes, sizeof bytes), 1, 1, NULL)));
    assert_memory_equal(&segment, &before, sizeof segment);
    log_segment_path(&place, 0, LOG_SEGMENT_LOG, path);
    assert_int_equal(kind_of(io, path), IO_KIND_NONE);
    sim_disk_free(&disk);
}

/* Whichever call or allocation of an append fails, a second try leaves what one would have. */
static void an_append_that_failed_is_done_again(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct sim_disk *disk;
        struct io_disk *io = begin(&disk);
        struct log_segment segment = {.base_offset = 0, .end_offset = 0};
        struct buf log, index;
        for (int i = 0; i < 9; i++)
            assert_code(append(io, &segment, i), OK);
        struct log_segment before = segment;
        struct buf bytes = {0};
        for (int i = 0; i < 8; i++)
            add_batch(&bytes, 90 + 10 * i, 10, 2000, 50 + i);
        if (n % 2 == 0)
            mem_fail_after(n / 2);
        else
            sim_disk_fail_after(disk, n / 2 + 1, ERR_NO_SPACE);
        err_t err = log_segment_append(io, &place, &segment, buf_slice(&bytes), 80, 2000, NULL);
        mem_fail_after(0);
        sim_disk_fail_after(disk, 0, ERR_OK);
        failed = !err_is_ok(err) || n < 30;
        if (!err_is_ok(err)) {
            assert_memory_equal(&segment, &before, sizeof segment);
            assert_code(log_segment_append(io, &place, &segment, buf_slice(&bytes), 80, 2000, NULL),
                        OK);
        }
        read_file(io, 0, LOG_SEGMENT_LOG, &log);
        assert_int_equal(log.size, segment.size);
        assert_memory_equal(log.data + before.size, bytes.data, bytes.size);
        read_file(io, 0, LOG_SEGMENT_INDEX, &index);
        assert_int_equal(index.size, segment.index_entries * 8u);
        buf_done(&log);
        buf_done(&index);
        buf_done(&bytes);
        sim_disk_free(&disk);
    }
}

static void what_lies_behind_the_end_is_cut(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 0, .end_offset = 0};
    struct buf bytes;
    for (int i = 0; i < 10; i++)
        assert_code(append(io, &segment, i), OK);
    struct log_segment kept = segment;
    for (int i = 0; i < 20; i++)
        assert_code(append(io, &segment, i), OK);
    assert_code(log_segment_cut(io, &place, &kept, NULL), OK);
    assert_code(log_segment_cut(io, &place, &kept, NULL), OK);
    read_file(io, 0, LOG_SEGMENT_LOG, &bytes);
    assert_int_equal(bytes.size, kept.size);
    buf_done(&bytes);
    read_file(io, 0, LOG_SEGMENT_INDEX, &bytes);
    assert_int_equal(bytes.size, kept.index_entries * 8u);
    buf_done(&bytes);
    read_file(io, 0, LOG_SEGMENT_TIMES, &bytes);
    assert_int_equal(bytes.size, kept.time_entries * 12u);
    buf_done(&bytes);
    sim_disk_free(&disk);
}

static void a_file_that_is_short_or_missing_is_named(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct log_segment segment = {.base_offset = 0, .end_offset = 0};
    struct err_text why = {0};
    char path[LOG_SEGMENT_PATH_MAX];
    for (int i = 0; i < 10; i++)
        assert_code(append(io, &segment, i), OK);
    struct log_segment more = segment;
    more.size++;
    assert_code(log_segment_cut(io, &place, &more, &why), CORRUPT);
    assert_non_null(strstr(why.text, "00000000000000000000.log was cut"));
    log_segment_path(&place, 0, LOG_SEGMENT_INDEX, path);
    assert_code(io_disk_remove(io, path, NULL), OK);
    assert_code(log_segment_cut(io, &place, &segment, &why), CORRUPT);
    assert_non_null(strstr(why.text, "00000000000000000000.index is missing"));
    /* An index without entries has no file. */
    struct log_segment small = {.base_offset = 900, .end_offset = 900};
    assert_code(append(io, &small, 1), OK);
    assert_code(log_segment_cut(io, &place, &small, &why), OK);
    sim_disk_free(&disk);
}

static void a_sweep_takes_what_begins_behind_and_no_strangers(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    static const int64_t bases[] = {0, 100, 200};
    struct io_file *file;
    for (size_t i = 0; i < 3; i++) {
        struct log_segment segment = {.base_offset = bases[i], .end_offset = bases[i]};
        for (int k = 0; k < 5; k++)
            assert_code(append(io, &segment, 1), OK);
    }
    assert_code(
        io_disk_open(io, DIRECTORY "/3/notes.log", IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL),
        OK);
    assert_code(io_file_close(file), OK);
    assert_code(log_segment_sweep(io, &place, 101, NULL), OK);
    assert_int_equal(kind_of(io, DIRECTORY "/3/00000000000000000000.log"), IO_KIND_FILE);
    assert_int_equal(kind_of(io, DIRECTORY "/3/00000000000000000100.index"), IO_KIND_FILE);
    assert_int_equal(kind_of(io, DIRECTORY "/3/00000000000000000200.log"), IO_KIND_NONE);
    assert_int_equal(kind_of(io, DIRECTORY "/3/00000000000000000200.timeindex"), IO_KIND_NONE);
    assert_int_equal(kind_of(io, DIRECTORY "/3/notes.log"), IO_KIND_FILE);
    assert_code(log_segment_remove(io, &place, 0, NULL), OK);
    assert_code(log_segment_remove(io, &place, 0, NULL), OK);
    assert_int_equal(kind_of(io, DIRECTORY "/3/00000000000000000000.log"), IO_KIND_NONE);
    sim_disk_free(&disk);
}

static bool is_ours(void *context, const struct uuid *uuid)
{
    return uuid_equal(context, uuid);
}

static void directories_of_unknown_topics_go_and_others_stay(void **state)
{
    (void)state;
    struct sim_disk *disk;
    struct io_disk *io = begin(&disk);
    struct uuid kept = {{9}};
    struct log_segment_place other = place;
    other.topic_uuid = kept;
    struct log_segment segment = {.base_offset = 0, .end_offset = 0};
    assert_code(append(io, &segment, 1), OK);
    assert_code(log_segment_make_directories(io, &other, NULL), OK);
    assert_code(io_disk_make_directory(io, "data/topics/lost+found", NULL), OK);
    assert_code(log_segment_sweep_topics(io, "data", is_ours, &kept, NULL), OK);
    char path[LOG_SEGMENT_PATH_MAX];
    assert_int_equal(kind_of(io, DIRECTORY), IO_KIND_NONE);
    log_segment_partition_path(&other, path);
    assert_int_equal(kind_of(io, path), IO_KIND_DIRECTORY);
    assert_int_equal(kind_of(io, "data/topics/lost+found"), IO_KIND_DIRECTORY);
    assert_code(log_segment_remove_topic(io, &other, NULL), OK);
    assert_int_equal(kind_of(io, path), IO_KIND_NONE);
    assert_code(log_segment_remove_topic(io, &other, NULL), OK);
    assert_code(log_segment_sweep_topics(io, "elsewhere", is_ours, &kept, NULL), OK);
    sim_disk_free(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_named_as_kafka_names_them),
        cmocka_unit_test(the_longest_topic_name_fits_a_directory),
        cmocka_unit_test(batches_lie_one_behind_the_other_and_the_indexes_point_at_them),
        cmocka_unit_test(reading_begins_close_before_any_offset),
        cmocka_unit_test(all_records_before_the_place_of_a_time_are_older),
        cmocka_unit_test(what_has_no_time_is_not_in_the_time_index),
        cmocka_unit_test(an_index_that_lies_or_is_short_is_corrupt),
        cmocka_unit_test(an_index_of_more_entries_than_can_be_is_not_read),
        cmocka_unit_test(bytes_that_are_no_batch_are_not_written),
        cmocka_unit_test(an_append_that_failed_is_done_again),
        cmocka_unit_test(what_lies_behind_the_end_is_cut),
        cmocka_unit_test(a_file_that_is_short_or_missing_is_named),
        cmocka_unit_test(a_sweep_takes_what_begins_behind_and_no_strangers),
        cmocka_unit_test(directories_of_unknown_topics_go_and_others_stay),
    };
    return cmocka_run_group_tests_name("log/segment", tests, NULL, NULL);
}
