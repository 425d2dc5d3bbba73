#include "log/fsck.h"

#include "unit/log/fsck.h"

static void what_nobody_harmed_is_clean_and_every_record_is_counted(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    fsck_begin(&w, 1);
    told_clean(&w, &told);
    assert_int_equal(told.records, FSCK_RECORDS);
    assert_int_equal(told.accepted, FSCK_RECORDS);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    assert_int_equal(told.next_offset[0], FSCK_RECORDS / 2);
    assert_true(told.balanced && told.result.segments >= 2 && told.result.checkpoint_lsn > 0);
    assert_true(told.progress > 0 && told.result.frames > 0);
    assert_false(told.result.repaired);
    world_done(&w);
}

static void after_a_clean_stop_and_a_start_it_is_clean(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    fsck_begin(&w, 2);
    world_open(&w);
    fsck_fill(&w, 2);
    world_stop(&w);
    told_clean(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS + 8);
    world_open(&w);
    fsck_fill(&w, 2);
    world_settle(&w);
    world_lose_power(&w);
    told_clean(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS + 16);
    world_done(&w);
}

static void a_directory_that_has_just_begun_is_clean(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    world_init(&w, 3);
    world_open(&w);
    world_settle(&w);
    world_lose_power(&w);
    told_clean(&w, &told);
    assert_int_equal(told.records, 0);
    assert_int_equal(told.result.last_lsn, 1);
    world_done(&w);
}

static void a_directory_in_use_is_left_alone(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    world_init(&w, 4);
    world_open(&w);
    assert_code(told_try(&w, &told, NULL), IN_USE);
    assert_non_null(strstr(told.why.text, "stop it first"));
    assert_code(told_try(&w, &told, "fsck-1"), IN_USE);
    assert_string_equal(told.acts, "");
    world_done(&w);
}

static void what_is_no_data_directory_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    world_init(&w, 5);
    assert_code(told_try(&w, &told, NULL), NO_FILE);
    assert_code(io_disk_make_directory(sim_disk_io(w.disk), "data", NULL), OK);
    uint64_t before = sim_disk_change_count(w.disk);
    assert_code(told_try(&w, &told, NULL), NO_FILE);
    assert_non_null(strstr(told.why.text, "no data of garner"));
    assert_int_equal(sim_disk_change_count(w.disk), before);
    world_done(&w);
}

static void what_a_newer_program_wrote_is_left_to_it(void **state)
{
    (void)state;
    static const char newer[] = "garner data directory\nformat 99\n"
                                "uuid 0f8fad5b-d9cb-469f-a165-70867728950e\nstate ready\n";
    struct world w;
    struct told told;
    fsck_begin(&w, 6);
    fsck_remove(&w, "data/garner.meta");
    fsck_write(&w, "data/garner.meta", newer, sizeof newer - 1, 0);
    assert_code(told_try(&w, &told, "fsck-1"), VERSION);
    assert_non_null(strstr(told.why.text, "99"));
    assert_string_equal(told.acts, "");
    world_done(&w);
}

static void garner_meta_is_made_again_from_what_the_files_say(void **state)
{
    (void)state;
    static const char other[] = "garner data directory\nformat 3\n"
                                "uuid 0f8fad5b-d9cb-469f-a165-70867728950e\nstate ready\n";
    for (int which = 0; which < 3; which++) {
        struct world w;
        struct told told;
        fsck_begin(&w, 7);
        fsck_remove(&w, "data/garner.meta");
        if (which > 0)
            fsck_write(&w, "data/garner.meta", which == 1 ? other : "nonsense",
                       which == 1 ? sizeof other - 1 : 8, 0);
        told_run(&w, &told, NULL);
        assert_true(told_has(&told, "meta_wrong"));
        assert_int_equal(told.result.errors, 1);
        told_run(&w, &told, "fsck-1");
        assert_true(told.result.repaired);
        told_clean(&w, &told);
        assert_int_equal(told.on_disk, FSCK_RECORDS);
        fsck_serves(&w, &told, FSCK_RECORDS / 2);
        world_done(&w);
    }
}

static size_t checkpoints(const struct world *w, uint64_t lsns[static 8])
{
    size_t count = 0;
    assert_code(log_checkpoint_list(sim_disk_io(w->disk), "data", lsns, 8, &count, NULL), OK);
    return count;
}

static void flip_checkpoint(struct world *w, uint64_t lsn)
{
    char path[LOG_SEGMENT_PATH_MAX];
    snprintf(path, sizeof path, "data/checkpoint/%020llu.ckpt", (unsigned long long)lsn);
    fsck_flip(w, path, 200);
}

static void the_checkpoint_before_a_damaged_one_serves_and_nothing_is_lost(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    uint64_t lsns[8];
    fsck_begin(&w, 8);
    assert_int_equal(checkpoints(&w, lsns), 2);
    flip_checkpoint(&w, lsns[0]);
    told_run(&w, &told, "fsck-1");
    assert_true(told_has(&told, "checkpoint_damaged") && told.result.repaired);
    assert_int_equal(told.result.checkpoint_lsn, lsns[1]);
    assert_int_equal(told.lost_count, 0);
    told_clean(&w, &told);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    fsck_serves(&w, &told, FSCK_RECORDS / 2);
    world_done(&w);
}

static void without_any_checkpoint_and_the_log_recycled_it_says_that_it_cannot(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    uint64_t lsns[8];
    fsck_begin(&w, 9);
    size_t count = checkpoints(&w, lsns);
    for (size_t i = 0; i < count; i++)
        flip_checkpoint(&w, lsns[i]);
    told_run(&w, &told, "fsck-1");
    assert_true(told_has(&told, "state_lost"));
    assert_false(told.result.repaired);
    assert_string_equal(told.acts, "");
    world_done(&w);
}

static void a_log_that_is_gone_is_not_begun_again(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    world_init(&w, 10);
    world_begin(&w);
    assert_code(world_commit(&w, 3, 10), OK);
    world_settle(&w);
    world_lose_power(&w);
    for (uint64_t number = 1; number < 9; number++) {
        char path[LOG_SEGMENT_PATH_MAX];
        fsck_wal_path(number, path);
        err_t ignored = io_disk_remove(sim_disk_io(w.disk), path, NULL);
        (void)ignored;
    }
    told_run(&w, &told, "fsck-1");
    assert_true(told.result.errors > 0 && !told.result.repaired);
    assert_string_equal(told.acts, "");
    world_done(&w);
}

/* Bytes anywhere, and files: what is found wrong is repaired, and what was whole before is there
 * after. */
static void random_damage_is_repaired_and_served(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int run = 0; run < 12; run++) {
        struct world w;
        struct told told;
        struct told after;
        fsck_begin(&w, unit_random(&seed));
        uint64_t flips = 1 + unit_random(&seed) % 12;
        for (uint64_t i = 0; i < flips; i++) {
            char path[LOG_SEGMENT_PATH_MAX];
            uint64_t which = unit_random(&seed) % 12;
            if (which < 4)
                fsck_segment_path(&w, 0, (enum log_segment_file)(which % 3), path);
            else
                fsck_wal_path(which, path);
            uint64_t offset = unit_random(&seed) % (1 << 20);
            enum io_kind kind;
            assert_code(io_disk_kind(sim_disk_io(w.disk), path, &kind, NULL), OK);
            if (kind != IO_KIND_FILE)
                continue;
            uint64_t how = unit_random(&seed) % 8;
            if (how == 0)
                fsck_remove(&w, path);
            else if (how == 1)
                fsck_truncate(&w, path, offset);
            else
                sim_disk_flip(w.disk, path, offset, (unsigned)(offset % 8));
        }
        told_run(&w, &told, "fsck-1");
        assert_true(told.result.errors == 0 || told.result.repaired);
        told_clean(&w, &after);
        assert_true(after.balanced);
        assert_int_equal(after.records, told.records);
        assert_true(after.on_disk >= after.records && after.on_disk <= FSCK_RECORDS);
        fsck_serves(&w, &after, after.next_offset[0]);
        world_done(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_harmed_is_clean_and_every_record_is_counted),
        cmocka_unit_test(after_a_clean_stop_and_a_start_it_is_clean),
        cmocka_unit_test(a_directory_that_has_just_begun_is_clean),
        cmocka_unit_test(a_directory_in_use_is_left_alone),
        cmocka_unit_test(what_is_no_data_directory_is_refused),
        cmocka_unit_test(what_a_newer_program_wrote_is_left_to_it),
        cmocka_unit_test(garner_meta_is_made_again_from_what_the_files_say),
        cmocka_unit_test(the_checkpoint_before_a_damaged_one_serves_and_nothing_is_lost),
        cmocka_unit_test(without_any_checkpoint_and_the_log_recycled_it_says_that_it_cannot),
        cmocka_unit_test(a_log_that_is_gone_is_not_begun_again),
        cmocka_unit_test(random_damage_is_repaired_and_served),
    };
    return cmocka_run_group_tests_name("log/fsck", tests, NULL, NULL);
}
