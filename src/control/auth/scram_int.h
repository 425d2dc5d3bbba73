#pragma once

/* What both sides of an exchange do: scram.c is the server's, client.c the client's. Pure. */

#include "control/auth/scram.h"

enum net_tls_hash control_auth_hash(enum control_auth_mechanism mechanism);
/* As long as the mechanism's keys are. */
struct slice control_auth_key(enum control_auth_mechanism mechanism, const uint8_t *bytes);
/* Takes "x=value" off the front, with the comma behind it. False where another letter or none
 * stands there. */
bool control_auth_take(struct slice *rest, char letter, struct slice *value);
/* The grammar's "printable": no comma, since that ends it. */
bool control_auth_nonce_valid(struct slice nonce);
/* ClientKey and ServerKey of a password (RFC 5802 section 3), to be wiped by the caller: with
 * either somebody could act as the user, or as the server to them. Milliseconds. ERR_MEMORY. */
err_t control_auth_keys(enum control_auth_mechanism mechanism, struct slice password,
                        struct slice salt, uint32_t iterations,
                        uint8_t client[static NET_TLS_DIGEST_MAX],
                        uint8_t server[static NET_TLS_DIGEST_MAX]);
