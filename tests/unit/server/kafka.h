#pragma once

/*
 * A client of the world's Kafka door that makes, changes and deletes topics.
 */

#include "base/cursor.h"
#include "proto/kafka/messages.h"
#include "unit/server/world.h"

struct world_kafka {
    int fd;
    int32_t sent;
    int32_t answered;
    struct arena arena; /* of answers */
};

static inline void world_kafka_open(const struct world *w, struct world_kafka *k)
{
    *k = (struct world_kafka){.fd = world_connect(w, KAFKA_PORT)};
    assert_true(k->fd >= 0);
}

static inline void world_kafka_close(struct world_kafka *k)
{
    close(k->fd);
    arena_done(&k->arena);
}

static inline void world_kafka_send(struct world_kafka *k, int16_t key, int16_t version,
                                    const void *request)
{
    const struct proto_kafka_api *api = proto_kafka_api(key);
    const struct proto_kafka_request_header header = {key, version, k->sent++,
                                                      SLICE_LITERAL("test")};
    struct buf out = {0};
    buf_add(&out, "size", 4);
    proto_kafka_write_request_header(api, &header, &out);
    proto_kafka_encode(api, api->request, version, request, &out);
    assert_true(buf_ok(&out));
    put_u32be(out.data, (uint32_t)(out.size - 4));
    assert_int_equal(send(k->fd, out.data, out.size, MSG_NOSIGNAL), (ssize_t)out.size);
    buf_done(&out);
}

/* The next answer, which is to the next request; until the client is closed. */
static inline void *world_kafka_receive(struct world_kafka *k, int16_t key, int16_t version)
{
    const struct proto_kafka_api *api = proto_kafka_api(key);
    uint8_t head[4];
    assert_int_equal(recv(k->fd, head, sizeof(head), MSG_WAITALL), sizeof(head));
    size_t size = get_u32be(head);
    uint8_t *body = arena_alloc(&k->arena, size);
    assert_int_equal(recv(k->fd, body, size, MSG_WAITALL), (ssize_t)size);
    assert_int_equal(get_u32be(body), k->answered++);
    size_t header = proto_kafka_is_flexible(api, version) ? 5 : 4;
    void *response = arena_alloc(&k->arena, api->response->size);
    struct err_text why = {0};
    assert_ok(proto_kafka_decode(api, api->response, version,
                                 slice_make(body + header, size - header), &k->arena,
                                 (size_t)64 << 20, response, &why));
    return response;
}

/* Asks for a topic without waiting; the answer is world_kafka_created's. */
static inline void world_kafka_create(struct world_kafka *k, const char *name, int32_t partitions)
{
    struct proto_kafka_create_topics_request_topic topic = {
        .name = slice_string(name), .num_partitions = partitions, .replication_factor = 1};
    struct proto_kafka_create_topics_request request = {.timeout_ms = 1000};
    request.topics.items = &topic;
    request.topics.count = 1;
    world_kafka_send(k, PROTO_KAFKA_CREATE_TOPICS, 5, &request);
}

/* What the topic's creation ended with; its message in `*text` unless that is NULL. */
static inline int16_t world_kafka_created(struct world_kafka *k, struct slice *text)
{
    const struct proto_kafka_create_topics_response *response =
        world_kafka_receive(k, PROTO_KAFKA_CREATE_TOPICS, 5);
    if (text)
        *text = response->topics.items[0].error_message;
    return response->topics.items[0].error_code;
}

static inline int16_t world_kafka_delete(struct world_kafka *k, const char *name,
                                         struct slice *text)
{
    struct slice names[] = {slice_string(name)};
    struct proto_kafka_delete_topics_request request = {.timeout_ms = 1000};
    request.topic_names.items = names;
    request.topic_names.count = 1;
    world_kafka_send(k, PROTO_KAFKA_DELETE_TOPICS, 5, &request);
    const struct proto_kafka_delete_topics_response *response =
        world_kafka_receive(k, PROTO_KAFKA_DELETE_TOPICS, 5);
    if (text)
        *text = response->responses.items[0].error_message;
    return response->responses.items[0].error_code;
}

/* Asks for the topic to have `partitions`, with `placed` of them on the one broker (-1: nothing
 * said about that); what came of it, as of world_kafka_delete. */
static inline int16_t world_kafka_raise(struct world_kafka *k, const char *name, int32_t partitions,
                                        int placed, struct slice *text)
{
    static int32_t broker = 1;
    struct proto_kafka_create_partitions_request_assignment each[4] = {0};
    struct proto_kafka_create_partitions_request_topic topic = {.name = slice_string(name),
                                                                .count = partitions};
    for (int i = 0; i < placed; i++) {
        each[i].broker_ids.items = &broker;
        each[i].broker_ids.count = 1;
    }
    topic.assignments.items = placed < 0 ? NULL : each;
    topic.assignments.count = placed < 0 ? 0 : (uint32_t)placed;
    struct proto_kafka_create_partitions_request request = {.timeout_ms = 1000};
    request.topics.items = &topic;
    request.topics.count = 1;
    world_kafka_send(k, PROTO_KAFKA_CREATE_PARTITIONS, 1, &request);
    const struct proto_kafka_create_partitions_response *response =
        world_kafka_receive(k, PROTO_KAFKA_CREATE_PARTITIONS, 1);
    if (text)
        *text = response->results.items[0].error_message;
    return response->results.items[0].error_code;
}

static inline void assert_told(struct slice text, const char *part)
{
    if (!text.size || !memmem(text.data, text.size, part, strlen(part)))
        fail_msg("no \"%s\" in \"%.*s\"", part, SLICE_PRINTF(text));
}
