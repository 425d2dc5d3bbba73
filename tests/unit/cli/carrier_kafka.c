#include "cli/carrier.h"

#include "unit/cli/fake_broker.h"

#include "base/alloc.h"

/* Four channels over two connections to a broker that is the test. */

#define CHANNELS 4u

struct lane {
    struct cli_channel *channel;
    unsigned ready;
    unsigned answers;
    unsigned closed;
    struct cli_carrier_answer answer;
    char detail[ERR_TEXT_SIZE];
    err_t closed_for;
};

struct fixture {
    struct fake_loop *fake;
    struct fake_broker peer;
    struct cli_carrier *carrier;
    struct lane lanes[CHANNELS];
};

static void on_ready(void *owner)
{
    ((struct lane *)owner)->ready++;
}

static void on_answer(void *owner, const struct cli_carrier_answer *answer)
{
    struct lane *lane = owner;
    lane->answers++;
    lane->answer = *answer;
    snprintf(lane->detail, sizeof(lane->detail), "%s", answer->detail);
}

static void on_closed(void *owner, err_t err, const char *detail)
{
    struct lane *lane = owner;
    lane->closed++;
    lane->closed_for = err;
    snprintf(lane->detail, sizeof(lane->detail), "%s", detail);
    cli_channel_free(&lane->channel);
    assert_null(lane->channel);
}

static const struct cli_carrier_events events = {on_ready, on_answer, on_closed};

static struct fixture *prepare(enum flow_codec codec, uint32_t partitions_max)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    f->peer = fake_broker_make("events", 3);
    const struct cli_carrier_kafka_options options = {
        .loop = &f->fake->loop,
        .address = "127.0.0.1:9092",
        .topic = "events",
        .acks = 1,
        .codec = codec,
        .channels = CHANNELS,
        .in_flight = 2,
        .partitions_max = partitions_max,
        .timeout_ms = 1000,
    };
    assert_true(err_is_ok(cli_carrier_kafka(&options, &f->carrier)));
    return f;
}

static void open_lane(struct fixture *f, uint32_t index)
{
    struct err_text why = {0};
    assert_true(err_is_ok(cli_channel_open(f->carrier, index, &events, &f->lanes[index],
                                           &f->lanes[index].channel, &why)));
}

static struct fixture *begin(void)
{
    struct fixture *f = prepare(FLOW_CODEC_NONE, 0);
    for (uint32_t i = 0; i < CHANNELS; i++)
        open_lane(f, i);
    fake_broker_serve(&f->peer, f->fake);
    for (uint32_t i = 0; i < CHANNELS; i++)
        assert_int_equal(f->lanes[i].ready, 1);
    return f;
}

static void end(struct fixture *f)
{
    for (uint32_t i = 0; i < CHANNELS; i++)
        if (f->lanes[i].channel)
            cli_channel_close(f->lanes[i].channel);
    fake_run(f->fake);
    for (uint32_t i = 0; i < CHANNELS; i++)
        assert_null(f->lanes[i].channel);
    cli_carrier_free(&f->carrier);
    assert_null(f->carrier);
    fake_broker_done(&f->peer);
    fake_loop_free(f->fake);
    free(f);
}

static void send_records(struct fixture *f, uint32_t index, uint32_t count)
{
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    for (uint32_t i = 0; i < count; i++)
        assert_true(err_is_ok(flow_batch_builder_add(
            &b, 1, slice_make(NULL, 0),
            SLICE_LITERAL("a value that is long enough to be worth a codec's while, aaaaaaaaaaaa"),
            NULL, 0)));
    const struct cli_carrier_request request = {flow_batch_builder_finish(&b), count, 0};
    cli_channel_send(f->lanes[index].channel, &request);
    flow_batch_builder_done(&b);
}

static void channels_share_connections_and_go_to_each_partition_in_turn(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_int_equal(f->fake->tcp_count, 2);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < CHANNELS; i++)
            send_records(f, i, 5);
        fake_broker_serve(&f->peer, f->fake);
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        assert_int_equal(f->lanes[i].answers, 3);
        assert_int_equal(f->lanes[i].answer.kind, CLI_CARRIER_WHOLE);
        assert_int_equal(f->lanes[i].answer.counts.accepted, 5);
        assert_true(f->lanes[i].answer.persistent);
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(f->peer.ends[i], 20);
    assert_int_equal(f->peer.last_acks, 1);
    end(f);
}

static void only_the_first_partitions_are_written_to_where_so_many_are_wanted(void **state)
{
    (void)state;
    struct fixture *f = prepare(FLOW_CODEC_NONE, 2);
    open_lane(f, 0);
    fake_broker_serve(&f->peer, f->fake);
    for (int i = 0; i < 4; i++) {
        send_records(f, 0, 1);
        fake_broker_serve(&f->peer, f->fake);
    }
    assert_int_equal(f->peer.ends[0], 2);
    assert_int_equal(f->peer.ends[1], 2);
    assert_int_equal(f->peer.ends[2], 0);
    end(f);
}

static void batches_are_compressed_where_that_is_wanted(void **state)
{
    (void)state;
    for (enum flow_codec codec = FLOW_CODEC_GZIP; codec <= FLOW_CODEC_ZSTD; codec++) {
        struct fixture *f = prepare(codec, 1);
        struct flow_batch batch;
        open_lane(f, 0);
        fake_broker_serve(&f->peer, f->fake);
        send_records(f, 0, 50);
        fake_broker_serve(&f->peer, f->fake);
        assert_int_equal(f->lanes[0].answer.counts.accepted, 50);
        assert_true(err_is_ok(flow_batch_parse(buf_slice(&f->peer.stored[0]), &batch)));
        assert_int_equal(flow_batch_codec(&batch), codec);
        end(f);
    }
}

static struct lane *answered_with(struct fixture *f, int16_t code)
{
    f->peer.produce_code = code;
    send_records(f, 0, 3);
    fake_broker_serve(&f->peer, f->fake);
    return &f->lanes[0];
}

static void what_a_broker_says_is_one_answer_for_the_batch(void **state)
{
    (void)state;
    struct fixture *f = begin();
    struct lane *lane = answered_with(f, 87);
    assert_int_equal(lane->answer.kind, CLI_CARRIER_WHOLE);
    assert_int_equal(lane->answer.counts.refused, 3);
    assert_int_equal(lane->answer.counts.accepted, 0);
    assert_int_equal(lane->answer.status, 87);
    lane = answered_with(f, 6);
    assert_int_equal(lane->answer.kind, CLI_CARRIER_LATER);
    assert_false(lane->answer.maybe_taken);
    assert_true(lane->answer.pause_ns > 0);
    lane = answered_with(f, 56);
    assert_int_equal(lane->answer.kind, CLI_CARRIER_LATER);
    assert_true(lane->answer.maybe_taken);
    lane = answered_with(f, 10);
    assert_int_equal(lane->answer.kind, CLI_CARRIER_FINAL);
    assert_false(lane->answer.maybe_taken);
    assert_non_null(strstr(lane->detail, "MESSAGE_TOO_LARGE (10)"));
    f->peer.two_answers = true;
    lane = answered_with(f, 0);
    assert_int_equal(lane->answer.kind, CLI_CARRIER_FINAL);
    assert_true(lane->answer.maybe_taken);
    assert_non_null(strstr(lane->detail, "other partitions"));
    end(f);
}

static void the_end_of_a_connection_is_that_of_its_channels(void **state)
{
    (void)state;
    struct fixture *f = begin();
    send_records(f, 0, 1);
    fake_end(f->fake->tcps[0], ERR_END);
    fake_broker_serve(&f->peer, f->fake);
    for (uint32_t i = 0; i < CHANNELS; i++)
        assert_int_equal(f->lanes[i].closed, i < 2 ? 1 : 0);
    assert_true(err_is(f->lanes[1].closed_for, ERR_CLOSED));
    assert_int_equal(f->lanes[0].answers, 0);
    /* One after the other they come back, to one connection. */
    open_lane(f, 1);
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->lanes[1].ready, 2);
    open_lane(f, 0);
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->lanes[0].ready, 2);
    assert_int_equal(f->fake->tcp_count, 3);
    send_records(f, 0, 1);
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->lanes[0].answers, 1);
    end(f);
}

static void closing_one_channel_closes_what_it_shares(void **state)
{
    (void)state;
    struct fixture *f = begin();
    cli_channel_close(f->lanes[3].channel);
    cli_channel_close(f->lanes[3].channel);
    fake_run(f->fake);
    assert_int_equal(f->lanes[2].closed, 1);
    assert_int_equal(f->lanes[3].closed, 1);
    assert_int_equal(f->lanes[0].closed, 0);
    assert_true(err_is_ok(f->lanes[3].closed_for));
    end(f);
}

static void a_topic_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct fixture *f = prepare(FLOW_CODEC_NONE, 0);
    f->peer.metadata_code = 3;
    open_lane(f, 0);
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->lanes[0].closed, 1);
    assert_true(err_is(f->lanes[0].closed_for, ERR_NOT_FOUND));
    assert_non_null(strstr(f->lanes[0].detail, "has no topic events"));
    end(f);
}

static void without_memory_a_batch_is_not_sent_and_the_connection_closes(void **state)
{
    (void)state;
    struct fixture *f = prepare(FLOW_CODEC_LZ4, 0);
    struct err_text why = {0};
    mem_fail_after(1);
    assert_true(
        err_is(cli_channel_open(f->carrier, 0, &events, &f->lanes[0], &f->lanes[0].channel, &why),
               ERR_MEMORY));
    mem_fail_after(2);
    assert_true(
        err_is(cli_channel_open(f->carrier, 0, &events, &f->lanes[0], &f->lanes[0].channel, &why),
               ERR_MEMORY));
    mem_fail_after(0);
    open_lane(f, 0);
    fake_broker_serve(&f->peer, f->fake);
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    assert_true(err_is_ok(
        flow_batch_builder_add(&b, 1, slice_make(NULL, 0), SLICE_LITERAL("aaaaaaaa"), NULL, 0)));
    const struct cli_carrier_request request = {flow_batch_builder_finish(&b), 1, 0};
    mem_fail_after(1);
    cli_channel_send(f->lanes[0].channel, &request);
    mem_fail_after(0);
    fake_broker_serve(&f->peer, f->fake);
    flow_batch_builder_done(&b);
    assert_int_equal(f->lanes[0].closed, 1);
    assert_int_equal(f->peer.produced, 0);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_share_connections_and_go_to_each_partition_in_turn),
        cmocka_unit_test(only_the_first_partitions_are_written_to_where_so_many_are_wanted),
        cmocka_unit_test(batches_are_compressed_where_that_is_wanted),
        cmocka_unit_test(what_a_broker_says_is_one_answer_for_the_batch),
        cmocka_unit_test(the_end_of_a_connection_is_that_of_its_channels),
        cmocka_unit_test(closing_one_channel_closes_what_it_shares),
        cmocka_unit_test(a_topic_that_is_not_there_is_told),
        cmocka_unit_test(without_memory_a_batch_is_not_sent_and_the_connection_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
