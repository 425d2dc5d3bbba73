#include "log/log_int.h"

#include "base/assert.h"

static const struct metric_family commits_total = {"garner_log_commits_total",
                                                   "Commits that are on disk.", METRIC_COUNTER};
static const struct metric_family frames_total = {
    "garner_log_frames_total",
    "Frames flushed; a frame holds the commits that came while the one "
    "before it was flushed.",
    METRIC_COUNTER};
static const struct metric_family frame_bytes_total = {"garner_log_written_bytes_total",
                                                       "Bytes written to the log.", METRIC_COUNTER};
static const struct metric_family fences_total = {
    "garner_log_fences_total", "Failed writes or flushes of the log.", METRIC_COUNTER};
static const struct metric_family refused_total = {
    "garner_log_refused_total", "Commits refused because the log or the disk was full.",
    METRIC_COUNTER};
static const struct metric_family early_lost_total = {
    "garner_log_early_answers_lost_total",
    "Commits answered before their flush (durability: interval) that were lost.", METRIC_COUNTER};
static const struct metric_family reads_total = {
    "garner_log_reads_total", "Reads answered from memory or from disk.", METRIC_COUNTER};
static const struct metric_family read_bytes_total = {
    "garner_log_read_bytes_total", "Bytes of batches given to readers.", METRIC_COUNTER};
static const struct metric_family commit_seconds = {
    "garner_log_commit_duration_seconds", "From the arrival of a commit until it is on disk.",
    METRIC_HISTOGRAM};
static const struct metric_family flush_seconds = {
    "garner_log_flush_duration_seconds", "Write and flush of one frame.", METRIC_HISTOGRAM};
static const struct metric_family queue_bytes = {"garner_log_queue_bytes",
                                                 "Commits waiting to be composed.", METRIC_GAUGE};
static const struct metric_family disk_bytes = {"garner_log_disk_bytes", "Size of the log's files.",
                                                METRIC_GAUGE};
static const struct metric_family limit_bytes = {
    "garner_log_limit_bytes", "wal_limit: what the log's files may take together.", METRIC_GAUGE};
static const struct metric_family room_bytes = {
    "garner_log_room_bytes", "Room in the current file and the spare ones.", METRIC_GAUGE};
static const struct metric_family index_bytes = {"garner_log_index_bytes",
                                                 "Memory of the index of batches.", METRIC_GAUGE};
static const struct metric_family tail_bytes = {"garner_log_tail_bytes",
                                                "Memory for the newest frames.", METRIC_GAUGE};
static const struct metric_family durable_lsn = {"garner_log_durable_lsn",
                                                 "Number of the last frame on disk.", METRIC_GAUGE};
static const struct metric_family epoch = {"garner_log_epoch", "Grows with each fence.",
                                           METRIC_GAUGE};

static void add_counters(const struct log *log, struct metric_set *set)
{
    ASSERT(log->counters.frames <= log->durable_lsn);
    const struct log_counters *c = &log->counters;
    metric_add(set, &commits_total, (double)c->commits, "%s", "");
    metric_add(set, &frames_total, (double)c->frames, "%s", "");
    metric_add(set, &frame_bytes_total, (double)c->frame_bytes, "%s", "");
    metric_add(set, &fences_total, (double)c->fences, "%s", "");
    metric_add(set, &refused_total, (double)c->refused_full, "%s", "");
    metric_add(set, &early_lost_total, (double)c->early_answers_lost, "%s", "");
    metric_add(set, &reads_total, (double)c->reads_tail, "from=\"memory\"");
    metric_add(set, &reads_total, (double)c->reads_disk, "from=\"disk\"");
    metric_add(set, &read_bytes_total, (double)c->read_bytes, "%s", "");
    metric_add_histogram(set, &commit_seconds, &c->commit, "%s", "");
    metric_add_histogram(set, &flush_seconds, &c->flush, "%s", "");
}

static void add_gauges(const struct log *log, struct metric_set *set)
{
    ASSERT(log->wal.file_count > 0);
    metric_add(set, &queue_bytes, (double)log->queue_bytes, "%s", "");
    metric_add(set, &disk_bytes, (double)log_wal_bytes(&log->wal), "%s", "");
    metric_add(set, &limit_bytes, (double)log->wal.limit_bytes, "%s", "");
    metric_add(set, &room_bytes, (double)log_wal_room(&log->wal), "%s", "");
    metric_add(set, &index_bytes, (double)log->state.index_bytes, "%s", "");
    metric_add(set, &tail_bytes, (double)log->tail.size, "%s", "");
    metric_add(set, &durable_lsn, (double)log->durable_lsn, "%s", "");
    metric_add(set, &epoch, (double)log->epoch, "%s", "");
}

/* Why the log takes no records, for /ready. */
static void say_not_ready(const struct log *log, char *out, size_t size)
{
    bool spare = log->wal.current + 1 < log->wal.file_count;
    int written = 0;
    if (log->mode == LOG_FENCED)
        written = snprintf(out, size, "the log is fenced after a failed write; trying to go on");
    else if (log->mode >= LOG_STOPPING)
        written = snprintf(out, size, "the server is stopping");
    else if (!spare && !log->maker.running && log_wal_room(&log->wal) < LOG_FRAME_SIZE_TARGET)
        written = snprintf(out, size, "the log is full: %s",
                           log_wal_may_make(&log->wal) ? err_string(log->maker.error)
                                                       : "wal_limit is reached");
    ASSERT(written >= 0);
}

static void report_home(struct task *task)
{
    struct flow_report *report = CONTAINER_OF(task, struct flow_report, task);
    report->done(report);
}

static void report_arrived(struct task *task)
{
    struct flow_report *report = CONTAINER_OF(task, struct flow_report, task);
    ASSERT(report->home && report->exporter_data);
    const struct log *log = report->exporter_data;
    add_counters(log, &report->metrics);
    add_gauges(log, &report->metrics);
    say_not_ready(log, report->not_ready, sizeof report->not_ready);
    task->run = report_home;
    io_post(report->home, task);
}

void log_status_collect(struct flow_exporter *exporter, struct flow_report *report)
{
    struct log *log = CONTAINER_OF(exporter, struct log, exporter);
    ASSERT(report->home && report->done);
    report->exporter_data = log;
    report->task.run = report_arrived;
    io_post(log->options.loop, &report->task);
}

static void snapshot_home(struct task *task)
{
    struct flow_snapshot *snapshot = CONTAINER_OF(task, struct flow_snapshot, task);
    snapshot->done(snapshot);
}

static void snapshot_arrived(struct task *task)
{
    struct flow_snapshot *snapshot = CONTAINER_OF(task, struct flow_snapshot, task);
    ASSERT(snapshot->home && snapshot->log);
    const struct log *log = snapshot->log;
    snapshot->log_uuid = log->meta.uuid;
    snapshot->durable_lsn = log->durable_lsn;
    snapshot->epoch = log->epoch;
    snapshot->error = log_state_snapshot(&log->state, snapshot);
    task->run = snapshot_home;
    io_post(snapshot->home, task);
}

void log_status_snapshot(struct flow_log *flow, struct flow_snapshot *snapshot)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(snapshot->home && snapshot->done);
    snapshot->log = log;
    snapshot->task.run = snapshot_arrived;
    io_post(log->options.loop, &snapshot->task);
}
