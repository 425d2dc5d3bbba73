/*
 * A connection to the Kafka door by who is not known yet: the first byte says in which pieces the
 * rest comes, which is requests with their sizes and, behind version 0 of the handshake, tokens as
 * they are. Whatever it is, nobody is let in without the password, nothing but the three requests
 * before that is served, answers are whole, and all that was taken is given back. Who has said the
 * password is asked for nothing more by the input: what is served then is others' to check.
 */

#include "fuzz/fuzz.h"

#include "base/cursor.h"
#include "serve/kafka/kafka_int.h"
#include "unit/net/fake_tcp.h"

/* PLAIN's message with it. */
static const char right[] = "\0mia\0secret";
#define RIGHT_SIZE (sizeof(right) - 1)
#define REQUESTS_SIZE ((size_t)8 << 20)
/* A size, a key, a version, an id: what an answer cannot be mistaken for. */
static const uint8_t ask_versions[] = {0, 0, 0, 10, 0, 18, 0, 0, 0x5a, 0xa5, 0x5a, 0xa5, 255, 255};

struct door {
    struct fake_loop *fake;
    struct flow_credit credit;
    struct flow_inlet inlet;
    struct flow_log log;
    struct control_auth_users *users;
    struct serve_kafka *kafka;
    bool stopped;
};

/* What is held of the password takes one round to check: an input is to take microseconds. */
static void add_user(struct control_auth_users *users)
{
    struct control_auth_user user = {.name = "mia", .name_size = 3};
    for (size_t i = 0; i < CONTROL_AUTH_MECHANISMS; i++)
        FUZZ_EXPECT(
            err_is_ok(control_auth_derive((enum control_auth_mechanism)i, SLICE_LITERAL("secret"),
                                          SLICE_LITERAL("salt"), 1, &user.secrets[i])));
    FUZZ_EXPECT(err_is_ok(control_auth_users_put(users, &user)));
}

static void door_open(struct door *d)
{
    static const uint8_t random[CONTROL_AUTH_FAKE_SIZE] = {1, 2, 3};
    d->fake = fake_loop_new();
    flow_credit_init(&d->credit, "requests", REQUESTS_SIZE);
    FUZZ_EXPECT(err_is_ok(control_auth_users_new(random, &d->users)));
    add_user(d->users);
    struct serve_kafka_loop loop = {
        .loop = &d->fake->loop, .inlet = &d->inlet, .credit = &d->credit};
    FUZZ_EXPECT(err_is_ok(serve_kafka_new(&(struct serve_kafka_options){.address = "127.0.0.1:0",
                                                                        .log = &d->log,
                                                                        .loops = &loop,
                                                                        .loop_count = 1,
                                                                        .users = d->users,
                                                                        .plain = true},
                                          &d->kafka)));
}

static void on_stopped(void *owner)
{
    ((struct door *)owner)->stopped = true;
}

static void door_close(struct door *d)
{
    serve_kafka_stop(d->kafka, 0, on_stopped, d);
    fake_advance(d->fake, 5000);
    FUZZ_EXPECT(d->stopped && d->credit.used_bytes == 0 && d->fake->timer_count == 0);
    serve_kafka_free(&d->kafka);
    control_auth_users_free(&d->users);
    fake_loop_free(d->fake);
}

static bool is_first(size_t api)
{
    int16_t key = proto_kafka_apis[api].key;
    return key == PROTO_KAFKA_API_VERSIONS || key == PROTO_KAFKA_SASL_HANDSHAKE ||
           key == PROTO_KAFKA_SASL_AUTHENTICATE;
}

/* Sizes and what they say, to the end. */
static void check_answers(const struct io_tcp *tcp)
{
    size_t at = 0;
    while (at < tcp->out.size) {
        FUZZ_EXPECT(tcp->out.size - at >= 4);
        at += 4 + get_u32be((const uint8_t *)tcp->out.data + at);
    }
    FUZZ_EXPECT(at == tcp->out.size);
}

/* Who is in is served, and answered in the place of the last request. */
static void check_served(struct door *d, struct io_tcp *tcp)
{
    fake_forget_written(tcp);
    fake_send(tcp, ask_versions, sizeof(ask_versions));
    fake_advance(d->fake, 1000);
    FUZZ_EXPECT(!tcp->closed && tcp->out.size > 10);
    FUZZ_EXPECT(memcmp(tcp->out.data + 4, ask_versions + 8, 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct door d = {0};
    if (size == 0)
        return 0;
    const uint8_t *found = memmem(data + 1, size - 1, right, RIGHT_SIZE);
    size_t end = found ? (size_t)(found - data) + RIGHT_SIZE : size;
    door_open(&d);
    net_kafka_server_adopt(d.kafka->doors[0].server, (struct io_socket){0});
    struct io_tcp *tcp = d.fake->tcps[0];
    tcp->piece = data[0];
    fake_send(tcp, data + 1, end - 1);
    /* Past the pause before a refusal. */
    fake_advance(d.fake, 1000);
    check_answers(tcp);
    const struct serve_kafka_door *door = &d.kafka->doors[0];
    FUZZ_EXPECT(door->authenticated <= (found ? 1 : 0));
    for (size_t i = 0; i < PROTO_KAFKA_APIS; i++)
        FUZZ_EXPECT(door->requests[i] == 0 || is_first(i));
    if (door->refused > 0)
        FUZZ_EXPECT(tcp->closed);
    /* Closed is one that sent something else before, behind which nothing is answered. */
    if (door->authenticated > 0 && !tcp->closed)
        check_served(&d, tcp);
    door_close(&d);
    return 0;
}
