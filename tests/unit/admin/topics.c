#include "admin/topics.h"

#include "lib/unit.h"

#include "format/json/json.h"

static int64_t starts[] = {0, 90};
static int64_t ends[] = {10, 100};

/* A declared topic with its DLQ, and one that nobody declares. */
static struct flow_topic_state topics[] = {
    {.id = 1,
     .uuid = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 0x23, 1, 2, 3, 4, 5, 6}},
     .name = "flights",
     .partition_count = 2,
     .start_offset = starts,
     .end_offset = ends,
     .config = {.retention_ms = 604800000, .codec = FLOW_CODEC_ZSTD, .expire_undelivered = true},
     .sealed_bytes = 4096,
     .wal_bytes = 77},
    {.id = 2,
     .name = "flights.dlq",
     .partition_count = 1,
     .parent_id = 1,
     .start_offset = starts,
     .end_offset = ends,
     .config = {.retention_bytes = 1073741824}},
    {.id = 3,
     .name = "old",
     .partition_count = 0,
     .config = {.open = true, .batch_bytes_max = 1000}},
};

static const struct flow_snapshot snapshot = {.topics = topics, .topic_count = 3};
static const struct control_catalog_topic declared[] = {{.name = "flights"}};
static const struct control_catalog catalog = {.topics = declared, .topic_count = 1};

static void a_topic_says_what_it_has_and_what_becomes_of_it(void **state)
{
    (void)state;
    struct buf out = {0};
    admin_topic_render(&snapshot, &catalog, &topics[0], &out);
    assert_slice(buf_slice(&out),
                 "{\"name\":\"flights\",\"uuid\":\"01234567-89ab-4def-8123-010203040506\","
                 "\"contract\":true,\"dlq_of\":null,\"dlq\":\"flights.dlq\",\"partition_count\":2,"
                 "\"offsets\":20,\"sealed_bytes\":4096,\"wal_bytes\":77,"
                 "\"retention_ms\":604800000,\"retention_bytes\":0,\"expire_undelivered\":true,"
                 "\"compression\":\"zstd\",\"batch_bytes\":1048588,\"partitions\":["
                 "{\"partition\":0,\"start_offset\":0,\"end_offset\":10},"
                 "{\"partition\":1,\"start_offset\":90,\"end_offset\":100}]}");
    buf_done(&out);
}

static void a_dlq_names_its_topic(void **state)
{
    (void)state;
    struct buf out = {0};
    admin_topic_render(&snapshot, &catalog, &topics[1], &out);
    buf_add_byte(&out, 0);
    assert_non_null(
        strstr((char *)out.data, "\"contract\":true,\"dlq_of\":\"flights\",\"dlq\":null,"));
    assert_non_null(strstr((char *)out.data, "\"retention_bytes\":1073741824,"));
    assert_non_null(strstr((char *)out.data, "\"compression\":\"none\""));
    buf_done(&out);
}

static void all_topics_are_a_line_each(void **state)
{
    (void)state;
    struct buf out = {0};
    admin_topics_render(&snapshot, &catalog, &out);
    assert_true(err_is_ok(format_json_check(buf_slice(&out), NULL, 8, NULL, NULL)));
    size_t lines = 0;
    for (size_t i = 0; i < out.size; i++)
        lines += out.data[i] == '\n';
    assert_int_equal(lines, 4);
    assert_true(slice_ends_with(buf_slice(&out),
                                SLICE_LITERAL("\"batch_bytes\":1000,\"partitions\":[]}\n]}")));
    buf_reset(&out);
    admin_topics_render(&(struct flow_snapshot){0}, &catalog, &out);
    assert_slice(buf_slice(&out), "{\"topics\":[\n]}");
    buf_done(&out);
}

static void a_dlq_is_found_by_its_topic(void **state)
{
    (void)state;
    assert_ptr_equal(admin_topics_dlq(&snapshot, &topics[0]), &topics[1]);
    assert_null(admin_topics_dlq(&snapshot, &topics[1]));
    assert_null(admin_topics_dlq(&snapshot, &topics[2]));
}

static void a_dlq_is_declared_by_the_contract_of_its_topic(void **state)
{
    (void)state;
    assert_true(admin_topics_declared(&snapshot, &catalog, &topics[0]));
    assert_true(admin_topics_declared(&snapshot, &catalog, &topics[1]));
    assert_false(admin_topics_declared(&snapshot, &catalog, &topics[2]));
    const struct flow_topic_state orphan = {.id = 9, .name = "flights", .parent_id = 8};
    assert_false(admin_topics_declared(&snapshot, &catalog, &orphan));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_says_what_it_has_and_what_becomes_of_it),
        cmocka_unit_test(a_dlq_names_its_topic),
        cmocka_unit_test(all_topics_are_a_line_each),
        cmocka_unit_test(a_dlq_is_found_by_its_topic),
        cmocka_unit_test(a_dlq_is_declared_by_the_contract_of_its_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
