/*
 * A request is judged by its head: host, path, method, topic, type, name, size, in this order, so
 * that what cannot be taken is said before its body is sent. Then memory for the body is reserved,
 * the declared length or, for a chunked one, the most it may be; when there is none the request
 * stands in line, not read, for a few seconds. The whole body goes to the inlet, and the answer
 * is what the inlet says.
 *
 * The reservation is held until the answer, because what the inlet builds of a body is about as
 * large; it is given back by every way out: answered, aborted, timed out in line.
 */

#include <ctype.h>
#include <inttypes.h>

#include "base/assert.h"
#include "flow/commit.h"
#include "net/http/target.h"
#include "sources/http/http_int.h"

#define RETRY_AFTER "Retry-After: 1\r\n"
#define REPLAYED "Idempotency-Replayed: true\r\n"
#define TYPES                                                                                      \
    "application/json (a value or an array of records) or application/x-ndjson (a line a record)"

/* The server's state for a request. */
struct intake {
    struct sources_http_door *door;
    struct net_http_request *request;
    struct flow_inlet_request inlet;
    struct flow_inlet_once once; /* where `inlet` points to it */
    uint64_t reserved_bytes;
    struct flow_credit_waiter waiter;
    struct io_timer patience;
};

/* "application/json; charset=utf-8" without its parameters; false for a charset that JSON does
 * not have (RFC 8259 section 8.1). */
static bool parse_type(struct slice value, struct slice *type)
{
    static const struct slice charset = SLICE_LITERAL("charset=");
    *type = slice_trim(slice_split(&value, ';'));
    while (value.data) {
        struct slice parameter = slice_trim(slice_split(&value, ';'));
        if (!slice_equal_nocase(slice_sub(parameter, 0, charset.size), charset))
            continue;
        struct slice name = slice_sub(parameter, charset.size, parameter.size);
        if (!slice_equal_nocase(name, SLICE_LITERAL("utf-8")) &&
            !slice_equal_nocase(name, SLICE_LITERAL("\"utf-8\"")))
            return false;
    }
    return true;
}

/* Sets the framing by Content-Type, or answers 415. */
static bool check_type(struct intake *intake, const struct net_http_head *head)
{
    static const struct {
        struct slice type;
        enum flow_framing framing;
    } types[] = {
        {SLICE_LITERAL("application/json"), FLOW_FRAMING_JSON},
        {SLICE_LITERAL("application/x-ndjson"), FLOW_FRAMING_NDJSON},
        {SLICE_LITERAL("application/ndjson"), FLOW_FRAMING_NDJSON},
    };
    uint32_t index = 0;
    struct slice value = net_http_fields_next(&head->fields, "content-type", &index);
    bool several = net_http_fields_next(&head->fields, "content-type", &index).data;
    struct slice type;
    /* No guess by the first byte: curl -d says application/x-www-form-urlencoded, and its body has
     * lost the line ends that NDJSON lives by. Better to say so than to keep one long record. */
    if (!value.data || several) {
        net_http_reply_error(intake->request, 415, NULL, NULL,
                             "Content-Type must be given once: " TYPES);
        return false;
    }
    if (!parse_type(value, &type)) {
        net_http_reply_error(intake->request, 415, NULL, NULL, "the charset must be utf-8");
        return false;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (slice_equal_nocase(type, types[i].type)) {
            intake->inlet.framing = types[i].framing;
            return true;
        }
    }
    net_http_reply_error(intake->request, 415, NULL, NULL,
                         "Content-Type %.*s is not taken; use -H 'Content-Type: "
                         "application/json' or application/x-ndjson: " TYPES,
                         SLICE_PRINTF(type));
    return false;
}

/* RFC 9110 section 15.5.16 has the answer name what would be taken. A body that is packed must not
 * pass as broken JSON and end in a DLQ. */
static bool check_encoding(struct intake *intake, const struct net_http_head *head)
{
    /* May be given more than once, and as a list; anything but identity in any of them is
     * refused. */
    for (uint32_t index = 0;;) {
        struct slice value = net_http_fields_next(&head->fields, "content-encoding", &index);
        if (!value.data)
            return true;
        if (value.size == 0 || slice_equal_nocase(value, SLICE_LITERAL("identity")))
            continue;
        net_http_reply_error(intake->request, 415, NULL, "Accept-Encoding: identity\r\n",
                             "Content-Encoding %.*s is not taken; send the body as it is",
                             SLICE_PRINTF(value));
        return false;
    }
}

/* Finds the topic of the path, or answers 404 or 405. */
static bool check_path(struct intake *intake, const struct net_http_head *head)
{
    struct slice segment, name;
    char decoded[FLOW_TOPIC_NAME_MAX];
    if (!net_http_path_match(head->path, "/v1/topics/{}/records", &segment)) {
        net_http_reply_error(intake->request, 404, NULL, NULL,
                             "no such path; records are taken at /v1/topics/{topic}/records");
        return false;
    }
    /* The path is known, so the answer can say which methods there are (RFC 9110 section
     * 15.5.6). */
    if (head->method != NET_HTTP_POST) {
        net_http_reply_not_allowed(intake->request, "POST");
        return false;
    }
    if (!err_is_ok(net_http_percent_decode(segment, decoded, sizeof(decoded), &name))) {
        net_http_reply_error(intake->request, 404, NULL, NULL, "this cannot be a topic's name");
        return false;
    }
    /* A topic is never made by a request: a typo would be a place where records wait unread. A DLQ
     * is not found here either. */
    intake->inlet.topic = flow_inlet_topic(intake->door->inlet, name);
    if (!intake->inlet.topic)
        net_http_reply_error(intake->request, 404, NULL, NULL,
                             "topic \"%.*s\" is not declared; to declare it, write \"topic: "
                             "%.*s\" into a file listed under contracts in the configuration",
                             SLICE_PRINTF(name), SLICE_PRINTF(name));
    return intake->inlet.topic;
}

/* How the request is named, if it counts once, or answers 400. */
static bool check_once(struct intake *intake, const struct net_http_head *head)
{
    struct sources_http_once once;
    const char *wrong = sources_http_once_parse(&head->fields, &once);
    if (wrong) {
        net_http_reply_error(intake->request, 400, NULL, NULL, "%s", wrong);
        return false;
    }
    if (!once.given)
        return true;
    ASSERT(intake->inlet.topic);
    /* The name is the head's, which goes. */
    intake->once = (struct flow_inlet_once){
        .kind = once.kind,
        .id = flow_inlet_fingerprint(intake->door->inlet, intake->inlet.topic, once.id),
        .sequence = once.sequence,
    };
    intake->inlet.once = &intake->once;
    return true;
}

/* A number whose records are lost for good is passed by a body without any. */
static bool may_be_empty(const struct intake *intake)
{
    return intake->inlet.once && intake->once.kind == FLOW_REQUEST_NUMBERED &&
           intake->inlet.framing == FLOW_FRAMING_NDJSON;
}

static bool check_size(struct intake *intake, const struct net_http_fields *fields)
{
    uint64_t max = intake->door->http->body_max;
    if (!fields->chunked && fields->length == 0 && !may_be_empty(intake)) {
        net_http_reply_error(intake->request, 400, NULL, NULL, "empty body");
        return false;
    }
    if (fields->length > max) {
        net_http_reply_error(intake->request, 413, NULL, NULL,
                             "the body has %" PRIu64 " bytes, the limit is %" PRIu64
                             "; send it in parts",
                             fields->length, max);
        return false;
    }
    return true;
}

static void reply_busy(struct intake *intake, const char *detail)
{
    net_http_reply_error(intake->request, 503, "busy", RETRY_AFTER, "%s", detail);
}

static void give_back(struct intake *intake)
{
    uint64_t bytes = intake->reserved_bytes;
    intake->reserved_bytes = 0;
    flow_credit_give(intake->door->credit, bytes);
}

/* Those behind in line may need less. */
static void leave_line(struct intake *intake)
{
    io_timer_stop(intake->door->loop, &intake->patience);
    flow_credit_cancel(&intake->waiter);
    give_back(intake);
}

static void on_granted(struct flow_credit_waiter *waiter)
{
    struct intake *intake = CONTAINER_OF(waiter, struct intake, waiter);
    ASSERT(intake->reserved_bytes == 0);
    io_timer_stop(intake->door->loop, &intake->patience);
    intake->reserved_bytes = waiter->bytes;
    net_http_body_start(intake->request);
}

static void on_patience_over(struct io_timer *timer)
{
    struct intake *intake = CONTAINER_OF(timer, struct intake, patience);
    ASSERT(intake->reserved_bytes == 0);
    leave_line(intake);
    reply_busy(intake, "no memory for the body, try again later");
}

static enum net_http_verdict reserve(struct intake *intake, uint64_t bytes)
{
    struct flow_credit *credit = intake->door->credit;
    /* It would wait for ever. */
    if (bytes > credit->limit_bytes) {
        reply_busy(intake, "the body is larger than the memory for all bodies");
        return NET_HTTP_ANSWERED;
    }
    /* Before a byte of the body is read: what is promised to the peer by reading on is there. */
    if (flow_credit_take(credit, bytes)) {
        intake->reserved_bytes = bytes;
        return NET_HTTP_ACCEPT;
    }
    /* No memory: the peer is held back by not being read, which costs nothing, and told after a
     * while, so that it can try elsewhere. */
    intake->waiter = (struct flow_credit_waiter){.bytes = bytes, .granted = on_granted};
    intake->patience.run = on_patience_over;
    flow_credit_wait(credit, &intake->waiter);
    io_timer_start(intake->door->loop, &intake->patience,
                   intake->door->http->credit_wait_ms * IO_MS);
    return NET_HTTP_WAIT;
}

static enum net_http_verdict on_head(void *owner, struct net_http_request *request,
                                     const struct net_http_head *head)
{
    struct sources_http_door *door = owner;
    const struct sources_http *http = door->http;
    struct intake *intake = net_http_request_state(request);
    intake->door = door;
    intake->request = request;
    /* Before anything is said of paths or topics: a page that a foreign name brought here learns
     * nothing. */
    if (!net_http_host_allowed(head->host, http->address, http->hosts, http->host_count)) {
        net_http_reply_error(request, 403, NULL, NULL,
                             "Host %.*s is not a name of this server; use its address or localhost",
                             SLICE_PRINTF(head->host));
        return NET_HTTP_ANSWERED;
    }
    if (!check_path(intake, head) || !check_type(intake, head) || !check_encoding(intake, head) ||
        !check_once(intake, head) || !check_size(intake, &head->fields))
        return NET_HTTP_ANSWERED;
    /* A chunked body has told no length; it is cut off at the limit. */
    net_http_request_limit(request, http->body_max);
    return reserve(intake, head->fields.chunked ? http->body_max : head->fields.length);
}

/* "LOG_FULL" as "log_full". */
static const char *lower_name(err_t err, char *out, size_t size)
{
    const char *name = err_name(err);
    size_t i = 0;
    for (; name[i] && i + 1 < size; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
    return out;
}

/* What the sender can do about it. */
static const char *failure_detail(err_t err)
{
    if (err_is(err, ERR_TOO_LARGE))
        return "the records of this request take more room than one commit has; send it in parts";
    if (err_is(err, ERR_FENCED))
        return "the log failed under this request, outcome unknown; send it again";
    if (err_is(err, ERR_NOT_FOUND))
        return "the topic is no longer declared";
    if (err_is(err, ERR_KEY_REUSED))
        return "this Idempotency-Key came with another body; take a new key for another request";
    if (err_is(err, ERR_PRODUCERS_FULL))
        return "the topic knows as many producers as it keeps, and all were active within the last "
               "hour; try again later, and let each producer keep its name";
    if (err_is(err, ERR_INVALID))
        return "empty body";
    return err_string(err);
}

static void reply_failed(struct intake *intake, err_t err)
{
    char code[32];
    /* Pressure is for the client to try again, whatever the status of the error elsewhere. Nothing
     * of the request was kept, or, fenced, nobody knows: the answer never claims success. */
    int status = err_class(err) == ERR_CLASS_PRESSURE ? 503 : err_http_status(err);
    net_http_reply_error(intake->request, status, lower_name(err, code, sizeof(code)),
                         status == 503 ? RETRY_AFTER : NULL, "%s", failure_detail(err));
}

/* The style of every error, and the two numbers for programs. */
static void reply_gap(struct intake *intake)
{
    uint64_t expected = intake->inlet.expected;
    char numbers[96];
    snprintf(numbers, sizeof(numbers), "\"expected\":%" PRIu64 ",\"got\":%" PRIu64, expected,
             intake->once.sequence);
    struct buf b = {0};
    buf_add_string(&b, "{\"error\":\"sequence_gap\",");
    buf_add_string(&b, numbers);
    buf_add_string(&b, ",\"detail\":\"");
    buf_add_string(&b, expected == 0
                           ? "this topic has never seen this producer, or has forgotten it (it "
                             "is kept for 7 days after its last request); begin at 0"
                           : "requests before this one have not come; send them first, or again");
    buf_add_string(&b, "\"}\n");
    if (buf_ok(&b))
        net_http_reply(intake->request,
                       &(struct net_http_response){.status = 409, .body = buf_slice(&b)});
    else
        reply_failed(intake, buf_error(&b));
    buf_done(&b);
}

static void add_error(struct buf *b, const struct flow_inlet_error *error)
{
    buf_add_string(b, "{\"index\":");
    buf_add_u64(b, error->index);
    buf_add_string(b, ",\"reason\":");
    buf_add_json_string(b, slice_string(error->reason));
    buf_add_string(b, ",\"detail\":");
    buf_add_json_string(b, slice_string(error->detail ? error->detail : ""));
    buf_add_string(b, "}");
}

static void reply_counts(struct intake *intake)
{
    const struct flow_inlet_request *inlet = &intake->inlet;
    struct buf b = {0};
    buf_reserve(&b, 192);
    buf_add_string(&b, "{\"accepted\":");
    buf_add_u64(&b, inlet->accepted);
    buf_add_string(&b, ",\"duplicates\":");
    buf_add_u64(&b, inlet->duplicates);
    buf_add_string(&b, ",\"dead_lettered\":");
    buf_add_u64(&b, inlet->dead_lettered);
    buf_add_string(&b, ",\"refused\":");
    buf_add_u64(&b, inlet->refused);
    buf_add_string(&b, ",\"errors\":[");
    for (uint32_t i = 0; i < inlet->error_count; i++) {
        if (i)
            buf_add_byte(&b, ',');
        add_error(&b, &inlet->errors[i]);
    }
    buf_add_byte(&b, ']');
    if (inlet->errors_truncated) {
        buf_add_string(&b, ",\"errors_truncated\":");
        buf_add_u64(&b, inlet->errors_truncated);
    }
    buf_add_string(&b, "}\n");
    /* The records are on disk. A 503 for want of memory makes the client send them again: twice is
     * the lesser fault beside a success that could not be told. */
    if (buf_ok(&b))
        net_http_reply(intake->request, &(struct net_http_response){
                                            .status = inlet->refused ? 422 : 200,
                                            .headers = inlet->replayed ? REPLAYED : NULL,
                                            .body = buf_slice(&b),
                                        });
    else
        reply_failed(intake, buf_error(&b));
    buf_done(&b);
}

/* The log has answered: this is the one place where a request that was read whole is told its
 * end. */
static void on_done(struct flow_inlet_request *inlet)
{
    struct intake *intake = CONTAINER_OF(inlet, struct intake, inlet);
    give_back(intake);
    if (err_is_ok(inlet->error))
        reply_counts(intake);
    else if (err_is(inlet->error, ERR_SEQUENCE_GAP))
        reply_gap(intake);
    else
        reply_failed(intake, inlet->error);
    flow_inlet_request_done(inlet);
}

static void on_body(void *owner, struct net_http_request *request, struct slice body)
{
    struct sources_http_door *door = owner;
    struct intake *intake = net_http_request_state(request);
    ASSERT(body.size <= intake->reserved_bytes);
    if (body.size == 0 && !may_be_empty(intake)) {
        give_back(intake);
        net_http_reply_error(request, 400, NULL, NULL, "empty body");
        return;
    }
    /* A chunked body is mostly smaller than what was reserved for it. */
    uint64_t spare = intake->reserved_bytes - body.size;
    intake->reserved_bytes = body.size;
    if (spare)
        flow_credit_give(door->credit, spare);
    intake->inlet.source = "http";
    intake->inlet.body = body;
    intake->inlet.done = on_done;
    flow_inlet_submit(door->inlet, &intake->inlet);
}

static void on_abort(void *owner, struct net_http_request *request)
{
    struct sources_http_door *door = owner;
    struct intake *intake = net_http_request_state(request);
    ASSERT(intake->door == door);
    leave_line(intake);
}

static bool is_pressed(void *owner)
{
    const struct sources_http_door *door = owner;
    return flow_credit_is_awaited(door->credit);
}

const struct net_http_handler sources_http_handler = {
    .state_size = sizeof(struct intake),
    .on_head = on_head,
    .on_body = on_body,
    .on_abort = on_abort,
    .is_pressed = is_pressed,
};
