#include "cli/reload.h"

#include "cli/cli.h"
#include "cli/door.h"
#include "format/json/array.h"

/*
 * The answer's own words are printed: what has changed on standard output, what was wrong, a line
 * each, on standard error.
 */

#define TIMEOUT_MS 60000u

struct flags {
    const char *server;
    bool json;
};

const struct option cli_reload_options[] = {
    CLI_DOOR_OPTION(struct flags, server),
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "the answer as the server sends it"},
    {0},
};

const char cli_reload_text[] =
    "Has a running server read its configuration again, as SIGHUP does. It is checked whole\n"
    "first; with any mistake nothing changes. Contracts are reloaded; any other change needs a\n"
    "restart and is refused by name. Exit code 78 when it was refused, 69 when no server "
    "answers.\n";

/* Each string of an array behind `title`, on a line of its own, as it stands between its quotes. */
static void print_strings(FILE *to, const char *title, struct slice document, const char *key)
{
    struct format_json_value list = {0};
    struct format_json_array array;
    struct format_json_element element;
    if (!err_is_ok(format_json_get(document, key, &list)) || list.kind != FORMAT_JSON_ARRAY ||
        !err_is_ok(format_json_array_begin(&array, list.raw, NULL)))
        return;
    while (format_json_array_next(&array, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT) {
        struct slice text = element.raw;
        if (text.size >= 2 && text.data[0] == '"')
            text = slice_sub(text, 1, text.size - 2);
        fprintf(to, "%s%.*s\n", title, SLICE_PRINTF(text));
    }
}

/* The exit code tells a configuration that was refused from a server that could not: the one is
 * to be mended, the other to be tried again. */
static int show(const struct cli_command *command, const char *address,
                const struct cli_door_answer *answer, bool json)
{
    struct slice document = buf_slice(&answer->body);
    struct format_json_value reloaded = {0};
    err_t err = format_json_get(document, "reloaded", &reloaded);
    if (!err_is_ok(err) ||
        (reloaded.kind != FORMAT_JSON_TRUE && reloaded.kind != FORMAT_JSON_FALSE))
        return cli_fail(command, CLI_UNAVAILABLE, "%s answered %d: %.*s", address, answer->status,
                        SLICE_PRINTF(slice_trim(document)));
    if (json)
        printf("%.*s\n", SLICE_PRINTF(slice_trim(document)));
    if (reloaded.kind == FORMAT_JSON_FALSE) {
        print_strings(stderr, "", document, "errors");
        return cli_fail(command, answer->status == 422 ? CLI_CONFIG : CLI_UNAVAILABLE,
                        "not reloaded, the configuration in force stays");
    }
    if (!json) {
        printf("reloaded\n");
        struct format_json_value topics = {0};
        if (!err_is_ok(format_json_get(document, "topics", &topics)))
            return CLI_OK;
        print_strings(stdout, "added ", topics.raw, "added");
        print_strings(stdout, "changed ", topics.raw, "changed");
        print_strings(stdout, "removed ", topics.raw, "removed");
    }
    return CLI_OK;
}

int cli_reload(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = cli_command("reload");
    struct flags flags;
    struct cli_words words;
    struct err_text why = {0};
    int code = cli_parse(command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    cli_words_done(&words);
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_door *door = NULL;
    struct cli_door_answer answer = {0};
    if (!err_is_ok(
            cli_door_address(cli, flags.server, "GARNER_SERVER", "127.0.0.1:9600", address, &why)))
        return cli_fail(command, CLI_USAGE, "%s", why.text);
    err_t err = cli_door_open(address, &door);
    if (err_is_ok(err))
        err = cli_door_ask(door, "POST", "/v1/reload", TIMEOUT_MS, &answer, &why);
    cli_door_close(&door);
    if (!err_is_ok(err))
        return cli_fail(command, CLI_UNAVAILABLE, "%s", err_detail(err, &why));
    code = show(command, address, &answer, flags.json);
    buf_done(&answer.body);
    return code;
}
