#pragma once

/*
 * `garner user`: who is let in at the Kafka door. The work is apart from the command line and the
 * connection, so that it can be tested.
 */

#include <stdio.h>

#include "base/buf.h"
#include "base/option.h"
#include "base/slice.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_user_options[];
/* What --help says between usage and flags. */
extern const char cli_user_text[];

/* Appends "/v1/users/" and the name, each byte that a URL does not take as it is escaped. */
void cli_user_target(const char *name, struct buf *out);
/* Appends the names in the answer of GET /v1/users, a line each. ERR_SYNTAX with nothing appended
 * when it is no such answer, ERR_MEMORY. */
err_t cli_user_print(struct slice document, struct buf *out);
/* The first line of `from` without its end, which is the password; with a terminal it is asked for
 * and not shown. ERR_INVALID where there is none or it is too long; ERR_MEMORY. */
err_t cli_user_read_password(FILE *from, struct buf *out);
/* The same of a file, or of standard input where `file` is NULL, with a detail. */
err_t cli_user_take_password(const char *file, struct buf *out, struct err_text *why);
