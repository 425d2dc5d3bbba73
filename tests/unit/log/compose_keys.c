#include "log/log_int.h"

#include "unit/log/keys.h"

static void begin(struct world *w, uint64_t seed)
{
    world_init(w, seed);
    world_begin(w);
    assert_code(keys_configure(w, 3600000, UINT64_C(64) << 20), OK);
}

static void a_key_counts_once_in_one_commit_and_over_commits(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 2, 1, 0, 0, 2}, 6), 2);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){3, 2, 0}, 3), 1);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 2, 3}, 3), 3);
    assert_int_equal(world_end(&w, 1, 0), 4 + 2);
    assert_int_equal(keyed_topic(&w)->duplicates, 6);
    assert_int_equal(keyed_topic(&w)->received, 12);
    assert_balanced(&w);
    world_done(&w);
}

static void what_is_left_is_read_without_a_hole(void **state)
{
    (void)state;
    struct world w;
    struct asked_read read;
    struct flow_batch batch;
    struct flow_record record;
    begin(&w, 2);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1}, 1), 0);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 5, 1, 6, 1}, 5), 3);
    assert_code(world_read(&w, &read, 1, 100000), OK);
    assert_int_equal(read.read.batch_count, 1);
    assert_code(flow_batch_parse(read.read.batches[0], &batch), OK);
    assert_code(flow_batch_check(&batch), OK);
    assert_int_equal(batch.record_count, 2);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    for (int64_t offset = 1; offset < 3; offset++) {
        assert_code(flow_batch_next(&it, &record), OK);
        assert_int_equal(record.offset, offset);
    }
    assert_code(flow_batch_next(&it, &record), END);
    world_release(&w, &read);
    world_done(&w);
}

/* What a producer has built: its offsets are its own, so the last one counts also where its record
 * is left out. */
static void what_is_left_of_a_batch_with_holes_keeps_its_offsets(void **state)
{
    (void)state;
    struct world w;
    struct keyed keyed;
    struct asked_read read;
    struct flow_batch batch;
    struct flow_record record;
    begin(&w, 12);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1}, 1), 0);
    keyed_init(&keyed, &w, (const uint64_t[]){5, 1, 6, 5, 1}, 5);
    keyed.asked.appends[0].holes = true;
    asked_send(&keyed.asked);
    assert_int_equal(keyed_end(&keyed), 3);
    assert_int_equal(keyed.asked.appends[0].base_offset, 1);
    assert_int_equal(world_end(&w, 1, 0), 6);
    assert_int_equal(log_state_partition(&w.log->state, 1, 0)->records, 3);
    /* All of it was there: its offsets are given all the same. */
    keyed_init(&keyed, &w, (const uint64_t[]){5, 6}, 2);
    keyed.asked.appends[0].holes = true;
    asked_send(&keyed.asked);
    assert_int_equal(keyed_end(&keyed), 2);
    assert_int_equal(keyed.asked.appends[0].base_offset, 6);
    assert_int_equal(world_end(&w, 1, 0), 8);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){7}, 1), 0);
    assert_int_equal(world_end(&w, 1, 0), 9);
    for (int life = 0; life < 3; life++) {
        assert_code(world_read(&w, &read, 1, 100000), OK);
        assert_int_equal(read.read.batch_count, 3);
        assert_code(flow_batch_parse(read.read.batches[1], &batch), OK);
        assert_code(flow_batch_check(&batch), OK);
        assert_int_equal(batch.base_offset, 6);
        assert_int_equal(batch.last_offset_delta, 1);
        assert_int_equal(batch.record_count, 0);
        assert_int_equal(batch.max_timestamp_ms, -1);
        assert_code(flow_batch_parse(read.read.batches[0], &batch), OK);
        assert_code(flow_batch_check(&batch), OK);
        assert_int_equal(batch.last_offset_delta, 4);
        struct flow_batch_iterator it = flow_batch_records(&batch);
        for (int64_t offset = 1; offset <= 3; offset += 2) {
            assert_code(flow_batch_next(&it, &record), OK);
            assert_int_equal(record.offset, offset);
        }
        assert_code(flow_batch_next(&it, &record), END);
        world_release(&w, &read);
        /* Where there is no record, what comes next is found. */
        assert_code(world_read(&w, &read, 5, 100000), OK);
        assert_true(read.read.batch_count > 0);
        world_release(&w, &read);
        assert_balanced(&w);
        if (life == 0)
            world_lose_power(&w);
        else
            world_stop(&w);
        world_open(&w);
    }
    world_done(&w);
}

/* Two commits of one key, while the first of them is being flushed. */
static void two_in_flight(struct world *w, struct keyed two[static 2])
{
    w->flusher.closed = true;
    keyed_init(&two[0], w, (const uint64_t[]){1, 2}, 2);
    keyed_init(&two[1], w, (const uint64_t[]){2, 1}, 2);
    asked_send(&two[0].asked);
    world_deliver(w);
    asked_send(&two[1].asked);
    world_deliver(w);
}

static void a_duplicate_waits_for_the_flush_of_what_it_repeats(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct world w;
        struct keyed two[2];
        world_init(&w, 3);
        w.options.early_answers = early;
        w.options.early_bytes = 1u << 20;
        w.options.early_delay_ms = 10000;
        world_begin(&w);
        assert_code(keys_configure(&w, 3600000, UINT64_C(64) << 20), OK);
        two_in_flight(&w, two);
        assert_int_equal(two[0].asked.answered, early);
        assert_false(two[1].asked.answered);
        gate_open(&w.flusher);
        assert_int_equal(keyed_end(&two[1]), 2);
        assert_int_equal(keyed_end(&two[0]), 0);
        assert_int_equal(world_end(&w, 1, 0), 2);
        assert_balanced(&w);
        world_done(&w);
    }
}

static void a_duplicate_fails_with_what_it_repeats_and_the_key_is_free_again(void **state)
{
    (void)state;
    struct world w;
    struct keyed two[2];
    begin(&w, 4);
    two_in_flight(&w, two);
    sim_disk_fail_after(w.disk, 1, ERR_IO);
    gate_open(&w.flusher);
    for (int i = 0; i < 2; i++) {
        assert_code(asked_wait(&two[i].asked), FENCED);
        asked_done(&two[i].asked);
    }
    sim_disk_fail_after(w.disk, 0, ERR_OK);
    world_settle(&w);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 2}, 2), 0);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 2}, 2), 2);
    assert_balanced(&w);
    world_done(&w);
}

static void keys_are_known_after_a_crash_and_after_a_stop(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 5);
    assert_int_equal(keyed_run(&w, 1, 500), 0);
    world_lose_power(&w);
    world_open(&w);
    assert_int_equal(keyed_run(&w, 1, 500), 500);
    assert_int_equal(keyed_run(&w, 501, 100), 0);
    world_stop(&w);
    world_open(&w);
    assert_int_equal(keyed_run(&w, 1, 600), 600);
    assert_balanced(&w);
    world_done(&w);
}

static void a_topic_that_is_told_so_forgets_its_keys(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 6);
    assert_int_equal(keyed_run(&w, 1, 20), 0);
    assert_code(keys_configure(&w, 0, 0), OK);
    assert_null(keyed_topic(&w)->keys);
    assert_int_equal(keyed_run(&w, 1, 20), 0);
    assert_code(keys_configure(&w, 3600000, 1u << 20), OK);
    assert_int_equal(keyed_run(&w, 1, 20), 0);
    /* Another window alone keeps them. */
    assert_code(keys_configure(&w, 7200000, 1u << 20), OK);
    assert_int_equal(keyed_run(&w, 1, 20), 20);
    assert_balanced(&w);
    world_done(&w);
}

static void a_change_of_the_configuration_waits_for_keys_on_their_way(void **state)
{
    (void)state;
    struct world w;
    struct keyed first;
    struct keyed last;
    struct asked change;
    begin(&w, 7);
    w.flusher.closed = true;
    keyed_init(&first, &w, (const uint64_t[]){1}, 1);
    asked_send(&first.asked);
    world_deliver(&w);
    asked_init(&change, &w);
    change.topic = (struct flow_topic_change){.op = FLOW_TOPIC_CONFIG, .topic_id = 1};
    change.commit.topics = &change.topic;
    change.commit.topic_count = 1;
    asked_send(&change);
    keyed_init(&last, &w, (const uint64_t[]){1}, 1);
    asked_send(&last.asked);
    world_deliver(&w);
    assert_null(w.log->open);
    gate_open(&w.flusher);
    assert_int_equal(keyed_end(&first), 0);
    assert_code(asked_wait(&change), OK);
    assert_int_equal(keyed_end(&last), 0);
    assert_balanced(&w);
    world_done(&w);
}

static void keys_without_a_count_or_room_for_the_answer_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct keyed keyed;
    begin(&w, 8);
    keyed_init(&keyed, &w, (const uint64_t[]){1}, 1);
    keyed.asked.commit.count_count = 0;
    assert_code(asked_commit(&keyed.asked), INVALID);
    asked_done(&keyed.asked);
    keyed_init(&keyed, &w, (const uint64_t[]){1}, 1);
    keyed.asked.appends[0].duplicates = NULL;
    assert_code(asked_commit(&keyed.asked), INVALID);
    asked_done(&keyed.asked);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1}, 1), 0);
    world_done(&w);
}

static void without_memory_a_commit_is_refused_whole(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        struct world w;
        struct keyed keyed;
        begin(&w, 9);
        uint64_t numbers[KEYED_MAX];
        for (uint32_t i = 0; i < KEYED_MAX; i++)
            numbers[i] = i + 1;
        keyed_init(&keyed, &w, numbers, KEYED_MAX);
        asked_send(&keyed.asked);
        mem_fail_after(n);
        err_t err = asked_wait(&keyed.asked);
        mem_fail_after(0);
        asked_done(&keyed.asked);
        if (!err_is_ok(err))
            assert_code(err, MEMORY);
        assert_int_equal(keyed_run(&w, 1, KEYED_MAX), err_is_ok(err) ? KEYED_MAX : 0);
        assert_balanced(&w);
        world_done(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_counts_once_in_one_commit_and_over_commits),
        cmocka_unit_test(what_is_left_is_read_without_a_hole),
        cmocka_unit_test(what_is_left_of_a_batch_with_holes_keeps_its_offsets),
        cmocka_unit_test(a_duplicate_waits_for_the_flush_of_what_it_repeats),
        cmocka_unit_test(a_duplicate_fails_with_what_it_repeats_and_the_key_is_free_again),
        cmocka_unit_test(keys_are_known_after_a_crash_and_after_a_stop),
        cmocka_unit_test(a_topic_that_is_told_so_forgets_its_keys),
        cmocka_unit_test(a_change_of_the_configuration_waits_for_keys_on_their_way),
        cmocka_unit_test(keys_without_a_count_or_room_for_the_answer_are_refused),
        cmocka_unit_test(without_memory_a_commit_is_refused_whole),
    };
    return cmocka_run_group_tests_name("log/compose_keys", tests, NULL, NULL);
}
