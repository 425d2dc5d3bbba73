/*
 * Sent: one request. Read: heads until one that is not 1xx, then the body by whichever framing
 * that head names (RFC 9112 section 6.3): none, chunked, a length, or all there is until the peer
 * closes. Bytes are gathered in one buffer; a chunked body is gathered in a second one as it is
 * decoded. Bytes that nobody asked for, and whatever is not HTTP, end the connection.
 */

#include "net/http/client.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "net/http/chunk.h"

#define READ_SIZE 16384u

enum body_kind { BODY_LENGTH, BODY_CHUNKED, BODY_TO_END };

struct net_http_client {
    struct io_loop *loop;
    struct io_tcp *tcp;
    const struct net_http_client_events *events;
    void *owner;
    bool busy;
    bool to_head;
    bool closing;
    bool in_body;
    err_t closed_for;
    size_t scanned;
    enum body_kind kind;
    uint64_t length; /* of the body */
    struct net_http_chunk chunk;
    struct buf in;            /* head and, unless it is chunked, body */
    struct buf body;          /* of chunks */
    size_t decoded;           /* bytes of `in` that the chunk decoder has used */
    const uint8_t *head_base; /* of `in` when `head` was parsed */
    uint8_t spare;
    struct net_http_response_head head;
};

/* The first reason stands; `closed` tells it once the socket is gone. The client must outlive
 * that. */
static void end_with(struct net_http_client *client, err_t err)
{
    if (client->closing)
        return;
    client->closing = true;
    client->closed_for = err;
    io_tcp_close(client->loop, client->tcp);
}

/* The answer is whole; `used` bytes of `in` were its own. */
static void respond(struct net_http_client *client, struct slice body, size_t used)
{
    /* The fields are views into `in`, which moves when it grows. */
    if (client->head_base != client->in.data) {
        size_t scanned = 0;
        struct net_http_refusal refusal;
        enum net_http_parse parsed =
            net_http_response_head_parse(buf_slice(&client->in), &scanned, &client->head, &refusal);
        ASSERT(parsed == NET_HTTP_DONE);
    }
    /* Bytes behind the answer are the answer to nothing: such a connection is not trusted with
     * another request. */
    struct net_http_client_response response = {
        .status = client->head.status,
        .fields = &client->head.fields,
        .body = body,
        .persistent =
            client->head.persistent && client->kind != BODY_TO_END && used == client->in.size,
    };
    /* Before the callback, which may send the next request from within. */
    client->busy = client->in_body = false;
    client->events->response(client->owner, &response);
    buf_reset(&client->in);
    buf_reset(&client->body);
    if (!response.persistent)
        end_with(client, err_make(ERR_CLOSED));
}

static void begin_body(struct net_http_client *client)
{
    const struct net_http_response_head *head = &client->head;
    client->in_body = true;
    client->head_base = client->in.data;
    client->decoded = head->size;
    client->chunk = (struct net_http_chunk){0};
    client->kind = BODY_LENGTH;
    /* RFC 9112 section 6.3: these have no body, whatever their fields say. The length that answers
     * a HEAD is that of the body which a GET would have. */
    bool none = client->to_head || head->status == 204 || head->status == 304;
    client->length = none ? 0 : head->fields.length;
    if (none)
        return;
    if (head->fields.chunked)
        client->kind = BODY_CHUNKED;
    else if (!head->fields.has_length)
        client->kind = BODY_TO_END;
}

static void take_chunks(struct net_http_client *client)
{
    struct net_http_refusal refusal;
    struct slice rest = slice_sub(buf_slice(&client->in), client->decoded, client->in.size);
    while (rest.size) {
        struct slice data;
        enum net_http_parse result = net_http_chunk_decode(&client->chunk, &rest, &data, &refusal);
        /* Kept as a count and not as a pointer: the buffer moves when it grows. */
        client->decoded = client->in.size - rest.size;
        if (result == NET_HTTP_REFUSED) {
            end_with(client, err_make(ERR_SYNTAX));
            return;
        }
        if (result == NET_HTTP_DONE) {
            respond(client, buf_slice(&client->body), client->decoded);
            return;
        }
        buf_add_slice(&client->body, data);
        if (!buf_ok(&client->body)) {
            end_with(client, buf_error(&client->body));
            return;
        }
    }
}

static void take_body(struct net_http_client *client)
{
    size_t head_size = client->head.size;
    size_t here = client->in.size - head_size;
    uint64_t length = client->length;
    switch (client->kind) {
    case BODY_LENGTH:
        if (here >= length)
            respond(client, slice_sub(buf_slice(&client->in), head_size, (size_t)length),
                    head_size + (size_t)length);
        return;
    case BODY_CHUNKED: take_chunks(client); return;
    /* Until on_ended; the buffer's cap bounds it. */
    case BODY_TO_END: return;
    }
}

/* False when the head is not whole or is none. */
static bool take_head(struct net_http_client *client)
{
    struct net_http_refusal refusal;
    switch (net_http_response_head_parse(buf_slice(&client->in), &client->scanned, &client->head,
                                         &refusal)) {
    case NET_HTTP_MORE: return false;
    case NET_HTTP_REFUSED: end_with(client, err_make(ERR_SYNTAX)); return false;
    case NET_HTTP_DONE: break;
    }
    client->scanned = 0;
    /* 100 Continue and the like come in front of the answer, any number of them. */
    if (client->head.status < 200)
        buf_consume(&client->in, client->head.size);
    else
        begin_body(client);
    return true;
}

static struct io_room on_room(void *owner)
{
    struct net_http_client *client = owner;
    size_t left = client->in.size_max - client->in.size;
    size_t size = left < READ_SIZE ? left : READ_SIZE;
    uint8_t *data = size ? buf_reserve(&client->in, size) : NULL;
    /* Over the cap or without memory: whatever is read, the connection ends. */
    if (!data)
        return (struct io_room){&client->spare, 1};
    return (struct io_room){data, size};
}

static void on_read(void *owner, size_t size)
{
    struct net_http_client *client = owner;
    /* The room was the spare byte, whose content says nothing. */
    if (client->in.failed || client->in.size == client->in.size_max) {
        end_with(client, err_make(client->in.failed ? ERR_MEMORY : ERR_TOO_LARGE));
        return;
    }
    /* Nothing was asked. Taking it for the next answer would shift every answer by one. */
    if (!client->busy) {
        end_with(client, err_make(ERR_SYNTAX));
        return;
    }
    buf_advance(&client->in, size);
    while (client->busy && !client->closing && !client->in_body && client->in.size)
        if (!take_head(client))
            return;
    if (client->in_body)
        take_body(client);
}

static void on_connected(void *owner, err_t err)
{
    struct net_http_client *client = owner;
    if (!err_is_ok(err)) {
        end_with(client, err);
        return;
    }
    io_tcp_read_start(client->loop, client->tcp);
    client->events->ready(client->owner);
}

static void on_ended(void *owner, err_t err)
{
    struct net_http_client *client = owner;
    /* Only this framing makes the end of the connection the end of a body; anywhere else the answer
     * was cut, and its outcome is unknown. */
    if (err_is(err, ERR_END) && client->in_body && client->kind == BODY_TO_END)
        respond(client, slice_sub(buf_slice(&client->in), client->head.size, client->in.size),
                client->in.size);
    end_with(client, err_is(err, ERR_END) ? err_make(ERR_CLOSED) : err);
}

static void on_closed(void *owner)
{
    struct net_http_client *client = owner;
    ASSERT(client->closing);
    client->tcp = NULL;
    client->events->closed(client->owner, client->closed_for);
}

static const struct io_tcp_events client_events = {
    .connected = on_connected,
    .room = on_room,
    .read = on_read,
    .ended = on_ended,
    .closed = on_closed,
};

err_t net_http_client_new(struct io_loop *loop, const char *address, size_t response_bytes_max,
                          const struct net_http_client_events *events, void *owner,
                          struct net_http_client **out, struct err_text *why)
{
    ASSERT(events && events->ready && events->response && events->closed);
    struct net_http_client *client = mem_zalloc(1, sizeof(*client));
    if (!client)
        return err_make(ERR_MEMORY);
    client->loop = loop;
    client->events = events;
    client->owner = owner;
    /* One byte more than may come, so that an answer at the cap is told from one over it. */
    buf_init(&client->in, response_bytes_max + NET_HTTP_HEAD_MAX + 1);
    /* Chunks are decoded beside what came in, so a body counts twice while it is gathered. */
    buf_init(&client->body, response_bytes_max);
    err_t err = io_tcp_connect(loop, address, &client_events, client, &client->tcp, why);
    if (!err_is_ok(err)) {
        mem_free(client);
        return err;
    }
    *out = client;
    return err_ok();
}

err_t net_http_client_send(struct net_http_client *client, const struct slice *parts, size_t count,
                           bool to_head)
{
    ASSERT(!client->busy);
    if (client->closing)
        /* `closed` will tell the reason; this only says that nothing was sent. */
        return err_make(ERR_CLOSED);
    err_t err = io_tcp_write(client->loop, client->tcp, parts, count);
    if (!err_is_ok(err)) {
        end_with(client, err);
        return err;
    }
    client->busy = true;
    client->to_head = to_head;
    return err_ok();
}

bool net_http_client_busy(const struct net_http_client *client)
{
    return client->busy;
}

void net_http_client_close(struct net_http_client *client)
{
    /* By the owner's wish, which is no error; `closed` comes all the same, and only then may it be
     * freed. */
    end_with(client, err_ok());
}

void net_http_client_free(struct net_http_client **pointer)
{
    struct net_http_client *client = *pointer;
    if (!client)
        return;
    ASSERT(!client->tcp);
    buf_done(&client->in);
    buf_done(&client->body);
    mem_free(client);
    *pointer = NULL;
}
