#include "serve/kafka/kafka_int.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "flow/batch.h"

/*
 * Produce: each partition's batch is one request to the inlet, which judges its records by the
 * contract and commits it; the answer goes out when the last of them is on disk (acks 1 and -1;
 * with acks=0 there is none). What can be seen in a batch's header is looked at here, so that
 * nothing of a batch that no log could hold comes further.
 */

/* Where the message format's version stands in a batch, whatever it is (magic 0 to 2). */
#define AT_MAGIC 16u
/* Requests before it carry formats 0 and 1. */
#define BATCH_VERSION 3
/* In a frame of LZ4, behind its magic number. */
#define AT_LZ4_FLAGS 4u
#define LZ4_INDEPENDENT 0x20u
#define LZ4_DICTIONARY 0x01u
/* For so long a client that was told to come again sends nothing: all that it has on its way would
 * meet the same. */
#define THROTTLE_MS 100
/* Brokers take zstd from this version on (KIP-110). */
#define ZSTD_VERSION 7
#define ATTRIBUTE_LOG_APPEND_TIME 0x08u
#define ATTRIBUTE_TRANSACTIONAL 0x10u
#define ATTRIBUTE_CONTROL 0x20u

struct producing;

struct part {
    struct producing *producing;
    struct flow_inlet_request inlet;
    struct proto_kafka_produce_response_partition *answer;
};

struct producing {
    struct serve_kafka_call *call;
    struct proto_kafka_produce_response response;
    struct part *parts;
    uint32_t part_count;
    uint32_t left; /* parts without an answer, and one for whoever hands them out */
};

/* True where a batch was refused; what was there already is none. */
static bool count_refused(struct serve_kafka_door *door, int16_t code)
{
    ASSERT(code >= SERVE_KAFKA_UNKNOWN_SERVER_ERROR && code < SERVE_KAFKA_ERRORS);
    if (code == SERVE_KAFKA_NONE || code == SERVE_KAFKA_DUPLICATE_SEQUENCE_NUMBER)
        return false;
    door->batches_refused[code + 1]++;
    return true;
}

static void finish(struct producing *p)
{
    const struct proto_kafka_produce_request *request = p->call->message;
    if (--p->left > 0)
        return;
    bool silent = request->acks == 0;
    bool failed = false;
    for (uint32_t i = 0; i < p->part_count; i++)
        failed = count_refused(p->call->door, p->parts[i].answer->error_code) || failed;
    /* A client that wants no answers learns of a failure by the end of its connection. */
    if (silent && failed)
        serve_kafka_refuse(p->call);
    else if (silent)
        serve_kafka_reply_none(p->call);
    else
        serve_kafka_reply(p->call, &p->response);
}

/* Each record that its contract refused, by its place in the batch (KIP-467). */
static void tell_refused(struct part *part)
{
    const struct flow_inlet_request *inlet = &part->inlet;
    struct proto_kafka_produce_response_partition *out = part->answer;
    struct serve_kafka_call *call = part->producing->call;
    out->error_code = SERVE_KAFKA_INVALID_RECORD;
    out->error_message = SLICE_LITERAL("refused by the contract of the topic");
    out->record_errors.items =
        serve_kafka_try_alloc(call, inlet->error_count, sizeof(*out->record_errors.items));
    if (!out->record_errors.items)
        return;
    for (uint32_t i = 0; i < inlet->error_count; i++) {
        const struct flow_inlet_error *error = &inlet->errors[i];
        const char *text = arena_string(&call->arena, slice_string(error->detail));
        out->record_errors.items[i] = (struct proto_kafka_produce_response_record_error){
            .batch_index = (int32_t)error->index,
            .batch_index_error_message = text ? slice_string(text) : slice_make(NULL, 0)};
    }
    out->record_errors.count = inlet->error_count;
}

/* Its CRC fits, so a batch that is corrupt was made so: it would be the same a second time. */
static int16_t code_of(err_t err)
{
    if (err_is(err, ERR_CORRUPT))
        return SERVE_KAFKA_INVALID_RECORD;
    if (err_is(err, ERR_UNSUPPORTED))
        return SERVE_KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    return serve_kafka_error_code(err);
}

/* For whoever reads a client's log: the client itself knows what it sent. */
static void tell_gap(struct part *part)
{
    enum { SIZE = 80 };
    char *text = arena_alloc(&part->producing->call->arena, SIZE);
    if (!text)
        return;
    snprintf(text, SIZE, "a batch before this one is missing: sequence number %llu comes next",
             (unsigned long long)part->inlet.expected);
    part->answer->error_message = slice_string(text);
}

static void committed(struct flow_inlet_request *inlet)
{
    struct part *part = CONTAINER_OF(inlet, struct part, inlet);
    if (err_is(inlet->error, ERR_SEQUENCE_GAP))
        tell_gap(part);
    if (err_retriable(inlet->error))
        part->producing->response.throttle_time_ms = THROTTLE_MS;
    if (!err_is_ok(inlet->error))
        part->answer->error_code = code_of(inlet->error);
    else if (inlet->refused > 0)
        tell_refused(part);
    /* Clients take it for success without an offset. */
    else if (inlet->forgotten)
        part->answer->error_code = SERVE_KAFKA_DUPLICATE_SEQUENCE_NUMBER;
    else
        part->answer->base_offset = inlet->base_offset;
    flow_inlet_request_done(inlet);
    finish(part->producing);
}

/* Blocks of LZ4 that depend on each other, or on a dictionary, are nothing that Java's clients can
 * read (LZ4 Frame Format 1.6, the flags Block Independence and DictID); Kafka refuses them too. */
static bool is_readable(const struct flow_batch *batch)
{
    struct slice frame = slice_sub(batch->bytes, FLOW_BATCH_HEADER_SIZE, batch->bytes.size);
    if (flow_batch_codec(batch) != FLOW_CODEC_LZ4 || frame.size <= AT_LZ4_FLAGS)
        return true;
    return (frame.data[AT_LZ4_FLAGS] & (LZ4_INDEPENDENT | LZ4_DICTIONARY)) == LZ4_INDEPENDENT;
}

/* What the header alone tells; OK to go on, with the batch. */
static int16_t look(const struct serve_kafka_call *call, struct slice records,
                    struct flow_batch *out)
{
    struct flow_batch batch;
    if (records.size <= AT_MAGIC)
        return SERVE_KAFKA_INVALID_RECORD;
    if (records.data[AT_MAGIC] < 2)
        return SERVE_KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT;
    /* Exactly one batch a partition (Kafka protocol, Produce version 3 and up). */
    if (!err_is_ok(flow_batch_parse(records, &batch)) || batch.bytes.size != records.size)
        return SERVE_KAFKA_INVALID_RECORD;
    if (batch.bytes.size > call->door->kafka->message_bytes_max)
        return SERVE_KAFKA_MESSAGE_TOO_LARGE;
    if (!err_is_ok(flow_batch_check(&batch)))
        return SERVE_KAFKA_CORRUPT_MESSAGE;
    if (call->header.version < ZSTD_VERSION && flow_batch_codec(&batch) == FLOW_CODEC_ZSTD)
        return SERVE_KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    if (!is_readable(&batch))
        return SERVE_KAFKA_INVALID_RECORD;
    /* Times are the producer's; that they were the log's it cannot know. */
    if (batch.attributes & ATTRIBUTE_LOG_APPEND_TIME)
        return SERVE_KAFKA_INVALID_TIMESTAMP;
    if (batch.attributes & (ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL) || batch.base_offset != 0)
        return SERVE_KAFKA_INVALID_RECORD;
    /* As Kafka's LogValidator: who has an id counts its records. */
    bool counted = batch.producer_epoch >= 0 && batch.base_sequence >= 0;
    if (batch.producer_id >= 0 && !counted)
        return SERVE_KAFKA_INVALID_RECORD;
    *out = batch;
    return SERVE_KAFKA_NONE;
}

static int16_t submit(struct producing *p, struct part *part, struct slice topic_name,
                      const struct proto_kafka_produce_request_partition *asked)
{
    struct serve_kafka_door *door = p->call->door;
    struct flow_inlet *inlet = door->inlet;
    const struct proto_kafka_produce_request *request = p->call->message;
    const struct flow_inlet_topic *topic = flow_inlet_topic(inlet, topic_name);
    if (p->call->header.version < BATCH_VERSION)
        return SERVE_KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT;
    if (request->acks < -1 || request->acks > 1)
        return SERVE_KAFKA_INVALID_REQUIRED_ACKS;
    /* What is there and takes nothing from outside will not do so later either. */
    if (!topic && serve_kafka_view_topic(&door->view, topic_name))
        return SERVE_KAFKA_INVALID_TOPIC;
    if (!topic || asked->index < 0)
        return SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct flow_batch batch;
    int16_t code = look(p->call, asked->records, &batch);
    if (code != SERVE_KAFKA_NONE)
        return code;
    const struct flow_inlet_once once = {
        .kind = FLOW_REQUEST_SEQUENCED,
        .batch = {.producer_id = batch.producer_id,
                  .partition = (uint32_t)asked->index,
                  .first = batch.base_sequence,
                  .count = batch.record_count,
                  .epoch = batch.producer_epoch},
    };
    part->inlet = (struct flow_inlet_request){
        .topic = topic,
        .source = "kafka",
        .framing = FLOW_FRAMING_BATCH,
        .partition = (uint32_t)asked->index,
        .body = asked->records,
        .once = batch.producer_id >= 0 ? &once : NULL,
        .done = committed,
    };
    p->left++;
    flow_inlet_submit(inlet, &part->inlet);
    return SERVE_KAFKA_NONE;
}

static void submit_topic(struct producing *p, const struct proto_kafka_produce_request_topic *asked,
                         struct proto_kafka_produce_response_topic *out)
{
    uint32_t count = asked->partition_data.count;
    out->name = asked->name;
    for (uint32_t i = 0; i < count; i++) {
        struct part *part = &p->parts[p->part_count++];
        struct proto_kafka_produce_response_partition *answer = &out->partition_responses.items[i];
        *answer = (struct proto_kafka_produce_response_partition){
            .index = asked->partition_data.items[i].index,
            .base_offset = -1,
            .log_append_time_ms = -1,
            .log_start_offset = -1,
            .current_leader = {-1, -1},
        };
        part->producing = p;
        part->answer = answer;
        answer->error_code = submit(p, part, asked->name, &asked->partition_data.items[i]);
    }
}

/* Room for every answer, before anything is handed over: nothing fails behind that. */
static bool make_room(struct producing *p)
{
    struct serve_kafka_call *call = p->call;
    const struct proto_kafka_produce_request *request = call->message;
    uint32_t count = 0;
    proto_kafka_init(call->api->response, &p->response);
    p->response.responses.items =
        serve_kafka_alloc(call, request->topic_data.count, sizeof(*p->response.responses.items));
    if (!p->response.responses.items)
        return false;
    p->response.responses.count = request->topic_data.count;
    for (uint32_t i = 0; i < request->topic_data.count; i++) {
        struct proto_kafka_produce_response_topic *topic = &p->response.responses.items[i];
        uint32_t partitions = request->topic_data.items[i].partition_data.count;
        topic->partition_responses.items =
            serve_kafka_alloc(call, partitions, sizeof(*topic->partition_responses.items));
        if (!topic->partition_responses.items)
            return false;
        topic->partition_responses.count = partitions;
        count += partitions;
    }
    p->parts = serve_kafka_alloc(call, count, sizeof(*p->parts));
    return p->parts;
}

void serve_kafka_produce(struct serve_kafka_call *call)
{
    const struct proto_kafka_produce_request *request = call->message;
    struct producing *p = serve_kafka_alloc(call, 1, sizeof(*p));
    if (!p)
        return;
    p->call = call;
    if (!make_room(p))
        return;
    p->left = 1;
    for (uint32_t i = 0; i < request->topic_data.count; i++)
        submit_topic(p, &request->topic_data.items[i], &p->response.responses.items[i]);
    finish(p);
}
