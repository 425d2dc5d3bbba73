#include "unit/sinks/run.h"

static void an_epoch_ends_by_its_time_since_the_first_record(void **state)
{
    struct test *t = *state;
    begin(t);
    world_advance(t->world, 100 * IO_SECOND);
    append_some(t, 3);
    world_advance(t->world, 59 * IO_SECOND);
    assert_int_equal(t->plug.published_count, 0);
    append_some(t, 2);
    world_advance(t->world, IO_SECOND);
    assert_int_equal(t->plug.published_count, 1);
    assert_all_delivered(t->world, &t->plug, "first");
    /* Nothing came: nothing is committed. */
    uint64_t commits = t->world->commits;
    world_advance(t->world, 600 * IO_SECOND);
    assert_int_equal(t->world->commits, commits);
}

static void an_epoch_ends_when_the_plug_in_asks_for_it(void **state)
{
    struct test *t = *state;
    t->plug.roll_records = 5;
    begin(t);
    for (int i = 0; i < 10; i++) {
        world_append(t->world, 1, 0, 5);
        world_settle(t->world);
        assert_int_equal(t->plug.published_count, i + 1);
        assert_all_delivered(t->world, &t->plug, "first");
    }
    assert_int_equal(status_of(t).epoch, 10);
}

static void what_was_there_before_the_start_is_delivered(void **state)
{
    struct test *t = *state;
    append_some(t, 20);
    append_some(t, 7);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_new_start_goes_on_behind_the_cursors(void **state)
{
    struct test *t = *state;
    append_some(t, 5);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    end(t, &t->runner);
    append_some(t, 5);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
    assert_int_equal(t->plug.published_count, 2);
}

static void a_cursor_within_a_batch_delivers_the_rest_of_it(void **state)
{
    struct test *t = *state;
    world_append(t->world, 1, 0, 10);
    begin(t);
    world_settle(t->world);
    world_crash(t->world, &t->runner, &t->plug);
    *cursor_at(t, 1, 0) = 4;
    t->world->sinks[0].delivered = 4;
    memset(t->plug.visible[1][0], 1, 4);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

/* Takes turns until the runner is in `state`; false when it never gets there. */
static bool run_until(struct test *t, enum sinks_state state)
{
    while (t->runner->state != state)
        if (!world_step(t->world) && !world_fire(t->world))
            return false;
    return true;
}

static void a_crash_in_any_state_loses_and_doubles_nothing(void **state)
{
    struct test *t = *state;
    append_some(t, 4);
    for (enum sinks_state at = SINKS_OPENING; at <= SINKS_COMMITTING; at++) {
        append_some(t, 3);
        begin(t);
        if (!run_until(t, at))
            fail_msg("never %s", sinks_state_name(at));
        world_crash(t->world, &t->runner, &t->plug);
    }
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void crashes_at_any_turn_lose_and_double_nothing(void **state)
{
    struct test *t = *state;
    uint64_t seed = unit_seed();
    t->plug.roll_records = 9;
    t->plug.refuse_every = 5;
    for (int round = 0; round < 60; round++) {
        world_append(t->world, 1 + (uint32_t)(unit_random(&seed) % 2),
                     (uint32_t)(unit_random(&seed) % 2), 1 + (uint32_t)(unit_random(&seed) % 5));
        begin(t);
        uint64_t turns = unit_random(&seed) % 60;
        for (uint64_t i = 0; i < turns; i++)
            if (!world_step(t->world))
                (void)world_fire(t->world);
        world_crash(t->world, &t->runner, &t->plug);
    }
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_prepared_epoch_is_published_and_never_built_again(void **state)
{
    struct test *t = *state;
    append_some(t, 4);
    begin(t);
    assert_true(run_until(t, SINKS_PUBLISHING));
    world_crash(t->world, &t->runner, &t->plug);
    uint32_t writes = t->plug.calls[SINKS_VERB_WRITE];
    uint32_t discards = t->plug.calls[SINKS_VERB_DISCARD];
    begin(t);
    assert_true(run_until(t, SINKS_COMMITTING));
    /* Nothing may be discarded while it waits. */
    assert_int_equal(t->plug.calls[SINKS_VERB_DISCARD], discards);
    assert_true(run_until(t, SINKS_READING));
    assert_int_equal(t->plug.calls[SINKS_VERB_WRITE], writes);
    assert_int_equal(t->plug.calls[SINKS_VERB_DISCARD], discards + 1);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void any_verb_that_fails_once_is_made_good(void **state)
{
    struct test *t = *state;
    static const enum sinks_verb verbs[] = {SINKS_VERB_OPEN, SINKS_VERB_WRITE, SINKS_VERB_PREPARE,
                                            SINKS_VERB_PUBLISH};
    static const enum err_code codes[] = {ERR_NO_SPACE, ERR_INVALID};
    for (size_t i = 0; i < 8; i++) {
        fail_verb(t, verbs[i / 2], codes[i % 2], 1);
        append_some(t, 3);
        begin(t);
        world_advance(t->world, 130 * IO_SECOND);
        assert_int_equal(t->plug.fail_times[verbs[i / 2]], 0);
        assert_int_equal(status_of(t).failures, 0);
        assert_string_equal(status_of(t).error, "");
        assert_all_delivered(t->world, &t->plug, "first");
        end(t, &t->runner);
    }
    assert_int_equal(world_events(t->world, "sink_blocked"), 0);
}

/* Any commit of a delivery fails once; whether it happened all the same is for the log to know. */
static void any_commit_fails(struct test *t, enum err_code code, bool lost)
{
    /* register, prepare, commit */
    for (uint64_t n = 1; n <= 3; n++) {
        t->world->commits = 0;
        t->world->fail_commit = n;
        t->world->commit_error = code;
        t->world->commit_lost = lost;
        append_some(t, 3);
        begin(t);
        world_advance(t->world, 130 * IO_SECOND);
        assert_true(t->world->commits >= n);
        assert_int_equal(status_of(t).failures, 0);
        assert_all_delivered(t->world, &t->plug, "first");
        end(t, &t->runner);
        t->world->fail_commit = 0;
    }
}

static void a_commit_that_did_not_happen_is_made_good(void **state)
{
    any_commit_fails(*state, ERR_LOG_FULL, true);
}

static void a_commit_whose_outcome_is_unknown_is_made_good(void **state)
{
    any_commit_fails(*state, ERR_FENCED, true);
    any_commit_fails(*state, ERR_FENCED, false);
}

static void nothing_is_discarded_before_the_log_settled_what_it_prepared(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    begin(t);
    t->world->fail_commit = 2;
    t->world->commit_error = ERR_FENCED;
    assert_true(run_until(t, SINKS_WAITING));
    uint32_t discards = t->plug.calls[SINKS_VERB_DISCARD];
    /* The log stays fenced: commits are refused, and a snapshot would prove nothing. */
    uint64_t snapshots = t->world->snapshots;
    for (uint64_t n = 3; n < 6; n++) {
        t->world->fail_commit = n;
        t->world->commit_error = ERR_BUSY;
        t->world->commit_lost = true;
        assert_true(run_until(t, SINKS_OPENING));
        assert_true(run_until(t, SINKS_WAITING));
    }
    assert_int_equal(t->world->snapshots, snapshots);
    assert_int_equal(t->plug.calls[SINKS_VERB_DISCARD], discards);
    assert_true(run_until(t, SINKS_PUBLISHING));
    assert_int_equal(t->plug.calls[SINKS_VERB_DISCARD], discards);
    world_advance(t->world, IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_snapshot_that_fails_is_asked_for_again(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    t->world->snapshot_error = ERR_MEMORY;
    begin(t);
    world_advance(t->world, 10 * IO_SECOND);
    assert_true(t->world->snapshots > 3);
    assert_int_equal(t->plug.calls[SINKS_VERB_OPEN], 0);
    t->world->snapshot_error = ERR_OK;
    world_advance(t->world, 130 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void refused_records_become_dead_letters_in_the_same_epoch(void **state)
{
    struct test *t = *state;
    t->plug.refuse_every = 3;
    begin(t);
    append_some(t, 10);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
    assert_true(t->world->sinks[0].dead_lettered > 10);
    append_some(t, 10);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void dead_letters_of_a_failed_epoch_are_not_doubled(void **state)
{
    struct test *t = *state;
    t->plug.refuse_every = 2;
    append_some(t, 10);
    fail_verb(t, SINKS_VERB_PREPARE, ERR_IO, 3);
    begin(t);
    world_advance(t->world, 130 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void many_dead_letters_end_the_epoch(void **state)
{
    struct test *t = *state;
    t->plug.refuse_every = 1;
    begin(t);
    /* A letter is over 200 bytes, the limit 1 MiB. */
    for (int i = 0; i < 3; i++) {
        for (uint32_t topic = 1; topic <= 2; topic++)
            for (uint32_t p = 0; p < 2; p++)
                world_append(t->world, topic, p, 128);
        world_advance(t->world, 20 * IO_MS);
    }
    assert_int_equal(t->plug.published_count, 0);
    assert_true(t->runner->letters_size > 3 * 4 * 128 * 200);
    /* As if there had been more of them. */
    t->runner->letters_size += UINT64_C(1) << 20;
    world_append(t->world, 1, 1, 1);
    world_advance(t->world, 20 * IO_MS);
    assert_int_equal(t->plug.published_count, 1);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_refusal_without_a_dlq_blocks_and_loses_nothing(void **state)
{
    struct test *t = *state;
    t->world->no_dlq = true;
    t->plug.refuse_every = 3;
    append_some(t, 3);
    begin(t);
    world_advance(t->world, 30 * IO_SECOND);
    assert_true(status_of(t).blocked);
    assert_non_null(strstr(status_of(t).error, "no DLQ"));
    assert_int_equal(t->plug.published_count, 0);
    t->world->no_dlq = false;
    world_advance(t->world, 130 * IO_SECOND);
    assert_false(status_of(t).blocked);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void the_breaker_speaks_once_when_it_opens_and_once_when_it_heals(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    fail_verb(t, SINKS_VERB_PUBLISH, ERR_PERMISSION, UINT32_MAX);
    begin(t);
    world_advance(t->world, 600 * IO_SECOND);
    assert_true(status_of(t).blocked);
    assert_non_null(strstr(status_of(t).error, "publishing: permission denied"));
    assert_int_equal(world_events(t->world, "sink_blocked"), 1);
    assert_int_equal(world_events(t->world, "sink_healed"), 0);
    /* Only publish is tried again. */
    assert_int_equal(t->plug.calls[SINKS_VERB_PREPARE], 1);
    t->plug.fail_times[SINKS_VERB_PUBLISH] = 0;
    world_advance(t->world, 31 * IO_SECOND);
    assert_false(status_of(t).blocked);
    assert_int_equal(world_events(t->world, "sink_healed"), 1);
    assert_all_delivered(t->world, &t->plug, "first");
    assert_int_equal(t->world->event_count, 2);
}

static void few_failures_are_not_worth_a_line(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    fail_verb(t, SINKS_VERB_PREPARE, ERR_IO, 4);
    begin(t);
    world_advance(t->world, 130 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
    assert_int_equal(t->world->event_count, 0);
}

/* What fails late in an epoch fails again: the writes that go well before it prove nothing. */
static void a_full_disk_opens_the_breaker_though_writes_go_well(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    fail_verb(t, SINKS_VERB_PREPARE, ERR_NO_SPACE, UINT32_MAX);
    begin(t);
    world_advance(t->world, 300 * IO_SECOND);
    assert_true(status_of(t).blocked);
    assert_int_equal(world_events(t->world, "sink_blocked"), 1);
    t->plug.fail_times[SINKS_VERB_PREPARE] = 0;
    /* A small epoch after the pause, not one of full length, shows that it works again. */
    world_advance(t->world, 31 * IO_SECOND);
    assert_false(status_of(t).blocked);
    assert_int_equal(t->plug.published_count, 1);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void pauses_double_to_half_a_minute(void **state)
{
    struct test *t = *state;
    fail_verb(t, SINKS_VERB_OPEN, ERR_IO, UINT32_MAX);
    begin(t);
    uint64_t expected = 100 * IO_MS;
    for (int i = 0; i < 14; i++) {
        assert_true(run_until(t, SINKS_WAITING));
        uint64_t pause = t->runner->pause_timer.due_ns - t->world->now_ns;
        assert_in_range(pause, expected / 2, expected);
        expected = expected * 2 > 30 * IO_SECOND ? 30 * IO_SECOND : expected * 2;
        world_advance(t->world, pause);
        assert_int_equal(t->plug.calls[SINKS_VERB_OPEN], i + 2);
    }
    t->plug.fail_times[SINKS_VERB_OPEN] = 0;
}

static void a_sink_that_hangs_delays_no_other_on_its_loop(void **state)
{
    struct test *t = *state;
    begin(t);
    t->second = world_runner(t->world, &t->other, 1);
    sinks_runner_start(t->second);
    world_settle(t->world);
    t->world->workers[0].held = true;
    append_some(t, 5);
    world_advance(t->world, 59 * IO_SECOND);
    assert_false(status_of(t).stalled);
    world_advance(t->world, 10 * IO_SECOND);
    assert_true(status_of(t).stalled);
    assert_int_equal(world_events(t->world, "sink_stalled"), 1);
    assert_int_equal(t->plug.published_count, 0);
    assert_all_delivered(t->world, &t->other, "second");
    append_some(t, 5);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->other, "second");
    t->world->workers[0].held = false;
    world_advance(t->world, 121 * IO_SECOND);
    assert_false(status_of(t).stalled);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_sink_that_fails_delays_no_other_either(void **state)
{
    struct test *t = *state;
    fail_verb(t, SINKS_VERB_WRITE, ERR_IO, UINT32_MAX);
    begin(t);
    t->second = world_runner(t->world, &t->other, 1);
    sinks_runner_start(t->second);
    append_some(t, 5);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->other, "second");
    t->plug.fail_times[SINKS_VERB_WRITE] = 0;
    world_advance(t->world, 121 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_corrupt_batch_stops_its_partition_alone(void **state)
{
    struct test *t = *state;
    begin(t);
    append_some(t, 3);
    world_append(t->world, 1, 1, 4);
    struct world_batch *bad = &t->world->partitions[1][1].batches[1];
    bad->bytes[bad->size - 1] ^= 1;
    append_some(t, 3);
    world_advance(t->world, 200 * IO_SECOND);
    assert_int_equal(status_of(t).partitions_stopped, 1);
    assert_int_equal(status_of(t).failures, 0);
    assert_int_equal(world_events(t->world, "sink_partition_stopped"), 1);
    assert_int_equal(*cursor_at(t, 1, 1), bad->base_offset);
    assert_int_equal(*cursor_at(t, 1, 0), t->world->partitions[1][0].end_offset);
    assert_int_equal(*cursor_at(t, 2, 1), t->world->partitions[2][1].end_offset);
    bad->bytes[bad->size - 1] ^= 1;
    world_advance(t->world, 100 * IO_SECOND);
    assert_int_equal(status_of(t).partitions_stopped, 0);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_read_that_fails_stops_its_partition_alone(void **state)
{
    struct test *t = *state;
    t->world->partitions[2][0].read_error = err_make(ERR_IO);
    append_some(t, 3);
    begin(t);
    world_advance(t->world, 100 * IO_SECOND);
    assert_int_equal(status_of(t).partitions_stopped, 1);
    assert_int_equal(world_events(t->world, "sink_partition_stopped"), 1);
    assert_int_equal(*cursor_at(t, 1, 0), t->world->partitions[1][0].end_offset);
    t->world->partitions[2][0].read_error = err_ok();
    world_advance(t->world, 100 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_partition_that_trickles_is_read_a_handful_at_a_time(void **state)
{
    struct test *t = *state;
    begin(t);
    append_some(t, 1);
    world_settle(t->world);
    uint64_t read = t->runner->counters.read_bytes;
    assert_true(read > 0);
    append_some(t, 1);
    world_settle(t->world);
    assert_int_equal(t->runner->counters.read_bytes, read);
    world_advance(t->world, 20 * IO_MS);
    assert_true(t->runner->counters.read_bytes > read);
}

static void stopping_delivers_what_was_read(void **state)
{
    struct test *t = *state;
    begin(t);
    append_some(t, 5);
    world_settle(t->world);
    assert_int_equal(t->plug.published_count, 0);
    sinks_runner_stop(t->runner, 10000, note_stopped, t);
    world_settle(t->world);
    assert_true(t->stopped);
    assert_true(err_is_ok(t->stop_error));
    assert_false(t->plug.open);
    sinks_runner_free(&t->runner);
    assert_all_delivered(t->world, &t->plug, "first");
}

/* Cursors pass what holds no record, in an epoch of its own or with others, and nothing is turned
 * round and round for it. */
static void what_holds_no_record_is_passed_over(void **state)
{
    struct test *t = *state;
    begin(t);
    world_append_batch(t->world, 1, 0, 20, true);
    world_settle(t->world);
    assert_int_equal(*cursor_at(t, 1, 0), 0);
    world_advance(t->world, 61 * IO_SECOND);
    assert_int_equal(*cursor_at(t, 1, 0), 20);
    assert_int_equal(status_of(t).epoch, 1);
    uint64_t commits = t->world->commits;
    world_advance(t->world, 600 * IO_SECOND);
    assert_int_equal(t->world->commits, commits);
    /* A failed one is made good, and a stop waits for what is left alone. */
    fail_verb(t, SINKS_VERB_PUBLISH, ERR_IO, 2);
    world_append_batch(t->world, 1, 0, 7, true);
    world_advance(t->world, 120 * IO_SECOND);
    assert_int_equal(*cursor_at(t, 1, 0), 27);
    world_append_batch(t->world, 1, 0, 5, true);
    sinks_runner_stop(t->runner, 10000, note_stopped, t);
    world_settle(t->world);
    assert_true(t->stopped && err_is_ok(t->stop_error));
    assert_int_equal(*cursor_at(t, 1, 0), 32);
    sinks_runner_free(&t->runner);
}

static void stopping_delivers_what_the_log_holds_though_it_was_not_read(void **state)
{
    struct test *t = *state;
    begin(t);
    append_some(t, 2);
    world_settle(t->world);
    /* Nobody has had a turn in which to read these. */
    append_some(t, 40);
    sinks_runner_stop(t->runner, 10000, note_stopped, t);
    world_settle(t->world);
    assert_true(t->stopped);
    assert_true(err_is_ok(t->stop_error));
    sinks_runner_free(&t->runner);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void stopping_works_at_any_turn(void **state)
{
    struct test *t = *state;
    for (uint32_t turns = 0; turns < 80; turns++) {
        world_append(t->world, 1, turns % 2, 2);
        begin(t);
        for (uint32_t i = 0; i < turns; i++)
            if (!world_step(t->world))
                world_advance(t->world, 10 * IO_SECOND);
        end(t, &t->runner);
        assert_false(t->plug.open);
        assert_int_equal(t->world->reads_held, 0);
    }
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_runner_that_was_never_started_stops_too(void **state)
{
    struct test *t = *state;
    t->runner = world_runner(t->world, &t->plug, 0);
    end(t, &t->runner);
    assert_int_equal(t->world->commits, 0);
    t->runner = world_runner(t->world, &t->plug, 0);
    sinks_runner_free(&t->runner);
    sinks_runner_free(&t->runner);
}

static void a_blocked_sink_is_left_at_the_deadline_and_finished_by_the_next_start(void **state)
{
    struct test *t = *state;
    append_some(t, 5);
    fail_verb(t, SINKS_VERB_PUBLISH, ERR_PERMISSION, UINT32_MAX);
    begin(t);
    world_advance(t->world, 100 * IO_SECOND);
    sinks_runner_stop(t->runner, 5000, note_stopped, t);
    world_advance(t->world, 4999 * IO_MS);
    assert_false(t->stopped);
    world_advance(t->world, IO_MS);
    assert_true(t->stopped);
    assert_true(err_is_ok(t->stop_error));
    assert_true(t->world->sinks[0].prepared);
    assert_int_equal(world_events(t->world, "sink_healed"), 0);
    sinks_runner_free(&t->runner);
    t->plug.fail_times[SINKS_VERB_PUBLISH] = 0;
    begin(t);
    world_settle(t->world);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_stop_ends_a_pause_at_once(void **state)
{
    struct test *t = *state;
    fail_verb(t, SINKS_VERB_OPEN, ERR_IO, UINT32_MAX);
    begin(t);
    world_advance(t->world, 600 * IO_SECOND);
    sinks_runner_stop(t->runner, 5000, note_stopped, t);
    world_settle(t->world);
    assert_true(t->stopped);
    sinks_runner_free(&t->runner);
}

static void a_call_that_never_returns_is_abandoned(void **state)
{
    struct test *t = *state;
    begin(t);
    world_settle(t->world);
    t->world->workers[0].held = true;
    append_some(t, 5);
    world_settle(t->world);
    sinks_runner_stop(t->runner, 5000, note_stopped, t);
    world_advance(t->world, 5999 * IO_MS);
    assert_false(t->stopped);
    world_advance(t->world, IO_MS);
    assert_true(t->stopped);
    assert_int_equal(t->stop_error.code, ERR_TIMEOUT);
    assert_int_equal(world_events(t->world, "sink_abandoned"), 1);
    /* It may come back all the same; nobody is told again. */
    t->world->workers[0].held = false;
    world_advance(t->world, 600 * IO_SECOND);
    assert_int_equal(t->plug.published_count, 0);
    world_crash(t->world, &t->runner, &t->plug);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_call_under_way_at_the_deadline_may_come_back(void **state)
{
    struct test *t = *state;
    begin(t);
    world_settle(t->world);
    t->world->workers[0].held = true;
    append_some(t, 5);
    world_settle(t->world);
    sinks_runner_stop(t->runner, 5000, note_stopped, t);
    world_advance(t->world, 5 * IO_SECOND);
    assert_false(t->stopped);
    t->world->workers[0].held = false;
    world_settle(t->world);
    assert_true(t->stopped);
    assert_true(err_is_ok(t->stop_error));
    assert_int_equal(world_events(t->world, "sink_abandoned"), 0);
    assert_int_equal(t->plug.published_count, 0);
    sinks_runner_free(&t->runner);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_close_that_never_returns_is_abandoned_too(void **state)
{
    struct test *t = *state;
    begin(t);
    world_settle(t->world);
    t->world->workers[0].held = true;
    sinks_runner_stop(t->runner, 5000, note_stopped, t);
    world_advance(t->world, 6 * IO_SECOND);
    assert_true(t->stopped);
    assert_int_equal(t->stop_error.code, ERR_TIMEOUT);
    world_crash(t->world, &t->runner, &t->plug);
}

static void a_lack_of_memory_at_any_point_is_made_good(void **state)
{
    struct test *t = *state;
    t->plug.refuse_every = 4;
    for (uint64_t n = 1;; n++) {
        world_append(t->world, 1, (uint32_t)n % 2, 3);
        mem_fail_after(n);
        const uint32_t topic_ids[] = {1, 2};
        struct sinks_runner_options options = {.loop = &t->world->loop,
                                               .worker = &t->world->workers[0].worker,
                                               .log = &t->world->log,
                                               .plugin = &world_plugin,
                                               .plugin_options = &t->plug,
                                               .name = "first",
                                               .topic_ids = topic_ids,
                                               .topic_count = 2};
        err_t err = sinks_runner_new(&options, &t->runner);
        if (!err_is_ok(err)) {
            mem_fail_after(0);
            assert_int_equal(err.code, ERR_MEMORY);
            continue;
        }
        sinks_runner_start(t->runner);
        world_advance(t->world, 61 * IO_SECOND);
        bool over = mem_alloc_count() < n;
        mem_fail_after(0);
        world_advance(t->world, 70 * IO_SECOND);
        assert_all_delivered(t->world, &t->plug, "first");
        end(t, &t->runner);
        if (over) {
            assert_true(n > 20);
            break;
        }
    }
}

static void memory_is_shared_out_to_the_partitions(void **state)
{
    struct test *t = *state;
    begin(t);
    world_settle(t->world);
    assert_int_equal(t->runner->chunk_size, SINKS_CHUNK_SIZE_MAX);
    t->world->workers[0].held = true;
    for (int i = 0; i < 20; i++) {
        append_some(t, 3);
        world_settle(t->world);
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->runner->lane_count; i++)
        for (uint32_t b = 0; b < t->runner->lanes[i]->read.batch_count; b++)
            bytes += t->runner->lanes[i]->read.batches[b].size;
    assert_int_equal(t->runner->held_bytes, bytes);
    assert_int_equal(t->world->reads_held, 4);
    t->world->workers[0].held = false;
    world_advance(t->world, 61 * IO_SECOND);
    assert_int_equal(t->runner->held_bytes, 0);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void partitions_that_were_added_are_read_from_the_next_start_on(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    end(t, &t->runner);
    t->world->partition_count = 3;
    append_some(t, 3);
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_int_equal(t->runner->lane_count, 6);
    assert_all_delivered(t->world, &t->plug, "first");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_epoch_ends_by_its_time_since_the_first_record),
        TEST(an_epoch_ends_when_the_plug_in_asks_for_it),
        TEST(what_was_there_before_the_start_is_delivered),
        TEST(a_new_start_goes_on_behind_the_cursors),
        TEST(a_cursor_within_a_batch_delivers_the_rest_of_it),
        TEST(a_crash_in_any_state_loses_and_doubles_nothing),
        TEST(crashes_at_any_turn_lose_and_double_nothing),
        TEST(a_prepared_epoch_is_published_and_never_built_again),
        TEST(any_verb_that_fails_once_is_made_good),
        TEST(a_commit_that_did_not_happen_is_made_good),
        TEST(a_commit_whose_outcome_is_unknown_is_made_good),
        TEST(nothing_is_discarded_before_the_log_settled_what_it_prepared),
        TEST(a_snapshot_that_fails_is_asked_for_again),
        TEST(refused_records_become_dead_letters_in_the_same_epoch),
        TEST(dead_letters_of_a_failed_epoch_are_not_doubled),
        TEST(many_dead_letters_end_the_epoch),
        TEST(a_refusal_without_a_dlq_blocks_and_loses_nothing),
        TEST(the_breaker_speaks_once_when_it_opens_and_once_when_it_heals),
        TEST(few_failures_are_not_worth_a_line),
        TEST(a_full_disk_opens_the_breaker_though_writes_go_well),
        TEST(pauses_double_to_half_a_minute),
        TEST(a_sink_that_hangs_delays_no_other_on_its_loop),
        TEST(a_sink_that_fails_delays_no_other_either),
        TEST(a_corrupt_batch_stops_its_partition_alone),
        TEST(a_read_that_fails_stops_its_partition_alone),
        TEST(a_partition_that_trickles_is_read_a_handful_at_a_time),
        TEST(stopping_delivers_what_was_read),
        TEST(what_holds_no_record_is_passed_over),
        TEST(stopping_delivers_what_the_log_holds_though_it_was_not_read),
        TEST(stopping_works_at_any_turn),
        TEST(a_runner_that_was_never_started_stops_too),
        TEST(a_blocked_sink_is_left_at_the_deadline_and_finished_by_the_next_start),
        TEST(a_stop_ends_a_pause_at_once),
        TEST(a_call_that_never_returns_is_abandoned),
        TEST(a_call_under_way_at_the_deadline_may_come_back),
        TEST(a_close_that_never_returns_is_abandoned_too),
        TEST(a_lack_of_memory_at_any_point_is_made_good),
        TEST(memory_is_shared_out_to_the_partitions),
        TEST(partitions_that_were_added_are_read_from_the_next_start_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
