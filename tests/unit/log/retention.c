#include "log/retention.h"

#include "unit/log/world.h"

static const struct log_partition *partition(const struct world *w)
{
    return log_state_partition(&w->log->state, 1, 0);
}

static err_t change(struct world *w, struct flow_topic_change topic)
{
    struct asked asked;
    asked_init(&asked, w);
    asked.topic = topic;
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    return asked_commit(&asked);
}

static void configure(struct world *w, struct flow_topic_config config)
{
    struct flow_topic_change topic = {.op = FLOW_TOPIC_CONFIG, .topic_id = 1, .config = config};
    assert_code(change(w, topic), OK);
}

static void fill(struct world *w, int count)
{
    for (int i = 0; i < count; i++)
        assert_code(world_commit(w, 1, 100000), OK);
}

static bool all_sealed(void *context)
{
    const struct world *w = context;
    return w->log->sealer.phase == LOG_SEALER_IDLE && log_sealer_backlog(w->log) == 0 &&
           !w->log->retention.committing && world_is_idle(context);
}

/* Many looks of retention. */
static void look(struct world *w)
{
    for (int i = 0; i < 10; i++)
        world_deliver(w);
    world_until(w, all_sealed, w);
}

/* A log with sealed segments of at the most 1 MiB, of which none is to go yet. */
static void begin(struct world *w)
{
    world_init(w, 1);
    world_begin(w);
    configure(w, (struct flow_topic_config){.retention_bytes = UINT64_C(16) << 20});
    fill(w, 60);
    world_until(w, all_sealed, w);
    assert_true(partition(w)->segment_count >= 4);
}

static void what_is_more_than_the_size_goes_and_no_more_than_that(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    look(&w);
    assert_int_equal(partition(&w)->start_offset, 0);
    configure(&w, (struct flow_topic_config){.retention_bytes = UINT64_C(3) << 20});
    look(&w);
    assert_true(partition(&w)->start_offset > 0);
    assert_true(partition(&w)->sealed_bytes >= UINT64_C(3) << 20);
    assert_true(partition(&w)->sealed_bytes - partition(&w)->segments[0].size < UINT64_C(3) << 20);
    assert_int_equal(partition(&w)->segments[0].base_offset, partition(&w)->start_offset);
    assert_int_equal(partition(&w)->records_start, partition(&w)->start_offset);
    world_done(&w);
}

static void what_is_older_than_the_time_goes_and_reads_are_told(void **state)
{
    (void)state;
    struct world w;
    struct asked_read read;
    begin(&w);
    configure(&w, (struct flow_topic_config){.retention_ms = UINT64_C(365) * 24 * 3600 * 1000});
    look(&w);
    assert_int_equal(partition(&w)->start_offset, 0);
    configure(&w, (struct flow_topic_config){.retention_ms = 3600 * 1000});
    sim_wall_jump(w.sim, 2 * 3600 * 1000);
    look(&w);
    int64_t start = partition(&w)->start_offset;
    assert_true(start >= 45);
    assert_code(world_read(&w, &read, start - 1, 1000), OFFSET_RANGE);
    world_release(&w, &read);
    if (start < partition(&w)->end_offset) {
        assert_code(world_read(&w, &read, start, 1000), OK);
        world_release(&w, &read);
    }
    world_lose_power(&w);
    world_open(&w);
    assert_true(partition(&w)->start_offset >= start);
    world_done(&w);
}

static void what_a_sink_has_not_delivered_is_held(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    configure(&w, (struct flow_topic_config){.retention_bytes = UINT64_C(2) << 20});
    look(&w);
    assert_int_equal(partition(&w)->start_offset, 0);
    struct flow_sink_range range = {1, 0, 0, 25, 25, 0};
    struct flow_sink_change epoch = {
        .op = FLOW_SINK_PREPARE, .sink_id = 1, .epoch = 1, .ranges = &range, .range_count = 1};
    assert_code(world_change_sink(&w, &epoch), OK);
    look(&w);
    assert_int_equal(partition(&w)->start_offset, 0);
    epoch = (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = 1};
    assert_code(world_change_sink(&w, &epoch), OK);
    look(&w);
    assert_true(partition(&w)->start_offset > 0 && partition(&w)->start_offset <= 25);
    assert_int_equal(log_state_sink(&w.log->state, 1)->expired, 0);
    world_done(&w);
}

static void what_may_expire_under_a_sink_is_counted_there(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    struct flow_sink_range range = {1, 0, 0, 3, 3, 0};
    struct flow_sink_change epoch = {
        .op = FLOW_SINK_PREPARE, .sink_id = 1, .epoch = 1, .ranges = &range, .range_count = 1};
    assert_code(world_change_sink(&w, &epoch), OK);
    configure(&w, (struct flow_topic_config){.retention_bytes = UINT64_C(2) << 20,
                                             .expire_undelivered = true});
    look(&w);
    /* Not what it is delivering. */
    assert_int_equal(partition(&w)->start_offset, 0);
    epoch = (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = 1};
    assert_code(world_change_sink(&w, &epoch), OK);
    look(&w);
    int64_t start = partition(&w)->start_offset;
    const struct log_sink *sink = log_state_sink(&w.log->state, 1);
    assert_true(start > 3);
    assert_int_equal(sink->expired, start - 3);
    assert_int_equal(sink->cursors[0].offset, start);
    assert_int_equal(sink->cursors[0].records, start);
    world_stop(&w);
    world_open(&w);
    assert_int_equal(log_state_sink(&w.log->state, 1)->expired, start - 3);
    world_done(&w);
}

/* Nothing has expired with them. */
static void segments_of_nothing_but_holes_go_like_others(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 5);
    world_begin(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    configure(&w,
              (struct flow_topic_config){.retention_ms = 3600 * 1000, .expire_undelivered = true});
    for (int i = 0; i < 9000; i++)
        assert_code(world_hollow(&w, 2, -1), OK);
    world_until(&w, all_sealed, &w);
    assert_true(partition(&w)->segment_count > 0);
    sim_wall_jump(w.sim, 2 * 3600 * 1000);
    look(&w);
    const struct log_sink *sink = log_state_sink(&w.log->state, 1);
    int64_t start = partition(&w)->start_offset;
    assert_true(start > 0);
    assert_int_equal(sink->cursors[0].offset, start);
    assert_int_equal(sink->expired, 0);
    assert_int_equal(partition(&w)->records, 0);
    world_lose_power(&w);
    world_open(&w);
    assert_true(partition(&w)->start_offset >= start);
    assert_int_equal(partition(&w)->end_offset, 18000);
    world_done(&w);
}

static bool is_removed(void *context)
{
    const struct world *w = context;
    return w->log->state.doomed_count == 0 && all_sealed(context);
}

static void files_go_after_the_commit_is_durable_and_at_the_latest_at_a_start(void **state)
{
    (void)state;
    struct world w;
    enum io_kind kind;
    const char *first = "data/topics/flights-66010000-0000-0000-0000-000000000000/0/"
                        "00000000000000000000.log";
    begin(&w);
    w.sealer.closed = true;
    configure(&w, (struct flow_topic_config){.retention_bytes = UINT64_C(2) << 20});
    for (int i = 0; i < 10; i++)
        world_deliver(&w);
    assert_true(partition(&w)->start_offset > 0);
    assert_code(io_disk_kind(w.options.disk, first, &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_FILE);
    world_lose_power(&w);
    world_open(&w);
    assert_true(partition(&w)->start_offset > 0);
    world_until(&w, is_removed, &w);
    assert_code(io_disk_kind(w.options.disk, first, &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_NONE);
    world_done(&w);
}

static err_t settle(struct world *w, int64_t first, int64_t end)
{
    struct asked asked;
    struct flow_settle settle = {.topic_id = 2,
                                 .kind = FLOW_SETTLE_PURGED,
                                 .record_count = (uint32_t)(end - first),
                                 .first_offset = first,
                                 .end_offset = end};
    asked_init(&asked, w);
    asked.commit.settles = &settle;
    asked.commit.settle_count = 1;
    return asked_commit(&asked);
}

/* A queue's start follows what is settled from it on, and nothing else. */
static void settled_letters_are_let_go_from_the_start_on(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    world_init(&w, 3);
    world_begin(&w);
    const struct log_partition *dlq = log_state_partition(&w.log->state, 2, 0);
    asked_init(&asked, &w);
    asked_records(&asked, 2, 0, 10, 100)->kind = FLOW_APPEND_DEAD_LETTERS;
    asked_count(&asked, 1, 10, 0);
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    assert_code(settle(&w, 4, 6), OK);
    look(&w);
    assert_int_equal(dlq->start_offset, 0);
    assert_int_equal(dlq->settled.count, 1);
    assert_code(settle(&w, 0, 4), OK);
    look(&w);
    assert_int_equal(dlq->start_offset, 6);
    assert_int_equal(dlq->settled.count, 0);
    assert_code(settle(&w, 6, 10), OK);
    look(&w);
    assert_int_equal(dlq->start_offset, 10);
    assert_int_equal(log_partition_held_wal_bytes(dlq), 0);
    const struct log_topic *topic = log_state_topic(&w.log->state, 2);
    assert_int_equal(topic->letters.purged, 10);
    assert_int_equal(topic->letters.expired, 0);
    assert_code(settle(&w, 9, 10), OFFSET_RANGE);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settled_letters_are_let_go_from_the_start_on),
        cmocka_unit_test(what_is_more_than_the_size_goes_and_no_more_than_that),
        cmocka_unit_test(what_is_older_than_the_time_goes_and_reads_are_told),
        cmocka_unit_test(what_a_sink_has_not_delivered_is_held),
        cmocka_unit_test(what_may_expire_under_a_sink_is_counted_there),
        cmocka_unit_test(segments_of_nothing_but_holes_go_like_others),
        cmocka_unit_test(files_go_after_the_commit_is_durable_and_at_the_latest_at_a_start),
    };
    return cmocka_run_group_tests_name("log/retention", tests, NULL, NULL);
}
