#include "serve/kafka/fetch_session.h"
#include "unit/serve/kafka/fetch_ask.h"

/* The bytes and the partitions of every session, counted anew. */
static void assert_counted(struct fixture *f)
{
    const struct serve_kafka_door *door = &f->kafka->doors[0];
    uint64_t bytes = 0;
    LIST_EACH (link, &door->fetch_sessions) {
        const struct serve_kafka_fetch_session *session =
            CONTAINER_OF(link, struct serve_kafka_fetch_session, link);
        uint32_t parts = 0;
        size_t topics = 0;
        LIST_EACH (topic_link, &session->topics) {
            const struct serve_kafka_fetch_topic *topic =
                CONTAINER_OF(topic_link, struct serve_kafka_fetch_topic, link);
            assert_true(topic->part_count > 0);
            for (uint32_t i = 1; i < topic->part_count; i++)
                assert_true(topic->parts[i - 1].partition < topic->parts[i].partition);
            parts += topic->part_count;
            topics++;
        }
        assert_int_equal(session->part_count, parts);
        assert_int_equal(session->by_name.count, topics);
        assert_true(session->bytes > parts * sizeof(struct serve_kafka_fetch_part));
        bytes += session->bytes;
    }
    assert_int_equal(door->fetch_session_bytes, bytes);
    assert_true(bytes <= door->fetch_session_bytes_max);
}

static const response_t *fetch(struct fixture *f, struct ask *ask)
{
    const response_t *response = fixture_ask(f, PROTO_KAFKA_FETCH, 12, &ask->request);
    assert_counted(f);
    return response;
}

/* Begins a session; the ask is then the next request of it, which changes nothing. */
static const response_t *begin(struct fixture *f, struct ask *ask)
{
    ask_init(ask);
    ask->request.session_epoch = 0;
    const response_t *response = fetch(f, ask);
    ask->request.topics.count = 0;
    ask->request.session_id = response->session_id;
    ask->request.session_epoch = 1;
    return response;
}

/* The next fetch of the session. */
static const response_t *go_on(struct fixture *f, struct ask *ask)
{
    const response_t *response = fetch(f, ask);
    assert_int_equal(response->error_code, SERVE_KAFKA_NONE);
    assert_int_equal(response->session_id, ask->request.session_id);
    ask->request.session_epoch++;
    return response;
}

static void assert_refused(const response_t *response, int16_t code)
{
    assert_int_equal(response->error_code, code);
    assert_int_equal(response->session_id, 0);
    assert_int_equal(response->responses.count, 0);
}

/* The one part that is told. */
static const answer_t *only_part(const response_t *response, const char *topic, int32_t partition)
{
    assert_int_equal(response->responses.count, 1);
    assert_slice(response->responses.items[0].topic, topic);
    assert_int_equal(response->responses.items[0].partitions.count, 1);
    const answer_t *answer = &response->responses.items[0].partitions.items[0];
    assert_int_equal(answer->partition_index, partition);
    return answer;
}

static void the_first_answer_of_a_session_tells_all(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    const response_t *response = begin(f, &ask);
    assert_true(response->session_id > 0);
    assert_int_equal(response->responses.count, 2);
    assert_int_equal(response->responses.items[0].partitions.count, 2);
    assert_int_equal(response->responses.items[1].partitions.count, 1);
    fixture_free(f);
}

static void who_wants_none_has_none(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask);
    assert_int_equal(fetch(f, &ask)->session_id, 0);
    /* Older versions know of none, and one of nothing is none. */
    ask.request.session_epoch = 0;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_FETCH, 6, &ask.request);
    assert_int_equal(response->responses.count, 2);
    ask.request.topics.count = 0;
    assert_int_equal(fetch(f, &ask)->session_id, 0);
    assert_true(list_empty(&f->kafka->doors[0].fetch_sessions));
    fixture_free(f);
}

static void a_later_answer_tells_only_what_is_new(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    assert_int_equal(go_on(f, &ask)->responses.count, 0);
    struct slice bytes = fixture_append(f, 0, 1, "new", 2);
    const answer_t *answer = only_part(go_on(f, &ask), "cars", 1);
    assert_true(slice_equal(answer->records, bytes));
    assert_int_equal(answer->high_watermark, 2);
    /* It is at the same offset until the client says that it has gone on. */
    only_part(go_on(f, &ask), "cars", 1);
    ask.parts[0].partition = 1;
    ask.parts[0].fetch_offset = 2;
    ask.topics[0].partitions.count = 1;
    ask.request.topics.count = 1;
    assert_int_equal(go_on(f, &ask)->responses.count, 0);
    ask.request.topics.count = 0;
    assert_int_equal(go_on(f, &ask)->responses.count, 0);
    fixture_free(f);
}

static void an_error_is_told_each_time_and_its_end_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    f->partitions[1][0].read_error = err_make(ERR_CORRUPT);
    for (int i = 0; i < 2; i++)
        assert_int_equal(only_part(go_on(f, &ask), "planes", 0)->error_code,
                         SERVE_KAFKA_CORRUPT_MESSAGE);
    f->partitions[1][0].read_error = err_ok();
    const answer_t *answer = only_part(go_on(f, &ask), "planes", 0);
    assert_int_equal(answer->error_code, SERVE_KAFKA_NONE);
    assert_int_equal(answer->high_watermark, 0);
    assert_int_equal(go_on(f, &ask)->responses.count, 0);
    fixture_free(f);
}

static void partitions_are_added_and_forgotten(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    struct proto_kafka_fetch_request_forgotten forgotten[] = {
        {.topic = SLICE_LITERAL("cars")}, {.topic = SLICE_LITERAL("never there")}};
    int32_t all[] = {1, 0, 0, 7};
    begin(f, &ask);
    forgotten[0].partitions.items = forgotten[1].partitions.items = all;
    forgotten[0].partitions.count = forgotten[1].partitions.count = 4;
    ask.request.forgotten_topics_data.items = forgotten;
    ask.request.forgotten_topics_data.count = 2;
    fixture_append(f, 0, 0, "of cars", 1);
    assert_int_equal(go_on(f, &ask)->responses.count, 0);
    ask.request.forgotten_topics_data.count = 0;
    /* One that is there, one that is not. */
    ask.request.topics.count = 1;
    ask.parts[1].partition = 5;
    const response_t *response = go_on(f, &ask);
    assert_int_equal(response->responses.count, 1);
    assert_int_equal(response->responses.items[0].partitions.count, 2);
    assert_int_equal(response->responses.items[0].partitions.items[1].error_code,
                     SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_free(f);
}

static void a_session_of_which_all_is_forgotten_ends(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    struct proto_kafka_fetch_request_forgotten forgotten[] = {{.topic = SLICE_LITERAL("planes")},
                                                              {.topic = SLICE_LITERAL("cars")}};
    int32_t all[] = {0, 1};
    begin(f, &ask);
    forgotten[0].partitions.items = forgotten[1].partitions.items = all;
    forgotten[0].partitions.count = forgotten[1].partitions.count = 2;
    ask.request.forgotten_topics_data.items = forgotten;
    ask.request.forgotten_topics_data.count = 2;
    assert_refused(fetch(f, &ask), SERVE_KAFKA_NONE);
    assert_int_equal(f->kafka->doors[0].fetch_session_bytes, 0);
    ask.request.session_epoch = 2;
    assert_refused(fetch(f, &ask), SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    fixture_free(f);
}

static void what_does_not_fit_is_refused_and_the_session_stays(void **state)
{
    (void)state;
    static const int32_t epochs[] = {2, -2, INT32_MIN, INT32_MAX};
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    for (size_t i = 0; i < 4; i++) {
        ask.request.session_epoch = epochs[i];
        assert_refused(fetch(f, &ask), SERVE_KAFKA_INVALID_FETCH_SESSION_EPOCH);
    }
    ask.request.session_epoch = 1;
    ask.request.session_id++;
    assert_refused(fetch(f, &ask), SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ask.request.session_id = 0;
    assert_refused(fetch(f, &ask), SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ask.request.session_id = f->kafka->doors[0].fetch_session_id;
    go_on(f, &ask);
    go_on(f, &ask);
    fixture_free(f);
}

static void the_epoch_begins_anew_behind_the_last_number(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    struct serve_kafka_fetch_session *session = CONTAINER_OF(
        f->kafka->doors[0].fetch_sessions.next, struct serve_kafka_fetch_session, link);
    session->epoch = ask.request.session_epoch = INT32_MAX;
    assert_int_equal(fetch(f, &ask)->error_code, SERVE_KAFKA_NONE);
    ask.request.session_epoch = 1;
    go_on(f, &ask);
    fixture_free(f);
}

static void a_session_is_ended_and_replaced_by_its_client(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    int32_t first = ask.request.session_id;
    begin(f, &ask);
    assert_int_not_equal(ask.request.session_id, first);
    go_on(f, &ask);
    int32_t second = ask.request.session_id;
    ask_init(&ask);
    ask.request.session_id = first;
    assert_int_equal(fetch(f, &ask)->responses.count, 2);
    assert_true(f->kafka->doors[0].fetch_session_bytes > 0);
    ask.request.session_id = second;
    const response_t *response = fetch(f, &ask);
    assert_int_equal(response->responses.count, 2);
    assert_int_equal(response->session_id, 0);
    assert_int_equal(f->kafka->doors[0].fetch_session_bytes, 0);
    fixture_free(f);
}

/* Another connection on the same loop. */
static struct io_tcp *second_connection(struct fixture *f)
{
    struct io_listener *listener = f->fakes[0]->listener;
    listener->events->accepted(listener->owner, (struct io_socket){.fd = LOOPS});
    fixture_run(f);
    assert_int_equal(f->fakes[0]->tcp_count, 2);
    return f->fakes[0]->tcps[1];
}

/* The error code of the answer to a fetch there. */
static int16_t fetch_there(struct fixture *f, struct io_tcp *tcp, struct ask *ask)
{
    struct buf bytes = fixture_request_bytes(f, PROTO_KAFKA_FETCH, 12, &ask->request);
    f->sent--;
    fake_forget_written(tcp);
    fake_send(tcp, bytes.data, bytes.size);
    fixture_run(f);
    buf_done(&bytes);
    assert_true(tcp->out.size > 19);
    return (int16_t)get_u16be((const uint8_t *)tcp->out.data + 13);
}

static void a_session_belongs_to_its_connection_and_ends_with_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    struct io_tcp *second = second_connection(f);
    begin(f, &ask);
    assert_int_equal(fetch_there(f, second, &ask), SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    go_on(f, &ask);
    fake_end(fixture_tcp(f), ERR_CLOSED);
    fixture_run(f);
    assert_int_equal(f->kafka->doors[0].fetch_session_bytes, 0);
    assert_true(list_empty(&f->kafka->doors[0].fetch_sessions));
    fixture_free(f);
}

static void what_had_something_is_read_last_the_next_time(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    fixture_append(f, 0, 0, "one", 1);
    fixture_append(f, 0, 1, "two", 1);
    fixture_append(f, 1, 0, "six", 1);
    begin(f, &ask);
    ask.request.max_bytes = 1;
    for (int i = 0; i < 2; i++) {
        only_part(go_on(f, &ask), "cars", 0);
        only_part(go_on(f, &ask), "cars", 1);
        only_part(go_on(f, &ask), "planes", 0);
    }
    fixture_free(f);
}

static void a_wait_of_a_session_ends_with_what_comes(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    ask.request.max_wait_ms = 1000;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_true(fixture_silent(f));
    fixture_append(f, 1, 0, "new", 1);
    fixture_run(f);
    only_part(fixture_answer(f, PROTO_KAFKA_FETCH, 12), "planes", 0);
    fixture_free(f);
}

static void a_request_behind_one_that_waits_takes_the_session_over(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    ask.request.max_wait_ms = 1000;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    ask.request.max_wait_ms = 0;
    ask.request.session_epoch = 2;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    fake_advance(f->fakes[0], 1000);
    assert_refused(fixture_answer(f, PROTO_KAFKA_FETCH, 12),
                   SERVE_KAFKA_INVALID_FETCH_SESSION_EPOCH);
    const response_t *response = fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    assert_int_equal(response->error_code, SERVE_KAFKA_NONE);
    assert_int_equal(response->session_id, ask.request.session_id);
    fixture_free(f);
}

static void a_session_may_end_while_its_fetch_waits_for_the_log(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    begin(f, &ask);
    f->kafka->doors[0].view.doubted = true;
    f->hold_snapshots = true;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    ask.request.session_epoch = -1;
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &ask.request);
    assert_int_equal(f->kafka->doors[0].fetch_session_bytes, 0);
    f->hold_snapshots = false;
    fixture_snapshot_answer(f, f->held);
    fixture_run(f);
    assert_refused(fixture_answer(f, PROTO_KAFKA_FETCH, 12),
                   SERVE_KAFKA_INVALID_FETCH_SESSION_EPOCH);
    fixture_answer(f, PROTO_KAFKA_FETCH, 12);
    fixture_free(f);
}

/* An eighth of what fetches may have is for sessions: room for one of these. */
#define ROOM_FOR_ONE (8 * 1000)

static void without_room_there_is_no_session_until_another_is_not_used(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.fetch_bytes_max = ROOM_FOR_ONE});
    struct ask ask;
    struct ask other;
    struct io_tcp *second = second_connection(f);
    ask_init(&other);
    other.request.session_epoch = 0;
    assert_int_equal(fetch_there(f, second, &other), SERVE_KAFKA_NONE);
    assert_int_equal(f->kafka->doors[0].fetch_session_id, 1);
    const response_t *response = begin(f, &ask);
    assert_int_equal(response->session_id, 0);
    assert_int_equal(response->responses.count, 2);
    fake_advance(f->fakes[0], 119999);
    assert_int_equal(begin(f, &ask)->session_id, 0);
    assert_int_equal(f->kafka->doors[0].fetch_sessions_evicted, 0);
    fake_advance(f->fakes[0], 1);
    assert_int_not_equal(begin(f, &ask)->session_id, 0);
    assert_int_equal(f->kafka->doors[0].fetch_sessions_evicted, 1);
    go_on(f, &ask);
    other.request.session_id = 1;
    other.request.session_epoch = 1;
    assert_int_equal(fetch_there(f, second, &other), SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    fixture_free(f);
}

static void one_that_grows_over_the_limit_begins_anew_without_a_session(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.fetch_bytes_max = ROOM_FOR_ONE});
    struct proto_kafka_fetch_request_partition many[20] = {0};
    struct ask ask;
    begin(f, &ask);
    for (int32_t i = 0; i < 20; i++)
        many[i].partition = 19 - i;
    ask.topics[0].partitions.items = many;
    ask.topics[0].partitions.count = 20;
    ask.request.topics.count = 1;
    assert_refused(fetch(f, &ask), SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(f->kafka->doors[0].fetch_session_bytes, 0);
    ask.request.session_epoch = 0;
    const response_t *response = fetch(f, &ask);
    assert_int_equal(response->session_id, 0);
    assert_int_equal(response->responses.items[0].partitions.count, 20);
    fixture_free(f);
}

static void partitions_that_there_are_not_and_twice_the_same_do_no_harm(void **state)
{
    (void)state;
    static const int32_t lies[] = {INT32_MAX, INT32_MIN, -1, 0, 0, 1, INT32_MAX, 1};
    struct fixture *f = fixture_open(NULL);
    struct proto_kafka_fetch_request_partition parts[8] = {0};
    struct ask ask;
    ask_init(&ask);
    for (size_t i = 0; i < 8; i++) {
        parts[i].partition = lies[i];
        parts[i].partition_max_bytes = 1;
    }
    ask.topics[0].partitions.items = parts;
    ask.topics[0].partitions.count = 8;
    ask.topics[1].topic = SLICE_LITERAL("");
    ask.request.session_epoch = 0;
    const response_t *response = fetch(f, &ask);
    assert_int_equal(response->responses.count, 2);
    const struct proto_kafka_fetch_response_topic *cars = &response->responses.items[0];
    assert_int_equal(cars->partitions.count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        static const int32_t indexes[] = {INT32_MIN, -1, 0, 1, INT32_MAX};
        bool there = indexes[i] == 0 || indexes[i] == 1;
        assert_int_equal(cars->partitions.items[i].partition_index, indexes[i]);
        assert_int_equal(cars->partitions.items[i].error_code,
                         there ? SERVE_KAFKA_NONE : SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    fixture_free(f);
}

/* Topics and partitions come and go at random; what is told of is what a list of them says. */
static void any_changes_leave_what_was_asked_for(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d"};
    struct fixture *f = fixture_open(NULL);
    bool wanted[4][8] = {0};
    uint64_t seed = unit_seed();
    struct ask ask;
    begin(f, &ask);
    for (int round = 0; round < 300; round++) {
        size_t t = unit_random(&seed) % 4;
        int32_t gone[8];
        struct proto_kafka_fetch_request_forgotten forgotten = {
            .topic = slice_string(names[unit_random(&seed) % 4])};
        ask.topics[0].topic = slice_string(names[t]);
        ask.topics[0].partitions.count = (uint32_t)(unit_random(&seed) % 3);
        for (uint32_t i = 0; i < ask.topics[0].partitions.count; i++) {
            ask.parts[i].partition = (int32_t)(unit_random(&seed) % 8);
            wanted[t][ask.parts[i].partition] = true;
        }
        forgotten.partitions.items = gone;
        forgotten.partitions.count = (uint32_t)(unit_random(&seed) % 4);
        for (uint32_t i = 0; i < forgotten.partitions.count; i++) {
            gone[i] = (int32_t)(unit_random(&seed) % 8);
            wanted[forgotten.topic.data[0] - 'a'][gone[i]] = false;
        }
        ask.request.topics.count = 1;
        ask.request.forgotten_topics_data.items = &forgotten;
        ask.request.forgotten_topics_data.count = 1;
        const response_t *response = go_on(f, &ask);
        uint32_t told = 0;
        uint32_t expected = 0;
        /* None of them is there, so each is told of. */
        for (uint32_t i = 0; i < response->responses.count; i++) {
            const struct proto_kafka_fetch_response_topic *topic = &response->responses.items[i];
            for (uint32_t p = 0; p < topic->partitions.count; p++)
                assert_true(
                    wanted[topic->topic.data[0] - 'a'][topic->partitions.items[p].partition_index]);
            told += topic->partitions.count;
        }
        for (size_t i = 0; i < 32; i++)
            expected += wanted[i / 8][i % 8];
        assert_int_equal(told, expected);
    }
    fixture_free(f);
}

static struct fixture *prepare(void)
{
    struct fixture *f = fixture_open(NULL);
    fixture_append(f, 0, 0, "first", 3);
    return f;
}

static void check(struct fixture *f, void *response)
{
    assert_counted(f);
    const response_t *fetched = response;
    assert_int_equal(fetched->error_code, SERVE_KAFKA_NONE);
    assert_int_equal(fetched->responses.count, 2);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct ask ask;
    ask_init(&ask);
    ask.request.session_epoch = 0;
    fixture_each_allocation(prepare, PROTO_KAFKA_FETCH, 12, &ask.request, check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_of_a_session_tells_all),
        cmocka_unit_test(who_wants_none_has_none),
        cmocka_unit_test(a_later_answer_tells_only_what_is_new),
        cmocka_unit_test(an_error_is_told_each_time_and_its_end_too),
        cmocka_unit_test(partitions_are_added_and_forgotten),
        cmocka_unit_test(a_session_of_which_all_is_forgotten_ends),
        cmocka_unit_test(what_does_not_fit_is_refused_and_the_session_stays),
        cmocka_unit_test(the_epoch_begins_anew_behind_the_last_number),
        cmocka_unit_test(a_session_is_ended_and_replaced_by_its_client),
        cmocka_unit_test(a_session_belongs_to_its_connection_and_ends_with_it),
        cmocka_unit_test(what_had_something_is_read_last_the_next_time),
        cmocka_unit_test(a_wait_of_a_session_ends_with_what_comes),
        cmocka_unit_test(a_request_behind_one_that_waits_takes_the_session_over),
        cmocka_unit_test(a_session_may_end_while_its_fetch_waits_for_the_log),
        cmocka_unit_test(without_room_there_is_no_session_until_another_is_not_used),
        cmocka_unit_test(one_that_grows_over_the_limit_begins_anew_without_a_session),
        cmocka_unit_test(partitions_that_there_are_not_and_twice_the_same_do_no_harm),
        cmocka_unit_test(any_changes_leave_what_was_asked_for),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
