#include "flow/snapshot.h"

#include "lib/unit.h"

static struct flow_topic_state topics[] = {
    {.id = 1,
     .name = "flights",
     .received = 500,
     .accepted = 480,
     .duplicates = 5,
     .dead_lettered = 9,
     .refused = 4,
     .damaged = 2},
    {.id = 7,
     .name = "flights.dlq",
     .parent_id = 1,
     .dlq_total = 13,
     .dlq_held = 4,
     .dlq_redriven = 3,
     .dlq_purged = 2,
     .dlq_expired = 1,
     .dlq_damaged = 3},
};

static struct flow_sink_state sinks[] = {
    {.id = 1,
     .name = "lake",
     .accepted = 480,
     .delivered = 400,
     .dead_lettered = 10,
     .expired = 9,
     .aborted = 8,
     .compacted = 7,
     .damaged = 6,
     .pending = 40},
};

static struct flow_snapshot snapshot_make(void)
{
    return (struct flow_snapshot){
        .topics = topics, .topic_count = 2, .sinks = sinks, .sink_count = 1};
}

static void topics_and_sinks_are_found_by_name_and_id(void **state)
{
    (void)state;
    struct flow_snapshot s = snapshot_make();
    assert_ptr_equal(flow_snapshot_topic(&s, SLICE_LITERAL("flights")), &topics[0]);
    assert_ptr_equal(flow_snapshot_topic(&s, SLICE_LITERAL("flights.dlq")), &topics[1]);
    assert_null(flow_snapshot_topic(&s, SLICE_LITERAL("flight")));
    assert_null(flow_snapshot_topic(&s, SLICE_LITERAL("")));
    assert_ptr_equal(flow_snapshot_topic_by_id(&s, 7), &topics[1]);
    assert_null(flow_snapshot_topic_by_id(&s, 2));
    assert_ptr_equal(flow_snapshot_sink(&s, SLICE_LITERAL("lake")), &sinks[0]);
    assert_null(flow_snapshot_sink(&s, SLICE_LITERAL("lakes")));
}

static void an_empty_snapshot_has_nothing_and_balances(void **state)
{
    (void)state;
    struct flow_snapshot s = {0};
    assert_null(flow_snapshot_topic(&s, SLICE_LITERAL("flights")));
    assert_null(flow_snapshot_topic_by_id(&s, 1));
    assert_null(flow_snapshot_sink(&s, SLICE_LITERAL("lake")));
    assert_true(flow_snapshot_balanced(&s));
    flow_snapshot_done(&s);
}

static void every_term_counts_in_the_balance(void **state)
{
    (void)state;
    struct flow_snapshot s = snapshot_make();
    assert_true(flow_snapshot_balanced(&s));
    uint64_t *terms[] = {
        &topics[0].received,      &topics[0].accepted,     &topics[0].duplicates,
        &topics[0].dead_lettered, &topics[0].refused,      &topics[0].damaged,
        &topics[1].dlq_total,     &topics[1].dlq_held,     &topics[1].dlq_redriven,
        &topics[1].dlq_purged,    &topics[1].dlq_expired,  &sinks[0].accepted,
        &sinks[0].delivered,      &sinks[0].dead_lettered, &sinks[0].expired,
        &sinks[0].aborted,        &sinks[0].compacted,     &sinks[0].damaged,
        &sinks[0].pending,        &topics[1].dlq_damaged,
    };
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
        ++*terms[i];
        assert_false(flow_snapshot_balanced(&s));
        --*terms[i];
    }
    assert_true(flow_snapshot_balanced(&s));
}

static void done_frees_the_copy(void **state)
{
    (void)state;
    struct flow_snapshot s = {0};
    arena_init(&s.arena, 0);
    s.topics = arena_alloc(&s.arena, sizeof(*s.topics));
    assert_non_null(s.topics);
    s.topics[0].name = arena_string(&s.arena, SLICE_LITERAL("a"));
    s.topic_count = 1;
    assert_non_null(flow_snapshot_topic(&s, SLICE_LITERAL("a")));
    flow_snapshot_done(&s);
    assert_null(flow_snapshot_topic(&s, SLICE_LITERAL("a")));
    flow_snapshot_done(&s);
}

static void settled_offsets_are_skipped(void **state)
{
    (void)state;
    struct flow_settled_run runs[] = {{2, 5, 3}, {7, 8, 1}};
    struct flow_settled settled = {runs, 2};
    static const int64_t next[] = {0, 1, 5, 5, 5, 5, 6, 8, 8, 9};
    static const uint32_t place[] = {0, 0, 0, 0, 0, 1, 1, 1, 2, 2};
    for (int64_t i = 0; i < 10; i++) {
        assert_int_equal(flow_settled_skip(&settled, i), next[i]);
        assert_int_equal(flow_settled_place(runs, 2, i), place[i]);
    }
    settled = (struct flow_settled){0};
    assert_int_equal(flow_settled_skip(&settled, 3), 3);
    assert_int_equal(flow_settled_place(NULL, 0, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settled_offsets_are_skipped),
        cmocka_unit_test(topics_and_sinks_are_found_by_name_and_id),
        cmocka_unit_test(an_empty_snapshot_has_nothing_and_balances),
        cmocka_unit_test(every_term_counts_in_the_balance),
        cmocka_unit_test(done_frees_the_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
