#pragma once

/*
 * Copying the frames of the log's files, each checked, and as those of another data directory
 * where the copy gets a uuid of its own: then every header says so, and names its forerunner by
 * that one's new checksum. What lies behind the frames of a file is left out. Blocks.
 */

#include "log/copy.h"
#include "log/frame.h"

struct log_chain {
    struct log_copy *copy;
    struct uuid from;
    struct uuid to;
    uint64_t mark_lsn; /* of the frame that is looked for */
    /* Results. */
    struct log_frame_header last;   /* that was copied, as it was; lsn 0: none */
    struct log_frame_header marked; /* as it was written */
    uint32_t last_crc;              /* of the header that was written last */
    uint8_t *data;
    size_t capacity;
};

void log_chain_done(struct log_chain *chain);
/* The header of the first frame of file `number`; lsn 0 where it has none of this directory. */
err_t log_chain_first(const struct log_chain *chain, struct io_file *file, uint64_t number,
                      struct log_frame_header *out);
/* Copies the frames from the front of file `number` on that go on with the chain, none above
 * `lsn_max` and none behind byte `end`. `*size` is what they take, `*crc` of what was written. */
err_t log_chain_copy(struct log_chain *chain, struct io_file *file, struct io_file *to,
                     uint64_t number, uint64_t lsn_max, uint64_t end, uint64_t *size,
                     uint32_t *crc);
