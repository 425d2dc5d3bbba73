#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "net/tls/tls_int.h"

/*
 * Whom a client trusts. There is no way to trust anybody: a certificate that nobody else vouches
 * for is trusted by giving it as its own authority.
 */

/* Whom to trust, and that nothing else is. */
static err_t use_trust(SSL_CTX *context, struct slice ca, const char *name, struct err_text *why)
{
    X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    /* What is given by hand need not be an authority: a server's own certificate will do. */
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* Where the system has none, nobody is trusted, and the first server that is met tells so. */
    if (!ca.data)
        return err_make(SSL_CTX_set_default_verify_paths(context) ? ERR_OK : ERR_MEMORY);
    BIO *pem = net_tls_open_pem(ca);
    err_t err = pem ? net_tls_use_ca(context, pem, false, name, why) : err_make(ERR_MEMORY);
    BIO_free(pem);
    return err;
}

err_t net_tls_client_new(struct slice ca, const char *name, struct net_tls **out,
                         struct err_text *why)
{
    ASSERT(!ca.data || name);
    struct net_tls *tls = mem_zalloc(1, sizeof(*tls));
    if (!tls)
        return err_make(ERR_MEMORY);
    ERR_clear_error();
    tls->client = true;
    tls->context = SSL_CTX_new(TLS_client_method());
    err_t err = err_make(tls->context && net_tls_set_rules(tls->context) ? ERR_OK : ERR_MEMORY);
    if (err_is_ok(err))
        err = use_trust(tls->context, ca, name, why);
    if (!err_is_ok(err)) {
        net_tls_free(&tls);
        return err;
    }
    *out = tls;
    return err_ok();
}

err_t net_tls_client_read(struct io_disk *disk, const char *path, struct net_tls **out,
                          struct err_text *why)
{
    struct slice ca = slice_make(NULL, 0);
    struct buf bytes = {0};
    err_t err = path ? net_tls_read_file(disk, path, &bytes, &ca, why) : err_ok();
    if (err_is_ok(err))
        err = net_tls_client_new(ca, path, out, why);
    buf_done(&bytes);
    return err;
}

/* What a person can do about a server whose certificate was refused. */
static const char *refusal_of(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the server's certificate has expired; it has to get another one";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the server's certificate is not valid yet; are the clocks right?";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "the server's certificate is of other names: connect to one of those";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "the server's certificate was signed by nobody who is trusted here: give the "
               "certificate of who signed it";
    default: return NULL;
    }
}

void net_tls_trust_why(const SSL *ssl, struct err_text *why)
{
    long verified = SSL_get_verify_result(ssl);
    const char *known = refusal_of(verified);
    /* Alerts of the server are among them. */
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    if (known)
        (void)err_set(why, ERR_INVALID, "%s", known);
    else if (verified != X509_V_OK)
        (void)err_set(why, ERR_INVALID, "the server's certificate is refused: %s",
                      X509_verify_cert_error_string(verified));
    else
        (void)err_set(why, ERR_INVALID, "TLS failed: %s", reason ? reason : "no reason is known");
}

err_t net_tls_trust_expect(SSL *ssl, const char *name)
{
    /* Without a name OpenSSL would take any. */
    ASSERT(name[0]);
    /* A number is in a certificate as such, and is not told to the server (RFC 6066 section 3). */
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name))
        return err_ok();
    /* That it was no number is no error, and must not be taken for the handshake's. */
    ERR_clear_error();
    /* What SSL_set_tlsext_host_name is, which casts the const away. */
    bool done =
        SSL_set1_host(ssl, name) && SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
                                             TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name);
    return err_make(done ? ERR_OK : ERR_MEMORY);
}

err_t net_tls_trust_host(const char *address, char out[static NET_TLS_HOST_SIZE],
                         struct err_text *why)
{
    struct slice host = slice_string(address);
    /* The last colon: an IPv6 address has more. */
    while (host.size > 0 && host.data[host.size - 1] != ':')
        host.size--;
    host.size -= host.size > 0;
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
        host = slice_sub(host, 1, host.size - 2);
    if (host.size == 0 || host.size >= NET_TLS_HOST_SIZE)
        return err_set(why, ERR_INVALID, "address \"%s\": expected host:port", address);
    memcpy(out, host.data, host.size);
    out[host.size] = '\0';
    return err_ok();
}
