#include "net/kafka/client.h"

#include "lib/unit.h"

#include "base/alloc.h"
#include "base/cursor.h"
#include "proto/kafka/messages.h"
#include "unit/net/fake_tcp.h"

/* A connection to a broker that is the test, which says the truth or not. */

#define SIZE_MAX_ 1000u
#define IN_FLIGHT 3u

struct fixture {
    struct fake_loop *fake;
    struct net_kafka_client *client;
    struct io_tcp *tcp;
    unsigned ready;
    unsigned answers;
    unsigned closed;
    bool send_again;
    bool close_within;
    void *tag;
    struct fake_bytes message;
    err_t closed_for;
};

static const struct proto_kafka_api *metadata(void)
{
    return proto_kafka_api(PROTO_KAFKA_METADATA);
}

static err_t send(struct fixture *f, const char *text, void *tag)
{
    struct slice parts[] = {slice_string(text), SLICE_LITERAL("!")};
    return net_kafka_client_send(f->client, metadata(), 8, parts, 2, false, tag);
}

static void on_ready(void *owner)
{
    ((struct fixture *)owner)->ready++;
}

static void on_answer(void *owner, const struct net_kafka_client_answer *answer)
{
    struct fixture *f = owner;
    f->answers++;
    f->tag = answer->tag;
    assert_ptr_equal(answer->api, metadata());
    assert_in_range(answer->version, 8, 9);
    f->message.size = 0;
    fake_append(&f->message, answer->message.data, answer->message.size);
    if (f->send_again)
        assert_true(err_is_ok(send(f, "again", answer->tag)));
    if (f->close_within)
        net_kafka_client_close(f->client);
}

static void on_closed(void *owner, err_t err)
{
    struct fixture *f = owner;
    f->closed++;
    f->closed_for = err;
}

static const struct net_kafka_client_events events = {on_ready, on_answer, on_closed};

static struct fixture *begin(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    struct err_text why = {0};
    const struct net_kafka_client_options options = {
        .loop = &f->fake->loop,
        .address = "127.0.0.1:9092",
        .client_id = "tester",
        .answer_size_max = SIZE_MAX_,
        .in_flight_max = IN_FLIGHT,
    };
    assert_true(err_is_ok(net_kafka_client_new(&options, &events, f, &f->client, &why)));
    f->tcp = f->fake->tcps[0];
    fake_run(f->fake);
    assert_int_equal(f->ready, 1);
    return f;
}

static void end(struct fixture *f)
{
    net_kafka_client_close(f->client);
    net_kafka_client_close(f->client);
    assert_false(net_kafka_client_has_room(f->client));
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    net_kafka_client_free(&f->client);
    assert_null(f->client);
    fake_loop_free(f->fake);
    free(f->message.data);
    free(f);
}

static void end_closed_for(struct fixture *f, const char *name)
{
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    assert_string_equal(err_name(f->closed_for), name);
    assert_true(err_is(send(f, "late", NULL), ERR_CLOSED));
    end(f);
}

static void frame(struct fixture *f, uint32_t size, uint32_t id, const char *text)
{
    uint8_t head[8];
    put_u32be(head, size);
    put_u32be(head + 4, id);
    fake_send(f->tcp, head, sizeof(head));
    fake_send_text(f->tcp, text);
}

static void answer(struct fixture *f, uint32_t id, const char *text)
{
    frame(f, (uint32_t)(4 + strlen(text)), id, text);
    fake_run(f->fake);
}

static void a_request_is_size_header_and_message(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_true(err_is_ok(send(f, "what", NULL)));
    assert_int_equal(f->tcp->out.size, 4 + 8 + 2 + 6 + 5);
    assert_memory_equal(f->tcp->out.data,
                        "\0\0\0\x15"
                        "\0\3\0\x8"
                        "\0\0\0\0"
                        "\0\6tester"
                        "what!",
                        f->tcp->out.size);
    assert_int_equal(f->tcp->writes, 1);
    end(f);
}

static void answers_come_in_the_order_of_requests_with_their_tags(void **state)
{
    (void)state;
    struct fixture *f = begin();
    int tags[IN_FLIGHT];
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < IN_FLIGHT; i++) {
            assert_true(net_kafka_client_has_room(f->client));
            assert_true(err_is_ok(send(f, "x", &tags[i])));
        }
        assert_false(net_kafka_client_has_room(f->client));
        for (uint32_t i = 0; i < IN_FLIGHT; i++) {
            answer(f, round * IN_FLIGHT + i, "yes");
            assert_ptr_equal(f->tag, &tags[i]);
            assert_int_equal(f->answers, round * IN_FLIGHT + i + 1);
            assert_int_equal(f->message.size, 3);
        }
    }
    end(f);
}

static void answers_may_come_together_or_a_byte_at_a_time(void **state)
{
    (void)state;
    for (size_t piece = 0; piece < 12; piece++) {
        struct fixture *f = begin();
        f->tcp->piece = piece;
        for (uint32_t i = 0; i < IN_FLIGHT; i++)
            assert_true(err_is_ok(send(f, "x", NULL)));
        frame(f, 7, 0, "one");
        frame(f, 7, 1, "two");
        frame(f, 9, 2, "three");
        fake_run(f->fake);
        assert_int_equal(f->answers, 3);
        assert_memory_equal(f->message.data, "three", 5);
        end(f);
    }
}

static void the_next_request_can_be_sent_from_the_answer(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_true(err_is_ok(send(f, "x", NULL)));
    f->send_again = true;
    answer(f, 0, "a");
    answer(f, 1, "b");
    assert_int_equal(f->answers, 2);
    assert_int_equal(f->tcp->writes, 3);
    end(f);
}

static void closing_from_an_answer_brings_no_more_of_them(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_true(err_is_ok(send(f, "x", NULL)));
    assert_true(err_is_ok(send(f, "x", NULL)));
    f->close_within = true;
    frame(f, 5, 0, "a");
    frame(f, 5, 1, "b");
    fake_run(f->fake);
    assert_int_equal(f->answers, 1);
    end_closed_for(f, "OK");
}

static void silent_requests_take_no_room(void **state)
{
    (void)state;
    struct fixture *f = begin();
    struct slice part = SLICE_LITERAL("x");
    for (int i = 0; i < 10; i++)
        assert_true(
            err_is_ok(net_kafka_client_send(f->client, metadata(), 8, &part, 1, true, NULL)));
    assert_true(net_kafka_client_has_room(f->client));
    assert_true(err_is_ok(send(f, "x", NULL)));
    answer(f, 10, "a");
    assert_int_equal(f->answers, 1);
    end(f);
}

static void the_header_of_an_answer_is_that_of_its_version(void **state)
{
    (void)state;
    struct fixture *f = begin();
    struct slice part = SLICE_LITERAL("x");
    assert_true(err_is_ok(net_kafka_client_send(f->client, metadata(), 9, &part, 1, false, NULL)));
    uint8_t bytes[] = {0, 0, 0, 6, 0, 0, 0, 0, 0, 'm'};
    fake_send(f->tcp, bytes, sizeof(bytes));
    fake_run(f->fake);
    assert_int_equal(f->answers, 1);
    assert_memory_equal(f->message.data, "m", 1);
    end(f);
}

/* What lies: the size, the id, and answering nothing. */
static void an_answer_that_lies_ends_the_connection(void **state)
{
    (void)state;
    const struct {
        uint32_t size;
        uint32_t id;
        const char *error;
    } lies[] = {
        {3, 0, "SYNTAX"},
        {0, 0, "SYNTAX"},
        {UINT32_MAX, 0, "SYNTAX"},
        {0x80000000u, 0, "SYNTAX"},
        {SIZE_MAX_ + 1, 0, "TOO_LARGE"},
        {INT32_MAX, 0, "TOO_LARGE"},
        {5, 1, "SYNTAX"},
        {5, UINT32_MAX, "SYNTAX"},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct fixture *f = begin();
        assert_true(err_is_ok(send(f, "x", NULL)));
        assert_true(err_is_ok(send(f, "x", NULL)));
        frame(f, lies[i].size, lies[i].id, "a");
        fake_run(f->fake);
        assert_int_equal(f->answers, 0);
        end_closed_for(f, lies[i].error);
    }
    struct fixture *f = begin();
    frame(f, 5, 0, "a");
    end_closed_for(f, "SYNTAX");
}

static void an_answer_at_the_cap_is_taken(void **state)
{
    (void)state;
    struct fixture *f = begin();
    char text[SIZE_MAX_ - 3];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    f->tcp->piece = 100;
    assert_true(err_is_ok(send(f, "x", NULL)));
    answer(f, 0, text);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->message.size, SIZE_MAX_ - 4);
    end(f);
}

static void an_end_of_the_peer_is_told(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_true(err_is_ok(send(f, "x", NULL)));
    frame(f, 100, 0, "half");
    fake_end(f->tcp, ERR_END);
    end_closed_for(f, "CLOSED");
    f = begin();
    fake_end(f->tcp, ERR_IO);
    end_closed_for(f, "IO");
}

static void a_write_that_fails_closes(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->tcp->write_fails = true;
    assert_true(err_is(send(f, "x", NULL), ERR_CLOSED));
    end_closed_for(f, "CLOSED");
}

static void without_memory_it_ends_and_nothing_is_lost_from_sight(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture *f = calloc(1, sizeof(*f));
        f->fake = fake_loop_new();
        const struct net_kafka_client_options options = {&f->fake->loop, "127.0.0.1:1", "t",
                                                         SIZE_MAX_, IN_FLIGHT};
        struct err_text why = {0};
        mem_fail_after(n);
        bool done = false;
        if (err_is_ok(net_kafka_client_new(&options, &events, f, &f->client, &why))) {
            f->tcp = f->fake->tcps[0];
            fake_run(f->fake);
            if (err_is_ok(send(f, "x", NULL)))
                answer(f, 0, "a");
            fake_run(f->fake);
            done = f->answers == 1;
            assert_true(done || err_is(f->closed_for, ERR_MEMORY));
            mem_fail_after(0);
            end(f);
        } else {
            mem_fail_after(0);
            fake_loop_free(f->fake);
            free(f);
        }
        if (done)
            return;
    }
}

static void an_address_that_is_none_is_refused(void **state)
{
    (void)state;
    struct fake_loop *fake = fake_loop_new();
    struct net_kafka_client *client = NULL;
    struct err_text why = {0};
    const struct net_kafka_client_options options = {&fake->loop, "nowhere", "t", 10, 1};
    assert_true(err_is(net_kafka_client_new(&options, &events, NULL, &client, &why), ERR_INVALID));
    assert_null(client);
    assert_non_null(strstr(why.text, "nowhere"));
    net_kafka_client_free(&client);
    fake_loop_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_size_header_and_message),
        cmocka_unit_test(answers_come_in_the_order_of_requests_with_their_tags),
        cmocka_unit_test(answers_may_come_together_or_a_byte_at_a_time),
        cmocka_unit_test(the_next_request_can_be_sent_from_the_answer),
        cmocka_unit_test(closing_from_an_answer_brings_no_more_of_them),
        cmocka_unit_test(silent_requests_take_no_room),
        cmocka_unit_test(the_header_of_an_answer_is_that_of_its_version),
        cmocka_unit_test(an_answer_that_lies_ends_the_connection),
        cmocka_unit_test(an_answer_at_the_cap_is_taken),
        cmocka_unit_test(an_end_of_the_peer_is_told),
        cmocka_unit_test(a_write_that_fails_closes),
        cmocka_unit_test(without_memory_it_ends_and_nothing_is_lost_from_sight),
        cmocka_unit_test(an_address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
