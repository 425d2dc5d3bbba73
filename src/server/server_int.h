#pragma once

/*
 * The inside of the server. All on the control loop's thread.
 */

#include "admin/admin.h"
#include "control/auth/users.h"
#include "control/catalog/catalog.h"
#include "flow/batch.h"
#include "flow/credit.h"
#include "log/log.h"
#include "pipeline/check/check.h"
#include "serve/kafka/kafka.h"
#include "server/logline.h"
#include "server/memory.h"
#include "server/process.h"
#include "server/server.h"
#include "sinks/runner.h"
#include "sources/http/http.h"
#include "sources/redrive/redrive.h"

/* One intake loop and what lives on it. */
struct server_intake {
    struct io_loop *loop;
    bool started;
    struct flow_credit credit;
    struct pipeline_check *check;
    struct net_tls_loop *kafka_tls; /* NULL: the Kafka door speaks no TLS */
};

struct server_reload;
struct server_topics;
struct server_user_change;

struct server_sink {
    struct io_worker *worker;
    struct sinks_runner *runner;
};

struct server {
    const struct control_config_host *host;
    struct io_disk *disk; /* the host's, or one that fails on purpose */
    struct control_config *config;
    struct control_catalog *catalog;
    struct server_logger logger;
    struct server_memory memory;

    struct io_loop *control;
    struct io_loop *sequencer;
    bool sequencer_started;
    struct io_worker *flusher;
    struct io_worker *maker;
    struct io_worker *reader;
    struct io_worker *sealer;
    struct io_worker *checker;
    struct log *log;

    struct server_intake *intakes;
    size_t intake_count;
    struct pipeline_check *redrive_check; /* on the control loop, for redriven letters alone */
    struct sources_redrive *redrive;
    struct flow_exporter *check_exporter;
    struct sources_http *http;
    struct serve_kafka *kafka;
    struct server_sink *sinks;
    size_t sink_count;
    struct server_topics *topics; /* changes that clients ask for */
    struct admin *admin;
    struct server_process process;
    struct flow_exporter **exporters;
    size_t exporter_count;

    /* Stopping, step by step (stop.c). */
    bool stopping;
    bool serving;                 /* the doors are open: a reload can begin */
    struct server_reload *reload; /* under way, or NULL; a stop waits for it */
    struct control_auth_users *users;
    struct server_user_change *user_change; /* under way, or NULL; a stop waits for it */
    uint64_t reloads_done;
    uint64_t reloads_refused;
    int64_t reload_success_ms;
    struct task signal_task;
    struct task interrupt_task;
    struct task hangup_task;
    struct task step_task;
    struct io_timer watchdog;
    size_t checks_stopped;
    size_t sinks_left;
    bool left_behind;
};

/* What one pass of changes to the log's topics is made of; names of DLQs need room of their own. */
struct server_changes {
    struct flow_topic_change *items;
    char (*names)[FLOW_TOPIC_NAME_MAX + 1];
    uint32_t count;
};
/* Topics, their DLQs, what is kept of them: each needs what the one before has made. */
#define SERVER_TOPIC_PASSES 3u

/* topics.c: what a pass would change so that the log's topics are those of `catalog`; the caller
 * frees `out` also with an error. ERR_CONFIG with its place where the log cannot follow. */
err_t server_topics_pass(struct server *server, const struct control_catalog *catalog,
                         unsigned pass, const struct flow_snapshot *snapshot,
                         struct server_changes *out, struct err_text *why);
void server_changes_done(struct server_changes *changes);
/* What the inlets need of the topics of `catalog`, in its order, and of the open topics behind them
 * (mem_free); views catalog and snapshot. */
err_t server_topics_describe(const struct control_catalog *catalog,
                             const struct flow_snapshot *snapshot,
                             struct pipeline_check_topic **out, size_t *count);

/* topics.c: makes the log's topics those of the contracts: creates what is missing with its DLQ,
 * raises partitions, refuses to lower them, says what is kept and how. Runs the control loop
 * meanwhile. On success `snapshot` is freed by the caller. */
err_t server_bind_topics(struct server *server, struct flow_snapshot *snapshot,
                         struct err_text *why);
/* Closes sinks of the log that the configuration no longer has, keeping their rows. */
err_t server_close_removed_sinks(struct server *server, struct err_text *why);
/* Makes the runner of each sink of the configuration. */
err_t server_new_sinks(struct server *server, struct err_text *why);
/* Asks the log and runs the control loop until it answers. On success `snapshot` is freed by the
 * caller. */
err_t server_snapshot(struct server *server, struct flow_snapshot *snapshot);

/* versions.c: has `take` called with each record of the topic's first partition, from its start to
 * its end. At the start; runs the control loop meanwhile. */
typedef err_t server_take_fn(struct server *server, const struct flow_record *record);
err_t server_read_topic(struct server *server, const struct flow_topic_state *topic,
                        server_take_fn *take);

/* The schemas that topics get, as records of the log (control/catalog/versions.h). */
struct server_versions {
    struct flow_batch_builder builder;
    struct buf text;
    struct flow_append append;
    struct flow_count count;
};

/* versions.c: reads what the log has of them into the catalog, and writes what the catalog has
 * besides. At the start, behind server_bind_topics; runs the control loop meanwhile. */
err_t server_learn_versions(struct server *server, struct err_text *why);
/* Collects what `catalog` gives the topics of the snapshot that those in force have not; false in
 * `*any`: nothing. `out` is what `commit` then points to, and is freed in any case. */
err_t server_versions_collect(const struct server *server, const struct control_catalog *catalog,
                              const struct flow_snapshot *snapshot, struct server_versions *out,
                              struct flow_commit *commit, bool *any);
/* The commit is durable: the same is noted in the catalog in force. ERR_MEMORY. */
err_t server_versions_note(struct server *server, const struct control_catalog *catalog,
                           const struct flow_snapshot *snapshot);
void server_versions_done(struct server_versions *versions);

/* exchange.c: other topics for the inlets of all loops, which are at work. Zeros, or prepared until
 * it is ended. One at a time. */
struct server_exchange {
    struct server *server;
    struct pipeline_check_update **updates; /* one a loop, and one for redriven letters */
    const struct net_tls *tls; /* what the loops speak TLS with from there on; NULL: as before. Set
                                  by the owner behind prepare */
    size_t applied;
    struct task task;
    void (*done)(struct server_exchange *exchange);
};

/* Gets all that it needs; also behind an error it has to be ended. */
err_t server_exchange_prepare(struct server_exchange *exchange, struct server *server,
                              const struct control_catalog *catalog,
                              const struct flow_snapshot *snapshot, struct err_text *why);
/* Cannot fail. `done` is called on the control loop when all inlets go by the topics. */
void server_exchange_begin(struct server_exchange *exchange,
                           void (*done)(struct server_exchange *exchange));
/* Frees what it holds: the old topics, or those that did not come into force. */
void server_exchange_end(struct server_exchange *exchange);

/* open_topics.c: serves flow/topics.h, on the control loop. ERR_MEMORY. */
err_t server_topics_new(struct server *server);
/* Nothing is under way any more, or the process ends. */
void server_topics_free(struct server *server);
struct flow_topics *server_topics_flow(struct server *server);
/* True while a change is under way: a reload waits until server_reload_go_on. */
bool server_topics_busy(const struct server *server);
/* A reload has ended: begins what waited for it. */
void server_topics_go_on(struct server *server);

/* reload.c: a change of topics has ended. */
void server_reload_go_on(struct server *server);
/* reload.c: begins to reload; `request` is answered when it is over, NULL: only logged. */
void server_reload(struct server *server, struct admin_reload *request);

/* users.c: reads those that the log has. At the start; runs the control loop meanwhile. */
err_t server_learn_users(struct server *server, struct err_text *why);
/* Does what was asked for at the admin door, which is answered when it is on disk and in force. */
void server_change_user(struct server *server, struct admin_user *request);

/* tls.c: reads the files of the Kafka door's TLS; `*out` stays NULL where the configuration has
 * none. Blocks. */
err_t server_tls_read(const struct server *server, const struct control_config *config,
                      struct net_tls **out, struct err_text *why);
/* Makes each intake loop's, before they run. */
err_t server_tls_new(struct server *server, struct err_text *why);

/* stop.c: goes on with a stop, once neither a reload nor a change of users is under way. */
void server_stop_continue(struct server *server);
/* Installs the signals. */
err_t server_watch_signals(struct server *server);
