#pragma once

/*
 * One partition as the log knows it: where its records begin and end, the segments that hold what
 * is sealed, and the index of every batch that is in the WAL alone. Offsets of segments are all
 * below those of the index; both rise. Owned by the sequencer's loop, as the state it is part of.
 */

#include "base/err.h"
#include "base/list.h"
#include "log/segment.h"
#include "log/settled.h"

/* One batch in the WAL. Offsets of consecutive batches rise; a gap is a hole. */
struct log_index_entry {
    int64_t base_offset;
    uint64_t records_before; /* records of the partition before this batch */
    int64_t max_timestamp_ms;
    int64_t commit_time_ms;
    uint32_t file_number; /* a directory never sees 2^32 files of 256 MiB */
    uint32_t file_offset; /* files are no longer than LOG_WAL_FILE_SIZE_MAX */
    uint32_t size;
    uint32_t record_count;
};
_Static_assert(sizeof(struct log_index_entry) == 48, "there is one for every batch");

/* Where the last read of a segment ended: the next one goes on there without asking the index. */
struct log_read_on {
    int64_t segment; /* its base offset */
    int64_t offset;
    uint64_t position; /* 0: not known */
};

struct log_partition {
    int64_t start_offset;
    int64_t end_offset;         /* durable */
    int64_t next_offset;        /* the sequencer's: what the next batch gets; >= end_offset */
    uint64_t records;           /* ever, up to end_offset */
    uint64_t records_start;     /* before start_offset */
    uint64_t wal_bytes;         /* of the batches in the index */
    uint64_t sealed_bytes;      /* of the segments */
    struct log_settled settled; /* of a DLQ: letters that are redriven or purged */

    struct log_segment *segments; /* by offset; the last one is appended to */
    uint32_t segment_count;
    uint32_t seal_target; /* the sealer's: 1 + its number there, 0 when nothing is under way */
    bool swept;           /* the sealer's: its directory is there, and holds nothing but segments */

    struct log_index_entry *index; /* the live ones, behind `index_dead` dead ones */
    size_t index_count;
    size_t index_dead;
    size_t index_capacity; /* dead ones included */
    size_t index_reserved; /* entries that frames on their way will add */
    struct list waiters;   /* the reader's: struct flow_read */
    struct log_read_on read_on;
};

/* Frees index, segments and what is settled. */
void log_partition_done(struct log_partition *partition);

/* Makes sure that log_partition_add will find room for one more batch; `*index_bytes` follows the
 * memory taken. ERR_MEMORY. */
err_t log_partition_reserve(struct log_partition *partition, uint64_t *index_bytes);
/* Adds a batch behind all others. ERR_MEMORY only where nothing was reserved. */
err_t log_partition_add(struct log_partition *partition, const struct log_index_entry *entry,
                        uint64_t *index_bytes);
/* Takes the first `count` entries out: their batches are in segments. */
void log_partition_drop_index(struct log_partition *partition, size_t count, uint64_t *index_bytes);

/* Puts `segments` in place: the first replaces the last one there when it has its base offset, the
 * others are added. ERR_MEMORY. */
err_t log_partition_put_segments(struct log_partition *partition,
                                 const struct log_segment *segments, uint32_t count);
/* Takes out the first `count` segments. */
void log_partition_drop_segments(struct log_partition *partition, uint32_t count);
/* How many segments, from the first on, hold nothing at or past `offset`. */
uint32_t log_partition_segments_before(const struct log_partition *partition, int64_t offset);
/* The segment where reading at `offset` goes on: the one that holds it or, where it lies in a
 * hole, the next. NULL when that is in the WAL. */
const struct log_segment *log_partition_segment(const struct log_partition *partition,
                                                int64_t offset);

/* The index of the last entry that begins at or before `offset`: the one that holds it unless it
 * lies in a hole. 0 when none begins before it. */
size_t log_partition_find(const struct log_partition *partition, int64_t offset);
/* Bytes of the batches in the WAL that hold something at or past the start. */
uint64_t log_partition_held_wal_bytes(const struct log_partition *partition);
/* When the first record from `offset` on, which is held, was committed; of one that is sealed, when
 * the first of its segment was. 0 when there is none. */
int64_t log_partition_commit_ms(const struct log_partition *partition, int64_t offset);
/* How many records: `least` and `most` are the same where it is known. */
struct log_count {
    uint64_t least;
    uint64_t most;
};

/* Records of the partition that come before `offset`. Known at the edges of batches in the WAL and
 * of segments, and within those that have no holes, as none has that garner builds itself. */
struct log_count log_partition_count_before(const struct log_partition *partition, int64_t offset);
/* Of what is possible the middle in a segment, the most in the WAL; before the start, what the
 * partition says of it. */
uint64_t log_partition_records_before(const struct log_partition *partition, int64_t offset);
