#pragma once

/*
 * Backups of a data directory in a folder of their own, as docs/formats/backup.md draws them: a
 * directory a backup, and what segments hold beside them, shared, since segments only grow. Every
 * backup is whole by itself; one that was interrupted has another name, is no backup, and is
 * cleared away by the next.
 *
 * Blocks; one thread, which calls the watcher too. docs/operations/backup.md is for its user.
 */

#include "base/err.h"
#include "io/disk.h"
#include "log/manifest.h"

/* "20260301T064000Z" and a zero. */
#define LOG_BACKUP_NAME_SIZE 32u

/* Every call may be NULL. An error that one returns ends the backup with it. */
struct log_backup_watcher {
    void *context;
    /* Again and again: so many bytes are done of so many. */
    err_t (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    /* What is needed of the log's own files has been copied. */
    err_t (*log_copied)(void *context);
    /* All has been copied; from here on the data directory is not looked at. An error means that
     * it did not stand still: the copy does not count. */
    err_t (*copied)(void *context);
};

struct log_backup_options {
    struct io_disk *disk;
    const char *data_directory;
    const char *folder;
    struct uuid uuid; /* that the data directory has to have; zero: whatever it has */
    uint64_t lsn;     /* of the checkpoint that is held (flow/pin.h); 0: no server has the
                         directory, it is locked, checked and copied with all that is in it */
    int64_t now_ms;
    struct log_backup_watcher watcher;
};

struct log_backup_result {
    char name[LOG_BACKUP_NAME_SIZE];
    struct uuid uuid;
    uint64_t lsn;
    uint64_t bytes;        /* of all files that it names */
    uint64_t copied_bytes; /* of those, what was not there before */
};

/* Makes one. ERR_NO_FILE (no data directory), ERR_IN_USE (of the data directory, or of the folder),
 * ERR_CORRUPT with the file that is damaged, ERR_NO_SPACE, ... */
err_t log_backup(const struct log_backup_options *options, struct log_backup_result *out,
                 struct err_text *why);

/* Tells every backup of the folder, the oldest first; `manifest` is NULL when it cannot be read,
 * and `why` says why. */
typedef err_t log_backup_each_fn(void *context, const char *name,
                                 const struct log_manifest *manifest, const char *why);
err_t log_backup_list(struct io_disk *disk, const char *folder, log_backup_each_fn *each,
                      void *context, struct err_text *why);
