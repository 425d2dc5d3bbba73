#pragma once

/*
 * The inside of a runner, for runner.c, learn.c, lane.c and report.c. All of it is on the runner's
 * loop, but for `call` and what it points to while `calling`.
 */

#include "base/list.h"
#include "sinks/call.h"
#include "sinks/runner.h"

#define SINKS_CHUNK_SIZE_MAX (UINT32_C(1) << 20)
#define SINKS_CHUNK_SIZE_MIN (UINT32_C(16) << 10)

/*
 * An epoch of dead letters that are redriven goes the same way, between two of records.
 *
 *             commit         snapshot          plug-in                     plug-in
 *  NEW ─► OPENING ◄► LEARNING ─┬─► CONNECTING ─┬─► CLEANING ─► READING ─► PREPARING
 *            ▲           ▲     └───────────────┤                  ▲           │
 *            │           │      (prepared)     ▼    commit        │           ▼ commit
 *            │           └─ COMMITTING ◄── PUBLISHING ◄───────────│──────── SEALING
 *            │     (was recovered) └──────────────────────────────┘
 *            └── WAITING ◄── any of them that failed          CLOSING ─► STOPPED ◄── any of them
 *
 * READING and SEALING go back to LEARNING, without a pause, when the log has moved a cursor or
 * deleted a topic; LEARNING to OPENING, when that is why the sink could not be registered.
 */
enum sinks_state {
    SINKS_NEW,
    SINKS_OPENING,    /* the commit that registers the sink */
    SINKS_LEARNING,   /* a snapshot: cursors, whether an epoch is prepared */
    SINKS_CONNECTING, /* plug-in: open */
    SINKS_CLEANING,   /* plug-in: discard */
    SINKS_READING,    /* an epoch is open, or about to be; plug-in: write */
    SINKS_PREPARING,  /* plug-in: prepare */
    SINKS_SEALING,    /* the commit of what was prepared, with the dead letters */
    SINKS_PUBLISHING, /* plug-in: publish */
    SINKS_COMMITTING, /* the commit that ends the epoch and moves the cursors */
    SINKS_WAITING,    /* after a failure */
    SINKS_CLOSING,    /* reads come home; plug-in: close */
    SINKS_STOPPED,
    SINKS_STATE_COUNT,
};

struct sinks_topic {
    uint32_t id;
    char *name;      /* NULL before the first snapshot */
    uint32_t dlq_id; /* 0: has none */
    uint32_t dlq_partition_count;
    bool gone;                 /* deleted in the log: nothing is read, nothing is delivered */
    struct sinks_lane **lanes; /* by partition */
    uint32_t lane_count;
};

enum sinks_lane_state {
    SINKS_LANE_IDLE,
    SINKS_LANE_ASKED,   /* the log has the read */
    SINKS_LANE_READY,   /* batches are there, in `ready` */
    SINKS_LANE_WRITING, /* the call has them */
};

/* One partition. */
struct sinks_lane {
    struct flow_read read;
    struct list link; /* in `ready` */
    struct sinks_runner *runner;
    const struct sinks_topic *topic;
    uint32_t partition;
    enum sinks_lane_state state;
    bool stale;        /* what was asked for is not wanted any more */
    err_t stopped;     /* not OK: why it cannot be read; asked again later */
    err_t said;        /* the reason that was logged last; OK after it went on */
    err_t lost;        /* not OK: the log has nothing at `next`, as it answered */
    int64_t known;     /* the cursor before the last snapshot */
    int64_t committed; /* offsets: the cursor; the next to write; one past the last known */
    int64_t next;
    int64_t end;
    uint64_t delivered; /* of the open epoch */
    uint64_t dead_lettered;
    struct flow_batch_builder letters;
};

struct sinks_counters {
    uint64_t epochs;
    uint64_t failures;
    uint64_t read_bytes;
    struct histogram epoch_duration; /* from the first record to the end of the commit */
    struct histogram end_to_end;     /* from the commit of an epoch's oldest record to its end */
};

struct sinks_runner {
    struct sinks_runner_options options;
    char *name;
    struct flow_exporter exporter;
    struct sinks_topic *topics;
    uint32_t topic_count;
    uint32_t *topic_ids;

    struct sinks_lane **lanes; /* of all topics */
    uint32_t lane_count;
    struct list ready; /* lanes, in the order of arrival */
    uint32_t asked;    /* lanes whose read the log has */
    uint64_t held_bytes;
    uint32_t chunk_size;

    enum sinks_state state;
    struct sinks_call call;
    struct sinks_lane *writing; /* whose batches the call has */
    bool calling;
    bool stalled;
    struct flow_commit commit;
    struct flow_sink_change change;
    struct flow_snapshot snapshot;
    struct flow_sink_range *ranges; /* room for all lanes, as are the appends */
    struct flow_append *appends;
    struct buf outputs;

    uint32_t sink_id; /* 0: to be registered, also after a commit with unknown outcome */
    uint64_t epoch;   /* the last committed */
    uint64_t expired; /* records of the sink that went before it delivered them, as learned */
    bool learned;     /* at least once */
    bool lost;        /* a lane is: to be learned again */
    err_t refused;    /* not OK: so did the log answer the commit that led to LEARNING */
    bool hurries;     /* records expire under the sink: epochs are short until one is through */
    bool recovered;   /* the prepared epoch is from the snapshot, not from the lanes */
    bool begun;       /* something was written to the open epoch */
    bool roll;        /* it is to be closed */
    uint64_t begun_ns;
    int64_t oldest_ms;     /* commit time of the oldest record of the epoch */
    uint64_t letters_size; /* bytes of its dead letters */
    bool behind;           /* a record is known that is not delivered */
    uint64_t behind_ns;    /* since then */

    struct flow_redeliver redeliver;
    struct list redeliveries;        /* that wait for an epoch of their own */
    struct flow_redelivery *current; /* whose epoch it is; NULL: one of the lanes */
    uint64_t current_epoch;          /* 0: nothing of it was sent to the log */
    bool redrove;                    /* the last epoch was of letters */

    uint32_t failures;             /* in a row */
    enum sinks_state failed_state; /* the furthest of them; its success ends the row */
    bool blocked;
    struct err_text error;

    bool stopping;
    bool ends_asked; /* a snapshot is on its way that says up to where to deliver yet */
    bool ends_known;
    struct flow_snapshot ends;
    bool drained; /* nothing more is read: its share of the time to stop in is over */
    bool give_up; /* the time to stop in is over */
    bool abandoned;
    void (*stopped)(void *context, err_t err);
    void *stopped_context;
    struct task stop_task;
    uint64_t stop_timeout_ns;

    struct io_timer pause_timer;
    struct io_timer roll_timer;
    struct io_timer stall_timer;
    struct io_timer stop_timer;
    struct io_timer lane_timer;
    struct io_timer rest_timer; /* lanes that rest are asked again */
    struct sinks_counters counters;
};

/* Names of the states, stable. */
const char *sinks_state_name(enum sinks_state state);

/* learn.c. Notes which topics the log has no more, and says so once; true when that has changed. */
bool sinks_learn_topics(struct sinks_runner *runner, const struct flow_snapshot *snapshot);
/* The ids of those that it has, into `runner->topic_ids`; returns how many. */
uint32_t sinks_learn_topic_ids(struct sinks_runner *runner);
/* Takes over what the answer to a snapshot says of the sink: sets the lanes, making those that are
 * missing, epoch, outputs. A lane that was lost and whose cursor stands where it stood is stopped.
 * Errors: the snapshot's; ERR_MEMORY; ERR_NOT_FOUND, the log does not know the sink; what the log
 * refused the epoch with, when nothing has moved that would be the reason. */
err_t sinks_learn(struct sinks_runner *runner, const struct flow_snapshot *snapshot,
                  struct err_text *why);

/* lane.c. Asks the log for what comes next, unless the lane is stopped, lost or not idle, or the
 * runner is not reading. */
void sinks_lane_ask(struct sinks_lane *lane);
/* The same for all lanes. */
void sinks_lanes_ask(struct sinks_runner *runner);
/* Learns up to where the log goes when the sink is to stop. */
void sinks_lanes_learn_ends(struct sinks_runner *runner, const struct flow_snapshot *snapshot);
/* True when every lane that can be read is written up to the end that is known. */
bool sinks_lanes_at_end(const struct sinks_runner *runner);
/* Gives all batches back and calls all reads home; what they bring is stale. */
void sinks_lanes_recall(struct sinks_runner *runner);
/* Gives the batches of a lane back. */
void sinks_lane_release(struct sinks_lane *lane);
/* Stops a lane until the lane timer asks again; says so when the reason is new. */
void sinks_lane_stop(struct sinks_lane *lane, err_t err, const char *detail);
void sinks_lanes_free(struct sinks_runner *runner);
/* Fills `ranges` with what the lanes wrote; returns how many. */
uint32_t sinks_lanes_ranges(struct sinks_runner *runner);
/* Fills `appends` with the dead letters of the epoch; returns how many. */
uint32_t sinks_lanes_letters(struct sinks_runner *runner);
/* The epoch is committed: cursors stand behind what was written. */
void sinks_lanes_advance(struct sinks_runner *runner);
/* Something came that READING or CLOSING may wait for. By runner.c, for lane.c. */
void sinks_runner_pump(struct sinks_runner *runner);

/* redeliver.c. What the runner exports for redrives. */
void sinks_redeliver_init(struct sinks_runner *runner);
/* Whether letters are to be written before what the lanes have; makes them `current`. */
bool sinks_redeliver_next(struct sinks_runner *runner);
/* After how long the open epoch has to end: by its own time, or since letters wait. */
uint64_t sinks_redeliver_roll_ns(const struct sinks_runner *runner, uint64_t roll_ns);
/* Fills the ranges of `current` with what was delivered; returns how many. */
uint32_t sinks_redeliver_ranges(struct sinks_runner *runner);
/* Answers `current`. */
void sinks_redeliver_answer(struct sinks_runner *runner, err_t err, const char *why);
/* The sink fails, or stops: those that wait come back. */
void sinks_redeliver_refuse(struct sinks_runner *runner, err_t err, const char *why);
/* A snapshot has said how far the sink is: what became of `current`, whose commit failed. */
void sinks_redeliver_learn(struct sinks_runner *runner);
/* Letters wait: the open epoch's end may be nearer. By runner.c, for redeliver.c. */
void sinks_runner_hurry(struct sinks_runner *runner);

/* The exporter's `collect`. */
void sinks_report_collect(struct flow_exporter *exporter, struct flow_report *report);
