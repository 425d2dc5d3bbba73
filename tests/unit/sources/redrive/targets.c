#include "unit/sources/redrive/world.h"

#include "base/alloc.h"

static const struct flow_letters_order redrive = {.action = FLOW_LETTERS_REDRIVE};

#define LETTERS 64

/* A sink as the redrive knows it: settles what it takes, as the end of an epoch does, after a
 * while. */
struct fake {
    struct flow_redeliver redeliver;
    struct dead *d;
    struct flow_redelivery *held;
    struct io_timer timer;
    uint64_t delay_ns;
    enum err_code error; /* what it answers */
    bool cancels;
    int64_t refuse_every; /* by the offset in the queue; 0: none */
    uint32_t room;        /* letters of a lot; 0: all */
    uint32_t takes;
    uint32_t refusals;
    uint32_t seen[LETTERS]; /* by the offset in the queue: delivered so often */
    struct flow_settle settles[LETTERS];
    struct flow_commit commit;
};

struct two {
    struct dead d;
    struct fake lake;
    struct fake base;
    uint32_t letters; /* in the queue, of the intake too */
};

static void fake_answer(struct fake *f, enum err_code code)
{
    struct flow_redelivery *r = f->held;
    f->held = NULL;
    r->error = err_make(code);
    r->why = (struct err_text){0};
    if (code != ERR_OK)
        (void)err_set(&r->why, code, "sink %s: is ill", f->redeliver.name);
    r->done(r);
}

static void fake_settled(struct flow_commit *commit)
{
    struct fake *f = CONTAINER_OF(commit, struct fake, commit);
    assert_code(commit->error, OK);
    for (uint32_t i = 0; i < commit->settle_count; i++)
        f->seen[f->settles[i].first_offset]++;
    fake_answer(f, ERR_OK);
}

/* What is handed over is the record as it was. */
static void check_letter(const struct flow_redelivery *r, const struct flow_redelivery_letter *l)
{
    struct flow_batch batch;
    struct flow_record record;
    struct flow_header header;
    assert_code(flow_batch_parse(slice_sub(buf_slice(&r->bytes), l->at, l->size), &batch), OK);
    assert_code(flow_batch_check(&batch), OK);
    assert_int_equal(batch.record_count, 1);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    assert_code(flow_batch_next(&it, &record), OK);
    assert_int_equal(record.offset, l->offset);
    assert_int_equal(l->offset, 100 + l->letter_offset);
    assert_int_equal(l->partition, l->letter_offset % 2);
    assert_int_equal(record.timestamp_ms, 77);
    assert_slice(record.key, "key");
    assert_slice(record.value, "{\"a\":1}");
    struct slice rest = record.headers;
    assert_int_equal(record.header_count, 2);
    assert_true(flow_record_header(&rest, &header));
    assert_slice(header.key, "trace");
    assert_true(flow_record_header(&rest, &header));
    assert_slice(header.key, "garner.own");
}

static void fake_due(struct io_timer *timer)
{
    struct fake *f = CONTAINER_OF(timer, struct fake, timer);
    struct flow_redelivery *r = f->held;
    if (f->error != ERR_OK) {
        fake_answer(f, f->error);
        return;
    }
    r->taken = f->room > 0 && f->room < r->count ? f->room : r->count;
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->taken; i++) {
        struct flow_redelivery_letter *l = &r->letters[i];
        check_letter(r, l);
        l->refused = f->refuse_every > 0 && l->letter_offset % f->refuse_every == 0;
        f->refusals += l->refused;
        if (l->refused)
            continue;
        f->settles[count++] = (struct flow_settle){.topic_id = r->dlq_id,
                                                   .kind = FLOW_SETTLE_REDRIVEN,
                                                   .record_count = 1,
                                                   .first_offset = l->letter_offset,
                                                   .end_offset = l->letter_offset + 1};
    }
    if (count == 0) {
        fake_answer(f, ERR_OK);
        return;
    }
    f->commit = (struct flow_commit){
        .home = f->d->w.loop, .done = fake_settled, .settles = f->settles, .settle_count = count};
    flow_log_commit(log_flow(f->d->w.log), &f->commit);
}

static void fake_take(struct flow_redeliver *redeliver, struct flow_redelivery *r)
{
    struct fake *f = CONTAINER_OF(redeliver, struct fake, redeliver);
    assert_null(f->held);
    assert_true(r->count > 0 && r->ranges);
    assert_string_equal(r->topic, "flights");
    assert_int_equal(r->topic_id, 1);
    f->held = r;
    f->takes++;
    f->timer.run = fake_due;
    io_timer_start(f->d->w.loop, &f->timer, f->delay_ns);
}

static void fake_cancel(struct flow_redeliver *redeliver, struct flow_redelivery *r)
{
    struct fake *f = CONTAINER_OF(redeliver, struct fake, redeliver);
    assert_ptr_equal(f->held, r);
    if (!f->cancels)
        return;
    f->error = ERR_CANCELLED;
    io_timer_start(f->d->w.loop, &f->timer, 0);
}

/* A letter as a sink leaves it. */
static void add_letter(struct two *t, const char *stage, const char *topic)
{
    char partition[24];
    char offset[24];
    (void)snprintf(partition, sizeof partition, "%u", t->letters % 2);
    (void)snprintf(offset, sizeof offset, "%u", 100 + t->letters);
    const struct flow_header headers[] = {
        {SLICE_LITERAL("garner.reason"), SLICE_LITERAL("sink")},
        {SLICE_LITERAL("garner.detail"), SLICE_LITERAL("no")},
        {SLICE_LITERAL("garner.stage"), slice_string(stage)},
        {SLICE_LITERAL("garner.source"), SLICE_LITERAL("sink")},
        {SLICE_LITERAL("garner.attempts"), SLICE_LITERAL("1")},
        {SLICE_LITERAL("garner.received_at"), SLICE_LITERAL("2026-01-01T00:00:00Z")},
        {SLICE_LITERAL("garner.topic"), slice_string(topic)},
        {SLICE_LITERAL("garner.partition"), slice_string(partition)},
        {SLICE_LITERAL("garner.offset"), slice_string(offset)},
        {SLICE_LITERAL("trace"), SLICE_LITERAL("7")},
        {SLICE_LITERAL("garner.own"), SLICE_LITERAL("the record's")}};
    struct asked asked;
    asked_init(&asked, &t->d.w);
    flow_batch_builder_init(&asked.builders[0]);
    assert_code(flow_batch_builder_add(&asked.builders[0], 77, SLICE_LITERAL("key"),
                                       SLICE_LITERAL("{\"a\":1}"), headers, 11),
                OK);
    struct slice batch = flow_batch_builder_finish(&asked.builders[0]);
    asked.appends[0] = (struct flow_append){.topic_id = 2,
                                            .kind = FLOW_APPEND_SINK_LETTERS,
                                            .record_count = 1,
                                            .batch = asked.builders[0].bytes.data,
                                            .batch_size = batch.size};
    asked.commit.append_count = 1;
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    t->letters++;
}

static void give_sinks(struct two *t)
{
    struct flow_redeliver *sinks[] = {&t->lake.redeliver, &t->base.redeliver};
    assert_code(sources_redrive_set_sinks(t->d.redrive, sinks, 2), OK);
}

/* Four letters of the intake, of which one is no JSON; then ten of "lake" and of "base" in turn. */
static void init(struct two *t)
{
    *t = (struct two){0};
    dead_init(&t->d, 3);
    t->letters = 4;
    for (int i = 0; i < 20; i++)
        add_letter(t, i % 2 ? "sink:base" : "sink:lake", "flights");
    dead_mend(&t->d);
    t->lake = (struct fake){.redeliver = {"lake", fake_take, fake_cancel}, .d = &t->d};
    t->base = (struct fake){.redeliver = {"base", fake_take, fake_cancel}, .d = &t->d};
    give_sinks(t);
}

static uint32_t seen(const struct fake *f)
{
    uint32_t count = 0;
    for (size_t i = 0; i < LETTERS; i++) {
        assert_true(f->seen[i] <= 1);
        count += f->seen[i];
    }
    return count;
}

static void letters_go_to_the_sink_that_refused_them(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    add_letter(&t, "sink:gone", "flights");
    add_letter(&t, "sink:lake", "boats");
    struct flow_letters_state s = dead_run(&t.d, redrive);
    assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(s.done, 24);
    assert_int_equal(s.skipped_sink, 2);
    assert_int_equal(s.matched, 26);
    assert_int_equal(s.offsets_passed, s.offsets);
    assert_int_equal(dead_outcome(&s, "sink:lake"), 10);
    assert_int_equal(dead_outcome(&s, "sink:base"), 10);
    assert_int_equal(dead_outcome(&s, "accepted"), 3);
    assert_int_equal(dead_outcome(&s, "json"), 1);
    assert_int_equal(seen(&t.lake), 10);
    assert_int_equal(seen(&t.base), 10);
    assert_true(t.lake.takes == 1 && t.base.takes == 1);
    assert_int_equal(dead_records(&t.d), 3);
    assert_int_equal(dead_held(&t.d), 3);
    dead_done(&t.d);
}

static void what_a_sink_refuses_again_is_left_and_counted(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    t.lake.refuse_every = 4;
    struct flow_letters_state s = dead_run(&t.d, redrive);
    assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(s.refused, 5);
    assert_int_equal(s.done, 19);
    assert_int_equal(s.matched, 24);
    assert_int_equal(dead_outcome(&s, "refused:lake"), 5);
    assert_int_equal(t.lake.refusals, 5);
    assert_int_equal(dead_held(&t.d), 1 + 5);
    t.lake.refuse_every = 0;
    s = dead_run(&t.d, redrive);
    assert_int_equal(dead_outcome(&s, "sink:lake"), 5);
    assert_int_equal(seen(&t.lake), 10);
    dead_done(&t.d);
}

static void what_an_epoch_has_no_room_for_comes_next(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    t.lake.room = 3;
    t.lake.refuse_every = 8;
    struct flow_letters_state s = dead_run(&t.d, redrive);
    assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(t.lake.takes, 4);
    assert_int_equal(t.lake.refusals, 2);
    assert_int_equal(s.refused, 2);
    assert_int_equal(seen(&t.lake), 8);
    assert_int_equal(seen(&t.base), 10);
    assert_int_equal(dead_records(&t.d), 3);
    dead_done(&t.d);
}

static bool is_waiting(void *context)
{
    return dead_state(context).phase == FLOW_LETTERS_WAITING;
}

static void a_sink_that_fails_is_waited_for_when_all_else_is_done(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    t.lake.error = ERR_BUSY;
    assert_code(dead_order(&t.d, redrive), OK);
    world_until(&t.d.w, is_waiting, &t.d);
    struct flow_letters_state s = dead_state(&t.d);
    assert_string_equal(s.why, "sink lake: is ill");
    assert_int_equal(s.done, 14);
    assert_int_equal(seen(&t.base), 10);
    uint32_t takes = t.lake.takes;
    while (t.lake.takes < takes + 4)
        world_deliver(&t.d.w);
    t.lake.error = ERR_OK;
    world_until(&t.d.w, dead_is_over, &t.d);
    s = dead_state(&t.d);
    assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(s.done, 24);
    assert_int_equal(seen(&t.lake), 10);
    assert_int_equal(seen(&t.base), 10);
    assert_int_equal(dead_records(&t.d), 3);
    dead_done(&t.d);
}

static bool base_is_done(void *context)
{
    const struct two *t = context;
    return seen(&t->base) == 10 && t->d.w.log->state.topics[0]->received > 4;
}

/* With the sink's own letters in front: it is left behind, and not asked twice at once. */
static void a_sink_that_is_slow_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    t.lake.delay_ns = 60 * IO_SECOND;
    t.lake.room = 4;
    t.base.room = 2;
    uint64_t begun_ns = io_now_ns(t.d.w.loop);
    assert_code(dead_order(&t.d, redrive), OK);
    world_until(&t.d.w, base_is_done, &t);
    assert_true(io_now_ns(t.d.w.loop) - begun_ns < 30 * IO_SECOND);
    assert_int_equal(seen(&t.lake), 0);
    assert_int_equal(t.lake.takes, 1);
    world_until(&t.d.w, dead_is_over, &t.d);
    struct flow_letters_state s = dead_state(&t.d);
    assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(s.done, 24);
    assert_int_equal(seen(&t.lake), 10);
    assert_int_equal(t.lake.takes, 3);
    dead_done(&t.d);
}

static void a_sink_that_hangs_holds_up_no_cancel(void **state)
{
    (void)state;
    for (int cancels = 0; cancels < 2; cancels++) {
        struct two t;
        init(&t);
        t.lake.delay_ns = 600 * IO_SECOND;
        t.lake.cancels = cancels;
        struct flow_letters_order order = redrive;
        order.limit = 24;
        uint64_t begun_ns = io_now_ns(t.d.w.loop);
        assert_code(dead_order(&t.d, order), OK);
        world_until(&t.d.w, base_is_done, &t);
        assert_true(flow_letters_cancel(t.d.letters, SLICE_LITERAL("flights")));
        world_until(&t.d.w, dead_is_over, &t.d);
        assert_true(io_now_ns(t.d.w.loop) - begun_ns < 60 * IO_SECOND);
        struct flow_letters_state s = dead_state(&t.d);
        assert_int_equal(s.phase, FLOW_LETTERS_CANCELLED);
        assert_int_equal(dead_outcome(&s, "unknown"), 10);
        assert_int_equal(s.done, 14);
        /* It comes back when nobody waits for it any more, not even the redrive. */
        dead_stop(&t.d);
        dead_start(&t.d, 1000);
        world_settle(&t.d.w);
        while (t.lake.held)
            world_deliver(&t.d.w);
        assert_int_equal(seen(&t.lake), cancels ? 0 : 10);
        dead_done(&t.d);
    }
}

static void a_stop_does_not_wait_for_a_sink_that_hangs(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    t.lake.delay_ns = 600 * IO_SECOND;
    assert_code(dead_order(&t.d, redrive), OK);
    uint64_t begun_ns = io_now_ns(t.d.w.loop);
    dead_stop(&t.d);
    assert_true(io_now_ns(t.d.w.loop) - begun_ns < 60 * IO_SECOND);
    while (t.lake.held)
        world_deliver(&t.d.w);
    dead_start(&t.d, 1000);
    give_sinks(&t);
    (void)dead_run(&t.d, redrive);
    assert_int_equal(seen(&t.lake), 10);
    assert_int_equal(seen(&t.base), 10);
    dead_done(&t.d);
}

static void limits_count_what_sinks_have(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    struct flow_letters_order order = redrive;
    order.limit = 9;
    order.dry_run = true;
    struct flow_letters_state s = dead_run(&t.d, order);
    assert_int_equal(s.done, 9);
    assert_int_equal(dead_outcome(&s, "sink:lake"), 3);
    assert_int_equal(t.lake.takes + t.base.takes, 0);
    order.dry_run = false;
    t.lake.error = ERR_BUSY;
    /* There are as many without those of the sink that fails. */
    s = dead_run(&t.d, order);
    assert_int_equal(s.phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(s.done, 9);
    assert_int_equal(seen(&t.lake), 0);
    assert_int_equal(dead_held(&t.d), 24 - 9 + 1);
    t.lake.error = ERR_OK;
    order.limit = 4;
    order.filter.reason = SLICE_LITERAL("sink");
    t.base.delay_ns = t.lake.delay_ns = 60 * IO_SECOND;
    order.rate = 1;
    assert_int_equal(dead_run(&t.d, order).done, 4);
    assert_int_equal(dead_held(&t.d), 24 - 13 + 1);
    dead_done(&t.d);
}

static void what_the_log_never_takes_ends_the_job(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    t.base.error = ERR_TOO_LARGE;
    struct flow_letters_state s = dead_run(&t.d, redrive);
    assert_int_equal(s.phase, FLOW_LETTERS_FAILED);
    assert_non_null(strstr(s.why, "take the older letters first"));
    assert_int_equal(seen(&t.lake), 10);
    t.base.error = ERR_OK;
    assert_int_equal(dead_run(&t.d, redrive).phase, FLOW_LETTERS_FINISHED);
    assert_int_equal(seen(&t.base), 10);
    dead_done(&t.d);
}

static void memory_that_ends_loses_no_letter(void **state)
{
    (void)state;
    struct two t;
    init(&t);
    for (uint64_t n = 1; n < 80; n++) {
        struct flow_letters_order some = redrive;
        some.limit = 1;
        mem_fail_after(n);
        err_t err = dead_order(&t.d, some);
        if (err_is_ok(err))
            world_until(&t.d.w, dead_is_over, &t.d);
        mem_fail_after(0);
        if (!err_is_ok(err) && !err_retriable(err))
            fail_msg("%s", err_name(err));
    }
    world_settle(&t.d.w);
    (void)dead_run(&t.d, redrive);
    assert_int_equal(seen(&t.lake), 10);
    assert_int_equal(seen(&t.base), 10);
    assert_int_equal(dead_records(&t.d), 3);
    dead_done(&t.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_go_to_the_sink_that_refused_them),
        cmocka_unit_test(what_a_sink_refuses_again_is_left_and_counted),
        cmocka_unit_test(what_an_epoch_has_no_room_for_comes_next),
        cmocka_unit_test(a_sink_that_fails_is_waited_for_when_all_else_is_done),
        cmocka_unit_test(a_sink_that_is_slow_keeps_nobody_waiting),
        cmocka_unit_test(a_sink_that_hangs_holds_up_no_cancel),
        cmocka_unit_test(a_stop_does_not_wait_for_a_sink_that_hangs),
        cmocka_unit_test(limits_count_what_sinks_have),
        cmocka_unit_test(what_the_log_never_takes_ends_the_job),
        cmocka_unit_test(memory_that_ends_loses_no_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
