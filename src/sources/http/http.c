/*
 * One listener on the first loop, one server a loop. Stopping goes the way of the sockets: first
 * the listener, then, behind the last socket that it handed over, a task to each loop that stops
 * its server; each reports back to the first loop, and the last one ends it.
 */

#include "sources/http/http_int.h"

#include "base/alloc.h"
#include "base/assert.h"

#define BODY_MAX_DEFAULT (UINT64_C(8) << 20)
#define CREDIT_WAIT_MS_DEFAULT 5000u

/* On the first loop, so that the count of open doors has one thread. */
static void report_stopped(struct task *task)
{
    struct sources_http *http = CONTAINER_OF(task, struct sources_http_door, stopped_task)->http;
    ASSERT(http->doors_open > 0);
    if (--http->doors_open == 0)
        http->stopped(http->stopped_owner);
}

static void on_server_stopped(void *owner)
{
    struct sources_http_door *door = owner;
    io_post(door->http->doors[0].loop, &door->stopped_task);
}

static void stop_server(struct task *task)
{
    struct sources_http_door *door = CONTAINER_OF(task, struct sources_http_door, stop_task);
    net_http_server_stop(door->server, door->http->stop_deadline_ms, on_server_stopped, door);
}

static err_t open_door(struct sources_http *http, const struct sources_http_options *options,
                       struct sources_http_door *door, const struct sources_http_loop *loop)
{
    ASSERT(loop->loop && loop->inlet && loop->credit);
    /* Its tasks are part of it: stopping needs no memory, so it cannot fail. */
    *door = (struct sources_http_door){
        .http = http,
        .loop = loop->loop,
        .inlet = loop->inlet,
        .credit = loop->credit,
        .stop_task = {.run = stop_server},
        .stopped_task = {.run = report_stopped},
    };
    return net_http_server_new(loop->loop, options->limits, &sources_http_handler, door,
                               &door->server);
}

/* Nothing listens yet: requests may only come once all loops and what stands behind them are
 * there. */
err_t sources_http_new(const struct sources_http_options *options, struct sources_http **out)
{
    ASSERT(options->address && options->loop_count > 0);
    size_t size =
        sizeof(struct sources_http) + options->loop_count * sizeof(struct sources_http_door);
    struct sources_http *http = mem_zalloc(1, size);
    if (!http)
        return err_make(ERR_MEMORY);
    http->exporter = (struct flow_exporter){.name = "http", .collect = sources_http_collect};
    http->address = options->address;
    http->hosts = options->hosts;
    http->host_count = options->host_count;
    http->body_max = options->body_max ? options->body_max : BODY_MAX_DEFAULT;
    http->credit_wait_ms =
        options->credit_wait_ms ? options->credit_wait_ms : CREDIT_WAIT_MS_DEFAULT;
    http->door_count = options->loop_count;
    for (size_t i = 0; i < http->door_count; i++) {
        /* Each has its loop, credit and counters: requests of different loops have nothing in
         * common. */
        err_t err = open_door(http, options, &http->doors[i], &options->loops[i]);
        if (!err_is_ok(err)) {
            sources_http_free(&http);
            return err;
        }
    }
    *out = http;
    return err_ok();
}

static void adopt(void *owner, struct io_socket socket)
{
    struct sources_http_door *door = owner;
    /* Called on the door's own loop; the listener has posted the socket there. */
    net_http_server_adopt(door->server, socket);
}

err_t sources_http_start(struct sources_http *http, struct err_text *why)
{
    ASSERT(!http->listening);
    struct net_listener_target *targets = mem_zalloc(http->door_count, sizeof(*targets));
    if (!targets)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < http->door_count; i++)
        targets[i] = (struct net_listener_target){
            .loop = http->doors[i].loop, .accept = adopt, .owner = &http->doors[i]};
    err_t err = net_listener_new(http->doors[0].loop, http->address, targets, http->door_count,
                                 &http->listener, why);
    /* The listener has its own copy. */
    mem_free(targets);
    http->listening = err_is_ok(err);
    if (!http->listening)
        err_prefix(why, "intake");
    return err;
}

uint16_t sources_http_port(const struct sources_http *http)
{
    ASSERT(http->listening);
    return net_listener_port(http->listener);
}

/* Tasks of one sender arrive in order: behind each socket that the listener handed over comes the
 * task that stops its server, so no connection is lost between them. */
static void stop_doors(void *owner)
{
    struct sources_http *http = owner;
    http->doors_open = http->door_count;
    for (size_t i = 0; i < http->door_count; i++)
        io_post(http->doors[i].loop, &http->doors[i].stop_task);
}

void sources_http_stop(struct sources_http *http, uint64_t deadline_ms,
                       void (*stopped)(void *owner), void *owner)
{
    ASSERT(!http->stopped && stopped);
    http->stopped = stopped;
    http->stopped_owner = owner;
    http->stop_deadline_ms = deadline_ms;
    /* A start that failed half way is stopped like any other. */
    if (!http->listening) {
        stop_doors(http);
        return;
    }
    /* Metrics say from here on that nothing is taken, while requests that are there are still
     * answered. */
    http->listening = false;
    net_listener_stop(http->listener, stop_doors, http);
}

void sources_http_free(struct sources_http **pointer)
{
    struct sources_http *http = *pointer;
    if (!http)
        return;
    /* A server that still has sockets would be called by them. */
    ASSERT(!http->listening && http->doors_open == 0);
    for (size_t i = 0; i < http->door_count; i++)
        net_http_server_free(&http->doors[i].server);
    net_listener_free(&http->listener);
    mem_free(http);
    *pointer = NULL;
}

struct flow_exporter *sources_http_exporter(struct sources_http *http)
{
    return &http->exporter;
}
