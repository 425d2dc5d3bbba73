#pragma once

/*
 * What the process tells of itself: version, memory, time since its start. Collected on the
 * control loop.
 */

#include "flow/status.h"
#include "io/disk.h"
#include "io/loop.h"

struct server_process {
    struct flow_exporter exporter;
    struct io_loop *loop;
    struct io_disk *disk;
    const char *data_dir;
    int64_t started_ms;
    uint64_t memory_limit;
    const uint64_t *reloads_done; /* NULL: none can be */
    const uint64_t *reloads_refused;
    const int64_t *reload_success_ms;
};

/* `loop` is where it is collected and answered; the strings live as long as it does. */
void server_process_init(struct server_process *process, struct io_loop *loop, struct io_disk *disk,
                         const char *data_dir, uint64_t memory_limit);
