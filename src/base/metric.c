#include "base/metric.h"

#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/utf8.h"

/*
 * Bucket 0 ends at 1 microsecond. Behind it each power of two, counted in quarters of a
 * microsecond, is cut in four: octave k has the bounds 5, 6, 7 and 8 quarters times 2^k. A bound
 * belongs to its bucket, as Prometheus' `le` has it.
 */
#define QUARTER_NS 250

/* The bucket of a duration, HISTOGRAM_BUCKETS when it is over the last bound. */
static uint32_t bucket_index(uint64_t duration_ns)
{
    if (duration_ns <= UINT64_C(4) * QUARTER_NS)
        return 0;
    uint64_t below = (duration_ns - 1) / QUARTER_NS;
    ASSERT(below >= 4);
    uint32_t octave = 61 - (uint32_t)__builtin_clzll(below);
    uint64_t index = 1 + octave * UINT64_C(4) + (below >> octave) - 4;
    if (index >= HISTOGRAM_BUCKETS)
        return HISTOGRAM_BUCKETS;
    ASSERT(duration_ns <= histogram_bound_ns((uint32_t)index));
    return (uint32_t)index;
}

uint64_t histogram_bound_ns(uint32_t index)
{
    ASSERT(index < HISTOGRAM_BUCKETS);
    if (index == 0)
        return UINT64_C(4) * QUARTER_NS;
    return (uint64_t)QUARTER_NS * (5 + (index - 1) % 4) << (index - 1) / 4;
}

void histogram_add(struct histogram *h, uint64_t duration_ns)
{
    ASSERT(h);
    uint32_t index = bucket_index(duration_ns);
    /* Over the last bound it is in the total alone, which is what Prometheus calls +Inf. */
    if (index < HISTOGRAM_BUCKETS)
        h->counts[index]++;
    h->count++;
    h->sum_ns += duration_ns;
}

/* Each loop counts into its own; whoever renders adds them up. Both have the same bounds. */
void histogram_merge(struct histogram *into, const struct histogram *from)
{
    ASSERT(into && from);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->count += from->count;
    into->sum_ns += from->sum_ns;
}

uint64_t histogram_quantile_ns(const struct histogram *h, double quantile)
{
    ASSERT(quantile >= 0 && quantile <= 1);
    if (h->count == 0)
        return 0;
    /* A bound and not a guess between two: an alert on it errs to the careful side. */
    double wanted = quantile * (double)h->count;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen && (double)seen >= wanted)
            return histogram_bound_ns(i);
    }
    return histogram_bound_ns(HISTOGRAM_BUCKETS - 1);
}

void metric_set_init(struct metric_set *set)
{
    ASSERT(set);
    *set = (struct metric_set){0};
}

static void sample_done(struct metric_sample *sample)
{
    mem_free(sample->labels);
    mem_free(sample->histogram);
}

void metric_set_done(struct metric_set *set)
{
    ASSERT(set);
    for (size_t i = 0; i < set->count; i++)
        sample_done(&set->samples[i]);
    mem_free(set->samples);
    metric_set_init(set);
}

/* Doubled as buffers are. Samples move by memcpy, what they point to stays. */
static bool make_room(struct metric_set *set, size_t count)
{
    ASSERT(set->count <= set->capacity);
    if (count <= set->capacity - set->count)
        return true;
    size_t capacity = set->capacity ? set->capacity * 2 : 16;
    if (capacity < set->count + count)
        capacity = set->count + count;
    struct metric_sample *samples = mem_realloc(set->samples, capacity, sizeof(*samples));
    if (!samples)
        return false;
    set->samples = samples;
    set->capacity = capacity;
    return true;
}

__attribute__((format(printf, 1, 0))) static char *format_labels(const char *format, va_list list)
{
    va_list again;
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    ASSERT(length >= 0);
    size_t size = (size_t)length + 1;
    /* Measured first, since a sample keeps its labels and should keep no more than them. */
    char *text = mem_alloc(size);
    if (text)
        (void)vsnprintf(text, size, format, list);
    return text;
}

/* Counting is on the hot path and renders nothing: all copies are made here, when somebody asks.
 * Takes what `sample` owns; after a failure, of which a missing part is one, it is freed. */
static void push(struct metric_set *set, struct metric_sample sample)
{
    ASSERT(sample.family);
    /* Callers pass on what they got: that something is missing is looked at once, here. */
    bool whole = sample.labels && (sample.histogram || sample.family->type != METRIC_HISTOGRAM);
    if (set->failed || !whole || !make_room(set, 1)) {
        set->failed = true;
        sample_done(&sample);
        return;
    }
    set->samples[set->count++] = sample;
}

void metric_add(struct metric_set *set, const struct metric_family *family, double value,
                const char *labels, ...)
{
    ASSERT(family->type != METRIC_HISTOGRAM);
    struct metric_sample sample = {.family = family, .value = value};
    va_list list;
    va_start(list, labels);
    sample.labels = format_labels(labels, list);
    va_end(list);
    push(set, sample);
}

void metric_add_histogram(struct metric_set *set, const struct metric_family *family,
                          const struct histogram *h, const char *labels, ...)
{
    ASSERT(family->type == METRIC_HISTOGRAM);
    struct metric_sample sample = {.family = family, .histogram = mem_alloc(sizeof(*h))};
    if (sample.histogram)
        *sample.histogram = *h;
    va_list list;
    va_start(list, labels);
    sample.labels = format_labels(labels, list);
    va_end(list);
    push(set, sample);
}

void metric_set_merge(struct metric_set *into, struct metric_set *from)
{
    ASSERT(into != from);
    /* A set that lost samples is not rendered at all, wherever it lost them: a metric that is
     * missing reads as one that does not move. */
    into->failed = into->failed || from->failed || !make_room(into, from->count);
    if (!into->failed && from->count) {
        memcpy(into->samples + into->count, from->samples, from->count * sizeof(*from->samples));
        into->count += from->count;
        from->count = 0;
    }
    /* Either it was moved, or it is freed here: nothing is counted in both. */
    metric_set_done(from);
}

/* How the character at the front of `rest`, which is not empty, is written. */
static struct slice escaped(struct slice rest, size_t *consumed)
{
    ASSERT(rest.size > 0);
    *consumed = 1;
    switch (rest.data[0]) {
    case '\\': return SLICE_LITERAL("\\\\");
    case '"': return SLICE_LITERAL("\\\"");
    case '\n': return SLICE_LITERAL("\\n");
    default: break;
    }
    /* A byte in a foreign encoding must not cost the whole scrape, which has to be UTF-8. */
    uint8_t lead = rest.data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    struct slice character = slice_sub(rest, 0, size);
    if (!utf8_valid(character))
        return SLICE_LITERAL("?");
    *consumed = size;
    return character;
}

void metric_label(char *out, size_t size, struct slice value)
{
    ASSERT(size > 0);
    size_t at = 0;
    while (value.size) {
        size_t consumed = 0;
        struct slice text = escaped(value, &consumed);
        /* Cut between two escapes: half of one would break the line it stands in. */
        if (text.size >= size - at)
            break;
        ASSERT(text.size > 0 && consumed > 0);
        memcpy(out + at, text.data, text.size);
        at += text.size;
        value = slice_sub(value, consumed, value.size);
    }
    out[at] = '\0';
}
