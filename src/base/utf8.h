#pragma once

/*
 * UTF-8 (RFC 3629): no surrogates, nothing over U+10FFFF, no overlong forms.
 */

#include "base/slice.h"

/* True when all of `s` is UTF-8. */
bool utf8_valid(struct slice s);
/* Bytes at the front of `s` that are UTF-8. */
size_t utf8_valid_prefix(struct slice s);
/* Writes `code_point` to `out` and returns 1 to 4; 0 for a surrogate or what is over U+10FFFF. */
size_t utf8_encode(uint32_t code_point, uint8_t out[static 4]);
