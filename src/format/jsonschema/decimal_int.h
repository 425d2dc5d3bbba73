#pragma once

/*
 * JSON numbers as decimals of any length: compared and divided digit by digit, never as binary
 * floating point, so that 0.1, 1e-1 and 0.10 are one number and 9007199254740993 is another than
 * its neighbour. A decimal is a view of the digits as they are written. Pure; any thread.
 */

#include "base/slice.h"
#include "format/jsonschema/budget_int.h"

/* The most digits of an exponent. More are refused where a text is read: nobody means them, and
 * so every exponent fits an int64_t with room for the digits around the point. */
#define FORMAT_JSONSCHEMA_EXPONENT_DIGITS 15
/* The most significant digits that a divisor may have. */
#define FORMAT_JSONSCHEMA_DIVISOR_DIGITS 900

/* The value is 0.ddd... times ten to the power of `point`, the digits being those from `first`
 * on, `count` of them, of `integer` and `fraction` put together; neither the first nor the last
 * is a zero. Zero has no digits. */
struct format_jsonschema_decimal {
    struct slice integer;
    struct slice fraction;
    size_t first;
    size_t count;
    int64_t point;
    bool negative; /* never set for zero */
};

/* Views `number`, which the grammar of JSON has accepted. False for an exponent with too many
 * digits, unless the number is zero. */
bool format_jsonschema_decimal_parse(struct slice number, struct format_jsonschema_decimal *out);
/* Below, at or above zero as `a` is less than, equal to or greater than `b`. */
int format_jsonschema_decimal_compare(const struct format_jsonschema_decimal *a,
                                      const struct format_jsonschema_decimal *b);
/* True for 1, 1.0 and 10e-1. */
bool format_jsonschema_decimal_is_integer(const struct format_jsonschema_decimal *d);
/* The value of an integer that is not negative; what does not fit is UINT64_MAX. */
uint64_t format_jsonschema_decimal_u64(const struct format_jsonschema_decimal *d);
/* True when `d` divided by `divisor` (over zero, FORMAT_JSONSCHEMA_DIVISOR_DIGITS at the most) is
 * an integer. Spends steps by the digits of both. */
bool format_jsonschema_decimal_is_multiple(const struct format_jsonschema_decimal *d,
                                           const struct format_jsonschema_decimal *divisor,
                                           struct format_jsonschema_budget *budget);
