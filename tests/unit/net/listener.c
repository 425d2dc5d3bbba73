#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/listener.h"
#include "unit/net/fake_tcp.h"

struct target {
    struct fake_loop *fake;
    unsigned count;
    int last_fd;
};

static void take(void *owner, struct io_socket socket)
{
    struct target *target = owner;
    target->count++;
    target->last_fd = socket.fd;
}

static void on_stopped(void *owner)
{
    ++*(unsigned *)owner;
}

static void knock(struct fake_loop *fake, int fd)
{
    fake->listener->events->accepted(fake->listener->owner, (struct io_socket){.fd = fd});
}

static void sockets_go_round_the_loops(void **state)
{
    (void)state;
    struct target targets[3];
    struct net_listener_target given[3];
    for (int i = 0; i < 3; i++) {
        targets[i] = (struct target){.fake = fake_loop_new()};
        given[i] = (struct net_listener_target){&targets[i].fake->loop, take, &targets[i]};
    }
    struct net_listener *listener;
    struct err_text why = {0};
    assert_true(err_is_ok(
        net_listener_new(&targets[0].fake->loop, "127.0.0.1:0", given, 3, &listener, &why)));
    memset(given, 0, sizeof(given));
    assert_int_equal(net_listener_port(listener), 4711);
    for (int fd = 0; fd < 7; fd++)
        knock(targets[0].fake, fd);
    for (int i = 0; i < 3; i++) {
        /* On its own loop, not before. */
        assert_int_equal(targets[i].count, 0);
        fake_run(targets[i].fake);
    }
    assert_int_equal(targets[0].count, 3);
    assert_int_equal(targets[1].count, 2);
    assert_int_equal(targets[2].last_fd, 5);
    unsigned stopped = 0;
    net_listener_stop(listener, on_stopped, &stopped);
    assert_true(targets[0].fake->listener->closed);
    assert_int_equal(stopped, 0);
    targets[0].fake->listener->events->closed(targets[0].fake->listener->owner);
    assert_int_equal(stopped, 1);
    net_listener_free(&listener);
    assert_null(listener);
    net_listener_free(&listener);
    for (int i = 0; i < 3; i++)
        fake_loop_free(targets[i].fake);
}

static void failures_are_counted_and_no_socket_is_leaked(void **state)
{
    (void)state;
    struct target target = {.fake = fake_loop_new()};
    struct net_listener_target given = {&target.fake->loop, take, &target};
    struct net_listener *listener;
    assert_true(err_is_ok(net_listener_new(&target.fake->loop, "a", &given, 1, &listener, NULL)));
    mem_fail_after(1);
    knock(target.fake, 5);
    mem_fail_after(0);
    assert_int_equal(target.fake->sockets_closed, 1);
    target.fake->listener->events->failed(target.fake->listener->owner, err_make(ERR_FD_LIMIT));
    assert_int_equal(net_listener_failures(listener), 2);
    unsigned stopped = 0;
    net_listener_stop(listener, on_stopped, &stopped);
    target.fake->listener->events->closed(target.fake->listener->owner);
    net_listener_free(&listener);
    fake_loop_free(target.fake);
}

static void what_keeps_it_from_listening_is_said(void **state)
{
    (void)state;
    struct target target = {.fake = fake_loop_new()};
    struct net_listener_target given = {&target.fake->loop, take, &target};
    struct net_listener *listener = NULL;
    struct err_text why = {0};
    target.fake->listen_fails = true;
    assert_true(err_is(net_listener_new(&target.fake->loop, "a:1", &given, 1, &listener, &why),
                       ERR_IN_USE));
    assert_string_equal(why.text, "a:1 is taken");
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        err_t err = net_listener_new(&target.fake->loop, "a:1", &given, 1, &listener, &why);
        mem_fail_after(0);
        assert_true(err_is(err, ERR_MEMORY));
    }
    assert_null(listener);
    fake_loop_free(target.fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_go_round_the_loops),
        cmocka_unit_test(failures_are_counted_and_no_socket_is_leaked),
        cmocka_unit_test(what_keeps_it_from_listening_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
