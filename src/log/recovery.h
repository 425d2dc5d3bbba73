#pragma once

/*
 * Reading the WAL back. Recovery accepts the longest chain of whole frames from the first one on,
 * applies them to the state, and says where the next frame goes. What comes behind the chain is a
 * torn tail (the last write of a crash: never acknowledged, cut) or the proof of damage (a frame
 * that says a missing one had been durable, a file that was cut or zeroed or belongs to another
 * directory: then recovery refuses and names the place). Blocks; any thread, nobody else using the
 * WAL.
 */

#include "log/checkpoint.h"
#include "log/state.h"
#include "log/wal.h"

struct log_recovery {
    uint64_t lsn;      /* of the last frame accepted; 0: the log is empty */
    uint32_t last_crc; /* its header's */
    uint32_t epoch;    /* its epoch; 0 when empty */
    int64_t time_ms;   /* its commit time */
    uint64_t frames;   /* applied */
    uint64_t bytes;    /* of those */
    struct log_frame_header last;
    bool clean; /* it was the mark of a clean stop */
    bool torn;  /* something unfinished was cut behind it */
};

/* Applies the frames to `state`, which is empty or what `checkpoint` (NULL without one) says; sets
 * wal->current and wal->offset, makes sure that the last accepted frame is on disk, and takes the
 * mark of a clean stop away. A crash at any point leaves what the next recovery takes to the same
 * end. ERR_CORRUPT with a detail that names file, byte range and lsn; ERR_VERSION; ERR_IO. */
err_t log_recover(struct log_wal *wal, const struct uuid *uuid,
                  const struct log_checkpoint *checkpoint, struct log_state *state,
                  struct log_recovery *out, struct err_text *why);
