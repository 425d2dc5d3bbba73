#include "base/compress/lz4.h"

/* For a context with the memory of base/alloc.h, which tests can make fail. */
#define LZ4F_STATIC_LINKING_ONLY
#include <lz4frame.h>

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Compressing takes one call: with independent blocks the library keeps its tables on the stack
 * and allocates nothing, so there is no context to keep either.
 *
 * Decompressing grows the result as the frame goes on, since Kafka's clients do not say how large
 * the content is, and what a frame claims about itself would be a stranger's word anyway. The
 * library keeps the last 64 KiB itself where blocks depend on each other, so the result may move
 * between steps.
 *
 * Failure modes: a frame that ends early, or is followed by anything, is corrupt. What was appended
 * to a half is taken out again.
 */

/* Room for a step of decompression at the least: the smallest block. */
#define STEP_SIZE ((size_t)64 << 10)

static const LZ4F_preferences_t preferences = {
    .frameInfo =
        {
            .blockSizeID = LZ4F_max64KB,
            .blockMode = LZ4F_blockIndependent,
            .contentChecksumFlag = LZ4F_noContentChecksum,
            .frameType = LZ4F_frame,
            .blockChecksumFlag = LZ4F_noBlockChecksum,
        },
};

/* The content of `out` as it was before, the failure not latched: who appends goes on. */
static void take_back(struct buf *out, size_t size)
{
    ASSERT(size <= out->size);
    out->size = size;
    out->failed = out->capped = false;
}

err_t lz4_compress(struct slice plain, struct buf *out)
{
    ASSERT(buf_ok(out));
    size_t bound = LZ4F_compressFrameBound(plain.size, &preferences);
    uint8_t *room = buf_reserve(out, bound);
    if (!room) {
        err_t err = buf_error(out);
        take_back(out, out->size);
        return err;
    }
    size_t size = LZ4F_compressFrame(room, bound, plain.data, plain.size, &preferences);
    /* It has nothing to fail with: the room is enough and nothing is allocated. */
    ASSERT(!LZ4F_isError(size) && size <= bound);
    buf_advance(out, size);
    return err_ok();
}

static void *allocate(void *context, size_t size)
{
    (void)context;
    ASSERT(size > 0);
    return mem_alloc(size);
}

static void release(void *context, void *block)
{
    (void)context;
    mem_free(block);
}

static err_t error_of(LZ4F_errorCode_t code)
{
    ASSERT(LZ4F_isError(code));
    bool memory = LZ4F_getErrorCode(code) == LZ4F_ERROR_allocation_failed;
    return err_make(memory ? ERR_MEMORY : ERR_CORRUPT);
}

/* The cap of `out` lies one byte behind the limit, so that a content that is too large is told from
 * one that just fits. */
static err_t decompress_frame(LZ4F_dctx *context, struct slice packed, struct buf *out)
{
    ASSERT(out->size < out->size_max);
    for (;;) {
        size_t left = out->size_max - out->size;
        if (left == 0)
            return err_make(ERR_TOO_LARGE);
        uint8_t *room = buf_reserve(out, left < STEP_SIZE ? left : STEP_SIZE);
        if (!room)
            return buf_error(out);
        size_t unpacked = out->capacity - out->size;
        unpacked = unpacked < left ? unpacked : left;
        size_t used = packed.size;
        size_t hint = LZ4F_decompress(context, room, &unpacked, packed.data, &used, NULL);
        if (LZ4F_isError(hint))
            return error_of(hint);
        packed = slice_sub(packed, used, packed.size);
        buf_advance(out, unpacked);
        if (hint == 0)
            break;
        /* It wants more than there is. */
        if (used == 0 && unpacked == 0)
            return err_make(ERR_CORRUPT);
    }
    if (out->size == out->size_max)
        return err_make(ERR_TOO_LARGE);
    return packed.size == 0 ? err_ok() : err_make(ERR_CORRUPT);
}

err_t lz4_decompress(struct slice packed, size_t size_max, struct buf *out)
{
    ASSERT(buf_ok(out) && out->size_max == 0 && size_max < SIZE_MAX - out->size);
    static const LZ4F_CustomMem memory = {.customAlloc = allocate, .customFree = release};
    size_t size_before = out->size;
    LZ4F_dctx *context = LZ4F_createDecompressionContext_advanced(memory, LZ4F_VERSION);
    if (!context)
        return err_make(ERR_MEMORY);
    out->size_max = size_before + size_max + 1;
    err_t err = decompress_frame(context, packed, out);
    out->size_max = 0;
    (void)LZ4F_freeDecompressionContext(context);
    if (!err_is_ok(err))
        take_back(out, size_before);
    return err;
}
