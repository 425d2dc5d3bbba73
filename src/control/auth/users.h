#pragma once

/*
 * The users of the doors that ask for one: who they are and what is held of their passwords. Each
 * change is a record of the internal topic CONTROL_AUTH_USERS_TOPIC, whose key is the name; the
 * latest of a name counts, one without a value takes the user away:
 *
 *   {"time":"…","SCRAM-SHA-256":{"salt":"…","iterations":4096,"stored_key":"…","server_key":"…"},
 *    "SCRAM-SHA-512":{…}}
 *
 * with bytes in base64. The record with the empty key is {"secret":"…"}: with it names that there
 * are not get a salt that is the same each time, as a user's is.
 *
 * A list is made by one thread and then handed out: nobody changes what others read.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "control/auth/scram.h"

#define CONTROL_AUTH_USERS_TOPIC "_users"
#define CONTROL_AUTH_USERS_MAX 10000u
#define CONTROL_AUTH_FAKE_SIZE 32u

struct control_auth_user {
    char name[CONTROL_AUTH_NAME_MAX + 1];
    size_t name_size;
    int64_t set_ms; /* since when the password is this one; 0: not known */
    struct control_auth_secret secrets[CONTROL_AUTH_MECHANISMS];
};

struct control_auth_users {
    uint8_t fake[CONTROL_AUTH_FAKE_SIZE]; /* the secret of those that there are not */
    bool fake_read;                       /* it came from a record */
    struct control_auth_user *items;      /* by name */
    size_t count;
    size_t capacity;
};

/* Nobody; `fake` is random. ERR_MEMORY. */
err_t control_auth_users_new(const uint8_t fake[static CONTROL_AUTH_FAKE_SIZE],
                             struct control_auth_users **out);
/* The same, to be changed. ERR_MEMORY. */
err_t control_auth_users_copy(const struct control_auth_users *users,
                              struct control_auth_users **out);
/* Frees and clears it; NULL in it is fine. */
void control_auth_users_free(struct control_auth_users **users);
/* The user, or NULL. */
const struct control_auth_user *control_auth_users_get(const struct control_auth_users *users,
                                                       struct slice name);
/* What is held for `name`; false with something that looks like it where there is no such user.
 * ERR_MEMORY. */
err_t control_auth_users_secret(const struct control_auth_users *users, struct slice name,
                                enum control_auth_mechanism mechanism,
                                struct control_auth_secret *out, bool *known);
/* Adds the user, or takes its place. ERR_TOO_LARGE: as many as are kept; ERR_MEMORY. */
err_t control_auth_users_put(struct control_auth_users *users,
                             const struct control_auth_user *user);
/* False: there was none. */
bool control_auth_users_remove(struct control_auth_users *users, struct slice name);
/* True for what can be a name: 1 to CONTROL_AUTH_NAME_MAX bytes of UTF-8 without control
 * characters. */
bool control_auth_name_valid(struct slice name);

/* Fills in what is held of `password`, with salts from `random`, but for the time. Takes
 * milliseconds. ERR_MEMORY. */
err_t control_auth_user_make(
    struct slice name, struct slice password,
    const uint8_t random[static CONTROL_AUTH_MECHANISMS * CONTROL_AUTH_SALT_SIZE],
    struct control_auth_user *out);
/* Appends the record's value. */
void control_auth_user_render(const struct control_auth_user *user, struct buf *out);
void control_auth_fake_render(const struct control_auth_users *users, struct buf *out);
/* Does what a record says. ERR_SYNTAX for what is none; ERR_TOO_LARGE; ERR_MEMORY. */
err_t control_auth_users_read(struct control_auth_users *users, struct slice key,
                              struct slice value);
