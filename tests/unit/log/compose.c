#include "log/log_int.h"

#include "unit/log/world.h"

/* Offers a commit that has to be refused, and looks that nothing has changed. */
static void assert_refused(struct asked *asked, enum err_code code)
{
    struct world *w = asked->world;
    uint64_t lsn = w->log->durable_lsn;
    int64_t next = log_state_partition(&w->log->state, 1, 0)->next_offset;
    err_t err = asked_commit(asked);
    if (!err_is(err, code))
        fail_msg("%s instead of %s", err_name(err), err_name(err_make(code)));
    assert_int_equal(w->log->durable_lsn, lsn);
    assert_int_equal(w->log->state.topic_count, 2);
    assert_int_equal(log_state_partition(&w->log->state, 1, 0)->next_offset, next);
    asked_done(asked);
}

static void init(struct world *w)
{
    world_init(w, 5);
    world_begin(w);
    assert_code(world_commit(w, 5, 10), OK);
}

static void offsets_and_ids_are_given_in_the_order_of_a_commit(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    init(&w);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 3, 10);
    asked_records(&asked, 1, 1, 2, 10);
    asked_records(&asked, 1, 0, 4, 10);
    asked_count(&asked, 1, 9, 0);
    assert_code(asked_commit(&asked), OK);
    assert_int_equal(asked.appends[0].base_offset, 5);
    assert_int_equal(asked.appends[1].base_offset, 0);
    assert_int_equal(asked.appends[2].base_offset, 8);
    assert_int_equal(world_end(&w, 1, 0), 12);
    assert_int_equal(world_end(&w, 1, 1), 2);
    asked_done(&asked);

    struct flow_topic_change topics[] = {
        {.op = FLOW_TOPIC_CREATE, .name = SLICE_LITERAL("c"), .partition_count = 1},
        {.op = FLOW_TOPIC_PARTITIONS, .topic_id = 1, .partition_count = 3},
        {.op = FLOW_TOPIC_CREATE, .name = SLICE_LITERAL("d"), .partition_count = 1}};
    asked_init(&asked, &w);
    asked.commit.topics = topics;
    asked.commit.topic_count = 3;
    assert_code(asked_commit(&asked), OK);
    assert_int_equal(topics[0].topic_id, 3);
    assert_int_equal(topics[2].topic_id, 4);
    assert_int_equal(log_state_topic(&w.log->state, 1)->partition_count, 3);
    world_done(&w);
}

static void all_parts_of_a_commit_happen_together(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    init(&w);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 3, 10);
    asked_records(&asked, 2, 0, 2, 10)->kind = FLOW_APPEND_DEAD_LETTERS;
    asked_count(&asked, 1, 6, 1);
    uint64_t lsn = w.log->durable_lsn;
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    assert_int_equal(w.log->durable_lsn, lsn + 1);
    world_lose_power(&w);
    world_open(&w);
    const struct log_topic *topic = log_state_topic(&w.log->state, 1);
    assert_int_equal(topic->received, 11);
    assert_int_equal(topic->refused, 1);
    assert_int_equal(topic->dead_lettered, 2);
    assert_int_equal(topic->partitions[0].records, 8);
    world_done(&w);
}

static void assert_letters(struct world *w, uint64_t held, uint64_t redriven, int64_t start)
{
    const struct log_topic *dlq = log_state_topic(&w->log->state, 2);
    const struct log_partition *p = &dlq->partitions[0];
    assert_int_equal(p->records - p->records_start - p->settled.records, held);
    assert_int_equal(dlq->letters.redriven, redriven);
    assert_true(p->start_offset >= start);
}

/* A redrive: the letter is settled, and accepted or a letter again, in one. */
static void letters_are_settled_with_what_became_of_them(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    init(&w);
    asked_init(&asked, &w);
    asked_records(&asked, 2, 0, 4, 10)->kind = FLOW_APPEND_DEAD_LETTERS;
    asked_count(&asked, 1, 4, 0);
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    struct flow_settle settles[2] = {{.topic_id = 2,
                                      .kind = FLOW_SETTLE_REDRIVEN,
                                      .record_count = 1,
                                      .first_offset = 0,
                                      .end_offset = 1},
                                     {.topic_id = 2,
                                      .kind = FLOW_SETTLE_REDRIVEN,
                                      .record_count = 1,
                                      .first_offset = 2,
                                      .end_offset = 3}};
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 1, 10);
    asked_records(&asked, 2, 0, 1, 10)->kind = FLOW_APPEND_DEAD_LETTERS;
    asked_count(&asked, 1, 2, 0);
    asked.commit.settles = settles;
    asked.commit.settle_count = 2;
    uint64_t lsn = w.log->durable_lsn;
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    assert_int_equal(w.log->durable_lsn, lsn + 1);
    assert_letters(&w, 3, 2, 0);
    world_lose_power(&w);
    world_open(&w);
    assert_letters(&w, 3, 2, 0);
    assert_int_equal(log_state_partition(&w.log->state, 1, 0)->records, 6);
    /* The same again finds them settled, and nothing of it happens. */
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 2, 10);
    asked_count(&asked, 1, 2, 0);
    asked.commit.settles = settles;
    asked.commit.settle_count = 2;
    assert_refused(&asked, ERR_OFFSET_RANGE);
    assert_letters(&w, 3, 2, 0);
    world_done(&w);
}

static void settles_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    static const struct flow_settle wrong[] = {
        {.topic_id = 3, .record_count = 1, .end_offset = 1},
        {.topic_id = 1, .record_count = 1, .end_offset = 1},
        {.topic_id = 2, .record_count = 1, .first_offset = 4, .end_offset = 5},
        {.topic_id = 2, .record_count = 3, .end_offset = 2},
        {.topic_id = 2, .record_count = 1, .first_offset = 1, .end_offset = 1},
    };
    static const enum err_code codes[] = {ERR_NOT_FOUND, ERR_INVALID, ERR_OFFSET_RANGE, ERR_INVALID,
                                          ERR_INVALID};
    init(&w);
    asked_init(&asked, &w);
    asked_records(&asked, 2, 0, 4, 10)->kind = FLOW_APPEND_DEAD_LETTERS;
    asked_count(&asked, 1, 4, 0);
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct flow_settle settle = wrong[i];
        settle.kind = FLOW_SETTLE_PURGED;
        asked_init(&asked, &w);
        asked.commit.settles = &settle;
        asked.commit.settle_count = 1;
        assert_refused(&asked, codes[i]);
    }
    /* Out of order, which two of one range are. */
    struct flow_settle twice[2] = {{.topic_id = 2,
                                    .kind = FLOW_SETTLE_PURGED,
                                    .record_count = 1,
                                    .first_offset = 1,
                                    .end_offset = 2}};
    twice[1] = twice[0];
    asked_init(&asked, &w);
    asked.commit.settles = twice;
    asked.commit.settle_count = 2;
    assert_refused(&asked, ERR_INVALID);
    world_done(&w);
}

static void records_for_what_there_is_not_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    init(&w);
    asked_init(&asked, &w);
    asked_records(&asked, 3, 0, 1, 10);
    assert_refused(&asked, ERR_NOT_FOUND);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 2, 1, 10);
    assert_refused(&asked, ERR_NOT_FOUND);
    /* All or none: the good batch before it is not taken either. */
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 1, 10);
    asked_records(&asked, 0, 0, 1, 10);
    assert_refused(&asked, ERR_NOT_FOUND);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 1, 10);
    asked_count(&asked, 9, 1, 0);
    assert_refused(&asked, ERR_NOT_FOUND);
    world_done(&w);
}

static void dead_letters_need_a_queue(void **state)
{
    (void)state;
    static const enum flow_append_kind kinds[] = {FLOW_APPEND_DEAD_LETTERS,
                                                  FLOW_APPEND_SINK_LETTERS};
    struct world w;
    init(&w);
    for (size_t i = 0; i < 2; i++) {
        struct asked asked;
        asked_init(&asked, &w);
        asked_records(&asked, 1, 0, 1, 10)->kind = kinds[i];
        assert_refused(&asked, ERR_INVALID);
        asked_init(&asked, &w);
        asked_records(&asked, 2, 0, 1, 10)->kind = kinds[i];
        assert_code(asked_commit(&asked), OK);
        asked_done(&asked);
    }
    world_done(&w);
}

static void batches_that_are_not_whole_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    init(&w);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 2, 10)->record_count = 3;
    assert_refused(&asked, ERR_INVALID);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 2, 10)->record_count = 0;
    assert_refused(&asked, ERR_INVALID);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 2, 10)->batch_size--;
    assert_refused(&asked, ERR_INVALID);
    asked_init(&asked, &w);
    asked_records(&asked, 1, 0, 2, 10)->batch[16] = 1;
    assert_refused(&asked, ERR_INVALID);
    world_done(&w);
}

static void refuse_topic(struct world *w, const char *name, uint32_t partitions, uint32_t parent,
                         enum err_code code)
{
    struct asked asked;
    asked_init(&asked, w);
    asked_topic(&asked, name, partitions, parent);
    assert_refused(&asked, code);
}

static void topics_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct world w;
    init(&w);
    refuse_topic(&w, "flights", 1, 0, ERR_EXISTS);
    refuse_topic(&w, "new", 0, 0, ERR_INVALID);
    refuse_topic(&w, "new", FLOW_PARTITIONS_MAX + 1, 0, ERR_INVALID);
    refuse_topic(&w, "new", 1, 3, ERR_INVALID);
    refuse_topic(&w, "", 1, 0, ERR_INVALID);
    world_done(&w);
}

static void partitions_are_never_taken_away(void **state)
{
    (void)state;
    static const struct {
        uint32_t topic_id;
        uint32_t count;
        enum err_code code;
    } cases[] = {{1, 1, ERR_INVALID},
                 {1, 0, ERR_INVALID},
                 {1, FLOW_PARTITIONS_MAX + 1, ERR_INVALID},
                 {3, 5, ERR_NOT_FOUND},
                 {0, 5, ERR_NOT_FOUND}};
    struct world w;
    init(&w);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        asked_init(&asked, &w);
        asked.topic = (struct flow_topic_change){.op = FLOW_TOPIC_PARTITIONS,
                                                 .topic_id = cases[i].topic_id,
                                                 .partition_count = cases[i].count};
        asked.commit.topics = &asked.topic;
        asked.commit.topic_count = 1;
        assert_refused(&asked, cases[i].code);
    }
    world_done(&w);
}

static void one_commit_changes_a_topic_or_a_sink_once(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    init(&w);
    struct flow_topic_change twice[] = {
        {.op = FLOW_TOPIC_CREATE, .name = SLICE_LITERAL("new"), .partition_count = 1},
        {.op = FLOW_TOPIC_CREATE, .name = SLICE_LITERAL("new"), .partition_count = 2}};
    asked_init(&asked, &w);
    asked.commit.topics = twice;
    asked.commit.topic_count = 2;
    assert_refused(&asked, ERR_INVALID);
    struct flow_topic_change raised[] = {
        {.op = FLOW_TOPIC_PARTITIONS, .topic_id = 1, .partition_count = 3},
        {.op = FLOW_TOPIC_PARTITIONS, .topic_id = 1, .partition_count = 2}};
    asked_init(&asked, &w);
    asked.commit.topics = raised;
    asked.commit.topic_count = 2;
    assert_refused(&asked, ERR_INVALID);
    struct flow_sink_change sinks[] = {{.op = FLOW_SINK_OPEN, .name = SLICE_LITERAL("a")},
                                       {.op = FLOW_SINK_OPEN, .name = SLICE_LITERAL("b")}};
    asked_init(&asked, &w);
    asked.commit.sinks = sinks;
    asked.commit.sink_count = 2;
    assert_refused(&asked, ERR_INVALID);
    world_done(&w);
}

static void a_sink_keeps_its_id(void **state)
{
    (void)state;
    static const uint32_t ids[] = {1};
    struct world w;
    init(&w);
    for (int round = 0; round < 3; round++) {
        for (uint32_t id = 1; id <= 2; id++) {
            struct flow_sink_change change = {.op = FLOW_SINK_OPEN,
                                              .name = slice_string(id == 1 ? "lake" : "search"),
                                              .topic_ids = ids,
                                              .topic_count = 1};
            assert_code(world_change_sink(&w, &change), OK);
            assert_int_equal(change.sink_id, id);
            change.op = FLOW_SINK_CLOSE;
            change.topic_count = 0;
            if (round == 1)
                assert_code(world_change_sink(&w, &change), OK);
        }
    }
    assert_int_equal(w.log->state.sink_count, 2);
    world_done(&w);
}

static void refuse_sink(struct world *w, struct flow_sink_change change, enum err_code code)
{
    struct asked asked;
    asked_init(&asked, w);
    asked_sink(&asked, change);
    assert_refused(&asked, code);
}

static struct flow_sink_change prepare(uint64_t epoch, const struct flow_sink_range *range)
{
    return (struct flow_sink_change){
        .op = FLOW_SINK_PREPARE, .sink_id = 1, .epoch = epoch, .ranges = range, .range_count = 1};
}

static void sinks_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const uint32_t unknown[] = {1, 3};
    struct world w;
    init(&w);
    refuse_sink(&w,
                (struct flow_sink_change){.op = FLOW_SINK_OPEN,
                                          .name = SLICE_LITERAL("lake"),
                                          .topic_ids = unknown,
                                          .topic_count = 2},
                ERR_NOT_FOUND);
    refuse_sink(&w, (struct flow_sink_change){.op = FLOW_SINK_OPEN}, ERR_INVALID);
    refuse_sink(&w, (struct flow_sink_change){.op = FLOW_SINK_CLOSE, .sink_id = 1}, ERR_NOT_FOUND);
    refuse_sink(&w, (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 0, .epoch = 1},
                ERR_NOT_FOUND);
    world_done(&w);
}

static void epochs_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct flow_sink_range range;
        enum err_code code;
    } cases[] = {
        {{1, 0, 1, 5, 4, 0}, ERR_INVALID},   /* not where the cursor is */
        {{1, 0, 0, 6, 6, 0}, ERR_INVALID},   /* past the durable end */
        {{1, 2, 0, 0, 0, 0}, ERR_INVALID},   /* no such partition */
        {{2, 0, 0, 0, 0, 0}, ERR_NOT_FOUND}, /* not a topic of the sink */
    };
    static const struct flow_sink_range good = {1, 0, 0, 5, 5, 0};
    struct world w;
    init(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse_sink(&w, prepare(1, &cases[i].range), cases[i].code);
    struct flow_sink_change commit = {.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = 1};
    refuse_sink(&w, commit, ERR_INVALID); /* not prepared */
    refuse_sink(&w, prepare(0, &good), ERR_INVALID);
    refuse_sink(&w, prepare(2, &good), ERR_INVALID);
    struct flow_sink_change change = prepare(1, &good);
    assert_code(world_change_sink(&w, &change), OK);
    refuse_sink(&w, prepare(1, &good), ERR_INVALID); /* prepared already */
    refuse_sink(&w, prepare(2, &good), ERR_INVALID);
    refuse_sink(&w, (struct flow_sink_change){.op = FLOW_SINK_CLOSE, .sink_id = 1}, ERR_INVALID);
    commit.epoch = 2;
    refuse_sink(&w, commit, ERR_INVALID);
    commit.epoch = 1;
    assert_code(world_change_sink(&w, &commit), OK);
    assert_int_equal(log_state_sink(&w.log->state, 1)->cursors[0].offset, 5);
    world_done(&w);
}

static void letters_of_a_sink_are_committed_with_its_epoch(void **state)
{
    (void)state;
    static const struct flow_sink_range range = {1, 0, 0, 5, 3, 2};
    struct world w;
    struct asked asked;
    init(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    struct flow_sink_change change = prepare(1, &range);
    assert_code(world_change_sink(&w, &change), OK);
    asked_init(&asked, &w);
    asked_records(&asked, 2, 0, 2, 10)->kind = FLOW_APPEND_SINK_LETTERS;
    asked_sink(&asked, (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = 1});
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    world_lose_power(&w);
    world_open(&w);
    const struct log_sink *sink = log_state_sink(&w.log->state, 1);
    assert_int_equal(sink->delivered, 3);
    assert_int_equal(sink->dead_lettered, 2);
    assert_int_equal(world_end(&w, 2, 0), 2);
    assert_int_equal(log_state_topic(&w.log->state, 1)->dead_lettered, 0);
    world_done(&w);
}

static struct flow_sink_change redrive(uint64_t epoch, const struct flow_sink_range *range)
{
    struct flow_sink_change change = prepare(epoch, range);
    change.op = FLOW_SINK_REDRIVE;
    return change;
}

static err_t purge(struct world *w, int64_t first, int64_t end)
{
    struct asked asked;
    struct flow_settle settle = {.topic_id = 2,
                                 .kind = FLOW_SETTLE_PURGED,
                                 .record_count = (uint32_t)(end - first),
                                 .first_offset = first,
                                 .end_offset = end};
    asked_init(&asked, w);
    asked.commit.settles = &settle;
    asked.commit.settle_count = 1;
    err_t err = asked_commit(&asked);
    asked_done(&asked);
    return err;
}

static void letters_go_back_to_their_sink_once(void **state)
{
    (void)state;
    static const struct flow_sink_range refused = {1, 0, 0, 5, 3, 2};
    static const struct flow_sink_range first = {2, 0, 0, 1, 1, 0};
    static const struct flow_sink_range both = {2, 0, 0, 2, 2, 0};
    static const struct flow_sink_range empty = {2, 0, 1, 2, 0, 0};
    static const struct flow_sink_range elsewhere = {7, 0, 1, 2, 1, 0};
    struct world w;
    struct asked asked;
    init(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    struct flow_sink_change change = prepare(1, &refused);
    assert_code(world_change_sink(&w, &change), OK);
    asked_init(&asked, &w);
    asked_records(&asked, 2, 0, 2, 10)->kind = FLOW_APPEND_SINK_LETTERS;
    asked_sink(&asked, (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = 1});
    assert_code(asked_commit(&asked), OK);
    asked_done(&asked);
    struct flow_sink_change nothing = redrive(2, NULL);
    nothing.range_count = 0;
    refuse_sink(&w, nothing, ERR_INVALID);
    refuse_sink(&w, redrive(2, &empty), ERR_INVALID);
    refuse_sink(&w, redrive(2, &elsewhere), ERR_NOT_FOUND);
    change = redrive(2, &first);
    assert_code(world_change_sink(&w, &change), OK);
    /* On its way it stays, whatever happens, until the epoch has ended. */
    assert_code(purge(&w, 0, 2), BUSY);
    world_lose_power(&w);
    world_open(&w);
    assert_code(purge(&w, 0, 1), BUSY);
    change = (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = 1, .epoch = 2};
    assert_code(world_change_sink(&w, &change), OK);
    refuse_sink(&w, redrive(3, &both), ERR_OFFSET_RANGE);
    assert_code(purge(&w, 0, 1), OFFSET_RANGE);
    assert_code(purge(&w, 1, 2), OK);
    const struct log_sink *sink = log_state_sink(&w.log->state, 1);
    assert_int_equal(sink->delivered, 4);
    assert_int_equal(sink->dead_lettered, 1);
    assert_int_equal(log_state_topic(&w.log->state, 2)->letters.redriven, 1);
    world_done(&w);
}

static void a_frame_on_disk_is_what_its_header_says(void **state)
{
    (void)state;
    struct world w;
    init(&w);
    const struct log_index_entry *entry = log_state_partition(&w.log->state, 1, 0)->index;
    uint64_t offset = entry->file_offset / IO_BLOCK * IO_BLOCK;
    char path[LOG_WAL_PATH_MAX];
    uint8_t block[IO_BLOCK];
    size_t got = 0;
    struct io_file *file = NULL;
    log_wal_path(&w.log->wal, entry->file_number, path);
    assert_code(io_disk_open(w.options.disk, path, IO_OPEN_READ, &file, NULL), OK);
    assert_code(io_file_read(file, block, sizeof block, offset, &got), OK);
    assert_code(io_file_close(file), OK);
    struct log_frame_header header;
    assert_code(log_frame_decode(slice_make(block, got), &header), OK);
    assert_true(uuid_equal(&header.uuid, &w.log->meta.uuid));
    assert_int_equal(header.lsn, w.log->durable_lsn);
    assert_int_equal(header.durable_lsn, header.lsn - 1);
    assert_int_equal(header.epoch, 1);
    assert_int_equal(header.flags, 0);
    assert_int_equal(header.file_number, entry->file_number);
    assert_int_equal(header.block, offset / IO_BLOCK);
    assert_int_equal(header.file_blocks, (UINT64_C(1) << 20) / IO_BLOCK);
    assert_int_equal(header.commit_time_ms, w.log->time_ms);
    assert_int_equal(header.header_crc, w.log->last.header_crc);
    for (size_t i = LOG_FRAME_HEADER_SIZE + header.payload_size; i < sizeof block; i++)
        assert_int_equal(block[i], 0);
    world_done(&w);
}

static void offsets_of_groups_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct world w;
    init(&w);
    char name[FLOW_GROUP_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "g", 9, 0, 1), NOT_FOUND);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "g", 1, 99, 1), NOT_FOUND);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "g", 1, 0, -1), INVALID);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "", 1, 0, 1), INVALID);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, name, 1, 0, 1), INVALID);
    assert_code(world_offset(&w, FLOW_OFFSET_DELETE, "g", 0, 0, 0), INVALID);
    /* What is gone already may be deleted. */
    assert_code(world_offset(&w, FLOW_OFFSET_DELETE, "g", 9, 0, 0), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_DELETE_GROUP, "g", 0, 0, 0), OK);
    assert_int_equal(w.log->state.offsets.bytes, 0);
    w.log->state.offsets.bytes_max = 1;
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "g", 1, 0, 1), OFFSETS_FULL);
    world_done(&w);
}

static void a_deleted_topic_takes_the_offsets_of_groups_with_it(void **state)
{
    (void)state;
    struct world w;
    struct asked asked;
    init(&w);
    asked_init(&asked, &w);
    asked_topic(&asked, "planes", 1, 0);
    assert_code(asked_commit(&asked), OK);
    uint32_t id = asked.topic.topic_id;
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "g", id, 0, 0), OK);
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "g", 1, 0, 0), OK);
    asked_init(&asked, &w);
    asked.topic = (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = id};
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    asked_send(&asked);
    /* Behind the deletion in the log. */
    assert_code(world_offset(&w, FLOW_OFFSET_COMMIT, "g", id, 0, 5), NOT_FOUND);
    assert_code(asked_wait(&asked), OK);
    assert_int_equal(w.log->state.offsets.count, 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_and_ids_are_given_in_the_order_of_a_commit),
        cmocka_unit_test(all_parts_of_a_commit_happen_together),
        cmocka_unit_test(letters_are_settled_with_what_became_of_them),
        cmocka_unit_test(settles_that_do_not_fit_are_refused),
        cmocka_unit_test(records_for_what_there_is_not_are_refused),
        cmocka_unit_test(dead_letters_need_a_queue),
        cmocka_unit_test(batches_that_are_not_whole_are_refused),
        cmocka_unit_test(topics_that_cannot_be_are_refused),
        cmocka_unit_test(partitions_are_never_taken_away),
        cmocka_unit_test(one_commit_changes_a_topic_or_a_sink_once),
        cmocka_unit_test(a_sink_keeps_its_id),
        cmocka_unit_test(sinks_that_cannot_be_are_refused),
        cmocka_unit_test(epochs_that_cannot_be_are_refused),
        cmocka_unit_test(letters_of_a_sink_are_committed_with_its_epoch),
        cmocka_unit_test(letters_go_back_to_their_sink_once),
        cmocka_unit_test(offsets_of_groups_that_cannot_be_are_refused),
        cmocka_unit_test(a_deleted_topic_takes_the_offsets_of_groups_with_it),
        cmocka_unit_test(a_frame_on_disk_is_what_its_header_says),
    };
    return cmocka_run_group_tests_name("log/compose", tests, NULL, NULL);
}
