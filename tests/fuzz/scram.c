/*
 * What clients send to say who they are, and what servers answer: SCRAM's messages, PLAIN's, and
 * the records of users. The first line of the input is taken for a first message, the rest for a
 * last one. Nobody is let in who does not know the password, no server is believed, and no message
 * has parts that are not its own.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "control/auth/client.h"
#include "control/auth/users.h"

static bool within(struct slice part, const uint8_t *data, size_t size)
{
    return part.size == 0 || (part.data >= data && part.data + part.size <= data + size);
}

static void check_exchange(struct slice first_message, struct slice last)
{
    static const uint8_t fake[CONTROL_AUTH_FAKE_SIZE];
    struct control_auth_users users = {.fake = {1}};
    uint8_t name[CONTROL_AUTH_NAME_MAX];
    struct control_auth_first first;
    struct control_auth_secret secret;
    struct control_auth_exchange exchange;
    struct buf out = {0};
    bool known = true;
    memcpy(users.fake, fake, sizeof(fake));
    err_t err = control_auth_read_first(first_message, name, &first);
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_SYNTAX) || err_is(err, ERR_UNSUPPORTED));
    if (!err_is_ok(err))
        return;
    FUZZ_EXPECT(first.name.size > 0 && first.name.size <= CONTROL_AUTH_NAME_MAX);
    FUZZ_EXPECT(within(first.nonce, first_message.data, first_message.size));
    FUZZ_EXPECT(first.header.size + first.bare.size == first_message.size);
    FUZZ_EXPECT(err_is_ok(
        control_auth_users_secret(&users, first.name, CONTROL_AUTH_SHA256, &secret, &known)));
    FUZZ_EXPECT(!known);
    /* A key that no password leads to: any proof is wrong. */
    FUZZ_EXPECT(err_is_ok(control_auth_begin(&exchange, CONTROL_AUTH_SHA256, &secret, true, &first,
                                             SLICE_LITERAL("server"), &out)));
    size_t said = out.size;
    err = control_auth_finish(&exchange, last, &out);
    FUZZ_EXPECT(err_is(err, ERR_SYNTAX) || err_is(err, ERR_PERMISSION));
    FUZZ_EXPECT(out.size == said);
    control_auth_done(&exchange);
    buf_done(&out);
}

/* What servers say. Not in the numbers of rounds that are made: one takes milliseconds. */
static void check_client(struct slice first, struct slice last)
{
    struct control_auth_client client;
    struct buf out = {0};
    struct err_text why = {0};
    FUZZ_EXPECT(err_is_ok(control_auth_client_begin(
        &client, CONTROL_AUTH_SHA512, SLICE_LITERAL("mia"), SLICE_LITERAL("abc"), &out)));
    size_t said = out.size;
    bool costs = false;
    for (size_t i = 0; i + 6 <= first.size; i++)
        costs = costs || (memcmp(first.data + i, "i=", 2) == 0 && first.data[i + 2] > '0');
    if (!costs) {
        err_t err = control_auth_client_prove(&client, first, SLICE_LITERAL("x"), &out, &why);
        FUZZ_EXPECT(err_is(err, ERR_SYNTAX) || err_is(err, ERR_UNSUPPORTED));
        FUZZ_EXPECT(out.size == said && why.text[0] && !client.proved);
    }
    /* A signature that nobody makes. */
    memset(client.signature, 7, sizeof(client.signature));
    client.proved = true;
    FUZZ_EXPECT(err_is(control_auth_client_check(&client, last, &why), ERR_PERMISSION));
    control_auth_client_done(&client);
    buf_done(&out);
}

static void check_record(struct slice record)
{
    static const uint8_t fake[CONTROL_AUTH_FAKE_SIZE];
    struct control_auth_users *users = NULL;
    struct buf text = {0};
    FUZZ_EXPECT(err_is_ok(control_auth_users_new(fake, &users)));
    err_t err = control_auth_users_read(users, SLICE_LITERAL("mia"), record);
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_SYNTAX));
    FUZZ_EXPECT(users->count == (err_is_ok(err) && record.data));
    if (users->count > 0) {
        /* What was read is written so that it reads the same. */
        struct control_auth_user user = users->items[0];
        control_auth_user_render(&user, &text);
        FUZZ_EXPECT(
            err_is_ok(control_auth_users_read(users, SLICE_LITERAL("mia"), buf_slice(&text))));
        FUZZ_EXPECT(users->items[0].set_ms == user.set_ms);
        for (size_t i = 0; i < CONTROL_AUTH_MECHANISMS; i++)
            FUZZ_EXPECT(memcmp(user.secrets[i].stored_key, users->items[0].secrets[i].stored_key,
                               NET_TLS_DIGEST_MAX) == 0);
    }
    buf_done(&text);
    control_auth_users_free(&users);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_make(data, size);
    struct slice last = all;
    struct slice first = slice_split(&last, '\n');
    struct slice act_as, name, password;
    check_exchange(first, last);
    check_client(first, last);
    err_t err = control_auth_read_plain(all, &act_as, &name, &password);
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_SYNTAX));
    if (err_is_ok(err))
        FUZZ_EXPECT(act_as.size + name.size + password.size + 2 == size && name.size > 0);
    check_record(all);
    return 0;
}
