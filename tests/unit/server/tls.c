#include <openssl/ssl.h>

#include "unit/net/tls/pair.h"
#include "unit/server/world.h"

#define TLS "tls: { cert: ./server.pem, key: ./server.key }"

static void configure(const struct world *w, const char *tls)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "data_dir: ./data\nmemory_limit: 64MiB\nwal_limit: 64MiB\nloops: 2\n"
             "intake: { listen: '%s:%d' }\nadmin: { listen: '%s:%d' }\n"
             "kafka: { listen: '%s:%d', %s }\ncontracts: [ '*.topic' ]\n",
             w->address, INTAKE_PORT, w->address, ADMIN_PORT, w->address, KAFKA_PORT, tls);
    world_write(w, "garner.yaml", text);
}

static struct pair put_pair(const struct world *w, const char *name)
{
    struct pair pair = pair_new(name, NULL);
    world_write(w, "server.pem", pair.certificate_pem);
    world_write(w, "server.key", pair.key_pem);
    return pair;
}

/* What the Kafka door shows, X509_free; NULL: no handshake. */
static X509 *shown(const struct world *w)
{
    int fd = world_connect(w, KAFKA_PORT);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    assert_true(fd >= 0 && ssl && SSL_set_fd(ssl, fd));
    X509 *certificate = SSL_connect(ssl) == 1 ? SSL_get1_peer_certificate(ssl) : NULL;
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    return certificate;
}

static void assert_shown(const struct world *w, const struct pair *pair)
{
    X509 *certificate = shown(w);
    assert_non_null(certificate);
    assert_int_equal(X509_cmp(certificate, pair->certificate), 0);
    X509_free(certificate);
}

static void expect_reload(const struct world *w, const char *part)
{
    char *answer = world_ask(w, ADMIN_PORT, "POST", "/v1/reload", NULL, NULL);
    assert_has(answer, part);
    free(answer);
}

/* Many connections, so that each of the two loops has some. */
static void a_renewed_certificate_is_shown_after_a_reload(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    configure(&w, TLS);
    struct pair first = put_pair(&w, "first");
    world_start(&w);
    for (int i = 0; i < 4; i++)
        assert_shown(&w, &first);
    struct pair second = put_pair(&w, "second");
    assert_shown(&w, &first);
    expect_reload(&w, "\"reloaded\":true");
    for (int i = 0; i < 4; i++)
        assert_shown(&w, &second);
    /* One that is wrong leaves the one before. */
    world_write(&w, "server.key", first.key_pem);
    expect_reload(&w, "this key does not belong to the certificate");
    assert_shown(&w, &second);
    world_until(&w, "/metrics", "garner_kafka_tls_handshakes_total 10");
    world_stop(&w);
    pair_done(&first);
    pair_done(&second);
    world_done(&w);
}

static void without_a_certificate_there_is_no_tls(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    assert_null(shown(&w));
    char *metrics = world_get(&w, "/metrics");
    assert_null(strstr(metrics, "garner_kafka_tls"));
    free(metrics);
    world_stop(&w);
    world_done(&w);
}

static void expect_no_start(struct world *w, const char *part)
{
    struct err_text why = {0};
    err_t err = server_run(&w->options, &why);
    assert_true(err_is(err, ERR_CONFIG));
    assert_has(why.text, "kafka.tls");
    assert_has(why.text, part);
}

static void files_that_are_wrong_are_told_at_the_start(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    configure(&w, TLS);
    expect_no_start(&w, "server.pem");
    struct pair pair = put_pair(&w, "one");
    world_write(&w, "server.key", "");
    expect_no_start(&w, "server.key: expected a private key in PEM");
    assert_int_equal(unlink(world_path(&w, "server.key")), 0);
    expect_no_start(&w, "server.key");
    pair_done(&pair);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewed_certificate_is_shown_after_a_reload),
        cmocka_unit_test(without_a_certificate_there_is_no_tls),
        cmocka_unit_test(files_that_are_wrong_are_told_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
