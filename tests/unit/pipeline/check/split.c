#include "pipeline/check/check.h"

#include "unit/pipeline/check/schema.h"

#define NDJSON FLOW_FRAMING_NDJSON
#define JSON FLOW_FRAMING_JSON

static void each_line_is_a_record(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "orders", NDJSON, "{\"a\":1}\n[2]\n\"3\"\n4\ntrue\n");
    assert_counts(s, 5, 0, 0);
    assert_seen(&f, 0, ORDERS, "{\"a\":1}");
    assert_seen(&f, 1, ORDERS, "[2]");
    assert_seen(&f, 2, ORDERS, "\"3\"");
    assert_seen(&f, 3, ORDERS, "4");
    assert_seen(&f, 4, ORDERS, "true");
    assert_int_equal(f.counts[ORDERS].received, 5);
    sent_done(s);
    fixture_done(&f);
}

static void line_ends_of_all_kinds_are_fine(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "orders", NDJSON,
                                       "\n{\"a\":1}\r\n\r\n \t \n  {\"b\":2}\t \n\n\n{\"c\": 3}");
    assert_counts(s, 3, 0, 0);
    assert_seen(&f, 0, ORDERS, "{\"a\":1}");
    assert_seen(&f, 1, ORDERS, "{\"b\":2}");
    assert_seen(&f, 2, ORDERS, "{\"c\": 3}");
    sent_done(s);
    fixture_done(&f);
}

static void blank_lines_have_no_index(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "events", NDJSON, "\n{}\n\r\n\n{x}\n\n{}\n{y}");
    assert_counts(s, 2, 2, 0);
    assert_int_equal(s->request.errors[0].index, 1);
    assert_int_equal(s->request.errors[1].index, 3);
    sent_done(s);
    fixture_done(&f);
}

static void a_body_of_blank_lines_is_zero_records(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "\n", "\r\n\r\n", "  \n\t\n ", " "};
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct sent *s = fixture_send_text(&f, "events", NDJSON, bodies[i]);
        assert_counts(s, 0, 0, 0);
        sent_done(s);
    }
    struct sent *none = fixture_send(&f, "events", NDJSON, (struct slice){0});
    assert_counts(none, 0, 0, 0);
    sent_done(none);
    assert_int_equal(f.commit_count, 0);
    fixture_done(&f);
}

static void a_broken_line_does_not_touch_its_neighbours(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s =
        fixture_send_text(&f, "events", NDJSON, "{\"a\":1}\n {\"a\":tru} \r\n{\"a\":2}\n{\"a\"");
    assert_counts(s, 2, 2, 0);
    assert_seen(&f, 0, EVENTS, "{\"a\":1}");
    assert_seen(&f, 1, EVENTS, "{\"a\":2}");
    assert_seen(&f, 2, EVENTS_DLQ, " {\"a\":tru} ");
    assert_seen(&f, 3, EVENTS_DLQ, "{\"a\"");
    assert_int_equal(s->request.errors[0].index, 1);
    assert_string_equal(s->request.errors[0].reason, "json");
    assert_non_null(strstr(s->request.errors[0].detail, "byte "));
    assert_int_equal(s->request.errors[1].index, 3);
    assert_int_equal(f.counts[EVENTS].received, 4);
    sent_done(s);
    fixture_done(&f);
}

static void a_byte_order_mark_breaks_its_line_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "events", NDJSON, "\xef\xbb\xbf{\"a\":1}\n{\"a\":2}\n");
    assert_counts(s, 1, 1, 0);
    assert_seen(&f, 0, EVENTS_DLQ, "\xef\xbb\xbf{\"a\":1}");
    assert_seen(&f, 1, EVENTS, "{\"a\":2}");
    assert_non_null(strstr(s->request.errors[0].detail, "byte order mark"));
    sent_done(s);
    s = fixture_send_text(&f, "events", JSON, "\xef\xbb\xbf{\"a\":1}");
    assert_counts(s, 0, 1, 0);
    assert_non_null(strstr(s->request.errors[0].detail, "byte order mark"));
    sent_done(s);
    fixture_done(&f);
}

static void bytes_that_are_no_text_are_dead_letters_byte_for_byte(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const char body[] = "{\"a\":\"\xff\"}\n\0\0\n{\"a\":\"\xed\xa0\x80\"}\n{}\n";
    struct slice bytes = body_alloc(body, sizeof(body) - 1);
    struct sent *s = fixture_send(&f, "events", NDJSON, bytes);
    assert_counts(s, 1, 3, 0);
    assert_seen(&f, 0, EVENTS_DLQ, "{\"a\":\"\xff\"}");
    assert_int_equal(f.seen[1].value_size, 2);
    assert_memory_equal(f.seen[1].value, "\0\0", 2);
    assert_seen(&f, 3, EVENTS, "{}");
    body_free(bytes);
    sent_done(s);
    fixture_done(&f);
}

static void an_object_or_a_scalar_is_one_record(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const char *const bodies[] = {" {\"a\": [1,\n 2]}\n", "42", "\"text\"", "null", "\t{}"};
    static const char *const values[] = {"{\"a\": [1,\n 2]}", "42", "\"text\"", "null", "{}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct sent *s = fixture_send_text(&f, "orders", JSON, bodies[i]);
        assert_counts(s, 1, 0, 0);
        assert_seen(&f, i, ORDERS, values[i]);
        sent_done(s);
    }
    fixture_done(&f);
}

static void a_broken_object_is_one_dead_letter(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const char *const bodies[] = {"{\"a\":1", "{\"a\":1}\n{\"b\":2}", "nul", "}", "\n{]\n"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct sent *s = fixture_send_text(&f, "events", JSON, bodies[i]);
        assert_counts(s, 0, 1, 0);
        assert_seen(&f, i, EVENTS_DLQ, bodies[i]);
        assert_int_equal(s->request.errors[0].index, 0);
        sent_done(s);
    }
    fixture_done(&f);
}

static void a_json_body_without_a_value_is_invalid(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const char *const bodies[] = {"", " ", "\r\n", " \t\n"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct sent *s = fixture_send_text(&f, "events", JSON, bodies[i]);
        assert_failed_with(s, "INVALID");
        sent_done(s);
    }
    assert_int_equal(f.commit_count, 0);
    fixture_done(&f);
}

static void an_arrays_elements_are_records(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "orders", JSON, " [ {\"a\":1} ,2,[3, 4],\"5\" ]\n");
    assert_counts(s, 4, 0, 0);
    assert_seen(&f, 0, ORDERS, "{\"a\":1}");
    assert_seen(&f, 1, ORDERS, "2");
    assert_seen(&f, 2, ORDERS, "[3, 4]");
    assert_seen(&f, 3, ORDERS, "\"5\"");
    sent_done(s);
    s = fixture_send_text(&f, "orders", JSON, "[]");
    assert_counts(s, 0, 0, 0);
    sent_done(s);
    assert_int_equal(f.commit_count, 1);
    fixture_done(&f);
}

static void a_broken_element_is_judged_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "events", JSON, "[{\"a\":1},{\"a\":01},{\"a\":3}]");
    assert_counts(s, 2, 1, 0);
    assert_seen(&f, 0, EVENTS, "{\"a\":1}");
    assert_seen(&f, 1, EVENTS, "{\"a\":3}");
    assert_seen(&f, 2, EVENTS_DLQ, "{\"a\":01}");
    assert_int_equal(s->request.errors[0].index, 1);
    sent_done(s);
    fixture_done(&f);
}

static void from_where_an_array_cannot_be_followed_the_rest_is_one(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent *s = fixture_send_text(&f, "events", JSON, "[{\"a\":1},{\"a\":2},{\"a\":\"3},{}]");
    assert_counts(s, 2, 1, 0);
    assert_seen(&f, 2, EVENTS_DLQ, "{\"a\":\"3},{}]");
    assert_int_equal(s->request.errors[0].index, 2);
    assert_int_equal(f.counts[EVENTS].received, 3);
    sent_done(s);
    fixture_done(&f);
}

static void depth_breaks_a_record_and_nothing_else(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf body = {0};
    for (size_t depth = FORMAT_JSON_DEPTH_MAX; depth <= 10000; depth += 9488) {
        for (size_t i = 0; i < depth; i++)
            buf_add_byte(&body, '[');
        for (size_t i = 0; i < depth; i++)
            buf_add_byte(&body, ']');
        buf_add_byte(&body, '\n');
    }
    buf_add_string(&body, "{}\n");
    struct sent *s = fixture_send(&f, "events", NDJSON, buf_slice(&body));
    assert_counts(s, 2, 1, 0);
    assert_string_equal(s->request.errors[0].reason, "json");
    assert_int_equal(s->request.errors[0].index, 1);
    sent_done(s);
    buf_done(&body);
    fixture_done(&f);
}

/* A string value whose text is `size` bytes in all. */
static void add_record(struct buf *out, size_t size)
{
    buf_add_byte(out, '"');
    for (size_t i = 2; i < size; i++)
        buf_add_byte(out, 'x');
    buf_add_byte(out, '"');
}

static void a_record_over_the_limit_is_oversize_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.record_size_max = 100;
    fixture_start(&f, &options);
    struct buf body = {0};
    buf_add_string(&body, "   ");
    add_record(&body, 100);
    buf_add_string(&body, " \n");
    add_record(&body, 101);
    buf_add_string(&body, "\n");
    struct sent *s = fixture_send(&f, "events", NDJSON, buf_slice(&body));
    assert_counts(s, 1, 1, 0);
    assert_int_equal(f.seen[1].topic_id, EVENTS_DLQ);
    assert_int_equal(f.seen[1].value_size, 101);
    assert_string_equal(s->request.errors[0].reason, "oversize");
    assert_string_equal(s->request.errors[0].detail, "101 bytes, the limit is 100");
    assert_non_null(strstr(f.seen[1].headers, "garner.reason=oversize\n"));
    sent_done(s);

    buf_reset(&body);
    buf_add_string(&body, "[1,");
    add_record(&body, 101);
    buf_add_string(&body, ",2]");
    s = fixture_send(&f, "events", JSON, buf_slice(&body));
    assert_counts(s, 2, 1, 0);
    assert_string_equal(s->request.errors[0].reason, "oversize");
    sent_done(s);

    buf_reset(&body);
    add_record(&body, 101);
    s = fixture_send(&f, "events", JSON, buf_slice(&body));
    assert_counts(s, 0, 1, 0);
    assert_string_equal(s->request.errors[0].reason, "oversize");
    sent_done(s);
    buf_done(&body);
    fixture_done(&f);
}

static void the_limit_is_a_mebibyte_unless_said(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf body = {0};
    add_record(&body, 1 << 20);
    buf_add_byte(&body, '\n');
    add_record(&body, (1 << 20) + 1);
    struct sent *s = fixture_send(&f, "events", NDJSON, buf_slice(&body));
    assert_counts(s, 1, 1, 0);
    assert_string_equal(s->request.errors[0].detail, "1048577 bytes, the limit is 1048576");
    sent_done(s);
    buf_done(&body);
    fixture_done(&f);
}

static void a_hundred_errors_are_listed_and_the_rest_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf body = {0};
    for (int i = 0; i < 150; i++)
        buf_add_string(&body, "{}\n{bad}\n");
    struct sent *s = fixture_send(&f, "events", NDJSON, buf_slice(&body));
    assert_counts(s, 150, 150, 0);
    assert_int_equal(s->request.error_count, 100);
    assert_int_equal(s->request.errors_truncated, 50);
    assert_int_equal(s->request.errors[99].index, 199);
    sent_done(s);
    buf_done(&body);
    fixture_done(&f);
}

/* Whatever comes in, every record is accounted for, and good and bad bytes are all kept. */
static void any_body_balances(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    static const char *const pieces[] = {"{\"key\":1}", "{\"key\":\"a\\u0062\",\"at\":\"2026\"}",
                                         "{",           "}",
                                         "[",           "]",
                                         ",",           "\n",
                                         "\r\n",        " ",
                                         "\"",          "\\",
                                         "\0",          "[1,2]",
                                         "\xff",        "tru",
                                         "{\"at\":1e9}"};
    struct fixture f;
    fixture_init(&f);
    for (int round = 0; round < 3000; round++) {
        struct buf text = {0};
        for (uint64_t n = unit_random(&random) % 20; n > 0; n--) {
            const char *piece = pieces[unit_random(&random) % (sizeof(pieces) / sizeof(pieces[0]))];
            buf_add(&text, piece, *piece ? strlen(piece) : 1);
        }
        struct slice body = body_alloc((const char *)text.data, text.size);
        buf_done(&text);
        struct sent *s =
            fixture_send(&f, round % 2 ? "events" : "orders", round % 3 ? NDJSON : JSON, body);
        body_free(body);
        const struct flow_inlet_request *r = &s->request;
        uint32_t id = round % 2 ? EVENTS : ORDERS;
        assert_int_equal(f.counts[id].received, r->accepted + r->dead_lettered + r->refused);
        assert_int_equal(f.counts[id].refused, r->refused);
        assert_int_equal(f.seen_count, r->accepted + r->dead_lettered);
        for (size_t i = 0; i < f.seen_count; i++) {
            struct slice value = slice_make(f.seen[i].value, f.seen[i].value_size);
            bool valid = err_is_ok(format_json_check(value, NULL, 512, NULL, NULL));
            bool dead = f.seen[i].topic_id == EVENTS_DLQ;
            /* The rest of an array may read like a value, since its end was not seen. */
            assert_true(valid ? !dead || round % 3 == 0 : dead);
        }
        sent_done(s);
        fixture_forget(&f);
    }
    fixture_done(&f);
}

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"required\":[\"key\"],"                                                 \
    "\"properties\":{\"key\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}}"

static void assert_told(const struct sent *s, size_t i, uint64_t index, const char *reason,
                        const char *detail)
{
    assert_int_equal(s->request.errors[i].index, index);
    assert_string_equal(s->request.errors[i].reason, reason);
    assert_string_equal(s->request.errors[i].detail, detail);
}

static void a_line_that_its_schema_refuses_is_a_dead_letter_as_sent(void **state)
{
    (void)state;
    struct schema_fixture x;
    schema_init(&x, SCHEMA, 0);
    struct sent *s = fixture_send_text(&x.f, "events", NDJSON,
                                       "{\"key\":\"a\",\"n\":1}\n {\"key\":\"a\",\"n\":\"1\"} \r\n"
                                       "[]\n{\"key\":\"a\",\"n\":2,\"n\":3}\n{\"n\"}\n{}\n");
    assert_counts(s, 1, 5, 0);
    assert_told(s, 0, 1, "schema", "/n: expected integer, got string (type)");
    assert_told(s, 1, 2, "schema", "expected object, got array (type)");
    assert_told(s, 2, 3, "schema", "/n: expected each key once (duplicate)");
    assert_string_equal(s->request.errors[3].reason, "json");
    assert_told(s, 4, 5, "schema", "expected property \"key\" (required)");
    assert_string_equal(assert_seen(&x.f, 0, EVENTS, "{\"key\":\"a\",\"n\":1}")->key, "a");
    const struct seen *letter = assert_seen(&x.f, 1, EVENTS_DLQ, " {\"key\":\"a\",\"n\":\"1\"} ");
    assert_non_null(strstr(letter->headers, "garner.reason=schema\n"));
    assert_non_null(
        strstr(letter->headers, "garner.detail=/n: expected integer, got string (type)\n"));
    assert_string_equal(letter->key, "a");
    assert_null(assert_seen(&x.f, 4, EVENTS_DLQ, "{\"n\"}")->key);
    sent_done(s);
    schema_done(&x);
}

static void elements_and_single_values_have_the_schema_too(void **state)
{
    (void)state;
    struct schema_fixture x;
    schema_init(&x, SCHEMA, 0);
    struct sent *s =
        fixture_send_text(&x.f, "orders", JSON, "[{\"key\":\"a\"}, {\"key\":1} ,{\"key\":\"b\"}]");
    assert_counts(s, 2, 0, 1);
    assert_told(s, 0, 1, "schema", "/key: expected string, got number (type)");
    sent_done(s);
    s = fixture_send_text(&x.f, "orders", JSON, " {\"key\":null} ");
    assert_counts(s, 0, 0, 1);
    assert_told(s, 0, 0, "schema", "/key: expected string, got null (type)");
    sent_done(s);
    s = fixture_send_text(&x.f, "events", JSON, "{\"key\":\"k\"}");
    assert_counts(s, 1, 0, 0);
    sent_done(s);
    schema_done(&x);
}

static void what_is_too_much_work_is_told_apart(void **state)
{
    (void)state;
    struct schema_fixture x;
    schema_init(&x, "{\"uniqueItems\":true}", 50);
    struct sent *s = fixture_send_text(
        &x.f, "events", NDJSON, "[1]\n[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]\n");
    assert_counts(s, 1, 1, 0);
    assert_string_equal(s->request.errors[0].reason, "complexity");
    assert_non_null(strstr(x.f.seen[1].headers, "garner.reason=complexity\n"));
    sent_done(s);
    schema_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_is_a_record),
        cmocka_unit_test(line_ends_of_all_kinds_are_fine),
        cmocka_unit_test(blank_lines_have_no_index),
        cmocka_unit_test(a_body_of_blank_lines_is_zero_records),
        cmocka_unit_test(a_broken_line_does_not_touch_its_neighbours),
        cmocka_unit_test(a_byte_order_mark_breaks_its_line_alone),
        cmocka_unit_test(bytes_that_are_no_text_are_dead_letters_byte_for_byte),
        cmocka_unit_test(an_object_or_a_scalar_is_one_record),
        cmocka_unit_test(a_broken_object_is_one_dead_letter),
        cmocka_unit_test(a_json_body_without_a_value_is_invalid),
        cmocka_unit_test(an_arrays_elements_are_records),
        cmocka_unit_test(a_broken_element_is_judged_alone),
        cmocka_unit_test(from_where_an_array_cannot_be_followed_the_rest_is_one),
        cmocka_unit_test(depth_breaks_a_record_and_nothing_else),
        cmocka_unit_test(a_record_over_the_limit_is_oversize_whole),
        cmocka_unit_test(the_limit_is_a_mebibyte_unless_said),
        cmocka_unit_test(a_hundred_errors_are_listed_and_the_rest_counted),
        cmocka_unit_test(any_body_balances),
        cmocka_unit_test(a_line_that_its_schema_refuses_is_a_dead_letter_as_sent),
        cmocka_unit_test(elements_and_single_values_have_the_schema_too),
        cmocka_unit_test(what_is_too_much_work_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
