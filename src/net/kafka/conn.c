/*
 * Bytes in, bytes out. Small requests are read into the loop's shared buffer and copied out of it,
 * many at a time; what is left of a larger one is read straight to where it stays. Its buffer has
 * the declared size from the start, which the handler has agreed to, so nothing moves and no peer
 * takes more than it said.
 *
 * Kafka has no error answer below its messages: what cannot be followed ends the connection, behind
 * the answers that are owed. Half a request commits nothing.
 *
 * A connection whose peer has gone lives on while the handler has requests of it, since those reach
 * for its session.
 */

#include "net/kafka/server_int.h"

#include "base/alloc.h"
#include "base/cursor.h"

/* A request whose rest is larger is read straight into its bytes. */
#define DIRECT_MIN 16384u
/* Behind a request of this size the next is taken for one too: only its front is read into the
 * shared buffer, since copying the rest out of there costs more than another read. */
#define LARGE_MIN 65536u
#define FRONT_SIZE 512u
/* The most that one read takes, so that one fast peer does not hold the loop. */
#define DIRECT_MAX 262144u
/* What one write takes together. Of its bytes the kernel may leave some, which are copied: so they
 * are not many, while what waits behind them stays where it is. */
#define FLUSH_PARTS 64u
#define FLUSH_BYTES ((size_t)256 << 10)
#define SIZE_BYTES 4u

static void enter(struct net_kafka_conn *conn, enum net_kafka_conn_state state)
{
    bool again = conn->state == CONN_READ && state == CONN_SIZE;
    ASSERT(state > conn->state || again);
    conn->state = state;
    /* Every state has its own time limit, which begins here. */
    conn->since_ns = io_now_ns(conn->server->net.loop);
    conn->window_bytes = 0;
}

static void update_reading(struct net_kafka_conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    bool wanted =
        conn->state == CONN_READ || (conn->state == CONN_SIZE && !net_conn_is_blocked(&conn->net));
    net_conn_read(&conn->net, wanted);
}

/* What is with the kernel's queue, and so still in our memory, as it was when last looked at. */
static void note_queued(struct net_kafka_conn *conn, size_t queued)
{
    conn->server->counters.bytes_unsent += queued;
    conn->server->counters.bytes_unsent -= conn->net.write_left;
    conn->net.write_left = queued;
}

/* What is in memory of an answer while it is not sent. */
static uint64_t answer_memory(const struct net_kafka_request *request)
{
    return request->answer.size + (request->body ? request->body->memory_bytes : 0);
}

static void free_request(struct net_kafka_request *request)
{
    struct net_kafka_conn *conn = request->conn;
    ASSERT(conn->net.request_count > 0 && conn->current != request);
    conn->server->counters.bytes_unsent -= answer_memory(request);
    conn->net.answer_bytes -= request->wire_size - request->sent;
    conn->net.request_count--;
    list_remove(&request->link);
    if (request->body)
        request->body->release(request->body);
    buf_done(&request->bytes);
    buf_done(&request->answer);
    mem_free(request);
}

/* The request that is coming in will not come whole. */
static void drop_current(struct net_kafka_conn *conn)
{
    struct net_kafka_request *request = conn->current;
    if (!request)
        return;
    ASSERT(request->step == REQUEST_WAITS || request->step == REQUEST_READ);
    conn->current = NULL;
    conn->server->handler->on_abort(conn->server->owner, request);
    free_request(request);
}

void net_kafka_conn_finish(struct net_kafka_conn *conn)
{
    if (conn->state >= CONN_DONE)
        return;
    drop_current(conn);
    enter(conn, CONN_DONE);
    net_server_turn(&conn->net);
}

/* What the peer sent is not the protocol. */
static void refuse(struct net_kafka_conn *conn)
{
    conn->server->counters.refused++;
    net_kafka_conn_finish(conn);
}

void net_kafka_conn_close(struct net_kafka_conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    drop_current(conn);
    enter(conn, CONN_CLOSED);
    note_queued(conn, 0);
    io_tcp_close(conn->server->net.loop, conn->net.tcp);
    LIST_EACH_SAFE (link, &conn->requests) {
        struct net_kafka_request *request = CONTAINER_OF(link, struct net_kafka_request, link);
        if (request->step == REQUEST_ANSWERED)
            free_request(request);
    }
    /* Not in one walk: a handler that is told may end other requests of the same connection. */
    struct list gone;
    list_init(&gone);
    for (struct list *link = list_pop(&conn->requests); link; link = list_pop(&conn->requests))
        list_add_tail(&gone, link);
    for (struct list *link = list_pop(&gone); link; link = list_pop(&gone)) {
        list_add_tail(&conn->requests, link);
        conn->server->handler->on_gone(conn->server->owner,
                                       CONTAINER_OF(link, struct net_kafka_request, link));
    }
    net_server_turn(&conn->net);
}

void net_kafka_conn_check_free(struct net_kafka_conn *conn)
{
    struct net_kafka_server *server = conn->server;
    if (conn->state != CONN_CLOSED || conn->net.tcp || conn->net.request_count > 0)
        return;
    server->handler->on_close(server->owner, conn->session);
    server->held_bytes -= conn->held.size;
    buf_done(&conn->held);
    net_server_drop(&conn->net);
    mem_free(conn);
}

static void deliver(struct net_kafka_conn *conn)
{
    struct net_kafka_request *request = conn->current;
    ASSERT(request->step == REQUEST_READ && request->bytes.size == request->size);
    conn->current = NULL;
    conn->large = request->size >= LARGE_MIN;
    request->step = REQUEST_HANDED;
    conn->server->counters.requests++;
    enter(conn, CONN_SIZE);
    /* Last: the handler may answer from within, and the request may be gone after that. */
    conn->server->handler->on_request(conn->server->owner, request, buf_slice(&request->bytes));
}

static void start_reading(struct net_kafka_conn *conn)
{
    struct net_kafka_request *request = conn->current;
    if (request->size && !buf_reserve(&request->bytes, request->size)) {
        refuse(conn);
        return;
    }
    request->step = REQUEST_READ;
    enter(conn, CONN_READ);
    if (request->size == 0)
        deliver(conn);
}

static void begin_request(struct net_kafka_conn *conn, uint32_t size)
{
    struct net_kafka_server *server = conn->server;
    if (size > server->limits.request_size_max) {
        refuse(conn);
        return;
    }
    struct net_kafka_request *request =
        mem_zalloc(1, sizeof(*request) + server->handler->state_size);
    if (!request) {
        refuse(conn);
        return;
    }
    request->conn = conn;
    request->size = size;
    list_add_tail(&conn->requests, &request->link);
    conn->net.request_count++;
    conn->current = request;
    switch (server->handler->on_size(server->owner, request, size)) {
    case NET_KAFKA_READ: start_reading(conn); break;
    case NET_KAFKA_WAIT: enter(conn, CONN_WAIT); break;
    case NET_KAFKA_REFUSE: refuse(conn); break;
    }
}

static void take_size(struct net_kafka_conn *conn, struct slice *in)
{
    while (in->size && conn->size_have < SIZE_BYTES) {
        conn->size[conn->size_have++] = in->data[0];
        *in = slice_sub(*in, 1, in->size);
    }
    if (conn->size_have < SIZE_BYTES)
        return;
    conn->size_have = 0;
    begin_request(conn, get_u32be(conn->size));
}

static void take_bytes(struct net_kafka_conn *conn, struct slice *in)
{
    struct net_kafka_request *request = conn->current;
    struct slice part = slice_sub(*in, 0, request->size - request->bytes.size);
    *in = slice_sub(*in, part.size, in->size);
    buf_add_slice(&request->bytes, part);
    if (request->bytes.size == request->size)
        deliver(conn);
}

/* Takes `in` as far as the state lets it and holds the rest: at most what one read brings. */
static void process(struct net_kafka_conn *conn, struct slice in)
{
    while (in.size && (conn->state == CONN_READ ||
                       (conn->state == CONN_SIZE && !net_conn_is_blocked(&conn->net))))
        if (conn->state == CONN_READ)
            take_bytes(conn, &in);
        else
            take_size(conn, &in);
    if (conn->state >= CONN_DONE)
        return;
    size_t before = conn->held.size;
    buf_add_slice(&conn->held, in);
    conn->server->held_bytes += conn->held.size - before;
    if (!buf_ok(&conn->held))
        refuse(conn);
}

void net_kafka_conn_resume(struct net_kafka_conn *conn)
{
    if (conn->held.size && (conn->state == CONN_SIZE || conn->state == CONN_READ)) {
        struct buf held = conn->held;
        conn->held = (struct buf){0};
        conn->server->held_bytes -= held.size;
        process(conn, buf_slice(&held));
        buf_done(&held);
    }
    if (conn->net.peer_ended && conn->state < CONN_DONE &&
        (conn->state != CONN_SIZE || !net_conn_is_blocked(&conn->net)))
        net_kafka_conn_finish(conn);
    if (conn->state == CONN_DONE && list_empty(&conn->requests) &&
        io_tcp_write_queued(conn->server->net.loop, conn->net.tcp) == 0)
        net_kafka_conn_close(conn);
    update_reading(conn);
}

static struct io_room on_room(void *owner)
{
    struct net_kafka_conn *conn = CONTAINER_OF(owner, struct net_kafka_conn, net);
    struct net_kafka_request *request = conn->current;
    size_t left = conn->state == CONN_READ ? request->size - request->bytes.size : 0;
    conn->direct = left >= DIRECT_MIN || (left > 0 && conn->large);
    if (conn->direct)
        return (struct io_room){request->bytes.data + request->bytes.size,
                                left < DIRECT_MAX ? left : DIRECT_MAX};
    struct net_kafka_server *server = conn->server;
    size_t size = server->limits.net.read_size;
    /* Behind a request that has to wait all of a read is held: of thousands of connections that is
     * more than their requests may take. */
    bool scarce = server->held_bytes >= server->limits.held_bytes_max;
    if ((conn->large || scarce) && size > FRONT_SIZE)
        size = FRONT_SIZE;
    return (struct io_room){server->buffer, size};
}

static void on_read(void *owner, size_t size)
{
    struct net_kafka_conn *conn = CONTAINER_OF(owner, struct net_kafka_conn, net);
    ASSERT(conn->held.size == 0 || conn->state >= CONN_DONE);
    conn->server->counters.net.bytes_in += size;
    conn->window_bytes += size;
    if (conn->direct) {
        buf_advance(&conn->current->bytes, size);
        if (conn->current->bytes.size == conn->current->size)
            deliver(conn);
    } else {
        process(conn, slice_make(conn->server->buffer, size));
    }
    /* Not with the turn: a socket may be read several times before that, and what is held has room
     * for one. */
    update_reading(conn);
    net_server_turn(&conn->net);
}

/* ERR_END is half a close: answers can still be sent. Anything else means nobody listens. */
static void on_ended(void *owner, err_t err)
{
    struct net_kafka_conn *conn = CONTAINER_OF(owner, struct net_kafka_conn, net);
    conn->net.peer_ended = true;
    conn->net.reading = false;
    if (err_is(err, ERR_END))
        net_server_turn(&conn->net);
    else
        net_kafka_conn_close(conn);
}

static void on_drained(void *owner)
{
    struct net_kafka_conn *conn = CONTAINER_OF(owner, struct net_kafka_conn, net);
    conn->net.write_since_ns = 0;
    if (conn->state == CONN_CLOSED)
        return;
    note_queued(conn, 0);
    net_server_turn(&conn->net);
}

static void on_closed(void *owner)
{
    struct net_kafka_conn *conn = CONTAINER_OF(owner, struct net_kafka_conn, net);
    conn->net.tcp = NULL;
    net_server_turn(&conn->net);
}

const struct io_tcp_events net_kafka_conn_events = {
    .room = on_room,
    .read = on_read,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

/* A window is over. */
static bool was_slow(const struct net_kafka_conn *conn)
{
    const struct net_kafka_handler *handler = conn->server->handler;
    const struct net_kafka_request *request = conn->current;
    bool pressed = request && handler->is_pressed && handler->is_pressed(conn->server->owner);
    return conn->window_bytes <
           net_limits_least(&conn->server->limits.net, request ? request->size : 0, pressed);
}

void net_kafka_conn_check_time(struct net_conn *net, uint64_t now_ns)
{
    struct net_kafka_conn *conn = CONTAINER_OF(net, struct net_kafka_conn, net);
    const struct net_kafka_limits *limits = &conn->server->limits;
    size_t left = conn->net.write_left;
    if (conn->state == CONN_CLOSED)
        return;
    bool late = net_conn_is_stuck(&conn->net, now_ns);
    /* What has been taken meanwhile is not unsent any more. */
    conn->server->counters.bytes_unsent += conn->net.write_left;
    conn->server->counters.bytes_unsent -= left;
    bool begun = conn->state == CONN_READ || (conn->state == CONN_SIZE && conn->size_have);
    /* Time in which an answer is owed, or we do not read, is not the peer's idleness. */
    if (!begun && (conn->net.request_count || !conn->net.reading))
        conn->since_ns = now_ns;
    uint64_t spent_ns = now_ns - conn->since_ns;
    if (begun && spent_ns >= limits->net.window_ms * IO_MS) {
        late = late || was_slow(conn);
        conn->since_ns = now_ns;
        conn->window_bytes = 0;
    }
    late = late || (!begun && spent_ns >= limits->net.idle_ms * IO_MS);
    if (late) {
        conn->server->counters.net.timeouts++;
        net_kafka_conn_close(conn);
    }
}

/* One write: parts of the answers at the front. */
struct sending {
    struct slice parts[FLUSH_PARTS];
    size_t count;
    size_t bytes;
};

static bool is_full(const struct sending *s)
{
    return s->count == FLUSH_PARTS || s->bytes == FLUSH_BYTES;
}

/* Adds what of the bytes lies behind the first `*skip`, as far as there is room. */
static void add_part(struct sending *s, struct slice bytes, size_t *skip)
{
    struct slice rest = slice_sub(bytes, *skip, bytes.size);
    *skip -= bytes.size - rest.size;
    rest = slice_sub(rest, 0, FLUSH_BYTES - s->bytes);
    if (rest.size == 0 || is_full(s))
        return;
    s->parts[s->count++] = rest;
    s->bytes += rest.size;
}

/* Adds what is not sent of the answer; true when that is all of it. */
static bool add_answer(struct sending *s, struct net_kafka_request *request)
{
    struct slice own = buf_slice(&request->answer);
    const struct net_kafka_body *body = request->body;
    size_t skip = request->sent;
    size_t before = s->bytes;
    size_t at = 0;
    if (request->wire_size == 0)
        return true;
    put_u32be(request->size_bytes, (uint32_t)(request->wire_size - SIZE_BYTES));
    add_part(s, slice_make(request->size_bytes, SIZE_BYTES), &skip);
    for (size_t i = 0; body && i < body->count; i++) {
        const struct net_kafka_piece *piece = &body->pieces[i];
        ASSERT(piece->at >= at && piece->at <= own.size);
        add_part(s, slice_sub(own, at, piece->at - at), &skip);
        add_part(s, piece->bytes, &skip);
        at = piece->at;
    }
    add_part(s, slice_sub(own, at, own.size), &skip);
    request->sent += s->bytes - before;
    return request->sent == request->wire_size;
}

/* Sends of the answers at the front, in one write, what it takes; false when there is nothing. */
static bool flush_some(struct net_kafka_conn *conn)
{
    struct sending s = {.count = 0};
    bool last = false;
    struct list *link = conn->requests.next;
    for (; link != &conn->requests && !last && !is_full(&s); link = link->next) {
        struct net_kafka_request *request = CONTAINER_OF(link, struct net_kafka_request, link);
        if (request->step != REQUEST_ANSWERED || (!conn->cut && !add_answer(&s, request)))
            break;
        last = request->last;
    }
    if (s.count == 0 && link == conn->requests.next)
        return false;
    err_t err =
        s.count ? io_tcp_write(conn->server->net.loop, conn->net.tcp, s.parts, s.count) : err_ok();
    conn->server->counters.net.bytes_out += s.bytes;
    conn->net.answer_bytes -= s.bytes;
    while (conn->requests.next != link)
        free_request(CONTAINER_OF(conn->requests.next, struct net_kafka_request, link));
    if (!err_is_ok(err)) {
        net_kafka_conn_close(conn);
        return false;
    }
    note_queued(conn, io_tcp_write_queued(conn->server->net.loop, conn->net.tcp));
    if (conn->net.write_left && !conn->net.write_since_ns)
        conn->net.write_since_ns = io_now_ns(conn->server->net.loop);
    if (last) {
        conn->cut = true;
        refuse(conn);
    }
    return true;
}

void net_kafka_conn_flush(struct net_kafka_conn *conn)
{
    /* Behind bytes that the kernel has not taken nothing is written: it would be copied. */
    while (conn->state != CONN_CLOSED && !list_empty(&conn->requests) &&
           io_tcp_write_queued(conn->server->net.loop, conn->net.tcp) == 0 && flush_some(conn)) {
    }
}

void *net_kafka_request_state(struct net_kafka_request *request)
{
    return request->state;
}

void *net_kafka_request_session(struct net_kafka_request *request)
{
    return request->conn->session;
}

const char *net_kafka_request_peer(const struct net_kafka_request *request)
{
    return request->conn->peer;
}

bool net_kafka_request_gone(const struct net_kafka_request *request)
{
    return request->conn->state == CONN_CLOSED;
}

void net_kafka_request_start(struct net_kafka_request *request)
{
    struct net_kafka_conn *conn = request->conn;
    ASSERT(conn->state == CONN_WAIT && conn->current == request);
    start_reading(conn);
    net_server_turn(&conn->net);
}

static void end(struct net_kafka_request *request, bool last)
{
    struct net_kafka_conn *conn = request->conn;
    ASSERT(request->step == REQUEST_HANDED);
    request->step = REQUEST_ANSWERED;
    request->last = last;
    /* Its bytes are not needed while the answer waits for its turn. */
    buf_done(&request->bytes);
    if (conn->state == CONN_CLOSED)
        free_request(request);
    net_server_turn(&conn->net);
}

static void reply(struct net_kafka_request *request, struct buf *answer,
                  struct net_kafka_body *body, bool last)
{
    struct net_kafka_conn *conn = request->conn;
    size_t body_size = body ? body->size : 0;
    bool failed = !buf_ok(answer) || answer->size + body_size > (size_t)INT32_MAX;
    if (failed)
        buf_done(answer);
    if (failed && body) {
        body->release(body);
        body = NULL;
    }
    request->answer = *answer;
    request->body = body;
    *answer = (struct buf){0};
    conn->server->counters.bytes_unsent += answer_memory(request);
    /* An empty answer is one too: a size of nothing. */
    request->wire_size = failed ? 0 : SIZE_BYTES + request->answer.size + body_size;
    conn->net.answer_bytes += request->wire_size;
    end(request, failed || last);
}

void net_kafka_reply(struct net_kafka_request *request, struct buf *answer)
{
    reply(request, answer, NULL, false);
}

void net_kafka_reply_body(struct net_kafka_request *request, struct buf *answer,
                          struct net_kafka_body *body)
{
    ASSERT(body->release);
    reply(request, answer, body, false);
}

void net_kafka_reply_last(struct net_kafka_request *request, struct buf *answer)
{
    reply(request, answer, NULL, true);
}

void net_kafka_reply_none(struct net_kafka_request *request)
{
    end(request, false);
}

void net_kafka_refuse(struct net_kafka_request *request)
{
    end(request, true);
}
