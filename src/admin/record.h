#pragma once

/*
 * A record as a line of JSON, whatever its bytes are: what people and scripts see of the log.
 * Pure; any thread.
 */

#include "base/buf.h"
#include "base/slice.h"
#include "flow/record.h"

/* Appends "headers":[…], or "headers_base64":"…", as below. */
void admin_record_add_headers(struct buf *out, const struct flow_record *record);
/*
 * Appends {"topic":…,"partition":…,"offset":…,"timestamp":…,"key":…,"value":…,"headers":[…]} on one
 * line, without a line end. The timestamp is in milliseconds since 1970.
 *
 * The value stands as it is when it is JSON itself (line ends between its tokens become spaces),
 * as "value_base64" when it is anything else. Key, and names and values of headers, are strings
 * when they are UTF-8, else "key_base64" and "value_base64". What a record does not have is null.
 * A header is {"key":…,"value":…}; where the record's headers are malformed, "headers_base64" has
 * them as they are stored. Failures are latched in `out`.
 */
void admin_record_render(struct buf *out, struct slice topic, uint32_t partition,
                         const struct flow_record *record);
