#pragma once

/*
 * `garner ledger`: what became of every record, as a table for people. The work is apart from the
 * command line and the connection, so that it can be tested.
 */

#include "base/buf.h"
#include "base/option.h"
#include "base/slice.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_ledger_options[];
/* What --help says between usage and flags. */
extern const char cli_ledger_text[];

/*
 * Appends the document of GET /v1/ledger to `out` as tables, one for topics, dead letters and
 * sinks each, with a column for every term that stands in the document, and the verdict in front.
 * Returns the exit code: CLI_OK when it is balanced, CLI_FAILED when not, CLI_UNAVAILABLE with
 * nothing appended when it is no ledger, CLI_INTERNAL without memory.
 */
int cli_ledger_print(struct slice document, struct buf *out);
