#pragma once

/*
 * The bytes of a batch and of its records, for batch.c, pack.c and merge.c. The layout is drawn in
 * flow/batch.h.
 */

#include "flow/batch.h"

#define BATCH_MAGIC 2
/* From the leader epoch on: what the length field counts. */
#define LENGTH_FROM 12u
/* From the attributes on: what the CRC covers. */
#define CRC_FROM 21u
/* Bits 0 to 2 of the attributes: enum flow_codec. */
#define CODEC_MASK 0x7u
/* Another bit of theirs: what is in the batch is Kafka's own, and no consumer's. */
#define CONTROL_BATCH 0x20u
/* The length field is signed, and counts a little less than the whole. */
#define BATCH_SIZE_MAX ((size_t)INT32_MAX)
/* Length, attributes, two deltas, two sizes, count of headers: a byte each at the least. */
#define RECORD_SIZE_MIN 7u

enum {
    AT_BASE_OFFSET = 0,
    AT_LENGTH = 8,
    AT_LEADER_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_OFFSET_DELTA = 23,
    AT_FIRST_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_RECORD_COUNT = 57,
};

_Static_assert(AT_RECORD_COUNT + 4 == FLOW_BATCH_HEADER_SIZE, "record batch v2 header");
_Static_assert(AT_CRC + 4 == CRC_FROM && AT_ATTRIBUTES == CRC_FROM, "the CRC covers what follows");

/* What a record says of itself, its length and its deltas taken off. */
struct flow_record_raw {
    uint8_t attributes;
    struct slice rest; /* from the size of the key on */
};

/* flow_batch_next, with the bytes that do not change when the record moves to another batch. */
err_t flow_batch_next_raw(struct flow_batch_iterator *it, struct flow_record *out,
                          struct flow_record_raw *raw);
/* Writes length and CRC of the batch of `size` bytes, which is complete otherwise. */
void flow_batch_seal(uint8_t *batch, size_t size);
