#include "serve/kafka/kafka_int.h"

#include "base/assert.h"

/*
 * CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords: each becomes a change
 * (change.c), whose answer is written once it is on disk and every loop goes by it. So the timeout
 * that clients give has no meaning here: what is said to be done is done.
 *
 * What is wrong with a request by itself is said here in Kafka's codes; what depends on what there
 * is (a name that is taken, how many partitions there are, whose a topic is) is for whoever makes
 * topics to say, since here it would be out of date by the time it is done.
 *
 * Failure modes: without memory for the answer the connection closes though the topics are made; a
 * client that asks again is told that they exist, as after a lost answer.
 */

/* With a number of its own for each partition, in any order, and the one broker for each. `seen`
 * has a place for each. */
static void check_places(struct serve_kafka_change *change, uint32_t index,
                         const struct proto_kafka_create_topics_request_topic *asked, bool *seen)
{
    for (uint32_t i = 0; i < asked->assignments.count; i++) {
        const struct proto_kafka_create_topics_request_assignment *a = &asked->assignments.items[i];
        int32_t partition = a->partition_index;
        bool one = a->broker_ids.count == 1 && a->broker_ids.items[0] == SERVE_KAFKA_NODE_ID;
        bool fits = partition >= 0 && (uint32_t)partition < asked->assignments.count;
        if (!one || !fits || seen[partition]) {
            serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                      "expected each of the partitions from 0 on once, with broker "
                                      "%d alone, which is all there is",
                                      SERVE_KAFKA_NODE_ID);
            return;
        }
        seen[partition] = true;
    }
}

/* False when the call has been refused. */
static bool check_assignments(struct serve_kafka_change *change, uint32_t index,
                              const struct proto_kafka_create_topics_request_topic *asked)
{
    if (asked->num_partitions != -1 || asked->replication_factor != -1) {
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_REQUEST,
                                  "with assignments, num_partitions and replication_factor are -1");
        return true;
    }
    bool *seen = serve_kafka_alloc(change->call, asked->assignments.count, sizeof(*seen));
    if (seen)
        check_places(change, index, asked, seen);
    return seen;
}

/* -1 is a default wherever a number is asked for (KIP-464). False when the call has been refused.
 */
static bool check_numbers(struct serve_kafka_change *change, uint32_t index,
                          const struct proto_kafka_create_topics_request_topic *asked)
{
    struct flow_topics_item *item = &change->flow.items[index];
    int32_t partitions = asked->num_partitions;
    if (asked->assignments.count > 0) {
        if (!check_assignments(change, index, asked))
            return false;
        partitions =
            asked->assignments.count > FLOW_PARTITIONS_MAX ? 0 : (int32_t)asked->assignments.count;
    } else if (partitions == -1) {
        partitions = (int32_t)change->call->door->kafka->partitions;
    }
    if (partitions < 1 || partitions > (int32_t)FLOW_PARTITIONS_MAX)
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_PARTITIONS,
                                  "expected 1 to %u partitions, or -1 for the default, got %d",
                                  FLOW_PARTITIONS_MAX, partitions);
    if (asked->replication_factor != -1 && asked->replication_factor != 1)
        serve_kafka_change_refuse(
            change, index, SERVE_KAFKA_INVALID_REPLICATION_FACTOR,
            "there is one broker: expected replication factor 1 or -1, got %d",
            asked->replication_factor);
    item->partition_count = (uint32_t)partitions;
    return true;
}

/* All of it is looked at, though the first mistake decides: who has made several finds them one by
 * one in any case, and nothing here depends on what was found before. */
static bool read_creation(struct serve_kafka_change *change, uint32_t index,
                          const struct proto_kafka_create_topics_request_topic *asked)
{
    struct flow_topics_item *item = &change->flow.items[index];
    item->name = asked->name;
    serve_kafka_change_check_name(change, index);
    if (!check_numbers(change, index, asked))
        return false;
    for (uint32_t i = 0; i < asked->configs.count; i++) {
        struct err_text why = {0};
        err_t err = serve_kafka_setting_parse(asked->configs.items[i].name,
                                              asked->configs.items[i].value, &item->config, &why);
        if (!err_is_ok(err))
            serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_CONFIG, "%s", why.text);
    }
    return true;
}

/* What the topic has been given, as DescribeConfigs would say it. False when refused. */
static bool describe_created(struct serve_kafka_call *call, const struct flow_topics_item *item,
                             struct proto_kafka_create_topics_response_topic *out)
{
    struct flow_topic_config config = item->config;
    size_t count = serve_kafka_topic_setting_count;
    out->num_partitions = (int32_t)item->partition_count;
    out->replication_factor = 1;
    out->topic_id = item->uuid;
    if (call->header.version < 5)
        return true;
    /* As the topic has it, also where it was only validated and there is none to ask. */
    config.open = true;
    if (!(config.given & FLOW_TOPIC_RETENTION_MS))
        config.retention_ms = FLOW_TOPICS_RETENTION_MS;
    if (!SERVE_KAFKA_ALLOC_LIST(call, &out->configs, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct serve_kafka_setting *setting = &serve_kafka_topic_settings[i];
        if (!serve_kafka_setting_answer(call, setting, &config, item->partition_count,
                                        &out->configs.items[i].value))
            return false;
        out->configs.items[i].name = slice_string(setting->name);
        out->configs.items[i].read_only = setting->given == 0;
        out->configs.items[i].config_source = serve_kafka_setting_source(setting, &config);
    }
    return true;
}

/* Every topic that was asked for is in the answer, in the order of the request. */
static void created(struct serve_kafka_call *call)
{
    const struct serve_kafka_change *change = call->work;
    struct proto_kafka_create_topics_response response;
    uint32_t count = change->flow.item_count;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.topics, count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct proto_kafka_create_topics_response_topic *out = &response.topics.items[i];
        out->name = change->flow.items[i].name;
        out->error_code = serve_kafka_change_code(change, i);
        out->error_message = serve_kafka_change_text(change, i);
        out->num_partitions = -1;
        out->replication_factor = -1;
        if (out->error_code == SERVE_KAFKA_NONE &&
            !describe_created(call, &change->flow.items[i], out))
            return;
    }
    serve_kafka_reply(call, &response);
}

void serve_kafka_create_topics(struct serve_kafka_call *call)
{
    const struct proto_kafka_create_topics_request *request = call->message;
    struct serve_kafka_change *change =
        serve_kafka_change_new(call, FLOW_TOPICS_CREATE, request->topics.count);
    if (!change)
        return;
    for (uint32_t i = 0; i < request->topics.count; i++)
        if (!read_creation(change, i, &request->topics.items[i]))
            return;
    change->flow.dry = request->validate_only;
    serve_kafka_change_refuse_repeats(change);
    serve_kafka_change_run(change, created);
}

/* Without a name where it was meant by its id: a name would tell what nobody has asked for. */
static void deleted(struct serve_kafka_call *call)
{
    const struct serve_kafka_change *change = call->work;
    struct proto_kafka_delete_topics_response response;
    uint32_t count = change->flow.item_count;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.responses, count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        const struct flow_topics_item *item = &change->flow.items[i];
        struct proto_kafka_delete_topics_response_topic *out = &response.responses.items[i];
        out->name = item->name.size > 0 ? item->name : slice_make(NULL, 0);
        out->topic_id = item->uuid;
        out->error_code = serve_kafka_change_code(change, i);
        out->error_message = serve_kafka_change_text(change, i);
    }
    serve_kafka_reply(call, &response);
}

/* From version 6 on a topic is meant by its name or by its id. */
void serve_kafka_delete_topics(struct serve_kafka_call *call)
{
    const struct proto_kafka_delete_topics_request *request = call->message;
    bool by_id = call->header.version >= 6;
    uint32_t count = by_id ? request->topics.count : request->topic_names.count;
    struct serve_kafka_change *change = serve_kafka_change_new(call, FLOW_TOPICS_DELETE, count);
    if (!change)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct flow_topics_item *item = &change->flow.items[i];
        item->name = by_id ? request->topics.items[i].name : request->topic_names.items[i];
        if (by_id)
            item->uuid = request->topics.items[i].topic_id;
        if (item->name.size > 0 && !uuid_is_zero(&item->uuid))
            serve_kafka_change_refuse(change, i, SERVE_KAFKA_INVALID_REQUEST,
                                      "expected a name or a topic id, not both");
        /* No topic's name is empty, and no topic's id is zero. */
        if (item->name.size == 0 && uuid_is_zero(&item->uuid))
            serve_kafka_change_refuse(change, i, SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                      "there is no such topic");
    }
    serve_kafka_change_refuse_repeats(change);
    serve_kafka_change_run(change, deleted);
}

/* The topics are named in the answer also where all went well: clients look for them there. */
static void raised(struct serve_kafka_call *call)
{
    const struct serve_kafka_change *change = call->work;
    struct proto_kafka_create_partitions_response response;
    uint32_t count = change->flow.item_count;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.results, count))
        return;
    for (uint32_t i = 0; i < count; i++)
        response.results.items[i] = (struct proto_kafka_create_partitions_response_result){
            .name = change->flow.items[i].name,
            .error_code = serve_kafka_change_code(change, i),
            .error_message = serve_kafka_change_text(change, i),
        };
    serve_kafka_reply(call, &response);
}

/* How many are added is known to whoever knows how many there are: here is only looked at what
 * each of them is. A list without any is one too (KIP-195). */
static void read_raise(struct serve_kafka_change *change, uint32_t index,
                       const struct proto_kafka_create_partitions_request_topic *asked)
{
    change->flow.items[index].name = asked->name;
    if (asked->count < 1 || asked->count > (int32_t)FLOW_PARTITIONS_MAX)
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_PARTITIONS,
                                  "expected 1 to %u partitions, got %d", FLOW_PARTITIONS_MAX,
                                  asked->count);
    for (uint32_t i = 0; i < asked->assignments.count; i++) {
        const struct proto_kafka_create_partitions_request_assignment *a =
            &asked->assignments.items[i];
        if (a->broker_ids.count != 1 || a->broker_ids.items[0] != SERVE_KAFKA_NODE_ID)
            serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                      "expected broker %d alone, which is all there is",
                                      SERVE_KAFKA_NODE_ID);
    }
    change->flow.items[index].partition_count = asked->count > 0 ? (uint32_t)asked->count : 0;
    change->flow.items[index].placed = asked->assignments.items;
    change->flow.items[index].placed_count = asked->assignments.count;
}

void serve_kafka_create_partitions(struct serve_kafka_call *call)
{
    const struct proto_kafka_create_partitions_request *request = call->message;
    struct serve_kafka_change *change =
        serve_kafka_change_new(call, FLOW_TOPICS_PARTITIONS, request->topics.count);
    if (!change)
        return;
    for (uint32_t i = 0; i < request->topics.count; i++)
        read_raise(change, i, &request->topics.items[i]);
    change->flow.dry = request->validate_only;
    serve_kafka_change_refuse_repeats(change);
    serve_kafka_change_run(change, raised);
}

/* In the order of the request, which is that of the items. */
static void records_deleted(struct serve_kafka_call *call)
{
    const struct proto_kafka_delete_records_request *request = call->message;
    const struct serve_kafka_change *change = call->work;
    struct proto_kafka_delete_records_response response;
    uint32_t count = request->topics.count;
    uint32_t at = 0;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.topics, count))
        return;
    for (uint32_t t = 0; t < count; t++) {
        struct proto_kafka_delete_records_response_topic *topic = &response.topics.items[t];
        uint32_t partitions = request->topics.items[t].partitions.count;
        topic->name = request->topics.items[t].name;
        if (!SERVE_KAFKA_ALLOC_LIST(call, &topic->partitions, partitions))
            return;
        for (uint32_t p = 0; p < partitions; p++, at++) {
            int16_t code = serve_kafka_change_code(change, at);
            topic->partitions.items[p] = (struct proto_kafka_delete_records_response_partition){
                .partition_index = request->topics.items[t].partitions.items[p].partition_index,
                .low_watermark =
                    code == SERVE_KAFKA_NONE ? change->flow.items[at].start_offset : -1,
                .error_code = code,
            };
        }
    }
    serve_kafka_reply(call, &response);
}

void serve_kafka_delete_records(struct serve_kafka_call *call)
{
    const struct proto_kafka_delete_records_request *request = call->message;
    uint32_t count = 0;
    for (uint32_t t = 0; t < request->topics.count; t++)
        count += request->topics.items[t].partitions.count;
    struct serve_kafka_change *change = serve_kafka_change_new(call, FLOW_TOPICS_LOG_START, count);
    if (!change)
        return;
    struct flow_topics_item *item = change->flow.items;
    for (uint32_t t = 0; t < request->topics.count; t++) {
        const struct proto_kafka_delete_records_request_topic *topic = &request->topics.items[t];
        for (uint32_t p = 0; p < topic->partitions.count; p++, item++) {
            item->name = topic->name;
            /* A negative number is one that no topic has. */
            item->partition = (uint32_t)topic->partitions.items[p].partition_index;
            item->start_offset = topic->partitions.items[p].offset;
            if (topic->name.size == 0)
                serve_kafka_change_refuse(change, (uint32_t)(item - change->flow.items),
                                          SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                          "there is no such topic");
        }
    }
    /* A partition that is there twice is moved twice, which is no harm: starts only rise. */
    serve_kafka_change_run(change, records_deleted);
}
