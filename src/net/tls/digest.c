#include "net/tls/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/assert.h"

/* OpenSSL looks algorithms up by name and allocates as it goes: the only failure left is memory,
 * since what is asked for is always built in. */

static const EVP_MD *algorithm(enum net_tls_hash hash)
{
    ASSERT(hash == NET_TLS_SHA256 || hash == NET_TLS_SHA512);
    return hash == NET_TLS_SHA256 ? EVP_sha256() : EVP_sha512();
}

size_t net_tls_digest_size(enum net_tls_hash hash)
{
    return hash == NET_TLS_SHA256 ? 32 : 64;
}

err_t net_tls_digest(enum net_tls_hash hash, struct slice data,
                     uint8_t out[static NET_TLS_DIGEST_MAX])
{
    unsigned size = 0;
    /* In one call: there is no state between pieces to be lost. */
    int done = EVP_Digest(data.data, data.size, out, &size, algorithm(hash), NULL);
    ASSERT(!done || size == net_tls_digest_size(hash));
    return err_make(done ? ERR_OK : ERR_MEMORY);
}

err_t net_tls_hmac(enum net_tls_hash hash, struct slice key, struct slice data,
                   uint8_t out[static NET_TLS_DIGEST_MAX])
{
    unsigned size = 0;
    ASSERT(key.size <= INT_MAX);
    /* NULL as a key would mean the last one's. */
    const void *bytes = key.size ? (const void *)key.data : "";
    bool done = HMAC(algorithm(hash), bytes, (int)key.size, data.data, data.size, out, &size);
    ASSERT(!done || size == net_tls_digest_size(hash));
    return err_make(done ? ERR_OK : ERR_MEMORY);
}

err_t net_tls_pbkdf2(enum net_tls_hash hash, struct slice password, struct slice salt,
                     uint32_t iterations, uint8_t out[static NET_TLS_DIGEST_MAX])
{
    ASSERT(iterations > 0 && iterations <= INT_MAX);
    ASSERT(password.size <= INT_MAX && salt.size <= INT_MAX);
    const char *text = password.size ? (const char *)password.data : "";
    int done =
        PKCS5_PBKDF2_HMAC(text, (int)password.size, salt.data, (int)salt.size, (int)iterations,
                          algorithm(hash), (int)net_tls_digest_size(hash), out);
    return err_make(done ? ERR_OK : ERR_MEMORY);
}

bool net_tls_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

void net_tls_wipe(void *data, size_t size)
{
    ASSERT(data || size == 0);
    OPENSSL_cleanse(data, size);
}
