#include "base/buf.h"

#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/utf8.h"

/*
 * One allocation, doubled when it is full. Encoders append dozens of fields in a row, and a check
 * after each would hide what they encode; so the first append that fails marks the buffer, all
 * later ones do nothing, and whoever hands the bytes on asks buf_ok once. What was whole before
 * the failure stays readable. Whether the cap or the memory was short is kept apart: the first is
 * the peer's fault and final, the second ours and worth another try.
 */
#define CAPACITY_MIN 64

void buf_init(struct buf *b, size_t size_max)
{
    ASSERT(b);
    *b = (struct buf){.size_max = size_max};
}

bool buf_budget_take(struct buf_budget *budget, uint64_t bytes)
{
    if (!budget)
        return true;
    ASSERT(budget->used_bytes <= budget->limit_bytes);
    bool fits = bytes <= budget->limit_bytes - budget->used_bytes;
    if (fits)
        budget->used_bytes += bytes;
    else
        budget->refused = true;
    return fits;
}

void buf_budget_give(struct buf_budget *budget, uint64_t bytes)
{
    if (!budget)
        return;
    ASSERT(bytes <= budget->used_bytes);
    budget->used_bytes -= bytes;
}

void buf_done(struct buf *b)
{
    ASSERT(b);
    mem_free(b->data);
    buf_budget_give(b->budget, b->capacity);
    /* Cap and budget are the owner's choice and outlive the content. */
    *b = (struct buf){.size_max = b->size_max, .budget = b->budget};
}

void buf_reset(struct buf *b)
{
    ASSERT(b);
    b->size = 0;
    b->failed = false;
    b->capped = false;
}

/* Both blocks are there while the content moves from one to the other. */
static bool move(struct buf *b, size_t capacity)
{
    ASSERT(capacity >= b->size);
    if (!buf_budget_take(b->budget, capacity))
        return false;
    uint8_t *data = mem_realloc(b->data, capacity, 1);
    buf_budget_give(b->budget, data ? b->capacity : capacity);
    if (!data)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

void buf_trim(struct buf *b)
{
    if (b->size == 0) {
        buf_done(b);
    } else if (b->size < b->capacity) {
        /* A smaller block lies where the larger one was: there are never both. */
        uint8_t *data = mem_realloc(b->data, b->size, 1);
        size_t capacity = data ? b->size : b->capacity;
        buf_budget_give(b->budget, b->capacity - capacity);
        b->data = data ? data : b->data;
        b->capacity = capacity;
    }
    ASSERT(b->size <= b->capacity);
}

/* Room for at least `size` bytes in all, twice as much as there was when the cap allows it, so
 * that growing byte by byte copies each byte a constant number of times. */
static bool grow(struct buf *b, size_t size)
{
    ASSERT(size > b->capacity);
    size_t capacity = b->capacity > SIZE_MAX / 2 ? size : b->capacity * 2;
    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    if (b->size_max && capacity > b->size_max)
        capacity = b->size_max;
    if (capacity < size)
        capacity = size;
    ASSERT(!b->size_max || capacity <= b->size_max);
    /* A failure leaves the old bytes where they are; reset or done deals with them. Where twice as
     * much is not to be had, what is needed may be. */
    if (move(b, capacity))
        return true;
    if (!b->budget || !b->budget->refused || capacity == size)
        return false;
    b->budget->refused = false;
    return move(b, size);
}

uint8_t *buf_reserve(struct buf *b, size_t size)
{
    ASSERT(b->size <= b->capacity);
    if (b->failed)
        return NULL;
    size_t size_max = b->size_max ? b->size_max : SIZE_MAX;
    if (b->size > size_max || size > size_max - b->size) {
        b->failed = b->capped = true;
        return NULL;
    }
    /* An empty buffer has memory too once it was asked, so that NULL means a failure only. */
    size_t needed = b->size + size ? b->size + size : 1;
    if (needed > b->capacity && !grow(b, needed)) {
        b->failed = true;
        return NULL;
    }
    ASSERT(size <= b->capacity - b->size);
    return b->data + b->size;
}

void buf_advance(struct buf *b, size_t size)
{
    ASSERT(size <= b->capacity - b->size);
    b->size += size;
}

void buf_add(struct buf *b, const void *data, size_t size)
{
    ASSERT(data || size == 0);
    if (size == 0)
        return;
    uint8_t *room = buf_reserve(b, size);
    if (!room)
        return;
    memcpy(room, data, size);
    b->size += size;
}

void buf_add_slice(struct buf *b, struct slice s)
{
    ASSERT(s.data || s.size == 0);
    buf_add(b, s.data, s.size);
}

void buf_add_string(struct buf *b, const char *text)
{
    ASSERT(text);
    buf_add(b, text, strlen(text));
}

void buf_add_byte(struct buf *b, uint8_t byte)
{
    uint8_t *room = buf_reserve(b, 1);
    if (!room)
        return;
    ASSERT(b->size < b->capacity);
    *room = byte;
    b->size++;
}

void buf_add_format(struct buf *b, const char *format, ...)
{
    /* Nearly all that is formatted is short, and the stack needs no second pass over it. */
    ASSERT(format);
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    size_t size = (size_t)length;
    if (size < sizeof(text)) {
        buf_add(b, text, size);
        return;
    }
    /* Written elsewhere first, since printf's final zero may not fit under the cap. */
    if (b->failed)
        return;
    char *long_text = mem_alloc(size + 1);
    if (!long_text) {
        b->failed = true;
        return;
    }
    va_start(arguments, format);
    length = vsnprintf(long_text, size + 1, format, arguments);
    va_end(arguments);
    ASSERT((size_t)length == size);
    buf_add(b, long_text, size);
    mem_free(long_text);
}

void buf_add_u64(struct buf *b, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    /* Two digits a division: it is the division that takes the time. */
    char text[20];
    size_t at = sizeof(text);
    while (value >= 100) {
        at -= 2;
        memcpy(text + at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        ASSERT(value < 100);
        memcpy(text + at, pairs + value * 2, 2);
    } else {
        text[--at] = (char)('0' + value);
    }
    buf_add(b, text + at, sizeof(text) - at);
}

void buf_add_i64(struct buf *b, int64_t value)
{
    ASSERT(b);
    if (value < 0)
        buf_add_byte(b, '-');
    /* Negated as unsigned: the least number has no positive counterpart. */
    buf_add_u64(b, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* Only what RFC 8259 asks to be escaped is. A slash or DEL stays as it is, so that text looks in
 * logs as it was sent. */
static bool json_plain(uint8_t byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

static void add_json_escape(struct buf *b, uint8_t byte)
{
    ASSERT(!json_plain(byte));
    switch (byte) {
    case '"': buf_add(b, "\\\"", 2); return;
    case '\\': buf_add(b, "\\\\", 2); return;
    case '\b': buf_add(b, "\\b", 2); return;
    case '\f': buf_add(b, "\\f", 2); return;
    case '\n': buf_add(b, "\\n", 2); return;
    case '\r': buf_add(b, "\\r", 2); return;
    case '\t': buf_add(b, "\\t", 2); return;
    default: buf_add_format(b, "\\u%04x", byte); return;
    }
}

/* `s` is UTF-8. What needs no escape, nearly everything, is copied in runs. */
static void add_json_text(struct buf *b, struct slice s)
{
    size_t start = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (json_plain(s.data[i]))
            continue;
        buf_add_slice(b, slice_sub(s, start, i - start));
        add_json_escape(b, s.data[i]);
        start = i + 1;
    }
    buf_add_slice(b, slice_sub(s, start, s.size));
}

void buf_add_json_string(struct buf *b, struct slice s)
{
    ASSERT(s.data || s.size == 0);
    buf_add_byte(b, '"');
    while (s.size) {
        size_t valid = utf8_valid_prefix(s);
        add_json_text(b, slice_sub(s, 0, valid));
        /* One for each broken byte and not for a run of them: the length stays a hint. */
        if (valid < s.size)
            buf_add(b, "\xef\xbf\xbd", 3);
        s = slice_sub(s, valid + 1, s.size);
    }
    buf_add_byte(b, '"');
}

void buf_consume(struct buf *b, size_t size)
{
    ASSERT(size <= b->size);
    if (size == 0)
        return;
    /* Moves what is left. Whoever consumes often in small parts walks a slice over the content
     * instead, and consumes once. */
    b->size -= size;
    memmove(b->data, b->data + size, b->size);
}

err_t buf_error(const struct buf *b)
{
    ASSERT(b->failed || !b->capped);
    if (!b->failed)
        return err_ok();
    return err_make(b->capped ? ERR_TOO_LARGE : ERR_MEMORY);
}
