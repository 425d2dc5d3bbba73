#include "flow/credit.h"

#include "lib/unit.h"

struct taker {
    struct flow_credit_waiter waiter;
    struct flow_credit *credit;
    unsigned granted;
    uint64_t give_back; /* what it gives back as soon as it is served */
    struct taker *cancels;
};

static void granted(struct flow_credit_waiter *waiter)
{
    struct taker *t = CONTAINER_OF(waiter, struct taker, waiter);
    t->granted++;
    if (t->cancels)
        flow_credit_cancel(&t->cancels->waiter);
    if (t->give_back)
        flow_credit_give(t->credit, t->give_back);
}

static struct taker taker_make(struct flow_credit *credit, uint64_t bytes)
{
    return (struct taker){.waiter = {.bytes = bytes, .granted = granted}, .credit = credit};
}

static void the_limit_is_never_passed(void **state)
{
    (void)state;
    struct flow_credit c;
    flow_credit_init(&c, "intake", 100);
    assert_true(flow_credit_take(&c, 60));
    assert_false(flow_credit_take(&c, 41));
    assert_true(flow_credit_take(&c, 40));
    assert_false(flow_credit_take(&c, 1));
    assert_true(flow_credit_take(&c, 0));
    assert_int_equal(c.used_bytes, 100);
    flow_credit_give(&c, 100);
    assert_int_equal(c.used_bytes, 0);
    assert_false(flow_credit_take(&c, 101));
    assert_false(flow_credit_take(&c, UINT64_MAX));
}

static void who_waits_is_served_in_order(void **state)
{
    (void)state;
    struct flow_credit c;
    flow_credit_init(&c, "intake", 100);
    assert_true(flow_credit_take(&c, 100));
    struct taker a = taker_make(&c, 50), b = taker_make(&c, 50), d = taker_make(&c, 1);
    flow_credit_wait(&c, &a.waiter);
    flow_credit_wait(&c, &b.waiter);
    flow_credit_wait(&c, &d.waiter);
    flow_credit_give(&c, 49);
    assert_int_equal(a.granted + b.granted + d.granted, 0);
    flow_credit_give(&c, 1);
    assert_int_equal(a.granted, 1);
    assert_int_equal(b.granted, 0);
    flow_credit_give(&c, 50);
    assert_int_equal(b.granted, 1);
    assert_int_equal(d.granted, 0);
    flow_credit_give(&c, 50);
    assert_int_equal(d.granted, 1);
    assert_int_equal(c.used_bytes, 51);
    assert_int_equal(c.waits_total, 3);
}

static void a_small_one_does_not_overtake_the_line(void **state)
{
    (void)state;
    struct flow_credit c;
    flow_credit_init(&c, "intake", 100);
    assert_true(flow_credit_take(&c, 50));
    struct taker large = taker_make(&c, 100);
    flow_credit_wait(&c, &large.waiter);
    assert_false(flow_credit_take(&c, 1));
    flow_credit_give(&c, 50);
    assert_int_equal(large.granted, 1);
    assert_int_equal(c.used_bytes, 100);
}

static void who_left_the_line_gets_nothing(void **state)
{
    (void)state;
    struct flow_credit c;
    flow_credit_init(&c, "intake", 100);
    assert_true(flow_credit_take(&c, 100));
    struct taker a = taker_make(&c, 100), b = taker_make(&c, 10);
    assert_false(flow_credit_is_awaited(&c));
    flow_credit_wait(&c, &a.waiter);
    flow_credit_wait(&c, &b.waiter);
    flow_credit_cancel(&a.waiter);
    flow_credit_cancel(&a.waiter);
    assert_true(flow_credit_is_awaited(&c));
    flow_credit_give(&c, 100);
    assert_false(flow_credit_is_awaited(&c));
    assert_int_equal(a.granted, 0);
    assert_int_equal(b.granted, 1);
    flow_credit_cancel(&b.waiter);
    assert_int_equal(c.used_bytes, 10);
    struct taker never = taker_make(&c, 10);
    flow_credit_cancel(&never.waiter);
}

static void who_is_served_may_give_back_and_cancel_others(void **state)
{
    (void)state;
    struct flow_credit c;
    flow_credit_init(&c, "intake", 100);
    assert_true(flow_credit_take(&c, 100));
    struct taker a = taker_make(&c, 100), b = taker_make(&c, 100), d = taker_make(&c, 100);
    a.give_back = 100;
    a.cancels = &b;
    flow_credit_wait(&c, &a.waiter);
    flow_credit_wait(&c, &b.waiter);
    flow_credit_wait(&c, &d.waiter);
    flow_credit_give(&c, 100);
    assert_int_equal(a.granted, 1);
    assert_int_equal(b.granted, 0);
    assert_int_equal(d.granted, 1);
    assert_int_equal(c.used_bytes, 100);
    assert_true(list_empty(&c.waiters));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_is_never_passed),
        cmocka_unit_test(who_waits_is_served_in_order),
        cmocka_unit_test(a_small_one_does_not_overtake_the_line),
        cmocka_unit_test(who_left_the_line_gets_nothing),
        cmocka_unit_test(who_is_served_may_give_back_and_cancel_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
