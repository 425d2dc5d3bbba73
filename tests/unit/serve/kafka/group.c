#include "unit/serve/kafka/group.h"

static void states_have_kafkas_names(void **state)
{
    (void)state;
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance",
                                        "Stable", "Dead"};
    for (int i = 0; i < SERVE_KAFKA_GROUP_STATES; i++)
        assert_string_equal(serve_kafka_group_state_name((enum serve_kafka_group_state)i),
                            names[i]);
}

static void states_follow_each_other_as_drawn(void **state)
{
    (void)state;
    static const enum serve_kafka_group_state way[] = {
        SERVE_KAFKA_GROUP_PREPARING, SERVE_KAFKA_GROUP_COMPLETING, SERVE_KAFKA_GROUP_STABLE,
        SERVE_KAFKA_GROUP_PREPARING, SERVE_KAFKA_GROUP_COMPLETING, SERVE_KAFKA_GROUP_PREPARING,
        SERVE_KAFKA_GROUP_EMPTY,     SERVE_KAFKA_GROUP_DEAD};
    struct world *w = world_new();
    for (size_t i = 0; i < sizeof way / sizeof way[0]; i++) {
        serve_kafka_group_move(&w->group, way[i]);
        assert_int_equal(w->group.state, way[i]);
    }
    world_free(w);
}

static void a_member_is_found_by_its_id_and_its_instance(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_member *found = NULL;
    const struct slice none = {0};
    int16_t error;
    struct serve_kafka_join join = world_says("");
    struct serve_kafka_member *dynamic =
        serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("a"), &error);
    join.instance_id = SLICE_LITERAL("one");
    struct serve_kafka_member *fixed =
        serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("b"), &error);
    assert_int_equal(serve_kafka_group_find(&w->group, SLICE_LITERAL("a"), none, &found), 0);
    assert_ptr_equal(found, dynamic);
    assert_int_equal(
        serve_kafka_group_find(&w->group, SLICE_LITERAL("b"), SLICE_LITERAL("one"), &found), 0);
    assert_ptr_equal(found, fixed);
    assert_int_equal(serve_kafka_group_find(&w->group, SLICE_LITERAL("c"), none, &found),
                     SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(serve_kafka_group_find(&w->group, SLICE_LITERAL(""), none, &found),
                     SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(
        serve_kafka_group_find(&w->group, SLICE_LITERAL("a"), SLICE_LITERAL("one"), &found),
        SERVE_KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(
        serve_kafka_group_find(&w->group, SLICE_LITERAL("a"), SLICE_LITERAL("two"), &found),
        SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_ptr_equal(found, fixed);
    world_free(w);
}

static void a_member_keeps_copies_of_what_it_said(void **state)
{
    (void)state;
    struct world *w = world_new();
    char name[] = "range", metadata[] = "topics", id[] = "a";
    const struct serve_kafka_protocol protocols[] = {
        {slice_string(name), slice_string(metadata)},
        {SLICE_LITERAL("sticky"), slice_make(NULL, 0)}};
    struct serve_kafka_join join = world_says("");
    int16_t error;
    join.protocols = protocols;
    join.protocol_count = 2;
    struct serve_kafka_member *member =
        serve_kafka_group_add(&w->group, &join, slice_string(id), &error);
    memset(name, 'x', 5);
    memset(metadata, 'x', 6);
    id[0] = 'x';
    assert_slice(member->id, "a");
    assert_slice(member->client_id, "client");
    assert_null(member->instance_id.data);
    assert_slice(serve_kafka_member_metadata(member, SLICE_LITERAL("range")), "topics");
    assert_int_equal(serve_kafka_member_metadata(member, SLICE_LITERAL("sticky")).size, 0);
    assert_int_equal(serve_kafka_member_metadata(member, SLICE_LITERAL("none")).size, 0);
    assert_ptr_equal(w->group.leader, member);
    world_free(w);
}

static void a_member_says_something_else_and_the_bytes_are_counted(void **state)
{
    (void)state;
    struct world *w = world_new();
    int16_t error;
    struct serve_kafka_join join = world_says("");
    struct serve_kafka_member *member =
        serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("a"), &error);
    uint64_t before = w->group.bytes;
    const struct serve_kafka_protocol longer[] = {
        {SLICE_LITERAL("range"), SLICE_LITERAL("topics and more")}};
    join.protocols = longer;
    join.session_ms = 7000;
    assert_int_equal(serve_kafka_group_update(&w->group, member, &join), 0);
    assert_int_equal(w->group.bytes, before + 9);
    assert_int_equal(w->budget.bytes, w->group.bytes);
    assert_int_equal(member->session_ms, 7000);
    assert_slice(serve_kafka_member_metadata(member, SLICE_LITERAL("range")), "topics and more");
    world_free(w);
}

static void what_finds_no_room_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    int16_t error = 0;
    struct serve_kafka_join join = world_says("");
    struct serve_kafka_member *member =
        serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("a"), &error);
    w->budget.bytes_max = w->budget.bytes;
    assert_null(serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("b"), &error));
    assert_int_equal(error, SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_null(serve_kafka_group_add_pending(&w->group, SLICE_LITERAL("b"), &error));
    assert_int_equal(error, SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(serve_kafka_group_update(&w->group, member, &join),
                     SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_slice(serve_kafka_member_metadata(member, SLICE_LITERAL("range")), "topics");
    /* A group alone may not take everything either. */
    w->budget.bytes_max = UINT64_MAX;
    assert_false(serve_kafka_group_take(&w->group, SERVE_KAFKA_GROUP_BYTES_MAX));
    assert_false(serve_kafka_group_take(&w->group, UINT64_MAX));
    assert_int_equal(w->budget.members, 1);
    world_free(w);
}

static void members_and_promised_members_are_counted_together(void **state)
{
    (void)state;
    struct world *w = world_new();
    int16_t error = 0;
    struct serve_kafka_join join = world_says("");
    char id[16];
    for (uint32_t i = 0; i < SERVE_KAFKA_GROUP_MEMBERS_MAX; i++) {
        snprintf(id, sizeof id, "m%u", i);
        if (i % 2)
            assert_non_null(serve_kafka_group_add(&w->group, &join, slice_string(id), &error));
        else
            assert_non_null(serve_kafka_group_add_pending(&w->group, slice_string(id), &error));
    }
    assert_null(serve_kafka_group_add_pending(&w->group, SLICE_LITERAL("x"), &error));
    assert_int_equal(error, SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    world_free(w);
}

static void without_memory_nothing_has_happened(void **state)
{
    (void)state;
    struct world *w = world_new();
    int16_t error = 0;
    struct serve_kafka_join join = world_says("");
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_null(serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("a"), &error));
        assert_int_equal(error, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
        assert_int_equal(w->budget.bytes, 0);
    }
    mem_fail_after(1);
    assert_null(serve_kafka_group_add_pending(&w->group, SLICE_LITERAL("a"), &error));
    assert_int_equal(error, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    mem_fail_after(0);
    struct serve_kafka_member *member =
        serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("a"), &error);
    uint64_t before = w->group.bytes;
    mem_fail_after(1);
    assert_int_equal(serve_kafka_group_update(&w->group, member, &join),
                     SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    mem_fail_after(0);
    assert_int_equal(w->group.bytes, before);
    world_free(w);
}

static void the_longest_there_leads_when_the_leader_goes(void **state)
{
    (void)state;
    struct world *w = world_new();
    int16_t error;
    struct serve_kafka_join join = world_says("");
    struct serve_kafka_member *a =
        serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("a"), &error);
    struct serve_kafka_member *b =
        serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("b"), &error);
    serve_kafka_group_add(&w->group, &join, SLICE_LITERAL("c"), &error);
    a->join = world_waiter(w);
    serve_kafka_group_remove(&w->group, a, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    world_take(w);
    assert_int_equal(w->waiters[0].error, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_ptr_equal(w->group.leader, b);
    assert_null(serve_kafka_group_member(&w->group, SLICE_LITERAL("a")));
    world_free(w);
}

static void who_waits_is_told_when_all_ends(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct serve_kafka_waiter *first = world_join_id(w, "");
    struct serve_kafka_waiter *second = world_join_id(w, "");
    assert_int_equal(first->error, WAITING);
    serve_kafka_group_cancel(&w->group, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    world_take(w);
    assert_int_equal(first->error, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(second->error, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_have_kafkas_names),
        cmocka_unit_test(states_follow_each_other_as_drawn),
        cmocka_unit_test(a_member_is_found_by_its_id_and_its_instance),
        cmocka_unit_test(a_member_keeps_copies_of_what_it_said),
        cmocka_unit_test(a_member_says_something_else_and_the_bytes_are_counted),
        cmocka_unit_test(what_finds_no_room_is_refused),
        cmocka_unit_test(members_and_promised_members_are_counted_together),
        cmocka_unit_test(without_memory_nothing_has_happened),
        cmocka_unit_test(the_longest_there_leads_when_the_leader_goes),
        cmocka_unit_test(who_waits_is_told_when_all_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
