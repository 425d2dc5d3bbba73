#pragma once

/* Who asks an exporter for its report, on a fake loop of its own. */

#include "flow/status.h"
#include "lib/unit.h"
#include "unit/net/fake_tcp.h"

struct asker {
    struct flow_report report;
    struct fake_loop *home;
    unsigned done;
};

static inline void asker_report(struct flow_report *report)
{
    CONTAINER_OF(report, struct asker, report)->done++;
}

static inline void asker_ask(struct asker *asker, struct flow_exporter *exporter, const char *name)
{
    *asker = (struct asker){.home = fake_loop_new()};
    asker->report.home = &asker->home->loop;
    asker->report.done = asker_report;
    metric_set_init(&asker->report.metrics);
    assert_string_equal(exporter->name, name);
    exporter->collect(exporter, &asker->report);
    assert_int_equal(asker->done, 0);
}

/* The report has been posted. */
static inline void asker_home(struct asker *asker)
{
    assert_int_equal(asker->done, 0);
    fake_run(asker->home);
    assert_int_equal(asker->done, 1);
}

static inline void asker_done(struct asker *asker)
{
    metric_set_done(&asker->report.metrics);
    fake_loop_free(asker->home);
}

/* The value of a sample, of a histogram its count; -1 when there is none. */
static inline int64_t asker_value(const struct asker *asker, const char *name, const char *labels)
{
    const struct metric_set *set = &asker->report.metrics;
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->samples[i].family->name, name) == 0 &&
            strcmp(set->samples[i].labels, labels) == 0)
            return set->samples[i].histogram ? (int64_t)set->samples[i].histogram->count
                                             : (int64_t)set->samples[i].value;
    return -1;
}
