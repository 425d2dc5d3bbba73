#include "log/checkpoint.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "sim/disk.h"
#include "unit/log/payload.h"

#define HEADER_SIZE 40u
#define AT_STATE (HEADER_SIZE + LOG_FRAME_HEADER_SIZE + 16u)

/* A state with all that a checkpoint can hold, as frames and a sealing would have made it. */
struct held {
    struct log_state state;
    struct log_checkpoint checkpoint;
    struct buf bytes;
};

static void apply(struct log_state *state, const struct payload *p, uint64_t file_number)
{
    struct log_position at = {.file_number = file_number, .offset = 8192, .commit_time_ms = 5000};
    assert_code(log_state_apply(state, payload_slice(p), at), OK);
}

static void put_topic(struct payload *p, struct flow_topic_change change)
{
    p->size += log_entry_put_topic(p->bytes + p->size, &change);
}

static const struct log_segment segments[] = {
    {.base_offset = 0,
     .end_offset = 10,
     .records = 10,
     .size = 700,
     .next_index = 65536,
     .first_commit_ms = 1000,
     .last_commit_ms = 2000,
     .max_timestamp_ms = 99,
     .max_timestamp_offset = 9,
     .index_entries = 2,
     .time_entries = 1},
    {.base_offset = 10,
     .end_offset = 20,
     .records_before = 10,
     .records = 10,
     .size = 800,
     .max_timestamp_offset = 19},
};

static void build_topics(struct log_state *state)
{
    struct payload p = {0};
    payload_topic(&p, 1, "flights", 3, 0);
    payload_topic(&p, 2, "flights.dlq", 1, 1);
    payload_topic(&p, 3, "old", 2, 0);
    put_topic(&p, (struct flow_topic_change){.op = FLOW_TOPIC_CONFIG,
                                             .topic_id = 1,
                                             .config = {.retention_ms = 60000,
                                                        .retention_bytes = UINT64_C(5) << 32,
                                                        .codec = FLOW_CODEC_ZSTD,
                                                        .expire_undelivered = true}});
    payload_counts(&p, 1, 100, 7, 3);
    payload_batch(&p, 1, 0, 0, 20);
    payload_batch_of(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 0, 4);
    apply(state, &p, 1);
}

static void build_sinks(struct log_state *state)
{
    static const uint32_t ids[] = {1};
    struct payload p = {0};
    payload_sink_open(&p, 1, "lake", ids, 1);
    payload_sink_open(&p, 2, "gone", ids, 1);
    payload_batch(&p, 1, 0, 20, 5);
    payload_batch(&p, 1, 2, 0, 6);
    struct flow_sink_range ranges[] = {{1, 0, 0, 12, 11, 1}, {1, 2, 0, 6, 6, 0}};
    payload_sink_prepare(&p, 1, 1, ranges, 1, "one");
    payload_sink_commit(&p, 1, 1);
    ranges[0] = (struct flow_sink_range){1, 0, 12, 25, 13, 0};
    payload_sink_prepare(&p, 1, 2, ranges, 2, "two files");
    payload_sink_close(&p, 2);
    put_topic(&p, (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = 3});
    apply(state, &p, 2);
}

static void build(struct held *held)
{
    *held = (struct held){0};
    log_state_init(&held->state, 42);
    build_topics(&held->state);
    struct log_partition *partition = log_state_partition(&held->state, 1, 0);
    assert_code(log_partition_put_segments(partition, segments, 2), OK);
    log_partition_drop_index(partition, 1, &held->state.index_bytes);
    build_sinks(&held->state);
    struct payload p = {0};
    put_topic(&p, (struct flow_topic_change){
                      .op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 10});
    apply(&held->state, &p, 2);
    held->checkpoint = (struct log_checkpoint){
        .uuid = {{1, 2, 3}},
        .last = {.epoch = 1, .lsn = 9, .durable_lsn = 8, .file_number = 2, .file_blocks = 16},
        .sealed_file = 1,
    };
    log_checkpoint_encode(&held->checkpoint, &held->state, &held->bytes);
    assert_true(buf_ok(&held->bytes));
}

static void done(struct held *held)
{
    log_state_done(&held->state);
    buf_done(&held->bytes);
}

static err_t decode(struct slice bytes)
{
    struct log_state state;
    struct log_checkpoint checkpoint;
    log_state_init(&state, 7);
    err_t err = log_checkpoint_decode(bytes, &checkpoint, &state);
    log_state_done(&state);
    return err;
}

/* The sums as if the bytes had been written so. */
static void fix_sums(struct buf *bytes)
{
    put_u64le(bytes->data + 8, bytes->size - HEADER_SIZE);
    put_u32le(bytes->data + 32, crc32c(0, bytes->data + HEADER_SIZE, bytes->size - HEADER_SIZE));
    put_u32le(bytes->data + 36, crc32c(0, bytes->data, 36));
}

static void the_header_has_its_bytes_at_fixed_offsets(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    const uint8_t *b = held.bytes.data;
    assert_memory_equal(b, "GCKP", 4);
    assert_int_equal(get_u32le(b + 4), 2);
    assert_int_equal(get_u64le(b + 8), held.bytes.size - HEADER_SIZE);
    assert_memory_equal(b + 16, held.checkpoint.uuid.bytes, 16);
    assert_int_equal(get_u32le(b + 32), crc32c(0, b + HEADER_SIZE, held.bytes.size - HEADER_SIZE));
    assert_int_equal(get_u32le(b + 36), crc32c(0, b, 36));
    assert_memory_equal(b + HEADER_SIZE, "GWAL", 4);
    assert_int_equal(get_u64le(b + HEADER_SIZE + LOG_FRAME_HEADER_SIZE), 1);
    assert_int_equal(get_u32le(b + AT_STATE), 3);
    done(&held);
}

static void assert_same_partition(const struct log_partition *a, const struct log_partition *b)
{
    assert_int_equal(a->start_offset, b->start_offset);
    assert_int_equal(a->end_offset, b->end_offset);
    assert_int_equal(b->next_offset, b->end_offset);
    assert_int_equal(a->records, b->records);
    assert_int_equal(a->records_start, b->records_start);
    assert_int_equal(a->sealed_bytes, b->sealed_bytes);
    assert_int_equal(a->wal_bytes, b->wal_bytes);
    assert_int_equal(a->segment_count, b->segment_count);
    assert_int_equal(a->index_count, b->index_count);
    for (size_t i = 0; i < a->index_count; i++)
        assert_memory_equal(&a->index[i], &b->index[i], sizeof a->index[i]);
}

static void what_is_decoded_is_the_state_that_was(void **state)
{
    (void)state;
    struct held held;
    struct log_state read;
    struct log_checkpoint checkpoint;
    build(&held);
    log_state_init(&read, 7);
    assert_code(log_checkpoint_decode(buf_slice(&held.bytes), &checkpoint, &read), OK);
    assert_int_equal(checkpoint.last.lsn, 9);
    assert_int_equal(checkpoint.sealed_file, 1);
    assert_false(checkpoint.clean);
    assert_true(uuid_equal(&checkpoint.uuid, &held.checkpoint.uuid));
    for (uint32_t p = 0; p < 3; p++)
        assert_same_partition(log_state_partition(&held.state, 1, p),
                              log_state_partition(&read, 1, p));
    const struct log_topic *topic = log_state_topic_named(&read, slice_string("flights"));
    assert_int_equal(topic->config.codec, FLOW_CODEC_ZSTD);
    assert_int_equal(topic->config.retention_bytes, UINT64_C(5) << 32);
    assert_true(topic->config.expire_undelivered);
    assert_int_equal(topic->received, 100);
    assert_int_equal(topic->dead_lettered, 4);
    assert_null(log_state_topic_named(&read, slice_string("old")));
    assert_null(log_state_topic(&read, 3));
    const struct log_sink *lake = log_state_sink_named(&read, slice_string("lake"));
    assert_true(lake->open && lake->prepared);
    assert_int_equal(lake->range_count, 2);
    assert_int_equal(lake->cursors[0].offset, 12);
    assert_int_equal(lake->cursors[0].records, 12);
    assert_memory_equal(lake->outputs.data, "two files", 9);
    assert_false(log_state_sink(&read, 2)->open);
    /* The segment that expired, and the deleted topic's all. */
    assert_int_equal(read.doomed_count, 2);
    assert_int_equal(read.doomed[0].base_offset, -1);
    assert_int_equal(read.doomed[1].base_offset, 0);
    log_state_done(&read);
    done(&held);
}

static void what_is_encoded_again_is_the_same_bytes(void **state)
{
    (void)state;
    struct held held;
    struct log_state read;
    struct log_checkpoint checkpoint;
    struct buf again = {0};
    build(&held);
    held.checkpoint.clean = true;
    log_checkpoint_encode(&held.checkpoint, &held.state, &held.bytes);
    log_state_init(&read, 7);
    assert_code(log_checkpoint_decode(buf_slice(&held.bytes), &checkpoint, &read), OK);
    assert_true(checkpoint.clean);
    log_checkpoint_encode(&checkpoint, &read, &again);
    assert_int_equal(again.size, held.bytes.size);
    assert_memory_equal(again.data, held.bytes.data, again.size);
    buf_done(&again);
    log_state_done(&read);
    done(&held);
}

static void a_decoded_state_goes_on_as_the_one_that_was(void **state)
{
    (void)state;
    struct held held;
    struct log_state read;
    struct log_checkpoint checkpoint;
    struct buf one = {0}, two = {0};
    build(&held);
    log_state_init(&read, 7);
    assert_code(log_checkpoint_decode(buf_slice(&held.bytes), &checkpoint, &read), OK);
    struct payload p = {0};
    payload_batch(&p, 1, 0, 25, 4);
    payload_sink_commit(&p, 1, 2);
    payload_topic(&p, 4, "old", 1, 0);
    put_topic(&p, (struct flow_topic_change){
                      .op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 29});
    apply(&held.state, &p, 2);
    apply(&read, &p, 2);
    assert_int_equal(log_state_sink(&read, 1)->expired, 4);
    log_checkpoint_encode(&checkpoint, &held.state, &one);
    log_checkpoint_encode(&checkpoint, &read, &two);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
    buf_done(&one);
    buf_done(&two);
    log_state_done(&read);
    done(&held);
}

static void any_flipped_bit_is_corrupt(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    for (size_t i = 0; i < held.bytes.size; i++) {
        uint8_t bit = (uint8_t)(1u << i % 8);
        held.bytes.data[i] ^= bit;
        assert_code(log_checkpoint_check(buf_slice(&held.bytes)), CORRUPT);
        assert_code(decode(buf_slice(&held.bytes)), CORRUPT);
        held.bytes.data[i] ^= bit;
    }
    assert_code(decode(buf_slice(&held.bytes)), OK);
    done(&held);
}

static void a_checkpoint_cut_short_is_corrupt(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    for (size_t size = 0; size < held.bytes.size; size++)
        assert_code(decode(slice_make(held.bytes.data, size)), CORRUPT);
    /* Also where the sums were made of what is left. */
    for (size_t size = held.bytes.size - 1; size > HEADER_SIZE; size--) {
        held.bytes.size = size;
        fix_sums(&held.bytes);
        assert_code(decode(buf_slice(&held.bytes)), CORRUPT);
    }
    done(&held);
}

static void bytes_behind_the_end_are_corrupt(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    buf_add_byte(&held.bytes, 0);
    fix_sums(&held.bytes);
    assert_code(decode(buf_slice(&held.bytes)), CORRUPT);
    done(&held);
}

static void a_newer_version_is_told_from_damage(void **state)
{
    (void)state;
    struct held held;
    uint64_t sealed = 77;
    build(&held);
    put_u32le(held.bytes.data + 4, LOG_CHECKPOINT_VERSION + 1);
    fix_sums(&held.bytes);
    assert_code(decode(buf_slice(&held.bytes)), VERSION);
    assert_code(log_checkpoint_sealed(buf_slice(&held.bytes), &sealed), VERSION);
    assert_int_equal(sealed, 77);
    done(&held);
}

/* Whatever stands there, with sums that fit: refused, or taken and good to be used. */
static void random_content_is_refused_or_whole(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct held held;
    uint32_t refused = 0;
    build(&held);
    for (int i = 0; i < 3000; i++) {
        struct buf bytes = {0};
        buf_add_slice(&bytes, buf_slice(&held.bytes));
        size_t at = HEADER_SIZE + unit_random(&seed) % (bytes.size - HEADER_SIZE);
        bytes.data[at] = (uint8_t)unit_random(&seed);
        fix_sums(&bytes);
        struct log_state read;
        struct log_checkpoint checkpoint;
        log_state_init(&read, 7);
        err_t err = log_checkpoint_decode(buf_slice(&bytes), &checkpoint, &read);
        assert_true(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
        refused += err_is_ok(err) ? 0 : 1;
        if (err_is_ok(err)) {
            struct buf again = {0};
            log_checkpoint_encode(&checkpoint, &read, &again);
            assert_int_equal(again.size, bytes.size);
            buf_done(&again);
        }
        log_state_done(&read);
        buf_done(&bytes);
    }
    assert_true(refused > 300);
    done(&held);
}

static void a_checkpoint_that_says_its_own_file_is_sealed_is_corrupt(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    held.checkpoint.sealed_file = 2;
    log_checkpoint_encode(&held.checkpoint, &held.state, &held.bytes);
    assert_code(decode(buf_slice(&held.bytes)), CORRUPT);
    done(&held);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        mem_fail_after(n);
        err_t err = decode(buf_slice(&held.bytes));
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_string_equal(err_name(err), failed ? "MEMORY" : "OK");
    }
    buf_done(&held.bytes);
    mem_fail_after(1);
    log_checkpoint_encode(&held.checkpoint, &held.state, &held.bytes);
    mem_fail_after(0);
    assert_code(buf_error(&held.bytes), MEMORY);
    done(&held);
}

static void write_lsn(struct sim_disk *disk, struct held *held, uint64_t lsn)
{
    struct err_text why;
    assert_code(log_checkpoint_write(sim_disk_io(disk), "data", lsn, buf_slice(&held->bytes), &why),
                OK);
}

static void the_newest_two_are_kept(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct held held;
    uint64_t lsns[8] = {0};
    size_t count = 77;
    build(&held);
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
    assert_int_equal(count, 0);
    static const uint64_t written[] = {9, 100, 30};
    for (size_t i = 0; i < 3; i++)
        write_lsn(disk, &held, written[i]);
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
    assert_int_equal(count, 2);
    assert_int_equal(lsns[0], 100);
    assert_int_equal(lsns[1], 30);
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 1, &count, NULL), OK);
    assert_int_equal(count, 1);
    assert_int_equal(lsns[0], 100);
    done(&held);
    sim_disk_free(&disk);
}

static void files_of_other_names_are_no_checkpoints(void **state)
{
    (void)state;
    static const char *const names[] = {"notes", "00000000000000000007.ckpt.tmp",
                                        "0000000000000000000x.ckpt", "7.ckpt"};
    struct sim_disk *disk = sim_disk_new(1);
    struct held held;
    uint64_t lsns[8];
    size_t count = 0;
    build(&held);
    write_lsn(disk, &held, 9);
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        struct io_file *file;
        snprintf(path, sizeof path, "data/checkpoint/%s", names[i]);
        assert_code(
            io_disk_open(sim_disk_io(disk), path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL), OK);
        assert_code(io_file_close(file), OK);
    }
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
    assert_int_equal(count, 1);
    assert_int_equal(lsns[0], 9);
    done(&held);
    sim_disk_free(&disk);
}

/* Whichever call fails, or is the last, an older checkpoint is there and whole. */
static void an_older_one_outlives_whatever_fails(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    bool more = true;
    for (uint64_t n = 1; more; n++) {
        struct sim_disk *disk = sim_disk_new(n);
        struct err_text why = {0};
        struct buf back = {0};
        uint64_t lsns[8];
        size_t count = 0;
        write_lsn(disk, &held, 5);
        write_lsn(disk, &held, 6);
        bool dies = n % 2 == 0;
        if (dies)
            sim_disk_die_after(disk, n / 2);
        else
            sim_disk_fail_after(disk, n / 2 + 1, ERR_IO);
        err_t err =
            log_checkpoint_write(sim_disk_io(disk), "data", 7, buf_slice(&held.bytes), &why);
        more = !err_is_ok(err) || n < 60;
        sim_disk_fail_after(disk, 0, ERR_OK);
        sim_disk_crash(disk);
        assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
        assert_true(count >= 2);
        for (size_t i = 0; i < count; i++) {
            buf_reset(&back);
            assert_code(log_checkpoint_read(sim_disk_io(disk), "data", lsns[i], &back, &why), OK);
            assert_code(decode(buf_slice(&back)), OK);
        }
        if (err_is_ok(err))
            assert_int_equal(lsns[0], 7);
        buf_done(&back);
        sim_disk_free(&disk);
    }
    done(&held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_has_its_bytes_at_fixed_offsets),
        cmocka_unit_test(what_is_decoded_is_the_state_that_was),
        cmocka_unit_test(what_is_encoded_again_is_the_same_bytes),
        cmocka_unit_test(a_decoded_state_goes_on_as_the_one_that_was),
        cmocka_unit_test(any_flipped_bit_is_corrupt),
        cmocka_unit_test(a_checkpoint_cut_short_is_corrupt),
        cmocka_unit_test(bytes_behind_the_end_are_corrupt),
        cmocka_unit_test(a_newer_version_is_told_from_damage),
        cmocka_unit_test(random_content_is_refused_or_whole),
        cmocka_unit_test(a_checkpoint_that_says_its_own_file_is_sealed_is_corrupt),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(the_newest_two_are_kept),
        cmocka_unit_test(files_of_other_names_are_no_checkpoints),
        cmocka_unit_test(an_older_one_outlives_whatever_fails),
    };
    return cmocka_run_group_tests_name("log/checkpoint", tests, NULL, NULL);
}
