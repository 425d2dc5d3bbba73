/*
 * The table of commands, in the order of the alphabet, which is the order in which `garner --help`
 * lists them. The entry point looks a command up here and hands its words over; a command that is
 * not in the table does not exist. `serve` is missing since it is the server's, not a command
 * beside it. The smallest of them, version, has no file of its own.
 */

#include "cli/cli.h"

#include "base/assert.h"
#include "base/buf.h"
#include "cli/backup.h"
#include "cli/check.h"
#include "cli/consume.h"
#include "cli/contract.h"
#include "cli/dlq.h"
#include "cli/fsck.h"
#include "cli/gen.h"
#include "cli/groups.h"
#include "cli/ledger.h"
#include "cli/produce.h"
#include "cli/reload.h"
#include "cli/restore.h"
#include "cli/topics.h"
#include "cli/user.h"
#include "cli/validate.h"

struct version_flags {
    bool json;
};

static const struct option version_options[] = {
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct version_flags, json),
     .help = "one JSON object on standard output"},
    {0},
};

const struct cli_command cli_commands[] = {
    {.name = "backup",
     .summary = "copy the data directory of a running server",
     .arguments = "[list]",
     .text = cli_backup_text,
     .run = cli_backup,
     .options = cli_backup_options},
    {.name = "check",
     .summary = "check configuration and contracts",
     .arguments = "",
     .text = cli_check_text,
     .run = cli_check,
     .options = cli_check_options},
    {.name = "consume",
     .summary = "print the records of a topic",
     .arguments = "TOPIC",
     .text = cli_consume_text,
     .run = cli_consume,
     .options = cli_consume_options},
    {.name = "contract",
     .summary = "test contracts by their examples",
     .arguments = "test [TOPIC...]",
     .text = cli_contract_text,
     .run = cli_contract,
     .options = cli_contract_options},
    {.name = "dlq",
     .summary = "list, show, redrive and purge dead letters",
     .arguments = "list | show TOPIC | redrive TOPIC | purge TOPIC",
     .text = cli_dlq_text,
     .run = cli_dlq,
     .options = cli_dlq_options},
    {.name = "fsck",
     .summary = "check and repair a data directory",
     .arguments = "DIR",
     .text = cli_fsck_text,
     .run = cli_fsck,
     .options = cli_fsck_options},
    {.name = "gen",
     .summary = "make load, and prove that nothing acknowledged is lost",
     .arguments = "",
     .text = cli_gen_text,
     .run = cli_gen,
     .options = cli_gen_options},
    {.name = "groups",
     .summary = "list, describe, reset and delete consumer groups",
     .arguments = "list | describe GROUP | reset GROUP --to WHERE | delete GROUP",
     .text = cli_groups_text,
     .run = cli_groups,
     .options = cli_groups_options},
    {.name = "ledger",
     .summary = "show what became of every record",
     .arguments = "",
     .text = cli_ledger_text,
     .run = cli_ledger,
     .options = cli_ledger_options},
    {.name = "produce",
     .summary = "write lines of standard input to a topic",
     .arguments = "TOPIC",
     .text = cli_produce_text,
     .run = cli_produce,
     .options = cli_produce_options},
    {.name = "reload",
     .summary = "have a running server read its contracts again",
     .arguments = "",
     .text = cli_reload_text,
     .run = cli_reload,
     .options = cli_reload_options},
    {.name = "restore",
     .summary = "make a data directory of a backup",
     .arguments = "",
     .text = cli_restore_text,
     .run = cli_restore,
     .options = cli_restore_options},
    {.name = "topics",
     .summary = "list, describe and delete topics",
     .arguments = "list | describe | create | alter | delete [TOPIC]",
     .text = cli_topics_text,
     .run = cli_topics,
     .options = cli_topics_options},
    {.name = "user",
     .summary = "add, list and remove users of the Kafka door",
     .arguments = "add NAME | list | remove NAME",
     .text = cli_user_text,
     .run = cli_user,
     .options = cli_user_options},
    {.name = "validate",
     .summary = "check records against a JSON Schema",
     .arguments = "",
     .text = cli_validate_text,
     .run = cli_validate,
     .options = cli_validate_options},
    {.name = "version",
     .summary = "print the version",
     .arguments = "",
     .text = "Prints name and version.\n",
     .run = cli_version,
     .options = version_options},
    {0},
};

const struct cli_command *cli_command(const char *name)
{
    const struct cli_command *command = cli_commands;
    while (command->name && strcmp(command->name, name) != 0)
        command++;
    /* Names come from our own code; what a user has typed was looked up before. */
    ASSERT(command->name);
    return command;
}

int cli_version(struct cli *cli, int argc, char **argv)
{
    ASSERT(cli);
    struct version_flags flags;
    struct cli_words words;
    int code = cli_parse(cli_command("version"), argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    cli_words_done(&words);
    if (flags.json)
        printf("{\"name\":\"garner\",\"version\":\"%s\"}\n", GARNER_VERSION);
    else
        printf("garner %s\n", GARNER_VERSION);
    return CLI_OK;
}
