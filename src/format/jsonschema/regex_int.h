#pragma once

/*
 * Patterns in the dialect of ECMA-262 with its `u` flag, run by PCRE2 (10.40 or later). This
 * header owns that library: nobody else includes it.
 *
 * A pattern is translated first, since the two dialects differ: what \s, `.` and \p{Letter} mean,
 * where $ matches, and all that PCRE2 knows beyond ECMA (inline flags, verbs, possessive
 * quantifiers, \A), which is refused. As browsers do, punctuation may be escaped without need, and
 * braces that are no quantifier stand for themselves. Of lookbehinds only those of a fixed length
 * are served.
 *
 * A regex is immutable and shared by threads; a matcher belongs to one.
 */

#include "base/err.h"
#include "base/slice.h"
#include "format/jsonschema/budget_int.h"

/* The longest pattern, in bytes. */
#define FORMAT_JSONSCHEMA_PATTERN_SIZE_MAX 16384

struct format_jsonschema_regex;
struct format_jsonschema_matcher;

/* Compiles; ERR_INVALID with the reason, ERR_MEMORY. Without `run` it only looks whether the
 * pattern is one, and `*out` stays as it is. */
err_t format_jsonschema_regex_new(struct slice pattern, bool run,
                                  struct format_jsonschema_regex **out, struct err_text *why);
/* Frees and clears `*regex`; NULL in it is fine. */
void format_jsonschema_regex_free(struct format_jsonschema_regex **regex);

err_t format_jsonschema_matcher_new(struct format_jsonschema_matcher **out);
/* Frees and clears `*matcher`; NULL in it is fine. */
void format_jsonschema_matcher_free(struct format_jsonschema_matcher **matcher);

/*
 * Sets `*found` to whether `regex` matches anywhere in `subject`, which is UTF-8. Spends steps by
 * the size of the subject, with its square where the pattern may begin anywhere, and many more
 * where it has to go back and forth. ERR_TOO_LARGE when the steps or PCRE2's own limits are used
 * up, ERR_MEMORY.
 */
err_t format_jsonschema_regex_match(const struct format_jsonschema_regex *regex,
                                    struct format_jsonschema_matcher *matcher, struct slice subject,
                                    struct format_jsonschema_budget *budget, bool *found);
