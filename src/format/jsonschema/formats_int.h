#pragma once

/*
 * The keyword `format` as an assertion: one table from the names of the specification's formats
 * (draft 2020-12 validation, section 7.3; draft 7 the same section) to functions that look at a
 * string. Pure; any thread.
 */

#include "base/slice.h"
#include "format/jsonschema/budget_int.h"

enum format_jsonschema_truth {
    FORMAT_JSONSCHEMA_NO,
    FORMAT_JSONSCHEMA_YES,
    FORMAT_JSONSCHEMA_MEMORY, /* it could not be found out */
};

struct format_jsonschema_format {
    const char *name;
    const char *specification;
    enum format_jsonschema_truth (*is)(struct slice text);
    uint32_t steps; /* that a look costs, besides those for the text's size */
};

/* The format called `name`, NULL for one that is not asserted: anything goes there. */
const struct format_jsonschema_format *format_jsonschema_format_find(struct slice name);
