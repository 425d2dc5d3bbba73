#include "unit/log/fsck.h"

#include "base/alloc.h"
#include "unit/log/once.h"

/*
 * Frames that are lost hold what later frames rely on. Each commit here is a frame of its own; the
 * one to be lost is found by its number.
 */

/* Bytes of a frame that begins with a batch: in its header, and in its first record. */
#define BATCH_AT (LOG_FRAME_HEADER_SIZE + LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE)
#define IN_A_RECORD (BATCH_AT + 70)

struct lost {
    struct world w;
    struct told told;
};

static void begin(struct lost *l, uint64_t seed)
{
    world_init(&l->w, seed);
    world_begin(&l->w);
}

static uint64_t next_lsn(const struct lost *l)
{
    return l->w.log->durable_lsn + 1;
}

/* Byte `offset` of frame `lsn` of the first file is another. */
static void harm(struct lost *l, uint64_t lsn, uint64_t offset)
{
    char path[LOG_SEGMENT_PATH_MAX];
    struct io_file *file;
    struct log_frame_header header = {0};
    fsck_wal_path(1, path);
    assert_code(io_disk_open(sim_disk_io(l->w.disk), path, IO_OPEN_READ, &file, NULL), OK);
    uint64_t at = 0;
    for (; header.lsn != lsn; at += IO_BLOCK) {
        uint8_t bytes[LOG_FRAME_HEADER_SIZE];
        size_t got = 0;
        assert_code(io_file_read(file, bytes, sizeof bytes, at, &got), OK);
        assert_int_equal(got, sizeof bytes);
        if (!err_is_ok(log_frame_decode(slice_make(bytes, got), &header)))
            header.lsn = 0;
    }
    assert_code(io_file_close(file), OK);
    fsck_flip(&l->w, path, at - IO_BLOCK + offset);
}

static void mend(struct lost *l)
{
    told_run(&l->w, &l->told, NULL);
    assert_true(l->told.result.errors > 0);
    told_run(&l->w, &l->told, "fsck-1");
    assert_true(l->told.result.repaired);
    struct told after;
    told_clean(&l->w, &after);
    assert_true(after.balanced);
    world_open(&l->w);
}

static void lose_power(struct lost *l)
{
    world_settle(&l->w);
    world_lose_power(&l->w);
}

/* The power is lost, then a byte is another. */
static void lose_at(struct lost *l, uint64_t lsn, uint64_t offset)
{
    lose_power(l);
    harm(l, lsn, offset);
    mend(l);
}

/* The frame has another header. */
static void lose(struct lost *l, uint64_t lsn)
{
    lose_at(l, lsn, 33);
}

static void end(struct lost *l)
{
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(&l->w.log->state, &snapshot), OK);
    assert_true(flow_snapshot_balanced(&snapshot));
    flow_snapshot_done(&snapshot);
    world_done(&l->w);
}

static err_t commit_to(struct world *w, uint32_t topic_id, uint32_t partition, uint32_t count,
                       enum flow_append_kind kind)
{
    struct asked asked;
    asked_init(&asked, w);
    asked_records(&asked, topic_id, partition, count, 100)->kind = kind;
    if (kind == FLOW_APPEND_RECORDS)
        asked_count(&asked, topic_id, count, 0);
    else if (kind == FLOW_APPEND_DEAD_LETTERS)
        asked_count(&asked, topic_id - 1, count, 0);
    err_t err = asked_commit(&asked);
    asked_done(&asked);
    return err;
}

static void records_of_a_topic_whose_creation_is_lost_are_kept_under_another_name(void **state)
{
    (void)state;
    struct lost l;
    struct asked asked;
    begin(&l, 1);
    uint64_t lsn = next_lsn(&l);
    asked_init(&asked, &l.w);
    asked_topic(&asked, "orders", 3, 0);
    assert_code(asked_commit(&asked), OK);
    assert_code(commit_to(&l.w, 3, 2, 5, FLOW_APPEND_RECORDS), OK);
    asked_init(&asked, &l.w);
    asked_topic(&asked, "later", 1, 0);
    assert_code(asked_commit(&asked), OK);
    lose(&l, lsn);
    assert_true(told_has(&l.told, "topic_lost"));
    const struct log_topic *stand_in =
        log_state_topic_named(&l.w.log->state, SLICE_LITERAL("lost-topic-3"));
    assert_non_null(stand_in);
    assert_int_equal(stand_in->partition_count, 3);
    assert_int_equal(stand_in->partitions[2].records, 5);
    assert_non_null(log_state_topic_named(&l.w.log->state, SLICE_LITERAL("later")));
    end(&l);
}

static int64_t offset_of(struct lost *l)
{
    struct flow_offsets answer = {.group = SLICE_LITERAL("readers")};
    assert_code(log_offsets_answer(&l->w.log->state.offsets, &answer), OK);
    int64_t offset = answer.group_count > 0 ? answer.groups[0].offsets[0].offset : -1;
    flow_offsets_done(&answer);
    return offset;
}

static void a_group_goes_on_from_what_it_had_committed_before_the_frame_that_is_lost(void **state)
{
    (void)state;
    struct lost l;
    struct asked asked;
    begin(&l, 11);
    assert_code(world_commit(&l.w, 9, 10), OK);
    assert_code(world_offset(&l.w, FLOW_OFFSET_COMMIT, "readers", 1, 0, 3), OK);
    uint64_t lsn = next_lsn(&l);
    struct flow_offset change = {
        .group = SLICE_LITERAL("readers"), .topic_id = 1, .offset = 5, .leader_epoch = -1};
    asked_some(&asked, &l.w, 3, 10);
    asked.commit.offsets = &change;
    asked.commit.offset_count = 1;
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    assert_code(world_commit(&l.w, 1, 10), OK);
    /* In the batch's first record. */
    lose_at(&l, lsn, LOG_FRAME_HEADER_SIZE + LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE + 70);
    assert_true(told_has(&l.told, "offset_lost"));
    assert_int_equal(offset_of(&l), 3);
    end(&l);
}

static void offsets_behind_what_is_lost_are_kept(void **state)
{
    (void)state;
    struct lost l;
    begin(&l, 12);
    uint64_t lsn = next_lsn(&l);
    assert_code(world_commit(&l.w, 9, 10), OK);
    assert_code(world_offset(&l.w, FLOW_OFFSET_COMMIT, "readers", 1, 0, 7), OK);
    assert_code(world_commit(&l.w, 1, 10), OK);
    lose(&l, lsn);
    assert_false(told_has(&l.told, "offset_lost"));
    assert_int_equal(offset_of(&l), 7);
    end(&l);
}

static void a_request_whose_records_are_lost_is_taken_again(void **state)
{
    (void)state;
    struct lost l;
    enum flow_request_result result;
    begin(&l, 9);
    assert_code(once_number(&l.w, 1, 0, 3, &result), OK);
    assert_code(once_key(&l.w, 1, 1, 3, &result), OK);
    uint64_t lsn = next_lsn(&l);
    assert_code(once_number(&l.w, 1, 1, 3, &result), OK);
    assert_code(world_commit(&l.w, 1, 10), OK);
    lose_at(&l, lsn, IN_A_RECORD);
    assert_true(told_has(&l.told, "request_lost"));
    assert_code(once_number(&l.w, 1, 0, 3, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_REPEAT);
    assert_code(once_key(&l.w, 1, 1, 3, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_REPEAT);
    assert_code(once_number(&l.w, 1, 1, 3, &result), OK);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    end(&l);
}

static void a_producers_batch_that_is_lost_was_never_there(void **state)
{
    (void)state;
    struct lost l;
    enum flow_request_result result;
    begin(&l, 10);
    assert_int_equal(once_sequence(&l.w, 5, 0, 0, 3, &result), 0);
    uint64_t lsn = next_lsn(&l);
    assert_int_equal(once_sequence(&l.w, 5, 0, 3, 3, &result), 3);
    assert_code(world_commit(&l.w, 1, 10), OK);
    /* In the batch's first record. */
    lose_at(&l, lsn, LOG_FRAME_HEADER_SIZE + LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE + 70);
    assert_true(told_has(&l.told, "request_lost"));
    assert_int_equal(once_sequence(&l.w, 5, 0, 0, 3, &result), 0);
    assert_int_equal(result, FLOW_REQUEST_REPEAT);
    once_sequence(&l.w, 5, 0, 6, 3, &result);
    assert_int_equal(result, FLOW_REQUEST_GAP);
    assert_true(once_sequence(&l.w, 5, 0, 3, 3, &result) > 3);
    assert_int_equal(result, FLOW_REQUEST_FIRST);
    end(&l);
}

static void producers_of_a_topic_whose_creation_is_lost_are_known(void **state)
{
    (void)state;
    struct lost l;
    begin(&l, 11);
    uint64_t lsn = next_lsn(&l);
    struct asked asked;
    asked_init(&asked, &l.w);
    asked_topic(&asked, "orders", 3, 0);
    assert_code(asked_commit(&asked), OK);
    struct once once;
    once_sequenced(&once, &l.w, 5, 0, 0, 4);
    once.asked.count.topic_id = once.asked.appends[0].topic_id = once.request.topic_id = 3;
    once.asked.appends[0].partition = once.request.batch.partition = 2;
    asked_send(&once.asked);
    assert_code(once_end(&once), OK);
    lose(&l, lsn);
    assert_true(told_has(&l.told, "topic_lost"));
    assert_int_equal(log_state_topic(&l.w.log->state, 3)->partition_count, 3);
    assert_int_equal(l.w.log->state.sequences.pairs.count, 1);
    end(&l);
}

static void a_lost_batch_of_dead_letters_is_missing_in_both_rows(void **state)
{
    (void)state;
    struct lost l;
    begin(&l, 2);
    uint64_t lsn = next_lsn(&l);
    assert_code(commit_to(&l.w, 2, 0, 3, FLOW_APPEND_DEAD_LETTERS), OK);
    assert_code(commit_to(&l.w, 2, 0, 2, FLOW_APPEND_DEAD_LETTERS), OK);
    assert_code(world_commit(&l.w, 1, 10), OK);
    lose(&l, lsn);
    assert_int_equal(l.told.lost_records, 3);
    const struct log_topic *dlq = log_state_topic(&l.w.log->state, 2);
    assert_int_equal(dlq->damaged, 3);
    assert_int_equal(dlq->partitions[0].records, 2);
    assert_int_equal(dlq->partitions[0].end_offset, 5);
    end(&l);
}

/* A batch of `offsets`, of which the last and every second are refused: the others leave holes. */
static void commit_holed(struct lost *l, uint32_t offsets)
{
    struct asked asked;
    struct flow_batch batch;
    uint8_t left_out[16] = {0};
    uint32_t left = 0;
    asked_init(&asked, &l->w);
    struct flow_append *append = asked_records(&asked, 1, 0, offsets, 100);
    asked_count(&asked, 1, offsets, 0);
    assert_code(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch), OK);
    for (uint32_t i = 0; i < offsets; i++) {
        if (i % 2 == 0 && i + 1 < offsets)
            left++;
        else
            flow_set_bit(left_out, i);
    }
    uint8_t *rest = mem_alloc(append->batch_size);
    append->batch_size = flow_batch_without(&batch, left_out, true, rest);
    append->batch = rest;
    append->record_count = left;
    append->holes = true;
    asked.count.refused = offsets - left;
    assert_code(asked_commit(&asked), OK);
    mem_free(rest);
    asked_done(&asked);
}

/* What was written off, and what that leaves of the topic. */
static void assert_lost(const struct lost *l, uint64_t records, const char *said, uint64_t left)
{
    const struct log_topic *topic = log_state_topic(&l->w.log->state, 1);
    assert_int_equal(l->told.lost_records, records);
    if (!strstr(l->told.texts, said))
        fail_msg("'%s' is not in:%s", said, l->told.texts);
    assert_int_equal(topic->damaged, records);
    assert_int_equal(topic->partitions[0].records, left);
    assert_int_equal(topic->received, left + topic->refused + topic->damaged);
}

static void a_damaged_batch_with_holes_was_as_many_records_as_it_says(void **state)
{
    (void)state;
    static const struct {
        bool before;
        bool behind;
    } cases[] = {{false, true}, {true, true}, {true, false}, {false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lost l;
        begin(&l, 30 + i);
        assert_code(world_open_sink(&l.w, "files"), OK);
        uint64_t left = 4 * ((uint64_t)cases[i].before + cases[i].behind);
        if (cases[i].before)
            assert_code(world_commit(&l.w, 4, 10), OK);
        int64_t base = world_end(&l.w, 1, 0);
        uint64_t lsn = next_lsn(&l);
        commit_holed(&l, 5);
        if (cases[i].behind)
            assert_code(world_commit(&l.w, 4, 10), OK);
        /* A frame behind it, or it might be the torn end. */
        assert_code(commit_to(&l.w, 1, 1, 1, FLOW_APPEND_RECORDS), OK);
        lose_at(&l, lsn, IN_A_RECORD);
        char said[128];
        snprintf(said, sizeof said,
                 "offsets %d to %d of topic flights partition 0 are lost (2 records)", (int)base,
                 (int)base + 4);
        assert_int_equal(l.told.lost_records, 2);
        assert_non_null(strstr(l.told.texts, said));
        const struct log_topic *topic = log_state_topic(&l.w.log->state, 1);
        assert_int_equal(topic->damaged, 2);
        assert_int_equal(topic->refused, 3);
        assert_int_equal(topic->received, left + 1 + 3 + 2);
        assert_int_equal(topic->partitions[0].records, left);
        assert_true(world_end(&l.w, 1, 0) >= base + 5);
        /* What the sink was owed of it is damaged in its row too. */
        assert_int_equal(log_state_sink(&l.w.log->state, 1)->damaged, 2);
        end(&l);
    }
}

static void two_damaged_batches_with_holes_vouch_for_each_other(void **state)
{
    (void)state;
    struct lost l;
    begin(&l, 34);
    uint64_t lsn = next_lsn(&l);
    commit_holed(&l, 5);
    commit_holed(&l, 7);
    assert_code(world_commit(&l.w, 4, 10), OK);
    lose_power(&l);
    harm(&l, lsn, IN_A_RECORD);
    harm(&l, lsn + 1, IN_A_RECORD);
    mend(&l);
    assert_int_equal(l.told.lost_count, 2);
    assert_non_null(strstr(l.told.texts, "offsets 0 to 4 of topic flights partition 0"));
    assert_lost(&l, 5, "offsets 5 to 11 of topic flights partition 0 are lost (3 records)", 4);
    end(&l);
}

/* Its offsets are known, and nobody misses a record. */
static void nothing_is_lost_with_a_damaged_batch_of_nothing_but_holes(void **state)
{
    (void)state;
    for (int behind = 0; behind < 2; behind++) {
        struct lost l;
        begin(&l, 60 + (uint64_t)behind);
        assert_code(world_open_sink(&l.w, "files"), OK);
        assert_code(world_commit(&l.w, 4, 10), OK);
        uint64_t lsn = next_lsn(&l);
        assert_code(world_hollow(&l.w, 5, -1), OK);
        if (behind)
            assert_code(world_commit(&l.w, 4, 10), OK);
        assert_code(commit_to(&l.w, 1, 1, 1, FLOW_APPEND_RECORDS), OK);
        lose_at(&l, lsn, BATCH_AT + 30);
        const struct log_topic *topic = log_state_topic(&l.w.log->state, 1);
        assert_int_equal(l.told.lost_count, 0);
        assert_int_equal(topic->damaged, 0);
        assert_int_equal(topic->partitions[0].records, 4 + 4 * behind);
        assert_true(world_end(&l.w, 1, 0) >= 9);
        assert_int_equal(log_state_sink(&l.w.log->state, 1)->damaged, 0);
        end(&l);
    }
}

static void an_extent_that_nothing_else_says_is_not_believed(void **state)
{
    (void)state;
    /* The last offset says 12 instead of 4, or the count 10 instead of 2. */
    static const struct {
        uint64_t at;
        const char *said;
        uint64_t records;
    } cases[] = {
        {BATCH_AT + 26,
         "offsets 0 to 4 of topic flights partition 0 are lost "
         "(at most 2 records)",
         2},
        {BATCH_AT + 60,
         "offsets 0 to 4 of topic flights partition 0 are lost "
         "(at most 5 records)",
         5},
        {33, "offsets 0 to 4 of topic flights partition 0 are lost (at most 5 records)", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lost l;
        begin(&l, 35 + i);
        uint64_t lsn = next_lsn(&l);
        commit_holed(&l, 5);
        assert_code(world_commit(&l.w, 4, 10), OK);
        lose_at(&l, lsn, cases[i].at);
        assert_lost(&l, cases[i].records, cases[i].said, 4);
        end(&l);
    }
}

static struct flow_sink_range range_of(int64_t first, int64_t end)
{
    return (struct flow_sink_range){.topic_id = 1,
                                    .first_offset = first,
                                    .end_offset = end,
                                    .delivered = (uint64_t)(end - first)};
}

static void change(struct lost *l, enum flow_sink_op op, uint64_t epoch, int64_t first, int64_t end)
{
    struct flow_sink_range range = range_of(first, end);
    struct flow_sink_change asked = {.op = op, .sink_id = 1, .epoch = epoch};
    if (op == FLOW_SINK_PREPARE) {
        asked.ranges = &range;
        asked.range_count = 1;
    }
    assert_code(world_change_sink(&l->w, &asked), OK);
}

/* Two epochs of ten records each, of which one of the four frames is lost. */
static void lose_of_epochs(struct lost *l, uint32_t which)
{
    begin(l, 3 + which);
    assert_code(world_open_sink(&l->w, "files"), OK);
    assert_code(world_commit(&l->w, 30, 10), OK);
    uint64_t lsn = next_lsn(l);
    change(l, FLOW_SINK_PREPARE, 1, 0, 10);
    change(l, FLOW_SINK_COMMIT, 1, 0, 0);
    change(l, FLOW_SINK_PREPARE, 2, 10, 20);
    change(l, FLOW_SINK_COMMIT, 2, 0, 0);
    assert_code(world_commit(&l->w, 1, 10), OK);
    lose(l, lsn + which);
}

static void a_sink_goes_on_behind_an_epoch_of_which_a_part_is_lost(void **state)
{
    (void)state;
    for (uint32_t which = 0; which < 2; which++) {
        struct lost l;
        lose_of_epochs(&l, which);
        const struct log_sink *sink = log_state_sink(&l.w.log->state, 1);
        assert_int_equal(sink->epoch, 2);
        assert_false(sink->prepared);
        assert_int_equal(log_sink_cursor(sink, 1, 0)->offset, 20);
        end(&l);
    }
}

static void an_epoch_that_nobody_knows_the_extent_of_is_delivered_again(void **state)
{
    (void)state;
    struct lost l;
    lose_of_epochs(&l, 2);
    assert_true(told_has(&l.told, "sink_epoch_lost"));
    const struct log_sink *sink = log_state_sink(&l.w.log->state, 1);
    assert_int_equal(sink->epoch, 2);
    assert_int_equal(log_sink_cursor(sink, 1, 0)->offset, 10);
    end(&l);
}

static void an_epoch_whose_end_is_lost_is_still_prepared(void **state)
{
    (void)state;
    struct lost l;
    lose_of_epochs(&l, 3);
    const struct log_sink *sink = log_state_sink(&l.w.log->state, 1);
    assert_int_equal(sink->epoch, 1);
    assert_true(sink->prepared);
    assert_int_equal(log_sink_cursor(sink, 1, 0)->offset, 10);
    end(&l);
}

static void a_prepared_epoch_with_lost_records_ends_in_balance(void **state)
{
    (void)state;
    struct lost l;
    begin(&l, 8);
    assert_code(world_open_sink(&l.w, "files"), OK);
    assert_code(world_commit(&l.w, 10, 10), OK);
    uint64_t lsn = next_lsn(&l);
    assert_code(world_commit(&l.w, 10, 10), OK);
    assert_code(world_commit(&l.w, 10, 10), OK);
    change(&l, FLOW_SINK_PREPARE, 1, 0, 20);
    lose(&l, lsn);
    change(&l, FLOW_SINK_COMMIT, 1, 0, 0);
    const struct log_sink *sink = log_state_sink(&l.w.log->state, 1);
    assert_int_equal(sink->delivered, 10);
    assert_int_equal(sink->damaged, 10);
    assert_int_equal(log_sink_cursor(sink, 1, 0)->offset, 20);
    end(&l);
}

/* A sink has refused three records, and is given two of them again: of the four frames one is
 * lost. */
static void lose_of_redrive(struct lost *l, uint32_t which)
{
    struct asked asked;
    struct flow_sink_range records = range_of(0, 10);
    struct flow_sink_range letters = {2, 0, 0, 2, 2, 0};
    struct flow_sink_change prepare = {
        .op = FLOW_SINK_PREPARE, .sink_id = 1, .epoch = 1, .ranges = &records, .range_count = 1};
    records.delivered = 7;
    records.dead_lettered = 3;
    begin(l, 20 + which);
    assert_code(world_open_sink(&l->w, "files"), OK);
    assert_code(world_commit(&l->w, 30, 10), OK);
    uint64_t lsn = next_lsn(l);
    assert_code(world_change_sink(&l->w, &prepare), OK);
    asked_init(&asked, &l->w);
    asked_records(&asked, 2, 0, 3, 100)->kind = FLOW_APPEND_SINK_LETTERS;
    asked_sink(&asked, (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = 1});
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    prepare.op = FLOW_SINK_REDRIVE;
    prepare.epoch = 2;
    prepare.ranges = &letters;
    assert_code(world_change_sink(&l->w, &prepare), OK);
    change(l, FLOW_SINK_COMMIT, 2, 0, 0);
    assert_code(world_commit(&l->w, 1, 10), OK);
    lose(l, lsn + which);
}

static void an_epoch_of_letters_of_which_a_part_is_lost_leaves_a_balance(void **state)
{
    (void)state;
    for (uint32_t which = 0; which < 4; which++) {
        struct lost l;
        lose_of_redrive(&l, which);
        const struct log_sink *sink = log_state_sink(&l.w.log->state, 1);
        const struct log_letters *letters = &log_state_topic(&l.w.log->state, 2)->letters;
        assert_int_equal(sink->epoch, which == 3 ? 1 : 2);
        if (which == 3) {
            /* Its end is lost: it is still on its way, and ends by the next start. */
            assert_true(sink->prepared && sink->redrives);
            assert_int_equal(letters->redriven, 0);
            change(&l, FLOW_SINK_COMMIT, 2, 0, 0);
            assert_int_equal(letters->redriven, 2);
            assert_int_equal(sink->delivered, 9);
            assert_int_equal(sink->dead_lettered, 1);
        }
        if (which == 2) {
            /* Nobody knows which letters it had: they are held. */
            assert_int_equal(letters->redriven, 0);
            assert_int_equal(sink->dead_lettered, 3);
        }
        end(&l);
    }
}

static void a_sink_whose_opening_is_lost_keeps_its_place_for_those_behind_it(void **state)
{
    (void)state;
    struct lost l;
    begin(&l, 9);
    uint64_t lsn = next_lsn(&l);
    assert_code(world_open_sink(&l.w, "files"), OK);
    assert_code(world_open_sink(&l.w, "lake"), OK);
    assert_code(world_commit(&l.w, 3, 10), OK);
    lose(&l, lsn);
    assert_non_null(log_state_sink_named(&l.w.log->state, SLICE_LITERAL("lost-sink-1")));
    const struct log_sink *lake = log_state_sink_named(&l.w.log->state, SLICE_LITERAL("lake"));
    assert_int_equal(lake->id, 2);
    assert_true(lake->open && !log_state_sink(&l.w.log->state, 1)->open);
    end(&l);
}

static void a_name_whose_deletion_is_lost_is_given_to_the_next(void **state)
{
    (void)state;
    struct lost l;
    struct asked asked;
    begin(&l, 10);
    for (uint32_t id = 3; id < 5; id++) {
        asked_init(&asked, &l.w);
        asked_topic(&asked, "orders", 1, 0);
        asked.topic.uuid.bytes[5] = (uint8_t)id;
        assert_code(asked_commit(&asked), OK);
        assert_code(commit_to(&l.w, id, 0, 2, FLOW_APPEND_RECORDS), OK);
        if (id == 3) {
            asked_init(&asked, &l.w);
            asked_topic(&asked, "orders", 1, 0);
            asked.topic.op = FLOW_TOPIC_DELETE;
            asked.topic.topic_id = 3;
            assert_code(asked_commit(&asked), OK);
        }
    }
    uint64_t lsn = next_lsn(&l) - 3;
    lose(&l, lsn);
    assert_int_equal(log_state_topic_named(&l.w.log->state, SLICE_LITERAL("orders"))->id, 4);
    assert_null(log_state_topic(&l.w.log->state, 3));
    end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_a_topic_whose_creation_is_lost_are_kept_under_another_name),
        cmocka_unit_test(a_request_whose_records_are_lost_is_taken_again),
        cmocka_unit_test(a_producers_batch_that_is_lost_was_never_there),
        cmocka_unit_test(producers_of_a_topic_whose_creation_is_lost_are_known),
        cmocka_unit_test(a_group_goes_on_from_what_it_had_committed_before_the_frame_that_is_lost),
        cmocka_unit_test(offsets_behind_what_is_lost_are_kept),
        cmocka_unit_test(a_lost_batch_of_dead_letters_is_missing_in_both_rows),
        cmocka_unit_test(a_damaged_batch_with_holes_was_as_many_records_as_it_says),
        cmocka_unit_test(two_damaged_batches_with_holes_vouch_for_each_other),
        cmocka_unit_test(an_extent_that_nothing_else_says_is_not_believed),
        cmocka_unit_test(nothing_is_lost_with_a_damaged_batch_of_nothing_but_holes),
        cmocka_unit_test(a_sink_goes_on_behind_an_epoch_of_which_a_part_is_lost),
        cmocka_unit_test(an_epoch_that_nobody_knows_the_extent_of_is_delivered_again),
        cmocka_unit_test(an_epoch_whose_end_is_lost_is_still_prepared),
        cmocka_unit_test(a_prepared_epoch_with_lost_records_ends_in_balance),
        cmocka_unit_test(an_epoch_of_letters_of_which_a_part_is_lost_leaves_a_balance),
        cmocka_unit_test(a_sink_whose_opening_is_lost_keeps_its_place_for_those_behind_it),
        cmocka_unit_test(a_name_whose_deletion_is_lost_is_given_to_the_next),
    };
    return cmocka_run_group_tests_name("log/fsck_apply", tests, NULL, NULL);
}
