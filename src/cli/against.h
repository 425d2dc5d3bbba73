#pragma once

/*
 * `garner check --against DIR|URL`: what a reload with the contracts that are checked would do to
 * those that are elsewhere. Both are compared by what the reload itself compares with
 * (control/catalog/change.h).
 */

#include "base/buf.h"
#include "cli/cli.h"
#include "control/catalog/catalog.h"

/*
 * Loads the contracts that `where` names: those in force at a running server (an address, or
 * "http://..."), those of a configuration (a file, or a directory with a garner.yaml), or those in
 * a directory (*.yaml). What is there on the disk is taken before an address. Blocks. Returns
 * CLI_OK with `*out` set, else the exit code, with what is wrong in `messages`: CLI_UNAVAILABLE
 * where no garner answers, CLI_CONFIG where contracts are missing or wrong, CLI_USAGE where `where`
 * is neither, CLI_INTERNAL.
 */
int cli_against_load(const struct control_config_host *host, const char *where,
                     struct control_catalog **out, struct buf *messages);
/* The same of an answer to GET /v1/contracts, which came from `address`. */
int cli_against_read(const char *address, int status, struct slice body,
                     struct control_catalog **out, struct buf *messages);

/* Appends a line a topic: what a reload would do. */
void cli_against_print(const char *where, const struct control_catalog *from,
                       const struct control_catalog *to, struct buf *out);
/* Appends {"with":...,"topics":[{"name","change","fields":[{"field","from","to"}]}]}; `change` is
 * "same", "changed", "added" or "removed", values are texts or null. */
void cli_against_json(const char *where, const struct control_catalog *from,
                      const struct control_catalog *to, struct buf *out);
