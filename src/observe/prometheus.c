#include "observe/prometheus.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The text format of Prometheus (exposition format 0.0.4). Each loop and each part adds its own
 * samples to the set, without a lock and without knowing of the others; here they are sorted, equal
 * series are added up, and each family is written with its HELP and TYPE once, in front of all its
 * series, as the format asks.
 *
 * Failure: memory that runs out is latched in `out`, and its owner answers with an error; a
 * half-rendered page is never sent as a whole one.
 */

/* Every fourth bound of our histograms, from the first: powers of two keep a scrape small. */
#define BUCKET_STEP 4u
/* Decimal digits that every whole number up to 2^53 and every duration in nanoseconds fits in. */
#define VALUE_FORMAT "%.16g"

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
            set->samples[kept++] = *sample;
            continue;
        }
        /* The type is the family's, and equal series are of one family. */
        ASSERT(!into->histogram == !sample->histogram);
        into->value += sample->value;
        if (into->histogram)
            histogram_merge(into->histogram, sample->histogram);
        mem_free(sample->labels);
        mem_free(sample->histogram);
    }
    set->count = kept;
}

static void add_line(struct buf *out, const char *name, const char *suffix, const char *labels,
                     double value)
{
    buf_add_string(out, name);
    buf_add_string(out, suffix);
    if (labels[0])
        buf_add_format(out, "{%s}", labels);
    buf_add_format(out, " " VALUE_FORMAT "\n", value);
}

static void add_histogram(struct buf *out, const struct metric_sample *sample)
{
    const struct histogram *h = sample->histogram;
    /* Labels come ready to print, escaped by who made the sample. */
    const char *separator = sample->labels[0] ? "," : "";
    uint64_t below = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        /* Prometheus's buckets are cumulative, also over those that are left out. */
        below += h->counts[i];
        if (i % BUCKET_STEP != 0)
            continue;
        buf_add_format(out, "%s_bucket{%s%sle=\"" VALUE_FORMAT "\"} %llu\n", sample->family->name,
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
    for (size_t i = 0; i < set->count; i++) {
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
