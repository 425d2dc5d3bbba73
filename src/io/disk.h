#pragma once

/*
 * Files. All calls block, so they are made from jobs (io_offload) or while nothing is served.
 * They are an interface, so that the simulator can lose, tear and rot what was written, and so
 * that wrappers can make any single call fail or be the last. Paths are as given to the system;
 * a detail always names the path and the system's reason. Any thread, one at a time a file.
 */

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct io_disk;
struct io_file;

enum io_open_flags {
    IO_OPEN_READ = 1,
    IO_OPEN_WRITE = 2,
    IO_OPEN_CREATE = 4,    /* made when missing (mode 0640) */
    IO_OPEN_EXCLUSIVE = 8, /* with CREATE: ERR_EXISTS when there is one */
    IO_OPEN_DIRECT = 16,   /* past the page cache: addresses, sizes, offsets in IO_BLOCK;
                              ERR_UNSUPPORTED   where the file system has none */
    IO_OPEN_TRUNCATE = 32,
};

/* Alignment of direct I/O. */
#define IO_BLOCK 4096u

enum io_kind { IO_KIND_NONE, IO_KIND_FILE, IO_KIND_DIRECTORY, IO_KIND_OTHER };

struct io_space {
    uint64_t total_bytes;
    uint64_t free_bytes; /* for us, without what is reserved for root */
    bool network;        /* NFS, CIFS and the like: locks and flushes cannot be trusted */
};

/* What io_disk_list calls for each name but "." and ".."; not zero ends the walk. */
typedef int io_list_fn(void *context, const char *name, enum io_kind kind);

struct io_disk_ops {
    err_t (*open)(struct io_disk *disk, const char *path, unsigned flags, struct io_file **out,
                  struct err_text *why);
    err_t (*close)(struct io_file *file);
    err_t (*read)(struct io_file *file, void *data, size_t size, uint64_t offset, size_t *got);
    err_t (*write)(struct io_file *file, const void *data, size_t size, uint64_t offset);
    err_t (*sync)(struct io_file *file);
    err_t (*truncate)(struct io_file *file, uint64_t size);
    err_t (*size)(struct io_file *file, uint64_t *size);
    err_t (*lock)(struct io_file *file);
    void (*write_behind)(struct io_file *file, uint64_t offset, uint64_t size);
    bool (*in_memory)(struct io_file *file, uint64_t offset, uint64_t size);
    err_t (*sync_all)(struct io_file *file);
    err_t (*rename)(struct io_disk *disk, const char *from, const char *to, struct err_text *why);
    err_t (*remove)(struct io_disk *disk, const char *path, struct err_text *why);
    err_t (*make_directory)(struct io_disk *disk, const char *path, struct err_text *why);
    err_t (*sync_directory)(struct io_disk *disk, const char *path, struct err_text *why);
    err_t (*list)(struct io_disk *disk, const char *path, io_list_fn *each, void *context,
                  struct err_text *why);
    err_t (*kind)(struct io_disk *disk, const char *path, enum io_kind *out, struct err_text *why);
    err_t (*space)(struct io_disk *disk, const char *path, struct io_space *out,
                   struct err_text *why);
};

struct io_disk {
    const struct io_disk_ops *ops;
};

/* The head of every implementation's file. */
struct io_file {
    const struct io_disk_ops *ops;
};

/* Opens a file; io_file_close frees it. */
static inline err_t io_disk_open(struct io_disk *disk, const char *path, unsigned flags,
                                 struct io_file **out, struct err_text *why)
{
    ASSERT(flags & (IO_OPEN_READ | IO_OPEN_WRITE));
    return disk->ops->open(disk, path, flags, out, why);
}

/* Closes and frees; an error says that the system had one to report. NULL is fine. */
static inline err_t io_file_close(struct io_file *file)
{
    return file ? file->ops->close(file) : err_ok();
}

/* Reads up to `size` bytes at `offset`; `*got` is less only at the end of the file. */
static inline err_t io_file_read(struct io_file *file, void *data, size_t size, uint64_t offset,
                                 size_t *got)
{
    ASSERT(data || size == 0);
    return file->ops->read(file, data, size, offset, got);
}

/* Writes all of `size` bytes at `offset`, or fails (then any part may have been written). */
static inline err_t io_file_write(struct io_file *file, const void *data, size_t size,
                                  uint64_t offset)
{
    ASSERT(data || size == 0);
    return file->ops->write(file, data, size, offset);
}

/* What was written is on the device, with the size needed to read it back (fdatasync). After a
 * failure nothing is known of what was written since the last success. */
static inline err_t io_file_sync(struct io_file *file)
{
    ASSERT(file);
    return file->ops->sync(file);
}

static inline err_t io_file_truncate(struct io_file *file, uint64_t size)
{
    ASSERT(size <= INT64_MAX);
    return file->ops->truncate(file, size);
}

static inline err_t io_file_size(struct io_file *file, uint64_t *size)
{
    ASSERT(size);
    return file->ops->size(file, size);
}

/* An exclusive advisory lock for as long as the file is open; ERR_IN_USE when another process
 * has it. */
static inline err_t io_file_lock(struct io_file *file)
{
    ASSERT(file);
    return file->ops->lock(file);
}

/* A hint: begin to bring what was written there to the device, and wait for nothing, so that a
 * later io_file_sync has little to do. Promises nothing, reports nothing. */
static inline void io_file_write_behind(struct io_file *file, uint64_t offset, uint64_t size)
{
    ASSERT(file);
    file->ops->write_behind(file, offset, size);
}

/* True when the system holds all of the range in memory, so that reading it, through a handle that
 * is not direct, hardly waits. A hint: it may be gone when it is read, and is read all the same. */
static inline bool io_file_in_memory(struct io_file *file, uint64_t offset, uint64_t size)
{
    ASSERT(size > 0 && offset <= UINT64_MAX - size);
    return file->ops->in_memory(file, offset, size);
}

/* Everything that was written, made, renamed and removed on the file system of `file` (which may
 * be a directory, opened to be read) is on the device: for when thousands of files changed. Covers
 * what was written since `file` was opened: open it before the first write, or a failed one may go
 * unreported. After a failure nothing is known. */
static inline err_t io_file_sync_all(struct io_file *file)
{
    ASSERT(file);
    return file->ops->sync_all(file);
}

/* Replaces `to` atomically; survives a crash once the directory is synced. */
static inline err_t io_disk_rename(struct io_disk *disk, const char *from, const char *to,
                                   struct err_text *why)
{
    ASSERT(from[0] && to[0]);
    return disk->ops->rename(disk, from, to, why);
}

/* Removes a file or an empty directory; ERR_NO_FILE when there is none. */
static inline err_t io_disk_remove(struct io_disk *disk, const char *path, struct err_text *why)
{
    ASSERT(path[0]);
    return disk->ops->remove(disk, path, why);
}

/* Makes one directory (mode 0750); one that is there already is success. */
static inline err_t io_disk_make_directory(struct io_disk *disk, const char *path,
                                           struct err_text *why)
{
    ASSERT(path[0]);
    return disk->ops->make_directory(disk, path, why);
}

/* Names made, renamed and removed in `path` survive a crash. */
static inline err_t io_disk_sync_directory(struct io_disk *disk, const char *path,
                                           struct err_text *why)
{
    ASSERT(path[0]);
    return disk->ops->sync_directory(disk, path, why);
}

static inline err_t io_disk_list(struct io_disk *disk, const char *path, io_list_fn *each,
                                 void *context, struct err_text *why)
{
    ASSERT(each);
    return disk->ops->list(disk, path, each, context, why);
}

/* What stands at `path`; IO_KIND_NONE is success. */
static inline err_t io_disk_kind(struct io_disk *disk, const char *path, enum io_kind *out,
                                 struct err_text *why)
{
    ASSERT(path[0] && out);
    return disk->ops->kind(disk, path, out, why);
}

static inline err_t io_disk_space(struct io_disk *disk, const char *path, struct io_space *out,
                                  struct err_text *why)
{
    ASSERT(path[0] && out);
    return disk->ops->space(disk, path, out, why);
}

/* Makes `path` and every directory missing above it, each synced in its parent, also one that is
 * there but whose maker may have been killed before it came to that. */
err_t io_disk_make_path(struct io_disk *disk, const char *path, struct err_text *why);
/* Reads a whole file of `size_max` bytes at the most (ERR_TOO_LARGE) into `out`. */
err_t io_disk_read_file(struct io_disk *disk, const char *path, size_t size_max, struct buf *out,
                        struct err_text *why);
/* Puts `content` at `path` so that after a crash there is the old file or the new one, whole:
 * writes `path`.tmp, syncs, renames, syncs the directory. */
err_t io_disk_write_file(struct io_disk *disk, const char *path, struct slice content,
                         struct err_text *why);
