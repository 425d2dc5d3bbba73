#include "unit/server/world.h"

#define LAKE                                                                                       \
    "sinks:\n  lake: { type: file, topics: [flights], path: './lake', roll: { time: 100ms } }\n"

static void a_record_goes_in_over_http_and_out_into_a_file(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE);
    world_start(&w);
    world_post(&w, "flights", "{\"a\":1}\nbroken\n", "{\"accepted\":1,\"duplicates\":0,");
    world_until(&w, "/v1/ledger", "\"delivered\":1,");
    char *ledger = world_get(&w, "/v1/ledger");
    assert_has(ledger, "{\"balanced\":true,");
    assert_has(ledger, "\"flights\":{\"received\":2,\"accepted\":1,\"duplicates\":0,"
                       "\"dead_lettered\":1,\"refused\":0,");
    assert_has(ledger, "\"dlq\":{\"flights\":{\"dead_lettered\":1,\"held\":1,");
    assert_has(ledger, "\"lake\":{\"topics\":[\"flights\"],\"accepted\":1,\"delivered\":1,");
    free(ledger);
    world_stop(&w);
    char path[1024];
    assert_int_equal(world_files(&w, "lake", ".ndjson", path), 1);
    char *records = world_read(path);
    assert_string_equal(records, "{\"a\":1}\n");
    free(records);
    world_done(&w);
}

static void what_was_acknowledged_is_there_after_a_restart(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (int round = 1; round <= 3; round++) {
        world_start(&w);
        world_post(&w, "flights", "{}\n{}\n", "\"accepted\":2,");
        char expected[64];
        snprintf(expected, sizeof(expected), "{\"received\":%d,\"accepted\":%d,", 2 * round,
                 2 * round);
        char *ledger = world_get(&w, "/v1/ledger");
        assert_has(ledger, expected);
        free(ledger);
        world_stop(&w);
    }
    world_done(&w);
}

static void every_part_is_in_the_metrics(void **state)
{
    (void)state;
    static const char *const families[] = {
        "garner_log_commits_total ",  "garner_records_total{topic=\"flights\"",
        "garner_requests_total",      "garner_build_info{version=\"",
        "garner_disk_free_bytes ",    "garner_sink_failures_total{sink=\"lake\"} 0\n",
        "garner_commit_limit_bytes ", "process_start_time_seconds ",
    };
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE);
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    char *metrics = world_get(&w, "/metrics");
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        assert_has(metrics, families[i]);
    free(metrics);
    char *health = world_get(&w, "/health");
    assert_has(health, "HTTP/1.1 200 ");
    free(health);
    world_stop(&w);
    world_done(&w);
}

static void with_port_0_the_log_says_where_the_doors_are(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "garner.yaml",
                "wal_limit: 64MiB\nintake: { listen: '127.0.0.1:0' }\nadmin: { listen: "
                "'localhost:0' }\nkafka: { listen: '127.0.0.1:0' }\ncontracts: []\n");
    struct world_capture capture;
    world_capture_begin(&capture);
    assert_int_equal(pthread_create(&w.thread, NULL, world_run, &w), 0);
    unsigned intake = 0, admin = 0, kafka = 0;
    struct world_wait wait = {0};
    while (admin == 0) {
        char *log = world_read(capture.path);
        const char *line = strstr(log, "intake on 127.0.0.1:");
        if (line && strstr(line, ", 0 topics"))
            assert_int_equal(
                sscanf(line, "intake on 127.0.0.1:%u, admin on localhost:%u, kafka on 127.0.0.1:%u",
                       &intake, &admin, &kafka),
                3);
        free(log);
        world_pause(&wait, "the line that it serves");
    }
    free(world_capture_end(&capture));
    assert_int_not_equal(intake, 0);
    assert_int_not_equal(admin, 0);
    assert_int_not_equal(kafka, 0);
    assert_true(admin != intake && admin != kafka && kafka != intake);
    snprintf(w.address, sizeof(w.address), "127.0.0.1");
    world_until_door(&w, (uint16_t)intake, true);
    world_until_door(&w, (uint16_t)admin, true);
    world_until_door(&w, (uint16_t)kafka, true);
    w.running = true;
    world_stop(&w);
    world_done(&w);
}

static void a_second_server_on_the_directory_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    struct err_text why = {0};
    err_t err = server_run(&w.options, &why);
    assert_string_equal(err_name(err), "IN_USE");
    assert_has(why.text, "in use by another garner server");
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_stop(&w);
    world_done(&w);
}

/* Somebody else's socket on a door's address. */
static int take_door(const struct world *w, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, w->address, &at.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void a_taken_port_names_the_door_and_leaves_all_closed(void **state)
{
    (void)state;
    static const struct {
        uint16_t port;
        const char *door;
    } doors[] = {{INTAKE_PORT, "intake"}, {ADMIN_PORT, "admin"}, {KAFKA_PORT, "kafka"}};
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE);
    for (size_t i = 0; i < 3; i++) {
        int taken = take_door(&w, doors[i].port);
        assert_string_equal(err_name(world_fail(&w)), "IN_USE");
        assert_has(w.why.text, doors[i].door);
        assert_has(w.why.text, "address already in use");
        close(taken);
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(world_connect(&w, doors[j].port), -1);
    }
    world_start(&w);
    world_stop(&w);
    world_done(&w);
}

/* Fails with ERR_CONFIG; what was printed on standard error is freed with free. */
static char *config_error(struct world *w)
{
    struct world_capture capture;
    world_capture_begin(&capture);
    err_t err = world_fail(w);
    char *printed = world_capture_end(&capture);
    assert_string_equal(err_name(err), "CONFIG");
    assert_string_equal(w->why.text, "");
    return printed;
}

static void mistakes_of_the_configuration_are_printed_with_their_places(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, "durabilty: fsync\nsinks: many\n");
    char *printed = config_error(&w);
    assert_has(printed, "garner.yaml:9:");
    assert_has(printed, "durability");
    assert_has(printed, "garner.yaml:10:");
    free(printed);
    world_configure(&w, "");
    world_write(&w, "orders.topic", "topic: orders\npartitions: 0\n");
    printed = config_error(&w);
    assert_has(printed, "orders.topic:2:");
    free(printed);
    w.options.config_file = "/nowhere/garner.yaml";
    printed = config_error(&w);
    assert_has(printed, "/nowhere/garner.yaml");
    free(printed);
    assert_int_equal(access(world_path(&w, "data"), F_OK), -1);
    world_done(&w);
}

static void a_directory_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "data", "a file where the directory should be");
    (void)world_fail(&w);
    assert_has(w.why.text, "/data");
    world_done(&w);
}

static void answers_before_the_flush_are_warned_of(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, "durability: { mode: interval, max_delay: 20ms, max_bytes: 1MiB }\n");
    struct world_capture capture;
    world_capture_begin(&capture);
    world_start(&w);
    world_post(&w, "flights", "{}\n{}\n{}\n", "\"accepted\":3,");
    world_until(&w, "/v1/ledger", "\"accepted\":3,");
    world_stop(&w);
    char *printed = world_capture_end(&capture);
    assert_has(printed, "\"level\":\"warning\",\"event\":\"durability_interval\"");
    assert_has(printed, "up to 20 ms and 1048576 bytes before the flush");
    free(printed);
    world_done(&w);
}

static void without_a_file_the_defaults_are_served(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    /* The default doors may be taken on this machine, and then this is what must be said. */
    w.options.config_file = NULL;
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(ADMIN_PORT),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int bound = bind(taken, (const struct sockaddr *)(const void *)&at, sizeof(at));
    assert_true(bound == 0 || errno == EADDRINUSE);
    assert_int_equal(bound == 0 ? listen(taken, 1) : 0, 0);
    assert_string_equal(err_name(world_fail(&w)), "IN_USE");
    assert_has(w.why.text, "admin.listen: ");
    assert_has(w.why.text, "127.0.0.1:9600");
    close(taken);
    assert_int_equal(access(world_path(&w, "garner-data"), F_OK), 0);
    world_done(&w);
}

static void every_allocation_of_a_start_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LAKE);
    /* The last step of a start is the intake's door, so that a taken one runs all of them. */
    int taken = take_door(&w, INTAKE_PORT);
    bool failed = true;
    unsigned without_memory = 0;
    for (uint64_t n = 1; failed; n++) {
        assert_in_range(n, 1, 5000);
        mem_fail_after(n);
        (void)world_fail(&w);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        bool memory = err_is(w.error, ERR_MEMORY);
        without_memory += memory;
        if (!memory)
            assert_string_equal(err_name(w.error), "IN_USE");
    }
    assert_true(without_memory > 50);
    close(taken);
    world_start(&w);
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_stop(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_goes_in_over_http_and_out_into_a_file),
        cmocka_unit_test(what_was_acknowledged_is_there_after_a_restart),
        cmocka_unit_test(every_part_is_in_the_metrics),
        cmocka_unit_test(with_port_0_the_log_says_where_the_doors_are),
        cmocka_unit_test(a_second_server_on_the_directory_is_refused),
        cmocka_unit_test(a_taken_port_names_the_door_and_leaves_all_closed),
        cmocka_unit_test(mistakes_of_the_configuration_are_printed_with_their_places),
        cmocka_unit_test(a_directory_that_cannot_be_made_is_named),
        cmocka_unit_test(answers_before_the_flush_are_warned_of),
        cmocka_unit_test(without_a_file_the_defaults_are_served),
        cmocka_unit_test(every_allocation_of_a_start_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
