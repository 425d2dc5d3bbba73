#include "unit/sources/http/fixture.h"

static struct flow_inlet_request *last(const struct fixture *f)
{
    assert_true(f->inlets[0].count > 0);
    return f->inlets[0].submitted[f->inlets[0].count - 1];
}

static void a_body_goes_to_the_inlet_and_the_counts_come_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    assert_string_equal(fixture_ask(f, POST, JSON, "[1,2]"), "");
    struct flow_inlet_request *request = last(f);
    assert_int_equal(request->framing, FLOW_FRAMING_JSON);
    assert_memory_equal(f->inlets[0].body.data, "[1,2]", 5);
    assert_int_equal(f->credits[0].used_bytes, 5);
    request->accepted = 497;
    request->duplicates = 1;
    request->dead_lettered = 2;
    flow_inlet_add_error(request, 17, "schema",
                         SLICE_LITERAL("/distance: expected integer, got \"x\""));
    flow_inlet_add_error(request, 18, "json", SLICE_LITERAL("end"));
    const char *answer = fixture_finish(f, request);
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    assert_string_equal(
        strstr(answer, "\r\n\r\n") + 4,
        "{\"accepted\":497,\"duplicates\":1,\"dead_lettered\":2,\"refused\":0,\"errors\":["
        "{\"index\":17,\"reason\":\"schema\",\"detail\":\"/distance: expected integer, got "
        "\\\"x\\\"\"},{\"index\":18,\"reason\":\"json\",\"detail\":\"end\"}]}\n");
    assert_int_equal(f->credits[0].used_bytes, 0);
    fixture_free(f);
}

static void an_answer_without_errors_says_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    fixture_ask(f, POST, "Content-Type: application/x-ndjson; charset=UTF-8\r\n", "{}\n{}");
    struct flow_inlet_request *request = last(f);
    assert_int_equal(request->framing, FLOW_FRAMING_NDJSON);
    request->accepted = 2;
    assert_string_equal(
        strstr(fixture_finish(f, request), "\r\n\r\n") + 4,
        "{\"accepted\":2,\"duplicates\":0,\"dead_lettered\":0,\"refused\":0,\"errors\":[]}\n");
    fixture_free(f);
}

static void refused_records_are_422_and_unlisted_errors_are_counted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    fixture_ask(f, POST, JSON, "[]");
    struct flow_inlet_request *request = last(f);
    request->accepted = 1;
    request->refused = 3;
    request->errors_truncated = 3;
    const char *answer = fixture_finish(f, request);
    assert_non_null(strstr(answer, "422 Unprocessable Content"));
    assert_non_null(strstr(answer, "\"refused\":3,\"errors\":[],\"errors_truncated\":3}"));
    fixture_free(f);
}

static void what_the_inlet_cannot_do_is_an_error_to_try_again(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        const char *status;
        const char *name;
        bool retry;
    } cases[] = {
        {ERR_LOG_FULL, "503 ", "{\"error\":\"log_full\",\"detail\":\"the log has no room", true},
        {ERR_FENCED, "503 ",
         "{\"error\":\"fenced\",\"detail\":\"the log failed under this request, outcome "
         "unknown; send it again\"}",
         true},
        {ERR_BUSY, "503 ", "\"busy\"", true},
        {ERR_TIMEOUT, "503 ", "\"timeout\"", true},
        {ERR_MEMORY, "503 ", "\"memory\"", true},
        {ERR_CANCELLED, "503 ", "\"cancelled\"", true},
        {ERR_TOO_LARGE, "413 ", "\"too_large\",\"detail\":\"the records of this request", false},
        {ERR_CORRUPT, "500 ", "\"corrupt\"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_new(0, 1000);
        fixture_open(f);
        fixture_ask(f, POST, JSON, "{}");
        last(f)->error = err_make(cases[i].code);
        const char *answer = fixture_finish(f, last(f));
        assert_non_null(strstr(answer, cases[i].status));
        assert_non_null(strstr(answer, cases[i].name));
        assert_int_equal(strstr(answer, "Retry-After: 1\r\n") != NULL, cases[i].retry);
        fixture_free(f);
    }
}

static void what_cannot_be_taken_is_said_by_the_head(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        const char *lines;
        const char *body;
        const char *status;
        const char *words;
    } cases[] = {
        {"GET /", "", "", "404 ", "/v1/topics/{topic}/records"},
        {"POST /v1/topics/flights", JSON, "{}", "404 ", "no such path"},
        {"POST /v1/topics//records", JSON, "{}", "404 ", "no such path"},
        {"POST /v1/topics/other/records", JSON, "{}", "404 ",
         "topic \\\"other\\\" is not declared; to declare it, write \\\"topic: other\\\""},
        {"POST /v1/topics/%zz/records", JSON, "{}", "404 ", "cannot be"},
        {"GET /v1/topics/flights/records", "", "", "405 ", "Allow: POST, OPTIONS\r\n"},
        {"DELETE /v1/topics/flights/records", "", "", "405 ", "POST"},
        {"OPTIONS /v1/topics/flights/records", "", "", "204 ", "Allow: POST, OPTIONS\r\n"},
        {POST, "", "{}", "415 ", "application/json (a value"},
        {POST, "Content-Type: application/x-www-form-urlencoded\r\n", "{}", "415 ",
         "use -H 'Content-Type: application/json' or application/x-ndjson"},
        {POST, "Content-Type: text/plain\r\n", "{}", "415 ", "text/plain"},
        {POST, "Content-Type: application/json; charset=latin1\r\n", "{}", "415 ", "utf-8"},
        {POST, JSON JSON, "{}", "415 ", "once"},
        {POST, JSON "Content-Encoding: gzip\r\n", "{}", "415 ", "Accept-Encoding: identity\r\n"},
        {POST, JSON "Content-Encoding: identity\r\nContent-Encoding: br\r\n", "{}", "415 ", "br"},
        {POST, JSON, "", "400 ", "empty body"},
        {POST, JSON, "[1,2,3,4,5,6,7,8,9,10]", "413 ", "the limit is 20;"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_new(20, 1000);
        fixture_open(f);
        const char *answer = fixture_ask(f, cases[i].target, cases[i].lines, cases[i].body);
        if (!strstr(answer, cases[i].status) || !strstr(answer, cases[i].words))
            print_error("case %zu: %s\n", i, answer);
        assert_ptr_equal(strstr(answer, cases[i].status), answer + 9);
        assert_non_null(strstr(answer, cases[i].words));
        assert_int_equal(f->inlets[0].count, 0);
        /* The connection lives on. */
        assert_string_equal(fixture_ask(f, POST, JSON "Content-Encoding: identity\r\n", "{}"), "");
        fixture_finish(f, last(f));
        fixture_free(f);
    }
}

static void a_host_that_is_not_ours_is_403(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool good;
    } cases[] = {{"evil.example", false}, {"127.0.0.1:8080", true}, {"garner.example:80", true}};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = fixture_new(0, 1000);
        fixture_open(f);
        char text[256];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].host);
        struct io_tcp *tcp = f->fakes[0]->tcps[0];
        fake_send_text(tcp, text);
        fake_run(f->fakes[0]);
        assert_int_equal(fake_count(tcp, cases[i].good ? "404 Not Found" : "403 Forbidden"), 1);
        fixture_free(f);
    }
}

static void an_unknown_topic_is_refused_before_a_large_body_is_sent(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    struct io_tcp *tcp = f->fakes[0]->tcps[0];
    fake_send_text(tcp, "POST /v1/topics/x/records HTTP/1.1\r\nHost: localhost\r\n" JSON
                        "Content-Length: 107374182400\r\nExpect: 100-continue\r\n\r\n");
    fake_run(f->fakes[0]);
    assert_int_equal(fake_count(tcp, "404 Not Found"), 1);
    assert_int_equal(fake_count(tcp, "100 Continue"), 0);
    assert_true(tcp->shut);
    fixture_free(f);
}

static void send_chunks(struct fixture *f, const char *chunks)
{
    struct io_tcp *tcp = f->fakes[0]->tcps[0];
    fake_send_text(tcp, POST " HTTP/1.1\r\nHost: localhost\r\n" JSON
                             "Transfer-Encoding: chunked\r\n\r\n");
    fake_run(f->fakes[0]);
    fake_send_text(tcp, chunks);
    fake_run(f->fakes[0]);
}

static void a_chunked_body_reserves_its_cap_and_keeps_its_size(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(100, 1000);
    fixture_open(f);
    send_chunks(f, "2\r\n{}\r\n");
    assert_int_equal(f->credits[0].used_bytes, 100);
    fake_send_text(f->fakes[0]->tcps[0], "0\r\n\r\n");
    fake_run(f->fakes[0]);
    assert_int_equal(f->credits[0].used_bytes, 2);
    fixture_finish(f, last(f));
    fixture_free(f);
}

static void an_empty_or_endless_chunked_body_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(100, 1000);
    fixture_open(f);
    send_chunks(f, "0\r\n\r\n");
    assert_int_equal(fake_count(f->fakes[0]->tcps[0], "400 Bad Request"), 1);
    assert_int_equal(fake_count(f->fakes[0]->tcps[0], "empty body"), 1);
    send_chunks(f, "65\r\n");
    assert_int_equal(fake_count(f->fakes[0]->tcps[0], "413 Content Too Large"), 1);
    assert_int_equal(f->inlets[0].count, 0);
    fixture_free(f);
}

/* Takes all of the credit with one request that the inlet keeps. */
static void fill(struct fixture *f)
{
    fixture_open(f);
    struct io_listener *listener = f->fakes[0]->listener;
    listener->events->accepted(listener->owner, (struct io_socket){.fd = 2});
    listener->events->accepted(listener->owner, (struct io_socket){.fd = 3});
    fixture_run(f);
    fixture_ask(f, POST, JSON, "[12345678]");
    assert_int_equal(f->credits[0].used_bytes, 10);
}

static const char small[] =
    POST " HTTP/1.1\r\nHost: localhost\r\n" JSON "Content-Length: 2\r\n\r\n{}";

static void without_memory_a_request_stands_in_line(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 10);
    fill(f);
    struct io_tcp *other = f->fakes[0]->tcps[1];
    fake_send_text(other, small);
    fake_advance(f->fakes[0], 4900);
    assert_false(other->reading);
    assert_int_equal(f->inlets[0].count, 1);
    fixture_finish(f, f->inlets[0].submitted[0]);
    assert_int_equal(f->inlets[0].count, 2);
    assert_int_equal(f->credits[0].used_bytes, 2);
    fixture_finish(f, last(f));
    fake_advance(f->fakes[0], 10000);
    assert_int_equal(fake_count(other, "200 OK"), 1);
    fixture_free(f);
}

static void after_standing_in_line_too_long_it_is_503(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 10);
    fill(f);
    struct io_tcp *other = f->fakes[0]->tcps[1];
    fake_send_text(other, small);
    fake_advance(f->fakes[0], 5100);
    assert_int_equal(fake_count(other, "503 Service Unavailable"), 1);
    assert_int_equal(fake_count(other, "Retry-After: 1\r\n"), 1);
    assert_int_equal(fake_count(other, "{\"error\":\"busy\""), 1);
    fixture_finish(f, last(f));
    /* The same connection is served once there is room. */
    fake_send_text(other, small);
    fake_run(f->fakes[0]);
    assert_int_equal(f->inlets[0].count, 2);
    fixture_finish(f, last(f));
    fixture_free(f);
}

static void who_leaves_the_line_does_not_hold_up_the_others(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 10);
    fixture_open(f);
    struct io_listener *listener = f->fakes[0]->listener;
    listener->events->accepted(listener->owner, (struct io_socket){.fd = 2});
    listener->events->accepted(listener->owner, (struct io_socket){.fd = 3});
    listener->events->accepted(listener->owner, (struct io_socket){.fd = 4});
    fixture_run(f);
    fixture_ask(f, POST, JSON, "[12345]");
    /* One that needs all of it, and behind it one that would fit. */
    fake_send_text(f->fakes[0]->tcps[1],
                   POST " HTTP/1.1\r\nHost: localhost\r\n" JSON "Content-Length: 10\r\n\r\n");
    fake_advance(f->fakes[0], 1000);
    fake_send_text(f->fakes[0]->tcps[2], small);
    fake_advance(f->fakes[0], 1000);
    assert_int_equal(f->inlets[0].count, 1);
    fake_advance(f->fakes[0], 3100);
    assert_int_equal(fake_count(f->fakes[0]->tcps[1], "503 Service"), 1);
    assert_int_equal(f->inlets[0].count, 2);
    fixture_finish(f, f->inlets[0].submitted[0]);
    fixture_finish(f, f->inlets[0].submitted[1]);
    fixture_free(f);
}

static void more_than_all_memory_is_503_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(100, 10);
    fixture_open(f);
    const char *answer = fixture_ask(f, POST, JSON, "[123456789]");
    assert_non_null(strstr(answer, "503 Service"));
    assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
    fixture_free(f);
}

static void a_peer_that_goes_gives_its_memory_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 10);
    fixture_open(f);
    struct io_tcp *tcp = f->fakes[0]->tcps[0];
    fake_send_text(tcp, POST " HTTP/1.1\r\nHost: localhost\r\n" JSON "Content-Length: 10\r\n\r\n{");
    fake_run(f->fakes[0]);
    assert_int_equal(f->credits[0].used_bytes, 10);
    fake_end(tcp, ERR_CLOSED);
    fake_run(f->fakes[0]);
    assert_int_equal(f->credits[0].used_bytes, 0);
    assert_int_equal(f->inlets[0].count, 0);
    fixture_free(f);
}

static void a_peer_that_goes_after_handing_over_changes_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 10);
    fixture_open(f);
    fixture_ask(f, POST, JSON, "{}");
    fake_end(f->fakes[0]->tcps[0], ERR_CLOSED);
    fake_run(f->fakes[0]);
    assert_true(f->fakes[0]->tcps[0]->closed);
    assert_int_equal(f->credits[0].used_bytes, 2);
    flow_inlet_add_error(last(f), 0, "json", SLICE_LITERAL("x"));
    fixture_finish(f, last(f));
    assert_int_equal(f->credits[0].used_bytes, 0);
    fixture_free(f);
}

static void an_answer_that_has_no_memory_is_503(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    fixture_ask(f, POST, JSON, "{}");
    last(f)->accepted = 1;
    mem_fail_after(1);
    const char *answer = fixture_finish(f, last(f));
    mem_fail_after(0);
    assert_non_null(strstr(answer, "503 Service Unavailable"));
    assert_non_null(strstr(answer, "Retry-After"));
    fixture_free(f);
}

#define NDJSON "Content-Type: application/x-ndjson\r\n"
#define NUMBERED NDJSON "Garner-Producer: abc\r\nGarner-Sequence: 7\r\n"

static void a_request_with_a_name_counts_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    fixture_ask(f, POST, JSON, "{}");
    assert_null(last(f)->once);
    fixture_finish(f, last(f));
    fixture_ask(f, POST, NUMBERED, "{}");
    struct flow_inlet_request *request = last(f);
    assert_int_equal(request->once->kind, FLOW_REQUEST_NUMBERED);
    assert_int_equal(request->once->id.low, 3);
    assert_int_equal(request->once->sequence, 7);
    fixture_finish(f, request);
    fixture_ask(f, POST, JSON "Idempotency-Key: \"xy\"\r\n", "{}");
    request = last(f);
    assert_int_equal(request->once->kind, FLOW_REQUEST_KEYED);
    assert_int_equal(request->once->id.low, 2);
    assert_int_equal(request->once->id.high, 'x');
    request->replayed = true;
    assert_non_null(strstr(fixture_finish(f, request), "Idempotency-Replayed: true\r\n"));
    assert_non_null(strstr(fixture_ask(f, POST, JSON "Garner-Sequence: 7\r\n", "{}"), "400 Bad"));
    fixture_free(f);
}

static void a_missing_number_is_told_with_the_one_that_is_expected(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    static const struct {
        uint64_t expected;
        const char *says;
    } gaps[] = {
        {0, "\"expected\":0,\"got\":7,\"detail\":\"this topic has never seen this producer"},
        {5, "\"expected\":5,\"got\":7,\"detail\":\"requests before this one"}};
    for (size_t i = 0; i < 2; i++) {
        fixture_ask(f, POST, NUMBERED, "{}");
        last(f)->error = err_make(ERR_SEQUENCE_GAP);
        last(f)->expected = gaps[i].expected;
        const char *answer = fixture_finish(f, last(f));
        assert_non_null(strstr(answer, "HTTP/1.1 409 Conflict\r\n"));
        assert_non_null(strstr(answer, "{\"error\":\"sequence_gap\","));
        assert_non_null(strstr(answer, gaps[i].says));
    }
    fixture_ask(f, POST, NUMBERED, "{}");
    last(f)->error = err_make(ERR_SEQUENCE_GAP);
    mem_fail_after(1);
    const char *answer = fixture_finish(f, last(f));
    mem_fail_after(0);
    assert_non_null(strstr(answer, "503 Service Unavailable"));
    fixture_ask(f, POST, NUMBERED, "{}");
    last(f)->error = err_make(ERR_PRODUCERS_FULL);
    answer = fixture_finish(f, last(f));
    assert_non_null(strstr(answer, "503 Service Unavailable"));
    assert_non_null(strstr(answer, "let each producer keep its name"));
    fixture_ask(f, POST, JSON "Idempotency-Key: k\r\n", "{}");
    last(f)->error = err_make(ERR_KEY_REUSED);
    answer = fixture_finish(f, last(f));
    assert_non_null(strstr(answer, "422 Unprocessable"));
    assert_non_null(strstr(answer, "another body"));
    fixture_free(f);
}

static void only_a_number_may_come_without_a_body(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0, 1000);
    fixture_open(f);
    fixture_ask(f, POST, NUMBERED, "");
    assert_int_equal(f->inlets[0].body.size, 0);
    assert_non_null(strstr(fixture_finish(f, last(f)), "HTTP/1.1 200 OK\r\n"));
    size_t count = f->inlets[0].count;
    static const char *const lines[] = {NDJSON,
                                        JSON "Garner-Producer: abc\r\nGarner-Sequence: 7\r\n",
                                        NDJSON "Idempotency-Key: k\r\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(fixture_ask(f, POST, lines[i], ""), "empty body"));
    assert_int_equal(f->inlets[0].count, count);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_goes_to_the_inlet_and_the_counts_come_back),
        cmocka_unit_test(an_answer_without_errors_says_so),
        cmocka_unit_test(refused_records_are_422_and_unlisted_errors_are_counted),
        cmocka_unit_test(what_the_inlet_cannot_do_is_an_error_to_try_again),
        cmocka_unit_test(what_cannot_be_taken_is_said_by_the_head),
        cmocka_unit_test(a_host_that_is_not_ours_is_403),
        cmocka_unit_test(an_unknown_topic_is_refused_before_a_large_body_is_sent),
        cmocka_unit_test(a_chunked_body_reserves_its_cap_and_keeps_its_size),
        cmocka_unit_test(an_empty_or_endless_chunked_body_is_refused),
        cmocka_unit_test(without_memory_a_request_stands_in_line),
        cmocka_unit_test(after_standing_in_line_too_long_it_is_503),
        cmocka_unit_test(who_leaves_the_line_does_not_hold_up_the_others),
        cmocka_unit_test(more_than_all_memory_is_503_at_once),
        cmocka_unit_test(a_peer_that_goes_gives_its_memory_back),
        cmocka_unit_test(a_peer_that_goes_after_handing_over_changes_nothing),
        cmocka_unit_test(an_answer_that_has_no_memory_is_503),
        cmocka_unit_test(a_request_with_a_name_counts_once),
        cmocka_unit_test(a_missing_number_is_told_with_the_one_that_is_expected),
        cmocka_unit_test(only_a_number_may_come_without_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
