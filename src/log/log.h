#pragma once

/*
 * The log: the one place where records become durable. One write-ahead log for all partitions;
 * docs/formats/wal.md has its bytes, log/README.md the way of a commit through it.
 *
 * An actor on one loop (the sequencer's), with workers for what blocks: one that flushes, one
 * that makes the next file, one that reads back, one that seals, one that checks. Commits and reads
 * come from any loop through flow/log.h.
 */

#include "base/err.h"
#include "base/logger.h"
#include "flow/log.h"
#include "flow/status.h"
#include "io/disk.h"
#include "io/loop.h"

struct log;

struct log_options {
    struct io_loop *loop; /* the sequencer's */
    struct io_worker *flusher;
    struct io_worker *maker;
    struct io_worker *reader;
    struct io_worker *sealer;
    struct io_worker *checker; /* NULL: what is on disk is not checked */
    struct io_disk *disk;
    struct logger *logger;      /* may be NULL */
    const char *data_directory; /* made when missing */
    uint64_t wal_limit_bytes;
    uint64_t wal_file_size;  /* 0: chosen from the limit */
    uint64_t tail_bytes;     /* memory for the newest frames */
    uint64_t large_bytes;    /* memory for frames larger than a quarter of that (or 4 MiB), which
                                one of them alone may pass; 0: no limit */
    uint64_t index_bytes;    /* memory for the index; over it intake gets ERR_LOG_FULL */
    bool early_answers;      /* durability: interval */
    uint64_t early_delay_ms; /* answers at most so long before the flush */
    uint64_t early_bytes;    /* and so many bytes */
    uint64_t check_every_ms; /* between two checks of what is on disk; 0: none */
};

/* Locks the directory, recovers, makes the first files. Blocks; before the loop runs. On failure
 * the detail says what is wrong and what to do: ERR_IN_USE (another server), ERR_UNSUPPORTED (a
 * network file system), ERR_VERSION, ERR_CORRUPT, ERR_NO_SPACE, ... Nothing is served, nothing of
 * what was there is changed. */
err_t log_open(const struct log_options *options, struct log **out, struct err_text *why);
/* The interface for everybody else. */
struct flow_log *log_flow(struct log *log);
/* Metrics and readiness. */
struct flow_exporter *log_exporter(struct log *log);
/* Bytes of batches that one commit can hold: a frame lies in one file of the log. A larger commit
 * gets ERR_TOO_LARGE. Constant; any thread. */
uint64_t log_commit_size_max(const struct log *log);
/* Refuses new commits, finishes those it has, cancels waiting reads, writes the mark of a clean
 * stop (unless the disk refuses) and posts `stopped` to `home`. From any loop. */
void log_stop(struct log *log, struct io_loop *home, struct task *stopped);
/* Closes files and frees. The loop and the workers no longer run anything of it. */
void log_free(struct log **log);
