#pragma once

/*
 * Records into files, for `garner fsck --export`: one a topic and partition,
 * `<topic>-<partition>.jsonl`, a line a record in the order of offsets. One thread.
 */

#include "base/buf.h"
#include "base/err.h"
#include "flow/batch.h"
#include "io/disk.h"

struct cli_export {
    struct io_disk *disk;
    const char *directory;
    struct io_file *file; /* of the partition at hand */
    char path[4096];
    uint64_t offset; /* in the file */
    struct buf out;  /* not written yet */
    struct buf unpacked;
    uint64_t files;
    uint64_t records;
    uint64_t skipped; /* batches that are whole and whose records could not be read */
};

/* Makes the directory. ERR_EXISTS when there is something in it. */
err_t cli_export_begin(struct cli_export *export, struct io_disk *disk, const char *directory,
                       struct err_text *why);
/* Adds the records of a batch; those of one partition come together. */
err_t cli_export_batch(struct cli_export *export, struct slice topic, uint32_t partition,
                       const struct flow_batch *batch, struct err_text *why);
/* Writes what is left, synced, and frees; also after an error. */
err_t cli_export_end(struct cli_export *export, struct err_text *why);

/* Appends {"offset":…,"timestamp":…,"key":…,"value":…,"headers":[…]} on one line, with its end.
 * The timestamp is in milliseconds since 1970. A value that is JSON stands as it is, others as
 * "value_base64"; keys and headers are strings where they are UTF-8, else base64 likewise. */
void cli_export_render(struct buf *out, const struct flow_record *record);
