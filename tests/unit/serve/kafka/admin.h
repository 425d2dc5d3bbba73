#pragma once

/*
 * The Kafka door on a fake loop, with one client, before a log that tells of two topics and a
 * maker of topics that keeps what it is asked for: "cars" (two partitions) has a contract, "made"
 * (three) is open. What is asked of the maker is answered by the test's own function, or with
 * success.
 */

#include "base/alloc.h"
#include "base/cursor.h"
#include "lib/unit.h"
#include "serve/kafka/kafka_int.h"
#include "unit/net/fake_tcp.h"

struct admin {
    struct fake_loop *fake;
    struct flow_inlet inlet;
    struct flow_credit credit;
    struct flow_log log;
    struct flow_topics topics;
    struct flow_topics_change asked; /* the last one, without its items */
    err_t first_error;               /* of its first item, as it came */
    unsigned changes;
    void (*answer)(struct flow_topics_change *change); /* fills in the items; NULL: all is well */
    struct serve_kafka *kafka;
    struct arena arena;
    int32_t sent;
    int32_t answered;
    size_t taken;
    unsigned stopped;
};

static const struct flow_topic_config admin_cars = {
    .retention_ms = 86400000, .retention_bytes = 1001, .codec = FLOW_CODEC_ZSTD};
static const struct flow_topic_config admin_made = {.retention_ms = 5000,
                                                    .retention_bytes = 100,
                                                    .open = true,
                                                    .given = FLOW_TOPIC_RETENTION_MS |
                                                             FLOW_TOPIC_RETENTION_BYTES};

static inline const struct flow_inlet_topic *admin_topic(struct flow_inlet *inlet,
                                                         struct slice name)
{
    (void)inlet;
    (void)name;
    return NULL;
}

static const struct flow_inlet_ops admin_inlet_ops = {.topic = admin_topic};

static inline void admin_snapshot_home(struct task *task)
{
    struct flow_snapshot *snapshot = CONTAINER_OF(task, struct flow_snapshot, task);
    snapshot->done(snapshot);
}

static inline void admin_snapshot(struct flow_log *log, struct flow_snapshot *snapshot)
{
    (void)log;
    static const struct {
        const char *name;
        uint32_t partition_count;
        const struct flow_topic_config *config;
    } known[] = {{"cars", 2, &admin_cars}, {"made", 3, &admin_made}};
    arena_init(&snapshot->arena, 0);
    memset(&snapshot->log_uuid, 7, sizeof(snapshot->log_uuid));
    snapshot->topics = arena_alloc(&snapshot->arena, 2 * sizeof(*snapshot->topics));
    snapshot->error = err_make(snapshot->topics ? ERR_OK : ERR_MEMORY);
    for (uint32_t i = 0; snapshot->topics && i < 2; i++) {
        struct flow_topic_state *topic = &snapshot->topics[snapshot->topic_count++];
        topic->id = i + 1;
        topic->name = known[i].name;
        topic->partition_count = known[i].partition_count;
        topic->config = *known[i].config;
    }
    snapshot->task.run = admin_snapshot_home;
    io_post(snapshot->home, &snapshot->task);
}

static inline void admin_offsets_home(struct task *task)
{
    struct flow_offsets *offsets = CONTAINER_OF(task, struct flow_offsets, task);
    offsets->done(offsets);
}

/* No group has committed anything. */
static inline void admin_offsets(struct flow_log *log, struct flow_offsets *offsets)
{
    (void)log;
    arena_init(&offsets->arena, 0);
    offsets->task.run = admin_offsets_home;
    io_post(offsets->home, &offsets->task);
}

static const struct flow_log_ops admin_log_ops = {.snapshot = admin_snapshot,
                                                  .offsets = admin_offsets};

static inline void admin_change_home(struct task *task)
{
    struct flow_topics_change *change = CONTAINER_OF(task, struct flow_topics_change, task);
    change->done(change);
}

static inline void admin_change(struct flow_topics *topics, struct flow_topics_change *change)
{
    struct admin *a = CONTAINER_OF(topics, struct admin, topics);
    a->asked = *change;
    a->asked.items = NULL;
    a->first_error = change->item_count > 0 ? change->items[0].error : err_ok();
    a->changes++;
    if (a->answer)
        a->answer(change);
    change->task.run = admin_change_home;
    io_post(change->home, &change->task);
}

static inline struct admin *admin_open_with(uint64_t credit, bool auto_create)
{
    struct admin *a = calloc(1, sizeof(*a));
    struct err_text why = {0};
    assert_non_null(a);
    a->fake = fake_loop_new();
    a->inlet.ops = &admin_inlet_ops;
    a->log.ops = &admin_log_ops;
    a->topics.change = admin_change;
    flow_credit_init(&a->credit, "kafka", credit);
    struct serve_kafka_loop loop = {&a->fake->loop, &a->inlet, &a->credit, 1 << 20};
    struct serve_kafka_options options = {
        .address = "127.0.0.1:0",
        .log = &a->log,
        .topics = &a->topics,
        .auto_create = auto_create,
        .partitions = 4,
        .loops = &loop,
        .loop_count = 1,
    };
    assert_true(err_is_ok(serve_kafka_new(&options, &a->kafka)));
    assert_true(err_is_ok(serve_kafka_start(a->kafka, &why)));
    a->fake->listener->events->accepted(a->fake->listener->owner, (struct io_socket){.fd = 0});
    fake_run(a->fake);
    return a;
}

static inline struct admin *admin_open(void)
{
    return admin_open_with(1 << 20, false);
}

static inline void admin_stopped(void *owner)
{
    ((struct admin *)owner)->stopped++;
}

/* Stops, checks that nothing is left, frees. */
static inline void admin_done(struct admin *a)
{
    serve_kafka_stop(a->kafka, 0, admin_stopped, a);
    fake_run(a->fake);
    struct io_listener *listener = a->fake->listener;
    if (listener && listener->closed) {
        listener->events->closed(listener->owner);
        free(listener);
        a->fake->listener = NULL;
    }
    for (int i = 0; i < 5; i++) {
        fake_advance(a->fake, 1000);
        fake_run(a->fake);
    }
    assert_int_equal(a->stopped, 1);
    serve_kafka_free(&a->kafka);
    assert_int_equal(a->credit.used_bytes, 0);
    fake_loop_free(a->fake);
    arena_done(&a->arena);
    free(a);
}

static inline void admin_send(struct admin *a, int16_t key, int16_t version, const void *request)
{
    const struct proto_kafka_api *api = proto_kafka_api(key);
    const struct proto_kafka_request_header header = {key, version, a->sent++,
                                                      SLICE_LITERAL("test")};
    struct buf out = {0};
    buf_add(&out, "size", 4);
    proto_kafka_write_request_header(api, &header, &out);
    proto_kafka_encode(api, api->request, version, request, &out);
    assert_true(buf_ok(&out));
    put_u32be(out.data, (uint32_t)(out.size - 4));
    fake_send(a->fake->tcps[0], out.data, out.size);
    buf_done(&out);
}

static inline bool admin_silent(const struct admin *a)
{
    return a->fake->tcps[0]->out.size == a->taken;
}

/* The next answer, which has come, to the next request; until the end. */
static inline void *admin_answer(struct admin *a, int16_t key, int16_t version)
{
    const struct proto_kafka_api *api = proto_kafka_api(key);
    struct io_tcp *tcp = a->fake->tcps[0];
    struct slice out = slice_sub(slice_make(tcp->out.data, tcp->out.size), a->taken, SIZE_MAX);
    assert_true(out.size >= 8);
    size_t size = get_u32be(out.data);
    assert_true(out.size >= 4 + size);
    a->taken += 4 + size;
    assert_int_equal(get_u32be(out.data + 4), a->answered++);
    size_t header = proto_kafka_is_flexible(api, version) ? 5 : 4;
    struct slice bytes = arena_slice(&a->arena, slice_sub(out, 4 + header, size - header));
    void *response = arena_alloc(&a->arena, api->response->size);
    struct err_text why = {0};
    assert_true(err_is_ok(proto_kafka_decode(api, api->response, version, bytes, &a->arena,
                                             (size_t)64 << 20, response, &why)));
    return response;
}

static inline void *admin_ask(struct admin *a, int16_t key, int16_t version, const void *request)
{
    admin_send(a, key, version, request);
    fake_run(a->fake);
    return admin_answer(a, key, version);
}

/* Asks again and again on doors of their own, each time with another allocation that fails: the
 * client has its answer, or its connection is closed. */
static inline void admin_each_allocation(int16_t key, int16_t version, const void *request)
{
    bool failed = true;
    unsigned closed = 0;
    for (uint64_t n = 1; failed; n++) {
        struct admin *a = admin_open_with(1 << 20, true);
        admin_send(a, key, version, request);
        mem_fail_after(n);
        fake_run(a->fake);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        closed += a->fake->tcps[0]->closed;
        if (!admin_silent(a))
            admin_answer(a, key, version);
        else
            assert_true(failed && a->fake->tcps[0]->closed);
        admin_done(a);
    }
    assert_true(closed > 0);
}

static inline void assert_text(struct slice text, const char *part)
{
    const char *found = text.size ? memmem(text.data, text.size, part, strlen(part)) : NULL;
    if (!found)
        fail_msg("no \"%s\" in \"%.*s\"", part, SLICE_PRINTF(text));
}
