#include "unit/sinks/file/fixture.h"

#include "sinks/file/outputs.h"
#include "sinks/file/publish.h"

static const char *const paths[] = {
    "a/dt=1/t-0.ndjson", "a/dt=1/t-1.ndjson", "a/dt=2/t-0.ndjson", "b/t-0.ndjson", "c.ndjson",
};
#define PATHS (sizeof(paths) / sizeof(paths[0]))

struct test {
    char sandbox[64];
    char root[128];
    struct faulty faulty;
    struct buf outputs;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    faulty_init(&t->faulty);
    *state = t;
    return 0;
}

/* A fresh sandbox with the files of an epoch in progress, prepared. */
static void prepare(struct test *t)
{
    make_sandbox(t->sandbox);
    (void)snprintf(t->root, sizeof(t->root), "%s/lake", t->sandbox);
    buf_reset(&t->outputs);
    sinks_file_outputs_begin(&t->outputs, slice_string(t->root), PATHS);
    struct buf path = {0};
    sinks_file_progress_directory(&path, slice_string(t->root));
    assert_int_equal(mkdir((const char *)path.data, 0700), 0);
    for (uint32_t i = 0; i < PATHS; i++) {
        sinks_file_outputs_add(&t->outputs, i, slice_string(paths[i]));
        sinks_file_progress_path(&path, slice_string(t->root), i);
        put_file((const char *)path.data, paths[i]);
    }
    buf_done(&path);
    faulty_fail(&t->faulty, 0, false, ERR_IO);
}

static int teardown(void **state)
{
    struct test *t = *state;
    remove_sandbox(t->sandbox);
    buf_done(&t->outputs);
    free(t);
    return 0;
}

static err_t publish(struct test *t, struct err_text *why)
{
    return sinks_file_publish(&t->faulty.disk, buf_slice(&t->outputs), why);
}

static void assert_published(struct test *t)
{
    for (size_t i = 0; i < PATHS; i++)
        assert_file(at(t->root, paths[i]), paths[i]);
    assert_int_equal(count_entries(at(t->sandbox, "lake.inprogress")), 0);
}

static void all_files_get_their_places(void **state)
{
    struct test *t = *state;
    prepare(t);
    assert_ok(publish(t, NULL));
    assert_published(t);
}

static void publishing_again_changes_nothing(void **state)
{
    struct test *t = *state;
    prepare(t);
    assert_ok(publish(t, NULL));
    assert_ok(publish(t, NULL));
    assert_published(t);
}

static void a_failure_at_any_call_is_made_good_by_the_next_try(void **state)
{
    struct test *t = *state;
    uint64_t failures = 0;
    for (uint64_t n = 1;; n++) {
        prepare(t);
        faulty_fail(&t->faulty, n, true, ERR_NO_SPACE);
        err_t err = publish(t, NULL);
        if (err_is_ok(err))
            break;
        assert_err(err, NO_SPACE);
        failures++;
        faulty_fail(&t->faulty, 0, false, ERR_OK);
        assert_ok(publish(t, NULL));
        assert_published(t);
        remove_sandbox(t->sandbox);
    }
    /* Two looks and a rename a file, and the flushes at least. */
    assert_true(failures > 3 * PATHS + 6);
    assert_published(t);
}

static void a_lack_of_memory_at_any_point_is_made_good_too(void **state)
{
    struct test *t = *state;
    for (uint64_t n = 1;; n++) {
        prepare(t);
        mem_fail_after(n);
        err_t err = publish(t, NULL);
        mem_fail_after(0);
        if (err_is_ok(err))
            break;
        assert_err(err, MEMORY);
        assert_ok(publish(t, NULL));
        assert_published(t);
        remove_sandbox(t->sandbox);
    }
    assert_published(t);
}

/* Counts flushes by directory. */
struct watched {
    struct faulty faulty;
    struct io_disk_ops ops;
    struct buf synced;
};

static err_t note_sync(struct io_disk *disk, const char *path, struct err_text *why)
{
    struct watched *w = CONTAINER_OF(disk, struct watched, faulty.disk);
    buf_add_string(&w->synced, strstr(path, "/lake") + 1);
    buf_add_byte(&w->synced, ' ');
    return io_disk_sync_directory(io_uv_disk(), path, why);
}

static void each_directory_is_flushed_once_and_the_deepest_first(void **state)
{
    struct test *t = *state;
    prepare(t);
    struct watched w = {0};
    faulty_init(&w.faulty);
    w.ops = *w.faulty.disk.ops;
    w.ops.sync_directory = note_sync;
    w.faulty.disk.ops = &w.ops;
    assert_ok(publish(t, NULL));
    assert_ok(sinks_file_publish(&w.faulty.disk, buf_slice(&t->outputs), NULL));
    assert_slice(buf_slice(&w.synced),
                 "lake/a/dt=1 lake/a/dt=2 lake/a lake/b lake lake.inprogress ");
    buf_done(&w.synced);
}

static void a_file_that_is_nowhere_is_an_error_with_both_names(void **state)
{
    struct test *t = *state;
    prepare(t);
    assert_int_equal(unlink(at(t->sandbox, "lake.inprogress/00000002.ndjson")), 0);
    struct err_text why = {0};
    assert_err(publish(t, &why), NO_FILE);
    assert_non_null(strstr(why.text, "lake.inprogress/00000002.ndjson"));
    assert_non_null(strstr(why.text, "lake/a/dt=2/t-0.ndjson"));
}

static void another_file_is_never_replaced(void **state)
{
    struct test *t = *state;
    prepare(t);
    assert_int_equal(mkdir(t->root, 0700), 0);
    put_file(at(t->root, "c.ndjson"), "mine");
    struct err_text why = {0};
    assert_err(publish(t, &why), EXISTS);
    assert_non_null(strstr(why.text, "lake/c.ndjson"));
    assert_file(at(t->root, "c.ndjson"), "mine");
    assert_file(at(t->sandbox, "lake.inprogress/00000004.ndjson"), "c.ndjson");
    assert_int_equal(unlink(at(t->root, "c.ndjson")), 0);
    assert_ok(publish(t, NULL));
    assert_published(t);
}

static void a_directory_in_a_files_place_is_an_error(void **state)
{
    struct test *t = *state;
    prepare(t);
    assert_int_equal(mkdir(t->root, 0700), 0);
    assert_int_equal(mkdir(at(t->root, "c.ndjson"), 0700), 0);
    assert_err(publish(t, NULL), EXISTS);
}

static void outputs_that_cannot_be_read_touch_nothing(void **state)
{
    struct test *t = *state;
    prepare(t);
    struct err_text why = {0};
    struct slice cut = slice_sub(buf_slice(&t->outputs), 0, t->outputs.size - 1);
    assert_err(sinks_file_publish(&t->faulty.disk, cut, &why), CORRUPT);
    assert_non_null(strstr(why.text, "corrupt"));
    assert_false(file_exists(t->root));
    assert_int_equal(t->faulty.calls, 0);
}

static void an_epoch_without_files_needs_no_directory(void **state)
{
    struct test *t = *state;
    prepare(t);
    buf_reset(&t->outputs);
    sinks_file_outputs_begin(&t->outputs, slice_string("/nowhere/at/all"), 0);
    assert_ok(publish(t, NULL));
    assert_int_equal(t->faulty.calls, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_files_get_their_places),
        TEST(publishing_again_changes_nothing),
        TEST(a_failure_at_any_call_is_made_good_by_the_next_try),
        TEST(a_lack_of_memory_at_any_point_is_made_good_too),
        TEST(each_directory_is_flushed_once_and_the_deepest_first),
        TEST(a_file_that_is_nowhere_is_an_error_with_both_names),
        TEST(another_file_is_never_replaced),
        TEST(a_directory_in_a_files_place_is_an_error),
        TEST(outputs_that_cannot_be_read_touch_nothing),
        TEST(an_epoch_without_files_needs_no_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
