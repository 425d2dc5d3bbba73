#pragma once

/*
 * A server on a fake loop with a handler that does what a request's first byte says:
 *   e  answers with the request's bytes
 *   l  keeps it; the test ends it
 *   n  has no answer
 *   r  is refused
 * A request of `wait_size` bytes waits until the test lets it be read, one of `refuse_size` is
 * refused by its size.
 */

#include "base/alloc.h"
#include "base/cursor.h"
#include "lib/unit.h"
#include "net/kafka/server_int.h"
#include "unit/net/fake_tcp.h"

#define LATER_MAX 256

struct fixture {
    struct fake_loop *fake;
    struct net_kafka_server *server;
    uint32_t wait_size;
    uint32_t refuse_size;
    struct net_kafka_request *waiting;
    struct net_kafka_request *later[LATER_MAX];
    size_t later_count;
    unsigned sizes;
    unsigned requests;
    unsigned aborts;
    unsigned gone;
    unsigned closes;
    unsigned stopped;
    bool pressed;
    bool grants; /* what one lets go of, the one that waits has */
};

static inline enum net_kafka_intake fixture_on_size(void *owner, struct net_kafka_request *request,
                                                    uint32_t size)
{
    struct fixture *f = owner;
    assert_int_equal(*(uint64_t *)net_kafka_request_state(request), 0);
    assert_string_equal(net_kafka_request_peer(request), "192.0.2.7");
    f->sizes++;
    (*(unsigned *)net_kafka_request_session(request))++;
    if (size == f->refuse_size)
        return NET_KAFKA_REFUSE;
    if (size != f->wait_size)
        return NET_KAFKA_READ;
    f->waiting = request;
    return NET_KAFKA_WAIT;
}

static inline void fixture_on_request(void *owner, struct net_kafka_request *request,
                                      struct slice bytes)
{
    struct fixture *f = owner;
    uint8_t what = bytes.size ? bytes.data[0] : 'n';
    f->requests++;
    *(uint64_t *)net_kafka_request_state(request) = f->requests;
    struct buf answer = {0};
    if (what == 'e') {
        buf_add_slice(&answer, bytes);
        net_kafka_reply(request, &answer);
        assert_null(answer.data);
    } else if (what == 'n') {
        net_kafka_reply_none(request);
    } else if (what == 'r') {
        net_kafka_refuse(request);
    } else {
        assert_in_range(f->later_count, 0, LATER_MAX - 1);
        f->later[f->later_count++] = request;
    }
}

static inline void fixture_on_abort(void *owner, struct net_kafka_request *request)
{
    struct fixture *f = owner;
    f->aborts++;
    if (f->waiting == request)
        f->waiting = NULL;
    if (!f->grants || !f->waiting)
        return;
    /* Time goes on within a turn too. */
    f->fake->now_ns++;
    net_kafka_request_start(f->waiting);
    f->waiting = NULL;
}

static inline bool fixture_is_pressed(void *owner)
{
    const struct fixture *f = owner;
    return f->pressed;
}

static inline void fixture_on_gone(void *owner, struct net_kafka_request *request)
{
    struct fixture *f = owner;
    assert_true(net_kafka_request_gone(request));
    f->gone++;
}

static inline void fixture_on_close(void *owner, void *session)
{
    struct fixture *f = owner;
    assert_in_range(*(unsigned *)session, 0, f->sizes);
    f->closes++;
}

static const struct net_kafka_handler fixture_handler = {
    .session_size = sizeof(unsigned),
    .state_size = sizeof(uint64_t),
    .on_size = fixture_on_size,
    .on_request = fixture_on_request,
    .is_pressed = fixture_is_pressed,
    .on_abort = fixture_on_abort,
    .on_gone = fixture_on_gone,
    .on_close = fixture_on_close,
};

static inline struct fixture *fixture_new(const struct net_kafka_limits *limits)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->fake = fake_loop_new();
    f->wait_size = f->refuse_size = UINT32_MAX;
    assert_true(
        err_is_ok(net_kafka_server_new(&f->fake->loop, limits, &fixture_handler, f, &f->server)));
    return f;
}

static inline const struct net_kafka_counters *fixture_counters(const struct fixture *f)
{
    return net_kafka_server_counters(f->server);
}

static inline void fixture_stopped(void *owner)
{
    struct fixture *f = owner;
    f->stopped++;
}

/* Stops, checks that nothing is left, frees. */
static inline void fixture_free(struct fixture *f)
{
    if (!f->stopped) {
        net_kafka_server_stop(f->server, 0, fixture_stopped, f);
        fake_advance(f->fake, 5000);
    }
    assert_int_equal(f->stopped, 1);
    assert_int_equal(fixture_counters(f)->net.connections_open, 0);
    assert_int_equal(fixture_counters(f)->bytes_unsent, 0);
    assert_int_equal(f->closes, fixture_counters(f)->net.connections_total);
    net_kafka_server_free(&f->server);
    assert_null(f->server);
    assert_int_equal(f->fake->timer_count, 0);
    fake_loop_free(f->fake);
    free(f);
}

/* A client's connection. */
static inline struct io_tcp *fixture_connect(struct fixture *f)
{
    int before = f->fake->tcp_count;
    net_kafka_server_adopt(f->server, (struct io_socket){.fd = before, .peer = "192.0.2.7"});
    fake_run(f->fake);
    return f->fake->tcp_count > before ? f->fake->tcps[before] : NULL;
}

/* A request of the text, with its size in front. */
static inline void fixture_request(struct io_tcp *tcp, const char *text)
{
    uint8_t size[4];
    put_u32be(size, (uint32_t)strlen(text));
    fake_send(tcp, size, sizeof(size));
    fake_send_text(tcp, text);
}

static inline void fixture_send(struct fixture *f, struct io_tcp *tcp, const char *text)
{
    fixture_request(tcp, text);
    fake_run(f->fake);
}

static inline void fixture_reply(struct fixture *f, size_t index, const char *text)
{
    struct buf answer = {0};
    buf_add_string(&answer, text);
    net_kafka_reply(f->later[index], &answer);
    fake_run(f->fake);
}

/* All that was written are answers of these texts, one after another. */
static inline void assert_answers(const struct io_tcp *tcp, const char *const *texts, size_t count)
{
    struct slice out = slice_make(tcp->out.data, tcp->out.size);
    for (size_t i = 0; i < count; i++) {
        assert_true(out.size >= 4);
        size_t size = get_u32be(out.data);
        assert_slice(slice_sub(out, 4, size), texts[i]);
        out = slice_sub(out, 4 + size, out.size);
    }
    assert_int_equal(out.size, 0);
}

#define assert_answered(tcp, ...)                                                                  \
    assert_answers(tcp, (const char *const[]){__VA_ARGS__},                                        \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
