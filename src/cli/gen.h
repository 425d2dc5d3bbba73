#pragma once

/*
 * `garner gen`: makes load, remembers every acknowledgement, compares it with the files that a
 * sink has made, and meanwhile kills the server if it is asked to. This is the command; its parts
 * have files of their own.
 */

#include "base/option.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_gen_options[];
/* What --help says between usage and flags. */
extern const char cli_gen_text[];
