#include "lib/kafka_message.h"
#include "unit/serve/kafka/fixture.h"

static void put_raw(struct fixture *f, const void *bytes, size_t size)
{
    uint8_t head[4];
    put_u32be(head, (uint32_t)size);
    fake_send(fixture_tcp(f), head, sizeof(head));
    fake_send(fixture_tcp(f), bytes, size);
}

static const struct proto_kafka_api_versions_response_api_key *
find_key(const struct proto_kafka_api_versions_response *response, int16_t key)
{
    for (uint32_t i = 0; i < response->api_keys.count; i++)
        if (response->api_keys.items[i].api_key == key)
            return &response->api_keys.items[i];
    return NULL;
}

static void every_version_of_api_versions_lists_what_is_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct proto_kafka_api_versions_request request = {SLICE_LITERAL("me"),
                                                             SLICE_LITERAL("1")};
    for (int16_t version = 0; version <= 4; version++) {
        const struct proto_kafka_api_versions_response *response =
            fixture_ask(f, PROTO_KAFKA_API_VERSIONS, version, &request);
        assert_int_equal(response->error_code, SERVE_KAFKA_NONE);
        /* Older clients of librdkafka turn codecs off without this 0 (KAFKA-18659). */
        assert_int_equal(find_key(response, PROTO_KAFKA_PRODUCE)->min_version, 0);
        assert_int_equal(find_key(response, PROTO_KAFKA_FETCH)->min_version, 4);
        assert_int_equal(find_key(response, PROTO_KAFKA_FETCH)->max_version, 12);
        assert_int_equal(find_key(response, PROTO_KAFKA_METADATA)->max_version, 9);
    }
    fixture_free(f);
}

static void what_is_listed_is_known_in_all_of_its_versions(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct proto_kafka_api_versions_request request = {0};
    const struct proto_kafka_api_versions_response *response =
        fixture_ask(f, PROTO_KAFKA_API_VERSIONS, 0, &request);
    for (uint32_t i = 0; i < response->api_keys.count; i++) {
        const struct proto_kafka_api_versions_response_api_key *key = &response->api_keys.items[i];
        const struct proto_kafka_api *api = proto_kafka_api(key->api_key);
        assert_non_null(api);
        /* Of the oldest versions of Produce only the name is known. */
        if (key->api_key != PROTO_KAFKA_PRODUCE)
            assert_true(proto_kafka_has_version(api, key->min_version));
        assert_true(proto_kafka_has_version(api, key->max_version));
    }
    fixture_free(f);
}

static void an_unknown_version_of_api_versions_is_answered_in_version_0(void **state)
{
    (void)state;
    static const int16_t versions[] = {5, 99, INT16_MAX, -1};
    struct fixture *f = fixture_open(NULL);
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        uint8_t bytes[] = "\0\x12vv\0\0\0\0\xff\xffwhat comes is not read";
        put_u16be(bytes + 2, (uint16_t)versions[i]);
        put_u32be(bytes + 4, (uint32_t)i);
        put_raw(f, bytes, sizeof(bytes));
        fixture_run(f);
        const struct proto_kafka_api_versions_response *response =
            fixture_answer(f, PROTO_KAFKA_API_VERSIONS, 0);
        assert_int_equal(response->error_code, SERVE_KAFKA_UNSUPPORTED_VERSION);
        assert_int_equal(find_key(response, PROTO_KAFKA_API_VERSIONS)->max_version, 4);
    }
    assert_false(fixture_tcp(f)->closed);
    fixture_free(f);
}

static void what_cannot_be_understood_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } requests[] = {
        {"", 0},
        {"\0\x12", 2},
        /* A key that nobody has, one that is not served, versions that are not. */
        {"\x7f\xff\0\0\0\0\0\0\xff\xff", 10},
        {"\0\4\0\0\0\0\0\0\xff\xff", 10},
        {"\0\0\0\2\0\0\0\0\xff\xff", 10},
        {"\0\1\0\3\0\0\0\0\xff\xff", 10},
        {"\0\3\0\x0a\0\0\0\0\xff\xff\0", 11},
        {"\0\3\xff\xff\0\0\0\0\xff\xff\0", 11},
        /* Metadata of 2^31 - 1 topics, of -2, of one whose name ends behind the request. */
        {"\0\3\0\0\0\0\0\0\xff\xff\x7f\xff\xff\xff", 14},
        {"\0\3\0\0\0\0\0\0\xff\xff\xff\xff\xff\xfe", 14},
        {"\0\3\0\0\0\0\0\0\xff\xff\0\0\0\1\0\7a", 17},
        /* A client id that is longer than the request. */
        {"\0\3\0\0\0\0\0\0\x7f\xff", 10},
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct fixture *f = fixture_open(NULL);
        put_raw(f, requests[i].bytes, requests[i].size);
        fixture_run(f);
        assert_true(fixture_tcp(f)->closed);
        assert_true(fixture_silent(f));
        fixture_free(f);
    }
}

static void an_answer_that_is_owed_comes_before_the_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct proto_kafka_metadata_request request = {0};
    fixture_put(f, PROTO_KAFKA_METADATA, 9, &request);
    put_raw(f, "\0", 1);
    fixture_run(f);
    const struct proto_kafka_metadata_response *response =
        fixture_answer(f, PROTO_KAFKA_METADATA, 9);
    assert_int_equal(response->topics.count, TOPICS);
    assert_true(fixture_tcp(f)->closed);
    fixture_free(f);
}

/* The first waits for its view, the second would be ready at once. */
static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct proto_kafka_metadata_request metadata = {0};
    const struct proto_kafka_api_versions_request versions = {0};
    f->hold_snapshots = true;
    fixture_put(f, PROTO_KAFKA_METADATA, 5, &metadata);
    fixture_put(f, PROTO_KAFKA_API_VERSIONS, 0, &versions);
    fixture_run(f);
    assert_true(fixture_silent(f));
    f->hold_snapshots = false;
    fixture_snapshot_answer(f, f->held);
    fixture_run(f);
    fixture_answer(f, PROTO_KAFKA_METADATA, 5);
    fixture_answer(f, PROTO_KAFKA_API_VERSIONS, 0);
    assert_true(fixture_silent(f));
    fixture_free(f);
}

/* A small request and what its call takes. */
#define ROOM_FOR_ONE (4096 + 30)

/* The second connection's is read when the first one's is answered. */
static void what_finds_no_memory_is_read_once_others_are_answered(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.credit = ROOM_FOR_ONE});
    const struct proto_kafka_metadata_request metadata = {0};
    struct io_listener *listener = f->fakes[0]->listener;
    listener->events->accepted(listener->owner, (struct io_socket){.fd = LOOPS});
    fixture_run(f);
    struct io_tcp *second = f->fakes[0]->tcps[1];
    f->hold_snapshots = true;
    fixture_put(f, PROTO_KAFKA_METADATA, 5, &metadata);
    struct buf bytes = fixture_request_bytes(f, PROTO_KAFKA_METADATA, 5, &metadata);
    fake_send(second, bytes.data, bytes.size);
    fixture_run(f);
    assert_int_equal(f->credits[0].waits_total, 1);
    assert_true(second->taken < second->in.size || !second->reading);
    f->hold_snapshots = false;
    fixture_snapshot_answer(f, f->held);
    fixture_run(f);
    fixture_answer(f, PROTO_KAFKA_METADATA, 5);
    assert_true(second->out.size > 0);
    buf_done(&bytes);
    fixture_free(f);
}

static void a_request_larger_than_all_memory_is_read_when_it_is_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.credit = 8});
    const struct proto_kafka_metadata_request metadata = {0};
    const struct proto_kafka_metadata_response *response =
        fixture_ask(f, PROTO_KAFKA_METADATA, 5, &metadata);
    assert_int_equal(response->topics.count, TOPICS);
    fixture_free(f);
}

static void a_peer_that_goes_while_its_request_waits_leaves_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.credit = ROOM_FOR_ONE});
    const struct proto_kafka_metadata_request metadata = {0};
    f->hold_snapshots = true;
    fixture_put(f, PROTO_KAFKA_METADATA, 5, &metadata);
    fixture_put(f, PROTO_KAFKA_METADATA, 5, &metadata);
    fixture_run(f);
    assert_int_equal(f->credits[0].waits_total, 1);
    fake_end(fixture_tcp(f), ERR_CLOSED);
    fixture_run(f);
    f->hold_snapshots = false;
    fixture_snapshot_answer(f, f->held);
    fixture_free(f);
}

/* A small message asks about many topics, each of which takes much more in the answer. */
static void an_answer_that_takes_too_much_is_not_made(void **state)
{
    (void)state;
    static struct proto_kafka_metadata_request_topic topics[100000];
    struct fixture *f =
        fixture_open(&(struct fixture_options){.fetch_bytes_max = 1 << 20, .credit = 4 << 20});
    struct proto_kafka_metadata_request metadata = {0};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        topics[i].name = SLICE_LITERAL("t");
    metadata.topics.items = topics;
    metadata.topics.count = 1000;
    fixture_ask(f, PROTO_KAFKA_METADATA, 5, &metadata);
    assert_int_equal(f->kafka->doors[0].call_bytes, 0);
    metadata.topics.count = sizeof(topics) / sizeof(topics[0]);
    fixture_send(f, PROTO_KAFKA_METADATA, 5, &metadata);
    assert_true(fixture_tcp(f)->closed);
    assert_true(fixture_silent(f));
    assert_int_equal(f->kafka->doors[0].call_bytes, 0);
    fixture_free(f);
}

/* Sends the bytes to a door of their own and sees it to its end: what is asked of the inlet is
 * answered, what waits comes to its time. True when there was an answer. */
static bool survives(const uint8_t *bytes, size_t size)
{
    struct fixture *f = fixture_open(NULL);
    for (int i = 0; i < 3; i++)
        fixture_append(f, 0, 0, "record", 2);
    fake_send(fixture_tcp(f), bytes, size);
    fixture_run(f);
    for (size_t i = 0; i < f->submitted_count; i++)
        f->submitted[i]->done(f->submitted[i]);
    fixture_run(f);
    fake_advance(f->fakes[0], 60001);
    bool answered = !fixture_silent(f);
    fixture_free(f);
    return answered;
}

static void any_message_and_any_bytes_are_survived(void **state)
{
    (void)state;
    static const int16_t keys[] = {PROTO_KAFKA_PRODUCE, PROTO_KAFKA_FETCH, PROTO_KAFKA_LIST_OFFSETS,
                                   PROTO_KAFKA_METADATA, PROTO_KAFKA_OFFSET_FOR_LEADER_EPOCH};
    struct kafka_random r = {.seed = unit_seed()};
    unsigned answers = 0;
    for (int round = 0; round < 1500; round++) {
        const struct proto_kafka_api *api = proto_kafka_api(keys[round % 5]);
        struct arena arena = {0};
        struct buf out = {0};
        r.arena = &arena;
        r.version = (int16_t)(api->first + (int64_t)(unit_random(&r.seed) %
                                                     (uint64_t)(api->last - api->first + 1)));
        const struct proto_kafka_request_header header = {api->key, r.version, 0,
                                                          SLICE_LITERAL("me")};
        buf_add(&out, "size", 4);
        proto_kafka_write_request_header(api, &header, &out);
        proto_kafka_encode(api, api->request, r.version, kafka_random_message(&r, api->request),
                           &out);
        put_u32be(out.data, (uint32_t)(out.size - 4));
        for (uint64_t flips = unit_random(&r.seed) % 4; flips > 0; flips--)
            out.data[4 + unit_random(&r.seed) % (out.size - 4)] ^=
                (uint8_t)(1u << unit_random(&r.seed) % 8);
        answers += survives(out.data, out.size);
        buf_done(&out);
        arena_done(&arena);
    }
    assert_in_range(answers, 300, 1499);
}

static struct fixture *prepare(void)
{
    return fixture_open(NULL);
}

static void check_versions(struct fixture *f, void *response)
{
    (void)f;
    const struct proto_kafka_api_versions_response *versions = response;
    assert_non_null(find_key(versions, PROTO_KAFKA_API_VERSIONS));
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    const struct proto_kafka_api_versions_request request = {0};
    fixture_each_allocation(prepare, PROTO_KAFKA_API_VERSIONS, 3, &request, check_versions);
}

/* What a client does not expect of an API ends it, and 89 is one that few know. */
static void what_may_be_tried_again_has_a_code_that_clients_try_again(void **state)
{
    (void)state;
    static const struct {
        enum err_code err;
        int16_t code;
    } codes[] = {
        {ERR_BUSY, 56},   {ERR_MEMORY, 56},   {ERR_LOG_FULL, 56},    {ERR_NO_SPACE, 56},
        {ERR_IO, 56},     {ERR_FENCED, 7},    {ERR_TIMEOUT, 7},      {ERR_CANCELLED, 6},
        {ERR_CORRUPT, 2}, {ERR_NOT_FOUND, 3}, {ERR_OFFSET_RANGE, 1}, {ERR_TOO_LARGE, 10},
        {ERR_OK, 0},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_int_equal(serve_kafka_error_code(err_make(codes[i].err)), codes[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_of_api_versions_lists_what_is_served),
        cmocka_unit_test(what_is_listed_is_known_in_all_of_its_versions),
        cmocka_unit_test(an_unknown_version_of_api_versions_is_answered_in_version_0),
        cmocka_unit_test(what_cannot_be_understood_ends_the_connection),
        cmocka_unit_test(an_answer_that_is_owed_comes_before_the_end),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(what_finds_no_memory_is_read_once_others_are_answered),
        cmocka_unit_test(a_request_larger_than_all_memory_is_read_when_it_is_alone),
        cmocka_unit_test(a_peer_that_goes_while_its_request_waits_leaves_nothing),
        cmocka_unit_test(an_answer_that_takes_too_much_is_not_made),
        cmocka_unit_test(any_message_and_any_bytes_are_survived),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(what_may_be_tried_again_has_a_code_that_clients_try_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
