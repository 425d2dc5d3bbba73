#include "log/log_int.h"

#include "base/alloc.h"
#include "unit/log/world.h"

static bool has_spare(void *context)
{
    const struct world *w = context;
    return w->log->wal.current + 1 < w->log->wal.file_count;
}

static void the_next_file_is_made_before_it_is_needed(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_int_equal(w.log->wal.file_count, 2);
    assert_int_equal(w.log->wal.current, 0);
    assert_false(log_maker_busy(w.log));
    for (int i = 0; i < 25; i++) {
        assert_code(world_commit(&w, 1, 100000), OK);
        world_settle(&w);
        assert_true(has_spare(&w));
    }
    assert_true(w.log->wal.current >= 2);
    world_done(&w);
}

static void no_more_files_are_made_than_the_limit_allows(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.options.wal_limit_bytes = UINT64_C(3) << 20;
    world_block_sealing(&w);
    world_begin(&w);
    while (err_is_ok(world_commit(&w, 1, 100000)))
        world_settle(&w);
    assert_int_equal(w.log->wal.file_count, 3);
    assert_int_equal(log_wal_bytes(&w.log->wal), UINT64_C(3) << 20);
    assert_false(log_maker_busy(w.log));
    assert_false(world_noted(&w, "log_file_not_made"));
    world_done(&w);
}

static bool holds_or_has_spare(void *context)
{
    const struct world *w = context;
    return w->maker.held_count > 0 || has_spare(context);
}

/* Lets the next job of the maker pass; false when the file is made. */
static bool pass_job(struct world *w)
{
    world_until(w, holds_or_has_spare, w);
    if (has_spare(w))
        return false;
    assert_true(log_maker_busy(w->log));
    gate_open(&w->maker);
    w->maker.closed = true;
    return true;
}

/* Files of 16 MiB, the second of which waits for its first job. */
static void begin_large(struct world *w)
{
    world_init(w, 1);
    w->options.wal_file_size = UINT64_C(16) << 20;
    w->options.wal_limit_bytes = UINT64_C(64) << 20;
    w->maker.closed = true;
    world_open(w);
    struct asked asked;
    asked_init(&asked, w);
    asked_topic(&asked, "flights", 1, 0);
    assert_code(asked_commit(&asked), OK);
}

static void a_file_that_nobody_waits_for_is_made_at_leisure(void **state)
{
    (void)state;
    struct world w;
    begin_large(&w);
    uint32_t jobs = 0;
    uint64_t begin_ns = io_now_ns(w.loop);
    while (pass_job(&w))
        jobs++;
    /* Its bytes, four megabytes a job, and then its name, with time for others between them. */
    assert_int_equal(jobs, 5);
    assert_true(io_now_ns(w.loop) - begin_ns >= 4 * 50 * IO_MS);
    world_done(&w);
}

static void a_file_that_a_commit_waits_for_is_made_at_once(void **state)
{
    (void)state;
    struct world w;
    struct asked asked[6];
    begin_large(&w);
    for (size_t i = 0; i < 6; i++) {
        asked_some(&asked[i], &w, 1, 3u << 20);
        asked_send(&asked[i]);
    }
    assert_code(asked_wait(&asked[4]), OK);
    world_deliver(&w);
    assert_false(asked[5].answered);
    while (pass_job(&w))
        assert_int_equal(w.log->maker.pace.heap_index, 0);
    assert_code(asked_wait(&asked[5]), OK);
    for (size_t i = 0; i < 6; i++)
        asked_done(&asked[i]);
    world_done(&w);
}

static bool has_failed(void *context)
{
    const struct log_maker *maker = &((const struct world *)context)->log->maker;
    return !maker->running && !err_is_ok(maker->error);
}

static void a_file_that_cannot_be_made_is_said_once_and_tried_again(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.maker.closed = true;
    world_open(&w);
    struct asked asked;
    asked_init(&asked, &w);
    asked_topic(&asked, "flights", 1, 0);
    assert_code(asked_commit(&asked), OK);
    sim_disk_set(w.disk, &(struct sim_disk_options){.write_failures_ppm = 1000000});
    gate_open(&w.maker);
    world_deliver(&w);
    world_deliver(&w);
    const char *first = strstr(w.events, "log_file_not_made");
    assert_non_null(first);
    assert_null(strstr(first + 1, "log_file_not_made"));
    world_until(&w, has_failed, &w);
    assert_code(w.log->maker.error, IO);
    sim_disk_set(w.disk, &(struct sim_disk_options){0});
    world_until(&w, has_spare, &w);
    assert_code(w.log->maker.error, OK);
    assert_false(w.log->maker.reported);
    world_done(&w);
}

/* A file whose name is there but whose last step failed is made once more. */
static void any_call_to_the_disk_may_fail(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct world w;
        world_init(&w, n);
        w.maker.closed = true;
        world_open(&w);
        struct asked asked;
        asked_init(&asked, &w);
        asked_topic(&asked, "flights", 1, 0);
        assert_code(asked_commit(&asked), OK);
        sim_disk_fail_after(w.disk, n, ERR_IO);
        gate_open(&w.maker);
        world_until(&w, has_spare, &w);
        failed = world_noted(&w, "log_file_not_made");
        sim_disk_fail_after(w.disk, 0, ERR_OK);
        for (int i = 0; i < 12; i++)
            assert_code(world_commit(&w, 1, 100000), OK);
        world_lose_power(&w);
        world_open(&w);
        assert_int_equal(world_end(&w, 1, 0), 12);
        world_done(&w);
    }
}

static void a_failed_allocation_is_tried_again(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_open(&w);
    assert_false(has_spare(&w));
    mem_fail_after(1);
    log_maker_kick(w.log);
    mem_fail_after(0);
    assert_false(log_maker_busy(w.log));
    assert_code(w.log->maker.error, MEMORY);
    log_maker_kick(w.log);
    assert_false(log_maker_busy(w.log));
    world_until(&w, has_spare, &w);
    assert_code(w.log->maker.error, OK);
    world_done(&w);
}

static void a_stop_does_not_wait_for_a_file_that_nobody_needs(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.maker.closed = true;
    w.options.wal_file_size = UINT64_C(16) << 20;
    w.options.wal_limit_bytes = UINT64_C(64) << 20;
    world_open(&w);
    log_maker_kick(w.log);
    world_send_stop(&w);
    world_deliver(&w);
    assert_false(w.is_stopped);
    gate_open(&w.maker);
    world_until(&w, world_is_set, &w.is_stopped);
    assert_int_equal(w.log->wal.file_count, 1);
    log_free(&w.log);
    /* Nothing of it is left. */
    enum io_kind kind = IO_KIND_OTHER;
    const char *path = "data/wal/00000000000000000002.wal.making";
    assert_code(io_disk_kind(w.options.disk, path, &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_NONE);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_file_is_made_before_it_is_needed),
        cmocka_unit_test(no_more_files_are_made_than_the_limit_allows),
        cmocka_unit_test(a_file_that_nobody_waits_for_is_made_at_leisure),
        cmocka_unit_test(a_file_that_a_commit_waits_for_is_made_at_once),
        cmocka_unit_test(a_file_that_cannot_be_made_is_said_once_and_tried_again),
        cmocka_unit_test(any_call_to_the_disk_may_fail),
        cmocka_unit_test(a_failed_allocation_is_tried_again),
        cmocka_unit_test(a_stop_does_not_wait_for_a_file_that_nobody_needs),
    };
    return cmocka_run_group_tests_name("log/maker", tests, NULL, NULL);
}
