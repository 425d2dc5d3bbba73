#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "net/tls/digest.h"
#include "net/tls/tls_int.h"

/*
 * PEM to a context. Everything that can be wrong with an operator's files is found here, at the
 * start: a key that is somebody else's would fail every handshake, and say so to clients only.
 */

/* A client's chain of certificates; the rest of a handshake has limits of OpenSSL's own. */
#define CLIENT_CHAIN_BYTES_MAX 32768u
/* Chains are some kilobytes, lists of authorities some hundred. */
#define FILE_SIZE_MAX ((size_t)1 << 20)
/* Forward secrecy and authenticated encryption (RFC 9325 section 4.2). */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

/* An encrypted key must not be asked for on a terminal that no server has. */
static int no_password(char *out, int size, int writing, void *context)
{
    (void)writing;
    if (size > 0)
        *out = '\0';
    *(bool *)context = true;
    return -1;
}

/* What OpenSSL says of its reasons helps those who know OpenSSL; the file and what was expected
 * helps those who run a server. */
static err_t refuse(struct err_text *why, const char *name, const char *what)
{
    ERR_clear_error();
    return err_set(why, ERR_CONFIG, "%s: %s", name, what);
}

BIO *net_tls_open_pem(struct slice pem)
{
    ASSERT(pem.size <= INT_MAX);
    return BIO_new_mem_buf(pem.size ? (const void *)pem.data : "", (int)pem.size);
}

/* The next certificate of the file; NULL behind the last, `*broken` where it is none. */
static X509 *next_certificate(BIO *pem, bool *broken)
{
    X509 *certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    /* A file that ends and one that is cut are told apart by the last error alone. */
    *broken = !certificate && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    ERR_clear_error();
    return certificate;
}

static err_t use_certificates(SSL_CTX *context, BIO *pem, const char *name, struct err_text *why)
{
    bool broken = false;
    X509 *own = next_certificate(pem, &broken);
    if (!own)
        return refuse(why, name,
                      "expected a certificate in PEM, which begins with "
                      "-----BEGIN CERTIFICATE-----");
    int done = SSL_CTX_use_certificate(context, own);
    X509_free(own);
    if (!done)
        return refuse(why, name,
                      "OpenSSL refuses this certificate: expected RSA of 2048 bits or more, or a "
                      "P-256 curve, signed with SHA-256 or better");
    X509 *issuer;
    while ((issuer = next_certificate(pem, &broken)))
        if (!SSL_CTX_add0_chain_cert(context, issuer)) {
            X509_free(issuer);
            return refuse(why, name, "OpenSSL refuses a certificate behind the first");
        }
    return broken ? refuse(why, name, "a certificate behind the first is damaged") : err_ok();
}

static err_t use_key(SSL_CTX *context, BIO *pem, const struct net_tls_files *files,
                     struct err_text *why)
{
    bool encrypted = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, &encrypted);
    if (encrypted) {
        EVP_PKEY_free(key);
        return refuse(why, files->key_name,
                      "the key has a passphrase, which nobody is there to type; take it off with "
                      "openssl pkey -in FILE -out FILE2, and let only the server read that file");
    }
    if (!key)
        return refuse(
            why, files->key_name,
            "expected a private key in PEM, which begins with -----BEGIN PRIVATE KEY----- "
            "or the like");
    int done = SSL_CTX_use_PrivateKey(context, key);
    EVP_PKEY_free(key);
    if (!done || !SSL_CTX_check_private_key(context)) {
        ERR_clear_error();
        return err_set(why, ERR_CONFIG,
                       "%s: this key does not belong to the certificate in %s; give the pair that "
                       "was made together",
                       files->key_name, files->certificate_name);
    }
    return err_ok();
}

err_t net_tls_use_ca(SSL_CTX *context, BIO *pem, bool tell_clients, const char *name,
                     struct err_text *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    size_t count = 0;
    bool broken = false;
    for (X509 *ca = next_certificate(pem, &broken); ca; ca = next_certificate(pem, &broken)) {
        /* The list tells clients which of their certificates to send. */
        int done =
            X509_STORE_add_cert(store, ca) && (!tell_clients || SSL_CTX_add_client_CA(context, ca));
        X509_free(ca);
        if (!done)
            return refuse(why, name, "OpenSSL refuses a certificate of it");
        count++;
    }
    if (count == 0 || broken)
        return refuse(
            why, name,
            tell_clients ? "expected certificates in PEM, of those who sign clients' certificates"
                         : "expected certificates in PEM, of those who sign servers' certificates");
    return err_ok();
}

static err_t use_client_ca(SSL_CTX *context, BIO *pem, const char *name, struct err_text *why)
{
    TRY(net_tls_use_ca(context, pem, true, name, why));
    /* Without the second a client without any would be let in. */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return err_ok();
}

bool net_tls_set_rules(SSL_CTX *context)
{
    /* 112 bits, as RFC 9325 asks for: also what Debian's configuration says, which others lack. */
    SSL_CTX_set_security_level(context, 2);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Ten thousand idle connections are the common case. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(context, CLIENT_CHAIN_BYTES_MAX);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
           SSL_CTX_set_num_tickets(context, 0) && SSL_CTX_set_cipher_list(context, CIPHERS);
}

static err_t use_files(SSL_CTX *context, const struct net_tls_files *files, struct err_text *why)
{
    BIO *certificate = net_tls_open_pem(files->certificate);
    BIO *key = net_tls_open_pem(files->key);
    BIO *client_ca = net_tls_open_pem(files->client_ca);
    err_t err = err_make(certificate && key && client_ca ? ERR_OK : ERR_MEMORY);
    if (err_is_ok(err))
        err = use_certificates(context, certificate, files->certificate_name, why);
    if (err_is_ok(err))
        err = use_key(context, key, files, why);
    if (err_is_ok(err) && files->client_ca.size > 0)
        err = use_client_ca(context, client_ca, files->client_ca_name, why);
    BIO_free(certificate);
    BIO_free(key);
    BIO_free(client_ca);
    return err;
}

err_t net_tls_new(const struct net_tls_files *files, struct net_tls **out, struct err_text *why)
{
    ASSERT(files->certificate_name && files->key_name);
    ASSERT(files->client_ca.size == 0 || files->client_ca_name);
    struct net_tls *tls = mem_zalloc(1, sizeof(*tls));
    if (!tls)
        return err_make(ERR_MEMORY);
    ERR_clear_error();
    tls->context = SSL_CTX_new(TLS_server_method());
    err_t err = err_make(tls->context && net_tls_set_rules(tls->context) ? ERR_OK : ERR_MEMORY);
    if (err_is_ok(err))
        err = use_files(tls->context, files, why);
    if (!err_is_ok(err)) {
        net_tls_free(&tls);
        return err;
    }
    *out = tls;
    return err_ok();
}

err_t net_tls_read_file(struct io_disk *disk, const char *path, struct buf *out,
                        struct slice *bytes, struct err_text *why)
{
    /* At once in its whole size: growing would leave pieces of a key behind. */
    if (!buf_reserve(out, FILE_SIZE_MAX))
        return err_make(ERR_MEMORY);
    err_t err = io_disk_read_file(disk, path, FILE_SIZE_MAX, out, why);
    *bytes = buf_slice(out);
    return err_is_ok(err) || err_is(err, ERR_MEMORY) ? err : err_make(ERR_CONFIG);
}

err_t net_tls_read(struct io_disk *disk, const struct net_tls_files *files, struct net_tls **out,
                   struct err_text *why)
{
    struct net_tls_files read = *files;
    struct buf certificate = {0};
    struct buf key = {0};
    struct buf client_ca = {0};
    err_t err =
        net_tls_read_file(disk, read.certificate_name, &certificate, &read.certificate, why);
    if (err_is_ok(err))
        err = net_tls_read_file(disk, read.key_name, &key, &read.key, why);
    if (err_is_ok(err) && read.client_ca_name)
        err = net_tls_read_file(disk, read.client_ca_name, &client_ca, &read.client_ca, why);
    if (err_is_ok(err))
        err = net_tls_new(&read, out, why);
    /* The heap must not keep what only the context should have. */
    net_tls_wipe(key.data, key.size);
    buf_done(&certificate);
    buf_done(&key);
    buf_done(&client_ca);
    return err;
}

void net_tls_free(struct net_tls **tls)
{
    if (!*tls)
        return;
    /* Counted: connections and loops that use it hold it, too. */
    SSL_CTX_free((*tls)->context);
    mem_free(*tls);
    *tls = NULL;
}
