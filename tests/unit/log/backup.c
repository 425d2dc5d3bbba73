#include "log/backup.h"

#include "log/backup_int.h"
#include "base/alloc.h"
#include "unit/log/backup.h"

static void a_running_log_is_copied_and_restored_and_goes_on(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    struct restored restored = {0};
    world_init(&w, 1);
    world_begin(&w);
    assert_code(world_open_sink(&w, "files"), OK);
    fsck_fill(&w, 30);
    backup_make(&w, &watch);
    assert_string_equal(watch.result.name, "20260301T064000Z");
    assert_true(watch.calls > 0 && watch.log_copied == 1 && watch.copied == 1);
    assert_true(watch.result.copied_bytes == watch.result.bytes);
    assert_int_equal(backup_kind(&w, "backups/20260301T064000Z/manifest"), IO_KIND_FILE);
    world_kill(&w);
    restore_make(&w, &restored, NULL, "restored");
    assert_string_equal(restored.result.name, "20260301T064000Z");
    assert_int_equal(restored.records, 120);
    assert_int_equal(restored.result.lsn, watch.result.lsn);
    assert_int_equal(backup_kind(&w, "restored.unfinished"), IO_KIND_NONE);
    restored_serves(&w, "restored", 120);
    world_done(&w);
}

/* Records come in all the time, files are sealed, used again; what was there when it began is in
 * it. */
static void what_comes_in_meanwhile_disturbs_nothing(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {.busy = true};
    struct restored restored = {0};
    world_init(&w, 2);
    world_begin(&w);
    fsck_fill(&w, 60);
    for (int i = 0; i < 4; i++) {
        watch.moment += 5000;
        backup_make(&w, &watch);
    }
    assert_int_equal(watch.copied, 4);
    assert_true(w.log->counters.recycled > 0);
    assert_int_equal(w.log->counters.refused_full, 0);
    world_kill(&w);
    restore_make(&w, &restored, "20260301T064005Z", "one");
    assert_true(restored.records >= 240);
    uint64_t first = restored.records;
    restore_make(&w, &restored, NULL, "four");
    assert_true(restored.records > first);
    uint64_t fourth = restored.records;
    restored_serves(&w, "one", first);
    restored_serves(&w, "four", fourth);
    world_done(&w);
}

static void the_next_one_copies_what_is_new_alone(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    struct restored restored = {0};
    world_init(&w, 3);
    world_begin(&w);
    fsck_fill(&w, 60);
    backup_make(&w, &watch);
    uint64_t whole = watch.result.bytes;
    assert_true(whole > 60 * 120000);
    watch.moment = 1000;
    backup_make(&w, &watch);
    assert_true(watch.result.copied_bytes < whole / 100);
    assert_true(watch.result.bytes >= whole / 2);
    fsck_fill(&w, 2);
    watch.moment = 2000;
    backup_make(&w, &watch);
    assert_true(watch.result.copied_bytes > 2 * 120000 && watch.result.copied_bytes < 3 * 120000);
    world_kill(&w);
    restore_make(&w, &restored, "20260301T064000Z", "one");
    assert_int_equal(restored.records, 240);
    restore_make(&w, &restored, "20260301T064002Z", "three");
    assert_int_equal(restored.records, 248);
    restored_serves(&w, "one", 240);
    restored_serves(&w, "three", 248);
    world_done(&w);
}

/* Frames behind the checkpoint belong to it: the directory of a server that died. */
static void a_directory_that_no_server_has_is_copied_to_its_last_frame(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct world w;
        struct backup_watch watch = {0};
        struct restored restored = {0};
        fsck_begin(&w, 4);
        if (clean) {
            world_open(&w);
            world_stop(&w);
        }
        backup_make(&w, &watch);
        restore_make(&w, &restored, NULL, "restored");
        assert_int_equal(restored.records, FSCK_RECORDS);
        restored_serves(&w, "restored", FSCK_RECORDS);
        /* What was backed up is as it was. */
        struct told told;
        told_clean(&w, &told);
        assert_int_equal(told.on_disk, FSCK_RECORDS);
        world_done(&w);
    }
}

static void after_a_fence_only_frames_that_count_are_copied(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    struct restored restored = {0};
    world_init(&w, 5);
    world_begin(&w);
    fsck_fill(&w, 10);
    world_settle(&w);
    w.sealer.closed = true;
    sim_disk_aim(w.disk, ".wal");
    sim_disk_fail_after(w.disk, 1, ERR_IO);
    assert_code(world_commit(&w, 1, 100), FENCED);
    world_settle(&w);
    sim_disk_aim(w.disk, NULL);
    assert_true(world_noted(&w, "log_healed"));
    fsck_fill(&w, 2);
    uint64_t received = w.log->state.topics[0]->received;
    world_settle(&w);
    world_kill(&w);
    w.sealer.held_count = 0;
    backup_make(&w, &watch);
    world_open(&w);
    watch.moment = 5000;
    backup_make(&w, &watch);
    world_kill(&w);
    restore_make(&w, &restored, NULL, "restored");
    assert_int_equal(restored.records, received);
    restored_serves(&w, "restored", received);
    restore_make(&w, &restored, "20260301T064000Z", "older");
    restored_serves(&w, "older", received);
    world_done(&w);
}

/* Where the last frame of the checkpoint lies. */
static void last_frame(struct world *w, uint64_t lsn, char path[static LOG_SEGMENT_PATH_MAX],
                       uint64_t *offset)
{
    struct log_checkpoint checkpoint = {0};
    struct log_state found;
    struct buf bytes = {0};
    log_state_init(&found, 1);
    assert_code(log_checkpoint_read(sim_disk_io(w->disk), "data", lsn, &bytes, NULL), OK);
    assert_code(log_checkpoint_decode(buf_slice(&bytes), &checkpoint, &found), OK);
    fsck_wal_path(checkpoint.last.file_number, path);
    *offset = (uint64_t)checkpoint.last.block * IO_BLOCK;
    log_state_done(&found);
    buf_done(&bytes);
}

enum damage { SEGMENT_FLIPPED, SEGMENT_CUT, SEGMENT_GONE, FRAME_FLIPPED, CHECKPOINT_FLIPPED };

static const char *harm(struct world *w, enum damage damage, uint64_t lsn)
{
    char path[LOG_SEGMENT_PATH_MAX];
    uint64_t offset = 300000;
    fsck_segment_path(w, 0, LOG_SEGMENT_LOG, path);
    switch (damage) {
    case SEGMENT_FLIPPED: fsck_flip(w, path, offset); return "0.log is damaged at byte ";
    case SEGMENT_CUT: fsck_truncate(w, path, offset); return "0.log is damaged at byte ";
    case SEGMENT_GONE: fsck_remove(w, path); return "0.log";
    case FRAME_FLIPPED:
        last_frame(w, lsn, path, &offset);
        fsck_flip(w, path, offset + 40);
        return "cannot be reached";
    case CHECKPOINT_FLIPPED:
    default:
        log_checkpoint_path("data", lsn, path);
        fsck_flip(w, path, 300);
        return ".ckpt is damaged";
    }
}

static void damage_is_named_and_no_backup_is_made(void **state)
{
    (void)state;
    for (enum damage damage = SEGMENT_FLIPPED; damage <= CHECKPOINT_FLIPPED; damage++) {
        struct world w;
        struct backup_watch watch = {.w = &w};
        world_init(&w, 6);
        world_begin(&w);
        fsck_fill(&w, 30);
        assert_code(held_ask(&w, &watch.held, FLOW_PIN_TAKE), OK);
        const char *part = harm(&w, damage, watch.held.pin.lsn);
        struct log_backup_options options = {.disk = sim_disk_io(w.disk),
                                             .data_directory = "data",
                                             .folder = "backups",
                                             .lsn = watch.held.pin.lsn,
                                             .now_ms = BACKUP_NOW};
        err_t err = log_backup(&options, &watch.result, &watch.why);
        assert_code(err, CORRUPT);
        if (!strstr(watch.why.text, part) || !strstr(watch.why.text, "garner fsck"))
            fail_msg("%s", watch.why.text);
        assert_int_equal(backup_kind(&w, "backups/20260301T064000Z"), IO_KIND_NONE);
        assert_int_equal(backup_kind(&w, "backups/20260301T064000Z.unfinished"), IO_KIND_NONE);
        world_kill(&w);
        if (damage == SEGMENT_FLIPPED) {
            options.lsn = 0;
            assert_code(log_backup(&options, &watch.result, &watch.why), CORRUPT);
            assert_non_null(strstr(watch.why.text, "data is damaged: topics/flights-"));
        }
        world_done(&w);
    }
}

/* The watcher stops it, or the pin is lost: there is no backup, and nothing is left of it. */
static void one_that_is_stopped_or_does_not_count_leaves_nothing(void **state)
{
    (void)state;
    for (uint64_t stop = 0; stop < 3; stop++) {
        struct world w;
        struct backup_watch watch = {.stop_after = stop};
        struct restored restored = {0};
        world_init(&w, 7);
        world_begin(&w);
        fsck_fill(&w, 30);
        if (stop == 0) {
            assert_code(held_ask(&w, &watch.held, FLOW_PIN_TAKE), OK);
            struct log_backup_options options = {.disk = sim_disk_io(w.disk),
                                                 .data_directory = "data",
                                                 .folder = "backups",
                                                 .lsn = watch.held.pin.lsn,
                                                 .now_ms = BACKUP_NOW,
                                                 .watcher = {&watch, NULL, NULL, watch_copied}};
            watch.w = &w;
            log_pin_break(w.log, "a test says so");
            assert_code(log_backup(&options, &watch.result, &watch.why), NOT_FOUND);
        } else {
            assert_code(backup_try(&w, &watch), CANCELLED);
        }
        assert_int_equal(backup_kind(&w, "backups/20260301T064000Z"), IO_KIND_NONE);
        assert_int_equal(backup_kind(&w, "backups/20260301T064000Z.unfinished"), IO_KIND_NONE);
        assert_int_equal(backup_kind(&w, "backups/data/00000000-0000-0000-0000-000000000000"),
                         IO_KIND_NONE);
        world_kill(&w);
        assert_code(restore_try(&w, &restored, NULL, "restored"), NO_FILE);
        assert_non_null(strstr(restored.why.text, "no backup that was finished"));
        world_done(&w);
    }
}

static err_t count_backup(void *context, const char *name, const struct log_manifest *manifest,
                          const char *why)
{
    uint64_t *count = context;
    assert_true(manifest && name[0] && !why[0]);
    ++*count;
    return err_ok();
}

/* The power fails at any change that the second backup makes: the first is whole, the next one
 * works, and clears away what was left. */
static void power_may_fail_anywhere_in_a_backup(void **state)
{
    (void)state;
    bool died = true;
    for (uint64_t n = 1; died; n += 1 + n / 6) {
        struct world w;
        struct backup_watch watch = {0};
        struct restored restored = {0};
        uint64_t count = 0;
        fsck_begin(&w, n);
        backup_make(&w, &watch);
        world_open(&w);
        fsck_fill(&w, 20);
        world_settle(&w);
        world_stop(&w);
        watch.moment = 5000;
        sim_disk_die_after(w.disk, n);
        err_t err = backup_try(&w, &watch);
        died = sim_disk_is_dead(w.disk);
        assert_true(died || err_is_ok(err));
        sim_disk_crash(w.disk);
        sim_disk_die_after(w.disk, 0);
        assert_code(log_backup_list(sim_disk_io(w.disk), "backups", count_backup, &count, NULL),
                    OK);
        assert_true(count == 1 || count == 2);
        restore_make(&w, &restored, "20260301T064000Z", "first");
        assert_int_equal(restored.records, FSCK_RECORDS);
        if (count == 2) {
            restore_make(&w, &restored, "20260301T064005Z", "second");
            assert_int_equal(restored.records, FSCK_RECORDS + 80);
        }
        watch.moment = 9000;
        backup_make(&w, &watch);
        restore_make(&w, &restored, NULL, "third");
        assert_int_equal(restored.records, FSCK_RECORDS + 80);
        restored_serves(&w, "third", FSCK_RECORDS + 80);
        world_done(&w);
    }
}

static void memory_may_be_short_anywhere_in_a_backup(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    struct restored restored = {0};
    fsck_begin(&w, 9);
    bool failed = true;
    for (uint64_t n = 1; failed; n += 1 + n / 3) {
        watch.moment += 1000;
        mem_fail_after(n);
        err_t err = backup_try(&w, &watch);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        if (!err_is_ok(err))
            assert_code(err, MEMORY);
    }
    restore_make(&w, &restored, NULL, "restored");
    assert_int_equal(restored.records, FSCK_RECORDS);
    world_done(&w);
}

static void a_full_disk_is_said_and_the_older_one_stays(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    struct restored restored = {0};
    fsck_begin(&w, 10);
    backup_make(&w, &watch);
    world_open(&w);
    fsck_fill(&w, 20);
    world_stop(&w);
    sim_disk_aim(w.disk, "backups/data");
    watch.moment = 5000;
    sim_disk_fail_after(w.disk, 8, ERR_NO_SPACE);
    assert_code(backup_try(&w, &watch), NO_SPACE);
    assert_non_null(strstr(watch.why.text, "backups/data"));
    sim_disk_aim(w.disk, NULL);
    restore_make(&w, &restored, NULL, "restored");
    assert_int_equal(restored.records, FSCK_RECORDS);
    world_done(&w);
}

static void one_at_a_time_writes_into_a_folder(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    struct io_file *lock;
    fsck_begin(&w, 11);
    assert_code(io_disk_make_path(sim_disk_io(w.disk), "backups", NULL), OK);
    assert_code(io_disk_open(sim_disk_io(w.disk), "backups/garner-backup.lock",
                             IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &lock, NULL),
                OK);
    assert_code(io_file_lock(lock), OK);
    assert_code(backup_try(&w, &watch), IN_USE);
    assert_non_null(strstr(watch.why.text, "another backup into backups"));
    assert_code(io_file_close(lock), OK);
    backup_make(&w, &watch);
    world_done(&w);
}

static void what_is_no_data_directory_or_another_one_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct backup_watch watch = {0};
    world_init(&w, 12);
    assert_code(backup_try(&w, &watch), NO_FILE);
    world_begin(&w);
    world_kill(&w);
    /* A log without a checkpoint is read from its beginning. */
    assert_code(backup_try(&w, &watch), NO_FILE);
    assert_non_null(strstr(watch.why.text, "start the server once"));
    world_open(&w);
    world_stop(&w);
    struct log_backup_options options = {.disk = sim_disk_io(w.disk),
                                         .data_directory = "data",
                                         .folder = "backups",
                                         .uuid = {{1}},
                                         .now_ms = BACKUP_NOW};
    assert_code(log_backup(&options, &watch.result, &watch.why), CORRUPT);
    assert_non_null(strstr(watch.why.text, "is it on this machine"));
    options.folder = "";
    assert_code(log_backup(&options, &watch.result, &watch.why), INVALID);
    world_done(&w);
}

/* As after a start that fell back to an older checkpoint and sealed otherwise. */
static void a_segment_that_does_not_go_on_is_copied_anew(void **state)
{
    (void)state;
    char path[LOG_SEGMENT_PATH_MAX];
    struct world w;
    struct backup_watch watch = {0};
    struct restored restored = {0};
    world_init(&w, 13);
    world_begin(&w);
    fsck_fill(&w, 30);
    backup_make(&w, &watch);
    uint64_t whole = watch.result.copied_bytes;
    char shared[LOG_SEGMENT_PATH_MAX];
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(&watch.result.uuid, uuid);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    int length = snprintf(shared, sizeof shared, "backups/data/%s/%s.%lld", uuid,
                          path + strlen("data/"), (long long)BACKUP_NOW);
    assert_true(length > 0 && (size_t)length < sizeof shared);
    struct io_file *file;
    uint64_t size = 0;
    assert_code(io_disk_open(sim_disk_io(w.disk), shared, IO_OPEN_READ, &file, NULL), OK);
    assert_code(io_file_size(file, &size), OK);
    assert_code(io_file_close(file), OK);
    fsck_flip(&w, shared, size - 10);
    watch.moment = 5000;
    backup_make(&w, &watch);
    assert_true(watch.result.copied_bytes > whole / 4 && watch.result.copied_bytes < whole);
    world_kill(&w);
    assert_code(restore_try(&w, &restored, "20260301T064000Z", "one"), CORRUPT);
    restore_make(&w, &restored, "20260301T064005Z", "two");
    assert_int_equal(restored.records, 120);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_log_is_copied_and_restored_and_goes_on),
        cmocka_unit_test(what_comes_in_meanwhile_disturbs_nothing),
        cmocka_unit_test(the_next_one_copies_what_is_new_alone),
        cmocka_unit_test(a_directory_that_no_server_has_is_copied_to_its_last_frame),
        cmocka_unit_test(after_a_fence_only_frames_that_count_are_copied),
        cmocka_unit_test(damage_is_named_and_no_backup_is_made),
        cmocka_unit_test(one_that_is_stopped_or_does_not_count_leaves_nothing),
        cmocka_unit_test(power_may_fail_anywhere_in_a_backup),
        cmocka_unit_test(memory_may_be_short_anywhere_in_a_backup),
        cmocka_unit_test(a_full_disk_is_said_and_the_older_one_stays),
        cmocka_unit_test(one_at_a_time_writes_into_a_folder),
        cmocka_unit_test(what_is_no_data_directory_or_another_one_is_refused),
        cmocka_unit_test(a_segment_that_does_not_go_on_is_copied_anew),
    };
    return cmocka_run_group_tests_name("log/backup", tests, NULL, NULL);
}
