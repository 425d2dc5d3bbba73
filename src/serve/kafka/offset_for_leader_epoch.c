#include "serve/kafka/kafka_int.h"

/*
 * OffsetForLeaderEpoch (KIP-320): a consumer that finds its partition with another leader asks
 * where the log of its own last leader ended, to see whether it has read what is there no more.
 * Here there is one leader for good, whose log ends where the partition does; of any other nothing
 * is known, which is said by -1.
 */

typedef struct proto_kafka_offset_for_leader_epoch_response_topic topic_answer;

static void answer_partition(const struct flow_topic_state *topic,
                             const struct proto_kafka_offset_for_leader_epoch_request_partition *in,
                             struct proto_kafka_offset_for_leader_epoch_response_partition *out)
{
    *out = (struct proto_kafka_offset_for_leader_epoch_response_partition){
        .partition = in->partition, .leader_epoch = -1, .end_offset = -1};
    if (!topic || in->partition < 0 || (uint32_t)in->partition >= topic->partition_count) {
        out->error_code = SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (in->current_leader_epoch > SERVE_KAFKA_LEADER_EPOCH) {
        out->error_code = SERVE_KAFKA_UNKNOWN_LEADER_EPOCH;
    } else if (in->leader_epoch == SERVE_KAFKA_LEADER_EPOCH) {
        out->leader_epoch = SERVE_KAFKA_LEADER_EPOCH;
        out->end_offset = topic->end_offset[in->partition];
    }
}

static void viewed(struct serve_kafka_call *call)
{
    const struct proto_kafka_offset_for_leader_epoch_request *request = call->message;
    struct proto_kafka_offset_for_leader_epoch_response response;
    proto_kafka_init(call->api->response, &response);
    topic_answer *topics = serve_kafka_alloc(call, request->topics.count, sizeof(*topics));
    if (!topics)
        return;
    response.topics.items = topics;
    response.topics.count = request->topics.count;
    for (uint32_t t = 0; t < request->topics.count; t++) {
        const struct proto_kafka_offset_for_leader_epoch_request_topic *asked =
            &request->topics.items[t];
        const struct flow_topic_state *topic =
            serve_kafka_view_topic(&call->door->view, asked->topic);
        uint32_t count = asked->partitions.count;
        topics[t].topic = asked->topic;
        if (!SERVE_KAFKA_ALLOC_LIST(call, &topics[t].partitions, count))
            return;
        for (uint32_t i = 0; i < count; i++)
            answer_partition(topic, &asked->partitions.items[i], &topics[t].partitions.items[i]);
    }
    serve_kafka_reply(call, &response);
}

void serve_kafka_offset_for_leader_epoch(struct serve_kafka_call *call)
{
    serve_kafka_view_refresh(call, viewed);
}
