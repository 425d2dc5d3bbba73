#include "serve/kafka/kafka_int.h"

#include "base/assert.h"
#include "base/uuid.h"

/*
 * Metadata: one broker, which leads all partitions of all topics. A topic that is asked for and not
 * there is an error of its own in the answer.
 */

static const int32_t node_id = SERVE_KAFKA_NODE_ID;

/* Names that begin so are garner's own. */
static bool is_internal(struct slice name)
{
    return name.size > 0 && name.data[0] == '_';
}

/* False when the call has been refused. */
static bool describe_partitions(struct serve_kafka_call *call, uint32_t count,
                                struct proto_kafka_metadata_response_topic *out)
{
    if (!SERVE_KAFKA_ALLOC_LIST(call, &out->partitions, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct proto_kafka_metadata_response_partition *partition = &out->partitions.items[i];
        partition->partition_index = (int32_t)i;
        partition->leader_id = node_id;
        partition->replica_nodes.items = partition->isr_nodes.items =
            (int32_t *)(uintptr_t)&node_id;
        partition->replica_nodes.count = partition->isr_nodes.count = 1;
    }
    return true;
}

/* `topic` NULL: there is none of the name. */
static bool describe_topic(struct serve_kafka_call *call, struct slice name,
                           const struct flow_topic_state *topic,
                           struct proto_kafka_metadata_response_topic *out)
{
    out->name = name;
    out->topic_authorized_operations = INT32_MIN;
    out->is_internal = is_internal(name);
    if (topic)
        return describe_partitions(call, topic->partition_count, out);
    /* Clients ask again for one that is not there yet; a name that cannot be ends their waiting. */
    out->error_code = serve_kafka_is_name(name) ? SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                : SERVE_KAFKA_INVALID_TOPIC;
    return true;
}

/* Version 0 has no null: there no topic means all of them. */
static bool wants_all(const struct serve_kafka_call *call)
{
    const struct proto_kafka_metadata_request *request = call->message;
    return !request->topics.items || (call->header.version == 0 && request->topics.count == 0);
}

static bool describe_topics(struct serve_kafka_call *call,
                            struct proto_kafka_metadata_response *response)
{
    const struct proto_kafka_metadata_request *request = call->message;
    const struct serve_kafka_view *view = &call->door->view;
    bool all = wants_all(call);
    size_t count = all ? view->snapshot.topic_count : request->topics.count;
    struct proto_kafka_metadata_response_topic *topics =
        serve_kafka_alloc(call, count, sizeof(*topics));
    if (!topics)
        return false;
    response->topics.items = topics;
    for (size_t i = 0; i < count; i++) {
        struct slice name =
            all ? slice_string(view->snapshot.topics[i].name) : request->topics.items[i].name;
        const struct flow_topic_state *topic = serve_kafka_view_topic(view, name);
        /* One that the view does not show. */
        if (all && !topic)
            continue;
        if (!describe_topic(call, name, topic, &topics[response->topics.count++]))
            return false;
    }
    return true;
}

static void viewed(struct serve_kafka_call *call)
{
    const struct serve_kafka *kafka = call->door->kafka;
    const struct serve_kafka_view *view = &call->door->view;
    struct proto_kafka_metadata_response response;
    struct proto_kafka_metadata_response_broker broker = {
        .node_id = SERVE_KAFKA_NODE_ID,
        .host = slice_string(kafka->host),
        .port = kafka->port,
    };
    char cluster_id[UUID_TEXT_SIZE + 1];
    proto_kafka_init(call->api->response, &response);
    response.brokers.items = &broker;
    response.brokers.count = 1;
    response.controller_id = SERVE_KAFKA_NODE_ID;
    uuid_format(&view->snapshot.log_uuid, cluster_id);
    response.cluster_id = slice_string(cluster_id);
    if (describe_topics(call, &response))
        serve_kafka_reply(call, &response);
}

/* They are there, or they are not, for a reason that asking again would not tell. */
static void created(struct serve_kafka_call *call)
{
    serve_kafka_view_refresh(call, viewed);
}

/* The topics that are asked for, not there, and may be made. */
static uint32_t missing(const struct serve_kafka_call *call, struct flow_topics_item *items)
{
    const struct proto_kafka_metadata_request *request = call->message;
    const struct serve_kafka_view *view = &call->door->view;
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->topics.count && view->valid; i++) {
        struct slice name = request->topics.items[i].name;
        if (serve_kafka_view_topic(view, name) || !serve_kafka_is_name(name))
            continue;
        if (items) {
            items[count].name = name;
            items[count].partition_count = call->door->kafka->partitions;
        }
        count++;
    }
    return count;
}

/* Who wants a topic made asks for it by name, and gets it with the answer. */
static void viewed_first(struct serve_kafka_call *call)
{
    uint32_t count = missing(call, NULL);
    if (count == 0) {
        viewed(call);
        return;
    }
    struct serve_kafka_change *change = serve_kafka_change_new(call, FLOW_TOPICS_CREATE, count);
    if (!change)
        return;
    missing(call, change->flow.items);
    serve_kafka_change_refuse_repeats(change);
    serve_kafka_change_run(change, created);
}

void serve_kafka_metadata(struct serve_kafka_call *call)
{
    const struct proto_kafka_metadata_request *request = call->message;
    bool creates = call->door->kafka->auto_create && request->allow_auto_topic_creation;
    serve_kafka_view_refresh(call, creates ? viewed_first : viewed);
}
