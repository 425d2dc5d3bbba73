#include "io/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"

#define TIMERS 500u

static void run_nothing(struct io_timer *timer)
{
    (void)timer;
}

static struct io_timer timer_at(uint64_t due_ns)
{
    return (struct io_timer){.run = run_nothing, .due_ns = due_ns};
}

static struct io_timer *take(struct io_heap *heap)
{
    struct io_timer *first = io_heap_first(heap);
    if (first)
        io_heap_remove(heap, first);
    return first;
}

static void put(struct io_heap *heap, struct io_timer *timer)
{
    assert_true(err_is_ok(io_heap_put(heap, timer)));
}

static void the_one_due_first_comes_first(void **state)
{
    (void)state;
    struct io_heap heap = {0};
    struct io_timer a = timer_at(5), b = timer_at(1), c = timer_at(3);
    assert_null(io_heap_first(&heap));
    put(&heap, &a);
    put(&heap, &b);
    put(&heap, &c);
    assert_ptr_equal(take(&heap), &b);
    assert_ptr_equal(take(&heap), &c);
    assert_ptr_equal(take(&heap), &a);
    assert_null(take(&heap));
    io_heap_done(&heap);
}

static void equal_times_come_in_the_order_of_starting(void **state)
{
    (void)state;
    struct io_heap heap = {0};
    struct io_timer timers[100];
    for (size_t i = 0; i < 100; i++)
        timers[i] = timer_at(7);
    for (size_t i = 0; i < 100; i++)
        put(&heap, &timers[i]);
    put(&heap, &timers[0]);
    for (size_t i = 1; i < 100; i++)
        assert_ptr_equal(take(&heap), &timers[i]);
    assert_ptr_equal(take(&heap), &timers[0]);
    io_heap_done(&heap);
}

static void a_timer_that_is_in_is_moved(void **state)
{
    (void)state;
    struct io_heap heap = {0};
    struct io_timer a = timer_at(1), b = timer_at(2), c = timer_at(3);
    put(&heap, &a);
    put(&heap, &b);
    put(&heap, &c);
    a.due_ns = 9;
    put(&heap, &a);
    c.due_ns = 0;
    put(&heap, &c);
    assert_int_equal(heap.count, 3);
    assert_ptr_equal(take(&heap), &c);
    assert_ptr_equal(take(&heap), &b);
    assert_ptr_equal(take(&heap), &a);
    io_heap_done(&heap);
}

static void removing_what_is_not_in_is_harmless(void **state)
{
    (void)state;
    struct io_heap heap = {0};
    struct io_timer a = timer_at(1), b = timer_at(2);
    io_heap_remove(&heap, &a);
    put(&heap, &a);
    io_heap_remove(&heap, &b);
    io_heap_remove(&heap, &a);
    io_heap_remove(&heap, &a);
    assert_int_equal(heap.count, 0);
    io_heap_done(&heap);
}

static void any_mix_of_starts_and_stops_keeps_the_order(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 50; seed++) {
        struct io_heap heap = {0};
        static struct io_timer timers[TIMERS];
        unsigned random = seed;
        for (size_t i = 0; i < TIMERS; i++)
            timers[i] = timer_at(0);
        for (size_t i = 0; i < 5 * TIMERS; i++) {
            struct io_timer *timer = &timers[(size_t)rand_r(&random) % TIMERS];
            if (rand_r(&random) % 3 == 0) {
                io_heap_remove(&heap, timer);
            } else {
                timer->due_ns = (uint64_t)rand_r(&random) % 1000;
                put(&heap, timer);
            }
        }
        size_t count = heap.count;
        uint64_t due = 0, order = 0;
        for (struct io_timer *timer; (timer = take(&heap)); count--) {
            if (timer->due_ns < due || (timer->due_ns == due && timer->order < order))
                fail_msg("seed %u", seed);
            due = timer->due_ns;
            order = timer->order;
        }
        assert_int_equal(count, 0);
        io_heap_done(&heap);
    }
}

static void one_failed_allocation_is_survived_and_a_lasting_lack_is_an_error(void **state)
{
    (void)state;
    struct io_heap heap = {0};
    struct io_timer timers[65];
    for (size_t i = 0; i < 65; i++)
        timers[i] = timer_at(i);
    mem_fail_after(1);
    assert_true(err_is(io_heap_put(&heap, &timers[0]), ERR_MEMORY));
    assert_int_equal(timers[0].heap_index, 0);
    mem_fail_after(0);
    assert_true(err_is_ok(io_heap_reserve(&heap, 64)));
    for (size_t i = 0; i < 64; i++) {
        mem_fail_after(1);
        assert_true(err_is_ok(io_heap_put(&heap, &timers[i])));
    }
    mem_fail_after(1);
    assert_true(err_is(io_heap_put(&heap, &timers[64]), ERR_MEMORY));
    mem_fail_after(0);
    put(&heap, &timers[64]);
    for (size_t i = 0; i < 65; i++)
        assert_ptr_equal(take(&heap), &timers[i]);
    io_heap_done(&heap);
}

static void timers_of_a_heap_that_is_gone_are_stopped(void **state)
{
    (void)state;
    struct io_heap heap = {0};
    struct io_timer a = timer_at(1);
    put(&heap, &a);
    io_heap_done(&heap);
    assert_int_equal(a.heap_index, 0);
    assert_int_equal(heap.capacity, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_due_first_comes_first),
        cmocka_unit_test(equal_times_come_in_the_order_of_starting),
        cmocka_unit_test(a_timer_that_is_in_is_moved),
        cmocka_unit_test(removing_what_is_not_in_is_harmless),
        cmocka_unit_test(any_mix_of_starts_and_stops_keeps_the_order),
        cmocka_unit_test(one_failed_allocation_is_survived_and_a_lasting_lack_is_an_error),
        cmocka_unit_test(timers_of_a_heap_that_is_gone_are_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
