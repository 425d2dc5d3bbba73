#include "log/scrub.h"

#include "base/alloc.h"
#include "unit/log/world.h"

#include <inttypes.h>

#define EVERY_MS UINT64_C(60000)
#define SEGMENT_0                                                                                  \
    "data/topics/flights-66010000-0000-0000-0000-000000000000/0/00000000000000000000.log"
#define VALUE_SIZE UINT64_C(100000)

/* A world whose log checks itself, and what it says of differences. */
struct checked_world {
    struct world w;
    struct gate checker;
    struct logger logger;
    char told[4096]; /* texts of log_check_failed, each with a newline behind */
    uint32_t told_count;
};

static void note(struct logger *logger, enum log_level level, const char *event, struct slice text)
{
    struct checked_world *c = CONTAINER_OF(logger, struct checked_world, logger);
    size_t size = strlen(c->told);
    (void)level;
    if (strcmp(event, "log_check_failed") != 0)
        return;
    c->told_count++;
    snprintf(c->told + size, sizeof c->told - size, "%.*s\n", SLICE_PRINTF(text));
}

static void checked_init(struct checked_world *c, uint64_t every_ms)
{
    *c = (struct checked_world){.logger.write = note};
    world_init(&c->w, 1);
    gate_init(&c->checker, c->w.sim);
    c->w.options.checker = &c->checker.io;
    c->w.options.check_every_ms = every_ms;
    c->w.options.logger = &c->logger;
    world_begin(&c->w);
}

static const struct log_scrub *scrub_of(const struct checked_world *c)
{
    return &c->w.log->scrub;
}

/* Differences that stand, as the metric has them. */
static uint64_t differences(const struct checked_world *c)
{
    uint64_t sum = scrub_of(c)->wal_differences + scrub_of(c)->state_differences;
    const struct log_state *state = &c->w.log->state;
    for (uint32_t t = 0; t < state->topic_count; t++) {
        for (uint32_t p = 0; p < state->topics[t]->partition_count; p++) {
            const struct log_partition *partition = &state->topics[t]->partitions[p];
            for (uint32_t i = 0; i < partition->segment_count; i++)
                sum += partition->segments[i].checked.differences;
        }
    }
    return sum;
}

static bool round_is_over(void *context)
{
    const struct checked_world *c = context;
    return scrub_of(c)->completed_ms > 0 && scrub_of(c)->phase == LOG_SCRUB_IDLE;
}

/* Until the round that is on its way, or else the next one, has ended. */
static void wait_for_round(struct checked_world *c)
{
    c->w.log->scrub.completed_ms = 0;
    world_until(&c->w, round_is_over, c);
}

static bool sealed_enough(void *context)
{
    const struct checked_world *c = context;
    return c->w.log->sealer.phase == LOG_SEALER_IDLE && log_sealer_backlog(c->w.log) == 0;
}

static void write_some(struct checked_world *c, int count)
{
    for (int i = 0; i < count; i++)
        assert_code(world_commit(&c->w, 1, VALUE_SIZE), OK);
}

/* Writes `count` batches of one record each and waits until what is full is sealed. */
static void seal_some(struct checked_world *c, int count)
{
    write_some(c, count);
    world_until(&c->w, sealed_enough, c);
}

static struct log_partition *partition_0(const struct checked_world *c)
{
    return log_state_partition(&c->w.log->state, 1, 0);
}

static void assert_told(const struct checked_world *c, const char *text)
{
    if (!strstr(c->told, text))
        fail_msg("\"%s\" is not in \"%s\"", text, c->told);
}

static void a_good_log_is_read_whole_and_has_no_differences(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 35);
    assert_true(partition_0(&c)->sealed_bytes > 0 && partition_0(&c)->wal_bytes > 0);
    wait_for_round(&c);
    assert_int_equal(differences(&c), 0);
    assert_int_equal(c.told_count, 0);
    const struct log_segment *segment = &partition_0(&c)->segments[0];
    assert_int_equal(segment->checked.bytes, segment->size);
    assert_int_equal(segment->checked.records, segment->records);
    assert_int_equal(segment->checked.end_offset, segment->end_offset);
    assert_true(scrub_of(&c)->read_bytes_total >=
                partition_0(&c)->sealed_bytes + partition_0(&c)->wal_bytes);
    world_done(&c.w);
}

static void the_first_round_begins_an_interval_after_the_start(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    uint64_t begin = io_now_ns(c.w.options.loop);
    seal_some(&c, 15);
    wait_for_round(&c);
    assert_true(scrub_of(&c)->round_ns + IO_SECOND >= begin + EVERY_MS * IO_MS);
    world_done(&c.w);
}

static bool has_begun(void *context)
{
    const struct checked_world *c = context;
    return scrub_of(c)->phase != LOG_SCRUB_IDLE;
}

static bool an_hour_is_over(void *context)
{
    const struct checked_world *c = context;
    return io_now_ns(c->w.options.loop) > 3600 * IO_SECOND;
}

static void an_interval_of_zero_is_no_check(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, 0);
    seal_some(&c, 15);
    world_until(&c.w, an_hour_is_over, &c);
    assert_int_equal(scrub_of(&c)->read_bytes_total, 0);
    assert_int_equal(scrub_of(&c)->completed_ms, 0);
    world_done(&c.w);
}

static void a_flipped_bit_in_a_segment_is_found_and_named(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 25);
    /* In the second batch. */
    assert_true(sim_disk_flip(c.w.disk, SEGMENT_0, 150000, 3));
    wait_for_round(&c);
    assert_int_equal(differences(&c), 1);
    assert_int_equal(c.told_count, 1);
    assert_told(&c,
                "topic flights partition 0 offsets 1 to 1: the batch does not fit its checksum");
    assert_told(&c, "of segment 00000000000000000000.log");
    assert_told(&c, "garner fsck");
    world_done(&c.w);
}

static void offsets_that_lie_outside_the_checksum_are_compared_too(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 15);
    assert_true(sim_disk_flip(c.w.disk, SEGMENT_0, 0, 4));
    wait_for_round(&c);
    assert_int_equal(differences(&c), 1);
    assert_told(&c, "the offsets are not those that were given (bytes 0 to ");
    world_done(&c.w);
}

static void bytes_that_are_no_batch_end_the_look_at_a_segment(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 15);
    int64_t end_offset = partition_0(&c)->segments[0].end_offset;
    /* The magic of the first batch. */
    assert_true(sim_disk_flip(c.w.disk, SEGMENT_0, 16, 6));
    wait_for_round(&c);
    assert_int_equal(differences(&c), 1);
    char text[64];
    snprintf(text, sizeof text, "offsets 0 to %" PRId64 ": what is there is no batch",
             end_offset - 1);
    assert_told(&c, text);
    world_done(&c.w);
}

static void a_length_that_was_changed_takes_no_memory_for_it(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 15);
    assert_true(sim_disk_flip(c.w.disk, SEGMENT_0, 8, 5));
    wait_for_round(&c);
    assert_int_equal(differences(&c), 1);
    assert_told(&c, "what is there is no batch");
    assert_true(scrub_of(&c)->data_capacity <= LOG_SCRUB_WINDOW + 2 * VALUE_SIZE);
    world_done(&c.w);
}

static void a_file_that_is_gone_or_cut_is_found(void **state)
{
    (void)state;
    for (int cut = 0; cut <= 1; cut++) {
        struct checked_world c;
        checked_init(&c, EVERY_MS);
        seal_some(&c, 15);
        struct io_disk *disk = sim_disk_io(c.w.disk);
        if (cut) {
            struct io_file *file;
            assert_code(io_disk_open(disk, SEGMENT_0, IO_OPEN_WRITE, &file, NULL), OK);
            assert_code(io_file_truncate(file, 50000), OK);
            assert_code(io_file_close(file), OK);
        } else {
            assert_code(io_disk_remove(disk, SEGMENT_0, NULL), OK);
        }
        wait_for_round(&c);
        assert_int_equal(differences(&c), 1);
        assert_told(&c, cut ? "the file was cut" : "the file is missing");
        world_done(&c.w);
    }
}

static void a_flipped_bit_in_the_wal_is_found_and_named(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    write_some(&c, 3);
    const struct log_index_entry *entry = &partition_0(&c)->index[1];
    assert_true(sim_disk_flip(c.w.disk, "data/wal/00000000000000000001.wal",
                              entry->file_offset + 5000u, 0));
    wait_for_round(&c);
    assert_int_equal(differences(&c), 1);
    assert_told(&c, "topic flights partition 0 offsets 1 to 1: ");
    assert_told(&c, "of log file 1)");
    assert_true(sim_disk_flip(c.w.disk, "data/wal/00000000000000000001.wal",
                              partition_0(&c)->index[1].file_offset + 5000u, 0));
    wait_for_round(&c);
    assert_int_equal(differences(&c), 0);
    world_done(&c.w);
}

static void a_difference_stands_until_it_reads_well_again(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 25);
    assert_true(sim_disk_flip(c.w.disk, SEGMENT_0, 150000, 3));
    for (uint32_t round = 1; round <= 3; round++) {
        wait_for_round(&c);
        assert_int_equal(differences(&c), 1);
        assert_int_equal(c.told_count, round);
    }
    assert_true(sim_disk_flip(c.w.disk, SEGMENT_0, 150000, 3));
    wait_for_round(&c);
    assert_int_equal(differences(&c), 0);
    assert_int_equal(c.told_count, 3);
    world_done(&c.w);
}

static void records_that_do_not_add_up_are_told(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 25);
    partition_0(&c)->records++;
    wait_for_round(&c);
    /* The partition, and the ledger of its topic. */
    assert_int_equal(differences(&c), 2);
    assert_told(&c, "topic flights partition 0 offsets 0 to 24: the records of its parts do not");
    assert_told(&c, "the ledger does not balance");
    partition_0(&c)->records--;
    partition_0(&c)->segments[0].records--;
    partition_0(&c)->segments[0].checked = (struct log_segment_checked){0};
    wait_for_round(&c);
    assert_told(&c, "there are more or fewer records than were counted");
    world_done(&c.w);
}

static void batches_without_records_are_looked_at_too(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    assert_code(world_hollow(&c.w, 5, -1), OK);
    seal_some(&c, 25);
    assert_int_equal(partition_0(&c)->segments[0].records,
                     partition_0(&c)->segments[0].end_offset - 5);
    for (int i = 0; i < 3; i++)
        assert_code(world_hollow(&c.w, 5, -1), OK);
    wait_for_round(&c);
    assert_int_equal(differences(&c), 0);
    struct log_partition *partition = partition_0(&c);
    const struct log_index_entry *last = &partition->index[partition->index_count - 1];
    char path[64];
    snprintf(path, sizeof path, "data/wal/%020" PRIu32 ".wal", last->file_number);
    assert_true(sim_disk_flip(c.w.disk, path, last->file_offset + 30, 1));
    assert_true(sim_disk_flip(c.w.disk, SEGMENT_0, 30, 1));
    /* Both are read anew. */
    partition->segments[0].checked = (struct log_segment_checked){0};
    c.w.log->scrub.wal_file = 0;
    wait_for_round(&c);
    assert_int_equal(differences(&c), 2);
    assert_told(&c, "topic flights partition 0 offsets 0 to 4");
    assert_told(&c, "the batch is not the one that was written");
    world_done(&c.w);
}

static void what_was_read_is_not_read_again_for_a_week(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, UINT64_C(1000) * 3600 * 24);
    seal_some(&c, 25);
    wait_for_round(&c);
    uint64_t first = scrub_of(&c)->read_bytes_total;
    for (int day = 1; day <= 9; day++) {
        wait_for_round(&c);
        assert_true(day > 6 || scrub_of(&c)->read_bytes_total == first);
    }
    assert_true(scrub_of(&c)->read_bytes_total >= 2 * first);
    assert_true(scrub_of(&c)->read_bytes_total < 3 * first);
    assert_int_equal(differences(&c), 0);
    world_done(&c.w);
}

static void a_round_reads_what_came_since_the_last(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 25);
    wait_for_round(&c);
    uint64_t before = scrub_of(&c)->read_bytes_total;
    uint64_t sealed = partition_0(&c)->sealed_bytes;
    seal_some(&c, 30);
    uint64_t came = partition_0(&c)->sealed_bytes - sealed;
    assert_true(came > UINT64_C(2) << 20);
    wait_for_round(&c);
    uint64_t read = scrub_of(&c)->read_bytes_total - before;
    assert_true(read >= came && read < came + sealed);
    assert_int_equal(partition_0(&c)->segments[0].checked.bytes, partition_0(&c)->segments[0].size);
    assert_int_equal(differences(&c), 0);
    world_done(&c.w);
}

static void a_round_keeps_to_its_rate(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 60);
    world_until(&c.w, has_begun, &c);
    uint64_t begin = io_now_ns(c.w.options.loop);
    wait_for_round(&c);
    uint64_t read = scrub_of(&c)->read_bytes_total;
    uint64_t took_ms = (io_now_ns(c.w.options.loop) - begin) / IO_MS;
    assert_true(read > UINT64_C(4) << 20);
    assert_true(took_ms >= read * 1000 / LOG_SCRUB_RATE);
    world_done(&c.w);
}

static void configure(struct checked_world *c, uint64_t retention_bytes, enum flow_codec codec)
{
    struct asked asked;
    asked_init(&asked, &c->w);
    asked.topic =
        (struct flow_topic_change){.op = FLOW_TOPIC_CONFIG,
                                   .topic_id = 1,
                                   .config = {.retention_bytes = retention_bytes, .codec = codec}};
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    assert_code(asked_commit(&asked), OK);
}

static void sealing_retention_and_recycling_are_no_differences(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct checked_world c;
        struct asked asked;
        checked_init(&c, 20);
        configure(&c, UINT64_C(2) << 20, seed % 2 ? FLOW_CODEC_ZSTD : FLOW_CODEC_NONE);
        for (uint32_t i = 0; i < 200; i++) {
            /* Small ones merge when they are sealed, large ones do not. */
            asked_init(&asked, &c.w);
            asked_records(&asked, 1, 0, 1 + i % 5, i % 3 ? 40000 : 100);
            asked_records(&asked, 1, 1, 2, 300);
            asked_count(&asked, 1, 3 + i % 5, 0);
            assert_code(asked_commit(&asked), OK);
            asked_done(&asked);
        }
        world_until(&c.w, sealed_enough, &c);
        wait_for_round(&c);
        assert_true(c.w.log->counters.recycled > 0);
        assert_int_equal(c.told_count, 0);
        assert_int_equal(differences(&c), 0);
        world_done(&c.w);
    }
}

static bool has_job(void *context)
{
    return ((const struct checked_world *)context)->checker.held_count > 0;
}

static void what_is_deleted_under_a_look_is_no_difference(void **state)
{
    (void)state;
    struct checked_world c;
    struct asked asked;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 25);
    world_until(&c.w, has_begun, &c);
    while (scrub_of(&c)->phase != LOG_SCRUB_NEW)
        sim_step(c.w.sim);
    c.checker.closed = true;
    world_until(&c.w, has_job, &c);
    for (uint32_t id = 2; id >= 1; id--) {
        asked_init(&asked, &c.w);
        asked.topic = (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = id};
        asked.commit.topics = &asked.topic;
        asked.commit.topic_count = 1;
        assert_code(asked_commit(&asked), OK);
    }
    world_until(&c.w, sealed_enough, &c);
    enum io_kind kind = IO_KIND_FILE;
    for (int i = 0; i < 10000 && kind != IO_KIND_NONE; i++) {
        sim_step(c.w.sim);
        assert_code(io_disk_kind(sim_disk_io(c.w.disk), SEGMENT_0, &kind, NULL), OK);
    }
    assert_int_equal(kind, IO_KIND_NONE);
    gate_open(&c.checker);
    wait_for_round(&c);
    assert_int_equal(c.told_count, 0);
    assert_int_equal(differences(&c), 0);
    world_done(&c.w);
}

static void a_file_is_not_recycled_while_it_is_looked_at(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    write_some(&c, 3);
    c.checker.closed = true;
    world_until(&c.w, has_job, &c);
    seal_some(&c, 40);
    assert_non_null(log_wal_find(&c.w.log->wal, 1));
    assert_int_equal(log_wal_find(&c.w.log->wal, 1)->reads, 1);
    gate_open(&c.checker);
    wait_for_round(&c);
    seal_some(&c, 20);
    assert_null(log_wal_find(&c.w.log->wal, 1));
    assert_int_equal(differences(&c), 0);
    world_done(&c.w);
}

static void a_stop_waits_for_the_look_on_its_way_and_no_other(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 25);
    c.checker.closed = true;
    world_until(&c.w, has_job, &c);
    world_send_stop(&c.w);
    world_deliver(&c.w);
    assert_false(c.w.is_stopped);
    uint64_t before = scrub_of(&c)->read_bytes_total;
    gate_open(&c.checker);
    world_until(&c.w, world_is_set, &c.w.is_stopped);
    assert_true(scrub_of(&c)->read_bytes_total - before <= LOG_SCRUB_WINDOW + VALUE_SIZE);
    assert_false(scrub_of(&c)->running);
    world_done(&c.w);
}

static void a_failing_call_is_a_difference_until_it_works(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 15);
    uint32_t failed = 0;
    for (uint64_t n = 1; n <= 12; n++) {
        partition_0(&c)->segments[0].checked = (struct log_segment_checked){0};
        c.w.log->scrub.wal_file = 0;
        uint32_t told = c.told_count;
        world_until(&c.w, has_begun, &c);
        sim_disk_fail_after(c.w.disk, n, ERR_IO);
        wait_for_round(&c);
        sim_disk_fail_after(c.w.disk, 0, ERR_IO);
        assert_int_equal(differences(&c) > 0, c.told_count > told);
        failed += differences(&c) > 0;
        wait_for_round(&c);
        assert_int_equal(differences(&c), 0);
    }
    assert_true(failed > 4);
    world_done(&c.w);
}

static void without_memory_it_is_done_the_next_time(void **state)
{
    (void)state;
    struct checked_world c;
    checked_init(&c, EVERY_MS);
    seal_some(&c, 15);
    for (uint64_t n = 1; n <= 6; n++) {
        partition_0(&c)->segments[0].checked = (struct log_segment_checked){0};
        c.w.log->scrub.wal_file = 0;
        mem_free(c.w.log->scrub.data);
        c.w.log->scrub.data = NULL;
        c.w.log->scrub.data_capacity = 0;
        world_until(&c.w, has_begun, &c);
        mem_fail_after(n);
        wait_for_round(&c);
        mem_fail_after(0);
        wait_for_round(&c);
        assert_int_equal(partition_0(&c)->segments[0].checked.bytes,
                         partition_0(&c)->segments[0].size);
        assert_int_equal(differences(&c), 0);
        assert_int_equal(c.told_count, 0);
    }
    world_done(&c.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_log_is_read_whole_and_has_no_differences),
        cmocka_unit_test(the_first_round_begins_an_interval_after_the_start),
        cmocka_unit_test(an_interval_of_zero_is_no_check),
        cmocka_unit_test(a_flipped_bit_in_a_segment_is_found_and_named),
        cmocka_unit_test(offsets_that_lie_outside_the_checksum_are_compared_too),
        cmocka_unit_test(bytes_that_are_no_batch_end_the_look_at_a_segment),
        cmocka_unit_test(a_length_that_was_changed_takes_no_memory_for_it),
        cmocka_unit_test(a_file_that_is_gone_or_cut_is_found),
        cmocka_unit_test(a_flipped_bit_in_the_wal_is_found_and_named),
        cmocka_unit_test(a_difference_stands_until_it_reads_well_again),
        cmocka_unit_test(records_that_do_not_add_up_are_told),
        cmocka_unit_test(batches_without_records_are_looked_at_too),
        cmocka_unit_test(what_was_read_is_not_read_again_for_a_week),
        cmocka_unit_test(a_round_reads_what_came_since_the_last),
        cmocka_unit_test(a_round_keeps_to_its_rate),
        cmocka_unit_test(sealing_retention_and_recycling_are_no_differences),
        cmocka_unit_test(what_is_deleted_under_a_look_is_no_difference),
        cmocka_unit_test(a_file_is_not_recycled_while_it_is_looked_at),
        cmocka_unit_test(a_stop_waits_for_the_look_on_its_way_and_no_other),
        cmocka_unit_test(a_failing_call_is_a_difference_until_it_works),
        cmocka_unit_test(without_memory_it_is_done_the_next_time),
    };
    return cmocka_run_group_tests_name("log/scrub", tests, NULL, NULL);
}
