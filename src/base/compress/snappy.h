#pragma once

/*
 * Snappy, as Kafka's record batches hold it (codec 2): blocks behind a header, as the Java clients
 * write them (snappy-java's stream format), or one bare block, as librdkafka does. Written is the
 * former, which every client reads. Owns libsnappy. Any thread; nothing is kept between calls.
 */

#include "base/buf.h"

/* Appends `plain`. ERR_MEMORY, or ERR_TOO_LARGE by the cap of `out`, leaves `out` as it was. */
err_t snappy_pack(struct slice plain, struct buf *out);
/* Appends what `packed` holds: `size_max` bytes at the most, else ERR_TOO_LARGE. ERR_CORRUPT when
 * it is neither of the two; ERR_MEMORY. A failure leaves the content of `out`, which has no cap, as
 * it was. */
err_t snappy_unpack(struct slice packed, size_t size_max, struct buf *out);
