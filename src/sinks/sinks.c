#include "sinks/sinks.h"

#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"

/*
 * What a plug-in says of single records. The list grows by doubling; the reasons are constants of
 * the plug-in, the details are kept here, since the plug-in's own text is gone when the runner
 * writes the dead letter.
 *
 * Failure: without memory a refusal cannot be noted, and a record that is neither delivered nor
 * refused must not pass: the error fails the write, and with it the epoch, which is tried again.
 */

err_t sinks_refuse(struct sinks_result *result, int64_t offset, const char *reason,
                   const char *format, ...)
{
    ASSERT(reason && offset >= 0);
    if (result->refusal_count == result->refusal_capacity) {
        size_t capacity = result->refusal_capacity ? result->refusal_capacity * 2 : 16;
        struct sinks_refusal *grown = mem_realloc(result->refusals, capacity, sizeof(*grown));
        if (!grown)
            return err_make(ERR_MEMORY);
        result->refusals = grown;
        result->refusal_capacity = capacity;
    }
    struct sinks_refusal *refusal = &result->refusals[result->refusal_count++];
    *refusal = (struct sinks_refusal){.offset = offset, .reason = reason};
    va_list arguments;
    va_start(arguments, format);
    /* Cut off where the room ends: a detail is for a person. */
    (void)vsnprintf(refusal->detail, sizeof(refusal->detail), format, arguments);
    va_end(arguments);
    return err_ok();
}

void sinks_result_done(struct sinks_result *result)
{
    ASSERT(result);
    mem_free(result->refusals);
    *result = (struct sinks_result){0};
}
