/*
 * A listener watches its own socket and takes what has come, at most so many connections a turn,
 * so that other work of the loop is not kept waiting; the rest is there in the next turn. It
 * hands over bare descriptors, since a connection may be given to another loop.
 *
 * What goes wrong: with no descriptor left the kernel goes on reporting the connection that it
 * could not give. The listener then stops watching and looks again after a pause; connections
 * wait in the backlog meanwhile. A connection that its peer gave up in the backlog is skipped.
 */

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "io/uv/address.h"
#include "io/uv/loop_int.h"

#define BACKLOG 1024
#define ACCEPTS_PER_TURN 64u
#define PAUSE_NS (250 * IO_MS)

struct io_listener {
    struct io_uv_socket socket;
    struct io_loop *loop;
    const struct io_listener_events *events;
    void *owner;
    struct io_timer pause;
    uint16_t port;
    bool silent; /* the owner is not told that it has closed */
};

static void on_closed(uv_handle_t *handle)
{
    struct io_listener *listener = CONTAINER_OF(handle, struct io_listener, socket.poll);
    ASSERT(listener->socket.fd < 0);
    if (!listener->silent)
        listener->events->closed(listener->owner);
    mem_free(listener);
}

static void abandon(struct io_uv_socket *socket)
{
    struct io_listener *listener = CONTAINER_OF(socket, struct io_listener, socket);
    listener->silent = true;
    ASSERT(io_uv_socket_close(socket, on_closed));
}

/* A listener of both kinds has IPv4 addresses as IPv6 ones; people know them by the other name. */
static void name_peer(const struct sockaddr *from, struct io_socket *socket)
{
    static const char mapped[] = "::ffff:";
    char text[IO_PEER_SIZE];
    ASSERT(socket->fd >= 0);
    if (uv_ip_name(from, text, sizeof(text)) != 0)
        return;
    bool hides = strncmp(text, mapped, sizeof(mapped) - 1) == 0 && strchr(text, '.');
    snprintf(socket->peer, sizeof(socket->peer), "%s", text + (hides ? sizeof(mapped) - 1 : 0));
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void on_pause_over(struct io_timer *timer)
{
    struct io_listener *listener = CONTAINER_OF(timer, struct io_listener, pause);
    ASSERT(listener->socket.fd >= 0);
    io_uv_socket_watch(&listener->socket, UV_READABLE, on_ready);
}

static void pause_accepting(struct io_listener *listener, int error)
{
    ASSERT(error > 0);
    io_uv_socket_watch(&listener->socket, 0, on_ready);
    io_timer_start(listener->loop, &listener->pause, PAUSE_NS);
    /* Last, because the owner may close the listener. */
    listener->events->failed(listener->owner, err_from_errno(error));
}

/* What accept reports of the connection it would have given, not of this process (accept(2),
 * "Error handling"). */
static bool is_of_connection(int error)
{
    ASSERT(error != 0);
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH: return true;
    default: return false;
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct io_listener *listener = CONTAINER_OF(poll, struct io_listener, socket.poll);
    ASSERT(status < 0 || events == UV_READABLE);
    if (status < 0) {
        listener->socket.watched = 0;
        pause_accepting(listener, -status);
        return;
    }
    for (uint32_t i = 0; i < ACCEPTS_PER_TURN && listener->socket.fd >= 0; i++) {
        /* The owner may have closed the listener in the callback before; the loop's condition sees
         * it. */
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof(from);
        int fd = accept4(listener->socket.fd, (struct sockaddr *)&from, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        int error = fd < 0 ? errno : 0;
        if (error == EAGAIN)
            return;
        if (error == 0) {
            struct io_socket socket = {.fd = fd};
            name_peer((struct sockaddr *)&from, &socket);
            listener->events->accepted(listener->owner, socket);
        } else if (!is_of_connection(error)) {
            pause_accepting(listener, error);
            return;
        }
    }
}

static err_t listen_failed(int error, const char *address, struct err_text *why)
{
    char text[128];
    ASSERT(error > 0);
    err_t err = err_from_errno(error);
    if (error == EADDRINUSE)
        return err_set(why, ERR_IN_USE, "address already in use: another process listens on %s",
                       address);
    if (error == EACCES)
        return err_set(why, ERR_PERMISSION,
                       "not allowed to listen on %s: ports below 1024 need CAP_NET_BIND_SERVICE",
                       address);
    if (error == EADDRNOTAVAIL)
        return err_set(why, ERR_INVALID, "cannot listen on %s: this machine has no such address",
                       address);
    return err_set(why, (enum err_code)err.code, "cannot listen on %s: %s", address,
                   strerror_r(error, text, sizeof(text)));
}

/* Binds and listens; 0, or the error. */
static int start_listening(int fd, const struct io_uv_address *where, uint16_t *port)
{
    ASSERT(fd >= 0);
    /* Not a claim on a port in use: only on one whose last connections are still being closed. */
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* What was bound is asked for, since port 0 is whichever was free. */
    struct io_uv_address bound = {.size = sizeof(bound.storage)};
    if (bind(fd, (const struct sockaddr *)&where->storage, where->size) < 0 ||
        listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound.storage, &bound.size) < 0)
        return errno;
    /* The port stands at the same place for both families. */
    *port = ntohs(((const struct sockaddr_in *)&bound.storage)->sin_port);
    return 0;
}

err_t io_uv_listen(struct io_loop *loop, const char *address, const struct io_listener_events *ev,
                   void *owner, struct io_listener **out, struct err_text *why)
{
    ASSERT(ev->accepted && ev->failed && ev->closed);
    struct io_uv_address where;
    TRY(io_uv_address_parse(address, &where, why));
    int fd = socket(where.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return listen_failed(errno, address, why);
    struct io_listener *listener = NULL;
    uint16_t port = 0;
    int error = start_listening(fd, &where, &port);
    err_t err = error ? listen_failed(error, address, why) : err_ok();
    if (err_is_ok(err)) {
        listener = mem_zalloc(1, sizeof(*listener));
        err = listener ? io_uv_socket_init(&listener->socket, loop, fd, abandon)
                       : err_make(ERR_MEMORY);
    }
    if (!err_is_ok(err)) {
        mem_free(listener);
        close(fd);
        return err;
    }
    listener->loop = loop;
    listener->events = ev;
    listener->owner = owner;
    listener->port = port;
    listener->pause.run = on_pause_over;
    io_uv_socket_watch(&listener->socket, UV_READABLE, on_ready);
    *out = listener;
    return err_ok();
}

uint16_t io_uv_listener_port(const struct io_listener *listener)
{
    ASSERT(listener->port != 0);
    return listener->port;
}

void io_uv_listener_close(struct io_listener *listener)
{
    if (io_uv_socket_close(&listener->socket, on_closed))
        io_timer_stop(listener->loop, &listener->pause);
    ASSERT(listener->socket.fd < 0);
}
