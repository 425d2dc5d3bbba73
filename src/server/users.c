#include "base/alloc.h"
#include "base/assert.h"
#include "base/time.h"
#include "io/uv/uv.h"
#include "server/server_int.h"

/*
 * Users are read from their topic at the start, and kept as a list that nobody changes. A change is
 * made on a copy: what is held of the password is derived, written in one commit with what the
 * audit says of it, and then each loop is handed the copy, one after the other; from then on nobody
 * has the list before it. One change at a time.
 *
 * The topic is compacted: once most of its records are of no use any more, the commit of a change
 * has all users as they are from it on, and what is before them goes with it.
 *
 * Failure: until the commit is back nothing has changed. A commit whose outcome is not known is
 * told as such; the next start knows. A record that cannot be read lets nobody in, and is told of.
 */

#define AUDIT_TOPIC "_audit"
/* So many records that nobody needs are left, and as many again as there are users: writing them
 * anew is rare beside the changes that lead to it. */
#define STALE_RECORDS_MAX 64u

struct server_user_change {
    struct server *server;
    struct admin_user *request;
    struct control_auth_users *next;
    struct flow_snapshot snapshot;
    struct flow_commit commit;
    struct flow_topic_change topics[2];
    struct flow_append appends[2];
    struct flow_count counts[2];
    struct flow_batch_builder users;
    struct flow_batch_builder audit;
    struct buf text;
    struct task task;
    size_t applied;
    bool compacts;
};

static err_t take_user(struct server *server, const struct flow_record *record)
{
    err_t err = control_auth_users_read(server->users, record->key, record->value);
    if (err_is(err, ERR_MEMORY))
        return err;
    if (!err_is_ok(err))
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "user_unreadable",
                     CONTROL_AUTH_USERS_TOPIC
                     " offset %lld: a user whose record cannot be read is not let in; add the user "
                     "again",
                     (long long)record->offset);
    return err_ok();
}

err_t server_learn_users(struct server *server, struct err_text *why)
{
    struct flow_snapshot snapshot;
    uint8_t fake[CONTROL_AUTH_FAKE_SIZE];
    io_random(server->control, fake, sizeof fake);
    TRY(control_auth_users_new(fake, &server->users));
    TRY(server_snapshot(server, &snapshot));
    const struct flow_topic_state *home =
        flow_snapshot_topic(&snapshot, SLICE_LITERAL(CONTROL_AUTH_USERS_TOPIC));
    err_t err = home ? server_read_topic(server, home, take_user) : err_ok();
    flow_snapshot_done(&snapshot);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "the users in topic %s: %s",
                       CONTROL_AUTH_USERS_TOPIC, err_string(err));
    if (server->config->kafka.sasl.enabled && server->users->count == 0)
        logger_write(
            &server->logger.logger, LOG_LEVEL_WARNING, "no_users",
            "kafka.sasl lets nobody in yet: there are no users; garner user add NAME makes "
            "one");
    return err_ok();
}

static void answer(struct admin_user *request, int status, const char *error, const char *detail)
{
    request->status = status;
    if (error) {
        buf_add_format(&request->body, "{\"error\":\"%s\",\"detail\":", error);
        buf_add_json_string(&request->body, slice_string(detail));
        buf_add_string(&request->body, "}\n");
    } else {
        buf_add_format(&request->body, "{\"%s\":", request->remove ? "removed" : "added");
        buf_add_json_string(&request->body, request->name);
        buf_add_string(&request->body, "}\n");
    }
    request->done(request);
}

static void end(struct server_user_change *change, err_t err)
{
    struct server *server = change->server;
    struct admin_user *request = change->request;
    flow_batch_builder_done(&change->users);
    flow_batch_builder_done(&change->audit);
    buf_done(&change->text);
    control_auth_users_free(&change->next);
    mem_free(change);
    /* Before the answer: whoever gets it may ask for the next change at once. */
    server->user_change = NULL;
    if (err_is_ok(err))
        answer(request, 200, NULL, NULL);
    else if (err_is(err, ERR_NOT_FOUND))
        answer(request, 404, "unknown_user", "there is no such user");
    else
        answer(request, err_http_status(err), "log", err_string(err));
    if (server->stopping)
        server_stop_continue(server);
}

/* On the control loop: nobody reads the list before any more. */
static void in_force(struct task *task)
{
    struct server_user_change *change = CONTAINER_OF(task, struct server_user_change, task);
    struct server *server = change->server;
    struct control_auth_users *before = server->users;
    server->users = change->next;
    change->next = before;
    logger_write(&server->logger.logger, LOG_LEVEL_INFO, "user_changed", "user %.*s %s",
                 SLICE_PRINTF(change->request->name),
                 change->request->remove ? "removed" : "added or given another password");
    end(change, err_ok());
}

/* On each intake loop in turn. */
static void apply(struct task *task)
{
    struct server_user_change *change = CONTAINER_OF(task, struct server_user_change, task);
    struct server *server = change->server;
    ASSERT(change->applied < server->intake_count);
    serve_kafka_use_users(server->kafka, change->applied, change->next);
    if (++change->applied < server->intake_count) {
        io_post(server->intakes[change->applied].loop, task);
        return;
    }
    task->run = in_force;
    io_post(server->control, task);
}

static void written(struct flow_commit *commit)
{
    struct server_user_change *change = CONTAINER_OF(commit, struct server_user_change, commit);
    struct server *server = change->server;
    if (!err_is_ok(commit->error)) {
        end(change, commit->error);
        return;
    }
    change->next->fake_read = true;
    /* Nobody reads the list there, and the loops need not be asked. */
    if (!server->config->kafka.sasl.enabled) {
        in_force(&change->task);
        return;
    }
    change->task.run = apply;
    io_post(server->intakes[0].loop, &change->task);
}

static err_t add_user(struct server_user_change *change, const struct control_auth_user *user)
{
    struct buf *text = &change->text;
    buf_reset(text);
    control_auth_user_render(user, text);
    TRY(buf_error(text));
    return flow_batch_builder_add(&change->users, user->set_ms,
                                  slice_make(user->name, user->name_size), buf_slice(text), NULL,
                                  0);
}

static err_t add_fake(struct server_user_change *change, int64_t now_ms)
{
    struct buf *text = &change->text;
    buf_reset(text);
    control_auth_fake_render(change->next, text);
    TRY(buf_error(text));
    return flow_batch_builder_add(&change->users, now_ms, SLICE_LITERAL(""), buf_slice(text), NULL,
                                  0);
}

static err_t add_users(struct server_user_change *change, int64_t now_ms)
{
    const struct control_auth_users *next = change->next;
    struct slice name = change->request->name;
    /* With the first user, so that those who are not looked the same before and after a start. */
    if (!next->fake_read || change->compacts)
        TRY(add_fake(change, now_ms));
    for (size_t i = 0; change->compacts && i < next->count; i++)
        TRY(add_user(change, &next->items[i]));
    if (change->compacts)
        return err_ok();
    const struct control_auth_user *user = control_auth_users_get(next, name);
    struct slice none = {0};
    /* None: it is being removed, and a record without a value says so. */
    return user ? add_user(change, user)
                : flow_batch_builder_add(&change->users, now_ms, name, none, NULL, 0);
}

static err_t build(struct server_user_change *change)
{
    const struct admin_user *request = change->request;
    int64_t now_ms = io_wall_ms(change->server->control);
    struct buf *text = &change->text;
    TRY(add_users(change, now_ms));
    buf_reset(text);
    buf_add_string(text, "{\"time\":\"");
    buf_add_time(text, now_ms);
    buf_add_format(text, "\",\"what\":\"user\",\"event\":\"%s\",\"user\":",
                   request->remove ? "removed" : "put");
    buf_add_json_string(text, request->name);
    buf_add_byte(text, '}');
    TRY(buf_error(text));
    struct slice none = {0};
    return flow_batch_builder_add(&change->audit, now_ms, none, buf_slice(text), NULL, 0);
}

static void set_append(struct server_user_change *change, size_t i,
                       struct flow_batch_builder *builder, uint32_t topic_id)
{
    struct slice batch = flow_batch_builder_finish(builder);
    change->appends[i] = (struct flow_append){.topic_id = topic_id,
                                              .kind = FLOW_APPEND_RECORDS,
                                              .record_count = builder->record_count,
                                              .batch = builder->bytes.data,
                                              .batch_size = batch.size};
    change->counts[i] =
        (struct flow_count){.topic_id = topic_id, .received = builder->record_count};
}

/* Both or neither: no change is without its line in the audit. */
static err_t write_change(struct server_user_change *change, uint32_t users_id, uint32_t audit_id,
                          int64_t users_end)
{
    TRY(build(change));
    set_append(change, 0, &change->users, users_id);
    set_append(change, 1, &change->audit, audit_id);
    change->commit = (struct flow_commit){.home = change->server->control,
                                          .done = written,
                                          .appends = change->appends,
                                          .append_count = 2,
                                          .counts = change->counts,
                                          .count_count = 2,
                                          .topics = change->topics,
                                          .topic_count = change->compacts ? 1 : 0};
    change->topics[0] = (struct flow_topic_change){
        .op = FLOW_TOPIC_LOG_START, .topic_id = users_id, .start_offset = users_end};
    flow_log_commit(log_flow(change->server->log), &change->commit);
    return err_ok();
}

static void snapshot_back(struct flow_snapshot *snapshot);

static void ask_log(struct server_user_change *change)
{
    change->snapshot =
        (struct flow_snapshot){.home = change->server->control, .done = snapshot_back};
    flow_log_snapshot(log_flow(change->server->log), &change->snapshot);
}

/* Somebody else may have made one of them meanwhile. */
static void made(struct flow_commit *commit)
{
    struct server_user_change *change = CONTAINER_OF(commit, struct server_user_change, commit);
    /* Asked again, since only the log knows the number of one that was there. */
    if (err_is_ok(commit->error) || err_is(commit->error, ERR_EXISTS))
        ask_log(change);
    else
        end(change, commit->error);
}

static void add_topic(struct server_user_change *change, const char *name)
{
    uint8_t random[16];
    io_random(change->server->control, random, sizeof random);
    change->topics[change->commit.topic_count++] =
        (struct flow_topic_change){.op = FLOW_TOPIC_CREATE,
                                   .uuid = uuid_from_random(random),
                                   .name = slice_string(name),
                                   .partition_count = 1};
}

/* Nobody but changes of users appends to the topic, and this is the one that there is. All users
 * that can be are 8 MB of records, which the smallest file of the log has room for. */
static bool is_stale(const struct server_user_change *change, const struct flow_topic_state *users)
{
    uint64_t held = (uint64_t)(users->end_offset[0] - users->start_offset[0]);
    return held > 2 * (uint64_t)change->next->count + STALE_RECORDS_MAX;
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct server_user_change *change = CONTAINER_OF(snapshot, struct server_user_change, snapshot);
    err_t err = snapshot->error;
    const struct flow_topic_state *users = NULL;
    const struct flow_topic_state *audit = NULL;
    if (err_is_ok(err)) {
        users = flow_snapshot_topic(snapshot, SLICE_LITERAL(CONTROL_AUTH_USERS_TOPIC));
        audit = flow_snapshot_topic(snapshot, SLICE_LITERAL(AUDIT_TOPIC));
    }
    /* Taken out first: with the snapshot go the topics. */
    uint32_t users_id = users ? users->id : 0;
    uint32_t audit_id = audit ? audit->id : 0;
    int64_t users_end = users ? users->end_offset[0] : 0;
    change->compacts = users && is_stale(change, users);
    flow_snapshot_done(snapshot);
    if (err_is_ok(err) && users_id && audit_id)
        err = write_change(change, users_id, audit_id, users_end);
    else if (err_is_ok(err)) {
        change->commit = (struct flow_commit){
            .home = change->server->control, .done = made, .topics = change->topics};
        if (!users_id)
            add_topic(change, CONTROL_AUTH_USERS_TOPIC);
        if (!audit_id)
            add_topic(change, AUDIT_TOPIC);
        flow_log_commit(log_flow(change->server->log), &change->commit);
    }
    if (!err_is_ok(err))
        end(change, err);
}

static err_t prepare(struct server_user_change *change)
{
    const struct admin_user *request = change->request;
    uint8_t random[CONTROL_AUTH_MECHANISMS * CONTROL_AUTH_SALT_SIZE];
    struct control_auth_user user;
    /* Whole: loops read the one before while this one is made. */
    TRY(control_auth_users_copy(change->server->users, &change->next));
    if (request->remove)
        return err_make(control_auth_users_remove(change->next, request->name) ? ERR_OK
                                                                               : ERR_NOT_FOUND);
    io_random(change->server->control, random, sizeof random);
    TRY(control_auth_user_make(request->name, request->password, random, &user));
    user.set_ms = io_wall_ms(change->server->control);
    err_t err = control_auth_users_put(change->next, &user);
    net_tls_wipe(&user, sizeof user);
    return err;
}

void server_change_user(struct server *server, struct admin_user *request)
{
    bool busy = server->user_change || server->stopping || !server->serving;
    struct server_user_change *change = busy ? NULL : mem_zalloc(1, sizeof *change);
    if (!change) {
        answer(request, 503, "busy",
               "a start, a stop or another change of users is under way; try again");
        return;
    }
    change->server = server;
    change->request = request;
    server->user_change = change;
    flow_batch_builder_init(&change->users);
    flow_batch_builder_init(&change->audit);
    err_t err = prepare(change);
    if (err_is_ok(err))
        ask_log(change);
    else
        end(change, err);
}
