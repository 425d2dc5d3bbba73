/*
 * Record batches from outside: our reader against a second one, written here as plainly as it
 * gets, a byte at a time. Compared are every record and header, and where the walk ends. What was
 * read goes through the builder and must come back; so it must from the batch packed, and merged
 * with another. A compressed batch is unpacked before it is read, or refused.
 */

#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "flow/merge.h"

#define HEADERS_MAX 64
#define UNPACKED_SIZE_MAX ((size_t)1 << 20)

/* The second implementation: reads behind `at`, latches what is wrong. */
struct oracle {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool wrong;
};

static uint64_t read_be(const uint8_t *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value * 256 + in[i];
    return value;
}

static int64_t read_varint(struct oracle *o, unsigned bits)
{
    unsigned __int128 value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        if (o->wrong || o->at == o->size)
            break;
        uint8_t byte = o->data[o->at++];
        value |= (unsigned __int128)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (value >> bits)
            break;
        uint64_t half = (uint64_t)(value / 2);
        return value % 2 ? -(int64_t)half - 1 : (int64_t)half;
    }
    o->wrong = true;
    return 0;
}

static struct slice read_bytes(struct oracle *o)
{
    int64_t size = read_varint(o, 32);
    if (size == -1)
        return slice_make(NULL, 0);
    if (o->wrong || size < 0 || (uint64_t)size > o->size - o->at) {
        o->wrong = true;
        return slice_make(NULL, 0);
    }
    o->at += (size_t)size;
    return slice_make(o->data + o->at - size, (size_t)size);
}

static void expect_same(struct slice a, struct slice b)
{
    FUZZ_EXPECT(a.data == b.data && a.size == b.size);
}

/* Reads the next record with both; false once it is the last. */
static bool compare_record(struct oracle *o, struct flow_batch_iterator *it,
                           const struct flow_batch *batch, struct flow_record *record)
{
    bool at_end = it->left == 0;
    size_t size_left = o->size - o->at;
    err_t err = flow_batch_next(it, record);
    if (at_end) {
        FUZZ_EXPECT(err_is(err, size_left ? ERR_CORRUPT : ERR_END));
        return false;
    }
    struct slice body = read_bytes(o);
    struct oracle inside = {.data = body.data, .size = body.size, .wrong = o->wrong};
    if (inside.size > 0)
        inside.at++;
    else
        inside.wrong = true;
    uint64_t time = (uint64_t)read_varint(&inside, 64);
    int64_t offset = read_varint(&inside, 32);
    struct slice key = read_bytes(&inside);
    struct slice value = read_bytes(&inside);
    int64_t headers = read_varint(&inside, 32);
    bool good = !inside.wrong && offset >= 0 && offset <= batch->last_offset_delta && headers >= 0;
    FUZZ_EXPECT(err_is(err, good ? ERR_OK : ERR_CORRUPT));
    if (!good)
        return false;
    FUZZ_EXPECT(record->offset == batch->base_offset + offset);
    FUZZ_EXPECT((uint64_t)record->timestamp_ms == (uint64_t)batch->first_timestamp_ms + time);
    FUZZ_EXPECT(record->header_count == (uint64_t)headers);
    expect_same(record->key, key);
    expect_same(record->value, value);
    expect_same(record->headers, slice_make(body.data + inside.at, body.size - inside.at));
    return true;
}

/* The headers of a record as both read them; returns how many there are. */
static uint32_t compare_headers(struct slice headers, struct flow_header *out)
{
    struct oracle o = {.data = headers.data, .size = headers.size};
    struct flow_header header;
    uint32_t count = 0;
    while (flow_record_header(&headers, &header)) {
        struct slice key = read_bytes(&o);
        struct slice value = read_bytes(&o);
        FUZZ_EXPECT(!o.wrong);
        expect_same(header.key, key);
        expect_same(header.value, value);
        if (count < HEADERS_MAX)
            out[count] = header;
        count++;
    }
    return count;
}

static void expect_record(struct slice built, int64_t timestamp_ms, const struct flow_record *in)
{
    struct flow_batch batch;
    struct flow_record out = {0};
    FUZZ_EXPECT(err_is_ok(flow_batch_parse(built, &batch)));
    FUZZ_EXPECT(err_is_ok(flow_batch_check(&batch)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    FUZZ_EXPECT(err_is_ok(flow_batch_next(&it, &out)));
    FUZZ_EXPECT(err_is_ok(flow_batch_next(&it, &out)));
    FUZZ_EXPECT(out.offset == 1 && out.timestamp_ms == timestamp_ms);
    FUZZ_EXPECT(slice_equal(out.key, in->key) && !out.key.data == !in->key.data);
    FUZZ_EXPECT(slice_equal(out.value, in->value) && !out.value.data == !in->value.data);
    struct flow_header header;
    uint32_t count = 0;
    while (flow_record_header(&out.headers, &header))
        count++;
    FUZZ_EXPECT(count == out.header_count && out.headers.size == 0);
}

/* As the second record of a batch of ours, it is read back. */
static void rebuild(const struct flow_record *record)
{
    static struct flow_header headers[HEADERS_MAX];
    uint32_t count = compare_headers(record->headers, headers);
    if (count > HEADERS_MAX)
        return;
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    FUZZ_EXPECT(err_is_ok(
        flow_batch_builder_add(&builder, 1, SLICE_LITERAL("first"), slice_make(NULL, 0), NULL, 0)));
    struct flow_batch_mark mark = flow_batch_builder_mark(&builder);
    for (int i = 0; i < 2; i++) {
        flow_batch_builder_rollback(&builder, &mark);
        FUZZ_EXPECT(err_is_ok(flow_batch_builder_add(&builder, record->timestamp_ms, record->key,
                                                     record->value, headers, count)));
    }
    expect_record(flow_batch_builder_finish(&builder), record->timestamp_ms, record);
    flow_batch_builder_done(&builder);
}

/* True when the bytes end before the batch does, as far as its header can be believed. */
static bool is_short(const uint8_t *data, size_t size)
{
    if (size < 17)
        return true;
    uint64_t length = read_be(data + 8, 4);
    return data[16] == 2 && length >= 49 && length <= INT32_MAX && size < length + 12;
}

/* How a walk over the batch ends, and how many records it meets before. */
static err_t walk(const struct flow_batch *batch, uint32_t *count)
{
    struct flow_batch_iterator it = flow_batch_records(batch);
    struct flow_record record;
    err_t err;
    for (*count = 0; err_is_ok(err = flow_batch_next(&it, &record)); (*count)++)
        FUZZ_EXPECT(*count < batch->record_count);
    return err;
}

/* The next record of `it` is `in`, `moved` offsets on. */
static void expect_next(struct flow_batch_iterator *it, const struct flow_record *in, int64_t moved)
{
    struct flow_record out;
    FUZZ_EXPECT(err_is_ok(flow_batch_next(it, &out)));
    FUZZ_EXPECT(out.offset == in->offset + moved && out.timestamp_ms == in->timestamp_ms);
    FUZZ_EXPECT(out.header_count == in->header_count && slice_equal(out.headers, in->headers));
    FUZZ_EXPECT(slice_equal(out.key, in->key) && !out.key.data == !in->key.data);
    FUZZ_EXPECT(slice_equal(out.value, in->value) && !out.value.data == !in->value.data);
}

/* All records of `batch`, `moved` offsets on. */
static void expect_records(struct flow_batch_iterator *it, const struct flow_batch *batch,
                           int64_t moved)
{
    struct flow_batch_iterator walked = flow_batch_records(batch);
    struct flow_record record;
    while (err_is_ok(flow_batch_next(&walked, &record)))
        expect_next(it, &record, moved);
}

/* The batch, and itself again behind it as another: both are in what they are merged to. */
static void merge_twice(const struct flow_batch *batch)
{
    int64_t moved = (int64_t)batch->last_offset_delta + 1 + 17;
    if (!flow_merge_possible(batch) || batch->base_offset > INT64_MAX - 2 * moved)
        return;
    uint32_t count;
    bool good = err_is(walk(batch, &count), ERR_END) && moved + moved <= INT32_MAX;
    struct flow_batch both[2] = {*batch, *batch};
    both[1].base_offset += moved;
    struct buf out = {0};
    err_t err = flow_merge(both, 2, &out);
    if (good) {
        struct flow_batch merged;
        FUZZ_EXPECT(err_is_ok(err) && err_is_ok(flow_batch_parse(buf_slice(&out), &merged)));
        FUZZ_EXPECT(err_is_ok(flow_batch_check(&merged)) && merged.bytes.size == out.size);
        FUZZ_EXPECT(merged.record_count == 2 * count);
        struct flow_batch_iterator it = flow_batch_records(&merged);
        struct flow_record record;
        expect_records(&it, batch, 0);
        expect_records(&it, batch, moved);
        FUZZ_EXPECT(err_is(flow_batch_next(&it, &record), ERR_END));
    } else if (!err_is_ok(err)) {
        FUZZ_EXPECT(err_is(err, ERR_CORRUPT) && out.size == 0);
    }
    buf_done(&out);
}

/* Packed and unpacked its bytes are what they were, but for the CRC that may have been wrong. */
static void pack_and_unpack(const struct flow_batch *batch, enum flow_codec codec)
{
    struct buf packed = {0};
    struct buf unpacked = {0};
    struct flow_batch again;
    FUZZ_EXPECT(err_is_ok(flow_batch_pack(batch, codec, &packed)));
    FUZZ_EXPECT(packed.size <= batch->bytes.size);
    FUZZ_EXPECT(err_is_ok(flow_batch_parse(buf_slice(&packed), &again)));
    FUZZ_EXPECT(again.bytes.size == packed.size);
    size_t size = batch->bytes.size;
    FUZZ_EXPECT(err_is_ok(flow_batch_unpack(&again, size - FLOW_BATCH_HEADER_SIZE, &unpacked)));
    FUZZ_EXPECT(again.bytes.size == size && memcmp(again.bytes.data, batch->bytes.data, 17) == 0);
    FUZZ_EXPECT(memcmp(again.bytes.data + 21, batch->bytes.data + 21, size - 21) == 0);
    buf_done(&packed);
    buf_done(&unpacked);
}

static void read_plain(const struct flow_batch *batch)
{
    struct flow_batch_iterator it = flow_batch_records(batch);
    struct flow_record record;
    struct oracle o = {.data = batch->bytes.data + 61, .size = batch->bytes.size - 61};
    while (compare_record(&o, &it, batch, &record))
        rebuild(&record);
    merge_twice(batch);
    for (enum flow_codec codec = FLOW_CODEC_GZIP; codec <= FLOW_CODEC_ZSTD; codec++)
        pack_and_unpack(batch, codec);
}

static void read_packed(struct flow_batch batch)
{
    enum flow_codec codec = flow_batch_codec(&batch);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record record;
    FUZZ_EXPECT(err_is(flow_batch_next(&it, &record), ERR_UNSUPPORTED));
    struct flow_batch before = batch;
    struct buf unpacked = {0};
    err_t err = flow_batch_unpack(&batch, UNPACKED_SIZE_MAX, &unpacked);
    FUZZ_EXPECT(unpacked.capacity <= 2 * UNPACKED_SIZE_MAX);
    if (codec > FLOW_CODEC_ZSTD) {
        FUZZ_EXPECT(err_is(err, ERR_UNSUPPORTED));
    } else if (!err_is_ok(err)) {
        FUZZ_EXPECT(err_is(err, ERR_CORRUPT) || err_is(err, ERR_TOO_LARGE));
        FUZZ_EXPECT(batch.bytes.data == before.bytes.data);
    } else {
        FUZZ_EXPECT(err_is_ok(flow_batch_check(&batch)));
        FUZZ_EXPECT(batch.record_count == before.record_count);
        FUZZ_EXPECT(batch.base_offset == before.base_offset);
        read_plain(&batch);
    }
    buf_done(&unpacked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flow_batch batch;
    err_t err = flow_batch_parse(slice_make(data, size), &batch);
    FUZZ_EXPECT(err_is(err, ERR_END) == is_short(data, size));
    if (!err_is_ok(err)) {
        FUZZ_EXPECT(err_is(err, ERR_END) || err_is(err, ERR_CORRUPT));
        return 0;
    }
    FUZZ_EXPECT(batch.bytes.size == read_be(data + 8, 4) + 12 && batch.bytes.size <= size);
    FUZZ_EXPECT((uint64_t)batch.base_offset == read_be(data, 8));
    FUZZ_EXPECT(batch.record_count == read_be(data + 57, 4));
    (void)flow_batch_check(&batch);
    if (data[22] & 7)
        read_packed(batch);
    else
        read_plain(&batch);
    return 0;
}
