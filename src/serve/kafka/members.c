#include "serve/kafka/coordinator.h"

#include "base/assert.h"
#include "base/uuid.h"

/*
 * JoinGroup, SyncGroup, Heartbeat and LeaveGroup: what members say of themselves, between the
 * protocol's messages and the group's state machine. What a request says by itself is looked at
 * first; a group is made by the first join alone.
 */

/* Versions from which on a client knows what to do with it. */
#define JOIN_KNOWS_REQUIRED 4
#define JOIN_KNOWS_SKIPPING 9
#define LEAVE_HAS_LIST 3
/* Nobody names himself longer; the rest of an id is cut off. */
#define ID_PREFIX_MAX 200u

/* NULL: the call has been refused, on its own loop. */
static struct serve_kafka_group_call *begin(struct serve_kafka_call *call,
                                            void (*reply)(struct serve_kafka_entry *entry,
                                                          struct serve_kafka_group_call *waiting))
{
    struct serve_kafka_group_call *waiting = serve_kafka_alloc(call, 1, sizeof(*waiting));
    if (!waiting)
        return NULL;
    /* Here, as the connection is this loop's. */
    const char *peer = net_kafka_request_peer(call->request);
    snprintf(waiting->client_host, sizeof(waiting->client_host), "%s%s", *peer ? "/" : "", peer);
    waiting->call = call;
    waiting->reply = reply;
    call->work = waiting;
    return waiting;
}

/* The same way out as the answers of a group, so that each API has one place that makes them. */
static void refuse(struct serve_kafka_group_call *waiting, int16_t error, struct slice member_id)
{
    waiting->waiter.error = error;
    waiting->waiter.member_id = member_id;
    waiting->reply(NULL, waiting);
}

/* On the call's own loop. The other members may let it wait for as long as they may take, and what
 * it has reserved is not kept from those who come in meanwhile. */
static void
go_and_wait(struct serve_kafka_call *call,
            void (*reply)(struct serve_kafka_entry *entry, struct serve_kafka_group_call *waiting),
            void (*run)(struct serve_kafka_coordinator *coordinator, struct serve_kafka_call *call),
            struct slice member_id)
{
    struct serve_kafka_group_call *waiting = begin(call, reply);
    if (!waiting)
        return;
    if (serve_kafka_park(call))
        serve_kafka_coordinate(call, run);
    else
        /* Clients ask again. */
        refuse(waiting, SERVE_KAFKA_COORDINATOR_LOAD_IN_PROGRESS, member_id);
}

/* Who the members are, for their leader. Those who wait for nothing as well: a static member that
 * is away keeps its part of the topics. */
static bool list_members(const struct serve_kafka_entry *entry, struct arena *arena,
                         struct proto_kafka_join_group_response *response)
{
    const struct serve_kafka_group *group = &entry->group;
    uint32_t at = 0;
    response->members.items =
        arena_alloc(arena, group->member_count * sizeof(*response->members.items));
    if (!response->members.items)
        return false;
    LIST_EACH (link, &group->members) {
        const struct serve_kafka_member *member =
            CONTAINER_OF(link, struct serve_kafka_member, link);
        response->members.items[at++] = (struct proto_kafka_join_group_response_member){
            .member_id = member->id,
            .group_instance_id = member->instance_id,
            .metadata = serve_kafka_member_metadata(member, group->protocol),
        };
    }
    response->members.count = at;
    return true;
}

/* Strings of the group are pointed to: it stands still until the answer is encoded. */
static void reply_join(struct serve_kafka_entry *entry, struct serve_kafka_group_call *waiting)
{
    struct serve_kafka_call *call = waiting->call;
    const struct proto_kafka_join_group_request *request = call->message;
    const struct serve_kafka_waiter *waiter = &waiting->waiter;
    struct proto_kafka_join_group_response response;
    proto_kafka_init(call->api->response, &response);
    response.error_code = waiter->error;
    response.leader = SLICE_LITERAL("");
    response.member_id =
        waiter->error == SERVE_KAFKA_MEMBER_ID_REQUIRED ? waiter->member_id : request->member_id;
    if (waiter->member) {
        const struct serve_kafka_group *group = &entry->group;
        response.generation_id = group->generation;
        response.protocol_type = group->protocol_type;
        response.protocol_name = group->protocol;
        response.member_id = waiter->member->id;
        response.skip_assignment = waiter->skip_assignment;
        if (!waiter->hides_leader && group->leader)
            response.leader = group->leader->id;
        if (waiter->lists && !list_members(entry, &call->arena, &response)) {
            serve_kafka_send_home(call, NULL);
            return;
        }
    }
    serve_kafka_send_home(call, &response);
}

/* What is wrong with the request whatever the group is. */
static int16_t look_at_join(const struct proto_kafka_join_group_request *request)
{
    if (!serve_kafka_is_group(request->group_id))
        return SERVE_KAFKA_INVALID_GROUP_ID;
    if (request->session_timeout_ms < SERVE_KAFKA_SESSION_MS_MIN ||
        request->session_timeout_ms > SERVE_KAFKA_SESSION_MS_MAX)
        return SERVE_KAFKA_INVALID_SESSION_TIMEOUT;
    return SERVE_KAFKA_NONE;
}

/* "client-<uuid>", as Kafka names its members. Empty without memory. */
static struct slice fresh_id(struct serve_kafka_coordinator *c, struct serve_kafka_call *call,
                             struct slice prefix)
{
    uint8_t random[16];
    char text[UUID_TEXT_SIZE + 1];
    io_random(c->loop, random, sizeof(random));
    struct uuid uuid = uuid_from_random(random);
    uuid_format(&uuid, text);
    prefix = slice_sub(prefix, 0, ID_PREFIX_MAX);
    char *id = arena_alloc(&call->arena, prefix.size + 1 + UUID_TEXT_SIZE + 1);
    if (!id)
        return slice_make(NULL, 0);
    if (prefix.size > 0)
        memcpy(id, prefix.data, prefix.size);
    id[prefix.size] = '-';
    memcpy(id + prefix.size + 1, text, sizeof(text));
    return slice_make(id, prefix.size + 1 + UUID_TEXT_SIZE);
}

/* What the request says, for the group; false without memory. Version 0 has one time for both: the
 * session's is the shorter of what it may have meant. */
static bool read_join(struct serve_kafka_coordinator *c, struct serve_kafka_call *call,
                      struct serve_kafka_join *out)
{
    const struct proto_kafka_join_group_request *request = call->message;
    const struct serve_kafka_group_call *waiting = call->work;
    uint32_t count = request->protocols.count;
    struct serve_kafka_protocol *protocols =
        arena_alloc(&call->arena, (count + 1u) * sizeof(*protocols));
    if (!protocols)
        return false;
    for (uint32_t i = 0; i < count; i++)
        protocols[i] = (struct serve_kafka_protocol){request->protocols.items[i].name,
                                                     request->protocols.items[i].metadata};
    uint32_t session_ms = (uint32_t)request->session_timeout_ms;
    bool has_instance = request->group_instance_id.data;
    *out = (struct serve_kafka_join){
        .member_id = request->member_id,
        .instance_id = request->group_instance_id,
        .client_id = call->header.client_id,
        .client_host = slice_string(waiting->client_host),
        .protocol_type = request->protocol_type,
        .protocols = protocols,
        .protocol_count = count,
        .session_ms = session_ms,
        .rebalance_ms = request->rebalance_timeout_ms > 0 ? (uint32_t)request->rebalance_timeout_ms
                                                          : session_ms,
        .knows_required = call->header.version >= JOIN_KNOWS_REQUIRED,
        .knows_skipping = call->header.version >= JOIN_KNOWS_SKIPPING,
        .fresh =
            fresh_id(c, call, has_instance ? request->group_instance_id : call->header.client_id),
    };
    return out->fresh.size > 0;
}

/* An id comes from a group that was there: with one, no group is made. */
static void join(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_join_group_request *request = call->message;
    struct serve_kafka_group_call *waiting = call->work;
    struct serve_kafka_join said;
    int16_t error = look_at_join(request);
    struct serve_kafka_entry *entry = NULL;
    if (error == SERVE_KAFKA_NONE && !read_join(c, call, &said))
        error = SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (error == SERVE_KAFKA_NONE) {
        entry = request->member_id.size > 0 ? serve_kafka_coordinator_find(c, request->group_id)
                                            : serve_kafka_coordinator_ensure(c, request->group_id);
        if (!entry)
            error = request->member_id.size > 0 ? SERVE_KAFKA_UNKNOWN_MEMBER_ID
                                                : SERVE_KAFKA_GROUP_MAX_SIZE_REACHED;
    }
    if (error != SERVE_KAFKA_NONE) {
        refuse(waiting, error, request->member_id);
        return;
    }
    serve_kafka_group_join(&entry->group, &said, &waiting->waiter,
                           serve_kafka_coordinator_now_ms(c));
    serve_kafka_coordinator_settle(entry);
}

void serve_kafka_join_group(struct serve_kafka_call *call)
{
    const struct proto_kafka_join_group_request *request = call->message;
    go_and_wait(call, reply_join, join, request->member_id);
}

static void reply_sync(struct serve_kafka_entry *entry, struct serve_kafka_group_call *waiting)
{
    struct serve_kafka_call *call = waiting->call;
    const struct serve_kafka_waiter *waiter = &waiting->waiter;
    struct proto_kafka_sync_group_response response;
    proto_kafka_init(call->api->response, &response);
    response.error_code = waiter->error;
    response.assignment = SLICE_LITERAL("");
    if (waiter->member) {
        response.protocol_type = entry->group.protocol_type;
        response.protocol_name = entry->group.protocol;
        if (waiter->member->assignment.data)
            response.assignment = waiter->member->assignment;
    }
    serve_kafka_send_home(call, &response);
}

/* The reply is the group's to make, at once or when the leader has spoken. */
static void sync(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_sync_group_request *request = call->message;
    struct serve_kafka_group_call *waiting = call->work;
    struct serve_kafka_entry *entry = serve_kafka_coordinator_find(c, request->group_id);
    uint32_t count = request->assignments.count;
    struct serve_kafka_protocol *assignments =
        arena_alloc(&call->arena, (count + 1u) * sizeof(*assignments));
    if (!entry) {
        refuse(waiting, serve_kafka_no_group(request->group_id, SERVE_KAFKA_UNKNOWN_MEMBER_ID),
               request->member_id);
        return;
    }
    if (!assignments) {
        refuse(waiting, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE, request->member_id);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        assignments[i] = (struct serve_kafka_protocol){request->assignments.items[i].member_id,
                                                       request->assignments.items[i].assignment};
    serve_kafka_group_sync(&entry->group,
                           &(struct serve_kafka_sync){
                               .member_id = request->member_id,
                               .instance_id = request->group_instance_id,
                               .generation = request->generation_id,
                               .protocol_type = request->protocol_type,
                               .protocol = request->protocol_name,
                               .assignments = assignments,
                               .assignment_count = count,
                           },
                           &waiting->waiter, serve_kafka_coordinator_now_ms(c));
    serve_kafka_coordinator_settle(entry);
}

void serve_kafka_sync_group(struct serve_kafka_call *call)
{
    const struct proto_kafka_sync_group_request *request = call->message;
    go_and_wait(call, reply_sync, sync, request->member_id);
}

/* Answered at once, and the group's timer is left alone: there are many of these. */
static void heartbeat(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_heartbeat_request *request = call->message;
    struct serve_kafka_entry *entry = serve_kafka_coordinator_find(c, request->group_id);
    struct proto_kafka_heartbeat_response response;
    proto_kafka_init(call->api->response, &response);
    if (entry)
        response.error_code = serve_kafka_group_heartbeat(
            &entry->group, request->member_id, request->group_instance_id, request->generation_id,
            serve_kafka_coordinator_now_ms(c));
    else
        response.error_code =
            serve_kafka_no_group(request->group_id, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    serve_kafka_send_home(call, &response);
}

/* No memory of its own: it is what keeps a member alive when there is little of it. */
void serve_kafka_heartbeat(struct serve_kafka_call *call)
{
    serve_kafka_coordinate(call, heartbeat);
}

/* Each of a list by itself: one that is not known does not keep the others. */
static int16_t leave_one(struct serve_kafka_coordinator *c, struct serve_kafka_entry *entry,
                         struct slice member_id, struct slice instance_id)
{
    if (!entry)
        return SERVE_KAFKA_UNKNOWN_MEMBER_ID;
    return serve_kafka_group_leave(&entry->group, member_id, instance_id,
                                   serve_kafka_coordinator_now_ms(c));
}

/* Encoded before the group settles, which may end it and the strings in it. */
static void leave(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    const struct proto_kafka_leave_group_request *request = call->message;
    struct serve_kafka_entry *entry = serve_kafka_coordinator_find(c, request->group_id);
    struct proto_kafka_leave_group_response response;
    bool lists = call->header.version >= LEAVE_HAS_LIST;
    bool valid = entry || serve_kafka_is_group(request->group_id);
    uint32_t count = lists && valid ? request->members.count : 0;
    proto_kafka_init(call->api->response, &response);
    response.members.items =
        arena_alloc(&call->arena, (count + 1u) * sizeof(*response.members.items));
    if (!response.members.items) {
        serve_kafka_send_home(call, NULL);
        return;
    }
    response.members.count = count;
    if (!valid)
        response.error_code = SERVE_KAFKA_INVALID_GROUP_ID;
    else if (!lists)
        response.error_code = leave_one(c, entry, request->member_id, slice_make(NULL, 0));
    for (uint32_t i = 0; i < count; i++) {
        const struct proto_kafka_leave_group_request_member *who = &request->members.items[i];
        response.members.items[i] = (struct proto_kafka_leave_group_response_member){
            .member_id = who->member_id,
            .group_instance_id = who->group_instance_id,
            .error_code = leave_one(c, entry, who->member_id, who->group_instance_id),
        };
    }
    serve_kafka_send_home(call, &response);
    if (entry)
        serve_kafka_coordinator_settle(entry);
}

void serve_kafka_leave_group(struct serve_kafka_call *call)
{
    serve_kafka_coordinate(call, leave);
}
