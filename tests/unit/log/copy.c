#include "log/copy.h"

#include "base/hash.h"
#include "sim/disk.h"
#include "unit/log/payload.h"

#define SIZE (LOG_COPY_STEP * 2 + 1000)

static struct io_file *open_file(struct io_disk *disk, const char *path)
{
    struct io_file *file;
    assert_code(
        io_disk_open(disk, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL), OK);
    return file;
}

struct told {
    uint64_t bytes;
    uint64_t calls;
    uint64_t stop_after;
};

static err_t step(void *context, uint64_t bytes)
{
    struct told *told = context;
    told->bytes += bytes;
    return err_make(++told->calls == told->stop_after ? ERR_CANCELLED : ERR_OK);
}

static void ranges_are_copied_and_summed(void **state)
{
    (void)state;
    struct sim_disk *sim = sim_disk_new(1);
    struct io_disk *disk = sim_disk_io(sim);
    struct io_file *from = open_file(disk, "from");
    struct io_file *to = open_file(disk, "to");
    uint8_t *bytes = malloc(SIZE);
    uint8_t *back = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 / 3 + 1);
    assert_code(io_file_write(from, bytes, SIZE, 0), OK);
    struct told told = {0};
    struct log_copy copy = {.disk = disk, .context = &told, .step = step};
    uint32_t crc = 0;
    assert_code(log_copy_range(&copy, from, to, 0, 1000, 0, &crc), OK);
    assert_code(log_copy_range(&copy, from, to, 1000, SIZE, 1000, &crc), OK);
    assert_int_equal(crc, crc32c(0, bytes, SIZE));
    assert_int_equal(told.bytes, SIZE);
    assert_int_equal(copy.written_bytes, SIZE);
    size_t got = 0;
    assert_code(io_file_read(to, back, SIZE, 0, &got), OK);
    assert_int_equal(got, SIZE);
    assert_memory_equal(back, bytes, SIZE);
    /* Read alone, and too much. */
    uint32_t again = 0;
    assert_code(log_copy_range(&copy, from, NULL, 0, SIZE, 0, &again), OK);
    assert_int_equal(again, crc);
    assert_int_equal(copy.written_bytes, SIZE);
    assert_code(log_copy_range(&copy, from, to, SIZE - 1, SIZE + 1, 0, &crc), END);
    told.stop_after = told.calls + 1;
    assert_code(log_copy_range(&copy, from, to, 0, SIZE, 0, &crc), CANCELLED);
    log_copy_done(&copy);
    free(bytes);
    free(back);
    assert_code(io_file_close(from), OK);
    assert_code(io_file_close(to), OK);
    sim_disk_free(&sim);
}

/* So that the flush at the end does not take for ever. */
static void what_is_written_is_flushed_now_and_then(void **state)
{
    (void)state;
    struct sim_disk *sim = sim_disk_new(2);
    struct io_disk *disk = sim_disk_io(sim);
    struct io_file *to = open_file(disk, "to");
    struct log_copy copy = {.disk = disk};
    uint64_t before = sim_disk_call_count(sim);
    assert_code(log_copy_wrote(&copy, to, LOG_COPY_SYNC_BYTES - 1), OK);
    assert_int_equal(sim_disk_call_count(sim), before);
    assert_code(log_copy_wrote(&copy, to, 1), OK);
    assert_int_equal(sim_disk_call_count(sim), before + 1);
    assert_int_equal(copy.unsynced, 0);
    assert_code(io_file_close(to), OK);
    sim_disk_free(&sim);
}

static enum io_kind kind_of(struct io_disk *disk, const char *path)
{
    enum io_kind kind;
    assert_code(io_disk_kind(disk, path, &kind, NULL), OK);
    return kind;
}

static void parents_are_made_and_trees_removed(void **state)
{
    (void)state;
    static const char *const files[] = {"top/a/b/c/one", "top/a/b/two", "top/a/three", "top/four",
                                        "top/d/five"};
    struct sim_disk *sim = sim_disk_new(3);
    struct io_disk *disk = sim_disk_io(sim);
    struct err_text why = {0};
    assert_code(log_copy_remove_tree(disk, "top", NULL), OK);
    assert_code(io_disk_make_directory(disk, "top", NULL), OK);
    assert_code(io_disk_make_directory(disk, "other", NULL), OK);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s", files[i]);
        assert_code(log_copy_make_parents(disk, path, 4, NULL), OK);
        assert_string_equal(path, files[i]);
        assert_code(io_file_close(open_file(disk, path)), OK);
    }
    assert_int_equal(kind_of(disk, "top/a/b/c"), IO_KIND_DIRECTORY);
    sim_disk_fail_after(sim, 6, ERR_IO);
    assert_code(log_copy_remove_tree(disk, "top", &why), IO);
    assert_code(log_copy_remove_tree(disk, "top", NULL), OK);
    assert_int_equal(kind_of(disk, "top"), IO_KIND_NONE);
    assert_int_equal(kind_of(disk, "other"), IO_KIND_DIRECTORY);
    sim_disk_free(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_copied_and_summed),
        cmocka_unit_test(what_is_written_is_flushed_now_and_then),
        cmocka_unit_test(parents_are_made_and_trees_removed),
    };
    return cmocka_run_group_tests_name("log/copy", tests, NULL, NULL);
}
