#pragma once

/*
 * `garner validate`: records against a JSON Schema, without a server. The work is apart from the
 * command line, so that it can be tested.
 */

#include <stdio.h>

#include "base/option.h"
#include "format/jsonschema/jsonschema.h"

/* The largest record, which is the intake's default; a longer line is refused and passed over. */
#define CLI_VALIDATE_RECORD_MAX (1U << 20)

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_validate_options[];
/* What --help says between usage and flags. */
extern const char cli_validate_text[];

/*
 * Reads NDJSON from the descriptor `in` to its end and writes a verdict a line to `out`: "ok", or
 * "error", the place and the reason with tabs between them; one JSON object each when `json`.
 * Blank lines are no records. What was read is answered before more is waited for; memory does not
 * grow with the input. Returns the exit code: CLI_OK when all records are valid, else CLI_FAILED;
 * CLI_IO when it cannot read or write; CLI_INTERNAL without memory.
 */
int cli_validate_stream(const struct format_jsonschema *schema, int in, FILE *out, bool json);
