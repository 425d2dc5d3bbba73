/*
 * Counters are read on the loop that changes them: a visit goes from door to door, adds up what it
 * finds, and sends the sum home.
 */

#include "base/alloc.h"
#include "base/assert.h"
#include "serve/kafka/coordinator.h"

enum family {
    REQUESTS,
    BATCHES_REFUSED,
    CONNECTIONS,
    CONNECTIONS_TOTAL,
    CONNECTIONS_REFUSED,
    PROTOCOL_ERRORS,
    TIMEOUTS,
    BYTES_IN,
    BYTES_OUT,
    UNSENT,
    WAITING,
    CALL_BYTES,
    FETCH_BYTES,
    SESSIONS,
    SESSION_BYTES,
    SESSIONS_EVICTED,
    AUTHENTICATIONS,
    TLS_HANDSHAKES,
    TLS_FAILURES,
};

static const struct metric_family families[] = {
    [REQUESTS] = {"garner_kafka_requests_total", "Requests of the Kafka door by API.",
                  METRIC_COUNTER},
    [BATCHES_REFUSED] =
        {"garner_kafka_batches_refused_total",
         "Batches of producers that were not taken, by the number of Kafka's error. "
         "Those that a contract refuses (87) are in the ledger, too.",
         METRIC_COUNTER},
    [CONNECTIONS] = {"garner_kafka_connections", "Open connections of the Kafka door.",
                     METRIC_GAUGE},
    [CONNECTIONS_TOTAL] = {"garner_kafka_connections_total", "Connections taken by the Kafka door.",
                           METRIC_COUNTER},
    [CONNECTIONS_REFUSED] = {"garner_kafka_connections_refused_total",
                             "Connections over the limit of the Kafka door.", METRIC_COUNTER},
    [PROTOCOL_ERRORS] = {"garner_kafka_protocol_errors_total",
                         "Connections ended because what came was not the protocol.",
                         METRIC_COUNTER},
    [TIMEOUTS] = {"garner_kafka_timeouts_total",
                  "Connections ended because the peer was idle, or too slow within a request.",
                  METRIC_COUNTER},
    [BYTES_IN] = {"garner_kafka_received_bytes_total", "Bytes that the Kafka door has read.",
                  METRIC_COUNTER},
    [BYTES_OUT] = {"garner_kafka_sent_bytes_total", "Bytes that the Kafka door has answered with.",
                   METRIC_COUNTER},
    [UNSENT] = {"garner_kafka_unsent_bytes", "Answers that clients have not taken yet.",
                METRIC_GAUGE},
    [WAITING] = {"garner_kafka_waiting_fetches", "Fetches that wait for records.", METRIC_GAUGE},
    [CALL_BYTES] = {"garner_kafka_call_bytes",
                    "Memory of requests that wait, or whose messages or answers are large.",
                    METRIC_GAUGE},
    [FETCH_BYTES] = {"garner_kafka_fetch_bytes",
                     "Batches in answers that are being made, or read ahead of fetches.",
                     METRIC_GAUGE},
    [SESSIONS] = {"garner_kafka_fetch_sessions", "Fetch sessions of clients.", METRIC_GAUGE},
    [SESSION_BYTES] = {"garner_kafka_fetch_session_bytes", "Memory of fetch sessions.",
                       METRIC_GAUGE},
    [SESSIONS_EVICTED] = {"garner_kafka_fetch_sessions_evicted_total",
                          "Fetch sessions that were not used and made room for others.",
                          METRIC_COUNTER},
    [AUTHENTICATIONS] = {"garner_kafka_authentications_total",
                         "Connections that said who they are, by what became of it.",
                         METRIC_COUNTER},
    [TLS_HANDSHAKES] = {"garner_kafka_tls_handshakes_total",
                        "TLS handshakes of the Kafka door that were done.", METRIC_COUNTER},
    [TLS_FAILURES] = {"garner_kafka_tls_failures_total",
                      "TLS handshakes that were not, by reason: no TLS at all (`plain`), silence "
                      "(`timeout`), or what came (`refused`).",
                      METRIC_COUNTER},
};

struct visit {
    struct net_tour tour;
    struct flow_report *report;
    bool listening;
    uint64_t waiting;
    uint64_t call_bytes;
    uint64_t fetch_bytes;
    uint64_t sessions;
    uint64_t session_bytes;
    uint64_t sessions_evicted;
    uint64_t requests[PROTO_KAFKA_APIS];
    uint64_t batches_refused[SERVE_KAFKA_ERRORS + 1];
    struct net_kafka_counters counters;
    bool sasl;
    uint64_t authenticated;
    uint64_t refused;
    bool tls;
    struct net_tls_counters tls_counters;
};

static void add_tls(struct metric_set *set, const struct net_tls_counters *counters)
{
    uint64_t refused = counters->failures - counters->plain - counters->timeouts;
    metric_add(set, &families[TLS_HANDSHAKES], (double)counters->handshakes, "%s", "");
    metric_add(set, &families[TLS_FAILURES], (double)counters->plain, "reason=\"plain\"");
    metric_add(set, &families[TLS_FAILURES], (double)counters->timeouts, "reason=\"timeout\"");
    metric_add(set, &families[TLS_FAILURES], (double)refused, "reason=\"refused\"");
}

static void write_report(struct net_tour *tour)
{
    struct visit *visit = CONTAINER_OF(tour, struct visit, tour);
    struct flow_report *report = visit->report;
    struct metric_set *set = &report->metrics;
    const struct net_kafka_counters *counters = &visit->counters;
    const struct {
        enum family family;
        uint64_t value;
    } values[] = {
        {CONNECTIONS, counters->net.connections_open},
        {CONNECTIONS_TOTAL, counters->net.connections_total},
        {CONNECTIONS_REFUSED, counters->net.connections_refused},
        {PROTOCOL_ERRORS, counters->refused},
        {TIMEOUTS, counters->net.timeouts},
        {BYTES_IN, counters->net.bytes_in},
        {BYTES_OUT, counters->net.bytes_out},
        {UNSENT, counters->bytes_unsent},
        {WAITING, visit->waiting},
        {CALL_BYTES, visit->call_bytes},
        {FETCH_BYTES, visit->fetch_bytes},
        {SESSIONS, visit->sessions},
        {SESSION_BYTES, visit->session_bytes},
        {SESSIONS_EVICTED, visit->sessions_evicted},
    };
    for (size_t i = 0; i < PROTO_KAFKA_APIS; i++)
        if (visit->requests[i])
            metric_add(set, &families[REQUESTS], (double)visit->requests[i], "api=\"%s\"",
                       proto_kafka_apis[i].name);
    for (int i = 0; i <= SERVE_KAFKA_ERRORS; i++)
        if (visit->batches_refused[i])
            metric_add(set, &families[BATCHES_REFUSED], (double)visit->batches_refused[i],
                       "code=\"%d\"", i - 1);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        metric_add(set, &families[values[i].family], (double)values[i].value, "%s", "");
    if (visit->sasl) {
        metric_add(set, &families[AUTHENTICATIONS], (double)visit->authenticated,
                   "outcome=\"done\"");
        metric_add(set, &families[AUTHENTICATIONS], (double)visit->refused, "outcome=\"refused\"");
    }
    if (visit->tls)
        add_tls(set, &visit->tls_counters);
    if (!visit->listening)
        snprintf(report->not_ready, sizeof(report->not_ready), "the Kafka door does not listen");
    mem_free(visit);
    io_post(report->home, flow_report_filled(report));
}

static void visit_door(struct net_tour *tour, struct net_door *net)
{
    struct visit *visit = CONTAINER_OF(tour, struct visit, tour);
    const struct serve_kafka_door *door = CONTAINER_OF(net, struct serve_kafka_door, net);
    /* The listener and the coordinator live on the first door's loop. */
    if (net == net->doors->first) {
        visit->listening = net->doors->listening;
        serve_kafka_coordinator_report(door->kafka->coordinator, &visit->report->metrics);
    }
    net_kafka_counters_merge(&visit->counters, net_kafka_server_counters(door->server));
    visit->sasl = door->users;
    visit->authenticated += door->authenticated;
    visit->refused += door->refused;
    if (door->tls) {
        visit->tls = true;
        net_tls_counters_merge(&visit->tls_counters, net_tls_loop_counters(door->tls));
    }
    LIST_EACH (link, &door->polls)
        visit->waiting++;
    visit->call_bytes += door->call_bytes;
    visit->fetch_bytes += door->fetch_bytes;
    LIST_EACH (link, &door->fetch_sessions)
        visit->sessions++;
    visit->session_bytes += door->fetch_session_bytes;
    visit->sessions_evicted += door->fetch_sessions_evicted;
    for (size_t i = 0; i < PROTO_KAFKA_APIS; i++)
        visit->requests[i] += door->requests[i];
    for (size_t i = 0; i <= SERVE_KAFKA_ERRORS; i++)
        visit->batches_refused[i] += door->batches_refused[i];
}

void serve_kafka_collect(struct flow_exporter *exporter, struct flow_report *report)
{
    struct serve_kafka *kafka = CONTAINER_OF(exporter, struct serve_kafka, exporter);
    struct visit *visit = mem_zalloc(1, sizeof(*visit));
    /* Answered without a visit: the asker counts answers. */
    if (!visit) {
        report->metrics.failed = true;
        io_post(report->home, flow_report_filled(report));
        return;
    }
    *visit = (struct visit){.tour = {.visit = visit_door, .end = write_report}, .report = report};
    net_tour_start(&visit->tour, &kafka->net);
}
