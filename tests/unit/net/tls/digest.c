#include "net/tls/digest.h"

#include <string.h>

#include "base/sha256.h"
#include "lib/unit.h"

static void assert_hex(const uint8_t *data, size_t size, const char *hex)
{
    char text[2 * NET_TLS_DIGEST_MAX + 1];
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", data[i]);
    assert_string_equal(text, hex);
}

static void digests_are_those_of_the_standard(void **state)
{
    (void)state;
    uint8_t out[NET_TLS_DIGEST_MAX];
    uint8_t own[SHA256_SIZE];
    assert_true(err_is_ok(net_tls_digest(NET_TLS_SHA256, SLICE_LITERAL("abc"), out)));
    sha256(SLICE_LITERAL("abc"), own);
    assert_memory_equal(out, own, sizeof(own));
    /* FIPS 180-4's example. */
    assert_true(err_is_ok(net_tls_digest(NET_TLS_SHA512, SLICE_LITERAL("abc"), out)));
    assert_hex(out, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    assert_int_equal(net_tls_digest_size(NET_TLS_SHA256), 32);
    assert_int_equal(net_tls_digest_size(NET_TLS_SHA512), 64);
}

/* RFC 4231 sections 4.3 (a key shorter than the digest) and 4.7 (longer than a block). */
static void hmacs_are_those_of_the_standard(void **state)
{
    (void)state;
    uint8_t out[NET_TLS_DIGEST_MAX];
    uint8_t long_key[131];
    struct slice what = SLICE_LITERAL("what do ya want for nothing?");
    struct slice hash = SLICE_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First");
    memset(long_key, 0xaa, sizeof(long_key));
    assert_true(err_is_ok(net_tls_hmac(NET_TLS_SHA256, SLICE_LITERAL("Jefe"), what, out)));
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(err_is_ok(net_tls_hmac(NET_TLS_SHA512, SLICE_LITERAL("Jefe"), what, out)));
    assert_hex(out, 64,
               "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    struct slice key = slice_make(long_key, sizeof(long_key));
    assert_true(err_is_ok(net_tls_hmac(NET_TLS_SHA256, key, hash, out)));
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_true(err_is_ok(net_tls_hmac(NET_TLS_SHA256, slice_make(NULL, 0), what, out)));
    uint8_t again[NET_TLS_DIGEST_MAX];
    assert_true(err_is_ok(net_tls_hmac(NET_TLS_SHA256, SLICE_LITERAL(""), what, again)));
    assert_memory_equal(out, again, 32);
}

/* RFC 7914 section 11 has two for SHA-256. */
static void passwords_are_stretched_as_the_standard_says(void **state)
{
    (void)state;
    uint8_t out[NET_TLS_DIGEST_MAX];
    assert_true(err_is_ok(
        net_tls_pbkdf2(NET_TLS_SHA256, SLICE_LITERAL("passwd"), SLICE_LITERAL("salt"), 1, out)));
    assert_hex(out, 32, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    assert_true(err_is_ok(net_tls_pbkdf2(NET_TLS_SHA256, SLICE_LITERAL("Password"),
                                         SLICE_LITERAL("NaCl"), 80000, out)));
    assert_hex(out, 32, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
    uint8_t other[NET_TLS_DIGEST_MAX];
    assert_true(err_is_ok(
        net_tls_pbkdf2(NET_TLS_SHA512, SLICE_LITERAL(""), SLICE_LITERAL("salt"), 2, out)));
    assert_true(err_is_ok(
        net_tls_pbkdf2(NET_TLS_SHA512, slice_make(NULL, 0), SLICE_LITERAL("salt"), 2, other)));
    assert_memory_equal(out, other, 64);
}

static void secrets_are_compared_and_overwritten(void **state)
{
    (void)state;
    uint8_t a[] = {1, 2, 3, 4};
    uint8_t b[] = {1, 2, 3, 5};
    static const uint8_t none[4];
    assert_false(net_tls_equal(a, b, 4));
    assert_true(net_tls_equal(a, b, 3));
    net_tls_wipe(a, sizeof(a));
    assert_memory_equal(a, none, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(hmacs_are_those_of_the_standard),
        cmocka_unit_test(passwords_are_stretched_as_the_standard_says),
        cmocka_unit_test(secrets_are_compared_and_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
