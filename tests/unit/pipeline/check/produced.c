#include "flow/letter.h"
#include "unit/pipeline/check/schema.h"

/*
 * Dead letters of records that were part of a batch: they carry the key, the time and the headers
 * that the record came with, and have them again when they are redriven.
 */

#define RECORD_MS INT64_C(1700000000000)

static const char numbers[] = "{\"properties\":{\"n\":{\"type\":\"integer\"}}}";

static const struct flow_header own[] = {
    {SLICE_LITERAL("trace"), SLICE_LITERAL("7")},
    {SLICE_LITERAL("empty"), SLICE_LITERAL("")},
    {SLICE_LITERAL("none"), {0}},
    {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("mine")},
};

/* A record as a batch has it; the bytes are the builder's. */
struct made {
    struct flow_batch_builder builder;
    struct slice bytes;
    struct flow_batch batch;
    struct flow_record record;
};

static void make(struct made *m, struct slice key, const char *value, uint32_t header_count)
{
    flow_batch_builder_init(&m->builder);
    struct slice bytes = value ? slice_string(value) : slice_make(NULL, 0);
    assert_true(
        err_is_ok(flow_batch_builder_add(&m->builder, RECORD_MS, key, bytes, own, header_count)));
    m->bytes = flow_batch_builder_finish(&m->builder);
    assert_true(err_is_ok(flow_batch_parse(m->bytes, &m->batch)));
    struct flow_batch_iterator it = flow_batch_records(&m->batch);
    assert_true(err_is_ok(flow_batch_next(&it, &m->record)));
}

static void made_done(struct made *m)
{
    flow_batch_builder_done(&m->builder);
}

/* Hands `s` over, and leaves the commit with the log. */
static const struct flow_commit *hold(struct fixture *f, struct sent *s)
{
    f->hold = true;
    fixture_submit(f, s);
    fixture_run(f);
    assert_true(f->commit_count > 0);
    return f->commits[f->commit_count - 1];
}

static void answer(struct fixture *f)
{
    fixture_answer(f, f->commit_count - 1, err_ok());
    fixture_run(f);
}

static struct sent produce(struct fixture *f, const struct made *m, uint32_t partition)
{
    struct sent s = fixture_request(f, 'x', "events", FLOW_FRAMING_BATCH, m->bytes);
    s.request.source = "kafka";
    s.request.partition = partition;
    return s;
}

static struct flow_record only_record(const struct flow_append *append)
{
    struct flow_batch batch;
    struct flow_record record;
    assert_int_equal(append->record_count, 1);
    assert_true(err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    assert_true(err_is_ok(flow_batch_next(&it, &record)));
    return record;
}

static void assert_same(struct slice got, struct slice wanted)
{
    assert_int_equal(got.data == NULL, wanted.data == NULL);
    assert_true(slice_equal(got, wanted));
}

/* In everything that its producer has said. */
static void assert_record(const struct flow_record *got, const struct flow_record *wanted)
{
    assert_same(got->key, wanted->key);
    assert_same(got->value, wanted->value);
    assert_int_equal(got->timestamp_ms, wanted->timestamp_ms);
    assert_int_equal(got->header_count, wanted->header_count);
    assert_true(slice_equal(got->headers, wanted->headers));
}

/* The dead letter of the last commit, read as whoever redrives it does. */
static void read_letter(const struct fixture *f, struct flow_record *record,
                        struct flow_letter *letter)
{
    const struct flow_commit *commit = f->commits[f->commit_count - 1];
    /* Beside it may be the header of a batch of which nothing is left. */
    assert_in_range(commit->append_count, 1, 2);
    assert_int_equal(commit->appends[0].topic_id, EVENTS_DLQ);
    assert_true(commit->append_count == 1 || commit->appends[1].record_count == 0);
    *record = only_record(&commit->appends[0]);
    flow_letter_parse(record, letter);
    assert_true(letter->produced);
}

static void a_letter_is_the_record_as_it_was_produced(void **state)
{
    (void)state;
    static const struct {
        struct slice key;
        const char *value;
        uint32_t headers;
        struct slice contract_key;
    } cases[] = {
        {SLICE_LITERAL("k"), "{\"n\":\"x\"}", 4, {0}},
        {SLICE_LITERAL("k"), "{\"n\":\"x\",\"key\":\"k\"}", 0, {0}},
        {SLICE_LITERAL("k"), "{\"n\":\"x\",\"key\":\"K\\u004c\"}", 2, SLICE_LITERAL("KL")},
        {SLICE_LITERAL(""), "{\"n\":\"x\",\"key\":\"\"}", 1, {0}},
        {{0}, "{\"n\":\"x\",\"key\":\"\"}", 3, SLICE_LITERAL("")},
        {{0}, "{\"n\":\"x\"}", 4, {0}},
        {SLICE_LITERAL("\xff\0"), "no JSON", 4, {0}},
        {SLICE_LITERAL(""), "", 4, {0}},
        {SLICE_LITERAL("k"), NULL, 4, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct schema_fixture s;
        struct made m;
        struct flow_record record;
        struct flow_letter letter;
        schema_init(&s, numbers, 0);
        make(&m, cases[i].key, cases[i].value, cases[i].headers);
        struct sent sent = produce(&s.f, &m, 2);
        hold(&s.f, &sent);
        read_letter(&s.f, &record, &letter);
        assert_record(&letter.original, &m.record);
        assert_same(letter.contract_key, cases[i].contract_key);
        assert_int_equal(letter.partition, 2);
        assert_slice(letter.source, "kafka");
        assert_int_equal(letter.received_ms, ARRIVAL_MS);
        answer(&s.f);
        assert_counts(&sent, 0, 1, 0);
        flow_inlet_request_done(&sent.request);
        made_done(&m);
        schema_done(&s);
    }
}

static void a_letter_of_what_came_over_http_has_nothing_of_its_own(void **state)
{
    (void)state;
    struct schema_fixture s;
    struct flow_letter letter;
    schema_init(&s, numbers, 0);
    struct sent sent = fixture_request(&s.f, 'x', "events", FLOW_FRAMING_JSON,
                                       SLICE_LITERAL("{\"n\":\"x\",\"key\":\"KL\"}"));
    const struct flow_commit *commit = hold(&s.f, &sent);
    struct flow_record record = only_record(&commit->appends[0]);
    flow_letter_parse(&record, &letter);
    assert_false(letter.produced);
    assert_int_equal(record.header_count, 6);
    assert_slice(record.key, "KL");
    assert_int_equal(record.timestamp_ms, ARRIVAL_MS);
    answer(&s.f);
    flow_inlet_request_done(&sent.request);
    schema_done(&s);
}

/* As sources/redrive hands a letter over. */
static struct sent redrive(struct fixture *f, struct flow_inlet_history *history,
                           const struct flow_record *record, uint32_t partition)
{
    struct sent s = fixture_request(f, 'x', "events", FLOW_FRAMING_RECORD, record->value);
    *history = (struct flow_inlet_history){.settle = {.topic_id = EVENTS_DLQ,
                                                      .kind = FLOW_SETTLE_REDRIVEN,
                                                      .record_count = 1,
                                                      .first_offset = 4,
                                                      .end_offset = 5},
                                           .attempts = 2,
                                           .received_ms = 1500,
                                           .received_at = SLICE_LITERAL("1970-01-01T00:00:01.500Z"),
                                           .source = SLICE_LITERAL("kafka"),
                                           .produced = record};
    s.request.source = "redrive";
    s.request.partition = partition;
    s.request.history = history;
    return s;
}

static void redriven_it_has_its_own_parts_again(void **state)
{
    (void)state;
    static const struct slice keys[] = {SLICE_LITERAL("k"), SLICE_LITERAL(""), {0}};
    static const char *const values[] = {"{\"n\":1,\"key\":\"other\"}", "no JSON", "", NULL};
    for (size_t k = 0; k < 3; k++) {
        for (size_t v = 0; v < 4; v++) {
            struct fixture f;
            struct made m;
            struct flow_inlet_history history;
            /* The contract has no schema any more: a value is any bytes. */
            fixture_init(&f);
            make(&m, keys[k], values[v], 4);
            struct sent s = redrive(&f, &history, &m.record, 2);
            const struct flow_commit *commit = hold(&f, &s);
            assert_int_equal(commit->append_count, 1);
            assert_int_equal(commit->settle_count, 1);
            assert_int_equal(commit->appends[0].topic_id, EVENTS);
            assert_int_equal(commit->appends[0].partition, 2);
            struct flow_record record = only_record(&commit->appends[0]);
            assert_record(&record, &m.record);
            answer(&f);
            assert_counts(&s, 1, 0, 0);
            assert_int_equal(f.counts[EVENTS].received, 1);
            made_done(&m);
            fixture_done(&f);
        }
    }
}

static void where_its_partition_is_not_there_its_key_chooses(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", "c", "d", "e"};
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < 5; i++) {
        struct made m;
        struct flow_inlet_history history;
        make(&m, slice_string(keys[i]), "{}", 0);
        struct sent s = redrive(&f, &history, &m.record, i % 2 ? 3 : FLOW_PARTITIONS_MAX);
        const struct flow_commit *commit = hold(&f, &s);
        assert_int_equal(commit->appends[0].partition,
                         hash_kafka_partition(slice_string(keys[i]), 3));
        answer(&f);
        made_done(&m);
    }
    struct made m;
    struct flow_inlet_history history;
    make(&m, slice_make(NULL, 0), "{}", 0);
    struct sent s = redrive(&f, &history, &m.record, 3);
    assert_true(hold(&f, &s)->appends[0].partition < 3);
    answer(&f);
    assert_counts(&s, 1, 0, 0);
    made_done(&m);
    fixture_done(&f);
}

static void what_fails_again_is_the_same_letter_once_more(void **state)
{
    (void)state;
    struct schema_fixture s;
    struct made m;
    struct flow_record record;
    struct flow_letter letter;
    struct flow_inlet_history history;
    schema_init(&s, numbers, 0);
    make(&m, SLICE_LITERAL("k"), "{\"n\":\"x\",\"key\":\"KL\"}", 4);
    /* Also where it was sent to stays, whether or not it is there. */
    struct sent sent = redrive(&s.f, &history, &m.record, 17);
    hold(&s.f, &sent);
    read_letter(&s.f, &record, &letter);
    assert_record(&letter.original, &m.record);
    assert_slice(letter.contract_key, "KL");
    assert_int_equal(letter.partition, 17);
    assert_int_equal(letter.attempts, 2);
    assert_int_equal(letter.received_ms, 1500);
    assert_slice(letter.source, "kafka");
    assert_int_equal(s.f.commits[0]->settle_count, 1);
    answer(&s.f);
    assert_counts(&sent, 0, 1, 0);
    flow_inlet_request_done(&sent.request);
    made_done(&m);
    schema_done(&s);
}

static void a_dry_run_judges_it_as_it_would_be(void **state)
{
    (void)state;
    static const char *const values[] = {"{\"n\":1}", "{\"n\":\"x\"}"};
    struct schema_fixture s;
    schema_init(&s, numbers, 0);
    for (uint64_t i = 0; i < 2; i++) {
        struct made m;
        struct flow_inlet_history history;
        make(&m, SLICE_LITERAL("k"), values[i], 4);
        struct sent sent = redrive(&s.f, &history, &m.record, 0);
        flow_inlet_judge(pipeline_check_inlet(s.f.check), &sent.request);
        assert_counts(&sent, 1 - i, i, 0);
        flow_inlet_request_done(&sent.request);
        made_done(&m);
    }
    fixture_run(&s.f);
    assert_int_equal(s.f.commit_count, 0);
    schema_done(&s);
}

static void its_idempotency_key_counts(void **state)
{
    (void)state;
    static const char *const values[] = {"{\"id\":\"a\"}", "no JSON"};
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    struct pipeline_check_topic topic = fixture_topics[0];
    topic.dedup = "id";
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(&f, &options);
    for (int i = 0; i < 2; i++) {
        struct made m;
        struct flow_inlet_history history;
        make(&m, SLICE_LITERAL("k"), values[i], 1);
        struct sent s = redrive(&f, &history, &m.record, 1);
        const struct flow_append *append = &hold(&f, &s)->appends[0];
        assert_non_null(append->keys);
        assert_int_equal(flow_fingerprint_is_none(append->keys), i == 1);
        answer(&f);
        assert_counts(&s, 1, 0, 0);
        made_done(&m);
    }
    fixture_done(&f);
}

/* A letter that is not written is not settled either. */
static void without_memory_it_stays_held(void **state)
{
    (void)state;
    uint32_t failed = 0;
    for (uint64_t n = 1; n < 40; n++) {
        struct schema_fixture s;
        struct made m;
        struct flow_inlet_history history;
        schema_init(&s, numbers, 0);
        make(&m, SLICE_LITERAL("k"), n % 2 ? "{\"n\":1}" : "{\"n\":\"x\"}", 4);
        struct sent sent = redrive(&s.f, &history, &m.record, 1);
        mem_fail_after(n / 2 + 1);
        fixture_submit(&s.f, &sent);
        mem_fail_after(0);
        fixture_run(&s.f);
        bool ok = err_is_ok(sent.request.error);
        failed += !ok;
        assert_int_equal(s.f.commit_count, ok ? 1 : 0);
        assert_int_equal(s.f.seen_count, ok ? 1 : 0);
        flow_inlet_request_done(&sent.request);
        made_done(&m);
        schema_done(&s);
    }
    assert_true(failed > 0 && failed < 39);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_is_the_record_as_it_was_produced),
        cmocka_unit_test(a_letter_of_what_came_over_http_has_nothing_of_its_own),
        cmocka_unit_test(redriven_it_has_its_own_parts_again),
        cmocka_unit_test(where_its_partition_is_not_there_its_key_chooses),
        cmocka_unit_test(what_fails_again_is_the_same_letter_once_more),
        cmocka_unit_test(a_dry_run_judges_it_as_it_would_be),
        cmocka_unit_test(its_idempotency_key_counts),
        cmocka_unit_test(without_memory_it_stays_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
