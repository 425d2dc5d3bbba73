#include "base/compress/zstd.h"

/* For contexts with the memory of base/alloc.h, which tests can make fail, and for the bound of
 * what a frame holds. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include "base/assert.h"
#include "base/compress/room.h"
#include "base/cursor.h"

/*
 * Both ways in one step, into the place where the bytes are to be: no window is kept beside the
 * result, whatever a frame asks for. A context for each call costs 9 µs, where compressing 64 KiB
 * takes 75 and decompressing them 25: little enough that nobody has to own one.
 *
 * Decompressing first finds how much the frame can hold at the most: from what it says, or from
 * its blocks, of which each holds 128 KiB at the most. That, within the limit, is the room.
 *
 * Failure modes: formats from before version 1, which the library would read, are refused, and so
 * is all but one frame. A frame that lies about its content is found by the library.
 */

#define LEVEL 1

static const ZSTD_customMem memory = {.customAlloc = compress_allocate,
                                      .customFree = compress_release};

static err_t error_of(size_t result)
{
    ASSERT(ZSTD_isError(result));
    ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
    if (code == ZSTD_error_memory_allocation)
        return err_make(ERR_MEMORY);
    return err_make(code == ZSTD_error_dstSize_tooSmall ? ERR_TOO_LARGE : ERR_CORRUPT);
}

err_t zstd_compress(struct slice plain, struct buf *out)
{
    ASSERT(buf_ok(out));
    size_t bound = ZSTD_compressBound(plain.size);
    uint8_t *room;
    TRY(compress_room(out, bound, &room));
    ZSTD_CCtx *context = ZSTD_createCCtx_advanced(memory);
    if (!context)
        return err_make(ERR_MEMORY);
    size_t size = ZSTD_compressCCtx(context, room, bound, plain.data, plain.size, LEVEL);
    (void)ZSTD_freeCCtx(context);
    if (ZSTD_isError(size))
        return error_of(size);
    buf_advance(out, size);
    return err_ok();
}

/* True when `packed` is one frame of the standard and nothing else. */
static bool is_one_frame(struct slice packed)
{
    ASSERT(packed.data || packed.size == 0);
    if (packed.size < 4 || get_u32le(packed.data) != ZSTD_MAGICNUMBER)
        return false;
    return ZSTD_findFrameCompressedSize(packed.data, packed.size) == packed.size;
}

err_t zstd_decompress(struct slice packed, size_t size_max, struct buf *out)
{
    ASSERT(buf_ok(out) && out->size_max == 0);
    if (!is_one_frame(packed))
        return err_make(ERR_CORRUPT);
    unsigned long long bound = ZSTD_decompressBound(packed.data, packed.size);
    if (bound == ZSTD_CONTENTSIZE_ERROR)
        return err_make(ERR_CORRUPT);
    size_t room_size = bound < size_max ? (size_t)bound : size_max;
    uint8_t *room;
    TRY(compress_room(out, room_size, &room));
    ZSTD_DCtx *context = ZSTD_createDCtx_advanced(memory);
    if (!context)
        return err_make(ERR_MEMORY);
    size_t size = ZSTD_decompressDCtx(context, room, room_size, packed.data, packed.size);
    (void)ZSTD_freeDCtx(context);
    if (ZSTD_isError(size))
        return error_of(size);
    buf_advance(out, size);
    return err_ok();
}
