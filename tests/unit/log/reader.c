#include "log/log_int.h"

#include "base/alloc.h"
#include "unit/log/world.h"

/* A log that holds `count` batches of ten records in the first partition. */
static void init(struct world *f, uint32_t count, size_t value_size)
{
    world_init(f, 7);
    f->options.wal_limit_bytes = UINT64_C(64) << 20;
    world_begin(f);
    for (uint32_t i = 0; i < count; i++)
        assert_code(world_commit(f, 10, value_size), OK);
    world_settle(f);
}

/* Nothing is in memory any more. */
static void restart(struct world *f)
{
    world_stop(f);
    world_open(f);
    assert_int_equal(f->log->tail.count, 0);
}

/* Every batch of the read is whole; the first begins at `first`, and they follow each other. */
static void assert_batches(const struct flow_read *read, int64_t first, uint32_t count)
{
    assert_int_equal(read->batch_count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct flow_batch batch;
        assert_code(flow_batch_parse(read->batches[i], &batch), OK);
        assert_code(flow_batch_check(&batch), OK);
        assert_int_equal(batch.bytes.size, read->batches[i].size);
        assert_int_equal(batch.base_offset, first + 10 * (int64_t)i);
        assert_int_equal(batch.record_count, 10);
    }
}

static void newest_batches_are_read_from_memory(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 5, 100);
    assert_code(world_read(&f, &asked, 0, 1u << 20), OK);
    assert_batches(&asked.read, 0, 5);
    assert_int_equal(asked.read.next_offset, 50);
    assert_int_equal(asked.read.end_offset, 50);
    assert_true(asked.read.commit_time_ms > 0);
    assert_true(asked.read.commit_time_ms <= f.log->time_ms);
    assert_int_equal(f.log->counters.reads_tail, 1);
    assert_int_equal(f.log->counters.reads_disk, 0);
    world_release(&f, &asked);
    assert_int_equal(asked.read.batch_count, 0);
    world_done(&f);
}

static void older_batches_are_read_from_disk(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 5, 100);
    restart(&f);
    assert_code(world_read(&f, &asked, 0, 1u << 20), OK);
    assert_batches(&asked.read, 0, 5);
    assert_int_equal(asked.read.next_offset, 50);
    assert_int_equal(asked.read.end_offset, 50);
    assert_int_equal(f.log->counters.reads_tail, 0);
    assert_int_equal(f.log->counters.reads_disk, 1);
    world_release(&f, &asked);
    world_done(&f);
}

static void an_answer_is_either_from_disk_or_from_memory(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 3, 100);
    restart(&f);
    assert_code(world_commit(&f, 10, 100), OK);
    assert_code(world_read(&f, &asked, 0, 1u << 20), OK);
    assert_batches(&asked.read, 0, 3);
    assert_int_equal(asked.read.next_offset, 30);
    world_release(&f, &asked);
    assert_code(world_read(&f, &asked, 30, 1u << 20), OK);
    assert_batches(&asked.read, 30, 1);
    assert_int_equal(asked.read.next_offset, 40);
    assert_int_equal(f.log->counters.reads_tail, 1);
    assert_int_equal(f.log->counters.reads_disk, 1);
    world_release(&f, &asked);
    world_done(&f);
}

static void an_offset_within_a_batch_gets_the_whole_batch(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 3, 100);
    for (int round = 0; round < 2; round++) {
        assert_code(world_read(&f, &asked, 17, 1), OK);
        assert_batches(&asked.read, 10, 1);
        assert_int_equal(asked.read.next_offset, 20);
        world_release(&f, &asked);
        restart(&f);
    }
    world_done(&f);
}

static void a_read_takes_no_more_bytes_than_it_asks_for(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 6, 100);
    uint32_t batch = log_state_partition(&f.log->state, 1, 0)->index[0].size;
    for (int round = 0; round < 2; round++) {
        assert_code(world_read(&f, &asked, 0, 1), OK);
        assert_batches(&asked.read, 0, 1);
        world_release(&f, &asked);
        /* On disk batches lie a block apart, and a read spans no more than twice its size. */
        assert_code(world_read(&f, &asked, 0, 3 * batch + 1), OK);
        assert_true(asked.read.batch_count >= 1 && asked.read.batch_count <= 3);
        assert_int_equal(asked.read.next_offset, 10 * asked.read.batch_count);
        if (round == 0)
            assert_batches(&asked.read, 0, 3);
        world_release(&f, &asked);
        restart(&f);
    }
    world_done(&f);
}

static void a_read_takes_no_more_batches_than_an_answer_holds(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, FLOW_READ_BATCHES + 6, 10);
    for (int round = 0; round < 2; round++) {
        assert_code(world_read(&f, &asked, 0, 1u << 20), OK);
        assert_batches(&asked.read, 0, FLOW_READ_BATCHES);
        assert_int_equal(asked.read.next_offset, 10 * FLOW_READ_BATCHES);
        world_release(&f, &asked);
        assert_code(world_read(&f, &asked, 10 * FLOW_READ_BATCHES, 1u << 20), OK);
        assert_batches(&asked.read, 10 * FLOW_READ_BATCHES, 6);
        world_release(&f, &asked);
        restart(&f);
    }
    world_done(&f);
}

static void a_partition_is_read_through_over_many_files(void **state)
{
    (void)state;
    struct world f;
    init(&f, 40, 10000);
    assert_true(f.log->wal.files[f.log->wal.current].number >= 4);
    restart(&f);
    int64_t offset = 0;
    uint32_t reads = 0;
    while (offset < 400) {
        struct asked_read asked;
        assert_code(world_read(&f, &asked, offset, 1u << 20), OK);
        assert_true(asked.read.batch_count > 0);
        assert_batches(&asked.read, offset, asked.read.batch_count);
        assert_true(asked.read.next_offset > offset);
        offset = asked.read.next_offset;
        world_release(&f, &asked);
        reads++;
    }
    assert_int_equal(offset, 400);
    assert_true(reads >= 4);
    world_done(&f);
}

static void the_end_of_a_partition_has_no_batch(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 2, 10);
    assert_code(world_read(&f, &asked, 20, 1000), OK);
    assert_int_equal(asked.read.batch_count, 0);
    assert_int_equal(asked.read.next_offset, 20);
    assert_int_equal(asked.read.end_offset, 20);
    world_release(&f, &asked);
    world_done(&f);
}

static void offsets_outside_of_a_partition_are_refused(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 2, 10);
    assert_code(world_read(&f, &asked, 21, 1000), OFFSET_RANGE);
    assert_int_equal(asked.read.end_offset, 20);
    assert_code(world_read(&f, &asked, -1, 1000), OFFSET_RANGE);
    assert_code(world_read(&f, &asked, INT64_MAX, 1000), OFFSET_RANGE);
    assert_code(world_read(&f, &asked, INT64_MIN, 1000), OFFSET_RANGE);
    world_done(&f);
}

static void what_there_is_not_cannot_be_read(void **state)
{
    (void)state;
    struct world f;
    init(&f, 1, 10);
    static const uint32_t unknown[][2] = {{0, 0}, {3, 0}, {1, 2}, {UINT32_MAX, UINT32_MAX}};
    for (size_t i = 0; i < 4; i++) {
        struct asked_read asked = {.read = {.home = f.loop,
                                            .done = world_read_answered,
                                            .topic_id = unknown[i][0],
                                            .partition = unknown[i][1],
                                            .size_max = 1,
                                            .wait = true}};
        flow_log_read(log_flow(f.log), &asked.read);
        world_until(&f, world_is_set, &asked.answered);
        assert_code(asked.read.error, NOT_FOUND);
        world_release(&f, &asked);
    }
    world_done(&f);
}

static void a_waiting_read_is_answered_by_the_next_commit(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked[3];
    init(&f, 1, 10);
    for (size_t i = 0; i < 3; i++)
        asked_read_send(&asked[i], &f, 10, 1000, true);
    world_deliver(&f);
    for (size_t i = 0; i < 3; i++)
        assert_false(asked[i].answered);
    assert_code(world_commit(&f, 10, 10), OK);
    for (size_t i = 0; i < 3; i++) {
        world_until(&f, world_is_set, &asked[i].answered);
        assert_code(asked[i].read.error, OK);
        assert_batches(&asked[i].read, 10, 1);
        assert_int_equal(asked[i].read.end_offset, 20);
        world_release(&f, &asked[i]);
    }
    world_done(&f);
}

static void a_waiting_read_is_not_answered_before_the_flush(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    struct asked commit;
    init(&f, 1, 10);
    asked_read_send(&asked, &f, 10, 1000, true);
    f.flusher.closed = true;
    asked_some(&commit, &f, 10, 10);
    asked_send(&commit);
    world_deliver(&f);
    assert_false(asked.answered);
    gate_open(&f.flusher);
    assert_code(asked_wait(&commit), OK);
    world_until(&f, world_is_set, &asked.answered);
    world_release(&f, &asked);
    asked_done(&commit);
    world_done(&f);
}

static void a_waiting_read_is_not_answered_by_other_partitions(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    struct asked commit;
    init(&f, 0, 0);
    asked_read_send(&asked, &f, 0, 1000, true);
    asked_init(&commit, &f);
    asked_records(&commit, 1, 1, 10, 10);
    assert_code(asked_commit(&commit), OK);
    asked_done(&commit);
    world_deliver(&f);
    assert_false(asked.answered);
    world_done(&f);
}

static void a_waiting_read_survives_a_fence(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 1, 10);
    asked_read_send(&asked, &f, 10, 1000, true);
    world_deliver(&f);
    sim_disk_fail_after(f.disk, 1, ERR_IO);
    assert_code(world_commit(&f, 10, 10), FENCED);
    world_settle(&f);
    assert_false(asked.answered);
    assert_code(world_commit(&f, 10, 10), OK);
    world_until(&f, world_is_set, &asked.answered);
    assert_batches(&asked.read, 10, 1);
    world_release(&f, &asked);
    world_done(&f);
}

static void a_cancelled_read_is_answered_once(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 1, 10);
    asked_read_send(&asked, &f, 10, 1000, true);
    world_deliver(&f);
    flow_log_cancel(log_flow(f.log), &asked.read);
    assert_false(asked.answered);
    world_until(&f, world_is_set, &asked.answered);
    assert_code(asked.read.error, CANCELLED);
    world_release(&f, &asked);
    assert_code(world_commit(&f, 10, 10), OK);
    world_deliver(&f);
    world_done(&f);
}

/* The read may be freed and used again as soon as it is answered, whichever came first. */
static void a_cancel_may_cross_the_answer(void **state)
{
    (void)state;
    uint32_t cancelled = 0;
    uint32_t given = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct world f;
        world_init(&f, seed);
        world_begin(&f);
        assert_code(world_commit(&f, 10, 10), OK);
        struct asked_read *asked = malloc(sizeof *asked);
        assert_non_null(asked);
        asked_read_send(asked, &f, seed % 3 ? 10 : 0, 1000, true);
        struct asked commit;
        asked_some(&commit, &f, 10, 10);
        asked_send(&commit);
        for (uint64_t i = 0; i < seed % 8 && !asked->answered; i++)
            sim_step(f.sim);
        if (!asked->answered)
            flow_log_cancel(log_flow(f.log), &asked->read);
        world_until(&f, world_is_set, &asked->answered);
        cancelled += err_is(asked->read.error, ERR_CANCELLED);
        given += err_is_ok(asked->read.error);
        assert_int_equal(asked->read.batch_count > 0, err_is_ok(asked->read.error));
        world_release(&f, asked);
        free(asked);
        assert_code(asked_wait(&commit), OK);
        world_deliver(&f);
        asked_done(&commit);
        world_done(&f);
    }
    assert_int_equal(cancelled + given, 100);
    if (cancelled <= 5 || given <= 5)
        fail_msg("cancelled %u, given %u", cancelled, given);
}

static void a_cancel_during_a_read_from_disk_lets_it_end(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 2, 10);
    restart(&f);
    f.reader.closed = true;
    asked_read_send(&asked, &f, 0, 1000, true);
    world_deliver(&f);
    flow_log_cancel(log_flow(f.log), &asked.read);
    world_deliver(&f);
    assert_false(asked.answered);
    gate_open(&f.reader);
    world_until(&f, world_is_set, &asked.answered);
    assert_code(asked.read.error, OK);
    assert_true(asked.read.batch_count > 0);
    world_release(&f, &asked);
    world_done(&f);
}

static void a_stop_cancels_waiting_reads_and_awaits_the_others(void **state)
{
    (void)state;
    struct world f;
    struct asked_read waiting;
    struct asked_read reading;
    struct asked_read late;
    init(&f, 2, 10);
    restart(&f);
    f.reader.closed = true;
    asked_read_send(&waiting, &f, 20, 1000, true);
    asked_read_send(&reading, &f, 0, 1000, false);
    world_deliver(&f);
    world_send_stop(&f);
    world_until(&f, world_is_set, &waiting.answered);
    assert_code(waiting.read.error, CANCELLED);
    asked_read_send(&late, &f, 0, 1000, false);
    world_until(&f, world_is_set, &late.answered);
    assert_code(late.read.error, CANCELLED);
    world_deliver(&f);
    assert_false(f.is_stopped || reading.answered);
    gate_open(&f.reader);
    world_until(&f, world_is_set, &reading.answered);
    assert_code(reading.read.error, OK);
    world_release(&f, &reading);
    world_until(&f, world_is_set, &f.is_stopped);
    world_done(&f);
}

static void a_log_that_ends_forgets_its_reads(void **state)
{
    (void)state;
    struct world f;
    struct asked_read waiting;
    struct asked_read reading;
    init(&f, 2, 10);
    restart(&f);
    f.reader.closed = true;
    asked_read_send(&waiting, &f, 20, 1000, true);
    asked_read_send(&reading, &f, 0, 1000, false);
    world_deliver(&f);
    assert_int_equal(f.reader.held_count, 1);
    world_done(&f);
    assert_false(waiting.answered || reading.answered);
}

static void rot(struct world *f, size_t entry_index)
{
    const struct log_index_entry *entry =
        &log_state_partition(&f->log->state, 1, 0)->index[entry_index];
    char path[LOG_WAL_PATH_MAX];
    log_wal_path(&f->log->wal, entry->file_number, path);
    assert_true(sim_disk_flip(f->disk, path, entry->file_offset + 70, 1));
}

static void a_batch_that_rotted_is_refused_and_reported(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 5, 100);
    restart(&f);
    rot(&f, 2);
    /* What is before it is given as if nothing was wrong. */
    assert_code(world_read(&f, &asked, 0, 1u << 20), OK);
    assert_batches(&asked.read, 0, 2);
    assert_int_equal(asked.read.next_offset, 20);
    world_release(&f, &asked);
    assert_false(world_noted(&f, "log_read_corrupt"));
    assert_code(world_read(&f, &asked, 20, 1u << 20), CORRUPT);
    assert_int_equal(asked.read.batch_count, 0);
    assert_int_equal(asked.read.next_offset, 20);
    assert_true(world_noted(&f, "log_read_corrupt"));
    world_release(&f, &asked);
    assert_code(world_read(&f, &asked, 30, 1u << 20), OK);
    assert_batches(&asked.read, 30, 2);
    world_release(&f, &asked);
    world_done(&f);
}

static void a_file_that_was_cut_is_corrupt_to_its_readers(void **state)
{
    (void)state;
    struct world f;
    struct asked_read asked;
    init(&f, 5, 100);
    restart(&f);
    const struct log_index_entry *entry = &log_state_partition(&f.log->state, 1, 0)->index[3];
    char path[LOG_WAL_PATH_MAX];
    struct io_file *file = NULL;
    log_wal_path(&f.log->wal, entry->file_number, path);
    assert_code(io_disk_open(f.options.disk, path, IO_OPEN_WRITE, &file, NULL), OK);
    assert_code(io_file_truncate(file, entry->file_offset), OK);
    assert_code(io_file_close(file), OK);
    assert_code(world_read(&f, &asked, 0, 1u << 20), OK);
    assert_batches(&asked.read, 0, 3);
    world_release(&f, &asked);
    assert_code(world_read(&f, &asked, 30, 1u << 20), CORRUPT);
    world_release(&f, &asked);
    world_done(&f);
}

static void a_read_that_fails_can_be_tried_again(void **state)
{
    (void)state;
    struct world f;
    init(&f, 2, 10);
    restart(&f);
    world_settle(&f);
    /* First the file cannot be opened, then it cannot be read. */
    for (uint64_t call = 1; call <= 2; call++) {
        struct asked_read asked;
        sim_disk_fail_after(f.disk, 1, ERR_IO);
        assert_code(world_read(&f, &asked, 0, 1000), IO);
        assert_int_equal(asked.read.batch_count, 0);
        world_release(&f, &asked);
        sim_disk_fail_after(f.disk, call == 1 ? 2 : 0, ERR_IO);
        if (call == 1) {
            assert_code(world_read(&f, &asked, 0, 1000), IO);
            world_release(&f, &asked);
        }
    }
    struct asked_read asked;
    assert_code(world_read(&f, &asked, 0, 1000), OK);
    assert_int_equal(asked.read.batches[0].size,
                     log_state_partition(&f.log->state, 1, 0)->index[0].size);
    world_release(&f, &asked);
    world_done(&f);
}

static void any_allocation_of_a_read_may_fail(void **state)
{
    (void)state;
    for (int from_disk = 0; from_disk < 2; from_disk++) {
        struct world f;
        init(&f, 2, 10);
        if (from_disk)
            restart(&f);
        world_settle(&f);
        uint64_t n = 1;
        for (bool failed = true; failed; n++) {
            struct asked_read asked;
            mem_fail_after(n);
            err_t err = world_read(&f, &asked, 0, 1000);
            failed = mem_alloc_count() >= n;
            mem_fail_after(0);
            assert_string_equal(err_name(err), failed ? "MEMORY" : "OK");
            world_release(&f, &asked);
        }
        assert_true(n > 2);
        world_done(&f);
    }
}

static void times_of_commits_do_not_run_backwards(void **state)
{
    (void)state;
    struct world f;
    int64_t before = 0;
    init(&f, 1, 10);
    for (int i = 0; i < 6; i++) {
        struct asked_read asked;
        assert_code(world_commit(&f, 10, 10), OK);
        assert_code(world_read(&f, &asked, 10 * (i + 1), 1000), OK);
        assert_true(asked.read.commit_time_ms >= before);
        before = asked.read.commit_time_ms;
        world_release(&f, &asked);
        sim_wall_jump(f.sim, i % 2 ? -3600000 : 1000);
    }
    struct asked_read asked;
    assert_code(world_read(&f, &asked, 0, 1), OK);
    assert_true(asked.read.commit_time_ms > 0 && asked.read.commit_time_ms < before);
    world_release(&f, &asked);
    world_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_batches_are_read_from_memory),
        cmocka_unit_test(older_batches_are_read_from_disk),
        cmocka_unit_test(an_answer_is_either_from_disk_or_from_memory),
        cmocka_unit_test(an_offset_within_a_batch_gets_the_whole_batch),
        cmocka_unit_test(a_read_takes_no_more_bytes_than_it_asks_for),
        cmocka_unit_test(a_read_takes_no_more_batches_than_an_answer_holds),
        cmocka_unit_test(a_partition_is_read_through_over_many_files),
        cmocka_unit_test(the_end_of_a_partition_has_no_batch),
        cmocka_unit_test(offsets_outside_of_a_partition_are_refused),
        cmocka_unit_test(what_there_is_not_cannot_be_read),
        cmocka_unit_test(a_waiting_read_is_answered_by_the_next_commit),
        cmocka_unit_test(a_waiting_read_is_not_answered_before_the_flush),
        cmocka_unit_test(a_waiting_read_is_not_answered_by_other_partitions),
        cmocka_unit_test(a_waiting_read_survives_a_fence),
        cmocka_unit_test(a_cancelled_read_is_answered_once),
        cmocka_unit_test(a_cancel_may_cross_the_answer),
        cmocka_unit_test(a_cancel_during_a_read_from_disk_lets_it_end),
        cmocka_unit_test(a_stop_cancels_waiting_reads_and_awaits_the_others),
        cmocka_unit_test(a_log_that_ends_forgets_its_reads),
        cmocka_unit_test(a_batch_that_rotted_is_refused_and_reported),
        cmocka_unit_test(a_file_that_was_cut_is_corrupt_to_its_readers),
        cmocka_unit_test(a_read_that_fails_can_be_tried_again),
        cmocka_unit_test(any_allocation_of_a_read_may_fail),
        cmocka_unit_test(times_of_commits_do_not_run_backwards),
    };
    return cmocka_run_group_tests_name("log/reader", tests, NULL, NULL);
}
