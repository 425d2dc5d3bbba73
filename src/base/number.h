#pragma once

/*
 * Numbers that people and peers write. Strict: the whole slice is the number, no space, no sign
 * where none is said.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

err_t number_parse_u64(struct slice text, uint64_t *out);
err_t number_parse_i64(struct slice text, int64_t *out);
/* Hexadecimal without a prefix, 1 to 16 digits. */
err_t number_parse_hex(struct slice text, uint64_t *out);
/* "64MiB", "10GB", "512", "4 KiB": B, kB/KB, MB, GB, TB and KiB, MiB, GiB, TiB; bytes. */
err_t number_parse_size(struct slice text, uint64_t *bytes);
/* "250ms", "60s", "5m", "24h", "7d"; a bare number is refused except 0. Milliseconds. */
err_t number_parse_duration(struct slice text, uint64_t *ms);
/* "64.0 MiB" for people. */
void buf_add_size(struct buf *b, uint64_t bytes);
/* "7d": in the largest unit that `ms` is a whole number of, as number_parse_duration reads it. */
void buf_add_duration(struct buf *b, uint64_t ms);
