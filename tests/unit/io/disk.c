#include "io/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "sim/disk.h"

static void put(struct sim_disk *disk, const char *path, struct slice content)
{
    struct err_text why = {0};
    if (!err_is_ok(io_disk_write_file(sim_disk_io(disk), path, content, &why)))
        fail_msg("%s", why.text);
}

static void expect(struct sim_disk *disk, const char *path, struct slice content)
{
    struct buf got = {0};
    assert_true(err_is_ok(io_disk_read_file(sim_disk_io(disk), path, content.size, &got, NULL)));
    assert_true(slice_equal(buf_slice(&got), content));
    buf_done(&got);
}

static enum io_kind kind_at(struct sim_disk *disk, const char *path)
{
    enum io_kind kind = IO_KIND_OTHER;
    assert_true(err_is_ok(io_disk_kind(sim_disk_io(disk), path, &kind, NULL)));
    return kind;
}

static void every_missing_directory_is_made_and_survives(void **state)
{
    (void)state;
    static const char *const paths[] = {"a/b/c", "/x//y/", "p", "./q/r"};
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        for (size_t i = 0; i < 4; i++) {
            struct err_text why = {0};
            if (!err_is_ok(io_disk_make_path(sim_disk_io(disk), paths[i], &why)))
                fail_msg("%s", why.text);
            assert_true(err_is_ok(io_disk_make_path(sim_disk_io(disk), paths[i], &why)));
        }
        sim_disk_crash(disk);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(kind_at(disk, paths[i]), IO_KIND_DIRECTORY);
        sim_disk_free(&disk);
    }
}

/* The process dies at each call, the machine stays up; a second process makes the path; then the
 * power fails. */
static void a_path_made_after_a_killed_one_survives_too(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 20; n++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct sim_disk *disk = sim_disk_new(seed);
            sim_disk_fail_after(disk, n, ERR_IO);
            err_t ignored = io_disk_make_path(sim_disk_io(disk), "a/b/c", NULL);
            (void)ignored;
            sim_disk_fail_after(disk, 0, ERR_OK);
            assert_true(err_is_ok(io_disk_make_path(sim_disk_io(disk), "a/b/c", NULL)));
            sim_disk_crash(disk);
            if (kind_at(disk, "a/b/c") != IO_KIND_DIRECTORY)
                fail_msg("call %zu, seed %zu", (size_t)n, (size_t)seed);
            sim_disk_free(&disk);
        }
    }
}

static void a_file_in_the_way_is_named(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct err_text why = {0};
    put(disk, "file", SLICE_LITERAL(""));
    assert_true(err_is(io_disk_make_path(sim_disk_io(disk), "file/a/b", &why), ERR_EXISTS));
    assert_non_null(strstr(why.text, "file: "));
    assert_non_null(strstr(why.text, "not a directory"));
    sim_disk_free(&disk);
}

static void a_file_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(2);
    uint8_t *data = malloc(200000);
    for (size_t i = 0; i < 200000; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 200000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put(disk, "f", slice_make(data, sizes[i]));
        expect(disk, "f", slice_make(data, sizes[i]));
        assert_int_equal(kind_at(disk, "f.tmp"), IO_KIND_NONE);
    }
    free(data);
    sim_disk_free(&disk);
}

static void what_is_read_goes_behind_what_is_there(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(3);
    put(disk, "f", SLICE_LITERAL("world"));
    struct buf got = {0};
    buf_add_string(&got, "hello ");
    assert_true(err_is_ok(io_disk_read_file(sim_disk_io(disk), "f", 5, &got, NULL)));
    assert_true(slice_equal_string(buf_slice(&got), "hello world"));
    buf_done(&got);
    sim_disk_free(&disk);
}

static void a_file_over_the_limit_is_refused_and_nothing_is_added(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(4);
    struct buf got = {0};
    struct err_text why = {0};
    put(disk, "f", SLICE_LITERAL("12345"));
    err_t err = io_disk_read_file(sim_disk_io(disk), "f", 4, &got, &why);
    assert_true(err_is(err, ERR_TOO_LARGE));
    assert_non_null(strstr(why.text, "f: larger than 4"));
    assert_int_equal(got.size, 0);
    err = io_disk_read_file(sim_disk_io(disk), "none", 4, &got, &why);
    assert_true(err_is(err, ERR_NO_FILE));
    assert_non_null(strstr(why.text, "none"));
    buf_init(&got, 3);
    err = io_disk_read_file(sim_disk_io(disk), "f", 5, &got, &why);
    assert_true(err_is(err, ERR_TOO_LARGE));
    buf_done(&got);
    sim_disk_free(&disk);
}

static void a_written_file_survives_with_its_name(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        assert_true(err_is_ok(io_disk_make_path(sim_disk_io(disk), "d/e", NULL)));
        put(disk, "d/e/f", SLICE_LITERAL("first"));
        put(disk, "d/e/f", SLICE_LITERAL("second"));
        put(disk, "/g", SLICE_LITERAL("third"));
        sim_disk_crash(disk);
        expect(disk, "d/e/f", SLICE_LITERAL("second"));
        expect(disk, "g", SLICE_LITERAL("third"));
        sim_disk_free(&disk);
    }
}

/* What a call can leave behind is the old content, or the new. */
static void any_call_of_writing_a_file_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct sim_disk *disk = sim_disk_new(n);
        struct err_text why = {0};
        put(disk, "f", SLICE_LITERAL("old"));
        sim_disk_fail_after(disk, n, ERR_NO_SPACE);
        err_t err = io_disk_write_file(sim_disk_io(disk), "f", SLICE_LITERAL("new"), &why);
        bool failed = sim_disk_call_count(disk) >= n;
        assert_int_equal(err_is(err, ERR_NO_SPACE), failed);
        assert_int_equal(err_is_ok(err), !failed);
        if (failed)
            assert_int_not_equal(why.text[0], '\0');
        sim_disk_fail_after(disk, 0, ERR_OK);
        struct buf got = {0};
        assert_true(err_is_ok(io_disk_read_file(sim_disk_io(disk), "f", 3, &got, NULL)));
        assert_true(slice_equal_string(buf_slice(&got), "new") ||
                    (failed && slice_equal_string(buf_slice(&got), "old")));
        buf_done(&got);
        sim_disk_free(&disk);
        if (!failed)
            return;
    }
}

static void any_call_of_reading_a_file_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct sim_disk *disk = sim_disk_new(n);
        struct buf got = {0};
        struct err_text why = {0};
        put(disk, "f", SLICE_LITERAL("text"));
        sim_disk_fail_after(disk, n, ERR_IO);
        err_t err = io_disk_read_file(sim_disk_io(disk), "f", 10, &got, &why);
        bool failed = sim_disk_call_count(disk) >= n;
        assert_int_equal(err_is(err, ERR_IO), failed);
        assert_int_equal(got.size, failed ? 0 : 4);
        buf_done(&got);
        sim_disk_free(&disk);
        if (!failed)
            return;
    }
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct sim_disk *disk = sim_disk_new(n);
        struct io_disk *io = sim_disk_io(disk);
        struct buf got = {0};
        mem_fail_after(n);
        err_t err = io_disk_make_path(io, "a/b", NULL);
        if (err_is_ok(err))
            err = io_disk_write_file(io, "a/b/f", SLICE_LITERAL("text"), NULL);
        if (err_is_ok(err))
            err = io_disk_read_file(io, "a/b/f", 10, &got, NULL);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(err_is(err, ERR_MEMORY), failed);
        buf_done(&got);
        sim_disk_free(&disk);
        if (!failed)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_missing_directory_is_made_and_survives),
        cmocka_unit_test(a_path_made_after_a_killed_one_survives_too),
        cmocka_unit_test(a_file_in_the_way_is_named),
        cmocka_unit_test(a_file_is_read_as_it_was_written),
        cmocka_unit_test(what_is_read_goes_behind_what_is_there),
        cmocka_unit_test(a_file_over_the_limit_is_refused_and_nothing_is_added),
        cmocka_unit_test(a_written_file_survives_with_its_name),
        cmocka_unit_test(any_call_of_writing_a_file_may_fail),
        cmocka_unit_test(any_call_of_reading_a_file_may_fail),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
