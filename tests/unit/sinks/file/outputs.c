#include "unit/sinks/file/fixture.h"

#include "sinks/file/outputs.h"
#include "sinks/file/template.h"

static void encode(struct buf *out, const char *root, const char *const *paths, uint32_t count)
{
    sinks_file_outputs_begin(out, slice_string(root), count);
    for (uint32_t i = 0; i < count; i++)
        sinks_file_outputs_add(out, i * 1000, slice_string(paths[i]));
}

static void assert_corrupt(const char *path)
{
    struct buf bytes = {0};
    struct sinks_file_outputs outputs;
    encode(&bytes, "/r", &path, 1);
    assert_err(sinks_file_outputs_open(buf_slice(&bytes), &outputs), CORRUPT);
    buf_done(&bytes);
}

static void what_was_encoded_is_read_back(void **state)
{
    (void)state;
    static const char *const paths[] = {"a/x.ndjson", "a/y.ndjson", "b.ndjson"};
    struct buf bytes = {0};
    encode(&bytes, "/lake", paths, 3);
    assert_ok(buf_error(&bytes));
    struct sinks_file_outputs outputs;
    struct sinks_file_output output;
    assert_ok(sinks_file_outputs_open(buf_slice(&bytes), &outputs));
    assert_slice(outputs.root, "/lake");
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(sinks_file_outputs_next(&outputs, &output));
        assert_int_equal(output.number, i * 1000);
        assert_slice(output.path, paths[i]);
    }
    assert_false(sinks_file_outputs_next(&outputs, &output));
    buf_done(&bytes);
}

static void the_bytes_are_those_of_the_format(void **state)
{
    (void)state;
    static const char *const paths[] = {"x"};
    struct buf bytes = {0};
    encode(&bytes, "/r", paths, 1);
    assert_slice(slice_sub(buf_slice(&bytes), 0, 5), "\x01\x02/r\x01");
    assert_int_equal(bytes.size, 8);
    assert_memory_equal(bytes.data + 5, "\x00\x01x", 3);
    buf_done(&bytes);
}

static void an_epoch_without_files_has_no_outputs(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct sinks_file_outputs outputs;
    struct sinks_file_output output;
    encode(&bytes, "/lake", NULL, 0);
    assert_ok(sinks_file_outputs_open(buf_slice(&bytes), &outputs));
    assert_false(sinks_file_outputs_next(&outputs, &output));
    buf_done(&bytes);
}

static void outputs_cut_anywhere_are_corrupt(void **state)
{
    (void)state;
    static const char *const paths[] = {"a/x.ndjson", "b/y.ndjson"};
    struct buf bytes = {0};
    encode(&bytes, "/lake", paths, 2);
    for (size_t size = 0; size < bytes.size; size++) {
        struct sinks_file_outputs outputs;
        /* A block of its own: reading behind it is seen. */
        uint8_t *copy = malloc(size ? size : 1);
        assert_non_null(copy);
        memcpy(copy, bytes.data, size);
        assert_err(sinks_file_outputs_open(slice_make(copy, size), &outputs), CORRUPT);
        free(copy);
    }
    buf_add_byte(&bytes, 0);
    struct sinks_file_outputs outputs;
    assert_err(sinks_file_outputs_open(buf_slice(&bytes), &outputs), CORRUPT);
    buf_done(&bytes);
}

static void a_count_that_is_a_lie_is_corrupt(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct sinks_file_outputs outputs;
    sinks_file_outputs_begin(&bytes, SLICE_LITERAL("/r"), SIZE_MAX);
    sinks_file_outputs_add(&bytes, 0, SLICE_LITERAL("x"));
    assert_err(sinks_file_outputs_open(buf_slice(&bytes), &outputs), CORRUPT);
    buf_done(&bytes);
}

static void a_newer_version_is_said_to_be_one(void **state)
{
    (void)state;
    struct sinks_file_outputs outputs;
    assert_err(sinks_file_outputs_open(SLICE_LITERAL("\x02whatever"), &outputs), VERSION);
    assert_err(sinks_file_outputs_open(SLICE_LITERAL("\x00\x01/\x00"), &outputs), CORRUPT);
}

static void a_path_that_leaves_the_root_is_corrupt(void **state)
{
    (void)state;
    assert_corrupt("/etc/passwd");
    assert_corrupt("../x");
    assert_corrupt("a/../../x");
    assert_corrupt("a/./x");
    assert_corrupt("a//x");
    assert_corrupt("a/");
    assert_corrupt("..");
    char name[SINKS_FILE_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[SINKS_FILE_NAME_MAX + 1] = '\0';
    assert_corrupt(name);
    char path[SINKS_FILE_PATH_MAX + 2];
    for (size_t i = 0; i < sizeof(path); i++)
        path[i] = i % 2 ? '/' : 'p';
    path[SINKS_FILE_PATH_MAX + 1] = '\0';
    assert_corrupt(path);
}

static void a_zero_byte_in_a_path_is_corrupt(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct sinks_file_outputs outputs;
    sinks_file_outputs_begin(&bytes, SLICE_LITERAL("/r"), 1);
    sinks_file_outputs_add(&bytes, 0, SLICE_LITERAL("a\0b"));
    assert_err(sinks_file_outputs_open(buf_slice(&bytes), &outputs), CORRUPT);
    buf_done(&bytes);
}

static void paths_end_in_a_zero_that_is_not_counted(void **state)
{
    (void)state;
    struct buf path = {0};
    sinks_file_progress_path(&path, SLICE_LITERAL("/lake"), 42);
    assert_string_equal((const char *)path.data, "/lake.inprogress/00000042.ndjson");
    assert_int_equal(path.size, strlen((const char *)path.data));
    sinks_file_progress_directory(&path, SLICE_LITERAL("/lake"));
    assert_string_equal((const char *)path.data, "/lake.inprogress");
    sinks_file_final_path(&path, SLICE_LITERAL("/lake"), SLICE_LITERAL("a/b"));
    assert_string_equal((const char *)path.data, "/lake/a/b");
    sinks_file_directory_path(&path, SLICE_LITERAL("/lake"));
    assert_string_equal((const char *)path.data, "/lake");
    buf_done(&path);
}

static void names_of_files_in_progress_are_known(void **state)
{
    (void)state;
    assert_true(sinks_file_progress_name(SLICE_LITERAL("00000000.ndjson")));
    assert_true(sinks_file_progress_name(SLICE_LITERAL("4294967295.ndjson")));
    assert_false(sinks_file_progress_name(SLICE_LITERAL("0.ndjson")));
    assert_false(sinks_file_progress_name(SLICE_LITERAL("notes.ndjson")));
    assert_false(sinks_file_progress_name(SLICE_LITERAL("00000000.txt")));
    assert_false(sinks_file_progress_name(SLICE_LITERAL(".ndjson")));
    assert_false(sinks_file_progress_name(SLICE_LITERAL("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_read_back),
        cmocka_unit_test(the_bytes_are_those_of_the_format),
        cmocka_unit_test(an_epoch_without_files_has_no_outputs),
        cmocka_unit_test(outputs_cut_anywhere_are_corrupt),
        cmocka_unit_test(a_count_that_is_a_lie_is_corrupt),
        cmocka_unit_test(a_newer_version_is_said_to_be_one),
        cmocka_unit_test(a_path_that_leaves_the_root_is_corrupt),
        cmocka_unit_test(a_zero_byte_in_a_path_is_corrupt),
        cmocka_unit_test(paths_end_in_a_zero_that_is_not_counted),
        cmocka_unit_test(names_of_files_in_progress_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
