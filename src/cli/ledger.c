/*
 * The document is walked as it comes and printed as tables (cli/table.h). So a term that a newer
 * server adds shows up here without a change, and the sums are never made a second time: whether
 * they hold is the server's word, which stands in front.
 *
 * What goes wrong: an answer that is no ledger (the wrong door, mostly) is told as such. A part
 * that is missing, or not of the kind that is expected, has no table.
 */

#include "cli/ledger.h"

#include "cli/cli.h"
#include "cli/door.h"
#include "cli/table.h"
#include "format/json/json.h"

#define TIMEOUT_MS 10000u

struct flags {
    const char *server;
    bool json;
};

const struct option cli_ledger_options[] = {
    CLI_DOOR_OPTION(struct flags, server),
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

/* False without memory. An empty part is left out, with its title. */
static bool add_part(struct buf *out, struct slice document, const char *key, const char *title)
{
    struct format_json_value part = {0};
    struct cli_table table = {0};
    bool good = err_is_ok(format_json_get(document, key, &part));
    for (struct cli_members m = {.rest = part.raw}; good && cli_members_next(&m);)
        good = cli_table_add(&table, m.key, m.value.raw);
    if (good && table.row_count > 0) {
        buf_add_byte(out, '\n');
        cli_table_print(&table, title, out);
    }
    cli_table_done(&table);
    return good;
}

int cli_ledger_print(struct slice document, struct buf *out)
{
    struct format_json_value balanced = {0};
    err_t err = format_json_get(document, "balanced", &balanced);
    bool yes = balanced.kind == FORMAT_JSON_TRUE;
    /* The one field that every ledger has, and no other answer of a server. */
    if (!err_is_ok(err) || (!yes && balanced.kind != FORMAT_JSON_FALSE))
        return CLI_UNAVAILABLE;
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
    if (answer->status != 200)
        return cli_door_refused(command, address, answer);
    int code = cli_ledger_print(document, &out);
    if (code == CLI_UNAVAILABLE)
        cli_door_strange(command, address, "a ledger");
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
