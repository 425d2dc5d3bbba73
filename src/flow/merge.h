#pragma once

/*
 * Merging: neighbouring batches of a partition become one, so that a trickle of records does not
 * stay a trickle of batches with 61 bytes of header each. Offsets, timestamps, keys, values and
 * headers of the records stay; holes stay holes. One thread at a time.
 */

#include "flow/batch.h"

/* True when the batch may be merged with its neighbours: not compressed, without a producer (whose
 * sequences are the batch's), not of a transaction, its records' timestamps their own. */
bool flow_merge_possible(const struct flow_batch *batch);
/* Appends one batch to `out` that holds the records of `count` batches, which flow_merge_possible
 * allows, in rising order of offsets, their CRCs checked. Its base offset is the first's, its
 * timestamps count from the first's. ERR_CORRUPT when a record is malformed or outside its batch;
 * ERR_MEMORY. */
err_t flow_merge(const struct flow_batch *batches, uint32_t count, struct buf *out);
