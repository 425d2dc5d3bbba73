#include "log/sealer.h"

#include "base/alloc.h"
#include "unit/log/world.h"

static bool all_sealed(void *context)
{
    const struct world *w = context;
    const struct log *log = w->log;
    return log->sealer.phase == LOG_SEALER_IDLE && log_sealer_backlog(log) == 0 &&
           log->sealer.saved_sealed == log->sealer.sealed_file && world_is_idle(context);
}

static bool is_held(void *context)
{
    return ((const struct world *)context)->sealer.held_count > 0;
}

static const struct log_partition *partition(const struct world *w)
{
    return log_state_partition(&w->log->state, 1, 0);
}

static void fill(struct world *w, int count)
{
    for (int i = 0; i < count; i++)
        assert_code(world_commit(w, 1, 100000), OK);
}

/* Every record from the start on is there once, in its order. */
static void assert_reads_all(struct world *w)
{
    int64_t offset = partition(w)->start_offset;
    int64_t end = partition(w)->end_offset;
    while (offset < end) {
        struct asked_read read;
        err_t err = world_read(w, &read, offset, 300000);
        if (!err_is_ok(err))
            fail_msg("offset %lld: %s", (long long)offset, err_name(err));
        assert_true(read.read.batch_count > 0);
        for (uint32_t i = 0; i < read.read.batch_count; i++) {
            struct flow_batch batch;
            struct flow_record record;
            struct buf unpacked = {0};
            assert_code(flow_batch_parse(read.read.batches[i], &batch), OK);
            assert_code(flow_batch_check(&batch), OK);
            assert_code(flow_batch_unpack(&batch, 1u << 24, &unpacked), OK);
            struct flow_batch_iterator it = flow_batch_records(&batch);
            while (err_is_ok(flow_batch_next(&it, &record))) {
                if (record.offset >= offset)
                    assert_int_equal(record.offset, offset++);
            }
            buf_done(&unpacked);
        }
        assert_int_equal(read.read.next_offset, offset);
        world_release(w, &read);
    }
}

static err_t configure(struct world *w, struct flow_topic_config config)
{
    struct asked asked;
    asked_init(&asked, w);
    asked.topic =
        (struct flow_topic_change){.op = FLOW_TOPIC_CONFIG, .topic_id = 1, .config = config};
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    return asked_commit(&asked);
}

static err_t change_topic(struct world *w, struct flow_topic_change change)
{
    struct asked asked;
    asked_init(&asked, w);
    asked.topic = change;
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    return asked_commit(&asked);
}

static void full_files_go_into_segments_and_are_used_again(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 60);
    world_until(&w, all_sealed, &w);
    assert_int_equal(partition(&w)->segment_count, 1);
    assert_true(partition(&w)->segments[0].end_offset >= 45);
    assert_int_equal(partition(&w)->segments[0].records, partition(&w)->segments[0].end_offset);
    assert_true(w.log->counters.recycled > 0);
    assert_true(w.log->wal.files[0].number > 1);
    assert_reads_all(&w);
    assert_true(w.log->counters.reads_sealed > 0);
    world_stop(&w);
    world_open(&w);
    assert_int_equal(partition(&w)->end_offset, 60);
    assert_reads_all(&w);
    world_done(&w);
}

/* A power loss at any change that sealing makes: everything is there and sealed again. */
static void power_may_fail_anywhere_in_a_sealing(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    bool died = true;
    for (uint64_t n = 1; died; n += 1 + n / 12) {
        struct world w;
        world_init(&w, unit_random(&seed));
        w.sealer.closed = true;
        world_begin(&w);
        fill(&w, 25);
        world_until(&w, is_held, &w);
        sim_disk_die_after(w.disk, n);
        gate_open(&w.sealer);
        for (int i = 0; i < 300 && !sim_disk_is_dead(w.disk); i++)
            world_deliver(&w);
        died = sim_disk_is_dead(w.disk);
        world_lose_power(&w);
        world_open(&w);
        assert_int_equal(partition(&w)->end_offset, 25);
        assert_reads_all(&w);
        fill(&w, 10);
        world_until(&w, all_sealed, &w);
        assert_reads_all(&w);
        world_lose_power(&w);
        world_open(&w);
        assert_int_equal(partition(&w)->end_offset, 35);
        assert_reads_all(&w);
        world_done(&w);
    }
}

static void any_call_to_the_disk_may_fail_in_a_sealing(void **state)
{
    (void)state;
    bool more = true;
    for (uint64_t n = 1; more; n += 1 + n / 20) {
        struct world w;
        world_init(&w, n);
        w.sealer.closed = true;
        world_begin(&w);
        fill(&w, 25);
        world_until(&w, is_held, &w);
        sim_disk_aim(w.disk, n % 2 ? "topics" : "checkpoint");
        sim_disk_fail_after(w.disk, (n + 1) / 2, n % 3 ? ERR_IO : ERR_NO_SPACE);
        gate_open(&w.sealer);
        world_until(&w, all_sealed, &w);
        more = sim_disk_call_count(w.disk) >= (n + 1) / 2;
        sim_disk_fail_after(w.disk, 0, ERR_OK);
        sim_disk_aim(w.disk, NULL);
        assert_true(!more || w.log->sealer.failures_total > 0 || n > 1);
        assert_reads_all(&w);
        world_lose_power(&w);
        world_open(&w);
        assert_int_equal(partition(&w)->end_offset, 25);
        assert_reads_all(&w);
        world_done(&w);
    }
}

static void any_allocation_may_fail_in_a_sealing(void **state)
{
    (void)state;
    bool more = true;
    for (uint64_t n = 1; more; n++) {
        struct world w;
        world_init(&w, n);
        w.sealer.closed = true;
        world_begin(&w);
        fill(&w, 25);
        world_until(&w, is_held, &w);
        gate_open(&w.sealer);
        mem_fail_after(n);
        world_until(&w, all_sealed, &w);
        more = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_reads_all(&w);
        world_done(&w);
    }
}

static void batches_are_merged_and_compressed_as_the_topic_says(void **state)
{
    (void)state;
    static const enum flow_codec codecs[] = {FLOW_CODEC_NONE, FLOW_CODEC_LZ4, FLOW_CODEC_ZSTD};
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        struct asked_read read;
        struct flow_batch batch;
        world_init(&w, 1);
        world_begin(&w);
        assert_code(configure(&w, (struct flow_topic_config){.codec = codecs[i]}), OK);
        for (int k = 0; k < 600; k++)
            assert_code(world_commit(&w, 2, 500), OK);
        world_until(&w, all_sealed, &w);
        assert_true(partition(&w)->segments[0].end_offset > 400);
        assert_code(world_read(&w, &read, 0, 1), OK);
        assert_code(flow_batch_parse(read.read.batches[0], &batch), OK);
        assert_int_equal(flow_batch_codec(&batch), codecs[i]);
        assert_true(batch.record_count > 50);
        world_release(&w, &read);
        assert_reads_all(&w);
        world_done(&w);
    }
}

static void a_segment_ends_where_the_size_to_keep_wants_it(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.options.wal_limit_bytes = UINT64_C(32) << 20;
    world_begin(&w);
    assert_code(configure(&w, (struct flow_topic_config){.retention_bytes = UINT64_C(1) << 30}),
                OK);
    fill(&w, 30);
    world_until(&w, all_sealed, &w);
    assert_int_equal(partition(&w)->segment_count, 1);
    assert_code(configure(&w, (struct flow_topic_config){.retention_bytes = UINT64_C(16) << 20}),
                OK);
    fill(&w, 40);
    world_until(&w, all_sealed, &w);
    assert_true(partition(&w)->segment_count >= 3);
    for (uint32_t i = 1; i < partition(&w)->segment_count; i++) {
        assert_true(partition(&w)->segments[i].size <= UINT64_C(1) << 20);
        assert_int_equal(partition(&w)->segments[i].base_offset,
                         partition(&w)->segments[i - 1].end_offset);
    }
    assert_reads_all(&w);
    world_done(&w);
}

static void a_start_that_moves_or_a_topic_that_goes_while_its_file_is_sealed(void **state)
{
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        struct world w;
        enum io_kind kind;
        world_init(&w, 1);
        w.sealer.closed = true;
        world_begin(&w);
        fill(&w, 25);
        world_until(&w, is_held, &w);
        if (gone) {
            assert_code(change_topic(
                            &w, (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = 2}),
                        OK);
            assert_code(change_topic(
                            &w, (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = 1}),
                        OK);
        } else {
            assert_code(change_topic(&w, (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START,
                                                                    .topic_id = 1,
                                                                    .start_offset = 12}),
                        OK);
        }
        gate_open(&w.sealer);
        world_until(&w, all_sealed, &w);
        if (gone) {
            world_stop(&w);
            world_open(&w);
            assert_null(log_state_topic(&w.log->state, 1));
            assert_code(io_disk_kind(w.options.disk,
                                     "data/topics/flights-66010000-0000-0000-0000-000000000000",
                                     &kind, NULL),
                        OK);
            assert_int_equal(kind, IO_KIND_NONE);
        } else {
            assert_int_equal(partition(&w)->start_offset, 12);
            assert_reads_all(&w);
            world_lose_power(&w);
            world_open(&w);
            assert_int_equal(partition(&w)->start_offset, 12);
            assert_reads_all(&w);
        }
        world_done(&w);
    }
}

static bool has_removed(void *context)
{
    return ((const struct world *)context)->log->sealer.removed_total > 0;
}

/* A directory with something in it stands where the segment's file was. */
static void a_removal_that_fails_lets_sealing_go_on(void **state)
{
    (void)state;
    static const char *const log =
        "data/topics/flights-66010000-0000-0000-0000-000000000000/0/00000000000000000000.log";
    char inside[128];
    struct world w;
    struct io_file *file;
    snprintf(inside, sizeof inside, "%s/x", log);
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 25);
    world_until(&w, all_sealed, &w);
    assert_code(io_disk_remove(w.options.disk, log, NULL), OK);
    assert_code(io_disk_make_directory(w.options.disk, log, NULL), OK);
    assert_code(io_disk_open(w.options.disk, inside, IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL),
                OK);
    assert_code(io_file_close(file), OK);
    int64_t end = partition(&w)->segments[0].end_offset;
    assert_code(change_topic(&w, (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START,
                                                            .topic_id = 1,
                                                            .start_offset = end}),
                OK);
    uint64_t files = w.log->sealer.files_total;
    fill(&w, 60);
    world_until(&w, all_sealed, &w);
    assert_true(w.log->sealer.files_total > files + 2);
    assert_true(world_noted(&w, "log_seal_failed"));
    assert_int_equal(w.log->sealer.removed_total, 0);
    assert_reads_all(&w);
    assert_code(io_disk_remove(w.options.disk, inside, NULL), OK);
    world_until(&w, has_removed, &w);
    world_done(&w);
}

static void a_read_on_its_way_keeps_its_file(void **state)
{
    (void)state;
    struct world w;
    struct asked_read read;
    world_init(&w, 1);
    w.sealer.closed = true;
    world_begin(&w);
    fill(&w, 25);
    /* The tail has forgotten nothing yet: a new life has none. */
    world_kill(&w);
    w.sealer.closed = true;
    world_open(&w);
    w.reader.closed = true;
    asked_read_send(&read, &w, 0, 1, false);
    world_deliver(&w);
    gate_open(&w.sealer);
    fill(&w, 25);
    world_until(&w, all_sealed, &w);
    assert_int_equal(w.log->wal.files[0].number, 1);
    assert_int_equal(w.log->wal.files[0].reads, 1);
    gate_open(&w.reader);
    world_until(&w, world_is_set, &read.answered);
    assert_code(read.read.error, OK);
    assert_int_equal(read.read.batch_count, 1);
    world_release(&w, &read);
    fill(&w, 25);
    world_until(&w, all_sealed, &w);
    assert_true(w.log->wal.files[0].number > 1);
    assert_reads_all(&w);
    world_done(&w);
}

static enum io_kind set_aside(struct world *w, uint64_t lsn)
{
    char path[128];
    enum io_kind kind = IO_KIND_OTHER;
    snprintf(path, sizeof path, "data/checkpoint/%020llu.ckpt.damaged", (unsigned long long)lsn);
    assert_code(io_disk_kind(w->options.disk, path, &kind, NULL), OK);
    return kind;
}

static void a_damaged_newest_checkpoint_leaves_the_one_before(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        struct world w;
        uint64_t lsns[4];
        size_t count = 0;
        world_init(&w, 1);
        world_begin(&w);
        fill(&w, 60);
        world_until(&w, all_sealed, &w);
        assert_true(w.log->counters.recycled > 0);
        world_kill(&w);
        assert_code(log_checkpoint_list(w.options.disk, "data", lsns, 4, &count, NULL), OK);
        assert_int_equal(count, 2);
        for (int i = 0; i <= both; i++) {
            char path[128];
            snprintf(path, sizeof path, "data/checkpoint/%020llu.ckpt",
                     (unsigned long long)lsns[i]);
            assert_true(sim_disk_flip(w.disk, path, 200, 2));
        }
        err_t err = world_try_open(&w);
        assert_true(world_noted(&w, "log_checkpoint_damaged"));
        if (both) {
            assert_code(err, CORRUPT);
            assert_non_null(strstr(w.why.text, "is missing"));
        } else {
            assert_code(err, OK);
            assert_int_equal(partition(&w)->end_offset, 60);
            assert_reads_all(&w);
            /* Left in its place it would push the good one out when the next is written. */
            uint64_t left = 0;
            assert_code(log_checkpoint_list(w.options.disk, "data", &left, 1, &count, NULL), OK);
            assert_int_equal(left, lsns[1]);
            assert_int_equal(set_aside(&w, lsns[0]), IO_KIND_FILE);
            fill(&w, 20);
            world_until(&w, all_sealed, &w);
            assert_reads_all(&w);
        }
        world_done(&w);
    }
}

static void a_stop_waits_in_no_phase_for_long_and_loses_nothing(void **state)
{
    (void)state;
    for (int jobs = 0; jobs < 8; jobs++) {
        struct world w;
        world_init(&w, 1);
        w.sealer.closed = true;
        world_begin(&w);
        fill(&w, 25);
        for (int i = 0; i < jobs; i++) {
            world_until(&w, is_held, &w);
            gate_open(&w.sealer);
            w.sealer.closed = true;
            if (i + 1 < jobs)
                world_until(&w, is_held, &w);
        }
        world_send_stop(&w);
        world_deliver(&w);
        gate_open(&w.sealer);
        world_until(&w, world_is_set, &w.is_stopped);
        log_free(&w.log);
        world_open(&w);
        assert_true(w.log->recovered.clean);
        assert_int_equal(w.log->recovered.frames, 0);
        assert_int_equal(partition(&w)->end_offset, 25);
        assert_reads_all(&w);
        fill(&w, 10);
        world_until(&w, all_sealed, &w);
        assert_reads_all(&w);
        world_done(&w);
    }
}

static uint64_t file_size(struct world *w, int64_t base_offset)
{
    char path[128];
    struct io_file *file;
    uint64_t size = 0;
    snprintf(path, sizeof path,
             "data/topics/flights-66010000-0000-0000-0000-000000000000/0/%020lld.log",
             (long long)base_offset);
    assert_code(io_disk_open(w->options.disk, path, IO_OPEN_READ, &file, NULL), OK);
    assert_code(io_file_size(file, &size), OK);
    assert_code(io_file_close(file), OK);
    return size;
}

/* The try that is given up appends to a segment which the next one, with a smaller size to keep,
 * ends at once. */
static void what_a_stopped_sealing_left_is_cut(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 15);
    world_until(&w, all_sealed, &w);
    uint64_t size = partition(&w)->segments[0].size;
    w.sealer.closed = true;
    fill(&w, 12);
    world_until(&w, is_held, &w);
    assert_code(configure(&w, (struct flow_topic_config){.retention_bytes = UINT64_C(16) << 20}),
                OK);
    world_send_stop(&w);
    world_deliver(&w);
    gate_open(&w.sealer);
    world_until(&w, world_is_set, &w.is_stopped);
    log_free(&w.log);
    assert_true(file_size(&w, 0) > size);
    world_open(&w);
    fill(&w, 20);
    world_until(&w, all_sealed, &w);
    for (uint32_t i = 0; i < partition(&w)->segment_count; i++)
        assert_int_equal(file_size(&w, partition(&w)->segments[i].base_offset),
                         partition(&w)->segments[i].size);
    assert_reads_all(&w);
    world_done(&w);
}

static void a_full_index_ends_a_file_early(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.options.index_bytes = 64 * sizeof(struct log_index_entry);
    world_begin(&w);
    uint32_t refused = 0;
    for (int i = 0; i < 300; i++) {
        err_t err = world_commit(&w, 1, 10);
        refused += err_is_ok(err) ? 0 : 1;
        if (!err_is_ok(err))
            world_until(&w, all_sealed, &w);
    }
    assert_true(refused < 20);
    assert_int_equal(partition(&w)->end_offset, 300 - refused);
    assert_true(partition(&w)->segment_count > 0);
    assert_reads_all(&w);
    world_done(&w);
}

static void rot_in_a_file_stops_sealing_and_says_where(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    w.sealer.closed = true;
    world_begin(&w);
    fill(&w, 25);
    const struct log_index_entry *entry = &partition(&w)->index[3];
    assert_true(sim_disk_flip(w.disk, "data/wal/00000000000000000001.wal",
                              entry->file_offset + entry->size / 2, 1));
    world_until(&w, is_held, &w);
    gate_open(&w.sealer);
    world_deliver(&w);
    assert_true(w.log->sealer.failures_total > 0);
    assert_non_null(strstr(w.log->sealer.why.text, "(offset 3) does not fit its checksum"));
    assert_int_equal(w.log->sealer.sealed_file, 0);
    assert_int_equal(partition(&w)->segment_count, 0);
    world_done(&w);
}

/* The index is asked where the reading begins, and where somebody else has read meanwhile. */
static void who_reads_on_in_a_segment_does_not_need_its_index(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 30);
    world_until(&w, all_sealed, &w);
    const struct log_segment *segment = &partition(&w)->segments[0];
    assert_true(segment->index_entries > 10 && segment->end_offset > 15);
    struct asked_read read;
    assert_code(world_read(&w, &read, 8, 250000), OK);
    assert_int_equal(read.read.batch_count, 2);
    world_release(&w, &read);
    char path[128];
    snprintf(path, sizeof path,
             "data/topics/flights-66010000-0000-0000-0000-000000000000/0/%020d.index", 0);
    assert_code(io_disk_remove(w.options.disk, path, NULL), OK);
    for (int64_t offset = 10; offset < segment->end_offset; offset++) {
        assert_code(world_read(&w, &read, offset, 1), OK);
        assert_int_equal(read.read.batch_count, 1);
        struct flow_batch batch;
        assert_code(flow_batch_parse(read.read.batches[0], &batch), OK);
        assert_int_equal(batch.base_offset, offset);
        assert_int_equal(read.read.next_offset, offset + 1);
        assert_true(read.read.lease_bytes >= batch.bytes.size);
        world_release(&w, &read);
    }
    assert_code(world_read(&w, &read, 9, 1), CORRUPT);
    world_release(&w, &read);
    /* Behind an error nothing is known. */
    assert_code(world_read(&w, &read, 10, 1), CORRUPT);
    world_release(&w, &read);
    world_done(&w);
}

static bool ledger_balanced(const struct world *w)
{
    struct flow_snapshot snapshot = {0};
    assert_code(log_state_snapshot(&w->log->state, &snapshot), OK);
    bool balanced = flow_snapshot_balanced(&snapshot);
    flow_snapshot_done(&snapshot);
    return balanced;
}

/* Returns how many records are left to the sink. */
static uint64_t deliver(struct world *w, uint32_t sink_id, uint64_t epoch, int64_t first,
                        int64_t end, uint64_t delivered)
{
    struct flow_sink_range range = {1, 0, first, end, delivered, 0};
    struct flow_sink_change change = {.op = FLOW_SINK_PREPARE,
                                      .sink_id = sink_id,
                                      .epoch = epoch,
                                      .ranges = &range,
                                      .range_count = 1};
    assert_code(world_change_sink(w, &change), OK);
    change = (struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = sink_id, .epoch = epoch};
    assert_code(world_change_sink(w, &change), OK);
    const struct log_sink *sink = log_state_sink(&w->log->state, sink_id);
    return partition(w)->records - sink->cursors[0].records;
}

/* Which offsets of a segment are holes is not known in memory. */
static void a_sink_within_a_segment_with_holes_is_told_what_is_left(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    world_begin(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    assert_code(world_hollow(&w, 40, -1), OK);
    fill(&w, 3);
    assert_code(world_hollow(&w, 5, -1), OK);
    fill(&w, 25);
    world_until(&w, all_sealed, &w);
    const struct log_segment *segment = &partition(&w)->segments[0];
    int64_t end = segment->end_offset;
    assert_true(segment->base_offset == 0 && end > 50);
    assert_int_equal(segment->records, end - 45);
    assert_int_equal(deliver(&w, 1, 1, 0, 40, 0), 28);
    assert_true(ledger_balanced(&w));
    assert_int_equal(deliver(&w, 1, 2, 40, 42, 2), 26);
    assert_int_equal(deliver(&w, 1, 3, 42, 48, 1), 25);
    assert_true(ledger_balanced(&w));
    world_lose_power(&w);
    world_open(&w);
    assert_true(ledger_balanced(&w));
    /* At the end of a segment nobody's word is needed, and a wrong one shows. */
    assert_int_equal(deliver(&w, 1, 4, 48, end, (uint64_t)end - 48 - 1), 73 - (uint64_t)end);
    assert_false(ledger_balanced(&w));
    world_done(&w);
}

static void what_is_deleted_of_a_segment_with_holes_has_expired(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 2);
    world_begin(&w);
    assert_code(world_open_sink(&w, "lake"), OK);
    fill(&w, 4);
    assert_code(world_hollow(&w, 40, -1), OK);
    fill(&w, 25);
    world_until(&w, all_sealed, &w);
    int64_t end = partition(&w)->segments[0].end_offset;
    assert_true(end > 50);
    assert_code(change_topic(&w, (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START,
                                                            .topic_id = 1,
                                                            .start_offset = 45}),
                OK);
    assert_true(ledger_balanced(&w));
    assert_code(world_open_sink(&w, "late"), OK);
    /* 5 have gone. */
    (void)deliver(&w, 1, 1, 45, 47, 2);
    world_lose_power(&w);
    world_open(&w);
    for (uint32_t sink = 1; sink <= 2; sink++) {
        int64_t first = sink == 1 ? 47 : 45;
        assert_int_equal(deliver(&w, sink, 2 - (sink - 1), first, end, (uint64_t)(end - first)),
                         69 - (uint64_t)end);
    }
    assert_int_equal(log_state_sink(&w.log->state, 1)->expired, 5);
    assert_true(ledger_balanced(&w));
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_files_go_into_segments_and_are_used_again),
        cmocka_unit_test(power_may_fail_anywhere_in_a_sealing),
        cmocka_unit_test(any_call_to_the_disk_may_fail_in_a_sealing),
        cmocka_unit_test(any_allocation_may_fail_in_a_sealing),
        cmocka_unit_test(batches_are_merged_and_compressed_as_the_topic_says),
        cmocka_unit_test(a_segment_ends_where_the_size_to_keep_wants_it),
        cmocka_unit_test(a_start_that_moves_or_a_topic_that_goes_while_its_file_is_sealed),
        cmocka_unit_test(a_removal_that_fails_lets_sealing_go_on),
        cmocka_unit_test(a_read_on_its_way_keeps_its_file),
        cmocka_unit_test(a_damaged_newest_checkpoint_leaves_the_one_before),
        cmocka_unit_test(a_stop_waits_in_no_phase_for_long_and_loses_nothing),
        cmocka_unit_test(what_a_stopped_sealing_left_is_cut),
        cmocka_unit_test(a_full_index_ends_a_file_early),
        cmocka_unit_test(rot_in_a_file_stops_sealing_and_says_where),
        cmocka_unit_test(who_reads_on_in_a_segment_does_not_need_its_index),
        cmocka_unit_test(a_sink_within_a_segment_with_holes_is_told_what_is_left),
        cmocka_unit_test(what_is_deleted_of_a_segment_with_holes_has_expired),
    };
    return cmocka_run_group_tests_name("log/sealer", tests, NULL, NULL);
}
