#include "lib/unit.h"

#include "base/alloc.h"
#include "log/wal.h"
#include "sim/disk.h"

#define assert_err(actual, expected) assert_string_equal(err_name(actual), #expected)
#define FILE_SIZE (UINT64_C(64) << 10)

static struct err_text why;

static err_t open_wal(struct log_wal *wal, struct sim_disk *disk, uint64_t limit)
{
    why = (struct err_text){0};
    err_t err = log_wal_open(wal, sim_disk_io(disk), NULL, "data", limit, FILE_SIZE, &why);
    if (!err_is_ok(err))
        log_wal_done(wal);
    return err;
}

static void open_well(struct log_wal *wal, struct sim_disk *disk)
{
    assert_err(open_wal(wal, disk, 10 * FILE_SIZE), OK);
}

static err_t make_file(struct log_wal *wal, uint64_t number)
{
    struct log_wal_making making;
    err_t err = log_wal_make_begin(&making, wal, number, 0);
    while (err_is_ok(err) && !making.finished)
        err = log_wal_make_step(&making, &why);
    log_wal_make_done(&making);
    return err;
}

static void add_files(struct log_wal *wal, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = log_wal_next_number(wal);
        assert_err(make_file(wal, number), OK);
        assert_err(log_wal_add(wal, number, &why), OK);
    }
}

static enum io_kind kind_of(struct sim_disk *disk, const char *path)
{
    enum io_kind kind = IO_KIND_OTHER;
    assert_err(io_disk_kind(sim_disk_io(disk), path, &kind, NULL), OK);
    return kind;
}

static void put_file(struct sim_disk *disk, const char *path, size_t size)
{
    static const uint8_t bytes[65536];
    struct io_file *file = NULL;
    assert_err(io_disk_open(sim_disk_io(disk), path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL),
               OK);
    assert_err(io_file_write(file, bytes, size, 0), OK);
    assert_err(io_file_close(file), OK);
}

static void files_are_named_by_twenty_digits(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    char path[LOG_WAL_PATH_MAX];
    open_well(&wal, disk);
    log_wal_path(&wal, 17, path);
    assert_string_equal(path, "data/wal/00000000000000000017.wal");
    log_wal_path(&wal, UINT64_MAX, path);
    assert_string_equal(path, "data/wal/18446744073709551615.wal");
    assert_int_equal(log_wal_next_number(&wal), 1);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void a_file_is_whole_and_patterned_before_it_has_its_name(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    open_well(&wal, disk);
    struct log_wal_making making;
    assert_err(log_wal_make_begin(&making, &wal, 1, 0), OK);
    assert_err(log_wal_make_step(&making, &why), OK);
    assert_false(making.finished);
    assert_int_equal(kind_of(disk, "data/wal/00000000000000000001.wal"), IO_KIND_NONE);
    assert_int_equal(kind_of(disk, "data/wal/00000000000000000001.wal.making"), IO_KIND_FILE);
    assert_err(log_wal_make_step(&making, &why), OK);
    assert_true(making.finished);
    log_wal_make_done(&making);
    sim_disk_crash(disk);
    struct buf content = {0};
    assert_err(io_disk_read_file(sim_disk_io(disk), "data/wal/00000000000000000001.wal", FILE_SIZE,
                                 &content, &why),
               OK);
    assert_int_equal(content.size, FILE_SIZE);
    for (size_t i = 0; i < content.size; i++)
        assert_int_equal(content.data[i], 0xA5);
    buf_done(&content);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void what_is_left_of_making_is_removed_and_strangers_are_not(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    open_well(&wal, disk);
    add_files(&wal, 2);
    log_wal_done(&wal);
    put_file(disk, "data/wal/00000000000000000003.wal.making", 4096);
    put_file(disk, "data/wal/00000000000000000000.wal.making", 0);
    put_file(disk, "data/wal/notes.txt", 10);
    put_file(disk, "data/wal/0000000000000000000x.wal", 4096);
    put_file(disk, "data/wal/00000000000000000009.wal.old", 4096);
    open_well(&wal, disk);
    assert_int_equal(wal.file_count, 2);
    assert_int_equal(wal.files[1].number, 2);
    assert_int_equal(kind_of(disk, "data/wal/00000000000000000003.wal.making"), IO_KIND_NONE);
    assert_int_equal(kind_of(disk, "data/wal/00000000000000000000.wal.making"), IO_KIND_NONE);
    assert_int_equal(kind_of(disk, "data/wal/notes.txt"), IO_KIND_FILE);
    assert_int_equal(kind_of(disk, "data/wal/00000000000000000009.wal.old"), IO_KIND_FILE);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void a_missing_file_is_noticed_and_an_empty_one_named(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    open_well(&wal, disk);
    add_files(&wal, 4);
    log_wal_done(&wal);
    assert_err(io_disk_remove(sim_disk_io(disk), "data/wal/00000000000000000003.wal", NULL), OK);
    /* Whether that is damage depends on what a checkpoint says: recovery knows. */
    open_well(&wal, disk);
    assert_int_equal(wal.file_count, 3);
    assert_int_equal(wal.contiguous_from, 4);
    log_wal_done(&wal);
    put_file(disk, "data/wal/00000000000000000003.wal", 0);
    assert_err(open_wal(&wal, disk, 0), CORRUPT);
    assert_non_null(strstr(why.text, "data/wal/00000000000000000003.wal is empty"));
    sim_disk_free(&disk);
}

static void frames_are_placed_one_behind_the_other_and_never_over_an_end(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    struct log_position at;
    open_well(&wal, disk);
    assert_int_equal(log_wal_room(&wal), 0);
    add_files(&wal, 2);
    assert_int_equal(log_wal_room(&wal), 2 * FILE_SIZE);
    assert_err(log_wal_place(&wal, 40960, &at), OK);
    assert_int_equal(at.file_number, 1);
    assert_int_equal(at.offset, 0);
    assert_err(log_wal_place(&wal, 4096, &at), OK);
    assert_int_equal(at.offset, 40960);
    assert_int_equal(log_wal_room(&wal), 2 * FILE_SIZE - 45056);
    assert_err(log_wal_place(&wal, 24576, &at), OK);
    assert_int_equal(at.file_number, 2);
    assert_int_equal(at.offset, 0);
    assert_err(log_wal_place(&wal, FILE_SIZE, &at), LOG_FULL);
    assert_err(log_wal_place(&wal, FILE_SIZE - 24576, &at), OK);
    assert_int_equal(log_wal_room(&wal), 0);
    assert_err(log_wal_place(&wal, 4096, &at), LOG_FULL);
    add_files(&wal, 1);
    assert_err(log_wal_place(&wal, 2 * FILE_SIZE, &at), LOG_FULL);
    assert_err(log_wal_place(&wal, FILE_SIZE, &at), OK);
    assert_int_equal(at.file_number, 3);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void rolling_leaves_room_behind_and_needs_a_spare(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    struct log_position at;
    open_well(&wal, disk);
    add_files(&wal, 2);
    assert_err(log_wal_place(&wal, 4096, &at), OK);
    assert_err(log_wal_roll(&wal), OK);
    assert_int_equal(wal.current, 1);
    assert_int_equal(wal.offset, 0);
    assert_int_equal(log_wal_room(&wal), FILE_SIZE);
    assert_err(log_wal_roll(&wal), LOG_FULL);
    assert_int_equal(wal.current, 1);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void the_limit_bounds_all_files_together(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    assert_err(open_wal(&wal, disk, 3 * FILE_SIZE - 1), OK);
    assert_true(log_wal_may_make(&wal));
    add_files(&wal, 1);
    assert_true(log_wal_may_make(&wal));
    add_files(&wal, 1);
    assert_false(log_wal_may_make(&wal));
    assert_int_equal(log_wal_bytes(&wal), 2 * FILE_SIZE);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void the_size_of_files_comes_from_the_limit(void **state)
{
    (void)state;
    static const struct {
        uint64_t limit, size;
    } cases[] = {
        {UINT64_C(1) << 20, LOG_WAL_FILE_SIZE_MIN},
        {UINT64_C(512) << 20, UINT64_C(64) << 20},
        {UINT64_C(4) << 30, LOG_WAL_FILE_SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sim_disk *disk = sim_disk_new(1);
        struct log_wal wal;
        assert_err(log_wal_open(&wal, sim_disk_io(disk), NULL, "data", cases[i].limit, 0, &why),
                   OK);
        assert_int_equal(wal.file_size, cases[i].size);
        log_wal_done(&wal);
        sim_disk_free(&disk);
    }
}

static void files_are_found_by_number(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    open_well(&wal, disk);
    assert_null(log_wal_find(&wal, 1));
    add_files(&wal, 3);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(log_wal_find(&wal, i)->number, i);
    assert_null(log_wal_find(&wal, 0));
    assert_null(log_wal_find(&wal, 4));
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void without_direct_transfers_it_goes_through_the_cache(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    open_well(&wal, disk);
    assert_true(wal.direct);
    log_wal_done(&wal);
    sim_disk_set(disk, &(struct sim_disk_options){.no_direct = true});
    open_well(&wal, disk);
    assert_false(wal.direct);
    assert_string_equal(why.text, "");
    add_files(&wal, 1);
    assert_int_equal(kind_of(disk, "data/wal/00000000000000000000.wal.making"), IO_KIND_NONE);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    char path[LOG_WAL_PATH_MAX + 1] = {0};
    struct log_wal wal;
    memset(path, 'x', LOG_WAL_PATH_MAX);
    assert_err(log_wal_open(&wal, sim_disk_io(disk), NULL, path, 0, FILE_SIZE, &why), CONFIG);
    sim_disk_free(&disk);
}

static void each_failure_of_making_leaves_nothing_that_is_not_whole(void **state)
{
    (void)state;
    static const enum err_code codes[] = {ERR_IO, ERR_NO_SPACE};
    for (size_t c = 0; c < 2; c++) {
        err_t err = err_make(ERR_IO);
        for (uint64_t n = 1; !err_is_ok(err); n++) {
            struct sim_disk *disk = sim_disk_new(n);
            struct log_wal wal;
            open_well(&wal, disk);
            sim_disk_fail_after(disk, n, codes[c]);
            err = make_file(&wal, 1);
            sim_disk_fail_after(disk, 0, ERR_OK);
            assert_true(err_is_ok(err) || err.code == codes[c]);
            log_wal_done(&wal);
            sim_disk_crash(disk);
            open_well(&wal, disk);
            assert_true(wal.file_count == 1 || !err_is_ok(err));
            if (wal.file_count == 1)
                assert_int_equal(wal.files[0].size, FILE_SIZE);
            log_wal_done(&wal);
            sim_disk_free(&disk);
        }
    }
}

static void each_failure_of_opening_closes_what_was_open(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct log_wal wal;
    open_well(&wal, disk);
    add_files(&wal, 3);
    log_wal_done(&wal);
    err_t err = err_make(ERR_IO);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        sim_disk_fail_after(disk, n, ERR_IO);
        err = open_wal(&wal, disk, 0);
        assert_true(err_is_ok(err) || err_is(err, ERR_IO));
    }
    sim_disk_fail_after(disk, 0, ERR_OK);
    log_wal_done(&wal);
    err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        mem_fail_after(n);
        err = open_wal(&wal, disk, 0);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
    }
    assert_int_equal(wal.file_count, 3);
    log_wal_done(&wal);
    sim_disk_free(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_named_by_twenty_digits),
        cmocka_unit_test(a_file_is_whole_and_patterned_before_it_has_its_name),
        cmocka_unit_test(what_is_left_of_making_is_removed_and_strangers_are_not),
        cmocka_unit_test(a_missing_file_is_noticed_and_an_empty_one_named),
        cmocka_unit_test(frames_are_placed_one_behind_the_other_and_never_over_an_end),
        cmocka_unit_test(rolling_leaves_room_behind_and_needs_a_spare),
        cmocka_unit_test(the_limit_bounds_all_files_together),
        cmocka_unit_test(the_size_of_files_comes_from_the_limit),
        cmocka_unit_test(files_are_found_by_number),
        cmocka_unit_test(without_direct_transfers_it_goes_through_the_cache),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
        cmocka_unit_test(each_failure_of_making_leaves_nothing_that_is_not_whole),
        cmocka_unit_test(each_failure_of_opening_closes_what_was_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
