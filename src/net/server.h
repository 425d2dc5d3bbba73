#pragma once

/*
 * What the servers of all protocols have in common on one loop: connections, a turn and a clock.
 * Whatever happens to a connection in a turn of the loop (bytes, answers from the handler) puts it
 * in the turn's list; at the end of the turn each is looked after once, so that what a hundred
 * answers need is done once. The clock looks over all connections once a tick, so that ten thousand
 * of them cost one timer.
 *
 * A protocol's server and its connections embed what is here. Everything runs on the server's loop.
 */

#include "base/list.h"
#include "io/tcp.h"

struct net_server;

/* Limits; times in milliseconds. The defaults are each protocol's. */
struct net_limits {
    uint32_t connections_max; /* over it they are refused */
    uint32_t pipeline_max;    /* requests in flight on a connection; then reading stops */
    size_t read_size;         /* the loop's shared read buffer */
    size_t queued_bytes_max;  /* answers not sent; then reading stops */
    uint64_t tick_ms;         /* how often times are looked at */
    uint64_t idle_ms;         /* without a request; then close */
    uint64_t window_ms;       /* in each window of what is being read ... */
    uint64_t rate_min;        /* ... so many bytes a second at least */
    uint64_t pressed_ms;      /* and while others wait for memory, as many as bring all of it in
                                 this time */
    uint64_t write_ms;        /* without the peer taking anything; then close */
};

/* What every server counts; each only grows, except connections_open. */
struct net_counters {
    uint64_t connections_total;
    uint64_t connections_open;
    uint64_t connections_refused; /* over connections_max */
    uint64_t timeouts;            /* connections ended for being slow or idle */
    uint64_t bytes_in;
    uint64_t bytes_out;
};

/* Adds `from` to `into`. */
void net_counters_merge(struct net_counters *into, const struct net_counters *from);

struct net_conn {
    struct list link;      /* the server's */
    struct list turn_link; /* the server's turn, while something is to be done */
    struct net_server *server;
    struct io_tcp *tcp;
    uint32_t request_count; /* in flight */
    size_t answer_bytes;    /* that are there, and not written: a protocol may hold them back */
    bool reading;           /* the socket is */
    bool peer_ended;
    uint64_t write_since_ns; /* 0: the kernel has everything */
    size_t write_left;       /* as it was when last looked at */
};

struct net_protocol {
    const struct io_tcp_events *tcp; /* their owner is the struct net_conn */
    /* At the end of a turn in which something happened to it; it may be freed within. */
    void (*turn)(struct net_conn *conn);
    /* Once a tick: ends what took too long. */
    void (*check_time)(struct net_conn *conn, uint64_t now_ns);
    /* Closes, if it is not closed yet. */
    void (*close)(struct net_conn *conn);
    /* The server is stopping. */
    void (*stop)(struct net_conn *conn);
    /* The time is a tick later, or a connection has come to a server that slept. May be NULL. */
    void (*tick)(struct net_server *server);
};

struct net_server {
    struct io_loop *loop;
    const struct net_protocol *protocol;
    const struct net_limits *limits;
    struct net_counters *counters;
    struct list connections;
    struct list turn;
    struct task turn_task;
    bool turn_deferred;
    struct io_timer tick;
    bool ticking;
    bool stopping;
    uint64_t stop_ns;
    uint64_t requests_open; /* that may outlive their connection: they have to end as well */
    void (*stopped)(void *owner);
    void *stopped_owner;
};

/* Zeroed before, with the first four fields set. */
void net_server_init(struct net_server *server);
/* It was stopped or never given a socket. */
void net_server_done(struct net_server *server);
/* True when as many connections as may be are there. */
bool net_server_is_full(const struct net_server *server);
/* Opens the socket for a zeroed connection, whose first turn follows. False: it cannot, the socket
 * is closed and the connection still the caller's. */
bool net_server_take(struct net_server *server, struct net_conn *conn, struct io_socket socket);
/* The connection is over and about to be freed. */
void net_server_drop(struct net_conn *conn);
/* `conn` is looked after at the end of this turn of the loop. */
void net_server_turn(struct net_conn *conn);
/* While stopping: looks at the end of this turn whether all is gone. */
void net_server_check_stopped(struct net_server *server);
/* Has each connection stop; closes those that are left after `deadline_ms`. `stopped` is called
 * once, when no connection and no open request is left, and may free the server. */
void net_server_stop(struct net_server *server, uint64_t deadline_ms, void (*stopped)(void *owner),
                     void *owner);

/* Bytes that a window has to bring of what takes `size` bytes of memory. `pressed`: somebody waits
 * for memory. */
uint64_t net_limits_least(const struct net_limits *limits, uint64_t size, bool pressed);

/* True while no request may begin: the peer has to take answers first. */
bool net_conn_is_blocked(const struct net_conn *conn);
/* Starts or stops reading; an ended peer is not read from. */
void net_conn_read(struct net_conn *conn, bool wanted);
/* True when the peer has not taken anything of what it is owed for write_ms. */
bool net_conn_is_stuck(struct net_conn *conn, uint64_t now_ns);
