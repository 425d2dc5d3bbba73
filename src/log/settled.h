#pragma once

/*
 * The dead letters of one partition that are settled: redriven or purged (flow/commit.h). Runs of
 * offsets at or past the partition's start, in order, none touching the next. Owned by the
 * sequencer's loop, as the state it is part of.
 */

#include "base/err.h"
#include "flow/snapshot.h"

/* Zero-initialise. */
struct log_settled {
    struct flow_settled_run *runs;
    uint32_t count;
    uint32_t capacity;
    uint64_t records; /* of all runs */
};

void log_settled_done(struct log_settled *settled);
/* Makes sure that `count` calls of log_settled_add find room. ERR_MEMORY. */
err_t log_settled_reserve(struct log_settled *settled, uint32_t count);
/* True when an offset of [first, end) is settled. */
bool log_settled_overlaps(const struct log_settled *settled, int64_t first, int64_t end);
/* Adds a run, joined with those it touches. ERR_CORRUPT when it overlaps one, is empty, or has more
 * records than offsets; ERR_MEMORY only where nothing was reserved. */
err_t log_settled_add(struct log_settled *settled, const struct flow_settled_run *run);
/* Takes out all that lies in [first, end) and returns how many records it had. ERR_MEMORY-free: of
 * a run that it would cut in two, the part behind goes too (and counts) when there is no room. */
uint64_t log_settled_remove(struct log_settled *settled, int64_t first, int64_t end);
/* How far the run reaches that begins at or before `offset`; `offset` when none holds it. */
int64_t log_settled_end(const struct log_settled *settled, int64_t offset);
