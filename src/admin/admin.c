#include "admin/admin.h"

#include "admin/ledger.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "net/http/server.h"
#include "net/http/target.h"
#include "net/listener.h"
#include "observe/prometheus.h"

/*
 * A request is a row of `routes`. What needs another part (metrics, readiness, the ledger) is an
 * `inquiry` of its own: it asks, waits for all answers to come home, replies and is gone. An
 * answer that never came would keep its inquiry, so the number of inquiries is limited.
 */

#define INQUIRIES_MAX 64u
#define CONNECTIONS_MAX 256u

struct admin {
    struct admin_options options;
    struct net_http_server *server;
    struct net_listener *listener;
    uint32_t inquiries;
    uint64_t stop_deadline_ms;
    void (*stopped)(void *owner);
    void *stopped_owner;
};

struct inquiry {
    struct admin *admin;
    struct net_http_request *request;
    bool metrics; /* else readiness */
    size_t waiting;
    struct flow_snapshot snapshot;
    struct flow_report reports[];
};

struct route {
    const char *path;
    void (*serve)(struct admin *admin, struct net_http_request *request);
};

static void end_inquiry(struct inquiry *inquiry)
{
    struct admin *admin = inquiry->admin;
    /* What was asked of the parts is theirs until it has come home; only then may this go. */
    ASSERT(inquiry->waiting == 0 && admin->inquiries > 0);
    admin->inquiries--;
    mem_free(inquiry);
}

static struct inquiry *begin_inquiry(struct admin *admin, struct net_http_request *request,
                                     size_t report_count)
{
    /* The limit bounds the memory too: a report of ten thousand partitions is a megabyte. */
    struct inquiry *inquiry = NULL;
    if (admin->inquiries < INQUIRIES_MAX)
        inquiry = mem_zalloc(1, sizeof *inquiry + report_count * sizeof inquiry->reports[0]);
    if (!inquiry) {
        net_http_reply_error(request, 503, "busy", "Retry-After: 1\r\n",
                             "too many requests are waiting for an answer; try again");
        return NULL;
    }
    admin->inquiries++;
    inquiry->admin = admin;
    inquiry->request = request;
    return inquiry;
}

/* A body that met the end of memory is never sent cut off: half a page of metrics would pass for
 * counters that went back. */
static void reply_text(struct net_http_request *request, int status, const char *type,
                       struct buf *body)
{
    if (buf_ok(body))
        net_http_reply(request, &(struct net_http_response){.status = status,
                                                            .content_type = type,
                                                            .body = buf_slice(body)});
    else
        net_http_reply_error(request, 503, "memory", "Retry-After: 1\r\n", "out of memory");
}

static void serve_health(struct admin *admin, struct net_http_request *request)
{
    ASSERT(admin->server);
    /* Says nothing but that the loop turns. Whoever restarts by this must not do so because a disk
     * is slow; that is what readiness is for. */
    net_http_reply(request, &(struct net_http_response){
                                .status = 200, .body = SLICE_LITERAL("{\"status\":\"alive\"}\n")});
}

static void reply_metrics(struct inquiry *inquiry)
{
    size_t count = inquiry->admin->options.exporter_count;
    /* Merged on this loop, once every part has handed its report over for good. */
    struct metric_set *all = &inquiry->reports[0].metrics;
    for (size_t i = 1; i < count; i++)
        metric_set_merge(all, &inquiry->reports[i].metrics);
    struct buf text;
    buf_init(&text, 0);
    observe_prometheus_render(all, &text);
    if (all->failed)
        /* A part without memory says so in its set; a page that lacks its counters must not look
         * whole. */
        text.failed = true;
    reply_text(inquiry->request, 200, OBSERVE_PROMETHEUS_CONTENT_TYPE, &text);
    buf_done(&text);
}

static void reply_ready(struct inquiry *inquiry)
{
    const char *reason = "";
    /* The first reason is told; the others show once it is gone. */
    for (size_t i = 0; i < inquiry->admin->options.exporter_count && !reason[0]; i++)
        reason = inquiry->reports[i].not_ready;
    struct buf body;
    buf_init(&body, 0);
    buf_add_format(&body, "{\"ready\":%s", reason[0] ? "false,\"reason\":" : "true");
    if (reason[0])
        buf_add_json_string(&body, slice_string(reason));
    buf_add_string(&body, "}\n");
    reply_text(inquiry->request, reason[0] ? 503 : 200, NULL, &body);
    buf_done(&body);
}

static void report_back(struct flow_report *report)
{
    struct inquiry *inquiry = report->asker;
    ASSERT(inquiry->waiting > 0);
    /* A request whose peer has gone waits for its answers all the same: the parts write into it. */
    if (--inquiry->waiting > 0)
        return;
    if (inquiry->metrics)
        reply_metrics(inquiry);
    else
        reply_ready(inquiry);
    for (size_t i = 0; i < inquiry->admin->options.exporter_count; i++)
        metric_set_done(&inquiry->reports[i].metrics);
    end_inquiry(inquiry);
}

/* All are asked at once and answer in any order. No answer comes before this returns, so `waiting`
 * cannot reach 0 in between. */
static void ask_all(struct admin *admin, struct net_http_request *request, bool metrics)
{
    size_t count = admin->options.exporter_count;
    struct inquiry *inquiry = begin_inquiry(admin, request, count);
    if (!inquiry)
        return;
    inquiry->metrics = metrics;
    inquiry->waiting = count;
    for (size_t i = 0; i < count; i++) {
        struct flow_report *report = &inquiry->reports[i];
        metric_set_init(&report->metrics);
        report->home = admin->options.loop;
        report->done = report_back;
        report->asker = inquiry;
        admin->options.exporters[i]->collect(admin->options.exporters[i], report);
    }
}

static void serve_metrics(struct admin *admin, struct net_http_request *request)
{
    ask_all(admin, request, true);
}

static void serve_ready(struct admin *admin, struct net_http_request *request)
{
    ask_all(admin, request, false);
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct inquiry *inquiry = CONTAINER_OF(snapshot, struct inquiry, snapshot);
    struct buf body;
    buf_init(&body, 0);
    if (err_is_ok(snapshot->error)) {
        admin_ledger_render(snapshot, &body);
        buf_add_byte(&body, '\n');
        reply_text(inquiry->request, 200, NULL, &body);
    } else {
        /* No ledger rather than an old one: who balances books by this must know that he cannot. */
        net_http_reply_error(inquiry->request, err_http_status(snapshot->error), "ledger",
                             err_retriable(snapshot->error) ? "Retry-After: 1\r\n" : NULL,
                             "the log gives no ledger: %s", err_string(snapshot->error));
    }
    buf_done(&body);
    flow_snapshot_done(snapshot);
    end_inquiry(inquiry);
}

static void serve_ledger(struct admin *admin, struct net_http_request *request)
{
    struct inquiry *inquiry = begin_inquiry(admin, request, 0);
    if (!inquiry)
        return;
    /* One snapshot is one moment: every number in the answer is from the same commit. */
    inquiry->snapshot.home = admin->options.loop;
    inquiry->snapshot.done = snapshot_back;
    flow_log_snapshot(admin->options.log, &inquiry->snapshot);
}

static const struct route routes[] = {
    /* One line a path: on_head answers for all others, and names these. */
    {"/health", serve_health},
    {"/ready", serve_ready},
    {"/metrics", serve_metrics},
    {"/v1/ledger", serve_ledger},
};

/* Four paths, compared in turn; none has a variable part. */
static const struct route *find_route(struct slice path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (slice_equal_string(path, routes[i].path))
            return &routes[i];
    }
    return NULL;
}

/* What a request waits with from its head to its body, which is empty. */
struct request_state {
    const struct route *route;
};

static enum net_http_verdict on_head(void *owner, struct net_http_request *request,
                                     const struct net_http_head *head)
{
    struct admin *admin = owner;
    const struct route *route = find_route(head->path);
    /* The order is what may be told: who comes by a foreign name or from a foreign page learns not
     * even which paths there are. */
    if (!net_http_host_allowed(head->host, admin->options.address, NULL, 0))
        net_http_reply_error(request, 403, "host", NULL,
                             "this Host is not one of this server; use its address or localhost");
    else if (!net_http_origin_allowed(head))
        net_http_reply_error(request, 403, "origin", NULL,
                             "requests from pages of other sites are refused");
    else if (!route)
        net_http_reply_error(request, 404, "not_found", NULL,
                             "no such path; there are /health, /ready, /metrics and /v1/ledger");
    else if (head->method != NET_HTTP_GET && head->method != NET_HTTP_HEAD)
        net_http_reply_not_allowed(request, "GET, HEAD");
    else if (head->fields.chunked || head->fields.length > 0)
        net_http_reply_error(request, 413, "too_large", NULL, "no request here has a body");
    else {
        struct request_state *state = net_http_request_state(request);
        state->route = route;
        return NET_HTTP_ACCEPT;
    }
    return NET_HTTP_ANSWERED;
}

static void on_body(void *owner, struct net_http_request *request, struct slice body)
{
    const struct request_state *state = net_http_request_state(request);
    /* on_head let nothing else pass. */
    ASSERT(state->route && body.size == 0);
    state->route->serve(owner, request);
}

static const struct net_http_handler handler = {
    .state_size = sizeof(struct request_state), .on_head = on_head, .on_body = on_body};

static void adopt(void *owner, struct io_socket socket)
{
    struct admin *admin = owner;
    net_http_server_adopt(admin->server, socket);
}

err_t admin_new(const struct admin_options *options, struct admin **out, struct err_text *why)
{
    ASSERT(options->exporter_count > 0);
    struct admin *admin = mem_zalloc(1, sizeof *admin);
    if (!admin)
        return err_make(ERR_MEMORY);
    admin->options = *options;
    struct net_http_limits limits;
    net_http_limits_init(&limits);
    /* Operators and scrapers, not producers: what is over is a mistake or an attack. */
    limits.connections_max = CONNECTIONS_MAX;
    struct net_listener_target target = {.loop = options->loop, .accept = adopt, .owner = admin};
    err_t err = net_http_server_new(options->loop, &limits, &handler, admin, &admin->server);
    if (err_is_ok(err))
        err = net_listener_new(options->loop, options->address, &target, 1, &admin->listener, why);
    if (!err_is_ok(err)) {
        err_prefix(why, "admin.listen");
        net_http_server_free(&admin->server);
        mem_free(admin);
        return err;
    }
    *out = admin;
    return err_ok();
}

uint16_t admin_port(const struct admin *admin)
{
    return net_listener_port(admin->listener);
}

/* Requests under way, and with them every inquiry, outlive their connections until answered. */
static void listener_stopped(void *owner)
{
    struct admin *admin = owner;
    net_http_server_stop(admin->server, admin->stop_deadline_ms, admin->stopped,
                         admin->stopped_owner);
}

void admin_stop(struct admin *admin, uint64_t deadline_ms, void (*stopped)(void *owner),
                void *owner)
{
    ASSERT(stopped && !admin->stopped);
    admin->stop_deadline_ms = deadline_ms;
    admin->stopped = stopped;
    admin->stopped_owner = owner;
    /* The listener first, so that no connection can come behind the server's stop. */
    net_listener_stop(admin->listener, listener_stopped, admin);
}

void admin_free(struct admin **admin)
{
    if (!*admin)
        return;
    ASSERT((*admin)->inquiries == 0);
    net_listener_free(&(*admin)->listener);
    net_http_server_free(&(*admin)->server);
    mem_free(*admin);
    *admin = NULL;
}
