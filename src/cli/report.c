/*
 * Text is for people: what did not happen has no line, so that a good run is five lines and a bad
 * one shows at a glance where it went wrong. JSON is for scripts: every count is there, zero or
 * not, and only parts that do not apply (kills, comparison, failure) are left out.
 *
 * Both say the same verdict, and the exit code follows from the same function. Lost answers,
 * retries and repeats that they explain are what torture is about and no fault.
 */

#include "cli/report.h"

#include "base/assert.h"

/* 1234567 as "1,234,567". */
static void add_count(struct buf *out, uint64_t value)
{
    char digits[24];
    int size = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            buf_add_byte(out, ',');
        buf_add_byte(out, (uint8_t)digits[i]);
    }
}

static void add_duration(struct buf *out, uint64_t ns)
{
    /* In the unit, and with the digits, that a person would choose. */
    if (ns < 10000000)
        buf_add_format(out, "%.2f ms", (double)ns / 1e6);
    else if (ns < 1000000000)
        buf_add_format(out, "%.0f ms", (double)ns / 1e6);
    else
        buf_add_format(out, "%.2f s", (double)ns / 1e9);
}

/* 0 for a run that had no answer, and so took no time. */
static double per_second(uint64_t value, uint64_t elapsed_ns)
{
    return elapsed_ns > 0 ? (double)value * 1e9 / (double)elapsed_ns : 0.0;
}

/* Records whose fate a server has told, whatever it was. */
static uint64_t answered(const struct cli_load_stats *stats)
{
    return stats->accepted + stats->duplicates + stats->dead_lettered + stats->refused;
}

bool cli_report_good(const struct cli_report *report)
{
    return !report->failure && report->stats->wrong == 0 && report->foreign == 0 &&
           report->verified.missing == 0 && report->verified.unexplained == 0;
}

/* The bound of a bucket may be over the largest sample. */
static uint64_t quantile(const struct cli_load_stats *stats, double share)
{
    uint64_t bound = histogram_quantile_ns(&stats->latency, share);
    return bound < stats->latency_max_ns ? bound : stats->latency_max_ns;
}

/* ", 12 what"; nothing when there is none. */
static void add_item(struct buf *out, uint64_t value, const char *what)
{
    if (value == 0)
        return;
    buf_add_string(out, ", ");
    add_count(out, value);
    buf_add_byte(out, ' ');
    buf_add_string(out, what);
}

static void add_records(const struct cli_report *report, struct buf *out)
{
    const struct cli_load_stats *stats = report->stats;
    buf_add_format(out, "run         %s\nrecords     ", report->run);
    add_count(out, stats->sent);
    buf_add_string(out, " sent, ");
    add_count(out, stats->accepted);
    buf_add_string(out, " accepted");
    add_item(out, stats->duplicates, "duplicates");
    add_item(out, stats->dead_lettered, "dead-lettered");
    add_item(out, stats->refused, "refused");
    add_item(out, stats->given_up, "given up");
    add_item(out, stats->again, "sent twice on purpose");
    buf_add_byte(out, '\n');
}

/* Latency is from when a request was due, not from when it was sent: a server that stalls does not
 * make its own figures better by holding the load back. */
static void add_speed(const struct cli_report *report, struct buf *out)
{
    const struct cli_load_stats *stats = report->stats;
    buf_add_format(out, "throughput  %.1f MB/s, ",
                   per_second(stats->bytes, report->elapsed_ns) / 1e6);
    add_count(out, (uint64_t)per_second(answered(stats), report->elapsed_ns));
    buf_add_string(out, " records/s, ");
    add_count(out, (uint64_t)per_second(stats->requests, report->elapsed_ns));
    buf_add_format(out, " requests/s in %.2f s\nlatency     p50 ",
                   (double)report->elapsed_ns / 1e9);
    add_duration(out, quantile(stats, 0.5));
    buf_add_string(out, ", p99 ");
    add_duration(out, quantile(stats, 0.99));
    buf_add_string(out, ", p99.9 ");
    add_duration(out, quantile(stats, 0.999));
    buf_add_string(out, ", max ");
    add_duration(out, stats->latency_max_ns);
    buf_add_byte(out, '\n');
}

/* As a consumer sees it: from when a record was due to when it was read back. */
static void add_echo(const struct cli_echo_stats *echo, struct buf *out)
{
    buf_add_string(out, "end to end  p50 ");
    add_duration(out, histogram_quantile_ns(&echo->latency, 0.5));
    buf_add_string(out, ", p99 ");
    add_duration(out, histogram_quantile_ns(&echo->latency, 0.99));
    buf_add_string(out, ", p99.9 ");
    add_duration(out, histogram_quantile_ns(&echo->latency, 0.999));
    buf_add_string(out, ", max ");
    add_duration(out, echo->latency_max_ns);
    buf_add_string(out, "; ");
    add_count(out, echo->records);
    buf_add_string(out, " records read back\n");
}

/* What stands between a run and a dull one; without any of it, nothing. */
static void add_troubles(const struct cli_report *report, struct buf *out)
{
    const struct cli_load_stats *stats = report->stats;
    if (stats->retries > 0 || stats->lost > 0) {
        buf_add_string(out, "retries     ");
        add_count(out, stats->retries);
        buf_add_string(out, " requests sent again; ");
        add_count(out, stats->lost);
        buf_add_string(out, " answers lost");
        add_item(out, stats->timeouts, "of them waited for too long");
        buf_add_byte(out, '\n');
    }
    for (uint32_t status = 0; status < CLI_LOAD_STATUS_MAX; status++) {
        /* What is as it should be is told by the counts of records. */
        if (status == 200 || status == 0 || stats->statuses[status] == 0)
            continue;
        buf_add_format(out, "status %u  ", status);
        add_count(out, stats->statuses[status]);
        buf_add_string(out, " answers\n");
    }
    if (stats->wrong > 0) {
        buf_add_string(out, "wrong       ");
        add_count(out, stats->wrong);
        buf_add_string(out, " answers do not add up to their request\n");
    }
    /* Zero kills is worth a line where some were asked for. */
    if (report->tortured) {
        buf_add_format(out, "kills       %u, answered again within ", report->kills);
        add_duration(out, report->slowest_return_ns);
        buf_add_byte(out, '\n');
    }
}

/* The first id of each fault is named: it is where to begin with grep. */
static void add_files(const struct cli_report *report, struct buf *out)
{
    const struct cli_verify_result *verified = &report->verified;
    buf_add_string(out, "files       ");
    add_count(out, report->file_records);
    buf_add_string(out, " records in ");
    add_count(out, report->files);
    buf_add_format(out, " files below %s\nmissing     ", report->directory);
    add_count(out, verified->missing);
    if (verified->missing > 0)
        buf_add_format(out, ", the first is %s", verified->missing_id);
    buf_add_string(out, "\nrepeated    ");
    add_count(out, verified->repeated);
    if (verified->explained > 0)
        buf_add_string(out, ", sent again since an answer was lost or on purpose: ");
    if (verified->explained > 0)
        add_count(out, verified->explained);
    buf_add_string(out, "\nunexplained ");
    add_count(out, verified->unexplained);
    if (verified->unexplained > 0)
        buf_add_format(out, ", the first is %s", verified->unexplained_id);
    add_item(out, report->foreign, "ids that were never sent");
    buf_add_byte(out, '\n');
}

void cli_report_text(const struct cli_report *report, struct buf *out)
{
    add_records(report, out);
    add_speed(report, out);
    if (report->echo)
        add_echo(report->echo, out);
    add_troubles(report, out);
    /* Where nothing was compared, zero missing would be a claim without ground. */
    if (report->directory)
        add_files(report, out);
    if (report->failure)
        buf_add_format(out, "ended early %s\n", report->failure);
    buf_add_format(out, "verdict     %s\n", cli_report_good(report) ? "good" : "NOT good");
}

static void add_field(struct buf *out, const char *name, uint64_t value)
{
    buf_add_format(out, ",\"%s\":", name);
    buf_add_u64(out, value);
}

/* Only those that were seen: nearly all of the six hundred never are. */
static void add_json_statuses(const struct cli_load_stats *stats, struct buf *out)
{
    const char *comma = "";
    buf_add_string(out, ",\"statuses\":{");
    for (uint32_t status = 0; status < CLI_LOAD_STATUS_MAX; status++) {
        if (stats->statuses[status] == 0)
            continue;
        buf_add_format(out, "%s\"%u\":%llu", comma, status,
                       (unsigned long long)stats->statuses[status]);
        comma = ",";
    }
    buf_add_byte(out, '}');
}

/* Names as in the ledger where it counts the same, so that both can be compared. */
static void add_json_counts(const struct cli_load_stats *stats, struct buf *out)
{
    add_field(out, "sent", stats->sent);
    add_field(out, "accepted", stats->accepted);
    add_field(out, "duplicates", stats->duplicates);
    add_field(out, "dead_lettered", stats->dead_lettered);
    add_field(out, "refused", stats->refused);
    add_field(out, "given_up", stats->given_up);
    add_field(out, "sent_again", stats->again);
    add_field(out, "requests", stats->requests);
    add_field(out, "bytes", stats->bytes);
    add_field(out, "retries", stats->retries);
    add_field(out, "answers_lost", stats->lost);
    add_field(out, "timeouts", stats->timeouts);
    add_field(out, "wrong_answers", stats->wrong);
    add_json_statuses(stats, out);
}

/* Not rounded for reading as the text is; milliseconds, as all latencies in reports. */
static void add_json_speed(const struct cli_report *report, struct buf *out)
{
    const struct cli_load_stats *stats = report->stats;
    buf_add_format(out,
                   ",\"seconds\":%.3f,\"mb_per_second\":%.3f,\"records_per_second\":%.1f,"
                   "\"requests_per_second\":%.1f",
                   (double)report->elapsed_ns / 1e9,
                   per_second(stats->bytes, report->elapsed_ns) / 1e6,
                   per_second(answered(stats), report->elapsed_ns),
                   per_second(stats->requests, report->elapsed_ns));
    buf_add_format(out, ",\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,\"max\":%.3f}",
                   (double)quantile(stats, 0.5) / 1e6, (double)quantile(stats, 0.99) / 1e6,
                   (double)quantile(stats, 0.999) / 1e6, (double)stats->latency_max_ns / 1e6);
}

void cli_report_json(const struct cli_report *report, struct buf *out)
{
    const struct cli_verify_result *verified = &report->verified;
    buf_add_format(out, "{\"good\":%s,\"run\":\"%s\"", cli_report_good(report) ? "true" : "false",
                   report->run);
    add_json_counts(report->stats, out);
    add_json_speed(report, out);
    if (report->echo) {
        const struct cli_echo_stats *echo = report->echo;
        buf_add_format(out,
                       ",\"end_to_end_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,"
                       "\"max\":%.3f,\"records\":%llu}",
                       (double)histogram_quantile_ns(&echo->latency, 0.5) / 1e6,
                       (double)histogram_quantile_ns(&echo->latency, 0.99) / 1e6,
                       (double)histogram_quantile_ns(&echo->latency, 0.999) / 1e6,
                       (double)echo->latency_max_ns / 1e6, (unsigned long long)echo->records);
    }
    if (report->tortured) {
        add_field(out, "kills", report->kills);
        buf_add_format(out, ",\"slowest_return_ms\":%.3f", (double)report->slowest_return_ns / 1e6);
    }
    if (report->directory) {
        buf_add_string(out, ",\"verified\":{\"directory\":");
        buf_add_json_string(out, slice_string(report->directory));
        add_field(out, "files", report->files);
        add_field(out, "records", report->file_records);
        add_field(out, "missing", verified->missing);
        add_field(out, "repeated", verified->repeated);
        add_field(out, "explained", verified->explained);
        add_field(out, "unexplained", verified->unexplained);
        add_field(out, "never_sent", report->foreign);
        buf_add_byte(out, '}');
    }
    if (report->failure) {
        buf_add_string(out, ",\"failure\":");
        buf_add_json_string(out, slice_string(report->failure));
    }
    buf_add_string(out, "}\n");
}

/* The latencies of the time between two looks. */
static void subtract(struct histogram *from, const struct histogram *part)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        from->counts[i] -= part->counts[i];
    from->count -= part->count;
    from->sum_ns -= part->sum_ns;
}

void cli_report_progress(const struct cli_load_stats *stats, const struct cli_load_stats *before,
                         uint64_t elapsed_ns, struct buf *out)
{
    struct histogram latency = stats->latency;
    ASSERT(stats->sent >= before->sent && stats->latency.count >= before->latency.count);
    subtract(&latency, &before->latency);
    add_count(out, stats->sent);
    buf_add_string(out, " sent, ");
    add_count(out, answered(stats));
    buf_add_format(out, " answered, %.1f MB/s",
                   per_second(stats->bytes - before->bytes, elapsed_ns) / 1e6);
    add_item(out, stats->lost, "answers lost");
    buf_add_string(out, ", p50 ");
    add_duration(out, histogram_quantile_ns(&latency, 0.5));
    buf_add_string(out, ", p99 ");
    add_duration(out, histogram_quantile_ns(&latency, 0.99));
}
