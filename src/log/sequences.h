#pragma once

/*
 * What the log knows of Kafka's producers (flow/commit.h, FLOW_REQUEST_SEQUENCED): of each one and
 * each partition the last batches with their sequence numbers and offsets; and which producer ids
 * were given. A part of the state: what is durable of it is a function of the frames. Belongs to
 * the sequencer's loop.
 *
 * A batch is in here from when its commit is composed, so that what follows is held against it at
 * once; it is durable when its frame is, and is taken out again when it never will be.
 *
 * Bound: LOG_SEQUENCES_MAX pairs of producer and partition in all topics together, beside those of
 * the two frames that are on their way. A pair goes when no batch of it came for
 * FLOW_SEQUENCE_IDLE_MS, by the frames' times, or, when there are too many, the longest idle one:
 * the next batch of its producer is then taken whatever its number is, as Kafka does. But a
 * producer that has its id from this log, and of which nothing can have been forgotten, begins at
 * 0: what comes first may be behind a batch that found the log busy.
 */

#include "base/buf.h"
#include "base/cursor.h"
#include "base/list.h"
#include "base/map.h"
#include "log/frame.h"

#define LOG_SEQUENCES_MAX 131072u

/* A producer on a partition. Without padding: its bytes are a key. */
struct log_sequence_key {
    int64_t producer_id;
    uint32_t topic_id;
    uint32_t partition;
};

struct log_sequence_batch {
    int32_t first;
    uint32_t count;
    int64_t base_offset; /* or -1: none of it was appended */
};

/* The numbers of one epoch. */
struct log_sequence_run {
    uint64_t length; /* numbers in a row that were there, up to the last one */
    int16_t epoch;
    uint16_t batch_count;                                     /* 0: none of it is known */
    struct log_sequence_batch batches[FLOW_SEQUENCE_BATCHES]; /* the last ones, the oldest first */
};

struct log_sequence {
    struct list link;
    struct log_sequence_key key;
    uint32_t on_its_way; /* batches that are composed and not durable */
    int64_t last_ms;     /* commit time of the newest durable one */
    struct log_sequence_run durable;
    struct log_sequence_run composed; /* by all frames */
};

/* Each only grows; since the start. */
struct log_sequences_counts {
    uint64_t repeats;
    uint64_t forgotten; /* repeats whose base offset was not known any more */
    uint64_t gaps;
    uint64_t old_epochs;
    uint64_t idle;      /* pairs forgotten for being idle */
    uint64_t displaced; /* pairs that had to make room */
};

struct log_sequences {
    struct map pairs;
    struct list used;  /* with a durable batch, the longest idle first */
    struct list fresh; /* without one */
    uint32_t used_count;
    uint32_t used_max;        /* LOG_SEQUENCES_MAX */
    int64_t newest_ms;        /* of what is durable */
    int64_t next_id;          /* producer ids below it are given, by durable frames */
    int64_t next_id_composed; /* by all frames, also those that never became durable */
    int64_t forgotten_below;  /* producer ids, of those given here, of which something may be
                                 forgotten */
    struct log_sequences_counts counts;
};

/* Empty. `seed` is for the map. */
void log_sequences_init(struct log_sequences *sequences, uint64_t seed);
void log_sequences_done(struct log_sequences *sequences);
/* `to`, which is nothing yet, is `from` from here on. */
void log_sequences_move(struct log_sequences *to, struct log_sequences *from);
/* True when there is nothing that a checkpoint would have to say. */
bool log_sequences_are_none(const struct log_sequences *sequences);

/* Fills in the request's result, by all that was composed so far. One that is refused is a REPEAT,
 * or a FIRST that is not to be added. */
void log_sequences_decide(struct log_sequences *sequences, struct flow_request *request);
/* A FIRST, with its base offset, is on its way. ERR_MEMORY: nothing has happened. */
err_t log_sequences_add(struct log_sequences *sequences, const struct flow_request *request);
/* Takes out all that is on its way. Producer ids are never taken back. */
void log_sequences_forget(struct log_sequences *sequences);
/* A frame of `commit_ms` with this entry is durable: what was on its way is what it was composed
 * as; in recovery it is added. ERR_MEMORY, in recovery only. */
err_t log_sequences_settle(struct log_sequences *sequences, const struct log_entry_sequenced *entry,
                           int64_t commit_ms);
/* The topic is gone, and nothing of it is on its way. */
void log_sequences_drop_topic(struct log_sequences *sequences, uint32_t topic_id);

/* A producer id that was never given. Of 62 bits the first 21 are those of `directory`, so that an
 * id of another data directory, which a producer may have kept, is none of this one's. The rest is
 * the time, so that a log that was set back to an older state (a backup, a repair) gives others
 * than it gave, or the one behind the last, when that is more. */
int64_t log_sequences_give_id(struct log_sequences *sequences, uint32_t directory, int64_t now_ms);
/* A frame that gives it is durable. */
void log_sequences_settle_id(struct log_sequences *sequences, int64_t producer_id);

/* What a checkpoint has of the durable ones (docs/formats/checkpoint.md). */
void log_sequences_encode(const struct log_sequences *sequences, struct buf *out);
/* Reads that into an empty one. Which topics and partitions there are is the caller's to ask, by
 * `exists`. ERR_CORRUPT, ERR_MEMORY. */
err_t log_sequences_decode(struct log_sequences *sequences, struct cursor *c,
                           bool (*exists)(const void *context, uint32_t topic_id,
                                          uint32_t partition),
                           const void *context);
