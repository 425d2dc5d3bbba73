#include "log/requests.h"

#include "base/alloc.h"
#include "lib/unit.h"

#define assert_code(error, expected) assert_string_equal(err_name(error), #expected)

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

struct book {
    struct log_requests *requests;
    uint8_t kept[FLOW_ANSWER_MAX];
    int64_t now_ms;
};

static void begin(struct book *book)
{
    *book = (struct book){.requests = log_requests_new(7), .now_ms = 1000};
    assert_non_null(book->requests);
}

static void end(struct book *book)
{
    log_requests_free(&book->requests);
    assert_null(book->requests);
}

static struct flow_request number(uint64_t producer, uint64_t sequence)
{
    return (struct flow_request){
        .kind = FLOW_REQUEST_NUMBERED, .topic_id = 1, .id = {producer, 1}, .sequence = sequence};
}

static struct flow_request key(struct book *book, uint64_t id, uint64_t body, const char *answer)
{
    return (struct flow_request){.kind = FLOW_REQUEST_KEYED,
                                 .topic_id = 1,
                                 .id = {id, 2},
                                 .body = {body, 3},
                                 .answer = slice_string(answer),
                                 .kept = book->kept};
}

static enum flow_request_result decide(struct book *book, struct flow_request *request)
{
    log_requests_decide(book->requests, request, book->now_ms);
    return request->result;
}

/* Decides, and has it on its way if it is a first one. */
static enum flow_request_result compose(struct book *book, struct flow_request *request)
{
    if (decide(book, request) == FLOW_REQUEST_FIRST)
        assert_code(log_requests_add(book->requests, request, book->now_ms), OK);
    return request->result;
}

/* Its frame is durable: goes by the entry's bytes, as the log does. */
static err_t settle(struct book *book, const struct flow_request *request)
{
    uint8_t bytes[LOG_ENTRY_HEADER_SIZE + 48 + FLOW_ANSWER_MAX];
    struct slice payload = slice_make(bytes, log_entry_put_request(bytes, request));
    struct log_entry entry;
    assert_code(log_entry_next(&payload, &entry), OK);
    return entry.kind == LOG_ENTRY_SEQUENCE
               ? log_requests_settle_number(book->requests, &entry.sequence, book->now_ms)
               : log_requests_settle_answer(book->requests, &entry.answer, book->now_ms);
}

static enum flow_request_result commit(struct book *book, struct flow_request request)
{
    enum flow_request_result result = compose(book, &request);
    if (result == FLOW_REQUEST_FIRST)
        assert_code(settle(book, &request), OK);
    return result;
}

static void the_next_number_counts_and_others_do_not(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    struct flow_request early = number(1, 3);
    assert_int_equal(decide(&book, &early), FLOW_REQUEST_GAP);
    assert_int_equal(early.expected, 0);
    for (uint64_t n = 0; n < 5; n++)
        assert_int_equal(commit(&book, number(1, n)), FLOW_REQUEST_FIRST);
    for (uint64_t n = 0; n < 5; n++)
        assert_int_equal(commit(&book, number(1, n)), FLOW_REQUEST_REPEAT);
    struct flow_request late = number(1, 6);
    assert_int_equal(decide(&book, &late), FLOW_REQUEST_GAP);
    assert_int_equal(late.expected, 5);
    assert_int_equal(commit(&book, number(2, 0)), FLOW_REQUEST_FIRST);
    assert_int_equal(book.requests->counts.gaps, 2);
    assert_int_equal(book.requests->counts.repeats[FLOW_REQUEST_NUMBERED], 5);
    end(&book);
}

static void what_is_on_its_way_counts_until_it_is_forgotten(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    assert_int_equal(commit(&book, number(1, 0)), FLOW_REQUEST_FIRST);
    struct flow_request one = number(1, 1);
    struct flow_request two = number(1, 2);
    struct flow_request other = number(2, 0);
    struct flow_request keyed = key(&book, 1, 1, "one");
    assert_int_equal(compose(&book, &one), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &two), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &other), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &keyed), FLOW_REQUEST_FIRST);
    struct flow_request again = number(1, 1);
    assert_int_equal(decide(&book, &again), FLOW_REQUEST_REPEAT);
    again = number(2, 0);
    assert_int_equal(decide(&book, &again), FLOW_REQUEST_REPEAT);
    again = key(&book, 1, 1, "");
    assert_int_equal(decide(&book, &again), FLOW_REQUEST_REPEAT);
    /* The first of them is durable, then a frame fails. */
    assert_code(settle(&book, &one), OK);
    log_requests_forget(book.requests);
    again = number(1, 1);
    assert_int_equal(decide(&book, &again), FLOW_REQUEST_REPEAT);
    assert_int_equal(commit(&book, number(1, 2)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, number(2, 0)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, key(&book, 1, 9, "two")), FLOW_REQUEST_FIRST);
    end(&book);
}

static void an_idle_producer_is_forgotten_after_its_time(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    assert_int_equal(commit(&book, number(1, 0)), FLOW_REQUEST_FIRST);
    book.now_ms += DAY_MS;
    assert_int_equal(commit(&book, number(2, 0)), FLOW_REQUEST_FIRST);
    book.now_ms += 6 * DAY_MS - 1;
    struct flow_request again = number(1, 0);
    assert_int_equal(decide(&book, &again), FLOW_REQUEST_REPEAT);
    book.now_ms += 1;
    struct flow_request next = number(1, 1);
    assert_int_equal(decide(&book, &next), FLOW_REQUEST_GAP);
    assert_int_equal(next.expected, 0);
    assert_int_equal(commit(&book, number(1, 0)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, number(2, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(book.requests->counts.idle, 1);
    end(&book);
}

static void a_full_table_gives_the_longest_idle_ones_place_away(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    book.requests->producers_max = 3;
    for (uint64_t producer = 1; producer <= 3; producer++) {
        assert_int_equal(commit(&book, number(producer, 0)), FLOW_REQUEST_FIRST);
        book.now_ms += 1;
    }
    struct flow_request fourth = number(4, 0);
    assert_int_equal(decide(&book, &fourth), FLOW_REQUEST_FIRST);
    assert_code(log_requests_add(book.requests, &fourth, book.now_ms), PRODUCERS_FULL);
    assert_int_equal(book.requests->counts.refused, 1);
    book.now_ms += HOUR_MS;
    /* The oldest has just come back, so that the one behind it goes. */
    struct flow_request back = number(1, 1);
    assert_int_equal(compose(&book, &back), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &fourth), FLOW_REQUEST_FIRST);
    assert_int_equal(fourth.forgets.low, 2);
    struct flow_request gone = number(2, 1);
    assert_int_equal(decide(&book, &gone), FLOW_REQUEST_GAP);
    /* The frame fails, and nobody has gone. */
    log_requests_forget(book.requests);
    gone = number(2, 1);
    assert_int_equal(decide(&book, &gone), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, number(1, 1)), FLOW_REQUEST_FIRST);
    fourth = number(4, 0);
    assert_int_equal(commit(&book, fourth), FLOW_REQUEST_FIRST);
    gone = number(2, 1);
    assert_int_equal(decide(&book, &gone), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&book, number(3, 0)), FLOW_REQUEST_REPEAT);
    assert_int_equal(book.requests->producers.count, 3);
    assert_int_equal(book.requests->counts.displaced, 1);
    end(&book);
}

static void who_is_displaced_may_come_back_at_once(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    book.requests->producers_max = 2;
    assert_int_equal(commit(&book, number(1, 0)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, number(1, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, number(2, 0)), FLOW_REQUEST_FIRST);
    book.now_ms += 2 * HOUR_MS;
    struct flow_request third = number(3, 0);
    struct flow_request back = number(1, 0);
    assert_int_equal(compose(&book, &third), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &back), FLOW_REQUEST_FIRST);
    assert_int_equal(back.forgets.low, 2);
    /* Both ways: taken back, and done again. */
    log_requests_forget(book.requests);
    struct flow_request known = number(1, 1);
    assert_int_equal(decide(&book, &known), FLOW_REQUEST_REPEAT);
    third = number(3, 0);
    back = number(1, 0);
    assert_int_equal(compose(&book, &third), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &back), FLOW_REQUEST_FIRST);
    assert_code(settle(&book, &third), OK);
    assert_code(settle(&book, &back), OK);
    known = number(1, 1);
    assert_int_equal(decide(&book, &known), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, number(2, 5)), FLOW_REQUEST_GAP);
    end(&book);
}

static void a_key_has_its_answer_and_its_body(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    struct flow_request first = key(&book, 1, 10, "the answer");
    assert_int_equal(decide(&book, &first), FLOW_REQUEST_FIRST);
    first.duplicates = 3;
    assert_code(log_requests_add(book.requests, &first, book.now_ms), OK);
    assert_code(settle(&book, &first), OK);
    struct flow_request again = key(&book, 1, 10, "another");
    assert_int_equal(decide(&book, &again), FLOW_REQUEST_REPEAT);
    assert_slice(slice_make(book.kept, again.kept_size), "the answer");
    assert_int_equal(again.duplicates, 3);
    again = key(&book, 1, 11, "");
    assert_int_equal(decide(&book, &again), FLOW_REQUEST_OTHER_BODY);
    assert_int_equal(book.requests->counts.other_bodies, 1);
    book.now_ms += DAY_MS;
    assert_int_equal(commit(&book, key(&book, 1, 11, "later")), FLOW_REQUEST_FIRST);
    end(&book);
}

static void the_oldest_answers_go_when_the_bytes_are_full(void **state)
{
    (void)state;
    struct book book;
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    begin(&book);
    book.requests->answers_bytes_max = 10 * (1000 + sizeof(struct log_answer) + 64);
    for (uint64_t n = 0; n < 15; n++)
        assert_int_equal(commit(&book, key(&book, n, n, text)), FLOW_REQUEST_FIRST);
    assert_int_equal(book.requests->counts.dropped, 5);
    assert_true(book.requests->kept_bytes <= book.requests->answers_bytes_max);
    for (uint64_t n = 0; n < 15; n++) {
        struct flow_request again = key(&book, n, n, "");
        assert_int_equal(decide(&book, &again), n < 5 ? FLOW_REQUEST_FIRST : FLOW_REQUEST_REPEAT);
    }
    end(&book);
}

/* What one tells a checkpoint is what another reads of it, byte by byte. */
static void copy(struct book *from, struct book *to)
{
    struct buf bytes;
    struct buf again;
    buf_init(&bytes, 0);
    buf_init(&again, 0);
    log_requests_encode(from->requests, &bytes);
    begin(to);
    struct cursor c = cursor_make(buf_slice(&bytes));
    assert_code(log_requests_decode(to->requests, &c), OK);
    assert_int_equal(c.rest.size, 0);
    log_requests_encode(to->requests, &again);
    assert_true(slice_equal(buf_slice(&bytes), buf_slice(&again)));
    buf_done(&bytes);
    buf_done(&again);
}

static void a_checkpoint_has_what_is_durable_in_its_order(void **state)
{
    (void)state;
    struct book book;
    struct book read;
    begin(&book);
    assert_true(log_requests_are_none(book.requests));
    book.requests->producers_max = 3;
    for (uint64_t n = 0; n < 3; n++)
        assert_int_equal(commit(&book, number(n, 0)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, number(0, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, key(&book, 1, 1, "answer")), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, key(&book, 2, 2, "")), FLOW_REQUEST_FIRST);
    book.now_ms += 1;
    assert_int_equal(commit(&book, number(2, 1)), FLOW_REQUEST_FIRST);
    book.now_ms += HOUR_MS;
    /* On their way, with one that leaves for it. */
    struct flow_request fresh = number(9, 0);
    struct flow_request keyed = key(&book, 3, 3, "3");
    struct flow_request next = number(0, 2);
    assert_int_equal(compose(&book, &next), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &fresh), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &keyed), FLOW_REQUEST_FIRST);
    copy(&book, &read);
    read.now_ms = book.now_ms;
    assert_int_equal(commit(&read, number(1, 0)), FLOW_REQUEST_REPEAT);
    assert_int_equal(commit(&read, number(0, 1)), FLOW_REQUEST_REPEAT);
    assert_int_equal(commit(&read, number(0, 2)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&read, number(9, 1)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&read, key(&read, 1, 1, "")), FLOW_REQUEST_REPEAT);
    assert_int_equal(commit(&read, key(&read, 3, 3, "")), FLOW_REQUEST_FIRST);
    end(&book);
    end(&read);
}

static void recovery_ends_where_the_log_was(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct book live;
    struct book recovered;
    begin(&live);
    begin(&recovered);
    live.requests->producers_max = recovered.requests->producers_max = 5;
    live.requests->answers_bytes_max = recovered.requests->answers_bytes_max = 2000;
    for (int step = 0; step < 3000; step++) {
        struct flow_request request = unit_random(&seed) % 2
                                          ? number(unit_random(&seed) % 9, 0)
                                          : key(&live, unit_random(&seed) % 40, 1, "an answer");
        live.now_ms += (int64_t)(unit_random(&seed) % (unsigned)HOUR_MS);
        recovered.now_ms = live.now_ms;
        decide(&live, &request);
        if (request.kind == FLOW_REQUEST_NUMBERED)
            request.sequence = request.expected ? request.expected : 0;
        if (decide(&live, &request) != FLOW_REQUEST_FIRST ||
            !err_is_ok(log_requests_add(live.requests, &request, live.now_ms)))
            continue;
        /* Every tenth frame fails. */
        if (unit_random(&seed) % 10 == 0) {
            log_requests_forget(live.requests);
            continue;
        }
        assert_code(settle(&live, &request), OK);
        assert_code(settle(&recovered, &request), OK);
    }
    /* What is forgotten by time alone goes when something is settled. */
    live.now_ms += HOUR_MS;
    struct flow_request last = number(99, 0);
    assert_int_equal(compose(&live, &last), FLOW_REQUEST_FIRST);
    recovered.now_ms = live.now_ms;
    assert_code(settle(&live, &last), OK);
    assert_code(settle(&recovered, &last), OK);
    struct buf one;
    struct buf two;
    buf_init(&one, 0);
    buf_init(&two, 0);
    log_requests_encode(live.requests, &one);
    log_requests_encode(recovered.requests, &two);
    assert_true(slice_equal(buf_slice(&one), buf_slice(&two)));
    buf_done(&one);
    buf_done(&two);
    assert_true(live.requests->counts.displaced > 0 && live.requests->counts.dropped > 0);
    end(&live);
    end(&recovered);
}

static void times_that_make_no_sense_do_no_harm(void **state)
{
    (void)state;
    struct book book;
    struct book read;
    begin(&book);
    static const int64_t times[] = {INT64_MAX, INT64_MIN, -1, 5, INT64_MAX};
    for (uint64_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct flow_request one = number(i, 0);
        struct flow_request two = key(&book, i, 1, "answer");
        assert_int_equal(compose(&book, &one), FLOW_REQUEST_FIRST);
        assert_int_equal(compose(&book, &two), FLOW_REQUEST_FIRST);
        book.now_ms = times[i];
        assert_code(settle(&book, &one), OK);
        assert_code(settle(&book, &two), OK);
        book.now_ms = 1000;
    }
    copy(&book, &read);
    end(&book);
    end(&read);
}

static void bytes_that_contradict_themselves_are_refused(void **state)
{
    (void)state;
    struct book book;
    struct buf bytes;
    begin(&book);
    buf_init(&bytes, 0);
    assert_int_equal(commit(&book, number(1, 0)), FLOW_REQUEST_FIRST);
    book.now_ms++;
    assert_int_equal(commit(&book, number(2, 0)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, key(&book, 1, 1, "answer")), FLOW_REQUEST_FIRST);
    log_requests_encode(book.requests, &bytes);
    static const struct {
        size_t at;
        uint8_t value;
    } wrongs[] = {
        {0, 3},              /* more producers than there are */
        {3, 0xff},           /* more than can be */
        {4, 2},              /* more answers */
        {8 + 23, 0x80},      /* a number out of range */
        {8 + 24, 0xff},      /* times that fall */
        {8 + 32, 1},         /* a producer twice */
        {8 + 64 + 49, 0xff}, /* an answer that is too long */
    };
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct book read;
        begin(&read);
        struct cursor c = cursor_make(slice_make(bytes.data, cut));
        assert_code(log_requests_decode(read.requests, &c), CORRUPT);
        end(&read);
    }
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct book read;
        begin(&read);
        uint8_t was = bytes.data[wrongs[i].at];
        bytes.data[wrongs[i].at] = wrongs[i].value;
        struct cursor c = cursor_make(buf_slice(&bytes));
        assert_code(log_requests_decode(read.requests, &c), CORRUPT);
        bytes.data[wrongs[i].at] = was;
        end(&read);
    }
    buf_done(&bytes);
    end(&book);
}

static void without_memory_nothing_has_happened(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 4; n++) {
        struct book book;
        begin(&book);
        struct flow_request first = number(1, 0);
        assert_int_equal(decide(&book, &first), FLOW_REQUEST_FIRST);
        mem_fail_after(n);
        err_t err = log_requests_add(book.requests, &first, book.now_ms);
        mem_fail_after(0);
        if (n < 3)
            assert_code(err, MEMORY);
        assert_int_equal(decide(&book, &first), n < 3 ? FLOW_REQUEST_FIRST : FLOW_REQUEST_REPEAT);
        struct flow_request keyed = key(&book, 1, 1, "answer");
        assert_int_equal(decide(&book, &keyed), FLOW_REQUEST_FIRST);
        mem_fail_after(n);
        err = log_requests_add(book.requests, &keyed, book.now_ms);
        mem_fail_after(0);
        if (n < 3)
            assert_code(err, MEMORY);
        assert_int_equal(decide(&book, &keyed), n < 3 ? FLOW_REQUEST_FIRST : FLOW_REQUEST_REPEAT);
        end(&book);
    }
    mem_fail_after(1);
    assert_null(log_requests_new(1));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_number_counts_and_others_do_not),
        cmocka_unit_test(what_is_on_its_way_counts_until_it_is_forgotten),
        cmocka_unit_test(an_idle_producer_is_forgotten_after_its_time),
        cmocka_unit_test(a_full_table_gives_the_longest_idle_ones_place_away),
        cmocka_unit_test(who_is_displaced_may_come_back_at_once),
        cmocka_unit_test(a_key_has_its_answer_and_its_body),
        cmocka_unit_test(the_oldest_answers_go_when_the_bytes_are_full),
        cmocka_unit_test(a_checkpoint_has_what_is_durable_in_its_order),
        cmocka_unit_test(recovery_ends_where_the_log_was),
        cmocka_unit_test(times_that_make_no_sense_do_no_harm),
        cmocka_unit_test(bytes_that_contradict_themselves_are_refused),
        cmocka_unit_test(without_memory_nothing_has_happened),
    };
    return cmocka_run_group_tests_name("log/requests", tests, NULL, NULL);
}
