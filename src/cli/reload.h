#pragma once

/* `garner reload`: has a running server read its contracts anew. */

#include "base/option.h"

struct cli;

extern const struct option cli_reload_options[];
extern const char cli_reload_text[];
int cli_reload(struct cli *cli, int argc, char **argv);
