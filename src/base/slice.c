#include "base/slice.h"

#include "base/assert.h"

/*
 * Nothing here fails: what lies outside is clipped, what is not there is found at the end, and what
 * has run out is empty. Parsers on top stay free of cases for the edges.
 */

/* By hand, since tolower asks the locale and the names compared here are ASCII by definition. */
static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    ASSERT(a.data || a.size == 0);
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    ASSERT(prefix.data || prefix.size == 0);
    return s.size >= prefix.size && slice_equal(slice_sub(s, 0, prefix.size), prefix);
}

bool slice_ends_with(struct slice s, struct slice suffix)
{
    ASSERT(suffix.data || suffix.size == 0);
    return s.size >= suffix.size &&
           slice_equal(slice_sub(s, s.size - suffix.size, suffix.size), suffix);
}

struct slice slice_sub(struct slice s, size_t start, size_t size)
{
    ASSERT(s.data || s.size == 0);
    if (start > s.size)
        start = s.size;
    if (size > s.size - start)
        size = s.size - start;
    /* Not even 0 is added to a null pointer. */
    return slice_make(s.data ? s.data + start : NULL, size);
}

/* The white space of JSON and of HTTP; isspace would add the locale's. */
static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

struct slice slice_trim(struct slice s)
{
    ASSERT(s.data || s.size == 0);
    size_t start = 0;
    size_t end = s.size;
    while (start < end && is_space(s.data[start]))
        start++;
    while (end > start && is_space(s.data[end - 1]))
        end--;
    ASSERT(start <= end);
    return slice_sub(s, start, end - start);
}

size_t slice_find(struct slice s, uint8_t byte)
{
    ASSERT(s.data || s.size == 0);
    const uint8_t *found = s.size ? memchr(s.data, byte, s.size) : NULL;
    return found ? (size_t)(found - s.data) : s.size;
}

struct slice slice_split(struct slice *rest, uint8_t separator)
{
    ASSERT(rest);
    struct slice whole = *rest;
    size_t at = slice_find(whole, separator);
    /* An empty part behind the last separator is told from the end by its pointer. */
    *rest = at < whole.size ? slice_sub(whole, at + 1, whole.size) : slice_make(NULL, 0);
    return slice_sub(whole, 0, at);
}

int slice_compare(struct slice a, struct slice b)
{
    ASSERT(a.data || a.size == 0);
    ASSERT(b.data || b.size == 0);
    /* memcmp is not called for nothing: its pointers may not be null even then. */
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}
