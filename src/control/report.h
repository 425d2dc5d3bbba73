#pragma once

/*
 * What is wrong with the operator's files, collected so that one look shows all of it, and what
 * is right but worth saying. Printed as `file:line:column: path.to.field: text`. The report owns
 * copies of all it says; it outlives the files and trees that it speaks of. One thread.
 *
 * Without memory nothing more is added and `memory_failed` latches: report everything, then look
 * once with control_report_verdict.
 */

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Messages of one kind that are kept; those beyond are counted. */
#define CONTROL_REPORT_MAX 20

/* A place in a file. Lines and columns count from 1, columns in characters. `path` is the field
 * ("sinks.lake.topics[0]"), "(root)" for what concerns the file as a whole. */
struct control_place {
    const char *file;
    uint32_t line;
    uint32_t column;
    const char *path;
};

struct control_message {
    struct control_place place;
    const char *text;
};

struct control_messages {
    struct control_message items[CONTROL_REPORT_MAX];
    size_t count;
    size_t omitted; /* those beyond */
};

struct control_report {
    struct arena arena;
    struct control_messages errors;
    struct control_messages notes; /* accepted, with something to know */
    bool memory_failed;
};

void control_report_init(struct control_report *report);
void control_report_done(struct control_report *report);
/* Adds an error, before those that stand behind it in the same file; `text` (printf format) says
 * what was expected. Copies everything; control characters become question marks, so that a message
 * is one line. */
void control_report_error(struct control_report *report, struct control_place place,
                          const char *text, ...) __attribute__((format(printf, 3, 4)));
/* Adds a note. */
void control_report_note(struct control_report *report, struct control_place place,
                         const char *text, ...) __attribute__((format(printf, 3, 4)));
/* Errors so far, also those that were not kept. */
size_t control_report_errors(const struct control_report *report);
/* Latches that there was no memory, for what allocates elsewhere. */
void control_report_no_memory(struct control_report *report);
/* OK, ERR_CONFIG when there are errors, ERR_MEMORY when memory failed. */
err_t control_report_verdict(const struct control_report *report);
/* Appends `file:line:column: path: text` without a newline. */
void control_report_print(struct buf *out, const struct control_message *message);
