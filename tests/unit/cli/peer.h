#pragma once

/*
 * A small HTTP server in the same process, on a loop and thread of its own, for the commands that
 * talk to a real one. A test gives it one function that answers; what that function keeps is read
 * once the peer has ended.
 */

#include "base/list.h"
#include "io/uv/uv.h"
#include "lib/unit.h"
#include "net/http/server.h"
#include "net/listener.h"

struct peer {
    /* Runs on the peer's thread; answers each request once. */
    void (*answer)(struct peer *peer, struct net_http_request *request, struct slice body);
    struct io_loop *loop;
    struct net_http_server *server;
    struct net_listener *listener;
    struct task stop;
    struct task stop_server;
    char address[64];
    char target[256]; /* of the last request */
    unsigned requests;
    void *context; /* the test's */
};

static inline enum net_http_verdict peer_head(void *owner, struct net_http_request *request,
                                              const struct net_http_head *head)
{
    struct peer *peer = owner;
    snprintf(peer->target, sizeof(peer->target), "%.*s", SLICE_PRINTF(head->target));
    peer->requests++;
    net_http_request_limit(request, 16u << 20);
    return NET_HTTP_ACCEPT;
}

static inline void peer_body(void *owner, struct net_http_request *request, struct slice body)
{
    struct peer *peer = owner;
    peer->answer(peer, request, body);
}

static const struct net_http_handler peer_handler = {.on_head = peer_head, .on_body = peer_body};

static inline void peer_adopt(void *owner, struct io_socket socket)
{
    struct peer *peer = owner;
    net_http_server_adopt(peer->server, socket);
}

static inline void peer_over(void *owner)
{
    struct peer *peer = owner;
    io_uv_loop_stop(peer->loop);
}

static inline void peer_stop_server(struct task *task)
{
    struct peer *peer = CONTAINER_OF(task, struct peer, stop_server);
    net_http_server_stop(peer->server, 0, peer_over, peer);
}

static inline void peer_deaf(void *owner)
{
    struct peer *peer = owner;
    io_post(peer->loop, &peer->stop_server);
}

static inline void peer_stop(struct task *task)
{
    struct peer *peer = CONTAINER_OF(task, struct peer, stop);
    net_listener_stop(peer->listener, peer_deaf, peer);
}

/* Listens on a free port, or on that of `address` where it had one before; `answer` and `context`
 * are set before. */
static inline void peer_begin(struct peer *peer)
{
    struct err_text why = {0};
    peer->stop.run = peer_stop;
    peer->stop_server.run = peer_stop_server;
    assert_true(err_is_ok(io_uv_loop_new(&peer->loop)));
    assert_true(
        err_is_ok(net_http_server_new(peer->loop, NULL, &peer_handler, peer, &peer->server)));
    struct net_listener_target target = {peer->loop, peer_adopt, peer};
    const char *address = peer->address[0] ? peer->address : "127.0.0.1:0";
    assert_true(
        err_is_ok(net_listener_new(peer->loop, address, &target, 1, &peer->listener, &why)));
    snprintf(peer->address, sizeof(peer->address), "127.0.0.1:%u",
             net_listener_port(peer->listener));
    assert_true(err_is_ok(io_uv_loop_start(peer->loop, "peer")));
}

/* Ends its thread; its address is a free port from here on. */
static inline void peer_end(struct peer *peer)
{
    io_post(peer->loop, &peer->stop);
    io_uv_loop_join(peer->loop);
    net_listener_free(&peer->listener);
    net_http_server_free(&peer->server);
    io_uv_loop_free(&peer->loop);
}

static inline void peer_reply(struct net_http_request *request, int status, struct slice body)
{
    struct net_http_response response = {.status = status, .body = body};
    net_http_reply(request, &response);
}
