#include "log/sealer.h"

#include "unit/log/keys.h"

struct listing {
    uint32_t raw;
    uint32_t sorted;
    uint32_t others;
};

static int list_name(void *context, const char *name, enum io_kind kind)
{
    struct listing *listing = context;
    assert_int_equal(kind, IO_KIND_FILE);
    if (slice_ends_with(slice_string(name), SLICE_LITERAL(".new")))
        listing->raw++;
    else if (slice_ends_with(slice_string(name), SLICE_LITERAL(".sorted")))
        listing->sorted++;
    else
        listing->others++;
    return 0;
}

static struct listing files(struct world *w)
{
    char directory[LOG_SEGMENT_PATH_MAX];
    char path[LOG_SEGMENT_PATH_MAX + 8];
    struct listing listing = {0};
    enum io_kind kind;
    log_state_topic_directory(keyed_topic(w), "data", directory);
    snprintf(path, sizeof path, "%s/keys", directory);
    assert_code(io_disk_kind(w->options.disk, path, &kind, NULL), OK);
    if (kind == IO_KIND_DIRECTORY)
        assert_code(io_disk_list(w->options.disk, path, list_name, &listing, NULL), OK);
    return listing;
}

static void begin(struct world *w, uint64_t seed, uint64_t window_ms)
{
    world_init(w, seed);
    world_begin(w);
    assert_code(keys_configure(w, window_ms, UINT64_C(100) << 10), OK);
}

/* A life that ends with a checkpoint. */
static void stop_and_start(struct world *w)
{
    world_stop(w);
    world_open(w);
}

static void a_closed_bucket_becomes_a_file_and_its_table_goes(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1, 3600000);
    assert_int_equal(keyed_run(&w, 1, 8000), 0);
    world_until(&w, keys_are_sorted, &w);
    assert_int_equal(files(&w).sorted, keys_sorted_count(&w));
    assert_int_equal(
        w.log->sealer.sorted_keys_total,
        8000 - keyed_topic(&w)->keys->buckets[keyed_topic(&w)->keys->count - 1]->table.count);
    world_done(&w);
}

static void a_file_stays_until_no_checkpoint_names_it(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2, 3600000);
    assert_int_equal(keyed_run(&w, 1, 1000), 0);
    stop_and_start(&w);
    assert_int_equal(files(&w).raw, 1);
    assert_int_equal(keyed_run(&w, 1001, 4000), 0);
    world_until(&w, keys_are_sorted, &w);
    assert_true(keys_sorted_count(&w) > 0);
    /* The checkpoint that is there names the first bucket's own file. */
    assert_int_equal(w.log->state.doomed_keys_count, 1);
    assert_int_equal(files(&w).raw, 1);
    stop_and_start(&w);
    assert_int_equal(keyed_run(&w, 5001, 10), 0);
    /* The one before the newest names it. */
    assert_true(w.log->state.doomed_keys_count > 0);
    assert_int_equal(files(&w).raw, 2);
    stop_and_start(&w);
    assert_int_equal(keyed_run(&w, 5011, 10), 0);
    stop_and_start(&w);
    assert_int_equal(keyed_run(&w, 5021, 10), 0);
    world_until(&w, keys_are_sorted, &w);
    assert_int_equal(w.log->state.doomed_keys_count, 0);
    assert_int_equal(files(&w).raw, 1);
    assert_int_equal(keyed_run(&w, 1, 5030), 5030);
    world_done(&w);
}

static void only_checkpoints_of_other_frames_that_are_durable_make_a_file_older(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2, 3600000);
    assert_int_equal(keyed_run(&w, 1, 1000), 0);
    stop_and_start(&w);
    assert_int_equal(keyed_run(&w, 1001, 4000), 0);
    world_until(&w, keys_are_sorted, &w);
    assert_int_equal(w.log->state.doomed_keys_count, 1);
    const struct log_doomed_keys *doomed = &w.log->state.doomed_keys[0];
    struct log_sealer *sealer = &w.log->sealer;
    assert_int_equal(doomed->age, 0);
    /* The first that does not name it, then one in its place, then the next. */
    static const struct {
        bool another;
        uint32_t age;
    } checkpoints[] = {{false, 1}, {false, 1}, {true, 2}};
    for (size_t i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++) {
        uint32_t before = doomed->age;
        uint64_t saved_lsn = sealer->saved_lsn;
        sealer->saved_lsn = w.log->last.lsn - checkpoints[i].another;
        log_sealer_keys_age(w.log);
        assert_int_equal(doomed->age, before);
        sealer->phase = LOG_SEALER_SAVING;
        log_sealer_keys_saved(w.log);
        sealer->phase = LOG_SEALER_IDLE;
        sealer->saved_lsn = saved_lsn;
        assert_int_equal(doomed->age, checkpoints[i].age);
    }
    assert_int_equal(doomed->age, LOG_CHECKPOINTS_KEPT);
    world_done(&w);
}

static void keys_that_are_past_go_with_their_files(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 3, 20000);
    assert_int_equal(keyed_run(&w, 1, 20000), 0);
    world_until(&w, keys_are_sorted, &w);
    uint32_t sorted = files(&w).sorted;
    assert_true(sorted > 1);
    for (int i = 0; i < 4; i++) {
        keys_pass_time(&w, 40 * IO_SECOND);
        stop_and_start(&w);
        assert_int_equal(keyed_run(&w, 10000 + (uint64_t)i, 1), 0);
    }
    keys_pass_time(&w, 10 * IO_SECOND);
    assert_true(files(&w).sorted <= keys_sorted_count(&w) + w.log->state.doomed_keys_count);
    assert_true(files(&w).sorted < sorted);
    assert_true(keyed_topic(&w)->keys->count <= 2);
    assert_int_equal(keyed_run(&w, 1, 100), 0);
    world_done(&w);
}

static void a_bucket_that_cannot_be_written_stays_a_table(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 4, 3600000);
    world_block_sealing(&w);
    assert_int_equal(keyed_run(&w, 1, 7000), 0);
    keys_pass_time(&w, IO_SECOND);
    assert_true(world_noted(&w, "log_seal_failed"));
    assert_int_equal(keys_sorted_count(&w), 0);
    assert_int_equal(keyed_run(&w, 1, 7000), 7000);
    world_unblock_sealing(&w);
    keys_pass_time(&w, 20 * IO_SECOND);
    assert_true(world_noted(&w, "log_seal_works"));
    assert_true(keys_sorted_count(&w) > 0);
    assert_int_equal(keyed_run(&w, 1, 10), 10);
    world_done(&w);
}

static void a_topic_that_goes_while_its_keys_are_sorted_takes_them_along(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 5, 3600000);
    w.sealer.closed = true;
    assert_int_equal(keyed_run(&w, 1, 7000), 0);
    world_deliver(&w);
    assert_int_equal(w.log->sealer.phase, LOG_SEALER_SORTING);
    assert_code(keys_configure(&w, 0, 0), OK);
    gate_open(&w.sealer);
    keys_pass_time(&w, IO_SECOND);
    assert_null(keyed_topic(&w)->keys);
    for (int i = 0; i < 4; i++) {
        stop_and_start(&w);
        assert_code(world_commit(&w, 1, 10), OK);
    }
    struct listing left = files(&w);
    assert_int_equal(left.raw + left.sorted + left.others, 0);
    world_done(&w);
}

static void a_crash_leaves_nothing_over(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 6, 3600000);
    assert_int_equal(keyed_run(&w, 1, 6000), 0);
    world_until(&w, keys_are_sorted, &w);
    /* Sorted, and in no checkpoint. */
    assert_true(files(&w).sorted > 0);
    world_lose_power(&w);
    world_open(&w);
    struct listing left = files(&w);
    assert_int_equal(left.raw + left.sorted + left.others, 0);
    assert_int_equal(keyed_run(&w, 1, 6000), 6000);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_bucket_becomes_a_file_and_its_table_goes),
        cmocka_unit_test(a_file_stays_until_no_checkpoint_names_it),
        cmocka_unit_test(only_checkpoints_of_other_frames_that_are_durable_make_a_file_older),
        cmocka_unit_test(keys_that_are_past_go_with_their_files),
        cmocka_unit_test(a_bucket_that_cannot_be_written_stays_a_table),
        cmocka_unit_test(a_topic_that_goes_while_its_keys_are_sorted_takes_them_along),
        cmocka_unit_test(a_crash_leaves_nothing_over),
    };
    return cmocka_run_group_tests_name("log/sealer_keys", tests, NULL, NULL);
}
