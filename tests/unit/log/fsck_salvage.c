#include "base/alloc.h"
#include "unit/log/fsck.h"

/* Neither checkpoint can be read, and the first files of the log were used again. */
static void begin(struct world *w, uint64_t seed)
{
    uint64_t lsns[8];
    size_t count = 0;
    fsck_begin(w, seed);
    assert_code(log_checkpoint_list(sim_disk_io(w->disk), "data", lsns, 8, &count, NULL), OK);
    for (size_t i = 0; i < count; i++) {
        char path[LOG_SEGMENT_PATH_MAX];
        snprintf(path, sizeof path, "data/checkpoint/%020llu.ckpt", (unsigned long long)lsns[i]);
        fsck_flip(w, path, 200);
    }
}

static void segments_are_read_though_nobody_names_them(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    begin(&w, 1);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "state_lost"));
    assert_int_equal(told.lost_count, 0);
    /* Three files of the log were sealed, of 8 batches each. */
    assert_true(told.records >= 3 * 8 * 4 && told.records <= FSCK_RECORDS);
    assert_true(told.next_offset[0] >= 3 * 4 * 4 && told.next_offset[1] >= 3 * 4 * 4);
    assert_int_equal(told.result.errors, 3);
    world_done(&w);
}

static void what_is_broken_in_them_is_passed(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct told whole;
    char path[LOG_SEGMENT_PATH_MAX];
    begin(&w, 1);
    told_run(&w, &whole, NULL);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_flip(&w, path, 300000);
    told_run(&w, &told, NULL);
    assert_true(told_has(&told, "segment_damaged"));
    assert_int_equal(told.records, whole.records - 4);
    told_run(&w, &told, "fsck-1");
    assert_false(told.result.repaired);
    assert_string_equal(told.acts, "");
    world_done(&w);
}

static void names_that_are_no_topics_are_passed(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    struct told whole;
    struct io_disk *disk;
    begin(&w, 2);
    disk = sim_disk_io(w.disk);
    told_run(&w, &whole, NULL);
    assert_code(io_disk_make_directory(disk, "data/topics/nonsense", NULL), OK);
    assert_code(io_disk_make_directory(
                    disk, "data/topics/empty-0f8fad5b-d9cb-469f-a165-70867728950e", NULL),
                OK);
    fsck_write(&w, "data/topics/file", "x", 1, 0);
    told_run(&w, &told, NULL);
    assert_int_equal(told.records, whole.records);
    world_done(&w);
}

static void each_call_and_allocation_that_fails_ends_it(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    begin(&w, 3);
    sim_disk_fail_after(w.disk, 0, ERR_IO);
    told_run(&w, &told, NULL);
    uint64_t calls = sim_disk_call_count(w.disk);
    for (uint64_t n = 1; n <= calls; n++) {
        sim_disk_fail_after(w.disk, n, ERR_IO);
        err_t err = told_try(&w, &told, NULL);
        assert_true(err_is_ok(err) || err_is(err, ERR_IO));
    }
    sim_disk_fail_after(w.disk, 0, ERR_IO);
    err_t err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        mem_fail_after(n);
        err = told_try(&w, &told, NULL);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
    }
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_read_though_nobody_names_them),
        cmocka_unit_test(what_is_broken_in_them_is_passed),
        cmocka_unit_test(names_that_are_no_topics_are_passed),
        cmocka_unit_test(each_call_and_allocation_that_fails_ends_it),
    };
    return cmocka_run_group_tests_name("log/fsck_salvage", tests, NULL, NULL);
}
