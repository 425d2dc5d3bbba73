#pragma once

/*
 * The `path` of a file sink: literal text with templates. What stands before the first component
 * with a template is the root, where complete files are published; the rest is made for each
 * record.
 *
 *   {topic}  {partition}  {key}  {event_time:%Y-%m-%d}     (%Y %m %d %H %M %S %j %%, UTC)
 *
 * Every byte of a value but [A-Za-z0-9._=~-] is percent-encoded, so that no value makes a
 * directory of its own. A component that would be "." or ".." has its dots encoded. A key that is
 * null, and a time outside the years 1 to 9999, is `__null__`, an empty key `__empty__`; a key
 * that is one of these two words begins with %5F instead.
 */

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Limits of Linux: NAME_MAX, and PATH_MAX without its zero. */
#define SINKS_FILE_NAME_MAX 255u
#define SINKS_FILE_PATH_MAX 4095u

enum sinks_file_part_kind {
    SINKS_FILE_PART_TEXT,
    SINKS_FILE_PART_SEPARATOR, /* ends a component */
    SINKS_FILE_PART_TOPIC,
    SINKS_FILE_PART_PARTITION,
    SINKS_FILE_PART_KEY,
    SINKS_FILE_PART_TIME,
};

struct sinks_file_part {
    enum sinks_file_part_kind kind;
    struct slice text; /* of TEXT; the format of TIME */
};

/* Read only once it is parsed: any thread. */
struct sinks_file_template {
    struct arena arena; /* holds what the rest points to */
    struct slice root;  /* without a slash at its end; zero-terminated */
    struct sinks_file_part *parts;
    size_t part_count;
    bool uses_key;
    /* Two times t with equal floor(t / period_ms) give one path; 0: time does not matter. */
    int64_t period_ms;
};

struct sinks_file_values {
    const char *topic;
    uint32_t partition;
    struct slice key; /* data NULL: null */
    int64_t time_ms;
};

/* Parses `text`; double slashes and "." go, ".." before the root's end is resolved by its text.
 * ERR_CONFIG with a detail, ERR_MEMORY. */
err_t sinks_file_template_parse(struct slice text, struct sinks_file_template *out,
                                struct err_text *why);
void sinks_file_template_done(struct sinks_file_template *t);
/* Appends the directories of a record below the root, each with a slash behind it; nothing for a
 * path without templates. ERR_TOO_LARGE with a detail: a component has over SINKS_FILE_NAME_MAX
 * bytes. A lack of memory is latched in `out`. */
err_t sinks_file_template_render(const struct sinks_file_template *t,
                                 const struct sinks_file_values *values, struct buf *out,
                                 struct err_text *why);
