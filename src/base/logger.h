#pragma once

/*
 * Structured log lines: a level, a stable event name to search and alert by, and a text for a
 * person. A logger is an interface given by whoever starts a part; the text never holds bytes of
 * records. Any thread, if the implementation says so (the server's does).
 */

#include "base/slice.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct logger {
    void (*write)(struct logger *logger, enum log_level level, const char *event,
                  struct slice text);
};

/* Writes a line, cut at 2,000 bytes; a NULL logger writes nothing. */
void logger_write(struct logger *logger, enum log_level level, const char *event,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* "debug", "info", "warning", "error". */
const char *log_level_name(enum log_level level);
