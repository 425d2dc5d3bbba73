#include "cli/events.h"

#include "base/alloc.h"
#include "base/number.h"
#include "base/time.h"
#include "flow/batch.h"
#include "format/json/array.h"
#include "lib/unit.h"

static const char noon[] = "2026-01-31T12:00:00.000Z";

static struct cli_events make(size_t size, uint32_t batch, enum cli_events_form form,
                              struct cli_share broken)
{
    struct cli_events events;
    struct cli_events_options options = {
        .run = 0xab01, .size = size, .batch = batch, .form = form, .broken = broken, .seed = 7};
    assert_true(err_is_ok(cli_events_init(&events, &options)));
    return events;
}

/* A body of `count` records from `sequence` on. */
static uint8_t *body_of(const struct cli_events *events, uint32_t count, uint64_t sequence)
{
    uint8_t *body = cli_events_body(events);
    assert_non_null(body);
    cli_events_fill(events, body, 0, count, sequence, noon);
    cli_events_end(events, body, count, 0);
    return body;
}

static void assert_member(struct slice record, const char *key, const char *raw)
{
    struct format_json_value value;
    assert_true(err_is_ok(format_json_get(record, key, &value)));
    assert_slice(value.raw, raw);
}

static void lines_are_json_of_the_size_with_ids_and_times(void **state)
{
    (void)state;
    static const size_t sizes[] = {80, 81, 100, 200, 333, 500, 5000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct cli_events events = make(sizes[i], 5, CLI_EVENTS_LINES, (struct cli_share){0, 1});
        uint8_t *body = body_of(&events, 5, 999999999994);
        struct slice rest = slice_make(body, cli_events_size(&events, 5));
        assert_int_equal(rest.size, 5 * (sizes[i] + 1));
        struct slice first = slice_split(&rest, '\n');
        assert_int_equal(first.size, sizes[i]);
        assert_true(err_is_ok(format_json_check(first, NULL, 10, NULL, NULL)));
        assert_member(first, "id", "\"0000ab01-999999999994\"");
        assert_member(first, "event_time", "\"2026-01-31T12:00:00.000Z\"");
        assert_member(slice_split(&rest, '\n'), "id", "\"0000ab01-999999999995\"");
        mem_free(body);
        cli_events_done(&events);
    }
}

static void a_large_event_looks_like_one(void **state)
{
    (void)state;
    struct cli_events events = make(500, 2, CLI_EVENTS_LINES, (struct cli_share){0, 1});
    uint8_t *body = body_of(&events, 2, 0);
    struct slice record = slice_make(body, 500);
    static const char *const keys[] = {"type", "user", "page", "order", "tags", "bot", "note"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct format_json_value value;
        assert_true(err_is_ok(format_json_get(record, keys[i], &value)));
        assert_int_not_equal(value.kind, FORMAT_JSON_MISSING);
    }
    mem_free(body);
    cli_events_done(&events);
}

static void a_body_can_be_filled_again_and_shorter(void **state)
{
    (void)state;
    struct cli_events events = make(100, 4, CLI_EVENTS_ARRAY, (struct cli_share){1, 4});
    uint8_t *body = body_of(&events, 4, 0);
    cli_events_fill(&events, body, 0, 1, 100, noon);
    cli_events_fill(&events, body, 1, 2, 5, noon);
    cli_events_end(&events, body, 3, 0);
    struct format_json_array array;
    struct format_json_element element;
    static const char *const ids[] = {"100", "005", "006"};
    assert_true(err_is_ok(
        format_json_array_begin(&array, slice_make(body, cli_events_size(&events, 3)), NULL)));
    for (size_t i = 0; i < 3; i++) {
        char id[40];
        snprintf(id, sizeof(id), "\"0000ab01-000000000%s\"", ids[i]);
        assert_int_equal(format_json_array_next(&array, NULL, 10, NULL, &element),
                         FORMAT_JSON_ARRAY_ELEMENT);
        assert_member(element.raw, "id", id);
    }
    assert_int_equal(format_json_array_next(&array, NULL, 10, NULL, &element),
                     FORMAT_JSON_ARRAY_END);
    mem_free(body);
    cli_events_done(&events);
}

static void broken_records_are_no_json_and_leave_their_neighbours_whole(void **state)
{
    (void)state;
    for (int framing = 0; framing < 2; framing++) {
        struct cli_events events =
            make(120, 10, (enum cli_events_form)framing, (struct cli_share){3, 10});
        uint8_t *body = body_of(&events, 10, 0);
        struct format_json_array array;
        struct format_json_element element;
        struct slice rest = slice_make(body, cli_events_size(&events, 10));
        uint32_t broken = 0;
        if (framing)
            assert_true(err_is_ok(format_json_array_begin(&array, rest, NULL)));
        for (uint64_t i = 0; i < 10; i++) {
            bool good =
                framing
                    ? format_json_array_next(&array, NULL, 10, NULL, &element) ==
                          FORMAT_JSON_ARRAY_ELEMENT
                    : err_is_ok(format_json_check(slice_split(&rest, '\n'), NULL, 10, NULL, NULL));
            assert_int_equal(good, !cli_events_is_broken(&events, i));
            broken += !good;
        }
        assert_int_equal(broken, 3);
        mem_free(body);
        cli_events_done(&events);
    }
}

static void an_id_is_what_stands_in_the_record(void **state)
{
    (void)state;
    struct cli_events events = make(80, 1, CLI_EVENTS_LINES, (struct cli_share){0, 1});
    uint8_t *body = body_of(&events, 1, 123456789012);
    char id[CLI_EVENTS_ID_SIZE + 1];
    cli_events_id(&events, 123456789012, id);
    assert_string_equal(id, "0000ab01-123456789012");
    assert_memory_equal(body + 7, id, CLI_EVENTS_ID_SIZE);
    mem_free(body);
    cli_events_done(&events);
}

static void the_same_seed_gives_the_same_events(void **state)
{
    (void)state;
    struct cli_events a = make(400, 20, CLI_EVENTS_LINES, (struct cli_share){0, 1});
    struct cli_events b = make(400, 20, CLI_EVENTS_LINES, (struct cli_share){0, 1});
    assert_memory_equal(a.body, b.body, cli_events_size(&a, 20));
    cli_events_done(&b);
    struct cli_events_options other = a.options;
    other.seed = 8;
    assert_true(err_is_ok(cli_events_init(&b, &other)));
    assert_memory_not_equal(a.body, b.body, cli_events_size(&a, 20));
    cli_events_done(&a);
    cli_events_done(&b);
}

static void shares_are_spread_evenly(void **state)
{
    (void)state;
    struct cli_share share = {7, 1000};
    for (uint64_t n = 0; n < 5000; n++) {
        uint64_t step = cli_share_of(share, n + 1) - cli_share_of(share, n);
        assert_true(step <= 1);
    }
    assert_int_equal(cli_share_of(share, 5000), 35);
    /* More than 64 bits on the way. */
    assert_int_equal(cli_share_of((struct cli_share){999999, 1000000}, UINT64_C(1) << 60),
                     UINT64_C(1152920351685342369));
}

static void shares_are_percentages_or_numbers_of_a_count(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t count;
        uint64_t part; /* UINT64_MAX: refused */
        uint64_t whole;
    } cases[] = {
        {"0%", 0, 0, 1000000},           {"100%", 0, 1000000, 1000000}, {"0.1%", 9, 1000, 1000000},
        {"2.0305%", 0, 20305, 1000000},  {"1000", 2000, 1000, 2000},    {"0", 5, 0, 5},
        {"1000", 999, UINT64_MAX, 0},    {"1000", 0, UINT64_MAX, 0},    {"101%", 0, UINT64_MAX, 0},
        {"100.0001%", 0, UINT64_MAX, 0}, {"%", 0, UINT64_MAX, 0},       {"1.%", 0, UINT64_MAX, 0},
        {"1.00001%", 0, UINT64_MAX, 0},  {"-1%", 0, UINT64_MAX, 0},     {"", 5, UINT64_MAX, 0},
        {"x", 5, UINT64_MAX, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cli_share share = {1, 1};
        err_t err = cli_share_parse(slice_string(cases[i].text), cases[i].count, &share);
        if (cases[i].part == UINT64_MAX) {
            assert_true(err_is(err, ERR_INVALID));
            assert_int_equal(share.part, 1);
            continue;
        }
        assert_true(err_is_ok(err));
        assert_int_equal(share.part, cases[i].part);
        assert_int_equal(share.whole, cases[i].whole);
    }
}

static void memory_may_run_out(void **state)
{
    (void)state;
    struct cli_events events;
    struct cli_events_options options = {.size = 100, .batch = 100, .broken = {0, 1}, .seed = 1};
    mem_fail_after(1);
    assert_true(err_is(cli_events_init(&events, &options), ERR_MEMORY));
    mem_fail_after(0);
    assert_true(err_is_ok(cli_events_init(&events, &options)));
    mem_fail_after(1);
    assert_null(cli_events_body(&events));
    mem_fail_after(0);
    cli_events_done(&events);
    options.form = CLI_EVENTS_BATCH;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        mem_fail_after(n);
        done = err_is_ok(cli_events_init(&events, &options));
        mem_fail_after(0);
    }
    cli_events_done(&events);
}

/* Offsets of records from 64 on take a byte more, and their sizes may: each stands where its own
 * length puts it. */
static void a_batch_is_one_that_kafka_reads(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 63, 64, 65, 300, 299};
    struct cli_events events = make(111, 300, CLI_EVENTS_BATCH, (struct cli_share){1, 10});
    uint8_t *body = cli_events_body(&events);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct flow_batch batch;
        struct flow_record record;
        cli_events_fill(&events, body, 0, counts[i], 5000 * i, noon);
        cli_events_end(&events, body, counts[i], 1700000000123);
        size_t size = cli_events_size(&events, counts[i]);
        assert_true(err_is_ok(flow_batch_parse(slice_make(body, size), &batch)));
        assert_int_equal(batch.bytes.size, size);
        assert_true(err_is_ok(flow_batch_check(&batch)));
        assert_int_equal(batch.record_count, counts[i]);
        assert_int_equal(batch.max_timestamp_ms, 1700000000123);
        struct flow_batch_iterator it = flow_batch_records(&batch);
        for (uint32_t n = 0; n < counts[i]; n++) {
            uint64_t sequence = 0;
            assert_true(err_is_ok(flow_batch_next(&it, &record)));
            assert_int_equal(record.value.size, 111);
            assert_int_equal(record.timestamp_ms, 1700000000123);
            assert_true(cli_events_sequence(&events, record.value, &sequence));
            assert_int_equal(sequence, 5000 * i + n);
            bool json = err_is_ok(format_json_check(record.value, NULL, 10, NULL, NULL));
            assert_int_equal(json, !cli_events_is_broken(&events, sequence));
        }
        assert_true(err_is(flow_batch_next(&it, &record), ERR_END));
    }
    mem_free(body);
    cli_events_done(&events);
}

static void a_sequence_is_read_of_this_run_only(void **state)
{
    (void)state;
    struct cli_events events = make(100, 1, CLI_EVENTS_LINES, (struct cli_share){0, 1});
    uint8_t *body = body_of(&events, 1, 123456789012);
    uint64_t sequence = 7;
    assert_true(cli_events_sequence(&events, slice_make(body, 100), &sequence));
    assert_int_equal(sequence, 123456789012);
    for (size_t cut = 0; cut < 28; cut++)
        assert_false(cli_events_sequence(&events, slice_make(body, cut), &sequence));
    body[8] ^= 1;
    assert_false(cli_events_sequence(&events, slice_make(body, 100), &sequence));
    assert_int_equal(sequence, 123456789012);
    mem_free(body);
    cli_events_done(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json_of_the_size_with_ids_and_times),
        cmocka_unit_test(a_large_event_looks_like_one),
        cmocka_unit_test(a_body_can_be_filled_again_and_shorter),
        cmocka_unit_test(broken_records_are_no_json_and_leave_their_neighbours_whole),
        cmocka_unit_test(an_id_is_what_stands_in_the_record),
        cmocka_unit_test(the_same_seed_gives_the_same_events),
        cmocka_unit_test(shares_are_spread_evenly),
        cmocka_unit_test(shares_are_percentages_or_numbers_of_a_count),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(a_batch_is_one_that_kafka_reads),
        cmocka_unit_test(a_sequence_is_read_of_this_run_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
