#include "base/compress/snappy.h"

#include <snappy-c.h>

#include "base/assert.h"
#include "base/compress/room.h"
#include "base/cursor.h"

/*
 * snappy-java's stream: 8 bytes of magic, a version, the oldest version that can read it, then
 * blocks of up to 32 KiB, each behind its length.
 *
 *   0        8        12       16
 *   | magic  | 1      | 1      | length | block | length | block ...      (numbers big-endian)
 *
 * Failure modes: a block says how much it holds; it is believed once the library has walked it to
 * its end and come to the same, which takes no memory. A stream has no end mark: one that is cut
 * between two blocks is found by the batch, which holds fewer records than it says.
 */

static const uint8_t magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

#define VERSION 1u
#define HEADER_SIZE 16u
#define BLOCK_SIZE ((size_t)32 << 10)

/* Room for all, so that nothing fails on the way. */
err_t snappy_pack(struct slice plain, struct buf *out)
{
    ASSERT(plain.data || plain.size == 0);
    size_t block_count = plain.size / BLOCK_SIZE + 1;
    uint8_t *room;
    TRY(compress_room(
        out, HEADER_SIZE + block_count * (4 + snappy_max_compressed_length(BLOCK_SIZE)), &room));
    memcpy(room, magic, sizeof(magic));
    put_u32be(room + 8, VERSION);
    put_u32be(room + 12, VERSION);
    size_t at = HEADER_SIZE;
    do {
        struct slice block = slice_sub(plain, 0, BLOCK_SIZE);
        size_t size = snappy_max_compressed_length(BLOCK_SIZE);
        snappy_status status =
            snappy_compress((const char *)block.data, block.size, (char *)room + at + 4, &size);
        ASSERT(status == SNAPPY_OK);
        ASSERT(size > 0 && size <= UINT32_MAX);
        put_u32be(room + at, (uint32_t)size);
        at += 4 + size;
        plain = slice_sub(plain, block.size, plain.size);
    } while (plain.size > 0);
    buf_advance(out, at);
    return err_ok();
}

static err_t unpack_block(struct slice block, struct buf *out)
{
    const char *data = (const char *)block.data;
    size_t size;
    uint8_t *room;
    if (block.size == 0 || snappy_validate_compressed_buffer(data, block.size) != SNAPPY_OK ||
        snappy_uncompressed_length(data, block.size, &size) != SNAPPY_OK)
        return err_make(ERR_CORRUPT);
    /* The cap lies one byte behind the limit. */
    if (size >= out->size_max - out->size)
        return err_make(ERR_TOO_LARGE);
    TRY(compress_room(out, size, &room));
    snappy_status status = snappy_uncompress(data, block.size, (char *)room, &size);
    ASSERT(status == SNAPPY_OK);
    buf_advance(out, size);
    return err_ok();
}

static err_t unpack_stream(struct slice packed, struct buf *out)
{
    struct cursor c = cursor_make(slice_sub(packed, HEADER_SIZE, packed.size));
    ASSERT(packed.size >= HEADER_SIZE);
    if (get_u32be(packed.data + 12) > VERSION)
        return err_make(ERR_CORRUPT);
    do {
        struct slice block = cursor_bytes(&c, cursor_u32be(&c));
        if (!cursor_ok(&c))
            return err_make(ERR_CORRUPT);
        TRY(unpack_block(block, out));
    } while (c.rest.size > 0);
    return err_ok();
}

err_t snappy_unpack(struct slice packed, size_t size_max, struct buf *out)
{
    struct compress_result result = compress_begin(out, size_max);
    ASSERT(result.out == out);
    bool stream = packed.size >= HEADER_SIZE && memcmp(packed.data, magic, sizeof(magic)) == 0;
    return compress_end(&result, stream ? unpack_stream(packed, out) : unpack_block(packed, out));
}
