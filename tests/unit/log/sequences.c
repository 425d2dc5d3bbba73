#include "log/sequences.h"

#include "base/alloc.h"
#include "lib/unit.h"

#define assert_code(error, expected) assert_string_equal(err_name(error), #expected)

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

struct book {
    struct log_sequences sequences;
    int64_t now_ms;
    int64_t end_offset;
};

static void begin(struct book *book)
{
    *book = (struct book){.now_ms = 1000};
    log_sequences_init(&book->sequences, 7);
}

static void end(struct book *book)
{
    log_sequences_done(&book->sequences);
}

static struct flow_request batch(int64_t producer, int16_t epoch, int32_t first, uint32_t count)
{
    return (struct flow_request){
        .kind = FLOW_REQUEST_SEQUENCED,
        .topic_id = 1,
        .batch = {.producer_id = producer, .first = first, .count = count, .epoch = epoch}};
}

/* Decides, and has it on its way if it is a first one. */
static enum flow_request_result compose(struct book *book, struct flow_request *request)
{
    log_sequences_decide(&book->sequences, request);
    if (request->result == FLOW_REQUEST_FIRST) {
        request->base_offset = book->end_offset;
        book->end_offset += request->batch.count;
        assert_code(log_sequences_add(&book->sequences, request), OK);
    }
    return request->result;
}

/* Its frame is durable: goes by the entry's bytes, as the log does. */
static err_t settle(struct book *book, const struct flow_request *request)
{
    uint8_t bytes[64];
    struct slice payload = slice_make(bytes, log_entry_put_request(bytes, request));
    struct log_entry entry;
    assert_code(log_entry_next(&payload, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_SEQUENCED);
    return log_sequences_settle(&book->sequences, &entry.sequenced, book->now_ms);
}

static enum flow_request_result commit(struct book *book, struct flow_request request)
{
    if (compose(book, &request) == FLOW_REQUEST_FIRST)
        assert_code(settle(book, &request), OK);
    return request.result;
}

/* The base offset that a repeat is told; -2: it is none, -3: it is forgotten. */
static int64_t repeat(struct book *book, struct flow_request request)
{
    log_sequences_decide(&book->sequences, &request);
    if (request.result != FLOW_REQUEST_REPEAT)
        return -2;
    return request.forgotten ? -3 : request.base_offset;
}

static void what_follows_counts_and_what_was_there_is_a_repeat(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    for (int32_t n = 0; n < 7; n++)
        assert_int_equal(commit(&book, batch(1, 0, n * 10, 10)), FLOW_REQUEST_FIRST);
    for (int32_t n = 0; n < 7; n++)
        assert_int_equal(repeat(&book, batch(1, 0, n * 10, 10)), n < 2 ? -3 : n * 10);
    assert_int_equal(commit(&book, batch(1, 0, 71, 1)), FLOW_REQUEST_GAP);
    /* Half of it was there: as a whole it was not. */
    assert_int_equal(commit(&book, batch(1, 0, 65, 10)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&book, batch(1, 0, 60, 15)), FLOW_REQUEST_GAP);
    /* Packed in another way, and there all the same. */
    assert_int_equal(repeat(&book, batch(1, 0, 5, 20)), -3);
    /* Partitions, topics and producers have numbers of their own. */
    struct flow_request other = batch(1, 0, 3, 1);
    other.batch.partition = 1;
    assert_int_equal(commit(&book, other), FLOW_REQUEST_FIRST);
    other = batch(1, 0, 4, 1);
    other.topic_id = 2;
    assert_int_equal(commit(&book, other), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(2, 0, 0, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(book.sequences.pairs.count, 4);
    assert_int_equal(book.sequences.counts.repeats, 8);
    assert_int_equal(book.sequences.counts.forgotten, 3);
    assert_int_equal(book.sequences.counts.gaps, 3);
    end(&book);
}

static void a_gap_is_told_what_comes_next(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    assert_int_equal(commit(&book, batch(1, 0, 0, 3)), FLOW_REQUEST_FIRST);
    struct flow_request gap = batch(1, 0, 5, 1);
    assert_int_equal(compose(&book, &gap), FLOW_REQUEST_GAP);
    assert_int_equal(gap.expected, 3);
    end(&book);
}

static void what_was_before_the_first_that_is_known_may_not_have_been_there(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    assert_int_equal(commit(&book, batch(1, 0, 100, 10)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(1, 0, 90, 10)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&book, batch(1, 0, 99, 2)), FLOW_REQUEST_GAP);
    for (int32_t n = 0; n < 8; n++)
        assert_int_equal(commit(&book, batch(1, 0, 110 + n, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(repeat(&book, batch(1, 0, 100, 10)), -3);
    assert_int_equal(commit(&book, batch(1, 0, 99, 1)), FLOW_REQUEST_GAP);
    end(&book);
}

/* Sent again when its contract, or the queue of its dead letters, does not take it any more. */
static void what_is_refused_is_a_repeat_or_takes_no_numbers(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    for (int32_t n = 0; n < 7; n++)
        assert_int_equal(commit(&book, batch(1, 1, n * 10, 10)), FLOW_REQUEST_FIRST);
    const struct {
        int16_t epoch;
        int32_t first;
        uint32_t count;
        int64_t told;
    } cases[] = {{1, 60, 10, 60}, {1, 20, 10, 20}, {1, 0, 10, -3},  {1, 61, 3, -3},
                 {1, 70, 10, -2}, {1, 90, 10, -2}, {1, 65, 10, -2}, {0, 60, 10, -2},
                 {2, 60, 10, -2}, {2, 0, 10, -2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct flow_request request = batch(1, cases[i].epoch, cases[i].first, cases[i].count);
        request.refused = true;
        assert_int_equal(repeat(&book, request), cases[i].told);
        log_sequences_decide(&book.sequences, &request);
        assert_int_equal(request.result,
                         cases[i].told == -2 ? FLOW_REQUEST_FIRST : FLOW_REQUEST_REPEAT);
    }
    struct flow_request unknown = batch(2, 0, 7, 1);
    unknown.refused = true;
    assert_int_equal(repeat(&book, unknown), -2);
    assert_int_equal(book.sequences.counts.gaps + book.sequences.counts.old_epochs, 0);
    assert_int_equal(commit(&book, batch(1, 1, 70, 1)), FLOW_REQUEST_FIRST);
    end(&book);
}

static void epochs_rise_and_begin_at_0(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    assert_int_equal(commit(&book, batch(1, 0, 0, 5)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(1, 2, 5, 5)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&book, batch(1, 2, 0, 5)), FLOW_REQUEST_FIRST);
    assert_int_equal(repeat(&book, batch(1, 2, 0, 5)), 5);
    /* The numbers of the epoch before are not those of this one. */
    assert_int_equal(commit(&book, batch(1, 0, 0, 5)), FLOW_REQUEST_OLD_EPOCH);
    assert_int_equal(commit(&book, batch(1, 1, 0, 5)), FLOW_REQUEST_OLD_EPOCH);
    assert_int_equal(book.sequences.counts.old_epochs, 2);
    assert_int_equal(commit(&book, batch(1, INT16_MAX, 0, 1)), FLOW_REQUEST_FIRST);
    end(&book);
}

static void numbers_go_on_at_0_behind_the_last(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    assert_int_equal(commit(&book, batch(1, 0, INT32_MAX - 9, 10)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(1, 0, 0, 10)), FLOW_REQUEST_FIRST);
    assert_int_equal(repeat(&book, batch(1, 0, INT32_MAX - 9, 10)), 0);
    assert_int_equal(repeat(&book, batch(1, 0, 0, 10)), 10);
    assert_int_equal(repeat(&book, batch(1, 0, INT32_MAX, 2)), -3);
    assert_int_equal(commit(&book, batch(1, 0, INT32_MAX - 10, 2)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&book, batch(2, 0, INT32_MAX, 3)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(2, 0, 2, 3)), FLOW_REQUEST_FIRST);
    /* A new epoch that begins just there is a new one all the same. */
    assert_int_equal(commit(&book, batch(3, 0, INT32_MAX, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(3, 1, 0, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(3, 0, 1, 1)), FLOW_REQUEST_OLD_EPOCH);
    assert_int_equal(commit(&book, batch(3, 1, INT32_MAX, 1)), FLOW_REQUEST_GAP);
    end(&book);
}

static void what_is_half_a_turn_behind_is_in_front(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    /* More than one turn of the numbers was there, so that each of them once was. */
    for (int i = 0; i < 24; i++) {
        int32_t first = (int32_t)((i % 8) * (INT64_C(1) << 28));
        assert_int_equal(commit(&book, batch(1, 0, first, UINT32_C(1) << 28)), FLOW_REQUEST_FIRST);
    }
    assert_int_equal(commit(&book, batch(1, 0, 5, 1)), FLOW_REQUEST_GAP);
    assert_int_equal(repeat(&book, batch(1, 0, INT32_MAX - 5, 6)), -3);
    end(&book);
}

static void what_is_on_its_way_counts_and_is_taken_back(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    struct flow_request first = batch(1, 0, 0, 2);
    struct flow_request second = batch(1, 0, 2, 2);
    struct flow_request third = batch(1, 0, 4, 2);
    struct flow_request fresh = batch(2, 0, 0, 2);
    assert_int_equal(compose(&book, &first), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &second), FLOW_REQUEST_FIRST);
    assert_int_equal(repeat(&book, batch(1, 0, 0, 2)), 0);
    assert_code(settle(&book, &first), OK);
    /* The second is in a frame behind it, and is not forgotten with the first one's flush. */
    assert_int_equal(repeat(&book, batch(1, 0, 2, 2)), 2);
    assert_int_equal(compose(&book, &third), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &fresh), FLOW_REQUEST_FIRST);
    log_sequences_forget(&book.sequences);
    assert_int_equal(book.sequences.pairs.count, 1);
    assert_int_equal(repeat(&book, batch(1, 0, 0, 2)), 0);
    assert_int_equal(commit(&book, batch(1, 0, 4, 2)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&book, batch(1, 0, 2, 2)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(2, 0, 7, 2)), FLOW_REQUEST_FIRST);
    end(&book);
}

static void a_producer_is_forgotten_after_a_day(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    assert_int_equal(commit(&book, batch(1, 5, 0, 2)), FLOW_REQUEST_FIRST);
    book.now_ms += DAY_MS - 1;
    assert_int_equal(commit(&book, batch(2, 0, 0, 2)), FLOW_REQUEST_FIRST);
    assert_int_equal(repeat(&book, batch(1, 5, 0, 2)), 0);
    book.now_ms++;
    assert_int_equal(commit(&book, batch(2, 0, 2, 2)), FLOW_REQUEST_FIRST);
    assert_int_equal(book.sequences.counts.idle, 1);
    assert_int_equal(book.sequences.pairs.count, 1);
    /* As Kafka: whoever is not known begins where it says. */
    assert_int_equal(commit(&book, batch(1, 0, 17, 2)), FLOW_REQUEST_FIRST);
    end(&book);
}

static void the_longest_idle_makes_room(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    book.sequences.used_max = 3;
    for (int64_t n = 0; n < 3; n++)
        assert_int_equal(commit(&book, batch(n, 0, 0, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(0, 0, 1, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(3, 0, 0, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(book.sequences.counts.displaced, 1);
    assert_int_equal(book.sequences.pairs.count, 3);
    assert_int_equal(repeat(&book, batch(1, 0, 0, 1)), -2);
    assert_int_equal(repeat(&book, batch(0, 0, 0, 1)), 0);
    end(&book);
}

static void who_has_something_on_its_way_loses_only_what_is_durable(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    book.sequences.used_max = 1;
    assert_int_equal(commit(&book, batch(1, 0, 0, 1)), FLOW_REQUEST_FIRST);
    struct flow_request next = batch(1, 0, 1, 1);
    struct flow_request other = batch(2, 0, 0, 1);
    assert_int_equal(compose(&book, &other), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &next), FLOW_REQUEST_FIRST);
    assert_code(settle(&book, &other), OK);
    assert_int_equal(book.sequences.used_count, 1);
    assert_int_equal(repeat(&book, batch(1, 0, 1, 1)), 2);
    assert_code(settle(&book, &next), OK);
    assert_int_equal(book.sequences.used_count, 1);
    assert_int_equal(repeat(&book, batch(1, 0, 1, 1)), 2);
    assert_int_equal(repeat(&book, batch(1, 0, 0, 1)), -2);
    assert_int_equal(repeat(&book, batch(2, 0, 0, 1)), -2);
    /* With nothing durable, what is taken back is all of it. */
    struct flow_request third = batch(3, 0, 0, 1);
    struct flow_request fourth = batch(1, 0, 2, 1);
    assert_int_equal(compose(&book, &third), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &fourth), FLOW_REQUEST_FIRST);
    assert_code(settle(&book, &third), OK);
    log_sequences_forget(&book.sequences);
    assert_int_equal(book.sequences.pairs.count, 1);
    end(&book);
}

static void a_topic_that_goes_takes_its_producers_with_it(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    struct flow_request other = batch(1, 0, 0, 1);
    other.topic_id = 2;
    assert_int_equal(commit(&book, batch(1, 0, 0, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, other), FLOW_REQUEST_FIRST);
    log_sequences_drop_topic(&book.sequences, 1);
    assert_int_equal(book.sequences.used_count, 1);
    assert_int_equal(repeat(&book, batch(1, 0, 0, 1)), -2);
    assert_int_equal(repeat(&book, other), 1);
    end(&book);
}

static void whoever_has_its_id_from_here_begins_at_0(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    book.sequences.used_max = 2;
    int64_t ids[5];
    for (size_t i = 0; i < 5; i++) {
        ids[i] = log_sequences_give_id(&book.sequences, UINT32_MAX, 1000);
        log_sequences_settle_id(&book.sequences, ids[i]);
    }
    struct flow_request behind = batch(ids[1], 0, 10, 10);
    assert_int_equal(compose(&book, &behind), FLOW_REQUEST_GAP);
    assert_int_equal(behind.expected, 0);
    assert_int_equal(commit(&book, batch(ids[1], 0, 0, 10)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, behind), FLOW_REQUEST_FIRST);
    /* From another directory, and one that is still to be given. */
    assert_int_equal(commit(&book, batch(ids[0] >> 1, 0, 10, 10)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(ids[4] + 1, 0, 10, 10)), FLOW_REQUEST_FIRST);
    /* The first of them has made room, and would be taken wherever it goes on: with it, those that
     * were given before, of which nobody knows. */
    assert_int_equal(book.sequences.counts.displaced, 1);
    assert_int_equal(book.sequences.forgotten_below, ids[1] + 1);
    assert_int_equal(commit(&book, batch(ids[2], 0, 1, 1)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&book, batch(ids[1], 0, 77, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&book, batch(ids[0], 0, 5, 1)), FLOW_REQUEST_FIRST);
    end(&book);
}

/* That a producer from elsewhere is forgotten, whose id is larger than all that are given here,
 * says nothing of those; nor does what was forgotten in the directory that this one is a copy of.
 */
static void what_is_forgotten_of_others_says_nothing_of_those_from_here(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    book.sequences.used_max = 1;
    int64_t ids[2];
    for (uint32_t copy = 0; copy < 2; copy++) {
        for (size_t i = 0; i < 2; i++) {
            ids[i] = log_sequences_give_id(&book.sequences, UINT32_MAX >> copy, 1000);
            log_sequences_settle_id(&book.sequences, ids[i]);
        }
        assert_int_equal(commit(&book, batch(INT64_MAX, 0, 10, 1)), FLOW_REQUEST_FIRST);
        assert_int_equal(commit(&book, batch(ids[0], 0, 10, 1)), FLOW_REQUEST_GAP);
        assert_int_equal(commit(&book, batch(ids[0], 0, 0, 1)), FLOW_REQUEST_FIRST);
        assert_int_equal(commit(&book, batch(ids[1], 0, 10, 1)), FLOW_REQUEST_GAP);
        /* Of one that was, it does. */
        assert_int_equal(commit(&book, batch(ids[1], 0, 0, 1)), FLOW_REQUEST_FIRST);
        assert_int_equal(commit(&book, batch(ids[0], 0, 10, 1)), FLOW_REQUEST_FIRST);
    }
    end(&book);
}

static void ids_are_given_once_whatever_becomes_of_their_frames(void **state)
{
    (void)state;
    struct book book;
    begin(&book);
    const int64_t first = (INT64_C(1) << 41) + 500;
    assert_true(log_sequences_are_none(&book.sequences));
    assert_int_equal(log_sequences_give_id(&book.sequences, 2048, 500), first);
    assert_int_equal(log_sequences_give_id(&book.sequences, 2048, 500), first + 1);
    log_sequences_forget(&book.sequences);
    assert_int_equal(log_sequences_give_id(&book.sequences, 2048, 400), first + 2);
    log_sequences_settle_id(&book.sequences, first + 2);
    assert_int_equal(book.sequences.next_id, first + 3);
    assert_int_equal(log_sequences_give_id(&book.sequences, 2048, 900), first + 400);
    /* In recovery nobody has given anything. */
    log_sequences_settle_id(&book.sequences, first + 5000);
    assert_int_equal(log_sequences_give_id(&book.sequences, 2048, 900), first + 5001);
    /* A copy of this one, wherever its own range lies. */
    const int64_t other = (INT64_C(9) << 41) + 7;
    assert_int_equal(log_sequences_give_id(&book.sequences, 9 * 2048, 7), other);
    log_sequences_settle_id(&book.sequences, other);
    assert_int_equal(book.sequences.next_id, other + 1);
    assert_int_equal(log_sequences_give_id(&book.sequences, 9 * 2048, 7), other + 1);
    assert_int_equal(log_sequences_give_id(&book.sequences, 2048, 7), (INT64_C(1) << 41) + 7);
    end(&book);
    /* Whatever the clock and the directory say. */
    static const int64_t times[] = {0, 1, INT64_MAX / 2};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        begin(&book);
        assert_true(log_sequences_give_id(&book.sequences, UINT32_MAX, times[i]) > 0);
        end(&book);
    }
}

static bool any_exists(const void *context, uint32_t topic_id, uint32_t partition)
{
    (void)context;
    return topic_id == 1 && partition < 3;
}

static err_t decode(struct book *book, struct slice bytes)
{
    struct cursor c = cursor_make(bytes);
    TRY(log_sequences_decode(&book->sequences, &c, any_exists, NULL));
    return err_make(c.rest.size == 0 ? ERR_OK : ERR_CORRUPT);
}

static void copy(const struct book *book, struct book *read)
{
    struct buf bytes;
    struct buf again;
    buf_init(&bytes, 0);
    buf_init(&again, 0);
    log_sequences_encode(&book->sequences, &bytes);
    begin(read);
    assert_code(decode(read, buf_slice(&bytes)), OK);
    log_sequences_encode(&read->sequences, &again);
    assert_true(slice_equal(buf_slice(&bytes), buf_slice(&again)));
    buf_done(&bytes);
    buf_done(&again);
}

static void what_is_read_knows_the_same(void **state)
{
    (void)state;
    struct book book;
    struct book read;
    begin(&book);
    for (int32_t n = 0; n < 9; n++) {
        book.now_ms += 10;
        assert_int_equal(commit(&book, batch(1, 3, n, 1)), FLOW_REQUEST_FIRST);
    }
    assert_int_equal(commit(&book, batch(2, 0, INT32_MAX, 2)), FLOW_REQUEST_FIRST);
    log_sequences_settle_id(&book.sequences, 41);
    struct flow_request coming = batch(1, 3, 9, 1);
    assert_int_equal(compose(&book, &coming), FLOW_REQUEST_FIRST);
    copy(&book, &read);
    for (int32_t n = 0; n < 9; n++)
        assert_int_equal(repeat(&read, batch(1, 3, n, 1)), n < 4 ? -3 : n);
    assert_int_equal(commit(&read, batch(1, 2, 0, 1)), FLOW_REQUEST_OLD_EPOCH);
    assert_int_equal(commit(&read, batch(1, 3, 10, 1)), FLOW_REQUEST_GAP);
    assert_int_equal(commit(&read, batch(1, 3, 9, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(commit(&read, batch(2, 0, 1, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(log_sequences_give_id(&read.sequences, 0, 0), 42);
    end(&book);
    end(&read);
}

static void what_is_moved_is_the_same(void **state)
{
    (void)state;
    struct book book;
    struct book moved = {.now_ms = 1000, .end_offset = 4};
    begin(&book);
    struct flow_request coming = batch(2, 0, 0, 1);
    for (int32_t n = 0; n < 3; n++)
        assert_int_equal(commit(&book, batch(1, 0, n, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(compose(&book, &coming), FLOW_REQUEST_FIRST);
    log_sequences_move(&moved.sequences, &book.sequences);
    memset(&book, 0xff, sizeof book);
    assert_int_equal(repeat(&moved, batch(1, 0, 2, 1)), 2);
    assert_int_equal(repeat(&moved, batch(2, 0, 0, 1)), 3);
    assert_code(settle(&moved, &coming), OK);
    assert_int_equal(commit(&moved, batch(1, 0, 3, 1)), FLOW_REQUEST_FIRST);
    assert_int_equal(moved.sequences.used_count, 2);
    end(&moved);
}

static void recovery_ends_where_the_log_was(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct book live;
    struct book recovered;
    struct flow_request frame[4];
    int32_t next[9] = {0};
    begin(&live);
    begin(&recovered);
    live.sequences.used_max = recovered.sequences.used_max = 5;
    for (int step = 0; step < 3000; step++) {
        size_t count = 0;
        int32_t before[9];
        memcpy(before, next, sizeof next);
        live.now_ms += unit_random(&seed) % 50 == 0 ? DAY_MS : HOUR_MS;
        recovered.now_ms = live.now_ms;
        for (int i = 0; i < 4; i++) {
            int64_t producer = (int64_t)(unit_random(&seed) % 9);
            uint32_t records = (uint32_t)(1 + unit_random(&seed) % 3);
            frame[count] = batch(producer, 0, next[producer], records);
            if (compose(&live, &frame[count]) != FLOW_REQUEST_FIRST)
                continue;
            next[producer] += (int32_t)records;
            count++;
        }
        /* Every tenth frame fails. */
        if (unit_random(&seed) % 10 == 0) {
            log_sequences_forget(&live.sequences);
            memcpy(next, before, sizeof next);
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            assert_code(settle(&live, &frame[i]), OK);
            assert_code(settle(&recovered, &frame[i]), OK);
        }
    }
    struct buf one;
    struct buf two;
    buf_init(&one, 0);
    buf_init(&two, 0);
    log_sequences_encode(&live.sequences, &one);
    log_sequences_encode(&recovered.sequences, &two);
    assert_true(slice_equal(buf_slice(&one), buf_slice(&two)));
    assert_true(live.sequences.counts.displaced > 0 && live.sequences.counts.idle > 0);
    buf_done(&one);
    buf_done(&two);
    end(&live);
    end(&recovered);
}

static void times_that_make_no_sense_do_no_harm(void **state)
{
    (void)state;
    struct book book;
    struct book read;
    begin(&book);
    static const int64_t times[] = {5, INT64_MIN, -1, INT64_MAX, 5, INT64_MAX};
    for (int64_t i = 0; i < (int64_t)(sizeof times / sizeof times[0]); i++) {
        book.now_ms = times[i];
        assert_int_equal(commit(&book, batch(i, 0, 0, 1)), FLOW_REQUEST_FIRST);
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
    for (int32_t n = 0; n < 2; n++)
        assert_int_equal(commit(&book, batch(1, 0, n, 1)), FLOW_REQUEST_FIRST);
    book.now_ms++;
    assert_int_equal(commit(&book, batch(2, 0, 0, 1)), FLOW_REQUEST_FIRST);
    log_sequences_encode(&book.sequences, &bytes);
    static const struct {
        size_t at;
        uint8_t value;
    } wrongs[] = {
        {7, 0x80},   /* an id out of range */
        {15, 0x80},  /* another */
        {16, 3},     /* more pairs than there are */
        {19, 0xff},  /* more than can be */
        {20, 1},     /* what is written as zero */
        {24, 2},     /* no such topic */
        {28, 3},     /* no such partition */
        {39, 0x80},  /* a producer out of range */
        {47, 0x80},  /* a time before all */
        {41, 0xff},  /* times that fall */
        {48, 1},     /* fewer numbers than its batches have */
        {57, 0x80},  /* an epoch out of range */
        {58, 0},     /* no batch */
        {58, 6},     /* too many */
        {60, 1},     /* what is written as zero */
        {67, 0x80},  /* a number out of range */
        {68, 0},     /* a batch without records */
        {71, 0xff},  /* with too many */
        {79, 0x80},  /* an offset before all */
        {80, 2},     /* a batch that does not follow the one before */
        {96 + 8, 1}, /* a producer twice */
    };
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct book read;
        begin(&read);
        assert_code(decode(&read, slice_make(bytes.data, cut)), CORRUPT);
        end(&read);
    }
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct book read;
        uint8_t good = bytes.data[wrongs[i].at];
        bytes.data[wrongs[i].at] = wrongs[i].value;
        begin(&read);
        assert_code(decode(&read, buf_slice(&bytes)), CORRUPT);
        bytes.data[wrongs[i].at] = good;
        end(&read);
    }
    struct book read;
    begin(&read);
    assert_code(decode(&read, buf_slice(&bytes)), OK);
    end(&read);
    buf_done(&bytes);
    end(&book);
}

static void without_memory_nothing_happens(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 3; n++) {
        struct book book;
        begin(&book);
        struct flow_request request = batch(1, 0, 0, 1);
        log_sequences_decide(&book.sequences, &request);
        mem_fail_after(n);
        assert_code(log_sequences_add(&book.sequences, &request), MEMORY);
        mem_fail_after(0);
        assert_int_equal(book.sequences.pairs.count, 0);
        assert_true(log_sequences_are_none(&book.sequences));
        assert_int_equal(commit(&book, batch(1, 0, 0, 1)), FLOW_REQUEST_FIRST);
        end(&book);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_counts_and_what_was_there_is_a_repeat),
        cmocka_unit_test(a_gap_is_told_what_comes_next),
        cmocka_unit_test(what_was_before_the_first_that_is_known_may_not_have_been_there),
        cmocka_unit_test(what_is_refused_is_a_repeat_or_takes_no_numbers),
        cmocka_unit_test(epochs_rise_and_begin_at_0),
        cmocka_unit_test(numbers_go_on_at_0_behind_the_last),
        cmocka_unit_test(what_is_half_a_turn_behind_is_in_front),
        cmocka_unit_test(what_is_on_its_way_counts_and_is_taken_back),
        cmocka_unit_test(a_producer_is_forgotten_after_a_day),
        cmocka_unit_test(the_longest_idle_makes_room),
        cmocka_unit_test(who_has_something_on_its_way_loses_only_what_is_durable),
        cmocka_unit_test(a_topic_that_goes_takes_its_producers_with_it),
        cmocka_unit_test(whoever_has_its_id_from_here_begins_at_0),
        cmocka_unit_test(what_is_forgotten_of_others_says_nothing_of_those_from_here),
        cmocka_unit_test(ids_are_given_once_whatever_becomes_of_their_frames),
        cmocka_unit_test(what_is_read_knows_the_same),
        cmocka_unit_test(what_is_moved_is_the_same),
        cmocka_unit_test(recovery_ends_where_the_log_was),
        cmocka_unit_test(times_that_make_no_sense_do_no_harm),
        cmocka_unit_test(bytes_that_contradict_themselves_are_refused),
        cmocka_unit_test(without_memory_nothing_happens),
    };
    return cmocka_run_group_tests_name("log/sequences", tests, NULL, NULL);
}
