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
#include "flow/snapshot.h"

#define MODEL_TOPICS 4u /* two, and their DLQs behind them */
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
};

struct model_append {
    uint32_t topic; /* index: DLQs are MODEL_TOPICS / 2 behind their topics */
    uint32_t partition;
    enum flow_append_kind kind;
    uint32_t count;
    uint32_t value_size_max;
    int64_t base_offset; /* where it has to be, -1 while nobody knows */
    uint32_t found;      /* records found in this pass */
    int64_t found_at;
};

struct model_commit {
    uint32_t producer;
    enum model_state state;
    uint32_t topic; /* that the counts are of */
    uint64_t received;
    uint64_t duplicates;
    uint64_t refused;
    uint64_t size;
    uint32_t sink; /* number + 1 where it commits an epoch with dead letters, else 0 */
    uint64_t sink_epoch;
    uint32_t append_count;
    struct model_append appends[MODEL_APPENDS];
};

struct model_seen {
    uint32_t commit; /* number + 1; 0: not seen */
    uint32_t append;
    uint32_t index;
};

struct model_partition {
    struct model_seen *seen; /* by offset */
    int64_t seen_end;
    int64_t seen_capacity;
    int64_t durable_end;                   /* some reader was told so */
    uint32_t last_commit[MODEL_PRODUCERS]; /* of this pass */
};

struct model {
    struct model_commit *commits;
    uint32_t count;
    uint32_t capacity;
    struct model_partition partitions[MODEL_TOPICS][MODEL_PARTITIONS];
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

/* A new commit; returns its number. */
uint32_t model_add(struct model *model, uint32_t producer);
/* Puts the records of an append into `builder`. False without memory. */
bool model_build(const struct model *model, uint32_t commit, uint32_t append,
                 struct flow_batch_builder *builder);
/* How the commit was answered. `early`: an OK may have come before the flush. */
void model_answer(struct model *model, uint32_t commit, const struct flow_commit *answer,
                  bool early);
/* The process is gone: what was not answered is unknown. */
void model_crash(struct model *model);

/* What a reader was given: every record is whose it says, and where it always was. */
void model_batches(struct model *model, uint32_t topic, uint32_t partition,
                   const struct slice *batches, uint32_t count);
/* A reader was told that a partition ends there. */
void model_end(struct model *model, uint32_t topic, uint32_t partition, int64_t end_offset);

/* A pass over all partitions from their first record to their last, after a recovery: begin, all
 * batches in order, end. At the end everything acknowledged has been found where it was said to
 * be, whole; unknown commits are settled. */
void model_pass_begin(struct model *model);
void model_pass_batches(struct model *model, uint32_t topic, uint32_t partition,
                        const struct slice *batches, uint32_t count, int64_t *next_offset);
void model_pass_end(struct model *model);
/* Commits found that end this epoch of a sink with dead letters. */
uint32_t model_letters(const struct model *model, uint32_t sink, uint64_t epoch);
/* The ledger says what was found. Topics in the order of the model. */
void model_check_ledger(const struct model *model, const struct flow_snapshot *snapshot,
                        const uint32_t topic_ids[static MODEL_TOPICS]);
