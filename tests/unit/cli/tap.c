#include "cli/tap.h"

#include "unit/cli/fake_broker.h"

#include "base/alloc.h"

struct fixture {
    struct fake_loop *fake;
    struct fake_broker peer;
    struct cli_tap *tap;
    unsigned ready;
    unsigned batches;
    unsigned ended;
    bool stop_when_ready;
    err_t ended_for;
    char why[ERR_TEXT_SIZE];
};

static void on_ready(void *owner)
{
    struct fixture *f = owner;
    f->ready++;
    if (f->stop_when_ready)
        cli_tap_stop(f->tap);
}

static void on_batch(void *owner, const struct flow_batch *batch)
{
    struct fixture *f = owner;
    f->batches++;
    assert_true(batch->record_count > 0);
}

static void on_ended(void *owner, err_t err, const struct err_text *why)
{
    struct fixture *f = owner;
    f->ended++;
    f->ended_for = err;
    snprintf(f->why, sizeof(f->why), "%s", why->text);
}

static const struct cli_tap_events events = {on_ready, on_batch, on_ended};

static void store(struct fixture *f, int32_t partition, uint32_t count)
{
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    for (uint32_t i = 0; i < count; i++)
        assert_true(err_is_ok(
            flow_batch_builder_add(&b, 1, slice_make(NULL, 0), SLICE_LITERAL("a value"), NULL, 0)));
    fake_broker_store(&f->peer, partition, flow_batch_builder_finish(&b));
    flow_batch_builder_done(&b);
}

static struct fixture *prepare(uint32_t partitions, uint32_t connections, bool follow)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    f->peer = fake_broker_make("events", partitions);
    const struct cli_tap_options options = {&f->fake->loop, "127.0.0.1:9092", "events", connections,
                                            follow};
    assert_true(err_is_ok(cli_tap_new(&options, &events, f, &f->tap)));
    return f;
}

static void start(struct fixture *f)
{
    cli_tap_start(f->tap);
    fake_broker_serve(&f->peer, f->fake);
}

static void end(struct fixture *f)
{
    assert_int_equal(f->ended, 1);
    cli_tap_free(&f->tap);
    assert_null(f->tap);
    fake_broker_done(&f->peer);
    fake_loop_free(f->fake);
    free(f);
}

/* Whatever the shares of connections and partitions are, one more than the other. */
static void all_that_a_topic_holds_is_read_once(void **state)
{
    (void)state;
    for (uint32_t connections = 1; connections <= 5; connections++) {
        struct fixture *f = prepare(3, connections, false);
        for (int i = 0; i < 7; i++)
            store(f, i % 2, 3);
        start(f);
        assert_int_equal(f->ready, 1);
        assert_int_equal(f->ended, 1);
        assert_true(err_is_ok(f->ended_for));
        assert_int_equal(f->batches, 7);
        assert_int_equal(cli_tap_stats(f->tap)->records, 21);
        assert_int_equal(cli_tap_stats(f->tap)->batches, 7);
        assert_int_equal(cli_tap_stats(f->tap)->bytes,
                         f->peer.stored[0].size + f->peer.stored[1].size);
        end(f);
    }
}

static void markers_are_passed_over(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1, false);
    uint8_t marker[FLOW_BATCH_MARKER_SIZE];
    flow_batch_put_marker(marker, 0);
    fake_broker_store(&f->peer, 0, slice_make(marker, sizeof(marker)));
    store(f, 0, 3);
    fake_broker_store(&f->peer, 0, slice_make(marker, sizeof(marker)));
    start(f);
    assert_int_equal(f->ended, 1);
    assert_true(err_is_ok(f->ended_for));
    assert_int_equal(f->batches, 1);
    assert_int_equal(cli_tap_stats(f->tap)->records, 3);
    assert_int_equal(cli_tap_stats(f->tap)->batches, 3);
    end(f);
}

static void an_empty_topic_ends_at_once(void **state)
{
    (void)state;
    struct fixture *f = prepare(2, 1, false);
    start(f);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->batches, 0);
    end(f);
}

/* A fetch that brings nothing is asked again, so the test's broker is let answer a step at a time.
 */
static void following_begins_at_the_ends_and_goes_on(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1, true);
    store(f, 0, 5);
    cli_tap_start(f->tap);
    for (int step = 0; step < 40 && f->batches < 3; step++) {
        struct io_tcp *tcp = f->fake->tcps[0];
        fake_run(f->fake);
        if (f->ready == 1 && step % 3 == 0)
            store(f, 0, 2);
        uint8_t *data = (uint8_t *)tcp->out.data;
        struct buf answer = {0};
        uint8_t length[4];
        uint32_t size = get_u32be(data);
        assert_true(fake_broker_answer(&f->peer, slice_make(data + 4, size), &answer));
        put_u32be(length, (uint32_t)answer.size);
        fake_forget_written(tcp);
        fake_send(tcp, length, 4);
        fake_send(tcp, answer.data, answer.size);
        fake_run(f->fake);
        buf_done(&answer);
    }
    assert_int_equal(f->ready, 1);
    assert_true(f->batches >= 3);
    assert_int_equal(cli_tap_stats(f->tap)->records, f->batches * 2);
    assert_int_equal(f->ended, 0);
    cli_tap_stop(f->tap);
    cli_tap_stop(f->tap);
    fake_run(f->fake);
    assert_true(err_is_ok(f->ended_for));
    end(f);
}

static void stopping_when_it_is_ready_ends_it(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1, true);
    f->stop_when_ready = true;
    start(f);
    assert_true(err_is_ok(f->ended_for));
    end(f);
}

static void expect_error(struct fixture *f, const char *name, const char *text)
{
    store(f, 0, 1);
    start(f);
    assert_int_equal(f->ended, 1);
    assert_string_equal(err_name(f->ended_for), name);
    if (!strstr(f->why, text))
        fail_msg("'%s' does not say '%s'", f->why, text);
    end(f);
}

static void what_goes_wrong_ends_it_with_the_reason(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1, false);
    f->peer.metadata_code = 3;
    expect_error(f, "NOT_FOUND", "no topic events");
    f = prepare(1, 1, false);
    f->peer.offsets_code = 6;
    expect_error(f, "INVALID", "partition 0 of events: NOT_LEADER_OR_FOLLOWER (6)");
    f = prepare(1, 1, false);
    f->peer.fetch_code = 1;
    expect_error(f, "INVALID", "OFFSET_OUT_OF_RANGE");
    f = prepare(1, 1, false);
    f->peer.other_parts = true;
    expect_error(f, "SYNTAX", "other partitions");
    for (unsigned at = 1; at <= 5; at++) {
        f = prepare(1, 2, false);
        f->peer.close_at = at;
        expect_error(f, "CLOSED", "closed by the peer");
    }
    f = prepare(1, 1, false);
    store(f, 0, 2);
    f->peer.stored[0].data[70] ^= 1;
    expect_error(f, "CORRUPT", "");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    bool over = false;
    for (uint64_t n = 1; !over && n < 200; n++) {
        struct fixture *f = prepare(1, 2, false);
        mem_fail_after(n);
        cli_tap_start(f->tap);
        fake_run(f->fake);
        over = mem_alloc_count() < n;
        mem_fail_after(0);
        fake_broker_serve(&f->peer, f->fake);
        if (f->ended == 0)
            cli_tap_stop(f->tap);
        fake_run(f->fake);
        assert_true(err_is_ok(f->ended_for) || err_is(f->ended_for, ERR_MEMORY));
        end(f);
    }
    assert_true(over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_a_topic_holds_is_read_once),
        cmocka_unit_test(markers_are_passed_over),
        cmocka_unit_test(an_empty_topic_ends_at_once),
        cmocka_unit_test(following_begins_at_the_ends_and_goes_on),
        cmocka_unit_test(stopping_when_it_is_ready_ends_it),
        cmocka_unit_test(what_goes_wrong_ends_it_with_the_reason),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
