/*
 * /proc/self/cgroup names the group; its limits and those of the groups above it are single files
 * under /sys/fs/cgroup. A limit holds for the whole subtree, so the least one counts. Version 1 has
 * a tree a controller, version 2 one for all; machines that are between the two have both, and all
 * are looked at.
 *
 * What goes wrong: any of the files may be missing (no controller, no cgroup, a container that sees
 * only its own part of the tree). Each such file sets no limit, and the machine's own remain.
 */

#include "io/uv/cgroup.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/number.h"
#include "io/uv/uv.h"

#define FILE_SIZE_MAX 65536u
#define UNLIMITED UINT64_MAX

/* The names of version 1's and 2's files; version 2 has all controllers in one tree. */
struct source {
    const char *tree;
    const char *memory;
    const char *cpu; /* version 2: quota and period */
    const char *quota;
    const char *period;
};

static const struct source version_2 = {"", "memory.max", "cpu.max", NULL, NULL};
static const struct source version_1_memory = {"/memory", "memory.limit_in_bytes", NULL, NULL,
                                               NULL};
static const struct source version_1_cpu = {"/cpu", NULL, NULL, "cpu.cfs_quota_us",
                                            "cpu.cfs_period_us"};

/* The content of `<root><tree><group>/<name>`, empty where there is none. */
static struct slice read_file(struct buf *out, const char *root, const char *tree,
                              struct slice group, const char *name)
{
    ASSERT(out->size == 0);
    struct buf path = {0};
    buf_add_format(&path, "%s%s%.*s/%s", root, tree, SLICE_PRINTF(group), name);
    buf_add_byte(&path, '\0');
    if (buf_ok(&path)) {
        err_t err =
            io_disk_read_file(io_uv_disk(), (const char *)path.data, FILE_SIZE_MAX, out, NULL);
        if (!err_is_ok(err))
            buf_reset(out);
    }
    buf_done(&path);
    return slice_trim(buf_slice(out));
}

/* "max", -1 and what is no number set no limit. */
static uint64_t parse_limit(struct slice text)
{
    uint64_t value = 0;
    ASSERT(text.data || text.size == 0);
    return err_is_ok(number_parse_u64(text, &value)) ? value : UNLIMITED;
}

static uint64_t cpu_milli(uint64_t quota, uint64_t period)
{
    if (quota == UNLIMITED || period == UNLIMITED || period == 0 || quota > UNLIMITED / 1000)
        return UNLIMITED;
    ASSERT(period > 0);
    return quota * 1000 / period;
}

static void lower(uint64_t *limit, uint64_t value)
{
    ASSERT(limit);
    if (value < *limit)
        *limit = value;
}

/* The limits set on one group. */
static void read_group(const char *root, const struct source *source, struct slice group,
                       struct io_uv_cgroup *out)
{
    struct buf first = {0};
    struct buf second = {0};
    char tree[64];
    int length = snprintf(tree, sizeof(tree), "/sys/fs/cgroup%s", source->tree);
    ASSERT(length > 0 && (size_t)length < sizeof(tree));
    if (source->memory)
        lower(&out->memory_bytes,
              parse_limit(read_file(&first, root, tree, group, source->memory)));
    buf_reset(&first);
    if (source->cpu) {
        struct slice period = read_file(&first, root, tree, group, source->cpu);
        struct slice quota = slice_split(&period, ' ');
        lower(&out->cpu_milli, cpu_milli(parse_limit(quota), parse_limit(period)));
    } else if (source->quota) {
        struct slice quota = read_file(&first, root, tree, group, source->quota);
        struct slice period = read_file(&second, root, tree, group, source->period);
        lower(&out->cpu_milli, cpu_milli(parse_limit(quota), parse_limit(period)));
    }
    buf_done(&first);
    buf_done(&second);
}

/* The limits of `group` and of every group above it. In a container the path may be that of the
 * host, which is not mounted; the root of the mount is then the group itself. */
static void read_groups(const char *root, const struct source *source, struct slice group,
                        struct io_uv_cgroup *out)
{
    ASSERT(source);
    while (group.size > 0 && group.data[group.size - 1] == '/')
        group.size--;
    read_group(root, source, group, out);
    while (group.size > 0) {
        while (group.size > 0 && group.data[group.size - 1] != '/')
            group.size--;
        group.size -= group.size > 0;
        read_group(root, source, group, out);
    }
}

static bool has_controller(struct slice list, const char *name)
{
    ASSERT(name);
    while (list.size > 0)
        if (slice_equal_string(slice_split(&list, ','), name))
            return true;
    return false;
}

struct io_uv_cgroup io_uv_cgroup_read(const char *root)
{
    ASSERT(root);
    struct io_uv_cgroup limits = {UNLIMITED, UNLIMITED};
    struct buf content = {0};
    struct slice rest = read_file(&content, root, "", slice_make(NULL, 0), "proc/self/cgroup");
    /* hierarchy:controllers:path, without controllers in version 2 */
    while (rest.size > 0) {
        struct slice group = slice_split(&rest, '\n');
        slice_split(&group, ':');
        struct slice controllers = slice_split(&group, ':');
        if (controllers.size == 0)
            read_groups(root, &version_2, group, &limits);
        if (has_controller(controllers, "memory"))
            read_groups(root, &version_1_memory, group, &limits);
        if (has_controller(controllers, "cpu"))
            read_groups(root, &version_1_cpu, group, &limits);
    }
    buf_done(&content);
    return limits;
}
