#include "unit/serve/kafka/groups.h"

static void put(struct fixture *f, const char *group, uint32_t topic_id)
{
    struct flow_offset change = {
        .group = slice_string(group), .topic_id = topic_id, .offset = 5, .leader_epoch = -1};
    assert_true(err_is_ok(log_offsets_settle(&f->offsets, &change)));
}

static size_t group_count(struct fixture *f)
{
    return f->kafka->coordinator->groups.count;
}

static void groups_that_have_offsets_are_there_from_the_start(void **state)
{
    (void)state;
    struct fixture *f = groups_new();
    put(f, "a", 1);
    put(f, "b", 1);
    fixture_start(f);
    assert_int_equal(group_count(f), 2);
    assert_true(groups_find(f, "a")->kept);
    assert_int_equal(groups_find(f, "b")->group.state, SERVE_KAFKA_GROUP_EMPTY);
    fixture_free(f);
}

static void calls_wait_until_the_log_has_said_which_groups_there_are(void **state)
{
    (void)state;
    struct fixture *f = groups_new();
    const struct proto_kafka_list_groups_request request = {0};
    put(f, "a", 1);
    f->hold_offsets = true;
    fixture_start(f);
    fixture_send(f, PROTO_KAFKA_LIST_GROUPS, 0, &request);
    assert_true(fixture_silent(f));
    /* It could not say so: it is asked again. */
    f->hold_offsets = false;
    f->offsets_error = ERR_MEMORY;
    fixture_offsets_answer(f, f->offsets_held);
    fixture_run(f);
    assert_true(fixture_silent(f));
    f->offsets_error = ERR_OK;
    groups_pass(f, 1000);
    const struct proto_kafka_list_groups_response *response =
        fixture_answer(f, PROTO_KAFKA_LIST_GROUPS, 0);
    assert_int_equal(response->groups.count, 1);
    fixture_free(f);
}

static void a_group_without_members_and_offsets_is_let_go_of(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "a");
    assert_int_equal(groups_sync(f, "a", joined), 0);
    assert_int_equal(group_count(f), 1);
    assert_int_equal(groups_leave(f, "a", joined->member_id), 0);
    assert_int_equal(group_count(f), 0);
    assert_int_equal(f->kafka->coordinator->budget.bytes, 0);
    /* One that committed stays. */
    joined = groups_join_alone(f, "a");
    assert_int_equal(groups_sync(f, "a", joined), 0);
    assert_int_equal(groups_commit(f, 7, "a", joined, "cars", 1, 9), 0);
    assert_int_equal(groups_leave(f, "a", joined->member_id), 0);
    assert_int_equal(group_count(f), 1);
    fixture_free(f);
}

/* Which costs who asks nothing, so it must not hold one of the places of groups for long. */
static void a_group_that_somebody_only_asked_an_id_for_goes_soon(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "a", SLICE_LITERAL(""), "cars");
    request.session_timeout_ms = SERVE_KAFKA_SESSION_MS_MAX;
    const joined_t *told = fixture_ask(f, PROTO_KAFKA_JOIN_GROUP, 5, &request);
    assert_int_equal(told->error_code, SERVE_KAFKA_MEMBER_ID_REQUIRED);
    assert_int_equal(group_count(f), 1);
    groups_pass(f, SERVE_KAFKA_PENDING_MS_MAX);
    assert_int_equal(group_count(f), 0);
    /* Whoever comes back later is told to begin anew. */
    request.member_id = told->member_id;
    const joined_t *late = fixture_ask(f, PROTO_KAFKA_JOIN_GROUP, 5, &request);
    assert_int_equal(late->error_code, SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(group_count(f), 0);
    fixture_free(f);
}

static void a_member_that_is_not_heard_of_goes_by_the_clock(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    const joined_t *joined = groups_join_alone(f, "a");
    assert_int_equal(groups_sync(f, "a", joined), 0);
    for (int i = 0; i < 5; i++) {
        groups_pass(f, 9000);
        assert_int_equal(groups_beat(f, "a", joined->member_id, 1), 0);
    }
    groups_pass(f, 10000);
    assert_int_equal(group_count(f), 0);
    assert_int_equal(groups_beat(f, "a", joined->member_id, 1), SERVE_KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(f->kafka->coordinator->budget.expired, 1);
    fixture_free(f);
}

static void what_the_log_does_not_have_any_more_goes(void **state)
{
    (void)state;
    struct fixture *f = groups_new();
    put(f, "a", 1);
    put(f, "b", 2);
    fixture_start(f);
    /* As the deletion of a topic does. */
    log_offsets_forget_topic(&f->offsets, 2);
    groups_pass(f, SERVE_KAFKA_SWEEP_MS);
    assert_non_null(groups_find(f, "a"));
    assert_null(groups_find(f, "b"));
    fixture_free(f);
}

static void a_group_that_was_used_since_the_log_was_asked_stays(void **state)
{
    (void)state;
    struct fixture *f = groups_new();
    put(f, "a", 1);
    fixture_start(f);
    f->hold_offsets = true;
    groups_pass(f, SERVE_KAFKA_SWEEP_MS);
    assert_non_null(f->offsets_held);
    log_offsets_forget_topic(&f->offsets, 1);
    f->hold_offsets = false;
    fixture_offsets_answer(f, f->offsets_held);
    /* Between the answer and its arrival. */
    groups_find(f, "a")->group.touched_ms = serve_kafka_coordinator_now_ms(f->kafka->coordinator);
    fixture_run(f);
    assert_non_null(groups_find(f, "a"));
    groups_pass(f, 2 * SERVE_KAFKA_SWEEP_MS);
    assert_null(groups_find(f, "a"));
    fixture_free(f);
}

/* In steps, as the fake clock has sockets to look after. */
static void pass_days(struct fixture *f, uint64_t days)
{
    for (uint64_t i = 0; i < days * 24; i++)
        groups_pass(f, UINT64_C(3600000));
}

static void offsets_of_a_group_that_nobody_used_for_a_week_expire(void **state)
{
    (void)state;
    struct fixture *f = groups_new();
    put(f, "a", 1);
    put(f, "b", 1);
    fixture_start(f);
    pass_days(f, 5);
    groups_find(f, "b")->group.touched_ms = serve_kafka_coordinator_now_ms(f->kafka->coordinator);
    assert_int_equal(f->commits, 0);
    pass_days(f, 2);
    groups_pass(f, SERVE_KAFKA_SWEEP_MS);
    assert_int_equal(f->commits, 1);
    assert_int_equal(groups_held(f, "a", 1, 0), -1);
    assert_int_equal(groups_held(f, "b", 1, 0), 5);
    assert_null(groups_find(f, "a"));
    assert_int_equal(f->kafka->coordinator->groups_expired, 1);
    fixture_free(f);
}

static void an_expiry_that_the_log_refuses_is_decided_again(void **state)
{
    (void)state;
    struct fixture *f = groups_new();
    put(f, "a", 1);
    fixture_start(f);
    f->commit_error = ERR_LOG_FULL;
    pass_days(f, 7);
    groups_pass(f, SERVE_KAFKA_SWEEP_MS);
    assert_true(f->commits >= 1);
    assert_int_equal(groups_held(f, "a", 1, 0), 5);
    /* The log still names it: it is there again, and gone a week later. */
    groups_pass(f, SERVE_KAFKA_SWEEP_MS);
    assert_non_null(groups_find(f, "a"));
    f->commit_error = ERR_OK;
    pass_days(f, 7);
    groups_pass(f, 2 * SERVE_KAFKA_SWEEP_MS);
    assert_int_equal(groups_held(f, "a", 1, 0), -1);
    fixture_free(f);
}

static void a_call_goes_home_to_its_own_loop(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "a", SLICE_LITERAL(""), "cars");
    struct buf bytes = fixture_request_bytes(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    struct io_tcp *other = f->fakes[1]->tcps[0];
    fake_send(other, bytes.data, bytes.size);
    buf_done(&bytes);
    fixture_run(f);
    assert_int_equal(group_count(f), 1);
    assert_int_equal(other->out.size, 0);
    groups_pass(f, SERVE_KAFKA_GROUP_DELAY_MS);
    assert_true(other->out.size > 0);
    assert_true(fixture_silent(f));
    fixture_free(f);
}

static void a_member_whose_connection_goes_while_it_waits_is_not_lost(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "a", SLICE_LITERAL(""), "cars");
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    fake_end(fixture_tcp(f), ERR_CLOSED);
    groups_pass(f, SERVE_KAFKA_GROUP_DELAY_MS);
    assert_true(fixture_silent(f));
    assert_int_equal(groups_find(f, "a")->group.member_count, 1);
    assert_int_equal(groups_find(f, "a")->group.state, SERVE_KAFKA_GROUP_COMPLETING);
    groups_pass(f, 10000);
    assert_null(groups_find(f, "a"));
    fixture_free(f);
}

static void who_waits_is_answered_when_the_server_stops(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct proto_kafka_join_group_request request =
        groups_join_request(f, "a", SLICE_LITERAL(""), "cars");
    fixture_send(f, PROTO_KAFKA_JOIN_GROUP, 3, &request);
    serve_kafka_stop(f->kafka, 1000, fixture_stopped, f);
    fixture_settle(f);
    const joined_t *joined = fixture_answer(f, PROTO_KAFKA_JOIN_GROUP, 3);
    assert_int_equal(joined->error_code, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    fixture_free(f);
}

static void stopping_waits_for_what_the_log_was_asked(void **state)
{
    (void)state;
    struct fixture *f = groups_new();
    const struct proto_kafka_list_groups_request request = {0};
    f->hold_offsets = true;
    fixture_start(f);
    fixture_send(f, PROTO_KAFKA_LIST_GROUPS, 0, &request);
    serve_kafka_stop(f->kafka, 1000, fixture_stopped, f);
    fixture_settle(f);
    assert_int_equal(f->stopped, 0);
    fixture_offsets_answer(f, f->offsets_held);
    fixture_settle(f);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void so_many_groups_and_no_more_are_made(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct serve_kafka_coordinator *c = f->kafka->coordinator;
    char name[16];
    for (uint32_t i = 0; i < SERVE_KAFKA_GROUPS_MAX; i++) {
        snprintf(name, sizeof name, "g%u", i);
        struct serve_kafka_entry *entry = serve_kafka_coordinator_ensure(c, slice_string(name));
        assert_non_null(entry);
        entry->kept = true;
    }
    assert_null(serve_kafka_coordinator_ensure(c, SLICE_LITERAL("more")));
    assert_non_null(serve_kafka_coordinator_ensure(c, SLICE_LITERAL("g7")));
    /* Of INVALID_COMMIT_OFFSET_SIZE a client tells its user, and does not try again. */
    assert_int_equal(groups_commit(f, 7, "more", NULL, "planes", 0, 42), 28);
    assert_int_equal(groups_commit(f, 7, "g7", NULL, "planes", 0, 42), 0);
    /* The log knows of one of them. */
    groups_pass(f, 2 * SERVE_KAFKA_SWEEP_MS);
    assert_int_equal(group_count(f), 1);
    fixture_free(f);
}

static double value_of(const struct metric_set *set, const char *name, const char *labels)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->samples[i].family->name, name) == 0 &&
            strcmp(set->samples[i].labels, labels) == 0)
            return set->samples[i].value;
    return -1;
}

static void groups_are_counted_by_state(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct metric_set set;
    metric_set_init(&set);
    const joined_t *joined = groups_join_alone(f, "a");
    assert_int_equal(groups_sync(f, "a", joined), 0);
    groups_join_alone(f, "b");
    assert_int_equal(groups_commit(f, 7, "c", NULL, "cars", 0, 1), 0);
    serve_kafka_coordinator_report(f->kafka->coordinator, &set);
    assert_int_equal((int)value_of(&set, "garner_kafka_groups", "state=\"Stable\""), 1);
    assert_int_equal((int)value_of(&set, "garner_kafka_groups", "state=\"CompletingRebalance\""),
                     1);
    assert_int_equal((int)value_of(&set, "garner_kafka_groups", "state=\"Empty\""), 1);
    assert_int_equal((int)value_of(&set, "garner_kafka_group_members", ""), 2);
    assert_int_equal((int)value_of(&set, "garner_kafka_group_rebalances_total", ""), 2);
    assert_true(value_of(&set, "garner_kafka_group_bytes", "") > 0);
    metric_set_done(&set);
    fixture_free(f);
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    struct serve_kafka_coordinator *c = f->kafka->coordinator;
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_null(serve_kafka_coordinator_ensure(c, SLICE_LITERAL("a")));
        mem_fail_after(0);
        assert_int_equal(group_count(f), 0);
    }
    struct serve_kafka_coordinator *none = NULL;
    mem_fail_after(1);
    assert_false(err_is_ok(serve_kafka_coordinator_new(c->loop, c->log, &none)));
    mem_fail_after(0);
    serve_kafka_coordinator_free(&none);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_that_have_offsets_are_there_from_the_start),
        cmocka_unit_test(calls_wait_until_the_log_has_said_which_groups_there_are),
        cmocka_unit_test(a_group_without_members_and_offsets_is_let_go_of),
        cmocka_unit_test(a_group_that_somebody_only_asked_an_id_for_goes_soon),
        cmocka_unit_test(a_member_that_is_not_heard_of_goes_by_the_clock),
        cmocka_unit_test(what_the_log_does_not_have_any_more_goes),
        cmocka_unit_test(a_group_that_was_used_since_the_log_was_asked_stays),
        cmocka_unit_test(offsets_of_a_group_that_nobody_used_for_a_week_expire),
        cmocka_unit_test(an_expiry_that_the_log_refuses_is_decided_again),
        cmocka_unit_test(a_call_goes_home_to_its_own_loop),
        cmocka_unit_test(a_member_whose_connection_goes_while_it_waits_is_not_lost),
        cmocka_unit_test(who_waits_is_answered_when_the_server_stops),
        cmocka_unit_test(stopping_waits_for_what_the_log_was_asked),
        cmocka_unit_test(so_many_groups_and_no_more_are_made),
        cmocka_unit_test(groups_are_counted_by_state),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
