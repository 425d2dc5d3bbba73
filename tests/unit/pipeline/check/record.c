#include "pipeline/check/check.h"

#include <stdio.h>

#include "base/time.h"
#include "unit/pipeline/check/fixture.h"

#define NDJSON FLOW_FRAMING_NDJSON

/* The record that came of one line. */
static const struct seen *send_line(struct fixture *f, const char *line)
{
    fixture_forget(f);
    struct sent *s = fixture_send_text(f, "events", NDJSON, line);
    assert_counts(s, 1, 0, 0);
    sent_done(s);
    return assert_seen(f, 0, EVENTS, line);
}

static void equal_keys_meet_in_the_partition_that_kafka_chooses(void **state)
{
    (void)state;
    /* The partitions as kafka-python's partitioner computes them. */
    static const struct {
        const char *line;
        const char *key;
        uint32_t of_3;
        uint32_t of_10000;
    } cases[] = {
        {"{\"key\":\"21\"}", "21", 0, 1340},
        {"{\"key\":\"foobar\"}", "foobar", 0, 1166},
        {"{\"key\":\"a-little-bit-long-string\"}", "a-little-bit-long-string", 2, 2112},
        {"{\"key\":\"LH\"}", "LH", 2, 1484},
        {"{\"key\":\"Z\xc3\xbcrich\"}", "Z\xc3\xbcrich", 1, 2833},
        {"{\"key\":\"Z\\u00fcrich\"}", "Z\xc3\xbcrich", 1, 2833},
        {"{\"key\":\"\\u674e\"}", "\xe6\x9d\x8e", 1, 8109},
        {"{\"key\":\"a\\\"b\\\\c\"}", "a\"b\\c", 1, 670},
        {"{\"key\":\"\"}", "", 0, 6681},
        {"{\"key\":1.50}", "1.50", 0, 155},
        {"{\"key\":-7}", "-7", 2, 1211},
        {"{\"key\":1e3}", "1e3", 1, 5693},
        {"{\"key\":\"x\",\"key\":\"abc\"}", "abc", 0, 107},
    };
    struct fixture f, wide;
    fixture_init(&f);
    struct pipeline_check_topic topic = fixture_topics[0];
    topic.partition_count = 10000;
    struct pipeline_check_options options = fixture_options(&wide);
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(&wide, &options);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct seen *seen = send_line(&f, cases[i].line);
        assert_string_equal(seen->key, cases[i].key);
        assert_int_equal(seen->partition, cases[i].of_3);
        assert_int_equal(send_line(&wide, cases[i].line)->partition, cases[i].of_10000);
    }
    fixture_done(&f);
    fixture_done(&wide);
}

static void what_is_no_string_or_number_is_no_key(void **state)
{
    (void)state;
    static const char *const lines[] = {"{}",           "{\"key\":null}", "{\"key\":true}",
                                        "{\"key\":[]}", "{\"key\":{}}",   "{\"k\":\"key\"}",
                                        "\"key\"",      "[\"key\"]"};
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const struct seen *seen = send_line(&f, lines[i]);
        assert_null(seen->key);
        assert_int_equal(seen->partition, i % 3);
    }
    fixture_done(&f);
}

static void records_without_a_key_go_round_request_by_request(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < 4; i++) {
        fixture_forget(&f);
        /* One with a key in the middle does not move the round. */
        struct sent *s = fixture_send_text(&f, "events", NDJSON,
                                           "{\"n\":1}\n{\"key\":\"LH\"}\n{\"n\":2}\n{\"n\":3}");
        assert_counts(s, 4, 0, 0);
        sent_done(s);
        size_t with_key = 0;
        for (size_t j = 0; j < f.seen_count; j++) {
            if (f.seen[j].key)
                with_key++;
            else
                assert_int_equal(f.seen[j].partition, i % 3);
        }
        assert_int_equal(with_key, 1);
        s = fixture_send_text(&f, "events", NDJSON, "{\"key\":\"LH\"}");
        sent_done(s);
    }
    fixture_done(&f);
}

static void event_time_is_taken_from_the_record(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int64_t ms;
    } cases[] = {
        {"{\"at\":\"0001-01-01T00:00:00Z\"}", TIME_MS_MIN},
        {"{\"at\":\"9999-12-31T23:59:59.999Z\"}", TIME_MS_MAX},
        {"{\"at\":\"2026-09-21T14:13:20.123+00:00\"}", ARRIVAL_MS},
        {"{\"at\":\"1970-01-01T01:00:00+01:00\"}", 0},
        {"{\"at\":\"1970\\u002d01-01T00:00:01Z\"}", 1000},
        {"{\"at\":1700000000}", 1700000000000},
        {"{\"at\":1700000000.25}", 1700000000250},
        {"{\"at\":1700000000123}", 1700000000123},
        {"{\"at\":1700000000123456}", 1700000000123},
        {"{\"at\":0}", 0},
        {"{\"at\":-1}", -1000},
    };
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(send_line(&f, cases[i].line)->timestamp_ms, cases[i].ms);
    fixture_done(&f);
}

static void without_an_event_time_it_is_the_arrival(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{}",
        "{\"at\":null}",
        "{\"at\":\"yesterday\"}",
        "{\"at\":\"1700000000\"}",
        "{\"at\":\"0000-01-01T00:00:00Z\"}",
        "{\"at\":\"10000-01-01T00:00:00Z\"}",
        "{\"at\":\"2026-02-30T00:00:00Z\"}",
        "{\"at\":1e300}",
        "{\"at\":99999999999999999999999}",
        "{\"at\":true}",
        "{\"at\":{\"at\":1}}",
        "17",
    };
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(send_line(&f, lines[i])->timestamp_ms, ARRIVAL_MS);
    struct sent *s = fixture_send_text(&f, "orders", NDJSON, "{\"at\":0}");
    sent_done(s);
    assert_int_equal(f.seen[f.seen_count - 1].timestamp_ms, ARRIVAL_MS);
    fixture_done(&f);
}

static void an_escaped_key_and_an_escaped_time_do_not_mix(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    const struct seen *seen =
        send_line(&f, "{\"key\":\"\\u0061bc\",\"at\":\"1970-01-01T00:00:0\\u0031Z\"}");
    assert_string_equal(seen->key, "abc");
    assert_int_equal(seen->timestamp_ms, 1000);
    fixture_done(&f);
}

static void a_key_and_a_time_may_be_one_field(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    struct pipeline_check_topic topic = fixture_topics[0];
    topic.key = topic.event_time = "meta.at";
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(&f, &options);
    const struct seen *seen = send_line(&f, "{\"meta\":{\"at\":1700000000}}");
    assert_string_equal(seen->key, "1700000000");
    assert_int_equal(seen->timestamp_ms, 1700000000000);
    fixture_done(&f);
}

static void a_dead_letter_tells_what_became_of_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s =
        fixture_send_text(&f, "events", NDJSON, "{\"key\":\"LH\",\"at\":0,\"x\":}\n{\"key\":");
    assert_counts(s, 0, 2, 0);
    const struct seen *seen = assert_seen(&f, 0, EVENTS_DLQ, "{\"key\":\"LH\",\"at\":0,\"x\":}");
    assert_int_equal(seen->kind, FLOW_APPEND_DEAD_LETTERS);
    assert_int_equal(seen->partition, 0);
    assert_null(seen->key);
    assert_int_equal(seen->timestamp_ms, ARRIVAL_MS);
    char expected[400];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(expected, sizeof(expected),
                       "garner.reason=json\ngarner.detail=%s\ngarner.stage=intake\n"
                       "garner.source=http\ngarner.attempts=1\n"
                       "garner.received_at=" ARRIVAL_TEXT "\n",
                       s->request.errors[i].detail);
        assert_string_equal(f.seen[i].headers, expected);
    }
    assert_int_equal(f.counts[EVENTS].received, 2);
    assert_int_equal(f.counts[EVENTS].refused, 0);
    assert_int_equal(f.counts[EVENTS_DLQ].received, 0);
    sent_done(s);
    fixture_done(&f);
}

static void each_request_has_an_arrival_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < 2; i++) {
        sent_done(fixture_send_text(&f, "events", NDJSON, "{"));
        assert_int_equal(f.seen[i].timestamp_ms, f.wall_ms);
        f.wall_ms = 0;
    }
    assert_non_null(strstr(f.seen[0].headers, "garner.received_at=" ARRIVAL_TEXT "\n"));
    assert_non_null(strstr(f.seen[1].headers, "garner.received_at=1970-01-01T00:00:00.000Z\n"));
    fixture_done(&f);
}

static void accepted_records_have_no_headers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    const struct seen *seen = send_line(&f, "{}");
    assert_string_equal(seen->headers, "");
    assert_int_equal(seen->kind, FLOW_APPEND_RECORDS);
    fixture_done(&f);
}

/* A letter at `offset` that comes again. */
static struct flow_inlet_history history_of(int64_t offset, uint32_t attempts)
{
    return (struct flow_inlet_history){.settle = {.topic_id = EVENTS_DLQ,
                                                  .kind = FLOW_SETTLE_REDRIVEN,
                                                  .record_count = 1,
                                                  .first_offset = offset,
                                                  .end_offset = offset + 1},
                                       .attempts = attempts,
                                       .received_ms = 1500,
                                       .received_at = SLICE_LITERAL("1970-01-01T00:00:01.500Z"),
                                       .source = SLICE_LITERAL("mqtt")};
}

static void submit_letter(struct fixture *f, struct sent *s, const char *topic, const char *text,
                          const struct flow_inlet_history *history)
{
    *s = fixture_request(f, 'x', topic, FLOW_FRAMING_RECORD, slice_string(text));
    s->request.source = "redrive";
    s->request.history = history;
    fixture_submit(f, s);
}

static void redriven_letters_are_settled_with_what_becomes_of_them(void **state)
{
    (void)state;
    struct fixture f;
    struct sent sent[3];
    struct flow_inlet_history history[3] = {history_of(4, 2), history_of(5, 2), history_of(9, 3)};
    fixture_init(&f);
    submit_letter(&f, &sent[0], "events", " {\"a\":1} ", &history[0]);
    submit_letter(&f, &sent[1], "events", "[{\"a\":1},{\"a\":2}]", &history[1]);
    submit_letter(&f, &sent[2], "events", "{broken", &history[2]);
    fixture_run(&f);
    assert_counts(&sent[0], 1, 0, 0);
    assert_counts(&sent[1], 1, 0, 0);
    assert_counts(&sent[2], 0, 1, 0);
    assert_int_equal(f.commit_count, 1);
    assert_int_equal(f.commits[0]->settle_count, 2);
    assert_int_equal(f.commits[0]->settles[0].first_offset, 4);
    assert_int_equal(f.commits[0]->settles[0].end_offset, 6);
    assert_int_equal(f.commits[0]->settles[0].record_count, 2);
    assert_int_equal(f.commits[0]->settles[1].first_offset, 9);
    assert_int_equal(f.counts[EVENTS].received, 3);
    /* It came when it first came, also where a contract has no event time to say. */
    assert_int_equal(assert_seen(&f, 0, EVENTS, "{\"a\":1}")->timestamp_ms, 1500);
    assert_seen(&f, 1, EVENTS, "[{\"a\":1},{\"a\":2}]");
    const struct seen *letter = assert_seen(&f, 2, EVENTS_DLQ, "{broken");
    assert_non_null(strstr(letter->headers, "garner.attempts=3\n"));
    assert_non_null(strstr(letter->headers, "garner.source=mqtt\n"));
    assert_non_null(strstr(letter->headers, "garner.received_at=1970-01-01T00:00:01.500Z\n"));
    flow_inlet_request_done(&sent[2].request);
    fixture_done(&f);
}

static void a_redriven_letter_is_never_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct sent s;
    struct flow_inlet_history history = history_of(0, 2);
    history.settle.topic_id = ORDERS_DLQ;
    fixture_init(&f);
    submit_letter(&f, &s, "orders", "{broken", &history);
    fixture_run(&f);
    assert_counts(&s, 0, 1, 0);
    assert_seen(&f, 0, ORDERS_DLQ, "{broken");
    flow_inlet_request_done(&s.request);
    submit_letter(&f, &s, "orders", "  ", &history);
    fixture_run(&f);
    assert_counts(&s, 0, 1, 0);
    flow_inlet_request_done(&s.request);
    fixture_done(&f);
}

/* The settles' array is the one thing that is not needed without them. */
static void a_letter_that_finds_no_memory_stays_held(void **state)
{
    (void)state;
    bool failed = false;
    for (uint64_t n = 1; n < 40; n++) {
        struct fixture f;
        struct sent s;
        struct flow_inlet_history history = history_of(0, 2);
        fixture_init(&f);
        mem_fail_after(n);
        submit_letter(&f, &s, "events", "{\"a\":1}", &history);
        mem_fail_after(0);
        fixture_run(&f);
        bool ok = err_is_ok(s.request.error);
        failed = failed || !ok;
        assert_int_equal(f.commit_count, ok ? 1 : 0);
        assert_int_equal(f.seen_count, ok ? 1 : 0);
        fixture_done(&f);
    }
    assert_true(failed);
}

static void what_is_only_judged_leaves_no_trace(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"a\":1}", "{broken"};
    struct fixture f;
    fixture_init(&f);
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < 2; i++) {
            struct sent s = fixture_request(&f, 'x', t ? "orders" : "events", FLOW_FRAMING_RECORD,
                                            slice_string(texts[i]));
            flow_inlet_judge(pipeline_check_inlet(f.check), &s.request);
            assert_int_equal(s.request.accepted, i == 0);
            assert_int_equal(s.request.dead_lettered, i == 1 && t == 0);
            assert_int_equal(s.request.refused, i == 1 && t == 1);
            assert_int_equal(s.request.error_count, i);
            if (i == 1)
                assert_string_equal(s.request.errors[0].reason, "json");
            assert_int_equal(s.answers, 0);
            flow_inlet_request_done(&s.request);
        }
    }
    fixture_run(&f);
    assert_int_equal(f.commit_count, 0);
    assert_null(f.snapshot);
    fixture_done(&f);
}

static void a_rejecting_contract_refuses_and_keeps_the_good_ones(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "orders", NDJSON, "{bad\n{\"a\":1}\n{\"a\":}\n");
    assert_counts(s, 1, 0, 2);
    assert_int_equal(f.seen_count, 1);
    assert_seen(&f, 0, ORDERS, "{\"a\":1}");
    assert_int_equal(f.counts[ORDERS].received, 3);
    assert_int_equal(f.counts[ORDERS].refused, 2);
    assert_int_equal(s->request.errors[0].index, 0);
    assert_int_equal(s->request.errors[1].index, 2);
    assert_string_equal(s->request.errors[1].reason, "json");
    sent_done(s);
    fixture_done(&f);
}

static void a_request_of_refusals_alone_is_counted_in_the_log(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "orders", NDJSON, "{bad\n");
    assert_counts(s, 0, 0, 1);
    assert_int_equal(f.commit_count, 1);
    assert_int_equal(f.seen_count, 0);
    assert_int_equal(f.counts[ORDERS].received, 1);
    assert_int_equal(f.counts[ORDERS].refused, 1);
    sent_done(s);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_meet_in_the_partition_that_kafka_chooses),
        cmocka_unit_test(what_is_no_string_or_number_is_no_key),
        cmocka_unit_test(records_without_a_key_go_round_request_by_request),
        cmocka_unit_test(event_time_is_taken_from_the_record),
        cmocka_unit_test(without_an_event_time_it_is_the_arrival),
        cmocka_unit_test(an_escaped_key_and_an_escaped_time_do_not_mix),
        cmocka_unit_test(a_key_and_a_time_may_be_one_field),
        cmocka_unit_test(a_dead_letter_tells_what_became_of_it),
        cmocka_unit_test(each_request_has_an_arrival_of_its_own),
        cmocka_unit_test(accepted_records_have_no_headers),
        cmocka_unit_test(redriven_letters_are_settled_with_what_becomes_of_them),
        cmocka_unit_test(a_redriven_letter_is_never_refused),
        cmocka_unit_test(a_letter_that_finds_no_memory_stays_held),
        cmocka_unit_test(what_is_only_judged_leaves_no_trace),
        cmocka_unit_test(a_rejecting_contract_refuses_and_keeps_the_good_ones),
        cmocka_unit_test(a_request_of_refusals_alone_is_counted_in_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
