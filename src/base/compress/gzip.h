#pragma once

/*
 * gzip (RFC 1952), as Kafka's record batches hold it (codec 1). Written at level 1. Owns zlib. Any
 * thread; nothing is kept between calls.
 */

#include "base/buf.h"

/* Appends `plain` as one member. ERR_MEMORY, or ERR_TOO_LARGE by the cap of `out`, leaves `out` as
 * it was. */
err_t gzip_compress(struct slice plain, struct buf *out);
/* Appends what the one member `packed` holds: `size_max` bytes at the most, else ERR_TOO_LARGE.
 * ERR_CORRUPT when it is not exactly one good member; ERR_MEMORY. A failure leaves the content of
 * `out`, which has no cap, as it was. Takes memory in proportion to what comes out, and 40 KiB on
 * the way. */
err_t gzip_decompress(struct slice packed, size_t size_max, struct buf *out);
