#pragma once

/*
 * `garner dlq`: dead letters of a running server, listed, shown, redriven, purged.
 */

#include "base/option.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_dlq_options[];
/* What --help says between usage and flags. */
extern const char cli_dlq_text[];
