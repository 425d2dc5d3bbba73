#include "base/compress/gzip.h"

#define ZLIB_CONST
#include <zlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/compress/room.h"

/*
 * The library counts in unsigned int; batches, which are what is compressed here, are smaller by
 * far, so that one call takes all of them. The result grows as it comes: what a member says of its
 * size stands at its end, and is a stranger's word.
 *
 * Failure modes: a member that ends early, whose CRC or size is wrong, or that is followed by
 * anything, is corrupt.
 */

#define LEVEL 1
/* 2^15 bytes of window, with gzip's header and trailer (zlib.h). */
#define WINDOW_BITS (15 + 16)
#define MEMORY_LEVEL 8

static void *allocate(void *context, unsigned count, unsigned size)
{
    (void)context;
    ASSERT(count > 0 && size > 0);
    return mem_zalloc(count, size);
}

static void release(void *context, void *block)
{
    (void)context;
    mem_free(block);
}

static z_stream stream_of(struct slice in)
{
    ASSERT(in.size <= UINT32_MAX);
    return (z_stream){
        .next_in = in.data,
        .avail_in = (unsigned)in.size,
        .zalloc = allocate,
        .zfree = release,
    };
}

err_t gzip_compress(struct slice plain, struct buf *out)
{
    z_stream stream = stream_of(plain);
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return err_make(ERR_MEMORY);
    size_t bound = deflateBound(&stream, plain.size);
    uint8_t *room = NULL;
    ASSERT(bound <= UINT32_MAX);
    err_t err = compress_room(out, bound, &room);
    if (err_is_ok(err)) {
        stream.next_out = room;
        stream.avail_out = (unsigned)bound;
        int done = deflate(&stream, Z_FINISH);
        ASSERT(done == Z_STREAM_END);
        buf_advance(out, bound - stream.avail_out);
    }
    (void)deflateEnd(&stream);
    return err;
}

static err_t inflate_all(z_stream *stream, const struct compress_result *result)
{
    for (;;) {
        size_t size;
        TRY(compress_step(result, &stream->next_out, &size));
        ASSERT(size > 0);
        if (size > UINT32_MAX)
            size = UINT32_MAX;
        stream->avail_out = (unsigned)size;
        int done = inflate(stream, Z_NO_FLUSH);
        buf_advance(result->out, size - stream->avail_out);
        if (done == Z_STREAM_END)
            return err_make(stream->avail_in == 0 ? ERR_OK : ERR_CORRUPT);
        /* Z_BUF_ERROR too: there is room, so it wants more than there is. */
        if (done != Z_OK)
            return err_make(done == Z_MEM_ERROR ? ERR_MEMORY : ERR_CORRUPT);
    }
}

err_t gzip_decompress(struct slice packed, size_t size_max, struct buf *out)
{
    if (packed.size > UINT32_MAX)
        return err_make(ERR_TOO_LARGE);
    z_stream stream = stream_of(packed);
    if (inflateInit2(&stream, WINDOW_BITS) != Z_OK)
        return err_make(ERR_MEMORY);
    struct compress_result result = compress_begin(out, size_max);
    ASSERT(result.out == out);
    err_t err = inflate_all(&stream, &result);
    (void)inflateEnd(&stream);
    return compress_end(&result, err);
}
