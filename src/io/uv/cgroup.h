#pragma once

/*
 * What the control group of this process may use (cgroups(7), version 2 and 1): the least of its
 * own limits and those of the groups above it. Any thread.
 */

#include <stdint.h>

struct io_uv_cgroup {
    uint64_t memory_bytes; /* UINT64_MAX: no limit */
    uint64_t cpu_milli;    /* thousandths of a processor; UINT64_MAX: no limit */
};

/* Reads the files under `root` ("" for the machine itself, a directory in tests). What cannot be
 * read or understood sets no limit. */
struct io_uv_cgroup io_uv_cgroup_read(const char *root);
