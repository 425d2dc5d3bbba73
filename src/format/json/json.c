#include "format/json/json.h"

#include "base/assert.h"
#include "format/json/bytes_int.h"
#include "format/json/path_int.h"
#include "format/json/string_int.h"

/*
 * Happy path: `walk` takes one item a turn. In an object the item begins with a key; then comes
 * a value, which is either scanned to its end or, if it is a container with something in it,
 * opened, so that the next turn is its first item. Behind a value all containers that end there
 * are closed and a comma is taken. Whether each open container is an object or an array is one
 * bit in a fixed set: nothing recurses and nothing is allocated.
 *
 * At each key, scalar and bracket the watch is told, which is how paths are found in the pass;
 * it is the one place where more can be learned from the text at no second look.
 *
 * Failure: each step returns where it stands or, after `fail` has noted place and reason, NULL,
 * and NULL goes straight up. Every look at a byte is behind a comparison with the end.
 */

struct scan {
    const uint8_t *start;
    const uint8_t *end;
    struct format_json_watch watch;
    uint32_t depth;
    uint32_t depth_max;
    bool in_object; /* the innermost open container is one */
    enum err_code code;
    struct format_json_error error;
    uint64_t objects[FORMAT_JSON_DEPTH_MAX / 64]; /* bit depth - 1: an object, for those around */
};

/* Out of line and cold, so that the refusals cost the hot path neither code nor registers. */
static __attribute__((noinline, cold)) const uint8_t *fail(struct scan *s, const uint8_t *at,
                                                           const char *message)
{
    s->code = ERR_SYNTAX;
    s->error = (struct format_json_error){message, (size_t)(at - s->start)};
    return NULL;
}

/* White space as RFC 8259 section 2 has it. The look in front of the loop is the usual case:
 * compact text has none. */
static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    if (at != end && *at > ' ')
        return at;
    while (at < end && format_json_is_space(*at))
        at++;
    return at;
}

/* A string with something in it that is not plain: `at` is the first such place. Returns the
 * byte behind the closing quote. */
static const uint8_t *scan_rich_string(struct scan *s, const uint8_t *at)
{
    for (;;) {
        if (at == s->end)
            return fail(s, at, "string without an end");
        if (*at == '"')
            return at + 1;
        if (*at >= 0x80) {
            size_t size = format_json_sequence_size(at, s->end);
            if (size == 0)
                return fail(s, at, "invalid UTF-8");
            at += size;
            continue;
        }
        if (*at == '\\') {
            uint32_t code_point;
            const char *message = NULL;
            const uint8_t *behind = format_json_escape(at, s->end, &code_point, &message);
            if (!behind)
                return fail(s, at, message);
            at = behind;
            continue;
        }
        /* RFC 8259 section 7: U+0000 to U+001F have to be escaped; U+007F need not. */
        if (*at < 0x20)
            return fail(s, at, "control character in a string");
        at = format_json_plain_end(at, s->end);
    }
}

/* `at` is the opening quote; returns the byte behind the closing one. `*plain` tells that there
 * are only plain bytes between them. */
static inline const uint8_t *scan_string(struct scan *s, const uint8_t *at, bool *plain)
{
    at = format_json_plain_end(at + 1, s->end);
    *plain = at < s->end && *at == '"';
    return *plain ? at + 1 : scan_rich_string(s, at);
}

static inline const uint8_t *scan_digits(struct scan *s, const uint8_t *at)
{
    const uint8_t *stop = format_json_digits_end(at, s->end);
    return stop > at ? stop : fail(s, at, "expected a digit");
}

/* RFC 8259 section 6. */
static inline const uint8_t *scan_number(struct scan *s, const uint8_t *at)
{
    at += *at == '-';
    const uint8_t *digits = at;
    at = scan_digits(s, at);
    if (!at)
        return NULL;
    if (*digits == '0' && at - digits > 1)
        return fail(s, digits, "number with a leading zero");
    if (at < s->end && *at == '.') {
        at = scan_digits(s, at + 1);
        if (!at)
            return NULL;
    }
    if (at < s->end && (*at | 0x20) == 'e') {
        at++;
        if (at < s->end && (*at == '+' || *at == '-'))
            at++;
        at = scan_digits(s, at);
    }
    return at;
}

/* Whatever follows the literal is judged by who called: "truex" fails as bytes behind a value. */
static inline const uint8_t *scan_literal(struct scan *s, const uint8_t *at, const char *name,
                                          size_t size)
{
    if ((size_t)(s->end - at) < size || memcmp(at, name, size) != 0)
        return fail(s, at, "expected a value");
    return at + size;
}

/* Anything but a container; `at` is before the end. */
static inline const uint8_t *scan_scalar(struct scan *s, const uint8_t *at)
{
    const uint8_t *start = at;
    enum format_json_kind kind;
    bool plain;
    switch (*at) {
    case '"':
        kind = FORMAT_JSON_STRING;
        at = scan_string(s, at, &plain);
        break;
    case 't':
        kind = FORMAT_JSON_TRUE;
        at = scan_literal(s, at, "true", 4);
        break;
    case 'f':
        kind = FORMAT_JSON_FALSE;
        at = scan_literal(s, at, "false", 5);
        break;
    case 'n':
        kind = FORMAT_JSON_NULL;
        at = scan_literal(s, at, "null", 4);
        break;
    default:
        if (*at != '-' && !format_json_is_digit(*at))
            return fail(s, at, "expected a value");
        kind = FORMAT_JSON_NUMBER;
        at = scan_number(s, at);
        break;
    }
    if (at)
        format_json_watch_scalar(&s->watch, kind, start, at);
    return at;
}

/* From a key's opening quote to the first byte of its value. */
static inline const uint8_t *scan_key(struct scan *s, const uint8_t *at)
{
    if (at == s->end || *at != '"')
        return fail(s, at, "expected a key");
    const uint8_t *inside = at + 1;
    bool plain;
    at = scan_string(s, at, &plain);
    if (!at)
        return NULL;
    struct slice raw = slice_make(inside, (size_t)(at - 1 - inside));
    format_json_watch_key(&s->watch, s->depth, raw, plain);
    at = skip_space(at, s->end);
    if (at == s->end || *at != ':')
        return fail(s, at, "expected ':' after a key");
    return skip_space(at + 1, s->end);
}

/* `at` is an opening bracket; returns the first byte that is not white space behind it. */
static inline const uint8_t *open_container(struct scan *s, const uint8_t *at)
{
    if (s->depth == s->depth_max) {
        (void)fail(s, at, "nested too deep");
        /* Told apart from bad syntax: the text may be JSON, only not for us. */
        s->code = ERR_TOO_DEEP;
        return NULL;
    }
    bool object = *at == '{';
    /* The kind of the container around goes into the set; the innermost one's is `in_object`, which
     * every item asks for. */
    if (s->depth > 0) {
        uint64_t bit = UINT64_C(1) << ((s->depth - 1) & 63);
        uint64_t *word = &s->objects[(s->depth - 1) / 64];
        *word = s->in_object ? *word | bit : *word & ~bit;
    }
    s->in_object = object;
    s->depth++;
    format_json_watch_open(&s->watch, object ? FORMAT_JSON_OBJECT : FORMAT_JSON_ARRAY, s->depth,
                           at);
    return skip_space(at + 1, s->end);
}

/* `at` is behind the innermost container's closing bracket. */
static inline void close_container(struct scan *s, const uint8_t *at)
{
    ASSERT(s->depth > 0);
    format_json_watch_close(&s->watch, s->depth, at);
    s->depth--;
    uint32_t around = s->depth - 1;
    s->in_object = s->depth > 0 && (s->objects[around / 64] >> (around & 63) & 1) != 0;
}

static inline uint8_t closing_bracket(const struct scan *s)
{
    return s->in_object ? '}' : ']';
}

/* Behind a value: closes what ends there and takes the comma. Returns the first byte of the next
 * item, or the byte behind the text's value with depth 0. */
static inline const uint8_t *finish_item(struct scan *s, const uint8_t *at)
{
    while (s->depth > 0) {
        at = skip_space(at, s->end);
        if (at == s->end)
            return fail(s, at, s->in_object ? "object without an end" : "array without an end");
        if (*at == ',')
            return skip_space(at + 1, s->end);
        if (*at != closing_bracket(s))
            return fail(s, at, s->in_object ? "expected ',' or '}'" : "expected ',' or ']'");
        at++;
        close_container(s, at);
    }
    return at;
}

/* From the first byte of the text's value to the byte behind it. No recursion: a text of 10,000
 * brackets is refused by its depth and not by the end of a stack. */
static const uint8_t *walk(struct scan *s, const uint8_t *at)
{
    do {
        if (s->in_object) {
            at = scan_key(s, at);
            if (!at)
                return NULL;
        }
        if (at == s->end)
            return fail(s, at, "expected a value");
        if (*at == '{' || *at == '[') {
            at = open_container(s, at);
            if (!at)
                return NULL;
            /* An empty container ends at once; only here may a closing bracket follow what is no
             * value, so that a trailing comma is refused. */
            if (at == s->end || *at != closing_bracket(s))
                continue;
        } else {
            at = scan_scalar(s, at);
            if (!at)
                return NULL;
        }
        at = finish_item(s, at);
    } while (at && s->depth > 0);
    return at;
}

static const uint8_t *begin(struct scan *s, struct slice text)
{
    const uint8_t *at = skip_space(s->start, s->end);
    if (at == s->end)
        return fail(s, at, "nothing but white space");
    /* RFC 8259 section 8.1 lets a parser ignore a BOM or refuse it. Refused: the record is kept
     * byte for byte, and its readers may be less patient. */
    if (text.size >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
        return fail(s, at, "byte order mark before the value");
    return walk(s, at);
}

/* Scans a value at the front of `text`, or, if `whole`, all of it. */
static err_t scan_text(struct slice text, bool whole, const struct format_json_paths *paths,
                       uint32_t depth_max, struct format_json_value *found, size_t *size,
                       struct format_json_error *why)
{
    ASSERT(depth_max > 0 && depth_max <= FORMAT_JSON_DEPTH_MAX);
    if (text.size == 0)
        text = SLICE_LITERAL(""); /* its data may be NULL, which has no end */
    struct scan s;                /* not zeroed: the bit set is written before it is read */
    s.start = text.data;
    s.end = text.data + text.size;
    s.depth = 0;
    s.depth_max = depth_max;
    s.in_object = false;
    format_json_watch_init(&s.watch, paths, found);
    const uint8_t *at = begin(&s, text);
    if (at && whole) {
        at = skip_space(at, s.end);
        if (at != s.end)
            at = fail(&s, at, "bytes after the value");
    }
    if (!at) {
        if (why)
            *why = s.error;
        return err_make(s.code);
    }
    ASSERT(s.depth == 0 && !s.watch.node);
    *size = (size_t)(at - s.start);
    return err_ok();
}

err_t format_json_check(struct slice text, const struct format_json_paths *paths,
                        uint32_t depth_max, struct format_json_value *found,
                        struct format_json_error *why)
{
    size_t size;
    return scan_text(text, true, paths, depth_max, found, &size, why);
}

err_t format_json_scan(struct slice text, const struct format_json_paths *paths, uint32_t depth_max,
                       struct format_json_value *found, size_t *size, struct format_json_error *why)
{
    return scan_text(text, false, paths, depth_max, found, size, why);
}

/* Guesses by the first byte alone; whether the value is one is for the scan. */
enum format_json_kind format_json_peek(struct slice text)
{
    size_t i = 0;
    while (i < text.size && format_json_is_space(text.data[i]))
        i++;
    if (i == text.size)
        return FORMAT_JSON_MISSING;
    switch (text.data[i]) {
    case '{': return FORMAT_JSON_OBJECT;
    case '[': return FORMAT_JSON_ARRAY;
    case '"': return FORMAT_JSON_STRING;
    case 't': return FORMAT_JSON_TRUE;
    case 'f': return FORMAT_JSON_FALSE;
    case 'n': return FORMAT_JSON_NULL;
    case '-': return FORMAT_JSON_NUMBER;
    default: return format_json_is_digit(text.data[i]) ? FORMAT_JSON_NUMBER : FORMAT_JSON_MISSING;
    }
}

err_t format_json_explain(err_t err, const struct format_json_error *e, struct err_text *why)
{
    ASSERT(!err_is_ok(err) && e->message);
    return err_set(why, (enum err_code)err.code, "byte %zu: %s", e->offset, e->message);
}

err_t format_json_get(struct slice object, const char *key, struct format_json_value *out)
{
    /* A tree of one path on the stack: this way needs no memory and cannot fail for want of it. */
    struct format_json_node nodes[2] = {format_json_node_root()};
    size_t count = 1;
    uint16_t node = format_json_node_add(nodes, &count, 0, slice_string(key));
    format_json_node_end(nodes, node, 0);
    struct format_json_paths paths = {.nodes = nodes, .count = 1};
    struct format_json_value found;
    TRY(format_json_check(object, &paths, FORMAT_JSON_DEPTH_MAX, &found, NULL));
    *out = found;
    return err_ok();
}
