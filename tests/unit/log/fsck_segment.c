#include "unit/log/fsck.h"

#define BATCH_BYTES 120250u /* a little less than one of the fixture takes */

static void a_broken_batch_in_a_segment_is_a_hole_and_the_rest_stays(void **state)
{
    (void)state;
    /* At the front, in the middle, at the end of the segment's batches. */
    static const uint64_t places[] = {70, 3 * BATCH_BYTES, 5 * BATCH_BYTES};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct world w;
        struct told told;
        char path[LOG_SEGMENT_PATH_MAX];
        fsck_begin(&w, i + 1);
        fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
        fsck_flip(&w, path, places[i]);
        told_run(&w, &told, NULL);
        assert_true(told_has(&told, "segment_damaged"));
        assert_int_equal(told.lost_count, 1);
        assert_int_equal(told.lost_records, 4);
        assert_int_equal(told.lost_end - told.lost_first, 4);
        assert_int_equal(told.on_disk, FSCK_RECORDS - 4);
        assert_int_equal(told.records, FSCK_RECORDS - 4);
        told_run(&w, &told, "fsck-1");
        assert_true(told.result.repaired && told.balanced);
        assert_int_equal(told.damaged, 4);
        assert_non_null(strstr(told.acts, "fsck-1"));
        told_clean(&w, &told);
        assert_int_equal(told.records, FSCK_RECORDS - 4);
        fsck_serves(&w, &told, FSCK_RECORDS / 2);
        world_done(&w);
    }
}

static void two_broken_batches_are_two_holes(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    fsck_begin(&w, 7);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_flip(&w, path, 100);
    fsck_flip(&w, path, 3 * BATCH_BYTES);
    told_run(&w, &told, "fsck-1");
    assert_int_equal(told.lost_count, 2);
    assert_int_equal(told.lost_records, 8);
    assert_int_equal(told.lost_first, 0);
    assert_true(told.result.repaired && told.balanced);
    told_clean(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS - 8);
    fsck_serves(&w, &told, FSCK_RECORDS / 2);
    world_done(&w);
}

static void a_batch_whose_length_is_broken_is_found_the_end_of(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    fsck_begin(&w, 3);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_flip(&w, path, 9);
    told_run(&w, &told, "fsck-1");
    assert_int_equal(told.lost_records, 4);
    assert_int_equal(told.lost_first, 0);
    assert_int_equal(told.lost_end, 4);
    told_clean(&w, &told);
    assert_int_equal(told.records, FSCK_RECORDS - 4);
    fsck_serves(&w, &told, FSCK_RECORDS / 2);
    world_done(&w);
}

static void a_segment_that_is_missing_is_lost_with_its_offsets(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    fsck_begin(&w, 4);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_remove(&w, path);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "segment_damaged") && told_has(&told, "lost"));
    assert_int_equal(told.lost_first, 0);
    uint64_t lost = told.lost_records;
    assert_true(lost > 4 && lost < FSCK_RECORDS / 2);
    assert_int_equal(told.lost_end, lost);
    told_run(&w, &told, "fsck-1");
    assert_true(told.result.repaired && told.balanced);
    told_clean(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS - lost);
    fsck_serves(&w, &told, FSCK_RECORDS / 2);
    world_done(&w);
}

static void a_segment_that_was_cut_keeps_its_front(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    fsck_begin(&w, 5);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_truncate(&w, path, 2 * BATCH_BYTES + 5000);
    told_run(&w, &told, "fsck-1");
    assert_int_equal(told.lost_first, 8);
    assert_int_equal(told.lost_count, 1);
    assert_true(told.result.repaired);
    told_clean(&w, &told);
    assert_true(told.records > FSCK_RECORDS / 2 && told.next_offset[0] == FSCK_RECORDS / 2);
    fsck_serves(&w, &told, FSCK_RECORDS / 2);
    world_done(&w);
}

static void an_index_that_is_wrong_or_missing_is_written_again(void **state)
{
    (void)state;
    static const enum log_segment_file which[] = {LOG_SEGMENT_INDEX, LOG_SEGMENT_TIMES};
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        struct told told;
        char path[LOG_SEGMENT_PATH_MAX];
        fsck_begin(&w, 10 + i);
        fsck_segment_path(&w, 0, which[i % 2], path);
        if (i < 2)
            fsck_remove(&w, path);
        else
            fsck_flip(&w, path, i % 2 ? 2 : 5);
        told_run(&w, &told, NULL);
        assert_true(told_has(&told, "index_wrong"));
        assert_int_equal(told.lost_count, 0);
        told_run(&w, &told, "fsck-1");
        assert_true(told.result.repaired);
        told_clean(&w, &told);
        assert_int_equal(told.on_disk, FSCK_RECORDS);
        assert_int_equal(told.damaged, 0);
        fsck_serves(&w, &told, FSCK_RECORDS / 2);
        world_done(&w);
    }
}

static void what_lies_behind_the_end_of_a_segment_is_no_damage(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    struct io_file *file;
    uint64_t size = 0;
    fsck_begin(&w, 6);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    assert_code(io_disk_open(sim_disk_io(w.disk), path, IO_OPEN_READ, &file, NULL), OK);
    assert_code(io_file_size(file, &size), OK);
    assert_code(io_file_close(file), OK);
    fsck_write(&w, path, "more", 4, size);
    told_clean(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    world_done(&w);
}

static void a_sink_is_told_what_it_will_never_get(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    fsck_begin(&w, 8);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_flip(&w, path, 3 * BATCH_BYTES);
    told_run(&w, &told, "fsck-1");
    world_open(&w);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(&w.log->state, &snapshot), OK);
    assert_true(flow_snapshot_balanced(&snapshot));
    assert_int_equal(snapshot.sinks[0].damaged, 4);
    assert_int_equal(snapshot.sinks[0].pending, FSCK_RECORDS - 4);
    assert_int_equal(snapshot.sinks[0].accepted, FSCK_RECORDS);
    flow_snapshot_done(&snapshot);
    world_done(&w);
}

/* In a segment, and in the log alone: offsets are missing, and no record is. */
static void nothing_is_lost_with_batches_of_nothing_but_holes(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    world_init(&w, 12);
    world_begin(&w);
    assert_code(world_open_sink(&w, "files"), OK);
    assert_code(world_hollow(&w, 5, 7), OK);
    fsck_fill(&w, FSCK_COMMITS);
    world_until(&w, fsck_is_sealed, &w);
    world_stop(&w);
    told_clean(&w, &told);
    assert_int_equal(told.records, 4 * FSCK_COMMITS);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_flip(&w, path, 30);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "segment_damaged"));
    assert_int_equal(told.lost_count, 0);
    told_run(&w, &told, "fsck-1");
    assert_true(told.result.repaired && told.balanced);
    assert_int_equal(told.damaged, 0);
    told_clean(&w, &told);
    assert_int_equal(told.records, 4 * FSCK_COMMITS);
    fsck_serves(&w, &told, 2 * FSCK_COMMITS + 5);
    world_open(&w);
    assert_code(world_hollow(&w, 5, 7), OK);
    const struct log_partition *partition = log_state_partition(&w.log->state, 1, 0);
    const struct log_index_entry entry = partition->index[partition->index_count - 1];
    assert_code(world_commit(&w, 3, 10), OK);
    world_stop(&w);
    fsck_wal_path(entry.file_number, path);
    fsck_flip(&w, path, entry.file_offset + 30);
    told_run(&w, &told, "fsck-2");
    assert_true(told.result.errors > 0 && told.result.repaired && told.balanced);
    assert_int_equal(told.lost_count, 0);
    told_clean(&w, &told);
    fsck_serves(&w, &told, 2 * FSCK_COMMITS + 5);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_batch_in_a_segment_is_a_hole_and_the_rest_stays),
        cmocka_unit_test(two_broken_batches_are_two_holes),
        cmocka_unit_test(a_batch_whose_length_is_broken_is_found_the_end_of),
        cmocka_unit_test(a_segment_that_is_missing_is_lost_with_its_offsets),
        cmocka_unit_test(a_segment_that_was_cut_keeps_its_front),
        cmocka_unit_test(an_index_that_is_wrong_or_missing_is_written_again),
        cmocka_unit_test(what_lies_behind_the_end_of_a_segment_is_no_damage),
        cmocka_unit_test(a_sink_is_told_what_it_will_never_get),
        cmocka_unit_test(nothing_is_lost_with_batches_of_nothing_but_holes),
    };
    return cmocka_run_group_tests_name("log/fsck_segment", tests, NULL, NULL);
}
