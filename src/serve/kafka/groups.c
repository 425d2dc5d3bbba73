#include "serve/kafka/coordinator.h"

#include "base/assert.h"

/*
 * What tools ask about groups: FindCoordinator, DescribeGroups, ListGroups and DeleteGroups. There
 * is one broker, which coordinates everything.
 */

/* Key types of FindCoordinator (Kafka protocol). */
#define KEY_GROUP 0
#define KEY_TRANSACTION 1
#define MANY_KEYS 4 /* from this version on */

/* What an answer says of groups; a request may name a large one many times. */
#define DESCRIBED_BYTES_MAX (UINT64_C(64) << 20)

static const struct slice classic = {(const uint8_t *)"classic", 7};

void serve_kafka_find_coordinator(struct serve_kafka_call *call)
{
    const struct proto_kafka_find_coordinator_request *request = call->message;
    const struct serve_kafka *kafka = call->door->kafka;
    struct proto_kafka_find_coordinator_response response;
    bool known = request->key_type == KEY_GROUP || request->key_type == KEY_TRANSACTION;
    int16_t error = known ? SERVE_KAFKA_NONE : SERVE_KAFKA_INVALID_REQUEST;
    uint32_t count = call->header.version >= MANY_KEYS ? request->coordinator_keys.count : 0;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.coordinators, count))
        return;
    response.error_code = error;
    response.node_id = known ? SERVE_KAFKA_NODE_ID : -1;
    response.host = known ? slice_string(kafka->host) : SLICE_LITERAL("");
    response.port = known ? kafka->port : -1;
    for (uint32_t i = 0; i < count; i++)
        response.coordinators.items[i] = (struct proto_kafka_find_coordinator_response_coordinator){
            .key = request->coordinator_keys.items[i],
            .node_id = response.node_id,
            .host = response.host,
            .port = response.port,
            .error_code = error,
        };
    serve_kafka_reply(call, &response);
}

static bool describe_members(const struct serve_kafka_group *group, struct arena *arena,
                             struct proto_kafka_describe_groups_response_group *out)
{
    /* Before assignments are out, nobody's say is the group's. */
    bool stable = group->state == SERVE_KAFKA_GROUP_STABLE;
    out->members.items =
        arena_alloc(arena, (group->member_count + 1u) * sizeof(*out->members.items));
    if (!out->members.items)
        return false;
    LIST_EACH (link, &group->members) {
        const struct serve_kafka_member *member =
            CONTAINER_OF(link, struct serve_kafka_member, link);
        out->members.items[out->members.count++] =
            (struct proto_kafka_describe_groups_response_member){
                .member_id = member->id,
                .group_instance_id = member->instance_id,
                .client_id = member->client_id,
                .client_host = member->client_host,
                .member_metadata = stable ? serve_kafka_member_metadata(member, group->protocol)
                                          : SLICE_LITERAL(""),
                .member_assignment =
                    stable && member->assignment.data ? member->assignment : SLICE_LITERAL(""),
            };
    }
    if (stable)
        out->protocol_data = group->protocol;
    return true;
}

/* A group that nobody knows is a dead one. */
static bool describe(const struct serve_kafka_entry *entry, struct arena *arena,
                     struct proto_kafka_describe_groups_response_group *out)
{
    out->protocol_type = SLICE_LITERAL("");
    out->protocol_data = SLICE_LITERAL("");
    out->authorized_operations = INT32_MIN;
    out->group_state = slice_string(
        serve_kafka_group_state_name(entry ? entry->group.state : SERVE_KAFKA_GROUP_DEAD));
    if (!entry)
        return true;
    if (entry->group.protocol_type.data)
        out->protocol_type = entry->group.protocol_type;
    return describe_members(&entry->group, arena, out);
}

/* Each group is an answer of its own, so that one that is too large does not hide the others. */
static void describe_all(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_describe_groups_request *request = call->message;
    struct proto_kafka_describe_groups_response response;
    uint32_t count = request->groups.count;
    proto_kafka_init(call->api->response, &response);
    response.groups.items =
        arena_alloc(&call->arena, (count + 1u) * sizeof(*response.groups.items));
    bool good = response.groups.items;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count && good; i++) {
        struct proto_kafka_describe_groups_response_group *out = &response.groups.items[i];
        struct serve_kafka_entry *entry = serve_kafka_coordinator_find(c, request->groups.items[i]);
        bytes += entry ? entry->group.bytes : 0;
        bool fits = bytes <= DESCRIBED_BYTES_MAX;
        *out = (struct proto_kafka_describe_groups_response_group){
            .group_id = request->groups.items[i],
            .error_code = fits ? SERVE_KAFKA_NONE : SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE};
        good = describe(fits ? entry : NULL, &call->arena, out);
    }
    response.groups.count = count;
    /* Encoded before anything of the groups can change. */
    serve_kafka_send_home(call, good ? &response : NULL);
}

void serve_kafka_describe_groups(struct serve_kafka_call *call)
{
    serve_kafka_coordinate(call, describe_all);
}

/* No filter lets everything pass. Names are of states and types, in any case. */
static bool passes(const struct slice *filter, uint32_t count, struct slice name)
{
    for (uint32_t i = 0; i < count; i++)
        if (slice_equal_nocase(filter[i], name))
            return true;
    return count == 0;
}

/* Names are pointed to, and encoded before a group can go. */
static void list_all(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_list_groups_request *request = call->message;
    struct proto_kafka_list_groups_response response;
    struct serve_kafka_entry *entry;
    proto_kafka_init(call->api->response, &response);
    response.groups.items =
        arena_alloc(&call->arena, (c->groups.count + 1u) * sizeof(*response.groups.items));
    if (!response.groups.items) {
        serve_kafka_send_home(call, NULL);
        return;
    }
    bool all = passes(request->types_filter.items, request->types_filter.count, classic);
    for (size_t i = 0; all && (entry = map_next(&c->groups, &i));) {
        struct slice state = slice_string(serve_kafka_group_state_name(entry->group.state));
        if (!passes(request->states_filter.items, request->states_filter.count, state))
            continue;
        response.groups.items[response.groups.count++] =
            (struct proto_kafka_list_groups_response_group){
                .group_id = entry->name,
                .protocol_type = entry->group.protocol_type,
                .group_state = state,
                .group_type = classic,
            };
    }
    serve_kafka_send_home(call, &response);
}

void serve_kafka_list_groups(struct serve_kafka_call *call)
{
    serve_kafka_coordinate(call, list_all);
}

struct deleting {
    struct serve_kafka_call *call;
    struct flow_commit commit;
    struct flow_offset *changes;
    uint32_t count;
    struct proto_kafka_delete_groups_response response;
};

/* One commit: all are gone or none, and each that was not refused says the same. */
static void deleted(struct flow_commit *commit)
{
    struct deleting *deleting = CONTAINER_OF(commit, struct deleting, commit);
    struct proto_kafka_delete_groups_response *response = &deleting->response;
    for (uint32_t i = 0; i < response->results.count && !err_is_ok(commit->error); i++)
        if (response->results.items[i].error_code == SERVE_KAFKA_NONE)
            response->results.items[i].error_code = SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
    serve_kafka_reply(deleting->call, response);
}

/* Let go of in the moment of the decision: whoever joins next begins another life of it, behind the
 * deletion in the log. A name that comes twice is gone the second time. */
static int16_t delete_one(struct serve_kafka_coordinator *c, struct deleting *deleting,
                          struct slice name)
{
    struct serve_kafka_entry *entry = serve_kafka_coordinator_find(c, name);
    if (name.size == 0)
        return SERVE_KAFKA_INVALID_GROUP_ID;
    if (!entry)
        return SERVE_KAFKA_GROUP_ID_NOT_FOUND;
    if (entry->group.state != SERVE_KAFKA_GROUP_EMPTY)
        return SERVE_KAFKA_NON_EMPTY_GROUP;
    deleting->changes[deleting->count++] =
        (struct flow_offset){.op = FLOW_OFFSET_DELETE_GROUP, .group = name};
    c->listing_stale = true;
    serve_kafka_coordinator_forget(entry);
    return SERVE_KAFKA_NONE;
}

static void delete_all(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    struct deleting *deleting = call->work;
    struct proto_kafka_delete_groups_response *response = &deleting->response;
    for (uint32_t i = 0; i < response->results.count; i++)
        response->results.items[i].error_code =
            delete_one(c, deleting, response->results.items[i].group_id);
    if (deleting->count == 0) {
        serve_kafka_send_home(call, response);
        return;
    }
    deleting->commit = (struct flow_commit){.home = call->door->loop,
                                            .done = deleted,
                                            .offsets = deleting->changes,
                                            .offset_count = deleting->count};
    flow_log_commit(c->log, &deleting->commit);
}

void serve_kafka_delete_groups(struct serve_kafka_call *call)
{
    const struct proto_kafka_delete_groups_request *request = call->message;
    uint32_t count = request->groups_names.count;
    struct deleting *deleting = serve_kafka_alloc(call, 1, sizeof(*deleting));
    if (!deleting)
        return;
    deleting->call = call;
    call->work = deleting;
    proto_kafka_init(call->api->response, &deleting->response);
    deleting->changes = serve_kafka_alloc(call, count + 1u, sizeof(*deleting->changes));
    if (!deleting->changes)
        return;
    if (!SERVE_KAFKA_ALLOC_LIST(call, &deleting->response.results, count))
        return;
    for (uint32_t i = 0; i < count; i++)
        deleting->response.results.items[i].group_id = request->groups_names.items[i];
    serve_kafka_coordinate(call, delete_all);
}
