#include "base/assert.h"

/* Standard error and not the log: the log may be what is broken. */
void assert_failed(const char *file, int line, const char *expression)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}
