/*
 * Channels share connections: `in_flight` of them one, whose requests are then under way together.
 * Each request goes to the next partition in turn, whichever channel it is of.
 *
 * A broker answers for a batch and not for its records: all of them were taken or none was. What it
 * took is accepted, as far as it says; what it refuses for its records is refused with all that is
 * in the batch.
 *
 * What goes wrong: the end of a connection is the end of its channels, each of which is told. It is
 * opened again by the first channel that asks, and told ready with the others.
 */

#include "cli/carrier.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "cli/broker.h"
#include "flow/batch.h"

#define ANSWER_BYTES_MAX (4u << 20)
#define PAUSE_NS (100 * IO_MS)

struct carrier;

struct connection {
    struct carrier *carrier;
    struct cli_broker *broker; /* NULL: there is none */
    struct list channels;
    struct task ready_task; /* tells those that have come since it was ready */
    bool ready;
    bool telling; /* ready_task is on its way */
};

struct carrier {
    struct cli_carrier base;
    struct cli_carrier_kafka_options options;
    uint32_t next_partition;
    uint32_t connection_count;
    struct connection connections[];
};

struct channel {
    struct cli_channel base;
    struct list link; /* of the connection's channels */
    const struct cli_carrier_events *events;
    void *owner;
    struct connection *connection;
    uint32_t count; /* of the records that are under way */
    bool told;      /* that it is ready */
    struct buf packed;
};

static struct channel *channel_of(struct cli_channel *base)
{
    return CONTAINER_OF(base, struct channel, base);
}

static const struct cli_carrier_kafka_options *options_of(const struct channel *channel)
{
    return &channel->connection->carrier->options;
}

/* Those that were told before are not told again: they may have a request under way. */
static void tell_ready(struct task *task)
{
    struct connection *connection = CONTAINER_OF(task, struct connection, ready_task);
    connection->telling = false;
    LIST_EACH_SAFE (link, &connection->channels) {
        struct channel *channel = CONTAINER_OF(link, struct channel, link);
        bool due = connection->ready && !channel->told;
        channel->told = channel->told || due;
        if (due)
            channel->events->ready(channel->owner);
    }
}

static void tell_ready_soon(struct connection *connection)
{
    if (connection->telling)
        return;
    connection->telling = true;
    io_defer(connection->carrier->options.loop, &connection->ready_task);
}

static void on_ready(void *owner)
{
    struct connection *connection = owner;
    connection->ready = true;
    tell_ready_soon(connection);
}

static void on_answer(void *owner, void *tag, const struct proto_kafka_api *api,
                      const void *response)
{
    (void)owner;
    struct channel *channel = tag;
    struct err_text why = {0};
    ASSERT(channel && api->key == PROTO_KAFKA_PRODUCE);
    const struct proto_kafka_produce_response_partition *told = cli_broker_produced(response);
    /* Whatever it is that the broker says, the connection is as good as before. */
    struct cli_carrier_answer answer = {.kind = CLI_CARRIER_FINAL, .persistent = true};
    enum cli_broker_verdict verdict = CLI_BROKER_FAILED;
    if (told) {
        verdict = cli_broker_verdict(told->error_code);
        /* The one negative code stands with those of success: there is no place below. */
        answer.status = told->error_code > 0 ? (uint32_t)told->error_code : 0;
    }
    answer.maybe_taken = !told || verdict == CLI_BROKER_UNKNOWN;
    if (verdict == CLI_BROKER_DONE) {
        answer.kind = CLI_CARRIER_WHOLE;
        answer.counts.accepted = channel->count;
    } else if (verdict == CLI_BROKER_REFUSED) {
        answer.kind = CLI_CARRIER_WHOLE;
        answer.counts.refused = channel->count;
    } else if (verdict == CLI_BROKER_LATER || verdict == CLI_BROKER_UNKNOWN) {
        answer.kind = CLI_CARRIER_LATER;
        answer.pause_ns = PAUSE_NS;
    } else if (told) {
        (void)err_set(&why, ERR_INVALID, "%s answered %s (%d): %.*s", options_of(channel)->address,
                      cli_broker_code_name(told->error_code), told->error_code,
                      SLICE_PRINTF(slice_sub(told->error_message, 0, 300)));
    } else {
        (void)err_set(&why, ERR_INVALID, "%s answered for other partitions than it was asked for",
                      options_of(channel)->address);
    }
    answer.detail = why.text;
    channel->events->answer(channel->owner, &answer);
}

static void on_closed(void *owner, err_t err, const struct err_text *why)
{
    struct connection *connection = owner;
    struct cli_broker *broker = connection->broker;
    struct list gone;
    list_init(&gone);
    for (struct list *link; (link = list_pop(&connection->channels));)
        list_add_tail(&gone, link);
    /* Before the channels are told: what they do next begins anew. */
    connection->broker = NULL;
    connection->ready = false;
    for (struct list *link; (link = list_pop(&gone));) {
        struct channel *channel = CONTAINER_OF(link, struct channel, link);
        channel->connection = NULL;
        channel->events->closed(channel->owner, err, why->text);
    }
    cli_broker_free(&broker);
}

static const struct cli_broker_events broker_events = {
    .ready = on_ready,
    .answer = on_answer,
    .closed = on_closed,
};

static err_t reach_broker(struct connection *connection, struct err_text *why)
{
    const struct cli_carrier_kafka_options *options = &connection->carrier->options;
    const struct cli_broker_options broker = {
        .loop = options->loop,
        .access = options->access,
        .address = options->address,
        .topic = options->topic,
        .answer_size_max = ANSWER_BYTES_MAX,
        .in_flight_max = options->in_flight,
    };
    return cli_broker_open(&broker, &broker_events, connection, &connection->broker, why);
}

static err_t open_channel(struct cli_carrier *base, uint32_t index,
                          const struct cli_carrier_events *events, void *owner,
                          struct cli_channel **out, struct err_text *why)
{
    struct carrier *carrier = CONTAINER_OF(base, struct carrier, base);
    ASSERT(index < carrier->options.channels);
    struct connection *connection = &carrier->connections[index / carrier->options.in_flight];
    struct channel *channel = mem_zalloc(1, sizeof(*channel));
    err_t err = channel ? err_ok() : err_make(ERR_MEMORY);
    if (err_is_ok(err) && !connection->broker)
        err = reach_broker(connection, why);
    if (!err_is_ok(err)) {
        mem_free(channel);
        return err;
    }
    *channel = (struct channel){
        .base = {base}, .events = events, .owner = owner, .connection = connection};
    list_add_tail(&connection->channels, &channel->link);
    /* Not within this call, as for one that has to wait. */
    if (connection->ready)
        tell_ready_soon(connection);
    *out = &channel->base;
    return err_ok();
}

/* The body as the broker is to get it. */
static err_t pack(struct channel *channel, struct slice body, struct slice *out)
{
    struct flow_batch batch;
    *out = body;
    if (options_of(channel)->codec == FLOW_CODEC_NONE)
        return err_ok();
    buf_reset(&channel->packed);
    err_t err = flow_batch_parse(body, &batch);
    ASSERT(err_is_ok(err));
    TRY(flow_batch_pack(&batch, options_of(channel)->codec, &channel->packed));
    *out = buf_slice(&channel->packed);
    return err_ok();
}

static void send_request(struct cli_channel *base, const struct cli_carrier_request *request)
{
    struct channel *channel = channel_of(base);
    struct connection *connection = channel->connection;
    struct carrier *carrier = connection->carrier;
    uint32_t count = cli_broker_partition_count(connection->broker);
    uint32_t max = carrier->options.partitions_max;
    struct cli_broker_produce produce = {
        .partition = carrier->next_partition++ % (max > 0 && max < count ? max : count),
        .acks = carrier->options.acks,
        .timeout_ms = (int32_t)carrier->options.timeout_ms,
    };
    channel->count = request->count;
    /* A failure closes the connection, which is where it is dealt with. */
    if (err_is_ok(pack(channel, request->body, &produce.batch)))
        (void)cli_broker_produce(connection->broker, &produce, channel);
    else
        cli_broker_close(connection->broker);
}

static void close_channel(struct cli_channel *base)
{
    struct channel *channel = channel_of(base);
    /* Its neighbours' answers would be late too: they wait behind its own. */
    if (channel->connection)
        cli_broker_close(channel->connection->broker);
}

static void free_channel(struct cli_channel **pointer)
{
    struct channel *channel = channel_of(*pointer);
    ASSERT(!channel->connection);
    buf_done(&channel->packed);
    mem_free(channel);
    *pointer = NULL;
}

static void free_carrier(struct cli_carrier **pointer)
{
    struct carrier *carrier = CONTAINER_OF(*pointer, struct carrier, base);
    for (uint32_t i = 0; i < carrier->connection_count; i++)
        ASSERT(!carrier->connections[i].broker && list_empty(&carrier->connections[i].channels));
    mem_free(carrier);
    *pointer = NULL;
}

static const struct cli_carrier_ops kafka_ops = {
    .open = open_channel,
    .send = send_request,
    .close = close_channel,
    .free_channel = free_channel,
    .free = free_carrier,
};

err_t cli_carrier_kafka(const struct cli_carrier_kafka_options *options, struct cli_carrier **out)
{
    ASSERT(options->loop && options->in_flight > 0 && options->channels > 0);
    ASSERT(options->timeout_ms <= INT32_MAX && options->acks != 0);
    uint32_t count = (options->channels + options->in_flight - 1) / options->in_flight;
    struct carrier *carrier =
        mem_zalloc(1, sizeof(*carrier) + count * sizeof(carrier->connections[0]));
    if (!carrier)
        return err_make(ERR_MEMORY);
    carrier->base.ops = &kafka_ops;
    carrier->options = *options;
    carrier->connection_count = count;
    for (uint32_t i = 0; i < count; i++) {
        carrier->connections[i].carrier = carrier;
        carrier->connections[i].ready_task.run = tell_ready;
        list_init(&carrier->connections[i].channels);
    }
    *out = &carrier->base;
    return err_ok();
}
