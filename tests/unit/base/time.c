#include "base/time.h"

#include <time.h>

#include "lib/unit.h"

#define UNTOUCHED INT64_C(77)

/* What a parser must make of a text: a time, or ERR_SYNTAX. */
struct row {
    const char *text;
    bool valid;
    int64_t ms;
};

static void check(err_t (*parse)(struct slice, int64_t *), const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t ms = UNTOUCHED;
        err_t err = parse(slice_string(rows[i].text), &ms);
        bool as_said = err_is(err, rows[i].valid ? ERR_OK : ERR_SYNTAX);
        if (!as_said || ms != (rows[i].valid ? rows[i].ms : UNTOUCHED))
            fail_msg("\"%s\": %s, %lld", rows[i].text, err_name(err), (long long)ms);
    }
}

#define CHECK(parse, rows) check(parse, rows, sizeof(rows) / sizeof((rows)[0]))

static void assert_time_text(int64_t ms, const char *text)
{
    struct buf b = {0};
    buf_add_time(&b, ms);
    assert_slice(buf_slice(&b), text);
    buf_done(&b);
}

static void every_day_of_all_years_goes_there_and_back(void **state)
{
    (void)state;
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t ms = TIME_MS_MIN;
    for (int32_t year = 1; year <= 9999; year++) {
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (uint8_t month = 1; month <= 12; month++) {
            int days = lengths[month - 1] + (leap && month == 2);
            for (uint8_t day = 1; day <= days; day++, ms += 86400000) {
                struct time_parts parts;
                time_to_parts(ms, &parts);
                if (parts.year != year || parts.month != month || parts.day != day ||
                    parts.hour != 0 || time_from_parts(&parts) != ms)
                    fail_msg("%d-%d-%d", year, month, day);
            }
        }
    }
    assert_true(ms == TIME_MS_MAX + 1);
}

static void random_times_agree_with_the_c_library(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t span = (uint64_t)(TIME_MS_MAX - TIME_MS_MIN) + 1;
        int64_t ms = TIME_MS_MIN + (int64_t)(unit_random(&random) % span);
        struct time_parts parts;
        time_to_parts(ms, &parts);
        assert_true(time_from_parts(&parts) == ms);
        int64_t below = (ms % 1000 + 1000) % 1000;
        time_t seconds = (time_t)((ms - below) / 1000);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_int_equal(parts.year, tm.tm_year + 1900);
        assert_int_equal(parts.month, tm.tm_mon + 1);
        assert_int_equal(parts.day, tm.tm_mday);
        assert_int_equal(parts.hour, tm.tm_hour);
        assert_int_equal(parts.minute, tm.tm_min);
        assert_int_equal(parts.second, tm.tm_sec);
        assert_int_equal(parts.millisecond, below);
    }
}

static void times_are_written_in_full(void **state)
{
    (void)state;
    assert_time_text(0, "1970-01-01T00:00:00.000Z");
    assert_time_text(-1, "1969-12-31T23:59:59.999Z");
    assert_time_text(INT64_C(1769903999123), "2026-01-31T23:59:59.123Z");
    assert_time_text(TIME_MS_MIN, "0001-01-01T00:00:00.000Z");
    assert_time_text(TIME_MS_MAX, "9999-12-31T23:59:59.999Z");
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (uint32_t i = 0; i < 5000; i++) {
        uint64_t span = (uint64_t)(TIME_MS_MAX - TIME_MS_MIN) + 1;
        int64_t ms = TIME_MS_MIN + (int64_t)(unit_random(&random) % span);
        struct buf b = {0};
        buf_add_time(&b, ms);
        int64_t back = UNTOUCHED;
        assert_true(err_is_ok(time_parse_rfc3339(buf_slice(&b), &back)));
        assert_true(back == ms);
        buf_done(&b);
    }
}

static void rfc3339_times_are_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2026-01-31T23:59:59.123Z", true, INT64_C(1769903999123)},
        {"2026-01-31t23:59:59.123z", true, INT64_C(1769903999123)},
        {"2026-01-31 23:59:59.123Z", true, INT64_C(1769903999123)},
        {"2026-02-01T01:29:59.123+01:30", true, INT64_C(1769903999123)},
        {"2026-01-31T15:59:59.123-08:00", true, INT64_C(1769903999123)},
        {"1970-01-01T00:00:00-00:00", true, 0},
        {"1970-01-01T00:00:00.1Z", true, 100},
        {"1970-01-01T00:00:00.05Z", true, 50},
        {"1970-01-01T00:00:00.0019999999999999999999999999Z", true, 1},
        {"1969-12-31T23:59:59.9999Z", true, -1},
        {"2016-12-31T23:59:60Z", true, INT64_C(1483228800000)},
        {"2016-12-31T23:59:60.5Z", true, INT64_C(1483228800500)},
        {"2024-02-29T00:00:00Z", true, INT64_C(1709164800000)},
        {"2000-02-29T00:00:00Z", true, INT64_C(951782400000)},
        {"0001-01-01T00:00:00Z", true, TIME_MS_MIN},
        {"9999-12-31T23:59:59.999Z", true, TIME_MS_MAX},
        {"0001-01-01T23:59:00+23:59", true, TIME_MS_MIN},
    };
    CHECK(time_parse_rfc3339, rows);
}

static void what_is_no_rfc3339_time_is_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.text = ""},
        {.text = "2026"},
        {.text = "2026-01-31"},
        {.text = "2026-01-31T"},
        {.text = "2026-01-31T23:59:59"},
        {.text = "2026-01-31T23:59Z"},
        {.text = "2026-01-31T23:59:59."},
        {.text = "2026-01-31T23:59:59.Z"},
        {.text = "2026-01-31T23:59:59,5Z"},
        {.text = "2026-01-31T23:59:59ZZ"},
        {.text = "2026-01-31T23:59:59Z "},
        {.text = " 2026-01-31T23:59:59Z"},
        {.text = "2026-01-31_23:59:59Z"},
        {.text = "2026/01/31T23:59:59Z"},
        {.text = "2026-1-31T23:59:59Z"},
        {.text = "26-01-31T23:59:59Z"},
        {.text = "02026-01-31T23:59:59Z"},
        {.text = "-2026-01-31T23:59:59Z"},
        {.text = "+026-01-31T23:59:59Z"},
        {.text = "2026-00-31T23:59:59Z"},
        {.text = "2026-13-31T23:59:59Z"},
        {.text = "2026-01-00T23:59:59Z"},
        {.text = "2026-01-32T23:59:59Z"},
        {.text = "2026-04-31T23:59:59Z"},
        {.text = "2026-02-29T23:59:59Z"},
        {.text = "1900-02-29T23:59:59Z"},
        {.text = "2026-01-31T24:00:00Z"},
        {.text = "2026-01-31T23:60:00Z"},
        {.text = "2026-01-31T23:59:61Z"},
        {.text = "2026-01-31T23:59:59+24:00"},
        {.text = "2026-01-31T23:59:59+01:60"},
        {.text = "2026-01-31T23:59:59+0100"},
        {.text = "2026-01-31T23:59:59+01"},
        {.text = "2026-01-31T23:59:59+"},
        {.text = "2026-01-31T23:59:59 +01:00"},
        {.text = "0000-12-31T23:59:59Z"},
        {.text = "0001-01-01T00:00:00+00:01"},
        {.text = "9999-12-31T23:59:59-00:01"},
        {.text = "9999-12-31T23:59:60Z"},
    };
    CHECK(time_parse_rfc3339, rows);
    int64_t ms = UNTOUCHED;
    struct slice zero = slice_make("2026-01-31\0__:59:59Z", 20);
    assert_true(err_is(time_parse_rfc3339(zero, &ms), ERR_SYNTAX));
    assert_true(err_is(time_parse_rfc3339(slice_make(NULL, 0), &ms), ERR_SYNTAX));
}

static void any_cut_of_a_time_is_refused(void **state)
{
    (void)state;
    static const char text[] = "2026-01-31T23:59:59.123+01:30";
    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        int64_t ms = UNTOUCHED;
        assert_true(err_is(time_parse_rfc3339(slice_make(text, size), &ms), ERR_SYNTAX));
        assert_true(ms == UNTOUCHED);
    }
}

static void epoch_units_follow_the_size_of_the_number(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"0.0", true, 0},
        {"0e5", true, 0},
        {"1", true, 1000},
        {"1769903999", true, INT64_C(1769903999000)},
        {"1769903999.123", true, INT64_C(1769903999123)},
        {"1769903999123", true, INT64_C(1769903999123)},
        {"1769903999123.9", true, INT64_C(1769903999123)},
        {"1769903999123456", true, INT64_C(1769903999123)},
        {"1769903999123456.7", true, INT64_C(1769903999123)},
        {"99999999999", true, INT64_C(99999999999000)},
        {"99999999999.999999", true, INT64_C(99999999999999)},
        {"100000000000", true, INT64_C(100000000000)},
        {"99999999999999", true, INT64_C(99999999999999)},
        {"99999999999999.9", true, INT64_C(99999999999999)},
        {"100000000000000", true, INT64_C(100000000000)},
        {"-1769903999", true, INT64_C(-1769903999000)},
        {"-62135596800", true, TIME_MS_MIN},
        {"-62135596800000", true, TIME_MS_MIN},
        {"-62135596800000000", true, TIME_MS_MIN},
        {"253402300799999999", true, TIME_MS_MAX},
    };
    CHECK(time_parse_epoch, rows);
}

static void epoch_fractions_and_exponents_are_exact(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0.001", true, 1},
        {"0.0009", true, 0},
        {"-0.0009", true, -1},
        {"-0.001", true, -1},
        {"-1.0015", true, -1002},
        {"1.7e9", true, INT64_C(1700000000000)},
        {"1.7E+9", true, INT64_C(1700000000000)},
        {"17000000000e-1", true, INT64_C(1700000000000)},
        {"1.7e12", true, INT64_C(1700000000000)},
        {"1.7e15", true, INT64_C(1700000000000)},
        {"1e-400", true, 0},
        {"-1e-400", true, -1},
        {"0e99999999999999999999", true, 0},
        {"1769903999.12300000000000000000000000000000000001", true, INT64_C(1769903999123)},
        {"-1769903999.12300000000000000000000000000000000001", true, INT64_C(-1769903999124)},
        {"0.00000000000000000000000000000000001769903999e44", true, INT64_C(1769903999000)},
    };
    CHECK(time_parse_epoch, rows);
}

static void what_is_no_epoch_time_is_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.text = ""},
        {.text = "-"},
        {.text = "+1"},
        {.text = "01"},
        {.text = "-01"},
        {.text = "00"},
        {.text = "1."},
        {.text = ".5"},
        {.text = "1.e3"},
        {.text = "1e"},
        {.text = "1e+"},
        {.text = "1e1.5"},
        {.text = " 1"},
        {.text = "1 "},
        {.text = "1x"},
        {.text = "NaN"},
        {.text = "\"1\""},
        {.text = "0x10"},
        {.text = "253402300800000000"},
        {.text = "-62135596800001"},
        {.text = "-99999999999"},
        {.text = "1e18"},
        {.text = "1e99999999999999999999"},
        {.text = "100000000000000000000000000000000000000000000"},
    };
    CHECK(time_parse_epoch, rows);
    int64_t ms = UNTOUCHED;
    assert_true(err_is(time_parse_epoch(SLICE_LITERAL("1\0"), &ms), ERR_SYNTAX));
}

static void formats_follow_strftime(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        const char *text;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"%Y-%m-%d", "2026-03-09"},
        {"dt=%Y-%m-%d/hour=%H", "dt=2026-03-09/hour=07"},
        {"%H:%M:%S", "07:05:03"},
        {"%j", "068"},
        {"100%%", "100%"},
        {"%%Y", "%Y"},
    };
    const int64_t ms = INT64_C(1773039903999);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = {0};
        assert_true(err_is_ok(buf_add_time_format(&b, slice_string(rows[i].format), ms)));
        assert_slice(buf_slice(&b), rows[i].text);
        buf_done(&b);
    }
}

static void the_day_of_the_year_counts_leap_days(void **state)
{
    (void)state;
    static const struct {
        const char *time;
        const char *day;
    } rows[] = {
        {"2023-01-01T00:00:00Z", "001"}, {"2023-12-31T23:59:59Z", "365"},
        {"2024-03-01T00:00:00Z", "061"}, {"2024-12-31T23:59:59Z", "366"},
        {"0001-01-01T00:00:00Z", "001"}, {"9999-12-31T00:00:00Z", "365"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = 0;
        assert_true(err_is_ok(time_parse_rfc3339(slice_string(rows[i].time), &ms)));
        struct buf b = {0};
        assert_true(err_is_ok(buf_add_time_format(&b, SLICE_LITERAL("%j"), ms)));
        assert_slice(buf_slice(&b), rows[i].day);
        buf_done(&b);
    }
}

static void an_unknown_field_is_refused_and_adds_nothing(void **state)
{
    (void)state;
    static const char *const formats[] = {"%Y-%q", "%", "%Y%", "%y", "% Y", "%\xc3"};
    struct buf b = {0};
    buf_add_string(&b, "kept");
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        err_t err = buf_add_time_format(&b, slice_string(formats[i]), 0);
        assert_true(err_is(err, ERR_INVALID));
        assert_slice(buf_slice(&b), "kept");
    }
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_of_all_years_goes_there_and_back),
        cmocka_unit_test(random_times_agree_with_the_c_library),
        cmocka_unit_test(times_are_written_in_full),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(rfc3339_times_are_read),
        cmocka_unit_test(what_is_no_rfc3339_time_is_refused),
        cmocka_unit_test(any_cut_of_a_time_is_refused),
        cmocka_unit_test(epoch_units_follow_the_size_of_the_number),
        cmocka_unit_test(epoch_fractions_and_exponents_are_exact),
        cmocka_unit_test(what_is_no_epoch_time_is_refused),
        cmocka_unit_test(formats_follow_strftime),
        cmocka_unit_test(the_day_of_the_year_counts_leap_days),
        cmocka_unit_test(an_unknown_field_is_refused_and_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
