/*
 * Happy path: a socket becomes a connection, each event of which puts it in the turn's list; the
 * turn is deferred once for all of them. The clock runs while there are connections.
 *
 * Stopping tells each connection, which finishes what it has begun and closes; at the deadline the
 * clock closes the rest. Requests that the handler still has may outlive their connections, and are
 * waited for without a limit: what they hold is their handler's to let go of.
 */

#include "net/server.h"

void net_counters_merge(struct net_counters *into, const struct net_counters *from)
{
    into->connections_total += from->connections_total;
    into->connections_open += from->connections_open;
    into->connections_refused += from->connections_refused;
    into->timeouts += from->timeouts;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
}

static void defer_turn(struct net_server *server)
{
    if (server->turn_deferred)
        return;
    server->turn_deferred = true;
    io_defer(server->loop, &server->turn_task);
}

void net_server_check_stopped(struct net_server *server)
{
    if (server->stopping)
        defer_turn(server);
}

void net_server_turn(struct net_conn *conn)
{
    if (!list_linked(&conn->turn_link))
        list_add_tail(&conn->server->turn, &conn->turn_link);
    defer_turn(conn->server);
}

static void run_turn(struct task *task)
{
    struct net_server *server = CONTAINER_OF(task, struct net_server, turn_task);
    ASSERT(server->turn_deferred);
    for (struct list *link = list_pop(&server->turn); link; link = list_pop(&server->turn))
        server->protocol->turn(CONTAINER_OF(link, struct net_conn, turn_link));
    server->turn_deferred = false;
    /* Last, since the owner may free the server from within `stopped`. */
    if (server->stopped && list_empty(&server->connections) && server->requests_open == 0) {
        void (*stopped)(void *) = server->stopped;
        server->stopped = NULL;
        io_timer_stop(server->loop, &server->tick);
        stopped(server->stopped_owner);
    }
}

static void start_tick(struct net_server *server)
{
    server->ticking = true;
    io_timer_start(server->loop, &server->tick, server->limits->tick_ms * IO_MS);
}

static void run_tick(struct io_timer *timer)
{
    struct net_server *server = CONTAINER_OF(timer, struct net_server, tick);
    uint64_t now_ns = io_now_ns(server->loop);
    bool over = server->stopping && now_ns >= server->stop_ns;
    LIST_EACH_SAFE (link, &server->connections) {
        struct net_conn *conn = CONTAINER_OF(link, struct net_conn, link);
        if (over)
            server->protocol->close(conn);
        else
            /* The time of each: with the memory of one that goes another may just have begun. */
            server->protocol->check_time(conn, io_now_ns(server->loop));
    }
    if (server->protocol->tick)
        server->protocol->tick(server);
    /* A server with nobody there does not wake up; the next connection starts it again. */
    server->ticking = false;
    if (!list_empty(&server->connections))
        start_tick(server);
}

void net_server_init(struct net_server *server)
{
    ASSERT(server->loop && server->protocol && server->counters);
    ASSERT(server->limits->pipeline_max > 0 && server->limits->tick_ms > 0);
    ASSERT(server->limits->pressed_ms > 0);
    server->turn_task.run = run_turn;
    server->tick.run = run_tick;
    list_init(&server->connections);
    list_init(&server->turn);
}

void net_server_done(struct net_server *server)
{
    ASSERT(list_empty(&server->connections) && server->requests_open == 0);
    ASSERT(!server->turn_deferred && !server->stopped);
}

bool net_server_is_full(const struct net_server *server)
{
    return server->counters->connections_open >= server->limits->connections_max;
}

bool net_server_take(struct net_server *server, struct net_conn *conn, struct io_socket socket)
{
    ASSERT(!server->stopping);
    if (!err_is_ok(io_tcp_open(server->loop, socket, server->protocol->tcp, conn, &conn->tcp)))
        return false;
    conn->server = server;
    list_add_tail(&server->connections, &conn->link);
    server->counters->connections_total++;
    server->counters->connections_open++;
    if (!server->ticking) {
        /* A server that slept has an old time. */
        if (server->protocol->tick)
            server->protocol->tick(server);
        start_tick(server);
    }
    net_server_turn(conn);
    return true;
}

void net_server_drop(struct net_conn *conn)
{
    ASSERT(conn->server->counters->connections_open > 0);
    conn->server->counters->connections_open--;
    list_remove(&conn->turn_link);
    list_remove(&conn->link);
    net_server_check_stopped(conn->server);
}

void net_server_stop(struct net_server *server, uint64_t deadline_ms, void (*stopped)(void *owner),
                     void *owner)
{
    ASSERT(!server->stopping && stopped);
    server->stopping = true;
    server->stopped = stopped;
    server->stopped_owner = owner;
    server->stop_ns = io_now_ns(server->loop) + deadline_ms * IO_MS;
    LIST_EACH_SAFE (link, &server->connections)
        server->protocol->stop(CONTAINER_OF(link, struct net_conn, link));
    /* Where nobody was connected, nothing else would ever say that it is over. */
    defer_turn(server);
}

/* What is read holds its memory from its first byte on: who declares much and sends little would
 * have it for hours, and everybody else none. */
uint64_t net_limits_least(const struct net_limits *limits, uint64_t size, bool pressed)
{
    uint64_t least = limits->rate_min * limits->window_ms / 1000;
    uint64_t share = size * limits->window_ms / limits->pressed_ms;
    return pressed && share > least ? share : least;
}

bool net_conn_is_blocked(const struct net_conn *conn)
{
    const struct net_limits *limits = conn->server->limits;
    size_t queued = io_tcp_write_queued(conn->server->loop, conn->tcp);
    return conn->request_count >= limits->pipeline_max ||
           conn->answer_bytes + queued > limits->queued_bytes_max;
}

/* Not reading is how pressure goes back: the kernel's buffer fills, then the peer's, then he
 * waits. */
void net_conn_read(struct net_conn *conn, bool wanted)
{
    wanted = wanted && !conn->peer_ended;
    if (wanted == conn->reading)
        return;
    conn->reading = wanted;
    if (wanted)
        io_tcp_read_start(conn->server->loop, conn->tcp);
    else
        io_tcp_read_stop(conn->server->loop, conn->tcp);
}

bool net_conn_is_stuck(struct net_conn *conn, uint64_t now_ns)
{
    if (!conn->write_since_ns)
        return false;
    size_t left = io_tcp_write_queued(conn->server->loop, conn->tcp);
    /* Any progress counts: a slow reader is fine, one that has stopped is not. */
    if (left != conn->write_left)
        conn->write_since_ns = now_ns;
    conn->write_left = left;
    return now_ns - conn->write_since_ns >= conn->server->limits->write_ms * IO_MS;
}
