#include "sinks/runner_int.h"

#include "base/assert.h"

/*
 * What a sink tells of itself. The report travels: to the sink's loop, where all is read at one
 * moment, and home. It has its task with it, so that nothing is allocated and nothing can fail on
 * the way but the samples themselves, which the set notes.
 */

static const struct metric_family epochs_total = {
    "garner_sink_epochs_total", "Epochs that a sink has delivered and committed.", METRIC_COUNTER};
static const struct metric_family failures_total = {
    "garner_sink_failures_total", "Failed attempts of a sink, each followed by a retry.",
    METRIC_COUNTER};
static const struct metric_family read_bytes_total = {
    "garner_sink_read_bytes_total", "Bytes of batches given to a sink, repetitions included.",
    METRIC_COUNTER};
static const struct metric_family epoch_seconds = {"garner_sink_epoch_duration_seconds",
                                                   "From an epoch's first record to its end.",
                                                   METRIC_HISTOGRAM};
static const struct metric_family end_to_end_seconds = {
    "garner_sink_end_to_end_duration_seconds",
    "From the commit of an epoch's oldest record until the epoch was delivered.", METRIC_HISTOGRAM};
static const struct metric_family blocked = {
    "garner_sink_blocked", "1 while a sink has failed five times in a row or more.", METRIC_GAUGE};
static const struct metric_family stalled = {
    "garner_sink_stalled", "1 while a call of a sink has not come back for a minute.",
    METRIC_GAUGE};
static const struct metric_family partitions_stopped = {
    "garner_sink_partitions_stopped", "Partitions that a sink cannot read or check.", METRIC_GAUGE};
static const struct metric_family memory_bytes = {
    "garner_sink_memory_bytes", "Bytes of batches that a sink holds.", METRIC_GAUGE};
static const struct metric_family lag_seconds = {
    "garner_sink_lag_seconds",
    "Since when the oldest record that is not delivered is in a sink's hands.", METRIC_GAUGE};
static const struct metric_family lag_records = {
    "garner_sink_lag_offsets",
    "Offsets between a sink's committed cursor and the end of the partition as last seen.",
    METRIC_GAUGE};

#define LABEL_SIZE 512

static void add_lags(const struct sinks_runner *runner, struct metric_set *set, const char *sink)
{
    for (uint32_t i = 0; i < runner->lane_count; i++) {
        const struct sinks_lane *lane = runner->lanes[i];
        /* `end` is what this sink has seen; behind a long queue the true end may be further. */
        ASSERT(lane->end >= lane->committed);
        metric_add(set, &lag_records, (double)(lane->end - lane->committed),
                   "sink=\"%s\",topic=\"%s\",partition=\"%u\"", sink, lane->topic->name,
                   lane->partition);
    }
}

static void add_all(const struct sinks_runner *runner, struct metric_set *set)
{
    char sink[LABEL_SIZE];
    metric_label(sink, sizeof(sink), slice_string(runner->name));
    const struct sinks_counters *c = &runner->counters;
    /* Lags are told also while the sink is blocked: that is when they are looked at. */
    struct sinks_status status;
    sinks_runner_status(runner, &status);
    uint64_t now_ns = io_now_ns(runner->options.loop);
    /* Since when, not how old: a sink that works through an old backlog is not late by years. */
    uint64_t age_ns = runner->behind ? now_ns - runner->behind_ns : 0;
    metric_add(set, &epochs_total, (double)c->epochs, "sink=\"%s\"", sink);
    metric_add(set, &failures_total, (double)c->failures, "sink=\"%s\"", sink);
    metric_add(set, &read_bytes_total, (double)c->read_bytes, "sink=\"%s\"", sink);
    metric_add_histogram(set, &epoch_seconds, &c->epoch_duration, "sink=\"%s\"", sink);
    metric_add_histogram(set, &end_to_end_seconds, &c->end_to_end, "sink=\"%s\"", sink);
    metric_add(set, &blocked, status.blocked, "sink=\"%s\"", sink);
    metric_add(set, &stalled, status.stalled, "sink=\"%s\"", sink);
    metric_add(set, &partitions_stopped, status.partitions_stopped, "sink=\"%s\"", sink);
    metric_add(set, &memory_bytes, (double)runner->held_bytes, "sink=\"%s\"", sink);
    metric_add(set, &lag_seconds, (double)age_ns / (double)IO_SECOND, "sink=\"%s\"", sink);
    add_lags(runner, set, sink);
}

static void report_arrived(struct task *task)
{
    struct flow_report *report = CONTAINER_OF(task, struct flow_report, task);
    add_all(report->exporter_data, &report->metrics);
    /* On the sink's loop here; the same task carries the report home. */
    io_post(report->home, flow_report_filled(report));
}

void sinks_report_collect(struct flow_exporter *exporter, struct flow_report *report)
{
    struct sinks_runner *runner = CONTAINER_OF(exporter, struct sinks_runner, exporter);
    ASSERT(report->home && report->done);
    report->exporter_data = runner;
    report->task.run = report_arrived;
    io_post(runner->options.loop, &report->task);
}
