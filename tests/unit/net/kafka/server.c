#include "unit/net/kafka/fixture.h"

static void an_idle_connection_is_one_small_block(void **state)
{
    (void)state;
    assert_in_range(sizeof(struct net_kafka_conn), 1, 1024);
    struct fixture *f = fixture_new(NULL);
    fixture_connect(f);
    mem_fail_after(0);
    uint64_t mark = mem_alloc_count();
    for (int i = 0; i < 100; i++)
        fixture_connect(f);
    assert_int_equal(mem_alloc_count() - mark, 100);
    fixture_free(f);
}

static void ten_thousand_connections_cost_one_timer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    for (int i = 0; i < 10000; i++)
        net_kafka_server_adopt(f->server, (struct io_socket){.fd = i});
    fake_run(f->fake);
    assert_int_equal(f->fake->timer_count, 1);
    assert_int_equal(fixture_counters(f)->net.connections_open, 10000);
    fake_advance(f->fake, 700000);
    assert_int_equal(fixture_counters(f)->net.connections_open, 0);
    assert_int_equal(f->fake->timer_count, 0);
    fixture_free(f);
}

static void connections_that_cannot_be_served_are_closed(void **state)
{
    (void)state;
    struct net_kafka_limits limits;
    net_kafka_limits_init(&limits);
    limits.net.connections_max = 1;
    struct fixture *f = fixture_new(&limits);
    f->fake->open_fails = true;
    net_kafka_server_adopt(f->server, (struct io_socket){.fd = 0});
    f->fake->open_fails = false;
    mem_fail_after(1);
    net_kafka_server_adopt(f->server, (struct io_socket){.fd = 0});
    mem_fail_after(0);
    assert_int_equal(f->fake->sockets_closed, 1);
    fixture_connect(f);
    assert_null(fixture_connect(f));
    assert_int_equal(f->fake->sockets_closed, 2);
    assert_int_equal(fixture_counters(f)->net.connections_refused, 1);
    fixture_free(f);
}

static void stopping_answers_what_is_there_and_reads_no_more(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *idle = fixture_connect(f);
    struct io_tcp *busy = fixture_connect(f);
    struct io_tcp *half = fixture_connect(f);
    fixture_send(f, busy, "later");
    fake_send(half,
              "\0\0\0\x9"
              "half",
              8);
    fake_run(f->fake);
    net_kafka_server_stop(f->server, 20000, fixture_stopped, f);
    assert_int_equal(f->stopped, 0);
    fake_run(f->fake);
    assert_true(idle->closed && half->closed && !busy->closed);
    assert_int_equal(f->aborts, 1);
    net_kafka_server_adopt(f->server, (struct io_socket){.fd = 9});
    assert_int_equal(f->fake->sockets_closed, 1);
    fixture_reply(f, 0, "done");
    assert_answered(busy, "done");
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void at_the_deadline_all_connections_close(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *busy = fixture_connect(f);
    fixture_send(f, busy, "later");
    net_kafka_server_stop(f->server, 5000, fixture_stopped, f);
    fake_advance(f->fake, 4000);
    assert_false(busy->closed);
    fake_advance(f->fake, 3000);
    assert_true(busy->closed);
    assert_int_equal(f->gone, 1);
    /* The handler still has the request. */
    assert_int_equal(f->stopped, 0);
    fixture_reply(f, 0, "to nobody");
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void counters_of_several_servers_add_up(void **state)
{
    (void)state;
    struct net_kafka_counters sum = {.requests = 1, .net.bytes_in = 2};
    net_kafka_counters_merge(&sum, &(struct net_kafka_counters){{1, 2, 3, 4, 5, 6}, 7, 8, 9});
    assert_memory_equal(&sum, (&(struct net_kafka_counters){{1, 2, 3, 4, 7, 6}, 7, 9, 9}),
                        sizeof(sum));
    struct net_kafka_server *server = NULL;
    struct fake_loop *fake = fake_loop_new();
    mem_fail_after(1);
    assert_true(err_is(net_kafka_server_new(&fake->loop, NULL, &fixture_handler, NULL, &server),
                       ERR_MEMORY));
    mem_fail_after(0);
    net_kafka_server_free(&server);
    fake_loop_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_one_small_block),
        cmocka_unit_test(ten_thousand_connections_cost_one_timer),
        cmocka_unit_test(connections_that_cannot_be_served_are_closed),
        cmocka_unit_test(stopping_answers_what_is_there_and_reads_no_more),
        cmocka_unit_test(at_the_deadline_all_connections_close),
        cmocka_unit_test(counters_of_several_servers_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
