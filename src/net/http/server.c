/*
 * At the end of a turn (net/server.h) a connection's answers go out in one write, and what it holds
 * is parsed further.
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
        .net = {.connections_max = 10000,
                .pipeline_max = 64,
                .read_size = 65536,
                .queued_bytes_max = 262144,
                .tick_ms = 1000,
                .idle_ms = 75000,
                .window_ms = 10000,
                .rate_min = 1024,
                .pressed_ms = 60000,
                .write_ms = 30000},
        .held_bytes_max = 32u << 20,
        .skip_bytes_max = 65536,
        .head_ms = 10000,
        .linger_ms = 1000,
    };
}

void net_http_counters_merge(struct net_http_counters *into, const struct net_http_counters *from)
{
    net_counters_merge(&into->net, &from->net);
    into->aborted += from->aborted;
    for (uint32_t i = 0; i < NET_HTTP_STATUS_COUNT; i++) {
        into->responses[i] += from->responses[i];
        into->refused[i] += from->refused[i];
    }
    histogram_merge(&into->duration, &from->duration);
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
    conn->net.request_count++;
    server->net.requests_open++;
    return request;
}

void net_http_request_free(struct net_http_request *request)
{
    struct net_http_server *server = request->server;
    ASSERT(server->net.requests_open > 0);
    server->net.requests_open--;
    if (request->conn) {
        ASSERT(request->conn->net.request_count > 0 && request->conn->current != request);
        request->conn->net.request_count--;
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
    net_server_check_stopped(&server->net);
}

/* Flush before resume: answers that leave may unblock what is held. */
static void run_turn(struct net_conn *net)
{
    struct net_http_conn *conn = CONTAINER_OF(net, struct net_http_conn, net);
    net_http_conn_flush(conn);
    net_http_conn_resume(conn);
}

/* RFC 9110 section 5.6.7. */
static void write_date(struct net_server *net)
{
    struct net_http_server *server = CONTAINER_OF(net, struct net_http_server, net);
    /* Not by strftime: its names follow the locale. 1 January 1970 was a Thursday. */
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /* A clock that is off is no reason to fail: 1970 is a date too. */
    int64_t wall_ms = io_wall_ms(net->loop);
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

static void close_conn(struct net_conn *net)
{
    net_http_conn_close(CONTAINER_OF(net, struct net_http_conn, net));
}

static const struct net_protocol protocol = {
    .tcp = &net_http_conn_events,
    .turn = run_turn,
    .check_time = net_http_conn_check_time,
    .close = close_conn,
    /* Its turn sees that the server is stopping. */
    .stop = net_server_turn,
    /* The answers of a tick carry its date. */
    .tick = write_date,
};

err_t net_http_server_new(struct io_loop *loop, const struct net_http_limits *limits,
                          const struct net_http_handler *handler, void *owner,
                          struct net_http_server **out)
{
    struct net_http_limits used;
    net_http_limits_init(&used);
    if (limits)
        used = *limits;
    ASSERT(loop && handler && handler->on_head && handler->on_body);
    ASSERT(used.net.read_size > 0);
    size_t buffer_size = used.net.read_size + NET_HTTP_HEAD_MAX;
    struct net_http_server *server = mem_zalloc(1, sizeof(*server) + buffer_size);
    if (!server)
        return err_make(ERR_MEMORY);
    server->net = (struct net_server){.loop = loop,
                                      .protocol = &protocol,
                                      .limits = &server->limits.net,
                                      .counters = &server->counters.net};
    server->limits = used;
    server->handler = handler;
    server->owner = owner;
    server->buffer_size = buffer_size;
    net_server_init(&server->net);
    list_init(&server->free_requests);
    *out = server;
    return err_ok();
}

void net_http_server_free(struct net_http_server **pointer)
{
    struct net_http_server *server = *pointer;
    if (!server)
        return;
    net_server_done(&server->net);
    for (struct list *link = list_pop(&server->free_requests); link;
         link = list_pop(&server->free_requests))
        mem_free(CONTAINER_OF(link, struct net_http_request, link));
    mem_free(server);
    *pointer = NULL;
}

void net_http_server_adopt(struct net_http_server *server, struct io_socket socket)
{
    struct net_counters *counters = &server->counters.net;
    bool over = net_server_is_full(&server->net);
    /* Over the limit a few are told why; without a bound to that, telling would be the load
     * itself. */
    bool far_over = counters->connections_open >=
                    (uint64_t)server->limits.net.connections_max + NET_HTTP_REFUSALS_MAX;
    counters->connections_refused += over;
    struct net_http_conn *conn = NULL;
    if (!server->net.stopping && !far_over)
        conn = mem_zalloc(1, sizeof(*conn));
    if (!conn) {
        io_socket_close(server->net.loop, socket);
        return;
    }
    conn->server = server;
    /* Idle from here on, whether or not anything ever comes. */
    conn->since_ns = io_now_ns(server->net.loop);
    list_init(&conn->requests);
    if (!net_server_take(&server->net, &conn->net, socket))
        mem_free(conn);
    else if (over)
        net_http_conn_refuse(conn, 503, "too many connections");
}

void net_http_server_stop(struct net_http_server *server, uint64_t deadline_ms,
                          void (*stopped)(void *owner), void *owner)
{
    net_server_stop(&server->net, deadline_ms, stopped, owner);
}

const struct net_http_counters *net_http_server_counters(const struct net_http_server *server)
{
    return &server->counters;
}

size_t net_http_server_unsent(const struct net_http_server *server)
{
    size_t size = 0;
    LIST_EACH (link, &server->net.connections) {
        const struct net_http_conn *conn = CONTAINER_OF(link, struct net_http_conn, net.link);
        if (conn->state != CONN_CLOSED)
            size += io_tcp_write_queued(server->net.loop, conn->net.tcp);
        /* Answers that wait for one before them. */
        LIST_EACH (other, &conn->requests)
            size += CONTAINER_OF(other, struct net_http_request, link)->answer.size;
    }
    return size;
}
