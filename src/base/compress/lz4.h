#pragma once

/*
 * LZ4 in its frame format (LZ4 Frame Format Description 1.6), as Kafka's record batches hold it
 * (codec 3). What is written is what every Kafka client reads: independent blocks of 64 KiB, no
 * checksums (a batch has a CRC of its own), no content size, no dictionary. What is read is any one
 * frame without a dictionary. Owns liblz4. Any thread; nothing is kept between calls.
 */

#include "base/buf.h"

/* Appends `plain` as one frame. ERR_MEMORY, or ERR_TOO_LARGE by the cap of `out`, leaves `out` as
 * it was. */
err_t lz4_compress(struct slice plain, struct buf *out);
/* Appends what the one frame `packed` holds: `size_max` bytes at the most, else ERR_TOO_LARGE.
 * ERR_CORRUPT when it is not exactly one good frame; ERR_MEMORY. A failure leaves the content of
 * `out`, which has no cap, as it was. Takes memory in proportion to what comes out, and up to 8.2
 * MiB on the way. */
err_t lz4_decompress(struct slice packed, size_t size_max, struct buf *out);
