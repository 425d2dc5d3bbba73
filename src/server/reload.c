#include "base/alloc.h"
#include "base/assert.h"
#include "control/catalog/change.h"
#include "control/config/compare.h"
#include "server/server_int.h"

/*
 * Reloading. The configuration is read whole and compared: what cannot change while the server
 * runs, and schemas that are not compatible, end it before anything is touched. Then, step by step
 * on the control loop, each when the log has answered: the log gets the topics, their DLQs and
 * what is kept (topics.c); the tables of all loops are made; and each loop in turn exchanges its
 * own between two turns. From then on the old catalog is used by nobody and freed.
 *
 * Failure: up to the exchange everything can fail, and the old contracts stay in force. Topics
 * that the log has got by then take nothing, since no contract in force names them; the next
 * reload finds them there. The exchange itself cannot fail. A stop that comes meanwhile waits.
 */

struct server_reload {
    struct server *server;
    struct admin_reload *request; /* NULL: a signal's */
    struct control_config *config;
    struct control_catalog *catalog;
    struct control_report report;
    struct flow_snapshot snapshot;
    struct server_changes changes;
    struct flow_commit commit;
    struct server_versions versions;
    unsigned pass;
    struct pipeline_check_update **updates; /* one a loop, and one for redriven letters */
    size_t applied;
    struct task task;
    struct err_text why;
};

/* The names of `list` that are not in `other` (or, `both`, differ between the two). */
static void add_names(struct buf *out, const char *title, const struct control_catalog *list,
                      const struct control_catalog *other, bool both)
{
    bool any = false;
    buf_add_format(out, "\"%s\":[", title);
    for (size_t i = 0; i < list->topic_count; i++) {
        const struct control_catalog_topic *topic = &list->topics[i];
        const struct control_catalog_topic *there =
            control_catalog_find(other, slice_string(topic->name));
        if (both ? !there || control_catalog_same(there, topic) : there != NULL)
            continue;
        if (any)
            buf_add_byte(out, ',');
        buf_add_json_string(out, slice_string(topic->name));
        any = true;
    }
    buf_add_byte(out, ']');
}

static void render_done(struct buf *out, const struct control_catalog *from,
                        const struct control_catalog *to)
{
    buf_add_string(out, "{\"reloaded\":true,\"topics\":{");
    add_names(out, "added", to, from, false);
    buf_add_byte(out, ',');
    add_names(out, "changed", to, from, true);
    buf_add_byte(out, ',');
    add_names(out, "removed", from, to, false);
    buf_add_string(out, "}}\n");
}

static void render_refused(struct buf *out, const struct control_messages *errors, const char *why)
{
    buf_add_string(out, "{\"reloaded\":false,\"error\":\"config\",\"errors\":[");
    for (size_t i = 0; i < errors->count; i++) {
        struct buf line = {0};
        control_report_print(&line, &errors->items[i]);
        if (i > 0)
            buf_add_byte(out, ',');
        buf_add_json_string(out, buf_slice(&line));
        buf_done(&line);
    }
    if (errors->count == 0)
        buf_add_json_string(out, slice_string(why));
    buf_add_format(out, "],\"omitted\":%zu}\n", errors->omitted);
}

static void end(struct server_reload *reload, int status)
{
    struct server *server = reload->server;
    struct admin_reload *request = reload->request;
    flow_snapshot_done(&reload->snapshot);
    server_changes_done(&reload->changes);
    server_versions_done(&reload->versions);
    for (size_t i = 0; reload->updates && i <= server->intake_count; i++)
        pipeline_check_update_free(&reload->updates[i]);
    mem_free(reload->updates);
    control_catalog_free(&reload->catalog);
    control_config_free(&reload->config);
    control_report_done(&reload->report);
    mem_free(reload);
    server->reload = NULL;
    if (request) {
        request->status = status;
        request->done(request);
    }
    if (server->stopping)
        server_stop_continue(server);
}

/* To the log of events as well: who sent a signal has no answer to read. */
static void refuse(struct server_reload *reload, err_t err)
{
    struct server *server = reload->server;
    const struct control_messages *errors = &reload->report.errors;
    const char *why = err_detail(err, &reload->why);
    server->reloads_refused++;
    for (size_t i = 0; i < errors->count; i++) {
        struct buf line = {0};
        control_report_print(&line, &errors->items[i]);
        logger_write(&server->logger.logger, LOG_LEVEL_ERROR, "reload_refused", "%.*s",
                     SLICE_PRINTF(buf_slice(&line)));
        buf_done(&line);
    }
    logger_write(&server->logger.logger, LOG_LEVEL_ERROR, "reload_refused",
                 "the configuration in force stays: %s", errors->count > 0 ? "see above" : why);
    if (reload->request)
        render_refused(&reload->request->body, errors, why);
    end(reload, err_is(err, ERR_CONFIG) ? 422 : 503);
}

/* On the control loop, when every loop works by the new contracts. */
static void in_force(struct task *task)
{
    struct server_reload *reload = CONTAINER_OF(task, struct server_reload, task);
    struct server *server = reload->server;
    struct control_catalog *old = server->catalog;
    pipeline_check_update_apply(server->redrive_check, reload->updates[server->intake_count]);
    /* Nobody else has it yet, so it may still be written to. */
    control_catalog_come_into_force(reload->catalog, old, io_wall_ms(server->control));
    server->catalog = reload->catalog;
    reload->catalog = old;
    admin_set_catalog(server->admin, server->catalog);
    server->reloads_done++;
    server->reload_success_ms = io_wall_ms(server->control);
    struct buf text = {0};
    render_done(&text, old, server->catalog);
    logger_write(&server->logger.logger, LOG_LEVEL_INFO, "reloaded", "%.*s",
                 SLICE_PRINTF(slice_trim(buf_slice(&text))));
    if (reload->request)
        buf_add_slice(&reload->request->body, buf_slice(&text));
    buf_done(&text);
    end(reload, 200);
}

/* On each intake loop in turn, which is where its check may be touched. */
/* One loop after the other, by mail. For that moment two loops may work by different contracts,
 * as two requests on their way do. */
static void apply(struct task *task)
{
    struct server_reload *reload = CONTAINER_OF(task, struct server_reload, task);
    struct server *server = reload->server;
    size_t i = reload->applied++;
    ASSERT(i < server->intake_count);
    pipeline_check_update_apply(server->intakes[i].check, reload->updates[i]);
    if (reload->applied < server->intake_count) {
        io_post(server->intakes[reload->applied].loop, task);
        return;
    }
    task->run = in_force;
    io_post(server->control, task);
}

/* All memory is had here, on the control loop, while the old contracts are in force: an exchange
 * that could fail on the second loop would leave the first with other contracts. */
static err_t make_updates(struct server_reload *reload)
{
    struct server *server = reload->server;
    struct pipeline_check_topic *topics = NULL;
    reload->updates = mem_zalloc(server->intake_count + 1, sizeof(struct pipeline_check_update *));
    if (!reload->updates)
        return err_make(ERR_MEMORY);
    TRY(server_topics_describe(reload->catalog, &reload->snapshot, &topics));
    err_t err = err_ok();
    for (size_t i = 0; i <= server->intake_count && err_is_ok(err); i++) {
        struct pipeline_check *check =
            i < server->intake_count ? server->intakes[i].check : server->redrive_check;
        err =
            pipeline_check_update_new(check, server->control, topics, reload->catalog->topic_count,
                                      &reload->updates[i], &reload->why);
    }
    mem_free(topics);
    return err;
}

static void snapshot_back(struct flow_snapshot *snapshot);

/* Anew for each pass: the pass before has given numbers to topics, and the next one refers to
 * them. */
static void ask_log(struct server_reload *reload)
{
    flow_snapshot_done(&reload->snapshot);
    reload->snapshot =
        (struct flow_snapshot){.home = reload->server->control, .done = snapshot_back};
    flow_log_snapshot(log_flow(reload->server->log), &reload->snapshot);
}

static void begin_exchange(struct server_reload *reload)
{
    reload->task.run = apply;
    io_post(reload->server->intakes[0].loop, &reload->task);
}

static void versions_back(struct flow_commit *commit)
{
    struct server_reload *reload = CONTAINER_OF(commit, struct server_reload, commit);
    err_t err = commit->error;
    if (err_is_ok(err))
        err = server_versions_note(reload->server, reload->catalog, &reload->snapshot);
    if (err_is_ok(err))
        begin_exchange(reload);
    else
        refuse(reload, err);
}

/* Before they are in force: a schema by which records were taken is never forgotten. One that a
 * crash keeps from coming into force is only one more that later ones are held against. */
static err_t write_versions(struct server_reload *reload)
{
    struct server *server = reload->server;
    bool any = false;
    reload->commit = (struct flow_commit){.home = server->control, .done = versions_back};
    TRY(server_versions_collect(server, reload->catalog, &reload->snapshot, &reload->versions,
                                &reload->commit, &any));
    if (any)
        flow_log_commit(log_flow(server->log), &reload->commit);
    else
        begin_exchange(reload);
    return err_ok();
}

static void commit_back(struct flow_commit *commit)
{
    struct server_reload *reload = CONTAINER_OF(commit, struct server_reload, commit);
    if (!err_is_ok(commit->error)) {
        refuse(reload, commit->error);
        return;
    }
    reload->pass++;
    ask_log(reload);
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct server_reload *reload = CONTAINER_OF(snapshot, struct server_reload, snapshot);
    struct server *server = reload->server;
    err_t err = snapshot->error;
    /* A pass that has nothing to do leads to the next at once: nothing has changed in between. */
    for (; err_is_ok(err) && reload->pass < SERVER_TOPIC_PASSES; reload->pass++) {
        server_changes_done(&reload->changes);
        reload->changes = (struct server_changes){0};
        err = server_topics_pass(server, reload->catalog, reload->pass, snapshot, &reload->changes,
                                 &reload->why);
        if (err_is_ok(err) && reload->changes.count > 0) {
            reload->commit = (struct flow_commit){.home = server->control,
                                                  .done = commit_back,
                                                  .topics = reload->changes.items,
                                                  .topic_count = reload->changes.count};
            flow_log_commit(log_flow(server->log), &reload->commit);
            return;
        }
    }
    if (err_is_ok(err))
        err = make_updates(reload);
    if (err_is_ok(err))
        err = write_versions(reload);
    if (!err_is_ok(err))
        refuse(reload, err);
}

/* Reads all of it, and looks at what can be seen without the log. */
static err_t load(struct server_reload *reload)
{
    struct server *server = reload->server;
    char room[128];
    TRY(control_config_load(server->host, server->config->file, &reload->config, &reload->report));
    TRY(control_catalog_load(server->host, reload->config, &reload->catalog, &reload->report));
    const char *differs = control_config_difference(server->config, reload->config, room);
    if (differs)
        return err_set(&reload->why, ERR_CONFIG,
                       "%s: %s has changed, which needs a restart; only contracts are reloaded",
                       reload->config->file ? reload->config->file : "(defaults)", differs);
    /* What of it the log alone can tell, and only that, is left for the passes: everything else is
     * said here, all at once, and by what `garner check --against` asks too. */
    TRY(control_catalog_may_follow(server->catalog, reload->catalog, reload->config,
                                   &reload->report));
    return control_report_verdict(&reload->report);
}

void server_reload(struct server *server, struct admin_reload *request)
{
    bool busy = server->reload || server->stopping || !server->serving;
    struct server_reload *reload = busy ? NULL : mem_zalloc(1, sizeof *reload);
    if (!reload) {
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "reload_busy",
                     "not now: a start, a stop or another reload is under way");
        if (request) {
            buf_add_string(&request->body,
                           "{\"reloaded\":false,\"error\":\"busy\",\"errors\":["
                           "\"a start, a stop or another reload is under way\"]}\n");
            request->status = 503;
            request->done(request);
        }
        return;
    }
    reload->server = server;
    reload->request = request;
    server->reload = reload;
    control_report_init(&reload->report);
    err_t err = load(reload);
    if (err_is_ok(err))
        ask_log(reload);
    else
        refuse(reload, err);
}
