#pragma once

/*
 * JSON (RFC 8259, in UTF-8 as of RFC 3629): one validating pass over bytes, which delivers the
 * spans of chosen values on its way. There is no tree: what a caller gets are views into its own
 * text, valid as long as that text is. Nothing is allocated except where said, nothing is kept,
 * and the text is only read. Any thread.
 *
 * What is accepted, beyond the grammar's plain cases:
 *   - numbers of any length and size; they are digits and stay as written;
 *   - duplicate keys; of a chosen path the last value counts;
 *   - any value at the top, with the grammar's white space around it.
 * What is refused, beyond them: nothing at all, a byte order mark, \u escapes that leave half a
 * surrogate pair, and nesting over the caller's limit.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* The deepest nesting that a check can allow, and the intake's default. A scalar has depth 0,
 * [] has depth 1. */
#define FORMAT_JSON_DEPTH_MAX 512
/* The most paths that one check can look for, and the most keys in a path. */
#define FORMAT_JSON_PATHS_MAX 16
#define FORMAT_JSON_PATH_KEYS_MAX 32

enum format_json_kind {
    FORMAT_JSON_MISSING, /* there is no such value */
    FORMAT_JSON_NULL,
    FORMAT_JSON_FALSE,
    FORMAT_JSON_TRUE,
    FORMAT_JSON_NUMBER,
    FORMAT_JSON_STRING,
    FORMAT_JSON_OBJECT,
    FORMAT_JSON_ARRAY,
};

/* A value as it stands in the text: a string with its quotes and escapes, a container with its
 * brackets. A missing one has an empty span. */
struct format_json_value {
    struct slice raw;
    enum format_json_kind kind;
};

/* Where and why a text was refused. The message is static and never holds bytes of the text. */
struct format_json_error {
    const char *message;
    size_t offset; /* bytes from the start of the text */
};

/* Paths to look for, compiled once and then only read; shared by any number of threads. */
struct format_json_paths;

/*
 * Compiles `count` paths (1 to FORMAT_JSON_PATHS_MAX). A path is keys joined by dots ("carrier",
 * "customer.address.city") or, where a key holds a dot or is empty, a JSON Pointer (RFC 6901:
 * "/a.b/c", with ~0 for ~ and ~1 for /). Paths go through objects only: they never select an
 * array's element. Two paths may be the same, or one may lead through another's value.
 * ERR_INVALID with a detail for a path that is empty, has an empty key between dots, a wrong ~
 * or too many keys, and for text that is not UTF-8; ERR_MEMORY. `*out` is freed with
 * format_json_paths_free.
 */
err_t format_json_paths_new(const char *const *texts, size_t count, struct format_json_paths **out,
                            struct err_text *why);
/* Frees and clears `*paths`; NULL in it is fine. */
void format_json_paths_free(struct format_json_paths **paths);
/* How many paths were compiled: the size that `found` must have. */
size_t format_json_paths_count(const struct format_json_paths *paths);

/*
 * Checks that all of `text` is one value, at the most `depth_max` deep (1 to
 * FORMAT_JSON_DEPTH_MAX). With `paths`, `found` gets a value for each, in their order; both may
 * be NULL together. ERR_SYNTAX or ERR_TOO_DEEP tells in `why` (may be NULL) where and why; then
 * `found` holds nothing of use.
 */
err_t format_json_check(struct slice text, const struct format_json_paths *paths,
                        uint32_t depth_max, struct format_json_value *found,
                        struct format_json_error *why);
/* The same for a value at the front of `text`, after white space; what follows it is not looked
 * at, except that a number takes all digits that stand together. `*size` is where the value ends,
 * from the start of `text`. */
err_t format_json_scan(struct slice text, const struct format_json_paths *paths, uint32_t depth_max,
                       struct format_json_value *found, size_t *size,
                       struct format_json_error *why);
/* What the first byte that is not white space announces, without checking more; missing where
 * no value begins like that. */
enum format_json_kind format_json_peek(struct slice text);

/* Writes "byte 17: expected ':' after a key" as detail and returns `err`, for
 * `return format_json_explain(err, &e, why)`. `why` may be NULL. */
err_t format_json_explain(err_t err, const struct format_json_error *e, struct err_text *why);

/* Looks `key` (unescaped) up in `object`, which is all of a text. ERR_SYNTAX or ERR_TOO_DEEP when
 * the text is refused; otherwise `out` is the value under the key, missing where there is none or
 * the text is no object. Meant for responses and other small texts: it reads all of it. */
err_t format_json_get(struct slice object, const char *key, struct format_json_value *out);

/* Appends the characters of a string to `out` as UTF-8, unescaped. `raw` is a value of kind
 * string as a check gave it, with its quotes. The failures of `out`: ERR_MEMORY, ERR_TOO_LARGE. */
err_t format_json_string_decode(struct slice raw, struct buf *out);
