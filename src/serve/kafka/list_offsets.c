#include "serve/kafka/kafka_int.h"

#include "base/assert.h"

/*
 * ListOffsets: where a partition begins and ends comes from a view that is asked for behind the
 * request; an offset by time is looked for in the log, one partition after the other, since each
 * may have to read an index.
 */

/* Times that stand for something else (Kafka protocol, ListOffsets). */
#define LATEST (-1)
#define EARLIEST (-2)
/* FLOW_FIND_MAX is -3 there too, from this version on (KIP-734). */
#define MAX_VERSION 7

/* The walk over the partitions that are asked about. */
struct listing {
    struct serve_kafka_call *call;
    struct proto_kafka_list_offsets_response response;
    uint32_t topic;
    uint32_t partition;
    struct flow_find find;
};

static struct proto_kafka_list_offsets_response_partition *answer_at(const struct listing *listing)
{
    return &listing->response.topics.items[listing->topic].partitions.items[listing->partition];
}

static void go_on(struct listing *listing);

static void found(struct flow_find *find)
{
    struct listing *listing = CONTAINER_OF(find, struct listing, find);
    struct proto_kafka_list_offsets_response_partition *out = answer_at(listing);
    if (!err_is_ok(find->error)) {
        out->error_code = serve_kafka_error_code(find->error);
    } else if (find->found_timestamp_ms >= 0) {
        /* Without one both stay -1, which says that there is none. */
        out->offset = find->offset;
        out->timestamp = find->found_timestamp_ms;
        out->leader_epoch = SERVE_KAFKA_LEADER_EPOCH;
    }
    listing->partition++;
    go_on(listing);
}

static void begin_find(struct listing *listing, uint32_t topic_id, int32_t partition,
                       int64_t timestamp_ms)
{
    struct serve_kafka_door *door = listing->call->door;
    listing->find = (struct flow_find){
        .home = door->loop,
        .done = found,
        .topic_id = topic_id,
        .partition = (uint32_t)partition,
        .timestamp_ms = timestamp_ms,
    };
    flow_log_find(door->kafka->log, &listing->find);
}

/* True when the answer for this partition comes later. */
static bool list_partition(struct listing *listing)
{
    const struct serve_kafka_call *call = listing->call;
    const struct proto_kafka_list_offsets_request *request = call->message;
    const struct proto_kafka_list_offsets_request_topic *asked =
        &request->topics.items[listing->topic];
    const struct proto_kafka_list_offsets_request_partition *want =
        &asked->partitions.items[listing->partition];
    const struct flow_topic_state *topic = serve_kafka_view_topic(&call->door->view, asked->name);
    struct proto_kafka_list_offsets_response_partition *out = answer_at(listing);
    int32_t partition = want->partition_index;
    *out = (struct proto_kafka_list_offsets_response_partition){
        .partition_index = partition, .timestamp = -1, .offset = -1, .leader_epoch = -1};
    if (!topic || partition < 0 || (uint32_t)partition >= topic->partition_count) {
        out->error_code = SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return false;
    }
    if (want->current_leader_epoch > SERVE_KAFKA_LEADER_EPOCH) {
        out->error_code = SERVE_KAFKA_UNKNOWN_LEADER_EPOCH;
        return false;
    }
    bool by_max = want->timestamp == FLOW_FIND_MAX && call->header.version >= MAX_VERSION;
    if (want->timestamp >= 0 || by_max) {
        begin_find(listing, topic->id, partition, want->timestamp);
        return true;
    }
    if (want->timestamp == LATEST)
        out->offset = topic->end_offset[partition];
    else if (want->timestamp == EARLIEST)
        out->offset = topic->start_offset[partition];
    else
        out->error_code = SERVE_KAFKA_UNSUPPORTED_VERSION;
    if (out->offset >= 0)
        out->leader_epoch = SERVE_KAFKA_LEADER_EPOCH;
    return false;
}

static void go_on(struct listing *listing)
{
    const struct proto_kafka_list_offsets_request *request = listing->call->message;
    for (; listing->topic < request->topics.count; listing->topic++) {
        uint32_t count = request->topics.items[listing->topic].partitions.count;
        for (; listing->partition < count; listing->partition++)
            if (list_partition(listing))
                return;
        listing->partition = 0;
    }
    serve_kafka_reply(listing->call, &listing->response);
}

/* Room for every answer, so that nothing fails behind this. */
static bool make_room(struct listing *listing)
{
    struct serve_kafka_call *call = listing->call;
    const struct proto_kafka_list_offsets_request *request = call->message;
    proto_kafka_init(call->api->response, &listing->response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &listing->response.topics, request->topics.count))
        return false;
    for (uint32_t i = 0; i < request->topics.count; i++) {
        struct proto_kafka_list_offsets_response_topic *topic = &listing->response.topics.items[i];
        uint32_t count = request->topics.items[i].partitions.count;
        topic->name = request->topics.items[i].name;
        if (!SERVE_KAFKA_ALLOC_LIST(call, &topic->partitions, count))
            return false;
    }
    return true;
}

static void viewed(struct serve_kafka_call *call)
{
    struct listing *listing = serve_kafka_alloc(call, 1, sizeof(*listing));
    if (!listing)
        return;
    listing->call = call;
    if (make_room(listing))
        go_on(listing);
}

void serve_kafka_list_offsets(struct serve_kafka_call *call)
{
    serve_kafka_view_refresh(call, viewed);
}
