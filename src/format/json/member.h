#pragma once

/*
 * Bytes of a stranger as a member of an object, on one line, whatever they are: as they stand, or
 * in base64 under a name that says so. Failures are latched in `out`. Any thread.
 */

#include "base/buf.h"

/* Appends "name":"text", or "name_base64":"…" where it is not UTF-8, or "name":null without
 * data. */
void format_json_add_text(struct buf *out, const char *name, struct slice text);
/* Appends "name":value where it is JSON itself (line ends between its tokens become spaces),
 * "name_base64":"…" where it is anything else, or "name":null without data. */
void format_json_add_value(struct buf *out, const char *name, struct slice value);
