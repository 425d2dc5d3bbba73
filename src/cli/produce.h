#pragma once

/* `garner produce`: lines of standard input become records of a topic, over the Kafka protocol.
 * Blocks its thread. */

#include "base/option.h"

extern const struct option cli_produce_options[];
extern const char cli_produce_text[];
