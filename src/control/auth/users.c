#include "control/auth/users.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/base64.h"
#include "base/number.h"
#include "base/time.h"
#include "base/utf8.h"
#include "format/json/json.h"

/*
 * A sorted array: there are few users, and a list that is copied whole for each change needs no
 * count of its readers.
 *
 * Failure modes: a record comes from a log that may have been repaired, or was written by another
 * version; one that cannot be read is an error, and its reader goes on without it. A user whose
 * record is unreadable is not let in.
 */

err_t control_auth_users_new(const uint8_t fake[static CONTROL_AUTH_FAKE_SIZE],
                             struct control_auth_users **out)
{
    struct control_auth_users *users = mem_zalloc(1, sizeof(*users));
    if (!users)
        return err_make(ERR_MEMORY);
    memcpy(users->fake, fake, CONTROL_AUTH_FAKE_SIZE);
    *out = users;
    return err_ok();
}

err_t control_auth_users_copy(const struct control_auth_users *users,
                              struct control_auth_users **out)
{
    struct control_auth_users *copy = NULL;
    TRY(control_auth_users_new(users->fake, &copy));
    copy->fake_read = users->fake_read;
    copy->count = users->count;
    /* One more: who copies them is about to add to them. */
    copy->capacity = users->count + 1;
    copy->items = mem_zalloc(copy->capacity, sizeof(*copy->items));
    if (!copy->items) {
        mem_free(copy);
        return err_make(ERR_MEMORY);
    }
    if (users->count > 0)
        memcpy(copy->items, users->items, users->count * sizeof(*copy->items));
    *out = copy;
    return err_ok();
}

void control_auth_users_free(struct control_auth_users **users)
{
    if (!*users)
        return;
    /* Not the passwords, but enough to guess at them. */
    if ((*users)->items)
        net_tls_wipe((*users)->items, (*users)->count * sizeof(*(*users)->items));
    mem_free((*users)->items);
    mem_free(*users);
    *users = NULL;
}

static struct slice name_of(const struct control_auth_user *user)
{
    return slice_make(user->name, user->name_size);
}

/* Where the name is, or would be. */
static size_t place_of(const struct control_auth_users *users, struct slice name)
{
    size_t first = 0, end = users->count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (slice_compare(name_of(&users->items[middle]), name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

const struct control_auth_user *control_auth_users_get(const struct control_auth_users *users,
                                                       struct slice name)
{
    size_t place = place_of(users, name);
    bool there = place < users->count && slice_equal(name_of(&users->items[place]), name);
    return there ? &users->items[place] : NULL;
}

/* Always the same for a name, so that asking twice tells nothing. */
static err_t pretend(const struct control_auth_users *users, struct slice name,
                     enum control_auth_mechanism mechanism, struct control_auth_secret *out)
{
    struct buf text = {0};
    uint8_t digest[NET_TLS_DIGEST_MAX];
    buf_add_string(&text, control_auth_mechanism_name(mechanism));
    buf_add_slice(&text, name);
    err_t err = buf_error(&text);
    if (err_is_ok(err))
        err = net_tls_hmac(NET_TLS_SHA512, slice_make(users->fake, sizeof(users->fake)),
                           buf_slice(&text), digest);
    buf_done(&text);
    if (!err_is_ok(err))
        return err;
    *out = (struct control_auth_secret){.salt_size = CONTROL_AUTH_SALT_SIZE,
                                        .iterations = CONTROL_AUTH_ITERATIONS};
    memcpy(out->salt, digest, CONTROL_AUTH_SALT_SIZE);
    memcpy(out->stored_key, digest, sizeof(digest));
    return err_ok();
}

err_t control_auth_users_secret(const struct control_auth_users *users, struct slice name,
                                enum control_auth_mechanism mechanism,
                                struct control_auth_secret *out, bool *known)
{
    const struct control_auth_user *user = control_auth_users_get(users, name);
    struct control_auth_secret pretended;
    /* Also for those that there are: the time is the same. */
    TRY(pretend(users, name, mechanism, &pretended));
    /* One copy in either case, for the same reason. */
    *out = user ? user->secrets[mechanism] : pretended;
    *known = user != NULL;
    return err_ok();
}

err_t control_auth_users_put(struct control_auth_users *users, const struct control_auth_user *user)
{
    size_t place = place_of(users, name_of(user));
    ASSERT(control_auth_name_valid(name_of(user)));
    if (place < users->count && slice_equal(name_of(&users->items[place]), name_of(user))) {
        users->items[place] = *user;
        return err_ok();
    }
    if (users->count >= CONTROL_AUTH_USERS_MAX)
        return err_make(ERR_TOO_LARGE);
    if (users->count == users->capacity) {
        size_t wanted = users->capacity ? users->capacity * 2 : 16;
        void *grown = mem_realloc(users->items, wanted, sizeof(*users->items));
        if (!grown)
            return err_make(ERR_MEMORY);
        users->items = grown;
        users->capacity = wanted;
    }
    memmove(&users->items[place + 1], &users->items[place],
            (users->count - place) * sizeof(*users->items));
    users->items[place] = *user;
    users->count++;
    return err_ok();
}

bool control_auth_users_remove(struct control_auth_users *users, struct slice name)
{
    size_t place = place_of(users, name);
    if (place >= users->count || !slice_equal(name_of(&users->items[place]), name))
        return false;
    users->count--;
    memmove(&users->items[place], &users->items[place + 1],
            (users->count - place) * sizeof(*users->items));
    /* What is behind the last is a copy of it. */
    net_tls_wipe(&users->items[users->count], sizeof(*users->items));
    return true;
}

bool control_auth_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < 0x20 || name.data[i] == 0x7f)
            return false;
    return name.size > 0 && name.size <= CONTROL_AUTH_NAME_MAX && utf8_valid(name);
}

static void set_name(struct control_auth_user *user, struct slice name)
{
    ASSERT(control_auth_name_valid(name));
    memcpy(user->name, name.data, name.size);
    user->name[name.size] = '\0';
    user->name_size = name.size;
}

err_t control_auth_user_make(
    struct slice name, struct slice password,
    const uint8_t random[static CONTROL_AUTH_MECHANISMS * CONTROL_AUTH_SALT_SIZE],
    struct control_auth_user *out)
{
    *out = (struct control_auth_user){0};
    set_name(out, name);
    for (size_t i = 0; i < CONTROL_AUTH_MECHANISMS; i++)
        TRY(control_auth_derive(
            (enum control_auth_mechanism)i, password,
            slice_make(random + i * CONTROL_AUTH_SALT_SIZE, CONTROL_AUTH_SALT_SIZE),
            CONTROL_AUTH_ITERATIONS, &out->secrets[i]));
    return err_ok();
}

static void add_bytes(struct buf *out, const char *name, const uint8_t *bytes, size_t size)
{
    /* Neither the names nor base64 have anything to escape. */
    buf_add_format(out, "\"%s\":\"", name);
    buf_add_base64(out, slice_make(bytes, size));
    buf_add_byte(out, '"');
}

void control_auth_user_render(const struct control_auth_user *user, struct buf *out)
{
    buf_add_string(out, "{\"time\":\"");
    buf_add_time(out, user->set_ms);
    buf_add_byte(out, '"');
    for (size_t i = 0; i < CONTROL_AUTH_MECHANISMS; i++) {
        const struct control_auth_secret *secret = &user->secrets[i];
        size_t size = control_auth_key_size((enum control_auth_mechanism)i);
        buf_add_format(out, ",\"%s\":{",
                       control_auth_mechanism_name((enum control_auth_mechanism)i));
        add_bytes(out, "salt", secret->salt, secret->salt_size);
        buf_add_format(out, ",\"iterations\":%u,", secret->iterations);
        add_bytes(out, "stored_key", secret->stored_key, size);
        buf_add_byte(out, ',');
        add_bytes(out, "server_key", secret->server_key, size);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, '}');
}

void control_auth_fake_render(const struct control_auth_users *users, struct buf *out)
{
    buf_add_byte(out, '{');
    add_bytes(out, "secret", users->fake, sizeof(users->fake));
    buf_add_byte(out, '}');
}

/* Base64 under `key` into `out`, which has room for `size_max`. */
static err_t read_bytes(struct slice object, const char *key, uint8_t *out, size_t size_max,
                        size_t *size)
{
    struct format_json_value value = {0};
    struct buf bytes;
    TRY(format_json_get(object, key, &value));
    if (value.kind != FORMAT_JSON_STRING || value.raw.size < 2)
        return err_make(ERR_SYNTAX);
    /* Capped, so that it always fits where it goes. */
    buf_init(&bytes, size_max);
    err_t err = base64_decode(slice_sub(value.raw, 1, value.raw.size - 2), &bytes);
    if (err_is_ok(err) && bytes.size > 0)
        memcpy(out, bytes.data, bytes.size);
    *size = bytes.size;
    buf_done(&bytes);
    return err_is(err, ERR_TOO_LARGE) ? err_make(ERR_SYNTAX) : err;
}

static err_t read_secret(struct slice record, enum control_auth_mechanism mechanism,
                         struct control_auth_secret *out)
{
    struct format_json_value value = {0};
    struct format_json_value iterations = {0};
    size_t key_size = control_auth_key_size(mechanism);
    size_t salt = 0, stored = 0, server = 0;
    uint64_t count = 0;
    TRY(format_json_get(record, control_auth_mechanism_name(mechanism), &value));
    if (value.kind != FORMAT_JSON_OBJECT)
        return err_make(ERR_SYNTAX);
    TRY(read_bytes(value.raw, "salt", out->salt, sizeof(out->salt), &salt));
    TRY(read_bytes(value.raw, "stored_key", out->stored_key, key_size, &stored));
    TRY(read_bytes(value.raw, "server_key", out->server_key, key_size, &server));
    TRY(format_json_get(value.raw, "iterations", &iterations));
    /* Fewer iterations than are made here were written by nobody, and would be quick to guess. */
    bool valid = salt > 0 && stored == key_size && server == key_size &&
                 err_is_ok(number_parse_u64(iterations.raw, &count)) &&
                 count >= CONTROL_AUTH_ITERATIONS && count <= CONTROL_AUTH_ITERATIONS_MAX;
    out->salt_size = (uint32_t)salt;
    out->iterations = (uint32_t)count;
    return err_make(valid ? ERR_OK : ERR_SYNTAX);
}

/* For people alone: who may come in does not depend on it. */
static int64_t read_time(struct slice record)
{
    struct format_json_value value = {0};
    int64_t ms = 0;
    err_t err = format_json_get(record, "time", &value);
    if (err_is_ok(err) && value.kind == FORMAT_JSON_STRING)
        err = time_parse_rfc3339(slice_sub(value.raw, 1, value.raw.size - 2), &ms);
    return err_is_ok(err) ? ms : 0;
}

static err_t read_record(struct control_auth_users *users, struct slice key, struct slice value)
{
    struct control_auth_user user = {0};
    if (key.size == 0) {
        uint8_t fake[CONTROL_AUTH_FAKE_SIZE];
        size_t size = 0;
        TRY(read_bytes(value, "secret", fake, sizeof(fake), &size));
        if (size != sizeof(fake))
            return err_make(ERR_SYNTAX);
        memcpy(users->fake, fake, sizeof(fake));
        users->fake_read = true;
        return err_ok();
    }
    if (!control_auth_name_valid(key))
        return err_make(ERR_SYNTAX);
    /* Before it is looked at: whatever is wrong with it, the one before does not count any more. */
    control_auth_users_remove(users, key);
    if (!value.data)
        return err_ok();
    set_name(&user, key);
    user.set_ms = read_time(value);
    for (size_t i = 0; i < CONTROL_AUTH_MECHANISMS; i++)
        TRY(read_secret(value, (enum control_auth_mechanism)i, &user.secrets[i]));
    return control_auth_users_put(users, &user);
}

err_t control_auth_users_read(struct control_auth_users *users, struct slice key,
                              struct slice value)
{
    err_t err = read_record(users, key, value);
    return err_is(err, ERR_TOO_DEEP) ? err_make(ERR_SYNTAX) : err;
}
