#include "unit/serve/kafka/group.h"

static const struct slice no_instance = {0};

static int16_t commit(struct world *w, const char *member_id, int32_t generation)
{
    return serve_kafka_group_may_commit(&w->group, slice_string(member_id), no_instance, generation,
                                        w->now_ms);
}

/* Two members with a generation and without assignments. */
static struct world *world_completing(void)
{
    struct world *w = world_new();
    world_join_id(w, "");
    world_join_id(w, "");
    world_pass(w, 3000);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_COMPLETING);
    return w;
}

static void followers_wait_for_the_leaders_assignments(void **state)
{
    (void)state;
    static const char *const plan[] = {"fresh-1", "yours", "stranger", "nobody's", NULL};
    struct world *w = world_completing();
    struct serve_kafka_waiter *follower = world_sync(w, "fresh-1", 1, NULL);
    assert_int_equal(follower->error, WAITING);
    struct serve_kafka_waiter *leader = world_sync(w, "fresh-0", 1, plan);
    assert_int_equal(leader->error, 0);
    assert_int_equal(follower->error, 0);
    assert_slice(follower->member->assignment, "yours");
    /* One that the leader has nothing for has an empty one. */
    assert_int_equal(leader->member->assignment.size, 0);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_STABLE);
    assert_slice(world_sync(w, "fresh-1", 1, NULL)->member->assignment, "yours");
    world_free(w);
}

static void a_sync_has_to_be_of_this_generation_protocol_and_group(void **state)
{
    (void)state;
    struct world *w = world_completing();
    assert_int_equal(world_sync(w, "nobody", 1, NULL)->error, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(world_sync(w, "fresh-1", 0, NULL)->error, SERVE_KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(world_sync(w, "fresh-1", 2, NULL)->error, SERVE_KAFKA_ILLEGAL_GENERATION);
    struct serve_kafka_sync sync = {.member_id = SLICE_LITERAL("fresh-1"),
                                    .generation = 1,
                                    .protocol_type = SLICE_LITERAL("connect")};
    struct serve_kafka_waiter *waiter = world_waiter(w);
    serve_kafka_group_sync(&w->group, &sync, waiter, w->now_ms);
    world_take(w);
    assert_int_equal(waiter->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    sync.protocol_type = SLICE_LITERAL("consumer");
    sync.protocol = SLICE_LITERAL("sticky");
    waiter = world_waiter(w);
    serve_kafka_group_sync(&w->group, &sync, waiter, w->now_ms);
    world_take(w);
    assert_int_equal(waiter->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    sync.protocol = SLICE_LITERAL("range");
    waiter = world_waiter(w);
    serve_kafka_group_sync(&w->group, &sync, waiter, w->now_ms);
    world_take(w);
    assert_int_equal(waiter->error, WAITING);
    world_join_id(w, "");
    assert_int_equal(world_sync(w, "fresh-1", 1, NULL)->error, SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    world_free(w);
}

static void a_sync_that_is_sent_twice_leaves_one_that_waits(void **state)
{
    (void)state;
    struct world *w = world_completing();
    struct serve_kafka_waiter *gone = world_sync(w, "fresh-1", 1, NULL);
    struct serve_kafka_waiter *again = world_sync(w, "fresh-1", 1, NULL);
    assert_int_equal(gone->error, SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(again->error, WAITING);
    world_free(w);
}

static void assignments_that_find_no_room_are_refused_whole(void **state)
{
    (void)state;
    static const char *const plan[] = {"fresh-0", "mine", "fresh-1", "yours", NULL};
    struct world *w = world_completing();
    w->budget.bytes_max = w->budget.bytes + 8;
    assert_int_equal(world_sync(w, "fresh-0", 1, plan)->error, SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    w->budget.bytes_max = SERVE_KAFKA_GROUPS_BYTES_MAX;
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_int_equal(world_sync(w, "fresh-0", 1, plan)->error,
                         SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
        mem_fail_after(0);
        assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_COMPLETING);
        assert_null(w->group.leader->assignment.data);
    }
    assert_slice(world_sync(w, "fresh-0", 1, plan)->member->assignment, "mine");
    world_free(w);
}

static void a_generation_whose_assignments_do_not_come_ends(void **state)
{
    (void)state;
    struct world *w = world_completing();
    struct serve_kafka_waiter *follower = world_sync(w, "fresh-1", 1, NULL);
    for (int i = 0; i < 9; i++) {
        world_pass(w, 6000);
        assert_int_equal(world_beat(w, "fresh-0", 1), 0);
    }
    assert_int_equal(follower->error, WAITING);
    world_pass(w, 6000);
    /* The leader has said that it lives, and nothing else. */
    assert_int_equal(follower->error, SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_PREPARING);
    assert_int_equal(world_beat(w, "fresh-0", 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    struct serve_kafka_waiter *again = world_join_id(w, "fresh-1");
    assert_int_equal(again->error, 0);
    assert_true(again->lists);
    world_free(w);
}

static void who_never_asks_for_its_assignment_is_out_also_where_the_others_have_theirs(void **state)
{
    (void)state;
    static const char *const plan[] = {"fresh-0", "mine", "fresh-1", "yours", NULL};
    struct world *w = world_completing();
    assert_int_equal(world_sync(w, "fresh-0", 1, plan)->error, 0);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_STABLE);
    for (int i = 0; i < 9; i++) {
        world_pass(w, 6000);
        assert_int_equal(world_beat(w, "fresh-0", 1), 0);
        assert_int_equal(world_beat(w, "fresh-1", 1), 0);
    }
    world_pass(w, 6000);
    assert_int_equal(world_beat(w, "fresh-1", 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(world_beat(w, "fresh-0", 1), SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    world_free(w);
}

static void members_live_as_long_as_they_say_so(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    world_pass(w, 9999);
    assert_int_equal(world_beat(w, "fresh-0", 1), 0);
    assert_int_equal(w->group.member_count, 2);
    for (int i = 0; i < 4; i++) {
        world_pass(w, 9999);
        assert_int_equal(world_beat(w, "fresh-0", 1), SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    }
    /* The second was silent. */
    assert_int_equal(w->group.member_count, 1);
    assert_int_equal(w->budget.expired, 1);
    world_free(w);
}

static void a_group_whose_members_are_all_silent_is_empty(void **state)
{
    (void)state;
    struct world *w = world_stable(3);
    world_pass(w, 10000);
    assert_int_equal(w->group.member_count, 0);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_EMPTY);
    assert_null(w->group.leader);
    assert_int_equal(w->budget.expired, 3);
    assert_true(serve_kafka_group_due_ms(&w->group) == UINT64_MAX);
    /* Who comes then begins a new life of it. */
    world_join_id(w, "");
    world_pass(w, 3000);
    assert_int_equal(w->group.generation, 3);
    world_free(w);
}

static void who_waits_does_not_have_to_say_that_it_lives(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    struct serve_kafka_waiter *third = world_join_id(w, "");
    for (int i = 0; i < 5; i++) {
        world_pass(w, 8000);
        world_beat(w, "fresh-0", 1);
        world_beat(w, "fresh-1", 1);
    }
    assert_int_equal(third->error, WAITING);
    assert_int_equal(w->group.member_count, 3);
    world_free(w);
}

static void heartbeats_are_of_members_in_their_generation(void **state)
{
    (void)state;
    struct world *w = world_stable(1);
    assert_int_equal(world_beat(w, "fresh-0", 1), 0);
    assert_int_equal(world_beat(w, "fresh-0", 2), SERVE_KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(world_beat(w, "", 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(serve_kafka_group_heartbeat(&w->group, SLICE_LITERAL("fresh-0"),
                                                 SLICE_LITERAL("one"), 1, w->now_ms),
                     SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    world_free(w);
    w = world_new();
    assert_int_equal(world_beat(w, "a", 0), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    world_free(w);
}

static void one_that_leaves_has_the_others_join_again(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    assert_int_equal(world_leave(w, "nobody"), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_STABLE);
    assert_int_equal(world_leave(w, "fresh-0"), 0);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_PREPARING);
    assert_int_equal(world_join_id(w, "fresh-1")->error, 0);
    assert_int_equal(world_leave(w, "fresh-1"), 0);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_EMPTY);
    world_free(w);
}

static void one_that_leaves_while_others_wait_for_it_ends_the_wait(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    struct serve_kafka_waiter *third = world_join_id(w, "");
    struct serve_kafka_waiter *first = world_join_id(w, "fresh-0");
    assert_int_equal(world_leave(w, "fresh-1"), 0);
    assert_int_equal(first->error, 0);
    assert_int_equal(third->error, 0);
    world_free(w);
}

static void an_id_that_was_only_given_can_be_given_back(void **state)
{
    (void)state;
    struct world *w = world_stable(1);
    struct serve_kafka_join join = world_says("");
    join.knows_required = true;
    world_join(w, join);
    struct serve_kafka_waiter *leader = world_join_id(w, "fresh-0");
    /* It waits for the one that was promised a place. */
    assert_int_equal(leader->error, WAITING);
    assert_int_equal(world_leave(w, "fresh-1"), 0);
    assert_int_equal(leader->error, 0);
    world_free(w);
}

static void an_operator_sends_a_static_member_away_by_its_instance(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_join_static(w, "", "one", true);
    world_pass(w, 3000);
    const struct slice one = SLICE_LITERAL("one");
    assert_int_equal(serve_kafka_group_leave(&w->group, SLICE_LITERAL("wrong"), one, w->now_ms),
                     SERVE_KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(
        serve_kafka_group_leave(&w->group, SLICE_LITERAL(""), SLICE_LITERAL("two"), w->now_ms),
        SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(serve_kafka_group_leave(&w->group, SLICE_LITERAL(""), one, w->now_ms), 0);
    world_take(w);
    assert_int_equal(w->group.member_count, 0);
    world_free(w);
}

static void commits_are_of_members_in_their_generation(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    assert_int_equal(commit(w, "fresh-0", 1), 0);
    assert_int_equal(commit(w, "fresh-0", 0), SERVE_KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(commit(w, "stranger", 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    /* Nobody without a generation while the group has members. */
    assert_int_equal(commit(w, "", -1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    /* In time before it joins again. */
    world_join_id(w, "fresh-0");
    assert_int_equal(commit(w, "fresh-1", 1), 0);
    world_join_id(w, "fresh-1");
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_COMPLETING);
    assert_int_equal(commit(w, "fresh-1", 2), SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(commit(w, "fresh-1", 1), SERVE_KAFKA_ILLEGAL_GENERATION);
    world_free(w);
}

static void a_commit_says_that_its_member_lives(void **state)
{
    (void)state;
    struct world *w = world_stable(1);
    for (int i = 0; i < 5; i++) {
        world_pass(w, 9000);
        assert_int_equal(commit(w, "fresh-0", 1), 0);
    }
    assert_int_equal(w->group.touched_ms, w->now_ms);
    world_free(w);
}

static void who_has_no_generation_commits_while_nobody_is_there(void **state)
{
    (void)state;
    struct world *w = world_new();
    assert_int_equal(commit(w, "", -1), 0);
    assert_int_equal(commit(w, "", 0), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    world_free(w);
}

/* Members that come, go, die and do as they are told or not: nobody waits for ever, and a stable
 * group has told each member its own. */
static void a_long_life_of_members_that_do_what_they_like(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int life = 0; life < 200; life++) {
        struct world *w = world_new();
        for (int step = 0; step < 40 && w->calls + 4 < WORLD_CALLS; step++) {
            char id[32];
            snprintf(id, sizeof id, "fresh-%u", (uint32_t)(unit_random(&seed) % (w->fresh + 1)));
            switch (unit_random(&seed) % 8) {
            case 0:
            case 1: world_join_id(w, ""); break;
            case 2: world_join_id(w, id); break;
            case 3: world_sync(w, id, w->group.generation, NULL); break;
            case 4: world_leave(w, id); break;
            case 5: world_join_static(w, "", id, unit_random(&seed) % 2); break;
            case 6: world_beat(w, id, w->group.generation); break;
            default: world_pass(w, unit_random(&seed) % 20000); break;
            }
        }
        /* All fall silent. */
        world_pass(w, 400000);
        assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_EMPTY);
        assert_int_equal(w->group.member_count, 0);
        assert_int_equal(w->group.pending_count, 0);
        for (uint32_t i = 0; i < w->calls; i++)
            assert_int_not_equal(w->waiters[i].error, WAITING);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(followers_wait_for_the_leaders_assignments),
        cmocka_unit_test(a_sync_has_to_be_of_this_generation_protocol_and_group),
        cmocka_unit_test(a_sync_that_is_sent_twice_leaves_one_that_waits),
        cmocka_unit_test(assignments_that_find_no_room_are_refused_whole),
        cmocka_unit_test(a_generation_whose_assignments_do_not_come_ends),
        cmocka_unit_test(
            who_never_asks_for_its_assignment_is_out_also_where_the_others_have_theirs),
        cmocka_unit_test(members_live_as_long_as_they_say_so),
        cmocka_unit_test(a_group_whose_members_are_all_silent_is_empty),
        cmocka_unit_test(who_waits_does_not_have_to_say_that_it_lives),
        cmocka_unit_test(heartbeats_are_of_members_in_their_generation),
        cmocka_unit_test(one_that_leaves_has_the_others_join_again),
        cmocka_unit_test(one_that_leaves_while_others_wait_for_it_ends_the_wait),
        cmocka_unit_test(an_id_that_was_only_given_can_be_given_back),
        cmocka_unit_test(an_operator_sends_a_static_member_away_by_its_instance),
        cmocka_unit_test(commits_are_of_members_in_their_generation),
        cmocka_unit_test(a_commit_says_that_its_member_lives),
        cmocka_unit_test(who_has_no_generation_commits_while_nobody_is_there),
        cmocka_unit_test(a_long_life_of_members_that_do_what_they_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
