#include "unit/sources/http/fixture.h"

struct asker {
    struct flow_report report;
    struct fake_loop *home;
    unsigned done;
};

static void on_report(struct flow_report *report)
{
    struct asker *asker = (struct asker *)(void *)report;
    asker->done++;
}

static void ask(struct asker *asker, struct fixture *f)
{
    *asker = (struct asker){.home = fake_loop_new()};
    asker->report.home = &asker->home->loop;
    asker->report.done = on_report;
    metric_set_init(&asker->report.metrics);
    struct flow_exporter *exporter = sources_http_exporter(f->http);
    assert_string_equal(exporter->name, "http");
    exporter->collect(exporter, &asker->report);
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
            return set->samples[i].histogram ? (int64_t)set->samples[i].histogram->count
                                             : (int64_t)set->samples[i].value;
    return -1;
}

static void samples_are_the_sum_over_all_loops_and_arrive_at_home(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    for (size_t i = 0; i < LOOPS; i++) {
        fake_send_text(f->fakes[i]->tcps[0],
                       "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" POST " HTTP/1.1\r\n"
                       "Host: localhost\r\n" JSON "Content-Length: 2\r\n\r\n{}");
        fake_run(f->fakes[i]);
    }
    fixture_finish(f, f->inlets[0].submitted[0]);
    struct asker asker;
    ask(&asker, f);
    fixture_run(f);
    assert_int_equal(asker.done, 0);
    fake_run(asker.home);
    assert_int_equal(asker.done, 1);
    assert_false(asker.report.metrics.failed);
    assert_string_equal(asker.report.not_ready, "");
    assert_int_equal(value_of(&asker, "garner_requests_total", "status=\"404\""), 2);
    assert_int_equal(value_of(&asker, "garner_requests_total", "status=\"200\""), 1);
    assert_int_equal(value_of(&asker, "garner_requests_refused_total", "status=\"404\""), 2);
    assert_int_equal(value_of(&asker, "garner_requests_refused_total", "status=\"200\""), -1);
    assert_int_equal(value_of(&asker, "garner_request_duration_seconds", ""), 1);
    assert_int_equal(value_of(&asker, "garner_connections", ""), 2);
    assert_int_equal(value_of(&asker, "garner_connections_total", ""), 2);
    assert_int_equal(value_of(&asker, "garner_accept_failures_total", ""), 0);
    assert_int_equal(value_of(&asker, "garner_intake_memory_used_bytes", ""), 2);
    assert_int_equal(value_of(&asker, "garner_intake_memory_limit_bytes", ""), 2000);
    assert_true(value_of(&asker, "garner_received_bytes_total", "") > 200);
    forget(&asker);
    struct flow_inlet_request *request = f->inlets[1].submitted[0];
    request->done(request);
    fixture_free(f);
}

static void it_is_ready_while_it_listens(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    struct asker asker;
    ask(&asker, f);
    fixture_run(f);
    fake_run(asker.home);
    assert_string_equal(asker.report.not_ready, "the HTTP intake does not listen");
    forget(&asker);
    fixture_open(f);
    ask(&asker, f);
    fixture_run(f);
    fake_run(asker.home);
    assert_string_equal(asker.report.not_ready, "");
    forget(&asker);
    sources_http_stop(f->http, 0, fixture_stopped, f);
    fixture_settle(f);
    ask(&asker, f);
    fixture_run(f);
    fake_run(asker.home);
    assert_string_equal(asker.report.not_ready, "the HTTP intake does not listen");
    forget(&asker);
    fixture_free(f);
}

static void a_report_without_memory_comes_home_failed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
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
