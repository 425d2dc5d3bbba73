#pragma once

/*
 * The server side of HTTP/1.1 on one loop: connections given to it, requests taken off them,
 * answers sent back in order. No meaning: what a request is about is its handler's. One server a
 * loop (net/listener.h spreads sockets over them); everything here runs on that loop, except
 * new and free, which run on any thread while the loop has no work for the server.
 *
 * A request's life. on_head decides: ACCEPT reads the body, WAIT stops reading until
 * net_http_body_start, ANSWERED says that net_http_reply was called. After ACCEPT or WAIT exactly
 * one of on_body and on_abort follows, unless net_http_reply is called while it waits. After
 * on_body the handler calls net_http_reply once, in that callback or any later one of the loop,
 * in any order over requests, also when the peer has gone in the meantime (the answer is then
 * dropped). The request lives until it is replied to or aborted.
 */

#include "base/metric.h"
#include "net/http/head.h"
#include "net/server.h"

struct net_http_server;
struct net_http_request;

/* Limits; times in milliseconds. See net_http_limits_init for the defaults. */
struct net_http_limits {
    struct net_limits net; /* over connections_max: 503 and close; a slow body: 408 */
    size_t held_bytes_max; /* 32 MiB: read but not yet parsed, over all connections; then 503 */
    size_t skip_bytes_max; /* 64 KiB: read and dropped behind an early answer; then not read */
    uint64_t head_ms;      /* 10000 from a head's first byte to its last; then 408 */
    uint64_t linger_ms;    /* 1000 for the peer to read a last answer; then close */
};

/* Sets the defaults. */
void net_http_limits_init(struct net_http_limits *limits);

enum net_http_verdict { NET_HTTP_ACCEPT, NET_HTTP_WAIT, NET_HTTP_ANSWERED };

struct net_http_handler {
    /* Bytes of the handler's own in every request, zeroed: net_http_request_state. */
    size_t state_size;
    /* A head has come; `head` is valid during the call only. The body's limit is set here with
     * net_http_request_limit before ACCEPT or WAIT; without, a body is 413. */
    enum net_http_verdict (*on_head)(void *owner, struct net_http_request *request,
                                     const struct net_http_head *head);
    /* The whole body, empty without one; valid during the call only. */
    void (*on_body)(void *owner, struct net_http_request *request, struct slice body);
    /* The body will not come: the handler lets go of what the request holds. No reply. May be
     * NULL where on_head holds nothing. */
    void (*on_abort)(void *owner, struct net_http_request *request);
    /* True while somebody waits for memory that bodies hold: then slow ones have to go. NULL where
     * nobody ever does. */
    bool (*is_pressed)(void *owner);
};

#define NET_HTTP_STATUS_MIN 100
#define NET_HTTP_STATUS_COUNT 500

/* What a server counts; each only grows, except connections_open. Idleness is no timeout. */
struct net_http_counters {
    struct net_counters net;
    uint64_t aborted; /* requests whose peer went before their body was whole */
    /* Answers by status, and those of them given before the request was read whole. */
    uint64_t responses[NET_HTTP_STATUS_COUNT]; /* index: status - NET_HTTP_STATUS_MIN */
    uint64_t refused[NET_HTTP_STATUS_COUNT];
    struct histogram duration; /* head whole to answer given, of requests read whole */
};

/* Adds `from` to `into`. */
void net_http_counters_merge(struct net_http_counters *into, const struct net_http_counters *from);

/* A server without connections. `limits` NULL takes the defaults. The handler is constant. */
err_t net_http_server_new(struct io_loop *loop, const struct net_http_limits *limits,
                          const struct net_http_handler *handler, void *owner,
                          struct net_http_server **out);
/* Frees a server that was stopped or never given a socket. */
void net_http_server_free(struct net_http_server **server);
/* Takes a socket and serves it; it is closed here when it cannot be served. */
void net_http_server_adopt(struct net_http_server *server, struct io_socket socket);
/* Ends: idle connections close, requests begun are finished for up to `deadline_ms`, then all
 * connections close. `stopped` is called once, when no connection and no request is left. */
void net_http_server_stop(struct net_http_server *server, uint64_t deadline_ms,
                          void (*stopped)(void *owner), void *owner);
const struct net_http_counters *net_http_server_counters(const struct net_http_server *server);
/* Bytes of answers that were given and that the peers have not taken yet. Walks the connections. */
size_t net_http_server_unsent(const struct net_http_server *server);

/* The handler's bytes in the request, aligned for any type. */
void *net_http_request_state(struct net_http_request *request);
/* The owner given to net_http_server_new. */
void *net_http_request_owner(struct net_http_request *request);
/* True once the peer has gone: the answer will be dropped. */
bool net_http_request_aborted(const struct net_http_request *request);
/* Sets how large the body may be; from on_head. A declared length over it is for the handler to
 * refuse, a chunked body that grows over it is 413. */
void net_http_request_limit(struct net_http_request *request, size_t body_bytes_max);
/* Ends a WAIT: the body is read. on_body does not run inside. */
void net_http_body_start(struct net_http_request *request);

struct net_http_response {
    int status;               /* 200 to 599 */
    const char *content_type; /* NULL: application/json */
    const char *headers;      /* more field lines, each with its CRLF, or NULL */
    struct slice body;        /* copied; not sent to HEAD (its size is) */
};

/* Answers. The request is no longer the caller's. */
void net_http_reply(struct net_http_request *request, const struct net_http_response *response);
/* Answers {"error":code,"detail":...} with `headers` (or NULL) and a detail in printf format. */
void net_http_reply_error(struct net_http_request *request, int status, const char *code,
                          const char *headers, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Answers a method that the path does not have: 204 to OPTIONS, else 405, with
 * "Allow: `allow`, OPTIONS". */
void net_http_reply_not_allowed(struct net_http_request *request, const char *allow);
/* The standard phrase of a status (RFC 9110 section 15), "" for one we never send. */
const char *net_http_status_text(int status);
