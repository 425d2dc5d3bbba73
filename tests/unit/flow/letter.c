#include "flow/letter.h"

#include "base/alloc.h"
#include "flow/batch.h"
#include "flow/letters.h"
#include "lib/unit.h"

#define RECEIVED_MS INT64_C(1790000000123)

static const struct flow_header full[] = {
    {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("schema")},
    {SLICE_LITERAL("garner.detail"), SLICE_LITERAL("/distance: expected integer")},
    {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("intake")},
    {SLICE_LITERAL("garner.source"), SLICE_LITERAL("http")},
    {SLICE_LITERAL("garner.attempts"), SLICE_LITERAL("3")},
    {SLICE_LITERAL("garner.received_at"), SLICE_LITERAL("2026-09-21T14:13:20.123Z")},
    {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("forged")},
};

struct built {
    struct flow_batch_builder builder;
    struct flow_batch batch;
    struct flow_record record;
};

static void build(struct built *b, const struct flow_header *headers, uint32_t count)
{
    flow_batch_builder_init(&b->builder);
    assert_true(err_is_ok(flow_batch_builder_add(&b->builder, 77, SLICE_LITERAL("AB"),
                                                 SLICE_LITERAL("{}"), headers, count)));
    struct slice bytes = flow_batch_builder_finish(&b->builder);
    assert_true(err_is_ok(flow_batch_parse(bytes, &b->batch)));
    struct flow_batch_iterator it = flow_batch_records(&b->batch);
    assert_true(err_is_ok(flow_batch_next(&it, &b->record)));
}

static void its_headers_tell_of_a_letter(void **state)
{
    (void)state;
    struct built b;
    struct flow_letter letter;
    build(&b, full, 7);
    flow_letter_parse(&b.record, &letter);
    assert_true(slice_equal_string(letter.reason, "schema"));
    assert_true(slice_equal_string(letter.detail, "/distance: expected integer"));
    assert_true(slice_equal_string(letter.source, "http"));
    assert_int_equal(letter.attempts, 3);
    assert_int_equal(letter.received_ms, RECEIVED_MS);
    assert_false(letter.of_sink);
    flow_batch_builder_done(&b.builder);
}

static void a_letter_without_headers_is_one_all_the_same(void **state)
{
    (void)state;
    static const struct flow_header odd[] = {
        {SLICE_LITERAL("garner.attempts"), SLICE_LITERAL("many")},
        {SLICE_LITERAL("garner.received_at"), SLICE_LITERAL("yesterday")},
        {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("sink:lake")}};
    struct built b;
    struct flow_letter letter;
    build(&b, NULL, 0);
    flow_letter_parse(&b.record, &letter);
    assert_int_equal(letter.attempts, 1);
    assert_int_equal(letter.received_ms, 77);
    assert_int_equal(letter.reason.size, 0);
    assert_true(flow_letter_matches(&letter, &(struct flow_letter_filter){0}));
    flow_batch_builder_done(&b.builder);
    build(&b, odd, 3);
    flow_letter_parse(&b.record, &letter);
    assert_int_equal(letter.attempts, 1);
    assert_int_equal(letter.received_ms, 77);
    assert_true(letter.of_sink);
    flow_batch_builder_done(&b.builder);
}

#define ORIGIN_HEADERS 11u

/* As sinks/letter.c writes them, behind which the record's own come. */
static const struct flow_header of_a_sink[ORIGIN_HEADERS] = {
    {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("sink")},
    {SLICE_LITERAL("garner.detail"), SLICE_LITERAL("no")},
    {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("sink:lake")},
    {SLICE_LITERAL("garner.source"), SLICE_LITERAL("sink")},
    {SLICE_LITERAL("garner.attempts"), SLICE_LITERAL("1")},
    {SLICE_LITERAL("garner.received_at"), SLICE_LITERAL("2026-01-01T00:00:00Z")},
    {SLICE_LITERAL("garner.topic"), SLICE_LITERAL("flights")},
    {SLICE_LITERAL("garner.partition"), SLICE_LITERAL("3")},
    {SLICE_LITERAL("garner.offset"), SLICE_LITERAL("9000000000")},
    {SLICE_LITERAL("garner.mine"), SLICE_LITERAL("the record's")},
    {SLICE_LITERAL("garner.offset"), SLICE_LITERAL("12")}};

static void a_sinks_letter_says_which_record_it_is(void **state)
{
    (void)state;
    struct built b;
    struct flow_letter letter;
    struct flow_header header;
    build(&b, of_a_sink, ORIGIN_HEADERS);
    flow_letter_parse(&b.record, &letter);
    assert_true(letter.of_sink && letter.has_origin);
    assert_slice(letter.sink, "lake");
    assert_slice(letter.topic, "flights");
    assert_int_equal(letter.partition, 3);
    assert_int_equal(letter.offset, 9000000000);
    /* The record's own headers, whatever they are called. */
    assert_int_equal(letter.original.offset, 9000000000);
    assert_slice(letter.original.key, "AB");
    assert_int_equal(letter.original.header_count, 2);
    struct slice rest = letter.original.headers;
    assert_true(flow_record_header(&rest, &header));
    assert_slice(header.key, "garner.mine");
    assert_true(flow_record_header(&rest, &header));
    assert_slice(header.value, "12");
    assert_int_equal(rest.size, 0);
    flow_batch_builder_done(&b.builder);
}

static void what_does_not_say_it_has_no_origin(void **state)
{
    (void)state;
    static const struct {
        uint32_t at;
        struct slice value;
    } wrong[] = {{2, SLICE_LITERAL("sink:")},
                 {6, SLICE_LITERAL("")},
                 {7, SLICE_LITERAL("three")},
                 {7, SLICE_LITERAL("10000")},
                 {8, SLICE_LITERAL("-1")},
                 {8, SLICE_LITERAL("")},
                 {8, SLICE_LITERAL("9223372036854775807")}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct flow_header headers[ORIGIN_HEADERS];
        struct built b;
        struct flow_letter letter;
        memcpy(headers, of_a_sink, sizeof headers);
        headers[wrong[i].at].value = wrong[i].value;
        build(&b, headers, 9);
        flow_letter_parse(&b.record, &letter);
        assert_true(letter.of_sink);
        assert_false(letter.has_origin);
        assert_int_equal(letter.original.header_count, 0);
        flow_batch_builder_done(&b.builder);
    }
}

#define PRODUCED_HEADERS 12u

/* As pipeline/check writes them for what was part of a batch, behind which the record's own
 * come, whatever they are called. */
static const struct flow_header of_a_batch[PRODUCED_HEADERS] = {
    {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("schema")},
    {SLICE_LITERAL("garner.detail"), SLICE_LITERAL("no")},
    {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("intake")},
    {SLICE_LITERAL("garner.source"), SLICE_LITERAL("kafka")},
    {SLICE_LITERAL("garner.attempts"), SLICE_LITERAL("2")},
    {SLICE_LITERAL("garner.received_at"), SLICE_LITERAL("2026-01-01T00:00:00Z")},
    {SLICE_LITERAL("garner.key"), SLICE_LITERAL("KL")},
    {SLICE_LITERAL("garner.partition"), SLICE_LITERAL("3")},
    {SLICE_LITERAL("trace"), SLICE_LITERAL("")},
    {SLICE_LITERAL("garner.partition"), SLICE_LITERAL("5")},
    {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("sink:lake")},
    {SLICE_LITERAL("garner.key"), {0}}};

static void a_letter_of_what_was_produced_has_its_key_and_headers(void **state)
{
    (void)state;
    struct built b;
    struct flow_letter letter;
    struct flow_header header;
    build(&b, of_a_batch, PRODUCED_HEADERS);
    flow_letter_parse(&b.record, &letter);
    assert_true(letter.produced);
    assert_false(letter.of_sink);
    assert_int_equal(letter.attempts, 2);
    assert_int_equal(letter.partition, 3);
    assert_slice(letter.contract_key, "KL");
    assert_slice(letter.original.key, "AB");
    assert_slice(letter.original.value, "{}");
    assert_int_equal(letter.original.timestamp_ms, 77);
    assert_int_equal(letter.original.header_count, 4);
    struct slice rest = letter.original.headers;
    for (uint32_t i = 8; i < PRODUCED_HEADERS; i++) {
        assert_true(flow_record_header(&rest, &header));
        assert_true(slice_equal(header.key, of_a_batch[i].key));
        assert_true(slice_equal(header.value, of_a_batch[i].value));
        assert_int_equal(header.value.data == NULL, of_a_batch[i].value.data == NULL);
    }
    assert_int_equal(rest.size, 0);
    /* It is found by either. */
    assert_true(
        flow_letter_matches(&letter, &(struct flow_letter_filter){.key = SLICE_LITERAL("KL")}));
    assert_true(
        flow_letter_matches(&letter, &(struct flow_letter_filter){.key = SLICE_LITERAL("AB")}));
    assert_false(
        flow_letter_matches(&letter, &(struct flow_letter_filter){.key = SLICE_LITERAL("K")}));
    flow_batch_builder_done(&b.builder);
}

static void without_a_partition_a_letter_is_of_a_record_that_was_its_body(void **state)
{
    (void)state;
    struct built b;
    struct flow_letter letter;
    /* As older programs wrote all of them. */
    build(&b, of_a_batch, 6);
    flow_letter_parse(&b.record, &letter);
    assert_false(letter.produced);
    assert_int_equal(letter.original.header_count, 0);
    assert_null(letter.contract_key.data);
    flow_batch_builder_done(&b.builder);
    /* A record's own header is not what the contract says. */
    struct flow_header headers[ORIGIN_HEADERS];
    memcpy(headers, of_a_sink, sizeof headers);
    headers[9].key = SLICE_LITERAL("garner.key");
    build(&b, headers, ORIGIN_HEADERS);
    flow_letter_parse(&b.record, &letter);
    assert_true(letter.of_sink && letter.has_origin);
    assert_false(letter.produced);
    assert_null(letter.contract_key.data);
    flow_batch_builder_done(&b.builder);
}

static void a_partition_that_cannot_be_read_is_none(void **state)
{
    (void)state;
    static const struct slice wrong[] = {SLICE_LITERAL("three"),
                                         SLICE_LITERAL("-1"),
                                         SLICE_LITERAL(""),
                                         {0},
                                         SLICE_LITERAL("4294967299")};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct flow_header headers[PRODUCED_HEADERS];
        struct built b;
        struct flow_letter letter;
        memcpy(headers, of_a_batch, sizeof headers);
        headers[7].value = wrong[i];
        build(&b, headers, PRODUCED_HEADERS);
        flow_letter_parse(&b.record, &letter);
        assert_true(letter.produced);
        assert_int_equal(letter.partition, FLOW_PARTITIONS_MAX);
        assert_int_equal(letter.original.header_count, 4);
        flow_batch_builder_done(&b.builder);
    }
}

static void each_filter_chooses(void **state)
{
    (void)state;
    static const struct {
        struct flow_letter_filter filter;
        bool matches;
    } cases[] = {
        {{.reason = SLICE_LITERAL("schema")}, true},
        {{.reason = SLICE_LITERAL("schem")}, false},
        {{.source = SLICE_LITERAL("http")}, true},
        {{.source = SLICE_LITERAL("sink")}, false},
        {{.path = SLICE_LITERAL("/distance")}, true},
        {{.path = SLICE_LITERAL("/distance: expected integer, and")}, false},
        {{.path = SLICE_LITERAL("istance")}, false},
        {{.key = SLICE_LITERAL("AB")}, true},
        {{.key = SLICE_LITERAL("A")}, false},
        {{.since_ms = RECEIVED_MS}, true},
        {{.since_ms = RECEIVED_MS + 1}, false},
        {{.until_ms = RECEIVED_MS + 1}, true},
        {{.until_ms = RECEIVED_MS}, false},
        {{.reason = SLICE_LITERAL("schema"), .source = SLICE_LITERAL("sink")}, false},
    };
    struct built b;
    struct flow_letter letter;
    build(&b, full, 6);
    flow_letter_parse(&b.record, &letter);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(flow_letter_matches(&letter, &cases[i].filter), cases[i].matches);
    flow_batch_builder_done(&b.builder);
}

static void outcomes_are_counted_by_name_and_bounded(void **state)
{
    (void)state;
    struct flow_letters_outcomes o = {0};
    flow_letters_count(&o, SLICE_LITERAL("json"), 10);
    flow_letters_count(&o, SLICE_LITERAL("accepted"), 1);
    flow_letters_count(&o, SLICE_LITERAL("json"), 5);
    assert_int_equal(o.count, 2);
    assert_string_equal(o.items[0].name, "json");
    assert_int_equal(o.items[0].count, 2);
    assert_int_equal(o.items[0].bytes, 15);
    flow_letters_count(&o, SLICE_LITERAL("a reason that is longer than there is room for it"), 1);
    flow_letters_count(&o, SLICE_LITERAL("a reason that is longer than there is room for it"), 1);
    assert_int_equal(o.items[2].count, 2);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", i);
        flow_letters_count(&o, slice_string(name), 1);
    }
    assert_int_equal(o.count, FLOW_LETTERS_OUTCOMES);
    assert_string_equal(o.items[FLOW_LETTERS_OUTCOMES - 1].name, "other");
    uint64_t total = 0;
    for (uint32_t i = 0; i < o.count; i++)
        total += o.items[i].count;
    assert_int_equal(total, 105);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_headers_tell_of_a_letter),
        cmocka_unit_test(a_letter_without_headers_is_one_all_the_same),
        cmocka_unit_test(a_sinks_letter_says_which_record_it_is),
        cmocka_unit_test(what_does_not_say_it_has_no_origin),
        cmocka_unit_test(a_letter_of_what_was_produced_has_its_key_and_headers),
        cmocka_unit_test(without_a_partition_a_letter_is_of_a_record_that_was_its_body),
        cmocka_unit_test(a_partition_that_cannot_be_read_is_none),
        cmocka_unit_test(each_filter_chooses),
        cmocka_unit_test(outcomes_are_counted_by_name_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
