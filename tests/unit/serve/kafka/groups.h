#pragma once

/*
 * A Kafka door with members of groups, who speak the protocol over one connection. Random bytes
 * differ each time they are asked for, as ids of members are made of them.
 */

#include "serve/kafka/coordinator.h"
#include "unit/serve/kafka/fixture.h"

typedef struct proto_kafka_join_group_response joined_t;

static inline void groups_random(struct io_loop *loop, void *out, size_t size)
{
    /* The clock moves on with each id. */
    struct fake_loop *fake = fake_of(loop);
    uint64_t ns = ++fake->now_ns;
    memset(out, 0, size);
    memcpy(out, &ns, size < sizeof ns ? size : sizeof ns);
}

static inline struct fixture *groups_new(void)
{
    static const struct fixture_options defaults = {0};
    struct fixture *f = fixture_new_with(&defaults);
    struct io_loop_ops *ops = arena_alloc(&f->arena, sizeof *ops);
    assert_non_null(ops);
    *ops = *f->fakes[0]->loop.ops;
    ops->random = groups_random;
    f->fakes[0]->loop.ops = ops;
    return f;
}

static inline struct fixture *groups_open(void)
{
    struct fixture *f = groups_new();
    fixture_start(f);
    return f;
}

static inline void groups_pass(struct fixture *f, uint64_t ms)
{
    for (size_t i = 0; i < LOOPS; i++)
        fake_advance(f->fakes[i], ms);
    fixture_run(f);
}

static inline struct serve_kafka_entry *groups_find(struct fixture *f, const char *name)
{
    return serve_kafka_coordinator_find(f->kafka->coordinator, slice_string(name));
}

/* What a consumer says that subscribes to one topic of six letters at the most. */
static inline struct proto_kafka_join_group_request
groups_join_request(struct fixture *f, const char *group, struct slice member_id, const char *topic)
{
    struct proto_kafka_join_group_request_protocol *protocol =
        arena_alloc(&f->arena, sizeof *protocol);
    uint8_t *metadata = arena_alloc(&f->arena, 32);
    size_t size = strlen(topic);
    /* version, count of topics, the topic, no more */
    put_u32be(metadata + 2, 1);
    put_u16be(metadata + 6, (uint16_t)size);
    memcpy(metadata + 8, topic, size);
    *protocol = (struct proto_kafka_join_group_request_protocol){
        .name = SLICE_LITERAL("range"), .metadata = slice_make(metadata, 8 + size)};
    struct proto_kafka_join_group_request request = {
        .group_id = slice_string(group),
        .session_timeout_ms = 10000,
        .rebalance_timeout_ms = 60000,
        .member_id = member_id,
        .protocol_type = SLICE_LITERAL("consumer"),
    };
    request.protocols.items = protocol;
    request.protocols.count = 1;
    return request;
}

/* Joins a group in which nobody else is, and is its leader in a generation. */
static inline const joined_t *groups_join_alone(struct fixture *f, const char *group)
{
    struct proto_kafka_join_group_request request =
        groups_join_request(f, group, SLICE_LITERAL(""), "cars");
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    assert_true(fixture_silent(f));
    groups_pass(f, SERVE_KAFKA_GROUP_DELAY_MS);
    const joined_t *joined = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 3);
    assert_int_equal(joined->error_code, 0);
    return joined;
}

/* The code that a sync is answered with; the leader gives itself "mine". */
static inline int16_t groups_sync(struct fixture *f, const char *group, const joined_t *joined)
{
    struct proto_kafka_sync_group_request_assignment assignment = {
        .member_id = joined->member_id, .assignment = SLICE_LITERAL("mine")};
    struct proto_kafka_sync_group_request request = {.group_id = slice_string(group),
                                                     .generation_id = joined->generation_id,
                                                     .member_id = joined->member_id};
    request.assignments.items = &assignment;
    request.assignments.count = 1;
    const struct proto_kafka_sync_group_response *response =
        fixture_ask(f, PROTO_KAFKA_SYNC_GROUP, 3, &request);
    if (response->error_code == 0)
        assert_slice(response->assignment, "mine");
    return response->error_code;
}

static inline int16_t groups_beat(struct fixture *f, const char *group, struct slice member_id,
                                  int32_t generation)
{
    struct proto_kafka_heartbeat_request request = {
        .group_id = slice_string(group), .generation_id = generation, .member_id = member_id};
    const struct proto_kafka_heartbeat_response *response =
        fixture_ask(f, PROTO_KAFKA_HEARTBEAT, 3, &request);
    return response->error_code;
}

static inline int16_t groups_leave(struct fixture *f, const char *group, struct slice member_id)
{
    struct proto_kafka_leave_group_request request = {.group_id = slice_string(group),
                                                      .member_id = member_id};
    const struct proto_kafka_leave_group_response *response =
        fixture_ask(f, PROTO_KAFKA_LEAVE_GROUP, 2, &request);
    return response->error_code;
}

/* The code of a commit of one partition. `joined` NULL: by nobody's member. */
static inline int16_t groups_commit(struct fixture *f, int16_t version, const char *group,
                                    const joined_t *joined, const char *topic, int32_t partition,
                                    int64_t offset)
{
    struct proto_kafka_offset_commit_request_partition part = {.partition_index = partition,
                                                               .committed_offset = offset,
                                                               .committed_leader_epoch = 3,
                                                               .committed_metadata =
                                                                   SLICE_LITERAL("said")};
    struct proto_kafka_offset_commit_request_topic of = {.name = slice_string(topic)};
    struct proto_kafka_offset_commit_request request = {
        .group_id = slice_string(group),
        .generation_id_or_member_epoch = joined ? joined->generation_id : -1,
        .retention_time_ms = -1,
        .member_id = joined ? joined->member_id : SLICE_LITERAL("")};
    of.partitions.items = &part;
    of.partitions.count = 1;
    request.topics.items = &of;
    request.topics.count = 1;
    const struct proto_kafka_offset_commit_response *response =
        fixture_ask(f, PROTO_KAFKA_OFFSET_COMMIT, version, &request);
    assert_int_equal(response->topics.count, 1);
    assert_slice(response->topics.items[0].name, topic);
    assert_int_equal(response->topics.items[0].partitions.items[0].partition_index, partition);
    return response->topics.items[0].partitions.items[0].error_code;
}

/* What the log has of the group; -1: nothing. Topics count from 1 in the order of the fixture. */
static inline int64_t groups_held(struct fixture *f, const char *group, uint32_t topic_id,
                                  uint32_t partition)
{
    struct flow_offsets answer = {.group = slice_string(group)};
    int64_t found = -1;
    assert_true(err_is_ok(log_offsets_answer(&f->offsets, &answer)));
    for (uint32_t i = 0; answer.group_count > 0 && i < answer.groups[0].offset_count; i++) {
        const struct flow_group_offset *offset = &answer.groups[0].offsets[i];
        if (offset->topic_id == topic_id && offset->partition == partition)
            found = offset->offset;
    }
    flow_offsets_done(&answer);
    return found;
}
