/*
 * A server is its connections, a turn and a clock. Whatever happens to a connection in a turn of
 * the loop puts it in the turn's list; at the end of the turn each is looked after once: its
 * answers go out in one write, and what it holds is taken further. The clock looks over all
 * connections once a tick, so that ten thousand of them cost one timer.
 */

#include "net/kafka/server_int.h"

#include "base/alloc.h"

void net_kafka_limits_init(struct net_kafka_limits *limits)
{
    /* Kafka's own defaults where it has one: clients were made for them. */
    *limits = (struct net_kafka_limits){
        .connections_max = 20000,
        .pipeline_max = 64,
        .request_size_max = 100u << 20,
        .read_size = 65536,
        .queued_bytes_max = 1u << 20,
        .tick_ms = 1000,
        .idle_ms = 600000,
        .window_ms = 10000,
        .rate_min = 1024,
        .write_ms = 30000,
    };
}

void net_kafka_counters_merge(struct net_kafka_counters *into,
                              const struct net_kafka_counters *from)
{
    into->connections_total += from->connections_total;
    into->connections_open += from->connections_open;
    into->connections_refused += from->connections_refused;
    into->refused += from->refused;
    into->timeouts += from->timeouts;
    into->requests += from->requests;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    into->bytes_unsent += from->bytes_unsent;
}

/* At the end of the turn and not at once: what a hundred answers of one turn need is done once. */
static void defer_turn(struct net_kafka_server *server)
{
    if (server->turn_deferred)
        return;
    server->turn_deferred = true;
    io_defer(server->loop, &server->turn_task);
}

void net_kafka_server_turn(struct net_kafka_conn *conn)
{
    if (!list_linked(&conn->turn_link))
        list_add_tail(&conn->server->turn, &conn->turn_link);
    defer_turn(conn->server);
}

/* Flush before resume: answers that leave may unblock what is held. */
static void run_turn(struct task *task)
{
    struct net_kafka_server *server = CONTAINER_OF(task, struct net_kafka_server, turn_task);
    ASSERT(server->turn_deferred);
    for (struct list *link = list_pop(&server->turn); link; link = list_pop(&server->turn)) {
        struct net_kafka_conn *conn = CONTAINER_OF(link, struct net_kafka_conn, turn_link);
        net_kafka_conn_flush(conn);
        net_kafka_conn_resume(conn);
        net_kafka_conn_check_free(conn);
    }
    server->turn_deferred = false;
    /* Last, since the owner may free the server from within `stopped`. */
    if (server->stopped && list_empty(&server->connections)) {
        void (*stopped)(void *) = server->stopped;
        server->stopped = NULL;
        io_timer_stop(server->loop, &server->tick);
        stopped(server->stopped_owner);
    }
}

static void run_tick(struct io_timer *timer)
{
    struct net_kafka_server *server = CONTAINER_OF(timer, struct net_kafka_server, tick);
    uint64_t now_ns = io_now_ns(server->loop);
    bool over = server->stopping && now_ns >= server->stop_ns;
    LIST_EACH_SAFE (link, &server->connections) {
        struct net_kafka_conn *conn = CONTAINER_OF(link, struct net_kafka_conn, link);
        if (over)
            net_kafka_conn_close(conn);
        else
            net_kafka_conn_check_time(conn, now_ns);
    }
    /* A server with nobody there does not wake up; the next connection starts it again. */
    server->ticking = !list_empty(&server->connections);
    if (server->ticking)
        io_timer_start(server->loop, &server->tick, server->limits.tick_ms * IO_MS);
}

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
    ASSERT(used.pipeline_max > 0 && used.read_size > 0 && used.tick_ms > 0);
    struct net_kafka_server *server = mem_zalloc(1, sizeof(*server) + used.read_size);
    if (!server)
        return err_make(ERR_MEMORY);
    server->loop = loop;
    server->limits = used;
    server->handler = handler;
    server->owner = owner;
    server->turn_task.run = run_turn;
    server->tick.run = run_tick;
    list_init(&server->connections);
    list_init(&server->turn);
    *out = server;
    return err_ok();
}

void net_kafka_server_free(struct net_kafka_server **pointer)
{
    struct net_kafka_server *server = *pointer;
    if (!server)
        return;
    ASSERT(list_empty(&server->connections) && !server->turn_deferred && !server->stopped);
    mem_free(server);
    *pointer = NULL;
}

void net_kafka_server_adopt(struct net_kafka_server *server, struct io_socket socket)
{
    struct net_kafka_counters *counters = &server->counters;
    bool over = counters->connections_open >= server->limits.connections_max;
    counters->connections_refused += over;
    struct net_kafka_conn *conn = NULL;
    /* Closed without a word: the protocol has none that a client would read before it has asked. */
    if (!server->stopping && !over)
        conn = mem_zalloc(1, sizeof(*conn) + server->handler->session_size);
    if (!conn) {
        io_socket_close(server->loop, socket);
        return;
    }
    conn->server = server;
    list_init(&conn->requests);
    if (!err_is_ok(io_tcp_open(server->loop, socket, &net_kafka_conn_events, conn, &conn->tcp))) {
        mem_free(conn);
        return;
    }
    /* Idle from here on: who never sends anything is gone after as long as who has stopped. */
    conn->since_ns = io_now_ns(server->loop);
    list_add_tail(&server->connections, &conn->link);
    counters->connections_total++;
    counters->connections_open++;
    if (!server->ticking) {
        server->ticking = true;
        io_timer_start(server->loop, &server->tick, server->limits.tick_ms * IO_MS);
    }
    net_kafka_server_turn(conn);
}

void net_kafka_server_stop(struct net_kafka_server *server, uint64_t deadline_ms,
                           void (*stopped)(void *owner), void *owner)
{
    ASSERT(!server->stopping && stopped);
    server->stopping = true;
    server->stopped = stopped;
    server->stopped_owner = owner;
    server->stop_ns = io_now_ns(server->loop) + deadline_ms * IO_MS;
    /* What they owe is answered first; those that owe nothing close with the turn. */
    LIST_EACH_SAFE (link, &server->connections)
        net_kafka_conn_finish(CONTAINER_OF(link, struct net_kafka_conn, link));
    /* Where nobody was connected, nothing else would ever say that it is over. */
    defer_turn(server);
}

const struct net_kafka_counters *net_kafka_server_counters(const struct net_kafka_server *server)
{
    return &server->counters;
}
