#include "unit/flow/hollow.h"
#include "unit/serve/kafka/fetch_ask.h"

static const response_t *fetch(struct fixture *f, struct ask *ask)
{
    return fixture_ask(f, PROTO_KAFKA_FETCH, 12, &ask->request);
}

/* The answer to a part of the ask, by its place there. */
static const answer_t *part_of(const response_t *response, uint32_t part)
{
    assert_int_equal(response->responses.count, 2);
    assert_slice(response->responses.items[0].topic, "cars");
    assert_slice(response->responses.items[1].topic, "planes");
    assert_int_equal(response->responses.items[0].partitions.count, 2);
    assert_int_equal(response->responses.items[1].partitions.count, 1);
    return part < 2 ? &response->responses.items[0].partitions.items[part]
                    : &response->responses.items[1].partitions.items[0];
}

static void assert_records(const answer_t *answer, struct slice bytes)
{
    assert_int_equal(answer->error_code, SERVE_KAFKA_NONE);
    assert_non_null(answer->records.data);
    assert_true(slice_equal(answer->records, bytes));
}

static void assert_empty(const answer_t *answer)
{
    assert_records(answer, SLICE_LITERAL(""));
}

static void assert_refused(const answer_t *answer, int16_t code)
{
    assert_int_equal(answer->error_code, code);
    assert_int_equal(answer->records.size, 0);
}

static void batches_are_given_as_they_are_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct slice first = fixture_append(f, 0, 0, "first", 3);
    struct slice second = fixture_append(f, 1, 0, "second", 1);
    struct ask ask;
    ask_init(&ask);
    for (int16_t version = 4; version <= 12; version++) {
        const response_t *response = fixture_ask(f, PROTO_KAFKA_FETCH, version, &ask.request);
        assert_int_equal(response->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(response->session_id, 0);
        assert_records(part_of(response, 0), first);
        assert_int_equal(part_of(response, 0)->high_watermark, 3);
        assert_int_equal(part_of(response, 0)->last_stable_offset, 3);
        /* Consumers go and look for another end, or another leader, when there is one. */
        assert_int_equal(part_of(response, 0)->diverging_epoch.epoch, -1);
        assert_int_equal(part_of(response, 0)->diverging_epoch.end_offset, -1);
        assert_int_equal(part_of(response, 0)->current_leader.leader_id, -1);
        assert_int_equal(part_of(response, 0)->preferred_read_replica, -1);
        assert_empty(part_of(response, 1));
        assert_records(part_of(response, 2), second);
    }
    fixture_free(f);
}

static void an_offset_inside_a_batch_gets_the_whole_batch(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    fixture_append(f, 0, 0, "first", 3);
    struct slice second = fixture_append(f, 0, 0, "second", 3);
    ask_init(&ask);
    ask.parts[0].fetch_offset = 4;
    assert_records(part_of(fetch(f, &ask), 0), second);
    fixture_free(f);
}

static void the_first_batch_is_given_whatever_its_size(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    struct slice first = fixture_append(f, 0, 1, "larger than a byte", 1);
    fixture_append(f, 0, 1, "again", 1);
    fixture_append(f, 1, 0, "too", 1);
    ask_init(&ask);
    ask.request.max_bytes = 1;
    const response_t *response = fetch(f, &ask);
    assert_records(part_of(response, 1), first);
    assert_empty(part_of(response, 2));
    ask_init(&ask);
    for (size_t i = 0; i < 3; i++)
        ask.parts[i].partition_max_bytes = 1;
    response = fetch(f, &ask);
    assert_records(part_of(response, 1), first);
    assert_empty(part_of(response, 2));
    fixture_free(f);
}

static void a_limit_is_kept_to_the_byte_behind_the_first_batch(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    size_t size = fixture_append(f, 0, 0, "one", 1).size;
    fixture_append(f, 0, 0, "two", 1);
    fixture_append(f, 0, 1, "six", 1);
    fixture_append(f, 1, 0, "ten", 1);
    ask_init(&ask);
    for (size_t batches = 1; batches <= 4; batches++) {
        ask.request.max_bytes = (int32_t)(batches * size);
        const response_t *response = fetch(f, &ask);
        assert_int_equal(part_of(response, 0)->records.size, (batches == 1 ? 1 : 2) * size);
        assert_int_equal(part_of(response, 1)->records.size, batches >= 3 ? size : 0);
        assert_int_equal(part_of(response, 2)->records.size, batches >= 4 ? size : 0);
    }
    ask.request.max_bytes = (int32_t)(3 * size - 1);
    const response_t *response = fetch(f, &ask);
    assert_int_equal(part_of(response, 0)->records.size, 2 * size);
    assert_empty(part_of(response, 1));
    /* What was not read is said to end where it does. */
    assert_int_equal(part_of(response, 2)->high_watermark, 1);
    fixture_free(f);
}

static void what_has_no_records_is_a_marker_within_the_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    uint8_t empty[2][FLOW_BATCH_HEADER_SIZE], marker[FLOW_BATCH_MARKER_SIZE];
    struct flow_batch batch;
    const uint8_t all = UINT8_MAX;
    struct slice first = fixture_append(f, 0, 0, "first", 1);
    for (size_t i = 0; i < 2; i++) {
        struct slice whole = fixture_append(f, 0, 1, "gone", 2);
        assert_true(err_is_ok(flow_batch_parse(whole, &batch)));
        assert_int_equal(flow_batch_without(&batch, &all, true, empty[i]), sizeof(empty[i]));
        flow_batch_set_base_offset(empty[i], 2 * (int64_t)i);
        f->partitions[0][1].batches[i] = slice_make(empty[i], sizeof(empty[i]));
    }
    ask_init(&ask);
    const response_t *response = fetch(f, &ask);
    assert_records(part_of(response, 0), first);
    flow_batch_put_marker(marker, 3);
    assert_records(part_of(response, 1), slice_make(marker, sizeof(marker)));
    assert_int_equal(part_of(response, 1)->high_watermark, 4);
    ask.request.max_bytes = (int32_t)(first.size + sizeof(marker));
    response = fetch(f, &ask);
    flow_batch_put_marker(marker, 1);
    assert_records(part_of(response, 1), slice_make(marker, sizeof(marker)));
    ask.request.max_bytes--;
    assert_empty(part_of(fetch(f, &ask), 1));
    fixture_free(f);
}

/* However little of it goes out: a long run is not read for one answer. */
static void limits_count_what_a_marker_stands_for(void **state)
{
    (void)state;
    enum { COUNT = BATCHES - 1, WANTED = FLOW_READ_BATCHES + 6 };
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    static uint8_t empty[COUNT][FLOW_BATCH_HEADER_SIZE];
    uint8_t markers[2 * FLOW_BATCH_MARKER_SIZE];
    struct slice bytes = fixture_batch(f, "gone", 1);
    assert_int_equal(hollow((uint8_t *)(uintptr_t)bytes.data, bytes.size), sizeof(empty[0]));
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(empty[i], bytes.data, sizeof(empty[i]));
        flow_batch_set_base_offset(empty[i], (int64_t)i);
        fixture_append_bytes(f, 0, 0, slice_make(empty[i], sizeof(empty[i])), 1);
    }
    ask_init(&ask);
    ask.parts[0].partition_max_bytes = WANTED * (int32_t)FLOW_BATCH_MARKER_SIZE;
    flow_batch_put_marker(markers, FLOW_READ_BATCHES - 1);
    flow_batch_put_marker(markers + FLOW_BATCH_MARKER_SIZE, WANTED - 1);
    assert_records(part_of(fetch(f, &ask), 0), slice_make(markers, sizeof(markers)));
    fixture_free(f);
}

/* One read of the log brings 64 of them. */
static void many_small_batches_are_read_as_far_as_there_is_room(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    size_t size = 0;
    for (int i = 0; i < BATCHES; i++)
        size += fixture_append(f, 0, 0, "small", 1).size;
    struct slice other = fixture_append(f, 0, 1, "other", 1);
    ask_init(&ask);
    ask.request.min_bytes = (int32_t)size;
    ask.request.max_wait_ms = 500;
    const response_t *response = fetch(f, &ask);
    assert_int_equal(part_of(response, 0)->records.size, size);
    assert_records(part_of(response, 1), other);
    fixture_free(f);
}

static void what_finds_no_room_is_no_reason_to_wait(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    struct slice first = fixture_append(f, 0, 0, "first", 1);
    fixture_append(f, 0, 0, "second", 1);
    struct slice third = fixture_append(f, 0, 1, "third", 1);
    ask_init(&ask);
    ask.request.min_bytes = INT32_MAX;
    ask.request.max_wait_ms = INT32_MAX;
    ask.request.max_bytes = 1;
    assert_records(part_of(fetch(f, &ask), 0), first);
    ask.request.max_bytes = INT32_MAX;
    ask.parts[0].partition_max_bytes = 1;
    const response_t *response = fetch(f, &ask);
    assert_records(part_of(response, 0), first);
    assert_records(part_of(response, 1), third);
    assert_in_range(f->reads, 0, 12);
    fixture_free(f);
}

static void errors_are_of_their_partition_and_answered_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    fixture_append(f, 0, 0, "first", 3);
    struct slice bytes = fixture_append(f, 1, 0, "second", 3);
    ask_init(&ask);
    ask.request.max_wait_ms = 1000;
    ask.request.min_bytes = 1 << 20;
    ask.parts[0].fetch_offset = 4;
    ask.parts[1].partition = 2;
    const response_t *response = fetch(f, &ask);
    assert_refused(part_of(response, 0), SERVE_KAFKA_OFFSET_OUT_OF_RANGE);
    assert_refused(part_of(response, 1), SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_records(part_of(response, 2), bytes);
    static const struct {
        int64_t offset;
        int32_t partition;
        int32_t epoch;
        int16_t code;
    } lies[] = {
        {-1, 0, -1, SERVE_KAFKA_OFFSET_OUT_OF_RANGE},
        {INT64_MIN, 0, -1, SERVE_KAFKA_OFFSET_OUT_OF_RANGE},
        {INT64_MAX, 0, -1, SERVE_KAFKA_OFFSET_OUT_OF_RANGE},
        {0, -1, -1, SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {0, INT32_MAX, -1, SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {0, 0, 1, SERVE_KAFKA_UNKNOWN_LEADER_EPOCH},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        ask_init(&ask);
        ask.parts[0].fetch_offset = lies[i].offset;
        ask.parts[0].partition = lies[i].partition;
        ask.parts[0].current_leader_epoch = lies[i].epoch;
        assert_refused(part_of(fetch(f, &ask), 0), lies[i].code);
    }
    fixture_free(f);
}

static void a_read_that_fails_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = 1000;
    f->partitions[0][1].read_error = err_make(ERR_IO);
    assert_refused(part_of(fetch(f, &ask), 1), SERVE_KAFKA_KAFKA_STORAGE_ERROR);
    f->partitions[0][1].read_error = err_make(ERR_CORRUPT);
    assert_refused(part_of(fetch(f, &ask), 1), SERVE_KAFKA_CORRUPT_MESSAGE);
    fixture_free(f);
}

static void zstd_is_not_given_to_who_cannot_know_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    struct buf packed = {0};
    struct flow_batch batch;
    char value[500] = {0};
    memset(value, 'x', sizeof(value) - 1);
    struct slice plain = fixture_append(f, 0, 0, "plain", 1);
    assert_true(err_is_ok(flow_batch_parse(fixture_batch(f, value, 1), &batch)));
    assert_true(err_is_ok(flow_batch_pack(&batch, FLOW_CODEC_ZSTD, &packed)));
    fixture_append_bytes(f, 0, 0, buf_slice(&packed), 1);
    ask_init(&ask);
    const response_t *response = fixture_ask(f, PROTO_KAFKA_FETCH, 9, &ask.request);
    assert_records(part_of(response, 0), plain);
    ask.parts[0].fetch_offset = 1;
    response = fixture_ask(f, PROTO_KAFKA_FETCH, 9, &ask.request);
    assert_refused(part_of(response, 0), SERVE_KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    response = fixture_ask(f, PROTO_KAFKA_FETCH, 10, &ask.request);
    assert_records(part_of(response, 0), buf_slice(&packed));
    buf_done(&packed);
    fixture_free(f);
}

static void a_wait_ends_when_there_are_enough_bytes(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    size_t size = fixture_batch(f, "piece", 1).size;
    ask_init(&ask);
    ask.request.max_wait_ms = 1000;
    ask.request.min_bytes = (int32_t)(2 * size);
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_true(fixture_silent(f));
    fixture_append(f, 1, 0, "piece", 1);
    fixture_run(f);
    assert_true(fixture_silent(f));
    assert_false(list_empty(&f->kafka->doors[0].polls));
    fixture_append(f, 0, 1, "piece", 1);
    fixture_run(f);
    const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    assert_empty(part_of(response, 0));
    assert_int_equal(part_of(response, 1)->records.size, size);
    assert_int_equal(part_of(response, 2)->records.size, size);
    assert_true(list_empty(&f->kafka->doors[0].polls));
    fixture_free(f);
}

/* A client gets behind it by its marker; its bytes are bytes to who waits for some. */
static void a_batch_of_nothing_but_holes_counts_as_others_do(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    uint8_t marker[FLOW_BATCH_MARKER_SIZE];
    struct slice bytes = fixture_batch(f, "piece", 3);
    bytes.size = hollow((uint8_t *)(uintptr_t)bytes.data, bytes.size);
    ask_init(&ask);
    ask.request.max_wait_ms = 1000;
    ask.request.min_bytes = 2 * (int32_t)bytes.size;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(fixture_silent(f));
        fixture_append_bytes(f, 0, 0, bytes, 3);
        fixture_run(f);
    }
    const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    /* The fake's batches all begin at 0. */
    flow_batch_put_marker(marker, 2);
    assert_records(part_of(response, 0), slice_make(marker, sizeof(marker)));
    assert_int_equal(part_of(response, 0)->high_watermark, 6);
    fixture_free(f);
}

static void what_comes_in_a_wait_is_measured_and_read_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    size_t size = fixture_append(f, 0, 0, "piece", 1).size;
    ask_init(&ask);
    ask.request.max_wait_ms = 1000;
    ask.request.min_bytes = (int32_t)(BATCHES * size);
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    for (size_t i = 1; i < BATCHES; i++) {
        assert_true(fixture_silent(f));
        fixture_append(f, 0, 0, "piece", 1);
        fixture_run(f);
    }
    const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    assert_int_equal(part_of(response, 0)->records.size, BATCHES * size);
    /* Two rounds of three partitions and a second read of the first, three watches and one for each
     * batch that came, which the fake counts twice. */
    assert_in_range(f->reads, 0, 4 + 4 + 3 + 2 * BATCHES);
    fixture_free(f);
}

static void a_wait_ends_with_its_time_and_gives_what_there_is(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = 500;
    ask.request.min_bytes = 1 << 20;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    struct slice bytes = fixture_append(f, 0, 0, "little", 1);
    fixture_run(f);
    fake_advance(f->fakes[0], 499);
    assert_true(fixture_silent(f));
    fake_advance(f->fakes[0], 1);
    assert_records(part_of(fixture_answer(f, PROTO_KAFKA_FETCH, 12), 0), bytes);
    fixture_free(f);
}

static void nobody_waits_for_longer_than_a_minute(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = INT32_MAX;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    fake_advance(f->fakes[0], 59999);
    assert_true(fixture_silent(f));
    fake_advance(f->fakes[0], 1);
    assert_empty(part_of(fixture_answer(f, PROTO_KAFKA_FETCH, 12), 0));
    fixture_free(f);
}

static void who_does_not_want_to_wait_does_not(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = -1;
    assert_empty(part_of(fetch(f, &ask), 0));
    ask.request.max_wait_ms = 1000;
    ask.request.min_bytes = 0;
    assert_empty(part_of(fetch(f, &ask), 0));
    ask.request.topics.count = 0;
    ask.request.min_bytes = 1;
    const response_t *response = fetch(f, &ask);
    assert_int_equal(response->responses.count, 0);
    fixture_free(f);
}

static void a_peer_that_goes_ends_its_wait(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = 60000;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_false(list_empty(&f->kafka->doors[0].polls));
    fake_end(fixture_tcp(f), ERR_CLOSED);
    fixture_run(f);
    assert_true(list_empty(&f->kafka->doors[0].polls));
    assert_true(list_empty(&f->waiting));
    assert_int_equal(f->credits[0].used_bytes, 0);
    fixture_free(f);
}

static void a_stop_answers_those_who_wait(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = 60000;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    serve_kafka_stop(f->kafka, 5000, fixture_stopped, f);
    fixture_settle(f);
    assert_int_equal(f->stopped, 1);
    assert_empty(part_of(fixture_answer(f, PROTO_KAFKA_FETCH, 12), 0));
    fixture_free(f);
}

static void a_topic_that_is_deleted_while_it_is_waited_for_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = 60000;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    f->deleted[0] = true;
    fixture_append(f, 0, 0, "the last", 1);
    fixture_run(f);
    const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    assert_refused(part_of(response, 0), SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_refused(part_of(response, 1), SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_empty(part_of(response, 2));
    /* It is asked for anew, since it may be there again. */
    unsigned snapshots = f->snapshots;
    f->deleted[0] = false;
    assert_int_not_equal(part_of(fetch(f, &ask), 0)->records.size, 0);
    assert_int_equal(f->snapshots, snapshots + 1);
    fixture_free(f);
}

static void answers_that_nobody_takes_hold_up_others(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.fetch_bytes_max = 400});
    struct ask ask;
    char value[300] = {0};
    memset(value, 'x', sizeof(value) - 1);
    struct slice bytes = fixture_append(f, 0, 0, value, 1);
    ask_init(&ask);
    fixture_tcp(f)->stuck = true;
    assert_records(part_of(fetch(f, &ask), 0), bytes);
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    fixture_run(f);
    fake_drain(fixture_tcp(f));
    fixture_run(f);
    const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    assert_empty(part_of(response, 0));
    assert_true(response->throttle_time_ms > 0);
    response = fetch(f, &ask);
    assert_records(part_of(response, 0), bytes);
    assert_int_equal(response->throttle_time_ms, 0);
    fixture_free(f);
}

static void large_batches_are_held_until_the_peer_has_them(void **state)
{
    (void)state;
    static char value[20001];
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    size_t size = 0;
    memset(value, 'x', sizeof(value) - 1);
    for (int i = 0; i < 40; i++)
        size += fixture_append(f, 0, i < 20, value, 1).size;
    ask_init(&ask);
    fixture_tcp(f)->stuck = true;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_int_equal(f->kafka->doors[0].fetch_bytes, 0);
    assert_int_equal(f->reads_held, 2);
    assert_true(net_kafka_server_counters(f->kafka->doors[0].server)->bytes_unsent > size);
    /* Only what one write takes was copied. */
    assert_in_range(fixture_tcp(f)->queued, 1, size / 2);
    fake_drain(fixture_tcp(f));
    fixture_run(f);
    assert_int_equal(f->reads_held, 0);
    const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    for (uint32_t p = 0; p < 2; p++) {
        struct slice records = part_of(response, p)->records;
        assert_int_equal(records.size, size / 2);
        for (uint32_t i = 0; i < 20; i++) {
            struct slice batch = f->partitions[0][p].batches[i];
            assert_true(slice_equal(slice_sub(records, i * batch.size, batch.size), batch));
        }
    }
    fixture_free(f);
}

static void a_peer_that_goes_gives_back_what_it_did_not_take(void **state)
{
    (void)state;
    static char value[20001];
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    memset(value, 'x', sizeof(value) - 1);
    for (int i = 0; i < 40; i++)
        fixture_append(f, 0, 0, value, 1);
    ask_init(&ask);
    fixture_tcp(f)->stuck = true;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_int_equal(f->reads_held, 1);
    fake_end(fixture_tcp(f), ERR_CLOSED);
    fixture_run(f);
    assert_int_equal(f->reads_held, 0);
    fixture_free(f);
}

static struct fixture *prepare(void)
{
    struct fixture *f = fixture_open(NULL);
    fixture_append(f, 0, 0, "first", 3);
    return f;
}

/* All of it or, where memory for the batches failed, an error that is tried again. */
static void check(struct fixture *f, void *response)
{
    const answer_t *answer = part_of(response, 0);
    if (answer->error_code == SERVE_KAFKA_NONE)
        assert_records(answer, f->partitions[0][0].batches[0]);
    else
        assert_refused(answer, SERVE_KAFKA_KAFKA_STORAGE_ERROR);
    assert_empty(part_of(response, 1));
}

static void check_many(struct fixture *f, void *response)
{
    (void)f;
    const response_t *fetched = response;
    assert_int_equal(fetched->responses.items[0].partitions.count, 200);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct proto_kafka_fetch_request_partition parts[200];
    struct ask ask;
    ask_init(&ask);
    fixture_each_allocation(prepare, PROTO_KAFKA_FETCH, 12, &ask.request, check);
    /* As many as make the answer take memory of its own. */
    for (size_t i = 0; i < 200; i++)
        parts[i] = ask.parts[0];
    ask.topics[0].partitions.items = parts;
    ask.topics[0].partitions.count = 200;
    fixture_each_allocation(prepare, PROTO_KAFKA_FETCH, 12, &ask.request, check_many);
}

static void who_waits_takes_nothing_from_those_who_come_in(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.fetch_bytes_max = 3 * 16384});
    struct ask ask;
    ask_init(&ask);
    ask.request.max_wait_ms = 60000;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_true(fixture_silent(f));
    assert_int_equal(f->credits[0].used_bytes, 0);
    uint64_t one = f->kafka->doors[0].call_bytes;
    assert_in_range(one, 4096, 16384);
    /* As many as have room in half of it; the next one is told to come later. */
    int waiting = 1;
    for (; f->kafka->doors[0].call_bytes == (uint64_t)waiting * one; waiting++)
        fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_in_range(waiting, 3, 10);
    fixture_append(f, 1, 0, "for all", 1);
    fixture_run(f);
    for (int i = 0; i < waiting; i++) {
        const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
        assert_int_equal(response->throttle_time_ms > 0, i == waiting - 1);
    }
    assert_int_equal(f->kafka->doors[0].call_bytes, 0);
    fixture_free(f);
}

static void without_memory_for_a_wait_the_client_is_told_to_come_later(void **state)
{
    (void)state;
    static struct proto_kafka_fetch_request_partition parts[300];
    struct fixture *f = fixture_open(&(struct fixture_options){.fetch_bytes_max = 200000});
    struct ask ask;
    ask_init(&ask);
    for (size_t i = 0; i < 300; i++)
        parts[i] = ask.parts[0];
    ask.topics[0].partitions.items = parts;
    ask.topics[0].partitions.count = 300;
    ask.request.max_wait_ms = 60000;
    const response_t *response = fetch(f, &ask);
    assert_int_equal(response->responses.items[0].partitions.count, 300);
    assert_true(response->throttle_time_ms > 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_given_as_they_are_in_every_version),
        cmocka_unit_test(an_offset_inside_a_batch_gets_the_whole_batch),
        cmocka_unit_test(the_first_batch_is_given_whatever_its_size),
        cmocka_unit_test(a_limit_is_kept_to_the_byte_behind_the_first_batch),
        cmocka_unit_test(what_has_no_records_is_a_marker_within_the_limit),
        cmocka_unit_test(limits_count_what_a_marker_stands_for),
        cmocka_unit_test(many_small_batches_are_read_as_far_as_there_is_room),
        cmocka_unit_test(what_finds_no_room_is_no_reason_to_wait),
        cmocka_unit_test(errors_are_of_their_partition_and_answered_at_once),
        cmocka_unit_test(a_read_that_fails_is_told),
        cmocka_unit_test(zstd_is_not_given_to_who_cannot_know_it),
        cmocka_unit_test(a_wait_ends_when_there_are_enough_bytes),
        cmocka_unit_test(a_batch_of_nothing_but_holes_counts_as_others_do),
        cmocka_unit_test(what_comes_in_a_wait_is_measured_and_read_once),
        cmocka_unit_test(a_wait_ends_with_its_time_and_gives_what_there_is),
        cmocka_unit_test(nobody_waits_for_longer_than_a_minute),
        cmocka_unit_test(who_does_not_want_to_wait_does_not),
        cmocka_unit_test(a_peer_that_goes_ends_its_wait),
        cmocka_unit_test(a_stop_answers_those_who_wait),
        cmocka_unit_test(a_topic_that_is_deleted_while_it_is_waited_for_is_told),
        cmocka_unit_test(answers_that_nobody_takes_hold_up_others),
        cmocka_unit_test(large_batches_are_held_until_the_peer_has_them),
        cmocka_unit_test(a_peer_that_goes_gives_back_what_it_did_not_take),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(who_waits_takes_nothing_from_those_who_come_in),
        cmocka_unit_test(without_memory_for_a_wait_the_client_is_told_to_come_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
