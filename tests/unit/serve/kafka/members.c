#include "base/uuid.h"
#include "unit/serve/kafka/groups.h"

static void a_group_of_two_in_every_version(void **state)
{
    (void)state;
    for (int16_t version = 0; version <= 3; version++) {
        struct fixture *f = groups_open();
        struct proto_kafka_join_group_request request =
            groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
        fixture_put(f, PROTO_KAFKA_JOIN_GROUP, version, &request);
        fixture_send(f, PROTO_KAFKA_JOIN_GROUP, version, &request);
        assert_true(fixture_silent(f));
        groups_pass(f, 3 * SERVE_KAFKA_GROUP_DELAY_MS);
        const joined_t *leader = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, version);
        const joined_t *other = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, version);
        assert_int_equal(leader->error_code, 0);
        assert_int_equal(leader->generation_id, 1);
        assert_slice(leader->protocol_name, "range");
        assert_true(slice_equal(leader->leader, leader->member_id));
        assert_true(slice_equal(other->leader, leader->member_id));
        assert_false(slice_equal(other->member_id, leader->member_id));
        assert_true(slice_starts_with(other->member_id, SLICE_LITERAL("test-")));
        assert_int_equal(other->members.count, 0);
        assert_int_equal(leader->members.count, 2);
        assert_true(slice_equal(leader->members.items[1].member_id, other->member_id));
        assert_true(
            slice_equal(leader->members.items[1].metadata, request.protocols.items[0].metadata));
        assert_int_equal(groups_beat(f, "g", other->member_id, 1), 0);
        fixture_free(f);
    }
}

static void from_version_4_on_an_id_comes_first(void **state)
{
    (void)state;
    for (int16_t version = 4; version <= 9; version++) {
        struct fixture *f = groups_open();
        struct proto_kafka_join_group_request request =
            groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
        const joined_t *told = fixture_ask(f, PROTO_KAFKA_JOIN_GROUP, version, &request);
        assert_int_equal(told->error_code, SERVE_KAFKA_MEMBER_ID_REQUIRED);
        request.member_id = told->member_id;
        fixture_send(f, PROTO_KAFKA_JOIN_GROUP, version, &request);
        groups_pass(f, SERVE_KAFKA_GROUP_DELAY_MS);
        const joined_t *joined = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, version);
        assert_int_equal(joined->error_code, 0);
        assert_true(slice_equal(joined->member_id, told->member_id));
        assert_int_equal(joined->members.count, 1);
        assert_int_equal(joined->members.items[0].group_instance_id.size, 0);
        if (version >= 7)
            assert_slice(joined->protocol_type, "consumer");
        fixture_free(f);
    }
}

static void what_is_wrong_with_a_join_by_itself_is_told_at_once(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    char name[FLOW_GROUP_NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    const struct {
        struct slice group;
        int32_t session_ms;
        struct slice member_id;
        int16_t error;
    } cases[] = {
        {SLICE_LITERAL(""), 10000, SLICE_LITERAL(""), SERVE_KAFKA_INVALID_GROUP_ID},
        {slice_make(name, sizeof name), 10000, SLICE_LITERAL(""), SERVE_KAFKA_INVALID_GROUP_ID},
        {SLICE_LITERAL("\xff"), 10000, SLICE_LITERAL(""), SERVE_KAFKA_INVALID_GROUP_ID},
        {slice_make("g\0", 2), 10000, SLICE_LITERAL(""), SERVE_KAFKA_INVALID_GROUP_ID},
        {SLICE_LITERAL("g"), 5999, SLICE_LITERAL(""), SERVE_KAFKA_INVALID_SESSION_TIMEOUT},
        {SLICE_LITERAL("g"), 1800001, SLICE_LITERAL(""), SERVE_KAFKA_INVALID_SESSION_TIMEOUT},
        {SLICE_LITERAL("g"), -1, SLICE_LITERAL(""), SERVE_KAFKA_INVALID_SESSION_TIMEOUT},
        {SLICE_LITERAL("g"), 10000, SLICE_LITERAL("me"), SERVE_KAFKA_UNKNOWN_MEMBER_ID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proto_kafka_join_group_request request =
            groups_join_request(f, "g", cases[i].member_id, "cars");
        request.group_id = cases[i].group;
        request.session_timeout_ms = cases[i].session_ms;
        const joined_t *joined = fixture_ask(f, PROTO_KAFKA_JOIN_GROUP, 5, &request);
        assert_int_equal(joined->error_code, cases[i].error);
        assert_true(slice_equal(joined->member_id, cases[i].member_id));
        assert_int_equal(f->kafka->coordinator->groups.count, 0);
    }
    fixture_free(f);
}

static void a_join_that_its_group_refuses_leaves_no_group(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
    request.protocols.count = 0;
    const joined_t *joined = fixture_ask(f, PROTO_KAFKA_JOIN_GROUP, 5, &request);
    assert_int_equal(joined->error_code, SERVE_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(f->kafka->coordinator->groups.count, 0);
    fixture_free(f);
}

static void a_long_client_id_is_cut_in_the_members_id(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    char instance[1000];
    memset(instance, 'i', sizeof instance);
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
    request.group_instance_id = slice_make(instance, sizeof instance);
    request.rebalance_timeout_ms = -1;
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 5, &request);
    groups_pass(f, SERVE_KAFKA_GROUP_DELAY_MS);
    const joined_t *joined = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 5);
    assert_int_equal(joined->error_code, 0);
    assert_int_equal(joined->member_id.size, 200 + 1 + UUID_TEXT_SIZE);
    assert_int_equal(joined->members.items[0].group_instance_id.size, sizeof instance);
    /* Without a rebalance timeout the session's is taken. */
    assert_int_equal(groups_find(f, "g")->group.leader->rebalance_ms, 10000);
    fixture_free(f);
}

static void assignments_are_told_in_every_version(void **state)
{
    (void)state;
    for (int16_t version = 0; version <= 5; version++) {
        struct fixture *f = groups_open();
        const joined_t *joined = groups_join_alone(f, "g");
        struct proto_kafka_sync_group_request_assignment assignment = {
            .member_id = joined->member_id, .assignment = SLICE_LITERAL("mine")};
        struct proto_kafka_sync_group_request request = {
            .group_id = SLICE_LITERAL("g"),
            .generation_id = 1,
            .member_id = joined->member_id,
            .protocol_type = SLICE_LITERAL("consumer"),
            .protocol_name = SLICE_LITERAL("range"),
        };
        request.assignments.items = &assignment;
        request.assignments.count = 1;
        const struct proto_kafka_sync_group_response *response =
            fixture_ask(f, PROTO_KAFKA_SYNC_GROUP, version, &request);
        assert_int_equal(response->error_code, 0);
        assert_slice(response->assignment, "mine");
        if (version >= 5)
            assert_slice(response->protocol_name, "range");
        request.group_id = SLICE_LITERAL("none");
        response = fixture_ask(f, PROTO_KAFKA_SYNC_GROUP, version, &request);
        assert_int_equal(response->error_code, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
        assert_int_equal(response->assignment.size, 0);
        fixture_free(f);
    }
}

static void heartbeats_are_answered_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    assert_int_equal(groups_sync(f, "g", joined), 0);
    for (int16_t version = 0; version <= 4; version++) {
        struct proto_kafka_heartbeat_request request = {
            .group_id = SLICE_LITERAL("g"), .generation_id = 1, .member_id = joined->member_id};
        const struct proto_kafka_heartbeat_response *response =
            fixture_ask(f, PROTO_KAFKA_HEARTBEAT, version, &request);
        assert_int_equal(response->error_code, 0);
    }
    assert_int_equal(groups_beat(f, "g", joined->member_id, 9), SERVE_KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(groups_beat(f, "none", joined->member_id, 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    fixture_free(f);
}

static void members_leave_one_by_one_or_by_list(void **state)
{
    (void)state;
    for (int16_t version = 0; version <= 5; version++) {
        struct fixture *f = groups_open();
        const joined_t *joined = groups_join_alone(f, "g");
        struct proto_kafka_leave_group_request_member members[] = {
            {.member_id = SLICE_LITERAL("nobody")}, {.member_id = joined->member_id}};
        struct proto_kafka_leave_group_request request = {.group_id = SLICE_LITERAL("g"),
                                                          .member_id = joined->member_id};
        request.members.items = members;
        request.members.count = 2;
        const struct proto_kafka_leave_group_response *response =
            fixture_ask(f, PROTO_KAFKA_LEAVE_GROUP, version, &request);
        assert_int_equal(response->error_code, 0);
        if (version >= 3) {
            assert_int_equal(response->members.count, 2);
            assert_int_equal(response->members.items[0].error_code, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
            assert_slice(response->members.items[0].member_id, "nobody");
            assert_int_equal(response->members.items[1].error_code, 0);
        }
        assert_null(groups_find(f, "g"));
        /* Of a group that is not there. */
        response = fixture_ask(f, PROTO_KAFKA_LEAVE_GROUP, version, &request);
        assert_int_equal(response->error_code, version >= 3 ? 0 : SERVE_KAFKA_UNKNOWN_MEMBER_ID);
        fixture_free(f);
    }
}

static void one_whose_join_another_ones_leaving_has_answered_may_leave_with_it(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *first = groups_join_alone(f, "g");
    assert_int_equal(groups_sync(f, "g", first), 0);
    struct slice here = slice_string(arena_string(&f->arena, first->member_id));
    struct proto_kafka_join_group_request join =
        groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &join);
    struct serve_kafka_group *group = &groups_find(f, "g")->group;
    assert_int_equal(group->member_count, 2);
    struct serve_kafka_member *second =
        CONTAINER_OF(group->members.prev, struct serve_kafka_member, link);
    assert_non_null(second->join);
    /* Without the first, the second has its generation; and it is gone before it hears of that. */
    struct proto_kafka_leave_group_request_member members[] = {
        {.member_id = here}, {.member_id = slice_string(arena_string(&f->arena, second->id))}};
    struct proto_kafka_leave_group_request leave = {.group_id = SLICE_LITERAL("g")};
    leave.members.items = members;
    leave.members.count = 2;
    fixture_send(f, PROTO_KAFKA_LEAVE_GROUP, 3, &leave);
    const joined_t *joined = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 3);
    assert_int_equal(joined->error_code, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    const struct proto_kafka_leave_group_response *left =
        fixture_answer(f, PROTO_KAFKA_LEAVE_GROUP, 3);
    assert_int_equal(left->members.items[0].error_code, 0);
    assert_int_equal(left->members.items[1].error_code, 0);
    assert_null(groups_find(f, "g"));
    fixture_free(f);
}

/* In every version, whether the answer has a list or not. */
static void nothing_is_called_by_an_empty_name(void **state)
{
    (void)state;
    static const joined_t nobody = {.member_id = {(const uint8_t *)"me", 2}};
    struct fixture *f = groups_open();
    for (int16_t version = 0; version <= 3; version++) {
        struct proto_kafka_leave_group_request_member who = {.member_id = nobody.member_id};
        struct proto_kafka_leave_group_request request = {.group_id = SLICE_LITERAL(""),
                                                          .member_id = nobody.member_id};
        request.members.items = &who;
        request.members.count = 1;
        const struct proto_kafka_leave_group_response *response =
            fixture_ask(f, PROTO_KAFKA_LEAVE_GROUP, version, &request);
        assert_int_equal(response->error_code, SERVE_KAFKA_INVALID_GROUP_ID);
        assert_int_equal(response->members.count, 0);
    }
    assert_int_equal(groups_beat(f, "", nobody.member_id, 1), SERVE_KAFKA_INVALID_GROUP_ID);
    assert_int_equal(groups_sync(f, "", &nobody), SERVE_KAFKA_INVALID_GROUP_ID);
    assert_int_equal(groups_commit(f, 2, "", NULL, "cars", 0, 1), SERVE_KAFKA_INVALID_GROUP_ID);
    /* What may be there and is not has another. */
    assert_int_equal(groups_beat(f, "g", nobody.member_id, 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(groups_sync(f, "g", &nobody), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    fixture_free(f);
}

static void a_client_that_lies_is_told_and_nobody_is_hurt(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "g");
    assert_int_equal(groups_sync(f, "g", joined), 0);
    joined_t liar = *joined;
    liar.generation_id = INT32_MAX;
    assert_int_equal(groups_sync(f, "g", &liar), SERVE_KAFKA_ILLEGAL_GENERATION);
    liar.generation_id = INT32_MIN;
    assert_int_equal(groups_sync(f, "g", &liar), SERVE_KAFKA_ILLEGAL_GENERATION);
    liar.generation_id = 1;
    liar.member_id = SLICE_LITERAL("");
    assert_int_equal(groups_sync(f, "g", &liar), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(groups_leave(f, "g", SLICE_LITERAL("")), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL("invented"), "cars");
    const joined_t *refused = fixture_ask(f, PROTO_KAFKA_JOIN_GROUP, 5, &request);
    assert_int_equal(refused->error_code, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(groups_beat(f, "g", joined->member_id, 1), 0);
    assert_int_equal(groups_find(f, "g")->group.state, SERVE_KAFKA_GROUP_STABLE);
    fixture_free(f);
}

static void more_metadata_than_a_group_may_have_is_refused(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    size_t size = 600000;
    uint8_t *metadata = arena_alloc(&f->arena, size);
    f->kafka->coordinator->budget.bytes_max = size;
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
    request.protocols.items[0].metadata = slice_make(metadata, size);
    const joined_t *joined = fixture_ask(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    assert_int_equal(joined->error_code, SERVE_KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(f->kafka->coordinator->budget.bytes, 0);
    assert_int_equal(f->kafka->coordinator->groups.count, 0);
    fixture_free(f);
}

/* What waits for other members is not kept from those who come in; there is an end to it. */
static void as_many_joins_wait_as_there_is_room_for(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct serve_kafka_door *door = &f->kafka->doors[0];
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    assert_true(fixture_silent(f));
    assert_true(door->call_bytes > 0);
    assert_int_equal(door->credit->used_bytes, 0);
    uint64_t waiting = door->call_bytes;
    door->call_bytes = door->fetch_bytes_max / 2;
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    door->call_bytes = waiting;
    groups_pass(f, 3 * SERVE_KAFKA_GROUP_DELAY_MS);
    const joined_t *joined = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 3);
    const joined_t *refused = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 3);
    assert_int_equal(joined->error_code, 0);
    assert_int_equal(joined->members.count, 1);
    assert_int_equal(refused->error_code, SERVE_KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(door->call_bytes, 0);
    fixture_free(f);
}

static void assert_join_or_later(struct fixture *f, void *response)
{
    const joined_t *joined = response;
    bool told = joined->error_code == SERVE_KAFKA_MEMBER_ID_REQUIRED ||
                joined->error_code == SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE ||
                joined->error_code == SERVE_KAFKA_GROUP_MAX_SIZE_REACHED;
    assert_true(told);
    assert_true(f->kafka->coordinator->groups.count <= 1);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "g", SLICE_LITERAL(""), "cars");
    fixture_each_allocation(groups_open, PROTO_KAFKA_JOIN_GROUP, 5, &request, assert_join_or_later);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_of_two_in_every_version),
        cmocka_unit_test(from_version_4_on_an_id_comes_first),
        cmocka_unit_test(what_is_wrong_with_a_join_by_itself_is_told_at_once),
        cmocka_unit_test(a_join_that_its_group_refuses_leaves_no_group),
        cmocka_unit_test(a_long_client_id_is_cut_in_the_members_id),
        cmocka_unit_test(assignments_are_told_in_every_version),
        cmocka_unit_test(heartbeats_are_answered_in_every_version),
        cmocka_unit_test(members_leave_one_by_one_or_by_list),
        cmocka_unit_test(one_whose_join_another_ones_leaving_has_answered_may_leave_with_it),
        cmocka_unit_test(nothing_is_called_by_an_empty_name),
        cmocka_unit_test(a_client_that_lies_is_told_and_nobody_is_hurt),
        cmocka_unit_test(more_metadata_than_a_group_may_have_is_refused),
        cmocka_unit_test(as_many_joins_wait_as_there_is_room_for),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
