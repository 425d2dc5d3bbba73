#include "cli/load.h"

#include "lib/unit.h"

#include "base/alloc.h"
#include "base/number.h"
#include "unit/net/fake_tcp.h"

/*
 * Load on a loop whose time stands still until a test moves it, and a server that is the test: it
 * answers, refuses, stops half way or goes as it likes, and the accounts must say what it did.
 */

#define assert_ok(expression) assert_string_equal(err_name(expression), "OK")
#define COUNT_MAX 5000
#define ID "00000001-"

struct fixture {
    struct fake_loop *fake;
    struct cli_events events;
    struct cli_acks acks;
    struct cli_carrier *carrier;
    struct cli_load *load;
    struct cli_carrier_http_options http;
    struct cli_load_options options;
    struct io_tcp_ops refusing;
    unsigned ended;
    err_t ended_for;
    char why[ERR_TEXT_SIZE];
    uint32_t copies[COUNT_MAX]; /* of each record that the server has taken */
};

static void on_ended(void *owner, err_t err, const struct err_text *why)
{
    struct fixture *f = owner;
    f->ended++;
    f->ended_for = err;
    snprintf(f->why, sizeof(f->why), "%s", err_detail(err, why));
}

static struct fixture *prepare(uint32_t batch, uint64_t count)
{
    const struct cli_events_options events = {
        .run = 1, .size = 100, .batch = batch, .broken = {0, 1}};
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    assert_ok(cli_events_init(&f->events, &events));
    cli_acks_init(&f->acks, &f->events);
    f->options = (struct cli_load_options){
        .loop = &f->fake->loop,
        .address = "127.0.0.1:80",
        .events = &f->events,
        .acks = &f->acks,
        .keeps_acks = true,
        .connections = 1,
        .count = count,
        .duplicates = {0, 1},
        .seed = 7,
        .retry = true,
        .timeout_ms = 30000,
        .patience_ms = 60000,
    };
    f->http = (struct cli_carrier_http_options){
        .loop = &f->fake->loop,
        .address = "127.0.0.1:80",
        .topic = "events",
        .content_type = "application/x-ndjson",
    };
    return f;
}

static void start(struct fixture *f)
{
    assert_ok(cli_carrier_http(&f->http, &f->carrier));
    f->options.carrier = f->carrier;
    assert_ok(cli_load_new(&f->options, &f->load));
    cli_load_start(f->load, on_ended, f);
    fake_run(f->fake);
}

static struct fixture *begin(uint32_t batch, uint64_t count)
{
    struct fixture *f = prepare(batch, count);
    start(f);
    return f;
}

static void end(struct fixture *f)
{
    if (f->load && f->ended == 0) {
        cli_load_cancel(f->load);
        fake_run(f->fake);
    }
    assert_int_equal(f->ended, f->load ? 1 : 0);
    assert_int_equal(f->fake->timer_count, 0);
    cli_load_free(&f->load);
    assert_null(f->load);
    cli_carrier_free(&f->carrier);
    cli_acks_done(&f->acks);
    cli_events_done(&f->events);
    fake_loop_free(f->fake);
    free(f);
}

static const struct cli_load_stats *stats(const struct fixture *f)
{
    return cli_load_stats(f->load);
}

static struct io_tcp *connection(const struct fixture *f, int index)
{
    assert_in_range(index, 0, f->fake->tcp_count - 1);
    return f->fake->tcps[index];
}

/* Whether a request waits there for its answer. */
static bool waits(const struct fixture *f, int index)
{
    const struct io_tcp *tcp = connection(f, index);
    return !tcp->closed && !tcp->ended && tcp->out.size > 0;
}

static unsigned record_count(const struct fixture *f, int index)
{
    return fake_count(connection(f, index), ID);
}

/* Answers what was sent on the connection. */
static void reply(struct fixture *f, int index, int status, const char *fields, const char *body)
{
    char head[256];
    struct io_tcp *tcp = connection(f, index);
    snprintf(head, sizeof(head), "HTTP/1.1 %d Text\r\nContent-Length: %zu\r\n%s\r\n", status,
             strlen(body), fields);
    fake_forget_written(tcp);
    fake_send_text(tcp, head);
    fake_send_text(tcp, body);
    fake_run(f->fake);
}

static void accept_all(struct fixture *f, int index)
{
    char body[64];
    snprintf(body, sizeof(body), "{\"accepted\":%u}", record_count(f, index));
    reply(f, index, 200, "", body);
}

static void hang_up(struct fixture *f, int index)
{
    fake_end(connection(f, index), ERR_END);
    fake_run(f->fake);
}

/* Record `sequence` must be there `sure` times, and may be `maybe` times more. */
static void expect(const struct fixture *f, uint64_t sequence, uint32_t sure, uint32_t maybe)
{
    struct cli_ack ack = cli_acks_get(&f->acks, sequence);
    if (ack.sure != sure || ack.maybe != maybe)
        fail_msg("record %llu: sure %u, maybe %u; expected %u, %u", (unsigned long long)sequence,
                 ack.sure, ack.maybe, sure, maybe);
}

static void expect_all(const struct fixture *f, uint64_t count, uint32_t sure, uint32_t maybe)
{
    assert_int_equal(f->acks.count, count);
    for (uint64_t i = 0; i < count; i++)
        expect(f, i, sure, maybe);
}

static void ended_well(const struct fixture *f)
{
    assert_int_equal(f->ended, 1);
    assert_ok(f->ended_for);
}

static void every_record_is_sent_once_and_counted(void **state)
{
    (void)state;
    struct fixture *f = begin(10, 25);
    assert_int_equal(record_count(f, 0), 10);
    accept_all(f, 0);
    assert_int_equal(record_count(f, 0), 10);
    accept_all(f, 0);
    assert_int_equal(f->ended, 0);
    assert_int_equal(record_count(f, 0), 5);
    accept_all(f, 0);
    ended_well(f);
    assert_int_equal(f->fake->tcp_count, 1);
    assert_int_equal(stats(f)->sent, 25);
    assert_int_equal(stats(f)->accepted, 25);
    assert_int_equal(stats(f)->requests, 3);
    assert_int_equal(stats(f)->bytes, 25 * 101);
    assert_int_equal(stats(f)->statuses[200], 3);
    assert_int_equal(stats(f)->latency.count, 3);
    assert_int_equal(stats(f)->lost + stats(f)->retries + stats(f)->given_up + stats(f)->wrong, 0);
    expect_all(f, 25, 1, 0);
    end(f);
}

static void a_request_is_what_the_intake_wants(void **state)
{
    (void)state;
    struct fixture *f = begin(2, 3);
    const char *sent = fake_written(connection(f, 0));
    const char *head =
        "POST /v1/topics/events/records HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
        "Content-Type: application/x-ndjson\r\nContent-Length: 202\r\n\r\n"
        "{\"id\":\"00000001-000000000000\",\"event_time\":\"2015-10-21T07:28:00.000Z\"";
    assert_ptr_equal(strstr(sent, head), sent);
    accept_all(f, 0);
    assert_non_null(strstr(fake_written(connection(f, 0)), "\r\nContent-Length: 101\r\n\r\n"));
    end(f);
}

static void a_numbered_request_keeps_its_number_until_it_is_answered(void **state)
{
    (void)state;
    struct fixture *f = prepare(2, 8);
    f->options.connections = 2;
    f->options.numbered = f->http.numbered = true;
    f->http.producers = 0xabc;
    start(f);
    static const char *const first =
        "Garner-Producer: gen-0000000000000abc-0\r\nGarner-Sequence: 0\r\n";
    static const char *const next =
        "Garner-Producer: gen-0000000000000abc-0\r\nGarner-Sequence: 1\r\n";
    assert_non_null(strstr(fake_written(connection(f, 0)), first));
    assert_non_null(strstr(fake_written(connection(f, 1)), "abc-1\r\nGarner-Sequence: 0\r\n"));
    hang_up(f, 0);
    fake_advance(f->fake, 1000);
    assert_non_null(strstr(fake_written(connection(f, 2)), first));
    reply(f, 2, 200, "", "{\"accepted\":0,\"duplicates\":2}");
    assert_non_null(strstr(fake_written(connection(f, 2)), next));
    /* However often it was lost: it is there once. */
    expect(f, 0, 1, 0);
    expect(f, 1, 1, 0);
    reply(f, 2, 503, "", "{\"error\":\"fenced\"}");
    fake_advance(f->fake, 1000);
    assert_non_null(strstr(fake_written(connection(f, 2)), next));
    accept_all(f, 2);
    accept_all(f, 1);
    /* What is given up is there once, or not at all. */
    assert_true(waits(f, 1) || waits(f, 2));
    cli_load_cancel(f->load);
    fake_run(f->fake);
    expect(f, 2, 1, 0);
    uint32_t doubts = 0;
    for (uint64_t i = 0; i < f->acks.count; i++)
        doubts += cli_acks_get(&f->acks, i).maybe;
    assert_int_equal(doubts, stats(f)->given_up);
    end(f);
}

static void each_connection_has_one_request_under_way(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 7);
    f->options.connections = 3;
    start(f);
    assert_int_equal(f->fake->tcp_count, 3);
    for (int round = 0; round < 2; round++) {
        for (int i = 2; i >= 0; i--) {
            assert_int_equal(record_count(f, i), 1);
            accept_all(f, i);
        }
    }
    assert_int_equal(record_count(f, 2), 1);
    assert_false(waits(f, 0) || waits(f, 1));
    assert_int_equal(f->ended, 0);
    accept_all(f, 2);
    ended_well(f);
    expect_all(f, 7, 1, 0);
    end(f);
}

static void a_lost_answer_leaves_the_outcome_open_and_the_same_bytes_follow(void **state)
{
    (void)state;
    struct fixture *f = begin(10, 10);
    char *first = strdup(fake_written(connection(f, 0)));
    hang_up(f, 0);
    expect_all(f, 10, 0, 1);
    assert_int_equal(stats(f)->lost, 1);
    fake_advance(f->fake, 100);
    assert_int_equal(f->fake->tcp_count, 2);
    assert_string_equal(fake_written(connection(f, 1)), first);
    free(first);
    accept_all(f, 1);
    ended_well(f);
    expect_all(f, 10, 1, 1);
    assert_int_equal(stats(f)->sent, 10);
    assert_int_equal(stats(f)->accepted, 10);
    assert_int_equal(stats(f)->retries, 1);
    assert_int_equal(stats(f)->requests, 1);
    end(f);
}

static void an_answer_torn_anywhere_is_a_lost_one(void **state)
{
    (void)state;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"accepted\":1}";
    for (size_t size = 0; size < sizeof(answer) - 1; size++) {
        struct fixture *f = begin(1, 1);
        fake_send(connection(f, 0), answer, size);
        hang_up(f, 0);
        assert_int_equal(f->ended, 0);
        assert_int_equal(stats(f)->lost, 1);
        expect_all(f, 1, 0, 1);
        fake_advance(f->fake, 1000);
        accept_all(f, 1);
        ended_well(f);
        expect_all(f, 1, 1, 1);
        end(f);
    }
}

static void what_is_not_http_is_no_answer(void **state)
{
    (void)state;
    struct fixture *f = begin(1, 1);
    fake_send_text(connection(f, 0), "220 mail.example.com ESMTP\r\n\r\n");
    fake_run(f->fake);
    assert_int_equal(stats(f)->lost, 1);
    expect_all(f, 1, 0, 1);
    fake_advance(f->fake, 1000);
    assert_true(waits(f, 1));
    end(f);
}

static void an_idle_connection_that_closes_loses_nothing(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 2);
    f->options.rate = 1;
    start(f);
    accept_all(f, 0);
    hang_up(f, 0);
    fake_advance(f->fake, 900);
    assert_int_equal(f->fake->tcp_count, 2);
    assert_false(waits(f, 1));
    fake_advance(f->fake, 100);
    assert_true(waits(f, 1));
    accept_all(f, 1);
    ended_well(f);
    assert_int_equal(stats(f)->lost + stats(f)->retries, 0);
    expect_all(f, 2, 1, 0);
    end(f);
}

static void an_answer_that_ends_its_connection_is_an_answer(void **state)
{
    (void)state;
    struct fixture *f = begin(1, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(f->fake->tcp_count, i + 1);
        reply(f, i, 200, "Connection: close\r\n", "{\"accepted\":1}");
        hang_up(f, i);
        fake_advance(f->fake, 1);
    }
    ended_well(f);
    assert_int_equal(stats(f)->lost, 0);
    expect_all(f, 3, 1, 0);
    end(f);
}

static void later_is_waited_for_as_long_as_it_says(void **state)
{
    (void)state;
    struct fixture *f = begin(1, 1);
    reply(f, 0, 503, "Retry-After: 2\r\n", "{\"error\":\"log_full\"}");
    fake_advance(f->fake, 1999);
    assert_false(waits(f, 0));
    fake_advance(f->fake, 1);
    assert_true(waits(f, 0));
    /* No longer than ten seconds, whatever it says. */
    reply(f, 0, 429, "Retry-After: 3600\r\n", "{\"error\":\"quota\"}");
    fake_advance(f->fake, 9999);
    assert_false(waits(f, 0));
    fake_advance(f->fake, 1);
    assert_true(waits(f, 0));
    reply(f, 0, 429, "Retry-After: tomorrow\r\n", "");
    fake_advance(f->fake, 250);
    assert_true(waits(f, 0));
    accept_all(f, 0);
    ended_well(f);
    assert_int_equal(stats(f)->retries, 3);
    assert_int_equal(stats(f)->lost, 0);
    assert_int_equal(stats(f)->statuses[503], 1);
    assert_int_equal(stats(f)->statuses[429], 2);
    expect_all(f, 1, 1, 0);
    end(f);
}

static void a_pause_that_was_asked_for_outlives_the_connection(void **state)
{
    (void)state;
    struct fixture *f = begin(1, 1);
    reply(f, 0, 503, "Retry-After: 5\r\nConnection: close\r\n", "{\"error\":\"draining\"}");
    hang_up(f, 0);
    fake_advance(f->fake, 4999);
    assert_int_equal(f->fake->tcp_count, 1);
    fake_advance(f->fake, 1);
    assert_int_equal(f->fake->tcp_count, 2);
    accept_all(f, 1);
    ended_well(f);
    assert_int_equal(stats(f)->lost, 0);
    end(f);
}

static void what_later_says_of_the_outcome_is_believed(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        bool lost;
    } cases[] = {
        {408, "", false},
        {429, "", false},
        {503, "{\"error\":\"busy\"}", false},
        {503, "{\"error\":\"log_full\",\"detail\":\"x\"}", false},
        {503, "{\"error\":\"fenced\"}", true},
        {503, "<html>", true},
        {503, "{}", true},
        {503, "", true},
        {500, "{\"error\":\"internal\"}", true},
        {502, "", true},
        {504, "", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = begin(1, 1);
        reply(f, 0, cases[i].status, "", cases[i].body);
        assert_int_equal(f->ended, 0);
        assert_int_equal(stats(f)->lost, cases[i].lost);
        expect_all(f, 1, 0, cases[i].lost);
        fake_advance(f->fake, 1000);
        accept_all(f, 0);
        ended_well(f);
        expect_all(f, 1, 1, cases[i].lost);
        end(f);
    }
}

static void without_retry_each_request_is_sent_once(void **state)
{
    (void)state;
    struct fixture *f = prepare(10, 40);
    f->options.retry = false;
    start(f);
    hang_up(f, 0);
    fake_advance(f->fake, 1000);
    reply(f, 1, 503, "", "{\"error\":\"busy\"}");
    fake_advance(f->fake, 1000);
    reply(f, 1, 500, "", "");
    fake_advance(f->fake, 1000);
    accept_all(f, 1);
    ended_well(f);
    assert_int_equal(stats(f)->given_up, 30);
    assert_int_equal(stats(f)->retries, 0);
    assert_int_equal(stats(f)->lost, 2);
    expect(f, 0, 0, 1);
    expect(f, 10, 0, 0);
    expect(f, 20, 0, 1);
    expect(f, 30, 1, 0);
    end(f);
}

static void a_refusal_for_good_ends_the_load(void **state)
{
    (void)state;
    struct fixture *f = prepare(5, 100);
    f->options.connections = 2;
    start(f);
    reply(f, 0, 404, "", "  {\"error\":\"unknown_topic\"}\n");
    fake_run(f->fake);
    assert_int_equal(f->ended, 1);
    assert_true(err_is(f->ended_for, ERR_INVALID));
    assert_string_equal(f->why, "127.0.0.1:80 answered 404: {\"error\":\"unknown_topic\"}");
    assert_int_equal(stats(f)->given_up, 10);
    assert_int_equal(stats(f)->sent, 10);
    /* The one was not taken; of the other nobody knows. */
    assert_int_equal(stats(f)->lost, 1);
    expect(f, 0, 0, 0);
    expect(f, 5, 0, 1);
    end(f);
}

static void success_without_counts_leaves_the_outcome_open(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "ok", "{\"status\":\"ok\"}", "{\"accepted\":null}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct fixture *f = begin(1, 5);
        reply(f, 0, 200, "", bodies[i]);
        assert_int_equal(f->ended, 1);
        assert_true(err_is(f->ended_for, ERR_INVALID));
        assert_int_equal(stats(f)->lost, 1);
        assert_int_equal(stats(f)->given_up, 1);
        expect_all(f, 1, 0, 1);
        end(f);
    }
}

static void counts_of_every_kind_are_added_up(void **state)
{
    (void)state;
    struct fixture *f = begin(4, 8);
    reply(f, 0, 200, "",
          "{\"accepted\":1,\"duplicates\":1,\"dead_lettered\":2,"
          "\"errors\":[{\"index\":0},{\"index\":3}]}");
    reply(f, 0, 422, "",
          "{\"accepted\":0,\"refused\":4,\"errors\":[{\"index\":0},{\"index\":1},{\"index\":2},"
          "{\"index\":3}]}");
    ended_well(f);
    assert_int_equal(stats(f)->accepted, 1);
    assert_int_equal(stats(f)->duplicates, 1);
    assert_int_equal(stats(f)->dead_lettered, 2);
    assert_int_equal(stats(f)->refused, 4);
    assert_int_equal(stats(f)->wrong, 0);
    assert_int_equal(cli_acks_get(&f->acks, 3).verdict, CLI_ACKS_DEAD);
    assert_int_equal(cli_acks_get(&f->acks, 4).verdict, CLI_ACKS_REFUSED);
    end(f);
}

static void an_answer_that_does_not_add_up_is_counted_as_wrong(void **state)
{
    (void)state;
    struct fixture *f = begin(4, 4);
    reply(f, 0, 200, "", "{\"accepted\":3}");
    ended_well(f);
    assert_int_equal(stats(f)->wrong, 1);
    expect_all(f, 4, 0, 1);
    end(f);
}

static err_t refuse(struct io_loop *loop, const char *address, const struct io_tcp_events *events,
                    void *owner, struct io_tcp **out, struct err_text *why)
{
    TRY(fake_connect(loop, address, events, owner, out, why));
    (*out)->end_error = err_make(ERR_IO);
    return err_ok();
}

/* From here on every connection is refused. */
static void go_away(struct fixture *f)
{
    f->refusing = fake_tcp_ops;
    f->refusing.connect = refuse;
    f->fake->loop.tcp = &f->refusing;
}

static void come_back(struct fixture *f)
{
    f->fake->loop.tcp = &fake_tcp_ops;
}

static void no_server_at_the_start_is_said_at_once(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1);
    f->options.connections = 3;
    go_away(f);
    start(f);
    assert_int_equal(f->ended, 1);
    assert_true(err_is(f->ended_for, ERR_IO));
    assert_string_equal(f->why, "no server at 127.0.0.1:80 (the connection was refused); start one "
                                "with `garner serve`, or say where it is with --server");
    assert_int_equal(stats(f)->sent, 0);
    end(f);
}

static void an_address_that_cannot_be_used_is_said_at_once(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1);
    f->options.connections = 3;
    f->http.address = f->options.address = "nowhere";
    start(f);
    assert_int_equal(f->ended, 1);
    assert_true(err_is(f->ended_for, ERR_INVALID));
    assert_non_null(strstr(f->why, "nowhere is no address"));
    end(f);
}

static void a_server_that_is_awaited_may_come_late(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1);
    f->options.waits_for_server = true;
    go_away(f);
    start(f);
    fake_advance(f->fake, 10000);
    come_back(f);
    assert_int_equal(f->ended, 0);
    /* It is looked for ever more slowly, but never less than four times a second. */
    assert_in_range(f->fake->tcp_count, 40, 60);
    fake_advance(f->fake, 250);
    accept_all(f, f->fake->tcp_count - 1);
    ended_well(f);
    assert_int_equal(stats(f)->lost, 0);
    expect_all(f, 1, 1, 0);
    end(f);
}

static void patience_ends_and_what_is_open_is_given_up(void **state)
{
    (void)state;
    struct fixture *f = begin(5, 100);
    accept_all(f, 0);
    go_away(f);
    hang_up(f, 0);
    fake_advance(f->fake, 59000);
    assert_int_equal(f->ended, 0);
    fake_advance(f->fake, 2000);
    assert_int_equal(f->ended, 1);
    assert_true(err_is(f->ended_for, ERR_TIMEOUT));
    assert_string_equal(f->why, "no answer from 127.0.0.1:80 for 60 s");
    assert_int_equal(stats(f)->accepted, 5);
    assert_int_equal(stats(f)->given_up, 5);
    assert_int_equal(stats(f)->sent, 10);
    expect(f, 0, 1, 0);
    expect(f, 5, 0, 1);
    end(f);
}

static void nothing_to_send_takes_no_patience(void **state)
{
    (void)state;
    struct fixture *f = prepare(100, 200);
    f->options.rate = 1;
    start(f);
    accept_all(f, 0);
    fake_advance(f->fake, 99000);
    assert_int_equal(f->ended, 0);
    fake_advance(f->fake, 1000);
    accept_all(f, 0);
    ended_well(f);
    end(f);
}

static void an_answer_that_takes_too_long_is_given_up_and_asked_for_again(void **state)
{
    (void)state;
    struct fixture *f = begin(1, 1);
    fake_advance(f->fake, 29999);
    assert_int_equal(f->fake->tcp_count, 1);
    fake_advance(f->fake, 1000);
    assert_int_equal(f->fake->tcp_count, 2);
    assert_int_equal(stats(f)->timeouts, 1);
    assert_int_equal(stats(f)->lost, 1);
    accept_all(f, 1);
    ended_well(f);
    expect_all(f, 1, 1, 1);
    /* How long it took counts from when it was due. */
    assert_true(stats(f)->latency_max_ns >= 30 * IO_SECOND);
    end(f);
}

static void a_rate_is_kept_and_made_up_for(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 1000);
    f->options.rate = 10;
    start(f);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(stats(f)->sent, i + 1);
        accept_all(f, 0);
        fake_advance(f->fake, 99);
        assert_int_equal(stats(f)->sent, i + 1);
        fake_advance(f->fake, 1);
    }
    /* Two seconds without an answer: what was due meanwhile follows at once, and no more. */
    fake_advance(f->fake, 2000);
    uint64_t sent = stats(f)->sent;
    while (waits(f, 0))
        accept_all(f, 0);
    assert_int_equal(stats(f)->sent, sent + 20);
    end(f);
}

static void a_stop_waits_for_what_is_under_way(void **state)
{
    (void)state;
    struct fixture *f = prepare(3, 0);
    f->options.connections = 2;
    start(f);
    accept_all(f, 0);
    cli_load_stop(f->load);
    cli_load_stop(f->load);
    fake_run(f->fake);
    assert_int_equal(f->ended, 0);
    hang_up(f, 0);
    accept_all(f, 1);
    assert_int_equal(f->ended, 0);
    fake_advance(f->fake, 1000);
    accept_all(f, 2);
    ended_well(f);
    assert_int_equal(stats(f)->sent, 9);
    assert_int_equal(stats(f)->accepted, 9);
    end(f);
}

static void a_stop_of_an_idle_load_ends_it(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 0);
    f->options.rate = 1;
    start(f);
    accept_all(f, 0);
    cli_load_stop(f->load);
    assert_int_equal(f->ended, 0);
    fake_run(f->fake);
    ended_well(f);
    end(f);
}

static void a_cancel_leaves_open_what_was_under_way(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 0);
    f->options.connections = 3;
    start(f);
    reply(f, 0, 503, "", "{\"error\":\"busy\"}");
    accept_all(f, 1);
    cli_load_cancel(f->load);
    assert_int_equal(f->ended, 0);
    cli_load_cancel(f->load);
    fake_run(f->fake);
    assert_int_equal(f->ended, 1);
    assert_true(err_is(f->ended_for, ERR_CANCELLED));
    assert_int_equal(stats(f)->sent, 4);
    assert_int_equal(stats(f)->accepted, 1);
    assert_int_equal(stats(f)->given_up, 3);
    assert_int_equal(stats(f)->lost, 2);
    expect(f, 0, 0, 0);
    expect(f, 1, 1, 0);
    expect(f, 2, 0, 1);
    end(f);
}

/* The sequences of a request's records, in its order. */
static unsigned sequences(const struct fixture *f, int index, uint64_t out[static 64])
{
    unsigned count = 0;
    const char *at = fake_written(connection(f, index));
    while ((at = strstr(at, ID))) {
        at += sizeof(ID) - 1;
        assert_true(count < 64);
        assert_ok(number_parse_u64(slice_make(at, CLI_EVENTS_SEQUENCE_SIZE), &out[count++]));
    }
    return count;
}

static void duplicates_are_records_that_were_sent_before(void **state)
{
    (void)state;
    struct fixture *f = prepare(10, 1000);
    f->options.duplicates = (struct cli_share){3, 10};
    start(f);
    uint64_t next = 0;
    uint64_t again = 0;
    while (waits(f, 0)) {
        uint64_t sent[64];
        unsigned count = sequences(f, 0, sent);
        uint64_t before = next;
        for (unsigned i = 0; i < count; i++) {
            if (sent[i] == next)
                next++;
            else
                assert_true(sent[i] < before);
            again += sent[i] < before;
        }
        accept_all(f, 0);
    }
    ended_well(f);
    assert_int_equal(next, 1000);
    assert_int_equal(stats(f)->sent, 1000);
    assert_int_equal(stats(f)->again, again);
    assert_int_equal(stats(f)->accepted, 1000 + again);
    /* Three of ten of all, but none in the first request. */
    assert_in_range(again, 1000 * 3 / 7 - 12, 1000 * 3 / 7);
    end(f);
}

static void single_records_can_be_duplicates_too(void **state)
{
    (void)state;
    struct fixture *f = prepare(1, 100);
    f->options.duplicates = (struct cli_share){1, 2};
    start(f);
    while (waits(f, 0))
        accept_all(f, 0);
    ended_well(f);
    assert_int_equal(stats(f)->sent, 100);
    assert_in_range(stats(f)->again, 98, 100);
    end(f);
}

static void without_a_list_the_counts_are_the_same(void **state)
{
    (void)state;
    struct fixture *f = prepare(10, 20);
    f->options.keeps_acks = false;
    start(f);
    hang_up(f, 0);
    fake_advance(f->fake, 1000);
    accept_all(f, 1);
    reply(f, 1, 200, "", "{\"accepted\":9}");
    ended_well(f);
    assert_int_equal(stats(f)->accepted, 19);
    assert_int_equal(stats(f)->wrong, 1);
    assert_int_equal(stats(f)->lost, 1);
    assert_null(f->acks.states);
    end(f);
}

static void take(struct fixture *f, int index)
{
    uint64_t sent[64];
    unsigned count = sequences(f, index, sent);
    for (unsigned i = 0; i < count; i++)
        f->copies[sent[i]]++;
}

/* One thing that a server might do with a request. */
static void behave(struct fixture *f, int index, uint64_t what)
{
    struct io_tcp *tcp = connection(f, index);
    switch (what) {
    case 0: hang_up(f, index); return;
    case 1:
        take(f, index);
        hang_up(f, index);
        return;
    case 2:
        take(f, index);
        fake_send_text(tcp, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"acc");
        hang_up(f, index);
        return;
    case 3: reply(f, index, 503, "", "{\"error\":\"busy\"}"); return;
    case 4:
        take(f, index);
        reply(f, index, 503, "Connection: close\r\n", "{\"error\":\"fenced\"}");
        hang_up(f, index);
        return;
    case 5:
        take(f, index);
        fake_end(tcp, ERR_IO);
        fake_run(f->fake);
        return;
    default:
        take(f, index);
        accept_all(f, index);
        return;
    }
}

/* Whatever the server does, what it has taken is within what the list says. */
static void the_list_is_right_whatever_the_server_does(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 20; round++) {
        struct fixture *f = prepare(1 + (uint32_t)(unit_random(&seed) % 20), 2000);
        f->options.connections = 1 + (uint32_t)(unit_random(&seed) % 5);
        f->options.duplicates = (struct cli_share){unit_random(&seed) % 6, 10};
        f->options.retry = unit_random(&seed) % 4 != 0;
        start(f);
        for (uint64_t step = 0; f->ended == 0; step++) {
            assert_true(step < 100000);
            int count = f->fake->tcp_count;
            for (int i = count > 40 ? count - 40 : 0; i < count; i++)
                if (waits(f, i) && unit_random(&seed) % 2 == 0)
                    behave(f, i, unit_random(&seed) % 12);
            fake_advance(f->fake, unit_random(&seed) % 100);
        }
        ended_well(f);
        const struct cli_load_stats *got = stats(f);
        assert_int_equal(got->sent, 2000);
        assert_int_equal(got->accepted + got->given_up, got->sent + got->again);
        for (uint64_t i = 0; i < 2000; i++) {
            struct cli_ack ack = cli_acks_get(&f->acks, i);
            assert_true(f->copies[i] >= ack.sure);
            assert_true(ack.unbounded || f->copies[i] <= ack.sure + ack.maybe);
        }
        end(f);
    }
}

/* A load that loses any one allocation ends all the same, with accounts that are right. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    bool over = false;
    for (uint64_t n = 1; !over; n++) {
        struct fixture *f = prepare(5, 20);
        f->options.connections = 2;
        mem_fail_after(n);
        err_t err = cli_carrier_http(&f->http, &f->carrier);
        f->options.carrier = f->carrier;
        if (err_is_ok(err))
            err = cli_load_new(&f->options, &f->load);
        if (err_is_ok(err)) {
            cli_load_start(f->load, on_ended, f);
            for (int step = 0; f->ended == 0 && step < 1000; step++) {
                for (int i = 0; i < f->fake->tcp_count; i++)
                    if (waits(f, i))
                        accept_all(f, i);
                fake_advance(f->fake, 50);
            }
            over = mem_alloc_count() < n;
            mem_fail_after(0);
            assert_int_equal(f->ended, 1);
            assert_int_equal(stats(f)->accepted + stats(f)->given_up, stats(f)->sent);
            if (over)
                ended_well(f);
        } else {
            mem_fail_after(0);
            assert_true(err_is(err, ERR_MEMORY));
            assert_null(f->load);
        }
        end(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_is_sent_once_and_counted),
        cmocka_unit_test(a_request_is_what_the_intake_wants),
        cmocka_unit_test(a_numbered_request_keeps_its_number_until_it_is_answered),
        cmocka_unit_test(each_connection_has_one_request_under_way),
        cmocka_unit_test(a_lost_answer_leaves_the_outcome_open_and_the_same_bytes_follow),
        cmocka_unit_test(an_answer_torn_anywhere_is_a_lost_one),
        cmocka_unit_test(what_is_not_http_is_no_answer),
        cmocka_unit_test(an_idle_connection_that_closes_loses_nothing),
        cmocka_unit_test(an_answer_that_ends_its_connection_is_an_answer),
        cmocka_unit_test(later_is_waited_for_as_long_as_it_says),
        cmocka_unit_test(a_pause_that_was_asked_for_outlives_the_connection),
        cmocka_unit_test(what_later_says_of_the_outcome_is_believed),
        cmocka_unit_test(without_retry_each_request_is_sent_once),
        cmocka_unit_test(a_refusal_for_good_ends_the_load),
        cmocka_unit_test(success_without_counts_leaves_the_outcome_open),
        cmocka_unit_test(counts_of_every_kind_are_added_up),
        cmocka_unit_test(an_answer_that_does_not_add_up_is_counted_as_wrong),
        cmocka_unit_test(no_server_at_the_start_is_said_at_once),
        cmocka_unit_test(an_address_that_cannot_be_used_is_said_at_once),
        cmocka_unit_test(a_server_that_is_awaited_may_come_late),
        cmocka_unit_test(patience_ends_and_what_is_open_is_given_up),
        cmocka_unit_test(nothing_to_send_takes_no_patience),
        cmocka_unit_test(an_answer_that_takes_too_long_is_given_up_and_asked_for_again),
        cmocka_unit_test(a_rate_is_kept_and_made_up_for),
        cmocka_unit_test(a_stop_waits_for_what_is_under_way),
        cmocka_unit_test(a_stop_of_an_idle_load_ends_it),
        cmocka_unit_test(a_cancel_leaves_open_what_was_under_way),
        cmocka_unit_test(duplicates_are_records_that_were_sent_before),
        cmocka_unit_test(single_records_can_be_duplicates_too),
        cmocka_unit_test(without_a_list_the_counts_are_the_same),
        cmocka_unit_test(the_list_is_right_whatever_the_server_does),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
