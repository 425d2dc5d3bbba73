#include "server/process.h"

#include "lib/unit.h"

#include "base/alloc.h"
#include "base/list.h"
#include "io/uv/uv.h"

struct world {
    struct io_loop *loop;
    struct server_process process;
    struct flow_report report;
    unsigned done;
};

static void on_report(struct flow_report *report)
{
    struct world *w = CONTAINER_OF(report, struct world, report);
    w->done++;
    io_uv_loop_stop(w->loop);
}

static void world_init(struct world *w, const char *data_dir)
{
    *w = (struct world){0};
    assert_true(err_is_ok(io_uv_loop_new(&w->loop)));
    server_process_init(&w->process, w->loop, io_uv_disk(), data_dir, 12345);
}

static void world_done(struct world *w)
{
    metric_set_done(&w->report.metrics);
    io_uv_loop_free(&w->loop);
}

/* Asks once, with the `fail_after`-th allocation failing; false when there were not so many. */
static bool ask(struct world *w, uint64_t fail_after)
{
    metric_set_init(&w->report.metrics);
    w->report.home = w->loop;
    w->report.done = on_report;
    unsigned before = w->done;
    mem_fail_after(fail_after);
    w->process.exporter.collect(&w->process.exporter, &w->report);
    bool reached = mem_alloc_count() >= fail_after;
    mem_fail_after(0);
    /* Never inside the call that asked. */
    assert_int_equal(w->done, before);
    io_uv_loop_run(w->loop);
    assert_int_equal(w->done, before + 1);
    return reached;
}

/* The sample of a family, or NULL. */
static const struct metric_sample *find(const struct world *w, const char *family)
{
    const struct metric_set *set = &w->report.metrics;
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->samples[i].family->name, family) == 0)
            return &set->samples[i];
    return NULL;
}

static double value_of(const struct world *w, const char *family)
{
    const struct metric_sample *sample = find(w, family);
    if (!sample)
        print_error("there is no %s\n", family);
    assert_non_null(sample);
    return sample ? sample->value : 0;
}

static void it_tells_of_version_memory_time_and_disk(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "/tmp");
    assert_string_equal(w.process.exporter.name, "process");
    (void)ask(&w, 0);
    assert_false(w.report.metrics.failed);
    assert_string_equal(w.report.not_ready, "");
    const struct metric_sample *build = find(&w, "garner_build_info");
    assert_string_equal(build ? build->labels : "none", "version=\"" GARNER_VERSION "\"");
    double started = value_of(&w, "process_start_time_seconds");
    double now = (double)time(NULL);
    assert_true(started > now - 600 && started < now + 600);
    assert_true(value_of(&w, "process_resident_memory_bytes") > 65536);
    assert_int_equal((uint64_t)value_of(&w, "garner_memory_limit_bytes"), 12345);
    double free_bytes = value_of(&w, "garner_disk_free_bytes");
    double size_bytes = value_of(&w, "garner_disk_size_bytes");
    assert_true(free_bytes >= 0 && size_bytes > 0 && free_bytes <= size_bytes);
    world_done(&w);
}

static void a_disk_that_does_not_answer_is_left_out(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "/nowhere/at/all");
    (void)ask(&w, 0);
    assert_false(w.report.metrics.failed);
    assert_null(find(&w, "garner_disk_free_bytes"));
    assert_null(find(&w, "garner_disk_size_bytes"));
    assert_non_null(find(&w, "garner_build_info"));
    world_done(&w);
}

static void without_memory_a_report_comes_home_and_says_that_it_is_not_whole(void **state)
{
    (void)state;
    unsigned not_whole = 0;
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        assert_in_range(n, 1, 50);
        struct world w;
        world_init(&w, "/tmp");
        reached = ask(&w, n);
        not_whole += w.report.metrics.failed;
        /* What the system's answers are read with may be missing too: then it is not known. */
        if (!w.report.metrics.failed)
            assert_non_null(find(&w, "process_resident_memory_bytes"));
        world_done(&w);
    }
    /* A string a sample, and the room for all of them. */
    assert_int_equal(not_whole, 6 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_of_version_memory_time_and_disk),
        cmocka_unit_test(a_disk_that_does_not_answer_is_left_out),
        cmocka_unit_test(without_memory_a_report_comes_home_and_says_that_it_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
