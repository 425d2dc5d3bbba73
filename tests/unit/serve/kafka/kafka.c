#include "unit/serve/kafka/fixture.h"

static const struct proto_kafka_metadata_request everything = {0};

static const struct proto_kafka_metadata_response_broker *broker_of(struct fixture *f)
{
    const struct proto_kafka_metadata_response *response =
        fixture_ask(f, PROTO_KAFKA_METADATA, 5, &everything);
    assert_int_equal(response->brokers.count, 1);
    return response->brokers.items;
}

static void clients_are_told_the_address_and_the_port_that_it_got(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct proto_kafka_metadata_response_broker *broker = broker_of(f);
    assert_slice(broker->host, "127.0.0.1");
    assert_int_equal(broker->port, 4711);
    assert_int_equal(broker->node_id, SERVE_KAFKA_NODE_ID);
    fixture_free(f);
}

static void clients_are_told_what_is_advertised(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_open(&(struct fixture_options){.advertised = "kafka.example:19092"});
    const struct proto_kafka_metadata_response_broker *broker = broker_of(f);
    assert_slice(broker->host, "kafka.example");
    assert_int_equal(broker->port, 19092);
    fixture_free(f);
    f = fixture_open(&(struct fixture_options){.advertised = "[2001:db8::1]:9092"});
    assert_slice(broker_of(f)->host, "2001:db8::1");
    fixture_free(f);
}

static void an_address_that_is_taken_is_told_and_stopped_like_any_other(void **state)
{
    (void)state;
    struct fixture *f = fixture_new_with(&(struct fixture_options){0});
    struct err_text why = {0};
    f->fakes[0]->listen_fails = true;
    assert_true(err_is(serve_kafka_start(f->kafka, &why), ERR_IN_USE));
    assert_string_equal(why.text, "kafka: 127.0.0.1:0 is taken");
    fixture_free(f);
}

static void connections_are_spread_over_the_loops(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct buf bytes = fixture_request_bytes(f, PROTO_KAFKA_METADATA, 5, &everything);
    fake_send(f->fakes[1]->tcps[0], bytes.data, bytes.size);
    fixture_run(f);
    assert_int_equal(f->fakes[0]->tcp_count, 1);
    assert_int_equal(f->fakes[1]->tcp_count, 1);
    assert_true(f->fakes[1]->tcps[0]->out.size > 0);
    assert_int_equal(f->fakes[0]->tcps[0]->out.size, 0);
    buf_done(&bytes);
    fixture_free(f);
}

static void a_stop_waits_for_what_the_log_has_and_answers_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    f->hold_snapshots = true;
    fixture_send(f, PROTO_KAFKA_METADATA, 5, &everything);
    serve_kafka_stop(f->kafka, 60000, fixture_stopped, f);
    fixture_settle(f);
    assert_int_equal(f->stopped, 0);
    fixture_snapshot_answer(f, f->held);
    fixture_settle(f);
    assert_int_equal(f->stopped, 1);
    fixture_answer(f, PROTO_KAFKA_METADATA, 5);
    fixture_free(f);
}

static void a_door_that_was_never_opened_is_freed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new_with(&(struct fixture_options){0});
    f->stopped = 1;
    fixture_free(f);
}

static void without_memory_there_is_no_door(void **state)
{
    (void)state;
    struct fixture *f = fixture_new_with(&(struct fixture_options){0});
    struct serve_kafka_loop loop = {&f->fakes[0]->loop, &f->inlets[0], &f->credits[0], 1};
    struct serve_kafka_options options = {
        .address = "127.0.0.1:0", .log = &f->log, .loops = &loop, .loop_count = 1};
    for (uint64_t n = 1; n <= 2; n++) {
        struct serve_kafka *kafka = NULL;
        mem_fail_after(n);
        assert_true(err_is(serve_kafka_new(&options, &kafka), ERR_MEMORY));
        assert_null(kafka);
        mem_fail_after(0);
    }
    struct err_text why = {0};
    mem_fail_after(1);
    assert_true(err_is(serve_kafka_start(f->kafka, &why), ERR_MEMORY));
    mem_fail_after(0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_told_the_address_and_the_port_that_it_got),
        cmocka_unit_test(clients_are_told_what_is_advertised),
        cmocka_unit_test(an_address_that_is_taken_is_told_and_stopped_like_any_other),
        cmocka_unit_test(connections_are_spread_over_the_loops),
        cmocka_unit_test(a_stop_waits_for_what_the_log_has_and_answers_it),
        cmocka_unit_test(a_door_that_was_never_opened_is_freed),
        cmocka_unit_test(without_memory_there_is_no_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
