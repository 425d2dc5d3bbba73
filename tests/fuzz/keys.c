/*
 * Sorted files of idempotency keys. Where the sums do not fit they are made to, so that mutations
 * reach what they cover. What opens is what it says: each key in it is found where the filter says
 * it is, and its first block is the one that would be written.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "log/keys_file.h"
#include "sim/disk.h"

#define PATH "keys"

static void make_fit(uint8_t *bytes, size_t size)
{
    if (size < LOG_KEYS_HEAD_SIZE)
        return;
    put_u32le(bytes, LOG_KEYS_MAGIC);
    put_u32le(bytes + 4, LOG_KEYS_VERSION);
    put_u32le(bytes + LOG_KEYS_HEAD_SIZE - 4, crc32c(0, bytes, LOG_KEYS_HEAD_SIZE - 4));
    uint64_t number = get_u64le(bytes + 24);
    for (size_t at = IO_BLOCK, index = 0; at + IO_BLOCK <= size; at += IO_BLOCK, index++) {
        put_u64le(bytes + at + IO_BLOCK - 16, number);
        put_u32le(bytes + at + IO_BLOCK - 8, (uint32_t)index);
        put_u32le(bytes + at + IO_BLOCK - 4, crc32c(0, bytes + at, IO_BLOCK - 4));
    }
}

static void check_opened(const uint8_t *bytes, const struct log_keys_file *file)
{
    struct log_keys_block last = {0};
    for (uint32_t i = 0; i < file->count; i++) {
        size_t block = 1 + i / LOG_KEYS_BLOCK_KEYS;
        const uint8_t *at =
            bytes + block * IO_BLOCK + (size_t)(i % LOG_KEYS_BLOCK_KEYS) * LOG_KEY_SIZE;
        struct flow_fingerprint key = log_key_get(at);
        bool found = false;
        FUZZ_EXPECT(log_keys_file_maybe(file, key));
        if (i % 64 == 0)
            FUZZ_EXPECT(err_is_ok(log_keys_file_probe(file, key, &last, &found)) && found);
    }
}

static void open_file(const uint8_t *bytes, size_t size, const struct log_keys_head *head)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct log_keys_file file = {0};
    FUZZ_EXPECT(disk);
    err_t err = io_disk_write_file(sim_disk_io(disk), PATH, slice_make(bytes, size), NULL);
    FUZZ_EXPECT(err_is_ok(err));
    /* A head may promise much more than the file has. */
    if (head->count <= size) {
        err = log_keys_file_open(sim_disk_io(disk), PATH, head, &file, NULL);
        FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_CORRUPT));
        if (err_is_ok(err))
            check_opened(bytes, &file);
    }
    log_keys_file_done(&file);
    sim_disk_free(&disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = mem_alloc(size + 1);
    FUZZ_EXPECT(bytes);
    if (size > 0)
        memcpy(bytes, data, size);
    for (int fit = 0; fit < 2; fit++) {
        struct log_keys_head head;
        uint8_t again[IO_BLOCK];
        err_t err = log_keys_head_decode(slice_make(bytes, size), &head);
        FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
        if (err_is_ok(err)) {
            log_keys_head_encode(&head, again);
            FUZZ_EXPECT(memcmp(again, bytes, 52) == 0);
            open_file(bytes, size, &head);
        }
        make_fit(bytes, size);
    }
    mem_free(bytes);
    return 0;
}
