#pragma once

/*
 * The records of NDJSON: one a line, cut at each LF. Views into the caller's text; any thread.
 * Inline, since every byte that comes in passes here.
 */

#include <string.h>

#include "base/slice.h"

/* White space of the grammar (RFC 8259 section 2). */
static inline bool format_json_is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* The same off both ends. */
static inline struct slice format_json_trim(struct slice s)
{
    while (s.size > 0 && format_json_is_space(s.data[0])) {
        s.data++;
        s.size--;
    }
    while (s.size > 0 && format_json_is_space(s.data[s.size - 1]))
        s.size--;
    return s;
}

/*
 * Takes the next line off the front of `*rest`; false when nothing is left. `*line` is all of it
 * but its end, LF or CRLF: the bytes that a dead letter keeps. `*record` is the same without white
 * space around it; empty, the line is no record.
 */
static inline bool format_json_next_line(struct slice *rest, struct slice *line,
                                         struct slice *record)
{
    if (rest->size == 0)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    size_t step = end ? size + 1 : size;
    *line = slice_make(rest->data, size);
    *rest = slice_make(rest->data + step, rest->size - step);
    if (line->size > 0 && line->data[line->size - 1] == '\r')
        line->size--;
    *record = format_json_trim(*line);
    return true;
}
