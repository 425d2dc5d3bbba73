#pragma once

/*
 * Requests of one topic that count once (flow/commit.h): producers with the number that comes next,
 * and the answers that were given to requests with a key. A part of the state: what is durable of
 * it is a function of the frames. Belongs to the sequencer's loop.
 *
 * A request is in here from when its commit is composed, so that what follows is held against it at
 * once; it is durable when its frame is, and is taken out again when it never will be.
 *
 * Bounds, of each topic: LOG_PRODUCERS_MAX producers, and LOG_ANSWERS_BYTES of answers, beside
 * those of the two frames that are on their way. A producer goes when it was idle for
 * FLOW_PRODUCER_IDLE_MS, or, when its place is wanted, the longest idle one from
 * FLOW_PRODUCER_YIELD_MS on; its entry says so, since somebody may have been told. An answer goes
 * after FLOW_ANSWER_KEPT_MS, or the oldest when the bytes are full.
 */

#include "base/buf.h"
#include "base/cursor.h"
#include "base/list.h"
#include "base/map.h"
#include "log/frame.h"

#define LOG_PRODUCERS_MAX 65536u
#define LOG_ANSWERS_BYTES (UINT64_C(32) << 20)

struct log_producer {
    struct list link;
    struct flow_fingerprint id;
    uint64_t next;          /* by durable frames; 0: none of it is durable */
    uint64_t next_composed; /* by all frames */
    uint32_t on_its_way;    /* numbers that are composed and not durable */
    int64_t last_ms;        /* commit time of the durable one before `next` */
};

struct log_answer {
    struct list link;
    struct flow_fingerprint key;
    struct flow_fingerprint body;
    uint64_t duplicates;
    bool durable;
    int64_t commit_ms;
    uint32_t size;
    uint8_t bytes[];
};

/* Each only grows; since the start. */
struct log_requests_counts {
    uint64_t repeats[2]; /* by kind */
    uint64_t gaps;
    uint64_t other_bodies;
    uint64_t idle;      /* producers forgotten for being idle */
    uint64_t displaced; /* producers that had to make room */
    uint64_t refused;   /* that found no room */
    uint64_t dropped;   /* answers that had to make room */
};

struct log_requests {
    struct map producers; /* without those that leave */
    struct map answers;
    struct list used;    /* producers with a durable number, the longest idle first */
    struct list fresh;   /* producers without one */
    struct list leaving; /* their places are taken by frames on their way; in that order */
    struct list kept;    /* durable answers, the oldest first */
    struct list coming;  /* answers on their way */
    int64_t newest_ms;   /* of what is durable */
    uint64_t kept_bytes;
    uint64_t answers_bytes_max; /* LOG_ANSWERS_BYTES */
    uint32_t producers_max;     /* LOG_PRODUCERS_MAX */
    struct log_requests_counts counts;
};

/* NULL without memory. `seed` is for the maps. */
struct log_requests *log_requests_new(uint64_t seed);
void log_requests_free(struct log_requests **requests);
/* True when there is nothing that a checkpoint would have to say. */
bool log_requests_are_none(const struct log_requests *requests);

/* Fills in the request's result, by all that was composed so far. */
void log_requests_decide(struct log_requests *requests, struct flow_request *request,
                         int64_t now_ms);
/* A FIRST is on its way. ERR_MEMORY, ERR_PRODUCERS_FULL: nothing has happened. */
err_t log_requests_add(struct log_requests *requests, struct flow_request *request, int64_t now_ms);
/* Takes out all that is on its way. */
void log_requests_forget(struct log_requests *requests);
/* A frame of `commit_ms` with this entry is durable: what was on its way is what it was composed
 * as; in recovery it is added. ERR_MEMORY, in recovery only. */
err_t log_requests_settle_number(struct log_requests *requests,
                                 const struct log_entry_sequence *entry, int64_t commit_ms);
err_t log_requests_settle_answer(struct log_requests *requests,
                                 const struct log_entry_answer *entry, int64_t commit_ms);

/* What a checkpoint has of the durable ones (docs/formats/checkpoint.md). */
void log_requests_encode(const struct log_requests *requests, struct buf *out);
/* Reads that into an empty one. ERR_CORRUPT, ERR_MEMORY. */
err_t log_requests_decode(struct log_requests *requests, struct cursor *c);
