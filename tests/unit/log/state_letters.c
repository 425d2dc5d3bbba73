#include "log/state.h"

#include "unit/log/payload.h"

static const struct log_position origin = {.file_number = 3, .offset = 8192, .commit_time_ms = 777};

static void apply(struct log_state *s, const struct payload *p)
{
    assert_code(log_state_apply(s, payload_slice(p), origin), OK);
}

/* What is refused leaves the state as it is. */
static void refuse(struct log_state *s, const struct payload *p)
{
    assert_code(log_state_apply(s, payload_slice(p), origin), CORRUPT);
}

/* The topic "flights" (1) with its queue (2), whose ten letters are, in turn, of the sinks "lake"
 * (1) and "base" (2): five each. */
static void init(struct log_state *s)
{
    static const uint32_t ids[] = {1};
    struct payload p = {0};
    log_state_init(s, 42);
    payload_topic(&p, 1, "flights", 1, 0);
    payload_topic(&p, 2, "flights.dlq", 1, 1);
    payload_batch(&p, 1, 0, 0, 20);
    payload_counts(&p, 1, 20, 0, 0);
    for (uint32_t sink = 1; sink <= 2; sink++) {
        struct flow_sink_range range = {1, 0, 0, 20, 15, 5};
        payload_sink_open(&p, sink, sink == 1 ? "lake" : "base", ids, 1);
        payload_sink_prepare(&p, sink, 1, &range, 1, "file");
        payload_sink_commit(&p, sink, 1);
    }
    payload_batch_of(&p, FLOW_APPEND_SINK_LETTERS, 2, 0, 0, 10);
    apply(s, &p);
}

static struct flow_sink_range letters(int64_t first, int64_t end)
{
    return (struct flow_sink_range){2, 0, first, end, (uint64_t)(end - first), 0};
}

static void prepare(struct log_state *s, uint32_t sink, const struct flow_sink_range *ranges,
                    uint32_t count)
{
    struct payload p = {0};
    payload_sink_redrive(&p, sink, log_state_sink(s, sink)->epoch + 1, ranges, count);
    apply(s, &p);
}

static void end(struct log_state *s, uint32_t sink)
{
    struct payload p = {0};
    payload_sink_commit(&p, sink, log_state_sink(s, sink)->epoch + 1);
    apply(s, &p);
}

struct row {
    uint64_t delivered;
    uint64_t dead_lettered;
    uint64_t held;
    uint64_t redriven;
    uint32_t runs; /* that a snapshot shows as settled */
};

static void assert_row(const struct log_state *s, struct row row)
{
    struct flow_snapshot snapshot = {.settled_of = SLICE_LITERAL("flights.dlq")};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    const struct flow_sink_state *lake = flow_snapshot_sink(&snapshot, SLICE_LITERAL("lake"));
    assert_int_equal(lake->delivered, row.delivered);
    assert_int_equal(lake->dead_lettered, row.dead_lettered);
    assert_int_equal(snapshot.topics[1].dlq_total, 10);
    assert_int_equal(snapshot.topics[1].dlq_held, row.held);
    assert_int_equal(snapshot.topics[1].dlq_redriven, row.redriven);
    assert_int_equal(snapshot.topics[1].settled[0].count, row.runs);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

static err_t may_settle(const struct log_state *s, int64_t first, int64_t last)
{
    struct flow_settle settle = {.topic_id = 2,
                                 .kind = FLOW_SETTLE_PURGED,
                                 .record_count = (uint32_t)(last - first),
                                 .first_offset = first,
                                 .end_offset = last};
    return log_state_may_settle(s, &settle);
}

static void the_end_of_an_epoch_settles_its_letters_as_delivered(void **state)
{
    (void)state;
    struct log_state s;
    struct flow_sink_range ranges[] = {letters(0, 1), letters(2, 3), letters(3, 4)};
    init(&s);
    assert_row(&s, (struct row){15, 5, 10, 0, 0});
    prepare(&s, 1, ranges, 3);
    /* Held yet, and shown to nobody. */
    assert_row(&s, (struct row){15, 5, 10, 0, 2});
    assert_true(log_state_held(&s, 2, 0, 1));
    assert_false(log_state_held(&s, 2, 0, 0));
    assert_int_equal(log_state_redriving_count(&s, 2, 0), 3);
    end(&s, 1);
    assert_row(&s, (struct row){18, 2, 7, 3, 2});
    assert_false(log_state_held(&s, 2, 0, 10));
    assert_int_equal(log_state_redriving_count(&s, 2, 0), 0);
    /* Cursors have nothing to do with it. */
    assert_int_equal(log_state_sink(&s, 1)->cursors[0].offset, 20);
    assert_int_equal(log_state_sink(&s, 1)->epoch, 2);
    log_state_done(&s);
}

static void letters_on_their_way_are_nobody_elses(void **state)
{
    (void)state;
    struct log_state s;
    struct flow_sink_range ranges[] = {letters(2, 4), letters(6, 7)};
    init(&s);
    prepare(&s, 1, ranges, 2);
    assert_code(may_settle(&s, 2, 3), BUSY);
    assert_code(may_settle(&s, 0, 10), BUSY);
    assert_code(may_settle(&s, 4, 6), OK);
    assert_code(log_state_may_redrive(&s, log_state_sink(&s, 2), &ranges[1], 1), BUSY);
    struct payload p = {0};
    payload_settle(&p, FLOW_SETTLE_PURGED, 2, 3, 5);
    refuse(&s, &p);
    p.size = 0;
    payload_sink_redrive(&p, 2, 2, ranges, 1);
    refuse(&s, &p);
    /* Of two sinks at once, each has its own. */
    struct flow_sink_range other = letters(4, 6);
    prepare(&s, 2, &other, 1);
    assert_row(&s, (struct row){15, 5, 10, 0, 1});
    end(&s, 2);
    assert_row(&s, (struct row){15, 5, 8, 2, 1});
    end(&s, 1);
    assert_row(&s, (struct row){18, 2, 5, 5, 1});
    log_state_done(&s);
}

static void only_what_is_held_and_was_refused_is_redriven(void **state)
{
    (void)state;
    struct log_state s;
    init(&s);
    struct payload p = {0};
    payload_settle(&p, FLOW_SETTLE_PURGED, 2, 0, 2);
    apply(&s, &p);
    struct flow_sink_range none = letters(4, 5);
    none.delivered = 2;
    struct flow_sink_range dead = letters(4, 5);
    dead.dead_lettered = 1;
    struct flow_sink_range topic = letters(4, 5);
    topic.topic_id = 1;
    const struct {
        struct flow_sink_range ranges[2];
        uint32_t count;
        enum err_code code;
    } cases[] = {
        {{letters(1, 3)}, 1, ERR_OFFSET_RANGE},           /* one is settled */
        {{letters(8, 11)}, 1, ERR_OFFSET_RANGE},          /* one is not there */
        {{letters(2, 8)}, 1, ERR_INVALID},                /* more than it refused */
        {{letters(2, 5), letters(6, 9)}, 2, ERR_INVALID}, /* the same, of both together */
        {{letters(5, 6), letters(3, 4)}, 2, ERR_INVALID}, /* falling */
        {{letters(3, 5), letters(4, 6)}, 2, ERR_INVALID}, /* one twice */
        {{none}, 1, ERR_INVALID},                         /* more than offsets */
        {{dead}, 1, ERR_INVALID},
        {{topic}, 1, ERR_INVALID}, /* no DLQ */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        err_t err =
            log_state_may_redrive(&s, log_state_sink(&s, 1), cases[i].ranges, cases[i].count);
        assert_int_equal(err.code, cases[i].code);
        p.size = 0;
        payload_sink_redrive(&p, 1, 2, cases[i].ranges, cases[i].count);
        refuse(&s, &p);
    }
    struct flow_sink_range good = letters(2, 7);
    assert_code(log_state_may_redrive(&s, log_state_sink(&s, 1), &good, 1), OK);
    prepare(&s, 1, &good, 1);
    p.size = 0;
    payload_sink_commit(&p, 1, 3);
    refuse(&s, &p);
    end(&s, 1);
    assert_row(&s, (struct row){20, 0, 3, 5, 1});
    log_state_done(&s);
}

/* As fsck leaves it: the rest of the epoch ends all the same. */
static void a_range_without_letters_settles_nothing(void **state)
{
    (void)state;
    struct log_state s;
    struct flow_sink_range ranges[] = {letters(2, 4), letters(6, 7)};
    init(&s);
    prepare(&s, 1, ranges, 2);
    log_state_sink(&s, 1)->ranges[0].delivered = 0;
    end(&s, 1);
    assert_row(&s, (struct row){16, 4, 9, 1, 1});
    log_state_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_an_epoch_settles_its_letters_as_delivered),
        cmocka_unit_test(letters_on_their_way_are_nobody_elses),
        cmocka_unit_test(only_what_is_held_and_was_refused_is_redriven),
        cmocka_unit_test(a_range_without_letters_settles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
