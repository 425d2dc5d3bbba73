#include "serve/kafka/coordinator.h"

#include "base/assert.h"
#include "base/cursor.h"

/*
 * OffsetCommit and OffsetDelete: topics are resolved at the door, the coordinator says whether the
 * member may, and the log makes it durable, from where the answer goes home. A partition that is
 * not there, or says too much, has an error of its own, and the others are committed.
 */

struct changing {
    struct serve_kafka_call *call;
    struct flow_commit commit;
    struct flow_offset *changes;
    int16_t **errors; /* of each change, in the answer */
    uint32_t count;
    void *response;
};

/* What the log says of an offset, as far as clients can do something about it. */
static int16_t code_of(err_t err)
{
    if (err_is_ok(err))
        return SERVE_KAFKA_NONE;
    if (err_is(err, ERR_OFFSETS_FULL))
        return (int16_t)err_kafka_code(err);
    return SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
}

/* Those that were wrong by themselves keep what was said of them. */
static void set_errors(const struct changing *changing, int16_t code)
{
    for (uint32_t i = 0; i < changing->count; i++)
        *changing->errors[i] = code;
}

static void committed(struct flow_commit *commit)
{
    struct changing *changing = CONTAINER_OF(commit, struct changing, commit);
    struct serve_kafka_call *call = changing->call;
    set_errors(changing, code_of(commit->error));
    /* A topic that was deleted may be there again, as another. */
    call->door->view.doubted |= err_is(commit->error, ERR_NOT_FOUND);
    serve_kafka_reply(call, changing->response);
}

/* From the coordinator's loop: the log answers at home. */
/* In the order in which members were let through, as the log has one for all. */
static void commit(struct serve_kafka_coordinator *c, struct changing *changing)
{
    struct serve_kafka_call *call = changing->call;
    if (changing->count == 0) {
        serve_kafka_send_home(call, changing->response);
        return;
    }
    changing->commit = (struct flow_commit){.home = call->door->loop,
                                            .done = committed,
                                            .offsets = changing->changes,
                                            .offset_count = changing->count};
    flow_log_commit(c->log, &changing->commit);
}

/* NULL, with the call refused, without memory. */
static struct changing *begin(struct serve_kafka_call *call, uint32_t count, void *response)
{
    struct changing *changing = serve_kafka_alloc(call, 1, sizeof(*changing));
    if (!changing)
        return NULL;
    changing->call = call;
    changing->response = response;
    call->work = changing;
    changing->changes = serve_kafka_alloc(call, count + 1u, sizeof(*changing->changes));
    if (!changing->changes)
        return NULL;
    changing->errors = serve_kafka_alloc(call, count + 1u, sizeof(*changing->errors));
    return changing->errors ? changing : NULL;
}

/* A change of a partition that is there; else its error is set. */
static void add(struct changing *changing, const struct flow_topic_state *topic,
                const struct flow_offset *change, int32_t partition, int16_t *error)
{
    if (!topic || partition < 0 || (uint32_t)partition >= topic->partition_count) {
        *error = SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    if (change->metadata.size > FLOW_OFFSET_METADATA_MAX) {
        *error = SERVE_KAFKA_OFFSET_METADATA_TOO_LARGE;
        return;
    }
    if (change->offset < 0) {
        *error = SERVE_KAFKA_INVALID_REQUEST;
        return;
    }
    changing->changes[changing->count] = *change;
    changing->changes[changing->count].topic_id = topic->id;
    changing->changes[changing->count].partition = (uint32_t)partition;
    changing->errors[changing->count++] = error;
}

/* Of a group that is not there. Where there are as many as there may be, more offsets do not fit,
 * and coming again does not help. */
static int16_t code_without_group(const struct serve_kafka_coordinator *c, int32_t generation)
{
    if (generation >= 0)
        return SERVE_KAFKA_ILLEGAL_GENERATION;
    if (c->groups.count >= SERVE_KAFKA_GROUPS_MAX)
        return code_of(err_make(ERR_OFFSETS_FULL));
    return SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
}

/* The first commit of a simple consumer makes its group, as with Kafka. */
static void commit_offsets(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_offset_commit_request *request = call->message;
    struct changing *changing = call->work;
    int32_t generation = request->generation_id_or_member_epoch;
    struct serve_kafka_entry *entry = generation < 0
                                          ? serve_kafka_coordinator_ensure(c, request->group_id)
                                          : serve_kafka_coordinator_find(c, request->group_id);
    int16_t error = SERVE_KAFKA_NONE;
    if (!entry)
        error = code_without_group(c, generation);
    else
        error = serve_kafka_group_may_commit(&entry->group, request->member_id,
                                             request->group_instance_id, generation,
                                             serve_kafka_coordinator_now_ms(c));
    if (error != SERVE_KAFKA_NONE) {
        set_errors(changing, error);
        changing->count = 0;
    }
    if (entry) {
        entry->kept = entry->kept || changing->count > 0;
        serve_kafka_coordinator_settle(entry);
    }
    commit(c, changing);
}

static bool make_room(struct serve_kafka_call *call,
                      struct proto_kafka_offset_commit_response *response, uint32_t *count)
{
    const struct proto_kafka_offset_commit_request *request = call->message;
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response->topics, request->topics.count))
        return false;
    for (uint32_t t = 0; t < request->topics.count; t++) {
        struct proto_kafka_offset_commit_response_topic *out = &response->topics.items[t];
        uint32_t partitions = request->topics.items[t].partitions.count;
        out->name = request->topics.items[t].name;
        if (!SERVE_KAFKA_ALLOC_LIST(call, &out->partitions, partitions))
            return false;
        for (uint32_t p = 0; p < partitions; p++)
            out->partitions.items[p].partition_index =
                request->topics.items[t].partitions.items[p].partition_index;
        *count += partitions;
    }
    return true;
}

static void add_topic(struct changing *changing,
                      const struct proto_kafka_offset_commit_request_topic *asked,
                      struct proto_kafka_offset_commit_response_topic *out)
{
    struct serve_kafka_call *call = changing->call;
    const struct proto_kafka_offset_commit_request *request = call->message;
    const struct flow_topic_state *topic = serve_kafka_view_topic(&call->door->view, asked->name);
    for (uint32_t p = 0; p < asked->partitions.count; p++) {
        const struct proto_kafka_offset_commit_request_partition *want =
            &asked->partitions.items[p];
        add(changing, topic,
            &(struct flow_offset){.op = FLOW_OFFSET_COMMIT,
                                  .group = request->group_id,
                                  .offset = want->committed_offset,
                                  .leader_epoch = want->committed_leader_epoch,
                                  .metadata = want->committed_metadata},
            want->partition_index, &out->partitions.items[p].error_code);
    }
}

static void viewed(struct serve_kafka_call *call)
{
    const struct proto_kafka_offset_commit_request *request = call->message;
    uint32_t count = 0;
    struct proto_kafka_offset_commit_response *response =
        serve_kafka_alloc(call, 1, sizeof(*response));
    if (!response)
        return;
    proto_kafka_init(call->api->response, response);
    if (!make_room(call, response, &count))
        return;
    struct changing *changing = begin(call, count, response);
    if (!changing)
        return;
    for (uint32_t t = 0; t < request->topics.count; t++)
        add_topic(changing, &request->topics.items[t], &response->topics.items[t]);
    if (serve_kafka_is_group(request->group_id)) {
        serve_kafka_coordinate(call, commit_offsets);
        return;
    }
    set_errors(changing, SERVE_KAFKA_INVALID_GROUP_ID);
    serve_kafka_reply(call, response);
}

static bool knows_all(const struct serve_kafka_call *call)
{
    const struct proto_kafka_offset_commit_request *request = call->message;
    const struct serve_kafka_view *view = &call->door->view;
    for (uint32_t t = 0; t < request->topics.count; t++) {
        const struct proto_kafka_offset_commit_request_topic *asked = &request->topics.items[t];
        const struct flow_topic_state *topic = serve_kafka_view_topic(view, asked->name);
        for (uint32_t p = 0; p < asked->partitions.count; p++)
            if (!topic ||
                asked->partitions.items[p].partition_index >= (int32_t)topic->partition_count)
                return false;
    }
    return !view->doubted;
}

/* Consumers commit all the time, and what they commit for is there: the log is not asked again. */
void serve_kafka_offset_commit(struct serve_kafka_call *call)
{
    if (knows_all(call))
        viewed(call);
    else
        serve_kafka_view_refresh(call, viewed);
}

/* Whether a member of the group has the topic in its subscription: version (2), then topics, a
 * count (4) and strings (2 and bytes) (Kafka's ConsumerProtocolSubscription). */
static bool subscribes(struct slice subscription, struct slice topic)
{
    struct cursor c = cursor_make(subscription);
    (void)cursor_u16be(&c);
    uint32_t count = cursor_u32be(&c);
    for (uint32_t i = 0; i < count && cursor_ok(&c); i++) {
        uint16_t size = cursor_u16be(&c);
        if (slice_equal(cursor_bytes(&c, size), topic) && cursor_ok(&c))
            return true;
    }
    return false;
}

/* By any protocol that it speaks: which of them counts may change with the next generation. */
static bool is_subscribed(const struct serve_kafka_group *group, struct slice topic)
{
    LIST_EACH (link, &group->members) {
        const struct serve_kafka_member *member =
            CONTAINER_OF(link, struct serve_kafka_member, link);
        for (uint32_t i = 0; i < member->protocol_count; i++)
            if (subscribes(member->protocols[i].metadata, topic))
                return true;
    }
    return false;
}

/* Leaves out the partitions of topics that members of the group read. Their next commit would bring
 * them back, and where they begin after a crash would be anybody's guess until then. */
static void keep_subscribed(const struct serve_kafka_group *group, struct changing *changing)
{
    const struct proto_kafka_offset_delete_request *request = changing->call->message;
    struct proto_kafka_offset_delete_response *response = changing->response;
    for (uint32_t t = 0; t < request->topics.count; t++) {
        struct proto_kafka_offset_delete_response_topic *out = &response->topics.items[t];
        if (!is_subscribed(group, out->name))
            continue;
        for (uint32_t p = 0; p < out->partitions.count; p++)
            if (out->partitions.items[p].error_code == SERVE_KAFKA_NONE)
                out->partitions.items[p].error_code = SERVE_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < changing->count; i++) {
        if (*changing->errors[i] != SERVE_KAFKA_NONE)
            continue;
        changing->changes[kept] = changing->changes[i];
        changing->errors[kept++] = changing->errors[i];
    }
    changing->count = kept;
}

/* What members of other types mean by topics is not known here: all or nothing. */
static void delete_offsets(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_offset_delete_request *request = call->message;
    struct changing *changing = call->work;
    struct proto_kafka_offset_delete_response *response = changing->response;
    struct serve_kafka_entry *entry = serve_kafka_coordinator_find(c, request->group_id);
    if (!entry)
        response->error_code =
            serve_kafka_no_group(request->group_id, SERVE_KAFKA_GROUP_ID_NOT_FOUND);
    else if (entry->group.member_count > 0 &&
             !slice_equal_string(entry->group.protocol_type, "consumer"))
        response->error_code = SERVE_KAFKA_NON_EMPTY_GROUP;
    if (entry && response->error_code == SERVE_KAFKA_NONE)
        keep_subscribed(&entry->group, changing);
    else
        changing->count = 0;
    commit(c, changing);
}

/* As for a commit, in structs of another name. */
static bool make_delete_room(struct serve_kafka_call *call,
                             struct proto_kafka_offset_delete_response *response, uint32_t *count)
{
    const struct proto_kafka_offset_delete_request *request = call->message;
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response->topics, request->topics.count))
        return false;
    for (uint32_t t = 0; t < request->topics.count; t++) {
        struct proto_kafka_offset_delete_response_topic *out = &response->topics.items[t];
        uint32_t partitions = request->topics.items[t].partitions.count;
        out->name = request->topics.items[t].name;
        if (!SERVE_KAFKA_ALLOC_LIST(call, &out->partitions, partitions))
            return false;
        *count += partitions;
    }
    return true;
}

static void delete_viewed(struct serve_kafka_call *call)
{
    const struct proto_kafka_offset_delete_request *request = call->message;
    uint32_t count = 0;
    struct proto_kafka_offset_delete_response *response =
        serve_kafka_alloc(call, 1, sizeof(*response));
    if (!response)
        return;
    proto_kafka_init(call->api->response, response);
    if (!make_delete_room(call, response, &count))
        return;
    struct changing *changing = begin(call, count, response);
    if (!changing)
        return;
    for (uint32_t t = 0; t < request->topics.count; t++) {
        struct proto_kafka_offset_delete_response_topic *out = &response->topics.items[t];
        const struct flow_topic_state *topic = serve_kafka_view_topic(&call->door->view, out->name);
        for (uint32_t p = 0; p < out->partitions.count; p++) {
            int32_t partition = request->topics.items[t].partitions.items[p].partition_index;
            out->partitions.items[p].partition_index = partition;
            add(changing, topic,
                &(struct flow_offset){.op = FLOW_OFFSET_DELETE, .group = request->group_id},
                partition, &out->partitions.items[p].error_code);
        }
    }
    serve_kafka_coordinate(call, delete_offsets);
}

void serve_kafka_offset_delete(struct serve_kafka_call *call)
{
    serve_kafka_view_refresh(call, delete_viewed);
}
