#pragma once

/*
 * The commands. Each is one file with one function, listed in cli_commands. A command prints its
 * result on standard output and everything else (progress, errors) on standard error, and
 * returns its exit code. One thread, unless the command starts loops of its own.
 */

#include "base/err.h"
#include "base/option.h"
#include "io/disk.h"

/* Exit codes, as sysexits.h names them. Stable. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,       /* the work was done and its verdict is no */
    CLI_USAGE = 64,       /* wrong words on the command line */
    CLI_UNAVAILABLE = 69, /* no server answers */
    CLI_INTERNAL = 70,
    CLI_CANNOT_CREATE = 73,
    CLI_IO = 74,
    CLI_CONFIG = 78, /* the configuration or a contract is wrong */
};

struct control_config_host;

struct cli {
    const struct control_config_host *host; /* what a configuration is read with */
    struct io_disk *disk;
    const char *(*env)(const char *name); /* NULL when unset */
    bool terminal;                        /* standard error is a terminal: progress bars */
};

/* What `--help` and the parser are made from. */
struct cli_command {
    const char *name;
    const char *summary;   /* one line for the list of commands */
    const char *arguments; /* "DIR..." or "" */
    const char *text;      /* what --help says between usage and options: effect, examples */
    int (*run)(struct cli *cli, int argc, char **argv); /* argv[0] is the command's name */
    const struct option *options; /* flags: "kill_every" is --kill-every; NULL-name ended */
};

/* All commands but serve, which is server's; ends with a NULL name. */
extern const struct cli_command cli_commands[];
/* The one of them that is called `name`. */
const struct cli_command *cli_command(const char *name);

/* Parsed words of a command line. */
struct cli_words {
    const char **items; /* what is no flag, in order; points into argv */
    int count;
};

/* Parses `argv` by `command->options` into `out` (the struct that the table describes, filled
 * with defaults first): `--flag value`, `--flag=value`, `--bool`, `--` ends flags. Strings point
 * into argv. Returns -1 to go on, else the exit code to return, with nothing to free: after --help
 * (printed on standard output, CLI_OK) or a wrong word (said on standard error with what is
 * right, CLI_USAGE). Words are wrong where the command has no `arguments`. */
int cli_parse(const struct cli_command *command, int argc, char **argv, void *out,
              struct cli_words *words);
/* Frees what cli_parse allocated. */
void cli_words_done(struct cli_words *words);
/* Prints usage, text and flags with defaults. */
void cli_help(const struct cli_command *command);
/* Prints "garner COMMAND: message" on standard error and returns `code`. */
int cli_fail(const struct cli_command *command, enum cli_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int cli_backup(struct cli *cli, int argc, char **argv);
int cli_check(struct cli *cli, int argc, char **argv);
int cli_consume(struct cli *cli, int argc, char **argv);
int cli_dlq(struct cli *cli, int argc, char **argv);
int cli_fsck(struct cli *cli, int argc, char **argv);
int cli_gen(struct cli *cli, int argc, char **argv);
int cli_groups(struct cli *cli, int argc, char **argv);
int cli_ledger(struct cli *cli, int argc, char **argv);
int cli_produce(struct cli *cli, int argc, char **argv);
int cli_restore(struct cli *cli, int argc, char **argv);
int cli_topics(struct cli *cli, int argc, char **argv);
int cli_user(struct cli *cli, int argc, char **argv);
int cli_validate(struct cli *cli, int argc, char **argv);
int cli_version(struct cli *cli, int argc, char **argv);
