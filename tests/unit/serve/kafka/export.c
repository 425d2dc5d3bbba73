#include "unit/net/asker.h"
#include "unit/serve/kafka/fixture.h"

static void ask_home(struct asker *asker, struct fixture *f)
{
    asker_ask(asker, serve_kafka_exporter(f->kafka), "kafka");
    fixture_run(f);
    asker_home(asker);
}

static void samples_are_the_sum_over_all_loops_and_arrive_at_home(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const struct proto_kafka_metadata_request metadata = {0};
    struct proto_kafka_fetch_request_partition part = {.partition_max_bytes = 1};
    struct proto_kafka_fetch_request_topic topic = {.topic = SLICE_LITERAL("cars")};
    struct proto_kafka_fetch_request fetch = {
        .max_wait_ms = 1000, .min_bytes = 1, .session_epoch = 0};
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    fetch.topics.items = &topic;
    fetch.topics.count = 1;
    fixture_ask(f, PROTO_KAFKA_METADATA, 5, &metadata);
    struct buf bytes = fixture_request_bytes(f, PROTO_KAFKA_METADATA, 5, &metadata);
    fake_send(f->fakes[1]->tcps[0], bytes.data, bytes.size);
    fixture_send(f, PROTO_KAFKA_FETCH, 12, &fetch);
    struct asker asker;
    ask_home(&asker, f);
    assert_false(asker.report.metrics.failed);
    assert_string_equal(asker.report.not_ready, "");
    assert_int_equal(asker_value(&asker, "garner_kafka_requests_total", "api=\"metadata\""), 2);
    assert_int_equal(asker_value(&asker, "garner_kafka_requests_total", "api=\"fetch\""), 1);
    assert_int_equal(asker_value(&asker, "garner_kafka_requests_total", "api=\"produce\""), -1);
    assert_int_equal(asker_value(&asker, "garner_kafka_connections", ""), LOOPS);
    assert_int_equal(asker_value(&asker, "garner_kafka_connections_total", ""), LOOPS);
    assert_int_equal(asker_value(&asker, "garner_kafka_protocol_errors_total", ""), 0);
    assert_int_equal(asker_value(&asker, "garner_kafka_waiting_fetches", ""), 1);
    assert_int_equal(asker_value(&asker, "garner_kafka_fetch_bytes", ""), 0);
    /* The one that waits. */
    assert_true(asker_value(&asker, "garner_kafka_call_bytes", "") > 0);
    assert_int_equal(asker_value(&asker, "garner_kafka_fetch_sessions", ""), 1);
    assert_true(asker_value(&asker, "garner_kafka_fetch_session_bytes", "") > 0);
    assert_int_equal(asker_value(&asker, "garner_kafka_fetch_sessions_evicted_total", ""), 0);
    assert_true(asker_value(&asker, "garner_kafka_received_bytes_total", "") > 80);
    assert_true(asker_value(&asker, "garner_kafka_sent_bytes_total", "") > 200);
    asker_done(&asker);
    buf_done(&bytes);
    fixture_free(f);
}

static void batches_that_were_not_taken_are_counted_by_the_error(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct proto_kafka_produce_request_partition parts[3] = {
        {0, SLICE_LITERAL("x")}, {-1, SLICE_LITERAL("x")}, {0, SLICE_LITERAL("y")}};
    struct proto_kafka_produce_request_topic topic = {.name = SLICE_LITERAL("cars")};
    struct proto_kafka_produce_request request = {.acks = -1};
    topic.partition_data.items = parts;
    topic.partition_data.count = 3;
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    fixture_ask(f, PROTO_KAFKA_PRODUCE, 9, &request);
    struct asker asker;
    ask_home(&asker, f);
    static const char name[] = "garner_kafka_batches_refused_total";
    assert_int_equal(asker_value(&asker, name, "code=\"87\""), 2);
    assert_int_equal(asker_value(&asker, name, "code=\"3\""), 1);
    assert_int_equal(asker_value(&asker, name, "code=\"0\""), -1);
    asker_done(&asker);
    fixture_free(f);
}

static void it_is_ready_while_it_listens(void **state)
{
    (void)state;
    static const struct fixture_options defaults = {0};
    struct fixture *f = fixture_new_with(&defaults);
    struct asker asker;
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "the Kafka door does not listen");
    asker_done(&asker);
    fixture_start(f);
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "");
    asker_done(&asker);
    serve_kafka_stop(f->kafka, 0, fixture_stopped, f);
    fixture_settle(f);
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "the Kafka door does not listen");
    asker_done(&asker);
    fixture_free(f);
}

static void a_report_without_memory_comes_home_failed(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct asker asker;
    mem_fail_after(1);
    asker_ask(&asker, serve_kafka_exporter(f->kafka), "kafka");
    mem_fail_after(0);
    asker_home(&asker);
    assert_true(asker.report.metrics.failed);
    asker_done(&asker);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_the_sum_over_all_loops_and_arrive_at_home),
        cmocka_unit_test(batches_that_were_not_taken_are_counted_by_the_error),
        cmocka_unit_test(it_is_ready_while_it_listens),
        cmocka_unit_test(a_report_without_memory_comes_home_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
