#pragma once

/*
 * How a command reaches a running server: which address, and requests with their answers, one at
 * a time. Blocks its thread; no loop of the caller's runs meanwhile.
 */

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"

/* "host:port" with the longest name that a host may have, and a zero. */
#define CLI_DOOR_ADDRESS_SIZE 260

/* The row of a command's option table that says where the server is. */
#define CLI_DOOR_OPTION(flags, field)                                                              \
    {                                                                                              \
        .name = "server", .type = OPTION_STRING, .offset = offsetof(flags, field),                 \
        .help = "the admin door; else GARNER_SERVER, else 127.0.0.1:9600"                          \
    }

/* The answer to one request; free the body with buf_done. */
struct cli_door_answer {
    int status;
    struct buf body;
};

/* Takes the address out of "host:port", also behind "http://" and before "/"; false, with `out`
 * untouched, where `text` is neither. */
bool cli_door_parse(const char *text, char out[static CLI_DOOR_ADDRESS_SIZE]);
/* Finds the address: `given` by flag (NULL: not given), else the environment's `variable`, else
 * `fallback`, each as cli_door_parse takes it. ERR_INVALID with a detail that says
 * what an address is. */
err_t cli_door_address(const struct cli *cli, const char *given, const char *variable,
                       const char *fallback, char out[static CLI_DOOR_ADDRESS_SIZE],
                       struct err_text *why);
/* GETs `target` from `address` on a loop of its own, within `timeout_ms`. Any status is success.
 * ERR_TIMEOUT, or what the connection failed with, with a detail. */
err_t cli_door_get(const char *address, const char *target, uint64_t timeout_ms,
                   struct cli_door_answer *answer, struct err_text *why);

/* A door that is asked more than once: the connection stays open between two requests where the
 * server lets it, and is made anew where not. */
struct cli_door;

/* Connects to nobody yet; `address` lives as long as the door. ERR_MEMORY or what a loop fails
 * with. */
err_t cli_door_open(const char *address, struct cli_door **out);
void cli_door_close(struct cli_door **door);
/* From here on SIGINT and SIGTERM end what the door waits for, with ERR_CANCELLED, that and all
 * that follows; and a closed pipe is an error of its write and no signal. */
err_t cli_door_watch_signals(struct cli_door *door);
/* True once one of them has come. */
bool cli_door_interrupted(const struct cli_door *door);
/* As cli_door_get, with `method` ("GET"; "DELETE"; "POST"), which has no body. A request on a
 * connection that the server had closed meanwhile is sent again, once: so only what may be done
 * twice is asked here. */
err_t cli_door_ask(struct cli_door *door, const char *method, const char *target,
                   uint64_t timeout_ms, struct cli_door_answer *answer, struct err_text *why);
/* The same with a body of JSON, and "PUT". */
err_t cli_door_send(struct cli_door *door, const char *method, const char *target,
                    struct slice body, uint64_t timeout_ms, struct cli_door_answer *answer,
                    struct err_text *why);
/* Waits; ERR_CANCELLED when interrupted. */
err_t cli_door_wait(struct cli_door *door, uint64_t delay_ms);
/* Says on standard error what an answer other than 200 says, and returns the exit code:
 * CLI_FAILED for a refusal by the admin API (no such topic, say), CLI_UNAVAILABLE for anything
 * else, since it is then not the server, or not the door, that was meant. */
int cli_door_refused(const struct cli_command *command, const char *address,
                     const struct cli_door_answer *answer);
/* Says that what answers is not the admin door, since it did not answer with `what` ("topics"), and
 * returns CLI_UNAVAILABLE. */
int cli_door_strange(const struct cli_command *command, const char *address, const char *what);
/* Shows an answer and returns the exit code: a refusal as cli_door_refused; what `print` makes of
 * the document, or the document itself where `json` is asked for; and cli_door_strange where
 * `print` finds it to be something else than `what`. */
int cli_door_show(const struct cli_command *command, const char *address,
                  const struct cli_door_answer *answer, const char *what,
                  err_t (*print)(struct slice document, struct buf *out), bool json);
/* Whether a connection that failed so would fail again: whoever answers is there, and has said it.
 */
bool cli_door_is_final(err_t err);
/* Why a connection failed, for a person: what the system calls an I/O error is a refusal mostly. */
const char *cli_door_reason(err_t err);
