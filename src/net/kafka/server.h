#pragma once

/*
 * The server side of Kafka's framing on one loop: connections given to it, requests taken off them
 * (four bytes of size, then the request), answers sent back in the order of the requests, as
 * clients rely on. No meaning: what a request says is its handler's. One server a loop
 * (net/listener.h spreads sockets over them); everything here runs on that loop, except new and
 * free, which run on any thread while the loop has no work for the server.
 *
 * A request's life. Its size has come: on_size decides whether there is memory for it, that it
 * waits until net_kafka_request_start, the connection not being read meanwhile, or that it is too
 * much for who asks, which is the end of the connection. Then exactly one of
 * on_request, with all of its bytes, and on_abort follows. After on_request the handler ends it
 * with one of net_kafka_reply, its kin and net_kafka_refuse, in that callback or any
 * later one of the loop, in any order over requests, also when the peer has gone in the meantime
 * (on_gone says so). Until then the request and its bytes live.
 */

#include "base/buf.h"
#include "net/server.h"

struct net_kafka_server;
struct net_kafka_request;

/* Limits; times in milliseconds. See net_kafka_limits_init for the defaults. */
struct net_kafka_limits {
    struct net_limits net;     /* what is over them is closed; idle_ms as connections.max.idle.ms */
    uint32_t request_size_max; /* 100 MiB, as Kafka's socket.request.max.bytes; over it: closed */
    size_t held_bytes_max;     /* 4 MiB: read behind requests that have to wait, over all
                                  connections; then little is read at a time */
};

/* Sets the defaults. */
void net_kafka_limits_init(struct net_kafka_limits *limits);

enum net_kafka_intake { NET_KAFKA_READ, NET_KAFKA_WAIT, NET_KAFKA_REFUSE };

struct net_kafka_handler {
    /* Bytes of the handler's own, zeroed: in every connection (net_kafka_request_session) and in
     * every request (net_kafka_request_state). */
    size_t session_size;
    size_t state_size;
    /* A request of `size` bytes begins. REFUSE: the connection ends as after net_kafka_refuse, and
     * on_abort follows. */
    enum net_kafka_intake (*on_size)(void *owner, struct net_kafka_request *request, uint32_t size);
    void (*on_request)(void *owner, struct net_kafka_request *request, struct slice bytes);
    /* True while somebody waits for memory that requests hold: then slow ones have to go. NULL
     * where nobody ever does. */
    bool (*is_pressed)(void *owner);
    /* The rest will not come: the handler lets go of what on_size took. No reply. */
    void (*on_abort)(void *owner, struct net_kafka_request *request);
    /* The peer of a request that is not answered has gone: nobody will read the answer. */
    void (*on_gone)(void *owner, struct net_kafka_request *request);
    /* A connection is over, and so are all its requests. */
    void (*on_close)(void *owner, void *session);
};

/* What a server counts; each only grows, except connections_open and bytes_unsent. */
struct net_kafka_counters {
    struct net_counters net;
    uint64_t refused; /* connections ended for what they sent */
    uint64_t requests;
    uint64_t bytes_unsent; /* answers that the peers have not taken: not growing only */
};

/* Adds `from` to `into`. */
void net_kafka_counters_merge(struct net_kafka_counters *into,
                              const struct net_kafka_counters *from);

/* A server without connections. `limits` NULL takes the defaults. The handler is constant; all of
 * its callbacks but is_pressed are there. ERR_MEMORY. */
err_t net_kafka_server_new(struct io_loop *loop, const struct net_kafka_limits *limits,
                           const struct net_kafka_handler *handler, void *owner,
                           struct net_kafka_server **out);
/* Frees a server that was stopped or never given a socket. */
void net_kafka_server_free(struct net_kafka_server **server);
/* Takes a socket and serves it; it is closed here when it cannot be served. */
void net_kafka_server_adopt(struct net_kafka_server *server, struct io_socket socket);
/* Ends: nothing more is read, requests that are there are answered for up to `deadline_ms`, then
 * all connections close. `stopped` is called once, when no connection and no request is left: the
 * handler has to end those that it has. */
void net_kafka_server_stop(struct net_kafka_server *server, uint64_t deadline_ms,
                           void (*stopped)(void *owner), void *owner);
const struct net_kafka_counters *net_kafka_server_counters(const struct net_kafka_server *server);

/* The handler's bytes, aligned for any type. */
void *net_kafka_request_state(struct net_kafka_request *request);
void *net_kafka_request_session(struct net_kafka_request *request);
/* The address of who has sent it, as text without a port; "": not known. Lives as the request. */
const char *net_kafka_request_peer(const struct net_kafka_request *request);
/* True once the peer has gone: the answer will be dropped. */
bool net_kafka_request_gone(const struct net_kafka_request *request);
/* Ends a wait: the request is read. on_request does not run inside. */
void net_kafka_request_start(struct net_kafka_request *request);

/* Answers with the content of `answer`, which is taken over and left empty; the size in front is
 * put there here, also where it is 0. An answer that failed (buf_ok) closes the connection. The
 * request is no longer the caller's, as after the others. */
void net_kafka_reply(struct net_kafka_request *request, struct buf *answer);
/* Bytes of an answer that stay where they are until they are sent. */
struct net_kafka_piece {
    size_t at; /* it stands in front of this byte of the answer; no lower than the one before */
    struct slice bytes;
};
/* All of those of an answer, and what they lie in. From the reply on the request's, until `release`
 * is called once, on the loop: they were sent, or will not be. */
struct net_kafka_body {
    const struct net_kafka_piece *pieces;
    size_t count;
    size_t size;           /* of the pieces together */
    uint64_t memory_bytes; /* that they take */
    void (*release)(struct net_kafka_body *body);
};
/* The same as net_kafka_reply, with more than the bytes in `answer`. */
void net_kafka_reply_body(struct net_kafka_request *request, struct buf *answer,
                          struct net_kafka_body *body);
/* The same, and the connection closes behind it; nothing after this request is answered. */
void net_kafka_reply_last(struct net_kafka_request *request, struct buf *answer);
/* There is no answer to this one (a produce request with acks=0). */
void net_kafka_reply_none(struct net_kafka_request *request);
/* What it says is not the protocol, or must not be answered: the connection closes once the answers
 * owed before it are sent. */
void net_kafka_refuse(struct net_kafka_request *request);
