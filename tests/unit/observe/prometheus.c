#include "lib/unit.h"

#include "base/alloc.h"
#include "observe/prometheus.h"

static const struct metric_family requests = {"garner_requests_total", "Requests by status.",
                                              METRIC_COUNTER};
static const struct metric_family depth = {"garner_depth", "How deep it is.", METRIC_GAUGE};
static const struct metric_family latency = {"garner_latency_seconds", "How long it takes.",
                                             METRIC_HISTOGRAM};

/* Renders and forgets `set`; the text is zero-terminated and freed with free. */
static char *render(struct metric_set *set)
{
    struct buf out = {0};
    observe_prometheus_render(set, &out);
    assert_true(buf_ok(&out));
    char *text = calloc(1, out.size + 1);
    if (!text)
        abort();
    memcpy(text, out.data ? out.data : (const uint8_t *)"", out.size);
    buf_done(&out);
    metric_set_done(set);
    return text;
}

static void assert_has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no \"%s\" in:\n%s", line, text ? text : "");
}

static void a_set_without_samples_is_no_text(void **state)
{
    (void)state;
    struct metric_set set;
    metric_set_init(&set);
    char *text = render(&set);
    assert_string_equal(text, "");
    free(text);
}

static void families_stand_together_in_the_order_of_their_names(void **state)
{
    (void)state;
    struct metric_set set;
    metric_set_init(&set);
    metric_add(&set, &requests, 3, "status=\"%d\"", 503);
    metric_add(&set, &depth, -1.5, "%s", "");
    metric_add(&set, &requests, 12, "status=\"%d\"", 200);
    char *text = render(&set);
    assert_string_equal(text, "# HELP garner_depth How deep it is.\n"
                              "# TYPE garner_depth gauge\n"
                              "garner_depth -1.5\n"
                              "# HELP garner_requests_total Requests by status.\n"
                              "# TYPE garner_requests_total counter\n"
                              "garner_requests_total{status=\"200\"} 12\n"
                              "garner_requests_total{status=\"503\"} 3\n");
    free(text);
}

static void samples_of_one_series_are_added_up(void **state)
{
    (void)state;
    struct metric_set set;
    metric_set_init(&set);
    for (int loop = 0; loop < 5; loop++) {
        metric_add(&set, &requests, 1, "status=\"200\"");
        metric_add(&set, &depth, 2, "%s", "");
        metric_add(&set, &requests, 10, "status=\"%d\"", 400 + loop % 2);
    }
    struct buf out = {0};
    observe_prometheus_render(&set, &out);
    assert_int_equal(set.count, 4);
    /* The set is what was rendered: rendering it again adds nothing. */
    struct buf again = {0};
    observe_prometheus_render(&set, &again);
    assert_true(slice_equal(buf_slice(&out), buf_slice(&again)));
    buf_done(&out);
    buf_done(&again);
    char *text = render(&set);
    assert_has(text, "garner_requests_total{status=\"200\"} 5\n");
    assert_has(text, "garner_requests_total{status=\"400\"} 30\n");
    assert_has(text, "garner_requests_total{status=\"401\"} 20\n");
    assert_has(text, "garner_depth 10\n");
    free(text);
}

static void values_lose_no_digit_that_counts(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "garner_depth 0\n"},
        {1795377243.123, "garner_depth 1795377243.123\n"},
        {9007199254740992.0, "garner_depth 9007199254740992\n"},
        {-42, "garner_depth -42\n"},
        {0.1, "garner_depth 0.1\n"},
        {1e-10, "garner_depth 1e-10\n"},
        {1e300, "garner_depth 1e+300\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct metric_set set;
        metric_set_init(&set);
        metric_add(&set, &depth, cases[i].value, "%s", "");
        char *text = render(&set);
        assert_has(text, cases[i].text);
        free(text);
    }
}

static void a_histogram_has_a_bucket_a_power_of_two_of_microseconds(void **state)
{
    (void)state;
    struct histogram h = {0};
    histogram_add(&h, 1000);                     /* on the first bound */
    histogram_add(&h, 1001);                     /* just over it */
    histogram_add(&h, 1000000);                  /* a millisecond, below 1.024 */
    histogram_add(&h, UINT64_C(36000000000000)); /* ten hours: over the last bound */
    struct metric_set set;
    metric_set_init(&set);
    metric_add_histogram(&set, &latency, &h, "%s", "");
    char *text = render(&set);
    assert_has(text, "# TYPE garner_latency_seconds histogram\n"
                     "garner_latency_seconds_bucket{le=\"1e-06\"} 1\n"
                     "garner_latency_seconds_bucket{le=\"2e-06\"} 2\n"
                     "garner_latency_seconds_bucket{le=\"4e-06\"} 2\n");
    assert_has(text, "le=\"0.000512\"} 2\n");
    assert_has(text, "le=\"0.001024\"} 3\n");
    assert_has(text, "le=\"2147.483648\"} 3\n");
    assert_has(text, "garner_latency_seconds_bucket{le=\"+Inf\"} 4\n"
                     "garner_latency_seconds_sum 36000.001002001\n"
                     "garner_latency_seconds_count 4\n");
    size_t buckets = 0;
    for (const char *at = text; (at = strstr(at, "_bucket{")); at++)
        buckets++;
    assert_int_equal(buckets, HISTOGRAM_BUCKETS / 4 + 1);
    free(text);
}

static void histograms_of_several_loops_are_one(void **state)
{
    (void)state;
    struct metric_set set;
    metric_set_init(&set);
    for (uint64_t loop = 1; loop <= 3; loop++) {
        struct histogram h = {0};
        histogram_add(&h, loop * 1000000000);
        metric_add_histogram(&set, &latency, &h, "sink=\"lake\"");
    }
    char *text = render(&set);
    assert_has(text, "garner_latency_seconds_bucket{sink=\"lake\",le=\"1.048576\"} 1\n");
    assert_has(text, "garner_latency_seconds_bucket{sink=\"lake\",le=\"2.097152\"} 2\n");
    assert_has(text, "garner_latency_seconds_bucket{sink=\"lake\",le=\"+Inf\"} 3\n");
    assert_has(text, "garner_latency_seconds_sum{sink=\"lake\"} 6\n");
    assert_has(text, "garner_latency_seconds_count{sink=\"lake\"} 3\n");
    free(text);
}

static void labels_are_written_as_they_were_escaped(void **state)
{
    (void)state;
    char label[64];
    metric_label(label, sizeof(label), slice_string("a \"b\"\\\n"));
    struct metric_set set;
    metric_set_init(&set);
    metric_add(&set, &depth, 1, "sink=\"%s\"", label);
    char *text = render(&set);
    assert_has(text, "garner_depth{sink=\"a \\\"b\\\"\\\\\\n\"} 1\n");
    free(text);
}

static void without_memory_the_text_says_that_it_is_not_whole(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct metric_set set;
        metric_set_init(&set);
        struct histogram h = {0};
        metric_add_histogram(&set, &latency, &h, "%s", "");
        metric_add(&set, &depth, 1, "%s", "");
        metric_add(&set, &depth, 1, "%s", "");
        struct buf out = {0};
        mem_fail_after(n);
        observe_prometheus_render(&set, &out);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(buf_ok(&out), !failed);
        buf_done(&out);
        metric_set_done(&set);
        if (!failed)
            break;
        assert_in_range(n, 1, 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_without_samples_is_no_text),
        cmocka_unit_test(families_stand_together_in_the_order_of_their_names),
        cmocka_unit_test(samples_of_one_series_are_added_up),
        cmocka_unit_test(values_lose_no_digit_that_counts),
        cmocka_unit_test(a_histogram_has_a_bucket_a_power_of_two_of_microseconds),
        cmocka_unit_test(histograms_of_several_loops_are_one),
        cmocka_unit_test(labels_are_written_as_they_were_escaped),
        cmocka_unit_test(without_memory_the_text_says_that_it_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
