#pragma once

/*
 * What consumer groups have committed: by group, topic and partition. A part of the state: what is
 * durable of it is a function of the frames. Belongs to the sequencer's loop.
 *
 * An offset is in here from when its commit is composed, so that nothing can fail once its frame is
 * on the disk; it counts when that frame is durable, and is taken out again when it never will be.
 *
 * Bound: LOG_OFFSETS_BYTES, with those on their way. What finds no room is refused; a group goes
 * when whoever keeps groups says so, and what it has of a topic when that is deleted.
 */

#include "base/buf.h"
#include "base/cursor.h"
#include "base/list.h"
#include "base/map.h"
#include "flow/offsets.h"
#include "log/frame.h"

#define LOG_OFFSETS_BYTES (UINT64_C(64) << 20)

struct log_offsets {
    struct map by_name;
    struct list groups; /* struct log_group, the first known first */
    struct list coming; /* values on their way, in the order of the log */
    uint64_t bytes;     /* of all of it */
    uint64_t bytes_max; /* LOG_OFFSETS_BYTES */
    uint64_t seed;
    uint32_t group_count; /* that have a durable offset */
    uint64_t count;       /* durable offsets */
};

/* Empty. `seed` is for the maps. */
void log_offsets_init(struct log_offsets *offsets, uint64_t seed);
void log_offsets_done(struct log_offsets *offsets);
/* The struct was copied to where it is; nothing is on its way. */
void log_offsets_moved(struct log_offsets *offsets);

/* The changes, which have been looked at, are on their way. ERR_MEMORY, ERR_OFFSETS_FULL: nothing
 * has happened. */
err_t log_offsets_add(struct log_offsets *offsets, const struct flow_offset *changes,
                      uint32_t count);
/* Takes out all that is on its way. */
void log_offsets_forget(struct log_offsets *offsets);
/* A frame with this change is durable: what was on its way counts; in recovery it is added.
 * ERR_MEMORY, in recovery only. */
err_t log_offsets_settle(struct log_offsets *offsets, const struct flow_offset *change);
/* The topic is deleted. */
void log_offsets_forget_topic(struct log_offsets *offsets, uint32_t topic_id);

/* Answers with copies of what is durable. ERR_MEMORY. */
err_t log_offsets_answer(const struct log_offsets *offsets, struct flow_offsets *out);

/* What a checkpoint has of the durable ones (docs/formats/checkpoint.md). */
void log_offsets_encode(const struct log_offsets *offsets, struct buf *out);
/* Reads that into an empty one. What it says of topics is the caller's to look at, in the answer.
 * ERR_CORRUPT, ERR_MEMORY. */
err_t log_offsets_decode(struct log_offsets *offsets, struct cursor *c);
/* Calls `visit` for each durable offset of each group until it says true; false when it never does.
 */
bool log_offsets_any(const struct log_offsets *offsets,
                     bool (*visit)(void *owner, struct slice group,
                                   const struct flow_group_offset *offset),
                     void *owner);
