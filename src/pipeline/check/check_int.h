#pragma once

/*
 * The inside of pipeline/check: what its files share. A request is one pass: begun on the open
 * commit, split, judged record by record, then kept or rolled back whole. All on the check's
 * loop.
 */

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/metric.h"
#include "flow/batch.h"
#include "format/json/json.h"
#include "format/jsonschema/judge.h"
#include "pipeline/check/check.h"

enum pipeline_check_outcome {
    PIPELINE_CHECK_ACCEPTED,
    PIPELINE_CHECK_DEAD_LETTERED,
    PIPELINE_CHECK_REFUSED,
    PIPELINE_CHECK_DUPLICATE, /* as the log has found; was accepted here */
    PIPELINE_CHECK_OUTCOMES,  /* how many there are */
};

/* Why a record was refused though it would have become a dead letter, beside the reasons of
 * format/jsonschema. */
#define PIPELINE_CHECK_DLQ_FULL FORMAT_JSONSCHEMA_REASONS
#define PIPELINE_CHECK_REASONS (FORMAT_JSONSCHEMA_REASONS + 1)

/* Records and their bytes (as sent, the value alone) by outcome, and those that failed by reason
 * too. */
struct pipeline_check_tally {
    uint64_t records[PIPELINE_CHECK_OUTCOMES];
    uint64_t bytes[PIPELINE_CHECK_OUTCOMES];
    uint64_t dead_letters[FORMAT_JSONSCHEMA_REASONS];
    uint64_t refusals[PIPELINE_CHECK_REASONS];
};

void pipeline_check_tally_add(struct pipeline_check_tally *into,
                              const struct pipeline_check_tally *from);

/* The inlet's topic (flow/inlet.h). */
struct flow_inlet_topic {
    uint32_t index; /* in the check's table, for ever */
    bool gone;      /* has no contract any more, and takes nothing */
    char *name;
    uint32_t topic_id;
    uint32_t dlq_id;
    uint32_t partition_count;
    enum pipeline_check_on_invalid on_invalid;
    struct format_json_paths *paths; /* NULL: nothing is looked for */
    int key_at;                      /* in the paths; -1: none */
    int event_time_at;
    int dedup_at;
    uint8_t dedup_secret[HASH_SECRET_SIZE];
    uint8_t request_secret[HASH_SECRET_SIZE]; /* for what requests are named by */
    const struct format_jsonschema *schema;   /* NULL: any JSON; read-only, shared by the loops */
    uint32_t next_partition;                  /* for records without a key */
    uint32_t batch_bytes_max;                 /* 0: any size */
    uint64_t dlq_size_max;                    /* 0: no cap */
    bool dlq_full;                            /* as the last snapshot said */
    uint32_t dlq_watch;                       /* snapshots that are to be looked at for its sake */
    /* Where the open commit has what goes where: position + 1, 0 for not yet. `slot_at` has a
     * place for each partition and one more, for the dead letters. */
    uint32_t *slot_at;
    uint32_t part_at;
    struct pipeline_check_tally total; /* of commits that came back well */
};

/* The records of a batch from `first` on are of this request, up to those of the next. */
struct pipeline_check_span {
    struct flow_inlet_request *request;
    uint32_t first;
};

/* One batch of a commit. */
struct pipeline_check_slot {
    struct flow_batch_builder builder;
    /* Of topics with idempotency keys. */
    struct buf keys;             /* struct flow_fingerprint, one a record */
    struct buf spans;            /* struct pipeline_check_span */
    struct buf duplicates;       /* room for the log's answer */
    struct flow_batch_mark mark; /* as it was before request `mark_request` */
    uint64_t mark_request;
    uint32_t topic_index;
    uint32_t place;                   /* a partition, or partition_count: dead letters */
    struct flow_inlet_request *whole; /* the request whose one batch this is, or NULL */
    struct slice as_sent;             /* that batch where it is the request's own bytes */
};

/* What a commit holds of one topic. */
struct pipeline_check_part {
    uint32_t topic_index;
    struct pipeline_check_tally tally;
};

/*
 * A commit with its batches: idle in the pool, open, or under way (handed over and not answered).
 * Arrays grow while it is open, `appends` with `slots` and `counts` with `parts`, so that
 * handing over needs no memory.
 */
struct pipeline_check_commit {
    struct flow_commit flow;
    struct pipeline_check *check;
    struct list link;     /* of the pool or of those under way */
    struct list requests; /* struct flow_inlet_request, to be answered with it */
    struct pipeline_check_slot *slots;
    struct flow_append *appends;
    uint32_t slot_count;
    uint32_t slot_ready; /* slots whose builder is initialised, in use or not */
    uint32_t slot_capacity;
    struct pipeline_check_part *parts;
    struct flow_count *counts;
    uint32_t part_count;
    uint32_t part_capacity;
    struct flow_settle *settles; /* letters whose requests it holds */
    uint32_t settle_count;
    uint32_t settle_capacity;
    struct flow_inlet_request *once; /* the one request in it, which counts once, or NULL */
    struct flow_request request;     /* what the log has of that */
    struct buf answer;               /* kept by the log */
    struct buf kept;                 /* room for what it has kept */
    size_t size;                     /* bytes of all batches */
    /* As it was before the current request. */
    uint32_t mark_slot_count;
    uint32_t mark_part_count;
    size_t mark_size;
    uint64_t handed_over_ns;
    bool came_back;
};

/* IDLE -> ASKED -> RESTS -> ASKED or IDLE */
enum pipeline_check_cap_state {
    PIPELINE_CHECK_CAP_IDLE,
    PIPELINE_CHECK_CAP_ASKED, /* the log has the snapshot */
    PIPELINE_CHECK_CAP_RESTS, /* the timer runs */
};

struct pipeline_check {
    struct flow_inlet inlet;
    struct io_loop *loop;
    struct flow_log *log;
    uint64_t record_size_max;
    uint64_t request_size_max;
    uint64_t memory_bytes;    /* of batches under way */
    struct buf_budget budget; /* what they, those in the pool and the buffers below have allocated;
                                 the same bytes at the most */
    struct flow_inlet_topic **topics; /* each stays where it is, whatever its contract becomes */
    uint32_t topic_count;
    struct map topics_by_name;
    struct pipeline_check_commit *open; /* or NULL */
    struct list under_way;              /* commits, in the order of hand-over */
    struct list pool;
    uint32_t pool_count;
    uint64_t size_under_way; /* bytes of batches handed over */
    uint64_t request_number; /* of the current or last request, from 1 */
    struct list unplaced;    /* requests to answer that no commit holds */
    struct task turn_end;
    bool turn_end_queued;
    struct format_jsonschema_scratch *schema_scratch;
    struct buf scratch;  /* a key or time without its escapes */
    struct buf unpacked; /* a batch without its compression */
    struct buf left_out; /* bits of its records that are not appended */
    struct buf rest;     /* the batch without those */
    struct buf keys;     /* of those that are: struct flow_fingerprint */
    struct buf time;     /* arrival of the current request, as text; empty until needed */
    struct histogram commit_duration;
    uint64_t commits_failed;
    enum pipeline_check_cap_state cap_state;
    bool cap_again; /* once the timer has run: a DLQ is full, watched, or not known */
    bool cap_stopped;
    struct flow_snapshot cap_snapshot;
    struct io_timer cap_timer;
};

/* One request on its way through. */
struct pipeline_check_pass {
    struct pipeline_check *check;
    struct flow_inlet_topic *topic;
    struct flow_inlet_request *request;
    int64_t arrival_ms;
    uint64_t received; /* counted where records are split; outcomes where they are judged */
    struct pipeline_check_tally tally;
    bool dry; /* judged and nothing else */
    /* The record that is judged, where it came with key, headers and time of its own. */
    const struct flow_record *produced;
    struct format_jsonschema_judge judge;
    bool partition_chosen;
    uint32_t partition; /* of the request's records without a key */
    struct format_json_value found[3];
};

/* split.c: finds the records of the body and has each judged. What fails, fails the request. */
err_t pipeline_check_split(struct pipeline_check_pass *pass);

/* batch.c: the same for a body that is one record batch. */
err_t pipeline_check_batch(struct pipeline_check_pass *pass);

/* produced.c: judges a record that is part of a batch, and counts what it is. `taken`: it is no
 * dead letter, and is not refused; `key` is its idempotency key then, all zero for none: what is no
 * JSON has none, and is no duplicate. */
err_t pipeline_check_produced_judge(struct pipeline_check_pass *pass,
                                    const struct flow_record *record, bool *taken,
                                    struct flow_fingerprint *key);
/* The dead letter that pass->produced becomes. Adds two headers at the most: `key`, the contract's
 * (data NULL: none), where the record's own is another, and the partition. */
struct flow_record pipeline_check_produced_letter(const struct pipeline_check_pass *pass,
                                                  struct slice key, struct slice partition,
                                                  struct flow_header *headers,
                                                  uint32_t *header_count);
/* One record that was part of a batch, and is redriven: splits, judges, appends. */
err_t pipeline_check_produced_redrive(struct pipeline_check_pass *pass);

/* record.c: a record that passed, with what was found in it in pass->found. */
err_t pipeline_check_record_accept(struct pipeline_check_pass *pass, struct slice record);
/* The fingerprint of the idempotency key of the record whose values are in pass->found; all zero
 * for none. ERR_MEMORY. */
err_t pipeline_check_record_fingerprint(struct pipeline_check_pass *pass,
                                        struct flow_fingerprint *out);
/* Where a record with this key goes (data NULL: none). */
uint32_t pipeline_check_record_partition(struct pipeline_check_pass *pass, struct slice key);
/* A record that did not: a dead letter or a refusal, as the contract says. */
err_t pipeline_check_record_fail(struct pipeline_check_pass *pass, struct slice original,
                                 const struct format_jsonschema_refusal *refusal);

/* answer.c: what is kept of a request's answer, FLOW_ANSWER_MAX bytes at the most: where they are
 * not enough, without the errors. ERR_MEMORY. */
err_t pipeline_check_answer_encode(const struct pipeline_check_tally *tally,
                                   const struct flow_inlet_request *request, struct buf *out);
/* Fills in the answer of a request that repeats the one of which `kept` was kept, and of whose
 * records the log had left out `duplicates`. ERR_CORRUPT. */
err_t pipeline_check_answer_decode(struct slice kept, uint64_t duplicates,
                                   struct flow_inlet_request *request);

/* cap.c. To be called once, before the first request. */
void pipeline_check_cap_init(struct pipeline_check *check);
/* True when the topic's DLQ is known to be full; a broken record has come, so that is looked
 * after from here on. */
bool pipeline_check_cap_full(struct pipeline_check *check, struct flow_inlet_topic *topic);

/* check.c. A topic as its contract says; with an error it is still to be freed. `loop` is the
 * caller's. */
err_t pipeline_check_topic_new(struct io_loop *loop, const struct pipeline_check_topic *given,
                               struct flow_inlet_topic **out, struct err_text *why);
/* Frees and clears `*topic`; NULL in it is fine. */
void pipeline_check_topic_free(struct flow_inlet_topic **topic);
/* Hands the open commit over, if there is one. */
void pipeline_check_flush(struct pipeline_check *check);

/* commit.c. Opens a commit unless one is open, and sets the mark for a request on `topic`. */
err_t pipeline_check_commit_begin(struct pipeline_check *check, struct flow_inlet_topic *topic);
/* Adds a record of the current request at `place` of the topic, its own headers behind `headers`,
 * with its idempotency key where the topic has them (else NULL). ERR_MEMORY, ERR_TOO_LARGE. */
err_t pipeline_check_commit_append(struct pipeline_check_pass *pass, uint32_t place,
                                   const struct flow_record *record,
                                   const struct flow_header *headers, uint32_t header_count,
                                   const struct flow_fingerprint *key);
/* Adds the current request's one batch, with its records' idempotency keys (or NULL). ERR_MEMORY,
 * ERR_TOO_LARGE. */
err_t pipeline_check_commit_whole(struct pipeline_check_pass *pass, struct slice batch,
                                  uint32_t record_count, const struct flow_fingerprint *keys);
/* The current request is a redriven letter's, which is settled with it: the last step before it is
 * kept. ERR_MEMORY. */
err_t pipeline_check_commit_settle(struct pipeline_check *check, const struct flow_settle *settle);
/* The current request counts once, and is alone in the open commit: the last step before it is
 * kept. ERR_MEMORY. */
err_t pipeline_check_commit_once(struct pipeline_check_pass *pass);
/* The current request stays: counts what it was. */
void pipeline_check_commit_keep(struct pipeline_check *check, struct flow_inlet_topic *topic,
                                uint64_t received, const struct pipeline_check_tally *tally);
/* Takes everything of the current request out again; a commit that is empty then is put away. */
void pipeline_check_commit_rollback(struct pipeline_check *check);
/* Finishes the open commit's batches and hands it over; `done` gets it back. */
void pipeline_check_commit_hand_over(struct pipeline_check *check,
                                     void (*done)(struct flow_commit *flow));
/* What the log has found to be duplicates counts as such, for the requests and in the tallies. */
void pipeline_check_commit_learn(struct pipeline_check_commit *commit);
/* Why the request that counts once was refused, where it was. */
void pipeline_check_commit_learn_refusal(const struct pipeline_check_commit *commit);
/* Empties a commit and puts it into the pool, or frees it when the pool or the commit is full. */
void pipeline_check_commit_release(struct pipeline_check_commit *commit);
/* Frees what is in the pool; false when nothing is. */
bool pipeline_check_commit_drain(struct pipeline_check *check);
/* Frees a commit that is in no list. */
void pipeline_check_commit_free(struct pipeline_check_commit *commit);
