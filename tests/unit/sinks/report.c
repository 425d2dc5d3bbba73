#include "unit/sinks/world.h"

struct collected {
    struct flow_report report;
    bool done;
};

static void note_done(struct flow_report *report)
{
    struct collected *c = CONTAINER_OF(report, struct collected, report);
    assert_false(c->done);
    c->done = true;
}

static void collect(struct world *w, struct sinks_runner *runner, struct collected *c)
{
    *c = (struct collected){.report = {.home = &w->loop, .done = note_done}};
    struct flow_exporter *exporter = sinks_runner_exporter(runner);
    exporter->collect(exporter, &c->report);
    assert_false(c->done);
    world_settle(w);
    assert_true(c->done);
    assert_false(c->report.metrics.failed);
    assert_string_equal(c->report.not_ready, "");
}

/* The value of the first sample of `name` whose labels hold `label`. */
static double value_of(const struct collected *c, const char *name, const char *label)
{
    for (size_t i = 0; i < c->report.metrics.count; i++) {
        const struct metric_sample *sample = &c->report.metrics.samples[i];
        if (strcmp(sample->family->name, name) == 0 && strstr(sample->labels, label))
            return sample->histogram ? (double)sample->histogram->count : sample->value;
    }
    fail_msg("no sample of %s with %s", name, label);
    return -1;
}

#define assert_metric(c, name, label, expected)                                                    \
    assert_int_equal((int64_t)value_of(c, "garner_sink_" name, label), expected)

static void metrics_tell_what_the_runner_does(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct world_plug *plug = calloc(1, sizeof(*plug));
    assert_non_null(plug);
    plug->roll_time_ms = 60000;
    struct sinks_runner *runner = world_runner(w, plug, 0);
    sinks_runner_start(runner);
    world_append(w, 1, 0, 7);
    world_advance(w, 10 * IO_SECOND);
    struct collected c;
    collect(w, runner, &c);
    assert_metric(&c, "epochs_total", "sink=\"first\"", 0);
    assert_metric(&c, "lag_offsets", "topic=\"cars\",partition=\"0\"", 7);
    assert_metric(&c, "lag_offsets", "topic=\"planes\",partition=\"1\"", 0);
    assert_metric(&c, "lag_seconds", "first", 10);
    assert_metric(&c, "blocked", "first", 0);
    assert_metric(&c, "read_bytes_total", "first", (int64_t)w->partitions[1][0].batches[0].size);
    metric_set_done(&c.report.metrics);
    plug->fail[SINKS_VERB_PUBLISH] = ERR_IO;
    plug->fail_times[SINKS_VERB_PUBLISH] = UINT32_MAX;
    world_advance(w, 200 * IO_SECOND);
    collect(w, runner, &c);
    assert_metric(&c, "blocked", "first", 1);
    assert_metric(&c, "lag_seconds", "first", 210);
    assert_true(value_of(&c, "garner_sink_failures_total", "first") >= 5);
    metric_set_done(&c.report.metrics);
    plug->fail_times[SINKS_VERB_PUBLISH] = 0;
    world_advance(w, 31 * IO_SECOND);
    collect(w, runner, &c);
    assert_metric(&c, "blocked", "first", 0);
    assert_metric(&c, "epochs_total", "first", 1);
    assert_metric(&c, "lag_offsets", "topic=\"cars\",partition=\"0\"", 0);
    assert_metric(&c, "lag_seconds", "first", 0);
    metric_set_done(&c.report.metrics);
    world_crash(w, &runner, plug);
    free(plug);
    world_free(w);
}

static void every_family_has_samples_before_anything_was_read(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct world_plug *plug = calloc(1, sizeof(*plug));
    assert_non_null(plug);
    struct sinks_runner *runner = world_runner(w, plug, 0);
    struct collected c;
    collect(w, runner, &c);
    assert_metric(&c, "epoch_duration_seconds", "first", 0);
    assert_metric(&c, "partitions_stopped", "first", 0);
    assert_metric(&c, "memory_bytes", "first", 0);
    assert_metric(&c, "stalled", "first", 0);
    metric_set_done(&c.report.metrics);
    sinks_runner_free(&runner);
    free(plug);
    world_free(w);
}

static void a_lack_of_memory_is_latched_in_the_report(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct world_plug *plug = calloc(1, sizeof(*plug));
    assert_non_null(plug);
    struct sinks_runner *runner = world_runner(w, plug, 0);
    struct collected c = {.report = {.home = &w->loop, .done = note_done}};
    mem_fail_after(3);
    sinks_runner_exporter(runner)->collect(sinks_runner_exporter(runner), &c.report);
    world_settle(w);
    mem_fail_after(0);
    assert_true(c.done);
    assert_true(c.report.metrics.failed);
    metric_set_done(&c.report.metrics);
    sinks_runner_free(&runner);
    free(plug);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_tell_what_the_runner_does),
        cmocka_unit_test(every_family_has_samples_before_anything_was_read),
        cmocka_unit_test(a_lack_of_memory_is_latched_in_the_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
