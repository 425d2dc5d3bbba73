#pragma once

/*
 * A growing run of bytes. Appends latch a failure (no memory, or the cap was reached) instead
 * of returning it: append everything, then look once with buf_ok. After a failure nothing more
 * is appended. Owned by one thread at a time. Initialise with {0} or buf_init; free with
 * buf_done.
 *
 * Buffers that together may take so much and no more have a budget, which knows what all of them
 * have allocated, and what they have while one moves to a larger block: both blocks.
 */

#include "base/err.h"
#include "base/slice.h"

struct buf_budget {
    uint64_t limit_bytes;
    uint64_t used_bytes;
    bool refused; /* something did not fit; whoever asks sets it back */
};

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max;           /* 0: no cap */
    struct buf_budget *budget; /* NULL: none; set while the buffer is empty, outlives it */
    bool failed;
    bool capped; /* it was the cap that failed it, not the memory */
};

/* Takes `bytes` of the budget (NULL: of which there is no end); false when they are not there. */
bool buf_budget_take(struct buf_budget *budget, uint64_t bytes);
void buf_budget_give(struct buf_budget *budget, uint64_t bytes);

/* An empty buffer that never grows over `size_max` bytes (0: no cap). Allocates nothing. */
void buf_init(struct buf *b, size_t size_max);
/* Frees the bytes; `b` is empty afterwards and can be used again. */
void buf_done(struct buf *b);
/* Forgets the content and a latched failure, keeps the memory. */
void buf_reset(struct buf *b);
/* Gives back the memory behind the content. */
void buf_trim(struct buf *b);
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
