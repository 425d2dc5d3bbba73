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
    struct net_tls *tls; /* NULL: there is none */
    struct control_report report;
    struct flow_snapshot snapshot;
    struct server_changes changes;
    struct flow_commit commit;
    struct server_versions versions;
    unsigned pass;
    struct server_exchange exchange;
    bool waits; /* for a change of topics that is under way */
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
    server_exchange_end(&reload->exchange);
    control_catalog_free(&reload->catalog);
    net_tls_free(&reload->tls);
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
    server_topics_go_on(server);
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

/* Every loop works by the new contracts. */
static void in_force(struct server_exchange *exchange)
{
    struct server_reload *reload = CONTAINER_OF(exchange, struct server_reload, exchange);
    struct server *server = reload->server;
    struct control_catalog *old = server->catalog;
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

static void versions_back(struct flow_commit *commit)
{
    struct server_reload *reload = CONTAINER_OF(commit, struct server_reload, commit);
    err_t err = commit->error;
    if (err_is_ok(err))
        err = server_versions_note(reload->server, reload->catalog, &reload->snapshot);
    if (err_is_ok(err))
        server_exchange_begin(&reload->exchange, in_force);
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
        server_exchange_begin(&reload->exchange, in_force);
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
        err = server_exchange_prepare(&reload->exchange, server, reload->catalog, snapshot,
                                      &reload->why);
    reload->exchange.tls = reload->tls;
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
    TRY(control_report_verdict(&reload->report));
    /* The paths are those of the configuration in force; what is in the files may be renewed. */
    return server_tls_read(server, reload->config, &reload->tls, &reload->why);
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
    reload->waits = server_topics_busy(server);
    if (!err_is_ok(err))
        refuse(reload, err);
    else if (!reload->waits)
        ask_log(reload);
}

void server_reload_go_on(struct server *server)
{
    struct server_reload *reload = server->reload;
    if (!reload || !reload->waits)
        return;
    reload->waits = false;
    ask_log(reload);
}
