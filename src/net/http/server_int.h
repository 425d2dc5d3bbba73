#pragma once

/*
 * The inside of the server, shared by server.c (the server itself and its clock), conn.c (bytes
 * in) and reply.c (bytes out). One loop.
 */

#include "base/buf.h"
#include "net/http/chunk.h"
#include "net/http/server.h"

/* Requests kept for reuse, a server. */
#define NET_HTTP_FREE_REQUESTS_MAX 1024u
/* Answers up to this size, head included, need no memory of their own. */
#define NET_HTTP_INLINE_SIZE 512u
/* Connections over the limit that are told so; further ones are only closed. */
#define NET_HTTP_REFUSALS_MAX 64u

enum net_http_request_step {
    REQUEST_HEAD,     /* on_head runs, or it said WAIT */
    REQUEST_BODY,     /* the body is being read */
    REQUEST_HANDED,   /* on_body has it; an answer is owed */
    REQUEST_ANSWERED, /* the answer waits for its turn to be sent */
};

struct net_http_request {
    struct list link; /* the connection's, in order of arrival; or the free list's */
    struct net_http_server *server;
    struct net_http_conn *conn; /* NULL: the peer has gone */
    enum net_http_request_step step;
    bool to_head;      /* HEAD: the answer has no body */
    bool options;      /* OPTIONS */
    bool minor_zero;   /* HTTP/1.0 */
    bool last;         /* the connection ends behind the answer */
    bool chunked;      /* the body's framing */
    bool expects;      /* Expect: 100-continue */
    bool continue_due; /* "100 Continue" is owed once earlier answers are sent */
    uint64_t length;
    uint64_t started_ns;
    size_t body_max;
    struct buf body;
    struct slice answer; /* in `inline_answer` or memory of its own */
    uint8_t inline_answer[NET_HTTP_INLINE_SIZE];
    _Alignas(max_align_t) uint8_t state[];
};

/*
 * A connection's states; conn.c has the table of what may follow what.
 *   HEAD    between requests or within a head
 *   WAIT    the handler is not ready for a body: reading is stopped
 *   BODY    a body is read for the handler
 *   SKIP    a body is read and dropped: its request was answered early
 *   DONE    no more requests are taken; answers are owed
 *   LINGER  all answers are written; the peer is given time to read them
 *   CLOSED  io_tcp_close was called
 */
enum net_http_conn_state {
    CONN_HEAD,
    CONN_WAIT,
    CONN_BODY,
    CONN_SKIP,
    CONN_DONE,
    CONN_LINGER,
    CONN_CLOSED,
};

struct net_http_conn {
    struct net_conn net;
    struct net_http_server *server;
    enum net_http_conn_state state;
    bool direct;     /* the last room was in the body */
    bool head_begun; /* part of a head is held */
    struct list requests;
    struct net_http_request *current; /* whose body comes; NULL outside of WAIT and BODY */
    struct buf held;                  /* read, not yet parsed */
    size_t scanned;                   /* of a head */
    uint64_t skip_left;
    struct net_http_chunk chunk;
    uint64_t since_ns;     /* idle, head, body window, linger: when it began */
    uint64_t window_bytes; /* of a body, in this window; dropped, while lingering */
};

struct net_http_server {
    struct net_server net;
    struct net_http_limits limits;
    const struct net_http_handler *handler;
    void *owner;
    struct list free_requests;
    uint32_t free_count;
    size_t held_bytes;
    struct net_http_counters counters;
    struct net_http_head head; /* the one being looked at */
    char date[40];             /* "Date: ...\r\n" */
    size_t buffer_size;
    uint8_t buffer[];
};

/* server.c */

/* A zeroed request of `conn`, linked behind its others; NULL without memory. */
struct net_http_request *net_http_request_new(struct net_http_conn *conn);
/* Takes it off its connection and keeps or frees it. */
void net_http_request_free(struct net_http_request *request);

/* conn.c */

extern const struct io_tcp_events net_http_conn_events; /* their owner: the struct net_conn */
/* Goes to `state`; asserts that it may. */
void net_http_conn_enter(struct net_http_conn *conn, enum net_http_conn_state state);
/* Parses what is held, as far as the state lets it, and starts or stops reading. */
void net_http_conn_resume(struct net_http_conn *conn);
/* Answers what is being read with an error of our own; nothing more is taken. */
void net_http_conn_refuse(struct net_http_conn *conn, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Closes; requests are aborted or live on without it. */
void net_http_conn_close(struct net_http_conn *conn);
/* Ends what took too long. */
void net_http_conn_check_time(struct net_conn *net, uint64_t now_ns);

/* reply.c */

/* Sends the answers whose turn it is. */
void net_http_conn_flush(struct net_http_conn *conn);
/* The answer's error code for a status ("too_large"). */
const char *net_http_status_code(int status);
