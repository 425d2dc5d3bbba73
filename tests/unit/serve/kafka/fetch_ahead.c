#include "serve/kafka/fetch_ahead.h"

#include "unit/serve/kafka/fetch_ask.h"

/* A read that is asked for as a fetch does. */
struct wanted {
    struct flow_read read;
    unsigned done;
};

static void wanted_done(struct flow_read *read)
{
    struct wanted *wanted = CONTAINER_OF(read, struct wanted, read);
    wanted->done++;
}

static struct serve_kafka_door *door_of(struct fixture *f)
{
    return &f->kafka->doors[0];
}

static void want(struct fixture *f, struct wanted *wanted, int64_t offset)
{
    *wanted = (struct wanted){.read = {.home = door_of(f)->loop,
                                       .done = wanted_done,
                                       .topic_id = 1,
                                       .offset = offset,
                                       .size_max = 1000}};
}

static void begin(struct fixture *f, struct serve_kafka_conn *conn, int64_t offset)
{
    serve_kafka_fetch_ahead_begin(door_of(f), conn, 1, 0, offset, 1000);
}

static bool take(struct fixture *f, struct serve_kafka_conn *conn, struct wanted *wanted)
{
    return serve_kafka_fetch_ahead_take(door_of(f), conn, &wanted->read);
}

static void assert_got(struct fixture *f, struct wanted *wanted, int64_t next_offset)
{
    assert_int_equal(wanted->done, 1);
    assert_true(err_is_ok(wanted->read.error));
    assert_true(wanted->read.batch_count > 0);
    assert_int_equal(wanted->read.next_offset, next_offset);
    assert_ptr_equal(wanted->read.lease, &fixture_lease);
    flow_log_release(&f->log, &wanted->read);
}

/* Nothing is read ahead, and nothing held. */
static void assert_nothing(struct fixture *f)
{
    assert_true(list_empty(&door_of(f)->aheads));
    assert_int_equal(door_of(f)->fetch_bytes, 0);
    assert_int_equal(f->reads_held, 0);
}

static void one_that_is_home_is_taken_without_a_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_conn conn = {0};
    struct wanted wanted;
    size_t size = fixture_append(f, 0, 0, "first", 3).size;
    begin(f, &conn, 0);
    assert_int_equal(door_of(f)->fetch_bytes, 1000);
    fixture_run(f);
    assert_int_equal(door_of(f)->fetch_bytes, size);
    /* Of another place, partition or topic it is nothing. */
    want(f, &wanted, 1);
    assert_false(take(f, &conn, &wanted));
    want(f, &wanted, 0);
    wanted.read.partition = 1;
    assert_false(take(f, &conn, &wanted));
    want(f, &wanted, 0);
    wanted.read.topic_id = 2;
    assert_false(take(f, &conn, &wanted));
    want(f, &wanted, 0);
    assert_true(take(f, &conn, &wanted));
    assert_int_equal(wanted.done, 0);
    fixture_run(f);
    assert_got(f, &wanted, 3);
    assert_int_equal(f->reads, 1);
    assert_false(take(f, &conn, &wanted));
    assert_nothing(f);
    fixture_free(f);
}

static void one_that_is_on_its_way_is_waited_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_conn conn = {0};
    struct wanted wanted;
    fixture_append(f, 0, 0, "first", 3);
    begin(f, &conn, 0);
    want(f, &wanted, 0);
    assert_true(take(f, &conn, &wanted));
    assert_int_equal(wanted.done, 0);
    fixture_run(f);
    assert_got(f, &wanted, 3);
    assert_int_equal(f->reads, 1);
    assert_nothing(f);
    fixture_free(f);
}

static void what_failed_or_was_empty_is_asked_for_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_conn conn = {0};
    struct wanted wanted;
    f->partitions[0][0].read_error = err_make(ERR_IO);
    for (int round = 0; round < 2; round++) {
        begin(f, &conn, 0);
        want(f, &wanted, 0);
        assert_true(take(f, &conn, &wanted));
        fixture_run(f);
        assert_int_equal(wanted.done, 1);
        assert_int_equal(err_is(wanted.read.error, ERR_IO), round == 0);
        assert_int_equal(wanted.read.batch_count, 0);
        flow_log_release(&f->log, &wanted.read);
        f->partitions[0][0].read_error = err_ok();
    }
    assert_int_equal(f->reads, 4);
    /* Not taken, it is not kept. */
    begin(f, &conn, 0);
    fixture_run(f);
    want(f, &wanted, 0);
    assert_false(take(f, &conn, &wanted));
    assert_nothing(f);
    fixture_free(f);
}

static void it_is_kept_for_a_moment_and_then_none_is_begun_for_a_while(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_conn conn = {0};
    fixture_append(f, 0, 0, "first", 3);
    size_t timers = f->fakes[0]->timer_count;
    begin(f, &conn, 0);
    fixture_run(f);
    assert_int_equal(f->fakes[0]->timer_count, timers + 1);
    fake_advance(f->fakes[0], 199);
    assert_false(list_empty(&conn.aheads));
    fake_advance(f->fakes[0], 201);
    assert_nothing(f);
    assert_int_equal(f->fakes[0]->timer_count, timers);
    unsigned asked = 0;
    for (; f->reads == 1; asked++) {
        begin(f, &conn, 0);
        fixture_run(f);
    }
    assert_in_range(asked, 10, 20);
    serve_kafka_fetch_ahead_close(door_of(f), &conn);
    assert_nothing(f);
    fixture_free(f);
}

static void a_connection_takes_it_along_also_when_it_is_on_its_way(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_conn conn = {0};
    fixture_append(f, 0, 0, "first", 3);
    fixture_append(f, 0, 1, "second", 3);
    serve_kafka_fetch_ahead_close(door_of(f), &conn);
    begin(f, &conn, 0);
    fixture_run(f);
    serve_kafka_fetch_ahead_begin(door_of(f), &conn, 1, 1, 0, 1000);
    serve_kafka_fetch_ahead_close(door_of(f), &conn);
    assert_true(list_empty(&conn.aheads));
    assert_false(list_empty(&door_of(f)->aheads));
    fixture_run(f);
    assert_nothing(f);
    fixture_free(f);
}

static void a_partition_has_one_and_a_connection_some(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_conn conn = {0};
    fixture_append(f, 0, 0, "first", 3);
    begin(f, &conn, 0);
    begin(f, &conn, 0);
    assert_int_equal(f->reads, 1);
    /* Another place: the first was in vain. */
    begin(f, &conn, 1);
    assert_int_equal(f->reads, 1);
    fixture_run(f);
    assert_nothing(f);
    conn.ahead_pause = 0;
    for (uint32_t i = 0; i < 40; i++)
        serve_kafka_fetch_ahead_begin(door_of(f), &conn, 1 + i % 3, i / 3 % 2, (int64_t)i / 6, 10);
    assert_in_range(f->reads, 1, 1 + 16);
    serve_kafka_fetch_ahead_close(door_of(f), &conn);
    fixture_run(f);
    assert_nothing(f);
    fixture_free(f);
}

static void memory_is_for_answers_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.fetch_bytes_max = 16000});
    struct serve_kafka_conn conn = {0};
    fixture_append(f, 0, 0, "first", 3);
    /* A half is for answers. */
    door_of(f)->fetch_bytes = 7001;
    serve_kafka_fetch_ahead_begin(door_of(f), &conn, 1, 0, 0, 2000);
    assert_int_equal(f->reads, 0);
    door_of(f)->fetch_bytes = 7000;
    serve_kafka_fetch_ahead_begin(door_of(f), &conn, 1, 0, 0, 2000);
    assert_int_equal(f->reads, 1);
    serve_kafka_fetch_ahead_begin(door_of(f), &conn, 1, 1, 0, 2000);
    assert_int_equal(f->reads, 1);
    /* One takes a sixteenth. */
    door_of(f)->fetch_bytes -= 7000;
    assert_int_equal(door_of(f)->fetch_bytes, 1000);
    /* On its way it cannot be given up; home it can. */
    serve_kafka_fetch_ahead_yield(door_of(f));
    assert_false(list_empty(&conn.aheads));
    fixture_run(f);
    serve_kafka_fetch_ahead_yield(door_of(f));
    assert_nothing(f);
    conn.ahead_pause = 0;
    mem_fail_after(1);
    begin(f, &conn, 0);
    mem_fail_after(0);
    assert_int_equal(f->reads, 1);
    fixture_free(f);
}

/* Only the first partition of "cars", a batch at a time. */
static const answer_t *fetch_one(struct fixture *f, int64_t offset)
{
    struct ask ask;
    ask_init(&ask);
    ask.request.topics.count = ask.topics[0].partitions.count = 1;
    ask.parts[0].fetch_offset = offset;
    ask.parts[0].partition_max_bytes = 1;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_int_equal(response->responses.count, 1);
    return &response->responses.items[0].partitions.items[0];
}

static void a_client_that_reads_on_gets_what_was_read_ahead(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct slice batches[5];
    for (uint32_t i = 0; i < 5; i++)
        batches[i] = fixture_append(f, 0, 0, i % 2 ? "odd" : "even", 1);
    for (uint32_t i = 0; i < 5; i++) {
        const answer_t *answer = fetch_one(f, i);
        assert_int_equal(answer->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(answer->high_watermark, 5);
        assert_true(slice_equal(answer->records, batches[i]));
        /* One more than was asked for, until there is no more. */
        assert_int_equal(f->reads, i < 4 ? i + 2 : 5);
    }
    assert_nothing(f);
    /* Who reads another place is not given this one. */
    assert_true(slice_equal(fetch_one(f, 0)->records, batches[0]));
    assert_true(slice_equal(fetch_one(f, 3)->records, batches[3]));
    fixture_free(f);
}

static void a_door_stops_behind_what_is_on_its_way(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    for (int i = 0; i < 3; i++)
        fixture_append(f, 0, 0, "some", 1);
    fetch_one(f, 0);
    f->hold_reads = true;
    fetch_one(f, 1);
    assert_false(list_empty(&f->kept));
    serve_kafka_stop(f->kafka, 0, fixture_stopped, f);
    fixture_settle(f);
    assert_int_equal(f->stopped, 0);
    fixture_let_reads_go(f);
    fixture_settle(f);
    assert_int_equal(f->stopped, 1);
    assert_nothing(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_home_is_taken_without_a_read),
        cmocka_unit_test(one_that_is_on_its_way_is_waited_for),
        cmocka_unit_test(what_failed_or_was_empty_is_asked_for_again),
        cmocka_unit_test(it_is_kept_for_a_moment_and_then_none_is_begun_for_a_while),
        cmocka_unit_test(a_connection_takes_it_along_also_when_it_is_on_its_way),
        cmocka_unit_test(a_partition_has_one_and_a_connection_some),
        cmocka_unit_test(memory_is_for_answers_first),
        cmocka_unit_test(a_client_that_reads_on_gets_what_was_read_ahead),
        cmocka_unit_test(a_door_stops_behind_what_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
