#pragma once

/*
 * A configuration file or contract from the disk to a tree of nodes: read, parsed, interpolated.
 */

#include "control/config/config.h"
#include "control/config/node.h"

/*
 * Reads the file at `path`; `directory` is its own, where relative references to files begin.
 * Blocks on the disk. The tree lives in `arena`. NULL where `report` says why; the report may
 * hold errors beside a tree, too.
 */
struct control_config_node *control_config_read(const struct control_config_host *host,
                                                const char *path, const char *directory,
                                                struct arena *arena, struct control_report *report);
