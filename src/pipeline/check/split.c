#include "pipeline/check/check_int.h"

#include "format/json/array.h"

/*
 * Lines are cut at each LF; a line of nothing but white space is no record. An array's elements
 * are walked by format/json/array.h. Any other JSON text is one record.
 *
 * Failure modes: a broken line or element is judged alone; from where an array cannot be
 * followed, all the rest is one record that failed. A record is counted as received before it is
 * judged, whatever comes of it.
 */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* JSON's white space off both ends; inline, since it is run over every line. */
static struct slice trim(struct slice s)
{
    while (s.size > 0 && is_space(s.data[0])) {
        s.data++;
        s.size--;
    }
    while (s.size > 0 && is_space(s.data[s.size - 1]))
        s.size--;
    return s;
}

static err_t fail_oversize(struct pipeline_check_pass *pass, struct slice original, size_t size)
{
    struct err_text why = {0};
    (void)err_set(&why, ERR_TOO_LARGE, "%zu bytes, the limit is %llu", size,
                  (unsigned long long)pass->check->record_size_max);
    return pipeline_check_record_fail(pass, original, "oversize", slice_string(why.text));
}

static err_t fail_json(struct pipeline_check_pass *pass, struct slice original, err_t err,
                       const struct format_json_error *error)
{
    ASSERT(!err_is_ok(err));
    struct err_text why = {0};
    err = format_json_explain(err, error, &why);
    return pipeline_check_record_fail(pass, original, "json", slice_string(err_detail(err, &why)));
}

/* Holds a record that is JSON against its schema: good, or dead-lettered or refused. */
static err_t judge_schema(struct pipeline_check_pass *pass, struct slice original,
                          struct slice record)
{
    struct format_jsonschema_error error;
    err_t err =
        format_jsonschema_check(pass->topic->schema, pass->check->schema_scratch, record, &error);
    if (err_is_ok(err))
        return pipeline_check_record_accept(pass, record);
    if (err_is(err, ERR_MEMORY))
        return err;
    /* That it is JSON, and not too deep, was found out before. */
    ASSERT(err_is(err, ERR_RECORD_REFUSED) || err_is(err, ERR_TOO_LARGE));
    char detail[sizeof(error.path) + sizeof(error.message) + 2];
    snprintf(detail, sizeof(detail), "%s%s%s", error.path, error.path[0] ? ": " : "",
             error.message);
    const char *reason = err_is(err, ERR_TOO_LARGE) ? "complexity" : "schema";
    return pipeline_check_record_fail(pass, original, reason, slice_string(detail));
}

/* One record: `record` is `original` without white space around it. */
static err_t judge(struct pipeline_check_pass *pass, struct slice original, struct slice record)
{
    pass->received++;
    /* Before the pass: what is too large to keep is not worth reading. */
    if (record.size > pass->check->record_size_max)
        return fail_oversize(pass, original, record.size);
    struct format_json_paths *paths = pass->topic->paths;
    /* Over the original, so that the error's offset fits the bytes in the dead letter. */
    struct format_json_error error;
    err_t err = format_json_check(original, paths, FORMAT_JSON_DEPTH_MAX,
                                  paths ? pass->found : NULL, &error);
    if (!err_is_ok(err))
        return fail_json(pass, original, err, &error);
    return pass->topic->schema ? judge_schema(pass, original, record)
                               : pipeline_check_record_accept(pass, record);
}

static err_t split_lines(struct pipeline_check_pass *pass, struct slice rest)
{
    while (rest.size > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        size_t size = end ? (size_t)(end - rest.data) : rest.size;
        struct slice line = slice_make(rest.data, size);
        size_t step = end ? size + 1 : size;
        rest = slice_make(rest.data + step, rest.size - step);
        /* A CR before the LF belongs to the line's end, not to a dead letter's bytes. */
        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        struct slice record = trim(line);
        if (record.size > 0)
            TRY(judge(pass, line, record));
    }
    return err_ok();
}

static err_t split_array(struct pipeline_check_pass *pass, struct slice body)
{
    struct format_json_array array;
    TRY(format_json_array_begin(&array, body, NULL));
    struct format_json_paths *paths = pass->topic->paths;
    for (;;) {
        struct format_json_element element;
        enum format_json_step step = format_json_array_next(&array, paths, FORMAT_JSON_DEPTH_MAX,
                                                            paths ? pass->found : NULL, &element);
        if (step == FORMAT_JSON_ARRAY_END)
            return err_ok();
        pass->received++;
        /* The rest may be many records that cannot be told apart: its size says nothing. */
        if (step != FORMAT_JSON_ARRAY_REST && element.raw.size > pass->check->record_size_max)
            TRY(fail_oversize(pass, element.raw, element.raw.size));
        else if (step == FORMAT_JSON_ARRAY_ELEMENT && pass->topic->schema)
            TRY(judge_schema(pass, element.raw, element.raw));
        else if (step == FORMAT_JSON_ARRAY_ELEMENT)
            TRY(pipeline_check_record_accept(pass, element.raw));
        else
            TRY(fail_json(pass, element.raw, element.err, &element.why));
    }
}

err_t pipeline_check_split(struct pipeline_check_pass *pass)
{
    ASSERT(pass->received == 0);
    struct slice body = pass->request->body;
    if (pass->request->framing == FLOW_FRAMING_NDJSON)
        return split_lines(pass, body);
    /* White space alone is no JSON text (RFC 8259 section 2), and no record either. */
    struct slice record = trim(body);
    if (record.size == 0)
        return err_make(ERR_INVALID);
    if (format_json_peek(body) == FORMAT_JSON_ARRAY)
        return split_array(pass, body);
    return judge(pass, body, record);
}
