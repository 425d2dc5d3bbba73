#include "cli/echo.h"

#include "unit/cli/fake_broker.h"

#include "base/alloc.h"

/* A load and its echo on one loop whose time stands still until the test moves it. */

struct fixture {
    struct fake_loop *fake;
    struct fake_broker peer;
    struct cli_events events;
    struct cli_acks acks;
    struct cli_carrier *carrier;
    struct cli_load *load;
    struct cli_echo *echo;
    unsigned ready;
    unsigned ended;
    unsigned load_ended;
    err_t ended_for;
};

static void on_load_ended(void *owner, err_t err, const struct err_text *why)
{
    (void)why;
    assert_true(err_is_ok(err));
    ((struct fixture *)owner)->load_ended++;
}

static void on_ready(void *owner)
{
    struct fixture *f = owner;
    f->ready++;
    cli_load_start(f->load, on_load_ended, f);
}

static void on_ended(void *owner, err_t err, const struct err_text *why)
{
    struct fixture *f = owner;
    (void)why;
    f->ended++;
    f->ended_for = err;
}

static const struct cli_echo_events events = {on_ready, on_ended};

static struct fixture *begin(enum flow_codec codec, uint64_t count)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    f->peer = fake_broker_make("events", 2);
    const struct cli_events_options made = {
        .run = 1, .size = 200, .batch = 10, .form = CLI_EVENTS_BATCH, .broken = {0, 1}};
    assert_true(err_is_ok(cli_events_init(&f->events, &made)));
    cli_acks_init(&f->acks, &f->events);
    const struct cli_carrier_kafka_options carrier = {
        .loop = &f->fake->loop,
        .address = "127.0.0.1:9092",
        .topic = "events",
        .acks = -1,
        .codec = codec,
        .channels = 1,
        .in_flight = 1,
    };
    assert_true(err_is_ok(cli_carrier_kafka(&carrier, &f->carrier)));
    const struct cli_load_options load = {
        .loop = &f->fake->loop,
        .carrier = f->carrier,
        .address = "127.0.0.1:9092",
        .events = &f->events,
        .acks = &f->acks,
        .connections = 1,
        .count = count,
        .duplicates = {0, 1},
        .keeps_due = true,
        .timeout_ms = 1000,
        .patience_ms = 1000,
    };
    assert_true(err_is_ok(cli_load_new(&load, &f->load)));
    const struct cli_echo_options echo = {&f->fake->loop, "127.0.0.1:9092", "events", &f->events,
                                          f->load};
    assert_true(err_is_ok(cli_echo_new(&echo, &events, f, &f->echo)));
    return f;
}

static void end(struct fixture *f)
{
    cli_echo_stop(f->echo);
    fake_run(f->fake);
    assert_int_equal(f->ended, 1);
    cli_echo_free(&f->echo);
    assert_null(f->echo);
    cli_load_free(&f->load);
    cli_carrier_free(&f->carrier);
    cli_acks_done(&f->acks);
    cli_events_done(&f->events);
    fake_broker_done(&f->peer);
    fake_loop_free(f->fake);
    free(f);
}

/* One request of each connection is answered, and time goes on by `ms`. */
static void step(struct fixture *f, uint64_t ms)
{
    fake_run(f->fake);
    for (int i = 0; i < f->fake->tcp_count; i++) {
        struct io_tcp *tcp = f->fake->tcps[i];
        if (tcp->closed || tcp->out.size < 4)
            continue;
        uint8_t *data = (uint8_t *)tcp->out.data;
        struct buf answer = {0};
        uint8_t length[4];
        uint32_t size = get_u32be(data);
        assert_true(fake_broker_answer(&f->peer, slice_make(data + 4, size), &answer));
        put_u32be(length, (uint32_t)answer.size);
        tcp->out.size -= 4 + (size_t)size;
        memmove(data, data + 4 + size, tcp->out.size);
        fake_send(tcp, length, 4);
        fake_send(tcp, answer.data, answer.size);
        buf_done(&answer);
    }
    fake_run(f->fake);
    fake_advance(f->fake, ms);
}

/* Each step takes 10 ms, and a record that is sent in one is read back within two more. */
static void what_is_sent_comes_back_with_its_time(void **state)
{
    (void)state;
    for (int codec = FLOW_CODEC_NONE; codec <= FLOW_CODEC_ZSTD; codec += FLOW_CODEC_LZ4) {
        struct fixture *f = begin((enum flow_codec)codec, 55);
        cli_echo_start(f->echo);
        for (int i = 0; i < 60 && cli_echo_stats(f->echo)->records < 55; i++)
            step(f, 10);
        const struct cli_echo_stats *stats = cli_echo_stats(f->echo);
        assert_int_equal(f->ready, 1);
        assert_int_equal(f->load_ended, 1);
        assert_int_equal(stats->records, 55);
        assert_int_equal(stats->latency.count, 6);
        assert_in_range(stats->latency_max_ns, 1, 30 * IO_MS);
        end(f);
    }
}

static void records_of_others_tell_nothing(void **state)
{
    (void)state;
    struct fixture *f = begin(FLOW_CODEC_NONE, 10);
    struct flow_batch_builder b;
    cli_echo_start(f->echo);
    for (int i = 0; i < 60 && cli_echo_stats(f->echo)->records < 10; i++) {
        if (f->ready) {
            flow_batch_builder_init(&b);
            assert_true(err_is_ok(flow_batch_builder_add(&b, 1, slice_make(NULL, 0),
                                                         SLICE_LITERAL("other"), NULL, 0)));
            fake_broker_store(&f->peer, 0, flow_batch_builder_finish(&b));
            flow_batch_builder_done(&b);
        }
        step(f, 1);
    }
    assert_int_equal(cli_echo_stats(f->echo)->records, 10);
    assert_int_equal(cli_echo_stats(f->echo)->latency.count, 1);
    end(f);
}

static void an_echo_that_cannot_listen_says_so(void **state)
{
    (void)state;
    struct fixture *f = begin(FLOW_CODEC_NONE, 10);
    f->peer.metadata_code = 3;
    cli_echo_start(f->echo);
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->ready, 0);
    assert_true(err_is(f->ended_for, ERR_NOT_FOUND));
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_comes_back_with_its_time),
        cmocka_unit_test(records_of_others_tell_nothing),
        cmocka_unit_test(an_echo_that_cannot_listen_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
