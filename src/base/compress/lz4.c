#include "base/compress/lz4.h"

/* For a context with the memory of base/alloc.h, which tests can make fail. */
#define LZ4F_STATIC_LINKING_ONLY
#include <lz4frame.h>

#include "base/assert.h"
#include "base/compress/room.h"

/*
 * Compressing takes one call: with independent blocks the library keeps its tables on the stack
 * and allocates nothing, so there is no context to keep either.
 *
 * Decompressing grows the result as the frame goes on, since Kafka's clients do not say how large
 * the content is, and what a frame claims about itself would be a stranger's word anyway. The
 * library keeps the last 64 KiB itself where blocks depend on each other, so the result may move
 * between steps.
 *
 * Failure modes: a frame that ends early, or is followed by anything, is corrupt.
 */

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

err_t lz4_compress(struct slice plain, struct buf *out)
{
    ASSERT(buf_ok(out));
    size_t bound = LZ4F_compressFrameBound(plain.size, &preferences);
    uint8_t *room;
    TRY(compress_room(out, bound, &room));
    size_t size = LZ4F_compressFrame(room, bound, plain.data, plain.size, &preferences);
    /* It has nothing to fail with: the room is enough and nothing is allocated. */
    ASSERT(!LZ4F_isError(size) && size <= bound);
    buf_advance(out, size);
    return err_ok();
}

static err_t error_of(LZ4F_errorCode_t code)
{
    ASSERT(LZ4F_isError(code));
    bool memory = LZ4F_getErrorCode(code) == LZ4F_ERROR_allocation_failed;
    return err_make(memory ? ERR_MEMORY : ERR_CORRUPT);
}

static err_t decompress_frame(LZ4F_dctx *context, struct slice packed,
                              const struct compress_result *result)
{
    for (;;) {
        uint8_t *room;
        size_t unpacked;
        TRY(compress_step(result, &room, &unpacked));
        size_t used = packed.size;
        size_t hint = LZ4F_decompress(context, room, &unpacked, packed.data, &used, NULL);
        if (LZ4F_isError(hint))
            return error_of(hint);
        packed = slice_sub(packed, used, packed.size);
        buf_advance(result->out, unpacked);
        if (hint == 0)
            return err_make(packed.size == 0 ? ERR_OK : ERR_CORRUPT);
        /* It wants more than there is. */
        if (used == 0 && unpacked == 0)
            return err_make(ERR_CORRUPT);
    }
}

err_t lz4_decompress(struct slice packed, size_t size_max, struct buf *out)
{
    static const LZ4F_CustomMem memory = {.customAlloc = compress_allocate,
                                          .customFree = compress_release};
    LZ4F_dctx *context = LZ4F_createDecompressionContext_advanced(memory, LZ4F_VERSION);
    if (!context)
        return err_make(ERR_MEMORY);
    struct compress_result result = compress_begin(out, size_max);
    ASSERT(result.out == out);
    err_t err = decompress_frame(context, packed, &result);
    (void)LZ4F_freeDecompressionContext(context);
    return compress_end(&result, err);
}
