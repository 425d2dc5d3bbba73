#pragma once

/*
 * TCP sockets of a loop. A connection belongs to one loop; its callbacks run there. Bytes are
 * read straight to where the owner wants them; not reading is how pressure goes back to the
 * peer. What is written is sent at once as far as the kernel takes it; the rest is copied and
 * sent when it can be.
 */

#include "base/assert.h"
#include "base/slice.h"
#include "io/loop.h"

struct io_tcp;
struct io_listener;

/* Room to read into. */
struct io_room {
    uint8_t *data;
    size_t size;
};

/* All are called with the `owner` given at open or connect, never inside a call to this header. */
struct io_tcp_events {
    /* After io_tcp_connect: connected, or why not (the connection must still be closed). */
    void (*connected)(void *owner, err_t err);
    /* Where the next bytes go; size is not 0. It stays valid until `read` returns. */
    struct io_room (*room)(void *owner);
    /* `size` bytes have been put at the front of the last room. */
    void (*read)(void *owner, size_t size);
    /* The peer will send no more (ERR_END), or the connection broke (any other error). Nothing
     * more is read; it must still be closed. A connection at its end can be written to, and may
     * break after that: `ended` is then called once more. */
    void (*ended)(void *owner, err_t err);
    /* Everything written has gone to the kernel, after a time when it had not. May be NULL. */
    void (*drained)(void *owner);
    /* After io_tcp_close: no callback follows, the owner may be freed. */
    void (*closed)(void *owner);
};

/* The longest text of an IPv6 address, and a zero. */
#define IO_PEER_SIZE 46

/* A socket between two loops: made by a listener, given to io_tcp_open on any one loop, or closed
 * with io_socket_close. */
struct io_socket {
    int fd;
    char peer[IO_PEER_SIZE]; /* the address of who has connected, without a port; "": not known */
};

struct io_listener_events {
    /* A connection has come. The socket is the owner's. */
    void (*accepted)(void *owner, struct io_socket socket);
    /* Accepting failed (ERR_FD_LIMIT mostly); it goes on by itself after a pause. */
    void (*failed)(void *owner, err_t err);
    void (*closed)(void *owner);
};

struct io_tcp_ops {
    err_t (*listen)(struct io_loop *loop, const char *address, const struct io_listener_events *ev,
                    void *owner, struct io_listener **out, struct err_text *why);
    uint16_t (*listener_port)(const struct io_listener *listener);
    void (*listener_close)(struct io_listener *listener);
    err_t (*open)(struct io_loop *loop, struct io_socket socket, const struct io_tcp_events *ev,
                  void *owner, struct io_tcp **out);
    err_t (*connect)(struct io_loop *loop, const char *address, const struct io_tcp_events *ev,
                     void *owner, struct io_tcp **out, struct err_text *why);
    void (*socket_close)(struct io_loop *loop, struct io_socket socket);
    void (*read_start)(struct io_tcp *tcp);
    void (*read_stop)(struct io_tcp *tcp);
    err_t (*write)(struct io_tcp *tcp, const struct slice *parts, size_t count);
    size_t (*write_queued)(const struct io_tcp *tcp);
    void (*shutdown)(struct io_tcp *tcp);
    void (*close)(struct io_tcp *tcp);
};

/* Listens on `address`, "host:port" with a literal IPv4 or [IPv6] address or "localhost"; port 0
 * takes a free one. Detail names the address and what to do (ERR_IN_USE, ERR_PERMISSION). */
static inline err_t io_listen(struct io_loop *loop, const char *address,
                              const struct io_listener_events *events, void *owner,
                              struct io_listener **out, struct err_text *why)
{
    ASSERT(loop->tcp && out);
    return loop->tcp->listen(loop, address, events, owner, out, why);
}

/* The port it listens on, host order. */
static inline uint16_t io_listener_port(struct io_loop *loop, const struct io_listener *listener)
{
    ASSERT(loop->tcp && listener);
    return loop->tcp->listener_port(listener);
}

/* Stops accepting; `closed` follows. */
static inline void io_listener_close(struct io_loop *loop, struct io_listener *listener)
{
    ASSERT(loop->tcp && listener);
    loop->tcp->listener_close(listener);
}

/* Makes a connection of `loop` from an accepted socket (TCP_NODELAY set). Reading is not started.
 * On failure the socket is closed. */
static inline err_t io_tcp_open(struct io_loop *loop, struct io_socket socket,
                                const struct io_tcp_events *events, void *owner,
                                struct io_tcp **out)
{
    ASSERT(loop->tcp);
    return loop->tcp->open(loop, socket, events, owner, out);
}

/* Starts to connect; `connected` follows. Here the host may be any name: its addresses are tried in
 * turn, and `connected` tells what the last came to. ERR_NOT_FOUND: no such name; ERR_AGAIN: it
 * cannot be looked up at the moment. */
static inline err_t io_tcp_connect(struct io_loop *loop, const char *address,
                                   const struct io_tcp_events *events, void *owner,
                                   struct io_tcp **out, struct err_text *why)
{
    ASSERT(loop->tcp && out);
    return loop->tcp->connect(loop, address, events, owner, out, why);
}

/* Closes a socket that no connection was made of. */
static inline void io_socket_close(struct io_loop *loop, struct io_socket socket)
{
    ASSERT(loop->tcp);
    loop->tcp->socket_close(loop, socket);
}

static inline void io_tcp_read_start(struct io_loop *loop, struct io_tcp *tcp)
{
    ASSERT(loop->tcp && tcp);
    loop->tcp->read_start(tcp);
}

static inline void io_tcp_read_stop(struct io_loop *loop, struct io_tcp *tcp)
{
    ASSERT(loop->tcp && tcp);
    loop->tcp->read_stop(tcp);
}

/* Sends the parts in order. ERR_MEMORY or ERR_CLOSED when they cannot be sent or kept; the
 * connection is then only good for closing. */
static inline err_t io_tcp_write(struct io_loop *loop, struct io_tcp *tcp,
                                 const struct slice *parts, size_t count)
{
    ASSERT(parts || count == 0);
    return loop->tcp->write(tcp, parts, count);
}

/* Bytes written that the kernel has not taken yet. */
static inline size_t io_tcp_write_queued(struct io_loop *loop, const struct io_tcp *tcp)
{
    ASSERT(loop->tcp && tcp);
    return loop->tcp->write_queued(tcp);
}

/* Says to the peer that no more will be sent, after what is queued. */
static inline void io_tcp_shutdown(struct io_loop *loop, struct io_tcp *tcp)
{
    ASSERT(loop->tcp && tcp);
    loop->tcp->shutdown(tcp);
}

/* Closes at once (what is queued is dropped); `closed` follows. Harmless when called twice. */
static inline void io_tcp_close(struct io_loop *loop, struct io_tcp *tcp)
{
    ASSERT(loop->tcp && tcp);
    loop->tcp->close(tcp);
}
