#pragma once

/*
 * Base64 (RFC 4648 section 4): the standard alphabet, padded, on one line. Pure; any thread.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Appends the text of `bytes`. */
void buf_add_base64(struct buf *b, struct slice bytes);
/* Appends the bytes that `text` stands for to `out`. ERR_SYNTAX for anything that buf_add_base64
 * would not write: another letter, white space, missing padding, bits that are set and mean
 * nothing; nothing is appended then. Else the failures of `out`: ERR_MEMORY, ERR_TOO_LARGE. */
err_t base64_decode(struct slice text, struct buf *out);
