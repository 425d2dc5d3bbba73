#include "admin/admin_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "format/json/json.h"

/*
 * Users are the server's to keep; here is only how it is asked and answered. A password is in the
 * request's body and in what is made of it here, which is overwritten; it is in no answer, no
 * target and no line of the log.
 */

struct change {
    struct admin_user ask;
    struct admin *admin;
    struct net_http_request *request;
    struct buf password;
    uint8_t name[FLOW_TOPIC_NAME_MAX];
};

static void free_change(struct change *change)
{
    if (change->password.size > 0)
        net_tls_wipe(change->password.data, change->password.size);
    buf_done(&change->password);
    buf_done(&change->ask.body);
    admin_inquiry_end(change->admin);
    mem_free(change);
}

static void change_done(struct admin_user *ask)
{
    struct change *change = CONTAINER_OF(ask, struct change, ask);
    ASSERT(ask->status > 0);
    admin_reply(change->request, ask->status, NULL, &ask->body);
    free_change(change);
}

/* NULL: answered. */
static struct change *begin(struct admin *admin, struct net_http_request *request,
                            const struct admin_target *target)
{
    struct slice name = slice_make(target->topic, target->topic_size);
    if (!admin->options.user) {
        net_http_reply_error(request, 503, "unavailable", NULL, "this server keeps no users");
        return NULL;
    }
    if (!control_auth_name_valid(name)) {
        net_http_reply_error(request, 400, "name", NULL,
                             "expected a name of 1 to %u bytes of UTF-8 without control characters",
                             CONTROL_AUTH_NAME_MAX);
        return NULL;
    }
    if (!admin_inquiry_begin(admin, request))
        return NULL;
    struct change *change = mem_zalloc(1, sizeof *change);
    if (!change) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return NULL;
    }
    /* The request's own target is gone before the answer comes. */
    memcpy(change->name, name.data, name.size);
    change->ask.name = slice_make(change->name, name.size);
    change->ask.done = change_done;
    change->admin = admin;
    change->request = request;
    return change;
}

/* The password out of {"password":"..."}; what is wrong is told without it. */
static err_t read_password(struct slice body, struct buf *out)
{
    struct format_json_value value = {0};
    TRY(format_json_get(body, "password", &value));
    if (value.kind != FORMAT_JSON_STRING)
        return err_make(ERR_SYNTAX);
    /* In its whole size at once: growing would leave pieces of it behind. */
    if (!buf_reserve(out, value.raw.size + 1))
        return err_make(ERR_MEMORY);
    TRY(format_json_string_decode(value.raw, out));
    /* A zero could not be sent with PLAIN. */
    bool valid = out->size > 0 && out->size <= CONTROL_AUTH_PASSWORD_MAX &&
                 !memchr(out->data, '\0', out->size);
    return err_make(valid ? ERR_OK : ERR_SYNTAX);
}

void admin_user_put(struct admin *admin, struct net_http_request *request,
                    const struct admin_target *target)
{
    struct change *change = begin(admin, request, target);
    if (!change)
        return;
    err_t err = read_password(target->body, &change->password);
    if (!err_is_ok(err)) {
        if (err_is(err, ERR_MEMORY))
            admin_reply_busy(request);
        else
            net_http_reply_error(request, 400, "password", NULL,
                                 "expected {\"password\":\"...\"} with 1 to %u bytes",
                                 CONTROL_AUTH_PASSWORD_MAX);
        free_change(change);
        return;
    }
    /* Viewed, not copied: there is one place to overwrite. */
    change->ask.password = buf_slice(&change->password);
    admin->options.user(admin->options.users_owner, &change->ask);
}

void admin_user_remove(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target)
{
    struct change *change = begin(admin, request, target);
    if (!change)
        return;
    change->ask.remove = true;
    admin->options.user(admin->options.users_owner, &change->ask);
}

void admin_users_serve(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target)
{
    const struct control_auth_users *users =
        admin->options.users ? admin->options.users(admin->options.users_owner) : NULL;
    struct buf body = {0};
    (void)target;
    buf_add_string(&body, "{\"users\":[");
    for (size_t i = 0; users && i < users->count; i++) {
        buf_add_string(&body, i > 0 ? ",{\"name\":" : "{\"name\":");
        buf_add_json_string(&body, slice_make(users->items[i].name, users->items[i].name_size));
        buf_add_string(&body, ",\"mechanisms\":[\"SCRAM-SHA-256\",\"SCRAM-SHA-512\"]}");
    }
    buf_add_string(&body, "]}\n");
    admin_reply(request, 200, NULL, &body);
    buf_done(&body);
}
