#pragma once

/*
 * A loop with TLS on a fake one, an owner that keeps what it reads, and a client that is OpenSSL
 * itself, whose bytes the test carries.
 */

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/alloc.h"
#include "base/list.h"
#include "lib/unit.h"
#include "net/tls/tls.h"
#include "unit/net/fake_tcp.h"
#include "unit/net/tls/pair.h"

struct fixture {
    struct pair ca;
    struct pair server;
    struct pair client;
    struct fake_loop *fake;
    struct net_tls_loop *tls;
    struct io_loop *loop; /* the one of `tls` */
    struct logger logger;
    unsigned lines;
};

/* One connection, seen from both ends. */
struct peer {
    struct fixture *f;
    struct io_tcp *stream;
    struct io_tcp *socket; /* the fake one behind it */
    SSL_CTX *context;
    SSL *ssl;
    size_t carried; /* of the socket's output */
    uint8_t room[1000];
    size_t room_size;
    size_t read_max; /* stops reading after so much; 0: goes on */
    struct fake_bytes got;
    bool close_in_read;
    int refusal; /* what the client's OpenSSL said last of a handshake that failed */
    unsigned ended;
    err_t error;
    unsigned drained;
    unsigned closed;
};

static inline void fixture_log(struct logger *logger, enum log_level level, const char *event,
                               struct slice text)
{
    struct fixture *f = CONTAINER_OF(logger, struct fixture, logger);
    assert_int_equal(level, LOG_LEVEL_WARNING);
    assert_string_equal(event, "tls_expected");
    assert_true(text.size > 0);
    f->lines++;
}

static inline struct net_tls *fixture_tls(const struct fixture *f, bool client_ca)
{
    struct net_tls_files files = pair_files(&f->server);
    struct err_text why = {0};
    struct net_tls *tls = NULL;
    if (client_ca)
        files.client_ca = slice_string(f->ca.certificate_pem);
    assert_true(err_is_ok(net_tls_new(&files, &tls, &why)));
    return tls;
}

static inline struct fixture *fixture_new(bool client_ca)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->ca = pair_new("authority", NULL);
    f->server = pair_new("localhost", &f->ca);
    f->client = pair_new("client", &f->ca);
    f->fake = fake_loop_new();
    f->logger.write = fixture_log;
    struct net_tls *tls = fixture_tls(f, client_ca);
    assert_true(err_is_ok(net_tls_loop_new(
        &(struct net_tls_options){.loop = &f->fake->loop, .tls = tls, .logger = &f->logger},
        &f->tls)));
    net_tls_free(&tls);
    f->loop = net_tls_loop_io(f->tls);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    assert_int_equal(f->fake->timer_count, 0);
    net_tls_loop_free(&f->tls);
    assert_null(f->tls);
    fake_loop_free(f->fake);
    pair_done(&f->ca);
    pair_done(&f->server);
    pair_done(&f->client);
    free(f);
}

static inline struct io_room peer_room(void *owner)
{
    struct peer *peer = owner;
    return (struct io_room){peer->room, peer->room_size};
}

static inline void peer_read(void *owner, size_t size)
{
    struct peer *peer = owner;
    fake_append(&peer->got, peer->room, size);
    if (peer->read_max && peer->got.size >= peer->read_max)
        io_tcp_read_stop(peer->f->loop, peer->stream);
    if (peer->close_in_read)
        io_tcp_close(peer->f->loop, peer->stream);
}

static inline void peer_ended(void *owner, err_t err)
{
    struct peer *peer = owner;
    peer->ended++;
    peer->error = err;
}

static inline void peer_drained(void *owner)
{
    ((struct peer *)owner)->drained++;
}

static inline void peer_closed(void *owner)
{
    ((struct peer *)owner)->closed++;
}

static const struct io_tcp_events peer_events = {.room = peer_room,
                                                 .read = peer_read,
                                                 .ended = peer_ended,
                                                 .drained = peer_drained,
                                                 .closed = peer_closed};

/* Connected, nothing said. `version` 0: any. */
static inline struct peer *peer_new(struct fixture *f, const struct pair *client, int version)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    peer->f = f;
    peer->room_size = sizeof(peer->room);
    assert_true(err_is_ok(io_tcp_open(f->loop, (struct io_socket){.fd = f->fake->tcp_count},
                                      &peer_events, peer, &peer->stream)));
    peer->socket = f->fake->tcps[f->fake->tcp_count - 1];
    peer->context = SSL_CTX_new(TLS_client_method());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(peer->context), f->ca.certificate);
    SSL_CTX_set_verify(peer->context, SSL_VERIFY_PEER, NULL);
    if (version)
        SSL_CTX_set_max_proto_version(peer->context, version);
    if (client) {
        SSL_CTX_use_certificate(peer->context, client->certificate);
        SSL_CTX_use_PrivateKey(peer->context, client->key);
    }
    peer->ssl = SSL_new(peer->context);
    SSL_set1_host(peer->ssl, "localhost");
    SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(peer->ssl);
    io_tcp_read_start(f->loop, peer->stream);
    return peer;
}

/* Carries bytes both ways until none are left. */
static inline void peer_carry(struct peer *peer)
{
    for (bool any = true; any;) {
        char *data;
        long size = BIO_get_mem_data(SSL_get_wbio(peer->ssl), &data);
        any = size > 0;
        if (any)
            fake_send(peer->socket, data, (size_t)size);
        (void)BIO_reset(SSL_get_wbio(peer->ssl));
        fake_run(peer->f->fake);
        size_t left = peer->socket->out.size - peer->carried;
        any |= left > 0;
        if (left)
            BIO_write(SSL_get_rbio(peer->ssl), peer->socket->out.data + peer->carried, (int)left);
        peer->carried += left;
        if (!SSL_is_init_finished(peer->ssl)) {
            ERR_clear_error();
            SSL_do_handshake(peer->ssl);
            if (ERR_peek_error())
                peer->refusal = ERR_GET_REASON(ERR_peek_error());
        }
    }
}

static inline void peer_shake(struct peer *peer)
{
    SSL_do_handshake(peer->ssl);
    peer_carry(peer);
}

static inline void peer_send(struct peer *peer, const void *data, size_t size)
{
    assert_int_equal(SSL_write(peer->ssl, data, (int)size), (int)size);
    peer_carry(peer);
}

static inline err_t peer_answer(struct peer *peer, const void *data, size_t size)
{
    struct slice part = slice_make(data, size);
    return io_tcp_write(peer->f->loop, peer->stream, &part, 1);
}

/* Closes, checks that it was told once, frees. */
static inline void peer_free(struct peer *peer)
{
    io_tcp_close(peer->f->loop, peer->stream);
    fake_run(peer->f->fake);
    assert_int_equal(peer->closed, 1);
    assert_true(peer->socket->closed);
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    free(peer->got.data);
    free(peer);
}
