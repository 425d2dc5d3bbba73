/*
 * A connection asks where its partitions begin, then, where the reading is to end, where they end,
 * and then fetches from one answer to the next, leaving out what has been read.
 *
 * What goes wrong: any error of a broker, and any connection that ends, ends it all. A reading that
 * is taken up again would measure something else.
 */

#include "cli/tap.h"

#include "base/alloc.h"
#include "base/assert.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define FETCH_BYTES_MAX (16 << 20)
#define PARTITION_BYTES_MAX (4 << 20)
#define WAIT_MS 500
/* Timestamps of ListOffsets that stand for something else. */
#define LATEST (-1)
#define EARLIEST (-2)

enum step { STEP_START, STEP_END, STEP_FETCH, STEP_DONE };

struct part {
    int64_t next;
    int64_t end;
};

struct connection {
    struct cli_tap *tap;
    struct cli_broker *broker;
    uint32_t index;
    enum step step;
    struct part *parts; /* of partitions index, index + connections, ... */
    uint32_t part_count;
};

struct cli_tap {
    struct cli_tap_options options;
    const struct cli_tap_events *events;
    void *owner;
    struct cli_tap_stats stats;
    struct task end_task;
    uint32_t open_count;  /* connections */
    uint32_t ready_count; /* that know from where to read */
    uint32_t done_count;
    bool ending;
    err_t ended_for;
    struct err_text why;
    struct connection connections[];
};

/* Every so many partitions are one connection's: no table is needed, and none is left out. */
static uint32_t partition_of(const struct connection *c, uint32_t index)
{
    return c->index + index * c->tap->options.connections;
}

static void end_if_closed(struct cli_tap *tap)
{
    if (tap->ending && tap->open_count == 0)
        io_defer(tap->options.loop, &tap->end_task);
}

/* The first reason stands. */
static void end_with(struct cli_tap *tap, err_t err)
{
    if (tap->ending)
        return;
    tap->ending = true;
    tap->ended_for = err;
    for (uint32_t i = 0; i < tap->options.connections; i++)
        if (tap->connections[i].broker)
            cli_broker_close(tap->connections[i].broker);
    end_if_closed(tap);
}

/* The broker's word for one partition. */
static err_t refused(struct connection *c, uint32_t index, int16_t code)
{
    return err_set(&c->tap->why, ERR_INVALID, "partition %u of %s: %s (%d)", partition_of(c, index),
                   c->tap->options.topic, cli_broker_code_name(code), code);
}

static err_t lied(struct connection *c)
{
    return err_set(&c->tap->why, ERR_SYNTAX, "%s answered for other partitions than were asked for",
                   c->tap->options.address);
}

static err_t ask_offsets(struct connection *c, int64_t timestamp)
{
    struct proto_kafka_list_offsets_request request;
    struct proto_kafka_list_offsets_request_topic topic = {.name =
                                                               slice_string(c->tap->options.topic)};
    struct proto_kafka_list_offsets_request_partition *items =
        mem_zalloc(c->part_count, sizeof(*items));
    if (!items)
        return err_make(ERR_MEMORY);
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_LIST_OFFSETS)->request, &request);
    /* A consumer, and not another broker. */
    request.replica_id = -1;
    request.topics.items = &topic;
    request.topics.count = 1;
    topic.partitions.items = items;
    topic.partitions.count = c->part_count;
    for (uint32_t i = 0; i < c->part_count; i++) {
        items[i].partition_index = (int32_t)partition_of(c, i);
        items[i].current_leader_epoch = -1;
        items[i].timestamp = timestamp;
    }
    err_t err = cli_broker_send(c->broker, PROTO_KAFKA_LIST_OFFSETS, &request, NULL);
    mem_free(items);
    return err;
}

/* What has not been read, from where it goes on. False when there is nothing. */
static bool list_rest(const struct connection *c, struct proto_kafka_fetch_request_partition *items,
                      uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].next >= c->parts[i].end)
            continue;
        items[(*count)++] = (struct proto_kafka_fetch_request_partition){
            .partition = (int32_t)partition_of(c, i),
            .current_leader_epoch = -1,
            .fetch_offset = c->parts[i].next,
            .last_fetched_epoch = -1,
            .log_start_offset = -1,
            .partition_max_bytes = PARTITION_BYTES_MAX,
        };
    }
    return *count > 0;
}

/* The others go on; what was read counts once all have come to their ends. */
static void connection_done(struct connection *c)
{
    c->step = STEP_DONE;
    if (++c->tap->done_count == c->tap->options.connections)
        end_with(c->tap, err_ok());
}

/* `*sent`: there was something left to ask for. */
static err_t fetch(struct connection *c, bool *sent)
{
    struct proto_kafka_fetch_request request;
    struct proto_kafka_fetch_request_topic topic = {.topic = slice_string(c->tap->options.topic)};
    struct proto_kafka_fetch_request_partition *items =
        mem_zalloc(c->part_count + 1, sizeof(*items));
    err_t err = err_ok();
    if (!items)
        return err_make(ERR_MEMORY);
    /* Without a session (KIP-227): each request names all that it wants. */
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_FETCH)->request, &request);
    request.max_wait_ms = WAIT_MS;
    request.min_bytes = 1;
    request.max_bytes = FETCH_BYTES_MAX;
    request.topics.items = &topic;
    request.topics.count = 1;
    topic.partitions.items = items;
    *sent = list_rest(c, items, &topic.partitions.count);
    if (*sent)
        err = cli_broker_send(c->broker, PROTO_KAFKA_FETCH, &request, NULL);
    mem_free(items);
    return err;
}

static err_t begin_fetching(struct connection *c)
{
    struct cli_tap *tap = c->tap;
    c->step = STEP_FETCH;
    /* The clock starts with the first of several connections, as it stops with the last. */
    if (tap->stats.first_ns == 0)
        tap->stats.first_ns = io_now_ns(tap->options.loop);
    if (++tap->ready_count == tap->options.connections)
        tap->events->ready(tap->owner);
    bool sent;
    TRY(fetch(c, &sent));
    if (!sent)
        connection_done(c);
    return err_ok();
}

/* The part of a partition that is said to be ours; NULL. */
static struct part *part_of(const struct connection *c, int32_t partition)
{
    uint32_t step = c->tap->options.connections;
    if (partition < 0 || (uint32_t)partition % step != c->index ||
        (uint32_t)partition / step >= c->part_count)
        return NULL;
    return &c->parts[(uint32_t)partition / step];
}

static err_t take_offsets(struct connection *c,
                          const struct proto_kafka_list_offsets_response *response)
{
    const struct proto_kafka_list_offsets_response_topic *topic = response->topics.items;
    if (response->topics.count != 1 || topic->partitions.count != c->part_count)
        return lied(c);
    for (uint32_t i = 0; i < c->part_count; i++) {
        const struct proto_kafka_list_offsets_response_partition *item =
            &topic->partitions.items[i];
        struct part *part = part_of(c, item->partition_index);
        if (!part)
            return lied(c);
        if (item->error_code != 0)
            return refused(c, (uint32_t)(part - c->parts), item->error_code);
        if (c->step == STEP_START)
            part->next = item->offset;
        else
            part->end = item->offset;
    }
    if (c->step == STEP_END || c->tap->options.follow)
        return begin_fetching(c);
    c->step = STEP_END;
    return ask_offsets(c, LATEST);
}

/* Where the partition goes on behind what has come. */
static err_t take_ends(struct connection *c, struct part *part, struct slice records)
{
    struct flow_batch batch;
    err_t err;
    /* The last one may be cut off by the limit on bytes. */
    while (err_is_ok(err = flow_batch_parse(records, &batch))) {
        int64_t next = batch.base_offset + batch.last_offset_delta + 1;
        /* Whoever gives the same again would be asked for ever. */
        if (next <= part->next)
            return lied(c);
        part->next = next;
        records = slice_sub(records, batch.bytes.size, records.size);
    }
    return err_is(err, ERR_END) ? err_ok() : err;
}

static err_t take_batches(struct connection *c, struct slice records)
{
    struct cli_tap *tap = c->tap;
    struct flow_batch batch;
    while (err_is_ok(flow_batch_parse(records, &batch))) {
        /* As every consumer does: it is part of what reading costs. */
        TRY(flow_batch_check(&batch));
        tap->stats.bytes += batch.bytes.size;
        tap->stats.batches++;
        /* A marker is no record of anybody's. */
        if (!flow_batch_is_control(&batch)) {
            tap->stats.records += batch.record_count;
            tap->events->batch(tap->owner, &batch);
        }
        records = slice_sub(records, batch.bytes.size, records.size);
    }
    return err_ok();
}

static err_t take_partition(struct connection *c,
                            const struct proto_kafka_fetch_response_partition *item)
{
    struct part *part = part_of(c, item->partition_index);
    if (!part)
        return lied(c);
    if (item->error_code != 0)
        return refused(c, (uint32_t)(part - c->parts), item->error_code);
    return take_ends(c, part, item->records);
}

/* The next fetch goes out before the batches are looked into, as consumers do: the broker need not
 * wait for that. */
static err_t take_records(struct connection *c, const struct proto_kafka_fetch_response *response)
{
    struct cli_tap *tap = c->tap;
    uint64_t before = tap->stats.batches;
    if (response->error_code != 0)
        return refused(c, 0, response->error_code);
    for (uint32_t t = 0; t < response->responses.count; t++)
        for (uint32_t i = 0; i < response->responses.items[t].partitions.count; i++)
            TRY(take_partition(c, &response->responses.items[t].partitions.items[i]));
    bool sent;
    TRY(fetch(c, &sent));
    for (uint32_t t = 0; t < response->responses.count; t++)
        for (uint32_t i = 0; i < response->responses.items[t].partitions.count; i++)
            TRY(take_batches(c, response->responses.items[t].partitions.items[i].records));
    if (tap->stats.batches > before)
        tap->stats.last_ns = io_now_ns(tap->options.loop);
    /* Last, since it may be the end of all. */
    if (!sent)
        connection_done(c);
    return err_ok();
}

static void on_answer(void *owner, void *tag, const struct proto_kafka_api *api,
                      const void *response)
{
    (void)tag;
    struct connection *c = owner;
    err_t err;
    /* It was on its way when another connection ended everything. */
    if (c->tap->ending)
        return;
    if (api->key == PROTO_KAFKA_FETCH)
        err = take_records(c, response);
    else
        err = take_offsets(c, response);
    if (!err_is_ok(err))
        end_with(c->tap, err);
}

static void on_ready(void *owner)
{
    struct connection *c = owner;
    uint32_t count = cli_broker_partition_count(c->broker);
    uint32_t step = c->tap->options.connections;
    c->part_count = count > c->index ? (count - c->index - 1) / step + 1 : 0;
    c->parts = mem_zalloc(c->part_count + 1, sizeof(*c->parts));
    err_t err = c->parts ? err_ok() : err_make(ERR_MEMORY);
    /* Until it is known, and where there is none to wait for. */
    for (uint32_t i = 0; c->parts && i < c->part_count; i++)
        c->parts[i].end = INT64_MAX;
    if (err_is_ok(err) && c->part_count == 0) {
        /* More connections than partitions. */
        if (++c->tap->ready_count == step)
            c->tap->events->ready(c->tap->owner);
        connection_done(c);
    } else if (err_is_ok(err)) {
        err = ask_offsets(c, c->tap->options.follow ? LATEST : EARLIEST);
    }
    if (!err_is_ok(err))
        end_with(c->tap, err);
}

static void on_closed(void *owner, err_t err, const struct err_text *why)
{
    struct connection *c = owner;
    struct cli_tap *tap = c->tap;
    ASSERT(tap->open_count > 0);
    if (!tap->ending) {
        tap->why = *why;
        /* Nobody here has closed it, whatever the connection calls its end. */
        end_with(tap, err_is_ok(err) ? err_make(ERR_CLOSED) : err);
    }
    cli_broker_free(&c->broker);
    tap->open_count--;
    end_if_closed(tap);
}

static const struct cli_broker_events broker_events = {
    .ready = on_ready,
    .answer = on_answer,
    .closed = on_closed,
};

/* From a task of its own: the owner may free everything from within. */
static void run_end(struct task *task)
{
    struct cli_tap *tap = CONTAINER_OF(task, struct cli_tap, end_task);
    tap->events->ended(tap->owner, tap->ended_for, &tap->why);
}

err_t cli_tap_new(const struct cli_tap_options *options, const struct cli_tap_events *events,
                  void *owner, struct cli_tap **out)
{
    ASSERT(options->connections > 0 && events->ready && events->batch && events->ended);
    struct cli_tap *tap =
        mem_zalloc(1, sizeof(*tap) + options->connections * sizeof(tap->connections[0]));
    if (!tap)
        return err_make(ERR_MEMORY);
    tap->options = *options;
    tap->events = events;
    tap->owner = owner;
    tap->end_task.run = run_end;
    for (uint32_t i = 0; i < options->connections; i++)
        tap->connections[i] = (struct connection){.tap = tap, .index = i};
    *out = tap;
    return err_ok();
}

void cli_tap_start(struct cli_tap *tap)
{
    const struct cli_broker_options options = {
        .loop = tap->options.loop,
        .access = tap->options.access,
        .address = tap->options.address,
        .topic = tap->options.topic,
        .answer_size_max = ANSWER_BYTES_MAX,
        .in_flight_max = 1,
    };
    for (uint32_t i = 0; i < tap->options.connections && !tap->ending; i++) {
        struct connection *c = &tap->connections[i];
        err_t err = cli_broker_open(&options, &broker_events, c, &c->broker, &tap->why);
        if (err_is_ok(err))
            tap->open_count++;
        else
            end_with(tap, err);
    }
}

void cli_tap_stop(struct cli_tap *tap)
{
    end_with(tap, err_ok());
}

const struct cli_tap_stats *cli_tap_stats(const struct cli_tap *tap)
{
    return &tap->stats;
}

void cli_tap_free(struct cli_tap **pointer)
{
    struct cli_tap *tap = *pointer;
    if (!tap)
        return;
    ASSERT(tap->open_count == 0);
    for (uint32_t i = 0; i < tap->options.connections; i++)
        mem_free(tap->connections[i].parts);
    mem_free(tap);
    *pointer = NULL;
}
