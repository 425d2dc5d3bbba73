#include "log/chain.h"

#include "base/hash.h"
#include "sim/disk.h"
#include "unit/log/payload.h"

#define BLOCKS 64u

static const struct uuid ours = {{1, 2, 3}};
static const struct uuid others = {{7, 7, 7}};

struct fixture {
    struct sim_disk *sim;
    struct io_disk *disk;
    struct io_file *file; /* number 5 */
    struct io_file *to;
    struct log_frame_header last;
    uint64_t offset;
    struct log_copy copy;
    struct log_chain chain;
    uint64_t size;
    uint32_t crc;
};

static struct io_file *open_file(struct io_disk *disk, const char *path)
{
    struct io_file *file;
    assert_code(
        io_disk_open(disk, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &file, NULL), OK);
    return file;
}

/* Writes the next frame, whose payload is `size` bytes. */
static void add_frame(struct fixture *f, uint32_t size)
{
    static uint8_t bytes[IO_BLOCK * 4];
    struct log_frame_header header = {
        .uuid = ours,
        .epoch = 1,
        .lsn = f->last.lsn + 1,
        .durable_lsn = f->last.lsn,
        .payload_size = size,
        .previous_crc = f->last.header_crc,
        .file_number = 5,
        .block = (uint32_t)(f->offset / IO_BLOCK),
        .file_blocks = BLOCKS,
    };
    memset(bytes, (int)header.lsn, sizeof bytes);
    header.payload_crc = crc32c(0, bytes + LOG_FRAME_HEADER_SIZE, size);
    log_frame_encode(&header, bytes);
    uint64_t disk_size = log_frame_disk_size(size);
    assert_true(disk_size <= sizeof bytes);
    assert_code(io_file_write(f->file, bytes, (size_t)disk_size, f->offset), OK);
    f->offset += disk_size;
    f->last = header;
}

/* Frames 41 to 50 of different sizes. */
static void begin(struct fixture *f)
{
    uint8_t pattern[IO_BLOCK];
    *f = (struct fixture){.sim = sim_disk_new(1), .last = {.lsn = 40, .header_crc = 99}};
    f->disk = sim_disk_io(f->sim);
    f->file = open_file(f->disk, "from");
    f->to = open_file(f->disk, "to");
    memset(pattern, 0xA5, sizeof pattern);
    for (uint64_t i = 0; i < BLOCKS; i++)
        assert_code(io_file_write(f->file, pattern, sizeof pattern, i * IO_BLOCK), OK);
    for (uint32_t i = 0; i < 10; i++)
        add_frame(f, i * 1300);
    f->copy.disk = f->disk;
    f->chain = (struct log_chain){.copy = &f->copy, .from = ours, .to = others, .mark_lsn = 45};
}

static err_t copy(struct fixture *f, uint64_t lsn_max, uint64_t end)
{
    return log_chain_copy(&f->chain, f->file, f->to, 5, lsn_max, end, &f->size, &f->crc);
}

static void end(struct fixture *f)
{
    log_chain_done(&f->chain);
    log_copy_done(&f->copy);
    assert_code(io_file_close(f->file), OK);
    assert_code(io_file_close(f->to), OK);
    sim_disk_free(&f->sim);
}

static void frames_become_those_of_another_directory(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_code(copy(&f, UINT64_MAX, UINT64_MAX), OK);
    assert_int_equal(f.size, f.offset);
    assert_int_equal(f.chain.last.lsn, 50);
    assert_int_equal(f.chain.last.header_crc, f.last.header_crc);
    assert_int_equal(f.chain.marked.lsn, 45);
    assert_true(uuid_equal(&f.chain.marked.uuid, &others));
    assert_int_equal(f.copy.written_bytes, f.size);
    /* A second walk, over what was written, accepts all of it and changes nothing. */
    struct log_chain again = {.copy = &f.copy, .from = others, .to = others, .mark_lsn = 45};
    uint64_t size = 0;
    uint32_t crc = 0;
    assert_code(log_chain_copy(&again, f.to, NULL, 5, UINT64_MAX, UINT64_MAX, &size, &crc), OK);
    assert_int_equal(size, f.size);
    assert_int_equal(crc, f.crc);
    assert_int_equal(again.marked.header_crc, f.chain.marked.header_crc);
    assert_int_equal(again.last.header_crc, f.chain.last_crc);
    log_chain_done(&again);
    end(&f);
}

static void the_walk_ends_at_what_does_not_go_on(void **state)
{
    (void)state;
    for (int which = 0; which < 6; which++) {
        struct fixture f;
        begin(&f);
        uint64_t lsn_max = UINT64_MAX;
        uint64_t end_byte = UINT64_MAX;
        /* Frame 46 begins behind one block, one, one, one and two. */
        uint64_t at = 6u * IO_BLOCK;
        uint64_t expected = 45;
        if (which == 0)
            lsn_max = 45;
        else if (which == 1)
            end_byte = at;
        else if (which == 2)
            assert_true(sim_disk_flip(f.sim, "from", at + 40, 1));
        else if (which == 3)
            assert_true(sim_disk_flip(f.sim, "from", at + LOG_FRAME_HEADER_SIZE + 10, 1));
        else if (which == 4)
            assert_code(io_file_truncate(f.file, at + IO_BLOCK), OK);
        else
            expected = 50;
        assert_code(copy(&f, lsn_max, end_byte), OK);
        assert_int_equal(f.chain.last.lsn, expected);
        assert_int_equal(f.size, which < 5 ? at : f.offset);
        end(&f);
    }
}

static void the_first_frame_is_told_and_strange_ones_are_not(void **state)
{
    (void)state;
    struct fixture f;
    struct log_frame_header first;
    begin(&f);
    assert_code(log_chain_first(&f.chain, f.file, 5, &first), OK);
    assert_int_equal(first.lsn, 41);
    assert_code(log_chain_first(&f.chain, f.file, 6, &first), OK);
    assert_int_equal(first.lsn, 0);
    f.chain.from = others;
    assert_code(log_chain_first(&f.chain, f.file, 5, &first), OK);
    assert_int_equal(first.lsn, 0);
    assert_code(copy(&f, UINT64_MAX, UINT64_MAX), OK);
    assert_int_equal(f.size, 0);
    /* An empty file has none. */
    assert_code(log_chain_first(&f.chain, f.to, 5, &first), OK);
    assert_int_equal(first.lsn, 0);
    end(&f);
}

static void a_file_goes_on_with_the_one_before(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.chain.last = (struct log_frame_header){.lsn = 40, .header_crc = 98};
    assert_code(copy(&f, UINT64_MAX, UINT64_MAX), OK);
    assert_int_equal(f.size, 0);
    f.chain.last.header_crc = 99;
    f.chain.last_crc = 1234;
    assert_code(copy(&f, UINT64_MAX, UINT64_MAX), OK);
    assert_int_equal(f.size, f.offset);
    uint8_t header[LOG_FRAME_HEADER_SIZE];
    struct log_frame_header decoded;
    size_t got = 0;
    assert_code(io_file_read(f.to, header, sizeof header, 0, &got), OK);
    assert_code(log_frame_decode(slice_make(header, got), &decoded), OK);
    assert_int_equal(decoded.previous_crc, 1234);
    end(&f);
}

static void what_the_disk_refuses_is_handed_on(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct fixture f;
        begin(&f);
        sim_disk_fail_after(f.sim, n, ERR_IO);
        err_t err = copy(&f, UINT64_MAX, UINT64_MAX);
        failed = !err_is_ok(err);
        sim_disk_fail_after(f.sim, 0, ERR_OK);
        if (failed)
            assert_code(err, IO);
        end(&f);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_become_those_of_another_directory),
        cmocka_unit_test(the_walk_ends_at_what_does_not_go_on),
        cmocka_unit_test(the_first_frame_is_told_and_strange_ones_are_not),
        cmocka_unit_test(a_file_goes_on_with_the_one_before),
        cmocka_unit_test(what_the_disk_refuses_is_handed_on),
    };
    return cmocka_run_group_tests_name("log/chain", tests, NULL, NULL);
}
