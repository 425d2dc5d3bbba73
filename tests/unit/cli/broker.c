#include "cli/broker.h"

#include "unit/cli/fake_broker.h"

#include "base/alloc.h"

struct fixture {
    struct fake_loop *fake;
    struct fake_broker peer;
    struct cli_broker *broker;
    const struct cli_access *access;
    unsigned ready;
    unsigned answers;
    unsigned closed;
    int16_t code;
    bool other; /* the answer was for other partitions */
    void *tag;
    err_t closed_for;
    char why[ERR_TEXT_SIZE];
};

static void on_ready(void *owner)
{
    ((struct fixture *)owner)->ready++;
}

static void on_answer(void *owner, void *tag, const struct proto_kafka_api *api,
                      const void *response)
{
    struct fixture *f = owner;
    f->answers++;
    f->tag = tag;
    if (api->key != PROTO_KAFKA_PRODUCE)
        return;
    const struct proto_kafka_produce_response_partition *told = cli_broker_produced(response);
    f->other = !told;
    f->code = told ? told->error_code : 0;
}

static void on_closed(void *owner, err_t err, const struct err_text *why)
{
    struct fixture *f = owner;
    f->closed++;
    f->closed_for = err;
    snprintf(f->why, sizeof(f->why), "%s", why->text);
}

static const struct cli_broker_events events = {on_ready, on_answer, on_closed};

static struct fixture *prepare(uint32_t partitions)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    f->peer = fake_broker_make("events", partitions);
    return f;
}

static void start(struct fixture *f)
{
    struct err_text why = {0};
    const struct cli_broker_options options = {
        &f->fake->loop, "127.0.0.1:9092", "events", 1 << 20, 2, f->access};
    assert_true(err_is_ok(cli_broker_open(&options, &events, f, &f->broker, &why)));
    assert_false(cli_broker_has_room(f->broker));
    fake_broker_serve(&f->peer, f->fake);
}

static struct fixture *begin(uint32_t partitions)
{
    struct fixture *f = prepare(partitions);
    start(f);
    assert_int_equal(f->ready, 1);
    return f;
}

static void end(struct fixture *f)
{
    cli_broker_close(f->broker);
    cli_broker_close(f->broker);
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    cli_broker_free(&f->broker);
    assert_null(f->broker);
    fake_broker_done(&f->peer);
    fake_loop_free(f->fake);
    free(f);
}

static void produce(struct fixture *f, uint32_t partition, const char *value, void *tag)
{
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    assert_true(err_is_ok(
        flow_batch_builder_add(&b, 1, slice_make(NULL, 0), slice_string(value), NULL, 0)));
    const struct cli_broker_produce request = {partition, -1, 1000, flow_batch_builder_finish(&b)};
    assert_true(err_is_ok(cli_broker_produce(f->broker, &request, tag)));
    flow_batch_builder_done(&b);
}

static void a_broker_is_ready_once_it_has_told_its_partitions(void **state)
{
    (void)state;
    struct fixture *f = begin(3);
    assert_int_equal(cli_broker_partition_count(f->broker), 3);
    assert_int_equal(f->peer.requests, 2);
    assert_true(cli_broker_has_room(f->broker));
    end(f);
}

/* In every version that a batch may go in: with and without tagged fields. */
static void a_batch_comes_to_its_partition_as_it_is(void **state)
{
    (void)state;
    for (int16_t version = 3; version <= 13; version++) {
        struct fixture *f = prepare(2);
        int tag;
        f->peer.produce_last = version;
        start(f);
        produce(f, 1, "one", &tag);
        produce(f, 1, "two", &tag);
        assert_false(cli_broker_has_room(f->broker));
        fake_broker_serve(&f->peer, f->fake);
        assert_int_equal(f->answers, 2);
        assert_ptr_equal(f->tag, &tag);
        assert_int_equal(f->code, 0);
        assert_int_equal(f->peer.ends[0], 0);
        assert_int_equal(f->peer.ends[1], 2);
        assert_int_equal(f->peer.last_acks, -1);
        assert_int_equal(f->peer.last_version, version < 11 ? version : 11);
        end(f);
    }
}

static void a_broker_that_takes_no_batches_is_told_of(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.produce_last = 2;
    start(f);
    assert_int_equal(f->ready, 1);
    const struct cli_broker_produce one = {
        .partition = 0, .acks = -1, .timeout_ms = 1000, .batch = SLICE_LITERAL("one")};
    assert_false(err_is_ok(cli_broker_produce(f->broker, &one, NULL)));
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    assert_string_equal(err_name(f->closed_for), "UNSUPPORTED");
    assert_non_null(strstr(f->why, "no version of produce that is known here (3 to 11)"));
    end(f);
}

static void what_a_broker_says_of_a_batch_is_told(void **state)
{
    (void)state;
    struct fixture *f = begin(1);
    f->peer.produce_code = 19;
    produce(f, 0, "x", NULL);
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->code, 19);
    f->peer.two_answers = true;
    produce(f, 0, "x", NULL);
    fake_broker_serve(&f->peer, f->fake);
    assert_true(f->other);
    end(f);
}

static void expect_closed(struct fixture *f, const char *name, const char *text)
{
    start(f);
    assert_int_equal(f->ready, 0);
    assert_int_equal(f->closed, 1);
    assert_string_equal(err_name(f->closed_for), name);
    if (!strstr(f->why, text))
        fail_msg("'%s' does not say '%s'", f->why, text);
    end(f);
}

static void a_broker_that_cannot_serve_is_told_with_the_reason(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.metadata_code = 3;
    expect_closed(f, "NOT_FOUND", "has no topic events; declare it");
    f = prepare(1);
    f->peer.metadata_code = 29;
    expect_closed(f, "INVALID", "TOPIC_AUTHORIZATION_FAILED (29)");
    f = prepare(1);
    f->peer.metadata_code = 5;
    expect_closed(f, "AGAIN", "LEADER_NOT_AVAILABLE");
    f = prepare(2);
    f->peer.no_leader = true;
    expect_closed(f, "AGAIN", "no leader yet");
    f = prepare(2);
    f->peer.two_leaders = true;
    expect_closed(f, "UNSUPPORTED", "several brokers");
    f = prepare(1);
    f->peer.other_topic = true;
    expect_closed(f, "SYNTAX", "something else");
    f = prepare(1);
    f->peer.versions_code = 35;
    expect_closed(f, "UNSUPPORTED", "UNSUPPORTED_VERSION");
    f = prepare(1);
    f->peer.without = PROTO_KAFKA_METADATA;
    expect_closed(f, "UNSUPPORTED", "no version of metadata");
    f = prepare(1);
    f->peer.garble_at = 2;
    expect_closed(f, "SYNTAX", "");
    f = prepare(1);
    f->peer.close_at = 1;
    expect_closed(f, "CLOSED", "closed by the peer");
}

static void an_api_that_the_broker_lacks_ends_the_connection_when_it_is_needed(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.without = PROTO_KAFKA_FETCH;
    start(f);
    struct proto_kafka_fetch_request request;
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_FETCH)->request, &request);
    assert_true(
        err_is(cli_broker_send(f->broker, PROTO_KAFKA_FETCH, &request, NULL), ERR_UNSUPPORTED));
    fake_run(f->fake);
    assert_true(err_is(f->closed_for, ERR_UNSUPPORTED));
    assert_non_null(strstr(f->why, "fetch"));
    end(f);
}

static void an_answer_that_is_none_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *f = begin(1);
    f->peer.garble_at = 3;
    produce(f, 0, "x", NULL);
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->answers, 0);
    assert_true(err_is(f->closed_for, ERR_SYNTAX));
    end(f);
}

static void codes_have_names_and_meanings(void **state)
{
    (void)state;
    assert_int_equal(cli_broker_verdict(0), CLI_BROKER_DONE);
    assert_int_equal(cli_broker_verdict(6), CLI_BROKER_LATER);
    assert_int_equal(cli_broker_verdict(56), CLI_BROKER_UNKNOWN);
    assert_int_equal(cli_broker_verdict(-1), CLI_BROKER_UNKNOWN);
    assert_int_equal(cli_broker_verdict(87), CLI_BROKER_REFUSED);
    assert_int_equal(cli_broker_verdict(CLI_BROKER_TOO_LARGE), CLI_BROKER_FAILED);
    assert_int_equal(cli_broker_verdict(1234), CLI_BROKER_FAILED);
    assert_string_equal(cli_broker_code_name(87), "INVALID_RECORD");
    assert_string_equal(cli_broker_code_name(1234), "error");
    assert_string_equal(cli_broker_code_name(68), "NON_EMPTY_GROUP");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    bool over = false;
    for (uint64_t n = 1; !over; n++) {
        struct fixture *f = prepare(1);
        struct err_text why = {0};
        const struct cli_broker_options options = {&f->fake->loop, "127.0.0.1:9092", "events",
                                                   1 << 20, 2};
        mem_fail_after(n);
        err_t err = cli_broker_open(&options, &events, f, &f->broker, &why);
        if (err_is_ok(err))
            fake_run(f->fake);
        over = mem_alloc_count() < n;
        mem_fail_after(0);
        if (err_is_ok(err)) {
            end(f);
        } else {
            assert_true(err_is(err, ERR_MEMORY));
            fake_loop_free(f->fake);
            free(f);
        }
    }
}

/* Users of the broker's, as who comes; where there is a text, what is told instead of ready. */
static void log_in(struct fake_sasl *sasl, uint32_t mechanism, const char *password,
                   enum err_code code, const char *text)
{
    struct cli_access access = {.user = "mia", .mechanism = mechanism};
    struct fixture *f = prepare(2);
    sasl->user = "mia";
    sasl->password = "secret";
    buf_add_string(&access.password, password);
    f->access = &access;
    f->peer.sasl = sasl;
    if (text) {
        start(f);
        assert_int_equal(f->ready, 0);
        assert_true(err_is(f->closed_for, code));
        if (!strstr(f->why, text))
            fail_msg("'%s' does not say '%s'", f->why, text);
    } else {
        start(f);
        assert_int_equal(f->ready, 1);
        assert_true(sasl->done);
        produce(f, 1, "one", NULL);
        fake_broker_serve(&f->peer, f->fake);
        assert_int_equal(f->answers, 1);
        assert_int_equal(f->peer.ends[1], 1);
    }
    if (sasl->steps == 1)
        control_auth_done(&sasl->exchange);
    buf_done(&access.password);
    end(f);
}

static void who_is_known_to_the_broker_is_let_in(void **state)
{
    (void)state;
    for (uint32_t mechanism = 0; mechanism < 3; mechanism++)
        log_in(&(struct fake_sasl){0}, mechanism, "secret", ERR_OK, NULL);
}

static void who_is_not_is_told_what_the_broker_says(void **state)
{
    (void)state;
    for (uint32_t mechanism = 0; mechanism < 3; mechanism++)
        log_in(&(struct fake_sasl){0}, mechanism, "wrong", ERR_PERMISSION,
               "127.0.0.1:9092: the broker refuses user mia: who is that? (58)");
    log_in(&(struct fake_sasl){.only = "PLAIN"}, 0, "secret", ERR_UNSUPPORTED,
           "does not take SCRAM-SHA-512 but PLAIN; choose one with --sasl");
    log_in(&(struct fake_sasl){.handshake_code = 34}, 0, "secret", ERR_UNSUPPORTED,
           "leave out --user");
    log_in(&(struct fake_sasl){.handshake_code = 35}, 0, "secret", ERR_UNSUPPORTED, "with 35");
}

/* It lets in whoever comes, for what they send. */
static void a_broker_that_does_not_know_the_password_gets_nothing(void **state)
{
    (void)state;
    for (uint32_t mechanism = 0; mechanism < 2; mechanism++)
        for (int silent = 0; silent < 2; silent++)
            log_in(&(struct fake_sasl){.lies = true, .silent = silent}, mechanism, "other",
                   ERR_PERMISSION, "does not prove that it knows the password");
}

static void a_login_that_is_cut_off_ends_it(void **state)
{
    (void)state;
    for (unsigned at = 2; at <= 4; at++) {
        for (int garbled = 0; garbled < 2; garbled++) {
            struct cli_access access = {.user = "mia"};
            struct fake_sasl sasl = {.user = "mia", .password = "secret"};
            struct fixture *f = prepare(1);
            buf_add_string(&access.password, "secret");
            f->access = &access;
            f->peer.sasl = &sasl;
            *(garbled ? &f->peer.garble_at : &f->peer.close_at) = at;
            start(f);
            assert_int_equal(f->ready, 0);
            assert_int_equal(f->closed, 1);
            assert_true(err_is(f->closed_for, garbled ? ERR_SYNTAX : ERR_CLOSED));
            if (sasl.steps == 1)
                control_auth_done(&sasl.exchange);
            buf_done(&access.password);
            end(f);
        }
    }
}

/* A close is all that such listeners say. */
static void what_a_close_may_mean_is_told(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.close_at = 1;
    expect_closed(f, "CLOSED", "as by a listener that has TLS: give --tls");
    struct fake_sasl sasl = {.user = "mia"};
    f = prepare(1);
    f->peer.sasl = &sasl;
    expect_closed(f, "CLOSED", "asks who its clients are: give --user");
    struct cli_access access = {.user = "mia"};
    f = prepare(1);
    f->access = &access;
    expect_closed(f, "UNSUPPORTED", "does not ask who its clients are; leave out --user");
}

static void over_tls_the_servers_fault_is_told(void **state)
{
    (void)state;
    for (int spoken = 0; spoken < 2; spoken++) {
        struct fixture *f = prepare(1);
        struct cli_access access = {0};
        struct err_text why = {0};
        assert_true(err_is_ok(net_tls_client_new(slice_make(NULL, 0), NULL, &access.trust, &why)));
        assert_true(err_is_ok(cli_access_begin(&access, &f->fake->loop)));
        const struct cli_broker_options options = {
            &f->fake->loop, "127.0.0.1:9092", "events", 1 << 20, 2, &access};
        assert_true(err_is_ok(cli_broker_open(&options, &events, f, &f->broker, &why)));
        fake_run(f->fake);
        if (spoken)
            fake_send_text(f->fake->tcps[0], "HTTP/1.1 400 Bad Request\r\n\r\n");
        fake_end(f->fake->tcps[0], ERR_END);
        fake_run(f->fake);
        assert_int_equal(f->closed, 1);
        assert_true(err_is(f->closed_for, spoken ? ERR_INVALID : ERR_CLOSED));
        assert_non_null(strstr(f->why, spoken ? "127.0.0.1:9092: the server does not speak TLS"
                                              : "in the TLS handshake"));
        cli_broker_free(&f->broker);
        cli_access_done(&access);
        fake_broker_done(&f->peer);
        fake_loop_free(f->fake);
        free(f);
    }
}

static void without_a_topic_it_is_ready_behind_the_versions(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    struct err_text why = {0};
    const struct cli_broker_options options = {&f->fake->loop, "127.0.0.1:9092", NULL, 1 << 20, 2};
    assert_true(err_is_ok(cli_broker_open(&options, &events, f, &f->broker, &why)));
    fake_broker_serve(&f->peer, f->fake);
    assert_int_equal(f->ready, 1);
    assert_int_equal(f->peer.requests, 1);
    assert_int_equal(cli_broker_partition_count(f->broker), 0);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_known_to_the_broker_is_let_in),
        cmocka_unit_test(who_is_not_is_told_what_the_broker_says),
        cmocka_unit_test(a_broker_that_does_not_know_the_password_gets_nothing),
        cmocka_unit_test(a_login_that_is_cut_off_ends_it),
        cmocka_unit_test(what_a_close_may_mean_is_told),
        cmocka_unit_test(over_tls_the_servers_fault_is_told),
        cmocka_unit_test(without_a_topic_it_is_ready_behind_the_versions),
        cmocka_unit_test(a_broker_is_ready_once_it_has_told_its_partitions),
        cmocka_unit_test(a_batch_comes_to_its_partition_as_it_is),
        cmocka_unit_test(a_broker_that_takes_no_batches_is_told_of),
        cmocka_unit_test(what_a_broker_says_of_a_batch_is_told),
        cmocka_unit_test(a_broker_that_cannot_serve_is_told_with_the_reason),
        cmocka_unit_test(an_api_that_the_broker_lacks_ends_the_connection_when_it_is_needed),
        cmocka_unit_test(an_answer_that_is_none_ends_the_connection),
        cmocka_unit_test(codes_have_names_and_meanings),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
