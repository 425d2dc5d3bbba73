#include "unit/net/asker.h"
#include "unit/sources/http/fixture.h"

static void ask_home(struct asker *asker, struct fixture *f)
{
    asker_ask(asker, sources_http_exporter(f->http), "http");
    fixture_run(f);
    asker_home(asker);
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
    ask_home(&asker, f);
    assert_false(asker.report.metrics.failed);
    assert_string_equal(asker.report.not_ready, "");
    assert_int_equal(asker_value(&asker, "garner_requests_total", "status=\"404\""), 2);
    assert_int_equal(asker_value(&asker, "garner_requests_total", "status=\"200\""), 1);
    assert_int_equal(asker_value(&asker, "garner_requests_refused_total", "status=\"404\""), 2);
    assert_int_equal(asker_value(&asker, "garner_requests_refused_total", "status=\"200\""), -1);
    assert_int_equal(asker_value(&asker, "garner_request_duration_seconds", ""), 1);
    assert_int_equal(asker_value(&asker, "garner_connections", ""), 2);
    assert_int_equal(asker_value(&asker, "garner_connections_total", ""), 2);
    assert_int_equal(asker_value(&asker, "garner_accept_failures_total", ""), 0);
    assert_int_equal(asker_value(&asker, "garner_intake_memory_used_bytes", ""), 2);
    assert_int_equal(asker_value(&asker, "garner_intake_memory_limit_bytes", ""), 2000);
    assert_true(asker_value(&asker, "garner_received_bytes_total", "") > 200);
    asker_done(&asker);
    struct flow_inlet_request *request = f->inlets[1].submitted[0];
    request->done(request);
    fixture_free(f);
}

static void it_is_ready_while_it_listens(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    struct asker asker;
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "the HTTP intake does not listen");
    asker_done(&asker);
    fixture_open(f);
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "");
    asker_done(&asker);
    sources_http_stop(f->http, 0, fixture_stopped, f);
    fixture_settle(f);
    ask_home(&asker, f);
    assert_string_equal(asker.report.not_ready, "the HTTP intake does not listen");
    asker_done(&asker);
    fixture_free(f);
}

static void a_report_without_memory_comes_home_failed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    struct asker asker;
    mem_fail_after(1);
    asker_ask(&asker, sources_http_exporter(f->http), "http");
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
        cmocka_unit_test(it_is_ready_while_it_listens),
        cmocka_unit_test(a_report_without_memory_comes_home_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
