/*
 * At the end of a turn (net/server.h) a connection's answers go out in one write, what it holds is
 * taken further, and it is freed where it is over.
 */

#include "net/kafka/server_int.h"

#include "base/alloc.h"

void net_kafka_limits_init(struct net_kafka_limits *limits)
{
    /* Kafka's own defaults where it has one: clients were made for them. */
    *limits = (struct net_kafka_limits){
        .net = {.connections_max = 20000,
                .pipeline_max = 64,
                .read_size = 65536,
                .queued_bytes_max = 1u << 20,
                .tick_ms = 1000,
                .idle_ms = 600000,
                .window_ms = 10000,
                .rate_min = 1024,
                .pressed_ms = 60000,
                .write_ms = 30000},
        .request_size_max = 100u << 20,
        .held_bytes_max = 4u << 20,
    };
}

void net_kafka_counters_merge(struct net_kafka_counters *into,
                              const struct net_kafka_counters *from)
{
    net_counters_merge(&into->net, &from->net);
    into->refused += from->refused;
    into->requests += from->requests;
    into->bytes_unsent += from->bytes_unsent;
}

/* Flush before resume: answers that leave may unblock what is held. */
static void run_turn(struct net_conn *net)
{
    struct net_kafka_conn *conn = CONTAINER_OF(net, struct net_kafka_conn, net);
    net_kafka_conn_flush(conn);
    net_kafka_conn_resume(conn);
    net_kafka_conn_check_free(conn);
}

static void close_conn(struct net_conn *net)
{
    net_kafka_conn_close(CONTAINER_OF(net, struct net_kafka_conn, net));
}

/* What it owes is answered first; one that owes nothing closes with the turn. */
static void stop_conn(struct net_conn *net)
{
    net_kafka_conn_finish(CONTAINER_OF(net, struct net_kafka_conn, net));
}

static const struct net_protocol protocol = {
    .tcp = &net_kafka_conn_events,
    .turn = run_turn,
    .check_time = net_kafka_conn_check_time,
    .close = close_conn,
    .stop = stop_conn,
};

err_t net_kafka_server_new(struct io_loop *loop, const struct net_kafka_limits *limits,
                           const struct net_kafka_handler *handler, void *owner,
                           struct net_kafka_server **out)
{
    struct net_kafka_limits used;
    net_kafka_limits_init(&used);
    if (limits)
        used = *limits;
    ASSERT(loop && handler->on_size && handler->on_request && handler->on_abort);
    ASSERT(handler->on_gone && handler->on_close);
    ASSERT(used.net.read_size > 0);
    struct net_kafka_server *server = mem_zalloc(1, sizeof(*server) + used.net.read_size);
    if (!server)
        return err_make(ERR_MEMORY);
    server->net = (struct net_server){.loop = loop,
                                      .protocol = &protocol,
                                      .limits = &server->limits.net,
                                      .counters = &server->counters.net};
    server->limits = used;
    server->handler = handler;
    server->owner = owner;
    net_server_init(&server->net);
    *out = server;
    return err_ok();
}

void net_kafka_server_free(struct net_kafka_server **pointer)
{
    struct net_kafka_server *server = *pointer;
    if (!server)
        return;
    net_server_done(&server->net);
    mem_free(server);
    *pointer = NULL;
}

void net_kafka_server_adopt(struct net_kafka_server *server, struct io_socket socket)
{
    bool over = net_server_is_full(&server->net);
    server->counters.net.connections_refused += over;
    struct net_kafka_conn *conn = NULL;
    /* Closed without a word: the protocol has none that a client would read before it has asked. */
    if (!server->net.stopping && !over)
        conn = mem_zalloc(1, sizeof(*conn) + server->handler->session_size);
    if (!conn) {
        io_socket_close(server->net.loop, socket);
        return;
    }
    conn->server = server;
    memcpy(conn->peer, socket.peer, sizeof(conn->peer));
    /* Idle from here on: who never sends anything is gone after as long as who has stopped. */
    conn->since_ns = io_now_ns(server->net.loop);
    list_init(&conn->requests);
    if (!net_server_take(&server->net, &conn->net, socket))
        mem_free(conn);
}

void net_kafka_server_stop(struct net_kafka_server *server, uint64_t deadline_ms,
                           void (*stopped)(void *owner), void *owner)
{
    net_server_stop(&server->net, deadline_ms, stopped, owner);
}

const struct net_kafka_counters *net_kafka_server_counters(const struct net_kafka_server *server)
{
    return &server->counters;
}
