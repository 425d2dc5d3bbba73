#pragma once

/*
 * SASL of a client, as messages of the Kafka protocol: what is asked, and what an answer means.
 * Who sends them is cli/broker.c. Each function is given the answer to the request before it.
 */

#include "cli/access.h"
#include "control/auth/client.h"
#include "proto/kafka/messages.h"

struct cli_login {
    const struct cli_access *access; /* with a user */
    struct control_auth_client scram;
    bool begun;
};

/* Which mechanism is asked for. */
void cli_login_choose(struct cli_login *login, const struct cli_access *access,
                      struct proto_kafka_sasl_handshake_request *out);
/* Appends the first token. `loop` gives chance. ERR_UNSUPPORTED with what the broker offers; for a
 * broker that does not ask; ERR_MEMORY. */
err_t cli_login_begin(struct cli_login *login, struct io_loop *loop,
                      const struct proto_kafka_sasl_handshake_response *response, struct buf *token,
                      struct err_text *why);
/* Appends the next token, or sets `*done`: each has proved what it knows to the other.
 * ERR_PERMISSION for a user or password that is refused, and for a server that proves nothing;
 * ERR_UNSUPPORTED, ERR_SYNTAX, ERR_MEMORY. */
err_t cli_login_next(struct cli_login *login,
                     const struct proto_kafka_sasl_authenticate_response *response,
                     struct buf *token, bool *done, struct err_text *why);
/* Harmless for a zero one, and twice. */
void cli_login_done(struct cli_login *login);
