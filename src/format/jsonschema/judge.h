#pragma once

/*
 * The verdict on one record by all that a contract says of its bytes: its size, its JSON, its
 * schema, the work that checking it takes. The intake judges by this, and so does whoever wants to
 * know what the intake would say. Views, nothing kept; one thread a scratch.
 */

#include "format/json/array.h"
#include "format/jsonschema/jsonschema.h"

/* Why a record is refused. The names are stable: answers, dead letters and metrics carry them. */
enum format_jsonschema_reason {
    FORMAT_JSONSCHEMA_JSON,       /* "json": malformed, not UTF-8, nested too deep */
    FORMAT_JSONSCHEMA_OVERSIZE,   /* "oversize" */
    FORMAT_JSONSCHEMA_SCHEMA,     /* "schema": not what it allows, or equal keys */
    FORMAT_JSONSCHEMA_COMPLEXITY, /* "complexity": more work than a record is given */
    FORMAT_JSONSCHEMA_REASONS,    /* how many there are */
};

/* The reason's name, which lives for ever. */
const char *format_jsonschema_reason_name(enum format_jsonschema_reason reason);

struct format_jsonschema_judge {
    const struct format_jsonschema *schema; /* NULL: any JSON */
    struct format_jsonschema_scratch *scratch;
    const struct format_json_paths *paths; /* looked for in the same pass; NULL: none */
    uint64_t size_max;                     /* bytes of a record */
};

/* Set with ERR_RECORD_REFUSED only. */
struct format_jsonschema_refusal {
    enum format_jsonschema_reason reason;
    struct err_text detail; /* one line for a person; of the record it shows names only */
};

/*
 * Judges `record`, which is `original` without white space around it; offsets in the detail count
 * from `original`. With OK, and where the reason is SCHEMA or COMPLEXITY, `found` has a value for
 * each path (NULL without paths). ERR_RECORD_REFUSED with `out`; ERR_MEMORY.
 */
err_t format_jsonschema_judge(const struct format_jsonschema_judge *by, struct slice original,
                              struct slice record, struct format_json_value *found,
                              struct format_jsonschema_refusal *out);
/* The same for what a step through an array has found (not its end), which has looked for the
 * paths already. */
err_t format_jsonschema_judge_element(const struct format_jsonschema_judge *by,
                                      enum format_json_step step,
                                      const struct format_json_element *element,
                                      struct format_jsonschema_refusal *out);
