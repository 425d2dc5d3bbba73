/*
 * One listener on the first loop, one server a loop. Stopping goes the way of the sockets: first
 * the listener, then, behind the last socket that it handed over, a task to each loop that stops
 * its server and ends what waits for records; each reports back to the first loop, and the last one
 * ends it.
 */

#include "serve/kafka/coordinator.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"

/* Kafka's default: a mebibyte and what stands in front of a batch. */
#define MESSAGE_BYTES_MAX 1048588u
/* Fetch sessions may have so much of what answers to fetches may. */
#define FETCH_SESSIONS_SHARE 8u

/* On the first loop, so that the count of open doors has one thread. */
static void count_stopped(void *owner)
{
    struct serve_kafka *kafka = owner;
    ASSERT(kafka->doors_open > 0);
    if (--kafka->doors_open == 0)
        kafka->stopped(kafka->stopped_owner);
}

static void report_stopped(struct task *task)
{
    count_stopped(CONTAINER_OF(task, struct serve_kafka_door, stopped_task)->kafka);
}

static void on_server_stopped(void *owner)
{
    struct serve_kafka_door *door = owner;
    io_post(door->kafka->doors[0].loop, &door->stopped_task);
}

static void stop_server(struct task *task)
{
    struct serve_kafka_door *door = CONTAINER_OF(task, struct serve_kafka_door, stop_task);
    door->stopping = true;
    serve_kafka_fetch_stop(door);
    net_kafka_server_stop(door->server, door->kafka->stop_deadline_ms, on_server_stopped, door);
}

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
        .stop_task = {.run = stop_server},
        .stopped_task = {.run = report_stopped},
    };
    list_init(&door->polls);
    list_init(&door->fetch_sessions);
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

static void adopt(void *owner, struct io_socket socket)
{
    struct serve_kafka_door *door = owner;
    /* Called on the door's own loop; the listener has posted the socket there. */
    net_kafka_server_adopt(door->server, socket);
}

err_t serve_kafka_start(struct serve_kafka *kafka, struct err_text *why)
{
    ASSERT(!kafka->listening);
    struct net_listener_target *targets = mem_zalloc(kafka->door_count, sizeof(*targets));
    if (!targets)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < kafka->door_count; i++)
        targets[i] = (struct net_listener_target){
            .loop = kafka->doors[i].loop, .accept = adopt, .owner = &kafka->doors[i]};
    err_t err = net_listener_new(kafka->doors[0].loop, kafka->address, targets, kafka->door_count,
                                 &kafka->listener, why);
    /* The listener has its own copy. */
    mem_free(targets);
    kafka->listening = err_is_ok(err);
    if (!kafka->listening) {
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
    ASSERT(kafka->listening);
    return net_listener_port(kafka->listener);
}

/* Tasks of one sender arrive in order: behind each socket that the listener handed over comes the
 * task that stops its server, so no connection is lost between them. */
static void stop_doors(void *owner)
{
    struct serve_kafka *kafka = owner;
    /* The coordinator counts as one more: calls that wait in it would keep their doors open. */
    kafka->doors_open = kafka->door_count + 1;
    for (size_t i = 0; i < kafka->door_count; i++)
        io_post(kafka->doors[i].loop, &kafka->doors[i].stop_task);
    serve_kafka_coordinator_stop(kafka->coordinator, count_stopped, kafka);
}

void serve_kafka_stop(struct serve_kafka *kafka, uint64_t deadline_ms, void (*stopped)(void *owner),
                      void *owner)
{
    ASSERT(!kafka->stopped && stopped);
    kafka->stopped = stopped;
    kafka->stopped_owner = owner;
    kafka->stop_deadline_ms = deadline_ms;
    /* A start that failed half way is stopped like any other. */
    if (!kafka->listening) {
        stop_doors(kafka);
        return;
    }
    kafka->listening = false;
    net_listener_stop(kafka->listener, stop_doors, kafka);
}

void serve_kafka_free(struct serve_kafka **pointer)
{
    struct serve_kafka *kafka = *pointer;
    if (!kafka)
        return;
    /* A server that still has sockets would be called by them. */
    ASSERT(!kafka->listening && kafka->doors_open == 0);
    for (size_t i = 0; i < kafka->door_count; i++) {
        if (kafka->doors[i].server)
            serve_kafka_view_done(&kafka->doors[i].view);
        net_kafka_server_free(&kafka->doors[i].server);
    }
    serve_kafka_coordinator_free(&kafka->coordinator);
    net_listener_free(&kafka->listener);
    mem_free(kafka);
    *pointer = NULL;
}

struct flow_exporter *serve_kafka_exporter(struct serve_kafka *kafka)
{
    return &kafka->exporter;
}
