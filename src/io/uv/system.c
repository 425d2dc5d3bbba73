/*
 * What the machine and its limits allow. A limit that cannot be read is no limit: a guess that is
 * too low would make every container without these files slow.
 */

#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/number.h"
#include "io/uv/cgroup.h"
#include "io/uv/uv.h"

uint32_t io_uv_cpu_count(void)
{
    cpu_set_t set;
    /* The call fails where there are more processors than the set can hold. */
    int64_t count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
                                                                 : sysconf(_SC_NPROCESSORS_ONLN);
    ASSERT(count <= UINT32_MAX);
    /* Whole processors only: a loop on a part of one would be stopped in the middle of its work
     * when the quota is used up. */
    uint64_t quota = io_uv_cgroup_read("").cpu_milli / 1000;
    if (count < 1)
        count = 1;
    if ((uint64_t)count > quota)
        count = quota < 1 ? 1 : (int64_t)quota;
    return (uint32_t)count;
}

uint64_t io_uv_memory_bytes(void)
{
    struct sysinfo machine;
    ASSERT(sysinfo(&machine) == 0);
    uint64_t total = (uint64_t)machine.totalram * machine.mem_unit;
    uint64_t limit = io_uv_cgroup_read("").memory_bytes;
    return limit < total ? limit : total;
}

uint64_t io_uv_resident_bytes(void)
{
    struct buf content = {0};
    uint64_t pages = 0;
    err_t err = io_disk_read_file(io_uv_disk(), "/proc/self/statm", 4096, &content, NULL);
    if (err_is_ok(err)) {
        /* size resident ... */
        struct slice rest = buf_slice(&content);
        slice_split(&rest, ' ');
        err = number_parse_u64(slice_split(&rest, ' '), &pages);
    }
    ASSERT(err_is_ok(err) || pages == 0);
    buf_done(&content);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t io_uv_raise_file_limit(void)
{
    struct rlimit limit;
    ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}
