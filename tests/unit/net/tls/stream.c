#include "unit/net/tls/fixture.h"

#define assert_got(peer, text)                                                                     \
    assert_slice(slice_make((peer)->got.data ? (peer)->got.data : "", (peer)->got.size), text)

static const struct net_tls_counters *counters(const struct fixture *f)
{
    return net_tls_loop_counters(f->tls);
}

static void plain_text_goes_both_ways_in_both_versions(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *f = fixture_new(false);
    for (size_t i = 0; i < 2; i++) {
        struct peer *peer = peer_new(f, NULL, versions[i]);
        peer_shake(peer);
        assert_int_equal(SSL_version(peer->ssl), versions[i]);
        assert_int_equal(SSL_get_verify_result(peer->ssl), X509_V_OK);
        peer_send(peer, "hello", 5);
        assert_got(peer, "hello");
        char back[16];
        assert_true(err_is_ok(peer_answer(peer, "world", 5)));
        peer_carry(peer);
        assert_int_equal(SSL_read(peer->ssl, back, sizeof(back)), 5);
        assert_memory_equal(back, "world", 5);
        assert_null(strstr(fake_written(peer->socket), "world"));
        peer_free(peer);
    }
    assert_int_equal(counters(f)->handshakes, 2);
    assert_int_equal(counters(f)->failures, 0);
    fixture_free(f);
}

static void bytes_may_come_cut_anywhere(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 8; piece++) {
        struct fixture *f = fixture_new(false);
        struct peer *peer = peer_new(f, NULL, 0);
        peer->socket->piece = piece;
        peer->room_size = piece;
        peer_shake(peer);
        peer_send(peer, "one", 3);
        peer_send(peer, "and two", 7);
        assert_got(peer, "oneand two");
        peer_free(peer);
        fixture_free(f);
    }
}

/* Larger than a record, a read and a write. */
static void large_amounts_arrive_whole(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    uint8_t *data = malloc(size);
    uint8_t *back = malloc(size);
    assert_true(data && back);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    peer_send(peer, data, size);
    assert_int_equal(peer->got.size, size);
    assert_memory_equal(peer->got.data, data, size);
    /* In parts of all sizes, also none. */
    struct slice parts[] = {slice_make(data, 4), slice_make(data + 4, 100000), slice_make(data, 0),
                            slice_make(data + 100004, size - 100004)};
    assert_true(err_is_ok(io_tcp_write(f->loop, peer->stream, parts, 4)));
    peer_carry(peer);
    size_t got = 0;
    for (int n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
        n = SSL_read(peer->ssl, back + got, (int)(size - got));
    assert_int_equal(got, size);
    assert_memory_equal(back, data, size);
    /* Never more at once than a few records. */
    assert_in_range(peer->socket->writes, 8, 40);
    peer_free(peer);
    fixture_free(f);
    free(data);
    free(back);
}

static void small_parts_share_a_record(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    struct slice parts[64];
    for (size_t i = 0; i < 64; i++)
        parts[i] = SLICE_LITERAL("part");
    fake_forget_written(peer->socket);
    assert_true(err_is_ok(io_tcp_write(f->loop, peer->stream, parts, 64)));
    assert_in_range(peer->socket->out.size, 256, 256 + 64);
    peer->carried = 0;
    peer_free(peer);
    fixture_free(f);
}

/* What is left of the read is held, and the socket not read, until the owner wants it. */
static void an_owner_that_stops_reading_loses_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    peer->read_max = 1;
    peer->room_size = 3;
    assert_int_equal(SSL_write(peer->ssl, "first", 5), 5);
    assert_int_equal(SSL_write(peer->ssl, "second", 6), 6);
    peer_send(peer, "third", 5);
    assert_got(peer, "fir");
    assert_false(peer->socket->reading);
    /* Not from within the call. */
    io_tcp_read_start(f->loop, peer->stream);
    assert_got(peer, "fir");
    peer->read_max = 7;
    fake_run(f->fake);
    assert_got(peer, "firstsec");
    assert_false(peer->socket->reading);
    peer->read_max = 0;
    io_tcp_read_start(f->loop, peer->stream);
    fake_run(f->fake);
    assert_got(peer, "firstsecondthird");
    assert_true(peer->socket->reading);
    peer_free(peer);
    fixture_free(f);
}

static void closing_while_bytes_are_held_is_told_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    peer->read_max = 1;
    peer->room_size = 1;
    peer_send(peer, "many", 4);
    io_tcp_read_start(f->loop, peer->stream);
    /* The task that would go on reading is on its way. */
    peer_free(peer);
    peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    peer->close_in_read = true;
    assert_int_equal(SSL_write(peer->ssl, "one", 3), 3);
    peer_send(peer, "two", 3);
    assert_got(peer, "one");
    assert_int_equal(peer->closed, 1);
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    free(peer->got.data);
    free(peer);
    fixture_free(f);
}

static void the_ends_of_a_peer_are_told_apart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    SSL_shutdown(peer->ssl);
    peer_carry(peer);
    assert_int_equal(peer->ended, 1);
    assert_true(err_is(peer->error, ERR_END));
    /* Answers still go out. */
    assert_true(err_is_ok(peer_answer(peer, "bye", 3)));
    io_tcp_shutdown(f->loop, peer->stream);
    assert_true(peer->socket->shut);
    peer_carry(peer);
    char back[8];
    assert_int_equal(SSL_read(peer->ssl, back, sizeof(back)), 3);
    assert_int_equal(SSL_read(peer->ssl, back, sizeof(back)), 0);
    assert_int_equal(SSL_get_error(peer->ssl, 0), SSL_ERROR_ZERO_RETURN);
    peer_free(peer);

    /* Cut off: whoever did it was not the peer, as far as anybody knows. */
    peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    fake_end(peer->socket, ERR_END);
    peer_carry(peer);
    assert_true(err_is(peer->error, ERR_CLOSED));
    assert_true(err_is(peer_answer(peer, "nobody", 6), ERR_CLOSED));
    peer_free(peer);

    peer = peer_new(f, NULL, 0);
    fake_end(peer->socket, ERR_IO);
    peer_carry(peer);
    assert_true(err_is(peer->error, ERR_IO));
    assert_int_equal(counters(f)->failures, 1);
    peer_free(peer);
    fixture_free(f);
}

static void a_close_says_so_to_the_peer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    io_tcp_close(f->loop, peer->stream);
    size_t left = peer->socket->out.size - peer->carried;
    assert_true(left > 0);
    BIO_write(SSL_get_rbio(peer->ssl), peer->socket->out.data + peer->carried, (int)left);
    char back[8];
    assert_int_equal(SSL_read(peer->ssl, back, sizeof(back)), 0);
    assert_int_equal(SSL_get_error(peer->ssl, 0), SSL_ERROR_ZERO_RETURN);
    peer_free(peer);
    fixture_free(f);
}

/* The first bytes of a Kafka client, of a browser, and of somebody who tries things. */
static void what_is_no_tls_is_counted_and_told_once_a_minute(void **state)
{
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "\x01\x02\x03", "hello"};
    struct fixture *f = fixture_new(false);
    for (size_t i = 0; i < 3; i++) {
        struct peer *peer = peer_new(f, NULL, 0);
        fake_send_text(peer->socket, texts[i]);
        fake_run(f->fake);
        assert_int_equal(peer->ended, 1);
        assert_true(err_is(peer->error, ERR_INVALID));
        peer_free(peer);
    }
    assert_int_equal(counters(f)->plain, 3);
    assert_int_equal(counters(f)->failures, 3);
    assert_int_equal(f->lines, 1);
    fake_advance(f->fake, 60000);
    struct peer *peer = peer_new(f, NULL, 0);
    fake_send(peer->socket, "\0\0\0\x10", 4);
    fake_run(f->fake);
    assert_int_equal(f->lines, 2);
    peer_free(peer);
    fixture_free(f);
}

static void a_silent_handshake_ends(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *silent = peer_new(f, NULL, 0);
    struct peer *slow = peer_new(f, NULL, 0);
    struct peer *good = peer_new(f, NULL, 0);
    peer_shake(good);
    fake_send(slow->socket, "\x16\x03\x01\x02", 4);
    fake_advance(f->fake, 9999);
    assert_int_equal(silent->ended, 0);
    fake_advance(f->fake, 1);
    assert_true(err_is(silent->error, ERR_TIMEOUT));
    assert_true(err_is(slow->error, ERR_TIMEOUT));
    assert_int_equal(good->ended, 0);
    assert_int_equal(counters(f)->timeouts, 2);
    peer_free(silent);
    peer_free(slow);
    peer_free(good);
    fixture_free(f);
}

static void old_versions_and_weak_ciphers_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    for (int i = 0; i < 2; i++) {
        struct peer *peer = peer_new(f, NULL, i ? TLS1_2_VERSION : TLS1_1_VERSION);
        SSL_set_security_level(peer->ssl, 0);
        if (i)
            SSL_set_cipher_list(peer->ssl, "AES128-SHA:AES128-GCM-SHA256");
        peer_shake(peer);
        assert_false(SSL_is_init_finished(peer->ssl));
        assert_true(err_is(peer->error, ERR_INVALID));
        /* The alert has come: the client can say what was wrong. */
        assert_int_not_equal(peer->refusal, 0);
        peer_free(peer);
    }
    assert_int_equal(counters(f)->handshakes, 0);
    assert_int_equal(counters(f)->plain, 0);
    fixture_free(f);
}

static void clients_need_the_certificate_that_is_asked_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true);
    struct pair stranger = pair_new("stranger", NULL);
    struct peer *good = peer_new(f, &f->client, 0);
    struct peer *none = peer_new(f, NULL, 0);
    struct peer *other = peer_new(f, &stranger, 0);
    peer_shake(good);
    peer_shake(none);
    peer_shake(other);
    peer_send(good, "me", 2);
    assert_got(good, "me");
    assert_true(err_is(none->error, ERR_INVALID));
    assert_true(err_is(other->error, ERR_INVALID));
    assert_int_equal(counters(f)->handshakes, 1);
    peer_free(good);
    peer_free(none);
    peer_free(other);
    pair_done(&stranger);
    fixture_free(f);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, TLS1_2_VERSION);
    peer_shake(peer);
    assert_true(SSL_renegotiate(peer->ssl));
    SSL_do_handshake(peer->ssl);
    peer_carry(peer);
    assert_int_equal(counters(f)->handshakes, 1);
    assert_false(SSL_is_init_finished(peer->ssl));
    peer_free(peer);
    fixture_free(f);
}

static void changes_of_keys_are_followed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, TLS1_3_VERSION);
    peer_shake(peer);
    for (int i = 0; i < 3; i++) {
        assert_true(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED));
        peer_send(peer, "x", 1);
    }
    assert_got(peer, "xxx");
    assert_true(err_is_ok(peer_answer(peer, "y", 1)));
    peer_carry(peer);
    char back[4];
    assert_int_equal(SSL_read(peer->ssl, back, sizeof(back)), 1);
    peer_free(peer);
    fixture_free(f);
}

/* Every byte of a connection damaged once: it ends or goes on, and nothing wrong is read. */
static void damaged_bytes_are_never_read(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct fixture *f = fixture_new(false);
    for (int i = 0; i < 300; i++) {
        struct peer *peer = peer_new(f, NULL, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
        peer_shake(peer);
        assert_int_equal(SSL_write(peer->ssl, "whole", 5), 5);
        char *data;
        size_t size = (size_t)BIO_get_mem_data(SSL_get_wbio(peer->ssl), &data);
        data[unit_random(&seed) % size] ^= (char)(1 << unit_random(&seed) % 8);
        peer_carry(peer);
        assert_int_equal(peer->got.size, 0);
        peer_free(peer);
        /* And in the first message of all. */
        peer = peer_new(f, NULL, 0);
        SSL_do_handshake(peer->ssl);
        size = (size_t)BIO_get_mem_data(SSL_get_wbio(peer->ssl), &data);
        for (int k = 0; k < 4; k++)
            data[unit_random(&seed) % size] ^= (char)(1 << unit_random(&seed) % 8);
        fake_send(peer->socket, data, unit_random(&seed) % (size + 1));
        fake_end(peer->socket, ERR_END);
        fake_run(f->fake);
        assert_int_equal(peer->ended, 1);
        peer_free(peer);
    }
    fixture_free(f);
}

static void without_memory_a_stream_ends_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *good = peer_new(f, NULL, 0);
    peer_shake(good);
    /* In opening, in the handshake's answer, in an answer. */
    struct peer owner = {.f = f};
    mem_fail_after(1);
    assert_true(err_is(
        io_tcp_open(f->loop, (struct io_socket){.fd = 7}, &peer_events, &owner, &owner.stream),
        ERR_MEMORY));
    assert_int_equal(f->fake->sockets_closed, 1);
    f->fake->open_fails = true;
    assert_true(err_is(
        io_tcp_open(f->loop, (struct io_socket){.fd = 7}, &peer_events, &owner, &owner.stream),
        ERR_MEMORY));
    f->fake->open_fails = false;
    /* What stays over finds no room. */
    good->read_max = 1;
    good->room_size = 1;
    SSL_write(good->ssl, "one", 3);
    SSL_write(good->ssl, "two", 3);
    mem_fail_after(1);
    peer_carry(good);
    mem_fail_after(0);
    assert_true(err_is(good->error, ERR_MEMORY));
    peer_free(good);
    fixture_free(f);
}

static void a_socket_that_breaks_in_a_write_breaks_the_stream(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    peer_shake(peer);
    peer->socket->write_fails = true;
    assert_true(err_is(peer_answer(peer, "x", 1), ERR_CLOSED));
    assert_true(err_is(peer_answer(peer, "x", 1), ERR_CLOSED));
    assert_int_equal(peer->ended, 0);
    peer_free(peer);
    fixture_free(f);
}

static void what_the_kernel_does_not_take_is_counted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *peer = peer_new(f, NULL, 0);
    /* Before the handshake there is nobody to write to. */
    assert_true(err_is(peer_answer(peer, "x", 1), ERR_CLOSED));
    peer_shake(peer);
    peer->socket->stuck = true;
    assert_true(err_is_ok(peer_answer(peer, "stuck", 5)));
    assert_in_range(io_tcp_write_queued(f->loop, peer->stream), 5, 64);
    assert_int_equal(peer->drained, 0);
    fake_drain(peer->socket);
    assert_int_equal(peer->drained, 1);
    assert_int_equal(io_tcp_write_queued(f->loop, peer->stream), 0);
    peer_free(peer);
    fixture_free(f);
}

/* Connections that are there go on with what they were shown. */
static void certificates_are_exchanged_while_it_runs(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct peer *before = peer_new(f, NULL, 0);
    peer_shake(before);
    X509 *old = SSL_get1_peer_certificate(before->ssl);
    pair_done(&f->server);
    f->server = pair_new("localhost", &f->ca);
    struct net_tls *tls = fixture_tls(f, false);
    net_tls_loop_use(f->tls, tls);
    net_tls_free(&tls);
    struct peer *after = peer_new(f, NULL, 0);
    peer_shake(after);
    X509 *shown = SSL_get1_peer_certificate(after->ssl);
    assert_int_not_equal(X509_cmp(shown, old), 0);
    assert_int_equal(X509_cmp(shown, f->server.certificate), 0);
    peer_send(before, "still here", 10);
    assert_got(before, "still here");
    X509_free(old);
    X509_free(shown);
    peer_free(before);
    peer_free(after);
    fixture_free(f);
}

static void run_once(struct task *task)
{
    task->run = NULL;
}

static void count_timer(struct io_timer *timer)
{
    timer->due_ns = 1;
}

static void everything_else_is_the_loop_behind(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct task posted = {.run = run_once};
    struct task deferred = {.run = run_once};
    struct io_timer timer = {.run = count_timer};
    struct io_timer stopped = {.run = count_timer};
    io_post(f->loop, &posted);
    io_defer(f->loop, &deferred);
    io_timer_start(f->loop, &timer, IO_MS);
    io_timer_start(f->loop, &stopped, IO_MS);
    io_timer_stop(f->loop, &stopped);
    fake_advance(f->fake, 2);
    assert_null(posted.run);
    assert_null(deferred.run);
    assert_int_equal(timer.due_ns, 1);
    assert_int_not_equal(stopped.due_ns, 1);
    assert_int_equal(io_now_ns(f->loop), io_now_ns(&f->fake->loop));
    assert_int_equal(io_wall_ms(f->loop), io_wall_ms(&f->fake->loop));
    io_socket_close(f->loop, (struct io_socket){.fd = 3});
    assert_int_equal(f->fake->sockets_closed, 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_goes_both_ways_in_both_versions),
        cmocka_unit_test(bytes_may_come_cut_anywhere),
        cmocka_unit_test(large_amounts_arrive_whole),
        cmocka_unit_test(small_parts_share_a_record),
        cmocka_unit_test(an_owner_that_stops_reading_loses_nothing),
        cmocka_unit_test(closing_while_bytes_are_held_is_told_once),
        cmocka_unit_test(the_ends_of_a_peer_are_told_apart),
        cmocka_unit_test(a_close_says_so_to_the_peer),
        cmocka_unit_test(what_is_no_tls_is_counted_and_told_once_a_minute),
        cmocka_unit_test(a_silent_handshake_ends),
        cmocka_unit_test(old_versions_and_weak_ciphers_are_refused),
        cmocka_unit_test(clients_need_the_certificate_that_is_asked_for),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(changes_of_keys_are_followed),
        cmocka_unit_test(damaged_bytes_are_never_read),
        cmocka_unit_test(without_memory_a_stream_ends_alone),
        cmocka_unit_test(a_socket_that_breaks_in_a_write_breaks_the_stream),
        cmocka_unit_test(what_the_kernel_does_not_take_is_counted),
        cmocka_unit_test(certificates_are_exchanged_while_it_runs),
        cmocka_unit_test(everything_else_is_the_loop_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
