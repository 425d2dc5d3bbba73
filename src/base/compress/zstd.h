#pragma once

/*
 * Zstandard (RFC 8878), as Kafka's record batches hold it (codec 4). Written at level 1, which
 * keeps up with a disk, with the size of the content in the frame. Owns libzstd. Any thread;
 * nothing is kept between calls.
 */

#include "base/buf.h"

/* Appends `plain` as one frame. ERR_MEMORY, or ERR_TOO_LARGE by the cap of `out`, leaves `out` as
 * it was. */
err_t zstd_compress(struct slice plain, struct buf *out);
/* Appends what the one frame `packed` holds: `size_max` bytes at the most, else ERR_TOO_LARGE.
 * ERR_CORRUPT when it is not exactly one good frame, or wants a dictionary; ERR_MEMORY. A failure
 * leaves the content of `out`, which has no cap, as it was. A frame may say how large its content
 * is, and that much memory is taken at once, within `size_max`. */
err_t zstd_decompress(struct slice packed, size_t size_max, struct buf *out);
