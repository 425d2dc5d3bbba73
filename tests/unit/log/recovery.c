#include "unit/log/fixture.h"

#include "base/cursor.h"
#include "base/hash.h"

/*
 * Small commits take a block each: lsn 1 is the empty first frame in block 0, lsn 2 makes the
 * topic, commits of records follow from lsn 3 in block 2.
 */
#define FIRST_LSN 3u
#define BLOCK_OF(lsn) (((uint64_t)(lsn)-1) * IO_BLOCK)

/* A log with a topic and `count` commits of two records, its process gone. */
static void setup(struct fixture *f, uint32_t count)
{
    fixture_init(f);
    fixture_open_well(f);
    fixture_topic(f, "t", 1, 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(fixture_append(f, 1, 0, 2, 10), 2 * i);
    fixture_kill(f);
}

static void turn_bit(struct fixture *f, uint64_t number, uint64_t offset)
{
    assert_true(sim_disk_flip(f->disk, fixture_path(number), offset, 3));
}

static void assert_refused(struct fixture *f, const char *what)
{
    assert_err(fixture_open(f), CORRUPT);
    if (!strstr(f->why.text, what))
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, what);
    assert_null(f->log);
}

static void everything_acknowledged_is_there_after_a_kill(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 10);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 20);
    assert_false(f.log->recovered.clean);
    assert_false(f.log->recovered.torn);
    assert_int_equal(f.log->recovered.lsn, 12);
    assert_int_equal(f.log->recovered.frames, 12);
    assert_int_equal(f.log->recovered.bytes, 12 * IO_BLOCK);
    assert_int_equal(f.log->epoch, 1);
    assert_int_equal(fixture_append(&f, 1, 0, 1, 10), 20);
    fixture_done(&f);
}

static void a_clean_stop_is_recognised_once(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1);
    fixture_open_well(&f);
    fixture_stop(&f);
    fixture_open_well(&f);
    assert_true(f.log->recovered.clean);
    fixture_kill(&f);
    fixture_open_well(&f);
    assert_false(f.log->recovered.clean);
    assert_int_equal(fixture_count(&f, 1, 0), 2);
    fixture_done(&f);
}

static void a_mark_of_a_clean_stop_hides_no_damage_behind_it(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1);
    fixture_open_well(&f);
    fixture_stop(&f);
    fixture_open_well(&f);
    for (int i = 0; i < 3; i++)
        assert_true(fixture_append(&f, 1, 0, 1, 10) > 0);
    fixture_kill(&f);
    turn_bit(&f, 1, BLOCK_OF(5) + 40);
    assert_refused(&f, "frame 5 should begin in file 1 at byte 16384");
    fixture_done(&f);
}

static void a_torn_frame_is_cut_at_the_last_whole_commit(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 5);
    uint64_t last = FIRST_LSN + 4;
    turn_bit(&f, 1, BLOCK_OF(last) + LOG_FRAME_HEADER_SIZE + 50);
    fixture_open_well(&f);
    assert_true(f.log->recovered.torn);
    assert_int_equal(f.log->recovered.lsn, last - 1);
    assert_int_equal(fixture_count(&f, 1, 0), 8);
    assert_non_null(strstr(f.events, "log_recovered"));
    assert_int_equal(fixture_append(&f, 1, 0, 1, 10), 8);
    fixture_kill(&f);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 9);
    fixture_done(&f);
}

static void a_bit_turned_over_in_the_middle_is_refused_and_says_where(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 6);
    /* In the header, in the first batch, in its records. */
    static const uint64_t places[] = {5, 91, 93, LOG_FRAME_HEADER_SIZE + 9, 200};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        turn_bit(&f, 1, BLOCK_OF(5) + places[i]);
        assert_refused(&f, "frame 5 should begin in file 1 at byte 16384");
        assert_non_null(strstr(f.why.text, "but frame 6"));
        turn_bit(&f, 1, BLOCK_OF(5) + places[i]);
    }
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 12);
    fixture_done(&f);
}

/* A log over several files, each holding some commits of 100 KiB. */
static void setup_files(struct fixture *f)
{
    setup(f, 0);
    fixture_open_well(f);
    for (int i = 0; i < 20; i++)
        assert_true(fixture_append(f, 1, 0, 1, 100000) >= 0);
    assert_true(f->log->wal.current >= 3);
    fixture_kill(f);
}

static void frames_go_on_in_the_next_file(void **state)
{
    (void)state;
    struct fixture f;
    setup_files(&f);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 20);
    assert_true(f.log->wal.current >= 3);
    assert_null(f.log->wal.files[0].writer);
    fixture_done(&f);
}

static void a_damaged_file_in_the_middle_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    setup_files(&f);
    turn_bit(&f, 2, 20);
    assert_refused(&f, "and is missing or broken, but frame");
    turn_bit(&f, 2, 20);
    assert_err(io_disk_remove(sim_disk_io(f.disk), fixture_path(2), NULL), OK);
    assert_refused(&f, "log file 2 is missing");
    fixture_done(&f);
}

static void a_missing_first_file_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    setup_files(&f);
    assert_err(io_disk_remove(sim_disk_io(f.disk), fixture_path(1), NULL), OK);
    assert_refused(&f, "frame 1 should begin");
    fixture_done(&f);
}

static void cut_file(struct fixture *f, uint64_t number, uint64_t size)
{
    struct io_file *file = NULL;
    assert_err(io_disk_open(sim_disk_io(f->disk), fixture_path(number), IO_OPEN_WRITE, &file, NULL),
               OK);
    assert_err(io_file_truncate(file, size), OK);
    assert_err(io_file_close(file), OK);
}

static void a_file_that_was_cut_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 5);
    /* Nothing of the log is gone, and all that a crash could not explain. */
    cut_file(&f, 1, FIXTURE_FILE_SIZE - 1);
    assert_refused(&f, "log file 1 was cut");
    cut_file(&f, 1, BLOCK_OF(5));
    assert_refused(&f, "log file 1 was cut");
    cut_file(&f, 1, 0);
    assert_refused(&f, "is empty: it was cut");
    fixture_done(&f);
}

static void zeros_where_the_log_goes_on_are_refused(void **state)
{
    (void)state;
    static const uint8_t zeros[8 * IO_BLOCK];
    struct fixture f;
    setup(&f, 6);
    /* The last two commits and more. */
    fixture_overwrite(&f, fixture_path(1), BLOCK_OF(7), zeros, sizeof zeros);
    assert_refused(&f, "log file 1 holds zeros from byte 24576 on");
    fixture_done(&f);
}

static void zeros_behind_a_torn_frame_are_refused(void **state)
{
    (void)state;
    static const uint8_t zeros[16 * IO_BLOCK];
    struct fixture f;
    setup(&f, 0);
    fixture_open_well(&f);
    for (int i = 0; i < 3; i++)
        assert_true(fixture_append(&f, 1, 0, 1, 3 * IO_BLOCK) >= 0);
    fixture_kill(&f);
    /* The second of the three keeps its header, four blocks a frame. */
    fixture_overwrite(&f, fixture_path(1), BLOCK_OF(3) + 5 * IO_BLOCK, zeros, 12 * IO_BLOCK);
    assert_refused(&f, "holds zeros");
    fixture_done(&f);
}

/* Copies blocks of one file over another, as if it had been recycled. */
static void copy_blocks(struct fixture *f, uint64_t from, uint64_t from_offset, uint64_t to,
                        uint64_t to_offset, size_t size)
{
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    struct io_file *file = NULL;
    size_t got = 0;
    assert_err(io_disk_open(sim_disk_io(f->disk), fixture_path(from), IO_OPEN_READ, &file, NULL),
               OK);
    assert_err(io_file_read(file, bytes, size, from_offset, &got), OK);
    assert_int_equal(got, size);
    assert_err(io_file_close(file), OK);
    fixture_overwrite(f, fixture_path(to), to_offset, bytes, size);
    free(bytes);
}

static void frames_of_recycled_files_are_not_taken(void **state)
{
    (void)state;
    struct fixture f;
    setup_files(&f);
    fixture_open_well(&f);
    uint64_t current = f.log->wal.files[f.log->wal.current].number;
    uint64_t offset = f.log->wal.offset;
    assert_true(f.log->wal.current + 1 < f.log->wal.file_count);
    fixture_kill(&f);
    /* The spare is an older file, and so is what is left of the current one. */
    copy_blocks(&f, 2, 0, current + 1, 0, FIXTURE_FILE_SIZE);
    copy_blocks(&f, 2, offset, current, offset, FIXTURE_FILE_SIZE - offset);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 20);
    for (int i = 0; i < 8; i++)
        assert_true(fixture_append(&f, 1, 0, 1, 100000) >= 0);
    fixture_kill(&f);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 28);
    fixture_done(&f);
}

static void a_frame_at_another_place_is_none(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 5);
    /* Frame 7 proves frame 6, but only where it belongs: a record may hold a copy of it. */
    copy_blocks(&f, 1, BLOCK_OF(7), 1, BLOCK_OF(20), IO_BLOCK);
    copy_blocks(&f, 1, BLOCK_OF(9), 1, BLOCK_OF(7), IO_BLOCK);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 8);
    fixture_done(&f);
}

/* What the next frame would say. */
static struct log_frame_header next_header(const struct fixture *f)
{
    const struct log_wal_file *file = &f->log->wal.files[f->log->wal.current];
    return (struct log_frame_header){
        .uuid = f->log->meta.uuid,
        .epoch = f->log->epoch,
        .lsn = f->log->durable_lsn + 1,
        .durable_lsn = f->log->durable_lsn,
        .previous_crc = f->log->durable_crc,
        .file_number = file->number,
        .block = (uint32_t)(f->log->wal.offset / IO_BLOCK),
        .file_blocks = (uint32_t)(file->size / IO_BLOCK),
    };
}

/* Writes a frame as a program of `version` would. */
static void put_frame(struct fixture *f, struct log_frame_header *header, const uint8_t *payload,
                      size_t size, uint16_t version)
{
    uint8_t block[IO_BLOCK] = {0};
    header->payload_size = (uint32_t)size;
    header->payload_crc = crc32c(0, payload, size);
    log_frame_encode(header, block);
    put_u16le(block + 4, version);
    put_u32le(block + 92, crc32c(0, block, 92));
    if (size > 0)
        memcpy(block + LOG_FRAME_HEADER_SIZE, payload, size);
    fixture_overwrite(f, fixture_path(header->file_number), (uint64_t)header->block * IO_BLOCK,
                      block, sizeof block);
}

/* Puts a frame behind the last one. */
static void forge(struct fixture *f, const uint8_t *payload, size_t size, uint16_t version)
{
    fixture_open_well(f);
    struct log_frame_header header = next_header(f);
    fixture_kill(f);
    put_frame(f, &header, payload, size, version);
}

static void a_frame_continues_only_what_it_was_written_behind(void **state)
{
    (void)state;
    uint8_t payload[64];
    struct flow_count counts = {.topic_id = 1};
    size_t size = log_entry_put_counts(payload, &counts);
    for (int i = 0; i < 5; i++) {
        struct fixture f;
        setup(&f, 1);
        fixture_open_well(&f);
        struct log_frame_header header = next_header(&f);
        fixture_kill(&f);
        header.previous_crc ^= i == 1;
        header.lsn += i == 2;
        /* In the middle of a file no epoch begins. */
        header.flags = i == 3 ? LOG_FRAME_EPOCH_START : 0;
        header.epoch += i == 3;
        header.valid_to_lsn = i == 3 ? 3 : 0;
        header.uuid.bytes[0] ^= i == 4;
        put_frame(&f, &header, payload, size, LOG_FRAME_VERSION);
        fixture_open_well(&f);
        assert_int_equal(f.log->recovered.lsn, i == 0 ? 4 : 3);
        fixture_done(&f);
    }
}

static void a_frame_of_an_epoch_that_never_began_is_damage(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1);
    fixture_open_well(&f);
    struct log_frame_header header = next_header(&f);
    fixture_kill(&f);
    header.epoch++;
    put_frame(&f, &header, NULL, 0, LOG_FRAME_VERSION);
    assert_refused(&f, "the log is damaged");
    fixture_done(&f);
}

static void a_frame_of_a_newer_program_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t payload[64];
    setup(&f, 1);
    forge(&f, payload, 0, LOG_FRAME_VERSION + 1);
    assert_err(fixture_open(&f), VERSION);
    assert_non_null(strstr(f.why.text, "newer garner"));
    fixture_done(&f);
    /* Or one with an entry that this one does not know. */
    setup(&f, 1);
    size_t size = log_entry_put_clean_stop(payload);
    payload[0] = LOG_ENTRY_KEYS;
    forge(&f, payload, size, LOG_FRAME_VERSION);
    assert_err(fixture_open(&f), VERSION);
    assert_non_null(strstr(f.why.text, "frame 4 holds an entry of a newer garner"));
    fixture_done(&f);
}

static void a_whole_frame_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t payload[64];
    struct flow_count counts = {.topic_id = 77};
    setup(&f, 1);
    forge(&f, payload, log_entry_put_counts(payload, &counts), LOG_FRAME_VERSION);
    assert_refused(&f, "frame 4 in file 1 at byte 12288 is whole but says what cannot be");
    fixture_done(&f);
}

/* A commit whose flush fails. */
static void fence(struct fixture *f)
{
    struct fixture_commit c;
    fixture_commit_init(f, &c);
    fixture_add(&c, 1, 0, 1, 10);
    c.count = (struct flow_count){.topic_id = 1, .received = 1};
    c.commit.count_count = 1;
    sim_disk_set(f->disk, &(struct sim_disk_options){.sync_failures_ppm = 1000000});
    assert_err(fixture_commit(f, &c), FENCED);
    sim_disk_set(f->disk, &(struct sim_disk_options){0});
}

static bool is_running(void *context)
{
    const struct fixture *f = context;
    return f->log->mode == LOG_RUNNING;
}

static void a_frame_behind_the_end_of_its_epoch_is_not_taken(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 2);
    fixture_open_well(&f);
    struct log_frame_header fenced = next_header(&f);
    fence(&f);
    assert_true(sim_run_until(f.sim, is_running, &f, FIXTURE_STEPS));
    assert_int_equal(f.log->epoch, 2);
    assert_int_equal(fixture_append(&f, 1, 0, 3, 10), 4);
    fixture_kill(&f);
    /* The fenced frame arrives whole: only the epoch says that it does not count. */
    put_frame(&f, &fenced, NULL, 0, LOG_FRAME_VERSION);
    fixture_open_well(&f);
    assert_int_equal(f.log->recovered.epoch, 2);
    assert_int_equal(fixture_count(&f, 1, 0), 7);
    fixture_done(&f);
}

static void a_fenced_frame_counts_when_no_epoch_followed(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 2);
    fixture_open_well(&f);
    fence(&f);
    fixture_kill(&f);
    fixture_open_well(&f);
    uint64_t count = fixture_count(&f, 1, 0);
    /* A failed flush may have lost it; whole or not at all. From here on it stays. */
    assert_true(count == 4 || count == 5);
    assert_int_equal(fixture_append(&f, 1, 0, 1, 10), count);
    fixture_lose_power(&f);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), count + 1);
    fixture_done(&f);
}

static void a_missing_beginning_of_an_epoch_is_damage(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 2);
    fixture_open_well(&f);
    fence(&f);
    assert_true(sim_run_until(f.sim, is_running, &f, FIXTURE_STEPS));
    uint64_t number = f.log->wal.files[f.log->wal.current].number;
    assert_true(number > 1);
    assert_int_equal(fixture_append(&f, 1, 0, 3, 10), 4);
    fixture_kill(&f);
    turn_bit(&f, number, 40);
    assert_refused(&f, "the log is damaged");
    fixture_done(&f);
}

static void files_of_another_directory_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 2);
    assert_err(io_disk_remove(sim_disk_io(f.disk), "data/garner.meta", NULL), OK);
    for (int i = 0; i < 2; i++)
        assert_refused(&f, "log file 1 does not belong to this garner.meta");
    fixture_done(&f);
}

static void losing_power_in_any_call_of_a_recovery_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1, deaths = 1; deaths > 0; n++) {
        deaths = 0;
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct fixture f;
            setup(&f, 3);
            sim_disk_crash(f.disk);
            /* Other chances of the disk. */
            for (uint64_t i = 0; i < seed; i++)
                sim_disk_crash(f.disk);
            sim_disk_die_after(f.disk, n);
            err_t err = fixture_open(&f);
            bool died = sim_disk_is_dead(f.disk);
            deaths += died;
            assert_true(err_is_ok(err) || died);
            if (!died)
                sim_disk_die_after(f.disk, 0);
            fixture_lose_power(&f);
            fixture_open_well(&f);
            assert_int_equal(fixture_count(&f, 1, 0), 6);
            fixture_done(&f);
        }
    }
}

static void a_copy_of_the_last_frame_is_put_back(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 3);
    uint8_t block[IO_BLOCK];
    struct io_file *file = NULL;
    size_t got = 0;
    assert_err(io_disk_open(sim_disk_io(f.disk), fixture_path(1), IO_OPEN_READ, &file, NULL), OK);
    assert_err(io_file_read(file, block, sizeof block, BLOCK_OF(5), &got), OK);
    assert_err(io_file_close(file), OK);
    assert_err(io_disk_write_file(sim_disk_io(f.disk), "data/wal/last.frame",
                                  slice_make(block, sizeof block), NULL),
               OK);
    uint8_t garbage[IO_BLOCK];
    memset(garbage, 0x77, sizeof garbage);
    fixture_overwrite(&f, fixture_path(1), BLOCK_OF(5), garbage, sizeof garbage);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 6);
    enum io_kind kind = IO_KIND_FILE;
    assert_err(io_disk_kind(sim_disk_io(f.disk), "data/wal/last.frame", &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_NONE);
    fixture_kill(&f);
    /* One that is broken or of another log is not. */
    block[200] ^= 1;
    assert_err(io_disk_write_file(sim_disk_io(f.disk), "data/wal/last.frame",
                                  slice_make(block, sizeof block), NULL),
               OK);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 6);
    fixture_done(&f);
}

static void a_large_frame_is_recovered(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.options.wal_file_size = UINT64_C(24) << 20;
    f.options.wal_limit_bytes = UINT64_C(100) << 20;
    fixture_open_well(&f);
    fixture_topic(&f, "t", 1, 0);
    assert_int_equal(fixture_append(&f, 1, 0, 1, UINT64_C(9) << 20), 0);
    assert_int_equal(fixture_append(&f, 1, 0, 1, 10), 1);
    fixture_kill(&f);
    fixture_open_well(&f);
    assert_int_equal(fixture_count(&f, 1, 0), 2);
    fixture_done(&f);
}

static void each_failed_call_or_allocation_says_so_and_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 3);
    err_t err = err_make(ERR_IO);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        sim_disk_fail_after(f.disk, n, ERR_IO);
        err = fixture_open(&f);
        assert_true(err_is_ok(err) || (err_is(err, ERR_IO) && f.why.text[0]));
    }
    sim_disk_fail_after(f.disk, 0, ERR_OK);
    fixture_kill(&f);
    err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        mem_fail_after(n);
        err = fixture_open(&f);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
    }
    assert_int_equal(fixture_count(&f, 1, 0), 6);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_acknowledged_is_there_after_a_kill),
        cmocka_unit_test(a_clean_stop_is_recognised_once),
        cmocka_unit_test(a_mark_of_a_clean_stop_hides_no_damage_behind_it),
        cmocka_unit_test(a_torn_frame_is_cut_at_the_last_whole_commit),
        cmocka_unit_test(a_bit_turned_over_in_the_middle_is_refused_and_says_where),
        cmocka_unit_test(frames_go_on_in_the_next_file),
        cmocka_unit_test(a_damaged_file_in_the_middle_is_refused),
        cmocka_unit_test(a_missing_first_file_is_refused),
        cmocka_unit_test(a_file_that_was_cut_is_refused),
        cmocka_unit_test(zeros_where_the_log_goes_on_are_refused),
        cmocka_unit_test(zeros_behind_a_torn_frame_are_refused),
        cmocka_unit_test(frames_of_recycled_files_are_not_taken),
        cmocka_unit_test(a_frame_at_another_place_is_none),
        cmocka_unit_test(a_frame_continues_only_what_it_was_written_behind),
        cmocka_unit_test(a_frame_of_an_epoch_that_never_began_is_damage),
        cmocka_unit_test(a_frame_of_a_newer_program_is_refused),
        cmocka_unit_test(a_whole_frame_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_frame_behind_the_end_of_its_epoch_is_not_taken),
        cmocka_unit_test(a_fenced_frame_counts_when_no_epoch_followed),
        cmocka_unit_test(a_missing_beginning_of_an_epoch_is_damage),
        cmocka_unit_test(files_of_another_directory_are_refused),
        cmocka_unit_test(losing_power_in_any_call_of_a_recovery_loses_nothing),
        cmocka_unit_test(a_copy_of_the_last_frame_is_put_back),
        cmocka_unit_test(a_large_frame_is_recovered),
        cmocka_unit_test(each_failed_call_or_allocation_says_so_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
