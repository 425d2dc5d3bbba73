#pragma once

/*
 * What a running part tells of itself: metrics, and whether it is ready. The asker (admin) fills
 * in `home` and `done` and calls `collect` on its own loop; the exporter goes to its own thread,
 * fills the report and brings it back.
 */

#include "base/assert.h"
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

/* What flow_report_filled posts. */
static inline void flow_report_arrived(struct task *task)
{
    struct flow_report *report = CONTAINER_OF(task, struct flow_report, task);
    ASSERT(report->done);
    /* Last: the asker may be waiting for this one to free everything. */
    report->done(report);
}

/* The exporter is done with it, or out of memory (metrics.failed): the task that has to be posted
 * to report->home. It is the report's own, so that saying that memory is short needs none. */
static inline struct task *flow_report_filled(struct flow_report *report)
{
    report->task.run = flow_report_arrived;
    return &report->task;
}

struct flow_exporter {
    const char *name;
    void (*collect)(struct flow_exporter *exporter, struct flow_report *report);
};
