#include "sim/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"

#define SIZE_MAX_BYTES 40000u
#define ROUNDS 300u

/* A content beside a plain array that says what must be read from it. */
struct pair {
    struct sim_store store;
    struct sim_content content;
    struct sim_random random;
    uint8_t model[SIZE_MAX_BYTES];
    size_t model_size;
};

static struct pair *pair_new(uint64_t seed)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    sim_store_init(&pair->store, seed);
    pair->random = sim_random_seed(seed + 77);
    return pair;
}

static void pair_free(struct pair *pair)
{
    sim_content_done(&pair->content, &pair->store);
    sim_store_done(&pair->store);
    free(pair);
}

static void write_both(struct pair *pair, const void *data, size_t size, size_t offset)
{
    assert_true(offset + size <= SIZE_MAX_BYTES);
    assert_true(err_is_ok(sim_content_write(&pair->content, &pair->store, data, size, offset)));
    memcpy(pair->model + offset, data, size);
    if (size > 0 && offset + size > pair->model_size)
        pair->model_size = offset + size;
}

static void truncate_both(struct pair *pair, size_t size)
{
    assert_true(err_is_ok(sim_content_truncate(&pair->content, &pair->store, size)));
    if (size < pair->model_size)
        memset(pair->model + size, 0, pair->model_size - size);
    pair->model_size = size;
}

static void check_same(struct pair *pair)
{
    uint8_t bytes[SIZE_MAX_BYTES];
    assert_int_equal(pair->content.live_size, pair->model_size);
    size_t got = sim_content_read(&pair->content, bytes, sizeof(bytes), 0);
    assert_int_equal(got, pair->model_size);
    assert_memory_equal(bytes, pair->model, got);
}

/* One random write (of a pattern, or of one byte) or truncation. */
static void change_both(struct pair *pair)
{
    uint8_t data[SIZE_MAX_BYTES];
    struct sim_random *random = &pair->random;
    size_t offset = sim_random_below(random, SIZE_MAX_BYTES - 1);
    size_t size = sim_random_between(random, 0, SIZE_MAX_BYTES - offset);
    if (sim_random_chance(random, 1, 5)) {
        truncate_both(pair, offset);
    } else if (sim_random_chance(random, 1, 2)) {
        memset(data, (int)sim_random_below(random, 3), size);
        write_both(pair, data, size, offset);
    } else {
        sim_random_bytes(random, data, size);
        write_both(pair, data, size, offset);
    }
}

static void it_reads_as_a_plain_array_does(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct pair *pair = pair_new(seed);
        for (size_t i = 0; i < ROUNDS; i++) {
            change_both(pair);
            if (sim_random_chance(&pair->random, 1, 10))
                assert_true(err_is_ok(sim_content_sync(&pair->content, &pair->store)));
            check_same(pair);
        }
        pair_free(pair);
    }
}

static void what_was_synced_is_what_a_crash_leaves(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct pair *pair = pair_new(seed);
        for (size_t i = 0; i < 10; i++)
            change_both(pair);
        assert_true(err_is_ok(sim_content_sync(&pair->content, &pair->store)));
        sim_content_crash(&pair->content, &pair->store);
        check_same(pair);
        sim_content_crash(&pair->content, &pair->store);
        check_same(pair);
        pair_free(pair);
    }
}

static void a_crash_leaves_live_and_durable_alike(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct pair *pair = pair_new(seed);
        for (size_t i = 0; i < 10; i++)
            change_both(pair);
        sim_content_crash(&pair->content, &pair->store);
        assert_int_equal(pair->content.pending_count, 0);
        static uint8_t first[SIZE_MAX_BYTES], second[SIZE_MAX_BYTES];
        size_t got = sim_content_read(&pair->content, first, SIZE_MAX_BYTES, 0);
        sim_content_crash(&pair->content, &pair->store);
        assert_int_equal(sim_content_read(&pair->content, second, SIZE_MAX_BYTES, 0), got);
        assert_memory_equal(first, second, got);
        /* What lies behind the size is zeros when the file grows again. */
        memcpy(pair->model, first, got);
        memset(pair->model + got, 0, SIZE_MAX_BYTES - got);
        pair->model_size = got;
        truncate_both(pair, SIZE_MAX_BYTES);
        check_same(pair);
        pair_free(pair);
    }
}

static void of_several_writes_to_a_sector_any_one_may_survive(void **state)
{
    (void)state;
    uint32_t seen[4] = {0};
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct pair *pair = pair_new(seed);
        write_both(pair, "0", 1, 0);
        assert_true(err_is_ok(sim_content_sync(&pair->content, &pair->store)));
        write_both(pair, "1", 1, 0);
        write_both(pair, "2", 1, 0);
        write_both(pair, "3", 1, 0);
        sim_content_crash(&pair->content, &pair->store);
        char byte = 0;
        assert_int_equal(sim_content_read(&pair->content, &byte, 1, 0), 1);
        if (byte >= '0' && byte <= '3')
            seen[byte - '0']++;
        pair_free(pair);
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[3] > 0);
}

static void sectors_that_were_not_written_are_never_touched(void **state)
{
    (void)state;
    uint8_t old[8 * SIM_SECTOR_SIZE], fresh[3 * SIM_SECTOR_SIZE], now[sizeof(old)];
    uint32_t changed = 0;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct pair *pair = pair_new(seed);
        sim_random_bytes(&pair->random, old, sizeof(old));
        sim_random_bytes(&pair->random, fresh, sizeof(fresh));
        write_both(pair, old, sizeof(old), 0);
        assert_true(err_is_ok(sim_content_sync(&pair->content, &pair->store)));
        write_both(pair, fresh, sizeof(fresh), 2 * SIM_SECTOR_SIZE);
        sim_content_crash(&pair->content, &pair->store);
        assert_int_equal(sim_content_read(&pair->content, now, sizeof(now), 0), sizeof(now));
        assert_memory_equal(now, old, 2 * SIM_SECTOR_SIZE);
        assert_memory_equal(now + 5 * SIM_SECTOR_SIZE, old + 5 * SIM_SECTOR_SIZE,
                            3 * SIM_SECTOR_SIZE);
        changed += memcmp(now, old, sizeof(old)) != 0;
        pair_free(pair);
    }
    assert_true(changed > ROUNDS / 4 && changed < ROUNDS);
}

static void a_size_may_be_lost_with_the_bytes_kept_and_the_other_way_round(void **state)
{
    (void)state;
    uint32_t empty = 0, zeros = 0, whole = 0;
    for (uint64_t seed = 0; seed < 3 * ROUNDS; seed++) {
        struct pair *pair = pair_new(seed);
        write_both(pair, "text", 4, 0);
        sim_content_crash(&pair->content, &pair->store);
        char text[4];
        size_t got = sim_content_read(&pair->content, text, 4, 0);
        empty += got == 0;
        whole += got == 4 && memcmp(text, "text", 4) == 0;
        zeros += got == 4 && memcmp(text, "\0\0\0\0", 4) == 0;
        assert_true(got == 0 || got == 4);
        pair_free(pair);
    }
    assert_true(empty > 0 && whole > 0 && zeros > 0);
}

static void after_a_failed_sync_nothing_is_pending(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct pair *pair = pair_new(seed);
        for (size_t i = 0; i < 5; i++)
            change_both(pair);
        sim_content_sync_failed(&pair->content, &pair->store);
        assert_int_equal(pair->content.pending_count, 0);
        sim_content_crash(&pair->content, &pair->store);
        write_both(pair, "x", 1, 0);
        pair_free(pair);
    }
}

static void pages_of_one_byte_are_shared(void **state)
{
    (void)state;
    struct pair *pair = pair_new(1);
    enum { MEGABYTES = 16 };
    uint8_t *fill = malloc(MEGABYTES << 20);
    memset(fill, 0xa5, MEGABYTES << 20);
    mem_fail_after(0);
    uint64_t before = mem_alloc_count();
    assert_true(
        err_is_ok(sim_content_write(&pair->content, &pair->store, fill, MEGABYTES << 20, 0)));
    assert_true(mem_alloc_count() - before < 100);
    assert_int_equal(pair->store.page_count, (MEGABYTES << 20) / SIM_PAGE_SIZE);
    /* Writing into one leaves the others alone. */
    fill[5000] = 1;
    assert_true(err_is_ok(sim_content_write(&pair->content, &pair->store, fill + 5000, 1, 5000)));
    uint8_t *again = malloc(MEGABYTES << 20);
    assert_int_equal(sim_content_read(&pair->content, again, MEGABYTES << 20, 0), MEGABYTES << 20);
    assert_memory_equal(fill, again, MEGABYTES << 20);
    free(fill);
    free(again);
    pair_free(pair);
}

static void one_bit_is_flipped_and_no_other_file_sees_it(void **state)
{
    (void)state;
    struct pair *pair = pair_new(2);
    struct sim_content other = {0};
    uint8_t zeros[SIM_PAGE_SIZE] = {0}, got[SIM_PAGE_SIZE];
    write_both(pair, zeros, sizeof(zeros), 0);
    assert_true(err_is_ok(sim_content_write(&other, &pair->store, zeros, sizeof(zeros), 0)));
    assert_true(sim_content_flip(&pair->content, 100, 7));
    pair->model[100] = 0x80;
    check_same(pair);
    assert_int_equal(sim_content_read(&other, got, sizeof(got), 0), sizeof(got));
    assert_memory_equal(got, zeros, sizeof(got));
    assert_false(sim_content_flip(&pair->content, SIM_PAGE_SIZE, 0));
    sim_content_done(&other, &pair->store);
    pair_free(pair);
}

static void without_memory_or_space_a_part_from_the_front_is_written(void **state)
{
    (void)state;
    uint8_t data[SIZE_MAX_BYTES];
    for (uint64_t n = 1;; n++) {
        struct pair *pair = pair_new(n);
        sim_random_bytes(&pair->random, data, sizeof(data));
        mem_fail_after(n);
        err_t err = sim_content_write(&pair->content, &pair->store, data, sizeof(data), 0);
        if (err_is_ok(err))
            err = sim_content_sync(&pair->content, &pair->store);
        if (err_is_ok(err))
            err = sim_content_truncate(&pair->content, &pair->store, 100);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(err_is(err, ERR_MEMORY), failed);
        memcpy(pair->model, data, sizeof(data));
        pair->model_size = pair->content.live_size;
        check_same(pair);
        sim_content_crash(&pair->content, &pair->store);
        pair_free(pair);
        if (!failed)
            break;
    }
    struct pair *pair = pair_new(3);
    pair->store.page_count_max = 3;
    assert_true(err_is(sim_content_write(&pair->content, &pair->store, data, sizeof(data), 0),
                       ERR_NO_SPACE));
    memcpy(pair->model, data, sizeof(data));
    pair->model_size = 3 * SIM_PAGE_SIZE;
    check_same(pair);
    pair_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_as_a_plain_array_does),
        cmocka_unit_test(what_was_synced_is_what_a_crash_leaves),
        cmocka_unit_test(a_crash_leaves_live_and_durable_alike),
        cmocka_unit_test(of_several_writes_to_a_sector_any_one_may_survive),
        cmocka_unit_test(sectors_that_were_not_written_are_never_touched),
        cmocka_unit_test(a_size_may_be_lost_with_the_bytes_kept_and_the_other_way_round),
        cmocka_unit_test(after_a_failed_sync_nothing_is_pending),
        cmocka_unit_test(pages_of_one_byte_are_shared),
        cmocka_unit_test(one_bit_is_flipped_and_no_other_file_sees_it),
        cmocka_unit_test(without_memory_or_space_a_part_from_the_front_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
