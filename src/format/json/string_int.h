#pragma once

/*
 * Escapes in strings, for the scanner, for keys and for decoding. Pure; any thread.
 */

#include "base/slice.h"

/* Reads the escape whose backslash is at `at` (RFC 8259 section 7): returns the byte behind it and
 * sets `*code_point`, which is never a surrogate. NULL when it is none, with a static `*message`.
 */
const uint8_t *format_json_escape(const uint8_t *at, const uint8_t *end, uint32_t *code_point,
                                  const char **message);
/* True when `raw`, the valid inside of a string between its quotes, stands for the characters of
 * `key`. */
bool format_json_string_equal(struct slice raw, struct slice key);
