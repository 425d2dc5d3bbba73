#include "net/listener.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"

/*
 * One listening socket whose connections are dealt to the loops in turn. SO_REUSEPORT would save
 * the hop from loop to loop, but it deals by a hash: a few busy connections may share one loop
 * while another idles, and a loop's accept queue dies with its socket.
 *
 * Happy path: accept, take the next target, post the socket to its loop. A socket has one owner
 * throughout: the passage from here on, the target from `accept` on.
 *
 * Failure modes: out of file descriptors, accepting goes on after a pause (io/tcp.h) and is
 * counted; without memory for a passage the socket is closed, which the peer sees. After a stop
 * sockets may still be on their way; a target takes or closes them for as long as its loop runs.
 */

struct net_listener {
    struct io_loop *loop;
    struct io_listener *listener;
    struct net_listener_target *targets;
    size_t target_count;
    size_t turn; /* the target that gets the next socket */
    uint64_t failures;
    void (*stopped)(void *owner);
    void *stopped_owner;
};

/* A socket on its way to a target's loop. */
struct passage {
    struct task task;
    struct net_listener_target target;
    struct io_socket socket;
};

/* Runs on the target's loop; nothing of the listener is touched there. */
static void arrive(struct task *task)
{
    struct passage *passage = CONTAINER_OF(task, struct passage, task);
    passage->target.accept(passage->target.owner, passage->socket);
    mem_free(passage);
}

static void on_accepted(void *owner, struct io_socket socket)
{
    struct net_listener *listener = owner;
    struct passage *passage = mem_alloc(sizeof(*passage));
    /* The peer sees a reset and tries again; there is no place to keep its socket meanwhile. */
    if (!passage) {
        listener->failures++;
        io_socket_close(listener->loop, socket);
        return;
    }
    ASSERT(listener->turn < listener->target_count);
    *passage = (struct passage){
        .task = {.run = arrive},
        .target = listener->targets[listener->turn],
        .socket = socket,
    };
    listener->turn = (listener->turn + 1) % listener->target_count;
    io_post(passage->target.loop, &passage->task);
}

static void on_failed(void *owner, err_t err)
{
    struct net_listener *listener = owner;
    ASSERT(!err_is_ok(err));
    listener->failures++;
}

static void on_closed(void *owner)
{
    struct net_listener *listener = owner;
    listener->listener = NULL;
    listener->stopped(listener->stopped_owner);
}

static const struct io_listener_events listener_events = {
    .accepted = on_accepted,
    .failed = on_failed,
    .closed = on_closed,
};

err_t net_listener_new(struct io_loop *loop, const char *address,
                       const struct net_listener_target *targets, size_t count,
                       struct net_listener **out, struct err_text *why)
{
    ASSERT(count > 0);
    err_t err = err_make(ERR_MEMORY);
    struct net_listener *listener = mem_zalloc(1, sizeof(*listener));
    if (!listener)
        return err;
    listener->loop = loop;
    listener->target_count = count;
    listener->targets = mem_zalloc(count, sizeof(*targets));
    if (!listener->targets)
        goto free_listener;
    memcpy(listener->targets, targets, count * sizeof(*targets));
    err = io_listen(loop, address, &listener_events, listener, &listener->listener, why);
    if (!err_is_ok(err))
        goto free_listener;
    *out = listener;
    return err_ok();

free_listener:
    mem_free(listener->targets);
    mem_free(listener);
    return err;
}

uint16_t net_listener_port(const struct net_listener *listener)
{
    ASSERT(listener->listener);
    return io_listener_port(listener->loop, listener->listener);
}

uint64_t net_listener_failures(const struct net_listener *listener)
{
    return listener->failures;
}

void net_listener_stop(struct net_listener *listener, void (*stopped)(void *owner), void *owner)
{
    ASSERT(listener->listener && !listener->stopped && stopped);
    listener->stopped = stopped;
    listener->stopped_owner = owner;
    /* `stopped` follows from `on_closed`, never from within this call. */
    io_listener_close(listener->loop, listener->listener);
}

void net_listener_free(struct net_listener **pointer)
{
    struct net_listener *listener = *pointer;
    if (!listener)
        return;
    ASSERT(!listener->listener);
    mem_free(listener->targets);
    mem_free(listener);
    *pointer = NULL;
}
