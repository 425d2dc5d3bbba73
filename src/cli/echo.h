#pragma once

/*
 * End to end: reads back what a load sends while it sends it, and how long after each request was
 * due its records were there for a consumer. One sample a batch. Single loop.
 */

#include "cli/load.h"
#include "cli/tap.h"

struct cli_echo;

struct cli_echo_options {
    struct io_loop *loop;
    const char *address; /* of a broker, kept by the caller */
    const char *topic;   /* kept by the caller */
    const struct cli_events *events;
    const struct cli_load *load;     /* with `keeps_due` */
    const struct cli_access *access; /* as cli/broker.h has it */
};

struct cli_echo_stats {
    uint64_t records; /* of the run that have come back */
    struct histogram latency;
    uint64_t latency_max_ns;
};

struct cli_echo_events {
    /* It listens: the load may begin. */
    void (*ready)(void *owner);
    /* Stopped, or `why` says why not any more. No callback follows. */
    void (*ended)(void *owner, err_t err, const struct err_text *why);
};

/* Prepares; what is in the options outlives it. ERR_MEMORY. */
err_t cli_echo_new(const struct cli_echo_options *options, const struct cli_echo_events *events,
                   void *owner, struct cli_echo **out);
/* Connects and listens. */
void cli_echo_start(struct cli_echo *echo);
/* Ends at once; `ended` follows. Harmless when called twice. */
void cli_echo_stop(struct cli_echo *echo);
const struct cli_echo_stats *cli_echo_stats(const struct cli_echo *echo);
/* Frees one that was never started or has ended. */
void cli_echo_free(struct cli_echo **echo);
