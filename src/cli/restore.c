#include "cli/restore.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/number.h"
#include "base/time.h"
#include "cli/backup.h"
#include "cli/cli.h"
#include "io/uv/uv.h"
#include "log/restore.h"

/*
 * The work is log/restore's; here are its words. What is printed of topics comes from the check of
 * the finished directory, before it has its name: rows that were shown and then an error mean that
 * there is no directory, and the exit code says so.
 */

struct flags {
    const char *from;
    const char *backup;
    const char *to;
    bool json;
};

const struct option cli_restore_options[] = {
    {.name = "from",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, from),
     .help = "the folder of the backups"},
    {.name = "backup",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, backup),
     .help = "the name of one, as `garner backup list` tells it; else the newest"},
    {.name = "to",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, to),
     .help = "the data directory to be made: not there, or empty"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "one JSON object on standard output"},
    {0},
};

const char cli_restore_text[] =
    "Makes a data directory of a backup, checks it as garner fsck does, and only then gives it "
    "its\n"
    "name: there is a whole one, or none. It gets a uuid of its own, since its records go on\n"
    "otherwise than those that were backed up. Sinks go on where they were at the backup: what "
    "they\n"
    "have delivered since then they deliver again, so move their newer files away first.\n"
    "\n"
    "  garner restore --from /backups/flights --to garner-data\n"
    "  garner restore --from /backups/flights --backup 20260301T064000Z --to garner-data\n"
    "\n"
    "Exit code 0; 1 when the backup is damaged or there is none; 73 when --to is not empty, has "
    "no\n"
    "room or cannot be written; 74 for what else the disk refuses; 64 for wrong words.\n";

struct command {
    const struct cli_command *command;
    struct flags flags;
    struct cli_backup_line line;
    struct buf topics; /* of the document */
};

static err_t progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct command *c = context;
    cli_backup_line_show(&c->line, "restore", done_bytes, total_bytes);
    return err_ok();
}

/* While the line of progress stands on the terminal, rows of the result go above it. */
static void topic(void *context, const struct log_fsck_topic *row)
{
    struct command *c = context;
    if (c->flags.json) {
        buf_add_string(&c->topics, c->topics.size > 0 ? "," : "");
        buf_add_json_string(&c->topics, slice_string(row->name));
        buf_add_format(&c->topics, ":{\"records\":%" PRIu64 ",\"balanced\":%s}", row->on_disk,
                       row->balanced ? "true" : "false");
        return;
    }
    cli_backup_line_clear(&c->line);
    printf("topic %s: %" PRIu64 " records\n", row->name, row->on_disk);
}

static void print_result(const struct command *c, const struct log_restore_result *result,
                         const struct uuid *id)
{
    struct buf out = {0};
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(id, uuid);
    if (c->flags.json) {
        buf_add_format(&out,
                       "{\"backup\":\"%s\",\"uuid\":\"%s\",\"lsn\":%" PRIu64 ",\"bytes\":%" PRIu64
                       ",\"records\":%" PRIu64 ",\"created\":\"",
                       result->name, uuid, result->lsn, result->bytes, result->records);
        buf_add_time(&out, result->created_ms);
        buf_add_string(&out, "\",\"topics\":{");
        buf_add_slice(&out, buf_slice(&c->topics));
        buf_add_string(&out, "}}\n");
    } else {
        buf_add_format(&out, "restored backup %s to %s: %" PRIu64 " records, ", result->name,
                       c->flags.to, result->records);
        buf_add_size(&out, result->bytes);
        buf_add_format(&out, "; its uuid is %s\n", uuid);
    }
    fwrite(out.data, 1, out.size, stdout);
    buf_done(&out);
}

/* The uuid is drawn here: whatever is below draws nothing, so that tests can say what a restore
 * makes. */
static int run(struct command *c, struct io_disk *disk)
{
    struct io_loop *loop = NULL;
    struct err_text why = {0};
    struct log_restore_result result;
    uint8_t random[16];
    if (!c->flags.from || !c->flags.to)
        return cli_fail(c->command, CLI_USAGE,
                        "--from (the folder of the backups) and --to (the data directory) are both "
                        "needed");
    if (!err_is_ok(io_uv_loop_new(&loop)))
        return cli_fail(c->command, CLI_INTERNAL, "out of memory or of open files");
    io_random(loop, random, sizeof random);
    io_uv_loop_free(&loop);
    struct log_restore_options options = {.disk = disk,
                                          .folder = c->flags.from,
                                          .name = c->flags.backup,
                                          .to = c->flags.to,
                                          .uuid = uuid_from_random(random),
                                          .context = c,
                                          .progress = progress,
                                          .topic = topic};
    err_t err = log_restore(&options, &result, &why);
    cli_backup_line_clear(&c->line);
    if (!err_is_ok(err))
        return cli_fail(c->command, cli_backup_exit(err), "nothing was restored: %s",
                        err_detail(err, &why));
    print_result(c, &result, &options.uuid);
    return CLI_OK;
}

int cli_restore(struct cli *cli, int argc, char **argv)
{
    struct command c = {.command = cli_command("restore")};
    struct cli_words words;
    int code = cli_parse(c.command, argc, argv, &c.flags, &words);
    if (code >= 0)
        return code;
    ASSERT(cli->disk);
    cli_words_done(&words);
    c.line.shown = cli->terminal;
    code = run(&c, cli->disk);
    buf_done(&c.topics);
    return code;
}
