#include "log/log.h"

#include "base/alloc.h"
#include "unit/log/world.h"

static void assert_says(const struct world *w, const char *text)
{
    if (!strstr(w->why.text, text))
        fail_msg("\"%s\" does not say \"%s\"", w->why.text, text);
}

static void a_new_directory_is_begun(void **state)
{
    (void)state;
    struct world w;
    struct log_meta meta;
    world_init(&w, 1);
    w.options.data_directory = "deep/down/data";
    world_open(&w);
    assert_int_equal(w.log->durable_lsn, 1);
    assert_int_equal(w.log->epoch, 1);
    assert_int_equal(w.log->wal.file_count, 1);
    assert_code(log_meta_read(w.options.disk, w.options.data_directory, &meta, NULL), OK);
    assert_true(meta.ready);
    assert_true(uuid_equal(&meta.uuid, &w.log->meta.uuid));
    assert_false(world_noted(&w, "log_recovered"));
    world_done(&w);
}

static void a_directory_keeps_its_uuid_and_what_it_holds(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    struct uuid uuid = w.log->meta.uuid;
    assert_code(world_commit(&w, 5, 10), OK);
    for (int round = 0; round < 3; round++) {
        world_stop(&w);
        world_open(&w);
        assert_true(uuid_equal(&w.log->meta.uuid, &uuid));
        assert_true(w.log->recovered.clean);
        assert_int_equal(world_end(&w, 1, 0), 5 + round);
        assert_code(world_commit(&w, 1, 10), OK);
    }
    assert_true(world_noted(&w, "log_recovered"));
    assert_int_equal(w.log->epoch, 1);
    world_done(&w);
}

static void two_directories_have_different_uuids(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_open(&w);
    struct uuid uuid = w.log->meta.uuid;
    world_kill(&w);
    w.options.data_directory = "other";
    world_open(&w);
    assert_false(uuid_equal(&w.log->meta.uuid, &uuid));
    world_done(&w);
}

static void a_second_server_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    struct log *first = w.log;
    w.log = NULL;
    assert_code(world_try_open(&w), IN_USE);
    assert_null(w.log);
    assert_says(&w, "data is in use by another garner server");
    w.log = first;
    assert_code(world_commit(&w, 1, 10), OK);
    world_stop(&w);
    world_open(&w);
    world_done(&w);
}

static void a_network_file_system_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    sim_disk_set(w.disk, &(struct sim_disk_options){.network = true});
    assert_code(world_try_open(&w), UNSUPPORTED);
    assert_says(&w, "network file system");
    world_done(&w);
}

static void a_disk_without_direct_transfers_is_used_and_reported(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    sim_disk_set(w.disk, &(struct sim_disk_options){.no_direct = true});
    world_begin(&w);
    assert_true(world_noted(&w, "log_no_direct_io"));
    assert_code(world_commit(&w, 5, 10), OK);
    world_lose_power(&w);
    world_open(&w);
    assert_int_equal(world_end(&w, 1, 0), 5);
    struct asked_read read;
    assert_code(world_read(&w, &read, 0, 1000), OK);
    assert_int_equal(read.read.batch_count, 1);
    world_release(&w, &read);
    world_done(&w);
}

/* The two files that a log begins with. */
static void remove_files(struct world *w)
{
    for (int i = 1; i <= 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "data/wal/%020d.wal", i);
        assert_code(io_disk_remove(w->options.disk, path, NULL), OK);
    }
}

static void a_log_that_has_vanished_is_not_begun_again(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    world_kill(&w);
    remove_files(&w);
    assert_code(world_try_open(&w), CORRUPT);
    assert_says(&w, "the log is gone");
    /* Nothing was made in its place. */
    assert_code(world_try_open(&w), CORRUPT);
    world_done(&w);
}

static void a_checkpoint_without_the_log_behind_it_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    world_stop(&w);
    remove_files(&w);
    assert_code(world_try_open(&w), CORRUPT);
    assert_says(&w, "log file 1 is missing, in which the log goes on behind checkpoint 4");
    assert_code(world_try_open(&w), CORRUPT);
    world_done(&w);
}

static void a_meta_of_another_directory_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    world_stop(&w);
    assert_code(io_disk_remove(w.options.disk, "data/garner.meta", NULL), OK);
    assert_code(world_try_open(&w), CORRUPT);
    assert_says(&w, "does not belong to this garner.meta");
    world_done(&w);
}

static void a_directory_of_a_newer_program_is_left_alone(void **state)
{
    (void)state;
    static const char text[] = "garner data directory\nformat 6\n"
                               "uuid 11111111-2222-4333-8444-555555555555\nstate ready\n";
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    world_stop(&w);
    assert_code(io_disk_write_file(w.options.disk, "data/garner.meta", slice_string(text), NULL),
                OK);
    assert_code(world_try_open(&w), VERSION);
    assert_says(&w, "newer");
    world_done(&w);
}

static void damage_is_refused_with_the_directory(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    for (int i = 0; i < 5; i++)
        assert_code(world_commit(&w, 1, 10), OK);
    world_kill(&w);
    assert_true(sim_disk_flip(w.disk, "data/wal/00000000000000000001.wal", 2 * IO_BLOCK + 120, 1));
    assert_code(world_try_open(&w), CORRUPT);
    assert_says(&w, "data_dir data: the log is damaged");
    assert_null(w.log);
    world_done(&w);
}

static void the_power_may_fail_anywhere_in_a_beginning(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    bool died = true;
    for (uint64_t n = 1; died; n++) {
        struct world w;
        world_init(&w, unit_random(&seed));
        sim_disk_die_after(w.disk, n);
        err_t err = world_try_open(&w);
        died = sim_disk_is_dead(w.disk);
        assert_true(died || err_is_ok(err));
        world_lose_power(&w);
        world_begin(&w);
        assert_code(world_commit(&w, 3, 10), OK);
        world_lose_power(&w);
        world_open(&w);
        assert_int_equal(world_end(&w, 1, 0), 3);
        world_done(&w);
    }
}

static void any_call_to_the_disk_may_fail_at_a_start(void **state)
{
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        bool more = true;
        for (uint64_t n = 1; more; n++) {
            struct world w;
            world_init(&w, n);
            if (begun) {
                world_begin(&w);
                assert_code(world_commit(&w, 4, 10), OK);
                world_stop(&w);
            }
            sim_disk_fail_after(w.disk, n, ERR_IO);
            err_t err = world_try_open(&w);
            more = sim_disk_call_count(w.disk) >= n;
            sim_disk_fail_after(w.disk, 0, ERR_OK);
            assert_string_equal(err_name(err), more ? "IO" : "OK");
            assert_int_equal(w.log == NULL, more);
            world_kill(&w);
            world_open(&w);
            if (begun)
                assert_int_equal(world_end(&w, 1, 0), 4);
            world_done(&w);
        }
    }
}

static void any_allocation_may_fail_at_a_start(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(world_commit(&w, 4, 10), OK);
    world_kill(&w);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        mem_fail_after(n);
        err_t err = world_try_open(&w);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        if (!failed)
            assert_code(err, OK);
        assert_false(err_is(err, ERR_CORRUPT));
        world_kill(&w);
    }
    world_open(&w);
    assert_int_equal(world_end(&w, 1, 0), 4);
    world_done(&w);
}

static void a_full_disk_refuses_the_start_until_there_is_room(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    sim_disk_set(w.disk, &(struct sim_disk_options){.capacity_bytes = 600u << 10});
    assert_code(world_try_open(&w), NO_SPACE);
    sim_disk_set(w.disk, &(struct sim_disk_options){0});
    world_begin(&w);
    assert_code(world_commit(&w, 1, 10), OK);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_directory_is_begun),
        cmocka_unit_test(a_directory_keeps_its_uuid_and_what_it_holds),
        cmocka_unit_test(two_directories_have_different_uuids),
        cmocka_unit_test(a_second_server_is_refused),
        cmocka_unit_test(a_network_file_system_is_refused),
        cmocka_unit_test(a_disk_without_direct_transfers_is_used_and_reported),
        cmocka_unit_test(a_log_that_has_vanished_is_not_begun_again),
        cmocka_unit_test(a_checkpoint_without_the_log_behind_it_is_refused),
        cmocka_unit_test(a_meta_of_another_directory_is_refused),
        cmocka_unit_test(a_directory_of_a_newer_program_is_left_alone),
        cmocka_unit_test(damage_is_refused_with_the_directory),
        cmocka_unit_test(the_power_may_fail_anywhere_in_a_beginning),
        cmocka_unit_test(any_call_to_the_disk_may_fail_at_a_start),
        cmocka_unit_test(any_allocation_may_fail_at_a_start),
        cmocka_unit_test(a_full_disk_refuses_the_start_until_there_is_room),
    };
    return cmocka_run_group_tests_name("log/log", tests, NULL, NULL);
}
