#pragma once

/*
 * The reference pages of the manual, made from the same tables that read the files, so that a
 * page and its program cannot differ.
 */

#include "base/buf.h"
#include "control/sink_type.h"

/* Appends the page called `name` ("configuration", "contracts") as Markdown; false for any other
 * name. `types` ends with a NULL name. */
bool cli_reference(struct buf *out, const char *name, const struct control_sink_type *types);
