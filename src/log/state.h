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
#include "log/keys.h"
#include "log/offsets.h"
#include "log/partition.h"
#include "log/requests.h"
#include "log/sequences.h"

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
    struct log_letters letters;
    uint64_t damaged;              /* records that garner fsck --repair has written off */
    struct log_keys *keys;         /* NULL: the topic has none */
    struct log_requests *requests; /* that count once; NULL: none came */
};

struct log_cursor {
    uint32_t topic_id;
    uint32_t partition;
    bool active; /* the sink still has the topic */
    int64_t offset;
    uint64_t records_first; /* of the partition, before where the sink began */
    uint64_t records;       /* of the partition, before `offset` */
    bool at_least;          /* or more: it comes from a start that was moved in among holes */
};

struct log_sink {
    uint32_t id;
    char *name;
    bool open;
    struct log_cursor *cursors;
    uint32_t cursor_count;
    uint64_t epoch;
    bool prepared;
    bool redrives; /* the prepared epoch: its ranges are of DLQs */
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

/* A file of keys that the state names no more. It is removed once no checkpoint that is kept names
 * it. */
struct log_doomed_keys {
    uint32_t topic_id;
    uint64_t number;
    enum log_keys_kind kind;
    uint32_t age;        /* checkpoints without it that are the newest */
    uint32_t saving_age; /* with the one on its way */
};

/* Keys that go to the end of a bucket's file. */
struct log_keys_write {
    struct log_segment_place place; /* its name is the topic's, which lives as long as the state */
    uint64_t number;
    uint32_t from;
    size_t at; /* in the bytes of all */
    size_t size;
};

struct log_keys_writes {
    struct log_keys_write *items;
    size_t count;
    size_t capacity;
    struct buf bytes;
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
    struct log_doomed_keys *doomed_keys;
    size_t doomed_keys_count;
    size_t doomed_keys_capacity;
    struct log_offsets offsets; /* of consumer groups */
    uint64_t keys_installs;     /* sorted files of keys that took a table's place since the start */
    struct log_sequences sequences; /* of Kafka's producers */
    struct list ready; /* waiters of partitions that log_state_apply added to, for the reader */
    bool clean_stop;   /* the last frame applied was the mark of a clean stop */
};

/* Empty. `seed` is for the maps of names. */
void log_state_init(struct log_state *state, uint64_t seed);
void log_state_done(struct log_state *state);
/* `to`, which is nothing yet, is `from` from here on; nobody waits for any of its partitions. */
void log_state_move(struct log_state *to, struct log_state *from);
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

/* Makes sure that the topic can keep requests. ERR_MEMORY. */
err_t log_state_ensure_requests(const struct log_state *state, struct log_topic *topic);

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
 * ERR_INVALID, ERR_OFFSET_RANGE, ERR_BUSY: some are on their way to their sink. */
err_t log_state_may_settle(const struct log_state *state, const struct flow_settle *settle);
/* OK when an epoch of the sink may redrive these letters: all held, nobody else's, in ranges that
 * rise, and no more than it has dead-lettered. Errors as above. */
err_t log_state_may_redrive(const struct log_state *state, const struct log_sink *sink,
                            const struct flow_sink_range *ranges, uint32_t count);
/* Runs of letters of the partition that are prepared for their sinks. */
uint32_t log_state_redriving_count(const struct log_state *state, uint32_t topic_id,
                                   uint32_t partition);

/* True when an open sink has prepared an epoch with records of the partition before `offset`: they
 * stay until it has ended. */
bool log_state_held(const struct log_state *state, uint32_t topic_id, uint32_t partition,
                    int64_t offset);
/* Lets go of the segments that hold nothing at or past the partition's start; the last one stays
 * while it is appended to. ERR_MEMORY. */
err_t log_state_drop_expired(struct log_state *state, uint32_t topic_id, uint32_t partition);

/* Lets go of the keys of a topic that are past its window, and closes its open bucket when that is
 * due. ERR_MEMORY. */
err_t log_state_turn_keys(struct log_state *state, struct log_topic *topic, int64_t now_ms);
/* Puts a sorted file in the place of a bucket's table; where the topic has let go of the bucket
 * meanwhile, the file is doomed. `file` is taken over. ERR_MEMORY: nothing has happened. */
err_t log_state_install_keys(struct log_state *state, uint32_t topic_id,
                             struct log_keys_bucket *bucket, struct log_keys_file *file);
/* Reads the files of keys that a decoded checkpoint names, for `data_directory`. ERR_CORRUPT when
 * one is missing or damaged. Blocks. */
err_t log_state_load_keys(struct log_state *state, struct io_disk *disk, const char *data_directory,
                          struct err_text *why);
/* Fixes what a checkpoint of this moment says of keys, and collects what their files lack for it.
 * ERR_MEMORY; `out` is to be freed in any case. */
err_t log_state_gather_keys(struct log_state *state, const char *data_directory,
                            struct log_keys_writes *out);
/* That checkpoint is durable. */
void log_state_keys_saved(struct log_state *state);
/* Durable keys that no checkpoint has, of all topics. */
uint64_t log_state_unsaved_keys(const struct log_state *state);
/* Writes what was collected, durably. Blocks. */
err_t log_keys_writes_run(struct io_disk *disk, const struct log_keys_writes *writes,
                          struct err_text *why);
void log_keys_writes_done(struct log_keys_writes *writes);
/* Whether a file in the topic's directory of keys is one that a checkpoint names, or will be
 * removed. */
bool log_state_keys_named(const struct log_state *state, const struct log_topic *topic,
                          const char *name);
/* Removes what a crash has left in directories of keys. Blocks. */
err_t log_state_sweep_keys(const struct log_state *state, struct io_disk *disk,
                           const char *data_directory, struct err_text *why);
/* The directory of the topic. */
void log_state_topic_directory(const struct log_topic *topic, const char *data_directory,
                               char out[static LOG_SEGMENT_PATH_MAX]);

/* Copies what the state says into the asker's arena. ERR_MEMORY. */
err_t log_state_snapshot(const struct log_state *state, struct flow_snapshot *out);
