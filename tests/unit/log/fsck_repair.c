#include "base/alloc.h"
#include "log/fsck_int.h"
#include "unit/log/fsck.h"

/* One of each: a segment, an index, a frame, the newest checkpoint, garner.meta. */
static void harm(struct world *w)
{
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    fsck_begin(w, 1);
    told_clean(w, &told);
    fsck_segment_path(w, 0, LOG_SEGMENT_LOG, path);
    fsck_flip(w, path, 400000);
    fsck_segment_path(w, 0, LOG_SEGMENT_TIMES, path);
    fsck_remove(w, path);
    fsck_remove(w, "data/garner.meta");
    snprintf(path, sizeof path, "data/checkpoint/%020llu.ckpt",
             (unsigned long long)told.result.checkpoint_lsn);
    fsck_flip(w, path, 300);
}

static void repaired(struct world *w)
{
    struct told told;
    told_clean(w, &told);
    assert_true(told.balanced);
    assert_int_equal(told.on_disk, FSCK_RECORDS - 4);
    assert_int_equal(told.damaged, 4);
    fsck_serves(w, &told, FSCK_RECORDS / 2);
}

static void many_kinds_of_damage_are_repaired_at_once(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    harm(&w);
    told_run(&w, &told, "fsck-1");
    assert_true(told_has(&told, "meta_wrong") && told_has(&told, "checkpoint_damaged"));
    assert_true(told_has(&told, "segment_damaged"));
    assert_true(told.result.repaired);
    repaired(&w);
    world_done(&w);
}

static void what_is_changed_was_copied_aside_before(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[LOG_SEGMENT_PATH_MAX];
    char copy[2 * LOG_SEGMENT_PATH_MAX];
    struct buf before = {0};
    struct buf after = {0};
    fsck_begin(&w, 2);
    fsck_segment_path(&w, 0, LOG_SEGMENT_LOG, path);
    fsck_flip(&w, path, 400000);
    assert_code(io_disk_read_file(sim_disk_io(w.disk), path, 1 << 30, &before, NULL), OK);
    told_run(&w, &told, "fsck-1");
    const char *from = strstr(told.acts, ".from-byte-");
    assert_non_null(from);
    unsigned long long first = strtoull(from + 11, NULL, 10);
    assert_true(first > 0 && first <= 400000);
    snprintf(copy, sizeof copy, "data/fsck-1/%s.from-byte-%llu", path + 5, first);
    assert_code(io_disk_read_file(sim_disk_io(w.disk), copy, 1 << 30, &after, NULL), OK);
    assert_int_equal(after.size, before.size - first);
    assert_memory_equal(after.data, before.data + first, after.size);
    buf_done(&before);
    buf_done(&after);
    world_done(&w);
}

/* How many checkpoints are in `directory`. */
static size_t checkpoints_in(struct world *w, const char *directory)
{
    uint64_t lsns[8];
    size_t count = 0;
    assert_code(log_checkpoint_list(sim_disk_io(w->disk), directory, lsns, 8, &count, NULL), OK);
    return count;
}

static void the_checkpoints_before_it_are_all_kept_aside(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    harm(&w);
    size_t before = checkpoints_in(&w, "data");
    assert_int_equal(before, 2);
    told_run(&w, &told, "fsck-1");
    assert_int_equal(checkpoints_in(&w, "data"), 1);
    assert_int_equal(checkpoints_in(&w, "data/fsck-1"), before);
    world_done(&w);
}

static void without_damage_a_repair_writes_nothing(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    fsck_begin(&w, 3);
    uint64_t before = sim_disk_change_count(w.disk);
    told_run(&w, &told, "fsck-1");
    assert_int_equal(told.result.errors, 0);
    assert_string_equal(told.acts, "");
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    /* The lock's file is opened. */
    assert_true(sim_disk_change_count(w.disk) <= before + 1);
    world_done(&w);
}

static void a_check_changes_nothing_whatever_it_finds(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    harm(&w);
    uint64_t before = sim_disk_change_count(w.disk);
    told_run(&w, &told, NULL);
    assert_true(told.result.errors >= 4 && !told.result.repaired);
    assert_string_equal(told.acts, "");
    assert_int_equal(sim_disk_change_count(w.disk), before);
    world_done(&w);
}

static void a_repair_that_loses_power_anywhere_can_be_begun_again(void **state)
{
    (void)state;
    bool died = true;
    for (uint64_t n = 1; died; n++) {
        struct world w;
        struct told told;
        harm(&w);
        sim_disk_die_after(w.disk, n);
        err_t err = told_try(&w, &told, "fsck-1");
        died = sim_disk_is_dead(w.disk);
        assert_true(died || err_is_ok(err));
        sim_disk_crash(w.disk);
        sim_disk_die_after(w.disk, 0);
        told_run(&w, &told, "fsck-2");
        assert_true(told.result.errors == 0 || told.result.repaired);
        repaired(&w);
        world_done(&w);
    }
}

static void a_call_of_the_disk_that_fails_ends_it_or_is_got_over(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    harm(&w);
    told_run(&w, &told, NULL);
    sim_disk_fail_after(w.disk, 0, ERR_IO);
    told_run(&w, &told, "fsck-0");
    uint64_t calls = sim_disk_call_count(w.disk);
    world_done(&w);
    assert_true(calls > 50);
    for (uint64_t n = 1; n <= calls; n += 1 + n / 8) {
        harm(&w);
        sim_disk_fail_after(w.disk, n, ERR_IO);
        err_t err = told_try(&w, &told, "fsck-1");
        sim_disk_fail_after(w.disk, 0, ERR_IO);
        assert_true(err_is_ok(err) || err_is(err, ERR_IO) || err_is(err, ERR_CORRUPT));
        assert_true(err_is_ok(err) || told.why.text[0]);
        told_run(&w, &told, "fsck-2");
        assert_true(told.result.errors == 0 || told.result.repaired);
        told_clean(&w, &told);
        fsck_serves(&w, &told, FSCK_RECORDS / 2);
        world_done(&w);
    }
}

static void without_memory_it_says_so_and_can_be_begun_again(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    bool failed = true;
    for (uint64_t n = 1; failed; n += 1 + n / 4) {
        harm(&w);
        mem_fail_after(n);
        err_t err = told_try(&w, &told, "fsck-1");
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        told_run(&w, &told, "fsck-2");
        repaired(&w);
        world_done(&w);
    }
}

/* Ten letters: two redriven, one purged, of ten offsets. */
static void begin_letters(struct log_fsck *f, struct log_fsck_options *options)
{
    struct payload p = {0};
    *f = (struct log_fsck){.repair = true, .options = options};
    log_state_init(&f->state, 1);
    payload_topic(&p, 1, "flights", 1, 0);
    payload_topic(&p, 2, "flights.dlq", 1, 1);
    payload_batch_of(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 0, 10);
    payload_counts(&p, 1, 10, 0, 0);
    payload_settle(&p, FLOW_SETTLE_REDRIVEN, 2, 2, 4);
    payload_settle(&p, FLOW_SETTLE_PURGED, 2, 7, 8);
    assert_code(log_state_apply(&f->state, payload_slice(&p),
                                (struct log_position){.file_number = 1, .offset = 4096}),
                OK);
}

static void assert_balanced(const struct log_fsck *f, uint64_t held, uint64_t damaged)
{
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(&f->state, &snapshot), OK);
    assert_int_equal(snapshot.topics[1].dlq_held, held);
    assert_int_equal(snapshot.topics[1].dlq_damaged, damaged);
    assert_int_equal(snapshot.topics[1].dlq_redriven, 2);
    assert_int_equal(snapshot.topics[1].dlq_purged, 1);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

static void damage_counts_the_letters_that_were_held(void **state)
{
    (void)state;
    struct log_fsck_options options = {0};
    struct log_fsck f;
    begin_letters(&f, &options);
    assert_balanced(&f, 7, 0);
    /* Offsets 3 to 6 are gone, of which one was redriven: as the walk over the partition leaves it.
     */
    struct log_fsck_loss loss = {.topic_id = 2,
                                 .first_offset = 3,
                                 .end_offset = 7,
                                 .records = 4,
                                 .numbered = true,
                                 .number = 3};
    log_state_partition(&f.state, 2, 0)->records -= 4;
    f.losses = &loss;
    f.loss_count = 1;
    log_fsck_settle(&f);
    assert_balanced(&f, 4, 3);
    assert_int_equal(log_state_topic(&f.state, 2)->letters.lost, 1);
    log_state_done(&f.state);
}

/* Two ranges of letters are on their way to their sink, and offsets 5 and 6 are lost: one letter of
 * the second range, and all of the third. */
static void letters_on_their_way_that_are_lost_are_not_delivered(void **state)
{
    (void)state;
    static const uint32_t id = 1;
    struct log_fsck_options options = {0};
    struct log_fsck f;
    struct payload p = {0};
    struct flow_sink_range records = {1, 0, 0, 9, 3, 6};
    struct flow_sink_range letters[] = {{2, 0, 0, 2, 2, 0}, {2, 0, 4, 6, 2, 0}, {2, 0, 6, 7, 1, 0}};
    begin_letters(&f, &options);
    payload_batch(&p, 1, 0, 0, 9);
    payload_counts(&p, 1, 9, 0, 0);
    payload_sink_open(&p, 1, "lake", &id, 1);
    payload_sink_prepare(&p, 1, 1, &records, 1, "");
    payload_sink_commit(&p, 1, 1);
    payload_sink_redrive(&p, 1, 2, letters, 3);
    assert_code(log_state_apply(&f.state, payload_slice(&p),
                                (struct log_position){.file_number = 1, .offset = 8192}),
                OK);
    struct log_fsck_loss loss = {.topic_id = 2,
                                 .first_offset = 5,
                                 .end_offset = 7,
                                 .records = 2,
                                 .numbered = true,
                                 .number = 5};
    log_state_partition(&f.state, 2, 0)->records -= 2;
    f.losses = &loss;
    f.loss_count = 1;
    log_fsck_settle(&f);
    assert_balanced(&f, 5, 2);
    const struct log_sink *sink = log_state_sink(&f.state, 1);
    assert_int_equal(sink->ranges[0].delivered, 2);
    assert_int_equal(sink->ranges[1].delivered, 1);
    assert_int_equal(sink->ranges[2].delivered, 0);
    p.size = 0;
    payload_sink_commit(&p, 1, 2);
    assert_code(log_state_apply(&f.state, payload_slice(&p),
                                (struct log_position){.file_number = 1, .offset = 12288}),
                OK);
    assert_int_equal(sink->delivered, 3 + 3);
    assert_int_equal(sink->dead_lettered, 3);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(&f.state, &snapshot), OK);
    assert_int_equal(snapshot.topics[1].dlq_held, 2);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
    log_state_done(&f.state);
}

/* What the queue has no more, for whatever reason, cannot keep an epoch from its end. */
static void letters_that_fit_nothing_are_left_out(void **state)
{
    (void)state;
    static const uint32_t id = 1;
    struct log_fsck_options options = {0};
    struct log_fsck f;
    struct payload p = {0};
    struct flow_sink_range records = {1, 0, 0, 9, 3, 6};
    struct flow_sink_range letters = {2, 0, 4, 6, 2, 0};
    begin_letters(&f, &options);
    payload_batch(&p, 1, 0, 0, 9);
    payload_counts(&p, 1, 9, 0, 0);
    payload_sink_open(&p, 1, "lake", &id, 1);
    payload_sink_prepare(&p, 1, 1, &records, 1, "");
    payload_sink_commit(&p, 1, 1);
    payload_sink_redrive(&p, 1, 2, &letters, 1);
    assert_code(log_state_apply(&f.state, payload_slice(&p),
                                (struct log_position){.file_number = 1, .offset = 8192}),
                OK);
    log_state_sink(&f.state, 1)->ranges[0].first_offset = 3;
    log_fsck_settle(&f);
    assert_int_equal(log_state_sink(&f.state, 1)->ranges[0].delivered, 0);
    assert_balanced(&f, 7, 0);
    log_state_done(&f.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_counts_the_letters_that_were_held),
        cmocka_unit_test(letters_on_their_way_that_are_lost_are_not_delivered),
        cmocka_unit_test(letters_that_fit_nothing_are_left_out),
        cmocka_unit_test(many_kinds_of_damage_are_repaired_at_once),
        cmocka_unit_test(what_is_changed_was_copied_aside_before),
        cmocka_unit_test(the_checkpoints_before_it_are_all_kept_aside),
        cmocka_unit_test(without_damage_a_repair_writes_nothing),
        cmocka_unit_test(a_check_changes_nothing_whatever_it_finds),
        cmocka_unit_test(a_repair_that_loses_power_anywhere_can_be_begun_again),
        cmocka_unit_test(a_call_of_the_disk_that_fails_ends_it_or_is_got_over),
        cmocka_unit_test(without_memory_it_says_so_and_can_be_begun_again),
    };
    return cmocka_run_group_tests_name("log/fsck_repair", tests, NULL, NULL);
}
