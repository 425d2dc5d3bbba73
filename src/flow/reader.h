#pragma once

/*
 * Reading a partition by offset. A read is asked for by an actor on its loop and answered through
 * `done` there, with batches that stay in place until the lease is given back with
 * flow_log_release. Only flushed offsets are ever seen.
 */

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/task.h"

struct io_loop;

#define FLOW_READ_BATCHES 64u

struct flow_read {
    struct task task; /* the log's, as `link` and `lease` */
    struct list link;
    struct io_loop *home;
    void (*done)(struct flow_read *read);

    uint32_t topic_id;
    uint32_t partition;
    int64_t offset;    /* the first wanted; the first batch may begin before it */
    uint32_t size_max; /* bytes of batches; the first is given whatever its size */
    bool wait;         /* nothing there yet: answer when there is (or when cancelled), else at once
                          with no batch */

    err_t error; /* ERR_OFFSET_RANGE, ERR_NOT_FOUND, ERR_CORRUPT, ERR_CANCELLED, ERR_IO */
    struct slice batches[FLOW_READ_BATCHES];
    uint32_t batch_count;
    int64_t next_offset;    /* where the next read goes on */
    int64_t end_offset;     /* one past the last flushed record of the partition */
    int64_t commit_time_ms; /* of the first batch; once it is sealed, of its segment's last */
    void *lease;            /* may be given back through another flow_read that it was put into */
    size_t lease_bytes;     /* that it takes in memory */

    /* The log's: itself, and what a cancel that crosses an answer needs. */
    void *log;
    struct task cancel_task;
    bool answered;
    bool cancelled;
    bool cancel_returned;
};
