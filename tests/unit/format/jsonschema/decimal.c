#include "format/jsonschema/decimal_int.h"

#include "lib/unit.h"

static struct format_jsonschema_decimal decimal(const char *text)
{
    struct format_jsonschema_decimal d;
    if (!format_jsonschema_decimal_parse(slice_string(text), &d))
        fail_msg("%s does not fit", text);
    return d;
}

static int compare(const char *a, const char *b)
{
    struct format_jsonschema_decimal x = decimal(a), y = decimal(b);
    int order = format_jsonschema_decimal_compare(&x, &y);
    int back = format_jsonschema_decimal_compare(&y, &x);
    assert_int_equal((order > 0) - (order < 0), (back < 0) - (back > 0));
    return (order > 0) - (order < 0);
}

static bool multiple(const char *a, const char *b)
{
    struct format_jsonschema_budget budget = {1000000, false};
    struct format_jsonschema_decimal x = decimal(a), y = decimal(b);
    bool is = format_jsonschema_decimal_is_multiple(&x, &y, &budget);
    assert_false(budget.spent);
    return is;
}

static bool integer(const char *text)
{
    struct format_jsonschema_decimal d = decimal(text);
    return format_jsonschema_decimal_is_integer(&d);
}

static uint64_t u64(const char *text)
{
    struct format_jsonschema_decimal d = decimal(text);
    return format_jsonschema_decimal_u64(&d);
}

static void equal_numbers_are_equal_however_written(void **state)
{
    (void)state;
    static const char *const ones[] = {"1", "1.0", "1e0", "10e-1", "0.1E+1", "0.00100e3"};
    for (size_t i = 0; i < sizeof(ones) / sizeof(ones[0]); i++)
        assert_int_equal(compare(ones[0], ones[i]), 0);
    static const char *const zeros[] = {"0", "-0", "0.000", "0e99999999999999999999", "-0.0e-7"};
    for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
        assert_int_equal(compare(zeros[0], zeros[i]), 0);
    assert_int_equal(compare("-1200e-2", "-12"), 0);
    assert_int_equal(compare("123.4500", "0.12345e3"), 0);
}

static void numbers_are_ordered_by_value(void **state)
{
    (void)state;
    /* Ascending. */
    static const char *const numbers[] = {"-1e400",
                                          "-2",
                                          "-1.0000000000000000000000001",
                                          "-1",
                                          "-0.5",
                                          "0",
                                          "1e-400",
                                          "0.1",
                                          "0.10000000000000000000000000001",
                                          "1",
                                          "1.5",
                                          "9",
                                          "10",
                                          "9007199254740992",
                                          "9007199254740993",
                                          "1e400",
                                          "1e401"};
    size_t count = sizeof(numbers) / sizeof(numbers[0]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            assert_int_equal(compare(numbers[i], numbers[j]), (i > j) - (i < j));
}

static void integers_are_told_by_value_too(void **state)
{
    (void)state;
    assert_true(integer("0") && integer("-0.0") && integer("12") && integer("1.0"));
    assert_true(integer("1.5e1") && integer("1e300") && integer("-100e-2"));
    assert_false(integer("0.5") || integer("1e-1") || integer("15e-1") || integer("1.0001"));
    assert_false(integer("12345678901234567890.5"));
}

static void counts_that_do_not_fit_are_the_largest(void **state)
{
    (void)state;
    assert_true(u64("0") == 0 && u64("7") == 7 && u64("2.0") == 2 && u64("12e2") == 1200);
    assert_true(u64("1234567890123456789") == UINT64_C(1234567890123456789));
    assert_true(u64("1e20") == UINT64_MAX && u64("123456789012345678901") == UINT64_MAX);
}

static void multiples_are_exact(void **state)
{
    (void)state;
    assert_true(multiple("19.99", "0.01") && multiple("0", "7") && multiple("-6", "3"));
    assert_true(multiple("0.3", "0.1") && multiple("1e300", "0.5") && multiple("4.5", "1.5"));
    assert_true(multiple("123456789123456789123456789", "123456789"));
    assert_true(multiple("1e1000", "1e-1000") && multiple("1e100000000000000", "16"));
    assert_false(multiple("19.991", "0.01") || multiple("7", "2") || multiple("0.35", "0.1"));
    assert_false(multiple("1e308", "0.123456789") || multiple("1", "10") || multiple("1e-9", "1"));
    assert_false(multiple("1e100000000000000", "3"));
    assert_false(multiple("123456789123456789123456788", "123456789"));
}

/* A divisor of `digits` times n is a multiple, and with one more it is none. */
static void long_divisors_are_divided_by(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 50; round++) {
        uint32_t small = 2 + (uint32_t)(unit_random(&seed) % 1000);
        size_t size = 1 + unit_random(&seed) % 200;
        char by[256], product[260];
        uint32_t carry = 0;
        for (size_t i = 0; i < size; i++)
            by[i] = (char)('1' + unit_random(&seed) % 9);
        by[size] = '\0';
        /* product = by * small, written from its end. */
        size_t at = sizeof(product) - 1;
        product[at] = '\0';
        for (size_t i = size; i-- > 0 || carry > 0;) {
            carry += i < size ? (uint32_t)(by[i] - '0') * small : 0;
            product[--at] = (char)('0' + carry % 10);
            carry /= 10;
            if (i >= size || i == 0) {
                for (; carry > 0; carry /= 10)
                    product[--at] = (char)('0' + carry % 10);
                break;
            }
        }
        assert_true(multiple(product + at, by));
        if (strcmp(by, "1") == 0)
            continue;
        char *last = &product[sizeof(product) - 2];
        *last = (char)(*last == '9' ? '8' : *last + 1);
        assert_false(multiple(product + at, by));
    }
}

/* `value` times ten to the power of `exponent`, written in one of several ways. */
static void write_number(char *out, size_t capacity, int64_t value, int exponent, uint64_t way)
{
    const char *sign = value < 0 ? "-" : "";
    unsigned long long size = (unsigned long long)(value < 0 ? -value : value);
    switch (way % 4) {
    case 0: snprintf(out, capacity, "%s%llue%d", sign, size, exponent); break;
    case 1: snprintf(out, capacity, "%s%llu.000E%+03d", sign, size, exponent); break;
    case 2:
        snprintf(out, capacity, "%s%llu.%03llue%d", sign, size / 1000, size % 1000, exponent + 3);
        break;
    default: snprintf(out, capacity, "%s%llu0e%d", sign, size, exponent - 1); break;
    }
}

/* What whole numbers, which fit the machine, say of the same. */
static void random_numbers_agree_with_whole_ones(void **state)
{
    (void)state;
    static const int64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    uint64_t seed = unit_seed();
    size_t equal = 0, multiples = 0;
    for (int round = 0; round < 20000; round++) {
        int64_t small = (int64_t)(unit_random(&seed) % 2001) - 1000;
        int64_t large = (int64_t)(unit_random(&seed) % 2001) - 1000;
        int x = (int)(unit_random(&seed) % 7), y = (int)(unit_random(&seed) % 7);
        if (round % 4 == 0) {
            large = small;
            y = x;
        }
        char a[64], b[64];
        write_number(a, sizeof(a), small, x - 3, unit_random(&seed));
        write_number(b, sizeof(b), large, y - 3, unit_random(&seed));
        int64_t left = small * powers[x], right = large * powers[y];
        assert_int_equal(compare(a, b), (left > right) - (left < right));
        assert_int_equal(integer(a), left % 1000 == 0);
        equal += left == right;
        if (right <= 0)
            continue;
        assert_int_equal(multiple(a, b), left % right == 0);
        multiples += left != 0 && left % right == 0;
    }
    assert_true(equal > 0 && multiples > 0);
}

static void exponents_have_a_limit(void **state)
{
    (void)state;
    struct format_jsonschema_decimal d;
    assert_true(format_jsonschema_decimal_parse(slice_string("1e000000000000000000001"), &d));
    assert_true(format_jsonschema_decimal_parse(slice_string("1e-999999999999999"), &d));
    assert_false(format_jsonschema_decimal_parse(slice_string("1e9999999999999999"), &d));
    assert_false(format_jsonschema_decimal_parse(slice_string("-2.5E-9999999999999999"), &d));
}

static void division_spends_steps(void **state)
{
    (void)state;
    struct format_jsonschema_budget budget = {3, false};
    struct format_jsonschema_decimal x = decimal("1e900"), y = decimal("12345678901234567890123");
    assert_false(format_jsonschema_decimal_is_multiple(&x, &y, &budget));
    assert_true(budget.spent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_numbers_are_equal_however_written),
        cmocka_unit_test(numbers_are_ordered_by_value),
        cmocka_unit_test(integers_are_told_by_value_too),
        cmocka_unit_test(counts_that_do_not_fit_are_the_largest),
        cmocka_unit_test(multiples_are_exact),
        cmocka_unit_test(long_divisors_are_divided_by),
        cmocka_unit_test(random_numbers_agree_with_whole_ones),
        cmocka_unit_test(exponents_have_a_limit),
        cmocka_unit_test(division_spends_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
