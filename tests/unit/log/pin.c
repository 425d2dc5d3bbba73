#include "log/pin.h"

#include "unit/log/world.h"

struct asked_pin {
    struct flow_pin pin;
    bool answered;
};

static void pin_answered(struct flow_pin *pin)
{
    struct asked_pin *asked = CONTAINER_OF(pin, struct asked_pin, pin);
    assert_false(asked->answered);
    asked->answered = true;
}

static void send(struct world *w, struct asked_pin *asked, enum flow_pin_op op, uint64_t id)
{
    *asked = (struct asked_pin){.pin = {.home = w->loop, .done = pin_answered, .op = op, .id = id}};
    flow_log_pin(log_flow(w->log), &asked->pin);
}

static err_t ask(struct world *w, struct asked_pin *asked, enum flow_pin_op op, uint64_t id)
{
    send(w, asked, op, id);
    world_until(w, world_is_set, &asked->answered);
    return asked->pin.error;
}

static void fill(struct world *w, int count)
{
    for (int i = 0; i < count; i++)
        assert_code(world_commit(w, 1, 100000), OK);
}

static bool is_file(const struct world *w, const char *path)
{
    enum io_kind kind;
    assert_code(io_disk_kind(w->options.disk, path, &kind, NULL), OK);
    return kind == IO_KIND_FILE;
}

static bool has_checkpoint(const struct world *w, uint64_t lsn)
{
    char path[LOG_SEGMENT_PATH_MAX];
    log_checkpoint_path("data", lsn, path);
    return is_file(w, path);
}

static bool is_at_rest(void *context)
{
    const struct world *w = context;
    return w->log->sealer.phase == LOG_SEALER_IDLE && log_sealer_backlog(w->log) == 0 &&
           w->log->sealer.saved_sealed == w->log->sealer.sealed_file && world_is_idle(context);
}

/* Reads the checkpoint that is held: it knows the records, and `entries` of them in the log. */
static struct log_checkpoint held(const struct world *w, uint64_t lsn, uint64_t records,
                                  size_t *entries)
{
    struct buf bytes = {0};
    struct log_state state;
    struct log_checkpoint checkpoint;
    log_state_init(&state, 1);
    assert_code(log_checkpoint_read(w->options.disk, "data", lsn, &bytes, NULL), OK);
    assert_code(log_checkpoint_decode(buf_slice(&bytes), &checkpoint, &state), OK);
    assert_true(state.topics[0]->partitions[0].records >= records);
    *entries = state.topics[0]->partitions[0].index_count;
    log_state_done(&state);
    buf_done(&bytes);
    return checkpoint;
}

static void what_is_acknowledged_is_sealed_and_named_by_what_is_held(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    size_t entries;
    world_init(&w, 1);
    world_begin(&w);
    fill(&w, 15);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    assert_true(asked.pin.id != 0 && has_checkpoint(&w, asked.pin.lsn));
    assert_true(uuid_equal(&asked.pin.log_uuid, &w.log->meta.uuid));
    assert_string_equal(asked.pin.data_directory, "data");
    struct log_checkpoint checkpoint = held(&w, asked.pin.lsn, 15, &entries);
    assert_int_equal(entries, 0);
    assert_true(checkpoint.sealed_file + 1 == checkpoint.last.file_number);
    assert_true(world_noted(&w, "log_pin_taken"));
    assert_code(ask(&w, &asked, FLOW_PIN_GIVE_BACK, asked.pin.id), OK);
    assert_true(world_noted(&w, "log_pin_given_back"));
    world_done(&w);
}

static void an_empty_log_is_held_as_it_is(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    world_init(&w, 2);
    world_open(&w);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    assert_true(has_checkpoint(&w, asked.pin.lsn));
    assert_int_equal(w.log->wal.current, 0);
    world_done(&w);
}

static void there_is_one_at_a_time_and_its_number_opens_it(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin first;
    struct asked_pin other;
    world_init(&w, 3);
    world_begin(&w);
    send(&w, &first, FLOW_PIN_TAKE, 0);
    send(&w, &other, FLOW_PIN_TAKE, 0);
    world_until(&w, world_is_set, &other.answered);
    assert_code(other.pin.error, IN_USE);
    world_until(&w, world_is_set, &first.answered);
    assert_code(first.pin.error, OK);
    uint64_t id = first.pin.id;
    assert_code(ask(&w, &other, FLOW_PIN_TAKE, 0), IN_USE);
    assert_code(ask(&w, &other, FLOW_PIN_KEEP, id + 1), NOT_FOUND);
    assert_code(ask(&w, &other, FLOW_PIN_GIVE_BACK, 0), NOT_FOUND);
    assert_code(ask(&w, &other, FLOW_PIN_KEEP, id), OK);
    assert_code(ask(&w, &other, FLOW_PIN_GIVE_BACK, id), OK);
    assert_code(ask(&w, &other, FLOW_PIN_KEEP, id), NOT_FOUND);
    assert_code(ask(&w, &other, FLOW_PIN_TAKE, 0), OK);
    assert_int_not_equal(other.pin.id, id);
    world_done(&w);
}

/* Everything expires and the log goes round several times; what is held stays until it is given
 * back, and goes then. */
static void nothing_that_is_named_goes_while_it_is_held(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    struct asked_pin again;
    struct asked start;
    char segment[LOG_SEGMENT_PATH_MAX];
    world_init(&w, 4);
    world_begin(&w);
    fill(&w, 15);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    struct log_segment_place place = log_place(w.log, w.log->state.topics[0], 0);
    log_segment_path(&place, 0, LOG_SEGMENT_LOG, segment);
    assert_true(is_file(&w, segment));
    assert_code(ask(&w, &again, FLOW_PIN_KEEP_SEGMENTS, asked.pin.id), OK);
    asked_init(&start, &w);
    start.topic =
        (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 15};
    start.commit.topics = &start.topic;
    start.commit.topic_count = 1;
    assert_code(asked_commit(&start), OK);
    /* As a start leaves it: nobody has looked into the partition's directory yet. */
    w.log->state.topics[0]->partitions[0].swept = false;
    fill(&w, 100);
    world_until(&w, is_at_rest, &w);
    assert_true(w.log->sealer.checkpoints_total >= 4);
    assert_true(w.log->state.doomed_count > 0 || w.log->state.topics[0]->partitions[0].segments);
    assert_true(is_file(&w, segment) && has_checkpoint(&w, asked.pin.lsn));
    assert_code(ask(&w, &again, FLOW_PIN_GIVE_BACK, asked.pin.id), OK);
    fill(&w, 60);
    world_until(&w, is_at_rest, &w);
    assert_false(has_checkpoint(&w, asked.pin.lsn));
    assert_true(w.log->state.doomed_count == 0);
    world_done(&w);
}

static void files_of_the_log_are_not_used_again_until_the_holder_has_them(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    struct asked_pin again;
    world_init(&w, 5);
    world_begin(&w);
    fill(&w, 15);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    uint64_t sealed = w.log->pin.sealed_file;
    fill(&w, 40);
    world_until(&w, is_at_rest, &w);
    assert_true(w.log->sealer.saved_before > sealed);
    assert_true(log_wal_find(&w.log->wal, sealed + 1) != NULL);
    assert_true(log_sealer_recyclable(w.log) == sealed);
    assert_code(ask(&w, &again, FLOW_PIN_KEEP_SEGMENTS, asked.pin.id), OK);
    fill(&w, 40);
    world_until(&w, is_at_rest, &w);
    assert_null(log_wal_find(&w.log->wal, sealed + 1));
    /* What was let go of is not held again. */
    assert_code(ask(&w, &again, FLOW_PIN_KEEP, asked.pin.id), OK);
    assert_false(w.log->pin.log_held);
    world_done(&w);
}

/* The limit is 8 files: the log would be full, and is not. */
static void intake_goes_on_and_the_pin_is_lost_where_one_of_them_must_give_way(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    world_init(&w, 6);
    world_begin(&w);
    fill(&w, 15);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    fill(&w, 200);
    assert_true(world_noted(&w, "log_pin_lost"));
    assert_int_equal(w.log->pin.lost_total, 1);
    assert_int_equal(w.log->counters.refused_full, 0);
    assert_code(ask(&w, &asked, FLOW_PIN_KEEP, asked.pin.id), NOT_FOUND);
    world_done(&w);
}

static bool is_lost(void *context)
{
    return ((const struct world *)context)->log->pin.phase == LOG_PIN_NONE;
}

static void a_holder_who_is_not_heard_of_loses_it_after_the_lease(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    struct asked_pin again;
    world_init(&w, 7);
    world_begin(&w);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    uint64_t until = io_now_ns(w.options.loop) + FLOW_PIN_LEASE_MS * IO_MS;
    assert_true(w.log->pin.timer.due_ns <= until);
    assert_code(ask(&w, &again, FLOW_PIN_KEEP, asked.pin.id), OK);
    assert_true(w.log->pin.timer.due_ns >= until - IO_SECOND);
    world_until(&w, is_lost, &w);
    assert_true(io_now_ns(w.options.loop) >= until - IO_SECOND);
    assert_true(world_noted(&w, "log_pin_lost"));
    assert_code(ask(&w, &again, FLOW_PIN_KEEP, asked.pin.id), NOT_FOUND);
    world_done(&w);
}

static void where_sealing_fails_the_log_itself_is_held(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    size_t entries;
    world_init(&w, 8);
    world_begin(&w);
    fill(&w, 5);
    world_block_sealing(&w);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    struct log_checkpoint checkpoint = held(&w, asked.pin.lsn, 5, &entries);
    assert_int_equal(entries, 5);
    assert_int_equal(checkpoint.sealed_file, 0);
    world_done(&w);
}

static void where_no_checkpoint_can_be_written_the_asker_hears_why(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    struct io_file *file;
    world_init(&w, 9);
    world_open(&w);
    /* A file where their directory belongs. */
    assert_code(io_disk_open(w.options.disk, "data/checkpoint", IO_OPEN_WRITE | IO_OPEN_CREATE,
                             &file, NULL),
                OK);
    assert_code(io_file_close(file), OK);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), EXISTS);
    assert_int_equal(w.log->pin.phase, LOG_PIN_NONE);
    world_done(&w);
}

static void a_stop_ends_it_and_answers_who_waits(void **state)
{
    (void)state;
    for (int waiting = 0; waiting < 2; waiting++) {
        struct world w;
        struct asked_pin asked;
        world_init(&w, 10);
        world_begin(&w);
        fill(&w, 3);
        w.sealer.closed = waiting;
        send(&w, &asked, FLOW_PIN_TAKE, 0);
        if (!waiting)
            world_until(&w, world_is_set, &asked.answered);
        world_send_stop(&w);
        world_until(&w, world_is_set, &asked.answered);
        gate_open(&w.sealer);
        world_until(&w, world_is_set, &w.is_stopped);
        assert_int_equal(asked.pin.error.code, waiting ? ERR_CANCELLED : ERR_OK);
        log_free(&w.log);
        world_open(&w);
        assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
        world_done(&w);
    }
}

static void a_crash_while_it_is_held_leaves_nothing_behind(void **state)
{
    (void)state;
    struct world w;
    struct asked_pin asked;
    world_init(&w, 11);
    world_begin(&w);
    fill(&w, 30);
    assert_code(ask(&w, &asked, FLOW_PIN_TAKE, 0), OK);
    uint64_t lsn = asked.pin.lsn;
    fill(&w, 40);
    world_until(&w, is_at_rest, &w);
    assert_true(has_checkpoint(&w, lsn));
    world_lose_power(&w);
    world_open(&w);
    assert_int_equal(world_end(&w, 1, 0), 70);
    assert_code(ask(&w, &asked, FLOW_PIN_KEEP, asked.pin.id), NOT_FOUND);
    fill(&w, 40);
    world_until(&w, is_at_rest, &w);
    assert_false(has_checkpoint(&w, lsn));
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_acknowledged_is_sealed_and_named_by_what_is_held),
        cmocka_unit_test(an_empty_log_is_held_as_it_is),
        cmocka_unit_test(there_is_one_at_a_time_and_its_number_opens_it),
        cmocka_unit_test(nothing_that_is_named_goes_while_it_is_held),
        cmocka_unit_test(files_of_the_log_are_not_used_again_until_the_holder_has_them),
        cmocka_unit_test(intake_goes_on_and_the_pin_is_lost_where_one_of_them_must_give_way),
        cmocka_unit_test(a_holder_who_is_not_heard_of_loses_it_after_the_lease),
        cmocka_unit_test(where_sealing_fails_the_log_itself_is_held),
        cmocka_unit_test(where_no_checkpoint_can_be_written_the_asker_hears_why),
        cmocka_unit_test(a_stop_ends_it_and_answers_who_waits),
        cmocka_unit_test(a_crash_while_it_is_held_leaves_nothing_behind),
    };
    return cmocka_run_group_tests_name("log/pin", tests, NULL, NULL);
}
