#include "unit/sources/redrive/world.h"

static void a_walk_shows_what_is_held(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 20);
    struct flow_letter_filter all = {0};
    assert_code(dead_walk(&d, "flights", all, 0), OK);
    assert_int_equal(d.offset_count, 21);
    assert_int_equal(d.walk.held, 21);
    assert_true(d.walk.complete);
    struct flow_letters_order some = {.action = FLOW_LETTERS_PURGE, .limit = 5};
    (void)dead_run(&d, some);
    assert_code(dead_walk(&d, "flights", all, 0), OK);
    assert_int_equal(d.offset_count, 16);
    assert_int_equal(d.offsets[0], 5);
    struct flow_letter_filter json = {.reason = SLICE_LITERAL("json")};
    assert_code(dead_walk(&d, "flights", json, 0), OK);
    assert_int_equal(d.offset_count, 1);
    assert_int_equal(d.offsets[0], 20);
    dead_done(&d);
}

static void a_walk_goes_on_where_another_ended(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 20);
    struct flow_letter_filter all = {0};
    d.walk_limit = 8;
    assert_code(dead_walk(&d, "flights", all, 0), OK);
    assert_int_equal(d.offset_count, 8);
    assert_int_equal(d.walk.next_offset, 8);
    assert_false(d.walk.complete);
    assert_code(dead_walk(&d, "flights", all, d.walk.next_offset), OK);
    assert_int_equal(d.offsets[0], 8);
    assert_int_equal(d.offsets[7], 15);
    d.walk_limit = 0;
    assert_code(dead_walk(&d, "flights", all, 1000), OK);
    assert_int_equal(d.offset_count, 0);
    assert_true(d.walk.complete);
    dead_done(&d);
}

static void a_walk_of_what_there_is_not_is_refused(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 1);
    struct flow_letter_filter all = {0};
    char longest[FLOW_TOPIC_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_code(dead_walk(&d, "boats", all, 0), NOT_FOUND);
    assert_code(dead_walk(&d, "flights.dlq", all, 0), NOT_FOUND);
    assert_code(dead_walk(&d, longest, all, 0), NOT_FOUND);
    assert_code(dead_walk(&d, "", all, 0), NOT_FOUND);
    dead_done(&d);
}

static void a_stop_ends_what_runs_and_refuses_what_comes(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 100);
    dead_mend(&d);
    struct flow_letters_order slow = {.action = FLOW_LETTERS_REDRIVE, .rate = 10};
    assert_code(dead_order(&d, slow), OK);
    d.stopped = false;
    sources_redrive_stop(d.redrive, dead_redrive_stopped, &d);
    dead_send_order(&d, slow);
    world_until(&d.w, world_is_set, &d.answered);
    assert_code(d.begin.error, CANCELLED);
    world_until(&d.w, world_is_set, &d.stopped);
    assert_int_equal(dead_records(&d) + dead_held(&d), 101);
    sources_redrive_free(&d.redrive);
    pipeline_check_stop(d.check);
    world_settle(&d.w);
    pipeline_check_free(&d.check);
    world_done(&d.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_shows_what_is_held),
        cmocka_unit_test(a_walk_goes_on_where_another_ended),
        cmocka_unit_test(a_walk_of_what_there_is_not_is_refused),
        cmocka_unit_test(a_stop_ends_what_runs_and_refuses_what_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
