/*
 * Bytes out. An answer is encoded when the handler gives it, into the request; it is sent when
 * all answers before it have been, several in one write. An answer that there is no memory for
 * becomes a 503 that needs none.
 *
 * An early answer, given while its request's body is still to come, decides what becomes of that
 * body: a small one is skipped and the connection lives on, any other ends it.
 */

#include "net/http/server_int.h"

#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"

/* Answers sent in one write. */
#define PARTS_MAX 64u

static const struct {
    int status;
    const char *text;
    const char *code;
} statuses[] = {
    {200, "OK", ""},
    {204, "No Content", ""},
    {400, "Bad Request", "bad_request"},
    {401, "Unauthorized", "unauthorized"},
    {403, "Forbidden", "forbidden"},
    {404, "Not Found", "not_found"},
    {405, "Method Not Allowed", "method_not_allowed"},
    {408, "Request Timeout", "timeout"},
    {409, "Conflict", "exists"},
    {413, "Content Too Large", "too_large"},
    {414, "URI Too Long", "uri_too_long"},
    {415, "Unsupported Media Type", "unsupported_media_type"},
    {416, "Range Not Satisfiable", "offset_range"},
    {417, "Expectation Failed", "expectation_failed"},
    {422, "Unprocessable Content", "refused"},
    {429, "Too Many Requests", "too_many_requests"},
    {431, "Request Header Fields Too Large", "headers_too_large"},
    {500, "Internal Server Error", "internal"},
    {501, "Not Implemented", "not_implemented"},
    {503, "Service Unavailable", "unavailable"},
    {505, "HTTP Version Not Supported", "version_not_supported"},
};

#define STATUS_COUNT (sizeof(statuses) / sizeof(statuses[0]))

/* A walk over twenty lines, once an answer: less than the answer's own formatting. */
static size_t find_status(int status)
{
    size_t i = 0;
    while (i < STATUS_COUNT && statuses[i].status != status)
        i++;
    return i;
}

const char *net_http_status_text(int status)
{
    size_t i = find_status(status);
    return i < STATUS_COUNT ? statuses[i].text : "";
}

const char *net_http_status_code(int status)
{
    size_t i = find_status(status);
    return i < STATUS_COUNT ? statuses[i].code : "error";
}

static void encode(struct net_http_request *request, const struct net_http_response *response)
{
    const char *type = response->content_type ? response->content_type : "application/json";
    const char *headers = response->headers ? response->headers : "";
    /* HTTP/1.1 lives on unless told otherwise, HTTP/1.0 the other way round (RFC 9112 section
     * 9.3). */
    const char *connection = "";
    if (request->last)
        connection = "Connection: close\r\n";
    else if (request->minor_zero)
        connection = "Connection: keep-alive\r\n";
    char content[160] = "";
    /* RFC 9110 section 8.6: a 204 has no Content-Length. HEAD's has the one that GET would get. */
    if (response->status != 204)
        snprintf(content, sizeof(content), "Content-Type: %s\r\nContent-Length: %zu\r\n", type,
                 response->body.size);
    size_t body_size = request->to_head ? 0 : response->body.size;
    /* 256: the status line with the longest of the texts above, Date, Connection, and the empty
     * line. */
    size_t room = 256 + sizeof(content) + strlen(headers) + body_size;
    uint8_t *out = request->inline_answer;
    if (room > sizeof(request->inline_answer))
        out = mem_alloc(room);
    if (!out) {
        static const struct net_http_response no_memory = {
            .status = 503,
            .headers = "Retry-After: 1\r\n",
            .body = SLICE_LITERAL("{\"error\":\"memory\",\"detail\":\"\"}\n"),
        };
        /* Fits in `inline_answer`, so this goes one level deep. */
        encode(request, &no_memory);
        return;
    }
    int size = snprintf((char *)out, room, "HTTP/1.1 %d %s\r\n%s%s%s%s\r\n", response->status,
                        net_http_status_text(response->status), request->server->date, content,
                        headers, connection);
    ASSERT(size > 0 && (size_t)size + body_size <= room);
    if (body_size)
        memcpy(out + size, response->body.data, body_size);
    request->answer = slice_make(out, (size_t)size + body_size);
}

/* The request is answered while its body is still to come. */
static void leave_body(struct net_http_conn *conn, struct net_http_request *request)
{
    ASSERT(conn->current == request);
    conn->current = NULL;
    /* How much of a chunked body is to come is not known. After Expect the peer may send the body
     * or not (RFC 9110 section 10.1.1): where the next head begins is unsure. */
    if (request->chunked || request->expects ||
        request->length > conn->server->limits.skip_bytes_max)
        request->last = true;
    conn->skip_left = request->length;
    if (request->last)
        net_http_conn_enter(conn, CONN_DONE);
    else if (request->length)
        net_http_conn_enter(conn, CONN_SKIP);
}

void net_http_reply(struct net_http_request *request, const struct net_http_response *response)
{
    struct net_http_conn *conn = request->conn;
    struct net_http_counters *counters = &request->server->counters;
    uint32_t index = (uint32_t)(response->status - NET_HTTP_STATUS_MIN);
    ASSERT(request->step == REQUEST_HEAD || request->step == REQUEST_HANDED);
    ASSERT(response->status >= 200 && response->status < 600);
    counters->responses[index]++;
    /* What was read whole counts by its duration; an error before that is a refusal at the door,
     * whose records no ledger has seen. */
    if (request->step == REQUEST_HANDED)
        histogram_add(&counters->duration,
                      io_now_ns(request->server->net.loop) - request->started_ns);
    else if (response->status >= 400)
        counters->refused[index]++;
    if (!conn) {
        net_http_request_free(request);
        return;
    }
    /* The peer's next head may be taken from here on, but this answer goes out first: the list has
     * their order. */
    if (conn->current == request)
        leave_body(conn, request);
    request->step = REQUEST_ANSWERED;
    encode(request, response);
    net_server_turn(&conn->net);
}

void net_http_reply_error(struct net_http_request *request, int status, const char *code,
                          const char *headers, const char *format, ...)
{
    char detail[ERR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    struct buf body = {0};
    buf_add_string(&body, "{\"error\":");
    buf_add_json_string(&body, slice_string(code ? code : net_http_status_code(status)));
    buf_add_string(&body, ",\"detail\":");
    buf_add_json_string(&body, slice_string(detail));
    buf_add_string(&body, "}\n");
    struct net_http_response response = {.status = status, .headers = headers};
    if (buf_ok(&body))
        response.body = buf_slice(&body);
    net_http_reply(request, &response);
    buf_done(&body);
}

void net_http_reply_not_allowed(struct net_http_request *request, const char *allow)
{
    char headers[128];
    snprintf(headers, sizeof(headers), "Allow: %s, OPTIONS\r\n", allow);
    if (request->options)
        net_http_reply(request, &(struct net_http_response){.status = 204, .headers = headers});
    else
        net_http_reply_error(request, 405, NULL, headers, "this path is for %s", allow);
}

/* Sends up to PARTS_MAX answers; true when there may be more to send. */
static bool send_some(struct net_http_conn *conn)
{
    static const struct slice go_on = SLICE_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");
    struct net_http_server *server = conn->server;
    struct slice parts[PARTS_MAX];
    size_t count = 0;
    size_t answers = 0;
    LIST_EACH (link, &conn->requests) {
        struct net_http_request *request = CONTAINER_OF(link, struct net_http_request, link);
        if (count == PARTS_MAX)
            break;
        if (request->step != REQUEST_ANSWERED) {
            /* Not before the answers in front of it: a 100 out of turn would be read as theirs. */
            if (request->continue_due)
                parts[count++] = go_on;
            request->continue_due = false;
            break;
        }
        parts[count++] = request->answer;
        answers++;
    }
    if (count == 0)
        return false;
    err_t err = io_tcp_write(server->net.loop, conn->net.tcp, parts, count);
    for (size_t i = 0; i < count; i++)
        server->counters.net.bytes_out += parts[i].size;
    for (size_t i = 0; i < answers; i++)
        net_http_request_free(CONTAINER_OF(conn->requests.next, struct net_http_request, link));
    if (!err_is_ok(err))
        net_http_conn_close(conn);
    return err_is_ok(err) && count == PARTS_MAX;
}

void net_http_conn_flush(struct net_http_conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    while (send_some(conn))
        ;
    if (conn->state == CONN_CLOSED)
        return;
    struct io_loop *loop = conn->server->net.loop;
    if (!conn->net.write_since_ns && io_tcp_write_queued(loop, conn->net.tcp)) {
        conn->net.write_since_ns = io_now_ns(loop);
        conn->net.write_left = io_tcp_write_queued(loop, conn->net.tcp);
    }
    if (conn->state == CONN_DONE && list_empty(&conn->requests)) {
        net_http_conn_enter(conn, CONN_LINGER);
        /* The peer reads our answers up to this end. It is closed later: bytes of his that we never
         * read would turn a close into a reset, which can take the answers with it. */
        io_tcp_shutdown(loop, conn->net.tcp);
    }
}

void *net_http_request_state(struct net_http_request *request)
{
    return request->state;
}

void *net_http_request_owner(struct net_http_request *request)
{
    return request->server->owner;
}

bool net_http_request_aborted(const struct net_http_request *request)
{
    return !request->conn;
}

void net_http_request_limit(struct net_http_request *request, size_t body_bytes_max)
{
    ASSERT(request->step == REQUEST_HEAD);
    request->body_max = body_bytes_max;
}
