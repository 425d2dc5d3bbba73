#include "server/process.h"

#include "base/assert.h"
#include "io/uv/uv.h"

/*
 * What the process says of itself, in the names that Prometheus's client libraries use, so that
 * dashboards made for any program show it. Read on the control loop in the call itself: each figure
 * is one system call, and the answer goes home as a task like everybody's.
 */

static const struct metric_family build_info = {"garner_build_info",
                                                "Always 1; the version is a label.", METRIC_GAUGE};
static const struct metric_family start_time = {
    "process_start_time_seconds", "When the process began, in seconds since 1970.", METRIC_GAUGE};
static const struct metric_family resident_bytes = {"process_resident_memory_bytes",
                                                    "Resident memory.", METRIC_GAUGE};
static const struct metric_family memory_limit = {
    "garner_memory_limit_bytes", "memory_limit of the configuration.", METRIC_GAUGE};
static const struct metric_family disk_free = {
    "garner_disk_free_bytes", "Free space on the file system of data_dir.", METRIC_GAUGE};
static const struct metric_family disk_size = {
    "garner_disk_size_bytes", "Size of the file system of data_dir.", METRIC_GAUGE};

static const struct metric_family reloads = {
    "garner_config_reloads_total", "Reloads of the configuration, by what became of them.",
    METRIC_COUNTER};
static const struct metric_family reload_success = {
    "garner_config_last_reload_success_timestamp_seconds",
    "When the configuration in force was read, in seconds since 1970.", METRIC_GAUGE};

static void collect(struct flow_exporter *exporter, struct flow_report *report)
{
    struct server_process *process = CONTAINER_OF(exporter, struct server_process, exporter);
    struct metric_set *set = &report->metrics;
    metric_add(set, &build_info, 1, "version=\"%s\"", GARNER_VERSION);
    metric_add(set, &start_time, (double)process->started_ms / 1000, "%s", "");
    metric_add(set, &resident_bytes, (double)io_uv_resident_bytes(), "%s", "");
    metric_add(set, &memory_limit, (double)process->memory_limit, "%s", "");
    if (process->reloads_done) {
        metric_add(set, &reloads, (double)*process->reloads_done, "outcome=\"done\"");
        metric_add(set, &reloads, (double)*process->reloads_refused, "outcome=\"refused\"");
        int64_t ms = *process->reload_success_ms;
        metric_add(set, &reload_success, (double)(ms ? ms : process->started_ms) / 1000, "%s", "");
    }
    struct io_space space;
    /* A figure that cannot be read is left out rather than written as 0, which would alarm. */
    if (err_is_ok(io_disk_space(process->disk, process->data_dir, &space, NULL))) {
        metric_add(set, &disk_free, (double)space.free_bytes, "%s", "");
        metric_add(set, &disk_size, (double)space.total_bytes, "%s", "");
    }
    io_post(report->home, flow_report_filled(report));
}

void server_process_init(struct server_process *process, struct io_loop *loop, struct io_disk *disk,
                         const char *data_dir, uint64_t limit)
{
    ASSERT(loop && disk && data_dir);
    *process = (struct server_process){
        .exporter = {.name = "process", .collect = collect},
        .loop = loop,
        .disk = disk,
        .data_dir = data_dir,
        .started_ms = io_wall_ms(loop),
        .memory_limit = limit,
    };
}
