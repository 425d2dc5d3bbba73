#include "unit/net/http/fixture.h"

#include "net/http/server_int.h"

static void an_idle_connection_holds_at_most_4_kib(void **state)
{
    (void)state;
    /* What a connection is made of, with 1 KiB left for the loop's own part of the socket. */
    assert_in_range(sizeof(struct net_http_conn), 1, 3072);
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, ECHO_REQUEST);
    uint64_t mark;
    mem_fail_after(0);
    mark = mem_alloc_count();
    for (int i = 0; i < 100; i++)
        fixture_connect(f);
    /* One block each and nothing else. */
    assert_int_equal(mem_alloc_count() - mark, 100);
    fixture_free(f);
}

static void ten_thousand_connections_cost_one_timer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    for (int i = 0; i < 10000; i++) {
        net_http_server_adopt(f->server, (struct io_socket){.fd = i});
    }
    fake_run(f->fake);
    assert_int_equal(f->fake->timer_count, 1);
    assert_int_equal(net_http_server_counters(f->server)->net.connections_open, 10000);
    for (int i = 0; i < 10000; i += 1000)
        fixture_send(f, f->fake->tcps[i], ECHO_REQUEST);
    assert_int_equal(f->bodies, 10);
    fake_advance(f->fake, 80000);
    assert_int_equal(net_http_server_counters(f->server)->net.connections_open, 0);
    assert_int_equal(f->fake->timer_count, 0);
    fixture_free(f);
}

static void connections_over_the_limit_are_told_so(void **state)
{
    (void)state;
    struct net_http_limits limits;
    net_http_limits_init(&limits);
    limits.net.connections_max = 2;
    struct fixture *f = fixture_new(&limits);
    fixture_connect(f);
    struct io_tcp *second = fixture_connect(f);
    struct io_tcp *third = fixture_connect(f);
    assert_int_equal(second->out.size, 0);
    assert_int_equal(fake_count(third, "HTTP/1.1 503 Service Unavailable\r\n"), 1);
    assert_int_equal(fake_count(third, "Retry-After: 1\r\n"), 1);
    assert_int_equal(fake_count(third, "Connection: close\r\n"), 1);
    for (int i = 0; i < 100; i++)
        fixture_connect(f);
    assert_int_equal(f->fake->tcp_count, 2 + 64);
    assert_int_equal(f->fake->sockets_closed, 37);
    assert_int_equal(net_http_server_counters(f->server)->net.connections_refused, 101);
    fake_advance(f->fake, 3000);
    assert_true(third->closed);
    assert_int_equal(net_http_server_counters(f->server)->net.connections_open, 2);
    fixture_free(f);
}

static void a_socket_that_cannot_be_served_is_closed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    f->fake->open_fails = true;
    net_http_server_adopt(f->server, (struct io_socket){.fd = 0});
    f->fake->open_fails = false;
    mem_fail_after(1);
    net_http_server_adopt(f->server, (struct io_socket){.fd = 0});
    mem_fail_after(0);
    assert_int_equal(f->fake->sockets_closed, 1);
    assert_int_equal(net_http_server_counters(f->server)->net.connections_total, 0);
    fixture_free(f);
}

static void stopping_finishes_what_was_begun_and_closes_the_rest(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *idle = fixture_connect(f);
    struct io_tcp *busy = fixture_connect(f);
    struct io_tcp *body = fixture_connect(f);
    struct io_tcp *head = fixture_connect(f);
    fixture_send(f, busy, LATER_REQUEST);
    fixture_send(f, body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    fixture_send(f, head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-");
    net_http_server_stop(f->server, 20000, fixture_stopped, f);
    assert_int_equal(f->stopped, 0);
    fake_run(f->fake);
    assert_true(idle->shut);
    fixture_send(f, body, "lo" ECHO_REQUEST);
    fixture_send(f, head, "Length: 5\r\n\r\nhello");
    assert_int_equal(fake_count(body, "200 OK"), 1);
    assert_int_equal(fake_count(body, "Connection: close"), 1);
    assert_int_equal(fake_count(head, "Connection: close"), 1);
    fixture_reply(f, 0, "late");
    assert_int_equal(fake_count(busy, "late"), 1);
    assert_int_equal(fake_count(busy, "Connection: close"), 1);
    net_http_server_adopt(f->server, (struct io_socket){.fd = 9});
    assert_int_equal(f->fake->sockets_closed, 1);
    assert_int_equal(f->stopped, 0);
    fake_advance(f->fake, 3000);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void at_the_deadline_all_connections_close(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *busy = fixture_connect(f);
    struct io_tcp *waiting = fixture_connect(f);
    fixture_send(f, busy, LATER_REQUEST);
    fixture_send(f, waiting, "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    net_http_server_stop(f->server, 5000, fixture_stopped, f);
    fake_advance(f->fake, 4000);
    assert_false(busy->closed);
    fake_advance(f->fake, 3000);
    assert_true(busy->closed && waiting->closed);
    assert_int_equal(f->aborts, 1);
    /* The handler still has a request. */
    assert_int_equal(f->stopped, 0);
    fixture_reply(f, 0, "to nobody");
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void a_server_without_connections_stops_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    net_http_server_stop(f->server, 5000, fixture_stopped, f);
    assert_int_equal(f->stopped, 0);
    fake_run(f->fake);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void counters_say_what_happened(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, ECHO_REQUEST "GET /none HTTP/1.1\r\nHost: a\r\n\r\n" LATER_REQUEST);
    f->fake->now_ns += 3 * IO_MS;
    fixture_reply(f, 0, "x");
    fixture_send(f, tcp, "bad\r\n\r\n");
    const struct net_http_counters *c = net_http_server_counters(f->server);
    assert_int_equal(c->net.connections_total, 1);
    assert_int_equal(c->responses[200 - NET_HTTP_STATUS_MIN], 2);
    assert_int_equal(c->responses[404 - NET_HTTP_STATUS_MIN], 1);
    assert_int_equal(c->responses[400 - NET_HTTP_STATUS_MIN], 1);
    assert_int_equal(c->refused[404 - NET_HTTP_STATUS_MIN], 1);
    assert_int_equal(c->refused[400 - NET_HTTP_STATUS_MIN], 1);
    assert_int_equal(c->refused[200 - NET_HTTP_STATUS_MIN], 0);
    assert_int_equal(c->net.bytes_in, tcp->in.size);
    assert_int_equal(c->net.bytes_out, tcp->out.size);
    assert_int_equal(c->duration.count, 2);
    assert_int_equal(c->duration.sum_ns, 3 * IO_MS);
    struct net_http_counters sum = {0};
    net_http_counters_merge(&sum, c);
    net_http_counters_merge(&sum, c);
    assert_int_equal(sum.responses[200 - NET_HTTP_STATUS_MIN], 4);
    assert_int_equal(sum.net.bytes_in, 2 * c->net.bytes_in);
    assert_int_equal(sum.duration.count, 4);
    assert_int_equal(sum.net.connections_open, 2);
    fixture_free(f);
}

static void a_new_server_without_memory_is_an_error(void **state)
{
    (void)state;
    struct fake_loop *fake = fake_loop_new();
    struct net_http_server *server = NULL;
    mem_fail_after(1);
    err_t err = net_http_server_new(&fake->loop, NULL, &fixture_handler, NULL, &server);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    assert_null(server);
    net_http_server_free(&server);
    fake_loop_free(fake);
}

static void answers_that_no_peer_has_taken_can_be_counted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *first = fixture_connect(f);
    struct io_tcp *second = fixture_connect(f);
    fixture_send(f, first, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(net_http_server_unsent(f->server), 0);
    first->stuck = true;
    fixture_send(f, first, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_in_range(net_http_server_unsent(f->server), f->large_size, f->large_size + 1024);
    /* Behind an answer that is still to come it counts as well. */
    fixture_send(f, second, LATER_REQUEST "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_in_range(net_http_server_unsent(f->server), 2 * f->large_size, 2 * f->large_size + 2048);
    fixture_reply(f, 0, "later");
    fake_drain(first);
    fake_run(f->fake);
    assert_int_equal(net_http_server_unsent(f->server), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_holds_at_most_4_kib),
        cmocka_unit_test(ten_thousand_connections_cost_one_timer),
        cmocka_unit_test(connections_over_the_limit_are_told_so),
        cmocka_unit_test(a_socket_that_cannot_be_served_is_closed),
        cmocka_unit_test(stopping_finishes_what_was_begun_and_closes_the_rest),
        cmocka_unit_test(at_the_deadline_all_connections_close),
        cmocka_unit_test(a_server_without_connections_stops_at_once),
        cmocka_unit_test(counters_say_what_happened),
        cmocka_unit_test(a_new_server_without_memory_is_an_error),
        cmocka_unit_test(answers_that_no_peer_has_taken_can_be_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
