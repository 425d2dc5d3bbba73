#pragma once

/*
 * The files of the write-ahead log: `wal/<20 digits>.wal`, numbered from 1, each written once
 * over its whole length before any frame goes in (an overwrite costs the disk no metadata). One
 * file is current; those behind it are spare, ready to be rolled to; the oldest, once sealed,
 * becomes the next spare. The calls that touch the disk block; log_wal_place and log_wal_room only
 * look and belong to the sequencer's loop.
 */

#include "base/err.h"
#include "base/logger.h"
#include "io/disk.h"
#include "log/state.h"

#define LOG_WAL_FILE_SIZE_MAX (UINT64_C(256) << 20)
#define LOG_WAL_FILE_SIZE_MIN (UINT64_C(16) << 20)
#define LOG_WAL_PATH_MAX 4096

struct log_wal_file {
    uint64_t number;
    uint64_t size;
    struct io_file *writer; /* of the current file and the spares, else NULL */
    struct io_file *reader; /* opened by the first read */
    uint32_t reads;         /* on their way */
    bool recycled;          /* it held other frames before */
};

struct log_wal {
    struct io_disk *disk;
    struct logger *logger;
    char directory[LOG_WAL_PATH_MAX - 64];
    uint64_t limit_bytes;       /* of all files together */
    uint64_t file_size;         /* of files made from here on */
    bool direct;                /* the file system takes direct I/O */
    struct log_wal_file *files; /* by number */
    size_t file_count;
    uint64_t contiguous_from; /* when it was opened: from this file on none is missing */
    size_t current;           /* index in files */
    uint64_t offset;          /* in the current file: where the next frame goes */
};

/* Making the next file, step by step, so that each step is a short job. */
struct log_wal_making {
    struct log_wal *wal; /* only its constant fields are read */
    uint64_t number;     /* 0: none, the old one is removed */
    uint64_t old_number; /* of a file that becomes the next; 0: one is written */
    uint64_t offset;     /* written so far */
    struct io_file *file;
    uint8_t *pattern; /* what a step writes */
    bool finished;
};

#define LOG_WAL_STEP (UINT64_C(4) << 20)

/* The path of file `number`. */
void log_wal_path(const struct log_wal *wal, uint64_t number, char out[static LOG_WAL_PATH_MAX]);
/* Looks at `<data_directory>/wal`, made if missing, and opens its files; leftovers of unfinished
 * making are removed. Finds out whether direct I/O works, and says so when it does not.
 * `file_size` 0 takes an eighth of the limit, within the two bounds above. */
err_t log_wal_open(struct log_wal *wal, struct io_disk *disk, struct logger *logger,
                   const char *data_directory, uint64_t limit_bytes, uint64_t file_size,
                   struct err_text *why);
/* Closes every file. */
void log_wal_done(struct log_wal *wal);
/* Opens a file of `number` as the list's last. */
err_t log_wal_add(struct log_wal *wal, uint64_t number, struct err_text *why);
/* The file with this number, or NULL. */
struct log_wal_file *log_wal_find(const struct log_wal *wal, uint64_t number);

/* Closes the first file and takes it off the list; nothing is read from it. */
void log_wal_drop_first(struct log_wal *wal);

/* Begins to make file `number`: of file `old_number`, which is off the list, or where that is 0
 * by writing one. With `number` 0 the old one is removed. ERR_MEMORY. */
err_t log_wal_make_begin(struct log_wal_making *making, struct log_wal *wal, uint64_t number,
                         uint64_t old_number);
/* One step: some of the bytes, or (then `finished`) sync, rename, sync of the directory. A file
 * that becomes the next takes one step; where it has not the size of files made today, it is
 * removed and the next step begins to write one. After an error nothing is left behind but a file
 * that the next open removes; begin again. Any thread. */
err_t log_wal_make_step(struct log_wal_making *making, struct err_text *why);
void log_wal_make_done(struct log_wal_making *making);
/* True when another file may be made under the limit. */
bool log_wal_may_make(const struct log_wal *wal);
/* The number the next file gets. */
uint64_t log_wal_next_number(const struct log_wal *wal);

/* Where a frame of `disk_size` bytes goes: the current file, or the next spare (then it is made
 * current). ERR_LOG_FULL when it fits nowhere: with `log_wal_may_make` later it may. */
err_t log_wal_place(struct log_wal *wal, uint64_t disk_size, struct log_position *out);
/* Leaves the current file for the first spare, whatever room it has: an epoch begins a file.
 * ERR_LOG_FULL without a spare. */
err_t log_wal_roll(struct log_wal *wal);
/* Bytes that frames can still take in the current file and the spares. */
uint64_t log_wal_room(const struct log_wal *wal);
/* Bytes of all files. */
uint64_t log_wal_bytes(const struct log_wal *wal);
