#pragma once

/*
 * A growing run of bytes. Appends latch a failure (no memory, or the cap was reached) instead
 * of returning it: append everything, then look once with buf_ok. After a failure nothing more
 * is appended. Owned by one thread at a time. Initialise with {0} or buf_init; free with
 * buf_done.
 */

#include "base/err.h"
#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max; /* 0: no cap */
    bool failed;
    bool capped; /* it was the cap that failed it, not the memory */
};

/* An empty buffer that never grows over `size_max` bytes (0: no cap). Allocates nothing. */
void buf_init(struct buf *b, size_t size_max);
/* Frees the bytes; `b` is empty afterwards and can be used again. */
void buf_done(struct buf *b);
/* Forgets the content and a latched failure, keeps the memory. */
void buf_reset(struct buf *b);
/* Makes room for `size` more bytes; returns where they go, NULL (and latched) when impossible.
 * Follow with buf_advance. */
uint8_t *buf_reserve(struct buf *b, size_t size);
/* Counts `size` bytes written into the reserved room as content. */
void buf_advance(struct buf *b, size_t size);
void buf_add(struct buf *b, const void *data, size_t size);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_string(struct buf *b, const char *text);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Unsigned and signed decimal, as fast as formatting gets here. */
void buf_add_u64(struct buf *b, uint64_t value);
void buf_add_i64(struct buf *b, int64_t value);
/* A JSON string with its quotes: control characters, quotes and backslashes are escaped; bytes
 * that are not UTF-8 become U+FFFD (RFC 8259 section 7). */
void buf_add_json_string(struct buf *b, struct slice s);
/* Removes `size` bytes at the front. */
void buf_consume(struct buf *b, size_t size);

/* False after a failure was latched. */
static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

/* The content, until the next append. */
static inline struct slice buf_slice(const struct buf *b)
{
    ASSERT(b->size <= b->capacity);
    return slice_make(b->data, b->size);
}

/* OK, or ERR_MEMORY / ERR_TOO_LARGE by what was latched. */
err_t buf_error(const struct buf *b);
