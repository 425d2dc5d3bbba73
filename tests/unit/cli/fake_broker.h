#pragma once

/*
 * A Kafka broker that is the test: it keeps what is produced, gives it back, and says what the test
 * wants it to say. It answers bytes with bytes; below stand two ways to put it behind a connection:
 * on a fake loop, and on a thread of its own for commands that block.
 */

#include "base/cursor.h"
#include "flow/batch.h"
#include "io/uv/uv.h"
#include "lib/unit.h"
#include "net/kafka/server.h"
#include "net/listener.h"
#include "proto/kafka/messages.h"
#include "unit/cli/fake_sasl.h"
#include "unit/net/fake_tcp.h"

#define FAKE_PARTITIONS_MAX 8

struct fake_broker {
    const char *topic;
    uint32_t partitions;
    struct buf stored[FAKE_PARTITIONS_MAX]; /* batches, one behind the other */
    int64_t ends[FAKE_PARTITIONS_MAX];
    int64_t starts[FAKE_PARTITIONS_MAX];
    /* What it says, by the request's number of its kind from 1 on; 0: always */
    int16_t versions_code;
    int16_t metadata_code;
    int16_t produce_code;
    unsigned produce_code_first; /* from this one on ... */
    unsigned produce_code_count; /* ... so many times; 0: for ever */
    int16_t fetch_code;
    int16_t offsets_code;
    int64_t by_time;      /* the offset of any time */
    int16_t without;      /* an api's key that it does not tell of; -1: none */
    int16_t produce_last; /* its highest version */
    bool two_leaders;
    bool no_leader;
    bool other_topic;        /* metadata of another one */
    bool two_answers;        /* a produce request is answered for two partitions */
    bool other_parts;        /* offsets and fetches are answered for others */
    uint32_t batch_size_max; /* over it MESSAGE_TOO_LARGE; 0: none */
    const char *refused;     /* records whose value holds it are refused */
    unsigned garble_at; /* the request of all, counted from 1, that is answered with nonsense */
    unsigned close_at;  /* the same, to which there is no answer: the connection closes */
    unsigned silent_at; /* the same, and it stays open; of a peer only */
    unsigned requests;
    unsigned produced; /* produce requests */
    uint64_t records;
    int16_t last_acks;
    int16_t last_version;
    struct fake_sasl *sasl; /* NULL: it asks nobody */
    /* Answers what is not known here; with it the APIs of groups are told of too. */
    void (*more)(struct fake_broker *b, int16_t key, const void *request, void *response,
                 struct arena *arena);
};

static inline struct fake_broker fake_broker_make(const char *topic, uint32_t partitions)
{
    return (struct fake_broker){
        .topic = topic, .partitions = partitions, .without = -1, .produce_last = 11};
}

static inline void fake_broker_done(struct fake_broker *b)
{
    for (int i = 0; i < FAKE_PARTITIONS_MAX; i++)
        buf_done(&b->stored[i]);
}

/* Appends a batch as a log would. */
static inline int64_t fake_broker_store(struct fake_broker *b, int32_t partition,
                                        struct slice batch)
{
    struct flow_batch parsed;
    assert_in_range(partition, 0, b->partitions - 1);
    assert_true(err_is_ok(flow_batch_parse(batch, &parsed)));
    assert_true(err_is_ok(flow_batch_check(&parsed)));
    assert_int_equal(parsed.bytes.size, batch.size);
    struct buf *stored = &b->stored[partition];
    size_t at = stored->size;
    buf_add_slice(stored, batch);
    assert_true(buf_ok(stored));
    flow_batch_set_base_offset(stored->data + at, b->ends[partition]);
    int64_t base = b->ends[partition];
    b->ends[partition] += parsed.record_count;
    b->records += parsed.record_count;
    return base;
}

static inline void fake_broker_versions(struct fake_broker *b,
                                        struct proto_kafka_api_versions_response *out,
                                        struct arena *arena)
{
    out->error_code = b->versions_code;
    out->api_keys.items = arena_alloc(arena, 16 * sizeof(*out->api_keys.items));
    static const int16_t keys[] = {
        PROTO_KAFKA_PRODUCE,       PROTO_KAFKA_FETCH,           PROTO_KAFKA_LIST_OFFSETS,
        PROTO_KAFKA_METADATA,      PROTO_KAFKA_API_VERSIONS,    999,
        PROTO_KAFKA_LIST_GROUPS,   PROTO_KAFKA_DESCRIBE_GROUPS, PROTO_KAFKA_OFFSET_FETCH,
        PROTO_KAFKA_OFFSET_COMMIT, PROTO_KAFKA_DELETE_GROUPS};
    size_t count = b->more ? sizeof(keys) / sizeof(keys[0]) : 6;
    static const int16_t sasl_keys[] = {PROTO_KAFKA_SASL_HANDSHAKE, PROTO_KAFKA_SASL_AUTHENTICATE};
    for (size_t i = 0; b->sasl && i < 2; i++)
        if (sasl_keys[i] != b->without)
            out->api_keys.items[out->api_keys.count++] =
                (struct proto_kafka_api_versions_response_api_key){sasl_keys[i], 0, 99};
    for (size_t i = 0; i < count; i++)
        if (keys[i] != b->without)
            out->api_keys.items[out->api_keys.count++] =
                (struct proto_kafka_api_versions_response_api_key){
                    keys[i], 0, keys[i] == PROTO_KAFKA_PRODUCE ? b->produce_last : 99};
}

static inline void fake_broker_metadata(struct fake_broker *b,
                                        struct proto_kafka_metadata_response *out,
                                        struct arena *arena)
{
    struct proto_kafka_metadata_response_topic *topic = arena_alloc(arena, sizeof(*topic));
    out->topics.items = topic;
    out->topics.count = 1;
    topic->name = slice_string(b->other_topic ? "other" : b->topic);
    topic->error_code = b->metadata_code;
    topic->partitions.items = arena_alloc(arena, 8 * sizeof(*topic->partitions.items));
    topic->partitions.count = b->metadata_code ? 0 : b->partitions;
    for (uint32_t i = 0; i < b->partitions; i++) {
        topic->partitions.items[i].partition_index = (int32_t)i;
        topic->partitions.items[i].leader_id = b->no_leader ? -1 : 1 + (b->two_leaders && i > 0);
    }
}

/* Records that hold the word, by their place. */
static inline void fake_broker_refuse(struct fake_broker *b, struct slice records,
                                      struct proto_kafka_produce_response_partition *out,
                                      struct arena *arena)
{
    struct flow_batch batch;
    struct buf plain = {0};
    struct flow_record record;
    assert_true(err_is_ok(flow_batch_parse(records, &batch)));
    assert_true(err_is_ok(flow_batch_unpack(&batch, 1 << 24, &plain)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    out->record_errors.items =
        arena_alloc(arena, (batch.record_count + 1) * sizeof(*out->record_errors.items));
    for (int32_t i = 0; b->refused && err_is_ok(flow_batch_next(&it, &record)); i++)
        if (memmem(record.value.data, record.value.size, b->refused, strlen(b->refused)))
            out->record_errors.items[out->record_errors.count++] =
                (struct proto_kafka_produce_response_record_error){i, SLICE_LITERAL("not liked")};
    if (out->record_errors.count > 0)
        out->error_code = 87;
    buf_done(&plain);
}

static inline void fake_broker_produced(struct fake_broker *b,
                                        const struct proto_kafka_produce_request *request,
                                        struct proto_kafka_produce_response *out,
                                        struct arena *arena)
{
    b->produced++;
    b->last_acks = request->acks;
    assert_int_equal(request->topic_data.count, 1);
    assert_int_equal(request->topic_data.items[0].partition_data.count, 1);
    const struct proto_kafka_produce_request_partition *asked =
        request->topic_data.items[0].partition_data.items;
    struct proto_kafka_produce_response_topic *topic = arena_alloc(arena, sizeof(*topic));
    struct proto_kafka_produce_response_partition *part = arena_alloc(arena, 2 * sizeof(*part));
    out->responses.items = topic;
    out->responses.count = 1;
    topic->name = request->topic_data.items[0].name;
    topic->partition_responses.items = part;
    topic->partition_responses.count = b->two_answers ? 2 : 1;
    part->index = asked->index;
    bool now =
        b->produce_code_first <= b->produced &&
        (b->produce_code_count == 0 || b->produced < b->produce_code_first + b->produce_code_count);
    part->error_code = now ? b->produce_code : 0;
    if (b->batch_size_max && asked->records.size > b->batch_size_max)
        part->error_code = 10;
    if (part->error_code == 0)
        fake_broker_refuse(b, asked->records, part, arena);
    if (part->error_code == 0)
        part->base_offset = fake_broker_store(b, asked->index, asked->records);
}

static inline void fake_broker_offsets(struct fake_broker *b,
                                       const struct proto_kafka_list_offsets_request *request,
                                       struct proto_kafka_list_offsets_response *out,
                                       struct arena *arena)
{
    const struct proto_kafka_list_offsets_request_topic *asked = request->topics.items;
    struct proto_kafka_list_offsets_response_topic *topic = arena_alloc(arena, sizeof(*topic));
    out->topics.items = topic;
    out->topics.count = 1;
    topic->name = asked->name;
    topic->partitions.items =
        arena_alloc(arena, asked->partitions.count * sizeof(*topic->partitions.items));
    topic->partitions.count = asked->partitions.count;
    for (uint32_t i = 0; i < asked->partitions.count; i++) {
        int32_t index = asked->partitions.items[i].partition_index;
        topic->partitions.items[i] = (struct proto_kafka_list_offsets_response_partition){
            .partition_index = b->other_parts ? index + 100 : index,
            .error_code = b->offsets_code,
            .offset = asked->partitions.items[i].timestamp == -2  ? b->starts[index]
                      : asked->partitions.items[i].timestamp >= 0 ? b->by_time
                                                                  : b->ends[index]};
    }
}

static inline void fake_broker_fetched(struct fake_broker *b,
                                       const struct proto_kafka_fetch_request *request,
                                       struct proto_kafka_fetch_response *out, struct arena *arena)
{
    const struct proto_kafka_fetch_request_topic *asked = request->topics.items;
    struct proto_kafka_fetch_response_topic *topic = arena_alloc(arena, sizeof(*topic));
    out->responses.items = topic;
    out->responses.count = 1;
    topic->topic = asked->topic;
    topic->partitions.items =
        arena_alloc(arena, asked->partitions.count * sizeof(*topic->partitions.items));
    topic->partitions.count = asked->partitions.count;
    for (uint32_t i = 0; i < asked->partitions.count; i++) {
        int32_t index = asked->partitions.items[i].partition;
        struct proto_kafka_fetch_response_partition *part = &topic->partitions.items[i];
        struct slice rest = buf_slice(&b->stored[index]);
        struct flow_batch batch;
        part->partition_index = b->other_parts ? index + 100 : index;
        part->error_code = b->fetch_code;
        while (err_is_ok(flow_batch_parse(rest, &batch)) &&
               batch.base_offset + batch.last_offset_delta <
                   asked->partitions.items[i].fetch_offset)
            rest = slice_sub(rest, batch.bytes.size, rest.size);
        /* Cut where a limit might cut: behind two batches and in the midst of the third. */
        size_t two = 0;
        for (int n = 0; n < 2; n++)
            if (err_is_ok(flow_batch_parse(slice_sub(rest, two, rest.size), &batch)))
                two += batch.bytes.size;
        part->records = slice_sub(rest, 0, two + 30);
    }
}

static inline bool fake_broker_serves(const struct fake_broker *b, int16_t key)
{
    return !b->sasl || b->sasl->done || key == PROTO_KAFKA_API_VERSIONS ||
           key == PROTO_KAFKA_SASL_HANDSHAKE || key == PROTO_KAFKA_SASL_AUTHENTICATE;
}

/* Answers a request; false: the connection is to close. */
static inline bool fake_broker_answer(struct fake_broker *b, struct slice request, struct buf *out)
{
    struct proto_kafka_request_header header;
    struct arena arena = {0};
    assert_true(err_is_ok(proto_kafka_read_header(&request, &header, NULL)));
    assert_true(slice_equal_string(header.client_id, "garner"));
    const struct proto_kafka_api *api = proto_kafka_api(header.key);
    assert_non_null(api);
    void *message = arena_alloc(&arena, api->request->size);
    void *response = arena_alloc(&arena, api->response->size);
    assert_true(err_is_ok(proto_kafka_decode(api, api->request, header.version, request, &arena,
                                             64u << 20, message, NULL)));
    b->requests++;
    b->last_version = header.version;
    bool answered = b->requests != b->close_at && fake_broker_serves(b, header.key);
    if (answered) {
        proto_kafka_init(api->response, response);
        switch (header.key) {
        case PROTO_KAFKA_API_VERSIONS: fake_broker_versions(b, response, &arena); break;
        case PROTO_KAFKA_METADATA: fake_broker_metadata(b, response, &arena); break;
        case PROTO_KAFKA_PRODUCE: fake_broker_produced(b, message, response, &arena); break;
        case PROTO_KAFKA_LIST_OFFSETS: fake_broker_offsets(b, message, response, &arena); break;
        case PROTO_KAFKA_FETCH: fake_broker_fetched(b, message, response, &arena); break;
        case PROTO_KAFKA_SASL_HANDSHAKE:
            fake_sasl_handshake(b->sasl, message, response, &arena);
            break;
        case PROTO_KAFKA_SASL_AUTHENTICATE:
            fake_sasl_authenticate(b->sasl, message, response, &arena);
            break;
        default: assert_non_null(b->more); b->more(b, header.key, message, response, &arena);
        }
        proto_kafka_write_response_header(api, header.version, header.correlation_id, out);
        if (b->requests == b->garble_at)
            buf_add_string(out, "\xff\xff\xff\xff\xff");
        else
            proto_kafka_encode(api, api->response, header.version, response, out);
        assert_true(buf_ok(out));
    }
    arena_done(&arena);
    return answered;
}

/* Answers what has been written on every connection of the fake loop, until nothing more is. */
static inline void fake_broker_serve(struct fake_broker *b, struct fake_loop *fake)
{
    bool any = true;
    fake_run(fake);
    while (any) {
        any = false;
        for (int i = 0; i < fake->tcp_count; i++) {
            struct io_tcp *tcp = fake->tcps[i];
            if (tcp->closed || tcp->ended || tcp->out.size < 4)
                continue;
            uint8_t *data = (uint8_t *)tcp->out.data;
            uint32_t size = get_u32be(data);
            struct buf answer = {0};
            uint8_t length[4];
            assert_true(tcp->out.size >= 4 + (size_t)size);
            if (fake_broker_answer(b, slice_make(data + 4, size), &answer)) {
                put_u32be(length, (uint32_t)answer.size);
                fake_send(tcp, length, 4);
                fake_send(tcp, answer.data, answer.size);
            } else {
                fake_end(tcp, ERR_END);
            }
            tcp->out.size -= 4 + (size_t)size;
            memmove(data, data + 4 + size, tcp->out.size);
            buf_done(&answer);
            any = true;
        }
        fake_run(fake);
    }
}

/* The same behind a port, on a thread of its own. */
struct broker_peer {
    struct fake_broker broker;
    struct io_loop *loop;
    struct net_kafka_server *server;
    struct net_listener *listener;
    struct net_kafka_request *held; /* without an answer, until its client has gone */
    struct task stop;
    struct task stop_server;
    char address[64];
};

static inline enum net_kafka_intake broker_peer_size(void *owner, struct net_kafka_request *request,
                                                     uint32_t size)
{
    (void)owner;
    (void)request;
    (void)size;
    return NET_KAFKA_READ;
}

static inline void broker_peer_request(void *owner, struct net_kafka_request *request,
                                       struct slice bytes)
{
    struct broker_peer *peer = owner;
    struct buf answer = {0};
    if (peer->broker.requests + 1 == peer->broker.silent_at)
        peer->held = request;
    else if (fake_broker_answer(&peer->broker, bytes, &answer))
        net_kafka_reply(request, &answer);
    else
        net_kafka_refuse(request);
}

static inline void broker_peer_ignore(void *owner, struct net_kafka_request *request)
{
    (void)owner;
    (void)request;
}

static inline void broker_peer_gone(void *owner, struct net_kafka_request *request)
{
    struct broker_peer *peer = owner;
    assert_ptr_equal(request, peer->held);
    net_kafka_refuse(request);
}

static inline void broker_peer_close(void *owner, void *session)
{
    (void)owner;
    (void)session;
}

static const struct net_kafka_handler broker_peer_handler = {
    .on_size = broker_peer_size,
    .on_request = broker_peer_request,
    .on_abort = broker_peer_ignore,
    .on_gone = broker_peer_gone,
    .on_close = broker_peer_close,
};

static inline void broker_peer_adopt(void *owner, struct io_socket socket)
{
    struct broker_peer *peer = owner;
    net_kafka_server_adopt(peer->server, socket);
}

static inline void broker_peer_over(void *owner)
{
    struct broker_peer *peer = owner;
    io_uv_loop_stop(peer->loop);
}

static inline void broker_peer_stop_server(struct task *task)
{
    struct broker_peer *peer = CONTAINER_OF(task, struct broker_peer, stop_server);
    net_kafka_server_stop(peer->server, 0, broker_peer_over, peer);
}

static inline void broker_peer_deaf(void *owner)
{
    struct broker_peer *peer = owner;
    io_post(peer->loop, &peer->stop_server);
}

static inline void broker_peer_stop(struct task *task)
{
    struct broker_peer *peer = CONTAINER_OF(task, struct broker_peer, stop);
    net_listener_stop(peer->listener, broker_peer_deaf, peer);
}

/* Listens on a free port; `broker` is set before. */
static inline void broker_peer_begin(struct broker_peer *peer)
{
    struct err_text why = {0};
    peer->stop.run = broker_peer_stop;
    peer->stop_server.run = broker_peer_stop_server;
    assert_true(err_is_ok(io_uv_loop_new(&peer->loop)));
    assert_true(err_is_ok(
        net_kafka_server_new(peer->loop, NULL, &broker_peer_handler, peer, &peer->server)));
    struct net_listener_target target = {peer->loop, broker_peer_adopt, peer};
    assert_true(
        err_is_ok(net_listener_new(peer->loop, "127.0.0.1:0", &target, 1, &peer->listener, &why)));
    snprintf(peer->address, sizeof(peer->address), "127.0.0.1:%u",
             net_listener_port(peer->listener));
    assert_true(err_is_ok(io_uv_loop_start(peer->loop, "peer")));
}

/* Ends its thread; what it keeps can be looked at from here on. */
static inline void broker_peer_end(struct broker_peer *peer)
{
    io_post(peer->loop, &peer->stop);
    io_uv_loop_join(peer->loop);
    net_listener_free(&peer->listener);
    net_kafka_server_free(&peer->server);
    io_uv_loop_free(&peer->loop);
}
