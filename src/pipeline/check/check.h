#pragma once

/*
 * The check: what stands behind the doors and before the log. It splits a request's body into
 * records, checks each in one pass, takes key and event time on the way, and gathers all requests
 * of one turn of its loop into one commit. A request is wholly in one commit; a record's outcome
 * never depends on its neighbours.
 *
 *   accepted       appended to its topic: the record's bytes as sent, without white space around
 *   dead-lettered  appended to the topic's DLQ: its bytes as sent, and headers that say why
 *   duplicate      only counted: the log has a record with the same idempotency key
 *   refused        only counted and told (contracts with `on_invalid: reject`, or a full DLQ)
 *
 * Reasons are "json" (malformed, not UTF-8, nested too deep), "oversize", "schema" (not what the
 * contract's schema allows, or equal keys), "complexity" (more work to check than a record is
 * given; format/jsonschema), and "dlq_full" for what
 * would have been a dead letter. Fullness is learned from a snapshot of the log, about once a
 * second while broken records come and never otherwise: what comes in until the first one, or
 * within that second, passes the cap.
 *
 * An actor on one loop, one instance a loop; new and free run while the loop has nothing to do for
 * it.
 */

#include "flow/inlet.h"
#include "flow/log.h"
#include "flow/status.h"
#include "io/loop.h"

/* A commit this large is handed over at once. */
#define PIPELINE_CHECK_COMMIT_TARGET (1u << 20)

struct pipeline_check;
struct format_jsonschema;

enum pipeline_check_on_invalid { PIPELINE_CHECK_DEAD_LETTER, PIPELINE_CHECK_REJECT };

/* A topic that takes records, with what its contract says. Copied. */
struct pipeline_check_topic {
    const char *name;
    uint32_t topic_id;
    uint32_t dlq_id; /* the topic of its dead letters, which go to partition 0 */
    uint32_t partition_count;
    enum pipeline_check_on_invalid on_invalid;
    const char *key;          /* path (format/json); NULL: records have no key */
    const char *event_time;   /* path; NULL: time of arrival */
    const char *dedup;        /* path of the idempotency key; NULL: records have none */
    struct uuid dedup_secret; /* what fingerprints of keys are made with */
    struct uuid uuid;         /* of the topic: what requests that count once are named with */
    uint64_t dlq_size_max;    /* bytes that the DLQ holds at which it takes no more from here; 0: it
                                 always does */
    uint32_t batch_bytes_max; /* of a batch that a producer has built; a larger one is
                                 ERR_TOO_LARGE. 0: any size */
    const struct format_jsonschema *schema; /* lives as long as it is in force; NULL: any JSON */
};

struct pipeline_check_options {
    struct io_loop *loop;
    struct flow_log *log;
    const struct pipeline_check_topic *topics;
    size_t topic_count;
    uint64_t record_size_max;  /* a larger one is "oversize"; 0: 1 MiB */
    uint64_t request_size_max; /* what one request may grow to in batches; more is ERR_TOO_LARGE.
                                  Dead letters carry headers, so a body of short broken lines
                                  grows to many times its size. 0: 64 MiB */
    uint64_t memory_bytes;     /* batches in commits without an answer; a request that comes when
                                  they hold as much gets ERR_BUSY. 0: 256 MiB */
};

/*
 * Makes the inlet. ERR_INVALID, with a detail that names the topic, for a path that does not
 * compile, a name that is there twice, no partitions; ERR_MEMORY.
 *
 * Its answers, beside the log's errors: ERR_INVALID for a JSON body without any value (nothing
 * but white space); ERR_TOO_LARGE, ERR_BUSY and ERR_MEMORY, with which nothing of the request is
 * committed. An NDJSON body without a record is OK with zeros. Answers come in the order of
 * hand-over, over all topics.
 */
err_t pipeline_check_new(const struct pipeline_check_options *options, struct pipeline_check **out,
                         struct err_text *why);
/* Asks the log nothing more by itself, so that it can be stopped. On the check's loop, once, when
 * no request will come any more. What was asked before comes back to the loop: it has to run until
 * the log has stopped. A check that never saw a request need not be stopped. */
void pipeline_check_stop(struct pipeline_check *check);
/* Frees it. Every request and every question to the log has been answered. */
void pipeline_check_free(struct pipeline_check **check);
/* What sources hand requests to. */
struct flow_inlet *pipeline_check_inlet(struct pipeline_check *check);

/*
 * Other contracts for a check that is at work. Made whole on any one thread while no other update
 * is under way, and then applied on the check's loop, where nothing can fail: a request that is
 * handed over later is judged by the new contracts, one that was handed over before is not touched.
 * A topic that is not among them takes nothing more; its place and its counters stay. All checks
 * get the same updates in the same order.
 */
struct pipeline_check_update;
/* `loop` is the caller's. Errors are those of pipeline_check_new. */
err_t pipeline_check_update_new(struct pipeline_check *check, struct io_loop *loop,
                                const struct pipeline_check_topic *topics, size_t topic_count,
                                struct pipeline_check_update **out, struct err_text *why);
/* On the check's loop, in a turn of its own. Afterwards what the old contracts pointed to is not
 * used by this check any more. */
void pipeline_check_update_apply(struct pipeline_check *check,
                                 struct pipeline_check_update *update);
/* Frees it, applied or not, on any thread; NULL in it is fine. */
void pipeline_check_update_free(struct pipeline_check_update **update);

/* The metrics of the checks of all loops as one: records and their bytes by topic and outcome,
 * full DLQs, duration and failures of commits, bytes under way. The checks have the same topics.
 * Any thread may collect; it must be freed before the checks, with no collection under way. */
err_t pipeline_check_exporter_new(struct pipeline_check *const *checks, size_t count,
                                  struct flow_exporter **out);
void pipeline_check_exporter_free(struct flow_exporter **exporter);
