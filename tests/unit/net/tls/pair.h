#pragma once

/* Certificates with their keys (P-256), made when a test wants them, good for an hour. */

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/unit.h"
#include "net/tls/tls.h"

struct pair {
    X509 *certificate;
    EVP_PKEY *key;
    char *certificate_pem;
    char *key_pem;
};

static inline char *fixture_pem(BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    char *out = calloc(1, (size_t)size + 1);
    assert_non_null(out);
    memcpy(out, data, (size_t)size);
    BIO_free(bio);
    return out;
}

/* Signed by `issuer`; NULL: by itself. For other names than its own: `names`, as OpenSSL writes
 * them ("DNS:localhost"), or NULL. Valid until `seconds` from this moment. */
static inline struct pair pair_make(const char *name, const char *names, long seconds,
                                    const struct pair *issuer)
{
    struct pair out = {X509_new(), EVP_EC_gen("P-256"), NULL, NULL};
    X509_set_version(out.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(out.certificate), (long)strlen(name));
    X509_gmtime_adj(X509_getm_notBefore(out.certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(out.certificate), seconds);
    X509_set_pubkey(out.certificate, out.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(out.certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(out.certificate,
                         X509_get_subject_name(issuer ? issuer->certificate : out.certificate));
    if (!issuer) {
        X509_EXTENSION *ca =
            X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
        X509_add_ext(out.certificate, ca, -1);
        X509_EXTENSION_free(ca);
    }
    if (names) {
        X509_EXTENSION *alternative = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
        assert_non_null(alternative);
        X509_add_ext(out.certificate, alternative, -1);
        X509_EXTENSION_free(alternative);
    }
    assert_true(X509_sign(out.certificate, issuer ? issuer->key : out.key, EVP_sha256()));
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, out.certificate);
    out.certificate_pem = fixture_pem(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, out.key, NULL, NULL, 0, NULL, NULL);
    out.key_pem = fixture_pem(bio);
    return out;
}

static inline struct pair pair_new(const char *name, const struct pair *issuer)
{
    return pair_make(name, NULL, 3600, issuer);
}

static inline void pair_done(struct pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
    free(pair->certificate_pem);
    free(pair->key_pem);
}

static inline struct net_tls_files pair_files(const struct pair *pair)
{
    return (struct net_tls_files){.certificate = slice_string(pair->certificate_pem),
                                  .key = slice_string(pair->key_pem),
                                  .certificate_name = "server.pem",
                                  .key_name = "server.key",
                                  .client_ca_name = "clients.pem"};
}
