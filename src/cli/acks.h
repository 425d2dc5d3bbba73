#pragma once

/*
 * The client's own list: what it knows of every record it has sent, in one byte a record. For each
 * there is a number of copies that must exist, since they were acknowledged, and a number that may
 * exist beside them, since a request had no answer. What the files hold is compared with both.
 * One thread.
 */

#include "base/slice.h"
#include "cli/events.h"
#include "format/json/json.h"
#include "io/disk.h"

enum cli_acks_verdict {
    CLI_ACKS_NONE,
    CLI_ACKS_DEAD,    /* answered: it is a dead letter */
    CLI_ACKS_REFUSED, /* answered: it was not taken */
};

struct cli_acks {
    uint8_t *states; /* NULL: nothing is kept */
    uint64_t count;  /* sequences below it have been sent */
    uint64_t capacity;
    const struct cli_events *events;
};

/* Records of one request, in its order: `fresh` sequences from `first` on, then `again_count` that
 * were sent before, from `again` on. */
struct cli_request {
    uint64_t first;
    uint64_t again;
    uint32_t fresh;
    uint32_t again_count;
};

/* Counts of an answer of the intake; views into its body. */
struct cli_answer {
    uint64_t accepted;
    uint64_t duplicates;
    uint64_t dead_lettered;
    uint64_t refused;
    uint64_t truncated;  /* errors that are not listed */
    struct slice errors; /* the list; empty where there is none */
};

/* What is known of one record. */
struct cli_ack {
    enum cli_acks_verdict verdict;
    uint32_t sure;  /* copies that were acknowledged; 3 stands for 3 and more */
    uint32_t maybe; /* copies that may exist beside them */
    bool unbounded; /* `maybe` is the least: more were lost count of */
};

/* An empty list of what `events` makes. */
void cli_acks_init(struct cli_acks *acks, const struct cli_events *events);
void cli_acks_done(struct cli_acks *acks);
/* Makes room for sequences below `count`, at first with nothing known. ERR_MEMORY. */
err_t cli_acks_reserve(struct cli_acks *acks, uint64_t count);

/* What cli_answer_parse looks for; freed with format_json_paths_free. ERR_MEMORY. */
err_t cli_answer_paths(struct format_json_paths **out);
/* Reads the answer to a request. ERR_SYNTAX when it is none. */
err_t cli_answer_parse(const struct format_json_paths *paths, struct slice body,
                       struct cli_answer *out);
/* Takes in an answer with counts. False when it does not add up, that is when it does not speak of
 * exactly the records of the request, each once; then all of them count as unanswered. Works
 * without a list too. */
bool cli_acks_answered(struct cli_acks *acks, const struct cli_request *request,
                       const struct cli_answer *answer);
/* Takes in an answer that is one for the whole request: all of its records were taken, or none was.
 * Of those that are broken on purpose it does not say whether they became dead letters. */
void cli_acks_whole(struct cli_acks *acks, const struct cli_request *request, bool taken);
/* The request's outcome is not known and will not be. */
void cli_acks_unanswered(struct cli_acks *acks, const struct cli_request *request);
/* What is known of a sequence below `acks->count`. */
struct cli_ack cli_acks_get(const struct cli_acks *acks, uint64_t sequence);
/* Writes the list to `path`, a line a record: id, outcome (acknowledged, unanswered,
 * dead-lettered, refused or not-taken), copies that must exist, copies that may exist beside them;
 * separated by tabs. Blocks. */
err_t cli_acks_write(const struct cli_acks *acks, struct io_disk *disk, const char *path,
                     struct err_text *why);
