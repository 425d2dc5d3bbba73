#pragma once

/*
 * The ledger as JSON: GET /v1/ledger. Pure.
 */

#include "base/buf.h"
#include "flow/snapshot.h"

/* Appends {"balanced":…,"topics":{…},"dlq":{…},"sinks":{…}} without a line end. */
void admin_ledger_render(const struct flow_snapshot *snapshot, struct buf *out);
