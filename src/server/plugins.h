#pragma once

/*
 * Every plug-in that the program is built with, in one table. Constant.
 */

#include "control/sink_type.h"
#include "sinks/sinks.h"

/* The sink plug-in of this type name, or NULL. */
const struct sinks_plugin *server_sink_plugin(const char *type);
/* What the configuration knows of each; `out` has room for `size`, the end included. */
void server_sink_types(struct control_sink_type *out, size_t size);
