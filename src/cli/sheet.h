#pragma once

/*
 * Rows that are shown either as a table for people or as JSON for scripts, made once for both.
 * Zero-initialise, set `key` and `json`; free with cli_sheet_done. What fails for lack of memory
 * latches, and is told by cli_sheet_print. Pure, but for what is printed.
 */

#include "base/arena.h"
#include "cli/table.h"

struct cli_sheet {
    const char *key; /* what the first column, and its member, is called */
    bool json;
    struct buf row; /* members of the next row's object behind its key, separated by commas */
    /* The sheet's own. */
    struct cli_table table;
    struct arena arena;
    struct buf out;
    uint32_t count;
    bool failed;
};

/* Appends a member; a number below 0 and an empty text are null in JSON and "-" in a table. */
void cli_sheet_number(const struct cli_sheet *sheet, struct buf *out, const char *key,
                      int64_t number);
void cli_sheet_text(const struct cli_sheet *sheet, struct buf *out, const char *key,
                    struct slice text);
/* What stands in `row` becomes the row of `name`, which may be any bytes; `row` is empty then. */
void cli_sheet_end_row(struct cli_sheet *sheet, struct slice name);
/* Prints on standard output: the table, and nothing where it has no rows; or an object with what
 * is in `head` (members, each with a comma behind it) and the rows under the name `rows`. False
 * without memory, with nothing printed. */
bool cli_sheet_print(struct cli_sheet *sheet, const char *rows, struct slice head);
void cli_sheet_done(struct cli_sheet *sheet);
