#include "format/jsonschema/formats_int.h"

#include "base/assert.h"
#include "base/uuid.h"
#include "format/json/walk.h"
#include "format/jsonschema/regex_int.h"
#include "format/jsonschema/uri_int.h"

/*
 * Every format is as its specification says and no stricter: a leap second is a time, an e-mail
 * address may be quoted, a URI need not lead anywhere.
 */

/* A text that is taken from the front; once something is not there the rest is empty and `good`
 * false. */
struct text {
    struct slice rest;
    bool good;
};

/* Nothing is left then, so that whatever is taken next fails too, and one look at the end is
 * enough. */
static void fail(struct text *t)
{
    *t = (struct text){{NULL, 0}, false};
}

static bool take(struct text *t, uint8_t byte)
{
    if (t->rest.size == 0 || t->rest.data[0] != byte)
        return false;
    t->rest = slice_sub(t->rest, 1, t->rest.size);
    return true;
}

static void expect(struct text *t, uint8_t byte)
{
    if (!take(t, byte))
        fail(t);
}

/* A number of exactly `count` digits. */
static uint32_t digits(struct text *t, size_t count)
{
    uint32_t value = 0;
    ASSERT(count <= 9);
    if (t->rest.size < count)
        fail(t);
    for (size_t i = 0; i < count && t->good; i++) {
        uint8_t digit = (uint8_t)(t->rest.data[i] - '0');
        if (digit > 9)
            fail(t);
        value = value * 10 + digit;
    }
    if (t->good)
        t->rest = slice_sub(t->rest, count, t->rest.size);
    return value;
}

/* All digits at the front; how many there were. */
static size_t take_digits(struct text *t)
{
    size_t count = 0;
    while (count < t->rest.size && (uint8_t)(t->rest.data[count] - '0') < 10)
        count++;
    t->rest = slice_sub(t->rest, count, t->rest.size);
    return count;
}

/* Of no leap year. */
static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* RFC 3339 section 5.6, full-date. */
static void take_date(struct text *t)
{
    uint32_t year = digits(t, 4);
    expect(t, '-');
    uint32_t month = digits(t, 2);
    expect(t, '-');
    uint32_t day = digits(t, 2);
    if (!t->good || month < 1 || month > 12) {
        fail(t);
        return;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > month_days[month - 1] + (month == 2 && leap ? 1U : 0U))
        fail(t);
}

/* RFC 3339 section 5.6, full-time. A second of 60 is one at the end of a day of UTC only. */
static void take_time(struct text *t)
{
    uint32_t hour = digits(t, 2);
    expect(t, ':');
    uint32_t minute = digits(t, 2);
    expect(t, ':');
    uint32_t second = digits(t, 2);
    if (take(t, '.') && take_digits(t) == 0)
        fail(t);
    uint32_t hours = 0, minutes = 0;
    bool ahead = take(t, '+');
    if (ahead || take(t, '-')) {
        hours = digits(t, 2);
        expect(t, ':');
        minutes = digits(t, 2);
    } else if (!take(t, 'z')) {
        expect(t, 'Z');
    }
    if (hour > 23 || minute > 59 || second > 60 || hours > 23 || minutes > 59)
        fail(t);
    uint32_t offset = hours * 60 + minutes, local = hour * 60 + minute;
    uint32_t utc = (local + 1440 + (ahead ? 1440 - offset : offset)) % 1440;
    if (second == 60 && utc != 23 * 60 + 59)
        fail(t);
}

static enum format_jsonschema_truth ended(const struct text *t)
{
    return t->good && t->rest.size == 0 ? FORMAT_JSONSCHEMA_YES : FORMAT_JSONSCHEMA_NO;
}

static enum format_jsonschema_truth truth(bool yes)
{
    return yes ? FORMAT_JSONSCHEMA_YES : FORMAT_JSONSCHEMA_NO;
}

/* full-date of RFC 3339 section 5.6, the days of the month by the calendar. */
static enum format_jsonschema_truth is_date(struct slice s)
{
    struct text t = {s, true};
    take_date(&t);
    return ended(&t);
}

static enum format_jsonschema_truth is_time(struct slice s)
{
    struct text t = {s, true};
    take_time(&t);
    return ended(&t);
}

static uint32_t two_digits(const uint8_t *at)
{
    return (at[0] & 15U) * 10 + (at[1] & 15U);
}

/* Times as nearly all are written: of UTC, with or without a fraction, no leap second, no 29th of
 * February. For any other the one below is asked. */
static bool is_usual_time(struct slice s)
{
    const uint8_t *at = s.data, *end = s.data + s.size;
    if (s.size < 20 || (format_json_digits_16(at) & 0xDB6F) != 0xDB6F || at[4] != '-' ||
        at[7] != '-' || at[10] != 'T' || at[13] != ':' || at[16] != ':' ||
        !format_json_is_digit(at[17]) || !format_json_is_digit(at[18]))
        return false;
    uint32_t month = two_digits(at + 5), day = two_digits(at + 8);
    const uint8_t *zone = at + 19;
    if (*zone == '.')
        zone = format_json_digits_end(zone + 1, end);
    return zone == end - 1 && *zone == 'Z' && zone != at + 20 && month - 1 < 12 && day - 1 < 31 &&
           (day <= 28 || day <= month_days[month - 1]) && two_digits(at + 11) < 24 &&
           two_digits(at + 14) < 60 && two_digits(at + 17) < 60;
}

/* RFC 3339 section 5.6 lets T and Z be small letters. */
static enum format_jsonschema_truth is_date_time(struct slice s)
{
    if (is_usual_time(s))
        return FORMAT_JSONSCHEMA_YES;
    struct text t = {s, true};
    take_date(&t);
    if (!take(&t, 't'))
        expect(&t, 'T');
    take_time(&t);
    return ended(&t);
}

/* Numbers followed by units that go on in the order of `units`, each at most once and none left
 * out between two (RFC 3339 appendix A). */
static bool take_units(struct text *t, const char *units)
{
    const char *next = NULL;
    while (t->rest.size > 0 && t->rest.data[0] != 'T') {
        size_t count = take_digits(t);
        const char *unit = t->rest.size > 0 && t->rest.data[0] != 0 && count > 0
                               ? strchr(units, t->rest.data[0])
                               : NULL;
        if (!unit || (next && unit != next))
            return false;
        t->rest = slice_sub(t->rest, 1, t->rest.size);
        next = unit + 1;
    }
    return next;
}

/* RFC 3339 appendix A: weeks alone, or a date, a time or both. */
static enum format_jsonschema_truth is_duration(struct slice s)
{
    struct text t = {s, true};
    expect(&t, 'P');
    if (slice_ends_with(s, SLICE_LITERAL("W")))
        return truth(t.good && take_units(&t, "W") && t.rest.size == 0);
    bool date = take_units(&t, "YMD");
    if (!date && (t.rest.size == 0 || t.rest.data[0] != 'T'))
        return FORMAT_JSONSCHEMA_NO;
    if (take(&t, 'T'))
        return truth(t.good && take_units(&t, "HMS") && t.rest.size == 0);
    return truth(t.good && date && t.rest.size == 0);
}

/* Of ASCII alone, whatever the locale. */
static bool is_letter_or_digit(uint8_t byte)
{
    return (uint8_t)((byte | 0x20) - 'a') < 26 || (uint8_t)(byte - '0') < 10;
}

/* RFC 1123 section 2.1: labels of letters, digits and inner hyphens. */
static bool hostname_valid(struct slice s)
{
    if (s.size == 0 || s.size > 253)
        return false;
    for (size_t start = 0; start <= s.size;) {
        size_t end = start;
        while (end < s.size && (is_letter_or_digit(s.data[end]) || s.data[end] == '-'))
            end++;
        if (end == start || end - start > 63 || s.data[start] == '-' || s.data[end - 1] == '-' ||
            (end < s.size && s.data[end] != '.'))
            return false;
        start = end + 1;
    }
    return true;
}

static enum format_jsonschema_truth is_hostname(struct slice s)
{
    return truth(hostname_valid(s));
}

/* RFC 5321 section 4.1.2: Dot-string or Quoted-string. */
static bool local_part_valid(struct slice s)
{
    if (s.size == 0 || s.size > 64)
        return false;
    if (s.data[0] == '"') {
        for (size_t i = 1; i + 1 < s.size; i++) {
            i += s.data[i] == '\\';
            if (i + 1 >= s.size || s.data[i] < 0x20 || s.data[i] > 0x7E ||
                (s.data[i] == '"' && s.data[i - 1] != '\\'))
                return false;
        }
        return s.size >= 2 && s.data[s.size - 1] == '"';
    }
    bool dot = true;
    for (size_t i = 0; i < s.size; i++) {
        bool is_dot = s.data[i] == '.';
        if ((is_dot && dot) || (!is_dot && !is_letter_or_digit(s.data[i]) &&
                                (s.data[i] == 0 || !strchr("!#$%&'*+-/=?^_`{|}~", s.data[i]))))
            return false;
        dot = is_dot;
    }
    return !dot;
}

/* At the last @: a quoted local part (RFC 5321 section 4.1.2) may hold others. */
static enum format_jsonschema_truth is_email(struct slice s)
{
    size_t at = s.size;
    while (at > 0 && s.data[at - 1] != '@')
        at--;
    if (at == 0 || !local_part_valid(slice_sub(s, 0, at - 1)))
        return FORMAT_JSONSCHEMA_NO;
    struct slice domain = slice_sub(s, at, s.size);
    if (domain.size < 2 || domain.data[0] != '[')
        return truth(hostname_valid(domain));
    if (domain.data[domain.size - 1] != ']')
        return FORMAT_JSONSCHEMA_NO;
    domain = slice_sub(domain, 1, domain.size - 2);
    if (slice_equal_nocase(slice_sub(domain, 0, 5), SLICE_LITERAL("IPv6:")))
        return truth(format_jsonschema_ipv6_valid(slice_sub(domain, 5, domain.size)));
    return truth(format_jsonschema_ipv4_valid(domain));
}

static enum format_jsonschema_truth is_ipv4(struct slice s)
{
    return truth(format_jsonschema_ipv4_valid(s));
}

static enum format_jsonschema_truth is_ipv6(struct slice s)
{
    return truth(format_jsonschema_ipv6_valid(s));
}

static enum format_jsonschema_truth is_uri(struct slice s)
{
    return truth(format_jsonschema_uri_valid(s, false));
}

static enum format_jsonschema_truth is_uri_reference(struct slice s)
{
    return truth(format_jsonschema_uri_valid(s, true));
}

/* RFC 4122 section 3: 36 characters, of either case; the last 16 overlap with those before. */
static enum format_jsonschema_truth is_uuid(struct slice s)
{
    const uint8_t *at = s.data;
    if (s.size != UUID_TEXT_SIZE)
        return FORMAT_JSONSCHEMA_NO;
    bool dashes = at[8] == '-' && at[13] == '-' && at[18] == '-' && at[23] == '-';
    return truth(dashes && format_json_hex_16(at) == 0xDEFF &&
                 format_json_hex_16(at + 16) == 0xFF7B && format_json_hex_16(at + 20) == 0xFFF7);
}

/* By compiling it as a pattern would be, so that both agree on what is one. */
static enum format_jsonschema_truth is_regex(struct slice s)
{
    err_t err = format_jsonschema_regex_new(s, false, NULL, NULL);
    return err_is(err, ERR_MEMORY) ? FORMAT_JSONSCHEMA_MEMORY : truth(err_is_ok(err));
}

/* RFC 6901 section 3. */
static enum format_jsonschema_truth is_json_pointer(struct slice s)
{
    if (s.size > 0 && s.data[0] != '/')
        return FORMAT_JSONSCHEMA_NO;
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] == '~' && (i + 1 == s.size || (s.data[i + 1] & 0xFE) != '0'))
            return FORMAT_JSONSCHEMA_NO;
    return FORMAT_JSONSCHEMA_YES;
}

static const struct format_jsonschema_format formats[] = {
    {"date", "RFC 3339", is_date, 0},
    {"date-time", "RFC 3339", is_date_time, 0},
    {"duration", "RFC 3339 appendix A", is_duration, 0},
    {"email", "RFC 5321", is_email, 0},
    {"hostname", "RFC 1123", is_hostname, 0},
    {"ipv4", "RFC 2673", is_ipv4, 0},
    {"ipv6", "RFC 4291", is_ipv6, 0},
    {"json-pointer", "RFC 6901", is_json_pointer, 0},
    {"regex", "ECMA-262", is_regex, 10000},
    {"time", "RFC 3339", is_time, 0},
    {"uri", "RFC 3986", is_uri, 0},
    {"uri-reference", "RFC 3986", is_uri_reference, 0},
    {"uuid", "RFC 4122", is_uuid, 0},
};

/* One that is not known says nothing, as the drafts have it (validation, section 7.2.3). */
const struct format_jsonschema_format *format_jsonschema_format_find(struct slice name)
{
    ASSERT(name.data || name.size == 0);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (slice_equal_string(name, formats[i].name))
            return &formats[i];
    return NULL;
}
