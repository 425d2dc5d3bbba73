#include "log/recovery.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "sim/disk.h"
#include "unit/log/payload.h"

#include <inttypes.h>

#define FILE_SIZE (UINT64_C(16) * IO_BLOCK)

/* A log on a simulated disk, written frame by frame, and what recovery made of it. */
struct written {
    struct sim_disk *disk;
    struct log_wal wal;
    struct uuid uuid;
    struct log_frame_header last;
    struct log_state state;
    struct log_recovery result;
    struct err_text why;
};

static err_t open_wal(struct written *w)
{
    w->why = (struct err_text){0};
    return log_wal_open(&w->wal, sim_disk_io(w->disk), NULL, "data", FILE_SIZE * 8, FILE_SIZE,
                        &w->why);
}

static void make_files(struct written *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct log_wal_making making;
        uint64_t number = log_wal_next_number(&w->wal);
        assert_code(log_wal_make_begin(&making, &w->wal, number, 0), OK);
        while (!making.finished)
            assert_code(log_wal_make_step(&making, &w->why), OK);
        log_wal_make_done(&making);
        assert_code(log_wal_add(&w->wal, number, &w->why), OK);
    }
}

/* Writes any frame anywhere. */
static void write_at(struct written *w, uint64_t file_number, uint64_t offset,
                     struct log_frame_header *header, struct slice payload)
{
    size_t size = (size_t)log_frame_disk_size(payload.size);
    uint8_t *bytes = mem_alloc_aligned(IO_BLOCK, size);
    assert_non_null(bytes);
    memset(bytes, 0, size);
    if (payload.size > 0)
        memcpy(bytes + LOG_FRAME_HEADER_SIZE, payload.data, payload.size);
    log_frame_encode(header, bytes);
    struct io_file *file = log_wal_find(&w->wal, file_number)->writer;
    assert_code(io_file_write(file, bytes, size, offset), OK);
    assert_code(io_file_sync(file), OK);
    mem_free(bytes);
}

/* The header of the frame that would come next, at `position`. */
static struct log_frame_header next_header(const struct written *w, struct slice payload,
                                           struct log_position position)
{
    return (struct log_frame_header){
        .uuid = w->uuid,
        .epoch = w->last.epoch,
        .lsn = w->last.lsn + 1,
        .durable_lsn = w->last.lsn,
        .payload_size = (uint32_t)payload.size,
        .payload_crc = crc32c(0, payload.data, payload.size),
        .previous_crc = w->last.header_crc,
        .commit_time_ms = 1000 + (int64_t)w->last.lsn,
        .file_number = position.file_number,
        .block = (uint32_t)(position.offset / IO_BLOCK),
        .file_blocks = FILE_SIZE / IO_BLOCK,
    };
}

static struct log_position write_frame(struct written *w, struct slice payload)
{
    struct log_position position = {0};
    uint64_t size = log_frame_disk_size(payload.size);
    assert_code(log_wal_place(&w->wal, size, &position), OK);
    struct log_frame_header header = next_header(w, payload, position);
    write_at(w, position.file_number, position.offset, &header, payload);
    w->last = header;
    return position;
}

/* Begins the next file with the first frame of the next epoch, after frame `valid_to`. */
static void write_epoch(struct written *w, uint64_t valid_to, uint32_t previous_crc)
{
    if (w->last.lsn > 0)
        assert_code(log_wal_roll(&w->wal), OK);
    struct log_position position = {0};
    assert_code(log_wal_place(&w->wal, IO_BLOCK, &position), OK);
    struct log_frame_header header = next_header(w, (struct slice){0}, position);
    header.flags = LOG_FRAME_EPOCH_START;
    header.epoch = w->last.epoch + 1;
    header.lsn = valid_to + 1;
    header.durable_lsn = header.valid_to_lsn = valid_to;
    header.previous_crc = previous_crc;
    write_at(w, position.file_number, 0, &header, (struct slice){0});
    w->last = header;
}

/* A frame with `count` records of the first topic. */
static struct log_position write_records(struct written *w, int64_t base_offset, uint32_t count)
{
    struct payload p = {0};
    payload_batch(&p, 1, 0, base_offset, count);
    return write_frame(w, payload_slice(&p));
}

/* A log of three files whose first two frames are its beginning and a topic. */
static void init(struct written *w, uint64_t seed)
{
    *w = (struct written){.disk = sim_disk_new(seed), .uuid = {{1, 2, 3}}};
    assert_non_null(w->disk);
    log_state_init(&w->state, 42);
    assert_code(open_wal(w), OK);
    make_files(w, 3);
    write_epoch(w, 0, 0);
    struct payload p = {0};
    payload_topic(&p, 1, "flights", 1, 0);
    write_frame(w, payload_slice(&p));
}

/* Frames 3 to `last_lsn` of ten records each; where each begins is in `at`, by lsn. */
static void write_until(struct written *w, uint64_t last_lsn, struct log_position *at)
{
    for (uint64_t lsn = w->last.lsn + 1; lsn <= last_lsn; lsn++)
        at[lsn] = write_records(w, 10 * ((int64_t)lsn - 3), 10);
}

static void done(struct written *w)
{
    log_state_done(&w->state);
    log_wal_done(&w->wal);
    sim_disk_free(&w->disk);
}

static int set_up(void **state)
{
    init(*state = calloc(1, sizeof(struct written)), 1);
    return 0;
}

static int tear_down(void **state)
{
    done(*state);
    free(*state);
    return 0;
}

/* Forgets all but the disk, and recovers. */
static err_t recover(struct written *w)
{
    log_wal_done(&w->wal);
    log_state_done(&w->state);
    log_state_init(&w->state, 42);
    w->result = (struct log_recovery){0};
    err_t err = open_wal(w);
    if (!err_is_ok(err))
        return err;
    return log_recover(&w->wal, &w->uuid, NULL, &w->state, &w->result, &w->why);
}

static int64_t records_end(const struct written *w)
{
    const struct log_partition *partition = log_state_partition(&w->state, 1, 0);
    return partition ? partition->end_offset : -1;
}

static void path_of(const struct written *w, uint64_t number, char out[static LOG_WAL_PATH_MAX])
{
    log_wal_path(&w->wal, number, out);
}

static void flip(struct written *w, struct log_position position, uint64_t byte)
{
    char path[LOG_WAL_PATH_MAX];
    path_of(w, position.file_number, path);
    assert_true(sim_disk_flip(w->disk, path, position.offset + byte, 3));
}

static void assert_says(const struct written *w, const char *text)
{
    if (!strstr(w->why.text, text))
        fail_msg("\"%s\" does not say \"%s\"", w->why.text, text);
}

static void assert_recovers_to(struct written *w, uint64_t lsn)
{
    err_t err = recover(w);
    if (!err_is_ok(err))
        fail_msg("%s: %s", err_name(err), w->why.text);
    assert_int_equal(w->result.lsn, lsn);
    assert_int_equal(records_end(w), 10 * ((int64_t)lsn - 2));
}

static void a_directory_without_files_has_no_log(void **state)
{
    (void)state;
    struct written w = {.disk = sim_disk_new(1), .uuid = {{1}}};
    log_state_init(&w.state, 42);
    assert_code(open_wal(&w), OK);
    assert_code(recover(&w), OK);
    assert_int_equal(w.result.lsn, 0);
    assert_int_equal(w.result.epoch, 0);
    assert_false(w.result.torn || w.result.clean);
    done(&w);
}

static void files_that_nothing_was_written_to_are_an_empty_log(void **state)
{
    (void)state;
    struct written w = {.disk = sim_disk_new(1), .uuid = {{1}}};
    log_state_init(&w.state, 42);
    assert_code(open_wal(&w), OK);
    make_files(&w, 2);
    assert_code(recover(&w), OK);
    assert_int_equal(w.result.lsn, 0);
    assert_int_equal(w.wal.current, 0);
    assert_int_equal(w.wal.offset, 0);
    assert_non_null(w.wal.files[0].writer);
    done(&w);
}

static void all_whole_frames_are_applied(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 6, at);
    struct log_frame_header last = w->last;
    uint64_t offset = w->wal.offset;
    assert_recovers_to(w, 6);
    assert_int_equal(w->result.frames, 6);
    assert_int_equal(w->result.bytes, 6 * IO_BLOCK);
    assert_int_equal(w->result.epoch, 1);
    assert_int_equal(w->result.last_crc, last.header_crc);
    assert_int_equal(w->result.time_ms, last.commit_time_ms);
    assert_false(w->result.clean || w->result.torn);
    assert_int_equal(w->wal.current, 0);
    assert_int_equal(w->wal.offset, offset);
}

static void the_chain_goes_on_in_the_next_file(void **state)
{
    struct written *w = *state;
    struct log_position at[40];
    write_until(w, 36, at);
    assert_int_equal(at[36].file_number, 3);
    assert_recovers_to(w, 36);
    assert_int_equal(w->wal.current, 2);
    assert_int_equal(w->wal.offset, at[36].offset + IO_BLOCK);
    assert_null(w->wal.files[0].writer);
    assert_null(w->wal.files[1].writer);
    assert_non_null(w->wal.files[2].writer);
    const struct log_partition *partition = log_state_partition(&w->state, 1, 0);
    assert_int_equal(partition->index[20].file_number, at[23].file_number);
    assert_int_equal(partition->index[20].file_offset, at[23].offset + LOG_FRAME_HEADER_SIZE +
                                                           LOG_ENTRY_HEADER_SIZE +
                                                           LOG_ENTRY_BATCH_SIZE);
}

static void a_recovered_log_is_written_on_and_recovered_again(void **state)
{
    struct written *w = *state;
    struct log_position at[40];
    for (uint64_t lsn = 5; lsn <= 35; lsn += 6) {
        write_until(w, lsn, at);
        assert_recovers_to(w, lsn);
        assert_int_equal(w->result.last_crc, w->last.header_crc);
    }
}

static void a_clean_stop_is_seen_once(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    struct payload p = {0};
    payload_clean_stop(&p);
    write_until(w, 4, at);
    write_frame(w, payload_slice(&p));
    assert_code(recover(w), OK);
    assert_true(w->result.clean);
    assert_int_equal(w->result.lsn, 5);
    assert_int_equal(records_end(w), 20);
    uint32_t crc = w->result.last_crc;
    assert_int_not_equal(crc, w->last.header_crc);
    assert_code(recover(w), OK);
    assert_false(w->result.clean);
    assert_int_equal(w->result.lsn, 5);
    assert_int_equal(w->result.last_crc, crc);
}

static void frames_behind_a_stop_mark_are_applied_too(void **state)
{
    struct written *w = *state;
    struct payload p = {0};
    payload_clean_stop(&p);
    write_frame(w, payload_slice(&p));
    write_records(w, 0, 7);
    assert_code(recover(w), OK);
    assert_false(w->result.clean);
    assert_int_equal(records_end(w), 7);
}

static void a_stop_mark_hides_no_damage_behind_it(void **state)
{
    struct written *w = *state;
    struct log_position at[12];
    struct payload p = {0};
    payload_clean_stop(&p);
    write_until(w, 4, at);
    write_frame(w, payload_slice(&p));
    assert_code(recover(w), OK);
    assert_true(w->result.clean);
    w->last.header_crc = w->result.last_crc;
    at[6] = write_records(w, 20, 10);
    write_records(w, 30, 10);
    flip(w, at[6], 40);
    assert_code(recover(w), CORRUPT);
    assert_says(w, "frame 6 should begin");
    flip(w, at[6], 40);
    assert_code(recover(w), OK);
    assert_false(w->result.clean);
    assert_int_equal(records_end(w), 40);
}

static void a_torn_last_frame_is_cut(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 6, at);
    flip(w, at[6], LOG_FRAME_HEADER_SIZE + 50);
    assert_recovers_to(w, 5);
    assert_true(w->result.torn);
    assert_int_equal(w->wal.offset, at[6].offset);
}

static void a_last_frame_without_its_header_is_cut(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 6, at);
    flip(w, at[6], 40);
    assert_recovers_to(w, 5);
    assert_int_equal(w->wal.offset, at[6].offset);
}

static void a_torn_frame_at_the_front_of_a_file_is_cut(void **state)
{
    struct written *w = *state;
    struct log_position at[20];
    write_until(w, 17, at);
    assert_int_equal(at[17].file_number, 2);
    flip(w, at[17], LOG_FRAME_HEADER_SIZE + 50);
    assert_recovers_to(w, 16);
    assert_int_equal(w->wal.current, 0);
    assert_int_equal(w->wal.offset, FILE_SIZE);
}

static void a_flipped_bit_in_any_earlier_frame_is_refused_with_its_place(void **state)
{
    (void)state;
    static const uint64_t bytes[] = {5, 60, 95, LOG_FRAME_HEADER_SIZE + 3, 200};
    for (uint64_t lsn = 3; lsn < 20; lsn++) {
        struct written w;
        struct log_position at[24];
        init(&w, lsn);
        write_until(&w, 20, at);
        uint64_t byte = bytes[lsn % 5];
        flip(&w, at[lsn], byte);
        assert_code(recover(&w), CORRUPT);
        char place[100];
        snprintf(place, sizeof place, "frame %" PRIu64 " should begin in file", lsn);
        assert_says(&w, place);
        bool front = at[lsn].offset == 0; /* named as the end of the file before */
        snprintf(place, sizeof place, "file %" PRIu64 " at byte %" PRIu64 " and is missing",
                 front ? at[lsn].file_number - 1 : at[lsn].file_number,
                 front ? FILE_SIZE : at[lsn].offset);
        assert_says(&w, place);
        snprintf(place, sizeof place, "but frame %" PRIu64, lsn + 1);
        assert_says(&w, place);
        /* Nothing was changed: with the bit back everything is there. */
        flip(&w, at[lsn], byte);
        assert_recovers_to(&w, 20);
        done(&w);
    }
}

static void one_flipped_bit_never_loses_more_than_the_last_frame_silently(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int i = 0; i < 150; i++) {
        struct written w;
        struct log_position at[24];
        init(&w, unit_random(&seed));
        uint64_t last = 4 + unit_random(&seed) % 18;
        write_until(&w, last, at);
        uint64_t file = 1 + unit_random(&seed) % at[last].file_number;
        flip(&w, (struct log_position){.file_number = file}, unit_random(&seed) % FILE_SIZE);
        err_t err = recover(&w);
        if (err_is_ok(err))
            assert_true(w.result.lsn >= last - 1);
        else
            assert_code(err, CORRUPT);
        done(&w);
    }
}

static void truncate_file(struct written *w, uint64_t number, uint64_t size)
{
    char path[LOG_WAL_PATH_MAX];
    path_of(w, number, path);
    struct io_file *file = NULL;
    assert_code(io_disk_open(sim_disk_io(w->disk), path, IO_OPEN_WRITE, &file, NULL), OK);
    assert_code(io_file_truncate(file, size), OK);
    assert_code(io_file_close(file), OK);
}

static void a_file_that_was_cut_is_refused(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {IO_BLOCK, 3 * IO_BLOCK, 5 * IO_BLOCK, FILE_SIZE - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint64_t number = 1; number <= 2; number++) {
            struct written w;
            struct log_position at[24];
            init(&w, 1);
            write_until(&w, 20, at);
            truncate_file(&w, number, sizes[i]);
            assert_code(recover(&w), CORRUPT);
            char place[40];
            snprintf(place, sizeof place, "log file %" PRIu64 " was cut", number);
            assert_says(&w, place);
            done(&w);
        }
    }
}

static void an_empty_file_is_refused(void **state)
{
    struct written *w = *state;
    struct log_position at[24];
    write_until(w, 20, at);
    truncate_file(w, 2, 100);
    assert_code(recover(w), CORRUPT);
    assert_says(w, "is empty");
}

static void write_zeros(struct written *w, uint64_t number, uint64_t from)
{
    uint8_t *zeros = mem_alloc_aligned(IO_BLOCK, FILE_SIZE);
    assert_non_null(zeros);
    memset(zeros, 0, FILE_SIZE);
    struct io_file *file = log_wal_find(&w->wal, number)->writer;
    assert_code(io_file_write(file, zeros, (size_t)(FILE_SIZE - from), from), OK);
    mem_free(zeros);
}

static void a_file_zeroed_from_somewhere_is_refused(void **state)
{
    (void)state;
    for (uint64_t lsn = 3; lsn <= 7; lsn++) {
        struct written w;
        struct log_position at[8];
        init(&w, 1);
        write_until(&w, 6, at);
        uint64_t from = lsn <= 6 ? at[lsn].offset : at[6].offset + IO_BLOCK;
        write_zeros(&w, 1, from);
        assert_code(recover(&w), CORRUPT);
        assert_says(&w, "holds zeros");
        char place[40];
        snprintf(place, sizeof place, "frames from %" PRIu64 " on", lsn);
        assert_says(&w, place);
        done(&w);
    }
}

static void zeros_from_within_a_frame_on_are_refused(void **state)
{
    struct written *w = *state;
    struct payload p = {0};
    for (int i = 0; i < 200; i++)
        payload_batch(&p, 1, 0, i, 1);
    struct log_position large = write_frame(w, payload_slice(&p));
    assert_true(p.size > 3 * IO_BLOCK);
    write_records(w, 200, 10);
    /* The header of the large one stays and says where the next frame belongs. */
    write_zeros(w, 1, large.offset + IO_BLOCK);
    assert_code(recover(w), CORRUPT);
    assert_says(w, "holds zeros");
}

static void a_missing_file_is_refused(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 2; number++) {
        struct written w;
        struct log_position at[40];
        init(&w, 1);
        write_until(&w, 36, at);
        char path[LOG_WAL_PATH_MAX];
        path_of(&w, number, path);
        assert_code(io_disk_remove(sim_disk_io(w.disk), path, NULL), OK);
        assert_code(recover(&w), CORRUPT);
        assert_says(&w, number == 2 ? "log file 2 is missing" : "log file 1 is missing");
        done(&w);
    }
}

static void older_frames_behind_the_chain_are_nothing(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 5, at);
    struct log_position behind = {.file_number = 1, .offset = w->wal.offset};
    struct log_frame_header stale = next_header(w, (struct slice){0}, behind);
    stale.lsn = 4;
    stale.durable_lsn = 3;
    write_at(w, 1, behind.offset, &stale, (struct slice){0});
    assert_recovers_to(w, 5);
    assert_false(w->result.torn);
}

static void copies_of_frames_that_lie_elsewhere_are_nothing(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 5, at);
    uint64_t behind = w->wal.offset;
    struct log_frame_header copy =
        next_header(w, (struct slice){0}, (struct log_position){.file_number = 1});
    copy.lsn = 90;
    copy.durable_lsn = 89;
    copy.block = (uint32_t)(behind / IO_BLOCK) + 1;
    write_at(w, 1, behind, &copy, (struct slice){0});
    copy.file_number = 2;
    write_at(w, 1, behind + IO_BLOCK, &copy, (struct slice){0});
    copy.uuid.bytes[0]++;
    copy.file_number = 1;
    copy.block++;
    write_at(w, 1, behind + 2 * IO_BLOCK, &copy, (struct slice){0});
    assert_recovers_to(w, 5);
}

static void a_frame_that_does_not_name_its_predecessor_ends_the_chain(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 5, at);
    w->last.header_crc ^= 1;
    write_records(w, 30, 10);
    assert_recovers_to(w, 5);
    assert_true(w->result.torn);
}

static void a_frame_that_would_pass_the_end_of_its_file_is_cut(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 5, at);
    struct log_position behind = {.file_number = 1, .offset = w->wal.offset};
    struct log_frame_header header = next_header(w, (struct slice){0}, behind);
    header.payload_size = FILE_SIZE;
    write_at(w, 1, behind.offset, &header, (struct slice){0});
    assert_recovers_to(w, 5);
}

static void frames_behind_the_end_of_their_epoch_do_not_count(void **state)
{
    struct written *w = *state;
    struct log_position at[16];
    write_until(w, 5, at);
    struct log_frame_header valid = w->last;
    write_until(w, 6, at); /* its flush failed, but the bytes arrived */
    write_epoch(w, valid.lsn, valid.header_crc);
    write_records(w, 30, 5);
    assert_code(recover(w), OK);
    assert_int_equal(w->result.lsn, 7);
    assert_int_equal(w->result.epoch, 2);
    assert_int_equal(w->wal.current, 1);
    assert_int_equal(records_end(w), 35);
    const struct log_partition *partition = log_state_partition(&w->state, 1, 0);
    assert_int_equal(partition->index[partition->index_count - 1].file_number, 2);
}

static void epochs_may_begin_again_and_again(void **state)
{
    struct written *w = *state;
    struct log_position at[16];
    write_until(w, 5, at);
    write_epoch(w, w->last.lsn, w->last.header_crc);
    struct log_frame_header second = w->last;
    write_records(w, 30, 9); /* not durable */
    write_epoch(w, second.lsn, second.header_crc);
    write_records(w, 30, 2);
    assert_code(recover(w), OK);
    assert_int_equal(w->result.epoch, 3);
    assert_int_equal(w->result.lsn, 8);
    assert_int_equal(records_end(w), 32);
}

static void an_epoch_that_says_earlier_frames_are_missing_is_damage(void **state)
{
    struct written *w = *state;
    struct log_position at[16];
    write_until(w, 5, at);
    write_epoch(w, 5, w->last.header_crc);
    write_records(w, 30, 5);
    flip(w, at[5], LOG_FRAME_HEADER_SIZE + 9);
    assert_code(recover(w), CORRUPT);
    assert_says(w, "frame 5 should begin in file 1");
}

static void an_epoch_whose_beginning_is_gone_is_damage(void **state)
{
    struct written *w = *state;
    struct log_position at[16];
    write_until(w, 5, at);
    write_epoch(w, 5, w->last.header_crc);
    write_records(w, 30, 5);
    flip(w, (struct log_position){.file_number = 2}, 20);
    assert_code(recover(w), CORRUPT);
    assert_says(w, "frame 6 should begin in file 1");
}

static void files_of_another_directory_are_refused(void **state)
{
    struct written *w = *state;
    w->uuid.bytes[5] ^= 1;
    assert_code(recover(w), CORRUPT);
    assert_says(w, "does not belong to this garner.meta");
}

static void a_frame_of_a_newer_program_is_told_from_damage(void **state)
{
    struct written *w = *state;
    struct log_position behind = {.file_number = 1, .offset = w->wal.offset};
    struct log_frame_header header = next_header(w, (struct slice){0}, behind);
    static _Alignas(IO_BLOCK) uint8_t block[IO_BLOCK];
    memset(block, 0, sizeof(block));
    log_frame_encode(&header, block);
    put_u16le(block + 4, LOG_FRAME_VERSION + 1);
    put_u32le(block + 92, crc32c(0, block, 92));
    assert_code(io_file_write(w->wal.files[0].writer, block, IO_BLOCK, behind.offset), OK);
    assert_code(recover(w), VERSION);
    assert_says(w, "newer garner");
}

static void an_entry_of_a_newer_program_is_told_from_damage(void **state)
{
    struct written *w = *state;
    struct payload p = {0};
    payload_raw(&p, LOG_ENTRY_TRANSACTION, 0, NULL, 0);
    write_frame(w, payload_slice(&p));
    assert_code(recover(w), VERSION);
    assert_says(w, "frame 3 holds an entry of a newer garner");
}

static void a_whole_frame_that_cannot_be_is_refused_with_its_place(void **state)
{
    struct written *w = *state;
    struct payload p = {0};
    payload_counts(&p, 8, 1, 0, 0);
    write_frame(w, payload_slice(&p));
    assert_code(recover(w), CORRUPT);
    assert_says(w, "frame 3 in file 1 at byte 8192 is whole but says what cannot be");
}

/* Puts the last frame's bytes at the place where recovery keeps its copy. */
static void write_copy(struct written *w, struct log_position position, uint64_t flipped_byte)
{
    uint8_t *block = mem_alloc_aligned(IO_BLOCK, IO_BLOCK);
    size_t got = 0;
    assert_non_null(block);
    const struct log_wal_file *file = log_wal_find(&w->wal, position.file_number);
    assert_code(io_file_read(file->writer, block, IO_BLOCK, position.offset, &got), OK);
    if (flipped_byte > 0)
        block[flipped_byte] ^= 1;
    assert_code(io_disk_write_file(sim_disk_io(w->disk), "data/wal/last.frame",
                                   slice_make(block, IO_BLOCK), &w->why),
                OK);
    mem_free(block);
}

static enum io_kind kind_of_copy(struct written *w)
{
    enum io_kind kind = IO_KIND_OTHER;
    assert_code(io_disk_kind(sim_disk_io(w->disk), "data/wal/last.frame", &kind, NULL), OK);
    return kind;
}

static void a_last_frame_destroyed_while_it_was_rewritten_is_put_back(void **state)
{
    struct written *w = *state;
    struct log_position at[8];
    write_until(w, 6, at);
    write_copy(w, at[6], 0);
    flip(w, at[6], 10);
    flip(w, at[6], 150);
    assert_recovers_to(w, 6);
    assert_int_equal(kind_of_copy(w), IO_KIND_NONE);
    assert_recovers_to(w, 6);
}

static void a_copy_that_is_not_whole_is_taken_away_unused(void **state)
{
    (void)state;
    static const uint64_t flipped[] = {1, 10, 93, 150};
    for (size_t i = 0; i < sizeof flipped / sizeof flipped[0]; i++) {
        struct written w;
        struct log_position at[8];
        init(&w, 1);
        write_until(&w, 6, at);
        write_copy(&w, at[6], flipped[i]);
        assert_recovers_to(&w, 6);
        assert_int_equal(kind_of_copy(&w), IO_KIND_NONE);
        done(&w);
    }
}

static void power_may_fail_anywhere_in_a_recovery(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 12; round++) {
        bool clean = round % 3 == 0;
        for (uint64_t n = 1;; n++) {
            struct written w;
            struct log_position at[24];
            init(&w, unit_random(&seed));
            write_until(&w, 18, at);
            if (clean) {
                struct payload p = {0};
                payload_clean_stop(&p);
                write_frame(&w, payload_slice(&p));
            }
            sim_disk_die_after(w.disk, n);
            err_t err = recover(&w);
            bool died = sim_disk_is_dead(w.disk);
            assert_true(died || err_is_ok(err));
            sim_disk_crash(w.disk);
            assert_code(recover(&w), OK);
            /* The mark of a clean stop may be torn while it is taken away: it holds nothing. */
            assert_true(w.result.lsn == 18 || (clean && w.result.lsn == 19));
            assert_int_equal(records_end(&w), 160);
            done(&w);
            if (!died)
                break;
        }
    }
}

static void any_call_to_the_disk_may_fail(void **state)
{
    (void)state;
    bool more = true;
    for (uint64_t n = 1; more; n++) {
        struct written w;
        struct log_position at[24];
        init(&w, n);
        write_until(&w, 20, at);
        sim_disk_fail_after(w.disk, n, ERR_IO);
        err_t err = recover(&w);
        more = sim_disk_call_count(w.disk) >= n;
        sim_disk_fail_after(w.disk, 0, ERR_OK);
        if (more)
            assert_code(err, IO);
        else
            assert_code(err, OK);
        assert_recovers_to(&w, 20);
        done(&w);
    }
}

static void any_allocation_may_fail(void **state)
{
    struct written *w = *state;
    struct log_position at[24];
    write_until(w, 20, at);
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        err_t err = recover(w);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        if (!failed) {
            assert_code(err, OK);
            break;
        }
        assert_false(err_is(err, ERR_CORRUPT));
    }
    assert_recovers_to(w, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_without_files_has_no_log),
        cmocka_unit_test(files_that_nothing_was_written_to_are_an_empty_log),
        fixture_test(all_whole_frames_are_applied),
        fixture_test(the_chain_goes_on_in_the_next_file),
        fixture_test(a_recovered_log_is_written_on_and_recovered_again),
        fixture_test(a_clean_stop_is_seen_once),
        fixture_test(frames_behind_a_stop_mark_are_applied_too),
        fixture_test(a_stop_mark_hides_no_damage_behind_it),
        fixture_test(a_torn_last_frame_is_cut),
        fixture_test(a_last_frame_without_its_header_is_cut),
        fixture_test(a_torn_frame_at_the_front_of_a_file_is_cut),
        cmocka_unit_test(a_flipped_bit_in_any_earlier_frame_is_refused_with_its_place),
        cmocka_unit_test(one_flipped_bit_never_loses_more_than_the_last_frame_silently),
        cmocka_unit_test(a_file_that_was_cut_is_refused),
        fixture_test(an_empty_file_is_refused),
        cmocka_unit_test(a_file_zeroed_from_somewhere_is_refused),
        fixture_test(zeros_from_within_a_frame_on_are_refused),
        cmocka_unit_test(a_missing_file_is_refused),
        fixture_test(older_frames_behind_the_chain_are_nothing),
        fixture_test(copies_of_frames_that_lie_elsewhere_are_nothing),
        fixture_test(a_frame_that_does_not_name_its_predecessor_ends_the_chain),
        fixture_test(a_frame_that_would_pass_the_end_of_its_file_is_cut),
        fixture_test(frames_behind_the_end_of_their_epoch_do_not_count),
        fixture_test(epochs_may_begin_again_and_again),
        fixture_test(an_epoch_that_says_earlier_frames_are_missing_is_damage),
        fixture_test(an_epoch_whose_beginning_is_gone_is_damage),
        fixture_test(files_of_another_directory_are_refused),
        fixture_test(a_frame_of_a_newer_program_is_told_from_damage),
        fixture_test(an_entry_of_a_newer_program_is_told_from_damage),
        fixture_test(a_whole_frame_that_cannot_be_is_refused_with_its_place),
        fixture_test(a_last_frame_destroyed_while_it_was_rewritten_is_put_back),
        cmocka_unit_test(a_copy_that_is_not_whole_is_taken_away_unused),
        cmocka_unit_test(power_may_fail_anywhere_in_a_recovery),
        cmocka_unit_test(any_call_to_the_disk_may_fail),
        fixture_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("log/recovery", tests, NULL, NULL);
}
