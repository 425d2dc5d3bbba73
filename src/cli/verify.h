#pragma once

/*
 * Do the files hold what was acknowledged? Every *.ndjson file below a directory is read once and
 * the ids of a run are counted in one byte a record; then the counts are compared with the
 * client's own list. It knows nothing of how the files were made, except that a directory called
 * *.inprogress holds what is not complete. One thread; blocks on the disk.
 */

#include "base/buf.h"
#include "base/map.h"
#include "cli/acks.h"
#include "io/disk.h"

struct cli_verify {
    struct io_disk *disk;
    const struct cli_acks *acks;
    const char *directory;
    uint8_t *seen; /* copies of each sequence; 255 stands for 255 and more */
    struct map files;
    uint64_t records; /* ids found */
    uint64_t foreign; /* of them, with a sequence that was never sent */
    struct buf chunk;
};

/* What the comparison says, in records. */
struct cli_verify_result {
    uint64_t missing;     /* fewer copies than were acknowledged: must be 0 */
    uint64_t repeated;    /* more than one copy */
    uint64_t explained;   /* of them: sent again, since an answer was lost or on purpose */
    uint64_t unexplained; /* more copies than any answer or its loss allows: must be 0 */
    char missing_id[CLI_EVENTS_ID_SIZE + 1];     /* the first one, or "" */
    char unexplained_id[CLI_EVENTS_ID_SIZE + 1]; /* the same */
};

/* Before the first scan, with nothing more to be sent; `directory` need not be there yet. The
 * other arguments live as long. ERR_MEMORY. */
err_t cli_verify_init(struct cli_verify *verify, struct io_disk *disk, const char *directory,
                      const struct cli_acks *acks);
void cli_verify_done(struct cli_verify *verify);
/* Reads the files that are there and were not there before; `*added` is how many. */
err_t cli_verify_scan(struct cli_verify *verify, uint64_t *added, struct err_text *why);
/* Compares. */
void cli_verify_judge(const struct cli_verify *verify, struct cli_verify_result *out);
