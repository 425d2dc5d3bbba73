#pragma once

/*
 * What `garner gen` says of a run: a line while it is under way, and a report at its end, as text
 * or as one JSON object. Pure.
 */

#include "base/buf.h"
#include "cli/echo.h"
#include "cli/load.h"
#include "cli/verify.h"

struct cli_report {
    const char *run;
    const struct cli_load_stats *stats;
    const char *failure; /* what ended it before its time; NULL: nothing did */
    uint64_t elapsed_ns; /* from the first request to the last answer */
    bool tortured;       /* the next two apply */
    uint32_t kills;
    uint64_t slowest_return_ns;        /* from a kill to the next answer, at the most */
    const struct cli_echo_stats *echo; /* NULL: nothing was read back */
    const char *directory;             /* of the files that were compared; NULL: none were */
    uint64_t files;
    uint64_t file_records;
    uint64_t foreign; /* ids in the files that were never sent */
    struct cli_verify_result verified;
};

/* Whether the run shows no fault of the server: nothing missing, no copy unexplained, every answer
 * adding up, and nothing that ended it before its time. */
bool cli_report_good(const struct cli_report *report);
/* Appends the report, ending in a newline. */
void cli_report_text(const struct cli_report *report, struct buf *out);
void cli_report_json(const struct cli_report *report, struct buf *out);
/* Appends a line without a newline for what has been done since `before`, `elapsed_ns` ago. */
void cli_report_progress(const struct cli_load_stats *stats, const struct cli_load_stats *before,
                         uint64_t elapsed_ns, struct buf *out);
