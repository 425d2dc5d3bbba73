#pragma once

/*
 * The way in: a source hands over a request's bytes and says how they are framed; what stands
 * behind (pipeline) splits them into records, checks and commits them, and answers through `done`
 * on the same loop, in the order of hand-over for one topic. Sources never split records. One
 * inlet a loop; everything here runs on that loop.
 */

#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "flow/commit.h"
#include "flow/record.h"

enum flow_framing {
    FLOW_FRAMING_JSON,   /* one JSON value: an array is a batch, anything else one record */
    FLOW_FRAMING_NDJSON, /* a record a line */
    FLOW_FRAMING_RECORD, /* one record, whatever it is */
    FLOW_FRAMING_BATCH,  /* one record batch (flow/batch.h), whole, its CRC looked at. Its records
                            keep their order and offsets; one that is not accepted leaves a hole.
                            Where a contract refuses one, all of them are refused: the batch has one
                            answer */
};

#define FLOW_INLET_ERRORS_MAX 100u

/* One record that was not accepted. Owned by the request. */
struct flow_inlet_error {
    uint64_t index;     /* of the record in its request, from 0 */
    const char *reason; /* stable code: "json", "oversize", "schema", ...; part of `detail` */
    char *detail;       /* for a person; never the record's bytes */
};

struct flow_inlet_topic;
struct flow_inlet;

/*
 * Of a dead letter that is redriven, as one record (FLOW_FRAMING_RECORD): what it carries on, and
 * that it is settled, in the commit that holds what becomes of it. It is never refused: what fails
 * again is a dead letter again, whatever `on_invalid` and the queue's cap say, since it takes the
 * place of the one that it was. A commit that the log refuses for a letter fails all requests in
 * it: an inlet for redriven letters is used for nothing else.
 */
struct flow_inlet_history {
    struct flow_settle settle;
    uint32_t attempts;        /* how often it was tried, this time included */
    int64_t received_ms;      /* when it first came */
    struct slice received_at; /* the same, as it was written */
    struct slice source;      /* where it first came from */
    /* NULL: its key and time are what the contract says, and its body is JSON. Else it was part of
     * a batch, its value being `body`, and is judged and appended as that: to `partition`, or where
     * there is none, to that of its key. */
    const struct flow_record *produced;
};

/* How a client names a request that counts once (flow/commit.h). */
struct flow_inlet_once {
    enum flow_request_kind kind;
    struct flow_fingerprint id; /* flow_inlet_fingerprint of the producer's name or of the key */
    uint64_t sequence;          /* NUMBERED */
    struct flow_sequence batch; /* SEQUENCED, which is a BATCH: without `id` */
};

struct flow_inlet_request {
    struct list link; /* the inlet's */
    const struct flow_inlet_topic *topic;
    const char *source; /* name of the source, for dead letters: "http" */
    enum flow_framing framing;
    uint32_t partition; /* BATCH, and what was part of one: where it goes */
    struct slice body;  /* needed only during flow_inlet_submit, as what `history` points to; of a
                           BATCH until `done`: the log takes it from there, and writes its base
                           offset into it */
    const struct flow_inlet_history *history; /* NULL: it comes for the first time */
    const struct flow_inlet_once *once; /* NULL: it counts each time it comes; needed as `body` */
    void (*done)(struct flow_inlet_request *request);

    /* The answer. With an error that is not OK nothing was committed (or, ERR_FENCED, it is not
     * known), and the counts do not apply. */
    err_t error;
    uint64_t accepted;
    uint64_t duplicates;
    uint64_t dead_lettered;
    uint64_t refused;
    struct flow_inlet_error *errors;
    uint32_t error_count;
    uint64_t errors_truncated; /* not listed */
    int64_t base_offset;       /* BATCH: that of its first record; -1: none was appended */
    /* Of a request that counts once. One that repeats a number has only duplicates; one that
     * repeats a key has the first one's answer, one that repeats a batch its base offset. */
    bool replayed;     /* it repeats a key */
    bool forgotten;    /* it repeats a batch whose base offset is not known any more */
    uint64_t expected; /* with ERR_SEQUENCE_GAP: the number that comes next */
};

struct flow_inlet_ops {
    const struct flow_inlet_topic *(*topic)(struct flow_inlet *inlet, struct slice name);
    void (*submit)(struct flow_inlet *inlet, struct flow_inlet_request *request);
    void (*judge)(struct flow_inlet *inlet, struct flow_inlet_request *request);
    struct flow_fingerprint (*fingerprint)(const struct flow_inlet_topic *topic, struct slice text);
};

struct flow_inlet {
    const struct flow_inlet_ops *ops;
};

/* The topic called `name` that takes records from outside, or NULL. */
static inline const struct flow_inlet_topic *flow_inlet_topic(struct flow_inlet *inlet,
                                                              struct slice name)
{
    return inlet->ops->topic(inlet, name);
}

/* What stands for a producer's name, or for a key, on this topic. */
static inline struct flow_fingerprint flow_inlet_fingerprint(struct flow_inlet *inlet,
                                                             const struct flow_inlet_topic *topic,
                                                             struct slice text)
{
    ASSERT(topic && inlet->ops->fingerprint);
    return inlet->ops->fingerprint(topic, text);
}

/* Hands the request over; `done` is never called before this returns. */
static inline void flow_inlet_submit(struct flow_inlet *inlet, struct flow_inlet_request *request)
{
    ASSERT(request->topic && request->source && request->done);
    inlet->ops->submit(inlet, request);
}

/* Fills in the answer that flow_inlet_submit would give, at once, and does nothing: no commit,
 * `done` is not called. For a redrive's dry run. */
static inline void flow_inlet_judge(struct flow_inlet *inlet, struct flow_inlet_request *request)
{
    ASSERT(request->topic && request->source);
    inlet->ops->judge(inlet, request);
}

/* Adds an error to the answer (reason and detail are copied), or counts it as truncated when the
 * list is full or memory is short. */
void flow_inlet_add_error(struct flow_inlet_request *request, uint64_t index, const char *reason,
                          struct slice detail);
/* Frees the answer's errors. */
void flow_inlet_request_done(struct flow_inlet_request *request);
