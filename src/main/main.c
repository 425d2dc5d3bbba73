/*
 * The one entry point: `garner COMMAND ...` goes to the server or to a command.
 */

#include "base/slice.h"
#include "cli/cli.h"
#include "io/uv/uv.h"
#include "server/faults.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct serve_flags {
    const char *config;
};

static const struct option serve_options[] = {
    {.name = "config",
     .type = OPTION_STRING,
     .offset = offsetof(struct serve_flags, config),
     .help = "the configuration; without it, the defaults in the current directory"},
    {0},
};

static int serve(struct cli *cli, int argc, char **argv);

static const struct cli_command serve_command = {
    .name = "serve",
    .summary = "run the server",
    .arguments = "",
    .text = "Takes records in, keeps them, delivers them to its sinks, until SIGTERM or SIGINT;\n"
            "then finishes what it has within shutdown_timeout. Without a configuration it\n"
            "serves the contracts in ./contracts with its data in ./garner-data.\n",
    .run = serve,
    .options = serve_options,
};

/* Why the server did not start or end well. Stable, and those of sysexits.h where it has one: 78 is
 * what a supervisor is told not to restart on. */
static enum cli_exit exit_code(err_t err)
{
    if (err_is_ok(err))
        return CLI_OK;
    if (err_class(err) == ERR_CLASS_CONFIG)
        return CLI_CONFIG;
    if (err_is(err, ERR_IN_USE))
        return CLI_UNAVAILABLE;
    return err_is(err, ERR_TIMEOUT) ? CLI_FAILED : CLI_IO;
}

static int serve(struct cli *cli, int argc, char **argv)
{
    struct serve_flags flags = {0};
    struct cli_words words = {0};
    /* Not negative: the line was wrong or asked for help, and that has been answered. */
    int code = cli_parse(&serve_command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    cli_words_done(&words);
    struct err_text why = {0};
    err_t err = server_run(&(struct server_options){.host = cli->host,
                                                    .config_file = flags.config,
                                                    .plain_log = cli->terminal},
                           &why);
    /* A configuration that was refused has printed its messages, each with its place; a last line
     * that says so again would only hide them. */
    if (err_is_ok(err) || (err_is(err, ERR_CONFIG) && !why.text[0]))
        return (int)exit_code(err);
    return cli_fail(&serve_command, exit_code(err), "%s", err_detail(err, &why));
}

static void print_commands(FILE *out)
{
    fprintf(out, "garner takes records in, keeps them safe, and delivers them.\n\n"
                 "usage: garner COMMAND [options]    garner COMMAND --help\n\n");
    fprintf(out, "  %-10s %s\n", serve_command.name, serve_command.summary);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        fprintf(out, "  %-10s %s\n", c->name, c->summary);
}

static const struct cli_command *find_command(const char *name)
{
    if (strcmp(name, serve_command.name) == 0)
        return &serve_command;
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (strcmp(name, c->name) == 0)
            return c;
    }
    return NULL;
}

/* getenv here alone: everything behind main asks through the host, and a test gives its own. */
static const char *environment(const char *name)
{
    return getenv(name);
}

int main(int argc, char **argv)
{
    /* Without a command the list of them, as an error: a script that lost its argument must
     * notice. */
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_commands(stdout);
        return CLI_OK;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct cli_command *command = find_command(name);
    if (!command) {
        if (name[0])
            fprintf(stderr, "garner: no command \"%s\"\n\n", name);
        print_commands(stderr);
        return CLI_USAGE;
    }
    struct server_host host;
    if (!err_is_ok(server_host_init(&host, environment))) {
        fprintf(stderr, "garner: the current directory cannot be read; change to another\n");
        return CLI_IO;
    }
    struct cli cli = {
        .host = &host.host,
        .disk = io_uv_disk(),
        .env = environment,
        .terminal = isatty(STDERR_FILENO) == 1,
    };
    if (command->run == serve)
        return command->run(&cli, argc - 1, argv + 1);
    struct err_text why = {0};
    err_t err = server_faults_wrap(cli.host, &cli.disk, &why);
    if (!err_is_ok(err)) {
        fprintf(stderr, "garner: %s\n", err_detail(err, &why));
        return CLI_USAGE;
    }
    int code = command->run(&cli, argc - 1, argv + 1);
    server_faults_unwrap(cli.host, &cli.disk);
    return code;
}
