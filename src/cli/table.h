#pragma once

/*
 * Tables for people, made of JSON that a server has sent. Views into the caller's text, which is
 * known to be JSON and lives until the table is printed. Pure.
 */

#include "base/buf.h"
#include "base/slice.h"
#include "format/json/json.h"

#define CLI_TABLE_COLUMNS_MAX 16u

/* A walk over the members of an object: begins as {.rest = object}. */
struct cli_members {
    struct slice rest;
    struct slice key; /* without its quotes, still escaped */
    struct format_json_value value;
};

/* The next member; false behind the last, and for what is no object. */
bool cli_members_next(struct cli_members *m);

/* A row without a column's key has an empty cell. */
struct cli_table_row {
    struct slice name;
    struct slice cells[CLI_TABLE_COLUMNS_MAX];
};

/* Zero-initialise; free with cli_table_done. */
struct cli_table {
    struct slice columns[CLI_TABLE_COLUMNS_MAX];
    size_t column_count;
    struct cli_table_row *rows;
    size_t row_count;
};

/* Adds a row: `name`, and the members of `object`, of which those beyond the most columns are left
 * out. False without memory. */
bool cli_table_add(struct cli_table *table, struct slice name, struct slice object);
/* Appends the columns' names behind `title`, and the rows: names to the left, the rest to the
 * right; quotes and brackets are left out, a cell that a row does not have is "-". */
void cli_table_print(const struct cli_table *table, const char *title, struct buf *out);
void cli_table_done(struct cli_table *table);
