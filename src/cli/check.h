#pragma once

/*
 * `garner check`: the configuration and all contracts, read as `serve` reads them, with every
 * mistake at once. The work is apart from the command line, so that it can be tested.
 */

#include <stdio.h>

#include "base/buf.h"
#include "base/option.h"
#include "control/config/config.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_check_options[];
/* What --help says between usage and flags. */
extern const char cli_check_text[];

/* Appends messages as they belong on standard error, one a line. */
void cli_check_add_messages(struct buf *out, const struct control_messages *messages);
/* Appends `,"NAME":[...],"NAME_omitted":n`, the fields of a JSON object. */
void cli_check_add_json_messages(struct buf *out, const char *name,
                                 const struct control_messages *messages);
/* Empties `text` to `stream`. */
void cli_check_print(struct buf *text, FILE *stream);

/*
 * Checks the file `path` (NULL: the defaults) and appends to `out` what belongs on standard
 * output: a summary, or one JSON object when `json`; and to `messages` what belongs on standard
 * error: `file:line:column: path: text` a line. Blocks on the disk. Returns the exit code: 0, or
 * CLI_CONFIG where there are mistakes, CLI_INTERNAL without memory.
 */
int cli_check_run(const struct control_config_host *host, const char *path, bool json,
                  struct buf *out, struct buf *messages);
