/*
 * Lines are gathered and written a megabyte at a time. Whatever a batch holds, the next one is not
 * harmed by it: records that cannot be walked, or are packed in a way that is not built in, end
 * their batch, which is counted. Only what the files themselves refuse ends the export.
 */

#include "cli/export.h"

#include <inttypes.h>

#include "base/assert.h"
#include "format/json/member.h"

#define WRITE_SIZE ((size_t)1 << 20)

void cli_export_render(struct buf *out, const struct flow_record *record)
{
    struct slice rest = record->headers;
    struct flow_header header;
    buf_add_string(out, "{\"offset\":");
    buf_add_i64(out, record->offset);
    buf_add_string(out, ",\"timestamp\":");
    buf_add_i64(out, record->timestamp_ms);
    buf_add_byte(out, ',');
    format_json_add_text(out, "key", record->key);
    buf_add_byte(out, ',');
    format_json_add_value(out, "value", record->value);
    buf_add_string(out, ",\"headers\":[");
    for (uint32_t i = 0; i < record->header_count && flow_record_header(&rest, &header); i++) {
        buf_add_string(out, i > 0 ? ",{" : "{");
        format_json_add_text(out, "key", header.key);
        buf_add_byte(out, ',');
        format_json_add_text(out, "value", header.value);
        buf_add_byte(out, '}');
    }
    buf_add_string(out, "]}\n");
}

static int stop_at_first(void *context, const char *name, enum io_kind kind)
{
    *(bool *)context = name[0] && kind != IO_KIND_NONE;
    return 1;
}

err_t cli_export_begin(struct cli_export *export, struct io_disk *disk, const char *directory,
                       struct err_text *why)
{
    bool occupied = false;
    *export = (struct cli_export){.disk = disk, .directory = directory};
    if (strlen(directory) > sizeof export->path / 2)
        return err_set(why, ERR_INVALID, "%s: the path is too long", directory);
    TRY(io_disk_make_path(disk, directory, why));
    TRY(io_disk_list(disk, directory, stop_at_first, &occupied, why));
    if (occupied)
        return err_set(why, ERR_EXISTS, "%s is not empty; export into a directory that is",
                       directory);
    return err_ok();
}

static err_t write_out(struct cli_export *export, struct err_text *why)
{
    err_t err = buf_error(&export->out);
    if (err_is_ok(err) && export->out.size > 0)
        err = io_file_write(export->file, export->out.data, export->out.size, export->offset);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "%s: %s", export->path, err_string(err));
    export->offset += export->out.size;
    buf_reset(&export->out);
    return err_ok();
}

/* Ends the file at hand. */
static err_t end_file(struct cli_export *export, struct err_text *why)
{
    if (!export->file)
        return err_ok();
    err_t err = write_out(export, why);
    if (err_is_ok(err))
        err = io_file_sync(export->file);
    err_t closed = io_file_close(export->file);
    export->file = NULL;
    export->path[0] = '\0';
    TRY(err);
    return closed;
}

static err_t begin_file(struct cli_export *export, const char *path, struct err_text *why)
{
    TRY(end_file(export, why));
    snprintf(export->path, sizeof export->path, "%s", path);
    TRY(io_disk_open(export->disk, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE,
                     &export->file, why));
    export->offset = 0;
    export->files++;
    return err_ok();
}

err_t cli_export_batch(struct cli_export *export, struct slice topic, uint32_t partition,
                       const struct flow_batch *batch, struct err_text *why)
{
    char path[sizeof export->path];
    int size = snprintf(path, sizeof path, "%s/%.*s-%" PRIu32 ".jsonl", export->directory,
                        SLICE_PRINTF(topic), partition);
    ASSERT(size > 0 && (size_t)size < sizeof path);
    if (strcmp(path, export->path) != 0)
        TRY(begin_file(export, path, why));
    struct flow_batch plain = *batch;
    struct flow_record record;
    err_t err = flow_batch_unpack(&plain, FLOW_BATCH_UNPACKED_SIZE_MAX, &export->unpacked);
    struct flow_batch_iterator it = {0};
    if (err_is_ok(err))
        it = flow_batch_records(&plain);
    while (err_is_ok(err) && err_is_ok(err = flow_batch_next(&it, &record))) {
        cli_export_render(&export->out, &record);
        export->records++;
        if (export->out.size >= WRITE_SIZE)
            TRY(write_out(export, why));
    }
    if (err_is(err, ERR_MEMORY))
        return err;
    if (!err_is(err, ERR_END))
        export->skipped++;
    return buf_error(&export->out);
}

err_t cli_export_end(struct cli_export *export, struct err_text *why)
{
    err_t err = end_file(export, why);
    if (err_is_ok(err))
        err = io_disk_sync_directory(export->disk, export->directory, why);
    buf_done(&export->out);
    buf_done(&export->unpacked);
    return err;
}
