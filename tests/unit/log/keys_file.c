#include "log/keys_file.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "unit/log/keys.h"

#define PATH "data/topics/one/keys/00000000000000000005.sorted"

struct held {
    struct sim_disk *disk;
    struct io_disk *io;
    struct log_keys_table table;
    struct log_keys_head head;
    struct log_keys_file file;
    struct log_keys_block last;
    struct err_text why;
};

static void begin(struct held *h, uint32_t count)
{
    *h = (struct held){.disk = sim_disk_new(1)};
    assert_non_null(h->disk);
    h->io = sim_disk_io(h->disk);
    log_keys_table_init(&h->table);
    for (uint32_t i = 0; i < count; i++)
        assert_code(log_keys_table_add(&h->table, key_of(i)), OK);
    h->head = (struct log_keys_head){
        .topic = {{3}}, .number = 5, .count = count, .first_ms = 10, .last_ms = 20};
}

static err_t write(struct held *h)
{
    h->why = (struct err_text){0};
    return log_keys_file_write(h->io, PATH, &h->head, &h->table, &h->file, &h->why);
}

static err_t reopen(struct held *h)
{
    log_keys_file_done(&h->file);
    h->last.file = NULL;
    h->why = (struct err_text){0};
    return log_keys_file_open(h->io, PATH, &h->head, &h->file, &h->why);
}

static void end(struct held *h)
{
    log_keys_file_done(&h->file);
    log_keys_table_done(&h->table);
    sim_disk_free(&h->disk);
}

static bool has(struct held *h, struct flow_fingerprint key, uint32_t *passed)
{
    bool found = false;
    log_keys_file_prefetch(&h->file, key);
    bool maybe = log_keys_file_maybe(&h->file, key);
    /* A read takes its time: of those that are ruled out some are looked for all the same. */
    if (maybe || key.low % 64 == 0)
        assert_code(log_keys_file_probe(&h->file, key, &h->last, &found), OK);
    if (!maybe) {
        assert_false(found);
        return false;
    }
    ++*passed;
    return found;
}

static void assert_exact(struct held *h)
{
    uint32_t passed = 0;
    for (uint32_t i = 0; i < h->table.count; i++)
        assert_true(has(h, key_of(i), &passed));
    passed = 0;
    uint32_t others = 20000;
    for (uint32_t i = 0; i < others; i++)
        assert_false(has(h, key_of(1000000 + i), &passed));
    /* One in four thousand is expected: some two dozen times that is not chance. */
    assert_true(passed < others / 150);
}

static void every_key_is_found_and_no_other(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 254, 255, 256, 4096, 4097, 30000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct held h;
        begin(&h, counts[i]);
        assert_code(write(&h), OK);
        assert_exact(&h);
        assert_code(reopen(&h), OK);
        assert_exact(&h);
        uint64_t size = 0;
        assert_code(io_file_size(h.file.reader, &size), OK);
        assert_int_equal(size, log_keys_file_size(counts[i]));
        assert_true(h.file.bytes < UINT64_C(3) * counts[i] + 80);
        end(&h);
    }
}

/* Nobody can make such keys on purpose, and the order has to hold all the same. */
static void keys_that_differ_in_one_half_only_are_found_over_borders(void **state)
{
    (void)state;
    static const uint64_t highs[] = {0, 1, UINT64_C(1) << 63, UINT64_MAX};
    struct held h;
    uint32_t passed = 0;
    begin(&h, 0);
    for (uint64_t low = 1; low <= 300; low++) {
        for (int i = 0; i < 4; i++)
            assert_code(
                log_keys_table_add(&h.table, (struct flow_fingerprint){low << 40 | low, highs[i]}),
                OK);
    }
    h.head.count = h.table.count;
    assert_code(write(&h), OK);
    for (int opened = 0; opened < 2; opened++) {
        for (uint32_t i = 0; i < h.table.count; i++)
            assert_true(has(&h, log_keys_table_at(&h.table, i), &passed));
        for (int i = 0; i < 4; i++) {
            assert_false(has(&h, (struct flow_fingerprint){301, highs[i]}, &passed));
            assert_false(has(&h, (struct flow_fingerprint){2, highs[i] ^ 2}, &passed));
        }
        assert_code(reopen(&h), OK);
    }
    end(&h);
}

static void a_file_outlives_a_loss_of_power(void **state)
{
    (void)state;
    struct held h;
    begin(&h, 3000);
    assert_code(write(&h), OK);
    log_keys_file_done(&h.file);
    sim_disk_crash(h.disk);
    assert_code(reopen(&h), OK);
    assert_exact(&h);
    end(&h);
}

static void the_first_block_has_its_bytes_at_fixed_offsets(void **state)
{
    (void)state;
    uint8_t b[IO_BLOCK];
    struct log_keys_head head = {
        .topic = {{1, 2}}, .number = 7, .count = 300, .first_ms = 5, .last_ms = 6};
    struct log_keys_head read;
    log_keys_head_encode(&head, b);
    assert_memory_equal(b, "GKEY", 4);
    assert_int_equal(get_u32le(b + 4), 1);
    assert_memory_equal(b + 8, head.topic.bytes, 16);
    assert_int_equal(get_u64le(b + 24), 7);
    assert_int_equal(get_u64le(b + 32), 5);
    assert_int_equal(get_u64le(b + 40), 6);
    assert_int_equal(get_u32le(b + 48), 300);
    assert_int_equal(get_u32le(b + 60), crc32c(0, b, 60));
    assert_code(log_keys_head_decode(slice_make(b, sizeof b), &read), OK);
    assert_int_equal(read.count, 300);
    put_u32le(b + 4, 2);
    put_u32le(b + 60, crc32c(0, b, 60));
    assert_code(log_keys_head_decode(slice_make(b, sizeof b), &read), VERSION);
    assert_code(log_keys_head_decode(slice_make(b, 63), &read), CORRUPT);
}

static void each_bit_that_flips_is_found_out(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int i = 0; i < 200; i++) {
        struct held h;
        begin(&h, 700);
        assert_code(write(&h), OK);
        log_keys_file_done(&h.file);
        uint64_t at = unit_random(&seed) % log_keys_file_size(700);
        /* The first block's rest is zeros that nobody reads. */
        at = at >= LOG_KEYS_HEAD_SIZE && at < IO_BLOCK ? at % LOG_KEYS_HEAD_SIZE : at;
        sim_disk_flip(h.disk, PATH, at, (unsigned)(unit_random(&seed) % 8));
        err_t err = reopen(&h);
        assert_true(err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
        assert_non_null(strstr(h.why.text, PATH));
        end(&h);
    }
}

static void a_block_that_rots_while_it_is_open_is_no_answer(void **state)
{
    (void)state;
    struct held h;
    bool found = true;
    begin(&h, 200);
    assert_code(write(&h), OK);
    assert_true(log_keys_file_maybe(&h.file, key_of(3)));
    sim_disk_flip(h.disk, PATH, IO_BLOCK + 100, 1);
    assert_code(log_keys_file_probe(&h.file, key_of(3), &h.last, &found), CORRUPT);
    /* What was read is not taken for a good one by the next. */
    assert_code(log_keys_file_probe(&h.file, key_of(3), &h.last, &found), CORRUPT);
    sim_disk_flip(h.disk, PATH, IO_BLOCK + 100, 1);
    assert_code(log_keys_file_probe(&h.file, key_of(3), &h.last, &found), OK);
    assert_true(found);
    /* It is not read again: what happens to the disk meanwhile is not seen. */
    sim_disk_flip(h.disk, PATH, IO_BLOCK + 100, 1);
    assert_code(log_keys_file_probe(&h.file, key_of(4), &h.last, &found), OK);
    assert_true(found);
    end(&h);
}

static void another_bucket_or_a_missing_file_is_refused(void **state)
{
    (void)state;
    struct held h;
    begin(&h, 100);
    assert_code(reopen(&h), CORRUPT);
    assert_non_null(strstr(h.why.text, "missing"));
    assert_code(write(&h), OK);
    h.head.number = 6;
    assert_code(reopen(&h), CORRUPT);
    h.head.number = 5;
    h.head.topic.bytes[0] = 9;
    assert_code(reopen(&h), CORRUPT);
    end(&h);
}

static void each_failure_leaves_nothing_that_is_taken_for_whole(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct held h;
        begin(&h, 1000);
        sim_disk_fail_after(h.disk, n, ERR_NO_SPACE);
        err_t err = write(&h);
        bool failed = sim_disk_call_count(h.disk) >= n;
        sim_disk_fail_after(h.disk, 0, ERR_OK);
        if (failed && !err_is_ok(err))
            assert_true(h.why.text[0] != 0);
        else
            assert_code(err, OK);
        log_keys_file_done(&h.file);
        assert_code(write(&h), OK);
        assert_exact(&h);
        end(&h);
        if (!failed)
            break;
        assert_true(n < 100);
    }
    for (uint64_t n = 1; n < 12; n++) {
        struct held h;
        begin(&h, 5000);
        mem_fail_after(n);
        err_t err = write(&h);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        if (err_is_ok(err)) {
            mem_fail_after(n);
            err = reopen(&h);
            mem_fail_after(0);
            assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        }
        end(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_found_and_no_other),
        cmocka_unit_test(keys_that_differ_in_one_half_only_are_found_over_borders),
        cmocka_unit_test(a_file_outlives_a_loss_of_power),
        cmocka_unit_test(the_first_block_has_its_bytes_at_fixed_offsets),
        cmocka_unit_test(each_bit_that_flips_is_found_out),
        cmocka_unit_test(a_block_that_rots_while_it_is_open_is_no_answer),
        cmocka_unit_test(another_bucket_or_a_missing_file_is_refused),
        cmocka_unit_test(each_failure_leaves_nothing_that_is_taken_for_whole),
    };
    return cmocka_run_group_tests_name("log/keys_file", tests, NULL, NULL);
}
