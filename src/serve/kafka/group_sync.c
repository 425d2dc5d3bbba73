#include "serve/kafka/group_int.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Within a generation: assignments go from the leader to everybody, members say that they live, and
 * leave; and what time does to those who do not.
 *
 * Failure modes: an assignment that finds no memory is as if the leader had not sent it. A member
 * that waits for an answer is alive whatever the time, as it cannot say so; a generation whose
 * assignments do not come ends by the rebalance timeout, which bounds that wait.
 */

/* Versions before 5 say nothing, which is no contradiction. */
static bool agrees(struct slice said, struct slice is)
{
    return !said.data || slice_equal(said, is);
}

/* Heard of from here: until its answer was there it could not say that it lives. */
static void tell_assignment(struct serve_kafka_group *group, struct serve_kafka_member *member,
                            struct serve_kafka_waiter *waiter, uint64_t now_ms)
{
    member->synced = true;
    serve_kafka_member_touch(member, now_ms);
    serve_kafka_group_answer_member(group, waiter, member);
}

/* A bound: what replaces another one or is for nobody takes less. */
static uint64_t assignment_bytes(const struct serve_kafka_sync *sync)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < sync->assignment_count; i++)
        bytes += sync->assignments[i].metadata.size;
    return bytes;
}

/* The bytes go back with it, or a group that is assigned often enough would be full. */
static void let_go_of(struct serve_kafka_group *group, struct serve_kafka_member *member)
{
    serve_kafka_group_give(group, member->assignment.size);
    member->bytes -= member->assignment.size;
    serve_kafka_group_disown(&member->assignment);
}

/* All of them or none. What is for nobody who is here is left out. */
static int16_t assign(struct serve_kafka_group *group, const struct serve_kafka_sync *sync)
{
    ASSERT(group->state == SERVE_KAFKA_GROUP_COMPLETING);
    if (!serve_kafka_group_take(group, assignment_bytes(sync)))
        return SERVE_KAFKA_GROUP_MAX_SIZE_REACHED;
    /* What each takes is counted with its member from here on. */
    serve_kafka_group_give(group, assignment_bytes(sync));
    for (uint32_t i = 0; i < sync->assignment_count; i++) {
        struct slice bytes = sync->assignments[i].metadata;
        struct slice copy = slice_make(NULL, 0);
        struct serve_kafka_member *member =
            serve_kafka_group_member(group, sync->assignments[i].name);
        if (!member)
            continue;
        let_go_of(group, member);
        if (!serve_kafka_group_own(bytes, &copy)) {
            LIST_EACH (link, &group->members)
                let_go_of(group, CONTAINER_OF(link, struct serve_kafka_member, link));
            return SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE;
        }
        bool taken = serve_kafka_group_take(group, bytes.size);
        ASSERT(taken);
        member->bytes += bytes.size;
        member->assignment = copy;
    }
    return SERVE_KAFKA_GROUP_OK;
}

/* The leader waits like the others, and is told with them. */
static void begin_stable(struct serve_kafka_group *group, uint64_t now_ms)
{
    serve_kafka_group_move(group, SERVE_KAFKA_GROUP_STABLE);
    LIST_EACH (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        struct serve_kafka_waiter *waiter = member->sync;
        member->sync = NULL;
        if (waiter)
            tell_assignment(group, member, waiter, now_ms);
    }
}

static void wait_for_leader(struct serve_kafka_group *group, struct serve_kafka_member *member,
                            const struct serve_kafka_sync *sync, struct serve_kafka_waiter *waiter,
                            uint64_t now_ms)
{
    bool leads = member == group->leader;
    int16_t error = SERVE_KAFKA_GROUP_OK;
    if (leads)
        error = assign(group, sync);
    if (error != SERVE_KAFKA_GROUP_OK) {
        serve_kafka_group_answer(group, waiter, error, member->id);
        return;
    }
    if (member->sync)
        serve_kafka_group_answer(group, member->sync, SERVE_KAFKA_REBALANCE_IN_PROGRESS,
                                 member->id);
    member->sync = waiter;
    member->synced = true;
    if (leads)
        begin_stable(group, now_ms);
}

/* One that has its assignments may ask again: the answer may have been lost. */
void serve_kafka_group_sync(struct serve_kafka_group *group, const struct serve_kafka_sync *sync,
                            struct serve_kafka_waiter *waiter, uint64_t now_ms)
{
    struct serve_kafka_member *member = NULL;
    int16_t error = serve_kafka_group_find(group, sync->member_id, sync->instance_id, &member);
    group->touched_ms = now_ms;
    if (error == SERVE_KAFKA_GROUP_OK && sync->generation != group->generation)
        error = SERVE_KAFKA_ILLEGAL_GENERATION;
    if (error == SERVE_KAFKA_GROUP_OK && (!agrees(sync->protocol_type, group->protocol_type) ||
                                          !agrees(sync->protocol, group->protocol)))
        error = SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (error == SERVE_KAFKA_GROUP_OK && group->state == SERVE_KAFKA_GROUP_PREPARING)
        error = SERVE_KAFKA_REBALANCE_IN_PROGRESS;
    if (error != SERVE_KAFKA_GROUP_OK)
        serve_kafka_group_answer(group, waiter, error, sync->member_id);
    else if (group->state == SERVE_KAFKA_GROUP_COMPLETING)
        wait_for_leader(group, member, sync, waiter, now_ms);
    else
        tell_assignment(group, member, waiter, now_ms);
}

/* Fine while assignments are made, too: a leader may take its time, and lives. */
int16_t serve_kafka_group_heartbeat(struct serve_kafka_group *group, struct slice member_id,
                                    struct slice instance_id, int32_t generation, uint64_t now_ms)
{
    struct serve_kafka_member *member = NULL;
    int16_t error = serve_kafka_group_find(group, member_id, instance_id, &member);
    if (error != SERVE_KAFKA_GROUP_OK)
        return error;
    if (generation != group->generation)
        return SERVE_KAFKA_ILLEGAL_GENERATION;
    group->touched_ms = now_ms;
    serve_kafka_member_touch(member, now_ms);
    return group->state == SERVE_KAFKA_GROUP_PREPARING ? SERVE_KAFKA_REBALANCE_IN_PROGRESS
                                                       : SERVE_KAFKA_GROUP_OK;
}

/* Others get what it had. */
static void member_is_out(struct serve_kafka_group *group, struct serve_kafka_member *member,
                          uint64_t now_ms)
{
    serve_kafka_group_remove(group, member, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    if (group->state != SERVE_KAFKA_GROUP_PREPARING)
        serve_kafka_group_rebalance(group, now_ms);
    serve_kafka_group_try_complete(group, now_ms);
}

int16_t serve_kafka_group_leave(struct serve_kafka_group *group, struct slice member_id,
                                struct slice instance_id, uint64_t now_ms)
{
    struct serve_kafka_member *member = NULL;
    struct serve_kafka_pending *pending = serve_kafka_group_pending(group, member_id);
    group->touched_ms = now_ms;
    if (pending) {
        serve_kafka_group_remove_pending(group, pending);
        serve_kafka_group_try_complete(group, now_ms);
        return SERVE_KAFKA_GROUP_OK;
    }
    /* An operator may send a static member away without knowing its id (KIP-345). */
    if (instance_id.data && member_id.size == 0)
        member = serve_kafka_group_instance(group, instance_id);
    int16_t error = SERVE_KAFKA_GROUP_OK;
    if (!member)
        error = serve_kafka_group_find(group, member_id, instance_id, &member);
    if (error == SERVE_KAFKA_GROUP_OK)
        member_is_out(group, member, now_ms);
    return error;
}

int16_t serve_kafka_group_may_commit(struct serve_kafka_group *group, struct slice member_id,
                                     struct slice instance_id, int32_t generation, uint64_t now_ms)
{
    struct serve_kafka_member *member = NULL;
    group->touched_ms = now_ms;
    /* Without a generation it is nobody's member: tools, and clients that assign themselves. */
    if (generation < 0 && group->state == SERVE_KAFKA_GROUP_EMPTY)
        return SERVE_KAFKA_GROUP_OK;
    int16_t error = serve_kafka_group_find(group, member_id, instance_id, &member);
    if (error != SERVE_KAFKA_GROUP_OK)
        return error;
    if (generation != group->generation)
        return SERVE_KAFKA_ILLEGAL_GENERATION;
    /* In PREPARING it may: what a member has done is saved before it joins again. */
    serve_kafka_member_touch(member, now_ms);
    return group->state == SERVE_KAFKA_GROUP_COMPLETING ? SERVE_KAFKA_REBALANCE_IN_PROGRESS
                                                        : SERVE_KAFKA_GROUP_OK;
}

/* It has its generation, and was to ask for what it reads in it: what the leader has given it is
 * read by nobody meanwhile, however often it says that it lives. */
static bool owes_sync(const struct serve_kafka_group *group,
                      const struct serve_kafka_member *member)
{
    bool running =
        group->state == SERVE_KAFKA_GROUP_COMPLETING || group->state == SERVE_KAFKA_GROUP_STABLE;
    return running && !member->synced;
}

/* Its client has sent a request and may not send another one before the answer. */
static bool waits(const struct serve_kafka_member *member)
{
    return member->join || member->sync;
}

static void tick_members(struct serve_kafka_group *group, uint64_t now_ms)
{
    bool gone = false;
    LIST_EACH_SAFE (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        bool late = owes_sync(group, member) && now_ms >= group->sync_deadline_ms;
        if (!late && (waits(member) || now_ms < member->deadline_ms))
            continue;
        serve_kafka_group_remove(group, member, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
        group->budget->expired++;
        gone = true;
    }
    /* Once for all of them. */
    if (gone && group->state != SERVE_KAFKA_GROUP_PREPARING)
        serve_kafka_group_rebalance(group, now_ms);
}

/* Whoever was waited for is waited for no more. */
static void tick_pending(struct serve_kafka_group *group, uint64_t now_ms)
{
    LIST_EACH_SAFE (link, &group->pending) {
        struct serve_kafka_pending *pending = CONTAINER_OF(link, struct serve_kafka_pending, link);
        if (now_ms >= pending->deadline_ms)
            serve_kafka_group_remove_pending(group, pending);
    }
}

void serve_kafka_group_tick(struct serve_kafka_group *group, uint64_t now_ms)
{
    tick_pending(group, now_ms);
    tick_members(group, now_ms);
    if (group->state != SERVE_KAFKA_GROUP_PREPARING)
        return;
    bool more = group->initial && group->grew && now_ms < group->join_deadline_ms;
    if (group->initial && now_ms >= group->delay_ms && more) {
        group->grew = false;
        group->delay_ms = now_ms + SERVE_KAFKA_GROUP_DELAY_MS;
        if (group->delay_ms > group->join_deadline_ms)
            group->delay_ms = group->join_deadline_ms;
        return;
    }
    uint64_t end_ms = group->initial ? group->delay_ms : group->join_deadline_ms;
    if (now_ms >= end_ms)
        serve_kafka_group_complete(group, now_ms);
    else
        serve_kafka_group_try_complete(group, now_ms);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The earliest of all, as one timer stands for them; who waits is under the deadline of what he
 * waits for. */
uint64_t serve_kafka_group_due_ms(const struct serve_kafka_group *group)
{
    uint64_t due = UINT64_MAX;
    if (group->state == SERVE_KAFKA_GROUP_PREPARING)
        due = group->initial ? group->delay_ms : group->join_deadline_ms;
    LIST_EACH (link, &group->pending)
        due = earlier(due, CONTAINER_OF(link, struct serve_kafka_pending, link)->deadline_ms);
    LIST_EACH (link, &group->members) {
        const struct serve_kafka_member *member =
            CONTAINER_OF(link, struct serve_kafka_member, link);
        if (!waits(member))
            due = earlier(due, member->deadline_ms);
        if (owes_sync(group, member))
            due = earlier(due, group->sync_deadline_ms);
    }
    return due;
}

/* Members stay: who comes back finds the group as it was. */
void serve_kafka_group_cancel(struct serve_kafka_group *group, int16_t error)
{
    LIST_EACH (link, &group->members) {
        struct serve_kafka_member *member = CONTAINER_OF(link, struct serve_kafka_member, link);
        if (member->join)
            serve_kafka_group_answer(group, member->join, error, member->id);
        if (member->sync)
            serve_kafka_group_answer(group, member->sync, error, member->id);
        member->join = member->sync = NULL;
    }
}
