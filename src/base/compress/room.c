#include "base/compress/room.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The cap of a result lies one byte behind its limit, so that a content that is too large is told
 * from one that just fits.
 */

#define STEP_SIZE ((size_t)64 << 10)
/* Beyond it, or a small part of its budget, a buffer that has one is given all that it may take:
 * twice as much again and again would need both blocks at once, and what is not written to is no
 * memory yet. */
#define WHOLE_SIZE ((size_t)1 << 20)
#define WHOLE_PART 32u

err_t compress_room(struct buf *out, size_t size, uint8_t **room)
{
    ASSERT(buf_ok(out));
    uint8_t *reserved = buf_reserve(out, size);
    err_t err = buf_error(out);
    out->failed = out->capped = false;
    if (err_is_ok(err))
        *room = reserved;
    return err;
}

struct compress_result compress_begin(struct buf *out, size_t size_max)
{
    ASSERT(buf_ok(out) && out->size_max == 0 && size_max < SIZE_MAX - out->size);
    out->size_max = out->size + size_max + 1;
    return (struct compress_result){out, out->size};
}

err_t compress_step(const struct compress_result *result, uint8_t **room, size_t *size)
{
    struct buf *out = result->out;
    ASSERT(out->size <= out->size_max);
    size_t left = out->size_max - out->size;
    if (left == 0)
        return err_make(ERR_TOO_LARGE);
    size_t step = left < STEP_SIZE ? left : STEP_SIZE;
    bool whole =
        out->budget && out->size + step > out->capacity &&
        (out->capacity >= WHOLE_SIZE || out->capacity >= out->budget->limit_bytes / WHOLE_PART);
    if (!whole || !err_is_ok(compress_room(out, left, room)))
        TRY(compress_room(out, step, room));
    /* A buffer grows by more than was asked for. */
    size_t there = out->capacity - out->size;
    *size = there < left ? there : left;
    return err_ok();
}

err_t compress_end(const struct compress_result *result, err_t err)
{
    struct buf *out = result->out;
    ASSERT(out->size_max > 0 && out->size >= result->size_before);
    if (err_is_ok(err) && out->size == out->size_max)
        err = err_make(ERR_TOO_LARGE);
    out->size_max = 0;
    if (!err_is_ok(err))
        out->size = result->size_before;
    return err;
}

void *compress_allocate(void *context, size_t size)
{
    (void)context;
    ASSERT(size > 0);
    return mem_alloc(size);
}

void compress_release(void *context, void *block)
{
    (void)context;
    mem_free(block);
}
