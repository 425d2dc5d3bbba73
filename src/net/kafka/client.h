#pragma once

/*
 * One client connection of the Kafka protocol on a loop, for the commands that talk to a broker:
 * requests sent one behind the other, up to a number under way at once, and their answers in that
 * order, as the protocol promises. It knows frames and headers; what a message says is its owner's.
 * Reconnecting is the owner's too: free it after `closed`, make another. Single loop.
 */

#include "io/tcp.h"
#include "proto/kafka/codec.h"

struct net_kafka_client;

/* The answer to a request: its message, behind the header, in the request's api and version. Views
 * are valid during the call. */
struct net_kafka_client_answer {
    const struct proto_kafka_api *api;
    int16_t version;
    void *tag; /* the request's */
    struct slice message;
};

/* All run on the loop, never inside a call to this header. */
struct net_kafka_client_events {
    /* Connected and ready to send; not called when connecting fails (`closed` is). */
    void (*ready)(void *owner);
    /* The answer to the oldest request under way. The next may be sent from here. */
    void (*answer)(void *owner, const struct net_kafka_client_answer *answer);
    /* The connection is gone: OK after net_kafka_client_close, ERR_CLOSED when the peer closed it,
     * ERR_SYNTAX for bytes that answer nothing (an id that was not sent, a size below a header's),
     * ERR_TOO_LARGE for an answer over the cap, or what the system said. Requests without their
     * answer get none: their outcome is not known. The owner frees the client here or later. */
    void (*closed)(void *owner, err_t err);
};

struct net_kafka_client_options {
    struct io_loop *loop;
    const char *address;   /* "host:port" */
    const char *client_id; /* what the broker may log us as; kept by the caller */
    size_t answer_size_max;
    uint32_t in_flight_max; /* requests under way at once; over 0 */
};

err_t net_kafka_client_new(const struct net_kafka_client_options *options,
                           const struct net_kafka_client_events *events, void *owner,
                           struct net_kafka_client **out, struct err_text *why);
/* True while another request may be sent. */
bool net_kafka_client_has_room(const struct net_kafka_client *client);
/* Sends a request of `api` in `version`, its message already encoded in `parts`, 14 at the most;
 * there is room. `silent`: there will be no answer, and it takes no room. An error closes the
 * connection. */
err_t net_kafka_client_send(struct net_kafka_client *client, const struct proto_kafka_api *api,
                            int16_t version, const struct slice *parts, size_t count, bool silent,
                            void *tag);
/* Closes at once; `closed` follows. Harmless when called twice. */
void net_kafka_client_close(struct net_kafka_client *client);
/* Frees a client whose `closed` was called. */
void net_kafka_client_free(struct net_kafka_client **client);
