#include "net/server.h"

#include "lib/unit.h"
#include "unit/net/fake_tcp.h"

#define CONNS_MAX 10000

/* A protocol without words: a connection is told things, and closes when it is told to. */
struct conn {
    struct net_conn net;
    unsigned turns;
    unsigned checks;
    unsigned closes;
    unsigned stops;
    bool ends; /* in its next turn */
    bool gone; /* dropped in that turn */
};

struct fixture {
    struct net_server net;
    struct fake_loop *fake;
    struct net_limits limits;
    struct net_counters counters;
    struct conn *conns;
    unsigned ticks;
    unsigned stopped;
};

static struct conn *conn_of(void *net)
{
    return CONTAINER_OF(net, struct conn, net);
}

static void on_turn(struct net_conn *net)
{
    struct conn *conn = conn_of(net);
    conn->turns++;
    if (conn->ends && !conn->gone) {
        conn->gone = true;
        net_server_drop(net);
    }
}

static void on_check(struct net_conn *net, uint64_t now_ns)
{
    assert_int_equal(now_ns, io_now_ns(net->server->loop));
    conn_of(net)->checks++;
}

static void close_conn(struct net_conn *net)
{
    struct conn *conn = conn_of(net);
    conn->closes++;
    conn->ends = true;
    io_tcp_close(net->server->loop, net->tcp);
    net_server_turn(net);
}

static void on_stop(struct net_conn *net)
{
    conn_of(net)->stops++;
}

static void on_tick(struct net_server *server)
{
    CONTAINER_OF(server, struct fixture, net)->ticks++;
}

static void on_closed(void *owner)
{
    assert_int_equal(conn_of(owner)->closes, 1);
}

static const struct io_tcp_events tcp_events = {.closed = on_closed};

static const struct net_protocol protocol = {.tcp = &tcp_events,
                                             .turn = on_turn,
                                             .check_time = on_check,
                                             .close = close_conn,
                                             .stop = on_stop,
                                             .tick = on_tick};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->conns = calloc(CONNS_MAX, sizeof(*f->conns));
    f->fake = fake_loop_new();
    f->limits = (struct net_limits){.connections_max = 2,
                                    .pipeline_max = 3,
                                    .queued_bytes_max = 10,
                                    .tick_ms = 1000,
                                    .window_ms = 10000,
                                    .rate_min = 1000,
                                    .pressed_ms = 60000,
                                    .write_ms = 5000};
    f->net = (struct net_server){.loop = &f->fake->loop,
                                 .protocol = &protocol,
                                 .limits = &f->limits,
                                 .counters = &f->counters};
    net_server_init(&f->net);
    return f;
}

static void on_stopped(void *owner)
{
    ++((struct fixture *)owner)->stopped;
}

/* Stops, where it is not stopped, and frees. */
static void fixture_free(struct fixture *f)
{
    if (!f->net.stopping) {
        net_server_stop(&f->net, 0, on_stopped, f);
        fake_advance(f->fake, 2000);
    }
    assert_int_equal(f->stopped, 1);
    assert_int_equal(f->counters.connections_open, 0);
    assert_int_equal(f->fake->timer_count, 0);
    net_server_done(&f->net);
    fake_loop_free(f->fake);
    free(f->conns);
    free(f);
}

static struct conn *take(struct fixture *f)
{
    struct conn *conn = &f->conns[f->fake->tcp_count];
    assert_true(net_server_take(&f->net, &conn->net, (struct io_socket){.fd = 1}));
    return conn;
}

/* The next connection, through its first turn. */
static struct conn *connect_one(struct fixture *f)
{
    struct conn *conn = take(f);
    fake_run(f->fake);
    return conn;
}

static void a_turn_looks_after_each_connection_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct conn *first = connect_one(f);
    struct conn *second = connect_one(f);
    assert_int_equal(first->turns, 1);
    for (int i = 0; i < 100; i++)
        net_server_turn(&first->net);
    assert_int_equal(first->turns, 1);
    fake_run(f->fake);
    assert_int_equal(first->turns, 2);
    assert_int_equal(second->turns, 1);
    fixture_free(f);
}

static void ten_thousand_connections_cost_one_timer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (int i = 0; i < CONNS_MAX; i++)
        take(f);
    assert_int_equal(f->fake->timer_count, 1);
    assert_int_equal(f->counters.connections_open, CONNS_MAX);
    assert_int_equal(f->ticks, 1);
    fake_advance(f->fake, 1000);
    assert_int_equal(f->conns[0].checks, 1);
    assert_int_equal(f->conns[CONNS_MAX - 1].checks, 1);
    assert_int_equal(f->ticks, 2);
    fixture_free(f);
}

static void a_server_that_nobody_is_connected_to_sleeps(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_int_equal(f->fake->timer_count, 0);
    struct conn *conn = connect_one(f);
    close_conn(&conn->net);
    fake_advance(f->fake, 2000);
    assert_int_equal(f->counters.connections_open, 0);
    assert_int_equal(f->fake->timer_count, 0);
    unsigned ticks = f->ticks;
    fake_advance(f->fake, 60000);
    assert_int_equal(f->ticks, ticks);
    /* Who comes then finds the time of this moment. */
    connect_one(f);
    assert_int_equal(f->ticks, ticks + 1);
    assert_int_equal(f->fake->timer_count, 1);
    fixture_free(f);
}

static void connections_are_counted_and_full_is_said(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct conn *first = connect_one(f);
    assert_false(net_server_is_full(&f->net));
    connect_one(f);
    assert_true(net_server_is_full(&f->net));
    close_conn(&first->net);
    fake_run(f->fake);
    assert_false(net_server_is_full(&f->net));
    f->fake->open_fails = true;
    assert_false(net_server_take(&f->net, &f->conns[9].net, (struct io_socket){.fd = 1}));
    assert_int_equal(f->counters.connections_total, 2);
    assert_int_equal(f->counters.connections_open, 1);
    fixture_free(f);
}

static void counters_of_several_servers_add_up(void **state)
{
    (void)state;
    struct net_counters sum = {1, 0, 1, 0, 1, 0};
    net_counters_merge(&sum, &(struct net_counters){1, 2, 3, 4, 5, 6});
    assert_memory_equal(&sum, (&(struct net_counters){2, 2, 4, 4, 6, 6}), sizeof(sum));
}

static void stopping_waits_for_connections_and_open_requests(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct conn *conn = connect_one(f);
    f->net.requests_open = 1;
    net_server_stop(&f->net, 60000, on_stopped, f);
    assert_int_equal(conn->stops, 1);
    fake_run(f->fake);
    close_conn(&conn->net);
    fake_run(f->fake);
    assert_true(conn->gone);
    assert_int_equal(f->stopped, 0);
    f->net.requests_open = 0;
    net_server_check_stopped(&f->net);
    assert_int_equal(f->stopped, 0);
    fake_run(f->fake);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void at_the_deadline_all_connections_close(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct conn *conn = connect_one(f);
    net_server_stop(&f->net, 5000, on_stopped, f);
    fake_advance(f->fake, 4000);
    assert_int_equal(conn->closes, 0);
    assert_true(conn->checks > 0);
    fake_advance(f->fake, 2000);
    assert_int_equal(conn->closes, 1);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void a_server_without_connections_stops_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    net_server_check_stopped(&f->net);
    assert_null(f->fake->deferred);
    net_server_stop(&f->net, 5000, on_stopped, f);
    assert_int_equal(f->stopped, 0);
    fake_run(f->fake);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void requests_and_answers_have_a_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct conn *conn = connect_one(f);
    conn->net.request_count = 2;
    assert_false(net_conn_is_blocked(&conn->net));
    conn->net.request_count = 3;
    assert_true(net_conn_is_blocked(&conn->net));
    conn->net.request_count = 0;
    conn->net.tcp->queued = 10;
    assert_false(net_conn_is_blocked(&conn->net));
    conn->net.tcp->queued = 11;
    assert_true(net_conn_is_blocked(&conn->net));
    fixture_free(f);
}

static void an_ended_peer_is_not_read_from(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct conn *conn = connect_one(f);
    net_conn_read(&conn->net, true);
    assert_true(conn->net.reading && conn->net.tcp->reading);
    net_conn_read(&conn->net, false);
    assert_false(conn->net.reading || conn->net.tcp->reading);
    conn->net.peer_ended = true;
    net_conn_read(&conn->net, true);
    assert_false(conn->net.reading || conn->net.tcp->reading);
    fixture_free(f);
}

static void a_peer_that_takes_nothing_is_stuck(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct conn *conn = connect_one(f);
    uint64_t now_ns = io_now_ns(&f->fake->loop);
    conn->net.tcp->queued = 100;
    assert_false(net_conn_is_stuck(&conn->net, now_ns + 60000 * IO_MS));
    conn->net.write_since_ns = now_ns;
    conn->net.write_left = 100;
    assert_false(net_conn_is_stuck(&conn->net, now_ns + 4999 * IO_MS));
    assert_true(net_conn_is_stuck(&conn->net, now_ns + 5000 * IO_MS));
    /* A byte is enough, and the time begins again. */
    conn->net.tcp->queued = 99;
    assert_false(net_conn_is_stuck(&conn->net, now_ns + 5000 * IO_MS));
    assert_int_equal(conn->net.write_left, 99);
    assert_false(net_conn_is_stuck(&conn->net, now_ns + 9999 * IO_MS));
    assert_true(net_conn_is_stuck(&conn->net, now_ns + 10000 * IO_MS));
    fixture_free(f);
}

static void what_has_much_memory_has_to_come_quickly_while_others_wait(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_int_equal(net_limits_least(&f->limits, 6000000, false), 10000);
    assert_int_equal(net_limits_least(&f->limits, 6000000, true), 1000000);
    assert_int_equal(net_limits_least(&f->limits, 60000, true), 10000);
    assert_int_equal(net_limits_least(&f->limits, 0, true), 10000);
    /* As much as a length has bits for. */
    assert_int_equal(net_limits_least(&f->limits, UINT32_MAX, true), UINT32_MAX / 6);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_looks_after_each_connection_once),
        cmocka_unit_test(ten_thousand_connections_cost_one_timer),
        cmocka_unit_test(a_server_that_nobody_is_connected_to_sleeps),
        cmocka_unit_test(connections_are_counted_and_full_is_said),
        cmocka_unit_test(counters_of_several_servers_add_up),
        cmocka_unit_test(stopping_waits_for_connections_and_open_requests),
        cmocka_unit_test(at_the_deadline_all_connections_close),
        cmocka_unit_test(a_server_without_connections_stops_at_once),
        cmocka_unit_test(requests_and_answers_have_a_limit),
        cmocka_unit_test(an_ended_peer_is_not_read_from),
        cmocka_unit_test(a_peer_that_takes_nothing_is_stuck),
        cmocka_unit_test(what_has_much_memory_has_to_come_quickly_while_others_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
