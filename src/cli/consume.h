#pragma once

/*
 * `garner consume`: the records of a topic on standard output, a line each.
 */

#include "base/option.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_consume_options[];
/* What --help says between usage and flags. */
extern const char cli_consume_text[];
