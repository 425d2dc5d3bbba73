#pragma once

/*
 * A server on a fake loop with a handler that does what the path says:
 *   /echo   takes the body and answers with it
 *   /later  takes the body, keeps the request; the test answers
 *   /wait   waits until the test lets the body be read, then as /echo
 *   /large  answers with `large_size` bytes
 *   others  are answered 404 at once
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "net/http/server.h"
#include "unit/net/fake_tcp.h"

#define LATER_MAX 256

struct fixture {
    struct fake_loop *fake;
    struct net_http_server *server;
    struct net_http_limits limits;
    size_t body_max;
    size_t large_size;
    struct net_http_request *later[LATER_MAX];
    size_t later_count;
    struct net_http_request *waiting;
    unsigned heads;
    unsigned bodies;
    unsigned aborts;
    unsigned stopped;
    bool pressed;
    bool grants; /* what one lets go of, the one that waits has */
    const uint8_t *body_at;
    struct fake_bytes last_body;
    size_t held_requests; /* ACCEPT or WAIT, and neither body nor abort yet */
};

struct fixture_state {
    char path[16];
};

static inline enum net_http_verdict fixture_head(void *owner, struct net_http_request *request,
                                                 const struct net_http_head *head)
{
    struct fixture *f = owner;
    struct fixture_state *state = net_http_request_state(request);
    assert_ptr_equal(net_http_request_owner(request), f);
    assert_int_equal(state->path[0], 0);
    f->heads++;
    snprintf(state->path, sizeof(state->path), "%.*s", SLICE_PRINTF(head->path));
    bool known = strcmp(state->path, "/echo") == 0 || strcmp(state->path, "/later") == 0 ||
                 strcmp(state->path, "/wait") == 0 || strcmp(state->path, "/large") == 0;
    if (!known) {
        net_http_reply_error(request, 404, NULL, NULL, "nothing at %s", state->path);
        return NET_HTTP_ANSWERED;
    }
    if (head->fields.length > f->body_max) {
        net_http_reply_error(request, 413, NULL, NULL, "over %zu", f->body_max);
        return NET_HTTP_ANSWERED;
    }
    net_http_request_limit(request, f->body_max);
    f->held_requests++;
    if (strcmp(state->path, "/wait") != 0)
        return NET_HTTP_ACCEPT;
    f->waiting = request;
    return NET_HTTP_WAIT;
}

static inline void fixture_body(void *owner, struct net_http_request *request, struct slice body)
{
    struct fixture *f = owner;
    const struct fixture_state *state = net_http_request_state(request);
    f->bodies++;
    f->held_requests--;
    f->body_at = body.data;
    f->last_body.size = 0;
    fake_append(&f->last_body, body.data ? (const void *)body.data : "", body.size);
    if (strcmp(state->path, "/later") == 0) {
        assert_in_range(f->later_count, 0, LATER_MAX - 1);
        f->later[f->later_count++] = request;
    } else if (strcmp(state->path, "/large") == 0) {
        char *large = calloc(1, f->large_size);
        memset(large, 'x', f->large_size);
        net_http_reply(request, &(struct net_http_response){
                                    .status = 200, .body = slice_make(large, f->large_size)});
        free(large);
    } else {
        net_http_reply(request, &(struct net_http_response){
                                    .status = 200, .content_type = "text/plain", .body = body});
    }
}

static inline void fixture_abort(void *owner, struct net_http_request *request)
{
    struct fixture *f = owner;
    f->aborts++;
    f->held_requests--;
    if (f->waiting == request)
        f->waiting = NULL;
    if (!f->grants || !f->waiting)
        return;
    /* Time goes on within a turn too. */
    f->fake->now_ns++;
    net_http_body_start(f->waiting);
    f->waiting = NULL;
}

static inline bool fixture_is_pressed(void *owner)
{
    const struct fixture *f = owner;
    return f->pressed;
}

static const struct net_http_handler fixture_handler = {
    .state_size = sizeof(struct fixture_state),
    .on_head = fixture_head,
    .on_body = fixture_body,
    .on_abort = fixture_abort,
    .is_pressed = fixture_is_pressed,
};

static inline struct fixture *fixture_new(const struct net_http_limits *limits)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    f->body_max = 1 << 20;
    f->large_size = 1 << 16;
    net_http_limits_init(&f->limits);
    if (limits)
        f->limits = *limits;
    assert_true(err_is_ok(
        net_http_server_new(&f->fake->loop, &f->limits, &fixture_handler, f, &f->server)));
    return f;
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
        net_http_server_stop(f->server, 0, fixture_stopped, f);
        fake_advance(f->fake, 5000);
    }
    assert_int_equal(f->stopped, 1);
    assert_int_equal(f->held_requests, 0);
    assert_int_equal(net_http_server_counters(f->server)->net.connections_open, 0);
    net_http_server_free(&f->server);
    assert_null(f->server);
    assert_int_equal(f->fake->timer_count, 0);
    for (int i = 0; i < f->fake->tcp_count; i++)
        assert_true(f->fake->tcps[i]->closed_told);
    fake_loop_free(f->fake);
    free(f->last_body.data);
    free(f);
}

/* A client's connection. */
static inline struct io_tcp *fixture_connect(struct fixture *f)
{
    int before = f->fake->tcp_count;
    net_http_server_adopt(f->server, (struct io_socket){.fd = before});
    fake_run(f->fake);
    return f->fake->tcp_count > before ? f->fake->tcps[before] : NULL;
}

/* Sends and lets the server work. */
static inline void fixture_send(struct fixture *f, struct io_tcp *tcp, const char *text)
{
    fake_send_text(tcp, text);
    fake_run(f->fake);
}

static inline void fixture_reply(struct fixture *f, size_t index, const char *text)
{
    net_http_reply(f->later[index],
                   &(struct net_http_response){.status = 200, .body = slice_string(text)});
    fake_run(f->fake);
}

#define ECHO_REQUEST "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
#define LATER_REQUEST "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
