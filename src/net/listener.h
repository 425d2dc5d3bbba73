#pragma once

/*
 * Accepts connections on one loop and spreads them in turn over several. Runs on the loop that it
 * listens on; sockets arrive at each target on the target's loop. A target's loop gets what is
 * posted to it from the `stopped` callback after the last socket.
 */

#include "io/tcp.h"

struct net_listener;

/* Who takes sockets: `accept` is called with `owner` on `loop`. */
struct net_listener_target {
    struct io_loop *loop;
    void (*accept)(void *owner, struct io_socket socket);
    void *owner;
};

/* Listens on `address` (see io_listen) and hands sockets to the `count` targets, which are
 * copied. On the loop's thread, or before it runs. */
err_t net_listener_new(struct io_loop *loop, const char *address,
                       const struct net_listener_target *targets, size_t count,
                       struct net_listener **out, struct err_text *why);
/* The port, in host order; the one taken when the address said 0. */
uint16_t net_listener_port(const struct net_listener *listener);
/* Times that accepting failed (too many open files). */
uint64_t net_listener_failures(const struct net_listener *listener);
/* Accepts no more; `stopped` follows, after which it may be freed. */
void net_listener_stop(struct net_listener *listener, void (*stopped)(void *owner), void *owner);
void net_listener_free(struct net_listener **listener);
