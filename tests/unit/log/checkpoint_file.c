#include "log/checkpoint.h"

#include "sim/disk.h"
#include "unit/log/checkpoint.h"

static void write_lsn(struct sim_disk *disk, struct held *held, uint64_t lsn)
{
    struct err_text why;
    assert_code(
        log_checkpoint_write(sim_disk_io(disk), "data", lsn, buf_slice(&held->bytes), 0, &why), OK);
}

static void the_newest_two_are_kept(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct held held;
    uint64_t lsns[8] = {0};
    size_t count = 77;
    build(&held);
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
    assert_int_equal(count, 0);
    static const uint64_t written[] = {9, 100, 30};
    for (size_t i = 0; i < 3; i++)
        write_lsn(disk, &held, written[i]);
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
    assert_int_equal(count, 2);
    assert_int_equal(lsns[0], 100);
    assert_int_equal(lsns[1], 30);
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 1, &count, NULL), OK);
    assert_int_equal(count, 1);
    assert_int_equal(lsns[0], 100);
    done(&held);
    sim_disk_free(&disk);
}

static void what_is_sealed_is_told_by_the_front_alone(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct held held;
    uint64_t sealed = 77;
    build(&held);
    assert_code(log_checkpoint_read_sealed(sim_disk_io(disk), "data", 9, &sealed), NO_FILE);
    write_lsn(disk, &held, 9);
    /* Damaged behind the front, in its header, and cut in it. */
    held.bytes.data[held.bytes.size - 1] ^= 1;
    write_lsn(disk, &held, 10);
    held.bytes.data[8] ^= 1;
    write_lsn(disk, &held, 11);
    assert_code(log_checkpoint_read_sealed(sim_disk_io(disk), "data", 10, &sealed), OK);
    assert_int_equal(sealed, held.checkpoint.sealed_file);
    assert_code(log_checkpoint_read_sealed(sim_disk_io(disk), "data", 11, &sealed), CORRUPT);
    held.bytes.data[8] ^= 1;
    for (size_t size = 0; size < LOG_CHECKPOINT_FRONT_SIZE - 8; size++)
        assert_code(log_checkpoint_sealed(slice_make(held.bytes.data, size), &sealed), CORRUPT);
    done(&held);
    sim_disk_free(&disk);
}

static void files_of_other_names_are_no_checkpoints(void **state)
{
    (void)state;
    static const char *const names[] = {"notes", "00000000000000000007.ckpt.tmp",
                                        "0000000000000000000x.ckpt", "7.ckpt"};
    struct sim_disk *disk = sim_disk_new(1);
    struct held held;
    uint64_t lsns[8];
    size_t count = 0;
    build(&held);
    write_lsn(disk, &held, 9);
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        struct io_file *file;
        snprintf(path, sizeof path, "data/checkpoint/%s", names[i]);
        assert_code(
            io_disk_open(sim_disk_io(disk), path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL), OK);
        assert_code(io_file_close(file), OK);
    }
    assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
    assert_int_equal(count, 1);
    assert_int_equal(lsns[0], 9);
    done(&held);
    sim_disk_free(&disk);
}

/* Whichever call fails, or is the last, an older checkpoint is there and whole. */
static void an_older_one_outlives_whatever_fails(void **state)
{
    (void)state;
    struct held held;
    build(&held);
    bool more = true;
    for (uint64_t n = 1; more; n++) {
        struct sim_disk *disk = sim_disk_new(n);
        struct err_text why = {0};
        struct buf back = {0};
        uint64_t lsns[8];
        size_t count = 0;
        write_lsn(disk, &held, 5);
        write_lsn(disk, &held, 6);
        bool dies = n % 2 == 0;
        if (dies)
            sim_disk_die_after(disk, n / 2);
        else
            sim_disk_fail_after(disk, n / 2 + 1, ERR_IO);
        err_t err =
            log_checkpoint_write(sim_disk_io(disk), "data", 7, buf_slice(&held.bytes), 0, &why);
        more = !err_is_ok(err) || n < 60;
        sim_disk_fail_after(disk, 0, ERR_OK);
        sim_disk_crash(disk);
        assert_code(log_checkpoint_list(sim_disk_io(disk), "data", lsns, 8, &count, NULL), OK);
        assert_true(count >= 2);
        for (size_t i = 0; i < count; i++) {
            buf_reset(&back);
            assert_code(log_checkpoint_read(sim_disk_io(disk), "data", lsns[i], &back, &why), OK);
            assert_code(decode(buf_slice(&back)), OK);
        }
        if (err_is_ok(err))
            assert_int_equal(lsns[0], 7);
        buf_done(&back);
        sim_disk_free(&disk);
    }
    done(&held);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_two_are_kept),
        cmocka_unit_test(what_is_sealed_is_told_by_the_front_alone),
        cmocka_unit_test(files_of_other_names_are_no_checkpoints),
        cmocka_unit_test(an_older_one_outlives_whatever_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
