#pragma once

/*
 * One address served on several loops: a listener on the first loop deals sockets out to a door on
 * each. Everything ends in the order of the sockets: first the listener, then, behind the last one
 * that it handed over, each door on its own loop; each reports back to the first.
 *
 * What is kept here is set up before any loop runs. Behind that a door belongs to its loop and the
 * rest to the first one; which doors there are does not change, and may be read on all of them.
 */

#include "net/listener.h"

struct net_doors;

/* One a loop, embedded in what serves its sockets. */
struct net_door {
    struct net_doors *doors;
    struct net_door *next; /* on the next loop; NULL: the last */
    struct io_loop *loop;
    struct task task; /* on its way to stop, and home */
};

/* Both are called on the door's loop. */
struct net_doors_ops {
    void (*adopt)(struct net_door *door, struct io_socket socket);
    /* No socket follows. Ends what there is and calls net_door_stopped. */
    void (*stop)(struct net_door *door, uint64_t deadline_ms);
};

struct net_doors {
    const struct net_doors_ops *ops;
    struct net_door *first;
    struct net_door *last;
    struct net_listener *listener; /* NULL before it has listened */
    bool listening;
    uint64_t stop_deadline_ms;
    size_t open; /* doors, and what else is waited for, while stopping */
    void (*stopped)(void *owner);
    void *stopped_owner;
};

/* Zeroed before, and without a door; the first that is added has the listener's loop. */
void net_doors_add(struct net_doors *doors, struct net_door *door, struct io_loop *loop);
/* Listens on `address` (see io_listen). */
err_t net_doors_listen(struct net_doors *doors, const char *address, struct err_text *why);
/* The port, in host order, while it listens. */
uint16_t net_doors_port(const struct net_doors *doors);
/* Times that accepting failed. */
uint64_t net_doors_failures(const struct net_doors *doors);
/* Ends, also where it never listened; needs no memory. `stopped` is called on the first loop. */
void net_doors_stop(struct net_doors *doors, uint64_t deadline_ms, void (*stopped)(void *owner),
                    void *owner);
/* From `stop` on and on the first loop: `stopped` waits for net_doors_release (of the doors). */
void net_doors_hold(struct net_doors *doors);
void net_doors_release(void *doors);
/* On the door's loop: it has ended. Takes a struct net_door, as a server's `stopped` does. */
void net_door_stopped(void *door);
/* Frees what listening took. It is stopped, or has never listened. */
void net_doors_done(struct net_doors *doors);

/* A way round all doors: what one loop changes is read on that loop, without a lock, and what was
 * gathered belongs to one thread at a time. */
struct net_tour {
    struct task task;
    struct net_door *at;
    void (*visit)(struct net_tour *tour, struct net_door *door); /* on the door's loop */
    void (*end)(struct net_tour *tour); /* behind the last visit, on its loop; owns the tour */
};

/* `visit` and `end` are set. Nothing of the tour may be touched behind this. */
void net_tour_start(struct net_tour *tour, struct net_doors *doors);
