#include "format/json/array.h"

#include "base/assert.h"
#include "format/json/bytes_int.h"

/*
 * Happy path: an element is scanned, and behind it stands a comma or the closing bracket.
 *
 * A refused element, and one with something else behind it, is delimited by its quotes and
 * brackets alone. If that works it is broken and the next one begins behind its comma; if not,
 * everything from its start on is the rest. Each byte is looked at twice at the most.
 */

static size_t skip_space(struct slice text, size_t at)
{
    while (at < text.size && format_json_is_space(text.data[at]))
        at++;
    return at;
}

/* `at` is behind an opening quote; returns the byte behind the closing one, or the size. */
static size_t skip_string(struct slice text, size_t at)
{
    for (; at < text.size && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at < text.size ? at + 1 : text.size;
}

/* Kinds of the open brackets, bit `depth` set for an object. */
struct brackets {
    size_t depth;
    uint64_t objects[FORMAT_JSON_DEPTH_MAX / 64];
};

static void open_bracket(struct brackets *b, bool object)
{
    /* Deeper brackets are counted and not told apart: the element is refused for its depth anyway,
     * and all that is wanted is where it ends. */
    if (b->depth < FORMAT_JSON_DEPTH_MAX) {
        uint64_t bit = UINT64_C(1) << (b->depth & 63);
        uint64_t *word = &b->objects[b->depth / 64];
        *word = object ? *word | bit : *word & ~bit;
    }
    b->depth++;
}

/* False when the innermost open bracket is of another kind. */
static bool close_bracket(struct brackets *b, bool object)
{
    ASSERT(b->depth > 0);
    b->depth--;
    if (b->depth >= FORMAT_JSON_DEPTH_MAX)
        return true;
    return (b->objects[b->depth / 64] >> (b->depth & 63) & 1) == object;
}

/* Where the comma or closing bracket stands that ends the element beginning at `at`; the size of
 * the text when there is none. */
static size_t delimit(struct slice text, size_t at)
{
    struct brackets b = {0};
    while (at < text.size) {
        uint8_t byte = text.data[at];
        if (byte == '"') {
            at = skip_string(text, at + 1);
            continue;
        }
        /* A comma within brackets belongs to the element, however broken it is. */
        if (b.depth == 0 && (byte == ',' || byte == ']'))
            return at;
        if (byte == '{' || byte == '[')
            open_bracket(&b, byte == '{');
        if ((byte == '}' || byte == ']') && (b.depth == 0 || !close_bracket(&b, byte == '}')))
            return text.size;
        at++;
    }
    return text.size;
}

static struct slice trim_end(struct slice s)
{
    while (s.size > 0 && format_json_is_space(s.data[s.size - 1]))
        s.size--;
    return s;
}

/* Takes the comma or bracket at `stop`. */
static void take_separator(struct format_json_array *a, size_t stop)
{
    ASSERT(stop < a->text.size);
    a->has_next = a->text.data[stop] == ',';
    ASSERT(a->has_next || a->text.data[stop] == ']');
    a->at = skip_space(a->text, stop + 1);
}

static enum format_json_step take_rest(struct format_json_array *a, struct format_json_element *out)
{
    out->raw = slice_sub(a->text, a->at, a->text.size);
    a->at = a->text.size;
    a->has_next = false;
    return FORMAT_JSON_ARRAY_REST;
}

err_t format_json_array_begin(struct format_json_array *a, struct slice text,
                              struct format_json_error *why)
{
    size_t at = skip_space(text, 0);
    if (at == text.size || text.data[at] != '[') {
        if (why)
            *why = (struct format_json_error){"expected '['", at};
        return err_make(ERR_SYNTAX);
    }
    at = skip_space(text, at + 1);
    /* "[]" is a batch of no record, not an error; "[" alone is found out by the first step. */
    bool empty = at < text.size && text.data[at] == ']';
    *a = (struct format_json_array){text, at, !empty};
    if (empty)
        a->at = skip_space(text, at + 1);
    return err_ok();
}

enum format_json_step format_json_array_next(struct format_json_array *a,
                                             const struct format_json_paths *paths,
                                             uint32_t depth_max, struct format_json_value *found,
                                             struct format_json_element *out)
{
    if (!a->has_next && a->at == a->text.size)
        return FORMAT_JSON_ARRAY_END;
    *out = (struct format_json_element){.err = err_make(ERR_SYNTAX)};
    /* What stands behind the array is one more outcome and never hides the elements before it. */
    if (!a->has_next) {
        out->why = (struct format_json_error){"bytes after the array", 0};
        return take_rest(a, out);
    }
    struct slice rest = slice_sub(a->text, a->at, a->text.size);
    if (rest.size == 0) {
        out->why = (struct format_json_error){"array without an end", 0};
        return take_rest(a, out);
    }
    size_t size = 0;
    out->err = format_json_scan(rest, paths, depth_max, found, &size, &out->why);
    size_t stop = skip_space(rest, size);
    if (err_is_ok(out->err) && stop < rest.size &&
        (rest.data[stop] == ',' || rest.data[stop] == ']')) {
        out->raw = slice_make(rest.data, size);
        take_separator(a, a->at + stop);
        return FORMAT_JSON_ARRAY_ELEMENT;
    }
    if (err_is_ok(out->err)) {
        out->err = err_make(ERR_SYNTAX);
        out->why = (struct format_json_error){"expected ',' or ']' after the element", stop};
    }
    stop = delimit(rest, 0);
    if (stop == rest.size)
        return take_rest(a, out);
    out->raw = trim_end(slice_make(rest.data, stop));
    take_separator(a, a->at + stop);
    return FORMAT_JSON_ARRAY_BROKEN;
}
