#pragma once

/*
 * A group with members that the tests call by a letter: what each says, and what each was last
 * answered. Time stands still unless a test moves it.
 */

#include "base/alloc.h"
#include "lib/unit.h"
#include "serve/kafka/group_int.h"

#define WORLD_CALLS 64
#define WAITING (-100) /* of a call that has no answer yet */

struct world {
    struct serve_kafka_group_budget budget;
    struct serve_kafka_group group;
    uint64_t now_ms;
    uint32_t fresh; /* ids given out */
    char ids[WORLD_CALLS][64];
    struct serve_kafka_waiter waiters[WORLD_CALLS];
    uint32_t calls;
    struct serve_kafka_waiter *last;
};

static inline struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->budget.bytes_max = SERVE_KAFKA_GROUPS_BYTES_MAX;
    w->now_ms = 1000;
    serve_kafka_group_init(&w->group, &w->budget);
    return w;
}

/* Takes the answers; each is kept where its waiter is. */
static inline void world_take(struct world *w)
{
    while (list_pop(&w->group.answered)) {
    }
}

static inline void world_free(struct world *w)
{
    serve_kafka_group_cancel(&w->group, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    world_take(w);
    serve_kafka_group_done(&w->group);
    assert_int_equal(w->budget.bytes, 0);
    assert_int_equal(w->budget.members, 0);
    free(w);
}

static inline struct serve_kafka_waiter *world_waiter(struct world *w)
{
    assert_true(w->calls < WORLD_CALLS);
    struct serve_kafka_waiter *waiter = &w->waiters[w->calls++];
    *waiter = (struct serve_kafka_waiter){.error = WAITING};
    w->last = waiter;
    return waiter;
}

static const struct serve_kafka_protocol world_range[] = {
    {SLICE_LITERAL("range"), SLICE_LITERAL("topics")}};

/* A consumer of one protocol, with times of 10 s for its session and 60 s to come back. */
static inline struct serve_kafka_join world_says(const char *member_id)
{
    return (struct serve_kafka_join){
        .member_id = slice_string(member_id),
        .client_id = SLICE_LITERAL("client"),
        .protocol_type = SLICE_LITERAL("consumer"),
        .protocols = world_range,
        .protocol_count = 1,
        .session_ms = 10000,
        .rebalance_ms = 60000,
    };
}

/* The waiter of a join, which has its answer or not yet. */
static inline struct serve_kafka_waiter *world_join(struct world *w, struct serve_kafka_join join)
{
    struct serve_kafka_waiter *waiter = world_waiter(w);
    char *id = w->ids[w->fresh];
    snprintf(id, sizeof w->ids[0], "fresh-%u", w->fresh++);
    join.fresh = slice_string(id);
    serve_kafka_group_join(&w->group, &join, waiter, w->now_ms);
    world_take(w);
    return waiter;
}

static inline struct serve_kafka_waiter *world_join_id(struct world *w, const char *member_id)
{
    return world_join(w, world_says(member_id));
}

/* The same as what a static member says. */
static inline struct serve_kafka_waiter *world_join_static(struct world *w, const char *member_id,
                                                           const char *instance_id, bool skipping)
{
    struct serve_kafka_join join = world_says(member_id);
    join.instance_id = slice_string(instance_id);
    join.knows_required = true;
    join.knows_skipping = skipping;
    return world_join(w, join);
}

/* The sync of a member; the leader sends `plan`, pairs of member ids and assignments, up to NULL.
 */
static inline struct serve_kafka_waiter *world_sync(struct world *w, const char *member_id,
                                                    int32_t generation, const char *const *plan)
{
    struct serve_kafka_protocol assignments[8];
    uint32_t count = 0;
    struct serve_kafka_waiter *waiter = world_waiter(w);
    for (; plan && plan[(size_t)2 * count]; count++)
        assignments[count] = (struct serve_kafka_protocol){
            slice_string(plan[(size_t)2 * count]), slice_string(plan[(size_t)2 * count + 1])};
    struct serve_kafka_sync sync = {.member_id = slice_string(member_id),
                                    .generation = generation,
                                    .assignments = assignments,
                                    .assignment_count = count};
    serve_kafka_group_sync(&w->group, &sync, waiter, w->now_ms);
    world_take(w);
    return waiter;
}

/* Lets time pass, doing what is due when it is due. */
static inline void world_pass(struct world *w, uint64_t ms)
{
    uint64_t end_ms = w->now_ms + ms;
    for (int i = 0; serve_kafka_group_due_ms(&w->group) <= end_ms; i++) {
        assert_true(i < 1000);
        uint64_t due_ms = serve_kafka_group_due_ms(&w->group);
        w->now_ms = due_ms > w->now_ms ? due_ms : w->now_ms;
        serve_kafka_group_tick(&w->group, w->now_ms);
        world_take(w);
    }
    w->now_ms = end_ms;
}

static inline int16_t world_beat(struct world *w, const char *member_id, int32_t generation)
{
    return serve_kafka_group_heartbeat(&w->group, slice_string(member_id), slice_make(NULL, 0),
                                       generation, w->now_ms);
}

static inline int16_t world_leave(struct world *w, const char *member_id)
{
    int16_t error =
        serve_kafka_group_leave(&w->group, slice_string(member_id), slice_make(NULL, 0), w->now_ms);
    world_take(w);
    return error;
}

/* Members fresh-0 to fresh-(n - 1), stable in generation 1, each with its id as the assignment. */
static inline struct world *world_stable(uint32_t count)
{
    static const char *const plan[] = {"fresh-0", "fresh-0", "fresh-1", "fresh-1",
                                       "fresh-2", "fresh-2", NULL};
    struct world *w = world_new();
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(world_join_id(w, "")->error, WAITING);
    world_pass(w, 3000);
    for (uint32_t i = 0; i < count; i++) {
        struct serve_kafka_waiter *sync = world_sync(w, w->ids[i], 1, i == 0 ? plan : NULL);
        assert_int_equal(sync->error, SERVE_KAFKA_GROUP_OK);
        assert_true(slice_equal_string(sync->member->assignment, w->ids[i]));
    }
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_STABLE);
    return w;
}
