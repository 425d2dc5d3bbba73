/*
 * The document is walked as it comes and printed as tables: rows are its keys, columns the terms
 * that its rows have, in the order in which they are met first. So a term that a newer server adds
 * shows up here without a change, and the sums are never made a second time: whether they hold is
 * the server's word, which stands in front.
 *
 * What goes wrong: an answer that is no ledger (the wrong door, mostly) is told as such. A part
 * that is missing, or not of the kind that is expected, has no table.
 */

#include "cli/ledger.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/cli.h"
#include "cli/door.h"
#include "format/json/json.h"

#define COLUMNS_MAX 16u
#define TIMEOUT_MS 10000u

struct flags {
    const char *server;
    bool json;
};

const struct option cli_ledger_options[] = {
    {.name = "server",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, server),
     .help = "the admin door; else GARNER_SERVER, else 127.0.0.1:9600"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "the document as the server sends it"},
    {0},
};

const char cli_ledger_text[] =
    "Shows what became of every record: for each topic, received = accepted + duplicates +\n"
    "dead_lettered + refused; for each sink, accepted = delivered + dead_lettered + expired +\n"
    "aborted + compacted + pending. Exit code 0 when both hold everywhere, 1 when not, 69 when\n"
    "no server answers.\n";

/* A walk over the members of an object that is known to be JSON. */
struct members {
    struct slice rest;
    struct slice key; /* without its quotes */
    struct format_json_value value;
};

/* The text is known to be JSON, so what can stand at each place is known: it is passed over where
 * it is there and not asked for. */
static struct slice skip(struct slice text, uint8_t byte)
{
    text = slice_trim(text);
    return text.size > 0 && text.data[0] == byte ? slice_sub(text, 1, text.size) : text;
}

static bool next(struct members *m)
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

/* Cells are views into the document; a row without a column's key has an empty one. */
struct row {
    struct slice name;
    struct slice cells[COLUMNS_MAX];
};

struct table {
    struct slice columns[COLUMNS_MAX];
    size_t column_count;
    struct row *rows;
    size_t row_count;
};

/* The index of a column, made where it is new; COLUMNS_MAX when there is no room for it. */
static size_t column(struct table *table, struct slice key)
{
    size_t i = 0;
    while (i < table->column_count && !slice_equal(table->columns[i], key))
        i++;
    if (i == table->column_count && i < COLUMNS_MAX)
        table->columns[table->column_count++] = key;
    return i;
}

static bool add_row(struct table *table, const struct members *member)
{
    struct row *rows = mem_realloc(table->rows, table->row_count + 1, sizeof(*rows));
    if (!rows)
        return false;
    table->rows = rows;
    struct row *row = &rows[table->row_count++];
    *row = (struct row){.name = member->key};
    for (struct members m = {.rest = member->value.raw}; next(&m);) {
        /* No ledger has so many terms; what were beyond the limit is seen with --json. */
        size_t at = column(table, m.key);
        if (at < COLUMNS_MAX)
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
static void add_table(struct buf *out, const char *title, const struct table *table)
{
    size_t widths[COLUMNS_MAX] = {0};
    size_t name_width = strlen(title);
    for (size_t i = 0; i < table->row_count; i++)
        if (table->rows[i].name.size > name_width)
            name_width = table->rows[i].name.size;
    buf_add_format(out, "\n%s", title);
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
        const struct row *row = &table->rows[i];
        buf_add_slice(out, row->name);
        pad(out, name_width, row->name.size);
        for (size_t c = 0; c < table->column_count; c++) {
            pad(out, widths[c] + 2, cell_width(row->cells[c]));
            add_cell(out, row->cells[c]);
        }
        buf_add_byte(out, '\n');
    }
}

/* False without memory. An empty part is left out, with its title. */
static bool add_part(struct buf *out, struct slice document, const char *key, const char *title)
{
    struct format_json_value part = {0};
    struct table table = {0};
    bool good = err_is_ok(format_json_get(document, key, &part));
    for (struct members m = {.rest = part.raw}; good && next(&m);)
        good = add_row(&table, &m);
    if (good && table.row_count > 0)
        add_table(out, title, &table);
    mem_free(table.rows);
    return good;
}

int cli_ledger_print(struct slice document, struct buf *out)
{
    struct format_json_value balanced = {0};
    err_t err = format_json_get(document, "balanced", &balanced);
    bool yes = balanced.kind == FORMAT_JSON_TRUE;
    /* The one field that every ledger has, and no other answer of a server. */
    if (!err_is_ok(err) || (!yes && balanced.kind != FORMAT_JSON_FALSE))
        return CLI_IO;
    buf_add_format(out, "balanced: %s\n", yes ? "yes" : "no");
    if (!add_part(out, document, "topics", "topic") ||
        !add_part(out, document, "dlq", "dead letters of") ||
        !add_part(out, document, "sinks", "sink") || !buf_ok(out))
        return CLI_INTERNAL;
    return yes ? CLI_OK : CLI_FAILED;
}

static int show(const struct cli_command *command, const struct cli_door_answer *answer,
                const char *address, bool json)
{
    struct buf out = {0};
    struct slice document = buf_slice(&answer->body);
    int code = answer->status == 200 ? cli_ledger_print(document, &out) : CLI_UNAVAILABLE;
    if (code == CLI_UNAVAILABLE)
        cli_fail(command, CLI_UNAVAILABLE, "%s answered %d: %.*s", address, answer->status,
                 SLICE_PRINTF(slice_trim(document)));
    else if (code == CLI_IO)
        cli_fail(command, CLI_IO,
                 "%s answers, but not with a ledger: is it the admin door, not the intake?",
                 address);
    else if (code == CLI_INTERNAL)
        cli_fail(command, CLI_INTERNAL, "out of memory");
    /* As it was sent, for whoever computes with it; it has been checked to be a ledger. */
    else if (json)
        printf("%.*s\n", SLICE_PRINTF(slice_trim(document)));
    else
        fwrite(out.data, 1, out.size, stdout);
    buf_done(&out);
    return code;
}

int cli_ledger(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = cli_command("ledger");
    struct flags flags;
    struct cli_words words;
    struct err_text why = {0};
    int code = cli_parse(command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    cli_words_done(&words);
    char address[CLI_DOOR_ADDRESS_SIZE];
    if (!err_is_ok(
            cli_door_address(cli, flags.server, "GARNER_SERVER", "127.0.0.1:9600", address, &why)))
        return cli_fail(command, CLI_USAGE, "%s", why.text);
    struct cli_door_answer answer;
    err_t err = cli_door_get(address, "/v1/ledger", TIMEOUT_MS, &answer, &why);
    if (!err_is_ok(err))
        return cli_fail(command, CLI_UNAVAILABLE,
                        "%s; start one with `garner serve`, or say where it is with --server or "
                        "GARNER_SERVER",
                        err_detail(err, &why));
    code = show(command, &answer, address, flags.json);
    buf_done(&answer.body);
    return code;
}
