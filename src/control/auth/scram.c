#include "control/auth/scram.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "control/auth/scram_int.h"

/*
 * The happy path (RFC 5802 section 5): the client says its name and a nonce; the server adds its
 * own nonce, the salt and the count; the client proves that it knows the key that these make of the
 * password, without saying it; the server proves that it holds what was made of the same password.
 * Both proofs are over all that was said, so that nobody in between can have changed it.
 *
 * Failure modes: every message is a peer's. What is held does not let its reader act as the client:
 * that takes the key of which it is a digest. An unknown name gets an exchange like any other, with
 * a salt of its own that is always the same, and fails at its end.
 */

#define CLIENT_KEY "Client Key"
#define SERVER_KEY "Server Key"
/* What a proof takes as base64, with room for the longest. */
#define PROOF_MAX 128u

static const enum net_tls_hash hashes[CONTROL_AUTH_MECHANISMS] = {
    [CONTROL_AUTH_SHA256] = NET_TLS_SHA256,
    [CONTROL_AUTH_SHA512] = NET_TLS_SHA512,
};

const char *control_auth_mechanism_name(enum control_auth_mechanism mechanism)
{
    static const char *const names[CONTROL_AUTH_MECHANISMS] = {"SCRAM-SHA-256", "SCRAM-SHA-512"};
    ASSERT(mechanism < CONTROL_AUTH_MECHANISMS);
    return names[mechanism];
}

size_t control_auth_key_size(enum control_auth_mechanism mechanism)
{
    ASSERT(mechanism < CONTROL_AUTH_MECHANISMS);
    return net_tls_digest_size(hashes[mechanism]);
}

enum net_tls_hash control_auth_hash(enum control_auth_mechanism mechanism)
{
    ASSERT(mechanism < CONTROL_AUTH_MECHANISMS);
    return hashes[mechanism];
}

struct slice control_auth_key(enum control_auth_mechanism mechanism, const uint8_t *bytes)
{
    return slice_make(bytes, control_auth_key_size(mechanism));
}

err_t control_auth_keys(enum control_auth_mechanism mechanism, struct slice password,
                        struct slice salt, uint32_t iterations,
                        uint8_t client[static NET_TLS_DIGEST_MAX],
                        uint8_t server[static NET_TLS_DIGEST_MAX])
{
    enum net_tls_hash hash = control_auth_hash(mechanism);
    uint8_t salted[NET_TLS_DIGEST_MAX];
    ASSERT(iterations > 0 && iterations <= CONTROL_AUTH_ITERATIONS_MAX);
    err_t err = net_tls_pbkdf2(hash, password, salt, iterations, salted);
    struct slice key = control_auth_key(mechanism, salted);
    if (err_is_ok(err))
        err = net_tls_hmac(hash, key, SLICE_LITERAL(CLIENT_KEY), client);
    if (err_is_ok(err))
        err = net_tls_hmac(hash, key, SLICE_LITERAL(SERVER_KEY), server);
    net_tls_wipe(salted, sizeof(salted));
    return err;
}

err_t control_auth_derive(enum control_auth_mechanism mechanism, struct slice password,
                          struct slice salt, uint32_t iterations, struct control_auth_secret *out)
{
    struct control_auth_secret secret = {.iterations = iterations,
                                         .salt_size = (uint32_t)salt.size};
    uint8_t client[NET_TLS_DIGEST_MAX];
    ASSERT(salt.size > 0 && salt.size <= CONTROL_AUTH_SALT_MAX);
    memcpy(secret.salt, salt.data, salt.size);
    err_t err = control_auth_keys(mechanism, password, salt, iterations, client, secret.server_key);
    if (err_is_ok(err))
        err = net_tls_digest(control_auth_hash(mechanism), control_auth_key(mechanism, client),
                             secret.stored_key);
    if (err_is_ok(err))
        *out = secret;
    net_tls_wipe(client, sizeof(client));
    return err;
}

err_t control_auth_check(enum control_auth_mechanism mechanism,
                         const struct control_auth_secret *secret, struct slice password,
                         bool *same)
{
    struct control_auth_secret given;
    TRY(control_auth_derive(mechanism, password, slice_make(secret->salt, secret->salt_size),
                            secret->iterations, &given));
    *same = net_tls_equal(given.stored_key, secret->stored_key, control_auth_key_size(mechanism));
    net_tls_wipe(&given, sizeof(given));
    return err_ok();
}

bool control_auth_take(struct slice *rest, char letter, struct slice *value)
{
    if (rest->size < 2 || rest->data[0] != (uint8_t)letter || rest->data[1] != '=')
        return false;
    const uint8_t *comma = memchr(rest->data, ',', rest->size);
    size_t end = comma ? (size_t)(comma - rest->data) : rest->size;
    *value = slice_sub(*rest, 2, end - 2);
    *rest = slice_sub(*rest, comma ? end + 1 : end, rest->size);
    return true;
}

/* "=2C" is a comma and "=3D" an equals sign; nothing else begins with one. */
static err_t unescape(struct slice text, uint8_t out[static CONTROL_AUTH_NAME_MAX],
                      struct slice *name)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '=') {
            struct slice code = slice_sub(text, i + 1, 2);
            if (!slice_equal_string(code, "2C") && !slice_equal_string(code, "3D"))
                return err_make(ERR_SYNTAX);
            byte = code.data[0] == '2' ? ',' : '=';
            i += 2;
        }
        if (size == CONTROL_AUTH_NAME_MAX || byte == '\0')
            return err_make(ERR_SYNTAX);
        out[size++] = byte;
    }
    *name = slice_make(out, size);
    return err_make(size > 0 && utf8_valid(*name) ? ERR_OK : ERR_SYNTAX);
}

bool control_auth_nonce_valid(struct slice nonce)
{
    for (size_t i = 0; i < nonce.size; i++)
        if (nonce.data[i] < 0x21 || nonce.data[i] > 0x7e)
            return false;
    return nonce.size > 0;
}

err_t control_auth_read_first(struct slice message, uint8_t name[static CONTROL_AUTH_NAME_MAX],
                              struct control_auth_first *out)
{
    struct control_auth_first first = {0};
    struct slice rest = message;
    struct slice act_as = {0};
    struct slice escaped;
    if (message.size > CONTROL_AUTH_MESSAGE_MAX || message.size < 2)
        return err_make(ERR_SYNTAX);
    /* "p" asks for channel binding, of which nothing was said; "y" only tells of it. */
    if (message.data[0] == 'p')
        return err_make(ERR_UNSUPPORTED);
    if ((message.data[0] != 'n' && message.data[0] != 'y') || message.data[1] != ',')
        return err_make(ERR_SYNTAX);
    rest = slice_sub(rest, 2, rest.size);
    if (!control_auth_take(&rest, 'a', &act_as)) {
        if (rest.size == 0 || rest.data[0] != ',')
            return err_make(ERR_SYNTAX);
        rest = slice_sub(rest, 1, rest.size);
    }
    first.header = slice_sub(message, 0, message.size - rest.size);
    first.bare = rest;
    if (control_auth_take(&rest, 'm', &escaped))
        return err_make(ERR_UNSUPPORTED);
    if (!control_auth_take(&rest, 'n', &escaped) || !control_auth_take(&rest, 'r', &first.nonce) ||
        !control_auth_nonce_valid(first.nonce))
        return err_make(ERR_SYNTAX);
    /* Both escaped in the same way, so what is the same is written the same. */
    if (act_as.size > 0 && !slice_equal(act_as, escaped))
        return err_make(ERR_UNSUPPORTED);
    TRY(unescape(escaped, name, &first.name));
    *out = first;
    return err_ok();
}

err_t control_auth_begin(struct control_auth_exchange *exchange,
                         enum control_auth_mechanism mechanism,
                         const struct control_auth_secret *secret, bool known,
                         const struct control_auth_first *first, struct slice nonce,
                         struct buf *out)
{
    struct buf reply = {0};
    *exchange =
        (struct control_auth_exchange){.mechanism = mechanism, .secret = *secret, .known = known};
    buf_add_slice(&exchange->nonce, first->nonce);
    buf_add_slice(&exchange->nonce, nonce);
    buf_add_base64(&exchange->header, first->header);
    buf_add_string(&reply, "r=");
    buf_add_slice(&reply, buf_slice(&exchange->nonce));
    buf_add_string(&reply, ",s=");
    buf_add_base64(&reply, slice_make(secret->salt, secret->salt_size));
    buf_add_format(&reply, ",i=%u", secret->iterations);
    buf_add_slice(&exchange->said, first->bare);
    buf_add_byte(&exchange->said, ',');
    buf_add_slice(&exchange->said, buf_slice(&reply));
    buf_add_slice(out, buf_slice(&reply));
    bool all = buf_ok(&exchange->nonce) && buf_ok(&exchange->header) && buf_ok(&exchange->said) &&
               buf_ok(&reply) && buf_ok(out);
    buf_done(&reply);
    return err_make(all ? ERR_OK : ERR_MEMORY);
}

/* The client's key comes out of its proof, and what is held is that key's digest. */
static err_t check_proof(const struct control_auth_exchange *exchange, const uint8_t *proof)
{
    enum net_tls_hash hash = hashes[exchange->mechanism];
    size_t size = control_auth_key_size(exchange->mechanism);
    uint8_t signature[NET_TLS_DIGEST_MAX];
    uint8_t key[NET_TLS_DIGEST_MAX];
    TRY(net_tls_hmac(hash, control_auth_key(exchange->mechanism, exchange->secret.stored_key),
                     buf_slice(&exchange->said), signature));
    for (size_t i = 0; i < size; i++)
        key[i] = signature[i] ^ proof[i];
    TRY(net_tls_digest(hash, slice_make(key, size), signature));
    /* Compared also where it cannot be right: the time is the same. */
    bool same = net_tls_equal(signature, exchange->secret.stored_key, size);
    net_tls_wipe(key, sizeof(key));
    return err_make(same && exchange->known ? ERR_OK : ERR_PERMISSION);
}

static err_t add_verifier(const struct control_auth_exchange *exchange, struct buf *out)
{
    uint8_t signature[NET_TLS_DIGEST_MAX];
    TRY(net_tls_hmac(hashes[exchange->mechanism],
                     control_auth_key(exchange->mechanism, exchange->secret.server_key),
                     buf_slice(&exchange->said), signature));
    buf_add_string(out, "v=");
    buf_add_base64(out, control_auth_key(exchange->mechanism, signature));
    return buf_error(out);
}

/* Where the proof begins is where the message's signed part ends: at its last attribute. */
static bool split(struct slice message, struct slice *before, struct slice *proof)
{
    for (size_t i = message.size; i >= 3; i--)
        if (memcmp(message.data + i - 3, ",p=", 3) == 0) {
            *before = slice_sub(message, 0, i - 3);
            *proof = slice_sub(message, i, message.size);
            return true;
        }
    return false;
}

err_t control_auth_finish(struct control_auth_exchange *exchange, struct slice message,
                          struct buf *out)
{
    struct slice before, proof, header, nonce;
    if (message.size > CONTROL_AUTH_MESSAGE_MAX || !split(message, &before, &proof))
        return err_make(ERR_SYNTAX);
    struct slice rest = before;
    /* The header again, so that nobody can have changed what it asked for; and the nonce, so that
     * an exchange that was overheard is worth nothing. librdkafka before 2.6.1 says its own part
     * twice, which Kafka lets pass: ours is behind it all the same, and the proof is over both. */
    if (!control_auth_take(&rest, 'c', &header) ||
        !slice_equal(header, buf_slice(&exchange->header)) ||
        !control_auth_take(&rest, 'r', &nonce) ||
        !slice_ends_with(nonce, buf_slice(&exchange->nonce)))
        return err_make(ERR_SYNTAX);
    struct buf bytes;
    /* Capped: its size is the peer's to choose. */
    buf_init(&bytes, PROOF_MAX);
    err_t err = base64_decode(proof, &bytes);
    if (err_is_ok(err) && bytes.size != control_auth_key_size(exchange->mechanism))
        err = err_make(ERR_SYNTAX);
    if (err_is(err, ERR_TOO_LARGE))
        err = err_make(ERR_SYNTAX);
    buf_add_byte(&exchange->said, ',');
    buf_add_slice(&exchange->said, before);
    if (err_is_ok(err))
        err = buf_error(&exchange->said);
    if (err_is_ok(err))
        err = check_proof(exchange, bytes.data);
    buf_done(&bytes);
    return err_is_ok(err) ? add_verifier(exchange, out) : err;
}

void control_auth_done(struct control_auth_exchange *exchange)
{
    buf_done(&exchange->nonce);
    buf_done(&exchange->header);
    buf_done(&exchange->said);
    net_tls_wipe(&exchange->secret, sizeof(exchange->secret));
}

err_t control_auth_read_plain(struct slice message, struct slice *act_as, struct slice *name,
                              struct slice *password)
{
    struct slice parts[3];
    if (message.size > CONTROL_AUTH_MESSAGE_MAX)
        return err_make(ERR_SYNTAX);
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *end = message.size ? memchr(message.data, '\0', message.size) : NULL;
        if (!end)
            return err_make(ERR_SYNTAX);
        size_t size = (size_t)(end - message.data);
        parts[i] = slice_sub(message, 0, size);
        message = slice_sub(message, size + 1, message.size);
    }
    parts[2] = message;
    /* A third zero would be part of a password that no other mechanism could send. */
    bool valid = parts[1].size > 0 && parts[1].size <= CONTROL_AUTH_NAME_MAX && parts[2].size > 0 &&
                 parts[2].size <= CONTROL_AUTH_PASSWORD_MAX &&
                 !memchr(parts[2].data, '\0', parts[2].size);
    if (!valid)
        return err_make(ERR_SYNTAX);
    *act_as = parts[0];
    *name = parts[1];
    *password = parts[2];
    return err_ok();
}
