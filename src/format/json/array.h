#pragma once

/*
 * The elements of an array that fills a text, each judged alone: one that is refused does not
 * take its neighbours with it, as long as it can be seen where it ends. Views into the caller's
 * text, nothing allocated, nothing copied. One thread a cursor.
 *
 * Where a refused element ends: at the comma or the closing bracket that follows it outside
 * strings and with all its brackets closed. Only quotes, backslashes and brackets are looked at
 * for this; so [{"a":01},{"b":2}] has a broken first and a good second element, [1 2,3] too, and
 * [1,,2] has an empty, broken one in the middle. Brackets are matched by kind down to
 * FORMAT_JSON_DEPTH_MAX and only counted below, so that depth alone breaks nothing but its own
 * element.
 *
 * Where that fails (a closing bracket of the wrong kind, a string or the array without an end),
 * or when there are bytes after the array, all from the element's start on is the rest, and the
 * walk is over. An element is never good before the comma or bracket behind it was seen: the
 * last number of a torn text could be half a number.
 */

#include "format/json/json.h"

enum format_json_step {
    FORMAT_JSON_ARRAY_END,     /* all was read; nothing is set */
    FORMAT_JSON_ARRAY_ELEMENT, /* a good element */
    FORMAT_JSON_ARRAY_BROKEN,  /* a refused element; the walk goes on behind it */
    FORMAT_JSON_ARRAY_REST,    /* from here it cannot be followed; END is next */
};

/* A cursor; embedded by the caller, read by nobody else. */
struct format_json_array {
    struct slice text;
    size_t at;     /* where the next element begins; the text's size when all was read */
    bool has_next; /* false once the closing bracket or the rest was seen */
};

/* One step's outcome. The offset in `why` counts from the start of `raw`, so that it fits the
 * bytes that go into a dead letter. */
struct format_json_element {
    struct slice raw; /* without white space around it */
    err_t err;        /* of a broken element or the rest: ERR_SYNTAX or ERR_TOO_DEEP */
    struct format_json_error why;
};

/* Begins at the first element. ERR_SYNTAX, with `why` (may be NULL), when `text` does not begin
 * with an array: format_json_peek tells before. */
err_t format_json_array_begin(struct format_json_array *a, struct slice text,
                              struct format_json_error *why);
/* The next element, checked as format_json_check does with these paths and this depth (counted
 * from the element, not from the array). Unless the element is good, `found` holds nothing of
 * use. */
enum format_json_step format_json_array_next(struct format_json_array *a,
                                             const struct format_json_paths *paths,
                                             uint32_t depth_max, struct format_json_value *found,
                                             struct format_json_element *out);
