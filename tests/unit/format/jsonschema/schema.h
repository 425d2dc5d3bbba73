#pragma once

/*
 * What the tests of format/jsonschema share: a schema compiled, a record checked, and what both
 * have to say.
 */

#include "base/alloc.h"
#include "base/buf.h"
#include "format/jsonschema/jsonschema.h"
#include "lib/unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static inline struct format_jsonschema *schema_with(const char *text,
                                                    const struct format_jsonschema_options *o)
{
    struct format_jsonschema *schema = NULL;
    struct err_text why = {0};
    if (!err_is_ok(format_jsonschema_compile(slice_string(text), o, &schema, &why)))
        fail_msg("%s: %s", text, why.text);
    return schema;
}

/* Checks with a block of exactly the record's size. */
static inline err_t schema_check(const struct format_jsonschema *schema, struct slice record,
                                 struct format_jsonschema_error *why)
{
    struct format_jsonschema_scratch *scratch = NULL;
    uint8_t *exact = mem_alloc(record.size);
    assert_non_null(exact);
    memcpy(exact, record.data, record.size);
    assert_true(err_is_ok(format_jsonschema_scratch_new(&scratch)));
    err_t err = format_jsonschema_check(schema, scratch, slice_make(exact, record.size), why);
    format_jsonschema_scratch_free(&scratch);
    mem_free(exact);
    return err;
}

/* Asserts that the record is refused with this path and message, or, where `path` is NULL, that
 * it is good. */
static inline void expect_with(const char *text, const struct format_jsonschema_options *o,
                               const char *record, const char *path, const char *message)
{
    struct format_jsonschema *schema = schema_with(text, o);
    struct format_jsonschema_error why = {.path = "", .message = ""};
    err_t err = schema_check(schema, slice_string(record), &why);
    if (err_is_ok(err) != !path)
        fail_msg("%s: %s: %s, %s: %s", text, record, err_name(err), why.path, why.message);
    if (path && (strcmp(why.path, path) != 0 || strcmp(why.message, message) != 0))
        fail_msg("%s: %s: \"%s\": \"%s\"", text, record, why.path, why.message);
    format_jsonschema_free(&schema);
}

static inline void expect_good(const char *schema, const char *record)
{
    expect_with(schema, NULL, record, NULL, NULL);
}

static inline void expect_refused(const char *schema, const char *record, const char *path,
                                  const char *message)
{
    expect_with(schema, NULL, record, path, message);
}

static inline void expect_good_7(const char *schema, const char *record)
{
    expect_with(schema, &(struct format_jsonschema_options){.draft = FORMAT_JSONSCHEMA_7}, record,
                NULL, NULL);
}

static inline void expect_refused_7(const char *schema, const char *record, const char *path,
                                    const char *message)
{
    expect_with(schema, &(struct format_jsonschema_options){.draft = FORMAT_JSONSCHEMA_7}, record,
                path, message);
}

/* Asserts that `text` is no schema, for this reason. */
static inline void expect_no_schema(const char *text, const char *reason)
{
    struct format_jsonschema *schema = NULL;
    struct err_text why = {0};
    err_t err = format_jsonschema_compile(slice_string(text), NULL, &schema, &why);
    assert_true(err_is(err, ERR_INVALID));
    assert_null(schema);
    assert_string_equal(why.text, reason);
}
