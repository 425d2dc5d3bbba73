#include "io/fault.h"
#include "unit/server/world.h"

/*
 * Ends that are not of this process run in a child: it exits with the code of the server's error.
 */

#define LATE_LAKE                                                                                  \
    "sinks:\n  lake: { type: file, topics: [flights], path: './lake', roll: { time: 1h } }\n"

/* A sink delivers at the stop what it has read by then. */
static void until_read(const struct world *w)
{
    static const char series[] = "\ngarner_sink_read_bytes_total{sink=\"lake\"} ";
    struct world_wait wait = {0};
    for (bool read = false; !read;) {
        char *metrics = world_get(w, "/metrics");
        const char *at = strstr(metrics, series);
        assert_non_null(at);
        read = at[sizeof(series) - 1] != '0';
        free(metrics);
        if (!read)
            world_pause(&wait, "the sink to read");
    }
}

static void sigterm_delivers_what_was_read(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_write(&w, "flights.topic", "topic: flights\n");
    world_configure(&w, LATE_LAKE);
    world_start(&w);
    world_post(&w, "flights", "{\"n\":1}\n{\"n\":2}\n", "\"accepted\":2,");
    until_read(&w);
    char *ledger = world_get(&w, "/v1/ledger");
    assert_has(ledger, "\"delivered\":0,");
    free(ledger);
    world_stop(&w);
    char path[1024];
    assert_int_equal(world_files(&w, "lake", ".ndjson", path), 1);
    char *records = world_read(path);
    assert_string_equal(records, "{\"n\":1}\n{\"n\":2}\n");
    free(records);
    world_start(&w);
    ledger = world_get(&w, "/v1/ledger");
    assert_has(ledger, "{\"balanced\":true,");
    assert_has(ledger, "\"delivered\":2,");
    free(ledger);
    world_stop(&w);
    assert_int_equal(world_files(&w, "lake", ".ndjson", path), 1);
    world_done(&w);
}

static void sigint_ends_as_sigterm_does(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct world_capture capture;
    world_capture_begin(&capture);
    world_start(&w);
    world_stop_by(&w, SIGINT);
    char *printed = world_capture_end(&capture);
    assert_has(printed, "\"event\":\"stopping\",\"text\":\"draining for up to 30000 ms; another");
    assert_has(printed, "\"event\":\"stopped\",\"text\":\"all that was acknowledged is on disk\"");
    assert_int_equal(world_connect(&w, INTAKE_PORT), -1);
    assert_int_equal(world_connect(&w, ADMIN_PORT), -1);
    free(printed);
    world_done(&w);
}

static void sighup_reloads_and_says_so(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct world_capture capture;
    world_capture_begin(&capture);
    world_start(&w);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    struct world_wait wait = {0};
    for (bool said = false; !said;) {
        char *log = world_read(capture.path);
        said = strstr(log, "\"event\":\"reloaded\"");
        free(log);
        if (!said)
            world_pause(&wait, "reloaded");
    }
    world_post(&w, "flights", "{}\n", "\"accepted\":1,");
    world_stop(&w);
    free(world_capture_end(&capture));
    world_done(&w);
}

static void a_request_under_way_gets_its_answer(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    int begun = world_connect(&w, INTAKE_PORT);
    assert_true(begun >= 0);
    /* The interim answer says that the server waits for the body: the request is begun. */
    world_send(begun, "POST /v1/topics/flights/records HTTP/1.1\r\nHost: localhost\r\n"
                      "Content-Type: application/x-ndjson\r\nContent-Length: 6\r\n"
                      "Expect: 100-continue\r\n\r\n");
    char interim[128] = {0};
    assert_true(recv(begun, interim, sizeof(interim) - 1, 0) > 0);
    assert_has(interim, "HTTP/1.1 100 ");
    world_send(begun, "{}\n");
    int idle = world_connect(&w, INTAKE_PORT);
    assert_true(idle >= 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    world_until_door(&w, INTAKE_PORT, false);
    char *nothing = world_receive(idle);
    assert_string_equal(nothing, "");
    free(nothing);
    world_send(begun, "{}\n");
    char *answer = world_receive(begun);
    assert_has(answer, "HTTP/1.1 200 ");
    assert_has(answer, "\"accepted\":2,");
    free(answer);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    w.running = false;
    assert_ok(w.error);
    world_done(&w);
}

static void a_request_that_never_ends_does_not_hold_the_stop(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, "shutdown_timeout: 300ms\n");
    world_start(&w);
    int begun = world_connect(&w, INTAKE_PORT);
    assert_true(begun >= 0);
    world_send(begun, "POST /v1/topics/flights/records HTTP/1.1\r\nHost: localhost\r\n"
                      "Content-Type: application/x-ndjson\r\nContent-Length: 6\r\n"
                      "Expect: 100-continue\r\n\r\n");
    char interim[128] = {0};
    assert_true(recv(begun, interim, sizeof(interim) - 1, 0) > 0);
    world_stop(&w);
    close(begun);
    /* Nothing of it was committed. */
    world_configure(&w, "");
    world_start(&w);
    char *ledger = world_get(&w, "/v1/ledger");
    assert_has(ledger, "\"flights\":{\"received\":0,");
    free(ledger);
    world_stop(&w);
    world_done(&w);
}

static void sleep_for_ever(uint64_t ns)
{
    (void)ns;
    for (;;)
        pause();
}

/* Serves in a child process, where no file of the lake gets its name: the call of the sink that
 * publishes does not come back. */
static pid_t serve_in_child(struct world *w)
{
    static const struct io_fault_hooks hooks = {.kill = abort, .sleep_ns = sleep_for_ever};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        err_t err = io_fault_disk_new(io_uv_disk(), "slow:1s:rename:.ndjson:1+", &hooks,
                                      &w->host.disk, NULL);
        if (err_is_ok(err))
            err = server_run(&w->options, &w->why);
        _exit(err_is_ok(err) ? 0 : err_is(err, ERR_TIMEOUT) ? 7 : 99);
    }
    world_until_door(w, ADMIN_PORT, true);
    world_until(w, "/ready", "HTTP/1.1 200 ");
    return child;
}

static int exit_code(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What the child left is finished by the next server, and delivered once. */
static void assert_finished_by_the_next(struct world *w)
{
    char path[1024];
    assert_int_equal(world_files(w, "lake", ".ndjson", path), 0);
    world_configure(w, "sinks:\n  lake: { type: file, topics: [flights], path: './lake', roll: { "
                       "time: 50ms } }\n");
    world_start(w);
    world_until(w, "/v1/ledger", "\"delivered\":1,");
    char *ledger = world_get(w, "/v1/ledger");
    assert_has(ledger, "{\"balanced\":true,");
    free(ledger);
    world_stop(w);
    assert_int_equal(world_files(w, "lake", ".ndjson", path), 1);
    char *records = world_read(path);
    assert_string_equal(records, "{\"a\":1}\n");
    free(records);
}

static void a_sink_that_does_not_come_back_is_left_behind(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LATE_LAKE "shutdown_timeout: 300ms\n");
    pid_t child = serve_in_child(&w);
    world_post(&w, "flights", "{\"a\":1}\n", "\"accepted\":1,");
    until_read(&w);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(exit_code(child), 7);
    assert_finished_by_the_next(&w);
    world_done(&w);
}

static void a_second_signal_ends_at_once(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LATE_LAKE "shutdown_timeout: 1h\n");
    struct world_capture capture;
    world_capture_begin(&capture);
    pid_t child = serve_in_child(&w);
    world_post(&w, "flights", "{\"a\":1}\n", "\"accepted\":1,");
    until_read(&w);
    assert_int_equal(kill(child, SIGTERM), 0);
    world_until_door(&w, INTAKE_PORT, false);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(exit_code(child), 1);
    char *printed = world_capture_end(&capture);
    assert_has(printed, "\"event\":\"stop_now\"");
    free(printed);
    assert_finished_by_the_next(&w);
    world_done(&w);
}

static void while_it_drains_it_is_alive_and_not_ready(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_configure(&w, LATE_LAKE "shutdown_timeout: 1h\n");
    pid_t child = serve_in_child(&w);
    world_post(&w, "flights", "{\"a\":1}\n", "\"accepted\":1,");
    until_read(&w);
    assert_int_equal(kill(child, SIGTERM), 0);
    world_until(&w, "/ready", "{\"ready\":false,\"reason\":\"the HTTP intake does not listen\"}");
    char *answer = world_get(&w, "/health");
    assert_has(answer, "HTTP/1.1 200 ");
    free(answer);
    answer = world_get(&w, "/metrics");
    assert_has(answer, "garner_log_commits_total ");
    assert_has(answer, "garner_sink_lag_offsets{sink=\"lake\"");
    free(answer);
    answer = world_get(&w, "/v1/ledger");
    assert_has(answer, "\"pending\":1");
    free(answer);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(exit_code(child), 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_delivers_what_was_read),
        cmocka_unit_test(sigint_ends_as_sigterm_does),
        cmocka_unit_test(sighup_reloads_and_says_so),
        cmocka_unit_test(a_request_under_way_gets_its_answer),
        cmocka_unit_test(a_request_that_never_ends_does_not_hold_the_stop),
        cmocka_unit_test(a_sink_that_does_not_come_back_is_left_behind),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(while_it_drains_it_is_alive_and_not_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
