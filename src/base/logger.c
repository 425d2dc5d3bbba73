#include "base/logger.h"

#include "base/assert.h"

#include <stdarg.h>

/* On the stack, so that a lack of memory can be written about. What is longer is cut: an event's
 * name and the beginning of its text say what happened. */
#define TEXT_SIZE 2000

void logger_write(struct logger *logger, enum log_level level, const char *event,
                  const char *format, ...)
{
    ASSERT(event && format);
    /* Who has nobody to tell, as in tests and tools, needs no logger. */
    if (!logger)
        return;
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ASSERT(size >= 0);
    /* vsnprintf says what it would have written. */
    size_t kept = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
    logger->write(logger, level, event, slice_make(text, kept));
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    ASSERT((size_t)level < sizeof names / sizeof names[0]);
    return names[level];
}
