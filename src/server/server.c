#include "server/server.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "control/catalog/change.h"
#include "control/config/value.h"
#include "io/uv/uv.h"
#include "server/faults.h"
#include "server/server_int.h"

/*
 * Starting: configuration and contracts, loops and workers, the log (which recovers), topics,
 * then the doors, then the sinks. Until the doors are open everything is on this thread, waiting
 * for what it asks; a failure anywhere frees what there is, in the opposite order, and no record
 * has been taken. The intake's door is the last thing that can fail, so that it never has to be
 * closed again by a start; the admin door before it can be. Stopping is in stop.c.
 */

/* Below it freed memory goes back at once: what allocators keep is a large part of so little. */
#define SCARCE_BYTES (UINT64_C(256) << 20)
#define ADMIN_EXPORTERS 5u

/* On standard error in the form of a compiler's, before there is a log to write to. */
static void print_messages(const struct control_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++) {
        struct buf line;
        buf_init(&line, 0);
        control_report_print(&line, &messages->items[i]);
        if (buf_ok(&line))
            fprintf(stderr, "%.*s\n", SLICE_PRINTF(buf_slice(&line)));
        buf_done(&line);
    }
    if (messages->omitted > 0)
        fprintf(stderr, "and %zu more\n", messages->omitted);
}

/* Whole and checked before anything else is made: a mistake leaves no trace, not even a
 * directory. */
static err_t load_config(struct server *server, const char *file)
{
    struct control_report report;
    control_report_init(&report);
    err_t err = control_config_load(server->host, file, &server->config, &report);
    if (err_is_ok(err))
        err = control_catalog_load(server->host, server->config, &server->catalog, &report);
    print_messages(&report.errors);
    /* Notes also with a configuration that is good: they say what has no effect. */
    print_messages(&report.notes);
    control_report_done(&report);
    return err;
}

static void divide_memory(struct server *server)
{
    const struct control_config *config = server->config;
    server_memory_divide(config, io_uv_cpu_count(), &server->memory);
    if (config->memory_limit < SCARCE_BYTES)
        mem_return_at_once();
    if (server->memory.body_bytes_max < config->intake.body_bytes_max)
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "body_limit_lowered",
                     "memory_limit has room for bodies of %llu bytes, intake.body_limit is %llu",
                     (unsigned long long)server->memory.body_bytes_max,
                     (unsigned long long)config->intake.body_bytes_max);
}

static err_t new_threads(struct server *server)
{
    size_t count = server->memory.loop_count;
    server->intakes = mem_zalloc(count, sizeof *server->intakes);
    if (!server->intakes)
        return err_make(ERR_MEMORY);
    server->intake_count = count;
    for (size_t i = 0; i < count; i++)
        TRY(io_uv_loop_new(&server->intakes[i].loop));
    TRY(io_uv_loop_new(&server->sequencer));
    /* Of their own, one each: a flush must never stand in line behind the making of a file or a
     * read. */
    TRY(io_uv_worker_new("flusher", &server->flusher));
    TRY(io_uv_worker_new("maker", &server->maker));
    TRY(io_uv_worker_new("sealer", &server->sealer));
    TRY(io_uv_worker_new("checker", &server->checker));
    return io_uv_worker_new("reader", &server->reader);
}

static err_t open_log(struct server *server, struct err_text *why)
{
    const struct control_config *config = server->config;
    struct log_options options = {
        .loop = server->sequencer,
        .flusher = server->flusher,
        .maker = server->maker,
        .reader = server->reader,
        .sealer = server->sealer,
        .checker = server->checker,
        .disk = server->disk,
        .logger = &server->logger.logger,
        .data_directory = config->data_dir,
        .wal_limit_bytes = config->wal_limit,
        .tail_bytes = server->memory.tail_bytes,
        .large_bytes = server->memory.large_bytes,
        .index_bytes = server->memory.index_bytes,
        .early_answers = config->durability.mode == CONTROL_CONFIG_INTERVAL,
        .early_delay_ms = config->durability.max_delay_ms,
        .early_bytes = config->durability.max_bytes,
        .check_every_ms = config->check_every_ms,
    };
    if (options.early_answers)
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "durability_interval",
                     "durability: interval: answers come up to %llu ms and %llu bytes before the "
                     "flush; a crash can lose that much of what was acknowledged",
                     (unsigned long long)options.early_delay_ms,
                     (unsigned long long)options.early_bytes);
    /* Recovery runs in here, on this thread, before the sequencer's loop has begun to turn. */
    TRY(log_open(&options, &server->log, why));
    TRY(io_uv_loop_start(server->sequencer, "sequencer"));
    server->sequencer_started = true;
    return err_ok();
}

/* A request is wholly in one commit, together with what came in the same turn of its loop. */
static uint64_t request_size_max(const struct server *server)
{
    uint64_t bytes = log_commit_size_max(server->log) - PIPELINE_CHECK_COMMIT_TARGET;
    return bytes < server->memory.request_bytes_max ? bytes : server->memory.request_bytes_max;
}

/* What a check needs beside its loop and its memory. */
static struct pipeline_check_options check_options(const struct server *server,
                                                   const struct pipeline_check_topic *topics,
                                                   size_t topic_count)
{
    return (struct pipeline_check_options){
        .log = log_flow(server->log),
        .topics = topics,
        .topic_count = topic_count,
        .record_size_max = server->config->intake.record_bytes_max,
        .request_size_max = request_size_max(server),
    };
}

/* Dead letters pass the same checks as what comes in, on the loop of those who ask for it. */
static err_t new_redrive(struct server *server, const struct pipeline_check_topic *topics,
                         size_t topic_count, struct err_text *why)
{
    struct pipeline_check_options options = check_options(server, topics, topic_count);
    options.loop = server->control;
    options.memory_bytes = server->memory.redrive_bytes;
    TRY(pipeline_check_new(&options, &server->redrive_check, why));
    return sources_redrive_new(
        &(struct sources_redrive_options){.loop = server->control,
                                          .log = log_flow(server->log),
                                          .inlet = pipeline_check_inlet(server->redrive_check),
                                          .logger = &server->logger.logger},
        &server->redrive);
}

/* Letters of sinks go back to those that the configuration has. */
static err_t give_sinks(struct server *server)
{
    struct flow_redeliver **sinks =
        mem_zalloc(server->sink_count + 1, sizeof(struct flow_redeliver *));
    if (!sinks)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < server->sink_count; i++)
        sinks[i] = sinks_runner_redeliver(server->sinks[i].runner);
    err_t err = sources_redrive_set_sinks(server->redrive, sinks, (uint32_t)server->sink_count);
    mem_free(sinks);
    return err;
}

/* One a loop: nothing on the way from a connection to the log is shared between loops. */
static err_t new_checks(struct server *server, const struct pipeline_check_topic *topics,
                        size_t topic_count, struct err_text *why)
{
    struct pipeline_check **checks =
        mem_zalloc(server->intake_count + 1, sizeof(struct pipeline_check *));
    if (!checks)
        return err_make(ERR_MEMORY);
    err_t err = new_redrive(server, topics, topic_count, why);
    checks[server->intake_count] = server->redrive_check;
    for (size_t i = 0; i < server->intake_count && err_is_ok(err); i++) {
        struct server_intake *intake = &server->intakes[i];
        struct pipeline_check_options options = check_options(server, topics, topic_count);
        options.loop = intake->loop;
        options.memory_bytes = server->memory.batches_bytes;
        flow_credit_init(&intake->credit, "bodies", server->memory.bodies_bytes);
        err = pipeline_check_new(&options, &intake->check, why);
        checks[i] = intake->check;
    }
    if (err_is_ok(err))
        err =
            pipeline_check_exporter_new(checks, server->intake_count + 1, &server->check_exporter);
    /* The exporter has its own copy. */
    mem_free(checks);
    return err;
}

static err_t new_intake(struct server *server)
{
    struct net_http_limits limits;
    struct sources_http_loop *loops = mem_zalloc(server->intake_count, sizeof *loops);
    if (!loops)
        return err_make(ERR_MEMORY);
    net_http_limits_init(&limits);
    if (limits.held_bytes_max > server->memory.http_held_bytes)
        limits.held_bytes_max = (size_t)server->memory.http_held_bytes;
    for (size_t i = 0; i < server->intake_count; i++)
        loops[i] = (struct sources_http_loop){
            .loop = server->intakes[i].loop,
            .inlet = pipeline_check_inlet(server->intakes[i].check),
            .credit = &server->intakes[i].credit,
        };
    err_t err =
        sources_http_new(&(struct sources_http_options){.address = server->config->intake.listen,
                                                        .loops = loops,
                                                        .loop_count = server->intake_count,
                                                        .body_max = server->memory.body_bytes_max,
                                                        .limits = &limits},
                         &server->http);
    mem_free(loops);
    return err;
}

static err_t new_kafka(struct server *server)
{
    const struct control_config *config = server->config;
    struct net_kafka_limits limits;
    struct serve_kafka_loop *loops = mem_zalloc(server->intake_count, sizeof *loops);
    if (!loops)
        return err_make(ERR_MEMORY);
    net_kafka_limits_init(&limits);
    if (limits.held_bytes_max > server->memory.kafka_held_bytes)
        limits.held_bytes_max = (size_t)server->memory.kafka_held_bytes;
    if (limits.request_size_max > server->memory.bodies_bytes)
        limits.request_size_max = (uint32_t)server->memory.bodies_bytes;
    for (size_t i = 0; i < server->intake_count; i++)
        loops[i] = (struct serve_kafka_loop){
            .loop = server->intakes[i].loop,
            .inlet = pipeline_check_inlet(server->intakes[i].check),
            .credit = &server->intakes[i].credit,
            .fetch_bytes_max = server->memory.fetch_bytes,
            .tls = server->intakes[i].kafka_tls,
        };
    bool closed =
        config->kafka.tls.cert || control_config_address_is_loopback(config->kafka.listen);
    struct serve_kafka_options options = {
        .address = config->kafka.listen,
        .advertised = config->kafka.advertised,
        .log = log_flow(server->log),
        .topics = server_topics_flow(server),
        .auto_create = config->kafka.auto_create.enabled,
        .partitions = config->kafka.auto_create.partitions,
        /* Each topic has its own, which its inlet holds. */
        .message_bytes_max = SIZE_MAX,
        .loops = loops,
        .loop_count = server->intake_count,
        .limits = &limits,
        .users = config->kafka.sasl.enabled ? server->users : NULL,
        .plain = closed,
    };
    err_t err = serve_kafka_new(&options, &server->kafka);
    mem_free(loops);
    return err;
}

static void change_user(void *owner, struct admin_user *request)
{
    server_change_user(owner, request);
}

static const struct control_auth_users *list_users(void *owner)
{
    return ((struct server *)owner)->users;
}

static void ask_reload(void *owner, struct admin_reload *request)
{
    server_reload(owner, request);
}

static err_t new_admin(struct server *server, struct err_text *why)
{
    const struct control_config *config = server->config;
    server_process_init(&server->process, server->control, server->disk, config->data_dir,
                        config->memory_limit);
    server->process.reloads_done = &server->reloads_done;
    server->process.reloads_refused = &server->reloads_refused;
    server->process.reload_success_ms = &server->reload_success_ms;
    server->exporters =
        mem_zalloc(ADMIN_EXPORTERS + server->sink_count, sizeof(struct flow_exporter *));
    if (!server->exporters)
        return err_make(ERR_MEMORY);
    /* In the order in which readiness is asked for: the log's reason is told before the others'. */
    struct flow_exporter **out = server->exporters;
    *out++ = log_exporter(server->log);
    *out++ = server->check_exporter;
    *out++ = sources_http_exporter(server->http);
    *out++ = serve_kafka_exporter(server->kafka);
    *out++ = &server->process.exporter;
    for (size_t i = 0; i < server->sink_count; i++)
        *out++ = sinks_runner_exporter(server->sinks[i].runner);
    server->exporter_count = (size_t)(out - server->exporters);
    struct admin_options options = {
        .loop = server->control,
        .log = log_flow(server->log),
        .catalog = server->catalog,
        .topics = server_topics_flow(server),
        .letters = sources_redrive_letters(server->redrive),
        .address = config->admin.listen,
        .exporters = server->exporters,
        .exporter_count = server->exporter_count,
        .reload = ask_reload,
        .reload_owner = server,
        .user = change_user,
        .users = list_users,
        .users_owner = server,
    };
    return admin_new(&options, &server->admin, why);
}

/* The intake's door as it is opened: on the first of the intake loops, which all run. */
struct opening {
    struct task task;
    struct server *server;
    struct err_text *why;
    err_t error;
    uint16_t port;
    uint16_t kafka_port;
};

static void doors_opened(void *owner)
{
    struct server *server = owner;
    io_uv_loop_stop(server->control);
}

/* The intake last, so that no record comes in by a start that fails. */
static void open_intake(struct task *task)
{
    struct opening *opening = CONTAINER_OF(task, struct opening, task);
    struct server *server = opening->server;
    opening->error = serve_kafka_start(server->kafka, opening->why);
    if (err_is_ok(opening->error)) {
        opening->kafka_port = serve_kafka_port(server->kafka);
        opening->error = sources_http_start(server->http, opening->why);
        if (!err_is_ok(opening->error)) {
            serve_kafka_stop(server->kafka, 0, doors_opened, server);
            return;
        }
        opening->port = sources_http_port(server->http);
    }
    doors_opened(server);
}

static err_t start_intakes(struct server *server, struct opening *opening)
{
    for (size_t i = 0; i < server->intake_count; i++) {
        TRY(io_uv_loop_start(server->intakes[i].loop, "intake"));
        server->intakes[i].started = true;
    }
    opening->task.run = open_intake;
    io_post(server->intakes[0].loop, &opening->task);
    io_uv_loop_run(server->control);
    return opening->error;
}

static void admin_closed(void *owner)
{
    struct server *server = owner;
    io_uv_loop_stop(server->control);
}

/* The intake could not be opened. Where a signal has come meanwhile, its stop is under way and
 * closes the admin door too; one that comes from here on ends the process at once. */
static void close_admin(struct server *server)
{
    if (!server->stopping) {
        server->stopping = true;
        admin_stop(server->admin, 0, admin_closed, server);
    }
    io_uv_loop_run(server->control);
}

/* Says where the doors are: with port 0 only the system knows. Scripts and tests wait for this
 * line; it comes when all doors take connections. */
static void say_serving(struct server *server, const struct opening *opening)
{
    const struct control_config *config = server->config;
    const char *intake = config->intake.listen;
    const char *kafka = config->kafka.listen;
    const char *admin = config->admin.listen;
    logger_write(&server->logger.logger, LOG_LEVEL_INFO, "serving",
                 "garner %s: intake on %.*s:%u, admin on %.*s:%u, kafka on %.*s:%u, %zu topics, "
                 "%zu sinks, data in %s",
                 GARNER_VERSION, (int)(strrchr(intake, ':') - intake), intake, opening->port,
                 (int)(strrchr(admin, ':') - admin), admin, admin_port(server->admin),
                 (int)(strrchr(kafka, ':') - kafka), kafka, opening->kafka_port,
                 server->catalog->topic_count, server->sink_count, config->data_dir);
}

/* Topics, and who checks what comes for them. */
static err_t bind_topics(struct server *server, struct err_text *why)
{
    struct flow_snapshot snapshot;
    struct pipeline_check_topic *topics = NULL;
    size_t count = 0;
    TRY(server_bind_topics(server, &snapshot, why));
    err_t err = server_topics_describe(server->catalog, &snapshot, &topics, &count);
    if (err_is_ok(err))
        err = new_checks(server, topics, count, why);
    mem_free(topics);
    flow_snapshot_done(&snapshot);
    return err;
}

/* The order of the steps is a contract. Faults before the first byte of data is touched; the log
 * before the topics, whose numbers it gives; everything that can fail before the intake opens;
 * sinks last, since they need nobody and everybody behind them is there. */
static err_t start(struct server *server, const struct server_options *options,
                   struct err_text *why)
{
    TRY(load_config(server, options->config_file));
    divide_memory(server);
    TRY(server_faults_wrap(server->host, &server->disk, why));
    /* Ten thousand connections, and most systems start us with 1,024 descriptors. */
    io_uv_raise_file_limit();
    TRY(new_threads(server));
    TRY(server_tls_new(server, why));
    TRY(open_log(server, why));
    TRY(bind_topics(server, why));
    TRY(server_close_removed_sinks(server, why));
    TRY(server_new_sinks(server, why));
    TRY(give_sinks(server));
    TRY(new_intake(server));
    control_catalog_come_into_force(server->catalog, NULL, io_wall_ms(server->control));
    TRY(server_learn_versions(server, why));
    TRY(server_topics_new(server));
    TRY(server_learn_users(server, why));
    TRY(new_kafka(server));
    /* Before the doors: from the first connection on, a signal is a stop that drains. */
    TRY(server_watch_signals(server));
    TRY(new_admin(server, why));
    /* On the stack: this thread waits in the loop until the task has run. */
    struct opening opening = {.server = server, .why = why};
    err_t err = start_intakes(server, &opening);
    if (!err_is_ok(err)) {
        close_admin(server);
        return err;
    }
    /* A signal may have come while the control loop waited for the door. */
    for (size_t i = 0; i < server->sink_count && !server->stopping; i++)
        sinks_runner_start(server->sinks[i].runner);
    server->serving = true;
    say_serving(server, &opening);
    return err_ok();
}

/* Loops are joined before anything on them is freed: no callback can come after that. */
static void free_intakes(struct server *server)
{
    for (size_t i = 0; i < server->intake_count; i++) {
        struct server_intake *intake = &server->intakes[i];
        if (intake->started) {
            io_uv_loop_stop(intake->loop);
            io_uv_loop_join(intake->loop);
        }
    }
    sources_http_free(&server->http);
    serve_kafka_free(&server->kafka);
    server_topics_free(server);
    sources_redrive_free(&server->redrive);
    pipeline_check_exporter_free(&server->check_exporter);
    for (size_t i = 0; i < server->intake_count; i++) {
        net_tls_loop_free(&server->intakes[i].kafka_tls);
        pipeline_check_free(&server->intakes[i].check);
    }
    pipeline_check_free(&server->redrive_check);
}

static void free_threads(struct server *server)
{
    if (server->sequencer_started) {
        io_uv_loop_stop(server->sequencer);
        io_uv_loop_join(server->sequencer);
    }
    /* Workers before the log: a job that runs still has its buffers there. */
    io_uv_worker_free(&server->flusher);
    io_uv_worker_free(&server->maker);
    io_uv_worker_free(&server->reader);
    io_uv_worker_free(&server->sealer);
    io_uv_worker_free(&server->checker);
    log_free(&server->log);
    for (size_t i = 0; i < server->intake_count; i++)
        io_uv_loop_free(&server->intakes[i].loop);
    mem_free(server->intakes);
    io_uv_loop_free(&server->sequencer);
}

static void free_server(struct server *server)
{
    admin_free(&server->admin);
    free_intakes(server);
    for (size_t i = 0; i < server->sink_count; i++) {
        sinks_runner_free(&server->sinks[i].runner);
        io_uv_worker_free(&server->sinks[i].worker);
    }
    mem_free(server->sinks);
    mem_free(server->exporters);
    free_threads(server);
    /* Behind all that may still have a file open on it. */
    server_faults_unwrap(server->host, &server->disk);
    control_catalog_free(&server->catalog);
    control_auth_users_free(&server->users);
    control_config_free(&server->config);
    io_uv_loop_free(&server->control);
}

static void log_closed(struct task *task)
{
    io_uv_loop_stop(CONTAINER_OF(task, struct server, step_task)->control);
}

/* A start that failed behind the log leaves it as a clean stop does. */
static void close_log(struct server *server)
{
    if (!server->sequencer_started)
        return;
    server->step_task.run = log_closed;
    /* With its mark: the next start is then one behind a clean stop, and has nothing to look
     * for. */
    log_stop(server->log, server->control, &server->step_task);
    io_uv_loop_run(server->control);
}

err_t server_run(const struct server_options *options, struct err_text *why)
{
    struct server *server = mem_zalloc(1, sizeof *server);
    if (!server)
        return err_make(ERR_MEMORY);
    server->host = options->host;
    server->disk = options->host->disk;
    err_t err = io_uv_loop_new(&server->control);
    if (err_is_ok(err)) {
        server_logger_init(&server->logger, server->control, options->plain_log);
        err = start(server, options, why);
    }
    if (err_is_ok(err)) {
        io_uv_loop_run(server->control);
        /* A thread is still in a plug-in and uses what would be freed here. The process ends
         * next. */
        if (server->left_behind)
            return err_make(ERR_TIMEOUT);
    } else {
        close_log(server);
    }
    free_server(server);
    mem_free(server);
    return err;
}
