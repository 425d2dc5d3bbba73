/*
 * The server holds what its newest checkpoint names and says where it lies; this process copies
 * it, tells the server every few seconds that it is still there, and gives it back. The backup
 * counts only if the server says at that moment that it has held everything all the time.
 */

#include "cli/backup.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/number.h"
#include "base/time.h"
#include "cli/door.h"
#include "cli/table.h"
#include "format/json/json.h"
#include "io/uv/uv.h"
#include "log/backup.h"

/* Taking waits for a file to be sealed, under load. */
#define TAKE_TIMEOUT_MS 120000u
#define KEEP_TIMEOUT_MS 30000u
#define KEEP_EVERY_NS (5 * IO_SECOND)

struct flags {
    const char *to;
    const char *server;
    const char *data_dir;
    bool json;
};

const struct option cli_backup_options[] = {
    {.name = "to",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, to),
     .help = "the folder of the backups; made when it is not there"},
    CLI_DOOR_OPTION(struct flags, server),
    {.name = "data_dir",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, data_dir),
     .help = "the data directory of a server that does not run"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "one JSON object on standard output"},
    {0},
};

const char cli_backup_text[] =
    "Copies the data directory of a server on this machine, while it runs and takes records, into\n"
    "a folder. Every backup is whole: all that was acknowledged when it began is in it, with\n"
    "sinks, dead letters and the ledger at one moment. Backups in one folder share what segments\n"
    "hold, so that the next one copies what is new. `list` tells which there are.\n"
    "\n"
    "  garner backup --to /backups/flights\n"
    "  garner backup --to /backups/flights --data-dir garner-data    (no server runs)\n"
    "  garner backup list --to /backups/flights\n"
    "\n"
    "A backup that is interrupted is no backup; the next one clears it away. To remove one, "
    "remove\n"
    "its directory; what only it needed goes with the next backup. garner restore makes a data\n"
    "directory of one.\n"
    "\n"
    "Exit code 0; 1 when there is no backup (damage, another one under way, the server needed the\n"
    "room); 69 when no server answers; 73 when the folder has no room or cannot be written; 74 "
    "for\n"
    "what else the disk refuses; 64 for wrong words.\n";

struct command {
    const struct cli_command *command;
    struct cli *cli;
    struct flags flags;
    struct io_loop *clock;
    struct cli_door *door;
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_backup_line line;
    struct buf id; /* of what the server holds; a string */
    struct buf data_dir;
    uint64_t lsn;
    struct uuid uuid;
    bool held;
    uint64_t kept_ns; /* when the server was told last */
    struct err_text lost;
};

/* By class, so that scripts can tell a backup that is damaged from a disk that is full without
 * reading texts. */
enum cli_exit cli_backup_exit(err_t err)
{
    ASSERT(!err_is_ok(err));
    switch ((enum err_class)err_class(err)) {
    case ERR_CLASS_CORRUPT:
    case ERR_CLASS_STATE:
    case ERR_CLASS_PRESSURE:
    case ERR_CLASS_INPUT: return CLI_FAILED;
    case ERR_CLASS_MISSING: return err_is(err, ERR_EXISTS) ? CLI_CANNOT_CREATE : CLI_FAILED;
    case ERR_CLASS_OK:
    case ERR_CLASS_LIMIT:
    case ERR_CLASS_CONFIG:
    case ERR_CLASS_IO:
    default: break;
    }
    if (err_is(err, ERR_NO_SPACE) || err_is(err, ERR_PERMISSION))
        return CLI_CANNOT_CREATE;
    return err_is(err, ERR_IN_USE) || err_is(err, ERR_NO_FILE) ? CLI_FAILED : CLI_IO;
}

void cli_backup_line_show(struct cli_backup_line *line, const char *what, uint64_t done_bytes,
                          uint64_t total_bytes)
{
    uint64_t percent = total_bytes > 0 ? done_bytes * 100 / total_bytes : 100;
    if (!line->shown || (line->open && line->percent == percent))
        return;
    struct buf text = {0};
    buf_add_size(&text, total_bytes);
    fprintf(stderr, "\r\033[K%s: %" PRIu64 " %% of %.*s", what, percent,
            SLICE_PRINTF(buf_slice(&text)));
    fflush(stderr);
    buf_done(&text);
    line->open = true;
    line->percent = percent;
}

void cli_backup_line_clear(struct cli_backup_line *line)
{
    if (line->open)
        fprintf(stderr, "\r\033[K");
    line->open = false;
}

/* The string under `key`, unescaped. ERR_SYNTAX where there is none. */
static err_t get_string(struct slice document, const char *key, struct buf *out)
{
    struct format_json_value value = {0};
    ASSERT(key[0]);
    TRY(format_json_get(document, key, &value));
    if (value.kind != FORMAT_JSON_STRING)
        return err_make(ERR_SYNTAX);
    return format_json_string_decode(value.raw, out);
}

/* A call about what is held; anything but 200 says that it does not count. */
static err_t tell(struct command *c, const char *method, const char *query)
{
    char target[128];
    struct cli_door_answer answer = {0};
    struct buf text = {0};
    int size = snprintf(target, sizeof target, "/v1/backups/%.*s%s",
                        SLICE_PRINTF(buf_slice(&c->id)), query);
    ASSERT(size > 0 && (size_t)size < sizeof target);
    err_t err = cli_door_ask(c->door, method, target, KEEP_TIMEOUT_MS, &answer, &c->lost);
    c->kept_ns = io_now_ns(c->clock);
    if (err_is_ok(err) && answer.status != 200) {
        c->held = false;
        /* Without a detail the status says it alone. */
        err_t ignored = get_string(buf_slice(&answer.body), "detail", &text);
        (void)ignored;
        err = err_set(&c->lost, ERR_CANCELLED, "%s answered %d: %.*s", c->address, answer.status,
                      SLICE_PRINTF(buf_slice(&text)));
    }
    buf_done(&answer.body);
    buf_done(&text);
    return err_is_ok(err) ? err : err_make(ERR_CANCELLED);
}

/* Called for every megabyte, which is often enough to keep a lease of a minute. */
static err_t progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct command *c = context;
    cli_backup_line_show(&c->line, "backup", done_bytes, total_bytes);
    if (!c->held || io_now_ns(c->clock) < c->kept_ns + KEEP_EVERY_NS)
        return err_ok();
    return tell(c, "POST", "");
}

/* As soon as it is so: until then the server keeps files that it could use again. */
static err_t log_copied(void *context)
{
    struct command *c = context;
    return c->held ? tell(c, "POST", "?log=copied") : err_ok();
}

/* The server is asked last, when all is flushed: its answer is what makes the copy a backup. */
static err_t copied(void *context)
{
    struct command *c = context;
    if (!c->held)
        return err_ok();
    c->held = false;
    return tell(c, "DELETE", "");
}

/* Nothing of the answer is believed to be there: the door may be of another version, or no
 * garner at all. */
static err_t take_answer(struct command *c, struct slice document)
{
    struct format_json_value value = {0};
    struct buf uuid = {0};
    TRY(get_string(document, "id", &c->id));
    TRY(get_string(document, "data_dir", &c->data_dir));
    buf_add_byte(&c->data_dir, '\0');
    TRY(buf_error(&c->data_dir));
    TRY(format_json_get(document, "lsn", &value));
    TRY(number_parse_u64(value.raw, &c->lsn));
    err_t err = get_string(document, "uuid", &uuid);
    if (err_is_ok(err))
        err = uuid_parse(buf_slice(&uuid), &c->uuid);
    buf_done(&uuid);
    TRY(err);
    uint64_t id = 0;
    bool good = c->lsn > 0 && err_is_ok(number_parse_u64(buf_slice(&c->id), &id));
    return err_make(good ? ERR_OK : ERR_SYNTAX);
}

/* Asks the server to hold its files; -1, or the exit code when it does not. */
static int take(struct command *c)
{
    struct err_text why = {0};
    struct cli_door_answer answer = {0};
    if (!err_is_ok(cli_door_address(c->cli, c->flags.server, "GARNER_SERVER", "127.0.0.1:9600",
                                    c->address, &why)))
        return cli_fail(c->command, CLI_USAGE, "%s", why.text);
    err_t err = cli_door_open(c->address, &c->door);
    if (err_is_ok(err))
        err = cli_door_ask(c->door, "POST", "/v1/backups", TAKE_TIMEOUT_MS, &answer, &why);
    if (!err_is_ok(err))
        return cli_fail(c->command, CLI_UNAVAILABLE,
                        "%s; say where the server is with --server or GARNER_SERVER, or, where "
                        "none runs, give its data directory with --data-dir",
                        err_detail(err, &why));
    int code = -1;
    if (answer.status != 200)
        code = cli_door_refused(c->command, c->address, &answer);
    else if (!err_is_ok(take_answer(c, buf_slice(&answer.body))))
        code = cli_fail(c->command, CLI_UNAVAILABLE,
                        "%s answers, but not as the admin door of a garner that makes backups",
                        c->address);
    c->held = code < 0;
    c->kept_ns = io_now_ns(c->clock);
    buf_done(&answer.body);
    return code;
}

static void print_result(const struct command *c, const struct log_backup_result *result)
{
    struct buf out = {0};
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(&result->uuid, uuid);
    if (c->flags.json) {
        buf_add_format(&out,
                       "{\"name\":\"%s\",\"uuid\":\"%s\",\"lsn\":%" PRIu64 ",\"bytes\":%" PRIu64
                       ",\"copied_bytes\":%" PRIu64 "}\n",
                       result->name, uuid, result->lsn, result->bytes, result->copied_bytes);
    } else {
        buf_add_format(&out, "backup %s: ", result->name);
        buf_add_size(&out, result->bytes);
        buf_add_string(&out, ", ");
        buf_add_size(&out, result->copied_bytes);
        buf_add_string(&out, " of it copied\n");
    }
    fwrite(out.data, 1, out.size, stdout);
    buf_done(&out);
}

static int make(struct command *c)
{
    struct err_text why = {0};
    struct log_backup_result result;
    int code = c->flags.data_dir ? -1 : take(c);
    if (code >= 0)
        return code;
    struct log_backup_options options = {
        .disk = c->cli->disk,
        .data_directory = c->flags.data_dir ? c->flags.data_dir : (const char *)c->data_dir.data,
        .folder = c->flags.to,
        .uuid = c->uuid,
        .lsn = c->lsn,
        .now_ms = io_wall_ms(c->clock),
        .watcher = {c, progress, log_copied, copied},
    };
    err_t err = log_backup(&options, &result, &why);
    cli_backup_line_clear(&c->line);
    /* Given back at once, so that the next try need not wait for the lease. */
    struct err_text lost = c->lost;
    if (!err_is_ok(err) && c->held) {
        err_t ignored = copied(c);
        (void)ignored;
    }
    if (!err_is_ok(err))
        return cli_fail(c->command, cli_backup_exit(err), "no backup was made: %s",
                        lost.text[0] ? lost.text : err_detail(err, &why));
    print_result(c, &result);
    return CLI_OK;
}

/* Rows of the table, or elements of the document. */
struct listing {
    const struct command *command;
    struct cli_table table;
    struct arena arena;
    struct buf document;
};

static err_t add_row(struct listing *l, const char *name, const struct log_manifest *manifest)
{
    struct buf row = {0};
    buf_add_string(&row, "{\"size\":\"");
    if (manifest)
        buf_add_size(&row, log_manifest_bytes(manifest));
    buf_add_string(&row, manifest ? "\",\"copied\":\"" : "-\",\"copied\":\"");
    if (manifest)
        buf_add_size(&row, manifest->copied_bytes);
    buf_add_format(&row, "%s\",\"frame\":\"", manifest ? "" : "-");
    if (manifest)
        buf_add_u64(&row, manifest->lsn);
    buf_add_format(&row, "%s\",\"state\":\"%s\"}", manifest ? "" : "-",
                   manifest ? "whole" : "damaged");
    /* The row's buffer goes; what the table keeps must not. */
    struct slice kept = buf_ok(&row) ? arena_slice(&l->arena, buf_slice(&row)) : (struct slice){0};
    struct slice key = arena_slice(&l->arena, slice_string(name));
    buf_done(&row);
    return kept.data && key.data && cli_table_add(&l->table, key, kept) ? err_ok()
                                                                        : err_make(ERR_MEMORY);
}

static void add_element(struct listing *l, const char *name, const struct log_manifest *manifest,
                        const char *why)
{
    char uuid[UUID_TEXT_SIZE + 1];
    buf_add_string(&l->document, l->document.size > 0 ? ",\n" : "");
    buf_add_format(&l->document, "{\"name\":\"%s\",\"whole\":%s", name,
                   manifest ? "true" : "false,\"error\":");
    if (manifest) {
        uuid_format(&manifest->uuid, uuid);
        buf_add_format(&l->document, ",\"uuid\":\"%s\",\"lsn\":%" PRIu64 ",\"created\":\"", uuid,
                       manifest->lsn);
        buf_add_time(&l->document, manifest->created_ms);
        buf_add_format(&l->document,
                       "\",\"files\":%zu,\"bytes\":%" PRIu64 ",\"copied_bytes\":%" PRIu64,
                       manifest->file_count, log_manifest_bytes(manifest), manifest->copied_bytes);
    } else {
        buf_add_json_string(&l->document, slice_string(why));
    }
    buf_add_byte(&l->document, '}');
}

static err_t each(void *context, const char *name, const struct log_manifest *manifest,
                  const char *why)
{
    struct listing *l = context;
    if (l->command->flags.json) {
        add_element(l, name, manifest, why);
        return buf_error(&l->document);
    }
    if (!manifest)
        fprintf(stderr, "garner backup: %s\n", why);
    return add_row(l, name, manifest);
}

static int list(struct command *c)
{
    struct listing l = {.command = c};
    struct err_text why = {0};
    struct buf out = {0};
    int code = CLI_OK;
    err_t err = log_backup_list(c->cli->disk, c->flags.to, each, &l, &why);
    if (!err_is_ok(err)) {
        code = cli_fail(c->command, cli_backup_exit(err), "%s", err_detail(err, &why));
    } else if (c->flags.json) {
        printf("{\"backups\":[%.*s]}\n", SLICE_PRINTF(buf_slice(&l.document)));
    } else {
        cli_table_print(&l.table, "backup", &out);
        fwrite(out.data, 1, out.size, stdout);
    }
    buf_done(&out);
    buf_done(&l.document);
    cli_table_done(&l.table);
    arena_done(&l.arena);
    return code;
}

static int run(struct command *c, const char *verb, int count)
{
    bool lists = count == 1 && strcmp(verb, "list") == 0;
    if (count > 0 && !lists)
        return cli_fail(c->command, CLI_USAGE, "expected flags, or list");
    if (!c->flags.to)
        return cli_fail(c->command, CLI_USAGE, "--to is missing: the folder of the backups");
    if (c->flags.server && c->flags.data_dir)
        return cli_fail(c->command, CLI_USAGE,
                        "--server is for a server that runs, --data-dir for none: give one");
    if (lists)
        return list(c);
    if (!err_is_ok(io_uv_loop_new(&c->clock)))
        return cli_fail(c->command, CLI_INTERNAL, "out of memory or of open files");
    int code = make(c);
    cli_door_close(&c->door);
    io_uv_loop_free(&c->clock);
    buf_done(&c->id);
    buf_done(&c->data_dir);
    return code;
}

int cli_backup(struct cli *cli, int argc, char **argv)
{
    struct command c = {.command = cli_command("backup"), .cli = cli};
    struct cli_words words;
    int code = cli_parse(c.command, argc, argv, &c.flags, &words);
    if (code >= 0)
        return code;
    ASSERT(cli->disk);
    c.line.shown = cli->terminal;
    code = run(&c, words.count > 0 ? words.items[0] : "", words.count);
    cli_words_done(&words);
    return code;
}
