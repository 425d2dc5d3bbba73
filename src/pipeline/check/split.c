#include "pipeline/check/check_int.h"

#include "format/json/lines.h"

/*
 * Lines are cut by format/json/lines.h; one of nothing but white space is no record. An array's
 * elements are walked by format/json/array.h. Any other JSON text is one record.
 *
 * Failure modes: a broken line or element is judged alone; from where an array cannot be
 * followed, all the rest is one record that failed. A record is counted as received before it is
 * judged, whatever comes of it.
 */

/* What the verdict on a record means for it. */
static err_t conclude(struct pipeline_check_pass *pass, err_t verdict, struct slice original,
                      struct slice record, const struct format_jsonschema_refusal *refusal)
{
    if (err_is(verdict, ERR_RECORD_REFUSED))
        return pipeline_check_record_fail(pass, original, refusal);
    TRY(verdict);
    return pipeline_check_record_accept(pass, record);
}

static struct format_json_value *found_of(struct pipeline_check_pass *pass)
{
    ASSERT(pass->judge.paths == pass->topic->paths);
    return pass->judge.paths ? pass->found : NULL;
}

/* One record: `record` is `original` without white space around it. */
static err_t judge(struct pipeline_check_pass *pass, struct slice original, struct slice record)
{
    struct format_jsonschema_refusal refusal;
    pass->received++;
    err_t verdict =
        format_jsonschema_judge(&pass->judge, original, record, found_of(pass), &refusal);
    return conclude(pass, verdict, original, record, &refusal);
}

static err_t split_lines(struct pipeline_check_pass *pass, struct slice rest)
{
    struct slice line;
    struct slice record;
    while (format_json_next_line(&rest, &line, &record))
        if (record.size > 0)
            TRY(judge(pass, line, record));
    return err_ok();
}

static err_t split_array(struct pipeline_check_pass *pass, struct slice body)
{
    struct format_json_array array;
    struct format_json_element element;
    struct format_jsonschema_refusal refusal;
    TRY(format_json_array_begin(&array, body, NULL));
    for (;;) {
        enum format_json_step step = format_json_array_next(
            &array, pass->judge.paths, FORMAT_JSON_DEPTH_MAX, found_of(pass), &element);
        if (step == FORMAT_JSON_ARRAY_END)
            return err_ok();
        pass->received++;
        err_t verdict = format_jsonschema_judge_element(&pass->judge, step, &element, &refusal);
        TRY(conclude(pass, verdict, element.raw, element.raw, &refusal));
    }
}

err_t pipeline_check_split(struct pipeline_check_pass *pass)
{
    ASSERT(pass->received == 0);
    struct slice body = pass->request->body;
    if (pass->request->history && pass->request->history->produced)
        return pipeline_check_produced_redrive(pass);
    if (pass->request->framing == FLOW_FRAMING_BATCH)
        return pipeline_check_batch(pass);
    if (pass->request->framing == FLOW_FRAMING_NDJSON)
        return split_lines(pass, body);
    /* Also where it is nothing but white space: then it fails as such. */
    if (pass->request->framing == FLOW_FRAMING_RECORD)
        return judge(pass, body, format_json_trim(body));
    /* White space alone is no JSON text (RFC 8259 section 2), and no record either. */
    struct slice record = format_json_trim(body);
    if (record.size == 0)
        return err_make(ERR_INVALID);
    if (format_json_peek(body) == FORMAT_JSON_ARRAY)
        return split_array(pass, body);
    return judge(pass, body, record);
}
