#include "base/hash.h"
#include "unit/serve/kafka/fixture.h"

typedef struct proto_kafka_produce_response response_t;
typedef struct proto_kafka_produce_response_partition answer_t;

/* A request of one batch to each of the partitions of "cars" and one to "planes". */
struct ask {
    struct proto_kafka_produce_request_partition parts[3];
    struct proto_kafka_produce_request_topic topics[2];
    struct proto_kafka_produce_request request;
};

static void ask_init(struct ask *ask, struct fixture *f)
{
    *ask = (struct ask){
        .parts = {{0, fixture_batch(f, "a", 2)},
                  {1, fixture_batch(f, "b", 3)},
                  {0, fixture_batch(f, "c", 1)}},
        .topics = {{.name = SLICE_LITERAL("cars")}, {.name = SLICE_LITERAL("planes")}},
        .request = {.acks = -1, .timeout_ms = 1000},
    };
    ask->topics[0].partition_data.items = ask->parts;
    ask->topics[0].partition_data.count = 2;
    ask->topics[1].partition_data.items = ask->parts + 2;
    ask->topics[1].partition_data.count = 1;
    ask->request.topic_data.items = ask->topics;
    ask->request.topic_data.count = 2;
}

static const answer_t *part_of(const response_t *response, uint32_t part)
{
    assert_int_equal(response->responses.count, 2);
    assert_slice(response->responses.items[0].name, "cars");
    assert_slice(response->responses.items[1].name, "planes");
    return part < 2 ? &response->responses.items[0].partition_responses.items[part]
                    : &response->responses.items[1].partition_responses.items[0];
}

/* The log has committed the i-th of those submitted. */
static void commit(struct fixture *f, size_t i, int64_t base_offset)
{
    assert_true(i < f->submitted_count);
    f->submitted[i]->base_offset = base_offset;
    f->submitted[i]->accepted = 1;
    f->submitted[i]->done(f->submitted[i]);
    fixture_run(f);
}

static void fail_with(struct fixture *f, size_t i, enum err_code code)
{
    f->submitted[i]->error = err_make(code);
    commit(f, i, -1);
}

static void assert_code(const answer_t *answer, int16_t code)
{
    assert_int_equal(answer->error_code, code);
    if (code != SERVE_KAFKA_NONE)
        assert_int_equal(answer->base_offset, -1);
}

static void the_answer_comes_when_the_last_batch_is_committed(void **state)
{
    (void)state;
    for (int16_t acks = -1; acks <= 1; acks = (int16_t)(acks + 2)) {
        struct fixture *f = fixture_open(NULL);
        struct ask ask;
        ask_init(&ask, f);
        ask.request.acks = acks;
        fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
        assert_int_equal(f->submitted_count, 3);
        assert_int_equal(f->submitted[1]->partition, 1);
        assert_true(slice_equal(f->submitted[1]->body, ask.parts[1].records));
        commit(f, 2, 30);
        commit(f, 0, 10);
        assert_true(fixture_silent(f));
        commit(f, 1, 20);
        const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, 9);
        for (uint32_t i = 0; i < 3; i++) {
            assert_code(part_of(response, i), SERVE_KAFKA_NONE);
            assert_int_equal(part_of(response, i)->base_offset, 10 * (i + 1));
            assert_int_equal(part_of(response, i)->log_append_time_ms, -1);
        }
        fixture_free(f);
    }
}

static void every_version_that_carries_batches_is_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    for (int16_t version = 3; version <= 11; version++) {
        struct ask ask;
        ask_init(&ask, f);
        ask.request.topic_data.count = 1;
        ask.topics[0].partition_data.count = 1;
        f->submitted_count = 0;
        fixture_send(f, PROTO_KAFKA_PRODUCE, version, &ask.request);
        commit(f, 0, version);
        const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, version);
        const answer_t *answer = &response->responses.items[0].partition_responses.items[0];
        assert_int_equal(answer->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(answer->base_offset, version);
        assert_int_equal(answer->current_leader.leader_id, -1);
        assert_int_equal(answer->current_leader.leader_epoch, -1);
    }
    fixture_free(f);
}

/* Also what is there for anybody to see that it is not, and is of format 2 in itself. */
static void versions_that_carry_none_are_refused_by_name(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    for (int16_t version = 0; version <= 2; version++) {
        struct ask ask;
        ask_init(&ask, f);
        ask.topics[1].name = SLICE_LITERAL("nowhere");
        ask.parts[1].records = slice_make(NULL, 0);
        fixture_send(f, PROTO_KAFKA_PRODUCE, version, &ask.request);
        const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, version);
        assert_int_equal(response->responses.count, 2);
        assert_slice(response->responses.items[1].name, "nowhere");
        for (uint32_t i = 0; i < 3; i++) {
            const struct proto_kafka_produce_response_topic *topic =
                &response->responses.items[i / 2];
            const answer_t *answer = &topic->partition_responses.items[i % 2];
            assert_code(answer, SERVE_KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT);
            assert_int_equal(answer->index, ask.parts[i].index);
        }
        assert_int_equal(f->submitted_count, 0);
        assert_false(fixture_tcp(f)->closed);
    }
    /* With acks=0 the end of the connection is the only word that there is. */
    struct ask ask;
    ask_init(&ask, f);
    ask.request.acks = 0;
    fixture_send(f, PROTO_KAFKA_PRODUCE, 2, &ask.request);
    assert_true(fixture_silent(f));
    assert_true(fixture_tcp(f)->closed);
    fixture_free(f);
}

static void without_acks_there_is_no_answer(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    ask.request.acks = 0;
    fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    for (size_t i = 0; i < 3; i++)
        commit(f, i, 0);
    assert_true(fixture_silent(f));
    assert_false(fixture_tcp(f)->closed);
    /* The next request's answer is the next that comes. */
    f->answered++;
    const struct proto_kafka_api_versions_request versions = {0};
    fixture_ask(f, PROTO_KAFKA_API_VERSIONS, 0, &versions);
    fixture_free(f);
}

static void without_acks_a_failure_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    ask.request.acks = 0;
    fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    commit(f, 0, 0);
    fail_with(f, 1, ERR_LOG_FULL);
    assert_false(fixture_tcp(f)->closed);
    commit(f, 2, 0);
    assert_true(fixture_silent(f));
    assert_true(fixture_tcp(f)->closed);
    fixture_free(f);
}

static void acks_that_there_are_not_are_refused(void **state)
{
    (void)state;
    static const int16_t acks[] = {2, -2, INT16_MAX, INT16_MIN};
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    for (size_t i = 0; i < 4; i++) {
        ask.request.acks = acks[i];
        const response_t *response = fixture_ask(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
        for (uint32_t part = 0; part < 3; part++)
            assert_code(part_of(response, part), SERVE_KAFKA_INVALID_REQUIRED_ACKS);
    }
    assert_int_equal(f->submitted_count, 0);
    fixture_free(f);
}

static void one_partition_that_fails_leaves_the_others_alone(void **state)
{
    (void)state;
    static const struct {
        enum err_code err;
        int16_t code;
    } failures[] = {
        {ERR_LOG_FULL, SERVE_KAFKA_KAFKA_STORAGE_ERROR},
        {ERR_BUSY, SERVE_KAFKA_KAFKA_STORAGE_ERROR},
        {ERR_MEMORY, SERVE_KAFKA_KAFKA_STORAGE_ERROR},
        {ERR_FENCED, SERVE_KAFKA_REQUEST_TIMED_OUT},
        {ERR_NOT_FOUND, SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {ERR_TOO_LARGE, SERVE_KAFKA_MESSAGE_TOO_LARGE},
        /* Its CRC was right, so it was sent like that. */
        {ERR_CORRUPT, SERVE_KAFKA_INVALID_RECORD},
        {ERR_UNSUPPORTED, SERVE_KAFKA_UNSUPPORTED_COMPRESSION_TYPE},
    };
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        struct fixture *f = fixture_open(NULL);
        struct ask ask;
        ask_init(&ask, f);
        fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
        commit(f, 0, 10);
        fail_with(f, 1, failures[i].err);
        commit(f, 2, 30);
        const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, 9);
        assert_int_equal(part_of(response, 0)->base_offset, 10);
        assert_code(part_of(response, 1), failures[i].code);
        assert_int_equal(part_of(response, 2)->base_offset, 30);
        /* What will be tried again is held back for a moment. */
        assert_int_equal(response->throttle_time_ms, i < 4 ? 100 : 0);
        fixture_free(f);
    }
}

/* Sends the first partition's records changed by `change`, and gives its code. */
static int16_t code_of(struct fixture *f, int16_t version, struct slice records)
{
    struct ask ask;
    ask_init(&ask, f);
    ask.request.topic_data.count = 1;
    ask.topics[0].partition_data.count = 1;
    ask.parts[0].records = records;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_PRODUCE, version, &ask.request);
    return response->responses.items[0].partition_responses.items[0].error_code;
}

/* A batch with this byte (from the header) changed, and a CRC that fits. */
static struct slice changed(struct fixture *f, size_t at, uint8_t byte)
{
    struct slice batch = fixture_batch(f, "value", 2);
    uint8_t *bytes = (uint8_t *)(uintptr_t)batch.data;
    bytes[at] = byte;
    put_u32be(bytes + 17, crc32c(0, batch.data + 21, batch.size - 21));
    return batch;
}

static void the_old_formats_are_refused_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    for (int16_t version = 3; version <= 11; version++)
        for (uint8_t magic = 0; magic <= 1; magic++)
            assert_int_equal(code_of(f, version, changed(f, 16, magic)),
                             SERVE_KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT);
    assert_int_equal(f->submitted_count, 0);
    fixture_free(f);
}

static void what_no_log_could_hold_is_refused_by_its_header(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct {
        struct slice records;
        int16_t code;
    } lies[] = {
        {slice_make(NULL, 0), SERVE_KAFKA_INVALID_RECORD},
        {SLICE_LITERAL(""), SERVE_KAFKA_INVALID_RECORD},
        {SLICE_LITERAL("no batch"), SERVE_KAFKA_INVALID_RECORD},
        {slice_sub(fixture_batch(f, "cut", 1), 0, 60), SERVE_KAFKA_INVALID_RECORD},
        {changed(f, 16, 3), SERVE_KAFKA_INVALID_RECORD},    /* magic */
        {changed(f, 7, 1), SERVE_KAFKA_INVALID_RECORD},     /* base offset */
        {changed(f, 8, 0x7f), SERVE_KAFKA_INVALID_RECORD},  /* length: 2^31 */
        {changed(f, 8, 0xff), SERVE_KAFKA_INVALID_RECORD},  /* and less than nothing */
        {changed(f, 11, 1), SERVE_KAFKA_INVALID_RECORD},    /* and less than a header */
        {changed(f, 57, 0x7f), SERVE_KAFKA_INVALID_RECORD}, /* count */
        {changed(f, 57, 0xff), SERVE_KAFKA_INVALID_RECORD},
        {changed(f, 23, 0xff), SERVE_KAFKA_INVALID_RECORD}, /* last offset delta */
        {changed(f, 22, 0x10), SERVE_KAFKA_INVALID_RECORD}, /* of a transaction */
        {changed(f, 22, 0x20), SERVE_KAFKA_INVALID_RECORD}, /* control batch */
        {changed(f, 22, 0x08), SERVE_KAFKA_INVALID_TIMESTAMP},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        int16_t code = code_of(f, 9, lies[i].records);
        if (code != lies[i].code)
            print_error("row %zu\n", i);
        assert_int_equal(code, lies[i].code);
    }
    /* Two batches, or something behind one. */
    struct buf two = {0};
    buf_add_slice(&two, fixture_batch(f, "one", 1));
    buf_add_byte(&two, 0);
    assert_int_equal(code_of(f, 9, buf_slice(&two)), SERVE_KAFKA_INVALID_RECORD);
    two.size--;
    buf_add_slice(&two, fixture_batch(f, "two", 1));
    assert_int_equal(code_of(f, 9, buf_slice(&two)), SERVE_KAFKA_INVALID_RECORD);
    buf_done(&two);
    assert_int_equal(f->submitted_count, 0);
    fixture_free(f);
}

static void a_crc_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct slice batch = fixture_batch(f, "value", 2);
    for (size_t at = 17; at < batch.size; at += 7) {
        uint8_t *bytes = (uint8_t *)(uintptr_t)batch.data;
        bytes[at] ^= 1;
        int16_t code = code_of(f, 9, batch);
        assert_true(code == SERVE_KAFKA_CORRUPT_MESSAGE || code == SERVE_KAFKA_INVALID_RECORD);
        bytes[at] ^= 1;
    }
    assert_int_equal(f->submitted_count, 0);
    fixture_free(f);
}

static void a_batch_over_the_limit_is_too_large(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct fixture_options){.message_bytes_max = 100});
    char value[100] = {0};
    memset(value, 'x', sizeof(value) - 1);
    assert_int_equal(code_of(f, 9, fixture_batch(f, value, 1)), SERVE_KAFKA_MESSAGE_TOO_LARGE);
    struct ask ask;
    ask_init(&ask, f);
    fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    assert_int_equal(f->submitted_count, 3);
    for (size_t i = 0; i < 3; i++)
        commit(f, i, 0);
    fixture_answer(f, PROTO_KAFKA_PRODUCE, 9);
    fixture_free(f);
}

static void zstd_is_taken_from_version_7_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    assert_int_equal(code_of(f, 6, changed(f, 22, FLOW_CODEC_ZSTD)),
                     SERVE_KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    fixture_free(f);
}

/* The flags of a frame's header stand behind its magic number, in the batch's byte 65. */
static struct slice lz4_batch(struct fixture *f, uint8_t flags)
{
    struct slice batch = changed(f, 65, flags);
    uint8_t *bytes = (uint8_t *)(uintptr_t)batch.data;
    bytes[22] = FLOW_CODEC_LZ4;
    put_u32be(bytes + 17, crc32c(0, batch.data + 21, batch.size - 21));
    return batch;
}

static void lz4_that_java_cannot_read_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    /* Blocks that depend on each other, and on a dictionary. */
    assert_int_equal(code_of(f, 9, lz4_batch(f, 0x40)), SERVE_KAFKA_INVALID_RECORD);
    assert_int_equal(code_of(f, 9, lz4_batch(f, 0x61)), SERVE_KAFKA_INVALID_RECORD);
    assert_int_equal(f->submitted_count, 0);
    struct ask ask;
    ask_init(&ask, f);
    ask.request.topic_data.count = 1;
    ask.topics[0].partition_data.count = 1;
    ask.parts[0].records = lz4_batch(f, 0x60);
    fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    assert_int_equal(f->submitted_count, 1);
    commit(f, 0, 0);
    fixture_answer(f, PROTO_KAFKA_PRODUCE, 9);
    fixture_free(f);
}

static void where_nothing_can_be_put_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    ask.parts[0].index = -1;
    ask.topics[0].partition_data.count = 1;
    ask.topics[1].name = SLICE_LITERAL("nothing");
    const response_t *response = fixture_ask(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    assert_int_equal(response->responses.items[0].partition_responses.items[0].error_code,
                     SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(response->responses.items[1].partition_responses.items[0].error_code,
                     SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    /* A client has asked for its topic before. */
    const struct proto_kafka_metadata_request metadata = {0};
    fixture_ask(f, PROTO_KAFKA_METADATA, 5, &metadata);
    ask.topics[1].name = SLICE_LITERAL("cars.dlq");
    response = fixture_ask(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    assert_int_equal(response->responses.items[1].partition_responses.items[0].error_code,
                     SERVE_KAFKA_INVALID_TOPIC);
    fixture_free(f);
}

static void what_a_contract_refuses_is_named_by_its_place(void **state)
{
    (void)state;
    for (int16_t version = 7; version <= 9; version++) {
        struct fixture *f = fixture_open(NULL);
        struct ask ask;
        ask_init(&ask, f);
        fixture_send(f, PROTO_KAFKA_PRODUCE, version, &ask.request);
        commit(f, 0, 10);
        struct flow_inlet_request *inlet = f->submitted[1];
        inlet->refused = 3;
        flow_inlet_add_error(inlet, 0, "schema", SLICE_LITERAL("/n: expected integer"));
        flow_inlet_add_error(inlet, 2, "json", SLICE_LITERAL("ends too early"));
        commit(f, 1, -1);
        commit(f, 2, 30);
        const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, version);
        const answer_t *answer = part_of(response, 1);
        assert_code(answer, SERVE_KAFKA_INVALID_RECORD);
        assert_int_equal(answer->record_errors.count, version >= 8 ? 2 : 0);
        if (version >= 8) {
            assert_int_equal(answer->record_errors.items[0].batch_index, 0);
            assert_int_equal(answer->record_errors.items[1].batch_index, 2);
            assert_slice(answer->record_errors.items[0].batch_index_error_message,
                         "/n: expected integer");
            assert_slice(answer->error_message, "refused by the contract of the topic");
        }
        assert_code(part_of(response, 0), SERVE_KAFKA_NONE);
        fixture_free(f);
    }
}

static void a_batch_of_which_nothing_was_appended_has_no_offset(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    for (size_t i = 0; i < 3; i++)
        commit(f, i, -1);
    const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, 9);
    assert_code(part_of(response, 0), SERVE_KAFKA_NONE);
    assert_int_equal(part_of(response, 0)->base_offset, -1);
    fixture_free(f);
}

static void requests_on_one_connection_are_committed_and_answered_in_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    ask.request.topic_data.count = 1;
    ask.topics[0].partition_data.count = 1;
    for (int i = 0; i < 5; i++)
        fixture_put(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    fixture_run(f);
    assert_int_equal(f->submitted_count, 5);
    for (size_t i = 5; i > 1; i--)
        commit(f, i - 1, (int64_t)i - 1);
    assert_true(fixture_silent(f));
    commit(f, 0, 0);
    for (int64_t i = 0; i < 5; i++) {
        const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, 9);
        assert_int_equal(response->responses.items[0].partition_responses.items[0].base_offset, i);
    }
    fixture_free(f);
}

static void a_peer_that_goes_does_not_take_back_what_it_sent(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    fake_end(fixture_tcp(f), ERR_CLOSED);
    fixture_run(f);
    for (size_t i = 0; i < 3; i++)
        commit(f, i, 0);
    assert_true(fixture_silent(f));
    fixture_free(f);
}

static void nothing_to_produce_is_answered(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    ask.request.topic_data.count = 0;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
    assert_int_equal(response->responses.count, 0);
    fixture_free(f);
}

static struct fixture *prepare(void)
{
    return fixture_open(NULL);
}

static void check(struct fixture *f, void *response)
{
    assert_int_equal(f->submitted_count, 0);
    assert_code(part_of(response, 0), SERVE_KAFKA_INVALID_REQUIRED_ACKS);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct ask ask;
    ask_init(&ask, f);
    ask.request.acks = 7;
    /* As many as make the answer take memory of its own. */
    struct proto_kafka_produce_request_partition parts[200];
    for (size_t i = 0; i < 200; i++)
        parts[i] = ask.parts[0];
    ask.topics[0].partition_data.items = parts;
    ask.topics[0].partition_data.count = 200;
    fixture_each_allocation(prepare, PROTO_KAFKA_PRODUCE, 9, &ask.request, check);
    fixture_free(f);
}

/* Of the last batch that was handed over; the request itself keeps it no longer. */
static struct flow_inlet_once handed_once;
static bool handed_has_once;

static void submit_and_keep(struct flow_inlet *inlet, struct flow_inlet_request *request)
{
    handed_has_once = request->once;
    if (request->once)
        handed_once = *request->once;
    fixture_submit(inlet, request);
}

static const struct flow_inlet_ops keeping_ops = {.topic = fixture_topic,
                                                  .submit = submit_and_keep};

/* A batch of two records with this producer; sent to the second partition of "cars". */
static void send_sequenced(struct fixture *f, int64_t producer_id, int16_t epoch, int32_t first)
{
    struct ask ask;
    ask_init(&ask, f);
    struct slice batch = fixture_batch(f, "value", 2);
    uint8_t *bytes = (uint8_t *)(uintptr_t)batch.data;
    put_u64be(bytes + 43, (uint64_t)producer_id);
    put_u16be(bytes + 51, (uint16_t)epoch);
    put_u32be(bytes + 53, (uint32_t)first);
    put_u32be(bytes + 17, crc32c(0, batch.data + 21, batch.size - 21));
    ask.request.topic_data.count = 1;
    ask.topics[0].partition_data.count = 1;
    ask.parts[0] = (struct proto_kafka_produce_request_partition){1, batch};
    f->inlets[0].ops = &keeping_ops;
    f->submitted_count = 0;
    fixture_send(f, PROTO_KAFKA_PRODUCE, 9, &ask.request);
}

static const answer_t *sequenced_answer(struct fixture *f)
{
    const response_t *response = fixture_answer(f, PROTO_KAFKA_PRODUCE, 9);
    return &response->responses.items[0].partition_responses.items[0];
}

static void a_producers_numbers_are_handed_over(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    send_sequenced(f, INT64_MAX, 3, INT32_MAX);
    assert_true(handed_has_once);
    assert_int_equal(handed_once.kind, FLOW_REQUEST_SEQUENCED);
    assert_true(handed_once.batch.producer_id == INT64_MAX);
    assert_int_equal(handed_once.batch.partition, 1);
    assert_int_equal(handed_once.batch.epoch, 3);
    assert_int_equal(handed_once.batch.first, INT32_MAX);
    assert_int_equal(handed_once.batch.count, 2);
    commit(f, 0, 5);
    assert_int_equal(sequenced_answer(f)->base_offset, 5);
    /* Without an id there are none. */
    send_sequenced(f, -1, -1, -1);
    assert_false(handed_has_once);
    commit(f, 0, 7);
    assert_int_equal(sequenced_answer(f)->base_offset, 7);
    fixture_free(f);
}

static void numbers_that_there_are_not_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    send_sequenced(f, 1, -1, 0);
    assert_code(sequenced_answer(f), SERVE_KAFKA_INVALID_RECORD);
    send_sequenced(f, 1, 0, -1);
    assert_code(sequenced_answer(f), SERVE_KAFKA_INVALID_RECORD);
    assert_int_equal(f->submitted_count, 0);
    fixture_free(f);
}

static void what_does_not_follow_is_told_as_kafka_does(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    send_sequenced(f, 1, 0, 0);
    f->submitted[0]->expected = INT32_MAX;
    fail_with(f, 0, ERR_SEQUENCE_GAP);
    const answer_t *gap = sequenced_answer(f);
    assert_code(gap, 45);
    assert_slice(gap->error_message,
                 "a batch before this one is missing: sequence number 2147483647 comes next");
    send_sequenced(f, 1, 0, 0);
    f->submitted[0]->forgotten = true;
    commit(f, 0, -1);
    assert_code(sequenced_answer(f), SERVE_KAFKA_DUPLICATE_SEQUENCE_NUMBER);
    send_sequenced(f, 1, 0, 0);
    fail_with(f, 0, ERR_PRODUCER_EPOCH);
    assert_code(sequenced_answer(f), 47);
    /* Nothing of it was appended, and it is there. */
    send_sequenced(f, 1, 0, 0);
    commit(f, 0, -1);
    assert_code(sequenced_answer(f), SERVE_KAFKA_NONE);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_comes_when_the_last_batch_is_committed),
        cmocka_unit_test(every_version_that_carries_batches_is_served),
        cmocka_unit_test(versions_that_carry_none_are_refused_by_name),
        cmocka_unit_test(without_acks_there_is_no_answer),
        cmocka_unit_test(without_acks_a_failure_ends_the_connection),
        cmocka_unit_test(acks_that_there_are_not_are_refused),
        cmocka_unit_test(one_partition_that_fails_leaves_the_others_alone),
        cmocka_unit_test(the_old_formats_are_refused_in_every_version),
        cmocka_unit_test(what_no_log_could_hold_is_refused_by_its_header),
        cmocka_unit_test(a_crc_that_does_not_fit_is_refused),
        cmocka_unit_test(a_batch_over_the_limit_is_too_large),
        cmocka_unit_test(zstd_is_taken_from_version_7_on),
        cmocka_unit_test(lz4_that_java_cannot_read_is_refused),
        cmocka_unit_test(where_nothing_can_be_put_is_told),
        cmocka_unit_test(what_a_contract_refuses_is_named_by_its_place),
        cmocka_unit_test(a_batch_of_which_nothing_was_appended_has_no_offset),
        cmocka_unit_test(requests_on_one_connection_are_committed_and_answered_in_order),
        cmocka_unit_test(a_peer_that_goes_does_not_take_back_what_it_sent),
        cmocka_unit_test(nothing_to_produce_is_answered),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_producers_numbers_are_handed_over),
        cmocka_unit_test(numbers_that_there_are_not_are_refused),
        cmocka_unit_test(what_does_not_follow_is_told_as_kafka_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
