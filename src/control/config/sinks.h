#pragma once

/*
 * The `sinks` of the configuration: a mapping from a name to the options that all sinks have and
 * those of its type.
 */

#include "control/config/config.h"
#include "control/config/decode.h"

/* Longest name of a sink: `[a-zA-Z0-9._-]`. */
#define CONTROL_CONFIG_SINK_NAME_MAX 128u

/* Decodes and checks what is under `config->sinks_node` into `config->sinks`, in the order of the
 * file. Types come from `types`. Problems go to the decoder's report. */
void control_config_sinks(const struct control_config_decoder *decoder,
                          const struct control_sink_type *types, struct control_config *config);
