#pragma once

/*
 * Batches of which nothing is left but the header: what the log has of those whose records have all
 * become letters or duplicates.
 */

#include "flow/batch.h"
#include "lib/unit.h"

#define HOLLOW_RECORDS_MAX 512u

/* Takes all records out of the finished batch of `size` bytes, which is not compressed; returns its
 * new size. */
static inline size_t hollow(uint8_t *bytes, size_t size)
{
    uint8_t all[HOLLOW_RECORDS_MAX / 8];
    uint8_t left[FLOW_BATCH_HEADER_SIZE];
    struct flow_batch batch;
    memset(all, 0xff, sizeof(all));
    assert_true(err_is_ok(flow_batch_parse(slice_make(bytes, size), &batch)));
    assert_true(batch.record_count <= HOLLOW_RECORDS_MAX);
    size_t left_size = flow_batch_without(&batch, all, true, left);
    memcpy(bytes, left, left_size);
    return left_size;
}
