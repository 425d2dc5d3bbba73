#pragma once

/*
 * What the configuration has to know of a kind of sink: its name, its options and how they are
 * checked. Each plug-in is the owner of one such constant; the program hands all of them to
 * control_config_load, so that control knows no sink by name. Constant, any thread.
 */

#include "base/err.h"
#include "base/option.h"

struct control_sink_type {
    const char *name; /* as in `type: file`; NULL ends a table of types */
    const char *help; /* one line for the reference page; may be NULL */
    /* The options besides `type` and `topics`; ends with a NULL name. */
    const struct option *options;
    size_t options_size; /* bytes of the struct that `options` describes */
    /* Optional: what a table cannot say. An error has a detail that begins with the option's name
     * ("path: ..."), unless it is ERR_MEMORY. */
    err_t (*check)(const void *options, struct err_text *why);
    /* Optional: refuses two sinks of this type that would be in each other's way, with a detail
     * that says how ("path: ..."). */
    err_t (*check_pair)(const void *a, const void *b, struct err_text *why);
};
