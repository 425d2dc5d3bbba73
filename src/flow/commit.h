#pragma once

/*
 * The one write call. A commit is a set of changes, for any topics, of which all or none happen:
 * batches of records and dead letters, what the door counted, topics, sinks' epochs, dead letters
 * that are done with, offsets of consumer groups. It is built by an actor on its loop, handed over
 * whole to the log, and comes back through `done` on that loop. A commit that came back OK is on
 * disk (or, with `durability: interval`, will be within the stated time); one that came back with
 * ERR_FENCED may or may not be; with any other error nothing of it happened.
 *
 * Ownership: the commit and everything it points to are the log's from flow_log_commit until
 * `done`; the log patches base offsets into the batches.
 */

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/task.h"
#include "base/uuid.h"

struct io_loop;

/* Where the records of an append count in the ledger. */
enum flow_append_kind {
    FLOW_APPEND_RECORDS,      /* accepted by `topic_id` */
    FLOW_APPEND_DEAD_LETTERS, /* `topic_id` is a DLQ; dead-lettered by intake or pipeline of the
                                 topic it belongs to */
    FLOW_APPEND_SINK_LETTERS, /* `topic_id` is a DLQ; refused by a sink, whose range counts them */
};

/* A record's idempotency key, as 16 bytes that only this data directory makes of it; all zero: it
 * has none, and is never a duplicate. */
struct flow_fingerprint {
    uint64_t low;
    uint64_t high;
};

struct flow_append {
    uint32_t topic_id;
    uint32_t partition;
    enum flow_append_kind kind;
    uint32_t record_count; /* true count of records in `batch`; 0 only with `holes` */
    uint8_t *batch;        /* one batch (flow/batch.h) */
    size_t batch_size;
    /* What is left out of it leaves a hole in its offsets, which are the producer's: a batch of
     * which nothing is left is appended for its header, with offsets and numbers of its own. */
    bool holes;
    int64_t base_offset; /* result */
    /* Of each record in its order, or NULL: none has a key. What repeats a key of the topic is left
     * out and counted by the log, in the commit's counts of the topic, which has to be there. */
    const struct flow_fingerprint *keys;
    uint8_t *duplicates;      /* result, with `keys`: a bit a record, the lowest first */
    uint32_t duplicate_count; /* result */
};

static inline bool flow_fingerprint_is_none(const struct flow_fingerprint *key)
{
    return (key->low | key->high) == 0;
}

static inline bool flow_bit(const uint8_t *bits, uint32_t index)
{
    return bits[index / 8] >> index % 8 & 1;
}

static inline void flow_set_bit(uint8_t *bits, uint32_t index)
{
    bits[index / 8] = (uint8_t)(bits[index / 8] | 1u << index % 8);
}

/* What the door counted, for records of requests that were read whole. */
struct flow_count {
    uint32_t topic_id;
    uint64_t received;
    uint64_t duplicates; /* the log adds those that it finds */
    uint64_t refused;
};

/* What became of a dead letter that its queue holds no more. */
enum flow_settle_kind {
    FLOW_SETTLE_REDRIVEN = 1, /* handed to where it had failed; the outcome is in the same commit */
    FLOW_SETTLE_PURGED = 2,   /* an operator's decision */
};

/* Dead letters of one partition, [first, end), all held so far, are settled: nobody is shown them
 * again, and none is settled twice. A commit's settles of one partition rise. ERR_OFFSET_RANGE when
 * one of them is settled or gone already, ERR_BUSY when one is on its way to its sink,
 * ERR_TOO_LARGE when the partition's settled letters would lie in more pieces than the log keeps
 * (FLOW_SETTLED_RUNS_MAX): settle the older ones first. */
struct flow_settle {
    uint32_t topic_id; /* a DLQ */
    uint32_t partition;
    enum flow_settle_kind kind;
    uint32_t record_count; /* true count of records in the range */
    int64_t first_offset;
    int64_t end_offset;
};

#define FLOW_SETTLED_RUNS_MAX 65536u

/*
 * A request that counts once, however often it is sent. Its commit has one count, of the request's
 * topic, and nothing but records and dead letters of that topic; what is decided is part of it.
 *
 *   NUMBERED  a producer's requests have the numbers 0, 1, 2 ... of their topic. The next one
 *             counts; one that was there is a REPEAT; one past the next is a GAP. A producer that
 *             is not known, or has sent nothing for FLOW_PRODUCER_IDLE_MS, begins at 0
 *   KEYED     the first with a key counts, and its answer is kept for FLOW_ANSWER_KEPT_MS. The same
 *             key with the same body is a REPEAT, with another one OTHER_BODY
 *   SEQUENCED a batch of a Kafka producer, as Kafka has it: records have sequence numbers of their
 *             partition in each epoch. What follows the last one counts, and so does 0 in a higher
 *             epoch, and anything of a producer that the partition does not know. What was there is
 *             a REPEAT, a lower epoch OLD_EPOCH, all else a GAP. The commit has one append of
 *             records, which is that batch or what is left of it, with holes. One that is
 *             `refused` has none: it is a REPEAT where it was there, or it takes no numbers, and
 *             its commit is what it would be without the request
 *
 * Of a REPEAT nothing is appended: all that the commit received counts as duplicates. Of a GAP
 * (ERR_SEQUENCE_GAP), of OTHER_BODY (ERR_KEY_REUSED) and of OLD_EPOCH (ERR_PRODUCER_EPOCH) nothing
 * happens at all. What is answered because of an earlier commit waits for the flush of that one,
 * and fails with it. ERR_PRODUCERS_FULL: the topic has as many producers as are kept, none of them
 * idle for FLOW_PRODUCER_YIELD_MS; nothing happened.
 */
enum flow_request_kind { FLOW_REQUEST_NUMBERED, FLOW_REQUEST_KEYED, FLOW_REQUEST_SEQUENCED };

enum flow_request_result {
    FLOW_REQUEST_FIRST,
    FLOW_REQUEST_REPEAT,
    FLOW_REQUEST_GAP,
    FLOW_REQUEST_OTHER_BODY,
    FLOW_REQUEST_OLD_EPOCH,
};

#define FLOW_ANSWER_MAX 4096u
#define FLOW_SEQUENCE_MAX ((uint64_t)INT64_MAX)
#define FLOW_PRODUCER_IDLE_MS (UINT64_C(7) * 86400000)
#define FLOW_PRODUCER_YIELD_MS UINT64_C(3600000)
#define FLOW_ANSWER_KEPT_MS UINT64_C(86400000)
/* Of each producer and partition so many batches are known with their offsets, as in Kafka. */
#define FLOW_SEQUENCE_BATCHES 5u
#define FLOW_SEQUENCE_IDLE_MS UINT64_C(86400000)

/* Which of a producer's records a batch has. Nothing in it is negative. */
struct flow_sequence {
    int64_t producer_id;
    uint32_t partition;
    int32_t first;  /* number of its first record; INT32_MAX is followed by 0 */
    uint32_t count; /* of its numbers, those of records that are left out included */
    int16_t epoch;
};

struct flow_request {
    enum flow_request_kind kind;
    uint32_t topic_id;
    struct flow_fingerprint id;   /* of the producer's name, or of the key */
    uint64_t sequence;            /* NUMBERED: at most FLOW_SEQUENCE_MAX */
    struct flow_sequence batch;   /* SEQUENCED, without `id` */
    bool refused;                 /* SEQUENCED, by its contract: there is nothing to append */
    struct flow_fingerprint body; /* KEYED */
    struct slice answer; /* KEYED: at most FLOW_ANSWER_MAX bytes for whoever repeats it, who
                            makes of them and of `duplicates` what was answered first */
    uint8_t *kept;       /* KEYED: room for FLOW_ANSWER_MAX bytes */

    enum flow_request_result result;
    uint64_t expected;   /* result of a GAP */
    int64_t base_offset; /* result, SEQUENCED: of the batch, or -1: it was refused */
    bool forgotten;      /* result of a REPEAT, SEQUENCED: its base offset is not known any more */
    uint64_t duplicates; /* result, KEYED: what the log has left out of the first's records */
    size_t kept_size;    /* result of a REPEAT, KEYED: bytes in `kept` */
    struct flow_fingerprint forgets; /* the log's: the producer whose place this one takes */
};

enum flow_topic_op {
    FLOW_TOPIC_CREATE,     /* name, uuid, partition_count, parent_id; sets topic_id. With
                              config.open its config too, else that is a change of its own */
    FLOW_TOPIC_PARTITIONS, /* topic_id, partition_count: never lower */
    FLOW_TOPIC_CONFIG,     /* topic_id, config */
    FLOW_TOPIC_DELETE,     /* topic_id: with its records, for ever. What sinks had not delivered of
                              it counts as expired. A topic with a DLQ is refused: delete that
                              first */
    FLOW_TOPIC_LOG_START,  /* topic_id, partition, start_offset: what is before it is gone. Never
                              lower, never past the end. What sinks had not delivered of it counts
                              as expired */
};

/* How the records of batches are compressed once they are sealed (Kafka's numbers). */
enum flow_codec {
    FLOW_CODEC_NONE = 0,
    FLOW_CODEC_GZIP = 1,
    FLOW_CODEC_SNAPPY = 2,
    FLOW_CODEC_LZ4 = 3,
    FLOW_CODEC_ZSTD = 4,
};

/* What an open topic was given; what it was not is at its default (flow/topics.h). */
enum flow_topic_given {
    FLOW_TOPIC_RETENTION_MS = 1,
    FLOW_TOPIC_RETENTION_BYTES = 2,
    FLOW_TOPIC_CODEC = 4,
    FLOW_TOPIC_BATCH_BYTES = 8,
    FLOW_TOPIC_GIVEN_ALL = 15,
};

/* What becomes of a topic's records once they are sealed. Topics start with zeros. */
struct flow_topic_config {
    uint64_t retention_ms;    /* since their commit; 0: kept for ever */
    uint64_t retention_bytes; /* of all its partitions together, of an open topic that of each
                                 (flow_topic_bytes_max); 0: any amount */
    enum flow_codec codec;
    bool expire_undelivered; /* also what a sink has not delivered yet */
    /* Idempotency keys count for so long since their commit; 0: there are none. */
    uint64_t dedup_window_ms;
    uint64_t dedup_memory_bytes; /* of the newest ones */
    struct uuid dedup_secret;    /* fingerprints are made with it */
    /* Made by a client, without a contract: it takes any bytes. Such a topic has no keys, and is
     * not `expire_undelivered`. */
    bool open;
    uint16_t given;           /* enum flow_topic_given; open topics alone have what follows */
    uint32_t batch_bytes_max; /* of a producer's batch; 0: the server's */
};

/* Bytes that all partitions of a topic may hold together; 0: any amount. */
static inline uint64_t flow_topic_bytes_max(const struct flow_topic_config *config,
                                            uint32_t partition_count)
{
    uint64_t bytes = config->retention_bytes;
    if (!config->open || partition_count == 0)
        return bytes;
    return bytes > UINT64_MAX / partition_count ? UINT64_MAX : bytes * partition_count;
}

/* Longest topic name; `[a-zA-Z0-9._-]`, not "." or "..". */
#define FLOW_TOPIC_NAME_MAX 249u
#define FLOW_PARTITIONS_MAX 10000u

struct flow_topic_change {
    enum flow_topic_op op;
    uint32_t topic_id; /* result of a creation; ids begin at 1 */
    struct uuid uuid;
    struct slice name; /* FLOW_TOPIC_NAME_MAX bytes at the most: whoever asks has looked */
    uint32_t partition_count;
    uint32_t parent_id; /* for a DLQ: the topic whose dead letters it holds; else 0 */
    struct flow_topic_config config;
    uint32_t partition;
    int64_t start_offset;
};

/* What a sink's epoch covers of one partition: [first, end). Of an epoch that redrives: dead
 * letters of the sink, all held, and no others; `delivered` is how many. */
struct flow_sink_range {
    uint32_t topic_id;
    uint32_t partition;
    int64_t first_offset;
    int64_t end_offset;
    uint64_t delivered;     /* records of the range that the sink took */
    uint64_t dead_lettered; /* and that it refused for good; 0 where it redrives */
};

enum flow_sink_op {
    FLOW_SINK_OPEN,    /* name, topics: sets sink_id; known names keep id and cursors; topics that
                          are new start at their earliest offset */
    FLOW_SINK_PREPARE, /* sink_id, epoch = last + 1, ranges, outputs */
    FLOW_SINK_COMMIT, /* sink_id, epoch: the prepared one; cursors move to the ranges' ends, letters
                         of one that redrives are settled as redriven and count as delivered */
    FLOW_SINK_CLOSE,  /* sink_id: removed from the configuration; its row stays */
    FLOW_SINK_REDRIVE, /* as PREPARE, with ranges of DLQs, which rise. Nobody else settles those
                          letters from here on, and they neither expire nor are deleted.
                          ERR_OFFSET_RANGE and ERR_TOO_LARGE as for a settle; ERR_BUSY: some are on
                          their way to a sink already */
};

struct flow_sink_change {
    enum flow_sink_op op;
    uint32_t sink_id;
    uint64_t epoch;
    struct slice name;
    const uint32_t *topic_ids;
    uint32_t topic_count;
    const struct flow_sink_range *ranges;
    uint32_t range_count;
    struct slice outputs; /* the sink's own, given back after a restart */
};

/* Longest name of a consumer group, and most that it can say beside an offset. */
#define FLOW_GROUP_NAME_MAX 1024u
#define FLOW_OFFSET_METADATA_MAX 4096u

enum flow_offset_op {
    FLOW_OFFSET_COMMIT,       /* all fields; it takes the place of the one before */
    FLOW_OFFSET_DELETE,       /* group, topic_id, partition: harmless when there is none */
    FLOW_OFFSET_DELETE_GROUP, /* group: all that it has committed; harmless as well */
};

/* The offset that a consumer group reads next of a partition; whose group it is, and whether it may
 * say so, has been decided by whoever hands it over. ERR_NOT_FOUND without that partition,
 * ERR_OFFSETS_FULL when the log keeps as many bytes of them as it may. */
struct flow_offset {
    enum flow_offset_op op;
    struct slice group; /* 1 to FLOW_GROUP_NAME_MAX bytes */
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset;
    int32_t leader_epoch;
    struct slice metadata; /* FLOW_OFFSET_METADATA_MAX bytes at the most */
};

struct flow_commit {
    struct task task; /* the log's, as `link` */
    struct list link;
    void *log; /* the log's */
    struct io_loop *home;
    void (*done)(struct flow_commit *commit);

    struct flow_append *appends;
    uint32_t append_count;
    struct flow_count *counts;
    uint32_t count_count;
    struct flow_topic_change *topics;
    uint32_t topic_count;
    struct flow_sink_change *sinks;
    uint32_t sink_count;
    const struct flow_settle *settles;
    uint32_t settle_count;
    const struct flow_offset *offsets;
    uint32_t offset_count;
    struct flow_request *request; /* NULL: it counts each time it comes */
    bool gives_producer_id;       /* a number that no other commit gets, ever */
    int64_t producer_id;          /* result of that */

    err_t error;         /* result */
    uint64_t started_ns; /* the log's: when it was handed over */
    uint64_t probed;     /* the log's: which keys on disk it was held against */
    uint32_t probes;     /* the log's: reads that it waits for */
    err_t probe_error;   /* the log's */
};
