#include "unit/serve/kafka/fixture.h"

struct asker {
    struct flow_report report;
    struct fake_loop *home;
    unsigned done;
};

static void on_report(struct flow_report *report)
{
    struct asker *asker = CONTAINER_OF(report, struct asker, report);
    asker->done++;
}

static void ask(struct asker *asker, struct fixture *f)
{
    *asker = (struct asker){.home = fake_loop_new()};
    asker->report.home = &asker->home->loop;
    asker->report.done = on_report;
    metric_set_init(&asker->report.metrics);
    struct flow_exporter *exporter = serve_kafka_exporter(f->kafka);
    assert_string_equal(exporter->name, "kafka");
    exporter->collect(exporter, &asker->report);
}

static void ask_home(struct asker *asker, struct fixture *f)
{
    ask(asker, f);
    fixture_run(f);
    assert_int_equal(asker->done, 0);
    fake_run(asker->home);
    assert_int_equal(asker->done, 1);
}

static void forget(struct asker *asker)
{
    metric_set_done(&asker->report.metrics);
    fake_loop_free(asker->home);
}

/* The value of a sample, -1 when there is none. */
static int64_t value_of(const struct asker *asker, const char *name, const char *labels)
{
    const struct metric_set *set = &asker->report.metrics;
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->samples[i].family->name, name) == 0 &&
            strcmp(set->samples[i].labels, labels) == 0)
            return (int64_t)set->samples[i].value;
    return -1;
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
    assert_int_equal(value_of(&asker, "garner_kafka_requests_total", "api=\"metadata\""), 2);
    assert_int_equal(value_of(&asker, "garner_kafka_requests_total", "api=\"fetch\""), 1);
    assert_int_equal(value_of(&asker, "garner_kafka_requests_total", "api=\"produce\""), -1);
    assert_int_equal(value_of(&asker, "garner_kafka_connections", ""), LOOPS);
    assert_int_equal(value_of(&asker, "garner_kafka_connections_total", ""), LOOPS);
    assert_int_equal(value_of(&asker, "garner_kafka_protocol_errors_total", ""), 0);
    assert_int_equal(value_of(&asker, "garner_kafka_waiting_fetches", ""), 1);
    assert_int_equal(value_of(&asker, "garner_kafka_fetch_bytes", ""), 0);
    /* The one that waits. */
    assert_true(value_of(&asker, "garner_kafka_call_bytes", "") > 0);
    assert_int_equal(value_of(&asker, "garner_kafka_fetch_sessions", ""), 1);
    assert_true(value_of(&asker, "garner_kafka_fetch_session_bytes", "") > 0);
    assert_int_equal(value_of(&asker, "garner_kafka_fetch_sessions_evicted_total", ""), 0);
    assert_true(value_of(&asker, "garner_kafka_received_bytes_total", "") > 80);
    assert_true(value_of(&asker, "garner_kafka_sent_bytes_total", "") > 200);
    forget(&asker);
    buf_done(&bytes);
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
    forget(&asker);
    fixture_start(f);
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "");
    forget(&asker);
    serve_kafka_stop(f->kafka, 0, fixture_stopped, f);
    fixture_settle(f);
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "the Kafka door does not listen");
    forget(&asker);
    fixture_free(f);
}

static void a_report_without_memory_comes_home_failed(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct asker asker;
    mem_fail_after(1);
    ask(&asker, f);
    mem_fail_after(0);
    assert_int_equal(asker.done, 0);
    fake_run(asker.home);
    assert_int_equal(asker.done, 1);
    assert_true(asker.report.metrics.failed);
    forget(&asker);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_the_sum_over_all_loops_and_arrive_at_home),
        cmocka_unit_test(it_is_ready_while_it_listens),
        cmocka_unit_test(a_report_without_memory_comes_home_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
