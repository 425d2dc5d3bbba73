#pragma once

/*
 * Checking a value against a compiled schema: what the functions in the table of words share. A
 * check returns true when the value satisfies the keyword. One that does not tells why with
 * format_jsonschema_fail and returns false; once a run is stopped everything returns false, and
 * nobody asks for the verdict any more.
 */

#include "format/jsonschema/schema_int.h"

/* The resources that were entered on the way here, innermost first (core, section 7.1). */
struct format_jsonschema_scope {
    const struct format_jsonschema_resource *resource;
    const struct format_jsonschema_scope *outer;
};

/* Which children of a value some keyword has looked at, for unevaluatedItems and -Properties: a
 * bit a child, from word `seen` of the run on. NONE: nobody wants to know. */
#define FORMAT_JSONSCHEMA_NONE SIZE_MAX
/* The most words of such bits at a time: 2 MiB. */
#define FORMAT_JSONSCHEMA_WORDS_MAX (1U << 18)

struct format_jsonschema_run {
    struct format_jsonschema_budget budget;
    struct arena arena; /* of the record's tree */
    struct format_jsonschema_matcher *matcher;
    const struct format_jsonschema_scope *scope;
    uint64_t *words;
    size_t word_count;
    size_t word_capacity;
    uint32_t depth;
    uint32_t quiet;        /* over 0: a branch that may fail is tried */
    enum err_code stopped; /* ERR_OK, ERR_MEMORY or ERR_TOO_LARGE */
    struct format_jsonschema_error *why;
    struct format_jsonschema_frames *frames; /* of the pass */
    struct buf text;                         /* where messages are put together */
};

/* Where the pass keeps what is open. */
err_t format_jsonschema_frames_new(struct format_jsonschema_frames **out);
/* True when `text` is JSON that `schema` allows, with `found` as format_json_check gives it; false
 * where that is not known. The run is as check.c begins it. */
bool format_jsonschema_pass(struct format_jsonschema_run *r, const struct format_jsonschema *schema,
                            struct slice text, const struct format_json_paths *paths,
                            struct format_json_value *found);

/* True when `schema` allows `node`. */
bool format_jsonschema_holds(struct format_jsonschema_run *r,
                             const struct format_jsonschema_schema *schema,
                             const struct format_jsonschema_node *node, size_t seen);
/* Takes `steps`; false, and the run is stopped, when there are not so many. */
bool format_jsonschema_step(struct format_jsonschema_run *r, uint64_t steps);
/* Ends the run with `code`; returns false. */
bool format_jsonschema_stop(struct format_jsonschema_run *r, enum err_code code);
/* Notes that `node` fails `k` and what was expected; returns false. */
bool format_jsonschema_fail(struct format_jsonschema_run *r,
                            const struct format_jsonschema_keyword *k,
                            const struct format_jsonschema_node *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Whether `regex` matches `text`; false too when the run was stopped over it. */
bool format_jsonschema_matches(struct format_jsonschema_run *r,
                               const struct format_jsonschema_regex *regex, struct slice text);

/* The checks of the words, as struct format_jsonschema_word has them. */
#define FORMAT_JSONSCHEMA_CHECK(name)                                                              \
    bool format_jsonschema_check_##name(struct format_jsonschema_run *r,                           \
                                        const struct format_jsonschema_keyword *k,                 \
                                        const struct format_jsonschema_node *node, size_t seen)
FORMAT_JSONSCHEMA_CHECK(ref);
FORMAT_JSONSCHEMA_CHECK(all_of);
FORMAT_JSONSCHEMA_CHECK(any_of);
FORMAT_JSONSCHEMA_CHECK(one_of);
FORMAT_JSONSCHEMA_CHECK(not );
FORMAT_JSONSCHEMA_CHECK(if);
FORMAT_JSONSCHEMA_CHECK(dependencies);
FORMAT_JSONSCHEMA_CHECK(properties);
FORMAT_JSONSCHEMA_CHECK(patterns);
FORMAT_JSONSCHEMA_CHECK(additional);
FORMAT_JSONSCHEMA_CHECK(names);
FORMAT_JSONSCHEMA_CHECK(prefix);
FORMAT_JSONSCHEMA_CHECK(items);
FORMAT_JSONSCHEMA_CHECK(contains);
FORMAT_JSONSCHEMA_CHECK(unevaluated);
FORMAT_JSONSCHEMA_CHECK(type);
FORMAT_JSONSCHEMA_CHECK(enum);
FORMAT_JSONSCHEMA_CHECK(const);
FORMAT_JSONSCHEMA_CHECK(multiple_of);
FORMAT_JSONSCHEMA_CHECK(maximum);
FORMAT_JSONSCHEMA_CHECK(minimum);
FORMAT_JSONSCHEMA_CHECK(length);
FORMAT_JSONSCHEMA_CHECK(item_count);
FORMAT_JSONSCHEMA_CHECK(property_count);
FORMAT_JSONSCHEMA_CHECK(pattern);
FORMAT_JSONSCHEMA_CHECK(unique);
FORMAT_JSONSCHEMA_CHECK(required);
FORMAT_JSONSCHEMA_CHECK(format);
