#pragma once

/*
 * Checking a data directory that no server has open, and repairing it. Everything that a start
 * would rely on is read and compared: garner.meta, the checkpoints, every frame that is in no
 * segment yet, every segment with its indexes. What is wrong is told with its bytes and with what
 * that means for which offsets; without a repair nothing is written.
 *
 * A repair keeps every whole frame and batch. It rebuilds the state from the newest good
 * checkpoint and what frames can be read behind it, leaves out what is gone, and writes a new
 * checkpoint there: offsets that are lost become a hole that is never filled, and their records
 * the ledger's term `damaged`. What is changed was copied aside before. A repair that is
 * interrupted at any point can be begun again.
 *
 * Blocks; one thread, which calls the watcher too. docs/operations/fsck.md is for its user.
 */

#include "base/err.h"
#include "flow/batch.h"
#include "io/disk.h"

/* One thing that is not as it should be; what does not apply is 0 or NULL. The strings live as
 * long as the call. */
struct log_fsck_finding {
    bool error;          /* else a note: nothing is wrong with it, or a start sees to it */
    const char *code;    /* what kind, stable: "segment_damaged" */
    const char *path;    /* of the file, below the data directory */
    uint64_t first_byte; /* [first, end) of it */
    uint64_t end_byte;
    const char *topic;
    uint32_t partition;
    int64_t first_offset; /* [first, end) is lost */
    int64_t end_offset;
    uint64_t records; /* that many of them were records, as far as can be told */
    bool at_most;     /* maybe fewer: some of the offsets may never have been records */
    const char *text; /* a sentence for a person */
};

/* A topic's part of the ledger against what was found. */
struct log_fsck_topic {
    const char *name;
    bool dlq;
    uint64_t accepted;  /* as checkpoint and frames say; of a DLQ all that came in */
    uint64_t on_disk;   /* records counted in segments and frames */
    uint64_t expired;   /* records that retention has let go of */
    uint64_t damaged;   /* written off, with those of this repair */
    bool balanced;      /* the topic's equation holds */
    uint64_t end_total; /* offsets given, of all partitions */
};

/* Every call may be NULL. */
struct log_fsck_watcher {
    void *context;
    void (*found)(void *context, const struct log_fsck_finding *finding);
    /* What a repair does, one line each, before it does it. */
    void (*acts)(void *context, const char *text);
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void (*topic)(void *context, const struct log_fsck_topic *topic);
    /* Every batch that is whole, partition by partition in the order of offsets; checked, maybe
     * compressed. An error ends the check with it. */
    err_t (*batch)(void *context, struct slice topic, uint32_t partition,
                   const struct flow_batch *batch);
};

struct log_fsck_options {
    struct io_disk *disk;
    const char *data_directory;
    const char *aside; /* name below the data directory for the copies; NULL: no repair */
    struct log_fsck_watcher watcher;
};

struct log_fsck_result {
    uint64_t errors;
    uint64_t notes;
    bool repaired;           /* all errors were seen to: a start will find nothing wrong */
    uint64_t checkpoint_lsn; /* that a start would begin with; 0: none */
    uint64_t last_lsn;
    uint64_t frames;
    uint64_t segments;
    uint64_t batches;
    uint64_t records;
    uint64_t lost_records; /* as far as can be told */
};

/* Checks, and with `aside` repairs. OK with errors in the result too; ERR_IN_USE when a server has
 * the directory, ERR_NO_FILE when it is no data directory, ERR_VERSION, ERR_MEMORY, ERR_IO, ...
 * with detail when the work could not be done. */
err_t log_fsck(const struct log_fsck_options *options, struct log_fsck_result *out,
               struct err_text *why);
