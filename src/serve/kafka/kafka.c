/*
 * One server a loop, which stops behind the last socket that its door was given (net/doors.h), and
 * with it what waits for records. The coordinator lives on the first loop and ends with that door.
 */

#include "serve/kafka/coordinator.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"

/* Kafka's default: a mebibyte and what stands in front of a batch. */
#define MESSAGE_BYTES_MAX 1048588u
/* Fetch sessions may have so much of what answers to fetches may. */
#define FETCH_SESSIONS_SHARE 8u

static void adopt(struct net_door *net, struct io_socket socket)
{
    net_kafka_server_adopt(CONTAINER_OF(net, struct serve_kafka_door, net)->server, socket);
}

void serve_kafka_check_stopped(struct serve_kafka_door *door)
{
    if (door->server_stopped && list_empty(&door->aheads))
        net_door_stopped(&door->net);
}

static void on_server_stopped(void *owner)
{
    struct serve_kafka_door *door = owner;
    ASSERT(door->stopping);
    door->server_stopped = true;
    serve_kafka_check_stopped(door);
}

static void stop(struct net_door *net, uint64_t deadline_ms)
{
    struct serve_kafka_door *door = CONTAINER_OF(net, struct serve_kafka_door, net);
    struct serve_kafka *kafka = door->kafka;
    /* The coordinator counts as one more: calls that wait in it would keep their doors open. */
    if (door == kafka->doors) {
        net_doors_hold(&kafka->net);
        serve_kafka_coordinator_stop(kafka->coordinator, net_doors_release, &kafka->net);
    }
    door->stopping = true;
    serve_kafka_fetch_stop(door);
    net_kafka_server_stop(door->server, deadline_ms, on_server_stopped, door);
}

static const struct net_doors_ops doors_ops = {.adopt = adopt, .stop = stop};

static err_t open_door(struct serve_kafka *kafka, const struct serve_kafka_options *options,
                       struct serve_kafka_door *door, const struct serve_kafka_loop *loop)
{
    ASSERT(loop->loop && loop->inlet && loop->credit);
    *door = (struct serve_kafka_door){
        .kafka = kafka,
        .loop = loop->loop,
        .inlet = loop->inlet,
        .credit = loop->credit,
        .tls = loop->tls,
        .users = options->users,
        .fetch_bytes_max = loop->fetch_bytes_max,
        .fetch_session_bytes_max = loop->fetch_bytes_max / FETCH_SESSIONS_SHARE,
        .fetch_line_task = {.run = serve_kafka_fetch_line},
    };
    net_doors_add(&kafka->net, &door->net, loop->loop);
    list_init(&door->polls);
    list_init(&door->fetch_line);
    list_init(&door->fetch_sessions);
    list_init(&door->aheads);
    serve_kafka_view_init(&door->view, door);
    /* The server does not know of TLS: its loop does. */
    struct io_loop *sockets = loop->tls ? net_tls_loop_io(loop->tls) : loop->loop;
    return net_kafka_server_new(sockets, options->limits, &serve_kafka_handler, door,
                                &door->server);
}

/* Nothing listens yet: requests may only come once all loops and what stands behind them are
 * there. */
err_t serve_kafka_new(const struct serve_kafka_options *options, struct serve_kafka **out)
{
    ASSERT(options->address && options->log && options->loop_count > 0);
    size_t size =
        sizeof(struct serve_kafka) + options->loop_count * sizeof(struct serve_kafka_door);
    struct serve_kafka *kafka = mem_zalloc(1, size);
    if (!kafka)
        return err_make(ERR_MEMORY);
    kafka->exporter = (struct flow_exporter){.name = "kafka", .collect = serve_kafka_collect};
    kafka->net.ops = &doors_ops;
    kafka->address = options->address;
    kafka->advertised = options->advertised;
    kafka->log = options->log;
    kafka->message_bytes_max =
        options->message_bytes_max ? options->message_bytes_max : MESSAGE_BYTES_MAX;
    kafka->topics = options->topics;
    kafka->auto_create = options->auto_create;
    kafka->partitions = options->partitions ? options->partitions : 1;
    kafka->plain = options->plain;
    kafka->door_count = options->loop_count;
    for (size_t i = 0; i < kafka->door_count; i++) {
        err_t err = open_door(kafka, options, &kafka->doors[i], &options->loops[i]);
        if (!err_is_ok(err)) {
            serve_kafka_free(&kafka);
            return err;
        }
    }
    err_t err = serve_kafka_coordinator_new(kafka->doors[0].loop, kafka->log, &kafka->coordinator);
    if (!err_is_ok(err))
        serve_kafka_free(&kafka);
    *out = kafka;
    return err;
}

/* What clients are told to connect to: it has to be an address that they can reach. */
static void set_advertised(struct serve_kafka *kafka, const char *address, uint16_t port)
{
    const char *colon = strrchr(address, ':');
    ASSERT(colon);
    struct slice host = slice_make(address, (size_t)(colon - address));
    /* [::1] is ::1 where it does not stand before a port. */
    if (host.size >= 2 && host.data[0] == '[')
        host = slice_sub(host, 1, host.size - 2);
    snprintf(kafka->host, sizeof(kafka->host), "%.*s", SLICE_PRINTF(host));
    kafka->port = port;
}

err_t serve_kafka_start(struct serve_kafka *kafka, struct err_text *why)
{
    err_t err = net_doors_listen(&kafka->net, kafka->address, why);
    if (!err_is_ok(err)) {
        err_prefix(why, "kafka");
        return err;
    }
    serve_kafka_coordinator_start(kafka->coordinator);
    if (kafka->advertised)
        set_advertised(kafka, kafka->advertised,
                       (uint16_t)strtoul(strrchr(kafka->advertised, ':') + 1, NULL, 10));
    else
        set_advertised(kafka, kafka->address, serve_kafka_port(kafka));
    return err_ok();
}

void serve_kafka_use_users(struct serve_kafka *kafka, size_t loop,
                           const struct control_auth_users *users)
{
    ASSERT(loop < kafka->door_count && users && kafka->doors[loop].users);
    kafka->doors[loop].users = users;
}

uint16_t serve_kafka_port(const struct serve_kafka *kafka)
{
    return net_doors_port(&kafka->net);
}

void serve_kafka_stop(struct serve_kafka *kafka, uint64_t deadline_ms, void (*stopped)(void *owner),
                      void *owner)
{
    net_doors_stop(&kafka->net, deadline_ms, stopped, owner);
}

void serve_kafka_free(struct serve_kafka **pointer)
{
    struct serve_kafka *kafka = *pointer;
    if (!kafka)
        return;
    net_doors_done(&kafka->net);
    for (size_t i = 0; i < kafka->door_count; i++) {
        if (kafka->doors[i].server)
            serve_kafka_view_done(&kafka->doors[i].view);
        net_kafka_server_free(&kafka->doors[i].server);
    }
    serve_kafka_coordinator_free(&kafka->coordinator);
    mem_free(kafka);
    *pointer = NULL;
}

struct flow_exporter *serve_kafka_exporter(struct serve_kafka *kafka)
{
    return &kafka->exporter;
}
