#pragma once

/* What of a configuration differs from another. */

#include "control/config/config.h"

/*
 * The path of the first option that differs between two, without `contracts`; NULL when none
 * does. Written to `room`.
 */
const char *control_config_difference(const struct control_config *a,
                                      const struct control_config *b, char room[static 128]);
