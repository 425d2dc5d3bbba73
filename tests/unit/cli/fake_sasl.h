#pragma once

/* How a broker that is the test (fake_broker.h) asks who its clients are. */

#include "base/arena.h"
#include "control/auth/scram.h"
#include "lib/unit.h"
#include "proto/kafka/messages.h"

struct fake_sasl {
    const char *user;
    const char *password;
    const char *only; /* the one mechanism that it has; NULL: those of control/auth, and PLAIN */
    int16_t handshake_code; /* what it says instead of an answer; 0: an answer */
    bool lies;              /* it lets everybody in, and proves nothing */
    bool silent;            /* and says nothing at all in the end */
    unsigned steps;
    bool plain;
    bool done;
    enum control_auth_mechanism mechanism;
    struct control_auth_exchange exchange;
};

static inline void fake_sasl_handshake(struct fake_sasl *s,
                                       const struct proto_kafka_sasl_handshake_request *request,
                                       struct proto_kafka_sasl_handshake_response *out,
                                       struct arena *arena)
{
    static const char *const names[] = {"SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"};
    out->mechanisms.items = arena_alloc(arena, 3 * sizeof(*out->mechanisms.items));
    out->error_code = 33;
    for (size_t i = 0; i < 3; i++) {
        if (s->only && strcmp(s->only, names[i]) != 0)
            continue;
        out->mechanisms.items[out->mechanisms.count++] = slice_string(names[i]);
        if (!slice_equal_string(request->mechanism, names[i]))
            continue;
        s->plain = i == 2;
        s->mechanism = i == 1 ? CONTROL_AUTH_SHA512 : CONTROL_AUTH_SHA256;
        out->error_code = s->handshake_code;
    }
}

static inline void fake_sasl_scram(struct fake_sasl *s, struct slice token, struct buf *out,
                                   err_t *err)
{
    uint8_t room[CONTROL_AUTH_NAME_MAX];
    struct control_auth_first first;
    struct control_auth_secret secret;
    if (++s->steps > 1) {
        *err = control_auth_finish(&s->exchange, token, out);
        control_auth_done(&s->exchange);
        s->done = true;
        return;
    }
    assert_true(err_is_ok(control_auth_read_first(token, room, &first)));
    assert_true(err_is_ok(control_auth_derive(s->mechanism, slice_string(s->password),
                                              SLICE_LITERAL("a salt"), 4096, &secret)));
    assert_true(err_is_ok(control_auth_begin(&s->exchange, s->mechanism, &secret,
                                             slice_equal_string(first.name, s->user), &first,
                                             SLICE_LITERAL("theirs"), out)));
}

static inline void
fake_sasl_authenticate(struct fake_sasl *s,
                       const struct proto_kafka_sasl_authenticate_request *request,
                       struct proto_kafka_sasl_authenticate_response *out, struct arena *arena)
{
    struct slice act_as, name, password;
    struct buf token = {0};
    err_t err = err_ok();
    if (s->plain) {
        err = control_auth_read_plain(request->auth_bytes, &act_as, &name, &password);
        bool right = err_is_ok(err) && slice_equal_string(name, s->user) &&
                     slice_equal_string(password, s->password);
        err = err_make(right ? ERR_OK : ERR_PERMISSION);
        s->done = right;
    } else {
        fake_sasl_scram(s, request->auth_bytes, &token, &err);
    }
    if (s->done && s->lies) {
        buf_reset(&token);
        buf_add_string(&token, s->silent ? "" : "v=AAAA");
        err = err_ok();
    }
    out->error_code = err_is_ok(err) ? 0 : 58;
    out->error_message = err_is_ok(err) ? slice_make(NULL, 0) : SLICE_LITERAL("who is that?");
    out->auth_bytes = token.size > 0 ? arena_slice(arena, buf_slice(&token)) : SLICE_LITERAL("");
    buf_done(&token);
}
