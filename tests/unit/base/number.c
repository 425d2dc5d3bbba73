#include "base/number.h"

#include "lib/unit.h"

/* What a parser must make of a text: a value, or an error and an untouched result. */
struct row {
    const char *text;
    enum err_code code;
    uint64_t value;
};

static void check(err_t (*parse)(struct slice, uint64_t *), const struct row *rows, size_t count)
{
    const uint64_t untouched = 0x1122334455667788;
    for (size_t i = 0; i < count; i++) {
        uint64_t out = untouched;
        err_t err = parse(slice_string(rows[i].text), &out);
        uint64_t expected = rows[i].code == ERR_OK ? rows[i].value : untouched;
        if (!err_is(err, rows[i].code) || out != expected)
            fail_msg("\"%s\": %s, %llu", rows[i].text, err_name(err), (unsigned long long)out);
    }
}

#define CHECK(parse, rows) check(parse, rows, sizeof(rows) / sizeof((rows)[0]))

static void unsigned_numbers_are_digits_and_nothing_else(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", ERR_OK, 0},
        {"42", ERR_OK, 42},
        {"007", ERR_OK, 7},
        {"18446744073709551615", ERR_OK, UINT64_MAX},
        {"0000000000000000000000000000001", ERR_OK, 1},
        {"18446744073709551616", ERR_TOO_LARGE, 0},
        {"99999999999999999999999", ERR_TOO_LARGE, 0},
        {"184467440737095516150", ERR_TOO_LARGE, 0},
        {"", ERR_SYNTAX, 0},
        {"-1", ERR_SYNTAX, 0},
        {"+1", ERR_SYNTAX, 0},
        {" 1", ERR_SYNTAX, 0},
        {"1 ", ERR_SYNTAX, 0},
        {"1.0", ERR_SYNTAX, 0},
        {"1e3", ERR_SYNTAX, 0},
        {"0x10", ERR_SYNTAX, 0},
        {"12,3", ERR_SYNTAX, 0},
        {"/", ERR_SYNTAX, 0},
        {":", ERR_SYNTAX, 0},
    };
    CHECK(number_parse_u64, rows);
    uint64_t out = 0;
    assert_true(err_is(number_parse_u64(SLICE_LITERAL("1\0"), &out), ERR_SYNTAX));
    assert_true(err_is(number_parse_u64(slice_make(NULL, 0), &out), ERR_SYNTAX));
}

static void signed_numbers_reach_both_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        int64_t value;
    } rows[] = {
        {"0", ERR_OK, 0},
        {"-0", ERR_OK, 0},
        {"-42", ERR_OK, -42},
        {"9223372036854775807", ERR_OK, INT64_MAX},
        {"-9223372036854775808", ERR_OK, INT64_MIN},
        {"9223372036854775808", ERR_TOO_LARGE, 5},
        {"-9223372036854775809", ERR_TOO_LARGE, 5},
        {"99999999999999999999", ERR_TOO_LARGE, 5},
        {"", ERR_SYNTAX, 5},
        {"-", ERR_SYNTAX, 5},
        {"--1", ERR_SYNTAX, 5},
        {"+1", ERR_SYNTAX, 5},
        {"- 1", ERR_SYNTAX, 5},
        {"1-", ERR_SYNTAX, 5},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t out = 5;
        err_t err = number_parse_i64(slice_string(rows[i].text), &out);
        if (!err_is(err, rows[i].code) || out != rows[i].value)
            fail_msg("\"%s\": %s, %lld", rows[i].text, err_name(err), (long long)out);
    }
}

static void hexadecimal_has_one_to_sixteen_digits(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", ERR_OK, 0},
        {"dEadBeef", ERR_OK, 0xdeadbeef},
        {"ffffffffffffffff", ERR_OK, UINT64_MAX},
        {"123456789abcdef0", ERR_OK, 0x123456789abcdef0},
        {"00000000000000001", ERR_TOO_LARGE, 0},
        {"1ffffffffffffffff", ERR_TOO_LARGE, 0},
        {"", ERR_SYNTAX, 0},
        {"0x1", ERR_SYNTAX, 0},
        {"g", ERR_SYNTAX, 0},
        {"G", ERR_SYNTAX, 0},
        {"@", ERR_SYNTAX, 0},
        {"`", ERR_SYNTAX, 0},
        {"-1", ERR_SYNTAX, 0},
        {"1 ", ERR_SYNTAX, 0},
        {"12345678901234567890;", ERR_SYNTAX, 0},
    };
    CHECK(number_parse_hex, rows);
}

static void sizes_have_decimal_and_binary_units(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", ERR_OK, 0},
        {"512", ERR_OK, 512},
        {"512B", ERR_OK, 512},
        {"10kB", ERR_OK, 10000},
        {"10KB", ERR_OK, 10000},
        {"3MB", ERR_OK, 3000000},
        {"10GB", ERR_OK, 10000000000},
        {"2TB", ERR_OK, 2000000000000},
        {"4KiB", ERR_OK, 4096},
        {"4kiB", ERR_OK, 4096},
        {"4 KiB", ERR_OK, 4096},
        {"64MiB", ERR_OK, UINT64_C(64) << 20},
        {"10GiB", ERR_OK, UINT64_C(10) << 30},
        {"1TiB", ERR_OK, UINT64_C(1) << 40},
        {"16777215TiB", ERR_OK, UINT64_C(16777215) << 40},
        {"16777216TiB", ERR_TOO_LARGE, 0},
        {"18446744073709551616", ERR_TOO_LARGE, 0},
        {"18446744073709551615kB", ERR_TOO_LARGE, 0},
        {"", ERR_SYNTAX, 0},
        {"MiB", ERR_SYNTAX, 0},
        {" 4KiB", ERR_SYNTAX, 0},
        {"4  KiB", ERR_SYNTAX, 0},
        {"4 ", ERR_SYNTAX, 0},
        {"4KiB ", ERR_SYNTAX, 0},
        {"4K", ERR_SYNTAX, 0},
        {"4mib", ERR_SYNTAX, 0},
        {"4Mib", ERR_SYNTAX, 0},
        {"4b", ERR_SYNTAX, 0},
        {"1.5GiB", ERR_SYNTAX, 0},
        {"-1MiB", ERR_SYNTAX, 0},
        {"4PiB", ERR_SYNTAX, 0},
    };
    CHECK(number_parse_size, rows);
}

static void durations_need_a_unit_unless_zero(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", ERR_OK, 0},
        {"0s", ERR_OK, 0},
        {"250ms", ERR_OK, 250},
        {"60s", ERR_OK, 60000},
        {"5m", ERR_OK, 300000},
        {"24h", ERR_OK, 86400000},
        {"7d", ERR_OK, 604800000},
        {"213503982334d", ERR_OK, UINT64_C(213503982334) * 86400000},
        {"213503982335d", ERR_TOO_LARGE, 0},
        {"60", ERR_SYNTAX, 0},
        {"", ERR_SYNTAX, 0},
        {"s", ERR_SYNTAX, 0},
        {"1 s", ERR_SYNTAX, 0},
        {"1S", ERR_SYNTAX, 0},
        {"1w", ERR_SYNTAX, 0},
        {"1h30m", ERR_SYNTAX, 0},
        {"1.5h", ERR_SYNTAX, 0},
        {"-1s", ERR_SYNTAX, 0},
        {"0 ", ERR_SYNTAX, 0},
    };
    CHECK(number_parse_duration, rows);
}

static void sizes_are_written_for_people(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {UINT64_C(1024) * 1024 - 1, "1023.9 KiB"},
        {UINT64_C(64) << 20, "64.0 MiB"},
        {UINT64_C(10) << 30, "10.0 GiB"},
        {UINT64_C(1) << 40, "1.0 TiB"},
        {UINT64_C(1) << 50, "1.0 PiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = {0};
        buf_add_size(&b, rows[i].bytes);
        assert_slice(buf_slice(&b), rows[i].text);
        buf_done(&b);
    }
}

static void durations_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "0ms"},
        {1, "1ms"},
        {999, "999ms"},
        {1000, "1s"},
        {1500, "1500ms"},
        {90000, "90s"},
        {3600000, "1h"},
        {86400000, "1d"},
        {90000000, "25h"},
        {604800000, "7d"},
        {UINT64_MAX, "18446744073709551615ms"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = {0};
        uint64_t ms = 1;
        buf_add_duration(&b, rows[i].ms);
        assert_slice(buf_slice(&b), rows[i].text);
        assert_true(err_is_ok(number_parse_duration(buf_slice(&b), &ms)));
        assert_int_equal(ms, rows[i].ms);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_numbers_are_digits_and_nothing_else),
        cmocka_unit_test(signed_numbers_reach_both_ends),
        cmocka_unit_test(hexadecimal_has_one_to_sixteen_digits),
        cmocka_unit_test(sizes_have_decimal_and_binary_units),
        cmocka_unit_test(durations_need_a_unit_unless_zero),
        cmocka_unit_test(sizes_are_written_for_people),
        cmocka_unit_test(durations_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
