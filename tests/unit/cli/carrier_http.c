#include "cli/carrier.h"

#include "lib/unit.h"

#include "unit/net/fake_tcp.h"

/* What a channel makes of answers; how a load lives with them is in unit/cli/load.c. */

struct fixture {
    struct fake_loop *fake;
    struct cli_carrier *carrier;
    struct cli_channel *channel;
    unsigned ready;
    unsigned answers;
    unsigned closed;
    struct cli_carrier_answer answer;
    char detail[ERR_TEXT_SIZE];
};

static void on_ready(void *owner)
{
    ((struct fixture *)owner)->ready++;
}

static void on_answer(void *owner, const struct cli_carrier_answer *answer)
{
    struct fixture *f = owner;
    f->answers++;
    f->answer = *answer;
    snprintf(f->detail, sizeof(f->detail), "%s", answer->detail ? answer->detail : "");
}

static void on_closed(void *owner, err_t err, const char *detail)
{
    struct fixture *f = owner;
    (void)err;
    f->closed++;
    snprintf(f->detail, sizeof(f->detail), "%s", detail);
    cli_channel_free(&f->channel);
}

static const struct cli_carrier_events events = {on_ready, on_answer, on_closed};

static struct fixture *begin(bool numbered)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err_text why = {0};
    f->fake = fake_loop_new();
    const struct cli_carrier_http_options options = {
        &f->fake->loop, "127.0.0.1:80", "events", "application/x-ndjson", numbered, 0xabc};
    assert_true(err_is_ok(cli_carrier_http(&options, &f->carrier)));
    assert_true(err_is_ok(cli_channel_open(f->carrier, 7, &events, f, &f->channel, &why)));
    fake_run(f->fake);
    assert_int_equal(f->ready, 1);
    return f;
}

static void end(struct fixture *f)
{
    if (f->channel)
        cli_channel_close(f->channel);
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    cli_carrier_free(&f->carrier);
    fake_loop_free(f->fake);
    free(f);
}

static void send_body(struct fixture *f, const char *body, uint64_t number)
{
    const struct cli_carrier_request request = {slice_string(body), 1, number};
    fake_forget_written(f->fake->tcps[0]);
    cli_channel_send(f->channel, &request);
}

static void answer(struct fixture *f, const char *head, const char *body)
{
    char text[512];
    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body),
             body);
    send_body(f, "{}\n", 1);
    fake_send_text(f->fake->tcps[0], text);
    fake_run(f->fake);
}

static void a_request_has_a_head_for_its_body(void **state)
{
    (void)state;
    struct fixture *f = begin(false);
    send_body(f, "{}\n", 1);
    assert_string_equal(fake_written(f->fake->tcps[0]),
                        "POST /v1/topics/events/records HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
                        "Content-Type: application/x-ndjson\r\nContent-Length: 3\r\n\r\n{}\n");
    end(f);
}

static void a_numbered_request_says_who_sends_it_and_its_number(void **state)
{
    (void)state;
    struct fixture *f = begin(true);
    send_body(f, "{}\n", 41);
    assert_int_equal(fake_count(f->fake->tcps[0], "Garner-Producer: gen-0000000000000abc-7\r\n"
                                                  "Garner-Sequence: 41\r\n\r\n"),
                     1);
    end(f);
}

static void answers_with_counts_are_told_as_such(void **state)
{
    (void)state;
    struct fixture *f = begin(false);
    answer(f, "200 OK", "{\"accepted\":1}");
    assert_int_equal(f->answer.kind, CLI_CARRIER_COUNTS);
    assert_int_equal(f->answer.counts.accepted, 1);
    assert_true(f->answer.persistent);
    assert_int_equal(f->answer.status, 200);
    answer(f, "422 No", "{\"accepted\":0,\"refused\":1}");
    assert_int_equal(f->answer.kind, CLI_CARRIER_COUNTS);
    assert_int_equal(f->answer.counts.refused, 1);
    end(f);
}

static void answers_that_say_later_say_whether_anything_was_taken(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *body;
        bool maybe;
        uint64_t pause_ms;
    } cases[] = {
        {"429 Slow\r\nRetry-After: 2", "", false, 2000},
        {"503 No\r\nRetry-After: 1000", "{\"error\":\"busy\"}", false, 10000},
        {"503 No", "{\"error\":\"fenced\"}", true, 250},
        {"500 Oh", "", true, 250},
        {"408 Late", "", false, 250},
    };
    struct fixture *f = begin(false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        answer(f, cases[i].head, cases[i].body);
        assert_int_equal(f->answer.kind, CLI_CARRIER_LATER);
        assert_int_equal(f->answer.maybe_taken, cases[i].maybe);
        assert_int_equal(f->answer.pause_ns, cases[i].pause_ms * IO_MS);
    }
    end(f);
}

static void anything_else_is_final(void **state)
{
    (void)state;
    struct fixture *f = begin(false);
    answer(f, "404 No", "nothing here");
    assert_int_equal(f->answer.kind, CLI_CARRIER_FINAL);
    assert_false(f->answer.maybe_taken);
    assert_string_equal(f->detail, "127.0.0.1:80 answered 404: nothing here");
    answer(f, "200 OK", "hello");
    assert_int_equal(f->answer.kind, CLI_CARRIER_FINAL);
    assert_true(f->answer.maybe_taken);
    end(f);
}

static void the_end_of_the_connection_is_told(void **state)
{
    (void)state;
    struct fixture *f = begin(false);
    send_body(f, "{}\n", 1);
    fake_end(f->fake->tcps[0], ERR_IO);
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    assert_string_equal(f->detail, "the connection was refused");
    end(f);
}

static void a_server_that_there_is_not_is_told_with_its_address(void **state)
{
    (void)state;
    struct fixture *f = begin(false);
    fake_end(f->fake->tcps[0], ERR_NOT_FOUND);
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    assert_non_null(strstr(f->detail, "127.0.0.1:80: there is no host of that name"));
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_a_head_for_its_body),
        cmocka_unit_test(a_numbered_request_says_who_sends_it_and_its_number),
        cmocka_unit_test(answers_with_counts_are_told_as_such),
        cmocka_unit_test(answers_that_say_later_say_whether_anything_was_taken),
        cmocka_unit_test(anything_else_is_final),
        cmocka_unit_test(the_end_of_the_connection_is_told),
        cmocka_unit_test(a_server_that_there_is_not_is_told_with_its_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
