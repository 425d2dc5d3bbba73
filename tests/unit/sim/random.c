#include "sim/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void one_seed_gives_one_sequence(void **state)
{
    (void)state;
    struct sim_random a = sim_random_seed(42), b = sim_random_seed(42);
    for (size_t i = 0; i < 1000; i++)
        assert_true(sim_random_next(&a) == sim_random_next(&b));
}

/* From the reference implementation (Blackman and Vigna), state {1, 2, 3, 4}. */
static void the_sequence_is_that_of_xoshiro256(void **state)
{
    (void)state;
    struct sim_random random = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < 4; i++)
        assert_true(sim_random_next(&random) == expected[i]);
}

static void neighbouring_seeds_differ_at_once(void **state)
{
    (void)state;
    struct sim_random a = sim_random_seed(0), b = sim_random_seed(1);
    assert_true(sim_random_next(&a) != sim_random_next(&b));
}

static void numbers_stay_below_their_limit_and_reach_all_below_it(void **state)
{
    (void)state;
    struct sim_random random = sim_random_seed(7);
    uint32_t counts[10] = {0};
    for (size_t i = 0; i < 10000; i++) {
        uint64_t number = sim_random_below(&random, 10);
        assert_true(number < 10);
        counts[number]++;
    }
    for (size_t i = 0; i < 10; i++)
        assert_true(counts[i] > 800 && counts[i] < 1200);
    assert_true(sim_random_below(&random, 1) == 0);
}

static void both_ends_of_a_range_are_reached(void **state)
{
    (void)state;
    struct sim_random random = sim_random_seed(8);
    bool seen[3] = {false, false, false};
    for (size_t i = 0; i < 1000; i++) {
        uint64_t number = sim_random_between(&random, 5, 7);
        assert_true(number >= 5 && number <= 7);
        seen[number - 5] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    assert_true(sim_random_between(&random, 9, 9) == 9);
    assert_true(sim_random_between(&random, 0, UINT64_MAX) !=
                sim_random_between(&random, 0, UINT64_MAX));
}

static void chances_are_what_they_say(void **state)
{
    (void)state;
    struct sim_random random = sim_random_seed(9);
    uint32_t count = 0;
    for (size_t i = 0; i < 10000; i++)
        count += sim_random_chance(&random, 1, 4);
    assert_true(count > 2200 && count < 2800);
    assert_false(sim_random_chance(&random, 0, 5));
    assert_true(sim_random_chance(&random, 5, 5));
}

static void bytes_of_any_count_are_filled_and_no_more(void **state)
{
    (void)state;
    struct sim_random random = sim_random_seed(10);
    for (size_t size = 0; size < 40; size++) {
        uint8_t bytes[41], again[41];
        struct sim_random copy = random;
        memset(bytes, 0xee, sizeof(bytes));
        memset(again, 0x11, sizeof(again));
        sim_random_bytes(&random, bytes, size);
        sim_random_bytes(&copy, again, size);
        assert_memory_equal(bytes, again, size);
        for (size_t i = size; i < sizeof(bytes); i++)
            assert_true(bytes[i] == 0xee && again[i] == 0x11);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_gives_one_sequence),
        cmocka_unit_test(the_sequence_is_that_of_xoshiro256),
        cmocka_unit_test(neighbouring_seeds_differ_at_once),
        cmocka_unit_test(numbers_stay_below_their_limit_and_reach_all_below_it),
        cmocka_unit_test(both_ends_of_a_range_are_reached),
        cmocka_unit_test(chances_are_what_they_say),
        cmocka_unit_test(bytes_of_any_count_are_filled_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
