#include "lib/kafka_message.h"

#define DECODED_MAX ((size_t)1 << 24)

/* What was written is read back, and written again gives the same bytes: for every message. */
static void round_trip(struct kafka_random *r, const struct proto_kafka_api *api,
                       const struct proto_kafka_layout *layout)
{
    for (int times = 0; times < 20; times++) {
        struct buf first = {0}, second = {0};
        struct err_text why = {0};
        void *message = kafka_random_message(r, layout);
        proto_kafka_encode(api, layout, r->version, message, &first);
        void *read = arena_alloc(r->arena, layout->size);
        err_t err = proto_kafka_decode(api, layout, r->version, buf_slice(&first), r->arena,
                                       DECODED_MAX, read, &why);
        if (!err_is_ok(err))
            fail_msg("%s %d: %s", api->name, r->version, why.text);
        proto_kafka_encode(api, layout, r->version, read, &second);
        assert_true(buf_ok(&first) && buf_ok(&second));
        assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
        buf_done(&first);
        buf_done(&second);
    }
}

static void every_message_is_read_back_in_every_version(void **state)
{
    (void)state;
    kafka_each_message(round_trip);
}

static void assert_encoded(const struct proto_kafka_api *api,
                           const struct proto_kafka_layout *layout, int16_t version,
                           const void *message, const void *bytes, size_t size)
{
    struct buf out = {0};
    proto_kafka_encode(api, layout, version, message, &out);
    assert_true(buf_ok(&out));
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, bytes, size);
    buf_done(&out);
}

/* https://kafka.apache.org/protocol#The_Messages_Metadata */
/* What is put into the gaps makes the message that is encoded in one piece. */
static void records_are_left_out_where_they_belong(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_FETCH);
    struct proto_kafka_fetch_response response;
    struct proto_kafka_fetch_response_topic topic = {.topic = SLICE_LITERAL("t")};
    struct proto_kafka_fetch_response_partition parts[3] = {
        {.records = SLICE_LITERAL("first records")},
        {.records = SLICE_LITERAL("")},
        {.records = SLICE_LITERAL("others")}};
    proto_kafka_init(api->response, &response);
    response.responses.items = &topic;
    response.responses.count = 1;
    topic.partitions.items = parts;
    topic.partitions.count = 3;
    for (int16_t version = 4; version <= 12; version++) {
        struct buf whole = {0}, apart = {0}, joined = {0};
        size_t gaps[3] = {0, 0, SIZE_MAX};
        buf_add_string(&whole, "front");
        buf_add_string(&apart, "front");
        proto_kafka_encode(api, api->response, version, &response, &whole);
        proto_kafka_encode_apart(api, api->response, version, &response, &apart, gaps);
        assert_int_equal(gaps[2], SIZE_MAX);
        assert_true(gaps[0] < gaps[1] && gaps[1] <= apart.size);
        buf_add(&joined, apart.data, gaps[0]);
        buf_add_slice(&joined, parts[0].records);
        buf_add(&joined, apart.data + gaps[0], gaps[1] - gaps[0]);
        buf_add_slice(&joined, parts[2].records);
        buf_add(&joined, apart.data + gaps[1], apart.size - gaps[1]);
        assert_true(slice_equal(buf_slice(&joined), buf_slice(&whole)));
        buf_done(&whole);
        buf_done(&apart);
        buf_done(&joined);
    }
}

static void lengths_are_wide_before_flexible_versions_and_compact_from_there(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_METADATA);
    struct proto_kafka_metadata_request_topic topic = {.name = SLICE_LITERAL("ab")};
    struct proto_kafka_metadata_request request;
    proto_kafka_init(api->request, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    assert_encoded(api, api->request, 4, &request, "\0\0\0\1\0\2ab\1", 9);
    assert_encoded(api, api->request, 9, &request, "\2\3ab\0\1\0\0\0", 9);
}

static void null_is_empty_in_versions_that_have_no_null(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_METADATA);
    struct proto_kafka_metadata_request request;
    proto_kafka_init(api->request, &request);
    assert_encoded(api, api->request, 0, &request, "\0\0\0\0", 4);
    assert_encoded(api, api->request, 1, &request, "\xff\xff\xff\xff", 4);
}

static void tagged_fields_are_sent_in_order_unless_they_are_their_defaults(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_API_VERSIONS);
    struct proto_kafka_api_versions_response response;
    proto_kafka_init(api->response, &response);
    struct proto_kafka_api_versions_response_api_key none[1];
    response.api_keys.items = none;
    assert_encoded(api, api->response, 3, &response, "\0\0\1\0\0\0\0\0", 8);
    response.zk_migration_ready = true;
    response.finalized_features_epoch = 7;
    assert_encoded(api, api->response, 3, &response, "\0\0\1\0\0\0\0\2\1\x8\0\0\0\0\0\0\0\7\3\1\1",
                   21);
}

static void a_tagged_string_that_is_empty_is_not_null(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_FETCH);
    struct proto_kafka_fetch_request request;
    proto_kafka_init(api->request, &request);
    struct buf out = {0};
    proto_kafka_encode(api, api->request, 12, &request, &out);
    assert_int_equal(out.data[out.size - 1], 0);
    buf_reset(&out);
    request.cluster_id = SLICE_LITERAL("");
    proto_kafka_encode(api, api->request, 12, &request, &out);
    assert_memory_equal(out.data + out.size - 4, "\1\0\1\1", 4);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_read_back_in_every_version),
        cmocka_unit_test(records_are_left_out_where_they_belong),
        cmocka_unit_test(lengths_are_wide_before_flexible_versions_and_compact_from_there),
        cmocka_unit_test(null_is_empty_in_versions_that_have_no_null),
        cmocka_unit_test(tagged_fields_are_sent_in_order_unless_they_are_their_defaults),
        cmocka_unit_test(a_tagged_string_that_is_empty_is_not_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
