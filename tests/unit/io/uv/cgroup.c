#include "io/uv/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "io/uv/uv.h"

/* A directory that stands for the machine's root. */
static int enter(void **state)
{
    char *directory = strdup("/tmp/garner-cgroup-XXXXXX");
    *state = directory;
    return mkdtemp(directory) ? 0 : -1;
}

static int leave(void **state)
{
    char command[256];
    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    free(*state);
    return system(command) == 0 ? 0 : -1;
}

static void put(void **state, const char *path, const char *content)
{
    char full[512];
    snprintf(full, sizeof(full), "%s/%s", (char *)*state, path);
    char *last = strrchr(full, '/');
    *last = '\0';
    assert_true(err_is_ok(io_disk_make_path(io_uv_disk(), full, NULL)));
    *last = '/';
    assert_true(err_is_ok(io_disk_write_file(io_uv_disk(), full, slice_string(content), NULL)));
}

static void expect(void **state, uint64_t memory_bytes, uint64_t cpu_milli)
{
    struct io_uv_cgroup limits = io_uv_cgroup_read(*state);
    assert_true(limits.memory_bytes == memory_bytes);
    assert_true(limits.cpu_milli == cpu_milli);
}

static void without_a_group_there_is_no_limit(void **state)
{
    expect(state, UINT64_MAX, UINT64_MAX);
    put(state, "proc/self/cgroup", "0::/\n");
    expect(state, UINT64_MAX, UINT64_MAX);
}

static void version_2_says_max_or_a_number(void **state)
{
    put(state, "proc/self/cgroup", "0::/a/b\n");
    put(state, "sys/fs/cgroup/a/b/memory.max", "max\n");
    put(state, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    expect(state, UINT64_MAX, UINT64_MAX);
    put(state, "sys/fs/cgroup/a/b/memory.max", "536870912\n");
    put(state, "sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
    expect(state, 536870912, 1500);
}

static void the_least_of_all_groups_above_holds(void **state)
{
    put(state, "proc/self/cgroup", "0::/a/b/c\n");
    put(state, "sys/fs/cgroup/a/b/c/memory.max", "1000\n");
    put(state, "sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    put(state, "sys/fs/cgroup/a/memory.max", "800\n");
    put(state, "sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    expect(state, 800, 500);
    /* In a container the root of the mount is the group itself. */
    put(state, "sys/fs/cgroup/memory.max", "600\n");
    put(state, "sys/fs/cgroup/cpu.max", "40000 100000\n");
    expect(state, 600, 400);
}

static void version_1_has_a_tree_a_controller(void **state)
{
    put(state, "proc/self/cgroup", "12:pids:/p\n5:memory:/m/x\n3:cpu,cpuacct:/c\n1:name=x:/n\n");
    put(state, "sys/fs/cgroup/memory/m/x/memory.limit_in_bytes", "9223372036854771712\n");
    put(state, "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "4096\n");
    put(state, "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "-1\n");
    put(state, "sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
    expect(state, 4096, UINT64_MAX);
    put(state, "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "250000\n");
    expect(state, 4096, 2500);
}

static void what_cannot_be_understood_sets_no_limit(void **state)
{
    put(state, "proc/self/cgroup", "nonsense\n::\n0::/a\n\n");
    put(state, "sys/fs/cgroup/a/memory.max", "many\n");
    put(state, "sys/fs/cgroup/a/cpu.max", "100000 0\n");
    expect(state, UINT64_MAX, UINT64_MAX);
    put(state, "sys/fs/cgroup/a/cpu.max", "18446744073709551614 1\n");
    expect(state, UINT64_MAX, UINT64_MAX);
    put(state, "sys/fs/cgroup/a/cpu.max", "");
    put(state, "sys/fs/cgroup/a/memory.max", "");
    expect(state, UINT64_MAX, UINT64_MAX);
}

static void any_allocation_may_fail(void **state)
{
    put(state, "proc/self/cgroup", "0::/a\n");
    put(state, "sys/fs/cgroup/a/memory.max", "4096\n");
    put(state, "sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        struct io_uv_cgroup limits = io_uv_cgroup_read(*state);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_true(limits.memory_bytes == 4096 || limits.memory_bytes == UINT64_MAX);
        assert_true(limits.cpu_milli == 1000 || limits.cpu_milli == UINT64_MAX);
        if (!failed)
            break;
    }
    expect(state, 4096, 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_group_there_is_no_limit),       TEST(version_2_says_max_or_a_number),
        TEST(the_least_of_all_groups_above_holds),     TEST(version_1_has_a_tree_a_controller),
        TEST(what_cannot_be_understood_sets_no_limit), TEST(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
