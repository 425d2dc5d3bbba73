#include "unit/sinks/file/fixture.h"

#include "sinks/file/writer.h"

struct test {
    char sandbox[64];
    struct faulty faulty;
    struct sinks_file_writer *writer;
    const char *path;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    make_sandbox(t->sandbox);
    faulty_init(&t->faulty);
    t->writer = sinks_file_writer_new(SLICE_LITERAL("topic-0"), 1, 0, 0);
    assert_non_null(t->writer);
    t->path = at(t->sandbox, "f");
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    sinks_file_writer_free(t->writer);
    remove_sandbox(t->sandbox);
    free(t);
    return 0;
}

static void add(struct test *t, const char *value)
{
    assert_ok(sinks_file_writer_add(t->writer, slice_string(value)));
}

static void each_value_is_a_line(void **state)
{
    struct test *t = *state;
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    add(t, "{\"a\":1}");
    add(t, "[]");
    add(t, "");
    assert_ok(sinks_file_writer_add(t->writer, (struct slice){0}));
    assert_int_equal(sinks_file_writer_size(t->writer), 17);
    assert_ok(sinks_file_writer_close(t->writer));
    assert_file(t->path, "{\"a\":1}\n[]\n\nnull\n");
}

static void a_value_over_several_lines_becomes_one(void **state)
{
    struct test *t = *state;
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    add(t, "{\r\n  \"a\": 1,\n  \"b\": \"x\\ny\"\r}");
    add(t, "\n\n1\n");
    add(t, "\r");
    assert_ok(sinks_file_writer_close(t->writer));
    assert_file(t->path, "{  \"a\": 1,  \"b\": \"x\\ny\"}\n1\n\n");
}

static void values_larger_than_the_buffer_are_whole(void **state)
{
    struct test *t = *state;
    size_t sizes[] = {SINKS_FILE_BUFFER_SIZE - 1, SINKS_FILE_BUFFER_SIZE,
                      3 * SINKS_FILE_BUFFER_SIZE + 5, 1};
    struct buf expected = {0};
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t start = expected.size;
        for (size_t j = 0; j < sizes[i]; j++)
            buf_add_byte(&expected, (uint8_t)('a' + (i + j) % 26));
        struct slice value = slice_sub(buf_slice(&expected), start, sizes[i]);
        assert_ok(sinks_file_writer_add(t->writer, value));
        buf_add_byte(&expected, '\n');
    }
    assert_int_equal(sinks_file_writer_size(t->writer), expected.size);
    assert_ok(sinks_file_writer_close(t->writer));
    buf_add_byte(&expected, '\0');
    assert_file(t->path, (const char *)expected.data);
    buf_done(&expected);
}

static void a_closed_writer_goes_on_where_it_was(void **state)
{
    struct test *t = *state;
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    add(t, "one");
    assert_ok(sinks_file_writer_close(t->writer));
    assert_null(t->writer->buffer);
    assert_ok(sinks_file_writer_close(t->writer));
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    add(t, "two");
    assert_ok(sinks_file_writer_close(t->writer));
    assert_file(t->path, "one\ntwo\n");
}

static void each_mebibyte_is_on_its_way_before_the_end(void **state)
{
    struct test *t = *state;
    static const char value[SINKS_FILE_BUFFER_SIZE];
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(t->faulty.hints, t->writer->written >> 20);
        assert_ok(sinks_file_writer_add(t->writer, slice_make(value, sizeof(value))));
    }
    assert_int_equal(t->faulty.hinted_end, 2 << 20);
    assert_ok(sinks_file_writer_close(t->writer));
    /* What was flushed when the file was closed is not asked for again. */
    assert_int_equal(t->faulty.hints, 2);
    t->faulty.hinted_end = t->writer->written;
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    for (size_t i = 0; i < 5; i++)
        assert_ok(sinks_file_writer_add(t->writer, slice_make(value, sizeof(value))));
    assert_int_equal(t->faulty.hints, 3);
    assert_ok(sinks_file_writer_close(t->writer));
}

static void what_an_earlier_epoch_left_is_overwritten(void **state)
{
    struct test *t = *state;
    put_file(t->path, "something longer from before\n");
    assert_ok(sinks_file_writer_open(t->writer, &t->faulty.disk, t->path, NULL));
    add(t, "new");
    assert_ok(sinks_file_writer_close(t->writer));
    assert_file(t->path, "new\n");
}

static void every_failed_call_is_reported(void **state)
{
    struct test *t = *state;
    /* open, write of a full buffer, write of the rest, flush */
    for (uint64_t n = 1; n <= 4; n++) {
        struct sinks_file_writer *writer =
            sinks_file_writer_new(SLICE_LITERAL("k"), 1, 0, (uint32_t)n);
        faulty_fail(&t->faulty, n, false, ERR_NO_SPACE);
        err_t err = sinks_file_writer_open(writer, &t->faulty.disk, t->path, NULL);
        for (size_t i = 0; err_is_ok(err) && i <= SINKS_FILE_BUFFER_SIZE / 4; i++)
            err = sinks_file_writer_add(writer, SLICE_LITERAL("123"));
        if (err_is_ok(err))
            err = sinks_file_writer_close(writer);
        assert_err(err, NO_SPACE);
        sinks_file_writer_free(writer);
    }
    faulty_fail(&t->faulty, 0, false, ERR_OK);
}

static void without_memory_a_writer_stays_closed(void **state)
{
    struct test *t = *state;
    mem_fail_after(1);
    assert_null(sinks_file_writer_new(SLICE_LITERAL("k"), 1, 0, 0));
    bool failed = false;
    for (uint64_t n = 1; !t->writer->file; n++) {
        mem_fail_after(n);
        err_t err = sinks_file_writer_open(t->writer, io_uv_disk(), t->path, NULL);
        mem_fail_after(0);
        failed = failed || err_is(err, ERR_MEMORY);
    }
    assert_true(failed);
    add(t, "x");
    assert_ok(sinks_file_writer_close(t->writer));
    assert_file(t->path, "x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_value_is_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_over_several_lines_becomes_one, setup, teardown),
        cmocka_unit_test_setup_teardown(values_larger_than_the_buffer_are_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(each_mebibyte_is_on_its_way_before_the_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_closed_writer_goes_on_where_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_earlier_epoch_left_is_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(every_failed_call_is_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_a_writer_stays_closed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
