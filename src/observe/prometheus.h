#pragma once

/*
 * Metrics as text for Prometheus (exposition format 0.0.4). Pure; any thread.
 */

#include "base/buf.h"
#include "base/metric.h"

#define OBSERVE_PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends all samples of `set`, family by family in the order of their names. Samples of one
 * family with equal labels, as several loops hand over, are added up. Sorts and
 * merges `set` in place. Histograms are in seconds, with one bucket a power of two of
 * microseconds. A failure of memory is latched in `out`. */
void observe_prometheus_render(struct metric_set *set, struct buf *out);
