/*
 * A password comes from a file, a pipe or a terminal, never from the command line, which everybody
 * on the machine can read. It goes to the server in the body of one request; the answer has none.
 *
 * What goes wrong: an empty password and one that is too long are told before anything is sent.
 */

#include "cli/user.h"

#include <termios.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/cli.h"
#include "cli/door.h"
#include "control/auth/users.h"
#include "format/json/array.h"

#define TIMEOUT_MS 60000u
/* Far beyond what the door sends. */
#define DEPTH_MAX 64u

struct flags {
    const char *server;
    const char *password_file;
    bool json;
};

const struct option cli_user_options[] = {
    CLI_DOOR_OPTION(struct flags, server),
    {.name = "password_file",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, password_file),
     .help = "a file whose first line is the password; else it is read from standard input"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "the answer as the server sends it"},
    {0},
};

const char cli_user_text[] =
    "  garner user add NAME       a user, or another password for the one that there is\n"
    "  garner user list           their names\n"
    "  garner user remove NAME\n"
    "\n"
    "Users are asked for where the configuration has `kafka: { sasl: { enabled: true } }`. The\n"
    "password is the first line of --password-file or of standard input; on a terminal it is\n"
    "asked for. The server keeps what SCRAM needs to check it, not the password. A change is on\n"
    "disk when the command ends, and counts for connections from then on. Exit code 0; 1 when the\n"
    "server refuses or there is no such user; 69 when no server answers.\n";

void cli_user_target(const char *name, struct buf *out)
{
    buf_add_string(out, "/v1/users/");
    for (const char *at = name; *at; at++) {
        char c = *at;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        /* A dot as well: "." and ".." mean something else in a path. */
        if (plain)
            buf_add_byte(out, (uint8_t)c);
        else
            buf_add_format(out, "%%%02X", (unsigned)(uint8_t)c);
    }
}

static err_t add_name(struct slice element, struct buf *out)
{
    struct format_json_value name = {0};
    TRY(format_json_get(element, "name", &name));
    if (name.kind != FORMAT_JSON_STRING)
        return err_make(ERR_SYNTAX);
    TRY(format_json_string_decode(name.raw, out));
    buf_add_byte(out, '\n');
    return buf_error(out);
}

err_t cli_user_print(struct slice document, struct buf *out)
{
    struct format_json_value list = {0};
    struct format_json_array array;
    struct format_json_element element;
    size_t start = out->size;
    err_t err = format_json_get(document, "users", &list);
    if (err_is_ok(err) && list.kind != FORMAT_JSON_ARRAY)
        err = err_make(ERR_SYNTAX);
    if (err_is_ok(err))
        err = format_json_array_begin(&array, list.raw, NULL);
    while (err_is_ok(err) && format_json_array_next(&array, NULL, DEPTH_MAX, NULL, &element) ==
                                 FORMAT_JSON_ARRAY_ELEMENT)
        err = add_name(element.raw, out);
    if (!err_is_ok(err))
        out->size = start;
    return err;
}

/* Silence is success, so it must not be taken for that when somebody else answers. */
static err_t check_name(struct slice document, const char *verb)
{
    struct format_json_value name = {0};
    TRY(format_json_get(document, verb, &name));
    return err_make(name.kind == FORMAT_JSON_STRING ? ERR_OK : ERR_SYNTAX);
}

static err_t print_added(struct slice document, struct buf *out)
{
    (void)out;
    return check_name(document, "added");
}

static err_t print_removed(struct slice document, struct buf *out)
{
    (void)out;
    return check_name(document, "removed");
}

/* The terminal as it was, where `from` is one; its echo is off then. */
static bool hide(FILE *from, struct termios *before)
{
    struct termios hidden;
    if (!isatty(fileno(from)) || tcgetattr(fileno(from), before) != 0)
        return false;
    hidden = *before;
    /* Only the echo: the line can still be edited and interrupted. */
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(stderr, "Password: ");
    return tcsetattr(fileno(from), TCSAFLUSH, &hidden) == 0;
}

err_t cli_user_read_password(FILE *from, struct buf *out)
{
    struct termios before;
    bool hidden = hide(from, &before);
    buf_init(out, 0);
    /* At once in its largest size: growing would leave pieces of it behind. */
    bool room = buf_reserve(out, CONTROL_AUTH_PASSWORD_MAX + 1);
    int c = EOF;
    while (room && out->size <= CONTROL_AUTH_PASSWORD_MAX && (c = fgetc(from)) != EOF && c != '\n')
        buf_add_byte(out, (uint8_t)c);
    if (hidden) {
        (void)tcsetattr(fileno(from), TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!room)
        return err_make(ERR_MEMORY);
    /* From a file that was written on another system. */
    if (out->size > 0 && out->data[out->size - 1] == '\r')
        out->size--;
    bool valid = out->size > 0 && out->size <= CONTROL_AUTH_PASSWORD_MAX &&
                 !memchr(out->data, '\0', out->size);
    return err_make(valid ? ERR_OK : ERR_INVALID);
}

err_t cli_user_take_password(const char *file, struct buf *out, struct err_text *why)
{
    FILE *from = file ? fopen(file, "r") : stdin;
    if (!from)
        return err_set(why, ERR_INVALID, "%s cannot be read", file);
    err_t err = cli_user_read_password(from, out);
    if (file)
        fclose(from);
    if (err_is(err, ERR_INVALID))
        err = err_set(why, ERR_INVALID, "expected a password of 1 to %u bytes in the first line",
                      CONTROL_AUTH_PASSWORD_MAX);
    return err;
}

/* {"password":"..."} */
static err_t make_body(const char *file, struct buf *body, struct err_text *why)
{
    struct buf password = {0};
    err_t err = cli_user_take_password(file, &password, why);
    if (err_is_ok(err)) {
        buf_add_string(body, "{\"password\":");
        buf_add_json_string(body, buf_slice(&password));
        buf_add_byte(body, '}');
        err = buf_error(body);
    }
    if (password.size > 0)
        net_tls_wipe(password.data, password.size);
    buf_done(&password);
    return err;
}

struct call {
    const struct cli_command *command;
    const char *method;
    struct buf target;
    struct buf body;
    err_t (*print)(struct slice document, struct buf *out);
};

/* -1 to go on. */
static int take_words(const struct cli_words *words, const struct flags *flags, struct call *call)
{
    const char *verb = words->count > 0 ? words->items[0] : "";
    struct err_text why = {0};
    bool list = strcmp(verb, "list") == 0 && words->count == 1;
    bool add = strcmp(verb, "add") == 0 && words->count == 2;
    bool removes = strcmp(verb, "remove") == 0 && words->count == 2;
    if (!list && !add && !removes)
        return cli_fail(call->command, CLI_USAGE,
                        "expected add NAME, list or remove NAME; --help has more");
    /* Before the password is asked for: it would have been typed in vain. */
    if (!list && !control_auth_name_valid(slice_string(words->items[1])))
        return cli_fail(call->command, CLI_USAGE,
                        "expected a name of 1 to %u bytes of UTF-8 without control characters",
                        CONTROL_AUTH_NAME_MAX);
    if (flags->password_file && !add)
        return cli_fail(call->command, CLI_USAGE, "--password-file goes with add");
    call->method = list ? "GET" : add ? "PUT" : "DELETE";
    call->print = list ? cli_user_print : add ? print_added : print_removed;
    if (list)
        buf_add_string(&call->target, "/v1/users");
    else
        cli_user_target(words->items[1], &call->target);
    buf_add_byte(&call->target, '\0');
    err_t err = add ? make_body(flags->password_file, &call->body, &why) : err_ok();
    if (!err_is_ok(err))
        return cli_fail(call->command, err_is(err, ERR_INVALID) ? CLI_USAGE : CLI_INTERNAL, "%s",
                        err_detail(err, &why));
    return buf_ok(&call->target) ? -1 : CLI_INTERNAL;
}

static int make_call(const struct cli *cli, const struct flags *flags, const struct call *call)
{
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_door *door = NULL;
    struct cli_door_answer answer = {0};
    struct err_text why = {0};
    if (!err_is_ok(
            cli_door_address(cli, flags->server, "GARNER_SERVER", "127.0.0.1:9600", address, &why)))
        return cli_fail(call->command, CLI_USAGE, "%s", why.text);
    err_t err = cli_door_open(address, &door);
    if (err_is_ok(err))
        err = cli_door_send(door, call->method, (const char *)call->target.data,
                            buf_slice(&call->body), TIMEOUT_MS, &answer, &why);
    cli_door_close(&door);
    if (!err_is_ok(err))
        return cli_fail(call->command, CLI_UNAVAILABLE, "%s", err_detail(err, &why));
    int code = cli_door_show(call->command, address, &answer, "users", call->print, flags->json);
    buf_done(&answer.body);
    return code;
}

int cli_user(struct cli *cli, int argc, char **argv)
{
    struct call call = {.command = cli_command("user")};
    struct flags flags;
    struct cli_words words;
    int code = cli_parse(call.command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    code = take_words(&words, &flags, &call);
    cli_words_done(&words);
    if (code < 0)
        code = make_call(cli, &flags, &call);
    if (call.body.size > 0)
        net_tls_wipe(call.body.data, call.body.size);
    buf_done(&call.body);
    buf_done(&call.target);
    return code;
}
