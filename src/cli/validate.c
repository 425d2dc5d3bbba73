/*
 * The schema is read and compiled, then standard input goes through in blocks: what is before a
 * newline is a record, what is behind the last one waits for the next block. So a pipe is answered
 * as it comes, and a file of any size needs the memory of its largest record.
 *
 * What goes wrong: a schema that is none ends the command before it reads anything, with the exit
 * code of a wrong configuration. A line over the limit is one refused record, of which nothing is
 * kept but that it is too long. Without memory or when reading fails there is no verdict on the
 * whole, and the exit code says so.
 */

#include "cli/validate.h"

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "cli/cli.h"

#define BLOCK_SIZE 65536

struct flags {
    const char *schema;
    uint32_t draft;
    bool format_assertion;
    bool json;
};

/* In the order of enum format_jsonschema_draft. */
static const char *const drafts[] = {"2020-12", "7", NULL};

const struct option cli_validate_options[] = {
    {.name = "schema",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, schema),
     .help = "the file with the JSON Schema"},
    {.name = "draft",
     .type = OPTION_ENUM,
     .offset = offsetof(struct flags, draft),
     .fallback = "2020-12",
     .choices = drafts,
     .help = "what the schema is written in, where its $schema does not say"},
    {.name = "format_assertion",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, format_assertion),
     .help = "the keyword \"format\" refuses what is not of the format"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "one JSON object a record on standard output"},
    {0},
};

const char cli_validate_text[] =
    "Reads NDJSON from standard input and prints one verdict a record: `ok`, or `error`, the JSON\n"
    "Pointer to what is wrong, and the reason, with tabs between them. Needs no server; "
    "references\n"
    "are never fetched. Exit code 1 if any record failed, 78 for a schema that is none.\n"
    "\n"
    "    garner validate --schema flights.schema.json < flights.ndjson\n";

struct stream {
    const struct format_jsonschema *schema;
    struct format_jsonschema_scratch *scratch;
    FILE *out;
    bool json;
    struct buf line;    /* the start of a record whose end was not read yet */
    bool oversize;      /* it is over the limit, and what came of it is gone */
    uint64_t number;    /* of lines, for the verdicts in JSON */
    uint64_t refused;   /* records */
    struct buf verdict; /* one, while it is put together */
};

static void add_json_error(struct buf *out, const struct format_jsonschema_error *why)
{
    buf_add_string(out, ",\"path\":");
    buf_add_json_string(out, slice_string(why->path));
    buf_add_string(out, ",\"keyword\":");
    buf_add_json_string(out, slice_string(why->keyword));
    buf_add_string(out, ",\"message\":");
    buf_add_json_string(out, slice_string(why->message));
}

/* Prints the verdict on a record; `why` is NULL for a good one. */
static err_t print_verdict(struct stream *s, const struct format_jsonschema_error *why)
{
    ASSERT(s->number > 0);
    s->refused += why != NULL;
    buf_reset(&s->verdict);
    if (s->json) {
        buf_add_format(&s->verdict, "{\"line\":%llu,\"valid\":%s", (unsigned long long)s->number,
                       why ? "false" : "true");
        if (why)
            add_json_error(&s->verdict, why);
        buf_add_string(&s->verdict, "}\n");
    } else if (why) {
        buf_add_format(&s->verdict, "error\t%s\t%s\n", why->path, why->message);
    } else {
        buf_add_string(&s->verdict, "ok\n");
    }
    TRY(buf_error(&s->verdict));
    size_t written = fwrite(s->verdict.data, 1, s->verdict.size, s->out);
    return written == s->verdict.size ? err_ok() : err_make(ERR_IO);
}

/* Judges a whole line. */
static err_t judge(struct stream *s, struct slice line)
{
    struct format_jsonschema_error why;
    line = slice_trim(line);
    s->number++;
    if (s->oversize || line.size > CLI_VALIDATE_RECORD_MAX) {
        why = (struct format_jsonschema_error){
            .message = "expected a record of at most 1 MiB (oversize)", .keyword = "oversize"};
        s->oversize = false;
        return print_verdict(s, &why);
    }
    if (line.size == 0)
        return err_ok();
    err_t err = format_jsonschema_check(s->schema, s->scratch, line, &why);
    if (err_is(err, ERR_MEMORY))
        return err;
    return print_verdict(s, err_is_ok(err) ? NULL : &why);
}

/* Keeps a piece of a line until the rest of it comes, as long as it may be a record. */
static err_t keep(struct stream *s, struct slice piece)
{
    if (s->oversize || s->line.size + piece.size > CLI_VALIDATE_RECORD_MAX + BLOCK_SIZE) {
        s->oversize = true;
        buf_reset(&s->line);
        return err_ok();
    }
    buf_add_slice(&s->line, piece);
    return buf_error(&s->line);
}

/* Judges all lines that end in `block`. */
static err_t take_block(struct stream *s, struct slice block)
{
    for (size_t end; (end = slice_find(block, '\n')) < block.size;) {
        struct slice line = slice_sub(block, 0, end);
        if (s->line.size > 0) {
            TRY(keep(s, line));
            line = buf_slice(&s->line);
        }
        TRY(judge(s, line));
        buf_reset(&s->line);
        block = slice_sub(block, end + 1, block.size);
    }
    return keep(s, block);
}

static err_t take_all(struct stream *s, int in)
{
    uint8_t block[BLOCK_SIZE];
    for (;;) {
        ssize_t size = read(in, block, sizeof(block));
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return err_from_errno(errno);
        if (size == 0)
            break;
        TRY(take_block(s, slice_make(block, (size_t)size)));
        /* Whoever feeds us line by line sees each verdict before the next line. */
        if (fflush(s->out) != 0)
            return err_make(ERR_IO);
    }
    if (s->line.size > 0 || s->oversize)
        TRY(judge(s, buf_slice(&s->line)));
    return fflush(s->out) == 0 ? err_ok() : err_make(ERR_IO);
}

int cli_validate_stream(const struct format_jsonschema *schema, int in, FILE *out, bool json)
{
    ASSERT(schema && out);
    struct stream s = {.schema = schema, .out = out, .json = json};
    err_t err = format_jsonschema_scratch_new(&s.scratch);
    if (err_is_ok(err))
        err = take_all(&s, in);
    format_jsonschema_scratch_free(&s.scratch);
    buf_done(&s.line);
    buf_done(&s.verdict);
    if (err_is(err, ERR_MEMORY))
        return CLI_INTERNAL;
    if (!err_is_ok(err))
        return CLI_IO;
    return s.refused > 0 ? CLI_FAILED : CLI_OK;
}

/* All of a file; ERR_TOO_LARGE when it is longer than a schema may be. */
static err_t read_schema(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return err_from_errno(errno);
    uint8_t block[4096];
    size_t size;
    while (buf_ok(out) && (size = fread(block, 1, sizeof(block), file)) > 0)
        buf_add(out, block, size);
    err_t err = ferror(file) ? err_make(ERR_IO) : buf_error(out);
    fclose(file);
    return err;
}

/* Compiles the schema that the flags name; what is wrong has been said when it returns a code. */
static int load_schema(const struct cli_command *command, const struct flags *flags,
                       struct format_jsonschema **out)
{
    struct format_jsonschema_options options = {.draft = (enum format_jsonschema_draft)flags->draft,
                                                .assert_formats = flags->format_assertion};
    struct err_text why = {0};
    struct buf text;
    buf_init(&text, FORMAT_JSONSCHEMA_SIZE_MAX);
    err_t err = read_schema(flags->schema, &text);
    if (err_is_ok(err))
        err = format_jsonschema_compile(buf_slice(&text), &options, out, &why);
    buf_done(&text);
    if (err_is_ok(err))
        return CLI_OK;
    enum cli_exit code = err_is(err, ERR_MEMORY) ? CLI_INTERNAL : CLI_CONFIG;
    return cli_fail(command, code, "%s: %s", flags->schema, err_detail(err, &why));
}

int cli_validate(struct cli *cli, int argc, char **argv)
{
    ASSERT(cli);
    const struct cli_command *command = cli_command("validate");
    struct flags flags;
    struct cli_words words;
    int code = cli_parse(command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    cli_words_done(&words);
    if (!flags.schema)
        return cli_fail(command, CLI_USAGE, "expected --schema FILE");
    struct format_jsonschema *schema = NULL;
    code = load_schema(command, &flags, &schema);
    if (code == CLI_OK) {
        code = cli_validate_stream(schema, STDIN_FILENO, stdout, flags.json);
        if (code != CLI_OK && code != CLI_FAILED)
            (void)cli_fail(command, (enum cli_exit)code, "%s",
                           code == CLI_IO ? "cannot read or write" : "out of memory");
    }
    format_jsonschema_free(&schema);
    return code;
}
