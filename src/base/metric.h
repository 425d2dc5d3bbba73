#pragma once

/*
 * Metrics, as the parts of the program see them. A part describes its metrics in one constant
 * table, counts in plain fields of its own (no atomics: each is written by one thread), and
 * hands samples over when it is asked to, on its own thread. Rendering is observe's work.
 */

#include "base/buf.h"
#include "base/slice.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* One family, with Prometheus' naming rules: base units, _total for counters. */
struct metric_family {
    const char *name;
    const char *help;
    enum metric_type type;
};

/* Log-linear histogram of durations: 4 buckets a power of two from 1 microsecond to over an
 * hour, 25 % wide at the most. A duration over the last bound is in `count` and `sum_ns` but in no
 * bucket, as in Prometheus' le="+Inf". Zero-initialise. */
#define HISTOGRAM_BUCKETS 128

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum_ns;
};

void histogram_add(struct histogram *h, uint64_t duration_ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* Upper bound in nanoseconds, itself included, of bucket `index`. */
uint64_t histogram_bound_ns(uint32_t index);
/* The bound under which `quantile` (0 to 1) of the samples lie; 0 without samples, the last bound
 * where it is over that. */
uint64_t histogram_quantile_ns(const struct histogram *h, double quantile);

/* Samples on their way to the renderer; owns copies of everything put in. */
struct metric_sample {
    const struct metric_family *family;
    char *labels; /* `topic="a",status="200"` or "" */
    double value;
    struct histogram *histogram; /* for METRIC_HISTOGRAM, else NULL */
};

struct metric_set {
    struct metric_sample *samples;
    size_t count;
    size_t capacity;
    bool failed; /* no memory: latched */
};

void metric_set_init(struct metric_set *set);
void metric_set_done(struct metric_set *set);
/* Adds a counter's or gauge's value. `labels` is a printf format, "" for none; values in it must
 * have been escaped with metric_label where they come from outside. */
void metric_add(struct metric_set *set, const struct metric_family *family, double value,
                const char *labels, ...) __attribute__((format(printf, 4, 5)));
void metric_add_histogram(struct metric_set *set, const struct metric_family *family,
                          const struct histogram *h, const char *labels, ...)
    __attribute__((format(printf, 4, 5)));
/* Writes `value` as it stands between a label's quotes: backslash, quote and newline escaped, a
 * byte that is not UTF-8 as "?". Cut before the first character that has no room in `size` bytes,
 * of which the last is a zero. */
void metric_label(char *out, size_t size, struct slice value);
/* Moves all samples of `from` to `into`; `from` is empty afterwards. A failure of `from`, or in
 * making room, is latched in `into`. */
void metric_set_merge(struct metric_set *into, struct metric_set *from);
