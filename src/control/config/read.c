#include "control/config/read.h"

#include "base/assert.h"
#include "control/config/interpolate.h"
#include "control/config/yaml.h"

/*
 * A file becomes a tree: read, parsed, interpolated. The file's size is bounded before it is read,
 * and a file that cannot be read is a message at its first line like any other mistake in it.
 */

struct control_config_node *control_config_read(const struct control_config_host *host,
                                                const char *path, const char *directory,
                                                struct arena *arena, struct control_report *report)
{
    ASSERT(path && directory);
    struct buf text;
    buf_init(&text, 0);
    struct err_text why = {0};
    err_t err = io_disk_read_file(host->disk, path, CONTROL_CONFIG_FILE_BYTES_MAX, &text, &why);
    const char *file = arena_string(arena, slice_string(path));
    struct control_config_node *root = NULL;
    if (err_is(err, ERR_MEMORY) || !file)
        control_report_no_memory(report);
    else if (!err_is_ok(err))
        control_report_error(report, (struct control_place){file, 1, 1, "(root)"},
                             "expected a file that can be read: %s", err_detail(err, &why));
    else
        root = control_config_yaml_parse(buf_slice(&text), file, arena, report);
    buf_done(&text);
    /* In place, and also when the file had mistakes: those in its values show in the same run. */
    if (root)
        control_config_interpolate(root, host, directory, arena, report);
    return root;
}
