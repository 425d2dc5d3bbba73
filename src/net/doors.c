#include "net/doors.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"

/*
 * Happy path: the listener posts each socket to a door's loop. Stopping goes the way of the
 * sockets: the listener closes, a task goes to each door behind the last socket, and comes home
 * when the door has ended; with the last one all is stopped.
 *
 * Failure modes: what cannot listen is stopped without a listener. A door that does not end keeps
 * everything: a server ends by its deadline, except for requests that its handler never answers.
 */

void net_doors_add(struct net_doors *doors, struct net_door *door, struct io_loop *loop)
{
    ASSERT(doors->ops && loop && !doors->listener);
    *door = (struct net_door){.doors = doors, .loop = loop};
    /* A chain and not an array: each door is part of something else, of a size not known here. */
    if (doors->last)
        doors->last->next = door;
    else
        doors->first = door;
    doors->last = door;
}

/* On the door's own loop: the listener has posted the socket there. */
static void adopt(void *owner, struct io_socket socket)
{
    struct net_door *door = owner;
    door->doors->ops->adopt(door, socket);
}

err_t net_doors_listen(struct net_doors *doors, const char *address, struct err_text *why)
{
    ASSERT(doors->first && !doors->listener);
    size_t count = 0;
    for (const struct net_door *door = doors->first; door; door = door->next)
        count++;
    struct net_listener_target *targets = mem_zalloc(count, sizeof(*targets));
    if (!targets)
        return err_make(ERR_MEMORY);
    struct net_listener_target *target = targets;
    for (struct net_door *door = doors->first; door; door = door->next)
        *target++ =
            (struct net_listener_target){.loop = door->loop, .accept = adopt, .owner = door};
    err_t err =
        net_listener_new(doors->first->loop, address, targets, count, &doors->listener, why);
    /* The listener has its own copy. */
    mem_free(targets);
    doors->listening = err_is_ok(err);
    return err;
}

uint16_t net_doors_port(const struct net_doors *doors)
{
    ASSERT(doors->listening);
    return net_listener_port(doors->listener);
}

uint64_t net_doors_failures(const struct net_doors *doors)
{
    return doors->listener ? net_listener_failures(doors->listener) : 0;
}

void net_doors_hold(struct net_doors *doors)
{
    ASSERT(doors->open > 0);
    doors->open++;
}

void net_doors_release(void *owner)
{
    struct net_doors *doors = owner;
    ASSERT(doors->open > 0);
    if (--doors->open == 0)
        doors->stopped(doors->stopped_owner);
}

/* On the first loop, so that the count of open doors has one thread. */
static void come_home(struct task *task)
{
    net_doors_release(CONTAINER_OF(task, struct net_door, task)->doors);
}

void net_door_stopped(void *owner)
{
    struct net_door *door = owner;
    door->task.run = come_home;
    io_post(door->doors->first->loop, &door->task);
}

static void stop_door(struct task *task)
{
    struct net_door *door = CONTAINER_OF(task, struct net_door, task);
    door->doors->ops->stop(door, door->doors->stop_deadline_ms);
}

/* Tasks of one sender arrive in order: behind each socket that the listener handed over comes the
 * task that stops its door, so no connection is lost between them. */
static void stop_doors(void *owner)
{
    struct net_doors *doors = owner;
    for (const struct net_door *door = doors->first; door; door = door->next)
        doors->open++;
    for (struct net_door *door = doors->first; door; door = door->next) {
        /* Part of the door: stopping needs no memory, so it cannot fail. */
        door->task.run = stop_door;
        io_post(door->loop, &door->task);
    }
}

void net_doors_stop(struct net_doors *doors, uint64_t deadline_ms, void (*stopped)(void *owner),
                    void *owner)
{
    ASSERT(doors->first && !doors->stopped && stopped);
    doors->stopped = stopped;
    doors->stopped_owner = owner;
    doors->stop_deadline_ms = deadline_ms;
    /* A start that failed half way is stopped like any other. */
    if (!doors->listening) {
        stop_doors(doors);
        return;
    }
    /* Metrics say from here on that nothing is taken, while requests that are there are still
     * answered. */
    doors->listening = false;
    net_listener_stop(doors->listener, stop_doors, doors);
}

void net_doors_done(struct net_doors *doors)
{
    /* A server that still has sockets would be called by them. */
    ASSERT(!doors->listening && doors->open == 0);
    net_listener_free(&doors->listener);
}

/* On the door's loop, where what it counts does not change meanwhile. */
static void arrive(struct task *task)
{
    struct net_tour *tour = CONTAINER_OF(task, struct net_tour, task);
    struct net_door *door = tour->at;
    tour->visit(tour, door);
    tour->at = door->next;
    /* Behind this the tour is another thread's, or gone. */
    if (tour->at)
        io_post(tour->at->loop, &tour->task);
    else
        tour->end(tour);
}

void net_tour_start(struct net_tour *tour, struct net_doors *doors)
{
    ASSERT(tour->visit && tour->end && doors->first);
    tour->task.run = arrive;
    tour->at = doors->first;
    io_post(tour->at->loop, &tour->task);
}
