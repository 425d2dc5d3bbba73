#include "unit/log/fsck.h"

/* The file of the newest frames, and one that is full and not sealed or just before it; found by
 * their frames. */
struct placed {
    uint64_t number;
    uint64_t offset;
    struct log_frame_header header;
};

/* Frames behind the last checkpoint, in their order; at the most `capacity`. */
static size_t frames_behind(struct world *w, uint64_t lsn, struct placed *out, size_t capacity)
{
    size_t count = 0;
    struct io_disk *disk = sim_disk_io(w->disk);
    for (uint64_t number = 1; number < 64; number++) {
        char path[LOG_SEGMENT_PATH_MAX];
        struct io_file *file;
        uint8_t bytes[LOG_FRAME_HEADER_SIZE];
        uint64_t size = 0;
        fsck_wal_path(number, path);
        if (!err_is_ok(io_disk_open(disk, path, IO_OPEN_READ, &file, NULL)))
            continue;
        assert_code(io_file_size(file, &size), OK);
        for (uint64_t at = 0; at < size; at += IO_BLOCK) {
            struct log_frame_header header;
            size_t got = 0;
            assert_code(io_file_read(file, bytes, sizeof bytes, at, &got), OK);
            if (!err_is_ok(log_frame_decode(slice_make(bytes, got), &header)) ||
                header.file_number != number || header.block != at / IO_BLOCK || header.lsn <= lsn)
                continue;
            assert_true(count < capacity);
            out[count++] = (struct placed){number, at, header};
        }
        assert_code(io_file_close(file), OK);
    }
    return count;
}

/* A fixture that ends with `count` known frames behind the newest checkpoint. */
static size_t begin(struct world *w, struct placed *frames, size_t capacity, uint64_t seed)
{
    struct told told;
    fsck_begin(w, seed);
    told_clean(w, &told);
    size_t count = frames_behind(w, told.result.checkpoint_lsn, frames, capacity);
    assert_true(count >= 4);
    return count;
}

static void repair_and_serve(struct world *w, struct told *told)
{
    told_run(w, told, "fsck-1");
    if (!told->result.repaired || !told->balanced)
        fail_msg("%s; %s", told->codes, told->acts);
    told_clean(w, told);
    fsck_serves(w, told, FSCK_RECORDS / 2);
}

static void a_broken_batch_in_a_frame_is_known_to_the_offset(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 1);
    struct placed *hit = &frames[count - 4];
    fsck_wal_path(hit->number, path);
    fsck_flip(&w, path, hit->offset + 50000);
    assert_code(world_try_open(&w), CORRUPT);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "wal_damaged"));
    assert_int_equal(told.lost_records, 4);
    assert_int_equal(told.lost_count, 1);
    assert_int_equal(told.on_disk, FSCK_RECORDS - 4);
    assert_string_equal(told.notes, "");
    repair_and_serve(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS - 4);
    assert_int_equal(told.damaged, 4);
    world_done(&w);
}

static void a_frame_without_a_header_is_a_hole_up_to_the_next(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 2);
    struct placed *hit = &frames[count - 4];
    fsck_wal_path(hit->number, path);
    fsck_flip(&w, path, hit->offset + 20);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "wal_damaged"));
    assert_int_equal(told.lost_records, 4);
    repair_and_serve(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS - 4);
    assert_int_equal(told.damaged, 4);
    world_done(&w);
}

struct sealing {
    struct world *w;
    uint64_t file;
};

static bool is_sealed(void *context)
{
    const struct sealing *s = context;
    return s->w->log->sealer.saved_sealed >= s->file;
}

static void a_hole_begins_a_segment_so_that_records_can_be_counted_by_offsets(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 11);
    struct placed *hit = &frames[count - 4];
    fsck_wal_path(hit->number, path);
    fsck_flip(&w, path, hit->offset + 20);
    told_run(&w, &told, "fsck-1");
    assert_int_equal(told.lost_count, 1);
    world_open(&w);
    fsck_fill(&w, 12);
    world_until(&w, is_sealed, &(struct sealing){&w, hit->number});
    uint32_t segments = 0;
    for (uint32_t p = 0; p < 2; p++) {
        const struct log_partition *partition = log_state_partition(&w.log->state, 1, p);
        segments += partition->segment_count;
        for (uint32_t i = 0; i < partition->segment_count; i++) {
            const struct log_segment *s = &partition->segments[i];
            assert_int_equal(s->records, s->end_offset - s->base_offset);
        }
    }
    assert_int_equal(segments, 3);
    world_done(&w);
}

static void offsets_that_may_have_been_given_are_not_given_again(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    /* Of the frames at the end the one before the last: nothing behind it tells of its partition.
     */
    size_t count = begin(&w, frames, 64, 3);
    struct placed *hit = &frames[count - 2];
    fsck_wal_path(hit->number, path);
    fsck_flip(&w, path, hit->offset + 20);
    told_run(&w, &told, NULL);
    assert_non_null(strstr(told.notes, "ends_unknown"));
    repair_and_serve(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS - 4);
    world_done(&w);
}

static void the_last_frame_broken_is_a_torn_tail_and_no_damage(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 4);
    fsck_wal_path(frames[count - 1].number, path);
    fsck_flip(&w, path, frames[count - 1].offset + 5000);
    told_clean(&w, &told);
    assert_non_null(strstr(told.notes, "wal_torn"));
    world_open(&w);
    world_done(&w);
}

static void a_broken_frame_at_the_end_proves_those_that_are_missing_before_it(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 12);
    for (size_t i = 1; i <= 2; i++) {
        const struct placed *hit = &frames[count - i];
        fsck_wal_path(hit->number, path);
        fsck_flip(&w, path, hit->offset + (i == 1 ? 5000 : 20));
    }
    assert_code(world_try_open(&w), CORRUPT);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "wal_damaged"));
    assert_null(strstr(told.notes, "wal_torn"));
    repair_and_serve(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS - 8);
    world_done(&w);
}

static void a_broken_entry_that_is_no_batch_leaves_the_batches(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 5);
    struct placed *hit = &frames[count - 4];
    fsck_wal_path(hit->number, path);
    /* The counts come behind the batches. */
    fsck_flip(&w, path, hit->offset + LOG_FRAME_HEADER_SIZE + hit->header.payload_size - 20);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "wal_damaged"));
    assert_int_equal(told.lost_count, 0);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    repair_and_serve(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    world_done(&w);
}

static void a_file_of_the_log_that_is_missing_is_a_hole(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 6);
    fsck_wal_path(frames[count - 1].number, path);
    fsck_remove(&w, path);
    told_run(&w, &told, NULL);
    repair_and_serve(&w, &told);
    world_done(&w);
}

static void a_file_that_was_cut_is_made_whole_again(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 7);
    fsck_wal_path(frames[count - 1].number, path);
    fsck_truncate(&w, path, frames[count - 1].offset);
    assert_code(world_try_open(&w), CORRUPT);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "wal_damaged"));
    repair_and_serve(&w, &told);
    world_done(&w);
}

static void zeros_where_the_next_frame_belongs_are_damage(void **state)
{
    (void)state;
    static const uint8_t zeros[2 * IO_BLOCK];
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    size_t count = begin(&w, frames, 64, 8);
    struct placed *last = &frames[count - 1];
    fsck_wal_path(last->number + 1, path);
    fsck_write(&w, path, zeros, sizeof zeros, 0);
    assert_code(world_try_open(&w), CORRUPT);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "wal_damaged"));
    repair_and_serve(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    world_done(&w);
}

static void a_file_of_another_directory_is_not_taken_for_ours(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    uint8_t block[IO_BLOCK] = {0};
    size_t count = begin(&w, frames, 64, 9);
    struct log_frame_header header = frames[count - 1].header;
    header.uuid.bytes[3] ^= 1;
    header.block = 0;
    log_frame_encode(&header, block);
    fsck_wal_path(frames[count - 1].number + 1, path);
    fsck_write(&w, path, block, sizeof block, 0);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "wal_foreign"));
    repair_and_serve(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    world_done(&w);
}

/* Values of zeros, so that the torn frame leaves blocks of them behind the next one. */
static void what_a_start_has_cut_is_no_damage_to_the_next(void **state)
{
    (void)state;
    struct world w;
    struct placed frames[64];
    char path[LOG_SEGMENT_PATH_MAX];
    world_init(&w, 5);
    world_begin(&w);
    assert_code(world_commit(&w, 4, 30000), OK);
    world_settle(&w);
    world_kill(&w);
    size_t count = frames_behind(&w, 0, frames, 64);
    fsck_wal_path(frames[count - 1].number, path);
    fsck_flip(&w, path, frames[count - 1].offset + 60000);
    for (int life = 0; life < 3; life++) {
        world_open(&w);
        assert_code(world_commit(&w, 1, 10), OK);
        world_settle(&w);
        world_kill(&w);
    }
    world_open(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_start_has_cut_is_no_damage_to_the_next),
        cmocka_unit_test(a_broken_batch_in_a_frame_is_known_to_the_offset),
        cmocka_unit_test(a_frame_without_a_header_is_a_hole_up_to_the_next),
        cmocka_unit_test(a_hole_begins_a_segment_so_that_records_can_be_counted_by_offsets),
        cmocka_unit_test(offsets_that_may_have_been_given_are_not_given_again),
        cmocka_unit_test(the_last_frame_broken_is_a_torn_tail_and_no_damage),
        cmocka_unit_test(a_broken_frame_at_the_end_proves_those_that_are_missing_before_it),
        cmocka_unit_test(a_broken_entry_that_is_no_batch_leaves_the_batches),
        cmocka_unit_test(a_file_of_the_log_that_is_missing_is_a_hole),
        cmocka_unit_test(a_file_that_was_cut_is_made_whole_again),
        cmocka_unit_test(zeros_where_the_next_frame_belongs_are_damage),
        cmocka_unit_test(a_file_of_another_directory_is_not_taken_for_ours),
    };
    return cmocka_run_group_tests_name("log/fsck_wal", tests, NULL, NULL);
}
