#include "serve/kafka/fetch_session.h"

#include "base/alloc.h"

/*
 * The epoch counts a session's requests: one that was lost, or came twice, does not fit, and the
 * client begins anew. Nothing that a client keeps here is worth more than the request that tells it
 * all again, so whatever cannot be kept is dropped with its session.
 *
 * A session is thrown out by one that finds no room only when nobody has used it for as long as
 * Kafka says: else two clients would take turns at throwing out each other.
 */

/* The epochs that begin a session, and that end it or have none. */
#define EPOCH_FIRST 0
#define EPOCH_NONE (-1)
/* min.incremental.fetch.session.eviction.ms */
#define UNUSED_NS (120 * IO_SECOND)
#define PARTS_MIN 4u
/* Of a topic in the map, about. */
#define ENTRY_BYTES (2 * sizeof(struct map_entry))

static bool take_bytes(struct serve_kafka_fetch_session *session, uint64_t bytes)
{
    struct serve_kafka_door *door = session->door;
    uint64_t now_ns = io_now_ns(door->loop);
    while (door->fetch_session_bytes + bytes > door->fetch_session_bytes_max) {
        if (list_empty(&door->fetch_sessions))
            return false;
        struct serve_kafka_fetch_session *oldest =
            CONTAINER_OF(door->fetch_sessions.next, struct serve_kafka_fetch_session, link);
        if (oldest == session || now_ns - oldest->used_ns < UNUSED_NS)
            return false;
        door->fetch_sessions_evicted++;
        serve_kafka_fetch_session_close(oldest->conn);
    }
    session->bytes += bytes;
    door->fetch_session_bytes += bytes;
    return true;
}

static void give_bytes(struct serve_kafka_fetch_session *session, uint64_t bytes)
{
    ASSERT(bytes <= session->bytes && bytes <= session->door->fetch_session_bytes);
    session->bytes -= bytes;
    session->door->fetch_session_bytes -= bytes;
}

static uint64_t topic_bytes(const struct serve_kafka_fetch_topic *topic)
{
    return sizeof(*topic) + topic->name_size + ENTRY_BYTES +
           topic->part_capacity * sizeof(*topic->parts);
}

static void free_topic(struct serve_kafka_fetch_session *session,
                       struct serve_kafka_fetch_topic *topic)
{
    ASSERT(session->part_count >= topic->part_count);
    session->part_count -= topic->part_count;
    map_remove(&session->by_name, slice_make(topic->name, topic->name_size));
    list_remove(&topic->link);
    give_bytes(session, topic_bytes(topic));
    mem_free(topic->parts);
    mem_free(topic);
}

void serve_kafka_fetch_session_close(struct serve_kafka_conn *conn)
{
    struct serve_kafka_fetch_session *session = conn->fetch_session;
    if (!session)
        return;
    conn->fetch_session = NULL;
    LIST_EACH_SAFE (link, &session->topics)
        free_topic(session, CONTAINER_OF(link, struct serve_kafka_fetch_topic, link));
    give_bytes(session, sizeof(*session));
    ASSERT(session->bytes == 0);
    map_done(&session->by_name);
    list_remove(&session->link);
    mem_free(session);
}

/* NULL when there is no room. The id is new to every client of the door. */
static struct serve_kafka_fetch_session *open_session(struct serve_kafka_door *door,
                                                      struct serve_kafka_conn *conn)
{
    struct serve_kafka_fetch_session *session = mem_zalloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->door = door;
    session->conn = conn;
    if (!take_bytes(session, sizeof(*session))) {
        mem_free(session);
        return NULL;
    }
    door->fetch_session_id = door->fetch_session_id < INT32_MAX ? door->fetch_session_id + 1 : 1;
    session->id = door->fetch_session_id;
    /* Names are the peer's. */
    uint64_t seed = 0;
    io_random(door->loop, &seed, sizeof(seed));
    map_init(&session->by_name, seed);
    list_init(&session->topics);
    conn->fetch_session = session;
    return session;
}

static struct serve_kafka_fetch_topic *add_topic(struct serve_kafka_fetch_session *session,
                                                 struct slice name)
{
    struct serve_kafka_fetch_topic *topic = mem_zalloc(1, sizeof(*topic) + name.size);
    if (!topic)
        return NULL;
    topic->name_size = name.size;
    if (name.size > 0)
        memcpy(topic->name, name.data, name.size);
    if (!take_bytes(session, topic_bytes(topic))) {
        mem_free(topic);
        return NULL;
    }
    if (!err_is_ok(map_put(&session->by_name, slice_make(topic->name, name.size), topic))) {
        give_bytes(session, topic_bytes(topic));
        mem_free(topic);
        return NULL;
    }
    list_add_tail(&session->topics, &topic->link);
    return topic;
}

/* Where the partition is, or would be. */
static uint32_t find_part(const struct serve_kafka_fetch_topic *topic, int32_t partition)
{
    uint32_t low = 0;
    uint32_t high = topic->part_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (topic->parts[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_part(const struct serve_kafka_fetch_topic *topic, uint32_t at, int32_t partition)
{
    return at < topic->part_count && topic->parts[at].partition == partition;
}

static bool make_room(struct serve_kafka_fetch_session *session,
                      struct serve_kafka_fetch_topic *topic)
{
    if (topic->part_count < topic->part_capacity)
        return true;
    uint32_t capacity = topic->part_capacity ? topic->part_capacity * 2 : PARTS_MIN;
    uint64_t more = (uint64_t)(capacity - topic->part_capacity) * sizeof(*topic->parts);
    if (!take_bytes(session, more))
        return false;
    void *parts = mem_realloc(topic->parts, capacity, sizeof(*topic->parts));
    if (!parts) {
        give_bytes(session, more);
        return false;
    }
    topic->parts = parts;
    topic->part_capacity = capacity;
    return true;
}

static bool set_part(struct serve_kafka_fetch_session *session,
                     struct serve_kafka_fetch_topic *topic,
                     const struct proto_kafka_fetch_request_partition *want)
{
    uint32_t at = find_part(topic, want->partition);
    if (!has_part(topic, at, want->partition)) {
        if (!make_room(session, topic))
            return false;
        memmove(topic->parts + at + 1, topic->parts + at,
                (topic->part_count - at) * sizeof(*topic->parts));
        topic->parts[at] = (struct serve_kafka_fetch_part){
            .partition = want->partition, .high_watermark = -1, .log_start_offset = -1};
        topic->part_count++;
        session->part_count++;
    }
    topic->parts[at].leader_epoch = want->current_leader_epoch;
    topic->parts[at].bytes_max = want->partition_max_bytes;
    topic->parts[at].offset = want->fetch_offset;
    return true;
}

static bool set_topic(struct serve_kafka_fetch_session *session,
                      const struct proto_kafka_fetch_request_topic *asked)
{
    struct serve_kafka_fetch_topic *topic = map_get(&session->by_name, asked->topic);
    if (asked->partitions.count == 0)
        return true;
    if (!topic)
        topic = add_topic(session, asked->topic);
    for (uint32_t i = 0; topic && i < asked->partitions.count; i++)
        if (!set_part(session, topic, &asked->partitions.items[i]))
            return false;
    return topic;
}

static void forget(struct serve_kafka_fetch_session *session,
                   const struct proto_kafka_fetch_request_forgotten *asked)
{
    struct serve_kafka_fetch_topic *topic = map_get(&session->by_name, asked->topic);
    for (uint32_t i = 0; topic && i < asked->partitions.count; i++) {
        int32_t partition = asked->partitions.items[i];
        uint32_t at = find_part(topic, partition);
        if (!has_part(topic, at, partition))
            continue;
        topic->part_count--;
        session->part_count--;
        memmove(topic->parts + at, topic->parts + at + 1,
                (topic->part_count - at) * sizeof(*topic->parts));
    }
    if (topic && topic->part_count == 0)
        free_topic(session, topic);
}

/* False when there is no room for it. */
static bool apply(struct serve_kafka_fetch_session *session,
                  const struct proto_kafka_fetch_request *request)
{
    session->epoch = session->epoch < INT32_MAX ? session->epoch + 1 : 1;
    session->used_ns = io_now_ns(session->door->loop);
    list_remove(&session->link);
    list_add_tail(&session->door->fetch_sessions, &session->link);
    for (uint32_t i = 0; i < request->topics.count; i++)
        if (!set_topic(session, &request->topics.items[i]))
            return false;
    for (uint32_t i = 0; i < request->forgotten_topics_data.count; i++)
        forget(session, &request->forgotten_topics_data.items[i]);
    return true;
}

int16_t serve_kafka_fetch_session_take(struct serve_kafka_call *call,
                                       struct serve_kafka_fetch_session **out)
{
    const struct proto_kafka_fetch_request *request = call->message;
    struct serve_kafka_conn *conn = net_kafka_request_session(call->request);
    struct serve_kafka_fetch_session *session = conn->fetch_session;
    bool fits = session && session->id == request->session_id;
    *out = NULL;
    if (request->session_epoch == EPOCH_NONE) {
        if (fits)
            serve_kafka_fetch_session_close(conn);
        return SERVE_KAFKA_NONE;
    }
    if (request->session_epoch == EPOCH_FIRST) {
        serve_kafka_fetch_session_close(conn);
        session = open_session(call->door, conn);
    } else if (!fits) {
        return SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    } else if (request->session_epoch != session->epoch) {
        return SERVE_KAFKA_INVALID_FETCH_SESSION_EPOCH;
    }
    bool kept = session && apply(session, request);
    if (kept && session->part_count > 0) {
        *out = session;
        return SERVE_KAFKA_NONE;
    }
    serve_kafka_fetch_session_close(conn);
    /* Of one that cannot grow the client has to say all again; the first request did, and what is
     * all forgotten needs no session. */
    bool whole = kept || request->session_epoch == EPOCH_FIRST;
    return whole ? SERVE_KAFKA_NONE : SERVE_KAFKA_FETCH_SESSION_ID_NOT_FOUND;
}

struct serve_kafka_fetch_session *serve_kafka_fetch_session_of(struct serve_kafka_call *call,
                                                               int32_t id, int32_t epoch)
{
    struct serve_kafka_conn *conn = net_kafka_request_session(call->request);
    struct serve_kafka_fetch_session *session = conn->fetch_session;
    return session && session->id == id && session->epoch == epoch ? session : NULL;
}
