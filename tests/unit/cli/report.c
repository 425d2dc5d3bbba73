#include "cli/report.h"

#include "base/alloc.h"
#include "format/json/json.h"
#include "lib/unit.h"

#define MS UINT64_C(1000000)

/* A run of 1,000 records in 10 requests, in two seconds, with nothing to complain of. */
static struct cli_load_stats good_stats(void)
{
    struct cli_load_stats stats = {
        .sent = 1000, .accepted = 1000, .requests = 10, .bytes = 5000000, .latency_max_ns = 3 * MS};
    stats.statuses[200] = 10;
    for (int i = 0; i < 10; i++)
        histogram_add(&stats.latency, 3 * MS);
    return stats;
}

static struct cli_report good_report(const struct cli_load_stats *stats)
{
    return (struct cli_report){.run = "00000abc", .stats = stats, .elapsed_ns = 2000 * MS};
}

static void expect_text(const struct cli_report *report, const char *text)
{
    struct buf out = {0};
    cli_report_text(report, &out);
    assert_slice(buf_slice(&out), text);
    buf_done(&out);
}

static void expect_json(const struct cli_report *report, const char *text)
{
    struct buf out = {0};
    cli_report_json(report, &out);
    assert_true(err_is_ok(format_json_check(buf_slice(&out), NULL, 8, NULL, NULL)));
    assert_slice(buf_slice(&out), text);
    buf_done(&out);
}

static void a_good_run_is_short(void **state)
{
    (void)state;
    struct cli_load_stats stats = good_stats();
    struct cli_report report = good_report(&stats);
    expect_text(&report, "run         00000abc\n"
                         "records     1,000 sent, 1,000 accepted\n"
                         "throughput  2.5 MB/s, 500 records/s, 5 requests/s in 2.00 s\n"
                         "latency     p50 3.00 ms, p99 3.00 ms, p99.9 3.00 ms, max 3.00 ms\n"
                         "verdict     good\n");
    expect_json(&report,
                "{\"good\":true,\"run\":\"00000abc\",\"sent\":1000,\"accepted\":1000,"
                "\"duplicates\":0,\"dead_lettered\":0,\"refused\":0,\"given_up\":0,"
                "\"sent_again\":0,\"requests\":10,\"bytes\":5000000,\"retries\":0,"
                "\"answers_lost\":0,\"timeouts\":0,\"wrong_answers\":0,\"statuses\":{\"200\":10},"
                "\"seconds\":2.000,\"mb_per_second\":2.500,\"records_per_second\":500.0,"
                "\"requests_per_second\":5.0,"
                "\"latency_ms\":{\"p50\":3.000,\"p99\":3.000,\"p99.9\":3.000,\"max\":3.000}}\n");
}

static void everything_that_happened_has_a_line(void **state)
{
    (void)state;
    struct cli_load_stats stats = good_stats();
    stats.sent = 1234567;
    stats.duplicates = 1;
    stats.dead_lettered = 22;
    stats.refused = 333;
    stats.given_up = 4444;
    stats.again = 55555;
    stats.retries = 6;
    stats.lost = 7;
    stats.timeouts = 2;
    stats.wrong = 8;
    stats.statuses[422] = 1;
    stats.statuses[503] = 1000;
    stats.latency_max_ns = 12345 * MS;
    struct cli_report report = good_report(&stats);
    report.tortured = true;
    report.kills = 3;
    report.slowest_return_ns = 450 * MS;
    report.failure = "interrupted";
    report.directory = "/out";
    report.files = 1200;
    report.file_records = 1000000;
    report.foreign = 9;
    report.verified = (struct cli_verify_result){.missing = 1,
                                                 .repeated = 2000,
                                                 .explained = 1999,
                                                 .unexplained = 1,
                                                 .missing_id = "00000abc-000000000001",
                                                 .unexplained_id = "00000abc-000000000002"};
    expect_text(&report,
                "run         00000abc\n"
                "records     1,234,567 sent, 1,000 accepted, 1 duplicates, 22 dead-lettered, "
                "333 refused, 4,444 given up, 55,555 sent twice on purpose\n"
                "throughput  2.5 MB/s, 678 records/s, 5 requests/s in 2.00 s\n"
                "latency     p50 3.07 ms, p99 3.07 ms, p99.9 3.07 ms, max 12.35 s\n"
                "retries     6 requests sent again; 7 answers lost, 2 of them waited for too long\n"
                "status 422  1 answers\n"
                "status 503  1,000 answers\n"
                "wrong       8 answers do not add up to their request\n"
                "kills       3, answered again within 450 ms\n"
                "files       1,000,000 records in 1,200 files below /out\n"
                "missing     1, the first is 00000abc-000000000001\n"
                "repeated    2,000, sent again since an answer was lost or on purpose: 1,999\n"
                "unexplained 1, the first is 00000abc-000000000002, 9 ids that were never sent\n"
                "ended early interrupted\n"
                "verdict     NOT good\n");
}

static void json_has_what_a_script_needs_of_a_comparison(void **state)
{
    (void)state;
    struct cli_load_stats stats = {0};
    struct cli_report report = {.run = "00000abc",
                                .stats = &stats,
                                .tortured = true,
                                .kills = 2,
                                .slowest_return_ns = 1500000,
                                .directory = "/a \"b\"\n",
                                .files = 1,
                                .file_records = 2,
                                .foreign = 3,
                                .failure = "tab\there",
                                .verified = {4, 5, 6, 7, "", ""}};
    struct buf out = {0};
    struct format_json_value value;
    cli_report_json(&report, &out);
    assert_true(err_is_ok(format_json_get(buf_slice(&out), "verified", &value)));
    assert_slice(value.raw, "{\"directory\":\"/a \\\"b\\\"\\n\",\"files\":1,\"records\":2,"
                            "\"missing\":4,\"repeated\":5,\"explained\":6,\"unexplained\":7,"
                            "\"never_sent\":3}");
    assert_true(err_is_ok(format_json_get(buf_slice(&out), "kills", &value)));
    assert_slice(value.raw, "2");
    assert_true(err_is_ok(format_json_get(buf_slice(&out), "slowest_return_ms", &value)));
    assert_slice(value.raw, "1.500");
    assert_true(err_is_ok(format_json_get(buf_slice(&out), "failure", &value)));
    assert_slice(value.raw, "\"tab\\there\"");
    assert_true(err_is_ok(format_json_get(buf_slice(&out), "good", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_FALSE);
    buf_done(&out);
}

static void one_fault_is_enough_for_not_good(void **state)
{
    (void)state;
    for (int fault = 0; fault < 6; fault++) {
        struct cli_load_stats stats = good_stats();
        struct cli_report report = good_report(&stats);
        assert_true(cli_report_good(&report));
        report.verified.missing = fault == 1;
        report.verified.unexplained = fault == 2;
        report.foreign = fault == 3;
        stats.wrong = fault == 4;
        report.failure = fault == 5 ? "it failed" : NULL;
        assert_int_equal(cli_report_good(&report), fault == 0);
    }
}

static void what_torture_brings_about_is_no_fault(void **state)
{
    (void)state;
    struct cli_load_stats stats = good_stats();
    stats.lost = stats.retries = stats.timeouts = 5;
    stats.statuses[503] = 100;
    stats.dead_lettered = stats.refused = stats.duplicates = 7;
    struct cli_report report = good_report(&stats);
    report.kills = 5;
    report.tortured = true;
    report.verified.repeated = report.verified.explained = 1000;
    assert_true(cli_report_good(&report));
}

static void a_run_without_an_answer_has_no_speed(void **state)
{
    (void)state;
    struct cli_load_stats stats = {.sent = 8, .given_up = 8};
    struct cli_report report = {.run = "00000abc", .stats = &stats, .failure = "no answer"};
    expect_text(&report, "run         00000abc\n"
                         "records     8 sent, 0 accepted, 8 given up\n"
                         "throughput  0.0 MB/s, 0 records/s, 0 requests/s in 0.00 s\n"
                         "latency     p50 0.00 ms, p99 0.00 ms, p99.9 0.00 ms, max 0.00 ms\n"
                         "ended early no answer\n"
                         "verdict     NOT good\n");
}

static void progress_is_of_the_time_since_the_last_line(void **state)
{
    (void)state;
    struct cli_load_stats before = good_stats();
    struct cli_load_stats stats = before;
    struct buf out = {0};
    stats.sent = 3000;
    stats.accepted = 2000;
    stats.dead_lettered = 500;
    stats.bytes += 4000000;
    histogram_add(&stats.latency, 100 * MS);
    stats.latency_max_ns = 100 * MS;
    cli_report_progress(&stats, &before, 500 * MS, &out);
    assert_true(slice_starts_with(buf_slice(&out),
                                  SLICE_LITERAL("3,000 sent, 2,500 answered, 8.0 MB/s, p50 1")));
    buf_reset(&out);
    stats.lost = 3;
    cli_report_progress(&stats, &stats, 500 * MS, &out);
    assert_slice(buf_slice(&out), "3,000 sent, 2,500 answered, 0.0 MB/s, 3 answers lost, "
                                  "p50 0.00 ms, p99 0.00 ms");
    buf_done(&out);
}

static void numbers_are_grouped_by_three(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *text;
    } cases[] = {{0, "0 sent, "},
                 {999, "999 sent, "},
                 {1000, "1,000 sent, "},
                 {999999, "999,999 sent, "},
                 {12345678, "12,345,678 sent, "},
                 {UINT64_MAX, "18,446,744,073,709,551,615 sent, "}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cli_load_stats stats = {.sent = cases[i].value};
        struct cli_load_stats before = {0};
        struct buf out = {0};
        cli_report_progress(&stats, &before, MS, &out);
        assert_true(slice_starts_with(buf_slice(&out), slice_string(cases[i].text)));
        buf_done(&out);
    }
}

static void a_report_without_memory_says_so(void **state)
{
    (void)state;
    struct cli_load_stats stats = good_stats();
    struct cli_report report = good_report(&stats);
    void (*const prints[])(const struct cli_report *, struct buf *) = {cli_report_text,
                                                                       cli_report_json};
    for (size_t i = 0; i < 2; i++) {
        bool good = false;
        uint64_t n = 0;
        while (!good) {
            struct buf out = {0};
            mem_fail_after(++n);
            prints[i](&report, &out);
            good = mem_alloc_count() < n;
            mem_fail_after(0);
            assert_int_equal(buf_ok(&out), good);
            buf_done(&out);
        }
        assert_true(n > 1);
    }
}

static void what_was_read_back_has_its_times(void **state)
{
    (void)state;
    struct cli_load_stats stats = good_stats();
    struct cli_report report = good_report(&stats);
    struct cli_echo_stats echo = {.records = 1000, .latency_max_ns = 5 * MS};
    struct buf out = {0};
    for (int i = 0; i < 10; i++)
        histogram_add(&echo.latency, 5 * MS);
    report.echo = &echo;
    cli_report_text(&report, &out);
    assert_true(buf_ok(&out));
    buf_add_byte(&out, 0);
    assert_non_null(strstr((const char *)out.data, "\nend to end  p50 "));
    assert_non_null(strstr((const char *)out.data, "max 5.00 ms; 1,000 records read back\n"));
    buf_reset(&out);
    cli_report_json(&report, &out);
    assert_true(err_is_ok(format_json_check(buf_slice(&out), NULL, 8, NULL, NULL)));
    struct format_json_value value;
    assert_true(err_is_ok(format_json_get(buf_slice(&out), "end_to_end_ms", &value)));
    assert_non_null(memmem(value.raw.data, value.raw.size, "\"records\":1000}", 15));
    buf_done(&out);
}

/* Kafka's code for "no error" is no trouble, as 200 is none. */
static void the_code_of_success_has_no_line(void **state)
{
    (void)state;
    struct cli_load_stats stats = good_stats();
    struct cli_report report = good_report(&stats);
    struct buf with = {0}, without = {0};
    cli_report_text(&report, &without);
    stats.statuses[200] = 0;
    stats.statuses[0] = 10;
    cli_report_text(&report, &with);
    assert_true(slice_equal(buf_slice(&with), buf_slice(&without)));
    buf_done(&with);
    buf_done(&without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_run_is_short),
        cmocka_unit_test(everything_that_happened_has_a_line),
        cmocka_unit_test(json_has_what_a_script_needs_of_a_comparison),
        cmocka_unit_test(one_fault_is_enough_for_not_good),
        cmocka_unit_test(what_torture_brings_about_is_no_fault),
        cmocka_unit_test(a_run_without_an_answer_has_no_speed),
        cmocka_unit_test(progress_is_of_the_time_since_the_last_line),
        cmocka_unit_test(numbers_are_grouped_by_three),
        cmocka_unit_test(a_report_without_memory_says_so),
        cmocka_unit_test(what_was_read_back_has_its_times),
        cmocka_unit_test(the_code_of_success_has_no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
