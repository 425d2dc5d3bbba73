#include "format/json/json.h"

#include "base/assert.h"
#include "format/json/string_int.h"
#include "format/json/walk.h"

/*
 * The pass itself is in walk.h; here it runs with nobody to be told but the watch.
 */

static const struct format_json_hooks none;

__attribute__((noinline, cold)) const uint8_t *
format_json_walk_fail(struct format_json_walk *s, const uint8_t *at, const char *message)
{
    s->code = ERR_SYNTAX;
    s->error = (struct format_json_error){message, (size_t)(at - s->start)};
    return NULL;
}

const uint8_t *format_json_walk_rich_string(struct format_json_walk *s, const uint8_t *at)
{
    for (;;) {
        if (at == s->end)
            return format_json_walk_fail(s, at, "string without an end");
        if (*at == '"')
            return at + 1;
        if (*at >= 0x80) {
            size_t size = format_json_sequence_size(at, s->end);
            if (size == 0)
                return format_json_walk_fail(s, at, "invalid UTF-8");
            at += size;
            continue;
        }
        if (*at == '\\') {
            uint32_t code_point;
            const char *message = NULL;
            const uint8_t *behind = format_json_escape(at, s->end, &code_point, &message);
            if (!behind)
                return format_json_walk_fail(s, at, message);
            at = behind;
            continue;
        }
        /* RFC 8259 section 7: U+0000 to U+001F have to be escaped; U+007F need not. */
        if (*at < 0x20)
            return format_json_walk_fail(s, at, "control character in a string");
        at = format_json_plain_end(at, s->end);
    }
}

/* Scans a value at the front of `text`, or, if `whole`, all of it. */
static err_t scan_text(struct slice text, bool whole, const struct format_json_paths *paths,
                       uint32_t depth_max, struct format_json_value *found, size_t *size,
                       struct format_json_error *why)
{
    ASSERT(depth_max > 0 && depth_max <= FORMAT_JSON_DEPTH_MAX);
    if (text.size == 0)
        text = SLICE_LITERAL(""); /* its data may be NULL, which has no end */
    struct format_json_walk s;
    format_json_walk_init(&s, text, paths, depth_max, found);
    const uint8_t *at = format_json_walk_begin(&s, text);
    if (at)
        at = format_json_walk_value(&s, at, &none);
    if (at && whole) {
        at = format_json_walk_skip_space(at, s.end);
        if (at != s.end)
            at = format_json_walk_fail(&s, at, "bytes after the value");
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
