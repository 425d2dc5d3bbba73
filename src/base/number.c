#include "base/number.h"

#include "base/assert.h"

/*
 * Written out rather than left to strtoull, which skips spaces, takes signs, wraps "-1" round,
 * wants a zero at the end and asks the locale. Here a number is digits that fill the slice; too
 * many of them are TOO_LARGE and not SYNTAX, since a peer's Content-Length of 30 digits is well
 * formed and over every limit.
 */
static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* Reads the digits at the front of `*text` and leaves what is behind them. */
static err_t take_u64(struct slice *text, uint64_t *out)
{
    ASSERT(text && out);
    uint64_t value = 0;
    size_t count = 0;
    for (; count < text->size && is_digit(text->data[count]); count++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text->data[count] - '0', &value))
            return err_make(ERR_TOO_LARGE);
    if (count == 0)
        return err_make(ERR_SYNTAX);
    *text = slice_sub(*text, count, text->size);
    *out = value;
    return err_ok();
}

err_t number_parse_u64(struct slice text, uint64_t *out)
{
    ASSERT(out);
    uint64_t value = 0;
    TRY(take_u64(&text, &value));
    if (text.size)
        return err_make(ERR_SYNTAX);
    *out = value;
    return err_ok();
}

err_t number_parse_i64(struct slice text, int64_t *out)
{
    ASSERT(out);
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t value = 0;
    TRY(number_parse_u64(slice_sub(text, negative, text.size), &value));
    if (value > (uint64_t)INT64_MAX + negative)
        return err_make(ERR_TOO_LARGE);
    /* Negated as unsigned: the least number has no positive counterpart. */
    *out = (int64_t)(negative ? -value : value);
    return err_ok();
}

err_t number_parse_hex(struct slice text, uint64_t *out)
{
    ASSERT(out);
    if (text.size == 0)
        return err_make(ERR_SYNTAX);
    uint64_t value = 0;
    /* All digits are looked at before the count, so that what is no number is called so. */
    for (size_t i = 0; i < text.size; i++) {
        uint8_t letter = text.data[i] | 0x20;
        bool is_letter = letter >= 'a' && letter <= 'f';
        if (!is_digit(text.data[i]) && !is_letter)
            return err_make(ERR_SYNTAX);
        value = value << 4 | (uint64_t)(is_letter ? letter - 'a' + 10 : text.data[i] - '0');
    }
    if (text.size > 16)
        return err_make(ERR_TOO_LARGE);
    *out = value;
    return err_ok();
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* `value` in the unit that `name` is in a table that ends with a NULL name. */
static err_t apply_unit(const struct unit *units, struct slice name, uint64_t value, uint64_t *out)
{
    ASSERT(units && out);
    while (units->name && !slice_equal_string(name, units->name))
        units++;
    if (!units->name)
        return err_make(ERR_SYNTAX);
    uint64_t product = 0;
    if (__builtin_mul_overflow(value, units->factor, &product))
        return err_make(ERR_TOO_LARGE);
    *out = product;
    return err_ok();
}

err_t number_parse_size(struct slice text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"kB", UINT64_C(1000)},
        {"KB", UINT64_C(1000)},
        {"MB", UINT64_C(1000000)},
        {"GB", UINT64_C(1000000000)},
        {"TB", UINT64_C(1000000000000)},
        {"KiB", UINT64_C(1) << 10},
        {"kiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
        {"TiB", UINT64_C(1) << 40},
        {NULL, 0},
    };
    ASSERT(bytes);
    uint64_t value = 0;
    TRY(take_u64(&text, &value));
    /* "4 KiB" is how people write it; "4 " is something cut off. */
    if (text.size > 1 && text.data[0] == ' ')
        text = slice_sub(text, 1, text.size);
    return apply_unit(units, text, value, bytes);
}

/* Each a whole number of the one before it. */
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

err_t number_parse_duration(struct slice text, uint64_t *ms)
{
    ASSERT(ms);
    uint64_t value = 0;
    TRY(take_u64(&text, &value));
    /* Nothing is the same in every unit; 60 may be meant as seconds or as milliseconds. */
    if (value == 0 && text.size == 0) {
        *ms = 0;
        return err_ok();
    }
    return apply_unit(duration_units, text, value, ms);
}

void buf_add_size(struct buf *b, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    ASSERT(b);
    unsigned step = bytes < 1024 ? 0 : (63 - (unsigned)__builtin_clzll(bytes)) / 10;
    ASSERT(step < sizeof(units) / sizeof(units[0]));
    buf_add_u64(b, bytes >> step * 10);
    if (step) {
        /* Cut, not rounded: "1024.0 KiB" is nothing that a person would write. */
        uint64_t below = bytes & ((UINT64_C(1) << step * 10) - 1);
        buf_add_byte(b, '.');
        buf_add_u64(b, below * 10 >> step * 10);
    }
    buf_add_byte(b, ' ');
    buf_add_string(b, units[step]);
}

void buf_add_duration(struct buf *b, uint64_t ms)
{
    const struct unit *unit = duration_units;
    ASSERT(b);
    /* No unit is larger than nothing. */
    while (ms > 0 && unit[1].name && ms % unit[1].factor == 0)
        unit++;
    buf_add_u64(b, ms / unit->factor);
    buf_add_string(b, unit->name);
}
