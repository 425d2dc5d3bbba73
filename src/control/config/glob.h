#pragma once

/*
 * Shell-like patterns over files: `*` stands for any run of characters and `?` for one, never
 * for a slash and never for a dot at the front of a name. There is nothing else: no `**`, no
 * brackets.
 */

#include "base/arena.h"
#include "base/option.h"
#include "io/disk.h"

/* Most files that one pattern may match. */
#define CONTROL_CONFIG_GLOB_MAX 10000u

/* True when `pattern`, a part between slashes, stands for all of `name`. */
bool control_config_glob_match(const char *pattern, const char *name);
/* The paths of all regular files that `pattern` matches, sorted; both live in `arena`. A pattern
 * that holds neither * nor ? is the file itself. What is not there matches nothing; a directory
 * that cannot be read is an error, as are too many files (ERR_TOO_LARGE) and ERR_MEMORY. Blocks
 * on the disk. */
err_t control_config_glob(struct io_disk *disk, const char *pattern, struct arena *arena,
                          struct option_strings *out, struct err_text *why);
