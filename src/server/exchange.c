#include "base/alloc.h"
#include "base/assert.h"
#include "server/server_int.h"

/*
 * All memory is had on the control loop, while the old topics are in force: an exchange that could
 * fail on the second loop would leave the first with other topics. Then each loop in turn exchanges
 * its own between two of its turns, which is where its check may be touched, and at last the
 * control loop the one for redriven letters. For that moment two loops may work by different
 * contracts, as two requests on their way do.
 */

err_t server_exchange_prepare(struct server_exchange *exchange, struct server *server,
                              const struct control_catalog *catalog,
                              const struct flow_snapshot *snapshot, struct err_text *why)
{
    struct pipeline_check_topic *topics = NULL;
    size_t count = 0;
    ASSERT(!exchange->updates);
    *exchange = (struct server_exchange){.server = server};
    exchange->updates =
        mem_zalloc(server->intake_count + 1, sizeof(struct pipeline_check_update *));
    if (!exchange->updates)
        return err_make(ERR_MEMORY);
    TRY(server_topics_describe(catalog, snapshot, &topics, &count));
    err_t err = err_ok();
    for (size_t i = 0; i <= server->intake_count && err_is_ok(err); i++) {
        struct pipeline_check *check =
            i < server->intake_count ? server->intakes[i].check : server->redrive_check;
        err = pipeline_check_update_new(check, server->control, topics, count,
                                        &exchange->updates[i], why);
    }
    mem_free(topics);
    return err;
}

static void finish(struct task *task)
{
    struct server_exchange *exchange = CONTAINER_OF(task, struct server_exchange, task);
    struct server *server = exchange->server;
    pipeline_check_update_apply(server->redrive_check, exchange->updates[server->intake_count]);
    exchange->done(exchange);
}

static void apply(struct task *task)
{
    struct server_exchange *exchange = CONTAINER_OF(task, struct server_exchange, task);
    struct server *server = exchange->server;
    size_t i = exchange->applied++;
    ASSERT(i < server->intake_count);
    pipeline_check_update_apply(server->intakes[i].check, exchange->updates[i]);
    if (exchange->tls)
        net_tls_loop_use(server->intakes[i].kafka_tls, exchange->tls);
    if (exchange->applied < server->intake_count) {
        io_post(server->intakes[exchange->applied].loop, task);
        return;
    }
    task->run = finish;
    io_post(server->control, task);
}

void server_exchange_begin(struct server_exchange *exchange,
                           void (*done)(struct server_exchange *exchange))
{
    ASSERT(exchange->updates && exchange->applied == 0);
    exchange->done = done;
    exchange->task.run = apply;
    io_post(exchange->server->intakes[0].loop, &exchange->task);
}

void server_exchange_end(struct server_exchange *exchange)
{
    for (size_t i = 0; exchange->updates && i <= exchange->server->intake_count; i++)
        pipeline_check_update_free(&exchange->updates[i]);
    mem_free(exchange->updates);
    *exchange = (struct server_exchange){0};
}
