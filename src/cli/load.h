#pragma once

/*
 * Load on an intake: a number of connections, each with one request under way, and the accounts of
 * what was answered. A request that got no answer, or one that says to come back later, is sent
 * again byte by byte until it is answered; what is not known goes to the list of acknowledgements.
 * Everything runs on one loop.
 */

#include "base/metric.h"
#include "cli/acks.h"
#include "cli/carrier.h"
#include "io/loop.h"

#define CLI_LOAD_STATUS_MAX 600u

struct cli_load;

struct cli_load_options {
    struct io_loop *loop;
    struct cli_carrier *carrier; /* what brings requests to the server; outlives the load */
    const char *address;         /* of the server, for messages */
    const struct cli_events *events;
    struct cli_acks *acks; /* kept up to date; grown as records are sent where `keeps_acks` */
    bool keeps_acks;
    uint32_t connections;        /* channels of the carrier, and requests under way at once */
    uint64_t count;              /* records to send; 0: until cli_load_stop */
    uint64_t rate;               /* records a second; 0: as fast as it goes */
    struct cli_share duplicates; /* of what is sent: records that were sent before */
    uint64_t seed;
    bool retry;
    bool numbered;  /* each connection is a producer that numbers its requests; with `retry`, and
                       without `duplicates` */
    bool keeps_due; /* for cli_load_due_ns; without `duplicates` */
    bool waits_for_server; /* a connection refused at the very start is no failure */
    uint64_t timeout_ms;   /* for one answer; then its connection is given up */
    uint64_t patience_ms;  /* without any answer; then all is given up */
};

/* Counts since the start; each only grows. */
struct cli_load_stats {
    uint64_t sent;     /* records, each counted once however often its request was sent */
    uint64_t again;    /* records sent on purpose though they had been sent before */
    uint64_t given_up; /* records whose request was sent no more without a good answer */
    uint64_t accepted;
    uint64_t duplicates;
    uint64_t dead_lettered;
    uint64_t refused;
    uint64_t requests; /* answered with counts */
    uint64_t bytes;    /* of their bodies */
    uint64_t lost;    /* sendings without an answer, or with one that says the outcome is unknown */
    uint64_t retries; /* sendings of a request beyond its first */
    uint64_t timeouts;                      /* of `lost`: those that were given up */
    uint64_t wrong;                         /* answers that do not add up to their request */
    uint64_t statuses[CLI_LOAD_STATUS_MAX]; /* answers by status */
    struct histogram latency; /* from when a request was due to its answer, retries included */
    uint64_t latency_max_ns;
    uint64_t answered_ns; /* monotonic time of the last answer with counts, 0 before the first */
};

/* Prepares; sends nothing. ERR_MEMORY. */
err_t cli_load_new(const struct cli_load_options *options, struct cli_load **out);
/* Connects and begins. `ended` is called once, on the loop, when every record has its outcome or
 * the load was given up; nothing is under way then. An error has a detail: ERR_CLOSED and the like
 * when there is no server, ERR_INVALID when the server refused a request for good, ERR_TIMEOUT
 * when there was no answer for too long. */
void cli_load_start(struct cli_load *load,
                    void (*ended)(void *owner, err_t err, const struct err_text *why), void *owner);
/* Sends no further records; those under way get their outcome. Harmless when called twice. */
void cli_load_stop(struct cli_load *load);
/* Gives up at once; `ended` follows with ERR_CANCELLED. Harmless when it has ended. */
void cli_load_cancel(struct cli_load *load);
const struct cli_load_stats *cli_load_stats(const struct cli_load *load);
/* When the request was due that a record was sent in, in monotonic time; 0 for one of long ago. */
uint64_t cli_load_due_ns(const struct cli_load *load, uint64_t sequence);
/* Frees one that was never started or has ended. */
void cli_load_free(struct cli_load **load);
