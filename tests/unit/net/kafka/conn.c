#include "unit/net/kafka/fixture.h"

static void requests_are_taken_off_the_bytes_wherever_they_are_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 12; piece++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        tcp->piece = piece;
        fixture_request(tcp, "e one");
        fixture_request(tcp, "");
        fixture_send(f, tcp, "e three");
        assert_int_equal(f->requests, 3);
        assert_answered(tcp, "e one", "e three");
        fixture_free(f);
    }
}

static void many_requests_in_one_read_are_answered_in_one_write(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    for (int i = 0; i < 20; i++)
        fixture_request(tcp, "e");
    fake_run(f->fake);
    assert_int_equal(tcp->writes, 1);
    assert_int_equal(tcp->out.size, 20 * 5);
    assert_int_equal(fixture_counters(f)->net.bytes_in, 20 * 5);
    assert_int_equal(fixture_counters(f)->net.bytes_out, 20 * 5);
    fixture_free(f);
}

static void answers_keep_the_order_of_the_requests(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, "later 1");
    fixture_send(f, tcp, "e 2");
    fixture_send(f, tcp, "none");
    fixture_send(f, tcp, "later 4");
    fixture_reply(f, 1, "4");
    assert_int_equal(tcp->out.size, 0);
    fixture_reply(f, 0, "1");
    assert_answered(tcp, "1", "e 2", "4");
    fixture_free(f);
}

static void a_large_request_is_read_where_it_stays(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    size_t size = 3 << 20;
    char *large = malloc(size + 1);
    assert_non_null(large);
    memset(large, 'e', size);
    large[size] = '\0';
    fixture_request(tcp, large);
    fixture_send(f, tcp, "e small");
    assert_answered(tcp, large, "e small");
    free(large);
    fixture_free(f);
}

static void a_request_waits_for_memory_and_what_is_behind_it_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    f->wait_size = 5;
    fixture_request(tcp, "e one");
    fixture_send(f, tcp, "e second");
    assert_int_equal(f->requests, 0);
    assert_false(tcp->reading);
    f->wait_size = 0;
    net_kafka_request_start(f->waiting);
    assert_int_equal(f->requests, 0);
    fake_run(f->fake);
    assert_answered(tcp, "e one", "e second");
    assert_true(tcp->reading);
    fixture_free(f);
}

/* Of many connections that would be more than their requests may take. */
static void where_much_is_held_little_is_read(void **state)
{
    (void)state;
    struct net_kafka_limits limits;
    net_kafka_limits_init(&limits);
    limits.held_bytes_max = 1000;
    struct fixture *f = fixture_new(&limits);
    char *large = calloc(1, 4001);
    memset(large, 'e', 4000);
    f->wait_size = 4000;
    struct io_tcp *first = fixture_connect(f);
    fixture_send(f, first, large);
    assert_int_equal(first->taken, 4004);
    struct net_kafka_request *waiting = f->waiting;
    struct io_tcp *second = fixture_connect(f);
    fixture_send(f, second, large);
    assert_int_equal(second->taken, 512);
    struct net_kafka_request *other = f->waiting;
    f->wait_size = UINT32_MAX;
    net_kafka_request_start(waiting);
    fake_run(f->fake);
    assert_answered(first, large);
    net_kafka_request_start(other);
    fake_run(f->fake);
    assert_answered(second, large);
    /* What a peer leaves behind is not counted for ever. */
    f->wait_size = 4000;
    struct io_tcp *third = fixture_connect(f);
    fixture_send(f, third, large);
    assert_int_equal(third->taken, 4004);
    free(large);
    fixture_free(f);
}

static void a_request_that_waits_stops_the_reading_at_once(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 20; piece++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        tcp->piece = piece;
        f->wait_size = 10;
        fixture_send(f, tcp, "e one, two");
        assert_non_null(f->waiting);
        assert_false(tcp->reading);
        /* The read that brought its size is the last one. */
        size_t until = (4 + piece - 1) / piece * piece;
        assert_int_equal(tcp->taken, until < 14 ? until : 14);
        f->wait_size = 0;
        net_kafka_request_start(f->waiting);
        fake_run(f->fake);
        assert_answers(tcp, (const char *const[]){"e one, two"}, 1);
        fixture_free(f);
    }
}

static void a_peer_that_goes_while_its_request_waits_is_told_of(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    f->wait_size = 5;
    fixture_send(f, tcp, "e one");
    assert_non_null(f->waiting);
    /* Nothing is read, so that the end is not seen; closing shows it. */
    fixture_free(f);
}

static void a_size_over_the_limit_ends_the_connection_behind_its_answers(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_request(tcp, "later");
    fake_send(tcp, "\xff\xff\xff\xff", 4);
    fixture_send(f, tcp, "e");
    assert_int_equal(f->requests, 1);
    assert_int_equal(fixture_counters(f)->refused, 1);
    assert_false(tcp->closed);
    fixture_reply(f, 0, "last");
    assert_answered(tcp, "last");
    assert_true(tcp->closed);
    fixture_free(f);
}

static void a_size_that_is_too_much_for_who_asks_ends_the_connection_as_well(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    f->refuse_size = 6;
    fixture_request(tcp, "e1");
    fixture_request(tcp, "esized");
    fixture_send(f, tcp, "e3");
    assert_answered(tcp, "e1");
    assert_true(tcp->closed);
    assert_int_equal(f->requests, 1);
    assert_int_equal(f->aborts, 1);
    assert_int_equal(fixture_counters(f)->refused, 1);
    fixture_free(f);
}

static void an_empty_answer_is_sent_and_none_is_not(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_request(tcp, "n");
    fixture_request(tcp, "later");
    fixture_send(f, tcp, "e");
    assert_int_equal(tcp->out.size, 0);
    fixture_reply(f, 0, "");
    assert_answered(tcp, "", "e");
    assert_false(tcp->closed);
    fixture_free(f);
}

static void nothing_is_answered_behind_what_was_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_request(tcp, "e 1");
    fixture_request(tcp, "r 2");
    fixture_request(tcp, "e 3");
    fixture_send(f, tcp, "later 4");
    assert_answered(tcp, "e 1");
    fixture_reply(f, 0, "4");
    assert_answered(tcp, "e 1");
    assert_true(tcp->closed);
    fixture_free(f);
}

static void a_last_answer_is_sent_and_nothing_behind_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, "later 0");
    fixture_send(f, tcp, "later 1");
    fixture_send(f, tcp, "e behind");
    struct buf answer = {0};
    buf_add_string(&answer, "last");
    net_kafka_reply_last(f->later[1], &answer);
    fake_run(f->fake);
    assert_int_equal(tcp->out.size, 0);
    assert_false(tcp->closed);
    fixture_reply(f, 0, "before");
    assert_answered(tcp, "before", "last");
    assert_true(tcp->closed);
    fixture_free(f);
}

static void an_answer_without_memory_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, "later");
    struct buf answer = {0};
    mem_fail_after(1);
    buf_add_string(&answer, "this finds no room");
    mem_fail_after(0);
    assert_false(buf_ok(&answer));
    net_kafka_reply(f->later[0], &answer);
    fake_run(f->fake);
    assert_true(tcp->closed);
    fixture_free(f);
}

static void without_memory_a_request_ends_its_connection_only(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= 2; at++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        struct io_tcp *other = fixture_connect(f);
        fixture_request(tcp, "e one");
        mem_fail_after(at);
        fake_run(f->fake);
        mem_fail_after(0);
        assert_true(tcp->closed);
        fixture_send(f, other, "e two");
        assert_answered(other, "e two");
        fixture_free(f);
    }
}

static void half_a_request_comes_to_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_request(tcp, "later");
    fake_send(tcp,
              "\0\0\0\x9"
              "half",
              8);
    fake_end(tcp, ERR_END);
    fake_run(f->fake);
    assert_int_equal(f->requests, 1);
    assert_int_equal(f->aborts, 1);
    assert_int_equal(f->gone, 0);
    fixture_reply(f, 0, "whole");
    assert_answered(tcp, "whole");
    assert_true(tcp->closed);
    fixture_free(f);
}

static void a_peer_that_breaks_off_leaves_its_requests_with_the_handler(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_request(tcp, "later 1");
    fixture_request(tcp, "e 2");
    fixture_request(tcp, "later 3");
    fake_end(tcp, ERR_CLOSED);
    fake_run(f->fake);
    assert_true(tcp->closed);
    assert_int_equal(f->gone, 2);
    assert_int_equal(f->closes, 0);
    fixture_reply(f, 0, "nobody");
    assert_int_equal(f->closes, 0);
    fixture_reply(f, 1, "hears");
    assert_int_equal(f->closes, 1);
    assert_int_equal(tcp->out.size, 0);
    fixture_free(f);
}

static void a_peer_that_does_not_read_is_not_read_from(void **state)
{
    (void)state;
    struct net_kafka_limits limits;
    net_kafka_limits_init(&limits);
    limits.net.queued_bytes_max = 10;
    struct fixture *f = fixture_new(&limits);
    struct io_tcp *tcp = fixture_connect(f);
    tcp->stuck = true;
    fixture_send(f, tcp, "e first");
    fixture_send(f, tcp, "e second");
    assert_int_equal(f->requests, 1);
    assert_int_equal(fixture_counters(f)->bytes_unsent, 11);
    assert_false(tcp->reading);
    fake_drain(tcp);
    fake_run(f->fake);
    assert_answered(tcp, "e first", "e second");
    assert_int_equal(fixture_counters(f)->bytes_unsent, 0);
    fixture_free(f);
}

static void so_many_requests_are_in_flight_at_the_most(void **state)
{
    (void)state;
    struct net_kafka_limits limits;
    net_kafka_limits_init(&limits);
    limits.net.pipeline_max = 2;
    struct fixture *f = fixture_new(&limits);
    struct io_tcp *tcp = fixture_connect(f);
    for (int i = 0; i < 4; i++)
        fixture_request(tcp, "later");
    fake_run(f->fake);
    assert_int_equal(f->requests, 2);
    assert_false(tcp->reading);
    fixture_reply(f, 0, "a");
    assert_int_equal(f->requests, 3);
    fixture_reply(f, 1, "b");
    fixture_reply(f, 2, "c");
    fixture_reply(f, 3, "d");
    assert_answered(tcp, "a", "b", "c", "d");
    fixture_free(f);
}

static void several_reads_before_the_turns_end_hold_no_more_than_one(void **state)
{
    (void)state;
    struct net_kafka_limits limits;
    net_kafka_limits_init(&limits);
    limits.net.pipeline_max = 2;
    struct fixture *f = fixture_new(&limits);
    struct io_tcp *tcp = fixture_connect(f);
    tcp->piece = 30;
    for (int i = 0; i < 8; i++)
        fixture_request(tcp, "later");
    while (fake_pump(tcp)) {
    }
    assert_int_equal(f->requests, 2);
    assert_false(tcp->reading);
    for (size_t i = 0; i < 8; i++)
        fixture_reply(f, i, "a");
    assert_answered(tcp, "a", "a", "a", "a", "a", "a", "a", "a");
    fixture_free(f);
}

static void slow_and_idle_peers_are_let_go_and_slow_answers_are_not(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *idle = fixture_connect(f);
    struct io_tcp *slow = fixture_connect(f);
    struct io_tcp *patient = fixture_connect(f);
    struct io_tcp *deaf = fixture_connect(f);
    fake_send(slow, "\0\0\x10\0e", 5);
    fixture_send(f, patient, "later");
    deaf->stuck = true;
    fixture_send(f, deaf, "e");
    fake_advance(f->fake, 25000);
    assert_true(slow->closed);
    assert_int_equal(f->aborts, 1);
    assert_false(deaf->closed);
    fake_advance(f->fake, 10000);
    assert_true(deaf->closed);
    assert_false(idle->closed);
    fake_advance(f->fake, 600000);
    assert_true(idle->closed);
    assert_false(patient->closed);
    assert_int_equal(fixture_counters(f)->net.timeouts, 3);
    fixture_reply(f, 0, "at last");
    assert_answered(patient, "at last");
    fixture_free(f);
}

/* A MiB in a minute are 174763 bytes in the window of ten seconds. */
static void who_holds_memory_that_others_wait_for_has_to_be_quick(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *slow = fixture_connect(f);
    struct io_tcp *quick = fixture_connect(f);
    struct io_tcp *small = fixture_connect(f);
    static const char bytes[18000] = {0};
    fake_send(slow, "\0\x10\0\0e", 5);
    fake_send(quick, "\0\x10\0\0e", 5);
    fake_send(small, "\0\1\0\0e", 5);
    for (int s = 0; s < 60 && !slow->closed; s++) {
        /* For as long as nobody waits it may take its time. */
        f->pressed = s >= 30;
        fake_send(slow, bytes, 17000);
        fake_send(quick, bytes, sizeof(bytes));
        fake_send(small, bytes, 1200);
        fake_advance(f->fake, 1000);
        assert_int_equal(slow->closed, s >= 39);
    }
    assert_true(slow->closed);
    assert_false(quick->closed);
    assert_false(small->closed);
    assert_int_equal(fixture_counters(f)->net.timeouts, 1);
    fixture_free(f);
}

static void who_waits_begins_when_another_is_let_go(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *slow = fixture_connect(f);
    struct io_tcp *waits = fixture_connect(f);
    f->grants = true;
    f->wait_size = 7;
    fake_send(slow, "\0\0\x10\0e", 5);
    fixture_send(f, waits, "e mine!");
    assert_non_null(f->waiting);
    fake_advance(f->fake, 12000);
    assert_true(slow->closed);
    assert_false(waits->closed);
    assert_answered(waits, "e mine!");
    fixture_free(f);
}

/* Whatever follows a large request, and however it is cut. */
static void large_and_small_requests_take_turns(void **state)
{
    (void)state;
    static const size_t sizes[] = {70000, 5, 70000, 200000, 600, 65536, 65535, 70000, 1, 3};
    static const size_t pieces[] = {0, 1000, 511, 65000};
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        tcp->piece = pieces[p];
        size_t expected = 0;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            char *text = malloc(sizes[i] + 1);
            assert_non_null(text);
            memset(text, 'a' + (int)i, sizes[i]);
            text[0] = 'e';
            text[sizes[i]] = '\0';
            fixture_request(tcp, text);
            expected += 4 + sizes[i];
            free(text);
        }
        fake_run(f->fake);
        assert_int_equal(fixture_counters(f)->requests, sizeof(sizes) / sizeof(sizes[0]));
        assert_int_equal(tcp->out.size, expected);
        assert_memory_equal(tcp->out.data, tcp->in.data, expected);
        fixture_free(f);
    }
}

/* A body of pieces that counts how often it is released. */
struct test_body {
    struct net_kafka_body net;
    struct net_kafka_piece pieces[200];
    unsigned released;
};

static void release_test_body(struct net_kafka_body *net)
{
    CONTAINER_OF(net, struct test_body, net)->released++;
}

/* Alphabets of `piece_size` bytes before each byte of `own`, as far as there are pieces. */
static void body_init(struct test_body *body, size_t count, const uint8_t *bytes, size_t piece_size,
                      size_t own_size)
{
    *body = (struct test_body){.net = {.release = release_test_body, .count = count}};
    for (size_t i = 0; i < count; i++)
        body->pieces[i] =
            (struct net_kafka_piece){i * own_size / count, slice_make(bytes + i, piece_size)};
    body->net.pieces = body->pieces;
    body->net.size = count * piece_size;
    body->net.memory_bytes = body->net.size + 100;
}

static void assert_body(const struct io_tcp *tcp, const struct test_body *body, const char *own)
{
    size_t at = 0;
    struct slice out = slice_make(tcp->out.data, tcp->out.size);
    assert_int_equal(get_u32be(out.data), out.size - 4);
    assert_int_equal(out.size, 4 + strlen(own) + body->net.size);
    out = slice_sub(out, 4, SIZE_MAX);
    for (size_t i = 0; i < body->net.count; i++) {
        const struct net_kafka_piece *piece = &body->pieces[i];
        assert_memory_equal(out.data, own + at, piece->at - at);
        out = slice_sub(out, piece->at - at, SIZE_MAX);
        at = piece->at;
        assert_memory_equal(out.data, piece->bytes.data, piece->bytes.size);
        out = slice_sub(out, piece->bytes.size, SIZE_MAX);
    }
    assert_slice(out, own + at);
}

static void reply_body(struct fixture *f, size_t index, const char *own, struct test_body *body)
{
    struct buf answer = {0};
    buf_add_string(&answer, own);
    net_kafka_reply_body(f->later[index], &answer, &body->net);
    assert_null(answer.data);
    fake_run(f->fake);
}

static uint8_t *body_bytes(size_t size)
{
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)('a' + i % 26);
    return bytes;
}

static void pieces_of_an_answer_stand_where_they_belong(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        size_t size;
    } cases[] = {{0, 0}, {1, 1}, {3, 100}, {200, 7}, {2, 400000}, {150, 4000}};
    uint8_t *bytes = body_bytes(500000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        struct test_body body;
        body_init(&body, cases[i].count, bytes, cases[i].size, 9);
        fixture_send(f, tcp, "later");
        reply_body(f, 0, "the frame", &body);
        assert_body(tcp, &body, "the frame");
        assert_int_equal(body.released, 1);
        assert_int_equal(fixture_counters(f)->bytes_unsent, 0);
        fixture_free(f);
    }
    free(bytes);
}

static void an_answer_that_is_not_taken_is_not_copied(void **state)
{
    (void)state;
    uint8_t *bytes = body_bytes(1000000);
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    struct test_body body;
    body_init(&body, 1, bytes, 900000, 5);
    fixture_send(f, tcp, "later");
    fixture_send(f, tcp, "e after it");
    tcp->stuck = true;
    reply_body(f, 0, "frame", &body);
    unsigned writes = 0;
    while (body.released == 0) {
        assert_in_range(tcp->queued, 1, 300000);
        assert_true(fixture_counters(f)->bytes_unsent >= 900000 + 100);
        writes++;
        fake_drain(tcp);
        tcp->stuck = true;
        fake_run(f->fake);
    }
    assert_in_range(writes, 3, 10);
    fake_drain(tcp);
    fake_run(f->fake);
    assert_int_equal(body.released, 1);
    struct slice out = slice_make(tcp->out.data, tcp->out.size);
    assert_slice(slice_sub(out, out.size - 10, 10), "e after it");
    fixture_free(f);
    free(bytes);
}

static void a_body_is_released_also_when_nobody_takes_it(void **state)
{
    (void)state;
    uint8_t *bytes = body_bytes(1000000);
    for (int round = 0; round < 3; round++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        struct test_body body;
        body_init(&body, 1, bytes, 900000, 5);
        fixture_send(f, tcp, "later");
        tcp->stuck = round == 0;
        tcp->write_fails = round == 1;
        if (round == 2) {
            fake_end(tcp, ERR_CLOSED);
            fake_run(f->fake);
        }
        reply_body(f, 0, "frame", &body);
        assert_int_equal(body.released, round > 0);
        fixture_free(f);
        assert_int_equal(body.released, 1);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_off_the_bytes_wherever_they_are_cut),
        cmocka_unit_test(many_requests_in_one_read_are_answered_in_one_write),
        cmocka_unit_test(answers_keep_the_order_of_the_requests),
        cmocka_unit_test(a_large_request_is_read_where_it_stays),
        cmocka_unit_test(large_and_small_requests_take_turns),
        cmocka_unit_test(a_request_waits_for_memory_and_what_is_behind_it_too),
        cmocka_unit_test(where_much_is_held_little_is_read),
        cmocka_unit_test(a_request_that_waits_stops_the_reading_at_once),
        cmocka_unit_test(a_peer_that_goes_while_its_request_waits_is_told_of),
        cmocka_unit_test(a_size_over_the_limit_ends_the_connection_behind_its_answers),
        cmocka_unit_test(a_size_that_is_too_much_for_who_asks_ends_the_connection_as_well),
        cmocka_unit_test(an_empty_answer_is_sent_and_none_is_not),
        cmocka_unit_test(nothing_is_answered_behind_what_was_refused),
        cmocka_unit_test(a_last_answer_is_sent_and_nothing_behind_it),
        cmocka_unit_test(an_answer_without_memory_ends_the_connection),
        cmocka_unit_test(without_memory_a_request_ends_its_connection_only),
        cmocka_unit_test(half_a_request_comes_to_nothing),
        cmocka_unit_test(a_peer_that_breaks_off_leaves_its_requests_with_the_handler),
        cmocka_unit_test(a_peer_that_does_not_read_is_not_read_from),
        cmocka_unit_test(so_many_requests_are_in_flight_at_the_most),
        cmocka_unit_test(several_reads_before_the_turns_end_hold_no_more_than_one),
        cmocka_unit_test(slow_and_idle_peers_are_let_go_and_slow_answers_are_not),
        cmocka_unit_test(who_waits_begins_when_another_is_let_go),
        cmocka_unit_test(who_holds_memory_that_others_wait_for_has_to_be_quick),
        cmocka_unit_test(pieces_of_an_answer_stand_where_they_belong),
        cmocka_unit_test(an_answer_that_is_not_taken_is_not_copied),
        cmocka_unit_test(a_body_is_released_also_when_nobody_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
