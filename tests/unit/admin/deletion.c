#include "unit/admin/door.h"

#include "base/alloc.h"

static int64_t zero[1];

/* flights is declared; old is not, and has a DLQ; plain is not, and has none. */
static void give_topics_with(struct fixture *f, bool open)
{
    static const struct flow_topic_state topics[] = {
        {.id = 1, .name = "flights", .partition_count = 1},
        {.id = 2, .name = "flights.dlq", .partition_count = 1, .parent_id = 1},
        {.id = 3, .name = "old", .partition_count = 1},
        {.id = 4, .name = "old.dlq", .partition_count = 1, .parent_id = 3},
        {.id = 5, .name = "plain", .partition_count = 1},
    };
    assert_int_equal(f->held_count, 1);
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    snapshot->topics = arena_alloc(&snapshot->arena, sizeof(topics));
    memcpy(snapshot->topics, topics, sizeof(topics));
    snapshot->topic_count = 5;
    for (size_t i = 0; i < 5; i++)
        snapshot->topics[i].start_offset = snapshot->topics[i].end_offset = zero;
    snapshot->topics[4].config.open = open;
    snapshot->done(snapshot);
}

static void give_topics(struct fixture *f)
{
    give_topics_with(f, false);
}

static const char *delete_topic(struct fixture *f, const char *target)
{
    char request[512];
    snprintf(request, sizeof(request), "DELETE /v1/topics/%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
             target);
    return ask_with(f, request);
}

/* The one commit under way, which must delete this topic, comes back. */
static void give_commit(struct fixture *f, uint32_t topic_id, enum err_code code)
{
    assert_int_equal(f->commit_count, 1);
    struct flow_commit *commit = f->commits[--f->commit_count];
    assert_int_equal(commit->topic_count, 1);
    assert_int_equal(commit->append_count + commit->count_count + commit->sink_count, 0);
    assert_int_equal(commit->topics[0].op, FLOW_TOPIC_DELETE);
    assert_int_equal(commit->topics[0].topic_id, topic_id);
    commit->error = err_make(code);
    commit->done(commit);
}

static void a_topic_goes_with_its_dlq_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(delete_topic(f, "old?confirm=old"), "");
    give_topics(f);
    give_commit(f, 4, ERR_OK);
    assert_string_equal(answer(f), "");
    give_commit(f, 3, ERR_OK);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_ends(answer(f), "\r\n\r\n{\"deleted\":[\"old.dlq\",\"old\"]}\n");
    fixture_free(f);
}

static void a_topic_without_a_dlq_goes_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)delete_topic(f, "plain?confirm=plain");
    give_topics(f);
    give_commit(f, 5, ERR_OK);
    assert_ends(answer(f), "\r\n\r\n{\"deleted\":[\"plain\"]}\n");
    fixture_free(f);
}

static void a_dlq_can_go_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)delete_topic(f, "old%2Edlq?confirm=old%2edlq");
    give_topics(f);
    give_commit(f, 4, ERR_OK);
    assert_ends(answer(f), "\r\n\r\n{\"deleted\":[\"old.dlq\"]}\n");
    fixture_free(f);
}

/* Whoever makes topics: deletes them too, or says why not. */
struct maker {
    struct flow_topics topics;
    struct flow_topics_change *asked;
};

static void take_change(struct flow_topics *topics, struct flow_topics_change *change)
{
    CONTAINER_OF(topics, struct maker, topics)->asked = change;
}

static void an_open_topic_goes_by_whoever_has_told_the_doors_of_it(void **state)
{
    (void)state;
    static const enum err_code codes[] = {ERR_OK, ERR_FENCED, ERR_NOT_FOUND};
    static const char *const starts[] = {"HTTP/1.1 200 ", "HTTP/1.1 503 ", "HTTP/1.1 404 "};
    struct maker maker = {.topics = {take_change}};
    struct fixture *f = fixture_prepare();
    struct err_text why = {0};
    struct admin_options options = options_of(f);
    options.topics = &maker.topics;
    assert_true(err_is_ok(admin_new(&options, &f->admin, &why)));
    connect_one(f);
    for (size_t i = 0; i < 3; i++) {
        (void)delete_topic(f, "plain?confirm=plain");
        give_topics_with(f, true);
        assert_int_equal(f->commit_count, 0);
        assert_int_equal(maker.asked->op, FLOW_TOPICS_DELETE);
        assert_true(slice_equal_string(maker.asked->items[0].name, "plain"));
        maker.asked->items[0].error = err_make(codes[i]);
        maker.asked->done(maker.asked);
        assert_starts(answer(f), starts[i]);
    }
    fixture_free(f);
}

static void without_its_name_as_confirmation_nothing_is_asked(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "old",
        "old?confirm",
        "old?confirm=",
        "old?confirm=OLD",
        "old?confirm=old.dlq",
        "old?confirm=true",
        "old?confirm=old%",
        "old?Confirm=old",
        "old?confirm=flights&confirm=old",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct fixture *f = fixture_new();
        assert_starts(delete_topic(f, targets[i]), "HTTP/1.1 400 ");
        assert_non_null(strstr(answer(f), "\"error\":\"confirm\""));
        assert_int_equal(f->held_count + f->commit_count, 0);
        fixture_free(f);
    }
}

static void what_a_contract_declares_is_kept(void **state)
{
    (void)state;
    static const char *const targets[] = {"flights?confirm=flights",
                                          "flights.dlq?confirm=flights.dlq"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new();
        (void)delete_topic(f, targets[i]);
        give_topics(f);
        assert_starts(answer(f), "HTTP/1.1 409 ");
        assert_non_null(strstr(answer(f), "\"error\":\"contract\""));
        assert_non_null(strstr(answer(f), "belongs to a contract"));
        assert_int_equal(f->commit_count, 0);
        fixture_free(f);
    }
}

static void a_topic_that_is_not_there_is_404(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)delete_topic(f, "none?confirm=none");
    give_topics(f);
    assert_starts(answer(f), "HTTP/1.1 404 ");
    assert_non_null(strstr(answer(f), "there is no topic none"));
    assert_int_equal(f->commit_count, 0);
    /* It went between the snapshot and the commit. */
    (void)delete_topic(f, "plain?confirm=plain");
    give_topics(f);
    give_commit(f, 5, ERR_NOT_FOUND);
    assert_starts(answer(f), "HTTP/1.1 404 ");
    fixture_free(f);
}

static void what_fails_half_way_says_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)delete_topic(f, "old?confirm=old");
    give_topics(f);
    give_commit(f, 4, ERR_NO_SPACE);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    assert_non_null(strstr(answer(f), "deleting the topic failed: no space"));
    assert_int_equal(f->commit_count, 0);
    (void)delete_topic(f, "old?confirm=old");
    give_topics(f);
    give_commit(f, 4, ERR_OK);
    give_commit(f, 3, ERR_FENCED);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    assert_non_null(strstr(answer(f), "its dead letters are deleted, deleting the topic itself "
                                      "failed: the log was fenced, outcome unknown"));
    fixture_free(f);
}

static void a_log_that_does_not_answer_deletes_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)delete_topic(f, "old?confirm=old");
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    snapshot->error = err_make(ERR_MEMORY);
    snapshot->done(snapshot);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    assert_int_equal(f->commit_count, 0);
    fixture_free(f);
}

static void a_stop_waits_until_it_is_known_what_is_deleted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)delete_topic(f, "old?confirm=old");
    give_topics(f);
    fake_end(f->fake->tcps[0], ERR_CLOSED);
    admin_stop(f->admin, 0, on_stopped, f);
    settle(f);
    assert_int_equal(f->stopped, 0);
    give_commit(f, 4, ERR_OK);
    settle(f);
    assert_int_equal(f->stopped, 0);
    give_commit(f, 3, ERR_OK);
    settle(f);
    fixture_free(f);
}

static void deletions_count_as_inquiries(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (int i = 0; i < 64; i++)
        assert_string_equal(delete_topic(f, "plain?confirm=plain"), "");
    connect_one(f);
    assert_starts(delete_topic(f, "plain?confirm=plain"), "HTTP/1.1 503 ");
    while (f->held_count > 0) {
        struct flow_snapshot *snapshot = f->held[--f->held_count];
        snapshot->error = err_make(ERR_MEMORY);
        snapshot->done(snapshot);
    }
    mem_fail_after(1);
    const char *text = delete_topic(f, "plain?confirm=plain");
    mem_fail_after(0);
    assert_starts(text, "HTTP/1.1 503 ");
    assert_int_equal(f->held_count, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_goes_with_its_dlq_first),
        cmocka_unit_test(a_topic_without_a_dlq_goes_alone),
        cmocka_unit_test(a_dlq_can_go_alone),
        cmocka_unit_test(an_open_topic_goes_by_whoever_has_told_the_doors_of_it),
        cmocka_unit_test(without_its_name_as_confirmation_nothing_is_asked),
        cmocka_unit_test(what_a_contract_declares_is_kept),
        cmocka_unit_test(a_topic_that_is_not_there_is_404),
        cmocka_unit_test(what_fails_half_way_says_so),
        cmocka_unit_test(a_log_that_does_not_answer_deletes_nothing),
        cmocka_unit_test(a_stop_waits_until_it_is_known_what_is_deleted),
        cmocka_unit_test(deletions_count_as_inquiries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
