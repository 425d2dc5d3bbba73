#include "format/json/string_int.h"

#include "base/assert.h"
#include "base/number.h"
#include "base/utf8.h"
#include "format/json/json.h"

/*
 * Escapes (RFC 8259 section 7) have one reader, used twice: when a text is checked, where it may
 * refuse, and again on strings that were checked, where a refusal would be our own mistake.
 * Comparing and decoding unescape as they go; only what a caller keeps is ever copied.
 *
 * A surrogate stands only with its other half. A lone one has no UTF-8, so a record with it could
 * not be handed to a reader as the text that it claims to be.
 */

/* Four hexadecimal digits; false when there are fewer. */
static bool read_hex4(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    return end - at >= 4 && err_is_ok(number_parse_hex(slice_make(at, 4), out));
}

/* What a letter behind a backslash stands for; 0 for none. */
static uint32_t short_escape(uint8_t letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/': return letter;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return 0;
    }
}

/* `at` stands behind the "\u". */
static const uint8_t *unicode_escape(const uint8_t *at, const uint8_t *end, uint32_t *code_point,
                                     const char **message)
{
    uint64_t unit, low;
    if (!read_hex4(at, end, &unit)) {
        *message = "expected four hexadecimal digits after \\u";
        return NULL;
    }
    at += 4;
    /* Outside of the surrogates a unit is its code point, U+0000 included. */
    if (unit < 0xD800 || unit > 0xDFFF) {
        *code_point = (uint32_t)unit;
        return at;
    }
    if (unit > 0xDBFF || end - at < 6 || at[0] != '\\' || at[1] != 'u' ||
        !read_hex4(at + 2, end, &low) || low < 0xDC00 || low > 0xDFFF) {
        *message = "\\u escape with half a surrogate pair";
        return NULL;
    }
    *code_point = (uint32_t)(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
    return at + 6;
}

const uint8_t *format_json_escape(const uint8_t *at, const uint8_t *end, uint32_t *code_point,
                                  const char **message)
{
    ASSERT(at < end && *at == '\\');
    if (end - at < 2) {
        *message = "string without an end";
        return NULL;
    }
    if (at[1] == 'u')
        return unicode_escape(at + 2, end, code_point, message);
    uint32_t meant = short_escape(at[1]);
    if (meant == 0) {
        *message = "unknown escape";
        return NULL;
    }
    *code_point = meant;
    return at + 2;
}

/* The next escape of a string that was checked, as UTF-8 into `utf8`; returns how many bytes. */
static size_t checked_escape(const uint8_t **at, const uint8_t *end, uint8_t utf8[static 4])
{
    uint32_t code_point = 0;
    const char *message = NULL;
    *at = format_json_escape(*at, end, &code_point, &message);
    ASSERT(*at);
    return utf8_encode(code_point, utf8);
}

bool format_json_string_equal(struct slice raw, struct slice key)
{
    const uint8_t *at = raw.data, *end = raw.data + raw.size;
    size_t done = 0;
    while (at < end) {
        uint8_t utf8[4] = {*at};
        size_t size = 1;
        if (*at == '\\')
            size = checked_escape(&at, end, utf8);
        else
            at++;
        if (key.size - done < size || memcmp(key.data + done, utf8, size) != 0)
            return false;
        done += size;
    }
    return done == key.size;
}

err_t format_json_string_decode(struct slice raw, struct buf *out)
{
    ASSERT(raw.size >= 2 && raw.data[0] == '"' && raw.data[raw.size - 1] == '"');
    /* Between escapes bytes are taken in runs: most strings have no escape, and memchr finds that
     * out at several bytes a cycle. */
    const uint8_t *at = raw.data + 1, *end = raw.data + raw.size - 1;
    while (at < end) {
        const uint8_t *backslash = memchr(at, '\\', (size_t)(end - at));
        const uint8_t *stop = backslash ? backslash : end;
        buf_add(out, at, (size_t)(stop - at));
        at = stop;
        if (!backslash)
            break;
        uint8_t utf8[4];
        size_t size = checked_escape(&at, end, utf8);
        buf_add(out, utf8, size);
    }
    return buf_error(out);
}
