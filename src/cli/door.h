#pragma once

/*
 * How a command reaches a running server: which address, and one request with its answer. Blocks
 * its thread; no loop of the caller's runs meanwhile.
 */

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"

/* "host:port" with the longest host that io takes, and a zero. */
#define CLI_DOOR_ADDRESS_SIZE 128

/* The answer to one request; free the body with buf_done. */
struct cli_door_answer {
    int status;
    struct buf body;
};

/* Finds the address: `given` by flag (NULL: not given), else the environment's `variable`, else
 * `fallback`. "http://host:port/" is taken as "host:port". ERR_INVALID with a detail that says
 * what an address is. */
err_t cli_door_address(const struct cli *cli, const char *given, const char *variable,
                       const char *fallback, char out[static CLI_DOOR_ADDRESS_SIZE],
                       struct err_text *why);
/* GETs `target` from `address` on a loop of its own, within `timeout_ms`. Any status is success.
 * ERR_TIMEOUT, or what the connection failed with, with a detail. */
err_t cli_door_get(const char *address, const char *target, uint64_t timeout_ms,
                   struct cli_door_answer *answer, struct err_text *why);
/* Why a connection failed, for a person: what the system calls an I/O error is a refusal mostly. */
const char *cli_door_reason(err_t err);
