#pragma once

/* What of a configuration differs from another. */

#include "control/config/config.h"

/* True when the values of `option` at `a` and `b`, each the option's own field, are the same. */
bool control_config_same(const struct option *option, const void *a, const void *b);
/*
 * The path of the first option that differs between two, without `contracts`; NULL when none
 * does. Written to `room`.
 */
const char *control_config_difference(const struct control_config *a,
                                      const struct control_config *b, char room[static 128]);
