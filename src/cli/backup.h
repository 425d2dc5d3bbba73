#pragma once

/*
 * `garner backup`: copies the data directory of a server, running or not, into a folder of
 * backups; and tells which there are.
 */

#include "base/err.h"
#include "base/option.h"
#include "cli/cli.h"

extern const struct option cli_backup_options[];
extern const char cli_backup_text[];

/* The exit code for what a copy of a data directory fails with: CLI_FAILED for what is damaged, in
 * use or not there, CLI_CANNOT_CREATE where the copy finds no place, else CLI_IO. */
enum cli_exit cli_backup_exit(err_t err);

/* A line on standard error of a terminal that says how far a copy is: "what: 12 % of 3.0 GiB". */
struct cli_backup_line {
    bool shown; /* a terminal */
    bool open;
    uint64_t percent;
};
void cli_backup_line_show(struct cli_backup_line *line, const char *what, uint64_t done_bytes,
                          uint64_t total_bytes);
void cli_backup_line_clear(struct cli_backup_line *line);
