#include "unit/sinks/run.h"

/* Some dead letters of the first sink, all of the topic "cars", on their way back. */
struct lot {
    struct flow_redelivery redelivery;
    struct flow_redelivery_letter letters[8];
    struct flow_sink_range ranges[8];
    uint32_t answers;
};

static void lot_back(struct flow_redelivery *redelivery)
{
    struct lot *lot = CONTAINER_OF(redelivery, struct lot, redelivery);
    lot->answers++;
}

/* The letters of [first, first + count) of the queue; their records are every third of partition
 * 1, which is what the plug-in had refused. */
static struct lot *lot_new(int64_t first, uint32_t count)
{
    static const struct test_record record = {1000, "key", "{\"value\":1}"};
    struct lot *lot = calloc(1, sizeof *lot);
    struct flow_batch_builder builder;
    assert_non_null(lot);
    flow_batch_builder_init(&builder);
    lot->redelivery = (struct flow_redelivery){.done = lot_back,
                                               .topic = "cars",
                                               .topic_id = 1,
                                               .dlq_id = 1 + WORLD_DLQ,
                                               .letters = lot->letters,
                                               .count = count,
                                               .ranges = lot->ranges};
    for (uint32_t i = 0; i < count; i++) {
        struct slice bytes = make_batch(&builder, (first + i) * 3, &record, 1).bytes;
        lot->letters[i] = (struct flow_redelivery_letter){.letter_offset = first + i,
                                                          .partition = 1,
                                                          .offset = (first + i) * 3,
                                                          .at = lot->redelivery.bytes.size,
                                                          .size = bytes.size};
        buf_add_slice(&lot->redelivery.bytes, bytes);
    }
    flow_batch_builder_done(&builder);
    assert_true(buf_ok(&lot->redelivery.bytes));
    return lot;
}

static void lot_free(struct lot *lot)
{
    buf_done(&lot->redelivery.bytes);
    free(lot);
}

static void give(struct test *t, struct lot *lot)
{
    struct flow_redeliver *redeliver = sinks_runner_redeliver(t->runner);
    uint32_t before = lot->answers;
    redeliver->take(redeliver, &lot->redelivery);
    assert_int_equal(lot->answers, before);
}

#define assert_answer(lot, code_name)                                                              \
    do {                                                                                           \
        assert_int_equal((lot)->answers, 1);                                                       \
        assert_string_equal(err_name((lot)->redelivery.error), #code_name);                        \
    } while (0)

static uint32_t visible(const struct test *t, int64_t letter)
{
    return t->plug.visible[1][1][letter * 3];
}

static uint32_t settled(const struct test *t, int64_t letter)
{
    return t->world->partitions[1 + WORLD_DLQ][0].settled[letter];
}

/* Eight letters are in the queue, and the cause is mended. */
static void refuse_eight(struct test *t)
{
    world_append(t->world, 1, 1, 24);
    t->plug.refuse_every = 3;
    begin(t);
    world_advance(t->world, 61 * IO_SECOND);
    assert_int_equal(t->world->sinks[0].dead_lettered, 8);
    t->plug.refuse_every = 0;
}

static void letters_are_an_epoch_of_their_own(void **state)
{
    struct test *t = *state;
    struct lot *lot = lot_new(2, 4);
    refuse_eight(t);
    assert_string_equal(sinks_runner_redeliver(t->runner)->name, "first");
    uint64_t epoch = t->world->sinks[0].epoch;
    give(t, lot);
    world_settle(t->world);
    assert_answer(lot, OK);
    assert_int_equal(lot->redelivery.taken, 4);
    assert_int_equal(t->world->sinks[0].epoch, epoch + 1);
    assert_int_equal(t->world->sinks[0].delivered, 16 + 4);
    assert_int_equal(t->world->sinks[0].dead_lettered, 4);
    for (int64_t i = 0; i < 8; i++) {
        assert_int_equal(visible(t, i), i >= 2 && i < 6);
        assert_int_equal(settled(t, i), i >= 2 && i < 6);
    }
    /* The cursors did not move, and what comes next is delivered. */
    world_append(t->world, 1, 1, 3);
    world_advance(t->world, 61 * IO_SECOND);
    assert_int_equal(*cursor_at(t, 1, 1), 27);
    lot_free(lot);
}

static void what_is_refused_again_stays_where_it_is(void **state)
{
    struct test *t = *state;
    struct lot *lot = lot_new(0, 6);
    refuse_eight(t);
    t->plug.refuse_every = 6;
    give(t, lot);
    world_settle(t->world);
    assert_answer(lot, OK);
    assert_int_equal(lot->redelivery.taken, 6);
    for (int64_t i = 0; i < 6; i++) {
        assert_int_equal(lot->letters[i].refused, i % 2 == 0);
        assert_int_equal(settled(t, i), i % 2);
    }
    lot_free(lot);
    /* All of them: there is no epoch. */
    lot = lot_new(0, 1);
    uint64_t epoch = t->world->sinks[0].epoch;
    give(t, lot);
    world_settle(t->world);
    assert_answer(lot, OK);
    assert_true(lot->letters[0].refused);
    assert_int_equal(t->world->sinks[0].epoch, epoch);
    assert_int_equal(t->world->partitions[1 + WORLD_DLQ][0].letters, 8);
    lot_free(lot);
}

static void an_epoch_that_is_full_takes_some_of_them(void **state)
{
    struct test *t = *state;
    struct lot *lot = lot_new(0, 6);
    refuse_eight(t);
    t->plug.roll_records = 2;
    give(t, lot);
    world_settle(t->world);
    assert_answer(lot, OK);
    assert_int_equal(lot->redelivery.taken, 2);
    assert_int_equal(settled(t, 1), 1);
    assert_int_equal(settled(t, 2), 0);
    lot_free(lot);
}

static void the_open_epoch_ends_soon_for_letters(void **state)
{
    struct test *t = *state;
    struct lot *lot = lot_new(0, 2);
    refuse_eight(t);
    world_append(t->world, 1, 0, 5);
    world_settle(t->world);
    assert_true(t->runner->begun);
    world_advance(t->world, IO_SECOND / 2);
    give(t, lot);
    world_advance(t->world, IO_SECOND / 4);
    assert_int_equal(lot->answers, 0);
    world_advance(t->world, IO_SECOND / 3);
    assert_answer(lot, OK);
    assert_int_equal(*cursor_at(t, 1, 0), 5);
    lot_free(lot);
}

/* Letters, records, letters: nobody waits for all of the others. */
static void records_come_between_two_lots(void **state)
{
    struct test *t = *state;
    struct lot *first = lot_new(0, 2);
    struct lot *second = lot_new(2, 2);
    refuse_eight(t);
    t->world->workers[0].held = true;
    give(t, first);
    give(t, second);
    world_append(t->world, 1, 0, 5);
    world_settle(t->world);
    uint64_t epoch = t->world->sinks[0].epoch;
    t->world->workers[0].held = false;
    while (second->answers == 0 && (world_step(t->world) || world_fire(t->world)))
        if (t->world->sinks[0].epoch == epoch + 2)
            assert_int_equal(*cursor_at(t, 1, 0), 5);
    assert_answer(first, OK);
    assert_answer(second, OK);
    assert_int_equal(t->world->sinks[0].epoch, epoch + 3);
    lot_free(first);
    lot_free(second);
}

static void a_sink_that_fails_gives_them_back(void **state)
{
    struct test *t = *state;
    struct lot *lots[] = {lot_new(0, 2), lot_new(0, 2), lot_new(0, 2), lot_new(0, 2)};
    refuse_eight(t);
    fail_verb(t, SINKS_VERB_WRITE, ERR_NO_FILE, 1);
    give(t, lots[0]);
    give(t, lots[1]);
    world_settle(t->world);
    assert_answer(lots[0], BUSY);
    assert_answer(lots[1], BUSY);
    assert_non_null(strstr(lots[0]->redelivery.why.text, "sink first: reading: the plug-in says"));
    assert_int_equal(t->runner->state, SINKS_WAITING);
    give(t, lots[2]);
    world_settle(t->world);
    assert_answer(lots[2], BUSY);
    assert_non_null(strstr(lots[2]->redelivery.why.text, "the plug-in says no"));
    world_advance(t->world, IO_SECOND);
    assert_int_equal(t->runner->state, SINKS_READING);
    fail_verb(t, SINKS_VERB_PREPARE, ERR_IO, 1);
    give(t, lots[3]);
    world_settle(t->world);
    assert_answer(lots[3], BUSY);
    assert_int_equal(settled(t, 0) + visible(t, 0), 0);
    for (size_t i = 0; i < 4; i++)
        lot_free(lots[i]);
}

static void what_is_prepared_is_answered_once_it_is_delivered(void **state)
{
    struct test *t = *state;
    struct lot *lot = lot_new(0, 3);
    refuse_eight(t);
    fail_verb(t, SINKS_VERB_PUBLISH, ERR_IO, 3);
    give(t, lot);
    world_settle(t->world);
    assert_int_equal(lot->answers, 0);
    world_advance(t->world, 10 * IO_SECOND);
    assert_answer(lot, OK);
    for (int64_t i = 0; i < 3; i++)
        assert_true(visible(t, i) == 1 && settled(t, i) == 1);
    lot_free(lot);
}

/* Any commit may fail, having happened or not: the answer is the truth. */
static void a_commit_of_which_nobody_knows_is_found_out(void **state)
{
    struct test *t = *state;
    refuse_eight(t);
    uint32_t answered[2] = {0};
    for (int64_t i = 0; i < 8; i++) {
        struct lot *lot = lot_new(i, 1);
        t->world->fail_commit = t->world->commits + 1 + (uint64_t)(i / 2 % 2);
        t->world->commit_error = i < 4 ? ERR_FENCED : ERR_LOG_FULL;
        t->world->commit_lost = i % 2;
        give(t, lot);
        world_advance(t->world, 10 * IO_SECOND);
        assert_int_equal(lot->answers, 1);
        bool ok = err_is_ok(lot->redelivery.error);
        assert_true(ok || err_is(lot->redelivery.error, ERR_BUSY));
        assert_int_equal(settled(t, i), ok);
        assert_int_equal(visible(t, i), ok);
        answered[ok]++;
        lot_free(lot);
    }
    assert_int_equal(answered[0], 2);
    assert_int_equal(answered[1], 6);
}

static void what_the_log_refuses_is_no_failure_of_the_sink(void **state)
{
    struct test *t = *state;
    struct lot *lot = lot_new(0, 3);
    refuse_eight(t);
    t->world->partitions[1 + WORLD_DLQ][0].settled[1] = 1;
    give(t, lot);
    world_settle(t->world);
    assert_answer(lot, OFFSET_RANGE);
    assert_int_equal(status_of(t).failures, 0);
    assert_int_equal(t->runner->state, SINKS_READING);
    assert_int_equal(visible(t, 0), 0);
    lot_free(lot);
    lot = lot_new(2, 2);
    give(t, lot);
    world_settle(t->world);
    assert_answer(lot, OK);
    lot_free(lot);
}

static void who_waits_can_be_cancelled(void **state)
{
    struct test *t = *state;
    struct lot *first = lot_new(0, 2);
    struct lot *second = lot_new(2, 2);
    refuse_eight(t);
    t->world->workers[0].held = true;
    give(t, first);
    give(t, second);
    world_settle(t->world);
    struct flow_redeliver *redeliver = sinks_runner_redeliver(t->runner);
    redeliver->cancel(redeliver, &first->redelivery);
    redeliver->cancel(redeliver, &second->redelivery);
    redeliver->cancel(redeliver, &second->redelivery);
    assert_int_equal(second->answers, 0);
    world_settle(t->world);
    assert_answer(second, CANCELLED);
    assert_int_equal(first->answers, 0);
    t->world->workers[0].held = false;
    world_settle(t->world);
    assert_answer(first, OK);
    lot_free(first);
    lot_free(second);
}

static void a_stop_delivers_what_it_has_begun_and_no_more(void **state)
{
    struct test *t = *state;
    struct lot *lots[] = {lot_new(0, 2), lot_new(2, 2), lot_new(4, 2)};
    refuse_eight(t);
    t->world->workers[0].held = true;
    give(t, lots[0]);
    give(t, lots[1]);
    world_settle(t->world);
    sinks_runner_stop(t->runner, 10000, note_stopped, t);
    world_settle(t->world);
    assert_answer(lots[1], CANCELLED);
    give(t, lots[2]);
    world_settle(t->world);
    assert_answer(lots[2], CANCELLED);
    t->world->workers[0].held = false;
    world_advance(t->world, 5 * IO_SECOND);
    assert_answer(lots[0], OK);
    assert_true(t->stopped && err_is_ok(t->stop_error));
    assert_int_equal(settled(t, 0), 1);
    sinks_runner_free(&t->runner);
    for (size_t i = 0; i < 3; i++)
        lot_free(lots[i]);
}

static void a_stop_in_the_midst_of_trouble_does_not_know(void **state)
{
    struct test *t = *state;
    struct lot *lot = lot_new(0, 2);
    refuse_eight(t);
    fail_verb(t, SINKS_VERB_PUBLISH, ERR_IO, UINT32_MAX);
    give(t, lot);
    world_settle(t->world);
    sinks_runner_stop(t->runner, 1000, note_stopped, t);
    world_advance(t->world, 5 * IO_SECOND);
    assert_true(t->stopped);
    assert_answer(lot, FENCED);
    sinks_runner_free(&t->runner);
    /* The next start finishes it. */
    fail_verb(t, SINKS_VERB_PUBLISH, ERR_IO, 0);
    begin(t);
    world_settle(t->world);
    assert_true(settled(t, 0) == 1 && visible(t, 0) == 1);
    assert_true(settled(t, 1) == 1 && visible(t, 1) == 1);
    lot_free(lot);
}

/* At every turn of every state. */
static void a_crash_at_any_turn_loses_and_doubles_nothing(void **state)
{
    struct test *t = *state;
    refuse_eight(t);
    uint32_t left = 8;
    for (uint32_t turns = 0; turns < 200 && left > 0; turns++) {
        int64_t next = 8 - (int64_t)left;
        struct lot *lot = lot_new(next, 1);
        give(t, lot);
        for (uint32_t i = 0; i < turns % 25; i++)
            (void)world_step(t->world);
        t->runner->current = NULL;
        list_init(&t->runner->redeliveries);
        world_crash(t->world, &t->runner, &t->plug);
        begin(t);
        world_advance(t->world, IO_SECOND);
        assert_int_equal(visible(t, next), settled(t, next));
        left -= settled(t, next);
        assert_int_equal(t->world->sinks[0].delivered, 24 - left);
        assert_int_equal(t->world->sinks[0].dead_lettered, left);
        lot_free(lot);
    }
    assert_int_equal(left, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(letters_are_an_epoch_of_their_own),
        TEST(what_is_refused_again_stays_where_it_is),
        TEST(an_epoch_that_is_full_takes_some_of_them),
        TEST(the_open_epoch_ends_soon_for_letters),
        TEST(records_come_between_two_lots),
        TEST(a_sink_that_fails_gives_them_back),
        TEST(what_is_prepared_is_answered_once_it_is_delivered),
        TEST(a_commit_of_which_nobody_knows_is_found_out),
        TEST(what_the_log_refuses_is_no_failure_of_the_sink),
        TEST(who_waits_can_be_cancelled),
        TEST(a_stop_delivers_what_it_has_begun_and_no_more),
        TEST(a_stop_in_the_midst_of_trouble_does_not_know),
        TEST(a_crash_at_any_turn_loses_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
