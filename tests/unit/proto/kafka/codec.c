#include "lib/kafka_message.h"

static struct proto_kafka_request_header read_header(struct slice *bytes)
{
    struct proto_kafka_request_header header = {0};
    struct err_text why = {0};
    assert_true(err_is_ok(proto_kafka_read_header(bytes, &header, &why)));
    return header;
}

static void a_header_is_written_and_read_in_both_forms(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_METADATA);
    for (int16_t version = 8; version <= 9; version++) {
        struct buf bytes = {0};
        struct proto_kafka_request_header header = {api->key, version, 77, SLICE_LITERAL("me")};
        proto_kafka_write_request_header(api, &header, &bytes);
        assert_int_equal(bytes.size, version == 9 ? 13 : 12);
        buf_add_string(&bytes, "rest");
        struct slice at = buf_slice(&bytes);
        struct proto_kafka_request_header read = read_header(&at);
        assert_slice(at, "rest");
        assert_int_equal(read.key, api->key);
        assert_int_equal(read.version, version);
        assert_int_equal(read.correlation_id, 77);
        assert_slice(read.client_id, "me");
        buf_done(&bytes);
    }
}

static void a_header_of_an_unknown_version_is_read_as_far_as_all_share_it(void **state)
{
    (void)state;
    struct slice bytes = slice_make("\0\x12\0\x63\0\0\0\5\xff\xff\0rest", 15);
    struct proto_kafka_request_header read = read_header(&bytes);
    assert_int_equal(read.key, PROTO_KAFKA_API_VERSIONS);
    assert_int_equal(read.version, 99);
    assert_int_equal(read.correlation_id, 5);
    assert_null(read.client_id.data);
}

static void a_header_that_is_cut_off_is_an_error(void **state)
{
    (void)state;
    struct proto_kafka_request_header header = {0};
    static const char whole[] = "\0\3\0\x9\0\0\0\5\0\1a\1\0\2xy";
    for (size_t size = 0; size < sizeof(whole) - 1; size++) {
        struct slice bytes = slice_make(whole, size);
        assert_true(err_is(proto_kafka_read_header(&bytes, &header, NULL), ERR_SYNTAX));
    }
    struct slice bytes = slice_make(whole, sizeof(whole) - 1);
    assert_true(err_is_ok(proto_kafka_read_header(&bytes, &header, NULL)));
    assert_int_equal(bytes.size, 0);
    bytes = slice_make("\0\3\0\1\0\0\0\5\x80\0", 10);
    assert_true(err_is(proto_kafka_read_header(&bytes, &header, NULL), ERR_SYNTAX));
}

static void a_response_has_tagged_fields_in_flexible_versions_but_for_api_versions(void **state)
{
    (void)state;
    struct buf bytes = {0};
    proto_kafka_write_response_header(proto_kafka_api(PROTO_KAFKA_API_VERSIONS), 3, 7, &bytes);
    assert_int_equal(bytes.size, 4);
    proto_kafka_write_response_header(proto_kafka_api(PROTO_KAFKA_METADATA), 9, 7, &bytes);
    assert_int_equal(bytes.size, 9);
    proto_kafka_write_response_header(proto_kafka_api(PROTO_KAFKA_METADATA), 8, 7, &bytes);
    assert_int_equal(bytes.size, 13);
    assert_memory_equal(bytes.data, "\0\0\0\7\0\0\0\7\0\0\0\0\7", 13);
    buf_done(&bytes);
}

static void structs_begin_with_their_defaults(void **state)
{
    (void)state;
    struct proto_kafka_fetch_request request;
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_FETCH)->request, &request);
    assert_int_equal(request.max_bytes, INT32_MAX);
    assert_int_equal(request.replica_id, -1);
    assert_int_equal(request.max_wait_ms, 0);
    struct proto_kafka_metadata_request metadata;
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_METADATA)->request, &metadata);
    assert_true(metadata.allow_auto_topic_creation);
    assert_null(proto_kafka_api(7));
}

static void a_responses_header_is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct {
        int16_t key;
        int16_t version;
        size_t size;
    } cases[] = {{PROTO_KAFKA_API_VERSIONS, 3, 4},
                 {PROTO_KAFKA_METADATA, 9, 5},
                 {PROTO_KAFKA_METADATA, 8, 4}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct proto_kafka_api *api = proto_kafka_api(cases[i].key);
        struct buf bytes = {0};
        struct err_text why = {0};
        int32_t id = 0;
        proto_kafka_write_response_header(api, cases[i].version, 77, &bytes);
        assert_int_equal(bytes.size, cases[i].size);
        for (size_t cut = 0; cut < bytes.size; cut++) {
            struct slice part = slice_make(bytes.data, cut);
            assert_true(
                err_is(proto_kafka_read_response_header(api, cases[i].version, &part, &id, &why),
                       ERR_SYNTAX));
            assert_int_equal(part.size, cut);
        }
        buf_add_string(&bytes, "message");
        struct slice rest = buf_slice(&bytes);
        assert_true(
            err_is_ok(proto_kafka_read_response_header(api, cases[i].version, &rest, &id, &why)));
        assert_int_equal(id, 77);
        assert_true(slice_equal_string(rest, "message"));
        buf_done(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_written_and_read_in_both_forms),
        cmocka_unit_test(a_header_of_an_unknown_version_is_read_as_far_as_all_share_it),
        cmocka_unit_test(a_header_that_is_cut_off_is_an_error),
        cmocka_unit_test(a_response_has_tagged_fields_in_flexible_versions_but_for_api_versions),
        cmocka_unit_test(structs_begin_with_their_defaults),
        cmocka_unit_test(a_responses_header_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
