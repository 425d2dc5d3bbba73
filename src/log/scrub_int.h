#pragma once

/*
 * The inside of the check: what its parts share. What the worker calls touches only what is the
 * worker's while a look runs.
 */

#include "log/log_int.h"

/* A difference of the look on its way. The worker's. */
void log_scrub_add_found(struct log_scrub *scrub, struct log_scrub_found found);
/* Reads [from, to) past the page cache; `*out` is what there is of it, until the next look.
 * ERR_MEMORY, ERR_IO. The worker's. */
err_t log_scrub_read(struct log_scrub *scrub, struct io_file *file, uint64_t from, uint64_t to,
                     struct slice *out);
/* Begins a look of the phase. */
void log_scrub_offload(struct log *log);
/* Counts a difference; false when so many were told that this one is not to be. */
bool log_scrub_may_tell(struct log *log);

/* scrub_keys.c: begins a look at the next piece of a sorted file that is due. False when there is
 * none any more. */
bool log_scrub_next_keys(struct log *log);
/* That look. The worker's. ERR_MEMORY: nothing can be said. */
err_t log_scrub_look_at_keys(struct log *log);
/* It is over. */
void log_scrub_keys_done(struct log *log);
