/*
 * libuv watches a descriptor through epoll, level-triggered: what is not taken is reported again in
 * the next turn. Each change of what is watched costs system calls, so callers change it only when
 * an event that nobody wants has come.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/uv/loop_int.h"

err_t io_uv_socket_init(struct io_uv_socket *socket, struct io_loop *loop, int fd,
                        void (*abandon)(struct io_uv_socket *socket))
{
    ASSERT(fd >= 0 && abandon);
    int status = uv_poll_init(&io_uv_loop_of(loop)->uv, &socket->poll, fd);
    if (status < 0)
        return err_from_errno(-status);
    socket->fd = fd;
    socket->watched = 0;
    socket->abandon = abandon;
    return err_ok();
}

void io_uv_socket_watch(struct io_uv_socket *socket, int events, uv_poll_cb ready)
{
    ASSERT(socket->fd >= 0);
    if (events == socket->watched)
        return;
    int status = events ? uv_poll_start(&socket->poll, events, ready) : uv_poll_stop(&socket->poll);
    ASSERT(status == 0);
    socket->watched = events;
}

void io_uv_socket_replace(struct io_uv_socket *socket, int fd)
{
    ASSERT(socket->fd >= 0 && fd >= 0 && fd != socket->fd);
    /* Under the number that libuv knows: a handle for another one could only be made once this one
     * is closed, and might then fail. libuv lets a descriptor be closed when it is stopped. */
    ASSERT(uv_poll_stop(&socket->poll) == 0);
    socket->watched = 0;
    int status;
    do
        status = dup3(fd, socket->fd, O_CLOEXEC);
    while (status < 0 && (errno == EINTR || errno == EBUSY));
    ASSERT(status == socket->fd);
    close(fd);
}

bool io_uv_socket_close(struct io_uv_socket *socket, uv_close_cb closed)
{
    ASSERT(closed);
    if (socket->fd < 0)
        return false;
    /* libuv forgets the descriptor here, so that its number may come again at once. */
    uv_close((uv_handle_t *)&socket->poll, closed);
    close(socket->fd);
    socket->fd = -1;
    return true;
}

void io_uv_socket_set_nodelay(int fd)
{
    ASSERT(fd >= 0);
    /* A peer that has gone already makes this fail; reading will say so. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}
