#pragma once

/*
 * Sealing: the oldest WAL file that is full goes, all partitions at once, into their segments;
 * then a checkpoint says so, and the file can be used again. And what else is done behind the
 * commits' back on the same worker: checkpoints where sealing lags, the removal of expired
 * segments. Belongs to the sequencer's loop; docs/formats/segment.md and checkpoint.md have the
 * bytes.
 *
 *            closed file            all windows          synced: index        written
 *   IDLE ───────────────► APPENDING ───────────► SYNCING ───────────► SAVING ───────► IDLE
 *     ▲                       │ failed: nothing      │ failed            │ failed     │
 *     └───────────────────────┴── happened ──────────┴───────────────────┘ (tried again)
 */

#include "base/buf.h"
#include "io/loop.h"
#include "log/checkpoint.h"
#include "log/state.h"

struct log;

enum log_sealer_phase {
    LOG_SEALER_IDLE,
    LOG_SEALER_APPENDING,
    LOG_SEALER_SYNCING,
    LOG_SEALER_SAVING,
    LOG_SEALER_REMOVING,
    LOG_SEALER_SORTING, /* a closed bucket of keys */
};

/* A partition with batches in the file that is sealed. */
struct log_seal_target {
    uint32_t topic_id;
    struct log_segment_place place; /* its name is the topic's, which lives as long as the log */
    struct flow_topic_config config;
    uint64_t segment_bytes_max;
    uint64_t entries_done; /* of the front of its index */
    struct log_segment *segments;
    uint32_t segment_count;
    bool begun; /* its directory is there and swept */
    /* Files that begin there or behind are leftovers; all of them, or what a pin holds is left
     * out. */
    int64_t sweep_from;
    bool sweeps_all;
};

/* Entries of one target in the window that is sealed. */
struct log_seal_run {
    uint32_t target;
    size_t first;
    size_t count;
};

/* Files that go: of a segment, or (base offset -1) of a topic. */
struct log_seal_removal {
    struct log_segment_place place;
    int64_t base_offset;
};

/* A closed bucket of keys on its way to a sorted file. */
struct log_seal_keys {
    struct log_keys_bucket *bucket; /* held; NULL: none */
    uint32_t topic_id;
    struct log_segment_place place;
    struct log_keys_file file; /* result */
};

/* A file of keys that goes. */
struct log_keys_removal {
    struct log_segment_place place;
    uint64_t number;
    enum log_keys_kind kind;
};

struct log_sealer {
    struct io_job job;
    struct io_timer pace;
    enum log_sealer_phase phase;
    bool running; /* the job is on its way */

    uint64_t
        file_number; /* APPENDING and SYNCING: the file, and from where it is still to be done */
    uint64_t file_size;
    uint64_t window;
    uint64_t window_size; /* of the step */
    struct io_file *wal;
    struct io_file *root; /* the data directory, for io_file_sync_all */
    struct log_seal_target *targets;
    uint32_t target_count;
    uint32_t target_capacity;
    struct log_index_entry *entries; /* of the step */
    size_t entry_count;
    size_t entry_capacity;
    struct log_seal_run *runs;
    size_t run_count;
    size_t run_capacity;
    uint8_t *data;
    uint64_t data_capacity;
    uint64_t step_read_bytes; /* the worker's, as all of the step while it runs */
    uint64_t step_written_bytes;
    struct buf out;
    struct buf merged;

    struct buf checkpoint; /* SAVING */
    struct log_keys_writes keys;
    uint64_t checkpoint_lsn;
    uint64_t checkpoint_file; /* its last frame's */
    uint64_t checkpoint_sealed;
    bool checkpoint_clean;
    uint64_t checkpoint_held; /* another one, which stays: its lsn, or 0 */
    bool final_saved;         /* of a stop: written, or not possible */

    struct log_seal_removal *removals; /* REMOVING */
    size_t removal_count;
    struct log_keys_removal *key_removals;
    size_t key_removal_count;
    bool removal_failed; /* and nothing has been sealed since */

    struct log_seal_keys sorting; /* SORTING */

    err_t error;
    struct err_text why;
    bool reported;
    /* Of the last failure, while it lasts: read while the worker writes `why`. */
    enum log_sealer_phase failed_phase;
    err_t failed_error;
    struct err_text failed_why;

    uint64_t sealed_file;  /* every file up to it is in segments */
    uint64_t saved_sealed; /* by the newest checkpoint */
    uint64_t saved_before; /* by the one before it, which is kept */
    uint64_t saved_file;   /* the last frame of the newest checkpoint is there */
    uint64_t saved_lsn;    /* that frame */
    uint64_t files_total;
    uint64_t read_bytes_total;
    uint64_t written_bytes_total;
    uint64_t checkpoints_total;
    uint64_t removed_total;
    uint64_t sorted_keys_total;
    uint64_t failures_total;
};

void log_sealer_init(struct log *log);
void log_sealer_done(struct log *log);
/* What recovery began with, and up to which file the checkpoint before it, which would serve if
 * that were lost, has sealed. */
void log_sealer_loaded(struct log *log, const struct log_checkpoint *checkpoint,
                       uint64_t sealed_before);
/* Starts what is to be done when nothing is on its way. */
void log_sealer_kick(struct log *log);
/* After the mark of a clean stop: gives up what can be given up, writes a last checkpoint. True
 * when nothing is on its way any more. */
bool log_sealer_stop(struct log *log);
/* Ends the current file before it is full, so that what is in it can be sealed; where there is no
 * spare one yet, nothing happens. */
void log_sealer_end_file(struct log *log);
/* True when files are being sealed, and went well the last time: room will come of it. */
bool log_sealer_frees(const struct log *log);
/* sealer_keys.c: what sealing does for idempotency keys. On the loop: */
/* True when so many keys are in no checkpoint that one is due. */
bool log_sealer_keys_lag(const struct log *log);
/* Takes a bucket that is to be sorted, or what is to be removed. False when there is none. */
bool log_sealer_take_bucket(struct log *log);
bool log_sealer_take_doomed_keys(struct log *log);
/* Before a checkpoint is encoded: it is without what is doomed. */
void log_sealer_keys_age(struct log *log);
/* It is durable. */
void log_sealer_keys_saved(struct log *log);
/* The bucket is sorted. ERR_MEMORY. */
err_t log_sealer_keys_sorted(struct log *log);
void log_sealer_keys_removed(struct log *log);
/* Gives back what is held, whatever came of it. */
void log_sealer_keys_done(struct log_sealer *sealer);
/* On the worker: */
err_t log_sealer_sort_bucket(struct log *log);
err_t log_sealer_remove_keys(struct log *log);

/* Bytes of files that are full and not sealed. */
uint64_t log_sealer_backlog(const struct log *log);
/* The highest number of a file that nobody needs any more. */
uint64_t log_sealer_recyclable(const struct log *log);
