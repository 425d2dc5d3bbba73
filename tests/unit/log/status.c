#include "log/log_int.h"

#include "base/alloc.h"
#include "unit/log/once.h"

struct asked_report {
    struct flow_report report;
    bool answered;
};

struct asked_snapshot {
    struct flow_snapshot snapshot;
    bool answered;
};

static void report_answered(struct flow_report *report)
{
    CONTAINER_OF(report, struct asked_report, report)->answered = true;
}

static void snapshot_answered(struct flow_snapshot *snapshot)
{
    CONTAINER_OF(snapshot, struct asked_snapshot, snapshot)->answered = true;
}

/* The log's report; its metrics are the caller's to free. */
static struct flow_report report(struct world *w)
{
    struct asked_report asked = {.report = {.home = w->loop, .done = report_answered}};
    metric_set_init(&asked.report.metrics);
    struct flow_exporter *exporter = log_exporter(w->log);
    exporter->collect(exporter, &asked.report);
    assert_false(asked.answered);
    world_until(w, world_is_set, &asked.answered);
    assert_false(asked.report.metrics.failed);
    return asked.report;
}

static const struct metric_sample *sample(const struct flow_report *r, const char *name,
                                          const char *labels)
{
    size_t i = 0;
    while (i < r->metrics.count && (strcmp(r->metrics.samples[i].family->name, name) != 0 ||
                                    strcmp(r->metrics.samples[i].labels, labels) != 0))
        i++;
    if (i == r->metrics.count)
        fail_msg("no metric %s{%s}", name, labels);
    return &r->metrics.samples[i];
}

static uint64_t value(struct world *w, const char *name, const char *labels)
{
    struct flow_report r = report(w);
    uint64_t found = (uint64_t)sample(&r, name, labels)->value;
    metric_set_done(&r.metrics);
    return found;
}

/* Why the log is not ready, or "". */
static void assert_not_ready(struct world *w, const char *reason)
{
    struct flow_report r = report(w);
    if (reason[0] ? !strstr(r.not_ready, reason) : r.not_ready[0] != 0)
        fail_msg("\"%s\" instead of \"%s\"", r.not_ready, reason);
    metric_set_done(&r.metrics);
}

static err_t snapshot(struct world *w, struct asked_snapshot *asked)
{
    *asked = (struct asked_snapshot){.snapshot = {.home = w->loop, .done = snapshot_answered}};
    flow_log_snapshot(log_flow(w->log), &asked->snapshot);
    world_until(w, world_is_set, &asked->answered);
    return asked->snapshot.error;
}

static void metrics_say_what_the_log_did(void **state)
{
    (void)state;
    struct world w;
    struct asked_read read;
    world_init(&w, 1);
    world_begin(&w);
    for (int i = 0; i < 5; i++)
        assert_code(world_commit(&w, 1, 100), OK);
    assert_code(world_read(&w, &read, 0, 1000), OK);
    world_release(&w, &read);
    struct flow_report r = report(&w);
    assert_int_equal((int)sample(&r, "garner_log_commits_total", "")->value, 7);
    assert_int_equal((int)sample(&r, "garner_log_frames_total", "")->value, 7);
    assert_int_equal((int)sample(&r, "garner_log_written_bytes_total", "")->value, 7 * IO_BLOCK);
    assert_int_equal((int)sample(&r, "garner_log_reads_total", "from=\"memory\"")->value, 1);
    assert_int_equal((int)sample(&r, "garner_log_reads_total", "from=\"wal\"")->value, 0);
    assert_int_equal((int)sample(&r, "garner_log_reads_total", "from=\"segment\"")->value, 0);
    assert_true(sample(&r, "garner_log_read_bytes_total", "")->value > 100);
    assert_int_equal((int)sample(&r, "garner_log_durable_lsn", "")->value, 8);
    assert_int_equal((int)sample(&r, "garner_log_epoch", "")->value, 1);
    assert_int_equal((int)sample(&r, "garner_log_disk_bytes", "")->value, 2 << 20);
    assert_int_equal((int)sample(&r, "garner_log_limit_bytes", "")->value, 8 << 20);
    assert_int_equal((int)sample(&r, "garner_log_room_bytes", "")->value,
                     (2 << 20) - 8 * (int)IO_BLOCK);
    assert_true(sample(&r, "garner_log_index_bytes", "")->value > 0);
    assert_int_equal((int)sample(&r, "garner_log_queue_bytes", "")->value, 0);
    const struct metric_sample *commits = sample(&r, "garner_log_commit_duration_seconds", "");
    assert_int_equal(commits->histogram->count, 7);
    assert_int_equal(sample(&r, "garner_log_flush_duration_seconds", "")->histogram->count, 7);
    metric_set_done(&r.metrics);
    world_done(&w);
}

/* Sealing fails from here on: a file is where it wants a directory. */
static void block_sealing(struct world *w)
{
    struct io_file *file;
    struct io_disk *disk = sim_disk_io(w->disk);
    assert_code(io_disk_open(disk, "data/topics", IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL), OK);
    assert_code(io_file_close(file), OK);
}

static void metrics_say_what_went_wrong(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.options.wal_limit_bytes = UINT64_C(3) << 20;
    world_begin(&w);
    block_sealing(&w);
    sim_disk_fail_after(w.disk, 1, ERR_IO);
    assert_code(world_commit(&w, 1, 10), FENCED);
    world_settle(&w);
    assert_int_equal(value(&w, "garner_log_fences_total", ""), 1);
    assert_int_equal(value(&w, "garner_log_epoch", ""), 2);
    assert_int_equal(value(&w, "garner_log_early_answers_lost_total", ""), 0);
    while (err_is_ok(world_commit(&w, 1, 100000)))
        world_settle(&w);
    assert_int_equal(value(&w, "garner_log_refused_total", ""), 1);
    world_done(&w);
}

static void a_running_log_is_ready(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_not_ready(&w, "");
    world_done(&w);
}

static bool has_recycled(void *context)
{
    const struct world *w = context;
    return w->log->counters.recycled > 0 && w->log->sealer.phase == LOG_SEALER_IDLE;
}

/* Sets what is kept of the first topic. */
static err_t configure(struct world *w, uint64_t retention_bytes)
{
    struct asked asked;
    asked_init(&asked, w);
    asked.topic = (struct flow_topic_change){
        .op = FLOW_TOPIC_CONFIG, .topic_id = 1, .config = {.retention_bytes = retention_bytes}};
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    return asked_commit(&asked);
}

static bool has_removed(void *context)
{
    const struct world *w = context;
    return w->log->sealer.removed_total > 0;
}

static void metrics_follow_records_into_segments(void **state)
{
    (void)state;
    struct world w;
    struct asked_read read;
    world_init(&w, 1);
    world_begin(&w);
    assert_int_equal(value(&w, "garner_log_segments", ""), 0);
    for (int i = 0; i < 40; i++)
        assert_code(world_commit(&w, 1, 100000), OK);
    world_until(&w, has_recycled, &w);
    assert_code(world_read(&w, &read, 0, 1000), OK);
    world_release(&w, &read);
    struct flow_report r = report(&w);
    const struct log_partition *partition = log_state_partition(&w.log->state, 1, 0);
    assert_true(sample(&r, "garner_log_seal_files_total", "")->value >= 2);
    assert_true(sample(&r, "garner_log_seal_read_bytes_total", "")->value >= 1 << 20);
    assert_true((uint64_t)sample(&r, "garner_log_seal_written_bytes_total", "")->value >=
                partition->sealed_bytes);
    assert_int_equal((int)sample(&r, "garner_log_seal_failures_total", "")->value, 0);
    assert_int_equal((int)sample(&r, "garner_log_seal_failing", "")->value, 0);
    assert_true(sample(&r, "garner_log_checkpoints_total", "")->value >= 2);
    assert_true(sample(&r, "garner_log_checkpoint_lsn", "")->value > 0);
    assert_true(sample(&r, "garner_log_recycled_files_total", "")->value >= 1);
    assert_int_equal((int)sample(&r, "garner_log_segments", "")->value, 1);
    assert_int_equal((uint64_t)sample(&r, "garner_log_segment_bytes", "")->value,
                     partition->sealed_bytes);
    assert_int_equal((int)sample(&r, "garner_log_reads_total", "from=\"segment\"")->value, 1);
    metric_set_done(&r.metrics);
    world_done(&w);
}

static void the_backlog_is_what_is_full_and_not_sealed(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.sealer.closed = true;
    world_begin(&w);
    assert_int_equal(value(&w, "garner_log_seal_backlog_bytes", ""), 0);
    for (int i = 0; i < 25; i++)
        assert_code(world_commit(&w, 1, 100000), OK);
    assert_int_equal(value(&w, "garner_log_seal_backlog_bytes", ""), 2 << 20);
    world_done(&w);
}

static void metrics_count_what_expired_and_was_removed(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(configure(&w, UINT64_C(2) << 20), OK);
    for (int i = 0; i < 60; i++)
        assert_code(world_commit(&w, 1, 100000), OK);
    world_until(&w, has_removed, &w);
    int64_t start = log_state_partition(&w.log->state, 1, 0)->start_offset;
    assert_true(start > 0);
    assert_int_equal(value(&w, "garner_log_expired_records_total", "topic=\"flights\""), start);
    assert_int_equal(value(&w, "garner_log_expired_records_total", "topic=\"flights.dlq\""), 0);
    assert_true(value(&w, "garner_log_removed_segments_total", "") > 0);
    world_done(&w);
}

static bool is_failing(void *context)
{
    return ((const struct world *)context)->log->sealer.reported;
}

static bool is_working(void *context)
{
    return !is_failing(context);
}

static void a_log_that_is_full_because_sealing_fails_says_why(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.options.wal_limit_bytes = UINT64_C(4) << 20;
    world_begin(&w);
    block_sealing(&w);
    while (err_is_ok(world_commit(&w, 1, 100000)))
        world_settle(&w);
    world_until(&w, is_failing, &w);
    assert_not_ready(&w, "the log is full, as sealing fails: ");
    assert_not_ready(&w, "topics");
    assert_true(world_noted(&w, "log_seal_failed"));
    assert_int_equal(value(&w, "garner_log_seal_failing", ""), 1);
    assert_true(value(&w, "garner_log_seal_failures_total", "") > 0);
    assert_false(world_noted(&w, "log_seal_works"));
    assert_code(io_disk_remove(sim_disk_io(w.disk), "data/topics", NULL), OK);
    world_until(&w, is_working, &w);
    assert_true(world_noted(&w, "log_seal_works"));
    assert_int_equal(value(&w, "garner_log_seal_failing", ""), 0);
    world_until(&w, has_recycled, &w);
    world_settle(&w);
    assert_not_ready(&w, "");
    assert_code(world_commit(&w, 1, 100000), OK);
    world_done(&w);
}

static void a_full_disk_is_said_as_such(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    sim_disk_set(w.disk, &(struct sim_disk_options){.capacity_bytes = 2500u << 10});
    world_begin(&w);
    while (err_is_ok(world_commit(&w, 1, 100000))) {
    }
    assert_not_ready(&w, "the log is full: no space left on device");
    world_done(&w);
}

static void a_fenced_or_stopping_log_is_not_ready(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    sim_disk_set(w.disk, &(struct sim_disk_options){.sync_failures_ppm = 1000000});
    assert_code(world_commit(&w, 1, 10), FENCED);
    assert_not_ready(&w, "the log is fenced");
    sim_disk_set(w.disk, &(struct sim_disk_options){0});
    world_settle(&w);
    assert_not_ready(&w, "");
    world_send_stop(&w);
    world_until(&w, world_is_set, &w.is_stopped);
    assert_not_ready(&w, "the server is stopping");
    world_done(&w);
}

static void a_snapshot_shows_durable_commits_alone(void **state)
{
    (void)state;
    struct world w;
    struct asked_snapshot asked;
    struct asked commit;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(world_commit(&w, 5, 10), OK);
    w.flusher.closed = true;
    asked_some(&commit, &w, 3, 10);
    asked_send(&commit);
    world_until(&w, world_has_flushing, &w);
    assert_code(snapshot(&w, &asked), OK);
    assert_int_equal(asked.snapshot.topics[0].end_offset[0], 5);
    assert_int_equal(asked.snapshot.topics[0].received, 5);
    assert_int_equal(asked.snapshot.durable_lsn, 4);
    assert_true(flow_snapshot_balanced(&asked.snapshot));
    flow_snapshot_done(&asked.snapshot);
    gate_open(&w.flusher);
    assert_code(asked_wait(&commit), OK);
    assert_code(snapshot(&w, &asked), OK);
    assert_int_equal(asked.snapshot.topics[0].accepted, 8);
    assert_int_equal(asked.snapshot.durable_lsn, 5);
    assert_int_equal(asked.snapshot.epoch, 1);
    assert_true(uuid_equal(&asked.snapshot.log_uuid, &w.log->meta.uuid));
    assert_true(flow_snapshot_balanced(&asked.snapshot));
    flow_snapshot_done(&asked.snapshot);
    asked_done(&commit);
    world_done(&w);
}

static void requests_that_count_once_are_counted(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    world_init(&w, 1);
    world_begin(&w);
    for (int i = 0; i < 2; i++)
        assert_code(once_number(&w, 1, 0, 3, &result), OK);
    assert_code(once_number(&w, 1, 5, 3, &result), SEQUENCE_GAP);
    assert_code(once_key(&w, 1, 1, 3, &result), OK);
    assert_code(once_key(&w, 1, 2, 3, &result), KEY_REUSED);
    static const char *const topic = "topic=\"flights\"";
    assert_int_equal(value(&w, "garner_once_repeats_total", "topic=\"flights\",by=\"number\""), 1);
    assert_int_equal(value(&w, "garner_once_repeats_total", "topic=\"flights\",by=\"key\""), 0);
    assert_int_equal(value(&w, "garner_once_gaps_total", topic), 1);
    assert_int_equal(value(&w, "garner_once_keys_reused_total", topic), 1);
    assert_int_equal(value(&w, "garner_once_producers", topic), 1);
    assert_int_equal(value(&w, "garner_once_producers_limit", topic), LOG_PRODUCERS_MAX);
    assert_int_equal(value(&w, "garner_once_answers", topic), 1);
    assert_int_equal(value(&w, "garner_once_answers_limit_bytes", topic), LOG_ANSWERS_BYTES);
    assert_true(value(&w, "garner_once_answers_bytes", topic) > 0);
    world_done(&w);
}

static void producers_that_number_their_records_are_counted(void **state)
{
    (void)state;
    struct world w;
    enum flow_request_result result;
    world_init(&w, 1);
    world_begin(&w);
    for (int32_t n = 0; n < 6; n++)
        once_sequence(&w, 5, 1, n, 1, &result);
    once_sequence(&w, 5, 1, 0, 1, &result);
    for (int i = 0; i < 2; i++)
        once_sequence(&w, 5, 1, 3, 1, &result);
    for (int i = 0; i < 3; i++)
        once_sequence(&w, 5, 1, 9, 1, &result);
    for (int i = 0; i < 4; i++)
        once_sequence(&w, 5, 0, 6, 1, &result);
    assert_int_equal(value(&w, "garner_sequenced_producers", ""), 1);
    assert_int_equal(value(&w, "garner_sequenced_producers_limit", ""), LOG_SEQUENCES_MAX);
    assert_int_equal(value(&w, "garner_sequenced_repeats_total", "offset=\"known\""), 2);
    assert_int_equal(value(&w, "garner_sequenced_repeats_total", "offset=\"forgotten\""), 1);
    assert_int_equal(value(&w, "garner_sequenced_refused_total", "why=\"gap\""), 3);
    assert_int_equal(value(&w, "garner_sequenced_refused_total", "why=\"epoch\""), 4);
    assert_int_equal(value(&w, "garner_sequenced_producers_forgotten_total", "why=\"idle\""), 0);
    assert_int_equal(value(&w, "garner_sequenced_producers_forgotten_total", "why=\"displaced\""),
                     0);
    world_done(&w);
}

static void any_allocation_of_a_snapshot_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    world_settle(&w);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct asked_snapshot asked;
        mem_fail_after(n);
        err_t err = snapshot(&w, &asked);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_string_equal(err_name(err), failed ? "MEMORY" : "OK");
        flow_snapshot_done(&asked.snapshot);
    }
    world_done(&w);
}

static void what_groups_have_not_read_is_told(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(world_commit(&w, 10, 10), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "a\"b", 1, 0, 4), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "all", 1, 0, 10), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "liar", 1, 0, INT64_MAX), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "liar", 1, 1, 7), OK);
    static const char *const lag = "garner_group_lag_records";
    static const char *const some = "group=\"a\\\"b\",topic=\"flights\",partition=\"0\"";
    assert_int_equal(value(&w, lag, some), 6);
    assert_int_equal(value(&w, lag, "group=\"all\",topic=\"flights\",partition=\"0\""), 0);
    assert_int_equal(value(&w, lag, "group=\"liar\",topic=\"flights\",partition=\"0\""), 0);
    assert_int_equal(value(&w, lag, "group=\"liar\",topic=\"flights\",partition=\"1\""), 0);
    assert_int_equal(value(&w, "garner_log_groups", ""), 3);
    assert_int_equal(value(&w, "garner_log_group_offsets", ""), 4);
    assert_true(value(&w, "garner_log_group_offset_bytes", "") > 0);
    sim_wall_jump(w.sim, 90000);
    assert_true(value(&w, "garner_group_lag_seconds", some) >= 90);
    assert_int_equal(
        value(&w, "garner_group_lag_seconds", "group=\"all\",topic=\"flights\",partition=\"0\""),
        0);
    world_done(&w);
}

static void what_sinks_have_not_delivered_is_told(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    assert_code(world_commit(&w, 10, 10), OK);
    static const char *const some = "sink=\"lake\",topic=\"flights\",partition=\"0\"";
    static const char *const none = "sink=\"lake\",topic=\"flights\",partition=\"1\"";
    assert_int_equal(value(&w, "garner_sink_lag_records", some), 10);
    assert_int_equal(value(&w, "garner_sink_lag_records", none), 0);
    sim_wall_jump(w.sim, 90000);
    assert_true(value(&w, "garner_sink_oldest_seconds", some) >= 90);
    assert_int_equal(value(&w, "garner_sink_oldest_seconds", none), 0);
    world_done(&w);
}

struct asked_offsets {
    struct flow_offsets offsets;
    bool answered;
};

static void offsets_answered(struct flow_offsets *offsets)
{
    CONTAINER_OF(offsets, struct asked_offsets, offsets)->answered = true;
}

static uint32_t offsets_of(struct world *w, const char *group)
{
    struct asked_offsets asked = {
        .offsets = {.home = w->loop, .done = offsets_answered, .group = slice_string(group)}};
    flow_log_offsets(log_flow(w->log), &asked.offsets);
    assert_false(asked.answered);
    world_until(w, world_is_set, &asked.answered);
    assert_code(asked.offsets.error, OK);
    uint32_t count = group[0] && asked.offsets.group_count > 0
                         ? asked.offsets.groups[0].offset_count
                         : (uint32_t)asked.offsets.group_count;
    flow_offsets_done(&asked.offsets);
    return count;
}

static void groups_are_answered_as_of_a_durable_moment(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_int_equal(offsets_of(&w, ""), 0);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "a", 1, 0, 0), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "a", 1, 1, 0), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "b", 1, 1, 0), OK);
    assert_int_equal(offsets_of(&w, ""), 2);
    assert_int_equal(offsets_of(&w, "a"), 2);
    assert_int_equal(offsets_of(&w, "c"), 0);
    /* Behind the loss of the power too. */
    world_lose_power(&w);
    world_open(&w);
    assert_int_equal(offsets_of(&w, "a"), 2);
    assert_code(world_offset(&w, FLOW_OFFSET_DELETE_GROUP, "a", 0, 0, 0), OK);
    world_kill(&w);
    world_open(&w);
    assert_int_equal(offsets_of(&w, ""), 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_say_what_the_log_did),
        cmocka_unit_test(metrics_say_what_went_wrong),
        cmocka_unit_test(a_running_log_is_ready),
        cmocka_unit_test(metrics_follow_records_into_segments),
        cmocka_unit_test(the_backlog_is_what_is_full_and_not_sealed),
        cmocka_unit_test(metrics_count_what_expired_and_was_removed),
        cmocka_unit_test(a_log_that_is_full_because_sealing_fails_says_why),
        cmocka_unit_test(a_full_disk_is_said_as_such),
        cmocka_unit_test(a_fenced_or_stopping_log_is_not_ready),
        cmocka_unit_test(a_snapshot_shows_durable_commits_alone),
        cmocka_unit_test(requests_that_count_once_are_counted),
        cmocka_unit_test(producers_that_number_their_records_are_counted),
        cmocka_unit_test(what_groups_have_not_read_is_told),
        cmocka_unit_test(what_sinks_have_not_delivered_is_told),
        cmocka_unit_test(groups_are_answered_as_of_a_durable_moment),
        cmocka_unit_test(any_allocation_of_a_snapshot_may_fail),
    };
    return cmocka_run_group_tests_name("log/status", tests, NULL, NULL);
}
