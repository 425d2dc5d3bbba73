#pragma once

/*
 * A view of bytes that somebody else owns, passed by value. Nothing depends on a zero byte at
 * its end. Any thread, as long as the owner lives.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

struct slice {
    const uint8_t *data;
    size_t size;
};

/* The bytes of a string literal, without its zero. */
#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)("" text), sizeof(text) - 1})
/* For printf("%.*s"). */
#define SLICE_PRINTF(s) (int)(s).size, (const char *)(s).data

/* `size` bytes at `data`, which may be NULL where there are none. */
static inline struct slice slice_make(const void *data, size_t size)
{
    ASSERT(data || size == 0);
    return (struct slice){(const uint8_t *)data, size};
}

/* The bytes of a zero-terminated string. */
static inline struct slice slice_string(const char *text)
{
    ASSERT(text);
    return slice_make(text, strlen(text));
}

/* True when both hold the same bytes. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal_string(struct slice a, const char *text)
{
    return slice_equal(a, slice_string(text));
}

/* True when both hold the same bytes after ASCII letters are folded to lower case. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);
/* `s` from `start` on, `size` bytes at the most; both are clipped to `s`. */
struct slice slice_sub(struct slice s, size_t start, size_t size);
/* `s` without spaces, tabs, CR and LF at either end. */
struct slice slice_trim(struct slice s);
/* Where `byte` first stands in `s`, or `s.size`. */
size_t slice_find(struct slice s, uint8_t byte);
/* Cuts `*rest` at the first `separator`: returns what is before it and leaves what is after.
 * Without a separator the whole is returned and `*rest` is empty with data NULL. */
struct slice slice_split(struct slice *rest, uint8_t separator);
/* Orders as memcmp does, a prefix first. */
int slice_compare(struct slice a, struct slice b);
