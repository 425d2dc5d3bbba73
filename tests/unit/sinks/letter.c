#include "unit/sinks/batches.h"

#include "base/alloc.h"
#include "sinks/letter.h"

static const struct sinks_letter about = {
    .sink = "lake",
    .topic = "flights",
    .partition = 3,
    .attempts = 2,
    .wall_ms = INT64_C(1706700000123),
};
static const struct sinks_refusal refusal = {
    .offset = 41, .reason = "sink", .detail = "the path would have 5000 bytes"};

/* The first letter of a batch. */
static struct flow_record letter_of(struct flow_batch_builder *letters)
{
    struct flow_batch batch;
    assert_true(err_is_ok(flow_batch_parse(flow_batch_builder_finish(letters), &batch)));
    assert_true(err_is_ok(flow_batch_check(&batch)));
    assert_int_equal(batch.record_count, 1);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record record;
    assert_true(err_is_ok(flow_batch_next(&it, &record)));
    return record;
}

static void assert_header(struct slice *rest, const char *key, const char *value)
{
    struct flow_header header;
    assert_true(flow_record_header(rest, &header));
    assert_slice(header.key, key);
    assert_slice(header.value, value);
}

static void assert_own_headers(struct slice *rest)
{
    assert_header(rest, "garner.reason", "sink");
    assert_header(rest, "garner.detail", "the path would have 5000 bytes");
    assert_header(rest, "garner.stage", "sink:lake");
    assert_header(rest, "garner.source", "sink");
    assert_header(rest, "garner.attempts", "2");
    assert_header(rest, "garner.received_at", "2024-01-31T11:20:00.123Z");
    assert_header(rest, "garner.topic", "flights");
    assert_header(rest, "garner.partition", "3");
    assert_header(rest, "garner.offset", "41");
}

static void a_letter_is_the_record_and_why_it_was_refused(void **state)
{
    (void)state;
    struct flow_batch_builder letters;
    flow_batch_builder_init(&letters);
    struct flow_record record = {.offset = 41,
                                 .timestamp_ms = 77,
                                 .key = SLICE_LITERAL("k"),
                                 .value = SLICE_LITERAL("{\"a\": 1}")};
    assert_true(err_is_ok(sinks_letter_add(&letters, &about, &record, &refusal)));
    struct flow_record letter = letter_of(&letters);
    assert_slice(letter.key, "k");
    assert_slice(letter.value, "{\"a\": 1}");
    assert_int_equal(letter.timestamp_ms, 77);
    assert_int_equal(letter.header_count, 9);
    struct slice rest = letter.headers;
    assert_own_headers(&rest);
    flow_batch_builder_done(&letters);
}

static void null_stays_null(void **state)
{
    (void)state;
    struct flow_batch_builder letters;
    flow_batch_builder_init(&letters);
    struct flow_record record = {.offset = 41};
    assert_true(err_is_ok(sinks_letter_add(&letters, &about, &record, &refusal)));
    struct flow_record letter = letter_of(&letters);
    assert_null(letter.key.data);
    assert_null(letter.value.data);
    flow_batch_builder_done(&letters);
}

/* A record with two headers, in a batch of its own at offset 41. */
static struct flow_record record_with_headers(struct flow_batch_builder *builder,
                                              struct flow_batch *batch)
{
    struct flow_header headers[] = {{SLICE_LITERAL("trace"), SLICE_LITERAL("abc")},
                                    {SLICE_LITERAL("none"), {0}}};
    flow_batch_builder_init(builder);
    assert_true(err_is_ok(
        flow_batch_builder_add(builder, 0, (struct slice){0}, SLICE_LITERAL("1"), headers, 2)));
    struct slice bytes = flow_batch_builder_finish(builder);
    flow_batch_set_base_offset(builder->bytes.data, 41);
    assert_true(err_is_ok(flow_batch_parse(bytes, batch)));
    struct flow_batch_iterator it = flow_batch_records(batch);
    struct flow_record record;
    assert_true(err_is_ok(flow_batch_next(&it, &record)));
    return record;
}

static void the_records_own_headers_follow(void **state)
{
    (void)state;
    struct flow_batch_builder builder, letters;
    struct flow_batch batch;
    flow_batch_builder_init(&letters);
    struct flow_record record = record_with_headers(&builder, &batch);
    assert_true(err_is_ok(sinks_letter_add(&letters, &about, &record, &refusal)));
    struct flow_record letter = letter_of(&letters);
    assert_int_equal(letter.header_count, 11);
    struct slice rest = letter.headers;
    assert_own_headers(&rest);
    assert_header(&rest, "trace", "abc");
    struct flow_header header;
    assert_true(flow_record_header(&rest, &header));
    assert_slice(header.key, "none");
    assert_null(header.value.data);
    flow_batch_builder_done(&letters);
    flow_batch_builder_done(&builder);
}

static void a_count_of_headers_that_is_a_lie_is_not_believed(void **state)
{
    (void)state;
    struct flow_batch_builder builder, letters;
    struct flow_batch batch;
    flow_batch_builder_init(&letters);
    struct flow_record record = record_with_headers(&builder, &batch);
    record.header_count = UINT32_MAX;
    assert_true(err_is_ok(sinks_letter_add(&letters, &about, &record, &refusal)));
    assert_int_equal(letter_of(&letters).header_count, 11);
    flow_batch_builder_done(&letters);
    flow_batch_builder_done(&builder);
}

static void without_memory_the_letters_stay_as_they_were(void **state)
{
    (void)state;
    struct flow_batch_builder letters;
    flow_batch_builder_init(&letters);
    struct flow_record record = {.offset = 41, .value = SLICE_LITERAL("1")};
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        err_t err = sinks_letter_add(&letters, &about, &record, &refusal);
        mem_fail_after(0);
        if (err_is_ok(err))
            break;
        assert_int_equal(err.code, ERR_MEMORY);
        assert_int_equal(letters.record_count, 0);
    }
    assert_int_equal(letter_of(&letters).header_count, 9);
    flow_batch_builder_done(&letters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_is_the_record_and_why_it_was_refused),
        cmocka_unit_test(null_stays_null),
        cmocka_unit_test(the_records_own_headers_follow),
        cmocka_unit_test(a_count_of_headers_that_is_a_lie_is_not_believed),
        cmocka_unit_test(without_memory_the_letters_stay_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
