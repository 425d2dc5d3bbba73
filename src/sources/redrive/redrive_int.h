#pragma once

/*
 * The inside of sources/redrive: the queue of dead letters as it is read (queue.c), a redrive or
 * purge (job.c), letters that go back to sinks (targets.c), what is written of it (audit.c). All on
 * one loop.
 */

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "flow/batch.h"
#include "flow/redeliver.h"
#include "sources/redrive/redrive.h"

#define REDRIVE_DLQ_SUFFIX ".dlq"
#define REDRIVE_AUDIT_TOPIC "_audit"
/* Letters on their way at once: to the topic, and to one sink. */
#define REDRIVE_STEP_LETTERS 256u
#define REDRIVE_LOT_LETTERS 2048u

/* A DLQ (it has one partition) and where its reading has come to. Embedded in its owner, and in
 * one call at a time. */
struct redrive_queue {
    struct io_loop *loop;
    struct flow_log *log;
    char topic[FLOW_TOPIC_NAME_MAX + 1];
    char dlq[FLOW_TOPIC_NAME_MAX + 1];
    void *owner;
    void (*learned)(struct redrive_queue *queue, err_t err);
    /* False: no further one in this step. */
    bool (*letter)(struct redrive_queue *queue, const struct flow_letter *letter);
    void (*stepped)(struct redrive_queue *queue, err_t err);

    struct flow_snapshot snapshot;
    struct flow_read read;
    bool known;        /* the first answer has fixed `end` */
    uint32_t topic_id; /* whose letters they are */
    uint32_t dlq_id;
    int64_t start;    /* of the queue */
    int64_t position; /* the next to look at */
    int64_t end;      /* letters that came later are left alone */
    uint64_t held;
    uint64_t read_bytes;         /* so far */
    struct flow_settled settled; /* owned */
};

/* `topic` without its suffix. False when it is no topic's name. */
bool redrive_queue_init(struct redrive_queue *queue, const struct sources_redrive_options *options,
                        struct slice topic);
void redrive_queue_done(struct redrive_queue *queue);
/* Asks what is settled and where the queue begins; `learned` follows. ERR_NOT_FOUND. */
void redrive_queue_learn(struct redrive_queue *queue);
/* Reads about `size_max` bytes from `position` on and shows the letters that are held; `stepped`
 * follows, with `position` behind the last one shown. ERR_OFFSET_RANGE: learn again. */
void redrive_queue_step(struct redrive_queue *queue, uint32_t size_max);
/* True when the offset was settled, or gone, when the queue was last learned. */
bool redrive_queue_settled(const struct redrive_queue *queue, int64_t offset);

/* One record of the topic `_audit` on its way. Embedded in its owner. */
struct redrive_audit {
    struct io_loop *loop;
    struct flow_log *log;
    void *owner;
    void (*done)(struct redrive_audit *audit, err_t err);

    struct buf text;
    struct flow_snapshot snapshot;
    struct flow_topic_change change;
    struct flow_append append;
    struct flow_count count;
    struct flow_commit commit;
    struct flow_batch_builder builder;
};

void redrive_audit_init(struct redrive_audit *audit, const struct sources_redrive_options *options);
void redrive_audit_done(struct redrive_audit *audit);
/* Writes what is in `text`, making the topic where there is none. `done` follows. */
void redrive_audit_write(struct redrive_audit *audit);

/* A letter on its way through the inlet. */
struct redrive_slot {
    struct flow_inlet_request request;
    struct redrive_job *job;
    int64_t offset;
    uint64_t bytes;
    bool failed;
};

struct redrive_lot;

/* A sink, and how far its letters are. */
struct redrive_target {
    struct flow_redeliver *sink;
    struct redrive_lot *lot; /* letters that are gathered, or that it has */
    int64_t next;            /* its letters before it are dealt with */
    bool under_way;          /* it has the lot */
    bool rest;               /* it had no room for all of the last one */
    bool behind;             /* this pass leaves its letters alone */
    bool failing;            /* as it said */
};

/* What a pass has left. */
enum redrive_left {
    REDRIVE_LEFT_NOTHING,
    REDRIVE_LEFT_AWAITED, /* sinks have it */
    REDRIVE_LEFT_FAILING, /* of sinks that fail */
    REDRIVE_LEFT_READY,   /* to be taken at once */
};

/* LEARNS -> AUDITS -> STEPS <-> COMMITS -> ENDS -> OVER; RESTS or AWAITS between two steps. */
enum redrive_job_at {
    REDRIVE_LEARNS,  /* the queue, first or again */
    REDRIVE_AUDITS,  /* that it begins */
    REDRIVE_STEPS,   /* reads */
    REDRIVE_COMMITS, /* letters are on their way */
    REDRIVE_RESTS,   /* the timer runs */
    REDRIVE_AWAITS,  /* nothing is left but what sinks have */
    REDRIVE_ENDS,    /* that it has ended is being written */
    REDRIVE_OVER,
};

struct redrive_job {
    struct list link;
    struct sources_redrive *redrive;
    struct arena arena; /* the order's strings */
    struct flow_letters_order order;
    struct flow_letters_state state;
    struct flow_letters_begin *begin; /* until it has begun */
    enum redrive_job_at at;
    bool cancelled;
    const struct flow_inlet_topic *inlet_topic;
    struct redrive_queue queue;
    struct redrive_audit audit;
    struct redrive_slot *slots;
    struct flow_settle *settles; /* of a purge's step */
    struct flow_commit commit;
    uint32_t slot_count;
    uint32_t settle_count;
    uint32_t outstanding;
    uint32_t step_room;
    uint32_t step_taken;
    uint64_t step_bytes;
    /* As it was before the step, which may have to be done again. */
    int64_t step_position;
    uint64_t step_skipped_attempts;
    uint64_t step_skipped_sink;
    err_t step_error;
    uint32_t failures; /* steps without one that worked between them */
    uint32_t audit_failures;
    uint64_t begun_ns;
    struct io_timer timer;

    struct redrive_target *targets; /* one a sink of the server */
    uint32_t target_count;
    int64_t main_next;      /* what is before it is dealt with, but for letters of targets */
    uint32_t in_flight;     /* letters that sinks have */
    uint32_t sink_failures; /* passes that ended with a sink that fails */
    bool next_pass;         /* it rests before that */
    err_t fatal;            /* not OK: the log refuses letters of a sink for good */
    char sink_why[160];
    struct io_timer patience; /* with sinks, while others wait */
};

struct sources_redrive {
    struct flow_letters letters;
    struct sources_redrive_options options;
    struct flow_redeliver **sinks;
    uint32_t sink_count;
    struct list jobs; /* one a topic: running, or the last */
    uint64_t job_number;
    uint32_t active; /* jobs, walks and refusals under way */
    bool stopping;
    bool stop_told;
    void (*stopped)(void *owner);
    void *stopped_owner;
    struct task stop_task;
};

/* job.c. Begins what `begin` orders, whose topic has a name that can be one; its `done` follows
 * unless ERR_MEMORY is returned. None of the topic runs. */
err_t redrive_job_begin(struct sources_redrive *redrive, struct flow_letters_begin *begin);
struct redrive_job *redrive_job_find(const struct sources_redrive *redrive, struct slice topic);
void redrive_job_cancel(struct redrive_job *job);
void redrive_job_free(struct redrive_job *job);
/* For targets.c: a lot is back; `waited`: the step waits for it. */
void redrive_job_lot_back(struct redrive_job *job, bool waited);

/* targets.c. ERR_MEMORY. */
err_t redrive_targets_init(struct redrive_job *job);
/* Lets go of what is under way; it counts as unknown. */
void redrive_targets_done(struct redrive_job *job);
/* NULL: the server has no such sink. */
struct redrive_target *redrive_target_find(const struct redrive_job *job, struct slice name);
/* Adds a letter to the sink's lot; `full`: no other one fits. ERR_MEMORY. */
err_t redrive_target_add(struct redrive_job *job, struct redrive_target *target,
                         const struct flow_letter *letter, bool *full);
/* Counts what became of a letter, or would. */
void redrive_target_count(struct redrive_job *job, const struct redrive_target *target,
                          bool delivered, uint64_t bytes);
/* Hands the lots over; each is outstanding from here on. */
void redrive_targets_send(struct redrive_job *job);
/* The patience with sinks begins. */
void redrive_targets_hurry(struct redrive_job *job);
/* It is over: they are left behind, unless there is nothing else to do (false). */
bool redrive_targets_leave(struct redrive_job *job);
/* A step went well: how far everybody is. */
void redrive_targets_advance(struct redrive_job *job);
/* Whether this pass has come to its end, and what is left then. */
bool redrive_targets_pass_over(const struct redrive_job *job);
enum redrive_left redrive_targets_left(const struct redrive_job *job);
/* Back to the first letter that was left, and the sinks' that were left behind are taken again. */
void redrive_targets_begin_pass(struct redrive_job *job);

/* redrive.c: one that was counted in `active` is over. */
void redrive_ended(struct sources_redrive *redrive);
