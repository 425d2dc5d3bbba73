#pragma once

/*
 * Reads a topic over the Kafka protocol as a consumer without a group would, for measuring: from
 * where it ends on, as it is written, or all that it holds. Each connection fetches its share of
 * the partitions, one request under way. Single loop.
 */

#include "cli/broker.h"
#include "flow/batch.h"

struct cli_tap;

struct cli_tap_options {
    struct io_loop *loop;
    const char *address; /* kept by the caller */
    const char *topic;   /* kept by the caller */
    uint32_t connections;
    bool follow; /* from its ends on, until stopped; else from its starts to its ends */
    const struct cli_access *access; /* as cli/broker.h has it */
};

/* What has been read; each only grows. */
struct cli_tap_stats {
    uint64_t records;
    uint64_t bytes; /* of batches, as they were sent */
    uint64_t batches;
    uint64_t first_ns; /* monotonic time of the first fetch */
    uint64_t last_ns;  /* and of the last answer with records */
};

struct cli_tap_events {
    /* It knows from where to read: what is written from here on will be read. */
    void (*ready)(void *owner);
    /* A batch has been read; its CRC fits. */
    void (*batch)(void *owner, const struct flow_batch *batch);
    /* All is read, or it was stopped, or `why` says why not. No callback follows. */
    void (*ended)(void *owner, err_t err, const struct err_text *why);
};

/* Prepares. ERR_MEMORY. */
err_t cli_tap_new(const struct cli_tap_options *options, const struct cli_tap_events *events,
                  void *owner, struct cli_tap **out);
/* Connects and reads. `ended` follows once, not from within. */
void cli_tap_start(struct cli_tap *tap);
/* Ends at once; `ended` follows. Harmless when called twice. */
void cli_tap_stop(struct cli_tap *tap);
const struct cli_tap_stats *cli_tap_stats(const struct cli_tap *tap);
/* Frees one that was never started or has ended. */
void cli_tap_free(struct cli_tap **tap);
