#pragma once

/*
 * The HTTP intake: POST /v1/topics/{topic}/records, with a JSON value or NDJSON, on as many loops
 * as it is given. It decides what can be decided from a request's head, reserves memory for the
 * body before it is read, hands bodies to the inlet of their loop and says what became of them.
 * It knows nothing of records.
 *
 * Unless said otherwise, functions are called on the thread of the first loop, or while no loop
 * runs.
 */

#include "flow/credit.h"
#include "flow/inlet.h"
#include "flow/status.h"
#include "net/http/server.h"

struct sources_http;

/* One of the loops it runs on, with what belongs to that loop. */
struct sources_http_loop {
    struct io_loop *loop;
    struct flow_inlet *inlet;
    struct flow_credit *credit; /* memory for bodies */
};

struct sources_http_options {
    const char *address; /* "host:port", kept by the caller; port 0 takes a free one */
    const struct sources_http_loop *loops;
    size_t loop_count;
    const char *const *hosts; /* names that a Host may have beside the usual; kept by the caller */
    size_t host_count;
    uint64_t body_max;                    /* bytes; 0: 8 MiB */
    uint64_t credit_wait_ms;              /* in line for memory, then 503; 0: 5000 */
    const struct net_http_limits *limits; /* a loop each; NULL: the defaults */
};

/* Makes it, without listening. */
err_t sources_http_new(const struct sources_http_options *options, struct sources_http **out);
/* Listens and serves. The detail says what to do about an address that cannot be had. */
err_t sources_http_start(struct sources_http *http, struct err_text *why);
/* The port it listens on, host order; after start. */
uint16_t sources_http_port(const struct sources_http *http);
/* Stops listening, finishes requests for up to `deadline_ms`, closes. `stopped` is called once
 * every request has its answer from the inlet. Called once, the loops running. */
void sources_http_stop(struct sources_http *http, uint64_t deadline_ms,
                       void (*stopped)(void *owner), void *owner);
/* Frees what was never started or has stopped. */
void sources_http_free(struct sources_http **http);
/* Metrics over all loops; ready while it listens. Collected from any loop, until free. */
struct flow_exporter *sources_http_exporter(struct sources_http *http);
