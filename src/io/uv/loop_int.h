#pragma once

/*
 * The inside of a loop of libuv, for the files of this folder alone.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "io/heap.h"
#include "io/uv/uv.h"

/* A queue of tasks in the order they were added. */
struct io_uv_queue {
    struct task *first;
    struct task **last;
};

struct io_uv_loop {
    struct io_loop io;
    uv_loop_t uv;
    uv_async_t wake;  /* the mailbox is no longer empty */
    uv_timer_t clock; /* set for the timer that is due first */
    uv_check_t after; /* runs `deferred` once what could be read has been read */
    uv_idle_t busy;   /* active while `deferred` is not empty, so that polling does not wait */
    struct io_heap timers;
    uint64_t clock_ns; /* when `clock` fires, UINT64_MAX when it does not */
    struct io_uv_queue deferred;
    struct task stop;
    _Atomic(bool) stopping;
    pthread_t thread;
    bool started; /* `thread` is there to be joined */
    bool freeing; /* libuv's handles are gone or going */
    /* What every thread writes is in a cache line of its own. */
    _Alignas(64) _Atomic(struct task *) mail; /* newest first */
};

/* What a connection and a listener begin with: a descriptor that the loop watches. */
struct io_uv_socket {
    uv_poll_t poll;
    int fd;                                       /* -1 once it is closed */
    int watched;                                  /* UV_READABLE | UV_WRITABLE, as libuv knows it */
    void (*abandon)(struct io_uv_socket *socket); /* closes it without a callback to its owner */
};

/* The loop behind the interface. */
struct io_uv_loop *io_uv_loop_of(struct io_loop *loop);
/* Frees a signal's watch when the loop is freed. */
void io_uv_signal_abandon(uv_handle_t *handle);
/* Starts a thread whose name is cut to what the system keeps (15 bytes). */
err_t io_uv_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);

/* Takes over `fd`, not blocking, as a socket of `loop`; nothing is watched yet. On failure `fd` is
 * still the caller's. */
err_t io_uv_socket_init(struct io_uv_socket *socket, struct io_loop *loop, int fd,
                        void (*abandon)(struct io_uv_socket *socket));
/* Calls `ready` when the descriptor can be read or written, by `events`; 0 watches nothing. */
void io_uv_socket_watch(struct io_uv_socket *socket, int events, uv_poll_cb ready);
/* Puts `fd`, which is taken over, in the place of the descriptor that there is; nothing is watched
 * after that. */
void io_uv_socket_replace(struct io_uv_socket *socket, int fd);
/* Closes the descriptor and, in a later turn, calls `closed` with the handle, which may then be
 * freed. False when that was done before. */
bool io_uv_socket_close(struct io_uv_socket *socket, uv_close_cb closed);
/* Turns Nagle's algorithm off: what is written has been gathered already. */
void io_uv_socket_set_nodelay(int fd);

/* The sockets' calls, for struct io_loop; the listener's are in a file of their own. */
extern const struct io_tcp_ops io_uv_tcp_ops;
err_t io_uv_listen(struct io_loop *loop, const char *address, const struct io_listener_events *ev,
                   void *owner, struct io_listener **out, struct err_text *why);
uint16_t io_uv_listener_port(const struct io_listener *listener);
void io_uv_listener_close(struct io_listener *listener);
