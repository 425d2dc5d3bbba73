#pragma once

/*
 * What the log knows at one durable moment: topics, sinks with their cursors, the ledger. Asked
 * for on any loop with flow_log_snapshot, answered there through `done`; the answer is the
 * asker's own copy, freed with flow_snapshot_done. All terms are of the same commit, so that
 * every equation of the ledger holds in every snapshot.
 */

#include "base/arena.h"
#include "base/err.h"
#include "base/task.h"
#include "base/uuid.h"
#include "flow/commit.h"

/* Letters of a DLQ's partition that are settled: [first, end). */
struct flow_settled_run {
    int64_t first_offset;
    int64_t end_offset;
    uint64_t record_count;
};

/* The settled letters of a partition that lie at or past its start, in order; with those of epochs
 * that are prepared, which will be settled and are nobody else's any more. */
struct flow_settled {
    struct flow_settled_run *runs;
    uint32_t count;
};

struct flow_topic_state {
    uint32_t id;
    struct uuid uuid;
    const char *name;
    uint32_t partition_count;
    uint32_t parent_id;    /* of a DLQ: its topic */
    int64_t *start_offset; /* a partition each */
    int64_t *end_offset;
    struct flow_topic_config config;
    uint64_t sealed_bytes; /* of its batches in segments */
    uint64_t wal_bytes;    /* and of those that are in the WAL alone */
    /* The topic's row: received = accepted + duplicates + dead_lettered + refused + damaged. */
    uint64_t received;
    uint64_t accepted;
    uint64_t duplicates;
    uint64_t dead_lettered;
    uint64_t refused;
    uint64_t damaged;
    /* For a DLQ: all that ever came in, and what became of it. */
    uint64_t dlq_total;
    uint64_t dlq_held;
    uint64_t dlq_redriven;
    uint64_t dlq_purged;
    uint64_t dlq_expired;
    uint64_t dlq_damaged;
    int64_t dlq_oldest_ms; /* when the oldest that is held was committed (once it is sealed, the
                              first of its segment); 0: none is */
    struct flow_settled *settled; /* a partition each; NULL but for the topic asked about */
};

struct flow_cursor_state {
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset; /* the next to deliver */
};

struct flow_sink_state {
    uint32_t id;
    const char *name;
    bool open;
    uint32_t topic_count;
    uint32_t *topic_ids;
    uint32_t cursor_count;
    struct flow_cursor_state *cursors;
    uint64_t epoch;                 /* the last committed */
    bool prepared;                  /* epoch + 1 is prepared and must be finished */
    struct flow_sink_range *ranges; /* of the prepared one */
    uint32_t range_count;
    struct slice outputs;
    /* accepted = delivered + dead_lettered + expired + aborted + compacted + damaged + pending */
    uint64_t accepted;
    uint64_t delivered;
    uint64_t dead_lettered;
    uint64_t expired;
    uint64_t aborted;
    uint64_t compacted;
    uint64_t damaged;
    uint64_t pending; /* counted from the cursors, not as the difference */
};

struct flow_snapshot {
    struct task task; /* the log's */
    const void *log;  /* the log's */
    struct io_loop *home;
    void (*done)(struct flow_snapshot *snapshot);
    struct slice settled_of; /* name of a DLQ whose settled letters are wanted too; lives until the
                                answer. Empty: none */

    err_t error;
    struct arena arena; /* holds all that follows */
    struct uuid log_uuid;
    uint64_t durable_lsn;
    uint32_t epoch;
    struct flow_topic_state *topics;
    size_t topic_count;
    struct flow_sink_state *sinks;
    size_t sink_count;
};

/* Frees what the answer holds; the struct itself is the asker's. */
void flow_snapshot_done(struct flow_snapshot *snapshot);
/* The topic called `name`, or NULL. */
const struct flow_topic_state *flow_snapshot_topic(const struct flow_snapshot *snapshot,
                                                   struct slice name);
/* The topic with this id, or NULL. */
const struct flow_topic_state *flow_snapshot_topic_by_id(const struct flow_snapshot *snapshot,
                                                         uint32_t id);
/* The sink called `name`, or NULL. */
const struct flow_sink_state *flow_snapshot_sink(const struct flow_snapshot *snapshot,
                                                 struct slice name);
/* The first of the runs that ends behind `offset`; `count` where none does. */
uint32_t flow_settled_place(const struct flow_settled_run *runs, uint32_t count, int64_t offset);
/* The first offset at or past `offset` that is not settled. */
int64_t flow_settled_skip(const struct flow_settled *settled, int64_t offset);
/* True when every equation of the ledger holds. */
bool flow_snapshot_balanced(const struct flow_snapshot *snapshot);
