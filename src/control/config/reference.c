#include "control/config/reference.h"

#include "base/assert.h"
#include "control/config/value.h"

/*
 * The manual's page of options, from the tables that the parser goes by, so that neither can say
 * what the other does not do. `tools/gen-reference` writes it into docs/reference/ and tells when
 * it is stale.
 */

/* A cell of a table; a bar in `text` would begin the next one. */
static void add_cell(struct buf *out, struct slice text)
{
    if (text.size > 0)
        buf_add_byte(out, ' ');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '|')
            buf_add_byte(out, '\\');
        buf_add_byte(out, text.data[i]);
    }
    buf_add_string(out, " |");
}

/* What it takes, with the scalar that may stand for all of a table. */
static void add_values(struct buf *out, const struct option *option)
{
    struct buf text = {0};
    control_config_expected(option, &text);
    if (option->shorthand) {
        buf_add_string(&text, ", or ");
        control_config_expected(option->table, &text);
    }
    add_cell(out, buf_slice(&text));
    buf_done(&text);
}

static void add_default(struct buf *out, const struct option *option)
{
    char text[128] = "";
    if (option->fallback && option->type == OPTION_STRINGS)
        snprintf(text, sizeof(text), "`[%s]`", option->fallback);
    else if (option->fallback)
        snprintf(text, sizeof(text), "`%s`", option->fallback);
    else if (option->required)
        snprintf(text, sizeof(text), "required");
    add_cell(out, slice_string(text));
}

static void add_rows(struct buf *out, const char *prefix, const struct option *options)
{
    for (const struct option *option = options; option->name; option++) {
        ASSERT(option->help);
        char name[128];
        snprintf(name, sizeof(name), "%s%s", prefix, option->name);
        buf_add_format(out, "| `%s` |", name);
        add_values(out, option);
        add_default(out, option);
        add_cell(out, slice_string(option->help));
        buf_add_byte(out, '\n');
        if (!option->table)
            continue;
        /* A name and a dot fit: names are literals of ours, and a cut one would show on the
         * page. */
        char below[130];
        snprintf(below, sizeof(below), "%s.", name);
        add_rows(out, below, option->table);
    }
}

void control_config_reference(struct buf *out, const struct option *options)
{
    ASSERT(options);
    buf_add_string(out, "| field | takes | default | |\n|---|---|---|---|\n");
    add_rows(out, "", options);
}
