#pragma once

/*
 * JSON Schema, drafts 2020-12 and 7: a schema is compiled once and then only read, by any number
 * of threads; a thread checks records against it with a scratch of its own.
 *
 * Strict where JSON Schema leaves room: two equal keys in an object are an error. Numbers are
 * decimals of any length, lengths count code points, patterns are ECMA-262's. Nothing is ever
 * fetched: a reference leads into the schema itself, into documents that the caller hands over, or
 * to the metaschemas of the two drafts, which are built in.
 *
 * Work and memory are bounded: a record is given a number of steps (about one a value read and
 * one a schema applied to a value, more for patterns, long numbers and uniqueItems), and so many
 * values, so deep; one that needs more is refused as too complex, whatever else it is.
 */

#include "base/err.h"
#include "base/slice.h"
#include "format/json/json.h"

/* Steps that a record is given unless said otherwise. */
#define FORMAT_JSONSCHEMA_STEPS (UINT64_C(1) << 22)
/* How deep schemas may be applied within each other; beyond it a record is too complex. */
#define FORMAT_JSONSCHEMA_DEPTH_MAX 1500
/* The largest text of a schema. */
#define FORMAT_JSONSCHEMA_SIZE_MAX (4U << 20)

enum format_jsonschema_draft {
    FORMAT_JSONSCHEMA_2020_12,
    FORMAT_JSONSCHEMA_7,
};

/* A text that references may lead to. */
struct format_jsonschema_document {
    struct slice uri; /* absolute, without a fragment */
    struct slice text;
};

struct format_jsonschema_options {
    enum format_jsonschema_draft draft;                 /* of a schema without $schema */
    bool assert_formats;                                /* `format` refuses; else it says nothing */
    uint64_t steps;                                     /* a record; 0: FORMAT_JSONSCHEMA_STEPS */
    const struct format_jsonschema_document *documents; /* copied as far as they are used */
    size_t document_count;
};

/* A compiled schema: immutable, shared. */
struct format_jsonschema;
/* What a thread needs to check: reused from record to record, for any schema. */
struct format_jsonschema_scratch;

/* Why a record was refused, in one line: what could end or hide one stands as \u escape, and
 * nothing of the record is shown but the names that lead to the place. Long paths are cut. */
struct format_jsonschema_error {
    char path[256];      /* a JSON Pointer (RFC 6901); of the record as a whole "" */
    char message[200];   /* "expected integer, got string (type)", the keyword in parentheses */
    const char *keyword; /* that refused; "json" and "complexity" stand for no keyword */
};

/*
 * Compiles `text`, which need not live on. `options` may be NULL: all zero. ERR_INVALID, with the
 * JSON Pointer into the schema behind a # and the reason, for what is no schema: malformed JSON, a
 * keyword's value of the wrong kind, a pattern that is none, a reference that leads nowhere, an
 * unknown $schema. ERR_TOO_LARGE for too large a text; ERR_MEMORY.
 */
err_t format_jsonschema_compile(struct slice text, const struct format_jsonschema_options *options,
                                struct format_jsonschema **out, struct err_text *why);
/* Frees and clears `*schema`; NULL in it is fine. */
void format_jsonschema_free(struct format_jsonschema **schema);

err_t format_jsonschema_scratch_new(struct format_jsonschema_scratch **out);
/* Frees and clears `*scratch`; NULL in it is fine. */
void format_jsonschema_scratch_free(struct format_jsonschema_scratch **scratch);

/*
 * Checks that `record` is JSON that `schema` allows. ERR_RECORD_REFUSED when it does not allow it
 * or there are equal keys; ERR_SYNTAX and ERR_TOO_DEEP when it is no JSON (json/json.h);
 * ERR_TOO_LARGE when it is too complex; all of these with `why`, which may be NULL. ERR_MEMORY.
 */
err_t format_jsonschema_check(const struct format_jsonschema *schema,
                              struct format_jsonschema_scratch *scratch, struct slice record,
                              struct format_jsonschema_error *why);

/*
 * The two halves of that check, for whoever wants more than a verdict.
 *
 * The fast one: true when all of `text` is JSON that `schema` allows, found out in one pass that
 * builds no tree, with `found` as format_json_check gives it (both may be NULL). False says
 * nothing: the record is refused, or the pass leaves it to the plain half (a key with escapes, an
 * object of hundreds of unknown keys, a $dynamicRef). It may find good what is too complex for the
 * plain half, which spends steps on every value.
 */
bool format_jsonschema_fits(const struct format_jsonschema *schema,
                            struct format_jsonschema_scratch *scratch, struct slice text,
                            const struct format_json_paths *paths, struct format_json_value *found);
/* The plain one, over a tree; the oracle, and the one that words errors. */
err_t format_jsonschema_check_plainly(const struct format_jsonschema *schema,
                                      struct format_jsonschema_scratch *scratch,
                                      struct slice record, struct format_jsonschema_error *why);
