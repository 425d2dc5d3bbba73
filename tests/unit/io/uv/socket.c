#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

#include "io/uv/loop_int.h"
#include "unit/io/uv/net.h"

struct watched {
    struct io_uv_socket socket;
    struct io_loop *loop;
    int peer;
    uint32_t readable;
    uint32_t writable;
    uint32_t closed;
    uint32_t abandoned;
};

static void on_closed(uv_handle_t *handle)
{
    CONTAINER_OF(handle, struct watched, socket.poll)->closed++;
}

static void on_abandoned(struct io_uv_socket *socket)
{
    struct watched *watched = CONTAINER_OF(socket, struct watched, socket);
    watched->abandoned++;
    assert_true(io_uv_socket_close(socket, on_closed));
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watched *watched = CONTAINER_OF(poll, struct watched, socket.poll);
    assert_int_equal(status, 0);
    watched->readable += (events & UV_READABLE) != 0;
    watched->writable += (events & UV_WRITABLE) != 0;
}

static void watched_open(struct watched *watched)
{
    int fds[2];
    *watched = (struct watched){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_true(err_is_ok(io_uv_loop_new(&watched->loop)));
    assert_true(
        err_is_ok(io_uv_socket_init(&watched->socket, watched->loop, fds[0], on_abandoned)));
    watched->peer = fds[1];
}

static bool is_readable(void *context)
{
    return ((struct watched *)context)->readable > 0;
}

static bool is_closed(void *context)
{
    return ((struct watched *)context)->closed > 0;
}

static void only_what_is_watched_is_reported(void **state)
{
    (void)state;
    struct watched watched;
    watched_open(&watched);
    assert_int_equal(send(watched.peer, "a", 1, 0), 1);
    run_turns(watched.loop, 5);
    assert_int_equal(watched.readable + watched.writable, 0);
    io_uv_socket_watch(&watched.socket, UV_READABLE, on_ready);
    run_until(watched.loop, is_readable, &watched);
    assert_int_equal(watched.writable, 0);
    io_uv_socket_watch(&watched.socket, UV_WRITABLE, on_ready);
    watched.readable = 0;
    run_turns(watched.loop, 5);
    assert_int_equal(watched.readable, 0);
    assert_true(watched.writable > 0);
    io_uv_socket_watch(&watched.socket, 0, on_ready);
    watched.writable = 0;
    run_turns(watched.loop, 5);
    assert_int_equal(watched.writable, 0);
    close(watched.peer);
    io_uv_loop_free(&watched.loop);
    assert_int_equal(watched.abandoned, 1);
    assert_int_equal(watched.closed, 1);
}

static void closing_gives_the_descriptor_back_at_once_and_calls_back_once(void **state)
{
    (void)state;
    struct watched watched;
    watched_open(&watched);
    io_uv_socket_watch(&watched.socket, UV_READABLE | UV_WRITABLE, on_ready);
    int fd = watched.socket.fd;
    assert_true(io_uv_socket_close(&watched.socket, on_closed));
    assert_false(io_uv_socket_close(&watched.socket, on_closed));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(watched.closed, 0);
    run_until(watched.loop, is_closed, &watched);
    assert_int_equal(watched.readable + watched.writable, 0);
    close(watched.peer);
    io_uv_loop_free(&watched.loop);
    assert_int_equal(watched.closed, 1);
    assert_int_equal(watched.abandoned, 0);
}

static void what_cannot_be_watched_stays_the_callers(void **state)
{
    (void)state;
    struct io_loop *loop = NULL;
    struct io_uv_socket socket;
    assert_true(err_is_ok(io_uv_loop_new(&loop)));
    /* epoll takes no device that cannot wait. */
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    assert_false(err_is_ok(io_uv_socket_init(&socket, loop, file, on_abandoned)));
    assert_true(fcntl(file, F_GETFD) >= 0);
    close(file);
    io_uv_loop_free(&loop);
}

static void nagle_is_turned_off(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 0;
    socklen_t size = sizeof(on);
    io_uv_socket_set_nodelay(fd);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    assert_int_not_equal(on, 0);
    close(fd);
}

static void another_descriptor_may_take_the_place_of_one(void **state)
{
    (void)state;
    struct watched watched;
    int fds[2];
    char byte;
    for (uint32_t was_watched = 0; was_watched < 2; was_watched++) {
        watched_open(&watched);
        int number = watched.socket.fd;
        if (was_watched)
            io_uv_socket_watch(&watched.socket, UV_READABLE, on_ready);
        run_turns(watched.loop, 3);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        io_uv_socket_replace(&watched.socket, fds[0]);
        assert_int_equal(watched.socket.fd, number);
        /* The one that stood there is closed, and so is the second number of the other. */
        assert_int_equal(recv(watched.peer, &byte, 1, 0), 0);
        assert_int_equal(fcntl(fds[0], F_GETFD), -1);
        assert_int_equal(send(fds[1], "a", 1, 0), 1);
        run_turns(watched.loop, 5);
        assert_int_equal(watched.readable, 0);
        io_uv_socket_watch(&watched.socket, UV_READABLE, on_ready);
        run_until(watched.loop, is_readable, &watched);
        assert_int_equal(recv(number, &byte, 1, 0), 1);
        assert_true(io_uv_socket_close(&watched.socket, on_closed));
        run_until(watched.loop, is_closed, &watched);
        assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
        close(fds[1]);
        close(watched.peer);
        io_uv_loop_free(&watched.loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_watched_is_reported),
        cmocka_unit_test(closing_gives_the_descriptor_back_at_once_and_calls_back_once),
        cmocka_unit_test(what_cannot_be_watched_stays_the_callers),
        cmocka_unit_test(nagle_is_turned_off),
        cmocka_unit_test(another_descriptor_may_take_the_place_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
