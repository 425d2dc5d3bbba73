#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/uv/uv.h"

static void processors_are_those_of_the_affinity_at_the_most(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    uint32_t count = io_uv_cpu_count();
    assert_true(count >= 1 && count <= (uint32_t)CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(io_uv_cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void memory_is_that_of_the_machine_at_the_most(void **state)
{
    (void)state;
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
    uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t bytes = io_uv_memory_bytes();
    assert_true(bytes >= 16u << 20);
    assert_true(bytes <= pages * page_size);
}

static void resident_memory_grows_with_what_is_touched(void **state)
{
    (void)state;
    size_t size = 64u << 20;
    uint64_t before = io_uv_resident_bytes();
    assert_true(before > 0 && before < io_uv_memory_bytes());
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    uint64_t after = io_uv_resident_bytes();
    assert_true(after > before + size / 2);
    assert_int_equal(munmap(memory, size), 0);
}

static void the_file_limit_is_raised_to_the_hard_one(void **state)
{
    (void)state;
    struct rlimit before, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {64, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_true(io_uv_raise_file_limit() == before.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_true(after.rlim_cur == before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_are_those_of_the_affinity_at_the_most),
        cmocka_unit_test(memory_is_that_of_the_machine_at_the_most),
        cmocka_unit_test(resident_memory_grows_with_what_is_touched),
        cmocka_unit_test(the_file_limit_is_raised_to_the_hard_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
