#pragma once

/*
 * Dead letters as JSON: GET /v1/dlq and what is below it. Pure; failures are latched in `out`.
 */

#include "base/buf.h"
#include "flow/letters.h"
#include "flow/snapshot.h"

/* One redrive or purge:
 *   number, action (redrive, purge), dry_run, phase (running, waiting, finished, cancelled,
 *   failed), why (of waiting and failed), started
 *   offsets, offsets_passed   how far it is
 *   matched, done, bytes      letters that the filter lets pass; those redriven or purged
 *   skipped_attempts, skipped_sink
 *   outcomes                  [{"name":"accepted","count":…,"bytes":…},…] */
void admin_dlq_render_state(const struct flow_letters_state *state, struct buf *out);
/* One topic's queue:
 *   topic, held, bytes (of the queue on the disk), oldest (RFC 3339, or null)
 *   redriven, purged, expired
 *   by_reason, by_reason_complete   false: of the first letters alone
 *   last                            what was done last, or null */
void admin_dlq_render_topic(const struct flow_topic_state *dlq, const char *topic,
                            const struct flow_letters_outcomes *reasons, bool complete,
                            const struct flow_letters_state *last, struct buf *out);
/* One letter: offset, reason, detail, stage, source, attempts, received_at, bytes, key, value; the
 * last two as records have them (admin/record.h). */
void admin_dlq_render_letter(const struct flow_letter *letter, struct buf *out);
