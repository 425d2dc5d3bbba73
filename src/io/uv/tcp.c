/*
 * A connection watches its socket for what its owner waits for: bytes to read, or room for bytes
 * that the kernel did not take at once. Writes go straight to the kernel; only what is left over
 * is copied, so an idle connection holds no buffer.
 *
 * Reading that stops and starts again within one turn costs nothing: the socket goes on being
 * watched until it reports something that nobody wants.
 *
 * A host that is a name is looked up by a thread of libuv, and its addresses are tried one after
 * the other. Until there is a socket to one of them, a descriptor that is never watched holds its
 * place.
 *
 * What goes wrong: an end of the peer's bytes leaves the other direction open (half closed); a
 * broken connection is reported once, where it is noticed: by the failing write to its caller,
 * else to `ended`. After that nothing is watched.
 */

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "io/uv/address.h"
#include "io/uv/loop_int.h"

#define PARTS_PER_CALL 64u
/* A connection that always has more to read lets the others have their turn after so many. */
#define READS_PER_TURN 4u

/* The addresses of a name. A lookup cannot be stopped, so this outlives a connection that is closed
 * meanwhile. */
struct search {
    uv_getaddrinfo_t request;
    struct io_tcp *tcp; /* NULL: nobody waits */
    bool over;          /* the lookup is */
    struct addrinfo *found;
    const struct addrinfo *next; /* NULL: all have been tried */
};

struct io_tcp {
    struct io_uv_socket socket;
    struct search *search; /* NULL: of a number, or no longer connecting */
    const struct io_tcp_events *events;
    void *owner;
    struct buf queue; /* written, not taken by the kernel */
    size_t sent;      /* bytes of `queue` that it has taken since */
    bool connecting;
    bool reading;  /* the owner wants bytes */
    bool at_end;   /* the peer has sent its last byte */
    bool broken;   /* good for closing only */
    bool shutting; /* no more will be written; shut down once the queue is empty */
    bool silent;   /* the owner is not told that it has closed */
};

static void on_ready(uv_poll_t *poll, int status, int events);

static bool is_open(const struct io_tcp *tcp)
{
    return tcp->socket.fd >= 0;
}

static size_t queued(const struct io_tcp *tcp)
{
    ASSERT(tcp->sent <= tcp->queue.size);
    return tcp->queue.size - tcp->sent;
}

static void watch(struct io_tcp *tcp)
{
    ASSERT(is_open(tcp));
    int events = 0;
    if (tcp->search && !tcp->search->over)
        return;
    /* A socket that is not connected is only watched for being writable, which says how it went. */
    if (tcp->reading && !tcp->connecting)
        events |= UV_READABLE;
    if (queued(tcp) > 0 || tcp->connecting)
        events |= UV_WRITABLE;
    io_uv_socket_watch(&tcp->socket, tcp->broken ? 0 : events, on_ready);
}

static void break_off(struct io_tcp *tcp)
{
    ASSERT(is_open(tcp));
    /* The failing write has told the owner; `ended` would tell it a second time. */
    tcp->broken = true;
    tcp->reading = false;
    watch(tcp);
}

static void end(struct io_tcp *tcp, err_t err)
{
    ASSERT(!err_is_ok(err));
    tcp->reading = false;
    if (err_is(err, ERR_END))
        tcp->at_end = true;
    else
        tcp->broken = true;
    watch(tcp);
    /* Last: the owner may close in here. */
    tcp->events->ended(tcp->owner, err);
}

/* Sends what the kernel takes of `count` parts; `*sent` bytes of them in all. */
static err_t send_parts(struct io_tcp *tcp, const struct slice *parts, size_t count, size_t *sent)
{
    ASSERT(is_open(tcp));
    *sent = 0;
    for (size_t first = 0; first < count; first += PARTS_PER_CALL) {
        struct iovec vectors[PARTS_PER_CALL];
        struct msghdr message = {.msg_iov = vectors};
        size_t total = 0;
        for (size_t i = first; i < count && i < first + PARTS_PER_CALL; i++) {
            vectors[message.msg_iovlen++] =
                (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].size};
            total += parts[i].size;
        }
        /* A peer that has gone is an error of this call, not the end of the process. */
        ssize_t n;
        do
            n = total ? sendmsg(tcp->socket.fd, &message, MSG_NOSIGNAL) : 0;
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN && errno != ENOBUFS)
            return err_from_errno(errno);
        *sent += n < 0 ? 0 : (size_t)n;
        /* Less than all: the kernel's buffer is full, and more calls would say the same. */
        if (n < (ssize_t)total)
            break;
    }
    return err_ok();
}

/* Copies what is behind the first `skip` bytes of the parts. */
static err_t keep(struct io_tcp *tcp, const struct slice *parts, size_t count, size_t skip)
{
    /* Bytes that are gone are moved over only once they are half of the whole. */
    if (tcp->sent > tcp->queue.size / 2) {
        buf_consume(&tcp->queue, tcp->sent);
        tcp->sent = 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct slice rest = slice_sub(parts[i], skip, parts[i].size);
        skip -= skip < parts[i].size ? skip : parts[i].size;
        buf_add_slice(&tcp->queue, rest);
    }
    ASSERT(skip == 0);
    return buf_error(&tcp->queue);
}

static err_t tcp_write(struct io_tcp *tcp, const struct slice *parts, size_t count)
{
    if (!is_open(tcp) || tcp->broken)
        return err_make(ERR_CLOSED);
    ASSERT(!tcp->shutting);
    size_t sent = 0;
    err_t err = err_ok();
    if (queued(tcp) == 0 && !tcp->connecting)
        err = send_parts(tcp, parts, count, &sent);
    if (err_is_ok(err))
        err = keep(tcp, parts, count, sent);
    if (!err_is_ok(err)) {
        break_off(tcp);
        return err_make(err_is(err, ERR_MEMORY) ? ERR_MEMORY : ERR_CLOSED);
    }
    watch(tcp);
    return err_ok();
}

static void shut_down(struct io_tcp *tcp)
{
    ASSERT(queued(tcp) == 0);
    /* Fails only where the peer has gone, which reading or the next write says. */
    (void)shutdown(tcp->socket.fd, SHUT_WR);
}

static void on_writable(struct io_tcp *tcp)
{
    if (queued(tcp) == 0)
        return;
    ASSERT(!tcp->connecting);
    struct slice rest = slice_make(tcp->queue.data + tcp->sent, queued(tcp));
    size_t sent = 0;
    err_t err = send_parts(tcp, &rest, 1, &sent);
    ASSERT(sent <= rest.size);
    tcp->sent += sent;
    if (!err_is_ok(err)) {
        end(tcp, err);
        return;
    }
    if (queued(tcp) > 0)
        return;
    /* Given back, not kept for the next time: most connections never queue again. */
    buf_done(&tcp->queue);
    tcp->sent = 0;
    watch(tcp);
    if (tcp->shutting)
        shut_down(tcp);
    if (tcp->events->drained)
        tcp->events->drained(tcp->owner);
}

static void on_readable(struct io_tcp *tcp)
{
    for (uint32_t i = 0; i < READS_PER_TURN && tcp->reading; i++) {
        struct io_room room = tcp->events->room(tcp->owner);
        ASSERT(room.data && room.size > 0);
        ssize_t n;
        do
            n = recv(tcp->socket.fd, room.data, room.size, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            end(tcp, n == 0 ? err_make(ERR_END) : err_from_errno(errno));
            return;
        }
        /* The owner may stop or close in here; the loop's condition and the size see both. */
        tcp->events->read(tcp->owner, (size_t)n);
        /* The socket is empty: the call that would say so is spared. */
        if ((size_t)n < room.size)
            return;
    }
}

/* Why the socket broke; asking clears it. */
static err_t socket_error(const struct io_tcp *tcp)
{
    /* The errno of a socket that epoll reports as broken is not in any call's result. */
    int error = 0;
    socklen_t size = sizeof(error);
    ASSERT(is_open(tcp));
    if (getsockopt(tcp->socket.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    return error ? err_from_errno(error) : err_ok();
}

/* A socket that connects; 0, or the error. */
static int start_connecting(const struct sockaddr *to, socklen_t size, int *out)
{
    ASSERT(to && size > 0);
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, to, size) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return error;
    }
    *out = fd;
    return 0;
}

/* The first address left that can be tried is; `*err` says what became of the last where none is.
 */
static bool try_next(struct io_tcp *tcp, err_t *err)
{
    struct search *search = tcp->search;
    ASSERT(tcp->connecting);
    while (search && search->next) {
        const struct addrinfo *to = search->next;
        int fd = -1;
        search->next = to->ai_next;
        int error = start_connecting(to->ai_addr, to->ai_addrlen, &fd);
        if (error == 0) {
            io_uv_socket_replace(&tcp->socket, fd);
            io_uv_socket_set_nodelay(tcp->socket.fd);
            watch(tcp);
            return true;
        }
        *err = err_from_errno(error);
    }
    return false;
}

static void end_search(struct search *search)
{
    ASSERT(search->over && !search->tcp);
    uv_freeaddrinfo(search->found);
    mem_free(search);
}

static void leave_search(struct io_tcp *tcp)
{
    struct search *search = tcp->search;
    if (!search)
        return;
    ASSERT(search->tcp == tcp);
    tcp->search = NULL;
    search->tcp = NULL;
    if (search->over)
        end_search(search);
    else
        /* One that has begun goes on, which its end will show. */
        (void)uv_cancel((uv_req_t *)&search->request);
}

static void tell_connected(struct io_tcp *tcp, err_t err)
{
    ASSERT(tcp->connecting);
    if (!err_is_ok(err) && try_next(tcp, &err))
        return;
    leave_search(tcp);
    tcp->connecting = false;
    /* A connection that never stood has no end to report later. */
    tcp->broken = !err_is_ok(err);
    watch(tcp);
    tcp->events->connected(tcp->owner, err);
    if (is_open(tcp) && !tcp->broken && tcp->shutting && queued(tcp) == 0)
        shut_down(tcp);
}

static err_t lookup_error(int status)
{
    ASSERT(status <= 0);
    switch (status) {
    case 0: return err_ok();
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_ADDRFAMILY: return err_make(ERR_NOT_FOUND);
    case UV_EAI_MEMORY:
    case UV_ENOMEM: return err_make(ERR_MEMORY);
    default: return err_make(ERR_AGAIN);
    }
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct search *search = CONTAINER_OF(request, struct search, request);
    ASSERT(!search->over);
    search->over = true;
    search->found = found;
    search->next = found;
    if (!search->tcp) {
        end_search(search);
        return;
    }
    /* By a write that could not be kept, which has been told. */
    if (search->tcp->broken)
        return;
    err_t err = lookup_error(status);
    /* Nothing is connected yet: the first address is the next one. */
    tell_connected(search->tcp, err_is_ok(err) ? err_make(ERR_NOT_FOUND) : err);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct io_tcp *tcp = CONTAINER_OF(poll, struct io_tcp, socket.poll);
    ASSERT(is_open(tcp) && !tcp->broken);
    /* libuv has stopped watching when it reports an error. */
    if (status < 0)
        tcp->socket.watched = 0;
    if (tcp->connecting) {
        tell_connected(tcp, socket_error(tcp));
        return;
    }
    if (status < 0) {
        err_t err = socket_error(tcp);
        end(tcp, err_is_ok(err) ? err_make(ERR_IO) : err);
        return;
    }
    if (events & UV_WRITABLE)
        on_writable(tcp);
    if ((events & UV_READABLE) && is_open(tcp) && !tcp->broken)
        on_readable(tcp);
    if (is_open(tcp))
        watch(tcp);
}

static void on_closed(uv_handle_t *handle)
{
    struct io_tcp *tcp = CONTAINER_OF(handle, struct io_tcp, socket.poll);
    ASSERT(!is_open(tcp));
    if (!tcp->silent)
        tcp->events->closed(tcp->owner);
    mem_free(tcp);
}

static void tcp_close(struct io_tcp *tcp)
{
    ASSERT(tcp->events);
    leave_search(tcp);
    if (!io_uv_socket_close(&tcp->socket, on_closed))
        return;
    ASSERT(!is_open(tcp));
    tcp->reading = false;
    buf_done(&tcp->queue);
    tcp->sent = 0;
}

static void abandon(struct io_uv_socket *socket)
{
    struct io_tcp *tcp = CONTAINER_OF(socket, struct io_tcp, socket);
    ASSERT(is_open(tcp));
    tcp->silent = true;
    tcp_close(tcp);
}

static void socket_close(struct io_loop *loop, struct io_socket socket)
{
    ASSERT(loop && socket.fd >= 0);
    close(socket.fd);
}

static err_t tcp_open(struct io_loop *loop, struct io_socket socket,
                      const struct io_tcp_events *events, void *owner, struct io_tcp **out)
{
    ASSERT(events->room && events->read && events->ended && events->closed);
    err_t err = err_make(ERR_MEMORY);
    struct io_tcp *tcp = mem_zalloc(1, sizeof(*tcp));
    if (!tcp)
        goto close_socket;
    tcp->events = events;
    tcp->owner = owner;
    err = io_uv_socket_init(&tcp->socket, loop, socket.fd, abandon);
    if (!err_is_ok(err))
        goto free_tcp;
    io_uv_socket_set_nodelay(socket.fd);
    *out = tcp;
    return err_ok();

free_tcp:
    mem_free(tcp);
close_socket:
    close(socket.fd);
    return err;
}

static err_t connect_failed(int error, const char *address, struct err_text *why)
{
    ASSERT(error > 0);
    char text[128];
    return err_set(why, (enum err_code)err_from_errno(error).code, "cannot connect to %s: %s",
                   address, strerror_r(error, text, sizeof(text)));
}

static err_t connect_name(struct io_loop *loop, const struct io_uv_name *name,
                          const struct io_tcp_events *events, void *owner, struct io_tcp **out)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    ASSERT(name->host[0]);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    struct io_tcp *tcp = NULL;
    TRY(tcp_open(loop, (struct io_socket){.fd = fd}, events, owner, &tcp));
    struct search *search = mem_zalloc(1, sizeof(*search));
    int status = UV_ENOMEM;
    if (search)
        status = uv_getaddrinfo(&io_uv_loop_of(loop)->uv, &search->request, on_found, name->host,
                                name->port, &hints);
    if (status < 0) {
        mem_free(search);
        abandon(&tcp->socket);
        return err_from_errno(-status);
    }
    search->tcp = tcp;
    tcp->search = search;
    tcp->connecting = true;
    *out = tcp;
    return err_ok();
}

static err_t tcp_connect(struct io_loop *loop, const char *address,
                         const struct io_tcp_events *events, void *owner, struct io_tcp **out,
                         struct err_text *why)
{
    ASSERT(events->connected);
    struct io_uv_name name;
    struct io_uv_address where;
    if (io_uv_address_is_name(address, &name))
        return connect_name(loop, &name, events, owner, out);
    TRY(io_uv_address_parse(address, &where, why));
    int fd = -1;
    int error = start_connecting((const struct sockaddr *)&where.storage, where.size, &fd);
    if (error != 0)
        return connect_failed(error, address, why);
    struct io_tcp *tcp = NULL;
    TRY(tcp_open(loop, (struct io_socket){.fd = fd}, events, owner, &tcp));
    tcp->connecting = true;
    watch(tcp);
    *out = tcp;
    return err_ok();
}

static void read_start(struct io_tcp *tcp)
{
    if (!is_open(tcp) || tcp->broken || tcp->at_end)
        return;
    tcp->reading = true;
    watch(tcp);
    ASSERT(tcp->connecting || (tcp->socket.watched & UV_READABLE));
}

static void read_stop(struct io_tcp *tcp)
{
    ASSERT(tcp->events);
    tcp->reading = false;
}

static size_t write_queued(const struct io_tcp *tcp)
{
    ASSERT(tcp->events);
    return queued(tcp);
}

static void tcp_shutdown(struct io_tcp *tcp)
{
    ASSERT(tcp->events);
    if (!is_open(tcp) || tcp->broken || tcp->shutting)
        return;
    tcp->shutting = true;
    if (queued(tcp) == 0 && !tcp->connecting)
        shut_down(tcp);
}

const struct io_tcp_ops io_uv_tcp_ops = {
    .listen = io_uv_listen,
    .listener_port = io_uv_listener_port,
    .listener_close = io_uv_listener_close,
    .open = tcp_open,
    .connect = tcp_connect,
    .socket_close = socket_close,
    .read_start = read_start,
    .read_stop = read_stop,
    .write = tcp_write,
    .write_queued = write_queued,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
};
