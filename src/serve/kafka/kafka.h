#pragma once

/*
 * The Kafka door: the Kafka protocol over the log, for clients that were made for Kafka. One
 * broker, which leads every partition. A connection is one session, served on one loop; requests
 * are taken as they come and answered in their order.
 *
 * Unless said otherwise, functions are called on the thread of the first loop, or while no loop
 * runs.
 */

#include "control/auth/users.h"
#include "flow/credit.h"
#include "flow/inlet.h"
#include "flow/log.h"
#include "flow/status.h"
#include "flow/topics.h"
#include "net/kafka/server.h"
#include "net/tls/tls.h"

struct serve_kafka;

/* One of the loops it runs on, with what belongs to that loop. */
struct serve_kafka_loop {
    struct io_loop *loop;
    struct flow_inlet *inlet;
    struct flow_credit *credit; /* memory for requests */
    uint64_t fetch_bytes_max;   /* for answers to fetches that the peers have not taken; as much for
                                   large requests, an eighth of it for fetch sessions */
    struct net_tls_loop *tls;   /* sockets speak TLS there; NULL: they do not */
};

struct serve_kafka_options {
    const char *address;    /* "host:port", kept by the caller; port 0 takes a free one */
    const char *advertised; /* the same as clients reach it, kept by the caller; NULL: `address` */
    struct flow_log *log;
    struct flow_topics *topics; /* for whoever makes, changes and deletes topics */
    bool auto_create;           /* topics that are asked for and not there are made */
    uint32_t partitions;        /* of topics that are made without saying how many; 0: 1 */
    const struct serve_kafka_loop *loops;
    size_t loop_count;
    size_t
        message_bytes_max; /* a larger batch is refused; 0: 1048588, as Kafka's message.max.bytes */
    const struct net_kafka_limits *limits; /* a loop each; NULL: the defaults */
    /* Whom it serves; NULL: everybody, unasked. Lives until serve_kafka_use_users on every loop. */
    const struct control_auth_users *users;
    bool plain; /* clients may send passwords as they are: nobody else can read them */
};

/* Makes it, without listening. ERR_MEMORY. */
err_t serve_kafka_new(const struct serve_kafka_options *options, struct serve_kafka **out);
/* Listens and serves. The detail says what to do about an address that cannot be had. */
err_t serve_kafka_start(struct serve_kafka *kafka, struct err_text *why);
/* The port it listens on, host order; after start. */
uint16_t serve_kafka_port(const struct serve_kafka *kafka);
/* Stops listening, answers what is there for up to `deadline_ms`, closes. `stopped` is called once
 * every request has its answer from the log. Called once, the loops running. */
void serve_kafka_stop(struct serve_kafka *kafka, uint64_t deadline_ms, void (*stopped)(void *owner),
                      void *owner);
/* Frees what was never started or has stopped. */
void serve_kafka_free(struct serve_kafka **kafka);
/* Other users for those who authenticate from here on; who has done so goes on. On the thread of
 * the loop of that number, between start and free; `users` lives until the next call there, and
 * there must have been some from the beginning. */
void serve_kafka_use_users(struct serve_kafka *kafka, size_t loop,
                           const struct control_auth_users *users);
/* Metrics over all loops; ready while it listens. Collected from any loop, until free. */
struct flow_exporter *serve_kafka_exporter(struct serve_kafka *kafka);
