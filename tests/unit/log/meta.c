#include "lib/unit.h"

#include "base/alloc.h"
#include "log/meta.h"
#include "sim/disk.h"

#define assert_err(actual, expected) assert_string_equal(err_name(actual), #expected)
#define UUID_TEXT "00010203-0405-4607-8809-0a0b0c0d0e0f"

static err_t parse(const char *text, struct log_meta *out, struct err_text *why)
{
    *why = (struct err_text){0};
    return log_meta_parse(slice_string(text), out, why);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct io_disk *io = sim_disk_io(disk);
    struct err_text why = {0};
    struct log_meta meta = {.format = LOG_META_FORMAT, .uuid = {{1, 2, 3}}}, read;
    assert_err(log_meta_read(io, ".", &read, &why), NO_FILE);
    assert_err(log_meta_write(io, ".", &meta, &why), OK);
    assert_err(log_meta_read(io, ".", &read, &why), OK);
    assert_true(uuid_equal(&meta.uuid, &read.uuid));
    assert_false(read.ready);
    meta.ready = true;
    assert_err(log_meta_write(io, ".", &meta, &why), OK);
    sim_disk_crash(disk);
    assert_err(log_meta_read(io, ".", &read, &why), OK);
    assert_true(read.ready);
    assert_int_equal(read.format, LOG_META_FORMAT);
    sim_disk_free(&disk);
}

static void the_text_is_for_people_too(void **state)
{
    (void)state;
    struct err_text why;
    struct log_meta meta;
    assert_err(
        parse("garner data directory\nformat 1\nuuid " UUID_TEXT "\nstate ready\n", &meta, &why),
        OK);
    assert_int_equal(meta.uuid.bytes[15], 15);
    assert_int_equal(meta.format, 1);
    assert_true(meta.ready);
    assert_err(parse("garner data directory\nformat 1\nuuid " UUID_TEXT
                     "\nstate new\ncolour of later versions blue\n",
                     &meta, &why),
               OK);
    assert_false(meta.ready);
}

static void a_newer_format_says_which(void **state)
{
    (void)state;
    struct err_text why;
    struct log_meta meta;
    assert_err(parse("garner data directory\nformat 6\nuuid x\n", &meta, &why), VERSION);
    assert_non_null(strstr(why.text, "format 6, this garner knows up to 5"));
}

static void anything_else_is_refused_and_says_what_to_do(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n",
        "garner data directory",
        "format 1\nuuid " UUID_TEXT "\nstate ready\n",
        "garner data directory\nuuid " UUID_TEXT "\nstate ready\n",
        "garner data directory\nformat 0\nuuid " UUID_TEXT "\nstate ready\n",
        "garner data directory\nformat one\nuuid " UUID_TEXT "\nstate ready\n",
        "garner data directory\nformat 1\nstate ready\n",
        "garner data directory\nformat 1\nuuid 0001\nstate ready\n",
        "garner data directory\nformat 1\nuuid 00000000-0000-0000-0000-000000000000\nstate new\n",
        "garner data directory\nformat 1\nuuid " UUID_TEXT "\n",
        "garner data directory\nformat 1\nuuid " UUID_TEXT "\nstate rea",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err_text why;
        struct log_meta meta = {.format = 99};
        assert_err(parse(texts[i], &meta, &why), CORRUPT);
        assert_non_null(strstr(why.text, "restore it"));
        assert_int_equal(meta.format, 99);
    }
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    char *path = calloc(1, 5001);
    assert_non_null(path);
    memset(path, 'x', 5000);
    struct err_text why = {0};
    struct log_meta meta = {.format = 1, .uuid = {{1}}};
    assert_err(log_meta_read(sim_disk_io(disk), path, &meta, &why), CONFIG);
    assert_err(log_meta_write(sim_disk_io(disk), path, &meta, &why), CONFIG);
    free(path);
    sim_disk_free(&disk);
}

static void each_failure_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    struct err_text why = {0};
    struct log_meta old = {.format = 1, .uuid = {{1}}};
    struct log_meta other = {.format = 1, .uuid = {{2}}, .ready = true}, read;
    bool written = false;
    for (uint64_t n = 1; !written; n++) {
        struct sim_disk *disk = sim_disk_new(n);
        assert_err(log_meta_write(sim_disk_io(disk), ".", &old, &why), OK);
        sim_disk_fail_after(disk, n, ERR_IO);
        written = err_is_ok(log_meta_write(sim_disk_io(disk), ".", &other, &why));
        sim_disk_fail_after(disk, 0, ERR_OK);
        sim_disk_crash(disk);
        assert_err(log_meta_read(sim_disk_io(disk), ".", &read, &why), OK);
        assert_true(read.uuid.bytes[0] == (read.ready ? 2 : 1));
        assert_true(read.ready || !written);
        sim_disk_free(&disk);
    }
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct err_text why = {0};
    struct log_meta meta = {.format = 1, .uuid = {{1}}}, read;
    assert_err(log_meta_write(sim_disk_io(disk), ".", &meta, &why), OK);
    err_t err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        mem_fail_after(n);
        err = log_meta_read(sim_disk_io(disk), ".", &read, &why);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
    }
    sim_disk_free(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_text_is_for_people_too),
        cmocka_unit_test(a_newer_format_says_which),
        cmocka_unit_test(anything_else_is_refused_and_says_what_to_do),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
        cmocka_unit_test(each_failure_leaves_the_old_or_the_new),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
