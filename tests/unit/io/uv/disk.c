#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "io/uv/uv.h"

#define READ_WRITE (IO_OPEN_READ | IO_OPEN_WRITE)

/* Each test has a directory of its own, which is the working directory meanwhile. */
static int enter(void **state)
{
    char *directory = strdup("/var/tmp/garner-disk-XXXXXX");
    if (!mkdtemp(directory) || chdir(directory) != 0)
        return -1;
    *state = directory;
    return 0;
}

static int leave(void **state)
{
    char command[256];
    snprintf(command, sizeof(command), "chmod -R u+rwx '%s'; rm -rf '%s'", (char *)*state,
             (char *)*state);
    free(*state);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static struct io_file *file_open(const char *path, unsigned flags)
{
    struct io_file *file = NULL;
    struct err_text why = {0};
    if (!err_is_ok(io_disk_open(io_uv_disk(), path, flags, &file, &why)))
        fail_msg("%s", why.text);
    return file;
}

static void file_close(struct io_file *file)
{
    assert_true(err_is_ok(io_file_close(file)));
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct io_file *file = file_open("a", READ_WRITE | IO_OPEN_CREATE);
    char text[16] = "";
    size_t got = 99;
    uint64_t size = 0;
    assert_true(err_is_ok(io_file_write(file, "hello", 5, 3)));
    assert_true(err_is_ok(io_file_write(file, "", 0, 3)));
    assert_true(err_is_ok(io_file_sync(file)));
    assert_true(err_is_ok(io_file_size(file, &size)));
    assert_int_equal(size, 8);
    assert_true(err_is_ok(io_file_read(file, text, sizeof(text), 2, &got)));
    assert_int_equal(got, 6);
    assert_memory_equal(text, "\0hello", 6);
    assert_true(err_is_ok(io_file_read(file, text, sizeof(text), 100, &got)));
    assert_int_equal(got, 0);
    assert_true(err_is_ok(io_file_truncate(file, 4)));
    assert_true(err_is_ok(io_file_size(file, &size)));
    assert_int_equal(size, 4);
    file_close(file);
    assert_true(err_is_ok(io_file_close(NULL)));
}

static void files_and_directories_are_not_for_the_whole_world(void **state)
{
    (void)state;
    mode_t mask = umask(0);
    file_close(file_open("a", READ_WRITE | IO_OPEN_CREATE));
    assert_true(err_is_ok(io_disk_make_directory(io_uv_disk(), "d", NULL)));
    umask(mask);
    struct stat status;
    assert_int_equal(stat("a", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(stat("d", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0750);
}

static void flags_say_what_may_be_there(void **state)
{
    (void)state;
    struct io_disk *disk = io_uv_disk();
    struct io_file *file = NULL;
    struct err_text why = {0};
    assert_true(err_is(io_disk_open(disk, "none", IO_OPEN_READ, &file, &why), ERR_NO_FILE));
    assert_string_equal(why.text, "none: No such file or directory");
    file_close(file_open("a", READ_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE));
    assert_true(err_is(
        io_disk_open(disk, "a", READ_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE, &file, &why),
        ERR_EXISTS));
    file = file_open("a", IO_OPEN_WRITE);
    assert_true(err_is_ok(io_file_write(file, "text", 4, 0)));
    file_close(file);
    file = file_open("a", IO_OPEN_READ);
    assert_false(err_is_ok(io_file_write(file, "text", 4, 0)));
    file_close(file);
    file = file_open("a", IO_OPEN_WRITE | IO_OPEN_TRUNCATE);
    uint64_t size = 9;
    assert_true(err_is_ok(io_file_size(file, &size)));
    assert_int_equal(size, 0);
    file_close(file);
    assert_false(err_is_ok(io_disk_open(disk, ".", READ_WRITE, &file, &why)));
}

static void direct_files_take_blocks_or_are_refused_without_a_trace(void **state)
{
    (void)state;
    static _Alignas(4096) char block[2 * IO_BLOCK];
    struct io_file *file = NULL;
    struct err_text why = {0};
    err_t err =
        io_disk_open(io_uv_disk(), "a",
                     READ_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE | IO_OPEN_DIRECT, &file, &why);
    if (err_is(err, ERR_UNSUPPORTED)) {
        assert_non_null(strstr(why.text, "direct"));
        assert_int_equal(access("a", F_OK), -1);
        return;
    }
    assert_true(err_is_ok(err));
    memset(block, 'x', sizeof(block));
    assert_true(err_is_ok(io_file_write(file, block, sizeof(block), IO_BLOCK)));
    assert_true(err_is_ok(io_file_sync(file)));
    /* A file that ends off a block is read to its end. */
    assert_true(err_is_ok(io_file_truncate(file, IO_BLOCK + 100)));
    size_t got = 0;
    assert_true(err_is_ok(io_file_read(file, block, sizeof(block), 0, &got)));
    assert_int_equal(got, IO_BLOCK + 100);
    assert_int_equal(block[0], 0);
    assert_int_equal(block[IO_BLOCK + 99], 'x');
    file_close(file);
}

static void a_file_system_without_direct_files_says_so(void **state)
{
    (void)state;
    struct io_file *file = NULL;
    struct err_text why = {0};
    /* What /proc holds can never be read directly. */
    assert_true(err_is(
        io_disk_open(io_uv_disk(), "/proc/self/status", IO_OPEN_READ | IO_OPEN_DIRECT, &file, &why),
        ERR_UNSUPPORTED));
    assert_non_null(strstr(why.text, "/proc/self/status: "));
    assert_null(file);
}

static void hints_and_flushes_of_everything_leave_the_bytes_alone(void **state)
{
    (void)state;
    struct io_file *directory = file_open(".", IO_OPEN_READ);
    struct io_file *file = file_open("a", READ_WRITE | IO_OPEN_CREATE);
    char text[8] = "";
    size_t got = 0;
    io_file_write_behind(file, 0, 0);
    assert_true(err_is_ok(io_file_write(file, "text", 4, 0)));
    io_file_write_behind(file, 0, 4);
    /* Also where there is nothing, and where nothing can be written. */
    io_file_write_behind(file, UINT64_C(1) << 40, 4096);
    io_file_write_behind(directory, 0, 4096);
    assert_true(err_is_ok(io_file_sync_all(file)));
    assert_true(err_is_ok(io_file_sync_all(directory)));
    assert_true(err_is_ok(io_file_read(file, text, sizeof(text), 0, &got)));
    assert_int_equal(got, 4);
    assert_memory_equal(text, "text", 4);
    assert_false(err_is_ok(io_file_read(directory, text, sizeof(text), 0, &got)));
    file_close(file);
    file_close(directory);
}

static void what_was_written_is_in_memory_and_what_is_nowhere_is_not(void **state)
{
    (void)state;
    static const uint8_t zeros[3 * IO_BLOCK];
    struct io_file *directory = file_open(".", IO_OPEN_READ);
    struct io_file *file = file_open("a", READ_WRITE | IO_OPEN_CREATE);
    assert_true(err_is_ok(io_file_write(file, zeros, sizeof(zeros), 0)));
    assert_true(io_file_in_memory(file, 0, sizeof(zeros)));
    assert_true(io_file_in_memory(file, IO_BLOCK + 1, IO_BLOCK));
    assert_false(io_file_in_memory(file, 0, 2 * sizeof(zeros)));
    assert_false(io_file_in_memory(file, UINT64_C(1) << 40, 1));
    /* More than it looks at. */
    assert_false(io_file_in_memory(file, 0, UINT64_C(1) << 40));
    assert_false(io_file_in_memory(directory, 0, 1));
    file_close(file);
    file_close(directory);
}

static void a_lock_keeps_another_handle_out(void **state)
{
    (void)state;
    struct io_file *a = file_open("lock", READ_WRITE | IO_OPEN_CREATE);
    struct io_file *b = file_open("lock", READ_WRITE);
    assert_true(err_is_ok(io_file_lock(a)));
    assert_true(err_is(io_file_lock(b), ERR_IN_USE));
    file_close(a);
    assert_true(err_is_ok(io_file_lock(b)));
    file_close(b);
}

static void names_are_made_renamed_and_removed(void **state)
{
    (void)state;
    struct io_disk *disk = io_uv_disk();
    struct err_text why = {0};
    enum io_kind kind;
    file_close(file_open("a", READ_WRITE | IO_OPEN_CREATE));
    file_close(file_open("b", READ_WRITE | IO_OPEN_CREATE));
    assert_true(err_is_ok(io_disk_make_directory(disk, "d", &why)));
    assert_true(err_is_ok(io_disk_make_directory(disk, "d", &why)));
    assert_true(err_is(io_disk_make_directory(disk, "a", &why), ERR_EXISTS));
    assert_true(err_is(io_disk_make_directory(disk, "x/y", &why), ERR_NO_FILE));
    assert_true(err_is_ok(io_disk_rename(disk, "a", "b", &why)));
    assert_true(err_is_ok(io_disk_rename(disk, "b", "d/c", &why)));
    assert_true(err_is(io_disk_rename(disk, "b", "c", &why), ERR_NO_FILE));
    assert_string_equal(why.text, "rename b: c: No such file or directory");
    assert_true(err_is_ok(io_disk_sync_directory(disk, "d", &why)));
    assert_true(err_is(io_disk_sync_directory(disk, "x", &why), ERR_NO_FILE));
    assert_true(err_is(io_disk_sync_directory(disk, "d/c", &why), ERR_NO_FILE));
    assert_false(err_is_ok(io_disk_remove(disk, "d", &why)));
    assert_true(err_is_ok(io_disk_kind(disk, "d/c", &kind, &why)));
    assert_int_equal(kind, IO_KIND_FILE);
    assert_true(err_is_ok(io_disk_remove(disk, "d/c", &why)));
    assert_true(err_is_ok(io_disk_remove(disk, "d", &why)));
    assert_true(err_is(io_disk_remove(disk, "d", &why), ERR_NO_FILE));
    assert_true(err_is_ok(io_disk_kind(disk, "d", &kind, &why)));
    assert_int_equal(kind, IO_KIND_NONE);
}

static void kinds_are_told_apart(void **state)
{
    (void)state;
    struct io_disk *disk = io_uv_disk();
    enum io_kind kind;
    file_close(file_open("a", READ_WRITE | IO_OPEN_CREATE));
    assert_true(err_is_ok(io_disk_kind(disk, "a/b", &kind, NULL)));
    assert_int_equal(kind, IO_KIND_NONE);
    assert_true(err_is_ok(io_disk_kind(disk, ".", &kind, NULL)));
    assert_int_equal(kind, IO_KIND_DIRECTORY);
    assert_true(err_is_ok(io_disk_kind(disk, "/dev/null", &kind, NULL)));
    assert_int_equal(kind, IO_KIND_OTHER);
}

struct walk {
    uint32_t counts[4];
    uint32_t total;
    uint32_t stop_after;
};

static int count_each(void *context, const char *name, enum io_kind kind)
{
    struct walk *walk = context;
    assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    walk->counts[kind]++;
    return ++walk->total == walk->stop_after;
}

static void a_directory_is_listed_with_kinds(void **state)
{
    (void)state;
    struct io_disk *disk = io_uv_disk();
    struct err_text why = {0};
    file_close(file_open("a", READ_WRITE | IO_OPEN_CREATE));
    file_close(file_open(".hidden", READ_WRITE | IO_OPEN_CREATE));
    assert_true(err_is_ok(io_disk_make_directory(disk, "d", NULL)));
    assert_int_equal(symlink("d", "link"), 0);
    assert_int_equal(symlink("nowhere", "broken"), 0);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    struct walk walk = {.stop_after = 0};
    assert_true(err_is_ok(io_disk_list(disk, ".", count_each, &walk, NULL)));
    assert_int_equal(walk.counts[IO_KIND_FILE], 2);
    assert_int_equal(walk.counts[IO_KIND_DIRECTORY], 2);
    assert_int_equal(walk.counts[IO_KIND_OTHER], 2);
    walk = (struct walk){.stop_after = 2};
    assert_true(err_is_ok(io_disk_list(disk, ".", count_each, &walk, NULL)));
    assert_int_equal(walk.total, 2);
    assert_true(err_is(io_disk_list(disk, "none", count_each, &walk, &why), ERR_NO_FILE));
    assert_string_equal(why.text, "none: No such file or directory");
}

static void space_is_that_of_the_file_system(void **state)
{
    (void)state;
    struct io_space space;
    struct err_text why = {0};
    assert_true(err_is_ok(io_disk_space(io_uv_disk(), ".", &space, NULL)));
    assert_true(space.free_bytes > 0 && space.free_bytes <= space.total_bytes);
    assert_false(space.network);
    assert_true(err_is(io_disk_space(io_uv_disk(), "none", &space, &why), ERR_NO_FILE));
    assert_non_null(strstr(why.text, "none"));
}

static void a_full_device_is_no_space(void **state)
{
    (void)state;
    struct io_file *file = file_open("/dev/full", IO_OPEN_WRITE);
    assert_true(err_is(io_file_write(file, "a", 1, 0), ERR_NO_SPACE));
    file_close(file);
}

/* Exit status of a child that has given up root, to whom nothing is forbidden. */
static int try_as_nobody(void)
{
    struct io_file *file = NULL;
    struct err_text why = {0};
    if (geteuid() == 0 && setuid(65534) != 0)
        return 1;
    err_t err = io_disk_open(io_uv_disk(), "closed/a", READ_WRITE | IO_OPEN_CREATE, &file, &why);
    if (!err_is(err, ERR_PERMISSION) || !strstr(why.text, "closed/a"))
        return 2;
    err = io_disk_make_directory(io_uv_disk(), "closed/d", &why);
    if (!err_is(err, ERR_PERMISSION) || !strstr(why.text, "closed/d"))
        return 3;
    /* Its parent cannot be read, so it cannot be flushed; but it is there. */
    if (!err_is_ok(io_disk_make_path(io_uv_disk(), "hidden/ours/new", &why)))
        return 4;
    return err_is(io_disk_make_path(io_uv_disk(), "hidden/new", &why), ERR_PERMISSION) ? 0 : 5;
}

static void what_is_not_allowed_is_a_permission(void **state)
{
    (void)state;
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(mkdir("closed", 0555), 0);
    assert_int_equal(mkdir("hidden", 0700), 0);
    assert_int_equal(mkdir("hidden/ours", 0777), 0);
    assert_int_equal(chmod("hidden/ours", 0777), 0);
    assert_int_equal(chmod("hidden", 0111), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_as_nobody());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void without_descriptors_opening_is_a_limit(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    struct rlimit low = {(rlim_t)next, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct io_file *file = NULL;
    err_t err = io_disk_open(io_uv_disk(), "a", READ_WRITE | IO_OPEN_CREATE, &file, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(err_is(err, ERR_FD_LIMIT));
    mem_fail_after(1);
    err = io_disk_open(io_uv_disk(), "a", READ_WRITE | IO_OPEN_CREATE, &file, NULL);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    assert_null(file);
}

static void whole_files_and_paths_work_here_too(void **state)
{
    (void)state;
    struct io_disk *disk = io_uv_disk();
    struct buf got = {0};
    assert_true(err_is_ok(io_disk_make_path(disk, "p/q/r", NULL)));
    assert_true(err_is_ok(io_disk_write_file(disk, "p/q/r/f", SLICE_LITERAL("text"), NULL)));
    assert_true(err_is_ok(io_disk_read_file(disk, "p/q/r/f", 10, &got, NULL)));
    assert_true(slice_equal_string(buf_slice(&got), "text"));
    buf_reset(&got);
    assert_true(err_is_ok(io_disk_read_file(disk, "/proc/self/statm", 4096, &got, NULL)));
    assert_true(got.size > 0);
    buf_done(&got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_back),
        TEST(files_and_directories_are_not_for_the_whole_world),
        TEST(flags_say_what_may_be_there),
        TEST(direct_files_take_blocks_or_are_refused_without_a_trace),
        TEST(a_file_system_without_direct_files_says_so),
        TEST(hints_and_flushes_of_everything_leave_the_bytes_alone),
        TEST(what_was_written_is_in_memory_and_what_is_nowhere_is_not),
        TEST(a_lock_keeps_another_handle_out),
        TEST(names_are_made_renamed_and_removed),
        TEST(kinds_are_told_apart),
        TEST(a_directory_is_listed_with_kinds),
        TEST(space_is_that_of_the_file_system),
        TEST(a_full_device_is_no_space),
        TEST(what_is_not_allowed_is_a_permission),
        TEST(without_descriptors_opening_is_a_limit),
        TEST(whole_files_and_paths_work_here_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
