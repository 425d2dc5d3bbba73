#include "base/time.h"

#include "base/assert.h"

#define MS_A_DAY INT64_C(86400000)

/*
 * The C library's gmtime and timegm would do, but strptime does not: it takes spaces, signs and
 * short fields, and hands back half a result. Readers of peers' times therefore work on digits, and
 * then the calendar is the smaller half.
 *
 * Days are counted in years that begin in March, so that the leap day is a year's last, and in
 * eras of 400 years, after which the calendar repeats. Day 0 of the count is 0000-03-01.
 */
#define DAYS_AN_ERA 146097
#define DAYS_TO_1970 719468

/* The days before month `index` of a year that begins in March (0). */
static int64_t days_before_month(int64_t index)
{
    ASSERT(index >= 0 && index < 12);
    /* From March on the months' lengths repeat every five, 153 days together; what is rounded down
     * is what the shorter ones lack. */
    return (153 * index + 2) / 5;
}

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    ASSERT(year >= 1 && year <= 9999);
    ASSERT(month >= 1 && month <= 12);
    /* January and February end the year before. Year 0 is the lowest that comes of it, so nothing
     * below is divided with a sign. */
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year % 400;
    int64_t day_of_year = days_before_month((month + 9) % 12) + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_AN_ERA + day_of_era - DAYS_TO_1970;
}

int64_t time_from_parts(const struct time_parts *parts)
{
    ASSERT(parts->day >= 1 && parts->day <= 31);
    ASSERT(parts->hour < 24 && parts->minute < 60 && parts->second < 60);
    ASSERT(parts->millisecond < 1000);
    int64_t days = days_from_date(parts->year, parts->month, parts->day);
    int64_t seconds = (parts->hour * 60 + parts->minute) * 60 + parts->second;
    return days * MS_A_DAY + seconds * 1000 + parts->millisecond;
}

void time_to_parts(int64_t ms, struct time_parts *out)
{
    ASSERT(ms >= TIME_MS_MIN && ms <= TIME_MS_MAX);
    /* Rounded down also before 1970, where division rounds up. */
    int64_t ms_of_day = (ms % MS_A_DAY + MS_A_DAY) % MS_A_DAY;
    int64_t days = (ms - ms_of_day) / MS_A_DAY + DAYS_TO_1970;
    int64_t day_of_era = days % DAYS_AN_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    int64_t year = days / DAYS_AN_ERA * 400 + year_of_era + (month >= 10);
    ASSERT(year >= 1 && year <= 9999);
    ASSERT(month >= 0 && month < 12);
    *out = (struct time_parts){
        .year = (int32_t)year,
        .month = (uint8_t)((month + 2) % 12 + 1),
        .day = (uint8_t)(day_of_year - days_before_month(month) + 1),
        .hour = (uint8_t)(ms_of_day / 3600000),
        .minute = (uint8_t)(ms_of_day / 60000 % 60),
        .second = (uint8_t)(ms_of_day / 1000 % 60),
        .millisecond = (uint16_t)(ms_of_day % 1000),
    };
}

/* What is left of a text that is being read; `bad` latches, so that the grammar of a time reads as
 * one run of fields and is judged once, at its end. */
struct reader {
    struct slice rest;
    bool bad;
};

/* The next byte, 0 at the end, which no grammar here has. */
static uint8_t peek(const struct reader *r)
{
    ASSERT(r);
    return r->rest.size ? r->rest.data[0] : 0;
}

static bool at_digit(const struct reader *r)
{
    return peek(r) >= '0' && peek(r) <= '9';
}

static uint8_t next(struct reader *r)
{
    ASSERT(r);
    uint8_t byte = peek(r);
    r->bad = r->bad || r->rest.size == 0;
    r->rest = slice_sub(r->rest, 1, r->rest.size);
    return byte;
}

static void expect(struct reader *r, const char *any_of)
{
    ASSERT(any_of[0]);
    /* strchr would find the zero at the end of `any_of` too. */
    uint8_t byte = next(r);
    r->bad = r->bad || byte == 0 || !strchr(any_of, byte);
}

/* A number of exactly `count` digits within `min` and `max`. */
static int32_t digits(struct reader *r, uint32_t count, int32_t min, int32_t max)
{
    ASSERT(count <= 4);
    int32_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        r->bad = r->bad || !at_digit(r);
        /* Goes on behind a mistake: four bytes of whatever cannot overflow, and the end judges. */
        value = value * 10 + next(r) - '0';
    }
    r->bad = r->bad || value < min || value > max;
    return value;
}

static int32_t month_days(int32_t year, int32_t month)
{
    ASSERT(month >= 1 && month <= 12);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2)
        return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* The fraction of a second in milliseconds, 0 when there is none. */
static int64_t read_fraction(struct reader *r)
{
    if (peek(r) != '.')
        return 0;
    (void)next(r);
    r->bad = r->bad || !at_digit(r);
    int64_t ms = 0;
    /* From the fourth digit on a digit is worth nothing, but is still one. */
    for (int64_t worth = 100; at_digit(r); worth /= 10)
        ms += (next(r) - '0') * worth;
    ASSERT(ms <= 999);
    return ms;
}

/* "Z" or "+01:00", in milliseconds east of UTC. */
static int64_t read_zone(struct reader *r)
{
    uint8_t sign = peek(r);
    expect(r, "Zz+-");
    if (r->bad || sign == 'Z' || sign == 'z')
        return 0;
    int64_t hours = digits(r, 2, 0, 23);
    expect(r, ":");
    int64_t minutes = digits(r, 2, 0, 59);
    int64_t east = (hours * 60 + minutes) * 60000;
    ASSERT(r->bad || east <= MS_A_DAY);
    return sign == '-' ? -east : east;
}

err_t time_parse_rfc3339(struct slice text, int64_t *ms)
{
    ASSERT(ms);
    struct reader r = {.rest = text};
    int32_t year = digits(&r, 4, 1, 9999);
    expect(&r, "-");
    int32_t month = digits(&r, 2, 1, 12);
    expect(&r, "-");
    int32_t day = digits(&r, 2, 1, 31);
    expect(&r, "Tt ");
    int32_t hour = digits(&r, 2, 0, 23);
    expect(&r, ":");
    int32_t minute = digits(&r, 2, 0, 59);
    expect(&r, ":");
    int32_t second = digits(&r, 2, 0, 60);
    int64_t fraction = read_fraction(&r);
    /* East of Greenwich clocks are ahead, so the zone is taken off. */
    int64_t zone = read_zone(&r);
    if (r.bad || r.rest.size || day > month_days(year, month))
        return err_make(ERR_SYNTAX);
    /* A leap second needs no case of its own: 60 seconds carry over by themselves. */
    int64_t seconds = (hour * 60 + minute) * 60 + second;
    int64_t time = days_from_date(year, month, day) * MS_A_DAY + seconds * 1000 + fraction - zone;
    if (time < TIME_MS_MIN || time > TIME_MS_MAX)
        return err_make(ERR_SYNTAX);
    *ms = time;
    return err_ok();
}

/* Epoch times are computed in whole decimals: a double holds microseconds since 1970 only just, and
 * the boundary between two units must not depend on rounding.
 *
 * A decimal number: mantissa times ten to the `exponent`. A mantissa holds 19 digits; `more`
 * says that digits other than 0 follow them. */
struct decimal {
    bool negative;
    uint64_t mantissa;
    int64_t digit_count; /* of the mantissa, 0 for zero */
    int64_t exponent;
    bool more;
};

static void add_digit(struct decimal *d, uint8_t digit)
{
    ASSERT(digit <= 9);
    /* Nineteen digits fit 64 bits whatever they are. The rest only shifts the point, and says
     * whether rounding down has something to take away. */
    if (d->digit_count == 19) {
        d->more = d->more || digit;
        d->exponent++;
    } else if (digit || d->digit_count) {
        d->mantissa = d->mantissa * 10 + digit;
        d->digit_count++;
    }
}

static void read_exponent(struct reader *r, struct decimal *d)
{
    ASSERT(peek(r) == 'e' || peek(r) == 'E');
    (void)next(r);
    bool negative = peek(r) == '-';
    if (negative || peek(r) == '+')
        (void)next(r);
    r->bad = r->bad || !at_digit(r);
    int64_t value = 0;
    /* Saturated far beyond what any count of digits can bring back into range. */
    while (at_digit(r)) {
        value = value * 10 + next(r) - '0';
        value = value > INT64_MAX / 100 ? INT64_MAX / 100 : value;
    }
    d->exponent += negative ? -value : value;
}

/* A number by the grammar of RFC 8259 section 6, and nothing behind it. */
static bool read_decimal(struct slice text, struct decimal *d)
{
    ASSERT(d->mantissa == 0 && d->digit_count == 0);
    struct reader r = {.rest = text};
    d->negative = peek(&r) == '-';
    if (d->negative)
        (void)next(&r);
    bool zero_first = peek(&r) == '0';
    r.bad = !at_digit(&r);
    for (bool first = true; at_digit(&r); first = false) {
        r.bad = r.bad || (zero_first && !first);
        add_digit(d, (uint8_t)(next(&r) - '0'));
    }
    if (peek(&r) == '.') {
        (void)next(&r);
        r.bad = r.bad || !at_digit(&r);
        for (; at_digit(&r); d->exponent--)
            add_digit(d, (uint8_t)(next(&r) - '0'));
    }
    if (peek(&r) == 'e' || peek(&r) == 'E')
        read_exponent(&r, d);
    return !r.bad && r.rest.size == 0;
}

/* mantissa * 10^exponent as a whole number, rounded down; it has at most 15 digits. */
static int64_t decimal_floor(const struct decimal *d)
{
    ASSERT(d->digit_count + d->exponent <= 15);
    ASSERT(d->digit_count <= 19);
    uint64_t whole = d->mantissa;
    bool rest = d->more;
    for (int64_t i = d->exponent; i > 0; i--)
        whole *= 10;
    /* Ends with the last digit and not with the exponent, which a peer may make as long as it
     * likes. */
    for (int64_t i = d->exponent; i < 0 && whole; i++) {
        rest = rest || whole % 10;
        whole /= 10;
    }
    /* Down is away from zero before 1970. */
    return d->negative ? -(int64_t)whole - rest : (int64_t)whole;
}

err_t time_parse_epoch(struct slice number, int64_t *ms)
{
    ASSERT(ms);
    struct decimal d = {0};
    if (!read_decimal(number, &d))
        return err_make(ERR_SYNTAX);
    int64_t time = 0;
    /* The count of digits before the point says the power of ten, and so the unit. */
    if (d.mantissa) {
        ASSERT(d.digit_count > 0);
        int64_t whole_digits = d.digit_count + d.exponent;
        /* Seconds up to the year 5138, milliseconds and microseconds beyond: the three do not meet
         * within the times that anybody sends. */
        d.exponent += whole_digits <= 11 ? 3 : whole_digits <= 14 ? 0 : -3;
        if (d.digit_count + d.exponent > 15)
            return err_make(ERR_SYNTAX);
        time = decimal_floor(&d);
    }
    if (time < TIME_MS_MIN || time > TIME_MS_MAX)
        return err_make(ERR_SYNTAX);
    *ms = time;
    return err_ok();
}

/* `value` in exactly `width` digits. */
static void add_padded(struct buf *b, uint32_t value, uint32_t width)
{
    uint8_t text[4];
    ASSERT(width <= sizeof(text));
    for (uint32_t i = width; i > 0; i--, value /= 10)
        text[i - 1] = (uint8_t)('0' + value % 10);
    ASSERT(value == 0);
    buf_add(b, text, width);
}

void buf_add_time(struct buf *b, int64_t ms)
{
    ASSERT(b);
    struct time_parts parts;
    time_to_parts(ms, &parts);
    add_padded(b, (uint32_t)parts.year, 4);
    buf_add_byte(b, '-');
    add_padded(b, parts.month, 2);
    buf_add_byte(b, '-');
    add_padded(b, parts.day, 2);
    buf_add_byte(b, 'T');
    add_padded(b, parts.hour, 2);
    buf_add_byte(b, ':');
    add_padded(b, parts.minute, 2);
    buf_add_byte(b, ':');
    add_padded(b, parts.second, 2);
    buf_add_byte(b, '.');
    add_padded(b, parts.millisecond, 3);
    buf_add_byte(b, 'Z');
}

static bool add_field(struct buf *b, uint8_t letter, const struct time_parts *parts)
{
    ASSERT(parts->year >= 1);
    switch (letter) {
    case 'Y': add_padded(b, (uint32_t)parts->year, 4); return true;
    case 'm': add_padded(b, parts->month, 2); return true;
    case 'd': add_padded(b, parts->day, 2); return true;
    case 'H': add_padded(b, parts->hour, 2); return true;
    case 'M': add_padded(b, parts->minute, 2); return true;
    case 'S': add_padded(b, parts->second, 2); return true;
    case '%': buf_add_byte(b, '%'); return true;
    case 'j': {
        int64_t first = days_from_date(parts->year, 1, 1);
        int64_t day = days_from_date(parts->year, parts->month, parts->day) - first + 1;
        add_padded(b, (uint32_t)day, 3);
        return true;
    }
    default: return false;
    }
}

err_t buf_add_time_format(struct buf *b, struct slice format, int64_t ms)
{
    ASSERT(b);
    struct time_parts parts;
    time_to_parts(ms, &parts);
    ASSERT(format.data || format.size == 0);
    size_t size_before = b->size;
    for (size_t i = 0; i < format.size; i++) {
        if (format.data[i] != '%') {
            buf_add_byte(b, format.data[i]);
        } else if (++i == format.size || !add_field(b, format.data[i], &parts)) {
            /* As it was: half a time in front of an error would be taken for a whole one. */
            b->size = size_before;
            return err_make(ERR_INVALID);
        }
    }
    return err_ok();
}
