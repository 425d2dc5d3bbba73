#pragma once

/*
 * Passwords that are not kept: what a server holds of one is enough to check it, in the exchange
 * SCRAM (RFC 5802, RFC 7677) or when it is sent as it is (PLAIN, RFC 4616), and no more. Pure.
 *
 * Names and passwords are taken byte by byte as UTF-8, without SASLprep: Kafka's clients and
 * librdkafka send them so.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "net/tls/digest.h"

enum control_auth_mechanism { CONTROL_AUTH_SHA256, CONTROL_AUTH_SHA512 };
#define CONTROL_AUTH_MECHANISMS 2u

/* What one costs to check, as Kafka has it (RFC 7677 section 4 asks for as much). */
#define CONTROL_AUTH_ITERATIONS 4096u
/* Beyond it a record's, or a server's, count would hold a loop. */
#define CONTROL_AUTH_ITERATIONS_MAX 1000000u
/* Of a salt that is made here, and of any that is taken. */
#define CONTROL_AUTH_SALT_SIZE 24u
#define CONTROL_AUTH_SALT_MAX 64u
/* Of a message from a client, of a name and of a password. */
#define CONTROL_AUTH_MESSAGE_MAX 4096u
#define CONTROL_AUTH_NAME_MAX 249u
#define CONTROL_AUTH_PASSWORD_MAX 1024u

/* What is held of a password for one mechanism (RFC 5802 section 3). */
struct control_auth_secret {
    uint8_t salt[CONTROL_AUTH_SALT_MAX];
    uint32_t salt_size;
    uint32_t iterations;
    uint8_t stored_key[NET_TLS_DIGEST_MAX];
    uint8_t server_key[NET_TLS_DIGEST_MAX];
};

/* "SCRAM-SHA-256", "SCRAM-SHA-512". */
const char *control_auth_mechanism_name(enum control_auth_mechanism mechanism);
/* Bytes of its keys. */
size_t control_auth_key_size(enum control_auth_mechanism mechanism);
/* Makes what is held of `password` with `salt` and `iterations`. Milliseconds. ERR_MEMORY. */
err_t control_auth_derive(enum control_auth_mechanism mechanism, struct slice password,
                          struct slice salt, uint32_t iterations, struct control_auth_secret *out);
/* Whether `password` is the one; `*same` is set on success only. Milliseconds, whatever the answer.
 * ERR_MEMORY. */
err_t control_auth_check(enum control_auth_mechanism mechanism,
                         const struct control_auth_secret *secret, struct slice password,
                         bool *same);

/* What a client says first (RFC 5802 section 7, client-first-message). */
struct control_auth_first {
    struct slice header; /* up to where `bare` begins */
    struct slice bare;   /* the rest */
    struct slice nonce;
    struct slice name; /* unescaped, in the room that was given */
};

/* ERR_SYNTAX; ERR_UNSUPPORTED for channel binding, for extensions that must be understood and for a
 * name to act for that is another. `name` is room for CONTROL_AUTH_NAME_MAX bytes. */
err_t control_auth_read_first(struct slice message, uint8_t name[static CONTROL_AUTH_NAME_MAX],
                              struct control_auth_first *out);

/* One exchange, on the server's side. */
struct control_auth_exchange {
    enum control_auth_mechanism mechanism;
    struct control_auth_secret secret;
    bool known; /* false: no proof is right */
    struct buf nonce;
    struct buf header; /* the client's, in base64 */
    struct buf said;   /* both first messages, for the signature */
};

/* Begins with a client's first message; `nonce` is the server's part of it, printable. Appends the
 * server's first message to `out`. ERR_MEMORY. To be ended with control_auth_done in any case. */
err_t control_auth_begin(struct control_auth_exchange *exchange,
                         enum control_auth_mechanism mechanism,
                         const struct control_auth_secret *secret, bool known,
                         const struct control_auth_first *first, struct slice nonce,
                         struct buf *out);
/* Takes the client's last message; on success appends the server's, which proves that it knew the
 * client, to `out`. ERR_SYNTAX, ERR_PERMISSION where the proof is wrong, ERR_MEMORY. */
err_t control_auth_finish(struct control_auth_exchange *exchange, struct slice message,
                          struct buf *out);
void control_auth_done(struct control_auth_exchange *exchange);

/* A message of PLAIN; all three view it. ERR_SYNTAX. */
err_t control_auth_read_plain(struct slice message, struct slice *act_as, struct slice *name,
                              struct slice *password);
