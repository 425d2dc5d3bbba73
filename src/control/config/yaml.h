#pragma once

/*
 * YAML into nodes; the only door to libyaml. Of YAML (1.1) it takes what a configuration needs:
 * one document of mappings, lists and scalars. Refused, each with its place: what is not UTF-8,
 * anchors, aliases, tags, keys that are no plain names, a key given twice, a second document, a
 * zero byte, and what is over the limits. What a scalar means is up to who asks for it: nothing
 * is a boolean or a number by its looks.
 */

#include "control/config/node.h"

#define CONTROL_CONFIG_FILE_BYTES_MAX (1u << 20)
#define CONTROL_CONFIG_DEPTH_MAX 32
#define CONTROL_CONFIG_NODES_MAX 16384

/*
 * Parses `text` of the file called `file` (both only read; `file` must live as long as `arena`).
 * An empty text is an empty mapping. Returns the root, which lives in `arena`, or NULL where
 * `report` says why; there may be errors in `report` beside a root, too.
 */
struct control_config_node *control_config_yaml_parse(struct slice text, const char *file,
                                                      struct arena *arena,
                                                      struct control_report *report);
