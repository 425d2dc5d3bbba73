#include "unit/sources/redrive/world.h"

#include "base/alloc.h"

static const struct flow_letters_order redrive = {.action = FLOW_LETTERS_REDRIVE};
static const struct flow_letters_order purge = {.action = FLOW_LETTERS_PURGE};

static void a_mended_contract_takes_each_letter_once(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 600);
    dead_mend(&d);
    struct flow_letters_state s = dead_run(&d, redrive);
    assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(s.done, 601);
    assert_int_equal(s.matched, 601);
    assert_int_equal(s.offsets_passed, s.offsets);
    assert_int_equal(dead_outcome(&s, "accepted"), 600);
    assert_int_equal(dead_outcome(&s, "json"), 1);
    assert_int_equal(dead_records(&d), 600);
    assert_int_equal(dead_held(&d), 1);
    /* Nothing but the broken one is left, and it failed once more. */
    s = dead_run(&d, redrive);
    assert_int_equal(s.done, 1);
    assert_int_equal(dead_records(&d), 600);
    dead_done(&d);
}

static void what_was_redriven_stays_so_behind_a_loss_of_power(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 300);
    dead_mend(&d);
    struct flow_letters_order some = redrive;
    some.limit = 100;
    assert_int_equal(dead_run(&d, some).done, 100);
    dead_stop(&d);
    world_lose_power(&d.w);
    world_open(&d.w);
    dead_start(&d, 1000);
    assert_int_equal(dead_held(&d), 201);
    assert_int_equal(dead_records(&d), 100);
    assert_int_equal(dead_run(&d, redrive).done, 201);
    assert_int_equal(dead_records(&d), 300);
    dead_done(&d);
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 20);
    dead_mend(&d);
    uint64_t lsn = d.w.log->durable_lsn;
    struct flow_letters_order dry = redrive;
    dry.dry_run = true;
    struct flow_letters_state s = dead_run(&d, dry);
    assert_true(s.dry_run);
    assert_int_equal(s.done, 21);
    assert_int_equal(dead_outcome(&s, "accepted"), 20);
    assert_int_equal(dead_outcome(&s, "json"), 1);
    dry = purge;
    dry.dry_run = true;
    assert_int_equal(dead_run(&d, dry).done, 21);
    assert_int_equal(d.w.log->durable_lsn, lsn);
    assert_int_equal(dead_held(&d), 21);
    dead_done(&d);
}

static void a_letter_that_was_tried_too_often_is_skipped(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 0);
    struct flow_letters_order order = redrive;
    order.max_attempts = 2;
    assert_int_equal(dead_run(&d, order).done, 1);
    assert_int_equal(dead_run(&d, order).done, 1);
    struct flow_letters_state s = dead_run(&d, order);
    assert_int_equal(s.done, 0);
    assert_int_equal(s.skipped_attempts, 1);
    assert_int_equal(s.matched, 1);
    assert_int_equal(dead_held(&d), 1);
    dead_done(&d);
}

/* A letter as somebody leaves it. */
static void add_letter(struct dead *d, enum flow_append_kind kind, struct slice key,
                       const struct flow_header *headers, uint32_t header_count)
{
    struct asked asked;
    asked_init(&asked, &d->w);
    flow_batch_builder_init(&asked.builders[0]);
    assert_code(flow_batch_builder_add(&asked.builders[0], 1, key, SLICE_LITERAL("{\"a\":1}"),
                                       headers, header_count),
                OK);
    struct slice batch = flow_batch_builder_finish(&asked.builders[0]);
    if (kind == FLOW_APPEND_DEAD_LETTERS)
        asked_count(&asked, 1, 1, 0);
    asked.appends[0] = (struct flow_append){.topic_id = 2,
                                            .kind = kind,
                                            .record_count = 1,
                                            .batch = asked.builders[0].bytes.data,
                                            .batch_size = batch.size};
    asked.commit.append_count = 1;
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
}

static void add_sink_letter(struct dead *d)
{
    static const struct flow_header headers[] = {
        {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("sink")},
        {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("sink:lake")}};
    add_letter(d, FLOW_APPEND_SINK_LETTERS, (struct slice){0}, headers, 2);
}

static void a_record_that_was_produced_comes_back_with_key_and_headers(void **state)
{
    (void)state;
    static const struct flow_header headers[] = {
        {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("schema")},
        {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("intake")},
        {SLICE_LITERAL("garner.attempts"), SLICE_LITERAL("1")},
        {SLICE_LITERAL("garner.partition"), SLICE_LITERAL("0")},
        {SLICE_LITERAL("trace"), SLICE_LITERAL("7")},
        {SLICE_LITERAL("none"), {0}}};
    struct dead d;
    struct asked_read read;
    struct flow_batch batch;
    struct flow_record record;
    struct flow_header header;
    dead_init(&d, 0);
    add_letter(&d, FLOW_APPEND_DEAD_LETTERS, SLICE_LITERAL(""), headers, 6);
    dead_mend(&d);
    struct flow_letters_order order = redrive;
    order.dry_run = true;
    struct flow_letters_state s = dead_run(&d, order);
    assert_int_equal(dead_outcome(&s, "accepted"), 1);
    assert_int_equal(dead_records(&d), 0);
    s = dead_run(&d, redrive);
    assert_int_equal(dead_outcome(&s, "accepted"), 1);
    assert_int_equal(dead_held(&d), 1);
    assert_code(world_read(&d.w, &read, 0, 1000), OK);
    assert_code(flow_batch_parse(read.read.batches[0], &batch), OK);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    assert_code(flow_batch_next(&it, &record), OK);
    assert_int_equal(record.timestamp_ms, 1);
    assert_non_null(record.key.data);
    assert_int_equal(record.key.size, 0);
    assert_int_equal(record.header_count, 2);
    assert_true(flow_record_header(&record.headers, &header));
    assert_slice(header.key, "trace");
    assert_true(flow_record_header(&record.headers, &header));
    assert_null(header.value.data);
    world_release(&d.w, &read);
    dead_done(&d);
}

static void a_sinks_letter_is_never_appended_again(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 3);
    add_sink_letter(&d);
    dead_mend(&d);
    struct flow_letters_state s = dead_run(&d, redrive);
    assert_int_equal(s.skipped_sink, 1);
    assert_int_equal(s.done, 4);
    assert_int_equal(dead_records(&d), 3);
    assert_int_equal(dead_held(&d), 2);
    struct flow_letters_order one = purge;
    one.filter.reason = SLICE_LITERAL("sink");
    assert_int_equal(dead_run(&d, one).done, 1);
    assert_int_equal(dead_held(&d), 1);
    dead_done(&d);
}

static void letters_that_are_chosen_are_purged(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 50);
    struct flow_letters_order order = purge;
    order.filter.reason = SLICE_LITERAL("json");
    assert_int_equal(dead_run(&d, order).done, 1);
    order = purge;
    order.limit = 7;
    struct flow_letters_state s = dead_run(&d, order);
    assert_int_equal(s.done, 7);
    assert_int_equal(dead_held(&d), 43);
    assert_int_equal(log_state_topic(&d.w.log->state, 2)->letters.purged, 8);
    dead_done(&d);
}

static void one_a_topic_runs_at_a_time(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 100);
    dead_mend(&d);
    struct flow_letters_order slow = redrive;
    slow.rate = 10;
    assert_code(dead_order(&d, slow), OK);
    assert_code(dead_order(&d, purge), EXISTS);
    assert_true(flow_letters_cancel(d.letters, SLICE_LITERAL("flights")));
    world_until(&d.w, dead_is_over, &d);
    struct flow_letters_state s = dead_state(&d);
    assert_int_equal(s.phase, FLOW_LETTERS_CANCELLED);
    assert_true(s.done < 100);
    assert_int_equal(dead_records(&d), s.done);
    assert_false(flow_letters_cancel(d.letters, SLICE_LITERAL("flights")));
    assert_int_equal(dead_run(&d, purge).done, 101 - s.done);
    dead_done(&d);
}

static void a_rate_is_kept_by_the_clock(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 99);
    dead_mend(&d);
    struct flow_letters_order order = redrive;
    order.rate = 10;
    uint64_t begun_ns = io_now_ns(d.w.loop);
    assert_int_equal(dead_run(&d, order).done, 100);
    uint64_t took_ns = io_now_ns(d.w.loop) - begun_ns;
    assert_true(took_ns >= 9 * IO_SECOND && took_ns < 12 * IO_SECOND);
    dead_done(&d);
}

/* A call that fails fences the log, or is tried again; what became of the letters on their way is
 * asked anew. */
static void a_disk_that_fails_is_waited_for(void **state)
{
    (void)state;
    uint32_t fenced = 0;
    for (uint64_t n = 1; n < 30; n += 2) {
        struct dead d;
        dead_init(&d, 600);
        dead_mend(&d);
        assert_code(dead_order(&d, redrive), OK);
        sim_disk_fail_after(d.w.disk, n, ERR_IO);
        world_until(&d.w, dead_is_over, &d);
        sim_disk_fail_after(d.w.disk, 0, ERR_OK);
        struct flow_letters_state s = dead_state(&d);
        assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
        assert_int_equal(s.done, 601);
        assert_int_equal(dead_records(&d), 600);
        assert_int_equal(dead_held(&d), 1);
        fenced += world_noted(&d.w, "log_fenced");
        dead_done(&d);
    }
    assert_true(fenced > 0);
}

static void what_cannot_begin_says_why(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 1);
    struct flow_letters_order order = redrive;
    order.topic = SLICE_LITERAL("boats");
    assert_code(dead_order(&d, order), NOT_FOUND);
    order.topic = SLICE_LITERAL("flights.dlq");
    assert_code(dead_order(&d, order), NOT_FOUND);
    struct flow_letters_state none;
    assert_false(flow_letters_state(d.letters, SLICE_LITERAL("boats"), &none));
    dead_done(&d);
}

static void memory_that_ends_ends_no_letter(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 30);
    dead_mend(&d);
    for (uint64_t n = 1; n < 60; n++) {
        mem_fail_after(n);
        struct flow_letters_order some = redrive;
        some.limit = 1;
        err_t err = dead_order(&d, some);
        if (err_is_ok(err))
            world_until(&d.w, dead_is_over, &d);
        mem_fail_after(0);
        /* The log's own want of memory may fence it. */
        if (!err_is_ok(err) && !err_retriable(err))
            fail_msg("%s", err_name(err));
    }
    world_settle(&d.w);
    (void)dead_run(&d, redrive);
    assert_int_equal(dead_records(&d), 30);
    assert_int_equal(dead_held(&d), 1);
    dead_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mended_contract_takes_each_letter_once),
        cmocka_unit_test(what_was_redriven_stays_so_behind_a_loss_of_power),
        cmocka_unit_test(a_dry_run_changes_nothing),
        cmocka_unit_test(a_letter_that_was_tried_too_often_is_skipped),
        cmocka_unit_test(a_record_that_was_produced_comes_back_with_key_and_headers),
        cmocka_unit_test(a_sinks_letter_is_never_appended_again),
        cmocka_unit_test(letters_that_are_chosen_are_purged),
        cmocka_unit_test(one_a_topic_runs_at_a_time),
        cmocka_unit_test(a_rate_is_kept_by_the_clock),
        cmocka_unit_test(a_disk_that_fails_is_waited_for),
        cmocka_unit_test(what_cannot_begin_says_why),
        cmocka_unit_test(memory_that_ends_ends_no_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
