#include "unit/log/fsck.h"

static void a_file(struct world *w, const char *path)
{
    fsck_write(w, path, "x", 1, 0);
}

static size_t leftovers(const struct told *told)
{
    size_t count = 0;
    for (const char *at = told->notes; (at = strstr(at, " leftover ")); at++)
        count++;
    return count;
}

static void files_that_nobody_names_are_told_and_left(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    struct io_disk *disk;
    fsck_begin(&w, 1);
    disk = sim_disk_io(w.disk);
    told_clean(&w, &told);
    size_t before = leftovers(&told);
    fsck_segment_path(&w, 999, LOG_SEGMENT_LOG, path);
    a_file(&w, path);
    a_file(&w, "data/checkpoint/00000000000000000009.ckpt.tmp");
    a_file(&w, "data/topics/stray");
    a_file(&w, "data/wal/00000000000000000099.wal.making");
    assert_code(io_disk_make_directory(disk, "data/fsck-20260101T000000", NULL), OK);
    assert_code(
        io_disk_make_directory(disk, "data/topics/gone-0f8fad5b-d9cb-469f-a165-70867728950e", NULL),
        OK);
    told_clean(&w, &told);
    assert_int_equal(leftovers(&told), before + 6);
    enum io_kind kind;
    assert_code(io_disk_kind(disk, path, &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_FILE);
    world_open(&w);
    world_done(&w);
}

static void each_call_that_fails_is_told_of(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    fsck_begin(&w, 2);
    sim_disk_fail_after(w.disk, 0, ERR_IO);
    told_clean(&w, &told);
    uint64_t calls = sim_disk_call_count(w.disk);
    assert_true(calls > 12);
    /* The lists come last. */
    for (uint64_t n = calls - 10; n <= calls; n++) {
        sim_disk_fail_after(w.disk, n, ERR_IO);
        assert_code(told_try(&w, &told, NULL), IO);
        assert_true(told.why.text[0]);
    }
    sim_disk_fail_after(w.disk, 0, ERR_IO);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_nobody_names_are_told_and_left),
        cmocka_unit_test(each_call_that_fails_is_told_of),
    };
    return cmocka_run_group_tests_name("log/fsck_leftovers", tests, NULL, NULL);
}
