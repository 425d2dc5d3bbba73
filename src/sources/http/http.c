/*
 * One server a loop, which stops behind the last socket that its door was given (net/doors.h).
 */

#include "sources/http/http_int.h"

#include "base/alloc.h"
#include "base/assert.h"

#define BODY_MAX_DEFAULT (UINT64_C(8) << 20)
#define CREDIT_WAIT_MS_DEFAULT 5000u

static void adopt(struct net_door *net, struct io_socket socket)
{
    net_http_server_adopt(CONTAINER_OF(net, struct sources_http_door, net)->server, socket);
}

/* Idle connections close at once; what was begun is answered until the deadline. */
static void stop(struct net_door *net, uint64_t deadline_ms)
{
    struct sources_http_door *door = CONTAINER_OF(net, struct sources_http_door, net);
    net_http_server_stop(door->server, deadline_ms, net_door_stopped, net);
}

static const struct net_doors_ops doors_ops = {.adopt = adopt, .stop = stop};

static err_t open_door(struct sources_http *http, const struct sources_http_options *options,
                       struct sources_http_door *door, const struct sources_http_loop *loop)
{
    ASSERT(loop->loop && loop->inlet && loop->credit);
    *door = (struct sources_http_door){
        .http = http,
        .loop = loop->loop,
        .inlet = loop->inlet,
        .credit = loop->credit,
    };
    net_doors_add(&http->net, &door->net, loop->loop);
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
    http->net.ops = &doors_ops;
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

err_t sources_http_start(struct sources_http *http, struct err_text *why)
{
    err_t err = net_doors_listen(&http->net, http->address, why);
    if (!err_is_ok(err))
        err_prefix(why, "intake");
    return err;
}

uint16_t sources_http_port(const struct sources_http *http)
{
    return net_doors_port(&http->net);
}

void sources_http_stop(struct sources_http *http, uint64_t deadline_ms,
                       void (*stopped)(void *owner), void *owner)
{
    net_doors_stop(&http->net, deadline_ms, stopped, owner);
}

void sources_http_free(struct sources_http **pointer)
{
    struct sources_http *http = *pointer;
    if (!http)
        return;
    net_doors_done(&http->net);
    for (size_t i = 0; i < http->door_count; i++)
        net_http_server_free(&http->doors[i].server);
    mem_free(http);
    *pointer = NULL;
}

struct flow_exporter *sources_http_exporter(struct sources_http *http)
{
    return &http->exporter;
}
