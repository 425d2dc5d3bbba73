#pragma once

/*
 * What a running part tells of itself: metrics, and whether it is ready. The asker (admin) fills
 * in `home` and `done` and calls `collect` on its own loop; the exporter goes to its own thread,
 * fills the report and brings it back.
 */

#include "base/list.h"
#include "base/metric.h"
#include "base/task.h"

struct io_loop;

struct flow_report {
    struct task task; /* the exporter's */
    struct io_loop *home;
    void (*done)(struct flow_report *report);
    void *asker;               /* the asker's */
    const void *exporter_data; /* the exporter's */
    struct metric_set metrics;
    char not_ready[160]; /* empty: ready; else why not, for a person */
};

struct flow_exporter {
    const char *name;
    void (*collect)(struct flow_exporter *exporter, struct flow_report *report);
};
