/*
 * A page is prose from here and tables from the option tables, in turn. The prose says what tables
 * cannot: how a file is read, what stands for what, what a door lets in. Tests hold the pages in
 * docs/ to what is made here, so a field that is added without its page does not pass.
 *
 * There is nothing to fail but memory, which the buffer latches.
 */

#include "cli/reference.h"

#include "base/assert.h"
#include "control/catalog/catalog.h"
#include "control/config/config.h"
#include "control/config/reference.h"

static const char configuration_text[] =
    "# Configuration\n"
    "\n"
    "One YAML file, given as `garner serve --config FILE` and checked by\n"
    "`garner check --config FILE`. Without a file, every field has its default. This page is made\n"
    "from the tables that the program reads the file by.\n"
    "\n"
    "- An unknown field is an error, and so is a field given twice. All mistakes are told at once\n"
    "  (up to 20), each as `file:line:column: path.to.field: expected ...`.\n"
    "- A relative path begins at the directory of the file it stands in.\n"
    "- Sizes are written as `64MiB`, `10GB` or in bytes, durations as `250ms`, `60s`, `5m`, "
    "`24h`,\n"
    "  `7d`. Only `true` and `false` are booleans.\n"
    "- Anchors, aliases, tags and a second document are refused. A file has at most 1 MiB, 32\n"
    "  levels and 16384 values.\n"
    "\n"
    "## Values from outside\n"
    "\n"
    "After parsing, in values only, so that what comes in cannot change the structure:\n"
    "\n"
    "| written | stands for |\n"
    "|---|---|\n"
    "| `${NAME}` | the environment variable; an error when it is not set |\n"
    "| `${NAME:-default}` | the default where it is not set or empty |\n"
    "| `${file:/run/secrets/x}` | the file's content, without one newline at its end |\n"
    "| `$${` | `${` itself |\n"
    "\n"
    "Within `{ }` and `[ ]` such a value needs quotes, since YAML would take its brace for one of\n"
    "its own: `{ listen: \"127.0.0.1:${PORT}\" }`.\n"
    "\n"
    "## Fields\n"
    "\n";

static const char doors_text[] =
    "\n"
    "An address is an IPv4 address, an IPv6 address in brackets or `localhost`, and a port. One\n"
    "that other machines can reach is refused unless `allow_open: true` stands at the door or at\n"
    "the top: whoever reaches a door is let in.\n"
    "\n"
    "`durability` is one word, or `{ mode: interval, max_delay: 100ms, max_bytes: 16MiB }`.\n"
    "\n"
    "## Sinks\n"
    "\n"
    "`sinks` is a mapping from a name of your choice (1 to 128 of `a-z A-Z 0-9 . _ -`) to the\n"
    "fields that all sinks have and those of the sink's type. A sink's topics have contracts.\n"
    "\n";

static const char contracts_text[] =
    "# Contracts\n"
    "\n"
    "One YAML file a topic, found by `contracts` of the [configuration](configuration.md) and "
    "read\n"
    "by the same rules. This page is made from the tables that the program reads the file by. All\n"
    "topics together have at most 10000 partitions. All contracts are accepted, or none is.\n"
    "\n";

/* Sinks come last, a section a type: the program that makes the page decides which types there
 * are. */
static void add_configuration(struct buf *out, const struct control_sink_type *types)
{
    buf_add_string(out, configuration_text);
    control_config_reference(out, control_config_options);
    buf_add_string(out, doors_text);
    control_config_reference(out, control_config_sink_options);
    for (const struct control_sink_type *type = types; type->name; type++) {
        buf_add_format(out, "\n### type: %s\n\n", type->name);
        if (type->help)
            buf_add_format(out, "%s\n\n", type->help);
        control_config_reference(out, type->options);
    }
}

bool cli_reference(struct buf *out, const char *name, const struct control_sink_type *types)
{
    ASSERT(name && types);
    if (strcmp(name, "configuration") == 0) {
        add_configuration(out, types);
        return true;
    }
    if (strcmp(name, "contracts") != 0)
        return false;
    buf_add_string(out, contracts_text);
    control_config_reference(out, control_catalog_options);
    return true;
}
