#pragma once

/*
 * Copying bytes of files, for what makes or takes back a copy of a data directory. Blocks.
 */

#include "base/err.h"
#include "io/disk.h"

/* Bytes of one step, after which who waits is told. */
#define LOG_COPY_STEP (UINT64_C(1) << 20)
/* What was written is flushed so often, so that no flush takes long. */
#define LOG_COPY_SYNC_BYTES (UINT64_C(64) << 20)

struct log_copy {
    struct io_disk *disk;
    void *context;
    err_t (*step)(void *context, uint64_t bytes); /* an error ends the copy with it */
    uint8_t *data; /* made by the first use, on a block; LOG_COPY_STEP bytes */
    uint64_t unsynced;
    uint64_t written_bytes;
};

/* Frees what the uses took. */
void log_copy_done(struct log_copy *copy);
/* Bytes [first, end) of `from` to `to` at `at`; `*crc` goes on over them. `to` NULL: only read.
 * ERR_END when `from` is shorter. */
err_t log_copy_range(struct log_copy *copy, struct io_file *from, struct io_file *to,
                     uint64_t first, uint64_t end, uint64_t at, uint32_t *crc);
/* Counts what somebody has written into `to` himself, and flushes and tells as above. */
err_t log_copy_wrote(struct log_copy *copy, struct io_file *to, uint64_t bytes);
/* Makes the directories above the last name of `path`, those that end behind byte `from`. Their
 * names are not synced: io_file_sync_all is for that. */
err_t log_copy_make_parents(struct io_disk *disk, char *path, size_t from, struct err_text *why);
/* Removes a directory with all that is in it; one that is not there is fine. */
err_t log_copy_remove_tree(struct io_disk *disk, const char *path, struct err_text *why);
