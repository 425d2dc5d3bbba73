#include "admin/dlq_query.h"

#include "lib/unit.h"

#define NOW_MS INT64_C(1790000000000)

static err_t parse(const char *text, enum admin_dlq_asks asks, struct admin_dlq_query *out,
                   struct err_text *why)
{
    *why = (struct err_text){0};
    return admin_dlq_query_parse(slice_string(text), asks, NOW_MS, out, why);
}

static void nothing_said_is_all_letters(void **state)
{
    (void)state;
    struct admin_dlq_query q;
    struct err_text why;
    assert_true(err_is_ok(parse("", ADMIN_DLQ_SHOWS, &q, &why)));
    assert_int_equal(q.limit, ADMIN_DLQ_LIMIT);
    assert_true(err_is_ok(parse("&&", ADMIN_DLQ_REDRIVES, &q, &why)));
    assert_int_equal(q.limit, 0);
    assert_int_equal(q.rate, 0);
    assert_int_equal(q.max_attempts, FLOW_LETTERS_ATTEMPTS);
    assert_false(q.dry_run);
    assert_int_equal(q.filter.reason.size + q.filter.source.size + q.filter.key.size, 0);
}

static void every_parameter_is_read(void **state)
{
    (void)state;
    struct admin_dlq_query q;
    struct err_text why;
    assert_true(err_is_ok(parse("reason=json&source=http&path=%2Fa%2Fb&key=k%201&limit=7&rate=50&"
                                "max_attempts=9&dry_run=true&since=2h&until=1790000000001",
                                ADMIN_DLQ_REDRIVES, &q, &why)));
    assert_true(slice_equal_string(q.filter.reason, "json"));
    assert_true(slice_equal_string(q.filter.source, "http"));
    assert_true(slice_equal_string(q.filter.path, "/a/b"));
    assert_true(slice_equal_string(q.filter.key, "k 1"));
    assert_int_equal(q.filter.since_ms, NOW_MS - 7200000);
    assert_int_equal(q.filter.until_ms, NOW_MS + 1);
    assert_int_equal(q.limit, 7);
    assert_int_equal(q.rate, 50);
    assert_int_equal(q.max_attempts, 9);
    assert_true(q.dry_run);
    assert_true(err_is_ok(
        parse("offset=17&limit=1000&since=2026-03-01T10:00:00Z", ADMIN_DLQ_SHOWS, &q, &why)));
    assert_int_equal(q.offset, 17);
    assert_int_equal(q.filter.since_ms, 1772359200000);
    assert_true(err_is_ok(parse("dry_run=false", ADMIN_DLQ_PURGES, &q, &why)));
    assert_false(q.dry_run);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum admin_dlq_asks asks;
        const char *says;
    } wrong[] = {
        {"reson=json", ADMIN_DLQ_PURGES, "unknown parameter; there are reason, source"},
        {"rate=5", ADMIN_DLQ_PURGES, "limit and dry_run"},
        {"dry_run=true", ADMIN_DLQ_SHOWS, "limit and offset"},
        {"offset=5", ADMIN_DLQ_REDRIVES, "max_attempts and dry_run"},
        {"reason=a&reason=b", ADMIN_DLQ_SHOWS, "reason stands twice"},
        {"reason=", ADMIN_DLQ_SHOWS, "reason: expected a value"},
        {"reason=%zz", ADMIN_DLQ_SHOWS, "reason: expected a value"},
        {"limit=0", ADMIN_DLQ_SHOWS, "limit: expected a number from 1"},
        {"limit=1001", ADMIN_DLQ_SHOWS, "limit: expected a number from 1 to 1000"},
        {"limit=x", ADMIN_DLQ_PURGES, "limit: expected"},
        {"rate=0", ADMIN_DLQ_REDRIVES, "rate: expected"},
        {"max_attempts=0", ADMIN_DLQ_REDRIVES, "max_attempts: expected"},
        {"dry_run=1", ADMIN_DLQ_REDRIVES, "dry_run: expected true or false"},
        {"since=yesterday", ADMIN_DLQ_SHOWS, "since: expected a time"},
        {"until=-1", ADMIN_DLQ_SHOWS, "until: expected a time"},
        {"since=99999999999d", ADMIN_DLQ_SHOWS, "since: expected a time"},
        {"offset=-1", ADMIN_DLQ_SHOWS, "offset: expected an offset"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct admin_dlq_query q;
        struct err_text why;
        assert_true(err_is(parse(wrong[i].text, wrong[i].asks, &q, &why), ERR_INVALID));
        if (!strstr(why.text, wrong[i].says))
            fail_msg("%s: %s", wrong[i].text, why.text);
    }
}

static void values_that_have_no_room_are_refused(void **state)
{
    (void)state;
    struct admin_dlq_query q;
    struct err_text why;
    char text[ADMIN_DLQ_TEXT_SIZE * 2];
    memset(text, 'a', sizeof text);
    memcpy(text, "key=", 4);
    text[ADMIN_DLQ_TEXT_SIZE + 4] = '\0';
    assert_true(err_is_ok(parse(text, ADMIN_DLQ_SHOWS, &q, &why)));
    assert_int_equal(q.filter.key.size, ADMIN_DLQ_TEXT_SIZE);
    text[ADMIN_DLQ_TEXT_SIZE + 4] = 'a';
    text[ADMIN_DLQ_TEXT_SIZE + 5] = '\0';
    assert_true(err_is(parse(text, ADMIN_DLQ_SHOWS, &q, &why), ERR_INVALID));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_all_letters),
        cmocka_unit_test(every_parameter_is_read),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(values_that_have_no_room_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
