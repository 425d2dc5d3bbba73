#include "base/assert.h"
#include "base/compress/gzip.h"
#include "base/compress/lz4.h"
#include "base/compress/snappy.h"
#include "base/compress/zstd.h"
#include "base/cursor.h"
#include "flow/batch_int.h"

/*
 * A packed batch has the header of the plain one, but for the codec in its attributes, its length
 * and its CRC; behind it stand the records, compressed as one run. So both ways copy the header,
 * let the codec write behind it, and seal.
 *
 * Failure modes: what is unpacked is parsed again, because only then can the count of records be
 * held against their bytes. Whatever fails, a buffer that is appended to is as it was.
 */

struct codec {
    err_t (*compress)(struct slice plain, struct buf *out);
    err_t (*decompress)(struct slice packed, size_t size_max, struct buf *out);
};

static const struct codec codecs[CODEC_MASK + 1] = {
    [FLOW_CODEC_GZIP] = {gzip_compress, gzip_decompress},
    [FLOW_CODEC_SNAPPY] = {snappy_pack, snappy_unpack},
    [FLOW_CODEC_LZ4] = {lz4_compress, lz4_decompress},
    [FLOW_CODEC_ZSTD] = {zstd_compress, zstd_decompress},
};

static struct slice records_of(const struct flow_batch *batch)
{
    ASSERT(batch->bytes.size >= FLOW_BATCH_HEADER_SIZE);
    return slice_sub(batch->bytes, FLOW_BATCH_HEADER_SIZE, batch->bytes.size);
}

/* Appends bytes of a batch; a failure is not latched, since who appends goes on. */
static err_t append(struct buf *out, struct slice bytes)
{
    ASSERT(buf_ok(out));
    buf_add_slice(out, bytes);
    err_t err = buf_error(out);
    out->failed = out->capped = false;
    return err;
}

/* Writes codec, length and CRC of the batch that begins at `start`. */
static void finish(struct buf *out, size_t start, const struct flow_batch *like,
                   enum flow_codec codec)
{
    ASSERT(start + FLOW_BATCH_HEADER_SIZE <= out->size);
    uint32_t attributes = (like->attributes & ~CODEC_MASK) | (uint32_t)codec;
    put_u16be(out->data + start + AT_ATTRIBUTES, (uint16_t)attributes);
    flow_batch_seal(out->data + start, out->size - start);
}

err_t flow_batch_unpack(struct flow_batch *batch, size_t size_max, struct buf *out)
{
    ASSERT(out->size_max == 0);
    enum flow_codec codec = flow_batch_codec(batch);
    if (codec == FLOW_CODEC_NONE)
        return err_ok();
    if (!codecs[codec].decompress)
        return err_make(ERR_UNSUPPORTED);
    buf_reset(out);
    TRY(append(out, slice_sub(batch->bytes, 0, FLOW_BATCH_HEADER_SIZE)));
    size_t most = BATCH_SIZE_MAX - FLOW_BATCH_HEADER_SIZE;
    TRY(codecs[codec].decompress(records_of(batch), size_max < most ? size_max : most, out));
    finish(out, 0, batch, FLOW_CODEC_NONE);
    return flow_batch_parse(buf_slice(out), batch);
}

err_t flow_batch_pack(const struct flow_batch *batch, enum flow_codec codec, struct buf *out)
{
    ASSERT(codec == FLOW_CODEC_NONE || (codec <= CODEC_MASK && codecs[codec].compress));
    bool plain = flow_batch_codec(batch) == FLOW_CODEC_NONE;
    if (!plain || codec == FLOW_CODEC_NONE)
        return append(out, batch->bytes);
    size_t start = out->size;
    TRY(append(out, slice_sub(batch->bytes, 0, FLOW_BATCH_HEADER_SIZE)));
    err_t err = codecs[codec].compress(records_of(batch), out);
    if (!err_is_ok(err)) {
        out->size = start;
        return err;
    }
    if (out->size - start >= batch->bytes.size) {
        out->size = start;
        return append(out, batch->bytes);
    }
    finish(out, start, batch, codec);
    return err_ok();
}
