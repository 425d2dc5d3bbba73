#pragma once

/*
 * What the admin door says of dead letters, as people read it: lists, letters, how far a redrive
 * is. Whatever a record brought is shown with its control characters and all that is not ASCII
 * escaped, so that no letter can drive a terminal. Pure.
 */

#include "base/buf.h"
#include "base/slice.h"

/* How far a redrive or purge is: an answer of /v1/dlq/{topic}/redrive. */
struct cli_dlq_state {
    uint64_t number;
    bool purge;
    bool dry_run;
    bool over;
    bool finished; /* over, and all that was asked for has been looked at */
    bool waiting;
    uint64_t offsets;
    uint64_t offsets_passed;
    uint64_t done;
    uint64_t bytes;
    uint64_t accepted; /* with what was a duplicate, and what was delivered to its sink */
    uint64_t skipped_attempts;
    uint64_t skipped_sink;
    uint64_t refused;      /* by their sinks, once more */
    struct slice why;      /* views into the document, with their quotes */
    struct slice outcomes; /* the array */
};

/* What GET /v1/dlq/{topic} said, beside the letters. */
struct cli_dlq_page {
    uint64_t count; /* of letters */
    int64_t next_offset;
    bool complete;
};

/* Each: ERR_SYNTAX when the document is another one, ERR_MEMORY; `out` may have been added to. */

/* GET /v1/dlq as a table, a row a topic. */
err_t cli_dlq_print_list(struct slice document, struct buf *out);
/* Letters as a few lines each, or, `json`, one line as the server sends it. */
err_t cli_dlq_print_letters(struct slice document, bool json, struct cli_dlq_page *page,
                            struct buf *out);
/* Reads a state; views into `document`. */
err_t cli_dlq_read_state(struct slice document, struct cli_dlq_state *out);
/* What has come of it, in some lines. */
void cli_dlq_print_state(const struct cli_dlq_state *state, const char *topic, struct buf *out);
/* Appends `text` with all that is no printable ASCII as \xNN or \uNNNN, cut at `max` characters. */
void cli_dlq_add_safe(struct buf *out, struct slice text, size_t max);
