#include "observe/prometheus.h"

#include "base/assert.h"

#include <math.h>

/* Every fourth bound of our histograms: powers of two keep a scrape small. */
#define BUCKET_STEP 4u

static int compare_samples(const void *a, const void *b)
{
    const struct metric_sample *x = a;
    const struct metric_sample *y = b;
    int order = strcmp(x->family->name, y->family->name);
    return order ? order : strcmp(x->labels, y->labels);
}

static bool same_series(const struct metric_sample *a, const struct metric_sample *b)
{
    return compare_samples(a, b) == 0;
}

/* Adds up equal series; the set is sorted. */
static void merge_samples(struct metric_set *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct metric_sample *sample = &set->samples[i];
        struct metric_sample *into = kept > 0 ? &set->samples[kept - 1] : NULL;
        if (!into || !same_series(into, sample)) {
            struct metric_sample moved = set->samples[kept];
            set->samples[kept++] = *sample;
            *sample = moved;
            continue;
        }
        into->value += sample->value;
        if (into->histogram && sample->histogram)
            histogram_merge(into->histogram, sample->histogram);
        ASSERT(!into->histogram == !sample->histogram);
    }
    /* What was merged away stands behind `kept` and is freed with the set. */
    for (size_t i = kept; i < set->count; i++)
        set->samples[i].family = NULL;
}

static void add_value(struct buf *out, double value)
{
    if (value < 9e15 && value > -9e15 && fabs(value - trunc(value)) < 1e-9)
        buf_add_i64(out, (int64_t)value);
    else
        buf_add_format(out, "%.9g", value);
}

static void add_line(struct buf *out, const char *name, const char *suffix, const char *labels,
                     double value)
{
    buf_add_string(out, name);
    buf_add_string(out, suffix);
    if (labels[0])
        buf_add_format(out, "{%s}", labels);
    buf_add_byte(out, ' ');
    add_value(out, value);
    buf_add_byte(out, '\n');
}

static void add_histogram(struct buf *out, const struct metric_sample *sample)
{
    const struct histogram *h = sample->histogram;
    const char *separator = sample->labels[0] ? "," : "";
    uint64_t below = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += h->counts[i];
        if (i % BUCKET_STEP != BUCKET_STEP - 1)
            continue;
        buf_add_format(out, "%s_bucket{%s%sle=\"%.9g\"} %llu\n", sample->family->name,
                       sample->labels, separator, (double)histogram_bound_ns(i) / 1e9,
                       (unsigned long long)below);
    }
    buf_add_format(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", sample->family->name, sample->labels,
                   separator, (unsigned long long)h->count);
    add_line(out, sample->family->name, "_sum", sample->labels, (double)h->sum_ns / 1e9);
    add_line(out, sample->family->name, "_count", sample->labels, (double)h->count);
}

static void add_family(struct buf *out, const struct metric_family *family)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    ASSERT((size_t)family->type < sizeof types / sizeof types[0]);
    buf_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                   types[family->type]);
}

void observe_prometheus_render(struct metric_set *set, struct buf *out)
{
    if (set->count > 0)
        qsort(set->samples, set->count, sizeof *set->samples, compare_samples);
    merge_samples(set);
    const char *last = "";
    for (size_t i = 0; i < set->count && set->samples[i].family; i++) {
        const struct metric_sample *sample = &set->samples[i];
        if (strcmp(last, sample->family->name) != 0)
            add_family(out, sample->family);
        last = sample->family->name;
        if (sample->histogram)
            add_histogram(out, sample);
        else
            add_line(out, sample->family->name, "", sample->labels, sample->value);
    }
}
