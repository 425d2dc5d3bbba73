#include "unit/sinks/run.h"

/* The same, brought to READING and not driven further by itself. */
static int setup_held(void **state)
{
    (void)setup(state);
    struct test *t = *state;
    begin(t);
    world_settle(t->world);
    assert_int_equal(t->runner->state, SINKS_READING);
    t->world->workers[0].held = true;
    return 0;
}

static int teardown_held(void **state)
{
    struct test *t = *state;
    world_crash(t->world, &t->runner, &t->plug);
    world_free(t->world);
    free(t);
    return 0;
}

static struct sinks_lane *lane_of(struct test *t, uint32_t topic, uint32_t partition)
{
    return t->runner->topics[topic - 1].lanes[partition];
}

/* Lets the runner learn from a snapshot that names its topics with these partitions. */
static err_t learn(struct test *t, uint32_t topic_count, uint32_t partition_count)
{
    int64_t start[40] = {0};
    int64_t end[40] = {0};
    struct flow_topic_state topics[2];
    for (uint32_t i = 0; i < 2; i++)
        topics[i] = (struct flow_topic_state){.id = i + 1,
                                              .name = "t",
                                              .partition_count = partition_count,
                                              .start_offset = start,
                                              .end_offset = end};
    start[0] = 11;
    end[0] = 20;
    struct flow_cursor_state cursors[] = {{2, 0, 15}, {9, 0, 1}, {2, 39, 2}};
    struct flow_sink_state sink = {.name = "first", .cursors = cursors, .cursor_count = 3};
    struct flow_snapshot snapshot = {
        .topics = topics, .topic_count = topic_count, .sinks = &sink, .sink_count = 1};
    struct err_text why = {0};
    sinks_lanes_recall(t->runner);
    return sinks_learn(t->runner, &snapshot, &why);
}

static void cursors_come_from_the_snapshot_or_the_start(void **state)
{
    struct test *t = *state;
    assert_true(err_is_ok(learn(t, 2, 2)));
    assert_int_equal(lane_of(t, 1, 0)->committed, 11);
    assert_int_equal(lane_of(t, 1, 0)->end, 20);
    assert_int_equal(lane_of(t, 2, 0)->committed, 15);
    assert_int_equal(lane_of(t, 2, 0)->next, 15);
    assert_int_equal(lane_of(t, 2, 1)->committed, 0);
}

static void the_limit_of_memory_is_shared_out_evenly(void **state)
{
    struct test *t = *state;
    t->runner->options.memory_limit = UINT64_C(8) << 20;
    assert_true(err_is_ok(learn(t, 2, 2)));
    assert_int_equal(t->runner->chunk_size, SINKS_CHUNK_SIZE_MAX);
    assert_true(err_is_ok(learn(t, 2, 32)));
    assert_int_equal(t->runner->lane_count, 64);
    assert_int_equal(t->runner->chunk_size, (8 << 20) / 64);
    t->runner->options.memory_limit = 1000;
    assert_true(err_is_ok(learn(t, 2, 32)));
    assert_int_equal(t->runner->chunk_size, SINKS_CHUNK_SIZE_MIN);
}

static void a_topic_that_is_missing_is_left_out_and_said_once(void **state)
{
    struct test *t = *state;
    assert_int_equal(sinks_learn_topic_ids(t->runner), 2);
    assert_true(err_is_ok(learn(t, 1, 2)));
    assert_true(err_is_ok(learn(t, 1, 2)));
    assert_int_equal(world_events(t->world, "sink_topic_deleted"), 1);
    assert_int_equal(sinks_learn_topic_ids(t->runner), 1);
    assert_int_equal(t->runner->topic_ids[0], 1);
    world_settle(t->world);
    sinks_lanes_ask(t->runner);
    assert_int_equal(lane_of(t, 1, 0)->state, SINKS_LANE_ASKED);
    assert_int_equal(lane_of(t, 2, 0)->state, SINKS_LANE_IDLE);
    assert_true(sinks_lanes_at_end(t->runner) || lane_of(t, 1, 0)->end > 0);
    assert_int_equal(sinks_lanes_ranges(t->runner), 0);
}

static void a_lost_lane_waits_for_a_snapshot_that_says_where_it_is(void **state)
{
    struct test *t = *state;
    struct sinks_lane *lane = lane_of(t, 2, 0);
    t->runner->state = SINKS_PREPARING;
    t->world->partitions[2][0].read_error = err_make(ERR_OFFSET_RANGE);
    world_append(t->world, 2, 0, 3);
    world_settle(t->world);
    assert_int_equal(lane->lost.code, ERR_OFFSET_RANGE);
    assert_true(t->runner->lost);
    assert_int_equal(lane->stopped.code, ERR_OK);
    /* Not asked again before that. */
    t->runner->state = SINKS_READING;
    sinks_lane_ask(lane);
    assert_int_equal(lane->state, SINKS_LANE_IDLE);
    /* Its cursor is elsewhere: found. It is where it was: stopped. */
    assert_true(err_is_ok(learn(t, 2, 2)));
    assert_int_equal(lane->lost.code, ERR_OK);
    assert_int_equal(lane->stopped.code, ERR_OK);
    assert_int_equal(lane->committed, 15);
    lane->lost = err_make(ERR_OFFSET_RANGE);
    assert_true(err_is_ok(learn(t, 2, 2)));
    assert_int_equal(lane->lost.code, ERR_OK);
    assert_int_equal(lane->stopped.code, ERR_OFFSET_RANGE);
    assert_int_equal(world_events(t->world, "sink_partition_stopped"), 1);
}

static void learning_again_after_a_lack_of_memory_finds_all_partitions(void **state)
{
    struct test *t = *state;
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        err_t err = learn(t, 2, 8);
        mem_fail_after(0);
        if (err_is_ok(err))
            break;
        assert_int_equal(err.code, ERR_MEMORY);
    }
    assert_int_equal(t->runner->lane_count, 16);
    for (uint32_t p = 0; p < 8; p++)
        assert_int_equal(lane_of(t, 2, p)->partition, p);
}

/* Everything that is there was made visible once, nothing more than once, and what is gone was
 * either delivered before or counts as expired. */
static void assert_delivered_or_expired(const struct test *t)
{
    const struct world_sink *sink = &t->world->sinks[0];
    uint64_t visible = 0;
    uint64_t all = 0;
    assert_false(sink->prepared);
    for (uint32_t topic = 1; topic <= WORLD_DLQ; topic++) {
        for (uint32_t p = 0; p < t->world->partition_count; p++) {
            const struct world_partition *partition = &t->world->partitions[topic][p];
            for (int64_t o = 0; o < partition->end_offset; o++) {
                uint8_t times = t->plug.visible[topic][p][o];
                if (times > 1 || (times == 0 && o >= partition->start_offset))
                    fail_msg("topic %u partition %u offset %d: visible %d times", topic, p, (int)o,
                             times);
                visible += times;
            }
            all += (uint64_t)partition->end_offset;
        }
    }
    assert_int_equal(sink->delivered, visible);
    assert_int_equal(visible + sink->expired, all);
}

/* Whatever became of it was no failure, and took no pause. */
static void assert_no_failure(const struct test *t)
{
    assert_int_equal(t->runner->counters.failures, 0);
    assert_int_equal(world_events(t->world, "sink_partition_stopped"), 0);
}

/* Turns of the loop, and time where there is nothing to be done. */
static void take_turns(struct test *t, int turns)
{
    for (int i = 0; i < turns; i++)
        if (!world_step(t->world))
            (void)world_fire(t->world);
}

static void a_read_below_the_start_goes_on_at_the_cursor(void **state)
{
    struct test *t = *state;
    append_some(t, 20);
    t->world->workers[0].held = true;
    begin(t);
    world_settle(t->world);
    assert_int_equal(t->runner->state, SINKS_CONNECTING);
    assert_true(world_expire(t->world, 1, 0, 7));
    t->world->workers[0].held = false;
    world_settle(t->world);
    assert_true(*cursor_at(t, 1, 0) >= 7);
    assert_int_equal(world_events(t->world, "sink_expired"), 1);
    world_advance(t->world, 61 * IO_SECOND);
    assert_delivered_or_expired(t);
    assert_int_equal(t->plug.visible[1][0][6], 0);
    assert_int_equal(t->world->sinks[0].expired, 7);
    assert_int_equal(world_events(t->world, "sink_expired"), 1);
    assert_no_failure(t);
}

static void an_epoch_over_expired_records_is_built_again_without_them(void **state)
{
    struct test *t = *state;
    append_some(t, 20);
    begin(t);
    world_settle(t->world);
    uint32_t discards = t->plug.calls[SINKS_VERB_DISCARD];
    /* All of it is written, the epoch is open: the log refuses to prepare it. */
    assert_true(world_expire(t->world, 2, 1, 5));
    world_advance(t->world, 121 * IO_SECOND);
    assert_int_equal(t->plug.calls[SINKS_VERB_DISCARD], discards + 1);
    assert_int_equal(world_events(t->world, "sink_expired"), 1);
    assert_delivered_or_expired(t);
    assert_int_equal(t->plug.visible[2][1][4], 0);
    assert_int_equal(t->plug.visible[2][1][5], 1);
    assert_no_failure(t);
}

static void a_sink_slower_than_retention_still_delivers(void **state)
{
    struct test *t = *state;
    begin(t);
    for (int i = 0; i < 10; i++) {
        append_some(t, 5);
        world_advance(t->world, 59 * IO_SECOND);
        /* Before the epoch's minute is over, each time. */
        const struct world_partition *p = &t->world->partitions[1][0];
        if (!world_expire(t->world, 1, 0, p->end_offset - 2))
            fail_msg("nothing is prepared here");
        world_advance(t->world, 2 * IO_SECOND);
    }
    assert_in_range(t->plug.published_count, 9, 40);
    world_advance(t->world, 61 * IO_SECOND);
    assert_delivered_or_expired(t);
    assert_no_failure(t);
}

static void expiry_at_any_turn_loses_and_doubles_nothing_else(void **state)
{
    struct test *t = *state;
    begin(t);
    for (int turns = 0; turns < 60; turns++) {
        append_some(t, 1);
        take_turns(t, turns);
        (void)world_expire(t->world, 1, 0, t->world->partitions[1][0].end_offset - 1);
        (void)world_expire(t->world, 2, 1, t->world->partitions[2][1].end_offset);
        world_settle(t->world);
    }
    world_advance(t->world, 120 * IO_SECOND);
    assert_delivered_or_expired(t);
    assert_true(t->world->sinks[0].expired > 0);
    assert_no_failure(t);
}

static void a_log_that_has_nothing_there_and_says_nothing_else_stops_the_partition(void **state)
{
    struct test *t = *state;
    t->world->partitions[2][0].read_error = err_make(ERR_OFFSET_RANGE);
    append_some(t, 3);
    begin(t);
    world_advance(t->world, 600 * IO_SECOND);
    assert_int_equal(status_of(t).partitions_stopped, 1);
    assert_int_equal(world_events(t->world, "sink_partition_stopped"), 1);
    assert_int_equal(world_events(t->world, "sink_expired"), 0);
    /* One a try, and a try each half minute. */
    assert_in_range(t->world->snapshots, 2, 25);
    assert_int_equal(t->plug.visible[1][0][0], 1);
    t->world->partitions[2][0].read_error = err_ok();
    world_advance(t->world, 120 * IO_SECOND);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void an_epoch_refused_without_a_reason_is_a_failure(void **state)
{
    struct test *t = *state;
    t->world->refuse_prepare = true;
    append_some(t, 3);
    begin(t);
    world_advance(t->world, 900 * IO_SECOND);
    assert_true(status_of(t).blocked);
    assert_non_null(strstr(status_of(t).error, "the log refuses the epoch: invalid input"));
    assert_in_range(t->world->snapshots, 10, 100);
    t->world->refuse_prepare = false;
    world_advance(t->world, 130 * IO_SECOND);
    assert_false(status_of(t).blocked);
    assert_int_equal(world_events(t->world, "sink_healed"), 1);
    assert_all_delivered(t->world, &t->plug, "first");
}

static void a_deleted_topic_is_left_and_the_others_go_on(void **state)
{
    struct test *t = *state;
    append_some(t, 10);
    begin(t);
    world_settle(t->world);
    /* Its records are in the open epoch, and its lanes wait for more. */
    assert_true(world_delete(t->world, 2));
    world_advance(t->world, IO_SECOND);
    assert_int_equal(world_events(t->world, "sink_topic_deleted"), 1);
    assert_int_equal(world_events(t->world, "sink_expired"), 1);
    world_append(t->world, 1, 1, 4);
    world_advance(t->world, 600 * IO_SECOND);
    assert_delivered_or_expired(t);
    assert_int_equal(t->plug.visible[2][0][0], 0);
    assert_int_equal(world_events(t->world, "sink_topic_deleted"), 1);
    assert_no_failure(t);
    uint64_t snapshots = t->world->snapshots;
    world_advance(t->world, 600 * IO_SECOND);
    assert_int_equal(t->world->snapshots, snapshots);
}

static void a_deletion_at_any_turn_loses_and_doubles_nothing_else(void **state)
{
    struct test *t = *state;
    for (int turns = 0; turns < 60; turns++) {
        t->world->deleted[2] = false;
        append_some(t, 1);
        begin(t);
        take_turns(t, turns);
        bool deleted = world_delete(t->world, 2);
        world_append(t->world, 1, 0, 1);
        world_advance(t->world, 121 * IO_SECOND);
        assert_delivered_or_expired(t);
        assert_no_failure(t);
        assert_int_equal(world_events(t->world, "sink_topic_deleted"), deleted);
        end(t, &t->runner);
        t->world->event_count = 0;
    }
}

static void all_topics_may_go(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    begin(t);
    world_settle(t->world);
    assert_true(world_delete(t->world, 1) && world_delete(t->world, 2));
    world_advance(t->world, 600 * IO_SECOND);
    assert_delivered_or_expired(t);
    assert_int_equal(t->plug.published_count, 0);
    assert_no_failure(t);
    end(t, &t->runner);
    /* And one that never saw them. */
    begin(t);
    world_advance(t->world, 600 * IO_SECOND);
    assert_no_failure(t);
    assert_int_equal(t->runner->lane_count, 0);
}

static void a_topic_deleted_while_the_sink_is_to_be_registered_again_is_left(void **state)
{
    struct test *t = *state;
    append_some(t, 3);
    begin(t);
    world_settle(t->world);
    t->world->fail_commit = t->world->commits + 1;
    t->world->commit_error = ERR_FENCED;
    t->world->commit_lost = true;
    while (t->runner->state != SINKS_WAITING)
        take_turns(t, 1);
    assert_int_equal(t->runner->sink_id, 0);
    assert_true(world_delete(t->world, 1));
    world_advance(t->world, 130 * IO_SECOND);
    assert_int_equal(world_events(t->world, "sink_topic_deleted"), 1);
    assert_delivered_or_expired(t);
    assert_int_equal(t->runner->counters.failures, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define HELD(name) cmocka_unit_test_setup_teardown(name, setup_held, teardown_held)
    const struct CMUnitTest tests[] = {
        HELD(cursors_come_from_the_snapshot_or_the_start),
        HELD(the_limit_of_memory_is_shared_out_evenly),
        HELD(a_topic_that_is_missing_is_left_out_and_said_once),
        HELD(a_lost_lane_waits_for_a_snapshot_that_says_where_it_is),
        HELD(learning_again_after_a_lack_of_memory_finds_all_partitions),
        TEST(a_read_below_the_start_goes_on_at_the_cursor),
        TEST(an_epoch_over_expired_records_is_built_again_without_them),
        TEST(a_sink_slower_than_retention_still_delivers),
        TEST(expiry_at_any_turn_loses_and_doubles_nothing_else),
        TEST(a_log_that_has_nothing_there_and_says_nothing_else_stops_the_partition),
        TEST(an_epoch_refused_without_a_reason_is_a_failure),
        TEST(a_deleted_topic_is_left_and_the_others_go_on),
        TEST(a_deletion_at_any_turn_loses_and_doubles_nothing_else),
        TEST(all_topics_may_go),
        TEST(a_topic_deleted_while_the_sink_is_to_be_registered_again_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
