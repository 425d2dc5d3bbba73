#pragma once

/*
 * The translation of ECMA-262's patterns (22.2.1, with the `u` flag) into PCRE2's. Pure; any
 * thread.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Appends to `out` what PCRE2 understands as ECMA-262 understands `pattern`, which is UTF-8. What
 * is no pattern is refused here as far as PCRE2 would take it for something; unbalanced brackets
 * and the like are left for it to find. ERR_INVALID with a detail, ERR_MEMORY. */
err_t format_jsonschema_ecma_translate(struct slice pattern, struct buf *out, struct err_text *why);
