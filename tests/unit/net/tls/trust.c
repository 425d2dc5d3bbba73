#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "io/uv/uv.h"
#include "unit/net/fake_tcp.h"
#include "unit/net/tls/pair.h"

#define NAMES "DNS:localhost,DNS:garner.test,IP:127.0.0.1,IP:::1"

/* A client on a fake loop, and a server that is OpenSSL itself, whose bytes the test carries. */
struct fixture {
    struct pair ca;
    struct pair server;
    struct fake_loop *fake;
    struct net_tls_loop *tls;
    struct io_loop *loop; /* the one of `tls` */
    struct io_tcp *stream;
    struct io_tcp *socket; /* the fake one behind it */
    SSL_CTX *context;
    SSL *ssl;
    size_t carried; /* of the socket's output */
    char room[512];
    struct fake_bytes got;
    bool close_in_connected;
    unsigned connected;
    err_t connected_with;
    unsigned ended;
    err_t ended_with;
    unsigned closed;
};

static void on_connected(void *owner, err_t err)
{
    struct fixture *f = owner;
    f->connected++;
    f->connected_with = err;
    if (f->close_in_connected)
        io_tcp_close(f->loop, f->stream);
    else if (err_is_ok(err))
        io_tcp_read_start(f->loop, f->stream);
}

static struct io_room on_room(void *owner)
{
    struct fixture *f = owner;
    return (struct io_room){(uint8_t *)f->room, sizeof(f->room)};
}

static void on_read(void *owner, size_t size)
{
    struct fixture *f = owner;
    fake_append(&f->got, f->room, size);
}

static void on_ended(void *owner, err_t err)
{
    struct fixture *f = owner;
    f->ended++;
    f->ended_with = err;
}

static void on_closed(void *owner)
{
    ((struct fixture *)owner)->closed++;
}

static const struct io_tcp_events events = {
    .connected = on_connected,
    .room = on_room,
    .read = on_read,
    .ended = on_ended,
    .closed = on_closed,
};

/* A client that trusts `trusted`. */
static struct fixture *fixture_new(const struct pair *server, const struct pair *ca,
                                   const struct pair *trusted, const char *name)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err_text why = {0};
    struct net_tls *tls = NULL;
    assert_non_null(f);
    f->server = *server;
    f->ca = *ca;
    f->fake = fake_loop_new();
    assert_true(err_is_ok(
        net_tls_client_new(slice_string(trusted->certificate_pem), "ca.pem", &tls, &why)));
    assert_true(err_is_ok(net_tls_loop_new(
        &(struct net_tls_options){.loop = &f->fake->loop, .tls = tls, .name = name}, &f->tls)));
    net_tls_free(&tls);
    f->loop = net_tls_loop_io(f->tls);
    f->context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(f->context, server->certificate);
    SSL_CTX_use_PrivateKey(f->context, server->key);
    return f;
}

/* As most tests have it: a certificate of this machine, and its authority is trusted. */
static struct fixture *fixture_usual(void)
{
    struct pair ca = pair_new("authority", NULL);
    struct pair server = pair_make("server", NAMES, 3600, &ca);
    return fixture_new(&server, &ca, &ca, NULL);
}

static void connect_to(struct fixture *f, const char *address)
{
    struct err_text why = {0};
    assert_true(err_is_ok(io_tcp_connect(f->loop, address, &events, f, &f->stream, &why)));
    assert_int_equal(f->connected, 0);
    f->socket = f->fake->tcps[f->fake->tcp_count - 1];
    f->carried = 0;
    SSL_free(f->ssl);
    f->ssl = SSL_new(f->context);
    SSL_set_bio(f->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(f->ssl);
    fake_run(f->fake);
}

/* Carries bytes both ways until none are left. */
static void carry(struct fixture *f)
{
    for (bool any = true; any;) {
        char *data;
        size_t left = f->socket->out.size - f->carried;
        if (left)
            BIO_write(SSL_get_rbio(f->ssl), f->socket->out.data + f->carried, (int)left);
        f->carried += left;
        ERR_clear_error();
        if (!SSL_is_init_finished(f->ssl))
            SSL_do_handshake(f->ssl);
        long size = BIO_get_mem_data(SSL_get_wbio(f->ssl), &data);
        if (size > 0)
            fake_send(f->socket, data, (size_t)size);
        (void)BIO_reset(SSL_get_wbio(f->ssl));
        fake_run(f->fake);
        any = size > 0 || f->socket->out.size > f->carried;
    }
}

static void meet(struct fixture *f, const char *address)
{
    connect_to(f, address);
    carry(f);
}

/* Closes, where it was connected to; that is told once. */
static void part(struct fixture *f)
{
    io_tcp_close(f->loop, f->stream);
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    assert_true(f->socket->closed);
    assert_int_equal(f->fake->timer_count, 0);
    f->connected = f->ended = f->closed = 0;
}

static void fixture_free(struct fixture *f)
{
    net_tls_loop_free(&f->tls);
    fake_loop_free(f->fake);
    pair_done(&f->ca);
    pair_done(&f->server);
    SSL_free(f->ssl);
    SSL_CTX_free(f->context);
    free(f->got.data);
    free(f);
}

static void assert_connected(const struct fixture *f)
{
    if (f->connected != 1 || !err_is_ok(f->connected_with))
        fail_msg("not connected: %s", net_tls_loop_why(f->tls));
    assert_int_equal(f->ended, 0);
}

/* Told by `connected` and nothing else, and with the words for a person. */
static void assert_refused(const struct fixture *f, const char *words)
{
    assert_int_equal(f->connected, 1);
    assert_true(err_is(f->connected_with, ERR_INVALID));
    assert_int_equal(f->ended, 0);
    if (!strstr(net_tls_loop_why(f->tls), words))
        fail_msg("got \"%s\", expected \"%s\"", net_tls_loop_why(f->tls), words);
}

static void who_it_should_be_is_connected_to(void **state)
{
    (void)state;
    static const char *const addresses[] = {"localhost:9092", "127.0.0.1:9092", "[::1]:9092",
                                            "garner.test:1"};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *f = fixture_usual();
    struct slice hello = SLICE_LITERAL("hello");
    char back[16];
    for (size_t i = 0; i < 8; i++) {
        SSL_CTX_set_max_proto_version(f->context, versions[i / 4]);
        meet(f, addresses[i % 4]);
        assert_connected(f);
        assert_int_equal(SSL_version(f->ssl), versions[i / 4]);
        /* A name is told, a number is not. */
        const char *told = SSL_get_servername(f->ssl, TLSEXT_NAMETYPE_host_name);
        assert_true(i % 4 == 0   ? told && strcmp(told, "localhost") == 0
                    : i % 4 == 3 ? told && strcmp(told, "garner.test") == 0
                                 : !told);
        assert_true(err_is_ok(io_tcp_write(f->loop, f->stream, &hello, 1)));
        assert_int_equal(SSL_write(f->ssl, "world", 5), 5);
        carry(f);
        assert_int_equal(SSL_read(f->ssl, back, sizeof(back)), 5);
        assert_memory_equal(back, "hello", 5);
        assert_slice(slice_make(f->got.data, f->got.size), "world");
        f->got.size = 0;
        part(f);
    }
    assert_int_equal(net_tls_loop_counters(f->tls)->handshakes, 8);
    fixture_free(f);
}

static void another_name_may_be_meant_than_is_connected_to(void **state)
{
    (void)state;
    struct pair ca = pair_new("authority", NULL);
    struct pair server = pair_make("server", "DNS:kafka.example.com", 3600, &ca);
    struct fixture *f = fixture_new(&server, &ca, &ca, "kafka.example.com");
    meet(f, "127.0.0.1:9092");
    assert_connected(f);
    assert_string_equal(SSL_get_servername(f->ssl, TLSEXT_NAMETYPE_host_name), "kafka.example.com");
    part(f);
    fixture_free(f);
}

static void a_server_may_be_its_own_authority(void **state)
{
    (void)state;
    /* One that signs nothing else, as people make it by hand. */
    struct pair ca = pair_new("authority", NULL);
    struct pair server = pair_make("server", NAMES, 3600, &ca);
    struct fixture *f = fixture_new(&server, &ca, &server, NULL);
    meet(f, "localhost:1");
    assert_connected(f);
    part(f);
    fixture_free(f);
}

static void bytes_may_come_cut_anywhere(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 6; piece++) {
        struct fixture *f = fixture_usual();
        connect_to(f, "localhost:9092");
        f->socket->piece = piece;
        carry(f);
        assert_connected(f);
        part(f);
        fixture_free(f);
    }
}

static void a_certificate_that_is_not_right_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *names;
        long seconds;
        bool other;
        const char *words;
    } cases[] = {
        {NAMES, 3600, true, "signed by nobody who is trusted here"},
        {NAMES, -3600, false, "has expired"},
        {"DNS:elsewhere", 3600, false, "is of other names"},
        {"DNS:*.0.0.1,DNS:127.0.0.1", 3600, false, "is of other names"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair ca = pair_new("authority", NULL);
        struct pair other = pair_new("authority", NULL);
        struct pair server = pair_make("server", cases[i].names, cases[i].seconds, &ca);
        struct fixture *f = fixture_new(&server, &ca, cases[i].other ? &other : &ca, NULL);
        meet(f, "127.0.0.1:9092");
        assert_refused(f, cases[i].words);
        /* The server is told, and nothing was said to it. */
        assert_false(SSL_is_init_finished(f->ssl) && SSL_pending(f->ssl));
        struct slice secret = SLICE_LITERAL("secret");
        assert_true(err_is(io_tcp_write(f->loop, f->stream, &secret, 1), ERR_CLOSED));
        part(f);
        assert_int_equal(net_tls_loop_counters(f->tls)->failures, 1);
        pair_done(&other);
        fixture_free(f);
    }
}

static void what_is_no_tls_is_told_of(void **state)
{
    (void)state;
    static const char *const answers[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\x0a"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_usual();
        connect_to(f, "localhost:9092");
        fake_send(f->socket, answers[i], i ? 4 : strlen(answers[i]));
        fake_run(f->fake);
        assert_refused(f, "does not speak TLS");
        part(f);
        fixture_free(f);
    }
}

/* An alert at once, one behind the handshake, and a server with old versions only. */
static void a_server_that_refuses_is_told_of(void **state)
{
    (void)state;
    struct fixture *f = fixture_usual();
    connect_to(f, "localhost:9092");
    fake_send(f->socket, "\x15\x03\x03\x00\x02\x02\x28", 7);
    fake_run(f->fake);
    assert_refused(f, "handshake failure");
    part(f);
    SSL_CTX_set_verify(f->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    meet(f, "localhost:9092");
    assert_int_equal(f->connected, 1);
    assert_int_equal(f->ended, 1);
    assert_true(err_is(f->ended_with, ERR_INVALID));
    assert_non_null(strstr(net_tls_loop_why(f->tls), "certificate required"));
    part(f);
    SSL_CTX_set_verify(f->context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_security_level(f->context, 0);
    SSL_CTX_set_min_proto_version(f->context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(f->context, TLS1_1_VERSION);
    meet(f, "localhost:9092");
    assert_refused(f, "TLS failed");
    part(f);
    fixture_free(f);
}

static void a_connection_that_is_not_made_is_told_as_it_is(void **state)
{
    (void)state;
    struct fixture *f = fixture_usual();
    struct err_text why = {0};
    struct io_tcp *stream = NULL;
    assert_true(err_is(io_tcp_connect(f->loop, "nowhere", &events, f, &stream, &why), ERR_INVALID));
    assert_non_null(strstr(why.text, "host:port"));
    assert_true(err_is(io_tcp_connect(f->loop, ":1", &events, f, &stream, &why), ERR_INVALID));
    /* Refused by the other machine. */
    assert_true(err_is_ok(io_tcp_connect(f->loop, "localhost:1", &events, f, &f->stream, &why)));
    f->socket = f->fake->tcps[f->fake->tcp_count - 1];
    f->socket->end_error = err_make(ERR_IO);
    fake_run(f->fake);
    assert_true(err_is(f->connected_with, ERR_IO));
    part(f);
    /* Closed in the middle of the handshake, which may be a server that was stopped. */
    connect_to(f, "localhost:1");
    fake_end(f->socket, ERR_END);
    fake_run(f->fake);
    assert_int_equal(f->connected, 1);
    assert_true(err_is(f->connected_with, ERR_CLOSED));
    part(f);
    fixture_free(f);
}

static void a_silent_server_is_given_up(void **state)
{
    (void)state;
    struct fixture *f = fixture_usual();
    connect_to(f, "localhost:1");
    fake_advance(f->fake, 9999);
    assert_int_equal(f->connected, 0);
    fake_advance(f->fake, 1);
    assert_int_equal(f->connected, 1);
    assert_true(err_is(f->connected_with, ERR_TIMEOUT));
    part(f);
    fixture_free(f);
}

static void closing_is_told_once_at_any_moment(void **state)
{
    (void)state;
    struct fixture *f = fixture_usual();
    struct err_text why = {0};
    /* Before it is connected. */
    assert_true(err_is_ok(io_tcp_connect(f->loop, "localhost:1", &events, f, &f->stream, &why)));
    f->socket = f->fake->tcps[f->fake->tcp_count - 1];
    part(f);
    /* In the handshake. */
    connect_to(f, "localhost:1");
    part(f);
    /* From within. */
    f->close_in_connected = true;
    meet(f, "localhost:1");
    assert_int_equal(f->connected, 1);
    assert_int_equal(f->closed, 1);
    assert_true(f->socket->closed);
    fixture_free(f);
}

/* A server that changes a byte of its first answers, wherever. */
static void damaged_handshakes_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_usual();
    for (size_t at = 0; at < 700; at += 7) {
        char *data;
        connect_to(f, "localhost:9092");
        BIO_write(SSL_get_rbio(f->ssl), f->socket->out.data, (int)f->socket->out.size);
        ERR_clear_error();
        SSL_do_handshake(f->ssl);
        long size = BIO_get_mem_data(SSL_get_wbio(f->ssl), &data);
        assert_true(size > 700);
        data[at] ^= 0x20;
        fake_send(f->socket, data, (size_t)size);
        fake_end(f->socket, ERR_END);
        fake_run(f->fake);
        fake_advance(f->fake, 20000);
        assert_int_equal(f->connected, 1);
        assert_false(err_is_ok(f->connected_with));
        part(f);
    }
    fixture_free(f);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    struct fixture *f = fixture_usual();
    struct err_text why = {0};
    struct io_tcp *stream = NULL;
    struct net_tls *tls = NULL;
    mem_fail_after(1);
    assert_true(
        err_is(io_tcp_connect(f->loop, "localhost:1", &events, f, &stream, &why), ERR_MEMORY));
    mem_fail_after(1);
    assert_true(err_is(net_tls_client_new(slice_make(NULL, 0), NULL, &tls, &why), ERR_MEMORY));
    mem_fail_after(0);
    assert_null(tls);
    fixture_free(f);
}

static void authorities_come_from_a_file_or_from_the_system(void **state)
{
    (void)state;
    char path[] = "/tmp/garner-trust-XXXXXX";
    struct pair ca = pair_new("authority", NULL);
    struct net_tls *tls = NULL;
    struct err_text why = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(err_is(net_tls_client_read(io_uv_disk(), path, &tls, &why), ERR_CONFIG));
    assert_non_null(strstr(why.text, "expected certificates in PEM, of those who sign servers'"));
    assert_non_null(strstr(why.text, path));
    size_t size = strlen(ca.certificate_pem);
    assert_int_equal(write(fd, ca.certificate_pem, size), size);
    assert_true(err_is_ok(net_tls_client_read(io_uv_disk(), path, &tls, &why)));
    net_tls_free(&tls);
    close(fd);
    assert_int_equal(unlink(path), 0);
    assert_true(err_is(net_tls_client_read(io_uv_disk(), path, &tls, &why), ERR_CONFIG));
    assert_true(err_is_ok(net_tls_client_read(io_uv_disk(), NULL, &tls, &why)));
    net_tls_free(&tls);
    pair_done(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_it_should_be_is_connected_to),
        cmocka_unit_test(another_name_may_be_meant_than_is_connected_to),
        cmocka_unit_test(a_server_may_be_its_own_authority),
        cmocka_unit_test(bytes_may_come_cut_anywhere),
        cmocka_unit_test(a_certificate_that_is_not_right_is_refused_with_the_reason),
        cmocka_unit_test(what_is_no_tls_is_told_of),
        cmocka_unit_test(a_server_that_refuses_is_told_of),
        cmocka_unit_test(a_connection_that_is_not_made_is_told_as_it_is),
        cmocka_unit_test(a_silent_server_is_given_up),
        cmocka_unit_test(closing_is_told_once_at_any_moment),
        cmocka_unit_test(damaged_handshakes_end),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(authorities_come_from_a_file_or_from_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
