#include "format/jsonschema/decimal_int.h"

#include "base/assert.h"

/*
 * A remainder is found as on paper: digit after digit is appended to what is left, and the
 * divisor is taken off as often as it goes. The zeros that an exponent stands for are appended
 * too, but never more than could matter: ten to the power of k has only the factors 2 and 5, and
 * a divisor of n digits holds less than 4n of either, so more zeros than that change nothing.
 */

#define LIMB UINT32_C(1000000000)
#define LIMB_DIGITS 9
#define LIMBS (FORMAT_JSONSCHEMA_DIVISOR_DIGITS / LIMB_DIGITS + 1)

/* Least significant limb first. */
struct big {
    uint32_t limbs[LIMBS + 1];
    size_t count;
};

/* The digit at `at` of integer and fraction put together. */
static uint32_t digit_at(const struct format_jsonschema_decimal *d, size_t at)
{
    struct slice part = at < d->integer.size ? d->integer : d->fraction;
    size_t index = at < d->integer.size ? at : at - d->integer.size;
    ASSERT(part.data && index < part.size);
    return (uint32_t)(part.data[index] - '0');
}

static uint32_t digit(const struct format_jsonschema_decimal *d, size_t index)
{
    ASSERT(index < d->count);
    return digit_at(d, d->first + index);
}

/* Takes the digits at the front of `*rest`. */
static struct slice take_digits(struct slice *rest)
{
    size_t size = 0;
    while (size < rest->size && (uint8_t)(rest->data[size] - '0') < 10)
        size++;
    struct slice digits = slice_sub(*rest, 0, size);
    *rest = slice_sub(*rest, size, rest->size);
    return digits;
}

/* `rest` begins with the e, or is empty. */
static bool parse_exponent(struct slice rest, int64_t *out)
{
    *out = 0;
    if (rest.size == 0)
        return true;
    rest = slice_sub(rest, 1, rest.size);
    bool negative = rest.size > 0 && rest.data[0] == '-';
    if (rest.size > 0 && (rest.data[0] == '-' || rest.data[0] == '+'))
        rest = slice_sub(rest, 1, rest.size);
    while (rest.size > 0 && rest.data[0] == '0')
        rest = slice_sub(rest, 1, rest.size);
    if (rest.size > FORMAT_JSONSCHEMA_EXPONENT_DIGITS)
        return false;
    for (size_t i = 0; i < rest.size; i++)
        *out = *out * 10 + (rest.data[i] - '0');
    *out = negative ? -*out : *out;
    return true;
}

bool format_jsonschema_decimal_parse(struct slice number, struct format_jsonschema_decimal *out)
{
    ASSERT(number.size > 0);
    struct format_jsonschema_decimal d = {.negative = number.data[0] == '-'};
    struct slice rest = slice_sub(number, d.negative, number.size);
    d.integer = take_digits(&rest);
    if (rest.size > 0 && rest.data[0] == '.') {
        rest = slice_sub(rest, 1, rest.size);
        d.fraction = take_digits(&rest);
    }
    size_t end = d.integer.size + d.fraction.size;
    while (d.first < end && digit_at(&d, d.first) == 0)
        d.first++;
    while (end > d.first && digit_at(&d, end - 1) == 0)
        end--;
    d.count = end - d.first;
    if (d.count == 0) {
        *out = (struct format_jsonschema_decimal){0};
        return true;
    }
    int64_t exponent;
    if (!parse_exponent(rest, &exponent))
        return false;
    d.point = (int64_t)d.integer.size - (int64_t)d.first + exponent;
    *out = d;
    return true;
}

/* Of two that are over zero, whatever their signs. */
static int compare_sizes(const struct format_jsonschema_decimal *a,
                         const struct format_jsonschema_decimal *b)
{
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        uint32_t x = digit(a, i), y = digit(b, i);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a->count > b->count) - (a->count < b->count);
}

int format_jsonschema_decimal_compare(const struct format_jsonschema_decimal *a,
                                      const struct format_jsonschema_decimal *b)
{
    int sign_a = a->count == 0 ? 0 : a->negative ? -1 : 1;
    int sign_b = b->count == 0 ? 0 : b->negative ? -1 : 1;
    if (sign_a != sign_b || sign_a == 0)
        return sign_a - sign_b;
    return sign_a * compare_sizes(a, b);
}

bool format_jsonschema_decimal_is_integer(const struct format_jsonschema_decimal *d)
{
    return d->count == 0 || (d->point > 0 && (uint64_t)d->point >= d->count);
}

uint64_t format_jsonschema_decimal_u64(const struct format_jsonschema_decimal *d)
{
    ASSERT(format_jsonschema_decimal_is_integer(d) && !d->negative);
    if (d->point > 19)
        return UINT64_MAX;
    uint64_t value = 0;
    for (size_t i = 0; i < (size_t)d->point; i++)
        value = value * 10 + (i < d->count ? digit(d, i) : 0);
    return value;
}

static int big_compare(const struct big *a, const struct big *b)
{
    ASSERT(a->count == b->count);
    for (size_t i = a->count; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

/* a = a * 10 + digit; the highest limb has room for it. */
static void big_append(struct big *a, uint32_t last)
{
    uint64_t carry = last;
    for (size_t i = 0; i < a->count; i++) {
        uint64_t value = (uint64_t)a->limbs[i] * 10 + carry;
        a->limbs[i] = (uint32_t)(value % LIMB);
        carry = value / LIMB;
    }
    ASSERT(carry == 0);
}

/* a = a - b, which is not below zero. */
static void big_subtract(struct big *a, const struct big *b)
{
    uint32_t borrow = 0;
    for (size_t i = 0; i < a->count; i++) {
        uint32_t taken = b->limbs[i] + borrow;
        borrow = a->limbs[i] < taken;
        a->limbs[i] = a->limbs[i] + (borrow ? LIMB : 0) - taken;
    }
    ASSERT(borrow == 0);
}

bool format_jsonschema_decimal_is_multiple(const struct format_jsonschema_decimal *d,
                                           const struct format_jsonschema_decimal *divisor,
                                           struct format_jsonschema_budget *budget)
{
    ASSERT(divisor->count > 0 && divisor->count <= FORMAT_JSONSCHEMA_DIVISOR_DIGITS);
    if (d->count == 0)
        return true;
    /* Both as integers: of two powers of ten only the difference counts. With fewer zeros than the
     * divisor has, the last digit, which is none, decides. */
    int64_t zeros = (d->point - (int64_t)d->count) - (divisor->point - (int64_t)divisor->count);
    if (zeros < 0)
        return false;
    if ((uint64_t)zeros > 4 * divisor->count)
        zeros = (int64_t)(4 * divisor->count);
    struct big by = {.count = divisor->count / LIMB_DIGITS + 2};
    struct big rest = {.count = by.count};
    uint64_t digits = d->count + (uint64_t)zeros;
    if (!format_jsonschema_spend(budget, 1 + digits * by.count / 4))
        return false;
    for (size_t i = 0; i < divisor->count; i++)
        big_append(&by, digit(divisor, i));
    for (size_t i = 0; i < digits; i++) {
        big_append(&rest, i < d->count ? digit(d, i) : 0);
        while (big_compare(&rest, &by) >= 0)
            big_subtract(&rest, &by);
    }
    for (size_t i = 0; i < rest.count; i++)
        if (rest.limbs[i] != 0)
            return false;
    return true;
}
