#include "base/slice.h"

#include "base/assert.h"

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size && slice_equal(slice_sub(s, 0, prefix.size), prefix);
}

bool slice_ends_with(struct slice s, struct slice suffix)
{
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
    *rest = at < whole.size ? slice_sub(whole, at + 1, whole.size) : slice_make(NULL, 0);
    return slice_sub(whole, 0, at);
}

int slice_compare(struct slice a, struct slice b)
{
    ASSERT(a.data || a.size == 0);
    ASSERT(b.data || b.size == 0);
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}
