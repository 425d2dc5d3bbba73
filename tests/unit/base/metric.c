#include "base/metric.h"

#include "base/alloc.h"
#include "lib/unit.h"

static const struct metric_family requests = {"garner_requests_total", "Requests.", METRIC_COUNTER};
static const struct metric_family latency = {"garner_latency_seconds", "Time.", METRIC_HISTOGRAM};

static void bounds_grow_by_a_quarter_at_the_most(void **state)
{
    (void)state;
    assert_int_equal(histogram_bound_ns(0), 1000);
    assert_int_equal(histogram_bound_ns(1), 1250);
    assert_int_equal(histogram_bound_ns(4), 2000);
    assert_int_equal(histogram_bound_ns(5), 2500);
    for (uint32_t i = 1; i < HISTOGRAM_BUCKETS; i++) {
        assert_true(histogram_bound_ns(i) > histogram_bound_ns(i - 1));
        assert_true(histogram_bound_ns(i) * 4 <= histogram_bound_ns(i - 1) * 5);
    }
    assert_true(histogram_bound_ns(HISTOGRAM_BUCKETS - 1) > UINT64_C(3600000000000));
}

/* The bucket that a single sample falls into, HISTOGRAM_BUCKETS for none. */
static uint32_t bucket_of(uint64_t duration_ns)
{
    struct histogram h = {0};
    histogram_add(&h, duration_ns);
    assert_int_equal(h.count, 1);
    assert_true(h.sum_ns == duration_ns);
    uint32_t index = 0;
    while (index < HISTOGRAM_BUCKETS && h.counts[index] == 0)
        index++;
    return index;
}

static void a_bound_belongs_to_its_bucket_and_what_follows_to_the_next(void **state)
{
    (void)state;
    assert_int_equal(bucket_of(0), 0);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(bucket_of(histogram_bound_ns(i)), i);
        assert_int_equal(bucket_of(histogram_bound_ns(i) + 1), i + 1);
        assert_int_equal(bucket_of(histogram_bound_ns(i) - 1), i);
    }
}

static void what_is_over_the_last_bound_is_counted_in_no_bucket(void **state)
{
    (void)state;
    assert_int_equal(bucket_of(UINT64_MAX), HISTOGRAM_BUCKETS);
    assert_int_equal(bucket_of(UINT64_C(1) << 63), HISTOGRAM_BUCKETS);
    struct histogram h = {0};
    histogram_add(&h, UINT64_C(1) << 62);
    uint64_t last = histogram_bound_ns(HISTOGRAM_BUCKETS - 1);
    assert_true(histogram_quantile_ns(&h, 0.5) == last);
}

static void random_durations_lie_between_the_bounds_of_their_bucket(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    uint64_t last = histogram_bound_ns(HISTOGRAM_BUCKETS - 1);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t duration = unit_random(&random) >> unit_random(&random) % 64;
        uint32_t index = bucket_of(duration);
        if (duration > last) {
            assert_int_equal(index, HISTOGRAM_BUCKETS);
            continue;
        }
        assert_true(duration <= histogram_bound_ns(index));
        assert_true(index == 0 || duration > histogram_bound_ns(index - 1));
    }
}

static void quantiles_are_bounds_of_the_bucket_that_holds_them(void **state)
{
    (void)state;
    struct histogram h = {0};
    assert_int_equal(histogram_quantile_ns(&h, 0.5), 0);
    for (uint32_t i = 0; i < 90; i++)
        histogram_add(&h, 900);
    for (uint32_t i = 0; i < 9; i++)
        histogram_add(&h, 1000000);
    histogram_add(&h, 1000000000);
    assert_int_equal(histogram_quantile_ns(&h, 0), 1000);
    assert_int_equal(histogram_quantile_ns(&h, 0.5), 1000);
    assert_int_equal(histogram_quantile_ns(&h, 0.9), 1000);
    assert_in_range(histogram_quantile_ns(&h, 0.95), 1000000, 1250000);
    assert_in_range(histogram_quantile_ns(&h, 0.99), 1000000, 1250000);
    assert_in_range(histogram_quantile_ns(&h, 1), 1000000000, 1250000000);
}

static void merging_adds_everything(void **state)
{
    (void)state;
    struct histogram a = {0};
    struct histogram b = {0};
    struct histogram both = {0};
    for (uint64_t i = 1; i < 1000; i++) {
        histogram_add(i % 3 ? &a : &b, i * 777);
        histogram_add(&both, i * 777);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof(a));
}

static void samples_are_copies_of_what_was_added(void **state)
{
    (void)state;
    struct metric_set set;
    metric_set_init(&set);
    struct histogram h = {0};
    histogram_add(&h, 5000);
    metric_add(&set, &requests, 3, "status=\"%d\"", 200);
    metric_add(&set, &requests, 4, "%s", "");
    metric_add_histogram(&set, &latency, &h, "topic=\"%s\"", "flights");
    histogram_add(&h, 5000);
    assert_false(set.failed);
    assert_int_equal(set.count, 3);
    assert_ptr_equal(set.samples[0].family, &requests);
    assert_string_equal(set.samples[0].labels, "status=\"200\"");
    assert_true(set.samples[0].value > 2.9 && set.samples[0].value < 3.1);
    assert_null(set.samples[0].histogram);
    assert_string_equal(set.samples[1].labels, "");
    assert_string_equal(set.samples[2].labels, "topic=\"flights\"");
    assert_int_equal(set.samples[2].histogram->count, 1);
    metric_set_done(&set);
    assert_int_equal(set.count, 0);
}

static void many_samples_and_long_labels_are_kept(void **state)
{
    (void)state;
    struct metric_set set;
    metric_set_init(&set);
    for (int i = 0; i < 1000; i++)
        metric_add(&set, &requests, i, "%*d", i, i);
    assert_int_equal(set.count, 1000);
    for (int i = 4; i < 1000; i++) {
        assert_int_equal(strlen(set.samples[i].labels), i);
        assert_int_equal(strtol(set.samples[i].labels, NULL, 10), i);
    }
    metric_set_done(&set);
}

static void merging_moves_all_samples(void **state)
{
    (void)state;
    struct metric_set into;
    struct metric_set from;
    metric_set_init(&into);
    metric_set_init(&from);
    metric_set_merge(&into, &from);
    assert_int_equal(into.count, 0);
    metric_add(&into, &requests, 1, "%s", "a");
    for (int i = 0; i < 100; i++)
        metric_add(&from, &requests, i, "%s", "b");
    metric_set_merge(&into, &from);
    assert_int_equal(into.count, 101);
    assert_int_equal(from.count, 0);
    assert_null(from.samples);
    assert_string_equal(into.samples[0].labels, "a");
    assert_string_equal(into.samples[100].labels, "b");
    metric_add(&from, &requests, 1, "%s", "again");
    metric_set_merge(&into, &from);
    assert_int_equal(into.count, 102);
    metric_set_done(&into);
}

static void fill_and_merge(struct metric_set *into)
{
    struct metric_set from;
    struct histogram h = {0};
    metric_set_init(&from);
    for (int i = 0; i < 17; i++)
        metric_add(&from, &requests, i, "n=\"%d\"", i);
    metric_add_histogram(&from, &latency, &h, "%s", "");
    metric_add(into, &requests, 1, "%s", "");
    metric_set_merge(into, &from);
    assert_int_equal(from.count, 0);
    assert_null(from.samples);
}

static void every_failed_allocation_is_latched_and_leaks_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct metric_set set;
        metric_set_init(&set);
        mem_fail_after(n);
        fill_and_merge(&set);
        bool all = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_int_equal(set.failed, !all);
        if (all)
            assert_int_equal(set.count, 19);
        metric_set_done(&set);
        if (all)
            break;
    }
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *label;
    } pairs[] = {
        {"", ""},
        {"flights", "flights"},
        {"a\"b", "a\\\"b"},
        {"a\\b", "a\\\\b"},
        {"a\nb", "a\\nb"},
        {"Gr\xc3\xbcn \xe4\xb8\x96 \xf0\x9f\x9a\x80", "Gr\xc3\xbcn \xe4\xb8\x96 \xf0\x9f\x9a\x80"},
        {"a\xffz", "a?z"},
        {"\xc3(", "?("},
        {"cut \xf0\x9f", "cut ??"},
        {"\x80", "?"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char out[64];
        metric_label(out, sizeof(out), slice_string(pairs[i].value));
        assert_string_equal(out, pairs[i].label);
    }
}

static void a_label_is_cut_between_characters(void **state)
{
    (void)state;
    static const char *const cut[] = {
        "", "a", "a", "a\\\"", "a\\\"", "a\\\"", "a\\\"\xe4\xb8\x96", "a\\\"\xe4\xb8\x96z"};
    for (size_t size = 1; size <= 8; size++) {
        char out[8];
        memset(out, 'x', sizeof(out));
        metric_label(out, size, SLICE_LITERAL("a\"\xe4\xb8\x96z"));
        assert_string_equal(out, cut[size - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_grow_by_a_quarter_at_the_most),
        cmocka_unit_test(a_bound_belongs_to_its_bucket_and_what_follows_to_the_next),
        cmocka_unit_test(what_is_over_the_last_bound_is_counted_in_no_bucket),
        cmocka_unit_test(random_durations_lie_between_the_bounds_of_their_bucket),
        cmocka_unit_test(quantiles_are_bounds_of_the_bucket_that_holds_them),
        cmocka_unit_test(merging_adds_everything),
        cmocka_unit_test(samples_are_copies_of_what_was_added),
        cmocka_unit_test(many_samples_and_long_labels_are_kept),
        cmocka_unit_test(merging_moves_all_samples),
        cmocka_unit_test(every_failed_allocation_is_latched_and_leaks_nothing),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(a_label_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
