#include "log/state.h"

#include "base/alloc.h"
#include "flow/reader.h"
#include "unit/log/payload.h"

static const struct log_position origin = {.file_number = 3, .offset = 8192, .commit_time_ms = 777};

static void apply(struct log_state *s, const struct payload *p)
{
    assert_code(log_state_apply(s, payload_slice(p), origin), OK);
}

/* Two topics, "flights" (id 1, two partitions) and its DLQ (id 2). */
static void init(struct log_state *s)
{
    log_state_init(s, 42);
    struct payload p = {0};
    payload_topic(&p, 1, "flights", 2, 0);
    payload_topic(&p, 2, "flights.dlq", 1, 1);
    apply(s, &p);
}

static int set_up(void **state)
{
    init(*state = calloc(1, sizeof(struct log_state)));
    return 0;
}

static int tear_down(void **state)
{
    log_state_done(*state);
    free(*state);
    return 0;
}

static void add_batch(struct log_state *s, uint32_t topic, uint32_t partition, int64_t offset,
                      uint32_t count)
{
    struct payload p = {0};
    payload_batch(&p, topic, partition, offset, count);
    payload_counts(&p, topic, count, 0, 0);
    apply(s, &p);
}

static void open_lake(struct log_state *s)
{
    static const uint32_t ids[] = {1};
    struct payload p = {0};
    payload_sink_open(&p, 1, "lake", ids, 1);
    apply(s, &p);
}

/* The sink "lake" takes [first, end) of a partition as its next epoch. */
static void deliver(struct log_state *s, uint32_t partition, int64_t first, int64_t end,
                    uint64_t dead_lettered)
{
    struct log_sink *sink = log_state_sink(s, 1);
    struct flow_sink_range range = {
        1, partition, first, end, (uint64_t)(end - first) - dead_lettered, dead_lettered};
    struct payload p = {0};
    payload_sink_prepare(&p, 1, sink->epoch + 1, &range, 1, "file");
    payload_sink_commit(&p, 1, sink->epoch + 1);
    apply(s, &p);
}

static void topics_are_found_by_id_and_by_name(void **state)
{
    struct log_state *s = *state;
    assert_int_equal(s->topic_count, 2);
    struct log_topic *topic = log_state_topic(s, 1);
    assert_string_equal(topic->name, "flights");
    assert_int_equal(topic->uuid.bytes[0], 1);
    assert_int_equal(topic->partition_count, 2);
    assert_ptr_equal(log_state_topic_named(s, SLICE_LITERAL("flights")), topic);
    assert_int_equal(log_state_topic(s, 2)->parent_id, 1);
    assert_null(log_state_topic(s, 0));
    assert_null(log_state_topic(s, 3));
    assert_null(log_state_topic_named(s, SLICE_LITERAL("flight")));
    assert_non_null(log_state_partition(s, 1, 1));
    assert_null(log_state_partition(s, 1, 2));
    assert_null(log_state_partition(s, 3, 0));
}

static void batches_move_the_end_and_are_indexed_where_they_lie(void **state)
{
    struct log_state *s = *state;
    struct payload p = {0};
    payload_counts(&p, 1, 8, 0, 0);
    size_t first = p.size + LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE;
    payload_batch(&p, 1, 0, 0, 5);
    size_t second = p.size + LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE;
    payload_batch(&p, 1, 0, 5, 3);
    apply(s, &p);
    const struct log_partition *partition = log_state_partition(s, 1, 0);
    assert_int_equal(partition->start_offset, 0);
    assert_int_equal(partition->end_offset, 8);
    assert_int_equal(partition->next_offset, 8);
    assert_int_equal(partition->records, 8);
    assert_int_equal(partition->index_count, 2);
    const struct log_index_entry *entry = partition->index;
    assert_int_equal(entry[0].base_offset, 0);
    assert_int_equal(entry[0].records_before, 0);
    assert_int_equal(entry[0].file_number, 3);
    assert_int_equal(entry[0].file_offset, 8192 + LOG_FRAME_HEADER_SIZE + first);
    assert_int_equal(entry[0].commit_time_ms, 777);
    assert_int_equal(entry[1].base_offset, 5);
    assert_int_equal(entry[1].records_before, 5);
    assert_int_equal(entry[1].file_offset, 8192 + LOG_FRAME_HEADER_SIZE + second);
    assert_int_equal(entry[1].size, p.size - second);
    assert_int_equal(log_state_partition(s, 1, 1)->end_offset, 0);
}

static void what_the_door_counted_adds_up(void **state)
{
    struct log_state *s = *state;
    struct payload p = {0};
    payload_batch(&p, 1, 0, 0, 5);
    payload_batch(&p, 1, 1, 0, 4);
    payload_batch_of(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 0, 2);
    payload_counts(&p, 1, 9, 0, 0);
    payload_counts(&p, 1, 5, 1, 2);
    apply(s, &p);
    const struct log_topic *topic = log_state_topic(s, 1);
    assert_int_equal(topic->received, 14);
    assert_int_equal(topic->duplicates, 1);
    assert_int_equal(topic->refused, 2);
    assert_int_equal(topic->dead_lettered, 2);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    assert_int_equal(snapshot.topics[0].received, 14);
    assert_int_equal(snapshot.topics[0].accepted, 9);
    assert_int_equal(snapshot.topics[0].duplicates, 1);
    assert_int_equal(snapshot.topics[0].dead_lettered, 2);
    assert_int_equal(snapshot.topics[0].refused, 2);
    assert_int_equal(snapshot.topics[1].dlq_total, 2);
    assert_int_equal(snapshot.topics[1].dlq_held, 2);
    assert_int_equal(snapshot.topics[1].accepted, 0);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

/* Ten letters in the queue. */
static void add_letters(struct log_state *s)
{
    struct payload p = {0};
    payload_batch_of(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 0, 10);
    payload_counts(&p, 1, 10, 0, 0);
    apply(s, &p);
}

static void settle(struct log_state *s, enum flow_settle_kind kind, int64_t first, int64_t end)
{
    struct payload p = {0};
    payload_settle(&p, kind, 2, first, end);
    apply(s, &p);
}

static void move_start(struct log_state *s, uint32_t topic, int64_t start)
{
    struct payload p = {0};
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_LOG_START, .topic_id = topic, .start_offset = start};
    p.size = log_entry_put_topic(p.bytes, &change);
    apply(s, &p);
}

/* held, redriven, purged, expired, and how many runs a snapshot shows. */
static void assert_letters(const struct log_state *s, uint64_t held, uint64_t redriven,
                           uint64_t purged, uint64_t expired, uint32_t runs)
{
    struct flow_snapshot snapshot = {.settled_of = SLICE_LITERAL("flights.dlq")};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    const struct flow_topic_state *dlq = &snapshot.topics[1];
    assert_int_equal(dlq->dlq_total, 10);
    assert_int_equal(dlq->dlq_held, held);
    assert_int_equal(dlq->dlq_redriven, redriven);
    assert_int_equal(dlq->dlq_purged, purged);
    assert_int_equal(dlq->dlq_expired, expired);
    assert_int_equal(dlq->dlq_oldest_ms, held > 0 ? 777 : 0);
    assert_null(snapshot.topics[0].settled);
    assert_int_equal(dlq->settled[0].count, runs);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

static void settled_letters_are_held_no_more(void **state)
{
    struct log_state *s = *state;
    add_letters(s);
    assert_letters(s, 10, 0, 0, 0, 0);
    settle(s, FLOW_SETTLE_REDRIVEN, 0, 2);
    settle(s, FLOW_SETTLE_PURGED, 5, 6);
    assert_letters(s, 7, 2, 1, 0, 2);
    settle(s, FLOW_SETTLE_REDRIVEN, 2, 5);
    assert_letters(s, 4, 5, 1, 0, 1);
    settle(s, FLOW_SETTLE_PURGED, 6, 10);
    assert_letters(s, 0, 5, 5, 0, 1);
    move_start(s, 2, 10);
    assert_letters(s, 0, 5, 5, 0, 0);
}

static void only_what_was_held_expires(void **state)
{
    struct log_state *s = *state;
    add_letters(s);
    settle(s, FLOW_SETTLE_REDRIVEN, 1, 3);
    settle(s, FLOW_SETTLE_PURGED, 4, 8);
    move_start(s, 2, 6);
    assert_letters(s, 2, 2, 4, 2, 1);
    move_start(s, 2, 9);
    assert_letters(s, 1, 2, 4, 3, 0);
}

/* Offsets that fsck has given up hold nothing, and how many records lie before the start is not
 * always known by them. */
static void a_hole_leaves_the_ledger_balanced(void **state)
{
    struct log_state *s = *state;
    struct payload p = {0};
    payload_batch_of(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 100, 10);
    payload_counts(&p, 1, 10, 0, 0);
    apply(s, &p);
    settle(s, FLOW_SETTLE_REDRIVEN, 0, 2);
    move_start(s, 2, 2);
    assert_letters(s, 8, 2, 0, 0, 0);
    settle(s, FLOW_SETTLE_PURGED, 102, 110);
    move_start(s, 2, 105);
    assert_letters(s, 0, 2, 8, 0, 1);
    move_start(s, 2, 110);
    assert_letters(s, 0, 2, 8, 0, 0);
}

static void a_letter_is_settled_once(void **state)
{
    struct log_state *s = *state;
    static const int64_t wrong[][2] = {{2, 3}, {1, 4}, {3, 5}, {4, 6}, {0, 1}, {9, 11}, {10, 11}};
    add_letters(s);
    settle(s, FLOW_SETTLE_REDRIVEN, 2, 5);
    move_start(s, 2, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct flow_settle settle = {.topic_id = 2,
                                     .kind = FLOW_SETTLE_PURGED,
                                     .record_count = 1,
                                     .first_offset = wrong[i][0],
                                     .end_offset = wrong[i][1]};
        assert_code(log_state_may_settle(s, &settle), OFFSET_RANGE);
        struct payload p = {0};
        payload_settle(&p, FLOW_SETTLE_PURGED, 2, wrong[i][0], wrong[i][1]);
        assert_code(log_state_apply(s, payload_slice(&p), origin), CORRUPT);
    }
    struct flow_settle other = {
        .topic_id = 1, .kind = FLOW_SETTLE_PURGED, .record_count = 1, .end_offset = 1};
    assert_code(log_state_may_settle(s, &other), INVALID);
    other.topic_id = 3;
    assert_code(log_state_may_settle(s, &other), NOT_FOUND);
    other.topic_id = 2;
    other.partition = 1;
    assert_code(log_state_may_settle(s, &other), NOT_FOUND);
}

static void letters_of_sinks_count_in_the_queue_but_not_at_the_door(void **state)
{
    struct log_state *s = *state;
    struct payload p = {0};
    payload_batch(&p, 1, 0, 0, 5);
    payload_counts(&p, 1, 5, 0, 0);
    apply(s, &p);
    open_lake(s);
    struct flow_sink_range range = {1, 0, 0, 5, 3, 2};
    p.size = 0;
    payload_sink_prepare(&p, 1, 1, &range, 1, "");
    payload_batch_of(&p, FLOW_APPEND_SINK_LETTERS, 2, 0, 0, 2);
    payload_sink_commit(&p, 1, 1);
    apply(s, &p);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    assert_int_equal(snapshot.topics[0].dead_lettered, 0);
    assert_int_equal(snapshot.topics[1].dlq_total, 2);
    assert_int_equal(snapshot.sinks[0].accepted, 5);
    assert_int_equal(snapshot.sinks[0].delivered, 3);
    assert_int_equal(snapshot.sinks[0].dead_lettered, 2);
    assert_int_equal(snapshot.sinks[0].pending, 0);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

static void a_sink_that_miscounts_is_found_out(void **state)
{
    struct log_state *s = *state;
    struct payload p = {0};
    payload_batch(&p, 1, 0, 0, 5);
    payload_counts(&p, 1, 5, 0, 0);
    apply(s, &p);
    open_lake(s);
    struct flow_sink_range range = {1, 0, 0, 5, 4, 0};
    p.size = 0;
    payload_sink_prepare(&p, 1, 1, &range, 1, "");
    payload_sink_commit(&p, 1, 1);
    apply(s, &p);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    assert_false(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

static void a_sink_starts_at_the_first_record_and_moves_by_epochs(void **state)
{
    struct log_state *s = *state;
    add_batch(s, 1, 0, 0, 5);
    open_lake(s);
    add_batch(s, 1, 1, 0, 4);
    struct log_sink *sink = log_state_sink_named(s, SLICE_LITERAL("lake"));
    assert_ptr_equal(sink, log_state_sink(s, 1));
    assert_true(sink->open);
    assert_int_equal(sink->cursor_count, 2);
    assert_int_equal(sink->cursors[0].offset, 0);

    struct flow_sink_range ranges[] = {{1, 0, 0, 3, 2, 1}, {1, 1, 0, 4, 4, 0}};
    struct payload p = {0};
    payload_sink_prepare(&p, 1, 1, ranges, 2, "two files");
    apply(s, &p);
    assert_true(sink->prepared);
    assert_int_equal(sink->epoch, 0);
    assert_int_equal(sink->range_count, 2);
    assert_slice(sink->outputs, "two files");
    assert_int_equal(sink->cursors[0].offset, 0);
    assert_int_equal(sink->delivered, 0);

    p.size = 0;
    payload_sink_commit(&p, 1, 1);
    apply(s, &p);
    assert_false(sink->prepared);
    assert_int_equal(sink->epoch, 1);
    assert_int_equal(sink->range_count, 0);
    assert_int_equal(sink->outputs.size, 0);
    assert_int_equal(sink->cursors[0].offset, 3);
    assert_int_equal(sink->cursors[0].records, 3);
    assert_int_equal(sink->cursors[1].offset, 4);
    assert_int_equal(sink->delivered, 6);
    assert_int_equal(sink->dead_lettered, 1);
}

static void a_closed_sink_keeps_its_row_and_goes_on_when_opened_again(void **state)
{
    struct log_state *s = *state;
    open_lake(s);
    add_batch(s, 1, 0, 0, 5);
    deliver(s, 0, 0, 3, 1);
    struct payload p = {0};
    payload_sink_close(&p, 1);
    apply(s, &p);
    add_batch(s, 1, 0, 5, 10);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    const struct flow_sink_state *row = &snapshot.sinks[0];
    assert_false(row->open);
    assert_int_equal(row->cursor_count, 0);
    assert_int_equal(row->topic_count, 0);
    assert_int_equal(row->accepted, 3);
    assert_int_equal(row->delivered, 2);
    assert_int_equal(row->dead_lettered, 1);
    assert_int_equal(row->pending, 0);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);

    open_lake(s);
    assert_int_equal(s->sink_count, 1);
    assert_code(log_state_snapshot(s, &snapshot), OK);
    row = &snapshot.sinks[0];
    assert_true(row->open);
    assert_int_equal(row->cursor_count, 2);
    assert_int_equal(row->cursors[0].offset, 3);
    assert_int_equal(row->accepted, 15);
    assert_int_equal(row->pending, 12);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

static void a_topic_taken_from_a_sink_and_given_back_keeps_its_cursor(void **state)
{
    struct log_state *s = *state;
    static const uint32_t both[] = {1, 2};
    static const uint32_t second[] = {2};
    struct payload p = {0};
    payload_sink_open(&p, 1, "lake", both, 2);
    payload_batch(&p, 1, 0, 0, 5);
    apply(s, &p);
    deliver(s, 0, 0, 2, 0);
    p.size = 0;
    payload_sink_open(&p, 1, "lake", second, 1);
    apply(s, &p);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    assert_int_equal(snapshot.sinks[0].topic_count, 1);
    assert_int_equal(snapshot.sinks[0].topic_ids[0], 2);
    assert_int_equal(snapshot.sinks[0].accepted, 2);
    assert_int_equal(snapshot.sinks[0].pending, 0);
    flow_snapshot_done(&snapshot);
    p.size = 0;
    payload_sink_open(&p, 1, "lake", both, 2);
    apply(s, &p);
    const struct log_sink *sink = log_state_sink(s, 1);
    assert_int_equal(sink->cursor_count, 3);
    assert_int_equal(sink->cursors[0].offset, 2);
    assert_true(sink->cursors[0].active);
}

static void more_partitions_give_every_open_sink_more_cursors(void **state)
{
    struct log_state *s = *state;
    open_lake(s);
    add_batch(s, 1, 1, 0, 4);
    static const uint32_t other[] = {2};
    struct payload p = {0};
    payload_sink_open(&p, 2, "other", other, 1);
    payload_partitions(&p, 1, 5);
    payload_batch(&p, 1, 4, 0, 7);
    apply(s, &p);
    assert_int_equal(log_state_topic(s, 1)->partition_count, 5);
    assert_int_equal(log_state_partition(s, 1, 1)->end_offset, 4);
    assert_int_equal(log_state_partition(s, 1, 4)->end_offset, 7);
    assert_int_equal(log_state_sink(s, 1)->cursor_count, 5);
    assert_int_equal(log_state_sink(s, 2)->cursor_count, 1);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    assert_int_equal(snapshot.sinks[0].pending, 11);
    flow_snapshot_done(&snapshot);
}

static void readers_that_wait_stay_when_partitions_are_raised(void **state)
{
    struct log_state *s = *state;
    struct flow_read reads[3] = {0};
    for (size_t i = 0; i < 3; i++)
        list_add_tail(&log_state_partition(s, 1, i == 2)->waiters, &reads[i].link);
    struct payload p = {0};
    payload_partitions(&p, 1, 9);
    apply(s, &p);
    assert_true(list_empty(&s->ready));
    add_batch(s, 1, 0, 0, 1);
    assert_ptr_equal(list_pop(&s->ready), &reads[0].link);
    assert_ptr_equal(list_pop(&s->ready), &reads[1].link);
    assert_true(list_empty(&s->ready));
    list_remove(&reads[2].link);
}

static void a_gap_between_batches_is_a_hole_without_records(void **state)
{
    struct log_state *s = *state;
    add_batch(s, 1, 0, 10, 5);
    add_batch(s, 1, 0, 100, 2);
    const struct log_partition *p = log_state_partition(s, 1, 0);
    assert_int_equal(p->end_offset, 102);
    assert_int_equal(p->records, 7);
    static const struct {
        int64_t offset;
        uint64_t before;
        size_t at;
    } cases[] = {{0, 0, 0},  {9, 0, 0},  {10, 0, 0},  {12, 2, 0},  {14, 4, 0},
                 {15, 5, 0}, {50, 5, 0}, {100, 5, 1}, {101, 6, 1}, {102, 7, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(log_partition_records_before(p, cases[i].offset), cases[i].before);
        assert_int_equal(log_partition_find(p, cases[i].offset), cases[i].at);
    }
    open_lake(s);
    deliver(s, 0, 0, 50, 45);
    assert_int_equal(log_state_sink(s, 1)->cursors[0].records, 5);
}

/* The sink "lake" takes [first, end) of the first partition, in which it has found `records`. */
static void deliver_some(struct log_state *s, int64_t first, int64_t end, uint64_t records)
{
    uint64_t epoch = log_state_sink(s, 1)->epoch + 1;
    struct flow_sink_range range = {1, 0, first, end, records, 0};
    struct payload p = {0};
    payload_sink_prepare(&p, 1, epoch, &range, 1, "file");
    payload_sink_commit(&p, 1, epoch);
    apply(s, &p);
}

/* Offsets 0 to 4 and 10 to 14, and 15 to 24, have records and are sealed in a segment each; so has
 * 30, which is not. */
static void seal_with_holes(struct log_state *s)
{
    const struct log_segment segments[] = {
        {.end_offset = 15, .records = 10},
        {.base_offset = 15, .end_offset = 30, .records_before = 10, .records = 10}};
    add_batch(s, 1, 0, 0, 5);
    add_batch(s, 1, 0, 10, 5);
    add_batch(s, 1, 0, 15, 10);
    add_batch(s, 1, 0, 30, 1);
    assert_code(log_partition_put_segments(log_state_partition(s, 1, 0), segments, 2), OK);
    open_lake(s);
}

static void assert_sink(const struct log_state *s, uint64_t delivered, uint64_t expired,
                        uint64_t pending)
{
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(s, &snapshot), OK);
    const struct flow_sink_state *row = &snapshot.sinks[0];
    assert_int_equal(row->delivered, delivered);
    assert_int_equal(row->expired, expired);
    assert_int_equal(row->pending, pending);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
}

static void
a_start_behind_which_fewer_are_counted_than_a_sink_has_passed_moves_none_back(void **state)
{
    struct log_state *s = *state;
    seal_with_holes(s);
    deliver_some(s, 0, 7, 5);
    assert_sink(s, 5, 0, 16);
    /* 3 at the least are before it. */
    move_start(s, 1, 8);
    assert_sink(s, 5, 0, 16);
    deliver_some(s, 8, 15, 5);
    deliver_some(s, 15, 31, 11);
    assert_sink(s, 21, 0, 0);
}

static void what_went_with_a_start_among_holes_is_known_at_the_end_of_a_segment(void **state)
{
    struct log_state *s = *state;
    seal_with_holes(s);
    /* 5 have gone, 3 at the least. */
    move_start(s, 1, 8);
    assert_sink(s, 0, 3, 18);
    /* Into the midst of the next segment, so that it stays open what lies between. */
    deliver_some(s, 8, 20, 10);
    assert_sink(s, 10, 3, 8);
    deliver_some(s, 20, 30, 5);
    assert_sink(s, 15, 5, 1);
    deliver_some(s, 30, 31, 1);
    assert_sink(s, 16, 5, 0);
}

static void an_empty_partition_has_nothing_before_anything(void **state)
{
    struct log_state *s = *state;
    const struct log_partition *p = log_state_partition(s, 1, 0);
    assert_int_equal(log_partition_find(p, 0), 0);
    assert_int_equal(log_partition_records_before(p, 0), 0);
}

static void the_index_finds_every_offset_of_many_batches(void **state)
{
    struct log_state *s = *state;
    uint64_t seed = unit_seed();
    int64_t bases[200];
    int64_t end = 0;
    uint32_t counts[200];
    for (size_t i = 0; i < 200; i++) {
        bases[i] = end + (int64_t)(unit_random(&seed) % 3);
        counts[i] = 1 + (uint32_t)(unit_random(&seed) % 6);
        add_batch(s, 1, 0, bases[i], counts[i]);
        end = bases[i] + counts[i];
    }
    const struct log_partition *p = log_state_partition(s, 1, 0);
    uint64_t before = 0;
    for (size_t i = 0; i < 200; i++) {
        for (uint32_t r = 0; r < counts[i]; r++) {
            assert_int_equal(log_partition_find(p, bases[i] + r), i);
            assert_int_equal(log_partition_records_before(p, bases[i] + r), before + r);
        }
        before += counts[i];
    }
    assert_int_equal(log_partition_records_before(p, end), before);
}

/* What `p` says cannot follow on what is there. */
static void assert_refused(const struct payload *p)
{
    static const uint32_t ids[] = {1};
    struct log_state s;
    init(&s);
    struct payload first = {0};
    payload_batch(&first, 1, 0, 0, 5);
    payload_sink_open(&first, 1, "lake", ids, 1);
    apply(&s, &first);
    assert_code(log_state_apply(&s, payload_slice(p), origin), CORRUPT);
    log_state_done(&s);
}

static void batches_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_batch(&p, 1, 0, 4, 1); /* an offset that is taken */
    assert_refused(&p);
    p.size = 0;
    payload_batch(&p, 1, 2, 0, 1); /* no such partition */
    assert_refused(&p);
    p.size = 0;
    payload_batch(&p, 3, 0, 0, 1); /* no such topic */
    assert_refused(&p);
    p.size = 0;
    payload_batch_of(&p, FLOW_APPEND_DEAD_LETTERS, 1, 0, 5, 1); /* not a DLQ */
    assert_refused(&p);
    p.size = 0;
    payload_batch_of(&p, FLOW_APPEND_SINK_LETTERS, 1, 0, 5, 1);
    assert_refused(&p);
    p.size = 0;
    payload_batch(&p, 1, 0, INT64_MAX - 1, 2); /* offsets would run over */
    assert_refused(&p);
    p.size = 0;
    payload_batch(&p, 1, 0, 5, 2);
    put_u32le(p.bytes + 16, 3); /* the count is not the batch's */
    assert_refused(&p);
    p.size = 0;
    payload_batch(&p, 1, 0, 5, 2);
    p.bytes[LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE + 16] = 1; /* an older batch format */
    assert_refused(&p);
    p.size = 0;
    payload_batch(&p, 1, 0, 5, 2);
    p.size += 1; /* a byte behind the batch */
    put_u32le(p.bytes + 4, (uint32_t)(p.size - LOG_ENTRY_HEADER_SIZE));
    assert_refused(&p);
}

static void topics_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_topic(&p, 4, "gap", 1, 0);
    assert_refused(&p);
    p.size = 0;
    payload_topic(&p, 2, "again", 1, 0);
    assert_refused(&p);
    p.size = 0;
    payload_topic(&p, 3, "flights", 1, 0);
    assert_refused(&p);
    p.size = 0;
    payload_topic(&p, 3, "own.parent", 1, 3);
    assert_refused(&p);
    p.size = 0;
    payload_partitions(&p, 1, 1);
    assert_refused(&p);
    p.size = 0;
    payload_partitions(&p, 3, 4);
    assert_refused(&p);
    p.size = 0;
    payload_counts(&p, 3, 1, 0, 0);
    assert_refused(&p);
}

static void sinks_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const uint32_t ids[] = {1, 3};
    struct payload p = {0};
    payload_sink_open(&p, 3, "gap", ids, 1);
    assert_refused(&p);
    p.size = 0;
    payload_sink_open(&p, 2, "lake", ids, 1);
    assert_refused(&p);
    p.size = 0;
    payload_sink_open(&p, 1, "renamed", ids, 1);
    assert_refused(&p);
    p.size = 0;
    payload_sink_open(&p, 2, "new", ids, 2);
    assert_refused(&p);
    p.size = 0;
    payload_sink_close(&p, 2);
    assert_refused(&p);
    p.size = 0;
    payload_sink_commit(&p, 1, 1);
    assert_refused(&p);
}

static void epochs_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t epoch;
        struct flow_sink_range range;
    } cases[] = {
        {2, {1, 0, 0, 5, 5, 0}}, /* not the next epoch */
        {1, {1, 0, 1, 5, 4, 0}}, /* not where the cursor is */
        {1, {2, 0, 0, 0, 0, 0}}, /* a topic that the sink does not have */
        {1, {1, 7, 0, 0, 0, 0}},
    };
    struct payload p = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p.size = 0;
        payload_sink_prepare(&p, 1, cases[i].epoch, &cases[i].range, 1, "");
        assert_refused(&p);
    }
    struct flow_sink_range range = {1, 0, 0, 6, 6, 0};
    p.size = 0;
    payload_sink_prepare(&p, 1, 1, &range, 1, "");
    payload_sink_commit(&p, 1, 1); /* beyond the end of the partition */
    assert_refused(&p);
    range.end_offset = 5;
    p.size = 0;
    payload_sink_prepare(&p, 1, 1, &range, 1, "");
    payload_sink_prepare(&p, 1, 1, &range, 1, ""); /* prepared already */
    assert_refused(&p);
    p.size = 0;
    payload_sink_prepare(&p, 1, 1, &range, 1, "");
    payload_sink_commit(&p, 1, 2);
    assert_refused(&p);
    range = (struct flow_sink_range){1, 0, 0, 1, 0, 0};
    p.size = 0;
    payload_sink_prepare(&p, 1, 1, &range, 1, "");
    put_u64le(p.bytes + LOG_ENTRY_HEADER_SIZE + 16 + 16, UINT64_MAX); /* it ends before it begins */
    assert_refused(&p);
}

static void an_entry_of_a_newer_program_is_told_from_damage(void **state)
{
    struct log_state *s = *state;
    struct payload p = {0};
    payload_counts(&p, 1, 1, 0, 0);
    payload_raw(&p, LOG_ENTRY_TRANSACTION, 0, NULL, 0);
    assert_code(log_state_apply(s, payload_slice(&p), origin), VERSION);
}

static void only_the_last_frame_can_be_the_mark_of_a_clean_stop(void **state)
{
    struct log_state *s = *state;
    struct payload p = {0};
    payload_clean_stop(&p);
    apply(s, &p);
    assert_true(s->clean_stop);
    add_batch(s, 1, 0, 0, 1);
    assert_false(s->clean_stop);
    apply(s, &p);
    p.size = 0;
    apply(s, &p);
    assert_false(s->clean_stop);
}

static void reserved_room_is_used_and_needs_no_memory(void **state)
{
    struct log_state *s = *state;
    struct log_partition *partition = log_state_partition(s, 1, 0);
    for (int i = 0; i < 20; i++)
        assert_code(log_state_reserve(s, partition), OK);
    assert_int_equal(partition->index_reserved, 20);
    assert_true(partition->index_capacity >= 20);
    assert_int_equal(s->index_bytes, partition->index_capacity * sizeof(struct log_index_entry));
    struct payload p = {0};
    for (int i = 0; i < 20; i++)
        payload_batch(&p, 1, 0, i, 1);
    mem_fail_after(1);
    err_t err = log_state_apply(s, payload_slice(&p), origin);
    uint64_t allocations = mem_alloc_count();
    mem_fail_after(0);
    assert_code(err, OK);
    assert_int_equal(allocations, 0);
    assert_int_equal(partition->index_reserved, 0);
    assert_int_equal(partition->index_count, 20);
}

static void what_was_reserved_for_lost_frames_is_taken_back(void **state)
{
    struct log_state *s = *state;
    add_batch(s, 1, 0, 0, 5);
    struct log_partition *partition = log_state_partition(s, 1, 0);
    assert_code(log_state_reserve(s, partition), OK);
    partition->next_offset = 12;
    log_state_forget_reserved(s);
    assert_int_equal(partition->next_offset, 5);
    assert_int_equal(partition->index_reserved, 0);
    add_batch(s, 1, 0, 5, 1);
    assert_int_equal(partition->index_count, 2);
}

static void an_offset_given_to_a_frame_under_way_is_not_moved_back(void **state)
{
    struct log_state *s = *state;
    struct log_partition *partition = log_state_partition(s, 1, 0);
    partition->next_offset = 9;
    add_batch(s, 1, 0, 0, 5);
    assert_int_equal(partition->end_offset, 5);
    assert_int_equal(partition->next_offset, 9);
}

static void a_snapshot_is_a_copy_that_outlives_changes(void **state)
{
    (void)state;
    struct log_state s;
    init(&s);
    add_batch(&s, 1, 0, 0, 5);
    open_lake(&s);
    struct flow_sink_range range = {1, 0, 0, 4, 4, 0};
    struct payload p = {0};
    payload_sink_prepare(&p, 1, 1, &range, 1, "a file");
    apply(&s, &p);
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(&s, &snapshot), OK);
    p.size = 0;
    payload_sink_commit(&p, 1, 1);
    payload_batch(&p, 1, 0, 5, 5);
    payload_topic(&p, 3, "late", 1, 0);
    apply(&s, &p);
    log_state_done(&s);

    assert_int_equal(snapshot.topic_count, 2);
    const struct flow_topic_state *topic = flow_snapshot_topic(&snapshot, SLICE_LITERAL("flights"));
    assert_int_equal(topic->partition_count, 2);
    assert_int_equal(topic->end_offset[0], 5);
    assert_int_equal(topic->end_offset[1], 0);
    assert_int_equal(topic->start_offset[0], 0);
    assert_int_equal(topic->uuid.bytes[0], 1);
    const struct flow_sink_state *sink = flow_snapshot_sink(&snapshot, SLICE_LITERAL("lake"));
    assert_true(sink->prepared);
    assert_int_equal(sink->epoch, 0);
    assert_int_equal(sink->range_count, 1);
    assert_int_equal(sink->ranges[0].end_offset, 4);
    assert_slice(sink->outputs, "a file");
    assert_int_equal(sink->pending, 5);
    flow_snapshot_done(&snapshot);
}

/* Everything that allocates, in one payload. */
static void put_everything(struct payload *p)
{
    static const uint32_t ids[] = {1};
    static const struct flow_sink_range range = {1, 0, 0, 5, 5, 0};
    payload_topic(p, 1, "flights", 2, 0);
    payload_topic(p, 2, "flights.dlq", 1, 1);
    payload_batch(p, 1, 0, 0, 5);
    payload_sink_open(p, 1, "lake", ids, 1);
    payload_partitions(p, 1, 3);
    payload_sink_prepare(p, 1, 1, &range, 1, "file");
}

static void any_failed_allocation_of_a_frame_is_an_error(void **state)
{
    (void)state;
    struct payload p = {0};
    put_everything(&p);
    uint64_t n = 1;
    for (bool done = false; !done; n++) {
        struct log_state s;
        log_state_init(&s, 42);
        mem_fail_after(n);
        err_t err = log_state_apply(&s, payload_slice(&p), origin);
        done = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_int_equal(err.code, done ? ERR_OK : ERR_MEMORY);
        log_state_done(&s);
    }
    assert_true(n > 10);
}

static void any_failed_allocation_of_a_snapshot_is_an_error(void **state)
{
    (void)state;
    struct log_state s;
    log_state_init(&s, 42);
    struct payload p = {0};
    put_everything(&p);
    apply(&s, &p);
    for (uint32_t i = 0; i < 300; i++) {
        char name[20];
        snprintf(name, sizeof name, "topic-%u", i);
        p.size = 0;
        payload_topic(&p, 3 + i, name, 20, 0);
        apply(&s, &p);
    }
    uint64_t n = 1;
    for (bool done = false; !done; n++) {
        struct flow_snapshot snapshot = {0};
        mem_fail_after(n);
        err_t err = log_state_snapshot(&s, &snapshot);
        done = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_int_equal(err.code, done ? ERR_OK : ERR_MEMORY);
        flow_snapshot_done(&snapshot);
    }
    assert_true(n > 3);
    log_state_done(&s);
}

static void a_failed_reservation_changes_nothing(void **state)
{
    struct log_state *s = *state;
    struct log_partition *partition = log_state_partition(s, 1, 0);
    mem_fail_after(1);
    err_t err = log_state_reserve(s, partition);
    mem_fail_after(0);
    assert_code(err, MEMORY);
    assert_int_equal(partition->index_reserved, 0);
    assert_int_equal(s->index_bytes, 0);
}

static void put_sequenced(struct payload *p, uint32_t topic_id, uint32_t partition, int32_t first)
{
    p->size += log_entry_put_request(
        p->bytes + p->size,
        &(struct flow_request){
            .kind = FLOW_REQUEST_SEQUENCED,
            .topic_id = topic_id,
            .batch = {.producer_id = 7, .partition = partition, .first = first, .count = 3}});
}

static void producers_are_known_on_partitions_that_there_are(void **state)
{
    (void)state;
    struct log_state s;
    struct log_state moved;
    struct payload p = {0};
    init(&s);
    put_sequenced(&p, 1, 1, 0);
    put_sequenced(&p, 1, 0, 9);
    p.size += log_entry_put_producer_id(p.bytes + p.size, 7);
    apply(&s, &p);
    log_state_move(&moved, &s);
    assert_int_equal(moved.topic_count, 2);
    assert_int_equal(moved.sequences.used_count, 2);
    assert_int_equal(moved.sequences.next_id, 8);
    log_state_done(&moved);
    p.size = 0;
    put_sequenced(&p, 1, 2, 0);
    assert_refused(&p);
    p.size = 0;
    put_sequenced(&p, 3, 0, 0);
    assert_refused(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(topics_are_found_by_id_and_by_name),
        fixture_test(batches_move_the_end_and_are_indexed_where_they_lie),
        fixture_test(what_the_door_counted_adds_up),
        fixture_test(settled_letters_are_held_no_more),
        fixture_test(only_what_was_held_expires),
        fixture_test(a_hole_leaves_the_ledger_balanced),
        fixture_test(a_letter_is_settled_once),
        fixture_test(letters_of_sinks_count_in_the_queue_but_not_at_the_door),
        fixture_test(a_sink_that_miscounts_is_found_out),
        fixture_test(a_sink_starts_at_the_first_record_and_moves_by_epochs),
        fixture_test(a_closed_sink_keeps_its_row_and_goes_on_when_opened_again),
        fixture_test(a_topic_taken_from_a_sink_and_given_back_keeps_its_cursor),
        fixture_test(more_partitions_give_every_open_sink_more_cursors),
        fixture_test(readers_that_wait_stay_when_partitions_are_raised),
        fixture_test(a_gap_between_batches_is_a_hole_without_records),
        fixture_test(a_start_behind_which_fewer_are_counted_than_a_sink_has_passed_moves_none_back),
        fixture_test(what_went_with_a_start_among_holes_is_known_at_the_end_of_a_segment),
        fixture_test(an_empty_partition_has_nothing_before_anything),
        fixture_test(the_index_finds_every_offset_of_many_batches),
        cmocka_unit_test(batches_that_cannot_be_are_refused),
        cmocka_unit_test(topics_that_cannot_be_are_refused),
        cmocka_unit_test(sinks_that_cannot_be_are_refused),
        cmocka_unit_test(epochs_that_cannot_be_are_refused),
        fixture_test(an_entry_of_a_newer_program_is_told_from_damage),
        fixture_test(only_the_last_frame_can_be_the_mark_of_a_clean_stop),
        fixture_test(reserved_room_is_used_and_needs_no_memory),
        fixture_test(what_was_reserved_for_lost_frames_is_taken_back),
        fixture_test(an_offset_given_to_a_frame_under_way_is_not_moved_back),
        cmocka_unit_test(a_snapshot_is_a_copy_that_outlives_changes),
        cmocka_unit_test(any_failed_allocation_of_a_frame_is_an_error),
        cmocka_unit_test(any_failed_allocation_of_a_snapshot_is_an_error),
        fixture_test(a_failed_reservation_changes_nothing),
        cmocka_unit_test(producers_are_known_on_partitions_that_there_are),
    };
    return cmocka_run_group_tests_name("log/state", tests, NULL, NULL);
}
