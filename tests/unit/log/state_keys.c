#include "log/state_int.h"

#include "base/alloc.h"
#include "log/checkpoint.h"
#include "unit/log/keys.h"

static void init(struct log_state *s)
{
    struct payload p = {0};
    log_state_init(s, 1);
    payload_topic(&p, 1, "one", 1, 0);
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_CONFIG,
        .topic_id = 1,
        .config = {.dedup_window_ms = 60000, .dedup_memory_bytes = 1, .dedup_secret = {{1}}}};
    p.size += log_entry_put_topic(p.bytes + p.size, &change);
    assert_code(log_state_apply(s, payload_slice(&p), (struct log_position){1, 0, 5000}), OK);
}

/* A frame with keys [first, end), at that time. */
static err_t apply(struct log_state *s, uint64_t first, uint64_t end, int64_t commit_ms)
{
    struct payload p = {0};
    uint32_t count = (uint32_t)(end - first);
    p.size = log_entry_put_keys_head(p.bytes, 1, 0, count);
    for (uint64_t i = first; i < end; i++, p.size += LOG_KEY_SIZE)
        log_key_put(p.bytes + p.size, key_of(i));
    return log_state_apply(s, payload_slice(&p), (struct log_position){1, 0, commit_ms});
}

static struct log_keys *keys(const struct log_state *s)
{
    return log_state_topic(s, 1)->keys;
}

static bool knows(const struct log_state *s, uint64_t n, int64_t now_ms)
{
    return log_keys_find(keys(s), &log_state_topic(s, 1)->config, now_ms, key_of(n)) ==
           LOG_KEYS_DURABLE;
}

/* What a checkpoint of the state is, read into another one. */
static err_t pass_on(struct log_state *s, struct io_disk *io, struct log_state *other)
{
    struct log_keys_writes writes = {0};
    struct buf bytes = {0};
    struct log_checkpoint checkpoint = {
        .last = {.uuid = {{1}}, .epoch = 1, .lsn = 9, .file_number = 2, .file_blocks = 10},
        .sealed_file = 1};
    assert_code(log_state_gather_keys(s, "data", &writes), OK);
    assert_code(log_keys_writes_run(io, &writes, NULL), OK);
    log_keys_writes_done(&writes);
    log_checkpoint_encode(&checkpoint, s, &bytes);
    assert_true(buf_ok(&bytes));
    log_state_keys_saved(s);
    log_state_init(other, 1);
    struct log_checkpoint read;
    err_t err = log_checkpoint_decode(buf_slice(&bytes), &read, other);
    if (err_is_ok(err))
        err = log_state_load_keys(other, io, "data", NULL);
    buf_done(&bytes);
    return err;
}

static void keys_pass_through_a_checkpoint_and_its_files(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_state s;
    struct log_state other;
    init(&s);
    assert_code(apply(&s, 1, 101, 6000), OK);
    assert_code(apply(&s, 101, 201, 12000), OK);
    assert_int_equal(log_state_unsaved_keys(&s), 200);
    for (int round = 0; round < 2; round++) {
        assert_code(pass_on(&s, sim_disk_io(disk), &other), OK);
        assert_int_equal(log_state_unsaved_keys(&s), 0);
        assert_int_equal(keys(&other)->count, keys(&s)->count);
        assert_int_equal(keys(&other)->next_number, keys(&s)->next_number);
        for (uint64_t i = 1; i < 201; i++)
            assert_true(knows(&other, i, 12000));
        assert_false(knows(&other, 201, 12000));
        assert_int_equal(log_state_unsaved_keys(&other), 0);
        log_state_done(&s);
        log_state_move(&s, &other);
    }
    log_state_done(&s);
    sim_disk_free(&disk);
}

static void what_is_past_is_doomed_and_not_gone(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_state s;
    struct log_state other;
    char name[64];
    init(&s);
    assert_code(apply(&s, 1, 101, 6000), OK);
    assert_code(pass_on(&s, sim_disk_io(disk), &other), OK);
    uint64_t number = keys(&s)->buckets[0]->number;
    snprintf(name, sizeof name, "%020llu.new", (unsigned long long)number);
    struct log_topic *topic = log_state_topic(&s, 1);
    assert_true(log_state_keys_named(&s, topic, name));
    assert_false(log_state_keys_named(&s, topic, "00000000000000000009.new"));
    assert_false(log_state_keys_named(&s, topic, "stray"));
    assert_code(log_state_turn_keys(&s, topic, 6000 + 60001), OK);
    assert_false(knows(&s, 1, 6000 + 60001));
    assert_int_equal(s.doomed_keys_count, 1);
    assert_int_equal(s.doomed_keys[0].number, number);
    /* As long as it is doomed it is not left over. */
    assert_true(log_state_keys_named(&s, topic, name));
    assert_code(log_state_sweep_keys(&s, sim_disk_io(disk), "data", NULL), OK);
    char directory[LOG_SEGMENT_PATH_MAX];
    char path[LOG_SEGMENT_PATH_MAX + 64];
    enum io_kind kind;
    log_state_topic_directory(topic, "data", directory);
    log_keys_path(directory, number, LOG_KEYS_RAW, path, sizeof path);
    assert_code(io_disk_kind(sim_disk_io(disk), path, &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_FILE);
    s.doomed_keys_count = 0;
    assert_code(log_state_sweep_keys(&s, sim_disk_io(disk), "data", NULL), OK);
    assert_code(io_disk_kind(sim_disk_io(disk), path, &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_NONE);
    log_state_done(&other);
    log_state_done(&s);
    sim_disk_free(&disk);
}

static void an_index_that_comes_again_has_higher_numbers(void **state)
{
    (void)state;
    struct log_state s;
    init(&s);
    assert_code(apply(&s, 1, 2, 6000), OK);
    uint64_t last = keys(&s)->next_number;
    for (int on = 0; on < 2; on++) {
        struct payload p = {0};
        struct flow_topic_change change = {.op = FLOW_TOPIC_CONFIG, .topic_id = 1};
        if (on)
            change.config =
                (struct flow_topic_config){.dedup_window_ms = 60000, .dedup_secret = {{2}}};
        p.size = log_entry_put_topic(p.bytes, &change);
        assert_code(log_state_apply(&s, payload_slice(&p), (struct log_position){1, 0, 9000}), OK);
        assert_int_equal(keys(&s) != NULL, on);
        /* Composed before: passed over. */
        if (!on)
            assert_code(apply(&s, 2, 3, 9000), OK);
    }
    assert_true(keys(&s)->next_number > last);
    assert_false(knows(&s, 1, 9000));
    log_state_done(&s);
}

static void keys_that_make_no_sense_are_corrupt(void **state)
{
    (void)state;
    struct log_state s;
    struct payload p = {0};
    init(&s);
    p.size = log_entry_put_keys_head(p.bytes, 2, 0, 1);
    log_key_put(p.bytes + p.size, key_of(1));
    p.size += LOG_KEY_SIZE;
    assert_code(log_state_apply(&s, payload_slice(&p), (struct log_position){1, 0, 1}), CORRUPT);
    put_u32le(p.bytes + LOG_ENTRY_HEADER_SIZE, 1);
    put_u32le(p.bytes + LOG_ENTRY_HEADER_SIZE + 4, 7);
    assert_code(log_state_apply(&s, payload_slice(&p), (struct log_position){1, 0, 1}), CORRUPT);
    put_u32le(p.bytes + LOG_ENTRY_HEADER_SIZE + 4, 0);
    log_key_put(p.bytes + p.size - LOG_KEY_SIZE, (struct flow_fingerprint){0});
    assert_code(log_state_apply(&s, payload_slice(&p), (struct log_position){1, 0, 1}), CORRUPT);
    log_state_done(&s);
}

static void without_memory_nothing_is_half_done(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 10; n++) {
        struct sim_disk *disk = sim_disk_new(1);
        struct log_state s;
        struct log_keys_writes writes = {0};
        init(&s);
        assert_code(apply(&s, 1, 101, 6000), OK);
        mem_fail_after(n);
        err_t err = log_state_gather_keys(&s, "data", &writes);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        log_keys_writes_done(&writes);
        struct log_state other;
        assert_code(pass_on(&s, sim_disk_io(disk), &other), OK);
        assert_true(knows(&other, 100, 6000));
        mem_fail_after(n);
        err = log_state_turn_keys(&s, log_state_topic(&s, 1), 900000);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        assert_code(log_state_turn_keys(&s, log_state_topic(&s, 1), 900000), OK);
        assert_int_equal(s.doomed_keys_count, 1);
        log_state_done(&other);
        log_state_done(&s);
        sim_disk_free(&disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_pass_through_a_checkpoint_and_its_files),
        cmocka_unit_test(what_is_past_is_doomed_and_not_gone),
        cmocka_unit_test(an_index_that_comes_again_has_higher_numbers),
        cmocka_unit_test(keys_that_make_no_sense_are_corrupt),
        cmocka_unit_test(without_memory_nothing_is_half_done),
    };
    return cmocka_run_group_tests_name("log/state_keys", tests, NULL, NULL);
}
