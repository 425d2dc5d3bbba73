#include "serve/kafka/group_int.h"

#include "base/assert.h"

/*
 * The happy path: a member joins an empty group, which waits a little for others; then everybody
 * who waits has the next generation, and its leader the list of members. Whoever comes later, or
 * leaves, or changes what it subscribes to, has all others join again: they learn of it by their
 * heartbeats, and who is not back within the longest rebalance timeout is out.
 *
 * Failure modes: a member whose connection goes while its join waits stays, and is dropped by its
 * session if it does not come back; one that comes back with its id takes its own place. A static
 * member that comes without its id takes its place over, and with it the assignment, so that nobody
 * else has to join again.
 */

/* The one thing that a group keeps without counting it. */
#define PROTOCOL_TYPE_MAX 256u

static bool speaks(const struct serve_kafka_member *member, struct slice protocol)
{
    for (uint32_t i = 0; i < member->protocol_count; i++)
        if (slice_equal(member->protocols[i].name, protocol))
            return true;
    return false;
}

static bool all_speak(const struct serve_kafka_group *group, struct slice protocol)
{
    LIST_EACH (link, &group->members)
        if (!speaks(CONTAINER_OF(link, struct serve_kafka_member, link), protocol))
            return false;
    return true;
}

/* Whoever joins has to share a protocol with all who are there. */
static bool fits(const struct serve_kafka_group *group, const struct serve_kafka_join *join)
{
    if (join->protocol_type.size > PROTOCOL_TYPE_MAX)
        return false;
    if (group->member_count == 0)
        return join->protocol_type.size > 0 && join->protocol_count > 0;
    if (!slice_equal(join->protocol_type, group->protocol_type))
        return false;
    for (uint32_t i = 0; i < join->protocol_count; i++)
        if (all_speak(group, join->protocols[i].name))
            return true;
    return false;
}

/* To the byte, in the same order: which topics a client means is not ours to know. */
static bool says_the_same(const struct serve_kafka_member *member,
                          const struct serve_kafka_join *join)
{
    if (member->protocol_count != join->protocol_count)
        return false;
    for (uint32_t i = 0; i < join->protocol_count; i++)
        if (!slice_equal(member->protocols[i].name, join->protocols[i].name) ||
            !slice_equal(member->protocols[i].metadata, join->protocols[i].metadata))
            return false;
    return true;
}

static uint32_t votes_for(const struct serve_kafka_group *group, struct slice protocol)
{
    uint32_t votes = 0;
    LIST_EACH (link, &group->members) {
        const struct serve_kafka_member *member =
            CONTAINER_OF(link, struct serve_kafka_member, link);
        for (uint32_t i = 0; i < member->protocol_count; i++) {
            /* Its first that everybody speaks. */
            if (!all_speak(group, member->protocols[i].name))
                continue;
            votes += slice_equal(member->protocols[i].name, protocol);
            break;
        }
    }
    return votes;
}

/* Each member has a vote; of those with as many the leader's first. */
static struct slice choose(const struct serve_kafka_group *group)
{
    struct slice best = SLICE_LITERAL("");
    uint32_t most = 0;
    ASSERT(group->leader);
    for (uint32_t i = 0; i < group->leader->protocol_count; i++) {
        struct slice name = group->leader->protocols[i].name;
        uint32_t votes = all_speak(group, name) ? votes_for(group, name) : 0;
        if (votes > most) {
            most = votes;
            best = name;
        }
    }
    return best;
}

/* The longest, as each was promised its own time to come back. */
static uint64_t rebalance_ms(const struct serve_kafka_group *group)
{
    uint64_t longest = 0;
    LIST_EACH (link, &group->members) {
        uint32_t ms = CONTAINER_OF(link, struct serve_kafka_member, link)->rebalance_ms;
        longest = ms > longest ? ms : longest;
    }
    return longest;
}

void serve_kafka_group_rebalance(struct serve_kafka_group *group, uint64_t now_ms)
{
    ASSERT(group->state != SERVE_KAFKA_GROUP_DEAD);
    LIST_EACH (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        if (!member->sync)
            continue;
        serve_kafka_group_answer(group, member->sync, SERVE_KAFKA_REBALANCE_IN_PROGRESS,
                                 member->id);
        member->sync = NULL;
        serve_kafka_member_touch(member, now_ms);
    }
    group->initial = group->state == SERVE_KAFKA_GROUP_EMPTY;
    group->grew = false;
    group->delay_ms = now_ms + SERVE_KAFKA_GROUP_DELAY_MS;
    group->join_deadline_ms = now_ms + rebalance_ms(group);
    serve_kafka_group_move(group, SERVE_KAFKA_GROUP_PREPARING);
}

/* False when none of them is back. */
static bool elect(struct serve_kafka_group *group)
{
    if (group->leader && group->leader->join)
        return true;
    LIST_EACH (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        if (!member->join)
            continue;
        group->leader = member;
        return true;
    }
    return false;
}

static void drop_who_is_not_back(struct serve_kafka_group *group)
{
    LIST_EACH_SAFE (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        /* A static one has until its session ends: that is what it is static for. */
        if (!member->join && !member->instance_id.data)
            serve_kafka_group_remove(group, member, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    }
}

static void tell_generation(struct serve_kafka_group *group, struct serve_kafka_member *member,
                            uint64_t now_ms)
{
    struct serve_kafka_waiter *waiter = member->join;
    /* A static one that is away has not heard of it: its session decides. */
    member->synced = !waiter;
    if (!waiter)
        return;
    member->join = NULL;
    waiter->lists = member == group->leader;
    serve_kafka_group_answer_member(group, waiter, member);
    serve_kafka_member_touch(member, now_ms);
}

/* They are of a generation that is over: one who asks with its number is not to get them. */
static void clear_assignments(struct serve_kafka_group *group)
{
    LIST_EACH (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        serve_kafka_group_give(group, member->assignment.size);
        member->bytes -= member->assignment.size;
        serve_kafka_group_disown(&member->assignment);
    }
}

void serve_kafka_group_complete(struct serve_kafka_group *group, uint64_t now_ms)
{
    struct slice protocol = slice_make(NULL, 0);
    ASSERT(group->state == SERVE_KAFKA_GROUP_PREPARING);
    group->initial = false;
    drop_who_is_not_back(group);
    if (!elect(group) && group->member_count > 0) {
        /* Static members alone, none of them back: their sessions decide. */
        group->join_deadline_ms = now_ms + rebalance_ms(group);
        return;
    }
    /* Without memory for a name: those who wait will ask again. */
    if (group->member_count > 0 && !serve_kafka_group_own(choose(group), &protocol)) {
        group->join_deadline_ms = now_ms + SERVE_KAFKA_GROUP_DELAY_MS;
        return;
    }
    serve_kafka_group_disown(&group->protocol);
    group->protocol = protocol;
    group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
    group->touched_ms = now_ms;
    clear_assignments(group);
    if (group->member_count == 0) {
        serve_kafka_group_move(group, SERVE_KAFKA_GROUP_EMPTY);
        return;
    }
    group->budget->rebalances++;
    group->sync_deadline_ms = now_ms + rebalance_ms(group);
    serve_kafka_group_move(group, SERVE_KAFKA_GROUP_COMPLETING);
    LIST_EACH (link, &group->members)
        tell_generation(group, CONTAINER_OF(link, struct serve_kafka_member, link), now_ms);
}

/* Not within the first delay: then all who are there are back by nature, and the others are waited
 * for. */
void serve_kafka_group_try_complete(struct serve_kafka_group *group, uint64_t now_ms)
{
    if (group->state != SERVE_KAFKA_GROUP_PREPARING || group->initial || group->pending_count > 0)
        return;
    LIST_EACH (link, &group->members)
        if (!CONTAINER_OF(link, struct serve_kafka_member, link)->join)
            return;
    serve_kafka_group_complete(group, now_ms);
}

static void wait_for_others(struct serve_kafka_group *group, struct serve_kafka_member *member,
                            struct serve_kafka_waiter *waiter, uint64_t now_ms)
{
    /* Asked again while it waits: whoever asked before has given up. */
    if (member->join)
        serve_kafka_group_answer(group, member->join, SERVE_KAFKA_REBALANCE_IN_PROGRESS,
                                 member->id);
    member->join = waiter;
    serve_kafka_member_touch(member, now_ms);
    if (group->state != SERVE_KAFKA_GROUP_PREPARING)
        serve_kafka_group_rebalance(group, now_ms);
    serve_kafka_group_try_complete(group, now_ms);
}

/* The first to join says what protocol type the group is of. */
static bool set_type(struct serve_kafka_group *group, struct slice type)
{
    struct slice copy = slice_make(NULL, 0);
    if (group->member_count > 0)
        return true;
    if (!serve_kafka_group_own(type, &copy))
        return false;
    serve_kafka_group_disown(&group->protocol_type);
    group->protocol_type = copy;
    return true;
}

static void add_member(struct serve_kafka_group *group, const struct serve_kafka_join *join,
                       struct slice id, struct serve_kafka_waiter *waiter, uint64_t now_ms)
{
    int16_t error = SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
    struct serve_kafka_member *member = NULL;
    if (group->member_count >= SERVE_KAFKA_GROUP_MEMBERS_MAX)
        error = SERVE_KAFKA_GROUP_MAX_SIZE_REACHED;
    else if (set_type(group, join->protocol_type))
        member = serve_kafka_group_add(group, join, id, &error);
    if (!member) {
        serve_kafka_group_answer(group, waiter, error, join->member_id);
        return;
    }
    /* What comes within the first delay makes it longer. */
    group->grew = group->state == SERVE_KAFKA_GROUP_PREPARING && group->initial;
    wait_for_others(group, member, waiter, now_ms);
}

/* What it says is taken first, or the generation would be made of what it said before. */
static void rejoin(struct serve_kafka_group *group, struct serve_kafka_member *member,
                   const struct serve_kafka_join *join, struct serve_kafka_waiter *waiter,
                   uint64_t now_ms)
{
    int16_t error = serve_kafka_group_update(group, member, join);
    if (error == SERVE_KAFKA_GROUP_OK)
        wait_for_others(group, member, waiter, now_ms);
    else
        serve_kafka_group_answer(group, waiter, error, join->member_id);
}

/* A new process with the instance id of one that is there: it takes over what that one has. */
static void replace(struct serve_kafka_group *group, struct serve_kafka_member *old,
                    const struct serve_kafka_join *join, struct slice id,
                    struct serve_kafka_waiter *waiter, uint64_t now_ms)
{
    int16_t error;
    struct serve_kafka_member *member = serve_kafka_group_add(group, join, id, &error);
    if (!member) {
        serve_kafka_group_answer(group, waiter, error, join->member_id);
        return;
    }
    bool leads = group->leader == old;
    member->assignment = old->assignment;
    member->bytes += old->assignment.size;
    member->synced = old->synced;
    old->bytes -= old->assignment.size;
    old->assignment = slice_make(NULL, 0);
    serve_kafka_group_remove(group, old, SERVE_KAFKA_FENCED_INSTANCE_ID);
    if (leads)
        group->leader = member;
    if (group->state != SERVE_KAFKA_GROUP_STABLE || !slice_equal(choose(group), group->protocol)) {
        wait_for_others(group, member, waiter, now_ms);
        return;
    }
    /* The leader of a generation that has its assignments must not make them again: newer clients
     * are told so, older ones that somebody else leads. */
    waiter->lists = leads && join->knows_skipping;
    waiter->skip_assignment = waiter->lists;
    waiter->hides_leader = leads && !join->knows_skipping;
    serve_kafka_member_touch(member, now_ms);
    serve_kafka_group_answer_member(group, waiter, member);
}

static void join_without_id(struct serve_kafka_group *group, const struct serve_kafka_join *join,
                            struct serve_kafka_waiter *waiter, uint64_t now_ms)
{
    int16_t error;
    struct serve_kafka_member *same =
        join->instance_id.data ? serve_kafka_group_instance(group, join->instance_id) : NULL;
    if (same) {
        replace(group, same, join, join->fresh, waiter, now_ms);
        return;
    }
    if (join->instance_id.data || !join->knows_required) {
        add_member(group, join, join->fresh, waiter, now_ms);
        return;
    }
    /* Whoever never hears of its id has not become a member that others wait for (KIP-394). */
    struct serve_kafka_pending *pending = serve_kafka_group_add_pending(group, join->fresh, &error);
    if (!pending) {
        serve_kafka_group_answer(group, waiter, error, join->member_id);
        return;
    }
    pending->deadline_ms =
        now_ms + (join->session_ms < SERVE_KAFKA_PENDING_MS_MAX ? join->session_ms
                                                                : SERVE_KAFKA_PENDING_MS_MAX);
    serve_kafka_group_answer(group, waiter, SERVE_KAFKA_MEMBER_ID_REQUIRED, pending->id);
}

/* With its id, and known. */
static void join_again(struct serve_kafka_group *group, struct serve_kafka_member *member,
                       const struct serve_kafka_join *join, struct serve_kafka_waiter *waiter,
                       uint64_t now_ms)
{
    bool same = says_the_same(member, join);
    bool leads = member == group->leader;
    /* It did not hear the answer; or, with its generation, it follows, and nothing has changed. */
    bool told_again = (group->state == SERVE_KAFKA_GROUP_COMPLETING && same) ||
                      (group->state == SERVE_KAFKA_GROUP_STABLE && same && !leads);
    if (!told_again) {
        rejoin(group, member, join, waiter, now_ms);
        return;
    }
    waiter->lists = leads;
    serve_kafka_member_touch(member, now_ms);
    serve_kafka_group_answer_member(group, waiter, member);
}

void serve_kafka_group_join(struct serve_kafka_group *group, const struct serve_kafka_join *join,
                            struct serve_kafka_waiter *waiter, uint64_t now_ms)
{
    struct serve_kafka_member *member = NULL;
    ASSERT(join->fresh.size > 0 && group->state != SERVE_KAFKA_GROUP_DEAD);
    group->touched_ms = now_ms;
    if (!fits(group, join)) {
        serve_kafka_group_answer(group, waiter, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL,
                                 join->member_id);
        return;
    }
    if (join->member_id.size == 0) {
        join_without_id(group, join, waiter, now_ms);
        return;
    }
    struct serve_kafka_pending *pending = serve_kafka_group_pending(group, join->member_id);
    if (pending && !join->instance_id.data) {
        serve_kafka_group_remove_pending(group, pending);
        add_member(group, join, join->member_id, waiter, now_ms);
        return;
    }
    int16_t error = serve_kafka_group_find(group, join->member_id, join->instance_id, &member);
    if (error == SERVE_KAFKA_GROUP_OK)
        join_again(group, member, join, waiter, now_ms);
    else
        serve_kafka_group_answer(group, waiter, error, join->member_id);
}
