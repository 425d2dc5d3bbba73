#include "unit/net/http/fixture.h"

static void an_answer_is_encoded_as_the_rfc_says(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, LATER_REQUEST);
    fixture_reply(f, 0, "{}");
    assert_string_equal(fake_written(tcp), "HTTP/1.1 200 OK\r\n"
                                           "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
                                           "Content-Type: application/json\r\n"
                                           "Content-Length: 2\r\n\r\n{}");
    fixture_free(f);
}

static void the_date_moves_on(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *date;
    } cases[] = {
        {0, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"},
        {951827696000, "Date: Tue, 29 Feb 2000 12:34:56 GMT\r\n"},
        {4102444799999, "Date: Thu, 31 Dec 2099 23:59:59 GMT\r\n"},
        {-1, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"},
    };
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->fake->wall_ms = cases[i].wall_ms;
        fake_advance(f->fake, 1000);
        fake_forget_written(tcp);
        fixture_send(f, tcp, ECHO_REQUEST);
        assert_int_equal(fake_count(tcp, cases[i].date), 1);
    }
    fixture_free(f);
}

static void an_error_is_json_whatever_its_detail(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, LATER_REQUEST);
    net_http_reply_error(f->later[0], 503, "log_full", "Retry-After: 1\r\n", "a \"b\"\n%s", "c");
    fake_run(f->fake);
    assert_int_equal(fake_count(tcp, "HTTP/1.1 503 Service Unavailable\r\n"), 1);
    assert_int_equal(fake_count(tcp, "Retry-After: 1\r\n"), 1);
    assert_int_equal(
        fake_count(tcp, "\r\n\r\n{\"error\":\"log_full\",\"detail\":\"a \\\"b\\\"\\nc\"}\n"), 1);
    fixture_free(f);
}

static void an_error_without_a_code_is_named_after_its_status(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, LATER_REQUEST LATER_REQUEST);
    net_http_reply_error(f->later[0], 413, NULL, NULL, "x");
    net_http_reply_error(f->later[1], 418, NULL, NULL, "x");
    fake_run(f->fake);
    assert_int_equal(fake_count(tcp, "{\"error\":\"too_large\""), 1);
    assert_int_equal(fake_count(tcp, "HTTP/1.1 418 \r\n"), 1);
    assert_int_equal(fake_count(tcp, "{\"error\":\"error\""), 1);
    assert_string_equal(net_http_status_text(200), "OK");
    assert_string_equal(net_http_status_text(418), "");
    fixture_free(f);
}

static void head_gets_the_size_and_no_body(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, "HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(fake_count(tcp, "Content-Length: 65536\r\n\r\n"), 1);
    assert_int_equal(fake_count(tcp, "xx"), 0);
    fixture_free(f);
}

static void a_method_that_a_path_has_not_is_405_and_options_is_204(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp,
                 "DELETE /later HTTP/1.1\r\nHost: a\r\n\r\n"
                 "OPTIONS /later HTTP/1.1\r\nHost: a\r\n\r\n");
    net_http_reply_not_allowed(f->later[0], "GET, POST");
    fake_run(f->fake);
    assert_int_equal(fake_count(tcp, "405 Method Not Allowed\r\n"), 1);
    assert_int_equal(fake_count(tcp, "Allow: GET, POST, OPTIONS\r\n"), 1);
    fake_forget_written(tcp);
    net_http_reply_not_allowed(f->later[1], "POST");
    fake_run(f->fake);
    assert_int_equal(fake_count(tcp, "HTTP/1.1 204 No Content\r\n"), 1);
    assert_int_equal(fake_count(tcp, "Allow: POST, OPTIONS\r\n"), 1);
    assert_int_equal(fake_count(tcp, "Content-"), 0);
    assert_int_equal(fake_count(tcp, "{"), 0);
    fixture_free(f);
}

static void http_1_0_closes_unless_it_asks(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(fake_count(tcp, "Connection: keep-alive\r\n"), 1);
    assert_false(tcp->shut);
    fixture_send(f, tcp, "GET /echo HTTP/1.0\r\n\r\n" ECHO_REQUEST);
    assert_int_equal(fake_count(tcp, "Connection: close\r\n"), 1);
    assert_int_equal(fake_count(tcp, "HTTP/1.1 200 OK"), 2);
    assert_true(tcp->shut);
    fake_advance(f->fake, 3000);
    assert_true(tcp->closed);
    fixture_free(f);
}

static void a_last_answer_is_sent_before_the_close(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    tcp->stuck = true;
    fixture_send(f, tcp, "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(tcp->shut);
    /* Slow, but it takes some now and then. */
    for (int i = 0; i < 6; i++) {
        fake_advance(f->fake, 20000);
        tcp->queued -= 1000;
    }
    assert_false(tcp->closed);
    fake_drain(tcp);
    fake_run(f->fake);
    assert_false(tcp->closed);
    fake_advance(f->fake, 3000);
    assert_true(tcp->closed);
    fixture_free(f);
}

static void answers_of_one_turn_go_out_in_one_write(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    for (int i = 0; i < 64; i++)
        fake_send_text(tcp, ECHO_REQUEST);
    fake_run(f->fake);
    assert_int_equal(fake_count(tcp, "200 OK"), 64);
    assert_int_equal(tcp->writes, 1);
    fixture_free(f);
}

static void a_write_that_fails_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    tcp->write_fails = true;
    fixture_send(f, tcp, LATER_REQUEST LATER_REQUEST);
    fixture_reply(f, 0, "x");
    assert_true(tcp->closed);
    assert_true(net_http_request_aborted(f->later[1]));
    fixture_reply(f, 1, "x");
    fixture_free(f);
}

static void an_answer_without_memory_becomes_503(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, LATER_REQUEST);
    char body[2000];
    memset(body, 'x', sizeof(body));
    mem_fail_after(1);
    net_http_reply(f->later[0], &(struct net_http_response){
                                    .status = 200, .body = slice_make(body, sizeof(body))});
    mem_fail_after(0);
    fake_run(f->fake);
    assert_int_equal(fake_count(tcp, "503 Service Unavailable"), 1);
    assert_int_equal(fake_count(tcp, "xx"), 0);
    fixture_send(f, tcp, ECHO_REQUEST);
    assert_int_equal(fake_count(tcp, "200 OK"), 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_encoded_as_the_rfc_says),
        cmocka_unit_test(the_date_moves_on),
        cmocka_unit_test(an_error_is_json_whatever_its_detail),
        cmocka_unit_test(an_error_without_a_code_is_named_after_its_status),
        cmocka_unit_test(head_gets_the_size_and_no_body),
        cmocka_unit_test(a_method_that_a_path_has_not_is_405_and_options_is_204),
        cmocka_unit_test(http_1_0_closes_unless_it_asks),
        cmocka_unit_test(a_last_answer_is_sent_before_the_close),
        cmocka_unit_test(answers_of_one_turn_go_out_in_one_write),
        cmocka_unit_test(a_write_that_fails_ends_the_connection),
        cmocka_unit_test(an_answer_without_memory_becomes_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
