/*
 * The system's calls, with what they leave to their callers: a call that a signal interrupted is
 * made again, and a transfer that was cut is continued until all is done or the end is met.
 *
 * What goes wrong: an error of a write or a flush is passed on and never retried here. After one
 * the kernel may have dropped the very pages it failed to write and call the next flush a success,
 * so only the caller, who still has the bytes, can put things right.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "io/uv/uv.h"

/* Not among the kernel's public headers. */
#define CIFS_MAGIC 0xff534d42u
/* 16 MiB. */
#define LOOK_PAGES_MAX 4096u

struct io_uv_file {
    struct io_file io;
    int fd;
    bool direct;
};

static struct io_uv_file *file_of(struct io_file *file)
{
    ASSERT(file);
    return (struct io_uv_file *)file;
}

static err_t failed(int error, const char *path, struct err_text *why)
{
    ASSERT(error > 0);
    char text[128];
    return err_set(why, (enum err_code)err_from_errno(error).code, "%s: %s", path,
                   strerror_r(error, text, sizeof(text)));
}

/* A direct transfer that is not on blocks is our own mistake, which not all devices report. */
static bool fits(const struct io_uv_file *file, const void *data, size_t size, uint64_t offset)
{
    return !file->direct || (((uintptr_t)data | size | offset) & (IO_BLOCK - 1)) == 0;
}

static int system_flags(unsigned flags)
{
    ASSERT(flags & (IO_OPEN_READ | IO_OPEN_WRITE));
    int access = O_RDONLY;
    if (flags & IO_OPEN_WRITE)
        access = flags & IO_OPEN_READ ? O_RDWR : O_WRONLY;
    return access | O_CLOEXEC | (flags & IO_OPEN_CREATE ? O_CREAT : 0) |
           (flags & IO_OPEN_EXCLUSIVE ? O_EXCL : 0) | (flags & IO_OPEN_TRUNCATE ? O_TRUNC : 0);
}

static int open_retrying(const char *path, int flags)
{
    ASSERT(path);
    int fd;
    do
        /* Records are for the server's user and group, and for nobody else to read. */
        fd = open(path, flags, 0640);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static const struct io_disk_ops disk_ops;

static err_t disk_open(struct io_disk *disk, const char *path, unsigned flags, struct io_file **out,
                       struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    struct io_uv_file *file = mem_zalloc(1, sizeof(*file));
    if (!file)
        return err_make(ERR_MEMORY);
    err_t err;
    file->io.ops = &disk_ops;
    file->direct = flags & IO_OPEN_DIRECT;
    file->fd = open_retrying(path, system_flags(flags));
    if (file->fd < 0) {
        err = failed(errno, path, why);
        goto free_file;
    }
    /* Set after opening: open itself would leave the file it made behind when it cannot. */
    if (file->direct && fcntl(file->fd, F_SETFL, O_DIRECT) < 0) {
        err = err_set(why, ERR_UNSUPPORTED, "%s: the file system has no direct I/O", path);
        goto close_fd;
    }
    *out = &file->io;
    return err_ok();

close_fd:
    if (flags & IO_OPEN_EXCLUSIVE)
        /* Exclusively made, so it is this call's and nobody has seen it. */
        unlink(path);
    close(file->fd);
free_file:
    mem_free(file);
    return err;
}

static err_t disk_close(struct io_file *io)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(file->fd >= 0);
    int error = close(file->fd) < 0 ? errno : 0;
    mem_free(file);
    /* The descriptor is gone after EINTR too. */
    return error == 0 || error == EINTR ? err_ok() : err_from_errno(error);
}

static err_t disk_read(struct io_file *io, void *data, size_t size, uint64_t offset, size_t *got)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(fits(file, data, size, offset));
    size_t total = 0;
    while (total < size) {
        ssize_t n = pread(file->fd, (uint8_t *)data + total, size - total, (off_t)(offset + total));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        total += (size_t)n;
        /* A direct read that stops off a block has met the end; going on would be EINVAL. */
        if (n == 0 || (file->direct && total % IO_BLOCK != 0))
            break;
    }
    *got = total;
    return err_ok();
}

static err_t disk_write(struct io_file *io, const void *data, size_t size, uint64_t offset)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(fits(file, data, size, offset));
    size_t total = 0;
    while (total < size) {
        /* What was cut continues where it stopped: a device cuts at its own blocks, so a direct
         * write stays aligned. */
        ssize_t n =
            pwrite(file->fd, (const uint8_t *)data + total, size - total, (off_t)(offset + total));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? err_from_errno(errno) : err_make(ERR_IO);
        total += (size_t)n;
    }
    return err_ok();
}

static err_t disk_sync(struct io_file *io)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(file->fd >= 0);
    /* The size comes along where it has changed; times do not, which spares a write to the journal.
     * Not made again after an error: see above. */
    return fdatasync(file->fd) < 0 ? err_from_errno(errno) : err_ok();
}

static err_t disk_truncate(struct io_file *io, uint64_t size)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(size <= INT64_MAX);
    int result;
    do
        result = ftruncate(file->fd, (off_t)size);
    while (result < 0 && errno == EINTR);
    return result < 0 ? err_from_errno(errno) : err_ok();
}

static err_t disk_size(struct io_file *io, uint64_t *size)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(size);
    struct stat status;
    if (fstat(file->fd, &status) < 0)
        return err_from_errno(errno);
    *size = (uint64_t)status.st_size;
    return err_ok();
}

static err_t disk_lock(struct io_file *io)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(file->fd >= 0);
    int result;
    do
        result = flock(file->fd, LOCK_EX | LOCK_NB);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return err_ok();
    /* Of the open file, not of the process: a second one in here is kept out too. */
    return errno == EWOULDBLOCK ? err_make(ERR_IN_USE) : err_from_errno(errno);
}

static void disk_write_behind(struct io_file *io, uint64_t offset, uint64_t size)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(offset <= INT64_MAX && size <= INT64_MAX - offset);
    /* A size of 0 would mean all of the file. Without the flags that wait, the kernel keeps what
     * fails for the next flush to report. */
    if (size > 0)
        (void)sync_file_range(file->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

static bool disk_in_memory(struct io_file *io, uint64_t offset, uint64_t size)
{
    struct io_uv_file *file = file_of(io);
    /* Of more than this nobody asks; a byte a page is on the stack. */
    uint8_t pages[LOOK_PAGES_MAX];
    uint64_t start = offset / IO_BLOCK * IO_BLOCK;
    size_t length = (size_t)(offset + size - start);
    size_t count = (length + IO_BLOCK - 1) / IO_BLOCK;
    ASSERT(file->fd >= 0);
    if (count > LOOK_PAGES_MAX || sysconf(_SC_PAGESIZE) != (long)IO_BLOCK)
        return false;
    /* Mapped to be asked about, and never touched: a page that is not there is not fetched. */
    void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, file->fd, (off_t)start);
    if (map == MAP_FAILED)
        return false;
    size_t held = 0;
    if (mincore(map, length, pages) == 0)
        while (held < count && (pages[held] & 1))
            held++;
    munmap(map, length);
    return held == count;
}

static err_t disk_sync_all(struct io_file *io)
{
    struct io_uv_file *file = file_of(io);
    ASSERT(file->fd >= 0);
    return syncfs(file->fd) < 0 ? err_from_errno(errno) : err_ok();
}

static err_t disk_rename(struct io_disk *disk, const char *from, const char *to,
                         struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    /* Atomic, and not durable: the directory has to be synced by whoever relies on the name. */
    if (rename(from, to) == 0)
        return err_ok();
    err_t err = failed(errno, to, why);
    err_prefix(why, "rename %s", from);
    return err;
}

static err_t disk_remove(struct io_disk *disk, const char *path, struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    return remove(path) == 0 ? err_ok() : failed(errno, path, why);
}

static err_t disk_make_directory(struct io_disk *disk, const char *path, struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    if (mkdir(path, 0750) == 0)
        return err_ok();
    /* Made by an earlier run, or by another in the same moment; a file of that name is neither. */
    int error = errno;
    struct stat status;
    if (error == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return err_ok();
    return failed(error, path, why);
}

static err_t disk_sync_directory(struct io_disk *disk, const char *path, struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    /* fsync, not fdatasync: the names are what a directory holds. */
    int fd = open_retrying(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(errno, path, why);
    /* Whatever close could say, the sync has said. */
    int error = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return error ? failed(error, path, why) : err_ok();
}

static enum io_kind kind_of_mode(mode_t mode)
{
    ASSERT(mode != 0);
    if (S_ISREG(mode))
        return IO_KIND_FILE;
    return S_ISDIR(mode) ? IO_KIND_DIRECTORY : IO_KIND_OTHER;
}

/* Links are followed, as opening follows them; one that leads nowhere is OTHER. */
static enum io_kind kind_of_entry(DIR *directory, const struct dirent *entry)
{
    ASSERT(entry->d_name[0] != '\0');
    /* Most file systems say the type along with the name, which spares a call for each entry. */
    if (entry->d_type == DT_REG)
        return IO_KIND_FILE;
    if (entry->d_type == DT_DIR)
        return IO_KIND_DIRECTORY;
    struct stat status;
    if (fstatat(dirfd(directory), entry->d_name, &status, 0) < 0)
        return IO_KIND_OTHER;
    return kind_of_mode(status.st_mode);
}

static err_t disk_list(struct io_disk *disk, const char *path, io_list_fn *each, void *context,
                       struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    DIR *directory = opendir(path);
    if (!directory)
        return failed(errno, path, why);
    /* readdir says NULL for the end and for an error, told apart by errno alone, which the callback
     * may change. */
    const struct dirent *entry;
    int stopped = 0;
    errno = 0;
    while (!stopped && (entry = readdir(directory))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            stopped = each(context, name, kind_of_entry(directory, entry));
        errno = 0;
    }
    int error = stopped ? 0 : errno;
    closedir(directory);
    return error ? failed(error, path, why) : err_ok();
}

static err_t disk_kind(struct io_disk *disk, const char *path, enum io_kind *out,
                       struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    struct stat status;
    if (stat(path, &status) == 0) {
        *out = kind_of_mode(status.st_mode);
        return err_ok();
    }
    /* Below something that is no directory there is nothing either. */
    if (errno != ENOENT && errno != ENOTDIR)
        return failed(errno, path, why);
    *out = IO_KIND_NONE;
    return err_ok();
}

static bool is_network(uint32_t magic)
{
    /* Locks and flushes of these depend on another machine. */
    static const uint32_t magics[] = {NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                      CIFS_MAGIC,      AFS_SUPER_MAGIC, CEPH_SUPER_MAGIC,
                                      V9FS_MAGIC,      CODA_SUPER_MAGIC};
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
        if (magics[i] == magic)
            return true;
    return false;
}

static err_t disk_space(struct io_disk *disk, const char *path, struct io_space *out,
                        struct err_text *why)
{
    ASSERT(disk->ops == &disk_ops);
    /* Two calls: one says what kind of file system it is, the other counts in one unit on all. */
    struct statfs system;
    struct statvfs space;
    if (statfs(path, &system) < 0 || statvfs(path, &space) < 0)
        return failed(errno, path, why);
    *out = (struct io_space){
        .total_bytes = (uint64_t)space.f_blocks * space.f_frsize,
        /* What is free for everybody: the part that is reserved for root cannot be counted on. */
        .free_bytes = (uint64_t)space.f_bavail * space.f_frsize,
        .network = is_network((uint32_t)system.f_type),
    };
    return err_ok();
}

static const struct io_disk_ops disk_ops = {
    .open = disk_open,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
    .sync = disk_sync,
    .truncate = disk_truncate,
    .size = disk_size,
    .lock = disk_lock,
    .write_behind = disk_write_behind,
    .in_memory = disk_in_memory,
    .sync_all = disk_sync_all,
    .rename = disk_rename,
    .remove = disk_remove,
    .make_directory = disk_make_directory,
    .sync_directory = disk_sync_directory,
    .list = disk_list,
    .kind = disk_kind,
    .space = disk_space,
};

struct io_disk *io_uv_disk(void)
{
    static const struct io_disk disk = {&disk_ops};
    /* The interface says nothing of const, but nobody writes to a disk's head. */
    return (struct io_disk *)(uintptr_t)&disk;
}
