#pragma once

/*
 * The client's side of an exchange (RFC 5802, RFC 7677): it proves that it knows the password
 * without saying it, and that the server does too is checked before anything is sent to it. Pure.
 *
 * begin, prove and check follow each other, each with the server's last message; done in any case.
 */

#include "control/auth/scram.h"

struct control_auth_client {
    enum control_auth_mechanism mechanism;
    size_t nonce_size;
    struct buf said; /* our first message, which ends with our nonce; then all that is signed */
    uint8_t signature[NET_TLS_DIGEST_MAX]; /* the server's, as it has to be */
    bool proved;
};

/* Appends the first message to `out`: `name` is 1 to CONTROL_AUTH_NAME_MAX bytes, `nonce` random
 * and printable. ERR_MEMORY. */
err_t control_auth_client_begin(struct control_auth_client *client,
                                enum control_auth_mechanism mechanism, struct slice name,
                                struct slice nonce, struct buf *out);
/* Takes the server's first message, and appends the proof. Milliseconds for each thousand rounds
 * that the server asks for. ERR_SYNTAX for what is no such message, ERR_UNSUPPORTED for fewer
 * rounds than make it safe or more than are made here, and for extensions; ERR_MEMORY. */
err_t control_auth_client_prove(struct control_auth_client *client, struct slice message,
                                struct slice password, struct buf *out, struct err_text *why);
/* Takes the server's last message. ERR_PERMISSION where it is no proof that the server knows what
 * was made of the password. */
err_t control_auth_client_check(const struct control_auth_client *client, struct slice message,
                                struct err_text *why);
void control_auth_client_done(struct control_auth_client *client);

/* Appends PLAIN's message, in which the password is to be read (RFC 4616). */
void control_auth_add_plain(struct slice name, struct slice password, struct buf *out);
