#include "format/jsonschema/judge.h"

#include "base/assert.h"

/*
 * A record that is good is found so in one pass, which looks for the paths on its way. Only one
 * that this pass leaves open is read again: by the JSON check, which has the say on grammar and
 * words its errors, and then by the plain half of the schema's check.
 *
 * Failure modes: memory is the only error that is no verdict.
 */

static const char *const names[FORMAT_JSONSCHEMA_REASONS] = {
    [FORMAT_JSONSCHEMA_JSON] = "json",
    [FORMAT_JSONSCHEMA_OVERSIZE] = "oversize",
    [FORMAT_JSONSCHEMA_SCHEMA] = "schema",
    [FORMAT_JSONSCHEMA_COMPLEXITY] = "complexity",
};

_Static_assert(ERR_TEXT_SIZE >= sizeof(((struct format_jsonschema_error *)0)->path) +
                                    sizeof(((struct format_jsonschema_error *)0)->message) + 2,
               "a path and a message are a detail");

const char *format_jsonschema_reason_name(enum format_jsonschema_reason reason)
{
    ASSERT(reason < FORMAT_JSONSCHEMA_REASONS);
    return names[reason];
}

static err_t refuse_size(const struct format_jsonschema_judge *by, size_t size,
                         struct format_jsonschema_refusal *out)
{
    out->reason = FORMAT_JSONSCHEMA_OVERSIZE;
    return err_set(&out->detail, ERR_RECORD_REFUSED, "%zu bytes, the limit is %llu", size,
                   (unsigned long long)by->size_max);
}

static err_t refuse_json(err_t err, const struct format_json_error *error,
                         struct format_jsonschema_refusal *out)
{
    ASSERT(!err_is_ok(err));
    out->reason = FORMAT_JSONSCHEMA_JSON;
    (void)format_json_explain(err, error, &out->detail);
    return err_make(ERR_RECORD_REFUSED);
}

/* Holds a record that is JSON, and that the fast pass left open, against its schema. */
static err_t hold(const struct format_jsonschema_judge *by, struct slice record,
                  struct format_jsonschema_refusal *out)
{
    struct format_jsonschema_error error;
    err_t err = format_jsonschema_check_plainly(by->schema, by->scratch, record, &error);
    if (err_is_ok(err) || err_is(err, ERR_MEMORY))
        return err;
    /* That it is JSON, and not too deep, was found out before. */
    ASSERT(err_is(err, ERR_RECORD_REFUSED) || err_is(err, ERR_TOO_LARGE));
    out->reason =
        err_is(err, ERR_TOO_LARGE) ? FORMAT_JSONSCHEMA_COMPLEXITY : FORMAT_JSONSCHEMA_SCHEMA;
    return err_set(&out->detail, ERR_RECORD_REFUSED, "%s%s%s", error.path,
                   error.path[0] ? ": " : "", error.message);
}

err_t format_jsonschema_judge(const struct format_jsonschema_judge *by, struct slice original,
                              struct slice record, struct format_json_value *found,
                              struct format_jsonschema_refusal *out)
{
    ASSERT(by->scratch && !by->paths == !found);
    /* Before the pass: what is too large to keep is not worth reading. */
    if (record.size > by->size_max)
        return refuse_size(by, record.size, out);
    if (by->schema && format_jsonschema_fits(by->schema, by->scratch, original, by->paths, found))
        return err_ok();
    /* Over the original, so that the error's offset fits the bytes in the dead letter. */
    struct format_json_error error;
    err_t err = format_json_check(original, by->paths, FORMAT_JSON_DEPTH_MAX, found, &error);
    if (!err_is_ok(err))
        return refuse_json(err, &error, out);
    return by->schema ? hold(by, record, out) : err_ok();
}

err_t format_jsonschema_judge_element(const struct format_jsonschema_judge *by,
                                      enum format_json_step step,
                                      const struct format_json_element *element,
                                      struct format_jsonschema_refusal *out)
{
    ASSERT(by->scratch && step != FORMAT_JSON_ARRAY_END);
    /* The rest may be many records that cannot be told apart: its size says nothing. */
    if (step != FORMAT_JSON_ARRAY_REST && element->raw.size > by->size_max)
        return refuse_size(by, element->raw.size, out);
    if (step != FORMAT_JSON_ARRAY_ELEMENT)
        return refuse_json(element->err, &element->why, out);
    if (!by->schema || format_jsonschema_fits(by->schema, by->scratch, element->raw, NULL, NULL))
        return err_ok();
    return hold(by, element->raw, out);
}
