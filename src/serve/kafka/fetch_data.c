#include "serve/kafka/fetch_data.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "flow/batch.h"

/*
 * Batches of a read that lie one behind the other are one piece. Those from segments and from the
 * log's memory do; between those of the log's files lie a frame's own bytes, which do not go out.
 *
 * Batches without records are the log's for good, and most consumers pass over them. Not so all of
 * those that get nothing else in an answer: kafkajs asks for the same again and again, and
 * librdkafka takes ten such answers for a record that is too large. What ends a transaction is in
 * no consumer's way, so that stands for those that a read ends with; behind others is a record.
 *
 * What goes wrong: a client that fetches a few bytes of each of many partitions would hold a block
 * of the log for each of them. So what is little is copied.
 */

/* Less than this is copied. */
#define HOLD_MIN ((size_t)16 << 10)
/* And pieces that are smaller than this on the average: writing them one by one costs more. */
#define PIECE_MIN ((size_t)1 << 10)
/* And what lies in a lease of more than so many times its size. */
#define LEASE_FACTOR 2u

/* Of one read. */
struct held {
    struct list link;
    void *lease; /* NULL: the bytes lie behind the pieces */
    size_t memory_bytes;
    size_t piece_count;
    struct slice pieces[];
};

struct body {
    struct net_kafka_body net;
    struct serve_kafka_door *door;
    struct list held;
    struct net_kafka_piece *pieces;
    size_t capacity;
};

static bool follows(const struct flow_read *read, uint32_t i)
{
    const struct slice *before = &read->batches[i - 1];
    return before->data + before->size == read->batches[i].data;
}

static void never_done(struct flow_read *read)
{
    ASSERT(!read);
}

static void release_lease(struct serve_kafka_door *door, void *lease)
{
    /* A read is a kilobyte, of which nothing but the lease is needed: so that was taken out, and is
     * given back by a read that is never asked for. */
    struct flow_read read = {.home = door->loop, .done = never_done, .lease = lease};
    flow_log_release(door->kafka->log, &read);
}

static void free_held(struct serve_kafka_door *door, struct held *held)
{
    if (held->lease)
        release_lease(door, held->lease);
    mem_free(held);
}

static struct held *copy(const struct flow_read *read, uint32_t count, size_t size)
{
    struct held *held = mem_alloc(sizeof(*held) + sizeof(held->pieces[0]) + size);
    if (!held)
        return NULL;
    uint8_t *out = (uint8_t *)&held->pieces[1];
    *held = (struct held){.memory_bytes = size, .piece_count = 1};
    held->pieces[0] = slice_make(out, size);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(out, read->batches[i].data, read->batches[i].size);
        out += read->batches[i].size;
    }
    return held;
}

static struct held *keep(const struct flow_read *read, uint32_t count, size_t piece_count)
{
    struct held *held = mem_alloc(sizeof(*held) + piece_count * sizeof(held->pieces[0]));
    if (!held)
        return NULL;
    *held = (struct held){.lease = read->lease, .memory_bytes = read->lease_bytes};
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && follows(read, i))
            held->pieces[held->piece_count - 1].size += read->batches[i].size;
        else
            held->pieces[held->piece_count++] = read->batches[i];
    }
    ASSERT(held->piece_count == piece_count);
    return held;
}

/* How many of the first `count` batches come before those without records that they end with, and
 * the last offset of these. */
static uint32_t before_holes(const struct flow_read *read, uint32_t count, int64_t *last_offset)
{
    struct flow_batch batch;
    uint32_t before = count;
    ASSERT(count > 0 && count <= read->batch_count);
    for (; before > 0; before--) {
        err_t err = flow_batch_parse(read->batches[before - 1], &batch);
        if (!err_is_ok(err) || batch.record_count > 0)
            break;
        if (before == count)
            *last_offset = batch.base_offset + batch.last_offset_delta;
    }
    return before;
}

static struct held *mark(int64_t last_offset)
{
    struct held *held = mem_alloc(sizeof(*held) + sizeof(held->pieces[0]) + FLOW_BATCH_MARKER_SIZE);
    if (!held)
        return NULL;
    uint8_t *out = (uint8_t *)&held->pieces[1];
    *held = (struct held){.memory_bytes = FLOW_BATCH_MARKER_SIZE, .piece_count = 1};
    held->pieces[0] = slice_make(out, FLOW_BATCH_MARKER_SIZE);
    flow_batch_put_marker(out, last_offset);
    return held;
}

/* The first `count` batches as they are. The read's lease is kept or given back. */
static struct held *hold(struct serve_kafka_door *door, struct flow_read *read, uint32_t count,
                         size_t *size)
{
    size_t pieces = 0;
    ASSERT(*size == 0);
    for (uint32_t i = 0; i < count; i++) {
        *size += read->batches[i].size;
        pieces += i == 0 || !follows(read, i);
    }
    bool kept = read->lease && *size >= HOLD_MIN && *size / PIECE_MIN >= pieces &&
                read->lease_bytes / LEASE_FACTOR <= *size;
    struct held *added = kept ? keep(read, count, pieces) : copy(read, count, *size);
    if (kept && added)
        read->lease = NULL;
    else
        flow_log_release(door->kafka->log, read);
    return added;
}

static void add(struct serve_kafka_door *door, struct list *held, struct held *added)
{
    if (!added)
        return;
    list_add_tail(held, &added->link);
    door->fetch_bytes += added->memory_bytes;
}

size_t serve_kafka_fetch_hold(struct serve_kafka_door *door, struct flow_read *read, uint32_t count,
                              struct list *held)
{
    int64_t last_offset = -1;
    uint32_t before = before_holes(read, count, &last_offset);
    struct held *marker = before < count ? mark(last_offset) : NULL;
    struct held *added = NULL;
    size_t size = 0;
    bool whole = marker || before == count;
    if (whole && before > 0)
        added = hold(door, read, before, &size);
    else
        flow_log_release(door->kafka->log, read);
    if (!whole || (before > 0 && !added)) {
        mem_free(marker);
        return 0;
    }
    add(door, held, added);
    add(door, held, marker);
    return size + (marker ? FLOW_BATCH_MARKER_SIZE : 0);
}

void serve_kafka_fetch_drop(struct serve_kafka_door *door, struct list *held)
{
    for (struct list *link = list_pop(held); link; link = list_pop(held)) {
        struct held *dropped = CONTAINER_OF(link, struct held, link);
        door->fetch_bytes -= dropped->memory_bytes;
        free_held(door, dropped);
    }
}

static void release_body(struct net_kafka_body *net)
{
    struct body *body = CONTAINER_OF(net, struct body, net);
    for (struct list *link = list_pop(&body->held); link; link = list_pop(&body->held))
        free_held(body->door, CONTAINER_OF(link, struct held, link));
    mem_free(body->pieces);
    mem_free(body);
}

struct net_kafka_body *serve_kafka_fetch_body_new(struct serve_kafka_door *door)
{
    struct body *body = mem_zalloc(1, sizeof(*body));
    if (!body)
        return NULL;
    body->door = door;
    body->net.release = release_body;
    list_init(&body->held);
    return &body->net;
}

static bool make_room(struct body *body, size_t count)
{
    size_t capacity = body->capacity ? body->capacity : 16;
    while (capacity < count)
        capacity *= 2;
    struct net_kafka_piece *pieces = capacity == body->capacity
                                         ? body->pieces
                                         : mem_realloc(body->pieces, capacity, sizeof(*pieces));
    if (!pieces)
        return false;
    body->net.pieces = body->pieces = pieces;
    body->capacity = capacity;
    return true;
}

bool serve_kafka_fetch_body_add(struct net_kafka_body *net, size_t at, struct list *held)
{
    struct body *body = CONTAINER_OF(net, struct body, net);
    size_t count = net->count;
    ASSERT(net->release == release_body);
    LIST_EACH (link, held)
        count += CONTAINER_OF(link, struct held, link)->piece_count;
    if (!make_room(body, count))
        return false;
    for (struct list *link = list_pop(held); link; link = list_pop(held)) {
        struct held *moved = CONTAINER_OF(link, struct held, link);
        list_add_tail(&body->held, link);
        for (size_t i = 0; i < moved->piece_count; i++) {
            body->pieces[net->count++] = (struct net_kafka_piece){at, moved->pieces[i]};
            net->size += moved->pieces[i].size;
        }
        net->memory_bytes += moved->memory_bytes;
        body->door->fetch_bytes -= moved->memory_bytes;
    }
    ASSERT(net->count == count);
    return true;
}
