#include "lib/unit.h"

#include "base/alloc.h"
#include "flow/batch.h"
#include "flow/reader.h"
#include "log/state.h"

#define assert_err(actual, expected) assert_string_equal(err_name(actual), #expected)

/* A frame in the making. */
struct payload {
    uint8_t bytes[16384];
    size_t size;
};

static void add_topic(struct payload *p, uint32_t id, const char *name, uint32_t partitions,
                      uint32_t parent_id)
{
    struct flow_topic_change change = {.op = FLOW_TOPIC_CREATE,
                                       .topic_id = id,
                                       .uuid = {{(uint8_t)id}},
                                       .name = slice_string(name),
                                       .partition_count = partitions,
                                       .parent_id = parent_id};
    p->size += log_entry_put_topic(p->bytes + p->size, &change);
}

static void add_partitions(struct payload *p, uint32_t id, uint32_t partitions)
{
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_PARTITIONS, .topic_id = id, .partition_count = partitions};
    p->size += log_entry_put_topic(p->bytes + p->size, &change);
}

static void add_kind(struct payload *p, enum flow_append_kind kind, uint32_t topic_id,
                     uint32_t partition, int64_t base_offset, uint32_t count)
{
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    struct slice none = {0};
    for (uint32_t i = 0; i < count; i++) {
        err_t err = flow_batch_builder_add(&builder, 1, none, slice_string("v"), NULL, 0);
        assert_true(err_is_ok(err));
    }
    struct slice batch = flow_batch_builder_finish(&builder);
    struct flow_append append = {.topic_id = topic_id,
                                 .partition = partition,
                                 .kind = kind,
                                 .record_count = count,
                                 .batch = (uint8_t *)(uintptr_t)batch.data,
                                 .batch_size = batch.size};
    flow_batch_set_base_offset(append.batch, base_offset);
    p->size += log_entry_put_batch(p->bytes + p->size, &append);
    flow_batch_builder_done(&builder);
}

static void add_batch(struct payload *p, uint32_t topic_id, uint32_t partition, int64_t base_offset,
                      uint32_t count)
{
    add_kind(p, FLOW_APPEND_RECORDS, topic_id, partition, base_offset, count);
}

static void add_counts(struct payload *p, uint32_t topic_id, uint64_t received, uint64_t duplicates,
                       uint64_t refused)
{
    struct flow_count counts = {topic_id, received, duplicates, refused};
    p->size += log_entry_put_counts(p->bytes + p->size, &counts);
}

static void add_open(struct payload *p, uint32_t id, const char *name, const uint32_t *topic_ids,
                     uint32_t count)
{
    struct flow_sink_change change = {.op = FLOW_SINK_OPEN,
                                      .sink_id = id,
                                      .name = slice_string(name),
                                      .topic_ids = topic_ids,
                                      .topic_count = count};
    p->size += log_entry_put_sink(p->bytes + p->size, &change);
}

static void add_prepare(struct payload *p, uint32_t id, uint64_t epoch,
                        const struct flow_sink_range *ranges, uint32_t count)
{
    struct flow_sink_change change = {.op = FLOW_SINK_PREPARE,
                                      .sink_id = id,
                                      .epoch = epoch,
                                      .ranges = ranges,
                                      .range_count = count,
                                      .outputs = SLICE_LITERAL("out")};
    p->size += log_entry_put_sink(p->bytes + p->size, &change);
}

static void add_sink(struct payload *p, enum flow_sink_op op, uint32_t id, uint64_t epoch)
{
    struct flow_sink_change change = {.op = op, .sink_id = id, .epoch = epoch};
    p->size += log_entry_put_sink(p->bytes + p->size, &change);
}

static err_t apply_at(struct log_state *state, struct payload *p, uint64_t offset)
{
    struct log_position position = {1, offset};
    err_t err = log_state_apply(state, slice_make(p->bytes, p->size), position);
    p->size = 0;
    return err;
}

static void apply(struct log_state *state, struct payload *p)
{
    assert_err(apply_at(state, p, 4096), OK);
}

/* Topic 1 with two partitions, its DLQ 2, sink 1 on topic 1, five records in partition 0. */
static void setup(struct log_state *state, struct payload *p)
{
    uint32_t id = 1;
    p->size = 0;
    log_state_init(state, 42);
    add_topic(p, 1, "one", 2, 0);
    add_topic(p, 2, "one.dlq", 1, 1);
    add_open(p, 1, "sink", &id, 1);
    add_batch(p, 1, 0, 0, 2);
    add_batch(p, 1, 0, 2, 3);
    add_counts(p, 1, 5, 0, 0);
    apply(state, p);
}

static struct flow_snapshot snapshot_of(const struct log_state *state)
{
    struct flow_snapshot snapshot = {0};
    assert_err(log_state_snapshot(state, &snapshot), OK);
    return snapshot;
}

static void assert_balanced(const struct log_state *state, bool expected)
{
    struct flow_snapshot snapshot = snapshot_of(state);
    assert_int_equal(flow_snapshot_balanced(&snapshot), expected);
    flow_snapshot_done(&snapshot);
}

static void topics_are_found_by_id_and_by_name(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    assert_string_equal(log_state_topic(&state, 1)->name, "one");
    assert_ptr_equal(log_state_topic_named(&state, slice_string("one.dlq")),
                     log_state_topic(&state, 2));
    assert_null(log_state_topic(&state, 0));
    assert_null(log_state_topic(&state, 3));
    assert_null(log_state_topic_named(&state, slice_string("on")));
    assert_non_null(log_state_partition(&state, 1, 1));
    assert_null(log_state_partition(&state, 1, 2));
    assert_null(log_state_partition(&state, 3, 0));
    assert_non_null(log_state_sink(&state, 1));
    assert_null(log_state_sink(&state, 2));
    assert_non_null(log_state_sink_named(&state, slice_string("sink")));
    log_state_done(&state);
}

static void a_batch_is_indexed_where_it_lies(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    add_counts(&p, 1, 1, 0, 0);
    size_t before = p.size;
    add_batch(&p, 1, 0, 5, 1);
    size_t size = p.size - before - LOG_ENTRY_HEADER_SIZE - LOG_ENTRY_BATCH_SIZE;
    assert_err(apply_at(&state, &p, 40960), OK);
    const struct log_partition *partition = log_state_partition(&state, 1, 0);
    assert_int_equal(partition->index_count, 3);
    const struct log_index_entry *entry = &partition->index[2];
    assert_int_equal(entry->base_offset, 5);
    assert_int_equal(entry->records_before, 5);
    assert_int_equal(entry->file_number, 1);
    assert_int_equal(entry->file_offset, 40960 + LOG_FRAME_HEADER_SIZE + before +
                                             LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE);
    assert_int_equal(entry->size, size);
    assert_int_equal(partition->end_offset, 6);
    assert_int_equal(partition->next_offset, 6);
    log_state_done(&state);
}

static void an_offset_finds_its_batch(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    add_batch(&p, 1, 0, 9, 1); /* 5 to 8 are a hole */
    apply(&state, &p);
    const struct log_partition *partition = log_state_partition(&state, 1, 0);
    static const size_t expected[] = {0, 0, 1, 1, 1, 1, 1, 1, 1, 2};
    for (int64_t offset = 0; offset < 10; offset++)
        assert_int_equal(log_partition_find(partition, offset), expected[offset]);
    static const uint64_t before[] = {0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 6};
    for (int64_t offset = 0; offset <= 10; offset++)
        assert_int_equal(log_partition_records_before(partition, offset), before[offset]);
    log_state_done(&state);
}

static void the_equations_hold_with_every_term(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    add_batch(&p, 1, 1, 0, 4);
    add_kind(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 0, 3);
    add_counts(&p, 1, 10, 2, 1);
    apply(&state, &p);
    struct flow_snapshot snapshot = snapshot_of(&state);
    assert_true(flow_snapshot_balanced(&snapshot));
    const struct flow_topic_state *topic = &snapshot.topics[0];
    assert_int_equal(topic->received, 15);
    assert_int_equal(topic->accepted, 9);
    assert_int_equal(topic->duplicates, 2);
    assert_int_equal(topic->dead_lettered, 3);
    assert_int_equal(topic->refused, 1);
    assert_int_equal(topic->end_offset[1], 4);
    const struct flow_topic_state *dlq = &snapshot.topics[1];
    assert_int_equal(dlq->parent_id, 1);
    assert_int_equal(dlq->dlq_total, 3);
    assert_int_equal(dlq->dlq_held, 3);
    assert_int_equal(dlq->accepted, 0);
    const struct flow_sink_state *sink = &snapshot.sinks[0];
    assert_int_equal(sink->accepted, 9);
    assert_int_equal(sink->pending, 9);
    flow_snapshot_done(&snapshot);
    /* A door that forgets what it received is found out. */
    add_batch(&p, 1, 1, 4, 1);
    apply(&state, &p);
    assert_balanced(&state, false);
    log_state_done(&state);
}

static void a_cursor_moves_at_commit_and_not_before(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    struct flow_sink_range range = {1, 0, 0, 4, 3, 1};
    add_prepare(&p, 1, 1, &range, 1);
    apply(&state, &p);
    struct flow_snapshot snapshot = snapshot_of(&state);
    const struct flow_sink_state *sink = &snapshot.sinks[0];
    assert_true(sink->prepared);
    assert_int_equal(sink->epoch, 0);
    assert_int_equal(sink->cursors[0].offset, 0);
    assert_int_equal(sink->pending, 5);
    assert_int_equal(sink->range_count, 1);
    assert_memory_equal(&sink->ranges[0], &range, sizeof range);
    assert_slice(sink->outputs, "out");
    flow_snapshot_done(&snapshot);

    add_kind(&p, FLOW_APPEND_SINK_LETTERS, 2, 0, 0, 1);
    add_sink(&p, FLOW_SINK_COMMIT, 1, 1);
    apply(&state, &p);
    snapshot = snapshot_of(&state);
    sink = &snapshot.sinks[0];
    assert_true(flow_snapshot_balanced(&snapshot));
    assert_false(sink->prepared);
    assert_int_equal(sink->epoch, 1);
    assert_int_equal(sink->cursors[0].offset, 4);
    assert_int_equal(sink->cursors[1].offset, 0);
    assert_int_equal(sink->delivered, 3);
    assert_int_equal(sink->dead_lettered, 1);
    assert_int_equal(sink->pending, 1);
    assert_int_equal(sink->range_count, 0);
    /* What a sink refused is no dead letter of the topic's intake. */
    assert_int_equal(snapshot.topics[0].dead_lettered, 0);
    assert_int_equal(snapshot.topics[1].dlq_total, 1);
    flow_snapshot_done(&snapshot);
    log_state_done(&state);
}

static void a_sink_that_miscounts_unbalances_the_ledger(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    struct flow_sink_range range = {1, 0, 0, 4, 3, 0};
    add_prepare(&p, 1, 1, &range, 1);
    add_sink(&p, FLOW_SINK_COMMIT, 1, 1);
    apply(&state, &p);
    assert_balanced(&state, false);
    log_state_done(&state);
}

static void a_sink_opened_again_keeps_its_cursors(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    struct flow_sink_range range = {1, 0, 0, 5, 5, 0};
    add_prepare(&p, 1, 1, &range, 1);
    add_sink(&p, FLOW_SINK_COMMIT, 1, 1);
    add_sink(&p, FLOW_SINK_CLOSE, 1, 0);
    apply(&state, &p);
    struct flow_snapshot snapshot = snapshot_of(&state);
    assert_true(flow_snapshot_balanced(&snapshot));
    assert_false(snapshot.sinks[0].open);
    assert_int_equal(snapshot.sinks[0].cursor_count, 0);
    assert_int_equal(snapshot.sinks[0].accepted, 5);
    assert_int_equal(snapshot.sinks[0].delivered, 5);
    flow_snapshot_done(&snapshot);

    const uint32_t ids[] = {1, 2};
    add_kind(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 0, 1);
    add_counts(&p, 1, 1, 0, 0);
    add_open(&p, 1, "sink", ids, 2);
    apply(&state, &p);
    snapshot = snapshot_of(&state);
    const struct flow_sink_state *sink = &snapshot.sinks[0];
    assert_true(flow_snapshot_balanced(&snapshot));
    assert_true(sink->open);
    assert_int_equal(sink->topic_count, 2);
    assert_int_equal(sink->cursor_count, 3);
    assert_int_equal(sink->cursors[0].offset, 5);
    /* A topic that is new to it is read from its earliest record. */
    assert_int_equal(sink->cursors[2].topic_id, 2);
    assert_int_equal(sink->cursors[2].offset, 0);
    assert_int_equal(sink->pending, 1);
    flow_snapshot_done(&snapshot);
    log_state_done(&state);
}

static void raised_partitions_get_cursors_and_keep_what_is_there(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    struct flow_read read = {0};
    list_add_tail(&log_state_partition(&state, 1, 1)->waiters, &read.link);
    add_partitions(&p, 1, 4);
    add_batch(&p, 1, 3, 0, 2);
    add_counts(&p, 1, 2, 0, 0);
    apply(&state, &p);
    assert_int_equal(log_state_partition(&state, 1, 0)->records, 5);
    assert_int_equal(log_state_partition(&state, 1, 3)->records, 2);
    assert_balanced(&state, true);
    struct flow_snapshot snapshot = snapshot_of(&state);
    assert_int_equal(snapshot.sinks[0].cursor_count, 4);
    assert_int_equal(snapshot.sinks[0].pending, 7);
    flow_snapshot_done(&snapshot);
    /* Who waits goes on waiting, and is woken. */
    assert_true(list_empty(&state.ready));
    add_batch(&p, 1, 1, 0, 1);
    apply(&state, &p);
    assert_ptr_equal(list_pop(&state.ready), &read.link);
    log_state_done(&state);
}

static void what_was_reserved_is_forgotten_with_its_offsets(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    struct log_partition *partition = log_state_partition(&state, 1, 0);
    for (int i = 0; i < 20; i++) {
        assert_err(log_state_reserve(&state, partition), OK);
        partition->next_offset += 7;
    }
    assert_true(partition->index_capacity >= 22);
    assert_int_equal(state.index_bytes % sizeof(struct log_index_entry), 0);
    log_state_forget_reserved(&state);
    assert_int_equal(partition->next_offset, 5);
    assert_int_equal(partition->index_reserved, 0);
    /* A frame whose room was reserved needs no memory. */
    assert_err(log_state_reserve(&state, partition), OK);
    add_batch(&p, 1, 0, 5, 1);
    mem_fail_after(1);
    apply(&state, &p);
    assert_int_equal(mem_alloc_count(), 0);
    mem_fail_after(0);
    log_state_done(&state);
}

static void the_mark_of_a_clean_stop_counts_only_at_the_end(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    assert_false(state.clean_stop);
    p.size += log_entry_put_clean_stop(p.bytes + p.size);
    apply(&state, &p);
    assert_true(state.clean_stop);
    apply(&state, &p); /* an empty frame */
    assert_false(state.clean_stop);
    p.size += log_entry_put_clean_stop(p.bytes + p.size);
    add_counts(&p, 1, 0, 0, 0);
    apply(&state, &p);
    assert_false(state.clean_stop);
    log_state_done(&state);
}

typedef void corrupt_fn(struct payload *p);

static void no_topic(struct payload *p)
{
    add_batch(p, 3, 0, 0, 1);
}

static void no_partition(struct payload *p)
{
    add_batch(p, 1, 2, 0, 1);
}

static void an_offset_twice(struct payload *p)
{
    add_batch(p, 1, 0, 4, 1);
}

static void an_offset_at_the_end_of_numbers(struct payload *p)
{
    add_batch(p, 1, 1, INT64_MAX, 1);
}

static void letters_in_a_topic(struct payload *p)
{
    add_kind(p, FLOW_APPEND_DEAD_LETTERS, 1, 0, 5, 1);
}

static void another_count(struct payload *p)
{
    size_t begin = p->size;
    add_batch(p, 1, 1, 0, 1);
    p->bytes[begin + 16] = 2;
}

static void a_batch_cut_short(struct payload *p)
{
    size_t begin = p->size;
    add_batch(p, 1, 1, 0, 1);
    p->size--;
    p->bytes[begin + 4]--;
}

static void a_batch_with_a_tail(struct payload *p)
{
    size_t begin = p->size;
    add_batch(p, 1, 1, 0, 1);
    p->bytes[p->size++] = 0;
    p->bytes[begin + 4]++;
}

static void counts_of_no_topic(struct payload *p)
{
    add_counts(p, 9, 1, 0, 0);
}

static void a_topic_id_left_out(struct payload *p)
{
    add_topic(p, 4, "four", 1, 0);
}

static void a_name_twice(struct payload *p)
{
    add_topic(p, 3, "one", 1, 0);
}

static void a_topic_of_itself(struct payload *p)
{
    add_topic(p, 3, "three", 1, 3);
}

static void fewer_partitions(struct payload *p)
{
    add_partitions(p, 1, 1);
}

static void partitions_of_no_topic(struct payload *p)
{
    add_partitions(p, 3, 9);
}

static void a_sink_id_left_out(struct payload *p)
{
    uint32_t id = 1;
    add_open(p, 3, "three", &id, 1);
}

static void a_sink_with_another_name(struct payload *p)
{
    uint32_t id = 1;
    add_open(p, 1, "other", &id, 1);
}

static void a_sink_name_twice(struct payload *p)
{
    uint32_t id = 1;
    add_open(p, 2, "sink", &id, 1);
}

static void a_sink_on_no_topic(struct payload *p)
{
    uint32_t id = 7;
    add_open(p, 1, "sink", &id, 1);
}

static void an_epoch_of_no_sink(struct payload *p)
{
    add_prepare(p, 2, 1, NULL, 0);
}

static void an_epoch_left_out(struct payload *p)
{
    add_prepare(p, 1, 2, NULL, 0);
}

static void two_epochs_prepared(struct payload *p)
{
    add_prepare(p, 1, 1, NULL, 0);
    add_prepare(p, 1, 1, NULL, 0);
}

static void a_range_off_the_cursor(struct payload *p)
{
    struct flow_sink_range range = {1, 0, 1, 2, 1, 0};
    add_prepare(p, 1, 1, &range, 1);
}

static void a_range_of_no_cursor(struct payload *p)
{
    struct flow_sink_range range = {2, 0, 0, 0, 0, 0};
    add_prepare(p, 1, 1, &range, 1);
}

static void a_range_over_the_end(struct payload *p)
{
    struct flow_sink_range range = {1, 0, 0, 6, 6, 0};
    add_prepare(p, 1, 1, &range, 1);
    add_sink(p, FLOW_SINK_COMMIT, 1, 1);
}

static void a_range_backwards(struct payload *p)
{
    struct flow_sink_range range = {1, 0, 0, 5, 5, 0};
    add_prepare(p, 1, 1, &range, 1);
    add_sink(p, FLOW_SINK_COMMIT, 1, 1);
    size_t begin = p->size;
    range = (struct flow_sink_range){1, 0, 5, 5, 0, 0};
    add_prepare(p, 1, 2, &range, 1);
    p->bytes[begin + 8 + 16 + 16] = 4; /* its end */
}

static void a_commit_of_nothing_prepared(struct payload *p)
{
    add_sink(p, FLOW_SINK_COMMIT, 1, 1);
}

static void a_commit_of_another_epoch(struct payload *p)
{
    add_prepare(p, 1, 1, NULL, 0);
    add_sink(p, FLOW_SINK_COMMIT, 1, 2);
}

static void what_cannot_be_is_refused(void **unused)
{
    (void)unused;
    static corrupt_fn *const cases[] = {
        no_topic,
        no_partition,
        an_offset_twice,
        an_offset_at_the_end_of_numbers,
        letters_in_a_topic,
        another_count,
        a_batch_cut_short,
        a_batch_with_a_tail,
        counts_of_no_topic,
        a_topic_id_left_out,
        a_name_twice,
        a_topic_of_itself,
        fewer_partitions,
        partitions_of_no_topic,
        a_sink_id_left_out,
        a_sink_with_another_name,
        a_sink_name_twice,
        a_sink_on_no_topic,
        an_epoch_of_no_sink,
        an_epoch_left_out,
        two_epochs_prepared,
        a_range_off_the_cursor,
        a_range_of_no_cursor,
        a_range_over_the_end,
        a_range_backwards,
        a_commit_of_nothing_prepared,
        a_commit_of_another_epoch,
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_state state;
        struct payload p;
        setup(&state, &p);
        cases[i](&p);
        err_t err = apply_at(&state, &p, 8192);
        if (!err_is(err, ERR_CORRUPT))
            fail_msg("case %zu: %s", i, err_name(err));
        log_state_done(&state);
    }
}

static void without_memory_it_says_so_and_leaks_nothing(void **unused)
{
    (void)unused;
    uint32_t ids[] = {1, 2};
    struct flow_sink_range range = {1, 0, 0, 2, 2, 0};
    struct payload p = {.size = 0};
    add_topic(&p, 1, "one", 2, 0);
    add_topic(&p, 2, "one.dlq", 1, 1);
    add_batch(&p, 1, 0, 0, 2);
    add_open(&p, 1, "sink", ids, 2);
    add_prepare(&p, 1, 1, &range, 1);
    add_sink(&p, FLOW_SINK_COMMIT, 1, 1);
    add_partitions(&p, 1, 3);
    uint64_t n = 0;
    for (err_t err = err_make(ERR_MEMORY); !err_is_ok(err);) {
        struct log_state state;
        log_state_init(&state, 1);
        mem_fail_after(++n);
        err = log_state_apply(&state, slice_make(p.bytes, p.size), (struct log_position){1, 0});
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        log_state_done(&state);
    }
    assert_true(n > 15);
}

static void a_snapshot_without_memory_says_so(void **unused)
{
    (void)unused;
    struct log_state state;
    struct payload p;
    setup(&state, &p);
    err_t err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        struct flow_snapshot snapshot = {0};
        mem_fail_after(n);
        err = log_state_snapshot(&state, &snapshot);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        flow_snapshot_done(&snapshot);
    }
    log_state_done(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_found_by_id_and_by_name),
        cmocka_unit_test(a_batch_is_indexed_where_it_lies),
        cmocka_unit_test(an_offset_finds_its_batch),
        cmocka_unit_test(the_equations_hold_with_every_term),
        cmocka_unit_test(a_cursor_moves_at_commit_and_not_before),
        cmocka_unit_test(a_sink_that_miscounts_unbalances_the_ledger),
        cmocka_unit_test(a_sink_opened_again_keeps_its_cursors),
        cmocka_unit_test(raised_partitions_get_cursors_and_keep_what_is_there),
        cmocka_unit_test(what_was_reserved_is_forgotten_with_its_offsets),
        cmocka_unit_test(the_mark_of_a_clean_stop_counts_only_at_the_end),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(without_memory_it_says_so_and_leaks_nothing),
        cmocka_unit_test(a_snapshot_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
