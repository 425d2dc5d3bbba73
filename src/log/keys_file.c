#include "log/keys_file.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>

/*
 * A filter is asked for each key that comes, and each file's: that is a line of memory each, on its
 * way while others are looked at. A key has one bit in each of the eight words of its line. Keys
 * are spread evenly, so a line is a range of them, and one that is as full as the others.
 *
 * A key that passes costs one read, of the block between whose first key and the next one's it is;
 * of two where both halves of the order are torn over a border.
 *
 * The filter is not kept: a start makes it again from the file, every byte of which it checks on
 * that occasion.
 *
 * Failure modes: a file is complete under its name or not there. A block that does not fit its
 * checksum is an error of whoever asked, and never an answer.
 */

#define KEY_BITS 20u /* of a filter */
#define LINE_BITS (UINT64_C(64) * LOG_KEYS_LINE_WORDS)
#define COPY_SIZE ((size_t)1 << 20)
#define SORT_BITS 16u
#define SORT_SMALL 4096u
#define AT_NUMBER ((size_t)LOG_KEYS_BLOCK_KEYS * LOG_KEY_SIZE)
#define AT_INDEX (AT_NUMBER + 8)
#define AT_CRC (AT_NUMBER + 12)
#define HEAD_CRC (LOG_KEYS_HEAD_SIZE - 4)
_Static_assert(AT_CRC + 4 == IO_BLOCK, "a block ends with its checksum");

static uint32_t block_count(uint32_t keys)
{
    ASSERT(keys <= LOG_KEYS_TABLE_MAX);
    return (keys + LOG_KEYS_BLOCK_KEYS - 1) / LOG_KEYS_BLOCK_KEYS;
}

uint64_t log_keys_file_size(uint32_t count)
{
    ASSERT(count > 0);
    return (uint64_t)IO_BLOCK * (1 + block_count(count));
}

void log_keys_head_encode(const struct log_keys_head *head, uint8_t out[static IO_BLOCK])
{
    ASSERT(head->count > 0 && head->first_ms <= head->last_ms);
    memset(out, 0, IO_BLOCK);
    put_u32le(out, LOG_KEYS_MAGIC);
    put_u32le(out + 4, LOG_KEYS_VERSION);
    memcpy(out + 8, head->topic.bytes, sizeof head->topic.bytes);
    put_u64le(out + 24, head->number);
    put_u64le(out + 32, (uint64_t)head->first_ms);
    put_u64le(out + 40, (uint64_t)head->last_ms);
    put_u32le(out + 48, head->count);
    put_u32le(out + HEAD_CRC, crc32c(0, out, HEAD_CRC));
}

/* A file of another topic, or of another bucket under this one's name, is found by whoever asked
 * for it: the head says which it is. */
err_t log_keys_head_decode(struct slice block, struct log_keys_head *out)
{
    ASSERT(block.data || block.size == 0);
    const uint8_t *in = block.data;
    if (block.size < LOG_KEYS_HEAD_SIZE || get_u32le(in) != LOG_KEYS_MAGIC ||
        get_u32le(in + HEAD_CRC) != crc32c(0, in, HEAD_CRC))
        return err_make(ERR_CORRUPT);
    if (get_u32le(in + 4) > LOG_KEYS_VERSION)
        return err_make(ERR_VERSION);
    struct log_keys_head head = {
        .number = get_u64le(in + 24),
        .first_ms = (int64_t)get_u64le(in + 32),
        .last_ms = (int64_t)get_u64le(in + 40),
        .count = get_u32le(in + 48),
    };
    memcpy(head.topic.bytes, in + 8, sizeof head.topic.bytes);
    if (head.count == 0 || head.count > LOG_KEYS_TABLE_MAX || head.first_ms > head.last_ms)
        return err_make(ERR_CORRUPT);
    *out = head;
    return err_ok();
}

void log_keys_block_encode(const struct flow_fingerprint *keys, uint32_t count, uint64_t number,
                           uint32_t index, uint8_t out[static IO_BLOCK])
{
    ASSERT(count > 0 && count <= LOG_KEYS_BLOCK_KEYS);
    for (uint32_t i = 0; i < count; i++)
        log_key_put(out + (size_t)i * LOG_KEY_SIZE, keys[i]);
    size_t used = (size_t)count * LOG_KEY_SIZE;
    memset(out + used, 0, AT_NUMBER - used);
    put_u64le(out + AT_NUMBER, number);
    put_u32le(out + AT_INDEX, index);
    put_u32le(out + AT_CRC, crc32c(0, out, AT_CRC));
}

/* With its place: a block that was written where another belongs has a checksum that fits. */
err_t log_keys_block_check(struct slice block, uint64_t number, uint32_t index)
{
    ASSERT(block.data || block.size == 0);
    const uint8_t *in = block.data;
    bool fits = block.size == IO_BLOCK && get_u64le(in + AT_NUMBER) == number &&
                get_u32le(in + AT_INDEX) == index &&
                get_u32le(in + AT_CRC) == crc32c(0, in, AT_CRC);
    return err_make(fits ? ERR_OK : ERR_CORRUPT);
}

/* By the half that places are told from; the other one only breaks ties. */
static int rising(const void *a, const void *b)
{
    const struct flow_fingerprint *x = a;
    const struct flow_fingerprint *y = b;
    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    return (x->low > y->low) - (x->low < y->low);
}

/* By the first bits into groups of their own, then group by group. */
static err_t sort_large(const struct log_keys_table *table, struct flow_fingerprint *out)
{
    uint32_t *ends = mem_zalloc((1u << SORT_BITS) + 1, sizeof *ends);
    if (!ends)
        return err_make(ERR_MEMORY);
    ASSERT(table->count > SORT_SMALL);
    for (uint32_t i = 0; i < table->count; i++)
        ends[(log_keys_table_at(table, i).high >> (64 - SORT_BITS)) + 1]++;
    for (uint32_t i = 0; i < 1u << SORT_BITS; i++)
        ends[i + 1] += ends[i];
    /* From its start each group moves to its end. */
    for (uint32_t i = 0; i < table->count; i++) {
        struct flow_fingerprint key = log_keys_table_at(table, i);
        out[ends[key.high >> (64 - SORT_BITS)]++] = key;
    }
    for (uint32_t i = 0, first = 0; i < 1u << SORT_BITS; i++) {
        if (ends[i] - first > 1)
            qsort(out + first, ends[i] - first, sizeof *out, rising);
        first = ends[i];
    }
    mem_free(ends);
    return err_ok();
}

static err_t sort_keys(const struct log_keys_table *table, struct flow_fingerprint *out)
{
    ASSERT(table->count > 0);
    if (table->count > SORT_SMALL)
        return sort_large(table, out);
    for (uint32_t i = 0; i < table->count; i++)
        out[i] = log_keys_table_at(table, i);
    qsort(out, table->count, sizeof *out, rising);
    return err_ok();
}

/* By the half that files are sorted by: a filter is filled from its front to its end. */
static struct log_keys_line *line_of(const struct log_keys_file *file, struct flow_fingerprint key)
{
    ASSERT(file->line_count > 0);
    return &file->lines[((unsigned __int128)key.high * file->line_count) >> 64];
}

/* Of the other half, or keys of a line would have the same bits. */
static uint32_t bit_of(struct flow_fingerprint key, uint32_t word)
{
    return (uint32_t)(key.low >> (6 * word)) & 63;
}

static err_t filter_init(struct log_keys_file *file, uint64_t number, uint32_t count)
{
    ASSERT(count > 0);
    file->number = number;
    file->count = count;
    file->line_count = (uint32_t)((uint64_t)count * KEY_BITS / LINE_BITS) + 1;
    size_t size = file->line_count * sizeof *file->lines;
    file->lines = mem_alloc_table(size);
    file->fences = mem_alloc(block_count(count) * sizeof *file->fences);
    if (!file->lines || !file->fences)
        return err_make(ERR_MEMORY);
    memset(file->lines, 0, size);
    file->bytes = size + block_count(count) * sizeof *file->fences;
    return err_ok();
}

/* Key `place`, in their order. */
static void filter_add(struct log_keys_file *file, uint32_t place, struct flow_fingerprint key)
{
    ASSERT(place < file->count);
    if (place % LOG_KEYS_BLOCK_KEYS == 0)
        file->fences[place / LOG_KEYS_BLOCK_KEYS] = key.high;
    struct log_keys_line *line = line_of(file, key);
    for (uint32_t i = 0; i < LOG_KEYS_LINE_WORDS; i++)
        line->words[i] |= UINT64_C(1) << bit_of(key, i);
}

void log_keys_file_done(struct log_keys_file *file)
{
    err_t ignored = io_file_close(file->reader);
    (void)ignored;
    ASSERT(file->lines || file->bytes == 0);
    mem_free(file->lines);
    mem_free(file->fences);
    *file = (struct log_keys_file){0};
}

/* Written behind as it goes: a flush of all of it at the end would hold up those of the log. */
static err_t write_blocks(struct io_file *file, const struct log_keys_head *head,
                          const struct flow_fingerprint *keys, uint8_t *copy)
{
    uint64_t offset = 0;
    size_t filled = IO_BLOCK;
    uint32_t blocks = block_count(head->count);
    ASSERT(COPY_SIZE % IO_BLOCK == 0);
    log_keys_head_encode(head, copy);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t first = i * LOG_KEYS_BLOCK_KEYS;
        uint32_t count = head->count - first;
        count = count > LOG_KEYS_BLOCK_KEYS ? LOG_KEYS_BLOCK_KEYS : count;
        log_keys_block_encode(keys + first, count, head->number, i, copy + filled);
        filled += IO_BLOCK;
        if (filled < COPY_SIZE && i + 1 < blocks)
            continue;
        TRY(io_file_write(file, copy, filled, offset));
        io_file_write_behind(file, offset, filled);
        offset += filled;
        filled = 0;
    }
    return io_file_sync(file);
}

static err_t write_file(struct io_disk *disk, const char *path, const struct log_keys_head *head,
                        const struct flow_fingerprint *keys, struct err_text *why)
{
    char making[4096];
    struct io_file *file;
    int size = snprintf(making, sizeof making, "%s.tmp", path);
    if (size < 0 || (size_t)size >= sizeof making)
        return err_set(why, ERR_CONFIG, "data_dir: the path is too long");
    uint8_t *copy = mem_alloc_aligned(IO_BLOCK, COPY_SIZE);
    if (!copy)
        return err_make(ERR_MEMORY);
    ASSERT(head->count > 0);
    err_t err =
        io_disk_open(disk, making, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &file, why);
    if (err_is_ok(err)) {
        err = write_blocks(file, head, keys, copy);
        err_t closed = io_file_close(file);
        err = err_is_ok(err) ? closed : err;
        if (!err_is_ok(err))
            err = err_set(why, (enum err_code)err.code, "%s: %s", making, err_string(err));
    }
    mem_free(copy);
    if (err_is_ok(err))
        return io_disk_rename(disk, making, path, why);
    /* It may be the disk that is full. What cannot be removed now is by the next start. */
    err_t ignored = io_disk_remove(disk, making, NULL);
    (void)ignored;
    return err;
}

static err_t write_sorted(struct io_disk *disk, const char *path, const struct log_keys_head *head,
                          const struct flow_fingerprint *keys, struct log_keys_file *out,
                          struct err_text *why)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    ASSERT(slash && (size_t)(slash - path) < sizeof directory);
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    TRY(filter_init(out, head->number, head->count));
    for (uint32_t i = 0; i < head->count; i++)
        filter_add(out, i, keys[i]);
    TRY(io_disk_make_path(disk, directory, why));
    TRY(write_file(disk, path, head, keys, why));
    TRY(io_disk_sync_directory(disk, directory, why));
    return io_disk_open(disk, path, IO_OPEN_READ, &out->reader, why);
}

err_t log_keys_file_write(struct io_disk *disk, const char *path, const struct log_keys_head *head,
                          const struct log_keys_table *table, struct log_keys_file *out,
                          struct err_text *why)
{
    ASSERT(head->count == table->count && table->count > 0);
    struct log_keys_file file = {0};
    struct flow_fingerprint *keys = mem_alloc(table->count * sizeof *keys);
    if (!keys)
        return err_make(ERR_MEMORY);
    err_t err = sort_keys(table, keys);
    if (err_is_ok(err))
        err = write_sorted(disk, path, head, keys, &file, why);
    mem_free(keys);
    if (err_is_ok(err))
        *out = file;
    else
        log_keys_file_done(&file);
    return err;
}

static bool same_head(const struct log_keys_head *a, const struct log_keys_head *b)
{
    ASSERT(a != b);
    return uuid_equal(&a->topic, &b->topic) && a->number == b->number && a->count == b->count &&
           a->first_ms == b->first_ms && a->last_ms == b->last_ms;
}

static err_t take_block(struct log_keys_file *file, struct slice block, uint32_t index,
                        struct flow_fingerprint *last)
{
    ASSERT(index < block_count(file->count));
    TRY(log_keys_block_check(block, file->number, index));
    uint32_t first = index * LOG_KEYS_BLOCK_KEYS;
    for (uint32_t i = 0; i < LOG_KEYS_BLOCK_KEYS && first + i < file->count; i++) {
        struct flow_fingerprint key = log_key_get(block.data + (size_t)i * LOG_KEY_SIZE);
        if (first + i > 0 && rising(last, &key) >= 0)
            return err_make(ERR_CORRUPT);
        filter_add(file, first + i, key);
        *last = key;
    }
    return err_ok();
}

static err_t read_blocks(struct log_keys_file *file, const struct log_keys_head *head,
                         uint8_t *copy)
{
    uint32_t blocks = block_count(head->count);
    struct flow_fingerprint last = {0};
    struct log_keys_head found;
    size_t got = 0;
    TRY(io_file_read(file->reader, copy, IO_BLOCK, 0, &got));
    TRY(log_keys_head_decode(slice_make(copy, got), &found));
    if (!same_head(&found, head))
        return err_make(ERR_CORRUPT);
    for (uint32_t i = 0; i < blocks;) {
        TRY(io_file_read(file->reader, copy, COPY_SIZE, (uint64_t)IO_BLOCK * (i + 1), &got));
        ASSERT(got <= COPY_SIZE);
        if (got < IO_BLOCK)
            return err_make(ERR_CORRUPT);
        for (size_t at = 0; at + IO_BLOCK <= got && i < blocks; at += IO_BLOCK, i++)
            TRY(take_block(file, slice_make(copy + at, IO_BLOCK), i, &last));
    }
    return err_ok();
}

err_t log_keys_file_open(struct io_disk *disk, const char *path, const struct log_keys_head *head,
                         struct log_keys_file *out, struct err_text *why)
{
    struct log_keys_file file = {0};
    ASSERT(head->count > 0);
    err_t err = io_disk_open(disk, path, IO_OPEN_READ, &file.reader, why);
    if (err_is(err, ERR_NO_FILE))
        return err_set(why, ERR_CORRUPT, "%s is missing", path);
    uint8_t *copy = mem_alloc_aligned(IO_BLOCK, COPY_SIZE);
    if (err_is_ok(err))
        err = copy ? filter_init(&file, head->number, head->count) : err_make(ERR_MEMORY);
    if (err_is_ok(err)) {
        err = read_blocks(&file, head, copy);
        if (!err_is_ok(err))
            err = err_set(why, (enum err_code)err.code, "%s: %s", path, err_string(err));
    }
    mem_free(copy);
    if (err_is_ok(err))
        *out = file;
    else
        log_keys_file_done(&file);
    return err;
}

void log_keys_file_prefetch(const struct log_keys_file *file, struct flow_fingerprint key)
{
    ASSERT(file->lines);
    __builtin_prefetch(line_of(file, key));
}

/* All words, without a branch: which of them says no cannot be guessed. */
bool log_keys_file_maybe(const struct log_keys_file *file, struct flow_fingerprint key)
{
    ASSERT(file->lines);
    const struct log_keys_line *line = line_of(file, key);
    uint64_t all = 1;
    for (uint32_t i = 0; i < LOG_KEYS_LINE_WORDS; i++)
        all &= line->words[i] >> bit_of(key, i);
    return all != 0;
}

/* How many blocks begin before `high`, or with it where `with` says so. */
static uint32_t blocks_before(const struct log_keys_file *file, uint64_t high, bool with)
{
    uint32_t first = 0;
    uint32_t end = block_count(file->count);
    ASSERT(file->fences && end > 0);
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (file->fences[middle] < high || (with && file->fences[middle] == high))
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static err_t read_block(const struct log_keys_file *file, uint32_t index,
                        struct log_keys_block *last)
{
    size_t got = 0;
    ASSERT(index < block_count(file->count));
    if (last->file == file && last->index == index)
        return err_ok();
    last->file = NULL;
    TRY(io_file_read(file->reader, last->bytes, IO_BLOCK, (uint64_t)IO_BLOCK * (index + 1), &got));
    TRY(log_keys_block_check(slice_make(last->bytes, got), file->number, index));
    last->file = file;
    last->index = index;
    return err_ok();
}

err_t log_keys_file_probe(const struct log_keys_file *file, struct flow_fingerprint key,
                          struct log_keys_block *last, bool *found)
{
    uint32_t first = blocks_before(file, key.high, false);
    uint32_t end = blocks_before(file, key.high, true);
    ASSERT(first <= end);
    *found = false;
    /* The one before the first that begins with it may end with it. */
    for (uint32_t i = first > 0 ? first - 1 : 0; i < end && !*found; i++) {
        TRY(read_block(file, i, last));
        for (uint32_t k = 0; k < LOG_KEYS_BLOCK_KEYS && !*found; k++) {
            struct flow_fingerprint at = log_key_get(last->bytes + (size_t)k * LOG_KEY_SIZE);
            *found = at.low == key.low && at.high == key.high;
        }
    }
    return err_ok();
}
