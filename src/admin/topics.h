#pragma once

/*
 * Topics as JSON: GET /v1/topics and /v1/topics/{topic}. Pure.
 */

#include "base/buf.h"
#include "control/catalog/catalog.h"
#include "flow/snapshot.h"

/* Appends {"topics":[…]}, a topic a line, in the order of the snapshot, without a line end. */
void admin_topics_render(const struct flow_snapshot *snapshot,
                         const struct control_catalog *catalog, struct buf *out);
/*
 * Appends one topic:
 *   name, uuid, contract (it has one, so it cannot be deleted)
 *   dlq_of, dlq       the topic whose dead letters these are; the topic of this one's; or null
 *   partition_count
 *   offsets           how many are held: end minus start, added up; no record need stand at each
 *   sealed_bytes, wal_bytes   of its segments, and of what is in the write-ahead log alone
 *   retention_ms, retention_bytes, expire_undelivered, compression; 0: without a limit
 *   batch_bytes       the largest batch of a Kafka producer
 *   partitions        with partition, start_offset and end_offset each
 */
void admin_topic_render(const struct flow_snapshot *snapshot, const struct control_catalog *catalog,
                        const struct flow_topic_state *topic, struct buf *out);
/* The DLQ of `topic`, or NULL. */
const struct flow_topic_state *admin_topics_dlq(const struct flow_snapshot *snapshot,
                                                const struct flow_topic_state *topic);
/* True when the configuration declares the topic, or the one whose dead letters it holds: the next
 * start would make it again. */
bool admin_topics_declared(const struct flow_snapshot *snapshot,
                           const struct control_catalog *catalog,
                           const struct flow_topic_state *topic);
