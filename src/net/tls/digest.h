#pragma once

/*
 * Digests and what is built on them, from OpenSSL, for those who keep passwords. Pure; any thread.
 */

#include "base/err.h"
#include "base/slice.h"

enum net_tls_hash { NET_TLS_SHA256, NET_TLS_SHA512 };

/* The longest result. */
#define NET_TLS_DIGEST_MAX 64u

/* Bytes of a result: 32, 64. */
size_t net_tls_digest_size(enum net_tls_hash hash);
/* The digest of `data` (FIPS 180-4). ERR_MEMORY, as of all three. */
err_t net_tls_digest(enum net_tls_hash hash, struct slice data,
                     uint8_t out[static NET_TLS_DIGEST_MAX]);
/* HMAC of `data` under `key` (RFC 2104). */
err_t net_tls_hmac(enum net_tls_hash hash, struct slice key, struct slice data,
                   uint8_t out[static NET_TLS_DIGEST_MAX]);
/* PBKDF2 with HMAC (RFC 8018 section 5.2), as long as the digest. Takes milliseconds for thousands
 * of `iterations`, which is what it is for. */
err_t net_tls_pbkdf2(enum net_tls_hash hash, struct slice password, struct slice salt,
                     uint32_t iterations, uint8_t out[static NET_TLS_DIGEST_MAX]);
/* Compares in a time that does not tell where two secrets of the same size differ. */
bool net_tls_equal(const void *a, const void *b, size_t size);
/* Overwrites a secret, also where nobody would notice. */
void net_tls_wipe(void *data, size_t size);
