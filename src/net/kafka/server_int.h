#pragma once

/* The inside of the server, shared by server.c (the server itself and its clock) and conn.c (bytes
 * in, bytes out). One loop. */

#include "net/kafka/server.h"

enum net_kafka_request_step {
    REQUEST_WAITS,    /* on_size said so */
    REQUEST_READ,     /* its bytes are coming */
    REQUEST_HANDED,   /* on_request has it */
    REQUEST_ANSWERED, /* the answer waits for its turn to be sent */
};

struct net_kafka_request {
    struct list link; /* the connection's, in order of arrival */
    struct net_kafka_conn *conn;
    enum net_kafka_request_step step;
    bool last; /* the connection ends behind it */
    uint32_t size;
    struct buf bytes; /* the request's */
    struct buf answer;
    struct net_kafka_body *body; /* NULL: all of it is in there */
    size_t wire_size;            /* of the size, the answer and the body; 0: none is sent */
    size_t sent;                 /* bytes of those that were written */
    uint8_t size_bytes[4];       /* what stands in front of the answer */
    _Alignas(max_align_t) uint8_t state[];
};

/*
 * A connection's states. Each may be followed by those below it, and READ by SIZE.
 *   SIZE    between requests, or within the bytes of a size
 *   WAIT    there is no memory for the request that has begun: reading is stopped
 *   READ    its bytes are read
 *   DONE    no more requests are taken; answers are owed
 *   CLOSED  io_tcp_close was called; the last request that ends frees it
 */
enum net_kafka_conn_state { CONN_SIZE, CONN_WAIT, CONN_READ, CONN_DONE, CONN_CLOSED };

struct net_kafka_conn {
    struct net_conn net; /* without `tcp`: closed, and told so */
    struct net_kafka_server *server;
    char peer[IO_PEER_SIZE];
    enum net_kafka_conn_state state;
    bool direct;       /* the last room was in the request */
    bool large;        /* the last request was */
    bool cut;          /* answers from here on are not sent: one before them could not be */
    uint8_t size_have; /* bytes of the size */
    uint8_t size[4];
    struct list requests;
    struct net_kafka_request *current; /* whose bytes come, or wait */
    struct buf held;                   /* read, not to be looked at yet */
    uint64_t since_ns;                 /* idle, or a request's window: when it began */
    uint64_t window_bytes;
    _Alignas(max_align_t) uint8_t session[];
};

struct net_kafka_server {
    struct net_server net;
    struct net_kafka_limits limits;
    const struct net_kafka_handler *handler;
    void *owner;
    uint64_t held_bytes; /* of all connections */
    struct net_kafka_counters counters;
    uint8_t buffer[];
};

/* conn.c */

extern const struct io_tcp_events net_kafka_conn_events; /* their owner: the struct net_conn */
/* Sends the answers whose turn it is, as far as the kernel takes them. */
void net_kafka_conn_flush(struct net_kafka_conn *conn);
/* Takes what is held as far as it may be looked at, and starts or stops reading. */
void net_kafka_conn_resume(struct net_kafka_conn *conn);
/* Takes no more requests. */
void net_kafka_conn_finish(struct net_kafka_conn *conn);
/* Closes; what the handler has lives on without the peer. */
void net_kafka_conn_close(struct net_kafka_conn *conn);
/* Ends what took too long. */
void net_kafka_conn_check_time(struct net_conn *net, uint64_t now_ns);
/* Frees it, once it is closed and has no request. */
void net_kafka_conn_check_free(struct net_kafka_conn *conn);
