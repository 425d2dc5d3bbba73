#pragma once

/*
 * Making a data directory of a backup (log/backup.h). The directory gets a uuid of its own: its
 * records go on otherwise than those of the one that was backed up, so that offsets that somebody
 * has kept with that one's uuid mean other records here. Topics keep theirs.
 *
 * It is made beside its place, under the name `<to>.unfinished`, checked as garner fsck does, and
 * only then renamed: there is a whole one or none. Blocks; one thread, which calls the watcher too.
 */

#include "base/err.h"
#include "base/uuid.h"
#include "io/disk.h"
#include "log/fsck.h"

struct log_restore_options {
    struct io_disk *disk;
    const char *folder;
    const char *name; /* of the backup; NULL: the newest */
    const char *to;   /* does not exist, or is an empty directory */
    struct uuid uuid; /* that it gets: random */
    void *context;
    /* So many bytes are done of so many, which are copied and then read again. An error ends it.
     * May be NULL. */
    err_t (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    /* A topic of the result, as the check counts it. May be NULL. */
    void (*topic)(void *context, const struct log_fsck_topic *topic);
};

struct log_restore_result {
    char name[32];
    uint64_t lsn;
    int64_t created_ms;
    uint64_t bytes;
    uint64_t records; /* counted */
};

/* ERR_NO_FILE (no such backup), ERR_EXISTS (`to` is not empty), ERR_CORRUPT with the file of the
 * backup that is damaged, ERR_NO_SPACE, ...: then `to` is as it was. */
err_t log_restore(const struct log_restore_options *options, struct log_restore_result *out,
                  struct err_text *why);
