/*
 * Findings are printed as they come, since a check of a terabyte takes its time and the first is
 * worth reading; with --json they are gathered into the one document that is printed at the end.
 * The ledger's rows and the verdict come last.
 */

#include "cli/fsck.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/export.h"
#include "io/uv/uv.h"
#include "log/fsck.h"

struct flags {
    bool repair;
    const char *export;
    bool json;
};

const struct option cli_fsck_options[] = {
    {.name = "repair",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, repair),
     .help = "keep what is whole and write off the rest; copies what it changes aside first"},
    {.name = "export",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, export),
     .help = "write every record that can be read into this directory, which is empty"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "one JSON object on standard output"},
    {0},
};

const char cli_fsck_text[] =
    "Checks the data directory of a server that is not running: garner.meta, checkpoints, the\n"
    "frames of the log, segments and their indexes, and counts all records again for the ledger.\n"
    "Names what is damaged by its bytes, and what that means for which offsets. Changes nothing.\n"
    "\n"
    "With --repair it keeps every whole frame and batch. What it changes is copied to\n"
    "DIR/fsck-<time>/ first. Offsets that are lost are never given again; their records count as\n"
    "`damaged` in the ledger. With --export it writes what can be read to DIR2, one file a topic\n"
    "and partition, one JSON object a line.\n"
    "\n"
    "  garner fsck garner-data\n"
    "  garner fsck garner-data --repair\n"
    "  garner fsck garner-data --export rescued\n"
    "\n"
    "Exit code 0 when nothing is wrong, 1 when errors were repaired, 4 when errors are left, 8\n"
    "when the check could not be done (a server has the directory, it holds no data, ...).\n";

struct fsck {
    const struct cli_command *command;
    struct cli *cli;
    struct flags flags;
    struct cli_export export;
    struct buf errors; /* of the document */
    struct buf notes;
    struct buf acts;
    struct buf topics;
    uint64_t percent;
    bool line_open; /* of the progress */
    struct err_text why;
};

/* What is printed next begins at the front of the line. */
static void clear_line(struct fsck *fsck)
{
    if (fsck->line_open)
        fprintf(stderr, "\r\033[K");
    fsck->line_open = false;
}

static void begin_item(struct buf *out)
{
    if (out->size > 0)
        buf_add_byte(out, ',');
}

static void add_member(struct buf *out, const char *name, uint64_t value)
{
    buf_add_format(out, ",\"%s\":", name);
    buf_add_u64(out, value);
}

static void add_finding(struct buf *out, const struct log_fsck_finding *finding)
{
    begin_item(out);
    buf_add_format(out, "{\"code\":\"%s\",\"text\":", finding->code);
    buf_add_json_string(out, slice_string(finding->text));
    if (finding->path) {
        buf_add_string(out, ",\"path\":");
        buf_add_json_string(out, slice_string(finding->path));
    }
    if (finding->end_byte > 0) {
        add_member(out, "first_byte", finding->first_byte);
        add_member(out, "end_byte", finding->end_byte);
    }
    if (finding->topic) {
        buf_add_string(out, ",\"topic\":");
        buf_add_json_string(out, slice_string(finding->topic));
        add_member(out, "partition", finding->partition);
    }
    if (finding->end_offset > 0) {
        add_member(out, "first_offset", (uint64_t)finding->first_offset);
        add_member(out, "end_offset", (uint64_t)finding->end_offset);
        add_member(out, "records", finding->records);
        if (finding->at_most)
            buf_add_string(out, ",\"at_most\":true");
    }
    buf_add_byte(out, '}');
}

static void found(void *context, const struct log_fsck_finding *finding)
{
    struct fsck *fsck = context;
    if (fsck->flags.json) {
        add_finding(finding->error ? &fsck->errors : &fsck->notes, finding);
        return;
    }
    clear_line(fsck);
    printf("%s: ", finding->error ? "error" : "note");
    if (finding->path)
        printf("%s: ", finding->path);
    if (finding->path && finding->end_byte > 0)
        printf("bytes %" PRIu64 " to %" PRIu64 ": ", finding->first_byte, finding->end_byte - 1);
    printf("%s\n", finding->text);
}

static void acts(void *context, const char *text)
{
    struct fsck *fsck = context;
    if (fsck->flags.json) {
        begin_item(&fsck->acts);
        buf_add_json_string(&fsck->acts, slice_string(text));
        return;
    }
    clear_line(fsck);
    printf("repair: %s\n", text);
}

/* Of a terabyte a hundred lines, each over the last. */
static void progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct fsck *fsck = context;
    uint64_t percent = total_bytes > 0 ? done_bytes / (total_bytes / 100 + 1) : 0;
    if (!fsck->cli->terminal || percent == fsck->percent)
        return;
    fsck->percent = percent;
    fsck->line_open = true;
    fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " MiB read", done_bytes >> 20, total_bytes >> 20);
}

static void topic(void *context, const struct log_fsck_topic *row)
{
    struct fsck *fsck = context;
    if (fsck->flags.json) {
        begin_item(&fsck->topics);
        buf_add_json_string(&fsck->topics, slice_string(row->name));
        buf_add_format(&fsck->topics, ":{\"balanced\":%s", row->balanced ? "true" : "false");
        add_member(&fsck->topics, "accepted", row->accepted);
        add_member(&fsck->topics, "on_disk", row->on_disk);
        add_member(&fsck->topics, "expired", row->expired);
        add_member(&fsck->topics, "damaged", row->damaged);
        buf_add_byte(&fsck->topics, '}');
        return;
    }
    clear_line(fsck);
    printf("topic %s: %" PRIu64 " records by the ledger, %" PRIu64 " counted again%s", row->name,
           row->accepted, row->on_disk, row->balanced ? "" : ", does not balance");
    if (row->expired > 0)
        printf(", %" PRIu64 " of them expired", row->expired);
    if (row->damaged > 0)
        printf(", %" PRIu64 " written off as damaged", row->damaged);
    printf("\n");
}

static err_t batch(void *context, struct slice topic_name, uint32_t partition,
                   const struct flow_batch *whole)
{
    struct fsck *fsck = context;
    return cli_export_batch(&fsck->export, topic_name, partition, whole, &fsck->why);
}

static int verdict(const struct log_fsck_result *result)
{
    if (result->errors == 0)
        return CLI_FSCK_CLEAN;
    return result->repaired ? CLI_FSCK_CORRECTED : CLI_FSCK_LEFT;
}

static void add_part(struct buf *out, const char *name, char open, const struct buf *part,
                     char close)
{
    buf_add_format(out, ",\n\"%s\":%c", name, open);
    buf_add_slice(out, buf_slice(part));
    buf_add_byte(out, (uint8_t)close);
}

static int print_document(struct fsck *fsck, const struct log_fsck_result *result)
{
    struct buf out = {0};
    int code = verdict(result);
    buf_add_format(&out, "{\"clean\":%s,\"repaired\":%s", result->errors == 0 ? "true" : "false",
                   result->repaired ? "true" : "false");
    add_member(&out, "checkpoint_lsn", result->checkpoint_lsn);
    add_member(&out, "last_lsn", result->last_lsn);
    add_member(&out, "frames", result->frames);
    add_member(&out, "segments", result->segments);
    add_member(&out, "batches", result->batches);
    add_member(&out, "records", result->records);
    add_member(&out, "lost_records", result->lost_records);
    if (fsck->flags.export)
        add_member(&out, "exported_records", fsck->export.records);
    add_part(&out, "errors", '[', &fsck->errors, ']');
    add_part(&out, "notes", '[', &fsck->notes, ']');
    add_part(&out, "acts", '[', &fsck->acts, ']');
    add_part(&out, "topics", '{', &fsck->topics, '}');
    buf_add_string(&out, "}\n");
    bool whole = buf_ok(&out) && buf_ok(&fsck->errors) && buf_ok(&fsck->notes) &&
                 buf_ok(&fsck->acts) && buf_ok(&fsck->topics);
    if (whole)
        fwrite(out.data, 1, out.size, stdout);
    else
        code = cli_fail(fsck->command, (enum cli_exit)CLI_FSCK_FAILED, "out of memory");
    buf_done(&out);
    return code;
}

static int print_verdict(const struct fsck *fsck, const struct log_fsck_result *result)
{
    printf("%" PRIu64 " records in %" PRIu64 " batches, %" PRIu64 " segments, %" PRIu64
           " frames behind checkpoint %" PRIu64 "\n",
           result->records, result->batches, result->segments, result->frames,
           result->checkpoint_lsn);
    if (fsck->flags.export)
        printf("%" PRIu64 " records were written to %" PRIu64 " files in %s%s\n",
               fsck->export.records, fsck->export.files, fsck->flags.export,
               fsck->export.skipped > 0 ? "; some batches could not be unpacked" : "");
    int code = verdict(result);
    if (code == CLI_FSCK_CLEAN)
        printf("nothing is wrong\n");
    else if (code == CLI_FSCK_CORRECTED)
        printf("repaired: %" PRIu64 " errors, %" PRIu64 " records are lost\n", result->errors,
               result->lost_records);
    else
        printf("%" PRIu64 " errors are left, %" PRIu64 " records are lost%s\n", result->errors,
               result->lost_records,
               fsck->flags.repair ? "" : "; --repair keeps all that is whole");
    return code;
}

/* fsck-20260301T064000: in the order of time, and two repairs do not mix. */
static err_t name_aside(struct buf *out)
{
    struct io_loop *loop = NULL;
    TRY(io_uv_loop_new(&loop));
    buf_add_string(out, "fsck-");
    err_t err = buf_add_time_format(out, SLICE_LITERAL("%Y%m%dT%H%M%S"), io_wall_ms(loop));
    io_uv_loop_free(&loop);
    buf_add_byte(out, '\0');
    TRY(err);
    return buf_error(out);
}

static err_t check(struct fsck *fsck, const char *directory, struct log_fsck_result *result)
{
    struct buf aside = {0};
    struct log_fsck_options options = {
        .disk = fsck->cli->disk,
        .data_directory = directory,
        .watcher = {fsck, found, acts, progress, topic, fsck->flags.export ? batch : NULL},
    };
    err_t err = err_ok();
    if (fsck->flags.repair)
        err = name_aside(&aside);
    if (fsck->flags.repair && err_is_ok(err))
        options.aside = (const char *)aside.data;
    if (fsck->flags.export && err_is_ok(err))
        err = cli_export_begin(&fsck->export, fsck->cli->disk, fsck->flags.export, &fsck->why);
    struct err_text why = {0};
    if (err_is_ok(err)) {
        err = log_fsck(&options, result, &why);
        /* What the export says of its own failure is nearer to it. */
        if (!err_is_ok(err) && !fsck->why.text[0])
            fsck->why = why;
    }
    if (fsck->export.disk) {
        err_t ended = cli_export_end(&fsck->export, &fsck->why);
        err = err_is_ok(err) ? ended : err;
    }
    buf_done(&aside);
    return err;
}

int cli_fsck(struct cli *cli, int argc, char **argv)
{
    struct fsck fsck = {.command = cli_command("fsck"), .cli = cli};
    struct cli_words words;
    struct log_fsck_result result = {0};
    int code = cli_parse(fsck.command, argc, argv, &fsck.flags, &words);
    if (code >= 0)
        return code;
    const char *directory = words.count == 1 ? words.items[0] : NULL;
    cli_words_done(&words);
    if (!directory)
        return cli_fail(fsck.command, CLI_USAGE, "expected one data directory");
    if (fsck.flags.repair && fsck.flags.export)
        return cli_fail(fsck.command, CLI_USAGE,
                        "--repair and --export are two steps: export first, then repair");
    ASSERT(cli->disk);
    err_t err = check(&fsck, directory, &result);
    clear_line(&fsck);
    if (!err_is_ok(err))
        code = cli_fail(fsck.command, (enum cli_exit)CLI_FSCK_FAILED, "%s",
                        err_detail(err, &fsck.why));
    else if (fsck.flags.json)
        code = print_document(&fsck, &result);
    else
        code = print_verdict(&fsck, &result);
    buf_done(&fsck.errors);
    buf_done(&fsck.notes);
    buf_done(&fsck.acts);
    buf_done(&fsck.topics);
    return code;
}
