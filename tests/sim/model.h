#pragma once

/*
 * What the log has promised: every commit with what it holds and how it was answered, every
 * record that a reader has seen and where. Records are made of their commit's number, so that a
 * record that is read says whose it is and how every byte of it has to be.
 *
 * Any finding ends the program with the seed, the reason and the way to replay it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "flow/batch.h"
#include "flow/find.h"
#include "flow/reader.h"
#include "flow/snapshot.h"

#define MODEL_PARENTS 2u /* topics with DLQs, which come behind them */
#define MODEL_STATIC 4u  /* topics that are never deleted: those */
#define MODEL_TOPICS 12u /* each of the others is one life of a topic called the same */
#define MODEL_PARTITIONS 4u
#define MODEL_PRODUCERS 5u /* the last stands for the sinks */
#define MODEL_APPENDS 3u
#define MODEL_VALUE_SIZE_MAX 200000u /* of value_size_max */

enum model_state {
    MODEL_SENT,    /* not answered */
    MODEL_OK,      /* it is there */
    MODEL_EARLY,   /* answered, maybe before its flush */
    MODEL_UNKNOWN, /* answered ERR_FENCED, or not at all: there or not, whole */
    MODEL_NOT,     /* it is not there */
    MODEL_HIDDEN,  /* nobody knew yet, and now what would tell has expired: there or not, whole */
};

/* What is known of a topic that comes and goes. */
enum model_topic {
    MODEL_TOPIC_NONE,
    MODEL_TOPIC_ASKED, /* created, maybe */
    MODEL_TOPIC_LIVE,
    MODEL_TOPIC_LEAVING, /* deleted, maybe */
    MODEL_TOPIC_GONE,
};

/* Whether what a commit counted is in the ledger, where its records may be there by a repeat. */
enum model_counts { MODEL_COUNTS, MODEL_COUNTS_MAYBE, MODEL_COUNTS_NOT };

/* How a commit's request is named, so that it counts once. */
enum model_named {
    MODEL_NAMED_NOT,
    MODEL_NAMED_BY_KEY,
    MODEL_NAMED_BY_NUMBER,
    MODEL_NAMED_BY_SEQUENCE, /* as one batch of a producer that numbers its records */
};

struct model_append {
    uint32_t topic; /* index: DLQs are MODEL_TOPICS / 2 behind their topics */
    uint32_t partition;
    enum flow_append_kind kind;
    uint32_t count; /* of its offsets */
    uint64_t holes; /* a bit each, from the first on: no record is there */
    bool holed;     /* what is left out of it, by the log also, leaves holes */
    uint32_t value_size_max;
    int64_t base_offset; /* where it has to be, -1 while nobody knows */
    uint32_t found;      /* records found in this pass at or past the partition's start */
    int64_t found_at;    /* where its first offset is, or was; -1 when nothing was found */
};

struct model_commit {
    uint32_t producer;
    enum model_state state;
    uint32_t topic; /* that the counts are of */
    uint64_t received;
    uint64_t duplicates;
    uint64_t refused;
    uint64_t size;
    int64_t sent_ms; /* by the wall clock */
    uint32_t sink;   /* number + 1 where it commits an epoch with dead letters, else 0 */
    uint64_t sink_epoch;
    bool keyed; /* it counts once: its records have idempotency keys, or its request a name */
    enum model_named named;
    uint32_t stream; /* by number or sequence: of its producer, which numbers anew in each */
    uint64_t sequence;
    uint32_t before; /* by sequence: number + 1 of the one before; 0: none */
    int64_t producer_id;
    bool may_gap; /* by sequence: nobody knew whether the one before it was there */
    enum model_counts counts;
    uint32_t unsure;  /* repeats of which nobody knows whether they are in the log */
    bool repeating;   /* one that repeats it is on its way */
    bool resent;      /* and were sent again, so that they may be behind later ones */
    uint32_t repeats; /* number + 1 of the commit that this one sends again; it has no appends */
    uint32_t append_count;
    struct model_append appends[MODEL_APPENDS];
};

#define MODEL_HOLE UINT32_MAX

struct model_seen {
    uint32_t commit; /* number + 1; 0: not seen; MODEL_HOLE: no record is there, nor ever will be */
    uint32_t append;
    uint32_t index;
};

struct model_partition {
    struct model_seen *seen; /* by offset */
    int64_t seen_end;
    int64_t seen_capacity;
    bool holed;                            /* something was sent to it that may leave holes */
    int64_t durable_end;                   /* some reader was told so */
    int64_t start;                         /* what is below is gone */
    int64_t start_claimed;                 /* it has to be at least this: a reader was told so */
    int64_t pass_next;                     /* where this pass has come to */
    int64_t pass_end;                      /* where the last one ended */
    int64_t unreadable_from;               /* -1: all can be read */
    uint32_t last_commit[MODEL_PRODUCERS]; /* of this pass */
};

struct model {
    struct model_commit *commits;
    uint32_t count;
    uint32_t capacity;
    struct model_partition partitions[MODEL_TOPICS][MODEL_PARTITIONS];
    enum model_topic topics[MODEL_TOPICS];
    int64_t *ids; /* producer ids that were given */
    uint32_t id_count;
    uint64_t seed; /* of the records' bytes, and for messages */
    uint64_t lost_early_bytes;
    int64_t loss_allowed_from[MODEL_TOPICS][MODEL_PARTITIONS]; /* -1: nothing may be lost */
};

void model_init(struct model *model, uint64_t seed);
void model_done(struct model *model);
/* Prints what is wrong and how to see it again, and ends the program. */
_Noreturn void model_fail(const struct model *model, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define MODEL_EXPECT(model, expression)                                                            \
    do {                                                                                           \
        if (!(expression))                                                                         \
            model_fail(model, "%s:%d: not so: %s", __FILE__, __LINE__, #expression);               \
    } while (0)

/* Records of an append that are left beside its holes. */
static inline uint32_t model_left(const struct model_append *append)
{
    return append->count - (uint32_t)__builtin_popcountll(append->holes);
}

/* A new commit; returns its number. */
uint32_t model_add(struct model *model, uint32_t producer);
/* Puts the records of an append into `builder`, those that are to be left out too. False without
 * memory. */
bool model_build(const struct model *model, uint32_t commit, uint32_t append,
                 struct flow_batch_builder *builder);
/* A producer id was given: nobody else has it. */
void model_id(struct model *model, int64_t producer_id);
/* How the commit was answered. `early`: an OK may have come before the flush. */
void model_answer(struct model *model, uint32_t commit, const struct flow_commit *answer,
                  bool early);
/* Keys of the records of an append of a commit. */
void model_keys(const struct model *model, uint32_t commit, uint32_t append,
                struct flow_fingerprint *out);
/* A keyed commit, sent for the first time, had so many duplicates by its answer. */
void model_fresh(const struct model *model, uint32_t commit, uint32_t duplicates);
/* `number` repeats a commit: how that was answered, and how many records were duplicates. */
void model_repeated(struct model *model, uint32_t number, const struct flow_commit *answer,
                    uint32_t duplicates, bool early);
/* The process is gone: what was not answered is unknown. */
void model_crash(struct model *model);

/* What a reader was given: every record is whose it says, and where it always was; the first
 * wanted is among them, and none is left out. */
void model_read(struct model *model, uint32_t topic, const struct flow_read *read);
/* What a search by time has found fits what has been seen; offsets below `seen_end` had been when
 * it began. */
void model_found(struct model *model, uint32_t topic, const struct flow_find *find,
                 int64_t seen_end);
/* A timestamp to look for, such as records have. */
int64_t model_some_time(const struct model *model, uint64_t draw);
/* A snapshot says that a partition begins there. */
void model_start(struct model *model, uint32_t topic, uint32_t partition, int64_t start);
/* Nothing of the partition below `start` that was committed at or past `since_ms` is known to have
 * been there. */
bool model_all_older(const struct model *model, uint32_t topic, uint32_t partition, int64_t start,
                     int64_t since_ms);
/* Records of the partition from `first` up to `end`, as far as they have been seen. */
uint64_t model_records(const struct model *model, uint32_t topic, uint32_t partition, int64_t first,
                       int64_t end);
/* The most records that the partition can ever have had. */
int64_t model_records_max(const struct model *model, uint32_t topic, uint32_t partition);
/* A reader was told that a partition ends there. */
void model_end(struct model *model, uint32_t topic, uint32_t partition, int64_t end_offset);

/* A pass over all partitions from their start to their last record, after a recovery: begin, all
 * reads in order, end. At the end everything acknowledged has been found where it was said to
 * be, whole; unknown commits are settled. */
void model_pass_begin(struct model *model);
void model_pass_read(struct model *model, uint32_t topic, const struct flow_read *read);
void model_pass_end(struct model *model);
/* As many commits were found that end this epoch of a sink with dead letters. */
bool model_letters(const struct model *model, uint32_t sink, uint64_t epoch, uint32_t count);
/* The ledger says what was found. Topics in the order of the model. */
void model_check_ledger(const struct model *model, const struct flow_snapshot *snapshot,
                        const uint32_t topic_ids[static MODEL_TOPICS]);
