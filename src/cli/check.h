#pragma once

/*
 * `garner check`: the configuration and all contracts, read as `serve` reads them, with every
 * mistake at once. The work is apart from the command line, so that it can be tested.
 */

#include <stdio.h>

#include "base/buf.h"
#include "base/option.h"
#include "control/catalog/catalog.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_check_options[];
/* What --help says between usage and flags. */
extern const char cli_check_text[];

/* What is asked of a check beside the file. */
struct cli_check_how {
    bool json;
    const char *against;                   /* NULL: compared with nothing */
    const struct control_catalog *catalog; /* what stands there */
};

/* Appends `,"NAME":[...],"NAME_omitted":n`, the fields of a JSON object. */
void cli_check_add_json_messages(struct buf *out, const char *name,
                                 const struct control_messages *messages);
/* Empties `text` to `stream`. */
void cli_check_print(struct buf *text, FILE *stream);

/*
 * Checks the file `path` (NULL: the defaults) and appends to `out` what belongs on standard
 * output: a summary, or one JSON object; and to `messages` what belongs on standard error:
 * `file:line:column: path: text` a line. What a reload over the other contracts would refuse is a
 * mistake too. Blocks on the disk. Returns the exit code: 0, or CLI_CONFIG where there are
 * mistakes, CLI_INTERNAL without memory.
 */
int cli_check_run(const struct control_config_host *host, const char *path,
                  const struct cli_check_how *how, struct buf *out, struct buf *messages);
/* Appends messages, one a line, as compilers do, so that editors can jump there. */
void cli_check_messages(struct buf *out, const struct control_messages *messages);
