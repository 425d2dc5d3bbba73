#pragma once

/*
 * `garner restore`: makes a data directory of a backup.
 */

#include "base/option.h"

extern const struct option cli_restore_options[];
extern const char cli_restore_text[];
