#pragma once

/* `garner groups`: consumer groups and their offsets, over the Kafka protocol. Blocks its thread.
 */

#include "base/option.h"

extern const struct option cli_groups_options[];
extern const char cli_groups_text[];
