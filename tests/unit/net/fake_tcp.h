#pragma once

/*
 * A loop and its sockets without a system: time stands still until a test moves it, bytes come
 * from the test in pieces as it likes, and what is written is kept for it to look at. Memory is
 * the C library's, so that failing allocations hit only the product.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tcp.h"

#define FAKE_TCPS_MAX 20000
#define FAKE_TIMERS_MAX 256

struct fake_bytes {
    char *data;
    size_t size;
    size_t capacity;
};

struct io_tcp {
    struct fake_loop *fake;
    const struct io_tcp_events *events;
    void *owner;
    bool reading;
    bool closed;
    bool closed_told;
    bool connecting;
    bool shut;
    bool ended; /* by the peer, behind what is in `in` */
    bool ended_told;
    err_t end_error;
    bool stuck; /* the kernel takes nothing */
    bool write_fails;
    size_t queued;
    size_t piece; /* bytes a read; 0: all */
    size_t taken; /* of `in` */
    unsigned writes;
    struct fake_bytes in;
    struct fake_bytes out;
};

struct io_listener {
    struct fake_loop *fake;
    const struct io_listener_events *events;
    void *owner;
    bool closed;
};

struct fake_loop {
    struct io_loop loop;
    struct task *posted;
    struct task **posted_tail;
    struct task *deferred;
    struct task **deferred_tail;
    uint64_t now_ns;
    int64_t wall_ms;
    unsigned randoms;
    struct io_timer *timers[FAKE_TIMERS_MAX];
    size_t timer_count;
    struct io_tcp *tcps[FAKE_TCPS_MAX]; /* by descriptor, or in order of connecting */
    int tcp_count;
    unsigned sockets_closed;
    bool open_fails;
    bool listen_fails;
    struct io_listener *listener;
};

static inline void fake_append(struct fake_bytes *b, const void *data, size_t size)
{
    if (b->size + size + 1 > b->capacity) {
        b->capacity = (b->size + size + 1) * 2;
        b->data = realloc(b->data, b->capacity);
        assert(b->data);
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = '\0';
}

static inline struct fake_loop *fake_of(struct io_loop *loop)
{
    return (struct fake_loop *)(void *)loop;
}

static inline void fake_post(struct io_loop *loop, struct task *task)
{
    struct fake_loop *fake = fake_of(loop);
    task->next = NULL;
    *fake->posted_tail = task;
    fake->posted_tail = &task->next;
}

static inline void fake_defer(struct io_loop *loop, struct task *task)
{
    struct fake_loop *fake = fake_of(loop);
    task->next = NULL;
    *fake->deferred_tail = task;
    fake->deferred_tail = &task->next;
}

static inline uint64_t fake_now_ns(struct io_loop *loop)
{
    return fake_of(loop)->now_ns;
}

static inline int64_t fake_wall_ms(struct io_loop *loop)
{
    return fake_of(loop)->wall_ms;
}

/* Different each time, the same in each run. */
static inline void fake_random(struct io_loop *loop, void *out, size_t size)
{
    struct fake_loop *fake = fake_of(loop);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)(++fake->randoms * 151 >> 2);
}

static inline void fake_timer_stop(struct io_loop *loop, struct io_timer *timer)
{
    struct fake_loop *fake = fake_of(loop);
    for (size_t i = 0; i < fake->timer_count; i++) {
        if (fake->timers[i] == timer) {
            fake->timers[i] = fake->timers[--fake->timer_count];
            return;
        }
    }
}

static inline void fake_timer_start(struct io_loop *loop, struct io_timer *timer, uint64_t delay_ns)
{
    struct fake_loop *fake = fake_of(loop);
    fake_timer_stop(loop, timer);
    assert(fake->timer_count < FAKE_TIMERS_MAX);
    timer->due_ns = fake->now_ns + delay_ns;
    fake->timers[fake->timer_count++] = timer;
}

static inline struct io_tcp *fake_tcp_new(struct fake_loop *fake,
                                          const struct io_tcp_events *events, void *owner)
{
    assert(fake->tcp_count < FAKE_TCPS_MAX);
    struct io_tcp *tcp = calloc(1, sizeof(*tcp));
    assert(tcp);
    tcp->fake = fake;
    tcp->events = events;
    tcp->owner = owner;
    fake->tcps[fake->tcp_count++] = tcp;
    return tcp;
}

static inline err_t fake_open(struct io_loop *loop, struct io_socket socket,
                              const struct io_tcp_events *events, void *owner, struct io_tcp **out)
{
    struct fake_loop *fake = fake_of(loop);
    (void)socket;
    if (fake->open_fails)
        return err_make(ERR_MEMORY);
    *out = fake_tcp_new(fake, events, owner);
    return err_ok();
}

static inline err_t fake_connect(struct io_loop *loop, const char *address,
                                 const struct io_tcp_events *events, void *owner,
                                 struct io_tcp **out, struct err_text *why)
{
    if (strcmp(address, "nowhere") == 0)
        return err_set(why, ERR_INVALID, "nowhere is no address");
    *out = fake_tcp_new(fake_of(loop), events, owner);
    (*out)->connecting = true;
    return err_ok();
}

static inline void fake_socket_close(struct io_loop *loop, struct io_socket socket)
{
    (void)socket;
    fake_of(loop)->sockets_closed++;
}

static inline void fake_read_start(struct io_tcp *tcp)
{
    assert(!tcp->closed);
    tcp->reading = true;
}

static inline void fake_read_stop(struct io_tcp *tcp)
{
    assert(!tcp->closed);
    tcp->reading = false;
}

static inline err_t fake_write(struct io_tcp *tcp, const struct slice *parts, size_t count)
{
    assert(!tcp->closed && !tcp->shut && count > 0);
    if (tcp->write_fails)
        return err_make(ERR_CLOSED);
    tcp->writes++;
    for (size_t i = 0; i < count; i++) {
        fake_append(&tcp->out, parts[i].data, parts[i].size);
        if (tcp->stuck)
            tcp->queued += parts[i].size;
    }
    return err_ok();
}

static inline size_t fake_write_queued(const struct io_tcp *tcp)
{
    assert(!tcp->closed);
    return tcp->queued;
}

static inline void fake_shutdown(struct io_tcp *tcp)
{
    assert(!tcp->closed);
    tcp->shut = true;
}

static inline void fake_close(struct io_tcp *tcp)
{
    tcp->closed = true;
}

static inline err_t fake_listen(struct io_loop *loop, const char *address,
                                const struct io_listener_events *events, void *owner,
                                struct io_listener **out, struct err_text *why)
{
    struct fake_loop *fake = fake_of(loop);
    if (fake->listen_fails)
        return err_set(why, ERR_IN_USE, "%s is taken", address);
    struct io_listener *listener = calloc(1, sizeof(*listener));
    assert(listener && !fake->listener);
    *listener = (struct io_listener){.fake = fake, .events = events, .owner = owner};
    fake->listener = *out = listener;
    return err_ok();
}

static inline uint16_t fake_listener_port(const struct io_listener *listener)
{
    (void)listener;
    return 4711;
}

static inline void fake_listener_close(struct io_listener *listener)
{
    listener->closed = true;
}

static const struct io_loop_ops fake_loop_ops = {
    .post = fake_post,
    .defer = fake_defer,
    .now_ns = fake_now_ns,
    .wall_ms = fake_wall_ms,
    .random = fake_random,
    .timer_start = fake_timer_start,
    .timer_stop = fake_timer_stop,
};

static const struct io_tcp_ops fake_tcp_ops = {
    .listen = fake_listen,
    .listener_port = fake_listener_port,
    .listener_close = fake_listener_close,
    .open = fake_open,
    .connect = fake_connect,
    .socket_close = fake_socket_close,
    .read_start = fake_read_start,
    .read_stop = fake_read_stop,
    .write = fake_write,
    .write_queued = fake_write_queued,
    .shutdown = fake_shutdown,
    .close = fake_close,
};

static inline struct fake_loop *fake_loop_new(void)
{
    struct fake_loop *fake = calloc(1, sizeof(*fake));
    assert(fake);
    fake->loop = (struct io_loop){&fake_loop_ops, &fake_tcp_ops};
    fake->posted_tail = &fake->posted;
    fake->deferred_tail = &fake->deferred;
    fake->now_ns = 1000 * IO_SECOND;
    fake->wall_ms = 1445412480000; /* Wed, 21 Oct 2015 07:28:00 GMT */
    return fake;
}

static inline void fake_loop_free(struct fake_loop *fake)
{
    for (int i = 0; i < fake->tcp_count; i++) {
        free(fake->tcps[i]->in.data);
        free(fake->tcps[i]->out.data);
        free(fake->tcps[i]);
    }
    free(fake->listener);
    free(fake);
}

/* Runs everything in one of the loop's two queues; true when there was something. */
static inline bool fake_run_queue(struct task **head, struct task ***tail)
{
    struct task *task = *head;
    *head = NULL;
    *tail = head;
    bool any = task;
    while (task) {
        struct task *next = task->next;
        task->run(task);
        task = next;
    }
    return any;
}

/* One event of a socket; true when there was one. */
static inline bool fake_pump(struct io_tcp *tcp)
{
    if (tcp->closed_told)
        return false;
    if (tcp->closed) {
        tcp->closed_told = true;
        tcp->events->closed(tcp->owner);
        return true;
    }
    if (tcp->connecting) {
        tcp->connecting = false;
        tcp->events->connected(tcp->owner, tcp->end_error);
        return true;
    }
    if (!tcp->reading || tcp->ended_told)
        return false;
    size_t size = tcp->in.size - tcp->taken;
    if (size) {
        struct io_room room = tcp->events->room(tcp->owner);
        assert(room.data && room.size);
        if (tcp->piece && size > tcp->piece)
            size = tcp->piece;
        if (size > room.size)
            size = room.size;
        memcpy(room.data, tcp->in.data + tcp->taken, size);
        tcp->taken += size;
        tcp->events->read(tcp->owner, size);
        return true;
    }
    if (!tcp->ended)
        return false;
    tcp->ended_told = true;
    tcp->reading = false;
    tcp->events->ended(tcp->owner, tcp->end_error);
    return true;
}

/* As the real one: several reads before what is deferred. */
static inline bool fake_pump_turn(struct io_tcp *tcp)
{
    bool any = false;
    for (int i = 0; i < 4 && fake_pump(tcp); i++)
        any = true;
    return any;
}

/* Until nothing is left to do at this time. */
static inline void fake_run(struct fake_loop *fake)
{
    bool any = true;
    while (any) {
        any = fake_run_queue(&fake->posted, &fake->posted_tail);
        for (int i = 0; i < fake->tcp_count; i++)
            any |= fake_pump_turn(fake->tcps[i]);
        any |= fake_run_queue(&fake->deferred, &fake->deferred_tail);
    }
}

/* Moves time on, running what becomes due in its order. */
static inline void fake_advance(struct fake_loop *fake, uint64_t ms)
{
    uint64_t end_ns = fake->now_ns + ms * IO_MS;
    fake_run(fake);
    for (;;) {
        struct io_timer *first = NULL;
        for (size_t i = 0; i < fake->timer_count; i++)
            if (!first || fake->timers[i]->due_ns < first->due_ns)
                first = fake->timers[i];
        if (!first || first->due_ns > end_ns)
            break;
        fake->now_ns = first->due_ns;
        fake_timer_stop(&fake->loop, first);
        first->run(first);
        fake_run(fake);
    }
    fake->now_ns = end_ns;
}

static inline void fake_send(struct io_tcp *tcp, const void *data, size_t size)
{
    fake_append(&tcp->in, data, size);
}

static inline void fake_send_text(struct io_tcp *tcp, const char *text)
{
    fake_append(&tcp->in, text, strlen(text));
}

/* The peer ends, after what it has sent. */
static inline void fake_end(struct io_tcp *tcp, enum err_code code)
{
    tcp->ended = true;
    tcp->end_error = err_make(code);
}

/* The kernel takes all that was queued. */
static inline void fake_drain(struct io_tcp *tcp)
{
    tcp->stuck = false;
    tcp->queued = 0;
    if (!tcp->closed && tcp->events->drained)
        tcp->events->drained(tcp->owner);
}

static inline const char *fake_written(const struct io_tcp *tcp)
{
    return tcp->out.data ? tcp->out.data : "";
}

static inline void fake_forget_written(struct io_tcp *tcp)
{
    tcp->out.size = 0;
    if (tcp->out.data)
        tcp->out.data[0] = '\0';
}

/* How often `text` was written. */
static inline unsigned fake_count(const struct io_tcp *tcp, const char *text)
{
    unsigned count = 0;
    for (const char *at = strstr(fake_written(tcp), text); at; at = strstr(at + 1, text))
        count++;
    return count;
}
