#include "base/alloc.h"
#include "unit/log/world.h"

struct asked_find {
    struct flow_find find;
    bool answered;
};

static void found(struct flow_find *find)
{
    struct asked_find *asked = CONTAINER_OF(find, struct asked_find, find);
    assert_false(asked->answered);
    asked->answered = true;
}

static void send(struct world *w, struct asked_find *asked, int64_t timestamp_ms)
{
    *asked = (struct asked_find){.find = {.home = w->loop,
                                          .done = found,
                                          .topic_id = 1,
                                          .timestamp_ms = timestamp_ms,
                                          .offset = -77}};
    flow_log_find(log_flow(w->log), &asked->find);
}

static err_t find(struct world *w, struct asked_find *asked, int64_t timestamp_ms)
{
    send(w, asked, timestamp_ms);
    world_until(w, world_is_set, &asked->answered);
    return asked->find.error;
}

static const struct log_partition *partition(const struct world *w)
{
    return log_state_partition(&w->log->state, 1, 0);
}

static bool all_sealed(void *context)
{
    const struct world *w = context;
    return w->log->sealer.phase == LOG_SEALER_IDLE && log_sealer_backlog(w->log) == 0 &&
           world_is_idle(context);
}

/* Commits one batch of these timestamps. */
static void commit_times(struct world *w, const int64_t *times, uint32_t count, size_t size)
{
    struct asked asked;
    uint8_t *value = calloc(1, size);
    assert_non_null(value);
    asked_init(&asked, w);
    asked.commit.append_count = 1;
    flow_batch_builder_init(&asked.builders[0]);
    for (uint32_t i = 0; i < count; i++)
        assert_code(flow_batch_builder_add(&asked.builders[0], times[i], slice_make(NULL, 0),
                                           slice_make(value, size), NULL, 0),
                    OK);
    struct slice batch = flow_batch_builder_finish(&asked.builders[0]);
    asked.appends[0] = (struct flow_append){.topic_id = 1,
                                            .record_count = count,
                                            .batch = asked.builders[0].bytes.data,
                                            .batch_size = batch.size};
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    free(value);
}

/* The timestamp of record `n`: they rise, but for every fifth, which is old. */
static int64_t time_of(int64_t n)
{
    return n % 5 == 4 ? 10 : 1000 + 10 * n;
}

static void fill(struct world *w, int64_t from, int64_t count)
{
    for (int64_t n = from; n < from + count; n += 2) {
        int64_t times[] = {time_of(n), time_of(n + 1)};
        commit_times(w, times, 2, 20000);
    }
}

/* Looks for every time there is and some between. */
static void assert_finds_all(struct world *w, int64_t start, int64_t end)
{
    for (int64_t wanted = 0; wanted < 1020 + 10 * end; wanted += 5) {
        struct asked_find asked;
        int64_t expected = start;
        while (expected < end && time_of(expected) < wanted)
            expected++;
        assert_code(find(w, &asked, wanted), OK);
        assert_int_equal(asked.find.offset, expected);
        assert_int_equal(asked.find.found_timestamp_ms, expected < end ? time_of(expected) : -1);
    }
}

static void an_empty_partition_has_its_end(void **state)
{
    (void)state;
    struct world w;
    struct asked_find asked;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(find(&w, &asked, 0), OK);
    assert_int_equal(asked.find.offset, 0);
    assert_int_equal(asked.find.found_timestamp_ms, -1);
    world_done(&w);
}

/* In the log and in segments that hold nothing else, or something behind it. */
static void what_holds_no_record_has_no_time(void **state)
{
    (void)state;
    struct world w;
    struct asked_find asked;
    world_init(&w, 1);
    world_begin(&w);
    static const int64_t wanted[] = {0, 5, FLOW_FIND_MAX};
    for (int filled = 0; filled < 3; filled++) {
        int64_t end = partition(&w)->end_offset;
        for (size_t i = 0; i < 3; i++) {
            assert_code(find(&w, &asked, wanted[i]), OK);
            assert_int_equal(asked.find.offset, filled < 2 ? end : 9000);
            assert_int_equal(asked.find.found_timestamp_ms, filled < 2 ? -1 : 7);
        }
        for (int i = 0; filled == 0 && i < 9000; i++)
            assert_code(world_hollow(&w, 1, 5), OK);
        if (filled == 0)
            world_until(&w, all_sealed, &w);
        if (filled == 1)
            commit_times(&w, (const int64_t[]){7}, 1, 10);
    }
    assert_true(partition(&w)->segment_count > 0 && partition(&w)->segments[0].records == 0);
    assert_int_equal(partition(&w)->segments[0].time_entries, 0);
    world_done(&w);
}

static void the_first_record_with_the_time_is_found_wherever_it_lies(void **state)
{
    (void)state;
    static const enum flow_codec codecs[] = {FLOW_CODEC_NONE, FLOW_CODEC_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        struct asked asked;
        world_init(&w, 1);
        world_begin(&w);
        asked_init(&asked, &w);
        asked.topic = (struct flow_topic_change){
            .op = FLOW_TOPIC_CONFIG, .topic_id = 1, .config = {.codec = codecs[i]}};
        asked.commit.topics = &asked.topic;
        asked.commit.topic_count = 1;
        assert_code(asked_commit(&asked), OK);
        fill(&w, 0, 40);
        assert_int_equal(partition(&w)->segment_count, 0);
        assert_finds_all(&w, 0, 40);
        fill(&w, 40, 100);
        world_until(&w, all_sealed, &w);
        assert_true(partition(&w)->segment_count > 0 && partition(&w)->index_count > 0);
        assert_finds_all(&w, 0, 140);
        world_done(&w);
    }
}

static void what_is_before_the_start_is_not_found(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 0, 140);
    world_until(&w, all_sealed, &w);
    asked_init(&asked, &w);
    asked.topic =
        (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 33};
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    assert_code(asked_commit(&asked), OK);
    assert_finds_all(&w, 33, 140);
    world_done(&w);
}

static void a_time_that_only_records_before_the_start_have_is_not_found(void **state)
{
    (void)state;
    static const int64_t late[] = {5000, 100};
    struct world w;
    struct asked start;
    struct asked_find asked;
    world_init(&w, 1);
    world_begin(&w);
    commit_times(&w, late, 2, 20000);
    asked_init(&start, &w);
    start.topic =
        (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 1};
    start.commit.topics = &start.topic;
    start.commit.topic_count = 1;
    assert_code(asked_commit(&start), OK);
    assert_code(find(&w, &asked, 4000), OK);
    assert_int_equal(asked.find.offset, 2);
    assert_int_equal(asked.find.found_timestamp_ms, -1);
    fill(&w, 0, 140);
    world_until(&w, all_sealed, &w);
    assert_true(partition(&w)->segments[0].max_timestamp_ms == 5000);
    assert_code(find(&w, &asked, 4000), OK);
    assert_int_equal(asked.find.offset, 142);
    assert_int_equal(asked.find.found_timestamp_ms, -1);
    world_done(&w);
}

static void set_start(struct world *w, int64_t offset)
{
    struct asked asked;
    asked_init(&asked, w);
    asked.topic = (struct flow_topic_change){
        .op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = offset};
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    assert_code(asked_commit(&asked), OK);
}

static void assert_highest(struct world *w, int64_t offset, int64_t timestamp_ms)
{
    struct asked_find asked;
    assert_code(find(w, &asked, FLOW_FIND_MAX), OK);
    assert_int_equal(asked.find.offset, offset);
    assert_int_equal(asked.find.found_timestamp_ms, timestamp_ms);
}

static void the_first_record_with_the_highest_time_is_found(void **state)
{
    (void)state;
    static const int64_t high[] = {9000, 9000};
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_highest(&w, 0, -1);
    fill(&w, 0, 40);
    assert_highest(&w, 38, time_of(38));
    commit_times(&w, high, 2, 20000);
    fill(&w, 42, 20);
    assert_highest(&w, 40, 9000);
    fill(&w, 62, 100);
    world_until(&w, all_sealed, &w);
    assert_true(partition(&w)->segment_count > 0);
    assert_highest(&w, 40, 9000);
    set_start(&w, 41);
    assert_highest(&w, 41, 9000);
    /* The highest that memory knows is of a segment that the start lies in. */
    set_start(&w, 42);
    assert_highest(&w, 161, time_of(161));
    set_start(&w, 162);
    assert_highest(&w, 162, -1);
    world_done(&w);
}

static void the_highest_of_times_at_either_end_is_found(void **state)
{
    (void)state;
    static const int64_t none[] = {-1, -7};
    static const int64_t last[] = {INT64_MAX, 5};
    static const int64_t rest[] = {4, 6};
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    commit_times(&w, none, 2, 100);
    assert_highest(&w, 2, -1);
    commit_times(&w, last, 2, 100);
    assert_highest(&w, 2, INT64_MAX);
    commit_times(&w, rest, 2, 100);
    set_start(&w, 3);
    assert_highest(&w, 5, 6);
    world_done(&w);
}

static void a_partition_that_is_not_there_and_a_stop_are_told(void **state)
{
    (void)state;
    struct world w;
    struct asked_find asked = {.find = {.topic_id = 9}};
    world_init(&w, 1);
    world_begin(&w);
    asked.find.home = w.loop;
    asked.find.done = found;
    flow_log_find(log_flow(w.log), &asked.find);
    world_until(&w, world_is_set, &asked.answered);
    assert_code(asked.find.error, NOT_FOUND);
    fill(&w, 0, 140);
    world_until(&w, all_sealed, &w);
    w.reader.closed = true;
    send(&w, &asked, 1500);
    world_deliver(&w);
    assert_false(asked.answered);
    world_send_stop(&w);
    world_deliver(&w);
    assert_false(w.is_stopped);
    gate_open(&w.reader);
    world_until(&w, world_is_set, &w.is_stopped);
    world_until(&w, world_is_set, &asked.answered);
    assert_code(asked.find.error, CANCELLED);
    world_done(&w);
}

static void a_search_whose_records_expire_goes_on_behind_them(void **state)
{
    (void)state;
    struct world w;
    struct asked_find asked;
    struct asked start;
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 0, 140);
    world_until(&w, all_sealed, &w);
    w.reader.closed = true;
    send(&w, &asked, 1000);
    world_deliver(&w);
    asked_init(&start, &w);
    start.topic =
        (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 137};
    start.commit.topics = &start.topic;
    start.commit.topic_count = 1;
    assert_code(asked_commit(&start), OK);
    gate_open(&w.reader);
    world_until(&w, world_is_set, &asked.answered);
    assert_code(asked.find.error, OK);
    assert_int_equal(asked.find.offset, 137);
    world_done(&w);
}

static void any_allocation_or_read_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 0, 140);
    world_until(&w, all_sealed, &w);
    bool more = true;
    uint32_t failures = 0;
    for (uint64_t n = 1; more; n++) {
        struct asked_find asked;
        uint64_t k = (n + 1) / 2;
        if (n % 2)
            mem_fail_after(k);
        else
            sim_disk_fail_after(w.disk, k, ERR_IO);
        err_t err = find(&w, &asked, 1105);
        mem_fail_after(0);
        sim_disk_fail_after(w.disk, 0, ERR_OK);
        assert_true(err_is_ok(err) || err_is(err, n % 2 ? ERR_MEMORY : ERR_IO));
        if (err_is_ok(err))
            assert_int_equal(asked.find.offset, 11);
        failures += err_is_ok(err) ? 0 : 1;
        more = n < 40;
    }
    assert_true(failures >= 5);
    assert_finds_all(&w, 0, 140);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_partition_has_its_end),
        cmocka_unit_test(what_holds_no_record_has_no_time),
        cmocka_unit_test(the_first_record_with_the_time_is_found_wherever_it_lies),
        cmocka_unit_test(what_is_before_the_start_is_not_found),
        cmocka_unit_test(a_time_that_only_records_before_the_start_have_is_not_found),
        cmocka_unit_test(the_first_record_with_the_highest_time_is_found),
        cmocka_unit_test(the_highest_of_times_at_either_end_is_found),
        cmocka_unit_test(a_partition_that_is_not_there_and_a_stop_are_told),
        cmocka_unit_test(a_search_whose_records_expire_goes_on_behind_them),
        cmocka_unit_test(any_allocation_or_read_may_fail),
    };
    return cmocka_run_group_tests_name("log/find", tests, NULL, NULL);
}
