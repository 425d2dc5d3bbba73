#include "cli/door.h"

#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "unit/cli/peer.h"

static const char *env(const char *name)
{
    if (strcmp(name, "GARNER_TEST_DOOR") == 0)
        return "http://[::1]:7000/";
    return strcmp(name, "GARNER_TEST_WRONG") == 0 ? "example.com" : NULL;
}

static const struct cli cli = {.env = env};

static void expect_address(const char *given, const char *variable, const char *address)
{
    char out[CLI_DOOR_ADDRESS_SIZE];
    struct err_text why = {0};
    assert_true(err_is_ok(cli_door_address(&cli, given, variable, "127.0.0.1:9600", out, &why)));
    assert_string_equal(out, address);
}

static void a_flag_comes_before_the_environment_and_that_before_the_default(void **state)
{
    (void)state;
    expect_address("127.0.0.1:1", "GARNER_TEST_DOOR", "127.0.0.1:1");
    expect_address(NULL, "GARNER_TEST_DOOR", "[::1]:7000");
    expect_address(NULL, "GARNER_TEST_UNSET", "127.0.0.1:9600");
}

static void a_url_is_taken_for_its_host_and_port(void **state)
{
    (void)state;
    expect_address("http://localhost:80", "X", "localhost:80");
    expect_address("http://127.0.0.1:80/", "X", "127.0.0.1:80");
    expect_address("127.0.0.1:80/", "X", "127.0.0.1:80");
    expect_address("http://broker-1.example.com:80", "X", "broker-1.example.com:80");
}

static void what_is_no_address_is_refused_with_where_it_stands(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "/",
                                        "http://",
                                        "localhost",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:80/path",
                                        "http://127.0.0.1:80//",
                                        "https://127.0.0.1:80",
                                        "example.com:0",
                                        "exam ple.com:80",
                                        "[::1:80"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char out[CLI_DOOR_ADDRESS_SIZE] = "as it was";
        struct err_text why = {0};
        err_t err = cli_door_address(&cli, wrong[i], "X", "127.0.0.1:9600", out, &why);
        if (!err_is(err, ERR_INVALID))
            fail_msg("taken: %s", wrong[i]);
        assert_string_equal(out, "as it was");
        assert_non_null(strstr(why.text, "(--server) is no address"));
        assert_non_null(strstr(why.text, "such as 127.0.0.1:9600"));
    }
    char out[CLI_DOOR_ADDRESS_SIZE];
    struct err_text why = {0};
    assert_true(
        err_is(cli_door_address(&cli, NULL, "GARNER_TEST_WRONG", "127.0.0.1:9600", out, &why),
               ERR_INVALID));
    assert_non_null(strstr(why.text, "'example.com' (GARNER_TEST_WRONG) is no address"));
    char huge[1000];
    memset(huge, '1', sizeof(huge));
    huge[sizeof(huge) - 1] = '\0';
    assert_true(
        err_is(cli_door_address(&cli, huge, "X", "127.0.0.1:9600", out, &why), ERR_INVALID));
}

static void answer_teapot(struct peer *peer, struct net_http_request *request, struct slice body)
{
    (void)peer;
    assert_int_equal(body.size, 0);
    peer_reply(request, 418, SLICE_LITERAL("short and stout"));
}

static void any_status_is_an_answer(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_teapot};
    struct cli_door_answer answer;
    struct err_text why = {0};
    peer_begin(&peer);
    assert_true(err_is_ok(cli_door_get(peer.address, "/v1/tea?milk=no", 60000, &answer, &why)));
    peer_end(&peer);
    assert_int_equal(answer.status, 418);
    assert_slice(buf_slice(&answer.body), "short and stout");
    buf_done(&answer.body);
    assert_string_equal(peer.target, "/v1/tea?milk=no");
    assert_int_equal(peer.requests, 1);
}

static void answer_much(struct peer *peer, struct net_http_request *request, struct slice body)
{
    (void)body;
    const struct buf *text = peer->context;
    peer_reply(request, 200, buf_slice(text));
}

static void an_answer_may_be_large(void **state)
{
    (void)state;
    struct buf text = {0};
    for (uint32_t i = 0; i < 500000; i++)
        buf_add_format(&text, "%07u\n", i);
    struct peer peer = {.answer = answer_much, .context = &text};
    struct cli_door_answer answer;
    struct err_text why = {0};
    peer_begin(&peer);
    assert_true(err_is_ok(cli_door_get(peer.address, "/", 60000, &answer, &why)));
    peer_end(&peer);
    assert_true(slice_equal(buf_slice(&answer.body), buf_slice(&text)));
    buf_done(&answer.body);
    buf_done(&text);
}

static void nobody_there_is_a_refused_connection(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_teapot};
    struct cli_door_answer answer;
    struct err_text why = {0};
    peer_begin(&peer);
    peer_end(&peer);
    assert_true(err_is(cli_door_get(peer.address, "/", 60000, &answer, &why), ERR_IO));
    char expected[128];
    snprintf(expected, sizeof(expected), "no answer from %s: the connection was refused",
             peer.address);
    assert_string_equal(why.text, expected);
    assert_null(answer.body.data);
}

/* Keeps the request; it is answered when the next one comes. */
static void answer_the_one_before(struct peer *peer, struct net_http_request *request,
                                  struct slice body)
{
    (void)body;
    if (peer->context)
        peer_reply(peer->context, 200, SLICE_LITERAL("late"));
    peer->context = request;
    if (peer->requests == 2)
        peer_reply(request, 200, SLICE_LITERAL("in time"));
}

static void an_answer_is_waited_for_as_long_as_was_said(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_the_one_before};
    struct cli_door_answer answer;
    struct err_text why = {0};
    peer_begin(&peer);
    assert_true(err_is(cli_door_get(peer.address, "/", 20, &answer, &why), ERR_TIMEOUT));
    assert_non_null(strstr(why.text, ": timed out"));
    assert_null(answer.body.data);
    assert_true(err_is_ok(cli_door_get(peer.address, "/", 60000, &answer, &why)));
    assert_slice(buf_slice(&answer.body), "in time");
    buf_done(&answer.body);
    peer_end(&peer);
}

static void expect_teapot(struct cli_door *door, const char *method)
{
    struct cli_door_answer answer;
    struct err_text why = {0};
    err_t err = cli_door_ask(door, method, "/tea", 60000, &answer, &why);
    if (!err_is_ok(err))
        fail_msg("%s", err_detail(err, &why));
    assert_int_equal(answer.status, 418);
    assert_slice(buf_slice(&answer.body), "short and stout");
    buf_done(&answer.body);
}

static void a_door_keeps_its_connection(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_teapot};
    struct cli_door *door = NULL;
    peer_begin(&peer);
    assert_true(err_is_ok(cli_door_open(peer.address, &door)));
    for (int i = 0; i < 3; i++) {
        expect_teapot(door, i == 1 ? "DELETE" : "GET");
        assert_true(err_is_ok(cli_door_wait(door, 1)));
    }
    cli_door_close(&door);
    assert_null(door);
    cli_door_close(&door);
    io_post(peer.loop, &peer.stop);
    io_uv_loop_join(peer.loop);
    assert_int_equal(net_http_server_counters(peer.server)->net.connections_total, 1);
    assert_int_equal(peer.requests, 3);
    net_listener_free(&peer.listener);
    net_http_server_free(&peer.server);
    io_uv_loop_free(&peer.loop);
}

static void a_server_that_has_restarted_is_connected_to_anew(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_teapot};
    struct cli_door *door = NULL;
    peer_begin(&peer);
    assert_true(err_is_ok(cli_door_open(peer.address, &door)));
    expect_teapot(door, "GET");
    peer_end(&peer);
    struct cli_door_answer answer;
    struct err_text why = {0};
    assert_true(err_is(cli_door_ask(door, "GET", "/tea", 60000, &answer, &why), ERR_IO));
    peer_begin(&peer);
    expect_teapot(door, "GET");
    peer_end(&peer);
    peer_begin(&peer);
    /* Without having noticed that the connection was gone. */
    expect_teapot(door, "GET");
    peer_end(&peer);
    cli_door_close(&door);
}

static void answer_late(struct peer *peer, struct net_http_request *request, struct slice body)
{
    if (peer->requests == 1)
        peer->context = request;
    else
        answer_the_one_before(peer, request, body);
}

static void a_late_answer_is_not_taken_for_the_next_one(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_late};
    struct cli_door_answer answer;
    struct err_text why = {0};
    struct cli_door *door = NULL;
    peer_begin(&peer);
    assert_true(err_is_ok(cli_door_open(peer.address, &door)));
    assert_true(err_is(cli_door_ask(door, "GET", "/", 20, &answer, &why), ERR_TIMEOUT));
    assert_true(err_is_ok(cli_door_ask(door, "GET", "/", 60000, &answer, &why)));
    assert_slice(buf_slice(&answer.body), "in time");
    buf_done(&answer.body);
    cli_door_close(&door);
    peer_end(&peer);
}

/* Signals instead of answering; the answer comes with the next request. */
static void answer_with_a_signal(struct peer *peer, struct net_http_request *request,
                                 struct slice body)
{
    (void)body;
    peer_reply(request, 200, SLICE_LITERAL("{}"));
    if (peer->requests == 2)
        kill(getpid(), *(int *)peer->context);
}

static void a_signal_ends_what_is_waited_for_and_all_that_follows(void **state)
{
    (void)state;
    static int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        struct peer peer = {.answer = answer_with_a_signal, .context = &signals[i]};
        struct cli_door *door = NULL;
        struct cli_door_answer answer;
        struct err_text why = {0};
        peer_begin(&peer);
        assert_true(err_is_ok(cli_door_open(peer.address, &door)));
        assert_true(err_is_ok(cli_door_watch_signals(door)));
        assert_true(err_is_ok(cli_door_ask(door, "GET", "/", 60000, &answer, &why)));
        buf_done(&answer.body);
        assert_false(cli_door_interrupted(door));
        /* The answer and the signal may come in any order. */
        err_t err = cli_door_ask(door, "GET", "/", 60000, &answer, &why);
        if (err_is_ok(err)) {
            buf_done(&answer.body);
            err = cli_door_wait(door, 3600000);
        }
        assert_true(err_is(err, ERR_CANCELLED));
        assert_true(cli_door_interrupted(door));
        assert_true(err_is(cli_door_wait(door, 3600000), ERR_CANCELLED));
        assert_true(err_is(cli_door_ask(door, "GET", "/", 60000, &answer, &why), ERR_CANCELLED));
        cli_door_close(&door);
        peer_end(&peer);
        assert_int_equal(peer.requests, 2);
    }
}

static void reasons_are_for_people(void **state)
{
    (void)state;
    assert_string_equal(cli_door_reason(err_make(ERR_IO)), "the connection was refused");
    assert_string_equal(cli_door_reason(err_make(ERR_CLOSED)), "closed by the peer");
    assert_string_equal(cli_door_reason(err_make(ERR_TIMEOUT)), "timed out");
    /* Names lead to no host, or are asked for in vain. */
    assert_non_null(strstr(cli_door_reason(err_make(ERR_NOT_FOUND)), "give its IP address"));
    assert_non_null(strstr(cli_door_reason(err_make(ERR_AGAIN)), "give the IP address"));
}

/* Where memory fails before there is a peer, so that only this side can be hit. */
static void what_was_said_by_somebody_would_be_said_again(void **state)
{
    (void)state;
    static const enum err_code final[] = {ERR_NOT_FOUND, ERR_UNSUPPORTED, ERR_INVALID,
                                          ERR_PERMISSION};
    /* A server that is not there yet, goes down, or is slow. */
    static const enum err_code passing[] = {ERR_IO,     ERR_CLOSED, ERR_TIMEOUT,
                                            ERR_MEMORY, ERR_SYNTAX, ERR_AGAIN};
    for (size_t i = 0; i < 4; i++)
        assert_true(cli_door_is_final(err_make(final[i])));
    for (size_t i = 0; i < 6; i++)
        assert_false(cli_door_is_final(err_make(passing[i])));
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_teapot};
    peer_begin(&peer);
    peer_end(&peer);
    err_t err = err_make(ERR_MEMORY);
    uint64_t n = 0;
    while (err_is(err, ERR_MEMORY)) {
        struct cli_door_answer answer;
        struct err_text why = {0};
        mem_fail_after(++n);
        err = cli_door_get(peer.address, "/", 60000, &answer, &why);
        mem_fail_after(0);
        assert_null(answer.body.data);
    }
    assert_true(err_is(err, ERR_IO));
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flag_comes_before_the_environment_and_that_before_the_default),
        cmocka_unit_test(a_url_is_taken_for_its_host_and_port),
        cmocka_unit_test(what_is_no_address_is_refused_with_where_it_stands),
        cmocka_unit_test(any_status_is_an_answer),
        cmocka_unit_test(an_answer_may_be_large),
        cmocka_unit_test(nobody_there_is_a_refused_connection),
        cmocka_unit_test(an_answer_is_waited_for_as_long_as_was_said),
        cmocka_unit_test(a_door_keeps_its_connection),
        cmocka_unit_test(a_server_that_has_restarted_is_connected_to_anew),
        cmocka_unit_test(a_late_answer_is_not_taken_for_the_next_one),
        cmocka_unit_test(a_signal_ends_what_is_waited_for_and_all_that_follows),
        cmocka_unit_test(reasons_are_for_people),
        cmocka_unit_test(what_was_said_by_somebody_would_be_said_again),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
