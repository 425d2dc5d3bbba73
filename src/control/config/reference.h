#pragma once

/*
 * Option tables as documentation: what a field is called, takes, is by default and does, from the
 * same tables that parse it.
 */

#include "base/buf.h"
#include "base/option.h"

/* Appends a Markdown table with a row an option of `options`; those of nested tables follow
 * theirs, with dotted names. */
void control_config_reference(struct buf *out, const struct option *options);
