#pragma once

/*
 * A disk over another one, with two more ways of its own: new files of the log are filled with
 * what older ones hold at the same place, as recycled ones would be, and it can be cut off, so
 * that what ends an actor after its process is gone no longer changes anything.
 */

#include "io/disk.h"

struct recycling_disk {
    struct io_disk io;
    struct io_disk *inner;
    bool recycles;
    bool cut_off;      /* every call but close is ERR_IO */
    uint64_t recycled; /* blocks that got an older file's bytes */
};

/* `inner` outlives it. */
void recycling_disk_init(struct recycling_disk *disk, struct io_disk *inner);
