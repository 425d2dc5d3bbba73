#include "serve/kafka/coordinator.h"

#include <stdlib.h>

#include "base/assert.h"

/*
 * OffsetFetch: the log is asked, group by group, so that what is answered is what is durable; the
 * coordinator has no part in it. A partition without an offset, of whatever topic, is answered with
 * -1, from which clients take their own start.
 *
 * Before version 8 a request is of one group, and has its topics in another place.
 */

#define MANY_GROUPS 8 /* from this version on */
/* A request that names large groups, or one many times, gets so much and no more. */
#define ANSWER_BYTES_MAX ((size_t)64 << 20)

struct asking {
    struct serve_kafka_call *call;
    struct proto_kafka_offset_fetch_response response;
    struct proto_kafka_offset_fetch_request_group *groups; /* what is asked, in one shape */
    struct flow_offsets *answers;
    uint32_t count;
    uint32_t at;
    size_t bytes;
};

/* By topic and partition: to find one, and to tell topics one after the other. */
static int compare(const void *a, const void *b)
{
    const struct flow_group_offset *x = a;
    const struct flow_group_offset *y = b;
    if (x->topic_id != y->topic_id)
        return x->topic_id < y->topic_id ? -1 : 1;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

/* Sorted, since both may have thousands. */
static const struct flow_group_offset *find(const struct flow_group *group, uint32_t topic_id,
                                            int32_t partition)
{
    struct flow_group_offset key = {.topic_id = topic_id, .partition = (uint32_t)partition};
    if (!group || topic_id == 0 || partition < 0)
        return NULL;
    return bsearch(&key, group->offsets, group->offset_count, sizeof(key), compare);
}

/* Never null for metadata, which some clients take for an error. */
static struct proto_kafka_offset_fetch_response_group_partition
answer_of(int32_t partition, const struct flow_group_offset *offset)
{
    return (struct proto_kafka_offset_fetch_response_group_partition){
        .partition_index = partition,
        .committed_offset = offset ? offset->offset : -1,
        .committed_leader_epoch = offset ? offset->leader_epoch : -1,
        .metadata = offset && offset->metadata.size > 0 ? offset->metadata : SLICE_LITERAL(""),
    };
}

/* One more than needed: of nothing NULL would be taken for no memory. */
static bool make_partitions(struct asking *asking,
                            struct proto_kafka_offset_fetch_response_group_topic *out,
                            uint32_t count)
{
    out->partitions.items =
        arena_alloc(&asking->call->arena, (count + 1u) * sizeof(*out->partitions.items));
    out->partitions.count = 0;
    return out->partitions.items;
}

static bool fill_asked(struct asking *asking, uint32_t index, const struct flow_group *group,
                       struct proto_kafka_offset_fetch_response_group_topic *topics)
{
    const struct proto_kafka_offset_fetch_request_group *asked = &asking->groups[index];
    for (uint32_t t = 0; t < asked->topics.count; t++) {
        const struct proto_kafka_offset_fetch_request_group_topic *want = &asked->topics.items[t];
        const struct flow_topic_state *topic =
            serve_kafka_view_topic(&asking->call->door->view, want->name);
        topics[t].name = want->name;
        if (!make_partitions(asking, &topics[t], want->partition_indexes.count))
            return false;
        for (uint32_t p = 0; p < want->partition_indexes.count; p++) {
            int32_t partition = want->partition_indexes.items[p];
            topics[t].partitions.items[p] =
                answer_of(partition, find(group, topic ? topic->id : 0, partition));
        }
        topics[t].partitions.count = want->partition_indexes.count;
    }
    return true;
}

/* All that the group has, topic by topic, of topics that are there. Returns how many, or -1. */
static int64_t fill_all(struct asking *asking, const struct flow_group *group,
                        struct proto_kafka_offset_fetch_response_group_topic *topics)
{
    const struct serve_kafka_view *view = &asking->call->door->view;
    struct proto_kafka_offset_fetch_response_group_topic whole = {0};
    uint32_t last_id = 0;
    int64_t count = 0;
    /* One run of answers, of which each topic has a piece. */
    if (!make_partitions(asking, &whole, group ? group->offset_count : 0))
        return -1;
    for (uint32_t i = 0; group && i < group->offset_count; i++) {
        const struct flow_group_offset *offset = &group->offsets[i];
        if (offset->topic_id != last_id) {
            const struct flow_topic_state *topic =
                view->valid ? flow_snapshot_topic_by_id(&view->snapshot, offset->topic_id) : NULL;
            /* Deleted between the two answers. */
            if (!topic)
                continue;
            topics[count].name = slice_string(topic->name);
            topics[count].partitions.items = whole.partitions.items + i;
            last_id = offset->topic_id;
            count++;
        }
        struct proto_kafka_offset_fetch_response_group_topic *out = &topics[count - 1];
        out->partitions.items[out->partitions.count++] =
            answer_of((int32_t)offset->partition, offset);
    }
    return count;
}

static bool fill_group(struct asking *asking, uint32_t index,
                       struct proto_kafka_offset_fetch_response_group *out)
{
    ASSERT(asking->groups && asking->answers && out);
    const struct proto_kafka_offset_fetch_request_group *asked = &asking->groups[index];
    struct flow_offsets *answer = &asking->answers[index];
    struct flow_group *group = answer->group_count > 0 ? answer->groups : NULL;
    bool all = !asked->topics.items;
    const struct serve_kafka_view *view = &asking->call->door->view;
    uint32_t count = all ? (group ? group->offset_count : 0) : asked->topics.count;
    out->group_id = asked->group_id;
    /* Not "come again", which clients would do for ever. */
    if (!serve_kafka_is_group(asked->group_id)) {
        out->error_code = SERVE_KAFKA_INVALID_GROUP_ID;
        return true;
    }
    /* A topic that is only not known here would be one without offsets, and read from its start. */
    if (!err_is_ok(answer->error) || !view->valid || view->stale) {
        out->error_code = SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
        return true;
    }
    struct proto_kafka_offset_fetch_response_group_topic *topics =
        arena_alloc(&asking->call->arena, (count + 1u) * sizeof(*topics));
    if (!topics)
        return false;
    if (group)
        qsort(group->offsets, group->offset_count, sizeof(*group->offsets), compare);
    int64_t filled = count;
    if (all)
        filled = fill_all(asking, group, topics);
    else if (!fill_asked(asking, index, group, topics))
        filled = -1;
    out->topics.items = topics;
    out->topics.count = filled > 0 ? (uint32_t)filled : 0;
    return filled >= 0;
}

/* The shape of before version 8: the same fields, in structs of another name. */
static bool make_old(struct asking *asking,
                     const struct proto_kafka_offset_fetch_response_group *group)
{
    struct proto_kafka_offset_fetch_response *out = &asking->response;
    struct arena *arena = &asking->call->arena;
    out->error_code = group->error_code;
    out->topics.items = arena_alloc(arena, (group->topics.count + 1u) * sizeof(*out->topics.items));
    if (!out->topics.items)
        return false;
    out->topics.count = group->topics.count;
    for (uint32_t t = 0; t < group->topics.count; t++) {
        const struct proto_kafka_offset_fetch_response_group_topic *from = &group->topics.items[t];
        struct proto_kafka_offset_fetch_response_topic *to = &out->topics.items[t];
        uint32_t count = from->partitions.count;
        to->name = from->name;
        to->partitions.items = arena_alloc(arena, (count + 1u) * sizeof(*to->partitions.items));
        if (!to->partitions.items)
            return false;
        to->partitions.count = count;
        for (uint32_t p = 0; p < count; p++)
            to->partitions.items[p] = (struct proto_kafka_offset_fetch_response_partition){
                .partition_index = from->partitions.items[p].partition_index,
                .committed_offset = from->partitions.items[p].committed_offset,
                .committed_leader_epoch = from->partitions.items[p].committed_leader_epoch,
                .metadata = from->partitions.items[p].metadata,
            };
    }
    return true;
}

/* When all groups are there, and not one by one: names are in a view that may change meanwhile. */
static bool fill(struct asking *asking)
{
    struct proto_kafka_offset_fetch_response_group *groups =
        arena_alloc(&asking->call->arena, (asking->count + 1u) * sizeof(*groups));
    if (!groups)
        return false;
    for (uint32_t i = 0; i < asking->count; i++)
        if (!fill_group(asking, i, &groups[i]))
            return false;
    asking->response.groups.items = groups;
    asking->response.groups.count = asking->count;
    return asking->call->header.version >= MANY_GROUPS || make_old(asking, groups);
}

/* Half an answer would be taken for all there is: without memory the connection ends. */
static void finish(struct asking *asking)
{
    struct serve_kafka_call *call = asking->call;
    bool filled = fill(asking);
    /* The answer points into what the log has said, until it is encoded. */
    if (filled)
        serve_kafka_encode(call, &asking->response);
    for (uint32_t i = 0; i < asking->count; i++)
        flow_offsets_done(&asking->answers[i]);
    serve_kafka_reply_encoded(call);
}

static void ask_next(struct asking *asking);

/* What it takes counts against the limit of the whole answer. */
static void answered(struct flow_offsets *answer)
{
    struct asking *asking = answer->owner;
    asking->bytes += answer->arena.size;
    asking->at++;
    ask_next(asking);
}

/* One after the other: the log answers a copy of a group, and two are as much as is wanted at once.
 */
static void ask_next(struct asking *asking)
{
    struct serve_kafka_door *door = asking->call->door;
    ASSERT(asking->groups && asking->answers);
    while (asking->at < asking->count) {
        struct slice group = asking->groups[asking->at].group_id;
        struct flow_offsets *answer = &asking->answers[asking->at];
        *answer = (struct flow_offsets){.error = err_make(ERR_BUSY)};
        if (serve_kafka_is_group(group) && asking->bytes < ANSWER_BYTES_MAX) {
            *answer = (struct flow_offsets){
                .home = door->loop, .done = answered, .owner = asking, .group = group};
            flow_log_offsets(door->kafka->log, answer);
            return;
        }
        asking->at++;
    }
    finish(asking);
}

/* What is asked, in the shape of version 8. */
/* Without a copy: the two structs are the same but for their names. */
static void take_old(const struct proto_kafka_offset_fetch_request *request,
                     struct proto_kafka_offset_fetch_request_group *out)
{
    out->group_id = request->group_id;
    out->topics.count = request->topics.count;
    _Static_assert(sizeof(struct proto_kafka_offset_fetch_request_topic) ==
                       sizeof(struct proto_kafka_offset_fetch_request_group_topic),
                   "both are a name and an array of numbers");
    out->topics.items = (void *)request->topics.items;
}

static void viewed(struct serve_kafka_call *call)
{
    const struct proto_kafka_offset_fetch_request *request = call->message;
    bool many = call->header.version >= MANY_GROUPS;
    struct asking *asking = serve_kafka_alloc(call, 1, sizeof(*asking));
    if (!asking)
        return;
    asking->call = call;
    asking->count = many ? request->groups.count : 1;
    proto_kafka_init(call->api->response, &asking->response);
    asking->groups =
        many ? request->groups.items : serve_kafka_alloc(call, 1, sizeof(*asking->groups));
    if (!asking->groups && !many)
        return;
    if (!many)
        take_old(request, asking->groups);
    asking->answers = serve_kafka_alloc(call, asking->count + 1u, sizeof(*asking->answers));
    if (asking->answers)
        ask_next(asking);
}

/* Behind a view: a group asks for topics that somebody else has just made. */
void serve_kafka_offset_fetch(struct serve_kafka_call *call)
{
    serve_kafka_view_refresh(call, viewed);
}
