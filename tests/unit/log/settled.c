#include "log/settled.h"

#include "base/alloc.h"
#include "unit/log/payload.h"

#define OFFSETS 64

static err_t add(struct log_settled *s, int64_t first, int64_t end)
{
    return log_settled_add(
        s, &(struct flow_settled_run){first, end, end > first ? (uint64_t)(end - first) : 0});
}

static void runs_that_touch_are_one(void **state)
{
    (void)state;
    struct log_settled s = {0};
    assert_code(add(&s, 10, 12), OK);
    assert_code(add(&s, 14, 15), OK);
    assert_int_equal(s.count, 2);
    assert_code(add(&s, 15, 20), OK);
    assert_code(add(&s, 8, 10), OK);
    assert_int_equal(s.count, 2);
    assert_code(add(&s, 12, 14), OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.runs[0].first_offset, 8);
    assert_int_equal(s.runs[0].end_offset, 20);
    assert_int_equal(s.runs[0].record_count, 12);
    assert_int_equal(s.records, 12);
    assert_int_equal(log_settled_end(&s, 8), 20);
    assert_int_equal(log_settled_end(&s, 19), 20);
    assert_int_equal(log_settled_end(&s, 20), 20);
    assert_int_equal(log_settled_end(&s, 7), 7);
    log_settled_done(&s);
}

static void what_is_settled_or_nothing_is_refused(void **state)
{
    (void)state;
    struct log_settled s = {0};
    assert_code(add(&s, 10, 12), OK);
    assert_code(add(&s, 11, 13), CORRUPT);
    assert_code(add(&s, 9, 11), CORRUPT);
    assert_code(add(&s, 9, 13), CORRUPT);
    assert_code(add(&s, 5, 5), CORRUPT);
    assert_code(add(&s, -1, 5), CORRUPT);
    assert_code(log_settled_add(&s, &(struct flow_settled_run){1, 3, 3}), CORRUPT);
    assert_code(log_settled_add(&s, &(struct flow_settled_run){1, 3, 0}), CORRUPT);
    assert_int_equal(s.records, 2);
    log_settled_done(&s);
}

static void holes_are_counted_once(void **state)
{
    (void)state;
    struct log_settled s = {0};
    /* Twenty offsets with five records, the first ones. */
    assert_code(log_settled_add(&s, &(struct flow_settled_run){0, 20, 5}), OK);
    assert_int_equal(log_settled_remove(&s, 0, 3), 3);
    assert_int_equal(s.records, 2);
    assert_int_equal(log_settled_remove(&s, 0, 10), 2);
    assert_int_equal(s.count, 0);
    log_settled_done(&s);
}

static void what_was_reserved_needs_no_memory(void **state)
{
    (void)state;
    struct log_settled s = {0};
    assert_code(log_settled_reserve(&s, 20), OK);
    mem_fail_after(1);
    for (int64_t i = 0; i < 20; i++)
        assert_code(add(&s, i * 2, i * 2 + 1), OK);
    assert_code(log_settled_reserve(&s, 1000), MEMORY);
    mem_fail_after(0);
    assert_int_equal(s.count, 20);
    log_settled_done(&s);
}

/* The set as an array of flags, for the long way round. */
static void assert_is(const struct log_settled *s, const bool settled[static OFFSETS])
{
    uint64_t records = 0;
    for (int64_t i = 0; i < OFFSETS; i++) {
        records += settled[i];
        assert_int_equal(log_settled_overlaps(s, i, i + 1), settled[i]);
        int64_t end = i;
        while (end < OFFSETS && settled[end])
            end++;
        assert_int_equal(log_settled_end(s, i), end);
    }
    assert_int_equal(s->records, records);
    for (uint32_t i = 1; i < s->count; i++)
        assert_true(s->runs[i - 1].end_offset < s->runs[i].first_offset);
}

static void any_order_gives_the_set_that_it_should(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 200; round++) {
        struct log_settled s = {0};
        bool settled[OFFSETS] = {false};
        for (int step = 0; step < 60; step++) {
            int64_t first = (int64_t)(unit_random(&seed) % OFFSETS);
            int64_t end = first + 1 + (int64_t)(unit_random(&seed) % 6);
            end = end > OFFSETS ? OFFSETS : end;
            uint64_t there = 0;
            for (int64_t i = first; i < end; i++)
                there += settled[i];
            bool take = unit_random(&seed) % 4 == 0;
            if (take)
                assert_int_equal(log_settled_remove(&s, first, end), there);
            else if (there > 0)
                assert_code(add(&s, first, end), CORRUPT);
            else
                assert_code(add(&s, first, end), OK);
            for (int64_t i = first; i < end && (take || there == 0); i++)
                settled[i] = !take;
            assert_is(&s, settled);
        }
        log_settled_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_that_touch_are_one),
        cmocka_unit_test(what_is_settled_or_nothing_is_refused),
        cmocka_unit_test(holes_are_counted_once),
        cmocka_unit_test(what_was_reserved_needs_no_memory),
        cmocka_unit_test(any_order_gives_the_set_that_it_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
