#pragma once

/*
 * What the log knows: topics and partitions with where each batch lies, sinks with cursors and
 * epochs, the ledger. It is a function of the frames and nothing else: the same
 * log_state_apply builds it in recovery and keeps it true while the log runs, frame by frame, and
 * it is only ever given frames that are on disk. So there is nothing to undo after a failure.
 *
 * Owned by one actor (the sequencer's loop; before that, whoever opens the log).
 */

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/uuid.h"
#include "flow/snapshot.h"
#include "log/frame.h"
#include "log/partition.h"

/* Where bytes lie in the WAL, and when they were committed. */
struct log_position {
    uint64_t file_number;
    uint64_t offset; /* in the file */
    int64_t commit_time_ms;
};

/* What became of a DLQ's letters. */
struct log_letters {
    uint64_t redriven;
    uint64_t purged;
    uint64_t expired; /* held until the start passed them */
    uint64_t lost;    /* written off by fsck when they had one of these ends already: the partitions
                         do not count them any more */
};

struct log_topic {
    uint32_t id;
    struct uuid uuid;
    char *name;
    uint32_t parent_id;
    uint32_t partition_count;
    struct log_partition *partitions;
    struct flow_topic_config config;
    bool deleted; /* a name that is free again, no partitions; ids are never given twice */
    uint64_t received;
    uint64_t duplicates;
    uint64_t dead_lettered;
    uint64_t refused;
    uint64_t damaged; /* records that garner fsck --repair has written off */
    struct log_letters letters;
};

struct log_cursor {
    uint32_t topic_id;
    uint32_t partition;
    bool active; /* the sink still has the topic */
    int64_t offset;
    uint64_t records_first; /* of the partition, before where the sink began */
    uint64_t records;       /* of the partition, before `offset` */
};

struct log_sink {
    uint32_t id;
    char *name;
    bool open;
    struct log_cursor *cursors;
    uint32_t cursor_count;
    uint64_t epoch;
    bool prepared;
    struct flow_sink_range *ranges;
    uint32_t range_count;
    struct slice outputs;
    uint64_t delivered;
    uint64_t dead_lettered;
    uint64_t expired; /* records that were gone before the sink came to them */
    uint64_t damaged; /* written off by garner fsck --repair before the sink came to them */
    uint64_t lost;    /* written off, before or after: the partitions do not count them any more */
};

/* A segment that no partition has any more: its files are to be removed. Or all of a topic. */
struct log_doomed {
    uint32_t topic_id;
    uint32_t partition;
    int64_t base_offset; /* -1: the whole topic */
};

struct log_state {
    struct log_topic **topics; /* by id - 1 */
    uint32_t topic_count;
    struct log_sink **sinks; /* by id - 1 */
    uint32_t sink_count;
    struct map topics_by_name;
    struct map sinks_by_name;
    uint64_t index_bytes;
    struct log_doomed *doomed; /* for whoever removes files to take */
    size_t doomed_count;
    size_t doomed_capacity;
    struct list ready; /* waiters of partitions that log_state_apply added to, for the reader */
    bool clean_stop;   /* the last frame applied was the mark of a clean stop */
};

/* Empty. `seed` is for the maps of names. */
void log_state_init(struct log_state *state, uint64_t seed);
void log_state_done(struct log_state *state);
/* The topic, or NULL when there is none of this id. */
struct log_topic *log_state_topic(const struct log_state *state, uint32_t id);
struct log_topic *log_state_topic_named(const struct log_state *state, struct slice name);
/* The partition, or NULL. */
struct log_partition *log_state_partition(const struct log_state *state, uint32_t topic_id,
                                          uint32_t partition);
struct log_sink *log_state_sink(const struct log_state *state, uint32_t id);
struct log_sink *log_state_sink_named(const struct log_state *state, struct slice name);

/* The sink's cursor on the partition, or NULL. */
struct log_cursor *log_sink_cursor(const struct log_sink *sink, uint32_t topic_id,
                                   uint32_t partition);

/* Applies a whole frame whose payload has been checked by its CRC and lies at `position` (of the
 * frame). ERR_CORRUPT when an entry makes no sense here, ERR_VERSION, ERR_MEMORY; the state is
 * then only good for being freed. */
err_t log_state_apply(struct log_state *state, struct slice payload, struct log_position position);

/* Makes sure that log_state_apply will find room for one more batch of the partition. Undone for
 * all with log_state_forget_reserved. ERR_MEMORY. */
err_t log_state_reserve(struct log_state *state, struct log_partition *partition);
/* Takes back what frames that will never be applied had reserved: room and next offsets. */
void log_state_forget_reserved(struct log_state *state);

/* OK when the letters may be settled: all held, in a partition of a DLQ. ERR_NOT_FOUND,
 * ERR_INVALID, ERR_OFFSET_RANGE. */
err_t log_state_may_settle(const struct log_state *state, const struct flow_settle *settle);

/* True when an open sink has prepared an epoch with records of the partition before `offset`: they
 * stay until it has ended. */
bool log_state_held(const struct log_state *state, uint32_t topic_id, uint32_t partition,
                    int64_t offset);
/* Lets go of the segments that hold nothing at or past the partition's start; the last one stays
 * while it is appended to. ERR_MEMORY. */
err_t log_state_drop_expired(struct log_state *state, uint32_t topic_id, uint32_t partition);

/* Copies what the state says into the asker's arena. ERR_MEMORY. */
err_t log_state_snapshot(const struct log_state *state, struct flow_snapshot *out);
