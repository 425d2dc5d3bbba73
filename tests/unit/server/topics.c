#include "io/fault.h"
#include "unit/server/world.h"

#define LAKE_OF(topics)                                                                            \
    "sinks:\n  lake: { type: file, topics: [" topics                                               \
    "], path: './lake/{topic}', roll: { time: 50ms } }\n"

static void assert_ledger(const struct world *w, const char *part)
{
    char *ledger = world_get(w, "/v1/ledger");
    assert_has(ledger, "{\"balanced\":true,");
    assert_has(ledger, part);
    free(ledger);
}

static void every_topic_has_a_queue_of_dead_letters(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "orders.topic", "topic: orders\n");
    world_start(&w);
    assert_ledger(&w, "\"dlq\":{\"flights\":{\"dead_lettered\":0,");
    assert_ledger(&w, "},\"orders\":{\"dead_lettered\":0,");
    world_post(&w, "orders", "nothing\n", "\"dead_lettered\":1,");
    assert_ledger(&w, "},\"orders\":{\"dead_lettered\":1,\"held\":1,");
    /* A queue is nobody's to write to from outside. */
    world_post(&w, "orders.dlq", "{}\n", "HTTP/1.1 404 ");
    world_stop(&w);
    world_done(&w);
}

static void contracts_that_come_later_add_topics_and_keep_the_others(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_post(&w, "orders", "{}\n", "HTTP/1.1 404 ");
    world_stop(&w);
    world_write(&w, "orders.topic", "topic: orders\non_invalid: reject\n");
    world_start(&w);
    world_post(&w, "orders", "{}\n{\n",
               "{\"accepted\":1,\"duplicates\":0,\"dead_lettered\":0,"
               "\"refused\":1,");
    assert_ledger(&w, "\"flights\":{\"received\":1,\"accepted\":1,");
    assert_ledger(&w, "\"orders\":{\"received\":2,\"accepted\":1,");
    world_stop(&w);
    world_done(&w);
}

static void a_topic_without_a_contract_keeps_its_row_and_takes_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "orders.topic", "topic: orders\n");
    world_start(&w);
    world_post(&w, "orders", "{}\n", "\"accepted\":1,");
    world_stop(&w);
    assert_int_equal(remove(world_path(&w, "orders.topic")), 0);
    world_start(&w);
    world_post(&w, "orders", "{}\n", "HTTP/1.1 404 ");
    assert_ledger(&w, "\"orders\":{\"received\":1,\"accepted\":1,");
    world_stop(&w);
    world_done(&w);
}

static void partitions_are_raised_and_what_was_there_stays(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE_OF("flights"));
    world_start(&w);
    world_post(&w, "flights", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n", "\"accepted\":3,");
    world_until(&w, "/v1/ledger", "\"delivered\":3,");
    world_stop(&w);
    world_write(&w, "flights.topic", "topic: flights\npartitions: 7\nkey: n\n");
    struct world_capture capture;
    world_capture_begin(&capture);
    world_start(&w);
    /* Enough keys that each partition gets some. */
    char lines[4096] = "";
    for (int i = 0; i < 200; i++)
        snprintf(lines + strlen(lines), 20, "{\"n\":%d}\n", i);
    world_post(&w, "flights", lines, "\"accepted\":200,");
    world_until(&w, "/v1/ledger", "\"delivered\":203,");
    char *metrics = world_get(&w, "/metrics");
    assert_has(metrics, "topic=\"flights\",partition=\"6\"} 0\n");
    assert_null(strstr(metrics, "partition=\"7\""));
    free(metrics);
    world_stop(&w);
    char *printed = world_capture_end(&capture);
    assert_has(printed, "\"event\":\"topic_partitions_raised\"");
    assert_has(printed, "topic flights: from 2 to 7 partitions");
    free(printed);
    world_done(&w);
}

static void partitions_are_not_lowered_and_the_place_is_named(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    world_stop(&w);
    world_write(&w, "flights.topic", "topic: flights\ndescription: less\npartitions: 1\n");
    assert_string_equal(err_name(world_fail(&w)), "CONFIG");
    assert_has(w.why.text, "flights.topic:3:13: partitions: ");
    assert_has(w.why.text, "expected at least 2");
    /* Nothing has changed by that. */
    world_write(&w, "flights.topic", "topic: flights\npartitions: 2\n");
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_stop(&w);
    world_done(&w);
}

static void a_removed_sink_is_closed_and_its_row_stays(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE_OF("flights"));
    world_start(&w);
    world_post(&w, "flights", "{}\n{}\n", "\"accepted\":2,");
    world_until(&w, "/v1/ledger", "\"delivered\":2,");
    assert_ledger(&w, "\"pending\":0}}");
    world_stop(&w);
    world_configure(&w, "");
    world_start(&w);
    assert_ledger(&w, "\"delivered\":2,");
    assert_ledger(&w, ",\"closed\":true}}");
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    assert_ledger(&w, "\"delivered\":2,");
    world_stop(&w);
    world_done(&w);
}

static void a_sink_that_comes_back_goes_on_where_it_was(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE_OF("flights"));
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_until(&w, "/v1/ledger", "\"delivered\":1,");
    world_stop(&w);
    world_configure(&w, "");
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_stop(&w);
    world_configure(&w, LAKE_OF("flights"));
    world_start(&w);
    world_until(&w, "/v1/ledger", "\"delivered\":2,");
    assert_ledger(&w, "\"accepted\":2,\"delivered\":2,\"dead_lettered\":0,");
    assert_ledger(&w, "\"pending\":0}}");
    world_stop(&w);
    world_done(&w);
}

static void a_sink_may_get_a_topic_more(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "orders.topic", "topic: orders\n");
    world_configure(&w, LAKE_OF("flights"));
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_post(&w, "orders", "{}\n{}\n", "\"accepted\":2,");
    world_until(&w, "/v1/ledger", "\"delivered\":1,");
    world_stop(&w);
    world_configure(&w, LAKE_OF("flights, orders"));
    world_start(&w);
    /* A new topic begins at its earliest record. */
    world_until(&w, "/v1/ledger", "\"delivered\":3,");
    assert_ledger(&w, "\"topics\":[\"flights\",\"orders\"],\"accepted\":3,");
    world_stop(&w);
    char path[1024];
    assert_int_equal(world_files(&w, "lake/orders", ".ndjson", path), 1);
    world_done(&w);
}

static void never(uint64_t ns)
{
    fail_msg("nothing is slow here, and this would be for %llu ns", (unsigned long long)ns);
}

static void a_sink_removed_within_an_epoch_stays_open_until_it_is_finished(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE_OF("flights") "shutdown_timeout: 300ms\n");
    static const struct io_fault_hooks hooks = {.kill = abort, .sleep_ns = never};
    assert_ok(io_fault_disk_new(io_uv_disk(), "fail:permission:rename:.ndjson:1+", &hooks,
                                &w.host.disk, NULL));
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    /* A failure to publish means that the epoch is prepared. */
    struct world_wait wait = {0};
    for (bool failed = false; !failed;) {
        char *metrics = world_get(&w, "/metrics");
        const char *at = strstr(metrics, "\ngarner_sink_failures_total{sink=\"lake\"} ");
        assert_non_null(at);
        failed = !strstr(at, "garner_sink_failures_total{sink=\"lake\"} 0\n");
        free(metrics);
        if (!failed)
            world_pause(&wait, "a failure of the sink");
    }
    world_stop(&w);
    io_fault_disk_free(&w.host.disk);
    w.host.disk = io_uv_disk();
    world_configure(&w, "");
    struct world_capture capture;
    world_capture_begin(&capture);
    world_start(&w);
    assert_ledger(&w, "\"pending\":1}}");
    world_stop(&w);
    char *printed = world_capture_end(&capture);
    assert_has(printed, "\"event\":\"sink_left_unfinished\"");
    free(printed);
    world_configure(&w, LAKE_OF("flights"));
    world_start(&w);
    world_until(&w, "/v1/ledger", "\"delivered\":1,");
    world_stop(&w);
    world_done(&w);
}

/* How many commits the log has had since this start. */
static unsigned commits(const struct world *w)
{
    char *metrics = world_get(w, "/metrics");
    const char *at = strstr(metrics, "\ngarner_log_commits_total ");
    assert_non_null(at);
    unsigned count = (unsigned)strtoul(strchr(at, ' '), NULL, 10);
    free(metrics);
    return count;
}

static void what_is_kept_is_said_in_one_commit_and_only_when_it_changes(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (int i = 0; i < 100; i++) {
        char name[32], text[64];
        snprintf(name, sizeof(name), "t%d.topic", i);
        snprintf(text, sizeof(text), "topic: t%d\nretention: { time: 1h }\n", i);
        world_write(&w, name, text);
    }
    world_start(&w);
    /* Topics, DLQs, and what is kept of all of them. */
    assert_int_equal(commits(&w), 3);
    world_stop(&w);
    world_start(&w);
    assert_int_equal(commits(&w), 0);
    world_stop(&w);
    world_write(&w, "t7.topic", "topic: t7\nretention: { time: 2h }\ndlq: { retention: 3h }\n");
    world_start(&w);
    assert_int_equal(commits(&w), 1);
    world_stop(&w);
    world_start(&w);
    assert_int_equal(commits(&w), 0);
    world_stop(&w);
    world_done(&w);
}

static void every_field_of_what_is_kept_is_compared(void **state)
{
    (void)state;
    static const char *const contracts[] = {
        "retention: { time: 1d }\n",
        "retention: { time: 1d, size: 1GiB }\n",
        "retention: { time: 1d, size: 1GiB, expire_undelivered: true }\n",
        "retention: { time: 1d, size: 1GiB, expire_undelivered: true }\ncompression: lz4\n",
        "compression: lz4\ndlq: { retention: 1h }\n",
        "compression: lz4\ndlq: { retention: 1h, when_full: drop_oldest }\n",
        "compression: lz4\ndlq: { retention: 1h, when_full: drop_oldest, size: 1MiB }\n",
    };
    struct world w;
    world_init(&w);
    world_start(&w);
    world_stop(&w);
    for (size_t i = 0; i < sizeof(contracts) / sizeof(contracts[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "topic: flights\npartitions: 2\n%s", contracts[i]);
        world_write(&w, "flights.topic", text);
        world_start(&w);
        assert_int_equal(commits(&w), 1);
        world_stop(&w);
    }
    /* The cap of a queue that refuses is not the log's. */
    world_write(&w, "flights.topic", "topic: flights\npartitions: 2\ndlq: { size: 1MiB }\n");
    world_start(&w);
    world_stop(&w);
    world_write(&w, "flights.topic", "topic: flights\npartitions: 2\ndlq: { size: 2MiB }\n");
    world_start(&w);
    assert_int_equal(commits(&w), 0);
    world_stop(&w);
    world_done(&w);
}

static void a_contract_that_keeps_less_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *contract;
        bool told;
    } steps[] = {
        {"retention: { time: 8d }\n", false},
        {"retention: { time: 8d, size: 1GiB }\n", true},
        {"retention: { time: 8d, size: 2GiB }\n", false},
        {"retention: { time: 8d }\n", false},
        {"retention: { time: 1d }\n", true},
        {"retention: { time: 1d, expire_undelivered: true }\n", true},
        {"retention: { time: 1d }\ncompression: zstd\n", false},
    };
    struct world w;
    world_init(&w);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "topic: flights\npartitions: 2\n%s", steps[i].contract);
        world_write(&w, "flights.topic", text);
        struct world_capture capture;
        world_capture_begin(&capture);
        world_start(&w);
        world_stop(&w);
        char *printed = world_capture_end(&capture);
        assert_int_equal(strstr(printed, "\"event\":\"topic_keeps_less\"") != NULL, steps[i].told);
        free(printed);
    }
    world_done(&w);
}

/* Posts until what comes back holds `expected`: each loop learns by itself that a queue is full. */
static void post_until(const struct world *w, const char *lines, const char *expected)
{
    struct world_wait wait = {0};
    for (bool there = false; !there;) {
        char *answer = world_ask(w, INTAKE_PORT, "POST", "/v1/topics/flights/records",
                                 "application/x-ndjson", lines);
        there = strstr(answer, expected);
        free(answer);
        if (!there)
            world_pause(&wait, expected);
    }
}

static void a_full_queue_refuses_broken_records_and_says_so(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "flights.topic", "topic: flights\npartitions: 2\ndlq: { size: 1KiB }\n");
    world_start(&w);
    char *metrics = world_get(&w, "/metrics");
    assert_has(metrics, "garner_dlq_full{topic=\"flights\"} 0\n");
    free(metrics);
    char broken[2048];
    memset(broken, '[', sizeof(broken));
    memcpy(broken + sizeof(broken) - 2, "\n", 2);
    world_post(&w, "flights", broken, "\"dead_lettered\":1,\"refused\":0,");
    post_until(&w, "{}\n{\n",
               "{\"accepted\":1,\"duplicates\":0,\"dead_lettered\":0,\"refused\":1,"
               "\"errors\":[{\"index\":1,\"reason\":\"dlq_full\",");
    post_until(&w, "{}\n{\n", "HTTP/1.1 422 ");
    world_until(&w, "/metrics", "garner_dlq_full{topic=\"flights\"} 1\n");
    world_post(&w, "flights", "{}\n", "HTTP/1.1 200 ");
    char *ledger = world_get(&w, "/v1/ledger");
    assert_has(ledger, "{\"balanced\":true,");
    assert_null(strstr(ledger, "\"refused\":0,"));
    free(ledger);
    world_stop(&w);
    world_done(&w);
}

static void a_queue_that_drops_its_oldest_refuses_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "flights.topic",
                "topic: flights\ndlq: { size: 1KiB, when_full: drop_oldest }\npartitions: 2\n");
    world_start(&w);
    for (int i = 0; i < 30; i++)
        world_post(&w, "flights", "{\n{\n{\n{\n", "\"dead_lettered\":4,\"refused\":0,");
    char *metrics = world_get(&w, "/metrics");
    assert_null(strstr(metrics, "garner_dlq_full{"));
    free(metrics);
    assert_ledger(&w, "\"dlq\":{\"flights\":{\"dead_lettered\":120,");
    world_stop(&w);
    world_done(&w);
}

static void a_stop_waits_for_what_the_intake_has_asked_the_log(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (int i = 0; i < 10; i++) {
        world_start(&w);
        world_post(&w, "flights", "{\n", "\"dead_lettered\":1,");
        world_stop(&w);
    }
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_topic_has_a_queue_of_dead_letters),
        cmocka_unit_test(contracts_that_come_later_add_topics_and_keep_the_others),
        cmocka_unit_test(a_topic_without_a_contract_keeps_its_row_and_takes_nothing),
        cmocka_unit_test(partitions_are_raised_and_what_was_there_stays),
        cmocka_unit_test(partitions_are_not_lowered_and_the_place_is_named),
        cmocka_unit_test(a_removed_sink_is_closed_and_its_row_stays),
        cmocka_unit_test(a_sink_that_comes_back_goes_on_where_it_was),
        cmocka_unit_test(a_sink_may_get_a_topic_more),
        cmocka_unit_test(a_sink_removed_within_an_epoch_stays_open_until_it_is_finished),
        cmocka_unit_test(what_is_kept_is_said_in_one_commit_and_only_when_it_changes),
        cmocka_unit_test(every_field_of_what_is_kept_is_compared),
        cmocka_unit_test(a_contract_that_keeps_less_is_told),
        cmocka_unit_test(a_full_queue_refuses_broken_records_and_says_so),
        cmocka_unit_test(a_queue_that_drops_its_oldest_refuses_nothing),
        cmocka_unit_test(a_stop_waits_for_what_the_intake_has_asked_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
