#include "base/assert.h"
#include "io/uv/uv.h"
#include "server/server_int.h"

#include <signal.h>

/*
 * Stopping, in the direction that records flow: the intake takes no more and answers what it has;
 * what is being redriven comes to an end; the sinks deliver what they have read; the admin door,
 * which tells of it, closes; the log writes the mark of a clean stop. Each step begins when the one
 * before says that it is done, on the control loop, and has a share of shutdown_timeout. Past all
 * of it the process ends where it stands: what was acknowledged is on disk, the next start goes on.
 */

#define DOORS_SHARE 6u /* of shutdown_timeout: a sixth a door for requests under way */
#define GRACE_MS 5000u /* beyond shutdown_timeout, before giving up */

/* The last line: who reads the log finds here whether anything was left to the next start. */
static void log_stopped(struct task *task)
{
    struct server *server = CONTAINER_OF(task, struct server, step_task);
    logger_write(&server->logger.logger, LOG_LEVEL_INFO, "stopped",
                 server->left_behind ? "a sink did not come back; its epoch is finished by the "
                                       "next start"
                                     : "all that was acknowledged is on disk");
    io_timer_stop(server->control, &server->watchdog);
    io_uv_loop_stop(server->control);
}

static void admin_stopped(void *owner)
{
    struct server *server = owner;
    server->step_task.run = log_stopped;
    log_stop(server->log, server->control, &server->step_task);
}

static void stop_admin(struct server *server)
{
    ASSERT(server->sinks_left == 0);
    admin_stop(server->admin, 0, admin_stopped, server);
}

/* All sinks stop side by side; a slow one costs the others nothing. */
static void sink_stopped(void *context, err_t err)
{
    struct server *server = context;
    ASSERT(server->sinks_left > 0);
    if (!err_is_ok(err))
        server->left_behind = true;
    if (--server->sinks_left == 0)
        stop_admin(server);
}

static void stop_sinks(struct server *server)
{
    /* What the intake did not need of its share is not given on: a stop that is announced as 30 s
     * long may be shorter, never longer. */
    uint64_t timeout_ms = server->config->shutdown_timeout_ms -
                          2 * (server->config->shutdown_timeout_ms / DOORS_SHARE);
    server->sinks_left = server->sink_count;
    for (size_t i = 0; i < server->sink_count; i++)
        sinks_runner_stop(server->sinks[i].runner, timeout_ms, sink_stopped, server);
    if (server->sink_count == 0)
        stop_admin(server);
}

/* What is being redriven ends between two letters; the next redrive takes what is left. */
static void redrive_stopped(void *owner)
{
    struct server *server = owner;
    pipeline_check_stop(server->redrive_check);
    stop_sinks(server);
}

static void stop_redrive(struct task *task)
{
    struct server *server = CONTAINER_OF(task, struct server, step_task);
    sources_redrive_stop(server->redrive, redrive_stopped, server);
}

/* On each intake loop in turn: what it asks the log for by itself ends before the log does. */
static void stop_check(struct task *task)
{
    struct server *server = CONTAINER_OF(task, struct server, step_task);
    ASSERT(server->checks_stopped < server->intake_count);
    pipeline_check_stop(server->intakes[server->checks_stopped++].check);
    if (server->checks_stopped < server->intake_count) {
        io_post(server->intakes[server->checks_stopped].loop, task);
        return;
    }
    server->step_task.run = stop_redrive;
    io_post(server->control, &server->step_task);
}

/* On the first intake loop. */
static void kafka_stopped(void *owner)
{
    struct server *server = owner;
    server->step_task.run = stop_check;
    io_post(server->intakes[0].loop, &server->step_task);
}

/* On the first intake loop. */
static void intake_stopped(void *owner)
{
    struct server *server = owner;
    serve_kafka_stop(server->kafka, server->config->shutdown_timeout_ms / DOORS_SHARE,
                     kafka_stopped, server);
}

/* On the first intake loop, where the intake is stopped. */
static void stop_intake(struct task *task)
{
    struct server *server = CONTAINER_OF(task, struct server, step_task);
    sources_http_stop(server->http, server->config->shutdown_timeout_ms / DOORS_SHARE,
                      intake_stopped, server);
}

/* On the control loop, so it needs that to turn; were it stuck, a second signal or the supervisor's
 * SIGKILL remain, and neither loses what was acknowledged. */
static void give_up(struct io_timer *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, watchdog);
    logger_write(&server->logger.logger, LOG_LEVEL_ERROR, "stop_timeout",
                 "not everything came to an end within shutdown_timeout; leaving it to the next "
                 "start");
    _Exit(1);
}

void server_stop_continue(struct server *server)
{
    ASSERT(server->stopping);
    /* Their last steps are on the loops that this would stop. */
    if (server->reload || server->user_change)
        return;
    server->step_task.run = stop_intake;
    io_post(server->intakes[0].loop, &server->step_task);
}

static void begin_stop(struct server *server)
{
    /* An operator who asks twice means it. SIGKILL at this point would lose as little. */
    if (server->stopping) {
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "stop_now",
                     "a second signal: ending at once");
        _Exit(1);
    }
    server->stopping = true;
    logger_write(&server->logger.logger, LOG_LEVEL_INFO, "stopping",
                 "draining for up to %llu ms; another signal ends at once",
                 (unsigned long long)server->config->shutdown_timeout_ms);
    /* GRACE beyond the timeout, so that the sinks' own deadlines come first and tell which one it
     * was. */
    server->watchdog.run = give_up;
    io_timer_start(server->control, &server->watchdog,
                   (server->config->shutdown_timeout_ms + GRACE_MS) * IO_MS);
    server_stop_continue(server);
}

static void on_terminate(struct task *task)
{
    begin_stop(CONTAINER_OF(task, struct server, signal_task));
}

static void on_interrupt(struct task *task)
{
    begin_stop(CONTAINER_OF(task, struct server, interrupt_task));
}

static void on_hangup(struct task *task)
{
    server_reload(CONTAINER_OF(task, struct server, hangup_task), NULL);
}

err_t server_watch_signals(struct server *server)
{
    server->signal_task.run = on_terminate;
    server->interrupt_task.run = on_interrupt;
    server->hangup_task.run = on_hangup;
    TRY(io_uv_on_signal(server->control, SIGTERM, &server->signal_task));
    TRY(io_uv_on_signal(server->control, SIGINT, &server->interrupt_task));
    return io_uv_on_signal(server->control, SIGHUP, &server->hangup_task);
}
