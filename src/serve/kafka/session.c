/*
 * A request is decoded by its table, served, and answered. What cannot be decoded closes the
 * connection, as Kafka does: there is no answer that a client of another version could read, but
 * for ApiVersions, whose clients ask to find out (KIP-511).
 *
 * Memory for a request and its call is reserved before it is read. What does not fit then is not
 * read until others have been answered: pressure goes back as TCP has it. One whose message or
 * answer would take more than there is for those closes its connection; its client comes again.
 */

#include "serve/kafka/fetch_ahead.h"

#include "base/assert.h"

/* What a message may take in memory, beside its bytes: arrays are larger there than on the wire.
 * What is large in a request are records, which stay where they are. */
#define MESSAGE_FACTOR 8u
#define MESSAGE_EXTRA ((size_t)64 << 10)
#define MESSAGE_MAX ((size_t)4 << 20)
/* What a call takes beside its request, in the arena and elsewhere. What it asks about may make it
 * many times as large; that counts with all that there is (`call_bytes`). */
#define CALL_USUAL ((size_t)4 << 10)
/* Calls that wait leave so much of call_bytes to those that do not: half. */
#define PARKED_SHARE 2u

static const struct serve_kafka_service services[] = {
    /* From 0 on: librdkafka before 2.11.1 turns codecs off where it does not see that
     * (KAFKA-18659). What versions 0 to 2 carry is message formats 0 and 1, which is refused by
     * name; no client in use sends them unless it is told to. */
    {PROTO_KAFKA_PRODUCE, 0, 11, serve_kafka_produce},
    {PROTO_KAFKA_FETCH, 4, 12, serve_kafka_fetch},
    {PROTO_KAFKA_LIST_OFFSETS, 1, 7, serve_kafka_list_offsets},
    {PROTO_KAFKA_METADATA, 0, 9, serve_kafka_metadata},
    {PROTO_KAFKA_OFFSET_FOR_LEADER_EPOCH, 2, 4, serve_kafka_offset_for_leader_epoch},
    {PROTO_KAFKA_OFFSET_COMMIT, 2, 9, serve_kafka_offset_commit},
    {PROTO_KAFKA_OFFSET_FETCH, 1, 9, serve_kafka_offset_fetch},
    {PROTO_KAFKA_FIND_COORDINATOR, 0, 4, serve_kafka_find_coordinator},
    {PROTO_KAFKA_JOIN_GROUP, 0, 9, serve_kafka_join_group},
    {PROTO_KAFKA_HEARTBEAT, 0, 4, serve_kafka_heartbeat},
    {PROTO_KAFKA_LEAVE_GROUP, 0, 5, serve_kafka_leave_group},
    {PROTO_KAFKA_SYNC_GROUP, 0, 5, serve_kafka_sync_group},
    {PROTO_KAFKA_DESCRIBE_GROUPS, 0, 5, serve_kafka_describe_groups},
    {PROTO_KAFKA_LIST_GROUPS, 0, 5, serve_kafka_list_groups},
    {PROTO_KAFKA_SASL_HANDSHAKE, 0, 1, serve_kafka_sasl_handshake},
    {PROTO_KAFKA_API_VERSIONS, 0, 4, serve_kafka_api_versions},
    {PROTO_KAFKA_CREATE_TOPICS, 2, 7, serve_kafka_create_topics},
    {PROTO_KAFKA_DELETE_TOPICS, 1, 6, serve_kafka_delete_topics},
    {PROTO_KAFKA_DELETE_RECORDS, 0, 2, serve_kafka_delete_records},
    {PROTO_KAFKA_DESCRIBE_CONFIGS, 1, 4, serve_kafka_describe_configs},
    {PROTO_KAFKA_ALTER_CONFIGS, 0, 2, serve_kafka_alter_configs},
    {PROTO_KAFKA_CREATE_PARTITIONS, 0, 3, serve_kafka_create_partitions},
    {PROTO_KAFKA_INCREMENTAL_ALTER_CONFIGS, 0, 1, serve_kafka_incremental_alter_configs},
    {PROTO_KAFKA_DESCRIBE_CLUSTER, 0, 1, serve_kafka_describe_cluster},
    {PROTO_KAFKA_INIT_PRODUCER_ID, 0, 5, serve_kafka_init_producer_id},
    {PROTO_KAFKA_SASL_AUTHENTICATE, 0, 2, serve_kafka_sasl_authenticate},
    {PROTO_KAFKA_DELETE_GROUPS, 0, 2, serve_kafka_delete_groups},
    {PROTO_KAFKA_OFFSET_DELETE, 0, 0, serve_kafka_offset_delete},
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

static const struct serve_kafka_service *find_service(int16_t key)
{
    for (size_t i = 0; i < SERVICES; i++)
        if (services[i].key == key)
            return &services[i];
    return NULL;
}

/* Clients end at a code that they do not expect of an API, so what is to be tried again is said in
 * those that all of them try again: 56 when nothing was done, 7 where that is not known. */
int16_t serve_kafka_error_code(err_t err)
{
    if (err_is(err, ERR_FENCED) || err_is(err, ERR_TIMEOUT))
        return SERVE_KAFKA_REQUEST_TIMED_OUT;
    /* The server is going down. */
    if (err_is(err, ERR_CANCELLED))
        return SERVE_KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (err_retriable(err))
        return SERVE_KAFKA_KAFKA_STORAGE_ERROR;
    return (int16_t)err_kafka_code(err);
}

static void end_call(struct serve_kafka_call *call)
{
    uint64_t bytes = call->reserved_bytes;
    ASSERT(!list_linked(&call->view_link) && !list_linked(&call->poll_link));
    arena_done(&call->arena);
    call->door->call_bytes -= call->charged_bytes + call->parked_bytes;
    call->charged_bytes = call->parked_bytes = 0;
    call->reserved_bytes = 0;
    flow_credit_give(call->door->credit, bytes);
}

void serve_kafka_encode_apart(struct serve_kafka_call *call, const void *response, size_t *gaps)
{
    proto_kafka_write_response_header(call->api, call->header.version, call->header.correlation_id,
                                      &call->answer);
    proto_kafka_encode_apart(call->api, call->api->response, call->header.version, response,
                             &call->answer, gaps);
}

void serve_kafka_encode(struct serve_kafka_call *call, const void *response)
{
    serve_kafka_encode_apart(call, response, NULL);
}

/* What was encoded; the call is over. */
static struct buf end_answer(struct serve_kafka_call *call)
{
    struct buf answer = call->answer;
    call->answer = (struct buf){0};
    end_call(call);
    return answer;
}

void serve_kafka_reply_encoded(struct serve_kafka_call *call)
{
    struct buf answer = end_answer(call);
    net_kafka_reply(call->request, &answer);
}

void serve_kafka_reply_body(struct serve_kafka_call *call, struct net_kafka_body *body)
{
    struct buf answer = end_answer(call);
    net_kafka_reply_body(call->request, &answer, body);
}

void serve_kafka_reply(struct serve_kafka_call *call, const void *response)
{
    serve_kafka_encode(call, response);
    serve_kafka_reply_encoded(call);
}

void serve_kafka_reply_last(struct serve_kafka_call *call, const void *response)
{
    serve_kafka_encode(call, response);
    struct buf answer = end_answer(call);
    net_kafka_reply_last(call->request, &answer);
}

void serve_kafka_reply_none(struct serve_kafka_call *call)
{
    end_call(call);
    net_kafka_reply_none(call->request);
}

void serve_kafka_refuse(struct serve_kafka_call *call)
{
    end_call(call);
    net_kafka_refuse(call->request);
}

static bool take_call_bytes(struct serve_kafka_door *door, uint64_t bytes, uint64_t bytes_max)
{
    if (bytes > bytes_max || door->call_bytes > bytes_max - bytes)
        return false;
    door->call_bytes += bytes;
    return true;
}

/* False when the call may not become so large. */
static bool charge(struct serve_kafka_call *call, size_t size)
{
    size_t wanted = call->arena.size + size;
    if (wanted <= CALL_USUAL + call->charged_bytes)
        return true;
    uint64_t more = wanted - CALL_USUAL - call->charged_bytes;
    if (!take_call_bytes(call->door, more, call->door->fetch_bytes_max))
        return false;
    call->charged_bytes += more;
    return true;
}

bool serve_kafka_park(struct serve_kafka_call *call)
{
    struct serve_kafka_door *door = call->door;
    uint64_t bytes = call->reserved_bytes;
    ASSERT(call->parked_bytes == 0);
    if (!take_call_bytes(door, bytes, door->fetch_bytes_max / PARKED_SHARE))
        return false;
    call->parked_bytes = bytes;
    call->reserved_bytes = 0;
    flow_credit_give(door->credit, bytes);
    return true;
}

void *serve_kafka_try_alloc(struct serve_kafka_call *call, size_t count, size_t size)
{
    ASSERT(size > 0 && count <= SIZE_MAX / size);
    return charge(call, count * size) ? arena_alloc(&call->arena, count * size) : NULL;
}

static void refuse_later(struct task *task)
{
    serve_kafka_refuse(CONTAINER_OF(task, struct serve_kafka_call, refuse_task));
}

/* Not at once: whoever asks puts what it gets into the very memory that goes with the call. */
void *serve_kafka_alloc(struct serve_kafka_call *call, size_t count, size_t size)
{
    void *out = serve_kafka_try_alloc(call, count, size);
    if (!out && !call->refuse_task.run) {
        call->refuse_task.run = refuse_later;
        io_defer(call->door->loop, &call->refuse_task);
    }
    return out;
}

static void list_services(struct serve_kafka_call *call, int16_t error_code)
{
    struct proto_kafka_api_versions_response response;
    struct proto_kafka_api_versions_response_api_key keys[SERVICES];
    proto_kafka_init(call->api->response, &response);
    for (size_t i = 0; i < SERVICES; i++)
        keys[i] = (struct proto_kafka_api_versions_response_api_key){
            services[i].key, services[i].first, services[i].last};
    response.error_code = error_code;
    response.api_keys.items = keys;
    response.api_keys.count = SERVICES;
    serve_kafka_reply(call, &response);
}

void serve_kafka_api_versions(struct serve_kafka_call *call)
{
    list_services(call, SERVE_KAFKA_NONE);
}

/* A version from after our time: the answer is in version 0, which every client reads. */
static void refuse_version(struct serve_kafka_call *call)
{
    call->header.version = 0;
    list_services(call, SERVE_KAFKA_UNSUPPORTED_VERSION);
}

static void on_granted(struct flow_credit_waiter *waiter)
{
    struct serve_kafka_call *call = CONTAINER_OF(waiter, struct serve_kafka_call, waiter);
    call->reserved_bytes = waiter->bytes;
    net_kafka_request_start(call->request);
}

/* A request that would never fit is read all the same when nothing else is: it is within the
 * connection's limit. */
static enum net_kafka_intake on_size(void *owner, struct net_kafka_request *request, uint32_t size)
{
    struct serve_kafka_door *door = owner;
    struct serve_kafka_call *call = net_kafka_request_state(request);
    uint64_t bytes = size + CALL_USUAL;
    if (bytes > door->credit->limit_bytes)
        bytes = door->credit->limit_bytes;
    call->door = door;
    call->request = request;
    if (!serve_kafka_sasl_permits_size(call, size))
        return NET_KAFKA_REFUSE;
    if (flow_credit_take(door->credit, bytes)) {
        call->reserved_bytes = bytes;
        return NET_KAFKA_READ;
    }
    call->waiter = (struct flow_credit_waiter){.bytes = bytes, .granted = on_granted};
    flow_credit_wait(door->credit, &call->waiter);
    return NET_KAFKA_WAIT;
}

static bool is_pressed(void *owner)
{
    const struct serve_kafka_door *door = owner;
    return flow_credit_is_awaited(door->credit);
}

static void on_abort(void *owner, struct net_kafka_request *request)
{
    struct serve_kafka_call *call = net_kafka_request_state(request);
    (void)owner;
    flow_credit_cancel(&call->waiter);
    end_call(call);
}

static bool decode(struct serve_kafka_call *call, struct slice bytes)
{
    size_t size_max = bytes.size * MESSAGE_FACTOR + MESSAGE_EXTRA;
    if (size_max > MESSAGE_MAX)
        size_max = MESSAGE_MAX;
    call->message = arena_alloc(&call->arena, call->api->request->size);
    return call->message &&
           err_is_ok(proto_kafka_decode(call->api, call->api->request, call->header.version, bytes,
                                        &call->arena, size_max, call->message, NULL)) &&
           charge(call, 0);
}

static void on_request(void *owner, struct net_kafka_request *request, struct slice bytes)
{
    struct serve_kafka_door *door = owner;
    struct serve_kafka_call *call = net_kafka_request_state(request);
    if (serve_kafka_sasl_take(call, bytes))
        return;
    if (!err_is_ok(proto_kafka_read_header(&bytes, &call->header, NULL))) {
        serve_kafka_refuse(call);
        return;
    }
    call->service = find_service(call->header.key);
    call->api = proto_kafka_api(call->header.key);
    bool known = call->service && proto_kafka_has_version(call->api, call->header.version) &&
                 call->header.version >= call->service->first &&
                 call->header.version <= call->service->last;
    if (call->service && !known && call->header.key == PROTO_KAFKA_API_VERSIONS) {
        refuse_version(call);
        return;
    }
    if (!known || !serve_kafka_sasl_permits(call) || !decode(call, bytes)) {
        serve_kafka_refuse(call);
        return;
    }
    door->requests[call->api - proto_kafka_apis]++;
    call->service->run(call);
}

/* Whoever is served for a peer that has gone ends by itself; only waiting would be in vain. */
static void on_gone(void *owner, struct net_kafka_request *request)
{
    (void)owner;
    struct serve_kafka_call *call = net_kafka_request_state(request);
    if (list_linked(&call->poll_link))
        serve_kafka_fetch_gone(call);
}

static void on_close(void *owner, void *bytes)
{
    struct serve_kafka_conn *conn = bytes;
    serve_kafka_fetch_ahead_close(owner, conn);
    serve_kafka_fetch_session_close(conn);
    serve_kafka_sasl_done(&conn->sasl);
}

const struct net_kafka_handler serve_kafka_handler = {
    .session_size = sizeof(struct serve_kafka_conn),
    .state_size = sizeof(struct serve_kafka_call),
    .on_size = on_size,
    .on_request = on_request,
    .is_pressed = is_pressed,
    .on_abort = on_abort,
    .on_gone = on_gone,
    .on_close = on_close,
};
