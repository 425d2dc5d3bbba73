/*
 * Rows are objects of JSON, columns the keys that they have, in the order in which they are met
 * first. Values stand as they are in the text, so nothing is read as a number and written again.
 */

#include "cli/table.h"

#include "base/alloc.h"
#include "base/assert.h"

/* The text is known to be JSON, so what can stand at each place is known: it is passed over where
 * it is there and not asked for. */
static struct slice skip(struct slice text, uint8_t byte)
{
    text = slice_trim(text);
    return text.size > 0 && text.data[0] == byte ? slice_sub(text, 1, text.size) : text;
}

bool cli_members_next(struct cli_members *m)
{
    struct format_json_value value = {0};
    size_t size = 0;
    m->rest = slice_trim(skip(skip(m->rest, '{'), ','));
    if (m->rest.size == 0 || m->rest.data[0] != '"')
        return false;
    if (!err_is_ok(format_json_scan(m->rest, NULL, 64, NULL, &size, NULL)))
        return false;
    m->key = slice_sub(m->rest, 1, size - 2);
    m->rest = slice_trim(skip(slice_sub(m->rest, size, m->rest.size), ':'));
    value.kind = format_json_peek(m->rest);
    if (!err_is_ok(format_json_scan(m->rest, NULL, 64, NULL, &size, NULL)))
        return false;
    value.raw = slice_sub(m->rest, 0, size);
    m->rest = slice_sub(m->rest, size, m->rest.size);
    m->value = value;
    return true;
}

/* The index of a column, made where it is new; CLI_TABLE_COLUMNS_MAX when there is no room for it.
 */
static size_t column(struct cli_table *table, struct slice key)
{
    size_t i = 0;
    while (i < table->column_count && !slice_equal(table->columns[i], key))
        i++;
    if (i == table->column_count && i < CLI_TABLE_COLUMNS_MAX)
        table->columns[table->column_count++] = key;
    return i;
}

bool cli_table_add(struct cli_table *table, struct slice name, struct slice object)
{
    struct cli_table_row *rows = mem_realloc(table->rows, table->row_count + 1, sizeof(*rows));
    if (!rows)
        return false;
    table->rows = rows;
    struct cli_table_row *row = &rows[table->row_count++];
    *row = (struct cli_table_row){.name = name};
    for (struct cli_members m = {.rest = object}; cli_members_next(&m);) {
        /* Nothing of ours has so many; what were beyond the limit is seen with --json. */
        size_t at = column(table, m.key);
        if (at < CLI_TABLE_COLUMNS_MAX)
            row->cells[at] = m.value.raw;
    }
    return true;
}

/* The cell as it is printed: a list of names without its brackets and quotes. */
static void add_cell(struct buf *out, struct slice cell)
{
    if (cell.size == 0)
        buf_add_byte(out, '-');
    for (size_t i = 0; i < cell.size; i++)
        if (!strchr("[]\"", cell.data[i]))
            buf_add_byte(out, cell.data[i]);
}

/* How wide add_cell makes it; bytes, since names of topics and sinks are ASCII. */
static size_t cell_width(struct slice cell)
{
    size_t width = cell.size == 0 ? 1 : 0;
    for (size_t i = 0; i < cell.size; i++)
        width += strchr("[]\"", cell.data[i]) ? 0 : 1;
    return width;
}

static void pad(struct buf *out, size_t width, size_t used)
{
    for (; used < width; used++)
        buf_add_byte(out, ' ');
}

/* Names to the left, numbers to the right, two spaces between: as wide as what stands in it. */
void cli_table_print(const struct cli_table *table, const char *title, struct buf *out)
{
    size_t widths[CLI_TABLE_COLUMNS_MAX] = {0};
    size_t name_width = strlen(title);
    for (size_t i = 0; i < table->row_count; i++)
        if (table->rows[i].name.size > name_width)
            name_width = table->rows[i].name.size;
    buf_add_string(out, title);
    pad(out, name_width, strlen(title));
    for (size_t c = 0; c < table->column_count; c++) {
        widths[c] = table->columns[c].size;
        for (size_t i = 0; i < table->row_count; i++) {
            size_t width = cell_width(table->rows[i].cells[c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
        pad(out, widths[c] + 2, table->columns[c].size);
        buf_add_slice(out, table->columns[c]);
    }
    buf_add_byte(out, '\n');
    for (size_t i = 0; i < table->row_count; i++) {
        const struct cli_table_row *row = &table->rows[i];
        buf_add_slice(out, row->name);
        pad(out, name_width, row->name.size);
        for (size_t c = 0; c < table->column_count; c++) {
            pad(out, widths[c] + 2, cell_width(row->cells[c]));
            add_cell(out, row->cells[c]);
        }
        buf_add_byte(out, '\n');
    }
}

void cli_table_done(struct cli_table *table)
{
    mem_free(table->rows);
    *table = (struct cli_table){0};
}
