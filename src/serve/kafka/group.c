#include "serve/kafka/group_int.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Who is in a group, and what it takes in memory. Every byte that a client makes us keep is taken
 * from a budget of the group and of all groups first, so that neither a group of many members nor
 * many groups can take the memory of everything else.
 */

/* Which state may follow which: a bit each. */
#define BIT(state) (1u << SERVE_KAFKA_GROUP_##state)
static const uint8_t may_follow[SERVE_KAFKA_GROUP_STATES] = {
    [SERVE_KAFKA_GROUP_EMPTY] = BIT(PREPARING) | BIT(DEAD),
    [SERVE_KAFKA_GROUP_PREPARING] = BIT(COMPLETING) | BIT(EMPTY),
    [SERVE_KAFKA_GROUP_COMPLETING] = BIT(STABLE) | BIT(PREPARING),
    [SERVE_KAFKA_GROUP_STABLE] = BIT(PREPARING),
    [SERVE_KAFKA_GROUP_DEAD] = 0,
};

const char *serve_kafka_group_state_name(enum serve_kafka_group_state state)
{
    static const char *const names[SERVE_KAFKA_GROUP_STATES] = {
        [SERVE_KAFKA_GROUP_EMPTY] = "Empty",
        [SERVE_KAFKA_GROUP_PREPARING] = "PreparingRebalance",
        [SERVE_KAFKA_GROUP_COMPLETING] = "CompletingRebalance",
        [SERVE_KAFKA_GROUP_STABLE] = "Stable",
        [SERVE_KAFKA_GROUP_DEAD] = "Dead",
    };
    ASSERT(state < SERVE_KAFKA_GROUP_STATES);
    return names[state];
}

/* A group in a state that it cannot be in would keep members waiting for ever: better to end here.
 */
void serve_kafka_group_move(struct serve_kafka_group *group, enum serve_kafka_group_state state)
{
    ASSERT(may_follow[group->state] >> state & 1);
    group->state = state;
}

void serve_kafka_group_init(struct serve_kafka_group *group,
                            struct serve_kafka_group_budget *budget)
{
    ASSERT(budget->bytes_max > 0);
    *group = (struct serve_kafka_group){.budget = budget};
    list_init(&group->members);
    list_init(&group->pending);
    list_init(&group->answered);
}

/* Both limits before either is counted: a refusal leaves nothing to give back. Differences and not
 * sums are compared, since what a peer asks for may be any number. */
bool serve_kafka_group_take(struct serve_kafka_group *group, uint64_t bytes)
{
    struct serve_kafka_group_budget *budget = group->budget;
    ASSERT(budget->bytes >= group->bytes);
    if (bytes > SERVE_KAFKA_GROUP_BYTES_MAX || group->bytes > SERVE_KAFKA_GROUP_BYTES_MAX - bytes ||
        bytes > budget->bytes_max || budget->bytes > budget->bytes_max - bytes)
        return false;
    group->bytes += bytes;
    budget->bytes += bytes;
    return true;
}

void serve_kafka_group_give(struct serve_kafka_group *group, uint64_t bytes)
{
    ASSERT(group->bytes >= bytes && group->budget->bytes >= bytes);
    group->bytes -= bytes;
    group->budget->bytes -= bytes;
}

/* Requests are gone when their answers are sent. */
bool serve_kafka_group_own(struct slice from, struct slice *out)
{
    /* One byte more: of nothing NULL is a good answer, and would be taken for no memory. */
    uint8_t *data = mem_alloc(from.size + 1);
    ASSERT(!out->data);
    if (!data)
        return false;
    if (from.size > 0)
        memcpy(data, from.data, from.size);
    *out = slice_make(data, from.size);
    return true;
}

void serve_kafka_group_disown(struct slice *owned)
{
    mem_free((void *)(uintptr_t)owned->data);
    *owned = slice_make(NULL, 0);
}

/* Gathered and not called back: an answer may free what the caller is still walking over. */
void serve_kafka_group_answer(struct serve_kafka_group *group, struct serve_kafka_waiter *waiter,
                              int16_t error, struct slice member_id)
{
    waiter->error = error;
    waiter->member = NULL;
    waiter->member_id = member_id;
    list_add_tail(&group->answered, &waiter->link);
}

void serve_kafka_group_answer_member(struct serve_kafka_group *group,
                                     struct serve_kafka_waiter *waiter,
                                     struct serve_kafka_member *member)
{
    serve_kafka_group_answer(group, waiter, SERVE_KAFKA_GROUP_OK, member->id);
    waiter->member = member;
}

/* A walk and no map: members are few, and a map is one more thing that can find no memory. */
struct serve_kafka_member *serve_kafka_group_member(const struct serve_kafka_group *group,
                                                    struct slice id)
{
    LIST_EACH (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        if (slice_equal(member->id, id))
            return member;
    }
    return NULL;
}

struct serve_kafka_member *serve_kafka_group_instance(const struct serve_kafka_group *group,
                                                      struct slice instance_id)
{
    LIST_EACH (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        if (member->instance_id.data && slice_equal(member->instance_id, instance_id))
            return member;
    }
    return NULL;
}

/* An instance id that another member has is a member that was replaced and does not know it yet: it
 * has to end, and not join again, or the two would push each other out for ever (KIP-345). */
int16_t serve_kafka_group_find(const struct serve_kafka_group *group, struct slice member_id,
                               struct slice instance_id, struct serve_kafka_member **out)
{
    struct serve_kafka_member *member = serve_kafka_group_member(group, member_id);
    if (instance_id.data) {
        struct serve_kafka_member *owner = serve_kafka_group_instance(group, instance_id);
        if (owner && owner != member)
            return SERVE_KAFKA_FENCED_INSTANCE_ID;
        member = owner;
    }
    if (!member)
        return SERVE_KAFKA_UNKNOWN_MEMBER_ID;
    *out = member;
    return SERVE_KAFKA_GROUP_OK;
}

struct slice serve_kafka_member_metadata(const struct serve_kafka_member *member,
                                         struct slice protocol)
{
    for (uint32_t i = 0; i < member->protocol_count; i++)
        if (slice_equal(member->protocols[i].name, protocol))
            return member->protocols[i].metadata;
    return SLICE_LITERAL("");
}

/* As it was when the bytes were taken, so that as many are given back. */
static uint64_t protocol_bytes(const struct serve_kafka_join *join)
{
    uint64_t bytes = (uint64_t)join->protocol_count * sizeof(struct serve_kafka_protocol);
    for (uint32_t i = 0; i < join->protocol_count; i++)
        bytes += join->protocols[i].name.size + join->protocols[i].metadata.size;
    return bytes;
}

/* A copy at the place that `*at` moves on from. */
static struct slice put(uint8_t **at, struct slice from)
{
    struct slice copy = slice_make(*at, from.size);
    if (from.size > 0)
        memcpy(*at, from.data, from.size);
    *at += from.size;
    return copy;
}

/* One block: the table, and behind it the bytes that it points to. NULL without memory. */
static struct serve_kafka_protocol *copy_protocols(const struct serve_kafka_join *join)
{
    struct serve_kafka_protocol *protocols = mem_alloc(protocol_bytes(join) + 1);
    if (!protocols)
        return NULL;
    uint8_t *at = (uint8_t *)(protocols + join->protocol_count);
    for (uint32_t i = 0; i < join->protocol_count; i++)
        protocols[i] = (struct serve_kafka_protocol){put(&at, join->protocols[i].name),
                                                     put(&at, join->protocols[i].metadata)};
    return protocols;
}

static void set_times(struct serve_kafka_member *member, const struct serve_kafka_join *join)
{
    ASSERT(join->session_ms > 0);
    member->session_ms = join->session_ms;
    member->rebalance_ms = join->rebalance_ms;
}

/* With its names. */
static size_t member_bytes(const struct serve_kafka_join *join, struct slice id)
{
    ASSERT(id.size > 0);
    return sizeof(struct serve_kafka_member) + id.size + join->instance_id.size +
           join->client_id.size + join->client_host.size;
}

/* NULL without memory. */
/* Names in one block with the member: fewer pieces that can fail, and one look-up touches one line.
 */
static struct serve_kafka_member *new_member(const struct serve_kafka_join *join, struct slice id)
{
    struct serve_kafka_member *member = mem_zalloc(1, member_bytes(join, id));
    if (!member)
        return NULL;
    uint8_t *at = (uint8_t *)member->names;
    member->id = put(&at, id);
    if (join->instance_id.data)
        member->instance_id = put(&at, join->instance_id);
    member->client_id = put(&at, join->client_id);
    member->client_host = put(&at, join->client_host);
    member->protocols = copy_protocols(join);
    member->protocol_count = join->protocol_count;
    set_times(member, join);
    if (!member->protocols) {
        mem_free(member);
        return NULL;
    }
    return member;
}

/* The budget before the memory: what a client may not keep is not even copied. */
struct serve_kafka_member *serve_kafka_group_add(struct serve_kafka_group *group,
                                                 const struct serve_kafka_join *join,
                                                 struct slice id, int16_t *error)
{
    uint64_t bytes = member_bytes(join, id) + protocol_bytes(join);
    *error = SERVE_KAFKA_GROUP_MAX_SIZE_REACHED;
    if (!serve_kafka_group_take(group, bytes))
        return NULL;
    struct serve_kafka_member *member = new_member(join, id);
    if (!member) {
        serve_kafka_group_give(group, bytes);
        *error = SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
        return NULL;
    }
    member->bytes = bytes;
    list_add_tail(&group->members, &member->link);
    group->member_count++;
    group->budget->members++;
    if (!group->leader)
        group->leader = member;
    return member;
}

/* With room for both for a moment, so that a member that finds none keeps what it had said. */
int16_t serve_kafka_group_update(struct serve_kafka_group *group, struct serve_kafka_member *member,
                                 const struct serve_kafka_join *join)
{
    uint64_t bytes = protocol_bytes(join);
    if (!serve_kafka_group_take(group, bytes))
        return SERVE_KAFKA_GROUP_MAX_SIZE_REACHED;
    struct serve_kafka_protocol *protocols = copy_protocols(join);
    if (!protocols) {
        serve_kafka_group_give(group, bytes);
        return SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    uint64_t before = (uint64_t)member->protocol_count * sizeof(struct serve_kafka_protocol);
    for (uint32_t i = 0; i < member->protocol_count; i++)
        before += member->protocols[i].name.size + member->protocols[i].metadata.size;
    serve_kafka_group_give(group, before);
    member->bytes = member->bytes + bytes - before;
    mem_free(member->protocols);
    member->protocols = protocols;
    member->protocol_count = join->protocol_count;
    set_times(member, join);
    return SERVE_KAFKA_GROUP_OK;
}

/* What it was answered in this call is not sent yet, and is about who is not there any more: a
 * request may send several members away, and the first of them end the wait of another. */
static void take_answers_back(struct serve_kafka_group *group,
                              const struct serve_kafka_member *member, int16_t error)
{
    LIST_EACH (link, &group->answered) {
        struct serve_kafka_waiter *waiter = CONTAINER_OF(link, struct serve_kafka_waiter, link);
        if (waiter->member != member)
            continue;
        waiter->error = error;
        waiter->member = NULL;
        waiter->member_id = SLICE_LITERAL("");
    }
}

void serve_kafka_group_remove(struct serve_kafka_group *group, struct serve_kafka_member *member,
                              int16_t error)
{
    ASSERT(group->member_count > 0 && group->budget->members > 0);
    take_answers_back(group, member, error);
    /* An id whose member is gone: whoever is told it keeps it to itself. */
    if (member->join)
        serve_kafka_group_answer(group, member->join, error, SLICE_LITERAL(""));
    if (member->sync)
        serve_kafka_group_answer(group, member->sync, error, SLICE_LITERAL(""));
    list_remove(&member->link);
    group->member_count--;
    group->budget->members--;
    if (group->leader == member)
        group->leader = list_empty(&group->members)
                            ? NULL
                            : CONTAINER_OF(group->members.next, struct serve_kafka_member, link);
    serve_kafka_group_give(group, member->bytes);
    serve_kafka_group_disown(&member->assignment);
    mem_free(member->protocols);
    mem_free(member);
}

struct serve_kafka_pending *serve_kafka_group_pending(const struct serve_kafka_group *group,
                                                      struct slice id)
{
    LIST_EACH (link, &group->pending) {
        struct serve_kafka_pending *pending = CONTAINER_OF(link, struct serve_kafka_pending, link);
        if (slice_equal(pending->id, id))
            return pending;
    }
    return NULL;
}

/* Counted as members: who asks for ids and never joins has the same limit as who joins. */
struct serve_kafka_pending *serve_kafka_group_add_pending(struct serve_kafka_group *group,
                                                          struct slice id, int16_t *error)
{
    uint64_t bytes = sizeof(struct serve_kafka_pending) + id.size;
    *error = SERVE_KAFKA_GROUP_MAX_SIZE_REACHED;
    if (group->pending_count + group->member_count >= SERVE_KAFKA_GROUP_MEMBERS_MAX ||
        !serve_kafka_group_take(group, bytes))
        return NULL;
    struct serve_kafka_pending *pending = mem_zalloc(1, sizeof(*pending) + id.size);
    if (!pending) {
        serve_kafka_group_give(group, bytes);
        *error = SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
        return NULL;
    }
    uint8_t *at = (uint8_t *)pending->name;
    pending->id = put(&at, id);
    list_add_tail(&group->pending, &pending->link);
    group->pending_count++;
    return pending;
}

/* Used, given back, or never heard of again. */
void serve_kafka_group_remove_pending(struct serve_kafka_group *group,
                                      struct serve_kafka_pending *pending)
{
    ASSERT(group->pending_count > 0);
    list_remove(&pending->link);
    group->pending_count--;
    serve_kafka_group_give(group, sizeof(*pending) + pending->id.size);
    mem_free(pending);
}

void serve_kafka_member_touch(struct serve_kafka_member *member, uint64_t now_ms)
{
    ASSERT(member->session_ms > 0);
    member->deadline_ms = now_ms + member->session_ms;
}

void serve_kafka_group_done(struct serve_kafka_group *group)
{
    while (!list_empty(&group->pending))
        serve_kafka_group_remove_pending(
            group, CONTAINER_OF(group->pending.next, struct serve_kafka_pending, link));
    while (!list_empty(&group->members))
        serve_kafka_group_remove(group,
                                 CONTAINER_OF(group->members.next, struct serve_kafka_member, link),
                                 SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    ASSERT(list_empty(&group->answered));
    serve_kafka_group_disown(&group->protocol_type);
    serve_kafka_group_disown(&group->protocol);
    ASSERT(group->bytes == 0);
}
