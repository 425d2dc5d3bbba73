#include "sim/recycling_disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/number.h"

struct file {
    struct io_file io;
    struct recycling_disk *disk;
    struct io_file *inner;
    struct io_file *donor; /* the older file, or NULL */
};

static const struct io_disk_ops ops;

static struct recycling_disk *disk_of(struct io_disk *io)
{
    return CONTAINER_OF(io, struct recycling_disk, io);
}

static struct file *file_of(struct io_file *io)
{
    return CONTAINER_OF(io, struct file, io);
}

/* The file before the one that is being made, if it is there: `.../<20 digits>.wal.making`. */
static struct io_file *open_donor(struct recycling_disk *disk, const char *path)
{
    struct slice name = slice_string(path);
    struct slice suffix = slice_string(".wal.making");
    uint64_t number = 0;
    if (!disk->recycles || !slice_ends_with(name, suffix))
        return NULL;
    size_t digits = name.size - suffix.size - 20;
    if (!err_is_ok(number_parse_u64(slice_sub(name, digits, 20), &number)) || number < 2)
        return NULL;
    char donor[512];
    int size =
        snprintf(donor, sizeof donor, "%.*s%020" PRIu64 ".wal", (int)digits, path, number - 1);
    ASSERT(size > 0 && (size_t)size < sizeof donor);
    struct io_file *file = NULL;
    err_t err = io_disk_open(disk->inner, donor, IO_OPEN_READ, &file, NULL);
    return err_is_ok(err) ? file : NULL;
}

static err_t disk_open(struct io_disk *io, const char *path, unsigned flags, struct io_file **out,
                       struct err_text *why)
{
    struct recycling_disk *disk = disk_of(io);
    if (disk->cut_off)
        return err_make(ERR_IO);
    struct file *file = mem_zalloc(1, sizeof *file);
    if (!file)
        return err_make(ERR_MEMORY);
    err_t err = io_disk_open(disk->inner, path, flags, &file->inner, why);
    if (!err_is_ok(err)) {
        mem_free(file);
        return err;
    }
    file->io.ops = &ops;
    file->disk = disk;
    file->donor = open_donor(disk, path);
    *out = &file->io;
    return err_ok();
}

static err_t disk_close(struct io_file *io)
{
    struct file *file = file_of(io);
    err_t err = io_file_close(file->donor);
    err_t closed = io_file_close(file->inner);
    mem_free(file);
    return err_is_ok(closed) ? err : closed;
}

static err_t disk_read(struct io_file *io, void *data, size_t size, uint64_t offset, size_t *got)
{
    struct file *file = file_of(io);
    TRY(err_make(file->disk->cut_off ? ERR_IO : ERR_OK));
    return io_file_read(file->inner, data, size, offset, got);
}

/* What the older file has at the place, instead of `data`; past its end `data` itself. */
static err_t write_recycled(struct file *file, const void *data, size_t size, uint64_t offset)
{
    uint8_t *mixed = mem_alloc_aligned(IO_BLOCK, size);
    if (!mixed)
        return err_make(ERR_MEMORY);
    memcpy(mixed, data, size);
    size_t got = 0;
    err_t err = io_file_read(file->donor, mixed, size, offset, &got);
    file->disk->recycled += got / IO_BLOCK;
    if (err_is_ok(err))
        err = io_file_write(file->inner, mixed, size, offset);
    mem_free(mixed);
    return err;
}

static err_t disk_write(struct io_file *io, const void *data, size_t size, uint64_t offset)
{
    struct file *file = file_of(io);
    TRY(err_make(file->disk->cut_off ? ERR_IO : ERR_OK));
    return file->donor ? write_recycled(file, data, size, offset)
                       : io_file_write(file->inner, data, size, offset);
}

static err_t disk_sync(struct io_file *io)
{
    struct file *file = file_of(io);
    TRY(err_make(file->disk->cut_off ? ERR_IO : ERR_OK));
    return io_file_sync(file->inner);
}

static err_t disk_truncate(struct io_file *io, uint64_t size)
{
    struct file *file = file_of(io);
    TRY(err_make(file->disk->cut_off ? ERR_IO : ERR_OK));
    return io_file_truncate(file->inner, size);
}

static err_t disk_size(struct io_file *io, uint64_t *size)
{
    struct file *file = file_of(io);
    TRY(err_make(file->disk->cut_off ? ERR_IO : ERR_OK));
    return io_file_size(file->inner, size);
}

static err_t disk_lock(struct io_file *io)
{
    struct file *file = file_of(io);
    TRY(err_make(file->disk->cut_off ? ERR_IO : ERR_OK));
    return io_file_lock(file->inner);
}

static void disk_write_behind(struct io_file *io, uint64_t offset, uint64_t size)
{
    struct file *file = file_of(io);
    if (!file->disk->cut_off)
        io_file_write_behind(file->inner, offset, size);
}

static err_t disk_sync_all(struct io_file *io)
{
    struct file *file = file_of(io);
    TRY(err_make(file->disk->cut_off ? ERR_IO : ERR_OK));
    return io_file_sync_all(file->inner);
}

static err_t disk_rename(struct io_disk *io, const char *from, const char *to, struct err_text *why)
{
    TRY(err_make(disk_of(io)->cut_off ? ERR_IO : ERR_OK));
    return io_disk_rename(disk_of(io)->inner, from, to, why);
}

static err_t disk_remove(struct io_disk *io, const char *path, struct err_text *why)
{
    TRY(err_make(disk_of(io)->cut_off ? ERR_IO : ERR_OK));
    return io_disk_remove(disk_of(io)->inner, path, why);
}

static err_t disk_make_directory(struct io_disk *io, const char *path, struct err_text *why)
{
    TRY(err_make(disk_of(io)->cut_off ? ERR_IO : ERR_OK));
    return io_disk_make_directory(disk_of(io)->inner, path, why);
}

static err_t disk_sync_directory(struct io_disk *io, const char *path, struct err_text *why)
{
    TRY(err_make(disk_of(io)->cut_off ? ERR_IO : ERR_OK));
    return io_disk_sync_directory(disk_of(io)->inner, path, why);
}

static err_t disk_list(struct io_disk *io, const char *path, io_list_fn *each, void *context,
                       struct err_text *why)
{
    TRY(err_make(disk_of(io)->cut_off ? ERR_IO : ERR_OK));
    return io_disk_list(disk_of(io)->inner, path, each, context, why);
}

static err_t disk_kind(struct io_disk *io, const char *path, enum io_kind *out,
                       struct err_text *why)
{
    TRY(err_make(disk_of(io)->cut_off ? ERR_IO : ERR_OK));
    return io_disk_kind(disk_of(io)->inner, path, out, why);
}

static err_t disk_space(struct io_disk *io, const char *path, struct io_space *out,
                        struct err_text *why)
{
    TRY(err_make(disk_of(io)->cut_off ? ERR_IO : ERR_OK));
    return io_disk_space(disk_of(io)->inner, path, out, why);
}

static const struct io_disk_ops ops = {
    .open = disk_open,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
    .sync = disk_sync,
    .truncate = disk_truncate,
    .size = disk_size,
    .lock = disk_lock,
    .write_behind = disk_write_behind,
    .sync_all = disk_sync_all,
    .rename = disk_rename,
    .remove = disk_remove,
    .make_directory = disk_make_directory,
    .sync_directory = disk_sync_directory,
    .list = disk_list,
    .kind = disk_kind,
    .space = disk_space,
};

void recycling_disk_init(struct recycling_disk *disk, struct io_disk *inner)
{
    *disk = (struct recycling_disk){.io = {.ops = &ops}, .inner = inner};
}
