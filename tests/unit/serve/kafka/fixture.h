#pragma once

/*
 * The Kafka door on two fake loops, between a client that speaks the protocol, an inlet that keeps
 * requests until the test answers them, and a log in memory. There are the topics "cars" (two
 * partitions), "planes" (one) and "cars.dlq", which takes nothing from outside. Each loop has one
 * connection; tests use the first loop's unless they say otherwise.
 */

#include "base/alloc.h"
#include "flow/batch.h"
#include "lib/unit.h"
#include "log/offsets.h"
#include "serve/kafka/kafka_int.h"
#include "unit/net/fake_tcp.h"

#define LOOPS 2
#define TOPICS 3
#define PARTITIONS 2
#define BATCHES 100
#define SUBMITTED_MAX 16

struct fixture_partition {
    int64_t start_offset;
    int64_t end_offset;
    struct slice batches[BATCHES];
    int64_t ends[BATCHES];
    uint32_t batch_count;
    err_t read_error;
};

struct fixture {
    struct fake_loop *fakes[LOOPS];
    struct flow_inlet inlets[LOOPS];
    struct flow_credit credits[LOOPS];
    struct serve_kafka *kafka;
    struct arena arena; /* of answers and batches */
    int32_t sent;       /* correlation ids of requests, and of the answers that came */
    int32_t answered;
    size_t taken; /* bytes of the first connection's answers */
    unsigned stopped;
    /* The inlet. */
    struct flow_inlet_request *submitted[SUBMITTED_MAX];
    size_t submitted_count;
    /* The log. */
    struct flow_log log;
    struct fixture_partition partitions[TOPICS][PARTITIONS];
    bool deleted[TOPICS];
    bool hold_snapshots;
    struct flow_snapshot *held;
    enum err_code snapshot_error;
    unsigned snapshots;
    struct list waiting; /* reads */
    bool hold_reads;     /* those that come are kept in `kept` */
    struct list kept;
    unsigned reads;
    unsigned reads_held;
    int64_t find_offset; /* what finds answer */
    int64_t find_timestamp_ms;
    enum err_code find_error;
    int64_t find_wanted; /* the last one */
    struct log_offsets offsets;
    enum err_code offsets_error;
    bool hold_offsets;
    struct flow_offsets *offsets_held;
    enum err_code commit_error;
    unsigned commits;
};

static const char *const fixture_names[TOPICS] = {"cars", "planes", "cars.dlq"};
static const uint32_t fixture_counts[TOPICS] = {2, 1, 1};
static const char fixture_topics[TOPICS];
static char fixture_lease; /* its address is every lease */

/* The inlet: its topic is a byte's address. */

static inline const struct flow_inlet_topic *fixture_topic(struct flow_inlet *inlet,
                                                           struct slice name)
{
    (void)inlet;
    for (size_t i = 0; i < 2; i++)
        if (slice_equal_string(name, fixture_names[i]))
            return (const struct flow_inlet_topic *)(const void *)&fixture_topics[i];
    return NULL;
}

static inline void fixture_submit(struct flow_inlet *inlet, struct flow_inlet_request *request)
{
    struct fixture *f = CONTAINER_OF(inlet, struct fixture, inlets[0]);
    assert_true(f->submitted_count < SUBMITTED_MAX);
    assert_string_equal(request->source, "kafka");
    assert_int_equal(request->framing, FLOW_FRAMING_BATCH);
    f->submitted[f->submitted_count++] = request;
}

static const struct flow_inlet_ops fixture_inlet_ops = {.topic = fixture_topic,
                                                        .submit = fixture_submit};

/* The log. */

static inline struct fixture *fixture_of(struct flow_log *log)
{
    return CONTAINER_OF(log, struct fixture, log);
}

#include "unit/serve/kafka/fixture_reads.h"

static inline bool fixture_snapshot_topics(struct fixture *f, struct flow_snapshot *s)
{
    s->topics = arena_alloc(&s->arena, TOPICS * sizeof(*s->topics));
    for (uint32_t i = 0; s->topics && i < TOPICS; i++) {
        if (f->deleted[i])
            continue;
        struct flow_topic_state *topic = &s->topics[s->topic_count++];
        topic->id = i + 1;
        topic->name = fixture_names[i];
        topic->partition_count = fixture_counts[i];
        topic->start_offset = arena_alloc(&s->arena, PARTITIONS * sizeof(int64_t));
        topic->end_offset = arena_alloc(&s->arena, PARTITIONS * sizeof(int64_t));
        if (!topic->start_offset || !topic->end_offset)
            return false;
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            topic->start_offset[p] = f->partitions[i][p].start_offset;
            topic->end_offset[p] = f->partitions[i][p].end_offset;
        }
    }
    return s->topics;
}

static inline void fixture_snapshot_home(struct task *task)
{
    struct flow_snapshot *snapshot = CONTAINER_OF(task, struct flow_snapshot, task);
    snapshot->done(snapshot);
}

/* The moment of a snapshot that is held is that at which it is let go. */
static inline void fixture_snapshot_answer(struct fixture *f, struct flow_snapshot *snapshot)
{
    f->held = NULL;
    snapshot->error = err_make(f->snapshot_error);
    arena_init(&snapshot->arena, 0);
    memset(&snapshot->log_uuid, 7, sizeof(snapshot->log_uuid));
    if (err_is_ok(snapshot->error) && !fixture_snapshot_topics(f, snapshot))
        snapshot->error = err_make(ERR_MEMORY);
    snapshot->task.run = fixture_snapshot_home;
    io_post(snapshot->home, &snapshot->task);
}

static inline void fixture_snapshot(struct flow_log *log, struct flow_snapshot *snapshot)
{
    struct fixture *f = fixture_of(log);
    f->snapshots++;
    assert_null(f->held);
    if (f->hold_snapshots)
        f->held = snapshot;
    else
        fixture_snapshot_answer(f, snapshot);
}

static inline void fixture_find_home(struct task *task)
{
    struct flow_find *find = CONTAINER_OF(task, struct flow_find, task);
    find->done(find);
}

static inline void fixture_find(struct flow_log *log, struct flow_find *find)
{
    struct fixture *f = fixture_of(log);
    f->find_wanted = find->timestamp_ms;
    find->error = err_make(f->find_error);
    find->offset = f->find_offset;
    find->found_timestamp_ms = f->find_timestamp_ms;
    find->task.run = fixture_find_home;
    io_post(find->home, &find->task);
}

#include "unit/serve/kafka/fixture_offsets.h"

static const struct flow_log_ops fixture_log_ops = {.commit = fixture_commit,
                                                    .offsets = fixture_offsets,
                                                    .read = fixture_read,
                                                    .cancel = fixture_cancel,
                                                    .release = fixture_release,
                                                    .snapshot = fixture_snapshot,
                                                    .find = fixture_find};

/* Appends a batch and answers who waits for it. */
static inline void fixture_append_bytes(struct fixture *f, uint32_t topic, uint32_t partition,
                                        struct slice bytes, uint32_t records)
{
    struct fixture_partition *p = &f->partitions[topic][partition];
    assert_true(p->batch_count < BATCHES);
    p->batches[p->batch_count] = bytes;
    p->end_offset += records;
    p->ends[p->batch_count++] = p->end_offset;
    LIST_EACH_SAFE (link, &f->waiting) {
        struct flow_read *read = CONTAINER_OF(link, struct flow_read, link);
        if (read->topic_id == topic + 1 && read->partition == partition) {
            list_remove(link);
            fixture_read(&f->log, read);
        }
    }
}

/* A batch of records with this value, in the arena. */
static inline struct slice fixture_batch(struct fixture *f, const char *value, uint32_t records)
{
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    for (uint32_t i = 0; i < records; i++)
        assert_true(err_is_ok(flow_batch_builder_add(&builder, 1000 + i, slice_make(NULL, 0),
                                                     slice_string(value), NULL, 0)));
    struct slice bytes = arena_slice(&f->arena, flow_batch_builder_finish(&builder));
    flow_batch_builder_done(&builder);
    return bytes;
}

static inline struct slice fixture_append(struct fixture *f, uint32_t topic, uint32_t partition,
                                          const char *value, uint32_t records)
{
    struct slice bytes = fixture_batch(f, value, records);
    fixture_append_bytes(f, topic, partition, bytes, records);
    return bytes;
}

/* The door. */

struct fixture_options {
    uint64_t credit;
    uint64_t fetch_bytes_max;
    size_t message_bytes_max;
    const char *advertised;
    struct net_kafka_limits *limits;
};

static inline struct fixture *fixture_new_with(const struct fixture_options *with)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct serve_kafka_loop loops[LOOPS];
    assert_non_null(f);
    list_init(&f->waiting);
    list_init(&f->kept);
    log_offsets_init(&f->offsets, 1);
    f->log.ops = &fixture_log_ops;
    for (size_t i = 0; i < LOOPS; i++) {
        f->fakes[i] = fake_loop_new();
        f->inlets[i].ops = &fixture_inlet_ops;
        flow_credit_init(&f->credits[i], "kafka", with->credit ? with->credit : 1 << 20);
        loops[i] = (struct serve_kafka_loop){&f->fakes[i]->loop, &f->inlets[i], &f->credits[i],
                                             with->fetch_bytes_max ? with->fetch_bytes_max
                                                                   : (uint64_t)64 << 20};
    }
    struct serve_kafka_options options = {
        .address = "127.0.0.1:0",
        .advertised = with->advertised,
        .log = &f->log,
        .loops = loops,
        .loop_count = LOOPS,
        .message_bytes_max = with->message_bytes_max,
        .limits = with->limits,
    };
    assert_true(err_is_ok(serve_kafka_new(&options, &f->kafka)));
    return f;
}

static inline void fixture_run(struct fixture *f)
{
    for (int round = 0; round < 4; round++)
        for (size_t i = 0; i < LOOPS; i++)
            fake_run(f->fakes[i]);
}

/* Listens and takes a connection on each loop, in turn. */
static inline void fixture_start(struct fixture *f)
{
    struct err_text why = {0};
    assert_true(err_is_ok(serve_kafka_start(f->kafka, &why)));
    struct io_listener *listener = f->fakes[0]->listener;
    for (struct io_socket socket = {.peer = "192.0.2.7"}; socket.fd < LOOPS; socket.fd++)
        listener->events->accepted(listener->owner, socket);
    fixture_run(f);
}

static inline struct fixture *fixture_open(const struct fixture_options *with)
{
    static const struct fixture_options defaults = {0};
    struct fixture *f = fixture_new_with(with ? with : &defaults);
    fixture_start(f);
    return f;
}

static inline struct io_tcp *fixture_tcp(struct fixture *f)
{
    return f->fakes[0]->tcps[0];
}

static inline void fixture_stopped(void *owner)
{
    struct fixture *f = owner;
    f->stopped++;
}

/* Lets what was asked to stop get there. */
static inline void fixture_settle(struct fixture *f)
{
    fixture_run(f);
    struct io_listener *listener = f->fakes[0]->listener;
    if (listener && listener->closed) {
        listener->events->closed(listener->owner);
        free(listener);
        f->fakes[0]->listener = NULL;
    }
    for (int i = 0; i < 5; i++) {
        for (size_t j = 0; j < LOOPS; j++)
            fake_advance(f->fakes[j], 1000);
        fixture_run(f);
    }
}

/* Stops, checks that nothing is left, frees. */
static inline void fixture_free(struct fixture *f)
{
    if (!f->stopped) {
        serve_kafka_stop(f->kafka, 0, fixture_stopped, f);
        fixture_settle(f);
    }
    assert_true(list_empty(&f->kept));
    assert_int_equal(f->stopped, 1);
    for (size_t i = 0; i < LOOPS; i++)
        assert_int_equal(f->kafka->doors[i].fetch_bytes, 0);
    serve_kafka_free(&f->kafka);
    assert_null(f->kafka);
    assert_int_equal(f->reads_held, 0);
    assert_true(list_empty(&f->waiting));
    for (size_t i = 0; i < LOOPS; i++) {
        assert_int_equal(f->credits[i].used_bytes, 0);
        assert_true(list_empty(&f->credits[i].waiters));
        assert_int_equal(f->fakes[i]->timer_count, 0);
        fake_loop_free(f->fakes[i]);
    }
    arena_done(&f->arena);
    log_offsets_done(&f->offsets);
    free(f);
}

/* The client. */

static inline struct buf fixture_request_bytes(struct fixture *f, int16_t key, int16_t version,
                                               const void *request)
{
    const struct proto_kafka_api *api = proto_kafka_api(key);
    const struct proto_kafka_request_header header = {key, version, f->sent++,
                                                      SLICE_LITERAL("test")};
    struct buf out = {0};
    buf_add(&out, "size", 4);
    proto_kafka_write_request_header(api, &header, &out);
    proto_kafka_encode(api, api->request, version, request, &out);
    assert_true(buf_ok(&out));
    put_u32be(out.data, (uint32_t)(out.size - 4));
    return out;
}

/* Puts a request on the way, which is taken by the next run. */
static inline void fixture_put(struct fixture *f, int16_t key, int16_t version, const void *request)
{
    struct buf bytes = fixture_request_bytes(f, key, version, request);
    fake_send(fixture_tcp(f), bytes.data, bytes.size);
    buf_done(&bytes);
}

static inline void fixture_send(struct fixture *f, int16_t key, int16_t version,
                                const void *request)
{
    fixture_put(f, key, version, request);
    fixture_run(f);
}

/* True while all answers that came have been taken. */
static inline bool fixture_silent(struct fixture *f)
{
    return fixture_tcp(f)->out.size == f->taken;
}

/* The next answer, which has come, to the next request; until the fixture is freed. */
static inline void *fixture_answer(struct fixture *f, int16_t key, int16_t version)
{
    const struct proto_kafka_api *api = proto_kafka_api(key);
    struct io_tcp *tcp = fixture_tcp(f);
    struct slice out = slice_sub(slice_make(tcp->out.data, tcp->out.size), f->taken, SIZE_MAX);
    assert_true(out.size >= 8);
    size_t size = get_u32be(out.data);
    assert_true(out.size >= 4 + size);
    f->taken += 4 + size;
    assert_int_equal(get_u32be(out.data + 4), f->answered++);
    size_t header =
        proto_kafka_is_flexible(api, version) && key != PROTO_KAFKA_API_VERSIONS ? 5 : 4;
    struct slice bytes = arena_slice(&f->arena, slice_sub(out, 4 + header, size - header));
    void *response = arena_alloc(&f->arena, api->response->size);
    struct err_text why = {0};
    err_t err = proto_kafka_decode(api, api->response, version, bytes, &f->arena, SIZE_MAX / 2,
                                   response, &why);
    assert_string_equal(why.text, "");
    assert_true(err_is_ok(err));
    return response;
}

static inline void *fixture_ask(struct fixture *f, int16_t key, int16_t version,
                                const void *request)
{
    fixture_send(f, key, version, request);
    return fixture_answer(f, key, version);
}

/* Sends the request `times`, each time with another allocation that fails, on a door of its own
 * that `prepare` has made; the connection either has its answer, which `check` looks at, or is
 * closed without one. */
static inline void fixture_each_allocation(struct fixture *(*prepare)(void), int16_t key,
                                           int16_t version, const void *request,
                                           void (*check)(struct fixture *f, void *response))
{
    bool failed = true;
    unsigned closed = 0;
    for (uint64_t n = 1; failed; n++) {
        struct fixture *f = prepare();
        fixture_put(f, key, version, request);
        mem_fail_after(n);
        fixture_run(f);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        closed += fixture_tcp(f)->closed;
        assert_true(fixture_tcp(f)->closed == fixture_silent(f));
        if (!fixture_silent(f))
            check(f, fixture_answer(f, key, version));
        else
            assert_true(failed);
        fixture_free(f);
    }
    assert_true(closed > 0);
}
