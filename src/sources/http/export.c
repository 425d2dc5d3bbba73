/*
 * Counters are plain fields of each loop's server, so they are read on that loop: a visit goes
 * from door to door, adds up what it finds, and sends the sum home.
 */

#include "base/alloc.h"
#include "base/assert.h"
#include "sources/http/http_int.h"

enum family {
    REQUESTS,
    REFUSED,
    DURATION,
    ABORTED,
    TIMEOUTS,
    BYTES_IN,
    BYTES_OUT,
    CONNECTIONS,
    CONNECTIONS_TOTAL,
    CONNECTIONS_REFUSED,
    ACCEPT_FAILURES,
    MEMORY_USED,
    MEMORY_LIMIT,
    MEMORY_WAITS,
};

static const struct metric_family families[] = {
    [REQUESTS] = {"garner_requests_total", "Answers of the HTTP intake by status.", METRIC_COUNTER},
    [REFUSED] = {"garner_requests_refused_total",
                 "Requests refused before they were read whole, by status; their records are "
                 "not in the ledger.",
                 METRIC_COUNTER},
    [DURATION] = {"garner_request_duration_seconds",
                  "From a request's head to its answer, of requests read whole.", METRIC_HISTOGRAM},
    [ABORTED] = {"garner_requests_aborted_total",
                 "Requests whose peer went before their body was whole.", METRIC_COUNTER},
    [TIMEOUTS] = {"garner_request_timeouts_total",
                  "Connections ended because the peer was too slow within a message.",
                  METRIC_COUNTER},
    [BYTES_IN] = {"garner_received_bytes_total", "Bytes that the HTTP intake has read.",
                  METRIC_COUNTER},
    [BYTES_OUT] = {"garner_sent_bytes_total", "Bytes that the HTTP intake has answered with.",
                   METRIC_COUNTER},
    [CONNECTIONS] = {"garner_connections", "Open connections of the HTTP intake.", METRIC_GAUGE},
    [CONNECTIONS_TOTAL] = {"garner_connections_total", "Connections taken by the HTTP intake.",
                           METRIC_COUNTER},
    [CONNECTIONS_REFUSED] = {"garner_connections_refused_total",
                             "Connections over the limit of the HTTP intake.", METRIC_COUNTER},
    [ACCEPT_FAILURES] = {"garner_accept_failures_total",
                         "Times that a connection could not be accepted.", METRIC_COUNTER},
    [MEMORY_USED] = {"garner_intake_memory_used_bytes",
                     "Memory reserved for bodies that are read or not yet answered.", METRIC_GAUGE},
    [MEMORY_LIMIT] = {"garner_intake_memory_limit_bytes", "Memory that bodies may take.",
                      METRIC_GAUGE},
    [MEMORY_WAITS] = {"garner_intake_memory_waits_total", "Requests that stood in line for memory.",
                      METRIC_COUNTER},
};

/* Sums, since loops are not what an operator counts in; a label a loop would make each series one
 * for each core. */
struct visit {
    struct net_tour tour;
    struct flow_report *report;
    bool listening;
    uint64_t accept_failures;
    uint64_t memory_used;
    uint64_t memory_limit;
    uint64_t memory_waits;
    struct net_http_counters counters;
};

static void add_statuses(struct metric_set *set, const struct metric_family *family,
                         const uint64_t counts[static NET_HTTP_STATUS_COUNT])
{
    for (int i = 0; i < NET_HTTP_STATUS_COUNT; i++)
        /* Only what has been seen: 500 series of zero would be most of the page. */
        if (counts[i])
            metric_add(set, family, (double)counts[i], "status=\"%d\"", i + NET_HTTP_STATUS_MIN);
}

static void write_report(struct net_tour *tour)
{
    struct visit *visit = CONTAINER_OF(tour, struct visit, tour);
    struct flow_report *report = visit->report;
    struct metric_set *set = &report->metrics;
    const struct net_http_counters *counters = &visit->counters;
    const struct {
        enum family family;
        uint64_t value;
    } values[] = {
        {ABORTED, counters->aborted},
        {TIMEOUTS, counters->net.timeouts},
        {BYTES_IN, counters->net.bytes_in},
        {BYTES_OUT, counters->net.bytes_out},
        {CONNECTIONS, counters->net.connections_open},
        {CONNECTIONS_TOTAL, counters->net.connections_total},
        {CONNECTIONS_REFUSED, counters->net.connections_refused},
        {ACCEPT_FAILURES, visit->accept_failures},
        {MEMORY_USED, visit->memory_used},
        {MEMORY_LIMIT, visit->memory_limit},
        {MEMORY_WAITS, visit->memory_waits},
    };
    add_statuses(set, &families[REQUESTS], counters->responses);
    add_statuses(set, &families[REFUSED], counters->refused);
    metric_add_histogram(set, &families[DURATION], &counters->duration, "%s", "");
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        metric_add(set, &families[values[i].family], (double)values[i].value, "%s", "");
    /* Kubernetes and the like stop sending what would not be taken. */
    if (!visit->listening)
        snprintf(report->not_ready, sizeof(report->not_ready), "the HTTP intake does not listen");
    mem_free(visit);
    io_post(report->home, flow_report_filled(report));
}

static void visit_door(struct net_tour *tour, struct net_door *net)
{
    struct visit *visit = CONTAINER_OF(tour, struct visit, tour);
    const struct sources_http_door *door = CONTAINER_OF(net, struct sources_http_door, net);
    /* The listener lives on the first door's loop. */
    if (net == net->doors->first) {
        visit->listening = net->doors->listening;
        visit->accept_failures = net_doors_failures(net->doors);
    }
    net_http_counters_merge(&visit->counters, net_http_server_counters(door->server));
    visit->memory_used += door->credit->used_bytes;
    visit->memory_limit += door->credit->limit_bytes;
    visit->memory_waits += door->credit->waits_total;
}

void sources_http_collect(struct flow_exporter *exporter, struct flow_report *report)
{
    struct sources_http *http = CONTAINER_OF(exporter, struct sources_http, exporter);
    struct visit *visit = mem_zalloc(1, sizeof(*visit));
    /* Answered without a visit: the asker counts answers, and one that never came would keep it for
     * ever. */
    if (!visit) {
        report->metrics.failed = true;
        io_post(report->home, flow_report_filled(report));
        return;
    }
    *visit = (struct visit){.tour = {.visit = visit_door, .end = write_report}, .report = report};
    net_tour_start(&visit->tour, &http->net);
}
