#include "log/keys.h"

#include "base/alloc.h"
#include "unit/log/keys.h"

#define WINDOW 160000

static const struct flow_topic_config config = {.dedup_window_ms = WINDOW,
                                                .dedup_memory_bytes = UINT64_C(1) << 30};

static void turn(struct log_keys *keys, int64_t now_ms)
{
    log_keys_drop(keys, log_keys_expired(keys, &config, now_ms));
    assert_code(log_keys_turn(keys, &config, now_ms), OK);
}

static void add(struct log_keys *keys, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++)
        assert_code(log_keys_add(keys, &config, key_of(i)), OK);
}

/* As a frame that is durable has them. */
static void settle(struct log_keys *keys, uint64_t first, uint64_t end, int64_t commit_ms)
{
    static uint8_t bytes[1u << 16];
    assert_true((end - first) * LOG_KEY_SIZE <= sizeof bytes);
    for (uint64_t i = first; i < end; i++)
        log_key_put(bytes + (i - first) * LOG_KEY_SIZE, key_of(i));
    assert_code(
        log_keys_settle(keys, &config, slice_make(bytes, (end - first) * LOG_KEY_SIZE), commit_ms),
        OK);
}

static enum log_keys_found find(const struct log_keys *keys, uint64_t n, int64_t now_ms)
{
    return log_keys_find(keys, &config, now_ms, key_of(n));
}

static void a_key_is_on_its_way_until_its_frame_is_durable(void **state)
{
    (void)state;
    struct log_keys *keys = log_keys_new(1);
    turn(keys, 1000);
    assert_int_equal(find(keys, 1, 1000), LOG_KEYS_ABSENT);
    add(keys, 1, 4);
    assert_int_equal(find(keys, 3, 1000), LOG_KEYS_ON_ITS_WAY);
    settle(keys, 1, 3, 1000);
    assert_int_equal(find(keys, 2, 1000), LOG_KEYS_DURABLE);
    assert_int_equal(find(keys, 3, 1000), LOG_KEYS_ON_ITS_WAY);
    settle(keys, 3, 4, 1001);
    assert_int_equal(find(keys, 3, 1001), LOG_KEYS_DURABLE);
    log_keys_free(&keys);
}

static void what_never_was_durable_is_forgotten(void **state)
{
    (void)state;
    struct log_keys *keys = log_keys_new(1);
    turn(keys, 1000);
    add(keys, 1, 10);
    settle(keys, 1, 5, 1000);
    log_keys_take_back(keys, 2);
    assert_int_equal(find(keys, 8, 1000), LOG_KEYS_ABSENT);
    assert_int_equal(find(keys, 7, 1000), LOG_KEYS_ON_ITS_WAY);
    log_keys_forget(keys);
    assert_int_equal(find(keys, 4, 1000), LOG_KEYS_DURABLE);
    assert_int_equal(find(keys, 5, 1000), LOG_KEYS_ABSENT);
    add(keys, 5, 6);
    settle(keys, 5, 6, 1000);
    assert_int_equal(find(keys, 5, 1000), LOG_KEYS_DURABLE);
    log_keys_free(&keys);
}

static void a_key_counts_for_the_window_and_a_bucket_longer_at_the_most(void **state)
{
    (void)state;
    struct log_keys *keys = log_keys_new(1);
    int64_t width = WINDOW / LOG_KEYS_BUCKETS_WINDOW;
    for (int64_t now = 1000; now <= 1000 + 3 * WINDOW; now += width / 4) {
        uint64_t n = (uint64_t)now;
        turn(keys, now);
        for (uint64_t old = 1000; old < n; old += (uint64_t)width / 4) {
            enum log_keys_found found = find(keys, old, now);
            int64_t age = now - (int64_t)old;
            if (age <= WINDOW)
                assert_int_equal(found, LOG_KEYS_DURABLE);
            if (age > WINDOW + width)
                assert_int_equal(found, LOG_KEYS_ABSENT);
        }
        assert_int_equal(find(keys, n, now), LOG_KEYS_ABSENT);
        add(keys, n, n + 1);
        settle(keys, n, n + 1, now);
    }
    assert_true(keys->count <= LOG_KEYS_BUCKETS_WINDOW + 2);
    log_keys_free(&keys);
}

static void keys_on_their_way_stay_in_the_bucket_that_was_open(void **state)
{
    (void)state;
    struct log_keys *keys = log_keys_new(1);
    turn(keys, 1000);
    add(keys, 1, 2);
    settle(keys, 1, 2, 1000);
    add(keys, 2, 3);
    turn(keys, 1000 + WINDOW / 4);
    assert_int_equal(keys->count, 2);
    assert_null(log_keys_closed(keys));
    add(keys, 3, 4);
    settle(keys, 2, 3, 1000 + WINDOW / 4);
    assert_ptr_equal(log_keys_closed(keys), keys->buckets[0]);
    assert_int_equal(find(keys, 3, 1000), LOG_KEYS_ON_ITS_WAY);
    settle(keys, 3, 4, 1000 + WINDOW / 4);
    assert_int_equal(keys->buckets[1]->durable, 1);
    log_keys_free(&keys);
}

static void a_full_table_is_closed_and_refuses_when_the_disk_does_not_keep_up(void **state)
{
    (void)state;
    struct flow_topic_config small = config;
    struct log_keys *keys = log_keys_new(1);
    small.dedup_memory_bytes = 100000;
    uint64_t n = 1;
    assert_code(log_keys_turn(keys, &small, 1000), OK);
    while (keys->buckets[0]->table.bytes < small.dedup_memory_bytes) {
        add(keys, n, n + 1);
        settle(keys, n, n + 1, 1000);
        n++;
    }
    assert_code(log_keys_turn(keys, &small, 1000), OK);
    assert_int_equal(keys->count, 2);
    err_t err = err_ok();
    while (err_is_ok(err = log_keys_add(keys, &small, key_of(n)))) {
        settle(keys, n, n + 1, 1000);
        n++;
    }
    assert_code(err, BUSY);
    assert_true(keys->buckets[1]->table.bytes <= 3 * small.dedup_memory_bytes);
    /* Not a third one, while the first waits to be sorted. */
    assert_code(log_keys_turn(keys, &small, 1000), OK);
    assert_int_equal(keys->count, 2);
    log_keys_free(&keys);
}

static void recovery_makes_buckets_by_the_times_of_frames(void **state)
{
    (void)state;
    struct log_keys *keys = log_keys_new(1);
    settle(keys, 1, 100, 1000);
    settle(keys, 100, 101, 1000 + WINDOW / 8);
    assert_int_equal(keys->count, 2);
    assert_int_equal(find(keys, 50, 1000), LOG_KEYS_DURABLE);
    assert_int_equal(keys->buckets[0]->last_ms, 1000);
    assert_int_equal(keys->buckets[1]->first_ms, 1000 + WINDOW / 8);
    log_keys_free(&keys);
}

struct answers {
    uint32_t count;
    uint32_t by_index[20];
    uint64_t numbers[20]; /* of the buckets */
    uint32_t fail_after;
};

static err_t passed(void *context, uint32_t index, struct log_keys_bucket *bucket)
{
    struct answers *answers = context;
    assert_true(bucket->sorted);
    if (answers->count == answers->fail_after)
        return err_make(ERR_MEMORY);
    answers->count++;
    answers->by_index[index]++;
    answers->numbers[index] = bucket->number;
    return err_ok();
}

/* Bucket `i` has keys [1 + 1000 i, 1001 + 1000 i), all in sorted files but those of the last. */
static void fill_files(struct log_keys *keys, struct io_disk *io, uint32_t count)
{
    for (uint32_t i = 0; i <= count; i++) {
        uint64_t first = 1 + UINT64_C(1000) * i;
        int64_t now = 1000 + i * (WINDOW / LOG_KEYS_BUCKETS_WINDOW);
        turn(keys, now);
        add(keys, first, first + 1000);
        settle(keys, first, first + 1000, now);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct log_keys_bucket *bucket = log_keys_closed(keys);
        struct log_keys_file file = {0};
        char path[256];
        log_keys_path("data/t", bucket->number, LOG_KEYS_SORTED, path, sizeof path);
        struct log_keys_head head = {.number = bucket->number,
                                     .count = bucket->table.count,
                                     .first_ms = bucket->first_ms,
                                     .last_ms = bucket->last_ms};
        assert_code(log_keys_file_write(io, path, &head, &bucket->table, &file, NULL), OK);
        log_keys_install(bucket, &file, i + 1);
    }
    assert_null(log_keys_closed(keys));
}

static void files_are_asked_for_all_keys_that_are_open_questions(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_keys *keys = log_keys_new(1);
    fill_files(keys, sim_disk_io(disk), 3);
    struct flow_fingerprint asked[20];
    /* As few as one, and more than are on their way at a time. */
    for (uint32_t count = 0; count <= 20; count++) {
        struct answers answers = {.fail_after = UINT32_MAX};
        uint8_t known[3] = {0};
        for (uint32_t i = 0; i < count; i++)
            asked[i] = key_of(1 + i % 4 * 1000 + i);
        if (count > 5)
            asked[5] = (struct flow_fingerprint){0};
        flow_set_bit(known, 6);
        struct log_keys_question question = {.keys = asked, .known = known, .count = count};
        assert_code(log_keys_ask(keys, &question, passed, &answers), OK);
        for (uint32_t i = 0; i < count; i++) {
            /* The fourth is open, and no file. */
            bool there = i % 4 < 3 && i != 5 && i != 6;
            assert_int_equal(answers.by_index[i], there);
            assert_true(!there || answers.numbers[i] == 1 + i % 4);
        }
        if (count < 3)
            continue;
        /* What was asked before is not asked again. */
        answers = (struct answers){.fail_after = UINT32_MAX};
        question.since = 2;
        assert_code(log_keys_ask(keys, &question, passed, &answers), OK);
        assert_int_equal(answers.count, (count + 1) / 4 - (count > 6));
        answers = (struct answers){.fail_after = 1};
        question.since = 0;
        assert_code(log_keys_ask(keys, &question, passed, &answers), MEMORY);
    }
    log_keys_free(&keys);
    sim_disk_free(&disk);
}

static void what_a_checkpoint_names_is_what_a_start_loads(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct io_disk *io = sim_disk_io(disk);
    struct log_keys *keys = log_keys_new(1);
    struct uuid topic = {{1}};
    turn(keys, 1000);
    for (int round = 0; round < 3; round++) {
        uint64_t first = 1 + (uint64_t)round * 3000;
        add(keys, first, first + 3000);
        settle(keys, first, first + 3000, 1000 + round);
        add(keys, 100000, 100001);
        struct buf bytes = {0};
        uint32_t from = 0;
        log_keys_bucket_gather(keys->buckets[0], &bytes, &from);
        log_keys_forget(keys);
        assert_int_equal(from, (uint32_t)round * 3000);
        assert_int_equal(bytes.size, 3000 * LOG_KEY_SIZE);
        assert_code(log_keys_write_raw(io, "data/t", 1, from, buf_slice(&bytes), NULL), OK);
        log_keys_saved(keys);
        assert_int_equal(log_keys_unsaved(keys), 0);
        buf_done(&bytes);
    }
    struct log_keys *other = log_keys_new(1);
    struct log_keys_bucket *bucket = log_keys_add_bucket(other);
    bucket->saving = keys->buckets[0]->saving;
    bucket->saving_crc = keys->buckets[0]->saving_crc;
    assert_code(log_keys_bucket_load(io, "data/t", &topic, bucket, NULL), OK);
    assert_int_equal(bucket->durable, 9000);
    assert_int_equal(find(other, 9000, 1000), LOG_KEYS_DURABLE);
    assert_int_equal(find(other, 100000, 1000), LOG_KEYS_ABSENT);
    log_keys_free(&other);
    /* A byte that is not what it was. */
    char path[256];
    struct err_text why = {0};
    log_keys_path("data/t", 1, LOG_KEYS_RAW, path, sizeof path);
    sim_disk_flip(disk, path, 70000, 3);
    other = log_keys_new(1);
    bucket = log_keys_add_bucket(other);
    bucket->saving = keys->buckets[0]->saving;
    bucket->saving_crc = keys->buckets[0]->saving_crc;
    assert_code(log_keys_bucket_load(io, "data/t", &topic, bucket, &why), CORRUPT);
    assert_non_null(strstr(why.text, path));
    log_keys_free(&other);
    log_keys_free(&keys);
    sim_disk_free(&disk);
}

static void what_a_failed_flush_left_is_written_again_whole(void **state)
{
    (void)state;
    struct uuid topic = {{1}};
    for (uint64_t seed = 1; seed <= 40; seed++) {
        for (uint64_t failing = 1; failing <= 5; failing++) {
            struct sim_disk *disk = sim_disk_new(seed);
            struct io_disk *io = sim_disk_io(disk);
            struct log_keys *keys = log_keys_new(1);
            turn(keys, 1000);
            for (uint64_t first = 1; first < 600; first += 300) {
                struct buf bytes = {0};
                uint32_t from = 0;
                add(keys, first, first + 300);
                settle(keys, first, first + 300, 1000);
                log_keys_bucket_gather(keys->buckets[0], &bytes, &from);
                sim_disk_fail_after(disk, first > 1 ? failing : 0, ERR_IO);
                err_t err = log_keys_write_raw(io, "data/t", 1, from, buf_slice(&bytes), NULL);
                sim_disk_fail_after(disk, 0, ERR_IO);
                if (!err_is_ok(err))
                    err = log_keys_write_raw(io, "data/t", 1, from, buf_slice(&bytes), NULL);
                assert_code(err, OK);
                log_keys_saved(keys);
                buf_done(&bytes);
            }
            sim_disk_crash(disk);
            struct log_keys *other = log_keys_new(1);
            struct log_keys_bucket *bucket = log_keys_add_bucket(other);
            bucket->saving = keys->buckets[0]->saving;
            bucket->saving_crc = keys->buckets[0]->saving_crc;
            assert_code(log_keys_bucket_load(io, "data/t", &topic, bucket, NULL), OK);
            assert_int_equal(bucket->durable, 600);
            log_keys_free(&other);
            log_keys_free(&keys);
            sim_disk_free(&disk);
        }
    }
}

static void without_memory_everything_is_as_it_was(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 8; n++) {
        mem_fail_after(n);
        struct log_keys *keys = log_keys_new(1);
        err_t err = keys ? log_keys_turn(keys, &config, 1000) : err_make(ERR_MEMORY);
        if (err_is_ok(err))
            err = log_keys_add(keys, &config, key_of(1));
        mem_fail_after(0);
        if (!err_is_ok(err))
            assert_code(err, MEMORY);
        if (keys) {
            turn(keys, 1000);
            assert_int_equal(find(keys, 1, 1000),
                             err_is_ok(err) ? LOG_KEYS_ON_ITS_WAY : LOG_KEYS_ABSENT);
        }
        log_keys_free(&keys);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_on_its_way_until_its_frame_is_durable),
        cmocka_unit_test(what_never_was_durable_is_forgotten),
        cmocka_unit_test(a_key_counts_for_the_window_and_a_bucket_longer_at_the_most),
        cmocka_unit_test(keys_on_their_way_stay_in_the_bucket_that_was_open),
        cmocka_unit_test(a_full_table_is_closed_and_refuses_when_the_disk_does_not_keep_up),
        cmocka_unit_test(recovery_makes_buckets_by_the_times_of_frames),
        cmocka_unit_test(files_are_asked_for_all_keys_that_are_open_questions),
        cmocka_unit_test(what_a_checkpoint_names_is_what_a_start_loads),
        cmocka_unit_test(what_a_failed_flush_left_is_written_again_whole),
        cmocka_unit_test(without_memory_everything_is_as_it_was),
    };
    return cmocka_run_group_tests_name("log/keys", tests, NULL, NULL);
}
