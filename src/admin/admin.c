#include "admin/admin_int.h"

#include "admin/ledger.h"
#include "admin/topics.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "net/http/target.h"
#include "observe/prometheus.h"

/*
 * A request is a row of `routes`. What needs another part (metrics, readiness, the ledger) is an
 * `inquiry` of its own: it asks, waits for all answers to come home, replies and is gone. An
 * answer that never came would keep its inquiry, so the number of inquiries is limited.
 */

#define INQUIRIES_MAX 64u
#define CONNECTIONS_MAX 256u
/* A password, each of its bytes escaped. */
#define USER_BODY_MAX 8192u

/* What is asked of the log's snapshot. */
enum subject { SUBJECT_LEDGER, SUBJECT_TOPICS, SUBJECT_TOPIC };

struct inquiry {
    struct admin *admin;
    struct net_http_request *request;
    bool metrics; /* else readiness */
    size_t waiting;
    enum subject subject;
    size_t topic_size;
    uint8_t topic[FLOW_TOPIC_NAME_MAX];
    struct flow_snapshot snapshot;
    struct flow_report reports[];
};

struct route {
    const char *path; /* "{}" is a topic */
    const char *allow;
    enum net_http_method method; /* GET stands for HEAD too */
    void (*serve)(struct admin *admin, struct net_http_request *request,
                  const struct admin_target *target);
    size_t body_max; /* 0: its requests have no body */
};

void admin_reply_busy(struct net_http_request *request)
{
    net_http_reply_error(request, 503, "busy", "Retry-After: 1\r\n",
                         "too many requests are waiting for an answer; try again");
}

bool admin_inquiry_begin(struct admin *admin, struct net_http_request *request)
{
    /* The limit bounds the memory too: a report of ten thousand partitions is a megabyte. */
    if (admin->inquiries >= INQUIRIES_MAX) {
        admin_reply_busy(request);
        return false;
    }
    admin->inquiries++;
    return true;
}

void admin_inquiry_end(struct admin *admin)
{
    ASSERT(admin->inquiries > 0);
    admin->inquiries--;
}

static void end_inquiry(struct inquiry *inquiry)
{
    /* What was asked of the parts is theirs until it has come home; only then may this go. */
    ASSERT(inquiry->waiting == 0);
    admin_inquiry_end(inquiry->admin);
    mem_free(inquiry);
}

static struct inquiry *begin_inquiry(struct admin *admin, struct net_http_request *request,
                                     size_t report_count)
{
    if (!admin_inquiry_begin(admin, request))
        return NULL;
    struct inquiry *inquiry =
        mem_zalloc(1, sizeof *inquiry + report_count * sizeof inquiry->reports[0]);
    if (!inquiry) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return NULL;
    }
    inquiry->admin = admin;
    inquiry->request = request;
    return inquiry;
}

/* A body that met the end of memory is never sent cut off: half a page of metrics would pass for
 * counters that went back. */
void admin_reply(struct net_http_request *request, int status, const char *type, struct buf *body)
{
    if (buf_ok(body))
        net_http_reply(request, &(struct net_http_response){.status = status,
                                                            .content_type = type,
                                                            .body = buf_slice(body)});
    else
        net_http_reply_error(request, 503, "memory", "Retry-After: 1\r\n", "out of memory");
}

void admin_reply_failed(struct net_http_request *request, err_t err, const char *code,
                        const char *what)
{
    ASSERT(!err_is_ok(err));
    net_http_reply_error(request, err_http_status(err), code,
                         err_retriable(err) ? "Retry-After: 1\r\n" : NULL, "%s: %s", what,
                         err_string(err));
}

void admin_reply_unknown(struct net_http_request *request, struct slice topic)
{
    net_http_reply_error(request, 404, "unknown_topic", NULL, "there is no topic %.*s",
                         SLICE_PRINTF(topic));
}

static void serve_health(struct admin *admin, struct net_http_request *request,
                         const struct admin_target *target)
{
    (void)target;
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
    admin_reply(inquiry->request, 200, OBSERVE_PROMETHEUS_CONTENT_TYPE, &text);
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
    admin_reply(inquiry->request, reason[0] ? 503 : 200, NULL, &body);
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
    /* Those that were merged are empty by now; those of a question about readiness are not. */
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

static void serve_metrics(struct admin *admin, struct net_http_request *request,
                          const struct admin_target *target)
{
    (void)target;
    ask_all(admin, request, true);
}

static void serve_ready(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target)
{
    (void)target;
    ask_all(admin, request, false);
}

/* False when it has answered itself. */
static bool render_snapshot(const struct inquiry *inquiry, struct buf *body)
{
    const struct flow_snapshot *snapshot = &inquiry->snapshot;
    const struct control_catalog *catalog = inquiry->admin->options.catalog;
    struct slice name = slice_make(inquiry->topic, inquiry->topic_size);
    const struct flow_topic_state *topic = NULL;
    switch (inquiry->subject) {
    case SUBJECT_LEDGER: admin_ledger_render(snapshot, body); return true;
    case SUBJECT_TOPICS: admin_topics_render(snapshot, catalog, body); return true;
    /* Asked of the snapshot and not of the catalog: topics outlive their contracts. */
    case SUBJECT_TOPIC: topic = flow_snapshot_topic(snapshot, name); break;
    }
    if (topic)
        admin_topic_render(snapshot, catalog, topic, body);
    else
        admin_reply_unknown(inquiry->request, name);
    return topic;
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct inquiry *inquiry = CONTAINER_OF(snapshot, struct inquiry, snapshot);
    struct buf body = {0};
    if (!err_is_ok(snapshot->error)) {
        /* No ledger rather than an old one: who balances books by this must know that he cannot. */
        bool ledger = inquiry->subject == SUBJECT_LEDGER;
        admin_reply_failed(inquiry->request, snapshot->error, ledger ? "ledger" : "log",
                           ledger ? "the log gives no ledger" : "the log does not name its topics");
    } else if (render_snapshot(inquiry, &body)) {
        buf_add_byte(&body, '\n');
        admin_reply(inquiry->request, 200, NULL, &body);
    }
    buf_done(&body);
    flow_snapshot_done(snapshot);
    end_inquiry(inquiry);
}

/* One snapshot is one moment: every number in the answer is from the same commit. */
static void ask_log(struct admin *admin, struct net_http_request *request, enum subject subject,
                    const struct admin_target *target)
{
    struct inquiry *inquiry = begin_inquiry(admin, request, 0);
    if (!inquiry)
        return;
    inquiry->subject = subject;
    inquiry->topic_size = target->topic_size;
    /* Copied: the request's own may be gone before the log answers. */
    memcpy(inquiry->topic, target->topic, target->topic_size);
    inquiry->snapshot.home = admin->options.loop;
    inquiry->snapshot.done = snapshot_back;
    flow_log_snapshot(admin->options.log, &inquiry->snapshot);
}

static void serve_ledger(struct admin *admin, struct net_http_request *request,
                         const struct admin_target *target)
{
    ask_log(admin, request, SUBJECT_LEDGER, target);
}

static void serve_topics(struct admin *admin, struct net_http_request *request,
                         const struct admin_target *target)
{
    ask_log(admin, request, SUBJECT_TOPICS, target);
}

static void serve_topic(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target)
{
    ask_log(admin, request, SUBJECT_TOPIC, target);
}

#define GETS "GET, HEAD"
#define ALL "GET, HEAD, POST, PUT, DELETE"
#define CHANGES "POST, DELETE"
#define ORDERS "GET, HEAD, POST, DELETE"

static const struct route routes[] = {
    /* A line a path and kind of method: on_head answers for all others, and names these. */
    {"/health", GETS, NET_HTTP_GET, serve_health},
    {"/ready", GETS, NET_HTTP_GET, serve_ready},
    {"/metrics", GETS, NET_HTTP_GET, serve_metrics},
    {"/v1/ledger", GETS, NET_HTTP_GET, serve_ledger},
    {"/v1/topics", GETS, NET_HTTP_GET, serve_topics},
    {"/v1/topics/{}", ALL, NET_HTTP_GET, serve_topic},
    {"/v1/topics/{}", ALL, NET_HTTP_POST, admin_topic_create},
    {"/v1/topics/{}", ALL, NET_HTTP_PUT, admin_topic_alter},
    {"/v1/topics/{}", ALL, NET_HTTP_DELETE, admin_deletion_serve},
    {"/v1/groups", GETS, NET_HTTP_GET, admin_groups_serve},
    {"/v1/groups/{}", GETS, NET_HTTP_GET, admin_groups_serve},
    {"/v1/contracts", GETS, NET_HTTP_GET, admin_contracts_serve},
    {"/v1/contracts/{}", GETS, NET_HTTP_GET, admin_contract_serve},
    {"/v1/users", GETS, NET_HTTP_GET, admin_users_serve},
    {"/v1/users/{}", "PUT, DELETE", NET_HTTP_PUT, admin_user_put, USER_BODY_MAX},
    {"/v1/users/{}", "PUT, DELETE", NET_HTTP_DELETE, admin_user_remove},
    {"/v1/reload", "POST", NET_HTTP_POST, admin_reload_serve},
    {"/v1/topics/{}/records", GETS, NET_HTTP_GET, admin_records_serve},
    {"/v1/backups", "POST", NET_HTTP_POST, admin_backup_take},
    {"/v1/backups/{}", CHANGES, NET_HTTP_POST, admin_backup_keep},
    {"/v1/backups/{}", CHANGES, NET_HTTP_DELETE, admin_backup_give_back},
    {"/v1/dlq", GETS, NET_HTTP_GET, admin_dlq_list},
    {"/v1/dlq/{}", GETS, NET_HTTP_GET, admin_dlq_show},
    {"/v1/dlq/{}/redrive", ORDERS, NET_HTTP_GET, admin_dlq_state},
    {"/v1/dlq/{}/redrive", ORDERS, NET_HTTP_POST, admin_dlq_redrive},
    {"/v1/dlq/{}/redrive", ORDERS, NET_HTTP_DELETE, admin_dlq_cancel},
    {"/v1/dlq/{}/purge", ORDERS, NET_HTTP_GET, admin_dlq_state},
    {"/v1/dlq/{}/purge", ORDERS, NET_HTTP_POST, admin_dlq_purge},
    {"/v1/dlq/{}/purge", ORDERS, NET_HTTP_DELETE, admin_dlq_cancel},
};

/* HEAD is answered as GET is; the connection leaves the body out. */
static bool method_fits(const struct route *route, enum net_http_method method)
{
    return route->method == method || (route->method == NET_HTTP_GET && method == NET_HTTP_HEAD);
}

/* The route of a path and, where the path has it, of the method; `topic` is what stands for "{}",
 * still encoded. */
static const struct route *find_route(struct slice path, enum net_http_method method,
                                      struct slice *topic)
{
    const struct route *found = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (net_http_path_match(path, routes[i].path, topic)) {
            found = &routes[i];
            /* A path without the method is remembered: it is answered 405 and not 404. */
            if (method_fits(found, method))
                break;
        }
    }
    return found;
}

/* What a request waits with from its head to its body, which is empty. */
struct request_state {
    const struct route *route;
    struct admin_target target;
};

/* False when it has answered: no topic has such a name, or no request needs such a query. */
static bool keep_target(struct net_http_request *request, struct slice topic, struct slice query)
{
    struct request_state *state = net_http_request_state(request);
    struct admin_target *target = &state->target;
    struct slice name;
    if (!err_is_ok(net_http_percent_decode(topic, target->topic, sizeof target->topic, &name))) {
        net_http_reply_error(request, 404, "unknown_topic", NULL, "no topic has such a name");
        return false;
    }
    /* Kept within the request's own state, so that no head however long takes memory. */
    if (query.size > sizeof target->query) {
        net_http_reply_error(request, 400, "query", NULL, "the query is over %zu bytes",
                             sizeof target->query);
        return false;
    }
    target->topic_size = name.size;
    target->query_size = query.size;
    if (query.size > 0)
        memcpy(target->query, query.data, query.size);
    return true;
}

static enum net_http_verdict on_head(void *owner, struct net_http_request *request,
                                     const struct net_http_head *head)
{
    struct admin *admin = owner;
    struct slice topic = {0};
    const struct route *route = find_route(head->path, head->method, &topic);
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
                             "no such path; there are /health, /ready, /metrics, /v1/ledger, "
                             "/v1/topics, /v1/groups, /v1/contracts, /v1/dlq, /v1/backups, "
                             "/v1/users and /v1/reload");
    else if (!method_fits(route, head->method))
        net_http_reply_not_allowed(request, route->allow);
    else if (!route->body_max && (head->fields.chunked || head->fields.length > 0))
        /* Before a byte of it is read. */
        net_http_reply_error(request, 413, "too_large", NULL, "no request of this kind has a body");
    else if (head->fields.length > route->body_max)
        net_http_reply_error(request, 413, "too_large", NULL, "the body is over %zu bytes",
                             route->body_max);
    else if (keep_target(request, topic, head->query)) {
        struct request_state *state = net_http_request_state(request);
        state->route = route;
        if (route->body_max)
            net_http_request_limit(request, route->body_max);
        return NET_HTTP_ACCEPT;
    }
    return NET_HTTP_ANSWERED;
}

static void on_body(void *owner, struct net_http_request *request, struct slice body)
{
    struct request_state *state = net_http_request_state(request);
    /* on_head let nothing else pass. */
    ASSERT(state->route && body.size <= state->route->body_max);
    state->target.body = body;
    state->route->serve(owner, request, &state->target);
}

static const struct net_http_handler handler = {
    .state_size = sizeof(struct request_state), .on_head = on_head, .on_body = on_body};

static void adopt(struct net_door *door, struct io_socket socket)
{
    net_http_server_adopt(CONTAINER_OF(door, struct admin, door)->server, socket);
}

/* Requests under way, and with them every inquiry, outlive their connections until answered. */
static void stop(struct net_door *door, uint64_t deadline_ms)
{
    net_http_server_stop(CONTAINER_OF(door, struct admin, door)->server, deadline_ms,
                         net_door_stopped, door);
}

static const struct net_doors_ops doors_ops = {.adopt = adopt, .stop = stop};

err_t admin_new(const struct admin_options *options, struct admin **out, struct err_text *why)
{
    ASSERT(options->exporter_count > 0 && options->catalog);
    struct admin *admin = mem_zalloc(1, sizeof *admin);
    if (!admin)
        return err_make(ERR_MEMORY);
    admin->options = *options;
    list_init(&admin->readers);
    struct net_http_limits limits;
    net_http_limits_init(&limits);
    /* Operators and scrapers, not producers: what is over is a mistake or an attack. */
    limits.net.connections_max = CONNECTIONS_MAX;
    admin->net.ops = &doors_ops;
    net_doors_add(&admin->net, &admin->door, options->loop);
    err_t err = net_http_server_new(options->loop, &limits, &handler, admin, &admin->server);
    if (err_is_ok(err))
        err = net_doors_listen(&admin->net, options->address, why);
    if (!err_is_ok(err)) {
        err_prefix(why, "admin.listen");
        net_http_server_free(&admin->server);
        mem_free(admin);
        return err;
    }
    *out = admin;
    return err_ok();
}

void admin_set_catalog(struct admin *admin, const struct control_catalog *catalog)
{
    ASSERT(catalog);
    admin->options.catalog = catalog;
}

uint16_t admin_port(const struct admin *admin)
{
    return net_doors_port(&admin->net);
}

void admin_stop(struct admin *admin, uint64_t deadline_ms, void (*stopped)(void *owner),
                void *owner)
{
    net_doors_stop(&admin->net, deadline_ms, stopped, owner);
    admin_records_stop(admin);
}

void admin_free(struct admin **admin)
{
    if (!*admin)
        return;
    ASSERT((*admin)->inquiries == 0 && (*admin)->reader_count == 0);
    net_doors_done(&(*admin)->net);
    net_http_server_free(&(*admin)->server);
    mem_free(*admin);
    *admin = NULL;
}
