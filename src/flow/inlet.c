#include "flow/inlet.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Most answers have no error, and a few have a hundred: the list is made with the first error and
 * doubles. An error that finds no memory is counted like one over the limit, so that the number
 * of records that were not accepted is always told.
 */

#define ERRORS_FIRST 4u

/* Room for one more error; capacities are ERRORS_FIRST times a power of two, so that the count
 * alone tells when the list is full. */
static bool make_room(struct flow_inlet_request *request)
{
    uint32_t count = request->error_count;
    ASSERT(count < FLOW_INLET_ERRORS_MAX);
    bool full = count == 0 || (count >= ERRORS_FIRST && (count & (count - 1)) == 0);
    if (!full)
        return true;
    uint32_t capacity = count ? count * 2 : ERRORS_FIRST;
    void *grown = mem_realloc(request->errors, capacity, sizeof(*request->errors));
    if (!grown)
        return false;
    request->errors = grown;
    return true;
}

void flow_inlet_add_error(struct flow_inlet_request *request, uint64_t index, const char *reason,
                          struct slice detail)
{
    ASSERT(request && reason);
    ASSERT(request->error_count <= FLOW_INLET_ERRORS_MAX);
    size_t reason_size = strlen(reason) + 1;
    char *copy = NULL;
    if (request->error_count < FLOW_INLET_ERRORS_MAX && make_room(request))
        copy = mem_alloc(detail.size + 1 + reason_size);
    if (!copy) {
        request->errors_truncated++;
        return;
    }
    if (detail.size > 0)
        memcpy(copy, detail.data, detail.size);
    copy[detail.size] = '\0';
    /* Behind the detail: an answer that is given again has its reasons from a log. */
    memcpy(copy + detail.size + 1, reason, reason_size);
    request->errors[request->error_count++] =
        (struct flow_inlet_error){index, copy + detail.size + 1, copy};
}

void flow_inlet_request_done(struct flow_inlet_request *request)
{
    ASSERT(request);
    for (uint32_t i = 0; i < request->error_count; i++)
        mem_free(request->errors[i].detail);
    mem_free(request->errors);
    request->errors = NULL;
    request->error_count = 0;
    request->errors_truncated = 0;
}
