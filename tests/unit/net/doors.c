#include "net/doors.h"

#include "base/alloc.h"
#include "base/list.h"
#include "lib/unit.h"
#include "unit/net/fake_tcp.h"

#define LOOPS 3

struct server {
    struct net_door net;
    unsigned adopted;
    int last_fd;
    unsigned stops;
    uint64_t deadline_ms;
};

struct fixture {
    struct fake_loop *fakes[LOOPS];
    struct server servers[LOOPS];
    struct net_doors doors;
    unsigned stopped;
};

static void adopt(struct net_door *door, struct io_socket socket)
{
    struct server *server = CONTAINER_OF(door, struct server, net);
    assert_int_equal(server->stops, 0);
    server->adopted++;
    server->last_fd = socket.fd;
}

static void stop(struct net_door *door, uint64_t deadline_ms)
{
    struct server *server = CONTAINER_OF(door, struct server, net);
    server->stops++;
    server->deadline_ms = deadline_ms;
}

static const struct net_doors_ops ops = {.adopt = adopt, .stop = stop};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->doors.ops = &ops;
    for (int i = 0; i < LOOPS; i++) {
        f->fakes[i] = fake_loop_new();
        net_doors_add(&f->doors, &f->servers[i].net, &f->fakes[i]->loop);
    }
    return f;
}

static void fixture_free(struct fixture *f)
{
    net_doors_done(&f->doors);
    assert_null(f->doors.listener);
    for (int i = 0; i < LOOPS; i++)
        fake_loop_free(f->fakes[i]);
    free(f);
}

static void on_stopped(void *owner)
{
    ++((struct fixture *)owner)->stopped;
}

static void listen_on(struct fixture *f, const char *address)
{
    struct err_text why = {0};
    assert_true(err_is_ok(net_doors_listen(&f->doors, address, &why)));
    assert_true(f->doors.listening);
}

static void knock(struct fixture *f, int fd)
{
    struct io_listener *listener = f->fakes[0]->listener;
    listener->events->accepted(listener->owner, (struct io_socket){.fd = fd});
}

static void listener_closes(struct fixture *f)
{
    struct io_listener *listener = f->fakes[0]->listener;
    assert_true(listener->closed);
    listener->events->closed(listener->owner);
}

/* Each door ends, the last of them last, and says so to the first loop. */
static void doors_end(struct fixture *f)
{
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(f->stopped, 0);
        fake_run(f->fakes[i]);
        assert_int_equal(f->servers[i].stops, 1);
        net_door_stopped(&f->servers[i].net);
        assert_int_equal(f->stopped, 0);
        fake_run(f->fakes[0]);
    }
}

static void each_door_takes_sockets_on_its_loop(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    listen_on(f, "127.0.0.1:0");
    assert_int_equal(net_doors_port(&f->doors), 4711);
    for (int fd = 0; fd < 7; fd++)
        knock(f, fd);
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(f->servers[i].adopted, 0);
        fake_run(f->fakes[i]);
    }
    assert_int_equal(f->servers[0].adopted, 3);
    assert_int_equal(f->servers[1].adopted, 2);
    assert_int_equal(f->servers[2].last_fd, 5);
    net_doors_stop(&f->doors, 5000, on_stopped, f);
    listener_closes(f);
    doors_end(f);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void doors_stop_behind_the_last_socket(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    listen_on(f, "127.0.0.1:0");
    knock(f, 8);
    knock(f, 9);
    net_doors_stop(&f->doors, 5000, on_stopped, f);
    assert_false(f->doors.listening);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(f->servers[i].stops, 0);
    listener_closes(f);
    /* `adopt` would find that its server had been stopped. */
    doors_end(f);
    assert_int_equal(f->servers[0].last_fd, 8);
    assert_int_equal(f->servers[1].last_fd, 9);
    assert_int_equal(f->servers[2].deadline_ms, 5000);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void what_else_has_to_end_is_waited_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    listen_on(f, "127.0.0.1:0");
    net_doors_stop(&f->doors, 0, on_stopped, f);
    listener_closes(f);
    net_doors_hold(&f->doors);
    doors_end(f);
    assert_int_equal(f->stopped, 0);
    net_doors_release(&f->doors);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void what_cannot_listen_is_stopped_all_the_same(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct err_text why = {0};
    f->fakes[0]->listen_fails = true;
    assert_true(err_is(net_doors_listen(&f->doors, "a:1", &why), ERR_IN_USE));
    assert_string_equal(why.text, "a:1 is taken");
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_after(n);
        err_t err = net_doors_listen(&f->doors, "a:1", &why);
        mem_fail_after(0);
        assert_true(err_is(err, ERR_MEMORY));
    }
    assert_false(f->doors.listening);
    assert_int_equal(net_doors_failures(&f->doors), 0);
    /* Needs no memory, and nothing runs within the call. */
    mem_fail_after(1);
    net_doors_stop(&f->doors, 0, on_stopped, f);
    assert_int_equal(f->servers[0].stops, 0);
    doors_end(f);
    mem_fail_after(0);
    assert_int_equal(f->stopped, 1);
    fixture_free(f);
}

static void failures_to_accept_are_counted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    listen_on(f, "127.0.0.1:0");
    struct io_listener *listener = f->fakes[0]->listener;
    listener->events->failed(listener->owner, err_make(ERR_FD_LIMIT));
    assert_int_equal(net_doors_failures(&f->doors), 1);
    net_doors_stop(&f->doors, 0, on_stopped, f);
    listener_closes(f);
    doors_end(f);
    fixture_free(f);
}

struct visit {
    struct net_tour tour;
    unsigned adopted;
    unsigned visits;
    unsigned ends;
};

static void on_visit(struct net_tour *tour, struct net_door *door)
{
    struct visit *visit = CONTAINER_OF(tour, struct visit, tour);
    visit->visits++;
    visit->adopted += CONTAINER_OF(door, struct server, net)->adopted;
}

static void on_end(struct net_tour *tour)
{
    CONTAINER_OF(tour, struct visit, tour)->ends++;
}

static void a_tour_visits_each_door_on_its_loop(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct visit visit = {.tour = {.visit = on_visit, .end = on_end}};
    for (int i = 0; i < LOOPS; i++)
        f->servers[i].adopted = 1u << i;
    net_tour_start(&visit.tour, &f->doors);
    for (unsigned i = 0; i < LOOPS; i++) {
        assert_int_equal(visit.visits, i);
        assert_int_equal(visit.ends, 0);
        /* No loop but the next one has it. */
        for (unsigned other = 0; other < LOOPS; other++)
            if (other != i)
                fake_run(f->fakes[other]);
        assert_int_equal(visit.visits, i);
        fake_run(f->fakes[i]);
    }
    assert_int_equal(visit.visits, LOOPS);
    assert_int_equal(visit.adopted, 7);
    assert_int_equal(visit.ends, 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_door_takes_sockets_on_its_loop),
        cmocka_unit_test(doors_stop_behind_the_last_socket),
        cmocka_unit_test(what_else_has_to_end_is_waited_for),
        cmocka_unit_test(what_cannot_listen_is_stopped_all_the_same),
        cmocka_unit_test(failures_to_accept_are_counted),
        cmocka_unit_test(a_tour_visits_each_door_on_its_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
