#pragma once

/*
 * `garner topics`: what topics there are, and deleting one. The work is apart from the command
 * line and the connection, so that it can be tested.
 */

#include "base/buf.h"
#include "base/option.h"
#include "base/slice.h"

/* The flags of the command; ends with a NULL name. */
extern const struct option cli_topics_options[];
/* What --help says between usage and flags. */
extern const char cli_topics_text[];

/* True for what a topic can be called (flow/commit.h); it needs no escape in a URL. */
bool cli_topics_name_valid(struct slice name);
/* Appends the answer of GET /v1/topics as a table, a row a topic. ERR_SYNTAX with nothing appended
 * when it is no such answer, ERR_MEMORY. */
err_t cli_topics_print(struct slice document, struct buf *out);
/* The same for GET /v1/topics/{topic}: its fields a line each, and a table of its partitions. */
err_t cli_topics_print_one(struct slice document, struct buf *out);
