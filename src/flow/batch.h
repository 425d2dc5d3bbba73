#pragma once

/*
 * Record batches in Kafka's format, magic 2 (Kafka protocol guide, "Record Batch"): the one
 * encoding of records in memory, in the log, on the wire. A builder makes one for one partition;
 * a finished batch is immutable but for its base offset, which lies outside its CRC. Batches that
 * we build are not compressed. Owned by one thread at a time.
 *
 *   0 base offset (8)   8 length after this field (4)   12 partition leader epoch (4)
 *  16 magic = 2 (1)    17 CRC32C of all that follows (4)  21 attributes (2)
 *  23 last offset delta (4)  27 first timestamp (8)  35 max timestamp (8)
 *  43 producer id (8)  51 producer epoch (2)  53 base sequence (4)  57 record count (4)  61 records
 */

#include "base/buf.h"
#include "base/err.h"
#include "flow/commit.h"
#include "flow/record.h"

#define FLOW_BATCH_HEADER_SIZE 61u
#define FLOW_BATCH_MARKER_SIZE 78u
/* What the records of a batch may take unpacked, for those who have no reason for another limit: a
 * hundred times the largest batch that is written here. */
#define FLOW_BATCH_UNPACKED_SIZE_MAX ((size_t)128 << 20)

struct flow_batch_builder {
    struct buf bytes; /* the header's room, then the records */
    uint32_t record_count;
    int64_t first_timestamp_ms;
    int64_t max_timestamp_ms;
};

/* A builder's state before something was added. */
struct flow_batch_mark {
    size_t size;
    uint32_t record_count;
    int64_t first_timestamp_ms;
    int64_t max_timestamp_ms;
};

/* What a batch's header says, checked. */
struct flow_batch {
    struct slice bytes; /* the whole batch */
    int64_t base_offset;
    int32_t last_offset_delta;
    uint32_t record_count;
    uint16_t attributes;
    int64_t first_timestamp_ms;
    int64_t max_timestamp_ms;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
};

/* Walks the records of a batch that is not compressed. */
struct flow_batch_iterator {
    struct slice rest;
    const struct flow_batch *batch;
    uint32_t left;
};

/* An empty builder; nothing is allocated before the first record. */
void flow_batch_builder_init(struct flow_batch_builder *builder);
void flow_batch_builder_done(struct flow_batch_builder *builder);
/* Adds a record; key and value as in struct flow_record. ERR_MEMORY, or ERR_TOO_LARGE when the
 * batch would pass 2 GiB, leaves the builder as it was. */
err_t flow_batch_builder_add(struct flow_batch_builder *builder, int64_t timestamp_ms,
                             struct slice key, struct slice value,
                             const struct flow_header *headers, uint32_t header_count);
/* As above with all that the record has but its offset; its headers stand behind `before`, as far
 * as they are well-formed. */
err_t flow_batch_builder_add_record(struct flow_batch_builder *builder,
                                    const struct flow_record *record,
                                    const struct flow_header *before, uint32_t before_count);
/* Where the builder stands, to come back to. */
struct flow_batch_mark flow_batch_builder_mark(const struct flow_batch_builder *builder);
/* Takes out again what was added since the mark was set. */
void flow_batch_builder_rollback(struct flow_batch_builder *builder,
                                 const struct flow_batch_mark *mark);
/* Empty again, for the next batch; memory over `keep_bytes` is given back. */
void flow_batch_builder_reset(struct flow_batch_builder *builder, size_t keep_bytes);
/* Writes the header and the CRC; returns the batch, base offset 0. The bytes stay the builder's;
 * nothing may be added afterwards. At least one record. */
struct slice flow_batch_builder_finish(struct flow_batch_builder *builder);
/* Writes header and CRC of a batch at `batch` again, for `size` bytes with `record_count` records
 * of one time each: what a builder has finished, with values patched or records at its end left
 * off. */
void flow_batch_end(uint8_t *batch, size_t size, uint32_t record_count, int64_t timestamp_ms);

/* Reads the header of the batch at the front of `bytes`: lengths, magic, counts; not the CRC.
 * ERR_CORRUPT (or ERR_END when `bytes` is shorter than the batch says). */
err_t flow_batch_parse(struct slice bytes, struct flow_batch *out);
/* ERR_CORRUPT unless the CRC fits. */
err_t flow_batch_check(const struct flow_batch *batch);
/* Writes the batch without the records whose bit is set in `left_out` to `out`, which has room for
 * as many bytes as the batch has, and returns the size. `holes`: the others keep their offsets, as
 * after compaction; else there is none where they were. Base offset, times and producer stay. The
 * batch is not compressed and well-formed (whoever built it is one of us, or has walked it). With
 * `holes` no record need be left in it: its header then says that none has a time (-1). */
size_t flow_batch_without(const struct flow_batch *batch, const uint8_t *left_out, bool holes,
                          uint8_t *out);
/* Writes FLOW_BATCH_MARKER_SIZE bytes: a control batch as at a transaction's end, whose one record,
 * at `offset`, says that it was committed. It has no producer and no time. */
void flow_batch_put_marker(uint8_t *out, int64_t offset);
/* Patches what the log says of a finished batch: its base offset, and the epoch of the leader, of
 * which there is one, 0. */
void flow_batch_set_base_offset(uint8_t *batch, int64_t offset);
/* Patches the largest time of a finished batch of `size` bytes, and its CRC. */
void flow_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t timestamp_ms);

struct flow_batch_iterator flow_batch_records(const struct flow_batch *batch);
/* The next record: OK, ERR_END after the last, ERR_CORRUPT; ERR_UNSUPPORTED when the batch is
 * compressed. */
err_t flow_batch_next(struct flow_batch_iterator *it, struct flow_record *out);
/* The next header of a record: moves `*headers` on. False at the end or when malformed. */
bool flow_record_header(struct slice *headers, struct flow_header *out);

/* True when what is in the batch is Kafka's own, such as the end of a transaction. */
bool flow_batch_is_control(const struct flow_batch *batch);
/* The codec that the batch's records are compressed with, by its attributes. */
enum flow_codec flow_batch_codec(const struct flow_batch *batch);
/* `batch` in a form that flow_batch_records can walk: as it is when it is not compressed, else
 * unpacked into `out` (which has no cap; its content is replaced; `batch` then points there) with
 * the same offsets, producer and timestamps, and a CRC that fits. ERR_CORRUPT, ERR_TOO_LARGE when
 * the records would take more than `size_max` bytes, ERR_UNSUPPORTED for a codec that is not built
 * in, ERR_MEMORY. */
err_t flow_batch_unpack(struct flow_batch *batch, size_t size_max, struct buf *out);
/* Appends the batch to `out`, its records compressed, with a CRC of its own. What does not get
 * smaller by it, or is compressed already, is appended as it is. A codec that is built in: NONE,
 * LZ4, ZSTD. ERR_MEMORY. */
err_t flow_batch_pack(const struct flow_batch *batch, enum flow_codec codec, struct buf *out);
