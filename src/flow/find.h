#pragma once

/*
 * Finding an offset by time: the first record of a partition, in the order of offsets, whose
 * timestamp is at or past the wanted one, or the first of those with the highest timestamp that
 * there is (Kafka protocol, ListOffsets). Records' timestamps need
 * not rise: records behind the found one may be older. Asked for by an actor on its loop, answered
 * through `done` there. Only flushed records are seen.
 */

#include "base/err.h"
#include "base/task.h"

struct io_loop;

/* Instead of a time: the highest that there is. */
#define FLOW_FIND_MAX (-3)

struct flow_find {
    struct task task; /* the log's, as `log` */
    struct io_loop *home;
    void (*done)(struct flow_find *find);

    uint32_t topic_id;
    uint32_t partition;
    int64_t timestamp_ms; /* wanted, or FLOW_FIND_MAX */

    err_t error;                /* ERR_NOT_FOUND (no such partition), ERR_CORRUPT, ERR_CANCELLED,
                                   ERR_IO, ERR_MEMORY */
    int64_t offset;             /* of the record; the end of the partition when there is none */
    int64_t found_timestamp_ms; /* the record's; -1 when there is none */

    void *log;
};
