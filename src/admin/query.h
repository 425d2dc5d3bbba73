#pragma once

/*
 * The query of GET /v1/topics/{topic}/records: what is to be read, and how much. Pure; any thread.
 */

#include "base/err.h"
#include "base/slice.h"

/* The most records that one answer holds, and how many it holds when nothing is said. */
#define ADMIN_QUERY_LIMIT_MAX 1000u
#define ADMIN_QUERY_LIMIT 100u
/* The longest that an answer waits for a record, in milliseconds. */
#define ADMIN_QUERY_WAIT_MAX 30000u

enum admin_query_start {
    ADMIN_QUERY_EARLIEST,
    ADMIN_QUERY_LATEST,   /* behind the last record */
    ADMIN_QUERY_OFFSET,   /* `start_value`: an offset */
    ADMIN_QUERY_FROM_END, /* `start_value`: so many offsets before the end, over 0 */
    ADMIN_QUERY_TIME,     /* `start_value`: milliseconds since 1970 */
};

struct admin_query {
    uint32_t partition;
    enum admin_query_start start;
    int64_t start_value;
    uint32_t limit;
    uint32_t wait_ms;
};

/* Reads "partition=0&offset=earliest&limit=100&wait_ms=0", of which these are the defaults. In
 * place of `offset` (earliest, latest, N, -N) there may be `time` (RFC 3339, or milliseconds since
 * 1970). ERR_INVALID with a detail that says what would be right: also for a name that is not one
 * of these, or that stands twice. */
err_t admin_query_parse(struct slice query, struct admin_query *out, struct err_text *why);
