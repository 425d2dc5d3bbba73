#include "unit/admin/door.h"

#include "base/alloc.h"

/* What flow_log_snapshot gives back: a topic, in the arena. */
static void give_ledger(struct fixture *f, enum err_code code)
{
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    assert_ptr_equal(snapshot->home, &f->fake->loop);
    snapshot->error = err_make(code);
    snapshot->topics = arena_alloc(&snapshot->arena, sizeof(*snapshot->topics));
    assert_non_null(snapshot->topics);
    *snapshot->topics =
        (struct flow_topic_state){.id = 1, .name = "flights", .received = 3, .accepted = 3};
    snapshot->topic_count = 1;
    snapshot->done(snapshot);
}

static void it_is_alive_while_it_answers(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const char *text = ask(f, "/health");
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    assert_ends(text, "\r\n\r\n{\"status\":\"alive\"}\n");
    text = ask_with(f, "HEAD /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    assert_ends(text, "\r\n\r\n");
    assert_int_equal(f->parts[0].count, 0);
    fixture_free(f);
}

static void metrics_of_all_parts_are_added_up(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(ask(f, "/metrics"), "");
    report(&f->parts[1], 2, "");
    assert_string_equal(answer(f), "");
    report(&f->parts[0], 40, "not asked for here");
    const char *text = answer(f);
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(text, "text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_ends(text, "\r\n\r\n# HELP garner_depth How deep it is.\n"
                      "# TYPE garner_depth gauge\ngarner_depth 42\n");
    fixture_free(f);
}

static void metrics_that_are_not_whole_are_not_shown(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (size_t wrong = 0; wrong < PARTS; wrong++) {
        (void)ask(f, "/metrics");
        f->parts[wrong].held[0]->metrics.failed = true;
        report(&f->parts[0], 1, "");
        report(&f->parts[1], 1, "");
        assert_starts(answer(f), "HTTP/1.1 503 ");
        assert_non_null(strstr(answer(f), "Retry-After: 1\r\n"));
        assert_null(strstr(answer(f), "garner_depth"));
    }
    fixture_free(f);
}

static void it_is_ready_when_every_part_is(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)ask(f, "/ready");
    report(&f->parts[0], 0, "");
    report(&f->parts[1], 0, "");
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_ends(answer(f), "\r\n\r\n{\"ready\":true}\n");
    fixture_free(f);
}

static void the_first_part_that_is_not_ready_says_why(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)ask(f, "/ready");
    report(&f->parts[1], 0, "the disk is \"full\"");
    report(&f->parts[0], 0, "");
    assert_starts(answer(f), "HTTP/1.1 503 ");
    assert_ends(answer(f), "\r\n\r\n{\"ready\":false,\"reason\":\"the disk is \\\"full\\\"\"}\n");
    (void)ask(f, "/ready");
    report(&f->parts[1], 0, "second");
    report(&f->parts[0], 0, "first");
    assert_ends(answer(f), "\r\n\r\n{\"ready\":false,\"reason\":\"first\"}\n");
    fixture_free(f);
}

static void the_ledger_is_the_log_s_at_one_moment(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(ask(f, "/v1/ledger"), "");
    give_ledger(f, ERR_OK);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(answer(f), "Content-Type: application/json\r\n"));
    assert_non_null(
        strstr(answer(f), "{\"balanced\":true,\n\"topics\":{\"flights\":{\"received\":3"));
    assert_ends(answer(f), "}\n");
    fixture_free(f);
}

static void a_log_without_an_answer_is_an_error_and_not_an_empty_ledger(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)ask(f, "/v1/ledger");
    give_ledger(f, ERR_MEMORY);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    assert_non_null(strstr(answer(f), "Retry-After: 1\r\n"));
    assert_non_null(strstr(answer(f), "the log gives no ledger: out of memory"));
    (void)ask(f, "/v1/ledger");
    give_ledger(f, ERR_CORRUPT);
    assert_starts(answer(f), "HTTP/1.1 500 ");
    assert_null(strstr(answer(f), "balanced"));
    fixture_free(f);
}

static void wrong_requests_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status, *says;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "/v1/ledger"},
        {"GET /v1/topics/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "not_found"},
        {"GET /v1/topics/a/b HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "not_found"},
        {"DELETE /v1/topics HTTP/1.1\r\nHost: localhost\r\n\r\n", "405",
         "Allow: GET, HEAD, OPTIONS"},
        {"OPTIONS /v1/topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n", "204",
         "Allow: GET, HEAD, POST, PUT, DELETE"},
        {"DELETE /v1/topics/a/records HTTP/1.1\r\nHost: localhost\r\n\r\n", "405",
         "Allow: GET, HEAD"},
        {"GET /v1/topics/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "unknown_topic"},
        {"GET /healthy HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "not_found"},
        {"GET /health/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "not_found"},
        {"DELETE /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "405", "Allow: GET, HEAD"},
        {"POST /v1/ledger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", "405",
         "Allow: GET, HEAD"},
        {"OPTIONS /ready HTTP/1.1\r\nHost: localhost\r\n\r\n", "204", "Allow: GET, HEAD"},
        {"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", "413",
         "too_large"},
        {"GET /ready HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "413", "too_large"},
        {"GET /health HTTP/1.1\r\nHost: rebound.example\r\n\r\n", "403", "\"host\""},
        {"GET /nothing HTTP/1.1\r\nHost: rebound.example\r\n\r\n", "403", "\"host\""},
        {"GET /v1/ledger HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", "403",
         "\"origin\""},
        {"GARBAGE\r\n\r\n", "400", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_new();
        const char *text = ask_with(f, cases[i].request);
        char start[32];
        snprintf(start, sizeof(start), "HTTP/1.1 %s ", cases[i].status);
        assert_starts(text, start);
        if (!strstr(text, cases[i].says))
            fail_msg("%s has no %s in:\n%s", cases[i].request, cases[i].says, text);
        assert_int_equal(f->parts[0].count + f->held_count, 0);
        fixture_free(f);
    }
}

static void a_page_of_its_own_may_ask(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_starts(ask_with(f, "GET /health?verbose HTTP/1.1\r\nHost: localhost:9600\r\n"
                              "Origin: http://localhost:9600\r\n\r\n"),
                  "HTTP/1.1 200 OK\r\n");
    fixture_free(f);
}

static void inquiries_without_an_answer_are_limited(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (int i = 0; i < 64; i++)
        assert_string_equal(ask(f, i % 2 ? "/metrics" : "/v1/ledger"), "");
    connect_one(f);
    assert_starts(ask(f, "/metrics"), "HTTP/1.1 503 ");
    assert_non_null(strstr(answer(f), "\"busy\""));
    assert_starts(ask(f, "/v1/ledger"), "HTTP/1.1 503 ");
    assert_starts(ask(f, "/health"), "HTTP/1.1 200 OK\r\n");
    give_ledger(f, ERR_OK);
    assert_string_equal(ask(f, "/v1/ledger"), "");
    give_ledger(f, ERR_OK);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    while (f->held_count > 0)
        give_ledger(f, ERR_OK);
    while (f->parts[0].count > 0) {
        report(&f->parts[0], 1, "");
        report(&f->parts[1], 1, "");
    }
    fixture_free(f);
}

static void a_peer_that_has_gone_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)ask(f, "/metrics");
    (void)ask(f, "/v1/ledger");
    fake_end(f->fake->tcps[0], ERR_CLOSED);
    fake_run(f->fake);
    report(&f->parts[0], 1, "");
    report(&f->parts[1], 1, "");
    give_ledger(f, ERR_OK);
    fake_run(f->fake);
    assert_string_equal(fake_written(f->fake->tcps[0]), "");
    fixture_free(f);
}

static void a_stop_waits_for_the_parts_that_were_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)ask(f, "/metrics");
    (void)ask(f, "/v1/ledger");
    admin_stop(f->admin, 0, on_stopped, f);
    settle(f);
    assert_int_equal(f->stopped, 0);
    report(&f->parts[0], 1, "");
    report(&f->parts[1], 1, "");
    settle(f);
    assert_int_equal(f->stopped, 0);
    give_ledger(f, ERR_OK);
    settle(f);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void within_the_deadline_of_a_stop_answers_still_go_out(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)ask(f, "/v1/ledger");
    admin_stop(f->admin, 60000, on_stopped, f);
    settle(f);
    give_ledger(f, ERR_OK);
    settle(f);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    fake_end(f->fake->tcps[0], ERR_END);
    settle(f);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void a_taken_address_names_the_option(void **state)
{
    (void)state;
    struct fixture *f = fixture_prepare();
    f->fake->listen_fails = true;
    struct admin_options options = options_of(f);
    struct err_text why = {0};
    err_t err = admin_new(&options, &f->admin, &why);
    assert_string_equal(err_name(err), "IN_USE");
    assert_string_equal(why.text, "admin.listen: 127.0.0.1:9600 is taken");
    assert_null(f->admin);
    fake_loop_free(f->fake);
    free(f);
}

static void without_memory_it_is_not_made(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        assert_in_range(n, 1, 100);
        struct fixture *f = fixture_prepare();
        struct admin_options options = options_of(f);
        struct err_text why = {0};
        mem_fail_after(n);
        err_t err = admin_new(&options, &f->admin, &why);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_string_equal(err_name(err), failed ? "MEMORY" : "OK");
        if (!failed) {
            fixture_free(f);
            break;
        }
        assert_null(f->admin);
        fake_loop_free(f->fake);
        free(f);
    }
}

/* Asks for `path` with the `n`-th allocation failing; false when there were not so many. */
static bool survives(const char *path, uint64_t n)
{
    struct fixture *f = fixture_new();
    mem_fail_after(n);
    (void)ask(f, path);
    bool failed = mem_alloc_count() >= n;
    if (f->parts[0].count > 0) {
        report(&f->parts[0], 1, "");
        report(&f->parts[1], 1, "");
    }
    if (f->held_count > 0) {
        uint64_t left = mem_alloc_count() < n ? n - mem_alloc_count() : 0;
        mem_fail_after(0);
        struct flow_snapshot *snapshot = f->held[--f->held_count];
        mem_fail_after(left);
        snapshot->done(snapshot);
        failed = failed || (left > 0 && mem_alloc_count() >= left);
    } else {
        failed = mem_alloc_count() >= n;
    }
    fake_run(f->fake);
    mem_fail_after(0);
    const struct io_tcp *tcp = f->fake->tcps[0];
    const char *text = fake_written(tcp);
    bool whole = strstr(text, "garner_depth 2\n") || strstr(text, "{\"balanced\":true") ||
                 strstr(text, "{\"ready\":true}");
    bool refused = strncmp(text, "HTTP/1.1 503 ", 13) == 0;
    /* Whole, or refused, or a connection that could not be answered at all: never a part. */
    if (!whole && !refused && !tcp->closed)
        fail_msg("%s without memory: %s", path, text);
    if (!failed)
        assert_true(whole && !refused);
    fixture_free(f);
    return failed;
}

static void without_memory_an_answer_is_whole_or_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"/metrics", "/ready", "/v1/ledger"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        uint64_t n = 1;
        while (survives(paths[i], n))
            assert_in_range(++n, 1, 200);
        assert_true(n > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_alive_while_it_answers),
        cmocka_unit_test(metrics_of_all_parts_are_added_up),
        cmocka_unit_test(metrics_that_are_not_whole_are_not_shown),
        cmocka_unit_test(it_is_ready_when_every_part_is),
        cmocka_unit_test(the_first_part_that_is_not_ready_says_why),
        cmocka_unit_test(the_ledger_is_the_log_s_at_one_moment),
        cmocka_unit_test(a_log_without_an_answer_is_an_error_and_not_an_empty_ledger),
        cmocka_unit_test(wrong_requests_say_what_is_wrong),
        cmocka_unit_test(a_page_of_its_own_may_ask),
        cmocka_unit_test(inquiries_without_an_answer_are_limited),
        cmocka_unit_test(a_peer_that_has_gone_leaves_nothing_behind),
        cmocka_unit_test(a_stop_waits_for_the_parts_that_were_asked),
        cmocka_unit_test(within_the_deadline_of_a_stop_answers_still_go_out),
        cmocka_unit_test(a_taken_address_names_the_option),
        cmocka_unit_test(without_memory_it_is_not_made),
        cmocka_unit_test(without_memory_an_answer_is_whole_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
