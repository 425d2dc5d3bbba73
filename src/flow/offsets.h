#pragma once

/*
 * What consumer groups have committed: for each partition the offset that is read next. Changed by
 * commits (struct flow_offset), asked for on any loop with flow_log_offsets and answered there
 * through `done`, by what is durable at that moment; the answer is the asker's own copy, freed with
 * flow_offsets_done.
 */

#include "base/arena.h"
#include "base/err.h"
#include "base/task.h"

struct io_loop;

struct flow_group_offset {
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset;
    int32_t leader_epoch; /* -1: the client said none */
    struct slice metadata;
};

struct flow_group {
    struct slice name;
    struct flow_group_offset *offsets; /* in no order */
    uint32_t offset_count;
};

struct flow_offsets {
    struct task task; /* the log's */
    const void *log;  /* the log's */
    struct io_loop *home;
    void (*done)(struct flow_offsets *offsets);
    void *owner;        /* the asker's */
    struct slice group; /* of this one alone, with its offsets; lives until the answer. Empty: the
                           names of all groups, with how many offsets each has */

    err_t error;
    struct arena arena; /* holds all that follows */
    struct flow_group *groups;
    size_t group_count;
};

/* Frees what the answer holds; the struct itself is the asker's. */
static inline void flow_offsets_done(struct flow_offsets *offsets)
{
    arena_done(&offsets->arena);
}
