#pragma once

/*
 * What the tests of the file sink share: a directory of their own, the system's disk behind one
 * of which any single call, or every call from one on, can fail, and looking at files.
 */

#include "lib/unit.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/list.h"
#include "io/uv/uv.h"

/* The system's disk; the calls are counted, reads and closes apart. */
struct faulty {
    struct io_disk disk;
    uint64_t calls;
    uint64_t fail_at; /* the number of the call that fails, from 1; 0: none */
    bool forever;     /* and all after it */
    enum err_code code;
    uint64_t hinted_end; /* of the bytes that were to be written back, which follow each other */
    uint32_t hints;
};

struct faulty_file {
    struct io_file file;
    struct io_file *real;
    struct faulty *faulty;
};

static inline err_t faulty_call(struct faulty *faulty)
{
    uint64_t number = ++faulty->calls;
    bool hit = faulty->fail_at &&
               (number == faulty->fail_at || (faulty->forever && number > faulty->fail_at));
    return err_make(hit ? faulty->code : ERR_OK);
}

static inline struct faulty *faulty_of(struct io_disk *disk)
{
    return CONTAINER_OF(disk, struct faulty, disk);
}

static inline struct faulty_file *faulty_file_of(struct io_file *file)
{
    return CONTAINER_OF(file, struct faulty_file, file);
}

static inline err_t faulty_open(struct io_disk *disk, const char *path, unsigned flags,
                                struct io_file **out, struct err_text *why)
{
    TRY(faulty_call(faulty_of(disk)));
    struct io_file *real = NULL;
    TRY(io_disk_open(io_uv_disk(), path, flags, &real, why));
    struct faulty_file *file = malloc(sizeof(*file));
    assert_non_null(file);
    *file = (struct faulty_file){{disk->ops}, real, faulty_of(disk)};
    *out = &file->file;
    return err_ok();
}

static inline err_t faulty_close(struct io_file *file)
{
    err_t err = io_file_close(faulty_file_of(file)->real);
    free(faulty_file_of(file));
    return err;
}

static inline err_t faulty_write(struct io_file *file, const void *data, size_t size,
                                 uint64_t offset)
{
    TRY(faulty_call(faulty_file_of(file)->faulty));
    return io_file_write(faulty_file_of(file)->real, data, size, offset);
}

static inline err_t faulty_sync(struct io_file *file)
{
    TRY(faulty_call(faulty_file_of(file)->faulty));
    return io_file_sync(faulty_file_of(file)->real);
}

static inline void faulty_write_behind(struct io_file *file, uint64_t offset, uint64_t size)
{
    struct faulty *faulty = faulty_file_of(file)->faulty;
    assert_int_equal(offset, faulty->hinted_end);
    faulty->hinted_end += size;
    faulty->hints++;
    io_file_write_behind(faulty_file_of(file)->real, offset, size);
}

static inline err_t faulty_sync_all(struct io_file *file)
{
    TRY(faulty_call(faulty_file_of(file)->faulty));
    return io_file_sync_all(faulty_file_of(file)->real);
}

static inline err_t faulty_rename(struct io_disk *disk, const char *from, const char *to,
                                  struct err_text *why)
{
    TRY(faulty_call(faulty_of(disk)));
    return io_disk_rename(io_uv_disk(), from, to, why);
}

static inline err_t faulty_remove(struct io_disk *disk, const char *path, struct err_text *why)
{
    TRY(faulty_call(faulty_of(disk)));
    return io_disk_remove(io_uv_disk(), path, why);
}

static inline err_t faulty_make_directory(struct io_disk *disk, const char *path,
                                          struct err_text *why)
{
    TRY(faulty_call(faulty_of(disk)));
    return io_disk_make_directory(io_uv_disk(), path, why);
}

static inline err_t faulty_sync_directory(struct io_disk *disk, const char *path,
                                          struct err_text *why)
{
    TRY(faulty_call(faulty_of(disk)));
    return io_disk_sync_directory(io_uv_disk(), path, why);
}

static inline err_t faulty_list(struct io_disk *disk, const char *path, io_list_fn *each,
                                void *context, struct err_text *why)
{
    TRY(faulty_call(faulty_of(disk)));
    return io_disk_list(io_uv_disk(), path, each, context, why);
}

static inline err_t faulty_kind(struct io_disk *disk, const char *path, enum io_kind *out,
                                struct err_text *why)
{
    TRY(faulty_call(faulty_of(disk)));
    return io_disk_kind(io_uv_disk(), path, out, why);
}

static inline void faulty_init(struct faulty *faulty)
{
    static const struct io_disk_ops ops = {
        .open = faulty_open,
        .close = faulty_close,
        .write = faulty_write,
        .sync = faulty_sync,
        .write_behind = faulty_write_behind,
        .sync_all = faulty_sync_all,
        .rename = faulty_rename,
        .remove = faulty_remove,
        .make_directory = faulty_make_directory,
        .sync_directory = faulty_sync_directory,
        .list = faulty_list,
        .kind = faulty_kind,
    };
    *faulty = (struct faulty){.disk = {&ops}, .code = ERR_IO};
}

/* The `n`-th call from here fails with `code`, with `forever` all that follow too; 0: none. */
static inline void faulty_fail(struct faulty *faulty, uint64_t n, bool forever, enum err_code code)
{
    faulty->calls = 0;
    faulty->fail_at = n;
    faulty->forever = forever;
    faulty->code = code;
}

/* A directory of this test's own; `path` has room for 64 bytes. */
static inline void make_sandbox(char *path)
{
    (void)snprintf(path, 64, "/tmp/garner-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline int sandbox_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void remove_sandbox(const char *path)
{
    (void)nftw(path, sandbox_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* `directory/rest`, in one of a few buffers that take turns. */
static inline const char *at(const char *directory, const char *rest)
{
    static char paths[8][4200];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, rest);
    return path;
}

static inline bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static inline void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void assert_file(const char *path, const char *text)
{
    struct buf content = {0};
    struct err_text why = {0};
    err_t err = io_disk_read_file(io_uv_disk(), path, 1 << 24, &content, &why);
    if (!err_is_ok(err))
        fail_msg("%s: %s", path, err_detail(err, &why));
    assert_slice(buf_slice(&content), text);
    buf_done(&content);
}

/* How many entries a directory holds. */
static inline size_t count_entries(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        err_t ok_err_ = (expression);                                                              \
        if (!err_is_ok(ok_err_))                                                                   \
            fail_msg("%s: %s", #expression, err_name(ok_err_));                                    \
    } while (0)
#define assert_err(expression, expected) assert_string_equal(err_name(expression), #expected)
