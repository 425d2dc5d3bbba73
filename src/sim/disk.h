#pragma once

/*
 * The simulated disk: files and directories in memory, behind io/disk.h, with everything that real
 * ones do to those who do not sync. What was written can be read at once, and survives a power
 * loss (sim_disk_crash) for certain only once the file was synced, as a name does once its
 * directory was; of the rest any part may survive, in any order, torn or garbled (sim/content.h,
 * sim/tree.h say how). All chance comes from the seed. Single thread.
 *
 * Direct transfers that are not aligned are assertions. Locks are between handles.
 */

#include "io/disk.h"

struct sim_disk;

/* Zero-initialise for a disk without limits and faults. */
struct sim_disk_options {
    uint64_t capacity_bytes; /* ERR_NO_SPACE beyond; 0: no limit */
    bool no_direct;          /* IO_OPEN_DIRECT is ERR_UNSUPPORTED */
    bool network;            /* says that it is a network file system */
    /* So many of a million calls fail with ERR_IO. A write that fails has written a part; a sync
     * that fails may have made durable, lost, or lost from the cache too, any part, and the next
     * one succeeds all the same. */
    uint32_t read_failures_ppm;
    uint32_t write_failures_ppm;
    uint32_t sync_failures_ppm;
};

/* An empty disk. NULL when there is no memory. */
struct sim_disk *sim_disk_new(uint64_t seed);
/* Frees it with all files, open ones too. */
void sim_disk_free(struct sim_disk **disk);
/* What programs are given; lives as long as `disk`. */
struct io_disk *sim_disk_io(struct sim_disk *disk);
/* From here on these hold. */
void sim_disk_set(struct sim_disk *disk, const struct sim_disk_options *options);

/* The `n`-th call from here (1 is the next; every call but close counts) fails once with `code`,
 * as a failing one does (see above); names stay as they were. 0 turns it off. */
void sim_disk_fail_after(struct sim_disk *disk, uint64_t n, enum err_code code);
/* Calls since sim_disk_fail_after, or since the disk was made. */
uint64_t sim_disk_call_count(const struct sim_disk *disk);
/* The power fails in the `n`-th call from here that changes something (1 is the next; a sync is
 * one too): it may have had its effect, a part of it, or none. It and every later call return
 * ERR_IO until sim_disk_crash. 0 turns it off. */
void sim_disk_die_after(struct sim_disk *disk, uint64_t n);
/* Changes since sim_disk_die_after, or since the disk was made. */
uint64_t sim_disk_change_count(const struct sim_disk *disk);
/* The power has failed in a call. */
bool sim_disk_is_dead(const struct sim_disk *disk);

/* Only calls with paths (a file's: that it was opened by) that hold `part` fail or are the last,
 * and count for it; NULL: all again. `part` is kept, not copied. */
void sim_disk_aim(struct sim_disk *disk, const char *part);
/* Every call but close is ERR_IO, without effect, until it is taken back or the power fails: what
 * ends an actor whose process is gone changes nothing. */
void sim_disk_cut_off(struct sim_disk *disk, bool cut_off);

/* Power loss and return: what was not synced meets its fate. Files that are open can only be
 * closed (anything else is ERR_IO); locks are gone. */
void sim_disk_crash(struct sim_disk *disk);
/* Bit rot: inverts bit `bit` (0 to 7) of the byte at `offset`. False when there is no such
 * byte, or it lies in a hole. */
bool sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t offset, unsigned bit);
