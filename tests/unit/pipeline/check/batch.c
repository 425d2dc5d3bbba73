#include "base/cursor.h"
#include "unit/pipeline/check/schema.h"

/* Where the fields of a batch stand (flow/batch.h). */
#define AT_ATTRIBUTES 21
#define AT_LAST_OFFSET_DELTA 23
#define AT_MAX_TIMESTAMP 35
#define AT_PRODUCER 43
#define AT_RECORD_COUNT 57
#define FIRST_MS INT64_C(1700000000000)

static const char numbers[] =
    "{\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":\"integer\"}}}";

/* A batch with these values, which are texts; "-" is null. A second and an offset each. */
static struct buf batch_of(const char *const *values, uint32_t count)
{
    struct flow_batch_builder b;
    struct buf out = {0};
    struct flow_header header = {SLICE_LITERAL("trace"), SLICE_LITERAL("1")};
    flow_batch_builder_init(&b);
    for (uint32_t i = 0; i < count; i++) {
        bool null = strcmp(values[i], "-") == 0;
        struct slice value = null ? slice_make(NULL, 0) : slice_string(values[i]);
        struct slice key = i % 2 ? slice_make(NULL, 0) : SLICE_LITERAL("key");
        assert_true(err_is_ok(
            flow_batch_builder_add(&b, FIRST_MS + i * 1000, key, value, &header, i % 3 ? 1 : 0)));
    }
    buf_add_slice(&out, flow_batch_builder_finish(&b));
    flow_batch_builder_done(&b);
    /* As if a producer had sent it. */
    put_u64be(out.data + AT_PRODUCER, 77);
    put_u16be(out.data + AT_PRODUCER + 8, 3);
    put_u32be(out.data + AT_PRODUCER + 10, 500);
    flow_batch_set_max_timestamp(out.data, out.size, FIRST_MS + (count - 1) * 1000);
    return out;
}

#define BATCH_OF(...)                                                                              \
    batch_of((const char *const[]){__VA_ARGS__},                                                   \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static struct buf packed(struct buf plain, enum flow_codec codec)
{
    struct flow_batch batch;
    struct buf out = {0};
    assert_true(err_is_ok(flow_batch_parse(buf_slice(&plain), &batch)));
    assert_true(err_is_ok(flow_batch_pack(&batch, codec, &out)));
    assert_true(out.size < plain.size);
    buf_done(&plain);
    return out;
}

/* The CRC fits again after a change, as that of somebody who lies on purpose. */
static void seal(struct buf *batch)
{
    int64_t max_ms = (int64_t)get_u64be(batch->data + AT_MAX_TIMESTAMP);
    flow_batch_set_max_timestamp(batch->data, batch->size, max_ms);
}

static struct sent *submit(struct fixture *f, const char *topic, uint32_t partition,
                           const struct buf *batch)
{
    struct slice body = body_alloc((const char *)batch->data, batch->size);
    struct sent *s = mem_alloc(sizeof(*s));
    *s = fixture_request(f, 'x', topic, FLOW_FRAMING_BATCH, body);
    s->request.source = "kafka";
    s->request.partition = partition;
    s->own = body;
    fixture_submit(f, s);
    return s;
}

static struct sent *send_batch(struct fixture *f, const char *topic, uint32_t partition,
                               const struct buf *batch)
{
    struct sent *s = submit(f, topic, partition, batch);
    fixture_run(f);
    assert_int_equal(s->answers, 1);
    return s;
}

/* Hands it over and leaves the commit with the log: so that its batches can be looked at. */
static struct sent *hold_batch(struct fixture *f, const char *topic, uint32_t partition,
                               const struct buf *batch)
{
    f->hold = true;
    struct sent *s = submit(f, topic, partition, batch);
    fixture_run(f);
    assert_int_equal(s->answers, 0);
    assert_true(f->commit_count > 0);
    return s;
}

static struct flow_commit *last_commit(const struct fixture *f)
{
    return f->commits[f->commit_count - 1];
}

/* The answer to the last commit, its batches having got offsets from `base` on. */
static void answer_at(struct fixture *f, int64_t base)
{
    struct flow_commit *commit = last_commit(f);
    for (uint32_t i = 0; i < commit->append_count; i++)
        commit->appends[i].base_offset = base;
    fixture_answer(f, f->commit_count - 1, err_ok());
    fixture_run(f);
}

static const struct flow_append *append_of(const struct fixture *f, uint32_t topic_id)
{
    const struct flow_commit *commit = last_commit(f);
    for (uint32_t i = 0; i < commit->append_count; i++)
        if (commit->appends[i].topic_id == topic_id)
            return &commit->appends[i];
    return NULL;
}

/* The offsets of the records of an append, as digits. */
static void assert_offsets(const struct flow_append *append, const char *digits)
{
    struct flow_batch batch;
    struct flow_record record;
    assert_non_null(append);
    assert_true(err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    for (; *digits; digits++) {
        assert_true(err_is_ok(flow_batch_next(&it, &record)));
        assert_int_equal(record.offset - batch.base_offset, *digits - '0');
        assert_int_equal(record.timestamp_ms, FIRST_MS + (*digits - '0') * 1000);
    }
    assert_true(err_is(flow_batch_next(&it, &record), ERR_END));
    /* The sequence range stays the producer's. */
    assert_int_equal(batch.producer_id, 77);
    assert_int_equal(batch.producer_epoch, 3);
    assert_int_equal(batch.base_sequence, 500);
}

static void assert_as_sent(struct fixture *f, struct buf batch)
{
    struct sent *s = hold_batch(f, "events", 2, &batch);
    assert_int_equal(last_commit(f)->append_count, 1);
    const struct flow_append *append = append_of(f, EVENTS);
    assert_int_equal(append->partition, 2);
    assert_int_equal(append->kind, FLOW_APPEND_RECORDS);
    assert_true(append->holes);
    assert_null(append->keys);
    assert_int_equal(append->batch_size, batch.size);
    assert_memory_equal(append->batch, batch.data, batch.size);
    answer_at(f, 1234);
    assert_counts(s, append->record_count, 0, 0);
    assert_int_equal(s->request.base_offset, 1234);
    assert_int_equal(f->counts[EVENTS].received, append->record_count);
    sent_done(s);
    buf_done(&batch);
    fixture_forget(f);
}

#define LONG_TEXT                                                                                  \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aa"

static void without_a_schema_values_are_any_bytes_and_pass_as_sent(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_as_sent(&f, BATCH_OF("{}"));
    assert_as_sent(&f, BATCH_OF("no JSON \xff", "", "-", "{\"key\":\"k\",\"at\":5}"));
    fixture_done(&f);
}

/* The fixture walks what comes to the log, which a compressed batch cannot be. */
static void see_nothing(struct flow_log *log, struct flow_commit *commit)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    mem_fail_after(0);
    f->commits[f->commit_count++] = commit;
    f->counts[EVENTS].received += commit->counts[0].received;
}

static const struct flow_log_ops blind_log_ops = {.commit = see_nothing,
                                                  .snapshot = fixture_snapshot};

static void what_is_compressed_stays_compressed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.log.ops = &blind_log_ops;
    assert_as_sent(&f, packed(BATCH_OF(LONG_TEXT, LONG_TEXT), FLOW_CODEC_ZSTD));
    assert_as_sent(&f, packed(BATCH_OF(LONG_TEXT, "-", LONG_TEXT), FLOW_CODEC_LZ4));
    fixture_done(&f);
}

static void assert_letter(const struct fixture *f, size_t index, const char *value)
{
    const struct seen *letter = assert_seen(f, index, EVENTS_DLQ, value);
    assert_int_equal(letter->kind, FLOW_APPEND_DEAD_LETTERS);
    assert_non_null(strstr(letter->headers, "garner.reason="));
    assert_non_null(strstr(letter->headers, "garner.source=kafka\n"));
}

static void leaves_holes(struct buf batch)
{
    struct schema_fixture s;
    schema_init(&s, numbers, 0);
    struct sent *sent = hold_batch(&s.f, "events", 1, &batch);
    const struct flow_append *append = append_of(&s.f, EVENTS);
    assert_int_equal(append->record_count, 3);
    assert_true(append->holes);
    assert_offsets(append, "023");
    struct flow_batch kept;
    assert_true(err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &kept)));
    assert_int_equal(kept.last_offset_delta, 4);
    assert_int_equal(kept.max_timestamp_ms, FIRST_MS + 3000);
    assert_int_equal(append_of(&s.f, EVENTS_DLQ)->record_count, 2);
    assert_letter(&s.f, 0, "{\"n\":\"" LONG_TEXT "\"}");
    assert_letter(&s.f, 1, "no JSON");
    answer_at(&s.f, 40);
    assert_counts(sent, 3, 2, 0);
    assert_int_equal(sent->request.base_offset, 40);
    assert_int_equal(sent->request.errors[0].index, 1);
    assert_string_equal(sent->request.errors[0].reason, "schema");
    assert_int_equal(sent->request.errors[1].index, 4);
    assert_string_equal(sent->request.errors[1].reason, "json");
    assert_int_equal(s.f.counts[EVENTS].received, 5);
    sent_done(sent);
    schema_done(&s);
    buf_done(&batch);
}

#define WITH_BROKEN "{\"n\":1}", "{\"n\":\"" LONG_TEXT "\"}", "{\"n\":2}", "{\"n\":3}", "no JSON"

static void what_a_schema_does_not_take_leaves_holes(void **state)
{
    (void)state;
    leaves_holes(BATCH_OF(WITH_BROKEN));
    leaves_holes(packed(BATCH_OF(WITH_BROKEN), FLOW_CODEC_ZSTD));
    leaves_holes(packed(BATCH_OF(WITH_BROKEN), FLOW_CODEC_LZ4));
}

static void a_batch_of_broken_records_keeps_its_place(void **state)
{
    (void)state;
    struct schema_fixture s;
    schema_init(&s, numbers, 0);
    struct buf batch = BATCH_OF("{}", "", "-");
    struct sent *sent = hold_batch(&s.f, "events", 0, &batch);
    assert_int_equal(last_commit(&s.f)->append_count, 2);
    assert_int_equal(append_of(&s.f, EVENTS_DLQ)->record_count, 3);
    const struct flow_append *append = append_of(&s.f, EVENTS);
    assert_offsets(append, "");
    assert_true(append->holes);
    assert_int_equal(append->record_count, 0);
    assert_null(append->keys);
    struct flow_batch left;
    assert_true(err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &left)));
    assert_true(err_is_ok(flow_batch_check(&left)));
    assert_int_equal(left.last_offset_delta, 2);
    assert_letter(&s.f, 0, "{}");
    assert_letter(&s.f, 1, "");
    /* Null has no bytes that could be kept. */
    assert_int_equal(s.f.seen[2].value_size, 0);
    answer_at(&s.f, 40);
    assert_counts(sent, 0, 3, 0);
    assert_int_equal(sent->request.base_offset, 40);
    sent_done(sent);
    buf_done(&batch);
    schema_done(&s);
}

static void where_a_contract_refuses_one_all_are_refused(void **state)
{
    (void)state;
    struct schema_fixture s;
    schema_init(&s, numbers, 0);
    struct buf batch = BATCH_OF("{\"n\":1}", "{\"n\":2}", "{\"m\":3}", "{\"n\":4}");
    struct sent *sent = send_batch(&s.f, "orders", 0, &batch);
    assert_string_equal(err_name(sent->request.error), "OK");
    assert_int_equal(sent->request.accepted, 0);
    assert_int_equal(sent->request.refused, 4);
    assert_int_equal(sent->request.dead_lettered, 0);
    assert_int_equal(sent->request.base_offset, -1);
    /* The one that was to blame is named. */
    assert_int_equal(sent->request.error_count, 1);
    assert_int_equal(sent->request.errors[0].index, 2);
    assert_string_equal(sent->request.errors[0].reason, "schema");
    assert_int_equal(s.f.seen_count, 0);
    assert_int_equal(s.f.counts[ORDERS].received, 4);
    assert_int_equal(s.f.counts[ORDERS].refused, 4);
    sent_done(sent);
    buf_done(&batch);
    batch = BATCH_OF("{\"n\":1}", "{\"n\":2}");
    sent = send_batch(&s.f, "orders", 0, &batch);
    assert_counts(sent, 2, 0, 0);
    assert_int_equal(s.f.seen_count, 2);
    sent_done(sent);
    buf_done(&batch);
    schema_done(&s);
}

static void what_is_refused_may_be_a_repeat_of_what_was_not(void **state)
{
    (void)state;
    struct schema_fixture s;
    schema_init(&s, numbers, 0);
    s.f.hold = true;
    struct buf batch = BATCH_OF("{\"n\":1}", "{\"m\":3}");
    const struct flow_inlet_once once = {
        .kind = FLOW_REQUEST_SEQUENCED,
        .batch = {.producer_id = 77, .first = 500, .count = 2, .epoch = 3}};
    for (int repeat = 0; repeat < 2; repeat++) {
        struct slice body = body_alloc((const char *)batch.data, batch.size);
        struct sent sent = fixture_request(&s.f, 'x', "orders", FLOW_FRAMING_BATCH, body);
        sent.request.once = &once;
        fixture_submit(&s.f, &sent);
        struct flow_request *request = last_commit(&s.f)->request;
        assert_true(request && request->refused);
        assert_int_equal(last_commit(&s.f)->append_count, 0);
        request->result = repeat ? FLOW_REQUEST_REPEAT : FLOW_REQUEST_FIRST;
        request->base_offset = repeat ? 40 : -1;
        fixture_answer(&s.f, s.f.commit_count - 1, err_ok());
        fixture_run(&s.f);
        assert_int_equal(sent.request.refused, repeat ? 0 : 2);
        assert_int_equal(sent.request.duplicates, repeat ? 2 : 0);
        assert_int_equal(sent.request.error_count, repeat ? 0 : 1);
        assert_int_equal(sent.request.base_offset, repeat ? 40 : -1);
        flow_inlet_request_done(&sent.request);
        mem_free((void *)(uintptr_t)body.data);
    }
    buf_done(&batch);
    schema_done(&s);
}

static void a_full_dlq_refuses_a_batch_with_a_broken_record(void **state)
{
    (void)state;
    struct schema_fixture s;
    schema_init(&s, numbers, 0);
    s.f.check->topics[0]->dlq_size_max = 1;
    s.f.check->topics[0]->dlq_full = true;
    struct buf batch = BATCH_OF("{\"n\":1}", "{}");
    struct sent *sent = send_batch(&s.f, "events", 0, &batch);
    assert_int_equal(sent->request.accepted, 0);
    assert_int_equal(sent->request.refused, 2);
    assert_string_equal(sent->request.errors[0].reason, "dlq_full");
    assert_int_equal(s.f.seen_count, 0);
    sent_done(sent);
    buf_done(&batch);
    batch = BATCH_OF("{\"n\":1}", "{\"n\":2}");
    sent = send_batch(&s.f, "events", 0, &batch);
    assert_counts(sent, 2, 0, 0);
    sent_done(sent);
    buf_done(&batch);
    pipeline_check_stop(s.f.check);
    fixture_snapshot_answer(&s.f);
    schema_done(&s);
}

static void start_dedup(struct fixture *f)
{
    struct pipeline_check_options options = fixture_options(f);
    struct pipeline_check_topic topic = fixture_topics[0];
    topic.dedup = "id";
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(f, &options);
}

static void keys_are_those_of_the_same_records_over_http(void **state)
{
    (void)state;
    struct fixture f;
    start_dedup(&f);
    struct buf batch =
        BATCH_OF("{\"id\":\"a\"}", "no JSON", "{\"id\":null}", "{\"id\":\"a\"}", "-");
    struct sent *sent = hold_batch(&f, "events", 0, &batch);
    const struct flow_append *append = append_of(&f, EVENTS);
    assert_int_equal(append->record_count, 5);
    struct flow_fingerprint keys[5];
    assert_non_null(append->keys);
    memcpy(keys, append->keys, sizeof(keys));
    assert_false(flow_fingerprint_is_none(&keys[0]));
    assert_memory_equal(&keys[0], &keys[3], sizeof(keys[0]));
    assert_true(flow_fingerprint_is_none(&keys[1]) && flow_fingerprint_is_none(&keys[2]) &&
                flow_fingerprint_is_none(&keys[4]));
    answer_at(&f, 0);
    assert_counts(sent, 5, 0, 0);
    sent_done(sent);
    buf_done(&batch);
    f.hold = false;
    struct sent s =
        fixture_request(&f, 'y', "events", FLOW_FRAMING_RECORD, SLICE_LITERAL("{\"id\":\"a\"}"));
    fixture_submit(&f, &s);
    f.hold = true;
    fixture_run(&f);
    assert_memory_equal(append_of(&f, EVENTS)->keys, &keys[0], sizeof(keys[0]));
    answer_at(&f, 5);
    flow_inlet_request_done(&s.request);
    fixture_done(&f);
}

/* What the log does with keys that it has seen: says so, by bits. */
static void answer_duplicates(struct fixture *f, const char *bits)
{
    struct flow_append *append = &last_commit(f)->appends[0];
    assert_non_null(append->duplicates);
    memset(append->duplicates, 0, (append->record_count + 7) / 8);
    append->duplicate_count = 0;
    for (uint32_t i = 0; bits[i]; i++) {
        if (bits[i] == '1')
            flow_set_bit(append->duplicates, i);
        append->duplicate_count += bits[i] == '1';
    }
    answer_at(f, 70);
}

static void duplicates_are_told_and_counted(void **state)
{
    (void)state;
    struct fixture f;
    start_dedup(&f);
    struct buf batch =
        packed(BATCH_OF("{\"id\":1}", "{\"id\":2,\"a\":\"" LONG_TEXT "\"}", "{\"id\":3}"),
               FLOW_CODEC_ZSTD);
    struct sent *sent = hold_batch(&f, "events", 0, &batch);
    /* Unpacked: the log leaves out what is there already. */
    assert_offsets(append_of(&f, EVENTS), "012");
    answer_duplicates(&f, "010");
    assert_int_equal(sent->request.accepted, 2);
    assert_int_equal(sent->request.duplicates, 1);
    assert_int_equal(sent->request.base_offset, 70);
    sent_done(sent);
    sent = hold_batch(&f, "events", 0, &batch);
    answer_duplicates(&f, "111");
    assert_int_equal(sent->request.accepted, 0);
    assert_int_equal(sent->request.duplicates, 3);
    assert_int_equal(sent->request.base_offset, 70);
    assert_int_equal(f.check->topics[0]->total.records[PIPELINE_CHECK_DUPLICATE], 4);
    assert_int_equal(f.check->topics[0]->total.records[PIPELINE_CHECK_ACCEPTED], 2);
    sent_done(sent);
    buf_done(&batch);
    fixture_done(&f);
}

/* 300 keys: the bits of the answer take more than a few bytes. */
static void keys_of_a_batch_with_holes_are_those_of_what_is_left(void **state)
{
    (void)state;
    struct schema_fixture s;
    struct err_text why = {0};
    assert_true(err_is_ok(format_jsonschema_compile(
        slice_string(numbers), &(struct format_jsonschema_options){0}, &s.schema, &why)));
    struct pipeline_check_options options = fixture_options(&s.f);
    s.topics[0] = fixture_topics[0];
    s.topics[0].schema = s.schema;
    s.topics[0].dedup = "n";
    options.topics = s.topics;
    options.topic_count = 1;
    fixture_start(&s.f, &options);
    static char texts[300][16];
    const char *values[300];
    for (int i = 0; i < 300; i++) {
        snprintf(texts[i], sizeof(texts[i]), i == 7 ? "{\"n\":\"7\"}" : "{\"n\":%d}", i);
        values[i] = texts[i];
    }
    struct buf batch = batch_of(values, 300);
    struct sent *sent = hold_batch(&s.f, "events", 0, &batch);
    const struct flow_append *append = append_of(&s.f, EVENTS);
    assert_int_equal(append->record_count, 299);
    for (uint32_t i = 0; i < 299; i++)
        assert_false(flow_fingerprint_is_none(&append->keys[i]));
    char bits[300] = {0};
    memset(bits, '0', 299);
    bits[298] = '1';
    assert_ptr_equal(append, &last_commit(&s.f)->appends[1]);
    last_commit(&s.f)->appends[1].duplicate_count = 1;
    memset(append->duplicates, 0, 38);
    flow_set_bit(append->duplicates, 298);
    answer_at(&s.f, 0);
    assert_int_equal(sent->request.accepted, 298);
    assert_int_equal(sent->request.duplicates, 1);
    assert_int_equal(sent->request.dead_lettered, 1);
    sent_done(sent);
    buf_done(&batch);
    schema_done(&s);
}

/* Nothing of it is appended, and the next one is none the worse. */
static void assert_lie(struct fixture *f, struct buf *batch, const char *error)
{
    struct sent *sent = send_batch(f, "events", 0, batch);
    assert_failed_with(sent, error);
    assert_int_equal(f->commit_count, 0);
    sent_done(sent);
    buf_done(batch);
    struct buf good = BATCH_OF("{\"n\":1}");
    sent = send_batch(f, "events", 0, &good);
    assert_counts(sent, 1, 0, 0);
    assert_int_equal(f->counts[EVENTS].received, 1);
    sent_done(sent);
    buf_done(&good);
    fixture_forget(f);
}

#define THREE BATCH_OF("{\"n\":1}", "{\"n\":2}", "{\"n\":3}")

static void lie_with_u32(struct fixture *f, size_t at, uint32_t value)
{
    struct buf batch = THREE;
    put_u32be(batch.data + at, value);
    seal(&batch);
    assert_lie(f, &batch, "CORRUPT");
}

static void counts_that_lie_never_reach_the_log(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    lie_with_u32(&f, AT_RECORD_COUNT, 0);
    lie_with_u32(&f, AT_RECORD_COUNT, 2);
    lie_with_u32(&f, AT_RECORD_COUNT, 4);
    lie_with_u32(&f, AT_RECORD_COUNT, UINT32_MAX);
    lie_with_u32(&f, AT_LAST_OFFSET_DELTA, 1);
    lie_with_u32(&f, AT_LAST_OFFSET_DELTA, 3);
    lie_with_u32(&f, AT_LAST_OFFSET_DELTA, UINT32_MAX);
    /* Both of them, in agreement. */
    for (uint32_t count = 2; count <= 4; count += 2) {
        struct buf batch = THREE;
        put_u32be(batch.data + AT_RECORD_COUNT, count);
        put_u32be(batch.data + AT_LAST_OFFSET_DELTA, count - 1);
        seal(&batch);
        assert_lie(&f, &batch, "CORRUPT");
    }
    /* Where what is counted is packed, too. */
    struct buf batch = packed(BATCH_OF(LONG_TEXT, LONG_TEXT), FLOW_CODEC_LZ4);
    put_u32be(batch.data + AT_RECORD_COUNT, 2000000000);
    put_u32be(batch.data + AT_LAST_OFFSET_DELTA, 1999999999);
    seal(&batch);
    assert_lie(&f, &batch, "CORRUPT");
    fixture_done(&f);
}

/* The first record of THREE, byte by byte: size, attributes, time, offset, key ("key"), value
 * (7 bytes), headers. */
enum { SIZE = 61, OFFSET = 64, KEY = 65, VALUE = 69, HEADERS = 77, SECOND = 78 };

static void lie_with_byte(struct fixture *f, size_t at, uint8_t value)
{
    struct buf batch = THREE;
    assert_int_not_equal(batch.data[at], value);
    batch.data[at] = value;
    seal(&batch);
    assert_lie(f, &batch, "CORRUPT");
}

static void records_that_lie_never_reach_the_log(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf batch = THREE;
    assert_memory_equal(batch.data + KEY, "\x06key\x0e{\"n\":1}\x00", 13);
    buf_done(&batch);
    lie_with_byte(&f, SIZE, 2);
    lie_with_byte(&f, SIZE, 0x7f);
    lie_with_byte(&f, OFFSET, 2);
    lie_with_byte(&f, OFFSET, 1);
    lie_with_byte(&f, KEY, 0x7e);
    lie_with_byte(&f, KEY, 3);
    lie_with_byte(&f, VALUE, 0x7e);
    lie_with_byte(&f, VALUE, 12);
    /* Headers that are not there, which only a client would find out. */
    lie_with_byte(&f, HEADERS, 2);
    lie_with_byte(&f, HEADERS, 0x7e);
    lie_with_byte(&f, HEADERS, 1);
    /* The offset of the second one: a hole that a producer makes, and one offset twice. */
    lie_with_byte(&f, SECOND + 4, 4);
    lie_with_byte(&f, SECOND + 4, 0);
    fixture_done(&f);
}

static void headers_without_a_name_never_reach_the_log(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    /* The second record has one, the last of its bytes: "trace" and "1". */
    struct buf batch = BATCH_OF("{\"n\":1}", "{\"n\":2}");
    uint8_t *header = batch.data + batch.size - 8;
    assert_memory_equal(header,
                        "\x0atrace\x02"
                        "1",
                        8);
    header[0] = 1;
    seal(&batch);
    assert_lie(&f, &batch, "CORRUPT");
    fixture_done(&f);
}

static void a_body_is_one_batch_and_nothing_else(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf batch = THREE;
    buf_add_byte(&batch, 0);
    assert_lie(&f, &batch, "CORRUPT");
    batch = THREE;
    struct buf second = THREE;
    buf_add_slice(&batch, buf_slice(&second));
    buf_done(&second);
    assert_lie(&f, &batch, "CORRUPT");
    for (size_t size = 0; size < 80; size++) {
        batch = THREE;
        batch.size = size;
        assert_lie(&f, &batch, "CORRUPT");
    }
    fixture_done(&f);
}

static void what_only_a_broker_says_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const uint16_t bits[] = {0x08, 0x40};
    for (size_t i = 0; i < 2; i++) {
        struct buf batch = THREE;
        put_u16be(batch.data + AT_ATTRIBUTES, bits[i]);
        seal(&batch);
        assert_lie(&f, &batch, "CORRUPT");
    }
    fixture_done(&f);
}

static void a_codec_that_is_not_built_in_is_told(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (uint16_t codec = 5; codec <= 7; codec++) {
        struct buf batch = THREE;
        put_u16be(batch.data + AT_ATTRIBUTES, codec);
        seal(&batch);
        assert_lie(&f, &batch, "UNSUPPORTED");
    }
    fixture_done(&f);
}

static void packed_bytes_that_are_none_are_corrupt(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.log.ops = &fixture_log_ops;
    static const enum flow_codec codecs[] = {FLOW_CODEC_LZ4, FLOW_CODEC_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        struct buf batch = packed(BATCH_OF(LONG_TEXT, LONG_TEXT), codecs[i]);
        memset(batch.data + FLOW_BATCH_HEADER_SIZE, 0x55, batch.size - FLOW_BATCH_HEADER_SIZE);
        seal(&batch);
        assert_lie(&f, &batch, "CORRUPT");
    }
    fixture_done(&f);
}

/* A few kilobytes that unpack to megabytes, for a request that may take 1 MiB. */
static void what_unpacks_to_more_than_a_request_takes_is_too_large(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.request_size_max = 1 << 20;
    options.memory_bytes = 1 << 20;
    fixture_start(&f, &options);
    char *zeros = mem_zalloc(8 << 20, 1);
    memset(zeros, 'z', (8 << 20) - 1);
    const char *values[] = {zeros};
    struct buf bomb = packed(batch_of(values, 1), FLOW_CODEC_ZSTD);
    assert_true(bomb.size < 64 << 10);
    assert_lie(&f, &bomb, "TOO_LARGE");
    /* And what is as large without being packed. */
    bomb = batch_of(values, 1);
    assert_lie(&f, &bomb, "TOO_LARGE");
    mem_free(zeros);
    fixture_done(&f);
}

/* By its bytes as they came; records that come otherwise are not batches. */
static void a_batch_larger_than_its_topic_takes_is_too_large(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    struct pipeline_check_topic topic = fixture_topics[0];
    struct buf batch = THREE;
    topic.batch_bytes_max = (uint32_t)batch.size - 1;
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(&f, &options);
    struct sent *sent = send_batch(&f, "events", 0, &batch);
    assert_failed_with(sent, "TOO_LARGE");
    assert_int_equal(f.commit_count, 0);
    sent_done(sent);
    fixture_done(&f);
    options = fixture_options(&f);
    topic.batch_bytes_max++;
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(&f, &options);
    sent = hold_batch(&f, "events", 0, &batch);
    answer_at(&f, 0);
    assert_counts(sent, 3, 0, 0);
    sent_done(sent);
    buf_done(&batch);
    fixture_done(&f);
}

static void memory_for_one_large_batch_is_given_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.log.ops = &blind_log_ops;
    char *zeros = mem_zalloc(8 << 20, 1);
    memset(zeros, 'z', (8 << 20) - 1);
    const char *values[] = {zeros};
    struct buf batch = packed(batch_of(values, 1), FLOW_CODEC_ZSTD);
    struct sent *sent = hold_batch(&f, "events", 0, &batch);
    answer_at(&f, 0);
    assert_counts(sent, 1, 0, 0);
    assert_int_equal(f.check->unpacked.capacity, 0);
    sent_done(sent);
    buf_done(&batch);
    mem_free(zeros);
    fixture_done(&f);
}

/* As a client that leaves the largest time out sends it: -1. */
static void the_largest_time_is_put_right(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf batch = THREE;
    flow_batch_set_max_timestamp(batch.data, batch.size, -1);
    struct sent *sent = hold_batch(&f, "events", 0, &batch);
    const struct flow_append *append = append_of(&f, EVENTS);
    assert_offsets(append, "012");
    struct flow_batch kept;
    assert_true(err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &kept)));
    assert_int_equal(kept.max_timestamp_ms, FIRST_MS + 2000);
    answer_at(&f, 0);
    assert_counts(sent, 3, 0, 0);
    sent_done(sent);
    buf_done(&batch);

    /* Of a packed one the rest stays packed. */
    f.log.ops = &blind_log_ops;
    batch = packed(BATCH_OF(LONG_TEXT, LONG_TEXT), FLOW_CODEC_ZSTD);
    flow_batch_set_max_timestamp(batch.data, batch.size, FIRST_MS + 99999999);
    sent = hold_batch(&f, "events", 0, &batch);
    append = append_of(&f, EVENTS);
    assert_true(err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &kept)));
    assert_true(err_is_ok(flow_batch_check(&kept)));
    assert_int_equal(kept.max_timestamp_ms, FIRST_MS + 1000);
    assert_int_equal(append->batch_size, batch.size);
    assert_memory_equal(append->batch + FLOW_BATCH_HEADER_SIZE, batch.data + FLOW_BATCH_HEADER_SIZE,
                        batch.size - FLOW_BATCH_HEADER_SIZE);
    answer_at(&f, 0);
    sent_done(sent);
    buf_done(&batch);
    fixture_done(&f);
}

static void a_partition_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf batch = THREE;
    struct sent *sent = send_batch(&f, "events", 3, &batch);
    assert_failed_with(sent, "NOT_FOUND");
    assert_int_equal(f.commit_count, 0);
    sent_done(sent);
    buf_done(&batch);
    fixture_done(&f);
}

/* Records that came before it lie before it, and those behind it behind, in one commit; one that
 * fails between them takes nothing with it. */
static void batches_keep_their_place_among_records(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf batch = BATCH_OF("b1", "b2");
    struct buf broken = THREE;
    put_u32be(broken.data + AT_RECORD_COUNT, 2);
    seal(&broken);
    struct sent first = fixture_request(&f, 'a', "orders", FLOW_FRAMING_RECORD, SLICE_LITERAL("1"));
    struct sent second = first;
    second.letter = 'c';
    second.request.body = SLICE_LITERAL("2");
    fixture_submit(&f, &first);
    struct sent *whole = submit(&f, "orders", 0, &batch);
    struct sent *failed = submit(&f, "orders", 0, &broken);
    fixture_submit(&f, &second);
    struct sent *again = submit(&f, "orders", 0, &batch);
    fixture_run(&f);
    assert_int_equal(f.commit_count, 1);
    static const char *const values[] = {"1", "b1", "b2", "2", "b1", "b2"};
    assert_int_equal(f.seen_count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_seen(&f, i, ORDERS, values[i]);
    assert_counts(&first, 1, 0, 0);
    assert_counts(whole, 2, 0, 0);
    assert_failed_with(failed, "CORRUPT");
    assert_counts(&second, 1, 0, 0);
    assert_counts(again, 2, 0, 0);
    assert_int_equal(f.counts[ORDERS].received, 6);
    sent_done(whole);
    sent_done(failed);
    sent_done(again);
    buf_done(&batch);
    buf_done(&broken);
    fixture_done(&f);
}

/* Neighbours in the same commit are there, whatever failed; and once there is memory, so is the
 * batch. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    bool succeeded = false;
    for (uint64_t n = 1; !succeeded; n++) {
        struct fixture f;
        start_dedup(&f);
        struct buf batch =
            packed(BATCH_OF("{\"id\":1}", "{\"id\":2}", LONG_TEXT LONG_TEXT), FLOW_CODEC_ZSTD);
        flow_batch_set_max_timestamp(batch.data, batch.size, 5);
        struct sent before = fixture_request(&f, 'a', "events", FLOW_FRAMING_RECORD,
                                             SLICE_LITERAL("{\"id\":7,\"key\":\"k\"}"));
        fixture_submit(&f, &before);
        struct slice body = body_alloc((const char *)batch.data, batch.size);
        struct sent tried = fixture_request(&f, 'b', "events", FLOW_FRAMING_BATCH, body);
        mem_fail_after(n);
        fixture_submit(&f, &tried);
        mem_fail_after(0);
        tried.own = body;
        struct sent *again = submit(&f, "events", 0, &batch);
        fixture_run(&f);
        assert_counts(&before, 1, 0, 0);
        assert_counts(again, 3, 0, 0);
        succeeded = err_is_ok(tried.request.error);
        if (!succeeded)
            assert_failed_with(&tried, "MEMORY");
        assert_int_equal(f.seen_count, succeeded ? 7 : 4);
        assert_int_equal(f.counts[EVENTS].received, succeeded ? 7 : 4);
        assert_true(n < 100);
        flow_inlet_request_done(&before.request);
        flow_inlet_request_done(&tried.request);
        sent_done(again);
        buf_done(&batch);
        fixture_done(&f);
    }
}

/* With any bytes in it: an error, or records that can be read. The fixture walks all that is
 * appended. */
static void damaged_batches_are_refused_or_readable(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t random = unit_seed();
    fixture_init(&f);
    uint32_t taken = 0;
    for (int round = 0; round < 3000; round++) {
        struct buf batch = THREE;
        for (uint64_t n = 1 + unit_random(&random) % 2; n > 0; n--)
            batch.data[AT_ATTRIBUTES + 2 + unit_random(&random) % (batch.size - 23)] =
                (uint8_t)unit_random(&random);
        seal(&batch);
        struct sent *sent = send_batch(&f, "events", 0, &batch);
        if (err_is_ok(sent->request.error)) {
            assert_counts(sent, 3, 0, 0);
            taken++;
        } else {
            assert_failed_with(sent, "CORRUPT");
        }
        sent_done(sent);
        buf_done(&batch);
        fixture_forget(&f);
    }
    assert_in_range(taken, 1, 2999);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_schema_values_are_any_bytes_and_pass_as_sent),
        cmocka_unit_test(what_is_compressed_stays_compressed),
        cmocka_unit_test(what_a_schema_does_not_take_leaves_holes),
        cmocka_unit_test(a_batch_of_broken_records_keeps_its_place),
        cmocka_unit_test(where_a_contract_refuses_one_all_are_refused),
        cmocka_unit_test(what_is_refused_may_be_a_repeat_of_what_was_not),
        cmocka_unit_test(a_full_dlq_refuses_a_batch_with_a_broken_record),
        cmocka_unit_test(keys_are_those_of_the_same_records_over_http),
        cmocka_unit_test(duplicates_are_told_and_counted),
        cmocka_unit_test(keys_of_a_batch_with_holes_are_those_of_what_is_left),
        cmocka_unit_test(counts_that_lie_never_reach_the_log),
        cmocka_unit_test(records_that_lie_never_reach_the_log),
        cmocka_unit_test(headers_without_a_name_never_reach_the_log),
        cmocka_unit_test(a_body_is_one_batch_and_nothing_else),
        cmocka_unit_test(what_only_a_broker_says_is_refused),
        cmocka_unit_test(a_codec_that_is_not_built_in_is_told),
        cmocka_unit_test(packed_bytes_that_are_none_are_corrupt),
        cmocka_unit_test(what_unpacks_to_more_than_a_request_takes_is_too_large),
        cmocka_unit_test(a_batch_larger_than_its_topic_takes_is_too_large),
        cmocka_unit_test(memory_for_one_large_batch_is_given_back),
        cmocka_unit_test(the_largest_time_is_put_right),
        cmocka_unit_test(a_partition_that_is_not_there_is_told),
        cmocka_unit_test(batches_keep_their_place_among_records),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(damaged_batches_are_refused_or_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
