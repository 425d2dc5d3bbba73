#pragma once

/*
 * The pass over a text as code that is compiled into who runs it: format/json alone, and a schema's
 * program with hooks. Any thread; a walk belongs to one.
 */

#include "base/assert.h"
#include "format/json/bytes_int.h"
#include "format/json/path_int.h"

/*
 * Happy path: the walk takes one item a turn. In an object the item begins with a key; then comes
 * a value, which is either scanned to its end or, if it is a container with something in it,
 * opened, so that the next turn is its first item. Behind a value all containers that end there
 * are closed and a comma is taken. Whether each open container is an object or an array is one
 * bit in a fixed set: nothing recurses and nothing is allocated.
 *
 * At each key, scalar and bracket the watch is told, which is how paths are found in the pass, and
 * then the hooks.
 *
 * Failure: each step returns where it stands or, after place and reason were noted, NULL,
 * and NULL goes straight up. Every look at a byte is behind a comparison with the end.
 */
struct format_json_walk {
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

/* What somebody wants to be told on the way. Each may be NULL; one that returns false ends the
 * walk, with `code` as it is. Given as a constant, so that they are compiled into the walk. */
struct format_json_hooks {
    /* A member begins at `at`. Returns the byte behind the last member in a row that the hook has
     * walked itself, and told the watch of, or `at` if it has none. With `*keyed` set that is the
     * first byte of a value, whose key was noted. */
    const uint8_t *(*members)(struct format_json_walk *s, const uint8_t *at, bool *keyed);
    /* A key's inside. `plain`: neither escapes nor bytes over 0x7F are in it. */
    bool (*key)(struct format_json_walk *s, struct slice raw, bool plain);
    /* A value begins at `at`. Returns `at` for it to be walked, or the byte behind it as above.
     * NULL ends the walk. */
    const uint8_t *(*value)(struct format_json_walk *s, const uint8_t *at);
    /* A string with its quotes, a number, a literal; `plain` as above. */
    bool (*scalar)(struct format_json_walk *s, enum format_json_kind kind, struct slice raw,
                   bool plain);
    /* `at` is an opening bracket; `depth` and `in_object` are those of what it opens. */
    bool (*open)(struct format_json_walk *s, const uint8_t *at);
    /* `end` is behind the closing bracket; `depth` and `in_object` as for the opening one. */
    bool (*close)(struct format_json_walk *s, const uint8_t *end);
};

/* Notes where and why the text is refused; returns NULL. Out of line and cold, so that refusals
 * cost the hot path neither code nor registers. */
const uint8_t *format_json_walk_fail(struct format_json_walk *s, const uint8_t *at,
                                     const char *message);
/* A string with something in it that is not plain: `at` is the first such place. Returns the byte
 * behind the closing quote. */
const uint8_t *format_json_walk_rich_string(struct format_json_walk *s, const uint8_t *at);

/* Before the first byte; `paths` and `found` may be NULL. */
static inline void format_json_walk_init(struct format_json_walk *s, struct slice text,
                                         const struct format_json_paths *paths, uint32_t depth_max,
                                         struct format_json_value *found)
{
    ASSERT(depth_max > 0 && depth_max <= FORMAT_JSON_DEPTH_MAX && text.data);
    /* The bit set is written before it is read. */
    s->start = text.data;
    s->end = text.data + text.size;
    s->depth = 0;
    s->depth_max = depth_max;
    s->in_object = false;
    s->code = ERR_OK;
    format_json_watch_init(&s->watch, paths, found);
}

/* White space as RFC 8259 section 2 has it. The look in front of the loop is the usual case:
 * compact text has none. */
static inline const uint8_t *format_json_walk_skip_space(const uint8_t *at, const uint8_t *end)
{
    if (at != end && *at > ' ')
        return at;
    while (at < end && format_json_is_space(*at))
        at++;
    return at;
}

/* `at` is the opening quote; returns the byte behind the closing one. `*plain` tells that there
 * are only plain bytes between them. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_string(struct format_json_walk *s, const uint8_t *at, bool *plain)
{
    at = format_json_plain_end(at + 1, s->end);
    *plain = at < s->end && *at == '"';
    return *plain ? at + 1 : format_json_walk_rich_string(s, at);
}

static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_digits(struct format_json_walk *s, const uint8_t *at)
{
    const uint8_t *stop = format_json_digits_end(at, s->end);
    return stop > at ? stop : format_json_walk_fail(s, at, "expected a digit");
}

/* RFC 8259 section 6. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_number(struct format_json_walk *s, const uint8_t *at)
{
    at += *at == '-';
    const uint8_t *digits = at;
    at = format_json_walk_digits(s, at);
    if (!at)
        return NULL;
    if (*digits == '0' && at - digits > 1)
        return format_json_walk_fail(s, digits, "number with a leading zero");
    if (at < s->end && *at == '.') {
        at = format_json_walk_digits(s, at + 1);
        if (!at)
            return NULL;
    }
    if (at < s->end && (*at | 0x20) == 'e') {
        at++;
        if (at < s->end && (*at == '+' || *at == '-'))
            at++;
        at = format_json_walk_digits(s, at);
    }
    return at;
}

/* Whatever follows the literal is judged by who called: "truex" fails as bytes behind a value. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_literal(struct format_json_walk *s, const uint8_t *at, const char *name,
                         size_t size)
{
    if ((size_t)(s->end - at) < size || memcmp(at, name, size) != 0)
        return format_json_walk_fail(s, at, "expected a value");
    return at + size;
}

/* Anything but a container; `at` is before the end. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_scalar(struct format_json_walk *s, const uint8_t *at,
                        const struct format_json_hooks *hooks)
{
    const uint8_t *start = at;
    enum format_json_kind kind;
    bool plain = true;
    switch (*at) {
    case '"':
        kind = FORMAT_JSON_STRING;
        at = format_json_walk_string(s, at, &plain);
        break;
    case 't':
        kind = FORMAT_JSON_TRUE;
        at = format_json_walk_literal(s, at, "true", 4);
        break;
    case 'f':
        kind = FORMAT_JSON_FALSE;
        at = format_json_walk_literal(s, at, "false", 5);
        break;
    case 'n':
        kind = FORMAT_JSON_NULL;
        at = format_json_walk_literal(s, at, "null", 4);
        break;
    default:
        if (*at != '-' && !format_json_is_digit(*at))
            return format_json_walk_fail(s, at, "expected a value");
        kind = FORMAT_JSON_NUMBER;
        at = format_json_walk_number(s, at);
        break;
    }
    if (!at)
        return NULL;
    format_json_watch_scalar(&s->watch, kind, start, at);
    struct slice raw = slice_make(start, (size_t)(at - start));
    return !hooks->scalar || hooks->scalar(s, kind, raw, plain) ? at : NULL;
}

/* From a key's opening quote to the first byte of its value. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_key(struct format_json_walk *s, const uint8_t *at,
                     const struct format_json_hooks *hooks)
{
    if (at == s->end || *at != '"')
        return format_json_walk_fail(s, at, "expected a key");
    const uint8_t *inside = at + 1;
    bool plain;
    at = format_json_walk_string(s, at, &plain);
    if (!at)
        return NULL;
    struct slice raw = slice_make(inside, (size_t)(at - 1 - inside));
    format_json_watch_key(&s->watch, s->depth, raw, plain);
    if (hooks->key && !hooks->key(s, raw, plain))
        return NULL;
    at = format_json_walk_skip_space(at, s->end);
    if (at == s->end || *at != ':')
        return format_json_walk_fail(s, at, "expected ':' after a key");
    return format_json_walk_skip_space(at + 1, s->end);
}

/* `at` is an opening bracket; returns the first byte that is not white space behind it. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_open_container(struct format_json_walk *s, const uint8_t *at,
                                const struct format_json_hooks *hooks)
{
    if (s->depth == s->depth_max) {
        (void)format_json_walk_fail(s, at, "nested too deep");
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
    if (hooks->open && !hooks->open(s, at))
        return NULL;
    return format_json_walk_skip_space(at + 1, s->end);
}

/* `at` is behind the innermost container's closing bracket. */
static inline __attribute__((always_inline)) bool
format_json_walk_close_container(struct format_json_walk *s, const uint8_t *at,
                                 const struct format_json_hooks *hooks)
{
    ASSERT(s->depth > 0);
    format_json_watch_close(&s->watch, s->depth, at);
    if (hooks->close && !hooks->close(s, at))
        return false;
    s->depth--;
    uint32_t around = s->depth - 1;
    s->in_object = s->depth > 0 && (s->objects[around / 64] >> (around & 63) & 1) != 0;
    return true;
}

static inline uint8_t format_json_walk_closing_bracket(const struct format_json_walk *s)
{
    return s->in_object ? '}' : ']';
}

/* Behind a value: closes what ends there and takes the comma. Returns the first byte of the next
 * item, or, with the depth at `floor`, the byte behind the value that began there. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_finish_item(struct format_json_walk *s, const uint8_t *at, uint32_t floor,
                             const struct format_json_hooks *hooks)
{
    while (s->depth > floor) {
        at = format_json_walk_skip_space(at, s->end);
        if (at == s->end)
            return format_json_walk_fail(
                s, at, s->in_object ? "object without an end" : "array without an end");
        if (*at == ',')
            return format_json_walk_skip_space(at + 1, s->end);
        if (*at != format_json_walk_closing_bracket(s))
            return format_json_walk_fail(
                s, at, s->in_object ? "expected ',' or '}'" : "expected ',' or ']'");
        at++;
        if (!format_json_walk_close_container(s, at, hooks))
            return NULL;
    }
    return at;
}

/* The value at `at`, or, of a container with something in it, its opening. Returns the byte behind
 * what was walked; `*ended` tells that it is behind a value. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_one(struct format_json_walk *s, const uint8_t *at, bool *ended,
                     const struct format_json_hooks *hooks)
{
    *ended = true;
    if (at == s->end)
        return format_json_walk_fail(s, at, "expected a value");
    if (*at != '{' && *at != '[')
        return format_json_walk_scalar(s, at, hooks);
    at = format_json_walk_open_container(s, at, hooks);
    /* An empty container ends at once; only here may a closing bracket follow what is no value, so
     * that a trailing comma is refused. */
    *ended = at && at != s->end && *at == format_json_walk_closing_bracket(s);
    return at;
}

/* The item at `at`, as format_json_walk_one. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_item(struct format_json_walk *s, const uint8_t *at, bool *ended,
                      const struct format_json_hooks *hooks)
{
    const uint8_t *start = at;
    *ended = true;
    if (s->in_object) {
        bool keyed = false;
        at = hooks->members ? hooks->members(s, at, &keyed) : at;
        if (at != start && !keyed)
            return at;
        start = at = keyed ? at : format_json_walk_key(s, at, hooks);
    }
    if (hooks->value && at && at != s->end)
        at = hooks->value(s, at);
    return at && at == start ? format_json_walk_one(s, at, ended, hooks) : at;
}

/* From a value's first byte to the byte behind it; the containers around it, as many as the depth
 * is then, stay open. The hook `value` is not told of it, only of those within. No recursion: a
 * text of 10,000 brackets is refused by its depth and not by the end of a stack. */
static inline __attribute__((always_inline)) const uint8_t *
format_json_walk_value(struct format_json_walk *s, const uint8_t *at,
                       const struct format_json_hooks *hooks)
{
    const uint32_t floor = s->depth;
    bool ended;
    at = format_json_walk_one(s, at, &ended, hooks);
    for (;;) {
        if (at && ended)
            at = format_json_walk_finish_item(s, at, floor, hooks);
        if (!at || s->depth == floor)
            return at;
        at = format_json_walk_item(s, at, &ended, hooks);
    }
}

/* The first byte of the text's value, NULL where there is none. */
static inline const uint8_t *format_json_walk_begin(struct format_json_walk *s, struct slice text)
{
    const uint8_t *at = format_json_walk_skip_space(s->start, s->end);
    if (at == s->end)
        return format_json_walk_fail(s, at, "nothing but white space");
    /* RFC 8259 section 8.1 lets a parser ignore a BOM or refuse it. Refused: the record is kept
     * byte for byte, and its readers may be less patient. */
    if (text.size >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
        return format_json_walk_fail(s, at, "byte order mark before the value");
    return at;
}
