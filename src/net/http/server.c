/*
 * A server is its connections, a turn and a clock. Whatever happens to a connection in a turn of
 * the loop (bytes, answers from the handler, a body that may start) puts it in the turn's list;
 * at the end of the turn each is looked after once: its answers go out in one write, and what it
 * holds is parsed further. The clock looks over all connections once a tick, so that ten thousand
 * of them cost one timer.
 *
 * Stopping closes what is idle at once, finishes what was begun, and closes the rest at the
 * deadline; requests that the handler still has outlive their connections until it answers.
 */

#include "net/http/server_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/time.h"

void net_http_limits_init(struct net_http_limits *limits)
{
    /* The manual's table says what each means; here is why they are as they are. An idle
     * connection is a small struct without a buffer, so ten thousand are cheap; 75 s and a KiB
     * a second are what slow but honest clients need and what makes holding a connection cost
     * an attacker something. */
    *limits = (struct net_http_limits){
        .connections_max = 10000,
        .pipeline_max = 64,
        .read_size = 65536,
        .held_bytes_max = 32u << 20,
        .skip_bytes_max = 65536,
        .queued_bytes_max = 262144,
        .tick_ms = 1000,
        .head_ms = 10000,
        .idle_ms = 75000,
        .body_window_ms = 10000,
        .body_rate_min = 1024,
        .write_ms = 30000,
        .linger_ms = 1000,
    };
}

void net_http_counters_merge(struct net_http_counters *into, const struct net_http_counters *from)
{
    into->connections_total += from->connections_total;
    into->connections_open += from->connections_open;
    into->connections_refused += from->connections_refused;
    into->timeouts += from->timeouts;
    into->aborted += from->aborted;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    for (uint32_t i = 0; i < NET_HTTP_STATUS_COUNT; i++) {
        into->responses[i] += from->responses[i];
        into->refused[i] += from->refused[i];
    }
    histogram_merge(&into->duration, &from->duration);
}

static void defer_turn(struct net_http_server *server)
{
    if (server->turn_deferred)
        return;
    server->turn_deferred = true;
    io_defer(server->loop, &server->turn_task);
}

void net_http_server_check_stopped(struct net_http_server *server)
{
    if (server->stopping)
        defer_turn(server);
}

struct net_http_request *net_http_request_new(struct net_http_conn *conn)
{
    struct net_http_server *server = conn->server;
    struct list *link = list_pop(&server->free_requests);
    size_t state_size = server->handler->state_size;
    struct net_http_request *request;
    if (link) {
        request = CONTAINER_OF(link, struct net_http_request, link);
        server->free_count--;
    } else {
        request = mem_alloc(sizeof(*request) + state_size);
        if (!request)
            return NULL;
    }
    /* The answer's room is written before it is read; clearing half a KiB a request would show. */
    memset(request, 0, offsetof(struct net_http_request, inline_answer));
    memset(request->state, 0, state_size);
    request->server = server;
    request->conn = conn;
    list_add_tail(&conn->requests, &request->link);
    conn->request_count++;
    server->requests_open++;
    return request;
}

void net_http_request_free(struct net_http_request *request)
{
    struct net_http_server *server = request->server;
    ASSERT(server->requests_open > 0);
    server->requests_open--;
    if (request->conn) {
        ASSERT(request->conn->request_count > 0 && request->conn->current != request);
        request->conn->request_count--;
        list_remove(&request->link);
    }
    buf_done(&request->body);
    if (request->answer.data && request->answer.data != request->inline_answer)
        mem_free((void *)(uintptr_t)request->answer.data);
    /* Warm memory for the next one; beyond a loop's busy moment's worth it goes back. */
    if (server->free_count < NET_HTTP_FREE_REQUESTS_MAX) {
        list_add_head(&server->free_requests, &request->link);
        server->free_count++;
    } else {
        mem_free(request);
    }
    net_http_server_check_stopped(server);
}

void net_http_server_turn(struct net_http_conn *conn)
{
    if (!list_linked(&conn->turn_link))
        list_add_tail(&conn->server->turn, &conn->turn_link);
    defer_turn(conn->server);
}

/* Flush before resume: answers that leave may unblock what is held. */
static void run_turn(struct task *task)
{
    struct net_http_server *server = CONTAINER_OF(task, struct net_http_server, turn_task);
    ASSERT(server->turn_deferred);
    for (struct list *link = list_pop(&server->turn); link; link = list_pop(&server->turn)) {
        struct net_http_conn *conn = CONTAINER_OF(link, struct net_http_conn, turn_link);
        net_http_conn_flush(conn);
        net_http_conn_resume(conn);
    }
    server->turn_deferred = false;
    /* Last, since the owner may free the server from within `stopped`. */
    if (server->stopped && list_empty(&server->connections) && server->requests_open == 0) {
        void (*stopped)(void *) = server->stopped;
        server->stopped = NULL;
        io_timer_stop(server->loop, &server->tick);
        stopped(server->stopped_owner);
    }
}

/* RFC 9110 section 5.6.7. */
static void write_date(struct net_http_server *server)
{
    /* Not by strftime: its names follow the locale. 1 January 1970 was a Thursday. */
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /* A clock that is off is no reason to fail: 1970 is a date too. */
    int64_t wall_ms = io_wall_ms(server->loop);
    if (wall_ms < 0 || wall_ms > TIME_MS_MAX)
        wall_ms = 0;
    struct time_parts parts;
    time_to_parts(wall_ms, &parts);
    size_t day = (size_t)(wall_ms / 86400000 % 7);
    snprintf(server->date, sizeof(server->date),
             "Date: %.3s, %02u %.3s %04u %02u:%02u:%02u GMT\r\n", days + 3 * day, parts.day % 100u,
             months + 3 * (size_t)(parts.month - 1), (unsigned)parts.year % 10000u,
             parts.hour % 100u, parts.minute % 100u, parts.second % 100u);
}

static void run_tick(struct io_timer *timer)
{
    struct net_http_server *server = CONTAINER_OF(timer, struct net_http_server, tick);
    uint64_t now_ns = io_now_ns(server->loop);
    bool over = server->stopping && now_ns >= server->stop_ns;
    LIST_EACH_SAFE (link, &server->connections) {
        struct net_http_conn *conn = CONTAINER_OF(link, struct net_http_conn, link);
        if (over)
            net_http_conn_close(conn);
        else
            net_http_conn_check_time(conn, now_ns);
    }
    write_date(server);
    /* A server with nobody there does not wake up; the next connection starts it again. */
    server->ticking = !list_empty(&server->connections);
    if (server->ticking)
        io_timer_start(server->loop, &server->tick, server->limits.tick_ms * IO_MS);
}

err_t net_http_server_new(struct io_loop *loop, const struct net_http_limits *limits,
                          const struct net_http_handler *handler, void *owner,
                          struct net_http_server **out)
{
    struct net_http_limits used;
    net_http_limits_init(&used);
    if (limits)
        used = *limits;
    ASSERT(loop && handler && handler->on_head && handler->on_body);
    ASSERT(used.pipeline_max > 0 && used.read_size > 0 && used.tick_ms > 0);
    size_t buffer_size = used.read_size + NET_HTTP_HEAD_MAX;
    struct net_http_server *server = mem_zalloc(1, sizeof(*server) + buffer_size);
    if (!server)
        return err_make(ERR_MEMORY);
    server->loop = loop;
    server->limits = used;
    server->handler = handler;
    server->owner = owner;
    server->buffer_size = buffer_size;
    server->turn_task.run = run_turn;
    server->tick.run = run_tick;
    list_init(&server->connections);
    list_init(&server->turn);
    list_init(&server->free_requests);
    *out = server;
    return err_ok();
}

void net_http_server_free(struct net_http_server **pointer)
{
    struct net_http_server *server = *pointer;
    if (!server)
        return;
    ASSERT(list_empty(&server->connections) && server->requests_open == 0);
    ASSERT(!server->turn_deferred && !server->stopped);
    for (struct list *link = list_pop(&server->free_requests); link;
         link = list_pop(&server->free_requests))
        mem_free(CONTAINER_OF(link, struct net_http_request, link));
    mem_free(server);
    *pointer = NULL;
}

/* The date first: answers of this tick carry it, and a server that slept has an old one. */
static void start_ticking(struct net_http_server *server)
{
    if (server->ticking)
        return;
    write_date(server);
    server->ticking = true;
    io_timer_start(server->loop, &server->tick, server->limits.tick_ms * IO_MS);
}

void net_http_server_adopt(struct net_http_server *server, struct io_socket socket)
{
    struct net_http_counters *counters = &server->counters;
    bool over = counters->connections_open >= server->limits.connections_max;
    /* Over the limit a few are told why; without a bound to that, telling would be the load
     * itself. */
    bool far_over = counters->connections_open >=
                    (uint64_t)server->limits.connections_max + NET_HTTP_REFUSALS_MAX;
    counters->connections_refused += over;
    struct net_http_conn *conn = NULL;
    if (!server->stopping && !far_over)
        conn = mem_zalloc(1, sizeof(*conn));
    if (!conn) {
        io_socket_close(server->loop, socket);
        return;
    }
    conn->server = server;
    list_init(&conn->requests);
    if (!err_is_ok(io_tcp_open(server->loop, socket, &net_http_conn_events, conn, &conn->tcp))) {
        mem_free(conn);
        return;
    }
    conn->since_ns = io_now_ns(server->loop);
    list_add_tail(&server->connections, &conn->link);
    counters->connections_total++;
    counters->connections_open++;
    start_ticking(server);
    if (over)
        net_http_conn_refuse(conn, 503, "too many connections");
    net_http_server_turn(conn);
}

void net_http_server_stop(struct net_http_server *server, uint64_t deadline_ms,
                          void (*stopped)(void *owner), void *owner)
{
    ASSERT(!server->stopping && stopped);
    server->stopping = true;
    server->stopped = stopped;
    server->stopped_owner = owner;
    server->stop_ns = io_now_ns(server->loop) + deadline_ms * IO_MS;
    LIST_EACH (link, &server->connections)
        net_http_server_turn(CONTAINER_OF(link, struct net_http_conn, link));
    defer_turn(server);
}

const struct net_http_counters *net_http_server_counters(const struct net_http_server *server)
{
    return &server->counters;
}

size_t net_http_server_unsent(const struct net_http_server *server)
{
    size_t size = 0;
    LIST_EACH (link, &server->connections) {
        const struct net_http_conn *conn = CONTAINER_OF(link, struct net_http_conn, link);
        if (conn->state != CONN_CLOSED)
            size += io_tcp_write_queued(server->loop, conn->tcp);
        /* Answers that wait for one before them. */
        LIST_EACH (other, &conn->requests)
            size += CONTAINER_OF(other, struct net_http_request, link)->answer.size;
    }
    return size;
}
