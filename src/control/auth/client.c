#include "control/auth/client.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/number.h"
#include "control/auth/scram_int.h"

/*
 * The happy path is told in scram.c. Failure modes: who answers may be anybody who took the
 * server's place. It gets a proof that is of use with its own nonce only, and no password; fewer
 * rounds than RFC 7677 asks for would make guessing the password from the proof cheap, so they are
 * refused; and that it cannot sign what was said shows it in the end.
 */

#define SALT_MAX 1024u
/* "n,,": no channel binding, and nobody else to act for; in base64. */
#define HEADER "n,,"
#define HEADER_BASE64 "biws"

/* A comma ends an attribute, and an equals sign is how it is escaped. */
static void add_name(struct slice name, struct buf *out)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == ',')
            buf_add_string(out, "=2C");
        else if (name.data[i] == '=')
            buf_add_string(out, "=3D");
        else
            buf_add_byte(out, name.data[i]);
}

err_t control_auth_client_begin(struct control_auth_client *client,
                                enum control_auth_mechanism mechanism, struct slice name,
                                struct slice nonce, struct buf *out)
{
    ASSERT(name.size > 0 && name.size <= CONTROL_AUTH_NAME_MAX && control_auth_nonce_valid(nonce));
    *client = (struct control_auth_client){.mechanism = mechanism, .nonce_size = nonce.size};
    buf_add_string(&client->said, "n=");
    add_name(name, &client->said);
    buf_add_string(&client->said, ",r=");
    buf_add_slice(&client->said, nonce);
    buf_add_string(out, HEADER);
    buf_add_slice(out, buf_slice(&client->said));
    return err_make(buf_ok(&client->said) && buf_ok(out) ? ERR_OK : ERR_MEMORY);
}

struct asked {
    struct slice nonce;
    struct buf salt;
    uint32_t iterations;
};

/* What the server asks for. */
static err_t read_asked(const struct control_auth_client *client, struct slice message,
                        struct asked *out, struct err_text *why)
{
    struct slice rest = message, extension, salt, count;
    struct slice said = buf_slice(&client->said);
    struct slice own = slice_sub(said, said.size - client->nonce_size, client->nonce_size);
    uint64_t iterations = 0;
    /* The one attribute that must be understood where it stands (RFC 5802 section 5.1). */
    if (control_auth_take(&rest, 'm', &extension))
        return err_set(why, ERR_UNSUPPORTED, "the server asks for an extension of SCRAM");
    /* Its numbers do not begin with a zero (posit-number, RFC 5802 section 7). */
    if (message.size > CONTROL_AUTH_MESSAGE_MAX || !control_auth_take(&rest, 'r', &out->nonce) ||
        !control_auth_take(&rest, 's', &salt) || !control_auth_take(&rest, 'i', &count) ||
        slice_starts_with(count, SLICE_LITERAL("0")) ||
        !err_is_ok(number_parse_u64(count, &iterations)))
        return err_set(why, ERR_SYNTAX, "the server's first message is none of SCRAM");
    /* One without a part of its own could be said again to anybody. */
    if (!slice_starts_with(out->nonce, own) || out->nonce.size == own.size ||
        !control_auth_nonce_valid(out->nonce))
        return err_set(why, ERR_SYNTAX, "the server's nonce does not begin with ours");
    if (iterations < CONTROL_AUTH_ITERATIONS || iterations > CONTROL_AUTH_ITERATIONS_MAX)
        return err_set(why, ERR_UNSUPPORTED,
                       "the server asks for %llu rounds of SCRAM; %u to %u are made here",
                       (unsigned long long)iterations, CONTROL_AUTH_ITERATIONS,
                       CONTROL_AUTH_ITERATIONS_MAX);
    out->iterations = (uint32_t)iterations;
    /* Capped: its size is the peer's to choose. */
    buf_init(&out->salt, SALT_MAX);
    err_t err = base64_decode(salt, &out->salt);
    if (err_is(err, ERR_MEMORY) || (err_is_ok(err) && out->salt.size > 0))
        return err;
    return err_set(why, ERR_SYNTAX, "the server's salt is none");
}

/* Both signatures over all that was said; the client's hides its key. */
static err_t sign(struct control_auth_client *client, struct slice password,
                  const struct asked *asked, uint8_t proof[static NET_TLS_DIGEST_MAX])
{
    enum control_auth_mechanism mechanism = client->mechanism;
    enum net_tls_hash hash = control_auth_hash(mechanism);
    struct slice said = buf_slice(&client->said);
    uint8_t key[NET_TLS_DIGEST_MAX], server[NET_TLS_DIGEST_MAX], stored[NET_TLS_DIGEST_MAX];
    err_t err = control_auth_keys(mechanism, password, buf_slice(&asked->salt), asked->iterations,
                                  key, server);
    if (err_is_ok(err))
        err = net_tls_digest(hash, control_auth_key(mechanism, key), stored);
    if (err_is_ok(err))
        err = net_tls_hmac(hash, control_auth_key(mechanism, stored), said, proof);
    if (err_is_ok(err))
        err = net_tls_hmac(hash, control_auth_key(mechanism, server), said, client->signature);
    for (size_t i = 0; err_is_ok(err) && i < control_auth_key_size(mechanism); i++)
        proof[i] ^= key[i];
    /* With either of them somebody could act as the user, or as the server. */
    net_tls_wipe(key, sizeof(key));
    net_tls_wipe(server, sizeof(server));
    return err;
}

err_t control_auth_client_prove(struct control_auth_client *client, struct slice message,
                                struct slice password, struct buf *out, struct err_text *why)
{
    struct asked asked = {0};
    struct buf last = {0};
    uint8_t proof[NET_TLS_DIGEST_MAX];
    ASSERT(!client->proved);
    err_t err = read_asked(client, message, &asked, why);
    if (err_is_ok(err)) {
        buf_add_string(&last, "c=" HEADER_BASE64 ",r=");
        buf_add_slice(&last, asked.nonce);
        /* As it came, and not as it was understood: both sides sign the same bytes. */
        buf_add_byte(&client->said, ',');
        buf_add_slice(&client->said, message);
        buf_add_byte(&client->said, ',');
        buf_add_slice(&client->said, buf_slice(&last));
        err = buf_error(&client->said);
    }
    if (err_is_ok(err))
        err = sign(client, password, &asked, proof);
    if (err_is_ok(err)) {
        buf_add_string(&last, ",p=");
        buf_add_base64(&last, control_auth_key(client->mechanism, proof));
        buf_add_slice(out, buf_slice(&last));
        client->proved = buf_ok(&last) && buf_ok(out);
        err = err_make(client->proved ? ERR_OK : ERR_MEMORY);
    }
    buf_done(&asked.salt);
    buf_done(&last);
    return err;
}

err_t control_auth_client_check(const struct control_auth_client *client, struct slice message,
                                struct err_text *why)
{
    struct slice rest = message, value;
    struct buf signature;
    ASSERT(client->proved);
    if (control_auth_take(&rest, 'e', &value))
        return err_set(why, ERR_PERMISSION, "the server says: %.*s",
                       SLICE_PRINTF(slice_sub(value, 0, 100)));
    buf_init(&signature, NET_TLS_DIGEST_MAX);
    /* What is no proof in its form is treated as a wrong one: there is nothing to tell apart. */
    bool same = control_auth_take(&rest, 'v', &value) &&
                err_is_ok(base64_decode(value, &signature)) &&
                signature.size == control_auth_key_size(client->mechanism) &&
                net_tls_equal(signature.data, client->signature, signature.size);
    buf_done(&signature);
    return same ? err_ok()
                : err_set(why, ERR_PERMISSION,
                          "the server does not prove that it knows the password: it may be another "
                          "in its place");
}

void control_auth_client_done(struct control_auth_client *client)
{
    buf_done(&client->said);
    net_tls_wipe(client->signature, sizeof(client->signature));
}

void control_auth_add_plain(struct slice name, struct slice password, struct buf *out)
{
    buf_add_byte(out, '\0');
    buf_add_slice(out, name);
    buf_add_byte(out, '\0');
    buf_add_slice(out, password);
}
