#include "pipeline/check/check_int.h"

#include "unit/pipeline/check/fixture.h"

/* events with other partitions that rejects, and `fresh`; orders is gone. */
static const struct pipeline_check_topic others[] = {
    {"events", EVENTS, EVENTS_DLQ, 5, PIPELINE_CHECK_REJECT, "id", NULL, 0},
    {"fresh", 6, 7, 2, PIPELINE_CHECK_DEAD_LETTER, NULL, NULL, 0},
};

static struct pipeline_check_update *make(struct fixture *f,
                                          const struct pipeline_check_topic *topics, size_t count)
{
    struct pipeline_check_update *update = NULL;
    struct err_text why = {0};
    err_t err = pipeline_check_update_new(f->check, &f->loop, topics, count, &update, &why);
    assert_string_equal(err_name(err), "OK");
    return update;
}

static void change(struct fixture *f, const struct pipeline_check_topic *topics, size_t count)
{
    struct pipeline_check_update *update = make(f, topics, count);
    pipeline_check_update_apply(f->check, update);
    pipeline_check_update_free(&update);
    assert_null(update);
}

static void topics_come_change_and_go(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct flow_inlet *inlet = pipeline_check_inlet(f.check);
    const struct flow_inlet_topic *events = flow_inlet_topic(inlet, SLICE_LITERAL("events"));
    change(&f, others, 2);
    assert_ptr_equal(flow_inlet_topic(inlet, SLICE_LITERAL("events")), events);
    assert_int_equal(events->partition_count, 5);
    assert_int_equal(events->on_invalid, PIPELINE_CHECK_REJECT);
    assert_string_equal(events->name, "events");
    assert_null(flow_inlet_topic(inlet, SLICE_LITERAL("orders")));
    assert_non_null(flow_inlet_topic(inlet, SLICE_LITERAL("fresh")));
    assert_int_equal(flow_inlet_topic(inlet, SLICE_LITERAL("fresh"))->index, 2);
    /* Back again, in its old place. */
    change(&f, fixture_topics, 2);
    assert_int_equal(flow_inlet_topic(inlet, SLICE_LITERAL("orders"))->index, 1);
    assert_null(flow_inlet_topic(inlet, SLICE_LITERAL("fresh")));
    fixture_done(&f);
}

static void a_request_is_judged_by_what_is_in_force_when_it_is_handed_over(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent before =
        fixture_request(&f, 'a', "events", FLOW_FRAMING_NDJSON, SLICE_LITERAL("broken\n"));
    struct sent after =
        fixture_request(&f, 'b', "events", FLOW_FRAMING_NDJSON, SLICE_LITERAL("broken\n"));
    struct sent gone =
        fixture_request(&f, 'c', "orders", FLOW_FRAMING_NDJSON, SLICE_LITERAL("{}\n"));
    fixture_submit(&f, &before);
    /* The commit that is open is handed over as it is. */
    change(&f, others, 2);
    fixture_submit(&f, &after);
    fixture_submit(&f, &gone);
    fixture_run(&f);
    assert_int_equal(before.request.dead_lettered, 1);
    assert_int_equal(after.request.refused, 1);
    assert_string_equal(err_name(gone.request.error), "NOT_FOUND");
    assert_int_equal(f.commit_count, 2);
    assert_int_equal(f.check->topics[0]->total.records[PIPELINE_CHECK_DEAD_LETTERED], 1);
    assert_int_equal(f.check->topics[0]->total.records[PIPELINE_CHECK_REFUSED], 1);
    flow_inlet_request_done(&before.request);
    flow_inlet_request_done(&after.request);
    flow_inlet_request_done(&gone.request);
    fixture_done(&f);
}

static void an_update_that_cannot_be_made_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    static const struct pipeline_check_topic wrong = {
        "events", EVENTS, EVENTS_DLQ, 1, PIPELINE_CHECK_REJECT, "a..b", NULL, 0};
    struct pipeline_check_update *update = NULL;
    struct err_text why = {0};
    err_t err = pipeline_check_update_new(f.check, &f.loop, &wrong, 1, &update, &why);
    assert_string_equal(err_name(err), "INVALID");
    assert_null(update);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        mem_fail_after(n);
        err = pipeline_check_update_new(f.check, &f.loop, others, 2, &update, &why);
        mem_fail_after(0);
        assert_true(n < 100 && (err_is_ok(err) || err_is(err, ERR_MEMORY)));
    }
    /* Made and not applied. */
    pipeline_check_update_free(&update);
    assert_int_equal(f.check->topics[0]->partition_count, 3);
    assert_int_equal(f.check->topic_count, 2);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_come_change_and_go),
        cmocka_unit_test(a_request_is_judged_by_what_is_in_force_when_it_is_handed_over),
        cmocka_unit_test(an_update_that_cannot_be_made_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
