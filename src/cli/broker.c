/*
 * The first request is ApiVersions in version 0, which every broker answers, then, where there is a
 * user, those of SASL, then Metadata for the one topic; requests of the owner follow. A produce
 * request is encoded without its batch, which is the last thing in it but for empty tagged fields,
 * and sent in three pieces around it.
 *
 * What goes wrong: an answer that is not the message it has to be ends the connection, as does a
 * broker that lacks an API or a version of it that we know. A topic whose leader is being chosen is
 * not there yet: the owner connects again. A listener that has TLS, or asks who its clients are,
 * has no other word for those that come without than to close, and so that is what it may mean.
 */

#include "cli/broker.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "cli/door.h"
#include "cli/login.h"

/* What an answer may take in memory, beside its bytes. */
#define MESSAGE_FACTOR 8u
#define MESSAGE_EXTRA ((size_t)64 << 10)
#define PRODUCE_FIRST 3
#define HANDSHAKE_FIRST 1

enum step { STEP_CONNECT, STEP_VERSIONS, STEP_HANDSHAKE, STEP_LOGIN, STEP_METADATA, STEP_READY };

struct cli_broker {
    struct cli_broker_options options;
    const struct cli_broker_events *events;
    void *owner;
    struct net_kafka_client *client;
    enum step step;
    int16_t versions[PROTO_KAFKA_APIS]; /* agreed on; -1: the broker lacks it */
    struct cli_login login;
    bool served; /* something was answered that only those get who are let in */
    uint32_t partition_count;
    struct buf message;
    bool failed; /* `error` and `why` say for what, and not the connection */
    err_t error;
    struct err_text why;
};

static const struct {
    int16_t code;
    enum cli_broker_verdict verdict;
    const char *name;
} codes[] = {
    {-1, CLI_BROKER_UNKNOWN, "UNKNOWN_SERVER_ERROR"},
    {0, CLI_BROKER_DONE, "NONE"},
    {1, CLI_BROKER_FAILED, "OFFSET_OUT_OF_RANGE"},
    {2, CLI_BROKER_REFUSED, "CORRUPT_MESSAGE"},
    {3, CLI_BROKER_FAILED, "UNKNOWN_TOPIC_OR_PARTITION"},
    {5, CLI_BROKER_LATER, "LEADER_NOT_AVAILABLE"},
    {6, CLI_BROKER_LATER, "NOT_LEADER_OR_FOLLOWER"},
    {7, CLI_BROKER_UNKNOWN, "REQUEST_TIMED_OUT"},
    {10, CLI_BROKER_FAILED, "MESSAGE_TOO_LARGE"},
    {13, CLI_BROKER_UNKNOWN, "NETWORK_EXCEPTION"},
    {14, CLI_BROKER_LATER, "COORDINATOR_LOAD_IN_PROGRESS"},
    {15, CLI_BROKER_LATER, "COORDINATOR_NOT_AVAILABLE"},
    {16, CLI_BROKER_FAILED, "NOT_COORDINATOR"},
    {17, CLI_BROKER_FAILED, "INVALID_TOPIC_EXCEPTION"},
    {18, CLI_BROKER_REFUSED, "RECORD_LIST_TOO_LARGE"},
    {19, CLI_BROKER_LATER, "NOT_ENOUGH_REPLICAS"},
    {20, CLI_BROKER_UNKNOWN, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"},
    {24, CLI_BROKER_FAILED, "INVALID_GROUP_ID"},
    {25, CLI_BROKER_FAILED, "UNKNOWN_MEMBER_ID"},
    {27, CLI_BROKER_LATER, "REBALANCE_IN_PROGRESS"},
    {28, CLI_BROKER_FAILED, "INVALID_COMMIT_OFFSET_SIZE"},
    {29, CLI_BROKER_FAILED, "TOPIC_AUTHORIZATION_FAILED"},
    {30, CLI_BROKER_FAILED, "GROUP_AUTHORIZATION_FAILED"},
    {32, CLI_BROKER_REFUSED, "INVALID_TIMESTAMP"},
    {35, CLI_BROKER_FAILED, "UNSUPPORTED_VERSION"},
    {43, CLI_BROKER_FAILED, "UNSUPPORTED_FOR_MESSAGE_FORMAT"},
    {44, CLI_BROKER_FAILED, "POLICY_VIOLATION"},
    {56, CLI_BROKER_UNKNOWN, "KAFKA_STORAGE_ERROR"},
    {68, CLI_BROKER_FAILED, "NON_EMPTY_GROUP"},
    {69, CLI_BROKER_FAILED, "GROUP_ID_NOT_FOUND"},
    {74, CLI_BROKER_LATER, "FENCED_LEADER_EPOCH"},
    {76, CLI_BROKER_FAILED, "UNSUPPORTED_COMPRESSION_TYPE"},
    {87, CLI_BROKER_REFUSED, "INVALID_RECORD"},
    {89, CLI_BROKER_LATER, "THROTTLING_QUOTA_EXCEEDED"},
};

/* What is not in the table would be the same next time. */
enum cli_broker_verdict cli_broker_verdict(int16_t code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].verdict;
    return CLI_BROKER_FAILED;
}

const char *cli_broker_code_name(int16_t code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "error";
}

const struct proto_kafka_produce_response_partition *
cli_broker_produced(const struct proto_kafka_produce_response *response)
{
    bool one = response->responses.count == 1 &&
               response->responses.items[0].partition_responses.count == 1;
    return one ? &response->responses.items[0].partition_responses.items[0] : NULL;
}

/* Its place in the table of all. */
static size_t index_of(const struct proto_kafka_api *api)
{
    ASSERT(api >= proto_kafka_apis && api < proto_kafka_apis + PROTO_KAFKA_APIS);
    return (size_t)(api - proto_kafka_apis);
}

/* Keeps the reason, which is a better one than that the connection was closed by us. */
static void fail(struct cli_broker *broker, err_t err)
{
    ASSERT(!err_is_ok(err));
    if (!broker->failed)
        broker->error = err;
    broker->failed = true;
    net_kafka_client_close(broker->client);
}

/* The oldest version that is of use: what Produce carries before that are no batches, and what
 * follows SaslHandshake are no requests. */
static int16_t first_of(const struct proto_kafka_api *api)
{
    if (api->key == PROTO_KAFKA_PRODUCE)
        return PRODUCE_FIRST;
    if (api->key == PROTO_KAFKA_SASL_HANDSHAKE)
        return HANDSHAKE_FIRST;
    return (int16_t)(uint8_t)api->first;
}

/* The highest version that both know; -1 where there is none. */
static int16_t agree(const struct proto_kafka_api *api, int16_t first, int16_t last)
{
    if (last > api->last)
        last = (int16_t)(uint8_t)api->last;
    if (last < first || last < first_of(api))
        return -1;
    return last;
}

static err_t take_versions(struct cli_broker *broker,
                           const struct proto_kafka_api_versions_response *response)
{
    if (response->error_code != 0)
        return err_set(&broker->why, ERR_UNSUPPORTED, "%s answers ApiVersions with %s (%d)",
                       broker->options.address, cli_broker_code_name(response->error_code),
                       response->error_code);
    for (uint32_t i = 0; i < response->api_keys.count; i++) {
        const struct proto_kafka_api_versions_response_api_key *item = &response->api_keys.items[i];
        const struct proto_kafka_api *api = proto_kafka_api(item->api_key);
        if (api)
            broker->versions[index_of(api)] = agree(api, item->min_version, item->max_version);
    }
    return err_ok();
}

static err_t ask_metadata(struct cli_broker *broker)
{
    /* A name that was mistyped must not become a topic. */
    struct proto_kafka_metadata_request request;
    struct proto_kafka_metadata_request_topic topic = {.name = slice_string(broker->options.topic)};
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_METADATA)->request, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    request.allow_auto_topic_creation = false;
    return cli_broker_send(broker, PROTO_KAFKA_METADATA, &request, NULL);
}

/* Every partition has the same leader, and none is missing. */
static err_t take_partitions(struct cli_broker *broker,
                             const struct proto_kafka_metadata_response_topic *topic)
{
    const struct cli_broker_options *options = &broker->options;
    uint32_t count = topic->partitions.count;
    for (uint32_t i = 0; i < count; i++) {
        const struct proto_kafka_metadata_response_partition *item = &topic->partitions.items[i];
        /* Right after a topic was made, and while a leader changes. */
        if (item->leader_id < 0 || cli_broker_verdict(item->error_code) == CLI_BROKER_LATER)
            return err_set(&broker->why, ERR_AGAIN, "partition %d of %s has no leader yet",
                           (int)item->partition_index, options->topic);
        if (item->leader_id != topic->partitions.items[0].leader_id)
            return err_set(&broker->why, ERR_UNSUPPORTED,
                           "%s is led by several brokers; take a topic that one leads",
                           options->topic);
        /* Partitions are counted through from 0 here, so none may be missing among them. */
        if (item->partition_index < 0 || (uint32_t)item->partition_index >= count)
            return err_set(&broker->why, ERR_SYNTAX, "%s tells of a partition %d of %u",
                           options->address, (int)item->partition_index, count);
    }
    broker->partition_count = count;
    return err_ok();
}

static err_t take_metadata(struct cli_broker *broker,
                           const struct proto_kafka_metadata_response *response)
{
    const struct cli_broker_options *options = &broker->options;
    const struct proto_kafka_metadata_response_topic *topic = response->topics.items;
    if (response->topics.count != 1 || !slice_equal_string(topic->name, options->topic))
        return err_set(&broker->why, ERR_SYNTAX, "%s was asked for %s and told of something else",
                       options->address, options->topic);
    /* Told apart from other codes: it is what happens most, and has a remedy. */
    if (topic->error_code == 3)
        return err_set(&broker->why, ERR_NOT_FOUND,
                       "%s has no topic %s; declare it in a contract, or create it",
                       options->address, options->topic);
    if (topic->error_code != 0 || topic->partitions.count == 0) {
        bool later = cli_broker_verdict(topic->error_code) == CLI_BROKER_LATER;
        return err_set(&broker->why, later ? ERR_AGAIN : ERR_INVALID, "%s says of %s: %s (%d)",
                       options->address, options->topic, cli_broker_code_name(topic->error_code),
                       topic->error_code);
    }
    return take_partitions(broker, topic);
}

static err_t become_ready(struct cli_broker *broker)
{
    ASSERT(broker->step < STEP_READY);
    broker->step = STEP_READY;
    broker->events->ready(broker->owner);
    return err_ok();
}

/* Behind the versions, and behind who we are. */
static err_t ask_topic(struct cli_broker *broker)
{
    if (!broker->options.topic)
        return become_ready(broker);
    broker->step = STEP_METADATA;
    return ask_metadata(broker);
}

static err_t ask_handshake(struct cli_broker *broker)
{
    struct proto_kafka_sasl_handshake_request request;
    int16_t version = broker->versions[index_of(proto_kafka_api(PROTO_KAFKA_SASL_HANDSHAKE))];
    /* As brokers were before they could ask. */
    if (version < 0)
        return err_set(&broker->why, ERR_UNSUPPORTED,
                       "%s does not ask who its clients are; leave out --user",
                       broker->options.address);
    cli_login_choose(&broker->login, broker->options.access, &request);
    broker->step = STEP_HANDSHAKE;
    return cli_broker_send(broker, PROTO_KAFKA_SASL_HANDSHAKE, &request, NULL);
}

static err_t send_token(struct cli_broker *broker, const struct buf *token)
{
    const struct proto_kafka_sasl_authenticate_request request = {.auth_bytes = buf_slice(token)};
    broker->step = STEP_LOGIN;
    return cli_broker_send(broker, PROTO_KAFKA_SASL_AUTHENTICATE, &request, NULL);
}

/* The next message of the mechanism goes out, or it is over. */
static err_t take_login(struct cli_broker *broker, const void *response)
{
    struct buf token = {0};
    bool done = false;
    err_t err =
        broker->step == STEP_HANDSHAKE
            ? cli_login_begin(&broker->login, broker->options.loop, response, &token, &broker->why)
            : cli_login_next(&broker->login, response, &token, &done, &broker->why);
    if (err_is_ok(err) && !done)
        err = send_token(broker, &token);
    /* It may hold the password as it is. */
    if (token.size > 0)
        net_tls_wipe(token.data, token.size);
    if (broker->message.size > 0)
        net_tls_wipe(broker->message.data, broker->message.size);
    buf_done(&token);
    if (!err_is_ok(err))
        err_prefix(&broker->why, "%s", broker->options.address);
    if (!err_is_ok(err) || !done)
        return err;
    cli_login_done(&broker->login);
    return ask_topic(broker);
}

/* An answer to what we have asked ourselves. */
static err_t take_step(struct cli_broker *broker, const void *response)
{
    if (broker->step == STEP_VERSIONS) {
        TRY(take_versions(broker, response));
        return broker->options.access->user ? ask_handshake(broker) : ask_topic(broker);
    }
    if (broker->step != STEP_METADATA)
        return take_login(broker, response);
    broker->served = true;
    TRY(take_metadata(broker, response));
    return become_ready(broker);
}

static void on_answer(void *owner, const struct net_kafka_client_answer *answer)
{
    struct cli_broker *broker = owner;
    struct arena arena = {0};
    void *response = arena_alloc(&arena, answer->api->response->size);
    err_t err = response ? err_ok() : err_make(ERR_MEMORY);
    if (err_is_ok(err))
        err = proto_kafka_decode(
            answer->api, answer->api->response, answer->version, answer->message, &arena,
            answer->message.size * MESSAGE_FACTOR + MESSAGE_EXTRA, response, &broker->why);
    /* What is asked before that is ours, and the owner asks nothing before that. */
    if (err_is_ok(err) && broker->step == STEP_READY) {
        broker->served = true;
        broker->events->answer(broker->owner, answer->tag, answer->api, response);
    } else if (err_is_ok(err)) {
        err = take_step(broker, response);
    }
    if (!err_is_ok(err))
        fail(broker, err);
    arena_done(&arena);
}

static void on_ready(void *owner)
{
    struct cli_broker *broker = owner;
    struct proto_kafka_api_versions_request request = {0};
    broker->step = STEP_VERSIONS;
    /* A failure closes the connection, which is where it is dealt with. */
    (void)cli_broker_send(broker, PROTO_KAFKA_API_VERSIONS, &request, NULL);
}

static const char *reason(const struct cli_broker *broker, err_t err)
{
    const struct net_tls_loop *tls = broker->options.access->tls;
    return tls && err_is(err, ERR_INVALID) ? net_tls_loop_why(tls) : cli_door_reason(err);
}

/* What a connection may have been closed for, where its end was all that was said. */
static const char *hint(const struct cli_broker *broker, err_t err)
{
    const struct cli_access *access = broker->options.access;
    /* An alert of TLS, read as a size, is one of hundreds of megabytes. */
    bool other = err_is(err, ERR_CLOSED) || err_is(err, ERR_TOO_LARGE);
    if (access->tls && broker->step == STEP_CONNECT && err_is(err, ERR_CLOSED))
        return " in the TLS handshake, as where there is no TLS: leave out --tls then";
    if (access->tls && err_is(err, ERR_INVALID) && strstr(net_tls_loop_why(access->tls), "trusted"))
        return ", with --cacert";
    if (access->tls && err_is(err, ERR_INVALID) && strstr(net_tls_loop_why(access->tls), "names"))
        return ", or say with --server-name which is meant";
    /* In TLS 1.3 that comes behind the handshake, and its alert may be lost to the close. */
    if (access->tls && broker->step == STEP_VERSIONS && other)
        return ", as by a listener that wants a certificate of its clients; commands have none";
    if (!access->tls && broker->step == STEP_VERSIONS && other)
        return ", as by a listener that has TLS: give --tls then";
    if (!access->user && broker->step >= STEP_METADATA && !broker->served &&
        err_is(err, ERR_CLOSED))
        return ", as by a listener that asks who its clients are: give --user then";
    return "";
}

static void on_closed(void *owner, err_t err)
{
    struct cli_broker *broker = owner;
    if (broker->failed)
        err = broker->error;
    /* A decoder may have said more than the connection does. */
    if (!err_is_ok(err) && !broker->why.text[0]) {
        (void)err_set(&broker->why, (enum err_code)err.code, "%s%s", reason(broker, err),
                      hint(broker, err));
        /* Where there is no broker its address is told by who looked for it. */
        if (cli_door_is_final(err))
            err_prefix(&broker->why, "%s", broker->options.address);
    }
    net_kafka_client_free(&broker->client);
    cli_login_done(&broker->login);
    broker->events->closed(broker->owner, err, &broker->why);
}

static const struct net_kafka_client_events client_events = {
    .ready = on_ready,
    .answer = on_answer,
    .closed = on_closed,
};

err_t cli_broker_open(const struct cli_broker_options *options,
                      const struct cli_broker_events *events, void *owner, struct cli_broker **out,
                      struct err_text *why)
{
    static const struct cli_access nothing;
    const struct cli_access *access = options->access ? options->access : &nothing;
    ASSERT(events && events->ready && events->answer && events->closed);
    struct cli_broker *broker = mem_zalloc(1, sizeof(*broker));
    const struct net_kafka_client_options client = {
        .loop = cli_access_loop(access, options->loop),
        .address = options->address,
        .client_id = "garner",
        .answer_size_max = options->answer_size_max,
        .in_flight_max = options->in_flight_max,
    };
    if (!broker)
        return err_make(ERR_MEMORY);
    broker->options = *options;
    broker->options.access = access;
    broker->events = events;
    broker->owner = owner;
    for (size_t i = 0; i < PROTO_KAFKA_APIS; i++)
        broker->versions[i] = -1;
    /* Asked for before it is known that it is there: all brokers have it. */
    broker->versions[index_of(proto_kafka_api(PROTO_KAFKA_API_VERSIONS))] = 0;
    err_t err = net_kafka_client_new(&client, &client_events, broker, &broker->client, why);
    if (!err_is_ok(err)) {
        mem_free(broker);
        return err;
    }
    *out = broker;
    return err_ok();
}

uint32_t cli_broker_partition_count(const struct cli_broker *broker)
{
    ASSERT(broker->step == STEP_READY);
    return broker->partition_count;
}

bool cli_broker_has_room(const struct cli_broker *broker)
{
    return broker->client && broker->step == STEP_READY &&
           net_kafka_client_has_room(broker->client);
}

/* The api and the version that was agreed on. */
static err_t prepare(struct cli_broker *broker, int16_t key, const struct proto_kafka_api **api,
                     int16_t *version)
{
    *api = proto_kafka_api(key);
    ASSERT(*api && broker->client);
    *version = broker->versions[index_of(*api)];
    if (*version >= 0)
        return err_ok();
    /* Only when it is needed: a broker that cannot fetch may still be written to. */
    err_t err = err_set(&broker->why, ERR_UNSUPPORTED,
                        "%s serves no version of %s that is known here (%d to %d)",
                        broker->options.address, (*api)->name, first_of(*api), (*api)->last);
    fail(broker, err);
    return err;
}

err_t cli_broker_send(struct cli_broker *broker, int16_t key, const void *request, void *tag)
{
    const struct proto_kafka_api *api;
    int16_t version;
    TRY(prepare(broker, key, &api, &version));
    buf_reset(&broker->message);
    proto_kafka_encode(api, api->request, version, request, &broker->message);
    err_t err = buf_error(&broker->message);
    struct slice message = buf_slice(&broker->message);
    if (err_is_ok(err))
        return net_kafka_client_send(broker->client, api, version, &message, 1, false, tag);
    fail(broker, err);
    return err;
}

/* Everything of a produce request but the batch: what goes before it, its size included. */
static err_t encode_around(struct cli_broker *broker, const struct proto_kafka_api *api,
                           int16_t version, const struct cli_broker_produce *produce,
                           size_t *behind)
{
    struct proto_kafka_produce_request request;
    struct proto_kafka_produce_request_topic topic = {.name = slice_string(broker->options.topic)};
    struct proto_kafka_produce_request_partition partition = {.index = (int32_t)produce->partition,
                                                              .records = SLICE_LITERAL("")};
    bool flexible = proto_kafka_is_flexible(api, version);
    uint8_t size[4];
    put_u32be(size, (uint32_t)produce->batch.size);
    proto_kafka_init(api->request, &request);
    request.acks = produce->acks;
    request.timeout_ms = produce->timeout_ms;
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    topic.partition_data.items = &partition;
    topic.partition_data.count = 1;
    buf_reset(&broker->message);
    proto_kafka_encode(api, api->request, version, &request, &broker->message);
    TRY(buf_error(&broker->message));
    /* No tagged fields of partition, topic and request; and the size 0, which is another one. */
    *behind = flexible ? 3 : 0;
    broker->message.size -= *behind + (flexible ? 1 : 4);
    if (flexible)
        buf_add_uvarint(&broker->message, produce->batch.size + 1);
    else
        buf_add(&broker->message, size, sizeof(size));
    return buf_error(&broker->message);
}

err_t cli_broker_produce(struct cli_broker *broker, const struct cli_broker_produce *produce,
                         void *tag)
{
    static const uint8_t no_tags[3];
    const struct proto_kafka_api *api;
    int16_t version;
    size_t behind;
    ASSERT(produce->partition < broker->partition_count && produce->acks != 0);
    TRY(prepare(broker, PROTO_KAFKA_PRODUCE, &api, &version));
    err_t err = encode_around(broker, api, version, produce, &behind);
    if (!err_is_ok(err)) {
        fail(broker, err);
        return err;
    }
    /* Beside the batch and not around a copy of it: it is most of what is sent. */
    const struct slice parts[] = {
        buf_slice(&broker->message),
        produce->batch,
        slice_make(no_tags, behind),
    };
    return net_kafka_client_send(broker->client, api, version, parts, 3, false, tag);
}

void cli_broker_close(struct cli_broker *broker)
{
    if (broker->client)
        net_kafka_client_close(broker->client);
}

void cli_broker_free(struct cli_broker **pointer)
{
    struct cli_broker *broker = *pointer;
    if (!broker)
        return;
    ASSERT(!broker->client);
    buf_done(&broker->message);
    mem_free(broker);
    *pointer = NULL;
}
