#include "log/log_int.h"

#include "base/alloc.h"
#include "unit/log/world.h"

/* Three commits, the first of which is being flushed while the others arrive. */
struct burst {
    struct world f;
    struct asked asked[3];
};

static void burst_init(struct burst *b, uint64_t seed)
{
    world_init(&b->f, seed);
    world_begin(&b->f);
    b->f.flusher.closed = true;
    for (uint32_t i = 0; i < 3; i++) {
        asked_some(&b->asked[i], &b->f, i + 1, 100);
        asked_send(&b->asked[i]);
        if (i == 0)
            world_until(&b->f, world_has_flushing, &b->f);
    }
    world_deliver(&b->f);
}

static void burst_done(struct burst *b)
{
    for (size_t i = 0; i < 3; i++)
        asked_done(&b->asked[i]);
    world_done(&b->f);
}

static void what_was_acknowledged_survives_the_power(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world f;
        world_init(&f, seed);
        world_begin(&f);
        for (int i = 0; i < 5; i++)
            assert_code(world_commit(&f, 3, 100), OK);
        world_lose_power(&f);
        world_open(&f);
        assert_int_equal(world_end(&f, 1, 0), 15);
        assert_int_equal(log_state_topic(&f.log->state, 1)->received, 15);
        world_done(&f);
    }
}

static void what_comes_during_a_flush_shares_the_next_frame(void **state)
{
    (void)state;
    struct burst b;
    burst_init(&b, 1);
    uint64_t frames = b.f.log->counters.frames;
    assert_int_equal(b.f.answers, 2); /* the topics' */
    assert_non_null(b.f.log->open);
    assert_true(list_empty(&b.f.log->queue));
    gate_open(&b.f.flusher);
    for (size_t i = 0; i < 3; i++) {
        assert_code(asked_wait(&b.asked[i]), OK);
        assert_int_equal(b.asked[i].order, i + 3);
    }
    assert_int_equal(b.f.log->counters.frames, frames + 2);
    assert_int_equal(b.asked[0].appends[0].base_offset, 0);
    assert_int_equal(b.asked[1].appends[0].base_offset, 1);
    assert_int_equal(b.asked[2].appends[0].base_offset, 3);
    assert_int_equal(world_end(&b.f, 1, 0), 6);
    burst_done(&b);
}

static void nothing_is_seen_before_it_is_durable(void **state)
{
    (void)state;
    struct burst b;
    burst_init(&b, 1);
    assert_int_equal(world_end(&b.f, 1, 0), 0);
    assert_int_equal(log_state_partition(&b.f.log->state, 1, 0)->next_offset, 6);
    assert_int_equal(log_state_topic(&b.f.log->state, 1)->received, 0);
    burst_done(&b);
}

static void a_large_commit_is_alone_in_its_frame(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 100, 5u << 20, 5000};
    struct world f;
    world_init(&f, 1);
    f.options.wal_file_size = UINT64_C(16) << 20;
    f.options.wal_limit_bytes = UINT64_C(64) << 20;
    world_begin(&f);
    uint64_t frames = f.log->counters.frames;
    struct asked asked[4];
    f.flusher.closed = true;
    for (size_t i = 0; i < 4; i++) {
        asked_some(&asked[i], &f, 1, sizes[i]);
        asked_send(&asked[i]);
        if (i == 0)
            world_until(&f, world_has_flushing, &f);
    }
    gate_open(&f.flusher);
    for (size_t i = 0; i < 4; i++) {
        assert_code(asked_wait(&asked[i]), OK);
        assert_int_equal(asked[i].appends[0].base_offset, i);
        asked_done(&asked[i]);
    }
    assert_int_equal(f.log->counters.frames, frames + 4);
    struct asked_read read;
    assert_code(world_read(&f, &read, 2, 1), OK);
    assert_true(read.read.batches[0].size > 5u << 20);
    assert_int_equal(f.log->counters.reads_disk, 1);
    world_release(&f, &read);
    world_done(&f);
}

/* Each has memory of its own: the second is composed when there is room for it. */
static void large_frames_take_no_more_than_their_memory(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    f.options.wal_file_size = UINT64_C(16) << 20;
    f.options.wal_limit_bytes = UINT64_C(64) << 20;
    f.options.large_bytes = UINT64_C(8) << 20;
    world_begin(&f);
    struct asked asked[3];
    f.flusher.closed = true;
    for (size_t i = 0; i < 3; i++) {
        asked_some(&asked[i], &f, 1, 5u << 20);
        asked_send(&asked[i]);
        if (i == 0)
            world_until(&f, world_has_flushing, &f);
    }
    assert_non_null(f.log->flushing->own);
    assert_null(f.log->open);
    gate_open(&f.flusher);
    for (size_t i = 0; i < 3; i++) {
        assert_code(asked_wait(&asked[i]), OK);
        assert_int_equal(asked[i].appends[0].base_offset, i);
        asked_done(&asked[i]);
    }
    world_done(&f);
}

static void a_commit_larger_than_a_file_is_refused(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    world_begin(&f);
    assert_code(world_commit(&f, 1, 1u << 20), TOO_LARGE);
    assert_code(world_commit(&f, 1, 700u << 10), OK);
    assert_int_equal(world_end(&f, 1, 0), 1);
    world_done(&f);
}

/* Commits until that is refused; how many went through. */
static uint32_t fill(struct world *f, err_t *refused)
{
    uint32_t count = 0;
    while (err_is_ok(*refused = world_commit(f, 1, 100000)))
        assert_true(++count < 1000);
    return count;
}

static void a_full_log_refuses_records_but_serves_its_sinks(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    f.options.wal_limit_bytes = UINT64_C(3) << 20;
    world_block_sealing(&f);
    world_begin(&f);
    assert_code(world_open_sink(&f, "lake"), OK);
    err_t refused;
    uint32_t count = fill(&f, &refused);
    assert_code(refused, LOG_FULL);
    assert_true(count >= 20 && count <= 30);
    assert_int_equal(f.log->counters.refused_full, 1);
    assert_int_equal(world_end(&f, 1, 0), count);
    assert_int_equal(log_state_partition(&f.log->state, 1, 0)->next_offset, count);
    for (uint64_t epoch = 1; epoch <= 10; epoch++) {
        int64_t first = (int64_t)epoch - 1;
        struct flow_sink_range range = {1, 0, first, first + 1, 1, 0};
        struct flow_sink_change change = {.op = FLOW_SINK_PREPARE,
                                          .sink_id = 1,
                                          .epoch = epoch,
                                          .ranges = &range,
                                          .range_count = 1};
        assert_code(world_change_sink(&f, &change), OK);
        change = (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = epoch};
        assert_code(world_change_sink(&f, &change), OK);
    }
    assert_code(world_commit(&f, 1, 100000), LOG_FULL);
    world_stop(&f);
    world_open(&f);
    assert_true(f.log->recovered.clean);
    assert_int_equal(world_end(&f, 1, 0), count);
    assert_int_equal(log_state_sink(&f.log->state, 1)->cursors[0].offset, 10);
    world_done(&f);
}

static void commits_wait_for_the_file_that_is_being_made(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    world_open(&f);
    f.maker.closed = true;
    struct asked topic;
    asked_init(&topic, &f);
    asked_topic(&topic, "flights", 1, 0);
    assert_code(asked_commit(&topic), OK);
    assert_int_equal(f.log->wal.file_count, 1);
    struct asked asked[20];
    for (size_t i = 0; i < 20; i++) {
        asked_some(&asked[i], &f, 1, 100000);
        asked_send(&asked[i]);
    }
    world_deliver(&f);
    assert_true(asked[5].answered);
    assert_false(asked[12].answered);
    assert_false(list_empty(&f.log->queue));
    gate_open(&f.maker);
    for (size_t i = 0; i < 20; i++) {
        assert_code(asked_wait(&asked[i]), OK);
        asked_done(&asked[i]);
    }
    assert_int_equal(f.log->queue_bytes, 0);
    world_done(&f);
}

static void a_disk_without_space_refuses_and_heals_by_itself(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    sim_disk_set(f.disk, &(struct sim_disk_options){.capacity_bytes = 2500u << 10});
    world_begin(&f);
    err_t refused;
    uint32_t count = fill(&f, &refused);
    assert_code(refused, NO_SPACE);
    assert_true(count > 10);
    assert_true(world_noted(&f, "log_file_not_made"));
    struct asked_read read;
    assert_code(world_read(&f, &read, 0, 1), OK);
    world_release(&f, &read);

    sim_disk_set(f.disk, &(struct sim_disk_options){0});
    world_until(&f, world_is_idle, &f);
    for (int i = 0; i < 100 && f.log->wal.current + 1 == f.log->wal.file_count; i++)
        world_deliver(&f);
    assert_code(world_commit(&f, 1, 100000), OK);
    assert_int_equal(world_end(&f, 1, 0), count + 1);
    assert_int_equal(f.log->counters.fences, 0);
    world_done(&f);
}

static void a_full_index_refuses_records_alone(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    f.options.index_bytes = 16 * sizeof(struct log_index_entry);
    world_begin(&f);
    int count = 0;
    while (err_is_ok(world_commit(&f, 1, 10)))
        assert_true(++count < 100);
    assert_int_equal(count, 9);
    assert_code(world_commit(&f, 1, 10), LOG_FULL);
    assert_code(world_open_sink(&f, "lake"), OK);
    world_done(&f);
}

/* The first call of the flush that waits is the write, the second the sync. */
static void fence_burst(struct burst *b, uint64_t call)
{
    sim_disk_fail_after(b->f.disk, call, ERR_IO);
    gate_open(&b->f.flusher);
    for (size_t i = 0; i < 3; i++)
        assert_code(asked_wait(&b->asked[i]), FENCED);
}

static void a_failed_flush_answers_all_that_is_under_way(void **state)
{
    (void)state;
    for (uint64_t call = 1; call <= 2; call++) {
        struct burst b;
        burst_init(&b, call);
        fence_burst(&b, call);
        assert_int_equal(b.f.log->mode, LOG_FENCED);
        assert_int_equal(b.f.log->counters.fences, 1);
        assert_int_equal(b.f.log->queue_bytes, 0);
        assert_int_equal(log_state_partition(&b.f.log->state, 1, 0)->next_offset, 0);
        assert_true(world_noted(&b.f, "log_fenced"));
        assert_code(world_commit(&b.f, 1, 10), BUSY);
        burst_done(&b);
    }
}

static void a_fenced_log_goes_on_with_the_next_epoch_in_another_file(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct burst b;
        burst_init(&b, seed);
        uint64_t file = b.f.log->wal.files[b.f.log->wal.current].number;
        uint64_t lsn = b.f.log->durable_lsn;
        fence_burst(&b, 1 + seed % 2);
        world_settle(&b.f);
        assert_int_equal(b.f.log->epoch, 2);
        assert_int_equal(b.f.log->wal.files[b.f.log->wal.current].number, file + 1);
        assert_int_equal(b.f.log->durable_lsn, lsn + 1);
        assert_true(world_noted(&b.f, "log_healed"));
        assert_code(world_commit(&b.f, 4, 10), OK);
        assert_int_equal(world_end(&b.f, 1, 0), 4);
        /* Whatever of the failed frame has reached the disk does not count. */
        world_lose_power(&b.f);
        world_open(&b.f);
        assert_int_equal(world_end(&b.f, 1, 0), 4);
        assert_int_equal(log_state_topic(&b.f.log->state, 1)->received, 4);
        assert_int_equal(b.f.log->epoch, 2);
        burst_done(&b);
    }
}

static void a_log_that_fails_again_while_it_heals_tries_again(void **state)
{
    (void)state;
    struct burst b;
    burst_init(&b, 3);
    sim_disk_set(b.f.disk, &(struct sim_disk_options){.write_failures_ppm = 1000000});
    gate_open(&b.f.flusher);
    for (size_t i = 0; i < 3; i++)
        assert_code(asked_wait(&b.asked[i]), FENCED);
    for (int i = 0; i < 100 && b.f.log->counters.fences < 5; i++)
        world_deliver(&b.f);
    assert_true(b.f.log->counters.fences >= 5);
    assert_int_equal(b.f.log->mode, LOG_FENCED);
    sim_disk_set(b.f.disk, &(struct sim_disk_options){0});
    world_settle(&b.f);
    assert_code(world_commit(&b.f, 2, 10), OK);
    assert_int_equal(b.f.log->epoch, 1 + b.f.log->counters.fences);
    world_lose_power(&b.f);
    world_open(&b.f);
    assert_int_equal(world_end(&b.f, 1, 0), 2);
    burst_done(&b);
}

static void a_fenced_log_without_a_spare_waits_for_one(void **state)
{
    (void)state;
    struct world f;
    struct asked asked;
    world_init(&f, 1);
    world_open(&f);
    f.maker.closed = true;
    asked_init(&asked, &f);
    asked_topic(&asked, "flights", 1, 0);
    assert_code(asked_commit(&asked), OK);
    sim_disk_fail_after(f.disk, 1, ERR_IO);
    assert_code(world_commit(&f, 1, 10), FENCED);
    world_deliver(&f);
    assert_int_equal(f.log->mode, LOG_FENCED);
    assert_int_equal(f.log->wal.file_count, 1);
    gate_open(&f.maker);
    world_settle(&f);
    assert_code(world_commit(&f, 1, 10), OK);
    world_done(&f);
}

static void a_fenced_log_still_serves_its_readers(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    world_begin(&f);
    assert_code(world_commit(&f, 5, 10), OK);
    sim_disk_fail_after(f.disk, 1, ERR_IO);
    assert_code(world_commit(&f, 1, 10), FENCED);
    assert_int_equal(f.log->mode, LOG_FENCED);
    struct asked_read read;
    assert_code(world_read(&f, &read, 0, 1000), OK);
    assert_int_equal(read.read.batch_count, 1);
    assert_int_equal(read.read.end_offset, 5);
    world_release(&f, &read);
    world_done(&f);
}

/* More than passes while mail is delivered. */
#define LONG_MS (UINT64_C(24) * 3600 * 1000)

/* A log that answers early, within 2,000 bytes and `delay_ms`, one of whose flushes is held up. */
static void begin_early(struct world *f, uint64_t delay_ms)
{
    world_init(f, 1);
    f->options.early_answers = true;
    f->options.early_bytes = 2000;
    f->options.early_delay_ms = delay_ms;
    world_begin(f);
    f->flusher.closed = true;
}

static void early_answers_stay_within_their_bytes(void **state)
{
    (void)state;
    struct world f;
    struct asked asked[8];
    begin_early(&f, LONG_MS);
    uint32_t early = 0;
    for (size_t i = 0; i < 8; i++) {
        asked_some(&asked[i], &f, 1, 400);
        asked_send(&asked[i]);
        world_deliver(&f);
        if (asked[i].answered) {
            assert_int_equal(early, i);
            assert_code(asked[i].commit.error, OK);
            early++;
        }
    }
    assert_int_equal(early, 3);
    assert_int_equal(f.log->counters.early_answers, 3);
    assert_int_equal(world_end(&f, 1, 0), 0);
    gate_open(&f.flusher);
    for (size_t i = 0; i < 8; i++) {
        assert_code(asked_wait(&asked[i]), OK);
        asked_done(&asked[i]);
    }
    world_done(&f);
}

static void set_flag(struct io_timer *timer)
{
    timer->run = NULL;
}

static bool timer_ran(void *context)
{
    return ((const struct io_timer *)context)->run == NULL;
}

static void early_answers_stay_within_their_time(void **state)
{
    (void)state;
    struct world f;
    struct asked asked[2];
    begin_early(&f, 50);
    asked_some(&asked[0], &f, 1, 10);
    assert_code(asked_commit(&asked[0]), OK);
    struct io_timer timer = {.run = set_flag};
    io_timer_start(f.loop, &timer, 60 * IO_MS);
    world_until(&f, timer_ran, &timer);
    asked_some(&asked[1], &f, 1, 10);
    asked_send(&asked[1]);
    world_deliver(&f);
    assert_false(asked[1].answered);
    gate_open(&f.flusher);
    assert_code(asked_wait(&asked[1]), OK);
    asked_done(&asked[0]);
    asked_done(&asked[1]);
    world_done(&f);
}

static void early_answers_that_were_lost_are_counted(void **state)
{
    (void)state;
    struct world f;
    struct asked asked[3];
    begin_early(&f, LONG_MS);
    for (size_t i = 0; i < 3; i++) {
        asked_some(&asked[i], &f, 1, 10);
        assert_code(asked_commit(&asked[i]), OK);
        asked_done(&asked[i]);
    }
    sim_disk_fail_after(f.disk, 1, ERR_IO);
    gate_open(&f.flusher);
    world_settle(&f);
    assert_int_equal(f.log->counters.fences, 1);
    assert_int_equal(f.log->counters.early_answers_lost, 3);
    world_done(&f);
}

static void changes_of_topics_are_never_answered_early(void **state)
{
    (void)state;
    struct world f;
    struct asked asked;
    begin_early(&f, LONG_MS);
    asked_init(&asked, &f);
    asked_topic(&asked, "late", 1, 0);
    asked_send(&asked);
    world_deliver(&f);
    assert_false(asked.answered);
    gate_open(&f.flusher);
    assert_code(asked_wait(&asked), OK);
    world_done(&f);
}

static void changes_of_topics_go_one_after_the_other(void **state)
{
    (void)state;
    struct world f;
    struct asked asked[4];
    static const char *const names[] = {"a", "b", "a", "c"};
    world_init(&f, 1);
    world_begin(&f);
    f.flusher.closed = true;
    for (size_t i = 0; i < 4; i++) {
        asked_init(&asked[i], &f);
        asked_topic(&asked[i], names[i], 1, 0);
        asked_send(&asked[i]);
    }
    world_until(&f, world_has_flushing, &f);
    world_deliver(&f);
    assert_null(f.log->open);
    assert_false(list_empty(&f.log->queue));
    gate_open(&f.flusher);
    for (size_t i = 0; i < 4; i++) {
        err_t err = asked_wait(&asked[i]);
        assert_int_equal(err.code, i == 2 ? ERR_EXISTS : ERR_OK);
        assert_int_equal(asked[i].order, i + 3);
    }
    assert_int_equal(asked[0].topic.topic_id, 3);
    assert_int_equal(asked[1].topic.topic_id, 4);
    assert_int_equal(asked[3].topic.topic_id, 5);
    world_done(&f);
}

static void a_stop_finishes_what_it_has_and_leaves_its_mark(void **state)
{
    (void)state;
    struct burst b;
    burst_init(&b, 1);
    world_send_stop(&b.f);
    world_deliver(&b.f);
    assert_false(b.f.is_stopped);
    assert_code(world_commit(&b.f, 1, 10), CANCELLED);
    gate_open(&b.f.flusher);
    for (size_t i = 0; i < 3; i++)
        assert_code(asked_wait(&b.asked[i]), OK);
    world_until(&b.f, world_is_set, &b.f.is_stopped);
    log_free(&b.f.log);
    world_open(&b.f);
    assert_true(b.f.log->recovered.clean);
    assert_int_equal(world_end(&b.f, 1, 0), 6);
    burst_done(&b);
}

static void a_stop_of_a_fenced_log_ends_without_a_mark(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    world_begin(&f);
    assert_code(world_commit(&f, 5, 10), OK);
    sim_disk_set(f.disk, &(struct sim_disk_options){.write_failures_ppm = 1000000});
    assert_code(world_commit(&f, 1, 10), FENCED);
    world_stop(&f);
    sim_disk_set(f.disk, &(struct sim_disk_options){0});
    world_open(&f);
    assert_false(f.log->recovered.clean);
    /* The outcome of the last one was not known. */
    assert_true(world_end(&f, 1, 0) == 5 || world_end(&f, 1, 0) == 6);
    world_done(&f);
}

static void a_flush_that_fails_during_a_stop_ends_it(void **state)
{
    (void)state;
    struct burst b;
    burst_init(&b, 1);
    world_send_stop(&b.f);
    world_deliver(&b.f);
    fence_burst(&b, 1);
    world_until(&b.f, world_is_set, &b.f.is_stopped);
    burst_done(&b);
}

static void any_allocation_of_a_commit_may_fail(void **state)
{
    (void)state;
    struct world f;
    world_init(&f, 1);
    f.options.wal_file_size = UINT64_C(16) << 20;
    f.options.wal_limit_bytes = UINT64_C(64) << 20;
    world_begin(&f);
    uint64_t failures = 0;
    for (bool failed = true; failed;) {
        struct asked asked;
        asked_some(&asked, &f, 1, 5u << 20);
        f.flusher.closed = true;
        mem_fail_after(failures + 1);
        asked_send(&asked);
        world_deliver(&f);
        failed = mem_alloc_count() > failures;
        mem_fail_after(0);
        gate_open(&f.flusher);
        assert_string_equal(err_name(asked_wait(&asked)), failed ? "MEMORY" : "OK");
        asked_done(&asked);
        failures += failed;
        world_settle(&f);
    }
    assert_true(failures > 0);
    assert_code(world_commit(&f, 1, 10), OK);
    assert_int_equal(world_end(&f, 1, 0), 2);
    world_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_the_power),
        cmocka_unit_test(what_comes_during_a_flush_shares_the_next_frame),
        cmocka_unit_test(nothing_is_seen_before_it_is_durable),
        cmocka_unit_test(a_large_commit_is_alone_in_its_frame),
        cmocka_unit_test(large_frames_take_no_more_than_their_memory),
        cmocka_unit_test(a_commit_larger_than_a_file_is_refused),
        cmocka_unit_test(a_full_log_refuses_records_but_serves_its_sinks),
        cmocka_unit_test(commits_wait_for_the_file_that_is_being_made),
        cmocka_unit_test(a_disk_without_space_refuses_and_heals_by_itself),
        cmocka_unit_test(a_full_index_refuses_records_alone),
        cmocka_unit_test(a_failed_flush_answers_all_that_is_under_way),
        cmocka_unit_test(a_fenced_log_goes_on_with_the_next_epoch_in_another_file),
        cmocka_unit_test(a_log_that_fails_again_while_it_heals_tries_again),
        cmocka_unit_test(a_fenced_log_without_a_spare_waits_for_one),
        cmocka_unit_test(a_fenced_log_still_serves_its_readers),
        cmocka_unit_test(early_answers_stay_within_their_bytes),
        cmocka_unit_test(early_answers_stay_within_their_time),
        cmocka_unit_test(early_answers_that_were_lost_are_counted),
        cmocka_unit_test(changes_of_topics_are_never_answered_early),
        cmocka_unit_test(changes_of_topics_go_one_after_the_other),
        cmocka_unit_test(a_stop_finishes_what_it_has_and_leaves_its_mark),
        cmocka_unit_test(a_stop_of_a_fenced_log_ends_without_a_mark),
        cmocka_unit_test(a_flush_that_fails_during_a_stop_ends_it),
        cmocka_unit_test(any_allocation_of_a_commit_may_fail),
    };
    return cmocka_run_group_tests_name("log/sequencer", tests, NULL, NULL);
}
