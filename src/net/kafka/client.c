/*
 * Sent: a size, a header with a number of its own, the message. Read: answers, gathered in one
 * buffer until the one at its front is whole; once its size is known the buffer has room for all of
 * it, so that a large one is copied once, by the kernel. What answers were sent for stands in a
 * ring in the order of the requests.
 *
 * What goes wrong: a peer that says another size than it sends, or answers what nobody asked, has
 * lost its place and so have we: the connection ends, and with it all that is under way. An answer
 * to a request that is not the oldest is such a lie, even if its number was sent.
 */

#include "net/kafka/client.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"

#define READ_SIZE 16384u
/* The most that one read takes, so that one fast peer does not hold the loop. */
#define READ_MAX 1048576u
#define SIZE_BYTES 4u
#define PARTS_MAX 16u

struct pending {
    const struct proto_kafka_api *api;
    int16_t version;
    int32_t correlation_id;
    void *tag;
};

struct net_kafka_client {
    struct io_loop *loop;
    struct io_tcp *tcp;
    const struct net_kafka_client_events *events;
    void *owner;
    struct slice client_id;
    bool closing;
    err_t closed_for;
    int32_t next_id;
    struct buf in;
    struct buf head;
    uint8_t spare;
    uint32_t first; /* the oldest in `pending` */
    uint32_t count;
    uint32_t count_max;
    struct pending pending[];
};

/* The first reason stands; `closed` tells it once the socket is gone. */
static void end_with(struct net_kafka_client *client, err_t err)
{
    if (client->closing)
        return;
    client->closing = true;
    client->closed_for = err;
    io_tcp_close(client->loop, client->tcp);
}

/* Hands over the answer in `frame`, its size taken off. */
static void answer(struct net_kafka_client *client, struct slice frame)
{
    int32_t id;
    struct pending *oldest = &client->pending[client->first];
    if (client->count == 0 ||
        !err_is_ok(
            proto_kafka_read_response_header(oldest->api, oldest->version, &frame, &id, NULL)) ||
        id != oldest->correlation_id) {
        end_with(client, err_make(ERR_SYNTAX));
        return;
    }
    const struct net_kafka_client_answer told = {oldest->api, oldest->version, oldest->tag, frame};
    client->first = (client->first + 1) % client->count_max;
    /* Before the callback, which may send the next request from within. */
    client->count--;
    client->events->answer(client->owner, &told);
}

/* Bytes of the answer at the front with its size, as far as it says so; 0 when it is a lie. */
static size_t frame_size(struct net_kafka_client *client, const uint8_t *data)
{
    uint32_t size = get_u32be(data);
    if (size >= SIZE_BYTES && size <= client->in.size_max - (size_t)2 * SIZE_BYTES)
        return SIZE_BYTES + size;
    bool lies = size < SIZE_BYTES || size > INT32_MAX;
    end_with(client, err_make(lies ? ERR_SYNTAX : ERR_TOO_LARGE));
    return 0;
}

static struct io_room on_room(void *owner)
{
    struct net_kafka_client *client = owner;
    struct buf *in = &client->in;
    size_t wanted = READ_SIZE;
    if (in->size >= SIZE_BYTES)
        /* Answers that are whole were taken off, so this one is not. */
        wanted = SIZE_BYTES + get_u32be(in->data) - in->size;
    /* Answers that follow come with it, as far as the cap allows. */
    if (wanted < READ_SIZE)
        wanted = READ_SIZE;
    if (wanted > in->size_max - in->size)
        wanted = in->size_max - in->size;
    uint8_t *data = buf_reserve(in, wanted);
    /* Without memory: whatever is read, the connection ends. */
    if (!data)
        return (struct io_room){&client->spare, 1};
    return (struct io_room){data, wanted < READ_MAX ? wanted : READ_MAX};
}

static void on_read(void *owner, size_t size)
{
    struct net_kafka_client *client = owner;
    struct buf *in = &client->in;
    size_t used = 0;
    if (!buf_ok(in)) {
        end_with(client, err_make(ERR_MEMORY));
        return;
    }
    buf_advance(in, size);
    while (!client->closing && in->size - used >= SIZE_BYTES) {
        size_t frame = frame_size(client, in->data + used);
        if (frame == 0 || frame > in->size - used)
            break;
        answer(client, slice_sub(buf_slice(in), used + SIZE_BYTES, frame - SIZE_BYTES));
        used += frame;
    }
    buf_consume(in, used);
}

static void on_connected(void *owner, err_t err)
{
    struct net_kafka_client *client = owner;
    if (!err_is_ok(err)) {
        end_with(client, err);
        return;
    }
    io_tcp_read_start(client->loop, client->tcp);
    client->events->ready(client->owner);
}

static void on_ended(void *owner, err_t err)
{
    struct net_kafka_client *client = owner;
    end_with(client, err_is(err, ERR_END) ? err_make(ERR_CLOSED) : err);
}

static void on_closed(void *owner)
{
    struct net_kafka_client *client = owner;
    ASSERT(client->closing);
    client->tcp = NULL;
    client->events->closed(client->owner, client->closed_for);
}

static const struct io_tcp_events client_events = {
    .connected = on_connected,
    .room = on_room,
    .read = on_read,
    .ended = on_ended,
    .closed = on_closed,
};

err_t net_kafka_client_new(const struct net_kafka_client_options *options,
                           const struct net_kafka_client_events *events, void *owner,
                           struct net_kafka_client **out, struct err_text *why)
{
    ASSERT(events && events->ready && events->answer && events->closed);
    ASSERT(options->in_flight_max > 0 && options->answer_size_max < INT32_MAX);
    struct net_kafka_client *client =
        mem_zalloc(1, sizeof(*client) + options->in_flight_max * sizeof(client->pending[0]));
    if (!client)
        return err_make(ERR_MEMORY);
    client->loop = options->loop;
    client->events = events;
    client->owner = owner;
    client->client_id = slice_string(options->client_id);
    client->count_max = options->in_flight_max;
    /* The largest answer with its size, and the size of the next one behind it. */
    buf_init(&client->in, options->answer_size_max + (size_t)2 * SIZE_BYTES);
    err_t err =
        io_tcp_connect(client->loop, options->address, &client_events, client, &client->tcp, why);
    if (!err_is_ok(err)) {
        mem_free(client);
        return err;
    }
    *out = client;
    return err_ok();
}

bool net_kafka_client_has_room(const struct net_kafka_client *client)
{
    ASSERT(client->count <= client->count_max);
    return !client->closing && client->count < client->count_max;
}

/* The size and the header, in front of the message. */
static err_t write_head(struct net_kafka_client *client, const struct proto_kafka_api *api,
                        int16_t version, size_t message_size)
{
    const struct proto_kafka_request_header header = {
        .key = api->key,
        .version = version,
        .correlation_id = client->next_id,
        .client_id = client->client_id,
    };
    buf_reset(&client->head);
    buf_add(&client->head, (uint8_t[SIZE_BYTES]){0}, SIZE_BYTES);
    proto_kafka_write_request_header(api, &header, &client->head);
    TRY(buf_error(&client->head));
    size_t size = client->head.size - SIZE_BYTES + message_size;
    if (size > INT32_MAX)
        return err_make(ERR_TOO_LARGE);
    put_u32be(client->head.data, (uint32_t)size);
    return err_ok();
}

err_t net_kafka_client_send(struct net_kafka_client *client, const struct proto_kafka_api *api,
                            int16_t version, const struct slice *parts, size_t count, bool silent,
                            void *tag)
{
    struct slice all[PARTS_MAX];
    size_t size = 0;
    size_t all_count = 1;
    ASSERT(count < PARTS_MAX - 1 && proto_kafka_has_version(api, version));
    if (client->closing)
        /* `closed` will tell the reason; this only says that nothing was sent. */
        return err_make(ERR_CLOSED);
    ASSERT(silent || net_kafka_client_has_room(client));
    for (size_t i = 0; i < count; i++) {
        size += parts[i].size;
        if (parts[i].size > 0)
            all[all_count++] = parts[i];
    }
    err_t err = write_head(client, api, version, size);
    all[0] = buf_slice(&client->head);
    if (err_is_ok(err))
        err = io_tcp_write(client->loop, client->tcp, all, all_count);
    if (!err_is_ok(err)) {
        end_with(client, err);
        return err;
    }
    if (!silent)
        client->pending[(client->first + client->count++) % client->count_max] =
            (struct pending){api, version, client->next_id, tag};
    /* Numbers that no two requests under way share are all it takes. */
    client->next_id = client->next_id == INT32_MAX ? 0 : client->next_id + 1;
    return err_ok();
}

void net_kafka_client_close(struct net_kafka_client *client)
{
    /* By the owner's wish, which is no error; `closed` comes all the same, and only then may it be
     * freed. */
    end_with(client, err_ok());
}

void net_kafka_client_free(struct net_kafka_client **pointer)
{
    struct net_kafka_client *client = *pointer;
    if (!client)
        return;
    ASSERT(!client->tcp);
    buf_done(&client->in);
    buf_done(&client->head);
    mem_free(client);
    *pointer = NULL;
}
