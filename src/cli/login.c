/*
 * The happy path: the mechanism is chosen, its messages go to and fro, and the last of them proves
 * that the broker knows what was made of the password, which is looked at before anything else is
 * sent. PLAIN has no such proof: that is TLS's to give.
 *
 * What goes wrong is told as the broker says it, or as what can be done about it.
 */

#include "cli/login.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/base64.h"

/* Codes of the protocol. */
#define UNSUPPORTED_SASL_MECHANISM 33
#define ILLEGAL_SASL_STATE 34
/* Random bytes of a nonce: whole letters in base64. */
#define NONCE_SIZE 24u

void cli_login_choose(struct cli_login *login, const struct cli_access *access,
                      struct proto_kafka_sasl_handshake_request *out)
{
    ASSERT(access->user && !login->begun);
    login->access = access;
    out->mechanism = slice_string(cli_access_mechanisms[access->mechanism]);
}

static err_t refuse_mechanism(const struct cli_login *login,
                              const struct proto_kafka_sasl_handshake_response *response,
                              struct err_text *why)
{
    struct buf offered = {0};
    /* Without memory the list is shorter, and the message is as true. */
    for (uint32_t i = 0; i < response->mechanisms.count; i++) {
        buf_add_string(&offered, i > 0 ? ", " : "");
        buf_add_slice(&offered, response->mechanisms.items[i]);
    }
    err_t err = err_set(why, ERR_UNSUPPORTED,
                        "the broker does not take %s but %.*s; choose one with --sasl",
                        cli_access_mechanisms[login->access->mechanism],
                        SLICE_PRINTF(slice_sub(buf_slice(&offered), 0, 200)));
    buf_done(&offered);
    return err;
}

static err_t begin_scram(struct cli_login *login, struct io_loop *loop, struct buf *token)
{
    struct buf nonce = {0};
    uint8_t random[NONCE_SIZE];
    bool long_one = strcmp(cli_access_mechanisms[login->access->mechanism],
                           control_auth_mechanism_name(CONTROL_AUTH_SHA512)) == 0;
    io_random(loop, random, sizeof(random));
    buf_add_base64(&nonce, slice_make(random, sizeof(random)));
    err_t err = buf_error(&nonce);
    if (err_is_ok(err)) {
        /* Also where it fails: there is something to be freed. */
        login->begun = true;
        err = control_auth_client_begin(
            &login->scram, long_one ? CONTROL_AUTH_SHA512 : CONTROL_AUTH_SHA256,
            slice_string(login->access->user), buf_slice(&nonce), token);
    }
    buf_done(&nonce);
    return err;
}

err_t cli_login_begin(struct cli_login *login, struct io_loop *loop,
                      const struct proto_kafka_sasl_handshake_response *response, struct buf *token,
                      struct err_text *why)
{
    const struct cli_access *access = login->access;
    if (response->error_code == UNSUPPORTED_SASL_MECHANISM)
        return refuse_mechanism(login, response, why);
    if (response->error_code == ILLEGAL_SASL_STATE)
        return err_set(why, ERR_UNSUPPORTED,
                       "the broker does not ask who its clients are there; leave out --user");
    if (response->error_code != 0)
        return err_set(why, ERR_UNSUPPORTED, "the broker answers SaslHandshake with %d",
                       response->error_code);
    if (access->mechanism != CLI_ACCESS_PLAIN)
        return begin_scram(login, loop, token);
    control_auth_add_plain(slice_string(access->user), buf_slice(&access->password), token);
    return buf_error(token);
}

err_t cli_login_next(struct cli_login *login,
                     const struct proto_kafka_sasl_authenticate_response *response,
                     struct buf *token, bool *done, struct err_text *why)
{
    /* All that a broker says of the rest is that it is wrong, and rightly so. */
    if (response->error_code != 0)
        return err_set(
            why, ERR_PERMISSION, "the broker refuses user %s: %.*s (%d)", login->access->user,
            SLICE_PRINTF(slice_sub(response->error_message, 0, 200)), response->error_code);
    *done = true;
    /* PLAIN: that was all. */
    if (!login->begun)
        return err_ok();
    /* Success without the server's proof would be anybody's. */
    if (login->scram.proved)
        return control_auth_client_check(&login->scram, response->auth_bytes, why);
    *done = false;
    return control_auth_client_prove(&login->scram, response->auth_bytes,
                                     buf_slice(&login->access->password), token, why);
}

void cli_login_done(struct cli_login *login)
{
    if (login->begun)
        control_auth_client_done(&login->scram);
    login->begun = false;
}
