#pragma once

/*
 * The runner of one sink: an actor on one loop that reads the sink's topics from its cursors,
 * gives the batches to the plug-in on a worker, and closes epochs (sinks/sinks.h). It owns
 * everything that a plug-in must not care for: cursors, retry, breaker, dead letters, memory,
 * stopping.
 *
 * What is true is in the log and nowhere else: after every failure, whichever it was, the runner
 * pauses, asks the log for a snapshot and goes on from what that says. A prepared epoch is
 * published; anything else is discarded and read again from the committed cursors. So no failure
 * and no crash loses a record or delivers one in two epochs.
 *
 * A sink that fails is tried again for ever, after pauses of 100 ms that double to 30 s, with
 * jitter. After five failures in a row it counts as blocked: that is said once in the log of the
 * program, and once when it works again. Its records wait meanwhile; other sinks notice nothing.
 * What cannot be read or checked of one partition stops that partition alone, which is tried
 * again every 30 s.
 *
 * Records that are deleted before they are delivered, by retention with `expire_undelivered` or by
 * hand, count as expired in the sink's row of the log's ledger; the runner goes on behind them
 * and says in the log of the program how many they were. A topic that is deleted is left alone.
 *
 * Records that the plug-in refuses become dead letters in the DLQ of their topic, in the same
 * commit that prepares the epoch.
 *
 * All functions are called on the runner's loop; `stopped` is called there too.
 */

#include "base/logger.h"
#include "flow/log.h"
#include "flow/redeliver.h"
#include "flow/status.h"
#include "sinks/sinks.h"

struct sinks_runner;

struct sinks_runner_options {
    struct io_loop *loop;
    struct io_worker *worker; /* for this runner alone: a verb that blocks, blocks its queue */
    struct io_disk *disk;
    struct flow_log *log;
    struct logger *logger; /* may be NULL */
    const struct sinks_plugin *plugin;
    const void *plugin_options; /* lives as long as the runner */
    const char *name;           /* copied; the sink's identity in the log */
    const uint32_t *topic_ids;  /* copied; each topic exists in the log, with its DLQ */
    uint32_t topic_count;       /* at least 1 */
    uint64_t memory_limit; /* bytes of batches held at once, shared out evenly to the partitions
                              (1 MiB each at the most, 16 KiB at the least); 0: 16 MiB */
};

/* What the runner does at the moment. */
struct sinks_status {
    const char *state;           /* a stable word: "reading", "publishing", "waiting", ... */
    bool blocked;                /* the breaker is open */
    bool stalled;                /* a call of the plug-in has not come back for a minute */
    uint32_t failures;           /* in a row */
    uint32_t partitions_stopped; /* that cannot be read or checked */
    uint64_t epoch;              /* the last committed */
    char error[ERR_TEXT_SIZE];   /* of the last failure; "" after it healed */
};

/* A runner that does nothing yet. ERR_MEMORY. */
err_t sinks_runner_new(const struct sinks_runner_options *options, struct sinks_runner **out);
/* Registers the sink in the log and begins to deliver. Once. */
void sinks_runner_start(struct sinks_runner *runner);
/* Delivers what the log holds at this moment, or as much of it as it gets to in two thirds of
 * `timeout_ms`, closes the plug-in and calls `stopped`; after `timeout_ms` without what could not
 * be delivered by then: its epoch stays open in the log and is finished or read again by the next
 * start. Once; also without a start.
 *
 * `stopped` gets OK when nothing of the runner is in use any more. It gets ERR_TIMEOUT when a call
 * of the plug-in has not returned a second after that: runner, worker, options, loop and log must
 * then live until the process ends. */
void sinks_runner_stop(struct sinks_runner *runner, uint64_t timeout_ms,
                       void (*stopped)(void *context, err_t err), void *context);
/* Frees a runner that was never started, or that stopped with OK. */
void sinks_runner_free(struct sinks_runner **runner);

void sinks_runner_status(const struct sinks_runner *runner, struct sinks_status *out);
/* Takes the sink's dead letters back (flow/redeliver.h), each lot as an epoch of its own: once the
 * open one has ended, which it does a second after it began at the latest, and never two in a row
 * while records wait. A sink that fails, or is stopping, gives them back at once. */
struct flow_redeliver *sinks_runner_redeliver(struct sinks_runner *runner);
/* The runner's metrics; `collect` may be called from any loop until the runner is stopped. Never
 * says not ready: a sink's trouble does not stop intake. */
struct flow_exporter *sinks_runner_exporter(struct sinks_runner *runner);
