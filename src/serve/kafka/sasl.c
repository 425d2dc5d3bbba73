#include "serve/kafka/kafka_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/base64.h"

/*
 * Who asks (KIP-43, KIP-152). The happy path: the client asks which versions there are, chooses a
 * mechanism, sends its messages in SaslAuthenticate requests, and is served.
 *
 * Failure modes: who is refused learns that it was, not why, after a pause, and the connection
 * ends; so does one that asks for anything else before. What a mechanism's message is, valid or
 * not, is for control/auth to say. Without memory the connection ends.
 *
 * Behind version 0 of the handshake the messages come as they are, without a header, and are
 * answered so (KIP-43): there is no place for an error, so who is refused sees the connection end.
 */

/* As Kafka's connection.failed.authentication.delay.ms. */
#define REFUSAL_DELAY_MS 100u
/* Random bytes of a nonce: whole letters in base64. */
#define NONCE_SIZE 24u
/* As Kafka's sasl.server.max.receive.size: who is not known yet takes no more memory than that. */
#define UNKNOWN_SIZE_MAX ((uint32_t)512 << 10)

enum { SCRAM_SHA_256, SCRAM_SHA_512, PLAIN, MECHANISMS };

/* The places of the first two are those of control_auth_mechanism. */
static const char *const mechanisms[MECHANISMS] = {"SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"};

_Static_assert(SCRAM_SHA_256 == (int)CONTROL_AUTH_SHA256, "a place of its own");
_Static_assert(SCRAM_SHA_512 == (int)CONTROL_AUTH_SHA512, "a place of its own");

static struct serve_kafka_sasl *sasl_of(const struct serve_kafka_call *call)
{
    struct serve_kafka_conn *conn = net_kafka_request_session(call->request);
    return &conn->sasl;
}

static size_t mechanism_count(const struct serve_kafka_call *call)
{
    return call->door->kafka->plain ? MECHANISMS : PLAIN;
}

bool serve_kafka_sasl_permits(const struct serve_kafka_call *call)
{
    const struct serve_kafka_sasl *sasl = sasl_of(call);
    if (!call->door->users || sasl->step == SERVE_KAFKA_SASL_DONE)
        return true;
    int16_t key = call->header.key;
    return sasl->step != SERVE_KAFKA_SASL_FAILED &&
           (key == PROTO_KAFKA_API_VERSIONS || key == PROTO_KAFKA_SASL_HANDSHAKE ||
            key == PROTO_KAFKA_SASL_AUTHENTICATE);
}

bool serve_kafka_sasl_permits_size(const struct serve_kafka_call *call, uint32_t size)
{
    return size <= UNKNOWN_SIZE_MAX || !call->door->users ||
           sasl_of(call)->step == SERVE_KAFKA_SASL_DONE;
}

void serve_kafka_sasl_done(struct serve_kafka_sasl *sasl)
{
    if (!sasl->exchange)
        return;
    control_auth_done(sasl->exchange);
    mem_free(sasl->exchange);
    sasl->exchange = NULL;
}

static void enter(struct serve_kafka_sasl *sasl, enum serve_kafka_sasl_step step)
{
    ASSERT(step > sasl->step);
    sasl->step = step;
    if (step > SERVE_KAFKA_SASL_ASKED)
        serve_kafka_sasl_done(sasl);
}

void serve_kafka_sasl_handshake(struct serve_kafka_call *call)
{
    const struct proto_kafka_sasl_handshake_request *request = call->message;
    struct proto_kafka_sasl_handshake_response response;
    struct serve_kafka_sasl *sasl = sasl_of(call);
    struct slice names[MECHANISMS];
    size_t count = mechanism_count(call);
    proto_kafka_init(call->api->response, &response);
    for (size_t i = 0; i < count; i++)
        names[i] = slice_string(mechanisms[i]);
    response.mechanisms.items = names;
    response.mechanisms.count = (uint32_t)count;
    if (!call->door->users || sasl->step != SERVE_KAFKA_SASL_NOTHING) {
        response.error_code = SERVE_KAFKA_ILLEGAL_SASL_STATE;
        serve_kafka_reply(call, &response);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (slice_equal(request->mechanism, names[i])) {
            sasl->mechanism = i;
            sasl->bare = call->header.version == 0;
            enter(sasl, SERVE_KAFKA_SASL_CHOSEN);
            serve_kafka_reply(call, &response);
            return;
        }
    response.error_code = SERVE_KAFKA_UNSUPPORTED_SASL_MECHANISM;
    enter(sasl, SERVE_KAFKA_SASL_FAILED);
    serve_kafka_reply_last(call, &response);
}

static void answer(struct serve_kafka_call *call, struct buf *bytes)
{
    struct proto_kafka_sasl_authenticate_response response;
    if (sasl_of(call)->bare) {
        call->answer = *bytes;
        *bytes = (struct buf){0};
        serve_kafka_reply_encoded(call);
        return;
    }
    proto_kafka_init(call->api->response, &response);
    response.auth_bytes = slice_make(bytes->data ? bytes->data : (const uint8_t *)"", bytes->size);
    serve_kafka_reply(call, &response);
}

/* `code` with a text for the client's user, and the end of the connection. */
static void answer_last(struct serve_kafka_call *call, enum serve_kafka_error code,
                        const char *text)
{
    struct proto_kafka_sasl_authenticate_response response;
    proto_kafka_init(call->api->response, &response);
    response.error_code = (int16_t)code;
    response.error_message = slice_string(text);
    response.auth_bytes = SLICE_LITERAL("");
    serve_kafka_reply_last(call, &response);
}

struct refusal {
    struct io_timer timer;
    struct serve_kafka_call *call;
};

static void run_refusal(struct io_timer *timer)
{
    struct serve_kafka_call *call = CONTAINER_OF(timer, struct refusal, timer)->call;
    if (sasl_of(call)->bare)
        serve_kafka_refuse(call);
    else
        answer_last(call, SERVE_KAFKA_SASL_AUTHENTICATION_FAILED,
                    "Authentication failed: user or password is wrong");
}

/* The pause makes guessing slow for who guesses one after the other. */
static void refuse(struct serve_kafka_call *call)
{
    enter(sasl_of(call), SERVE_KAFKA_SASL_FAILED);
    call->door->refused++;
    struct refusal *refusal = serve_kafka_alloc(call, 1, sizeof(*refusal));
    if (!refusal)
        return;
    *refusal = (struct refusal){.timer = {.run = run_refusal}, .call = call};
    io_timer_start(call->door->loop, &refusal->timer, REFUSAL_DELAY_MS * IO_MS);
}

static err_t begin_exchange(struct serve_kafka_call *call, struct slice message, struct buf *out)
{
    struct serve_kafka_sasl *sasl = sasl_of(call);
    enum control_auth_mechanism mechanism = (enum control_auth_mechanism)sasl->mechanism;
    uint8_t name[CONTROL_AUTH_NAME_MAX];
    uint8_t random[NONCE_SIZE];
    struct control_auth_first first;
    struct control_auth_secret secret;
    struct buf nonce = {0};
    bool known = false;
    TRY(control_auth_read_first(message, name, &first));
    TRY(control_auth_users_secret(call->door->users, first.name, mechanism, &secret, &known));
    /* Apart from the session: ten thousand connections that are known need none of it. */
    sasl->exchange = mem_zalloc(1, sizeof(*sasl->exchange));
    if (!sasl->exchange)
        return err_make(ERR_MEMORY);
    io_random(call->door->loop, random, sizeof(random));
    buf_add_base64(&nonce, slice_make(random, sizeof(random)));
    err_t err = buf_error(&nonce);
    if (err_is_ok(err))
        err = control_auth_begin(sasl->exchange, mechanism, &secret, known, &first,
                                 buf_slice(&nonce), out);
    buf_done(&nonce);
    net_tls_wipe(&secret, sizeof(secret));
    if (err_is_ok(err))
        enter(sasl, SERVE_KAFKA_SASL_ASKED);
    return err;
}

static err_t check_plain(const struct serve_kafka_call *call, struct slice message)
{
    struct slice act_as, name, password;
    struct control_auth_secret secret;
    bool known = false, same = false;
    TRY(control_auth_read_plain(message, &act_as, &name, &password));
    /* Nobody acts for somebody else: there is nothing that could permit it. */
    if (act_as.size > 0 && !slice_equal(act_as, name))
        return err_make(ERR_PERMISSION);
    /* Also for a name that there is not: the time that it takes would tell. */
    TRY(control_auth_users_secret(call->door->users, name, CONTROL_AUTH_SHA256, &secret, &known));
    TRY(control_auth_check(CONTROL_AUTH_SHA256, &secret, password, &same));
    return err_make(known && same ? ERR_OK : ERR_PERMISSION);
}

/* The next message of the mechanism; DONE or ASKED behind it when it is what it should be. */
static err_t step(struct serve_kafka_call *call, struct slice message, struct buf *out)
{
    struct serve_kafka_sasl *sasl = sasl_of(call);
    if (sasl->mechanism != PLAIN && sasl->step == SERVE_KAFKA_SASL_CHOSEN)
        return begin_exchange(call, message, out);
    if (sasl->mechanism == PLAIN)
        TRY(check_plain(call, message));
    else
        TRY(control_auth_finish(sasl->exchange, message, out));
    enter(sasl, SERVE_KAFKA_SASL_DONE);
    call->door->authenticated++;
    return err_ok();
}

static void take_token(struct serve_kafka_call *call, struct slice token)
{
    struct buf out = {0};
    err_t err = step(call, token, &out);
    if (err_is_ok(err))
        answer(call, &out);
    else if (err_is(err, ERR_MEMORY))
        serve_kafka_refuse(call);
    else
        refuse(call);
    buf_done(&out);
}

void serve_kafka_sasl_authenticate(struct serve_kafka_call *call)
{
    const struct proto_kafka_sasl_authenticate_request *request = call->message;
    const struct serve_kafka_sasl *sasl = sasl_of(call);
    if (!call->door->users ||
        (sasl->step != SERVE_KAFKA_SASL_CHOSEN && sasl->step != SERVE_KAFKA_SASL_ASKED)) {
        answer_last(call, SERVE_KAFKA_ILLEGAL_SASL_STATE,
                    "SaslAuthenticate comes behind one SaslHandshake, on a listener with SASL");
        return;
    }
    take_token(call, request->auth_bytes);
}

bool serve_kafka_sasl_take(struct serve_kafka_call *call, struct slice bytes)
{
    const struct serve_kafka_sasl *sasl = sasl_of(call);
    if (!sasl->bare || sasl->step == SERVE_KAFKA_SASL_DONE)
        return false;
    /* What comes while a refusal waits is not looked at. */
    if (sasl->step == SERVE_KAFKA_SASL_FAILED)
        serve_kafka_refuse(call);
    else
        take_token(call, bytes);
    return true;
}
