#pragma once

/*
 * `garner contract test`: the examples that contracts carry, held against them as the server
 * holds records. The work is apart from the command line, so that it can be tested.
 */

#include "base/buf.h"
#include "base/option.h"
#include "cli/cli.h"
#include "control/config/config.h"

/* The largest file of examples. */
#define CLI_CONTRACT_FILE_MAX (64u << 20)

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_contract_options[];
/* What --help says between usage and flags. */
extern const char cli_contract_text[];

/*
 * Tests the contracts of the configuration at `path` (NULL: the defaults) for the `count` topics
 * that are named, or for all of them without any. Appends to `out` what belongs on standard output
 * (a line a failure, a line a topic; one JSON object when `json`) and to `messages` what belongs on
 * standard error. Blocks on the disk. Returns the exit code: CLI_OK when every example has the
 * verdict that it stands for, CLI_FAILED when one has not; CLI_CONFIG for a broken configuration,
 * for a file of examples that is not there, cannot be read or holds no record, and for a topic that
 * is named and has none; CLI_USAGE for a topic that no contract declares; CLI_INTERNAL.
 */
int cli_contract_test(const struct control_config_host *host, const char *path,
                      const char *const *topics, size_t count, bool json, struct buf *out,
                      struct buf *messages);

int cli_contract(struct cli *cli, int argc, char **argv);
