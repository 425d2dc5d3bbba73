#include "log/restore.h"

#include "base/alloc.h"
#include "log/backup_int.h"
#include "unit/log/backup.h"

/* A backup of a directory with segments and frames behind them. */
static void begin(struct world *w, struct backup_watch *watch, uint64_t seed)
{
    fsck_begin(w, seed);
    *watch = (struct backup_watch){0};
    backup_make(w, watch);
}

static void an_empty_directory_is_taken_and_another_is_not_touched(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch;
    struct restored restored = {0};
    begin(&w, &watch, 1);
    assert_code(io_disk_make_directory(sim_disk_io(w.disk), "empty", NULL), OK);
    restore_make(&w, &restored, NULL, "empty");
    assert_int_equal(restored.records, FSCK_RECORDS);
    assert_int_equal(restored.topics, 2);
    assert_int_equal(restored.result.created_ms, BACKUP_NOW);
    assert_true(restored.calls > 0);
    assert_code(restore_try(&w, &restored, NULL, "empty"), EXISTS);
    assert_non_null(strstr(restored.why.text, "not an empty directory"));
    assert_code(restore_try(&w, &restored, NULL, "data/garner.meta"), EXISTS);
    assert_code(restore_try(&w, &restored, NULL, ""), INVALID);
    restored_serves(&w, "empty", FSCK_RECORDS);
    world_done(&w);
}

static void a_path_with_directories_and_a_slash_is_fine(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch;
    struct restored restored = {0};
    begin(&w, &watch, 2);
    restore_make(&w, &restored, watch.result.name, "some/where/else");
    assert_int_equal(backup_kind(&w, "some/where/else/garner.meta"), IO_KIND_FILE);
    assert_int_equal(backup_kind(&w, "some/where/else.unfinished"), IO_KIND_NONE);
    assert_code(io_disk_make_directory(sim_disk_io(w.disk), "slash", NULL), OK);
    restore_make(&w, &restored, NULL, "slash/");
    assert_int_equal(backup_kind(&w, "slash/garner.meta"), IO_KIND_FILE);
    world_done(&w);
}

static void the_directory_has_a_uuid_of_its_own_and_topics_keep_theirs(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch;
    struct restored restored = {0};
    struct log_meta meta;
    begin(&w, &watch, 3);
    restore_make(&w, &restored, NULL, "restored");
    assert_code(log_meta_read(sim_disk_io(w.disk), "restored", &meta, NULL), OK);
    assert_int_equal(meta.uuid.bytes[0], 9);
    assert_true(meta.ready && !uuid_equal(&meta.uuid, &watch.result.uuid));
    w.options.data_directory = "restored";
    world_open(&w);
    assert_int_equal(w.log->state.topics[0]->uuid.bytes[0], 'f');
    assert_true(w.log->state.sink_count == 1 && w.log->state.sinks[0]->open);
    world_kill(&w);
    world_done(&w);
}

static err_t end_epoch(struct world *w, enum flow_sink_op op)
{
    struct flow_sink_range range = {
        .topic_id = 1, .first_offset = 0, .end_offset = 4, .delivered = 4};
    return world_change_sink(
        w, &(struct flow_sink_change){
               .op = op,
               .sink_id = 1,
               .epoch = 1,
               .ranges = &range,
               .range_count = op == FLOW_SINK_PREPARE,
               .outputs = slice_sub(SLICE_LITERAL("files"), 0, op == FLOW_SINK_PREPARE ? 5 : 0)});
}

/* Its files are somewhere else, or have been finished since. */
static void what_a_sink_had_prepared_it_begins_again(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    struct restored restored = {0};
    world_init(&w, 12);
    world_begin(&w);
    assert_code(world_open_sink(&w, "files"), OK);
    fsck_fill(&w, 4);
    assert_code(end_epoch(&w, FLOW_SINK_PREPARE), OK);
    assert_true(w.log->state.sinks[0]->prepared);
    backup_make(&w, &watch);
    assert_code(end_epoch(&w, FLOW_SINK_COMMIT), OK);
    world_kill(&w);
    restore_make(&w, &restored, NULL, "restored");
    w.options.data_directory = "restored";
    world_open(&w);
    assert_false(w.log->state.sinks[0]->prepared);
    assert_int_equal(w.log->state.sinks[0]->cursors[0].offset, 0);
    assert_code(end_epoch(&w, FLOW_SINK_PREPARE), OK);
    assert_code(end_epoch(&w, FLOW_SINK_COMMIT), OK);
    assert_int_equal(w.log->state.sinks[0]->delivered, 4);
    world_done(&w);
}

static void one_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch;
    struct restored restored = {0};
    begin(&w, &watch, 4);
    assert_code(restore_try(&w, &restored, "20200101T000000Z", "restored"), NO_FILE);
    assert_non_null(strstr(restored.why.text, "garner backup list"));
    fsck_remove(&w, "backups/20260301T064000Z/manifest");
    assert_code(restore_try(&w, &restored, NULL, "restored"), NO_FILE);
    assert_int_equal(backup_kind(&w, "restored"), IO_KIND_NONE);
    world_done(&w);
}

/* Every file that the backup names, harmed in each way: refused with its path, nothing made. */
static void damage_of_any_file_is_named(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch;
    struct restored restored = {0};
    struct log_manifest manifest;
    begin(&w, &watch, 5);
    struct io_disk *disk = sim_disk_io(w.disk);
    log_manifest_init(&manifest);
    assert_code(log_backup_read_manifest(disk, "backups", watch.result.name, &manifest, NULL), OK);
    assert_true(manifest.file_count >= 6);
    for (size_t i = 0; i < manifest.file_count; i++) {
        char path[LOG_BACKUP_PATH_MAX];
        char away[] = "away";
        const struct log_manifest_file *file = &manifest.files[i];
        log_backup_file_path("backups", watch.result.name, &manifest.uuid, file, path);
        for (int how = 0; how < 3 && file->size > 0; how++) {
            struct buf whole = {0};
            assert_code(io_disk_read_file(disk, path, SIZE_MAX / 2, &whole, NULL), OK);
            if (how == 0)
                fsck_flip(&w, path, file->size / 2);
            else if (how == 1)
                fsck_truncate(&w, path, file->size - 1);
            else
                assert_code(io_disk_rename(disk, path, away, NULL), OK);
            assert_code(restore_try(&w, &restored, NULL, "restored"), CORRUPT);
            if (!strstr(restored.why.text, path))
                fail_msg("%s is not in: %s", path, restored.why.text);
            assert_int_equal(backup_kind(&w, "restored"), IO_KIND_NONE);
            assert_int_equal(backup_kind(&w, "restored.unfinished"), IO_KIND_NONE);
            if (how == 2)
                assert_code(io_disk_rename(disk, away, path, NULL), OK);
            assert_code(io_disk_write_file(disk, path, buf_slice(&whole), NULL), OK);
            buf_done(&whole);
        }
    }
    log_manifest_done(&manifest);
    restore_make(&w, &restored, NULL, "restored");
    world_done(&w);
}

/* Sums that fit are believed no more than a data directory is: fsck looks at the result. */
static void a_manifest_that_lacks_a_file_does_not_pass(void **state)
{
    (void)state;
    static const char *const parts[] = {".log", "checkpoint/", "wal/"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct world w;
        struct backup_watch watch;
        struct restored restored = {0};
        struct log_manifest manifest;
        struct log_manifest less;
        struct buf text = {0};
        begin(&w, &watch, 6);
        struct io_disk *disk = sim_disk_io(w.disk);
        log_manifest_init(&manifest);
        log_manifest_init(&less);
        assert_code(log_backup_read_manifest(disk, "backups", watch.result.name, &manifest, NULL),
                    OK);
        less.uuid = manifest.uuid;
        less.created_ms = manifest.created_ms;
        less.lsn = manifest.lsn;
        for (size_t k = 0; k < manifest.file_count; k++) {
            char path[LOG_MANIFEST_PATH_MAX + 1];
            snprintf(path, sizeof path, "%.*s", SLICE_PRINTF(manifest.files[k].path));
            if (!strstr(path, parts[i]))
                assert_code(log_manifest_add(&less, &manifest.files[k]), OK);
        }
        log_manifest_encode(&less, &text);
        assert_code(
            io_disk_write_file(disk, "backups/20260301T064000Z/manifest", buf_slice(&text), NULL),
            OK);
        assert_code(restore_try(&w, &restored, NULL, "restored"), CORRUPT);
        assert_non_null(strstr(restored.why.text, "20260301T064000Z"));
        assert_int_equal(backup_kind(&w, "restored"), IO_KIND_NONE);
        buf_done(&text);
        log_manifest_done(&manifest);
        log_manifest_done(&less);
        world_done(&w);
    }
}

/* The power fails anywhere: there is a whole directory or none, and another try makes one. */
static void power_may_fail_anywhere_in_a_restore(void **state)
{
    (void)state;
    bool died = true;
    for (uint64_t n = 1; died; n += 1 + n / 6) {
        struct world w;
        struct backup_watch watch;
        struct restored restored = {0};
        begin(&w, &watch, n);
        sim_disk_die_after(w.disk, n);
        err_t err = restore_try(&w, &restored, NULL, "restored");
        died = sim_disk_is_dead(w.disk);
        assert_true(died || err_is_ok(err));
        sim_disk_crash(w.disk);
        sim_disk_die_after(w.disk, 0);
        if (backup_kind(&w, "restored") == IO_KIND_NONE)
            restore_make(&w, &restored, NULL, "restored");
        assert_int_equal(backup_kind(&w, "restored.unfinished"), IO_KIND_NONE);
        restored_serves(&w, "restored", FSCK_RECORDS);
        world_done(&w);
    }
}

static void what_the_disk_or_the_memory_refuses_leaves_nothing(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch;
    struct restored restored = {0};
    begin(&w, &watch, 8);
    for (int memory = 0; memory < 2; memory++) {
        bool failed = true;
        for (uint64_t n = 1; failed; n += 1 + n / 4) {
            if (memory)
                mem_fail_after(n);
            else
                sim_disk_fail_after(w.disk, n, ERR_NO_SPACE);
            err_t err = restore_try(&w, &restored, NULL, "restored");
            mem_fail_after(0);
            sim_disk_fail_after(w.disk, 0, ERR_OK);
            failed = !err_is_ok(err);
            /* What cannot be read back while the result is checked is no whole directory. */
            if (failed && !(err_is(err, ERR_CORRUPT) && !memory))
                assert_string_equal(err_name(err), memory ? "MEMORY" : "NO_SPACE");
            if (failed && backup_kind(&w, "restored") == IO_KIND_NONE)
                continue;
            /* At the latest the flush of the name has failed: it is whole all the same. */
            struct io_disk *disk = sim_disk_io(w.disk);
            assert_code(log_copy_remove_tree(disk, "restored", NULL), OK);
        }
    }
    restored.stop_after = 3;
    assert_code(restore_try(&w, &restored, NULL, "restored"), CANCELLED);
    restored.stop_after = 1000000;
    restore_make(&w, &restored, NULL, "restored");
    uint64_t calls = restored.calls;
    assert_code(log_copy_remove_tree(sim_disk_io(w.disk), "restored", NULL), OK);
    /* In the midst of the check of the result. */
    restored.stop_after = calls - 1;
    assert_code(restore_try(&w, &restored, NULL, "restored"), CANCELLED);
    assert_int_equal(backup_kind(&w, "restored"), IO_KIND_NONE);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_directory_is_taken_and_another_is_not_touched),
        cmocka_unit_test(a_path_with_directories_and_a_slash_is_fine),
        cmocka_unit_test(the_directory_has_a_uuid_of_its_own_and_topics_keep_theirs),
        cmocka_unit_test(what_a_sink_had_prepared_it_begins_again),
        cmocka_unit_test(one_that_is_not_there_is_said),
        cmocka_unit_test(damage_of_any_file_is_named),
        cmocka_unit_test(a_manifest_that_lacks_a_file_does_not_pass),
        cmocka_unit_test(power_may_fail_anywhere_in_a_restore),
        cmocka_unit_test(what_the_disk_or_the_memory_refuses_leaves_nothing),
    };
    return cmocka_run_group_tests_name("log/restore", tests, NULL, NULL);
}
