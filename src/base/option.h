#pragma once

/*
 * Option tables: everything that can be configured is described once, in a constant table, from
 * which the parser, its error messages and the reference page come. An option's value is stored
 * at `offset` of the struct that the table describes.
 */

#include "base/err.h"
#include "base/slice.h"

enum option_type {
    OPTION_BOOL,     /* bool */
    OPTION_U32,      /* uint32_t */
    OPTION_U64,      /* uint64_t */
    OPTION_SIZE,     /* uint64_t bytes; "64MiB" */
    OPTION_DURATION, /* uint64_t milliseconds; "60s" */
    OPTION_STRING,   /* const char *, in the configuration's arena */
    OPTION_PATH,     /* const char *, made absolute against the file it stands in */
    OPTION_ADDRESS,  /* const char *, "host:port" */
    OPTION_ENUM,     /* uint32_t, the index in `choices` */
    OPTION_STRINGS,  /* struct option_strings */
    OPTION_TABLE,    /* a nested mapping, described by `table`, stored in place */
};

struct option_strings {
    const char **items;
    size_t count;
};

struct option {
    const char *name;
    enum option_type type;
    size_t offset;
    const char *fallback; /* the default, written as a user would; NULL: none (required if so) */
    bool required;
    uint64_t min;               /* for numbers, sizes and durations */
    uint64_t max;               /* 0: no limit */
    const char *const *choices; /* NULL-terminated, for OPTION_ENUM */
    const struct option *table; /* for OPTION_TABLE; ends with a NULL name. NULL: whatever stands
                                   there is kept for the table's owner to decode (const void *) */
    bool shorthand;             /* OPTION_TABLE: a scalar in its place is its first option's */
    const char *help;           /* one line for the reference page */
};
