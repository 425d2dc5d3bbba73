#pragma once

/*
 * What the tests of fetches ask for.
 */

#include "unit/serve/kafka/fixture.h"

typedef struct proto_kafka_fetch_response response_t;
typedef struct proto_kafka_fetch_response_partition answer_t;

/* A fetch of all partitions of "cars" and of "planes", from the start of each. */
struct ask {
    struct proto_kafka_fetch_request_partition parts[3];
    struct proto_kafka_fetch_request_topic topics[2];
    struct proto_kafka_fetch_request request;
};

static inline void ask_init(struct ask *ask)
{
    *ask = (struct ask){
        .request = {.replica_id = -1, .min_bytes = 1, .max_bytes = 1 << 20, .session_epoch = -1},
        .topics = {{.topic = SLICE_LITERAL("cars")}, {.topic = SLICE_LITERAL("planes")}},
    };
    for (int32_t i = 0; i < 3; i++)
        ask->parts[i] = (struct proto_kafka_fetch_request_partition){
            .partition = i % 2,
            .current_leader_epoch = -1,
            .last_fetched_epoch = -1,
            .log_start_offset = -1,
            .partition_max_bytes = 1 << 20,
        };
    ask->topics[0].partitions.items = ask->parts;
    ask->topics[0].partitions.count = 2;
    ask->topics[1].partitions.items = ask->parts + 2;
    ask->topics[1].partitions.count = 1;
    ask->request.topics.items = ask->topics;
    ask->request.topics.count = 2;
}
