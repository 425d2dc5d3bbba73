#include "unit/serve/kafka/group.h"

static void an_empty_group_waits_for_others_before_its_first_generation(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_waiter *first = world_join_id(w, "");
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_PREPARING);
    world_pass(w, SERVE_KAFKA_GROUP_DELAY_MS - 1);
    struct serve_kafka_waiter *second = world_join_id(w, "");
    world_pass(w, 1);
    /* Somebody came: it waits once more. */
    assert_int_equal(first->error, WAITING);
    world_pass(w, SERVE_KAFKA_GROUP_DELAY_MS);
    assert_int_equal(first->error, 0);
    assert_int_equal(second->error, 0);
    assert_true(first->lists);
    assert_false(second->lists);
    assert_int_equal(w->group.generation, 1);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_COMPLETING);
    assert_slice(w->group.protocol, "range");
    assert_slice(w->group.protocol_type, "consumer");
    assert_int_equal(w->budget.rebalances, 1);
    world_free(w);
}

static void the_first_wait_is_no_longer_than_the_rebalance_timeout(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_join join = world_says("");
    join.rebalance_ms = 2500;
    struct serve_kafka_waiter *first = world_join(w, join);
    for (int i = 0; i < 5; i++) {
        world_pass(w, 500);
        if (i < 4)
            world_join(w, join);
    }
    assert_int_equal(first->error, 0);
    assert_int_equal(w->group.member_count, 5);
    world_free(w);
}

static void a_client_that_knows_how_gets_an_id_before_it_joins(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_join join = world_says("");
    join.knows_required = true;
    struct serve_kafka_waiter *told = world_join(w, join);
    assert_int_equal(told->error, SERVE_KAFKA_MEMBER_ID_REQUIRED);
    assert_slice(told->member_id, "fresh-0");
    assert_int_equal(w->group.member_count, 0);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_EMPTY);
    join.member_id = SLICE_LITERAL("fresh-0");
    struct serve_kafka_waiter *waits = world_join(w, join);
    assert_int_equal(waits->error, WAITING);
    assert_int_equal(w->group.pending_count, 0);
    world_pass(w, 3000);
    assert_int_equal(waits->error, 0);
    assert_slice(waits->member->id, "fresh-0");
    world_free(w);
}

static void an_id_that_was_given_and_is_not_used_is_forgotten(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_join join = world_says("");
    join.knows_required = true;
    join.session_ms = SERVE_KAFKA_SESSION_MS_MIN;
    world_join(w, join);
    world_pass(w, join.session_ms - 1);
    assert_int_equal(w->group.pending_count, 1);
    world_pass(w, 1);
    assert_int_equal(w->group.pending_count, 0);
    assert_int_equal(world_join_id(w, "fresh-0")->error, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_true(serve_kafka_group_due_ms(&w->group) == UINT64_MAX);
    world_free(w);
}

/* However long the session would be. */
static void an_id_that_is_not_used_holds_no_place_for_long(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_join join = world_says("");
    join.knows_required = true;
    join.session_ms = SERVE_KAFKA_SESSION_MS_MAX;
    world_join(w, join);
    world_pass(w, SERVE_KAFKA_PENDING_MS_MAX - 1);
    assert_int_equal(w->group.pending_count, 1);
    world_pass(w, 1);
    assert_int_equal(w->group.pending_count, 0);
    assert_int_equal(w->budget.bytes, 0);
    world_free(w);
}

static void an_id_that_nobody_was_given_is_unknown(void **state)
{
    (void)state;
    struct world *w = world_stable(1);
    assert_int_equal(world_join_id(w, "invented")->error, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(world_join_static(w, "invented", "one", true)->error,
                     SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_STABLE);
    world_free(w);
}

static void who_shares_no_protocol_is_refused(void **state)
{
    (void)state;
    struct world *w = world_stable(1);
    static const struct serve_kafka_protocol other[] = {
        {SLICE_LITERAL("sticky"), SLICE_LITERAL("topics")}};
    struct serve_kafka_join join = world_says("");
    join.protocols = other;
    assert_int_equal(world_join(w, join)->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    join = world_says("");
    join.protocol_type = SLICE_LITERAL("connect");
    assert_int_equal(world_join(w, join)->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    join = world_says("");
    join.protocol_count = 0;
    assert_int_equal(world_join(w, join)->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(w->group.member_count, 1);
    world_free(w);
    w = world_new();
    join.protocol_count = 0;
    assert_int_equal(world_join(w, join)->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    join = world_says("");
    join.protocol_type = SLICE_LITERAL("");
    assert_int_equal(world_join(w, join)->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    char longest[300];
    memset(longest, 'x', sizeof longest);
    join.protocol_type = slice_make(longest, sizeof longest);
    assert_int_equal(world_join(w, join)->error, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    world_free(w);
}

static void the_protocol_is_the_one_that_most_prefer_of_those_that_all_speak(void **state)
{
    (void)state;
    static const struct serve_kafka_protocol says[3][3] = {
        {{SLICE_LITERAL("a"), SLICE_LITERAL("1")},
         {SLICE_LITERAL("b"), SLICE_LITERAL("1")},
         {SLICE_LITERAL("c"), SLICE_LITERAL("1")}},
        {{SLICE_LITERAL("c"), SLICE_LITERAL("2")},
         {SLICE_LITERAL("b"), SLICE_LITERAL("2")},
         {SLICE_LITERAL("x"), SLICE_LITERAL("2")}},
        {{SLICE_LITERAL("x"), SLICE_LITERAL("3")},
         {SLICE_LITERAL("b"), SLICE_LITERAL("3")},
         {SLICE_LITERAL("c"), SLICE_LITERAL("3")}}};
    struct world *w = world_new();
    for (int i = 0; i < 3; i++) {
        struct serve_kafka_join join = world_says("");
        join.protocols = says[i];
        join.protocol_count = 3;
        world_join(w, join);
    }
    world_pass(w, 3000);
    /* b and c are spoken by all; the first and the third vote for b, the second for c. */
    assert_slice(w->group.protocol, "b");
    assert_slice(serve_kafka_member_metadata(w->group.leader, w->group.protocol), "1");
    world_free(w);
}

static void a_second_member_has_the_first_join_again(void **state)
{
    (void)state;
    struct world *w = world_stable(1);
    struct serve_kafka_waiter *second = world_join_id(w, "");
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_PREPARING);
    assert_int_equal(world_beat(w, "fresh-0", 1), SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(second->error, WAITING);
    struct serve_kafka_waiter *first = world_join_id(w, "fresh-0");
    assert_int_equal(first->error, 0);
    assert_int_equal(second->error, 0);
    assert_int_equal(w->group.generation, 2);
    assert_true(first->lists && !second->lists);
    world_free(w);
}

static void who_is_not_back_in_time_is_out_and_another_leads(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    struct serve_kafka_waiter *third = world_join_id(w, "");
    /* The first says that it lives, and does not come back. */
    for (int i = 0; i < 9; i++) {
        world_pass(w, 6000);
        assert_int_equal(world_beat(w, "fresh-0", 1), SERVE_KAFKA_REBALANCE_IN_PROGRESS);
        assert_int_equal(world_beat(w, "fresh-1", 1), SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    }
    struct serve_kafka_waiter *second = world_join_id(w, "fresh-1");
    assert_int_equal(second->error, WAITING);
    world_pass(w, 6000);
    assert_int_equal(second->error, 0);
    assert_int_equal(third->error, 0);
    assert_true(second->lists);
    assert_int_equal(w->group.member_count, 2);
    assert_int_equal(world_beat(w, "fresh-0", 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    world_free(w);
}

static void a_follower_that_asks_again_is_told_again_and_nobody_else_is_bothered(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    struct serve_kafka_waiter *again = world_join_id(w, "fresh-1");
    assert_int_equal(again->error, 0);
    assert_false(again->lists);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_STABLE);
    assert_int_equal(w->group.generation, 1);
    world_free(w);
}

static void a_leader_that_asks_again_wants_a_rebalance(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    struct serve_kafka_waiter *leader = world_join_id(w, "fresh-0");
    assert_int_equal(leader->error, WAITING);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_PREPARING);
    world_join_id(w, "fresh-1");
    assert_int_equal(leader->error, 0);
    assert_int_equal(w->group.generation, 2);
    world_free(w);
}

static void another_subscription_has_all_join_again(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    static const struct serve_kafka_protocol more[] = {
        {SLICE_LITERAL("range"), SLICE_LITERAL("more topics")}};
    struct serve_kafka_join join = world_says("fresh-1");
    join.protocols = more;
    struct serve_kafka_waiter *changed = world_join(w, join);
    assert_int_equal(changed->error, WAITING);
    world_join_id(w, "fresh-0");
    assert_int_equal(changed->error, 0);
    assert_slice(serve_kafka_member_metadata(changed->member, w->group.protocol), "more topics");
    world_free(w);
}

static void who_has_not_heard_its_generation_is_told_again(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_join_id(w, "");
    world_join_id(w, "");
    world_pass(w, 3000);
    struct serve_kafka_waiter *leader = world_join_id(w, "fresh-0");
    assert_int_equal(leader->error, 0);
    assert_true(leader->lists);
    assert_int_equal(world_join_id(w, "fresh-1")->error, 0);
    assert_int_equal(w->group.generation, 1);
    world_free(w);
}

static void a_join_that_is_sent_twice_leaves_one_that_waits(void **state)
{
    (void)state;
    struct world *w = world_stable(2);
    world_join_id(w, "");
    struct serve_kafka_waiter *gone = world_join_id(w, "fresh-0");
    assert_int_equal(gone->error, WAITING);
    struct serve_kafka_waiter *again = world_join_id(w, "fresh-0");
    assert_int_equal(gone->error, SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(again->error, WAITING);
    world_join_id(w, "fresh-1");
    assert_int_equal(again->error, 0);
    assert_int_equal(w->group.member_count, 3);
    world_free(w);
}

static void a_member_that_comes_while_others_wait_for_assignments_begins_again(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_join_id(w, "");
    world_join_id(w, "");
    world_pass(w, 3000);
    struct serve_kafka_waiter *sync = world_sync(w, "fresh-1", 1, NULL);
    assert_int_equal(sync->error, WAITING);
    struct serve_kafka_waiter *third = world_join_id(w, "");
    assert_int_equal(sync->error, SERVE_KAFKA_REBALANCE_IN_PROGRESS);
    world_join_id(w, "fresh-1");
    world_join_id(w, "fresh-0");
    assert_int_equal(third->error, 0);
    assert_int_equal(w->group.member_count, 3);
    world_free(w);
}

static void a_static_member_takes_its_place_back_without_a_rebalance(void **state)
{
    (void)state;
    for (int skipping = 0; skipping < 2; skipping++) {
        static const char *const plan[] = {"fresh-0", "mine", "fresh-1", "yours", NULL};
        struct world *w = world_new();
        world_join_static(w, "", "one", skipping);
        world_join_static(w, "", "two", skipping);
        world_pass(w, 3000);
        world_sync(w, "fresh-0", 1, plan);
        world_sync(w, "fresh-1", 1, NULL);
        /* The leader, and one that follows. */
        struct serve_kafka_waiter *leader = world_join_static(w, "", "one", skipping);
        assert_int_equal(leader->error, 0);
        assert_slice(leader->member->id, "fresh-2");
        assert_int_equal(leader->lists, skipping);
        assert_int_equal(leader->skip_assignment, skipping);
        assert_int_equal(leader->hides_leader, !skipping);
        assert_ptr_equal(w->group.leader, leader->member);
        struct serve_kafka_waiter *other = world_join_static(w, "", "two", skipping);
        assert_false(other->lists || other->skip_assignment || other->hides_leader);
        assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_STABLE);
        assert_int_equal(w->group.generation, 1);
        assert_int_equal(w->group.member_count, 2);
        assert_slice(world_sync(w, "fresh-2", 1, NULL)->member->assignment, "mine");
        assert_slice(world_sync(w, "fresh-3", 1, NULL)->member->assignment, "yours");
        /* Who had the places is out. */
        struct serve_kafka_member *found;
        assert_int_equal(serve_kafka_group_find(&w->group, SLICE_LITERAL("fresh-0"),
                                                SLICE_LITERAL("one"), &found),
                         SERVE_KAFKA_FENCED_INSTANCE_ID);
        assert_int_equal(world_join_static(w, "fresh-0", "one", skipping)->error,
                         SERVE_KAFKA_FENCED_INSTANCE_ID);
        world_free(w);
    }
}

static void a_static_member_that_is_back_within_a_rebalance_fences_the_one_that_waits(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_waiter *old = world_join_static(w, "", "one", true);
    struct serve_kafka_waiter *fresh = world_join_static(w, "", "one", true);
    assert_int_equal(old->error, SERVE_KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(fresh->error, WAITING);
    world_pass(w, 3000);
    assert_int_equal(fresh->error, 0);
    assert_true(fresh->lists);
    assert_int_equal(w->group.member_count, 1);
    /* Before assignments are out the leader has a member in its list that is no more. */
    struct serve_kafka_waiter *again = world_join_static(w, "", "one", true);
    assert_int_equal(again->error, 0);
    assert_int_equal(w->group.generation, 2);
    world_free(w);
}

static void static_members_that_are_away_keep_their_places_until_their_sessions_end(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_join join = world_says("");
    join.instance_id = SLICE_LITERAL("one");
    join.session_ms = 100000;
    world_join(w, join);
    world_join_id(w, "");
    world_pass(w, 3000);
    static const char *const plan[] = {"fresh-0", "mine", "fresh-1", "yours", NULL};
    world_sync(w, "fresh-0", 1, plan);
    world_sync(w, "fresh-1", 1, NULL);
    /* The one leaves; the static one does not come back, and nobody else is there. */
    assert_int_equal(world_leave(w, "fresh-1"), 0);
    world_pass(w, 70000);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_PREPARING);
    assert_int_equal(w->group.member_count, 1);
    world_pass(w, 120000);
    assert_int_equal(w->group.member_count, 0);
    assert_int_equal(w->group.state, SERVE_KAFKA_GROUP_EMPTY);
    world_free(w);
}

static void a_static_member_that_is_away_is_not_waited_for_in_the_next_generation(void **state)
{
    (void)state;
    static const char *const plan[] = {"fresh-1", "all", NULL};
    struct world *w = world_new();
    struct serve_kafka_join join = world_says("");
    join.instance_id = SLICE_LITERAL("one");
    join.session_ms = 200000;
    world_join(w, join);
    world_join_id(w, "");
    world_pass(w, 3000);
    /* It goes while the leader makes assignments; the other is back alone. */
    serve_kafka_group_rebalance(&w->group, w->now_ms);
    struct serve_kafka_waiter *other = world_join_id(w, "fresh-1");
    world_pass(w, 60000);
    assert_int_equal(other->error, 0);
    assert_int_equal(world_sync(w, "fresh-1", 2, plan)->error, 0);
    for (int i = 0; i < 15; i++) {
        world_pass(w, 8000);
        assert_int_equal(world_beat(w, "fresh-1", 2), 0);
    }
    /* Its session is longer than what others are given to ask for their assignments. */
    assert_int_equal(w->group.member_count, 2);
    world_free(w);
}

static void a_static_member_takes_its_place_back_in_a_full_group(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_join_static(w, "", "one", true);
    for (uint32_t i = 1; i < SERVE_KAFKA_GROUP_MEMBERS_MAX; i++) {
        struct serve_kafka_join join = world_says("");
        char id[16];
        snprintf(id, sizeof id, "many-%u", i);
        join.fresh = slice_string(id);
        w->calls = 1;
        serve_kafka_group_join(&w->group, &join, world_waiter(w), w->now_ms);
        world_take(w);
        serve_kafka_group_member(&w->group, join.fresh)->join = NULL;
    }
    assert_int_equal(w->group.member_count, SERVE_KAFKA_GROUP_MEMBERS_MAX);
    assert_int_equal(world_join_id(w, "")->error, SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(world_join_static(w, "", "two", true)->error,
                     SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(world_join_static(w, "", "one", true)->error, WAITING);
    assert_int_equal(w->group.member_count, SERVE_KAFKA_GROUP_MEMBERS_MAX);
    world_free(w);
}

static void without_memory_a_join_is_told_to_come_again(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct world *w = world_new();
        mem_fail_after(n);
        struct serve_kafka_waiter *waiter = world_join_id(w, "");
        failed = waiter->error != WAITING;
        mem_fail_after(0);
        if (failed)
            assert_int_equal(waiter->error, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
        assert_int_equal(w->group.member_count, !failed);
        world_free(w);
    }
    /* The name of the protocol: the end of the joining is tried again. */
    struct world *w = world_new();
    struct serve_kafka_waiter *waiter = world_join_id(w, "");
    mem_fail_after(1);
    world_pass(w, SERVE_KAFKA_GROUP_DELAY_MS);
    mem_fail_after(0);
    assert_int_equal(waiter->error, WAITING);
    world_pass(w, SERVE_KAFKA_GROUP_DELAY_MS);
    assert_int_equal(waiter->error, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_group_waits_for_others_before_its_first_generation),
        cmocka_unit_test(the_first_wait_is_no_longer_than_the_rebalance_timeout),
        cmocka_unit_test(a_client_that_knows_how_gets_an_id_before_it_joins),
        cmocka_unit_test(an_id_that_was_given_and_is_not_used_is_forgotten),
        cmocka_unit_test(an_id_that_is_not_used_holds_no_place_for_long),
        cmocka_unit_test(an_id_that_nobody_was_given_is_unknown),
        cmocka_unit_test(who_shares_no_protocol_is_refused),
        cmocka_unit_test(the_protocol_is_the_one_that_most_prefer_of_those_that_all_speak),
        cmocka_unit_test(a_second_member_has_the_first_join_again),
        cmocka_unit_test(who_is_not_back_in_time_is_out_and_another_leads),
        cmocka_unit_test(a_follower_that_asks_again_is_told_again_and_nobody_else_is_bothered),
        cmocka_unit_test(a_leader_that_asks_again_wants_a_rebalance),
        cmocka_unit_test(another_subscription_has_all_join_again),
        cmocka_unit_test(who_has_not_heard_its_generation_is_told_again),
        cmocka_unit_test(a_join_that_is_sent_twice_leaves_one_that_waits),
        cmocka_unit_test(a_member_that_comes_while_others_wait_for_assignments_begins_again),
        cmocka_unit_test(a_static_member_takes_its_place_back_without_a_rebalance),
        cmocka_unit_test(a_static_member_that_is_back_within_a_rebalance_fences_the_one_that_waits),
        cmocka_unit_test(static_members_that_are_away_keep_their_places_until_their_sessions_end),
        cmocka_unit_test(a_static_member_that_is_away_is_not_waited_for_in_the_next_generation),
        cmocka_unit_test(a_static_member_takes_its_place_back_in_a_full_group),
        cmocka_unit_test(without_memory_a_join_is_told_to_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
