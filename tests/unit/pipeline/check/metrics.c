#include "pipeline/check/check.h"

#include "unit/pipeline/check/schema.h"

struct collector {
    struct flow_report report;
    struct fixture home;
    unsigned answers;
};

static void reported(struct flow_report *report)
{
    CONTAINER_OF(report, struct collector, report)->answers++;
}

static void collector_init(struct collector *c)
{
    *c = (struct collector){0};
    (void)fixture_options(&c->home);
    c->report.home = &c->home.loop;
    c->report.done = reported;
    metric_set_init(&c->report.metrics);
}

static double value_of(const struct flow_report *report, const char *family, const char *labels)
{
    for (size_t i = 0; i < report->metrics.count; i++) {
        const struct metric_sample *s = &report->metrics.samples[i];
        if (strcmp(s->family->name, family) == 0 && strcmp(s->labels, labels) == 0)
            return s->histogram ? (double)s->histogram->count : s->value;
    }
    fail_msg("there is no %s{%s}", family, labels);
    return 0;
}

static void assert_value(const struct flow_report *report, const char *family, const char *labels,
                         uint64_t expected)
{
    assert_int_equal((uint64_t)value_of(report, family, labels), expected);
}

static void send(struct fixture *f, const char *topic, const char *text)
{
    sent_done(fixture_send_text(f, topic, FLOW_FRAMING_NDJSON, text));
}

static void checks_of_all_loops_are_one_sum(void **state)
{
    (void)state;
    struct fixture a, b;
    fixture_init(&a);
    fixture_init(&b);
    a.tick_ns = b.tick_ns = 1000000;
    send(&a, "events", "{\"a\":1}\n  {} \nbad");
    send(&b, "events", "[1]");
    send(&b, "orders", "{}\noops\r\n{}");
    send(&b, "orders", "\n");

    struct pipeline_check *checks[] = {a.check, b.check};
    struct flow_exporter *exporter;
    assert_true(err_is_ok(pipeline_check_exporter_new(checks, 2, &exporter)));
    struct collector c;
    collector_init(&c);
    exporter->collect(exporter, &c.report);
    assert_int_equal(c.answers, 0);
    fixture_run(&a);
    fixture_run(&b);
    assert_int_equal(c.answers, 0);
    fixture_run(&c.home);
    assert_int_equal(c.answers, 1);

    static const struct {
        const char *labels;
        uint64_t records, bytes;
    } expected[] = {
        {"topic=\"events\",outcome=\"accepted\"", 3, 12},
        {"topic=\"events\",outcome=\"dead_lettered\"", 1, 3},
        {"topic=\"events\",outcome=\"refused\"", 0, 0},
        {"topic=\"orders\",outcome=\"accepted\"", 2, 4},
        {"topic=\"orders\",outcome=\"dead_lettered\"", 0, 0},
        {"topic=\"orders\",outcome=\"refused\"", 1, 4},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_value(&c.report, "garner_records_total", expected[i].labels, expected[i].records);
        assert_value(&c.report, "garner_record_bytes_total", expected[i].labels, expected[i].bytes);
    }
    assert_value(&c.report, "garner_commit_duration_seconds", "", 3);
    assert_value(&c.report, "garner_commits_failed_total", "", 0);
    assert_value(&c.report, "garner_commit_bytes", "", 0);
    assert_value(&c.report, "garner_commit_limit_bytes", "", (uint64_t)2 * (256 << 20));
    assert_false(c.report.metrics.failed);
    assert_string_equal(c.report.not_ready, "");

    metric_set_done(&c.report.metrics);
    pipeline_check_exporter_free(&exporter);
    assert_null(exporter);
    pipeline_check_exporter_free(&exporter);
    fixture_done(&a);
    fixture_done(&b);
}

static void a_queue_that_is_full_for_one_loop_is_full(void **state)
{
    (void)state;
    struct pipeline_check_topic topics[] = {fixture_topics[0], fixture_topics[1]};
    topics[0].dlq_size_max = topics[1].dlq_size_max = 1;
    struct fixture loops[2];
    struct pipeline_check *checks[2];
    for (size_t i = 0; i < 2; i++) {
        struct pipeline_check_options options = fixture_options(&loops[i]);
        options.topics = topics;
        fixture_start(&loops[i], &options);
        checks[i] = loops[i].check;
    }
    struct flow_exporter *exporter;
    assert_true(err_is_ok(pipeline_check_exporter_new(checks, 2, &exporter)));
    for (uint64_t full = 0; full < 2; full++) {
        struct collector c;
        collector_init(&c);
        exporter->collect(exporter, &c.report);
        fixture_run(&loops[0]);
        fixture_run(&loops[1]);
        fixture_run(&c.home);
        assert_value(&c.report, "garner_dlq_full", "topic=\"events\"", full);
        /* One that rejects has no dead letters of the intake, and no cap for them. */
        for (size_t i = 0; i < c.report.metrics.count; i++)
            assert_false(strcmp(c.report.metrics.samples[i].family->name, "garner_dlq_full") == 0 &&
                         strstr(c.report.metrics.samples[i].labels, "orders"));
        metric_set_done(&c.report.metrics);
        send(&loops[1], "events", "{");
        loops[1].dlq_wal_bytes = 1;
        if (loops[1].snapshot)
            fixture_snapshot_answer(&loops[1]);
    }
    pipeline_check_exporter_free(&exporter);
    pipeline_check_stop(loops[1].check);
    fixture_done(&loops[0]);
    fixture_done(&loops[1]);
}

static double sum_of(const struct flow_report *report, const char *family, const char *topic)
{
    double sum = 0;
    for (size_t i = 0; i < report->metrics.count; i++) {
        const struct metric_sample *s = &report->metrics.samples[i];
        if (strcmp(s->family->name, family) == 0 && strstr(s->labels, topic))
            sum += s->value;
    }
    return sum;
}

static void expect_reason(const struct flow_report *report, const char *topic, const char *reason,
                          uint64_t letters, uint64_t refusals)
{
    char labels[64];
    snprintf(labels, sizeof(labels), "topic=\"%s\",reason=\"%s\"", topic, reason);
    if (strcmp(reason, "dlq_full") != 0)
        assert_value(report, "garner_dead_letters_total", labels, letters);
    assert_value(report, "garner_refusals_total", labels, refusals);
}

/* What failed is counted by its reason, and all reasons together are the outcome. */
static void assert_sums(const struct flow_report *report, const char *topic)
{
    char labels[64];
    snprintf(labels, sizeof(labels), "topic=\"%s\",outcome=\"dead_lettered\"", topic);
    assert_int_equal((uint64_t)sum_of(report, "garner_dead_letters_total", topic),
                     (uint64_t)value_of(report, "garner_records_total", labels));
    snprintf(labels, sizeof(labels), "topic=\"%s\",outcome=\"refused\"", topic);
    assert_int_equal((uint64_t)sum_of(report, "garner_refusals_total", topic),
                     (uint64_t)value_of(report, "garner_records_total", labels));
}

static void collect_one(struct fixture *f, struct collector *c)
{
    struct flow_exporter *exporter;
    assert_true(err_is_ok(pipeline_check_exporter_new(&f->check, 1, &exporter)));
    collector_init(c);
    exporter->collect(exporter, &c->report);
    fixture_run(f);
    fixture_run(&c->home);
    assert_int_equal(c->answers, 1);
    pipeline_check_exporter_free(&exporter);
}

static void what_fails_is_counted_by_its_reason(void **state)
{
    (void)state;
    static const char records[] =
        "{}\n7\n[1,2,3,4,5,6,7,8,9]\n{\n{\"a\":\"0123456789012345678901\"}\n7";
    static const char schema[] = "{\"type\":[\"object\",\"array\"],\"items\":{\"not\":{}}}";
    struct schema_fixture s;
    schema_init(&s, schema, 6);
    s.f.check->record_size_max = 24;
    send(&s.f, "events", records);
    send(&s.f, "orders", records);
    send(&s.f, "orders", "{");
    struct collector c;
    collect_one(&s.f, &c);
    expect_reason(&c.report, "events", "json", 1, 0);
    expect_reason(&c.report, "events", "schema", 2, 0);
    expect_reason(&c.report, "events", "oversize", 1, 0);
    expect_reason(&c.report, "events", "complexity", 1, 0);
    expect_reason(&c.report, "events", "dlq_full", 0, 0);
    expect_reason(&c.report, "orders", "json", 0, 2);
    expect_reason(&c.report, "orders", "schema", 0, 2);
    expect_reason(&c.report, "orders", "oversize", 0, 1);
    expect_reason(&c.report, "orders", "complexity", 0, 1);
    assert_sums(&c.report, "events");
    assert_sums(&c.report, "orders");
    metric_set_done(&c.report.metrics);
    schema_done(&s);
}

static void what_a_full_queue_refuses_is_counted_as_that(void **state)
{
    (void)state;
    struct pipeline_check_topic topics[] = {fixture_topics[0], fixture_topics[1]};
    topics[0].dlq_size_max = 1;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.topics = topics;
    fixture_start(&f, &options);
    send(&f, "events", "{");
    f.dlq_wal_bytes = 1;
    fixture_snapshot_answer(&f);
    send(&f, "events", "{\n{}");
    struct collector c;
    collect_one(&f, &c);
    expect_reason(&c.report, "events", "json", 1, 0);
    expect_reason(&c.report, "events", "dlq_full", 0, 1);
    assert_sums(&c.report, "events");
    metric_set_done(&c.report.metrics);
    pipeline_check_stop(f.check);
    fixture_done(&f);
}

static void only_commits_that_came_back_well_count(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.commit_error = err_make(ERR_IO);
    send(&f, "events", "{}\n{");
    f.commit_error = err_ok();
    f.hold = true;
    struct sent s = fixture_request(&f, 'a', "events", FLOW_FRAMING_NDJSON, SLICE_LITERAL("{}"));
    fixture_submit(&f, &s);
    fixture_run(&f);

    struct flow_exporter *exporter;
    assert_true(err_is_ok(pipeline_check_exporter_new(&f.check, 1, &exporter)));
    struct collector c;
    collector_init(&c);
    exporter->collect(exporter, &c.report);
    fixture_run(&f);
    fixture_run(&c.home);
    assert_value(&c.report, "garner_records_total", "topic=\"events\",outcome=\"accepted\"", 0);
    assert_value(&c.report, "garner_dead_letters_total", "topic=\"events\",reason=\"json\"", 0);
    assert_value(&c.report, "garner_commits_failed_total", "", 1);
    assert_value(&c.report, "garner_commit_duration_seconds", "", 1);
    assert_true(value_of(&c.report, "garner_commit_bytes", "") > FLOW_BATCH_HEADER_SIZE);
    metric_set_done(&c.report.metrics);
    pipeline_check_exporter_free(&exporter);
    fixture_answer(&f, 1, err_ok());
    fixture_run(&f);
    fixture_done(&f);
}

static void without_memory_a_report_says_that_it_is_not_whole(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct flow_exporter *exporter;
    mem_fail_after(1);
    err_t err = pipeline_check_exporter_new(&f.check, 1, &exporter);
    mem_fail_after(0);
    assert_string_equal(err_name(err), "MEMORY");
    assert_true(err_is_ok(pipeline_check_exporter_new(&f.check, 1, &exporter)));
    for (uint64_t n = 1;; n++) {
        struct collector c;
        collector_init(&c);
        mem_fail_after(n);
        exporter->collect(exporter, &c.report);
        fixture_run(&f);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        fixture_run(&c.home);
        assert_int_equal(c.answers, 1);
        assert_int_equal(c.report.metrics.failed, failed);
        metric_set_done(&c.report.metrics);
        if (!failed)
            break;
    }
    pipeline_check_exporter_free(&exporter);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_of_all_loops_are_one_sum),
        cmocka_unit_test(a_queue_that_is_full_for_one_loop_is_full),
        cmocka_unit_test(what_fails_is_counted_by_its_reason),
        cmocka_unit_test(what_a_full_queue_refuses_is_counted_as_that),
        cmocka_unit_test(only_commits_that_came_back_well_count),
        cmocka_unit_test(without_memory_a_report_says_that_it_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
