#pragma once

/*
 * The bytes of the write-ahead log: frames and the entries in them. docs/formats/wal.md draws
 * them. A frame is one atomic commit; it starts on a block of 4 KiB with a header that has its
 * own CRC, and its payload is a run of entries. All numbers are little-endian. What is decoded
 * here comes from a disk: it is checked, never asserted. Pure; any thread.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "flow/commit.h"
#include "io/disk.h"

#define LOG_FRAME_MAGIC 0x4c415747u /* "GWAL" */
#define LOG_FRAME_VERSION 1u
#define LOG_FRAME_HEADER_SIZE 96u
/* Entries end a frame at this size; a single larger commit is alone in its frame. */
#define LOG_FRAME_SIZE_TARGET (4u << 20)

enum log_frame_flags {
    LOG_FRAME_EPOCH_START = 1, /* the first of an epoch; valid_to_lsn counts */
    LOG_FRAME_RECYCLED = 2, /* its file held other frames before: what lies behind may be theirs */
};

struct log_frame_header {
    uint16_t flags;
    struct uuid uuid; /* of the data directory */
    uint32_t epoch;
    uint64_t lsn;         /* number of the frame, from 1, without gaps */
    uint64_t durable_lsn; /* every frame up to it was on disk when this one was written */
    uint32_t payload_size;
    uint32_t payload_crc;
    uint32_t previous_crc; /* header CRC of frame lsn - 1; 0 for the first */
    int64_t commit_time_ms;
    uint64_t valid_to_lsn; /* EPOCH_START: the last frame of earlier epochs that counts */
    /* Where it was written: bytes that lie elsewhere are no frame. Recycled files hold older
     * frames, and a record may hold a copy of one. */
    uint64_t file_number;
    uint32_t block;       /* in the file, in blocks of IO_BLOCK */
    uint32_t file_blocks; /* how long the file is: one that is shorter has been cut */
    uint32_t header_crc;  /* result of encode and decode */
};

/* Bytes that a frame with this payload takes on disk: a multiple of IO_BLOCK. */
uint64_t log_frame_disk_size(uint64_t payload_size);
/* Writes the header's LOG_FRAME_HEADER_SIZE bytes and sets header->header_crc. */
void log_frame_encode(struct log_frame_header *header, uint8_t out[static LOG_FRAME_HEADER_SIZE]);
/* Reads a header. ERR_CORRUPT when it is none of ours (magic, CRC), ERR_VERSION when a newer
 * program wrote it. */
err_t log_frame_decode(struct slice bytes, struct log_frame_header *out);

/* What a frame can hold. The numbers are the format: they are never used again for another. */
enum log_entry_kind {
    LOG_ENTRY_BATCH = 1,
    LOG_ENTRY_COUNTS = 2,
    LOG_ENTRY_TOPIC_CREATE = 3,
    LOG_ENTRY_TOPIC_PARTITIONS = 4,
    LOG_ENTRY_TOPIC_DELETE = 5,
    LOG_ENTRY_SINK_OPEN = 6,
    LOG_ENTRY_SINK_PREPARE = 7,
    LOG_ENTRY_SINK_COMMIT = 8,
    LOG_ENTRY_SINK_CLOSE = 9,
    LOG_ENTRY_CLEAN_STOP = 10,
    LOG_ENTRY_SINK_REDRIVE = 11,
    LOG_ENTRY_KEYS = 16,
    LOG_ENTRY_SEQUENCE = 17,
    LOG_ENTRY_TRANSACTION = 18, /* reserved */
    LOG_ENTRY_LOG_START = 19,
    LOG_ENTRY_TOPIC_CONFIG = 20,
    LOG_ENTRY_SETTLED = 24,
    LOG_ENTRY_ANSWER = 28,
    LOG_ENTRY_SEQUENCED = 32,
    LOG_ENTRY_PRODUCER_ID = 33,
    LOG_ENTRY_OFFSET = 36,
    LOG_ENTRY_OFFSET_DELETE = 37, /* of one partition, or all of the group */
    LOG_ENTRY_TOPIC_OPEN = 40,    /* the config of an open topic */
};

#define LOG_ENTRY_HEADER_SIZE 8u
#define LOG_ENTRY_BATCH_SIZE 16u /* of the body before the batch itself */
#define LOG_ENTRY_KEYS_SIZE 16u  /* of the body before the fingerprints */
#define LOG_KEY_SIZE 16u         /* of a fingerprint */

/* Idempotency keys of records that the frame adds to a partition. */
struct log_entry_keys {
    uint32_t topic_id;
    uint32_t partition;
    struct slice fingerprints; /* LOG_KEY_SIZE bytes each; one at least */
};

/* A producer's newest number of a topic, and whose place it took (or none). */
struct log_entry_sequence {
    uint32_t topic_id;
    struct flow_fingerprint producer;
    uint64_t sequence;
    struct flow_fingerprint forgets;
};

/* What was answered to the first request with a key. */
struct log_entry_answer {
    uint32_t topic_id;
    struct flow_fingerprint key;
    struct flow_fingerprint body;
    uint64_t duplicates;
    struct slice answer; /* FLOW_ANSWER_MAX bytes at the most */
};

/* The newest batch of a Kafka producer on a partition. */
struct log_entry_sequenced {
    uint32_t topic_id;
    struct flow_sequence batch;
    int64_t base_offset; /* or -1 */
};

/* One decoded entry: the fields of its kind are set, the others zero. */
struct log_entry {
    enum log_entry_kind kind;
    struct flow_append append; /* BATCH: without base_offset; `batch` points into the frame */
    struct flow_count counts;
    struct flow_topic_change topic;
    struct flow_sink_change sink; /* topic_ids and ranges are NULL: see below */
    struct flow_settle settle;
    struct slice ids;    /* SINK_OPEN: topic ids, 4 bytes each */
    struct slice ranges; /* SINK_PREPARE, SINK_REDRIVE: LOG_RANGE_SIZE bytes each */
    struct log_entry_keys keys;
    struct log_entry_sequence sequence;
    struct log_entry_answer answer;
    struct log_entry_sequenced sequenced;
    int64_t producer_id;       /* PRODUCER_ID */
    struct flow_offset offset; /* OFFSET, OFFSET_DELETE; points into the frame */
};

#define LOG_RANGE_SIZE 40u

/* A range's LOG_RANGE_SIZE bytes, as a SINK_PREPARE or SINK_REDRIVE entry and a checkpoint have
 * them. */
void log_range_put(uint8_t *out, const struct flow_sink_range *range);
struct flow_sink_range log_range_get(const uint8_t *in);

/* A fingerprint's LOG_KEY_SIZE bytes, as a KEYS entry and files of keys have them. */
void log_key_put(uint8_t *out, struct flow_fingerprint key);
struct flow_fingerprint log_key_get(const uint8_t *in);

/* Bytes that the entries of `commit` take at the most: what repeats a key takes none. */
uint64_t log_entries_size(const struct flow_commit *commit);
/* Each writes one entry at `out`, which has room for it, and returns its size. */
size_t log_entry_put_batch(uint8_t *out, const struct flow_append *append);
/* All of a batch entry but the batch, of which append->batch_size bytes follow what it writes. */
size_t log_entry_put_batch_head(uint8_t *out, const struct flow_append *append);
size_t log_entry_put_counts(uint8_t *out, const struct flow_count *counts);
/* Of an open topic's creation it writes two: the creation, and its config. */
size_t log_entry_put_topic(uint8_t *out, const struct flow_topic_change *change);
size_t log_entry_put_sink(uint8_t *out, const struct flow_sink_change *change);
size_t log_entry_put_settle(uint8_t *out, const struct flow_settle *settle);
/* A SEQUENCE, an ANSWER or a SEQUENCED entry, as the request is of one kind or another. */
size_t log_entry_put_request(uint8_t *out, const struct flow_request *request);
size_t log_entry_put_producer_id(uint8_t *out, int64_t producer_id);
size_t log_entry_put_offset(uint8_t *out, const struct flow_offset *offset);
size_t log_entry_put_clean_stop(uint8_t *out);
/* The head of a KEYS entry, behind which `count` fingerprints follow. */
size_t log_entry_put_keys_head(uint8_t *out, uint32_t topic_id, uint32_t partition, uint32_t count);

/* Takes the next entry off `*payload`. ERR_END when there is none, ERR_CORRUPT, ERR_VERSION for a
 * kind that this program does not know. */
err_t log_entry_next(struct slice *payload, struct log_entry *out);
/* Range `index` of a SINK_PREPARE or SINK_REDRIVE entry. */
struct flow_sink_range log_entry_range(const struct log_entry *entry, uint32_t index);
/* Topic id `index` of a SINK_OPEN entry. */
uint32_t log_entry_topic_id(const struct log_entry *entry, uint32_t index);
