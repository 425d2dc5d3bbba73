#include "admin/query.h"

#include "lib/unit.h"

static struct admin_query parse(const char *text)
{
    struct admin_query query = {0};
    struct err_text why = {0};
    err_t err = admin_query_parse(slice_string(text), &query, &why);
    if (!err_is_ok(err))
        fail_msg("%s: %s", text, why.text);
    return query;
}

static void nothing_said_is_the_first_records_of_the_first_partition(void **state)
{
    (void)state;
    struct admin_query query = parse("");
    assert_int_equal(query.partition, 0);
    assert_int_equal(query.start, ADMIN_QUERY_EARLIEST);
    assert_int_equal(query.limit, 100);
    assert_int_equal(query.wait_ms, 0);
    struct err_text why = {0};
    assert_true(err_is_ok(admin_query_parse((struct slice){0}, &query, &why)));
    assert_int_equal(parse("&&partition=2&").partition, 2);
}

static void every_parameter_is_read(void **state)
{
    (void)state;
    struct admin_query query = parse("wait_ms=30000&limit=1000&offset=17&partition=9");
    assert_int_equal(query.partition, 9);
    assert_int_equal(query.start, ADMIN_QUERY_OFFSET);
    assert_int_equal(query.start_value, 17);
    assert_int_equal(query.limit, 1000);
    assert_int_equal(query.wait_ms, 30000);
}

static void a_start_is_a_word_an_offset_or_so_many_before_the_end(void **state)
{
    (void)state;
    assert_int_equal(parse("offset=earliest").start, ADMIN_QUERY_EARLIEST);
    assert_int_equal(parse("offset=latest").start, ADMIN_QUERY_LATEST);
    assert_int_equal(parse("offset=0").start, ADMIN_QUERY_OFFSET);
    struct admin_query query = parse("offset=-9223372036854775807");
    assert_int_equal(query.start, ADMIN_QUERY_FROM_END);
    assert_int_equal(query.start_value, INT64_MAX);
    query = parse("offset=9223372036854775807");
    assert_int_equal(query.start, ADMIN_QUERY_OFFSET);
    assert_int_equal(query.start_value, INT64_MAX);
}

static void a_time_is_a_date_or_milliseconds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {
        {"time=1772359200000", 1772359200000},
        {"time=-1", -1},
        {"time=0", 0},
        {"time=2026-03-01T10:00:00Z", 1772359200000},
        {"time=2026-03-01T10%3A00%3A00Z", 1772359200000},
        {"time=2026-03-01T11:00:00.250+01:00", 1772359200250},
        {"time=2026-03-01T11:00:00%2B01:00", 1772359200000},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct admin_query query = parse(times[i].text);
        assert_int_equal(query.start, ADMIN_QUERY_TIME);
        assert_int_equal(query.start_value, times[i].ms);
    }
}

static void what_is_wrong_is_said_and_nothing_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"partition=-1", "partition: expected"},
        {"partition=4294967296", "partition: expected"},
        {"partition=", "partition: expected"},
        {"partition", "partition: expected"},
        {"partition=%", "partition: expected"},
        {"offset=first", "offset: expected earliest, latest"},
        {"offset=", "offset: expected"},
        {"offset=1.5", "offset: expected"},
        {"offset=9223372036854775808", "offset: expected"},
        {"offset=-9223372036854775808", "offset: expected"},
        {"offset=%00", "offset: expected"},
        {"time=yesterday", "time: expected a time such as"},
        {"time=2026-02-30T00:00:00Z", "time: expected"},
        {"time=1111111111111111111111111111111111111111111111111111111111111111111", "time: "},
        {"limit=0", "limit: expected a number from 1 to 1000"},
        {"limit=1001", "limit: expected"},
        {"limit=-1", "limit: expected"},
        {"wait_ms=30001", "wait_ms: expected a number from 0 to 30000"},
        {"wait_ms=1s", "wait_ms: expected"},
        {"ofset=7", "unknown parameter; there are partition, offset"},
        {"=7", "unknown parameter"},
        {"Partition=7", "unknown parameter"},
        {"limit=1&limit=1", "limit stands twice"},
        {"offset=1&partition=0&time=1", "give one of them"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct admin_query query = {.limit = 77};
        struct err_text why = {0};
        if (!err_is(admin_query_parse(slice_string(wrong[i].text), &query, &why), ERR_INVALID))
            fail_msg("taken: %s", wrong[i].text);
        if (!strstr(why.text, wrong[i].says))
            fail_msg("%s: %s", wrong[i].text, why.text);
        assert_int_equal(query.limit, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_the_first_records_of_the_first_partition),
        cmocka_unit_test(every_parameter_is_read),
        cmocka_unit_test(a_start_is_a_word_an_offset_or_so_many_before_the_end),
        cmocka_unit_test(a_time_is_a_date_or_milliseconds),
        cmocka_unit_test(what_is_wrong_is_said_and_nothing_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
