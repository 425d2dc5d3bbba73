#pragma once

/*
 * The server: which parts there are, in which order they start and stop, on which threads they
 * live. One thread calls server_run and becomes the control loop's.
 *
 *   control loop    admin door, sinks' runners, signals       (the caller's thread)
 *   intake loops    connections, checking, batches            (one a core)
 *   sequencer loop  the log                                   (one)
 *   workers         flusher, maker, reader; one a sink
 */

#include "base/err.h"
#include "control/config/config.h"
#include "io/disk.h"

/* Room for the types of all sinks and the end of the table. */
#define SERVER_SINK_TYPES_MAX 16u

/* The world that configurations are read in. */
struct server_host {
    struct control_config_host host;
    struct control_sink_type sink_types[SERVER_SINK_TYPES_MAX];
    char directory[4096];
};

/* Fills in the real disk, this machine's memory, the current directory and the sinks that the
 * program is built with. ERR_IO when the current directory is gone. */
err_t server_host_init(struct server_host *host, const char *(*env)(const char *name));

struct server_options {
    const struct control_config_host *host;
    const char *config_file; /* NULL: none, all defaults */
    bool plain_log;          /* log lines for a person; else JSON */
};

/* Serves until SIGTERM or SIGINT, then drains. Errors of the configuration are printed on standard
 * error and give ERR_CONFIG; any other failure to start has its detail in `why`. After a drain OK;
 * ERR_TIMEOUT when something had to be left behind, which the next start finishes. */
err_t server_run(const struct server_options *options, struct err_text *why);
