#include "server/memory.h"

#include "lib/unit.h"

#define MIB (UINT64_C(1) << 20)

static struct server_memory divide(uint64_t limit, uint32_t loops, size_t cores, uint64_t body)
{
    struct control_config config = {.memory_limit = limit, .loops = loops};
    struct server_memory memory;
    config.intake.body_bytes_max = body;
    server_memory_divide(&config, cores, &memory);
    return memory;
}

static void all_shares_together_are_within_every_limit(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (uint32_t round = 0; round < 100000; round++) {
        uint64_t limit = 32 * MIB + unit_random(&random) % (round % 2 ? 256 * MIB : 4096 * MIB);
        uint32_t loops = (uint32_t)(unit_random(&random) % (limit / (32 * MIB) + 1));
        uint64_t body = 1 + unit_random(&random) % (64 * MIB);
        struct server_memory m = divide(limit, loops, 1 + unit_random(&random) % 256, body);
        assert_in_range(server_memory_sum(&m), limit / 2, limit);
        /* A body is read, and a request of the size that is promised fits what stands behind. */
        assert_in_range(m.body_bytes_max, 1, m.bodies_bytes);
        assert_true(m.request_bytes_max < m.large_bytes);
        assert_true(m.request_bytes_max <= m.redrive_bytes);
        /* A record of usual size, and a batch of Kafka's. */
        assert_true(m.request_bytes_max > 2 * MIB && m.bodies_bytes >= 4 * MIB - 4);
        assert_true(m.fetch_bytes >= 2 * MIB - 4);
    }
}

static void there_are_as_many_loops_as_have_room_for_a_body(void **state)
{
    (void)state;
    assert_int_equal(divide(32 * MIB, 0, 8, 8 * MIB).loop_count, 1);
    assert_int_equal(divide(96 * MIB, 0, 8, 8 * MIB).loop_count, 1);
    assert_int_equal(divide(128 * MIB, 0, 8, 8 * MIB).loop_count, 2);
    assert_int_equal(divide(128 * MIB, 0, 1, 8 * MIB).loop_count, 1);
    assert_int_equal(divide(512 * MIB, 0, 64, 8 * MIB).loop_count, 8);
    assert_int_equal(divide(512 * MIB, 0, 64, 1).loop_count, 16);
    assert_int_equal(divide(4096 * MIB, 0, 8, 64 * MIB).loop_count, 8);
    /* As it is asked for. */
    assert_int_equal(divide(64 * MIB, 2, 8, 8 * MIB).loop_count, 2);
}

static void a_body_is_no_larger_than_there_is_room_for(void **state)
{
    (void)state;
    assert_int_equal(divide(32 * MIB, 0, 2, 8 * MIB).body_bytes_max, 4 * MIB);
    assert_int_equal(divide(64 * MIB, 2, 2, 8 * MIB).body_bytes_max, 4 * MIB);
    assert_int_equal(divide(64 * MIB, 0, 2, 8 * MIB).body_bytes_max, 8 * MIB);
    assert_int_equal(divide(1024 * MIB, 0, 2, 64 * MIB).body_bytes_max, 64 * MIB);
}

/* Where a configuration may ask for it, a body of the largest size finds room to its end. */
static void what_the_configuration_permits_fits(void **state)
{
    (void)state;
    struct server_memory m = divide(704 * MIB, 0, 2, 64 * MIB);
    assert_true(m.body_bytes_max == 64 * MIB && m.request_bytes_max == 64 * MIB);
    assert_true(m.batches_bytes > 64 * MIB);
    m = divide(88 * MIB, 0, 2, 8 * MIB);
    assert_true(m.body_bytes_max == 8 * MIB && m.request_bytes_max >= 8 * MIB);
}

static void with_much_memory_nothing_grows_without_use(void **state)
{
    (void)state;
    struct server_memory m = divide(UINT64_C(64) << 30, 0, 8, 8 * MIB);
    assert_int_equal(m.tail_bytes, 64 * MIB);
    assert_int_equal(m.request_bytes_max, 64 * MIB);
    assert_int_equal(m.sink_bytes, 16 * MIB);
    assert_int_equal(m.loop_count, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_shares_together_are_within_every_limit),
        cmocka_unit_test(there_are_as_many_loops_as_have_room_for_a_body),
        cmocka_unit_test(a_body_is_no_larger_than_there_is_room_for),
        cmocka_unit_test(what_the_configuration_permits_fits),
        cmocka_unit_test(with_much_memory_nothing_grows_without_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
