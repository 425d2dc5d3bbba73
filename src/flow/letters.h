#pragma once

/*
 * What can be asked about dead letters and done with them; sources/redrive does it, the admin door
 * asks. Topics are those whose letters they are, not their DLQs. All on one loop; answers never
 * come before the call returns. What is handed over is the implementer's until its `done`.
 */

#include "base/assert.h"
#include "base/err.h"
#include "base/task.h"
#include "flow/letter.h"

#define FLOW_LETTERS_OUTCOMES 32u
#define FLOW_LETTERS_REASON_SIZE 32u
#define FLOW_LETTERS_ATTEMPTS 5u /* of max_attempts, where nothing is said */

/* So many letters of one kind. */
struct flow_letters_outcome {
    /* A reason, "accepted", "duplicate", "unknown", "sink:<name>" (delivered) or "refused:<name>"
     * (by that sink, once more); cut where it is longer. */
    char name[FLOW_LETTERS_REASON_SIZE];
    uint64_t count;
    uint64_t bytes; /* of the letters' values */
};

/* By name; what finds no room is added to the last, which is then called "other". */
struct flow_letters_outcomes {
    struct flow_letters_outcome items[FLOW_LETTERS_OUTCOMES];
    uint32_t count;
};

/* Reading: held letters of one topic, in order. */
struct flow_letters_walk {
    struct slice topic;
    struct flow_letter_filter filter;
    int64_t offset;    /* where to begin; below the first that is held: there */
    uint64_t size_max; /* of batches that are read, about */
    /* Called for each; false ends the walk behind it. The letter lives during the call. */
    bool (*letter)(struct flow_letters_walk *walk, const struct flow_letter *letter);
    void (*done)(struct flow_letters_walk *walk);

    err_t error; /* ERR_NOT_FOUND: no such topic, or one without letters; ERR_CORRUPT, … */
    int64_t next_offset; /* where the next walk goes on */
    int64_t end_offset;  /* of the queue */
    uint64_t held;       /* letters in all, when it began */
    bool complete;       /* it has come to the end */
    struct task task;    /* the implementer's, as what follows */
    void *implementer;
};

enum flow_letters_action { FLOW_LETTERS_REDRIVE, FLOW_LETTERS_PURGE };

/* What is to be done. Strings are copied. */
struct flow_letters_order {
    enum flow_letters_action action;
    struct slice topic;
    struct flow_letter_filter filter;
    uint64_t limit;        /* letters at the most; 0: all that were there when it began */
    uint64_t rate;         /* letters a second at the most; 0: as fast as it goes */
    uint32_t max_attempts; /* a letter that was tried more often is skipped */
    bool dry_run;          /* nothing is written; counts what would be */
};

enum flow_letters_phase {
    FLOW_LETTERS_RUNNING,
    FLOW_LETTERS_WAITING, /* for the log or a sink to work again; `why` says what it said */
    FLOW_LETTERS_FINISHED,
    FLOW_LETTERS_CANCELLED,
    FLOW_LETTERS_FAILED, /* `why` */
};

/* How far one is, or was. */
struct flow_letters_state {
    uint64_t number; /* which one: they count from 1 since the start */
    enum flow_letters_action action;
    enum flow_letters_phase phase;
    bool dry_run;
    int64_t started_ms;
    uint64_t offsets; /* that there are to look at */
    uint64_t offsets_passed;
    uint64_t matched; /* letters that the filter lets pass */
    uint64_t done;    /* of them redriven or purged; with dry_run: would be */
    uint64_t done_bytes;
    uint64_t skipped_attempts; /* tried too often already */
    uint64_t
        skipped_sink; /* of a sink that is not there, or that do not say which record they are */
    uint64_t refused; /* their sink has refused once more: they stay held */
    struct flow_letters_outcomes outcomes; /* of a redrive: what became of them */
    char why[160];
};

/* Begins one. */
struct flow_letters_begin {
    struct flow_letters_order order;
    void (*done)(struct flow_letters_begin *begin);

    err_t error; /* ERR_NOT_FOUND; ERR_EXISTS: one of the topic is running; others are the log's */
    struct err_text why;
    struct flow_letters_state state;
    struct task task; /* the implementer's, as what follows */
    void *implementer;
};

struct flow_letters;

struct flow_letters_ops {
    void (*walk)(struct flow_letters *letters, struct flow_letters_walk *walk);
    void (*begin)(struct flow_letters *letters, struct flow_letters_begin *begin);
    bool (*state)(struct flow_letters *letters, struct slice topic, struct flow_letters_state *out);
    bool (*cancel)(struct flow_letters *letters, struct slice topic);
};

struct flow_letters {
    const struct flow_letters_ops *ops;
};

static inline void flow_letters_walk(struct flow_letters *letters, struct flow_letters_walk *walk)
{
    ASSERT(walk->letter && walk->done);
    letters->ops->walk(letters, walk);
}

/* `done` says that it has begun, or why not. It goes on whether or not somebody watches. */
static inline void flow_letters_begin(struct flow_letters *letters,
                                      struct flow_letters_begin *begin)
{
    ASSERT(begin->done);
    letters->ops->begin(letters, begin);
}

/* The one that runs for the topic, or the last; false when there was none since the start. */
static inline bool flow_letters_state(struct flow_letters *letters, struct slice topic,
                                      struct flow_letters_state *out)
{
    ASSERT(out);
    return letters->ops->state(letters, topic, out);
}

/* Ends the one that runs, after the letters that are on their way; false when none does. */
static inline bool flow_letters_cancel(struct flow_letters *letters, struct slice topic)
{
    ASSERT(topic.size > 0);
    return letters->ops->cancel(letters, topic);
}

/* Counts a letter of `bytes`. */
void flow_letters_count(struct flow_letters_outcomes *outcomes, struct slice name, uint64_t bytes);
