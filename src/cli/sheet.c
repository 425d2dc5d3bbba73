/*
 * A row is the inside of a JSON object in both cases, since tables are made of JSON. JSON is put
 * together as rows come; a table waits for all of them, because its columns are as wide as the
 * widest cell, and keeps copies in an arena until then.
 */

#include "cli/sheet.h"

#include "base/assert.h"

void cli_sheet_number(const struct cli_sheet *sheet, struct buf *out, const char *key,
                      int64_t number)
{
    buf_add_format(out, "\"%s\":", key);
    /* A script wants to tell it from text, and a person not to read it. */
    if (number < 0)
        buf_add_string(out, sheet->json ? "null" : "\"-\"");
    else
        buf_add_i64(out, number);
}

void cli_sheet_text(const struct cli_sheet *sheet, struct buf *out, const char *key,
                    struct slice text)
{
    buf_add_format(out, "\"%s\":", key);
    if (text.size == 0)
        buf_add_string(out, sheet->json ? "null" : "\"-\"");
    else
        buf_add_json_string(out, text);
}

/* The buffers are used again for the next row, so what the table points to is copied. */
static bool add_to_table(struct cli_sheet *sheet, struct slice quoted)
{
    struct buf object = {0};
    buf_add_format(&object, "{%.*s}", SLICE_PRINTF(buf_slice(&sheet->row)));
    struct slice kept = {0};
    /* Escaped, since a name is any bytes and a terminal obeys some of them. */
    struct slice name = arena_slice(&sheet->arena, slice_sub(quoted, 1, quoted.size - 2));
    if (buf_ok(&object))
        kept = arena_slice(&sheet->arena, buf_slice(&object));
    buf_done(&object);
    return name.data && kept.data && cli_table_add(&sheet->table, name, kept);
}

void cli_sheet_end_row(struct cli_sheet *sheet, struct slice name)
{
    struct buf quoted = {0};
    ASSERT(sheet->key && sheet->row.size > 0);
    buf_add_json_string(&quoted, name);
    bool good = buf_ok(&quoted) && buf_ok(&sheet->row);
    if (good && sheet->json)
        buf_add_format(&sheet->out, "%s{\"%s\":%.*s,%.*s}", sheet->count > 0 ? "," : "", sheet->key,
                       SLICE_PRINTF(buf_slice(&quoted)), SLICE_PRINTF(buf_slice(&sheet->row)));
    else if (good)
        good = add_to_table(sheet, buf_slice(&quoted));
    sheet->count++;
    sheet->failed = sheet->failed || !good;
    buf_done(&quoted);
    buf_reset(&sheet->row);
}

bool cli_sheet_print(struct cli_sheet *sheet, const char *rows, struct slice head)
{
    /* A table without rows would be a head without a body. */
    if (!sheet->json && sheet->count > 0 && !sheet->failed)
        cli_table_print(&sheet->table, sheet->key, &sheet->out);
    /* Looked at before a byte is printed: half a document would be taken for all there is. */
    if (sheet->failed || !buf_ok(&sheet->out))
        return false;
    if (sheet->json)
        printf("{%.*s\"%s\":[%.*s]}\n", SLICE_PRINTF(head), rows,
               SLICE_PRINTF(buf_slice(&sheet->out)));
    else
        printf("%.*s", SLICE_PRINTF(buf_slice(&sheet->out)));
    return true;
}

void cli_sheet_done(struct cli_sheet *sheet)
{
    cli_table_done(&sheet->table);
    arena_done(&sheet->arena);
    buf_done(&sheet->out);
    buf_done(&sheet->row);
}
