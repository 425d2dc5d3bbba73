/*
 * Bytes in. A connection that has nothing in hand reads into the loop's shared buffer; a request
 * that lies there whole is handed over from there, without a copy. Only a head that is not whole,
 * or what may not be parsed yet, is copied aside (`held`), and put in front of the next bytes. A
 * body that does not lie there whole gets a buffer of its size, and the rest of it is read
 * straight into that.
 *
 * Whatever makes the framing unsure ends in net_http_conn_refuse: an error answer behind those
 * owed before it, no further request, and a close that lets the peer read the answer: closing
 * with bytes unread would make the system reset the connection and the answer with it.
 */

#include "net/http/server_int.h"

#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"

/* A chunk whose rest is larger is read straight into the body. */
#define DIRECT_MIN 16384u
/* The most that one read takes, so that one fast peer does not hold the loop. */
#define DIRECT_MAX 262144u

#define AFTER(state) (1u << (state))

/* A step that is not in here is our own mistake: no peer can bring it about. */
static const unsigned allowed_after[] = {
    [CONN_HEAD] = AFTER(CONN_WAIT) | AFTER(CONN_BODY) | AFTER(CONN_SKIP) | AFTER(CONN_DONE) |
                  AFTER(CONN_CLOSED),
    [CONN_WAIT] = AFTER(CONN_BODY) | AFTER(CONN_SKIP) | AFTER(CONN_DONE) | AFTER(CONN_CLOSED),
    [CONN_BODY] = AFTER(CONN_HEAD) | AFTER(CONN_DONE) | AFTER(CONN_CLOSED),
    [CONN_SKIP] = AFTER(CONN_HEAD) | AFTER(CONN_DONE) | AFTER(CONN_CLOSED),
    [CONN_DONE] = AFTER(CONN_LINGER) | AFTER(CONN_CLOSED),
    [CONN_LINGER] = AFTER(CONN_CLOSED),
    [CONN_CLOSED] = 0,
};

void net_http_conn_enter(struct net_http_conn *conn, enum net_http_conn_state state)
{
    ASSERT(allowed_after[conn->state] & AFTER(state));
    conn->state = state;
    /* Every state has its own time limit, which begins here. */
    conn->since_ns = io_now_ns(conn->server->net.loop);
    conn->window_bytes = 0;
}

static void update_reading(struct net_http_conn *conn)
{
    const struct net_http_server *server = conn->server;
    bool wanted = false;
    switch (conn->state) {
    case CONN_HEAD: wanted = !net_conn_is_blocked(&conn->net); break;
    case CONN_BODY:
    case CONN_SKIP: wanted = true; break;
    /* Who still sends is read from for a while only, and not closed on before his time is up: a
     * reset would take the answer that he has not come to. */
    case CONN_LINGER: wanted = conn->window_bytes <= server->limits.skip_bytes_max; break;
    case CONN_WAIT:
    case CONN_DONE: break;
    case CONN_CLOSED: return;
    }
    net_conn_read(&conn->net, wanted);
}

/* Tells the handler that the body will not come; the request is then ours to answer or free. */
static struct net_http_request *abort_current(struct net_http_conn *conn)
{
    struct net_http_request *request = conn->current;
    if (!request)
        return NULL;
    ASSERT(request->step == REQUEST_HEAD || request->step == REQUEST_BODY);
    conn->current = NULL;
    request->step = REQUEST_HEAD;
    request->continue_due = false;
    const struct net_http_handler *handler = conn->server->handler;
    /* The handler gives back what it took for the body; it may not answer any more. */
    if (handler->on_abort)
        handler->on_abort(conn->server->owner, request);
    return request;
}

void net_http_conn_refuse(struct net_http_conn *conn, int status, const char *format, ...)
{
    char detail[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    /* The request whose body is refused carries the answer; a head that never became one needs one
     * made for it. Without memory for that the connection ends without a word. */
    struct net_http_request *request = abort_current(conn);
    net_http_conn_enter(conn, CONN_DONE);
    if (!request)
        request = net_http_request_new(conn);
    if (request) {
        request->last = true;
        const char *headers = status == 503 ? "Retry-After: 1\r\n" : NULL;
        net_http_reply_error(request, status, NULL, headers, "%s", detail);
    }
    net_server_turn(&conn->net);
}

void net_http_conn_close(struct net_http_conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    struct net_http_request *current = abort_current(conn);
    conn->server->counters.aborted += current != NULL;
    net_http_conn_enter(conn, CONN_CLOSED);
    /* What the handler has may be in a commit already; it goes on without a connection and is freed
     * with its answer, which nobody hears. Its outcome stands in the ledger all the same. */
    LIST_EACH_SAFE (link, &conn->requests) {
        struct net_http_request *request = CONTAINER_OF(link, struct net_http_request, link);
        if (request->step != REQUEST_HANDED) {
            net_http_request_free(request);
            continue;
        }
        list_remove(link);
        request->conn = NULL;
        conn->net.request_count--;
    }
    ASSERT(conn->net.request_count == 0);
    io_tcp_close(conn->server->net.loop, conn->net.tcp);
}

/* Takes no more requests and tells the peer so with the last answer; what has begun goes on. */
static void finish(struct net_http_conn *conn)
{
    /* What is held came before the stop and is still answered. */
    if (conn->state != CONN_HEAD || conn->held.size)
        return;
    net_http_conn_enter(conn, CONN_DONE);
    if (!list_empty(&conn->requests)) {
        struct list *tail = conn->requests.prev;
        CONTAINER_OF(tail, struct net_http_request, link)->last = true;
    }
    net_server_turn(&conn->net);
}

/* Keeps what cannot be parsed yet. */
static void hold(struct net_http_conn *conn, struct slice rest)
{
    struct net_http_server *server = conn->server;
    ASSERT(conn->held.size == 0);
    if (rest.size == 0) {
        buf_done(&conn->held);
        return;
    }
    if (conn->state == CONN_HEAD && !conn->head_begun) {
        conn->head_begun = true;
        conn->since_ns = io_now_ns(server->net.loop);
    }
    /* A budget over all connections: ten thousand heads that stop a byte before their end are 160
     * MB. */
    if (server->held_bytes + rest.size <= server->limits.held_bytes_max)
        buf_add_slice(&conn->held, rest);
    server->held_bytes += conn->held.size;
    if (conn->held.size == 0) {
        buf_done(&conn->held);
        net_http_conn_refuse(conn, 503, "no memory for what is not read yet");
    }
}

/* Puts what is held at the front of the shared buffer; returns its size. */
static size_t unhold(struct net_http_conn *conn)
{
    struct net_http_server *server = conn->server;
    size_t size = conn->held.size;
    ASSERT(size <= server->buffer_size && size <= server->held_bytes);
    if (size)
        /* The buffer is the loop's and free between reads: nothing stays in it over a turn. */
        memcpy(server->buffer, conn->held.data, size);
    server->held_bytes -= size;
    buf_reset(&conn->held);
    return size;
}

static void deliver(struct net_http_conn *conn, struct slice body)
{
    struct net_http_request *request = conn->current;
    ASSERT(request && request->step != REQUEST_HANDED);
    conn->current = NULL;
    request->step = REQUEST_HANDED;
    request->continue_due = false;
    /* Stopping: the answer says Connection: close, so that the peer does not send another request
     * into a connection that is going away. */
    request->last |= conn->server->net.stopping;
    net_http_conn_enter(conn, request->last ? CONN_DONE : CONN_HEAD);
    /* Last: the handler may answer from within, and the request may be gone after that. */
    conn->server->handler->on_body(conn->server->owner, request, body);
    buf_done(&request->body);
}

/* Whole in the buffer: handed over where it lies, which is how most requests of a batch size below
 * 64 KiB pass, without one copy. */
static void take_declared(struct net_http_conn *conn, struct slice *in)
{
    struct net_http_request *request = conn->current;
    size_t length = (size_t)request->length;
    if (request->body.size == 0 && in->size >= length) {
        struct slice body = slice_sub(*in, 0, length);
        *in = slice_sub(*in, length, in->size);
        deliver(conn, body);
        return;
    }
    /* At once at its full size: the handler has credited that much, and the body never moves. */
    if (!buf_reserve(&request->body, length - request->body.size)) {
        net_http_conn_refuse(conn, 503, "no memory for the body");
        return;
    }
    struct slice part = slice_sub(*in, 0, length - request->body.size);
    *in = slice_sub(*in, part.size, in->size);
    buf_add_slice(&request->body, part);
    if (request->body.size == length)
        deliver(conn, buf_slice(&request->body));
}

static void refuse_chunked(struct net_http_conn *conn)
{
    const struct net_http_request *request = conn->current;
    net_http_conn_refuse(conn, 413, "the body is larger than %zu bytes", request->body_max);
}

static void take_chunked(struct net_http_conn *conn, struct slice *in)
{
    struct net_http_request *request = conn->current;
    struct net_http_refusal refusal;
    while (in->size) {
        struct slice data;
        switch (net_http_chunk_decode(&conn->chunk, in, &data, &refusal)) {
        case NET_HTTP_MORE: break;
        case NET_HTTP_DONE: deliver(conn, buf_slice(&request->body)); return;
        case NET_HTTP_REFUSED:
            net_http_conn_refuse(conn, refusal.status, "%s", refusal.detail);
            return;
        }
        /* By the size the chunk claims, before its bytes have come. */
        if (data.size + net_http_chunk_pending(&conn->chunk) >
            request->body_max - request->body.size) {
            refuse_chunked(conn);
            return;
        }
        buf_add_slice(&request->body, data);
        if (!buf_ok(&request->body)) {
            net_http_conn_refuse(conn, 503, "no memory for the body");
            return;
        }
    }
}

/* The handler wants the body. `here`: some of it has come with the head. */
static void start_body(struct net_http_conn *conn, bool here)
{
    struct net_http_request *request = conn->current;
    request->step = REQUEST_BODY;
    conn->chunk = (struct net_http_chunk){0};
    net_http_conn_enter(conn, CONN_BODY);
    request->continue_due = request->expects && !here;
    /* No 100 when the body has begun to come (RFC 9110 section 10.1.1: MAY omit). */
    if (request->continue_due)
        net_server_turn(&conn->net);
}

static void begin_request(struct net_http_conn *conn, struct slice *in)
{
    struct net_http_server *server = conn->server;
    const struct net_http_head *head = &server->head;
    struct net_http_request *request = net_http_request_new(conn);
    if (!request) {
        net_http_conn_refuse(conn, 503, "no memory for the request");
        return;
    }
    request->to_head = head->method == NET_HTTP_HEAD;
    request->options = head->method == NET_HTTP_OPTIONS;
    request->minor_zero = head->minor == 0;
    request->last = !head->persistent || server->net.stopping;
    request->chunked = head->fields.chunked;
    request->length = head->fields.length;
    bool has_body = request->chunked || request->length > 0;
    request->expects = head->expect_continue && has_body;
    request->started_ns = io_now_ns(server->net.loop);
    conn->current = request;
    switch (server->handler->on_head(server->owner, request, head)) {
    case NET_HTTP_ANSWERED: ASSERT(request->step == REQUEST_ANSWERED); return;
    /* The handler was asked, and will call net_http_body_start; until then nothing is read. */
    case NET_HTTP_WAIT:
        ASSERT(request->step == REQUEST_HEAD && has_body);
        ASSERT(request->length <= request->body_max);
        net_http_conn_enter(conn, CONN_WAIT);
        return;
    case NET_HTTP_ACCEPT:
        ASSERT(request->step == REQUEST_HEAD && request->length <= request->body_max);
        start_body(conn, in->size > 0);
        if (!has_body)
            deliver(conn, (struct slice){0});
        return;
    }
}

/* False when the head is not whole. */
static bool take_head(struct net_http_conn *conn, struct slice *in)
{
    struct net_http_refusal refusal;
    struct net_http_head *head = &conn->server->head;
    switch (net_http_head_parse(*in, &conn->scanned, head, &refusal)) {
    case NET_HTTP_MORE: return false;
    case NET_HTTP_REFUSED:
        net_http_conn_refuse(conn, refusal.status, "%s", refusal.detail);
        return true;
    case NET_HTTP_DONE:
        conn->scanned = 0;
        conn->head_begun = false;
        *in = slice_sub(*in, head->size, in->size);
        begin_request(conn, in);
        return true;
    }
    UNREACHABLE("the parser has three answers");
}

static void take_skipped(struct net_http_conn *conn, struct slice *in)
{
    struct slice part = slice_sub(*in, 0, conn->skip_left);
    *in = slice_sub(*in, part.size, in->size);
    conn->skip_left -= part.size;
    if (conn->skip_left == 0) {
        net_http_conn_enter(conn, CONN_HEAD);
        net_server_turn(&conn->net);
    }
}

/* Parses `in` as far as the state lets it and holds the rest. */
static void process(struct net_http_conn *conn, struct slice in)
{
    bool more = true;
    while (in.size && more) {
        switch (conn->state) {
        case CONN_HEAD: more = !net_conn_is_blocked(&conn->net) && take_head(conn, &in); break;
        case CONN_BODY:
            if (conn->current->chunked)
                take_chunked(conn, &in);
            else
                take_declared(conn, &in);
            break;
        case CONN_SKIP: take_skipped(conn, &in); break;
        case CONN_WAIT: more = false; break;
        case CONN_DONE:
        case CONN_LINGER:
        case CONN_CLOSED: in = (struct slice){0}; break;
        }
    }
    hold(conn, in);
}

/* What the end of the peer's bytes means, once all that came has been looked at. */
static void check_end(struct net_http_conn *conn)
{
    if (!conn->net.peer_ended)
        return;
    switch (conn->state) {
    case CONN_HEAD:
        /* Whole requests may lie there, whose turn is still to come: a peer may send, then shut
         * down his side, and read the answers. */
        if (conn->held.size && net_conn_is_blocked(&conn->net))
            return;
        if (conn->held.size)
            net_http_conn_refuse(conn, 400, "the connection ended within a head");
        else
            finish(conn);
        return;
    case CONN_BODY:
        /* Half a body commits nothing. The answer is for a peer that shut down only his sending
         * side. */
        conn->server->counters.aborted++;
        net_http_conn_refuse(conn, 400, "the connection ended within a body");
        return;
    case CONN_SKIP:
        net_http_conn_enter(conn, CONN_DONE);
        net_server_turn(&conn->net);
        return;
    case CONN_LINGER:
        if (io_tcp_write_queued(conn->server->net.loop, conn->net.tcp) == 0)
            net_http_conn_close(conn);
        return;
    case CONN_WAIT:
    case CONN_DONE:
    case CONN_CLOSED: return;
    }
}

void net_http_conn_resume(struct net_http_conn *conn)
{
    /* WAIT holds its body's first bytes until the handler has room. */
    bool takes =
        conn->state == CONN_HEAD ? !net_conn_is_blocked(&conn->net) : conn->state != CONN_WAIT;
    if (conn->held.size && takes) {
        size_t size = unhold(conn);
        process(conn, slice_make(conn->server->buffer, size));
    }
    if (conn->server->net.stopping)
        finish(conn);
    check_end(conn);
    update_reading(conn);
}

/* Where body bytes can be read to without a copy; size 0 when they cannot. */
static struct io_room direct_room(struct net_http_conn *conn)
{
    struct net_http_request *request = conn->current;
    size_t left;
    if (conn->state != CONN_BODY)
        return (struct io_room){0};
    if (request->chunked) {
        left = net_http_chunk_pending(&conn->chunk);
        if (left < DIRECT_MIN)
            return (struct io_room){0};
    } else {
        left = (size_t)request->length - request->body.size;
        /* Nothing gathered yet: the body may still come whole into the shared buffer. */
        if (request->body.size == 0)
            return (struct io_room){0};
    }
    if (left > DIRECT_MAX)
        left = DIRECT_MAX;
    /* Without memory the room is NULL and the way over the shared buffer refuses it properly. */
    return (struct io_room){buf_reserve(&request->body, left), left};
}

static struct io_room on_room(void *owner)
{
    struct net_http_conn *conn = CONTAINER_OF(owner, struct net_http_conn, net);
    struct net_http_server *server = conn->server;
    struct io_room room = direct_room(conn);
    conn->direct = room.data;
    if (conn->direct)
        return room;
    /* Reading goes on only with less than a whole head held: the buffer has room for that and a
     * read. */
    ASSERT(conn->held.size <= NET_HTTP_HEAD_MAX);
    return (struct io_room){server->buffer + conn->held.size, server->limits.net.read_size};
}

static void read_direct(struct net_http_conn *conn, size_t size)
{
    struct net_http_request *request = conn->current;
    buf_advance(&request->body, size);
    if (request->chunked)
        net_http_chunk_advance(&conn->chunk, size);
    else if (request->body.size == request->length)
        deliver(conn, buf_slice(&request->body));
}

static void on_read(void *owner, size_t size)
{
    struct net_http_conn *conn = CONTAINER_OF(owner, struct net_http_conn, net);
    struct net_http_server *server = conn->server;
    server->counters.net.bytes_in += size;
    conn->window_bytes += size;
    if (conn->direct)
        read_direct(conn, size);
    else
        process(conn, slice_make(server->buffer, unhold(conn) + size));
    update_reading(conn);
}

/* ERR_END is half a close: answers can still be sent. Anything else means nobody listens. */
static void on_ended(void *owner, err_t err)
{
    struct net_http_conn *conn = CONTAINER_OF(owner, struct net_http_conn, net);
    conn->net.peer_ended = true;
    conn->net.reading = false;
    if (err_is(err, ERR_END))
        check_end(conn);
    else
        net_http_conn_close(conn);
}

static void on_drained(void *owner)
{
    struct net_http_conn *conn = CONTAINER_OF(owner, struct net_http_conn, net);
    conn->net.write_since_ns = 0;
    /* The time to read begins when all is with the kernel. */
    if (conn->state == CONN_LINGER)
        conn->since_ns = io_now_ns(conn->server->net.loop);
    if (conn->state != CONN_CLOSED)
        net_server_turn(&conn->net);
}

static void on_closed(void *owner)
{
    struct net_http_conn *conn = CONTAINER_OF(owner, struct net_http_conn, net);
    struct net_http_server *server = conn->server;
    ASSERT(conn->state == CONN_CLOSED && !conn->current);
    server->held_bytes -= conn->held.size;
    buf_done(&conn->held);
    net_server_drop(&conn->net);
    mem_free(conn);
}

const struct io_tcp_events net_http_conn_events = {
    .room = on_room,
    .read = on_read,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

/* Slowness within a message is answered, as far as anybody listens; idleness is only closed. */
static void time_out(struct net_http_conn *conn, const char *detail)
{
    conn->server->counters.net.timeouts++;
    net_http_conn_refuse(conn, 408, "%s", detail);
}

static uint64_t window_least(const struct net_http_conn *conn)
{
    const struct net_http_handler *handler = conn->server->handler;
    const struct net_http_request *request = conn->current;
    bool pressed = request && handler->is_pressed && handler->is_pressed(conn->server->owner);
    uint64_t size = !request ? 0 : request->chunked ? request->body_max : request->length;
    return net_limits_least(&conn->server->limits.net, size, pressed);
}

/* A body's window is over: was it enough? */
static void check_window(struct net_http_conn *conn, uint64_t now_ns)
{
    const struct net_http_limits *limits = &conn->server->limits;
    /* While our 100 waits behind earlier answers, it is we who hold the body up. */
    bool ours = conn->current && conn->current->continue_due;
    if (!ours && now_ns - conn->since_ns < limits->net.window_ms * IO_MS)
        return;
    if (ours || conn->window_bytes >= window_least(conn)) {
        conn->since_ns = now_ns;
        conn->window_bytes = 0;
    } else if (conn->state == CONN_BODY) {
        time_out(conn, "the body came too slowly");
    } else {
        conn->server->counters.net.timeouts++;
        net_http_conn_close(conn);
    }
}

void net_http_conn_check_time(struct net_conn *net, uint64_t now_ns)
{
    struct net_http_conn *conn = CONTAINER_OF(net, struct net_http_conn, net);
    struct net_http_server *server = conn->server;
    const struct net_http_limits *limits = &server->limits;
    uint64_t spent_ns = now_ns - conn->since_ns;
    if (conn->state == CONN_CLOSED)
        return;
    if (net_conn_is_stuck(&conn->net, now_ns)) {
        server->counters.net.timeouts++;
        net_http_conn_close(conn);
        return;
    }
    switch (conn->state) {
    case CONN_HEAD:
        if (!conn->net.reading)
            net_server_turn(&conn->net);
        /* Time in which we do not read, or owe an answer, is not the peer's idleness. */
        if (!conn->net.reading || (conn->net.request_count && !conn->head_begun))
            conn->since_ns = now_ns;
        else if (conn->head_begun && spent_ns >= limits->head_ms * IO_MS)
            time_out(conn, "the head came too slowly");
        else if (!conn->head_begun && spent_ns >= limits->net.idle_ms * IO_MS)
            net_http_conn_close(conn);
        return;
    case CONN_BODY:
    case CONN_SKIP: check_window(conn, now_ns); return;
    case CONN_LINGER:
        if (!conn->net.write_since_ns && spent_ns >= limits->linger_ms * IO_MS)
            net_http_conn_close(conn);
        return;
    case CONN_WAIT:
    case CONN_DONE:
    case CONN_CLOSED: return;
    }
}

void net_http_body_start(struct net_http_request *request)
{
    struct net_http_conn *conn = request->conn;
    ASSERT(conn && conn->state == CONN_WAIT && conn->current == request);
    /* Bytes of the body may have come with the head and been held. */
    start_body(conn, conn->held.size > 0);
    net_server_turn(&conn->net);
}
