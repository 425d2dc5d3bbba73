#pragma once

/*
 * Retention: what is older or more than a topic keeps goes, segment by segment. It is a commit like
 * any other (LOG_START entries), so that readers, sinks and the ledger see it happen at one
 * moment; the files are removed after it is durable. What a sink has not delivered is held, unless
 * the topic says otherwise. Belongs to the sequencer's loop.
 */

#include "flow/commit.h"
#include "io/loop.h"

struct log;

#define LOG_RETENTION_CHANGES 256u

struct log_retention {
    struct io_timer timer;
    struct flow_commit commit;
    struct flow_topic_change changes[LOG_RETENTION_CHANGES];
    bool committing;
    uint64_t expired_total; /* records */
};

void log_retention_init(struct log *log);
/* Begins to look, now and every few seconds from here on. */
void log_retention_start(struct log *log);
void log_retention_stop(struct log *log);
