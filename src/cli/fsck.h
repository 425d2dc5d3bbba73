#pragma once

/*
 * `garner fsck`: checks a data directory, repairs it, takes out of it what can be read. The work
 * is log/fsck.h's; here is what a person sees of it.
 */

#include "base/option.h"

/* As fsck(8) has them. Stable. */
enum cli_fsck_exit {
    CLI_FSCK_CLEAN = 0,
    CLI_FSCK_CORRECTED = 1, /* errors were found, and repaired */
    CLI_FSCK_LEFT = 4,      /* errors were found, and are there */
    CLI_FSCK_FAILED = 8,    /* the check itself could not be done */
};

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_fsck_options[];
/* What --help says between usage and flags. */
extern const char cli_fsck_text[];
