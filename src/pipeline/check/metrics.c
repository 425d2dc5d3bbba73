#include "pipeline/check/check_int.h"

#include "base/alloc.h"

/*
 * A collection visits the checks one after the other, each on its loop, adds their counters up in
 * a struct of its own, and brings the sums home in the report.
 *
 * Failure modes: without memory the report comes home at once, and says that it is not whole.
 */

struct exporter {
    struct flow_exporter flow;
    size_t check_count;
    struct pipeline_check *checks[];
};

struct topic_sum {
    struct pipeline_check_tally tally;
    bool dlq_full; /* as any of the loops knows */
};

struct collection {
    struct task task;
    struct exporter *exporter;
    struct flow_report *report;
    size_t next;          /* of the checks, to be visited */
    uint32_t topic_count; /* that all checks visited so far have */
    struct histogram commit_duration;
    uint64_t commits_failed;
    uint64_t size_under_way;
    uint64_t memory_bytes;
    struct topic_sum *topics;
};

static const char *const outcome_names[PIPELINE_CHECK_OUTCOMES] = {
    [PIPELINE_CHECK_ACCEPTED] = "accepted",
    [PIPELINE_CHECK_DEAD_LETTERED] = "dead_lettered",
    [PIPELINE_CHECK_REFUSED] = "refused",
    [PIPELINE_CHECK_DUPLICATE] = "duplicate",
};

static const struct metric_family records_family = {
    "garner_records_total", "Records that came in, by what became of them.", METRIC_COUNTER};
static const struct metric_family bytes_family = {
    "garner_record_bytes_total", "Bytes of records that came in, by what became of them.",
    METRIC_COUNTER};
static const struct metric_family letters_family = {
    "garner_dead_letters_total", "Records that became dead letters at the intake, by the reason.",
    METRIC_COUNTER};
static const struct metric_family refusals_family = {
    "garner_refusals_total", "Records that were refused and kept nowhere, by the reason.",
    METRIC_COUNTER};
static const struct metric_family full_family = {
    "garner_dlq_full",
    "1 while a topic's dead-letter queue is full, so that broken records are refused.",
    METRIC_GAUGE};
static const struct metric_family duration_family = {
    "garner_commit_duration_seconds", "Time from handing a commit to the log to its answer.",
    METRIC_HISTOGRAM};
static const struct metric_family failed_family = {
    "garner_commits_failed_total", "Commits that the log answered with an error.", METRIC_COUNTER};
static const struct metric_family size_family = {
    "garner_commit_bytes", "Bytes of batches in commits that the log has not answered.",
    METRIC_GAUGE};
static const struct metric_family limit_family = {
    "garner_commit_limit_bytes", "Bytes of batches without an answer at which intake is refused.",
    METRIC_GAUGE};

void pipeline_check_tally_add(struct pipeline_check_tally *into,
                              const struct pipeline_check_tally *from)
{
    ASSERT(into != from);
    for (int i = 0; i < PIPELINE_CHECK_OUTCOMES; i++) {
        into->records[i] += from->records[i];
        into->bytes[i] += from->bytes[i];
    }
    for (int i = 0; i < FORMAT_JSONSCHEMA_REASONS; i++)
        into->dead_letters[i] += from->dead_letters[i];
    for (int i = 0; i < PIPELINE_CHECK_REASONS; i++)
        into->refusals[i] += from->refusals[i];
}

/* All reasons, also those that were not met yet: a rate needs the zero that it rises from. */
static void write_reasons(struct metric_set *set, const struct flow_inlet_topic *topic,
                          const struct pipeline_check_tally *tally)
{
    for (int i = 0; i < PIPELINE_CHECK_REASONS; i++) {
        bool full = i == PIPELINE_CHECK_DLQ_FULL;
        const char *reason =
            full ? "dlq_full" : format_jsonschema_reason_name((enum format_jsonschema_reason)i);
        /* A dead letter that the queue had no room for is a refusal. */
        if (!full)
            metric_add(set, &letters_family, (double)tally->dead_letters[i],
                       "topic=\"%s\",reason=\"%s\"", topic->name, reason);
        metric_add(set, &refusals_family, (double)tally->refusals[i], "topic=\"%s\",reason=\"%s\"",
                   topic->name, reason);
    }
}

static void write_topic(struct metric_set *set, const struct flow_inlet_topic *topic,
                        const struct topic_sum *sum)
{
    const struct pipeline_check_tally *tally = &sum->tally;
    /* Names have no character that a label would have to escape. */
    for (int i = 0; i < PIPELINE_CHECK_OUTCOMES; i++) {
        metric_add(set, &records_family, (double)tally->records[i], "topic=\"%s\",outcome=\"%s\"",
                   topic->name, outcome_names[i]);
        metric_add(set, &bytes_family, (double)tally->bytes[i], "topic=\"%s\",outcome=\"%s\"",
                   topic->name, outcome_names[i]);
    }
    write_reasons(set, topic, tally);
    if (topic->on_invalid == PIPELINE_CHECK_DEAD_LETTER && topic->dlq_size_max)
        metric_add(set, &full_family, sum->dlq_full, "topic=\"%s\"", topic->name);
}

static void write_report(const struct collection *c)
{
    struct metric_set *set = &c->report->metrics;
    /* The last one visited, on whose loop this is: the order is the same in all of them. */
    const struct pipeline_check *last = c->exporter->checks[c->exporter->check_count - 1];
    for (uint32_t i = 0; i < c->topic_count; i++)
        if (!last->topics[i]->gone)
            write_topic(set, last->topics[i], &c->topics[i]);
    metric_add_histogram(set, &duration_family, &c->commit_duration, "%s", "");
    metric_add(set, &failed_family, (double)c->commits_failed, "%s", "");
    metric_add(set, &size_family, (double)c->size_under_way, "%s", "");
    metric_add(set, &limit_family, (double)c->memory_bytes, "%s", "");
}

/* Runs on the asker's loop. */
static void go_home(struct task *task)
{
    struct flow_report *report = CONTAINER_OF(task, struct flow_report, task);
    ASSERT(report->done);
    report->done(report);
}

static void send_home(struct flow_report *report)
{
    ASSERT(report->home);
    report->task.run = go_home;
    io_post(report->home, &report->task);
}

/* False without memory, and then it has ended. */
static bool begin_sums(struct collection *c, uint32_t topic_count)
{
    ASSERT(!c->topics);
    c->topic_count = topic_count;
    c->topics = mem_zalloc(topic_count + 1, sizeof(struct topic_sum));
    if (c->topics)
        return true;
    c->report->metrics.failed = true;
    send_home(c->report);
    mem_free(c);
    return false;
}

/* Runs on each check's loop in turn, the only place where its counters may be read. */
static void visit(struct task *task)
{
    struct collection *c = CONTAINER_OF(task, struct collection, task);
    ASSERT(c->next < c->exporter->check_count);
    const struct pipeline_check *check = c->exporter->checks[c->next++];
    if (c->next == 1 && !begin_sums(c, check->topic_count))
        return;
    /* While topics are being added, some checks have them and others do not yet: those wait for
     * the next collection. */
    c->topic_count = check->topic_count < c->topic_count ? check->topic_count : c->topic_count;
    for (uint32_t i = 0; i < c->topic_count; i++) {
        pipeline_check_tally_add(&c->topics[i].tally, &check->topics[i]->total);
        c->topics[i].dlq_full = c->topics[i].dlq_full || check->topics[i]->dlq_full;
    }
    histogram_merge(&c->commit_duration, &check->commit_duration);
    c->commits_failed += check->commits_failed;
    c->size_under_way += check->size_under_way;
    c->memory_bytes += check->memory_bytes;
    if (c->next < c->exporter->check_count) {
        io_post(c->exporter->checks[c->next]->loop, &c->task);
        return;
    }
    write_report(c);
    send_home(c->report);
    mem_free(c->topics);
    mem_free(c);
}

static void collect(struct flow_exporter *flow, struct flow_report *report)
{
    struct exporter *exporter = CONTAINER_OF(flow, struct exporter, flow);
    /* Summed up here and not in the report, since a sample there is a line of output already. */
    struct collection *c = mem_zalloc(1, sizeof(*c));
    if (!c) {
        report->metrics.failed = true;
        send_home(report);
        return;
    }
    c->task.run = visit;
    c->exporter = exporter;
    c->report = report;
    io_post(exporter->checks[0]->loop, &c->task);
}

err_t pipeline_check_exporter_new(struct pipeline_check *const *checks, size_t count,
                                  struct flow_exporter **out)
{
    ASSERT(count > 0);
    struct exporter *exporter = mem_alloc(sizeof(*exporter) + count * sizeof(void *));
    if (!exporter)
        return err_make(ERR_MEMORY);
    exporter->flow = (struct flow_exporter){.name = "pipeline", .collect = collect};
    exporter->check_count = count;
    for (size_t i = 0; i < count; i++) {
        ASSERT(checks[i]->topic_count == checks[0]->topic_count);
        exporter->checks[i] = checks[i];
    }
    *out = &exporter->flow;
    return err_ok();
}

void pipeline_check_exporter_free(struct flow_exporter **exporter)
{
    ASSERT(exporter);
    if (*exporter)
        mem_free(CONTAINER_OF(*exporter, struct exporter, flow));
    *exporter = NULL;
}
