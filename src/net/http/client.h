#pragma once

/*
 * One client connection of HTTP/1.1 on a loop, for the commands that talk to a server: a request
 * at a time, kept alive, its answer collected whole. Reconnecting is the owner's: free it after
 * `closed`, make another. Single loop.
 */

#include "io/tcp.h"
#include "net/http/head.h"

struct net_http_client;

struct net_http_client_response {
    int status;
    const struct net_http_fields *fields;
    struct slice body;
    bool persistent; /* another request may be sent */
};

/* All run on the loop, never inside a call to this header. */
struct net_http_client_events {
    /* Connected and ready to send; not called when connecting fails (`closed` is). */
    void (*ready)(void *owner);
    /* The answer to the one request sent; views are valid during the call. The next request may
     * be sent from here when `persistent`. */
    void (*response)(void *owner, const struct net_http_client_response *response);
    /* The connection is gone: OK after net_http_client_close, ERR_CLOSED when the peer closed it,
     * ERR_SYNTAX for an answer that is not HTTP, ERR_TOO_LARGE for one over the cap, or what the
     * system said. A request without its answer will get none (its outcome is not known). The
     * owner frees the client here or later. */
    void (*closed)(void *owner, err_t err);
};

/* Connects to `address` ("host:port"). Answers over `response_bytes_max` end the connection. */
err_t net_http_client_new(struct io_loop *loop, const char *address, size_t response_bytes_max,
                          const struct net_http_client_events *events, void *owner,
                          struct net_http_client **out, struct err_text *why);
/* Sends one request, already encoded: head and body in `parts`. There is none in flight. After
 * an error the connection closes by itself. `to_head`: the method is HEAD, its answer has no
 * body. */
err_t net_http_client_send(struct net_http_client *client, const struct slice *parts, size_t count,
                           bool to_head);
/* True while a request waits for its answer. */
bool net_http_client_busy(const struct net_http_client *client);
/* Closes at once; `closed` follows. Harmless when called twice. */
void net_http_client_close(struct net_http_client *client);
/* Frees a client whose `closed` was called. */
void net_http_client_free(struct net_http_client **client);
