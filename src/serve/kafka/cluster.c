#include "serve/kafka/kafka_int.h"

#include "base/assert.h"
#include "base/uuid.h"

/*
 * DescribeCluster: what Metadata says of brokers, without topics. The cluster's id is the data
 * directory's: it stays for as long as the records do.
 */

/* The other kind of endpoint is that of controllers, of which there are none (KIP-919). */
#define ENDPOINT_BROKERS 1

static void viewed(struct serve_kafka_call *call)
{
    const struct proto_kafka_describe_cluster_request *request = call->message;
    const struct serve_kafka *kafka = call->door->kafka;
    const struct serve_kafka_view *view = &call->door->view;
    struct proto_kafka_describe_cluster_response response;
    struct proto_kafka_describe_cluster_response_broker broker = {
        .broker_id = SERVE_KAFKA_NODE_ID,
        .host = slice_string(kafka->host),
        .port = kafka->port,
    };
    char cluster_id[UUID_TEXT_SIZE + 1] = "";
    proto_kafka_init(call->api->response, &response);
    ASSERT(kafka->port > 0);
    if (request->endpoint_type != ENDPOINT_BROKERS) {
        response.error_code = SERVE_KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message = SLICE_LITERAL("expected endpoint type 1: there are brokers only");
    } else {
        if (view->valid)
            uuid_format(&view->snapshot.log_uuid, cluster_id);
        response.brokers.items = &broker;
        response.brokers.count = 1;
        response.controller_id = SERVE_KAFKA_NODE_ID;
    }
    response.cluster_id = slice_string(cluster_id);
    serve_kafka_reply(call, &response);
}

void serve_kafka_describe_cluster(struct serve_kafka_call *call)
{
    serve_kafka_view_refresh(call, viewed);
}
