#pragma once

/*
 * The query of requests about dead letters: which of them, and how many. Pure; any thread.
 */

#include "base/err.h"
#include "flow/letters.h"

/* The most letters that one answer holds, and how many it holds when nothing is said. */
#define ADMIN_DLQ_LIMIT_MAX 1000u
#define ADMIN_DLQ_LIMIT 100u
/* Values all together, decoded. */
#define ADMIN_DLQ_TEXT_SIZE 512u

enum admin_dlq_asks { ADMIN_DLQ_SHOWS, ADMIN_DLQ_REDRIVES, ADMIN_DLQ_PURGES };

struct admin_dlq_query {
    struct flow_letter_filter filter; /* views into `text` */
    int64_t offset;                   /* shows */
    uint64_t limit;
    uint64_t rate;         /* redrives */
    uint32_t max_attempts; /* redrives */
    bool dry_run;          /* redrives and purges */
    int64_t now_ms;
    size_t text_size;
    uint8_t text[ADMIN_DLQ_TEXT_SIZE];
};

/* Reads "reason=json&since=…", for what is asked; a time may be a duration before `now_ms`. `out`
 * is not moved afterwards. ERR_INVALID with a
 * detail that says what would be right: also for a name that is not one of these, or that stands
 * twice. */
err_t admin_dlq_query_parse(struct slice query, enum admin_dlq_asks asks, int64_t now_ms,
                            struct admin_dlq_query *out, struct err_text *why);
