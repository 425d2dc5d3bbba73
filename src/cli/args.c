/*
 * Flags come from the same option tables as the configuration, and their values are parsed by the
 * same code, so that "64MiB" means one thing everywhere. Defaults are stored first, then the words
 * of the line over them, the last one of a flag winning.
 *
 * What goes wrong: the first wrong word ends the parse and is said with what would be right. A
 * default that its own option refuses is our mistake and an assertion.
 */

#include "cli/cli.h"

#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "control/config/value.h"
#include "control/suggest.h"

/* "name" of the option's table on the command line and back: kill_every is --kill-every. */
static bool flag_is(const struct option *option, struct slice flag)
{
    size_t size = strlen(option->name);
    if (size != flag.size)
        return false;
    for (size_t i = 0; i < size; i++) {
        uint8_t expected = option->name[i] == '_' ? '-' : (uint8_t)option->name[i];
        if (flag.data[i] != expected)
            return false;
    }
    return true;
}

static void add_flag(struct buf *out, const struct option *option)
{
    buf_add_string(out, "--");
    for (const char *c = option->name; *c; c++)
        buf_add_byte(out, *c == '_' ? '-' : (uint8_t)*c);
}

/* The name in front: several commands may write to one log. */
int cli_fail(const struct cli_command *command, enum cli_exit code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "garner %s: ", command->name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return (int)code;
}

/* A dozen flags: a walk is as good as anything. */
static const struct option *find(const struct cli_command *command, struct slice flag)
{
    for (const struct option *option = command->options; option->name; option++)
        if (flag_is(option, flag))
            return option;
    return NULL;
}

/* Says what the flag may have been meant to be; where nothing is near, where all are listed. */
static int fail_unknown(const struct cli_command *command, struct slice flag)
{
    struct control_suggest suggest = control_suggest_for(flag);
    for (const struct option *option = command->options; option->name; option++)
        control_suggest_offer(&suggest, option->name);
    const struct option *near = command->options;
    while (near->name && near->name != suggest.best)
        near++;
    if (!near->name)
        return cli_fail(command, CLI_USAGE, "unknown flag --%.*s; all flags: garner %s --help",
                        SLICE_PRINTF(flag), command->name);
    struct buf name = {0};
    add_flag(&name, near);
    int code = cli_fail(command, CLI_USAGE, "unknown flag --%.*s, did you mean %.*s?",
                        SLICE_PRINTF(flag), SLICE_PRINTF(buf_slice(&name)));
    buf_done(&name);
    return code;
}

/* Stores `text`. Texts are the caller's, so they are not copied as a file's would be. */
static err_t store(const struct option *option, const char *text, void *out, struct err_text *why)
{
    void *field = (char *)out + option->offset;
    ASSERT(option->type != OPTION_STRINGS && option->type != OPTION_TABLE);
    switch (option->type) {
    case OPTION_ADDRESS:
        if (!control_config_address_valid(text))
            return err_set(why, ERR_CONFIG, "expected an address such as 127.0.0.1:8080");
        break;
    case OPTION_STRING:
    case OPTION_PATH:
        if (!text[0])
            return err_set(why, ERR_CONFIG, "expected a text that is not empty");
        break;
    case OPTION_BOOL:
    case OPTION_U32:
    case OPTION_U64:
    case OPTION_SIZE:
    case OPTION_DURATION:
    case OPTION_ENUM:
    case OPTION_STRINGS:
    case OPTION_TABLE: return control_config_value(option, text, "", NULL, field, why);
    }
    *(const char **)field = text;
    return err_ok();
}

/* What a flag is that was not given and has no default. */
static void store_nothing(const struct option *option, void *out)
{
    static const size_t sizes[] = {
        [OPTION_BOOL] = sizeof(bool),         [OPTION_U32] = sizeof(uint32_t),
        [OPTION_U64] = sizeof(uint64_t),      [OPTION_SIZE] = sizeof(uint64_t),
        [OPTION_DURATION] = sizeof(uint64_t), [OPTION_STRING] = sizeof(const char *),
        [OPTION_PATH] = sizeof(const char *), [OPTION_ADDRESS] = sizeof(const char *),
        [OPTION_ENUM] = sizeof(uint32_t),
    };
    ASSERT(option->type <= OPTION_ENUM);
    memset((char *)out + option->offset, 0, sizes[option->type]);
}

/* Each field is written, so that nothing of the caller's struct is left as it was found. */
static void store_defaults(const struct cli_command *command, void *out)
{
    for (const struct option *option = command->options; option->name; option++) {
        store_nothing(option, out);
        if (option->fallback)
            ASSERT(err_is_ok(store(option, option->fallback, out, NULL)));
    }
}

/* Takes the flag at argv[*at] and, where it stands apart, its value. */
static int take_flag(const struct cli_command *command, int argc, char **argv, int *at, void *out)
{
    const char *word = argv[*at] + 2;
    struct slice rest = slice_string(word);
    struct slice name = slice_split(&rest, '=');
    const struct option *option = find(command, name);
    if (!option)
        return fail_unknown(command, name);
    /* "--flag=" has a value, which is empty; "--flag" has none. */
    const char *value = rest.data ? word + name.size + 1 : NULL;
    if (!value && option->type == OPTION_BOOL)
        value = "true";
    else if (!value && *at + 1 < argc)
        value = argv[++*at];
    struct err_text why = {0};
    err_t err = value ? store(option, value, out, &why)
                      : control_config_value(option, NULL, "", NULL, NULL, &why);
    if (err_is_ok(err))
        return -1;
    if (!value)
        return cli_fail(command, CLI_USAGE, "--%.*s: %s", SLICE_PRINTF(name),
                        err_detail(err, &why));
    return cli_fail(command, CLI_USAGE, "--%.*s: %s, got '%s'", SLICE_PRINTF(name),
                    err_detail(err, &why), value);
}

/* The flags and words of `argv`; -1 or the exit code. `words` has room for all of them. */
static int take_all(const struct cli_command *command, int argc, char **argv, void *out,
                    struct cli_words *words)
{
    bool flags = true;
    int code = -1;
    for (int i = 1; i < argc && code < 0; i++) {
        const char *word = argv[i];
        /* A dash alone is a word: by custom it stands for a standard stream. */
        if (!flags || word[0] != '-' || !word[1]) {
            words->items[words->count++] = word;
        } else if (strcmp(word, "--") == 0) {
            flags = false;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            cli_help(command);
            code = CLI_OK;
        } else if (word[1] != '-') {
            code = cli_fail(command, CLI_USAGE, "flags begin with two dashes, got '%s'", word);
        } else {
            code = take_flag(command, argc, argv, &i, out);
        }
    }
    return code;
}

int cli_parse(const struct cli_command *command, int argc, char **argv, void *out,
              struct cli_words *words)
{
    ASSERT(argc >= 1 && command->options);
    *words = (struct cli_words){.items = mem_zalloc((size_t)argc, sizeof(*words->items))};
    if (!words->items)
        return cli_fail(command, CLI_INTERNAL, "out of memory");
    store_defaults(command, out);
    int code = take_all(command, argc, argv, out, words);
    if (code < 0 && words->count > 0 && !command->arguments[0])
        code = cli_fail(command, CLI_USAGE, "expected flags only, got '%s'", words->items[0]);
    if (code >= 0)
        cli_words_done(words);
    return code;
}

void cli_words_done(struct cli_words *words)
{
    mem_free(words->items);
    *words = (struct cli_words){0};
}

static void add_choices(struct buf *out, const struct option *option)
{
    for (size_t i = 0; option->choices[i]; i++) {
        buf_add_string(out, i > 0 ? "|" : "");
        buf_add_string(out, option->choices[i]);
    }
}

/* " NUMBER" behind the flag; nothing for a bool. */
static void add_value(struct buf *out, const struct option *option)
{
    static const char *const names[] = {
        [OPTION_U32] = "NUMBER",        [OPTION_U64] = "NUMBER",  [OPTION_SIZE] = "SIZE",
        [OPTION_DURATION] = "DURATION", [OPTION_STRING] = "TEXT", [OPTION_PATH] = "PATH",
        [OPTION_ADDRESS] = "HOST:PORT",
    };
    if (option->type == OPTION_BOOL) {
        /* A switch that is on can only be turned off. */
        buf_add_string(out, option->fallback ? "=false" : "");
        return;
    }
    buf_add_byte(out, ' ');
    if (option->type == OPTION_ENUM)
        add_choices(out, option);
    else
        buf_add_string(out, names[option->type]);
}

/* Where the explanation of a flag begins, counted from the start of the line. */
#define HELP_COLUMN 27u

/* A flag that reaches into the column of explanations has its own on the next line. */
static void add_option(struct buf *out, const struct option *option)
{
    size_t start = out->size;
    buf_add_string(out, "  ");
    add_flag(out, option);
    add_value(out, option);
    if (out->size - start >= HELP_COLUMN) {
        buf_add_byte(out, '\n');
        start = out->size;
    }
    while (buf_ok(out) && out->size - start < HELP_COLUMN)
        buf_add_byte(out, ' ');
    buf_add_string(out, option->help);
    if (option->fallback && option->type != OPTION_BOOL)
        buf_add_format(out, " (%s)", option->fallback);
    buf_add_byte(out, '\n');
}

void cli_help(const struct cli_command *command)
{
    struct buf out = {0};
    bool words = command->arguments[0];
    bool flags = command->options[0].name;
    buf_add_format(&out, "usage: garner %s%s%s%s\n\n%s\n", command->name, flags ? " [FLAGS]" : "",
                   words ? " " : "", command->arguments, command->text);
    for (const struct option *option = command->options; option->name; option++)
        add_option(&out, option);
    buf_add_string(&out, "  --help                   prints this\n");
    fwrite(out.data, 1, out.size, stdout);
    buf_done(&out);
}
