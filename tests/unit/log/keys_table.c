#include "log/keys_table.h"

#include "base/alloc.h"
#include "unit/log/keys.h"

static void fill(struct log_keys_table *t, uint32_t count)
{
    for (uint32_t i = t->count; i < count; i++)
        assert_code(log_keys_table_add(t, key_of(i)), OK);
}

static void assert_holds(const struct log_keys_table *t, uint32_t count, uint32_t beyond)
{
    assert_int_equal(t->count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(log_keys_table_find(t, key_of(i)), i);
    for (uint32_t i = count; i < beyond; i++)
        assert_int_equal(log_keys_table_find(t, key_of(i)), LOG_KEYS_NONE);
}

static void keys_are_found_by_their_place_and_no_others(void **state)
{
    (void)state;
    struct log_keys_table t;
    log_keys_table_init(&t);
    assert_int_equal(log_keys_table_find(&t, key_of(1)), LOG_KEYS_NONE);
    fill(&t, 50000);
    assert_holds(&t, 50000, 60000);
    struct flow_fingerprint at = log_keys_table_at(&t, 4097);
    assert_int_equal(at.low, key_of(4097).low);
    log_keys_table_done(&t);
}

static void a_key_that_differs_in_one_bit_is_another(void **state)
{
    (void)state;
    struct log_keys_table t;
    log_keys_table_init(&t);
    struct flow_fingerprint key = key_of(9);
    assert_code(log_keys_table_add(&t, key), OK);
    for (unsigned bit = 0; bit < 64; bit++) {
        struct flow_fingerprint low = {key.low ^ UINT64_C(1) << bit, key.high};
        struct flow_fingerprint high = {key.low, key.high ^ UINT64_C(1) << bit};
        assert_int_equal(log_keys_table_find(&t, low), LOG_KEYS_NONE);
        assert_int_equal(log_keys_table_find(&t, high), LOG_KEYS_NONE);
    }
    log_keys_table_done(&t);
}

static void the_newest_keys_can_be_taken_out_again_at_any_time(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct log_keys_table t;
    log_keys_table_init(&t);
    uint32_t most = 0;
    for (int round = 0; round < 60; round++) {
        fill(&t, t.count + (uint32_t)(unit_random(&seed) % 3000));
        most = t.count > most ? t.count : most;
        log_keys_table_cut(&t, t.count - (uint32_t)(unit_random(&seed) % (t.count / 2 + 1)));
        log_keys_table_prefetch(&t, key_of(t.count));
    }
    assert_holds(&t, t.count, most);
    log_keys_table_cut(&t, 0);
    assert_holds(&t, 0, most);
    fill(&t, 100);
    assert_holds(&t, 100, 200);
    log_keys_table_done(&t);
}

static void a_key_takes_less_than_thirty_bytes(void **state)
{
    (void)state;
    struct log_keys_table t;
    log_keys_table_init(&t);
    fill(&t, 400000);
    assert_true(t.bytes / t.count >= 21 && t.bytes / t.count < 30);
    log_keys_table_done(&t);
}

static void without_memory_nothing_is_added(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 80; n++) {
        struct log_keys_table t;
        log_keys_table_init(&t);
        mem_fail_after(n);
        uint32_t count = 0;
        err_t err = err_ok();
        while (count < 9000 && err_is_ok(err = log_keys_table_add(&t, key_of(count))))
            count++;
        mem_fail_after(0);
        assert_holds(&t, count, count + 10);
        assert_true(count == 9000 || err_is(err, ERR_MEMORY));
        fill(&t, count + 100);
        assert_holds(&t, count + 100, count + 200);
        log_keys_table_done(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_by_their_place_and_no_others),
        cmocka_unit_test(a_key_that_differs_in_one_bit_is_another),
        cmocka_unit_test(the_newest_keys_can_be_taken_out_again_at_any_time),
        cmocka_unit_test(a_key_takes_less_than_thirty_bytes),
        cmocka_unit_test(without_memory_nothing_is_added),
    };
    return cmocka_run_group_tests_name("log/keys_table", tests, NULL, NULL);
}
