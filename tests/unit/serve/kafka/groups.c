#include "serve/kafka/group_int.h"
#include "unit/serve/kafka/groups.h"

static void the_one_broker_coordinates_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct slice keys[] = {SLICE_LITERAL("a"), SLICE_LITERAL("b")};
    for (int16_t version = 0; version <= 4; version++) {
        struct proto_kafka_find_coordinator_request request = {.key = keys[0]};
        request.coordinator_keys.items = keys;
        request.coordinator_keys.count = 2;
        const struct proto_kafka_find_coordinator_response *response =
            fixture_ask(f, PROTO_KAFKA_FIND_COORDINATOR, version, &request);
        if (version < 4) {
            assert_int_equal(response->node_id, SERVE_KAFKA_NODE_ID);
            assert_slice(response->host, "127.0.0.1");
            assert_int_equal(response->port, f->kafka->port);
            continue;
        }
        assert_int_equal(response->coordinators.count, 2);
        assert_slice(response->coordinators.items[1].key, "b");
        assert_int_equal(response->coordinators.items[1].node_id, SERVE_KAFKA_NODE_ID);
        assert_int_equal(response->coordinators.items[1].port, f->kafka->port);
    }
    struct proto_kafka_find_coordinator_request request = {.key = keys[0], .key_type = 2};
    const struct proto_kafka_find_coordinator_response *response =
        fixture_ask(f, PROTO_KAFKA_FIND_COORDINATOR, 2, &request);
    assert_int_equal(response->error_code, SERVE_KAFKA_INVALID_REQUEST);
    fixture_free(f);
}

static const struct proto_kafka_describe_groups_response *describe(struct fixture *f,
                                                                   int16_t version)
{
    struct slice names[] = {SLICE_LITERAL("g"), SLICE_LITERAL("none")};
    struct proto_kafka_describe_groups_request request = {0};
    request.groups.items = names;
    request.groups.count = 2;
    const struct proto_kafka_describe_groups_response *response =
        fixture_ask(f, PROTO_KAFKA_DESCRIBE_GROUPS, version, &request);
    assert_int_equal(response->groups.count, 2);
    assert_slice(response->groups.items[1].group_state, "Dead");
    assert_int_equal(response->groups.items[1].members.count, 0);
    return response;
}

static void groups_are_described_with_their_members_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    const struct proto_kafka_describe_groups_response *response = describe(f, 4);
    assert_slice(response->groups.items[0].group_state, "CompletingRebalance");
    assert_slice(response->groups.items[0].protocol_data, "");
    assert_int_equal(groups_sync(f, "g", joined), 0);
    for (int16_t version = 0; version <= 5; version++) {
        response = describe(f, version);
        const struct proto_kafka_describe_groups_response_group *group = &response->groups.items[0];
        assert_slice(group->group_state, "Stable");
        assert_slice(group->protocol_type, "consumer");
        assert_slice(group->protocol_data, "range");
        assert_int_equal(group->authorized_operations, INT32_MIN);
        assert_int_equal(group->members.count, 1);
        assert_true(slice_equal(group->members.items[0].member_id, joined->member_id));
        assert_slice(group->members.items[0].client_id, "test");
        assert_slice(group->members.items[0].client_host, "/192.0.2.7");
        assert_int_equal(group->members.items[0].member_metadata.size, 12);
        assert_slice(group->members.items[0].member_assignment, "mine");
    }
    fixture_free(f);
}

/* Asked for often enough, one large group would be any amount of memory. */
static void what_is_too_much_to_describe_is_an_error_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    groups_join_alone(f, "g");
    struct serve_kafka_group *group = &groups_find(f, "g")->group;
    assert_true(serve_kafka_group_take(group, 15 << 20));
    struct slice names[6];
    for (int i = 0; i < 6; i++)
        names[i] = SLICE_LITERAL("g");
    struct proto_kafka_describe_groups_request request = {0};
    request.groups.items = names;
    request.groups.count = 6;
    const struct proto_kafka_describe_groups_response *response =
        fixture_ask(f, PROTO_KAFKA_DESCRIBE_GROUPS, 1, &request);
    assert_int_equal(response->groups.items[3].error_code, 0);
    assert_int_equal(response->groups.items[3].members.count, 1);
    assert_int_equal(response->groups.items[4].error_code, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(response->groups.items[4].members.count, 0);
    serve_kafka_group_give(group, 15 << 20);
    fixture_free(f);
}

static uint32_t list_count(struct fixture *f, struct slice state, struct slice type)
{
    struct proto_kafka_list_groups_request request = {0};
    request.states_filter.items = &state;
    request.states_filter.count = state.size > 0;
    request.types_filter.items = &type;
    request.types_filter.count = type.size > 0;
    const struct proto_kafka_list_groups_response *response =
        fixture_ask(f, PROTO_KAFKA_LIST_GROUPS, 5, &request);
    assert_int_equal(response->error_code, 0);
    return response->groups.count;
}

static void groups_are_listed_by_state_and_type(void **state)
{
    (void)state;
    const struct slice any = SLICE_LITERAL("");
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    assert_int_equal(groups_sync(f, "g", joined), 0);
    assert_int_equal(groups_commit(f, 7, "tool", NULL, "cars", 0, 3), 0);
    for (int16_t version = 0; version <= 5; version++) {
        const struct proto_kafka_list_groups_request request = {0};
        const struct proto_kafka_list_groups_response *response =
            fixture_ask(f, PROTO_KAFKA_LIST_GROUPS, version, &request);
        assert_int_equal(response->groups.count, 2);
        for (uint32_t i = 0; i < 2; i++) {
            bool g = slice_equal_string(response->groups.items[i].group_id, "g");
            assert_slice(response->groups.items[i].protocol_type, g ? "consumer" : "");
            if (version >= 4)
                assert_slice(response->groups.items[i].group_state, g ? "Stable" : "Empty");
        }
    }
    assert_int_equal(list_count(f, any, any), 2);
    assert_int_equal(list_count(f, SLICE_LITERAL("stable"), any), 1);
    assert_int_equal(list_count(f, SLICE_LITERAL("Dead"), any), 0);
    assert_int_equal(list_count(f, any, SLICE_LITERAL("Classic")), 2);
    assert_int_equal(list_count(f, any, SLICE_LITERAL("consumer")), 0);
    fixture_free(f);
}

static int16_t delete_one(struct fixture *f, const char *name)
{
    struct slice names[] = {slice_string(name)};
    struct proto_kafka_delete_groups_request request = {0};
    request.groups_names.items = names;
    request.groups_names.count = 1;
    const struct proto_kafka_delete_groups_response *response =
        fixture_ask(f, PROTO_KAFKA_DELETE_GROUPS, 2, &request);
    assert_slice(response->results.items[0].group_id, name);
    return response->results.items[0].error_code;
}

static void an_empty_group_is_deleted_with_its_offsets(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    assert_int_equal(groups_sync(f, "g", joined), 0);
    assert_int_equal(groups_commit(f, 7, "g", joined, "cars", 0, 3), 0);
    assert_int_equal(delete_one(f, "g"), SERVE_KAFKA_NON_EMPTY_GROUP);
    assert_int_equal(delete_one(f, "none"), SERVE_KAFKA_GROUP_ID_NOT_FOUND);
    assert_int_equal(delete_one(f, ""), SERVE_KAFKA_INVALID_GROUP_ID);
    assert_int_equal(groups_held(f, "g", 1, 0), 3);
    assert_int_equal(groups_leave(f, "g", joined->member_id), 0);
    assert_int_equal(delete_one(f, "g"), 0);
    assert_int_equal(groups_held(f, "g", 1, 0), -1);
    assert_int_equal(delete_one(f, "g"), SERVE_KAFKA_GROUP_ID_NOT_FOUND);
    fixture_free(f);
}

static void several_are_deleted_in_every_version_each_with_its_own_answer(void **state)
{
    (void)state;
    for (int16_t version = 0; version <= 2; version++) {
        struct fixture *f = groups_open();
        assert_int_equal(groups_commit(f, 7, "a", NULL, "cars", 0, 3), 0);
        assert_int_equal(groups_commit(f, 7, "b", NULL, "cars", 0, 4), 0);
        struct slice names[] = {SLICE_LITERAL("a"), SLICE_LITERAL("none"), SLICE_LITERAL("b"),
                                SLICE_LITERAL("a")};
        struct proto_kafka_delete_groups_request request = {0};
        request.groups_names.items = names;
        request.groups_names.count = 4;
        const struct proto_kafka_delete_groups_response *response =
            fixture_ask(f, PROTO_KAFKA_DELETE_GROUPS, version, &request);
        assert_int_equal(response->results.items[0].error_code, 0);
        assert_int_equal(response->results.items[1].error_code, SERVE_KAFKA_GROUP_ID_NOT_FOUND);
        assert_int_equal(response->results.items[2].error_code, 0);
        assert_int_equal(response->results.items[3].error_code, SERVE_KAFKA_GROUP_ID_NOT_FOUND);
        assert_int_equal(f->offsets.count, 0);
        fixture_free(f);
    }
}

static void a_deletion_that_the_log_refuses_says_so_and_the_group_comes_back(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 3), 0);
    f->commit_error = ERR_LOG_FULL;
    assert_int_equal(delete_one(f, "g"), SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(groups_held(f, "g", 1, 0), 3);
    groups_pass(f, SERVE_KAFKA_SWEEP_MS);
    assert_non_null(groups_find(f, "g"));
    fixture_free(f);
}

static void a_group_that_is_deleted_while_the_log_lists_it_stays_away(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 0, 3), 0);
    f->hold_offsets = true;
    groups_pass(f, SERVE_KAFKA_SWEEP_MS);
    assert_non_null(f->offsets_held);
    /* The answer names it, and finds it gone. */
    struct flow_offsets *listing = f->offsets_held;
    listing->error = log_offsets_answer(&f->offsets, listing);
    f->offsets_held = NULL;
    f->hold_offsets = false;
    assert_int_equal(delete_one(f, "g"), 0);
    listing->task.run = fixture_offsets_home;
    io_post(listing->home, &listing->task);
    fixture_run(f);
    assert_null(groups_find(f, "g"));
    groups_pass(f, 1000);
    assert_null(groups_find(f, "g"));
    fixture_free(f);
}

static void assert_told(struct fixture *f, void *response)
{
    (void)response;
    assert_int_equal(f->kafka->coordinator->groups.count, 0);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct slice names[] = {SLICE_LITERAL("g"), SLICE_LITERAL("h")};
    struct proto_kafka_describe_groups_request describe_request = {0};
    describe_request.groups.items = names;
    describe_request.groups.count = 2;
    fixture_each_allocation(groups_open, PROTO_KAFKA_DESCRIBE_GROUPS, 1, &describe_request,
                            assert_told);
    struct proto_kafka_delete_groups_request delete_request = {0};
    delete_request.groups_names.items = names;
    delete_request.groups_names.count = 2;
    fixture_each_allocation(groups_open, PROTO_KAFKA_DELETE_GROUPS, 1, &delete_request,
                            assert_told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_broker_coordinates_in_every_version),
        cmocka_unit_test(groups_are_described_with_their_members_in_every_version),
        cmocka_unit_test(what_is_too_much_to_describe_is_an_error_of_its_own),
        cmocka_unit_test(groups_are_listed_by_state_and_type),
        cmocka_unit_test(an_empty_group_is_deleted_with_its_offsets),
        cmocka_unit_test(several_are_deleted_in_every_version_each_with_its_own_answer),
        cmocka_unit_test(a_deletion_that_the_log_refuses_says_so_and_the_group_comes_back),
        cmocka_unit_test(a_group_that_is_deleted_while_the_log_lists_it_stays_away),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
