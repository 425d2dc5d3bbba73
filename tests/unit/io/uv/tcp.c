#include "unit/io/uv/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

#include <uv.h>

#include "base/alloc.h"
#include "base/assert.h"

#define ROOM_MAX 4096u
#define MUCH (8u << 20)

/* One end of a connection: checks that the bytes come as pattern() says, and counts events. */
struct end {
    struct io_loop *loop;
    struct io_tcp *tcp;
    uint8_t room[ROOM_MAX];
    size_t room_size; /* of the next read */
    uint64_t received;
    bool scrambled;
    uint32_t connected;
    err_t connect_error;
    uint32_t ended;
    err_t end_error;
    uint32_t drained;
    uint32_t closed;
    bool stops_after_each_read;
    bool closes_when_connected;
    bool closes_when_read;
    bool closes_when_ended;
    bool closes_when_drained;
    uint64_t received_wanted;
};

/* Never the same over a boundary that a mistake would choose. */
static uint8_t pattern(uint64_t position)
{
    return (uint8_t)((position * 2654435761u) >> 13);
}

static void check_alive(const struct end *end)
{
    assert_int_equal(end->closed, 0);
}

static void on_connected(void *owner, err_t err)
{
    struct end *end = owner;
    check_alive(end);
    end->connected++;
    end->connect_error = err;
    if (end->closes_when_connected)
        io_tcp_close(end->loop, end->tcp);
}

static struct io_room on_room(void *owner)
{
    struct end *end = owner;
    check_alive(end);
    end->room_size = end->room_size % ROOM_MAX + 1;
    return (struct io_room){end->room, end->room_size};
}

static void on_read(void *owner, size_t size)
{
    struct end *end = owner;
    check_alive(end);
    assert_true(size > 0 && size <= end->room_size);
    for (size_t i = 0; i < size; i++)
        if (end->room[i] != pattern(end->received + i))
            end->scrambled = true;
    end->received += size;
    end->room_size += 977;
    if (end->stops_after_each_read)
        io_tcp_read_stop(end->loop, end->tcp);
    if (end->closes_when_read)
        io_tcp_close(end->loop, end->tcp);
}

static void on_ended(void *owner, err_t err)
{
    struct end *end = owner;
    check_alive(end);
    end->ended++;
    end->end_error = err;
    if (end->closes_when_ended)
        io_tcp_close(end->loop, end->tcp);
}

static void on_drained(void *owner)
{
    struct end *end = owner;
    check_alive(end);
    assert_int_equal(io_tcp_write_queued(end->loop, end->tcp), 0);
    end->drained++;
    if (end->closes_when_drained)
        io_tcp_close(end->loop, end->tcp);
}

static void on_closed(void *owner)
{
    ((struct end *)owner)->closed++;
}

static const struct io_tcp_events events = {on_connected, on_room,    on_read,
                                            on_ended,     on_drained, on_closed};

static bool is_connected(void *end)
{
    return ((struct end *)end)->connected > 0;
}

static bool has_ended(void *end)
{
    return ((struct end *)end)->ended > 0;
}

static bool has_closed(void *end)
{
    return ((struct end *)end)->closed > 0;
}

static bool has_received(void *context)
{
    struct end *end = context;
    return end->received >= end->received_wanted;
}

/* A listener, and both ends of one connection on one loop. */
struct pair {
    struct io_loop *loop;
    struct io_listener *listener;
    struct io_socket accepted;
    uint16_t port;
    struct end server;
    struct end client;
};

static void on_accepted(void *owner, struct io_socket socket)
{
    ((struct pair *)owner)->accepted = socket;
}

static void on_accept_failed(void *owner, err_t err)
{
    (void)owner;
    fail_msg("%s", err_name(err));
}

static void on_listener_closed(void *owner)
{
    (void)owner;
}

static const struct io_listener_events listener_events = {on_accepted, on_accept_failed,
                                                          on_listener_closed};

static bool has_accepted(void *pair)
{
    return ((struct pair *)pair)->accepted.fd >= 0;
}

static struct pair *listening_pair(void)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    pair->accepted.fd = -1;
    assert_true(err_is_ok(io_uv_loop_new(&pair->loop)));
    assert_true(err_is_ok(
        io_listen(pair->loop, "127.0.0.1:0", &listener_events, pair, &pair->listener, NULL)));
    pair->port = io_listener_port(pair->loop, pair->listener);
    pair->server.loop = pair->client.loop = pair->loop;
    return pair;
}

static void start_connecting(struct pair *pair)
{
    err_t err = io_tcp_connect(pair->loop, at_port("127.0.0.1", pair->port).text, &events,
                               &pair->client, &pair->client.tcp, NULL);
    assert_true(err_is_ok(err));
    assert_int_equal(pair->client.connected, 0);
}

static void open_server(struct pair *pair)
{
    run_until(pair->loop, has_accepted, pair);
    err_t err = io_tcp_open(pair->loop, pair->accepted, &events, &pair->server, &pair->server.tcp);
    assert_true(err_is_ok(err));
}

static struct pair *connected_pair(void)
{
    struct pair *pair = listening_pair();
    start_connecting(pair);
    open_server(pair);
    run_until(pair->loop, is_connected, &pair->client);
    assert_true(err_is_ok(pair->client.connect_error));
    return pair;
}

static void end_close(struct end *end)
{
    if (!end->tcp)
        return;
    io_tcp_close(end->loop, end->tcp);
    run_until(end->loop, has_closed, end);
    assert_int_equal(end->closed, 1);
}

static void pair_close(struct pair *pair)
{
    if (!pair->client.closed)
        end_close(&pair->client);
    if (!pair->server.closed)
        end_close(&pair->server);
    io_uv_loop_free(&pair->loop);
    assert_true(pair->client.closed <= 1 && pair->server.closed <= 1);
    free(pair);
}

/* Writes `size` bytes of the pattern from `*position` on, in three parts. */
static err_t write_pattern(struct end *end, uint64_t *position, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(*position + i);
    size_t cut = size / 3;
    struct slice parts[] = {slice_make(bytes, cut), slice_make(NULL, 0),
                            slice_make(bytes + cut, size - cut)};
    err_t err = io_tcp_write(end->loop, end->tcp, parts, 3);
    free(bytes);
    *position += size;
    return err;
}

static void what_is_written_arrives_whole_and_in_order(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    io_tcp_read_start(pair->loop, pair->server.tcp);
    uint64_t position = 0;
    for (size_t size = 1; position < MUCH; size = (size * 7 + 3) % 300007)
        assert_true(err_is_ok(write_pattern(&pair->client, &position, size)));
    assert_true(io_tcp_write_queued(pair->loop, pair->client.tcp) > 0);
    assert_int_equal(pair->server.received, 0);
    pair->server.received_wanted = position;
    run_until(pair->loop, has_received, &pair->server);
    run_turns(pair->loop, 3);
    assert_true(pair->server.received == position);
    assert_false(pair->server.scrambled);
    assert_int_equal(pair->client.drained, 1);
    assert_int_equal(io_tcp_write_queued(pair->loop, pair->client.tcp), 0);
    pair_close(pair);
}

static void a_reader_that_stops_holds_its_peer_back(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    pair->server.stops_after_each_read = true;
    io_tcp_read_start(pair->loop, pair->server.tcp);
    uint64_t position = 0;
    assert_true(err_is_ok(write_pattern(&pair->client, &position, MUCH)));
    run_turns(pair->loop, 200);
    assert_true(pair->server.received > 0 && pair->server.received <= ROOM_MAX);
    assert_int_equal(pair->client.drained, 0);
    size_t queued = io_tcp_write_queued(pair->loop, pair->client.tcp);
    assert_true(queued > 0 && queued < MUCH);
    /* More is kept behind it. */
    assert_true(err_is_ok(write_pattern(&pair->client, &position, MUCH)));
    assert_int_equal(io_tcp_write_queued(pair->loop, pair->client.tcp), queued + MUCH);
    while (pair->server.received < position) {
        io_tcp_read_start(pair->loop, pair->server.tcp);
        pair->server.stops_after_each_read = pair->server.received < 100000;
        pair->server.received_wanted =
            pair->server.stops_after_each_read ? pair->server.received + 1 : position;
        run_until(pair->loop, has_received, &pair->server);
    }
    assert_true(pair->server.received == position);
    assert_false(pair->server.scrambled);
    pair_close(pair);
}

static bool is_mostly_sent(void *context)
{
    struct pair *pair = context;
    return io_tcp_write_queued(pair->loop, pair->client.tcp) < MUCH / 4;
}

static void what_is_written_behind_a_half_sent_queue_arrives_behind_it(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    uint64_t position = 0;
    io_tcp_read_start(pair->loop, pair->server.tcp);
    for (size_t i = 0; i < 3; i++) {
        assert_true(err_is_ok(write_pattern(&pair->client, &position, MUCH)));
        run_until(pair->loop, is_mostly_sent, pair);
        assert_true(io_tcp_write_queued(pair->loop, pair->client.tcp) > 0);
    }
    pair->server.received_wanted = position;
    run_until(pair->loop, has_received, &pair->server);
    assert_false(pair->server.scrambled);
    assert_int_equal(pair->client.drained, 1);
    pair_close(pair);
}

static void reading_that_stops_and_starts_loses_nothing(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    uint64_t position = 0;
    assert_true(err_is_ok(write_pattern(&pair->client, &position, 1000)));
    io_tcp_read_start(pair->loop, pair->server.tcp);
    io_tcp_read_stop(pair->loop, pair->server.tcp);
    run_turns(pair->loop, 20);
    assert_int_equal(pair->server.received, 0);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    io_tcp_read_stop(pair->loop, pair->server.tcp);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    pair->server.received_wanted = position;
    run_until(pair->loop, has_received, &pair->server);
    assert_false(pair->server.scrambled);
    pair_close(pair);
}

static void many_parts_go_out_in_order(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    uint8_t bytes[1000];
    struct slice parts[1000];
    for (size_t i = 0; i < 1000; i++) {
        bytes[i] = pattern(i);
        parts[i] = slice_make(&bytes[i], 1);
    }
    assert_true(err_is_ok(io_tcp_write(pair->loop, pair->client.tcp, parts, 1000)));
    assert_true(err_is_ok(io_tcp_write(pair->loop, pair->client.tcp, parts, 0)));
    assert_int_equal(io_tcp_write_queued(pair->loop, pair->client.tcp), 0);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    pair->server.received_wanted = 1000;
    run_until(pair->loop, has_received, &pair->server);
    assert_false(pair->server.scrambled);
    /* What the kernel took at once needs no word. */
    assert_int_equal(pair->client.drained, 0);
    pair_close(pair);
}

static void a_shutdown_comes_after_all_bytes_and_leaves_the_other_way_open(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    io_tcp_read_start(pair->loop, pair->server.tcp);
    io_tcp_read_start(pair->loop, pair->client.tcp);
    uint64_t position = 0, back = 0;
    assert_true(err_is_ok(write_pattern(&pair->client, &position, MUCH)));
    io_tcp_shutdown(pair->loop, pair->client.tcp);
    io_tcp_shutdown(pair->loop, pair->client.tcp);
    run_until(pair->loop, has_ended, &pair->server);
    assert_true(err_is(pair->server.end_error, ERR_END));
    assert_true(pair->server.received == position);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    assert_true(err_is_ok(write_pattern(&pair->server, &back, 100000)));
    pair->client.received_wanted = back;
    run_until(pair->loop, has_received, &pair->client);
    assert_false(pair->client.scrambled);
    assert_int_equal(pair->client.ended, 0);
    assert_int_equal(pair->server.ended, 1);
    io_tcp_shutdown(pair->loop, pair->server.tcp);
    run_until(pair->loop, has_ended, &pair->client);
    assert_true(err_is(pair->client.end_error, ERR_END));
    pair_close(pair);
}

/* Closes with a reset instead of an orderly end. */
static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(fd);
}

static struct pair *pair_with_plain_client(int *fd)
{
    struct pair *pair = listening_pair();
    *fd = connect_plain(pair->port);
    open_server(pair);
    return pair;
}

static void a_reset_is_not_an_end(void **state)
{
    (void)state;
    int fd;
    struct pair *pair = pair_with_plain_client(&fd);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    run_turns(pair->loop, 3);
    reset(fd);
    run_until(pair->loop, has_ended, &pair->server);
    assert_true(err_is(pair->server.end_error, ERR_CLOSED));
    uint64_t position = 0;
    assert_true(err_is(write_pattern(&pair->server, &position, 10), ERR_CLOSED));
    io_tcp_read_start(pair->loop, pair->server.tcp);
    io_tcp_shutdown(pair->loop, pair->server.tcp);
    run_turns(pair->loop, 10);
    assert_int_equal(pair->server.ended, 1);
    pair_close(pair);
}

static void a_reset_while_bytes_are_queued_is_reported(void **state)
{
    (void)state;
    int fd;
    struct pair *pair = pair_with_plain_client(&fd);
    uint64_t position = 0;
    assert_true(err_is_ok(write_pattern(&pair->server, &position, MUCH)));
    run_turns(pair->loop, 3);
    assert_int_equal(pair->server.ended, 0);
    reset(fd);
    run_until(pair->loop, has_ended, &pair->server);
    assert_true(err_is(pair->server.end_error, ERR_CLOSED));
    assert_int_equal(pair->server.drained, 0);
    pair_close(pair);
}

static void a_peer_that_goes_after_its_end_breaks_the_connection_too(void **state)
{
    (void)state;
    int fd;
    struct pair *pair = pair_with_plain_client(&fd);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    shutdown(fd, SHUT_WR);
    run_until(pair->loop, has_ended, &pair->server);
    assert_true(err_is(pair->server.end_error, ERR_END));
    uint64_t position = 0;
    assert_true(err_is_ok(write_pattern(&pair->server, &position, MUCH)));
    pair->server.ended = 0;
    reset(fd);
    run_until(pair->loop, has_ended, &pair->server);
    assert_true(err_is(pair->server.end_error, ERR_CLOSED));
    pair_close(pair);
}

static void writing_to_a_peer_that_has_gone_is_an_error_and_no_signal(void **state)
{
    (void)state;
    /* Whoever runs the tests may have it ignored, which would hide what this is about. */
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    for (int orderly = 0; orderly < 2; orderly++) {
        int fd;
        struct pair *pair = pair_with_plain_client(&fd);
        run_turns(pair->loop, 3);
        if (orderly)
            close(fd);
        else
            reset(fd);
        uint64_t position = 0;
        err_t err = err_ok();
        for (size_t i = 0; i < 1000 && err_is_ok(err); i++) {
            err = write_pattern(&pair->server, &position, 1000);
            run_turns(pair->loop, 1);
        }
        assert_true(err_is(err, ERR_CLOSED));
        run_turns(pair->loop, 10);
        assert_int_equal(pair->server.ended, 0);
        pair_close(pair);
    }
}

static void a_connection_closed_with_bytes_queued_drops_them(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    uint64_t position = 0;
    assert_true(err_is_ok(write_pattern(&pair->client, &position, MUCH)));
    io_tcp_close(pair->loop, pair->client.tcp);
    io_tcp_close(pair->loop, pair->client.tcp);
    assert_int_equal(pair->client.closed, 0);
    assert_int_equal(io_tcp_write_queued(pair->loop, pair->client.tcp), 0);
    assert_true(err_is(write_pattern(&pair->client, &position, 10), ERR_CLOSED));
    io_tcp_read_start(pair->loop, pair->client.tcp);
    io_tcp_shutdown(pair->loop, pair->client.tcp);
    run_until(pair->loop, has_closed, &pair->client);
    assert_int_equal(pair->client.closed, 1);
    assert_int_equal(pair->client.drained, 0);
    pair_close(pair);
}

static void a_connection_may_be_closed_from_any_of_its_callbacks(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        struct pair *pair = listening_pair();
        pair->client.closes_when_connected = which == 0;
        pair->server.closes_when_read = which == 1;
        pair->server.closes_when_ended = which == 2;
        pair->client.closes_when_drained = which == 3;
        start_connecting(pair);
        open_server(pair);
        run_until(pair->loop, is_connected, &pair->client);
        io_tcp_read_start(pair->loop, pair->server.tcp);
        uint64_t position = 0;
        if (which == 1 || which == 3)
            assert_true(err_is_ok(write_pattern(&pair->client, &position, MUCH)));
        if (which == 2)
            io_tcp_shutdown(pair->loop, pair->client.tcp);
        bool client = which == 0 || which == 3;
        run_until(pair->loop, has_closed, client ? &pair->client : &pair->server);
        run_turns(pair->loop, 5);
        pair_close(pair);
    }
}

static void what_is_written_before_the_connection_stands_is_sent_then(void **state)
{
    (void)state;
    struct pair *pair = listening_pair();
    start_connecting(pair);
    uint64_t position = 0;
    assert_true(err_is_ok(write_pattern(&pair->client, &position, 5000)));
    io_tcp_read_start(pair->loop, pair->client.tcp);
    io_tcp_shutdown(pair->loop, pair->client.tcp);
    open_server(pair);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    run_until(pair->loop, has_ended, &pair->server);
    assert_true(err_is(pair->server.end_error, ERR_END));
    assert_int_equal(pair->server.received, 5000);
    assert_false(pair->server.scrambled);
    assert_int_equal(pair->client.connected, 1);
    pair_close(pair);
}

static void a_shutdown_before_the_connection_stands_is_kept(void **state)
{
    (void)state;
    struct pair *pair = listening_pair();
    start_connecting(pair);
    io_tcp_shutdown(pair->loop, pair->client.tcp);
    open_server(pair);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    run_until(pair->loop, has_ended, &pair->server);
    assert_true(err_is(pair->server.end_error, ERR_END));
    pair_close(pair);
}

static bool listener_gone(void *context)
{
    return ((struct pair *)context)->listener == NULL;
}

static void forget_listener(void *owner)
{
    ((struct pair *)owner)->listener = NULL;
}

static void connecting_where_nobody_listens_fails(void **state)
{
    (void)state;
    static const struct io_listener_events short_lived = {on_accepted, on_accept_failed,
                                                          forget_listener};
    struct pair *pair = calloc(1, sizeof(*pair));
    assert_true(err_is_ok(io_uv_loop_new(&pair->loop)));
    pair->client.loop = pair->loop;
    assert_true(
        err_is_ok(io_listen(pair->loop, "127.0.0.1:0", &short_lived, pair, &pair->listener, NULL)));
    pair->port = io_listener_port(pair->loop, pair->listener);
    io_listener_close(pair->loop, pair->listener);
    run_until(pair->loop, listener_gone, pair);

    struct err_text why = {0};
    struct port_text address = at_port("127.0.0.1", pair->port);
    err_t err =
        io_tcp_connect(pair->loop, address.text, &events, &pair->client, &pair->client.tcp, &why);
    if (err_is_ok(err)) {
        uint64_t position = 0;
        assert_true(err_is_ok(write_pattern(&pair->client, &position, 100)));
        io_tcp_shutdown(pair->loop, pair->client.tcp);
        run_until(pair->loop, is_connected, &pair->client);
        assert_false(err_is_ok(pair->client.connect_error));
        assert_true(err_is(write_pattern(&pair->client, &position, 0), ERR_CLOSED));
        run_turns(pair->loop, 10);
        assert_int_equal(pair->client.connected, 1);
        assert_int_equal(pair->client.ended, 0);
    } else {
        assert_non_null(strstr(why.text, address.text));
    }
    pair_close(pair);
}

static void a_connection_closed_before_it_stands_says_only_that(void **state)
{
    (void)state;
    struct pair *pair = listening_pair();
    start_connecting(pair);
    end_close(&pair->client);
    run_turns(pair->loop, 10);
    assert_int_equal(pair->client.connected, 0);
    if (pair->accepted.fd >= 0)
        io_socket_close(pair->loop, pair->accepted);
    pair_close(pair);
}

static void a_wrong_address_is_not_connected_to(void **state)
{
    (void)state;
    struct pair *pair = listening_pair();
    struct err_text why = {0};
    err_t err =
        io_tcp_connect(pair->loop, "nowhere", &events, &pair->client, &pair->client.tcp, &why);
    assert_true(err_is(err, ERR_INVALID));
    assert_non_null(strstr(why.text, "nowhere"));
    pair_close(pair);
}

/* The resolver of this program, in the place of the system's: what names lead to is the test's to
 * say. A lookup waits for `may_answer`. */
static struct {
    int error;
    uint32_t count;
    struct addrinfo items[4];
    struct sockaddr_storage addresses[4];
    sem_t may_answer;
    char asked_for[256];
} resolver;

static void resolver_add(const char *host, uint16_t port)
{
    struct addrinfo *item = &resolver.items[resolver.count];
    struct sockaddr_storage *address = &resolver.addresses[resolver.count];
    bool six = strchr(host, ':');
    memset(address, 0, sizeof(*address));
    *item = (struct addrinfo){.ai_family = six ? AF_INET6 : AF_INET, .ai_socktype = SOCK_STREAM};
    item->ai_addr = (struct sockaddr *)address;
    item->ai_addrlen = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (six)
        assert_int_equal(uv_ip6_addr(host, port, (struct sockaddr_in6 *)address), 0);
    else
        assert_int_equal(uv_ip4_addr(host, port, (struct sockaddr_in *)address), 0);
    if (resolver.count++ > 0)
        item[-1].ai_next = item;
}

int getaddrinfo(const char *restrict host, const char *restrict port,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    (void)hints;
    snprintf(resolver.asked_for, sizeof(resolver.asked_for), "%s %s", host, port);
    while (sem_wait(&resolver.may_answer) != 0)
        continue;
    if (resolver.error == 0)
        *out = resolver.items;
    return resolver.error;
}

void freeaddrinfo(struct addrinfo *items)
{
    assert_ptr_equal(items, resolver.items);
}

/* Looked up at once, or only when the test says so. */
static struct pair *resolving_pair(bool at_once)
{
    memset(&resolver, 0, sizeof(resolver));
    assert_int_equal(sem_init(&resolver.may_answer, 0, at_once), 0);
    return listening_pair();
}

static void connect_by_name(struct pair *pair)
{
    err_t err = io_tcp_connect(pair->loop, at_port("some-host.test", pair->port).text, &events,
                               &pair->client, &pair->client.tcp, NULL);
    assert_true(err_is_ok(err));
    assert_int_equal(pair->client.connected, 0);
}

static void a_name_is_connected_to_at_the_first_of_its_addresses_that_answers(void **state)
{
    (void)state;
    struct pair *pair = resolving_pair(false);
    uint64_t position = 0;
    char expected[64];
    snprintf(expected, sizeof(expected), "some-host.test %u", pair->port);
    resolver_add("::1", pair->port);
    resolver_add("127.0.0.2", pair->port);
    resolver_add("127.0.0.1", pair->port);
    resolver_add("127.0.0.3", pair->port);
    connect_by_name(pair);
    io_tcp_read_start(pair->loop, pair->client.tcp);
    assert_true(err_is_ok(write_pattern(&pair->client, &position, 100)));
    io_tcp_shutdown(pair->loop, pair->client.tcp);
    run_turns(pair->loop, 10);
    assert_int_equal(pair->client.connected, 0);
    assert_int_equal(io_tcp_write_queued(pair->loop, pair->client.tcp), 100);
    sem_post(&resolver.may_answer);
    open_server(pair);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    run_until(pair->loop, has_ended, &pair->server);
    assert_string_equal(resolver.asked_for, expected);
    assert_true(err_is_ok(pair->client.connect_error));
    assert_int_equal(pair->client.connected, 1);
    assert_true(pair->server.received == position);
    assert_false(pair->server.scrambled);
    pair_close(pair);
}

static void a_name_none_of_whose_addresses_answers_is_told_once(void **state)
{
    (void)state;
    struct pair *pair = resolving_pair(true);
    resolver_add("127.0.0.2", pair->port);
    resolver_add("127.0.0.3", pair->port);
    connect_by_name(pair);
    run_until(pair->loop, is_connected, &pair->client);
    assert_true(err_is(pair->client.connect_error, ERR_IO));
    run_turns(pair->loop, 10);
    assert_int_equal(pair->client.connected, 1);
    assert_int_equal(pair->client.ended, 0);
    assert_int_equal(pair->accepted.fd, -1);
    pair_close(pair);
}

static void a_name_that_leads_nowhere_says_whether_it_may_later(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum err_code told;
    } cases[] = {
        {EAI_NONAME, ERR_NOT_FOUND}, {EAI_NODATA, ERR_NOT_FOUND}, {EAI_AGAIN, ERR_AGAIN},
        {EAI_FAIL, ERR_AGAIN},       {EAI_MEMORY, ERR_MEMORY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair *pair = resolving_pair(true);
        uint64_t position = 0;
        resolver.error = cases[i].error;
        connect_by_name(pair);
        run_until(pair->loop, is_connected, &pair->client);
        assert_int_equal(pair->client.connect_error.code, cases[i].told);
        assert_true(err_is(write_pattern(&pair->client, &position, 1), ERR_CLOSED));
        pair_close(pair);
    }
}

static void a_connection_may_be_closed_while_its_name_is_looked_up(void **state)
{
    (void)state;
    for (uint32_t found = 0; found < 2; found++) {
        struct pair *pair = resolving_pair(false);
        resolver.error = found ? 0 : EAI_NONAME;
        resolver_add("127.0.0.1", pair->port);
        connect_by_name(pair);
        /* Closed is told without waiting for the lookup. */
        end_close(&pair->client);
        sem_post(&resolver.may_answer);
        run_turns(pair->loop, 10);
        pair_close(pair);
        assert_int_equal(resolver.items[0].ai_family, AF_INET);
    }
}

static void a_loop_may_be_freed_while_a_name_is_looked_up(void **state)
{
    (void)state;
    struct pair *pair = resolving_pair(false);
    resolver_add("127.0.0.1", pair->port);
    connect_by_name(pair);
    run_turns(pair->loop, 10);
    sem_post(&resolver.may_answer);
    io_uv_loop_free(&pair->loop);
    assert_int_equal(pair->client.connected, 0);
    assert_int_equal(pair->client.closed, 0);
    free(pair);
}

static void a_name_without_memory_is_not_looked_up(void **state)
{
    (void)state;
    struct pair *pair = resolving_pair(true);
    for (uint32_t i = 1; i <= 2; i++) {
        mem_fail_after(i);
        err_t err = io_tcp_connect(pair->loop, "some-host.test:1", &events, &pair->client,
                                   &pair->client.tcp, NULL);
        mem_fail_after(0);
        assert_true(err_is(err, ERR_MEMORY));
        assert_null(pair->client.tcp);
    }
    run_turns(pair->loop, 10);
    assert_int_equal(pair->client.closed, 0);
    pair_close(pair);
}

static void a_write_that_fails_while_a_name_is_looked_up_ends_it(void **state)
{
    (void)state;
    struct pair *pair = resolving_pair(false);
    uint64_t position = 0;
    resolver_add("127.0.0.1", pair->port);
    connect_by_name(pair);
    mem_fail_after(1);
    err_t err = write_pattern(&pair->client, &position, 100);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    sem_post(&resolver.may_answer);
    run_turns(pair->loop, 1000);
    assert_int_equal(pair->client.connected, 0);
    assert_int_equal(pair->accepted.fd, -1);
    pair_close(pair);
}

static void localhost_is_this_machine_whatever_a_resolver_says(void **state)
{
    (void)state;
    struct pair *pair = resolving_pair(true);
    resolver_add("127.0.0.2", pair->port);
    assert_true(err_is_ok(io_tcp_connect(pair->loop, at_port("localhost", pair->port).text, &events,
                                         &pair->client, &pair->client.tcp, NULL)));
    open_server(pair);
    run_until(pair->loop, is_connected, &pair->client);
    assert_true(err_is_ok(pair->client.connect_error));
    assert_string_equal(resolver.asked_for, "");
    pair_close(pair);
}

static void a_loop_that_is_freed_closes_its_connections_without_a_word(void **state)
{
    (void)state;
    int fd;
    struct pair *pair = pair_with_plain_client(&fd);
    io_tcp_read_start(pair->loop, pair->server.tcp);
    io_uv_loop_free(&pair->loop);
    assert_int_equal(pair->server.closed, 0);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    free(pair);
}

static void a_connection_without_memory_closes_its_socket(void **state)
{
    (void)state;
    struct pair *pair = listening_pair();
    int fd = connect_plain(pair->port);
    run_until(pair->loop, has_accepted, pair);
    mem_fail_after(1);
    err_t err = io_tcp_open(pair->loop, pair->accepted, &events, &pair->server, &pair->server.tcp);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    mem_fail_after(1);
    err = io_tcp_connect(pair->loop, at_port("127.0.0.1", pair->port).text, &events, &pair->client,
                         &pair->client.tcp, NULL);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    assert_null(pair->client.tcp);
    close(fd);
    pair_close(pair);
}

static void bytes_that_cannot_be_kept_break_the_connection(void **state)
{
    (void)state;
    struct pair *pair = connected_pair();
    uint64_t position = 0;
    mem_fail_after(1);
    err_t err = write_pattern(&pair->client, &position, MUCH);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    assert_true(err_is(write_pattern(&pair->client, &position, 1), ERR_CLOSED));
    run_turns(pair->loop, 10);
    assert_int_equal(pair->client.ended, 0);
    assert_int_equal(pair->client.drained, 0);
    pair_close(pair);
}

/* An end that lives on another loop than the listener. */
struct visitor {
    struct task task;
    struct end end;
    struct io_socket socket;
    struct io_loop *home;
};

static void move_in(struct task *task)
{
    struct visitor *visitor = CONTAINER_OF(task, struct visitor, task);
    err_t err =
        io_tcp_open(visitor->end.loop, visitor->socket, &events, &visitor->end, &visitor->end.tcp);
    ASSERT(err_is_ok(err));
    visitor->end.closes_when_ended = true;
    io_tcp_read_start(visitor->end.loop, visitor->end.tcp);
}

static void an_accepted_socket_can_be_opened_on_another_loop(void **state)
{
    (void)state;
    struct pair *pair = listening_pair();
    struct visitor visitor = {.task.run = move_in};
    assert_true(err_is_ok(io_uv_loop_new(&visitor.end.loop)));
    assert_true(err_is_ok(io_uv_loop_start(visitor.end.loop, "other")));
    start_connecting(pair);
    run_until(pair->loop, has_accepted, pair);
    run_until(pair->loop, is_connected, &pair->client);
    visitor.socket = pair->accepted;
    io_post(visitor.end.loop, &visitor.task);
    uint64_t position = 0;
    io_tcp_read_start(pair->loop, pair->client.tcp);
    assert_true(err_is_ok(write_pattern(&pair->client, &position, MUCH)));
    io_tcp_shutdown(pair->loop, pair->client.tcp);
    run_until(pair->loop, has_ended, &pair->client);
    io_uv_loop_stop(visitor.end.loop);
    io_uv_loop_join(visitor.end.loop);
    io_uv_loop_free(&visitor.end.loop);
    assert_true(visitor.end.received == position);
    assert_false(visitor.end.scrambled);
    assert_int_equal(visitor.end.closed, 1);
    pair_close(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_arrives_whole_and_in_order),
        cmocka_unit_test(a_reader_that_stops_holds_its_peer_back),
        cmocka_unit_test(what_is_written_behind_a_half_sent_queue_arrives_behind_it),
        cmocka_unit_test(reading_that_stops_and_starts_loses_nothing),
        cmocka_unit_test(many_parts_go_out_in_order),
        cmocka_unit_test(a_shutdown_comes_after_all_bytes_and_leaves_the_other_way_open),
        cmocka_unit_test(a_reset_is_not_an_end),
        cmocka_unit_test(a_reset_while_bytes_are_queued_is_reported),
        cmocka_unit_test(a_peer_that_goes_after_its_end_breaks_the_connection_too),
        cmocka_unit_test(writing_to_a_peer_that_has_gone_is_an_error_and_no_signal),
        cmocka_unit_test(a_connection_closed_with_bytes_queued_drops_them),
        cmocka_unit_test(a_connection_may_be_closed_from_any_of_its_callbacks),
        cmocka_unit_test(what_is_written_before_the_connection_stands_is_sent_then),
        cmocka_unit_test(a_shutdown_before_the_connection_stands_is_kept),
        cmocka_unit_test(connecting_where_nobody_listens_fails),
        cmocka_unit_test(a_connection_closed_before_it_stands_says_only_that),
        cmocka_unit_test(a_wrong_address_is_not_connected_to),
        cmocka_unit_test(a_name_is_connected_to_at_the_first_of_its_addresses_that_answers),
        cmocka_unit_test(a_name_none_of_whose_addresses_answers_is_told_once),
        cmocka_unit_test(a_name_that_leads_nowhere_says_whether_it_may_later),
        cmocka_unit_test(a_connection_may_be_closed_while_its_name_is_looked_up),
        cmocka_unit_test(a_loop_may_be_freed_while_a_name_is_looked_up),
        cmocka_unit_test(a_name_without_memory_is_not_looked_up),
        cmocka_unit_test(a_write_that_fails_while_a_name_is_looked_up_ends_it),
        cmocka_unit_test(localhost_is_this_machine_whatever_a_resolver_says),
        cmocka_unit_test(a_loop_that_is_freed_closes_its_connections_without_a_word),
        cmocka_unit_test(a_connection_without_memory_closes_its_socket),
        cmocka_unit_test(bytes_that_cannot_be_kept_break_the_connection),
        cmocka_unit_test(an_accepted_socket_can_be_opened_on_another_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
