#pragma once

/*
 * Dead letters of sinks: a record that a sink refused, as it goes to the DLQ of its topic. Key,
 * value, event time and headers are the record's own; before its headers come
 *
 *   garner.reason       what the plug-in said: a stable code, mostly `sink`
 *   garner.detail       for a person
 *   garner.stage        `sink:<name>`: where a redrive sends it
 *   garner.source       `sink`
 *   garner.attempts     how often the sink was tried with the epoch that held it
 *   garner.received_at  RFC 3339: when the sink refused it
 *   garner.topic, garner.partition, garner.offset   which record it is
 */

#include "flow/batch.h"
#include "sinks/sinks.h"

struct sinks_letter {
    const char *sink;
    const char *topic;
    uint32_t partition;
    uint32_t attempts;
    int64_t wall_ms;
};

/* Adds the dead letter of `record`. ERR_MEMORY or ERR_TOO_LARGE leaves `letters` as it was. */
err_t sinks_letter_add(struct flow_batch_builder *letters, const struct sinks_letter *about,
                       const struct flow_record *record, const struct sinks_refusal *refusal);
