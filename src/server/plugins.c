#include "server/plugins.h"

#include "base/assert.h"
#include "sinks/file/file.h"

/*
 * Every kind of sink there is, in one table: a new one is a line here. Its options are known to the
 * configuration without the configuration knowing it.
 */

struct plugin {
    const struct sinks_plugin *sink;
    const char *help;
};

static const struct plugin sinks[] = {
    {&sinks_file_plugin, "files of NDJSON below a directory, complete and named by offsets"},
};

const struct sinks_plugin *server_sink_plugin(const char *type)
{
    for (size_t i = 0; i < sizeof sinks / sizeof sinks[0]; i++) {
        if (strcmp(sinks[i].sink->name, type) == 0)
            return sinks[i].sink;
    }
    return NULL;
}

void server_sink_types(struct control_sink_type *out, size_t size)
{
    size_t count = sizeof sinks / sizeof sinks[0];
    /* The list ends with an empty entry. */
    ASSERT(size > count);
    for (size_t i = 0; i < count; i++) {
        const struct sinks_plugin *sink = sinks[i].sink;
        out[i] = (struct control_sink_type){
            .name = sink->name,
            .help = sinks[i].help,
            .options = sink->options,
            .options_size = sink->options_size,
            .check = sink->check,
            .check_pair = sink->check_pair,
        };
    }
    out[count] = (struct control_sink_type){0};
}
