#include "pipeline/check/check_int.h"

#include "base/cursor.h"

/*
 * accepted, dead-lettered, refused, errors not listed, errors listed (varints), then of each error
 * index, size and bytes of the reason, size and bytes of the detail. `accepted` has those that the
 * log finds to be duplicates afterwards; it keeps their number itself.
 *
 * Failure modes: an answer that takes more bytes than are kept is kept without its errors, all of
 * which are told as not listed. What is decoded comes from a disk: it is checked, never asserted.
 */

static void add_text(struct buf *out, const char *text)
{
    struct slice s = slice_string(text);
    buf_add_uvarint(out, s.size);
    buf_add_slice(out, s);
}

static void add_counts(struct buf *out, const struct pipeline_check_tally *tally,
                       uint64_t truncated, uint32_t listed)
{
    ASSERT(out->size == 0);
    buf_add_uvarint(out, tally->records[PIPELINE_CHECK_ACCEPTED]);
    buf_add_uvarint(out, tally->records[PIPELINE_CHECK_DEAD_LETTERED]);
    buf_add_uvarint(out, tally->records[PIPELINE_CHECK_REFUSED]);
    buf_add_uvarint(out, truncated);
    buf_add_uvarint(out, listed);
}

err_t pipeline_check_answer_encode(const struct pipeline_check_tally *tally,
                                   const struct flow_inlet_request *request, struct buf *out)
{
    uint32_t listed = request->error_count;
    ASSERT(listed <= FLOW_INLET_ERRORS_MAX);
    buf_reset(out);
    add_counts(out, tally, request->errors_truncated, listed);
    for (uint32_t i = 0; i < listed; i++) {
        buf_add_uvarint(out, request->errors[i].index);
        add_text(out, request->errors[i].reason);
        add_text(out, request->errors[i].detail);
    }
    /* All of them or none: half a list would look like a whole one. */
    if (out->size > FLOW_ANSWER_MAX) {
        buf_reset(out);
        add_counts(out, tally, request->errors_truncated + listed, 0);
    }
    err_t err = buf_error(out);
    /* A latched failure would stay with the commit for its next use. */
    if (!err_is_ok(err))
        buf_reset(out);
    return err;
}

static struct slice take_text(struct cursor *c)
{
    uint64_t size = cursor_uvarlong(c);
    return cursor_bytes(c, size <= FLOW_ANSWER_MAX ? (size_t)size : SIZE_MAX);
}

static err_t take_error(struct cursor *c, struct flow_inlet_request *request)
{
    char reason[64];
    uint64_t index = cursor_uvarlong(c);
    struct slice text = take_text(c);
    struct slice detail = take_text(c);
    if (!cursor_ok(c) || text.size >= sizeof(reason))
        return err_make(ERR_CORRUPT);
    if (text.size > 0)
        memcpy(reason, text.data, text.size);
    reason[text.size] = '\0';
    /* Without memory it counts as not listed, like any other. */
    flow_inlet_add_error(request, index, reason, detail);
    return err_ok();
}

err_t pipeline_check_answer_decode(struct slice kept, uint64_t duplicates,
                                   struct flow_inlet_request *request)
{
    ASSERT(request->error_count == 0 && request->errors_truncated == 0);
    struct cursor c = cursor_make(kept);
    uint64_t accepted = cursor_uvarlong(&c);
    uint64_t dead_lettered = cursor_uvarlong(&c);
    uint64_t refused = cursor_uvarlong(&c);
    request->errors_truncated = cursor_uvarlong(&c);
    uint64_t listed = cursor_uvarlong(&c);
    err_t err = err_make(cursor_ok(&c) && duplicates <= accepted && listed <= FLOW_INLET_ERRORS_MAX
                             ? ERR_OK
                             : ERR_CORRUPT);
    for (uint64_t i = 0; i < listed && err_is_ok(err); i++)
        err = take_error(&c, request);
    if (err_is_ok(err) && c.rest.size > 0)
        err = err_make(ERR_CORRUPT);
    if (!err_is_ok(err)) {
        flow_inlet_request_done(request);
        return err;
    }
    /* As the first one was told: those that it repeated were not accepted then. */
    request->accepted = accepted - duplicates;
    request->duplicates = duplicates;
    request->dead_lettered = dead_lettered;
    request->refused = refused;
    return err_ok();
}
