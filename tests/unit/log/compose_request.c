#include "log/log_int.h"

#include "unit/log/once.h"

static void begin(struct world *w, uint64_t seed)
{
    world_init(w, seed);
    world_begin(w);
}

static void a_repeat_is_counted_and_not_appended(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    begin(&w, 1);
    assert_code(once_number(&w, 1, 0, 3, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_code(once_number(&w, 1, 0, 3, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_REPEAT);
    assert_code(once_key(&w, 1, 1, 5, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_code(once_key(&w, 1, 1, 5, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_REPEAT);
    assert_int_equal(world_end(&w, 1, 0), 8);
    assert_int_equal(keyed_topic(&w)->received, 16);
    assert_int_equal(keyed_topic(&w)->duplicates, 8);
    assert_balanced(&w);
    world_done(&w);
}

static void a_gap_and_another_body_leave_no_trace(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    begin(&w, 2);
    assert_code(once_number(&w, 1, 1, 3, &result), SEQUENCE_GAP);
    assert_code(once_key(&w, 1, 1, 1, &result), OK);
    assert_code(once_key(&w, 1, 2, 4, &result), KEY_REUSED);
    assert_int_equal(result, FLOW_REQUEST_OTHER_BODY);
    assert_int_equal(keyed_topic(&w)->received, 1);
    assert_int_equal(world_end(&w, 1, 0), 1);
    /* A number without records takes its place all the same. */
    assert_code(once_number(&w, 1, 0, 0, &result), OK);
    assert_code(once_number(&w, 1, 1, 3, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_balanced(&w);
    world_done(&w);
}

static void what_was_decided_outlives_a_crash_a_stop_and_a_checkpoint(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    begin(&w, 3);
    for (uint64_t n = 0; n < 4; n++) {
        assert_code(once_number(&w, 1, n, 2, &result), OK);
        assert_int_equal(result, FLOW_REQUEST_FIRST);
        assert_code(once_key(&w, n, n, 2, &result), OK);
        if (n % 2 == 0) {
            world_lose_power(&w);
        } else {
            world_stop(&w);
        }
        world_open(&w);
        for (uint64_t past = 0; past <= n; past++) {
            assert_code(once_number(&w, 1, past, 2, &result), OK);
            assert_int_equal(result, FLOW_REQUEST_REPEAT);
            assert_code(once_key(&w, past, past, 2, &result), OK);
            assert_int_equal(result, FLOW_REQUEST_REPEAT);
            assert_code(once_key(&w, past, past + 1, 2, &result), KEY_REUSED);
        }
        assert_code(once_number(&w, 1, n + 2, 2, &result), SEQUENCE_GAP);
    }
    assert_int_equal(world_end(&w, 1, 0), 16);
    assert_balanced(&w);
    world_done(&w);
}

/* A first one is being flushed; behind it come its repeat and what contradicts it. */
static void four_in_flight(struct world *w, struct once four[static 4])
{
    w->flusher.closed = true;
    once_numbered(&four[0], w, 1, 0, 2);
    asked_send(&four[0].asked);
    world_deliver(w);
    once_keyed(&four[1], w, 1, 1, 2);
    once_numbered(&four[2], w, 1, 0, 2);
    once_numbered(&four[3], w, 1, 2, 2);
    for (int i = 1; i < 4; i++)
        asked_send(&four[i].asked);
    world_deliver(w);
}

static void answers_wait_for_the_flush_of_what_they_depend_on(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct world w;
        struct once four[4];
        world_init(&w, 4);
        w.options.early_answers = early;
        w.options.early_bytes = 1u << 20;
        /* Timers run while it waits. */
        w.options.early_delay_ms = 86400000;
        world_begin(&w);
        four_in_flight(&w, four);
        assert_int_equal(four[0].asked.answered, early);
        assert_int_equal(four[1].asked.answered, early);
        assert_false(four[2].asked.answered);
        assert_false(four[3].asked.answered);
        gate_open(&w.flusher);
        assert_code(once_end(&four[0]), OK);
        assert_code(once_end(&four[1]), OK);
        assert_code(once_end(&four[2]), OK);
        assert_code(once_end(&four[3]), SEQUENCE_GAP);
        assert_int_equal(four[2].request.result, FLOW_REQUEST_REPEAT);
        assert_int_equal(four[3].request.expected, 1);
        assert_balanced(&w);
        world_done(&w);
    }
}

static void a_gap_waits_for_the_frame_in_flight_where_none_is_open(void **state)
{
    (void)state;
    struct world w;
    struct once first;
    struct once gap;
    begin(&w, 5);
    w.flusher.closed = true;
    once_numbered(&first, &w, 1, 0, 2);
    asked_send(&first.asked);
    world_deliver(&w);
    once_numbered(&gap, &w, 1, 5, 2);
    asked_send(&gap.asked);
    world_deliver(&w);
    assert_null(w.log->open);
    assert_false(gap.asked.answered);
    gate_open(&w.flusher);
    assert_code(once_end(&gap), SEQUENCE_GAP);
    assert_code(once_end(&first), OK);
    world_done(&w);
}

static void answers_fail_with_the_flush_and_all_may_be_sent_again(void **state)
{
    (void)state;
    struct world w;
    struct once four[4];
    enum flow_request_result result;
    begin(&w, 6);
    four_in_flight(&w, four);
    sim_disk_fail_after(w.disk, 1, ERR_IO);
    gate_open(&w.flusher);
    for (int i = 0; i < 4; i++)
        assert_code(once_end(&four[i]), FENCED);
    sim_disk_fail_after(w.disk, 0, ERR_OK);
    world_settle(&w);
    assert_code(once_number(&w, 1, 2, 2, &result), SEQUENCE_GAP);
    assert_code(once_number(&w, 1, 0, 2, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_code(once_key(&w, 1, 2, 2, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_balanced(&w);
    world_done(&w);
}

static void records_with_keys_are_held_against_theirs_too(void **state)
{
    (void)state;
    struct world w;
    struct keyed first;
    struct flow_request request = {.kind = FLOW_REQUEST_NUMBERED, .topic_id = 1, .id = key_of(1)};
    begin(&w, 7);
    assert_code(keys_configure(&w, 3600000, UINT64_C(64) << 20), OK);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 2}, 2), 0);
    for (int again = 0; again < 2; again++) {
        keyed_init(&first, &w, (const uint64_t[]){2, 3}, 2);
        first.asked.commit.request = &request;
        asked_send(&first.asked);
        assert_int_equal(keyed_end(&first), again ? 0 : 1);
        assert_int_equal(request.result, again ? FLOW_REQUEST_REPEAT : FLOW_REQUEST_FIRST);
    }
    assert_int_equal(keyed_topic(&w)->duplicates, 3);
    assert_int_equal(keyed_topic(&w)->received, 6);
    assert_balanced(&w);
    world_done(&w);
}

static void what_a_request_cannot_be_with_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct once once;
    begin(&w, 8);
    once_numbered(&once, &w, 1, FLOW_SEQUENCE_MAX + 1, 2);
    asked_send(&once.asked);
    assert_code(once_end(&once), INVALID);
    once_numbered(&once, &w, 1, 0, 2);
    once.asked.commit.count_count = 0;
    asked_send(&once.asked);
    assert_code(once_end(&once), INVALID);
    once_numbered(&once, &w, 1, 0, 2);
    once.request.topic_id = 2;
    asked_send(&once.asked);
    assert_code(once_end(&once), INVALID);
    once_keyed(&once, &w, 1, 1, 2);
    once.request.answer.size = FLOW_ANSWER_MAX + 1;
    asked_send(&once.asked);
    assert_code(once_end(&once), INVALID);
    once_keyed(&once, &w, 1, 1, 2);
    once.request.kept = NULL;
    asked_send(&once.asked);
    assert_code(once_end(&once), INVALID);
    world_done(&w);
}

static void a_deleted_topic_takes_its_requests_with_it(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    enum flow_request_result result;
    begin(&w, 9);
    assert_code(once_number(&w, 1, 0, 2, &result), OK);
    for (uint32_t id = 2; id > 0; id--) {
        asked_init(&asked, &w);
        asked.topic = (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = id};
        asked.commit.topics = &asked.topic;
        asked.commit.topic_count = 1;
        assert_code(asked_commit(&asked), OK);
    }
    assert_code(once_number(&w, 1, 1, 2, &result), NOT_FOUND);
    world_stop(&w);
    world_open(&w);
    world_done(&w);
}

static void without_memory_a_request_is_refused_whole(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 10; n++) {
        struct world w;
        struct once once;
        enum flow_request_result result;
        begin(&w, 10);
        once_numbered(&once, &w, 1, 0, 2);
        asked_send(&once.asked);
        mem_fail_after(n);
        err_t err = once_end(&once);
        mem_fail_after(0);
        /* The disk, too, is in memory here. */
        world_settle(&w);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY) || err_is(err, ERR_FENCED));
        assert_code(once_number(&w, 1, 0, 2, &result), OK);
        assert_int_equal(result, err_is_ok(err) ? FLOW_REQUEST_REPEAT : FLOW_REQUEST_FIRST);
        assert_int_equal(world_end(&w, 1, 0), 2);
        assert_balanced(&w);
        world_done(&w);
    }
}

static void a_producers_batch_that_comes_again_is_told_where_it_lies(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    begin(&w, 11);
    for (int32_t n = 0; n < 7; n++) {
        assert_int_equal(once_sequence(&w, 5, 0, n * 3, 3, &result), n * 3);
        assert_int_equal(result, FLOW_REQUEST_FIRST);
    }
    for (int life = 0; life < 4; life++) {
        for (int32_t n = 0; n < 7; n++) {
            assert_int_equal(once_sequence(&w, 5, 0, n * 3, 3, &result), n < 2 ? -1 : n * 3);
            assert_int_equal(result, FLOW_REQUEST_REPEAT);
        }
        once_sequence(&w, 5, 0, 22, 3, &result);
        assert_int_equal(result, FLOW_REQUEST_GAP);
        /* By the frames, by a checkpoint, and by both. */
        if (life % 2 == 0)
            world_lose_power(&w);
        else
            world_stop(&w);
        world_open(&w);
    }
    assert_int_equal(once_sequence(&w, 5, 1, 0, 3, &result), 21);
    once_sequence(&w, 5, 0, 21, 3, &result);
    assert_int_equal(result, FLOW_REQUEST_OLD_EPOCH);
    assert_int_equal(world_end(&w, 1, 0), 24);
    assert_int_equal(keyed_topic(&w)->received, 8 * 3 + 4 * 7 * 3);
    assert_int_equal(keyed_topic(&w)->duplicates, 4 * 7 * 3);
    assert_balanced(&w);
    world_done(&w);
}

static void batches_on_their_way_are_answered_with_their_flush(void **state)
{
    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        struct world w;
        struct once four[4];
        enum flow_request_result result;
        begin(&w, 12);
        w.flusher.closed = true;
        once_sequenced(&four[0], &w, 5, 0, 0, 2);
        asked_send(&four[0].asked);
        world_deliver(&w);
        once_sequenced(&four[1], &w, 5, 0, 2, 2);
        once_sequenced(&four[2], &w, 5, 0, 0, 2);
        once_sequenced(&four[3], &w, 5, 0, 5, 2);
        for (int i = 1; i < 4; i++)
            asked_send(&four[i].asked);
        world_deliver(&w);
        for (int i = 0; i < 4; i++)
            assert_false(four[i].asked.answered);
        if (fails)
            sim_disk_fail_after(w.disk, 1, ERR_IO);
        gate_open(&w.flusher);
        for (int i = 0; i < 4; i++) {
            err_t err = once_end(&four[i]);
            assert_string_equal(err_name(err), fails ? "FENCED" : i == 3 ? "SEQUENCE_GAP" : "OK");
        }
        assert_int_equal(four[2].request.result, FLOW_REQUEST_REPEAT);
        assert_int_equal(four[2].request.base_offset, 0);
        sim_disk_fail_after(w.disk, 0, ERR_OK);
        world_settle(&w);
        /* What never was on the disk never was. */
        assert_int_equal(once_sequence(&w, 5, 0, 0, 2, &result), 0);
        assert_int_equal(result, fails ? FLOW_REQUEST_FIRST : FLOW_REQUEST_REPEAT);
        assert_int_equal(once_sequence(&w, 5, 0, 2, 2, &result), 2);
        assert_int_equal(result, fails ? FLOW_REQUEST_FIRST : FLOW_REQUEST_REPEAT);
        assert_balanced(&w);
        world_done(&w);
    }
}

/* Of a batch of two records with keys. */
static int64_t sequenced_with_keys(struct world *w, int32_t first, uint64_t a, uint64_t b,
                                   enum flow_request_result *result)
{
    struct once once;
    struct flow_fingerprint keys[2] = {key_of(a), key_of(b)};
    uint8_t duplicates[1];
    once_sequenced(&once, w, 5, 0, first, 2);
    once.asked.appends[0].keys = keys;
    once.asked.appends[0].duplicates = duplicates;
    asked_send(&once.asked);
    assert_code(once_end(&once), OK);
    *result = once.request.result;
    return once.request.base_offset;
}

static void what_is_left_out_of_a_batch_keeps_its_numbers(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    begin(&w, 13);
    assert_code(keys_configure(&w, 3600000, UINT64_C(64) << 20), OK);
    assert_int_equal(sequenced_with_keys(&w, 0, 1, 2, &result), 0);
    assert_int_equal(sequenced_with_keys(&w, 2, 2, 3, &result), 2);
    /* Nothing is left of it but its place. */
    assert_int_equal(sequenced_with_keys(&w, 4, 1, 2, &result), 4);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_int_equal(world_end(&w, 1, 0), 6);
    world_lose_power(&w);
    world_open(&w);
    assert_int_equal(world_end(&w, 1, 0), 6);
    assert_int_equal(sequenced_with_keys(&w, 4, 1, 2, &result), 4);
    assert_int_equal(result, FLOW_REQUEST_REPEAT);
    assert_int_equal(sequenced_with_keys(&w, 2, 2, 3, &result), 2);
    assert_int_equal(result, FLOW_REQUEST_REPEAT);
    /* The last one's offset is nobody else's, whether its key was there or not. */
    assert_int_equal(sequenced_with_keys(&w, 6, 4, 3, &result), 6);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_int_equal(world_end(&w, 1, 0), 8);
    assert_int_equal(sequenced_with_keys(&w, 8, 5, 6, &result), 8);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_int_equal(log_state_partition(&w.log->state, 1, 0)->records, 6);
    assert_balanced(&w);
    world_done(&w);
}

/* The last of three records has become a dead letter on its way here. */
static void without_last(struct once *once)
{
    struct flow_append *append = &once->asked.appends[0];
    struct flow_batch batch;
    uint8_t rest[512];
    const uint8_t left_out = 4;
    assert_code(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch), OK);
    assert_true(append->batch_size <= sizeof rest);
    append->batch_size = flow_batch_without(&batch, &left_out, true, rest);
    memcpy(append->batch, rest, append->batch_size);
    append->record_count = 2;
    once->asked.commit.counts[0].received = 2;
}

/* Two batches that are on their way at the same time, each without its last record: by its key, or
 * as it came. */
static void an_offset_that_a_batch_is_without_is_nobody_elses(void **state)
{
    (void)state;
    for (int keyed = 0; keyed < 2; keyed++) {
        struct world w;
        struct once once[3];
        struct flow_fingerprint keys[3][3];
        uint8_t duplicates[3][1];
        begin(&w, 19);
        if (keyed)
            assert_code(keys_configure(&w, 3600000, UINT64_C(64) << 20), OK);
        w.flusher.closed = true;
        for (int i = 0; i < 3; i++) {
            once_sequenced(&once[i], &w, 5, 0, 3 * i, 3);
            for (int k = 0; k < 3; k++)
                keys[i][k] = key_of((uint64_t)(k < 2 ? 10 * i + k : 10 * i));
            once[i].asked.appends[0].keys = keyed ? keys[i] : NULL;
            once[i].asked.appends[0].duplicates = keyed ? duplicates[i] : NULL;
            if (!keyed)
                without_last(&once[i]);
            asked_send(&once[i].asked);
            world_deliver(&w);
        }
        gate_open(&w.flusher);
        for (int i = 0; i < 3; i++) {
            assert_code(once_end(&once[i]), OK);
            assert_int_equal(once[i].request.base_offset, 3 * i);
        }
        world_settle(&w);
        world_lose_power(&w);
        world_open(&w);
        assert_int_equal(world_end(&w, 1, 0), 9);
        assert_balanced(&w);
        world_done(&w);
    }
}

static void a_batch_that_is_not_what_its_numbers_say_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct once once;
    begin(&w, 14);
    for (int i = 0; i < 10; i++) {
        once_sequenced(&once, &w, 5, 0, 0, 2);
        uint32_t appends = once.asked.commit.append_count;
        struct flow_sequence *batch = &once.request.batch;
        if (i == 0)
            batch->producer_id = 6;
        else if (i == 1)
            batch->epoch = 1;
        else if (i == 2)
            batch->first = 1;
        else if (i == 3)
            batch->count = 3;
        else if (i == 4)
            batch->partition++;
        else if (i == 5)
            once.asked.appends[0].holes = false;
        else if (i == 6)
            once.asked.commit.count_count = 0;
        else if (i == 7)
            once.request.refused = true;
        else if (i == 8)
            once.asked.commit.append_count = 0;
        else
            batch->count = 0;
        asked_send(&once.asked);
        assert_code(asked_wait(&once.asked), INVALID);
        once.asked.commit.append_count = appends;
        asked_done(&once.asked);
    }
    /* Refused, in a partition that there is not. */
    once_sequenced(&once, &w, 5, 0, 0, 2);
    once.asked.commit.append_count = 0;
    once.request.refused = true;
    once.request.batch.partition = 1000;
    asked_send(&once.asked);
    assert_code(asked_wait(&once.asked), NOT_FOUND);
    once.asked.commit.append_count = 1;
    asked_done(&once.asked);
    assert_int_equal(w.log->state.sequences.pairs.count, 0);
    world_done(&w);
}

/* Nothing of it comes along but its numbers and its count. */
static enum flow_request_result refuse(struct world *w, int32_t first, int64_t *base_offset)
{
    struct once once;
    once_sequenced(&once, w, 5, 0, first, 2);
    once.request.refused = true;
    uint32_t appends = once.asked.commit.append_count;
    once.asked.commit.append_count = 0;
    once.asked.commit.counts[0].refused = 2;
    asked_send(&once.asked);
    assert_code(asked_wait(&once.asked), OK);
    *base_offset = once.request.base_offset;
    once.asked.commit.append_count = appends;
    asked_done(&once.asked);
    assert_balanced(w);
    return once.request.result;
}

static void a_refused_batch_that_was_there_is_told_where_it_lies(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    int64_t base_offset;
    begin(&w, 18);
    assert_int_equal(once_sequence(&w, 5, 0, 0, 2, &result), 0);
    assert_int_equal(once_sequence(&w, 5, 0, 2, 2, &result), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(refuse(&w, 2, &base_offset), FLOW_REQUEST_REPEAT);
        assert_int_equal(base_offset, 2);
        /* The next one, and one that is too early, are refused and take no numbers. */
        assert_int_equal(refuse(&w, 4, &base_offset), FLOW_REQUEST_FIRST);
        assert_int_equal(refuse(&w, 40, &base_offset), FLOW_REQUEST_FIRST);
        assert_int_equal(base_offset, -1);
        world_lose_power(&w);
        world_open(&w);
    }
    assert_int_equal(once_sequence(&w, 5, 0, 4, 2, &result), 4);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    assert_int_equal(world_end(&w, 1, 0), 6);
    world_done(&w);
}

static int64_t give_id(struct world *w)
{
    struct asked asked;
    asked_init(&asked, w);
    asked.commit.gives_producer_id = true;
    assert_code(asked_commit(&asked), OK);
    return asked.commit.producer_id;
}

static void producer_ids_are_given_once(void **state)
{
    (void)state;
    struct world w;
    int64_t last = -1;
    world_init(&w, 15);
    w.options.early_answers = true;
    w.options.early_bytes = 1u << 20;
    w.options.early_delay_ms = 10000;
    world_begin(&w);
    for (int n = 0; n < 8; n++) {
        int64_t id = give_id(&w);
        assert_true(id > last);
        last = id;
        if (n % 4 == 1)
            world_lose_power(&w);
        if (n % 4 == 3)
            world_stop(&w);
        if (n % 2 == 1)
            world_open(&w);
    }
    /* Not told before it is on the disk. */
    struct asked asked;
    w.flusher.closed = true;
    asked_init(&asked, &w);
    asked.commit.gives_producer_id = true;
    asked_send(&asked);
    world_deliver(&w);
    assert_false(asked.answered);
    gate_open(&w.flusher);
    assert_code(asked_wait(&asked), OK);
    assert_true(asked.commit.producer_id > last);
    asked_done(&asked);
    world_done(&w);
}

static void a_deleted_topic_takes_its_producers_with_it(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    enum flow_request_result result;
    begin(&w, 16);
    once_sequence(&w, 5, 0, 0, 2, &result);
    assert_int_equal(w.log->state.sequences.pairs.count, 1);
    for (uint32_t id = 2; id > 0; id--) {
        asked_init(&asked, &w);
        asked.topic = (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = id};
        asked.commit.topics = &asked.topic;
        asked.commit.topic_count = 1;
        assert_code(asked_commit(&asked), OK);
    }
    assert_int_equal(w.log->state.sequences.pairs.count, 0);
    world_stop(&w);
    world_open(&w);
    assert_int_equal(w.log->state.sequences.pairs.count, 0);
    world_done(&w);
}

static void without_memory_a_batch_is_refused_whole(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 10; n++) {
        struct world w;
        struct once once;
        enum flow_request_result result;
        begin(&w, 17);
        once_sequenced(&once, &w, 5, 0, 0, 2);
        asked_send(&once.asked);
        mem_fail_after(n);
        err_t err = once_end(&once);
        mem_fail_after(0);
        world_settle(&w);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY) || err_is(err, ERR_FENCED));
        assert_int_equal(once_sequence(&w, 5, 0, 0, 2, &result), 0);
        assert_int_equal(result, err_is_ok(err) ? FLOW_REQUEST_REPEAT : FLOW_REQUEST_FIRST);
        assert_int_equal(world_end(&w, 1, 0), 2);
        assert_balanced(&w);
        world_done(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repeat_is_counted_and_not_appended),
        cmocka_unit_test(a_gap_and_another_body_leave_no_trace),
        cmocka_unit_test(what_was_decided_outlives_a_crash_a_stop_and_a_checkpoint),
        cmocka_unit_test(answers_wait_for_the_flush_of_what_they_depend_on),
        cmocka_unit_test(a_gap_waits_for_the_frame_in_flight_where_none_is_open),
        cmocka_unit_test(answers_fail_with_the_flush_and_all_may_be_sent_again),
        cmocka_unit_test(records_with_keys_are_held_against_theirs_too),
        cmocka_unit_test(what_a_request_cannot_be_with_is_refused),
        cmocka_unit_test(a_deleted_topic_takes_its_requests_with_it),
        cmocka_unit_test(without_memory_a_request_is_refused_whole),
        cmocka_unit_test(a_producers_batch_that_comes_again_is_told_where_it_lies),
        cmocka_unit_test(batches_on_their_way_are_answered_with_their_flush),
        cmocka_unit_test(what_is_left_out_of_a_batch_keeps_its_numbers),
        cmocka_unit_test(an_offset_that_a_batch_is_without_is_nobody_elses),
        cmocka_unit_test(a_batch_that_is_not_what_its_numbers_say_is_refused),
        cmocka_unit_test(a_refused_batch_that_was_there_is_told_where_it_lies),
        cmocka_unit_test(producer_ids_are_given_once),
        cmocka_unit_test(a_deleted_topic_takes_its_producers_with_it),
        cmocka_unit_test(without_memory_a_batch_is_refused_whole),
    };
    return cmocka_run_group_tests_name("log/compose_request", tests, NULL, NULL);
}
