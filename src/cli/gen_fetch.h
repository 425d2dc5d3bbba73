#pragma once

/* `garner gen --kafka --fetch`: how fast a topic is read. Blocks its thread. */

#include "cli/access.h"

struct cli_gen_fetch {
    const char *address; /* of a broker */
    const char *topic;
    uint32_t connections;
    bool json;
    struct cli_access *access; /* not begun */
};

/* Reads all that the topic holds and prints the report; the exit code. */
int cli_gen_fetch(const struct cli_command *command, const struct cli_gen_fetch *fetch);
