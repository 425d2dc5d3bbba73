#pragma once

/*
 * A tree of nodes into structs, as option tables say (base/option.h). Every field that is not
 * given gets its default; every problem goes to the report with its place, and decoding goes on,
 * so that one look shows all of them. The structs are of use only when the report has no error.
 */

#include "base/option.h"
#include "control/config/node.h"

struct control_config_decoder {
    struct arena *arena;           /* for strings and lists */
    struct control_report *report; /* errors, and where no memory is latched */
    const char *directory;         /* where relative paths begin */
};

/* A struct and the table that describes it; a mapping may fill several at once. */
struct control_config_part {
    const struct option *table;
    void *out; /* zeroed by its owner */
};

/*
 * Decodes `mapping` into `parts`, whose tables have no name in common. NULL gives the defaults
 * alone. A default of OPTION_STRINGS is the one item of the list. Where a table of tables has
 * none (OPTION_TABLE without `table`), the field gets the node.
 */
void control_config_decode(const struct control_config_decoder *decoder,
                           const struct control_config_node *mapping,
                           const struct control_config_part *parts, size_t part_count);
