#pragma once

/*
 * Segments: where the batches of one partition go when their WAL file is sealed. A segment is
 * `<data_directory>/topics/<topic>-<topic uuid>/<partition>/<base offset>.log`, record batches of
 * magic 2 one behind the other, with a sparse index by offset (`.index`) and one by time
 * (`.timeindex`), all three in Apache Kafka's formats, so that its tools read them.
 * docs/formats/segment.md draws them.
 *
 * How much of a segment counts stands in the checkpoint, not in the file: bytes behind it were
 * written by a sealing that nobody relied on yet, and are cut at the next start. What is here
 * blocks, and is called on the sealer's or the reader's worker (or before anything is served);
 * it touches only what it is given.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "flow/batch.h"
#include "flow/commit.h"
#include "io/disk.h"

#define LOG_SEGMENT_PATH_MAX 4096
#define LOG_SEGMENT_SIZE_MAX (UINT64_C(1) << 30)
/* Bytes of batches between two entries of the indexes. */
#define LOG_SEGMENT_INDEX_INTERVAL (UINT64_C(64) << 10)
/* Neighbouring batches smaller than this are merged up to it. */
#define LOG_SEGMENT_MERGE_SIZE (UINT64_C(64) << 10)
/* In `.index`: offset of the batch's last record less the base offset (4), where the batch begins
 * (4), both big-endian. */
#define LOG_SEGMENT_INDEX_ENTRY 8u
/* In `.timeindex`: the highest timestamp so far in ms (8), the last offset of the batch that has
 * it less the base offset (4), both big-endian. */
#define LOG_SEGMENT_TIME_ENTRY 12u

/* What the check of the disk (scrub.h) knows of a segment: in memory only. */
struct log_segment_checked {
    uint64_t bytes;       /* looked at, from the front */
    uint64_t records;     /* in those */
    int64_t end_offset;   /* behind the last of those */
    uint64_t at_ns;       /* when the look at the first byte was */
    uint32_t found;       /* differences in those bytes */
    uint32_t differences; /* that stand, by the last look at the whole */
};

/* What counts of a segment. */
struct log_segment {
    int64_t base_offset;     /* its name */
    int64_t end_offset;      /* one past its last record */
    uint64_t records_before; /* records of the partition before it */
    uint64_t records;
    uint64_t size;       /* of the .log */
    uint64_t next_index; /* the size from which on a batch gets an index entry */
    int64_t first_commit_ms;
    int64_t last_commit_ms;
    int64_t max_timestamp_ms;     /* of its records */
    int64_t max_timestamp_offset; /* the last offset of the batch that has it */
    int64_t indexed_timestamp_ms; /* of the last entry of the time index */
    uint32_t index_entries;
    uint32_t time_entries;
    struct log_segment_checked checked;
};

/* True when the next entry of the index has one of the time index with it. As in Kafka their times
 * rise; -1, where no record has one, is no time. */
static inline bool log_segment_time_rises(const struct log_segment *segment)
{
    return segment->time_entries > 0 ? segment->max_timestamp_ms > segment->indexed_timestamp_ms
                                     : segment->max_timestamp_ms != -1;
}

/* Where a partition's segments lie. */
struct log_segment_place {
    const char *data_directory;
    struct slice topic; /* name; the first LOG_SEGMENT_NAME_MAX bytes of it are in the path */
    struct uuid topic_uuid;
    uint32_t partition;
};

/* A directory's name ends at 255 bytes on common file systems; the uuid alone tells apart. */
#define LOG_SEGMENT_NAME_MAX 200u

enum log_segment_file { LOG_SEGMENT_LOG, LOG_SEGMENT_INDEX, LOG_SEGMENT_TIMES };

/* The path of one of a segment's files, of the partition's and of the topic's directory. */
void log_segment_path(const struct log_segment_place *place, int64_t base_offset,
                      enum log_segment_file which, char out[static LOG_SEGMENT_PATH_MAX]);
void log_segment_partition_path(const struct log_segment_place *place,
                                char out[static LOG_SEGMENT_PATH_MAX]);
void log_segment_topic_path(const struct log_segment_place *place,
                            char out[static LOG_SEGMENT_PATH_MAX]);

/* Makes the directories of the partition. */
err_t log_segment_make_directories(struct io_disk *disk, const struct log_segment_place *place,
                                   struct err_text *why);
/* Removes what lies in the partition's directory and begins at or past `end_offset`: leftovers of
 * a sealing that was not finished. */
err_t log_segment_sweep(struct io_disk *disk, const struct log_segment_place *place,
                        int64_t end_offset, struct err_text *why);
/* Appends whole batches with rising offsets (`bytes`, holding `records`, the last committed at
 * `commit_ms`) at the segment's end and moves `segment` on. The files of a segment of size 0 are
 * made; what lies behind the end is overwritten. Not synced. After an error `segment` is as it
 * was. */
err_t log_segment_append(struct io_disk *disk, const struct log_segment_place *place,
                         struct log_segment *segment, struct slice bytes, uint64_t records,
                         int64_t commit_ms, struct err_text *why);

/* Where reading begins to find `offset`: a batch's begin at or before the one that holds it, no
 * further before it than an index interval and a batch. */
err_t log_segment_find_offset(struct io_disk *disk, const struct log_segment_place *place,
                              const struct log_segment *segment, int64_t offset,
                              uint64_t *position);
/* An offset in the segment before which all records have lower timestamps. */
err_t log_segment_find_time(struct io_disk *disk, const struct log_segment_place *place,
                            const struct log_segment *segment, int64_t timestamp_ms,
                            int64_t *offset);

/* Makes the files what `segment` says: cuts what lies behind it. ERR_CORRUPT when one is missing
 * or too short, and `why` says which. */
err_t log_segment_cut(struct io_disk *disk, const struct log_segment_place *place,
                      const struct log_segment *segment, struct err_text *why);
/* Removes the topic's directory with all that is in it; one that is not there is fine. */
err_t log_segment_remove_topic(struct io_disk *disk, const struct log_segment_place *place,
                               struct err_text *why);
/* Removes the directories of topics whose uuid `wanted` says no to. */
err_t log_segment_sweep_topics(struct io_disk *disk, const char *data_directory,
                               bool (*wanted)(void *context, const struct uuid *uuid),
                               void *context, struct err_text *why);
/* Removes its files; those that are gone already are fine. */
err_t log_segment_remove(struct io_disk *disk, const struct log_segment_place *place,
                         int64_t base_offset, struct err_text *why);
/* Makes removals in the directory that held the segment (or, with `base_offset` -1, the topic)
 * last through a loss of power. A directory that is not there is fine. */
err_t log_segment_sync_removal(struct io_disk *disk, const struct log_segment_place *place,
                               int64_t base_offset, struct err_text *why);
