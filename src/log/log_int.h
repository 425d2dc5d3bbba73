#pragma once

/*
 * The inside of the log: the actor's own fields, and what its files do for one another. All on
 * the sequencer's loop.
 */

#include "io/loop.h"
#include "log/log.h"
#include "log/meta.h"
#include "log/pin.h"
#include "log/recovery.h"
#include "log/retention.h"
#include "log/scrub.h"
#include "log/sealer.h"
#include "log/state.h"
#include "log/tail.h"
#include "log/wal.h"

/* Room that records leave for the commits of sinks and for the mark of a clean stop. */
#define LOG_RESERVE_BYTES (UINT64_C(256) << 10)

/*
 *            first frame flushed                   log_stop
 *  FENCED ────────────────────────► RUNNING ───────────────────► STOPPING ──► STOPPED
 *     ▲                                │                             ▲
 *     └──────── write or flush failed ─┘        log_stop ────────────┘ (from FENCED too)
 */
enum log_mode { LOG_RUNNING, LOG_FENCED, LOG_STOPPING, LOG_STOPPED };

/* A frame on its way: composed, then flushed. Two of them take turns. */
struct log_frame {
    struct io_job job;
    struct log *log;
    uint8_t *data;     /* header and payload; in the tail's ring, or `own` */
    uint8_t *own;      /* of a frame that is too large for that */
    uint64_t capacity; /* of payload */
    uint64_t payload_size;
    uint64_t disk_size;
    uint32_t payload_crc;
    bool control;           /* log_compose_is_control of a commit in it */
    bool configures;        /* it changes what topics keep, and which keys they know */
    uint32_t early_answers; /* commits of it that were answered before the flush */
    struct list commits;    /* to be answered once it is durable */
    struct log_frame_header header;
    struct log_position position;
    struct io_file *file;
    uint64_t composed_ns; /* when its first commit came in */
    err_t error;          /* of the flush */
    uint64_t flush_ns;    /* how long it took */
};

/* A key that passed the filter of a file, and is to be read there. */
struct log_probe {
    struct flow_commit *commit; /* NULL: it was answered meanwhile */
    uint32_t append;
    uint32_t record;
    struct log_keys_bucket *bucket; /* held */
    struct flow_fingerprint key;
    bool found; /* result */
    err_t error;
};

/* Reads of keys for all commits that wait, one job at a time. */
struct log_prober {
    struct io_job job;
    struct log_probe *probes;
    size_t count;
    size_t capacity;
    bool running;
    bool reported; /* the last job failed, and that has been logged */
};

struct log_counters {
    uint64_t commits;
    uint64_t frames;
    uint64_t frame_bytes;
    uint64_t fences;
    uint64_t refused_full;
    uint64_t early_answers;
    uint64_t early_answers_lost;
    uint64_t reads_tail;
    uint64_t reads_disk;
    uint64_t read_bytes;
    uint64_t reads_sealed;
    uint64_t recycled; /* files of the WAL */
    uint64_t duplicates;
    uint64_t probes; /* keys that passed the filter of a file */
    uint64_t probes_false;
    struct histogram commit;
    struct histogram flush;
};

/* Making the next file in the background. */
struct log_maker {
    struct io_job job;
    struct io_timer retry;
    struct io_timer pace; /* between two steps, when there is time */
    struct log_wal_making making;
    uint64_t number;     /* of the file; 0: an old one is removed */
    uint64_t old_number; /* of a file that is off the list; 0: none */
    bool running;
    bool reported; /* the failure has been logged */
    err_t error;   /* of the last try; OK again once one worked */
    struct err_text why;
};

struct log {
    struct flow_log flow;
    struct flow_exporter exporter;
    struct log_options options;
    struct logger *logger;
    struct io_file *lock;
    struct log_meta meta;
    struct log_wal wal;
    struct log_state state;
    struct log_tail tail;
    struct log_recovery recovered;

    enum log_mode mode;
    uint64_t durable_lsn;
    struct log_frame_header last; /* of that frame */
    uint32_t deleting_topic;      /* a deletion of it is on its way, or 0 */
    uint32_t epoch;
    bool epoch_begins; /* the next frame is the first of `epoch`, at the front of a file */
    int64_t time_ms;   /* commit time of the newest frame, monotone */

    struct list queue; /* struct flow_commit, waiting to be composed */
    uint64_t queue_bytes;
    struct log_frame frames[2];
    struct log_frame *open;     /* being composed, or NULL */
    struct log_frame *flushing; /* or NULL */
    struct log_maker maker;
    struct log_sealer sealer;
    struct log_retention retention;
    struct log_scrub scrub;
    struct log_pin pin;
    struct log_prober prober;
    struct io_timer heal;
    uint64_t heal_delay_ns;
    struct list reads; /* struct log_lease: jobs of the reader on their way */
    struct list finds; /* struct log_finding, on their way */

    struct task stop_task;
    struct io_loop *stop_home;
    struct task *stopped;
    bool stop_marked; /* the clean stop's frame is on its way or not possible */

    struct log_counters counters;
};

/* sequencer.c: a commit has arrived. */
void log_sequencer_submit(struct log *log, struct flow_commit *commit);
/* Moves on whatever can move: composes, flushes, makes the next file, stops. */
void log_sequencer_pump(struct log *log);
/* Sets up frames and timers. */
void log_sequencer_init(struct log *log);
/* Flushes a frame without a commit in it, unless one is on its way. */
void log_sequencer_flush_empty(struct log *log);

/* log.c: where the partition's segments lie; valid as long as the log. */
struct log_segment_place log_place(const struct log *log, const struct log_topic *topic,
                                   uint32_t partition);

/* compose.c: OK when the commit may be written to the state as it is. */
err_t log_compose_check(const struct log *log, const struct flow_commit *commit);
/* Begins `frame` with room for at least `payload_size`. ERR_MEMORY. */
err_t log_compose_begin(struct log *log, struct log_frame *frame, uint64_t payload_size);
/* Adds all entries of `commit`, giving it offsets and ids, without the records that repeat a key.
 * `*waits` is set when it repeats one whose frame is not durable. ERR_MEMORY and ERR_BUSY add
 * nothing. */
err_t log_compose_add(struct log *log, struct log_frame *frame, struct flow_commit *commit,
                      bool *waits);
/* True when the commit has records with keys. */
bool log_compose_has_keys(const struct flow_commit *commit);
/* Adds the mark of a clean stop. */
void log_compose_add_stop(struct log_frame *frame);
/* Places the frame in the WAL and writes its header; it will fit (log_wal_place). */
void log_compose_seal(struct log *log, struct log_frame *frame);
/* True when the commit changes topics or sinks, or settles letters: such commits are checked
 * against a state in which nothing of the kind is on its way. */
bool log_compose_is_control(const struct flow_commit *commit);
/* False for an append of which duplicates leave nothing that takes offsets. */
bool log_compose_stays(const struct flow_append *append);
/* True when the commit may take the room that records leave (LOG_RESERVE_BYTES). */
bool log_compose_uses_reserve(const struct flow_commit *commit);

/* compose_keys.c: marks the records that repeat a key in appends->duplicates, where those that were
 * found on disk are marked already, and adds the keys of the others to their topics. ERR_MEMORY,
 * ERR_BUSY: nothing has happened. */
err_t log_compose_keys(struct log *log, struct flow_commit *commit, bool *waits);
/* Takes back what the last log_compose_keys has added. */
void log_compose_keys_undo(struct log *log, const struct flow_commit *commit);
/* Zeroes the results of a commit that has arrived. */
void log_compose_keys_begin(struct flow_commit *commit);

/* compose_request.c: decides about the request of a commit that log_compose_check let pass.
 * ERR_MEMORY. */
err_t log_compose_decide(struct log *log, const struct flow_commit *commit);
/* True when nothing of the commit is to happen, by what was decided. */
bool log_compose_is_refused(const struct flow_commit *commit);
/* What a commit whose frame is durable is answered. */
err_t log_compose_verdict(const struct flow_commit *commit);
/* A first request is on its way. ERR_MEMORY, ERR_PRODUCERS_FULL: nothing has happened. */
err_t log_compose_request(struct log *log, const struct flow_commit *commit);

/* probe.c */
void log_probe_init(struct log *log);
/* True when the first commit of the queue has to wait for keys to be read from the disk; what the
 * others need is read with it. */
bool log_probe_must_wait(struct log *log, struct flow_commit *commit);
/* A commit that waits for keys is answered all the same. */
void log_probe_forget_one(struct log *log, struct flow_commit *commit);
/* The commits of the queue are gone. */
void log_probe_forget(struct log *log);
void log_probe_done(struct log *log);

/* maker.c */
void log_maker_init(struct log *log);
/* Starts making a file when there is no spare and the limit allows one. */
void log_maker_kick(struct log *log);
/* True when waiting for a file makes sense: one is being made. */
bool log_maker_busy(const struct log *log);

/* reader.c: log_reader_submit takes what log_reader_begin has set up. */
void log_reader_begin(struct log *log, struct flow_read *read);
void log_reader_submit(struct log *log, struct flow_read *read);
/* Serves the reads whose partitions got something. */
void log_reader_wake(struct log *log);
/* Answers every waiting read with ERR_CANCELLED. */
void log_reader_cancel_all(struct log *log);
/* Forgets waiting reads and those on their way, without answers: their askers are gone. */
void log_reader_forget_all(struct log *log);
void log_reader_cancel(struct flow_log *flow, struct flow_read *read);
void log_reader_release(struct flow_log *flow, struct flow_read *read);
void log_reader_read(struct flow_log *flow, struct flow_read *read);

/* find.c */
void log_find(struct flow_log *flow, struct flow_find *find);
/* Forgets those on their way, without answers: their askers are gone. */
void log_find_forget_all(struct log *log);

/* status.c */
void log_status_snapshot(struct flow_log *flow, struct flow_snapshot *snapshot);
void log_status_offsets(struct flow_log *flow, struct flow_offsets *offsets);
void log_status_collect(struct flow_exporter *exporter, struct flow_report *report);
