#include "unit/io/uv/net.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "base/alloc.h"

#define SOCKETS_MAX 256u

struct door {
    struct io_loop *loop;
    struct io_listener *listener;
    struct io_socket sockets[SOCKETS_MAX];
    uint32_t accepted;
    uint32_t accepted_wanted;
    uint32_t failed;
    uint32_t failed_wanted;
    err_t failure;
    uint32_t closed;
    bool closes_when_accepting;
};

static void on_accepted(void *owner, struct io_socket socket)
{
    struct door *door = owner;
    assert_int_equal(door->closed, 0);
    assert_true(door->accepted < SOCKETS_MAX);
    door->sockets[door->accepted++] = socket;
    if (door->closes_when_accepting)
        io_listener_close(door->loop, door->listener);
}

static void on_failed(void *owner, err_t err)
{
    struct door *door = owner;
    door->failed++;
    door->failure = err;
}

static void on_closed(void *owner)
{
    ((struct door *)owner)->closed++;
}

static const struct io_listener_events door_events = {on_accepted, on_failed, on_closed};

static void door_open(struct door *door, const char *address)
{
    struct err_text why = {0};
    *door = (struct door){0};
    assert_true(err_is_ok(io_uv_loop_new(&door->loop)));
    err_t err = io_listen(door->loop, address, &door_events, door, &door->listener, &why);
    if (!err_is_ok(err))
        fail_msg("%s", why.text);
}

static bool is_closed(void *context)
{
    return ((struct door *)context)->closed > 0;
}

static bool has_accepted(void *context)
{
    struct door *door = context;
    return door->accepted >= door->accepted_wanted && door->failed >= door->failed_wanted;
}

static void door_close(struct door *door)
{
    io_listener_close(door->loop, door->listener);
    io_listener_close(door->loop, door->listener);
    assert_int_equal(door->closed, 0);
    run_until(door->loop, is_closed, door);
    assert_int_equal(door->closed, 1);
    for (uint32_t i = 0; i < door->accepted; i++)
        io_socket_close(door->loop, door->sockets[i]);
    io_uv_loop_free(&door->loop);
    assert_int_equal(door->closed, 1);
}

static void more_connections_than_one_turn_takes_are_all_accepted(void **state)
{
    (void)state;
    struct door door;
    door_open(&door, "localhost:0");
    int clients[200];
    for (size_t i = 0; i < 200; i++)
        clients[i] = connect_plain(io_listener_port(door.loop, door.listener));
    door.accepted_wanted = 200;
    run_until(door.loop, has_accepted, &door);
    assert_int_equal(door.accepted, 200);
    assert_int_equal(door.failed, 0);
    for (size_t i = 0; i < 200; i++)
        close(clients[i]);
    door_close(&door);
}

static void accepted_sockets_do_not_block_and_are_not_inherited(void **state)
{
    (void)state;
    struct door door;
    door_open(&door, "127.0.0.1:0");
    int client = connect_plain(io_listener_port(door.loop, door.listener));
    door.accepted_wanted = 1;
    run_until(door.loop, has_accepted, &door);
    int fd = door.sockets[0].fd;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(client);
    door_close(&door);
}

static void who_has_connected_is_named(void **state)
{
    (void)state;
    /* The client's socket is one of IPv4: in a listener of both kinds it looks like one of IPv6. */
    static const char *const addresses[] = {"127.0.0.1:0", "[::]:0"};
    for (size_t i = 0; i < 2; i++) {
        struct door door;
        door_open(&door, addresses[i]);
        int client = connect_plain(io_listener_port(door.loop, door.listener));
        door.accepted_wanted = 1;
        run_until(door.loop, has_accepted, &door);
        assert_string_equal(door.sockets[0].peer, "127.0.0.1");
        close(client);
        door_close(&door);
    }
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    struct door door;
    door_open(&door, "127.0.0.1:0");
    struct port_text address = at_port("127.0.0.1", io_listener_port(door.loop, door.listener));
    struct err_text why = {0};
    struct io_listener *second = NULL;
    err_t err = io_listen(door.loop, address.text, &door_events, &door, &second, &why);
    assert_true(err_is(err, ERR_IN_USE));
    assert_null(second);
    assert_non_null(strstr(why.text, address.text));
    assert_non_null(strstr(why.text, "another process"));
    door_close(&door);
}

static void addresses_that_cannot_be_listened_on_are_named(void **state)
{
    (void)state;
    static const char *const addresses[] = {"192.0.2.1:0", "example.com:80", "127.0.0.1", ":80"};
    struct door door;
    door_open(&door, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct err_text why = {0};
        struct io_listener *listener = NULL;
        err_t err = io_listen(door.loop, addresses[i], &door_events, &door, &listener, &why);
        assert_true(err_is(err, ERR_INVALID));
        assert_non_null(strstr(why.text, addresses[i]));
        assert_null(listener);
    }
    door_close(&door);
}

static void a_listener_closed_while_it_accepts_accepts_no_more(void **state)
{
    (void)state;
    struct door door;
    door_open(&door, "127.0.0.1:0");
    uint16_t port = io_listener_port(door.loop, door.listener);
    int clients[2] = {connect_plain(port), connect_plain(port)};
    door.closes_when_accepting = true;
    run_until(door.loop, is_closed, &door);
    assert_int_equal(door.accepted, 1);
    assert_int_equal(door.closed, 1);
    io_socket_close(door.loop, door.sockets[0]);
    io_uv_loop_free(&door.loop);
    assert_int_equal(door.closed, 1);
    close(clients[0]);
    close(clients[1]);
}

/* Takes descriptors until there are none; the caller gives some back. */
static uint32_t take_all_descriptors(int *taken, uint32_t count_max)
{
    uint32_t count = 0;
    int fd;
    while (count < count_max && (fd = dup(0)) >= 0)
        taken[count++] = fd;
    assert_true(count < count_max);
    return count;
}

static void without_descriptors_accepting_pauses_and_goes_on_by_itself(void **state)
{
    (void)state;
    struct door door;
    door_open(&door, "127.0.0.1:0");
    uint16_t port = io_listener_port(door.loop, door.listener);
    int clients[2] = {connect_plain(port), connect_plain(port)};
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {256, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int taken[256];
    uint32_t count = take_all_descriptors(taken, 256);

    door.failed_wanted = 1;
    run_until(door.loop, has_accepted, &door);
    assert_true(err_is(door.failure, ERR_FD_LIMIT));
    /* The connection is still there, but it is not asked for again at once. */
    run_turns(door.loop, 100);
    assert_int_equal(door.accepted, 0);
    assert_true(door.failed < 50);

    for (uint32_t i = 0; i < count; i++)
        close(taken[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    door.accepted_wanted = 2;
    run_until(door.loop, has_accepted, &door);
    close(clients[0]);
    close(clients[1]);
    door_close(&door);
}

static void a_listener_can_be_closed_while_it_pauses(void **state)
{
    (void)state;
    struct door door;
    door_open(&door, "127.0.0.1:0");
    int client = connect_plain(io_listener_port(door.loop, door.listener));
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {256, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int taken[256];
    uint32_t count = take_all_descriptors(taken, 256);
    door.failed_wanted = 1;
    run_until(door.loop, has_accepted, &door);
    for (uint32_t i = 0; i < count; i++)
        close(taken[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    door_close(&door);
    close(client);
}

static void a_loop_that_is_freed_closes_its_listener_without_a_word(void **state)
{
    (void)state;
    struct door door;
    door_open(&door, "127.0.0.1:0");
    uint16_t port = io_listener_port(door.loop, door.listener);
    io_uv_loop_free(&door.loop);
    assert_int_equal(door.closed, 0);
    door_open(&door, at_port("127.0.0.1", port).text);
    door_close(&door);
}

static void ipv6_is_listened_on_where_there_is_any(void **state)
{
    (void)state;
    struct door door = {0};
    struct err_text why = {0};
    assert_true(err_is_ok(io_uv_loop_new(&door.loop)));
    err_t err = io_listen(door.loop, "[::1]:0", &door_events, &door, &door.listener, &why);
    if (err_is_ok(err)) {
        assert_int_not_equal(io_listener_port(door.loop, door.listener), 0);
        door_close(&door);
    } else {
        assert_non_null(strstr(why.text, "[::1]:0"));
        io_uv_loop_free(&door.loop);
    }
}

static void a_listener_without_memory_is_an_error(void **state)
{
    (void)state;
    struct door door = {0};
    assert_true(err_is_ok(io_uv_loop_new(&door.loop)));
    mem_fail_after(1);
    err_t err = io_listen(door.loop, "127.0.0.1:0", &door_events, &door, &door.listener, NULL);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    assert_null(door.listener);
    io_uv_loop_free(&door.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_connections_than_one_turn_takes_are_all_accepted),
        cmocka_unit_test(accepted_sockets_do_not_block_and_are_not_inherited),
        cmocka_unit_test(who_has_connected_is_named),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(addresses_that_cannot_be_listened_on_are_named),
        cmocka_unit_test(a_listener_closed_while_it_accepts_accepts_no_more),
        cmocka_unit_test(without_descriptors_accepting_pauses_and_goes_on_by_itself),
        cmocka_unit_test(a_listener_can_be_closed_while_it_pauses),
        cmocka_unit_test(a_loop_that_is_freed_closes_its_listener_without_a_word),
        cmocka_unit_test(ipv6_is_listened_on_where_there_is_any),
        cmocka_unit_test(a_listener_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
