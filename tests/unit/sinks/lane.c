#include "unit/sinks/world.h"

/* The lanes of a runner that was brought to READING and is not driven further by itself. */
struct test {
    struct world *world;
    struct world_plug plug;
    struct sinks_runner *runner;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->world = world_new();
    t->plug.roll_time_ms = 60000;
    t->runner = world_runner(t->world, &t->plug, 0);
    sinks_runner_start(t->runner);
    world_settle(t->world);
    assert_int_equal(t->runner->state, SINKS_READING);
    t->world->workers[0].held = true;
    *state = t;
    return 0;
}

static int teardown(void **state)
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

static void every_partition_has_a_lane_that_asks(void **state)
{
    struct test *t = *state;
    assert_int_equal(t->runner->lane_count, 4);
    assert_int_equal(t->runner->asked, 4);
    for (uint32_t topic = 1; topic <= 2; topic++) {
        for (uint32_t p = 0; p < 2; p++) {
            const struct sinks_lane *lane = lane_of(t, topic, p);
            assert_int_equal(lane->state, SINKS_LANE_ASKED);
            assert_int_equal(lane->read.topic_id, topic);
            assert_int_equal(lane->read.partition, p);
            assert_int_equal(lane->read.size_max, SINKS_CHUNK_SIZE_MAX);
            assert_true(lane->read.wait);
        }
    }
    assert_int_equal(t->runner->topics[0].dlq_id, 3);
    assert_int_equal(t->runner->topics[1].dlq_id, 4);
}

static void chunks_are_served_in_the_order_of_arrival(void **state)
{
    struct test *t = *state;
    world_append(t->world, 2, 1, 1);
    world_append(t->world, 1, 0, 1);
    world_append(t->world, 2, 0, 1);
    world_settle(t->world);
    assert_ptr_equal(t->runner->writing, lane_of(t, 2, 1));
    struct list *first = t->runner->ready.next;
    assert_ptr_equal(first, &lane_of(t, 1, 0)->link);
    assert_ptr_equal(first->next, &lane_of(t, 2, 0)->link);
    assert_int_equal(t->runner->asked, 1);
}

static void a_lane_holds_one_chunk_at_a_time(void **state)
{
    struct test *t = *state;
    world_append(t->world, 1, 0, 1);
    world_settle(t->world);
    uint64_t held = t->runner->held_bytes;
    assert_int_equal(held, t->world->partitions[1][0].batches[0].size);
    world_append(t->world, 1, 0, 100);
    world_settle(t->world);
    assert_int_equal(t->runner->held_bytes, held);
}

static void what_comes_after_a_recall_is_given_back_unseen(void **state)
{
    struct test *t = *state;
    struct sinks_lane *lane = lane_of(t, 1, 0);
    world_append(t->world, 1, 0, 3);
    /* Answered, and called back before the answer is home. */
    sinks_lanes_recall(t->runner);
    sinks_lanes_recall(t->runner);
    assert_true(lane->stale);
    t->runner->state = SINKS_WAITING;
    world_settle(t->world);
    assert_int_equal(lane->state, SINKS_LANE_IDLE);
    assert_false(lane->stale);
    assert_int_equal(t->runner->asked, 0);
    assert_int_equal(t->runner->held_bytes, 0);
    assert_int_equal(t->world->reads_held, 0);
    assert_true(list_empty(&t->runner->ready));
}

static void a_stopped_lane_does_not_ask(void **state)
{
    struct test *t = *state;
    sinks_lanes_recall(t->runner);
    sinks_lane_stop(lane_of(t, 1, 1), err_make(ERR_CORRUPT), "broken");
    world_settle(t->world);
    assert_int_equal(t->runner->asked, 3);
    assert_int_equal(lane_of(t, 1, 1)->state, SINKS_LANE_IDLE);
    world_advance(t->world, 31 * IO_SECOND);
    assert_int_equal(t->runner->asked, 4);
}

static void the_same_reason_is_said_once(void **state)
{
    struct test *t = *state;
    struct sinks_lane *lane = lane_of(t, 1, 1);
    sinks_lane_stop(lane, err_make(ERR_CORRUPT), "broken");
    sinks_lane_stop(lane, err_make(ERR_CORRUPT), "broken");
    assert_int_equal(t->world->event_count, 1);
    sinks_lane_stop(lane, err_make(ERR_IO), "worse");
    assert_int_equal(t->world->event_count, 2);
    sinks_lane_stop(lane, err_make(ERR_CANCELLED), "the log stops");
    assert_int_equal(t->world->event_count, 2);
}

static void ranges_are_of_the_lanes_that_moved(void **state)
{
    struct test *t = *state;
    lane_of(t, 1, 1)->next = 5;
    lane_of(t, 1, 1)->delivered = 3;
    lane_of(t, 1, 1)->dead_lettered = 1; /* and a hole */
    lane_of(t, 2, 0)->committed = 7;
    lane_of(t, 2, 0)->next = 9;
    assert_int_equal(sinks_lanes_ranges(t->runner), 2);
    const struct flow_sink_range *range = t->runner->ranges;
    assert_int_equal(range[0].topic_id, 1);
    assert_int_equal(range[0].partition, 1);
    assert_int_equal(range[0].first_offset, 0);
    assert_int_equal(range[0].end_offset, 5);
    assert_int_equal(range[0].delivered, 3);
    assert_int_equal(range[0].dead_lettered, 1);
    assert_int_equal(range[1].first_offset, 7);
    sinks_lanes_advance(t->runner);
    assert_int_equal(lane_of(t, 1, 1)->committed, 5);
    assert_int_equal(lane_of(t, 1, 1)->delivered, 0);
    assert_int_equal(sinks_lanes_ranges(t->runner), 0);
}

static void letters_go_to_the_dlq_of_their_topic(void **state)
{
    struct test *t = *state;
    struct sinks_lane *lane = lane_of(t, 2, 1);
    assert_int_equal(sinks_lanes_letters(t->runner), 0);
    assert_true(err_is_ok(
        flow_batch_builder_add(&lane->letters, 0, (struct slice){0}, SLICE_LITERAL("1"), NULL, 0)));
    lane->dead_lettered = 1;
    lane->next = 1;
    assert_int_equal(sinks_lanes_letters(t->runner), 1);
    const struct flow_append *append = t->runner->appends;
    assert_int_equal(append->topic_id, 4);
    assert_int_equal(append->partition, 0);
    assert_int_equal(append->kind, FLOW_APPEND_SINK_LETTERS);
    assert_int_equal(append->record_count, 1);
    sinks_lanes_advance(t->runner);
    assert_int_equal(lane->letters.record_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_partition_has_a_lane_that_asks),
        TEST(chunks_are_served_in_the_order_of_arrival),
        TEST(a_lane_holds_one_chunk_at_a_time),
        TEST(what_comes_after_a_recall_is_given_back_unseen),
        TEST(a_stopped_lane_does_not_ask),
        TEST(the_same_reason_is_said_once),
        TEST(ranges_are_of_the_lanes_that_moved),
        TEST(letters_go_to_the_dlq_of_their_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
