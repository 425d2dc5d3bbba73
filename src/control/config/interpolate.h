#pragma once

/*
 * Values from outside, put into string leaves after parsing (design: Program and configuration),
 * so that what they hold can never change the file's structure:
 *   ${NAME}           the environment's; unset is an error, empty is not
 *   ${NAME:-default}  the default where NAME is unset or empty
 *   ${file:PATH}      a file's content without one last newline; PATH relative to the file it
 *                     stands in
 *   $${               stands for ${
 * Keys are left alone, and so is every other $.
 */

#include "control/config/config.h"
#include "control/config/node.h"

/* Longest value that comes out, and largest file that is read for one. */
#define CONTROL_CONFIG_VALUE_BYTES_MAX 65536u

/*
 * Replaces the text of every scalar under `root` that holds a reference. `directory` is that of
 * the file. Blocks on the disk. Errors go to `report`; the scalar then stays as it was.
 */
void control_config_interpolate(struct control_config_node *root,
                                const struct control_config_host *host, const char *directory,
                                struct arena *arena, struct control_report *report);
