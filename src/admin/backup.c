#include "admin/admin_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/number.h"
#include "flow/pin.h"
#include "net/http/target.h"

/*
 * A backup is made by a command on the same machine, which copies the files itself; the door only
 * holds them for it. The id is a number that nobody guesses, written as text, since not every
 * reader of JSON has 64 bits for one.
 */

struct holding {
    struct admin *admin;
    struct net_http_request *request;
    struct flow_pin pin;
};

static void reply_taken(struct holding *holding)
{
    const struct flow_pin *pin = &holding->pin;
    char uuid[UUID_TEXT_SIZE + 1];
    struct buf body = {0};
    ASSERT(pin->id != 0 && pin->data_directory);
    uuid_format(&pin->log_uuid, uuid);
    buf_add_format(&body,
                   "{\"id\":\"%llu\",\"lsn\":%llu,\"uuid\":\"%s\",\"lease_ms\":%u,"
                   "\"data_dir\":",
                   (unsigned long long)pin->id, (unsigned long long)pin->lsn, uuid,
                   FLOW_PIN_LEASE_MS);
    buf_add_json_string(&body, slice_string(pin->data_directory));
    buf_add_string(&body, "}\n");
    admin_reply(holding->request, 200, NULL, &body);
    buf_done(&body);
}

static void reply_error(struct holding *holding)
{
    const struct flow_pin *pin = &holding->pin;
    if (err_is(pin->error, ERR_IN_USE))
        net_http_reply_error(holding->request, 409, "in_use", NULL,
                             "another backup of this server is under way, or has ended without a "
                             "word within the last minute");
    else if (err_is(pin->error, ERR_NOT_FOUND))
        net_http_reply_error(holding->request, 404, "unknown_backup", NULL,
                             "the server does not hold this backup's files any more: it was "
                             "started again, has not heard of the backup for a minute, or needed "
                             "the room; its log says which");
    else
        admin_reply_failed(holding->request, pin->error, "log", "the log cannot be held");
}

static void pin_back(struct flow_pin *pin)
{
    struct holding *holding = CONTAINER_OF(pin, struct holding, pin);
    struct buf body = {0};
    if (!err_is_ok(pin->error)) {
        reply_error(holding);
    } else if (pin->op == FLOW_PIN_TAKE) {
        reply_taken(holding);
    } else {
        buf_add_string(&body,
                       pin->op == FLOW_PIN_GIVE_BACK ? "{\"held\":false}\n" : "{\"held\":true}\n");
        admin_reply(holding->request, 200, NULL, &body);
    }
    buf_done(&body);
    ASSERT(holding->admin);
    admin_inquiry_end(holding->admin);
    mem_free(holding);
}

static void ask(struct admin *admin, struct net_http_request *request, enum flow_pin_op op,
                uint64_t id)
{
    if (!admin_inquiry_begin(admin, request))
        return;
    struct holding *holding = mem_zalloc(1, sizeof *holding);
    if (!holding) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return;
    }
    ASSERT(op == FLOW_PIN_TAKE || id > 0);
    holding->admin = admin;
    holding->request = request;
    holding->pin =
        (struct flow_pin){.home = admin->options.loop, .done = pin_back, .op = op, .id = id};
    flow_log_pin(admin->options.log, &holding->pin);
}

/* The id in the path; false when it has answered. */
static bool take_id(struct net_http_request *request, const struct admin_target *target,
                    uint64_t *id)
{
    struct slice text = slice_make(target->topic, target->topic_size);
    if (err_is_ok(number_parse_u64(text, id)) && *id > 0)
        return true;
    net_http_reply_error(request, 404, "unknown_backup", NULL, "%.*s is no id of a backup",
                         SLICE_PRINTF(text));
    return false;
}

void admin_backup_take(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target)
{
    ASSERT(target->topic_size == 0);
    ask(admin, request, FLOW_PIN_TAKE, 0);
}

void admin_backup_keep(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target)
{
    uint8_t room[16];
    struct slice value;
    uint64_t id;
    struct slice query = slice_make(target->query, target->query_size);
    err_t err = net_http_query_get(query, "log", room, sizeof room, &value);
    bool copied = err_is_ok(err) && slice_equal_string(value, "copied");
    ASSERT(admin->server);
    if (query.size > 0 && !copied)
        net_http_reply_error(request, 400, "query", NULL, "expected nothing, or log=copied");
    else if (take_id(request, target, &id))
        ask(admin, request, copied ? FLOW_PIN_KEEP_SEGMENTS : FLOW_PIN_KEEP, id);
}

void admin_backup_give_back(struct admin *admin, struct net_http_request *request,
                            const struct admin_target *target)
{
    uint64_t id;
    ASSERT(admin->server);
    if (take_id(request, target, &id))
        ask(admin, request, FLOW_PIN_GIVE_BACK, id);
}
