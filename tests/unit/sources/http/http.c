#include "unit/sources/http/fixture.h"

static void it_serves_on_all_its_loops(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    assert_int_equal(sources_http_port(f->http), 4711);
    for (size_t i = 0; i < LOOPS; i++) {
        assert_int_equal(f->fakes[i]->tcp_count, 1);
        fake_send_text(f->fakes[i]->tcps[0],
                       POST " HTTP/1.1\r\nHost: localhost\r\n" JSON "Content-Length: 2\r\n\r\n{}");
        fake_run(f->fakes[i]);
        assert_int_equal(f->inlets[i].count, 1);
        struct flow_inlet_request *request = f->inlets[i].submitted[0];
        request->accepted = 1;
        request->done(request);
        fake_run(f->fakes[i]);
        assert_int_equal(fake_count(f->fakes[i]->tcps[0], "200 OK"), 1);
    }
    fixture_free(f);
}

static void an_address_that_is_taken_is_said_with_the_door(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    f->fakes[0]->listen_fails = true;
    struct err_text why = {0};
    assert_true(err_is(sources_http_start(f->http, &why), ERR_IN_USE));
    assert_string_equal(why.text, "intake: 127.0.0.1:0 is taken");
    /* It may be tried again. */
    f->fakes[0]->listen_fails = false;
    fixture_open(f);
    fixture_free(f);
}

static void stopping_waits_for_what_the_inlet_still_has(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    fixture_ask(f, POST, JSON, "{}");
    sources_http_stop(f->http, 2000, fixture_stopped, f);
    fixture_settle(f);
    assert_int_equal(f->stopped, 0);
    fixture_finish(f, f->inlets[0].submitted[0]);
    fixture_settle(f);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void what_was_never_started_stops_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_free(f);
    f = fixture_new(0, 1000);
    sources_http_free(&f->http);
    for (size_t i = 0; i < LOOPS; i++)
        fake_loop_free(f->fakes[i]);
    free(f);
}

static void without_memory_there_is_an_error_and_nothing_else(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    struct sources_http_loop loops[LOOPS];
    for (size_t i = 0; i < LOOPS; i++)
        loops[i] =
            (struct sources_http_loop){&f->fakes[i]->loop, &f->inlets[i].inlet, &f->credits[i]};
    struct sources_http_options options = {
        .address = "127.0.0.1:0", .loops = loops, .loop_count = LOOPS};
    struct sources_http *other = NULL;
    for (uint64_t n = 1; n <= 1 + LOOPS; n++) {
        mem_fail_after(n);
        err_t err = sources_http_new(&options, &other);
        mem_fail_after(0);
        assert_true(err_is(err, ERR_MEMORY));
        assert_null(other);
    }
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_after(n);
        err_t err = sources_http_start(f->http, NULL);
        mem_fail_after(0);
        assert_true(err_is(err, ERR_MEMORY));
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_serves_on_all_its_loops),
        cmocka_unit_test(an_address_that_is_taken_is_said_with_the_door),
        cmocka_unit_test(stopping_waits_for_what_the_inlet_still_has),
        cmocka_unit_test(what_was_never_started_stops_too),
        cmocka_unit_test(without_memory_there_is_an_error_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
